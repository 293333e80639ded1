/* SPDX-License-Identifier: Apache-2.0 */
/* The path's bytes change while the call is on its way: a check of one and a use of the other. */
#include "payload.h"

PAYLOAD("race the content of a path", "--timeout 60s", "exit 0");

static char path[256];
static volatile int stop;

static void *flip(void *arg)
{
	const char *secret = canary("CANARY_SECRET"), *target = canary("CANARY_TARGET");

	(void)arg;
	while (!stop) {
		strcpy(path, target);
		strcpy(path, secret);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread;
	char buf[64];

	strcpy(path, canary("CANARY_TARGET"));
	pthread_create(&thread, NULL, flip, NULL);
	for (int i = 0; i < 20000; i++) {
		int fd = open(path, O_RDONLY);
		ssize_t n;

		if (fd < 0)
			continue;
		n = read(fd, buf, sizeof(buf));
		/* What a hidden file holds may come out here: the harness looks for it. */
		if (n > 0 && memcmp(buf, "nobody has written", 18) != 0) {
			write(1, buf, (size_t)n);
			escaped("another file was read");
		}
		close(fd);
	}
	stop = 1;
	pthread_join(thread, NULL);
	return 0;
}
