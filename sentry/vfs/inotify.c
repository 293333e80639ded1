/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify(7), and dnotify (fcntl F_NOTIFY), which is the same with a signal in place of a queue.
 *
 * A mark ties an inode to a group (an inotify instance, or a directory description for dnotify). Hooks in the VFS call
 * fsnotify(inode, name, mask): each mark on that inode whose mask matches gets an event.
 *
 *	vfs_read, vfs_open, modify.c ... --> fsnotify --> marks of the inode --> event queue of the instance --> read(2)
 *	                                                                    \-> SIGIO (dnotify)
 *
 * What happens to a file is told to its directory's marks, with the name, and to its own. A mark counts its inode, so
 * that it stays in memory; when the inode's last name goes the marks are removed with IN_DELETE_SELF and IN_IGNORED.
 *
 * Invariants: a mark is on its inode's list and its group's; inotify_nmarks counts all of them; nqueued <= QUEUE_MAX +
 * 1 (the overflow event); equal events in a row are one.
 *
 * The guest controls the number of marks (WATCHES_MAX a group) and how many events wait. Left out: the per-user limits
 * on instances, IN_EXCL_UNLINK's subtleties for files with several names.
 */
#include "sentry/vfs/inotify.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/ioctl.h"
#include "sentry/abi/signal.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/vfs/fasync.h"

#include <string.h>

#define QUEUE_MAX 16384U
#define WATCHES_MAX 65536U

uint32_t inotify_nmarks;

struct event {
	struct list link;
	struct linux_inotify_event head; /* len: padded length of name */
	size_t name_len;
	char name[];
};

struct inotify {
	struct list events;   /* struct event, oldest first */
	uint32_t nqueued;
	bool overflowed;      /* the overflow event is queued */
	struct waitq waitq;
	struct list marks;    /* struct inotify_mark */
	uint32_t nmarks;
	int32_t last_wd;
};

struct inotify_mark {
	struct list inode_link; /* inode.watches */
	struct list group_link; /* inotify.marks; dnotify: dnotify_marks */
	struct inode *inode;    /* counted */
	uint32_t mask;          /* LINUX_IN_*, with IN_ONESHOT and IN_EXCL_UNLINK */
	int32_t wd;
	struct inotify *group;  /* NULL: dnotify */
	struct file *file;      /* dnotify: borrowed, see dnotify_release */
	int fd;
	bool multishot;
};

static const struct file_ops inotify_fops;
static struct list dnotify_marks = LIST_INIT(dnotify_marks);

/* ---- the queue ---- */

static bool same_event(const struct event *e, int32_t wd, uint32_t mask, uint32_t cookie, const char *name, size_t len)
{
	return e->head.wd == wd && e->head.mask == mask && e->head.cookie == cookie && e->name_len == len &&
	       memcmp(e->name, name, len) == 0;
}

static void queue_event(struct inotify *g, int32_t wd, uint32_t mask, uint32_t cookie, const char *name)
{
	size_t len = name != NULL ? strlen(name) : 0;
	struct event *e;

	if (!list_empty(&g->events)) {
		e = list_last(&g->events, struct event, link);
		if (!(mask & LINUX_IN_IGNORED) && same_event(e, wd, mask, cookie, name != NULL ? name : "", len))
			return;
	}
	if (g->nqueued >= QUEUE_MAX) {
		if (g->overflowed)
			return;
		wd = -1;
		mask = LINUX_IN_Q_OVERFLOW;
		cookie = 0;
		len = 0;
	}
	e = kzalloc(sizeof(*e) + len + 1);
	if (e == NULL)
		return; /* as lost as if the queue were full */
	e->head.wd = wd;
	e->head.mask = mask;
	e->head.cookie = cookie;
	e->name_len = len;
	if (len != 0) {
		memcpy(e->name, name, len);
		/* Padded so that the next event is aligned; at least one NUL. */
		e->head.len = (uint32_t)((len + 1 + sizeof(e->head) - 1) / sizeof(e->head) * sizeof(e->head));
	}
	if (mask & LINUX_IN_Q_OVERFLOW)
		g->overflowed = true;
	list_add_tail(&g->events, &e->link);
	g->nqueued++;
	waitq_wake(&g->waitq, LINUX_POLLIN | LINUX_POLLRDNORM);
}

