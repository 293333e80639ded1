/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate's two ways to wait: the sentry sleeps, or polls.
 *
 *	call that wakes us --> poll_waited_for --> polling_begin --> gate_turn: scan --> gate_take --> GATE_SERVE
 *	                                                               └--> worth_it? idle_too_long? --> polling_end
 *
 *	asleep    the sentry sleeps in poll(); the shim makes a doorbell call at once. On one CPU that is a notification.
 *	polling   the sentry looks at the boxes of all threads that run guest code; the shim spins. Two CPUs talk through one
 *	          cache line. It is begun after some calls that follow one another closely (bursts.c), and ended when nobody calls,
 *	          when answers come late (the guest's threads need the CPUs), when somebody else wants the CPU, or when too much arrives
 *	          by other ways.
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
#include "sentry/platform/stubs/gate_poll.h"
#include "sentry/platform/stubs/bursts.h"

#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/platform/internal.h"

#include <time.h>

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
void poll_served_at(uint64_t now)
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
void poll_spinning_is(bool polling)
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
	poll_spinning_is(false);
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
	poll_spinning_is(true);
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
		poll_spinning_is(false);
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
	poll_spinning_is(false);
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
void poll_waited_for(struct platform_thread *pt, bool asleep)
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
void poll_gave_up(void)
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
	poll_spinning_is(gate_polling());
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

void poll_futex_call(const struct platform_thread *pt)
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

void poll_futex_gone(const struct platform_thread *pt)
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
		if (now - pt->resumed_at < poll_state.quiet || !gate_rung(pt) || pt->proc->killed)
			continue;
		gate_to_be_written(box_of(pt));
		poll_state.calls++;
		poll_state.total++;
		poll_state.running += gate_nringers;
		waited = delay(pt);
		poll_state.waited += waited;
		if ((*(volatile uint64_t *)&box_of(pt)->asked >> GATE_IP_BITS << 6) & GATE_AT_ONCE)
			gate_distance(pt, waited, poll_state.ticks_us);
		if (!gate_take(pt, now))
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

	if (may_sleep)
		gate_idle_blocked();
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
