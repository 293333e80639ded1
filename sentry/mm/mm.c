// SPDX-License-Identifier: Apache-2.0
/*
 * Address spaces as objects: made at exec, copied at fork, dropped with their last user; and calls on their way.
 *
 * Calls on their way. The tree changes when a call is served; the host follows when the guest's thread returns from it.
 * In between another thread of the same guest may call too. If A unmaps a range and B is then given the same addresses,
 * the host may see B's mmap first and A's munmap after it, and B's memory is gone. So what A unmaps is kept on
 * mm->inflight and given to nobody until A's next call shows that its return is complete; the same record holds the
 * file whose descriptor A's queued mmap still needs, should B unmap and close it at once. It doesn't hold what was mapped in the
 * range before: if that was the last of a shared segment or of an unlinked file, its memory is emptied at once (shared_mem_put,
 * mem_data_free), and a thread that reads there before the host has followed gets SIGBUS; Linux shows old or new pages.
 */
#include "sentry/mm/mm.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/text.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#include <string.h>

struct mm *mm_new(struct platform_thread *pt)
{
	struct mm *mm = kzalloc(sizeof(*mm));

	if (mm == NULL)
		return NULL;
	ref_init(&mm->ref);
	RB_INIT(&mm->vmas);
	list_init(&mm->inflight);
	mm->dumpable = true;
	mm_set_platform(mm, platform->thread_mm(pt));
	return mm;
}

void mm_set_platform(struct mm *mm, struct platform_mm *pmm)
{
	invariant(mm->pmm == NULL);
	platform->mm_get(pmm);
	mm->pmm = pmm;
}

static void free_vmas(struct mm *mm)
{
	struct vma *v = mm_find_next(mm, 0);

	while (v != NULL) {
		uint64_t end = v->end;

		vma_remove_range(mm, v->start, end);
		v = mm_find_next(mm, end);
	}
}

void mm_put(struct mm *mm)
{
	struct mm_inflight *f, *tmp;

	if (!ref_put(&mm->ref))
		return;
	/* Whoever left something here is gone. */
	list_for_each_safe(f, tmp, &mm->inflight, link) list_del(&f->link);
	text_mm_free(mm);
	free_vmas(mm);
	vma_lock_look(mm);
	if (mm->exe != NULL) {
		mm->exe->inode->exec_count--;
		file_put(mm->exe);
	}
	if (mm->pmm != NULL)
		platform->mm_put(mm->pmm);
	kfree(mm);
}

struct mm *mm_dup(struct mm *old)
{
	struct mm *mm = kmalloc(sizeof(*mm));
	struct vma_desc d;
	struct vma *v;

	if (mm == NULL)
		return NULL;
	*mm = *old;
	ref_init(&mm->ref);
	RB_INIT(&mm->vmas);
	list_init(&mm->inflight);
	mm->pmm = NULL;
	mm->text = NULL;
	mm->nvmas = 0;
	mm->total_pages = mm->locked_pages = mm->data_pages = mm->stack_pages = mm->exec_pages = 0;
	mm->lock_future = mm->lock_future_onfault = mm->locks = false;
	/* What MADV_DONTFORK leaves out makes holes. */
	mm->hole_top = mm->mmap_top;
	mm->hole_max = 0;
	if (mm->exe != NULL) {
		file_get(mm->exe);
		mm->exe->inode->exec_count++;
	}
	for (v = mm_find_next(old, 0); v != NULL; v = mm_find_next(old, v->end)) {
		struct vma *copy;

		if (v->advice & VMA_DONTFORK)
			continue;
		mm_describe(&d, v, v->start, v->end);
		d.flags &= ~LINUX_MAP_LOCKED;
		copy = vma_new(&d);
		if (copy == NULL) {
			mm_put(mm);
			return NULL;
		}
		vma_insert(mm, copy);
	}
	mm->text_proven_only = old->text_proven_only;
	if (!text_dup(old, mm)) {
		mm_put(mm);
		return NULL;
	}
	return mm;
}

/* ---- calls on their way ---- */

void mm_settle_slow(struct task *task)
{
	struct mm_inflight *f = task->mm_inflight;

	if (f == NULL)
		return;
	task->mm_inflight = NULL;
	list_del(&f->link);
	if (f->file != NULL)
		file_put(f->file);
	if (f->shm != NULL)
		shared_mem_put(f->shm);
	text_file_put(f->text);
	kfree(f);
}

int mm_inflight_add(struct task *task, uint64_t start, uint64_t end, struct file *file, struct shared_mem *shm)
{
	struct mm_inflight *f;

	mm_settle_slow(task);
	f = kmalloc(sizeof(*f));
	if (f == NULL)
		return -LINUX_ENOMEM;
	f->start = start;
	f->end = end;
	f->file = file != NULL ? file_get(file) : NULL;
	f->shm = shm != NULL ? shared_mem_get(shm) : NULL;
	f->text = NULL;
	list_init(&f->link);
	list_add(&task->mm->inflight, &f->link);
	task->mm_inflight = f;
	return 0;
}

void mm_release(struct task *task)
{
	struct mm *mm = task->mm;

	mm_settle_slow(task);
	task->mm = NULL;
	if (mm != NULL)
		mm_put(mm);
}
