/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX message queues, and the filesystem that shows them (mq_overview(7)).
 *
 * A queue is an inode of one flat filesystem, whether that is mounted (/dev/mqueue) or not: mq_open finds it by name in
 * the same table that lookup and iterate use. Messages are kept by priority, then age. Senders wait for room, receivers
 * for a message; who changes the queue wakes the other side.
 *
 * One process may ask to be told (mq_notify) of a message that comes to an empty queue with nobody waiting.
 *
 * The guest controls sizes (within MQ_HARD_*, RLIMIT_MSGQUEUE a user), the number of queues (MQ_QUEUES_MAX) and texts.
 * Left out: SIGEV_THREAD (it needs a netlink socket: EINVAL).
 */
#include "sentry/fs/mqueue.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/signal.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/pseudo_mounts.h"
#include "sentry/kernel/ipc.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

#include <stdio.h>
#include <string.h>

#define MQUEUE_MAGIC 0x19800202U
#define MESSAGE_OVERHEAD 88 /* what Linux charges a message's bookkeeping, about */

struct mq_message {
	struct list link; /* queue.messages: highest priority first, then oldest */
	uint32_t prio;
	size_t len;
	uint8_t *text;
};

struct mq_queue {
	struct list link;         /* all, while it has a name */
	struct inode *inode;      /* borrowed: it owns this */
	char name[LINUX_NAME_MAX + 1];
	int64_t maxmsg, msgsize, count;
	uint64_t bytes;           /* of texts: the inode's size */
	uint64_t charged;         /* against charged_uid's RLIMIT_MSGQUEUE */
	kuid_t charged_uid;
	struct list messages;
	struct waitq waitq;       /* receivers (LINUX_POLLIN), senders (LINUX_POLLOUT) */
	uint32_t receivers;       /* sleeping in mq_receive */
	int32_t notify_pid;       /* 0: nobody */
	struct pid_space *notify_pids; /* whose number that is */
	struct linux_mq_sigevent notify;
	uint64_t cookie;          /* place in the directory's listing */
};

static struct list all = LIST_INIT(all);      /* queues that have a name, by cookie */
static uint32_t nqueues;
static uint64_t next_cookie = 3;
static struct superblock mq_sb = {.fs_type = "mqueue", .magic = MQUEUE_MAGIC, .nocache = true};
static const struct inode_ops queue_iops;
static const struct file_ops queue_fops;

static struct mq_queue *inode_queue(const struct inode *inode)
{
	return inode->private_data;
}

static struct mq_queue *file_queue(const struct file *file)
{
	return file->ops == &queue_fops ? inode_queue(file->inode) : NULL;
}

static struct mq_queue *queue_find(const char *name)
{
	struct mq_queue *q;

	list_for_each(q, &all, link)
		if (strcmp(q->name, name) == 0)
			return q;
	return NULL;
}

/* ---- making and removing ---- */

static struct {
	kuid_t uid;
	uint64_t bytes;
} users[MQ_QUEUES_MAX]; /* as many as there can be queues; bytes 0: free */

static uint64_t *user_bytes(kuid_t uid)
{
	unsigned i;

	for (i = 0; i < MQ_QUEUES_MAX; i++)
		if (users[i].bytes != 0 && users[i].uid == uid)
			return &users[i].bytes;
	for (i = 0; i < MQ_QUEUES_MAX; i++) {
		if (users[i].bytes == 0) {
			users[i].uid = uid;
			return &users[i].bytes;
		}
	}
	return NULL;
}

static int check_attr(struct task *task, const struct linux_mq_attr *attr)
{
	bool privileged = task_capable(task, LINUX_CAP_SYS_RESOURCE);

	if (attr->maxmsg <= 0 || attr->msgsize <= 0)
		return -LINUX_EINVAL;
	if (attr->maxmsg > (privileged ? MQ_HARD_MSGMAX : MQ_MSG_MAX))
		return -LINUX_EINVAL;
	if (attr->msgsize > (privileged ? (int64_t)MQ_HARD_MSGSIZEMAX : MQ_MSGSIZE_MAX))
		return -LINUX_EINVAL;
	return 0;
}

/* A new queue under name, which is free. *out is a reference. */
static int queue_make(struct task *task, const char *name, uint32_t mode, const struct linux_mq_attr *attr,
		      struct inode **out)
{
	int64_t maxmsg = attr != NULL ? attr->maxmsg : MQ_MSG_DEFAULT;
	int64_t msgsize = attr != NULL ? attr->msgsize : MQ_MSGSIZE_DEFAULT;
	uint64_t cost = (uint64_t)maxmsg * (uint64_t)(msgsize + MESSAGE_OVERHEAD), *user;
	struct mq_queue *q;
	struct inode *inode;

