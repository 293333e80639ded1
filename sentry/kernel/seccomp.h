/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's own system call filters (seccomp(2)). */
#ifndef SENTRY_KERNEL_SECCOMP_H
#define SENTRY_KERNEL_SECCOMP_H

#include "sentry/abi/seccomp.h"
#include "sentry/kernel/task.h"

#define SECCOMP_OF_BUNDLE 0x80000000U /* beside LINUX_SECCOMP_FLAG_*: what it denies goes to the audit log */

/* Asks the task's filters about a call; only if task->seccomp_mode isn't 0. True: it may be made. False: it is not, and
 * *ret is its result (a signal may be on its way). Does not return if the thread is to be killed. */
bool seccomp_allows(struct task *task, int nr, const uint64_t args[6], int64_t *ret) must_check;

/* Puts a checked program in front of the task's filters: takes insns (kmalloc'd), also on failure. 0, -LINUX_ENOMEM,
 * -LINUX_EINVAL; with TSYNC the tid of a thread that can't follow, or -LINUX_ESRCH with TSYNC_ESRCH. */
int64_t seccomp_add_filter(struct task *task, uint32_t flags, struct linux_sock_filter *insns, unsigned len) must_check;
int seccomp_set_strict(struct task *task) must_check;

/* clone: the child has what the parent has. */
void seccomp_copy(const struct task *task, struct task *child);
/* Length of the chain, for /proc/PID/status. */
unsigned seccomp_count(const struct task *task);
void seccomp_free(struct task *task);

#endif
