/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone(2) and its relatives: new threads and new processes.
 *
 *      check flags and limits --> child task (and group) with shared or copied objects --> platform->clone: the host
 *      thread, asleep --> ids written, tables, pidfd --> task_start; a vfork parent sleeps until exec or exit
 *
 * Nothing of the child is visible to other tasks until the host thread exists (platform->clone sleeps); what is sent to
 * many processes meanwhile is collected (fork_in_progress) and given to the child, so that a fork is not half hit.
 *
 * Invariants: a failure undoes everything, in reverse order; a group that is ending, or in which another thread is in
 * execve, gets no new thread.
 *
 * The guest controls all arguments. Bounds: kernel.max_tasks (--pids), RLIMIT_NPROC, pid_max.
 *
 * Left out: namespaces (EPERM, as in a container without the capability), CLONE_INTO_CGROUP, tracing of children.
 */
#include "sentry/kernel/container.h"
#include "sentry/kernel/task_internal.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/process.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/usercopy.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/trace.h"
#include "sentry/vfs/vfs.h"

#include <string.h>

/* System V semaphores: CLONE_SYSVSEM shares undo lists (ipc code, if it is there). */
void sysv_sem_fork(struct task *parent, struct task *child, bool share) __attribute__((weak));

static int check_flags(const struct task *task, uint64_t f)
{
	const uint64_t all = LINUX_CLONE_NAMESPACES | LINUX_CLONE_VM | LINUX_CLONE_FS | LINUX_CLONE_FILES |
			     LINUX_CLONE_SIGHAND | LINUX_CLONE_PIDFD | LINUX_CLONE_PTRACE | LINUX_CLONE_VFORK |
			     LINUX_CLONE_PARENT | LINUX_CLONE_THREAD | LINUX_CLONE_SYSVSEM | LINUX_CLONE_SETTLS |
			     LINUX_CLONE_PARENT_SETTID | LINUX_CLONE_CHILD_CLEARTID | LINUX_CLONE_DETACHED |
			     LINUX_CLONE_UNTRACED | LINUX_CLONE_CHILD_SETTID | LINUX_CLONE_IO |
			     LINUX_CLONE_CLEAR_SIGHAND | LINUX_CLONE_INTO_CGROUP;

	if (f & ~all)
		return -LINUX_EINVAL;
	if ((f & LINUX_CLONE_FS) && (f & (LINUX_CLONE_NEWNS | LINUX_CLONE_NEWUSER)))
		return -LINUX_EINVAL;
	if ((f & LINUX_CLONE_THREAD) && !(f & LINUX_CLONE_SIGHAND))
		return -LINUX_EINVAL;
	if ((f & LINUX_CLONE_SIGHAND) && !(f & LINUX_CLONE_VM))
		return -LINUX_EINVAL;
	if ((f & LINUX_CLONE_SIGHAND) && (f & LINUX_CLONE_CLEAR_SIGHAND))
		return -LINUX_EINVAL;
	/* Siblings of init would have nobody to wait for them. */
	if ((f & LINUX_CLONE_PARENT) && task->group == pid_space_init(task->group->pids))
		return -LINUX_EINVAL;
	if ((f & LINUX_CLONE_THREAD) && (f & (LINUX_CLONE_NEWUSER | LINUX_CLONE_NEWPID)))
		return -LINUX_EINVAL;
	if ((f & LINUX_CLONE_PIDFD) && (f & (LINUX_CLONE_DETACHED | LINUX_CLONE_THREAD)))
		return -LINUX_EINVAL;
	if (f & LINUX_CLONE_INTO_CGROUP)
		return -LINUX_EOPNOTSUPP;
	if (f & LINUX_CLONE_NAMESPACES)
		return -LINUX_EPERM;
	return 0;
}

/* A base that isn't canonical can't be loaded. */
static int check_tls(const struct clone_args *args)
{
	return (args->flags & LINUX_CLONE_SETTLS) && args->tls >= LINUX_TASK_SIZE_MAX ? -LINUX_EPERM : 0;
}

