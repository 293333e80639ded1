/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows: contents of a file that a thread reads again and again, mapped in its process for its shim to copy from.
 *
 * What the sentry reads for a guest crosses from one CPU's caches to the other's, once more than the host's own read would copy it.
 * Here the answer to a read names a place in the window, and the thread copies from there to its buffer: once, in one address space.
 *
 *	reads of one file --> windows_pay: often enough? --> windows_map: read-only, private, not for fork's children
 *	windows_read --> an out-segment with GATE_SEG_WINDOW --> shim: apply_outs
 *	windows_drop, windows_end, windows_gone --> ended: no answer names it any more --> windows_settle: unmapped
 *
 * A window is one thread's: only the shim of that thread copies from it, after an answer that named it and before the thread's
 * next call. So it may be unmapped with an answer to that thread, or with another one's of the address space while that thread waits
 * for an answer that doesn't name it; never while it is in guest code, where its last copy may still be going on. Until somebody
 * can unmap it it stays, with what it holds: the inode, and a count in its `opens`.
 *
 * The slot is free, and what it holds goes, when the thread that was told to unmap it has done so: before that the command would take
 * away what another thread has mapped there meanwhile, and the guest could look on at a file that nobody knows to be shown. If that
 * thread dies first, the window is left to one of another process with the same memory (clone with CLONE_VM), or to the memory's end. A
 * process with as many mappings as the host allows gets an error; the window stays then, no answer names it, and it is tried again
 * when the next one is made. (The guest can forge that: it keeps what it could have mapped, and the file stays counted.)
 *
 * What ends it: the close of a descriptor of the file by its thread or one that shares its memory; the thread's change of its ids or
 * capabilities; its end, and its task's; a write, a truncation of the file, or a hole that is made in it, by anybody. In the last two cases
 * the thread may still be copying: it reads zeros where there is no page any more (shim.c: copy_window), as it would if the file had been cut
 * and grown. (A write ends it only where the file is in a memfd for windows alone: it is to move back.) Another file
 * takes its place if the thread reads more of that one than of this. An exec has a new address space. A vfork's child that runs on
 * its parent's thread, and one that shares its memory, have none.
 *
 * When to make one: when as much was lost by not having it as it costs (then no more than twice the cheapest way is paid, whatever comes).
 * It costs some 120 us for the commands, and 1.2 ms for each MiB: the pages of the memfd are new (0.5), are mapped (0.1), and go again
 * (0.2), and so the file's own when it moves back. A read of 4 KiB loses 1.4 us. So it pays after 90 of a file of 4 KiB, 150 of 64 KiB,
 * some 900 of 1 MiB; half a megabyte and twice the size are 130, 160 and 640. For larger pieces, which lose less for each byte (60 us
 * for 1 MiB), it comes sooner than that.
 *
 * What it shows is what the process could have mapped itself: it has the file open for reading. Other threads of the process can
 * look into it, as into each other's buffers. The mapping and its end are notified and compared, as all that touches the stub region;
 * a stub that leaves the end out ends (stubs_owes_close). What the guest reads there of a hole becomes a page of the memfd; such files
 * are counted now and then, as if the guest had mapped them (memfs_file.c: `filled`).
 *
 * Pages of windows are in the resident sizes of all processes that have touched them. A monitor that has only these to tell how
 * much there is (runtime/core/memory_watch.c) counts them for each: so all windows together are bounded by a part of the limit.
 * Where a container of a pod has a limit on what is resident there are none. With a new limit all end, and go with the next answers; a
 * process that is only waited for keeps its own until then.
 *
 * The guest can forge the ring of a thread that still copies. It then reads there what comes next: another file that it may read, or
 * zeros.
 */
#include "sentry/platform/stubs/stubs.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/shared_watch.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/platform.h"

#include <sys/syscall.h>

#define AFTER (512 * KiB) /* what is read until a window may pay, and twice the file's size */
#define ALL_MAX (256 * MiB)  /* of all windows together, ... */
#define LIMIT_PART 16        /* ... and of the sandbox's limit on memory */

struct window {
	struct list mm_link, all_link;
	struct platform_mm *mm;
	struct platform_thread *pt; /* whose it is; NULL: nobody's any more */
	struct platform_thread *by; /* who has been told to unmap it; until that is done it holds what it held */
	uint64_t id, len;
	unsigned slot;
	int host_fd;
	bool mapping; /* it is being mapped */
	bool ended;
	bool stuck; /* it couldn't be unmapped */
	void (*release)(void *object);
	void *object;
};

