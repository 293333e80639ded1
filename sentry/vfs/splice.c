/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving bytes between descriptions without the guest's memory.
 *
 *	sendfile, copy_file_range    file --> 64 KiB of sentry memory --> file, piece by piece
 *	splice                       pipe buffer held (pipe_hold) --> write --> what was written is consumed
 *	                             read of a page --> pipe_push
 *	tee                          pipe_peek --> pipe_push
 *
 * Bytes are copied, not moved by reference. Nothing is lost when a write is short: a file's position goes back, a held
 * pipe buffer keeps what wasn't taken. Only what was read from a stream (a socket) and then finds its pipe full waits
 * there until there is room again, without heeding signals.
 *
 * The guest controls lengths: long transfers yield every MiB.
 */
#include "sentry/vfs/splice.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/pipe.h"

#define PIECE (64 * KiB)

static void yield_every_mib(struct task *task, uint64_t done, int64_t n)
{
	if (done / MiB != (done + (uint64_t)n) / MiB)
		task_yield(task);
}

/* Writes all of mem, or as much as goes. Bytes, or the first call's error. */
static int64_t write_mem(struct task *task, struct file *out, int64_t *pos, void *mem, size_t len)
{
	struct iobuf buf;

	iobuf_init_mem(&buf, mem, len);
	return vfs_write(task, out, &buf, pos);
}

static int64_t read_mem(struct task *task, struct file *in, int64_t *pos, void *mem, size_t len)
{
	struct iobuf buf;

	iobuf_init_mem(&buf, mem, len);
	return vfs_read(task, in, &buf, pos);
}

/*
 * Copies from a file with a position. What was read but couldn't be written is given back by setting the position.
 */
static int64_t copy_loop(struct task *task, struct file *in, int64_t *in_pos, struct file *out, int64_t *out_pos,
			 uint64_t len)
{
	int64_t read_pos = in->pos, write_pos = in->pos, *from;
	bool same = in == out && in_pos == NULL && out_pos == NULL;
	uint64_t done = 0;
	int64_t ret = 0;
	void *mem = kmalloc(MIN(len, PIECE));

	if (mem == NULL)
		return -LINUX_ENOMEM;
	/* One description for both: reading and writing start at its position, and it moves on once. */
	if (same) {
		in_pos = &read_pos;
		out_pos = &write_pos;
	}
	from = in_pos != NULL ? in_pos : &in->pos;
	while (done < len) {
		int64_t start = *from, n, m;

		n = read_mem(task, in, in_pos, mem, MIN(len - done, PIECE));
		if (n <= 0) {
			ret = n;
			break;
		}
		m = write_mem(task, out, out_pos, mem, (size_t)n);
		if (m < n)
			*from = start + MAX(m, (int64_t)0);
		if (m < 0) {
			ret = m;
			break;
		}
		yield_every_mib(task, done, m);
		done += (uint64_t)m;
		if (m < n)
			break;
		if (signal_pending(task))
			break;
	}
	kfree(mem);
	if (same)
		in->pos = read_pos;
	return done != 0 ? (int64_t)done : ret;
}

int64_t splice_sendfile(struct task *task, struct file *out, struct file *in, int64_t *in_pos, uint64_t len)
{
	struct pipe *pipe = file_pipe(out);

	if (pipe != NULL)
		return splice_to_pipe(task, in, in_pos, pipe, len, (out->flags & LINUX_O_NONBLOCK) != 0);
	return copy_loop(task, in, in_pos, out, NULL, len);
}

int64_t splice_copy_range(struct task *task, struct file *in, int64_t *in_pos, struct file *out, int64_t *out_pos,
			  uint64_t len)
{
	return len == 0 ? 0 : copy_loop(task, in, in_pos, out, out_pos, len);
}

/* Adds bytes that can't be given back: waits for room as long as there are readers. */
static int64_t push_all(struct task *task, struct pipe *pipe, const uint8_t *mem, size_t len)
{
	for (;;) {
		int64_t n = pipe_push(pipe, mem, len);

		if (n != 0)
			return n;
		n = pipe_wait_room(task, pipe, false, WAIT_KILLABLE);
		if (n < 0)
			return n;
	}
}

