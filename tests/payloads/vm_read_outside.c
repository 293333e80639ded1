/* SPDX-License-Identifier: Apache-2.0 */
/* By process_vm_readv. */
#include "payload.h"
#include <sys/uio.h>

PAYLOAD("read memory of a process of the host", "", "errno ESRCH");

int main(void)
{
	char buf[16];
	struct iovec l = {buf, 16}, r = {(void *)0x400000, 16};

	must_fail(syscall(SYS_process_vm_readv, atoi(canary("CANARY_PID")), &l, 1, &r, 1, 0));
}
