/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files behind which stands a host descriptor: the guest's stdin, stdout and stderr, which the engine gave us.
 *
 *	guest read  --> hostfile_read --> host read, if the host says that it won't block
 *	                     |                 else: watch in the event loop --> waitq --> again
 *	guest write --> hostfile_write (the same)
 *
 * The one thread of the sentry must never sleep in such a call, and the description is shared with who knows whom, so
 * O_NONBLOCK isn't ours to set. Per kind:
 *
 *	regular    never blocks; read and write move the host's own offset, which the shell outside sees move on
 *	pipe       poll first; at most PIPE_BUF bytes a write, which POLLOUT promises room for
 *	socket     MSG_DONTWAIT
 *	terminal   poll first, short writes; modes and window size are the host's, sessions and job control are ours
 *	           (kernel/tty.c); nothing that types into or reconfigures the host's session is passed on
 *	device     as a pipe
 *
 * Where the descriptor has O_NONBLOCK already (start opened it anew for us), no poll and no small writes are needed.
 *
 * A watch is taken out of the loop when it fires, because a hang-up would fire for ever, and put in again when a poll
 * or a sleeping call finds that nothing is ready. Edge-triggered epoll may therefore see an edge too many, never one
 * too few.
 *
 * The guest controls sizes and ioctl numbers; of those only a list reaches the host. Left out: locks visible outside,
 * SCM_RIGHTS on an inherited socket.
 */
#include "sentry/fs/hostfile.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/ioctl.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/tty.h"
#include "sentry/mm/usercopy.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#define CHUNK (64 * KiB)
#define TTY_CHUNK 1024UL /* newlines may double; a terminal that polls writable has room for this */

enum kind { KIND_REGULAR, KIND_PIPE, KIND_SOCKET, KIND_TTY, KIND_DEVICE };

/* A host terminal, shared by the descriptors that lead to it. */
struct host_tty {
	struct tty tty;       /* sessions only; its own line discipline isn't used */
	struct hostfile *any; /* borrowed: some hostfile that is alive, for opens of /dev/tty */
	uint64_t rdev;
	struct list link;     /* host_ttys */
};

struct hostfile {
	struct ref ref;
	int fd;
	enum kind kind;
	bool nonblock;         /* the host's O_NONBLOCK is set */
	bool always_ready;     /* the host can't watch it */
	uint32_t armed;        /* what the watch waits for; 0: not in the loop */
	struct host_watch watch;
	struct waitq waitq;
	struct host_tty *tty;  /* counted; KIND_TTY */
};

static const struct file_ops hostfile_fops;
static const struct inode_ops hostfile_iops;
static struct superblock hostfs = {.fs_type = "host", .magic = LINUX_ANON_INODE_FS_MAGIC, .dev = LINUX_MKDEV(0, 0x0f)};
static struct list host_ttys = LIST_INIT(host_ttys);

#define ERRORS (LINUX_POLLERR | LINUX_POLLHUP)

static void hostfile_put(struct hostfile *h)
{
	if (!ref_put(&h->ref))
		return;
	host_watch_del(&h->watch);
	if (h->tty != NULL) {
		if (h->tty->any == h)
			h->tty->any = NULL;
		tty_put(&h->tty->tty);
	}
	host_close(h->fd);
	kfree(h);
}

/* ---- readiness ---- */

static void ready(struct host_watch *w, uint32_t events)
{
	struct hostfile *h = container_of(w, struct hostfile, watch);

	host_watch_del(w);
	h->armed = 0;
	if (events & (ERRORS | LINUX_POLLRDHUP))
		events |= LINUX_POLLIN | LINUX_POLLOUT;
	waitq_wake(&h->waitq, events);
}

/* Has the loop wake the queue once when one of events holds. */
static int arm(struct hostfile *h, uint32_t events)
{
	int err;

	if (events == 0 || h->always_ready || (h->armed & events) == events)
		return 0;
	h->armed |= events;
	if (h->watch.fd >= 0)
		return host_watch_set(&h->watch, h->armed);
	err = host_watch_add(&h->watch, h->fd, h->armed, ready);
	if (err == 0)
		return 0;
	h->armed = 0;
	if (err != -LINUX_EPERM)
		return err;
	h->always_ready = true; /* /dev/null and such */
	return 0;
}

