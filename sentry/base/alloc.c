/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc with an account. The size of a block is asked of libc (malloc_usable_size), so that no header is needed and
 * what is counted is what is really held.
 *
 * Blocks of a few pages that come and go with a call (argument vectors, paths, headers) are kept in stock: libc gives such
 * blocks back to the host at once and asks for them again, two host calls each time. So it does with some of the smaller
 * ones that come and go with a process (tasks, threads, address spaces): of these a few are kept as they are.
 */
#include "sentry/base/alloc.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static uint64_t total;
static uint64_t limit = UINT64_MAX;
static uint64_t fail_in; /* 0: off */

void (*alloc_limit_hit)(void);

static bool over_limit(uint64_t size)
{
	if (size <= limit && total <= limit - size)
		return false;
	if (alloc_limit_hit != NULL)
		alloc_limit_hit();
	return true;
}

static bool refused(size_t size)
{
	if (fail_in != 0 && --fail_in == 0)
		return true;
	return over_limit(size);
}

static void *account(void *p)
{
	if (p != NULL)
		total += malloc_usable_size(p);
	return p;
}

/* ---- the stock: blocks of 4, 8, 16 and 32 KiB ---- */
#define STOCK_MIN 2048U
#define STOCK_SMALLEST 4096U
#define STOCK_CLASSES 4
#define STOCK_KEPT 8
#ifdef __SANITIZE_ADDRESS__
#define STOCK_OFF 1 /* what is freed shall be seen to be */
#else
#define STOCK_OFF 0
#endif

static struct {
	void *block[STOCK_KEPT];
	unsigned n;
} stock[STOCK_CLASSES];

/* Blocks of SMALL_MIN to STOCK_MIN bytes, the one that was freed last is at the end. */
#define SMALL_MIN 512U
#define SMALL_KEPT 24

static struct {
	void *block;
	size_t usable;
} small[SMALL_KEPT];
static unsigned nsmall;

static void *small_take(size_t size)
{
	for (unsigned i = nsmall; i-- > 0;) {
		void *p = small[i].block;

		if (small[i].usable < size || small[i].usable > size + size / 8)
			continue;
		nsmall--;
		memmove(&small[i], &small[i + 1], (nsmall - i) * sizeof(small[0]));
		return p;
	}
	return NULL;
}

static bool small_put(void *p, size_t usable)
{
	if (STOCK_OFF || usable < SMALL_MIN || usable > STOCK_MIN || nsmall == SMALL_KEPT)
		return false;
	small[nsmall].block = p;
	small[nsmall++].usable = usable;
	return true;
}

/* The class whose blocks hold size bytes, or -1. */
static int stock_class(size_t size)
{
	int class = 0;

	if (STOCK_OFF || size <= STOCK_MIN || size > (size_t)STOCK_SMALLEST << (STOCK_CLASSES - 1))
		return -1;
	while ((size_t)STOCK_SMALLEST << class < size)
		class++;
	return class;
}

static void *obtain(size_t size)
{
	int class = stock_class(size);
	void *p = class < 0 && size >= SMALL_MIN ? small_take(size) : NULL;

	if (p != NULL)
		return p;
	if (class < 0)
		return malloc(size);
	if (stock[class].n != 0)
		return stock[class].block[--stock[class].n];
	return malloc((size_t)STOCK_SMALLEST << class);
}

/* Takes p into the stock if there is room; usable is its real size. */
static bool stock_put(void *p, size_t usable)
{
	for (int class = STOCK_CLASSES - 1; !STOCK_OFF && class >= 0; class--) {
		size_t size = (size_t)STOCK_SMALLEST << class;

		if (usable < size)
			continue;
		if (usable >= 2 * size || stock[class].n == STOCK_KEPT)
			return false;
		stock[class].block[stock[class].n++] = p;
		return true;
	}
	return false;
}

void *kmalloc(size_t size)
{
	return refused(size) ? NULL : account(obtain(size));
}

void *kzalloc(size_t size)
{
	void *p;

	if (refused(size))
		return NULL;
	if (stock_class(size) < 0 && (size < SMALL_MIN || size > STOCK_MIN))
		return account(calloc(1, size));
	p = obtain(size);
	if (p != NULL)
		memset(p, 0, size);
	return account(p);
}

void *kcalloc(size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return kzalloc(bytes);
}

void *krealloc(void *p, size_t size)
{
	size_t old = p != NULL ? malloc_usable_size(p) : 0;
	void *q;

	if (refused(size > old ? size - old : 0))
		return NULL;
	q = realloc(p, size);
	if (q == NULL)
		return NULL;
	total -= old;
	return account(q);
}

char *kstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = kmalloc(len + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *kstrdup(const char *s)
{
	return kstrndup(s, strlen(s));
}

void kfree(void *p)
{
	size_t usable;

	if (p == NULL)
		return;
	usable = malloc_usable_size(p);
	total -= usable;
	if (!small_put(p, usable) && !stock_put(p, usable))
		free(p);
}

uint64_t alloc_total(void)
{
	return total;
}

void alloc_set_limit(uint64_t bytes)
{
	limit = bytes;
}

bool alloc_charge(uint64_t bytes)
{
	if (over_limit(bytes))
		return false;
	total += bytes;
	return true;
}

void alloc_uncharge(uint64_t bytes)
{
	invariant(total >= bytes);
	total -= bytes;
}

void alloc_fail_nth(uint64_t n)
{
	fail_in = n;
}
