/* SPDX-License-Identifier: Apache-2.0 */
/* The 32-bit entry: number 11 is execve there and munmap here. */
#include "payload.h"

PAYLOAD("call by int 0x80", "", "errno ENOSYS");

int main(void)
{
	static char path[] = "/bin/true";
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(11L), "b"(path), "c"(0L), "d"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	if (r >= 0)
		escaped("int 0x80 gave %ld", r);
	refused((int)-r);
}
