/* SPDX-License-Identifier: Apache-2.0 */
/* pipe(2), pipe2(2). What a pipe is: sentry/vfs/pipe.c. */
#include "syscalls/define.h"

#include "sentry/vfs/pipe.h"

/* Unknown flags come before a bad pointer; nothing is left open if either is wrong. */
static int64_t make_pipe(struct task *task, gva_t fds, int flags)
{
	int pair[2], err;

	if ((uint32_t)flags & ~(LINUX_O_CLOEXEC | LINUX_O_NONBLOCK | LINUX_O_DIRECT))
		return -LINUX_EINVAL;
	err = pipe_open(task, flags, pair);
	if (err)
		return err;
	err = copy_to_guest(task, fds, pair, sizeof(pair));
	if (err) {
		fd_close(task, pair[0]);
		fd_close(task, pair[1]);
	}
	return err;
}

SYSCALL_DEFINE2(pipe2, gva_t, fds, int, flags)
{
	return make_pipe(task, fds, flags);
}

SYSCALL_DEFINE1(pipe, gva_t, fds)
{
	return make_pipe(task, fds, 0);
}
