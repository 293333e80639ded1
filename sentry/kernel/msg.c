/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V message queues (msgget(2), msgop(2), msgctl(2)).
 *
 * A queue is a list of messages, oldest first, and two wait queues. A receiver takes the first message of the type it
 * wants; a sender waits until its message fits into qbytes. Whoever changes the queue wakes the other side, and each
 * looks again.
 *
 * The guest controls texts (MSG_MAX bytes each, MSG_MNB a queue unless a privileged process raises it) and the number of
 * queues (MSG_MNI); all of it is counted memory.
 */
#include "sentry/kernel/ipc.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/list.h"
#include "sentry/fs/pseudo.h"
#include "sentry/kernel/task.h"

#include <string.h>

struct message {
	struct list link;
	int64_t type;
	size_t len;
	uint8_t *text; /* NULL if len is 0 */
};

struct msg_queue {
	struct ipc_object ipc;
	struct list messages;
	struct waitq senders, receivers;
	uint64_t bytes, count, max_bytes;
	int64_t stime, rtime, ctime;
	int32_t last_sender, last_receiver;
};

static struct ipc_ids ids = {.max = MSG_MNI};

static struct msg_queue *queue_of(struct ipc_object *o)
{
	return (struct msg_queue *)o;
}

static void message_free(struct message *m)
{
	kfree(m->text);
	kfree(m);
}

static void queue_put(struct msg_queue *q)
{
	if (!ref_put(&q->ipc.ref))
		return;
	while (!list_empty(&q->messages)) {
		struct message *m = list_first(&q->messages, struct message, link);

		list_del(&m->link);
		message_free(m);
	}
	kfree(q);
}

int64_t msg_get(struct task *task, int32_t key, int flags)
{
	struct ipc_object *o = ipc_find_key(&ids, key);
	struct msg_queue *q;
	int err;

	if (o != NULL) {
		if ((flags & LINUX_IPC_CREAT) && (flags & LINUX_IPC_EXCL))
			return -LINUX_EEXIST;
		err = ipc_permission(task, o, flags);
		return err != 0 ? err : o->id;
	}
	if (key != LINUX_IPC_PRIVATE && !(flags & LINUX_IPC_CREAT))
		return -LINUX_ENOENT;
	q = kzalloc(sizeof(*q));
	if (q == NULL)
		return -LINUX_ENOMEM;
	list_init(&q->messages);
	waitq_init(&q->senders);
	waitq_init(&q->receivers);
	q->max_bytes = MSG_MNB;
	q->ctime = vfs_now().sec;
	err = ipc_add(&ids, task, &q->ipc, key, flags);
	if (err != 0) {
		kfree(q);
		return err;
	}
	return q->ipc.id;
}

/* Sleeps on one side of q, which is held meanwhile. 0: look again. */
static int queue_sleep(struct task *task, struct msg_queue *q, struct waitq *side)
{
	int err = task_wait(task, side, WAIT_INTERRUPTIBLE);

	if (q->ipc.removed)
		return -LINUX_EIDRM;
	return err == -LINUX_ERESTARTSYS ? -LINUX_ERESTARTNOHAND : err;
}

static int send(struct task *task, struct msg_queue *q, struct message *m, int flags)
{
	for (;;) {
		int err = ipc_permission(task, &q->ipc, 0222);

		if (err != 0)
			return err;
		if (q->bytes + m->len <= q->max_bytes && q->count + 1 <= q->max_bytes)
			break;
		if (flags & LINUX_IPC_NOWAIT)
			return -LINUX_EAGAIN;
		err = queue_sleep(task, q, &q->senders);
		if (err != 0)
			return err;
	}
	list_add_tail(&q->messages, &m->link);
	q->bytes += m->len;
	q->count++;
	q->stime = vfs_now().sec;
	q->last_sender = task->group->pid;
	waitq_wake(&q->receivers, 0);
	return 0;
}