/* What the host says now. */
static uint32_t host_ready(const struct hostfile *h, uint32_t events)
{
	struct pollfd p = {.fd = h->fd, .events = (short)events};

	if (h->kind == KIND_REGULAR)
		return events;
	if (host_poll(&p, 1, 0) < 0)
		return ERRORS;
	return (uint32_t)(uint16_t)p.revents;
}

static int wait_ready(struct task *task, struct hostfile *h, uint32_t event)
{
	int err = arm(h, event);

	if (err)
		return err;
	/* What can't be watched said EAGAIN all the same: don't spin on it. */
	if (h->always_ready)
		return task_wait_until(task, &h->waitq, 0, WAIT_INTERRUPTIBLE, loop_now() + 10 * NSEC_PER_MSEC) ==
				       -LINUX_ERESTARTSYS
			       ? -LINUX_ERESTARTSYS
			       : 0;
	return task_wait_until(task, &h->waitq, event | ERRORS, WAIT_INTERRUPTIBLE, WAIT_FOREVER);
}

static uint32_t hostfile_poll(unused_arg struct task *task, struct file *file, struct waiter *waiter)
{
	struct hostfile *h = file->private_data;
	uint32_t may = 0, now, told;

	if (file->mode & FMODE_READ)
		may |= LINUX_POLLIN;
	if (file->mode & FMODE_WRITE)
		may |= LINUX_POLLOUT;
	if (waiter != NULL)
		waitq_add(&h->waitq, waiter);
	now = host_ready(h, may | LINUX_POLLPRI);
	if (waitq_active(&h->waitq))
		(void)arm(h, may & ~now);
	told = now & (may | ERRORS | LINUX_POLLPRI | LINUX_POLLRDHUP);
	if (told & LINUX_POLLIN)
		told |= LINUX_POLLRDNORM;
	if (told & LINUX_POLLOUT)
		told |= LINUX_POLLWRNORM;
	return told;
}

/* ---- reading and writing ---- */

