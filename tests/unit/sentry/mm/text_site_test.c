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
	cr_assert_eq(MOV("\x90", 1, "\x48\x89\xc3\xc3", 1), TEXT_WHY_NONE);  /* mov */
	cr_assert_eq(MOV("\x90", 1, "\x0f\x1f\x00\xc3", 1), TEXT_WHY_NONE);  /* nop */
	cr_assert_eq(MOV("\x90", 1, "\x41\x5c\xc3", 1), TEXT_WHY_NONE);      /* pop %r12 */
	/* Further on. */
	cr_assert_eq(MOV("\x90", 1, "\x48\x89\xc3\x72\x10", 1), TEXT_WHY_FLAGS);             /* mov; jb */
	cr_assert_eq(MOV("\x90", 1, "\x48\x89\xc3", 1), TEXT_WHY_FLAGS);                     /* mov; who knows */
	cr_assert_eq(MOV("\x90", 1, "\x48\x89\xc3\x85\xc0\x72\x10", 1), TEXT_WHY_NONE);     /* mov; test; jb */
	cr_assert_eq(MOV("\x90", 1, "\xeb\x01\xc3\x72\x10", 1), TEXT_WHY_FLAGS);             /* jmp to jb */
	cr_assert_eq(MOV("\x90", 1, "\xeb\x01\x9c\x31\xc0", 1), TEXT_WHY_NONE);              /* jmp past pushf to xor */
	cr_assert_eq(MOV("\x90", 1, "\xeb\x40", 1), TEXT_WHY_NONE);                          /* to another function */
	cr_assert_eq(MOV("\x90", 1, "\xeb\xfe", 1), TEXT_WHY_FLAGS);                         /* for ever */
	cr_assert_eq(MOV("\x90", 1, "\xff\xc0\x72\x10", 1), TEXT_WHY_FLAGS);                 /* inc keeps the carry */
	cr_assert_eq(MOV("\x90", 1, "\x64\x48\x2b\x04\x25\x28\0\0\0\x75\1", 1), TEXT_WHY_NONE); /* sub %fs:40 */
	cr_assert_eq(MOV("\x90", 1, "\xf0\x0f\xb1\x17\x75\1", 1), TEXT_WHY_NONE);            /* lock cmpxchg */
	cr_assert_eq(MOV("\x90", 1, "\xf0\x83\x17\x01\xc3", 1), TEXT_WHY_FLAGS);             /* lock adc */
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

/* ---- moved instructions ---- */

/* Bytes with so much before and behind that it can be told where instructions begin. */
struct code {
	uint8_t bytes[1024];
	size_t len, off; /* of the syscall */
};

#define LEAD 300U
/* before; syscall; behind; then nops. */
static struct code code_of(const char *before, size_t nbefore, const char *behind, size_t nbehind)
{
	struct code c = {.len = sizeof(c.bytes), .off = LEAD + nbefore};

	memset(c.bytes, 0x90, sizeof(c.bytes));
	memcpy(c.bytes + LEAD, before, nbefore);
	memcpy(c.bytes + c.off, "\x0f\x05", 2);
	memcpy(c.bytes + c.off + 2, behind, nbehind);
	return c;
}
#define CODE(before, behind) code_of(before, sizeof(before) - 1, behind, sizeof(behind) - 1)

static unsigned find(const struct code *c, unsigned jump, enum text_why want)
{
	enum text_why why;
	unsigned back = text_reloc_find(c->bytes, c->len, c->off, jump, 0, &why);

	cr_expect_eq(why, want);
	cr_expect_eq(back != 0, want == TEXT_WHY_NONE);
	return back;
}

#define MOV_4 "\xb8\4\0\0\0"
#define MOVES "\x4c\x89\xcf\x48\x89\xd6" /* mov %r9,%rdi; mov %rdx,%rsi */

