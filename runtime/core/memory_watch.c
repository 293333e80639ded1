/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory limit without a cgroup: the monitor sums what the sentry and its stubs hold.
 *
 * Anonymous and shared pages of every process count (statm: resident less file-backed); shared memory appears in each
 * process that maps it, so the sum is an upper bound. Samples come every 10 ms while the sum moves and up to every 100 ms
 * while it rests, so a guest can overshoot by what it touches in one interval; where a cgroup is given that is exact.
 */
#include "runtime/core/memory_watch.h"

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

static uint64_t peak, last_sum, next_ms;
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

static uint64_t held_by(pid_t pid)
{
	char path[80];
	unsigned long long resident, file;
	struct statm s;

	if (!statm_of(pid, &s))
		return 0;
	resident = s.resident;
	file = s.file;
	/* "file" counts shared memory too; RssShmem is only in status, which costs more: ask it only when it matters. */
	if (file * PAGE > 16ULL << 20) {
		static char status[4096];
		const char *p;

		snprintf(path, sizeof(path), "%s/status", s.dir);
		if (read_file(path, status, sizeof(status)) > 0) {
			for (p = status; *p != '\0'; p++) {
				unsigned long long kib;

				if (sscanf(p, "RssShmem: %llu kB", &kib) == 1)
					return (resident - file) * PAGE + kib * 1024;
				while (*p != '\n' && p[1] != '\0')
					p++;
			}
		}
	}
	return (resident > file ? resident - file : 0) * PAGE;
}

/* Calls fn for each child of the sentry. */
static void each_stub(pid_t sentry, void (*fn)(pid_t pid, void *arg), void *arg)
{
	static char children[65536];
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", sentry, sentry);
	if (read_file(path, children, sizeof(children)) <= 0)
		return;
	for (char *p = children; *p != '\0';) {
		long pid = strtol(p, &p, 10);

		if (pid > 0)
			fn((pid_t)pid, arg);
		while (*p == ' ')
			p++;
	}
}

static void add_resident(pid_t pid, void *arg)
{
	struct control_resident *out = arg;
	struct statm s;

	if (out->count == CONTROL_RESIDENT_MAX || !statm_of(pid, &s))
		return;
	out->entry[out->count].pid = pid;
	out->entry[out->count++].pages = (uint32_t)s.resident;
}

size_t memory_watch_resident(pid_t sentry, struct control_resident *out)
{
	out->type = CONTROL_RESIDENT;
	out->count = 0;
	each_stub(sentry, add_resident, out);
	return offsetof(struct control_resident, entry) + out->count * sizeof(out->entry[0]);
}

struct sum {
	uint64_t bytes, most;
};

static void add_held(pid_t pid, void *arg)
{
	struct sum *sum = arg;
	uint64_t held = held_by(pid);

	sum->bytes += held;
	if (held > sum->most) {
		sum->most = held;
		largest = pid;
	}
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
	struct sum held = {.bytes = held_by(sentry)};

	each_stub(sentry, add_held, &held);
	largest = old;
	peak = held.bytes > peak ? held.bytes : peak;
	return held.bytes;
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
	each_stub(sentry, add_times, &t);
	*user_ns = t.user * tick;
	*sys_ns = t.sys * tick;
}

int memory_watch(const struct config *c, pid_t sentry)
{
	uint64_t limit = memory_watch_limit(c);
	struct sum held = {0};
	struct timespec ts;
	uint64_t now, sum;

	if ((limit == 0 && !c->stats) || sentry <= 0)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	if (now < next_ms)
		return (int)(next_ms - now);
	largest = 0;
	held.bytes = held_by(sentry);
	each_stub(sentry, add_held, &held);
	sum = held.bytes;
	if (sum > peak)
		peak = sum;
	interval = sum > last_sum + (1 << 20) || (limit != 0 && sum > limit / 2) ? FAST_MS :
		   interval < SLOW_MS				      ? interval * 2 :
									SLOW_MS;
	last_sum = sum;
	next_ms = now + interval;
	return limit != 0 && sum > limit ? -1 : (int)interval;
}
