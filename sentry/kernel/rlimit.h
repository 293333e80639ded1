/* SPDX-License-Identifier: Apache-2.0 */
/* Resource limits (getrlimit(2)). */
#ifndef SENTRY_KERNEL_RLIMIT_H
#define SENTRY_KERNEL_RLIMIT_H

#include "sentry/kernel/task.h"

/* Reads and changes a limit of a process; set and old may be NULL. -LINUX_EINVAL, -LINUX_EPERM. */
int rlimit_change(struct task *task, struct thread_group *target, unsigned which, const struct linux_rlimit *set,
		  struct linux_rlimit *old) must_check;
/* May task read (or set) limits of target? 0 or -LINUX_EPERM. */
int rlimit_may(const struct task *task, const struct task *target) must_check;

#endif
