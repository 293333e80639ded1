/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits on a private futex is counted where the stub looks before it leaves out a wake: a fake platform that counts, and whose
 * guest changes its words while the sentry looks at them.
 */
#include "sentry/kernel/futex.h"

#include "sentry/abi/errno.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/platform/platform.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#define FROM 0x70000000UL
#define TO 0x70000040UL

static uint32_t word;
static bool readable;
static int waits[2]; /* FROM, TO */
static int at_reading[2];
static struct mm mm;
static struct task task;

static size_t fake_read(struct platform_mm *pmm, void *dst, uint64_t addr, size_t len)
{
	(void)pmm;
	memcpy(at_reading, waits, sizeof(waits));
	if (!readable || addr != FROM || len != sizeof(word))
		return 0;
	memcpy(dst, &word, len);
	return len;
}
static uint16_t fake_waits(struct task *t, uint64_t addr)
{
	(void)t;
	waits[addr == TO]++;
	return addr == TO ? 2 : 1;
}
static void fake_waited(uint16_t counted)
{
	waits[counted - 1]--;
}
static const struct platform_ops fake = {.mm_read = fake_read, .futex_waits = fake_waits, .futex_waited = fake_waited};

static void setup(void)
{
	platform = &fake;
	mm.pmm = (struct platform_mm *)&mm;
	task.mm = &mm;
	word = 7;
	readable = true;
	memset(waits, 0, sizeof(waits));
	memset(at_reading, 0, sizeof(at_reading));
}

static int64_t requeue(uint32_t cmp)
{
	return futex_requeue(&task, (gva_t){FROM}, false, 0, (gva_t){TO}, 1, &cmp);
}

Test(futex, the_second_word_is_counted_before_the_first_is_compared, .init = setup)
{
	cr_assert(eq(i64, requeue(7), 0));
	cr_assert(eq(int, at_reading[1], 1));
	cr_assert(eq(int, waits[1], 0), "nobody was moved, nobody waits");
}

Test(futex, a_requeue_that_fails_leaves_no_count, .init = setup)
{
	cr_assert(eq(i64, requeue(8), -LINUX_EAGAIN));
	cr_assert(eq(int, at_reading[1], 1));
	cr_assert(eq(int, waits[1], 0));
	readable = false;
	cr_assert(eq(i64, requeue(7), -LINUX_EFAULT));
	cr_assert(eq(int, waits[1], 0));
}
