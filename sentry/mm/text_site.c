/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call sites as bytes: which may be rewritten, and into what.
 *
 *	punned   0f 05 | 48 3d 00 f0 ff ff     syscall; cmp $-4096, %rax
 *	         e9 05   48 3d 00 f0 ff ff     jmp +0x003d4805, and behind it the same compare
 *
 *	mov      b8 01 00 00 00 | 0f 05        mov $1, %eax; syscall
 *	         e9 xx xx xx xx   0f 05        jmp to a slot, and behind it the same syscall
 *
 *	moved    b8 04 00 00 00 | 4c 89 cf | 48 89 d6 | 0f 05     mov $4, %eax; mov %r9, %rdi; mov %rdx, %rsi; syscall
 *	         e9 xx xx xx xx   4c 89 cf   48 89 d6   0f 05     jmp to a slot, which does all of them, and the rest as it was
 *
 * A punned site changes in its first byte only. Before, between and after the store every address that was the start of
 * an instruction still is one: a thread that returns to behind the syscall finds its compare, one that jumps to the site
 * finds a jump. So it needs no knowledge of what is around it and may be written while threads run there.
 *
 * A rewritten mov is safe only if the five bytes are an instruction of their own, which bytes alone can't prove. The
 * immediate must be the number that the call really had, which a tail of another instruction hardly is; the tails that are
 * imaginable (prefixes, an eight-bit displacement of -0x48, a longer move) are refused by the bytes before. A jump past the
 * mov to the syscall itself stays valid: those bytes aren't touched.
 *
 * The third form (RELOC) is the second at a distance, with another instruction of five bytes or more in the mov's place.
 * Still only one instruction changes, and those behind it stay where they are: a jump to one of them, a thread that stands
 * there, a handler that returns there find what they always found, and make the call the slow way. What has to be proven is
 * that the instruction begins where it seems to: every way of reading the bytes before it must come to it
 * (text_insn_begins), and no direct jump may lead into it. The instructions up to the syscall are then known, too, and so is
 * the syscall. They are moves and arithmetic, copied byte by byte: a thread that is interrupted in the copy is at the same
 * distance in the original.
 *
 *	hop      4c 89 c7 | 48 89 d6 | 0f 05 | c3   0f 1f 44 00 00     mov %r8, %rdi; mov %rdx, %rsi; syscall; ret; nop
 *	         4c 89 c7   eb 03 d6   0f 05   c3   e9 xx xx xx xx     ...; jmp to the padding; ...; ret; jmp to a slot
 *
 * Where no instruction is as long, one of two bytes or more becomes a short jump to padding behind a return or a jump, in
 * which a long one is put: nothing ever runs there, as far as no pointer leads to it.
 *
 * A slot ends in `jmp *%gs:8`, the entry of the shim in the stub, with RCX behind the syscall as the processor would leave
 * it. It changes no other register and no flag; but the shim may, so a site is left alone if the instructions behind
 * its syscall could read the flags before one of them sets them. (In punned sites a compare follows.)
 *
 * The guest controls every byte. Nothing here is read outside [text, text + len), and the worst that a forged text gets is a
 * jump in its own code.
 */
#include "sentry/mm/text_site.h"

#include "sentry/mm/text_insn.h"

#include <string.h>

#define GS_ENTRY 0x65, 0xff, 0x24, 0x25, 0x08, 0x00, 0x00, 0x00 /* jmp *%gs:8 */
#define LOOKS 8        /* closer looks in one question: what takes more is hostile text, and refused */
#define FLAGS_STEPS 32 /* instructions behind a syscall that are looked at */
#define NR_MAX 512
#define NR_RT_SIGRETURN 15

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

enum text_form text_punned(const uint8_t *text, size_t len, size_t off)
{
	const uint8_t *p = text + off;

	if (off > len || len - off < 5 || p[0] != 0x0f || p[1] != 0x05 || p[2] != 0x48 || p[3] != 0x3d)
		return TEXT_FORM_NONE;
	return p[4] == 0 ? TEXT_FORM_NEAR : p[4] == 1 ? TEXT_FORM_FAR : TEXT_FORM_NONE;
}

