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

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ULL
#define FAST_MS 10
#define SLOW_MS 100

static uint64_t peak, last_sum, next_ms;
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

static uint64_t held_by(pid_t pid)
{
	char path[64], buf[128];
	unsigned long long size, resident, file;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	if (read_file(path, buf, sizeof(buf)) <= 0 || sscanf(buf, "%llu %llu %llu", &size, &resident, &file) != 3)
		return 0;
	/* "file" counts shared memory too; RssShmem is only in status, which costs more: ask it only when it matters. */
	if (file * PAGE > 16ULL << 20) {
		static char status[4096];
		const char *p;

		snprintf(path, sizeof(path), "/proc/%d/status", pid);
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

int memory_watch(const struct config *c, pid_t sentry)
{
	static char children[65536];
	struct timespec ts;
	uint64_t now, sum, most = 0;
	char path[64];

	if ((c->memory_bytes == 0 && !c->stats) || sentry <= 0)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	if (now < next_ms)
		return (int)(next_ms - now);
	largest = 0;
	sum = held_by(sentry);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", sentry, sentry);
	if (read_file(path, children, sizeof(children)) > 0) {
		for (char *p = children; *p != '\0';) {
			long pid = strtol(p, &p, 10);

			uint64_t held = pid > 0 ? held_by((pid_t)pid) : 0;

			sum += held;
			if (held > most) {
				most = held;
				largest = (pid_t)pid;
			}
			while (*p == ' ')
				p++;
		}
	}
	if (sum > peak)
		peak = sum;
	interval = sum > last_sum + (1 << 20) || (c->memory_bytes != 0 && sum > c->memory_bytes / 2) ? FAST_MS :
		   interval < SLOW_MS				      ? interval * 2 :
									SLOW_MS;
	last_sum = sum;
	next_ms = now + interval;
	return c->memory_bytes != 0 && sum > c->memory_bytes ? -1 : (int)interval;
}
