/* SPDX-License-Identifier: Apache-2.0 */
/* Inside sentry/mm: changing the tree of vmas. Nothing here talks to the platform but mm_native_*. */
#ifndef SENTRY_MM_VMA_H
#define SENTRY_MM_VMA_H

#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

struct thread_group;

/* As Linux's sysctl vm.max_map_count; the stub region needs some of the host's. */
#define MM_MAX_MAPS 65400U
#define STACK_GUARD_GAP (256 * PAGE_SIZE)
#define VMA_FLAGS_KEPT                                                                                                 \
	(LINUX_MAP_SHARED | LINUX_MAP_PRIVATE | LINUX_MAP_GROWSDOWN | LINUX_MAP_NORESERVE | LINUX_MAP_LOCKED |         \
	 LINUX_MAP_STACK)

/* What a new mapping is. */
struct vma_desc {
	uint64_t start, end;
	int prot, max_prot, flags; /* flags: VMA_FLAGS_KEPT */
	uint32_t advice;
	struct file *file;      /* borrowed: the vma takes a reference of its own */
	struct shared_mem *shm; /* the same */
	uint64_t file_off;
	const char *name;
	/* native side */
	int host_fd; /* -1: anonymous */
	uint64_t host_off;
	uint64_t host_len;   /* so much of it is host_fd's, the rest end_fd's from its beginning; 0: all of it */
	int end_fd;
	bool native_private; /* MAP_PRIVATE in the stub though the guest's is shared */
};

/* ---- vma.c ---- */

/* Ensures that no vma crosses addr. 0 or -LINUX_ENOMEM (then nothing has changed). */
int vma_split_at(struct mm *mm, uint64_t addr) must_check;
/* Takes everything in [start, end) off the tree; the borders must have been split. Never fails. */
void vma_remove_range(struct mm *mm, uint64_t start, uint64_t end);
/* [start, end) became free and stays so: holes above hole_top may now be larger than was known. */
void vma_hole_opened(struct mm *mm, uint64_t start, uint64_t end);
/* A vma off the tree, with references. NULL if memory is out. */
struct vma *vma_new(const struct vma_desc *d) must_check;
void vma_free(struct vma *v);
/* Puts v in its place, which must be free, and joins it with its neighbours: v may be gone afterwards. */
void vma_insert(struct mm *mm, struct vma *v);
/* Joins v with its neighbours where nothing tells them apart. Returns the vma that now holds v's range. */
struct vma *vma_join(struct mm *mm, struct vma *v);
/* Joins all vmas that touch [start, end]. */
void vma_join_range(struct mm *mm, uint64_t start, uint64_t end);
/* Changes what counts in the totals: call off before a change of v's prot, flags or range, on after it. */
void vma_account(struct mm *mm, const struct vma *v, int sign);
/* After unlocking, unmapping, mapping over: if the platform was told that mm locks memory, and it doesn't, it is told. */
void vma_lock_look(struct mm *mm);
bool vma_is_anon(const struct vma *v); /* private pages of nobody's file */
bool vma_is_data(const struct vma *v); /* counts for RLIMIT_DATA */
static inline uint64_t vma_pages(const struct vma *v)
{
	return (v->end - v->start) / PAGE_SIZE;
}
/* True if something of [start, end) is mapped. */
bool vma_range_used(struct mm *mm, uint64_t start, uint64_t end);
/* True if all of [start, end) is mapped. */
bool vma_range_full(struct mm *mm, uint64_t start, uint64_t end);
/* The file offset (or shm's) that v shows at addr. */
static inline uint64_t vma_off(const struct vma *v, uint64_t addr)
{
	return v->file_off + (addr - v->start);
}
/* vmas that a new one at [start, end) adds at most: for the limit on their number. */
bool vma_count_ok(const struct mm *mm, uint32_t more);

