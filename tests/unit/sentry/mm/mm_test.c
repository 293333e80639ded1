/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of mappings against a model: one byte a page says what should be there. The platform only counts what it was
 * told.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define BASE 0x100000000UL
#define PAGES 64
#define RW (LINUX_PROT_READ | LINUX_PROT_WRITE)
#define ANON (LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS)

static unsigned commands;
static struct platform_mm_cmd told[2]; /* the last but one, the last */

static int fake_queue(struct platform_thread *pt, const struct platform_mm_cmd *cmd)
{
	(void)pt;
	cr_assert(cmd->len != 0 && cmd->addr % PAGE_SIZE == 0 && cmd->addr < GUEST_END);
	commands++;
	told[0] = told[1];
	told[1] = *cmd;
	return 0;
}
static int fake_flush(struct task *task, struct platform_thread *pt)
{
	(void)task;
	(void)pt;
	return 0;
}
static struct platform_mm *fake_mm(struct platform_thread *pt)
{
	return (struct platform_mm *)pt;
}
static void fake_ref(struct platform_mm *pmm)
{
	(void)pmm;
}
static bool fake_full(const struct task *task)
{
	(void)task;
	return false;
}
static int lockers; /* address spaces that have said that they lock memory */

static void fake_locked(bool locks)
{
	lockers += locks ? 1 : -1;
}
static const struct platform_ops fake = {
    .locked = fake_locked,
    .mm_queue = fake_queue,
    .mm_flush = fake_flush,
    .thread_mm = fake_mm,
    .mm_get = fake_ref,
    .mm_put = fake_ref,
    .is_full = fake_full,
};

static struct thread_group group;
static struct cred cred;
static struct task task;

static void setup(void)
{
	platform = &fake;
	memset(&task, 0, sizeof(task));
	for (unsigned i = 0; i < ARRAY_LEN(group.rlimits); i++)
		group.rlimits[i].cur = group.rlimits[i].max = LINUX_RLIM_INFINITY;
	task.group = &group;
	task.cred = &cred;
	task.pt = (struct platform_thread *)&task;
	task.mm = mm_new(task.pt);
	task.mm->mmap_top = task.mm->hole_top = 0x7e0000000000UL;
}

static void teardown(void)
{
	uint64_t left;

	mm_release(&task);
	cr_assert_eq(lockers, 0);
	left = alloc_total();
	cr_assert_eq(left, 0, "%lu bytes leak", left);
}

TestSuite(mm, .init = setup, .fini = teardown);

static int64_t map(uint64_t addr, uint64_t len, int prot, int flags)
{
	return mm_mmap(&task, addr, len, prot, flags, NULL, 0);
}

/* Totals and order, from scratch. */
static void check_tree(void)
{
	struct vma *v, *prev = NULL;
	uint64_t pages = 0, data = 0, locked = 0;
	uint32_t n = 0;

	for (v = mm_find_next(task.mm, 0); v != NULL; v = mm_find_next(task.mm, v->end)) {
		cr_assert(v->start < v->end && (v->start | v->end) % PAGE_SIZE == 0);
		cr_assert(prev == NULL || prev->end <= v->start);
		cr_assert_eq(mm_find(task.mm, v->start), v);
		cr_assert_eq(mm_find(task.mm, v->end - 1), v);
		/* What could have been joined was. */
		cr_assert(prev == NULL || prev->end != v->start || prev->prot != v->prot || prev->flags != v->flags ||
			  prev->advice != v->advice || prev->shm != v->shm || prev->name != v->name ||
			  prev->shm != NULL);
		n++;
		pages += vma_pages(v);
		data += vma_is_data(v) ? vma_pages(v) : 0;
		locked += (v->flags & LINUX_MAP_LOCKED) ? vma_pages(v) : 0;
		prev = v;
	}
	cr_assert_eq(n, task.mm->nvmas);
	cr_assert_eq(pages, task.mm->total_pages);
	cr_assert_eq(data, task.mm->data_pages);
	cr_assert_eq(locked, task.mm->locked_pages);
}

