/* SPDX-License-Identifier: Apache-2.0 */
/* eventfd(2), timerfd_create(2), signalfd(2): objects without a name. See vfs/eventfd.c, timerfd.c, signalfd.c. */
#ifndef SENTRY_VFS_EVENTFD_H
#define SENTRY_VFS_EVENTFD_H

#include "sentry/abi/event.h"
#include "sentry/vfs/vfs.h"

/* Each returns a reference to a new description, or NULL if memory is out. flags: LINUX_O_NONBLOCK. */
struct file *eventfd_new(struct task *task, uint32_t count, bool semaphore, uint32_t flags) must_check;
struct file *timerfd_new(struct task *task, int clock, uint32_t flags) must_check;
struct file *signalfd_new(struct task *task, uint64_t mask, uint32_t flags) must_check;

/* For /proc/PID/fdinfo: false if file isn't one. */
bool eventfd_count(const struct file *file, uint64_t *count);
bool signalfd_mask(const struct file *file, uint64_t *mask);

/* Adds to an eventfd's counter from inside (aio). -LINUX_EINVAL if file isn't one. */
int eventfd_signal(struct file *file, uint64_t n) must_check;

struct ktimerspec {
	struct linux_timespec interval, value;
};
bool file_is_timerfd(const struct file *file);
/* flags: LINUX_TFD_TIMER_*. old may be NULL. Times are checked by the caller. */
int timerfd_set(struct file *file, int flags, const struct ktimerspec *new_, struct ktimerspec *old) must_check;
void timerfd_get(struct file *file, struct ktimerspec *out);

/* Changes the mask of an existing one. -LINUX_EINVAL if file isn't one. */
int signalfd_set(struct file *file, uint64_t mask) must_check;
/* The task's waitq is going (task freed): waiters that other instances still have on it are taken off. */
void signalfd_task_gone(struct task *task);

#endif
