/* SPDX-License-Identifier: Apache-2.0 */
/* The victim's pid on the host is given; inside there is no such process. */
#include "payload.h"

PAYLOAD("kill a process of the host", "", "errno ESRCH");

int main(void)
{
	must_fail(kill(atoi(canary("CANARY_PID")), SIGKILL));
}
