/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll(2), ppoll(2), select(2), pselect6(2). Waiting: sentry/vfs/poll.c.
 *
 * All but poll write back what is left of a timeout, as Linux does; interrupted, poll goes on by restart_syscall(2)
 * with its deadline, the others are restarted with what is left (only if no handler runs).
 */
#include "syscalls/define.h"

#include "sentry/abi/event.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/loop.h"
#include "sentry/vfs/poll.h"

#include <string.h>

#define ROOM 12 /* entries on the stack */

/* What is left of the time is written to dst (a timespec, or a timeval), as poll_select_finish in Linux. */
static int64_t finish(struct task *task, int64_t ret, gva_t dst, uint64_t deadline, bool timeval)
{
	uint64_t now, left;
	struct linux_timespec ts;

	if (ret == -LINUX_ERESTARTSYS)
		ret = -LINUX_ERESTARTNOHAND;
	if (dst.v == 0 || deadline == 0 || (task->personality & 0x4000000)) /* STICKY_TIMEOUTS */
		return ret;
	now = loop_now();
	left = deadline > now ? deadline - now : 0;
	ts.sec = (int64_t)(left / NSEC_PER_SEC);
	ts.nsec = (int64_t)(left % NSEC_PER_SEC) / (timeval ? 1000 : 1);
	if (put_guest(task, dst, &ts) != 0 && ret == -LINUX_ERESTARTNOHAND)
		ret = -LINUX_EINTR;
	return ret;
}

/* ---- poll ---- */

static int64_t poll_fds(struct task *task, gva_t gfds, uint32_t n, uint64_t deadline)
{
	struct poll_entry room[ROOM], *entries;
	struct linux_pollfd small[ROOM], *fds = small;
	int64_t ret = -LINUX_ENOMEM;

	if (n > group_rlimit(task->group, LINUX_RLIMIT_NOFILE) || n > LINUX_FD_SETSIZE_MAX)
		return -LINUX_EINVAL;
	if (n > ROOM) {
		fds = kcalloc(n, sizeof(*fds));
		if (fds == NULL)
			return -LINUX_ENOMEM;
	}
	ret = copy_from_guest(task, fds, gfds, n * sizeof(*fds));
	if (ret)
		goto free_fds;
	entries = poll_entries_get(room, ROOM, n);
	if (entries == NULL) {
		ret = -LINUX_ENOMEM;
		goto free_fds;
	}
	for (uint32_t i = 0; i < n; i++) {
		entries[i].events = (uint16_t)fds[i].events;
		if (fds[i].fd < 0)
			continue;
		entries[i].file = fd_get(task, fds[i].fd);
		if (entries[i].file == NULL)
			entries[i].revents = LINUX_POLLNVAL;
	}
	ret = poll_entries_wait(task, entries, n, deadline);
	if (ret >= 0) {
		for (uint32_t i = 0; i < n; i++)
			fds[i].revents = (int16_t)entries[i].revents;
		if (copy_to_guest(task, gfds, fds, n * sizeof(*fds)) != 0)
			ret = -LINUX_EFAULT;
	}
	poll_entries_put(room, entries, n);
free_fds:
	if (fds != small)
		kfree(fds);
	return ret;
}

static int64_t poll_restart(struct task *task);

static int64_t poll_until(struct task *task, gva_t fds, uint32_t n, uint64_t deadline)
{
	int64_t ret = poll_fds(task, fds, n, deadline);

	if (ret != -LINUX_ERESTARTSYS)
		return ret;
	task->restart.fn = poll_restart;
	task->restart.data[0] = fds.v;
	task->restart.data[1] = n;
	task->restart.data[2] = deadline;
	return -LINUX_ERESTART_RESTARTBLOCK;
}

static int64_t poll_restart(struct task *task)
{
	return poll_until(task, GVA(task->restart.data[0]), (uint32_t)task->restart.data[1], task->restart.data[2]);
}

