/* SPDX-License-Identifier: Apache-2.0 */
/* The sentry's memory through files: they count as the sandbox's own. */
#include "payload.h"

PAYLOAD("use all memory in files", "--memory 64m", "errno ENOSPC or errno ENOMEM or limit memory");

int main(void)
{
	static char block[1 << 16];
	int fd = (int)setup(open("/tmp/big", O_CREAT | O_WRONLY, 0600));

	memset(block, 1, sizeof(block));
	for (int i = 0; i < 4096; i++) {
		if (write(fd, block, sizeof(block)) < 0)
			refused(errno);
	}
	escaped("256 MiB were written with 64 MiB of memory");
}
