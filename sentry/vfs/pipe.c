/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes and FIFOs.
 *
 * A pipe is a ring of page-sized buffers between open file descriptions. Writers add at the head, readers take from the
 * tail; both sleep on one wait queue, woken with poll bits: POLLIN for readers, POLLOUT for writers.
 *
 *	write(2) --> pipe_write --> [buf][buf][buf] --> pipe_read --> read(2)
 *	                               splice: pipe_hold, pipe_consume, pipe_push
 *
 * The pipe hangs on its inode (inode->fifo), for pipe(2) as for FIFOs, so that opening /proc/self/fd/N finds the same
 * one; it lives while a description is open (files != 0). A small write is merged into the last page; a write of up to
 * PIPE_BUF bytes takes at most one new buffer, so it is atomic. In packet mode (O_DIRECT) each buffer is one message.
 *
 * Invariants: used <= nslots; readers == 0 means that nothing is added; `held` says that a splice works on the tail
 * buffer, and everybody else must wait. file->pos of a FIFO's description is wcount at its open if there was no writer,
 * else -1: POLLHUP comes only when a writer has been there.
 *
 * The guest controls sizes (F_SETPIPE_SZ, up to pipe_max_size without CAP_SYS_RESOURCE) and the number of pipes; a
 * buffer exists only while it holds bytes, and all of it is on the sandbox's memory account.
 * Left out: gifted pages (vmsplice, splice copy), O_NOTIFICATION_PIPE, the per-user page limits.
 */
#include "sentry/vfs/pipe.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/ioctl.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"

#include <string.h>

#define PIPE_DEFAULT_SLOTS 16U
#define PIPE_SLOTS_CAP (1U << 18) /* 1 GiB: what even a privileged task can ask for */

uint32_t pipe_max_size = 1048576;

struct pipe_buf {
	uint8_t *page;
	uint32_t off, len; /* len != 0 */
	bool packet;       /* one message: no merging, a short read loses the rest */
};

struct pipe {
	struct inode *inode;  /* borrowed: the descriptions hold it */
	struct pipe_buf *slots;
	uint32_t nslots;      /* a power of two */
	uint32_t tail, used;
	uint32_t files;       /* descriptions, and opens in progress */
	uint32_t readers, writers; /* descriptions with FMODE_READ, FMODE_WRITE */
	uint32_t rcount, wcount;   /* how often one came; FIFO opens wait for a change */
	bool held;
	uint8_t *spare;       /* one page kept back, or NULL */
	struct waitq waitq;
};

static const struct file_ops pipe_fops;
static const struct inode_ops pipe_iops;
static struct superblock pipefs = {
	.fs_type = "pipefs",
	.magic = LINUX_PIPEFS_MAGIC,
	.dev = LINUX_MKDEV(0, 0x0d),
};

#define WAKE_READERS (LINUX_POLLIN | LINUX_POLLRDNORM)
#define WAKE_WRITERS (LINUX_POLLOUT | LINUX_POLLWRNORM)
#define WAKE_ALL (WAKE_READERS | WAKE_WRITERS | LINUX_POLLERR | LINUX_POLLHUP)

static struct pipe_buf *slot(const struct pipe *p, uint32_t i)
{
	return &p->slots[(p->tail + i) & (p->nslots - 1)];
}

static bool full(const struct pipe *p)
{
	return p->used >= p->nslots;
}

static uint8_t *page_get(struct pipe *p)
{
	uint8_t *page = p->spare;

	p->spare = NULL;
	return page != NULL ? page : kmalloc(PAGE_SIZE);
}

static void page_put(struct pipe *p, uint8_t *page)
{
	if (p->spare == NULL)
		p->spare = page;
	else
		kfree(page);
}

static void drop_tail(struct pipe *p)
{
	page_put(p, slot(p, 0)->page);
	p->tail = (p->tail + 1) & (p->nslots - 1);
	p->used--;
}

static struct pipe *pipe_new(struct inode *inode)
{
	struct pipe *p = kzalloc(sizeof(*p));

