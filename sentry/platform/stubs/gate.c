/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate: calls that come over shared memory, without a context switch.
 *
 *	shim rings gate_box.state --> gate_scan (polling) or STUB_GATE_WAIT (asleep) --> take --> a plain event for the task
 *	handler: copy_from_guest --> gate_copy_in;  copy_to_guest --> gate_copy_out
 *	resume --> gate_reply: out-segments, value, state DONE; a doorbell call that waits is answered
 *
 * Everything in a box is hostile: number, arguments and segment tables are copied out once and checked in the copy; bytes of
 * segments are read as guest memory is, once for each copy_from_guest. A thread is in THREAD_GATE from the moment its request
 * is taken until it is answered; any other call it makes meanwhile, but STUB_BORN, breaks the protocol and ends its process.
 *
 * Two ways to wait, asleep and polling: gate_poll.c.
 */
#include "sentry/platform/stubs/gate.h"
#include "sentry/platform/stubs/bell.h"
#include "sentry/platform/stubs/gate_poll.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/futex.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/stubs/stubs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

bool gate_on = true;
struct gate_counts gate_counts;
int gate_slot_fds[GATE_SLOTS_MAX];
unsigned gate_slots;

struct gate_ro *gate_ro;

uint32_t *gate_pending(struct platform_thread *pt)
{
	return &box_of(pt)->pending;
}

static char *data_of(const struct platform_thread *pt)
{
	return (char *)pt->mailbox + GATE_DATA;
}

int gate_boot(void)
{
	int fd = memfd_create("gate", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, STUB_RO_SIZE) < 0)
		goto fail;
	gate_ro = mmap(NULL, STUB_RO_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (gate_ro == MAP_FAILED)
		goto fail;
	/* Nobody who maps it from now on can ever write it. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		goto fail;
	gate_ro->asleep = 1;
	gate_ro->far = 1; /* until it is known */
	gate_ro->futex_trial = 1;
	poll_spinning_is(false);
	stubs_fpstate_clean(gate_ro->clean_fp);
	for (unsigned nr = 0; nr < GATE_MAX_NR; nr++)
		gate_spec_fill(&gate_ro->spec[nr], (int)nr);
	return fd;
fail:
	return -errno;
}

/* ---- requests ---- */

#define NO_BYTES (GATE_SEG_PROBED | GATE_SEG_LATER)

/* One more segment, if it makes sense: whatever lies in the box later, its offset stays within the data. */
static void add_seg(struct platform_thread *pt, const struct gate_seg *seg)
{
	if (pt->nsegs == GATE_MAX_SEGS || seg->len == 0 || seg->addr > GUEST_END || seg->len > GUEST_END - seg->addr)
		return;
	if ((seg->flags & NO_BYTES) == 0) {
		if (seg->off > GATE_DATA_SIZE || seg->len > GATE_DATA_SIZE - seg->off)
			return;
		pt->data_used = MAX(pt->data_used, seg->off + ((seg->len + 7) & ~7U));
	}
	pt->segs[pt->nsegs++] = *seg;
}

/* The shim has filled all that the call's spec says, one behind the other. */
static void imply_segs(struct platform_thread *pt)
{
	const struct gate_spec *spec = &gate_ro->spec[(unsigned)pt->event.nr < GATE_MAX_NR ? (unsigned)pt->event.nr : GATE_MAX_NR - 1];

	for (unsigned i = 0; i < GATE_SPECS && spec->segs[i].kind != GATE_NONE; i++) {
		uint32_t used = MIN(pt->data_used, (uint32_t)GATE_DATA_SIZE);
		struct gate_seg seg = {.off = used};
		uint64_t len = 0;
		unsigned kind = gate_spec_seg(spec, i, pt->event.args, &seg.addr, &len);

		if (kind == GATE_PATH) {
			const char *nul = memchr(data_of(pt) + used, '\0', MIN(GATE_STRING_MAX, GATE_DATA_SIZE - used));

			if (nul == NULL)
				return; /* it has changed it since */
			len = (uint64_t)(nul - (data_of(pt) + used)) + 1;
			seg.flags = GATE_SEG_STRING;
		}
		seg.len = (uint32_t)len; /* at most GATE_DATA_SIZE */
		if (kind == GATE_IN || kind == GATE_INOUT || kind == GATE_FDSET || kind == GATE_PATH)
			add_seg(pt, &seg);
		seg.flags = GATE_SEG_PROBED;
		if (kind == GATE_OUT || kind == GATE_INOUT || kind == GATE_FDSET)
			add_seg(pt, &seg);
	}
}

