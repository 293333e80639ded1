/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V semaphores (semget(2), semop(2), semctl(2)).
 *
 *	semop --> all operations possible? --yes--> done, then the sleepers are tried again in order
 *	                     \--no--> sleep on the set's list until somebody has done them for us
 *
 * The operations of one call happen all at once or not at all. Who changes a set carries out, for the sleepers, whatever
 * has become possible, oldest first, and again until nothing more is: so a sleeper finds its call done when it wakes, and
 * nobody overtakes it.
 *
 * Adjustments (SEM_UNDO) are kept per process and set; they are carried out when the process ends, forgotten when a value
 * is set or the set is removed. Threads share them, as pthread's clone has it (CLONE_SYSVSEM).
 *
 * The guest controls numbers of sets (SEM_MNI), semaphores (SEM_MSL a set, SEM_TOTAL_MAX in all) and operations (SEM_OPM).
 * Left out: adjustments shared between processes by a bare clone(CLONE_SYSVSEM).
 */
#include "sentry/kernel/ipc.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/list.h"
#include "sentry/fs/pseudo.h"
#include "sentry/kernel/task.h"

#include <string.h>

struct sem {
	uint16_t value;
	int32_t pid; /* who changed it last */
};

struct sem_set {
	struct ipc_object ipc;
	struct list sleepers; /* struct sem_sleeper, oldest first */
	struct list undos;    /* struct sem_undo.set_link */
	int64_t otime, ctime;
	uint32_t nsems;
	struct sem sems[];
};

struct sem_undo {
	struct list set_link, group_link;
	struct sem_set *set;        /* borrowed: the set takes its undos along */
	struct thread_group *group; /* borrowed: sysv_sem_exit takes them along */
	int16_t adjust[];           /* one a semaphore */
};

struct sem_sleeper {
	struct list link;
	struct task *task;
	const struct linux_sembuf *ops;
	unsigned nops;
	unsigned blocked_by; /* the operation that couldn't be done */
	bool done;
	int result;          /* once done */
};

static struct ipc_ids ids = {.max = SEM_MNI};
static struct list undos = LIST_INIT(undos); /* sem_undo.group_link */
static uint32_t total;                       /* semaphores in all sets */

static struct sem_set *set_of(struct ipc_object *o)
{
	return (struct sem_set *)o;
}

static void set_put(struct sem_set *set)
{
	if (ref_put(&set->ipc.ref))
		kfree(set);
}

/* ---- semget ---- */

int64_t sem_get(struct task *task, int32_t key, int nsems, int flags)
{
	struct ipc_object *o = ipc_find_key(&ids, key);
	struct sem_set *set;
	int err;

	if (nsems < 0 || nsems > SEM_MSL)
		return -LINUX_EINVAL;
	if (o != NULL) {
		if ((flags & LINUX_IPC_CREAT) && (flags & LINUX_IPC_EXCL))
			return -LINUX_EEXIST;
		if ((uint32_t)nsems > set_of(o)->nsems)
			return -LINUX_EINVAL;
		err = ipc_permission(task, o, flags);
		return err != 0 ? err : o->id;
	}
	if (key != LINUX_IPC_PRIVATE && !(flags & LINUX_IPC_CREAT))
		return -LINUX_ENOENT;
	if (nsems == 0)
		return -LINUX_EINVAL;
	if (total + (uint32_t)nsems > SEM_TOTAL_MAX)
		return -LINUX_ENOSPC;
	set = kzalloc(sizeof(*set) + (size_t)nsems * sizeof(struct sem));
	if (set == NULL)
		return -LINUX_ENOMEM;
	list_init(&set->sleepers);
	list_init(&set->undos);
	set->nsems = (uint32_t)nsems;
	set->ctime = vfs_now().sec;
	err = ipc_add(&ids, task, &set->ipc, key, flags);
	if (err != 0) {
		kfree(set);
		return err;
	}
	total += (uint32_t)nsems;
	return set->ipc.id;
}

/* ---- undo ---- */

static struct sem_undo *undo_find(struct sem_set *set, const struct thread_group *group)
{
	struct sem_undo *u;

	list_for_each(u, &set->undos, set_link)
		if (u->group == group)
			return u;
	return NULL;
}

