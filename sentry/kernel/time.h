/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What time it is. Everything that tells the guest a time, and every deadline it gives, goes through here, so that one
 * file decides: the host's clocks, which the guest reads by itself through the vDSO.
 */
#ifndef SENTRY_KERNEL_TIME_H
#define SENTRY_KERNEL_TIME_H

#include "sentry/abi/fs.h" /* struct linux_timespec, linux_timeval */
#include "sentry/base/types.h"

struct task;

#define LINUX_CLOCK_REALTIME 0
#define LINUX_CLOCK_MONOTONIC 1
#define LINUX_CLOCK_PROCESS_CPUTIME_ID 2
#define LINUX_CLOCK_THREAD_CPUTIME_ID 3
#define LINUX_CLOCK_MONOTONIC_RAW 4
#define LINUX_CLOCK_REALTIME_COARSE 5
#define LINUX_CLOCK_MONOTONIC_COARSE 6
#define LINUX_CLOCK_BOOTTIME 7
#define LINUX_CLOCK_REALTIME_ALARM 8
#define LINUX_CLOCK_BOOTTIME_ALARM 9
#define LINUX_CLOCK_TAI 11
#define LINUX_TIMER_ABSTIME 1

/* ns of a clock that exists without a process (not the CPU-time ones); false if there is no such clock. */
bool time_read(int clock, uint64_t *ns) must_check;
/* The same, for any clock of clock_gettime(2), CPU-time clocks of processes and threads included. -LINUX_EINVAL. */
int clock_read(struct task *task, int clock, uint64_t *ns) must_check;
/*
 * The deadline for task_block and ktimers (host CLOCK_MONOTONIC) at which clock shows ns. Never 0 and never
 * WAIT_FOREVER's value; a time in the past gives one in the past. False if clock can't be slept on.
 */
bool time_deadline(int clock, uint64_t ns, uint64_t *deadline) must_check;
uint64_t time_deadline_in(uint64_t ns); /* from now */

/* ns between two steps of the coarse clocks, as the host's kernel is built: asked by time_init, before sealing. */
void time_init(void);
uint64_t time_coarse_resolution(void);

/* True if the value is one the kernel accepts: 0 <= nsec < 10^9, sec >= 0. */
static inline bool timespec_valid(const struct linux_timespec *ts)
{
	return ts->sec >= 0 && ts->nsec >= 0 && ts->nsec < (int64_t)NSEC_PER_SEC;
}
/* ns, at most INT64_MAX as the kernel's ktime_t. */
uint64_t timespec_to_ns(const struct linux_timespec *ts);
static inline struct linux_timespec ns_to_timespec(uint64_t ns)
{
	return (struct linux_timespec){(int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC)};
}

#endif