Test(mm, neighbours_join_and_split)
{
	cr_assert_eq(map(BASE, 2 * PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED), (int64_t)BASE);
	cr_assert_eq(map(BASE + 2 * PAGE_SIZE, PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED), (int64_t)(BASE + 2 * PAGE_SIZE));
	cr_assert_eq(task.mm->nvmas, 1);
	cr_assert_eq(mm_mprotect(&task, BASE + PAGE_SIZE, PAGE_SIZE, LINUX_PROT_READ), 0);
	cr_assert_eq(task.mm->nvmas, 3);
	cr_assert_eq(mm_mprotect(&task, BASE, 3 * PAGE_SIZE, LINUX_PROT_READ), 0);
	cr_assert_eq(task.mm->nvmas, 1);
	cr_assert_eq(mm_munmap(&task, BASE + PAGE_SIZE, PAGE_SIZE), 0);
	cr_assert_eq(task.mm->nvmas, 2);
	check_tree();
}

Test(mm, errors_of_mmap)
{
	cr_assert_eq(map(0, 0, RW, ANON), -LINUX_EINVAL);
	cr_assert_eq(map(0, UINT64_MAX, RW, ANON), -LINUX_ENOMEM);
	cr_assert_eq(map(0, 1UL << 48, RW, ANON), -LINUX_ENOMEM);
	cr_assert_eq(map(0, PAGE_SIZE, RW, LINUX_MAP_ANONYMOUS), -LINUX_EINVAL);
	cr_assert_eq(map(BASE + 1, PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED), -LINUX_EINVAL);
	cr_assert_eq(map(PAGE_SIZE, PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED), -LINUX_EPERM);
	cr_assert_eq(map(GUEST_END, PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED), -LINUX_ENOMEM);
	cr_assert_eq(map(BASE, PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED), (int64_t)BASE);
	cr_assert_eq(map(BASE, PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED_NOREPLACE), -LINUX_EEXIST);
	group.rlimits[LINUX_RLIMIT_AS].cur = 4 * PAGE_SIZE;
	cr_assert_eq(map(0, 4 * PAGE_SIZE, RW, ANON), -LINUX_ENOMEM);
	cr_assert_gt(map(0, 3 * PAGE_SIZE, RW, ANON), 0);
	cr_assert_eq(map(BASE, PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED), (int64_t)BASE);
	check_tree();
}

Test(mm, places_are_found_downwards_and_found_again)
{
	int64_t a = map(0, 4 * PAGE_SIZE, RW, ANON), b = map(0, 4 * PAGE_SIZE, LINUX_PROT_READ, ANON);
	int64_t c = map(0, 4 * PAGE_SIZE, RW, ANON);

	cr_assert_eq((uint64_t)a, task.mm->mmap_top - 4 * PAGE_SIZE);
	cr_assert_eq(b, a - (int64_t)(4 * PAGE_SIZE));
	cr_assert_eq(c, b - (int64_t)(4 * PAGE_SIZE));
	cr_assert_eq(mm_munmap(&task, (uint64_t)b, 4 * PAGE_SIZE), 0);
	/* On its way: not given away yet, neither wholly nor in part. */
	struct task other = task;

	other.mm_inflight = NULL;
	int64_t d = mm_mmap(&other, 0, PAGE_SIZE, RW, ANON, NULL, 0);
	cr_assert_lt(d, b);
	mm_settle_slow(&task);
	cr_assert_eq(map(0, 2 * PAGE_SIZE, LINUX_PROT_READ, ANON), b + (int64_t)(2 * PAGE_SIZE));
	cr_assert_eq(map(0, 2 * PAGE_SIZE, LINUX_PROT_READ, ANON), b);
	check_tree();
}

Test(mm, map_32bit_and_hints)
{
	int64_t a = map(0, PAGE_SIZE, RW, ANON | LINUX_MAP_32BIT);

	cr_assert(a >= 0x40000000L && a < 0x80000000L);
	cr_assert_eq(map(BASE + 123, PAGE_SIZE, RW, ANON), (int64_t)BASE);
	cr_assert_neq(map(BASE, PAGE_SIZE, RW, ANON), (int64_t)BASE);
	cr_assert_gt(map(UINT64_MAX - PAGE_SIZE, PAGE_SIZE, RW, ANON), 0);
}

