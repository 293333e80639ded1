/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers on CPU time: ITIMER_VIRTUAL and ITIMER_PROF, RLIMIT_CPU, POSIX timers and sleeps on CPU-time clocks.
 *
 * Guest threads burn their time on the host without telling us, so somebody must look. While a process has such a
 * timer, one ktimer samples its times: not before the nearest timer could possibly expire (all its threads running on
 * CPUs of their own), not more often than Linux's own tick (4 ms), and ever less often, down to 20 times a second,
 * while the process uses nothing. Without such a timer nothing looks.
 */
#include "sentry/kernel/timer_internal.h"

#include "sentry/abi/errno.h"
#include "sentry/host/host.h"

#include <time.h>

#define SAMPLE_MIN (4 * NSEC_PER_MSEC)
#define SAMPLE_MAX (50 * NSEC_PER_MSEC)

static void sample(struct ktimer *k);

void cpu_timers_init(struct posix_timers *ts)
{
	ktimer_init(&ts->sample, sample);
	ts->pause = SAMPLE_MIN;
}

uint64_t cpu_timer_now(const struct posix_timer *t)
{
	uint64_t u, s;

	if (t->cpu_task != NULL)
		task_times(t->cpu_task, &u, &s);
	else
		group_times(t->cpu_group, &u, &s);
	return t->clock < 0 && (t->clock & 3) == 1 ? u : u + s;
}

int cpu_timer_clock(struct task *task, int clock, struct posix_timer *t)
{
	struct task *who = task;
	bool thread = clock == LINUX_CLOCK_THREAD_CPUTIME_ID;
	uint64_t unused;
	int err = clock_read(task, clock, &unused);

	if (err)
		return err;
	if (clock < 0) {
		thread = (clock & 4) != 0;
		if (~(clock >> 3) != 0)
			who = task_find(~(clock >> 3));
	}
	if (who == NULL)
		return -LINUX_EINVAL;
	if (thread)
		t->cpu_task = task_get(who);
	t->cpu_group = group_get(who->group);
	return 0;
}

/* ---- what can expire ---- */

static void nearest(uint64_t *least, uint64_t expires, uint64_t now)
{
	if (expires != 0)
		*least = MIN(*least, expires > now ? expires - now : 0);
}

/*
 * Who uses the time: Linux's tick finds the thread that runs, and that one takes the signal, on which profilers rely.
 * Here those that run take turns, in order of their ids; NULL if all are asleep.
 */
static struct task *running_thread(struct posix_timers *ts)
{
	struct task *t, *next = NULL, *least = NULL;

	list_for_each(t, &ts->group->threads, group_link) {
		if (t->exiting || t->blocked)
			continue;
		if (least == NULL || t->tid < least->tid)
			least = t;
		if (t->tid > ts->turn && (next == NULL || t->tid < next->tid))
			next = t;
	}
	if (next == NULL)
		next = least;
	if (next != NULL)
		ts->turn = next->tid;
	return next;
}

static void check_itimer(struct posix_timers *ts, struct cpu_itimer *it, uint64_t now, int sig)
{
	struct task *t;

	if (it->expires == 0 || it->expires > now)
		return;
	if (it->interval != 0)
		it->expires += ((now - it->expires) / it->interval + 1) * it->interval;
	else
		it->expires = 0;
	t = running_thread(ts);
	if (t != NULL)
		(void)signal_send_group_by(t, sig, NULL);
	else
		(void)signal_send_group(ts->group, sig, NULL);
}

/* SIGXCPU at the soft limit and every second from then on, SIGKILL at the hard one. */
static void check_rlimit(struct thread_group *g, uint64_t now)
{
	struct linux_rlimit *lim = &g->rlimits[LINUX_RLIMIT_CPU];

	if (lim->cur == LINUX_RLIM_INFINITY)
		return;
	if (lim->max != LINUX_RLIM_INFINITY && now / NSEC_PER_SEC >= lim->max) {
		(void)signal_send_group(g, LINUX_SIGKILL, NULL);
		return;
	}
	if (now / NSEC_PER_SEC >= lim->cur) {
		(void)signal_send_group(g, LINUX_SIGXCPU, NULL);
		lim->cur = now / NSEC_PER_SEC + 1;
	}
}

