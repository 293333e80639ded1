/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an observer sees: --strace lines, the audit log of denials, counters. Nothing here changes what the guest sees.
 */
#ifndef SENTRY_TRACE_TRACE_H
#define SENTRY_TRACE_TRACE_H

#include "sentry/base/types.h"

struct task;

/* --strace: called by the kernel's task loop around each call. trace_enter may read guest memory. */
extern bool trace_on;
void trace_enter(struct task *task, int nr, const uint64_t args[6]);
void trace_exit(struct task *task, int nr, const uint64_t args[6], int64_t ret);
/* "--- SIGSEGV {si_signo=...} ---" and "+++ exited with 0 +++" */
struct linux_siginfo;
void trace_signal(struct task *task, int sig, const struct linux_siginfo *info);
void trace_exited(struct task *task, int status);
/* Where the lines go: a host descriptor opened before sealing, -1 off. */
void trace_init(int fd);

/* The last calls of all tasks, for the crash report: noted before each call is served. */
#define TRACE_RECENT 32
struct trace_recent {
	int32_t tid, nr;
	uint64_t args[6];
};
void trace_remember(const struct task *task, int nr, const uint64_t args[6]);
/* The i-th last one, 0 the latest; NULL if there were fewer. */
const struct trace_recent *trace_recall(unsigned i);
/* Makes crash reports (base/panic.h) tell the task and these calls. */
void trace_crash_init(void);

/*
 * A denial: what the guest asked, why not, which rule said so, and what would be allowed. Written as one JSON line to
 * the audit descriptor and kept (the first 1,000) for the result. reason and rule are short fixed words:
 *   audit_deny(task, "connect", "198.51.100.1:80", "egress", "no --egress-allow rule matches", "127.0.0.1:8080")
 */
void audit_deny(struct task *task, const char *what, const char *object, const char *rule, const char *reason,
		const char *allowed);
void trace_denied_call(struct task *task, int nr, int err);
/* A limit was hit: "memory", "pids", "disk", "cpu", "wall", "idle". Recorded once each. */
/* Called with the bit of enum limit_hit, once a limit, if set. */
extern void (*audit_on_limit)(uint32_t bit);
void audit_limit(const char *limit);
/* The audit log's descriptor (-1: counted only); backtrace: lines tell where in the program the call was made, and are
 * written when the call returns. */
void audit_init(int fd, bool backtrace);
/* Lines wait for the return of a call: audit_return(task, ret) writes those of the task (sleeps). */
extern bool audit_waiting;
void audit_return(struct task *task, int64_t ret);
uint64_t audit_denials(void);
uint32_t audit_limits(void); /* LIMIT_* bits of runtime/config.h */
/* For the result: LIMIT_* bits of runtime/config.h, and how many denials there were. */
uint32_t audit_limits(void);
uint64_t audit_denials(void);

#endif
