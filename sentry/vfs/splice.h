/* SPDX-License-Identifier: Apache-2.0 */
/* Moving bytes between descriptions without the guest's memory: sendfile, copy_file_range, splice, tee. See splice.c. */
#ifndef SENTRY_VFS_SPLICE_H
#define SENTRY_VFS_SPLICE_H

#include "sentry/vfs/vfs.h"

struct pipe;

/*
 * Each moves up to len bytes and returns how many, 0 at the end, or -errno. Positions: NULL means the description's own;
 * else it is used and advanced. Modes and kinds have been checked by the caller.
 */
int64_t splice_sendfile(struct task *task, struct file *out, struct file *in, int64_t *in_pos, uint64_t len);
int64_t splice_copy_range(struct task *task, struct file *in, int64_t *in_pos, struct file *out, int64_t *out_pos,
			  uint64_t len);
int64_t splice_to_pipe(struct task *task, struct file *in, int64_t *in_pos, struct pipe *pipe, uint64_t len, bool nonblock);
int64_t splice_from_pipe(struct task *task, struct pipe *pipe, struct file *out, int64_t *out_pos, uint64_t len,
			 bool nonblock);
int64_t splice_pipe_to_pipe(struct task *task, struct pipe *in, struct pipe *out, uint64_t len, bool nonblock);
int64_t splice_tee(struct task *task, struct pipe *in, struct pipe *out, uint64_t len, bool nonblock);

#endif
