// SPDX-License-Identifier: Apache-2.0
/*
 * The tree of vmas: split, join, insert, remove, and the search for free addresses.
 *
 *	mmap, munmap, mprotect ... --> vma_split_at (may fail) --> platform->mm_queue (may fail)
 *	                           --> vma_remove_range, vma_insert (never fail)
 *
 * A split that is left over from a call which failed later means nothing: both halves say the same, and the next join
 * undoes it. That is how a call that runs out of memory leaves all as it was.
 *
 * Neighbours are joined when nothing tells them apart (protection, flags, advice, name, the same file at the following
 * offset), as Linux does, so that /proc/PID/maps reads alike and the limit on their number is met late. Linux also
 *keeps private pages apart that were first written before they became neighbours (anon_vma); we don't see that.
 *
 * Free addresses are looked for from mmap_top downwards. Walking all vmas for each call would make a program with many
 * small mappings quadratic; so the tree remembers how far down everything is full: above hole_top no hole is larger
 *than hole_max. A search for more than that starts at hole_top.
 *
 * Invariants: vmas don't overlap; nvmas and the page totals match the tree; GUEST_MIN <= start < end <= GUEST_END.
 * The guest controls every range and the number of vmas (MM_MAX_MAPS).
 */
#include "sentry/mm/vma.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/mm/text.h"
#include "sentry/platform/platform.h"

#define MAP32_MIN 0x40000000UL
#define MAP32_END 0x80000000UL

static int vma_compare(const struct vma *a, const struct vma *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}
TREE_GENERATE(vma_tree, vma, node, vma_compare)

/* ---- lookups ---- */

struct vma *mm_find_next(struct mm *mm, uint64_t addr)
{
	struct vma *v = RB_ROOT(&mm->vmas), *best = NULL;

	while (v != NULL) {
		if (v->end > addr) {
			best = v;
			v = RB_LEFT(v, node);
		} else {
			v = RB_RIGHT(v, node);
		}
	}
	return best;
}

struct vma *mm_find(struct mm *mm, uint64_t addr)
{
	struct vma *v = mm_find_next(mm, addr);

	return v != NULL && v->start <= addr ? v : NULL;
}

struct vma *mm_find_prev(struct mm *mm, uint64_t addr)
{
	struct vma *v = RB_ROOT(&mm->vmas), *best = NULL;

	while (v != NULL) {
		if (v->start < addr) {
			best = v;
			v = RB_RIGHT(v, node);
		} else {
			v = RB_LEFT(v, node);
		}
	}
	return best;
}

bool vma_range_used(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v = mm_find_next(mm, start);

	return v != NULL && v->start < end;
}

bool vma_range_full(struct mm *mm, uint64_t start, uint64_t end)
{
	while (start < end) {
		struct vma *v = mm_find(mm, start);

		if (v == NULL)
			return false;
		start = v->end;
	}
	return true;
}

bool vma_is_anon(const struct vma *v)
{
	return v->file == NULL && v->shm == NULL;
}

bool vma_is_data(const struct vma *v)
{
	return (v->prot & LINUX_PROT_WRITE) != 0 && (v->flags & (LINUX_MAP_SHARED | LINUX_MAP_GROWSDOWN)) == 0;
}

bool vma_count_ok(const struct mm *mm, uint32_t more)
{
	return mm->nvmas + more <= MM_MAX_MAPS;
}

/* ---- one vma ---- */

static void lock_tell(struct mm *mm, bool locks)
{
	if (mm->locks == locks)
		return;
	mm->locks = locks;
	if (platform != NULL && platform->locked != NULL)
		platform->locked(locks);
}

/* Not in vma_account: what a change of a vma calls off may be there again a moment later. */
void vma_lock_look(struct mm *mm)
{
	if (mm->locked_pages == 0)
		lock_tell(mm, false);
}

void vma_account(struct mm *mm, const struct vma *v, int sign)
{
	uint64_t n = sign > 0 ? vma_pages(v) : -vma_pages(v);

	mm->total_pages += n;
	if (mm->total_pages > mm->peak_pages)
		mm->peak_pages = mm->total_pages;
	if (v->flags & LINUX_MAP_LOCKED) {
		mm->locked_pages += n;
		lock_tell(mm, true);
	}
	if (vma_is_data(v))
		mm->data_pages += n;
	else if (v->flags & LINUX_MAP_GROWSDOWN)
		mm->stack_pages += n;
	else if ((v->prot & LINUX_PROT_EXEC) != 0 && (v->prot & LINUX_PROT_WRITE) == 0)
		mm->exec_pages += n;
}

struct vma *vma_new(const struct vma_desc *d)
{
	struct vma *v = kzalloc(sizeof(*v));

