/* SPDX-License-Identifier: Apache-2.0 */
/* The host's keyrings are not in any namespace. */
#include "payload.h"

PAYLOAD("add a key", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_add_key, "user", "x", "y", 1, -3));
}