Test(text_site, what_may_move)
{
	struct code c = CODE(MOV_4 MOVES, "\xc3");

	cr_expect_eq(find(&c, TEXT_JUMP, TEXT_WHY_NONE), 11);
	cr_expect_eq(find(&c, TEXT_HOP, TEXT_WHY_NONE), 3);
	c = CODE("\x4c\x89\x5c\x24\x08", "\xc3"); /* mov %r11,8(%rsp) */
	cr_expect_eq(find(&c, TEXT_JUMP, TEXT_WHY_NONE), 5);
	c = CODE("\x48\xc7\xc0\x3f\0\0\0\x31\xf6", "\xc3"); /* mov $63,%rax: not from behind its prefix */
	cr_expect_eq(find(&c, TEXT_JUMP, TEXT_WHY_NONE), 9);
	c = CODE("\x48\x8b\x05\0\1\0\0" MOVES, "\xc3"); /* mov 256(%rip),%rax */
	cr_expect_eq(find(&c, TEXT_JUMP, TEXT_WHY_NONE), 13);
	c = CODE(MOV_4 MOVES, "\x72\x10"); /* jb */
	find(&c, TEXT_JUMP, TEXT_WHY_FLAGS);
	c = CODE(MOV_4 "\xe8\0\0\0\0" MOVES, "\xc3"); /* a call, which pushes where it is */
	find(&c, TEXT_JUMP, TEXT_WHY_NO_PATTERN);
	c = CODE(MOV_4 "\x74\x01" MOVES, "\xc3"); /* je */
	find(&c, TEXT_JUMP, TEXT_WHY_NO_PATTERN);
	c = CODE(MOV_4 "\x0f\x05" MOVES, "\xc3"); /* another call */
	find(&c, TEXT_JUMP, TEXT_WHY_NO_PATTERN);
	c = CODE(MOV_4 "\x65\x48\x8b\x3f", "\xc3"); /* mov %gs:(%rdi),%rdi */
	find(&c, TEXT_JUMP, TEXT_WHY_NO_PATTERN);
	c = CODE(MOV_4 "\xf7\xf1", "\xc3"); /* div: its fault tells its place */
	find(&c, TEXT_JUMP, TEXT_WHY_NO_PATTERN);
	c = CODE(MOVES MOVES, "\xc3");
	find(&c, TEXT_JUMP, TEXT_WHY_NO_PATTERN);
	cr_expect_eq(find(&c, TEXT_HOP, TEXT_WHY_NONE), 3);
}

/* One more byte in front, and it is another instruction, or might be. */
Test(text_site, what_does_not_surely_begin)
{
	static const char *const tails[] = {"\x48", "\x0f", "\xc7\x45", "\x69\xc0", "\x8b\x84"};
	/* movl $4,-0x48(%rbp) and mov 4(%rax,%rdi,4),%eax are as good, from where they begin. */
	static const unsigned backs[] = {0, 0, 7, 0, 7};
	uint8_t data[512];
	enum text_why why;

	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		struct code c = CODE(MOV_4, "\xc3");

		memcpy(c.bytes + LEAD - strlen(tails[i]), tails[i], strlen(tails[i]));
		cr_expect_eq(text_reloc_find(c.bytes, c.len, c.off, TEXT_JUMP, 0, &why), backs[i], "%zu", i);
	}
	/* Nothing before it: who knows. */
	memset(data, 0x90, sizeof(data));
	memcpy(data, MOV_4 "\x0f\x05\xc3", 8);
	cr_expect_eq(text_reloc_find(data, sizeof(data), 5, TEXT_JUMP, 0, &why), 0);
	/* Only bytes that end in the middle of it: each of fifteen begins something that goes past. */
	memset(data, 0xb8, 200);
	memcpy(data + 200, MOV_4 "\x0f\x05\xc3", 8);
	cr_expect_eq(text_reloc_find(data, sizeof(data), 205, TEXT_JUMP, 0, &why), 0);
}

Test(text_site, jumps_into_it)
{
	for (unsigned in = 0; in < 11; in++) {
		struct code c = CODE(MOV_4 MOVES, "\xc3");
		bool middle = in > 0 && in < 5;
		enum text_why why;

		/* From before, and from behind. */
		c.bytes[LEAD - 52] = 0xeb;
		c.bytes[LEAD - 51] = (uint8_t)(50 + in);
		cr_expect_eq(text_reloc_find(c.bytes, c.len, c.off, TEXT_JUMP, 0, &why), middle ? 0 : 11, "to %u", in);
		memset(c.bytes + LEAD - 52, 0x90, 2);
		c.bytes[LEAD + 60] = 0x75;
		c.bytes[LEAD + 61] = (uint8_t)(in - 62);
		cr_expect_eq(text_reloc_find(c.bytes, c.len, c.off, TEXT_JUMP, 0, &why), middle ? 0 : 11, "to %u", in);
		/* The same bytes as a part of mov $imm,%eax are no jump. */
		memcpy(c.bytes + LEAD + 59, "\xb8", 1);
		cr_expect_eq(text_reloc_find(c.bytes, c.len, c.off, TEXT_JUMP, 0, &why), 11, "to %u", in);
	}
}

