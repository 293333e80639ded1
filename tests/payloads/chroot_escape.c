/* SPDX-License-Identifier: Apache-2.0 */
/* The classic: a directory kept open, chroot below it, climb from there. */
#include "payload.h"

PAYLOAD_WANTS("break out of a chroot into the host", "", "errno ENOENT", "root");

int main(void)
{
	int fd;

	mkdir("/tmp/jail", 0755);
	fd = (int)setup(open("/", O_RDONLY | O_DIRECTORY));
	setup(chroot("/tmp/jail"));
	setup(fchdir(fd));
	for (int i = 0; i < 100; i++)
		setup(chdir(".."));
	setup(chroot("."));
	must_fail(open(canary("CANARY_SECRET"), O_RDONLY));
}
