// SPDX-License-Identifier: Apache-2.0
/*
 * mmap(2) and munmap(2).
 *
 *	mmap --> checks in Linux's order --> mm_back: who holds the bytes (may sleep: file->ops->map)
 *	     --> an address --> mm_map: vma made, borders split, native call queued --> the tree changes
 *
 * The native call is always MAP_FIXED at the address chosen here, and MAP_NORESERVE: the host's overcommit rules never
 * refuse what Linux in its default mode would allow, and gigabytes of reserved address space cost nothing. It is
 *carried out when the guest's call returns; should the host refuse it then (out of memory, noexec), its error is what
 *the guest sees, and the tree shows a mapping that isn't there until the guest unmaps or replaces it: harmless, as
 *touching it only raises SIGSEGV.
 *
 * A shared mapping is shared in the host only if the guest could write the file through its descriptor; else it is
 * private there (coherent until written, and the guest can't make it writable for others; docs: safety). max_prot keeps
 * mprotect honest in the tree.
 *
 * The guest controls every argument and the number of mappings (MM_MAX_MAPS), and may race with itself: between two
 * threads of one guest the tree and the host may disagree about ranges that both change, and only they are harmed.
 *
 * Left out: MAP_HUGETLB (no huge pages are reserved: ENOMEM), MAP_POPULATE and MAP_LOCKED don't fault pages in,
 *MAP_SYNC.
 */
#include "sentry/abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/text.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#define PERSONALITY_READ_IMPLIES_EXEC 0x0400000U
/* What MAP_SHARED_VALIDATE knows: all flags of today but MAP_SYNC, which needs a file that can. */
#define MMAP_LEGACY_FLAGS                                                                                              \
	(LINUX_MAP_SHARED | LINUX_MAP_PRIVATE | LINUX_MAP_FIXED | LINUX_MAP_ANONYMOUS | LINUX_MAP_DENYWRITE |          \
	 LINUX_MAP_EXECUTABLE | LINUX_MAP_GROWSDOWN | LINUX_MAP_LOCKED | LINUX_MAP_NORESERVE | LINUX_MAP_POPULATE |    \
	 LINUX_MAP_NONBLOCK | LINUX_MAP_STACK | LINUX_MAP_HUGETLB | LINUX_MAP_32BIT | 0x7c000000 /* page sizes */)

/* ---- tree and native queue together ---- */

void mm_describe(struct vma_desc *d, const struct vma *v, uint64_t start, uint64_t end)
{
	*d = (struct vma_desc){
	    .start = start,
	    .end = end,
	    .prot = v->prot,
	    .max_prot = v->max_prot,
	    .flags = v->flags,
	    .advice = v->advice,
	    .file = v->file,
	    .shm = v->shm,
	    .file_off = vma_off(v, start),
	    .name = v->name,
	    .host_fd = -1,
	};
}

int mm_queue_map(struct platform_thread *pt, const struct vma_desc *d)
{
	bool shared = (d->flags & LINUX_MAP_SHARED) != 0 && !d->native_private;
	struct platform_mm_cmd cmd = {
	    .op = PLATFORM_MMAP,
	    .addr = d->start,
	    .len = d->end - d->start,
	    .prot = d->prot,
	    .flags = (shared ? LINUX_MAP_SHARED : LINUX_MAP_PRIVATE | LINUX_MAP_NORESERVE) |
		     (d->host_fd < 0 ? LINUX_MAP_ANONYMOUS : 0),
	    .host_fd = d->host_fd,
	    .off = d->host_fd < 0 ? 0 : d->host_off,
	};

	if (d->host_len != 0 && d->host_len < cmd.len) {
		int err;

		cmd.len = d->host_len;
		err = platform->mm_queue(pt, &cmd);
		if (err)
			return err;
		cmd.addr += d->host_len;
		cmd.len = d->end - cmd.addr;
		cmd.host_fd = d->end_fd;
		cmd.off = 0;
	}
	return platform->mm_queue(pt, &cmd);
}