int64_t splice_to_pipe(struct task *task, struct file *in, int64_t *in_pos, struct pipe *pipe, uint64_t len,
		       bool nonblock)
{
	uint8_t *mem = kmalloc(PAGE_SIZE);
	uint64_t done = 0;
	int64_t ret = 0;

	if (mem == NULL)
		return -LINUX_ENOMEM;
	while (done < len) {
		int64_t n;

		/* Sleeps only for the first byte's sake. */
		ret = pipe_wait_room(task, pipe, nonblock || done != 0, WAIT_INTERRUPTIBLE);
		if (ret < 0)
			break;
		n = read_mem(task, in, in_pos, mem, MIN(len - done, PAGE_SIZE));
		if (n <= 0) {
			ret = n;
			break;
		}
		ret = push_all(task, pipe, mem, (size_t)n);
		if (ret < 0)
			break;
		yield_every_mib(task, done, n);
		done += (uint64_t)n;
		if ((uint64_t)n < PAGE_SIZE && !(in->mode & FMODE_SEEK))
			break; /* a stream gave what it had */
	}
	kfree(mem);
	return done != 0 ? (int64_t)done : ret;
}

int64_t splice_from_pipe(struct task *task, struct pipe *pipe, struct file *out, int64_t *out_pos, uint64_t len,
			 bool nonblock)
{
	uint64_t done = 0;
	int64_t ret = 0;

	while (done < len) {
		const uint8_t *data;
		size_t have;
		int64_t n;

		ret = pipe_wait_data(task, pipe, nonblock || done != 0);
		if (ret <= 0)
			break;
		have = pipe_hold(pipe, &data);
		/* The page stays where it is while it is held; write ops only read it. */
		n = write_mem(task, out, out_pos, (void *)(uintptr_t)data, MIN(have, len - done));
		pipe_consume(pipe, n > 0 ? (size_t)n : 0);
		if (n <= 0) {
			ret = n;
			break;
		}
		yield_every_mib(task, done, n);
		done += (uint64_t)n;
	}
	return done != 0 ? (int64_t)done : ret;
}

int64_t splice_pipe_to_pipe(struct task *task, struct pipe *in, struct pipe *out, uint64_t len, bool nonblock)
{
	uint64_t done = 0;
	int64_t ret = 0;

	while (done < len) {
		const uint8_t *data;
		size_t have;
		int64_t n;

		ret = pipe_wait_data(task, in, nonblock || done != 0);
		if (ret <= 0)
			break;
		ret = pipe_wait_room(task, out, nonblock || done != 0, WAIT_INTERRUPTIBLE);
		if (ret < 0)
			break;
		/* The wait for room may have let another reader in. */
		if (pipe_wait_data(task, in, true) <= 0)
			continue;
		have = pipe_hold(in, &data);
		n = pipe_push(out, data, MIN(have, len - done));
		pipe_consume(in, n > 0 ? (size_t)n : 0);
		if (n < 0) {
			ret = n;
			break;
		}
		yield_every_mib(task, done, n);
		done += (uint64_t)n;
	}
	return done != 0 ? (int64_t)done : ret;
}

int64_t splice_tee(struct task *task, struct pipe *in, struct pipe *out, uint64_t len, bool nonblock)
{
	uint8_t *mem;
	uint64_t done = 0;
	int64_t ret;

	ret = pipe_wait_data(task, in, nonblock);
	if (ret > 0)
		ret = pipe_wait_room(task, out, nonblock, WAIT_INTERRUPTIBLE);
	if (ret <= 0)
		return ret;
	mem = kmalloc(PAGE_SIZE);
	if (mem == NULL)
		return -LINUX_ENOMEM;
	/* Nothing sleeps from here on: what is looked at stays where it is. */
	while (done < len) {
		size_t n = pipe_peek(in, done, mem, MIN(len - done, PAGE_SIZE));

		ret = n != 0 ? pipe_push(out, mem, n) : 0;
		if (ret <= 0)
			break;
		done += (uint64_t)ret;
	}
	kfree(mem);
	return done != 0 ? (int64_t)done : ret;
}
