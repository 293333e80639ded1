/* SPDX-License-Identifier: Apache-2.0 */
/* I/O ports. */
#include "payload.h"

PAYLOAD("get at I/O ports", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_iopl, 3));
}
