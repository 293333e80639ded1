/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for children: what wait4(2) and waitid(2) share. */
#ifndef SENTRY_KERNEL_WAIT_H
#define SENTRY_KERNEL_WAIT_H

#include "sentry/kernel/task.h"

struct wait_args {
	int which;                  /* LINUX_P_* */
	int32_t id;                 /* P_PID, P_PGID */
	struct thread_group *group; /* P_PIDFD; borrowed */
	int options;                /* LINUX_W*; wait4 adds WEXITED */
};

struct wait_result {
	int32_t pid;
	uint32_t uid;
	int status;      /* wait4's encoding */
	int code, value; /* siginfo's si_code and si_status */
	struct rusage_account usage;
};

/* Sleeps unless WNOHANG. The child's pid, with *out filled; 0 if none is ready (WNOHANG); -LINUX_ECHILD,
 * -LINUX_ERESTARTSYS. */
int64_t wait_child(struct task *task, const struct wait_args *args, struct wait_result *out) must_check;

#endif
