/* SPDX-License-Identifier: Apache-2.0 */
/* An enormous hole, then a map of it. */
#include "payload.h"

PAYLOAD("make a file of exabytes", "--disk 16m", "exit 0");

int main(void)
{
	int fd = (int)setup(open("/tmp/sparse", O_CREAT | O_RDWR, 0600));
	char c = 1;

	if (ftruncate(fd, INT64_MAX) == 0 && pread(fd, &c, 1, INT64_MAX - 1) == 1 && c != 0)
		escaped("a hole held %d", c);
	if (ftruncate(fd, 1L << 40) == 0) {
		char *p = mmap(NULL, 1L << 30, PROT_READ, MAP_SHARED, fd, 1L << 39);

		if (p != MAP_FAILED && p[4096] != 0)
			escaped("a hole showed %d", p[4096]);
	}
	if (fallocate(fd, 0, 0, 1L << 40) == 0)
		escaped("a terabyte was allocated with --disk 16m");
	return 0;
}