Test(mm, growsdown_keeps_its_gap_and_grows_on_a_fault)
{
	uint64_t top = BASE + 4096 * PAGE_SIZE;

	group.rlimits[LINUX_RLIMIT_STACK].cur = 512 * PAGE_SIZE;
	cr_assert_eq(map(top - PAGE_SIZE, PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED | LINUX_MAP_GROWSDOWN),
		     (int64_t)(top - PAGE_SIZE));
	cr_assert_neq(map(top - 9 * PAGE_SIZE, PAGE_SIZE, RW, ANON), (int64_t)(top - 9 * PAGE_SIZE));
	cr_assert(mm_fault_grow(&task, top - 100 * PAGE_SIZE - 5));
	cr_assert_not_null(mm_find(task.mm, top - 100 * PAGE_SIZE));
	cr_assert_eq(task.mm->nvmas, 2);
	cr_assert(!mm_fault_grow(&task, top - 513 * PAGE_SIZE));
	check_tree();
}

Test(mm, brk_grows_and_shrinks)
{
	task.mm->brk = task.mm->brk_start = BASE;
	cr_assert_eq(mm_brk(&task, 0), (int64_t)BASE);
	cr_assert_eq(mm_brk(&task, BASE + 5000), (int64_t)(BASE + 5000));
	cr_assert_eq(task.mm->total_pages, 2);
	cr_assert_eq(mm_brk(&task, BASE + 100), (int64_t)(BASE + 100));
	cr_assert_eq(task.mm->total_pages, 1);
	cr_assert_eq(map(BASE + 4 * PAGE_SIZE, PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED), (int64_t)(BASE + 4 * PAGE_SIZE));
	cr_assert_eq(mm_brk(&task, BASE + 5 * PAGE_SIZE), (int64_t)(BASE + 100));
	cr_assert_eq(mm_brk(&task, BASE + 4 * PAGE_SIZE), (int64_t)(BASE + 4 * PAGE_SIZE));
	check_tree();
}

Test(mm, mremap_grows_moves_and_shrinks)
{
	int64_t a = map(BASE, 2 * PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED), b;

	cr_assert_eq(mm_mremap(&task, BASE, 2 * PAGE_SIZE, 4 * PAGE_SIZE, 0, 0), a);
	cr_assert_eq(task.mm->nvmas, 1);
	map(BASE + 4 * PAGE_SIZE, PAGE_SIZE, LINUX_PROT_READ, ANON | LINUX_MAP_FIXED);
	cr_assert_eq(mm_mremap(&task, BASE, 4 * PAGE_SIZE, 5 * PAGE_SIZE, 0, 0), -LINUX_ENOMEM);
	b = mm_mremap(&task, BASE, 4 * PAGE_SIZE, 6 * PAGE_SIZE, LINUX_MREMAP_MAYMOVE, 0);
	cr_assert_gt(b, 0);
	cr_assert_null(mm_find(task.mm, BASE));
	cr_assert(vma_range_full(task.mm, (uint64_t)b, (uint64_t)b + 6 * PAGE_SIZE));
	cr_assert_eq(mm_mremap(&task, (uint64_t)b, 6 * PAGE_SIZE, PAGE_SIZE, 0, 0), b);
	cr_assert_eq(task.mm->total_pages, 2);
	cr_assert_eq(mm_mremap(&task, (uint64_t)b, PAGE_SIZE, PAGE_SIZE, LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_FIXED,
			       BASE + 4 * PAGE_SIZE),
		     (int64_t)(BASE + 4 * PAGE_SIZE));
	cr_assert_eq(task.mm->total_pages, 1);
	cr_assert_eq(mm_mremap(&task, BASE, PAGE_SIZE, 2 * PAGE_SIZE, LINUX_MREMAP_MAYMOVE, 0), -LINUX_EFAULT);
	check_tree();
}

