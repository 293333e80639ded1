/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files in memory and windows: when one moves to a memfd, when it moves back, and that what is filled by reading is counted. The
 * platform is a model that maps as the test says and keeps what it was given.
 */
#include "sentry/platform/stubs/stubs.h" /* before the system's headers, which make macros of some of its names */

#include "fs_fixture.h"

#include "sentry/fs/memfs_internal.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/loop_internal.h"
#include "sentry/kernel/shared_watch.h"
#include "sentry/platform/platform.h"

#include <sys/mman.h>

#define SIZE (1 * MiB)

static struct platform_window given;
static unsigned maps, ends;
static bool maps_none, fired;
static unsigned hits, looks;
static uint64_t told;

static bool pays(struct task *task, uint64_t id, uint64_t size, uint64_t bytes)
{
	(void)task;
	(void)id;
	(void)size;
	(void)bytes;
	return true;
}

static void map(struct task *task, const struct platform_window *want)
{
	(void)task;
	maps++;
	if (maps_none)
		return;
	given = *want;
	given.hold(given.object);
}

static uint64_t reads(struct task *task, uint64_t id, uint64_t pos, uint64_t addr, uint64_t len)
{
	(void)task;
	(void)id;
	(void)pos;
	(void)addr;
	(void)len;
	return 0;
}

static void drop(struct task *task, uint64_t id)
{
	(void)task;
	(void)id;
}

static void end(uint64_t id)
{
	cr_assert_eq(id, given.id);
	ends++;
}

static void unmapped(void)
{
	given.release(given.object);
}

static const struct platform_ops model = {
	.window_pays = pays, .window_map = map, .window_read = reads, .window_drop = drop, .window_end = end};

static void hit(void)
{
	hits++;
}

static uint8_t bytes[SIZE];

static struct file *fresh(uint64_t size)
{
	struct file *f;
	struct iobuf buf;
	int64_t pos = 0;
	int err;

	fixture_root(false);
	f = fx_open("/f", LINUX_O_RDWR | LINUX_O_CREAT, 0644, &err);
	cr_assert_not_null(f);
	platform = &model;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 4096) | 1;
	while ((uint64_t)pos < size) {
		iobuf_init_mem(&buf, bytes, SIZE);
		cr_assert_eq(vfs_write(boot, f, &buf, &pos), SIZE);
	}
	return f;
}

static bool holds_bytes(struct file *f)
{
	static uint8_t back[SIZE];

	return vfs_read_mem(boot, f, back, SIZE, 0) == SIZE && memcmp(back, bytes, SIZE) == 0;
}

/* Reads, until it was asked for a window; how many times the file's size that took. */
static unsigned until_mapped(struct file *f)
{
	unsigned before = maps, n = 0;

	while (maps == before) {
		cr_assert_lt(n++, 100);
		(void)mem_window_want(boot, mem_node(f->inode), SIZE);
	}
	return n;
}

/* The file becomes one hole, which is filled through a mapping that was kept: it is counted. */
static void filled_unseen(struct inode *inode, volatile const char *kept, bool is_open)
{
	bool any = false, open = false;

	cr_assert_eq(mem_truncate(boot, inode, 0), 0);
	cr_assert_eq(memfs_memfd_bytes(&any, &open), 0);
	cr_assert_eq(mem_truncate(boot, inode, SIZE), 0);
	for (size_t i = 0; i < SIZE; i += PAGE_SIZE)
		(void)kept[i];
	cr_assert_eq(memfs_memfd_bytes(&any, &open), SIZE);
	cr_assert(any);
	cr_assert_eq(open, is_open);
	cr_assert_eq(mem_node(inode)->data.npages, SIZE / PAGE_SIZE);
}

/* A guest keeps what it had mapped, whatever it was told, and fills the file's holes when nobody has it open. */
Test(memfs_window, what_is_filled_after_the_last_hold_is_counted)
{
	struct file *f = fresh(SIZE);
	struct inode *inode = f->inode;
	struct mem_data *d = &mem_node(inode)->data;
	volatile const char *kept;

	until_mapped(f);
	cr_assert_geq(d->memfd, 0);
	cr_assert(holds_bytes(f));
	kept = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, given.host_fd, 0);
	cr_assert_neq(kept, MAP_FAILED);
	inode_get(inode);
	file_put(f);
	unmapped();
	cr_assert_eq(d->opens, 0);
	filled_unseen(inode, kept, false);
	inode_put(inode);
}

