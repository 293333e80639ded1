/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunks of memfs files: the tree that finds them, and the accounts of their pages.
 *
 *	mem_data.only                 height 0: a file of one chunk needs no tree
 *	mem_data.root --> branch ... --> leaf: chunks    64 a node, the height as large as the highest chunk asks for
 *
 * Nothing here sleeps or knows of contents (memfs_file.c does). A chunk's place stays where it is until the tree is cut or raised
 * from height 0. What is charged: a page that is present, to the mount (size=) and, but for memfds and shared memory, to the
 * sandbox's disk limit; npages of a node is what it has charged.
 *
 * The guest controls which chunks there are. The height is bounded by the file offset's 63 bits, so recursion is, too; nodes are
 * the allocator's, which answers NULL at the sandbox's limit.
 */
#include "sentry/fs/memfs_internal.h"

#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/trace/trace.h"

#include <string.h>

#define FANOUT_SHIFT 6
#define FANOUT (1U << FANOUT_SHIFT)
#define FIRST_CAP 64U

struct leaf {
	struct chunk chunk[FANOUT];
};

struct branch {
	void *slot[FANOUT];
};

static uint64_t disk_pages; /* in all of memfs */
bool memfs_disk_limit_hit;

/* ---- accounts ---- */

/* Pages that may still be charged. */
uint64_t mem_room(const struct mem_sb *sb)
{
	uint64_t room = sb->limit_pages > sb->used_pages ? sb->limit_pages - sb->used_pages : 0;
	uint64_t limit = kernel.disk_limit != 0 ? kernel.disk_limit / PAGE_SIZE : UINT64_MAX;

	return sb->is_memory ? room : MIN(room, limit > disk_pages ? limit - disk_pages : 0);
}

void mem_use_pages(struct mem_sb *sb, uint64_t pages)
{
	sb->used_pages += pages;
	if (!sb->is_memory)
		disk_pages += pages;
}

bool mem_charge(struct mem_sb *sb, uint64_t pages)
{
	if (pages > mem_room(sb)) {
		if (sb->limit_pages - MIN(sb->used_pages, sb->limit_pages) >= pages && !memfs_disk_limit_hit) {
			memfs_disk_limit_hit = true;
			audit_limit("disk");
		}
		return false;
	}
	mem_use_pages(sb, pages);
	return true;
}

void mem_uncharge(struct mem_sb *sb, uint64_t pages)
{
	invariant(sb->used_pages >= pages);
	sb->used_pages -= pages;
	if (sb->is_memory)
		return;
	invariant(disk_pages >= pages);
	disk_pages -= pages;
}

uint64_t memfs_disk_used(void)
{
	return disk_pages * PAGE_SIZE;
}

void mem_set_pages(struct mem_node *n, uint64_t pages)
{
	n->data.npages = pages;
	n->inode->blocks = pages * (PAGE_SIZE / 512);
}

/* A clean lower file shows the host's blocks, one that is partly ours an estimate. */
void mem_count_blocks(struct mem_node *n)
{
	uint64_t lower = PAGE_ALIGN(n->data.lower_len) / PAGE_SIZE;

	n->inode->blocks = MAX(n->data.npages, lower) * (PAGE_SIZE / 512);
}

void mem_pages_added(struct mem_node *n, uint64_t pages)
{
	n->data.npages += pages;
	mem_count_blocks(n);
}

void mem_pages_gone(struct mem_node *n, uint64_t pages)
{
	invariant(n->data.npages >= pages);
	n->data.npages -= pages;
	mem_uncharge(mem_sb(n->inode), pages);
	mem_count_blocks(n);
}

/* ---- the tree ---- */

void mem_data_init(struct mem_data *d)
{
	memset(d, 0, sizeof(*d));
	d->memfd = -1;
	d->lower_fd = -1;
	list_init(&d->memfd_link);
	list_init(&d->lower_link);
}

/* Chunks that a tree of this height can hold. */
static uint64_t tree_span(unsigned height)
{
	return height * FANOUT_SHIFT >= 64 ? UINT64_MAX : 1ULL << (height * FANOUT_SHIFT);
}

struct chunk *mem_chunk_find(struct mem_data *d, uint64_t idx)
{
	void *p = d->root;

	if (idx >= tree_span(d->height))
		return NULL;
	if (d->height == 0)
		return &d->only;
	for (unsigned h = d->height; h > 1; h--) {
		p = ((struct branch *)p)->slot[(idx >> ((h - 1) * FANOUT_SHIFT)) & (FANOUT - 1)];
		if (p == NULL)
			return NULL;
	}
	return &((struct leaf *)p)->chunk[idx & (FANOUT - 1)];
}

