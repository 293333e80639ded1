/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks, sleeping, interval and POSIX timers. Setting clocks is refused: the table has those rows. */
#include "sentry/kernel/timer.h"

#include "sentry/abi/signal.h"
#include "sentry/kernel/task.h"
#include "syscalls/define.h"

#include <limits.h>
#include <string.h>

#define CLOCK_MAX 12

/* ---- clocks ---- */

SYSCALL_DEFINE2(clock_gettime, int, clock, gva_t, tp)
{
	struct linux_timespec ts;
	uint64_t ns;
	int err = clock_read(task, clock, &ns);

	if (err)
		return err;
	ts = ns_to_timespec(ns);
	return put_guest(task, tp, &ts);
}

SYSCALL_DEFINE2(clock_getres, int, clock, gva_t, res)
{
	bool coarse = clock == LINUX_CLOCK_REALTIME_COARSE || clock == LINUX_CLOCK_MONOTONIC_COARSE;
	struct linux_timespec ts = {0, coarse ? (int64_t)time_coarse_resolution() : 1};
	uint64_t ns;
	int err = clock_read(task, clock, &ns);

	if (err)
		return err;
	return res.v != 0 ? put_guest(task, res, &ts) : 0;
}

SYSCALL_DEFINE2(gettimeofday, gva_t, tv, gva_t, tz)
{
	const int32_t zone[2] = {0, 0};
	struct linux_timeval now;
	uint64_t ns;

	if (tv.v != 0) {
		if (!time_read(LINUX_CLOCK_REALTIME, &ns))
			return -LINUX_EINVAL;
		now = (struct linux_timeval){(int64_t)(ns / NSEC_PER_SEC),
					     (int64_t)(ns % NSEC_PER_SEC / NSEC_PER_USEC)};
		if (put_guest(task, tv, &now))
			return -LINUX_EFAULT;
	}
	return tz.v != 0 ? put_guest(task, tz, &zone) : 0;
}

SYSCALL_DEFINE1(time, gva_t, tloc)
{
	int64_t now;
	uint64_t ns;

	if (!time_read(LINUX_CLOCK_REALTIME, &ns))
		return -LINUX_EINVAL;
	now = (int64_t)(ns / NSEC_PER_SEC);
	if (tloc.v != 0 && put_guest(task, tloc, &now))
		return -LINUX_EFAULT;
	return now;
}

struct linux_timex {
	uint32_t modes, pad0;
	int64_t offset, freq, maxerror, esterror;
	int32_t status, pad1;
	int64_t constant, precision, tolerance;
	struct linux_timeval time;
	int64_t tick, ppsfreq, jitter;
	int32_t shift, pad2;
	int64_t stabil, jitcnt, calcnt, errcnt, stbcnt;
	int32_t tai, pad3[11];
};
_Static_assert(sizeof(struct linux_timex) == 208, "struct timex");

#define ADJ_OFFSET_SS_READ 0xa001U
#define STA_UNSYNC 0x40
#define TIME_ERROR 5

/* The clock is the host's: it can be looked at, as one that nothing disciplines. */
static int64_t read_timex(struct task *task, gva_t buf)
{
	struct linux_timex t;
	uint64_t ns;

	if (get_guest(task, &t, buf))
		return -LINUX_EFAULT;
	if (t.modes != 0 && t.modes != ADJ_OFFSET_SS_READ)
		return -LINUX_EPERM;
	if (!time_read(LINUX_CLOCK_REALTIME, &ns))
		return -LINUX_EINVAL;
	t = (struct linux_timex){
		.modes = t.modes,
		.maxerror = 16000000,
		.esterror = 16000000,
		.status = STA_UNSYNC,
		.constant = 2,
		.precision = 1,
		.tolerance = 32768000,
		.time = {(int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC / NSEC_PER_USEC)},
		.tick = 10000,
	};
	return put_guest(task, buf, &t) ? -LINUX_EFAULT : TIME_ERROR;
}

SYSCALL_DEFINE1(adjtimex, gva_t, buf)
{
	return read_timex(task, buf);
}

SYSCALL_DEFINE2(clock_adjtime, int, clock, gva_t, buf)
{
	if (clock < 0 || clock >= CLOCK_MAX)
		return -LINUX_EINVAL;
	return clock == LINUX_CLOCK_REALTIME ? read_timex(task, buf) : -LINUX_EOPNOTSUPP;
}

/* ---- sleeping ---- */

SYSCALL_DEFINE2(nanosleep, gva_t, req, gva_t, rem)
{
	struct linux_timespec ts;

	if (get_guest(task, &ts, req))
		return -LINUX_EFAULT;
	if (!timespec_valid(&ts))
		return -LINUX_EINVAL;
	return sleep_on_clock(task, LINUX_CLOCK_MONOTONIC, false, timespec_to_ns(&ts), rem);
}

SYSCALL_DEFINE4(clock_nanosleep, int, clock, int, flags, gva_t, req, gva_t, rem)
{
	struct linux_timespec ts;
	uint64_t ns;
	bool alarm = clock == LINUX_CLOCK_REALTIME_ALARM || clock == LINUX_CLOCK_BOOTTIME_ALARM;

	if (clock >= 0 && !alarm && clock_read(task, clock, &ns) != 0)
		return -LINUX_EINVAL;
	if (get_guest(task, &ts, req))
		return -LINUX_EFAULT;
	if (!timespec_valid(&ts))
		return -LINUX_EINVAL;
	return sleep_on_clock(task, clock, (flags & LINUX_TIMER_ABSTIME) != 0, timespec_to_ns(&ts), rem);
}

