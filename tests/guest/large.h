/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of large reads and writes share: bytes that say where they belong, buffers, and a call that shows its registers. */
#ifndef TESTS_GUEST_LARGE_H
#define TESTS_GUEST_LARGE_H

#include "t.h"

#include <sys/mman.h>

#define SIZE (1 << 20)
#define TIMES 80 /* as many as it takes until calls are carried by the gate, and some */

static inline uint8_t pattern(size_t i, unsigned salt)
{
	return (uint8_t)(i * 7 + i / 4096 + salt);
}

static inline void fill(uint8_t *p, size_t n, unsigned salt)
{
	for (size_t i = 0; i < n; i++)
		p[i] = pattern(i, salt);
}

/* The n bytes at p are a pattern's, from its byte `from` on. */
static inline bool is(const uint8_t *p, size_t from, size_t n, unsigned salt)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != pattern(from + i, salt))
			return false;
	return true;
}

/* Room for several times SIZE. */
static inline uint8_t *buffer(void)
{
	void *p = mmap(NULL, 4 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* pread64 or pwrite64 at 0; in and out: the vector registers that a copy may borrow, before and after. */
static inline ssize_t call_with_vectors(long nr, int fd, const void *p, size_t n, const uint8_t in[64], uint8_t out[64])
{
	register long r10 __asm__("r10") = 0;
	long ret;

	/* The compare behind the call makes it one that can be rewritten. */
	__asm__ volatile("movups (%[in]),%%xmm0\n\tmovups 16(%[in]),%%xmm1\n\tmovups 32(%[in]),%%xmm2\n\tmovups 48(%[in]),%%xmm3\n\t"
			 "syscall\n\tcmp $-4096,%%rax\n\t"
			 "movups %%xmm0,(%[out])\n\tmovups %%xmm1,16(%[out])\n\tmovups %%xmm2,32(%[out])\n\tmovups %%xmm3,48(%[out])\n\t"
			 : "=a"(ret)
			 : "a"(nr), [in] "r"(in), [out] "r"(out), "D"(fd), "S"(p), "d"(n), "r"(r10)
			 : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "cc");
	return ret;
}

#endif
