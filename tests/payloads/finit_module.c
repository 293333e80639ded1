/* SPDX-License-Identifier: Apache-2.0 */
/* Code in the host's kernel, by descriptor. */
#include "payload.h"

PAYLOAD("load a kernel module from a file", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_finit_module, 0, "", 0));
}
