/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions and process groups: setsid, setpgid, and orphaned groups (credentials(7), setpgid(2)).
 *
 *      session <-- process_group <-- thread_group (many)
 *
 * A process group lives while a process is in it, zombies included; a session while a group is. Both give their number
 * back when they go. Only the terminal (kernel/tty.c) keeps more: session->tty and session->foreground.
 *
 * An orphaned process group is one in which no member has a parent in another group of the same session: nobody is left
 * who could continue it, so stops by the terminal don't happen to it, and one that becomes orphaned while members are
 * stopped gets SIGHUP and SIGCONT.
 */
#include "sentry/kernel/task_internal.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"

/* kernel/tty.c: the session's leader is gone, the terminal is free for another session. */
void tty_session_leader_exit(struct session *session) __attribute__((weak));

struct session *session_new(int32_t sid, struct thread_group *leader)
{
	struct session *s = kzalloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	ref_init(&s->ref);
	s->sid = sid;
	s->leader = leader;
	s->pids = leader->pids;
	pid_attach(s->pids, sid, PID_SESSION, s);
	return s;
}

struct session *session_get(struct session *s)
{
	ref_get(&s->ref);
	return s;
}

void session_put(struct session *s)
{
	if (!ref_put(&s->ref))
		return;
	pid_detach(s->pids, s->sid, PID_SESSION);
	kfree(s);
}

struct process_group *pgrp_new(int32_t pgid, struct session *session)
{
	struct process_group *p = kzalloc(sizeof(*p));

	if (p == NULL)
		return NULL;
	ref_init(&p->ref);
	p->pgid = pgid;
	p->session = session_get(session);
	list_init(&p->groups);
	pid_attach(session->pids, pgid, PID_PGRP, p);
	return p;
}

struct process_group *pgrp_get(struct process_group *p)
{
	ref_get(&p->ref);
	return p;
}

/* The last member may go while somebody still holds a reference; the number is free only with the last reference. */
void pgrp_put(struct process_group *p)
{
	if (!ref_put(&p->ref))
		return;
	invariant(list_empty(&p->groups));
	if (p->session->foreground == p)
		p->session->foreground = NULL;
	pid_detach(p->session->pids, p->pgid, PID_PGRP);
	session_put(p->session);
	kfree(p);
}

void group_set_pgrp(struct thread_group *group, struct process_group *pgrp)
{
	struct process_group *old = group->pgrp;

	pgrp_get(pgrp);
	list_del(&group->pgrp_link);
	list_add_tail(&pgrp->groups, &group->pgrp_link);
	group->pgrp = pgrp;
	if (old != NULL)
		pgrp_put(old);
}

/* ---- orphans ---- */

static bool pgrp_is_orphaned_without(const struct process_group *pgrp, const struct thread_group *ignored)
{
	struct thread_group *g;

	list_for_each(g, &pgrp->groups, pgrp_link) {
		const struct thread_group *parent = g->parent;

		if (g == ignored || g->zombie || parent == NULL)
			continue;
		if (parent->pgrp != pgrp && parent->pgrp->session == pgrp->session)
			return false;
	}
	return true;
}

bool pgrp_is_orphaned(const struct process_group *pgrp)
{
	return pgrp_is_orphaned_without(pgrp, NULL);
}

static bool pgrp_has_stopped(const struct process_group *pgrp)
{
	struct thread_group *g;

	list_for_each(g, &pgrp->groups, pgrp_link)
		if (g->stop == GROUP_STOPPED)
			return true;
	return false;
}

void pgrp_check_orphaned(struct thread_group *group, struct thread_group *parent)
{
	struct thread_group *ignored = NULL;
	struct process_group *pgrp = group->pgrp;

	if (parent == NULL) {
		parent = group->parent;
		ignored = group;
	}
	if (parent == NULL || parent->pgrp == pgrp || parent->pgrp->session != pgrp->session)
		return;
	if (!pgrp_is_orphaned_without(pgrp, ignored) || !pgrp_has_stopped(pgrp))
		return;
	pgrp_get(pgrp);
	(void)signal_send_pgrp(pgrp, LINUX_SIGHUP, NULL);
	(void)signal_send_pgrp(pgrp, LINUX_SIGCONT, NULL);
	pgrp_put(pgrp);
}

void session_leader_exit(struct session *session)
{
	struct process_group *fg = session->foreground;

	session->leader = NULL;
	if (session->tty == NULL)
		return;
	if (fg != NULL) {
		pgrp_get(fg);
		(void)signal_send_pgrp(fg, LINUX_SIGHUP, NULL);
		(void)signal_send_pgrp(fg, LINUX_SIGCONT, NULL);
		pgrp_put(fg);
	}
	if (tty_session_leader_exit != NULL)
		tty_session_leader_exit(session);
	session->foreground = NULL;
	session->tty = NULL;
}

/* ---- calls ---- */

/* setsid(2). */
int session_create(struct task *task)
{
	struct thread_group *g = task->group;
	struct process_group *pgrp;
	struct session *s;

	/* A process group with our number, even one we have left, forbids it. */
	if (pgrp_find(g->pid) != NULL || session_find(g->pid) != NULL)
		return -LINUX_EPERM;
	s = session_new(g->pid, g);
	if (s == NULL)
		return -LINUX_ENOMEM;
	pgrp = pgrp_new(g->pid, s);
	session_put(s);
	if (pgrp == NULL)
		return -LINUX_ENOMEM;
	group_set_pgrp(g, pgrp);
	pgrp_put(pgrp);
	return g->pid;
}

/* setpgid(2). The order of the checks is Linux's. */
int group_setpgid(struct task *task, int32_t pid, int32_t pgid)
{
	struct thread_group *self = task->group, *g;
	struct session *session = self->pgrp->session;
	struct process_group *pgrp;
	struct task *t;

	if (pid == 0)
		pid = self->pid;
	if (pgid == 0)
		pgid = pid;
	if (pgid < 0)
		return -LINUX_EINVAL;
	t = task_find(pid);
	if (t == NULL)
		return -LINUX_ESRCH;
	g = t->group;
	if (g->leader != t)
		return -LINUX_EINVAL;
	if (g->parent == self) {
		if (g->pgrp->session != session)
			return -LINUX_EPERM;
		if (g->execed)
			return -LINUX_EACCES;
	} else if (g != self) {
		return -LINUX_ESRCH;
	}
	if (g->pgrp->session->leader == g)
		return -LINUX_EPERM;
	pgrp = pgrp_find(pgid);
	if (pgid != pid && (pgrp == NULL || pgrp->session != session))
		return -LINUX_EPERM;
	if (pgrp == g->pgrp)
		return 0;
	if (pgrp != NULL) {
		group_set_pgrp(g, pgrp);
		return 0;
	}
	pgrp = pgrp_new(pgid, session);
	if (pgrp == NULL)
		return -LINUX_ENOMEM;
	group_set_pgrp(g, pgrp);
	pgrp_put(pgrp);
	return 0;
}
