/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What time it is: the host's clocks. The guest reads most of them without us, by the vDSO; what it gets from us must
 * agree with that.
 *
 * CPU-time clocks name a process or thread in their number: bits 0-1 what is counted, bit 2 thread or process, the rest
 * the inverted id (0: the caller).
 *
 * Left out: setting any clock (EPERM); CLOCK_REALTIME_ALARM and BOOTTIME_ALARM (as on a machine without a clock
 * device). A deadline on CLOCK_REALTIME is turned into one on CLOCK_MONOTONIC when it is set: steps of the host's wall
 * clock in between don't move it.
 */
#include "sentry/kernel/time.h"

#include "sentry/abi/errno.h"
#include "sentry/host/host.h"
#include "sentry/kernel/task_internal.h"

#include <time.h>

bool time_read(int clock, uint64_t *ns)
{
	switch (clock) {
	case LINUX_CLOCK_REALTIME:
	case LINUX_CLOCK_MONOTONIC:
	case LINUX_CLOCK_MONOTONIC_RAW:
	case LINUX_CLOCK_REALTIME_COARSE:
	case LINUX_CLOCK_MONOTONIC_COARSE:
	case LINUX_CLOCK_BOOTTIME:
	case LINUX_CLOCK_TAI:
		*ns = host_clock_ns(clock);
		return true;
	default: /* the alarm clocks need a real-time clock device, which there isn't */
		return false;
	}
}

enum cpu_what { CPU_PROF, CPU_VIRT, CPU_SCHED };

static int cpu_clock_read(struct task *task, int clock, uint64_t *ns)
{
	int32_t id = ~(clock >> 3);
	bool thread = (clock & 4) != 0;
	struct task *t = id != 0 ? task_find(id) : task;
	uint64_t u, s;

	if (t == NULL || (clock & 3) > CPU_SCHED)
		return -LINUX_EINVAL;
	if (thread) {
		if (t->group != task->group)
			return -LINUX_EINVAL;
		task_times(t, &u, &s);
	} else {
		if (t != t->group->leader && id != 0 && t->group != task->group)
			return -LINUX_EINVAL;
		group_times(t->group, &u, &s);
	}
	*ns = (clock & 3) == CPU_VIRT ? u : u + s;
	return 0;
}

int clock_read(struct task *task, int clock, uint64_t *ns)
{
	uint64_t u, s;

	if (clock < 0)
		return (clock & 7) == 3 ? -LINUX_EINVAL : cpu_clock_read(task, clock, ns);
	if (clock == LINUX_CLOCK_PROCESS_CPUTIME_ID) {
		group_times(task->group, &u, &s);
		*ns = u + s;
		return 0;
	}
	if (clock == LINUX_CLOCK_THREAD_CPUTIME_ID) {
		task_times(task, &u, &s);
		*ns = u + s;
		return 0;
	}
	return time_read(clock, ns) ? 0 : -LINUX_EINVAL;
}

uint64_t time_deadline_in(uint64_t ns)
{
	uint64_t now = host_clock_ns(CLOCK_MONOTONIC);

	return ns >= (uint64_t)INT64_MAX - now ? (uint64_t)INT64_MAX : now + ns;
}

bool time_deadline(int clock, uint64_t ns, uint64_t *deadline)
{
	uint64_t now;

	switch (clock) {
	case LINUX_CLOCK_MONOTONIC:
		*deadline = MAX(ns, 1UL);
		return true;
	case LINUX_CLOCK_REALTIME:
	case LINUX_CLOCK_BOOTTIME:
	case LINUX_CLOCK_TAI:
		if (!time_read(clock, &now))
			return false;
		*deadline = ns > now ? time_deadline_in(ns - now) : 1;
		return true;
	default:
		return false;
	}
}

static uint64_t coarse_resolution = 4 * NSEC_PER_MSEC;

void time_init(void)
{
	struct timespec ts;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &ts) == 0 && ts.tv_sec == 0)
		coarse_resolution = (uint64_t)ts.tv_nsec;
}

uint64_t time_coarse_resolution(void)
{
	return coarse_resolution;
}

uint64_t timespec_to_ns(const struct linux_timespec *ts)
{
	if (ts->sec >= INT64_MAX / (int64_t)NSEC_PER_SEC)
		return INT64_MAX;
	return (uint64_t)ts->sec * NSEC_PER_SEC + (uint64_t)ts->nsec;
}
