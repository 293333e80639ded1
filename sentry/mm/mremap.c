// SPDX-License-Identifier: Apache-2.0
/*
 * mremap(2) and remap_file_pages(2).
 *
 *	shrink         munmap of the tail
 *	grow in place  a mapping of the new tail, where nothing is in the way
 *	move           the host's mremap with equal, non-zero sizes (it moves page tables, nothing is copied), then a
 *mapping of the new tail behind it
 *
 * The host is never asked to grow or to duplicate: growing could reach into pages of a file behind those that were
 * shown, and an old size of 0 duplicates. The new tail of a file mapping comes from file->ops->map as for mmap.
 *
 * A move is carried out at once (the handler sleeps): the target is held in the tree by an inaccessible mapping
 *meanwhile, and only when the host has agreed does the tree change. The host refuses with EFAULT where its mappings are
 *smaller than ours, as Linux would have.
 *
 * Left out: MREMAP_DONTUNMAP of shared and file mappings (EINVAL, as before Linux 5.13).
 */
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/text.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#include <string.h>

/* A vma's description that outlives it: with references of its own. */
static void hold(struct vma_desc *d)
{
	if (d->file != NULL)
		file_get(d->file);
	if (d->shm != NULL)
		shared_mem_get(d->shm);
}

static void drop(struct vma_desc *d)
{
	if (d->file != NULL)
		file_put(d->file);
	if (d->shm != NULL)
		shared_mem_put(d->shm);
}

/* The mapping that holds all of [addr, addr + len), or why it can't be resized. */
static int source_vma(struct task *task, uint64_t addr, uint64_t old_len, uint64_t new_len, int flags, struct vma **out)
{
	struct mm *mm = task->mm;
	struct vma *v = mm_find(mm, addr);

	*out = v;
	if (v == NULL)
		return -LINUX_EFAULT;
	if (old_len == 0 && (v->flags & LINUX_MAP_SHARED) == 0)
		return -LINUX_EINVAL;
	if ((flags & LINUX_MREMAP_DONTUNMAP) != 0 && (!vma_is_anon(v) || (v->flags & LINUX_MAP_SHARED) != 0))
		return -LINUX_EINVAL;
	if (old_len > v->end - addr)
		return -LINUX_EFAULT;
	if (new_len > old_len) {
		int err;

		if (!vma_is_anon(v) && vma_off(v, addr) + new_len < new_len)
			return -LINUX_EINVAL;
		if (v->flags & LINUX_MAP_LOCKED) {
			err = mm_lock_check(task, (new_len - old_len) / PAGE_SIZE, false);
			if (err)
				return err;
		}
		err = mm_may_expand(mm, task->group, (new_len - old_len) / PAGE_SIZE, vma_is_data(v));
		if (err)
			return err;
	}
	return 0;
}

/* Makes d the part of its mapping that comes len bytes behind d->start's, at [at, end). */
static int tail(struct task *task, struct vma_desc *d, uint64_t at, uint64_t end, uint64_t skip)
{
	d->start = at;
	d->end = end;
	if (d->file != NULL || d->shm != NULL)
		d->file_off += skip;
	return mm_back(task, d);
}

static int64_t shrink(struct task *task, uint64_t addr, uint64_t old_len, uint64_t new_len)
{
	int err = mm_inflight_add(task, addr + new_len, addr + old_len, NULL, NULL);

	if (!err)
		err = mm_unmap(task->mm, task->pt, addr + new_len, addr + old_len);
	return err ? err : (int64_t)addr;
}

/* The new pages at [addr + old_len, addr + new_len), which is free. */
static int64_t grow_in_place(struct task *task, struct vma *v, uint64_t addr, uint64_t old_len, uint64_t new_len)
{
	struct vma_desc d;
	int64_t ret;

	mm_describe(&d, v, addr, addr + old_len);
	hold(&d);
	ret = tail(task, &d, addr + old_len, addr + new_len, old_len);
	/* The backing may have slept: another thread may have taken the place. */
	if (!ret && vma_range_used(task->mm, d.start, d.end))
		ret = -LINUX_ENOMEM;
	if (!ret && d.host_fd >= 0)
		ret = mm_inflight_add(task, 0, 0, d.file, d.shm);
	if (!ret)
		ret = mm_map(task->mm, task->pt, &d);
	drop(&d);
	return ret ? ret : (int64_t)addr;
}

/* Holds [start, end) in the tree (and nothing in the host) so that nobody is given it. */
static int reserve(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma_desc d = {
	    .start = start,
	    .end = end,
	    .max_prot = LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC,
	    .flags = LINUX_MAP_PRIVATE | LINUX_MAP_STACK, /* STACK is never kept otherwise: joins with nothing */
	    .host_fd = -1,
	};
	struct vma *v;
	int err = vma_split_at(mm, start);

	if (!err)
		err = vma_split_at(mm, end);
	if (err)
		return err;
	v = vma_new(&d);
	if (v == NULL)
		return -LINUX_ENOMEM;
	vma_remove_range(mm, start, end);
	vma_insert(mm, v);
	return 0;
}

