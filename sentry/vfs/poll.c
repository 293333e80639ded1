/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for any of several files.
 *
 * The first look at each file also puts a waiter on its queue (until one is found ready: then nobody will sleep).
 * Wake-ups only set a flag in the table and make the task runnable; it then looks at all files again. What is reported
 * is always what a file says at the last look, never what a wake-up claimed.
 *
 * The guest controls how many files there are: the callers bound it by RLIMIT_NOFILE.
 */
#include "sentry/vfs/poll.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"

#include <string.h>

#define ALWAYS_TOLD (LINUX_POLLERR | LINUX_POLLHUP)

struct poll_entry *poll_entries_get(struct poll_entry *room, size_t nroom, size_t n)
{
	if (n > nroom)
		return kcalloc(n, sizeof(*room));
	memset(room, 0, n * sizeof(*room));
	return room;
}

void poll_entries_put(struct poll_entry *room, struct poll_entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (entries[i].file != NULL)
			file_put(entries[i].file);
	if (entries != room)
		kfree(entries);
}

static bool entry_wake(struct waiter *w, unused_arg uint32_t events)
{
	struct poll_entry *e = container_of(w, struct poll_entry, waiter);

	e->table->triggered = true;
	task_wake(e->table->task);
	return true;
}

/* One look at all entries; with waiters until the first that is ready. */
static size_t look(struct poll_table *t, struct poll_entry *entries, size_t n, bool add)
{
	size_t ready = 0;

	t->triggered = false;
	for (size_t i = 0; i < n; i++) {
		struct poll_entry *e = &entries[i];

		if (e->file != NULL)
			e->revents = vfs_poll(t->task, e->file, add && ready == 0 ? &e->waiter : NULL) &
				     (e->events | ALWAYS_TOLD);
		if (e->revents != 0)
			ready++;
	}
	return ready;
}

int64_t poll_entries_wait(struct task *task, struct poll_entry *entries, size_t n, uint64_t deadline)
{
	struct poll_table table = {.task = task};
	bool add = deadline != 0, timed_out = deadline == 0, interrupted = false;
	int64_t ret;

	for (size_t i = 0; i < n; i++) {
		struct poll_entry *e = &entries[i];

		list_init(&e->waiter.link);
		e->waiter.events = e->events | ALWAYS_TOLD;
		e->waiter.task = task;
		e->waiter.wake = entry_wake;
		e->table = &table;
	}
	for (;;) {
		int err;

		ret = (int64_t)look(&table, entries, n, add);
		add = false;
		if (ret != 0 || timed_out)
			break;
		if (interrupted) {
			ret = -LINUX_ERESTARTSYS;
			break;
		}
		if (table.triggered)
			continue;
		/* Whatever ends the sleep, one more look: an event goes before a signal or the deadline. */
		err = task_block(task, WAIT_INTERRUPTIBLE, deadline);
		timed_out = err == -LINUX_ETIMEDOUT;
		interrupted = err != 0 && !timed_out;
	}
	for (size_t i = 0; i < n; i++)
		waitq_remove(&entries[i].waiter);
	return ret;
}

uint64_t deadline_after(uint64_t ns)
{
	uint64_t at;

	if (__builtin_add_overflow(loop_now(), ns, &at))
		return WAIT_FOREVER;
	return at;
}

int deadline_from_timespec(const struct linux_timespec *ts, uint64_t *deadline)
{
	uint64_t ns;

	if (ts->sec < 0 || ts->nsec < 0 || ts->nsec >= (int64_t)NSEC_PER_SEC)
		return -LINUX_EINVAL;
	if (ts->sec == 0 && ts->nsec == 0) {
		*deadline = 0;
		return 0;
	}
	if (__builtin_mul_overflow((uint64_t)ts->sec, NSEC_PER_SEC, &ns) || ns > INT64_MAX)
		*deadline = WAIT_FOREVER;
	else
		*deadline = deadline_after(ns + (uint64_t)ts->nsec);
	return 0;
}
