/* SPDX-License-Identifier: Apache-2.0 */
/* By pidfd. */
#include "payload.h"

PAYLOAD("get a pidfd of a process of the host", "", "errno ESRCH");

int main(void)
{
	must_fail(syscall(SYS_pidfd_open, atoi(canary("CANARY_PID")), 0));
}