int64_t msg_send(struct task *task, int32_t id, int64_t type, uint8_t *text, size_t len, int flags)
{
	struct msg_queue *q;
	struct message *m;
	int err;

	q = queue_of(ipc_find(&ids, id, &err));
	if (q == NULL)
		goto free_text;
	m = kzalloc(sizeof(*m));
	err = -LINUX_ENOMEM;
	if (m == NULL)
		goto free_text;
	m->type = type;
	m->len = len;
	m->text = text;
	ref_get(&q->ipc.ref);
	err = send(task, q, m, flags);
	queue_put(q);
	if (err != 0)
		message_free(m);
	return err;

free_text:
	kfree(text);
	return err;
}

/* The message a receiver gets, or NULL. With MSG_COPY, type is a position. */
static struct message *pick(const struct msg_queue *q, int64_t type, int flags)
{
	struct message *m, *best = NULL;
	int64_t limit;

	if (flags & LINUX_MSG_COPY) {
		list_for_each(m, &q->messages, link)
			if (type-- == 0)
				return m;
		return NULL;
	}
	if (type >= 0) {
		list_for_each(m, &q->messages, link)
			if (type == 0 || (m->type == type) != ((flags & LINUX_MSG_EXCEPT) != 0))
				return m;
		return NULL;
	}
	limit = type == INT64_MIN ? INT64_MAX : -type;
	list_for_each(m, &q->messages, link)
		if (m->type <= limit && (best == NULL || m->type < best->type))
			best = m;
	return best;
}

/* Waits for a message. 0: *out is still on the queue. */
static int receive(struct task *task, struct msg_queue *q, size_t size, int64_t type, int flags, struct message **out)
{
	for (;;) {
		int err = ipc_permission(task, &q->ipc, 0444);
		struct message *m;

		if (err != 0)
			return err;
		m = pick(q, type, flags);
		if (m != NULL) {
			if (size < m->len && !(flags & LINUX_MSG_NOERROR))
				return -LINUX_E2BIG;
			*out = m;
			return 0;
		}
		if (flags & LINUX_IPC_NOWAIT)
			return -LINUX_ENOMSG;
		err = queue_sleep(task, q, &q->receivers);
		if (err != 0)
			return err;
	}
}

int64_t msg_receive(struct task *task, int32_t id, size_t size, int64_t type, int flags, int64_t *got_type, uint8_t **text)
{
	struct msg_queue *q;
	struct message *m;
	int64_t ret;
	int err;

	q = queue_of(ipc_find(&ids, id, &err));
	if (q == NULL)
		return err;
	ref_get(&q->ipc.ref);
	ret = receive(task, q, size, type, flags, &m);
	if (ret != 0)
		goto put_queue;
	*got_type = m->type;
	ret = (int64_t)MIN(size, m->len);
	if (flags & LINUX_MSG_COPY) {
		*text = kmalloc(m->len + 1);
		if (*text == NULL) {
			ret = -LINUX_ENOMEM;
			goto put_queue;
		}
		if (m->len != 0)
			memcpy(*text, m->text, m->len);
		goto put_queue;
	}
	list_del(&m->link);
	q->bytes -= m->len;
	q->count--;
	q->rtime = vfs_now().sec;
	q->last_receiver = task->group->pid;
	*text = m->text;
	m->text = NULL;
	message_free(m);
	waitq_wake(&q->senders, 0);
put_queue:
	queue_put(q);
	return ret;
}

int msg_remove(struct task *task, int32_t id)
{
	struct msg_queue *q;
	int err;

	q = queue_of(ipc_find(&ids, id, &err));
	if (q == NULL)
		return err;
	err = ipc_may_control(task, &q->ipc);
	if (err != 0)
		return err;
	ipc_remove(&ids, &q->ipc);
	waitq_wake(&q->senders, 0);
	waitq_wake(&q->receivers, 0);
	queue_put(q);
	return 0;
}

