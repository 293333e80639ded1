// SPDX-License-Identifier: Apache-2.0
/*
 * brk(2): the heap grows from brk_start, which exec puts behind the program. Failure is told by returning the old end,
 * as Linux does. Shrinking is done at once and not on the way out, so that no later growth by another thread can come
 * before it in the host.
 */
#include "sentry/abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/text.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

/* The host first, then the tree: until then nobody else is given these addresses. */
static int shrink(struct task *task, uint64_t start, uint64_t end)
{
	struct platform_mm_cmd cmd = {.op = PLATFORM_MUNMAP, .addr = start, .len = end - start, .host_fd = -1};
	int err = platform->mm_queue(task->pt, &cmd);

	if (!err)
		err = platform->mm_flush(task, task->pt);
	if (!err)
		err = vma_split_at(task->mm, start);
	if (!err)
		err = vma_split_at(task->mm, end);
	if (err)
		return err;
	vma_remove_range(task->mm, start, end);
	vma_hole_opened(task->mm, start, end);
	vma_lock_look(task->mm);
	return 0;
}

static int grow(struct task *task, uint64_t start, uint64_t end)
{
	struct mm *mm = task->mm;
	struct vma *next = mm_find_next(mm, start);
	struct vma_desc d = {
	    .start = start,
	    .end = end,
	    .prot = LINUX_PROT_READ | LINUX_PROT_WRITE,
	    .max_prot = LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC,
	    .flags = LINUX_MAP_PRIVATE,
	    .name = vma_name_heap,
	    .host_fd = -1,
	};
	int err;

	/* Linux keeps a gap to a stack above, and a page to anything else. */
	if (next != NULL && end + ((next->flags & LINUX_MAP_GROWSDOWN) ? STACK_GUARD_GAP : 0) > next->start)
		return -LINUX_ENOMEM;
	if (mm->stack_floor != 0 && start < mm->stack_top && end > mm->stack_floor - STACK_GUARD_GAP)
		return -LINUX_ENOMEM;
	if (!vma_count_ok(mm, 1))
		return -LINUX_ENOMEM;
	if (mm->lock_future) {
		err = mm_lock_check(task, (end - start) / PAGE_SIZE, false);
		if (err)
			return err;
		d.flags |= LINUX_MAP_LOCKED;
	}
	err = mm_may_expand(mm, task->group, (end - start) / PAGE_SIZE, true);
	if (err)
		return err;
	return mm_map(mm, task->pt, &d);
}

int64_t mm_brk(struct task *task, uint64_t brk)
{
	struct mm *mm = task->mm;
	uint64_t limit = group_rlimit(task->group, LINUX_RLIMIT_DATA);
	uint64_t old_end, new_end;

	mm_stack_touch(task);
	if (brk < mm->brk_start || brk >= GUEST_END)
		return (int64_t)mm->brk;
	if (limit != LINUX_RLIM_INFINITY && (brk - mm->brk_start) + (mm->data_end - mm->data_start) > limit)
		return (int64_t)mm->brk;
	old_end = PAGE_ALIGN(mm->brk);
	new_end = PAGE_ALIGN(brk);
	if (new_end < old_end) {
		if (shrink(task, new_end, old_end) != 0)
			return (int64_t)mm->brk;
		mm->brk = brk;
	} else if (new_end > old_end) {
		if (text_claim(task, old_end, new_end) != 0 || PAGE_ALIGN(mm->brk) != old_end)
			return (int64_t)mm->brk;
		if (grow(task, old_end, new_end) != 0)
			return (int64_t)mm->brk;
		mm->brk = brk;
	} else {
		mm->brk = brk;
	}
	return (int64_t)brk;
}
