/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes and FIFOs; see vfs/pipe.c. */
#ifndef SENTRY_VFS_PIPE_H
#define SENTRY_VFS_PIPE_H

#include "sentry/vfs/vfs.h"

struct pipe;

/* pipe2(2) but for copying the numbers out: flags are O_CLOEXEC, O_NONBLOCK, O_DIRECT. */
int pipe_open(struct task *task, int flags, int fds[2]) must_check;

/*
 * Opens a FIFO (vfs_open calls it for inodes with S_IFIFO, after permission checks, with file->inode, flags and mode
 * set). Sleeps until the other side comes, as fifo(7) has it; -LINUX_ENXIO, -LINUX_ERESTARTSYS. On success the file's
 * ops and private_data are set. On failure nothing is left behind and file->ops is as it was.
 */
int fifo_open(struct task *task, struct inode *inode, struct file *file) must_check;

/* The file's pipe, or NULL if it isn't one. */
struct pipe *file_pipe(const struct file *file);
/* F_SETPIPE_SZ and F_GETPIPE_SZ: the size, or -LINUX_EPERM, EBUSY, EINVAL, ENOMEM. */
int64_t pipe_set_size(struct task *task, struct pipe *pipe, uint64_t bytes);
int64_t pipe_get_size(const struct pipe *pipe);
/* /proc/sys/fs/pipe-max-size; changed by pseudo's proc. */
extern uint32_t pipe_max_size;

/* ---- for vfs/splice.c ---- */

/* Waits until there is something to read (or nothing will come: 0) or room for a buffer. 1 if so, 0 at end of file,
 * -LINUX_EAGAIN, -LINUX_EPIPE (no reader; SIGPIPE is sent), -LINUX_ERESTARTSYS. */
int pipe_wait_data(struct task *task, struct pipe *pipe, bool nonblock) must_check;
int pipe_wait_room(struct task *task, struct pipe *pipe, bool nonblock, enum wait_mode mode) must_check;
/* The oldest bytes (at most one buffer of them), held back from other readers until pipe_consume. After
 * pipe_wait_data gave 1. Returns their length. */
size_t pipe_hold(struct pipe *pipe, const uint8_t **data);
/* Takes n bytes of what is held, and lets other readers go on. */
void pipe_consume(struct pipe *pipe, size_t n);
/* Adds a buffer of up to PAGE_SIZE bytes (copied). Bytes taken, 0 if the pipe is full, or -LINUX_ENOMEM, -LINUX_EPIPE
 * (without a signal). */
int64_t pipe_push(struct pipe *pipe, const void *data, size_t len);
/* Copies up to len bytes from byte `skip` on without taking them. Bytes, 0 if there are no more. */
size_t pipe_peek(const struct pipe *pipe, size_t skip, void *dst, size_t len);

#endif