static struct sem_undo *undo_make(struct sem_set *set, struct thread_group *group)
{
	struct sem_undo *u = undo_find(set, group);

	if (u != NULL)
		return u;
	u = kzalloc(sizeof(*u) + set->nsems * sizeof(u->adjust[0]));
	if (u == NULL)
		return NULL;
	u->set = set;
	u->group = group;
	list_add_tail(&set->undos, &u->set_link);
	list_add_tail(&undos, &u->group_link);
	return u;
}

bool sem_group_undoes(const struct thread_group *group)
{
	struct sem_undo *u;

	list_for_each(u, &undos, group_link)
		if (u->group == group)
			return true;
	return false;
}

static void undo_free(struct sem_undo *u)
{
	list_del(&u->set_link);
	list_del(&u->group_link);
	kfree(u);
}

/* A value was set by hand: nobody's adjustments count any more. */
static void undo_forget(struct sem_set *set, uint32_t num)
{
	struct sem_undo *u;

	list_for_each(u, &set->undos, set_link)
		u->adjust[num] = 0;
}

/* ---- semop ---- */

static void try_back(struct sem_set *set, struct sem_undo *u, const struct linux_sembuf *ops, unsigned done)
{
	while (done-- > 0) {
		set->sems[ops[done].num].value = (uint16_t)(set->sems[ops[done].num].value - ops[done].op);
		if (u != NULL && (ops[done].flg & LINUX_SEM_UNDO))
			u->adjust[ops[done].num] = (int16_t)(u->adjust[ops[done].num] + ops[done].op);
	}
}

/* 0: all done. 1: must sleep, *blocked_by says for which. -errno: nothing was changed. */
static int try_ops(struct sem_set *set, struct task *task, const struct linux_sembuf *ops, unsigned nops,
		   unsigned *blocked_by)
{
	struct sem_undo *u = undo_find(set, task->group);
	unsigned i, j;

	for (i = 0; i < nops; i++) {
		struct sem *s = &set->sems[ops[i].num];
		int value = s->value + ops[i].op;
		int err = 0;

		if (value < 0 || (ops[i].op == 0 && s->value != 0))
			err = ops[i].flg & LINUX_IPC_NOWAIT ? -LINUX_EAGAIN : 1;
		else if (value > SEM_VMX)
			err = -LINUX_ERANGE;
		if (err == 0 && u != NULL && (ops[i].flg & LINUX_SEM_UNDO) && ops[i].op != 0) {
			int adjust = u->adjust[ops[i].num] - ops[i].op;

			if (adjust < -SEM_VMX - 1 || adjust > SEM_VMX)
				err = -LINUX_ERANGE;
			else
				u->adjust[ops[i].num] = (int16_t)adjust;
		}
		if (err != 0) {
			try_back(set, u, ops, i);
			*blocked_by = i;
			return err;
		}
		s->value = (uint16_t)value;
	}
	for (j = 0; j < nops; j++)
		set->sems[ops[j].num].pid = task->group->pid;
	set->otime = vfs_now().sec;
	return 0;
}

/* The set has changed: does what sleepers wait for, until no more is possible. */
static void wake_sleepers(struct sem_set *set)
{
	struct sem_sleeper *w, *next;
	bool again = true;

	while (again) {
		again = false;
		list_for_each_safe(w, next, &set->sleepers, link) {
			int r = try_ops(set, w->task, w->ops, w->nops, &w->blocked_by);

			if (r > 0)
				continue;
			w->done = true;
			w->result = r;
			list_del(&w->link);
			task_wake(w->task);
			again |= r == 0;
		}
	}
}

/* Numbers in range and permission. 0 or -errno. */
static int check_ops(struct task *task, struct sem_set *set, const struct linux_sembuf *ops, unsigned nops)
{
	bool alter = false;
	unsigned i;

	for (i = 0; i < nops; i++) {
		if (ops[i].num >= set->nsems)
			return -LINUX_EFBIG;
		alter |= ops[i].op != 0;
	}
	return ipc_permission(task, &set->ipc, alter ? 0222 : 0444);
}

