/* SPDX-License-Identifier: Apache-2.0 */
/* A file grows until the sandbox's disk is full. */
#include "payload.h"

PAYLOAD("fill the disk", "--disk 16m", "errno ENOSPC");

int main(void)
{
	static char block[65536];
	int fd = (int)setup(open("/tmp/big", O_CREAT | O_WRONLY, 0600));

	for (int i = 0; i < 1000; i++) {
		if (write(fd, block, sizeof(block)) < 0)
			refused(errno);
	}
	escaped("62 MiB were written with --disk 16m");
}
