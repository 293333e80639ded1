/* SPDX-License-Identifier: Apache-2.0 */
/* The sentry's own part in the limit on memory: it looks before it goes on. See memory_pace.c. */
#ifndef SENTRY_MM_MEMORY_PACE_H
#define SENTRY_MM_MEMORY_PACE_H

#include "sentry/base/alloc.h"

struct task;

struct memory_pace {
	uint64_t copied; /* bytes written into guests since the last look */
	uint64_t base;   /* what the sentry itself held then */
	uint64_t budget; /* so much, both together, and the next look is due; UINT64_MAX: there is no limit */
};
extern struct memory_pace memory_pace;

/* The sentry has written len bytes to a guest. */
static inline void memory_pace_count(size_t len)
{
	memory_pace.copied += len;
}

static inline bool memory_pace_due(void)
{
	uint64_t own = alloc_total();

	return memory_pace.copied + (own > memory_pace.base ? own - memory_pace.base : 0) > memory_pace.budget;
}

/* A look is due: sleeps until the sandbox is known to hold less than its limit, the task has to end, or nobody answers. Only
 * where a task may sleep. */
void memory_pace_wait(struct task *task);

/* The limit is this from now on, bytes; 0: none. ask: asks the monitor, who answers by memory_pace_told (NULL: as before). */
void memory_pace_limit(uint64_t limit, void (*ask)(void));
/* All that the sandbox holds, and the limit it may (0: none). */
void memory_pace_told(uint64_t held, uint64_t limit);

#endif
