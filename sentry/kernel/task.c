/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks and thread groups as objects: making, linking, counting, freeing. How they begin is fork.c, how they end
 * exit.c.
 *
 * References of a task: one is its coroutine's (dropped by task_exit_thread), one the tables' (dropped when it is
 * reaped, for a leader together with its group). A group is referenced by the tables and by each of its tasks; pidfds
 * take more, so a group may outlive its number.
 *
 *      task_alloc --> task_link (tables) --> task_start (coroutine) --> task_exit_thread --> task_unlink | group_reap
 *
 * Times: the host tells the CPU time of whole processes only (platform->thread_times of the first thread that is left
 * answers for all), so a group's is exact, with what was saved from earlier host processes (execve changes them) and ended threads.
 * A single thread's among several is an estimate: whenever it is asked for, what the group has used since the last time
 * is shared out equally to the threads that want to run.
 */
#include "sentry/kernel/task_internal.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/mm/mm.h"
#include "sentry/platform/platform.h"
#include "sentry/vfs/vfs.h"
#include "sentry/vfs/eventfd.h"

#include <string.h>

struct kernel kernel = {
	.groups = LIST_INIT(kernel.groups),
	.pid_max = 32768,
	.ncpus = 1,
	.unprivileged_ports = 1024,
	.disk_limit = UINT64_MAX,
};

struct task *task_alloc(void)
{
	struct task *t = kzalloc(sizeof(*t));

	if (t == NULL)
		return NULL;
	ref_init(&t->ref);
	list_init(&t->group_link);
	list_init(&t->all_link);
	list_init(&t->run_link);
	sigqueue_init(&t->pending);
	waitq_init(&t->signalfd_waitq);
	t->syscall_nr = -1;
	t->altstack.flags = LINUX_SS_DISABLE;
	t->timer_slack_ns = 50 * NSEC_PER_USEC;
	t->affinity = UINT64_MAX;
	t->login_uid = t->login_session = UINT32_MAX;
	t->start_ns = loop_now();
	return t;
}

struct thread_group *group_alloc(void)
{
	struct thread_group *g = kzalloc(sizeof(*g));

	if (g == NULL)
		return NULL;
	ref_init(&g->ref);
	list_init(&g->threads);
	list_init(&g->children);
	list_init(&g->sibling);
	list_init(&g->all_link);
	list_init(&g->pgrp_link);
	list_init(&g->forks);
	waitq_init(&g->child_waitq);
	waitq_init(&g->exit_waitq);
	sigqueue_init(&g->shared_pending);
	g->exit_signal = LINUX_SIGCHLD;
	g->dumpable = true;
	g->pids = pid_space_first();
	g->container = &container_first;
	g->start_ns = loop_now();
	return g;
}

void task_put(struct task *t)
{
	if (t == NULL || !ref_put(&t->ref))
		return;
	invariant(t->pt == NULL && t->mm == NULL && list_empty(&t->run_link));
	signalfd_task_gone(t);
	sigqueue_flush(&t->pending);
	if (t->sighand != NULL)
		sighand_put(t->sighand);
	if (t->cred != NULL)
		cred_put(t->cred);
	seccomp_free(t);
	if (t->group != NULL)
		group_put(t->group);
	kfree(t);
}

void group_put(struct thread_group *g)
{
	if (g == NULL || !ref_put(&g->ref))
		return;
	invariant(list_empty(&g->threads) && list_empty(&g->children) && g->timers == NULL);
	sigqueue_flush(&g->shared_pending);
	if (g->pgrp != NULL)
		pgrp_put(g->pgrp);
	kfree(g);
}

void task_link(struct task *t)
{
	struct thread_group *g = t->group;

	pid_attach(g->pids, t->tid, PID_TASK, t);
	list_add_tail(&g->threads, &t->group_link);
	task_get(t);
	g->nthreads++;
	kernel.ntasks++;
	g->container->ntasks++;
}

struct task *group_any_thread(const struct thread_group *group)
{
	struct task *t;

	list_for_each(t, &group->threads, group_link)
		if (!t->exiting)
			return t;
	return NULL;
}

struct mm *group_mm(const struct thread_group *group)
{
	const struct task *t = group_any_thread(group);

	return t != NULL ? t->mm : NULL;
}

