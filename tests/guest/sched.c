/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scheduling: processors, policies, priorities.
 * covers: sched_setaffinity sched_getaffinity sched_setscheduler sched_getscheduler sched_setparam sched_getparam
 * covers: sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_setattr sched_getattr sched_yield
 * covers: getpriority setpriority ioprio_get ioprio_set
 */
#include "t.h"

#include <sched.h>
#include <sys/resource.h>

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

TEST_ALONE(the_affinity_can_be_narrowed)
{
	cpu_set_t all, one, got;
	int first;

	CPU_ZERO(&all);
	CHECK_GE(syscall(SYS_sched_getaffinity, 0, sizeof all, &all), 8);
	CHECK_GE(CPU_COUNT(&all), 1);
	for (first = 0; !CPU_ISSET(first, &all); first++)
		;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	CHECK_OK(syscall(SYS_sched_setaffinity, 0, sizeof one, &one));
	CHECK_OK(sched_getaffinity(0, sizeof got, &got));
	CHECK(CPU_EQUAL(&got, &one));
	CHECK_EQ(sched_getcpu(), first);
	IN_CHILD() {
		CHECK_OK(sched_getaffinity(0, sizeof got, &got));
		CHECK(CPU_EQUAL(&got, &one));
	}
	CHECK_OK(sched_setaffinity(0, sizeof all, &all));
}

TEST(errors_of_affinity)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CHECK_ERR(syscall(SYS_sched_setaffinity, 0, sizeof set, &set), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setaffinity, 0, sizeof set, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, sizeof set, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, 3, &set), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, 0, &set), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0x3ffffff, sizeof set, &set), ESRCH);
	CPU_SET(0, &set);
	CHECK_ERR(syscall(SYS_sched_setaffinity, 0x3ffffff, sizeof set, &set), ESRCH);
}

TEST(ordinary_policies_have_priority_0)
{
	struct sched_param param = {7};

	CHECK_EQ(syscall(SYS_sched_getscheduler, 0), SCHED_OTHER);
	CHECK_OK(syscall(SYS_sched_getparam, 0, &param));
	CHECK_EQ(param.sched_priority, 0);
	CHECK_EQ(syscall(SYS_sched_get_priority_max, SCHED_FIFO), 99);
	CHECK_EQ(syscall(SYS_sched_get_priority_min, SCHED_FIFO), 1);
	CHECK_EQ(syscall(SYS_sched_get_priority_max, SCHED_RR), 99);
	CHECK_EQ(syscall(SYS_sched_get_priority_max, SCHED_OTHER), 0);
	CHECK_EQ(syscall(SYS_sched_get_priority_min, SCHED_BATCH), 0);
	CHECK_ERR(syscall(SYS_sched_get_priority_max, 77), EINVAL);
	CHECK_ERR(syscall(SYS_sched_get_priority_min, -1), EINVAL);
}

TEST_ALONE(batch_and_idle_are_for_everyone)
{
	struct sched_param zero = {0}, one = {1};

	CHECK_OK(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &zero));
	CHECK_EQ(sched_getscheduler(0), SCHED_BATCH);
	CHECK_OK(sched_setscheduler(0, SCHED_IDLE, &zero));
	CHECK_EQ(sched_getscheduler(0), SCHED_IDLE);
	CHECK_ERR(sched_setscheduler(0, SCHED_BATCH, &one), EINVAL);
	CHECK_ERR(sched_setscheduler(0, 77, &zero), EINVAL);
	CHECK_ERR(sched_setscheduler(0x3ffffff, SCHED_BATCH, &zero), ESRCH);
	CHECK_ERR(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getscheduler, 0x3ffffff), ESRCH);
	CHECK_ERR(syscall(SYS_sched_getscheduler, -1), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getparam, 0, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getparam, 0, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_sched_getparam, 0x3ffffff, &one), ESRCH);
	CHECK_OK(syscall(SYS_sched_setparam, 0, &zero));
	CHECK_ERR(syscall(SYS_sched_setparam, 0, &one), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setparam, 0, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_sched_setparam, 0x3ffffff, &zero), ESRCH);
}

