/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between two CPUs: every length and place, and which way is taken, by what the last answers took. */
#include "sentry/platform/stubs/gate.h"
#include "sentry/platform/stubs/bell.h"
#include "sentry/platform/stubs/stubs.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

static void near_copy(char *dst, const char *src, size_t len)
{
	gate_copy_near(dst, src, len);
}

static void plain_copy(char *dst, const char *src, size_t len)
{
	gate_copy(dst, src, len);
}

Test(gate_copy, copies_what_it_is_told_and_nothing_else)
{
	static void (*const ways[])(char *, const char *, size_t) = {plain_copy, near_copy, gate_copy_away};
	static const size_t lens[] = {0, 1, 15, 16, 63, 64, 65, 127, 1000, 4095, 4096, 4097, 9000};
	_Alignas(64) static char src[10000], dst[10000], want[10000];

	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (char)(i * 31 + i / 256);
	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		for (size_t k = 0; k < ARRAY_LEN(lens); k++) {
			for (size_t from = 0; from < 3; from++) {
				size_t to = w == 2 ? from * 16 : from * 5; /* past the caches: a multiple of 16 */

				memset(dst, 0x55, sizeof(dst));
				memset(want, 0x55, sizeof(want));
				memcpy(want + to, src + from * 7, lens[k]);
				ways[w](dst + to, src + from * 7, lens[k]);
				cr_assert(eq(int, memcmp(dst, want, sizeof(dst)), 0), "way %zu, %zu bytes", w, lens[k]);
			}
		}
	}
}

#define US 2000 /* ticks */

static void votes(const struct platform_thread *pt, unsigned n, bool far)
{
	while (n-- > 0)
		gate_distance(pt, far ? US / 2 : US / 10, US);
}

Test(gate_copy, the_majority_of_answers_decides)
{
	struct platform_thread pt = {0};
	unsigned asked = 0;

	gate_ro = calloc(1, sizeof(*gate_ro));
	gate_ro->far = 1;
	votes(&pt, 1, true);
	cr_assert(eq(int, gate_far(&pt), 1));
	cr_assert(eq(int, pt.plain, 0));
	/* A single one that was quick, or late, changes nothing. */
	votes(&pt, 1, false);
	cr_assert(eq(int, gate_far(&pt), 1));
	votes(&pt, 40, false);
	cr_assert(eq(int, gate_far(&pt), 0));
	cr_assert(eq(int, pt.plain, 1));
	pt.plain = false;
	votes(&pt, 1, true);
	cr_assert(eq(int, gate_far(&pt), 0));
	/* Those that went through the caches, or have slept, have no vote. */
	votes(&pt, 1000, true);
	for (int i = 0; i < 1000; i++) {
		struct platform_thread quiet = {0};

		gate_distance(&quiet, 0, US);
	}
	cr_assert(eq(int, gate_far(&pt), 0));
	/* So some of them go the other way, and find out. */
	pt.plain = false;
	for (int i = 0; i < 6000 && asked < 20; i++) {
		pt.plain = false;
		if (gate_far(&pt))
			asked++;
		if (i % 64 == 0)
			votes(&pt, 1, true);
	}
	cr_assert(eq(u32, asked, 20));
	votes(&pt, 20, true);
	pt.plain = false;
	cr_assert(eq(int, gate_far(&pt), 1));
	free(gate_ro);
}
