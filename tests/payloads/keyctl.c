/* SPDX-License-Identifier: Apache-2.0 */
/* The host's keyrings are not in any namespace. */
#include "payload.h"

PAYLOAD("read the session keyring", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_keyctl, 0, -3, 1));
}
