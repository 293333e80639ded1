/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pseudoterminals and the filesystem /dev/pts (pty(7)).
 *
 *	master: write --> tty_receive()  the slave's line discipline  tty_read()  <-- read :slave
 *	        read  <-- ring <-- ops->output()                      tty_write() <-- write
 *
 * Opening ptmx makes a pair and a node for its slave. The pair lives as long as the master is open or anybody holds the
 * slave (descriptors, a session); the node goes with the master, and the slave is hung up then. When the last slave
 * descriptor closes, the master reads what is left and then EIO, until the slave is opened again.
 *
 * Each container has a set of ptys, with numbers and a filesystem of its own, wherever that is mounted; a pty belongs to the
 * container of who opened ptmx. Others don't see its node, and can't open the slave by any name (what was passed to them open
 * stays open). A set is never freed, since files may name its filesystem; the next container takes that of one that has ended,
 * if nobody holds anything of it any more.
 * The guest controls the number of ptys (at most PTY_MAX in a container), and all that goes through them: the ring is RING bytes.
 */
#include "sentry/fs/devpts.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/signal.h"
#include "sentry/abi/termios.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/pseudo_mounts.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/ipc.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/tty.h"
#include "sentry/mm/usercopy.h"
#include "sentry/vfs/chrdev.h"

#include <stdio.h>
#include <string.h>

#define PTS_MAJOR 136
#define TTY_GID 5 /* group tty: may write to terminals (write(1), wall(1)) */
#define RING (16 * KiB) /* a power of two */
#define ARRIVED 4095UL

struct pty {
	struct tty slave;      /* its reference count is the pair's: the master holds one */
	uint32_t index;
	struct pty_set *set;
	struct inode *inode;   /* the node in /dev/pts, counted; NULL once the master is closed */
	bool locked;           /* until unlockpt(3) */
	uint32_t slave_opens;  /* descriptions of the slave */
	bool slave_closed;     /* there were some, and now there are none */
	bool packet_mode;      /* TIOCPKT */
	uint8_t packet_bits;   /* what the master hasn't been told yet */
	struct waitq waitq;    /* the master's readers and writers */
	uint64_t head, tail;   /* of ring: head - tail <= RING */
	uint8_t ring[RING];
};

struct pty_set {
	struct list link;            /* all of them */
	struct container *container; /* whose it is; containers are never freed */
	struct pty **ptys;           /* by number; grows */
	uint32_t cap, count;
	struct superblock sb;        /* its root is there once it was mounted */
	struct inode *ptmx_node;
};
#define ROOT_MODE 0755
#define PTMX_MODE 0666
static struct list sets = LIST_INIT(sets);
static const char pts_type[] = "devpts";

static struct pty *find_pty(const struct pty_set *set, uint32_t index)
{
	return index < set->cap ? set->ptys[index] : NULL;
}

/* One that nobody can know of any more: its container has ended, and it is held by no mount, no file and no terminal. */
static bool is_free(const struct pty_set *set)
{
	return set->container->ended && set->count == 0 && (set->sb.root == NULL || set->sb.root->ref.count == 1);
}

static void as_new(struct inode *inode, uint32_t mode)
{
	inode->mode = mode;
	inode->uid = 0;
	inode->gid = 0;
	inode->atime = inode->mtime = inode->ctime = inode->btime = vfs_now();
}

/* The running task's container's, made if need be; NULL: memory is out. */
static struct pty_set *own_set(void)
{
	struct container *c = container_here();
	struct pty_set *set, *found = NULL;

	if (c->ptys != NULL)
		return c->ptys;
	list_for_each(set, &sets, link)
		if (found == NULL && is_free(set))
			found = set;
	if (found == NULL) {
		found = kzalloc(sizeof(*found));
		if (found == NULL)
			return NULL;
		found->sb = (struct superblock){.fs_type = pts_type, .magic = LINUX_DEVPTS_SUPER_MAGIC, .nocache = true};
		list_add_tail(&sets, &found->link);
	} else {
		found->container->ptys = NULL;
		/* What the container before has made of them is none of the next one's. */
		if (found->sb.root != NULL)
			as_new(found->sb.root->inode, LINUX_S_IFDIR | ROOT_MODE);
		if (found->ptmx_node != NULL)
			as_new(found->ptmx_node, LINUX_S_IFCHR | PTMX_MODE);
	}
	found->container = c;
	c->ptys = found;
	return found;
}

