/* SPDX-License-Identifier: Apache-2.0 */
/* Signal-driven input and output (O_ASYNC, F_SETOWN, F_SETSIG); see vfs/fasync.c. */
#ifndef SENTRY_VFS_FASYNC_H
#define SENTRY_VFS_FASYNC_H

#include "sentry/vfs/vfs.h"

/* From now on the file's owner gets a signal at each change of readiness. fd is what si_fd shows. Nothing happens for files
 * that can't be polled. */
int fasync_start(struct task *task, struct file *file, int fd) must_check;
/* Harmless if it was not on. file_put calls it. */
void fasync_stop(struct file *file);

/* Sends sig (0: SIGIO) to the file's owner, if whoever opened the file may. band: poll bits. */
void file_signal_owner(struct file *file, int fd, int reason, uint32_t band);

#endif
