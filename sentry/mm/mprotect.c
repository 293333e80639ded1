// SPDX-License-Identifier: Apache-2.0
/*
 * mprotect(2). As in Linux the mappings of the range are changed one after the other, and the first that can't be (a
 * hole: ENOMEM; more than max_prot: EACCES; limits: ENOMEM) ends it with those before it changed. One native call
 * covers what could be changed.
 *
 * The guest can make the native call itself; max_prot only keeps the tree and honest programs right. What must hold
 * against the guest is held by how files are mapped (mmap.c).
 */
#include "sentry/abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/text.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#define PERSONALITY_READ_IMPLIES_EXEC 0x0400000U
#define PROT_SEM 0x8
#define APART_MAX (256UL * 1024) /* bytes */
#define PROT_RWX (LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC)

/* 0 if v may get prot. */
static int check_vma(const struct task *task, const struct vma *v, int prot)
{
	struct vma after = {.start = v->start, .end = v->end, .prot = prot, .flags = v->flags};

	if (prot & ~v->max_prot)
		return -LINUX_EACCES;
	if (!vma_is_data(v) && vma_is_data(&after)) {
		uint64_t limit = group_rlimit(task->group, LINUX_RLIMIT_DATA) / PAGE_SIZE;

		if (vma_pages(v) > limit || task->mm->data_pages > limit - vma_pages(v))
			return -LINUX_ENOMEM;
	}
	return 0;
}

static int vma_prot(const struct task *task, const struct vma *v, int prot)
{
	if ((task->personality & PERSONALITY_READ_IMPLIES_EXEC) != 0 && (prot & LINUX_PROT_READ) != 0 &&
	    (v->max_prot & LINUX_PROT_EXEC) != 0)
		return prot | LINUX_PROT_EXEC;
	return prot;
}

/* A part of a private file's mapping that was written, by a dynamic linker most often, and shall not be any more. */
static bool was_written(const struct vma *v, int prot)
{
	return v->file != NULL && (v->flags & LINUX_MAP_PRIVATE) != 0 && (v->prot & LINUX_PROT_WRITE) != 0 &&
	       (prot & LINUX_PROT_WRITE) == 0;
}

/* One that may be such a part. */
static bool is_apart(const struct vma *v)
{
	return v->file != NULL && (v->flags & LINUX_MAP_PRIVATE) != 0 && (v->advice & VMA_WRITTEN) != 0 &&
	       (v->prot & LINUX_PROT_WRITE) == 0;
}

/* The platform's advice for what a command is about. */
static int queue_advice(struct task *task, const struct platform_mm_cmd *about, int advice)
{
	struct platform_mm_cmd cmd = {
		.op = PLATFORM_MADVISE, .addr = about->addr, .len = about->len, .flags = advice, .host_fd = -1};

	return platform->mm_queue(task->pt, &cmd);
}

/* Splits, queues and changes [start, end), which is mapped throughout and has been checked. native_start is lower than
 * start for the main stack. */
