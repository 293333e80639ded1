/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of call sites, as a sandbox that was taken over would write it, and the head of an ELF file whose build-id is
 * looked for. What the check takes can be walked and joined without looking again, and what comes of that passes the check.
 * Input: damage (pairs of an offset and a word) to a good cache, or bytes as they are.
 */
#include "tests/fuzz/fuzz.h"

#include "runtime/gate_cache.h"
#include "sentry/mm/text_internal.h"

static uint64_t good[64], in_words[512], out[GATE_CACHE_MAX / 8];
static uint32_t good_size;

static void init(void)
{
	struct gate_cache_image key = {.id = {1, 2, 3}, .id_len = 20, .file_size = 1 << 20, .text_len = 0x10000};

	gate_cache_begin(good);
	for (uint32_t i = 0; i < 2; i++) {
		struct gate_cache_site *s = gate_cache_add(good, sizeof(good), &key, 4 - i);

		for (uint32_t n = 0; n < 4 - i; n++)
			s[n] = (struct gate_cache_site){100 + 16 * n, 3};
		key.text_off = 0x10000;
	}
	good_size = ((struct gate_cache_head *)good)->size;
	FUZZ_CHECK(gate_cache_check(good, good_size));
}

static void use(const void *data, size_t size)
{
	const struct gate_cache_head *head = data;
	const struct gate_cache_image *i = gate_cache_first(data);
	uint64_t sum = 0;

	for (uint32_t n = 0; n < head->nimages; n++, i = gate_cache_next(i)) {
		FUZZ_CHECK(gate_cache_find(data, i) != NULL);
		for (uint32_t k = 0; k < i->nsites; k++) {
			FUZZ_CHECK(gate_cache_sites(i)[k].off <= i->text_len - 2);
			sum += gate_cache_sites(i)[k].nr;
		}
	}
	FUZZ_CHECK(sum <= size * 512);
	FUZZ_CHECK(gate_cache_check(out, gate_cache_merge(out, sizeof(out), data, good)));
	FUZZ_CHECK(gate_cache_check(out, gate_cache_merge(out, sizeof(out), good, data)));
	FUZZ_CHECK(gate_cache_merge(out, 200, data, NULL) <= 200);
}

static void run(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	uint8_t id[TEXT_ID_MAX];
	size_t len = size < sizeof(in_words) ? size : sizeof(in_words);

	(void)text_build_id(data, size, id);
	if (len != 0)
		memcpy(in_words, data, len);
	if (gate_cache_check(in_words, len))
		use(in_words, len);
	memcpy(in_words, good, good_size);
	len = good_size - fuzz_u8(&in) % 2 * 8UL * fuzz_u8(&in) % good_size;
	while (fuzz_more(&in)) {
		uint32_t at = fuzz_u8(&in) % (good_size / 4), word = fuzz_u8(&in);

		if (word >= 0xf0)
			word = (word & 8 ? 0xfffffff0 : 0x10000) + (word & 7);
		((uint32_t *)in_words)[at] = word;
	}
	if (gate_cache_check(in_words, len))
		use(in_words, len);
}

const struct fuzz_target fuzz_gate_cache = {.name = "gate_cache", .init = init, .run = run};
