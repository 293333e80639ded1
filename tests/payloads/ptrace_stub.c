/* SPDX-License-Identifier: Apache-2.0 */
/* Our own host process has a pid on the host; inside it must not exist. */
#include "payload.h"

PAYLOAD("trace a process of the host", "", "errno ESRCH or errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, atoi(canary("CANARY_PID")), NULL, NULL));
}