/* What the shim brought, copied and checked. */
static void take_segs(struct platform_thread *pt, const volatile struct gate_box *box)
{
	uint32_t n = box->nsegs, outs = 0;

	pt->nsegs = 0;
	pt->data_used = 0;
	pt->nouts = 0;
	if (n == 0)
		return;
	gate_to_be_written(data_of(pt));
	if (n == GATE_IMPLIED)
		imply_segs(pt);
	for (uint32_t i = 0; i < n && n <= GATE_MAX_SEGS; i++) {
		struct gate_seg seg = {box->segs[i].addr, box->segs[i].len, box->segs[i].off, box->segs[i].flags, 0};

		add_seg(pt, &seg);
	}
	pt->data_used = MIN(pt->data_used, (uint32_t)GATE_DATA_SIZE);
	for (uint32_t i = 0; i < pt->nsegs; i++)
		if (pt->segs[i].flags & GATE_SEG_PROBED)
			outs += MIN(pt->segs[i].len, GATE_NEAR_BYTES);
	outs = MIN(outs, GATE_NEAR_BYTES);
	outs = MIN(outs, (uint32_t)GATE_DATA_SIZE - pt->data_used);
	for (uint32_t at = 0; at < outs; at += 64)
		gate_to_be_written(data_of(pt) + pt->data_used + at);
}

/* Tells the spinning shim how long it will take; only while we poll does it look. One whose call has slept doesn't spin. */
static void hint(struct platform_thread *pt, uint32_t state)
{
	if (gate_polling() && !pt->gate_waits && !pt->slept)
		__atomic_store_n(&box_of(pt)->state, state, __ATOMIC_RELEASE);
}

/*
 * Takes what has been rung: a call of a thread in guest code, the end of commands, or the trap door's bell. Another thread of
 * the guest can forge a ring for one that is somewhere else; it then believes to be served where it isn't, and what it does
 * of itself meanwhile breaks the protocol. False: it already has.
 */
bool gate_take(struct platform_thread *pt, uint64_t now)
{
	const volatile struct gate_box *box = box_of(pt);
	uint32_t kind = box->kind, nr = box->nr;
	uint64_t ip = box->asked & ((1UL << GATE_IP_BITS) - 1);

	pt->taken_at = now;
	if (pt->bell_rung)
		bell_heard(pt);
	pt->stream_off = pt->in_turn = pt->plain = false;
	/* Its exit from the shim looks for this; until then nothing is overdue. */
	if (pt->kicked) {
		ktimer_cancel(&pt->kick_timer);
		*gate_pending(pt) = 1;
	}
	if (kind == GATE_KIND_STUB) {
		struct stub_call c = {.id = pt->call_id, .tid = pt->tid, .nr = SYS_getppid};

		c.args[0] = STUB_MAGIC;
		c.args[1] = nr;
		c.args[2] = box->args[0];
		/* A new thread presents its token by a call. */
		if (c.args[1] == STUB_TRAP)
			c.args[2] = 0;
		else if (c.args[1] != STUB_DONE && c.args[1] != STUB_CLONED && c.args[1] != STUB_FORKED)
			return false;
		pt->softly = c.args[1] == STUB_FORKED && !pt->gate_waits;
		pt->by_box = true; /* in THREAD_FULL nothing is taken */
		hint(pt, GATE_TAKEN); /* contexts are copied about: it takes a while */
		return stubs_doorbell(pt, &c);
	}
	if (!stubs_forget_expected(pt))
		return false;
	if (pt->state == THREAD_GATE_RUNNING) {
		int64_t error = (int64_t) * (volatile uint64_t *)&pt->mailbox->result;

		ktimer_cancel(&pt->kick_timer);
		pt->result = error == 0 ? 0 : error < 0 && error >= -4095 ? error : -LINUX_EFAULT;
		thread_set_state(pt, THREAD_GATE);
		stubs_deliver(pt);
		return true;
	}
	if (pt->state != THREAD_GUEST)
		return false;
	if (kind == GATE_KIND_FAULT) {
		/* There was no room for a handler's frame, though there seemed to be. The call's result is lost with it. */
		thread_set_state(pt, THREAD_GATE);
		pt->event = (struct platform_event){.kind = PLATFORM_FAULT, .sig = LINUX_SIGSEGV, .code = LINUX_SI_KERNEL, .ip = ip};
		pt->nsegs = pt->nouts = 0;
		stubs_deliver(pt);
		return true;
	}
	/* Not where it is rung: the trap door's bell is no call by the gate. */
	if (pt->gate_waits)
		gate_counts.asleep++;
	else
		gate_counts.polled++;
	thread_set_state(pt, THREAD_GATE);
	pt->event.kind = PLATFORM_SYSCALL;
	pt->event.full = false;
	pt->event.gate = true;
	pt->event.nr = (int)(nr != GATE_LONG_NR ? nr : box->long_nr);
	pt->event.ip = ip;
	for (unsigned i = 0; i < 6; i++)
		pt->event.args[i] = box->args[i];
	if (pt->event.nr == SYS_futex) {
		pt->futex_seq = box->futex_seq;
		/* Shared ones are calls, wherever their threads run. */
		if (pt->event.args[1] & LINUX_FUTEX_PRIVATE_FLAG)
			poll_futex_call(pt);
	}
	take_segs(pt, box);
	stubs_deliver(pt);
	return true;
}