static int check_limits(const struct task *task, bool thread)
{
	uint64_t limit = group_rlimit(task->group, LINUX_RLIMIT_NPROC);
	const struct container *c = task->group->container;

	if (kernel.max_tasks != 0 &&
	    (kernel.ntasks >= kernel.max_tasks || (kernel.ntasks + stubs_exiting + stubs_idle >= kernel.max_tasks &&
						   kernel.ntasks + stubs_leaving(thread ? task : NULL) >= kernel.max_tasks))) {
		audit_limit("pids");
		return -LINUX_EAGAIN;
	}
	if (c->max_tasks != 0 && c->ntasks >= c->max_tasks) {
		audit_limit("pids");
		return -LINUX_EAGAIN;
	}
	if (kernel.ntasks >= limit && task->cred->uid != 0 && !task_capable(task, LINUX_CAP_SYS_RESOURCE) &&
	    !task_capable(task, LINUX_CAP_SYS_ADMIN) && tasks_of_uid(task->cred->uid) >= limit)
		return -LINUX_EAGAIN;
	return 0;
}

uint32_t tasks_of_uid(kuid_t uid)
{
	struct thread_group *g;
	struct task *t;
	uint32_t n = 0;

	list_for_each(g, &kernel.groups, all_link)
		list_for_each(t, &g->threads, group_link)
			n += t->cred->uid == uid;
	return n;
}

/* ---- the child's objects ---- */

static int copy_sighand(struct task *task, struct task *child, uint64_t f)
{
	int i;

	if (f & LINUX_CLONE_SIGHAND) {
		if ((f & LINUX_CLONE_THREAD) == 0)
			sighand_between_groups(task);
		ref_get(&task->sighand->ref);
		child->sighand = task->sighand;
		return 0;
	}
	child->sighand = sighand_dup(task->sighand);
	if (child->sighand == NULL)
		return -LINUX_ENOMEM;
	if (f & LINUX_CLONE_CLEAR_SIGHAND) {
		for (i = 0; i < LINUX_NSIG; i++)
			if (child->sighand->action[i].handler != LINUX_SIG_IGN)
				child->sighand->action[i] = (struct linux_sigaction){0};
		sighand_recount(child->sighand);
	}
	return 0;
}

static int copy_objects(struct task *task, struct task *child, uint64_t f)
{
	int err;

	child->cred = cred_get(task->cred);
	err = copy_sighand(task, child, f);
	if (err)
		return err;
	child->files = (f & LINUX_CLONE_FILES) ? files_get(task->files) : files_dup(task->files);
	if (child->files == NULL)
		return -LINUX_ENOMEM;
	if (f & LINUX_CLONE_FS) {
		ref_get(&task->fs->ref);
		child->fs = task->fs;
	} else {
		child->fs = fs_context_dup(task->fs);
	}
	if (child->fs == NULL)
		return -LINUX_ENOMEM;
	child->mm = (f & LINUX_CLONE_VM) ? mm_get(task->mm) : mm_dup(task->mm);
	return child->mm != NULL ? 0 : -LINUX_ENOMEM;
}

static void copy_fields(const struct task *task, struct task *child, const struct clone_args *args)
{
	memcpy(child->comm, task->comm, sizeof(child->comm));
	child->sigmask = task->restore_sigmask ? task->saved_sigmask : task->sigmask;
	/* A thread starts without; a vfork child runs on its parent's stack and keeps it. */
	if ((args->flags & (LINUX_CLONE_VM | LINUX_CLONE_VFORK)) != LINUX_CLONE_VM)
		child->altstack = task->altstack;
	if (args->flags & LINUX_CLONE_CHILD_CLEARTID)
		child->clear_child_tid = args->child_tid;
	child->no_new_privs = task->no_new_privs;
	seccomp_copy(task, child);
	child->personality = task->personality;
	child->login_uid = task->login_uid;
	child->login_session = task->login_session;
	child->timer_slack_ns = task->timer_slack_ns;
	child->affinity = task->affinity;
	child->ioprio = task->ioprio;
	child->nice = task->nice;
	child->sched_policy = task->sched_policy;
	child->sched_priority = task->sched_priority;
	if (task->sched_reset_on_fork) {
		child->nice = MAX(child->nice, 0);
		if (child->sched_policy == LINUX_SCHED_FIFO || child->sched_policy == LINUX_SCHED_RR)
			child->sched_policy = LINUX_SCHED_OTHER;
		child->sched_priority = 0;
	}
}

/* The child's group: the same, or a new one that is in no table yet. */
static int copy_group(struct task *task, struct task *child, const struct clone_args *args)
{
	struct thread_group *self = task->group, *g;

	if (args->flags & LINUX_CLONE_THREAD) {
		child->group = group_get(self);
		return 0;
	}
	g = group_alloc();
	if (g == NULL)
		return -LINUX_ENOMEM;
	child->group = g; /* the first reference */
	g->leader = child;
	g->pid = child->tid;
	g->pids = self->pids;
	g->container = self->container;
	memcpy(g->rlimits, self->rlimits, sizeof(g->rlimits));
	g->oom_score_adj = self->oom_score_adj;
	g->oom_score_adj_min = self->oom_score_adj_min;
	g->dumpable = self->dumpable;
	g->outside_id = self->outside_id;
	g->thp_disabled = self->thp_disabled;
	g->exit_signal = args->exit_signal;
	return 0;
}