Test(mm, madvise_and_mlock_mark_and_unmark)
{
	map(BASE, 4 * PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED);
	cr_assert_eq(mm_madvise(&task, BASE + PAGE_SIZE, PAGE_SIZE, LINUX_MADV_DONTFORK), 0);
	cr_assert_eq(task.mm->nvmas, 3);
	struct mm *copy = mm_dup(task.mm);
	cr_assert_eq(copy->total_pages, 3);
	mm_put(copy);
	cr_assert_eq(mm_madvise(&task, BASE, 4 * PAGE_SIZE, LINUX_MADV_DOFORK), 0);
	cr_assert_eq(task.mm->nvmas, 1);
	cr_assert_eq(mm_madvise(&task, BASE, 5 * PAGE_SIZE, LINUX_MADV_DONTNEED), -LINUX_ENOMEM);
	cr_assert_eq(mm_madvise(&task, BASE, PAGE_SIZE, 77), -LINUX_EINVAL);
	cr_assert_eq(mm_mlock(&task, BASE + 5, 1, true, false), 0);
	cr_assert_eq(task.mm->locked_pages, 1);
	cr_assert_eq(mm_madvise(&task, BASE, 4 * PAGE_SIZE, LINUX_MADV_DONTNEED), -LINUX_EINVAL);
	cr_assert_eq(mm_mlockall(&task, 0), 0);
	cr_assert_eq(task.mm->locked_pages, 0);
	cr_assert_eq(task.mm->nvmas, 1);
	check_tree();
}

/* Whether anybody locks memory: until the last of it is unlocked, unmapped or gone with its address space. */
Test(mm, the_platform_is_told_who_locks_memory)
{
	struct mm *copy;

	map(BASE, 4 * PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED);
	cr_assert_eq(lockers, 0);
	cr_assert_eq(mm_mlock(&task, BASE, 2 * PAGE_SIZE, true, false), 0);
	cr_assert_eq(lockers, 1);
	/* What changes and joins mappings neither says it twice nor takes it back. */
	cr_assert_eq(mm_mprotect(&task, BASE, PAGE_SIZE, LINUX_PROT_READ), 0);
	cr_assert_eq(mm_mlock(&task, BASE + 2 * PAGE_SIZE, PAGE_SIZE, true, false), 0);
	cr_assert_eq(mm_mlock(&task, BASE, PAGE_SIZE, false, false), 0);
	cr_assert_eq(lockers, 1);
	copy = mm_dup(task.mm);
	mm_put(copy);
	cr_assert_eq(lockers, 1);
	cr_assert_eq(mm_mlock(&task, BASE, 4 * PAGE_SIZE, false, false), 0);
	cr_assert_eq(lockers, 0);
	map(BASE + 8 * PAGE_SIZE, 2 * PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED | LINUX_MAP_LOCKED);
	cr_assert_eq(lockers, 1);
	cr_assert_eq(mm_munmap(&task, BASE + 8 * PAGE_SIZE, PAGE_SIZE), 0);
	cr_assert_eq(lockers, 1);
	cr_assert_eq(mm_munmap(&task, BASE + 9 * PAGE_SIZE, PAGE_SIZE), 0);
	cr_assert_eq(lockers, 0);
	cr_assert_eq(mm_mlockall(&task, LINUX_MCL_CURRENT), 0);
	cr_assert_eq(lockers, 1);
}

/* Each way for the last of it to go. */
Test(mm, the_platform_is_told_however_locked_memory_goes)
{
	const uint64_t at = BASE, other = BASE + 8 * PAGE_SIZE;

#define LOCKED(addr, npages) \
	do { \
		cr_assert_eq(map(addr, (npages)*PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED | LINUX_MAP_LOCKED), (int64_t)(addr)); \
		cr_assert_eq(lockers, 1); \
	} while (0)
	LOCKED(at, 2);
	map(at, 2 * PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED);
	cr_assert_eq(lockers, 0, "another mapping in its place");
	LOCKED(at, 1);
	LOCKED(at, 1); /* one locked mapping in place of another */

	map(at + PAGE_SIZE, PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED);
	cr_assert_eq(lockers, 1);
	cr_assert_eq(mm_munmap(&task, at, 2 * PAGE_SIZE), 0);
	cr_assert_eq(lockers, 0, "a part that is locked");

	map(at, PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED);
	LOCKED(at + PAGE_SIZE, 1);
	cr_assert_eq(mm_mremap(&task, at, 2 * PAGE_SIZE, PAGE_SIZE, 0, 0), (int64_t)at);
	cr_assert_eq(lockers, 0, "the end of a mapping that shrinks");

	LOCKED(other, 1);
	cr_assert_eq(mm_mremap(&task, at, PAGE_SIZE, PAGE_SIZE, LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_FIXED, other), (int64_t)other);
	cr_assert_eq(lockers, 0, "a mapping that is moved over it");

	LOCKED(at, 1);
	cr_assert_eq(mm_mremap(&task, at, PAGE_SIZE, 2 * PAGE_SIZE, LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_FIXED, other), (int64_t)other);
	cr_assert_eq(lockers, 1, "it is locked where it is now");
	cr_assert_eq(mm_munmap(&task, other, 2 * PAGE_SIZE), 0);
	cr_assert_eq(lockers, 0);

	task.mm->brk_start = task.mm->brk = BASE + 64 * PAGE_SIZE;
	cr_assert_eq(mm_mlockall(&task, LINUX_MCL_FUTURE), 0);
	cr_assert_eq(mm_brk(&task, BASE + 66 * PAGE_SIZE), (int64_t)(BASE + 66 * PAGE_SIZE));
	cr_assert_eq(lockers, 1);
	cr_assert_eq(mm_brk(&task, BASE + 64 * PAGE_SIZE), (int64_t)(BASE + 64 * PAGE_SIZE));
	cr_assert_eq(lockers, 0, "the end of the heap");
#undef LOCKED
}

