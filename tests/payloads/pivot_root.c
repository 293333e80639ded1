/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves the root. */
#include "payload.h"

PAYLOAD("pivot the root away", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_pivot_root, "/tmp", "/tmp"));
}