SYSCALL_DEFINE3(poll, gva_t, fds, uint32_t, n, int32_t, timeout_ms)
{
	uint64_t deadline = timeout_ms < 0 ? WAIT_FOREVER : 0;

	if (timeout_ms > 0)
		deadline = deadline_after((uint64_t)timeout_ms * NSEC_PER_MSEC);
	return poll_until(task, fds, n, deadline);
}

/* A timespec argument that may be missing. */
static int get_deadline(struct task *task, gva_t gts, uint64_t *deadline)
{
	struct linux_timespec ts;
	int err;

	*deadline = WAIT_FOREVER;
	if (gts.v == 0)
		return 0;
	err = get_guest(task, &ts, gts);
	return err ? err : deadline_from_timespec(&ts, deadline);
}

SYSCALL_DEFINE5(ppoll, gva_t, fds, uint32_t, n, gva_t, timeout, gva_t, mask, uint64_t, mask_size)
{
	uint64_t deadline;
	int64_t ret;

	ret = get_deadline(task, timeout, &deadline);
	if (ret == 0)
		ret = signal_temp_mask_from_guest(task, mask, mask_size);
	if (ret)
		return ret;
	ret = poll_fds(task, fds, n, deadline);
	return finish(task, ret, timeout, deadline, false);
}

/* ---- select ---- */

#define SET_IN (LINUX_POLLRDNORM | LINUX_POLLRDBAND | LINUX_POLLIN | LINUX_POLLHUP | LINUX_POLLERR)
#define SET_OUT (LINUX_POLLWRBAND | LINUX_POLLWRNORM | LINUX_POLLOUT | LINUX_POLLERR)
#define SET_EX LINUX_POLLPRI

/* Three sets in, three out, of `words` words each. */
struct select_sets {
	uint64_t *in[3], *out[3];
	size_t words;
	uint64_t small[6 * 4];
	uint64_t *block; /* small or allocated */
};

static int sets_get(struct task *task, struct select_sets *s, int n, const gva_t g[3])
{
	s->words = ((size_t)n + 63) / 64;
	s->block = s->small;
	if (s->words > 4) {
		s->block = kcalloc(6 * s->words, sizeof(uint64_t));
		if (s->block == NULL)
			return -LINUX_ENOMEM;
	} else {
		memset(s->small, 0, sizeof(s->small));
	}
	for (size_t i = 0; i < 3; i++) {
		s->in[i] = s->block + i * s->words;
		s->out[i] = s->block + (3 + i) * s->words;
		if (g[i].v != 0 && copy_from_guest(task, s->in[i], g[i], s->words * sizeof(uint64_t)) != 0)
			return -LINUX_EFAULT;
	}
	return 0;
}

static void sets_free(struct select_sets *s)
{
	if (s->block != s->small)
		kfree(s->block);
}

static uint32_t wanted(const struct select_sets *s, int fd)
{
	size_t w = (size_t)fd / 64;
	uint64_t bit = 1ULL << (fd % 64);

	return (s->in[0][w] & bit ? SET_IN : 0) | (s->in[1][w] & bit ? SET_OUT : 0) | (s->in[2][w] & bit ? SET_EX : 0);
}

/* The next descriptor in any set, from fd on; n if there is none. */
static int next_wanted(const struct select_sets *s, int fd, int n)
{
	while (fd < n) {
		size_t w = (size_t)fd / 64;
		uint64_t bits = (s->in[0][w] | s->in[1][w] | s->in[2][w]) >> (fd % 64);

		if (bits != 0)
			return MIN(fd + __builtin_ctzll(bits), n);
		fd = (int)(w + 1) * 64;
	}
	return n;
}

/* Fills one entry for each descriptor in any set, ascending; -LINUX_EBADF if one isn't open. */
static int sets_to_entries(struct task *task, const struct select_sets *s, int n, struct poll_entry *entries)
{
	size_t i = 0;

	for (int fd = next_wanted(s, 0, n); fd < n; fd = next_wanted(s, fd + 1, n)) {
		entries[i].events = wanted(s, fd);
		entries[i].file = fd_get(task, fd);
		if (entries[i].file == NULL)
			return -LINUX_EBADF;
		i++;
	}
	return 0;
}

