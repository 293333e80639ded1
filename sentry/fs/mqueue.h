/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX message queues (mq_overview(7)); see fs/mqueue.c. */
#ifndef SENTRY_FS_MQUEUE_H
#define SENTRY_FS_MQUEUE_H

#include "sentry/abi/ipc.h"
#include "sentry/base/types.h"

struct file;
struct task;

/* mq_open(2): attr NULL for the defaults. The new description (a reference) in *out. */
int mq_open_file(struct task *task, const char *name, uint32_t flags, uint32_t mode, const struct linux_mq_attr *attr,
		 struct file **out) must_check;
int mq_remove(struct task *task, const char *name) must_check;
/* text is taken (kfree), also on failure. deadline: loop clock, WAIT_FOREVER for none. */
int mq_send(struct task *task, struct file *file, uint8_t *text, size_t len, uint32_t prio, uint64_t deadline) must_check;
/* The longest message that may be sent (-LINUX_EBADF if file isn't a queue open for writing), or -LINUX_EMSGSIZE. */
int mq_check_send(struct file *file, uint64_t len) must_check;
/* Returns the length; *text (kfree) and *prio are the message. */
int64_t mq_receive(struct task *task, struct file *file, uint64_t size, uint64_t deadline, uint8_t **text, uint32_t *prio);
/* ev NULL: no more. */
int mq_set_notify(struct task *task, struct file *file, const struct linux_mq_sigevent *ev) must_check;
/* set may be NULL; *old is filled before. */
int mq_attributes(struct file *file, const struct linux_mq_attr *set, struct linux_mq_attr *old) must_check;

#endif
