/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux's own asynchronous input and output (io_setup(2), io_submit(2), not POSIX aio).
 *
 * A request is carried out while it is submitted, as Linux does for buffered files; its completion waits in the context
 * for io_getevents. The context's id is the address of a ring page in the guest, as in Linux: libaio looks into it,
 * finds no magic there, and makes the call. The page is a mapping of an anonymous file, which owns the context: it goes
 * with munmap, exec and exit, and needs no table.
 *
 *	io_submit --> read or write now --> ring of events in the sentry --> io_getevents
 *	                                                       \-> eventfd
 *
 * The guest controls ids (looked up in its own mappings), the number of events (EVENTS_MAX a context) and requests.
 * Left out: IOCB_CMD_POLL (EINVAL), cancelling (nothing is ever outstanding), requests that go on after the call.
 */
#include "sentry/vfs/aio.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/usercopy.h"
#include "sentry/vfs/eventfd.h"

#define EVENTS_MAX 65536U /* /proc/sys/fs/aio-max-nr */

enum { CMD_PREAD, CMD_PWRITE, CMD_FSYNC, CMD_FDSYNC, CMD_NOOP = 6, CMD_PREADV, CMD_PWRITEV };
#define FLAG_RESFD 1U

struct aio {
	const struct mm *mm;  /* whose: compared only. A fork's child has the page, not the context */
	uint32_t cap;
	uint32_t head, used;  /* used <= cap */
	bool dead;            /* io_destroy was called */
	struct waitq waitq;   /* POLLIN: an event came, or dead */
	struct linux_io_event *events;
};

static int aio_map(unused_arg struct task *task, unused_arg struct file *file, unused_arg uint64_t off,
		   unused_arg uint64_t len, unused_arg int prot, unused_arg bool shared, struct map_backing *out)
{
	*out = (struct map_backing){.host_fd = -1, .force_private = true};
	return 0;
}

static void aio_release(struct file *file)
{
	struct aio *a = file->private_data;

	kfree(a->events);
	kfree(a);
}

static const struct file_ops aio_fops = {
	.map = aio_map,
	.release = aio_release,
};

/* The context's file: a reference, so that it stays while the caller sleeps. NULL if there is none. */
static struct file *aio_find(struct task *task, uint64_t id)
{
	struct vma *v = mm_find(task->mm, id);
	struct aio *a;

	if (v == NULL || v->start != id || v->file == NULL || v->file->ops != &aio_fops)
		return NULL;
	a = v->file->private_data;
	return a->mm == task->mm && !a->dead ? file_get(v->file) : NULL;
}

int aio_check(struct task *task, uint64_t id)
{
	struct file *file = aio_find(task, id);

	if (file == NULL)
		return -LINUX_EINVAL;
	file_put(file);
	return 0;
}

int aio_setup(struct task *task, uint32_t nr, uint64_t *id)
{
	struct aio *a;
	struct file *file;
	int64_t addr;

	if (nr == 0)
		return -LINUX_EINVAL;
	if (nr > EVENTS_MAX)
		return -LINUX_EAGAIN;
	a = kzalloc(sizeof(*a));
	if (a == NULL)
		return -LINUX_ENOMEM;
	a->cap = nr;
	a->mm = task->mm;
	waitq_init(&a->waitq);
	a->events = kcalloc(nr, sizeof(*a->events));
	file = a->events != NULL ? file_new_anon(task, "/[aio]", &aio_fops, LINUX_O_RDWR, a) : NULL;
	if (file == NULL) {
		kfree(a->events);
		kfree(a);
		return -LINUX_ENOMEM;
	}
	addr = mm_mmap(task, 0, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE, LINUX_MAP_PRIVATE, file, 0);
	file_put(file);
	if (addr < 0)
		return (int)addr;
	*id = (uint64_t)addr;
	return 0;
}

int aio_destroy(struct task *task, uint64_t id)
{
	struct file *file = aio_find(task, id);
	struct aio *a;
	int err;

	if (file == NULL)
		return -LINUX_EINVAL;
	a = file->private_data;
	a->dead = true;
	waitq_wake(&a->waitq, 0);
	err = mm_munmap(task, id, PAGE_SIZE);
	file_put(file);
	return err;
}

/* ---- requests ---- */

static int64_t transfer(struct task *task, struct file *file, const struct linux_iocb *cb)
{
	bool write = cb->opcode == CMD_PWRITE || cb->opcode == CMD_PWRITEV;
	bool vector = cb->opcode == CMD_PREADV || cb->opcode == CMD_PWRITEV;
	int64_t pos = cb->offset, ret;
	struct iobuf buf;

	if (vector) {
		ret = iobuf_init_iovec(&buf, task, GVA(cb->buf), cb->nbytes);
		if (ret)
			return ret;
	} else {
		iobuf_init_guest(&buf, task, GVA(cb->buf), cb->nbytes);
	}
	buf.nowait = (cb->rw_flags & LINUX_RWF_NOWAIT) != 0;
	buf.append = write && (cb->rw_flags & LINUX_RWF_APPEND) != 0;
	if (write)
		ret = vfs_write(task, file, &buf, file->mode & FMODE_SEEK ? &pos : NULL);
	else
		ret = vfs_read(task, file, &buf, file->mode & FMODE_SEEK ? &pos : NULL);
	iobuf_done(&buf);
	/* A request is never restarted. */
	return ret <= -LINUX_ERESTARTSYS ? -LINUX_EINTR : ret;
}

