/* SPDX-License-Identifier: Apache-2.0 */
/* Another kernel. */
#include "payload.h"

PAYLOAD("load another kernel", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}
