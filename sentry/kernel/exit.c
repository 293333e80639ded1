/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of threads and processes.
 *
 *      group_exit: marks the group; every thread notices at its next stop in the sentry
 *      task_exit_thread: robust futexes, CLEARTID, vfork's parent, descriptors, memory, host thread; and with the last
 *      thread the group becomes a zombie: children go to a reaper, orphaned process groups are hung up, the parent is
 *      told -- or nobody waits, and it is reaped at once
 *
 * A leader that ends before its threads stays, dead, in the tables: its number is the process's. execve by another
 * thread takes that number over (group_kill_other_threads).
 *
 * When init ends the sandbox ends: kernel_shutdown.
 */
#include "sentry/kernel/task_internal.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/coroutine.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/sched.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/usercopy.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/trace.h"
#include "sentry/vfs/vfs.h"

#include <string.h>

#define CLOCK_TICK_NS (NSEC_PER_SEC / 100)

/* System V semaphores: SEM_UNDO (ipc code, if it is there). */
void sysv_sem_exit(struct task *task) __attribute__((weak));

void group_exit(struct thread_group *group, int status)
{
	struct task *t;

	if (group->exiting)
		return;
	group->exiting = true;
	group->exit_status = status;
	group->stop = GROUP_RUNNING;
	group->stop_reported_pending = false;
	group->continued_pending = false;
	list_for_each(t, &group->threads, group_link)
		if (!t->exiting)
			signal_wake(t, true);
}

/* ---- parents ---- */

static void siginfo_child(const struct thread_group *group, struct linux_siginfo *info)
{
	int status = group->exit_status;
	uint64_t utime, stime;

	memset(info, 0, sizeof(*info));
	group_times(group, &utime, &stime);
	info->child.pid = group->pid;
	info->child.uid = group->leader->cred->uid;
	info->child.utime = (int64_t)(utime / CLOCK_TICK_NS);
	info->child.stime = (int64_t)(stime / CLOCK_TICK_NS);
	if (status & 0x7f) {
		info->code = LINUX_CLD_KILLED;
		info->child.status = status & 0x7f;
	} else {
		info->code = LINUX_CLD_EXITED;
		info->child.status = (status >> 8) & 0xff;
	}
}

bool group_notify_exit(struct thread_group *group)
{
	struct thread_group *parent = group->parent;
	const struct linux_sigaction *a;
	struct linux_siginfo info;
	int sig = group->exit_signal;
	bool forgotten = false;

	if (parent == NULL) {
		if (group->exit_hook != NULL)
			group->exit_hook(group);
		return true;
	}
	a = &parent->leader->sighand->action[LINUX_SIGCHLD - 1];
	if (sig == LINUX_SIGCHLD && (a->handler == LINUX_SIG_IGN || (a->flags & LINUX_SA_NOCLDWAIT))) {
		forgotten = true;
		if (a->handler == LINUX_SIG_IGN)
			sig = 0;
	}
	if (sig > 0 && sig <= LINUX_NSIG) {
		siginfo_child(group, &info);
		info.signo = sig;
		(void)signal_send_group(parent, sig, &info);
	}
	waitq_wake(&parent->child_waitq, 0);
	return forgotten;
}

void group_reap(struct thread_group *group)
{
	struct task *leader = group->leader;
	struct process_group *pgrp = group->pgrp;

	invariant(group->zombie);
	list_del(&group->all_link);
	list_del(&group->sibling);
	list_del(&group->pgrp_link);
	kernel.ngroups--;
	group->parent = NULL;
	group->pgrp = NULL;
	group->leader = NULL;
	pid_detach(group->pids, group->pid, PID_GROUP);
	pgrp_put(pgrp);
	list_del(&leader->group_link);
	pid_detach(group->pids, leader->tid, PID_TASK);
	kernel.ntasks--;
	group->container->ntasks--;
	task_put(leader);
	waitq_wake(&group->exit_waitq, 0);
	group_put(group);
}

/* The nearest ancestor that takes orphans, else init; NULL if even that is gone. */
static struct thread_group *reaper_for(const struct thread_group *group)
{
	struct thread_group *g;

	for (g = group->parent; g != NULL; g = g->parent)
		if (g->is_subreaper && group_any_thread(g) != NULL)
			return g;
	g = pid_space_init(group->pids);
	return g != NULL && g != group && group_any_thread(g) != NULL ? g : NULL;
}

