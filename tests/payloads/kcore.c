/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel memory. */
#include "payload.h"

PAYLOAD("open /proc/kcore", "", "errno ENOENT or errno EACCES");

int main(void)
{
	must_fail(open("/proc/kcore", O_RDONLY));
}
