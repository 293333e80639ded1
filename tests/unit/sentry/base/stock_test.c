/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that are kept for the next: sizes, zeroes, the account, and what is noticed. */
#include "sentry/base/alloc.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

static bool filled(const unsigned char *p, unsigned char c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != c)
			return false;
	return true;
}

Test(stock, every_size_is_as_large_as_asked_and_zeroed_again)
{
	for (unsigned turn = 0; turn < 3; turn++) {
		for (size_t size = 0; size < 70000; size += size < 3000 ? 7 : 997) {
			unsigned char *p = kzalloc(size), *q = kmalloc(size);

			cr_assert(filled(p, 0, size), "%zu bytes", size);
			memset(p, 0xee, size);
			memset(q, 0xdd, size);
			cr_assert(filled(p, 0xee, size));
			cr_assert(eq(u64, (uint64_t)p % 16, 0));
			kfree(p);
			kfree(q);
		}
	}
}

Test(stock, the_account_is_of_what_is_in_use)
{
	uint64_t before = alloc_total();
	void *p[200];

	for (unsigned i = 0; i < 200; i++)
		p[i] = kmalloc(i * 37);
	cr_assert(ge(u64, alloc_total() - before, 37 * 199 * 100));
	for (unsigned i = 0; i < 200; i++)
		kfree(p[i]);
	cr_assert(eq(u64, alloc_total(), before));
}

Test(stock, growing_and_shrinking_keep_the_bytes)
{
	unsigned char *p = NULL;
	size_t had = 0, huge = SIZE_MAX;
	uint64_t before = alloc_total();

	for (unsigned i = 0; i < 4000; i++) {
		size_t size = (i * 7919U) % 9000 + 1;

		p = krealloc(p, size);
		cr_assert(p != NULL);
		cr_assert(filled(p, 0x77, had < size ? had : size));
		memset(p, 0x77, size);
		had = size;
	}
	kfree(p);
	cr_assert(eq(u64, alloc_total(), before));
	__asm__("" : "+r"(huge));
#ifndef __SANITIZE_ADDRESS__ /* it ends the program */
	cr_assert(kmalloc(huge) == NULL);
	cr_assert(kzalloc(huge - 8) == NULL);
#endif
}

#ifndef __SANITIZE_ADDRESS__ /* which has no headers of ours, and says it itself */
Test(stock, a_second_free_ends_it, .exit_code = 125)
{
	void *p = kmalloc(100), *again = p;

	__asm__("" : "+r"(again));
	kfree(p);
	kfree(again);
}

Test(stock, a_second_free_of_what_libc_has_ends_it, .exit_code = 125)
{
	void *p[40], *again;

	for (unsigned i = 0; i < 40; i++)
		p[i] = kmalloc(1500);
	again = p[39];
	__asm__("" : "+r"(again));
	for (unsigned i = 0; i < 40; i++)
		kfree(p[i]);
	kfree(again);
}

Test(stock, a_header_that_was_written_over_ends_it, .exit_code = 125)
{
	char *p = kmalloc(100), *q = p;

	__asm__("" : "+r"(q));
	memset(q - 16, 0x41, 16);
	kfree(p);
}
#endif