static bool two_byte_ignores_flags(uint8_t op)
{
	switch (op) {
	case 0x05:            /* syscall */
	case 0x0b:            /* ud2 */
	case 0x10 ... 0x17:   /* vector moves */
	case 0x1e ... 0x1f:   /* endbr, nop */
	case 0x28 ... 0x29:
	case 0x50 ... 0x76:   /* vectors */
	case 0x7e ... 0x7f:
	case 0xd0 ... 0xfe:
	case 0xaf:            /* imul */
	case 0xb0 ... 0xb1:   /* cmpxchg */
	case 0xc0 ... 0xc1:   /* xadd */
	case 0xb6 ... 0xb7:
	case 0xbe ... 0xbf: /* movzx, movsx */
		return true;
	default:
		return false;
	}
}

static bool is_prefix(uint8_t byte)
{
	return byte == 0x66 || byte == 0xf0 || byte == 0xf2 || byte == 0xf3 || byte == 0x64 || (byte & 0xf0) == 0x40;
}

bool text_ignores_flags(const uint8_t *p, size_t n)
{
	size_t at = 0;
	uint8_t op;

	while (at < n && at < 4 && is_prefix(p[at]))
		at++;
	if (at >= n)
		return false;
	op = p[at];
	switch (op) {
	case 0x00 ... 0x05: /* add */
	case 0x08 ... 0x0d: /* or */
	case 0x20 ... 0x25: /* and */
	case 0x28 ... 0x2d: /* sub */
	case 0x30 ... 0x35: /* xor */
	case 0x38 ... 0x3d: /* cmp */
	case 0x50 ... 0x5f: /* push, pop */
	case 0x63:          /* movsxd */
	case 0x68: case 0x6a:
	case 0x84 ... 0x8b: /* test, xchg, mov */
	case 0x8d: case 0x90:
	case 0x98 ... 0x99: /* cltq, cqo */
	case 0xa8 ... 0xa9: /* test */
	case 0xb0 ... 0xbf: /* mov */
	case 0xc3:
	case 0xc6 ... 0xc7:
	case 0xc9: case 0xcc:
	case 0xe8: case 0xe9: case 0xeb:
	case 0xf4:
	case 0xf6 ... 0xf7:
	case 0xff:
		return true;
	case 0x80: case 0x81: case 0x83: /* with an immediate: not adc, sbb */
		return at + 1 < n && ((p[at + 1] >> 3) & 7) != 2 && ((p[at + 1] >> 3) & 7) != 3;
	case 0x0f:
		return at + 1 < n && two_byte_ignores_flags(p[at + 1]);
	default:
		return false;
	}
}

/* Does the instruction at p, which ignores the flags, set all of them? */
static bool sets_flags(const uint8_t *p, size_t n)
{
	size_t at = 0;
	unsigned reg;

	while (at + 1 < n && at < 4 && is_prefix(p[at]))
		at++;
	reg = at + 1 < n ? p[at + 1] >> 3 & 7 : 0;
	switch (p[at]) {
	case 0x00 ... 0x05: case 0x08 ... 0x0d:
	case 0x20 ... 0x25: case 0x28 ... 0x2d:
	case 0x30 ... 0x35: case 0x38 ... 0x3d:
	case 0x80: case 0x81: case 0x83: case 0x84: case 0x85: case 0xa8: case 0xa9:
		return true;
	case 0xf6: case 0xf7:
		return reg == 0 || reg == 3; /* test, neg */
	case 0x0f:
		return at + 1 < n && (p[at + 1] == 0xb0 || p[at + 1] == 0xb1 || p[at + 1] == 0xc0 || p[at + 1] == 0xc1);
	default:
		return false;
	}
}

/* Nobody keeps flags across one of these, or nothing comes behind it. */
static bool ends_flags(const uint8_t *p, size_t n)
{
	size_t at = 0;

	while (at + 1 < n && at < 4 && is_prefix(p[at]))
		at++;
	if (p[at] == 0xff && at + 1 < n)
		return (p[at + 1] >> 3 & 7) >= 2 && (p[at + 1] >> 3 & 7) <= 5; /* call, jmp */
	return p[at] == 0xc3 || p[at] == 0xe8 || p[at] == 0xf4 || p[at] == 0xcc || (p[at] == 0x0f && at + 1 < n && p[at + 1] == 0x0b);
}

