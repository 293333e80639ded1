/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the guest's threads run.
 *
 * A thread that calls wakes us, and we wake it. On one CPU that is a switch; between two CPUs each wake-up finds one that
 * sleeps, which in a virtual machine costs more than everything else about the call. The host's scheduler doesn't know that the
 * two take turns: it puts a new process on the least busy CPU, and a thread that is woken on an idle one.
 *
 *	asleep    threads are told to run where we run (narrow), as long as they take turns
 *	polling   with two CPUs they are told to run on the other one: ours is busy
 *	spread    they run anywhere: several were seen to run at the same time, or one for long
 *	apart     with two CPUs, two threads that wake each other by futexes have one each, and we sleep: they look at their words for
 *	          a while instead of calling. As long as they do: what futex calls of theirs end in the shim is compared with all that
 *	          come to us, every APART_NS. Whether it has paid is remembered of their address space, for the next time. At most for APART_MAX, for what ends in the shim is the guest's word
 *
 * Each is told when it is about to be woken, so in the long run nothing is: it is where it should be. What is cloned has its
 * parent's CPUs, so the parent is told first. Two things end it: another thread that had a CPU for PARALLEL_US when one is
 * woken (then all are spread, for longer each time that happens again soon), and a clock that runs while anything is narrow: a
 * thread that computes is let go, so that the host can balance it against other work, that of other sandboxes too.
 *
 * We stay as well: woken by a thread on our CPU we would be put on an idle one, and everybody would follow us there. But not all
 * the time, or two sandboxes that met on one CPU would never part: in one turn of the watch in four the scheduler may move us.
 * Once: where it has put us we stay again. Else we would be moved with each wake, to and fro, and all others with us.
 *
 * A thread whose guest has chosen its CPUs is left alone. The guest controls how its threads seem to run; it can have them on
 * one CPU or on several, as it could anyway. Machines with CPUs beyond the 64th are left to their scheduler.
 */
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/stubs/stubs.h"

#include <string.h>

#define PARALLEL_US 300
#define LONG_US 4000
#define TICKS_US 2500U /* of the time stamp counter, roughly */
#define TURNS 4     /* of the watch: in all but one of them we stay where we are */
#define FREE_TURN 0U /* ... in this one until we have been moved */
#define APART_NS (5 * NSEC_PER_MSEC) /* threads that are put apart are given so long to do without us */
#define APART_PAYS 2                /* so many calls end in the shim for one that doesn't: that is dearer than if we polled */
#define APART_LEAST 32U             /* calls that say something: a busy machine may have kept them from making any */
#define APART_MAX (100 * NSEC_PER_MSEC)
#define APART_GAP_MIN (20 * NSEC_PER_MSEC)
#define APART_GAP_MAX (1000 * NSEC_PER_MSEC)
#define HOLD_MIN (20 * NSEC_PER_MSEC)
#define HOLD_MAX (500 * NSEC_PER_MSEC)

static uint64_t cpu_mask; /* 0: nothing is placed */
static unsigned ncpus;
static struct list narrow = LIST_INIT(narrow); /* platform_thread.narrow_link */
static uint64_t zygote_cpus;
static uint64_t spread_until, hold = HOLD_MIN; /* ns */
static struct {
	uint64_t until, last;  /* ns: threads are apart so long, until we compare, and until it ends in any case; 0: they aren't */
	uint64_t after, gap;   /* ns: when it may be tried again, and what was added to that the last time */
	uint64_t ours, local;  /* calls when we compared the last time */
	const struct platform_thread *pair[2]; /* not NULL while they are apart */
} apart;
static struct ktimer watch;
static uint64_t our_cpus; /* where we may run, as far as we have said; 0: anywhere */
static unsigned turn;     /* of the watch */
static uint64_t free_from; /* where we were when we became free to be moved */

static void look(struct ktimer *t);

void place_init(unsigned cpus, uint64_t mask)
{
	ktimer_cancel(&watch); /* tests begin anew */
	ktimer_init(&watch, look);
	ncpus = cpus;
	memset(&apart, 0, sizeof(apart));
	gate_apart(false);
	/* With some beyond the 64th there is no mask that says "anywhere". */
	cpu_mask = cpus > 1 && (unsigned)__builtin_popcountll(mask) == cpus ? mask : 0;
}

/* The CPU we run on, as a mask; 0 if it has no place in one. */
static uint64_t our_cpu(void)
{
	uint32_t cpu;

	__builtin_ia32_rdtscp(&cpu);
	cpu &= 0xfff;
	return cpu < 64 ? cpu_mask & 1ULL << cpu : 0;
}

