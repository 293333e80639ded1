/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc with an account, and with blocks kept in stock in front of it.
 *
 * Before each block lies a header of ours: how much libc says the block really holds, which is what is counted, and a check. libc's
 * malloc is made for many threads and for finding errors, and was a quarter of what a call with a path costs; and it gives larger
 * blocks back to the host at once and asks for them again, two host calls each time. So what is freed is kept, a few blocks of each
 * size, in tables of our own:
 *
 *	up to 1 KiB         by size, in steps of 16 bytes
 *	2 KiB to 32 KiB     of 4, 8, 16 and 32 KiB: argument vectors, paths, headers
 *	others              are libc's
 *
 * What is kept isn't counted: 1.3 MiB at most.
 *
 * The check depends on a secret, the block's place and size, and on whether it is in use: a block that is freed twice, was never
 * ours, or whose header was written over ends the sentry. With AddressSanitizer there is no header and nothing is kept, so that it
 * sees each block's bounds and end.
 */
#include "sentry/base/alloc.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t total;
static uint64_t limit = UINT64_MAX;
static uint64_t fail_in; /* 0: off */

void (*alloc_limit_hit)(void);

bool alloc_room(uint64_t bytes)
{
	return bytes <= limit && total <= limit - bytes;
}

static bool over_limit(uint64_t size)
{
	if (alloc_room(size))
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

#ifdef __SANITIZE_ADDRESS__

static void *account(void *p)
{
	if (p != NULL)
		total += malloc_usable_size(p);
	return p;
}

void *kmalloc(size_t size)
{
	return refused(size) ? NULL : account(malloc(size));
}

void *kzalloc(size_t size)
{
	return refused(size) ? NULL : account(calloc(1, size));
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

void kfree(void *p)
{
	if (p == NULL)
		return;
	total -= malloc_usable_size(p);
	free(p);
}

#else

struct header {
	uint64_t usable; /* of libc's block, the header included */
	uint64_t check;
};
_Static_assert(sizeof(struct header) == 16, "blocks are aligned as libc's");

#define IN_USE 0x5bd1e9955bd1e995UL
#define KEPT 0xc2b2ae3d27d4eb4fUL

static uint64_t check_of(const struct header *h, uint64_t state)
{
	static uint64_t secret[2];

	if (secret[1] == 0) {
		if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
			PANIC("no random bytes");
		secret[1] |= 1;
	}
	return (secret[0] ^ (uintptr_t)h) * state + secret[1] * (2 * h->usable + 1);
}

/* libc's own from now on. Not optimized away: it tells a second free. */
static void unmark(struct header *h)
{
	*(volatile uint64_t *)&h->check = 0;
}

/* ---- small blocks ---- */
#define SMALL_STEP 16U
#define SMALL_MAX 1024U
#define SMALL_KEPT 24U

static struct {
	struct header *block[SMALL_KEPT];
	unsigned n;
} small[SMALL_MAX / SMALL_STEP + 1];

/* ---- blocks of 4, 8, 16 and 32 KiB ---- */
#define STOCK_MIN 2048U
#define STOCK_SMALLEST 4096U
#define STOCK_CLASSES 4
#define STOCK_KEPT 8

static struct {
	struct header *block[STOCK_KEPT];
	unsigned n;
} stock[STOCK_CLASSES];

/* The class whose blocks hold size bytes, or -1. */
static int stock_class(size_t size)
{
	int class = 0;

	if (size <= STOCK_MIN || size > (size_t)STOCK_SMALLEST << (STOCK_CLASSES - 1))
		return -1;
	while ((size_t)STOCK_SMALLEST << class < size)
		class++;
	return class;
}

/* A block of libc's, or what it was made of: counted and marked. */
static void *begin(struct header *h)
{
	if (h == NULL)
		return NULL;
	total += h->usable;
	h->check = check_of(h, IN_USE);
	return h + 1;
}

static struct header *fresh(struct header *h)
{
	if (h != NULL)
		h->usable = malloc_usable_size(h);
	return h;
}

/* From the stock, or NULL. *round: what to ask libc for instead of size. */
static struct header *kept(size_t size, size_t *round)
{
	struct header *h = NULL;

	*round = size;
	if (size <= SMALL_MAX) {
		unsigned class = (unsigned)(size + SMALL_STEP - 1) / SMALL_STEP;

		*round = (size_t)class * SMALL_STEP;
		if (small[class].n != 0)
			h = small[class].block[--small[class].n];
	} else {
		int class = stock_class(size);

		if (class >= 0) {
			*round = (size_t)STOCK_SMALLEST << class;
			if (stock[class].n != 0)
				h = stock[class].block[--stock[class].n];
		}
	}
	if (h != NULL && h->check != check_of(h, KEPT))
		PANIC("a block was written to after it was freed");
	return h;
}

/* Takes it into the stock, if there is room. */
static bool keep(struct header *h)
{
	size_t usable = h->usable - sizeof(*h);

	if (usable < SMALL_STEP)
		return false;
	if (usable < SMALL_MAX + SMALL_STEP) {
		unsigned class = (unsigned)usable / SMALL_STEP; /* all that it holds */

		if (small[class].n == SMALL_KEPT)
			return false;
		small[class].block[small[class].n++] = h;
	} else {
		int class = STOCK_CLASSES - 1;

		while (class >= 0 && usable < (size_t)STOCK_SMALLEST << class)
			class--;
		if (class < 0 || usable >= (size_t)STOCK_SMALLEST << (class + 1) || stock[class].n == STOCK_KEPT)
			return false;
		stock[class].block[stock[class].n++] = h;
	}
	h->check = check_of(h, KEPT);
	return true;
}

static struct header *header_of(void *p)
{
	struct header *h = (struct header *)p - 1;

	if (h->check != check_of(h, IN_USE))
		PANIC("a block that isn't in use is freed, or its header was written over");
	return h;
}

static bool too_large(size_t size)
{
	return size > SIZE_MAX / 2;
}

void *kmalloc(size_t size)
{
	struct header *h;
	size_t round;

	if (too_large(size) || refused(size))
		return NULL;
	h = kept(size, &round);
	return begin(h != NULL ? h : fresh(malloc(sizeof(*h) + round)));
}

void *kzalloc(size_t size)
{
	struct header *h;
	size_t round;

	if (too_large(size) || refused(size))
		return NULL;
	h = kept(size, &round);
	if (h == NULL)
		return begin(fresh(calloc(1, sizeof(*h) + round)));
	memset(h + 1, 0, size);
	return begin(h);
}

void *krealloc(void *p, size_t size)
{
	struct header *h = p != NULL ? header_of(p) : NULL, *q;
	size_t old = h != NULL ? h->usable - sizeof(*h) : 0, was;

	if (p == NULL)
		return kmalloc(size);
	if (too_large(size) || refused(size > old ? size - old : 0))
		return NULL;
	if (old <= SMALL_MAX || size <= SMALL_MAX) {
		void *other;

		if (size <= old && size >= old / 2)
			return p;
		other = kmalloc(size);
		if (other == NULL)
			return NULL;
		memcpy(other, p, MIN(old, size));
		kfree(p);
		return other;
	}
	was = h->usable;
	unmark(h);
	q = realloc(h, sizeof(*h) + size);
	if (q == NULL) {
		h->check = check_of(h, IN_USE);
		return NULL;
	}
	total -= was;
	return begin(fresh(q));
}

void kfree(void *p)
{
	struct header *h;

	if (p == NULL)
		return;
	h = header_of(p);
	total -= h->usable;
	if (keep(h))
		return;
	unmark(h);
	free(h);
}

#endif

void *kcalloc(size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return kzalloc(bytes);
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