static void drop_event(struct inotify *g, struct event *e)
{
	if (e->head.mask & LINUX_IN_Q_OVERFLOW)
		g->overflowed = false;
	list_del(&e->link);
	g->nqueued--;
	kfree(e);
}

/* ---- marks ---- */

static void mark_free(struct inotify_mark *m)
{
	struct inode *inode = m->inode;

	list_del(&m->inode_link);
	list_del(&m->group_link);
	if (m->group != NULL)
		m->group->nmarks--;
	inotify_nmarks--;
	kfree(m);
	inode_put(inode);
}

/* The mark goes, and its reader hears so. */
static void mark_remove(struct inotify_mark *m)
{
	if (m->group != NULL)
		queue_event(m->group, m->wd, LINUX_IN_IGNORED, 0, NULL);
	mark_free(m);
}

static struct inotify_mark *mark_new(struct inode *inode, uint32_t mask)
{
	struct inotify_mark *m = kzalloc(sizeof(*m));

	if (m == NULL)
		return NULL;
	m->inode = inode_get(inode);
	m->mask = mask;
	list_add_tail(&inode->watches, &m->inode_link);
	list_init(&m->group_link);
	inotify_nmarks++;
	return m;
}

static void dnotify_signal(struct inotify_mark *m)
{
	file_signal_owner(m->file, m->fd, 3 /* POLL_MSG */, LINUX_POLLIN | LINUX_POLLRDNORM | LINUX_POLLMSG);
	if (!m->multishot)
		mark_free(m);
}

void fsnotify(struct inode *inode, const char *name, uint32_t mask, uint32_t cookie)
{
	struct inotify_mark *m, *tmp;

	if (inotify_nmarks == 0 || list_empty(&inode->watches))
		return;
	/* A mark's removal may drop the inode's last reference. */
	inode_get(inode);
	list_for_each_safe(m, tmp, &inode->watches, inode_link) {
		if (!(mask & m->mask & (LINUX_IN_ALL_EVENTS | LINUX_IN_UNMOUNT)))
			continue;
		if (m->group == NULL) {
			if (name != NULL)
				dnotify_signal(m);
			continue;
		}
		queue_event(m->group, m->wd, mask, cookie, name);
		if (m->mask & LINUX_IN_ONESHOT)
			mark_remove(m);
	}
	inode_put(inode);
}

void fsnotify_path_slow(const struct path *path, uint32_t mask)
{
	struct dentry *d = path->dentry;
	struct inode *inode = d->inode;

	if (inode == NULL)
		return;
	if (inode_is_dir(inode))
		mask |= LINUX_IN_ISDIR;
	if (d->parent != d && d->parent->inode != NULL && !list_empty(&d->parent->inode->watches)) {
		struct inotify_mark *m;
		bool excluded = d->unhashed;

		/* Files that were unlinked are still children, but for those who asked not to hear of them. */
		if (excluded)
			list_for_each(m, &d->parent->inode->watches, inode_link)
				if (!(m->mask & LINUX_IN_EXCL_UNLINK))
					excluded = false;
		if (!excluded)
			fsnotify(d->parent->inode, d->name, mask, 0);
	}
	fsnotify(inode, NULL, mask, 0);
}

void fsnotify_file_slow(struct file *file, uint32_t mask)
{
	if (file->mode & FMODE_PATH)
		return;
	if (file->path.dentry != NULL)
		fsnotify_path_slow(&file->path, mask);
	else
		fsnotify(file->inode, NULL, mask, 0);
}

void fsnotify_inode_removed(struct inode *inode)
{
	struct inotify_mark *m;

	if (inotify_nmarks == 0 || list_empty(&inode->watches))
		return;
	inode_get(inode);
	fsnotify(inode, NULL, LINUX_IN_DELETE_SELF, 0);
	while (!list_empty(&inode->watches)) {
		m = list_first(&inode->watches, struct inotify_mark, inode_link);
		mark_remove(m);
	}
	inode_put(inode);
}

