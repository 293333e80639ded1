/* SPDX-License-Identifier: Apache-2.0 */
/* The default list hides it. */
#include "payload.h"

PAYLOAD("read /etc/shadow", "", "errno ENOENT");

int main(void)
{
	must_fail(open("/etc/shadow", O_RDONLY));
}
