/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for any of several files: poll(2), select(2) and relatives. See vfs/poll.c. */
#ifndef SENTRY_VFS_POLL_H
#define SENTRY_VFS_POLL_H

#include "sentry/vfs/vfs.h"

struct poll_table {
	struct task *task;
	bool triggered; /* some file changed since the last look */
};

struct poll_entry {
	struct waiter waiter;
	struct poll_table *table;
	struct file *file;  /* counted; NULL: ignored, revents stays as it is */
	uint32_t events;    /* asked for; errors and hang-ups are always told */
	uint32_t revents;
};

/* Allocates n zeroed entries, or gives the caller's (of room) if they are enough. NULL if memory is out. */
struct poll_entry *poll_entries_get(struct poll_entry *room, size_t nroom, size_t n) must_check;
/* Puts files, takes waiters off, frees unless it is room. */
void poll_entries_put(struct poll_entry *room, struct poll_entry *entries, size_t n);

/*
 * Sleeps until an entry is ready, the deadline (loop clock; WAIT_FOREVER; 0: doesn't sleep) or a signal. Returns how many
 * entries have revents (those that had them before count), 0 at the deadline, -LINUX_ERESTARTSYS.
 */
int64_t poll_entries_wait(struct task *task, struct poll_entry *entries, size_t n, uint64_t deadline);

/* now + ns, WAIT_FOREVER if that is too far. */
uint64_t deadline_after(uint64_t ns);
/* A relative struct timespec as a deadline. -LINUX_EINVAL if it isn't a valid time. */
int deadline_from_timespec(const struct linux_timespec *ts, uint64_t *deadline) must_check;

#endif