	if (nqueues >= MQ_QUEUES_MAX && !task_capable(task, LINUX_CAP_SYS_RESOURCE))
		return -LINUX_ENOSPC;
	if (nqueues >= 4 * MQ_QUEUES_MAX)
		return -LINUX_ENOSPC;
	user = user_bytes(task->cred->uid);
	if (user == NULL)
		return -LINUX_EMFILE;
	if (*user + cost > group_rlimit(task->group, LINUX_RLIMIT_MSGQUEUE))
		return -LINUX_EMFILE;
	q = kzalloc(sizeof(*q));
	if (q == NULL)
		return -LINUX_ENOMEM;
	inode = inode_new(&mq_sb, 0, LINUX_S_IFREG | (mode & 07777), &queue_iops, &queue_fops);
	if (inode == NULL) {
		kfree(q);
		return -LINUX_ENOMEM;
	}
	*user += cost;
	q->charged = cost;
	q->charged_uid = task->cred->uid;
	strncpy(q->name, name, LINUX_NAME_MAX);
	q->maxmsg = maxmsg;
	q->msgsize = msgsize;
	q->inode = inode;
	q->cookie = next_cookie++;
	list_init(&q->messages);
	waitq_init(&q->waitq);
	list_add_tail(&all, &q->link);
	nqueues++;
	inode->uid = task->cred->fsuid;
	inode->gid = task->cred->fsgid;
	inode->size = 80;
	inode->private_data = q;
	*out = inode_get(inode); /* the name holds the first one */
	return 0;
}

static void queue_unname(struct mq_queue *q)
{
	list_del(&q->link);
	q->inode->nlink = 0;
	nqueues--;
	inode_put(q->inode);
}

static void queue_evict(struct inode *inode)
{
	struct mq_queue *q = inode_queue(inode);
	uint64_t *user;

	if (q == NULL)
		return;
	user = user_bytes(q->charged_uid);
	if (user != NULL)
		*user -= MIN(*user, q->charged);
	while (!list_empty(&q->messages)) {
		struct mq_message *m = list_first(&q->messages, struct mq_message, link);

		list_del(&m->link);
		kfree(m->text);
		kfree(m);
	}
	kfree(q);
	inode->private_data = NULL;
}

static int check_name(const char *name)
{
	if (name[0] == '\0')
		return -LINUX_ENOENT;
	if (strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -LINUX_EACCES;
	if (strlen(name) > LINUX_NAME_MAX)
		return -LINUX_ENAMETOOLONG;
	return 0;
}

int mq_open_file(struct task *task, const char *name, uint32_t flags, uint32_t mode, const struct linux_mq_attr *attr,
		 struct file **out)
{
	static const int wanted[] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE};
	struct mq_queue *q;
	struct inode *inode;
	int err = check_name(name);

	if (err == 0 && mqueue_new_superblock() == NULL)
		err = -LINUX_ENOMEM;
	if (err != 0)
		return err;
	q = queue_find(name);
	if (q == NULL) {
		if (!(flags & LINUX_O_CREAT))
			return -LINUX_ENOENT;
		if (attr != NULL) {
			err = check_attr(task, attr);
			if (err != 0)
				return err;
		}
		err = queue_make(task, name, mode & ~task->fs->umask, attr, &inode);
		if (err != 0)
			return err;
	} else {
		if ((flags & (LINUX_O_CREAT | LINUX_O_EXCL)) == (LINUX_O_CREAT | LINUX_O_EXCL))
			return -LINUX_EEXIST;
		if ((flags & LINUX_O_ACCMODE) == LINUX_O_ACCMODE)
			return -LINUX_EINVAL;
		err = inode_permission(task, q->inode, wanted[flags & LINUX_O_ACCMODE]);
		if (err != 0)
			return err;
		inode = inode_get(q->inode);
	}
	*out = file_new(task, NULL, inode, &queue_fops, flags & (LINUX_O_ACCMODE | LINUX_O_NONBLOCK));
	inode_put(inode);
	return *out != NULL ? 0 : -LINUX_ENOMEM;
}

int mq_remove(struct task *task, const char *name)
{
	struct mq_queue *q;
	int err = check_name(name);

	if (err != 0)
		return err;
	q = queue_find(name);
	if (q == NULL)
		return -LINUX_ENOENT;
	/* The directory is sticky: only the owner may. */
	if (!inode_owner_or_capable(task, q->inode))
		return -LINUX_EACCES;
	queue_unname(q);
	return 0;
}

/* ---- messages ---- */