static struct list all = LIST_INIT(all);
static uint64_t all_bytes;

static uint64_t address(unsigned slot)
{
	return STUB_WINDOWS + slot * WINDOW_SIZE;
}

static int queue_reserve(struct platform_thread *pt, uint64_t addr, uint64_t len)
{
	struct native_call call = {
		.cmd = {SYS_mmap,
			{addr, len, LINUX_PROT_NONE, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED | LINUX_MAP_NORESERVE,
			 (uint64_t)-1, 0}},
		.host_fd = -1,
	};

	return native_queue_call(pt, &call);
}

static void window_free(struct window *w)
{
	all_bytes -= w->len;
	list_del(&w->all_link);
	w->release(w->object);
	if (w->ended && !w->stuck)
		w->mm->windows_ended--;
	w->mm->window_slots &= ~(1ULL << w->slot);
	list_del(&w->mm_link);
	kfree(w);
}

static void end(struct window *w)
{
	if (w->ended)
		return;
	w->ended = true;
	w->mm->windows_ended++;
	if (w->pt != NULL && w->pt->window == w)
		w->pt->window = NULL;
}

/* What couldn't be unmapped may go now. */
static void try_again(struct platform_mm *mm)
{
	struct window *w;

	list_for_each (w, &mm->windows, mm_link) {
		mm->windows_ended += w->stuck;
		w->stuck = false;
	}
}

/* The thread's answer will name one. */
static bool names_one(const struct platform_thread *pt)
{
	for (uint32_t i = 0; i < pt->nouts; i++)
		if (pt->outs[i].flags & GATE_SEG_WINDOW)
			return true;
	return false;
}

/* Surely it doesn't copy. */
static bool stands(const struct platform_thread *pt)
{
	switch (pt->state) {
	case THREAD_GATE:
	case THREAD_FULL:
	case THREAD_PLAIN:
	case THREAD_PARKED:
		return !names_one(pt);
	case THREAD_DEAD:
		return true;
	default:
		return false;
	}
}

/* The thread in a call by which a window can be used, or made; else NULL. */
static struct platform_thread *reader(const struct task *task)
{
	struct platform_thread *pt = task->pt;

	if (task != task_current() || pt == NULL || pt->state != THREAD_GATE || pt->event.kind != PLATFORM_SYSCALL || pt->loan != NULL ||
	    pt->jumps || pt->nqueue != 0)
		return NULL;
	switch (pt->event.nr) {
	case SYS_read:
	case SYS_pread64:
	case SYS_readv:
	case SYS_preadv:
	case SYS_preadv2:
		return pt;
	default:
		return NULL;
	}
}

/* Room for so many bytes more? */
static bool room(uint64_t len)
{
	uint64_t limit = shared_watch_limited();

	return all_bytes + len <= MIN((uint64_t)ALL_MAX, limit != 0 ? limit / LIMIT_PART : UINT64_MAX);
}

/* Its container has a limit on memory of its own, by what is resident: files don't count for that, and shall not. */
static bool resident_limited(const struct task *task)
{
	return task->group != NULL && task->group->container != NULL && task->group->container->memory_limit != 0;
}

bool windows_pay(struct task *task, uint64_t id, uint64_t size, uint64_t bytes)
{
	struct platform_thread *pt = reader(task);

	if (pt == NULL || size > WINDOW_SIZE || !room(PAGE_ALIGN(size)) || resident_limited(task) || (pt->window != NULL && pt->window->id == id && pt->window->len >= size))
		return false;
	bytes = MIN(bytes, size);
	if (pt->want_id != id) {
		/* Of several files that are read in turns the one that is read most is left. */
		if (pt->want_bytes > bytes) {
			pt->want_bytes -= bytes;
			return false;
		}
		pt->want_id = id;
		pt->want_bytes = 0;
	}
	pt->want_bytes += bytes;
	if (pt->want_bytes < AFTER + 2 * size)
		return false;
	pt->want_bytes = 0;
	return true;
}

static bool shares_memory(const struct platform_mm *mm)
{
	return list_first(&mm->procs, struct host_proc, mm_link)->mm_link.next != &mm->procs;
}

