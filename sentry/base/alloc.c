/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc with an account. The size of a block is asked of libc (malloc_usable_size), so that no header is needed and
 * what is counted is what is really held.
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

void *kmalloc(size_t size)
{
	return refused(size) ? NULL : account(malloc(size));
}

void *kzalloc(size_t size)
{
	return refused(size) ? NULL : account(calloc(1, size));
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
	if (p == NULL)
		return;
	total -= malloc_usable_size(p);
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
