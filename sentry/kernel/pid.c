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
 * Each container of a pod has a space of numbers of its own, or shares another's: like Linux's pid namespaces, but flat.
 * Nobody has a number in two spaces, and nobody sees what is in another's; what is remembered beyond a call (a file's owner)
 * must be remembered with its space. The names without a space ask in that of the running task.
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
struct pid_space {
	struct pid_tree tree;
	int32_t last;              /* the number given out last */
	struct thread_group *init; /* borrowed: whoever takes orphans; NULL once it has ended */
};

static struct pid_space first_space = {.tree = RB_INITIALIZER(&first_space.tree)};

static int pid_cmp(const struct pid *a, const struct pid *b)
{
	return a->nr < b->nr ? -1 : a->nr > b->nr;
}
TREE_GENERATE(pid_tree, pid, node, pid_cmp)

struct pid_space *pid_space_first(void)
{
	return &first_space;
}

struct pid_space *pid_space_new(void)
{
	struct pid_space *s = kzalloc(sizeof(*s));

	if (s != NULL)
		RB_INIT(&s->tree);
	return s;
}

struct pid_space *pid_space_of(const struct task *task)
{
	return task != NULL && task->group != NULL && task->group->pids != NULL ? task->group->pids : &first_space;
}

int32_t pid_space_last(const struct pid_space *s)
{
	return s->last;
}

struct thread_group *pid_space_init(const struct pid_space *s)
{
	return s == &first_space ? kernel.init : s->init;
}

void pid_space_set_init(struct pid_space *s, struct thread_group *init)
{
	s->init = init;
}

static struct pid *pid_find(struct pid_space *s, int32_t nr)
{
	struct pid key = {.nr = nr};

	return RB_FIND(pid_tree, &s->tree, &key);
}

/* The first free number in [from, to), or 0. */
static int32_t pid_first_free(struct pid_space *s, int32_t from, int32_t to)
{
	struct pid key = {.nr = from}, *p;
	int32_t nr = from;

	for (p = RB_NFIND(pid_tree, &s->tree, &key); p != NULL && p->nr == nr; p = RB_NEXT(pid_tree, &s->tree, p))
		nr++;
	return nr < to ? nr : 0;
}

static int pid_insert(struct pid_space *s, int32_t nr)
{
	struct pid *p = kzalloc(sizeof(*p));

	if (p == NULL)
		return -LINUX_ENOMEM;
	p->nr = nr;
	if (RB_INSERT(pid_tree, &s->tree, p) != NULL) {
		kfree(p);
		return -LINUX_EEXIST;
	}
	return 0;
}

int pid_alloc(struct pid_space *s, int32_t *nr)
{
	int32_t n = 0;
	int err;

	if (s->last + 1 < kernel.pid_max)
		n = pid_first_free(s, s->last + 1, kernel.pid_max);
	if (n == 0)
		n = pid_first_free(s, MIN(PID_RESERVED, kernel.pid_max - 1), kernel.pid_max);
	if (n == 0)
		return -LINUX_EAGAIN;
	err = pid_insert(s, n);
	if (err)
		return err;
	s->last = n;
	*nr = n;
	return 0;
}

int pid_alloc_at(struct pid_space *s, int32_t nr)
{
	if (nr < 1 || nr >= kernel.pid_max)
		return -LINUX_EINVAL;
	return pid_insert(s, nr);
}

void pid_free(struct pid_space *s, int32_t nr)
{
	struct pid *p = pid_find(s, nr);
	int i;

	if (p == NULL)
		return;
	for (i = 0; i < PID_TYPES; i++)
		if (p->obj[i] != NULL)
			return;
	RB_REMOVE(pid_tree, &s->tree, p);
	kfree(p);
}

void pid_attach(struct pid_space *s, int32_t nr, enum pid_type type, void *obj)
{
	struct pid *p = pid_find(s, nr);

	invariant(p != NULL);
	p->obj[type] = obj;
}

void pid_detach(struct pid_space *s, int32_t nr, enum pid_type type)
{
	struct pid *p = pid_find(s, nr);

	invariant(p != NULL);
	p->obj[type] = NULL;
	pid_free(s, nr);
}

static void *pid_object(struct pid_space *s, int32_t nr, enum pid_type type)
{
	struct pid *p = nr > 0 ? pid_find(s, nr) : NULL;

	return p != NULL ? p->obj[type] : NULL;
}

struct task *task_find_in(struct pid_space *s, int32_t tid)
{
	return pid_object(s, tid, PID_TASK);
}

struct thread_group *group_find_in(struct pid_space *s, int32_t pid)
{
	return pid_object(s, pid, PID_GROUP);
}

struct process_group *pgrp_find_in(struct pid_space *s, int32_t pgid)
{
	return pid_object(s, pgid, PID_PGRP);
}

static struct pid_space *here(void)
{
	return pid_space_of(task_current());
}

struct task *task_find(int32_t tid)
{
	return task_find_in(here(), tid);
}

struct thread_group *group_find(int32_t pid)
{
	return group_find_in(here(), pid);
}

struct process_group *pgrp_find(int32_t pgid)
{
	return pgrp_find_in(here(), pgid);
}

struct session *session_find(int32_t sid)
{
	return pid_object(here(), sid, PID_SESSION);
}

struct thread_group *group_next(int32_t from)
{
	struct pid key = {.nr = from}, *p;
	struct pid_space *s = here();

	for (p = RB_NFIND(pid_tree, &s->tree, &key); p != NULL; p = RB_NEXT(pid_tree, &s->tree, p))
		if (p->obj[PID_GROUP] != NULL)
			return p->obj[PID_GROUP];
	return NULL;
}
