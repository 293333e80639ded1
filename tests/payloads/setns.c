/* SPDX-License-Identifier: Apache-2.0 */
/* Another process's namespaces. */
#include "payload.h"

PAYLOAD("join a namespace", "", "errno EPERM");

int main(void)
{
	int fd = (int)setup(open("/proc/self/status", O_RDONLY));

	must_fail(setns(fd, 0));
}