static void rlimits_default(struct linux_rlimit *lim)
{
	int i;

	for (i = 0; i < LINUX_RLIM_NLIMITS; i++)
		lim[i] = (struct linux_rlimit){LINUX_RLIM_INFINITY, LINUX_RLIM_INFINITY};
	lim[LINUX_RLIMIT_STACK].cur = 8 * MiB;
	lim[LINUX_RLIMIT_CORE].cur = 0;
	lim[LINUX_RLIMIT_NOFILE] = (struct linux_rlimit){1024, 1024 * 1024};
	lim[LINUX_RLIMIT_MEMLOCK] = (struct linux_rlimit){8 * MiB, 8 * MiB};
	lim[LINUX_RLIMIT_SIGPENDING] = (struct linux_rlimit){31696, 31696};
	lim[LINUX_RLIMIT_NPROC] = (struct linux_rlimit){31696, 31696};
	lim[LINUX_RLIMIT_MSGQUEUE] = (struct linux_rlimit){819200, 819200};
	lim[LINUX_RLIMIT_NICE] = (struct linux_rlimit){0, 0};
	lim[LINUX_RLIMIT_RTPRIO] = (struct linux_rlimit){0, 0};
}

/* A session and a process group of its own for a group that nobody in the sandbox made. */
static int group_alone(struct thread_group *g)
{
	struct session *s = session_new(g->pid, g);
	struct process_group *p;

	if (s == NULL)
		return -LINUX_ENOMEM;
	p = pgrp_new(g->pid, s);
	session_put(s); /* the process group has counted it */
	if (p == NULL)
		return -LINUX_ENOMEM;
	group_set_pgrp(g, p);
	pgrp_put(p);
	return 0;
}

struct task *task_new_process(struct cred *cred, struct files *files, struct fs_context *fs)
{
	return task_new_process_in(&container_first, pid_space_first(), cred, files, fs);
}

struct task *task_new_process_in(struct container *container, struct pid_space *pids, struct cred *cred, struct files *files,
				 struct fs_context *fs)
{
	struct task *t = task_alloc();
	struct thread_group *g = group_alloc();
	struct sighand *sighand = sighand_new();
	int32_t nr = 0;

	if (t == NULL || g == NULL || sighand == NULL || pid_alloc(pids, &nr) != 0)
		goto free_all;
	g->pid = nr;
	g->pids = pids;
	g->container = container;
	if (group_alone(g) != 0)
		goto free_all;
	rlimits_default(g->rlimits);
	t->tid = nr;
	t->group = g; /* takes the first reference... */
	group_get(g); /* ...and the tables have this one */
	g->leader = t;
	t->cred = cred;
	t->files = files;
	t->fs = fs;
	t->sighand = sighand;
	pid_attach(pids, nr, PID_GROUP, g);
	list_add_tail(&kernel.groups, &g->all_link);
	kernel.ngroups++;
	task_link(t);
	/* A container's first process is its space's init; what comes from outside later, or into another's space, never. */
	if (pid_space_init(pids) == NULL && container->init == NULL && !container->ending && !container->shares_pids) {
		if (pids == pid_space_first())
			kernel.init = g;
		pid_space_set_init(pids, g);
		g->unkillable = true;
	}
	return t;

free_all:
	if (nr != 0)
		pid_free(pids, nr);
	if (sighand != NULL)
		sighand_put(sighand);
	group_put(g);
	task_put(t);
	cred_put(cred);
	files_put(NULL, files);
	fs_context_put(fs);
	return NULL;
}

/* ---- times and usage ---- */

/* Where the platform can't tell, everything mapped counts as resident: never less than the truth. */
static uint64_t resident_kib(const struct task *t)
{
	uint64_t bytes;

	if (t->mm == NULL || t->mm->pmm == NULL)
		return 0;
	bytes = platform->mm_resident(t->mm->pmm);
	if (bytes == 0)
		bytes = MIN(t->mm->total_pages * PAGE_SIZE, kernel.memory_limit);
	return bytes / KiB;
}

/* The same at a program's end: for a small one nobody is asked, and all that it has mapped is near enough. */
static uint64_t last_resident_kib(const struct task *t)
{
	uint64_t bytes, mapped;

	if (t->mm == NULL || t->mm->pmm == NULL || platform->mm_resident_last == NULL)
		return resident_kib(t);
	mapped = t->mm->total_pages * PAGE_SIZE;
	bytes = platform->mm_resident_last(t->mm->pmm);
	if (bytes == 0 && mapped > 64 * MiB)
		return resident_kib(t);
	return (bytes != 0 ? bytes : mapped) / KiB;
}

/* Exact, but only for the sum over a group: the platform puts a process's whole time on one of its threads. */
static void host_times(const struct task *task, uint64_t *utime, uint64_t *stime)
{
	uint64_t u = 0, s = 0;

	if (task->pt != NULL)
		platform->thread_times(task->pt, false, &u, &s);
	*utime = task->usage.utime + u;
	*stime = task->usage.stime + s;
}

