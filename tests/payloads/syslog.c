/* SPDX-License-Identifier: Apache-2.0 */
/* The host kernel's log holds addresses and names. */
#include "payload.h"

PAYLOAD("read the kernel log", "", "errno EPERM");

int main(void)
{
	char buf[256];

	must_fail(syscall(SYS_syslog, 3, buf, sizeof(buf)));
}
