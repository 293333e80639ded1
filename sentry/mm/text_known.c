/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What earlier sandboxes learned of call sites (runtime/gate_cache.h), and what this one adds.
 *
 *	command --the file--> the sentry's copy --> text_known_init: checked as a whole
 *	16 calls from a file  --> text_identify: its build-id, from the first page; its image in the cache
 *	a twin is made        --> text_known_apply: all sites that the image names, if their bytes leave no doubt; where
 *	                          instructions must be moved, at the first call
 *	the end               --> text_learned --> monitor
 *
 * The cache proves nothing. A sandbox whose sentry was taken over writes it as it likes, and the next one reads it: so a site
 * is rewritten only if it is the exact bytes of a call and what compilers put behind it, or of a call and its number in
 * front (text_surely_site), just as if this sandbox's own stub had told of it. Where instructions have to be moved the bytes
 * could be data: such a site waits for a first call from it, as the host tells, and is then proven like any other. That the
 * cache names it says no more than that the file makes calls. The build-id is the file's own word, and a forged one leads to
 * other places of the same kind. What a cache can do at worst is to have sites rewritten that no call came from: memory for
 * trampolines, charged to the sandbox and bounded by the text.
 *
 * The guest controls the bytes of its own files, build-id included: what it can have learned under the name of another file
 * are offsets, which are looked at again.
 */
#include "sentry/mm/text_internal.h"

#include "runtime/gate_cache.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/log.h"

#include <string.h>

#define HEAD_LEN PAGE_SIZE /* headers and notes are looked for in so much of a file */
#define PT_NOTE 4U
#define NT_GNU_BUILD_ID 3U
#define NT_GO_BUILD_ID 4U
#define GO_ID_MAX 256U

static const void *cache; /* checked; NULL: none */
static bool learning;

/* What was learned of files that are gone: their inodes left the sentry's memory. */
struct remembered {
	struct list link;
	struct gate_cache_image image; /* sites behind it */
};
static struct list remembered = LIST_INIT(remembered);
static size_t remembered_size;

void text_known_init(const void *data, size_t size, bool learn)
{
	learning = learn;
	cache = data != NULL && gate_cache_check(data, size) ? data : NULL;
	log_debug("gate cache: %u images known%s", cache != NULL ? ((const struct gate_cache_head *)cache)->nimages : 0,
		  learn ? ", learning" : "");
}

/* ---- whose text it is ---- */