/* The set whose filesystem the node is in; for a node that somebody made elsewhere, that of who looks. May be NULL. */
static struct pty_set *set_of(const struct inode *inode)
{
	return inode->sb->fs_type == pts_type ? container_of(inode->sb, struct pty_set, sb) : container_here()->ptys;
}

uint32_t pty_count(void)
{
	const struct pty_set *set = container_here()->ptys;

	return set != NULL ? set->count : 0;
}

static const struct file_ops master_ops, slave_ops;
static const struct file_ops unopened_ops;
static const struct tty_ops pty_tty_ops;

static struct pty *tty_pty(struct tty *tty)
{
	return container_of(tty, struct pty, slave);
}

/* ---- the ring: what the slave's side has written ---- */

static size_t pty_output(struct tty *tty, const uint8_t *data, size_t len)
{
	struct pty *pty = tty_pty(tty);
	size_t n = MIN(len, RING - (pty->head - pty->tail)), i;

	for (i = 0; i < n; i++)
		pty->ring[(pty->head + i) & (RING - 1)] = data[i];
	pty->head += n;
	if (n != 0)
		waitq_wake(&pty->waitq, LINUX_POLLIN | LINUX_POLLRDNORM);
	return n;
}

static size_t pty_room(struct tty *tty)
{
	struct pty *pty = tty_pty(tty);

	return RING - (pty->head - pty->tail);
}

/* What the master's side could have taken already stays, as much as Linux's own buffer there holds. */
static void pty_flush_output(struct tty *tty)
{
	struct pty *pty = tty_pty(tty);

	pty->head = MIN(pty->head, pty->tail + ARRIVED);
	waitq_wake(&tty->waitq, LINUX_POLLOUT | LINUX_POLLWRNORM);
}

static void pty_unthrottle(struct tty *tty)
{
	waitq_wake(&tty_pty(tty)->waitq, LINUX_POLLOUT | LINUX_POLLWRNORM);
}

static void pty_packet(struct tty *tty, uint8_t bits)
{
	static const uint8_t opposite[][2] = {
		{LINUX_TIOCPKT_STOP, LINUX_TIOCPKT_START},
		{LINUX_TIOCPKT_DOSTOP, LINUX_TIOCPKT_NOSTOP},
	};
	struct pty *pty = tty_pty(tty);
	unsigned i;

	if (!pty->packet_mode)
		return;
	for (i = 0; i < ARRAY_LEN(opposite); i++) {
		if (bits & opposite[i][0])
			pty->packet_bits &= (uint8_t)~opposite[i][1];
		if (bits & opposite[i][1])
			pty->packet_bits &= (uint8_t)~opposite[i][0];
	}
	pty->packet_bits |= bits;
	waitq_wake(&pty->waitq, LINUX_POLLIN | LINUX_POLLPRI | LINUX_POLLRDNORM);
}

static void pty_free(struct tty *tty)
{
	kfree(tty_pty(tty));
}

/* ---- the slave ---- */

static int slave_attach(struct task *task, struct tty *tty, struct file *file)
{
	struct pty *pty = tty_pty(tty);

	if (tty->hung_up)
		return -LINUX_EIO;
	file->ops = &slave_ops;
	file->private_data = tty_get(tty);
	file->mode = (file->mode & ~FMODE_SEEK) | FMODE_STREAM;
	pty->slave_opens++;
	pty->slave_closed = false;
	tty_opened(task, tty, file);
	return 0;
}

static const struct tty_ops pty_tty_ops = {
	.output = pty_output,
	.room = pty_room,
	.open = slave_attach,
	.free = pty_free,
	.unthrottle = pty_unthrottle,
	.flush_output = pty_flush_output,
	.packet = pty_packet,
};