/* Random calls on 64 pages; a model of prot (or 255) per page. */
static uint8_t model[PAGES];

static void check_model(void)
{
	for (unsigned i = 0; i < PAGES; i++) {
		struct vma *v = mm_find(task.mm, BASE + i * PAGE_SIZE);

		cr_assert_eq(v != NULL ? v->prot : 255, model[i], "page %u", i);
	}
	check_tree();
}

Test(mm, random_calls_agree_with_a_model, .timeout = 120)
{
	srand(1);
	memset(model, 255, sizeof(model));
	for (int round = 0; round < 20000; round++) {
		unsigned at = (unsigned)rand() % PAGES, n = 1 + (unsigned)rand() % 12;
		uint64_t addr = BASE + at * PAGE_SIZE, len;
		int prot = rand() % 8;
		unsigned i;
		int err;

		n = MIN(n, PAGES - at);
		len = n * PAGE_SIZE;
		switch (rand() % 5) {
		case 0:
		case 1:
			cr_assert_eq(map(addr, len, prot, ANON | LINUX_MAP_FIXED), (int64_t)addr);
			memset(model + at, prot, n);
			break;
		case 2:
			cr_assert_eq(mm_munmap(&task, addr, len), 0);
			memset(model + at, 255, n);
			break;
		case 3:
			err = mm_mprotect(&task, addr, len, prot);
			for (i = at; i < at + n && model[i] != 255; i++)
				model[i] = (uint8_t)prot;
			cr_assert_eq(err, i < at + n ? -LINUX_ENOMEM : 0);
			break;
		case 4:
			for (i = at; i < at + n && model[i] != 255; i++)
				;
			err = mm_mlock(&task, addr, len, rand() % 2, false);
			cr_assert_eq(err, i < at + n ? -LINUX_ENOMEM : 0);
			break;
		}
		check_model();
	}
}

/* The n-th allocation fails: -ENOMEM, and nothing has changed. */
Test(mm, out_of_memory_changes_nothing)
{
	memset(model, RW, sizeof(model));
	map(BASE, PAGES * PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED);
	for (uint64_t n = 1; n < 6; n++) {
		int64_t ret;

		mm_settle_slow(&task);
		alloc_fail_nth(n);
		ret = map(BASE + PAGE_SIZE, PAGE_SIZE, LINUX_PROT_READ, ANON | LINUX_MAP_FIXED);
		alloc_fail_nth(0);
		cr_assert(ret == -LINUX_ENOMEM || ret == (int64_t)(BASE + PAGE_SIZE));
		if (ret == -LINUX_ENOMEM)
			for (unsigned i = 0; i < PAGES; i++)
				cr_assert_eq(mm_find(task.mm, BASE + i * PAGE_SIZE)->prot, RW);
		map(BASE, PAGES * PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED);
		alloc_fail_nth(n);
		ret = mm_munmap(&task, BASE + 5 * PAGE_SIZE, PAGE_SIZE);
		alloc_fail_nth(0);
		cr_assert(ret == -LINUX_ENOMEM || ret == 0);
		cr_assert_eq(vma_range_full(task.mm, BASE, BASE + PAGES * PAGE_SIZE), ret != 0);
		map(BASE, PAGES * PAGE_SIZE, RW, ANON | LINUX_MAP_FIXED);
	}
}

