/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers: what processes have in common beyond their parents.
 *
 *	monitor --CONTROL_CONTAINER--> outside.c: a task in a new container --> its root, mounts, program
 *	first process ends --> every other one is told to --> the last is gone --> mounts and gofer go, "ended" is told
 *
 * A pod is one sandbox. Its containers share one network, one set of IPC objects, one host name, and the sandbox's own limits;
 * each has a root, mounts, descriptors, limits on tasks, memory and CPU time, and process numbers of its own (or another's, if its
 * bundle says so). Which container a process belongs to is set when it is made and never changes: what it forks is of the same.
 *
 * What keeps them apart: no path leads from one root to another (vfs/mount.c); no number names a process of another space
 * (pid.c); and where numbers are shared, task_may_inspect refuses everything that would give more than a signal.
 *
 * What the guest controls: how many processes it has, and how long they take to end; a container that is told to end gets
 * nothing more to run. Left out: what a container's files take is the sandbox's memory, not counted for it.
 */
#include "sentry/kernel/container.h"

#include "sentry/abi/signal.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/image.h"
#include "sentry/fs/lower.h"
#include "sentry/fs/memfs.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/tty.h"
#include "sentry/mm/mm.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/trace.h"
#include "sentry/vfs/vfs.h"

struct container container_first = {.link = LIST_INIT(container_first.link), .thaw = {.waiters = LIST_INIT(container_first.thaw.waiters)}};
static struct list containers = LIST_INIT(containers); /* but for the first */

uint32_t containers_frozen;

struct container *container_new(uint32_t id)
{
	struct container *c = kzalloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	c->id = id;
	waitq_init(&c->thaw);
	list_init(&c->link);
	list_add_tail(&containers, &c->link);
	return c;
}

struct container *container_find(uint32_t id)
{
	struct container *c;

	if (id == 0)
		return &container_first;
	list_for_each(c, &containers, link)
		if (c->id == id)
			return c;
	return NULL;
}

struct container *container_here(void)
{
	struct task *task = task_current();

	return task != NULL && task->group != NULL && task->group->container != NULL ? task->group->container : &container_first;
}

void container_signal(struct container *c, int sig)
{
	struct linux_siginfo info = {.signo = sig, .code = LINUX_SI_USER};
	struct thread_group *g;

	list_for_each(g, &kernel.groups, all_link) {
		if (g->container != c || g->zombie)
			continue;
		if (sig == LINUX_SIGKILL)
			signal_kill_group(g); /* its first process too: what protects that is for those inside */
		else
			(void)signal_send_group(g, sig, &info);
	}
}

void container_kill(struct container *c)
{
	container_signal(c, LINUX_SIGKILL);
}

/* ---- the end ---- */

static bool any_left(const struct container *c)
{
	const struct thread_group *g;

	list_for_each(g, &kernel.groups, all_link)
		if (g->container == c && !g->zombie)
			return true;
	return false;
}

void container_finish(struct container *c, struct task *task)
{
	struct mount *root = c->root;

	c->root = NULL;
	if (!c->told)
		control_container_empty(c->id);
	if (root != NULL)
		vfs_drop_root(root, task, memfs_empty);
	if (c->gofer != NULL)
		gofer_client_stop(c->gofer);
	if (c->image != NULL)
		image_stop(c->image);
	if (c->console != NULL)
		tty_put(c->console);
	c->console = NULL;
	if (!c->told)
		control_exec_ended(c->id, c->status);
}

void container_count_times(const struct thread_group *group)
{
	uint64_t utime, stime;

	if (group->container == &container_first)
		return;
	group_times(group, &utime, &stime);
	group->container->ended_utime += utime;
	group->container->ended_stime += stime;
}

void container_times(struct container *c, uint64_t *utime, uint64_t *stime)
{
	const struct thread_group *g;

	*utime = c->ended_utime;
	*stime = c->ended_stime + c->cpu.sentry_ns;
	list_for_each(g, &kernel.groups, all_link) {
		uint64_t u, s;

		if (g->container != c || g->leader == NULL || g->zombie)
			continue;
		group_times(g, &u, &s);
		*utime += u;
		*stime += s;
	}
}

bool container_group_ended(struct container *c, bool first, int status)
{
	if (c == NULL || c == &container_first || c->ended)
		return false;
	if (first && !c->ending) {
		c->ending = true;
		c->init = NULL;
		c->status = status;
	}
	if (!c->ending)
		return false;
	if (any_left(c)) {
		container_kill(c); /* once more: a fork that was on its way may have added one */
		return false;
	}
	c->ended = true;
	if (c->frozen)
		containers_frozen--;
	c->frozen = false;
	cpu_limit_end(&c->cpu);
	list_del(&c->link);
	return true;
}

/* ---- pausing ---- */

void container_freeze(struct container *c, bool on)
{
	struct thread_group *g;
	struct task *t;

	if (c->frozen == on)
		return;
	c->frozen = on;
	containers_frozen += on ? 1 : -1U;
	if (!on) {
		waitq_wake(&c->thaw, 0);
		return;
	}
	list_for_each(g, &kernel.groups, all_link)
		if (g->container == c)
			list_for_each(t, &g->threads, group_link)
				if (t->pt != NULL)
					platform->kick(t);
}

void container_wait_thawed(struct task *task)
{
	struct container *c = task->group->container;

	while (c != NULL && c->frozen && !task_dying(task))
		(void)!task_wait(task, &c->thaw, WAIT_KILLABLE);
}

/* ---- memory ---- */

bool container_memory_limited(void)
{
	const struct container *c;

	list_for_each(c, &containers, link)
		if (c->memory_limit != 0)
			return true;
	return false;
}

static uint64_t resident_of(const struct thread_group *g)
{
	struct mm *mm = group_mm(g); /* not the leader's: a program goes on when main() has called pthread_exit */

	return mm != NULL && mm->pmm != NULL ? platform->mm_resident(mm->pmm) : 0;
}

void container_memory_sampled(struct container *c)
{
	struct thread_group *g, *largest = NULL;
	uint64_t most = 0, staying = 0;

	c->resident = 0;
	list_for_each(g, &kernel.groups, all_link) {
		uint64_t held = g->container == c && !g->zombie ? resident_of(g) : 0;

		c->resident += held;
		staying += g->exiting ? 0 : held;
		if (held > most && !g->exiting) {
			most = held;
			largest = g;
		}
	}
	c->peak = MAX(c->peak, c->resident);
	/* What those hold that are about to end is as good as free. */
	if (c->memory_limit == 0 || staying <= c->memory_limit || largest == NULL)
		return;
	audit_limit("memory");
	kernel.oom_kills++;
	c->oom_kills++;
	control_container_oom(c->id);
	group_exit(largest, LINUX_SIGKILL);
}

void container_memory_look(void)
{
	struct container *c;

	list_for_each(c, &containers, link)
		if (c->memory_limit != 0)
			container_memory_sampled(c);
}
