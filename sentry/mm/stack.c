// SPDX-License-Identifier: Apache-2.0
/*
 * The main stack.
 *
 * In Linux the stack is a mapping that grows when it is touched below. Here the host must not grow guest mappings by
 * itself (MAP_GROWSDOWN would reach over what the tree knows), and a fault that comes to the sentry for each grown page
 * would cost 10 us. So the whole room the stack may ever take, its rlimit within 8 to 64 MiB, is mapped in the host at
 * once, NORESERVE: untouched pages cost nothing.
 *
 *	stack_top    +-----------------+
 *	             | strings, auxv   |
 *	             | [stack] vma     |  what /proc/PID/maps shows and mprotect, munmap, limits know
 *	vma->start   +-----------------+
 *	             | mapped in the   |  free in the tree, but given to nobody (vma.c, range_reserved)
 *	             | host only       |
 *	stack_floor  +-----------------+
 *	             | guard gap       |  nothing is placed here unless the guest insists with MAP_FIXED
 *	             +-----------------+
 *
 * The vma begins as large as Linux makes it at exec (128 KiB below what was pushed) and follows the stack pointer when
 *a memory call shows it. Between such calls /proc/PID/maps may show a shorter stack than there is.
 *
 * A limit below what is mapped closes the part under it with PROT_NONE; raising it opens that again.
 *
 * Left out: raising RLIMIT_STACK above what it was at exec gives no more room until the next exec.
 */
#include "sentry/abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#define STACK_MIN (8 * MiB)
#define STACK_MAX (64 * MiB)

const char vma_name_stack[] = "[stack]";
const char vma_name_heap[] = "[heap]";

uint64_t mm_stack_size(uint64_t rlimit)
{
	if (rlimit < STACK_MIN)
		return STACK_MIN;
	return PAGE_DOWN(MIN(rlimit, STACK_MAX));
}

int mm_stack_map(struct mm *mm, struct platform_thread *pt, uint64_t top, uint64_t rlimit, bool executable)
{
	uint64_t size = mm_stack_size(rlimit);
	int prot = LINUX_PROT_READ | LINUX_PROT_WRITE | (executable ? LINUX_PROT_EXEC : 0);
	struct vma_desc d = {
	    .start = top - size,
	    .end = top,
	    .prot = prot,
	    .max_prot = LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC,
	    .flags = LINUX_MAP_PRIVATE | LINUX_MAP_GROWSDOWN,
	    .name = vma_name_stack,
	    .host_fd = -1,
	};
	int err = mm_map(mm, pt, &d);

	if (err)
		return err;
	mm->stack_top = top;
	mm->stack_floor = top - size;
	return 0;
}

/* The lowest part of the stack in the tree, or NULL. */
static struct vma *lowest(struct mm *mm)
{
	struct vma *v = mm_find_next(mm, mm->stack_floor);

	return v != NULL && v->name == vma_name_stack ? v : NULL;
}

static void set_start(struct mm *mm, struct vma *v, uint64_t start)
{
	vma_account(mm, v, -1);
	v->start = start; /* the order in the tree stays: nothing lies between */
	vma_account(mm, v, 1);
}

void mm_stack_trim(struct mm *mm, uint64_t used)
{
	struct vma *v = lowest(mm);
	uint64_t start = PAGE_DOWN(used);

	if (v != NULL && start > v->start && start < v->end)
		set_start(mm, v, start);
}

void mm_stack_grow(struct mm *mm, uint64_t used)
{
	struct vma *v = lowest(mm);
	uint64_t start = MAX(PAGE_DOWN(used), mm->stack_floor);

	if (v != NULL && start < v->start)
		set_start(mm, v, start);
}

/* What lies between the room's floor and the limit, and isn't used yet, can't be touched; the rest can. Full events only. */
int mm_stack_limit(struct task *task, uint64_t rlimit)
{
	struct mm *mm = task->mm;
	struct vma *v;
	uint64_t bound;
	struct platform_mm_cmd cmd = {.op = PLATFORM_MPROTECT, .host_fd = -1};
	int err;

	if (mm == NULL || mm->stack_floor == 0)
		return 0;
	mm_stack_touch(task);
	v = lowest(mm);
	if (v == NULL)
		return 0;
	bound = PAGE_ALIGN(mm->stack_top - MIN(rlimit, mm->stack_top - mm->stack_floor));
	bound = MIN(bound, v->start);
	cmd.addr = mm->stack_floor;
	cmd.len = bound - mm->stack_floor;
	cmd.prot = LINUX_PROT_NONE;
	err = cmd.len != 0 ? platform->mm_queue(task->pt, &cmd) : 0;
	if (err)
		return err;
	cmd.addr = bound;
	cmd.len = v->start - bound;
	cmd.prot = v->prot;
	return cmd.len != 0 ? platform->mm_queue(task->pt, &cmd) : 0;
}

void mm_stack_touch(struct task *task)
{
	struct mm *mm = task->mm;
	const struct regs *regs;

	if (mm->stack_floor == 0 || !platform->is_full(task))
		return;
	regs = platform->context(task, 0);
	if (regs != NULL && regs->rsp >= mm->stack_floor && regs->rsp < mm->stack_top)
		mm_stack_grow(mm, regs->rsp);
}