/* True if [start, end) may be given to a mapping: nothing there, no gap violated, no call on its way. */
bool vma_range_free(struct mm *mm, uint64_t start, uint64_t end);
/* The same; if not, where what is in the way begins goes into *below. */
bool vma_range_free_or(struct mm *mm, uint64_t start, uint64_t end, uint64_t *below);
/* The highest free range of len bytes that ends at or below high, or 0. */
uint64_t vma_find_below(struct mm *mm, uint64_t high, uint64_t len);
/* An address for len bytes (page aligned), or 0. MAP_32BIT in flags is honoured; hint (page aligned) is tried first. */
uint64_t mm_find_free(struct mm *mm, uint64_t hint, uint64_t len, int flags);

/* ---- mmap.c ---- */

/* RLIMIT_AS and RLIMIT_DATA: may npages more of this kind be mapped? 0 or -LINUX_ENOMEM. */
int mm_may_expand(const struct mm *mm, const struct thread_group *group, uint64_t npages, bool data) must_check;
/* Maps d, replacing what was there: tree and native queue of pt. 0 or -LINUX_ENOMEM with nothing changed. */
int mm_map(struct mm *mm, struct platform_thread *pt, const struct vma_desc *d) must_check;
/* Unmaps [start, end): tree and native queue. 0 or -LINUX_ENOMEM with nothing changed. */
int mm_unmap(struct mm *mm, struct platform_thread *pt, uint64_t start, uint64_t end) must_check;
/* Fills the backing of d (file, file_off, range, flags, prot set). May sleep. 0 or -errno. */
int mm_back(struct task *task, struct vma_desc *d) must_check;
/* The native call alone: d's pages appear at its place; the tree isn't touched. 0 or -LINUX_ENOMEM. */
int mm_queue_map(struct platform_thread *pt, const struct vma_desc *d) must_check;
/* Makes d describe [start, end) of v (no backing yet). */
void mm_describe(struct vma_desc *d, const struct vma *v, uint64_t start, uint64_t end);
/* Checks MAP_LOCKED and mlockall(MCL_FUTURE) against RLIMIT_MEMLOCK: 0, -LINUX_EPERM or -LINUX_EAGAIN. */
int mm_lock_check(const struct task *task, uint64_t npages, bool explicit_lock) must_check;

/* ---- inflight.c ---- */
/* Remembers what the task's queued calls do (see mm.h). Never more than one per task: the older is done. 0 or -ENOMEM.
 */
int mm_inflight_add(struct task *task, uint64_t start, uint64_t end, struct file *file,
		    struct shared_mem *shm) must_check;

/* ---- shared_mem.c ---- */
/* Returns a reference. -LINUX_ENOMEM, -LINUX_ENFILE. */
int shared_mem_new(uint64_t size, const char *name, struct shared_mem **out) must_check;
void shared_mem_put(struct shared_mem *s);
static inline struct shared_mem *shared_mem_get(struct shared_mem *s)
{
	ref_get(&s->ref);
	return s;
}

/* ---- shm.c: a vma with VMA_SYSV_ATTACH came or went ---- */
void shm_attached(struct shared_mem *s);
void shm_detached(struct shared_mem *s);

/* ---- stack.c ---- */
extern const char vma_name_stack[], vma_name_heap[];
/* Notes that the main stack is used down to sp: the [stack] vma follows, as it would have grown in Linux. */
void mm_stack_touch(struct task *task);
/* Maps the main stack of a new address space: stack_top, stack_floor and the vma. */
int mm_stack_map(struct mm *mm, struct platform_thread *pt, uint64_t top, uint64_t rlimit, bool executable) must_check;
/* The vma shows the stack from used upwards only. */
void mm_stack_trim(struct mm *mm, uint64_t used);
/* The stack is used down to here. */
void mm_stack_grow(struct mm *mm, uint64_t used);
/* The bytes of address space kept for the main stack under this limit. */
uint64_t mm_stack_size(uint64_t rlimit);

#endif