/* -LINUX_EAGAIN if it would block. */
static int64_t try_read(struct hostfile *h, void *buf, size_t len)
{
	struct iovec iov = {buf, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (h->kind == KIND_SOCKET)
		return host_recvmsg(h->fd, &msg, MSG_DONTWAIT);
	if (!h->nonblock && !(host_ready(h, POLLIN) & (POLLIN | ERRORS)))
		return -LINUX_EAGAIN;
	return host_read(h->fd, buf, len);
}

static int64_t try_write(struct hostfile *h, void *buf, size_t len)
{
	struct iovec iov = {buf, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (h->kind == KIND_SOCKET)
		return host_sendmsg(h->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (!h->nonblock && !(host_ready(h, POLLOUT) & (POLLOUT | ERRORS)))
		return -LINUX_EAGAIN;
	return host_write(h->fd, buf, len);
}

/* A regular file: at the host's offset for read(2), at its own for pread(2). */
static int64_t read_regular(struct hostfile *h, struct file *file, void *buf, size_t len, int64_t *pos)
{
	int64_t n;

	if (pos != NULL && pos != &file->pos) {
		n = host_pread(h->fd, buf, len, *pos);
		if (n > 0)
			*pos += n;
		return n;
	}
	n = host_read(h->fd, buf, len);
	if (n > 0)
		file->pos += n;
	return n;
}

static int64_t hostfile_read(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct hostfile *h = file->private_data;
	size_t len = MIN(buf->left, CHUNK), put;
	int64_t n;
	void *mem;

	if (len == 0)
		return 0;
	mem = kmalloc(len);
	if (mem == NULL)
		return -LINUX_ENOMEM;
	for (;;) {
		n = h->tty != NULL ? tty_check_read(task, &h->tty->tty) : 0;
		if (n)
			break;
		n = h->kind == KIND_REGULAR ? read_regular(h, file, mem, len, pos) : try_read(h, mem, len);
		if (n != -LINUX_EAGAIN || file_nonblock(file, buf))
			break;
		n = wait_ready(task, h, LINUX_POLLIN);
		if (n)
			break;
	}
	if (n > 0) {
		put = iobuf_put(buf, mem, (size_t)n);
		if (put < (size_t)n)
			n = put != 0 ? (int64_t)put : -LINUX_EFAULT;
	}
	kfree(mem);
	/* Who watches for the next edge must hear of it. */
	if (waitq_active(&h->waitq))
		(void)arm(h, LINUX_POLLIN);
	return n;
}

static size_t write_chunk(const struct hostfile *h)
{
	if (h->kind == KIND_REGULAR || h->kind == KIND_SOCKET || h->nonblock || h->always_ready)
		return CHUNK;
	return h->kind == KIND_TTY ? TTY_CHUNK : LINUX_PIPE_BUF;
}

static int64_t broken_pipe(struct task *task)
{
	struct linux_siginfo info;

	siginfo_from_task(&info, LINUX_SIGPIPE, LINUX_SI_USER, task);
	(void)signal_send_task(task, LINUX_SIGPIPE, &info);
	return -LINUX_EPIPE;
}

/* One piece, as far as it goes without waiting. */
static int64_t write_some(struct hostfile *h, struct file *file, struct iobuf *buf, void *mem, size_t size,
			  int64_t *pos)
{
	size_t want = MIN(buf->left, size);
	size_t got = iobuf_get(buf, mem, want);
	int64_t n;

	if (got == 0)
		return -LINUX_EFAULT;
	if (h->kind == KIND_REGULAR && pos != NULL && pos != &file->pos) {
		n = host_pwrite(h->fd, mem, got, *pos);
		if (n > 0)
			*pos += n;
	} else if (h->kind == KIND_REGULAR) {
		n = host_write(h->fd, mem, got);
		if (n > 0)
			file->pos += n;
	} else {
		n = try_write(h, mem, got);
	}
	if (n < (int64_t)got)
		iobuf_revert(buf, got - (size_t)MAX(n, (int64_t)0));
	return n;
}

static int64_t hostfile_write(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct hostfile *h = file->private_data;
	size_t size = MIN(buf->left, write_chunk(h));
	int64_t done = 0, n = 0;
	void *mem;

	if (size == 0)
		return 0;
	mem = kmalloc(size);
	if (mem == NULL)
		return -LINUX_ENOMEM;
	while (buf->left != 0) {
		n = write_some(h, file, buf, mem, size, pos);
		if (n >= 0) {
			done += n;
			if ((uint64_t)done / MiB != (uint64_t)(done - n) / MiB)
				task_yield(task);
			continue;
		}
		if (n != -LINUX_EAGAIN || file_nonblock(file, buf))
			break;
		n = wait_ready(task, h, LINUX_POLLOUT);
		if (n)
			break;
	}
	kfree(mem);
	if (n == -LINUX_EPIPE)
		n = broken_pipe(task);
	return done != 0 ? done : n;
}

static int64_t hostfile_llseek(unused_arg struct task *task, struct file *file, int64_t off, int whence)
{
	struct hostfile *h = file->private_data;
	int64_t at;

	if (h->kind != KIND_REGULAR)
		return -LINUX_ESPIPE;
	at = host_lseek(h->fd, off, whence); /* the numbers of SEEK_* are the host's */
	if (at >= 0)
		file->pos = at;
	return at;
}

/* ---- ioctls ---- */

static int64_t get_modes(struct task *task, struct hostfile *h, unsigned cmd, gva_t arg)
{
	struct linux_termios2 t;
	int err;

	memset(&t, 0, sizeof(t));
	err = host_ioctl(h->fd, cmd, &t);
	if (err < 0)
		return err;
	return copy_to_guest(task, arg, &t, cmd == LINUX_TCGETS2 ? sizeof(t) : sizeof(struct linux_termios));
}

/* The forms that wait for output to drain don't wait here: the one thread can't. */
static int64_t set_modes(struct task *task, struct hostfile *h, unsigned cmd, gva_t arg)
{
	bool two = cmd == LINUX_TCSETS2 || cmd == LINUX_TCSETSW2 || cmd == LINUX_TCSETSF2;
	bool flush = cmd == LINUX_TCSETSF || cmd == LINUX_TCSETSF2;
	struct linux_termios2 t;
	int err;

	memset(&t, 0, sizeof(t));
	err = copy_from_guest(task, &t, arg, two ? sizeof(t) : sizeof(struct linux_termios));
	if (err == 0)
		err = tty_check_change(task, &h->tty->tty);
	if (err)
		return err;
	if (flush)
		(void)host_ioctl(h->fd, LINUX_TCFLSH, (void *)0 /* TCIFLUSH */);
	return host_ioctl(h->fd, two ? LINUX_TCSETS2 : LINUX_TCSETS, &t);
}

static int64_t tty_ioctl_host(struct task *task, struct file *file, struct hostfile *h, unsigned cmd, uint64_t arg)
{
	struct linux_winsize ws;
	int err;

	if (tty_is_session_ioctl(cmd))
		return tty_ioctl_session(task, &h->tty->tty, file, false, cmd, arg);
	switch (cmd) {
	case LINUX_TCGETS:
	case LINUX_TCGETS2:
		return get_modes(task, h, cmd, GVA(arg));
	case LINUX_TCSETS:
	case LINUX_TCSETSW:
	case LINUX_TCSETSF:
	case LINUX_TCSETS2:
	case LINUX_TCSETSW2:
	case LINUX_TCSETSF2:
		return set_modes(task, h, cmd, GVA(arg));
	case LINUX_TIOCGWINSZ:
		err = host_ioctl(h->fd, cmd, &ws);
		return err < 0 ? err : put_guest(task, GVA(arg), &ws);
	case LINUX_TIOCSWINSZ:
		err = get_guest(task, &ws, GVA(arg));
		return err ? err : host_ioctl(h->fd, cmd, &ws);
	case LINUX_TCFLSH:
	case LINUX_TCXONC:
		err = tty_check_change(task, &h->tty->tty);
		return err ? err : arg > 3 ? -LINUX_EINVAL : host_ioctl(h->fd, cmd, (void *)(uintptr_t)arg);
	case LINUX_TCSBRK:
	case LINUX_TCSBRKP:
		return tty_check_change(task, &h->tty->tty);
	default:
		return -LINUX_ENOTTY;
	}
}

static int64_t hostfile_ioctl(struct task *task, struct file *file, unsigned cmd, uint64_t arg)
{
	struct hostfile *h = file->private_data;
	int32_t n = 0;
	int err;

	if (cmd == LINUX_FIONREAD || (cmd == LINUX_TIOCOUTQ && h->kind == KIND_TTY)) {
		err = host_ioctl(h->fd, cmd, &n);
		return err < 0 ? err : put_guest(task, GVA(arg), &n);
	}
	return h->kind == KIND_TTY ? tty_ioctl_host(task, file, h, cmd, arg) : -LINUX_ENOTTY;
}

/* Its pages are the host file's own. Private in the stub unless the guest could write them by write(2) as well. */
static int regular_map(unused_arg struct task *task, struct file *file, uint64_t off, unused_arg uint64_t len,
		       unused_arg int prot, bool shared, struct map_backing *out)
{
	struct hostfile *h = file->private_data;

	*out = (struct map_backing){
		.host_fd = h->fd,
		.host_off = off,
		.force_private = !(shared && (file->mode & FMODE_READ) && (file->mode & FMODE_WRITE)),
	};
	return 0;
}

static void hostfile_release(struct file *file)
{
	hostfile_put(file->private_data);
}

static const struct file_ops hostfile_fops = {
	.read = hostfile_read,
	.write = hostfile_write,
	.llseek = hostfile_llseek,
	.poll = hostfile_poll,
	.ioctl = hostfile_ioctl,
	.release = hostfile_release,
};
/* The same for regular files, which epoll must refuse. */
static const struct file_ops regular_fops = {
	.read = hostfile_read,
	.write = hostfile_write,
	.llseek = hostfile_llseek,
	.ioctl = hostfile_ioctl,
	.map = regular_map,
	.release = hostfile_release,
};

/* ---- inodes ---- */

/* Opening /proc/self/fd/0, /dev/stdin: another description on the same host one. */
static int hostfile_open(unused_arg struct task *task, struct inode *inode, struct file *file)
{
	struct hostfile *h = inode->private_data;

	if (h->kind == KIND_SOCKET)
		return -LINUX_ENXIO;
	ref_get(&h->ref);
	file->private_data = h;
	file->ops = h->kind == KIND_REGULAR ? &regular_fops : &hostfile_fops;
	return 0;
}

static int hostfile_getattr(unused_arg struct task *task, struct inode *inode, struct kstat *k)
{
	struct hostfile *h = inode->private_data;
	struct stat st;
	int err;

	if (h->kind != KIND_REGULAR)
		return 0;
	err = host_fstat(h->fd, &st);
	if (err < 0)
		return err;
	k->size = inode->size = (uint64_t)st.st_size;
	k->blocks = (uint64_t)st.st_blocks;
	k->mtime = (struct ktimespec){st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
	k->ctime = (struct ktimespec){st.st_ctim.tv_sec, st.st_ctim.tv_nsec};
	k->atime = (struct ktimespec){st.st_atim.tv_sec, st.st_atim.tv_nsec};
	return 0;
}

static int hostfile_setattr(unused_arg struct task *task, struct inode *inode, const struct iattr *attr)
{
	struct hostfile *h = inode->private_data;

	if (attr->valid & ATTR_SIZE)
		return host_ftruncate(h->fd, (int64_t)attr->size);
	/* Modes and owners of what the engine gave us aren't the guest's to change; it may believe so. */
	inode_setattr(inode, attr);
	return 0;
}

static void hostfile_evict(struct inode *inode)
{
	if (inode->private_data != NULL)
		hostfile_put(inode->private_data);
}

static const struct inode_ops hostfile_iops = {
	.open = hostfile_open,
	.getattr = hostfile_getattr,
	.setattr = hostfile_setattr,
	.evict = hostfile_evict,
};

/* ---- terminals ---- */

static size_t host_tty_no_output(unused_arg struct tty *tty, unused_arg const uint8_t *data, size_t len)
{
	return len; /* only echo would come here, and the host echoes */
}

static size_t host_tty_room(unused_arg struct tty *tty)
{
	return TTY_CHUNK;
}

static int host_tty_open(unused_arg struct task *task, struct tty *tty, struct file *file)
{
	struct host_tty *t = container_of(tty, struct host_tty, tty);

	if (t->any == NULL)
		return -LINUX_EIO;
	ref_get(&t->any->ref);
	file->private_data = t->any;
	file->ops = &hostfile_fops;
	file->mode = (file->mode & ~FMODE_SEEK) | FMODE_STREAM;
	return 0;
}

static void host_tty_free(struct tty *tty)
{
	struct host_tty *t = container_of(tty, struct host_tty, tty);

	list_del(&t->link);
	kfree(t);
}

static const struct tty_ops host_tty_ops = {
	.output = host_tty_no_output,
	.room = host_tty_room,
	.open = host_tty_open,
	.free = host_tty_free,
};

/* Returns a reference. */
static struct host_tty *host_tty_get(struct hostfile *h, uint64_t rdev)
{
	struct host_tty *t;

	list_for_each(t, &host_ttys, link)
		if (t->rdev == rdev) {
			if (t->any == NULL)
				t->any = h;
			tty_get(&t->tty);
			return t;
		}
	t = kzalloc(sizeof(*t));
	if (t == NULL)
		return NULL;
	tty_init(&t->tty, &host_tty_ops, "console", LINUX_MKDEV(5, 1));
	t->rdev = rdev;
	t->any = h;
	list_add_tail(&host_ttys, &t->link);
	return t;
}

struct tty *file_host_tty(const struct file *file)
{
	const struct hostfile *h = file->private_data;

	return file->ops == &hostfile_fops && h->tty != NULL ? &h->tty->tty : NULL;
}

/* ---- making one ---- */

static enum kind kind_of(int fd, const struct stat *st)
{
	struct linux_termios2 t;

	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
		return KIND_REGULAR;
	case S_IFIFO:
		return KIND_PIPE;
	case S_IFSOCK:
		return KIND_SOCKET;
	case S_IFCHR:
		return host_ioctl(fd, LINUX_TCGETS2, &t) >= 0 ? KIND_TTY : KIND_DEVICE;
	default:
		return KIND_DEVICE;
	}
}

static struct inode *make_inode(struct task *task, struct hostfile *h, const struct stat *st)
{
	struct inode *inode = inode_new(&hostfs, 0, st->st_mode & (S_IFMT | 07777), &hostfile_iops, &hostfile_fops);

	if (inode == NULL)
		return NULL;
	inode->uid = task->cred->fsuid;
	inode->gid = task->cred->fsgid;
	if (h->kind == KIND_TTY)
		inode->rdev = LINUX_MKDEV(5, 1);
	else if ((st->st_mode & S_IFMT) == S_IFCHR)
		inode->rdev = LINUX_MKDEV(major(st->st_rdev), minor(st->st_rdev));
	inode->size = h->kind == KIND_REGULAR ? (uint64_t)st->st_size : 0;
	inode->private_data = h;
	ref_get(&h->ref);
	return inode;
}

/* The description, by the sandbox's own /dev/console where a terminal has that name, so that ttyname(3) finds it. */
static struct file *make_file(struct task *task, struct hostfile *h, const struct stat *st, uint32_t flags)
{
	struct file *file = NULL;
	struct inode *inode = NULL;
	struct path path = {0};
	int err = -LINUX_ENOENT;

	if (h->kind == KIND_TTY && task_current() == task)
		err = vfs_lookup(task, LINUX_AT_FDCWD, "/dev/console", LOOKUP_FOLLOW, &path);
	if (err == 0 && path.dentry->inode->rdev != LINUX_MKDEV(5, 1)) {
		path_put(&path);
		err = -LINUX_ENOENT;
	}
	if (err == 0) {
		file = file_new(task, &path, path.dentry->inode, &hostfile_fops, flags);
		path_put(&path);
	} else {
		inode = make_inode(task, h, st);
		if (inode == NULL)
			return NULL;
		file = file_new(task, NULL, inode, h->kind == KIND_REGULAR ? &regular_fops : &hostfile_fops, flags);
		inode_put(inode);
	}
	if (file == NULL)
		return NULL;
	/* Pipes and sockets are named by their kind. */
	if (h->kind == KIND_REGULAR || h->kind == KIND_DEVICE)
		file->anon_name = "host:[file]";
	else if (h->kind == KIND_TTY && err != 0)
		file->anon_name = "host:[tty]";
	ref_get(&h->ref);
	file->private_data = h;
	if (h->kind == KIND_REGULAR) {
		file->pos = MAX(host_lseek(h->fd, 0, SEEK_CUR), (int64_t)0);
	} else {
		file->mode = (file->mode & ~FMODE_SEEK) | FMODE_STREAM;
	}
	return file;
}

struct file *hostfile_new(struct task *task, int host_fd, uint32_t flags)
{
	struct hostfile *h = kzalloc(sizeof(*h));
	struct file *file = NULL;
	struct stat st;
	int host_flags;

	if (h == NULL || host_fstat(host_fd, &st) < 0) {
		kfree(h);
		host_close(host_fd);
		return NULL;
	}
	ref_init(&h->ref);
	h->fd = host_fd;
	h->watch.fd = -1;
	waitq_init(&h->waitq);
	h->kind = kind_of(host_fd, &st);
	host_flags = host_fcntl(host_fd, F_GETFL, 0);
	if (host_flags >= 0) {
		h->nonblock = (host_flags & O_NONBLOCK) != 0;
		flags = (flags & LINUX_O_NONBLOCK) | (uint32_t)(host_flags & (O_ACCMODE | O_APPEND));
	}
	if (h->kind == KIND_TTY)
		h->tty = host_tty_get(h, st.st_rdev);
	if (h->kind != KIND_TTY || h->tty != NULL)
		file = make_file(task, h, &st, flags);
	hostfile_put(h);
	return file;
}
