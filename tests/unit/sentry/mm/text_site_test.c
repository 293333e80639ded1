/* SPDX-License-Identifier: Apache-2.0 */
/* Call sites as bytes: what is recognised, what is refused, and where the code that is made really leads. */
#include "sentry/mm/text_site.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int32_t rel32(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, 4);
	return v;
}

Test(text_site, punned_patterns)
{
	const uint8_t near[] = {0x90, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff};
	const uint8_t far[] = {0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff};
	const uint8_t other[] = {0x0f, 0x05, 0x48, 0x3d, 0x02};
	const uint8_t call[] = {0x0f, 0x34, 0x48, 0x3d, 0x00};

	cr_assert_eq(text_punned(near, sizeof(near), 1), TEXT_FORM_NEAR);
	cr_assert_eq(text_punned(near, sizeof(near), 0), TEXT_FORM_NONE);
	cr_assert_eq(text_punned(far, sizeof(far), 0), TEXT_FORM_FAR);
	cr_assert_eq(text_punned(other, sizeof(other), 0), TEXT_FORM_NONE);
	cr_assert_eq(text_punned(call, sizeof(call), 0), TEXT_FORM_NONE);
}

/* Nothing is read behind the end: every cut of a site, with a page that can't be touched behind it. */
Test(text_site, ends_of_the_text)
{
	uint8_t *page = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uint8_t site[] = {0xb8, 1, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff};

	cr_assert_neq(page, MAP_FAILED);
	cr_assert_eq(mprotect(page + PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	for (size_t keep = 0; keep <= sizeof(site); keep++) {
		uint8_t *text = page + PAGE_SIZE - keep;

		memcpy(text, site, keep);
		for (size_t off = 0; off <= keep; off++) {
			enum text_form form = text_punned(text, keep, off);

			cr_assert_eq(form, off == 5 && keep >= 10 ? TEXT_FORM_NEAR : TEXT_FORM_NONE);
			if (text_mov_check(text, keep, off, 1) == TEXT_WHY_NONE)
				cr_assert(off == 5 && keep >= 9, "off %zu keep %zu", off, keep);
		}
		cr_assert_eq(text_punned(text, keep, keep + 100), TEXT_FORM_NONE);
		cr_assert_eq(text_mov_check(text, keep, keep + 100, 1), TEXT_WHY_NO_PATTERN);
	}
	/* And before the beginning. */
	memcpy(page, site + 1, sizeof(site) - 1);
	cr_assert_eq(text_mov_check(page, sizeof(site) - 1, 4, 1), TEXT_WHY_NO_PATTERN);
	munmap(page, 2 * PAGE_SIZE);
}

static enum text_why mov(const char *before, size_t nbefore, uint32_t imm, const char *after, size_t nafter, int nr)
{
	uint8_t text[64];
	size_t n = 0;

	memcpy(text, before, nbefore);
	n = nbefore;
	text[n++] = 0xb8;
	memcpy(text + n, &imm, 4);
	n += 4;
	text[n++] = 0x0f;
	text[n++] = 0x05;
	memcpy(text + n, after, nafter);
	return text_mov_check(text, n + nafter, nbefore + 5, nr);
}
#define MOV(before, imm, after, nr) mov(before, sizeof(before) - 1, imm, after, sizeof(after) - 1, nr)

Test(text_site, mov)
{
	cr_assert_eq(MOV("\x90", 1, "\xc3", 1), TEXT_WHY_NONE);
	cr_assert_eq(MOV("", 511, "\xc3", 511), TEXT_WHY_NONE);
	cr_assert_eq(MOV("\x90", 1, "\xc3", 2), TEXT_WHY_NO_PATTERN);       /* another number came */
	cr_assert_eq(MOV("\x90", 512, "\xc3", 512), TEXT_WHY_NO_PATTERN);   /* no plausible number */
	cr_assert_eq(MOV("\x90", -1U, "\xc3", -1), TEXT_WHY_NO_PATTERN);
	cr_assert_eq(MOV("\x90", 15, "\xc3", 15), TEXT_WHY_SIGRETURN);
	/* Tails of longer instructions. */
	cr_assert_eq(MOV("\x41", 1, "\xc3", 1), TEXT_WHY_NO_PATTERN);       /* mov $1, %r8d */
	cr_assert_eq(MOV("\x48", 1, "\xc3", 1), TEXT_WHY_NO_PATTERN);
	cr_assert_eq(MOV("\x66", 1, "\xc3", 1), TEXT_WHY_NO_PATTERN);
	cr_assert_eq(MOV("\xc7\x45", 0, "\xc3", 0), TEXT_WHY_NO_PATTERN);   /* movl $0, -0x48(%rbp) */
	cr_assert_eq(MOV("\xc7\x44\x24", 0, "\xc3", 0), TEXT_WHY_NO_PATTERN);
	cr_assert_eq(MOV("\x8b\x84", 1, "\xc3", 1), TEXT_WHY_NO_PATTERN);   /* mov 1(%rax,%rdi,4), %eax */
	cr_assert_eq(MOV("\x8b", 1, "\xc3", 1), TEXT_WHY_NO_PATTERN);       /* mov 1(%rax), %edi */
}

Test(text_site, flags)
{
	cr_assert_eq(MOV("\x90", 1, "\x72\x10", 1), TEXT_WHY_FLAGS);         /* jb */
	cr_assert_eq(MOV("\x90", 1, "\x0f\x82\0\0\0\0", 1), TEXT_WHY_FLAGS); /* jb */
	cr_assert_eq(MOV("\x90", 1, "\x0f\x92\xc0", 1), TEXT_WHY_FLAGS);     /* setb */
	cr_assert_eq(MOV("\x90", 1, "\x48\x0f\x42\xc1", 1), TEXT_WHY_FLAGS); /* cmovb */
	cr_assert_eq(MOV("\x90", 1, "\x11\xc8", 1), TEXT_WHY_FLAGS);         /* adc */
	cr_assert_eq(MOV("\x90", 1, "\x83\xd8\x00", 1), TEXT_WHY_FLAGS);     /* sbb $0 */
	cr_assert_eq(MOV("\x90", 1, "\x9c", 1), TEXT_WHY_FLAGS);             /* pushf */
	cr_assert_eq(MOV("\x90", 1, "\x9f", 1), TEXT_WHY_FLAGS);             /* lahf */
	cr_assert_eq(MOV("\x90", 1, "", 1), TEXT_WHY_FLAGS);                 /* who knows */
	cr_assert_eq(MOV("\x90", 1, "\x48", 1), TEXT_WHY_FLAGS);
	cr_assert_eq(MOV("\x90", 1, "\x48\x85\xc0", 1), TEXT_WHY_NONE);      /* test */
	cr_assert_eq(MOV("\x90", 1, "\x83\xf8\xff", 1), TEXT_WHY_NONE);      /* cmp $-1 */
	cr_assert_eq(MOV("\x90", 1, "\x48\x89\xc3", 1), TEXT_WHY_NONE);      /* mov */
	cr_assert_eq(MOV("\x90", 1, "\x0f\x1f\x00", 1), TEXT_WHY_NONE);      /* nop */
	cr_assert_eq(MOV("\x90", 1, "\x41\x5c", 1), TEXT_WHY_NONE);          /* pop %r12 */
}

/* The bytes 05 48 3d 0x behind the e9, taken as a displacement, lead to the slot; the slot's lea leads back. */
Test(text_site, displacements)
{
	const uint64_t text = 0x7f0000000000;

	for (unsigned k = 0; k < 2; k++) {
		enum text_form form = k == 0 ? TEXT_FORM_NEAR : TEXT_FORM_FAR;
		uint8_t site[] = {0xe9, 0x05, 0x48, 0x3d, (uint8_t)k};

		for (uint64_t off = 0; off < 5 * PAGE_SIZE; off++) {
			uint64_t target = text + off + 5 + (uint64_t)rel32(site + 1);
			uint64_t slot = text + text_shift(form) + off + TEXT_SLOT_SHIFT;
			uint8_t code[TEXT_PUNNED_LEN];

			cr_assert_eq(target, slot);
			text_encode_punned(code, form);
			cr_assert_eq(code[0] == 0x48 && code[1] == 0x8d && code[2] == 0x0d, true);
			cr_assert_eq(slot + 7 + (uint64_t)(int64_t)rel32(code + 3), text + off + 2);
		}
	}
	/* The last slot ends before the pool. */
	cr_assert_lt(PAGE_SIZE - 2 + TEXT_SLOT_SHIFT + TEXT_PUNNED_LEN, text_pool_start(PAGE_SIZE));
}

Test(text_site, mov_displacements)
{
	const uint64_t text = 0x400000, sites[] = {5, 100, 0x123456};

	for (unsigned i = 0; i < 3; i++) {
		uint64_t site = text + sites[i], slot = text + TEXT_FAR_SHIFT + 0x200000 + i * TEXT_POOL_SLOT;
		uint8_t code[TEXT_MOV_LEN], jump[5];

		text_encode_mov(code, 202, slot, site);
		text_encode_jump(jump, slot, site);
		cr_assert_eq(code[0], 0xb8);
		cr_assert_eq(rel32(code + 1), 202);
		cr_assert_eq(slot + 12 + (uint64_t)(int64_t)rel32(code + 8), site + 2);
		cr_assert_eq(jump[0], 0xe9);
		cr_assert_eq(site + (uint64_t)(int64_t)rel32(jump + 1), slot); /* it ends where the syscall begins */
	}
	cr_assert_leq(TEXT_MOV_LEN, TEXT_POOL_SLOT);
}

Test(text_site, words)
{
	for (uint64_t off = 0; off < 64; off++) {
		cr_assert_eq(text_in_word(off, 8), off / 8 == (off + 4) / 8);
		cr_assert_eq(text_in_word(off, 16), off / 16 == (off + 4) / 16);
	}
}

/* Random bytes with the patterns mixed in: whatever is recognised is really there. */
Test(text_site, noise)
{
	static const uint8_t bits[] = {0x0f, 0x05, 0x48, 0x3d, 0x00, 0x01, 0xb8, 0xc3, 0x41, 0xc7};
	uint8_t text[256];
	unsigned found = 0;

	srand(7);
	for (unsigned round = 0; round < 100000; round++) {
		size_t len = (size_t)rand() % sizeof(text);

		for (size_t i = 0; i < len; i++)
			text[i] = bits[(unsigned)rand() % sizeof(bits)];
		for (size_t off = 0; off < len; off++) {
			enum text_form form = text_punned(text, len, off);

			if (form != TEXT_FORM_NONE) {
				const uint8_t want[] = {0x0f, 0x05, 0x48, 0x3d, form == TEXT_FORM_FAR};

				cr_assert(off + 5 <= len && memcmp(text + off, want, 5) == 0);
				found++;
			}
			if (text_mov_check(text, len, off, 0) == TEXT_WHY_NONE)
				cr_assert(off >= 5 && off + 2 < len && text[off - 5] == 0xb8 && text[off] == 0x0f);
		}
	}
	cr_assert_gt(found, 10);
}
