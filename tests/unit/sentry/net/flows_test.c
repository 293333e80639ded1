/* SPDX-License-Identifier: Apache-2.0 */
/* The table of those who may be answered, also against a plain list that does the same slowly. */
#include "sentry/net/flows.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct flows *flows;

static void setup(void)
{
	flows = calloc(1, sizeof *flows);
	flows->cap = 4;
	flows->timeout_ms = 100;
	flows->seed = 12345;
}

static struct inet_ep ep(uint8_t last, uint16_t port)
{
	return (struct inet_ep){.addr = inet_addr_v4((uint8_t[]){10, 0, 0, last}), .port = port};
}

TestSuite(flows, .init = setup);

Test(flows, only_who_was_heard_and_at_that_port)
{
	struct inet_ep a = ep(1, 5), b = ep(1, 6), c = ep(2, 5), six = {.addr = inet_loopback6, .port = 5};

	cr_expect_null(flows_find(flows, 53, &a, 0));
	flows_heard(flows, 53, &a, 0)->tag = 7;
	cr_assert_not_null(flows_find(flows, 53, &a, 0));
	cr_expect_eq(flows_find(flows, 53, &a, 0)->tag, 7);
	cr_expect_null(flows_find(flows, 54, &a, 0));
	cr_expect_null(flows_find(flows, 53, &b, 0));
	cr_expect_null(flows_find(flows, 53, &c, 0));
	cr_expect_null(flows_find(flows, 53, &six, 0));
	flows_forget(flows, 53, &b);
	cr_expect_not_null(flows_find(flows, 53, &a, 0));
	flows_forget(flows, 53, &a);
	cr_expect_null(flows_find(flows, 53, &a, 0));
	cr_expect_eq(flows->count, 0);
}

/* Buckets are shared by chance: among so many some share one. */
Test(flows, who_shares_a_bucket_is_not_mixed_up)
{
	struct inet_ep a = ep(1, 5);

	flows_heard(flows, 53, &a, 0);
	for (uint16_t i = 100; i < 20100; i++) {
		struct inet_ep port = ep(1, i), addr = {.addr = inet_addr_v4((uint8_t[]){10, 1, (uint8_t)(i >> 8), (uint8_t)i}), .port = 5};

		cr_assert_null(flows_find(flows, 53, &port, 0));
		cr_assert_null(flows_find(flows, 53, &addr, 0));
		cr_assert_null(flows_find(flows, i, &a, 0));
	}
	cr_expect_not_null(flows_find(flows, 53, &a, 0));
}

Test(flows, silence_ends_it_and_only_hearing_refreshes)
{
	struct inet_ep a = ep(1, 5);

	flows_heard(flows, 53, &a, 1000);
	cr_expect_not_null(flows_find(flows, 53, &a, 1100), "asking at the last moment");
	cr_expect_null(flows_find(flows, 53, &a, 1101), "was no hearing");
	flows_heard(flows, 53, &a, 2000);
	flows_heard(flows, 53, &a, 2090);
	cr_expect_not_null(flows_find(flows, 53, &a, 2190));
	cr_expect_eq(flows->count, 1);
}

Test(flows, the_longest_silent_makes_room)
{
	struct inet_ep e[6];

	for (uint8_t i = 0; i < 6; i++)
		e[i] = ep(i, 1);
	for (int i = 0; i < 4; i++)
		flows_heard(flows, 53, &e[i], 10);
	flows_heard(flows, 53, &e[0], 11);
	flows_heard(flows, 53, &e[4], 12);
	cr_expect_null(flows_find(flows, 53, &e[1], 12));
	cr_expect_not_null(flows_find(flows, 53, &e[0], 12));
	flows_heard(flows, 53, &e[5], 12);
	cr_expect_null(flows_find(flows, 53, &e[2], 12));
	cr_expect_not_null(flows_find(flows, 53, &e[3], 12));
	cr_expect_eq(flows->count, 4);
}

Test(flows, a_ports_flows_of_a_family_go_together)
{
	struct inet_ep a = ep(1, 5), b = ep(2, 5), six = {.addr = inet_loopback6, .port = 5};

	flows_heard(flows, 53, &a, 0);
	flows_heard(flows, 53, &six, 0);
	flows_heard(flows, 54, &b, 0);
	flows_forget_port(flows, 53, false);
	cr_expect_null(flows_find(flows, 53, &a, 0));
	cr_expect_not_null(flows_find(flows, 53, &six, 0));
	cr_expect_not_null(flows_find(flows, 54, &b, 0));
	flows_forget_port(flows, 53, true);
	cr_expect_null(flows_find(flows, 53, &six, 0));
	flows_forget_port(flows, 0, false);
	cr_expect_eq(flows->count, 1);
}

/* The same by a list, newest first. */
Test(flows, as_a_plain_list_would)
{
	struct plain {
		struct inet_ep peer;
		uint16_t port;
		uint64_t heard;
	} list[65];
	unsigned n = 0, seed = 1, found = 0;

	flows->cap = 64;
	for (uint64_t now = 0; now < 200000; now++) {
		struct inet_ep e = ep((uint8_t)(rand_r(&seed) % 16), (uint16_t)(1 + rand_r(&seed) % 8));
		uint16_t port = (uint16_t)(50 + rand_r(&seed) % 3);
		unsigned at = 0, op = (unsigned)rand_r(&seed) % 16;

		while (at < n && (list[at].port != port || list[at].peer.port != e.port || !inet_addr_equal(&list[at].peer.addr, &e.addr)))
			at++;
		if (op < 8) {
			flows_heard(flows, port, &e, now);
			if (at == n)
				n = n == 64 ? 64 : n + 1;
			memmove(list + 1, list, MIN(at, 63U) * sizeof list[0]);
			list[0] = (struct plain){e, port, now};
		} else if (op < 15) {
			bool good = at < n && now - list[at].heard <= 100;

			cr_assert_eq(flows_find(flows, port, &e, now) != NULL, good, "at %lu", (unsigned long)now);
			found += good;
			if (at < n && !good)
				memmove(list + at, list + at + 1, (--n - at) * sizeof list[0]);
		} else if (at < n) {
			flows_forget(flows, port, &e);
			memmove(list + at, list + at + 1, (--n - at) * sizeof list[0]);
		}
		cr_assert_eq(flows->count, n);
	}
	cr_expect_gt(found, 1000);
}
