/* SPDX-License-Identifier: Apache-2.0 */
/* The newer way to mount. */
#include "payload.h"

PAYLOAD("open a filesystem context", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_fsopen, "tmpfs", 0));
}
