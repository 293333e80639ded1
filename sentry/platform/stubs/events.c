/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of stubs: the calls that reach the sentry, and what goes back. How they travel (seccomp notifications, ptrace
 * stops) is the transport's business: notify/notify.c, ptrace/ptrace.c.
 *
 *	call --> doorbell?  stub_op: hello (ptrace), trap, done, cloned; born: asked by who looks like one that is being born
 *	     \-> unknown thread? the first call of one that was born, with its token; else it ends
 *	     \-> stub text? must equal the next expected call: CONTINUE, at once or, if it is a report too, with the next action;
 *	     |               or a fork's clone, which is a trap: CONTINUE if that is the action
 *	     \-> guest      a plain event for the task that runs on this thread
 *
 * Who asks is decided by the host's thread id alone. A number, an instruction pointer or a mailbox word prove nothing: a
 * doorbell is believed only in a state that waits for it, a stub's call only if it equals what was commanded, word by
 * word, from the sentry's own memory. Anything else ends the guest process, which can only have broken itself.
 *
 * Interrupting a thread: a signal that comes before RECV makes it enter the trap door at once (the call is notified again
 * later); one that comes after RECV waits until our answer and is taken before any guest instruction. So "tgkill, then
 * SEND" turns a plain event into a full one without losing the call's result (needs WAIT_KILLABLE_RECV, Linux 5.19).
 */
#include "sentry/platform/stubs/stubs.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/base/alloc.h"
#include "sentry/base/log.h"
#include "sentry/host/host.h"
#include "sentry/kernel/coroutine.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/stubs/bell.h"

#include <string.h>
#include <sys/syscall.h>

#define KICK_SIGNAL LINUX_SIGSTKFLT
#define CLONE_PARENT 0x8000UL

const struct stub_transport *transport;
int stubs_running, stubs_waiting;
uint32_t stubs_exiting, stubs_idle;
struct list gate_ringers = LIST_INIT(gate_ringers);
unsigned gate_nringers;
static bool zygote_booted; /* it has dropped the descriptors it shared with us */

void stubs_before_sleep(void)
{
	transport->before_sleep();
}

bool stubs_wait(struct platform_thread *pt, const bool *flag)
{
	while (!*flag && pt->state != THREAD_DEAD)
		coroutine_suspend();
	return pt->state != THREAD_DEAD;
}

void stubs_expect(struct platform_thread *pt, int64_t nr, unsigned nargs, const uint64_t *args)
{
	struct expected_call *e;

	if (pt->expected_next == pt->nexpected)
		pt->expected_next = pt->nexpected = 0;
	if (pt->nexpected == pt->expected_cap) {
		unsigned cap = pt->expected_cap != 0 ? pt->expected_cap * 2 : 16;
		struct expected_call *bigger = krealloc(pt->expected, cap * sizeof(*bigger));

		/* Without the entry the call will not match and the guest process ends: closed. */
		if (bigger == NULL)
			return;
		pt->expected = bigger;
		pt->expected_cap = cap;
	}
	e = &pt->expected[pt->nexpected++];
	e->nr = nr;
	e->nargs = nargs;
	memcpy(e->args, args, nargs * sizeof(*args));
}

static bool equals(const struct expected_call *e, const struct stub_call *c)
{
	if (e->nr != c->nr)
		return false;
	for (unsigned i = 0; i < e->nargs; i++)
		if (e->args[i] != c->args[i])
			return false;
	return true;
}

static bool closes(int64_t nr)
{
	return nr == SYS_close || nr == SYS_close_range;
}

/* Nor may these be left out: closes, and the end of a window. */
static bool owed(const struct expected_call *e)
{
	return closes(e->nr) || (e->nr == SYS_mmap && e->args[0] >= STUB_WINDOWS && e->args[2] == LINUX_PROT_NONE);
}

/* Behind a command that failed the stub skips to the closes: so may we. What was skipped is never accepted later. */
static bool matches_expected(struct platform_thread *pt, const struct stub_call *c)
{
	for (unsigned i = pt->expected_next; i < pt->nexpected; i++) {
		if (equals(&pt->expected[i], c)) {
			pt->expected_next = i + 1;
			/* The last close, of a thread that is in guest code from then on. */
			if (i + 1 == pt->nexpected && pt->state == THREAD_GUEST && !pt->kicked)
				ktimer_cancel(&pt->kick_timer);
			return true;
		}
		if (!closes(c->nr) || owed(&pt->expected[i]))
			break;
	}
	return false;
}