/*
 * Is all of d's range what d would map there, but for the protection? So it is when a dynamic linker lays a library's segments
 * over the mapping of the whole that it began with. mprotect then does the same without a descriptor's trip to the stub.
 */
static bool only_prot_differs(struct mm *mm, const struct vma_desc *d)
{
	const struct vma *v = mm_find(mm, d->start);

	return v != NULL && v->end >= d->end && d->file != NULL && v->file == d->file && v->shm == NULL && d->shm == NULL &&
	       d->host_fd >= 0 && v->backing == d->host_fd + 1 && (d->flags & LINUX_MAP_SHARED) == 0 &&
	       vma_off(v, d->start) == d->file_off && v->advice == 0 && d->advice == 0 && v->flags == d->flags;
}

static int queue_prot(struct platform_thread *pt, const struct vma_desc *d)
{
	struct platform_mm_cmd cmd = {
	    .op = PLATFORM_MPROTECT,
	    .addr = d->start,
	    .len = d->end - d->start,
	    .prot = d->prot,
	    .host_fd = -1,
	};

	return platform->mm_queue(pt, &cmd);
}

int mm_map(struct mm *mm, struct platform_thread *pt, const struct vma_desc *d)
{
	bool same = only_prot_differs(mm, d);
	struct vma *v = vma_new(d);
	int err;

	if (v == NULL)
		return -LINUX_ENOMEM;
	err = vma_split_at(mm, d->start);
	if (!err)
		err = vma_split_at(mm, d->end);
	if (!err)
		err = same ? queue_prot(pt, d) : mm_queue_map(pt, d);
	if (err) {
		vma_free(v);
		return err;
	}
	if (d->host_fd >= 0 && d->shm == NULL && (d->flags & LINUX_MAP_SHARED) == 0 && (d->prot & LINUX_PROT_WRITE) == 0)
		v->backing = d->host_fd + 1;
	vma_remove_range(mm, d->start, d->end);
	vma_insert(mm, v);
	vma_lock_look(mm);
	return 0;
}

int mm_unmap(struct mm *mm, struct platform_thread *pt, uint64_t start, uint64_t end)
{
	struct vma *first = mm_find_next(mm, start), *last = mm_find_prev(mm, end);
	struct platform_mm_cmd cmd = {.op = PLATFORM_MUNMAP, .host_fd = -1};
	int err;

	if (first == NULL || first->start >= end)
		return 0;
	start = MAX(start, first->start);
	end = MIN(end, last->end);
	/* A hole in the middle of one mapping makes two. */
	if (first == last && first->start < start && end < first->end && !vma_count_ok(mm, 1))
		return -LINUX_ENOMEM;
	err = vma_split_at(mm, start);
	if (!err)
		err = vma_split_at(mm, end);
	if (err)
		return err;
	cmd.addr = start;
	cmd.len = end - start;
	err = platform->mm_queue(pt, &cmd);
	if (err)
		return err;
	vma_remove_range(mm, start, end);
	vma_hole_opened(mm, start, end);
	text_unmapped(mm, start, end);
	vma_lock_look(mm);
	return 0;
}

int mm_back(struct task *task, struct vma_desc *d)
{
	bool shared = (d->flags & LINUX_MAP_SHARED) != 0;
	struct map_backing backing = {.host_fd = -1};
	int err;

	d->host_fd = -1;
	d->host_len = 0;
	d->native_private = false;
	if (d->shm != NULL) {
		d->host_fd = d->shm->host_fd;
		d->host_off = d->file_off;
		d->native_private = (d->max_prot & LINUX_PROT_WRITE) == 0;
		return 0;
	}
	if (d->file == NULL)
		return 0;
	err = d->file->ops->map(task, d->file, d->file_off, d->end - d->start, d->prot, shared, &backing);
	if (err)
		return err;
	d->host_fd = backing.host_fd;
	d->host_off = backing.host_off;
	d->host_len = backing.host_len;
	d->end_fd = backing.end_fd;
	d->native_private = backing.force_private || (d->file->mode & FMODE_WRITE) == 0;
	return 0;
}

