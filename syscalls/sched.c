/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched_*, getpriority, setpriority, ioprio_*, getcpu, membarrier. The rules are sentry/kernel/sched_params.c's.
 *
 * getcpu: which CPU of the host a thread runs on is nobody's business, and the vDSO tells it anyway; the call answers
 * with the first CPU of the thread's affinity.
 */
#include "sentry/abi/capability.h"
#include "sentry/abi/process.h"
#include "sentry/kernel/membarrier.h"
#include "sentry/kernel/sched_params.h"
#include "syscalls/define.h"

#include <string.h>

/* The thread of a pid argument, 0 for the caller; *err is set if there is none. */
static struct task *target_of(struct task *task, int pid, int *err)
{
	struct task *t = pid == 0 ? task : pid > 0 ? task_find(pid) : NULL;

	*err = pid < 0 ? -LINUX_EINVAL : t == NULL ? -LINUX_ESRCH : 0;
	return t;
}

SYSCALL_DEFINE0(sched_yield)
{
	task_yield(task);
	return 0;
}

SYSCALL_DEFINE3(sched_getaffinity, int, pid, uint32_t, len, gva_t, mask)
{
	uint64_t value;
	struct task *t;
	int err;

	/* Whole words, and room for all CPUs. */
	if (len * 8UL < kernel.ncpus || (len & 7) != 0)
		return -LINUX_EINVAL;
	t = target_of(task, pid, &err);
	if (err)
		return err == -LINUX_EINVAL ? -LINUX_ESRCH : err;
	value = t->affinity & sched_cpu_mask();
	return put_guest(task, mask, &value) ? -LINUX_EFAULT : (int64_t)sizeof(value);
}

SYSCALL_DEFINE3(sched_setaffinity, int, pid, uint32_t, len, gva_t, mask)
{
	uint64_t value = 0;
	struct task *t;
	int err;

	if (copy_from_guest(task, &value, mask, MIN((size_t)len, sizeof(value))))
		return -LINUX_EFAULT;
	t = target_of(task, pid, &err);
	if (err)
		return err == -LINUX_EINVAL ? -LINUX_ESRCH : err;
	return sched_set_affinity(task, t, value);
}

static int64_t set_scheduler(struct task *task, int pid, int policy, gva_t param)
{
	struct linux_sched_attr attr = {0};
	struct task *t;
	int32_t priority;
	int err;

	if (param.v == 0 || pid < 0)
		return -LINUX_EINVAL;
	if (get_guest(task, &priority, param))
		return -LINUX_EFAULT;
	t = target_of(task, pid, &err);
	if (err)
		return err;
	if (priority < 0)
		return -LINUX_EINVAL;
	if (policy == -1) { /* sched_setparam */
		policy = t->sched_policy;
		if (t->sched_reset_on_fork)
			attr.flags = LINUX_SCHED_FLAG_RESET_ON_FORK;
	} else if (policy & LINUX_SCHED_RESET_ON_FORK) {
		attr.flags = LINUX_SCHED_FLAG_RESET_ON_FORK;
		policy &= ~LINUX_SCHED_RESET_ON_FORK;
	}
	attr.policy = (uint32_t)policy;
	attr.priority = (uint32_t)priority;
	attr.nice = t->nice;
	return sched_change(task, t, &attr);
}

SYSCALL_DEFINE3(sched_setscheduler, int, pid, int, policy, gva_t, param)
{
	return policy < 0 ? -LINUX_EINVAL : set_scheduler(task, pid, policy, param);
}

SYSCALL_DEFINE2(sched_setparam, int, pid, gva_t, param)
{
	return set_scheduler(task, pid, -1, param);
}

SYSCALL_DEFINE1(sched_getscheduler, int, pid)
{
	struct task *t;
	int err;

	t = target_of(task, pid, &err);
	return err ? err : t->sched_policy | (t->sched_reset_on_fork ? LINUX_SCHED_RESET_ON_FORK : 0);
}

SYSCALL_DEFINE2(sched_getparam, int, pid, gva_t, param)
{
	struct task *t;
	int err;

	if (param.v == 0)
		return -LINUX_EINVAL;
	t = target_of(task, pid, &err);
	return err ? err : put_guest(task, param, &t->sched_priority);
}