bool stubs_owes_close(const struct platform_thread *pt)
{
	bool open = false;

	for (unsigned i = pt->expected_next; i < pt->nexpected; i++)
		open |= owed(&pt->expected[i]);
	return open;
}

/*
 * The thread's next event: what a failed batch left over is forgotten, but not a close. A stub never leaves one out; a guest
 * that did (by overwriting its stack) would keep our file, and its memory, in its table. It ends; whatever it still gets to say
 * before it has ended finds it owed.
 */
bool stubs_forget_expected(struct platform_thread *pt)
{
	if (stubs_owes_close(pt))
		return false;
	pt->expected_next = pt->nexpected = 0;
	return true;
}

/* The guest process did what no stub does. It can only have harmed itself; it ends. */
static void broke_protocol(struct platform_thread *pt, const struct stub_call *c)
{
	log_debug("thread %d: unexpected call %lld at %#llx (%#llx, %#llx, %#llx), state %d", c->tid, (long long)c->nr,
		  (unsigned long long)c->ip, (unsigned long long)c->args[0],
		  (unsigned long long)c->args[1], (unsigned long long)c->args[2],
		  pt != NULL ? (int)pt->state : -1);
	if (pt != NULL && pt->proc != NULL && pt->proc->pid != 0)
		proc_kill(pt->proc);
	else
		host_kill(c->tid, LINUX_SIGKILL);
}

void stubs_deliver(struct platform_thread *pt)
{
	pt->event_ready = true;
	if (pt->task != NULL)
		sched_ready(pt->task);
	else if (pt->pooled)
		pool_add(pt);
}

void stubs_action(struct platform_thread *pt, enum stub_action action, enum thread_state state)
{
	thread_set_state(pt, state);
	pt->event_ready = false;
	/* Its stack can be overwritten by another thread while it works for us: it may never come back. */
	if (state == THREAD_RUNNING || state == THREAD_CLONING)
		ktimer_set(&pt->kick_timer, loop_now() + COMMAND_DEADLINE);
	/* It goes on to guest code by itself, and may never be heard of again. */
	else if (state == THREAD_GUEST && !pt->kicked && stubs_owes_close(pt))
		ktimer_set(&pt->kick_timer, loop_now() + COMMAND_DEADLINE);
	else if (!pt->kicked)
		ktimer_cancel(&pt->kick_timer);
	/* It may not end itself either: then it would be one more than was allowed. See kick_overdue. */
	if (state == THREAD_EXITING)
		ktimer_set(&pt->kick_timer, loop_now() + COMMAND_DEADLINE);
	if (pt->by_box) {
		gate_answer(pt, action);
		return;
	}
	place_wake(pt);
	if (pt->held) {
		pt->held = false;
		if (pt->held_clone && action != STUB_FORK) {
			transport->answer(pt->call_id, STUB_INSTEAD(action));
			return;
		}
		box_of(pt)->result = action;
		transport->proceed(pt->call_id);
		return;
	}
	transport->answer(pt->call_id, action);
}

bool stubs_to_call(struct platform_thread *pt)
{
	if (stubs_has_call(pt))
		return true;
	if (pt->state == THREAD_GATE)
		return gate_to_call(pt);
	if (pt->state != THREAD_FULL)
		return false; /* it died while the last commands were carried out */
	pt->mailbox->result = 0;
	stubs_action(pt, STUB_CALL, THREAD_RUNNING);
	if (!stubs_wait(pt, &pt->event_ready))
		return false;
	pt->event_ready = false;
	return stubs_has_call(pt);
}

/* ---- the doorbell ---- */

/* A new process gets its mailbox. at: where it goes, or -1: it asks for it. */
static bool attach(struct platform_thread *pt, const struct stub_call *c, int at)
{
	uint64_t args[6];
	int fd = transport->pass_fd(c->id, pt->mailbox_fd, at, at < 0);

	if (fd < 0)
		return false; /* it died */
	args[0] = STUB_AREAS + pt->area * AREA_SIZE;
	args[1] = MAILBOX_SIZE;
	args[2] = 3;
	args[3] = 0x11;
	args[4] = (uint64_t)fd;
	args[5] = 0;
	stubs_expect(pt, SYS_mmap, 6, args);
	/* The last of it is its arrival: see reports(). */
	args[0] = (uint64_t)fd;
	stubs_expect(pt, SYS_close, 1, args);
	return true;
}