static uint64_t get(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

static uint64_t align4(uint64_t n)
{
	return (n + 3) & ~3UL;
}

/* Go's linker has an id of its own, of hashes in letters, longer than ours may be: folded. Two that fold alike do no harm. */
static unsigned go_id(const uint8_t *desc, uint64_t len, uint8_t id[TEXT_ID_MAX])
{
	for (uint64_t i = 0; i < len; i++)
		id[i % TEXT_ID_MAX] = (uint8_t)(id[i % TEXT_ID_MAX] * 31 + desc[i]);
	return TEXT_ID_MAX;
}

/* The id among the notes in [p, p + len). */
static unsigned id_in_notes(const uint8_t *p, uint64_t len, uint8_t id[TEXT_ID_MAX])
{
	while (len >= 12) {
		uint64_t nname = get(p, 4), ndesc = get(p + 4, 4), desc = 12 + align4(nname);

		if (desc > len || ndesc > len - desc)
			return 0;
		if (get(p + 8, 4) == NT_GNU_BUILD_ID && nname == 4 && memcmp(p + 12, "GNU", 4) == 0 && ndesc >= 8 &&
		    ndesc <= TEXT_ID_MAX) {
			memcpy(id, p + desc, ndesc);
			return (unsigned)ndesc;
		}
		if (get(p + 8, 4) == NT_GO_BUILD_ID && nname == 4 && memcmp(p + 12, "Go\0", 4) == 0 && ndesc >= 40 &&
		    ndesc <= GO_ID_MAX)
			return go_id(p + desc, ndesc, id);
		if (align4(ndesc) > len - desc)
			return 0;
		p += desc + align4(ndesc);
		len -= desc + align4(ndesc);
	}
	return 0;
}

unsigned text_build_id(const uint8_t *head, size_t len, uint8_t id[TEXT_ID_MAX])
{
	static const uint8_t magic[] = {0x7f, 'E', 'L', 'F', 2, 1};
	uint64_t at, n, entry;
	unsigned found = 0;

	memset(id, 0, TEXT_ID_MAX);
	if (len < 64 || memcmp(head, magic, sizeof(magic)) != 0)
		return 0;
	at = get(head + 32, 8);
	entry = get(head + 54, 2);
	n = get(head + 56, 2);
	if (entry != 56 || at > len || n > (len - at) / entry)
		return 0;
	for (; n != 0 && found == 0; n--, at += entry) {
		uint64_t off = get(head + at + 8, 8), size = get(head + at + 32, 8);

		if (get(head + at, 4) == PT_NOTE && off <= len && size <= len - off)
			found = id_in_notes(head + off, size, id);
	}
	return found;
}

static void fill_key(const struct text_file *f, struct gate_cache_image *key)
{
	_Static_assert(TEXT_ID_MAX == GATE_CACHE_ID_MAX && TEXT_MAX_SITES == GATE_CACHE_SITES_MAX &&
			       TEXT_MAX_LEN == GATE_CACHE_TEXT_MAX,
		       "the cache has what a file may have");
	memset(key, 0, sizeof(*key));
	memcpy(key->id, f->id, sizeof(key->id));
	key->id_len = f->id_len;
	key->file_size = f->id_size;
	key->text_off = f->file_off;
	key->text_len = f->len;
}

bool text_wants_identity(const struct text_file *f)
{
	return !f->identified && !f->excluded && (cache != NULL || learning);
}

void text_identify(struct task *task, struct text_file *f, struct file *file)
{
	struct gate_cache_image key;
	uint8_t *head;
	int64_t got;

	if (!text_wants_identity(f) || f->inode == NULL)
		return;
	f->identified = true;
	head = kzalloc(HEAD_LEN);
	if (head == NULL)
		return;
	f->id_size = f->inode->size;
	got = vfs_read_mem(task, file, head, HEAD_LEN, 0);
	f->id_len = got > 0 ? text_build_id(head, (size_t)got, f->id) : 0;
	kfree(head);
	if (f->id_len == 0)
		return;
	fill_key(f, &key);
	f->known = gate_cache_find(cache, &key);
	if (f->fd >= 0)
		text_known_apply(f, task);
}

void text_known_apply(struct text_file *f, const struct task *current)
{
	const struct gate_cache_site *k = f->known != NULL ? gate_cache_sites(f->known) : NULL;
	uint32_t n = f->known != NULL ? f->known->nsites : 0;

	for (; n != 0; n--, k++) {
		struct text_site *s = text_site_find(f, k->off);

		if (s != NULL)
			s->known = true;
		if (s != NULL && s->state != TEXT_COUNTING)
			continue;
		/* Others wait for their first call, of which the host tells. */
		if (!text_number_counts((int)k->nr) || !text_surely_site(f->map, f->len, k->off, (int)k->nr))
			continue;
		if (s == NULL)
			s = text_site_new(f, k->off);
		if (s == NULL)
			return;
		if (s->arrivals == 0)
			s->nr = (int32_t)k->nr;
		s->known = true;
		text_patch(f, s, current);
	}
}

bool text_known_names(const struct text_file *f, uint64_t off)
{
	const struct gate_cache_site *s;
	uint32_t low = 0, high;

	if (f->known == NULL)
		return false;
	s = gate_cache_sites(f->known);
	high = f->known->nsites;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (s[mid].off == off)
			return true;
		if (s[mid].off < off)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

/* ---- what is new ---- */

/* Would the next sandbox believe it? Not all that an arrival proves, do the bytes prove. */
static bool teachable(const struct text_file *f, const struct text_site *s)
{
	static const uint8_t high[] = {0xf0, 0xff, 0xff};

	if (s->state != TEXT_PATCHED || s->nr < 0 || s->nr >= (int)GATE_CACHE_NR_MAX)
		return false;
	/* A rewritten mov was checked as the next one will check it; of moved instructions the next one believes nothing. */
	return s->form == TEXT_FORM_MOV || s->form == TEXT_FORM_RELOC ||
	       (f->len - s->off >= 8 && memcmp(f->map + s->off + 5, high, sizeof(high)) == 0);
}

/* to NULL: only counted. */
static uint32_t collect(const struct text_file *f, struct gate_cache_site *to)
{
	uint32_t n = 0;

	for (unsigned b = 0; b < TEXT_BUCKETS; b++) {
		for (const struct text_site *s = f->bucket[b]; s != NULL; s = s->next) {
			if (!teachable(f, s))
				continue;
			if (to != NULL)
				to[n] = (struct gate_cache_site){s->off, (uint32_t)s->nr};
			n++;
		}
	}
	return n;
}

static bool anything_new(const struct text_file *f)
{
	if (f->id_len == 0 || f->fd < 0)
		return false;
	for (unsigned b = 0; b < TEXT_BUCKETS; b++)
		for (const struct text_site *s = f->bucket[b]; s != NULL; s = s->next)
			if (!s->known && teachable(f, s))
				return true;
	return false;
}

/* Heap sort: the order of hash buckets is none, and an insertion sort of 4096 would be felt. */
static void sift(struct gate_cache_site *s, uint32_t root, uint32_t n)
{
	for (uint32_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
		struct gate_cache_site tmp = s[root];

		if (child + 1 < n && s[child + 1].off > s[child].off)
			child++;
		if (tmp.off >= s[child].off)
			return;
		s[root] = s[child];
		s[child] = tmp;
		root = child;
	}
}

static void sort(struct gate_cache_site *s, uint32_t n)
{
	for (uint32_t i = n / 2; i-- > 0;)
		sift(s, i, n);
	for (uint32_t i = n; i-- > 1;) {
		struct gate_cache_site tmp = s[0];

		s[0] = s[i];
		s[i] = tmp;
		sift(s, 0, i);
	}
}

void text_remember(const struct text_file *f)
{
	struct remembered *r;
	uint32_t n;
	size_t len;

	if (!learning || !anything_new(f))
		return;
	n = collect(f, NULL);
	len = sizeof(r->image) + n * sizeof(struct gate_cache_site);
	if (remembered_size + len > GATE_CACHE_MAX - sizeof(struct gate_cache_head))
		return;
	r = kzalloc(offsetof(struct remembered, image) + len);
	if (r == NULL)
		return;
	fill_key(f, &r->image);
	r->image.nsites = n;
	collect(f, (struct gate_cache_site *)(&r->image + 1));
	sort((struct gate_cache_site *)(&r->image + 1), n);
	remembered_size += len;
	list_init(&r->link);
	list_add_tail(&remembered, &r->link);
}

size_t text_learned(void **out)
{
	size_t size = sizeof(struct gate_cache_head) + remembered_size;
	struct gate_cache_site *to;
	struct remembered *r;

	*out = NULL;
	if (!learning)
		return 0;
	text_remember_all();
	if (list_empty(&remembered))
		return 0;
	size = sizeof(struct gate_cache_head) + remembered_size;
	*out = kzalloc(size);
	if (*out == NULL)
		return 0;
	gate_cache_begin(*out);
	list_for_each(r, &remembered, link) {
		to = gate_cache_add(*out, size, &r->image, r->image.nsites);
		if (to == NULL)
			break;
		memcpy(to, &r->image + 1, r->image.nsites * sizeof(*to));
	}
	return ((const struct gate_cache_head *)*out)->size;
}
