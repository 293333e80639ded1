/* SPDX-License-Identifier: Apache-2.0 */
/* The host's quotas. */
#include "payload.h"

PAYLOAD("change quotas", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_quotactl, 0x80000200U, "/dev/sda", 0, NULL));
}
