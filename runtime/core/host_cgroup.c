/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's part in its container's cgroups. It opens nothing: the command has left it descriptors of the files that it
 * reads and writes (config.cg_*).
 *
 * Freezing takes the lower cgroup, in which everything but the monitor is. A stub whose call the sentry is serving sleeps so
 * that only a fatal signal wakes it, and can't be frozen before it has its answer; the host then says FREEZING, and not
 * FROZEN. It stands still all the same, as the sentry does: so nobody waits for it for long.
 *
 * Engines learn of an OOM from the host's kernel alone: they watch the cgroup of the pid they know. But the sandbox's limit is
 * below the cgroup's, and it is we who end the guest's process. So the kernel is given something to report: the cgroup's limit
 * is lowered to a little above what is used, and a child of ours, marked as the one to take, uses that up. It is killed, the
 * kernel counts and tells it, and the limit is what it was. Everything else stands still
 * meanwhile, lest it run into the lowered limit.
 */
#include "runtime/core/host_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FREEZE_TRIES 10 /* of a millisecond */
#define TELL_MARGIN (1ULL << 20)
#define TELL_MS 500

static uint64_t told; /* OOM kills that we made ourselves */

static char *read_at_start(int fd, char *buf, size_t size)
{
	ssize_t n = fd >= 0 ? pread(fd, buf, size - 1, 0) : -1;

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static bool write_at_start(int fd, const char *text)
{
	return fd >= 0 && pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text);
}

void host_cgroup_leave(const struct config *c)
{
	write_at_start(c->cg_leave_fd[0], "0");
	write_at_start(c->cg_leave_fd[1], "0");
}

/* ---- freezing ---- */

bool host_cgroup_can_freeze(const struct config *c)
{
	return c->cg_freeze_fd >= 0;
}

void host_cgroup_freeze(const struct config *c)
{
	const struct timespec tick = {0, 1000000};
	bool v2 = c->cg_frozen_fd >= 0;
	char text[512];

	write_at_start(c->cg_freeze_fd, v2 ? "1" : "FROZEN");
	for (int i = 0; i < FREEZE_TRIES; i++) {
		read_at_start(v2 ? c->cg_frozen_fd : c->cg_freeze_fd, text, sizeof(text));
		if (strstr(text, v2 ? "frozen 1" : "FROZEN") != NULL)
			break;
		nanosleep(&tick, NULL);
	}
}

void host_cgroup_thaw(const struct config *c)
{
	write_at_start(c->cg_freeze_fd, c->cg_frozen_fd >= 0 ? "0" : "THAWED");
}

/* ---- OOM ---- */

uint64_t host_cgroup_oom_kills(const struct config *c)
{
	char text[512];
	const char *p = read_at_start(c->cg_oom_fd, text, sizeof(text));
	uint64_t n;

	for (; p != NULL && *p != '\0'; p = strchr(p, '\n') != NULL ? strchr(p, '\n') + 1 : NULL) {
		if (strncmp(p, "oom_kill ", 9) == 0) {
			n = strtoull(p + 9, NULL, 10);
			return n > told ? n - told : 0;
		}
	}
	return 0;
}

/* The child: uses memory until it is killed. */
static void use_it_up(pid_t parent, int sync)
{
	char word = 0;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(0);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* else the file is root's */
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1000", 4) != 4)
		_exit(0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (send(sync, &word, 1, MSG_NOSIGNAL) != 1 || recv(sync, &word, 1, 0) != 1)
		_exit(0);
	/* Bounded: where swap takes it all, there is no OOM to be seen. */
	for (int i = 0; i < 64; i++) {
		char *p = mmap(NULL, TELL_MARGIN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (size_t k = 0; p != MAP_FAILED && k < TELL_MARGIN; k += 4096)
			p[k] = 1;
	}
	_exit(0);
}

static bool killed_within(pid_t pid, int ms)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;
	struct pollfd p = {fd, POLLIN, 0};

	if (fd < 0 || poll(&p, 1, ms) != 1)
		kill(pid, SIGKILL);
	if (fd >= 0)
		close(fd);
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status);
}

/* Lowers the limit, lets the child go, and waits for its end. */
static void lower_and_wait(const struct config *c, pid_t pid, int sync)
{
	char before[64], usage[64], low[64], word;
	struct pollfd p = {sync, POLLIN, 0};
	char *end;

	read_at_start(c->cg_memory_max_fd, before, sizeof(before));
	end = strchr(before, '\n');
	if (end != NULL)
		*end = '\0';
	if (poll(&p, 1, TELL_MS) != 1 || recv(sync, &word, 1, 0) != 1) {
		killed_within(pid, 0);
		return;
	}
	snprintf(low, sizeof(low), "%llu", strtoull(read_at_start(c->cg_memory_fd, usage, sizeof(usage)), NULL, 10) + TELL_MARGIN);
	write_at_start(c->cg_memory_max_fd, low);
	send(sync, &word, 1, MSG_NOSIGNAL);
	killed_within(pid, TELL_MS);
	write_at_start(c->cg_memory_max_fd, before);
}

bool host_cgroup_can_tell_oom(const struct config *c)
{
	return c->cg_oom_fd >= 0 && c->cg_memory_max_fd >= 0 && c->cg_memory_fd >= 0;
}

void host_cgroup_tell_oom(const struct config *c)
{
	uint64_t kills = host_cgroup_oom_kills(c);
	pid_t me = getpid(), pid;
	int sync[2];

	if (!host_cgroup_can_tell_oom(c) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		close(sync[0]);
		use_it_up(me, sync[1]);
	}
	close(sync[1]);
	if (pid > 0)
		lower_and_wait(c, pid, sync[0]);
	close(sync[0]);
	if (host_cgroup_oom_kills(c) > kills)
		told++;
}