	if (v == NULL)
		return NULL;
	v->start = d->start;
	v->end = d->end;
	v->prot = d->prot;
	v->max_prot = d->max_prot;
	v->flags = d->flags & VMA_FLAGS_KEPT;
	v->advice = d->advice;
	v->file = d->file != NULL ? file_get(d->file) : NULL;
	v->shm = d->shm != NULL ? shared_mem_get(d->shm) : NULL;
	v->file_off = d->file_off;
	v->name = d->name;
	if (v->file != NULL && (v->flags & LINUX_MAP_PRIVATE) != 0 && (v->prot & LINUX_PROT_WRITE) != 0)
		v->advice |= VMA_WRITTEN;
	if (v->advice & VMA_SYSV_ATTACH)
		shm_attached(v->shm);
	return v;
}

void vma_free(struct vma *v)
{
	if (v->advice & VMA_SYSV_ATTACH)
		shm_detached(v->shm);
	if (v->shm != NULL)
		shared_mem_put(v->shm);
	if (v->file != NULL)
		file_put(v->file);
	kfree(v);
}

static void vma_link(struct mm *mm, struct vma *v)
{
	struct vma *old = RB_INSERT(vma_tree, &mm->vmas, v);

	invariant(old == NULL);
	mm->nvmas++;
	mm->vma_gen++;
	vma_account(mm, v, 1);
}

static void vma_unlink(struct mm *mm, struct vma *v)
{
	vma_account(mm, v, -1);
	RB_REMOVE(vma_tree, &mm->vmas, v);
	mm->nvmas--;
	mm->vma_gen++;
}

static bool vma_joinable(const struct vma *a, const struct vma *b)
{
	if (a->end != b->start || a->prot != b->prot || a->max_prot != b->max_prot || a->flags != b->flags ||
	    a->advice != b->advice || a->file != b->file || a->shm != b->shm || a->name != b->name)
		return false;
	/* System V attachments are one vma each, so that shmdt finds them whole. */
	if (a->advice & VMA_SYSV_ATTACH)
		return false;
	return vma_is_anon(a) || a->file_off + (a->end - a->start) == b->file_off;
}

struct vma *vma_join(struct mm *mm, struct vma *v)
{
	struct vma *next = RB_NEXT(vma_tree, &mm->vmas, v);
	struct vma *prev = RB_PREV(vma_tree, &mm->vmas, v);

	if (next != NULL && vma_joinable(v, next)) {
		vma_unlink(mm, next);
		vma_account(mm, v, -1);
		v->end = next->end;
		v->backing = v->backing == next->backing ? v->backing : 0;
		vma_account(mm, v, 1);
		vma_free(next);
	}
	if (prev != NULL && vma_joinable(prev, v)) {
		vma_unlink(mm, v);
		vma_account(mm, prev, -1);
		prev->end = v->end;
		prev->backing = v->backing == prev->backing ? v->backing : 0;
		vma_account(mm, prev, 1);
		vma_free(v);
		return prev;
	}
	return v;
}

void vma_join_range(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v = mm_find_next(mm, start > 0 ? start - 1 : 0);

	while (v != NULL && v->start <= end) {
		v = vma_join(mm, v);
		v = RB_NEXT(vma_tree, &mm->vmas, v);
	}
}

int vma_split_at(struct mm *mm, uint64_t addr)
{
	struct vma *v = mm_find(mm, addr), *upper;
	struct vma_desc d;

	if (v == NULL || v->start == addr)
		return 0;
	mm_describe(&d, v, addr, v->end);
	upper = vma_new(&d);
	if (upper == NULL)
		return -LINUX_ENOMEM;
	upper->backing = v->backing;
	vma_account(mm, v, -1);
	v->end = addr;
	vma_account(mm, v, 1);
	vma_link(mm, upper);
	return 0;
}

void vma_insert(struct mm *mm, struct vma *v)
{
	invariant(!vma_range_used(mm, v->start, v->end));
	vma_link(mm, v);
	vma_join(mm, v);
}

void vma_hole_opened(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *prev = mm_find_prev(mm, start), *next = mm_find_next(mm, end);
	uint64_t low = prev != NULL ? prev->end : 0, high = next != NULL ? next->start : mm->mmap_top;

	high = MIN(high, mm->mmap_top);
	if (high > mm->hole_top && high > low && high - low > mm->hole_max)
		mm->hole_max = high - low;
}

void vma_remove_range(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v = mm_find_next(mm, start), *next;

	for (; v != NULL && v->start < end; v = next) {
		invariant(v->start >= start && v->end <= end);
		next = RB_NEXT(vma_tree, &mm->vmas, v);
		vma_unlink(mm, v);
		vma_free(v);
	}
}

/* ---- free addresses ---- */

/* A range that isn't in the tree and yet can't be given away: the main stack's room, calls on their way, room for
 * trampolines. If [start, end) meets one, its start goes into *below, its end into *above. */
