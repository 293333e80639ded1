/* SPDX-License-Identifier: Apache-2.0 */
/* Another door to any file. */
#include "payload.h"

PAYLOAD("look up a dcookie", "", "errno ENOSYS");

int main(void)
{
	char buf[256];

	must_fail(syscall(SYS_lookup_dcookie, 1UL, buf, sizeof(buf)));
}