static int slave_open(struct task *task, struct inode *inode, struct file *file)
{
	uint32_t index = LINUX_MINOR(inode->rdev);
	struct pty_set *set = set_of(inode);
	struct pty *pty = set != NULL && set->container == container_here() ? find_pty(set, index) : NULL;

	if (pty == NULL || pty->locked)
		return -LINUX_EIO;
	if (pty->slave.exclusive && !task_capable(task, LINUX_CAP_SYS_ADMIN))
		return -LINUX_EBUSY;
	return slave_attach(task, &pty->slave, file);
}

static void slave_release(struct file *file)
{
	struct tty *tty = file->private_data;
	struct pty *pty = tty_pty(tty);

	if (--pty->slave_opens == 0) {
		pty->slave_closed = true;
		waitq_wake(&pty->waitq, LINUX_POLLIN | LINUX_POLLHUP);
	}
	tty_put(tty);
}

static int64_t slave_read(struct task *task, struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	return tty_read(task, file->private_data, buf, file_nonblock(file, buf));
}

static int64_t slave_write(struct task *task, struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	return tty_write(task, file->private_data, buf, file_nonblock(file, buf));
}

static uint32_t slave_poll(unused_arg struct task *task, struct file *file, struct waiter *waiter)
{
	return tty_poll(file->private_data, waiter);
}

static int64_t slave_ioctl(struct task *task, struct file *file, unsigned cmd, uint64_t arg)
{
	return tty_ioctl(task, file->private_data, file, false, cmd, arg);
}

static const struct file_ops slave_ops = {
	.read = slave_read,
	.write = slave_write,
	.poll = slave_poll,
	.ioctl = slave_ioctl,
	.release = slave_release,
};

/* ---- the master ---- */

static const struct inode_ops node_iops;

/* The lowest number that is free, and room for it. PTY_MAX: there is none. */
static int free_index(struct pty_set *set, uint32_t *index)
{
	uint32_t i, cap = MIN(MAX(set->cap * 2, 16U), (uint32_t)PTY_MAX);
	struct pty **more;

	for (i = 0; i < set->cap && set->ptys[i] != NULL; i++)
		;
	*index = i;
	if (i < set->cap)
		return 0;
	if (i == PTY_MAX)
		return -LINUX_ENOSPC;
	more = krealloc(set->ptys, cap * sizeof(struct pty *));
	if (more == NULL)
		return -LINUX_ENOMEM;
	memset(more + set->cap, 0, (cap - set->cap) * sizeof(struct pty *));
	set->ptys = more;
	set->cap = cap;
	return 0;
}

/* Makes a pair with its node. Returns one reference, the master's. */
static struct pty *pty_new(struct task *task, int *err)
{
	struct pty_set *set = own_set();
	struct pty *pty;
	char name[24];
	uint32_t i;

	*err = set != NULL ? free_index(set, &i) : -LINUX_ENOMEM;
	if (*err != 0)
		return NULL;
	*err = -LINUX_ENOMEM;
	pty = kmalloc(sizeof(*pty));
	if (pty == NULL)
		return NULL;
	snprintf(name, sizeof(name), "pts/%u", i);
	memset(pty, 0, offsetof(struct pty, ring));
	tty_init(&pty->slave, &pty_tty_ops, name, LINUX_MKDEV(PTS_MAJOR, i));
	pty->slave.is_pty = true;
	pty->index = i;
	pty->set = set;
	pty->locked = true;
	waitq_init(&pty->waitq);
	pty->inode = inode_new(&set->sb, i + 3, LINUX_S_IFCHR | 0620, &node_iops, &slave_ops);
	if (pty->inode == NULL) {
		kfree(pty);
		return NULL;
	}
	pty->inode->rdev = pty->slave.dev;
	pty->inode->uid = task->cred->fsuid;
	pty->inode->gid = TTY_GID;
	set->ptys[i] = pty;
	set->count++;
	*err = 0;
	return pty;
}

static int ptmx_open(struct task *task, unused_arg struct inode *inode, struct file *file)
{
	int err;
	struct pty *pty = pty_new(task, &err);

	if (pty == NULL)
		return err;
	file->ops = &master_ops;
	file->private_data = pty;
	file->mode = (file->mode & ~FMODE_SEEK) | FMODE_STREAM;
	return 0;
}

