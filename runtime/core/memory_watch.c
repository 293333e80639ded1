/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory limit without a cgroup: the monitor sums what the sentry and its stubs hold.
 *
 *	sum = private pages + page tables + the larger of: shared pages of all processes | what the sentry tells of memfds
 *
 * Private pages of every process come from statm (resident less file-backed) with each sample. Page tables, what is swapped
 * out and shared pages are only in status, which costs more: they are read every FULL_MS, and always before the limit is
 * said to be passed. Page tables count because a guest can have as many as it likes of them over memory that it only reads.
 *
 * Shared pages appear in each process that maps them, so their sum is an upper bound of those; of memory that nobody maps at
 * the moment (a System V segment, a file of which parts were mapped one after the other) only the sentry knows, which tells
 * what its memfds have for blocks, those of mailboxes included (sentry/kernel/shared_watch.c). It can lie, and was then taken over.
 *
 * Samples come every 10 ms while the sum moves and up to every 100 ms while it rests, so a guest can overshoot by what it
 * touches in one interval; where a cgroup is given that is exact.
 */
#include "runtime/core/memory_watch.h"
#include "runtime/core/children.h"

#include "runtime/config.h"
#include "runtime/core/control_protocol.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ULL
#define FAST_MS 10
#define SLOW_MS 100
#define FULL_MS 50

static uint64_t peak, last_sum, next_ms;
static uint64_t full_ms; /* the last full look */
static uint64_t told;    /* by the sentry: bytes in memfds */
static uint64_t new_limit;
static bool limit_changed;
static unsigned interval = FAST_MS;
static pid_t largest;

pid_t memory_watch_largest(void)
{
	return largest;
}

uint64_t memory_watch_peak(void)
{
	return peak;
}

static ssize_t read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

struct statm {
	char dir[64]; /* where it was found */
	unsigned long long size, resident, file;
};

static bool read_statm(struct statm *s)
{
	char path[80], buf[128];

	snprintf(path, sizeof(path), "%s/statm", s->dir);
	return read_file(path, buf, sizeof(buf)) > 0 && sscanf(buf, "%llu %llu %llu", &s->size, &s->resident, &s->file) == 3;
}

/* A process's. When its first thread has ended (pthread_exit in main) /proc/PID says nothing but zeros: then another's. */
static bool statm_of(pid_t pid, struct statm *s)
{
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(s->dir, sizeof(s->dir), "/proc/%d", pid);
	if (!read_statm(s))
		return false;
	if (s->size != 0)
		return true;
	snprintf(s->dir, sizeof(s->dir), "/proc/%d/task", pid);
	d = opendir(s->dir);
	while (d != NULL && !found && (e = readdir(d)) != NULL) {
		int tid = atoi(e->d_name);

		snprintf(s->dir, sizeof(s->dir), "/proc/%d/task/%d", pid, tid);
		found = tid > 0 && read_statm(s) && s->size != 0;
	}
	if (d != NULL)
		closedir(d);
	return found;
}

/* What one process holds, or all; bytes. */
struct held {
	uint64_t alone;         /* private pages */
	uint64_t shared, other; /* shared pages; page tables and what is swapped out: only by a full look */
	uint64_t most;          /* the largest process that was added, of all kinds */
	bool full;
};

static struct held last;

/* "NAME:   N kB" of a status file. 0 if it isn't there. */
static uint64_t status_bytes(const char *status, const char *name)
{
	const char *p = strstr(status, name);

	return p != NULL ? strtoull(p + strlen(name), NULL, 10) * 1024 : 0;
}

static struct held held_by(pid_t pid, bool full)
{
	static char status[4096];
	struct held h = {0};
	char path[80];
	struct statm s;

	if (!statm_of(pid, &s))
		return h;
	h.alone = (s.resident > s.file ? s.resident - s.file : 0) * PAGE;
	snprintf(path, sizeof(path), "%s/status", s.dir);
	if (full && read_file(path, status, sizeof(status)) > 0) {
		h.shared = status_bytes(status, "\nRssShmem:");
		h.other = status_bytes(status, "\nVmPTE:") + status_bytes(status, "\nVmSwap:");
	}
	return h;
}

struct resident {
	struct control_resident part;
	void (*send)(const struct control_resident *part, size_t len, void *arg);
	void *arg;
};

static void send_part(struct resident *r, uint32_t type)
{
	r->part.type = type;
	r->send(&r->part, offsetof(struct control_resident, entry) + r->part.count * sizeof(r->part.entry[0]), r->arg);
	r->part.count = 0;
}

