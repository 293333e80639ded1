/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows: contents of files that a process reads in large pieces, mapped in its stub region for the shim to copy from.
 *
 * A read of a megabyte through the mailbox is copied twice, and process_vm_writev pins every page it writes. Here the answer
 * names a place in a window, and the thread copies from there to its buffer: once, in one address space, without a page cache's
 * bookkeeping between.
 *
 *	large reads of one file --> windows_want: AFTER bytes of it? --> mapped: read-only, private, not for fork's children
 *	windows_read --> an out-segment with GATE_SEG_WINDOW --> shim: apply_outs
 *	close, other ids or capabilities --> windows_drop: reserved again, with the answer to that call
 *
 * What it shows. The process has the file open for reading: it could have mapped it itself, and whatever the window shows is
 * what its own mapping would. It ends when the process closes a descriptor of the file, and when it changes its ids (so that a
 * program that gives up its rights doesn't keep what it read with them); with the address space otherwise. A process that has
 * its descriptors closed by another one, with which it shares the table but not the memory, keeps it until then.
 *
 * The mapping, and its end, are notified and compared like all that touches the stub region. A stub that leaves the end out
 * breaks the protocol (stubs_forget_expected). The descriptor is held while the window lives, so its memory is accounted for.
 *
 * The guest can make the window writable and write there: private pages, its own. It can unmap it: its reads fail then, and
 * what it puts there instead it reads.
 */
#include "sentry/abi/mman.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/platform.h"
#include "sentry/platform/stubs/stubs.h"

#include <string.h>
#include <sys/syscall.h>

#define AFTER (4 * MiB) /* mapping costs some exchanges */

static uint64_t address(const struct platform_mm *mm, const struct window *w)
{
	return STUB_WINDOWS + (uint64_t)(w - mm->windows) * STUB_WINDOW_SIZE;
}

static struct window *find(struct platform_mm *mm, uint64_t id)
{
	for (unsigned i = 0; i < STUB_WINDOWS_MAX; i++)
		if (mm->windows[i].id == id)
			return &mm->windows[i];
	return NULL;
}

static struct platform_mm *mm_of(const struct task *task)
{
	return task->pt != NULL && task->pt->proc != NULL && task->pt->state != THREAD_DEAD ? task->pt->proc->mm : NULL;
}

static int queue_reserve(struct platform_thread *pt, uint64_t addr, uint64_t len)
{
	struct native_call call = {
		.cmd = {SYS_mmap,
			{addr, len, LINUX_PROT_NONE,
			 LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED | LINUX_MAP_NORESERVE, (uint64_t)-1, 0}},
		.host_fd = -1,
	};

	return native_queue_call(pt, &call);
}

static void forget(struct window *w)
{
	if (w->len != 0)
		w->release(w->object);
	*w = (struct window){0};
}

/* Sleeps. The window may be another file's, or none, afterwards. */
static void map(struct task *task, struct platform_mm *mm, struct window *w, const struct platform_window *want)
{
	struct platform_thread *pt = task->pt;
	uint64_t len = PAGE_ALIGN(want->size), addr = address(mm, w);
	struct native_call mapping = {
		.cmd = {SYS_mmap, {addr, len, LINUX_PROT_READ, LINUX_MAP_PRIVATE | LINUX_MAP_FIXED, 0, 0}},
		.host_fd = want->host_fd,
	};
	struct native_call dontfork = {
		.cmd = {SYS_madvise, {addr, len, 10 /* MADV_DONTFORK */, 0, 0, 0}},
		.host_fd = -1,
	};

	if (native_queue_call(pt, &mapping) < 0)
		return;
	if (native_queue_call(pt, &dontfork) < 0) {
		pt->nqueue--;
		return;
	}
	want->hold(want->object);
	w->len = len;
	w->release = want->release;
	w->object = want->object;
	mm->had_windows = true;
	/* If it failed in part, it goes. Without memory to say so the process can't go on. */
	if (native_flush(task, pt) < 0 && w->id == want->id) {
		forget(w);
		if (pt->state != THREAD_DEAD && queue_reserve(pt, addr, STUB_WINDOW_SIZE) < 0)
			proc_kill(pt->proc);
	}
}

void windows_want(struct task *task, const struct platform_window *want, uint64_t bytes)
{
	struct platform_mm *mm = mm_of(task);
	struct window *w;

	if (mm == NULL || task->pt->state != THREAD_GATE || task->pt->nqueue != 0 || want->size > STUB_WINDOW_SIZE)
		return;
	w = find(mm, want->id);
	if (w == NULL) {
		/* The one least used so far, unless it is mapped. */
		for (unsigned i = 0; i < STUB_WINDOWS_MAX; i++) {
			struct window *other = &mm->windows[i];

			if (other->len == 0 && (w == NULL || other->wanted < w->wanted))
				w = other;
		}
		if (w == NULL)
			return;
		*w = (struct window){.id = want->id};
	}
	w->wanted += bytes;
	if (w->len != 0 && w->len < PAGE_ALIGN(want->size)) {
		/* The file has grown: once more from the beginning. */
		windows_drop(task, want->id);
		return;
	}
	if (w->len == 0 && w->wanted >= AFTER)
		map(task, mm, w, want);
}

bool windows_read(struct task *task, uint64_t id, uint64_t pos, uint64_t addr, uint64_t len)
{
	struct platform_thread *pt = task->pt;
	struct platform_mm *mm = mm_of(task);
	struct window *w;

	if (mm == NULL || pt->state != THREAD_GATE || pt->nqueue != 0 || pt->nouts == GATE_MAX_SEGS || pt->jumps)
		return false;
	w = find(mm, id);
	if (w == NULL || w->len == 0 || pos > w->len || len > w->len - pos || len > UINT32_MAX)
		return false;
	pt->outs[pt->nouts++] = (struct gate_seg){
		.addr = addr,
		.len = (uint32_t)len,
		.off = (uint32_t)(address(mm, w) - STUB_WINDOWS + pos),
		.flags = GATE_SEG_WINDOW,
	};
	return true;
}

void windows_flush(struct platform_thread *pt, const struct gate_seg *out)
{
	static char bounce[64 * KiB];
	uint32_t done = 0;

	while (done < out->len) {
		uint32_t n = MIN(out->len - done, (uint32_t)sizeof(bounce));

		if (stubs_transfer(pt, false, bounce, STUB_WINDOWS + out->off + done, n) < 0 ||
		    stubs_mm_write(pt->proc->mm, out->addr + done, bounce, n) != n)
			return;
		done += n;
	}
}

void windows_drop(struct task *task, uint64_t id)
{
	struct platform_mm *mm = mm_of(task);

	/* One that ends carries nothing out any more: what others of its address space see stays held. */
	if (mm == NULL || !mm->had_windows || task->exiting)
		return;
	for (unsigned i = 0; i < STUB_WINDOWS_MAX; i++) {
		struct window *w = &mm->windows[i];

		if (w->id == 0 || (id != 0 && w->id != id))
			continue;
		/* A thread in a plain call carries nothing out: it comes into the trap door first. */
		if (w->len != 0 && task->pt->state == THREAD_PLAIN) {
			if (platform->context(task, 0) == NULL)
				return; /* it has died */
			i--; /* slept: look again */
			continue;
		}
		if (w->len != 0 && queue_reserve(task->pt, address(mm, w), STUB_WINDOW_SIZE) < 0)
			proc_kill(task->pt->proc);
		forget(w);
	}
}

void windows_free(struct platform_mm *mm)
{
	for (unsigned i = 0; i < STUB_WINDOWS_MAX; i++)
		forget(&mm->windows[i]);
}

void windows_forked(const struct platform_mm *parent, struct platform_thread *child)
{
	/* A failure harms nobody but itself: see queue_reserve in thread.c. */
	if (parent->had_windows)
		(void)queue_reserve(child, STUB_WINDOWS, STUB_WINDOWS_MAX * STUB_WINDOW_SIZE);
}
