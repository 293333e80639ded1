/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job control: stopping and continuing whole processes.
 *
 *      stop signal dequeued --> group_stop_begin: every thread is asked (stop_pending) and woken
 *      each thread, in task_return --> task_stop: sleeps; the last one to sleep makes the group STOPPED and tells the
 *      parent (SIGCHLD, wait)
 *      SIGCONT sent --> group_stop_end: all go on; the parent is told if the stop was complete
 *
 * A thread in an uninterruptible sleep (a vfork parent) delays the stop, as in Linux. A fatal end overtakes everything:
 * task_stop returns when the task is dying.
 *
 * Invariants: stop_count is the number of live threads with stop_pending; a stopped thread has no stop_pending; the
 * group is STOPPED only while every live thread is stopped.
 */
#include "sentry/kernel/task_internal.h"

#include <string.h>

#define CLOCK_TICK_NS (NSEC_PER_SEC / 100)

void group_notify_stop(struct thread_group *group, int why)
{
	struct thread_group *parent = group->parent;
	const struct linux_sigaction *a;
	struct linux_siginfo info = {.signo = LINUX_SIGCHLD, .code = why};
	uint64_t utime, stime;
	struct task *t;

	if (parent == NULL)
		return;
	group_times(group, &utime, &stime);
	info.child.pid = group->pid;
	info.child.uid = group->leader->cred->uid;
	info.child.status = why == LINUX_CLD_CONTINUED ? LINUX_SIGCONT : group->stop_signal;
	info.child.utime = (int64_t)(utime / CLOCK_TICK_NS);
	info.child.stime = (int64_t)(stime / CLOCK_TICK_NS);
	t = parent->leader;
	a = &t->sighand->action[LINUX_SIGCHLD - 1];
	if (a->handler != LINUX_SIG_IGN && !(a->flags & LINUX_SA_NOCLDSTOP))
		(void)signal_send_group(parent, LINUX_SIGCHLD, &info);
	waitq_wake(&parent->child_waitq, 0);
}

bool group_stop_begin(struct task *task, int sig)
{
	struct thread_group *g = task->group;
	struct task *t;

	if (g->exiting || task->killed)
		return false;
	if (sig != LINUX_SIGSTOP && pgrp_is_orphaned(g->pgrp))
		return false;
	if (g->stop != GROUP_STOPPED)
		g->stop_signal = sig;
	list_for_each(t, &g->threads, group_link) {
		if (t->exiting || t->stop_pending || t->stopped)
			continue;
		t->stop_pending = true;
		g->stop_count++;
		if (t != task)
			signal_wake(t, false);
	}
	return true;
}

void group_stop_participate(struct task *task)
{
	struct thread_group *g = task->group;
	bool any = false;
	struct task *t;

	if (!task->stop_pending)
		return;
	task->stop_pending = false;
	if (--g->stop_count != 0)
		return;
	list_for_each(t, &g->threads, group_link)
		any |= t->stopped;
	if (!any)
		return;
	g->stop = GROUP_STOPPED;
	g->stop_reported_pending = true;
	g->continued_pending = false;
	group_notify_stop(g, LINUX_CLD_STOPPED);
}

void task_stop(struct task *task)
{
	while (task->stop_pending && !task_dying(task)) {
		task->stopped = true;
		group_stop_participate(task);
		while (task->stopped && !task_dying(task))
			(void)!task_block(task, WAIT_KILLABLE, WAIT_FOREVER);
		task->stopped = false;
	}
	signal_recalc(task);
}

void group_stop_end(struct thread_group *group, bool notify)
{
	bool stopped = group->stop == GROUP_STOPPED, stopping = group->stop_count != 0;
	struct task *t;

	if (!stopped && !stopping)
		return;
	group->stop = GROUP_RUNNING;
	group->stop_count = 0;
	list_for_each(t, &group->threads, group_link) {
		t->stop_pending = false;
		if (t->stopped) {
			t->stopped = false;
			task_wake(t);
		}
		signal_recalc(t);
	}
	group->stop_reported_pending = false;
	if (!notify)
		return;
	if (stopped) {
		group->continued_pending = true;
		group_notify_stop(group, LINUX_CLD_CONTINUED);
	} else {
		group_notify_stop(group, LINUX_CLD_STOPPED);
	}
}

void group_stop_join(struct task *task)
{
	struct thread_group *g = task->group;

	if (g->stop_count == 0 && g->stop != GROUP_STOPPED)
		return;
	if (g->stop == GROUP_STOPPED)
		g->stop = GROUP_RUNNING; /* until the new thread sleeps, too */
	task->stop_pending = true;
	task->sigpending = true;
	g->stop_count++;
}