static void add_resident(pid_t pid, void *arg)
{
	struct resident *r = arg;
	struct statm s;

	if (!statm_of(pid, &s))
		return;
	if (r->part.count == CONTROL_RESIDENT_MAX)
		send_part(r, CONTROL_RESIDENT_PART);
	r->part.entry[r->part.count].pid = pid;
	r->part.entry[r->part.count++].pages = (uint32_t)s.resident;
}

void memory_watch_resident(pid_t sentry, void (*send)(const struct control_resident *part, size_t len, void *arg), void *arg)
{
	static struct resident r;

	r.send = send;
	r.arg = arg;
	each_child(sentry, add_resident, &r);
	send_part(&r, CONTROL_RESIDENT);
}

static void add_held(pid_t pid, void *arg)
{
	struct held *sum = arg, h = held_by(pid, sum->full);
	uint64_t all = h.alone + h.shared + h.other;

	sum->alone += h.alone;
	sum->shared += h.shared;
	sum->other += h.other;
	if (all > sum->most) {
		sum->most = all;
		largest = pid;
	}
}

/* Looks at all. What isn't looked at now is as it was. */
static uint64_t look(pid_t sentry, bool full)
{
	struct held h = held_by(sentry, full);

	h.full = full;
	each_child(sentry, add_held, &h);
	if (!full) {
		h.shared = last.shared;
		h.other = last.other;
	}
	last = h;
	return h.alone + h.other + (h.shared > told ? h.shared : told);
}

void memory_watch_told(uint64_t bytes)
{
	told = bytes < 1ULL << 50 ? bytes : 1ULL << 50;
	next_ms = 0;
}

void memory_watch_set_limit(uint64_t bytes)
{
	new_limit = bytes;
	limit_changed = true;
	next_ms = 0;
}

uint64_t memory_watch_limit(const struct config *c)
{
	return limit_changed ? new_limit : c->memory_bytes;
}

void memory_watch_again(void)
{
	next_ms = 0;
}

uint64_t memory_watch_last(void)
{
	return last_sum;
}

bool memory_watch_is_over(const struct config *c)
{
	return memory_watch_limit(c) != 0 && last_sum > memory_watch_limit(c);
}

uint64_t memory_watch_now(pid_t sentry)
{
	pid_t old = largest;
	uint64_t sum = look(sentry, true);

	largest = old;
	peak = sum > peak ? sum : peak;
	return sum;
}

struct times {
	uint64_t user, sys; /* ticks */
	bool ended_too;     /* count children that were waited for */
};

static void add_times(pid_t pid, void *arg)
{
	unsigned long long u, s, cu, cs;
	struct times *t = arg;
	char path[64], buf[1024];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (pid <= 0 || read_file(path, buf, sizeof(buf)) <= 0 || (p = strrchr(buf, ')')) == NULL ||
	    sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu", &u, &s, &cu, &cs) != 4)
		return;
	t->user += u + (t->ended_too ? cu : 0);
	t->sys += s + (t->ended_too ? cs : 0);
}

void memory_watch_times(pid_t sentry, pid_t gofer, uint64_t *user_ns, uint64_t *sys_ns)
{
	uint64_t tick = 1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);
	struct times t = {.ended_too = true};

	add_times(sentry, &t);
	add_times(gofer, &t);
	t.ended_too = false;
	each_child(sentry, add_times, &t);
	*user_ns = t.user * tick;
	*sys_ns = t.sys * tick;
}

int memory_watch(const struct config *c, pid_t sentry)
{
	uint64_t limit = memory_watch_limit(c);
	struct timespec ts;
	uint64_t now, sum;
	bool full;

	if ((limit == 0 && !c->stats) || sentry <= 0)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	if (now < next_ms)
		return (int)(next_ms - now);
	largest = 0;
	full = now >= full_ms + FULL_MS;
	sum = look(sentry, full);
	if (!full && limit != 0 && sum > limit) {
		full = true;
		largest = 0;
		sum = look(sentry, true);
	}
	if (full)
		full_ms = now;
	if (sum > peak)
		peak = sum;
	interval = sum > last_sum + (1 << 20) || (limit != 0 && sum > limit / 2) ? FAST_MS :
		   interval < SLOW_MS				      ? interval * 2 :
									SLOW_MS;
	last_sum = sum;
	next_ms = now + interval;
	return limit != 0 && sum > limit ? -1 : (int)interval;
}