/* Tells who asked to be told, once. */
static void notify(struct task *sender, struct mq_queue *q)
{
	struct thread_group *group = group_find_in(q->notify_pids, q->notify_pid);
	struct linux_siginfo info;

	q->notify_pid = 0;
	if (group == NULL || q->notify.notify != LINUX_SIGEV_SIGNAL || q->notify.signo == 0)
		return;
	memset(&info, 0, sizeof(info));
	info.signo = q->notify.signo;
	info.code = LINUX_SI_MESGQ;
	info.kill.pid = sender->group->pids == group->pids ? sender->group->pid : 0;
	info.kill.uid = sender->cred->uid;
	info.kill.value = q->notify.value;
	(void)signal_send_group(group, q->notify.signo, &info);
}

static void insert(struct mq_queue *q, struct mq_message *m)
{
	struct mq_message *at;

	list_for_each(at, &q->messages, link)
		if (at->prio < m->prio)
			break;
	/* Before `at`, or at the end. */
	list_insert_between(&m->link, at->link.prev, &at->link);
	q->count++;
	q->bytes += m->len;
}

int mq_check_send(struct file *file, uint64_t len)
{
	struct mq_queue *q = file_queue(file);

	if (q == NULL || !(file->mode & FMODE_WRITE))
		return -LINUX_EBADF;
	return len > (uint64_t)q->msgsize ? -LINUX_EMSGSIZE : 0;
}

int mq_send(struct task *task, struct file *file, uint8_t *text, size_t len, uint32_t prio, uint64_t deadline)
{
	struct mq_queue *q = file_queue(file);
	struct mq_message *m = kzalloc(sizeof(*m));
	int err = -LINUX_ENOMEM;

	if (m == NULL)
		goto free_text;
	while (q->count >= q->maxmsg) {
		err = -LINUX_EAGAIN;
		if (file->flags & LINUX_O_NONBLOCK)
			goto free_message;
		err = task_wait_until(task, &q->waitq, LINUX_POLLOUT, WAIT_INTERRUPTIBLE, deadline);
		if (err != 0)
			goto free_message;
	}
	m->text = text;
	m->len = len;
	m->prio = prio;
	insert(q, m);
	inode_touch(q->inode, ATTR_ATIME | ATTR_MTIME | ATTR_CTIME);
	if (q->count == 1 && q->notify_pid != 0 && q->receivers == 0)
		notify(task, q);
	waitq_wake(&q->waitq, LINUX_POLLIN | LINUX_POLLRDNORM);
	return 0;

free_message:
	kfree(m);
free_text:
	kfree(text);
	return err;
}

int64_t mq_receive(struct task *task, struct file *file, uint64_t size, uint64_t deadline, uint8_t **text, uint32_t *prio)
{
	struct mq_queue *q = file_queue(file);
	struct mq_message *m;
	int64_t len;

	if (q == NULL || !(file->mode & FMODE_READ))
		return -LINUX_EBADF;
	if (size < (uint64_t)q->msgsize)
		return -LINUX_EMSGSIZE;
	while (q->count == 0) {
		int err;

		if (file->flags & LINUX_O_NONBLOCK)
			return -LINUX_EAGAIN;
		q->receivers++;
		err = task_wait_until(task, &q->waitq, LINUX_POLLIN, WAIT_INTERRUPTIBLE, deadline);
		q->receivers--;
		if (err != 0)
			return err;
	}
	m = list_first(&q->messages, struct mq_message, link);
	list_del(&m->link);
	q->count--;
	q->bytes -= m->len;
	*text = m->text;
	*prio = m->prio;
	len = (int64_t)m->len;
	kfree(m);
	inode_touch(q->inode, ATTR_ATIME | ATTR_MTIME | ATTR_CTIME);
	waitq_wake(&q->waitq, LINUX_POLLOUT | LINUX_POLLWRNORM);
	return len;
}

int mq_set_notify(struct task *task, struct file *file, const struct linux_mq_sigevent *ev)
{
	struct mq_queue *q = file_queue(file);

	if (ev != NULL) {
		if (ev->notify != LINUX_SIGEV_NONE && ev->notify != LINUX_SIGEV_SIGNAL)
			return -LINUX_EINVAL;
		if (ev->notify == LINUX_SIGEV_SIGNAL && (ev->signo < 0 || ev->signo > LINUX_NSIG))
			return -LINUX_EINVAL;
	}
	if (q == NULL)
		return -LINUX_EBADF;
	if (ev == NULL) {
		if (q->notify_pid == task->group->pid && q->notify_pids == task->group->pids)
			q->notify_pid = 0;
		return 0;
	}
	if (q->notify_pid != 0 && group_find_in(q->notify_pids, q->notify_pid) != NULL)
		return -LINUX_EBUSY;
	q->notify_pid = task->group->pid;
	q->notify_pids = task->group->pids;
	q->notify = *ev;
	return 0;
}

