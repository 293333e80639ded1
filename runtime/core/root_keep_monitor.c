/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's part of root-writes=keep: starting the keeper.
 *
 * The keeper is executed anew from the command's program, whose descriptor the command left us, with an empty environment, the
 * root's directory, the configuration (for its maps of ids), and one end of a socketpair whose other end goes to the sentry. As root it has what changing files as root
 * takes, and no other capability. It is started once, at the end: an idle sandbox has no process more.
 */
#include "runtime/core/root_keep.h"

#include "runtime/core/control_protocol.h"
#include "runtime/core/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID */
#define CAPS_OF_FILES 0x1fULL

static pid_t spawn_keeper(const struct config *cfg, int *ours)
{
	int pair[2], pid;
	int program = fcntl(cfg->keep_program, F_DUPFD_CLOEXEC, 256);

	if (program < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		close(program);
		return -EMFILE;
	}
	pid = spawn_role(&(struct spawn){
		.role = KEEP_ROLE,
		.program_fd = program,
		.fds = {pair[1], cfg->root_fd, CONFIG_FD},
		.nfds = 3,
		.keep_caps = geteuid() == 0 ? CAPS_OF_FILES : 0,
	});
	close(program);
	close(pair[1]);
	if (pid < 0)
		close(pair[0]);
	else
		*ours = pair[0];
	return pid;
}

pid_t root_keep_spawn(const struct config *cfg, int control, bool wanted)
{
	struct control_message answer = {.type = CONTROL_FILES, .id = CONTROL_KEEPER};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} cmsg = {0};
	struct iovec iov = {&answer, sizeof(answer)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fd = -1;
	pid_t pid = wanted && cfg->root_keep ? spawn_keeper(cfg, &fd) : 0;

	if (fd >= 0) {
		cmsg.align.cmsg_len = CMSG_LEN(sizeof(int));
		cmsg.align.cmsg_level = SOL_SOCKET;
		cmsg.align.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&cmsg.align), &fd, sizeof(fd));
		msg.msg_control = cmsg.bytes;
		msg.msg_controllen = sizeof(cmsg.bytes);
	}
	/* Never waited for: a sentry that was taken over need not read. A keeper whose socket gets nowhere ends, and says so itself. */
	if (sendmsg(control, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && pid <= 0)
		pid = -EPIPE;
	if (fd >= 0)
		close(fd);
	return pid;
}