static int change(struct task *task, uint64_t start, uint64_t end, uint64_t native_start, int prot)
{
	struct mm *mm = task->mm;
	struct vma *v;
	int err;

	if (!vma_count_ok(mm, 2))
		return -LINUX_ENOMEM;
	err = vma_split_at(mm, start);
	if (!err)
		err = vma_split_at(mm, end);
	if (err)
		return err;
	/* One native call for each run of equal protection: READ_IMPLIES_EXEC may tell neighbours apart. */
	for (uint64_t at = start; at < end;) {
		struct platform_mm_cmd cmd = {.op = PLATFORM_MPROTECT, .host_fd = -1};
		uint64_t run = at;
		bool written = true, some = false, all = true; /* apart */
		int p = 0;

		for (v = mm_find(mm, at); run < end; v = mm_find(mm, run)) {
			if (run == at)
				p = vma_prot(task, v, prot);
			else if (vma_prot(task, v, prot) != p)
				break;
			written &= was_written(v, p);
			some |= is_apart(v);
			all &= is_apart(v);
			run = v->end;
		}
		cmd.addr = at == start ? native_start : at;
		cmd.len = run - cmd.addr;
		cmd.prot = p;
		/*
		 * The host would join it with the read-only part before it, and copy all of that page by page with each fork, where one
		 * without written pages needs no copy. So the advice comes first: once joined they share what tells the host that there
		 * are written pages. Nothing is read ahead in what was advised so: only a short part is. Advice may fail: see
		 * stub_run_commands.
		 */
		err = written && cmd.len <= APART_MAX ? queue_advice(task, &cmd, LINUX_MADV_RANDOM) : 0;
		if (!err)
			err = platform->mm_queue(task->pt, &cmd);
		if (err)
			return err;
		/* It is taken back when the tree may join it with what isn't apart: the host is to join what the tree joins. */
		if (some && (!all || (p & LINUX_PROT_WRITE) != 0))
			(void)queue_advice(task, &cmd, LINUX_MADV_NORMAL);
		at = run;
	}
	for (v = mm_find(mm, start); v != NULL && v->start < end; v = mm_find_next(mm, v->end)) {
		vma_account(mm, v, -1);
		v->prot = vma_prot(task, v, prot);
		if (v->file != NULL && (v->flags & LINUX_MAP_PRIVATE) != 0 && (v->prot & LINUX_PROT_WRITE) != 0)
			v->advice |= VMA_WRITTEN;
		if (v->prot & LINUX_PROT_WRITE)
			v->backing = 0;
		vma_account(mm, v, 1);
	}
	mm->vma_gen++;
	vma_join_range(mm, start, end);
	return 0;
}

int mm_mprotect(struct task *task, uint64_t start, uint64_t len, int prot)
{
	struct mm *mm = task->mm;
	int grows = prot & (LINUX_PROT_GROWSDOWN | LINUX_PROT_GROWSUP);
	uint64_t end, at, native_start;
	struct vma *v;
	int err = 0, changed;

	prot &= ~grows;
	if (grows == (LINUX_PROT_GROWSDOWN | LINUX_PROT_GROWSUP))
		return -LINUX_EINVAL;
	if (start & ~PAGE_MASK)
		return -LINUX_EINVAL;
	if (len == 0)
		return 0;
	len = PAGE_ALIGN(len);
	end = start + len;
	if (end <= start)
		return -LINUX_ENOMEM;
	if (prot & ~(PROT_RWX | PROT_SEM))
		return -LINUX_EINVAL;
	prot &= PROT_RWX;
	if (prot & LINUX_PROT_WRITE) {
		err = text_claim_writable(task, start, end);
		if (err)
			return err;
	}
	mm_stack_touch(task);
	v = mm_find_next(mm, start);
	if (v == NULL)
		return -LINUX_ENOMEM;
	if (grows == LINUX_PROT_GROWSDOWN) {
		if (v->start >= end)
			return -LINUX_ENOMEM;
		start = v->start;
		if ((v->flags & LINUX_MAP_GROWSDOWN) == 0)
			return -LINUX_EINVAL;
	} else if (v->start > start) {
		return -LINUX_ENOMEM;
	} else if (grows == LINUX_PROT_GROWSUP) {
		return -LINUX_EINVAL;
	}
	native_start = start;
	if (grows == LINUX_PROT_GROWSDOWN && v->name == vma_name_stack && start > mm->stack_floor)
		native_start = mm->stack_floor; /* as far as it may grow */

	for (at = start; at < end; at = v->end) {
		v = mm_find(mm, at);
		if (v == NULL)
			err = -LINUX_ENOMEM;
		else
			err = check_vma(task, v, vma_prot(task, v, prot));
		if (err)
			break;
	}
	at = MIN(at, end);
	if (at == start)
		return err;
	changed = change(task, start, at, native_start, prot);
	return changed ? changed : err;
}
