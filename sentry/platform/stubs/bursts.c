/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How soon polling begins, and how long it goes on without a call.
 *
 *	call that wakes us --> bursts_call(): so many in a row? --> polling --> bursts_polled(): was that a long one?
 *	                          ^ bursts_need()                                            |
 *	                          └---------------- the last four, a bit each <--------------┘
 *	while polling: a call --> patience_earned();  none --> patience_spent(): lost? --> end
 *
 * A beginning and an end of polling cost as much as some two dozen calls that wake us: threads move to the other CPU, which sleeps,
 * and at the end we have looked in vain. So a burst is long or short: whether it pays. Where the last ones were long the next is
 * believed to be at its second call, and where they were short only when it has become long before our eyes: then no more than it
 * has cost already can be lost. In between it is four calls. Bursts that end before anybody polls are remembered as well, so that
 * a guest whose bursts have become longer is found out.
 *
 * Programs call, think, and call again. Each call that is polled earns a time for which we look for the next one in vain, and that
 * is saved for longer thoughts: a program that starts has one call in ten that comes more than 250 us after the one before, one in a
 * hundred 2 ms after. As the other CPU would do nothing else meanwhile, nobody loses by it (gate_poll.c sees to that: who else wants the CPU
 * gets it, and guest threads do). Who calls less often than a call is worth loses patience, and polling ends.
 *
 * Calls that sleep are counted like others if another thread's call has ended that: two that wake each other in turns may make no
 * others, or few (a thread that makes threads and joins them). What they sleep is a gap. Those with which a process begins are not:
 * it may be over before polling has paid, as what shells run is (gate_poll.c: YOUNG_CALLS).
 *
 * The guest controls all of it. What it gains by a good history is that we look in vain for its next burst, which it can have
 * by making some calls more as well; after that one its history is worse, and bursts for which polling was wrong count as short.
 */
#include "sentry/platform/stubs/bursts.h"

#define BURST_GAP_NS 400000 /* calls closer than this are one burst */
#define BURST_LEAST 4U      /* calls; fewer are none, if nobody has polled */
#define FEW_CALLS 8U        /* polling for fewer was in vain, whatever came before it */

#define PATIENCE_CALL_US 100   /* a call that is polled saves some 12 us, an eighth of what may be looked in vain for it */
#define PATIENCE_FIRST_US 2000 /* a thread that was moved may find its new CPU asleep */
#define PATIENCE_MOST_US 4000

static const uint8_t need[BURSTS_KNOWN + 1] = {24, 8, 4, 2, 1}; /* by how many were long */

unsigned bursts_need(const struct bursts *b)
{
	return need[__builtin_popcount(b->past % (1U << BURSTS_KNOWN))];
}

static void learn(struct bursts *b, bool is_long)
{
	b->past = (b->past << 1 | is_long) % (1U << BURSTS_KNOWN);
}

void bursts_left(struct bursts *b)
{
	b->row = b->refused = 0;
}

bool bursts_call(struct bursts *b, uint64_t now, uint64_t served, bool turn)
{
	/* What it takes to serve them isn't a gap between them; what they sleep is. */
	uint64_t gap = BURST_GAP_NS + (turn ? 0 : served);

	if (now - b->last < gap) {
		b->row++;
	} else {
		if (b->row + 1 >= BURST_LEAST)
			learn(b, b->row + 1 >= BURST_LONG);
		bursts_left(b);
	}
	b->last = now;
	return b->row - b->refused >= bursts_need(b);
}

void bursts_refused(struct bursts *b)
{
	b->refused = b->row;
}

void bursts_polled(struct bursts *b, unsigned calls, bool wrong)
{
	learn(b, !wrong && calls >= FEW_CALLS && b->row + calls + 1 >= BURST_LONG);
	bursts_left(b);
}

void patience_begin(struct patience *p, uint64_t ticks_us)
{
	*p = (struct patience){
		.left = PATIENCE_FIRST_US * ticks_us,
		.most = PATIENCE_MOST_US * ticks_us,
		.call = PATIENCE_CALL_US * ticks_us,
	};
}
