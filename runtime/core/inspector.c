/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting inspectors on the sentry's request: a process with the sandbox's uid, no capability and one end of a new
 * socketpair, whose other end goes to the sentry. Its program lies beside ours. The monitor never reads what they say to each
 * other.
 *
 * A sentry that was taken over can ask as well: it gets INSPECTORS_MAX processes that can do less than itself. Where it asks
 * for a thread's place, the thread must be one of its own stubs.
 */
#include "runtime/core/inspector.h"

#include "runtime/config.h"
#include "runtime/core/control_protocol.h"
#include "runtime/core/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INSPECTORS_MAX 64
#define PROGRAM "sentrybox-inspect"

static unsigned started;

/* The inspector's program, out of the way of the roles' fixed descriptors; -1: it isn't there. */
static int open_program(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(PROGRAM));
	char *slash;
	int fd, high;

	if (n <= 0)
		return -1;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL)
		return -1;
	strcpy(slash + 1, PROGRAM);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -1;
	high = fcntl(fd, F_DUPFD_CLOEXEC, 256);
	close(fd);
	return high;
}

/* One end for us, or -1. */
static int spawn_inspector(const struct config *cfg)
{
	int program, pair[2], ours = -1, pid;

	if (started >= INSPECTORS_MAX)
		return -1;
	program = open_program();
	if (program < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		goto close_program;
	pid = spawn_role(&(struct spawn){
		.role = "inspect",
		.program_fd = program,
		.fds = {pair[1]},
		.nfds = 1,
		.drop_ids = cfg->drop_ids,
		.uid = cfg->sandbox_uid,
		.gid = cfg->sandbox_gid,
	});
	close(pair[1]);
	if (pid > 0) {
		started++;
		ours = pair[0];
	} else {
		close(pair[0]);
	}
close_program:
	close(program);
	return ours;
}

static bool read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, buf, size - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	return true;
}

/* Stack and instruction pointer of a stub's thread that waits in a call, as the host knows them. */
static void find_place(pid_t sentry, pid_t pid, pid_t tid, struct control_message *msg)
{
	char path[64], text[1024], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	/* "pid (comm) state ppid": comm may hold anything, brackets too. */
	if (!read_text(path, text, sizeof(text)) || (p = strrchr(text, ')')) == NULL || strlen(p) < 5 ||
	    atoi(p + 4) != sentry)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	/* "number six arguments sp ip", "-1 sp ip" or "running" */
	if (!read_text(path, text, sizeof(text)) || (p = strrchr(text, ' ')) == NULL)
		return;
	msg->ip = strtoull(p + 1, NULL, 16);
	*p = '\0';
	p = strrchr(text, ' ');
	if (p != NULL)
		msg->sp = strtoull(p + 1, NULL, 16);
	else
		msg->ip = 0;
}

void inspector_start(const struct config *cfg, int control, pid_t sentry, pid_t pid, pid_t tid)
{
	struct control_message answer = {.type = CONTROL_INSPECTOR};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} cmsg = {0};
	struct iovec iov = {&answer, sizeof(answer)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fd = spawn_inspector(cfg);

	if (pid > 0 && tid > 0 && sentry > 0)
		find_place(sentry, pid, tid, &answer);
	if (fd >= 0) {
		cmsg.align.cmsg_len = CMSG_LEN(sizeof(int));
		cmsg.align.cmsg_level = SOL_SOCKET;
		cmsg.align.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&cmsg.align), &fd, sizeof(fd));
		msg.msg_control = cmsg.bytes;
		msg.msg_controllen = sizeof(cmsg.bytes);
	}
	while (sendmsg(control, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
	if (fd >= 0)
		close(fd);
}