static void master_release(struct file *file)
{
	struct pty *pty = file->private_data;
	struct inode *inode = pty->inode;

	pty->set->ptys[pty->index] = NULL;
	pty->set->count--;
	pty->inode = NULL;
	inode->nlink = 0;
	inode_put(inode);
	tty_hangup(&pty->slave);
	tty_put(&pty->slave);
}

static int64_t master_copy(struct pty *pty, struct iobuf *buf)
{
	int64_t done = 0;

	while (buf->left != 0 && pty->tail != pty->head) {
		uint64_t at = pty->tail & (RING - 1);
		size_t n = MIN(MIN(buf->left, pty->head - pty->tail), RING - at);
		size_t put = iobuf_put(buf, pty->ring + at, n);

		pty->tail += put;
		done += (int64_t)put;
		if (put < n)
			return done != 0 ? done : -LINUX_EFAULT;
	}
	return done;
}

/* In packet mode a read gives either one byte of news, or a zero and then data. */
static int64_t master_read(struct task *task, struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	struct pty *pty = file->private_data;
	int64_t head = 0, n;

	if (buf->left == 0)
		return 0;
	for (;;) {
		int err;

		if (pty->packet_mode && pty->packet_bits != 0) {
			uint8_t bits = pty->packet_bits;

			pty->packet_bits = 0;
			return iobuf_put(buf, &bits, 1) == 1 ? 1 : -LINUX_EFAULT;
		}
		if (pty->head != pty->tail)
			break;
		if (pty->slave_closed)
			return -LINUX_EIO;
		if (file_nonblock(file, buf))
			return -LINUX_EAGAIN;
		err = task_wait_until(task, &pty->waitq, LINUX_POLLIN | LINUX_POLLHUP | LINUX_POLLPRI, WAIT_INTERRUPTIBLE,
				      WAIT_FOREVER);
		if (err != 0)
			return err;
	}
	if (pty->packet_mode) {
		uint8_t zero = LINUX_TIOCPKT_DATA;

		if (iobuf_put(buf, &zero, 1) != 1)
			return -LINUX_EFAULT;
		head = 1;
	}
	n = master_copy(pty, buf);
	tty_output_ready(&pty->slave);
	return n < 0 ? n : head + n;
}

static int64_t master_write(struct task *task, struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	struct pty *pty = file->private_data;
	uint8_t chunk[256];
	int64_t done = 0;

	while (buf->left != 0) {
		size_t n, taken;
		int err;

		if (pty->slave.hung_up)
			return done != 0 ? done : -LINUX_EIO;
		if (tty_can_receive(&pty->slave)) {
			n = iobuf_get(buf, chunk, MIN(buf->left, sizeof(chunk)));
			if (n == 0)
				return done != 0 ? done : -LINUX_EFAULT;
			taken = tty_receive(&pty->slave, chunk, n);
			iobuf_revert(buf, n - taken);
			done += (int64_t)taken;
			continue;
		}
		if (file_nonblock(file, buf))
			return done != 0 ? done : -LINUX_EAGAIN;
		err = task_wait_until(task, &pty->waitq, LINUX_POLLOUT, WAIT_INTERRUPTIBLE, WAIT_FOREVER);
		if (err != 0)
			return done != 0 ? done : err;
	}
	return done;
}

static uint32_t master_poll(unused_arg struct task *task, struct file *file, struct waiter *waiter)
{
	struct pty *pty = file->private_data;
	uint32_t mask = 0;

	if (waiter != NULL)
		waitq_add(&pty->waitq, waiter);
	if (pty->head != pty->tail)
		mask |= LINUX_POLLIN | LINUX_POLLRDNORM;
	if (pty->packet_mode && pty->packet_bits != 0)
		mask |= LINUX_POLLPRI | LINUX_POLLIN | LINUX_POLLRDNORM;
	if (pty->slave_closed)
		mask |= LINUX_POLLHUP;
	if (tty_can_receive(&pty->slave))
		mask |= LINUX_POLLOUT | LINUX_POLLWRNORM;
	return mask;
}

static bool is_below(const struct mount *m, const struct mount *top)
{
	while (m != NULL && m != top)
		m = m->parent;
	return m != NULL;
}

