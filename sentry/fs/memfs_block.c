/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for whole chunks (64 KiB) of files.
 *
 * The first few come from the allocator. When there is more, chunks are cut from 2 MiB arenas that ask for huge pages:
 * touching 64 KiB of small pages for the first time costs a hundred microseconds and more where the host itself is a
 * virtual machine, of a huge page an eighth of that (tests on a nested machine). A freed chunk's pages go back to the
 * host, but for a few that are kept for the next file; an arena without chunks goes back whole.
 *
 * Chunks in use are charged to the allocator's account, as its own blocks are. The guest controls how many there are and
 * the order in which they go.
 */
#include "sentry/fs/memfs_internal.h"

#include "sentry/base/alloc.h"
#include "sentry/host/host.h"

#include <string.h>
#include <sys/mman.h>

#define ARENA_SIZE (2 * MiB)
#define ARENA_BLOCKS (ARENA_SIZE / CHUNK_SIZE)
#define ARENAS_MAX 65535U
#define PLAIN_MAX 16U /* blocks from the allocator before there are arenas */
#define WARM_MAX 32U  /* free blocks that keep their pages */

struct arena {
	uint8_t *base;      /* NULL: not mapped */
	uint32_t used;      /* a bit for each block */
	uint32_t warm;      /* free blocks whose pages are still there */
	uint32_t next_free; /* index + 1 in the list of arenas with room; 0: the last */
	bool listed;
};
_Static_assert(ARENA_BLOCKS == 32, "one bit a block");

static struct arena *arenas;
static uint32_t narenas, arenas_cap;
static uint32_t first_room; /* index + 1 */
static uint32_t nplain, nwarm;

static uint8_t *map_arena(void)
{
	size_t size = 2 * ARENA_SIZE;
	uint8_t *p, *base;
	int err;

	p = host_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &err);
	if (p == NULL)
		return NULL;
	base = (uint8_t *)(((uintptr_t)p + ARENA_SIZE - 1) & ~(uintptr_t)(ARENA_SIZE - 1));
	if (base != p)
		(void)host_munmap(p, (size_t)(base - p));
	if (p + size != base + ARENA_SIZE)
		(void)host_munmap(base + ARENA_SIZE, (size_t)(p + size - (base + ARENA_SIZE)));
	(void)host_madvise(base, ARENA_SIZE, MADV_HUGEPAGE); /* without them it works as well */
	return base;
}

static void list_room(uint32_t i)
{
	if (arenas[i].listed)
		return;
	arenas[i].listed = true;
	arenas[i].next_free = first_room;
	first_room = i + 1;
}

/* An arena with room at the head of the list. false: no memory, or too many. */
static bool arena_add(void)
{
	uint32_t i;

	for (i = 0; i < narenas && arenas[i].base != NULL; i++)
		;
	if (i == narenas) {
		if (narenas == ARENAS_MAX)
			return false;
		if (narenas == arenas_cap) {
			uint32_t cap = MIN(arenas_cap != 0 ? arenas_cap * 2 : 16, ARENAS_MAX);
			struct arena *bigger = krealloc(arenas, cap * sizeof(*bigger));

			if (bigger == NULL)
				return false;
			arenas = bigger;
			arenas_cap = cap;
		}
		memset(&arenas[i], 0, sizeof(arenas[i]));
		narenas++;
	}
	arenas[i].base = map_arena();
	if (arenas[i].base == NULL)
		return false;
	list_room(i);
	return true;
}

uint8_t *mem_block_alloc(uint16_t *owner)
{
	struct arena *a;
	uint32_t bit;

	*owner = 0;
	if (nplain < PLAIN_MAX) {
		uint8_t *p = kmalloc(CHUNK_SIZE);

		nplain += p != NULL;
		return p;
	}
	if (!alloc_charge(CHUNK_SIZE))
		return NULL;
	while (first_room != 0 && (arenas[first_room - 1].base == NULL || arenas[first_room - 1].used == UINT32_MAX)) {
		a = &arenas[first_room - 1];
		first_room = a->next_free;
		a->listed = false;
	}
	if (first_room == 0 && !arena_add()) {
		alloc_uncharge(CHUNK_SIZE);
		return NULL;
	}
	a = &arenas[first_room - 1];
	/* one that is warm, if there is */
	bit = (uint32_t)__builtin_ctz(a->warm != 0 ? a->warm : ~a->used);
	if (a->warm & (1U << bit)) {
		a->warm &= ~(1U << bit);
		nwarm--;
	}
	a->used |= 1U << bit;
	*owner = (uint16_t)first_room;
	return a->base + bit * CHUNK_SIZE;
}

void mem_block_free(uint8_t *p, uint16_t owner)
{
	struct arena *a;
	uint32_t bit;

	if (owner == 0) {
		invariant(nplain > 0);
		nplain--;
		kfree(p);
		return;
	}
	a = &arenas[owner - 1];
	bit = (uint32_t)((size_t)(p - a->base) / CHUNK_SIZE);
	invariant(a->used & (1U << bit));
	a->used &= ~(1U << bit);
	alloc_uncharge(CHUNK_SIZE);
	if (a->used == 0) {
		nwarm -= (uint32_t)__builtin_popcount(a->warm);
		a->warm = 0;
		(void)host_munmap(a->base, ARENA_SIZE);
		a->base = NULL;
		return;
	}
	if (nwarm < WARM_MAX) {
		a->warm |= 1U << bit;
		nwarm++;
	} else {
		(void)host_madvise(p, CHUNK_SIZE, MADV_DONTNEED);
	}
	list_room(owner - 1U);
}
