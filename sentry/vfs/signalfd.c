/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signalfd(2): pending signals read from a descriptor.
 *
 * A description holds only a mask; the signals are those of whoever reads, so a poll puts its waiter on the queue of
 * the task that polls. That queue may go before the waiter does (an epoll instance that outlives the thread which added
 * the item): signalfd_task_gone takes such waiters off.
 */
#include "sentry/vfs/eventfd.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"

#include <string.h>

struct signalfd {
	uint64_t mask; /* wanted signals; never KILL or STOP */
};

static uint64_t wanted(uint64_t mask)
{
	return mask & ~(LINUX_SIGMASK(LINUX_SIGKILL) | LINUX_SIGMASK(LINUX_SIGSTOP));
}

static void fill(struct linux_signalfd_siginfo *out, const struct linux_siginfo *info)
{
	memset(out, 0, sizeof(*out));
	out->signo = (uint32_t)info->signo;
	out->errno_ = info->errno_;
	out->code = info->code;
	switch (info->signo) {
	case LINUX_SIGCHLD:
		if (info->code <= 0)
			break;
		out->pid = (uint32_t)info->child.pid;
		out->uid = info->child.uid;
		out->status = info->child.status;
		out->utime = (uint64_t)info->child.utime;
		out->stime = (uint64_t)info->child.stime;
		return;
	case LINUX_SIGSEGV:
	case LINUX_SIGBUS:
	case LINUX_SIGILL:
	case LINUX_SIGFPE:
	case LINUX_SIGTRAP:
		if (info->code <= 0 || info->code == LINUX_SI_KERNEL)
			break;
		out->addr = info->fault.addr;
		out->addr_lsb = (uint16_t)info->fault.addr_lsb;
		return;
	case LINUX_SIGIO:
		if (info->code <= 0 || info->code == LINUX_SI_KERNEL)
			break;
		out->band = (uint32_t)info->poll.band;
		out->fd = info->poll.fd;
		return;
	default:
		break;
	}
	if (info->code == LINUX_SI_TIMER) {
		out->tid = (uint32_t)info->timer.timerid;
		out->overrun = (uint32_t)info->timer.overrun;
		out->ptr = info->timer.value;
		out->int_ = (int32_t)info->timer.value;
		return;
	}
	out->pid = (uint32_t)info->kill.pid;
	out->uid = info->kill.uid;
	out->ptr = info->kill.value;
	out->int_ = (int32_t)info->kill.value;
}

/* One signal if there is one: sleeps only if may_wait. 0, -LINUX_EAGAIN or -LINUX_ERESTARTSYS. */
static int take_signal(struct task *task, struct signalfd *s, bool may_wait, struct linux_siginfo *info)
{
	for (;;) {
		int err;

		if (signal_dequeue(task, s->mask, info) != 0)
			return 0;
		if (!may_wait)
			return -LINUX_EAGAIN;
		err = task_wait(task, &task->signalfd_waitq, WAIT_INTERRUPTIBLE);
		if (err)
			return err;
	}
}

static int64_t signalfd_read(struct task *task, struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	struct signalfd *s = file->private_data;
	struct linux_signalfd_siginfo out;
	struct linux_siginfo info;
	int64_t done = 0;

	if (buf->left < sizeof(out))
		return -LINUX_EINVAL;
	while (buf->left >= sizeof(out)) {
		int err = take_signal(task, s, done == 0 && !file_nonblock(file, buf), &info);

		if (err)
			return done != 0 ? done : err;
		fill(&out, &info);
		if (iobuf_put(buf, &out, sizeof(out)) != sizeof(out))
			return done != 0 ? done : -LINUX_EFAULT;
		done += (int64_t)sizeof(out);
	}
	return done;
}

static uint32_t signalfd_poll(struct task *task, struct file *file, struct waiter *waiter)
{
	struct signalfd *s = file->private_data;

	if (waiter != NULL)
		waitq_add(&task->signalfd_waitq, waiter);
	return (task->pending.set | task->group->shared_pending.set) & s->mask ? LINUX_POLLIN : 0;
}

static void signalfd_release(struct file *file)
{
	kfree(file->private_data);
}

static const struct file_ops signalfd_fops = {
	.read = signalfd_read,
	.poll = signalfd_poll,
	.release = signalfd_release,
};

bool signalfd_mask(const struct file *file, uint64_t *mask)
{
	const struct signalfd *s = file->private_data;

	if (file->ops != &signalfd_fops)
		return false;
	*mask = s->mask;
	return true;
}

int signalfd_set(struct file *file, uint64_t mask)
{
	struct signalfd *s = file->private_data;

	if (file->ops != &signalfd_fops)
		return -LINUX_EINVAL;
	s->mask = wanted(mask);
	waitq_wake(&task_current()->signalfd_waitq, LINUX_POLLIN);
	return 0;
}

void signalfd_task_gone(struct task *task)
{
	struct waiter *w, *tmp;

	list_for_each_safe(w, tmp, &task->signalfd_waitq.waiters, link)
		waitq_remove(w);
}

struct file *signalfd_new(struct task *task, uint64_t mask, uint32_t flags)
{
	struct signalfd *s = kzalloc(sizeof(*s));
	struct file *file;

	if (s == NULL)
		return NULL;
	s->mask = wanted(mask);
	file = file_new_anon(task, "anon_inode:[signalfd]", &signalfd_fops, LINUX_O_RDWR | flags, s);
	if (file == NULL)
		kfree(s);
	return file;
}
