/* SPDX-License-Identifier: Apache-2.0 */
/* Page 0 is where kernels stumble. */
#include "payload.h"

PAYLOAD("map page 0", "--user 65534:65534", "errno EPERM or errno EACCES");

int main(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		refused(errno);
	escaped("page 0 was mapped");
}
