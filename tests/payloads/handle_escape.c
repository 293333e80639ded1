/* SPDX-License-Identifier: Apache-2.0 */
/* The shocker: inode 2 of the host's root by handle. */
#include "payload.h"

PAYLOAD("open the host's root by handle", "", "errno EPERM");

int main(void)
{
	struct {
		unsigned bytes;
		int type;
		unsigned char f[8];
	} h = {8, 1, {2}};
	int fd = (int)setup(open("/", O_RDONLY | O_DIRECTORY));

	must_fail(syscall(SYS_open_by_handle_at, fd, &h, O_RDONLY));
}
