/* SPDX-License-Identifier: Apache-2.0 */
/* Performance counters see other processes. */
#include "payload.h"

PAYLOAD("open a performance counter", "", "errno EPERM");

int main(void)
{
	uint64_t attr[16] = {1ULL << 32 | 1};

	attr[0] = sizeof(attr) * 0x100000000ULL;
	must_fail(syscall(SYS_perf_event_open, attr, 0, -1, -1, 0));
}
