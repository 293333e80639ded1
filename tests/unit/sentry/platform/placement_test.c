/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads that are put apart: for how long is not for what others' boxes say, nor for theirs beyond a limit. And who takes turns
 * on one CPU is told from who runs beside the others.
 */
#include "sentry/platform/internal.h"
#include "sentry/platform/stubs/gate.h"
#include "sentry/platform/stubs/stubs.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
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

/* threads[1] seems to run in a process of its own; threads[0] calls. False: there are no two CPUs to place anything on. */
static bool beside(void (*what)(void))
{
	cpu_set_t set;
	uint64_t mask;

	cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	memcpy(&mask, &set, sizeof(mask));
	if (CPU_COUNT(&set) < 2 || CPU_COUNT(&set) != __builtin_popcountll(mask))
		return false;
	procs[1] = (struct host_proc){.mm = &mms[0], .pid = fork()};
	cr_assert(procs[1].pid >= 0);
	if (procs[1].pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			what();
	}
	for (unsigned i = 0; i < 2; i++) {
		list_init(&threads[i].gate_link);
		threads[i].proc = &procs[i];
		thread_set_state(&threads[i], THREAD_GUEST);
	}
	place_init((unsigned)CPU_COUNT(&set), mask);
	return true;
}

static void computes(void)
{
	for (volatile unsigned i = 0; i < 1000; i++)
		;
}

static void stops(void)
{
	raise(SIGSTOP);
}

static void beside_ends(void)
{
	kill(procs[1].pid, SIGKILL);
	waitpid(procs[1].pid, NULL, 0);
}

Test(placement, who_waits_for_the_cpu_runs_beside_nobody, .init = setup, .fini = teardown)
{
	if (!beside(stops))
		return;
	/* From here on it uses no time for certain. */
	cr_assert_eq(waitpid(procs[1].pid, NULL, WUNTRACED), procs[1].pid);
	for (unsigned i = 0; i < 100; i++) {
		usleep(1000);
		place_wake(&threads[0]);
		cr_assert(place_packed(), "it was resumed long ago, and has used no time since");
	}
	beside_ends();
}

Test(placement, who_computes_beside_others_is_let_go, .init = setup, .fini = teardown)
{
	if (!beside(computes))
		return;
	while (place_packed()) {
		usleep(1000);
		place_wake(&threads[0]);
	}
	beside_ends();
}

Test(placement, what_it_used_before_its_call_counts_for_nothing, .init = setup, .fini = teardown)
{
	if (!beside(computes))
		return;
	for (unsigned i = 0; i < 100; i++) {
		usleep(1000);
		thread_set_state(&threads[1], THREAD_PLAIN); /* it calls, and goes on */
		thread_set_state(&threads[1], THREAD_GUEST);
		place_wake(&threads[0]);
		cr_assert(place_packed());
	}
	beside_ends();
}
