/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process numbers.
 *
 * One number may name up to four things at once: a thread, a process, a process group and a session (a shell is often
 * all four). A number is taken as long as it names at least one of them, so that a process group outlives its leader
 * without a new process getting the same number, as in Linux.
 *
 *      tree of struct pid, by number:   7 -> {task, group, pgrp, session}
 *
 * Numbers go upwards from the last one and start over at 300 when pid_max is reached, as in Linux: a number comes back
 * as late as possible. The tree is ordered, so /proc lists processes by it.
 *
 * The guest controls how many numbers are in use, through clone (bounded by kernel.max_tasks and pid_max), and which,
 * by clone3's set_tid with CAP_SYS_ADMIN.
 */
#include "sentry/kernel/task_internal.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/tree.h"

#define PID_RESERVED 300 /* after the first round, lower numbers are left to what the start made */

struct pid {
	RB_ENTRY(pid) node;
	int32_t nr;
	void *obj[PID_TYPES]; /* borrowed; all NULL only between pid_alloc and the first pid_attach */
};

RB_HEAD(pid_tree, pid);
static struct pid_tree pids = RB_INITIALIZER(&pids);

static int pid_cmp(const struct pid *a, const struct pid *b)
{
	return a->nr < b->nr ? -1 : a->nr > b->nr;
}
TREE_GENERATE(pid_tree, pid, node, pid_cmp)

static struct pid *pid_find(int32_t nr)
{
	struct pid key = {.nr = nr};

	return RB_FIND(pid_tree, &pids, &key);
}

/* The first free number in [from, to), or 0. */
static int32_t pid_first_free(int32_t from, int32_t to)
{
	struct pid key = {.nr = from}, *p;
	int32_t nr = from;

	for (p = RB_NFIND(pid_tree, &pids, &key); p != NULL && p->nr == nr; p = RB_NEXT(pid_tree, &pids, p))
		nr++;
	return nr < to ? nr : 0;
}

static int pid_insert(int32_t nr)
{
	struct pid *p = kzalloc(sizeof(*p));

	if (p == NULL)
		return -LINUX_ENOMEM;
	p->nr = nr;
	if (RB_INSERT(pid_tree, &pids, p) != NULL) {
		kfree(p);
		return -LINUX_EEXIST;
	}
	return 0;
}

int pid_alloc(int32_t *nr)
{
	int32_t n = 0;
	int err;

	if (kernel.last_pid + 1 < kernel.pid_max)
		n = pid_first_free(kernel.last_pid + 1, kernel.pid_max);
	if (n == 0)
		n = pid_first_free(MIN(PID_RESERVED, kernel.pid_max - 1), kernel.pid_max);
	if (n == 0)
		return -LINUX_EAGAIN;
	err = pid_insert(n);
	if (err)
		return err;
	kernel.last_pid = n;
	*nr = n;
	return 0;
}

int pid_alloc_at(int32_t nr)
{
	if (nr < 1 || nr >= kernel.pid_max)
		return -LINUX_EINVAL;
	return pid_insert(nr);
}

void pid_free(int32_t nr)
{
	struct pid *p = pid_find(nr);
	int i;

	if (p == NULL)
		return;
	for (i = 0; i < PID_TYPES; i++)
		if (p->obj[i] != NULL)
			return;
	RB_REMOVE(pid_tree, &pids, p);
	kfree(p);
}

void pid_attach(int32_t nr, enum pid_type type, void *obj)
{
	struct pid *p = pid_find(nr);

	invariant(p != NULL);
	p->obj[type] = obj;
}

void pid_detach(int32_t nr, enum pid_type type)
{
	struct pid *p = pid_find(nr);

	invariant(p != NULL);
	p->obj[type] = NULL;
	pid_free(nr);
}

static void *pid_object(int32_t nr, enum pid_type type)
{
	struct pid *p = nr > 0 ? pid_find(nr) : NULL;

	return p != NULL ? p->obj[type] : NULL;
}

struct task *task_find(int32_t tid)
{
	return pid_object(tid, PID_TASK);
}

struct thread_group *group_find(int32_t pid)
{
	return pid_object(pid, PID_GROUP);
}

struct process_group *pgrp_find(int32_t pgid)
{
	return pid_object(pgid, PID_PGRP);
}

struct session *session_find(int32_t sid)
{
	return pid_object(sid, PID_SESSION);
}

struct thread_group *group_next(int32_t from)
{
	struct pid key = {.nr = from}, *p;

	for (p = RB_NFIND(pid_tree, &pids, &key); p != NULL; p = RB_NEXT(pid_tree, &pids, p))
		if (p->obj[PID_GROUP] != NULL)
			return p->obj[PID_GROUP];
	return NULL;
}
