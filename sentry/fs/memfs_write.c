/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing into the chunks of memfs files (memfs_file.c says what chunks are).
 *
 *	part_begin   one chunk is made ready: pages charged, memory there, what the write leaves alone of them filled in
 *	copy         up to MEM_GATHERED chunks in one, from the guest's memory
 *	part_end     what was reached is present now; what wasn't is given back
 *
 * Nothing sleeps in between, so nobody sees a chunk that is only ready. The guest controls offset, length, and where its
 * memory ends: a write that faults in the middle keeps the bytes before.
 */
#include "sentry/fs/memfs_internal.h"

#include "sentry/abi/errno.h"
#include "sentry/platform/platform.h"
#include "sentry/vfs/iobuf.h"

#include <string.h>

/* Bytes [from, to) of the chunk, in a page that wasn't there: what was seen there before. */
static int fill_gap(struct mem_node *n, struct chunk *c, uint64_t base, uint32_t from, uint32_t to)
{
	to = MIN(to, c->cap);
	return from < to ? mem_read_below(&n->data, c->data + from, base + from, to - from) : 0;
}

/* The whole page is in memory, even where the lower file ends in it. */
static uint32_t room_needed(const struct mem_data *d, uint64_t base, uint32_t off, uint32_t len)
{
	uint32_t page_end = (uint32_t)PAGE_ALIGN(off + len);

	if (base + off + len < d->lower_len)
		return (uint32_t)MIN((uint64_t)page_end, d->lower_len - base);
	return off + len;
}

/* What one write changes in one chunk. */
struct part {
	uint64_t pos;
	uint32_t len;
	uint16_t fresh; /* pages that weren't there: charged, not yet present */
	uint8_t *data;  /* where pos lies */
};

/* Makes room in p's chunk: whatever is written over of it, the rest of its pages is as it was seen before. Its length may be cut. */
static int part_begin(struct mem_node *n, struct part *p)
{
	uint32_t off = p->pos & (CHUNK_SIZE - 1), first = off >> MEM_PAGE_SHIFT, last, end;
	uint64_t base = p->pos - off;
	struct chunk *c = mem_chunk_get(&n->data, p->pos >> CHUNK_SHIFT);
	int err = 0;

	if (c == NULL)
		return -LINUX_ENOMEM;
	last = (off + p->len - 1) >> MEM_PAGE_SHIFT;
	p->fresh = mem_page_mask(first, last) & ~c->present;
	if (p->fresh != 0 && !mem_charge(mem_sb(n->inode), (uint64_t)__builtin_popcount(p->fresh))) {
		/* Not all of it fits: the first page may. */
		if (first == last)
			return -LINUX_ENOSPC;
		p->len = (uint32_t)(PAGE_SIZE - (off & (PAGE_SIZE - 1)));
		return part_begin(n, p);
	}
	if (!mem_chunk_reserve(c, room_needed(&n->data, base, off, p->len))) {
		err = -LINUX_ENOMEM;
		goto uncharge;
	}
	if ((p->fresh >> first) & 1)
		err = fill_gap(n, c, base, off & (uint32_t)PAGE_MASK, off);
	end = off + p->len;
	if (err == 0 && ((p->fresh >> last) & 1))
		err = fill_gap(n, c, base, end, (uint32_t)PAGE_ALIGN(end));
	if (err != 0)
		goto uncharge;
	p->data = c->data + off;
	return 0;

uncharge:
	mem_uncharge(mem_sb(n->inode), (uint64_t)__builtin_popcount(p->fresh));
	return err;
}

/* got bytes of it were written. */
static void part_end(struct mem_node *n, const struct part *p, uint32_t got)
{
	uint32_t off = p->pos & (CHUNK_SIZE - 1), first = off >> MEM_PAGE_SHIFT, last = (off + p->len - 1) >> MEM_PAGE_SHIFT, end;
	uint64_t base = p->pos - off;
	struct chunk *c = mem_chunk_find(&n->data, p->pos >> CHUNK_SHIFT); /* its place may be another one by now */
	uint16_t reached = 0;

	if (got != 0 && got < p->len) {
		/* The guest's range ends in the middle: of the fresh pages keep those reached, and make the last one whole. */
		end = off + got;
		last = (end - 1) >> MEM_PAGE_SHIFT;
		if (((p->fresh >> last) & 1) && fill_gap(n, c, base, end, (uint32_t)PAGE_ALIGN(end)) != 0)
			memset(c->data + end, 0, MIN(c->cap, (uint32_t)PAGE_ALIGN(end)) - end);
	}
	if (got != 0)
		reached = p->fresh & mem_page_mask(first, last);
	c->present |= reached;
	mem_uncharge(mem_sb(n->inode), (uint64_t)__builtin_popcount(p->fresh & ~reached));
	mem_pages_added(n, (uint64_t)__builtin_popcount(reached));
}

/* Chunks are made ready one after the other, then filled in one: large pieces are cheaper to fetch. */
int64_t mem_chunks_write(struct mem_node *n, struct iobuf *buf, uint64_t pos, uint64_t len)
{
	uint64_t done = 0;

	while (done < len) {
		struct part parts[MEM_GATHERED];
		struct platform_bytes places[MEM_GATHERED];
		unsigned nparts = 0;
		uint64_t want = 0, got, left;
		int err = 0;

		while (nparts < MEM_GATHERED && done + want < len) {
			struct part *p = &parts[nparts];
			uint64_t at = pos + done + want;
			uint32_t full = (uint32_t)MIN(CHUNK_SIZE - (at & (CHUNK_SIZE - 1)), len - done - want);

			*p = (struct part){.pos = at, .len = full};
			err = part_begin(n, p);
			if (err != 0)
				break;
			places[nparts++] = (struct platform_bytes){p->data, p->len};
			want += p->len;
			if (p->len < full)
				break; /* a page at a time near a limit */
		}
		if (nparts == 0)
			return done != 0 ? (int64_t)done : err;
		got = left = iobuf_get_into(buf, places, nparts, want);
		for (unsigned i = 0; i < nparts; i++) {
			uint32_t here = (uint32_t)MIN(left, (uint64_t)parts[i].len);

			part_end(n, &parts[i], here);
			left -= here;
		}
		done += got;
		if (got < want)
			return done != 0 ? (int64_t)done : -LINUX_EFAULT;
		if (err != 0)
			return (int64_t)done;
	}
	return (int64_t)done;
}