	if (p == NULL)
		return NULL;
	p->nslots = PIPE_DEFAULT_SLOTS;
	p->slots = kcalloc(p->nslots, sizeof(*p->slots));
	if (p->slots == NULL) {
		kfree(p);
		return NULL;
	}
	p->inode = inode;
	waitq_init(&p->waitq);
	return p;
}

/* A description (or an open in progress) goes; the last frees the pipe. */
static void pipe_put(struct pipe *p)
{
	if (--p->files != 0)
		return;
	while (p->used != 0)
		drop_tail(p);
	p->inode->fifo = NULL;
	kfree(p->spare);
	kfree(p->slots);
	kfree(p);
}

struct pipe *file_pipe(const struct file *file)
{
	return file->ops == &pipe_fops ? file->private_data : NULL;
}

/* ---- reading ---- */

static bool readable(const struct pipe *p)
{
	return p->used != 0 && !p->held;
}

static int64_t pipe_read(struct task *task, struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	struct pipe *p = file->private_data;
	bool was_full;
	int64_t done = 0;
	int err = 0;

	if (buf->left == 0)
		return 0;
	while (!readable(p)) {
		if (p->used == 0 && p->writers == 0)
			return 0;
		if (file_nonblock(file, buf))
			return -LINUX_EAGAIN;
		err = task_wait_until(task, &p->waitq, WAKE_READERS | LINUX_POLLHUP, WAIT_INTERRUPTIBLE, WAIT_FOREVER);
		if (err)
			return err;
	}
	was_full = full(p);
	while (p->used != 0 && buf->left != 0) {
		struct pipe_buf *b = slot(p, 0);
		size_t want = MIN((uint64_t)b->len, buf->left);
		size_t n = iobuf_put(buf, b->page + b->off, want);
		bool packet = b->packet;

		done += (int64_t)n;
		b->off += (uint32_t)n;
		b->len -= (uint32_t)n;
		if (n < want) {
			if (done == 0)
				return -LINUX_EFAULT;
			break;
		}
		if (b->len == 0 || packet)
			drop_tail(p);
		if (packet)
			break;
	}
	if (was_full && !full(p))
		waitq_wake(&p->waitq, WAKE_WRITERS);
	return done;
}

/* ---- writing ---- */

static int broken_pipe(struct task *task)
{
	struct linux_siginfo info;

	siginfo_from_task(&info, LINUX_SIGPIPE, LINUX_SI_USER, task);
	(void)signal_send_task(task, LINUX_SIGPIPE, &info);
	return -LINUX_EPIPE;
}

/* Appends up to a page from buf as a new buffer. Bytes, or -errno with nothing changed. */
static int64_t add_buffer(struct pipe *p, struct iobuf *buf, bool packet)
{
	uint8_t *page = page_get(p);
	size_t want = MIN(buf->left, PAGE_SIZE);
	size_t n;

	if (page == NULL)
		return -LINUX_ENOMEM;
	n = iobuf_get(buf, page, want);
	if (n < want) {
		/* What came before the fault isn't written: a page is all or nothing, as in Linux. */
		iobuf_revert(buf, n);
		page_put(p, page);
		return -LINUX_EFAULT;
	}
	*slot(p, p->used) = (struct pipe_buf){.page = page, .len = (uint32_t)n, .packet = packet};
	p->used++;
	return (int64_t)n;
}

/* Puts the odd end of a write (what isn't whole pages) into the last page if it fits there. */
static int64_t merge(struct pipe *p, struct iobuf *buf)
{
	size_t chars = buf->left & (PAGE_SIZE - 1);
	struct pipe_buf *b;
	size_t n;

	if (chars == 0 || p->used == 0 || (p->used == 1 && p->held))
		return 0;
	b = slot(p, p->used - 1);
	if (b->packet || b->off + b->len + chars > PAGE_SIZE)
		return 0;
	n = iobuf_get(buf, b->page + b->off + b->len, chars);
	if (n < chars) {
		iobuf_revert(buf, n);
		return -LINUX_EFAULT;
	}
	b->len += (uint32_t)n;
	return (int64_t)n;
}