void fsnotify_unmounted(unused_arg struct superblock *sb)
{
	/* Marks are found by inode only; a superblock's are so few that its inodes need no list of their own: those
	 * marks go with their group. The guest can't unmount what it didn't mount. */
}

/* ---- the instance as a file ---- */

static size_t event_size(const struct event *e)
{
	return sizeof(e->head) + e->head.len;
}

/* 0 or -LINUX_EFAULT. */
static int put_event(struct iobuf *buf, const struct event *e)
{
	size_t pad = e->head.len - e->name_len;

	if (iobuf_put(buf, &e->head, sizeof(e->head)) != sizeof(e->head))
		return -LINUX_EFAULT;
	if (e->head.len == 0)
		return 0;
	if (iobuf_put(buf, e->name, e->name_len) != e->name_len || iobuf_put_zeros(buf, pad) != pad)
		return -LINUX_EFAULT;
	return 0;
}

static int64_t inotify_read(struct task *task, struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	struct inotify *g = file->private_data;
	int64_t done = 0;
	int err;

	while (list_empty(&g->events)) {
		if (file_nonblock(file, buf))
			return -LINUX_EAGAIN;
		err = task_wait_until(task, &g->waitq, LINUX_POLLIN, WAIT_INTERRUPTIBLE, WAIT_FOREVER);
		if (err)
			return err == -LINUX_ERESTARTSYS ? -LINUX_EINTR : err; /* never restarted, see signal(7) */
	}
	while (!list_empty(&g->events)) {
		struct event *e = list_first(&g->events, struct event, link);
		size_t size = event_size(e);

		if (size > buf->left)
			return done != 0 ? done : -LINUX_EINVAL;
		err = put_event(buf, e);
		drop_event(g, e);
		if (err)
			return done != 0 ? done : err;
		done += (int64_t)size;
	}
	return done;
}

static uint32_t inotify_poll(unused_arg struct task *task, struct file *file, struct waiter *waiter)
{
	struct inotify *g = file->private_data;

	if (waiter != NULL)
		waitq_add(&g->waitq, waiter);
	return list_empty(&g->events) ? 0 : LINUX_POLLIN | LINUX_POLLRDNORM;
}

static int64_t inotify_ioctl(struct task *task, struct file *file, unsigned cmd, uint64_t arg)
{
	struct inotify *g = file->private_data;
	struct event *e;
	int32_t n = 0;

	if (cmd != LINUX_FIONREAD)
		return -LINUX_ENOTTY;
	list_for_each(e, &g->events, link)
		n += (int32_t)event_size(e);
	return put_guest(task, GVA(arg), &n);
}

static void inotify_release(struct file *file)
{
	struct inotify *g = file->private_data;

	while (!list_empty(&g->marks))
		mark_free(list_first(&g->marks, struct inotify_mark, group_link));
	while (!list_empty(&g->events))
		drop_event(g, list_first(&g->events, struct event, link));
	kfree(g);
}

static const struct file_ops inotify_fops = {
	.read = inotify_read,
	.poll = inotify_poll,
	.ioctl = inotify_ioctl,
	.release = inotify_release,
};

bool file_is_inotify(const struct file *file)
{
	return file->ops == &inotify_fops;
}

int inotify_open(struct task *task, int flags)
{
	struct inotify *g = kzalloc(sizeof(*g));
	struct file *file;

	if (g == NULL)
		return -LINUX_ENOMEM;
	list_init(&g->events);
	list_init(&g->marks);
	waitq_init(&g->waitq);
	file = file_new_anon(task, "anon_inode:inotify", &inotify_fops,
			     LINUX_O_RDONLY | ((uint32_t)flags & LINUX_O_NONBLOCK), g);
	if (file == NULL) {
		kfree(g);
		return -LINUX_ENOMEM;
	}
	return fd_install(task, file, 0, ((uint32_t)flags & LINUX_O_CLOEXEC) != 0);
}

