/* SPDX-License-Identifier: Apache-2.0 */
/* The watch over shared memory: its timer stands among others and may be set while it is armed; what is filled is told, and the
 * platform's own share with it. */
#include "sentry/kernel/shared_watch.h"

#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/loop_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"
#include "sentry/platform/stubs/stubs.h"

#include <criterion/criterion.h>
#include <unistd.h>

static struct ktimer before, behind, later;
static unsigned nbefore, nbehind, nlater, ntold;
static uint64_t last_told;

static void fire_before(struct ktimer *t)
{
	(void)t;
	nbefore++;
}
static void fire_behind(struct ktimer *t)
{
	(void)t;
	nbehind++;
}
static void fire_later(struct ktimer *t)
{
	nlater++;
	ktimer_set(t, loop_now() + NSEC_PER_MSEC); /* the same turn sleeps for what comes next: let something come */
}
static void no_stubs(void)
{
}
static const struct stub_transport nobody = {.before_sleep = no_stubs};

static void tell(uint64_t bytes)
{
	ntold++;
	last_told = bytes;
}

/* Turns until the loop is past this time: what was due before has fired then, in order. */
static void until(uint64_t at)
{
	unsigned n = nlater;

	ktimer_init(&later, fire_later);
	ktimer_set(&later, at);
	while (nlater == n)
		loop_turn();
	ktimer_cancel(&later);
}

static void fill(struct shared_mem *s, size_t bytes)
{
	static const char page[65536] = {1};

	for (size_t at = 0; at < bytes; at += sizeof(page))
		cr_assert_eq(pwrite(s->host_fd, page, sizeof(page), (off_t)at), (ssize_t)sizeof(page));
}

Test(shared_watch, may_be_asked_for_while_it_is_armed)
{
	struct shared_mem *s;
	uint64_t start;

	cr_assert_eq(loop_init(), 0);
	transport = &nobody;
	cr_assert_eq(shared_mem_new(16 * MiB, "x", &s), 0);
	ktimer_init(&before, fire_before);
	ktimer_init(&behind, fire_behind);
	shared_watch_limit(1ULL << 30, tell);
	start = loop_now();
	/* Two ticks without news, by now one in a while: the third is 40 ms away. */
	until(start + 35 * NSEC_PER_MSEC);
	cr_assert_eq(ntold, 0);
	start = loop_now();
	ktimer_set(&before, start + 1 * NSEC_PER_MSEC);
	ktimer_set(&behind, start + 300 * NSEC_PER_MSEC);
	shared_watch_soon();
	fill(s, 4 * MiB);
	until(start + 301 * NSEC_PER_MSEC);
	cr_assert_eq(nbefore, 1);
	cr_assert_eq(nbehind, 1);
	cr_assert_eq(last_told, 4 * MiB);
	/* It goes on. */
	fill(s, 8 * MiB);
	until(loop_now() + 300 * NSEC_PER_MSEC);
	cr_assert_eq(last_told, 8 * MiB);
	shared_mem_put(s);
	until(loop_now() + 300 * NSEC_PER_MSEC);
	cr_assert_eq(last_told, 0);
}

static uint64_t own = 3 * MiB;
static uint64_t own_bytes(void)
{
	return own;
}

Test(shared_watch, what_the_platform_shares_is_in_the_sum)
{
	static const struct platform_ops fake = {.shared_bytes = own_bytes};
	struct shared_mem *s;

	cr_assert_eq(loop_init(), 0);
	platform = &fake;
	cr_assert_eq(shared_mem_new(16 * MiB, "x", &s), 0);
	shared_watch_limit(1ULL << 30, tell);
	shared_watch_now();
	cr_assert_eq(ntold, 0, "alone it is in the processes' shared pages");
	fill(s, 4 * MiB);
	shared_watch_now();
	cr_assert_eq(last_told, 7 * MiB);
	own = 5 * MiB;
	shared_watch_now();
	cr_assert_eq(last_told, 9 * MiB);
}