void windows_map(struct task *task, const struct platform_window *want)
{
	struct platform_thread *pt = reader(task);
	uint64_t len = PAGE_ALIGN(want->size), addr;
	struct platform_mm *mm;
	struct window *w;
	int err;

	if (pt == NULL || pt->nouts != 0 || len == 0 || len > WINDOW_SIZE || !room(len))
		return;
	mm = pt->proc->mm;
	if (mm->window_slots == UINT64_MAX || shares_memory(mm))
		return;
	w = kzalloc(sizeof(*w));
	if (w == NULL)
		return;
	w->slot = (unsigned)__builtin_ctzll(~mm->window_slots);
	addr = address(w->slot);
	struct native_call mapping = {
		.cmd = {SYS_mmap, {addr, len, LINUX_PROT_READ, LINUX_MAP_PRIVATE | LINUX_MAP_FIXED, 0, 0}},
		.host_fd = want->host_fd,
	};
	struct native_call dontfork = {
		.cmd = {SYS_madvise, {addr, len, LINUX_MADV_DONTFORK}},
		.host_fd = -1,
	};

	if (native_queue_call(pt, &mapping) < 0) {
		kfree(w);
		return;
	}
	if (native_queue_call(pt, &dontfork) < 0) {
		pt->nqueue = 0;
		kfree(w);
		return;
	}
	try_again(mm);
	if (pt->window != NULL)
		end(pt->window);
	want->hold(want->object);
	*w = (struct window){
		.mm = mm,
		.pt = pt,
		.id = want->id,
		.len = len,
		.slot = w->slot,
		.host_fd = want->host_fd,
		.mapping = true,
		.release = want->release,
		.object = want->object,
	};
	list_add_tail(&mm->windows, &w->mm_link);
	list_add_tail(&all, &w->all_link);
	all_bytes += len;
	mm->window_slots |= 1ULL << w->slot;
	mm->windows_made = MAX(mm->windows_made, w->slot + 1);
	mm->windows_mapped++;
	shared_watch_soon();
	err = native_flush(task, pt);
	/* The thread may have died, the file been cut. */
	w->mapping = false;
	if (err < 0)
		end(w);
	if (w->ended || pt->window != NULL)
		return;
	pt->window = w;
	gate_counts.windows++;
}

/* A place where the call may write, and where nothing but another thread's doing can keep its own from it. */
static bool surely_writable(const struct task *task, const struct platform_thread *pt, uint64_t addr, uint64_t len)
{
	/* What was probed when the call came may be another mapping by now, if it has slept. */
	for (uint32_t i = 0; i < pt->nsegs && (task->mm == NULL || task->mm->vma_gen == task->syscall_gen); i++) {
		const struct gate_seg *s = &pt->segs[i];

		if ((s->flags & GATE_SEG_PROBED) && addr >= s->addr && addr - s->addr < s->len && len <= s->len - (addr - s->addr))
			return true;
	}
	/* Executable memory may be another to the host than it is to the guest (mm/text.c). */
	return mm_plain_memory(task->mm, addr, addr + len) && !(mm_find(task->mm, addr)->prot & LINUX_PROT_EXEC);
}

uint64_t windows_read(struct task *task, uint64_t id, uint64_t pos, uint64_t addr, uint64_t len)
{
	struct platform_thread *pt = reader(task);
	struct window *w;

	if (pt == NULL || (w = pt->window) == NULL || w->id != id || pos >= w->len || pt->nouts == GATE_MAX_SEGS)
		return 0;
	len = MIN(len, w->len - pos);
	if (addr > GUEST_END || len > GUEST_END - addr || !surely_writable(task, pt, addr, len))
		return 0;
	gate_forget_overlapping(pt, addr, len);
	pt->outs[pt->nouts++] = (struct gate_seg){
		.addr = addr,
		.len = (uint32_t)len,
		.off = (uint32_t)(address(w->slot) - STUB_WINDOWS + pos),
		.flags = GATE_SEG_WINDOW,
	};
	return len;
}

