/* SPDX-License-Identifier: Apache-2.0 */
/* A map of a file opened for reading must not become writable on the host (it may here, if private). */
#include "payload.h"

PAYLOAD("make a read-only shared map writable", "", "errno EACCES");

int main(void)
{
	int fd = (int)setup(open(canary("CANARY_TARGET"), O_RDONLY));
	char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		refused(errno);
	if (mprotect(p, 4096, PROT_READ | PROT_WRITE) < 0)
		refused(errno);
	memcpy(p, "changed", 7);
	escaped("a read-only shared map was written");
}
