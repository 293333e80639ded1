/* SPDX-License-Identifier: Apache-2.0 */
/* The sentry's memory through pipes, filled. */
#include "payload.h"

PAYLOAD("use all memory in pipes", "--memory 48m", "errno ENOMEM or errno EMFILE or errno ENFILE or limit memory");

#include <sys/resource.h>
int main(void)
{
	static char block[65536];

	for (;;) {
		int p[2];

		if (pipe(p) < 0)
			refused(errno);
		fcntl(p[1], F_SETFL, O_NONBLOCK);
		fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
		for (int i = 0; i < 16; i++)
			if (write(p[1], block, sizeof(block)) < 0)
				break;
	}
}
