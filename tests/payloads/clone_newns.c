/* SPDX-License-Identifier: Apache-2.0 */
/* The same by clone. */
#include "payload.h"

PAYLOAD("clone into new namespaces", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL));
}
