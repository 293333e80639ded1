/* SPDX-License-Identifier: Apache-2.0 */
/* Two threads that are put apart: for how long is not for what others' boxes say, nor for theirs beyond a limit. */
#include "sentry/platform/internal.h"
#include "sentry/platform/stubs/gate.h"
#include "sentry/platform/stubs/stubs.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <unistd.h>

static struct platform_thread threads[2];
static struct platform_mm mms[2];
static struct host_proc procs[2];
static const struct platform_thread *const pair[2] = {&threads[0], &threads[1]};

static struct gate_box *box(unsigned n)
{
	return (struct gate_box *)((char *)threads[n].mailbox + GATE_BOX);
}

static void setup(void)
{
	for (unsigned i = 0; i < 2; i++) {
		procs[i].mm = &mms[0];
		threads[i] = (struct platform_thread){.mailbox = calloc(1, MAILBOX_SIZE), .proc = &procs[0]};
		list_init(&threads[i].narrow_link);
	}
	place_init(2, 3);
}

static void teardown(void)
{
	place_init(1, 1);
	for (unsigned i = 0; i < 2; i++)
		free(threads[i].mailbox);
}

/* As long as it takes until nothing that is true at the beginning may still be. More is no harm. */
static void wait_while_calling(uint64_t *calls)
{
	for (unsigned i = 0; i < 300; i++) {
		*calls += 1000;
		(void)place_is_apart();
		usleep(1000);
	}
	*calls += 1000;
}

Test(placement, threads_are_together_again_if_only_others_do_without_us, .init = setup, .fini = teardown)
{
	cr_assert(place_apart(pair));
	wait_while_calling(&gate_counts.local);
	cr_assert(not(place_is_apart()));
}

Test(placement, threads_are_together_again_after_a_while_whatever_they_say, .init = setup, .fini = teardown)
{
	cr_assert(place_apart(pair));
	wait_while_calling(&box(1)->futexes);
	cr_assert(not(place_is_apart()));
}

Test(placement, threads_that_do_nothing_are_together_again, .init = setup, .fini = teardown)
{
	uint64_t nothing = 0;

	cr_assert(place_apart(pair));
	wait_while_calling(&nothing);
	cr_assert(not(place_is_apart()));
}

/* A busy machine may have kept them from everything. */
Test(placement, few_calls_say_nothing, .init = setup, .fini = teardown)
{
	cr_assert(place_apart(pair));
	gate_counts.polled += 10;
	usleep(10000);
	if (!place_is_apart())
		return; /* we were kept from it for the longest time that it may last */
	box(0)->futexes += 1000;
	usleep(10000);
	(void)place_is_apart();
	cr_assert(mms[0].apart_paid, "those ten are few beside a thousand");
}

Test(placement, an_address_space_is_known_by_its_last_time, .init = setup, .fini = teardown)
{
	mms[0].apart_paid = false;
	cr_assert(place_apart(pair));
	wait_while_calling(&box(1)->futexes);
	cr_assert(not(place_is_apart()));
	cr_assert(mms[0].apart_paid);
	usleep(25000); /* the gap, which began when it should have been over: place_apart can only come later */
	cr_assert(place_apart(pair), "it pays: soon again");
	wait_while_calling(&gate_counts.polled);
	cr_assert(not(place_is_apart()));
	cr_assert(not(mms[0].apart_paid));
}

Test(placement, who_has_ended_is_apart_from_nobody, .init = setup, .fini = teardown)
{
	cr_assert(place_apart(pair));
	place_drop(&threads[1]);
	cr_assert(not(place_is_apart()));
}

Test(placement, who_stays_on_its_cpu_is_not_put_apart, .init = setup, .fini = teardown)
{
	for (unsigned i = 0; i < 2; i++) {
		threads[i].pinned = true;
		cr_assert(not(place_apart(pair)));
		threads[i].pinned = false;
	}
	cr_assert(place_packed(), "nobody was let go for that");
	cr_assert(place_apart(pair));
}

Test(placement, threads_of_two_address_spaces_are_not_put_apart, .init = setup, .fini = teardown)
{
	threads[1].proc = &procs[1];
	procs[1].mm = &mms[1];
	cr_assert(not(place_apart(pair)));
	cr_assert(place_packed(), "nobody was let go for that");
	procs[1].mm = &mms[0]; /* a process that shares its parent's */
	cr_assert(place_apart(pair));
}
