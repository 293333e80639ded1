/* SPDX-License-Identifier: Apache-2.0 */
/* The same by threads. */
#include "payload.h"

PAYLOAD("have more threads than allowed", "--pids 20", "errno EAGAIN");

static void *sleeper(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

int main(void)
{
	for (int i = 0; i < 100; i++) {
		pthread_attr_t a;
		pthread_t t;
		int err;

		pthread_attr_init(&a);
		pthread_attr_setstacksize(&a, 65536);
		err = pthread_create(&t, &a, sleeper, NULL);
		if (err != 0)
			refused(err);
	}
	escaped("100 threads were made with --pids 20");
}
