/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for children (wait(2)).
 *
 * A scan over the caller's children either finds one with news (ended, stopped, continued), or says whether there is
 * any that could have some; then the caller sleeps on its group's child_waitq, which every change of a child wakes.
 * News is reported once: a zombie is reaped, the other two flags are cleared, unless WNOWAIT.
 *
 * Left out: tracees (no ptrace), so __WALL and __WCLONE choose among real children only.
 */
#include "sentry/kernel/wait.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/process.h"
#include "sentry/kernel/task_internal.h"

#include <string.h>

static bool matches(const struct task *task, const struct thread_group *child, const struct wait_args *a)
{
	bool clone_child = child->exit_signal != LINUX_SIGCHLD;

	if ((a->options & LINUX_WNOTHREAD) && child->parent_tid != task->tid)
		return false;
	if (a->which == LINUX_P_PID && child->pid != a->id)
		return false;
	if (a->which == LINUX_P_PGID && child->pgrp->pgid != a->id)
		return false;
	if (a->which == LINUX_P_PIDFD && child != a->group)
		return false;
	return (a->options & LINUX_WALL) || clone_child == ((a->options & LINUX_WCLONE) != 0);
}

static void report(const struct thread_group *child, struct wait_result *out)
{
	memset(out, 0, sizeof(*out));
	out->pid = child->pid;
	out->uid = child->leader->cred->uid;
	group_usage(child, &out->usage);
	usage_add(&out->usage, &child->children_usage);
}

static void report_zombie(struct task *task, struct thread_group *child, const struct wait_args *a,
			  struct wait_result *out)
{
	int status = child->exit_status;

	report(child, out);
	out->status = status;
	if (status & 0x7f) {
		out->code = LINUX_CLD_KILLED;
		out->value = status & 0x7f;
	} else {
		out->code = LINUX_CLD_EXITED;
		out->value = (status >> 8) & 0xff;
	}
	if (a->options & LINUX_WNOWAIT)
		return;
	usage_add(&task->group->children_usage, &out->usage);
	group_reap(child);
}

/* True if child has news of a kind that is asked for. */
static bool take_news(struct task *task, struct thread_group *child, const struct wait_args *a, struct wait_result *out)
{
	bool keep = (a->options & LINUX_WNOWAIT) != 0;

	if (child->zombie) {
		if (!(a->options & LINUX_WEXITED))
			return false;
		report_zombie(task, child, a, out);
		return true;
	}
	if ((a->options & LINUX_WSTOPPED) && child->stop == GROUP_STOPPED && child->stop_reported_pending) {
		child->stop_reported_pending = keep;
		report(child, out);
		out->status = child->stop_signal << 8 | 0x7f;
		out->code = LINUX_CLD_STOPPED;
		out->value = child->stop_signal;
		return true;
	}
	if ((a->options & LINUX_WCONTINUED) && child->continued_pending) {
		child->continued_pending = keep;
		report(child, out);
		out->status = 0xffff;
		out->code = LINUX_CLD_CONTINUED;
		out->value = LINUX_SIGCONT;
		return true;
	}
	return false;
}

/* The pid, 0 if there is nothing yet, -LINUX_ECHILD if there never will be. */
static int64_t scan(struct task *task, const struct wait_args *a, struct wait_result *out)
{
	struct thread_group *child, *tmp;
	int64_t result = -LINUX_ECHILD;

	list_for_each_safe(child, tmp, &task->group->children, sibling) {
		if (!matches(task, child, a))
			continue;
		if (take_news(task, child, a, out))
			return out->pid;
		/* A zombie can only be waited for by WEXITED: it has no other news any more. */
		if (!child->zombie || (a->options & LINUX_WEXITED))
			result = 0;
	}
	return result;
}

int64_t wait_child(struct task *task, const struct wait_args *args, struct wait_result *out)
{
	struct waitq *q = &task->group->child_waitq;
	int64_t ret;
	int err;

	for (;;) {
		ret = scan(task, args, out);
		if (ret != 0 || (args->options & LINUX_WNOHANG))
			return ret;
		err = task_wait(task, q, WAIT_INTERRUPTIBLE);
		if (err == 0)
			continue;
		ret = scan(task, args, out);
		return ret != 0 ? ret : err;
	}
}
