/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: link(2), symlink(2), unlink(2), rename(2), mknod(2) and their *at forms. The logic: sentry/vfs/modify.c.
 */
#include "syscalls/define.h"

#include "sentry/abi/capability.h"
#include "sentry/base/alloc.h"
#include "sentry/vfs/modify.h"

#include <string.h>

/* Two path arguments at once; both are NULL on failure. */
static int copy_two_paths(struct task *task, gva_t ga, gva_t gb, char **a, char **b)
{
	int err;

	err = copy_path_from_guest(task, ga, a);
	if (err)
		return err;
	err = copy_path_from_guest(task, gb, b);
	if (err)
		kfree(*a);
	return err;
}

/* The path of an empty name: the descriptor itself. */
static int path_of_fd(struct task *task, int fd, struct path *out)
{
	struct file *file = fd_get_path(task, fd);
	int err = 0;

	if (file == NULL)
		return -LINUX_EBADF;
	if (file->path.dentry == NULL) {
		err = -LINUX_EXDEV; /* no name, no filesystem to link in */
	} else {
		*out = file->path;
		path_get(out);
	}
	file_put(file);
	return err;
}

static int64_t link_at(struct task *task, int olddir, gva_t goldname, int newdir, gva_t gnewname, uint32_t flags)
{
	char *oldname, *newname;
	struct path old;
	int err;

	if (flags & ~(LINUX_AT_SYMLINK_FOLLOW | LINUX_AT_EMPTY_PATH))
		return -LINUX_EINVAL;
	if ((flags & LINUX_AT_EMPTY_PATH) && !task_capable(task, LINUX_CAP_DAC_READ_SEARCH))
		return -LINUX_ENOENT;
	err = copy_two_paths(task, goldname, gnewname, &oldname, &newname);
	if (err)
		return err;
	if (oldname[0] == '\0' && (flags & LINUX_AT_EMPTY_PATH) && olddir >= 0)
		err = path_of_fd(task, olddir, &old);
	else
		err = vfs_lookup(task, olddir, oldname, flags & LINUX_AT_SYMLINK_FOLLOW ? LOOKUP_FOLLOW : 0, &old);
	if (err == 0) {
		err = vfs_link(task, &old, newdir, newname);
		path_put(&old);
	}
	kfree(oldname);
	kfree(newname);
	return err;
}

SYSCALL_DEFINE2(link, gva_t, oldname, gva_t, newname)
{
	return link_at(task, LINUX_AT_FDCWD, oldname, LINUX_AT_FDCWD, newname, 0);
}

SYSCALL_DEFINE5(linkat, int, olddir, gva_t, oldname, int, newdir, gva_t, newname, uint32_t, flags)
{
	return link_at(task, olddir, oldname, newdir, newname, flags);
}

static int64_t symlink_at(struct task *task, gva_t gtarget, int dirfd, gva_t gname)
{
	char *target, *name;
	int err;

	err = copy_two_paths(task, gtarget, gname, &target, &name);
	if (err)
		return err;
	err = vfs_symlink(task, target, dirfd, name);
	kfree(target);
	kfree(name);
	return err;
}

SYSCALL_DEFINE2(symlink, gva_t, target, gva_t, name)
{
	return symlink_at(task, target, LINUX_AT_FDCWD, name);
}

SYSCALL_DEFINE3(symlinkat, gva_t, target, int, dirfd, gva_t, name)
{
	return symlink_at(task, target, dirfd, name);
}

static int64_t unlink_at(struct task *task, int dirfd, gva_t gname, bool dir)
{
	char *name;
	int err;

	err = copy_path_from_guest(task, gname, &name);
	if (err)
		return err;
	err = dir ? vfs_rmdir(task, dirfd, name) : vfs_unlink(task, dirfd, name);
	kfree(name);
	return err;
}

SYSCALL_DEFINE1(unlink, gva_t, name)
{
	return unlink_at(task, LINUX_AT_FDCWD, name, false);
}

SYSCALL_DEFINE3(unlinkat, int, dirfd, gva_t, name, uint32_t, flags)
{
	if (flags & ~LINUX_AT_REMOVEDIR)
		return -LINUX_EINVAL;
	return unlink_at(task, dirfd, name, (flags & LINUX_AT_REMOVEDIR) != 0);
}

static int64_t rename_at(struct task *task, int olddir, gva_t goldname, int newdir, gva_t gnewname, uint32_t flags)
{
	char *oldname, *newname;
	int err;

	if (flags & ~(LINUX_RENAME_NOREPLACE | LINUX_RENAME_EXCHANGE | LINUX_RENAME_WHITEOUT))
		return -LINUX_EINVAL;
	if ((flags & LINUX_RENAME_EXCHANGE) && (flags & (LINUX_RENAME_NOREPLACE | LINUX_RENAME_WHITEOUT)))
		return -LINUX_EINVAL;
	err = copy_two_paths(task, goldname, gnewname, &oldname, &newname);
	if (err)
		return err;
	err = vfs_rename(task, olddir, oldname, newdir, newname, flags);
	kfree(oldname);
	kfree(newname);
	return err;
}

SYSCALL_DEFINE2(rename, gva_t, oldname, gva_t, newname)
{
	return rename_at(task, LINUX_AT_FDCWD, oldname, LINUX_AT_FDCWD, newname, 0);
}

SYSCALL_DEFINE4(renameat, int, olddir, gva_t, oldname, int, newdir, gva_t, newname)
{
	return rename_at(task, olddir, oldname, newdir, newname, 0);
}

SYSCALL_DEFINE5(renameat2, int, olddir, gva_t, oldname, int, newdir, gva_t, newname, uint32_t, flags)
{
	return rename_at(task, olddir, oldname, newdir, newname, flags);
}

static int64_t mknod_at(struct task *task, int dirfd, gva_t gname, uint32_t mode, uint32_t dev)
{
	char *name;
	int err;

	err = copy_path_from_guest(task, gname, &name);
	if (err)
		return err;
	err = vfs_mknod(task, dirfd, name, mode & 0177777, dev);
	kfree(name);
	return err;
}

SYSCALL_DEFINE3(mknod, gva_t, name, uint32_t, mode, uint32_t, dev)
{
	return mknod_at(task, LINUX_AT_FDCWD, name, mode, dev);
}

SYSCALL_DEFINE4(mknodat, int, dirfd, gva_t, name, uint32_t, mode, uint32_t, dev)
{
	return mknod_at(task, dirfd, name, mode, dev);
}
