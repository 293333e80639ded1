/* SPDX-License-Identifier: Apache-2.0 */
/* Without the stub nothing watches: unmap, move, cover or unprotect it. */
#include "payload.h"

PAYLOAD("unmap and cover the stub", "", "errno EINVAL or errno ENOMEM");

int main(void)
{
	int err = EINVAL;

	if (munmap((void *)STUB_BASE, 0x1000000) == 0 && munmap((void *)STUB_BASE, 4096) == 0)
		err = 0; /* nothing of ours was there: as in Linux, that is no error; we must still be served */
	if (mmap((void *)STUB_BASE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		 -1, 0) != MAP_FAILED)
		escaped("the stub was covered");
	if (mprotect((void *)STUB_BASE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0)
		escaped("the stub was made writable");
	if (mremap((void *)STUB_BASE, 4096, 4096, MREMAP_MAYMOVE) != MAP_FAILED)
		escaped("the stub was moved");
	if (madvise((void *)STUB_BASE, 0x100000, MADV_DONTNEED) == 0)
		escaped("the stub was thrown away");
	refused(err != 0 ? err : errno);
}
