/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vfork's child on its parent's host thread.
 *
 * The parent sleeps until the child executes a program or ends, and the child runs on its memory, so the host thread that stands in
 * the parent's trap door may as well go on as the child: no host process is made, introduced and ended for it. What the parent
 * will want back, its registers and vector state, is kept here.
 *
 *	lend        parent's pt --> child's pt; the parent has none
 *	give back   the child has executed a program (and has a thread in another process), or ends, or moves out: its pt --> parent's
 *	            again, and the parent is woken
 *	reclaim     the parent, once its child has left its memory, brings the thread into its trap door, wherever the child has left
 *	            it, and puts its own state back
 *	move out    the child makes a thread: it gets a host process of its own first, as a vfork's child has elsewhere
 *
 * So all threads of a host process that have tasks are of one thread group, as ever: the parent has no other thread (fork.c), a
 * child that has more than one has moved out, and a child of such a child is not lent what its parent has to give back. What the
 * host counts by process is told apart by asking before and after (task_settle_times).
 *
 * If the parent ends first the loan ends, and the child keeps what it has. If the host kills the process, or the child breaks the
 * stub's protocol, both end.
 *
 * What the guest controls: all that the child runs, in memory that is its parent's too. It gets nothing that the parent hasn't.
 * The host is told which CPUs the child has chosen when it has a thread of its own.
 */
#include "sentry/platform/stubs/stubs.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"

struct platform_loan {
	struct platform_thread *pt; /* NULL once it was given back */
	struct task *lender, *borrower; /* neither counted: their ends end the loan */
	struct regs regs;
	uint64_t affinity; /* the lender's when it lent */
	size_t fp_len;
	uint8_t fp[]; /* fp_len bytes */
};

bool stubs_lend(struct task *parent, struct task *child, const struct regs *regs)
{
	struct platform_thread *pt = parent->pt;
	struct platform_loan *loan;

	invariant(pt->state == THREAD_FULL && parent->loan == NULL);
	if (pt->loan != NULL || pt->nqueue != 0 || pt->fpstate_size > GATE_FP_MAX)
		return false;
	loan = kmalloc(sizeof(*loan) + pt->fpstate_size);
	if (loan == NULL)
		return false;
	if (stubs_fpstate_keep(pt, loan->fp) < 0) {
		kfree(loan);
		return false;
	}
	loan->fp_len = pt->fpstate_size;
	loan->regs = pt->regs;
	loan->affinity = parent->affinity;
	loan->pt = pt;
	loan->lender = parent;
	loan->borrower = child;
	pt->loan = parent->loan = loan;
	parent->pt = NULL;
	pt->regs = *regs;
	pt->task = child;
	child->pt = pt;
	gate_fresh(pt);
	gate_counts.lent++;
	return true;
}

bool stubs_give_back(struct task *task, struct platform_thread *pt)
{
	struct platform_loan *loan = pt->loan;

	if (loan == NULL)
		return false;
	invariant(loan->borrower == task && loan->pt == pt && loan->lender->pt == NULL);
	pt->loan = NULL;
	loan->pt = NULL;
	/* What the child has not come to do nobody does. */
	pt->nqueue = 0;
	pt->jumps = pt->begins = false;
	pt->event_ready = false;
	pt->task = loan->lender;
	loan->lender->pt = pt;
	task_wake(loan->lender);
	return true;
}

int stubs_move_out(struct task *task)
{
	struct platform_thread *old = task->pt;
	struct regs regs = old->regs;
	int err;

	if (old->state != THREAD_FULL)
		return -LINUX_EAGAIN;
	err = stubs_clone(task, task, PLATFORM_CLONE_VM, &regs);
	if (err < 0)
		return err;
	/* While the host cloned, the lender may have ended: then the old process, which has no task now, goes too. */
	if (!stubs_give_back(task, old))
		stubs_thread_kill(old);
	if (task->affinity != UINT64_MAX)
		stubs_set_affinity(task->pt, task->affinity);
	return 0;
}

void stubs_loan_end(struct task *task)
{
	struct platform_loan *loan = task->loan;

	task->loan = NULL;
	if (loan->pt != NULL) {
		loan->pt->loan = NULL;
		if (loan->borrower->affinity != loan->affinity)
			stubs_set_affinity(loan->pt, loan->borrower->affinity);
	}
	kfree(loan);
}

void stubs_reclaim(struct task *parent)
{
	struct platform_thread *pt = parent->pt;
	struct platform_loan *loan = parent->loan;

	if (platform->context(parent, 0) != NULL) {
		pt->regs = loan->regs;
		stubs_fpstate_put_back(pt, loan->fp, loan->fp_len);
		gate_fresh(pt);
		if (loan->affinity != parent->affinity)
			stubs_set_affinity(pt, parent->affinity);
	}
	stubs_loan_end(parent);
}
