/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vfork's child on its parent's host thread.
 *
 * The parent sleeps until the child executes a program or ends, and the child runs on its memory, so the host thread that stands in
 * the parent's trap door may as well go on as the child: no host process is made, introduced and ended for it. What the parent
 * will want back, its registers and vector state, is kept here.
 *
 *	lend        parent's pt --> child's pt; the parent has none
 *	give back   the child has executed a program (and has a thread in another process), or ends: its pt --> parent's again, and the
 *	            parent is woken
 *	reclaim     the parent brings the thread into its trap door, wherever the child has left it, and puts its own state back
 *
 * A child may lend what it was lent: a thread has a stack of loans, the latest first. Each names who wants the thread back
 * (lender) and whose end gives it (borrower). Invariant: the latest loan's borrower is the thread's task. If a lender ends before
 * that, its loan ends, and the thread is due to the lender before it.
 *
 * So the threads of a host process may belong to tasks of several processes, and it lives until the last of them has gone (release
 * in thread.c). What the host kernel counts by process is told apart by asking before and after (task_settle_times).
 *
 * What the guest controls: all that the child runs, in memory that is its parent's too. It gets nothing that the parent hasn't.
 * Different from Linux: if a child ends while a vfork's child of its own runs, the grandparent waits for that one.
 */
#include "sentry/platform/stubs/stubs.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"

struct platform_loan {
	struct list link; /* platform_thread.loans; empty once it was given back */
	struct task *lender, *borrower; /* neither counted: their ends end the loan. No borrower once it was given back */
	struct platform_thread *pt;
	struct regs regs;
	uint64_t affinity; /* the borrower's, when it gave the thread back */
	size_t fp_len;
	uint8_t fp[]; /* fp_len bytes */
};

bool stubs_lend(struct task *parent, struct task *child, const struct regs *regs)
{
	struct platform_thread *pt = parent->pt;
	struct platform_loan *loan;

	invariant(pt->state == THREAD_FULL && parent->loan == NULL);
	if (pt->nqueue != 0 || pt->fpstate_size > GATE_FP_MAX)
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
	loan->pt = pt;
	loan->lender = parent;
	loan->borrower = child;
	list_add(&pt->loans, &loan->link);
	parent->loan = loan;
	parent->pt = NULL;
	pt->regs = *regs;
	pt->task = child;
	child->pt = pt;
	gate_fresh(pt);
	return true;
}

bool stubs_give_back(struct task *task, struct platform_thread *pt)
{
	struct platform_loan *loan;

	if (list_empty(&pt->loans))
		return false;
	loan = list_first(&pt->loans, struct platform_loan, link);
	invariant(loan->borrower == task && loan->lender->pt == NULL);
	list_del(&loan->link);
	loan->borrower = NULL;
	loan->affinity = task->affinity;
	/* What the child has not come to do nobody does. */
	pt->nqueue = 0;
	pt->jumps = pt->begins = false;
	pt->event_ready = false;
	pt->task = loan->lender;
	loan->lender->pt = pt;
	task_wake(loan->lender);
	return true;
}

void stubs_loan_end(struct task *task)
{
	struct platform_loan *loan = task->loan, *before;

	task->loan = NULL;
	if (loan->borrower != NULL && loan->link.next != &loan->pt->loans) {
		before = list_entry(loan->link.next, struct platform_loan, link);
		before->borrower = loan->borrower;
	}
	list_del(&loan->link);
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
		if (loan->affinity != parent->affinity) {
			stubs_set_affinity(pt, parent->affinity);
			pt->pinned = parent->affinity != UINT64_MAX;
		}
	}
	parent->loan = NULL;
	kfree(loan);
}
