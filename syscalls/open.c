/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open(2), openat(2), openat2(2), creat(2), close(2), close_range(2). Walking and opening: sentry/vfs/namei.c.
 *
 * open and openat ignore flags they don't know, as Linux does; openat2 refuses them.
 */
#include "syscalls/define.h"

#include "sentry/vfs/vfs.h"

#include "sentry/base/alloc.h"

#define O_PATH_FLAGS (LINUX_O_DIRECTORY | LINUX_O_NOFOLLOW | LINUX_O_PATH | LINUX_O_CLOEXEC)
#define VALID_FLAGS                                                                                                    \
	(LINUX_O_ACCMODE | LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_NOCTTY | LINUX_O_TRUNC | LINUX_O_APPEND |            \
	 LINUX_O_NONBLOCK | LINUX_O_SYNC | LINUX_FASYNC | LINUX_O_DIRECT | LINUX_O_LARGEFILE | LINUX_O_DIRECTORY |     \
	 LINUX_O_NOFOLLOW | LINUX_O_NOATIME | LINUX_O_CLOEXEC | LINUX_O_PATH | LINUX_O_TMPFILE)
#define TMPFILE_BIT (LINUX_O_TMPFILE & ~LINUX_O_DIRECTORY)

/* The checks both kinds of open share, as build_open_flags in Linux. */
static int check_flags(uint64_t flags)
{
	if ((flags & (LINUX_O_DIRECTORY | LINUX_O_CREAT)) == (LINUX_O_DIRECTORY | LINUX_O_CREAT))
		return -LINUX_EINVAL;
	if (flags & TMPFILE_BIT) {
		if (!(flags & LINUX_O_DIRECTORY))
			return -LINUX_EINVAL;
		if ((flags & LINUX_O_ACCMODE) == LINUX_O_RDONLY)
			return -LINUX_EINVAL;
	}
	return 0;
}

static int64_t open_at(struct task *task, int dirfd, gva_t path, uint32_t flags, uint32_t mode, unsigned lookup)
{
	struct file *file;
	char *name;
	int err;

	err = copy_path_from_guest(task, path, &name);
	if (err)
		return err;
	err = vfs_open(task, dirfd, name, flags & ~LINUX_O_CLOEXEC, mode, lookup, &file);
	kfree(name);
	if (err)
		return err;
	return fd_install(task, file, 0, (flags & LINUX_O_CLOEXEC) != 0);
}

/* As open(2): unknown flags are dropped, and a mode without a creating flag is too. */
static int64_t open_lenient(struct task *task, int dirfd, gva_t path, uint32_t flags, uint32_t mode)
{
	int err;

	flags &= VALID_FLAGS;
	if (flags & LINUX_O_PATH)
		flags &= O_PATH_FLAGS;
	else
		flags |= LINUX_O_LARGEFILE;
	mode = flags & (LINUX_O_CREAT | TMPFILE_BIT) ? mode & 07777 : 0;
	err = check_flags(flags);
	if (err)
		return err;
	return open_at(task, dirfd, path, flags, mode, 0);
}

SYSCALL_DEFINE3(open, gva_t, path, uint32_t, flags, uint32_t, mode)
{
	return open_lenient(task, LINUX_AT_FDCWD, path, flags, mode);
}

SYSCALL_DEFINE4(openat, int, dirfd, gva_t, path, uint32_t, flags, uint32_t, mode)
{
	return open_lenient(task, dirfd, path, flags, mode);
}

SYSCALL_DEFINE2(creat, gva_t, path, uint32_t, mode)
{
	return open_lenient(task, LINUX_AT_FDCWD, path, LINUX_O_CREAT | LINUX_O_WRONLY | LINUX_O_TRUNC, mode);
}

SYSCALL_DEFINE4(openat2, int, dirfd, gva_t, path, gva_t, ghow, uint64_t, size)
{
	static const struct {
		uint64_t resolve;
		unsigned lookup;
	} bits[] = {
		{LINUX_RESOLVE_NO_XDEV, LOOKUP_NO_XDEV},
		{LINUX_RESOLVE_NO_MAGICLINKS, LOOKUP_NO_MAGICLINKS},
		{LINUX_RESOLVE_NO_SYMLINKS, LOOKUP_NO_SYMLINKS | LOOKUP_NO_MAGICLINKS},
		{LINUX_RESOLVE_BENEATH, LOOKUP_BENEATH},
		{LINUX_RESOLVE_IN_ROOT, LOOKUP_IN_ROOT},
		{LINUX_RESOLVE_CACHED, 0},
	};
	struct linux_open_how how;
	unsigned lookup = 0;
	int err;

	if (size < sizeof(how))
		return -LINUX_EINVAL;
	if (size > PAGE_SIZE)
		return -LINUX_E2BIG;
	err = copy_struct_from_guest(task, &how, sizeof(how), ghow, size);
	if (err)
		return err;
	if (how.flags & ~(uint64_t)VALID_FLAGS)
		return -LINUX_EINVAL;
	for (unsigned i = 0; i < ARRAY_LEN(bits); i++)
		if (how.resolve & bits[i].resolve) {
			lookup |= bits[i].lookup;
			how.resolve &= ~bits[i].resolve;
		}
	if (how.resolve != 0 || (lookup & (LOOKUP_BENEATH | LOOKUP_IN_ROOT)) == (LOOKUP_BENEATH | LOOKUP_IN_ROOT))
		return -LINUX_EINVAL;
	if (how.mode & ~(how.flags & (LINUX_O_CREAT | TMPFILE_BIT) ? 07777ULL : 0ULL))
		return -LINUX_EINVAL;
	if ((how.flags & LINUX_O_PATH) && (how.flags & ~(uint64_t)O_PATH_FLAGS))
		return -LINUX_EINVAL;
	err = check_flags(how.flags);
	if (err)
		return err;
	if (!(how.flags & LINUX_O_PATH))
		how.flags |= LINUX_O_LARGEFILE;
	return open_at(task, dirfd, path, (uint32_t)how.flags, (uint32_t)how.mode, lookup);
}

SYSCALL_DEFINE1(close, int, fd)
{
	int err = fd_close(task, fd);

	/* The descriptor is gone either way: a restart would close another one. */
	return err <= -LINUX_ERESTARTSYS ? -LINUX_EINTR : err;
}

#define CLOSE_RANGE_UNSHARE 2U
#define CLOSE_RANGE_CLOEXEC 4U

SYSCALL_DEFINE3(close_range, uint32_t, first, uint32_t, last, uint32_t, flags)
{
	if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
		return -LINUX_EINVAL;
	if (first > last)
		return -LINUX_EINVAL;
	if (flags & CLOSE_RANGE_UNSHARE) {
		struct files *own = files_dup(task->files), *old = task->files;

		if (own == NULL)
			return -LINUX_ENOMEM;
		task->files = own;
		files_put(task, old);
	}
	if (first > INT32_MAX)
		return 0;
	last = MIN(last, (uint32_t)INT32_MAX);
	for (int fd = files_next(task->files, (int)first); fd >= 0 && (uint32_t)fd <= last;
	     fd = fd == INT32_MAX ? -1 : files_next(task->files, fd + 1)) {
		if (flags & CLOSE_RANGE_CLOEXEC)
			fd_set_cloexec(task, fd, true);
		else
			fd_close(task, fd);
	}
	return 0;
}