static void check_all(struct posix_timers *ts, uint64_t user, uint64_t total)
{
	struct posix_timer *t, *tmp;

	check_itimer(ts, &ts->virt, user, LINUX_SIGVTALRM);
	check_itimer(ts, &ts->prof, total, LINUX_SIGPROF);
	check_rlimit(ts->group, total);
	list_for_each_safe(t, tmp, &ts->timers, link)
		if (t->cpu_group != NULL && t->expires != 0 && list_empty(&t->entry.link) &&
		    t->notify != LINUX_SIGEV_NONE && t->expires <= cpu_timer_now(t))
			timer_fire(t);
}

/* CPU time until the next one can expire; UINT64_MAX if none is set. */
static uint64_t time_left(const struct posix_timers *ts, uint64_t user, uint64_t total)
{
	const struct linux_rlimit *lim = &ts->group->rlimits[LINUX_RLIMIT_CPU];
	uint64_t least = UINT64_MAX;
	struct posix_timer *t;

	nearest(&least, ts->virt.expires, user);
	nearest(&least, ts->prof.expires, total);
	if (lim->cur != LINUX_RLIM_INFINITY && lim->cur < (uint64_t)INT64_MAX / NSEC_PER_SEC)
		nearest(&least, MAX(lim->cur * NSEC_PER_SEC, 1UL), total);
	list_for_each(t, &ts->timers, link)
		if (t->cpu_group != NULL && t->notify != LINUX_SIGEV_NONE && list_empty(&t->entry.link))
			nearest(&least, t->expires, t->expires != 0 ? cpu_timer_now(t) : 0);
	return least;
}

/* The earliest real time at which the group can have used ns of CPU. */
static uint64_t earliest(const struct thread_group *g, uint64_t ns)
{
	return ns / MAX(MIN(g->nthreads, kernel.ncpus), 1U);
}

static void look_again(struct posix_timers *ts, uint64_t user, uint64_t total)
{
	uint64_t left = time_left(ts, user, total);

	if (left == UINT64_MAX)
		return;
	if (total != ts->last_cpu)
		ts->pause = SAMPLE_MIN;
	else
		ts->pause = MIN(ts->pause * 2, SAMPLE_MAX);
	ts->last_cpu = total;
	ktimer_set(&ts->sample, host_clock_ns(CLOCK_MONOTONIC) + MAX(earliest(ts->group, left), ts->pause));
}

static void sample(struct ktimer *k)
{
	struct posix_timers *ts = container_of(k, struct posix_timers, sample);
	struct thread_group *g = ts->group;
	uint64_t u, s;

	group_times(g, &u, &s);
	check_all(ts, u, u + s);
	if (g->timers == ts && !g->exiting)
		look_again(ts, u, u + s);
}

void cpu_timers_start(struct posix_timers *ts)
{
	uint64_t u, s;

	group_times(ts->group, &u, &s);
	ts->pause = SAMPLE_MIN / 2;
	ts->last_cpu = u + s;
	look_again(ts, u, u + s);
}

void timers_rlimit_cpu(struct thread_group *group)
{
	struct posix_timers *ts;

	if (group->rlimits[LINUX_RLIMIT_CPU].cur == LINUX_RLIM_INFINITY || group->zombie)
		return;
	ts = timers_of(group);
	if (ts != NULL)
		cpu_timers_start(ts);
}

/* ---- clock_nanosleep(2) on a process's CPU time ---- */

int64_t cpu_sleep(struct task *task, int clock, bool absolute, uint64_t ns)
{
	struct posix_timer t = {.clock = clock};
	uint64_t now, until, wait;
	int err = cpu_timer_clock(task, clock, &t);

	if (err)
		return err;
	now = cpu_timer_now(&t);
	until = absolute ? ns : now + MIN(ns, (uint64_t)INT64_MAX);
	while ((now = cpu_timer_now(&t)) < until) {
		wait = MAX(earliest(t.cpu_group, until - now), SAMPLE_MIN);
		err = task_block(task, WAIT_INTERRUPTIBLE, time_deadline_in(MIN(wait, NSEC_PER_SEC)));
		if (err == -LINUX_ERESTARTSYS)
			break;
		err = 0;
	}
	if (t.cpu_task != NULL)
		task_put(t.cpu_task);
	group_put(t.cpu_group);
	/* What is left stands in data[0] for the restart. */
	task->restart.data[0] = until > now ? until - now : 0;
	task->restart.data[1] = until;
	return err;
}