/* ---- limits ---- */

int mm_may_expand(const struct mm *mm, const struct thread_group *group, uint64_t npages, bool data)
{
	uint64_t as = group_rlimit(group, LINUX_RLIMIT_AS) / PAGE_SIZE;

	if (npages > as || mm->total_pages > as - npages)
		return -LINUX_ENOMEM;
	if (data) {
		uint64_t limit = group_rlimit(group, LINUX_RLIMIT_DATA) / PAGE_SIZE;

		if (npages > limit || mm->data_pages > limit - npages)
			return -LINUX_ENOMEM;
	}
	return 0;
}

static uint64_t mapped_pages(struct mm *mm, uint64_t start, uint64_t end)
{
	uint64_t n = 0;

	for (struct vma *v = mm_find_next(mm, start); v != NULL && v->start < end; v = mm_find_next(mm, v->end))
		n += (MIN(v->end, end) - MAX(v->start, start)) / PAGE_SIZE;
	return n;
}

/* ---- mmap ---- */

/* Checks of the file against what is asked, and what mprotect may give later. */
static int check_file(const struct task *task, struct vma_desc *d, int type, int flags)
{
	const struct file *file = d->file;
	bool noexec = file->path.mount != NULL && (file->path.mount->flags & LINUX_MS_NOEXEC) != 0;

	switch (type) {
	case LINUX_MAP_SHARED_VALIDATE:
		if (flags & ~(MMAP_LEGACY_FLAGS | LINUX_MAP_FIXED_NOREPLACE))
			return -LINUX_EOPNOTSUPP;
		/* fall through */
	case LINUX_MAP_SHARED:
		if ((d->prot & LINUX_PROT_WRITE) != 0 && (file->mode & FMODE_WRITE) == 0)
			return -LINUX_EACCES;
		if ((file->mode & FMODE_WRITE) == 0)
			d->max_prot &= ~LINUX_PROT_WRITE;
		d->flags |= LINUX_MAP_SHARED;
		break;
	case LINUX_MAP_PRIVATE:
		d->flags |= LINUX_MAP_PRIVATE;
		break;
	default:
		return -LINUX_EINVAL;
	}
	if ((file->mode & FMODE_READ) == 0)
		return -LINUX_EACCES;
	if (noexec) {
		if (d->prot & LINUX_PROT_EXEC)
			return -LINUX_EPERM;
		d->max_prot &= ~LINUX_PROT_EXEC;
	} else if ((task->personality & PERSONALITY_READ_IMPLIES_EXEC) != 0 && (d->prot & LINUX_PROT_READ) != 0) {
		d->prot |= LINUX_PROT_EXEC;
	}
	if (file->ops->map == NULL)
		return -LINUX_ENODEV;
	return (flags & LINUX_MAP_GROWSDOWN) ? -LINUX_EINVAL : 0;
}

static int check_anon(const struct task *task, struct vma_desc *d, int type, int flags)
{
	if ((task->personality & PERSONALITY_READ_IMPLIES_EXEC) != 0 && (d->prot & LINUX_PROT_READ) != 0)
		d->prot |= LINUX_PROT_EXEC;
	d->file_off = 0;
	switch (type) {
	case LINUX_MAP_SHARED:
		if (flags & LINUX_MAP_GROWSDOWN)
			return -LINUX_EINVAL;
		d->flags |= LINUX_MAP_SHARED;
		return 0;
	case LINUX_MAP_PRIVATE:
		d->flags |= LINUX_MAP_PRIVATE | (flags & LINUX_MAP_GROWSDOWN);
		return 0;
	default:
		return -LINUX_EINVAL;
	}
}

/* Code, or a file whose segments the dynamic linker is going to map over this. */
static bool may_hold_text(const struct vma_desc *d, int flags)
{
	return gate_on && d->file != NULL && (d->flags & LINUX_MAP_SHARED) == 0 &&
	       ((d->prot & LINUX_PROT_EXEC) != 0 || (flags & LINUX_MAP_DENYWRITE) != 0);
}

