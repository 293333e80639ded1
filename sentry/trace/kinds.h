/* SPDX-License-Identifier: Apache-2.0 */
/* Between format.c and kinds.c. */
#ifndef SENTRY_TRACE_KINDS_H
#define SENTRY_TRACE_KINDS_H

#include "sentry/trace/format.h"

static inline uint64_t arg(const struct traced_call *c, unsigned i)
{
	return i < 6 ? c->args[i] : 0;
}

/* Prints argument i as "KIND[:N]" says. */
void kind_print(struct text *t, const struct traced_call *c, const char *kind, size_t len, unsigned i);
/* True if "KIND[:N]" names something (the table's test asks). */
bool kind_known(const char *kind, size_t len);
/* An address, or NULL. */
void kind_add_ptr(struct text *t, uint64_t v);
/* The entries of a pollfd array; with results those that have revents. */
void kind_add_pollfds(struct text *t, const struct traced_call *c, uint64_t addr, uint32_t count, bool results);

#endif
