/* SPDX-License-Identifier: Apache-2.0 */
/* A node with the number of the host's first disk, made as the sandbox's root. */
#include "payload.h"

PAYLOAD("read the host's disk by a device node", "", "errno EPERM or errno ENXIO or errno ENODEV or errno EACCES");

#define DISKS 6
int main(void)
{
	static const int majors[DISKS] = {8, 254, 253, 259, 7, 1};

	for (int i = 0; i < DISKS; i++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "/tmp/disk%d", i);
		if (mknod(path, S_IFBLK | 0666, (dev_t)(majors[i] << 8)) < 0)
			refused(errno);
		fd = open(path, O_RDONLY);
		if (fd >= 0)
			escaped("device %d:0 was opened", majors[i]);
	}
	refused(errno);
}