static int64_t pipe_write(struct task *task, struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	struct pipe *p = file->private_data;
	int64_t done = 0, n;
	bool packet = (file->flags & LINUX_O_DIRECT) != 0;

	if (buf->left == 0)
		return 0;
	if (p->readers == 0)
		return broken_pipe(task);
	if (!packet) {
		n = merge(p, buf);
		if (n < 0)
			return n;
		done += n;
	}
	for (;;) {
		if (p->readers == 0) {
			int err = broken_pipe(task);

			done = done != 0 ? done : err;
			break;
		}
		if (buf->left == 0)
			break;
		if (!full(p)) {
			n = add_buffer(p, buf, packet);
			if (n < 0) {
				done = done != 0 ? done : n;
				break;
			}
			done += n;
			continue;
		}
		if (file_nonblock(file, buf)) {
			done = done != 0 ? done : -LINUX_EAGAIN;
			break;
		}
		waitq_wake(&p->waitq, WAKE_READERS);
		n = task_wait_until(task, &p->waitq, WAKE_WRITERS | LINUX_POLLERR, WAIT_INTERRUPTIBLE, WAIT_FOREVER);
		if (n != 0) {
			done = done != 0 ? done : n;
			break;
		}
	}
	if (done > 0) {
		waitq_wake(&p->waitq, WAKE_READERS);
		inode_touch(p->inode, ATTR_MTIME | ATTR_CTIME);
	}
	return done;
}

/* ---- readiness, control ---- */

static uint32_t pipe_poll(unused_arg struct task *task, struct file *file, struct waiter *waiter)
{
	struct pipe *p = file->private_data;
	uint32_t ready = 0;

	if (waiter != NULL)
		waitq_add(&p->waitq, waiter);
	if (file->mode & FMODE_READ) {
		if (readable(p))
			ready |= LINUX_POLLIN | LINUX_POLLRDNORM;
		if (p->writers == 0 && file->pos != (int64_t)p->wcount)
			ready |= LINUX_POLLHUP;
	}
	if (file->mode & FMODE_WRITE) {
		if (!full(p))
			ready |= LINUX_POLLOUT | LINUX_POLLWRNORM;
		if (p->readers == 0)
			ready |= LINUX_POLLERR;
	}
	return ready;
}

static int64_t pipe_ioctl(struct task *task, struct file *file, unsigned cmd, uint64_t arg)
{
	struct pipe *p = file->private_data;
	uint64_t bytes = 0;
	int32_t n;

	if (cmd != LINUX_FIONREAD)
		return -LINUX_ENOTTY;
	for (uint32_t i = 0; i < p->used; i++)
		bytes += slot(p, i)->len;
	n = (int32_t)MIN(bytes, (uint64_t)INT32_MAX);
	return put_guest(task, GVA(arg), &n);
}

static void pipe_release(struct file *file)
{
	struct pipe *p = file->private_data;

	if (file->mode & FMODE_READ)
		p->readers--;
	if (file->mode & FMODE_WRITE)
		p->writers--;
	if (p->readers == 0 || p->writers == 0)
		waitq_wake(&p->waitq, WAKE_ALL);
	pipe_put(p);
}

static const struct inode_ops pipe_iops = {0};

static const struct file_ops pipe_fops = {
	.read = pipe_read,
	.write = pipe_write,
	.poll = pipe_poll,
	.ioctl = pipe_ioctl,
	.release = pipe_release,
};

int64_t pipe_get_size(const struct pipe *p)
{
	return (int64_t)(p->nslots * PAGE_SIZE);
}

int64_t pipe_set_size(struct task *task, struct pipe *p, uint64_t bytes)
{
	struct pipe_buf *slots;
	uint64_t nslots = 1;

	if (bytes > 1UL << 31)
		return -LINUX_EINVAL;
	while (nslots * PAGE_SIZE < bytes)
		nslots *= 2;
	if (nslots > p->nslots && nslots * PAGE_SIZE > pipe_max_size && !task_capable(task, LINUX_CAP_SYS_RESOURCE))
		return -LINUX_EPERM;
	if (nslots > PIPE_SLOTS_CAP)
		return -LINUX_ENOMEM;
	if (nslots < p->used)
		return -LINUX_EBUSY;
	if (nslots == p->nslots)
		return pipe_get_size(p);
	slots = kcalloc(nslots, sizeof(*slots));
	if (slots == NULL)
		return -LINUX_ENOMEM;
	for (uint32_t i = 0; i < p->used; i++)
		slots[i] = *slot(p, i);
	kfree(p->slots);
	p->slots = slots;
	p->nslots = (uint32_t)nslots;
	p->tail = 0;
	if (!full(p))
		waitq_wake(&p->waitq, WAKE_WRITERS);
	return pipe_get_size(p);
}

