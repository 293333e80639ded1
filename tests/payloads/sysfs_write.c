/* SPDX-License-Identifier: Apache-2.0 */
/* The host's hardware. */
#include "payload.h"

PAYLOAD("write to /sys", "", "errno EROFS or errno ENOENT or errno EACCES");

int main(void)
{
	must_fail(open("/sys/power/state", O_WRONLY));
}
