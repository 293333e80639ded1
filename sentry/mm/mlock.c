// SPDX-License-Identifier: Apache-2.0
/*
 * mlock(2) and friends, msync(2), mincore(2).
 *
 * Nothing is locked in the host: that would take from the host's RLIMIT_MEMLOCK and let a guest hold memory against it.
 * The tree remembers what the guest locked, so that limits, munlock, MADV_DONTNEED's EINVAL and /proc/PID/status agree.
 *
 * Shared mappings of files in the sandbox are coherent with read and write by themselves; msync has work only where a
 * filesystem has something to sync. mincore is the host's for memory without a file, which writes into the guest's
 * vector.
 */
#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#include <string.h>

int mm_lock_check(const struct task *task, uint64_t npages, bool explicit_lock)
{
	uint64_t limit = group_rlimit(task->group, LINUX_RLIMIT_MEMLOCK);

	if (task_capable(task, LINUX_CAP_IPC_LOCK))
		return 0;
	if (explicit_lock && limit == 0)
		return -LINUX_EPERM;
	limit /= PAGE_SIZE;
	return npages > limit || task->mm->locked_pages > limit - npages ? -LINUX_EAGAIN : 0;
}

static uint64_t locked_in(struct mm *mm, uint64_t start, uint64_t end)
{
	uint64_t n = 0;

	for (struct vma *v = mm_find_next(mm, start); v != NULL && v->start < end; v = mm_find_next(mm, v->end))
		if (v->flags & LINUX_MAP_LOCKED)
			n += (MIN(v->end, end) - MAX(v->start, start)) / PAGE_SIZE;
	return n;
}

/* Marks what is mapped of [start, end). -LINUX_ENOMEM at the first hole, unless holes are allowed. */
static int mark(struct mm *mm, uint64_t start, uint64_t end, bool lock, bool onfault, bool holes)
{
	uint64_t at = start;
	int err;

	if (!vma_count_ok(mm, 2))
		return -LINUX_ENOMEM;
	err = vma_split_at(mm, start);
	if (!err)
		err = vma_split_at(mm, end);
	if (err)
		return err;
	while (at < end) {
		struct vma *v = mm_find_next(mm, at);

		if (v == NULL || v->start >= end)
			break;
		if (v->start > at && !holes)
			break;
		vma_account(mm, v, -1);
		v->flags = lock ? v->flags | LINUX_MAP_LOCKED : v->flags & ~LINUX_MAP_LOCKED;
		v->advice = lock && onfault ? v->advice | VMA_LOCKONFAULT : v->advice & ~VMA_LOCKONFAULT;
		vma_account(mm, v, 1);
		at = v->end;
	}
	vma_join_range(mm, start, end);
	vma_lock_look(mm);
	return at < end && !holes ? -LINUX_ENOMEM : 0;
}

int mm_mlock(struct task *task, uint64_t addr, uint64_t len, bool lock, bool onfault)
{
	struct mm *mm = task->mm;
	uint64_t limit = group_rlimit(task->group, LINUX_RLIMIT_MEMLOCK);
	uint64_t start = PAGE_DOWN(addr), end, npages;

	if (lock && limit == 0 && !task_capable(task, LINUX_CAP_IPC_LOCK))
		return -LINUX_EPERM;
	len = PAGE_ALIGN(len + (addr - start));
	end = start + len;
	if (lock && !task_capable(task, LINUX_CAP_IPC_LOCK)) {
		npages = len / PAGE_SIZE;
		limit /= PAGE_SIZE;
		if (npages > limit || mm->locked_pages > limit - npages) {
			npages -= MIN(npages, locked_in(mm, start, end));
			if (npages > limit || mm->locked_pages > limit - npages)
				return -LINUX_ENOMEM;
		}
	}
	if (end < start)
		return -LINUX_EINVAL;
	if (end == start)
		return 0;
	return mark(mm, start, end, lock, onfault, false);
}

