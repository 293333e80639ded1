/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scheduling parameters: policy, priority, nice value, affinity (sched(7), sched_setaffinity(2), setpriority(2)).
 *
 * The host schedules the guest's threads and the sandbox may not tell it how: everything here is checked and remembered
 * as Linux does, so that programs read back what they set, and has no other effect. Affinity is within the CPUs that
 * the sandbox shows (kernel.ncpus). Real-time policies need CAP_SYS_NICE or RLIMIT_RTPRIO and are then only recorded;
 * SCHED_DEADLINE is refused (EPERM, as without the capability). Another container's processes are nobody's to change,
 * whatever the capabilities: where process numbers are shared they have names, and that is all.
 */
#include "sentry/kernel/sched_params.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/platform/platform.h"
#include "sentry/abi/process.h"

static bool is_rt(int policy)
{
	return policy == LINUX_SCHED_FIFO || policy == LINUX_SCHED_RR;
}

static bool is_fair(int policy)
{
	return policy == LINUX_SCHED_OTHER || policy == LINUX_SCHED_BATCH || policy == LINUX_SCHED_IDLE;
}

int sched_priority_max(int policy)
{
	if (is_rt(policy))
		return 99;
	return is_fair(policy) || policy == LINUX_SCHED_DEADLINE ? 0 : -LINUX_EINVAL;
}

int sched_priority_min(int policy)
{
	return is_rt(policy) ? 1 : sched_priority_max(policy);
}

uint64_t sched_cpu_mask(void)
{
	return kernel.ncpus >= 64 ? UINT64_MAX : (1ULL << kernel.ncpus) - 1;
}

bool sched_same_container(const struct task *task, const struct task *target)
{
	return task->group->container == target->group->container;
}

bool sched_same_owner(const struct task *task, const struct task *target)
{
	return task->cred->euid == target->cred->euid || task->cred->euid == target->cred->uid;
}

static bool nice_allowed(const struct task *task, const struct task *target, int nice)
{
	return 20 - nice <= (int64_t)MIN(group_rlimit(target->group, LINUX_RLIMIT_NICE), 40UL) ||
	       task_capable(task, LINUX_CAP_SYS_NICE);
}

int sched_set_nice(struct task *task, struct task *target, int nice)
{
	nice = MAX(-20, MIN(19, nice));
	if (!sched_same_container(task, target))
		return -LINUX_EPERM;
	if (target->cred->uid != task->cred->euid && target->cred->euid != task->cred->euid &&
	    !task_capable(task, LINUX_CAP_SYS_NICE))
		return -LINUX_EPERM;
	if (nice < target->nice && !nice_allowed(task, target, nice))
		return -LINUX_EACCES;
	target->nice = nice;
	return 0;
}

/* What needs a privilege. */
static int check_rights(struct task *task, struct task *target, int policy, const struct linux_sched_attr *a)
{
	uint64_t limit = group_rlimit(target->group, LINUX_RLIMIT_RTPRIO);

	if (!sched_same_container(task, target))
		return -LINUX_EPERM;
	if (task_capable(task, LINUX_CAP_SYS_NICE))
		return policy == LINUX_SCHED_DEADLINE ? -LINUX_EPERM : 0;
	if (is_fair(policy) && a->nice < target->nice && !nice_allowed(task, target, a->nice))
		return -LINUX_EPERM;
	if (is_rt(policy)) {
		if (policy != target->sched_policy && limit == 0)
			return -LINUX_EPERM;
		if ((int)a->priority > target->sched_priority && a->priority > limit)
			return -LINUX_EPERM;
	}
	if (policy == LINUX_SCHED_DEADLINE)
		return -LINUX_EPERM;
	/* Leaving SCHED_IDLE is a matter of the nice value, too. */
	if (target->sched_policy == LINUX_SCHED_IDLE && policy != LINUX_SCHED_IDLE &&
	    !nice_allowed(task, target, target->nice))
		return -LINUX_EPERM;
	if (!sched_same_owner(task, target))
		return -LINUX_EPERM;
	if (target->sched_reset_on_fork && !(a->flags & LINUX_SCHED_FLAG_RESET_ON_FORK))
		return -LINUX_EPERM;
	return 0;
}

int sched_change(struct task *task, struct task *target, const struct linux_sched_attr *attr)
{
	int policy = (int)attr->policy, err;

	if (sched_priority_max(policy) < 0)
		return -LINUX_EINVAL;
	if (attr->flags &
	    ~(uint64_t)(LINUX_SCHED_FLAG_RESET_ON_FORK | LINUX_SCHED_FLAG_RECLAIM | LINUX_SCHED_FLAG_DL_OVERRUN |
			LINUX_SCHED_FLAG_KEEP_POLICY | LINUX_SCHED_FLAG_KEEP_PARAMS | LINUX_SCHED_FLAG_UTIL))
		return -LINUX_EINVAL;
	if (attr->priority > 99 || is_rt(policy) != (attr->priority != 0))
		return -LINUX_EINVAL;
	if (policy == LINUX_SCHED_DEADLINE && (attr->runtime == 0 || attr->deadline < attr->runtime))
		return -LINUX_EINVAL;
	err = check_rights(task, target, policy, attr);
	if (err)
		return err;
	if (attr->flags & LINUX_SCHED_FLAG_UTIL)
		return -LINUX_EOPNOTSUPP;
	target->sched_reset_on_fork = (attr->flags & LINUX_SCHED_FLAG_RESET_ON_FORK) != 0;
	target->sched_policy = policy;
	if (attr->flags & LINUX_SCHED_FLAG_KEEP_PARAMS)
		return 0;
	target->sched_priority = (int)attr->priority;
	if (is_fair(policy))
		target->nice = MAX(-20, MIN(19, attr->nice));
	return 0;
}

void sched_read(const struct task *target, struct linux_sched_attr *attr)
{
	*attr = (struct linux_sched_attr){
		.size = sizeof(*attr),
		.policy = (uint32_t)target->sched_policy,
		.flags = target->sched_reset_on_fork ? LINUX_SCHED_FLAG_RESET_ON_FORK : 0,
		.priority = (uint32_t)target->sched_priority,
		.util_max = 1024,
	};
	if (is_fair(target->sched_policy))
		attr->nice = target->nice;
}

int sched_set_affinity(struct task *task, struct task *target, uint64_t mask)
{
	if (!sched_same_container(task, target) ||
	    (!sched_same_owner(task, target) && !task_capable(task, LINUX_CAP_SYS_NICE)))
		return -LINUX_EPERM;
	mask &= sched_cpu_mask();
	if (mask == 0)
		return -LINUX_EINVAL;
	target->affinity = mask;
	/* Numbers are the host's: where the host gave us others than the first ones, the host's answer is an error and the
	 * choice is only remembered. */
	if (target->pt != NULL && platform->set_affinity != NULL)
		platform->set_affinity(target->pt, mask);
	return 0;
}