/*
 * The first call of whoever was born asks to die with us, and tells by an argument that means nothing to the host who it is. Nothing
 * of the guest's has run on it (STUB_CLONE_IP), so whoever doesn't come with a token of somebody who is waited for ends; a thread
 * with its process. What a new process maps next is there when the call has been made.
 */
static void introduces(const struct stub_call *c)
{
	struct platform_thread *pt = thread_claim(c->args[2]);
	bool thread = pt != NULL && pt->proc != NULL && pt->proc->pid != 0;

	if (pt == NULL || thread_bind(pt, c->tid) < 0) {
		if (pt != NULL && pt->proc != NULL)
			proc_kill(pt->proc);
		broke_protocol(NULL, c);
		/* Nobody will come any more: who waits for it goes on now, and frees it. */
		if (pt != NULL && pt->task != NULL)
			thread_died(pt);
		else if (pt != NULL)
			thread_free(pt);
		return;
	}
	thread_set_state(pt, THREAD_ATTACHED);
	/* From here on it may be the guest that runs, and never come. */
	if (!pt->spawned)
		ktimer_set(&pt->kick_timer, loop_now() + KICK_DEADLINE);
	if (thread)
		transport->answer(c->id, 0);
	else if (!pt->makes_process || !transport->chooses_number || attach(pt, c, STUB_ATTACH_FD))
		transport->proceed(c->id);
}

/* While the gate is on %gs points to the thread's gate_local. The guest's own base is 0 then, unless it has asked for one. */
static uint64_t gate_gs(const struct platform_thread *pt)
{
	return gate_on ? STUB_AREAS + pt->area * AREA_SIZE + AREA_LOCAL : 0;
}

static uint64_t guest_gs(const struct platform_thread *pt, uint64_t base)
{
	return base == gate_gs(pt) ? 0 : base;
}

/* Copies what the stub reports. Every word of it is the guest's. */
static void read_mailbox(struct platform_thread *pt)
{
	const volatile struct mailbox *m = pt->mailbox;
	struct platform_event *ev = &pt->event;
	uint64_t *regs = (uint64_t *)&pt->regs;

	_Static_assert(offsetof(struct regs, eflags) == 17 * 8, "regs begins in the frame's order");
	for (unsigned i = 0; i < STUB_NREGS; i++)
		regs[i] = m->regs[i];
	pt->regs.fs_base = m->fs_base;
	pt->regs.gs_base = guest_gs(pt, m->gs_base);
	pt->regs.orig_rax = UINT64_MAX;
	pt->fpstate = m->fpstate;
	pt->fpstate_size = m->fpstate_size;
	memset(ev, 0, sizeof(*ev));
	ev->full = true;
	ev->ip = pt->regs.rip;
	switch (m->reason) {
	case LINUX_SIGSYS:
		ev->kind = PLATFORM_SYSCALL;
		gate_counts.trapped++;
		ev->nr = (int)pt->regs.rax;
		pt->regs.orig_rax = pt->regs.rax;
		ev->args[0] = pt->regs.rdi;
		ev->args[1] = pt->regs.rsi;
		ev->args[2] = pt->regs.rdx;
		ev->args[3] = pt->regs.r10;
		ev->args[4] = pt->regs.r8;
		ev->args[5] = pt->regs.r9;
		break;
	case KICK_SIGNAL:
	case STUB_REASON_START:
		ev->kind = PLATFORM_INTERRUPTED;
		break;
	default:
		ev->kind = PLATFORM_FAULT;
		ev->sig = (int)(m->reason & 63);
		ev->code = (int)m->si_code;
		ev->addr = m->si_addr;
		ev->trapno = m->trapno;
		ev->error_code = m->error_code;
		if (ev->sig == 0)
			ev->sig = LINUX_SIGSEGV;
		break;
	}
}

static bool op_trap(struct platform_thread *pt, const struct stub_call *c)
{
	if ((pt->state != THREAD_GUEST && pt->state != THREAD_ATTACHED) ||
	    (pt->state == THREAD_ATTACHED && pt->expected_next < pt->nexpected) || !stubs_forget_expected(pt))
		return false;
	pt->call_id = c->id;
	pt->held = c->nr != SYS_getppid;
	pt->held_clone = c->nr == SYS_clone;
	thread_set_state(pt, THREAD_FULL);
	pt->kicked = false;
	ktimer_cancel(&pt->kick_timer);
	read_mailbox(pt);
	stubs_deliver(pt);
	return true;
}

