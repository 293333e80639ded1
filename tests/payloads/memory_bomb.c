/* SPDX-License-Identifier: Apache-2.0 */
/* Anonymous memory, touched. */
#include "payload.h"

PAYLOAD("use all memory", "--memory 64m", "limit memory");

int main(void)
{
	for (;;) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			continue;
		memset(p, 1, 1 << 20);
	}
}
