/* SPDX-License-Identifier: Apache-2.0 */
/* Lengths near the end of the address space. */
#include "payload.h"

PAYLOAD("map more than there is", "", "errno ENOMEM");

int main(void)
{
	static const uint64_t lens[] = {1UL << 47, 1UL << 60, ~0UL - 4095, 0x7ffffffff000UL};

	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		if (mmap(NULL, lens[i], PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
			escaped("a map of %#lx bytes was made", (unsigned long)lens[i]);
	}
	refused(errno);
}
