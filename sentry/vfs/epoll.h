/* SPDX-License-Identifier: Apache-2.0 */
/* epoll instances; see vfs/epoll.c. */
#ifndef SENTRY_VFS_EPOLL_H
#define SENTRY_VFS_EPOLL_H

#include "sentry/abi/event.h"
#include "sentry/vfs/vfs.h"

/* Makes an instance and gives it a descriptor. */
int epoll_open(struct task *task, bool cloexec) must_check;
/* epoll_control(2) on checked descriptors; ev is NULL for LINUX_EPOLL_CTL_DEL. Both files are borrowed. */
int epoll_control(struct task *task, struct file *epfile, int op, struct file *file, int fd,
		  const struct linux_epoll_event *ev,
	      bool nonblock) must_check;
/* Sleeps until events are there, the deadline (loop clock; 0: don't sleep), or a signal (-LINUX_EINTR). Writes up to
 * max events to the guest. Their number, or -errno. */
int64_t epoll_collect(struct task *task, struct file *epfile, gva_t events, int max, uint64_t deadline);
bool file_is_epoll(const struct file *file);
/* vfs/file.c calls it when a description's last reference goes, before ops->release: its items leave their instances.
 * Cheap if file->epitems is empty. */
void epoll_file_released(struct file *file);

/* For /proc/PID/fdinfo: one call per item. */
void epoll_for_each(struct file *epfile,
		    void (*fn)(void *arg, int fd, uint32_t events, uint64_t data, struct inode *inode), void *arg);

#endif
