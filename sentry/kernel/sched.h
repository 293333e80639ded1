/* SPDX-License-Identifier: Apache-2.0 */
/* Scheduling of tasks' coroutines; the sleeping functions are in waitq.h. */
#ifndef SENTRY_KERNEL_SCHED_H
#define SENTRY_KERNEL_SCHED_H

#include "sentry/base/types.h"

struct task;



/* As task_start, but boot runs first on the coroutine: the sandbox's first process loads its program there. */
void task_start_with(struct task *task, void (*boot)(struct task *task));
/* Puts the task on the run queue, whatever it waits for: for platforms. */
void sched_ready(struct task *task);
/* Takes it off (it ends). */
void sched_remove(struct task *task);
/* Runs what is ready; false if nothing was. */
bool sched_run(void);
/* True if no task is ready to run. */
bool sched_idle(void);





#endif