/* What the thread was told to do is done. value: of a clone. */
static bool op_done(struct platform_thread *pt, const struct stub_call *c, enum thread_state from, int64_t value)
{
	if (pt->state != from || !stubs_forget_expected(pt))
		return false;
	ktimer_cancel(&pt->kick_timer);
	pt->call_id = c->id;
	pt->held = c->nr != SYS_getppid;
	pt->held_clone = c->nr == SYS_clone;
	pt->report_by_close = false;
	thread_set_state(pt, THREAD_FULL);
	pt->result = value;
	if (from == THREAD_RUNNING) {
		int64_t error = (int64_t) * (volatile uint64_t *)&pt->mailbox->result;

		if (error != 0)
			pt->result = error < 0 && error >= -4095 ? error : -LINUX_EFAULT;
	}
	stubs_deliver(pt);
	return true;
}

bool stubs_doorbell(struct platform_thread *pt, const struct stub_call *c)
{
	switch (c->args[1]) {
	case STUB_HELLO:
		if (pt->state != THREAD_ATTACHED || !pt->makes_process || transport->chooses_number || pt->nexpected != 0)
			return false;
		(void)attach(pt, c, -1);
		return true;
	case STUB_TRAP:
		/* A new process arrives by its close: see reported(). */
		return (pt->state != THREAD_ATTACHED || !pt->makes_process) && op_trap(pt, c);
	case STUB_DONE:
		return !pt->report_by_close && op_done(pt, c, THREAD_RUNNING, (int64_t)c->args[2]);
	case STUB_CLONED:
	case STUB_FORKED:
		return op_done(pt, c, THREAD_CLONING, (int64_t)c->args[2]);
	case STUB_GATE_WAIT:
		return gate_wait_call(pt, c);
	default:
		return false;
	}
}

/* A doorbell call. */
static void doorbell(struct platform_thread *pt, const struct stub_call *c)
{
	/* Known: the registers by which its trap door would know a birth are its guest's. Whatever it is at, nothing of that changes. Who was
	 * told to end may have done so, and its number be another's. */
	if (c->args[1] == STUB_BORN && pt != NULL && pt->state != THREAD_ATTACHED && pt->state != THREAD_EXITING) {
		transport->answer(c->id, 0);
		return;
	}
	if (pt != NULL) {
		/* One that is in the trap door, as its box says, and makes this call nevertheless is about to die; until then it
		 * is answered the way it came. */
		if (c->args[1] != STUB_GATE_WAIT && pt->state != THREAD_FULL)
			pt->by_box = false;
		if (stubs_doorbell(pt, c))
			return;
	}
	broke_protocol(pt, c);
}

/* No guest code ever ran in the zygote: it makes the calls it was told to make, or the sentry is broken. */
static void zygote_call(const struct stub_call *c)
{
	const uint64_t *a = c->args;
	static unsigned closes; /* answered by a filter of the host's we would not see them, whatever it answered */

	/* It forgets descriptors: all, or all but one in two calls, of which the first gives it a table of its own. */
	if (c->nr == SYS_close_range && !zygote_booted && (closes != 0 || a[2] == 2 /* CLOSE_RANGE_UNSHARE */)) {
		closes++;
		transport->proceed(c->id);
	} else if (closes != (platform == &ptrace_platform ? 2U : 1U)) {
		PANIC("the zygote has kept the sentry's descriptors: a seccomp filter of the host answers close_range");
	} else if (c->nr == SYS_clone && !zygote_waits() && a[0] == (CLONE_PARENT | LINUX_SIGCHLD) && a[1] == 0) {
		zygote_booted = true;
		zygote_ready(c->id);
	} else {
		PANIC("the zygote made call %lld", (long long)c->nr);
	}
}

_Noreturn void zygote_gone(int status)
{
	if (!zygote_booted)
		PANIC("the zygote has not begun, status %#x: does a seccomp filter of the host refuse close_range?", (unsigned)status);
	PANIC("the zygote has ended, status %#x", (unsigned)status);
}

/* From the stub's text. The vDSO lies above it, in the same region: its calls are the guest's. */
static bool from_stub(const struct stub_call *c)
{
	return c->ip >= STUB_BASE && c->ip - STUB_BASE <= STUB_TEXT_MAX;
}

/* The first call of whoever was born. */
static bool is_introduction(const struct stub_call *c)
{
	return from_stub(c) && c->nr == SYS_prctl && c->args[0] == 1 && c->args[1] == LINUX_SIGKILL;
}

/* What somebody may ask who isn't known. */
static bool of_a_new_one(const struct stub_call *c)
{
	return is_introduction(c) || (from_stub(c) && c->nr == SYS_getppid && c->args[1] == STUB_BORN);
}