TEST_ALONE(real_time_needs_a_capability)
{
	struct sched_param ten = {10};

	IN_CHILD() {
		t_become_nobody();
		CHECK_OK(setrlimit(RLIMIT_RTPRIO, &(struct rlimit){0, 0}));
		CHECK_ERR(sched_setscheduler(0, SCHED_FIFO, &ten), EPERM);
		CHECK_ERR(sched_setscheduler(0, SCHED_RR, &ten), EPERM);
	}
}

TEST(the_round_robin_interval_can_be_read)
{
	struct timespec slice;

	CHECK_OK(syscall(SYS_sched_rr_get_interval, 0, &slice));
	CHECK(slice.tv_sec == 0 && slice.tv_nsec >= 0);
	CHECK_ERR(syscall(SYS_sched_rr_get_interval, -1, &slice), EINVAL);
	CHECK_ERR(syscall(SYS_sched_rr_get_interval, 0x3ffffff, &slice), ESRCH);
	CHECK_ERR(syscall(SYS_sched_rr_get_interval, 0, t_bad), EFAULT);
}

TEST_ALONE(attributes_are_read_and_set)
{
	struct attr attr = {0};

	CHECK_OK(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0));
	CHECK_EQ(attr.size, sizeof attr);
	CHECK_EQ(attr.policy, SCHED_OTHER);
	attr = (struct attr){.size = sizeof attr, .policy = SCHED_BATCH, .nice = 5};
	CHECK_OK(syscall(SYS_sched_setattr, 0, &attr, 0));
	CHECK_EQ(sched_getscheduler(0), SCHED_BATCH);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5);
	CHECK_OK(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0));
	CHECK_EQ(attr.nice, 5);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, &attr, 10, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 1), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, NULL, sizeof attr, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, t_bad, sizeof attr, 0), EFAULT);
	CHECK_ERR(syscall(SYS_sched_getattr, 0x3ffffff, &attr, sizeof attr, 0), ESRCH);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, t_bad, 0), EFAULT);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, NULL, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &attr, 1), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, 0x3ffffff, &attr, 0), ESRCH);
	attr.size = 10000;
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &attr, 0), E2BIG);
}

TEST_ALONE(nice_values_rise_freely_and_fall_by_right)
{
	CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 20);
	CHECK_OK(syscall(SYS_setpriority, PRIO_PROCESS, 0, 5));
	CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, getpid()), 15);
	CHECK_OK(setpriority(PRIO_PROCESS, 0, 100));
	CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 1);
	IN_CHILD() {
		CHECK_EQ(getpriority(PRIO_PROCESS, 0), 19);
		t_become_nobody();
		CHECK_OK(setrlimit(RLIMIT_NICE, &(struct rlimit){0, 0}));
		CHECK_ERR(setpriority(PRIO_PROCESS, 0, 3), EACCES);
		CHECK_OK(setpriority(PRIO_PROCESS, 0, 19));
	}
	CHECK_ERR(syscall(SYS_getpriority, 77, 0), EINVAL);
	CHECK_ERR(syscall(SYS_setpriority, 77, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_getpriority, PRIO_PROCESS, 0x3ffffff), ESRCH);
	CHECK_ERR(syscall(SYS_setpriority, PRIO_PROCESS, 0x3ffffff, 0), ESRCH);
	CHECK_GE(syscall(SYS_getpriority, PRIO_PGRP, 0), 1);
	CHECK_GE(syscall(SYS_getpriority, PRIO_USER, 0), 1);
}

TEST_ALONE(another_users_priority_is_not_ours_to_set)
{
	pid_t parent = getpid();

	t_need_root();
	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(setpriority(PRIO_PROCESS, parent, 19), EPERM);
	}
}

TEST_ALONE(io_priorities_are_kept)
{
	enum { WHO_PROCESS = 1, CLASS_BEST_EFFORT = 2 };
	int value = CLASS_BEST_EFFORT << 13 | 6;

	CHECK_GE(syscall(SYS_ioprio_get, WHO_PROCESS, 0), 0);
	CHECK_OK(syscall(SYS_ioprio_set, WHO_PROCESS, 0, value));
	CHECK_EQ(syscall(SYS_ioprio_get, WHO_PROCESS, 0), value);
	CHECK_ERR(syscall(SYS_ioprio_set, 77, 0, value), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_get, 77, 0), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_set, WHO_PROCESS, 0, 7 << 13), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_get, WHO_PROCESS, 0x3ffffff), ESRCH);
}