/* Where it goes: fills d->start and end. */
static int choose_address(struct mm *mm, struct vma_desc *d, uint64_t addr, uint64_t len, int flags)
{
	if (len > GUEST_END - GUEST_MIN)
		return -LINUX_ENOMEM;
	if (flags & (LINUX_MAP_FIXED | LINUX_MAP_FIXED_NOREPLACE)) {
		if (addr > GUEST_END - len)
			return -LINUX_ENOMEM;
		if (addr & ~PAGE_MASK)
			return -LINUX_EINVAL;
		if (addr < GUEST_MIN)
			return -LINUX_EPERM; /* vm.mmap_min_addr */
		if ((flags & LINUX_MAP_FIXED_NOREPLACE) != 0 && vma_range_used(mm, addr, addr + len))
			return -LINUX_EEXIST;
	} else {
		/* A hint; Linux rounds it down and, for small ones, up to the lowest address. */
		addr = PAGE_DOWN(addr);
		if (addr != 0 && addr < GUEST_MIN)
			addr = GUEST_MIN;
		addr = addr == 0 && may_hold_text(d, flags) ? text_find_free(mm, len, flags) :
							      mm_find_free(mm, addr, len, flags);
		if (addr == 0)
			return -LINUX_ENOMEM;
	}
	d->start = addr;
	d->end = addr + len;
	return 0;
}

/* The part that changes the address space; d is complete but for its address. Nothing sleeps here. */
static int64_t place(struct task *task, struct vma_desc *d, uint64_t addr, uint64_t len, int flags)
{
	struct mm *mm = task->mm;
	bool lock = (flags & LINUX_MAP_LOCKED) != 0 || mm->lock_future;
	bool data = (d->prot & LINUX_PROT_WRITE) != 0 && (d->flags & (LINUX_MAP_SHARED | LINUX_MAP_GROWSDOWN)) == 0;
	int err;

	err = choose_address(mm, d, addr, len, flags);
	if (err)
		return err;
	if (lock) {
		err = mm_lock_check(task, len / PAGE_SIZE, (flags & LINUX_MAP_LOCKED) != 0);
		if (err)
			return err;
		d->flags |= LINUX_MAP_LOCKED;
	}
	err = mm_may_expand(mm, task->group, len / PAGE_SIZE - mapped_pages(mm, d->start, d->end), data);
	if (err)
		return err;
	if (d->host_fd >= 0) {
		err = mm_inflight_add(task, 0, 0, d->file, d->shm);
		if (err)
			return err;
	}
	if (gate_on) {
		if ((flags & (LINUX_MAP_FIXED | LINUX_MAP_FIXED_NOREPLACE)) == 0 && may_hold_text(d, flags))
			text_reserve(mm, d->start, d->end, d->start, d->end);
		text_adopt(mm, task->pt, d, task);
	}
	err = mm_map(mm, task->pt, d);
	if (err) {
		text_adopt_failed(mm, d);
		return err;
	}
	return (int64_t)d->start;
}