void gate_look(struct platform_thread *pt)
{
	/* We say that we look and then do; the stub says what it has to say and then looks whether we do. */
	__atomic_store_n(&pt->mailbox->aloud, 1, __ATOMIC_SEQ_CST);
	if (thread_may_ring(pt->state) && gate_rung(pt) && !gate_take(pt, __builtin_ia32_rdtsc()))
		proc_kill(pt->proc);
}

static void waits(struct platform_thread *pt, const struct stub_call *c)
{
	pt->call_id = c->id;
	pt->gate_waits = true;
	stubs_waiting++;
}

bool gate_wait_call(struct platform_thread *pt, const struct stub_call *c)
{
	bool guest = pt->state == THREAD_GUEST;

	if (pt->bell != 0)
		errand_back(pt);
	if (thread_may_ring(pt->state)) {
		if (!gate_rung(pt)) {
			/* Whoever waits for nothing would do so for ever, and never leave the shim. */
			if (GATE_STATE(__atomic_load_n(&box_of(pt)->state, __ATOMIC_ACQUIRE)) != GATE_DONE)
				return false;
			if (pt->bell_rung)
				bell_give_up(pt);
			transport->answer(c->id, 0); /* the answer was faster */
			return true;
		}
		waits(pt, c);
		if (guest)
			poll_gave_up();
		return gate_take(pt, __builtin_ia32_rdtsc());
	}
	if (pt->gate_waits)
		return false;
	switch (pt->state) {
	case THREAD_FULL:
		if (!pt->by_box)
			return false;
		break;
	case THREAD_GATE:
		break;
	case THREAD_GATE_WAITING:
		waits(pt, c);
		ktimer_cancel(&pt->kick_timer);
		thread_set_state(pt, THREAD_GATE);
		stubs_deliver(pt);
		return true;
	case THREAD_EXITING:
	case THREAD_PARKED:
		if (gate_rung(pt))
			return false;
		transport->answer(c->id, 0); /* its orders came while it was on its way here */
		return true;
	default:
		return false;
	}
	/* It sleeps in the host: however long the answer takes, nothing is overdue. The answer sets the timer of a kick. */
	ktimer_cancel(&pt->kick_timer);
	waits(pt, c);
	return true;
}

/* ---- answers ---- */

/* An idle thread is to sleep when all that its task's end has woken have been served: it may have to wake one of them. */
static struct platform_thread *idle;

void gate_idle_blocked(void)
{
	struct platform_thread *pt = idle;

	idle = NULL;
	if (pt != NULL)
		gate_blocked(pt);
}

void gate_idle(struct platform_thread *pt)
{
	gate_idle_blocked();
	idle = pt;
}

void gate_gone(struct platform_thread *pt)
{
	if (idle == pt)
		idle = NULL;
	poll_futex_gone(pt);
	bell_free(pt);
}