/* ---- interval timers ---- */

struct linux_itimerval {
	struct linux_timeval interval, value;
};

static struct linux_timeval ns_to_timeval(uint64_t ns)
{
	return (struct linux_timeval){(int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC / NSEC_PER_USEC)};
}

static bool timeval_to_ns(const struct linux_timeval *tv, uint64_t *ns)
{
	struct linux_timespec ts;

	if (tv->sec < 0 || tv->usec < 0 || tv->usec >= 1000000)
		return false;
	ts = (struct linux_timespec){tv->sec, tv->usec * (int64_t)NSEC_PER_USEC};
	*ns = timespec_to_ns(&ts);
	return true;
}

SYSCALL_DEFINE2(getitimer, int, which, gva_t, value)
{
	struct linux_itimerval v;
	struct timer_setting s;
	int err;

	if (which < LINUX_ITIMER_REAL || which > LINUX_ITIMER_PROF)
		return -LINUX_EINVAL;
	err = itimer_get(task, which, &s);
	if (err)
		return err;
	v = (struct linux_itimerval){ns_to_timeval(s.interval), ns_to_timeval(s.value)};
	return put_guest(task, value, &v);
}

SYSCALL_DEFINE3(setitimer, int, which, gva_t, value, gva_t, ovalue)
{
	struct linux_itimerval v = {0};
	struct timer_setting set, old;
	int err;

	if (value.v != 0 && get_guest(task, &v, value))
		return -LINUX_EFAULT;
	if (which < LINUX_ITIMER_REAL || which > LINUX_ITIMER_PROF || !timeval_to_ns(&v.interval, &set.interval) ||
	    !timeval_to_ns(&v.value, &set.value))
		return -LINUX_EINVAL;
	err = itimer_set(task, which, &set, &old);
	if (err || ovalue.v == 0)
		return err;
	v = (struct linux_itimerval){ns_to_timeval(old.interval), ns_to_timeval(old.value)};
	return put_guest(task, ovalue, &v);
}

SYSCALL_DEFINE1(alarm, uint32_t, seconds)
{
	struct timer_setting set = {0, MIN(seconds, (uint32_t)INT_MAX) * NSEC_PER_SEC}, old;
	int err = itimer_set(task, LINUX_ITIMER_REAL, &set, &old);
	uint64_t sec, rest;

	if (err)
		return 0; /* it has no way to fail */
	/* Rounded, but never down to 0: that would say that none was set. */
	sec = old.value / NSEC_PER_SEC;
	rest = old.value % NSEC_PER_SEC;
	return (int64_t)(sec + ((sec == 0 && rest != 0) || rest >= NSEC_PER_SEC / 2));
}

/* ---- POSIX timers ---- */

struct linux_itimerspec {
	struct linux_timespec interval, value;
};

static void itimerspec_of(const struct timer_setting *s, struct linux_itimerspec *out)
{
	*out = (struct linux_itimerspec){ns_to_timespec(s->interval), ns_to_timespec(s->value)};
}

SYSCALL_DEFINE3(timer_create, int, clock, gva_t, event, gva_t, id)
{
	struct linux_sigevent ev;
	int ret;

	if (event.v != 0 && get_guest(task, &ev, event))
		return -LINUX_EFAULT;
	ret = ptimer_new(task, clock, event.v != 0 ? &ev : NULL);
	if (ret < 0)
		return ret;
	if (put_guest(task, id, &ret)) {
		(void)!ptimer_delete(task, ret);
		return -LINUX_EFAULT;
	}
	return 0;
}

SYSCALL_DEFINE4(timer_settime, int, id, int, flags, gva_t, new, gva_t, oldp)
{
	struct linux_itimerspec v;
	struct timer_setting set, old;
	int err;

	if (new.v == 0)
		return -LINUX_EINVAL;
	if (get_guest(task, &v, new))
		return -LINUX_EFAULT;
	if (!timespec_valid(&v.interval) || !timespec_valid(&v.value))
		return -LINUX_EINVAL;
	set = (struct timer_setting){timespec_to_ns(&v.interval), timespec_to_ns(&v.value)};
	err = ptimer_set(task, id, (flags & LINUX_TIMER_ABSTIME) != 0, &set, &old);
	if (err || oldp.v == 0)
		return err;
	itimerspec_of(&old, &v);
	return put_guest(task, oldp, &v);
}

SYSCALL_DEFINE2(timer_gettime, int, id, gva_t, value)
{
	struct linux_itimerspec v;
	struct timer_setting s;
	int err = ptimer_get(task, id, &s);

	if (err)
		return err;
	itimerspec_of(&s, &v);
	return put_guest(task, value, &v);
}

SYSCALL_DEFINE1(timer_getoverrun, int, id)
{
	return ptimer_overrun(task, id);
}

SYSCALL_DEFINE1(timer_delete, int, id)
{
	return ptimer_delete(task, id);
}