size_t windows_flush(const struct platform_thread *pt, const struct gate_seg *out)
{
	static char bounce[64 * KiB];
	struct window *w;
	size_t done = 0;

	list_for_each (w, &pt->proc->mm->windows, mm_link) {
		if (w->slot != out->off / WINDOW_SIZE)
			continue;
		while (done < out->len) {
			size_t n = MIN(out->len - done, sizeof(bounce));
			int64_t got = host_pread(w->host_fd, bounce, n, (int64_t)(out->off % WINDOW_SIZE + done));

			if (got <= 0 || stubs_mm_write(pt->proc->mm, out->addr + done, bounce, (size_t)got) != (size_t)got)
				break;
			done += (size_t)got;
		}
	}
	return done;
}

void windows_end(uint64_t id)
{
	struct window *w;

	list_for_each (w, &all, all_link)
		if (id == 0 || w->id == id)
			end(w);
}

void windows_drop(struct task *task, uint64_t id)
{
	struct platform_thread *pt = task->pt;
	struct window *w;

	if (pt != NULL && (id == 0 || pt->want_id == id))
		pt->want_bytes = 0; /* who opens it anew begins anew */
	if (pt == NULL || pt->proc == NULL || pt->loan != NULL || list_empty(&pt->proc->mm->windows))
		return;
	list_for_each (w, &pt->proc->mm->windows, mm_link)
		if (id != 0 ? w->id == id : w->pt == pt)
			end(w);
}

/* It can be unmapped by a thread that is answered. */
static bool ripe(const struct window *w)
{
	return w->ended && !w->stuck && !w->mapping && w->by == NULL && (w->pt == NULL || stands(w->pt));
}

static struct window *first_ripe(const struct platform_mm *mm)
{
	struct window *w;

	list_for_each (w, &mm->windows, mm_link)
		if (ripe(w))
			return w;
	return NULL;
}

/* pt was told to unmap it, and that gave err. What may still be mapped stays, with what it holds. */
static void told(struct window *w, struct platform_thread *pt, int err)
{
	w->by = NULL;
	/* Its memory may live on in another process: that one's threads do it. (Who left it out is killed, and is believed the second
	 * time that it says so.) */
	if (pt->state == THREAD_DEAD || pt->proc->killed)
		return;
	if (err == 0) {
		window_free(w);
	} else if (err == -LINUX_ENOMEM) {
		/* As many mappings as the host allows. It isn't tried at every answer. */
		w->stuck = true;
		w->mm->windows_ended--;
	} else {
		proc_kill(pt->proc); /* no host says so */
	}
}

bool windows_settle(struct task *task, struct platform_thread *pt, int64_t value)
{
	struct platform_mm *mm = pt->proc->mm;
	struct window *w;

	if (first_ripe(mm) == NULL)
		return true;
	/* A thread in a plain call carries nothing out: it comes into the trap door first. */
	if (pt->state == THREAD_PLAIN && platform->context(task, value) == NULL)
		return false;
	/* By themselves, and one at a time: an error isn't another command's, and leaves none out. */
	while ((pt->state == THREAD_GATE || pt->state == THREAD_FULL) && pt->nqueue == 0 && !pt->jumps && !pt->proc->killed &&
	       (w = first_ripe(mm)) != NULL && queue_reserve(pt, address(w->slot), w->len) == 0) {
		w->by = pt;
		w->pt = NULL;
		told(w, pt, native_flush(task, pt));
	}
	return pt->state != THREAD_DEAD;
}

void windows_gone(struct platform_thread *pt)
{
	struct window *w;

	if (pt->proc == NULL)
		return;
	pt->want_id = pt->want_bytes = 0;
	list_for_each (w, &pt->proc->mm->windows, mm_link) {
		if (w->pt == pt) {
			end(w);
			w->pt = NULL;
		}
	}
}

void windows_free(struct platform_mm *mm)
{
	while (!list_empty(&mm->windows))
		window_free(list_first(&mm->windows, struct window, mm_link));
}

/*
 * A slot that is free has been unmapped: by PROT_NONE pages that fork copies, for MADV_DONTFORK is a mapping's and went with the one
 * they replaced. So there are holes only for what was taken when the host forked, which is somewhere between these two: taken
 * already before, or begun since, if it is free again by now.
 */
uint64_t windows_before_fork(const struct platform_mm *parent)
{
	return parent->window_slots == 0 ? parent->windows_mapped : UINT64_MAX;
}

void windows_forked(const struct platform_mm *parent, struct platform_thread *child, uint64_t before)
{
	if (parent->windows_mapped != before)
		(void)queue_reserve(child, STUB_WINDOWS, parent->windows_made * WINDOW_SIZE);
}