Test(mm, many_small_mappings_stay_fast)
{
	uint64_t last = 0;

	/* Alternating protections: no joins. A walk over all of them for each call would take minutes. */
	for (unsigned i = 0; i < 60000; i++)
		last = (uint64_t)map(0, PAGE_SIZE, i % 2 ? LINUX_PROT_READ : RW, ANON);
	cr_assert_eq(task.mm->nvmas, 60000);
	cr_assert_eq(last, task.mm->mmap_top - 60000 * PAGE_SIZE);
	for (unsigned i = 60000; i < MM_MAX_MAPS; i++)
		cr_assert_gt(map(0, PAGE_SIZE, i % 2 ? LINUX_PROT_READ : RW, ANON), 0);
	cr_assert_eq(map(0, PAGE_SIZE, RW, ANON), -LINUX_ENOMEM);
}

/* What was asked for and how the host is to join it: order, place and kind. */
/* Told apart before, told to be joined afterwards. */
static void check_advised(uint64_t addr, uint64_t len, int prot, int advice)
{
	unsigned first = advice == LINUX_MADV_RANDOM ? 1 : 0;

	cr_assert(told[first].op == PLATFORM_MPROTECT && told[first].addr == addr && told[first].len == len && told[first].prot == prot);
	cr_assert(told[!first].op == PLATFORM_MADVISE && told[!first].addr == addr && told[!first].len == len &&
		  told[!first].flags == advice);
}

Test(mm, a_written_part_of_a_file_is_kept_apart_until_it_may_be_written_again)
{
	static struct file file;
	struct vma *v;

	ref_init(&file.ref);
	cr_assert_eq(map(BASE, 4 * PAGE_SIZE, LINUX_PROT_READ, ANON | LINUX_MAP_FIXED), BASE);
	v = mm_find(task.mm, BASE);
	v->file = file_get(&file);
	v->flags &= ~LINUX_MAP_ANONYMOUS;
	v->max_prot = RW;
	/* Never written: nobody has told the host anything. */
	commands = 0;
	cr_assert_eq(mm_mprotect(&task, BASE, 4 * PAGE_SIZE, RW), 0);
	cr_assert(commands == 1 && told[1].op == PLATFORM_MPROTECT);
	for (uint64_t at = BASE; at < BASE + 4 * PAGE_SIZE; at += 2 * PAGE_SIZE) {
		cr_assert_eq(mm_mprotect(&task, at, PAGE_SIZE, LINUX_PROT_READ), 0);
		check_advised(at, PAGE_SIZE, LINUX_PROT_READ, LINUX_MADV_RANDOM);
	}
	cr_assert_eq(mm_find(task.mm, BASE)->end, BASE + PAGE_SIZE);
	for (uint64_t at = BASE; at < BASE + 4 * PAGE_SIZE; at += 2 * PAGE_SIZE) {
		cr_assert_eq(mm_mprotect(&task, at, PAGE_SIZE, RW), 0);
		check_advised(at, PAGE_SIZE, RW, LINUX_MADV_NORMAL);
	}
	/* One in the tree, and so in the host. */
	v = mm_find(task.mm, BASE);
	cr_assert_eq(v->end, BASE + 4 * PAGE_SIZE);
	/* Nor do parts stay apart that are joined as they are. */
	for (uint64_t at = BASE; at < BASE + 4 * PAGE_SIZE; at += 2 * PAGE_SIZE)
		cr_assert_eq(mm_mprotect(&task, at, PAGE_SIZE, LINUX_PROT_READ), 0);
	cr_assert_eq(mm_mprotect(&task, BASE, 4 * PAGE_SIZE, LINUX_PROT_READ), 0);
	check_advised(BASE, 4 * PAGE_SIZE, LINUX_PROT_READ, LINUX_MADV_NORMAL);
	cr_assert_eq(mm_find(task.mm, BASE)->end, BASE + 4 * PAGE_SIZE);
	cr_assert_eq(mm_munmap(&task, BASE, 4 * PAGE_SIZE), 0);
}