/* The slave's place in the first devpts that is mounted below the task's root; none: no path. Returns references. */
static bool slave_path(const struct task *task, struct pty *pty, struct path *out)
{
	struct mount *m;
	struct dentry *d;
	char name[24];

	snprintf(name, sizeof(name), "%u", pty->index);
	list_for_each(m, &mount_list, link) {
		if (m->sb != &pty->set->sb || !is_below(m, task->fs->root.mount))
			continue;
		d = dentry_find(m->root, name, strlen(name));
		if (d != NULL && d->inode != pty->inode) {
			dentry_drop(d);
			dentry_put(d);
			d = NULL;
		}
		if (d == NULL) {
			d = dentry_new(m->root, name, strlen(name));
			if (d == NULL)
				return false;
			dentry_add(d, inode_get(pty->inode));
		}
		out->mount = mount_get(m);
		out->dentry = d;
		return true;
	}
	return false;
}

/* TIOCGPTPEER: a descriptor of the slave without walking to it. */
static int64_t open_peer(struct task *task, struct pty *pty, uint64_t flags)
{
	struct path path;
	struct file *file;
	bool named;
	int err;

	if (flags & ~(uint64_t)(LINUX_O_ACCMODE | LINUX_O_NOCTTY | LINUX_O_CLOEXEC | LINUX_O_NONBLOCK))
		return -LINUX_EINVAL;
	if (pty->locked)
		return -LINUX_EIO;
	named = slave_path(task, pty, &path);
	file = file_new(task, named ? &path : NULL, pty->inode, &unopened_ops, (uint32_t)flags);
	if (named)
		path_put(&path);
	if (file == NULL)
		return -LINUX_ENOMEM;
	file->flags |= (uint32_t)flags & LINUX_O_NOCTTY;
	err = slave_attach(task, &pty->slave, file);
	file->flags &= ~LINUX_O_NOCTTY;
	if (err != 0) {
		file_put(file);
		return err;
	}
	return fd_install(task, file, 0, (flags & LINUX_O_CLOEXEC) != 0);
}

static int64_t master_flush(struct pty *pty, uint64_t which)
{
	if (which > 2)
		return -LINUX_EINVAL;
	if (which != 1) {
		pty->tail = pty->head;
		tty_output_ready(&pty->slave);
		pty_packet(&pty->slave, LINUX_TIOCPKT_FLUSHWRITE);
	}
	if (which != 0)
		tty_flush_input(&pty->slave);
	return 0;
}

static int64_t master_ioctl(struct task *task, struct file *file, unsigned cmd, uint64_t arg)
{
	struct pty *pty = file->private_data;
	int32_t n;

	switch (cmd) {
	case LINUX_TIOCGPTN:
		n = (int32_t)pty->index;
		return put_guest(task, GVA(arg), &n);
	case LINUX_TIOCSPTLCK:
		if (get_guest(task, &n, GVA(arg)) != 0)
			return -LINUX_EFAULT;
		pty->locked = n != 0;
		return 0;
	case LINUX_TIOCGPTLCK:
		n = pty->locked;
		return put_guest(task, GVA(arg), &n);
	case LINUX_TIOCGPTPEER:
		return open_peer(task, pty, arg);
	case LINUX_TIOCPKT:
		if (get_guest(task, &n, GVA(arg)) != 0)
			return -LINUX_EFAULT;
		if (n != 0 && !pty->packet_mode)
			pty->packet_bits = 0;
		pty->packet_mode = n != 0;
		return 0;
	case LINUX_TIOCGPKT:
		n = pty->packet_mode;
		return put_guest(task, GVA(arg), &n);
	case LINUX_TIOCSIG:
		if (arg < 1 || arg > LINUX_NSIG)
			return -LINUX_EINVAL;
		tty_signal(&pty->slave, (int)arg);
		return 0;
	case LINUX_TCFLSH:
		return master_flush(pty, arg);
	case LINUX_FIONREAD:
		n = (int32_t)(pty->head - pty->tail);
		return put_guest(task, GVA(arg), &n);
	case LINUX_TIOCGDEV:
		n = (int32_t)LINUX_MKDEV(5, 2);
		return put_guest(task, GVA(arg), &n);
	default:
		return tty_ioctl(task, &pty->slave, file, true, cmd, arg);
	}
}