/* Sets the result bits; their number. */
static int64_t entries_to_sets(struct select_sets *s, int n, const struct poll_entry *entries)
{
	static const uint32_t masks[3] = {SET_IN, SET_OUT, SET_EX};
	int64_t count = 0;

	for (int fd = next_wanted(s, 0, n); fd < n; fd = next_wanted(s, fd + 1, n)) {
		size_t w = (size_t)fd / 64;
		uint64_t bit = 1ULL << (fd % 64);

		for (int k = 0; k < 3; k++)
			if ((s->in[k][w] & bit) && (entries->revents & masks[k])) {
				s->out[k][w] |= bit;
				count++;
			}
		entries++;
	}
	return count;
}

static int64_t select_sets_wait(struct task *task, struct select_sets *s, int n, uint64_t deadline)
{
	struct poll_entry room[ROOM], *entries;
	size_t count = 0;
	int64_t ret;

	for (int fd = next_wanted(s, 0, n); fd < n; fd = next_wanted(s, fd + 1, n))
		count++;
	entries = poll_entries_get(room, ROOM, count);
	if (entries == NULL)
		return -LINUX_ENOMEM;
	ret = sets_to_entries(task, s, n, entries);
	if (ret == 0)
		ret = poll_entries_wait(task, entries, count, deadline);
	if (ret >= 0)
		ret = entries_to_sets(s, n, entries);
	poll_entries_put(room, entries, count);
	return ret;
}

static int64_t select_fds(struct task *task, int n, const gva_t g[3], uint64_t deadline)
{
	struct select_sets s;
	int64_t ret;

	if (n < 0)
		return -LINUX_EINVAL;
	n = MIN(n, (int)LINUX_FD_SETSIZE_MAX);
	ret = sets_get(task, &s, n, g);
	if (ret == -LINUX_ENOMEM)
		return ret;
	if (ret == 0)
		ret = select_sets_wait(task, &s, n, deadline);
	for (int i = 0; ret >= 0 && i < 3; i++)
		if (g[i].v != 0 && copy_to_guest(task, g[i], s.out[i], s.words * sizeof(uint64_t)) != 0)
			ret = -LINUX_EFAULT;
	sets_free(&s);
	return ret;
}

SYSCALL_DEFINE5(select, int, n, gva_t, in, gva_t, out, gva_t, ex, gva_t, timeout)
{
	const gva_t sets[3] = {in, out, ex};
	uint64_t deadline = WAIT_FOREVER;
	int64_t ret;

	if (timeout.v != 0) {
		struct linux_timeval tv;
		struct linux_timespec ts;

		ret = get_guest(task, &tv, timeout);
		if (ret)
			return ret;
		if (__builtin_add_overflow(tv.sec, tv.usec / 1000000, &ts.sec))
			return -LINUX_EINVAL;
		ts.nsec = tv.usec % 1000000 * 1000;
		ret = deadline_from_timespec(&ts, &deadline);
		if (ret)
			return ret;
	}
	ret = select_fds(task, n, sets, deadline);
	return finish(task, ret, timeout, deadline, true);
}

SYSCALL_DEFINE6(pselect6, int, n, gva_t, in, gva_t, out, gva_t, ex, gva_t, timeout, gva_t, sig)
{
	const gva_t sets[3] = {in, out, ex};
	uint64_t mask[2] = {0, 0}, deadline;
	int64_t ret = 0;

	if (sig.v != 0)
		ret = copy_from_guest(task, mask, sig, sizeof(mask));
	if (ret == 0)
		ret = get_deadline(task, timeout, &deadline);
	if (ret == 0)
		ret = signal_temp_mask_from_guest(task, GVA(mask[0]), mask[1]);
	if (ret)
		return ret;
	ret = select_fds(task, n, sets, deadline);
	return finish(task, ret, timeout, deadline, false);
}
