/* SPDX-License-Identifier: Apache-2.0 */
/* A user namespace brings every capability and most of the host kernel's attack surface. */
#include "payload.h"

PAYLOAD("become root in a new user namespace", "", "errno EPERM");

int main(void)
{
	must_fail(unshare(CLONE_NEWUSER));
}
