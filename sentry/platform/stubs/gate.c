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
 * Two ways to wait:
 *
 *	asleep    the sentry sleeps in poll(); the shim makes a doorbell call at once. On one CPU that is a notification.
 *	polling   the sentry looks at the boxes of all threads that run guest code; the shim spins. Two CPUs talk through one
 *	          cache line. It is begun after some calls that follow one another closely (bursts.c), and ended when nobody calls,
 *	          when answers come late (the guest's threads need the CPUs), or when too much arrives by other ways.
 *
 * No wake-up is lost at the change: the shim spins for a bounded time only and then makes the doorbell call. While we poll, one
 * whose call sleeps waits on its bell first (bell.c), for a bounded time too.
 *
 * Polling takes a CPU: never with fewer than two, never under a CPU quota, and only with one of the host's slots
 * (gate_slot_fds: locked files), so that many sandboxes don't burn each other's time.
 *
 * The guest controls when it rings and what it says of its waiting (`waited`): it can make the sentry poll or sleep more
 * than is good for it, within what one CPU for one slot allows.
 */
#include "sentry/platform/stubs/gate.h"
#include "sentry/platform/stubs/bell.h"
#include "sentry/platform/stubs/bursts.h"

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
#include <time.h>
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

static void spinning_is(bool polling);

/* The line's ownership, which the answer needs, comes while the call is served. */
static void to_be_written(const void *line)
{
	__asm__ volatile("prefetchw %0" ::"m"(*(const char *)line));
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
	spinning_is(false);
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
	to_be_written(data_of(pt));
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
		to_be_written(data_of(pt) + pt->data_used + at);
}

/* The thread has rung, as far as its box says. */
static bool rung(const struct platform_thread *pt)
{
	return __atomic_load_n(&box_of(pt)->state, __ATOMIC_ACQUIRE) == GATE_REQUEST;
}

/* Tells the spinning shim how long it will take; only while we poll does it look. One whose call has slept doesn't spin. */
static void hint(struct platform_thread *pt, uint32_t state)
{
	if (gate_polling() && !pt->gate_waits && !pt->slept)
		__atomic_store_n(&box_of(pt)->state, state, __ATOMIC_RELEASE);
}

static void futex_call(const struct platform_thread *pt);
static void futex_gone(const struct platform_thread *pt);

/*
 * Takes what has been rung: a call of a thread in guest code, the end of commands, or the trap door's bell. Another thread of
 * the guest can forge a ring for one that is somewhere else; it then believes to be served where it isn't, and what it does
 * of itself meanwhile breaks the protocol. False: it already has. now: in ticks, a moment ago.
 */
static bool take(struct platform_thread *pt, uint64_t now)
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
			futex_call(pt);
	}
	take_segs(pt, box);
	stubs_deliver(pt);
	return true;
}

void gate_look(struct platform_thread *pt)
{
	/* We say that we look and then do; the stub says what it has to say and then looks whether we do. */
	__atomic_store_n(&pt->mailbox->aloud, 1, __ATOMIC_SEQ_CST);
	if (thread_may_ring(pt->state) && rung(pt) && !take(pt, __builtin_ia32_rdtsc()))
		proc_kill(pt->proc);
}

