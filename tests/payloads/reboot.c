/* SPDX-License-Identifier: Apache-2.0 */
/* The whole machine. */
#include "payload.h"

PAYLOAD("reboot the host", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_reboot, 0xfee1deadU, 672274793, 0x1234567, NULL));
}
