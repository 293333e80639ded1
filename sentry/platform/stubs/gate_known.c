/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the shims are told so that they can do without us, and what they have done: a thread's box when it begins, its mask of
 * blocked signals and the actions that may be asked and set without a call, and who waits for a futex.
 *
 * The sentry keeps a copy of all it has said (platform_thread). What it reads back is the guest's word about what the guest could
 * have set by calls; what only the sentry says there is never read back. The counts of those who wait are in the read-only page.
 */
#include "sentry/platform/stubs/gate.h"
#include "sentry/platform/stubs/bell.h"

#include "sentry/host/host.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/stubs/stubs.h"

/* ---- futexes ---- */

void gate_futex_woke(void)
{
	__atomic_store_n(&gate_ro->futex_seq, gate_ro->futex_seq + 1, __ATOMIC_RELEASE);
}

void gate_locked(bool locks)
{
	__atomic_store_n(&gate_ro->locked, gate_ro->locked + (locks ? 1U : -1U), __ATOMIC_SEQ_CST);
}

uint16_t gate_futex_waits(struct task *task, uint64_t addr)
{
	uint32_t place;

	if (task->pt == NULL || task->pt->proc == NULL)
		return 0;
	place = gate_futex_place(task->pt->proc->mm->futex_salt, addr);
	__atomic_fetch_add(&gate_ro->futex_waiters[place], 1, __ATOMIC_SEQ_CST);
	return (uint16_t)place;
}

void gate_futex_waited(uint16_t counted)
{
	__atomic_fetch_sub(&gate_ro->futex_waiters[counted], 1, __ATOMIC_SEQ_CST);
}

/* ---- a thread's box ---- */

void gate_fresh(struct platform_thread *pt)
{
	struct gate_box *box = box_of(pt);

	box->known = 0;
	box->pending = 0;
	box->waited = 0;
	if (pt->bell != 0)
		errand_back(pt);
	box->bell = pt->bell;
	box->errand = box->idlers = 0;
	box->sigmask = pt->sigmask = 0;
	box->attention = pt->attention = 0;
	box->plain_actions = pt->plain_actions = 0;
	box->restorer = pt->restorer = 0;
	box->robust = box->clear_tid = 0;
	box->umask = PLATFORM_ASK;
	pt->words = (struct platform_words){.umask = PLATFORM_ASK};
	box->brk = box->stack_cur = box->stack_max = 0;
	pt->told = (struct platform_told){0};
	pt->salted = false;
	gate_stream_forget(pt);
	box->alt_sp = box->alt_size = box->alt_flags = pt->alt_sp = pt->alt_size = pt->alt_flags = 0;
	/* A thread that is still to come can't have rung; the last one's bell, if it died in the trap door, is not its. */
	if (pt->tid == 0)
		box->state = GATE_IDLE;
}

void gate_idlers(struct platform_thread *pt, bool any)
{
	if (box_of(pt)->idlers != any)
		box_of(pt)->idlers = any;
}

void gate_forget(struct task *task)
{
	if (task->pt != NULL)
		box_of(task->pt)->known = 0;
}

/* ---- the mask of blocked signals ---- */

/*
 * Each of these is said before every return to guest code, and nearly always the same: a line of the box that nobody writes
 * stays in both CPUs' caches. What the guest has written there meanwhile, where only we write, is its own affair.
 */
void gate_mask_out(struct task *task, uint64_t mask, const struct platform_words *words, bool attention, bool alone)
{
	struct platform_thread *pt = task->pt;
	struct gate_box *box;

	if (pt == NULL || !gate_on || pt->state == THREAD_DEAD)
		return;
	box = box_of(pt);
	if (pt->sigmask != mask)
		box->sigmask = pt->sigmask = mask;
	if (pt->attention != attention)
		box->attention = pt->attention = attention;
	if (pt->words.robust != words->robust)
		box->robust = pt->words.robust = words->robust;
	if (pt->words.clear_tid != words->clear_tid)
		box->clear_tid = pt->words.clear_tid = words->clear_tid;
	if (pt->words.umask != words->umask)
		box->umask = pt->words.umask = words->umask;
	if (pt->proc != NULL && !pt->salted) {
		box->futex_salt = pt->proc->mm->futex_salt;
		pt->salted = true;
	}
	if ((box->known >> GATE_KNOWN_MASK & 1) != alone)
		box->known ^= 1U << GATE_KNOWN_MASK;
	pt->mask_out = true;
}

/*
 * The end of the heap and the number are the thread's own affair: nobody else changes them while it is in guest code. The limits
 * anybody may change: who does takes away what is known (forget). That is back with the thread's next call, and these are said
 * anew then, before the thread goes on.
 */
