// SPDX-License-Identifier: Apache-2.0
/* Memory calls. What they do is in sentry/mm; here arguments are fetched and the simplest checks made. */
#include "sentry/abi/capability.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"
#include "syscalls/define.h"

#define PKEY_DISABLE_ACCESS 1U
#define PKEY_DISABLE_WRITE 2U

SYSCALL_DEFINE6(mmap, uint64_t, addr, uint64_t, len, int, prot, int, flags, int, fd, uint64_t, off)
{
	struct file *file = NULL;
	int64_t ret;

	if (off & ~PAGE_MASK)
		return -LINUX_EINVAL;
	if ((flags & LINUX_MAP_ANONYMOUS) == 0) {
		file = fd_get(task, fd);
		if (file == NULL)
			return -LINUX_EBADF;
	}
	if (flags & LINUX_MAP_HUGETLB)
		ret = file != NULL ? -LINUX_EINVAL : -LINUX_ENOMEM; /* no huge pages are set aside */
	else
		ret = mm_mmap(task, addr, len, prot, flags, file, off);
	if (file != NULL)
		file_put(file);
	return ret;
}

SYSCALL_DEFINE2(munmap, uint64_t, addr, uint64_t, len)
{
	return mm_munmap(task, addr, len);
}

SYSCALL_DEFINE1(brk, uint64_t, addr)
{
	return mm_brk(task, addr);
}

SYSCALL_DEFINE3(mprotect, uint64_t, addr, uint64_t, len, int, prot)
{
	return mm_mprotect(task, addr, len, prot);
}

/* Protection keys: none, as on a CPU without them. */
SYSCALL_DEFINE4(pkey_mprotect, uint64_t, addr, uint64_t, len, int, prot, int, pkey)
{
	if (pkey != -1)
		return -LINUX_EINVAL;
	return mm_mprotect(task, addr, len, prot);
}

SYSCALL_DEFINE2(pkey_alloc, uint64_t, flags, uint64_t, init)
{
	if (flags != 0 || (init & ~(uint64_t)(PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE)) != 0)
		return -LINUX_EINVAL;
	return -LINUX_ENOSPC;
}

SYSCALL_DEFINE1(pkey_free, int, pkey)
{
	(void)pkey;
	return -LINUX_EINVAL;
}

SYSCALL_DEFINE5(mremap, uint64_t, addr, uint64_t, old_len, uint64_t, new_len, int, flags, uint64_t, new_addr)
{
	return mm_mremap(task, addr, old_len, new_len, flags, new_addr);
}

SYSCALL_DEFINE5(remap_file_pages, uint64_t, addr, uint64_t, size, int, prot, uint64_t, pgoff, int, flags)
{
	return mm_remap_file_pages(task, addr, size, prot, pgoff, flags);
}

SYSCALL_DEFINE3(madvise, uint64_t, addr, uint64_t, len, int, advice)
{
	return mm_madvise(task, addr, len, advice);
}

SYSCALL_DEFINE3(msync, uint64_t, addr, uint64_t, len, int, flags)
{
	return mm_msync(task, addr, len, flags);
}

SYSCALL_DEFINE3(mincore, uint64_t, addr, uint64_t, len, gva_t, vec)
{
	return mm_mincore(task, addr, len, vec);
}

SYSCALL_DEFINE2(mlock, uint64_t, addr, uint64_t, len)
{
	return mm_mlock(task, addr, len, true, false);
}

SYSCALL_DEFINE3(mlock2, uint64_t, addr, uint64_t, len, int, flags)
{
	if (flags & ~LINUX_MLOCK_ONFAULT)
		return -LINUX_EINVAL;
	return mm_mlock(task, addr, len, true, (flags & LINUX_MLOCK_ONFAULT) != 0);
}

SYSCALL_DEFINE2(munlock, uint64_t, addr, uint64_t, len)
{
	return mm_mlock(task, addr, len, false, false);
}

SYSCALL_DEFINE1(mlockall, int, flags)
{
	if (flags == 0 || (flags & ~(LINUX_MCL_CURRENT | LINUX_MCL_FUTURE | LINUX_MCL_ONFAULT)) != 0 ||
	    flags == LINUX_MCL_ONFAULT)
		return -LINUX_EINVAL;
	return mm_mlockall(task, flags);
}

SYSCALL_DEFINE0(munlockall)
{
	return mm_mlockall(task, 0);
}

/*
 * process_madvise(2): hints only (COLD, PAGEOUT, WILLNEED), which nobody acts on: what is checked is checked as in
 * Linux, and the bytes of mapped ranges are counted as advised.
 */
SYSCALL_DEFINE5(process_madvise, int, pidfd, gva_t, vec, uint64_t, vlen, int, advice, uint32_t, flags)
{
	struct thread_group *group;
	struct iobuf ranges;
	struct file *file;
	int64_t done = 0;
	int err;

	if (flags != 0)
		return -LINUX_EINVAL;
	err = iobuf_init_iovec(&ranges, task, vec, vlen);
	if (err)
		return err;
	file = fd_get(task, pidfd);
	group = file != NULL ? pidfd_group(file) : NULL;
	if (group == NULL)
		err = -LINUX_EBADF;
	else if (group->zombie || group->leader == NULL || group->leader->mm == NULL)
		err = -LINUX_ESRCH;
	else if (advice != LINUX_MADV_COLD && advice != LINUX_MADV_PAGEOUT && advice != LINUX_MADV_WILLNEED)
		err = -LINUX_EINVAL;
	else if (!task_may_inspect(task, group->leader))
		err = -LINUX_EPERM;
	else if (group != task->group && !task_capable(task, LINUX_CAP_SYS_NICE))
		err = -LINUX_EPERM;
	for (unsigned i = 0; !err && i < ranges.nvec; i++) {
		uint64_t at = ranges.vec[i].base, end = PAGE_ALIGN(at + ranges.vec[i].len);

		if ((at & ~PAGE_MASK) != 0 || end < at) {
			err = -LINUX_EINVAL;
			break;
		}
		while (at < end) {
			const struct vma *v = mm_find(group->leader->mm, at);

			if (v == NULL) {
				err = -LINUX_ENOMEM;
				break;
			}
			at = v->end;
		}
		if (!err)
			done += (int64_t)ranges.vec[i].len;
	}
	if (file != NULL)
		file_put(file);
	iobuf_done(&ranges);
	return done > 0 ? done : err;
}
