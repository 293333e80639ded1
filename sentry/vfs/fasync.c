/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signal-driven input and output: a waiter on the file's own queue that sends a signal to the file's owner.
 *
 * With F_SETSIG the signal carries which descriptor and what happened; else it is a plain SIGIO. The right to signal is
 * the opener's: user ids are compared as kill(2) does, so that a descriptor passed to somebody doesn't become a way to
 * signal others. Left out: the difference between the opener and who called F_SETOWN.
 */
#include "sentry/vfs/fasync.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"

#include <string.h>

struct fasync {
	struct waiter waiter;
	struct file *file; /* borrowed: it owns this */
	int fd;
};

/* si_code: POLL_IN, POLL_OUT, POLL_MSG, POLL_ERR, POLL_PRI, POLL_HUP */
enum { REASON_IN = 1, REASON_OUT, REASON_MSG, REASON_ERR, REASON_PRI, REASON_HUP };

static bool may_signal(const struct cred *c, const struct task *target)
{
	if (c == NULL || target->cred == NULL)
		return false;
	return c->euid == 0 || c->euid == target->cred->suid || c->euid == target->cred->uid ||
	       c->uid == target->cred->suid || c->uid == target->cred->uid || cred_capable(c, LINUX_CAP_KILL);
}

static void send_to_group(struct file *file, struct thread_group *group, int sig, const struct linux_siginfo *info)
{
	if (group->leader != NULL && may_signal(file->cred, group->leader))
		(void)signal_send_group(group, sig, info);
}

void file_signal_owner(struct file *file, int fd, int reason, uint32_t band)
{
	int sig = file->owner_sig != 0 ? file->owner_sig : LINUX_SIGIO;
	struct linux_siginfo info, *with = NULL;

	if (file->owner_pid == 0)
		return;
	if (file->owner_sig != 0) {
		memset(&info, 0, sizeof(info));
		info.signo = sig;
		info.code = reason;
		info.poll.band = band;
		info.poll.fd = fd;
		with = &info;
	}
	if (file->owner_pid < 0) {
		struct process_group *pgrp = pgrp_find_in(file->owner_pids, -file->owner_pid);
		struct thread_group *g;

		if (pgrp != NULL)
			list_for_each(g, &pgrp->groups, pgrp_link)
				send_to_group(file, g, sig, with);
	} else if (file->owner_is_thread) {
		struct task *t = task_find_in(file->owner_pids, file->owner_pid);

		if (t != NULL && may_signal(file->cred, t))
			(void)signal_send_task(t, sig, with);
	} else {
		struct thread_group *g = group_find_in(file->owner_pids, file->owner_pid);

		if (g != NULL)
			send_to_group(file, g, sig, with);
	}
}

static bool fasync_wake(struct waiter *w, uint32_t events)
{
	struct fasync *f = container_of(w, struct fasync, waiter);
	int reason = REASON_IN;

	if (events & LINUX_POLLIN)
		reason = REASON_IN;
	else if (events & LINUX_POLLOUT)
		reason = REASON_OUT;
	else if (events & LINUX_POLLHUP)
		reason = REASON_HUP;
	else if (events & LINUX_POLLERR)
		reason = REASON_ERR;
	else if (events & LINUX_POLLPRI)
		reason = REASON_PRI;
	file_signal_owner(f->file, f->fd, reason, events);
	return false;
}

int fasync_start(struct task *task, struct file *file, int fd)
{
	struct fasync *f;

	if (file->ops->poll == NULL || file->fasync != NULL)
		return 0;
	f = kzalloc(sizeof(*f));
	if (f == NULL)
		return -LINUX_ENOMEM;
	list_init(&f->waiter.link);
	f->waiter.events = LINUX_POLLIN | LINUX_POLLOUT | LINUX_POLLPRI | LINUX_POLLERR | LINUX_POLLHUP;
	f->waiter.wake = fasync_wake;
	f->file = file;
	f->fd = fd;
	file->fasync = f;
	(void)vfs_poll(task, file, &f->waiter);
	return 0;
}

void fasync_stop(struct file *file)
{
	if (file->fasync == NULL)
		return;
	waitq_remove(&file->fasync->waiter);
	kfree(file->fasync);
	file->fasync = NULL;
}
