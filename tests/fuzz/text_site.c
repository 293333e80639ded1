/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as text: which places would be rewritten, and into what. The bytes lie in an allocation of just their length, so
 * that a look outside is seen. Checked: what is recognised is what the forms say, and the code that is made leads from the
 * site to its slot and back behind its syscall, by an interpreter of the few instructions there are.
 */
#include "tests/fuzz/fuzz.h"

#include "sentry/mm/text_site.h"

static int32_t get32(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, 4);
	return v;
}

/* lea rel32(%rip), %rcx; jmp *%gs:8, at address at: what RCX is. */
static uint64_t run_tail(const uint8_t *p, uint64_t at)
{
	static const uint8_t entry[] = {0x65, 0xff, 0x24, 0x25, 8, 0, 0, 0};

	FUZZ_CHECK(p[0] == 0x48 && p[1] == 0x8d && p[2] == 0x0d && memcmp(p + 7, entry, sizeof(entry)) == 0);
	return at + 7 + (uint64_t)(int64_t)get32(p + 3);
}

static void punned(const uint8_t *text, size_t len, size_t off, uint64_t start)
{
	enum text_form form = text_punned(text, len, off);
	uint8_t code[TEXT_PUNNED_LEN], jump[5];
	uint64_t slot;

	if (form == TEXT_FORM_NONE)
		return;
	FUZZ_CHECK(form == TEXT_FORM_NEAR || form == TEXT_FORM_FAR);
	FUZZ_CHECK(off + 5 <= len && text[off] == 0x0f && text[off + 1] == 0x05);
	memcpy(jump, text + off, 5);
	jump[0] = 0xe9;
	/* Where the region's slot for this site is, as text.c computes it. */
	slot = start + text_shift(form) + off + TEXT_SLOT_SHIFT;
	FUZZ_CHECK(start + off + 5 + (uint64_t)(int64_t)get32(jump + 1) == slot);
	FUZZ_CHECK(off + TEXT_SLOT_SHIFT + TEXT_PUNNED_LEN <= text_pool_start(len));
	text_encode_punned(code, form);
	FUZZ_CHECK(run_tail(code, slot) == start + off + 2);
}

static void mov(const uint8_t *text, size_t len, size_t off, int nr, uint64_t start, uint32_t slot_nr)
{
	enum text_why why = text_mov_check(text, len, off, nr);
	uint64_t slot = text_pool_start(len) + slot_nr % (TEXT_POOL_LEN / TEXT_POOL_SLOT) * TEXT_POOL_SLOT;
	enum text_form region = slot_nr & 0x80000000U ? TEXT_FORM_FAR : TEXT_FORM_NEAR;
	uint8_t code[TEXT_MOV_LEN], jump[5];
	uint64_t from_text = text_shift(region) + slot;

	FUZZ_CHECK(why < TEXT_NWHY);
	if (why != TEXT_WHY_NONE)
		return;
	FUZZ_CHECK(off >= 5 && off + 2 <= len && nr >= 0 && nr != 15 && text[off - 5] == 0xb8 && get32(text + off - 4) == nr);
	FUZZ_CHECK(text[off] == 0x0f && text[off + 1] == 0x05);
	FUZZ_CHECK(slot + TEXT_MOV_LEN <= text_region_len(len));
	text_encode_jump(jump, from_text, off);
	FUZZ_CHECK(jump[0] == 0xe9 && start + off + (uint64_t)(int64_t)get32(jump + 1) == start + from_text);
	text_encode_mov(code, (uint32_t)nr, from_text, off);
	FUZZ_CHECK(code[0] == 0xb8 && get32(code + 1) == nr);
	FUZZ_CHECK(run_tail(code + 5, start + from_text + 5) == start + off + 2);
}

static void run(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	uint64_t start = (fuzz_u32(&in) & 0xfffffff) * 4096UL;
	uint32_t slot = fuzz_u32(&in);
	int nr = (int16_t)fuzz_u16(&in);
	size_t len = (size_t)(in.end - in.at);
	uint8_t *text = malloc(len + (len == 0));

	if (len != 0)
		memcpy(text, in.at, len);
	for (size_t off = 0; off <= len + 1; off++) {
		punned(text, len, off, start);
		mov(text, len, off, nr, start, slot);
		/* The number that the bytes hold, as a call that came from there would have. */
		if (off >= 5 && off <= len)
			mov(text, len, off, get32(text + off - 4), start, slot);
		if (off < len)
			(void)!text_ignores_flags(text + off, len - off);
	}
	for (enum text_form form = TEXT_FORM_NEAR; form < TEXT_NFORMS; form++)
		FUZZ_CHECK(text_slot_boundary(form, 0) && !text_slot_boundary(form, 1) && !text_slot_boundary(form, slot | 64));
	free(text);
}

const struct fuzz_target fuzz_text_site = {.name = "text_site", .run = run};
