// SPDX-License-Identifier: Apache-2.0
/*
 * madvise(2). Like Linux, goes on over holes and returns ENOMEM at the end; the first other error ends it.
 *
 *	DONTNEED, FREE, POPULATE_*, HUGEPAGE ...   the host's, by one native call for each mapping
 *	DONTFORK, WIPEONFORK and their opposites   the host's (it copies at fork) and a mark in the tree
 *	REMOVE                                     a hole in the file or shared memory
 *	the rest                                   advice: accepted, and at most remembered
 *
 * Left out: KSM (MERGEABLE is accepted and does nothing), COLLAPSE and GUARD_* (EINVAL, as in older kernels).
 */
#include "sentry/abi/errno.h"
#include "sentry/host/host.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#define MADV_HWPOISON 100
#define MADV_SOFT_OFFLINE 101

static bool advice_known(int advice)
{
	switch (advice) {
	case LINUX_MADV_NORMAL ... LINUX_MADV_DONTNEED:
	case LINUX_MADV_FREE ... LINUX_MADV_POPULATE_WRITE:
		return true;
	default:
		return false;
	}
}

/* What the advice leaves on v: the bits to clear and to set. */
static void advice_marks(int advice, uint32_t *clear, uint32_t *set)
{
	*clear = *set = 0;
	switch (advice) {
	case LINUX_MADV_NORMAL:
		*clear = VMA_SEQUENTIAL | VMA_RANDOM;
		break;
	case LINUX_MADV_SEQUENTIAL:
		*clear = VMA_RANDOM;
		*set = VMA_SEQUENTIAL;
		break;
	case LINUX_MADV_RANDOM:
		*clear = VMA_SEQUENTIAL;
		*set = VMA_RANDOM;
		break;
	case LINUX_MADV_DONTFORK:
		*set = VMA_DONTFORK;
		break;
	case LINUX_MADV_DOFORK:
		*clear = VMA_DONTFORK;
		break;
	case LINUX_MADV_WIPEONFORK:
		*set = VMA_WIPEONFORK;
		break;
	case LINUX_MADV_KEEPONFORK:
		*clear = VMA_WIPEONFORK;
		break;
	case LINUX_MADV_DONTDUMP:
		*set = VMA_DONTDUMP;
		break;
	case LINUX_MADV_DODUMP:
		*clear = VMA_DONTDUMP;
		break;
	case LINUX_MADV_HUGEPAGE:
		*clear = VMA_NOHUGEPAGE;
		*set = VMA_HUGEPAGE;
		break;
	case LINUX_MADV_NOHUGEPAGE:
		*clear = VMA_HUGEPAGE;
		*set = VMA_NOHUGEPAGE;
		break;
	case LINUX_MADV_MERGEABLE:
		*set = VMA_MERGEABLE;
		break;
	case LINUX_MADV_UNMERGEABLE:
		*clear = VMA_MERGEABLE;
		break;
	}
}

static int advice_check(const struct vma *v, int advice)
{
	bool private_anon = vma_is_anon(v) && (v->flags & LINUX_MAP_SHARED) == 0;

	switch (advice) {
	case LINUX_MADV_WIPEONFORK:
	case LINUX_MADV_FREE:
		return private_anon ? 0 : -LINUX_EINVAL;
	case LINUX_MADV_DONTNEED:
	case LINUX_MADV_PAGEOUT:
	case LINUX_MADV_COLD:
		return (v->flags & LINUX_MAP_LOCKED) ? -LINUX_EINVAL : 0;
	case LINUX_MADV_REMOVE:
		if (v->flags & LINUX_MAP_LOCKED)
			return -LINUX_EINVAL;
		if (vma_is_anon(v))
			return -LINUX_EINVAL;
		if ((v->flags & LINUX_MAP_SHARED) == 0 || (v->max_prot & LINUX_PROT_WRITE) == 0)
			return -LINUX_EACCES;
		return 0;
	default:
		return 0;
	}
}

