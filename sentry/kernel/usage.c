/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the whole sandbox uses.
 *
 * Nothing here runs by itself: an idle sandbox has no ticks. The load averages are brought up to date when somebody
 * asks, from the CPU time that has gone by since the last time: Linux samples the number of runnable threads, which in
 * the mean is the same number as long as there are as many CPUs.
 */
#include "sentry/kernel/usage.h"

#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/platform/platform.h"

#include <time.h>

#define DEFAULT_MEMORY (4 * GiB) /* only if the start told us nothing */

void usage_memory(struct memory_usage *m)
{
	const struct container *c = container_here();
	struct thread_group *g;
	uint64_t used;

	/* In a pod: of the container that asks, if it has a limit of its own. What files take isn't counted for that. */
	if (c->memory_limit == 0)
		c = NULL;
	m->total = c != NULL ? c->memory_limit : kernel.memory_limit;
	if (m->total == 0 || m->total > (1ULL << 50))
		m->total = DEFAULT_MEMORY;
	m->files = c == NULL ? alloc_total() : 0;
	m->resident = 0;
	list_for_each(g, &kernel.groups, all_link) {
		struct mm *mm = group_mm(g);

		if (mm != NULL && mm->pmm != NULL && (c == NULL || g->container == c))
			m->resident += platform->mm_resident(mm->pmm);
	}
	used = m->resident + m->files;
	m->free = used < m->total ? m->total - used : 0;
}

/* A process that was reaped is in its parent's children_usage, and so on upwards. */
void usage_all_times(uint64_t *utime, uint64_t *stime)
{
	struct thread_group *g;

	*utime = *stime = 0;
	list_for_each(g, &kernel.groups, all_link) {
		uint64_t u, s;

		group_times(g, &u, &s);
		*utime += u + g->children_usage.utime;
		*stime += s + g->children_usage.stime;
	}
}

uint32_t usage_running(void)
{
	struct thread_group *g;
	struct task *t;
	uint32_t n = 0;

	list_for_each(g, &kernel.groups, all_link)
		list_for_each(t, &g->threads, group_link)
			n += !t->blocked && !t->exiting && g->stop == GROUP_RUNNING;
	return n;
}

/* factor^n, both with 32 bits of fraction. */
static uint64_t power(uint64_t factor, uint64_t n)
{
	uint64_t result = 1ULL << 32;

	for (; n != 0; n >>= 1) {
		if (n & 1)
			result = (uint64_t)(((unsigned __int128)result * factor) >> 32);
		factor = (uint64_t)(((unsigned __int128)factor * factor) >> 32);
	}
	return result;
}

void usage_load(uint32_t load[3])
{
	/* e^(-0.1 s / T) with 32 bits of fraction, for T = 60 s, 300 s, 900 s. */
	static const uint64_t decay[3] = {4287814979ULL, 4293535879ULL, 4294490104ULL};
	static uint64_t value[3], last_ns, last_cpu;
	uint64_t now = host_clock_ns(CLOCK_MONOTONIC), utime, stime, steps, busy;
	unsigned i;

	usage_all_times(&utime, &stime);
	if (last_ns == 0) {
		last_ns = kernel.boot_ns != 0 && kernel.boot_ns < now ? kernel.boot_ns : now - 1;
		last_cpu = 0;
	}
	steps = (now - last_ns) / (100 * NSEC_PER_MSEC);
	if (steps != 0) {
		uint64_t cpu = utime + stime;

		busy = cpu > last_cpu ? cpu - last_cpu : 0;
		/* CPUs in use, 32 bits of fraction. */
		busy = (uint64_t)(((unsigned __int128)busy << 32) / (now - last_ns));
		for (i = 0; i < 3; i++) {
			uint64_t keep = power(decay[i], steps);

			value[i] = (uint64_t)(((unsigned __int128)value[i] * keep +
					       (unsigned __int128)busy * ((1ULL << 32) - keep)) >> 32);
		}
		last_ns = now;
		last_cpu = cpu;
	}
	for (i = 0; i < 3; i++)
		load[i] = (uint32_t)MIN(value[i] >> 16, (uint64_t)UINT32_MAX);
}