SYSCALL_DEFINE3(sched_setattr, int, pid, gva_t, uattr, uint32_t, flags)
{
	struct linux_sched_attr attr;
	struct task *t;
	uint32_t size;
	int err;

	if (uattr.v == 0 || pid < 0 || flags != 0)
		return -LINUX_EINVAL;
	if (get_guest(task, &size, uattr))
		return -LINUX_EFAULT;
	if (size == 0)
		size = LINUX_SCHED_ATTR_SIZE_VER0;
	err = size < LINUX_SCHED_ATTR_SIZE_VER0 || size > PAGE_SIZE
		      ? -LINUX_E2BIG
		      : copy_struct_from_guest(task, &attr, sizeof(attr), uattr, size);
	if (err == -LINUX_E2BIG) {
		size = sizeof(attr);
		return put_guest(task, uattr, &size) ? -LINUX_EFAULT : -LINUX_E2BIG;
	}
	if (err)
		return err;
	if ((attr.flags & LINUX_SCHED_FLAG_UTIL) && size < sizeof(attr))
		return -LINUX_EINVAL;
	if ((int32_t)attr.policy < 0)
		return -LINUX_EINVAL;
	t = target_of(task, pid, &err);
	if (err)
		return err;
	if (attr.flags & LINUX_SCHED_FLAG_KEEP_POLICY)
		attr.policy = (uint32_t)t->sched_policy;
	return sched_change(task, t, &attr);
}

SYSCALL_DEFINE4(sched_getattr, int, pid, gva_t, uattr, uint32_t, size, uint32_t, flags)
{
	struct linux_sched_attr attr;
	struct task *t;
	int err;

	if (uattr.v == 0 || pid < 0 || size > PAGE_SIZE || size < LINUX_SCHED_ATTR_SIZE_VER0 || flags != 0)
		return -LINUX_EINVAL;
	t = target_of(task, pid, &err);
	if (err)
		return err;
	sched_read(t, &attr);
	attr.size = MIN(size, (uint32_t)sizeof(attr));
	return copy_to_guest(task, uattr, &attr, attr.size);
}

SYSCALL_DEFINE1(sched_get_priority_max, int, policy)
{
	return sched_priority_max(policy);
}

SYSCALL_DEFINE1(sched_get_priority_min, int, policy)
{
	return sched_priority_min(policy);
}

SYSCALL_DEFINE2(sched_rr_get_interval, int, pid, gva_t, interval)
{
	struct linux_timespec ts = {0};
	struct task *t;
	int err;

	t = target_of(task, pid, &err);
	if (err)
		return err;
	if (t->sched_policy == LINUX_SCHED_RR)
		ts.nsec = 100 * NSEC_PER_MSEC;
	else if (t->sched_policy != LINUX_SCHED_FIFO)
		ts.nsec = 3 * NSEC_PER_MSEC;
	return put_guest(task, interval, &ts);
}

/* ---- nice values ---- */

enum { PRIO_PROCESS, PRIO_PGRP, PRIO_USER };

/* Calls fn for each thread that `which` and `who` name; -LINUX_ESRCH if there is none. */
static int64_t each_target(struct task *task, int which, int who,
			   int64_t (*fn)(struct task *, struct task *, int64_t, int), int value)
{
	struct process_group *pgrp = NULL;
	int64_t ret = -LINUX_ESRCH;
	struct thread_group *g;
	struct task *t;

	if (which == PRIO_PROCESS) {
		t = who != 0 ? task_find(who) : task;
		return t != NULL ? fn(task, t, ret, value) : ret;
	}
	if (which == PRIO_PGRP) {
		pgrp = who != 0 ? pgrp_find(who) : task->group->pgrp;
		if (pgrp == NULL)
			return ret;
	}
	list_for_each(g, &kernel.groups, all_link) {
		if ((pgrp != NULL && g->pgrp != pgrp) || g->container != task->group->container)
			continue;
		list_for_each(t, &g->threads, group_link)
			if (which != PRIO_USER || t->cred->uid == (who != 0 ? (kuid_t)who : task->cred->uid))
				ret = fn(task, t, ret, value);
	}
	return ret;
}

static int64_t get_one(unused_arg struct task *task, struct task *t, int64_t so_far, unused_arg int value)
{
	return MAX(so_far, 20 - (int64_t)t->nice);
}

static int64_t set_one(struct task *task, struct task *t, int64_t so_far, int value)
{
	int err = sched_set_nice(task, t, value);

	/* The last failure tells, and a success only if nothing failed. */
	if (err)
		return err;
	return so_far == -LINUX_ESRCH ? 0 : so_far;
}

SYSCALL_DEFINE2(getpriority, int, which, int, who)
{
	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -LINUX_EINVAL;
	return each_target(task, which, who, get_one, 0);
}

SYSCALL_DEFINE3(setpriority, int, which, int, who, int, nice)
{
	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -LINUX_EINVAL;
	return each_target(task, which, who, set_one, nice);
}

