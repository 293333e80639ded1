/* SPDX-License-Identifier: Apache-2.0 */
/* Files behind which stands a host descriptor: the guest's stdin, stdout, stderr. See fs/hostfile.c. */
#ifndef SENTRY_FS_HOSTFILE_H
#define SENTRY_FS_HOSTFILE_H

#include "sentry/vfs/vfs.h"

struct tty;

/*
 * A description on host_fd, which it takes (also on failure). flags: O_NONBLOCK as the guest shall see it; access mode and
 * O_APPEND are the host descriptor's. Returns a reference, or NULL if memory is out. Where start opened a pipe or terminal
 * anew, the host's O_NONBLOCK may be set on a description of our own; if it is set, it is made use of; it is never
 * changed here. SIGPIPE must be ignored in the sentry.
 */
struct file *hostfile_new(struct task *task, int host_fd, uint32_t flags) must_check;
/* The host terminal behind the file, or NULL: start makes it the first session's (tty_set_controlling). Descriptors of
 * the same terminal have the same one. Borrowed. */
struct tty *file_host_tty(const struct file *file);

#endif