Test(text_site, far_jumps)
{
	uint8_t text[4096], bits[512] = {0};
	int32_t rel = 3000 - 105;

	memset(text, 0x90, sizeof(text));
	text[100] = 0xe8;
	memcpy(text + 101, &rel, 4);
	rel = 50 - 206;
	memcpy(text + 200, "\x0f\x84", 2);
	memcpy(text + 202, &rel, 4);
	rel = 5000;
	text[300] = 0xe9;
	memcpy(text + 301, &rel, 4);
	text_far_jumps(text, sizeof(text), bits);
	for (unsigned i = 0; i < sizeof(text); i++)
		cr_expect_eq(bits[i / 8] >> (i % 8) & 1, i == 3000 || i == 50, "%u", i);
}

Test(text_site, padding)
{
	uint8_t text[1024];
	unsigned n = 0;

	memset(text, 0x48, sizeof(text)); /* neither padding nor a jump */
	memset(text, 0x90, 400);
	memset(text + 400, 0x53, 100);    /* push %rbx */
	text[416] = 0xc3;
	memcpy(text + 417, "\x66\x2e\x0f\x1f\x84\0\0\0\0\0\x0f\x1f\x44\0\0", 15);
	cr_expect_eq(text_padding_find(text, sizeof(text), 480, 0, &n), 417);
	cr_expect_eq(n, 15);
	cr_expect_eq(text_padding_find(text, sizeof(text), 480, 417 + n, &n), SIZE_MAX);
	/* Its nearest five bytes are still in reach, or no longer; and from the other side. */
	cr_expect_eq(text_padding_find(text, sizeof(text), 432 - 5 + 128, 0, &n), 417);
	cr_expect_eq(text_padding_find(text, sizeof(text), 432 - 5 + 129, 0, &n), SIZE_MAX);
	cr_expect_eq(text_padding_find(text, sizeof(text), 417 - 127, 0, &n), 417);
	cr_expect_eq(text_padding_find(text, sizeof(text), 417 - 128, 0, &n), SIZE_MAX);
	/* Somebody jumps there. */
	memcpy(text + 450, "\xeb\xe0", 2);
	cr_expect_eq(text_padding_find(text, sizeof(text), 480, 0, &n), SIZE_MAX);
	memset(text + 450, 0x53, 2);
	/* It is reached from before. */
	text[416] = 0x53;
	cr_expect_eq(text_padding_find(text, sizeof(text), 480, 0, &n), SIZE_MAX);
	/* A function's own first nops, or too short. */
	text[416] = 0xc3;
	text[431] = 0x90;
	text[432] = 0x90;
	cr_expect_eq(text_padding_find(text, sizeof(text), 480, 0, &n), SIZE_MAX);
	memset(text + 417, 0x53, 20);
	text[427] = 0xc3;
	memset(text + 428, 0xcc, 4);
	cr_expect_eq(text_padding_find(text, sizeof(text), 480, 0, &n), SIZE_MAX);
	text[426] = 0xc3;
	text[427] = 0xcc;
	cr_expect_eq(text_padding_find(text, sizeof(text), 480, 0, &n), 427);
	cr_expect_eq(n, 5);
}

/* What the copy names is what the original named; its end leads back. */
Test(text_site, moved_code)
{
	const uint8_t p[] = {0x48, 0x8d, 0x35, 0x00, 0x10, 0, 0, 0x83, 0x05, 0xf0, 0xff, 0xff, 0xff, 0x01, 0x31, 0xd2};
	const uint64_t site = 0x5010, slot = site - sizeof(p) + TEXT_NEAR_SHIFT;
	uint8_t code[TEXT_RELOC_LEN];
	unsigned n = text_encode_reloc(code, p, sizeof(p), slot, site);
	unsigned begins[] = {0, 7, 14, 16, 23}, done[] = {0, 7, 14, 16, 16};

	cr_assert_eq(n, sizeof(p) + 15);
	cr_expect_eq(slot + 7 + (uint64_t)(int64_t)rel32(code + 3), 0x5000 + 7 + 0x1000);
	cr_expect_eq(slot + 14 + (uint64_t)(int64_t)rel32(code + 9), 0x5000 + 14 - 16);
	cr_expect(code[0] == 0x48 && code[7] == 0x83 && code[13] == 1 && code[14] == 0x31 && code[15] == 0xd2);
	cr_expect_eq(slot + 16 + 7 + (uint64_t)(int64_t)rel32(code + 19), site + 2);
	for (unsigned at = 0; at < 40; at++) {
		int want = -1;

		for (unsigned i = 0; i < 5; i++)
			want = at == begins[i] ? (int)done[i] : want;
		cr_expect_eq(text_reloc_done(code, sizeof(p), at), want, "%u", at);
	}
	/* Out of reach. */
	cr_expect_eq(text_encode_reloc(code, p, sizeof(p), site + 0x7ff00000, site), sizeof(p) + 15);
	cr_expect_eq(text_encode_reloc(code, p, sizeof(p), site + 0x80100000UL, site), 0);
}
