/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's one allocator. Every allocation is counted, so that the sandbox's memory limit covers what a guest makes
 * the sentry remember; a NULL return always reaches the guest as -ENOMEM. Sizes that the guest chooses are capped by
 * the caller before they come here.
 */
#ifndef SENTRY_BASE_ALLOC_H
#define SENTRY_BASE_ALLOC_H

#include "sentry/base/types.h"

void *kmalloc(size_t size) must_check __attribute__((malloc, alloc_size(1)));
/* Zeroed. */
void *kzalloc(size_t size) must_check __attribute__((malloc, alloc_size(1)));
/* n * size zeroed bytes, NULL on overflow. */
void *kcalloc(size_t n, size_t size) must_check __attribute__((malloc, alloc_size(1, 2)));
/* NULL leaves the old block as it was. */
void *krealloc(void *p, size_t size) must_check;
char *kstrdup(const char *s) must_check;
char *kstrndup(const char *s, size_t n) must_check;
/* NULL is allowed. */
void kfree(void *p);

/* Bytes now allocated through this header. */
uint64_t alloc_total(void);
/* Bytes above which kmalloc and friends fail; UINT64_MAX for none. Set from the sandbox's memory limit. */
void alloc_set_limit(uint64_t bytes);
/* Called when something is refused for the limit, if set. Must not allocate. */
extern void (*alloc_limit_hit)(void);
/* Charges bytes that live elsewhere (memfd blocks, mapped buffers) to the same account; false if over the limit. */
bool alloc_charge(uint64_t bytes) must_check;
void alloc_uncharge(uint64_t bytes);
/* Would so much be granted now? A question for what can be left out: a no isn't told as a limit that was hit. */
bool alloc_room(uint64_t bytes);
/* Testing: the n-th allocation from now fails (and only that one); 0 turns it off. */
void alloc_fail_nth(uint64_t n);

#endif