/* ---- splice ---- */

int pipe_wait_data(struct task *task, struct pipe *p, bool nonblock)
{
	while (!readable(p)) {
		int err;

		if (p->used == 0 && p->writers == 0)
			return 0;
		if (nonblock)
			return -LINUX_EAGAIN;
		err = task_wait_until(task, &p->waitq, WAKE_READERS | LINUX_POLLHUP, WAIT_INTERRUPTIBLE, WAIT_FOREVER);
		if (err)
			return err;
	}
	return 1;
}

int pipe_wait_room(struct task *task, struct pipe *p, bool nonblock, enum wait_mode mode)
{
	for (;;) {
		int err;

		if (p->readers == 0)
			return broken_pipe(task);
		if (!full(p))
			return 1;
		if (nonblock)
			return -LINUX_EAGAIN;
		err = task_wait_until(task, &p->waitq, WAKE_WRITERS | LINUX_POLLERR, mode, WAIT_FOREVER);
		if (err)
			return err;
	}
}

size_t pipe_hold(struct pipe *p, const uint8_t **data)
{
	struct pipe_buf *b = slot(p, 0);

	invariant(readable(p));
	p->held = true;
	*data = b->page + b->off;
	return b->len;
}

void pipe_consume(struct pipe *p, size_t n)
{
	struct pipe_buf *b = slot(p, 0);
	bool was_full = full(p);

	invariant(p->held && n <= b->len);
	p->held = false;
	b->off += (uint32_t)n;
	b->len -= (uint32_t)n;
	if (b->len == 0)
		drop_tail(p);
	if (was_full && !full(p))
		waitq_wake(&p->waitq, WAKE_WRITERS);
	if (p->used != 0)
		waitq_wake(&p->waitq, WAKE_READERS);
}

int64_t pipe_push(struct pipe *p, const void *data, size_t len)
{
	uint8_t *page;

	invariant(len <= PAGE_SIZE);
	if (p->readers == 0)
		return -LINUX_EPIPE;
	if (full(p) || len == 0)
		return 0;
	page = page_get(p);
	if (page == NULL)
		return -LINUX_ENOMEM;
	memcpy(page, data, len);
	*slot(p, p->used) = (struct pipe_buf){.page = page, .len = (uint32_t)len};
	p->used++;
	waitq_wake(&p->waitq, WAKE_READERS);
	return (int64_t)len;
}

size_t pipe_peek(const struct pipe *p, size_t skip, void *dst, size_t len)
{
	size_t done = 0;

	for (uint32_t i = 0; i < p->used && done < len; i++) {
		const struct pipe_buf *b = slot(p, i);
		size_t n;

		if (skip >= b->len) {
			skip -= b->len;
			continue;
		}
		n = MIN(b->len - skip, len - done);
		memcpy((uint8_t *)dst + done, b->page + b->off + skip, n);
		done += n;
		skip = 0;
	}
	return done;
}

/* ---- opening ---- */

static void attach(struct pipe *p, struct file *file)
{
	file->ops = &pipe_fops;
	file->private_data = p;
	file->pos = (int64_t)p->wcount;
	file->mode &= ~FMODE_SEEK;
	file->mode |= FMODE_STREAM;
}