/* So it is where the way back failed for want of memory. */
Test(memfs_window, what_is_filled_after_a_way_back_that_failed_is_counted)
{
	struct file *f = fresh(SIZE);
	struct inode *inode = f->inode;
	struct mem_data *d = &mem_node(inode)->data;
	volatile const char *kept;

	until_mapped(f);
	kept = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, given.host_fd, 0);
	cr_assert_neq(kept, MAP_FAILED);
	unmapped();
	alloc_limit_hit = hit;
	alloc_set_limit(alloc_total() - SIZE / 2);
	/* Nobody has asked for anything: no limit was hit. */
	mem_window_back(mem_node(inode));
	cr_assert_geq(d->memfd, 0);
	cr_assert_eq(hits, 0);
	cr_assert_not(mem_memfd_retire(mem_node(inode)));
	cr_assert_neq(hits, 0);
	cr_assert_geq(d->memfd, 0);
	alloc_set_limit(UINT64_MAX);
	cr_assert(holds_bytes(f));
	filled_unseen(inode, kept, true);
}

static void no_stubs(void)
{
}

static uint64_t count_look(void)
{
	looks++;
	return 0;
}

static void tell(uint64_t total)
{
	told = total;
}

static void fire(struct ktimer *t)
{
	fired = true;
	ktimer_set(t, loop_now() + NSEC_PER_MSEC); /* the same turn sleeps for what comes next: let something come */
}

/* What was due before has fired then, in order. */
static void until(uint64_t at)
{
	static struct ktimer later;

	fired = false;
	ktimer_init(&later, fire);
	ktimer_set(&later, at);
	while (!fired)
		loop_turn();
	ktimer_cancel(&later);
}

/* Holes of a file that nobody has open: looked at less and less often, until there are new ones. */
Test(memfs_window, a_closed_file_with_holes_lets_an_idle_sandbox_sleep)
{
	static const struct stub_transport nobody = {.before_sleep = no_stubs};
	static struct platform_ops counting;
	struct file *f = fresh(SIZE);
	struct inode *inode = f->inode;
	struct mem_data *d = &mem_node(inode)->data;
	volatile const char *kept;

	cr_assert_eq(loop_init(), 0);
	transport = &nobody;
	counting = model;
	counting.shared_bytes = count_look;
	platform = &counting;
	until_mapped(f);
	kept = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, given.host_fd, 0);
	cr_assert_neq(kept, MAP_FAILED);
	inode_get(inode);
	file_put(f);
	unmapped();
	cr_assert_eq(mem_truncate(boot, inode, SIZE / 2), 0);
	cr_assert_eq(mem_truncate(boot, inode, SIZE), 0);
	cr_assert(d->filled);
	shared_watch_limit(1ULL << 30, tell);
	until(loop_now() + 1500 * NSEC_PER_MSEC);
	cr_assert_eq(told, SIZE / 2);
	cr_assert_geq(looks, 1);
	cr_assert_lt(looks, 11, "%u looks", looks);
	/* Nothing was due soon. */
	cr_assert_eq(mem_truncate(boot, inode, SIZE + PAGE_SIZE), 0);
	for (size_t i = 0; i < SIZE; i += PAGE_SIZE)
		(void)kept[i];
	until(loop_now() + 100 * NSEC_PER_MSEC);
	cr_assert_eq(told, SIZE);
}

