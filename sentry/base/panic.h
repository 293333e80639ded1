/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a sentry that no longer knows its own state: a report, then host_exit(125). Nothing is cleaned up and no
 * guest instruction runs any more (the stubs die with us): it fails closed. panic() itself is declared in types.h.
 */
#ifndef SENTRY_BASE_PANIC_H
#define SENTRY_BASE_PANIC_H

#include "sentry/base/types.h"

/* Before sealing: where reports go, and handlers on a stack of their own for SIGSEGV, SIGBUS, SIGILL, SIGFPE and
 * SIGABRT in the sentry's own code (a coroutine that ran over its stack ends in its guard page). */
void panic_init(int fd);
/* Part of a report, only from panic_more. */
void panic_line(const char *fmt, ...) printf_like(1, 2);
/* Called within a report, if set: what the kernel was doing (trace/crash.c). */
extern void (*panic_more)(void);
/* What a fault of this signal at this address means, if it isn't a bug of ours; or NULL. Optional. */
extern const char *(*panic_explain)(int sig, const void *address);
/* What a fault of this signal at this address means, if it isn't a bug of ours; or NULL. Optional. */
extern const char *(*panic_explain)(int sig, const void *address);
/* Called last, if set: what may fail itself. */
extern void (*panic_last)(void);

#endif