/* What is wrong with the request itself: io_submit's own error. */
static int check_request(const struct linux_iocb *cb, const struct file *file)
{
	switch (cb->opcode) {
	case CMD_PREAD:
	case CMD_PREADV:
		if (!(file->mode & FMODE_READ))
			return -LINUX_EBADF;
		return file->ops->read != NULL ? 0 : -LINUX_EINVAL;
	case CMD_PWRITE:
	case CMD_PWRITEV:
		if (!(file->mode & FMODE_WRITE))
			return -LINUX_EBADF;
		return file->ops->write != NULL ? 0 : -LINUX_EINVAL;
	case CMD_FSYNC:
	case CMD_FDSYNC:
		return cb->buf == 0 && cb->offset == 0 && cb->nbytes == 0 && cb->rw_flags == 0 ? 0 : -LINUX_EINVAL;
	default:
		return -LINUX_EINVAL;
	}
}

static int64_t carry_out(struct task *task, struct file *file, const struct linux_iocb *cb)
{
	if (cb->opcode == CMD_FSYNC || cb->opcode == CMD_FDSYNC)
		return file->ops->fsync != NULL ? file->ops->fsync(task, file) : 0;
	return transfer(task, file, cb);
}

int aio_submit_one(struct task *task, uint64_t id, gva_t obj)
{
	struct file *ctx = aio_find(task, id), *file = NULL, *resfd = NULL;
	struct linux_iocb cb;
	struct aio *a;
	int64_t res;
	int err;

	if (ctx == NULL)
		return -LINUX_EINVAL;
	a = ctx->private_data;
	err = get_guest(task, &cb, obj);
	if (err == 0 && (cb.reserved2 != 0 || (int64_t)cb.nbytes < 0))
		err = -LINUX_EINVAL;
	if (err)
		goto put_ctx;
	err = a->used < a->cap ? 0 : -LINUX_EAGAIN;
	if (err)
		goto put_ctx;
	file = fd_get(task, (int)cb.fd);
	err = file != NULL ? 0 : -LINUX_EBADF;
	if (err == 0 && (cb.flags & FLAG_RESFD)) {
		uint64_t count;

		resfd = fd_get(task, (int)cb.resfd);
		err = resfd == NULL ? -LINUX_EBADF : eventfd_count(resfd, &count) ? 0 : -LINUX_EINVAL;
	}
	if (err == 0)
		err = check_request(&cb, file);
	if (err)
		goto put_files;
	res = carry_out(task, file, &cb);
	/* Another thread may have filled the ring while this one slept: then the oldest, unclaimed, goes. */
	if (a->used == a->cap) {
		a->head = (a->head + 1) % a->cap;
		a->used--;
	}
	a->events[(a->head + a->used) % a->cap] = (struct linux_io_event){.data = cb.data, .obj = obj.v, .res = res};
	a->used++;
	waitq_wake(&a->waitq, LINUX_POLLIN);
	if (resfd != NULL)
		(void)!eventfd_signal(resfd, 1);
put_files:
	file_put(file);
	file_put(resfd);
put_ctx:
	file_put(ctx);
	return err;
}

/* ---- completions ---- */

static int64_t take_events(struct task *task, struct aio *a, int64_t max, gva_t dst, int64_t done)
{
	while (done < max && a->used != 0) {
		struct linux_io_event ev = a->events[a->head];

		if (put_guest(task, gva_add(dst, (uint64_t)done * sizeof(ev)), &ev) != 0)
			return done != 0 ? done : -LINUX_EFAULT;
		a->head = (a->head + 1) % a->cap;
		a->used--;
		done++;
	}
	return done;
}

int64_t aio_collect(struct task *task, uint64_t id, int64_t min, int64_t max, gva_t events, uint64_t deadline)
{
	struct file *ctx = aio_find(task, id);
	int64_t done = 0;
	struct aio *a;

	if (ctx == NULL)
		return -LINUX_EINVAL;
	a = ctx->private_data;
	for (;;) {
		int err;

		done = take_events(task, a, max, events, done);
		if (done < 0 || done >= min || deadline == 0)
			break;
		if (a->dead) {
			done = done != 0 ? done : -LINUX_EINVAL;
			break;
		}
		err = task_wait_until(task, &a->waitq, LINUX_POLLIN, WAIT_INTERRUPTIBLE, deadline);
		if (err != 0 && a->used == 0) {
			if (done == 0 && err != -LINUX_ETIMEDOUT)
				done = -LINUX_EINTR;
			break;
		}
	}
	file_put(ctx);
	return done;
}