/* Drops a child that never ran. */
static void discard(struct task *task, struct task *child)
{
	if (child->pt != NULL)
		platform->thread_exit(child);
	if (child->mm != NULL)
		mm_put(child->mm);
	child->mm = NULL;
	if (child->fs != NULL)
		fs_context_put(child->fs);
	if (child->files != NULL)
		files_put(task, child->files);
	child->fs = NULL;
	child->files = NULL;
	pid_free(pid_space_of(task), child->tid);
	task_put(child);
}

static struct task *make_child(struct task *task, const struct clone_args *args, int *err)
{
	struct task *child = task_alloc();

	if (child == NULL) {
		*err = -LINUX_ENOMEM;
		return NULL;
	}
	if (args->set_tid != 0) {
		*err = pid_alloc_at(pid_space_of(task), args->set_tid);
		child->tid = args->set_tid;
	} else {
		*err = pid_alloc(pid_space_of(task), &child->tid);
	}
	if (*err) {
		task_put(child);
		return NULL;
	}
	*err = copy_group(task, child, args);
	if (!*err)
		*err = copy_objects(task, child, args->flags);
	if (*err) {
		discard(task, child);
		return NULL;
	}
	copy_fields(task, child, args);
	return child;
}

/* ---- the host thread ---- */

/* Nobody but the task needs its host process while its thread is lent, and if it is killed then, nobody waits for what its thread
 * would have to do. */
static bool alone(struct task *task)
{
	return task->group->nthreads == 1 && futex_robust_empty(task);
}

static int clone_host_thread(struct task *task, struct task *child, const struct clone_args *args)
{
	enum platform_clone_kind kind = PLATFORM_CLONE_FORK;
	const struct regs *now;
	struct regs regs;
	int err;

	/* A thread that is there already needs no more of its parent than what came along with the call. */
	if ((args->flags & LINUX_CLONE_THREAD) == 0 || platform->clone_waits == NULL || !platform->clone_waits(task) ||
	    !platform->call_regs(task, 0, &regs)) {
		now = platform->context(task, 0);
		if (now == NULL)
			return -LINUX_EINTR;
		regs = *now;
	}
	regs.rax = 0;
	if (args->stack.v != 0)
		regs.rsp = args->stack.v;
	if (args->flags & LINUX_CLONE_SETTLS)
		regs.fs_base = args->tls;
	if (args->flags & LINUX_CLONE_THREAD)
		kind = PLATFORM_CLONE_THREAD;
	else if (args->flags & LINUX_CLONE_VM)
		kind = (args->flags & LINUX_CLONE_VFORK) && alone(task) ? PLATFORM_CLONE_VFORK : PLATFORM_CLONE_VM;
	/* What the host process has used so far is ours: the child may go on in it; or we, who did, leave it. */
	if (kind == PLATFORM_CLONE_VFORK || (kind == PLATFORM_CLONE_THREAD && task->vfork_parent != NULL))
		task_settle_times(task);
	err = platform->clone(task, child, kind, &regs);
	if (err)
		return err;
	if (!(args->flags & LINUX_CLONE_VM)) {
		struct platform_mm *pmm = platform->thread_mm(child->pt);

		mm_set_platform(child->mm, pmm);
	}
	return 0;
}

/* ---- into the tables ---- */

static void publish(struct task *task, struct task *child, const struct clone_args *args)
{
	struct thread_group *self = task->group, *g = child->group;

	if (args->flags & LINUX_CLONE_THREAD) {
		task_times_begin(child, task);
		task_link(child);
		group_stop_join(child);
		return;
	}
	group_get(g); /* the tables' */
	pid_attach(g->pids, g->pid, PID_GROUP, g);
	list_add_tail(&kernel.groups, &g->all_link);
	kernel.ngroups++;
	if (args->flags & LINUX_CLONE_PARENT) {
		/* Both as they are by now: while the child was made, init may have taken us over. */
		g->parent = self->parent;
		g->exit_signal = self->exit_signal;
		g->parent_tid = self->parent_tid;
	} else {
		g->parent = self;
		g->parent_tid = task->tid;
	}
	if (g->parent != NULL)
		list_add_tail(&g->parent->children, &g->sibling);
	group_set_pgrp(g, self->pgrp);
	task_link(child);
	timers_rlimit_cpu(g);
}

