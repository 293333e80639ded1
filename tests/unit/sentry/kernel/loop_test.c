/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of the loop, whose sleep is ended by a descriptor that is set only to be earlier: none fires before its time, all do in
 * order, whatever is set and cancelled meanwhile, near or far, and a sleep without any isn't ended by one that was cancelled.
 */
#include "sentry/kernel/loop.h"

#include "sentry/host/host.h"
#include "sentry/kernel/loop_internal.h"
#include "sentry/platform/stubs/stubs.h"

#include <criterion/criterion.h>

static void no_stubs(void)
{
}
static const struct stub_transport nobody = {.before_sleep = no_stubs};

static struct timed {
	struct ktimer timer;
	uint64_t at;
	unsigned fired;
} timed[5];
static uint64_t last_at;
static struct deferred look; /* the turn in which a timer fires doesn't sleep: we look what came */
static bool looking;

static void looked(struct deferred *d)
{
	(void)d;
	looking = false;
}

static void fire(struct ktimer *t)
{
	struct timed *x = container_of(t, struct timed, timer);

	cr_assert_geq(loop_now(), x->at, "before its time");
	cr_assert_geq(x->at, last_at, "out of order");
	last_at = x->at;
	x->fired++;
	if (!looking)
		loop_defer(&look, looked);
	looking = true;
}

static void set(unsigned i, uint64_t us)
{
	timed[i].at = loop_now() + us * 1000;
	ktimer_set(&timed[i].timer, timed[i].at);
}

static void setup(void)
{
	cr_assert_eq(loop_init(), 0);
	transport = &nobody;
	for (unsigned i = 0; i < ARRAY_LEN(timed); i++)
		ktimer_init(&timed[i].timer, fire);
}

static void until_fired(unsigned i)
{
	unsigned n = timed[i].fired;

	while (timed[i].fired == n)
		loop_turn();
}

Test(loop, timers_fire_in_order_and_not_before, .init = setup)
{
	static const uint64_t us[] = {30000, 50, 5000, 150, 12000};

	for (unsigned turn = 0; turn < 5; turn++) {
		for (unsigned i = 0; i < ARRAY_LEN(us); i++)
			set(i, us[(i + turn) % ARRAY_LEN(us)]);
		for (unsigned i = 0; i < ARRAY_LEN(us); i++)
			while (timed[i].timer.armed)
				loop_turn();
		for (unsigned i = 0; i < ARRAY_LEN(us); i++)
			cr_assert_eq(timed[i].fired, turn + 1);
	}
}

Test(loop, a_nearer_timer_that_comes_later_fires_first, .init = setup)
{
	set(0, 3600 * 1000000ULL);
	set(1, 2000);
	until_fired(1); /* the descriptor was set to that, and then to the other's time */
	set(2, 300);
	until_fired(2);
	set(3, 20);
	until_fired(3);
	cr_assert_eq(timed[0].fired, 0);
}

static unsigned turns_until_fired(unsigned i)
{
	unsigned n = timed[i].fired, turns = 0;

	for (; timed[i].fired == n; turns++)
		loop_turn();
	return turns;
}

Test(loop, what_was_cancelled_ends_a_sleep_for_nothing_once, .init = setup)
{
	unsigned n;

	set(0, 50000);
	set(1, 1000);
	until_fired(1);
	set(3, 3000);
	until_fired(3);
	set(3, 250); /* poll's limit or the descriptor */
	until_fired(3);
	ktimer_cancel(&timed[0].timer);
	n = timed[0].fired; /* who is kept from running for long is too late to cancel it */
	set(2, 100000);
	cr_assert_leq(turns_until_fired(2), 10, "it slept, and didn't look all the time");
	cr_assert_eq(timed[0].fired, n);
}

/* The descriptor is ready but once each time that it is due. */
Test(loop, a_turn_is_no_spin, .init = setup)
{
	set(0, 60000);
	for (unsigned i = 0; i < 5; i++) {
		set(1, 10000);
		cr_assert_leq(turns_until_fired(1), 10);
	}
}
