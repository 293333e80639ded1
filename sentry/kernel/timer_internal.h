/* SPDX-License-Identifier: Apache-2.0 */
/* A process's timers: timer.c and cputimer.c. */
#ifndef SENTRY_KERNEL_TIMER_INTERNAL_H
#define SENTRY_KERNEL_TIMER_INTERNAL_H

#include "sentry/kernel/loop.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/timer.h"

/* ITIMER_VIRTUAL, ITIMER_PROF: CPU time at which it fires next, 0: off. */
struct cpu_itimer {
	uint64_t expires, interval;
};

/* Made at the first use, gone with the last thread. */
struct posix_timers {
	struct thread_group *group; /* borrowed: it owns us */
	struct ktimer real;         /* ITIMER_REAL */
	uint64_t real_interval;
	struct cpu_itimer virt, prof;
	struct ktimer sample;     /* looks at CPU times while something waits for them */
	uint64_t last_cpu, pause; /* at the last sample; time between samples while nothing is used */
	int32_t turn;             /* the thread that the last signal of an itimer on CPU time was for */
	struct list timers;       /* posix_timer.link, in order of creation */
	uint32_t count;
	int next_id;
};

struct posix_timer {
	struct list link;
	struct posix_timers *owner;
	int id, clock, notify;
	struct task *target;            /* counted; SIGEV_THREAD_ID; NULL: the process */
	struct task *cpu_task;          /* counted; whose time a thread clock counts; NULL: a process clock */
	struct thread_group *cpu_group; /* counted; NULL: not a CPU-time clock */
	struct sigqueue_entry entry;    /* queued: the signal has not been taken yet */
	uint64_t expires;               /* on the clock; 0: not armed */
	uint64_t interval;
	int64_t overrun, overrun_last; /* overrun: expirations that found the signal queued */
	struct ktimer timer;           /* not used by CPU-time clocks */
};

/* The group's, made if need be. NULL if memory is out. */
struct posix_timers *timers_of(struct thread_group *group) must_check;
/* The timer's time has come: sends the signal. */
void timer_fire(struct posix_timer *t);
/* Moves expires behind now by whole intervals; the number of intervals. */
uint64_t timer_forward(struct posix_timer *t, uint64_t now);

/* ---- cputimer.c ---- */

/* Something that waits for CPU time was set: starts (or goes on) looking. */
void cpu_timers_start(struct posix_timers *ts);
void cpu_timers_init(struct posix_timers *ts);
uint64_t cpu_timer_now(const struct posix_timer *t);
/* Fills cpu_task and cpu_group for a CPU-time clock of the caller. -LINUX_EINVAL. */
int cpu_timer_clock(struct task *task, int clock, struct posix_timer *t) must_check;
int64_t cpu_sleep(struct task *task, int clock, bool absolute, uint64_t ns) must_check;
static inline bool clock_is_cpu(int clock)
{
	return clock < 0 || clock == LINUX_CLOCK_PROCESS_CPUTIME_ID || clock == LINUX_CLOCK_THREAD_CPUTIME_ID;
}

#endif
