/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of system calls as text: see format.c for the kinds that syscalls/table.def may name. */
#ifndef SENTRY_TRACE_FORMAT_H
#define SENTRY_TRACE_FORMAT_H

#include "sentry/base/types.h"

struct task;

/* A piece of text in the making: bounded, always terminated, cut when full. */
struct text {
	size_t len;
	char buf[4096];
};
void text_add(struct text *t, const char *fmt, ...) printf_like(2, 3);
/* "..." with C escapes; at most max bytes of src, then an ellipsis. */
void text_quote(struct text *t, const void *src, size_t len, size_t max);

struct traced_call {
	struct task *task;
	const char *spec; /* the row's trace column */
	const uint64_t *args;
	bool done; /* the call has returned: ret holds */
	int64_t ret;
};

/* Adds the arguments from index `from` on. Before the call is done it stops at the first one that the call fills in.
 * Returns the index it stopped at. */
unsigned format_args(struct text *t, const struct traced_call *c, unsigned from);
/* Adds " = 3", " = -1 ENOENT (No such file or directory)", and what strace puts behind (poll, select). */
void format_return(struct text *t, const struct traced_call *c);
void format_siginfo(struct text *t, int sig, const void *info);

#endif