bool text_flags_unused(const uint8_t *text, size_t len, size_t at)
{
	struct text_insn insn;

	for (unsigned i = 0; i < FLAGS_STEPS && at < len; i++) {
		if (text_insn_decode(text + at, len - at, &insn) != TEXT_INSN_OK || !text_ignores_flags(text + at, insn.len))
			return false;
		if (sets_flags(text + at, insn.len) || ends_flags(text + at, insn.len))
			return true;
		at += insn.len;
		if (!insn.jumps)
			continue;
		/* Out of sight: to another function. */
		if ((insn.rel < 0 && (uint64_t)-(int64_t)insn.rel > at) || (insn.rel >= 0 && (uint64_t)insn.rel >= len - at))
			return true;
		at += (uint64_t)(int64_t)insn.rel;
	}
	return false;
}

/* May the byte at off - 5 belong to an instruction that began before it? p points at it, `before` bytes lie in front. */
static bool may_be_a_tail(const uint8_t *p, size_t before)
{
	/* A prefix makes it another register or width; REX.W an eight-byte immediate. */
	if (before >= 1 && ((p[-1] & 0xf0) == 0x40 || p[-1] == 0x66 || p[-1] == 0xf2 || p[-1] == 0xf3))
		return true;
	/* mov $imm32, -0x48(%reg), and the same with a SIB byte; an indexed load whose SIB is b8; an escape or ModRM. */
	if (before >= 2 && (p[-2] == 0xc7 || p[-2] == 0x81 || p[-2] == 0x69) && (p[-1] & 0xc0) == 0x40)
		return true;
	if (before >= 3 && (p[-3] == 0xc7 || p[-3] == 0x81 || p[-3] == 0x69) && (p[-2] & 0xc7) == 0x44)
		return true;
	if (before >= 2 && (p[-2] == 0x8b || p[-2] == 0x89 || p[-2] == 0x8d || p[-2] == 0xc7) && (p[-1] & 0xc7) == 0x84)
		return true;
	return before >= 1 && (p[-1] == 0x0f || p[-1] == 0x8b || p[-1] == 0x8d || p[-1] == 0xc7 || p[-1] == 0x81);
}

enum text_why text_mov_check(const uint8_t *text, size_t len, size_t off, int nr)
{
	const uint8_t *mov;

	if (nr == NR_RT_SIGRETURN)
		return TEXT_WHY_SIGRETURN;
	if (off < 5 || off > len || len - off < 2 || text[off] != 0x0f || text[off + 1] != 0x05)
		return TEXT_WHY_NO_PATTERN;
	mov = text + off - 5;
	if (mov[0] != 0xb8 || nr < 0 || nr >= NR_MAX || get32(mov + 1) != (uint32_t)nr || may_be_a_tail(mov, off - 5))
		return TEXT_WHY_NO_PATTERN;
	return text_flags_unused(text, len, off + 2) ? TEXT_WHY_NONE : TEXT_WHY_FLAGS;
}

/* ---- moved instructions ---- */

/* Do movable instructions, the first of so many bytes or more, fill [at, off) just so? */
static bool chain_ok(const uint8_t *text, size_t len, size_t at, size_t off, unsigned least)
{
	struct text_insn insn;

	for (bool first = true; at < off; first = false) {
		if (text_insn_decode(text + at, len - at, &insn) != TEXT_INSN_OK || !insn.movable || (first && insn.len < least))
			return false;
		at += insn.len;
	}
	return at == off;
}

/* Is what looks like a short jump at text + at surely a part of an instruction that isn't one? */
static bool surely_no_jump(const uint8_t *text, size_t len, size_t at)
{
	for (size_t back = 1; back < TEXT_INSN_MAX && back <= at; back++) {
		struct text_insn insn;

		if (text_insn_decode(text + at - back, len - (at - back), &insn) == TEXT_INSN_OK && insn.len > back &&
		    !insn.jumps && text_insn_begins(text, len, at - back))
			return true;
	}
	return false;
}

bool text_short_jump_to(const uint8_t *text, size_t len, size_t at, unsigned n)
{
	size_t from = at > 130 ? at - 130 : 0;
	unsigned looks = 0;

	for (size_t p = from; p < at + n + 128 && p + 2 <= len; p++) {
		uint64_t to = p + 2 + (uint64_t)(int64_t)(int8_t)text[p + 1];

		if ((text[p] & 0xf0) != 0x70 && (text[p] & 0xfc) != 0xe0 && text[p] != 0xeb)
			continue;
		if (to >= at && to - at < n && (looks++ == LOOKS || !surely_no_jump(text, len, p)))
			return true;
	}
	return false;
}