static bool range_reserved(struct mm *mm, uint64_t start, uint64_t end, uint64_t *below, uint64_t *above)
{
	struct mm_inflight *f;

	if (mm->stack_floor != 0 && start < mm->stack_top && end > mm->stack_floor - STACK_GUARD_GAP) {
		*below = mm->stack_floor - STACK_GUARD_GAP;
		*above = mm->stack_top;
		return true;
	}
	list_for_each(f, &mm->inflight, link)
	{
		if (start < f->end && end > f->start) {
			*below = f->start;
			*above = f->end;
			return true;
		}
	}
	return mm->text != NULL && text_reserved(mm, start, end, below, above);
}

/* Where free space below v ends: mappings that grow down keep a gap. */
static uint64_t vma_low(const struct vma *v)
{
	if (v->flags & LINUX_MAP_GROWSDOWN)
		return v->start > STACK_GUARD_GAP ? v->start - STACK_GUARD_GAP : 0;
	return v->start;
}

/* The highest free range of len bytes in [low, high), or 0. *largest takes the largest hole that was too small. */
static uint64_t search_down(struct mm *mm, uint64_t low, uint64_t high, uint64_t len, uint64_t *largest)
{
	struct vma *v = mm_find_next(mm, high);

	if (v != NULL)
		high = MIN(high, vma_low(v));
	v = mm_find_prev(mm, high);
	for (;;) {
		uint64_t bottom = v != NULL ? MAX(v->end, low) : low;
		uint64_t top = high, below, above;

		while (top > bottom && top - bottom >= len) {
			if (!range_reserved(mm, top - len, top, &below, &above))
				return top - len;
			*largest = MAX(*largest, high - bottom);
			top = below;
		}
		if (high > bottom)
			*largest = MAX(*largest, high - bottom);
		if (v == NULL || v->start <= low)
			return 0;
		high = MIN(high, vma_low(v));
		v = RB_PREV(vma_tree, &mm->vmas, v);
	}
}

/* The lowest free range of len bytes in [low, high), or 0. */
static uint64_t search_up(struct mm *mm, uint64_t low, uint64_t high, uint64_t len)
{
	struct vma *v = mm_find_next(mm, low);

	for (;;) {
		uint64_t top = v != NULL ? MIN(vma_low(v), high) : high;
		uint64_t bottom = low, below, above;

		while (bottom < top && top - bottom >= len) {
			if (!range_reserved(mm, bottom, bottom + len, &below, &above))
				return bottom;
			bottom = above;
		}
		if (v == NULL || v->end >= high)
			return 0;
		low = MAX(low, v->end);
		v = RB_NEXT(vma_tree, &mm->vmas, v);
	}
}

bool vma_range_free_or(struct mm *mm, uint64_t start, uint64_t end, uint64_t *below)
{
	struct vma *v = mm_find_next(mm, start);
	uint64_t above;

	if (v != NULL && vma_low(v) < end) {
		*below = vma_low(v);
		return false;
	}
	return !range_reserved(mm, start, end, below, &above);
}

bool vma_range_free(struct mm *mm, uint64_t start, uint64_t end)
{
	uint64_t below;

	return vma_range_free_or(mm, start, end, &below);
}

uint64_t vma_find_below(struct mm *mm, uint64_t high, uint64_t len)
{
	uint64_t largest = 0;

	return high > GUEST_MIN && high - GUEST_MIN >= len ? search_down(mm, GUEST_MIN, high, len, &largest) : 0;
}

uint64_t mm_find_free(struct mm *mm, uint64_t hint, uint64_t len, int flags)
{
	uint64_t end = (flags & LINUX_MAP_32BIT) ? MAP32_END : GUEST_END;
	uint64_t from, addr, largest = 0;

	if (len == 0 || len > GUEST_END - GUEST_MIN)
		return 0;
	if (hint >= GUEST_MIN && hint < end && len <= end - hint && vma_range_free(mm, hint, hint + len))
		return hint;
	if (flags & LINUX_MAP_32BIT)
		return search_up(mm, MAP32_MIN, MAP32_END, len);
	if (len > mm->hole_max) {
		from = mm->hole_top;
	} else {
		from = mm->mmap_top;
		mm->hole_max = 0;
	}
	addr = search_down(mm, GUEST_MIN, from, len, &largest);
	mm->hole_max = MAX(mm->hole_max, largest);
	if (addr != 0) {
		mm->hole_top = addr;
		return addr;
	}
	/* Nothing below: what lies between the mmap area and the stack, as Linux's bottom-up fallback would find. */
	mm->hole_top = mm->mmap_top;
	mm->hole_max = 0;
	return search_up(mm, GUEST_MIN, GUEST_END, len);
}

bool mm_plain_memory(struct mm *mm, uint64_t start, uint64_t end)
{
	const struct vma *v = mm != NULL ? mm_find(mm, start) : NULL;

	return v != NULL && v->file == NULL && v->shm == NULL && end <= v->end && (v->prot & LINUX_PROT_WRITE) &&
	       (v->flags & LINUX_MAP_PRIVATE) && end > start;
}
