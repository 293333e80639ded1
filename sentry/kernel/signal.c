/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals: sending, queues, who gets one, and what it does to sleeping or running threads (signal(7)).
 *
 *      kill, tgkill, faults, timers, terminals
 *          |
 *      signal_send: ignored? --> dropped       SIGCONT and stops cancel each other
 *          | queue (a thread's or the group's), signalfd told
 *          v
 *      signal_choose: a thread that doesn't block it --> fatal by default: the whole group is marked to end
 *          |                                             else signal_wake: out of its sleep, or kicked out of
 *          v                                             guest code by the platform
 *      task_return (signal_frame.c): dequeues and acts
 *
 * Invariants: a standard signal is queued at most once a queue; queued entries count against the RLIMIT_SIGPENDING of
 * their sender's user; SIGKILL and SIGSTOP are in no mask; task->sigpending is true whenever something in the task's or
 * its group's queue is not blocked (it may be true too often, never too seldom).
 *
 * The guest controls: numbers, masks, siginfo bytes of rt_sigqueueinfo (the sender's identity is checked there), how
 * much is queued (by the limit above).
 *
 * Left out: core dumps (no status ever says one was written).
 */
#include "sentry/kernel/task_internal.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/usercopy.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/trace.h"
#include "sentry/vfs/vfs.h"

#include <string.h>

/* ---- users: how many signals each has queued ---- */

/* One for each uid that has signals queued; found by a short list: few users are in a sandbox. */
struct user {
	struct list link;
	kuid_t uid;
	uint64_t queued; /* > 0: it goes with its last entry */
};

static struct list users = LIST_INIT(users);

static struct user *user_charge(kuid_t uid, uint64_t limit)
{
	struct user *u;

	list_for_each(u, &users, link)
		if (u->uid == uid)
			goto found;
	u = kzalloc(sizeof(*u));
	if (u == NULL)
		return NULL;
	u->uid = uid;
	list_add(&users, &u->link);
found:
	if (u->queued >= limit) {
		if (u->queued == 0) {
			list_del(&u->link);
			kfree(u);
		}
		return NULL;
	}
	u->queued++;
	return u;
}

static void user_uncharge(struct user *u)
{
	if (u == NULL || --u->queued != 0)
		return;
	list_del(&u->link);
	kfree(u);
}

uint64_t signal_queued_of(kuid_t uid)
{
	struct user *u;

	list_for_each(u, &users, link)
		if (u->uid == uid)
			return u->queued;
	return 0;
}

/* ---- queues ---- */

void sigqueue_init(struct sigqueue *q)
{
	q->set = 0;
	list_init(&q->infos);
}

/* taken: somebody gets the signal; else it is thrown away. */
static void entry_free(struct sigqueue_entry *e, bool taken)
{
	list_del(&e->link);
	if (e->timer != NULL) { /* the entry lies in the timer */
		if (!taken)
			timers_discarded(e->timer);
		return;
	}
	user_uncharge(e->user);
	kfree(e);
}

static void sigqueue_flush_set(struct sigqueue *q, uint64_t set)
{
	struct sigqueue_entry *e, *tmp;

	if ((q->set & set) == 0)
		return;
	q->set &= ~set;
	list_for_each_safe(e, tmp, &q->infos, link)
		if (LINUX_SIGMASK(e->info.signo) & set)
			entry_free(e, false);
}

void sigqueue_flush(struct sigqueue *q)
{
	sigqueue_flush_set(q, UINT64_MAX);
}

void sigqueue_entry_unlink(struct sigqueue_entry *e, struct sigqueue *q)
{
	struct sigqueue_entry *other;

	if (list_empty(&e->link))
		return;
	list_del(&e->link);
	list_for_each(other, &q->infos, link)
		if (other->info.signo == e->info.signo)
			return;
	q->set &= ~LINUX_SIGMASK(e->info.signo);
}

/* Takes the oldest entry of sig off q. *timer is set if it came from a POSIX timer. */
static void sigqueue_take(struct sigqueue *q, int sig, struct linux_siginfo *info, struct posix_timer **timer)
{
	struct sigqueue_entry *e, *tmp;
	bool found = false, more = false;

	*timer = NULL;
	list_for_each_safe(e, tmp, &q->infos, link) {
		if (e->info.signo != sig)
			continue;
		if (found) {
			more = true;
			break;
		}
		found = true;
		*info = e->info;
		*timer = e->timer;
		entry_free(e, true);
	}
	if (!more)
		q->set &= ~LINUX_SIGMASK(sig);
	if (!found) {
		/* The limit left no room for the details. */
		memset(info, 0, sizeof(*info));
		info->signo = sig;
		info->code = LINUX_SI_USER;
	}
}

static int lowest(uint64_t set)
{
	if (set & SIG_SYNC_SET)
		set &= SIG_SYNC_SET;
	return set != 0 ? __builtin_ctzll(set) + 1 : 0;
}

int signal_dequeue(struct task *task, uint64_t set, struct linux_siginfo *info)
{
	struct thread_group *g = task->group;
	struct posix_timer *timer;
	int sig = lowest(task->pending.set & set);
	bool shared = false;

	if (sig != 0) {
		sigqueue_take(&task->pending, sig, info, &timer);
	} else {
		sig = lowest(g->shared_pending.set & set);
		if (sig == 0)
			return 0;
		sigqueue_take(&g->shared_pending, sig, info, &timer);
		shared = true;
	}
	if (timer != NULL)
		timers_dequeued(timer, info);
	if (shared && sig == LINUX_SIGALRM)
		timers_sigalrm_dequeued(g);
	signal_recalc(task);
	return sig;
}

/* A fault of the task's own instruction comes before whatever else waits, or its frame would show another place. */
int signal_dequeue_next(struct task *task, struct linux_siginfo *info)
{
	struct sigqueue_entry *e;
	struct posix_timer *timer;
	int sig;

	if (task->pending.set & SIG_SYNC_SET & ~task->sigmask) {
		list_for_each(e, &task->pending.infos, link) {
			sig = e->info.signo;
			if (e->info.code > LINUX_SI_USER && (LINUX_SIGMASK(sig) & SIG_SYNC_SET & ~task->sigmask)) {
				sigqueue_take(&task->pending, sig, info, &timer);
				signal_recalc(task);
				return sig;
			}
		}
	}
	return signal_dequeue(task, ~task->sigmask, info);
}

uint64_t signal_pending_set(const struct task *task)
{
	return task->pending.set | task->group->shared_pending.set;
}

void signal_recalc(struct task *task)
{
	task->sigpending = (signal_pending_set(task) & ~task->sigmask) != 0 || task->stop_pending || task_dying(task);
}

void signal_flush_group(struct thread_group *group, uint64_t set)
{
	struct task *t;

	sigqueue_flush_set(&group->shared_pending, set);
	list_for_each(t, &group->threads, group_link)
		sigqueue_flush_set(&t->pending, set);
}

/* ---- handlers ---- */

struct sighand *sighand_new(void)
{
	struct sighand *s = kzalloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	ref_init(&s->ref);
	s->plain = UINT64_MAX;
	return s;
}

void sighand_recount(struct sighand *s)
{
	static const struct linux_sigaction zero;

	s->plain = 0;
	for (unsigned i = 0; !s->between_groups && i < LINUX_NSIG; i++)
		if (memcmp(&s->action[i], &zero, sizeof(zero)) == 0)
			s->plain |= 1ULL << i;
}

/* The other threads' stubs answer by themselves what is plain. */
static void tell_plain(const struct task *task)
{
	struct task *t;

	if (platform->plain_actions == NULL)
		return;
	list_for_each(t, &task->group->threads, group_link)
		if (t != task && t->sighand == task->sighand)
			platform->plain_actions(t, task->sighand->plain, true);
}

void sighand_between_groups(struct task *task)
{
	task->sighand->between_groups = true;
	task->sighand->plain = 0;
	tell_plain(task);
}

struct sighand *sighand_dup(const struct sighand *old)
{
	struct sighand *s = kmalloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	*s = *old;
	ref_init(&s->ref);
	s->between_groups = false;
	sighand_recount(s);
	return s;
}

void sighand_put(struct sighand *s)
{
	if (ref_put(&s->ref))
		kfree(s);
}

static uint64_t handler_of(const struct task *task, int sig)
{
	return task->sighand->action[sig - 1].handler;
}

static bool handler_ignores(const struct task *task, int sig)
{
	uint64_t h = handler_of(task, sig);

	return h == LINUX_SIG_IGN || (h == LINUX_SIG_DFL && (LINUX_SIGMASK(sig) & SIG_IGNORE_SET));
}

int signal_set_action(struct task *task, int sig, const struct linux_sigaction *act, struct linux_sigaction *old)
{
	struct linux_sigaction *a;

	if (sig < 1 || sig > LINUX_NSIG || (act != NULL && (LINUX_SIGMASK(sig) & SIG_UNBLOCKABLE)))
		return -LINUX_EINVAL;
	a = &task->sighand->action[sig - 1];
	*old = *a;
	old->flags &= LINUX_SA_NOCLDSTOP | LINUX_SA_NOCLDWAIT | LINUX_SA_SIGINFO | LINUX_SA_EXPOSE_TAGBITS |
		      LINUX_SA_RESTORER | LINUX_SA_ONSTACK | LINUX_SA_RESTART | LINUX_SA_NODEFER | LINUX_SA_RESETHAND;
	if (act == NULL)
		return 0;
	*a = *act;
	a->mask &= ~SIG_UNBLOCKABLE;
	if ((task->sighand->plain & LINUX_SIGMASK(sig)) &&
	    (a->handler != 0 || a->flags != 0 || a->restorer != 0 || a->mask != 0)) {
		task->sighand->plain &= ~LINUX_SIGMASK(sig);
		tell_plain(task);
	}
	/* POSIX: what is pending is discarded when the signal comes to be ignored. */
	if (handler_ignores(task, sig))
		signal_flush_group(task->group, LINUX_SIGMASK(sig));
	return 0;
}

/* ---- waking ---- */

void signal_wake(struct task *task, bool fatal)
{
	task->sigpending = true;
	if (task->blocked) {
		if (fatal || task->block_mode == WAIT_INTERRUPTIBLE)
			task_wake(task);
	}
	if (task->pt != NULL && !task->exiting)
		platform->kick(task);
}

void signal_set_mask(struct task *task, uint64_t mask)
{
	uint64_t newly_blocked;

	mask &= ~SIG_UNBLOCKABLE;
	newly_blocked = mask & ~task->sigmask;
	task->sigmask = mask;
	/* What the group has pending and we now block may be for another thread. */
	if (newly_blocked & task->group->shared_pending.set)
		signal_retarget(task);
	signal_recalc(task);
}

/*
 * While a thread is in guest code its mask is the stub's, which changes it without a call (platform.h: mask_out), and so are
 * its list of robust futexes, the word to clear at its end and, if it shares that with nobody and no filter or trace is to see
 * the call, its umask (only a call of its own can make it share). Whoever looks at the mask of such a thread takes over what it is
 * by now; who has a signal for it, or for its group, tells the stub first to ask before the next change. So a thread that unblocks
 * the signal is seen to have done so, or comes and asks.
 */
static void mask_is(struct task *task, uint64_t mask, const struct platform_words *words)
{
	task->robust_list.v = words->robust;
	task->clear_child_tid.v = words->clear_tid;
	if (words->umask != PLATFORM_ASK && task->fs != NULL)
		task->fs->umask = words->umask;
	mask &= ~SIG_UNBLOCKABLE; /* the guest's word */
	if (mask != task->sigmask)
		signal_set_mask(task, mask);
}

/* The stub has made them the default once more, with a restorer: nothing that pends is discarded, for it asks then. */
static void actions_are(struct sighand *s, uint64_t set, uint64_t restorer)
{
	set &= s->plain & ~SIG_UNBLOCKABLE;
	s->plain &= ~set;
	for (; set != 0; set &= set - 1)
		s->action[__builtin_ctzll(set)] = (struct linux_sigaction){.flags = LINUX_SA_RESTORER, .restorer = restorer};
}

void signal_mask_in(struct task *task)
{
	uint64_t mask, set, restorer;
	struct platform_words words;

	if (platform->mask_in == NULL || !platform->mask_in(task, &mask, &words))
		return;
	mask_is(task, mask, &words);
	if (platform->actions_in != NULL && platform->actions_in(task, &set, &restorer))
		actions_are(task->sighand, set, restorer);
}

void signal_mask_look(struct task *task)
{
	struct platform_words words;
	uint64_t mask;

	if (platform->mask_look != NULL && platform->mask_look(task, &mask, &words))
		mask_is(task, mask, &words);
}

static void mask_hold(struct task *task)
{
	struct platform_words words;
	uint64_t mask;

	if (platform->mask_hold != NULL && platform->mask_hold(task, &mask, &words))
		mask_is(task, mask, &words);
}

static void masks_hold(struct task *task, bool to_group)
{
	struct task *t;

	if (!to_group) {
		mask_hold(task);
		return;
	}
	list_for_each(t, &task->group->threads, group_link)
		mask_hold(t);
}

static void tell_ids(struct task *task)
{
	const struct cred *c = task->cred;

	platform->tell_ids(task, &(struct platform_ids){
		.pid = task->group->pid,
		.ppid = group_ppid(task->group),
		.tid = task->tid,
		.uid = c->uid,
		.euid = c->euid,
		.gid = c->gid,
		.egid = c->egid,
	});
}

void signal_resume(struct task *task, int64_t ret)
{
	const struct linux_rlimit *stack = &task->group->rlimits[LINUX_RLIMIT_STACK];
	bool alone = !trace_on && task->seccomp_mode == 0;

	if (platform->mask_out != NULL)
		platform->mask_out(task, task->sigmask,
				   &(struct platform_words){task->robust_list.v, task->clear_child_tid.v,
							    !alone || ref_shared(&task->fs->ref) ? PLATFORM_ASK : task->fs->umask},
				   signal_pending_set(task) != 0, alone);
	if (platform->tell != NULL && alone &&
	    platform->tell(task, &(struct platform_told){ref_shared(&task->mm->ref) ? 0 : task->mm->brk, stack->cur, stack->max}))
		tell_ids(task);
	if (platform->plain_actions != NULL)
		platform->plain_actions(task, task->sighand->plain, ref_shared(&task->sighand->ref));
	if (platform->altstack != NULL)
		platform->altstack(task, task->altstack.sp, task->altstack.size, (uint32_t)task->altstack.flags);
	platform->resume(task, ret);
}

void signal_retarget(struct task *task)
{
	struct thread_group *g = task->group;
	uint64_t set = g->shared_pending.set & (task->exiting ? UINT64_MAX : task->sigmask);
	struct task *t;

	list_for_each(t, &g->threads, group_link) {
		if (set == 0)
			return;
		if (t == task || t->exiting || (set & ~t->sigmask) == 0)
			continue;
		set &= t->sigmask;
		if (!t->sigpending)
			signal_wake(t, false);
	}
}

void signal_temp_mask(struct task *task, uint64_t mask)
{
	if (!task->restore_sigmask)
		task->saved_sigmask = task->sigmask;
	task->restore_sigmask = true;
	signal_set_mask(task, mask);
}

int signal_temp_mask_from_guest(struct task *task, gva_t set, uint64_t size)
{
	uint64_t mask;

	if (set.v == 0)
		return 0;
	if (size != sizeof(mask))
		return -LINUX_EINVAL;
	if (get_guest(task, &mask, set))
		return -LINUX_EFAULT;
	signal_temp_mask(task, mask);
	return 0;
}

/* ---- sending ---- */

void siginfo_from_task(struct linux_siginfo *info, int sig, int code, const struct task *sender)
{
	memset(info, 0, sizeof(*info));
	info->signo = sig;
	info->code = code;
	info->kill.pid = sender->group->pid;
	info->kill.uid = sender->cred->uid;
}

/* Would the task drop it at once? A blocked signal stays pending: the handler may change. */
static bool signal_ignored(const struct task *task, int sig, bool from_outside)
{
	if ((task->sigmask | task->real_sigmask) & LINUX_SIGMASK(sig))
		return false;
	if (task->group->unkillable && handler_of(task, sig) == LINUX_SIG_DFL &&
	    !(from_outside && (LINUX_SIGMASK(sig) & SIG_UNBLOCKABLE)))
		return true;
	return handler_ignores(task, sig);
}

/* Stops and SIGCONT cancel each other whatever the handlers are. False: the signal is dropped. */
static bool signal_prepare(struct task *task, int sig, bool from_outside)
{
	struct thread_group *g = task->group;

	if (g->exiting)
		return false;
	if (LINUX_SIGMASK(sig) & SIG_STOP_SET) {
		signal_flush_group(g, LINUX_SIGMASK(LINUX_SIGCONT));
	} else if (sig == LINUX_SIGCONT) {
		signal_flush_group(g, SIG_STOP_SET);
		group_stop_end(g, true);
	}
	return !signal_ignored(task, sig, from_outside);
}

static bool task_wants(const struct task *t, int sig)
{
	if ((t->sigmask & LINUX_SIGMASK(sig)) || t->exiting)
		return false;
	if (sig == LINUX_SIGKILL)
		return true;
	return !t->stopped;
}

/* Prefers a thread that has nothing to handle yet. Takes turns: the search begins where the last one ended. */
static struct task *thread_for(struct thread_group *g, struct task *first, int sig)
{
	struct task *t, *busy = NULL;
	struct list *start, *l;

	if (task_wants(first, sig)) {
		if (!first->sigpending)
			return first;
		busy = first;
	}
	start = l = g->signal_target != NULL ? &g->signal_target->group_link : &first->group_link;
	do {
		l = l->next;
		if (l == &g->threads)
			continue;
		t = list_entry(l, struct task, group_link);
		if (!task_wants(t, sig))
			continue;
		if (!t->sigpending) {
			g->signal_target = t;
			return t;
		}
		if (busy == NULL)
			busy = t;
	} while (l != start);
	return busy;
}

/* Ends the whole group by sig, now: no thread runs another guest instruction that isn't under way. */
static void group_kill(struct thread_group *g, int sig)
{
	if (!g->exiting)
		group_exit(g, sig);
}

static void signal_choose(struct task *task, int sig, bool to_group)
{
	struct thread_group *g = task->group;
	struct task *t;

	if (!to_group || g->nthreads <= 1)
		t = task_wants(task, sig) ? task : NULL;
	else
		t = thread_for(g, task, sig);
	if (t == NULL)
		return; /* stays pending until somebody unblocks it */
	/* Fatal by default: the group ends without waiting for the thread to see it. */
	if (handler_of(t, sig) == LINUX_SIG_DFL && !(LINUX_SIGMASK(sig) & (SIG_IGNORE_SET | SIG_STOP_SET)) &&
	    !(t->real_sigmask & LINUX_SIGMASK(sig)) && !(LINUX_SIGMASK(sig) & SIG_CORE_SET)) {
		group_kill(g, sig);
		return;
	}
	signal_wake(t, sig == LINUX_SIGKILL);
}

static void signalfd_notify(struct task *task, bool to_group)
{
	struct task *t;

	if (!to_group) {
		waitq_wake(&task->signalfd_waitq, 0);
		return;
	}
	list_for_each(t, &task->group->threads, group_link)
		if (waitq_active(&t->signalfd_waitq))
			waitq_wake(&t->signalfd_waitq, 0);
}

static void siginfo_kernel(struct linux_siginfo *info, int sig)
{
	memset(info, 0, sizeof(*info));
	info->signo = sig;
	info->code = LINUX_SI_KERNEL;
}

static int signal_enqueue(struct task *task, struct sigqueue *q, int sig, const struct linux_siginfo *info)
{
	bool user_code = info != NULL && info->code <= LINUX_SI_USER;
	struct sigqueue_entry *e = NULL;
	struct user *u = NULL;

	/* The kernel's own standard signals may go over the limit: each is there once only. */
	if (sig < LINUX_SIGRTMIN && !user_code)
		u = user_charge(task->cred->uid, UINT64_MAX);
	else
		u = user_charge(task->cred->uid, group_rlimit(task->group, LINUX_RLIMIT_SIGPENDING));
	if (u != NULL)
		e = kzalloc(sizeof(*e));
	if (e == NULL) {
		user_uncharge(u);
		/* A real-time signal that carries a value must not be lost unseen; kill(2)'s may lose its details. */
		if (sig >= LINUX_SIGRTMIN && info != NULL && info->code != LINUX_SI_USER)
			return -LINUX_EAGAIN;
		return 0;
	}
	if (info != NULL)
		e->info = *info;
	else
		siginfo_kernel(&e->info, sig);
	e->info.signo = sig;
	e->user = u;
	list_init(&e->link);
	list_add_tail(&q->infos, &e->link);
	return 0;
}

/* task is the target, or stands for its group. */
static int signal_send(struct task *task, int sig, const struct linux_siginfo *info, bool to_group, bool from_outside)
{
	struct sigqueue *q = to_group ? &task->group->shared_pending : &task->pending;
	int err;

	if (task->dead && !to_group)
		return 0;
	masks_hold(task, to_group);
	if (!signal_prepare(task, sig, from_outside))
		return 0;
	if (sig < LINUX_SIGRTMIN && (q->set & LINUX_SIGMASK(sig)))
		return 0;
	if (sig != LINUX_SIGKILL) {
		err = signal_enqueue(task, q, sig, info);
		if (err)
			return err;
	}
	q->set |= LINUX_SIGMASK(sig);
	signalfd_notify(task, to_group);
	signal_choose(task, sig, to_group);
	return 0;
}

int signal_send_task(struct task *task, int sig, const struct linux_siginfo *info)
{
	return signal_send(task, sig, info, false, false);
}

int signal_send_group(struct thread_group *group, int sig, const struct linux_siginfo *info)
{
	struct task *t = group->leader;

	if (group->zombie)
		return 0;
	if (t->exiting)
		t = group_any_thread(group);
	if (t == NULL)
		return 0;
	return signal_send(t, sig, info, true, false);
}

int signal_send_group_by(struct task *task, int sig, const struct linux_siginfo *info)
{
	return task->group->zombie ? 0 : signal_send(task, sig, info, true, false);
}

void signal_kill_group(struct thread_group *group)
{
	if (!group->zombie)
		group_kill(group, LINUX_SIGKILL);
}

/* What is sent to many while a member forks reaches the child too. */
static void forks_add(struct thread_group *g, int sig)
{
	struct fork_in_progress *f;

	list_for_each(f, &g->forks, link)
		f->set |= LINUX_SIGMASK(sig);
}

int signal_send_pgrp(struct process_group *pgrp, int sig, const struct linux_siginfo *info)
{
	struct thread_group *g, *tmp;
	int err = -LINUX_ESRCH, e;

	list_for_each_safe(g, tmp, &pgrp->groups, pgrp_link) {
		forks_add(g, sig);
		e = signal_send_group(g, sig, info);
		if (err != 0)
			err = e;
	}
	return err;
}

int signal_force(struct task *task, int sig, const struct linux_siginfo *info)
{
	struct linux_sigaction *a = &task->sighand->action[sig - 1];
	struct sigqueue_entry *e;

	if ((task->sigmask & LINUX_SIGMASK(sig)) || a->handler == LINUX_SIG_IGN) {
		a->handler = LINUX_SIG_DFL;
		task->sigmask &= ~LINUX_SIGMASK(sig);
	}
	if (a->handler == LINUX_SIG_DFL)
		task->group->unkillable = false; /* init that can't go on must not spin */
	if (task->group->exiting)
		return 0;
	/* One that is pending already would lend the fault its details. */
	sigqueue_flush_set(&task->pending, LINUX_SIGMASK(sig));
	e = kzalloc(sizeof(*e));
	if (e != NULL) {
		if (info != NULL)
			e->info = *info;
		else
			siginfo_kernel(&e->info, sig);
		e->info.signo = sig;
		list_init(&e->link);
		list_add_tail(&task->pending.infos, &e->link);
	}
	task->pending.set |= LINUX_SIGMASK(sig);
	signalfd_notify(task, false);
	signal_wake(task, false);
	return 0;
}

int signal_send_timer(struct sigqueue_entry *e, struct task *task, struct thread_group *group, int sig)
{
	bool to_group = task == NULL;
	struct sigqueue *q;

	if (to_group)
		task = group->leader->exiting ? group_any_thread(group) : group->leader;
	if (task == NULL || task->exiting)
		return 1;
	masks_hold(task, to_group);
	if (!signal_prepare(task, sig, false))
		return 1;
	if (!list_empty(&e->link))
		return 1; /* not taken yet: an overrun */
	q = to_group ? &group->shared_pending : &task->pending;
	list_add_tail(&q->infos, &e->link);
	q->set |= LINUX_SIGMASK(sig);
	signalfd_notify(task, to_group);
	signal_choose(task, sig, to_group);
	return 0;
}

/* ---- kill(2) ---- */

int signal_may_send(const struct task *sender, const struct task *target, int sig)
{
	const struct cred *c = sender->cred, *t = target->cred;

	if (sender->group == target->group || c->euid == t->suid || c->euid == t->uid || c->uid == t->suid ||
	    c->uid == t->uid || task_capable(sender, LINUX_CAP_KILL))
		return 0;
	if (sig == LINUX_SIGCONT && sender->group->pgrp->session == target->group->pgrp->session)
		return 0;
	return -LINUX_EPERM;
}

int signal_kill_one(struct task *sender, struct thread_group *target, int sig, const struct linux_siginfo *info)
{
	int err;

	if (sig < 0 || sig > LINUX_NSIG)
		return -LINUX_EINVAL;
	err = signal_may_send(sender, target->leader, sig);
	if (err || sig == 0)
		return err;
	return signal_send_group(target, sig, info);
}

static int kill_pgrp(struct task *sender, struct process_group *pgrp, int sig, const struct linux_siginfo *info)
{
	struct thread_group *g, *tmp;
	int result = -LINUX_ESRCH, err;

	if (pgrp == NULL)
		return -LINUX_ESRCH;
	pgrp_get(pgrp);
	list_for_each_safe(g, tmp, &pgrp->groups, pgrp_link) {
		err = signal_kill_one(sender, g, sig, info);
		if (err == 0 && sig != 0)
			forks_add(g, sig);
		/* One success is a success; else the last failure tells. */
		if (result != 0)
			result = err;
	}
	pgrp_put(pgrp);
	return result;
}

static int kill_all(struct task *sender, int sig, const struct linux_siginfo *info)
{
	struct thread_group *g, *tmp;
	int result = 0, count = 0, err;

	list_for_each_safe(g, tmp, &kernel.groups, all_link) {
		if (g->pids != sender->group->pids || g == pid_space_init(g->pids) || g == sender->group)
			continue;
		count++;
		err = signal_kill_one(sender, g, sig, info);
		if (err == 0 && sig != 0)
			forks_add(g, sig);
		if (err != -LINUX_EPERM)
			result = err;
	}
	return count != 0 ? result : -LINUX_ESRCH;
}

int signal_wait(struct task *task, uint64_t set, uint64_t deadline, struct linux_siginfo *info)
{
	int sig, err = 0;

	set &= ~SIG_UNBLOCKABLE;
	sig = signal_dequeue(task, set, info);
	if (sig != 0 || deadline == 0)
		return sig != 0 ? sig : -LINUX_EAGAIN;
	/* Let through what is waited for, so that its arrival wakes us; its default must not happen. */
	task->real_sigmask = task->sigmask;
	signal_set_mask(task, task->sigmask & ~set);
	while (err == 0 && (signal_pending_set(task) & set) == 0)
		err = task_block(task, WAIT_INTERRUPTIBLE, deadline);
	signal_set_mask(task, task->real_sigmask);
	task->real_sigmask = 0;
	sig = signal_dequeue(task, set, info);
	if (sig != 0)
		return sig;
	return err == -LINUX_ETIMEDOUT ? -LINUX_EAGAIN : -LINUX_EINTR;
}

int signal_send_many(struct task *task, int32_t pid, int sig)
{
	struct linux_siginfo info;

	siginfo_from_task(&info, sig, LINUX_SI_USER, task);
	if (pid == -1)
		return kill_all(task, sig, &info);
	if (pid == INT32_MIN)
		return -LINUX_ESRCH;
	return kill_pgrp(task, pid == 0 ? task->group->pgrp : pgrp_find(-pid), sig, &info);
}