/* A hole isn't room that was made beyond the end, nor is what fallocate refused. */
Test(memfs_window, only_room_beyond_the_end_is_kept)
{
	struct file *f = fresh(SIZE);
	struct mem_data *d = &mem_node(f->inode)->data;

	cr_assert_eq(vfs_fallocate(boot, f, LINUX_FALLOC_FL_KEEP_SIZE | LINUX_FALLOC_FL_PUNCH_HOLE, 0, 2 * SIZE), 0);
	cr_assert_not(d->kept_size);
	cr_assert_eq(vfs_fallocate(boot, f, LINUX_FALLOC_FL_KEEP_SIZE, 0, SIZE), 0);
	cr_assert_not(d->kept_size);
	alloc_set_limit(alloc_total());
	cr_assert_lt(vfs_fallocate(boot, f, LINUX_FALLOC_FL_KEEP_SIZE, 0, 3 * SIZE), 0);
	cr_assert_not(d->kept_size);
	alloc_set_limit(UINT64_MAX);
	cr_assert_eq(vfs_fallocate(boot, f, LINUX_FALLOC_FL_KEEP_SIZE, 0, SIZE + 1), 0);
	cr_assert(d->kept_size);
}

static int64_t blocks(void)
{
	struct kstat st;

	cr_assert_eq(fx_stat("/f", &st), 0);
	return (int64_t)st.blocks;
}

/* What fallocate has made room for keeps it. */
Test(memfs_window, allocated_zeros_stay_allocated)
{
	struct file *f = fresh(0);
	struct mem_data *d = &mem_node(f->inode)->data;
	int64_t before;

	cr_assert_eq(vfs_fallocate(boot, f, 0, 0, SIZE), 0);
	before = blocks();
	cr_assert_eq(before, SIZE / 512);
	until_mapped(f);
	unmapped();
	mem_window_back(mem_node(f->inode));
	cr_assert_lt(d->memfd, 0);
	cr_assert_eq(blocks(), before);
	until_mapped(f);
}

/* Each way back makes the next way there longer: it isn't copied to and fro for ever. */
Test(memfs_window, moves_back_and_comes_again_later)
{
	struct file *f = fresh(SIZE);
	struct mem_node *n = mem_node(f->inode);
	struct mem_data *d = &n->data;
	unsigned first = until_mapped(f), last;
	struct iobuf buf;
	int64_t pos = 0;

	mem_window_back(n); /* there is one */
	cr_assert_geq(d->memfd, 0);
	unmapped();
	mem_window_back(n);
	cr_assert_lt(d->memfd, 0);
	cr_assert(holds_bytes(f));
	last = until_mapped(f);
	cr_assert_geq(last, 2 * first - 1);
	/* By a write, with a window and without. */
	iobuf_init_mem(&buf, bytes, 100);
	cr_assert_eq(vfs_write(boot, f, &buf, &pos), 100);
	cr_assert_geq(d->memfd, 0);
	unmapped();
	iobuf_init_mem(&buf, bytes + 100, 100);
	cr_assert_eq(vfs_write(boot, f, &buf, &pos), 100);
	cr_assert_lt(d->memfd, 0);
	cr_assert(holds_bytes(f));
	cr_assert_geq(until_mapped(f), 2 * last - 1);
	unmapped();
	/* In vain. */
	mem_window_back(n);
	maps_none = true;
	cr_assert_geq(until_mapped(f), 4 * last - 3);
	mem_window_back(n);
	cr_assert_lt(d->memfd, 0);
	cr_assert_geq(until_mapped(f), 8 * last - 7);
}

/* It would take too long. */
Test(memfs_window, a_large_file_stays_where_it_is)
{
	struct file *f = fresh(9 * MiB);

	for (unsigned i = 0; i < 200; i++)
		cr_assert_not(mem_window_want(boot, mem_node(f->inode), SIZE));
	cr_assert_eq(maps, 0);
}

/* Who writes on while the windows haven't been unmapped doesn't go through all windows each time. */
Test(memfs_window, are_ended_once)
{
	struct file *f = fresh(SIZE);
	struct iobuf buf;

	until_mapped(f);
	for (int64_t pos = 0; pos < 100;) {
		iobuf_init_mem(&buf, bytes + pos, 1);
		cr_assert_eq(vfs_write(boot, f, &buf, &pos), 1);
	}
	cr_assert_eq(ends, 1);
	cr_assert(holds_bytes(f));
	until_mapped(f);
	cr_assert_eq(mem_truncate(boot, f->inode, 5), 0);
	cr_assert_eq(ends, 2);
}