int mm_mlockall(struct task *task, int flags)
{
	struct mm *mm = task->mm;
	uint64_t limit = group_rlimit(task->group, LINUX_RLIMIT_MEMLOCK);
	bool onfault = (flags & LINUX_MCL_ONFAULT) != 0;

	if (flags != 0 && !task_capable(task, LINUX_CAP_IPC_LOCK)) {
		if (limit == 0)
			return -LINUX_EPERM;
		if ((flags & LINUX_MCL_CURRENT) != 0 && mm->total_pages > limit / PAGE_SIZE)
			return -LINUX_ENOMEM;
	}
	mm->lock_future = (flags & LINUX_MCL_FUTURE) != 0;
	mm->lock_future_onfault = mm->lock_future && onfault;
	if (flags == 0 || (flags & LINUX_MCL_CURRENT) != 0)
		return mark(mm, GUEST_MIN, GUEST_END, flags != 0, onfault, true);
	return 0;
}

int mm_msync(struct task *task, uint64_t start, uint64_t len, int flags)
{
	struct mm *mm = task->mm;
	uint64_t end;
	bool hole = false;

	if (flags & ~(LINUX_MS_ASYNC | LINUX_MS_INVALIDATE | LINUX_MS_SYNC))
		return -LINUX_EINVAL;
	if (start & ~PAGE_MASK)
		return -LINUX_EINVAL;
	if ((flags & LINUX_MS_ASYNC) != 0 && (flags & LINUX_MS_SYNC) != 0)
		return -LINUX_EINVAL;
	len = PAGE_ALIGN(len);
	end = start + len;
	if (end < start)
		return -LINUX_ENOMEM;
	while (start < end) {
		struct vma *v = mm_find_next(mm, start);
		struct file *file;
		int err = 0;

		if (v == NULL || v->start >= end) {
			hole = true;
			break;
		}
		if (v->start > start)
			hole = true;
		if ((flags & LINUX_MS_INVALIDATE) != 0 && (v->flags & LINUX_MAP_LOCKED) != 0)
			return -LINUX_EBUSY;
		start = v->end;
		if ((flags & LINUX_MS_SYNC) == 0 || v->file == NULL || (v->flags & LINUX_MAP_SHARED) == 0)
			continue;
		file = file_get(v->file); /* fsync may sleep, and v be gone */
		if (file->ops->fsync != NULL)
			err = file->ops->fsync(task, file);
		file_put(file);
		if (err)
			return err;
	}
	return hole ? -LINUX_ENOMEM : 0;
}

/* Pages of files in the host's cache are the host's business, and no sandbox learns what others have read: they are
 * told as resident. */
static int tell_resident(struct task *task, uint64_t pages, gva_t vec)
{
	uint8_t ones[256];

	memset(ones, 1, sizeof(ones));
	while (pages > 0) {
		uint64_t n = MIN(pages, sizeof(ones));

		if (copy_to_guest(task, vec, ones, n) != 0)
			return -LINUX_EFAULT;
		vec = gva_add(vec, n);
		pages -= n;
	}
	return 0;
}

int mm_mincore(struct task *task, uint64_t start, uint64_t len, gva_t vec)
{
	uint64_t end, at;

	if (start & ~PAGE_MASK)
		return -LINUX_EINVAL;
	if (start > GUEST_END || len > GUEST_END - start)
		return -LINUX_ENOMEM;
	end = start + PAGE_ALIGN(len);
	if (vec.v > GUEST_END || (end - start) / PAGE_SIZE > GUEST_END - vec.v)
		return -LINUX_EFAULT;
	for (at = start; at < end;) {
		const struct vma *v = mm_find(task->mm, at);
		struct platform_mm_cmd cmd = {.op = PLATFORM_MINCORE, .addr = at, .host_fd = -1};
		int err;

		if (v == NULL)
			return -LINUX_ENOMEM;
		cmd.len = MIN(v->end, end) - at;
		cmd.new_addr = vec.v + (at - start) / PAGE_SIZE;
		if (v->file == NULL)
			err = platform->mm_queue(task->pt, &cmd);
		else
			err = tell_resident(task, cmd.len / PAGE_SIZE, GVA(cmd.new_addr));
		if (err)
			return err;
		at += cmd.len;
	}
	return 0;
}
