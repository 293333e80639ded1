/* SPDX-License-Identifier: Apache-2.0 */
/* The same, spread over many processes of a few megabytes. */
#include "payload.h"

PAYLOAD("use all memory in many processes", "--memory 64m --pids 200", "limit memory");

int main(void)
{
	for (int i = 0; i < 100; i++) {
		if (fork() == 0) {
			char *p = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (p != MAP_FAILED)
				memset(p, 1, 4 << 20);
			pause();
		}
	}
	for (;;)
		pause();
}
