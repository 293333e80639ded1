/* SPDX-License-Identifier: Apache-2.0 */
/* The sentry's memory through names: a million empty files. */
#include "payload.h"

PAYLOAD("use all memory in names", "--memory 48m --timeout 100s", "errno ENOMEM or errno ENOSPC or limit memory");

int main(void)
{
	char name[256];

	setup(mkdir("/tmp/many", 0755));
	for (int i = 0; i < 4000000; i++) {
		int fd;

		snprintf(name, sizeof(name), "/tmp/many/%0200d", i);
		fd = open(name, O_CREAT | O_WRONLY, 0600);
		if (fd < 0)
			refused(errno);
		close(fd);
	}
	escaped("four million names fitted into 48 MiB");
}
