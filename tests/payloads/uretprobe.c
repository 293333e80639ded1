/* SPDX-License-Identifier: Apache-2.0 */
/* Newer kernels let this number past every seccomp filter; outside its trampoline it ends in SIGILL. */
#include "payload.h"

PAYLOAD("call past the filter by uretprobe", "", "signal SIGILL or errno ENOSYS");

int main(void)
{
	must_fail(syscall(335));
}