static void send_pdeath(struct thread_group *child)
{
	struct task *t;

	list_for_each(t, &child->threads, group_link)
		if (t->pdeath_signal != 0 && !t->exiting)
			(void)signal_send_group(child, t->pdeath_signal, NULL);
}

static void reparent_to(struct thread_group *child, struct thread_group *old, struct thread_group *reaper)
{
	struct task *t = reaper != NULL ? group_any_thread(reaper) : NULL, *thread;

	list_del(&child->sibling);
	child->parent = reaper;
	if (platform->forget != NULL)
		list_for_each(thread, &child->threads, group_link)
			platform->forget(thread);
	child->parent_tid = t != NULL ? t->tid : 0;
	if (reaper != NULL)
		list_add_tail(&reaper->children, &child->sibling);
	/* We don't want people slaying init. */
	child->exit_signal = LINUX_SIGCHLD;
	send_pdeath(child);
	if (child->zombie) {
		if (group_notify_exit(child))
			group_reap(child);
		return;
	}
	pgrp_check_orphaned(child, old);
}

/* A thread ends and others live: its children are theirs. */
static void children_to_sibling(struct task *task)
{
	struct thread_group *g = task->group, *child, *tmp;
	struct task *other = group_any_thread(g);

	list_for_each_safe(child, tmp, &g->children, sibling) {
		if (child->parent_tid != task->tid)
			continue;
		child->parent_tid = other != NULL ? other->tid : 0; /* 0: they are all on their way out */
		send_pdeath(child);
	}
}

static void children_to_reaper(struct thread_group *group)
{
	struct thread_group *reaper = reaper_for(group), *child, *tmp;

	list_for_each_safe(child, tmp, &group->children, sibling)
		reparent_to(child, group, reaper);
}

/* ---- the end of a group ---- */

/* Init has ended, and with it everything. */
static void kill_the_rest(void)
{
	struct thread_group *g;

	list_for_each(g, &kernel.groups, all_link)
		signal_kill_group(g);
}

/* The container that has ended with it, whose end isn't finished: or NULL. */
static struct container *group_ended(struct thread_group *group)
{
	struct session *session = group->pgrp->session;
	struct container *container;
	struct process_group *pgrp;
	bool first;
	int status;

	timers_exit(group);
	if (session->leader == group) {
		session_get(session);
		session_leader_exit(session);
		session_put(session);
	}
	children_to_reaper(group);
	pgrp = pgrp_get(group->pgrp);
	pgrp_check_orphaned(group, NULL);
	pgrp_put(pgrp);
	group->zombie = true;
	sigqueue_flush(&group->shared_pending);
	waitq_wake(&group->exit_waitq, 0);
	if (group == kernel.init) {
		kill_the_rest();
		kernel_shutdown(group->exit_status);
		return NULL;
	}
	container = group->container;
	container_count_times(group);
	first = container->init == group;
	status = group->exit_status;
	if (pid_space_init(group->pids) == group)
		pid_space_set_init(group->pids, NULL);
	if (group_notify_exit(group))
		group_reap(group);
	return container_group_ended(container, first, status) ? container : NULL;
}

void task_unlink(struct task *task)
{
	struct thread_group *g = task->group;

	g->nthreads--;
	if (g->signal_target == task)
		g->signal_target = NULL;
	task->dead = true;
	if (task == g->leader)
		return; /* stays until the group is reaped */
	list_del(&task->group_link);
	pid_detach(g->pids, task->tid, PID_TASK);
	kernel.ntasks--;
	g->container->ntasks--;
	task_put(task);
}

/* ---- the end of a thread ---- */

void task_leave_memory(struct task *task)
{
	const int32_t zero = 0;

	if (task->mm == NULL)
		return;
	futex_exit_robust(task);
	if (task->clear_child_tid.v != 0 && task->mm->ref.count > 1) {
		(void)!put_guest(task, task->clear_child_tid, &zero);
		(void)futex_wake_addr(task, task->clear_child_tid, 1);
	}
	task->clear_child_tid = GVA_NULL;
}

