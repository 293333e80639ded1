/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files in memory and windows: when one moves to a memfd, when it moves back, and that what is filled by reading is counted. The
 * platform is a model that maps as the test says and keeps what it was given.
 */
#include "fs_fixture.h"

#include "sentry/fs/memfs_internal.h"
#include "sentry/platform/platform.h"

#include <sys/mman.h>

#define SIZE (1 * MiB)

static struct platform_window given;
static unsigned maps, ends;
static bool maps_none;

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

/* A guest keeps what it had mapped, whatever it was told, and fills the file's holes when nobody has it open. */
Test(memfs_window, what_is_filled_after_the_last_hold_is_counted)
{
	struct file *f = fresh(SIZE);
	struct inode *inode = f->inode;
	struct mem_data *d = &mem_node(inode)->data;
	volatile const char *kept;
	bool any = false;

	until_mapped(f);
	cr_assert_geq(d->memfd, 0);
	cr_assert(holds_bytes(f));
	kept = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, given.host_fd, 0);
	cr_assert_neq(kept, MAP_FAILED);
	inode_get(inode);
	file_put(f);
	unmapped();
	cr_assert_eq(d->opens, 0);
	cr_assert_eq(mem_truncate(boot, inode, 0), 0);
	cr_assert_eq(memfs_memfd_bytes(&any), 0);
	cr_assert_eq(mem_truncate(boot, inode, SIZE), 0);
	for (size_t i = 0; i < SIZE; i += PAGE_SIZE)
		(void)kept[i];
	cr_assert_eq(memfs_memfd_bytes(&any), SIZE);
	cr_assert(any);
	cr_assert_eq(d->npages, SIZE / PAGE_SIZE);
	inode_put(inode);
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
