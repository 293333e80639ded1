/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that could change the target: all of it must work here, and none of it there. */
#include "payload.h"

PAYLOAD("change a file of the host", "", "exit 0");

int main(void)
{
	const char *target = canary("CANARY_TARGET");
	char other[512];
	int fd;

	snprintf(other, sizeof(other), "%s.new", target);
	fd = (int)setup(open(target, O_RDWR));
	setup(write(fd, "changed", 7));
	setup(ftruncate(fd, 3));
	close(fd);
	setup(chmod(target, 0700));
	setup(rename(target, other));
	setup(symlink("/etc/passwd", target));
	setup(link(other, "/tmp/hard"));
	setup(unlink(other));
	fd = (int)setup(open("/tmp/hard", O_WRONLY | O_TRUNC));
	setup(write(fd, "changed", 7));
	return 0;
}
