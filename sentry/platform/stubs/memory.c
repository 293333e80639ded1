/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stubs' address spaces: copying guest memory, and what is known of a host process from outside.
 *
 * Copies go by process_vm_readv and writev, which obey the guest's own page protections. Addresses in the stub region are
 * refused for guests; the platform itself may reach them (signal frames of the trap door), where a forged address leads only
 * to the guest's own memory.
 */
#include "sentry/platform/stubs/stubs.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/internal.h"

#include <sys/uio.h>

struct platform_mm *stubs_thread_mm(struct platform_thread *pt)
{
	return pt->proc->mm;
}

void stubs_mm_get(struct platform_mm *mm)
{
	ref_get(&mm->ref);
}

void stubs_mm_put(struct platform_mm *mm)
{
	if (!ref_put(&mm->ref))
		return;
	spares_free(mm);
	windows_free(mm);
	kfree(mm);
}

/* A live process of the address space, or 0. */
static int mm_pid(const struct platform_mm *mm)
{
	struct host_proc *proc;

	list_for_each (proc, &mm->procs, mm_link)
		if (proc->pid != 0 && !proc->killed)
			return proc->pid;
	return 0;
}

static bool guest_range(uint64_t addr, size_t len)
{
	return addr < GUEST_END && len <= GUEST_END - addr;
}

/* Copies of more than this are said to be slow: see gate_slow. */
#define LONG_COPY 4096U

/* The thread whose call is being served, if it is one of this address space. */
static struct platform_thread *caller(const struct platform_mm *mm)
{
	const struct task *task = task_current();

	return task != NULL && task->pt != NULL && task->pt->proc != NULL && task->pt->proc->mm == mm ? task->pt : NULL;
}

/* What the caller's shim has moved of it; the rest is ours. */
static size_t long_copy(const struct platform_mm *mm, bool out, uint64_t addr, const struct platform_bytes *vec, size_t len)
{
	struct platform_thread *pt = len >= LONG_COPY ? caller(mm) : NULL;
	size_t moved = 0;

	if (pt == NULL)
		return 0;
	if (len >= GATE_STREAM_MIN)
		moved = gate_stream(pt, out, addr, vec, len);
	if (moved < len)
		gate_slow(pt);
	return moved;
}

/* A short transfer stops at the iovec's page: repeat page by page to find how far it goes. */
static size_t transfer(int pid, bool write, void *local, uint64_t addr, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct iovec l = {(char *)local + done, len - done};
		struct iovec r = {(void *)(addr + done), len - done}; // NOLINT
		int64_t n = write ? host_process_vm_writev(pid, &l, 1, &r, 1) : host_process_vm_readv(pid, &l, 1, &r, 1);

		if (n <= 0)
			break;
		done += (size_t)n;
		if (done < len && (addr + done) % PAGE_SIZE == 0)
			break; /* stopped at an unmapped page */
	}
	return done;
}

static size_t move(struct platform_mm *mm, bool out, uint64_t addr, const struct platform_bytes *vec, size_t len)
{
	int pid = mm_pid(mm);
	size_t done, skip;

	if (pid == 0 || len == 0)
		return 0;
	if (!guest_range(addr, len)) {
		if (addr >= GUEST_END)
			return 0;
		len = GUEST_END - addr;
	}
	skip = done = long_copy(mm, out, addr, vec, len);
	for (; done < len; vec++) {
		size_t n, got;

		if (skip >= vec->len) {
			skip -= vec->len;
			continue;
		}
		n = MIN(vec->len - skip, len - done);
		got = transfer(pid, out, (char *)vec->data + skip, addr + done, n);
		done += got;
		skip = 0;
		if (got < n)
			break;
	}
	return done;
}

size_t stubs_mm_readv(struct platform_mm *mm, const struct platform_bytes *vec, uint64_t addr, size_t len)
{
	return move(mm, false, addr, vec, len);
}

size_t stubs_mm_writev(struct platform_mm *mm, uint64_t addr, const struct platform_bytes *vec, size_t len)
{
	return move(mm, true, addr, vec, len);
}

size_t stubs_mm_read(struct platform_mm *mm, void *dst, uint64_t addr, size_t len)
{
	return move(mm, false, addr, &(struct platform_bytes){dst, len}, len);
}

size_t stubs_mm_write(struct platform_mm *mm, uint64_t addr, const void *src, size_t len)
{
	return move(mm, true, addr, &(struct platform_bytes){(void *)(uintptr_t)src, len}, len);
}

void stubs_set_affinity(struct platform_thread *pt, uint64_t mask)
{
	if (pt->tid == 0 || pt->state == THREAD_DEAD || pt->loan != NULL)
		return;
	place_drop(pt);
	pt->pinned = true;
	host_sched_setaffinity(pt->tid, mask);
}

uint64_t stubs_mm_resident_last(struct platform_mm *mm)
{
	struct host_proc *proc;

	list_for_each (proc, &mm->procs, mm_link)
		if (proc->pid != 0 && !proc->killed)
			return proc->resident;
	return 0;
}

uint64_t stubs_mm_resident(struct platform_mm *mm)
{
	/* The sealed sentry can't look into the host's /proc; the monitor can. */
	if (stubs_refresh_resident != NULL)
		stubs_refresh_resident();
	return stubs_mm_resident_last(mm);
}

void (*stubs_refresh_resident)(void);

/* Only whole processes can be asked from outside: the first thread that has a task of its own answers for all. A process may
 * go on for long without the thread it began with. */
static bool answers_for_all(const struct platform_thread *pt)
{
	const struct platform_thread *other;

	list_for_each(other, &pt->proc->threads, proc_link)
		if (other->task != NULL && other->task->pt == other)
			return other == pt;
	return false;
}

void stubs_thread_times(struct platform_thread *pt, bool last, uint64_t *utime, uint64_t *stime)
{
	struct host_proc *proc = pt->proc;
	uint64_t user, both;

	*utime = *stime = 0;
	if (proc == NULL || !answers_for_all(pt))
		return;
	both = proc->cpu_ns;
	user = both - MIN(both, proc->saved_ns) + proc->saved_user_ns; /* ended before it was asked: nobody knows what the rest was */
	if (proc->pid != 0) {
		both = host_clock_ns(PROCESS_CPUCLOCK(proc->pid, 0));
		user = host_clock_ns(PROCESS_CPUCLOCK(proc->pid, 1));
	}
	both -= MIN(both, proc->saved_ns);
	user -= MIN(user, proc->saved_user_ns);
	*utime = MIN(user, both);
	*stime = both - *utime;
	if (last) {
		proc->saved_ns += both;
		proc->saved_user_ns += *utime;
	}
}

uint64_t stubs_vdso_base(void)
{
	return stubs_vdso;
}

int stubs_transfer(struct platform_thread *pt, bool write, void *buf, uint64_t addr, size_t len)
{
	/* The stub region is ours to reach here; addresses the guest forged lead only to its own memory. */
	if (pt->proc->pid == 0 || transfer(pt->proc->pid, write, buf, addr, len) != len)
		return -LINUX_EFAULT;
	return 0;
}
