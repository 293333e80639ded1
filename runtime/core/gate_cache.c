/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of call sites as bytes: checking, looking up, joining. Pure functions: see runtime/gate_cache.h. */
#include "runtime/gate_cache.h"

#include <string.h>

#define NR_RT_SIGRETURN 15
#define PAGE 4096ULL
#define MIN(a, b) ((a) < (b) ? (a) : (b))

static bool image_ok(const struct gate_cache_image *i)
{
	static const uint8_t zeros[GATE_CACHE_ID_MAX];

	if (i->id_len < 8 || i->id_len > GATE_CACHE_ID_MAX ||
	    memcmp(i->id + i->id_len, zeros, GATE_CACHE_ID_MAX - i->id_len) != 0)
		return false;
	return i->nsites != 0 && i->nsites <= GATE_CACHE_SITES_MAX && i->text_len != 0 &&
	       i->text_len <= GATE_CACHE_TEXT_MAX && i->text_len % PAGE == 0 && i->text_off % PAGE == 0 &&
	       i->file_size < 1ULL << 40 && i->text_off < i->file_size;
}

static bool sites_ok(const struct gate_cache_image *i)
{
	const struct gate_cache_site *s = gate_cache_sites(i);

	for (uint32_t n = 0; n < i->nsites; n++)
		if (s[n].off > i->text_len - 2 || s[n].nr >= GATE_CACHE_NR_MAX || s[n].nr == NR_RT_SIGRETURN ||
		    (n != 0 && s[n].off <= s[n - 1].off))
			return false;
	return true;
}

bool gate_cache_check(const void *data, size_t size)
{
	const struct gate_cache_head *head = data;
	const struct gate_cache_image *i;
	size_t left;

	if (size < sizeof(*head) || size > GATE_CACHE_MAX || head->magic != GATE_CACHE_MAGIC || head->size != size)
		return false;
	i = gate_cache_first(data);
	left = size - sizeof(*head);
	for (uint32_t n = 0; n < head->nimages; n++) {
		if (left < sizeof(*i) || !image_ok(i) ||
		    (left - sizeof(*i)) / sizeof(struct gate_cache_site) < i->nsites || !sites_ok(i))
			return false;
		left -= sizeof(*i) + i->nsites * sizeof(struct gate_cache_site);
		i = gate_cache_next(i);
	}
	return left == 0;
}

static bool same_key(const struct gate_cache_image *a, const struct gate_cache_image *b)
{
	return a->id_len == b->id_len && memcmp(a->id, b->id, sizeof(a->id)) == 0 && a->file_size == b->file_size &&
	       a->text_off == b->text_off && a->text_len == b->text_len;
}

const struct gate_cache_image *gate_cache_find(const void *data, const struct gate_cache_image *key)
{
	const struct gate_cache_head *head = data;
	const struct gate_cache_image *i;
	uint32_t n;

	if (data == NULL)
		return NULL;
	for (n = 0, i = gate_cache_first(data); n < head->nimages; n++, i = gate_cache_next(i))
		if (same_key(i, key))
			return i;
	return NULL;
}

void gate_cache_begin(void *out)
{
	struct gate_cache_head *head = out;

	*head = (struct gate_cache_head){.magic = GATE_CACHE_MAGIC, .size = sizeof(*head)};
}

struct gate_cache_site *gate_cache_add(void *out, size_t max, const struct gate_cache_image *key, uint32_t nsites)
{
	struct gate_cache_head *head = out;
	struct gate_cache_image *i = (struct gate_cache_image *)((char *)out + head->size);
	size_t len = sizeof(*i) + nsites * sizeof(struct gate_cache_site);

	if (max - head->size < len)
		return NULL;
	*i = *key;
	i->nsites = nsites;
	head->size += (uint32_t)len;
	head->nimages++;
	return (struct gate_cache_site *)(i + 1);
}

/* The sites of both in order, those of a where both have one; no more than an image may have. to NULL: only counted. */
static uint32_t join(struct gate_cache_site *to, const struct gate_cache_image *a, const struct gate_cache_image *b)
{
	const struct gate_cache_site *p = gate_cache_sites(a), *q = b != NULL ? gate_cache_sites(b) : NULL;
	uint32_t np = a->nsites, nq = b != NULL ? b->nsites : 0, n = 0;

	while ((np != 0 || nq != 0) && n < GATE_CACHE_SITES_MAX) {
		bool take = nq == 0 || (np != 0 && p->off <= q->off);
		const struct gate_cache_site *s = take ? p : q;

		if (to != NULL)
			to[n] = *s;
		n++;
		if (!take || (nq != 0 && q->off == p->off)) {
			q++;
			nq--;
		}
		if (take) {
			p++;
			np--;
		}
	}
	return n;
}

static void add_joined(void *out, size_t max, const struct gate_cache_image *a, const struct gate_cache_image *b)
{
	struct gate_cache_site *to;

	if (gate_cache_find(out, a) != NULL)
		return;
	to = gate_cache_add(out, max, a, join(NULL, a, b));
	if (to != NULL)
		join(to, a, b);
}

size_t gate_cache_merge(void *out, size_t max, const void *fresh, const void *old)
{
	const struct gate_cache_head *head = out;
	const struct gate_cache_image *i;

	max = MIN(max, (size_t)GATE_CACHE_MAX);
	gate_cache_begin(out);
	if (fresh != NULL) {
		i = gate_cache_first(fresh);
		for (uint32_t n = ((const struct gate_cache_head *)fresh)->nimages; n != 0; n--, i = gate_cache_next(i))
			add_joined(out, max, i, gate_cache_find(old, i));
	}
	if (old != NULL) {
		i = gate_cache_first(old);
		for (uint32_t n = ((const struct gate_cache_head *)old)->nimages; n != 0; n--, i = gate_cache_next(i))
			add_joined(out, max, i, NULL);
	}
	return head->size;
}