static bool advice_is_native(int advice)
{
	switch (advice) {
	case LINUX_MADV_DONTNEED:
	case LINUX_MADV_FREE:
	case LINUX_MADV_DONTFORK:
	case LINUX_MADV_DOFORK:
	case LINUX_MADV_WIPEONFORK:
	case LINUX_MADV_KEEPONFORK:
	case LINUX_MADV_HUGEPAGE:
	case LINUX_MADV_NOHUGEPAGE:
	case LINUX_MADV_POPULATE_READ:
	case LINUX_MADV_POPULATE_WRITE:
		return true;
	default:
		return false;
	}
}

/* MADV_REMOVE of [start, end) of v: may sleep, so v may be gone afterwards. */
static int remove_pages(struct task *task, const struct vma *v, uint64_t start, uint64_t end)
{
	int64_t off = (int64_t)vma_off(v, start), len = (int64_t)(end - start);
	const int mode = LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_KEEP_SIZE;
	struct file *file;
	int err;

	if (v->shm != NULL)
		return host_fallocate(v->shm->host_fd, mode, off, len);
	if (v->file->ops->fallocate == NULL)
		return -LINUX_EOPNOTSUPP;
	file = file_get(v->file);
	err = file->ops->fallocate(task, file, mode, off, len);
	file_put(file);
	return err;
}

/* Advises [start, end), which lies within v. */
static int advise(struct task *task, struct vma *v, uint64_t start, uint64_t end, int advice)
{
	struct platform_mm_cmd cmd = {
	    .op = PLATFORM_MADVISE, .addr = start, .len = end - start, .flags = advice, .host_fd = -1};
	struct mm *mm = task->mm;
	uint32_t clear, set;
	int err = advice_check(v, advice);

	if (err)
		return err;
	if (advice == LINUX_MADV_REMOVE)
		return remove_pages(task, v, start, end);
	advice_marks(advice, &clear, &set);
	if (((v->advice & ~clear) | set) != v->advice) {
		if (!vma_count_ok(mm, 2))
			return -LINUX_ENOMEM;
		err = vma_split_at(mm, start);
		if (!err)
			err = vma_split_at(mm, end);
		if (err)
			return err;
	} else {
		clear = set = 0;
	}
	if (advice_is_native(advice)) {
		/* The main stack grows in the host only, and its marks should hold for all of it. */
		if (v->name == vma_name_stack && (clear | set) != 0 && start == v->start && start > mm->stack_floor) {
			cmd.addr = mm->stack_floor;
			cmd.len = end - cmd.addr;
		}
		err = platform->mm_queue(task->pt, &cmd);
		if (err)
			return err == -LINUX_ENOMEM ? -LINUX_EAGAIN : err;
	}
	if (clear | set) {
		v = mm_find(mm, start);
		v->advice = (v->advice & ~clear) | set;
		vma_join(mm, v);
	}
	return 0;
}

int mm_madvise(struct task *task, uint64_t start, uint64_t len, int advice)
{
	struct mm *mm = task->mm;
	uint64_t end, at;
	bool hole = false;

	if (advice == MADV_HWPOISON || advice == MADV_SOFT_OFFLINE)
		return -LINUX_EPERM;
	if (!advice_known(advice))
		return -LINUX_EINVAL;
	if (start & ~PAGE_MASK)
		return -LINUX_EINVAL;
	if (len != 0 && PAGE_ALIGN(len) == 0)
		return -LINUX_EINVAL;
	len = PAGE_ALIGN(len);
	end = start + len;
	if (end < start)
		return -LINUX_EINVAL;
	if (end == start)
		return 0;
	mm_stack_touch(task);
	for (at = start; at < end;) {
		struct vma *v = mm_find_next(mm, at);
		uint64_t stop;
		int err;

		if (v == NULL || v->start >= end) {
			hole = true;
			break;
		}
		if (v->start > at) {
			hole = true;
			at = v->start;
		}
		stop = MIN(end, v->end);
		err = advise(task, v, at, stop, advice);
		if (err)
			return err;
		at = stop;
	}
	return hole ? -LINUX_ENOMEM : 0;
}
