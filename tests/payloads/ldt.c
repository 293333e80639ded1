/* SPDX-License-Identifier: Apache-2.0 */
/* A call gate or a 32-bit code segment by the LDT. */
#include "payload.h"

PAYLOAD("make a 32-bit code segment", "", "errno ENOSYS or errno EINVAL or errno EPERM");

int main(void)
{
	struct {
		unsigned entry, base, limit, flags;
	} d = {0, 0, 0xfffff, 0x7f & ~2u};

	/* x32 segments change what the next syscall means; without them int 0x80 is all there is, and that is refused.
	 */
	must_fail(syscall(SYS_modify_ldt, 1, &d, sizeof(d)));
}
