/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timerfd_create(2): a timer whose expirations are read from a descriptor.
 *
 * Times of every clock are kept as deadlines on the loop's clock (the host's CLOCK_MONOTONIC). The timer fires once;
 * the expirations of an interval that went by are counted when somebody reads or asks, which is also when it is armed
 * again: an unread periodic timer costs nothing.
 *
 * The guest controls times and the number of timers. Left out: ECANCELED for TFD_TIMER_CANCEL_ON_SET (accepted; the
 * sandbox's clock is never set from inside), waking a machine for the _ALARM clocks (they need CAP_WAKE_ALARM).
 */
#include "sentry/vfs/eventfd.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"

#include <time.h>

struct timerfd {
	struct ktimer timer;
	int clock;          /* the host's number of the clock */
	uint64_t deadline;  /* of the last arming, on the loop's clock; 0: disarmed */
	uint64_t interval;  /* ns; 0: once */
	uint64_t ticks;     /* expirations not yet read */
	bool expired;       /* fired; with an interval, waits to be armed again */
	struct waitq waitq;
};

static uint64_t to_ns(const struct linux_timespec *t)
{
	uint64_t ns;

	if (__builtin_mul_overflow((uint64_t)t->sec, NSEC_PER_SEC, &ns) || ns > INT64_MAX)
		return INT64_MAX;
	return ns + (uint64_t)t->nsec;
}

static struct linux_timespec from_ns(uint64_t ns)
{
	return (struct linux_timespec){(int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC)};
}

static void fired(struct ktimer *k)
{
	struct timerfd *t = container_of(k, struct timerfd, timer);

	t->expired = true;
	t->ticks++;
	waitq_wake(&t->waitq, LINUX_POLLIN);
}

/* Brings a periodic timer that has fired up to now: counts what went by and arms it again. */
static void catch_up(struct timerfd *t)
{
	uint64_t now, missed;

	if (!t->expired || t->interval == 0)
		return;
	t->expired = false;
	now = loop_now();
	missed = now > t->deadline ? (now - t->deadline) / t->interval : 0;
	t->ticks += missed;
	t->deadline += (missed + 1) * t->interval;
	ktimer_set(&t->timer, t->deadline);
}

static int64_t timerfd_read(struct task *task, struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	struct timerfd *t = file->private_data;
	uint64_t value;

	if (buf->left < sizeof(value))
		return -LINUX_EINVAL;
	while (t->ticks == 0) {
		int err;

		if (file_nonblock(file, buf))
			return -LINUX_EAGAIN;
		err = task_wait_until(task, &t->waitq, LINUX_POLLIN, WAIT_INTERRUPTIBLE, WAIT_FOREVER);
		if (err)
			return err;
	}
	catch_up(t);
	value = t->ticks;
	t->ticks = 0;
	return iobuf_put(buf, &value, sizeof(value)) == sizeof(value) ? (int64_t)sizeof(value) : -LINUX_EFAULT;
}

static uint32_t timerfd_poll(unused_arg struct task *task, struct file *file, struct waiter *waiter)
{
	struct timerfd *t = file->private_data;

	if (waiter != NULL)
		waitq_add(&t->waitq, waiter);
	return t->ticks != 0 ? LINUX_POLLIN : 0;
}

static int64_t timerfd_ioctl(struct task *task, struct file *file, unsigned cmd, uint64_t arg)
{
	struct timerfd *t = file->private_data;
	uint64_t ticks;
	int err;

	if (cmd != LINUX_TFD_IOC_SET_TICKS)
		return -LINUX_ENOTTY;
	err = get_guest(task, &ticks, GVA(arg));
	if (err)
		return err;
	if (ticks == 0)
		return -LINUX_EINVAL;
	t->ticks = ticks;
	waitq_wake(&t->waitq, LINUX_POLLIN);
	return 0;
}

static void timerfd_release(struct file *file)
{
	struct timerfd *t = file->private_data;

	ktimer_cancel(&t->timer);
	kfree(t);
}

static const struct file_ops timerfd_fops = {
	.read = timerfd_read,
	.poll = timerfd_poll,
	.ioctl = timerfd_ioctl,
	.release = timerfd_release,
};

bool file_is_timerfd(const struct file *file)
{
	return file->ops == &timerfd_fops;
}

void timerfd_get(struct file *file, struct ktimerspec *out)
{
	struct timerfd *t = file->private_data;
	uint64_t now;

	catch_up(t);
	now = loop_now();
	out->interval = from_ns(t->interval);
	if (t->deadline == 0 || t->expired)
		out->value = from_ns(0);
	else
		out->value = from_ns(t->deadline > now ? t->deadline - now : 1);
}

int timerfd_set(struct file *file, int flags, const struct ktimerspec *new_, struct ktimerspec *old)
{
	struct timerfd *t = file->private_data;
	uint64_t value = to_ns(&new_->value);
	int64_t late = 0;

	if (old != NULL)
		timerfd_get(file, old);
	ktimer_cancel(&t->timer);
	t->expired = false;
	t->ticks = 0;
	t->interval = to_ns(&new_->interval);
	t->deadline = 0;
	if (value == 0)
		return 0;
	/* An absolute time is how far that clock still has to go from now. */
	if (flags & LINUX_TFD_TIMER_ABSTIME) {
		late = (int64_t)host_clock_ns(t->clock) - (int64_t)value;
		value = late < 0 ? (uint64_t)-late : 0;
	}
	t->deadline = loop_now();
	if (late > 0)
		t->deadline -= MIN((uint64_t)late, t->deadline - 1); /* intervals count from when it was due */
	else if (__builtin_add_overflow(t->deadline, value, &t->deadline))
		t->deadline = WAIT_FOREVER - 1;
	ktimer_set(&t->timer, t->deadline);
	return 0;
}

struct file *timerfd_new(struct task *task, int clock, uint32_t flags)
{
	struct timerfd *t = kzalloc(sizeof(*t));
	struct file *file;

	if (t == NULL)
		return NULL;
	ktimer_init(&t->timer, fired);
	t->clock = clock;
	waitq_init(&t->waitq);
	file = file_new_anon(task, "anon_inode:[timerfd]", &timerfd_fops, LINUX_O_RDWR | flags, t);
	if (file == NULL)
		kfree(t);
	return file;
}
