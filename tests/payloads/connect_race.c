/* SPDX-License-Identifier: Apache-2.0 */
/* The address changes while the call is on its way. */
#include "payload.h"

PAYLOAD("race an allowed address against another", "--egress-allow 127.0.0.1:{allowed} --timeout 60s", "exit 0");

static struct sockaddr_in a;
static volatile int stop;

static void *flip(void *arg)
{
	uint16_t good = htons(canary_port("ALLOWED_TCP")), bad = htons(canary_port("CANARY_TCP"));

	(void)arg;
	while (!stop) {
		a.sin_port = good;
		a.sin_port = bad;
	}
	return NULL;
}

int main(void)
{
	pthread_t thread;

	a = inet4("127.0.0.1", canary_port("ALLOWED_TCP"));
	pthread_create(&thread, NULL, flip, NULL);
	for (int i = 0; i < 300; i++) {
		int fd = (int)setup(socket(AF_INET, SOCK_STREAM, 0));

		connect(fd, (struct sockaddr *)&a, sizeof(a));
		close(fd);
	}
	stop = 1;
	pthread_join(thread, NULL);
	return 0;
}
