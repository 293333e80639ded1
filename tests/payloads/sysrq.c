/* SPDX-License-Identifier: Apache-2.0 */
/* The host's panic button. */
#include "payload.h"

PAYLOAD("write to /proc/sysrq-trigger", "", "errno ENOENT or errno EACCES or errno EROFS");

int main(void)
{
	must_fail(open("/proc/sysrq-trigger", O_WRONLY));
}
