/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits on CPU time without a cgroup: the sandbox as a whole, and each further container of a pod, may use N thousandths of a
 * CPU.
 *
 *	tick (10 ms) --> what did it use? --> credit below zero: held until it is paid back
 *	                                        | kick: its threads in guest code come in
 *	guest thread --> task_return --> cpu_limit_hold: sleeps until then, and goes on
 *
 * Credit grows with time and is capped, so who is idle can't save up more than a burst. What is overdrawn in one tick
 * (by several threads, or by a thread that masks its kicks until the deadline) is paid back in full: the mean is exact,
 * only the grain is coarse. No thread is stopped from outside: one that is held sits in the trap door or in its call, so
 * that nothing else in the sentry has to know.
 *
 * What is used: for the sandbox, all its stubs and the sentry. For a container, its own processes, those that have ended
 * included, and the sentry's work for them: the time its tasks' coroutines ran (sched.c), no more than the sentry's CPU time in
 * the same span. Without that a container could have the sentry copy and hash for it all day. The loop's own work (receiving
 * calls, timers) is nobody's, and the sandbox's. A container's processes are limited by both.
 *
 * Why not the container's own cgroup on the host: see docs/kubernetes.md.
 *
 * A tick runs only while something runs: a sleeping sandbox costs nothing. A held task can still be killed, and goes on when
 * the limit is changed.
 */
#include "sentry/kernel/cpu_limit.h"

#include "sentry/abi/errno.h"
#include "sentry/host/host.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/trace.h"

#include <time.h>

#define TICK_NS (10 * NSEC_PER_MSEC)
#define BURST_NS (20 * NSEC_PER_MSEC) /* of CPU time, saved up while idle */
#define QUIET_TICKS 3                 /* without use: then the tick rests */

uint32_t cpu_limited, cpu_limited_containers;

/* The sandbox's limit is the first container's, and is on everything. */
static struct container *container_of_limit(struct cpu_limit *l)
{
	return container_of(l, struct container, cpu);
}

static bool is_whole(const struct cpu_limit *l)
{
	return l == &container_first.cpu;
}

/*
 * Is a thread of it in guest code? Such a one may stay there, and nothing but the tick would look at it again: that it used
 * nothing for a while only says that the host had no CPU for it.
 */
static bool any_runs(struct cpu_limit *l)
{
	const struct thread_group *g;
	const struct task *t;

	list_for_each(g, &kernel.groups, all_link)
		if ((is_whole(l) || g->container == container_of_limit(l)) && g->stop == GROUP_RUNNING && !g->zombie)
			list_for_each(t, &g->threads, group_link)
				if (!t->blocked && !t->exiting)
					return true;
	return false;
}

static void kick_all(struct cpu_limit *l)
{
	struct thread_group *g;
	struct task *task;

	list_for_each (g, &kernel.groups, all_link)
		if (is_whole(l) || g->container == container_of_limit(l))
			list_for_each (task, &g->threads, group_link)
				platform->kick(task);
}

/* What the sentry did for it since the last time is added to the rest. */
static void count_sentry(struct cpu_limit *l)
{
	uint64_t own = host_clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	l->sentry_ns += MIN(l->served_ns, own - l->last_own);
	l->served_ns = 0;
	l->last_own = own;
}

static uint64_t used_now(struct cpu_limit *l)
{
	uint64_t utime, stime;

	if (is_whole(l))
		return stubs_cpu_ns() + host_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	count_sentry(l);
	container_times(container_of_limit(l), &utime, &stime);
	return MAX(utime + stime, l->last_used); /* estimates never go back */
}

/* Brings the credit up to date; what was spent since the last time. */
static uint64_t settle(struct cpu_limit *l)
{
	uint64_t now = loop_now(), used = used_now(l), spent = used - l->last_used;

	l->credit += (int64_t)((now - l->last_ns) * l->permille / 1000) - (int64_t)spent;
	l->credit = MIN(l->credit, (int64_t)BURST_NS);
	l->last_ns = now;
	l->last_used = used;
	return spent;
}

static void tick(struct ktimer *t)
{
	struct cpu_limit *l = container_of(t, struct cpu_limit, timer);
	uint64_t spent = settle(l), now = l->last_ns;

	l->quiet = spent < TICK_NS / 100 ? l->quiet + 1 : 0;
	l->periods += l->quiet == 0 || l->credit < 0;
	if (l->credit < 0) {
		if (is_whole(l))
			audit_limit("cpu"); /* what ends up in the sandbox's result is about its own limit */
		l->held_until = now + (uint64_t)-l->credit * 1000 / l->permille;
		l->throttled_periods++;
		l->throttled_ns += l->held_until - now;
		kick_all(l);
	}
	if (l->quiet < QUIET_TICKS || any_runs(l))
		ktimer_set(t, MAX(now + TICK_NS, l->held_until));
}

static void begin(struct cpu_limit *l, uint32_t permille)
{
	cpu_limited++;
	cpu_limited_containers += !is_whole(l);
	l->permille = permille;
	l->credit = BURST_NS;
	waitq_init(&l->held);
	ktimer_init(&l->timer, tick);
}

/* Who is held isn't any more: the rest of that time was not taken from them. */
static void release(struct cpu_limit *l)
{
	uint64_t now = loop_now();

	if (l->held_until > now)
		l->throttled_ns -= l->held_until - now;
	l->held_until = 0;
	waitq_wake(&l->held, 0);
}

void cpu_limit_end(struct cpu_limit *l)
{
	if (l->permille == 0)
		return;
	if (!is_whole(l))
		count_sentry(l);
	ktimer_cancel(&l->timer);
	cpu_limited--;
	cpu_limited_containers -= !is_whole(l);
	l->permille = 0;
	release(l);
}

void cpu_limit_init(struct cpu_limit *l, uint32_t permille)
{
	if (permille != 0)
		begin(l, permille);
}

/* What runs now may not come by for long: the tick looks after it. */
static void watch(struct cpu_limit *l)
{
	if (!is_whole(l))
		l->last_own = host_clock_ns(CLOCK_PROCESS_CPUTIME_ID); /* nothing was timed before */
	l->served_ns = 0;
	l->last_ns = loop_now();
	l->last_used = used_now(l);
	l->quiet = 0;
	ktimer_set(&l->timer, l->last_ns + TICK_NS);
}

void cpu_limit_change(struct cpu_limit *l, uint32_t permille)
{
	if (permille == l->permille)
		return;
	if (permille == 0) {
		cpu_limit_end(l);
	} else if (l->permille == 0) {
		begin(l, permille);
		watch(l);
	} else {
		/* What is owed is paid at the new rate. */
		(void)settle(l);
		release(l);
		l->permille = permille;
		l->quiet = 0;
		ktimer_set(&l->timer, loop_now());
	}
}

static void hold(struct cpu_limit *l, struct task *task)
{
	if (l->permille == 0)
		return;
	if (!l->timer.armed) {
		/* The time since the last tick counts as if it had come now. */
		if (l->last_ns != 0)
			(void)settle(l);
		l->last_ns = loop_now();
		l->last_used = used_now(l);
		l->quiet = 0;
		ktimer_set(&l->timer, l->last_ns + TICK_NS);
	}
	while (loop_now() < l->held_until)
		if (task_wait_until(task, &l->held, 0, WAIT_KILLABLE, l->held_until) == -LINUX_ERESTARTSYS)
			return;
}

void cpu_limit_wait(struct task *task)
{
	struct container *c = task->group->container;

	if (c != &container_first)
		hold(&c->cpu, task);
	hold(&container_first.cpu, task);
}
