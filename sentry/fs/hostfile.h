/* SPDX-License-Identifier: Apache-2.0 */
/* Files behind which stands a host descriptor: the guest's stdin, stdout, stderr. See fs/hostfile.c. */
#ifndef SENTRY_FS_HOSTFILE_H
#define SENTRY_FS_HOSTFILE_H

#include "sentry/vfs/vfs.h"

/*
 * A description on host_fd, which it takes (also on failure). flags: access mode and O_APPEND, O_NONBLOCK as the guest
 * shall see them. Returns a reference, or NULL if memory is out. Where start opened a pipe or terminal anew, the host's
 * O_NONBLOCK may be set on a description of our own; if it is set, it is made use of; it is never changed here.
 */
struct file *hostfile_new(struct task *task, int host_fd, uint32_t flags) must_check;
/* True if the file is a host terminal. */
bool file_is_host_tty(const struct file *file);

#endif