/*
 * The thread of that number, if it still is: the host gives the number of one that has ended to another soon, also before we have
 * reaped its process. That one's own number stays until then, so a thread of it is one of that number in it.
 */
static struct platform_thread *caller_of(const struct stub_call *c)
{
	struct platform_thread *pt = thread_find(c->tid);

	if (pt == NULL || pt->proc == NULL || pt->proc->pid == 0)
		return pt;
	/* Within the process it can't be told by the number alone: but nobody who was told to end introduces itself. */
	if (pt->state == THREAD_EXITING && is_introduction(c) && thread_awaited(c->args[2])) {
		thread_ended(pt);
		return NULL;
	}
	if ((pt->state != THREAD_EXITING && !pt->proc->killed && !of_a_new_one(c)) || host_tgkill(pt->proc->pid, c->tid, 0) == 0)
		return pt;
	list_del(&pt->tid_link);
	return NULL;
}

/*
 * The call that was just found to be commanded is the last one and a report: it waits for the thread's next action, and is made
 * before that. So all that was to be closed is closed when the thread goes on.
 */
static bool reports(const struct platform_thread *pt)
{
	return pt->expected_next == pt->nexpected &&
	       ((pt->state == THREAD_ATTACHED && pt->makes_process) || (pt->state == THREAD_RUNNING && pt->report_by_close));
}

static bool reported(struct platform_thread *pt, const struct stub_call *c)
{
	pt->by_box = false;
	return pt->state == THREAD_ATTACHED ? op_trap(pt, c) : op_done(pt, c, THREAD_RUNNING, 0);
}

/* A clone as the stub makes it, at the one place for that: see STUB_CLONE_IP. Not of the zygote. */
static bool is_birth(const struct stub_call *c, uint64_t flags, uint64_t token)
{
	const uint64_t *a = c->args;

	return c->nr == SYS_clone && c->ip == STUB_CLONE_IP && a[0] == flags && a[2] == token && token != 0 && a[3] == STUB_BIRTH &&
	       a[4] == ~(uint64_t)STUB_BIRTH;
}

/*
 * A thread's trap door makes the clone that its guest's call asks for, without asking first: it waits as any trap does, and its
 * registers and everything else the mailbox says. The clone is made only if that is what the task is about to command.
 */
static bool traps_by_clone(const struct platform_thread *pt, const struct stub_call *c)
{
	return transport->chooses_number && pt->state == THREAD_GUEST && c->args[1] == 0 &&
	       is_birth(c, CLONE_PARENT | LINUX_SIGCHLD, pt->fork_token);
}

/*
 * The clone that the thread was told to make. The host may begin anew what a freezer has interrupted: so long as nobody was born that
 * we know of it may come again, a few times. Of several who come with the same token the first is let live.
 */
static bool clones(struct platform_thread *pt, const struct stub_call *c)
{
	struct birth *b = &pt->birth;

	if (pt->state != THREAD_CLONING || !is_birth(c, b->flags, b->token) || !thread_awaited(b->token) || b->tries == 0 ||
	    (b->area == 0 ? c->args[1] != 0 : c->args[1] - b->area >= AREA_SIZE))
		return false;
	b->tries--;
	return true;
}

void stubs_call(const struct stub_call *c)
{
	struct platform_thread *pt = caller_of(c);

	if (c->nr == SYS_getppid && c->args[0] == STUB_MAGIC && from_stub(c)) {
		/* A request that waits is no other way: the box has it. */
		if (c->args[1] != STUB_GATE_WAIT)
			gate_other_event();
		doorbell(pt, c);
		return;
	}
	gate_other_event();
	if (c->tid == zygote_tid) {
		zygote_call(c);
		return;
	}
	if (pt == NULL && is_introduction(c)) {
		introduces(c);
		return;
	}
	if (pt == NULL) {
		broke_protocol(NULL, c);
		return;
	}
	if (from_stub(c)) {
		if (traps_by_clone(pt, c)) {
			pt->by_box = false;
			if (!op_trap(pt, c))
				broke_protocol(pt, c);
			return;
		}
		if (c->nr == SYS_clone && clones(pt, c))
			transport->proceed(c->id);
		else if (!matches_expected(pt, c))
			broke_protocol(pt, c);
		else if (!reports(pt))
			transport->proceed(c->id);
		else if (!reported(pt, c))
			broke_protocol(pt, c);
		return;
	}
	if (pt->state != THREAD_GUEST || !stubs_forget_expected(pt)) {
		broke_protocol(pt, c);
		return;
	}
	pt->call_id = c->id;
	thread_set_state(pt, THREAD_PLAIN);
	ktimer_cancel(&pt->kick_timer); /* a kick on its way waits for our answer */
	pt->event.kind = PLATFORM_SYSCALL;
	pt->event.full = pt->event.gate = false;
	gate_counts.notified++;
	pt->event.nr = (int)c->nr;
	pt->event.ip = c->ip;
	memcpy(pt->event.args, c->args, sizeof(pt->event.args));
	stubs_deliver(pt);
}