#define IOPRIO_CLASS(p) ((p) >> 13)
enum { IOPRIO_NONE, IOPRIO_RT, IOPRIO_BE, IOPRIO_IDLE };

static int ioprio_check(struct task *task, int prio)
{
	switch (IOPRIO_CLASS(prio)) {
	case IOPRIO_RT:
		if (!task_capable(task, LINUX_CAP_SYS_ADMIN) && !task_capable(task, LINUX_CAP_SYS_NICE))
			return -LINUX_EPERM;
		return 0;
	case IOPRIO_BE:
	case IOPRIO_IDLE:
		return 0;
	case IOPRIO_NONE:
		return (prio & 7) != 0 ? -LINUX_EINVAL : 0;
	default:
		return -LINUX_EINVAL;
	}
}

static int64_t ioprio_set_one(struct task *task, struct task *t, int64_t so_far, int value)
{
	if (!sched_same_container(task, t))
		return -LINUX_EPERM;
	if (t->cred->uid != task->cred->euid && t->cred->uid != task->cred->uid &&
	    !task_capable(task, LINUX_CAP_SYS_NICE))
		return -LINUX_EPERM;
	t->ioprio = value;
	return so_far == -LINUX_ESRCH ? 0 : so_far;
}

/* The best of several: a lower number of a set one. */
static int64_t ioprio_get_one(unused_arg struct task *task, struct task *t, int64_t so_far, unused_arg int value)
{
	int64_t prio = t->ioprio;

	if (so_far < 0)
		return prio;
	if (prio == 0 || so_far == 0)
		return MAX(prio, so_far);
	return MIN(prio, so_far);
}

SYSCALL_DEFINE3(ioprio_set, int, which, int, who, int, prio)
{
	int err = ioprio_check(task, prio);

	if (err)
		return err;
	if (which < 1 || which > 3)
		return -LINUX_EINVAL;
	return each_target(task, which - 1, who, ioprio_set_one, prio);
}

SYSCALL_DEFINE2(ioprio_get, int, which, int, who)
{
	if (which < 1 || which > 3)
		return -LINUX_EINVAL;
	return each_target(task, which - 1, who, ioprio_get_one, 0);
}

/* ---- CPUs ---- */

SYSCALL_DEFINE3(getcpu, gva_t, cpu, gva_t, node, unused_arg gva_t, cache)
{
	const uint32_t zero = 0;
	uint32_t nr = (uint32_t)__builtin_ctzll(task->affinity & sched_cpu_mask());

	if (cpu.v != 0 && put_guest(task, cpu, &nr))
		return -LINUX_EFAULT;
	return node.v != 0 ? put_guest(task, node, &zero) : 0;
}

enum {
	MEMBARRIER_QUERY = 0,
	MEMBARRIER_GLOBAL = 1,
	MEMBARRIER_GLOBAL_EXPEDITED = 2,
	MEMBARRIER_REGISTER_GLOBAL_EXPEDITED = 4,
	MEMBARRIER_PRIVATE_EXPEDITED = 8,
	MEMBARRIER_REGISTER_PRIVATE_EXPEDITED = 16,
	MEMBARRIER_PRIVATE_EXPEDITED_SYNC_CORE = 32,
	MEMBARRIER_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 64,
	MEMBARRIER_GET_REGISTRATIONS = 512,
};
#define MEMBARRIER_ALL 0x27f

SYSCALL_DEFINE3(membarrier, int, cmd, uint32_t, flags, unused_arg int, cpu)
{
	uint32_t *registered = &task->group->membarrier;

	if (flags != 0)
		return -LINUX_EINVAL;
	switch (cmd) {
	case MEMBARRIER_QUERY:
		return MEMBARRIER_ALL;
	case MEMBARRIER_GLOBAL:
	case MEMBARRIER_GLOBAL_EXPEDITED:
		return memory_barrier(task, NULL);
	case MEMBARRIER_REGISTER_GLOBAL_EXPEDITED:
	case MEMBARRIER_REGISTER_PRIVATE_EXPEDITED:
	case MEMBARRIER_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
		*registered |= (uint32_t)cmd;
		return 0;
	case MEMBARRIER_PRIVATE_EXPEDITED:
	case MEMBARRIER_PRIVATE_EXPEDITED_SYNC_CORE:
		if (!(*registered & (uint32_t)cmd << 1))
			return -LINUX_EPERM;
		return memory_barrier(task, task->group);
	case MEMBARRIER_GET_REGISTRATIONS:
		return *registered;
	default:
		return -LINUX_EINVAL;
	}
}
