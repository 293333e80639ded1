/* SPDX-License-Identifier: Apache-2.0 */
/* Code in the host's kernel. */
#include "payload.h"

PAYLOAD("load a kernel module", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_init_module, "x", 1, ""));
}