/* ---- ops ---- */

static void stubs_next_event(struct task *task, struct platform_event *ev)
{
	struct platform_thread *pt = task->pt;

	if (pt == NULL || !stubs_wait(pt, &pt->event_ready)) {
		memset(ev, 0, sizeof(*ev));
		ev->kind = PLATFORM_DEAD;
		return;
	}
	pt->event_ready = false;
	*ev = pt->event;
}

static void store_regs(struct platform_thread *pt)
{
	volatile struct mailbox *m = pt->mailbox;
	const uint64_t *regs = (const uint64_t *)&pt->regs;

	for (unsigned i = 0; i < STUB_NREGS; i++)
		m->regs[i] = regs[i];
	m->fs_base = pt->regs.fs_base;
	m->gs_base = pt->regs.gs_base != 0 ? pt->regs.gs_base : gate_gs(pt);
	m->clean_fp = pt->clean_fp;
	m->fp_from = pt->fp_from;
	pt->clean_fp = false;
	pt->fp_from = 0;
}

/* The thread, whose call came by the gate, goes where its regs say: see jumps and begins. */
static void jump_reply(struct platform_thread *pt)
{
	bool begins = pt->begins;

	pt->jumps = pt->begins = false;
	if (!begins)
		box_of(pt)->xsave_at = pt->xsave_at;
	gate_reply(pt, begins ? GATE_BEGIN : GATE_JUMP, 0, THREAD_GUEST);
}

/*
 * A call that came by the gate. Commands that need descriptors need a call of the thread's to pass them with. False if the
 * event is a full one by now.
 */
static bool resume_gate(struct task *task, struct platform_thread *pt, int64_t value)
{
	if (pt->jumps) {
		if (pt->nqueue != 0) /* for one that begins: its errors are nobody's */
			(void)native_flush(task, pt);
		if (pt->state != THREAD_GATE)
			return true; /* it died */
		store_regs(pt);
		jump_reply(pt);
		return true;
	}
	if (pt->nqueue == 0) {
		gate_reply(pt, GATE_RETURN, value, THREAD_GUEST);
		return true;
	}
	while (!native_fits(pt))
		if (native_flush(task, pt) < 0)
			break;
	if (native_needs_call(pt) && !stubs_to_call(pt))
		return true; /* it died */
	if (pt->state != THREAD_GATE)
		return true;
	if (native_load(pt))
		gate_reply(pt, GATE_RUN_RETURN, value, THREAD_GUEST);
	else
		gate_reply(pt, GATE_RETURN, value, THREAD_GUEST);
	return true;
}

static void resume(struct task *task, struct platform_thread *pt, int64_t value)
{
	if (pt->proc->mm->windows_ended != 0 && !windows_settle(task, pt, value))
		return; /* it died */
	if (pt->state == THREAD_PLAIN) {
		thread_set_state(pt, THREAD_GUEST);
		if (pt->kicked)
			ktimer_set(&pt->kick_timer, loop_now() + KICK_DEADLINE);
		place_wake(pt);
		transport->answer(pt->call_id, value);
		return;
	}
	if (pt->state == THREAD_GATE && resume_gate(task, pt, value))
		return;
	if (!stubs_unpark(pt))
		return;
	invariant(pt->state == THREAD_FULL);
	while (!native_fits(pt))
		if (native_flush(task, pt) < 0)
			break;
	if (native_needs_call(pt) && !stubs_to_call(pt))
		return;
	if (pt->state == THREAD_DEAD)
		return;
	store_regs(pt);
	if (native_load(pt))
		stubs_action(pt, STUB_RUN_RESUME, THREAD_GUEST);
	else
		stubs_action(pt, STUB_RESUME, THREAD_GUEST);
}

