/* SPDX-License-Identifier: Apache-2.0 */
/* Limits on the CPU time of the sandbox and of single containers: see cpu_limit.c. */
#ifndef SENTRY_KERNEL_CPU_LIMIT_H
#define SENTRY_KERNEL_CPU_LIMIT_H

#include "sentry/base/types.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/waitq.h"

struct task;

/* A part of struct container; the first one's is the whole sandbox's. Zero-initialised: no limit. */
struct cpu_limit {
	uint32_t permille; /* of one CPU; 0: no limit, and nothing below but the statistics means anything */
	unsigned quiet;
	uint64_t last_ns, last_used, last_own, held_until;
	int64_t credit;
	struct ktimer timer;
	struct waitq held;  /* who sleeps for it */
	uint64_t served_ns; /* its tasks' time in the sentry since the last tick */
	/* statistics: kept when the limit goes */
	uint64_t sentry_ns; /* CPU time of the sentry that was spent on it while it had a limit */
	uint64_t periods, throttled_periods, throttled_ns; /* a period is a tick in which it ran */
};

extern uint32_t cpu_limited;            /* how many limits there are */
extern uint32_t cpu_limited_containers; /* ... but for the whole sandbox's: then the sentry's work is timed (sched.c) */

/* permille of one CPU; 0: no limit. Before the first task of it. */
void cpu_limit_init(struct cpu_limit *l, uint32_t permille);
/* The same at any time. Who is held goes on at the new rate. */
void cpu_limit_change(struct cpu_limit *l, uint32_t permille);
/* No limit any more: the container has ended. */
void cpu_limit_end(struct cpu_limit *l);
void cpu_limit_wait(struct task *task);

/* A task is about to run guest code: sleeps while the sandbox, or its container, has used up its time. */
static inline void cpu_limit_hold(struct task *task)
{
	if (__builtin_expect(cpu_limited != 0, 0))
		cpu_limit_wait(task);
}

#endif
