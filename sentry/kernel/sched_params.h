/* SPDX-License-Identifier: Apache-2.0 */
/* Scheduling parameters as processes see and set them (sched(7)). */
#ifndef SENTRY_KERNEL_SCHED_PARAMS_H
#define SENTRY_KERNEL_SCHED_PARAMS_H

#include "sentry/kernel/task.h"

struct linux_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};
#define LINUX_SCHED_ATTR_SIZE_VER0 48U
#define LINUX_SCHED_FLAG_RESET_ON_FORK 1U
#define LINUX_SCHED_FLAG_RECLAIM 2U
#define LINUX_SCHED_FLAG_DL_OVERRUN 4U
#define LINUX_SCHED_FLAG_KEEP_POLICY 8U
#define LINUX_SCHED_FLAG_KEEP_PARAMS 0x10U
#define LINUX_SCHED_FLAG_UTIL 0x60U

/* The CPUs of the sandbox, as a mask: at most 64. */
uint64_t sched_cpu_mask(void);
/* Nobody changes what is another container's. */
bool sched_same_container(const struct task *task, const struct task *target);
/* May task change target's scheduling? Same owner, or CAP_SYS_NICE. */
bool sched_same_owner(const struct task *task, const struct task *target);
/* Policy, priority, nice, reset-on-fork: all checks, in Linux's order. 0, -LINUX_EINVAL, -LINUX_EPERM. */
int sched_change(struct task *task, struct task *target, const struct linux_sched_attr *attr) must_check;
void sched_read(const struct task *target, struct linux_sched_attr *attr);
/* -LINUX_EINVAL: no CPU of ours in the mask; -LINUX_EPERM. */
int sched_set_affinity(struct task *task, struct task *target, uint64_t mask) must_check;
/* nice(2)'s part: -LINUX_EACCES to go below what RLIMIT_NICE allows. */
int sched_set_nice(struct task *task, struct task *target, int nice) must_check;

/* Highest and lowest static priority of a policy; -LINUX_EINVAL. */
int sched_priority_max(int policy) must_check;
int sched_priority_min(int policy) must_check;

#endif