static uint32_t threads_that_run(const struct thread_group *group)
{
	struct task *t;
	uint32_t n = 0;

	list_for_each(t, &group->threads, group_link)
		n += !t->exiting && !t->blocked;
	return MAX(n, 1U);
}

/* What of its group's times, u and s, is the task's. */
static void share_of(const struct task *t, uint64_t u, uint64_t s, uint64_t *utime, uint64_t *stime)
{
	struct task *task = (struct task *)t; /* whoever may look at the time may bring the estimate up to date */
	struct thread_group *g = task->group;

	if (g->nthreads > 1 || task != g->leader) {
		if (u + s > task->cpu_seen) {
			task->cpu_share += (u + s - task->cpu_seen) / (task->blocked ? 1 : threads_that_run(g));
			task->cpu_seen = u + s;
		}
		u = u + s != 0 ? (uint64_t)((unsigned __int128)task->cpu_share * u / (u + s)) : 0;
		s = task->cpu_share - u;
	}
	*utime = u;
	*stime = s;
}

void task_times(const struct task *task, uint64_t *utime, uint64_t *stime)
{
	uint64_t u, s;

	group_times(task->group, &u, &s);
	share_of(task, u, s, utime, stime);
}

/* A thread starts with nothing; a process's first thread has used all that was used before. */
void task_times_begin(struct task *task, struct task *creator)
{
	uint64_t u, s, own_u, own_s;

	group_times(task->group, &u, &s);
	share_of(creator, u, s, &own_u, &own_s);
	if (task->group->nthreads == 1)
		creator->cpu_share = own_u + own_s;
	task->cpu_seen = u + s;
	if (task->group->nthreads == 1)
		creator->cpu_seen = u + s;
}

void task_settle_times(struct task *task)
{
	uint64_t u = 0, s = 0;

	platform->thread_times(task->pt, true, &u, &s);
	task->usage.utime += u;
	task->usage.stime += s;
}

void task_save_times(struct task *task)
{
	if (task->pt != NULL)
		task_settle_times(task);
	task->usage.maxrss_kib = MAX(task->usage.maxrss_kib, last_resident_kib(task));
}

void usage_add(struct rusage_account *to, const struct rusage_account *from)
{
	to->utime += from->utime;
	to->stime += from->stime;
	to->minflt += from->minflt;
	to->majflt += from->majflt;
	to->nvcsw += from->nvcsw;
	to->nivcsw += from->nivcsw;
	to->rchar += from->rchar;
	to->wchar += from->wchar;
	to->syscr += from->syscr;
	to->syscw += from->syscw;
	to->maxrss_kib = MAX(to->maxrss_kib, from->maxrss_kib);
}

void group_times(const struct thread_group *group, uint64_t *utime, uint64_t *stime)
{
	struct task *t;

	*utime = group->dead_threads.utime;
	*stime = group->dead_threads.stime;
	list_for_each(t, &group->threads, group_link) {
		uint64_t u, s;

		host_times(t, &u, &s);
		*utime += u;
		*stime += s;
	}
}

void group_usage(const struct thread_group *group, struct rusage_account *out)
{
	struct task *t;

	*out = group->dead_threads;
	list_for_each(t, &group->threads, group_link) {
		struct rusage_account live = t->usage;

		host_times(t, &live.utime, &live.stime);
		live.maxrss_kib = MAX(live.maxrss_kib, resident_kib(t));
		usage_add(out, &live);
	}
}

char task_state(const struct task *task)
{
	if (task->dead)
		return 'Z';
	if (task->stopped)
		return 'T';
	if (!task->blocked)
		return 'R';
	return task->block_mode == WAIT_INTERRUPTIBLE ? 'S' : 'D';
}

bool task_may_inspect(const struct task *task, const struct task *target)
{
	const struct cred *c = task->cred, *tc = target->cred;

	if (task->group == target->group)
		return true;
	/* Through another's memory, root and descriptors led a way into its container, whatever the rights. */
	if (task->group->container != target->group->container)
		return false;
	if (cred_capable(c, LINUX_CAP_SYS_PTRACE))
		return true;
	if (c->fsuid != tc->uid || c->fsuid != tc->euid || c->fsuid != tc->suid || c->fsgid != tc->gid ||
	    c->fsgid != tc->egid || c->fsgid != tc->sgid)
		return false;
	/* A program that was made privileged by execve, and one that has more than we, stays closed. */
	return target->group->dumpable && (tc->cap_permitted & ~c->cap_permitted) == 0;
}