static void unreserve(struct mm *mm, uint64_t start, uint64_t end)
{
	/* Another thread may have changed anything meanwhile: take only what is ours. */
	struct vma *v = mm_find(mm, start);

	if (v != NULL && v->start == start && v->end == end && (v->flags & LINUX_MAP_STACK) != 0) {
		vma_remove_range(mm, start, end);
		vma_hole_opened(mm, start, end);
	}
}

/* The tree's side of a finished move: the old range goes (or becomes new memory), d's appears at [to, to + len). */
static int move_tree(struct mm *mm, struct vma_desc *d, uint64_t from, uint64_t to, uint64_t len, bool keep_old)
{
	struct vma *moved, *kept = NULL;
	int err;

	d->start = to;
	d->end = to + len;
	moved = vma_new(d);
	if (moved == NULL)
		return -LINUX_ENOMEM;
	if (keep_old) {
		d->start = from;
		d->end = from + len;
		kept = vma_new(d);
		if (kept == NULL) {
			vma_free(moved);
			return -LINUX_ENOMEM;
		}
	}
	err = vma_split_at(mm, from);
	if (!err)
		err = vma_split_at(mm, from + len);
	if (!err)
		err = vma_split_at(mm, to);
	if (!err)
		err = vma_split_at(mm, to + len);
	if (err) {
		vma_free(moved);
		if (kept != NULL)
			vma_free(kept);
		return err;
	}
	vma_remove_range(mm, from, from + len);
	vma_remove_range(mm, to, to + len);
	vma_insert(mm, moved);
	if (kept != NULL)
		vma_insert(mm, kept);
	else
		vma_hole_opened(mm, from, from + len);
	return 0;
}

/* Moves [from, from + old_len) to to, where new_len bytes are reserved, and maps what is new behind it. */
static int64_t move(struct task *task, struct vma_desc *d, uint64_t from, uint64_t old_len, uint64_t to,
		    uint64_t new_len, bool keep_old)
{
	struct mm *mm = task->mm;
	struct platform_mm_cmd cmd = {
	    .op = PLATFORM_MREMAP,
	    .addr = from,
	    .len = old_len,
	    .new_addr = to,
	    .host_fd = -1,
	};
	struct vma_desc rest = *d;
	int err;

	err = platform->mm_queue(task->pt, &cmd);
	if (err)
		goto unreserve;
	if (keep_old) {
		struct platform_mm_cmd fresh = {
		    .op = PLATFORM_MMAP,
		    .addr = from,
		    .len = old_len,
		    .prot = d->prot,
		    .flags = LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_NORESERVE,
		    .host_fd = -1,
		};

		err = platform->mm_queue(task->pt, &fresh);
		if (err)
			goto unreserve;
	}
	err = platform->mm_flush(task, task->pt);
	if (err)
		goto unreserve;
	unreserve(mm, to, to + new_len);
	err = move_tree(mm, d, from, to, old_len, keep_old);
	if (err)
		return err;
	if (new_len > old_len) {
		/* The rest of the reservation is mapped on the way out. */
		err = tail(task, &rest, to + old_len, to + new_len, old_len);
		if (!err && rest.host_fd >= 0)
			err = mm_inflight_add(task, 0, 0, rest.file, rest.shm);
		if (!err)
			err = mm_map(mm, task->pt, &rest);
		if (err)
			return err;
	}
	return (int64_t)to;

unreserve:
	unreserve(mm, to, to + new_len);
	return err;
}

/* old_len 0 of a shared mapping: the same pages a second time. */
static int64_t duplicate(struct task *task, struct vma_desc *d, uint64_t to, uint64_t len)
{
	int err = tail(task, d, to, to + len, 0);

	if (!err && d->host_fd >= 0)
		err = mm_inflight_add(task, 0, 0, d->file, d->shm);
	if (!err)
		err = mm_map(task->mm, task->pt, d);
	unreserve(task->mm, to, to + len);
	return err ? err : (int64_t)to;
}

/* Finds the place and reserves it; then moves. */
static int64_t move_to(struct task *task, struct vma *v, uint64_t addr, uint64_t old_len, uint64_t new_len, int flags,
		       uint64_t to)
{
	struct mm *mm = task->mm;
	struct platform_mm_cmd unmap = {.op = PLATFORM_MUNMAP, .len = new_len, .host_fd = -1};
	bool keep = (flags & LINUX_MREMAP_DONTUNMAP) != 0;
	struct vma_desc d;
	int64_t ret;
	int err;

	if (!vma_count_ok(mm, 4))
		return -LINUX_ENOMEM;
	mm_describe(&d, v, addr, addr + old_len);
	hold(&d);
	if (flags & LINUX_MREMAP_FIXED) {
		/* What was at the target goes first, as Linux does it, whatever comes of the move. */
		unmap.addr = to;
		err = vma_range_used(mm, to, to + new_len) ? platform->mm_queue(task->pt, &unmap) : 0;
	} else {
		to = mm_find_free(mm, to, new_len, 0);
		err = to != 0 ? 0 : -LINUX_ENOMEM;
	}
	if (!err && new_len < old_len) {
		err = mm_unmap(mm, task->pt, addr + new_len, addr + old_len);
		old_len = new_len;
		d.end = addr + old_len;
	}
	if (!err)
		err = reserve(mm, to, to + new_len);
	if (err)
		ret = err;
	else if (old_len == 0)
		ret = duplicate(task, &d, to, new_len);
	else
		ret = move(task, &d, addr, old_len, to, new_len, keep);
	vma_lock_look(mm); /* what was at the target may have been locked */
	drop(&d);
	return ret;
}