/* cpus 0: anywhere. */
static void place(struct platform_thread *pt, uint64_t cpus)
{
	/* One that has been told to end: its number may be another's soon. */
	if (pt->cpus == cpus || pt->pinned || pt->tid == 0 || pt->state >= THREAD_EXITING || pt->proc == NULL || pt->proc->killed)
		return;
	if (host_sched_setaffinity(pt->tid, cpus != 0 ? cpus : cpu_mask) < 0)
		return;
	pt->cpus = cpus;
	list_del(&pt->narrow_link);
	if (cpus != 0)
		list_add_tail(&narrow, &pt->narrow_link);
}

/* Ourselves. cpus 0: anywhere. */
static void stay(uint64_t cpus)
{
	if (our_cpus != cpus && host_sched_setaffinity(0, cpus != 0 ? cpus : cpu_mask) == 0)
		our_cpus = cpus;
}

static void place_all(uint64_t cpus)
{
	struct platform_thread *pt, *tmp;

	list_for_each_safe (pt, tmp, &narrow, narrow_link)
		place(pt, cpus);
}

static void watch_on(void)
{
	if (!watch.armed)
		ktimer_set(&watch, loop_now() + LONG_US * 1000);
}

void place_spread(void)
{
	uint64_t now = loop_now();

	hold = now < spread_until + hold ? MIN(hold * 2, (uint64_t)HOLD_MAX) : HOLD_MIN;
	spread_until = now + hold;
	place_all(0);
}

/* All calls that came to us, and the pair's futex calls that ended in the shim, as the guest says. */
static void count_calls(uint64_t *ours, uint64_t *local)
{
	*ours = gate_counts.polled + gate_counts.asleep + gate_counts.trapped + gate_counts.notified;
	*local = gate_local_futexes(apart.pair[0]) + gate_local_futexes(apart.pair[1]);
}

bool place_apart(const struct platform_thread *const pair[2])
{
	uint64_t now = loop_now();

	if (ncpus != 2 || cpu_mask == 0 || now < apart.after)
		return false;
	/* Where their guest has put them they stay; and of two address spaces neither sees the other's private futexes. */
	if (pair[0]->pinned || pair[1]->pinned || pair[0]->proc == NULL || pair[1]->proc == NULL ||
	    pair[0]->proc->mm != pair[1]->proc->mm)
		return false;
	place_spread();
	apart.until = now + APART_NS;
	apart.last = now + APART_MAX;
	apart.pair[0] = pair[0];
	apart.pair[1] = pair[1];
	count_calls(&apart.ours, &apart.local);
	gate_apart(true);
	return true;
}

static void apart_end(uint64_t at, uint64_t gap)
{
	apart.until = 0;
	apart.pair[0] = apart.pair[1] = NULL;
	apart.gap = gap;
	apart.after = at + gap;
	gate_apart(false);
}

bool place_is_apart(void)
{
	uint64_t now, ours, local;
	bool paid;

	if (apart.until == 0)
		return false;
	now = loop_now();
	if (now < apart.until)
		return true;
	count_calls(&ours, &local);
	if (now < apart.last && ours - apart.ours + (local - apart.local) < APART_LEAST) {
		apart.until = now + APART_NS;
		return true;
	}
	paid = local != apart.local && local - apart.local >= (ours - apart.ours) * APART_PAYS;
	apart.pair[0]->proc->mm->apart_paid = paid;
	if (!paid) {
		apart_end(now, apart.gap == 0 ? APART_GAP_MIN : MIN(apart.gap * 2, (uint64_t)APART_GAP_MAX));
		return false;
	}
	if (now >= apart.last) {
		apart_end(apart.last, APART_GAP_MIN); /* however late somebody asks: a pause is gap enough */
		return false;
	}
	apart.until = now + APART_NS;
	apart.ours = ours;
	apart.local = local;
	apart.gap = 0;
	return true;
}

/* Its own CPU while it and another are apart; 0: it isn't. */
static uint64_t own_side(struct platform_thread *pt)
{
	uint64_t lowest = cpu_mask & -cpu_mask;

	if ((pt != apart.pair[0] && pt != apart.pair[1]) || !place_is_apart())
		return 0;
	watch_on();
	stay(0);
	return pt == apart.pair[0] ? lowest : cpu_mask & ~lowest;
}

static bool ran_for(const struct platform_thread *pt, uint64_t us, uint64_t now)
{
	return pt->state == THREAD_GUEST && now - pt->resumed_at > us * TICKS_US;
}