static void release_objects(struct task *task)
{
	struct files *files = task->files;
	struct fs_context *fs = task->fs;

	if (sysv_sem_exit != NULL)
		sysv_sem_exit(task);
	task->files = NULL;
	if (files != NULL)
		files_put(task, files);
	task->fs = NULL;
	if (fs != NULL)
		fs_context_put(fs);
}

void task_exit_thread(struct task *task, int status)
{
	struct thread_group *g = task->group;
	struct container *ended = NULL;

	invariant(task == task_current() && !task->exiting);
	group_get(g);
	task->exit_code = g->exiting ? g->exit_status : status;
	task->exiting = true;
	/* The last one to begin decides how the process ended. */
	if (!g->exiting && group_any_thread(g) == NULL)
		group_exit(g, status);
	task->restore_sigmask = false;
	group_stop_participate(task);
	signal_retarget(task);
	if (trace_on)
		trace_exited(task, task->exit_code);
	task_leave_memory(task);
	vfork_done(task);
	timers_task_exit(task);
	release_objects(task);
	task_save_times(task);
	if (task->pt != NULL || task->loan != NULL)
		platform->thread_exit(task);
	task->pt = NULL;
	mm_release(task);
	sigqueue_flush(&task->pending);

	usage_add(&g->dead_threads, &task->usage);
	memset(&task->usage, 0, sizeof(task->usage));
	task_unlink(task);
	if (g->nthreads == 0)
		ended = group_ended(g);
	else
		children_to_sibling(task);
	if (g->exec_task != NULL && g->nthreads <= 1)
		task_wake(g->exec_task);
	/* Nobody sees the task any more, but it can still let others run. */
	if (ended != NULL)
		container_finish(ended, task);
	group_put(g);
	sched_remove(task);
	task->co = NULL;
	task_put(task);
	coroutine_exit();
}

/* ---- execve with threads ---- */

/* The last thread takes the place of a leader that has ended. */
static void take_leadership(struct task *task)
{
	struct thread_group *g = task->group, *child;
	struct task *old = g->leader;

	invariant(old->dead && g->nthreads == 1);
	list_for_each(child, &g->children, sibling)
		child->parent_tid = g->pid;
	list_del(&old->group_link);
	pid_attach(g->pids, g->pid, PID_TASK, task);
	pid_detach(g->pids, task->tid, PID_TASK);
	task->tid = g->pid;
	g->leader = task;
	task->start_ns = old->start_ns;
	kernel.ntasks--;
	g->container->ntasks--;
	task_put(old); /* the tables' reference; a pending wait of ours has none */
}

int group_kill_other_threads(struct task *task)
{
	struct thread_group *g = task->group;
	struct task *t;

	if (task_dying(task) || g->exec_task != NULL)
		return -LINUX_EAGAIN;
	if (g->nthreads == 1 && g->leader == task)
		return 0;
	g->exec_task = task;
	list_for_each(t, &g->threads, group_link) {
		if (t == task || t->exiting)
			continue;
		t->killed = true;
		signal_wake(t, true);
	}
	while (g->nthreads > 1 && !task_dying(task))
		(void)!task_block(task, WAIT_KILLABLE, WAIT_FOREVER);
	g->exec_task = NULL;
	if (task_dying(task))
		return -LINUX_EAGAIN;
	if (g->leader != task)
		take_leadership(task);
	return 0;
}

int signals_on_exec(struct task *task)
{
	struct sighand *s = task->sighand;
	struct thread_group *g = task->group;
	const struct cred *c = task->cred;
	int i;

	if (s->ref.count > 1) {
		s = sighand_dup(s);
		if (s == NULL)
			return -LINUX_ENOMEM;
		sighand_put(task->sighand);
		task->sighand = s;
	}
	for (i = 0; i < LINUX_NSIG; i++) {
		uint64_t h = s->action[i].handler;

		s->action[i] = (struct linux_sigaction){.handler = h == LINUX_SIG_IGN ? h : LINUX_SIG_DFL};
	}
	sighand_recount(s);
	task->altstack = (struct linux_stack){.flags = LINUX_SS_DISABLE};
	task->clear_child_tid = GVA_NULL;
	task->robust_list = GVA_NULL;
	task->restart.fn = NULL;
	timers_exec(g);
	g->exit_signal = LINUX_SIGCHLD;
	g->execed = true;
	g->dumpable = c->uid == c->euid && c->gid == c->egid;
	vfork_done(task);
	return 0;
}
