/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as text whose instructions may move. The bytes lie in an allocation of just their length. Checked: where an
 * instruction is said to begin, reading forward from fifteen places in a row says so too; what moves is whole instructions up
 * to the syscall, of the kinds that may, and what the copies name is what the originals named; no short jump that is one by
 * itself leads into what changes; padding is padding.
 */
#include "tests/fuzz/fuzz.h"

#include "sentry/mm/text_insn.h"
#include "sentry/mm/text_site.h"

static int32_t get32(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, 4);
	return v;
}

static void decode(const uint8_t *text, size_t len, size_t at)
{
	struct text_insn insn, again;
	enum text_decoded got = text_insn_decode(text + at, len - at, &insn);

	if (got != TEXT_INSN_OK) {
		FUZZ_CHECK(got == TEXT_INSN_NEVER || got == TEXT_INSN_UNKNOWN);
		return;
	}
	FUZZ_CHECK(insn.len >= 1 && insn.len <= TEXT_INSN_MAX && insn.len <= len - at);
	FUZZ_CHECK(insn.rip_disp == 0 || (insn.rip_disp >= 2 && insn.rip_disp + 4U <= insn.len));
	FUZZ_CHECK(!insn.movable || !insn.jumps);
	/* What lies behind it doesn't matter, and with a byte less it is none. */
	FUZZ_CHECK(text_insn_decode(text + at, insn.len, &again) == TEXT_INSN_OK && again.len == insn.len &&
		   again.movable == insn.movable && again.rel == insn.rel);
	if (insn.len > 1)
		FUZZ_CHECK(text_insn_decode(text + at, insn.len - 1, &again) != TEXT_INSN_OK);
}

/* Forward: 1 it comes to `at`, 0 it ends before, -1 it goes past or may. */
static int read_from(const uint8_t *text, size_t len, size_t from, size_t at)
{
	struct text_insn insn;

	while (from < at) {
		enum text_decoded got = text_insn_decode(text + from, len - from, &insn);

		if (got != TEXT_INSN_OK)
			return got == TEXT_INSN_NEVER ? 0 : -1;
		from += insn.len;
	}
	return from == at ? 1 : -1;
}

static bool begins(const uint8_t *text, size_t len, size_t at)
{
	unsigned run = 0, hits = 0;

	for (size_t back = 1; back <= at && back <= TEXT_SURE_BEFORE; back++) {
		int got = read_from(text, len, at - back, at);

		run = got < 0 ? 0 : run + 1;
		hits = got < 0 ? 0 : hits + (got > 0);
		if (run >= 15 && hits != 0)
			return true;
	}
	return false;
}

static bool in_the_middle(const uint8_t *text, size_t len, size_t at)
{
	struct text_insn insn;

	for (size_t p = at > 14 ? at - 14 : 0; p < at; p++)
		if (text_insn_decode(text + p, len - p, &insn) == TEXT_INSN_OK && insn.len > at - p && begins(text, len, p))
			return true;
	return false;
}

static void check_copy(const uint8_t *p, unsigned back, uint64_t slot, uint64_t site)
{
	uint8_t code[TEXT_RELOC_LEN];
	unsigned n = text_encode_reloc(code, p, back, slot, site);
	struct text_insn was, is;

	if (n == 0)
		return;
	FUZZ_CHECK(n == back + 15);
	for (unsigned at = 0; at < back; at += was.len) {
		FUZZ_CHECK(text_insn_decode(p + at, back - at, &was) == TEXT_INSN_OK && was.movable);
		FUZZ_CHECK(text_insn_decode(code + at, back - at, &is) == TEXT_INSN_OK && is.len == was.len);
		for (unsigned i = 0; i < was.len; i++)
			FUZZ_CHECK(code[at + i] == p[at + i] ||
				   (was.rip_disp != 0 && i >= was.rip_disp && i < was.rip_disp + 4U));
		if (was.rip_disp != 0)
			FUZZ_CHECK(slot + (uint64_t)(int64_t)get32(code + at + was.rip_disp) ==
				   site - back + (uint64_t)(int64_t)get32(p + at + was.rip_disp));
		FUZZ_CHECK(text_reloc_done(code, back, at) == (int)at);
		for (unsigned i = 1; i < was.len; i++)
			FUZZ_CHECK(text_reloc_done(code, back, at + i) == -1);
	}
	FUZZ_CHECK(text_reloc_done(code, back, back) == (int)back && text_reloc_done(code, back, back + 7) == (int)back);
	FUZZ_CHECK(slot + back + 7 + (uint64_t)(int64_t)get32(code + back + 3) == site + 2);
}