static const struct file_ops master_ops = {
	.read = master_read,
	.write = master_write,
	.poll = master_poll,
	.ioctl = master_ioctl,
	.release = master_release,
};

/* ---- the filesystem ---- */

static const struct inode_ops node_iops; /* a device node: the registry opens it */

static int root_lookup(unused_arg struct task *task, struct inode *dir, struct dentry *dentry, struct inode **out)
{
	const struct pty_set *set = container_of(dir->sb, struct pty_set, sb);
	struct pty *pty;
	const char *s = dentry->name;
	uint32_t n = 0;

	if (strcmp(s, "ptmx") == 0) {
		*out = inode_get(set->ptmx_node);
		return 0;
	}
	if (*s == '\0' || (*s == '0' && s[1] != '\0'))
		return -LINUX_ENOENT;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return -LINUX_ENOENT;
		n = n * 10 + (uint32_t)(*s - '0');
		if (n >= PTY_MAX)
			return -LINUX_ENOENT;
	}
	pty = find_pty(set, n);
	if (pty == NULL)
		return -LINUX_ENOENT;
	/* Not ENOENT: that would take the owner's dentry out of the cache, and what it has open had no name any more. */
	if (set->container != container_here())
		return -LINUX_EACCES;
	*out = inode_get(pty->inode);
	return 0;
}

/* Cookies: 1 and 2 follow the dots, 3 ptmx, i + 4 slave i. */
static int root_iterate(unused_arg struct task *task, struct file *file, struct dir_emit *emit)
{
	static const struct {
		const char *name;
		uint64_t ino;
		uint32_t type;
	} fixed[] = {{".", 1, LINUX_DT_DIR}, {"..", 1, LINUX_DT_DIR}, {"ptmx", 2, LINUX_DT_CHR}};
	const struct pty_set *set = container_of(file->inode->sb, struct pty_set, sb);
	char name[24];

	for (; file->pos >= 0 && file->pos < (int64_t)ARRAY_LEN(fixed); file->pos++) {
		const char *n = fixed[file->pos].name;

		if (!emit->add(emit, n, strlen(n), fixed[file->pos].ino, fixed[file->pos].type, file->pos + 1))
			return 0;
	}
	for (; set->container == container_here() && file->pos >= 3 && file->pos - 3 < (int64_t)set->cap; file->pos++) {
		int64_t i = file->pos - 3;

		if (set->ptys[i] == NULL)
			continue;
		snprintf(name, sizeof(name), "%lld", (long long)i);
		if (!emit->add(emit, name, strlen(name), (uint64_t)i + 3, LINUX_DT_CHR, file->pos + 1))
			return 0;
	}
	return 0;
}

static const struct inode_ops root_iops = {.lookup = root_lookup};
static const struct file_ops root_fops = {.iterate = root_iterate};

struct superblock *devpts_new_superblock(void)
{
	struct pty_set *set = own_set();
	struct superblock *sb;
	struct inode *root;

	if (set == NULL)
		return NULL;
	sb = &set->sb;
	if (sb->root != NULL)
		return sb;
	if (set->ptmx_node == NULL)
		set->ptmx_node = inode_new(sb, 2, LINUX_S_IFCHR | PTMX_MODE, &node_iops, NULL);
	if (set->ptmx_node == NULL)
		return NULL;
	set->ptmx_node->rdev = LINUX_MKDEV(5, 2);
	root = inode_new(sb, 1, LINUX_S_IFDIR | ROOT_MODE, &root_iops, &root_fops);
	if (root == NULL)
		return NULL;
	root->nlink = 2;
	return superblock_set_root(sb, root) == 0 ? sb : NULL;
}

int devpts_init(void)
{
	int err = chrdev_register(5, 2, &master_ops, ptmx_open);

	if (err == 0)
		err = chrdev_register(PTS_MAJOR, CHRDEV_ANY_MINOR, &slave_ops, slave_open);
	return err;
}
