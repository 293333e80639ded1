/* SPDX-License-Identifier: Apache-2.0 */
/* Interval timers, POSIX timers, sleeping: what syscalls/timer.c calls. */
#ifndef SENTRY_KERNEL_TIMER_H
#define SENTRY_KERNEL_TIMER_H

#include "sentry/base/types.h"
#include "sentry/kernel/time.h"

struct task;

enum { LINUX_ITIMER_REAL, LINUX_ITIMER_VIRTUAL, LINUX_ITIMER_PROF };

/* In ns; value 0: not armed. */
struct timer_setting {
	uint64_t interval, value;
};

/* which is checked by the caller. set NULL: only asks. 0 or -LINUX_ENOMEM. */
int itimer_set(struct task *task, int which, const struct timer_setting *set, struct timer_setting *old) must_check;
int itimer_get(struct task *task, int which, struct timer_setting *out) must_check;

#define LINUX_SIGEV_SIGNAL 0
#define LINUX_SIGEV_NONE 1
#define LINUX_SIGEV_THREAD 2
#define LINUX_SIGEV_THREAD_ID 4

struct linux_sigevent {
	uint64_t value;
	int32_t signo, notify, tid;
	int32_t pad[11];
};
_Static_assert(sizeof(struct linux_sigevent) == 64, "struct sigevent");

/* timer_create(2): ev NULL stands for SIGALRM with the id as value. The id or -errno. */
int ptimer_new(struct task *task, int clock, const struct linux_sigevent *ev) must_check;
int ptimer_delete(struct task *task, int id) must_check;
int ptimer_set(struct task *task, int id, bool absolute, const struct timer_setting *set,
	       struct timer_setting *old) must_check;
int ptimer_get(struct task *task, int id, struct timer_setting *out) must_check;
int ptimer_overrun(struct task *task, int id) must_check;

/*
 * nanosleep(2), clock_nanosleep(2): ns is the time of clock to wake at (absolute) or how long to sleep. An interrupted
 * relative sleep writes what is left to rem (null: nobody asks) and gives -LINUX_ERESTART_RESTARTBLOCK, an absolute one
 * -LINUX_ERESTARTNOHAND. -LINUX_EINVAL, -LINUX_EOPNOTSUPP: not a clock to sleep on.
 */
int64_t sleep_on_clock(struct task *task, int clock, bool absolute, uint64_t ns, gva_t rem) must_check;

#endif