bool gate_tell(struct task *task, const struct platform_told *told)
{
	struct platform_thread *pt = task->pt;
	struct gate_box *box;

	if (pt == NULL || !pt->mask_out)
		return false;
	box = box_of(pt);
	if (pt->told.brk != told->brk)
		box->brk = pt->told.brk = told->brk;
	if (pt->told.stack_cur != told->stack_cur || pt->told.stack_max != told->stack_max) {
		box->stack_cur = pt->told.stack_cur = told->stack_cur;
		box->stack_max = pt->told.stack_max = told->stack_max;
	}
	if (!pt->dealt) {
		pt->dealt = true;
		if (host_getrandom(box->random, GATE_RANDOM) == 0)
			box->nrandom = GATE_RANDOM;
	}
	return (box->known >> GATE_TID & 1) == 0;
}

/* All at once, for a program that asks for one asks for several, and most when they start. */
void gate_tell_ids(struct task *task, const struct platform_ids *ids)
{
	struct gate_box *box = box_of(task->pt);

	box->ids[GATE_PID] = ids->pid;
	box->ids[GATE_PPID] = ids->ppid;
	box->ids[GATE_TID] = ids->tid;
	box->ids[GATE_UID] = ids->uid;
	box->ids[GATE_EUID] = ids->euid;
	box->ids[GATE_GID] = ids->gid;
	box->ids[GATE_EGID] = ids->egid;
	box->known |= (1U << GATE_IDS) - 1;
}

void gate_plain_actions(struct task *task, uint64_t set, bool shared)
{
	struct platform_thread *pt = task->pt;
	uint64_t restorer = shared ? ACTIONS_SHARED : 0;

	if (pt == NULL || !pt->mask_out)
		return;
	if (pt->restorer != restorer)
		__atomic_store_n(&box_of(pt)->restorer, pt->restorer = restorer, __ATOMIC_RELAXED);
	if (pt->plain_actions != set)
		__atomic_store_n(&box_of(pt)->plain_actions, pt->plain_actions = set, __ATOMIC_RELAXED);
}

bool gate_actions_in(struct task *task, uint64_t *set, uint64_t *restorer)
{
	struct platform_thread *pt = task->pt;
	uint64_t plain;

	if (pt == NULL)
		return false;
	plain = *(volatile uint64_t *)&box_of(pt)->plain_actions;
	if (plain == pt->plain_actions)
		return false;
	/* Whatever the guest has written, it is what it could have set by calls; and if others share the actions, nothing. */
	*set = pt->restorer != ACTIONS_SHARED ? pt->plain_actions & ~plain : 0;
	*restorer = *(volatile uint64_t *)&box_of(pt)->restorer;
	pt->plain_actions = plain;
	pt->restorer = UINT64_MAX; /* said anew */
	return *set != 0;
}

void gate_altstack(struct task *task, uint64_t sp, uint64_t size, uint32_t flags)
{
	struct platform_thread *pt = task->pt;
	struct gate_box *box;

	if (pt == NULL || !pt->mask_out || (pt->alt_sp == sp && pt->alt_size == size && pt->alt_flags == flags))
		return;
	box = box_of(pt);
	box->alt_sp = pt->alt_sp = sp;
	box->alt_size = pt->alt_size = size;
	box->alt_flags = pt->alt_flags = flags;
}

bool gate_mask_look(const struct task *task, uint64_t *mask, struct platform_words *words)
{
	const struct platform_thread *pt = task->pt;

	if (pt == NULL || !pt->mask_out)
		return false;
	*mask = *(volatile uint64_t *)&box_of(pt)->sigmask;
	words->robust = *(volatile uint64_t *)&box_of(pt)->robust;
	words->clear_tid = *(volatile uint64_t *)&box_of(pt)->clear_tid;
	/* Shared, it is the sentry's alone, whatever is written there. */
	words->umask = pt->words.umask == PLATFORM_ASK ? PLATFORM_ASK : *(volatile uint32_t *)&box_of(pt)->umask & GATE_UMASK;
	return true;
}

bool gate_mask_hold(struct task *task, uint64_t *mask, struct platform_words *words)
{
	if (task->pt == NULL || !task->pt->mask_out)
		return false;
	task->pt->attention = 1;
	__atomic_exchange_n(&box_of(task->pt)->attention, 1, __ATOMIC_SEQ_CST);
	return gate_mask_look(task, mask, words);
}

bool gate_mask_in(struct task *task, uint64_t *mask, struct platform_words *words)
{
	if (!gate_mask_look(task, mask, words))
		return false;
	task->pt->mask_out = false;
	task->pt->sigmask = *mask;
	task->pt->words = *words;
	return true;
}

uint64_t gate_local_calls(const struct platform_thread *pt)
{
	return *(volatile uint64_t *)&box_of(pt)->local;
}

uint64_t gate_local_futexes(const struct platform_thread *pt)
{
	return *(volatile uint64_t *)&box_of(pt)->futexes;
}
