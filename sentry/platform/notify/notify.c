/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notify platform's transport: seccomp user notification.
 *
 * One listener serves all stubs; the loop sleeps in poll() on it. A call is received, answered by SEND (a value, or
 * CONTINUE), and a descriptor goes into the caller's table by ADDFD. Numbers: about 5 us a call on one CPU.
 *
 * SYNC_WAKE_UP puts whoever is woken on the waker's CPU. That is right when the other side would sleep otherwise, and
 * collapses all guest threads onto one CPU when it is kept with several of them running: so it is on while the sentry
 * sleeps, and for an answer only while the threads in guest code leave a CPU to us.
 */
#include "sentry/abi/errno.h"
#include "sentry/host/host.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/stubs/stubs.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

static int listener = -1;
static int sync_now = -1;

static void set_sync(bool on)
{
	if (sync_now == on)
		return;
	sync_now = on;
	/* Linux 6.6; without it everything is slower, nothing is wrong. */
	host_ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, (void *)(on ? SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP : 0UL));
}

static void before_sleep(void)
{
	set_sync(true);
}

/* Before SEND. While we poll, who is woken shall go to another CPU. */
static void choose_sync(void)
{
	set_sync(!gate_polling() && (stubs_running <= 1 || stubs_running < (int)kernel.ncpus || place_packed()));
}

static void answer(uint64_t id, int64_t value)
{
	struct seccomp_notif_resp resp = {.id = id};

	choose_sync();
	if (value < 0 && value >= -4095)
		resp.error = (int32_t)value;
	else
		resp.val = value;
	/* ENOENT: the thread was killed meanwhile; its end comes as a child's death. */
	host_ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

static void proceed(uint64_t id)
{
	struct seccomp_notif_resp resp = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

	choose_sync();
	host_ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

static int pass_fd(uint64_t id, int fd, int at, bool and_answer)
{
	struct seccomp_notif_addfd addfd = {
		.id = id,
		.srcfd = (uint32_t)fd,
		.newfd = at >= 0 ? (uint32_t)at : 0,
		.flags = (and_answer ? SECCOMP_ADDFD_FLAG_SEND : 0) | (at >= 0 ? SECCOMP_ADDFD_FLAG_SETFD : 0),
	};

	return host_ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd);
}

static const struct stub_transport notify_transport = {
	.answer = answer,
	.proceed = proceed,
	.pass_fd = pass_fd,
	.before_sleep = before_sleep,
	/* A notification costs 4.5, 8.8, 44, 295 us with 0, 200, 1,000, 4,000 others on the listener. */
	.cheap_waiters = 64,
	.chooses_number = true,
};

static void dispatch(uint32_t revents)
{
	struct seccomp_notif n;
	struct stub_call c;

	if (revents & POLLHUP)
		zygote_gone(-1);
	if (!(revents & POLLIN))
		return;
	memset(&n, 0, sizeof(n));
	if (host_ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
		return; /* a signal was first, or the thread died */
	if (n.data.arch != AUDIT_ARCH_X86_64) {
		answer(n.id, -LINUX_ENOSYS);
		return;
	}
	c.id = n.id;
	c.tid = (int)n.pid;
	c.nr = n.data.nr;
	c.ip = n.data.instruction_pointer;
	memcpy(c.args, n.data.args, sizeof(c.args));
	stubs_call(&c);
}

int notify_boot(const char **step)
{
	int fd;

	transport = &notify_transport;
	platform = &notify_platform;
	platform_dispatch = dispatch;
	fd = zygote_boot(SECCOMP_RET_USER_NOTIF,
			 SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, -1, NULL, step);
	if (fd < 0)
		return fd;
	listener = platform_event_fd = fd;
	fcntl(listener, F_SETFD, FD_CLOEXEC);
	set_sync(true);
	return 0;
}