int mq_attributes(struct file *file, const struct linux_mq_attr *set, struct linux_mq_attr *old)
{
	struct mq_queue *q = file_queue(file);

	if (set != NULL && (set->flags & ~(int64_t)LINUX_O_NONBLOCK) != 0)
		return -LINUX_EINVAL;
	if (q == NULL)
		return -LINUX_EBADF;
	memset(old, 0, sizeof(*old));
	old->flags = file->flags & LINUX_O_NONBLOCK;
	old->maxmsg = q->maxmsg;
	old->msgsize = q->msgsize;
	old->curmsgs = q->count;
	if (set != NULL)
		file->flags = (file->flags & ~LINUX_O_NONBLOCK) | ((uint32_t)set->flags & LINUX_O_NONBLOCK);
	return 0;
}

/* ---- as files ---- */

static int64_t queue_read(unused_arg struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct mq_queue *q = inode_queue(file->inode);
	char text[96];
	size_t len, n, want;

	len = (size_t)snprintf(text, sizeof(text), "QSIZE:%-10llu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n",
			       (unsigned long long)q->bytes, q->notify_pid != 0 ? q->notify.notify : 0,
			       q->notify_pid != 0 && q->notify.notify == LINUX_SIGEV_SIGNAL ? q->notify.signo : 0, q->notify_pid);
	if (pos == NULL || *pos < 0 || (uint64_t)*pos >= len)
		return 0;
	want = MIN(len - (size_t)*pos, buf->left);
	n = iobuf_put(buf, text + *pos, want);
	if (n == 0 && want != 0)
		return -LINUX_EFAULT;
	*pos += (int64_t)n;
	return (int64_t)n;
}

static uint32_t queue_poll(unused_arg struct task *task, struct file *file, struct waiter *waiter)
{
	struct mq_queue *q = inode_queue(file->inode);
	uint32_t mask = 0;

	if (waiter != NULL)
		waitq_add(&q->waitq, waiter);
	if (q->count > 0)
		mask |= LINUX_POLLIN | LINUX_POLLRDNORM;
	if (q->count < q->maxmsg)
		mask |= LINUX_POLLOUT | LINUX_POLLWRNORM;
	return mask;
}

/* Closing a descriptor ends the process's wish to be told. */
static int queue_flush(struct task *task, struct file *file)
{
	struct mq_queue *q = inode_queue(file->inode);

	if (task != NULL && q->notify_pid == task->group->pid && q->notify_pids == task->group->pids)
		q->notify_pid = 0;
	return 0;
}

static const struct inode_ops queue_iops = {
	.evict = queue_evict,
};

static const struct file_ops queue_fops = {
	.read = queue_read,
	.poll = queue_poll,
	.flush = queue_flush,
};

static int root_lookup(unused_arg struct task *task, unused_arg struct inode *dir, struct dentry *dentry, struct inode **out)
{
	struct mq_queue *q = queue_find(dentry->name);

	if (q == NULL)
		return -LINUX_ENOENT;
	*out = inode_get(q->inode);
	return 0;
}

static int root_create(struct task *task, unused_arg struct inode *dir, struct dentry *dentry, uint32_t mode,
		       struct inode **out)
{
	return queue_make(task, dentry->name, mode, NULL, out);
}

static int root_unlink(unused_arg struct task *task, unused_arg struct inode *dir, struct dentry *dentry)
{
	struct mq_queue *q = inode_queue(dentry->inode);

	if (q->inode->nlink != 0)
		queue_unname(q);
	return 0;
}

static int root_iterate(unused_arg struct task *task, struct file *file, struct dir_emit *emit)
{
	struct mq_queue *q;

	if (file->pos == 0) {
		if (!emit->add(emit, ".", 1, file->inode->ino, LINUX_DT_DIR, 1))
			return 0;
		file->pos = 1;
	}
	if (file->pos == 1) {
		if (!emit->add(emit, "..", 2, file->inode->ino, LINUX_DT_DIR, 2))
			return 0;
		file->pos = 2;
	}
	list_for_each(q, &all, link) {
		if ((int64_t)q->cookie < file->pos)
			continue;
		if (!emit->add(emit, q->name, strlen(q->name), q->inode->ino, LINUX_DT_REG, (int64_t)q->cookie + 1))
			return 0;
		file->pos = (int64_t)q->cookie + 1;
	}
	return 0;
}

static const struct inode_ops root_iops = {.lookup = root_lookup, .create = root_create, .unlink = root_unlink};
static const struct file_ops root_fops = {.iterate = root_iterate};

struct superblock *mqueue_new_superblock(void)
{
	struct inode *root;

	if (mq_sb.root != NULL)
		return &mq_sb;
	mq_sb.next_ino = 1;
	root = inode_new(&mq_sb, 1, LINUX_S_IFDIR | 01777, &root_iops, &root_fops);
	if (root == NULL)
		return NULL;
	root->nlink = 2;
	return superblock_set_root(&mq_sb, root) == 0 ? &mq_sb : NULL;
}
