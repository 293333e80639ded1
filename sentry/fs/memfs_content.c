/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents of small lower files, kept in memory: what a program reads once it reads without asking the gofer, what its
 * neighbours in the directory hold comes in the same answer, and a second program reads what the first has read.
 *
 *	gofer's answer --> mem_content_put --> ring: the oldest entries go where the new one comes
 *	read --> mem_content --> by (root, device, number, change time)
 *
 * An entry is the whole file at one moment. It belongs to no inode: it is found by the host's identity of the file, change
 * time included, so it may go at any time and outlives every dentry. A pointer into the ring is good until the next
 * mem_content_put, which only happens when the gofer answers: until the caller sleeps.
 *
 * The ring is memory that is touched only as it fills, counted as that happens, and at most a small part of the sandbox's
 * memory limit.
 *
 * How much to ask for ahead of what is wanted is guessed from how the last guess did: twice as much if at least half of it
 * was used, a quarter otherwise.
 */
#include "sentry/fs/memfs_internal.h"

#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"

#include <string.h>

#define RING_MAX (8UL * MiB)
#define LIMIT_SHARE 32U /* of the memory limit at most this part */
#define ENTRIES 4096U
#define BUCKETS 4096U

struct entry {
	uint64_t dev, ino, ctime;
	uint64_t at;         /* bytes put before it, ever: its place in the ring is this modulo the ring's size */
	uint32_t len;
	uint32_t next;       /* in its bucket: number + 1; 0: none */
	uint32_t tree;       /* lower_tree.key */
	bool ahead;          /* nobody has asked for it yet */
};

static uint8_t ring[RING_MAX];
static struct entry entries[ENTRIES];
static uint32_t first_in[BUCKETS]; /* number + 1 */
static uint64_t put_bytes;         /* the next entry's place */
static uint32_t oldest, newest;    /* counters: entries [oldest, newest) modulo ENTRIES are there */
static uint64_t ring_size;         /* 0: not known yet */
static uint64_t charged;

static struct mem_window window = {.size = 1};

unsigned mem_window_next(struct mem_window *w)
{
	w->size = w->used * 2 >= w->sent ? MIN(w->size * 2, GOFER_AHEAD_MAX) : MAX(w->size / 4, 1U);
	w->sent = w->used = 0;
	return w->size;
}

unsigned mem_content_window(void)
{
	return mem_window_next(&window);
}

static uint32_t *bucket(uint64_t dev, uint64_t ino)
{
	return &first_in[((dev * 0x9e3779b97f4a7c15ULL) ^ (ino * 0xff51afd7ed558ccdULL)) >> 52];
}
_Static_assert(BUCKETS == 1U << 12, "bucket() takes the upper twelve bits");

static struct entry *find(uint32_t tree, uint64_t dev, uint64_t ino, uint64_t ctime)
{
	for (uint32_t i = *bucket(dev, ino); i != 0; i = entries[i - 1].next) {
		struct entry *e = &entries[i - 1];

		if (e->ino == ino && e->dev == dev && e->tree == tree && e->ctime == ctime)
			return e;
	}
	return NULL;
}

static void drop_oldest(void)
{
	uint32_t number = oldest++ % ENTRIES;
	struct entry *e = &entries[number];
	uint32_t *link = bucket(e->dev, e->ino);

	while (*link != number + 1)
		link = &entries[*link - 1].next;
	*link = e->next;
}

uint64_t mem_content_room(void)
{
	if (ring_size == 0) {
		uint64_t limit = kernel.memory_limit != 0 ? kernel.memory_limit / LIMIT_SHARE : UINT64_MAX;

		ring_size = PAGE_DOWN(MAX(MIN((uint64_t)RING_MAX, limit), 4UL * GOFER_CONTENT_MAX));
	}
	return ring_size;
}

/* The ring has len bytes at *at. False if that is more memory than there is. */
static bool make_room(uint32_t len, uint64_t *at)
{
	uint64_t end;

	(void)mem_content_room();
	*at = put_bytes;
	if (*at % ring_size + len > ring_size) /* in one piece */
		*at += ring_size - *at % ring_size;
	end = *at + len;
	if (MIN(end, ring_size) > charged) {
		uint64_t more = PAGE_ALIGN(MIN(end, ring_size)) - charged;

		if (!alloc_charge(more))
			return false;
		charged += more;
	}
	while (oldest != newest &&
	       (newest - oldest == ENTRIES || entries[oldest % ENTRIES].at + ring_size < end))
		drop_oldest();
	put_bytes = end;
	return true;
}

void mem_content_put(uint32_t tree, const struct gofer_content *c, const uint8_t *bytes, bool ahead)
{
	uint64_t ctime = mem_ctime_key(c->rec.ctime_sec, c->rec.ctime_nsec), at;
	struct entry *e;
	uint32_t *link;

	if (find(tree, c->rec.dev, c->rec.ino, ctime) != NULL || !make_room(c->len, &at))
		return;
	memcpy(ring + at % ring_size, bytes, c->len);
	link = bucket(c->rec.dev, c->rec.ino);
	e = &entries[newest % ENTRIES];
	*e = (struct entry){.dev = c->rec.dev, .ino = c->rec.ino, .ctime = ctime, .at = at, .len = c->len, .next = *link, .tree = tree,
			    .ahead = ahead};
	*link = newest++ % ENTRIES + 1;
	window.sent += ahead;
}

bool mem_content_has(uint32_t tree, const struct gofer_record *r)
{
	return find(tree, r->dev, r->ino, mem_ctime_key(r->ctime_sec, r->ctime_nsec)) != NULL;
}

const uint8_t *mem_content(const struct mem_node *n, uint32_t *len)
{
	struct entry *e = find(mem_sb(n->inode)->lower->key, n->lower_dev, n->lower_ino, n->lower_ctime);

	if (e == NULL)
		return NULL;
	window.used += e->ahead;
	e->ahead = false;
	*len = e->len;
	return ring + e->at % ring_size;
}