static void find(const uint8_t *text, size_t len, size_t off, unsigned jump, uint64_t slot, uint64_t start)
{
	enum text_why why;
	unsigned back = 0;

	while ((back = text_reloc_find(text, len, off, jump, back, &why)) != 0) {
		struct text_insn insn;
		size_t at = off - back;

		FUZZ_CHECK(why == TEXT_WHY_NONE && back >= jump && back <= TEXT_RELOC_MAX && back <= off);
		FUZZ_CHECK(text[off] == 0x0f && text[off + 1] == 0x05 && begins(text, len, at));
		FUZZ_CHECK(text_flags_unused(text, len, off + 2));
		FUZZ_CHECK(text_insn_decode(text + at, len - at, &insn) == TEXT_INSN_OK && insn.len >= jump);
		FUZZ_CHECK(read_from(text, len, at, off) == 1);
		/* A short jump doesn't lead in, unless it is in the middle of something else. */
		for (size_t p = 0; p < len; p++)
			if (text_insn_decode(text + p, len - p, &insn) == TEXT_INSN_OK && insn.jumps && insn.len == 2 &&
			    p + 2 + (uint64_t)(int64_t)insn.rel - at - 1 < jump - 1U)
				FUZZ_CHECK(in_the_middle(text, len, p));
		check_copy(text + at, back, slot, start + off);
	}
	FUZZ_CHECK(why != TEXT_WHY_NONE || back == 0);
}

static void padding(const uint8_t *text, size_t len, size_t end)
{
	size_t at = 0;
	unsigned n = 0;

	while ((at = text_padding_find(text, len, end, at, &n)) != SIZE_MAX) {
		FUZZ_CHECK(n >= 5 && n < 16 && at + n <= len && (at + n) % 16 == 0);
		FUZZ_CHECK(text[at - 1] == 0xc3 || (at >= 2 && text[at - 2] == 0xeb) || (at >= 5 && text[at - 5] == 0xe9));
		FUZZ_CHECK(at <= end + 127 && at + n - 5 + 128 >= end);
		FUZZ_CHECK(read_from(text, len, at, at + n) == 1);
		at += n;
	}
}

static void run(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	uint64_t slot = fuzz_u32(&in), start = fuzz_u8(&in) * 4096UL;
	unsigned lead = fuzz_u8(&in) % 2 * 64U; /* nops, after which it is clear where instructions begin */
	size_t n = (size_t)(in.end - in.at), len = lead + n;
	uint8_t *text = malloc(len + (len == 0));
	uint8_t *bits = calloc(1, len / 8 + 1);

	memset(text, 0x90, lead);
	if (n != 0)
		memcpy(text + lead, in.at, n);
	for (size_t at = 0; at < len; at++) {
		decode(text, len, at);
		if (at % 32 == slot % 32) /* it takes time */
			FUZZ_CHECK(text_insn_begins(text, len, at) == begins(text, len, at));
		if (at + 2 <= len && text[at] == 0x0f && text[at + 1] == 0x05) {
			find(text, len, at, TEXT_JUMP, slot, start);
			find(text, len, at, TEXT_HOP, slot, start);
		}
	}
	for (size_t end = slot % 64; end <= len; end += 48)
		padding(text, len, end);
	text_far_jumps(text, len, bits);
	for (size_t at = 0; at + 6 <= len; at++) {
		uint64_t to = at + 5 + (uint64_t)(int64_t)get32(text + at + 1);

		if ((text[at] & 0xfe) == 0xe8 && to < len)
			FUZZ_CHECK(bits[to / 8] >> (to % 8) & 1);
	}
	free(bits);
	free(text);
}

const struct fuzz_target fuzz_text_reloc = {.name = "text_reloc", .run = run};
