/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference counts. Three verbs on prototypes say who owns what: a function *borrows* an argument (the caller keeps its
 * reference), *takes* one (the caller's reference is gone), or *returns a reference* (the caller must put it).
 */
#ifndef SENTRY_BASE_REF_H
#define SENTRY_BASE_REF_H

#include "sentry/base/types.h"

struct ref {
	uint32_t count; /* 0 only once the object is being freed */
};

static inline void ref_init(struct ref *r)
{
	r->count = 1;
}

static inline void ref_get(struct ref *r)
{
	invariant(r->count != 0 && r->count != UINT32_MAX);
	r->count++;
}

/* True if somebody else holds it too. */
static inline bool ref_shared(const struct ref *r)
{
	return r->count > 1;
}

/* Drops a reference; true if it was the last: the caller frees the object. */
static inline bool ref_put(struct ref *r)
{
	invariant(r->count != 0);
	return --r->count == 0;
}

#endif