/* Our host thread, if it was lent, has come back. */
static void thread_back(struct task *task)
{
	if (task->loan != NULL && task->pt != NULL)
		platform->reclaim(task);
}

/* The child runs on its parent's memory, thread, and often on its stack: the parent waits until it has left them. */
static void vfork_wait(struct task *task, struct task *child)
{
	while (child->vfork_parent == task || (task->loan != NULL && task->pt == NULL)) {
		if (task_block(task, WAIT_KILLABLE, WAIT_FOREVER) != 0) {
			child->vfork_parent = NULL;
			break;
		}
	}
	task_put(child);
	thread_back(task);
}

void vfork_done(struct task *task)
{
	struct task *parent = task->vfork_parent;

	if (parent == NULL)
		return;
	task->vfork_parent = NULL;
	task_wake(parent);
}

static int install_pidfd(struct task *task, struct task *child, const struct clone_args *args, int *fd)
{
	struct file *file = pidfd_new(task, child->group, 0);
	int32_t nr;

	if (file == NULL)
		return -LINUX_ENOMEM;
	*fd = fd_install(task, file, 0, true);
	if (*fd < 0)
		return *fd;
	nr = *fd;
	if (put_guest(task, args->pidfd, &nr) != 0) {
		(void)fd_close(task, *fd);
		*fd = -1;
		return -LINUX_EFAULT;
	}
	return 0;
}

static void send_collected(struct thread_group *g, uint64_t set)
{
	int sig;

	for (sig = 1; set != 0 && sig <= LINUX_NSIG; sig++)
		if (set & LINUX_SIGMASK(sig))
			(void)signal_send_group(g, sig, NULL);
}

static int may_still_clone(const struct task *task, uint64_t flags)
{
	if (task_dying(task))
		return -LINUX_EINTR;
	/* A new thread must not slip past the one in execve that counts the others. */
	if ((flags & LINUX_CLONE_THREAD) && task->group->exec_task != NULL)
		return -LINUX_ERESTARTNOINTR;
	return 0;
}

int64_t task_clone(struct task *task, const struct clone_args *args)
{
	struct fork_in_progress fork = {.set = 0};
	struct task *child;
	int32_t tid;
	int err, fd = -1;

	err = check_flags(task, args->flags);
	if (!err)
		err = check_tls(args);
	if (err)
		return err;
	/* A signal that is pending for us was sent before the child existed: handle it first. */
	if (signal_pending(task))
		return -LINUX_ERESTARTNOINTR;
	err = check_limits(task, (args->flags & LINUX_CLONE_THREAD) != 0);
	if (err)
		return err;
	child = make_child(task, args, &err);
	if (child == NULL)
		return err;
	if (args->flags & LINUX_CLONE_PIDFD) {
		err = install_pidfd(task, child, args, &fd);
		if (err)
			goto drop_child;
	}
	list_add_tail(&task->group->forks, &fork.link);
	err = clone_host_thread(task, child, args);
	list_del(&fork.link);
	if (!err)
		err = may_still_clone(task, args->flags);
	if (err)
		goto drop_pidfd;

	task_start(child); /* runs when we sleep or return, not before */
	if (child->co == NULL) {
		err = -LINUX_ENOMEM;
		goto drop_pidfd;
	}
	tid = child->tid;
	if (args->flags & LINUX_CLONE_PARENT_SETTID)
		(void)!put_guest(task, args->parent_tid, &tid);
	if (args->flags & LINUX_CLONE_CHILD_SETTID)
		(void)!mm_write_guest(child->mm, args->child_tid, &tid, sizeof(tid));
	if (sysv_sem_fork != NULL)
		sysv_sem_fork(task, child, (args->flags & LINUX_CLONE_SYSVSEM) != 0);
	publish(task, child, args);
	if (args->flags & LINUX_CLONE_VFORK)
		task_get(child)->vfork_parent = task;
	if (!(args->flags & LINUX_CLONE_THREAD))
		send_collected(child->group, fork.set);
	if (args->flags & LINUX_CLONE_VFORK)
		vfork_wait(task, child);
	return tid;

drop_pidfd:
	if (fd >= 0)
		(void)fd_close(task, fd);
drop_child:
	discard(task, child);
	thread_back(task);
	return err;
}
