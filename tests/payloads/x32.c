/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers with bit 30 are another table of calls. */
#include "payload.h"

PAYLOAD("call by x32 numbers", "", "errno ENOSYS");

int main(void)
{
	must_fail(syscall(0x40000000 + SYS_getpid));
}