int64_t msg_stat(struct task *task, int32_t id, int cmd, struct linux_msqid_ds *ds)
{
	struct ipc_object *o;
	const struct msg_queue *q;
	int err;

	if (cmd == LINUX_IPC_STAT) {
		o = ipc_find(&ids, id, &err);
		if (o == NULL)
			return err;
	} else {
		o = id >= 0 ? ipc_at(&ids, (uint32_t)id) : NULL;
		if (o == NULL)
			return -LINUX_EINVAL;
	}
	err = cmd == LINUX_MSG_STAT_ANY ? 0 : ipc_permission(task, o, 0444);
	if (err != 0)
		return err;
	q = queue_of(o);
	memset(ds, 0, sizeof(*ds));
	ds->perm = o->perm;
	ds->stime = q->stime;
	ds->rtime = q->rtime;
	ds->ctime = q->ctime;
	ds->cbytes = q->bytes;
	ds->qnum = q->count;
	ds->qbytes = q->max_bytes;
	ds->lspid = q->last_sender;
	ds->lrpid = q->last_receiver;
	return cmd == LINUX_IPC_STAT ? 0 : o->id;
}

int msg_set(struct task *task, int32_t id, const struct linux_msqid_ds *ds)
{
	struct msg_queue *q;
	int err;

	q = queue_of(ipc_find(&ids, id, &err));
	if (q == NULL)
		return err;
	err = ipc_may_control(task, &q->ipc);
	if (err != 0)
		return err;
	if (ds->qbytes > MSG_MNB && !task_capable(task, LINUX_CAP_SYS_RESOURCE))
		return -LINUX_EPERM;
	err = ipc_set_owner(&q->ipc, &ds->perm);
	if (err != 0)
		return err;
	q->max_bytes = ds->qbytes;
	q->ctime = vfs_now().sec;
	waitq_wake(&q->senders, 0);
	waitq_wake(&q->receivers, 0);
	return 0;
}

int msg_info(int cmd, struct linux_msginfo *info)
{
	uint64_t bytes = 0, count = 0;
	uint32_t i;

	memset(info, 0, sizeof(*info));
	info->msgmni = MSG_MNI;
	info->msgmax = MSG_MAX;
	info->msgmnb = MSG_MNB;
	info->msgssz = 16;
	info->msgseg = 0xffff;
	info->msgmap = MSG_MNB;
	info->msgpool = MSG_MNI * (MSG_MNB / 1024);
	info->msgtql = MSG_MNB;
	if (cmd == LINUX_MSG_INFO) {
		for (i = 0; i < ids.nslots; i++) {
			if (ids.slots[i] == NULL)
				continue;
			bytes += queue_of(ids.slots[i])->bytes;
			count += queue_of(ids.slots[i])->count;
		}
		info->msgpool = (int32_t)ids.used;
		info->msgmap = (int32_t)MIN(count, (uint64_t)INT32_MAX);
		info->msgtql = (int32_t)MIN(bytes, (uint64_t)INT32_MAX);
	}
	return ipc_highest(&ids);
}

void msg_proc_show(struct text_buf *b)
{
	uint32_t i;

	text_puts(b, "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      "
		     "rtime      ctime\n");
	for (i = 0; i < ids.nslots; i++) {
		const struct ipc_object *o = ids.slots[i];
		const struct msg_queue *q = (const struct msg_queue *)o;

		if (o == NULL)
			continue;
		text_printf(b, "%10d %10d  %4o  %10llu %10llu %5u %5u %5u %5u %5u %5u %10lld %10lld %10lld\n", o->perm.key, o->id,
			    o->perm.mode, (unsigned long long)q->bytes, (unsigned long long)q->count, q->last_sender,
			    q->last_receiver, o->perm.uid, o->perm.gid, o->perm.cuid, o->perm.cgid, (long long)q->stime,
			    (long long)q->rtime, (long long)q->ctime);
	}
}
