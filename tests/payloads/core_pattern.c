/* SPDX-License-Identifier: Apache-2.0 */
/* A core pattern is a program the host runs as root. */
#include "payload.h"

PAYLOAD("set a core pattern", "", "errno ENOENT or errno EACCES or errno EROFS or errno EPERM or errno EINVAL");

int main(void)
{
	int fd = open("/proc/sys/kernel/core_pattern", O_WRONLY);

	if (fd < 0)
		refused(errno);
	must_fail(write(fd, "|/tmp/evil", 10));
}