static void kick_overdue(struct ktimer *t)
{
	struct platform_thread *pt = container_of(t, struct platform_thread, kick_timer);
	uint64_t now = loop_now();

	/* We have been stopped ourselves (a frozen cgroup, a suspended machine): so has the thread, and its time begins now. */
	if (now - t->deadline > NSEC_PER_SEC) {
		ktimer_set(t, now + KICK_DEADLINE);
		return;
	}
	if (pt->state == THREAD_NEW) {
		log_debug("a new thread never came");
		thread_died(pt);
		return;
	}
	/* One that was told to end: gone, unless somebody keeps it. */
	if (pt->state == THREAD_EXITING && pt->proc != NULL && pt->proc->pid != 0 &&
	    host_tgkill(pt->proc->pid, pt->tid, 0) < 0) {
		thread_ended(pt);
		return;
	}
	log_debug("thread %d did not come back (state %d): killed", pt->tid, (int)pt->state);
	if (pt->proc != NULL)
		proc_kill(pt->proc);
}

static void send_kick(struct platform_thread *pt)
{
	ktimer_set(&pt->kick_timer, loop_now() + KICK_DEADLINE);
	if (pt->kicked)
		return;
	pt->kicked = true;
	host_tgkill(pt->proc->pid, pt->tid, KICK_SIGNAL);
}

/* Commands with descriptors may sleep: who wants to interrupt the thread meanwhile must not be forgotten. */
static void stubs_resume(struct task *task, int64_t value)
{
	struct platform_thread *pt = task->pt;

	if (pt == NULL || pt->state == THREAD_DEAD)
		return;
	pt->resuming = true;
	pt->kick_wanted = false;
	resume(task, pt, value);
	pt->resuming = false;
	if (pt->kick_wanted && pt->state == THREAD_GUEST)
		send_kick(pt);
}

static struct regs *stubs_context(struct task *task, int64_t value)
{
	struct platform_thread *pt = task->pt;
	uint64_t ip;

	if (pt == NULL || pt->state == THREAD_DEAD)
		return NULL;
	if (!stubs_unpark(pt))
		return NULL;
	if (pt->state == THREAD_FULL)
		return &pt->regs;
	if (pt->state == THREAD_GATE) {
		/* No signal is needed: the shim's exit looks. */
		ip = 0;
		if (!pt->kicked) {
			pt->kicked = true;
			ktimer_set(&pt->kick_timer, loop_now() + KICK_DEADLINE);
		}
		__atomic_store_n(gate_pending(pt), 1, __ATOMIC_RELAXED);
		if (pt->jumps) {
			store_regs(pt);
			jump_reply(pt);
		} else {
			gate_reply(pt, GATE_RETURN, value, THREAD_GUEST);
		}
	} else {
		invariant(pt->state == THREAD_PLAIN);
		ip = pt->event.ip;
		thread_set_state(pt, THREAD_GUEST);
		pt->event_ready = false;
		send_kick(pt);
		transport->answer(pt->call_id, value);
	}
	if (!stubs_wait(pt, &pt->event_ready))
		return NULL;
	pt->event_ready = false;
	if (pt->state != THREAD_FULL)
		return NULL;
	/*
	 * Kernels before 6.17 may take the signal first although our answer was sent: they throw it away and would make the
	 * call again. It has been served; that is what the thread gets to see.
	 */
	if (ip != 0 && pt->regs.rip == ip - 2) {
		pt->regs.rip = ip;
		pt->regs.rax = (uint64_t)value;
	}
	return &pt->regs;
}

static bool stubs_is_full(const struct task *task)
{
	return task->pt != NULL && (task->pt->state == THREAD_FULL || task->pt->state == THREAD_PARKED);
}

/*
 * A call that waits for its answer sits on the listener, and every later notification pays for it. With many of them, one
 * that is going to wait on is moved: its thread enters the trap door and sleeps there on a word of its mailbox.
 */
static void stubs_park(struct task *task)
{
	struct platform_thread *pt = task->pt;

	/* It spins for microseconds and then waits in a call. One that doesn't come runs while it seems to sleep. */
	if (pt != NULL && (pt->state == THREAD_GATE || (pt->state == THREAD_FULL && pt->by_box))) {
		/* What it has got so far is there while it waits for more (MSG_WAITALL). */
		if (pt->nouts != 0)
			gate_flush(task);
		gate_blocked(pt);
		if (!pt->gate_waits && !pt->kick_timer.armed)
			ktimer_set(&pt->kick_timer, loop_now() + KICK_DEADLINE);
	}
	if (pt == NULL || transport->cheap_waiters == 0 || stubs_waiting <= transport->cheap_waiters ||
	    (pt->state != THREAD_PLAIN && pt->state != THREAD_FULL && !(pt->state == THREAD_GATE && pt->gate_waits)))
		return;
	if (platform->context(task, 0) == NULL || pt->nqueue != 0)
		return;
	/* Its box alone is no proof that it stands in the trap door: another thread may have rung. It must come for an answer. */
	if (!stubs_to_call(pt) || pt->state != THREAD_FULL)
		return;
	*(volatile uint32_t *)&pt->mailbox->unpark = 0;
	stubs_action(pt, STUB_PARK, THREAD_PARKED);
}