int64_t sem_op(struct task *task, int32_t id, const struct linux_sembuf *ops, unsigned nops, uint64_t deadline)
{
	struct sem_sleeper w = {.task = task, .ops = ops, .nops = nops};
	struct sem_set *set;
	unsigned i;
	int err;

	set = set_of(ipc_find(&ids, id, &err));
	if (set == NULL)
		return err;
	err = check_ops(task, set, ops, nops);
	if (err != 0)
		return err;
	for (i = 0; i < nops; i++)
		if ((ops[i].flg & LINUX_SEM_UNDO) && undo_make(set, task->group) == NULL)
			return -LINUX_ENOMEM;
	err = try_ops(set, task, ops, nops, &w.blocked_by);
	if (err <= 0) {
		if (err == 0)
			wake_sleepers(set);
		return err;
	}
	ref_get(&set->ipc.ref);
	list_add_tail(&set->sleepers, &w.link);
	while (!w.done && err >= 0)
		err = task_block(task, WAIT_INTERRUPTIBLE, deadline);
	list_del(&w.link);
	if (w.done)
		err = w.result;
	else
		err = err == -LINUX_ETIMEDOUT ? -LINUX_EAGAIN : -LINUX_EINTR;
	set_put(set);
	return err;
}

/* Every adjustment is carried out as far as it goes: a value stays within its range. */
void sysv_sem_exit(struct task *task)
{
	struct thread_group *group = task->group;
	struct sem_undo *u, *next;
	struct task *t;

	list_for_each(t, &group->threads, group_link)
		if (!t->exiting)
			return;
	list_for_each_safe(u, next, &undos, group_link) {
		struct sem_set *set = u->set;
		uint32_t i;

		if (u->group != group)
			continue;
		for (i = 0; i < set->nsems; i++) {
			int value = set->sems[i].value + u->adjust[i];

			if (u->adjust[i] == 0)
				continue;
			set->sems[i].value = (uint16_t)MIN(MAX(value, 0), SEM_VMX);
			set->sems[i].pid = group->pid;
		}
		set->otime = vfs_now().sec;
		undo_free(u);
		wake_sleepers(set);
		/* Nothing of the list was freed but u: sleepers free no undos before they run. */
	}
}

/* ---- semctl ---- */

static void set_remove(struct sem_set *set)
{
	struct sem_sleeper *w, *next;

	while (!list_empty(&set->undos))
		undo_free(list_first(&set->undos, struct sem_undo, set_link));
	ipc_remove(&ids, &set->ipc);
	total -= set->nsems;
	list_for_each_safe(w, next, &set->sleepers, link) {
		w->done = true;
		w->result = -LINUX_EIDRM;
		list_del(&w->link);
		task_wake(w->task);
	}
	set_put(set);
}

/* How many sleep for an increase of num, or for its zero. */
static int count_sleepers(const struct sem_set *set, uint32_t num, bool zero)
{
	const struct sem_sleeper *w;
	int n = 0;

	list_for_each(w, &set->sleepers, link) {
		const struct linux_sembuf *op = &w->ops[w->blocked_by];

		n += op->num == num && (op->op == 0) == zero;
	}
	return n;
}

int64_t sem_control(struct task *task, int32_t id, int num, int cmd, int32_t value)
{
	struct sem_set *set;
	int err;

	set = set_of(ipc_find(&ids, id, &err));
	if (set == NULL)
		return err;
	if (cmd == LINUX_IPC_RMID) {
		err = ipc_may_control(task, &set->ipc);
		if (err == 0)
			set_remove(set);
		return err;
	}
	if (cmd == LINUX_SETVAL && (value < 0 || value > SEM_VMX))
		return -LINUX_ERANGE;
	if (num < 0 || (uint32_t)num >= set->nsems)
		return -LINUX_EINVAL;
	err = ipc_permission(task, &set->ipc, cmd == LINUX_SETVAL ? 0222 : 0444);
	if (err != 0)
		return err;
	switch (cmd) {
	case LINUX_GETVAL:
		return set->sems[num].value;
	case LINUX_GETPID:
		return set->sems[num].pid;
	case LINUX_GETNCNT:
		return count_sleepers(set, (uint32_t)num, false);
	case LINUX_GETZCNT:
		return count_sleepers(set, (uint32_t)num, true);
	case LINUX_SETVAL:
		undo_forget(set, (uint32_t)num);
		set->sems[num].value = (uint16_t)value;
		set->sems[num].pid = task->group->pid;
		set->ctime = vfs_now().sec;
		wake_sleepers(set);
		return 0;
	default:
		return -LINUX_EINVAL;
	}
}