/* word: the box's state. */
static void done(struct platform_thread *pt, uint32_t word)
{
	uint32_t *state = &box_of(pt)->state;
	bool asleep = false, given = false;
	uint64_t now;

	if (idle == pt)
		idle = NULL;
	if (errand.waker != NULL)
		errand_tell(pt);
	/* An exchange waits for the line, a store doesn't. */
	if (pt->slept)
		asleep = __atomic_exchange_n(state, word, __ATOMIC_SEQ_CST) == GATE_ASLEEP && !pt->gate_waits;
	else
		__atomic_store_n(state, word, __ATOMIC_RELEASE);
	/* What the time costs nobody waits for, here. */
	now = __builtin_ia32_rdtsc();
	pt->service = now - pt->taken_at;
	pt->resumed_at = now;
	poll_served_at(now);
	if (asleep) {
		gate_ro->bells[pt->bell]++; /* [0] is nobody's */
		pt->bell_rung = pt->bell != 0;
		place_wake(pt);
		given = errand_give(pt);
	}
	poll_waited_for(pt, asleep && !given);
	if (asleep) {
		if (!given)
			bell_wake(pt);
	} else if (pt->gate_waits) {
		pt->gate_waits = false;
		stubs_waiting--;
		place_wake(pt);
		transport->answer(pt->call_id, 0);
	} else if (pt->softly) {
		place_wake(pt);
		host_futex_wake(state);
	}
	pt->softly = false;
}

void gate_reply(struct platform_thread *pt, enum gate_action action, int64_t value, int next_state)
{
	struct gate_box *box = box_of(pt);
	uint32_t nouts = 0;

	box->result = value;
	if (action == GATE_RETURN || action == GATE_RUN_RETURN || action == GATE_JUMP) {
		nouts = pt->nouts;
		memcpy(nouts <= GATE_NEAR_OUTS ? box->near_outs : box->outs, pt->outs, nouts * sizeof(pt->outs[0]));
		pt->nsegs = pt->nouts = 0;
	}
	pt->event_ready = false;
	thread_set_state(pt, (enum thread_state)next_state);
	if (next_state == THREAD_GATE_RUNNING || next_state == THREAD_GATE_WAITING)
		ktimer_set(&pt->kick_timer, loop_now() + COMMAND_DEADLINE);
	else if (next_state == THREAD_EXITING) /* as in stubs_action, and the next */
		ktimer_set(&pt->kick_timer, loop_now() + COMMAND_DEADLINE);
	else if (pt->kicked)
		ktimer_set(&pt->kick_timer, loop_now() + KICK_DEADLINE);
	else if (next_state == THREAD_GUEST && stubs_owes_close(pt))
		ktimer_set(&pt->kick_timer, loop_now() + COMMAND_DEADLINE);
	else
		ktimer_cancel(&pt->kick_timer);
	done(pt, GATE_DONE_WITH(action, nouts));
}

void gate_slow(struct platform_thread *pt)
{
	if (pt->state == THREAD_GATE || (pt->state == THREAD_FULL && pt->by_box))
		hint(pt, GATE_TAKEN);
}

void gate_blocked(struct platform_thread *pt)
{
	if (errand.waker != NULL)
		errand_tell(pt);
	if (gate_polling() && pt->bell == 0)
		(void)bell_new(pt);
	hint(pt, GATE_BLOCKED);
	pt->slept = true;
}

void gate_answer(struct platform_thread *pt, int64_t action)
{
	box_of(pt)->result = action;
	done(pt, GATE_DONE_WITH(0, 0));
}

bool gate_to_call(struct platform_thread *pt)
{
	if (pt->gate_waits)
		return true;
	gate_reply(pt, GATE_WAIT, 0, THREAD_GATE_WAITING);
	if (!stubs_wait(pt, &pt->event_ready))
		return false;
	pt->event_ready = false;
	return pt->state == THREAD_GATE;
}

/* ---- segments ---- */

#define LARGE_COPY 256U

static struct platform_thread *in_gate(const struct task *task)
{
	struct platform_thread *pt = task->pt;

	return pt != NULL && pt->state == THREAD_GATE ? pt : NULL;
}