/* What may be a far jump at text + p; six bytes are there. */
static void far_jump(const uint8_t *text, size_t len, size_t p, uint8_t *bits)
{
	uint64_t to;

	if ((text[p] & 0xfe) == 0xe8)
		to = p + 5 + (uint64_t)(int64_t)(int32_t)get32(text + p + 1);
	else if (text[p] == 0x0f && (text[p + 1] & 0xf0) == 0x80)
		to = p + 6 + (uint64_t)(int64_t)(int32_t)get32(text + p + 2);
	else
		return;
	if (to < len)
		bits[to / 8] |= (uint8_t)(1U << (to % 8));
}

void text_far_jumps(const uint8_t *text, size_t len, uint8_t *bits)
{
	typedef uint8_t bytes16 __attribute__((vector_size(16)));
	size_t p = 0;

	/* Sixteen places at a time: the text of a C library has a million. */
	for (; p + 16 + 5 <= len; p += 16) {
		bytes16 v, found;
		unsigned mask;

		memcpy(&v, text + p, sizeof(v));
		found = (bytes16)((v & 0xfe) == 0xe8) | (bytes16)(v == 0x0f);
		mask = (unsigned)__builtin_ia32_pmovmskb128((__attribute__((vector_size(16))) char)found);
		for (; mask != 0; mask &= mask - 1)
			far_jump(text, len, p + (unsigned)__builtin_ctz(mask), bits);
	}
	for (; p + 6 <= len; p++)
		far_jump(text, len, p, bits);
}

unsigned text_reloc_find(const uint8_t *text, size_t len, size_t off, unsigned jump, unsigned beyond, enum text_why *why)
{
	*why = TEXT_WHY_NO_PATTERN;
	if (off > len || len - off < 2 || text[off] != 0x0f || text[off + 1] != 0x05)
		return 0;
	for (unsigned back = MAX(jump, beyond + 1); back <= TEXT_RELOC_MAX && back <= off; back++) {
		if (!chain_ok(text, len, off - back, off, jump) || !text_insn_begins(text, len, off - back))
			continue;
		if (text_short_jump_to(text, len, off - back + 1, jump - 1))
			return 0;
		if (!text_flags_unused(text, len, off + 2)) {
			*why = TEXT_WHY_FLAGS;
			return 0;
		}
		*why = TEXT_WHY_NONE;
		return back;
	}
	return 0;
}

/* The length of an instruction that does nothing, as assemblers write them between functions; 0: it is another. */
static unsigned nothing_len(const uint8_t *p, size_t n)
{
	struct text_insn insn;
	size_t at = 0;

	if (text_insn_decode(p, n, &insn) != TEXT_INSN_OK)
		return 0;
	while (at < insn.len && (p[at] == 0x66 || p[at] == 0x2e))
		at++;
	if (insn.len == at + 1)
		return p[at] == 0x90 || p[at] == 0xcc ? insn.len : 0;
	return p[at] == 0x0f && p[at + 1] == 0x1f ? insn.len : 0;
}

/* The length of a return or a jump, which nothing passes; 0: it is another. */
static unsigned dead_end_len(const uint8_t *p, size_t n)
{
	unsigned len = p[0] == 0xc3 ? 1 : p[0] == 0xeb ? 2 : p[0] == 0xe9 ? 5 : 0;

	return len <= n ? len : 0;
}

size_t text_padding_find(const uint8_t *text, size_t len, size_t end, size_t from, unsigned *n)
{
	unsigned looks = 0;

	for (size_t at = MAX(from, end > 128 + 20 ? end - 128 - 20 : 0); at < len && at < end + 128; at++) {
		unsigned dead = dead_end_len(text + at, len - at), got = 0, step;
		size_t start = at + dead;

		if (dead == 0 || start < from)
			continue;
		while (start + got < len && (step = nothing_len(text + start + got, len - start - got)) != 0)
			got += step;
		/* To the next multiple, and not a function that begins by doing nothing. */
		if (got < TEXT_JUMP || got >= 16 || (start + got) % 16 != 0)
			continue;
		/* The last place for a jump mustn't be too far before, nor the first too far behind. */
		if (start + got - TEXT_JUMP + 128 < end || start > end + 127)
			continue;
		if (looks++ == LOOKS)
			break;
		if (!text_insn_begins(text, len, at) || text_short_jump_to(text, len, start, got))
			continue;
		*n = got;
		return start;
	}
	return SIZE_MAX;
}

