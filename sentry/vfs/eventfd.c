/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eventfd(2): a 64-bit counter. A write adds, a read takes all (or one, as a semaphore); reads of 0 and writes that
 * would reach the maximum wait. One queue: POLLIN for readers, POLLOUT for writers.
 */
#include "sentry/vfs/eventfd.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"

#define COUNT_MAX (UINT64_MAX - 1)

struct eventfd {
	uint64_t count; /* <= COUNT_MAX */
	bool semaphore;
	struct waitq waitq;
};

static int64_t eventfd_read(struct task *task, struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	struct eventfd *e = file->private_data;
	uint64_t value;

	if (buf->left < sizeof(value))
		return -LINUX_EINVAL;
	while (e->count == 0) {
		int err;

		if (file_nonblock(file, buf))
			return -LINUX_EAGAIN;
		err = task_wait_until(task, &e->waitq, LINUX_POLLIN, WAIT_INTERRUPTIBLE, WAIT_FOREVER);
		if (err)
			return err;
	}
	value = e->semaphore ? 1 : e->count;
	e->count -= value;
	waitq_wake(&e->waitq, LINUX_POLLOUT);
	return iobuf_put(buf, &value, sizeof(value)) == sizeof(value) ? (int64_t)sizeof(value) : -LINUX_EFAULT;
}

static int64_t eventfd_write(struct task *task, struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	struct eventfd *e = file->private_data;
	uint64_t value;

	if (buf->left < sizeof(value))
		return -LINUX_EINVAL;
	if (iobuf_get(buf, &value, sizeof(value)) != sizeof(value))
		return -LINUX_EFAULT;
	if (value == UINT64_MAX)
		return -LINUX_EINVAL;
	while (COUNT_MAX - e->count < value) {
		int err;

		if (file_nonblock(file, buf))
			return -LINUX_EAGAIN;
		err = task_wait_until(task, &e->waitq, LINUX_POLLOUT, WAIT_INTERRUPTIBLE, WAIT_FOREVER);
		if (err)
			return err;
	}
	e->count += value;
	waitq_wake(&e->waitq, LINUX_POLLIN);
	return sizeof(value);
}

static uint32_t eventfd_poll(unused_arg struct task *task, struct file *file, struct waiter *waiter)
{
	struct eventfd *e = file->private_data;

	if (waiter != NULL)
		waitq_add(&e->waitq, waiter);
	return (e->count > 0 ? LINUX_POLLIN : 0) | (e->count < COUNT_MAX ? LINUX_POLLOUT : 0);
}

static void eventfd_release(struct file *file)
{
	kfree(file->private_data);
}

static const struct file_ops eventfd_fops = {
	.read = eventfd_read,
	.write = eventfd_write,
	.poll = eventfd_poll,
	.release = eventfd_release,
};

bool eventfd_count(const struct file *file, uint64_t *count)
{
	const struct eventfd *e = file->private_data;

	if (file->ops != &eventfd_fops)
		return false;
	*count = e->count;
	return true;
}

int eventfd_signal(struct file *file, uint64_t n)
{
	struct eventfd *e = file->private_data;

	if (file->ops != &eventfd_fops)
		return -LINUX_EINVAL;
	e->count += MIN(n, COUNT_MAX - e->count);
	waitq_wake(&e->waitq, LINUX_POLLIN);
	return 0;
}

struct file *eventfd_new(struct task *task, uint32_t count, bool semaphore, uint32_t flags)
{
	struct eventfd *e = kzalloc(sizeof(*e));
	struct file *file;

	if (e == NULL)
		return NULL;
	e->count = count;
	e->semaphore = semaphore;
	waitq_init(&e->waitq);
	file = file_new_anon(task, "anon_inode:[eventfd]", &eventfd_fops, LINUX_O_RDWR | flags, e);
	if (file == NULL)
		kfree(e);
	return file;
}