/*
 * It has had a CPU while others had ours: it is in guest code for PARALLEL_US, and behind that its process's clock went on by as
 * much. The time alone would tell that of a thread that waits for the very CPU that we have put it on, as a parent does while
 * its vfork child goes through the first page faults of its program. The clock is read every PARALLEL_US at most. What other
 * threads of its process use counts for it.
 */
static bool ran_beside(struct platform_thread *pt, uint64_t now)
{
	bool again = pt->beside_at > pt->resumed_at;
	uint64_t used;

	if (!ran_for(pt, PARALLEL_US, now) || pt->proc == NULL || (again && now - pt->beside_at < PARALLEL_US * TICKS_US))
		return false;
	used = host_clock_ns(PROCESS_CPUCLOCK(pt->proc->pid, 2));
	pt->beside_at = now;
	if (again)
		return used > pt->beside_ns + PARALLEL_US * 1000;
	pt->beside_ns = used;
	return false;
}

/* No other thread has had the CPU for long. */
static bool in_turns(const struct platform_thread *pt)
{
	struct platform_thread *other;
	uint64_t now;

	if (spread_until != 0) {
		if (loop_now() < spread_until)
			return false;
		if (loop_now() > spread_until + hold)
			spread_until = 0;
	}
	if (gate_nringers <= 1)
		return true;
	now = __builtin_ia32_rdtsc();
	list_for_each (other, &gate_ringers, gate_link) {
		if (other != pt && ran_beside(other, now)) {
			place_spread();
			return false;
		}
	}
	return true;
}

/* Where who is woken or made now should be. */
static uint64_t wanted(const struct platform_thread *pt)
{
	uint64_t ours = our_cpu();

	if (ours == 0)
		return 0;
	if (gate_polls())
		return ncpus == 2 ? cpu_mask & ~ours : 0;
	if (!in_turns(pt)) {
		stay(0);
		return 0;
	}
	if (turn != FREE_TURN || ours != free_from)
		stay(ours);
	watch_on();
	return ours;
}

void place_wake(struct platform_thread *pt)
{
	uint64_t side;

	if (cpu_mask == 0 || (gate_polling() && !gate_polls()))
		return;
	side = own_side(pt);
	place(pt, side != 0 ? side : wanted(pt));
}

void place_birth(struct platform_thread *parent, struct platform_thread *child)
{
	uint64_t cpus;

	if (cpu_mask == 0)
		return;
	if (parent != NULL) {
		place_wake(parent);
		return;
	}
	cpus = wanted(NULL);
	if (zygote_cpus != cpus && host_sched_setaffinity(zygote_tid, cpus != 0 ? cpus : cpu_mask) == 0)
		zygote_cpus = cpus;
	child->cpus = zygote_cpus;
	if (child->cpus != 0)
		list_add_tail(&narrow, &child->narrow_link);
}

void place_inherit(const struct platform_thread *parent, struct platform_thread *child)
{
	child->pinned = parent->pinned;
	child->cpus = parent->cpus;
	if (child->cpus != 0)
		list_add_tail(&narrow, &child->narrow_link);
}

void place_drop(struct platform_thread *pt)
{
	list_del(&pt->narrow_link);
	pt->cpus = 0;
	if (pt == apart.pair[0] || pt == apart.pair[1])
		apart_end(loop_now(), APART_GAP_MIN);
}

void place_end(struct host_proc *proc)
{
	uint64_t ours = our_cpu();

	if (cpu_mask != 0 && ours != 0 && !gate_polling())
		(void)host_sched_setaffinity(proc->pid, cpu_mask & ~ours);
}

void place_polling(bool begin)
{
	uint64_t ours = our_cpu();

	if (cpu_mask == 0 || ours == 0)
		return;
	if (!begin)
		watch_on();
	else if (ncpus == 2)
		place_all(cpu_mask & ~ours);
}

bool place_packed(void)
{
	return cpu_mask != 0 && spread_until == 0;
}

/* Lets go who has run for long. */
static void look(unused_arg struct ktimer *t)
{
	struct platform_thread *pt, *tmp;
	uint64_t now = __builtin_ia32_rdtsc();
	bool more = false;

	if (gate_polling())
		return; /* its end begins this anew */
	list_for_each_safe (pt, tmp, &narrow, narrow_link) {
		if (ran_for(pt, LONG_US / 2, now))
			place(pt, 0);
		else
			more |= thread_may_ring(pt->state);
	}
	turn = (turn + 1) % TURNS;
	if (turn == FREE_TURN)
		free_from = our_cpu();
	if (!more || turn == FREE_TURN)
		stay(0);
	if (more)
		watch_on();
}
