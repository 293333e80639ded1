/* SPDX-License-Identifier: Apache-2.0 */
/* Pointers that are no addresses, to every call that takes one. */
#include "payload.h"

PAYLOAD("pass non-canonical pointers", "", "errno EFAULT");

int main(void)
{
	static const uint64_t bad[] = {
		0x8000000000000000UL, 0x0000800000000000UL, 0xffffffffffffffffUL, 0xffff800000000000UL, 8,
		USER_END - 1};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (open((char *)bad[i], O_RDONLY) >= 0 || errno != EFAULT)
			escaped("open of %#lx: %s", (unsigned long)bad[i], strerror(errno));
		if (stat("/", (struct stat *)bad[i]) == 0 || errno != EFAULT)
			escaped("stat to %#lx: %s", (unsigned long)bad[i], strerror(errno));
		if (pipe((int *)bad[i]) == 0 || errno != EFAULT)
			escaped("pipe to %#lx: %s", (unsigned long)bad[i], strerror(errno));
	}
	refused(EFAULT);
}