unsigned text_encode_reloc(uint8_t code[TEXT_RELOC_LEN], const uint8_t *p, unsigned back, uint64_t slot, uint64_t site)
{
	static const uint8_t entry[] = {GS_ENTRY};
	/* Everything comes to lie this much further. */
	int64_t shift = (int64_t)(slot - (site - back)), behind = (int64_t)(site + 2 - (slot + back + 7));
	struct text_insn insn;

	if (behind < INT32_MIN || behind > INT32_MAX)
		return 0;
	memcpy(code, p, back);
	for (unsigned at = 0; at < back; at += insn.len) {
		int64_t disp;

		if (text_insn_decode(code + at, back - at, &insn) != TEXT_INSN_OK)
			return 0;
		if (insn.rip_disp == 0)
			continue;
		disp = (int64_t)(int32_t)get32(code + at + insn.rip_disp) - shift;
		if (disp < INT32_MIN || disp > INT32_MAX)
			return 0;
		put32(code + at + insn.rip_disp, (uint32_t)disp);
	}
	code[back] = 0x48;
	code[back + 1] = 0x8d;
	code[back + 2] = 0x0d;
	put32(code + back + 3, (uint32_t)behind);
	memcpy(code + back + 7, entry, sizeof(entry));
	return back + 15;
}

int text_reloc_done(const uint8_t *code, unsigned back, unsigned at)
{
	struct text_insn insn;

	for (unsigned done = 0; done < back; done += insn.len) {
		if (done == at)
			return (int)done;
		if (text_insn_decode(code + done, back - done, &insn) != TEXT_INSN_OK)
			return -1;
	}
	return at == back || at == back + 7 ? (int)back : -1;
}

bool text_surely_site(const uint8_t *text, size_t len, size_t off, int nr)
{
	static const uint8_t high[] = {0xf0, 0xff, 0xff};

	if (text_punned(text, len, off) != TEXT_FORM_NONE && len - off >= 8 &&
	    memcmp(text + off + 5, high, sizeof(high)) == 0)
		return true;
	return text_mov_check(text, len, off, nr) == TEXT_WHY_NONE;
}

bool text_surely_exit(const uint8_t *text, size_t len, size_t off, int nr)
{
	/* xor %edi,%edi; mov %edx,%eax; syscall; jmp to the first */
	static const uint8_t loop[] = {0x31, 0xff, 0x89, 0xd0, 0x0f, 0x05, 0xeb, 0xf8};

	return nr == 60 && off >= 4 && off <= len && len - off >= 4 && memcmp(text + off - 4, loop, sizeof(loop)) == 0;
}

void text_encode_punned(uint8_t code[TEXT_PUNNED_LEN], enum text_form form)
{
	static const uint8_t entry[] = {GS_ENTRY};
	/* From behind the lea back to the site's third byte. */
	uint32_t disp = (uint32_t)text_shift(form) + 0x805;

	code[0] = 0x48; /* lea rel32(%rip), %rcx */
	code[1] = 0x8d;
	code[2] = 0x0d;
	put32(code + 3, 0U - (disp + 10));
	memcpy(code + 7, entry, sizeof(entry));
}

void text_encode_mov(uint8_t code[TEXT_MOV_LEN], uint32_t nr, uint64_t slot, uint64_t site)
{
	static const uint8_t entry[] = {GS_ENTRY};

	code[0] = 0xb8;
	put32(code + 1, nr);
	code[5] = 0x48;
	code[6] = 0x8d;
	code[7] = 0x0d;
	put32(code + 8, (uint32_t)(site + 2 - (slot + 12)));
	memcpy(code + 12, entry, sizeof(entry));
}

void text_encode_jump(uint8_t code[5], uint64_t slot, uint64_t end)
{
	code[0] = 0xe9;
	put32(code + 1, (uint32_t)(slot - end));
}

bool text_slot_boundary(enum text_form form, unsigned at)
{
	if (form == TEXT_FORM_MOV)
		return at == 0 || at == 5 || at == 12;
	return at == 0 || at == 7;
}