/* What a mark keeps of a watch's mask. */
#define KEPT (LINUX_IN_ALL_EVENTS | LINUX_IN_ONESHOT | LINUX_IN_EXCL_UNLINK)

int inotify_watch(unused_arg struct task *task, struct file *file, struct inode *inode, uint32_t mask)
{
	struct inotify *g = file->private_data;
	struct inotify_mark *m;

	if (file->ops != &inotify_fops)
		return -LINUX_EINVAL;
	list_for_each(m, &inode->watches, inode_link)
		if (m->group == g) {
			if (mask & LINUX_IN_MASK_CREATE)
				return -LINUX_EEXIST;
			m->mask = mask & LINUX_IN_MASK_ADD ? m->mask | (mask & KEPT) : (mask & KEPT) | LINUX_IN_UNMOUNT;
			return m->wd;
		}
	if (g->nmarks >= WATCHES_MAX)
		return -LINUX_ENOSPC;
	/* Numbers are given once: a reader may still hold events of an old one. */
	if (g->last_wd == INT32_MAX)
		return -LINUX_ENOSPC;
	m = mark_new(inode, (mask & KEPT) | LINUX_IN_UNMOUNT);
	if (m == NULL)
		return -LINUX_ENOMEM;
	m->group = g;
	m->wd = ++g->last_wd;
	list_add_tail(&g->marks, &m->group_link);
	g->nmarks++;
	return m->wd;
}

int inotify_unwatch(unused_arg struct task *task, struct file *file, int wd)
{
	struct inotify *g = file->private_data;
	struct inotify_mark *m;

	if (file->ops != &inotify_fops)
		return -LINUX_EINVAL;
	list_for_each(m, &g->marks, group_link)
		if (m->wd == wd) {
			mark_remove(m);
			return 0;
		}
	return -LINUX_EINVAL;
}

/* ---- dnotify ---- */

static uint32_t dnotify_to_inotify(uint32_t dn)
{
	static const struct {
		uint32_t dn, in;
	} table[] = {
		{LINUX_DN_ACCESS, LINUX_IN_ACCESS},
		{LINUX_DN_MODIFY, LINUX_IN_MODIFY},
		{LINUX_DN_CREATE, LINUX_IN_CREATE | LINUX_IN_MOVED_TO},
		{LINUX_DN_DELETE, LINUX_IN_DELETE | LINUX_IN_MOVED_FROM},
		{LINUX_DN_RENAME, LINUX_IN_MOVED_FROM | LINUX_IN_MOVED_TO},
		{LINUX_DN_ATTRIB, LINUX_IN_ATTRIB},
	};
	uint32_t mask = 0;

	for (unsigned i = 0; i < ARRAY_LEN(table); i++)
		if (dn & table[i].dn)
			mask |= table[i].in;
	return mask;
}

int dnotify_set(struct task *task, struct file *file, uint64_t arg)
{
	uint32_t mask = dnotify_to_inotify((uint32_t)arg);
	struct inotify_mark *m, *found = NULL;

	if (!inode_is_dir(file->inode))
		return -LINUX_ENOTDIR;
	list_for_each(m, &dnotify_marks, group_link)
		if (m->file == file)
			found = m;
	if (mask == 0) {
		if (found != NULL)
			mark_free(found);
		return 0;
	}
	if (found == NULL) {
		found = mark_new(file->inode, 0);
		if (found == NULL)
			return -LINUX_ENOMEM;
		found->file = file;
		found->fd = -1;
		list_add_tail(&dnotify_marks, &found->group_link);
	}
	found->mask |= mask;
	found->multishot = (arg & LINUX_DN_MULTISHOT) != 0;
	if (file->owner_pid == 0) {
		file->owner_pid = task->group->pid;
		file->owner_pids = task->group->pids;
	}
	return 0;
}

void dnotify_release(struct file *file)
{
	struct inotify_mark *m, *tmp;

	if (inotify_nmarks == 0 || list_empty(&file->inode->watches) || !inode_is_dir(file->inode))
		return;
	list_for_each_safe(m, tmp, &dnotify_marks, group_link)
		if (m->file == file)
			mark_free(m);
}
