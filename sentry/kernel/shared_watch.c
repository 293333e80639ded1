/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is no process's: the memfds behind files that were mapped, MAP_SHARED | MAP_ANONYMOUS and System V segments.
 *
 * Guests fill them natively, and what they have filled stays when nobody maps it any more: a segment after shmdt(), a file of
 * which one part after the other was mapped, pages that MADV_DONTNEED took from a process and not from the file. The host
 * shows it in no process's resident size. So the sentry, which owns the memfds, counts their blocks and tells the monitor:
 *
 *	something new can be filled --> every MIN_NS, less and less often while nothing changes, at least every MAX_NS
 *	    --> blocks of all memfds --> changed? --> CONTROL_SHARED --> the monitor's sum (runtime/core/memory_watch.c)
 *
 * Mailboxes are such memory as well: guests can write there. While all of it is mapped, the monitor sees them in the processes'
 * shared pages; beside segments that nobody maps it would take them for a part of those. So they are in the sum, with what they
 * hold: looked at every MAX_NS, for there may be thousands.
 *
 * Only while there is a limit, and only while there are such memfds: an idle sandbox without them has no ticks. Where there are
 * only files with holes that nobody has open, and so nobody has mapped, the ticks get rarer, up to CLOSED_NS, until there is a new hole
 * or mapping. The guest controls how many there are, by its descriptors' number, and overshoots by what it fills within MAX_NS; in a
 * file that it was made to unmap, and kept, by what it fills within CLOSED_NS.
 */
#include "sentry/kernel/shared_watch.h"

#include "sentry/fs/memfs.h"
#include "sentry/kernel/loop.h"
#include "sentry/mm/mm.h"
#include "sentry/platform/platform.h"

#define MIN_NS (10 * NSEC_PER_MSEC)
#define MAX_NS (100 * NSEC_PER_MSEC)
#define CLOSED_NS (60 * NSEC_PER_SEC)
#define WORTH (64 * KiB)

static struct ktimer timer;
static void (*tell_monitor)(uint64_t bytes);
static uint64_t last_told, interval = MIN_NS;
static bool limited;
static uint64_t limit_bytes;

static uint64_t platform_bytes(bool now)
{
	static uint64_t last, next;

	if (platform == NULL || platform->shared_bytes == NULL)
		return 0;
	if (now || loop_now() >= next) {
		last = platform->shared_bytes();
		next = loop_now() + MAX_NS;
	}
	return last;
}

/* True if it has changed; *any: there is something to look at; *open: and some of it is in use. now: at all of it. */
static bool look(bool *any, bool *open, bool now)
{
	uint64_t bytes;
	bool changed;

	*any = *open = mm_any_shared();
	bytes = memfs_memfd_bytes(any, open) + mm_shared_bytes();
	if (bytes != 0)
		bytes += platform_bytes(now);
	changed = bytes > last_told + WORTH || bytes + WORTH < last_told;
	if (changed || (bytes == 0 && last_told != 0)) {
		last_told = bytes;
		tell_monitor(bytes);
	}
	return changed;
}

static void tick(struct ktimer *t)
{
	bool any, open;

	if (!limited)
		return;
	interval = look(&any, &open, false) ? MIN_NS : interval * 2;
	interval = MIN(interval, open ? MAX_NS : CLOSED_NS);
	if (any)
		ktimer_set(t, loop_now() + interval);
}

void shared_watch_soon(void)
{
	if (!limited || (timer.armed && interval == MIN_NS))
		return;
	interval = MIN_NS;
	if (timer.fn == NULL) /* it may be armed, for later */
		ktimer_init(&timer, tick);
	ktimer_set(&timer, loop_now() + interval);
}

void shared_watch_now(void)
{
	bool any, open;

	if (limited)
		(void)look(&any, &open, true);
}

void shared_watch_limit(uint64_t limit, void (*tell)(uint64_t bytes))
{
	if (tell != NULL)
		tell_monitor = tell;
	limited = limit != 0 && tell_monitor != NULL;
	limit_bytes = limit;
	shared_watch_soon();
}

uint64_t shared_watch_limited(void)
{
	return limited ? limit_bytes : 0;
}
