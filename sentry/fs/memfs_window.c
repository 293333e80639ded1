/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of memfs whose contents are mapped for threads that read them again and again (sentry/platform/stubs/windows.c).
 *
 *	reads of 1 KiB and more --> mem_window_want: one open, twice the file's size? --> to a memfd --> window_map
 *	mem_window_read --> the thread copies
 *	written, or nobody has a window any more --> back to private memory (mem_memfd_retire)
 *
 * A memfd costs more than private memory where it is written, and where it is read without a window: two copies by host calls. So a
 * file is there for windows only as long as there are any (`by_window`), and only if no guest has it mapped. What is written isn't
 * moved; after each time that it was moved back, for that or because its windows were closed, it has to be read twice as much. Files
 * with holes or with a part in the lower layer aren't, nor are larger ones: the copies are made in one piece.
 *
 * A window holds the inode and counts in `opens`: neither is the memfd emptied nor moved back while a thread may copy from it.
 * Pages that go (a truncation, a hole) end it first, and what is filled there by reading is counted as for any mapping (`filled`).
 */
#include "sentry/fs/memfs_internal.h"

#include "sentry/base/alloc.h"
#include "sentry/kernel/shared_watch.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/platform.h"
#include "sentry/vfs/iobuf.h"

#define FILE_MIN (4 * KiB)
#define ROOM 8 /* so many times its size of memory must be free */
#define FILE_MAX (8 * MiB) /* it is copied there and back in one piece, while nobody else runs: some milliseconds */

void mem_windows_end(struct mem_data *d)
{
	if (d->windows_live)
		platform->window_end(d->window_id);
	d->windows_live = false;
}

int mem_window_flush(struct task *task, struct file *file)
{
	uint64_t id = mem_node(file->inode)->data.window_id;

	if (id != 0 && task != NULL && task == task_current() && platform->window_drop != NULL)
		platform->window_drop(task, id);
	return 0;
}

static void window_hold(void *object)
{
	struct mem_node *n = mem_node(object);

	inode_get(n->inode);
	n->data.opens++;
	n->data.nwindows++;
}

static void window_release(void *object)
{
	mem_node(object)->data.nwindows--;
	mem_data_release(mem_node(object));
	inode_put(object);
}

bool mem_window_want(struct task *task, struct mem_node *n, uint64_t bytes)
{
	static uint64_t last_id;
	struct mem_data *d = &n->data;
	bool moved;
	struct platform_window w = {.size = n->inode->size, .hold = window_hold, .release = window_release, .object = n->inode};

	/* A small one from the memfd costs as much as a larger one. */
	if (d->memfd >= 0)
		bytes = MAX(bytes, FILE_MIN);
	d->unwritten += bytes;
	if (w.size < FILE_MIN || w.size > FILE_MAX || d->lower_len != 0 || (d->memfd < 0 && (n->is_memfd || !mem_memfds_free())))
		return false;
	if (d->window_id == 0)
		d->window_id = ++last_id;
	w.id = d->window_id;
	if (!platform->window_pays(task, w.id, w.size, bytes) || d->kept_size || d->npages * PAGE_SIZE < w.size ||
	    (d->memfd < 0 && d->unwritten >> d->retired < 2 * w.size))
		return false;
	moved = d->memfd < 0;
	if (moved && !alloc_room(ROOM * w.size)) /* for a while it is there twice */
		return false;
	if (mem_to_memfd(task, n) != 0)
		return true;
	d->by_window |= moved;
	w.size = n->inode->size;
	w.host_fd = d->memfd;
	mem_memfd_mapped(d, false);
	shared_watch_soon();
	d->windows_live = true; /* it may end before it is there */
	platform->window_map(task, &w);
	return true;
}

void mem_window_back(struct mem_node *n)
{
	struct mem_data *d = &n->data;

	if (d->nwindows != 0)
		return;
	d->retired = (uint8_t)MIN(d->retired + 1, 16);
	/* Pages beyond the end would be lost. And for a while it is there twice: nobody has asked for that memory, so where there is
	 * none that is no limit that was hit. */
	if (d->handed_out || n->inode->size > FILE_MAX || d->kept_size || !alloc_room(n->inode->size) || !mem_memfd_retire(n))
		d->by_window = false;
}

void mem_window_written(struct mem_node *n)
{
	struct mem_data *d = &n->data;

	d->unwritten = 0;
	if (!d->by_window)
		return;
	if (d->nwindows != 0) {
		mem_windows_end(d);
		return;
	}
	mem_window_back(n);
}

uint64_t mem_window_read(struct task *task, const struct mem_data *d, struct iobuf *buf, uint64_t at, uint64_t len)
{
	uint64_t n;
	gva_t dst;

	if (d->memfd < 0 || d->window_id == 0)
		return 0;
	n = iobuf_range(buf, len, &dst);
	if (n == 0)
		return 0;
	n = platform->window_read(task, d->window_id, at, dst.v, n);
	iobuf_skip(buf, n);
	return n;
}
