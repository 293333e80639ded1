/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource limits of processes. Here they are only kept; who uses the resource looks at group->rlimits: mm (AS, DATA,
 * STACK, MEMLOCK), descriptors (NOFILE, FSIZE), fork.c (NPROC), signal.c (SIGPENDING), cputimer.c (CPU), sched (NICE,
 * RTPRIO). CORE, RSS, LOCKS, RTTIME are kept and limit nothing; MSGQUEUE is the message queues'.
 */
#include "sentry/kernel/rlimit.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/platform/platform.h"

#define NR_OPEN_MAX (1024 * 1024) /* /proc/sys/fs/nr_open */

int rlimit_may(const struct task *task, const struct task *target)
{
	const struct cred *c = task->cred, *t = target->cred;

	if (task->group == target->group)
		return 0;
	if (task->group->container != target->group->container) /* numbers may be shared, limits are not */
		return -LINUX_EPERM;
	if (c->uid == t->euid && c->uid == t->suid && c->uid == t->uid && c->gid == t->egid && c->gid == t->sgid &&
	    c->gid == t->gid)
		return 0;
	return task_capable(task, LINUX_CAP_SYS_RESOURCE) ? 0 : -LINUX_EPERM;
}

int rlimit_change(struct task *task, struct thread_group *target, unsigned which, const struct linux_rlimit *set,
		  struct linux_rlimit *old)
{
	struct linux_rlimit *lim;

	if (which >= LINUX_RLIM_NLIMITS)
		return -LINUX_EINVAL;
	lim = &target->rlimits[which];
	if (set != NULL) {
		if (set->cur > set->max)
			return -LINUX_EINVAL;
		if (which == LINUX_RLIMIT_NOFILE && set->max > NR_OPEN_MAX)
			return -LINUX_EPERM;
		if (set->max > lim->max && !task_capable(task, LINUX_CAP_SYS_RESOURCE))
			return -LINUX_EPERM;
	}
	if (old != NULL)
		*old = *lim;
	if (set == NULL)
		return 0;
	*lim = *set;
	if (which == LINUX_RLIMIT_STACK && platform->forget != NULL) {
		struct task *t;

		list_for_each(t, &target->threads, group_link)
			platform->forget(t);
	}
	if (which == LINUX_RLIMIT_STACK && target == task->group && platform->is_full(task))
		return mm_stack_limit(task, set->cur);
	if (which == LINUX_RLIMIT_CPU)
		timers_rlimit_cpu(target);
	return 0;
}