/* One more level. */
static bool tree_raise(struct mem_data *d)
{
	if (d->height == 0) {
		struct leaf *leaf = kzalloc(sizeof(*leaf));

		if (leaf == NULL)
			return false;
		leaf->chunk[0] = d->only;
		memset(&d->only, 0, sizeof(d->only));
		d->root = leaf;
	} else {
		struct branch *b = kzalloc(sizeof(*b));

		if (b == NULL)
			return false;
		b->slot[0] = d->root;
		d->root = b;
	}
	d->height++;
	return true;
}

/* The chunk's place, made if it isn't there. NULL if memory is out. */
struct chunk *mem_chunk_get(struct mem_data *d, uint64_t idx)
{
	void **p;

	while (idx >= tree_span(d->height))
		if (!tree_raise(d))
			return NULL;
	if (d->height == 0)
		return &d->only;
	p = &d->root;
	for (unsigned h = d->height; h > 1; h--) {
		p = &((struct branch *)*p)->slot[(idx >> ((h - 1) * FANOUT_SHIFT)) & (FANOUT - 1)];
		if (*p == NULL) {
			*p = kzalloc(h == 2 ? sizeof(struct leaf) : sizeof(struct branch));
			if (*p == NULL)
				return NULL;
		}
	}
	return &((struct leaf *)*p)->chunk[idx & (FANOUT - 1)];
}

static struct chunk *next_in(void *p, unsigned height, uint64_t base, uint64_t from, uint64_t *idx)
{
	uint64_t span = tree_span(height - 1);
	unsigned i = from > base ? (unsigned)((from - base) / span) : 0;

	for (; i < FANOUT; i++) {
		uint64_t at = base + i * span;

		if (height == 1) {
			struct chunk *c = &((struct leaf *)p)->chunk[i];

			if (c->present != 0) {
				*idx = at;
				return c;
			}
		} else if (((struct branch *)p)->slot[i] != NULL) {
			struct chunk *c = next_in(((struct branch *)p)->slot[i], height - 1, at, from, idx);

			if (c != NULL)
				return c;
		}
	}
	return NULL;
}

/* The first chunk with a page at or behind index from, or NULL. */
struct chunk *mem_chunk_next(struct mem_data *d, uint64_t from, uint64_t *idx)
{
	if (d->height == 0) {
		*idx = 0;
		return from == 0 && d->only.present != 0 ? &d->only : NULL;
	}
	if (from >= tree_span(d->height))
		return NULL;
	return next_in(d->root, d->height, 0, from, idx);
}

void mem_chunk_free(struct chunk *c)
{
	if (c->cap == CHUNK_SIZE)
		mem_block_free(c->data, c->owner);
	else
		kfree(c->data);
	c->data = NULL;
	c->cap = 0;
}

static void chunk_drop(struct mem_node *n, struct chunk *c)
{
	if (c->present != 0)
		mem_pages_gone(n, (uint64_t)__builtin_popcount(c->present));
	mem_chunk_free(c);
	memset(c, 0, sizeof(*c));
}

/* Frees all chunks >= from below p; p itself too if nothing can be left (whole). */
static void free_from(struct mem_node *n, void *p, unsigned height, uint64_t base, uint64_t from)
{
	uint64_t span = tree_span(height - 1);
	unsigned i = from > base ? (unsigned)((from - base) / span) : 0;

	for (; i < FANOUT; i++) {
		uint64_t at = base + i * span;

		if (height == 1) {
			chunk_drop(n, &((struct leaf *)p)->chunk[i]);
		} else {
			struct branch *b = p;

			if (b->slot[i] == NULL)
				continue;
			free_from(n, b->slot[i], height - 1, at, from);
			if (from <= at) {
				kfree(b->slot[i]);
				b->slot[i] = NULL;
			}
		}
	}
}

/* No chunk at or behind index from is left. */
void mem_tree_cut(struct mem_node *n, uint64_t from)
{
	struct mem_data *d = &n->data;

	if (d->height == 0) {
		if (from == 0)
			chunk_drop(n, &d->only);
		return;
	}
	if (from >= tree_span(d->height))
		return;
	free_from(n, d->root, d->height, 0, from);
	if (from == 0) {
		kfree(d->root);
		d->root = NULL;
		d->height = 0;
	}
}

/* Room for bytes in the chunk. Bytes between the old and the new room in a present page read as zeros already. */
bool mem_chunk_reserve(struct chunk *c, uint32_t bytes)
{
	uint32_t cap = MAX(c->cap, FIRST_CAP);
	uint8_t *data;

	if (bytes <= c->cap)
		return true;
	while (cap < bytes)
		cap *= 2;
	if (cap == CHUNK_SIZE) {
		data = mem_block_alloc(&c->owner);
		if (data == NULL)
			return false;
		if (c->cap != 0)
			memcpy(data, c->data, c->cap);
		kfree(c->data);
	} else {
		data = krealloc(c->data, cap);
		if (data == NULL)
			return false;
	}
	if (c->cap < PAGE_SIZE)
		memset(data + c->cap, 0, MIN((unsigned long)cap, PAGE_SIZE) - c->cap);
	c->data = data;
	c->cap = cap;
	return true;
}