int64_t mm_mremap(struct task *task, uint64_t addr, uint64_t old_len, uint64_t new_len, int flags, uint64_t new_addr)
{
	struct mm *mm = task->mm;
	struct vma *v;
	int err;

	if (flags & ~(LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_FIXED | LINUX_MREMAP_DONTUNMAP))
		return -LINUX_EINVAL;
	if ((flags & LINUX_MREMAP_FIXED) != 0 && (flags & LINUX_MREMAP_MAYMOVE) == 0)
		return -LINUX_EINVAL;
	if ((flags & LINUX_MREMAP_DONTUNMAP) != 0 && ((flags & LINUX_MREMAP_MAYMOVE) == 0 || old_len != new_len))
		return -LINUX_EINVAL;
	if (addr & ~PAGE_MASK)
		return -LINUX_EINVAL;
	old_len = PAGE_ALIGN(old_len);
	new_len = PAGE_ALIGN(new_len);
	if (new_len == 0)
		return -LINUX_EINVAL;
	mm_stack_touch(task);
	if (old_len > GUEST_END || addr > GUEST_END - old_len)
		return -LINUX_EFAULT;
	err = text_claim(task, addr, addr + old_len);
	if (err)
		return err;
	if (flags & (LINUX_MREMAP_FIXED | LINUX_MREMAP_DONTUNMAP)) {
		bool fixed = (flags & LINUX_MREMAP_FIXED) != 0;

		if (fixed && (new_addr & ~PAGE_MASK) != 0)
			return -LINUX_EINVAL;
		if (new_len > GUEST_END || (fixed && (new_addr > GUEST_END - new_len || new_addr < GUEST_MIN)))
			return -LINUX_EINVAL;
		if (fixed && addr < new_addr + new_len && new_addr < addr + old_len)
			return -LINUX_EINVAL;
		err = fixed ? text_claim(task, new_addr, new_addr + new_len) : 0;
		if (!err)
			err = source_vma(task, addr, old_len, new_len, flags, &v);
		if (err)
			return err;
		return move_to(task, v, addr, old_len, new_len, flags, fixed ? new_addr : 0);
	}
	if (new_len > GUEST_END)
		return -LINUX_ENOMEM;
	if (old_len >= new_len && old_len != 0) {
		if (!vma_range_used(mm, addr, addr + 1))
			return -LINUX_EFAULT;
		return old_len == new_len ? (int64_t)addr : shrink(task, addr, old_len, new_len);
	}
	err = source_vma(task, addr, old_len, new_len, flags, &v);
	if (err)
		return err;
	if (old_len != 0 && addr + old_len == v->end && new_len <= GUEST_END - addr &&
	    vma_range_free(mm, addr + old_len, addr + new_len))
		return grow_in_place(task, v, addr, old_len, new_len);
	if ((flags & LINUX_MREMAP_MAYMOVE) == 0)
		return -LINUX_ENOMEM;
	return move_to(task, v, addr, old_len, new_len, flags, 0);
}

/*
 * remap_file_pages(2): as Linux since 4.0, a new mapping of the same file in place of a part of a shared one.
 */
int mm_remap_file_pages(struct task *task, uint64_t addr, uint64_t size, int prot, uint64_t pgoff, int flags)
{
	struct mm *mm = task->mm;
	struct vma_desc d;
	struct vma *v;
	int err;

	addr = PAGE_DOWN(addr);
	size = PAGE_DOWN(size);
	if (prot != 0 || addr + size <= addr)
		return -LINUX_EINVAL;
	if (pgoff > UINT64_MAX / PAGE_SIZE || pgoff + size / PAGE_SIZE < pgoff)
		return -LINUX_EINVAL;
	v = mm_find(mm, addr);
	if (v == NULL || (v->flags & LINUX_MAP_SHARED) == 0 || (flags & ~LINUX_MAP_NONBLOCK) != 0)
		return -LINUX_EINVAL;
	if (size > v->end - addr || !vma_count_ok(mm, 2))
		return -LINUX_EINVAL;
	mm_describe(&d, v, addr, addr + size);
	hold(&d);
	d.file_off = pgoff * PAGE_SIZE;
	err = mm_back(task, &d);
	if (!err && d.host_fd >= 0)
		err = mm_inflight_add(task, 0, 0, d.file, d.shm);
	if (!err)
		err = mm_map(mm, task->pt, &d);
	drop(&d);
	return err;
}