int64_t mm_mmap(struct task *task, uint64_t addr, uint64_t len, int prot, int flags, struct file *file, uint64_t off)
{
	struct vma_desc d = {
	    .prot = prot & (LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC),
	    .max_prot = LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC,
	    .flags = flags & LINUX_MAP_NORESERVE,
	    .file = file,
	    .file_off = off,
	    .host_fd = -1,
	};
	struct shared_mem *shm = NULL;
	int type = flags & LINUX_MAP_TYPE;
	int64_t ret;

	if (len == 0)
		return -LINUX_EINVAL;
	len = PAGE_ALIGN(len);
	if (len == 0)
		return -LINUX_ENOMEM;
	if (off + len < off)
		return -LINUX_EOVERFLOW;
	if (!vma_count_ok(task->mm, 1))
		return -LINUX_ENOMEM;
	/* What Linux finds while choosing the address comes before what it finds about the file. */
	if (len > GUEST_END - GUEST_MIN)
		return -LINUX_ENOMEM;
	if (flags & (LINUX_MAP_FIXED | LINUX_MAP_FIXED_NOREPLACE)) {
		if (addr > GUEST_END - len)
			return -LINUX_ENOMEM;
		if (addr & ~PAGE_MASK)
			return -LINUX_EINVAL;
	}
	ret = file != NULL ? check_file(task, &d, type, flags) : check_anon(task, &d, type, flags);
	if (ret)
		return ret;
	if (file != NULL) {
		d.start = 0;
		d.end = len; /* for the length only */
		ret = mm_back(task, &d);
		if (ret)
			return ret;
	}
	mm_stack_touch(task);
	if ((d.flags & LINUX_MAP_SHARED) != 0 && d.host_fd < 0) {
		/* Anonymous, or /dev/zero: memory of its own, which only this mapping and its copies show. */
		ret = shared_mem_new(len, "/dev/zero (deleted)", &shm);
		if (ret)
			return ret;
		d.file = NULL;
		d.shm = shm;
		d.file_off = 0;
		d.native_private = false;
		d.host_fd = shm->host_fd;
		d.host_off = 0;
	}
	/* Nothing sleeps between the last look and place(). */
	ret = (flags & LINUX_MAP_FIXED) || ((flags & LINUX_MAP_FIXED_NOREPLACE) && !vma_range_used(task->mm, addr, addr + len)) ?
		      text_claim(task, addr, addr + len) :
		      0;
	if (ret == 0)
		ret = place(task, &d, addr, len, flags);
	if (shm != NULL)
		shared_mem_put(shm);
	return ret;
}

int mm_munmap(struct task *task, uint64_t addr, uint64_t len)
{
	int err;

	if ((addr & ~PAGE_MASK) != 0 || addr > GUEST_END || len > GUEST_END - addr)
		return -LINUX_EINVAL;
	len = PAGE_ALIGN(len);
	if (len == 0)
		return -LINUX_EINVAL;
	mm_stack_touch(task);
	if (!vma_range_used(task->mm, addr, addr + len))
		return 0;
	err = text_claim(task, addr, addr + len);
	if (!err)
		err = mm_inflight_add(task, addr, addr + len, NULL, NULL);
	if (err)
		return err;
	return mm_unmap(task->mm, task->pt, addr, addr + len);
}

bool mm_shared_key(struct mm *mm, uint64_t addr, uint64_t *object, uint64_t *offset)
{
	const struct vma *v = mm_find(mm, addr);

	if (v == NULL || (v->flags & LINUX_MAP_SHARED) == 0)
		return false;
	*object = v->shm != NULL ? v->shm->id : (uint64_t)(uintptr_t)v->file->inode;
	*offset = vma_off(v, addr);
	return true;
}

bool mm_fault_grow(struct task *task, uint64_t addr)
{
	struct mm *mm = task->mm;
	struct vma *v = mm_find_next(mm, addr), *prev;
	uint64_t start = PAGE_DOWN(addr);
	struct vma_desc d;

	if (v == NULL || v->start <= addr || (v->flags & LINUX_MAP_GROWSDOWN) == 0 || v->name == vma_name_stack ||
	    start < GUEST_MIN)
		return false;
	if (v->end - start > group_rlimit(task->group, LINUX_RLIMIT_STACK))
		return false;
	if (mm->text != NULL) {
		if (text_claim(task, start, v->start) != 0)
			return false;
		v = mm_find_next(mm, addr); /* it may have slept */
		if (v == NULL || v->start <= start || (v->flags & LINUX_MAP_GROWSDOWN) == 0)
			return false;
	}
	prev = mm_find_prev(mm, v->start);
	if (prev != NULL && prev->prot != LINUX_PROT_NONE && start - prev->end < STACK_GUARD_GAP)
		return false;
	if (prev != NULL && start < prev->end)
		return false;
	if (mm_may_expand(mm, task->group, (v->start - start) / PAGE_SIZE, false) != 0)
		return false;
	mm_describe(&d, v, start, v->start);
	return mm_map(mm, task->pt, &d) == 0;
}