int fifo_open(struct task *task, struct inode *inode, struct file *file)
{
	struct pipe *p = inode->fifo;
	bool rd = (file->mode & FMODE_READ) != 0, wr = (file->mode & FMODE_WRITE) != 0;
	bool nonblock = (file->flags & LINUX_O_NONBLOCK) != 0, is_pipe = inode->sb == &pipefs, hup;
	uint32_t seen;
	int err = 0;

	/* A pipe of the host's (fs/hostfile.c), opened again by /proc/self/fd. */
	if (inode->ops->open != NULL)
		return inode->ops->open(task, inode, file);
	if (!rd && !wr) /* access mode 3 */
		return -LINUX_EINVAL;
	if (p == NULL) {
		p = pipe_new(inode);
		if (p == NULL)
			return -LINUX_ENOMEM;
		inode->fifo = p;
	}
	p->files++;
	if (wr && !rd && nonblock && !is_pipe && p->readers == 0) {
		err = -LINUX_ENXIO;
		goto put_pipe;
	}
	if (rd) {
		p->readers++;
		p->rcount++;
	}
	if (wr) {
		p->writers++;
		p->wcount++;
	}
	waitq_wake(&p->waitq, WAKE_ALL);
	/* A reader that doesn't wait for the first writer sees no hang-up before one has come. */
	hup = !nonblock || p->writers != 0;

	/* The other side may come and go before this task runs: what counts is that it came. pipe(2)'s pipes never
	 * wait. */
	if (!is_pipe && !nonblock) {
		seen = p->wcount;
		while (rd && !wr && p->writers == 0 && p->wcount == seen && err == 0)
			err = task_wait(task, &p->waitq, WAIT_INTERRUPTIBLE);
		seen = p->rcount;
		while (wr && !rd && p->readers == 0 && p->rcount == seen && err == 0)
			err = task_wait(task, &p->waitq, WAIT_INTERRUPTIBLE);
		if (err)
			goto leave;
	}
	attach(p, file);
	if (hup)
		file->pos = -1;
	return 0;

leave:
	if (rd)
		p->readers--;
	if (wr)
		p->writers--;
	waitq_wake(&p->waitq, WAKE_ALL);
put_pipe:
	pipe_put(p);
	return err;
}

/* One end of a new pipe; inode->fifo is set and holds one count for the caller. */
static struct file *pipe_end(struct task *task, struct pipe *p, uint32_t flags)
{
	struct file *file = file_new(task, NULL, p->inode, &pipe_fops, flags);

	if (file == NULL)
		return NULL;
	p->files++;
	if (file->mode & FMODE_READ)
		p->readers++;
	if (file->mode & FMODE_WRITE)
		p->writers++;
	attach(p, file);
	file->pos = -1; /* no writer at all is a hang-up here */
	return file;
}

static int pipe_files(struct task *task, uint32_t flags, struct file *files[2])
{
	struct inode *inode = inode_new(&pipefs, 0, LINUX_S_IFIFO | 0600, &pipe_iops, &pipe_fops);
	struct pipe *p;
	int err = -LINUX_ENOMEM;

	if (inode == NULL)
		return -LINUX_ENOMEM;
	inode->uid = task->cred->fsuid;
	inode->gid = task->cred->fsgid;
	p = pipe_new(inode);
	if (p == NULL)
		goto put_inode;
	inode->fifo = p;
	p->files++;
	p->wcount = 1;
	files[0] = pipe_end(task, p, LINUX_O_RDONLY | (flags & LINUX_O_NONBLOCK));
	if (files[0] == NULL)
		goto put_pipe;
	files[1] = pipe_end(task, p, LINUX_O_WRONLY | (flags & (LINUX_O_NONBLOCK | LINUX_O_DIRECT)));
	if (files[1] == NULL) {
		file_put(files[0]);
		goto put_pipe;
	}
	err = 0;
put_pipe:
	pipe_put(p);
put_inode:
	inode_put(inode);
	return err;
}

int pipe_open(struct task *task, int flags, int fds[2])
{
	bool cloexec = (flags & LINUX_O_CLOEXEC) != 0;
	struct file *files[2];
	int err;

	err = pipe_files(task, (uint32_t)flags, files);
	if (err)
		return err;
	fds[0] = fd_install(task, files[0], 0, cloexec);
	if (fds[0] < 0) {
		file_put(files[1]);
		return fds[0];
	}
	fds[1] = fd_install(task, files[1], 0, cloexec);
	if (fds[1] < 0) {
		fd_close(task, fds[0]);
		return fds[1];
	}
	return 0;
}
