/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of events: a transport's two answers to a call, which note what became of it. The call's id is NOTED_ID. */
#ifndef TESTS_UNIT_NOTING_TRANSPORT_H
#define TESTS_UNIT_NOTING_TRANSPORT_H

#include <criterion/criterion.h>
#include <stdint.h>

#define NOTED_ID 77

static unsigned proceeded, answered;
static int64_t value; /* of the last answer */

static void answer(uint64_t id, int64_t v)
{
	cr_assert_eq(id, NOTED_ID);
	answered++;
	value = v;
}

static void proceed(uint64_t id)
{
	cr_assert_eq(id, NOTED_ID);
	proceeded++;
}

#endif
