/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --cpus without a cgroup: the sandbox as a whole may use N thousandths of a CPU.
 *
 *	tick (10 ms) --> what did the stubs and the sentry use? --> credit below zero: held until it is paid back
 *	                                                              | kick: threads in guest code come in
 *	guest thread --> task_return --> cpu_limit_hold: sleeps until then, and goes on
 *
 * Credit grows with time and is capped, so an idle sandbox can't save up more than a burst. What is overdrawn in one tick
 * (by several threads, or by a thread that masks its kicks until the deadline) is paid back in full: the mean is exact,
 * only the grain is coarse. No thread is stopped from outside: one that is held sits in the trap door or in its call, so
 * that nothing else in the sentry has to know.
 *
 * The tick runs only while something runs: a sleeping sandbox costs nothing. A held task can still be killed.
 */
#include "sentry/kernel/cpu_limit.h"

#include "sentry/abi/errno.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/waitq.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/trace.h"

#include <time.h>

#define TICK_NS (10 * NSEC_PER_MSEC)
#define BURST_NS (20 * NSEC_PER_MSEC) /* of CPU time, saved up while idle */
#define QUIET_TICKS 3                 /* without use: then the tick rests */

bool cpu_limited;
static uint64_t permille, last_ns, last_used, held_until;
static int64_t credit;
static unsigned quiet;
static struct ktimer timer;

static void kick_all(void)
{
	struct thread_group *g;
	struct task *task;

	list_for_each (g, &kernel.groups, all_link)
		list_for_each (task, &g->threads, group_link)
			platform->kick(task);
}

static void tick(struct ktimer *t)
{
	uint64_t now = loop_now(), used = stubs_cpu_ns() + host_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	uint64_t spent = used - last_used;

	quiet = spent < TICK_NS / 100 ? quiet + 1 : 0;
	credit += (int64_t)((now - last_ns) * permille / 1000) - (int64_t)spent;
	credit = MIN(credit, (int64_t)BURST_NS);
	last_ns = now;
	last_used = used;
	if (credit < 0) {
		audit_limit("cpu");
		held_until = now + (uint64_t)-credit * 1000 / permille;
		kick_all();
	}
	if (quiet < QUIET_TICKS)
		ktimer_set(t, MAX(now + TICK_NS, held_until));
}

void cpu_limit_init(uint32_t limit)
{
	if (limit == 0)
		return;
	cpu_limited = true;
	permille = limit;
	credit = BURST_NS;
	ktimer_init(&timer, tick);
}

void cpu_limit_change(uint32_t limit)
{
	if (limit != 0 && cpu_limited) {
		permille = limit;
		return;
	}
	if (cpu_limited)
		ktimer_cancel(&timer);
	cpu_limited = false;
	held_until = 0;
	cpu_limit_init(limit);
	if (!cpu_limited)
		return;
	/* What runs now may not come by for long: the tick looks after it. */
	last_ns = loop_now();
	last_used = stubs_cpu_ns() + host_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	quiet = 0;
	ktimer_set(&timer, last_ns + TICK_NS);
}

void cpu_limit_wait(struct task *task)
{
	if (!timer.armed) {
		uint64_t now = loop_now(), used = stubs_cpu_ns() + host_clock_ns(CLOCK_PROCESS_CPUTIME_ID);

		/* The time since the last tick counts as if it had come now. */
		if (last_ns != 0)
			credit += (int64_t)((now - last_ns) * permille / 1000) - (int64_t)(used - last_used);
		credit = MIN(credit, (int64_t)BURST_NS);
		last_ns = now;
		last_used = used;
		quiet = 0;
		ktimer_set(&timer, now + TICK_NS);
	}
	while (held_until != 0 && loop_now() < held_until)
		if (task_block(task, WAIT_KILLABLE, held_until) == -LINUX_ERESTARTSYS)
			return;
}
