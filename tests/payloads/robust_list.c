/* SPDX-License-Identifier: Apache-2.0 */
/* The host would walk this list with the host's thread id: a loop, and a pointer into the stub. */
#include "payload.h"

PAYLOAD("give a robust list that loops", "", "exit 0");

static void *end_with_list(void *arg)
{
	static void *head[3];

	(void)arg;
	head[0] = head;
	head[1] = NULL;
	head[2] = (void *)STUB_BASE;
	setup(syscall(SYS_set_robust_list, head, 24UL));
	return NULL;
}

int main(void)
{
	for (int i = 0; i < 20; i++) {
		pthread_t t;

		pthread_create(&t, NULL, end_with_list, NULL);
		pthread_join(t, NULL);
	}
	return 0;
}
