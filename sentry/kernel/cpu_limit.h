/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU limit of the sandbox: see cpu_limit.c. */
#ifndef SENTRY_KERNEL_CPU_LIMIT_H
#define SENTRY_KERNEL_CPU_LIMIT_H

#include "sentry/base/types.h"

struct task;

extern bool cpu_limited;

/* permille of one CPU; 0, or as much as the host has: no limit. Before the first task. */
void cpu_limit_init(uint32_t permille);
/* The same at any time. */
void cpu_limit_change(uint32_t permille);
void cpu_limit_wait(struct task *task);

/* A task is about to run guest code: sleeps while the sandbox has used up its time. */
static inline void cpu_limit_hold(struct task *task)
{
	if (__builtin_expect(cpu_limited, 0))
		cpu_limit_wait(task);
}

#endif
