/* SPDX-License-Identifier: Apache-2.0 */
/* When polling begins, by made-up clocks: what is remembered of bursts, and how little can be lost by it. */
#include "sentry/platform/stubs/bursts.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define US 1000UL
#define CLOSE (20 * US)  /* a call that follows another one */
#define PAUSE (900 * US) /* ... that doesn't */

static struct bursts fresh(void)
{
	return (struct bursts){.past = BURSTS_AT_FIRST};
}

/* So many calls in a row after a pause; how many it took until polling should begin, 0: it should not. */
static unsigned burst(struct bursts *b, uint64_t *now, unsigned calls)
{
	*now += PAUSE;
	for (unsigned i = 1; i <= calls; i++) {
		if (bursts_call(b, *now, 2 * US, false))
			return i;
		*now += CLOSE;
	}
	return 0;
}

/* A burst that is polled as soon as that should be, until its end. As above. */
static unsigned polled(struct bursts *b, uint64_t *now, unsigned calls)
{
	unsigned began = burst(b, now, calls);

	if (began != 0)
		bursts_polled(b, calls - began, calls == began);
	return began;
}

Test(bursts, at_first_five_calls_in_a_row)
{
	struct bursts b = fresh();
	uint64_t now = 0;

	cr_assert(eq(u32, burst(&b, &now, 4), 0));
	cr_assert(eq(u32, burst(&b, &now, 5), 5));
}

Test(bursts, who_calls_rarely_is_never_polled)
{
	struct bursts b = fresh();
	uint64_t now = 0;

	for (unsigned i = 0; i < 100; i++)
		polled(&b, &now, 100);
	for (unsigned i = 0; i < 1000; i++) {
		now += PAUSE;
		cr_assert(not(bursts_call(&b, now, 2 * US, false)));
	}
}

Test(bursts, after_long_ones_at_the_second_call)
{
	struct bursts b = fresh();
	uint64_t now = 0;

	for (unsigned i = 0; i < 4; i++)
		cr_assert(ge(u32, polled(&b, &now, 200), 2));
	for (unsigned i = 0; i < 10; i++) {
		now += 3600000000UL * US; /* however long the pause */
		cr_assert(eq(u32, polled(&b, &now, 200), 2));
	}
}

Test(bursts, short_ones_are_soon_left_alone)
{
	struct bursts b = fresh();
	uint64_t now = 0;
	unsigned begun = 0;

	for (unsigned i = 0; i < 4; i++)
		polled(&b, &now, 200);
	for (unsigned i = 0; i < 1000; i++)
		begun += polled(&b, &now, 20) != 0;
	cr_assert(le(u32, begun, 4)); /* in vain */
	cr_assert(eq(u32, burst(&b, &now, 24), 0));
	cr_assert(eq(u32, burst(&b, &now, 33), 25), "one that is long is polled in the end");
}

Test(bursts, longer_ones_are_found_out_without_polling)
{
	struct bursts b = fresh();
	uint64_t now = 0;
	unsigned turn;

	for (unsigned i = 0; i < 10; i++)
		polled(&b, &now, 10);
	for (turn = 1; polled(&b, &now, 40) > 5; turn++)
		cr_assert(le(u32, turn, 4));
}

Test(bursts, polling_that_was_wrong_counts_as_short_however_long)
{
	struct bursts b = fresh();

	b.past = (1U << BURSTS_KNOWN) - 1;
	for (unsigned i = 0; i < BURSTS_KNOWN; i++)
		bursts_polled(&b, 1000000, true);
	cr_assert(eq(u32, bursts_need(&b), 24));
	b.past = (1U << BURSTS_KNOWN) - 1;
	b.row = 1000;
	bursts_polled(&b, 7, false);
	cr_assert(eq(u32, bursts_need(&b), 2), "hardly anybody was served");
}

Test(bursts, what_was_left_for_something_better_says_nothing)
{
	struct bursts b = fresh();

	for (unsigned i = 0; i < 10; i++)
		bursts_left(&b);
	cr_assert(eq(u32, bursts_need(&b), 4));
}

Test(bursts, who_cant_poll_is_asked_again_after_as_many_calls)
{
	struct bursts b = fresh();
	uint64_t now = 0;
	unsigned asked = 0;

	for (unsigned i = 0; i < 41; i++) {
		if (bursts_call(&b, now, 2 * US, false)) {
			asked++;
			bursts_refused(&b);
		}
		now += CLOSE;
	}
	cr_assert(eq(u32, asked, 10));
	polled(&b, &now, 1);
	cr_assert(eq(u32, b.past & 1, 1), "it was a long one all the same");
}

/* Each call sleeps until the other thread's: two wake-ups between them. */
Test(bursts, turns_may_be_further_apart_and_sleep_is_no_service)
{
	struct bursts b = fresh();
	uint64_t now = PAUSE;

	for (unsigned i = 0; i < 4; i++, now += 150 * US)
		cr_assert(not(bursts_call(&b, now, 140 * US, true)));
	cr_assert(bursts_call(&b, now, 140 * US, true));
	b = fresh();
	for (unsigned i = 0; i < 10; i++, now += 450 * US)
		cr_assert(not(bursts_call(&b, now, 10000 * US, true)), "slept for long, and that is no gap");
}

Test(bursts, service_is_no_gap)
{
	struct bursts b = fresh();
	uint64_t now = 10 * PAUSE;

	for (unsigned i = 0; i < 4; i++, now += 1050 * US)
		cr_assert(not(bursts_call(&b, now, 1000 * US, false)));
	cr_assert(bursts_call(&b, now, 1000 * US, false));
}

/* Looks for calls that come so many us apart; how many came until patience was lost, most at the most. */
static unsigned looked(struct patience *p, unsigned apart, unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		for (unsigned us = 0; us < apart; us += 10) {
			if (patience_lost(p))
				return i;
			patience_spent(p, 10 * 3);
		}
		patience_earned(p);
	}
	return most;
}

Test(bursts, patience_is_earned_by_calls)
{
	struct patience p;

	patience_begin(&p, 3);
	cr_assert(not(patience_lost(&p)));
	cr_assert(eq(u32, looked(&p, 90, 10000), 10000), "so often it goes on for ever");
	cr_assert(eq(u32, looked(&p, 3900, 1), 1), "and is worth a long thought");
	cr_assert(eq(u32, looked(&p, 300, 100000), looked(&p, 300, 0)), "which was all there was");
	patience_begin(&p, 3);
	cr_assert(lt(u32, looked(&p, 300, 10000), 16), "who calls so seldom isn't waited for");
	cr_assert(patience_lost(&p));
	patience_begin(&p, 3);
	for (unsigned i = 0; i < 1000000; i++)
		patience_earned(&p);
	cr_assert(eq(u32, looked(&p, 10000, 1), 0), "not however long");
}