int sem_count(struct task *task, int32_t id)
{
	struct sem_set *set;
	int err;

	set = set_of(ipc_find(&ids, id, &err));
	if (set == NULL)
		return err;
	err = ipc_permission(task, &set->ipc, 0222);
	return err != 0 ? err : (int)set->nsems;
}

int sem_get_all(struct task *task, int32_t id, uint16_t **values, unsigned *n)
{
	struct sem_set *set;
	unsigned i;
	int err;

	set = set_of(ipc_find(&ids, id, &err));
	if (set == NULL)
		return err;
	err = ipc_permission(task, &set->ipc, 0444);
	if (err != 0)
		return err;
	*values = kmalloc(set->nsems * sizeof(uint16_t));
	if (*values == NULL)
		return -LINUX_ENOMEM;
	for (i = 0; i < set->nsems; i++)
		(*values)[i] = set->sems[i].value;
	*n = set->nsems;
	return 0;
}

int sem_set_all(struct task *task, int32_t id, const uint16_t *values, unsigned n)
{
	struct sem_set *set;
	unsigned i;
	int err;

	set = set_of(ipc_find(&ids, id, &err));
	if (set == NULL)
		return err;
	if (set->nsems != n)
		return -LINUX_EIDRM;
	for (i = 0; i < n; i++)
		if (values[i] > SEM_VMX)
			return -LINUX_ERANGE;
	for (i = 0; i < n; i++) {
		set->sems[i].value = values[i];
		set->sems[i].pid = task->group->pid;
		undo_forget(set, i);
	}
	set->ctime = vfs_now().sec;
	wake_sleepers(set);
	return 0;
}

int64_t sem_stat(struct task *task, int32_t id, int cmd, struct linux_semid_ds *ds)
{
	struct ipc_object *o;
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
	err = cmd == LINUX_SEM_STAT_ANY ? 0 : ipc_permission(task, o, 0444);
	if (err != 0)
		return err;
	memset(ds, 0, sizeof(*ds));
	ds->perm = o->perm;
	ds->otime = set_of(o)->otime;
	ds->ctime = set_of(o)->ctime;
	ds->nsems = set_of(o)->nsems;
	return cmd == LINUX_IPC_STAT ? 0 : o->id;
}

int sem_set(struct task *task, int32_t id, const struct linux_semid_ds *ds)
{
	struct ipc_object *o;
	int err;

	o = ipc_find(&ids, id, &err);
	if (o == NULL)
		return err;
	err = ipc_may_control(task, o);
	if (err != 0)
		return err;
	err = ipc_set_owner(o, &ds->perm);
	if (err != 0)
		return err;
	set_of(o)->ctime = vfs_now().sec;
	return 0;
}

int sem_info(int cmd, struct linux_seminfo *info)
{
	memset(info, 0, sizeof(*info));
	info->semmap = SEM_MNS;
	info->semmni = SEM_MNI;
	info->semmns = SEM_MNS;
	info->semmnu = SEM_MNS;
	info->semmsl = SEM_MSL;
	info->semopm = SEM_OPM;
	info->semume = SEM_OPM;
	info->semusz = 20;
	info->semvmx = SEM_VMX;
	info->semaem = SEM_VMX;
	if (cmd == LINUX_SEM_INFO) {
		info->semusz = (int32_t)ids.used;
		info->semaem = (int32_t)total;
	}
	return ipc_highest(&ids);
}

void sem_proc_show(struct text_buf *b)
{
	uint32_t i;

	text_puts(b, "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
	for (i = 0; i < ids.nslots; i++) {
		const struct ipc_object *o = ids.slots[i];

		if (o == NULL)
			continue;
		text_printf(b, "%10d %10d  %4o %10u %5u %5u %5u %5u %10lld %10lld\n", o->perm.key, o->id, o->perm.mode,
			    ((const struct sem_set *)o)->nsems, o->perm.uid, o->perm.gid, o->perm.cuid, o->perm.cgid,
			    (long long)((const struct sem_set *)o)->otime, (long long)((const struct sem_set *)o)->ctime);
	}
}
