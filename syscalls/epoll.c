/* SPDX-License-Identifier: Apache-2.0 */
/* epoll_create(2), epoll_control(2), epoll_wait(2) and relatives. The instance: sentry/vfs/epoll.c. */
#include "syscalls/define.h"

#include "sentry/vfs/epoll.h"
#include "sentry/vfs/poll.h"

#define MAX_EVENTS (INT32_MAX / (int)sizeof(struct linux_epoll_event))

SYSCALL_DEFINE1(epoll_create1, uint32_t, flags)
{
	if (flags & ~LINUX_O_CLOEXEC)
		return -LINUX_EINVAL;
	return epoll_open(task, (flags & LINUX_O_CLOEXEC) != 0);
}

SYSCALL_DEFINE1(epoll_create, int, size)
{
	if (size <= 0)
		return -LINUX_EINVAL;
	return epoll_open(task, false);
}

SYSCALL_DEFINE4(epoll_ctl, int, epfd, int, op, int, fd, gva_t, gev)
{
	struct linux_epoll_event ev = {0};
	struct file *epfile, *file;
	int err;

	if (op != LINUX_EPOLL_CTL_DEL) {
		err = get_guest(task, &ev, gev);
		if (err)
			return err;
	}
	epfile = fd_get(task, epfd);
	if (epfile == NULL)
		return -LINUX_EBADF;
	file = fd_get(task, fd);
	if (file == NULL) {
		file_put(epfile);
		return -LINUX_EBADF;
	}
	err = epoll_control(task, epfile, op, file, fd, op != LINUX_EPOLL_CTL_DEL ? &ev : NULL, false);
	file_put(file);
	file_put(epfile);
	return err;
}

static int64_t wait_events(struct task *task, int epfd, gva_t events, int max, uint64_t deadline)
{
	struct file *epfile;
	int64_t ret;

	if (max <= 0 || max > MAX_EVENTS)
		return -LINUX_EINVAL;
	if (!guest_range_ok(events, (uint64_t)max * sizeof(struct linux_epoll_event)))
		return -LINUX_EFAULT;
	epfile = fd_get(task, epfd);
	if (epfile == NULL)
		return -LINUX_EBADF;
	ret = file_is_epoll(epfile) ? epoll_collect(task, epfile, events, max, deadline) : -LINUX_EINVAL;
	file_put(epfile);
	return ret;
}

static uint64_t deadline_from_ms(int timeout_ms)
{
	if (timeout_ms < 0)
		return WAIT_FOREVER;
	return timeout_ms == 0 ? 0 : deadline_after((uint64_t)timeout_ms * NSEC_PER_MSEC);
}

SYSCALL_DEFINE4(epoll_wait, int, epfd, gva_t, events, int, max, int, timeout_ms)
{
	return wait_events(task, epfd, events, max, deadline_from_ms(timeout_ms));
}

SYSCALL_DEFINE6(epoll_pwait, int, epfd, gva_t, events, int, max, int, timeout_ms, gva_t, mask, uint64_t, mask_size)
{
	int err = signal_temp_mask_from_guest(task, mask, mask_size);

	return err ? err : wait_events(task, epfd, events, max, deadline_from_ms(timeout_ms));
}

SYSCALL_DEFINE6(epoll_pwait2, int, epfd, gva_t, events, int, max, gva_t, timeout, gva_t, mask, uint64_t, mask_size)
{
	uint64_t deadline = WAIT_FOREVER;
	struct linux_timespec ts;
	int err = 0;

	if (timeout.v != 0) {
		err = get_guest(task, &ts, timeout);
		if (err == 0)
			err = deadline_from_timespec(&ts, &deadline);
	}
	if (err == 0)
		err = signal_temp_mask_from_guest(task, mask, mask_size);
	return err ? err : wait_events(task, epfd, events, max, deadline);
}
