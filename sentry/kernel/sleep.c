/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nanosleep(2) and clock_nanosleep(2).
 *
 * An interrupted relative sleep goes on to the same deadline when nothing handled the signal (restart_syscall): the
 * restart block holds the deadline and where the guest wants the rest written.
 */
#include "sentry/kernel/timer_internal.h"

#include "sentry/abi/errno.h"
#include "sentry/host/host.h"
#include "sentry/mm/usercopy.h"

#include <time.h>

enum { REM = 2, DEADLINE, CLOCK };

static int64_t restart_sleep(struct task *task);

static int put_rest(struct task *task, gva_t rem, uint64_t left)
{
	struct linux_timespec ts = ns_to_timespec(left);

	return rem.v != 0 ? put_guest(task, rem, &ts) : 0;
}

/* Interrupted: tells what is left, and prepares the restart. */
static int64_t interrupted(struct task *task, int clock, uint64_t deadline, uint64_t left, gva_t rem)
{
	if (put_rest(task, rem, left))
		return -LINUX_EFAULT;
	task->restart.fn = restart_sleep;
	task->restart.data[REM] = rem.v;
	task->restart.data[DEADLINE] = deadline;
	task->restart.data[CLOCK] = (uint64_t)(int64_t)clock;
	return -LINUX_ERESTART_RESTARTBLOCK;
}

static int64_t sleep_until(struct task *task, uint64_t deadline, gva_t rem)
{
	uint64_t now;
	int err;

	do {
		err = task_block(task, WAIT_INTERRUPTIBLE, deadline);
	} while (err == 0);
	if (err == -LINUX_ETIMEDOUT)
		return 0;
	now = host_clock_ns(CLOCK_MONOTONIC);
	if (now >= deadline)
		return 0;
	return interrupted(task, LINUX_CLOCK_MONOTONIC, deadline, deadline - now, rem);
}

static int64_t sleep_on_cpu(struct task *task, int clock, bool absolute, uint64_t ns, gva_t rem)
{
	int64_t err;

	/* One can't wait for time that only runs while one doesn't. */
	if (clock == LINUX_CLOCK_THREAD_CPUTIME_ID)
		return -LINUX_EOPNOTSUPP;
	if (clock < 0 && (clock & 4) && (~(clock >> 3) == 0 || ~(clock >> 3) == task->tid))
		return -LINUX_EINVAL;
	err = cpu_sleep(task, clock, absolute, ns);
	if (err != -LINUX_ERESTARTSYS)
		return err;
	if (absolute)
		return -LINUX_ERESTARTNOHAND;
	return interrupted(task, clock, task->restart.data[1], task->restart.data[0], rem);
}

static int64_t restart_sleep(struct task *task)
{
	uint64_t deadline = task->restart.data[DEADLINE];
	int clock = (int)task->restart.data[CLOCK];
	gva_t rem = GVA(task->restart.data[REM]);
	int64_t err;

	if (!clock_is_cpu(clock))
		return sleep_until(task, deadline, rem);
	err = cpu_sleep(task, clock, true, deadline);
	if (err != -LINUX_ERESTARTSYS)
		return err;
	return interrupted(task, clock, deadline, task->restart.data[0], rem);
}

int64_t sleep_on_clock(struct task *task, int clock, bool absolute, uint64_t ns, gva_t rem)
{
	uint64_t deadline, unused;
	int64_t ret;

	if (clock_is_cpu(clock))
		return sleep_on_cpu(task, clock, absolute, ns, rem);
	if (clock == LINUX_CLOCK_REALTIME_ALARM || clock == LINUX_CLOCK_BOOTTIME_ALARM)
		return -LINUX_EOPNOTSUPP;
	if (!time_deadline(clock, ns, &deadline))
		return time_read(clock, &unused) ? -LINUX_EOPNOTSUPP : -LINUX_EINVAL;
	if (!absolute)
		deadline = time_deadline_in(ns);
	ret = sleep_until(task, deadline, absolute ? GVA_NULL : rem);
	return absolute && ret == -LINUX_ERESTART_RESTARTBLOCK ? -LINUX_ERESTARTNOHAND : ret;
}