bool stubs_unpark(struct platform_thread *pt)
{
	if (pt->state != THREAD_PARKED)
		return pt->state != THREAD_DEAD;
	thread_set_state(pt, THREAD_RUNNING);
	ktimer_set(&pt->kick_timer, loop_now() + KICK_DEADLINE);
	__atomic_store_n(&pt->mailbox->unpark, 1, __ATOMIC_SEQ_CST);
	host_futex_wake(&pt->mailbox->unpark);
	if (!stubs_wait(pt, &pt->event_ready))
		return false;
	pt->event_ready = false;
	return true;
}

static void stubs_kick(struct task *task)
{
	struct platform_thread *pt = task->pt;

	if (pt == NULL)
		return;
	if (pt->resuming)
		pt->kick_wanted = true;
	else if (pt->state == THREAD_GUEST && pt->proc != NULL && !pt->event_ready)
		send_kick(pt);
}

void stubs_thread_timer_init(struct platform_thread *pt)
{
	ktimer_init(&pt->kick_timer, kick_overdue);
}

/* Both platforms are this one; what differs is the transport. */
#define STUBS_OPS \
	.next_event = stubs_next_event, \
	.resume = stubs_resume, \
	.context = stubs_context, \
	.is_full = stubs_is_full, \
	.park = stubs_park, \
	.wakes = gate_wakes, \
	.mm_queue = native_queue, \
	.mm_flush = native_flush, \
	.spawn = stubs_spawn, \
	.exec_commit = stubs_exec_commit, \
	.clone = stubs_clone, \
	.clone_waits = stubs_clone_waits, \
	.reclaim = stubs_reclaim, \
	.thread_exit = stubs_thread_exit, \
	.thread_kill = stubs_thread_kill, \
	.kick = stubs_kick, \
	.thread_mm = stubs_thread_mm, \
	.mm_get = stubs_mm_get, \
	.mm_put = stubs_mm_put, \
	.mm_read = stubs_mm_read, \
	.mm_write = stubs_mm_write, \
	.mm_readv = stubs_mm_readv, \
	.mm_writev = stubs_mm_writev, \
	.cmpxchg32 = native_cmpxchg32, \
	.fpstate_size = stubs_fpstate_size, \
	.fpstate_save = stubs_fpstate_save, \
	.fpstate_load = stubs_fpstate_load, \
	.set_affinity = stubs_set_affinity, \
	.mm_resident = stubs_mm_resident, \
	.mm_resident_last = stubs_mm_resident_last, \
	.thread_times = stubs_thread_times, \
	.shared_bytes = stubs_shared_bytes, \
	.vdso_base = stubs_vdso_base, \
	.copy_in = gate_copy_in, \
	.copy_string = gate_copy_string, \
	.copy_out = gate_copy_out, \
	.flush_out = gate_flush, \
	.window_pays = windows_pay, \
	.window_map = windows_map, \
	.window_read = windows_read, \
	.window_drop = windows_drop, \
	.window_end = windows_end, \
	.know = gate_know, \
	.forget = gate_forget, \
	.mask_out = gate_mask_out, \
	.mask_look = gate_mask_look, \
	.mask_hold = gate_mask_hold, \
	.mask_in = gate_mask_in, \
	.tell = gate_tell, \
	.tell_ids = gate_tell_ids, \
	.plain_actions = gate_plain_actions, \
	.actions_in = gate_actions_in, \
	.altstack = gate_altstack, \
	.call_regs = gate_call_regs, \
	.jump = gate_jump, \
	.futex_woke = gate_futex_woke, \
	.locked = gate_locked, \
	.futex_waits = gate_futex_waits, \
	.futex_waited = gate_futex_waited,

const struct platform_ops notify_platform = {
	.name = "notify",
	.guard_fd = native_guard_fd,
	STUBS_OPS
};

const struct platform_ops ptrace_platform = {
	.name = "ptrace",
	STUBS_OPS
};
