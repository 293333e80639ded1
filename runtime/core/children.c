/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/task/PID/children: numbers, each with a space behind it. One read(2) gives a page of them at most, however large
 * the buffer is, so that it takes as many as there are.
 */
#include "runtime/core/children.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void each_child(pid_t parent, void (*fn)(pid_t child, void *arg), void *arg)
{
	char path[64], buf[8192];
	size_t have = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	while ((n = read(fd, buf + have, sizeof(buf) - 1 - have)) > 0) {
		char *p = buf, *end;

		have += (size_t)n;
		buf[have] = '\0';
		/* A number without its space may go on in the next part: nobody is taken for half of it. */
		while ((end = strchr(p, ' ')) != NULL) {
			long pid = strtol(p, NULL, 10);

			if (pid > 1)
				fn((pid_t)pid, arg);
			p = end + 1;
		}
		have -= (size_t)(p - buf);
		memmove(buf, p, have);
	}
	close(fd);
}
