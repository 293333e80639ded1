/* SPDX-License-Identifier: Apache-2.0 */
/* A writable shared map of a file of the host must be the sandbox's own copy. */
#include "payload.h"

PAYLOAD("change a file of the host by a shared map", "", "exit 0");

int main(void)
{
	int fd = (int)setup(open(canary("CANARY_TARGET"), O_RDWR));
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		refused(errno);
	memcpy(p, "changed", 7);
	setup(msync(p, 4096, MS_SYNC));
	setup(fsync(fd));
	return 0;
}
