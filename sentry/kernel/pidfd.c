/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pidfds: descriptors that name a process and keep naming it after its number is free again (pidfd_open(2)).
 *
 * A description holds a reference to the thread group. It polls readable once the group is a zombie, and hung up once
 * it was reaped. Nothing can be read or written.
 */
#include "sentry/abi/fs.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/vfs/vfs.h"

static uint32_t pidfd_poll(unused_arg struct task *task, struct file *file, struct waiter *waiter)
{
	struct thread_group *g = file->private_data;

	if (waiter != NULL)
		waitq_add(&g->exit_waitq, waiter);
	if (!g->zombie)
		return 0;
	return LINUX_POLLIN | LINUX_POLLRDNORM | (g->leader == NULL ? LINUX_POLLHUP : 0);
}

static void pidfd_release(struct file *file)
{
	group_put(file->private_data);
}

static const struct file_ops pidfd_ops = {
	.poll = pidfd_poll,
	.release = pidfd_release,
};

struct file *pidfd_new(struct task *task, struct thread_group *group, uint32_t flags)
{
	struct file *file = file_new_anon(task, "anon_inode:[pidfd]", &pidfd_ops, LINUX_O_RDWR | flags, group);

	if (file != NULL)
		group_get(group);
	return file;
}

struct thread_group *pidfd_group(struct file *file)
{
	return file->ops == &pidfd_ops ? file->private_data : NULL;
}