static void gave_up(void);
static void waited_for(struct platform_thread *pt, bool asleep);

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
		if (!rung(pt)) {
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
			gave_up();
		return take(pt, __builtin_ia32_rdtsc());
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
		if (rung(pt))
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

static void idle_blocked(void)
{
	struct platform_thread *pt = idle;

	idle = NULL;
	if (pt != NULL)
		gate_blocked(pt);
}

void gate_idle(struct platform_thread *pt)
{
	idle_blocked();
	idle = pt;
}

void gate_gone(struct platform_thread *pt)
{
	if (idle == pt)
		idle = NULL;
	futex_gone(pt);
	bell_free(pt);
}

static void served_at(uint64_t now);

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
	served_at(now);
	if (asleep) {
		gate_ro->bells[pt->bell]++; /* [0] is nobody's */
		pt->bell_rung = pt->bell != 0;
		place_wake(pt);
		given = errand_give(pt);
	}
	waited_for(pt, asleep && !given);
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

/* ---- polling ---- */

#define FIRST_IDLE_US 600   /* a thread may need so long to come back by the other CPU, which slept */
#define IDLE_US 250         /* polling goes on for so long without a call, whatever calls have earned: to begin it costs about as much */
#define LOST_US 50          /* who lets others run and comes back so late has taken their CPU */
#define QUIET_NS 100        /* who has been answered can't have fetched the answer and called again sooner */
#define PAYS_CALLS 16       /* and is paid for by so many */
#define YOUNG_CALLS 24      /* of a process say nothing yet */
#define PARALLEL_US 15      /* threads that run side by side call less often than this: they need both CPUs */
#define LOOK_AROUND_US 10   /* everything else is looked at so often while spinning */
#define BUSY_TURNS 32       /* and after so many calls */
#define SPIN_US 15          /* the shim's patience */
#define SLOW_US 7           /* mean wait that says: the CPUs are needed */
#define WINDOW 64           /* calls a judgement needs */
#define APART_WINDOW 8      /* ... to put two threads apart, where that has paid the last time */
#define APART_TURNS 3       /* ... or so many turns between two whose calls wake us, ... */
#define APART_GAP_US 200    /* ... each within so long */
#define PAUSE_US 2000       /* a pause longer than this is an end */
#define HOLDOFF_MIN_NS (2 * NSEC_PER_MSEC)
#define HOLDOFF_MAX_NS (20 * NSEC_PER_MSEC)

static struct {
	bool polling;
	uint64_t paused; /* ticks: since when nobody can ring, every thread's call being asleep; 0: not paused */
	int slot;
	unsigned cpus;
	uint64_t ticks_us;       /* time stamp counter per us */
	uint64_t quiet;          /* QUIET_NS in ticks */
	uint64_t last_request, last_look; /* ticks */
	unsigned turns, calls, others;
	unsigned futexes; /* of the calls, if they are of two threads */
	const struct platform_thread *pair[2]; /* whose they are */
	const struct platform_thread *turn[2]; /* whose private futex calls have woken us last */
	unsigned turn_count;
	bool apart;
	uint64_t turn_last; /* ticks */
	unsigned total;   /* calls since polling began */
	struct patience patience;
	unsigned running; /* sum, over the calls, of the threads that could run */
	uint64_t window_began; /* ticks */
	uint64_t waited;
	uint64_t holdoff, not_before; /* ns */
	bool fresh;
	struct bursts bursts;
} poll_state = {.slot = -1, .holdoff = HOLDOFF_MIN_NS, .bursts.past = BURSTS_AT_FIRST};

static uint64_t ticks(void)
{
	return __builtin_ia32_rdtsc();
}

/* Who has just been answered needs a while to call again, however long it took. */
static void served_at(uint64_t now)
{
	poll_state.last_request = now;
}

static void publish_cpu(void)
{
	uint32_t aux;

	__builtin_ia32_rdtscp(&aux);
	if (gate_ro->cpu != (aux & 0xfff)) /* the shims' copies of the line stay */
		gate_ro->cpu = aux & 0xfff;
}

static uint64_t ticks_per_us(void)
{
	static uint64_t ns0, t0;
	uint64_t ns = host_clock_ns(CLOCK_MONOTONIC), t = ticks();

	if (ns0 == 0) {
		ns0 = ns;
		t0 = t;
	}
	/* A first guess, better with each look. */
	return ns - ns0 < NSEC_PER_MSEC ? 2500 : MAX((t - t0) * 1000 / (ns - ns0), 1UL);
}

/*
 * Whether threads may spin for one another: not where they would have to share their CPU for that. One CPU is left to whom they
 * wait for, but where two have one each: there who comes to wait nearly always meets the other, who is about to leave.
 */
static void spinning_is(bool polling)
{
	unsigned free = poll_state.cpus - (polling && poll_state.cpus != 0 ? 1 : 0);

	if (gate_ro == NULL)
		return; /* it is made later */
	gate_ro->futex_spinners = free > 1 ? free - !poll_state.apart : 0;
	gate_ro->futex_spin = free > 1 ? (uint32_t)(GATE_FUTEX_SPIN_US * ticks_per_us()) : 0;
}

void gate_set_cpus(unsigned cpus)
{
	poll_state.cpus = cpus;
	spinning_is(false);
}

static bool slot_take(void)
{
	if (gate_slots == 0)
		return true; /* nobody counts them */
	for (unsigned i = 0; i < gate_slots; i++) {
		if (host_flock(gate_slot_fds[i], true) == 0) {
			poll_state.slot = (int)i;
			return true;
		}
	}
	return false;
}

static void slot_give(void)
{
	if (poll_state.slot >= 0)
		host_flock(gate_slot_fds[poll_state.slot], false);
	poll_state.slot = -1;
}

bool gate_polls(void)
{
	return poll_state.polling;
}

/* Paused too: who is woken then shall not land where we are about to poll. */
bool gate_polling(void)
{
	return poll_state.polling || poll_state.paused != 0;
}

static void window_begin(void)
{
	poll_state.calls = poll_state.others = poll_state.running = poll_state.futexes = 0;
	poll_state.waited = 0;
	poll_state.pair[0] = poll_state.pair[1] = NULL;
	poll_state.window_began = ticks();
}

static void polling_begin(uint64_t now)
{
	if (poll_state.cpus < 2 || now < poll_state.not_before || place_is_apart()) {
		bursts_refused(&poll_state.bursts);
		return;
	}
	if (!slot_take()) { /* others have them all: it isn't asked again with each call */
		poll_state.not_before = now + HOLDOFF_MIN_NS;
		bursts_refused(&poll_state.bursts);
		return;
	}
	poll_state.ticks_us = ticks_per_us();
	poll_state.quiet = poll_state.ticks_us * QUIET_NS / 1000;
	poll_state.polling = poll_state.fresh = true;
	poll_state.last_request = poll_state.last_look = ticks();
	poll_state.turns = 0;
	if (poll_state.paused == 0)
		poll_state.total = 0;
	poll_state.paused = 0;
	patience_begin(&poll_state.patience, poll_state.ticks_us);
	window_begin();
	gate_ro->spin = (uint32_t)(SPIN_US * poll_state.ticks_us);
	publish_cpu();
	spinning_is(true);
	__atomic_store_n(&gate_ro->asleep, 0, __ATOMIC_SEQ_CST);
	gate_counts.bursts++;
	place_polling(true);
}

/*
 * All threads wait for something of ours (a file from the gofer, most often): polling would only take the CPU from whoever
 * brings it. It goes on when it has come.
 */
static void polling_pause(void)
{
	errand_do();
	poll_state.polling = false;
	poll_state.paused = ticks();
	__atomic_store_n(&gate_ro->asleep, 1, __ATOMIC_SEQ_CST);
	slot_give();
}

static void polling_resume(void)
{
	bool late = ticks() - poll_state.paused > PAUSE_US * poll_state.ticks_us;

	if (!late && list_empty(&gate_ringers))
		return;
	poll_state.paused = 0;
	if (late || !slot_take()) {
		bursts_polled(&poll_state.bursts, poll_state.total, false);
		spinning_is(false);
		place_polling(false);
		return;
	}
	poll_state.polling = true;
	poll_state.last_request = poll_state.last_look = ticks();
	publish_cpu();
	__atomic_store_n(&gate_ro->asleep, 0, __ATOMIC_SEQ_CST);
}

static void polling_end(enum gate_end why)
{
	bool bad = why == GATE_END_LATE || why == GATE_END_CROWDED || why == GATE_END_PARALLEL;
	bool vain = why == GATE_END_AT_ONCE || (why == GATE_END_IDLE && poll_state.total < PAYS_CALLS); /* or the other CPU isn't free */

	gate_counts.ends[why]++;
	errand_do();
	poll_state.polling = false;
	spinning_is(false);
	place_polling(false);
	if (why == GATE_END_FUTEXES)
		bursts_left(&poll_state.bursts);
	else
		bursts_polled(&poll_state.bursts, poll_state.total, bad || why == GATE_END_AT_ONCE);
	__atomic_store_n(&gate_ro->asleep, 1, __ATOMIC_SEQ_CST);
	slot_give();
	if (bad || vain) {
		poll_state.not_before = loop_now() + poll_state.holdoff;
		poll_state.holdoff = MIN(poll_state.holdoff * 2, (uint64_t)HOLDOFF_MAX_NS);
	}
}

/*
 * A request has been served, and its thread must be woken if it waits in a doorbell call. That says that polling would help,
 * unless the call slept: then it had to be woken anyway, and if no other thread keeps the other CPU awake, it costs more to be
 * woken from here. (Two that wake each other in turns keep it awake.)
 */
static void waited_for(struct platform_thread *pt, bool asleep)
{
	bool slept = pt->slept;
	uint64_t now;

	pt->slept = false;
	if (!pt->gate_waits && !asleep)
		return;
	if (poll_state.polling) {
		if (slept && gate_nringers == 1)
			poll_state.others += 2;
		return;
	}
	if (slept && !pt->in_turn)
		return;
	/* A process that has only begun may soon be over, and who follows it is to be met by other ways than the gate. */
	if (pt->proc != NULL && pt->proc->calls < YOUNG_CALLS) {
		pt->proc->calls++;
		return;
	}
	now = loop_now();
	if (bursts_call(&poll_state.bursts, now, pt->service / ticks_per_us() * 1000, slept))
		polling_begin(now);
}

void gate_stalled(unused_arg struct platform_thread *pt)
{
	gate_counts.stalls++;
	poll_state.waited += 8 * SLOW_US * poll_state.ticks_us;
}

void gate_stream_pause(unused_arg struct gate_box *box)
{
	__builtin_ia32_pause();
}

uint64_t gate_ticks_us(void)
{
	return poll_state.ticks_us;
}

/* A thread made a doorbell call although we poll: it lost patience, or the CPU. */
static void gave_up(void)
{
	if (!poll_state.polling || poll_state.fresh)
		return;
	poll_state.calls++;
	poll_state.waited += 8 * SLOW_US * poll_state.ticks_us;
}

/* In its address space two were put apart, and it paid. */
static bool was_apart(const struct platform_thread *pt)
{
	return pt != NULL && pt->proc != NULL && pt->proc->mm->apart_paid;
}

void gate_apart(bool apart)
{
	poll_state.apart = apart;
	spinning_is(gate_polling());
}

/* Threads were put apart: those that have given up to spin shall try again. */
static void apart_tried(void)
{
	__atomic_fetch_add(&gate_ro->futex_trial, 1, __ATOMIC_RELAXED);
}

/* While we sleep: two threads of an address space in which it has paid to put two apart begin to take turns. */
static void take_turns(const struct platform_thread *pt)
{
	const struct platform_thread **turn = poll_state.turn;
	uint64_t now = ticks();

	if (now - poll_state.turn_last > APART_GAP_US * ticks_per_us() || (turn[0] != pt && turn[1] != pt)) {
		poll_state.turn_count = 0;
		turn[1] = turn[0] != pt ? turn[0] : NULL;
		turn[0] = pt;
	} else if (turn[0] != pt) {
		turn[1] = turn[0];
		turn[0] = pt;
		poll_state.turn_count++;
	}
	poll_state.turn_last = now;
	if (poll_state.turn_count < APART_TURNS)
		return;
	poll_state.turn_count = 0;
	if (!place_is_apart() && place_apart(turn))
		apart_tried();
}

static void futex_call(const struct platform_thread *pt)
{
	const struct platform_thread **pair = poll_state.pair;

	if (!gate_polling()) {
		if (was_apart(pt))
			take_turns(pt);
		return;
	}
	poll_state.futexes++;
	if (pair[0] == NULL)
		pair[0] = pt;
	else if (pair[0] != pt && pair[1] == NULL)
		pair[1] = pt;
	if (pair[0] != pt && pair[1] != pt)
		poll_state.futexes = 0; /* more than there are CPUs: no hope */
}

static void futex_gone(const struct platform_thread *pt)
{
	if (poll_state.turn[0] == pt || poll_state.turn[1] == pt) {
		poll_state.turn[0] = poll_state.turn[1] = NULL;
		poll_state.turn_count = 0;
	}
	if (poll_state.pair[0] != pt && poll_state.pair[1] != pt)
		return;
	poll_state.pair[0] = poll_state.pair[1] = NULL;
	poll_state.futexes = 0;
}

/* Two threads that wake each other by futexes don't need us, if each has a CPU: but we have one of them. */
static bool two_alone(void)
{
	if (poll_state.futexes * 2 <= poll_state.calls || poll_state.pair[1] == NULL || !place_apart(poll_state.pair))
		return false;
	apart_tried();
	polling_end(GATE_END_FUTEXES);
	return true;
}

/* Something came by another way: it costs more while we poll. */
void gate_other_event(void)
{
	poll_state.others++;
}

/* How long the thread's last answer took beyond the time it was served in: the CPUs' fault. As its box says, within reason. */
static uint64_t delay(const struct platform_thread *pt)
{
	uint64_t waited = (*(volatile uint64_t *)&box_of(pt)->asked >> GATE_IP_BITS) << 6;

	return waited > pt->service ? MIN(waited - pt->service, 8 * SLOW_US * poll_state.ticks_us) : 0;
}

/* All threads that may have rung. now: in ticks. */
static bool scan(uint64_t now)
{
	struct platform_thread *pt, *tmp;
	uint64_t waited;
	bool found = false;

	list_for_each_safe (pt, tmp, &gate_ringers, gate_link) {
		/* To look sooner would only take the line from who is about to write it. */
		if (now - pt->resumed_at < poll_state.quiet || !rung(pt) || pt->proc->killed)
			continue;
		to_be_written(box_of(pt));
		poll_state.calls++;
		poll_state.total++;
		poll_state.running += gate_nringers;
		waited = delay(pt);
		poll_state.waited += waited;
		if ((*(volatile uint64_t *)&box_of(pt)->asked >> GATE_IP_BITS << 6) & GATE_AT_ONCE)
			gate_distance(pt, waited, poll_state.ticks_us);
		if (!take(pt, now))
			proc_kill(pt->proc);
		found = true;
	}
	return found;
}

/* Judges the last calls. False: polling has ended. */
static bool worth_it(void)
{
	bool slow, crowded, parallel;
	uint64_t elapsed;

	if (poll_state.calls % APART_WINDOW == APART_WINDOW - 1 && was_apart(poll_state.pair[1]) && two_alone())
		return false;
	if (poll_state.calls + poll_state.others < WINDOW && poll_state.waited < WINDOW * SLOW_US * poll_state.ticks_us)
		return true;
	slow = poll_state.calls != 0 && poll_state.waited / poll_state.calls > SLOW_US * poll_state.ticks_us;
	crowded = poll_state.others > (poll_state.calls + poll_state.others) / 4;
	elapsed = ticks() - poll_state.window_began;
	parallel = poll_state.running * 4 > poll_state.calls * 7 && elapsed > poll_state.calls * PARALLEL_US * poll_state.ticks_us;
	if (two_alone())
		return false;
	window_begin();
	if (slow || crowded || parallel) {
		polling_end(slow ? GATE_END_LATE : crowded ? GATE_END_CROWDED : GATE_END_PARALLEL);
		if (parallel)
			place_spread();
		return false;
	}
	poll_state.holdoff = MAX(poll_state.holdoff / 2, (uint64_t)HOLDOFF_MIN_NS);
	return true;
}

/* Nobody has called for so long (ticks) that polling ends. Beyond IDLE_US only if it takes no CPU from one of the guest's threads. */
static bool idle_too_long(uint64_t quiet)
{
	return quiet > (poll_state.fresh ? FIRST_IDLE_US : IDLE_US) * poll_state.ticks_us && (gate_nringers >= poll_state.cpus || patience_lost(&poll_state.patience));
}

/* After IDLE_US, whoever else wants this CPU may have it. False: somebody took it. */
static bool nobody_else(uint64_t now)
{
	if (now - poll_state.last_request <= IDLE_US * poll_state.ticks_us)
		return true;
	host_sched_yield();
	return ticks() - now <= LOST_US * poll_state.ticks_us;
}

/* Nothing is to be done but to look for the next call. began: ticks. */
static enum gate_next look_on(uint64_t began)
{
	uint64_t t = began;

	for (;;) {
		for (int i = 0; i < 16; i++) {
			t = ticks(); /* before the look, whose line it takes as long to get */
			if (scan(t)) {
				patience_spent(&poll_state.patience, t - began);
				patience_earned(&poll_state.patience);
				poll_state.last_request = t;
				poll_state.fresh = false;
				return worth_it() ? GATE_SERVE : GATE_LOOK;
			}
			if (t - poll_state.last_request >= poll_state.quiet)
				__builtin_ia32_pause();
		}
		errand_late(t, poll_state.ticks_us);
		if (list_empty(&gate_ringers)) {
			polling_pause();
			return GATE_SLEEP;
		}
		if (t - poll_state.last_look <= LOOK_AROUND_US * poll_state.ticks_us)
			continue;
		poll_state.last_look = t;
		patience_spent(&poll_state.patience, t - began);
		if (idle_too_long(t - poll_state.last_request) || !nobody_else(t)) {
			polling_end(poll_state.fresh ? GATE_END_AT_ONCE : GATE_END_IDLE);
			return scan(t) ? GATE_SERVE : GATE_SLEEP;
		}
		publish_cpu();
		return GATE_LOOK;
	}
}

enum gate_next gate_turn(bool may_sleep)
{
	uint64_t t;

	if (idle != NULL && may_sleep)
		idle_blocked();
	if (poll_state.paused != 0)
		polling_resume();
	if (!poll_state.polling || !worth_it())
		return may_sleep ? GATE_SLEEP : GATE_LOOK;
	t = ticks();
	if (scan(t)) {
		patience_earned(&poll_state.patience);
		poll_state.last_request = t;
		poll_state.fresh = false;
		if (!worth_it())
			return GATE_LOOK;
		if (++poll_state.turns % BUSY_TURNS != 0)
			return GATE_SERVE;
		publish_cpu();
		errand_do();
		poll_state.last_look = poll_state.last_request;
		return GATE_LOOK;
	}
	if (!may_sleep) {
		/* Tasks are ready: who has made them so may be told to wake one of their threads. They may have long pieces of
		 * work, so that it is the time that counts, not the turns. */
		if (t - poll_state.last_look <= LOOK_AROUND_US * poll_state.ticks_us) {
			errand_late(t, poll_state.ticks_us);
			return GATE_SERVE;
		}
		poll_state.last_look = t;
		publish_cpu();
		errand_do();
		return GATE_LOOK;
	}
	return look_on(t);
}
