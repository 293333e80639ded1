/* SPDX-License-Identifier: Apache-2.0 */
/* Holds a kernel copy in the middle of a page. */
#include "payload.h"

PAYLOAD("hold faults by userfaultfd", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_userfaultfd, 0));
}