static bool overlaps(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

/* Writes what was put aside for the shim to the process itself: something else needs to see it, or to go over it. */
static void flush_outs(struct platform_thread *pt)
{
	for (uint32_t i = 0; i < pt->nouts; i++)
		(void)!(pt->outs[i].flags & GATE_SEG_WINDOW ? windows_flush(pt, &pt->outs[i]) :
			stubs_mm_write(pt->proc->mm, pt->outs[i].addr, data_of(pt) + pt->outs[i].off, pt->outs[i].len));
	pt->nouts = 0;
}

static void flush_overlapping(struct platform_thread *pt, uint64_t addr, size_t len)
{
	for (uint32_t i = 0; i < pt->nouts; i++) {
		if (overlaps(pt->outs[i].addr, pt->outs[i].len, addr, len)) {
			flush_outs(pt);
			return;
		}
	}
}

void gate_flush(struct task *task)
{
	struct platform_thread *pt = in_gate(task);

	if (pt == NULL)
		return;
	flush_outs(pt);
	pt->nsegs = 0;
	gate_fetched_old(pt);
}

/* The call writes there: what came along from the same place is old. */
void gate_forget_overlapping(struct platform_thread *pt, uint64_t addr, size_t len)
{
	gate_fetched_old(pt);
	for (uint32_t i = 0; i < pt->nsegs; i++)
		if ((pt->segs[i].flags & NO_BYTES) == 0 && overlaps(pt->segs[i].addr, pt->segs[i].len, addr, len))
			pt->segs[i].len = 0;
}

/* The in-segment that holds addr and the len bytes behind it; later: GATE_SEG_LATER, or 0 if its bytes are there. */
static const struct gate_seg *find_in(const struct platform_thread *pt, uint64_t addr, size_t len, uint32_t later)
{
	for (uint32_t i = 0; i < pt->nsegs; i++) {
		const struct gate_seg *s = &pt->segs[i];

		if ((s->flags & NO_BYTES) == later && addr >= s->addr && addr - s->addr < s->len && len <= s->len - (addr - s->addr))
			return s;
	}
	return NULL;
}

bool gate_copy_in(struct task *task, void *dst, uint64_t addr, size_t len)
{
	struct platform_thread *pt = in_gate(task);
	const struct gate_seg *s;

	if (pt == NULL)
		return false;
	if (pt->nouts != 0)
		flush_overlapping(pt, addr, len);
	if (pt->event.nr == SYS_futex && pt->futex_seq != gate_ro->futex_seq)
		return false;
	s = find_in(pt, addr, len, 0);
	if (s == NULL) {
		s = find_in(pt, addr, len, GATE_SEG_LATER);
		return s != NULL && gate_fetch(pt, dst, addr, len, s->len - (addr - s->addr));
	}
	if (s->len >= GATE_AWAY_MIN)
		gate_far(pt); /* the shim has looked as well */
	if (len < LARGE_COPY)
		memcpy(dst, data_of(pt) + s->off + (addr - s->addr), len);
	else
		gate_copy_near(dst, data_of(pt) + s->off + (addr - s->addr), len);
	return true;
}

int64_t gate_copy_string(struct task *task, char *dst, uint64_t addr, size_t size)
{
	struct platform_thread *pt = in_gate(task);
	const struct gate_seg *s;
	const char *nul;
	size_t len;

	if (pt == NULL)
		return -1;
	s = find_in(pt, addr, 1, 0);
	if (s == NULL || (s->flags & GATE_SEG_STRING) == 0)
		return -1;
	len = MIN(size, (size_t)(s->len - (addr - s->addr)));
	memcpy(dst, data_of(pt) + s->off + (addr - s->addr), len);
	nul = memchr(dst, '\0', len);
	return nul != NULL ? nul - dst : -1;
}

/* Bytes of a segment that the other CPU reads better if they aren't in this one's caches. */
static bool goes_away(struct platform_thread *pt, size_t len)
{
	return len >= GATE_AWAY_MIN && gate_polls() && (len >= GATE_STREAM_MIN || gate_far(pt));
}

bool gate_copy_out(struct task *task, uint64_t addr, const void *src, size_t len)
{
	struct platform_thread *pt = in_gate(task);
	struct gate_seg *last;

	if (pt == NULL || pt->nsegs == 0)
		return false;
	gate_forget_overlapping(pt, addr, len);
	for (uint32_t i = 0; i < pt->nsegs; i++) {
		const struct gate_seg *s = &pt->segs[i];

		if ((s->flags & GATE_SEG_PROBED) == 0 || addr < s->addr || addr - s->addr >= s->len ||
		    len > s->len - (addr - s->addr))
			continue;
		if (len > GATE_DATA_SIZE - pt->data_used || (len >= GATE_STREAM_MIN && gate_may_stream(pt)))
			break;
		last = pt->nouts != 0 ? &pt->outs[pt->nouts - 1] : NULL;
		if (last != NULL && last->flags == 0 && last->addr + last->len == addr && last->off + last->len == pt->data_used) {
			last->len += (uint32_t)len;
		} else {
			if (pt->nouts == GATE_MAX_SEGS)
				break;
			pt->outs[pt->nouts++] =
				(struct gate_seg){.addr = addr, .len = (uint32_t)len, .off = pt->data_used};
		}
		if (len < LARGE_COPY)
			memcpy(data_of(pt) + pt->data_used, src, len);
		else if (goes_away(pt, s->len) && (uintptr_t)(data_of(pt) + pt->data_used) % 16 == 0)
			gate_copy_away(data_of(pt) + pt->data_used, src, len); /* or small parts of a large read, as of a pipe */
		else
			gate_copy(data_of(pt) + pt->data_used, src, len);
		pt->data_used += (uint32_t)len;
		return true;
	}
	/* It goes to the process now: what was put aside for the same place goes first. */
	flush_overlapping(pt, addr, len);
	return false;
}

/* For the answer, wherever the call may write. */
static bool put_out(struct platform_thread *pt, uint64_t addr, const void *src, size_t len)
{
	if (pt->nouts == GATE_MAX_SEGS || len > GATE_DATA_SIZE - pt->data_used)
		return false;
	pt->outs[pt->nouts++] = (struct gate_seg){.addr = addr, .len = (uint32_t)len, .off = pt->data_used};
	memcpy(data_of(pt) + pt->data_used, src, len);
	pt->data_used = MIN(pt->data_used + (((uint32_t)len + 7) & ~7U), (uint32_t)GATE_DATA_SIZE);
	return true;
}

/* ---- the short way into a signal's handler ---- */

bool gate_call_regs(const struct task *task, int64_t value, struct regs *regs)
{
	const struct platform_thread *pt = in_gate(task);
	const volatile struct gate_box *box;

	/* One that has been kicked will come by the trap door anyway. */
	if (pt == NULL || pt->kicked || pt->jumps || pt->nqueue != 0 || pt->event.kind != PLATFORM_SYSCALL)
		return false;
	box = box_of(pt);
	*regs = (struct regs){
		.rbx = box->saved[GATE_RBX],
		.rbp = box->saved[GATE_RBP],
		.r12 = box->saved[GATE_R12],
		.r13 = box->saved[GATE_R13],
		.r14 = box->saved[GATE_R14],
		.r15 = box->saved[GATE_R15],
		.rsp = box->saved[GATE_RSP],
		.eflags = box->saved[GATE_EFLAGS],
		.fs_base = box->saved[GATE_FS],
		.rdi = pt->event.args[0],
		.rsi = pt->event.args[1],
		.rdx = pt->event.args[2],
		.r10 = pt->event.args[3],
		.r8 = pt->event.args[4],
		.r9 = pt->event.args[5],
		.rax = (uint64_t)value,
		.rcx = pt->event.ip,
		.rip = pt->event.ip,
		.orig_rax = (uint64_t)(int64_t)pt->event.nr,
	};
	regs->r11 = regs->eflags; /* as the instruction leaves it */
	return true;
}

bool gate_jump(struct task *task, const struct regs *regs, uint64_t fpstate, uint64_t at, const void *frame, size_t len)
{
	struct platform_thread *pt = in_gate(task);
	uint8_t reserved[FPSTATE_RESERVED];
	uint32_t nouts, used, magic;

	if (pt == NULL || fpstate % 64 != 0)
		return false;
	nouts = pt->nouts;
	used = pt->data_used;
	magic = stubs_fpstate_reserved(reserved);
	if (!put_out(pt, at, frame, len) || !put_out(pt, fpstate + FPSTATE_RESERVED_AT, reserved, sizeof(reserved)) ||
	    !put_out(pt, fpstate + stubs_fpstate_size() - sizeof(magic), &magic, sizeof(magic))) {
		pt->nouts = nouts;
		pt->data_used = used;
		return false;
	}
	pt->regs = *regs;
	pt->jumps = true;
	pt->xsave_at = fpstate;
	return true;
}

/* ---- what the shim may answer itself ---- */

void gate_know(struct task *task, int nr, int64_t value)
{
	struct platform_thread *pt = in_gate(task);
	struct gate_box *box;
	const struct gate_spec *spec;

	if (pt == NULL || nr < 0 || (unsigned)nr >= GATE_MAX_NR)
		return;
	spec = &gate_ro->spec[nr];
	if (spec->class != GATE_CLASS_ID)
		return;
	box = box_of(pt);
	box->ids[spec->id] = value;
	box->known |= 1U << spec->id;
}
