/* SPDX-License-Identifier: Apache-2.0 */
/* membarrier(2). */
#ifndef SENTRY_KERNEL_MEMBARRIER_H
#define SENTRY_KERNEL_MEMBARRIER_H

struct task;
struct thread_group;

/* Returns once every other thread of group (NULL: of the sandbox) has been outside guest code. 0 or -LINUX_ERESTARTSYS
 * (fatal). Sleeps. */
int memory_barrier(struct task *task, struct thread_group *group) __attribute__((warn_unused_result));
/* task_return: the task is in the sentry, which is what others wait for. */
void memory_barrier_passed(struct task *task);

#endif
