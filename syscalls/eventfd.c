/* SPDX-License-Identifier: Apache-2.0 */
/* eventfd(2), timerfd_create(2) and its two calls, signalfd(2). The objects: sentry/vfs/eventfd.c, timerfd.c,
 * signalfd.c. */
#include "syscalls/define.h"

#include "sentry/abi/capability.h"
#include "sentry/vfs/eventfd.h"

/* ---- eventfd ---- */

static int64_t make_eventfd(struct task *task, uint32_t count, uint32_t flags)
{
	struct file *file;

	if (flags & ~(LINUX_EFD_SEMAPHORE | LINUX_O_CLOEXEC | LINUX_O_NONBLOCK))
		return -LINUX_EINVAL;
	file = eventfd_new(task, count, (flags & LINUX_EFD_SEMAPHORE) != 0, flags & LINUX_O_NONBLOCK);
	if (file == NULL)
		return -LINUX_ENOMEM;
	return fd_install(task, file, 0, (flags & LINUX_O_CLOEXEC) != 0);
}

SYSCALL_DEFINE2(eventfd2, uint32_t, count, uint32_t, flags)
{
	return make_eventfd(task, count, flags);
}

SYSCALL_DEFINE1(eventfd, uint32_t, count)
{
	return make_eventfd(task, count, 0);
}

/* ---- timerfd ---- */

#define CLOCK_REALTIME_ 0
#define CLOCK_MONOTONIC_ 1
#define CLOCK_BOOTTIME_ 7
#define CLOCK_REALTIME_ALARM_ 8
#define CLOCK_BOOTTIME_ALARM_ 9

/* The clock that runs alike, as the host numbers it; -1 if the guest's isn't one for timers. */
static int timer_clock(int clock)
{
	switch (clock) {
	case CLOCK_REALTIME_:
	case CLOCK_REALTIME_ALARM_:
		return CLOCK_REALTIME_;
	case CLOCK_MONOTONIC_:
		return CLOCK_MONOTONIC_;
	case CLOCK_BOOTTIME_:
	case CLOCK_BOOTTIME_ALARM_:
		return CLOCK_BOOTTIME_;
	default:
		return -1;
	}
}

SYSCALL_DEFINE2(timerfd_create, int, clock, uint32_t, flags)
{
	struct file *file;

	if ((flags & ~(LINUX_O_CLOEXEC | LINUX_O_NONBLOCK)) || timer_clock(clock) < 0)
		return -LINUX_EINVAL;
	if ((clock == CLOCK_REALTIME_ALARM_ || clock == CLOCK_BOOTTIME_ALARM_) &&
	    !task_capable(task, LINUX_CAP_WAKE_ALARM))
		return -LINUX_EPERM;
	file = timerfd_new(task, timer_clock(clock), flags & LINUX_O_NONBLOCK);
	if (file == NULL)
		return -LINUX_ENOMEM;
	return fd_install(task, file, 0, (flags & LINUX_O_CLOEXEC) != 0);
}

static bool valid_time(const struct linux_timespec *t)
{
	return t->sec >= 0 && t->nsec >= 0 && t->nsec < (int64_t)NSEC_PER_SEC;
}

static int timerfd_file(struct task *task, int fd, struct file **out)
{
	struct file *file = fd_get(task, fd);

	if (file == NULL)
		return -LINUX_EBADF;
	if (!file_is_timerfd(file)) {
		file_put(file);
		return -LINUX_EINVAL;
	}
	*out = file;
	return 0;
}

SYSCALL_DEFINE4(timerfd_settime, int, fd, int, flags, gva_t, gnew, gva_t, gold)
{
	struct ktimerspec new_, old;
	struct file *file;
	int err;

	err = get_guest(task, &new_, gnew);
	if (err)
		return err;
	if ((flags & ~(LINUX_TFD_TIMER_ABSTIME | LINUX_TFD_TIMER_CANCEL_ON_SET)) || !valid_time(&new_.value) ||
	    !valid_time(&new_.interval))
		return -LINUX_EINVAL;
	err = timerfd_file(task, fd, &file);
	if (err)
		return err;
	err = timerfd_set(file, flags, &new_, &old);
	file_put(file);
	if (err == 0 && gold.v != 0)
		err = put_guest(task, gold, &old);
	return err;
}

SYSCALL_DEFINE2(timerfd_gettime, int, fd, gva_t, gcur)
{
	struct ktimerspec cur;
	struct file *file;
	int err;

	err = timerfd_file(task, fd, &file);
	if (err)
		return err;
	timerfd_get(file, &cur);
	file_put(file);
	return put_guest(task, gcur, &cur);
}

/* ---- signalfd ---- */

static int64_t make_signalfd(struct task *task, int fd, gva_t gmask, uint64_t size, uint32_t flags)
{
	struct file *file;
	uint64_t mask;
	int err;

	if (size != sizeof(mask))
		return -LINUX_EINVAL;
	err = get_guest(task, &mask, gmask);
	if (err)
		return err;
	if (flags & ~(LINUX_O_CLOEXEC | LINUX_O_NONBLOCK))
		return -LINUX_EINVAL;
	if (fd == -1) {
		file = signalfd_new(task, mask, flags & LINUX_O_NONBLOCK);
		if (file == NULL)
			return -LINUX_ENOMEM;
		return fd_install(task, file, 0, (flags & LINUX_O_CLOEXEC) != 0);
	}
	file = fd_get(task, fd);
	if (file == NULL)
		return -LINUX_EBADF;
	err = signalfd_set(file, mask);
	file_put(file);
	return err ? err : fd;
}

SYSCALL_DEFINE4(signalfd4, int, fd, gva_t, mask, uint64_t, size, uint32_t, flags)
{
	return make_signalfd(task, fd, mask, size, flags);
}

SYSCALL_DEFINE3(signalfd, int, fd, gva_t, mask, uint64_t, size)
{
	return make_signalfd(task, fd, mask, size, 0);
}
