/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes, xattr(7): get, set, list, remove, each by path, by link, by descriptor, and the *at forms of
 * Linux 6.13. Namespaces and permission: vfs_getxattr and its neighbours.
 *
 * Values and lists are at most 64 KiB, held in the sentry for the length of the call.
 */
#include "syscalls/define.h"

#include "sentry/base/alloc.h"
#include "sentry/vfs/vfs.h"

#include <string.h>

struct target {
	struct file *file;
	struct path path; /* references if file is NULL, else borrowed; dentry NULL: a file without a name */
};

static void target_put(struct target *t)
{
	if (t->file != NULL)
		file_put(t->file);
	else
		path_put(&t->path);
}

static int target_by_path(struct task *task, int dirfd, gva_t gname, unsigned lookup, struct target *t)
{
	char *name;
	int err;

	t->file = NULL;
	err = copy_path_from_guest(task, gname, &name);
	if (err)
		return err;
	err = vfs_lookup(task, dirfd, name, lookup, &t->path);
	kfree(name);
	return err;
}

static int target_by_fd(struct task *task, int fd, struct target *t)
{
	t->file = fd_get(task, fd);
	if (t->file == NULL)
		return -LINUX_EBADF;
	t->path = t->file->path;
	return 0;
}

static int copy_name(struct task *task, gva_t gname, char name[LINUX_XATTR_NAME_MAX + 1])
{
	int64_t len = copy_string_from_guest(task, name, gname, LINUX_XATTR_NAME_MAX + 1);

	if (len == 0 || len == -LINUX_ENAMETOOLONG)
		return -LINUX_ERANGE;
	return len < 0 ? (int)len : 0;
}

/* The four operations on what was found; each takes the target's references. */

static int64_t do_set(struct task *task, struct target *t, gva_t gname, gva_t value, uint64_t size, uint32_t flags)
{
	char name[LINUX_XATTR_NAME_MAX + 1];
	void *data = NULL;
	int64_t ret;

	if (flags & ~(LINUX_XATTR_CREATE | LINUX_XATTR_REPLACE))
		ret = -LINUX_EINVAL;
	else
		ret = copy_name(task, gname, name);
	if (ret == 0 && size > LINUX_XATTR_SIZE_MAX)
		ret = -LINUX_E2BIG;
	if (ret == 0 && size != 0) {
		data = kmalloc(size);
		ret = data == NULL ? -LINUX_ENOMEM : copy_from_guest(task, data, value, size);
	}
	if (ret == 0)
		ret = t->path.dentry == NULL ? -LINUX_EOPNOTSUPP
					     : vfs_setxattr(task, &t->path, name, data, size, (int)flags);
	kfree(data);
	target_put(t);
	return ret;
}

static int64_t do_get(struct task *task, struct target *t, gva_t gname, gva_t value, uint64_t size)
{
	char name[LINUX_XATTR_NAME_MAX + 1];
	void *data = NULL;
	int64_t ret = copy_name(task, gname, name);

	size = MIN(size, (uint64_t)LINUX_XATTR_SIZE_MAX);
	if (ret == 0 && size != 0) {
		data = kmalloc(size);
		if (data == NULL)
			ret = -LINUX_ENOMEM;
	}
	if (ret == 0)
		ret = t->path.dentry == NULL ? -LINUX_EOPNOTSUPP : vfs_getxattr(task, &t->path, name, data, size);
	if (ret > 0 && size != 0) {
		int err = copy_to_guest(task, value, data, (size_t)ret);

		if (err)
			ret = err;
	}
	kfree(data);
	target_put(t);
	return ret;
}

static int64_t do_list(struct task *task, struct target *t, gva_t list, uint64_t size)
{
	char *data = NULL;
	int64_t ret = 0;

	size = MIN(size, (uint64_t)LINUX_XATTR_LIST_MAX);
	if (size != 0) {
		data = kmalloc(size);
		if (data == NULL)
			ret = -LINUX_ENOMEM;
	}
	if (ret == 0 && t->path.dentry != NULL)
		ret = vfs_listxattr(task, &t->path, data, size);
	if (ret > 0 && size != 0) {
		int err = copy_to_guest(task, list, data, (size_t)ret);

		if (err)
			ret = err;
	}
	kfree(data);
	target_put(t);
	return ret;
}

static int64_t do_remove(struct task *task, struct target *t, gva_t gname)
{
	char name[LINUX_XATTR_NAME_MAX + 1];
	int64_t ret = copy_name(task, gname, name);

	if (ret == 0)
		ret = t->path.dentry == NULL ? -LINUX_EOPNOTSUPP : vfs_removexattr(task, &t->path, name);
	target_put(t);
	return ret;
}

SYSCALL_DEFINE5(setxattr, gva_t, path, gva_t, name, gva_t, value, uint64_t, size, uint32_t, flags)
{
	struct target t;
	int err = target_by_path(task, LINUX_AT_FDCWD, path, LOOKUP_FOLLOW, &t);

	return err ? err : do_set(task, &t, name, value, size, flags);
}

SYSCALL_DEFINE5(lsetxattr, gva_t, path, gva_t, name, gva_t, value, uint64_t, size, uint32_t, flags)
{
	struct target t;
	int err = target_by_path(task, LINUX_AT_FDCWD, path, 0, &t);

	return err ? err : do_set(task, &t, name, value, size, flags);
}

SYSCALL_DEFINE5(fsetxattr, int, fd, gva_t, name, gva_t, value, uint64_t, size, uint32_t, flags)
{
	struct target t;
	int err = target_by_fd(task, fd, &t);

	return err ? err : do_set(task, &t, name, value, size, flags);
}

SYSCALL_DEFINE4(getxattr, gva_t, path, gva_t, name, gva_t, value, uint64_t, size)
{
	struct target t;
	int err = target_by_path(task, LINUX_AT_FDCWD, path, LOOKUP_FOLLOW, &t);

	return err ? err : do_get(task, &t, name, value, size);
}

SYSCALL_DEFINE4(lgetxattr, gva_t, path, gva_t, name, gva_t, value, uint64_t, size)
{
	struct target t;
	int err = target_by_path(task, LINUX_AT_FDCWD, path, 0, &t);

	return err ? err : do_get(task, &t, name, value, size);
}

SYSCALL_DEFINE4(fgetxattr, int, fd, gva_t, name, gva_t, value, uint64_t, size)
{
	struct target t;
	int err = target_by_fd(task, fd, &t);

	return err ? err : do_get(task, &t, name, value, size);
}

SYSCALL_DEFINE3(listxattr, gva_t, path, gva_t, list, uint64_t, size)
{
	struct target t;
	int err = target_by_path(task, LINUX_AT_FDCWD, path, LOOKUP_FOLLOW, &t);

	return err ? err : do_list(task, &t, list, size);
}

SYSCALL_DEFINE3(llistxattr, gva_t, path, gva_t, list, uint64_t, size)
{
	struct target t;
	int err = target_by_path(task, LINUX_AT_FDCWD, path, 0, &t);

	return err ? err : do_list(task, &t, list, size);
}

SYSCALL_DEFINE3(flistxattr, int, fd, gva_t, list, uint64_t, size)
{
	struct target t;
	int err = target_by_fd(task, fd, &t);

	return err ? err : do_list(task, &t, list, size);
}

SYSCALL_DEFINE2(removexattr, gva_t, path, gva_t, name)
{
	struct target t;
	int err = target_by_path(task, LINUX_AT_FDCWD, path, LOOKUP_FOLLOW, &t);

	return err ? err : do_remove(task, &t, name);
}

SYSCALL_DEFINE2(lremovexattr, gva_t, path, gva_t, name)
{
	struct target t;
	int err = target_by_path(task, LINUX_AT_FDCWD, path, 0, &t);

	return err ? err : do_remove(task, &t, name);
}

SYSCALL_DEFINE2(fremovexattr, int, fd, gva_t, name)
{
	struct target t;
	int err = target_by_fd(task, fd, &t);

	return err ? err : do_remove(task, &t, name);
}

/* ---- the *at forms ---- */

struct xattr_args {
	uint64_t value;
	uint32_t size, flags;
};

static int target_at(struct task *task, int dirfd, gva_t gname, uint32_t flags, struct target *t)
{
	unsigned lookup = (flags & LINUX_AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) |
			  (flags & LINUX_AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
	char first;

	if (flags & ~(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
		return -LINUX_EINVAL;
	if ((flags & LINUX_AT_EMPTY_PATH) && dirfd >= 0 &&
	    (gname.v == 0 || (copy_from_guest(task, &first, gname, 1) == 0 && first == '\0')))
		return target_by_fd(task, dirfd, t);
	return target_by_path(task, dirfd, gname, lookup, t);
}

static int copy_args(struct task *task, gva_t gargs, uint64_t size, struct xattr_args *args)
{
	if (size < sizeof(*args))
		return -LINUX_EINVAL;
	if (size > PAGE_SIZE)
		return -LINUX_E2BIG;
	return copy_struct_from_guest(task, args, sizeof(*args), gargs, size);
}

SYSCALL_DEFINE6(setxattrat, int, dirfd, gva_t, path, uint32_t, at_flags, gva_t, name, gva_t, gargs, uint64_t, usize)
{
	struct xattr_args args;
	struct target t;
	int err = copy_args(task, gargs, usize, &args);

	if (err == 0)
		err = target_at(task, dirfd, path, at_flags, &t);
	return err ? err : do_set(task, &t, name, GVA(args.value), args.size, args.flags);
}

SYSCALL_DEFINE6(getxattrat, int, dirfd, gva_t, path, uint32_t, at_flags, gva_t, name, gva_t, gargs, uint64_t, usize)
{
	struct xattr_args args;
	struct target t;
	int err = copy_args(task, gargs, usize, &args);

	if (err == 0 && args.flags != 0)
		err = -LINUX_EINVAL;
	if (err == 0)
		err = target_at(task, dirfd, path, at_flags, &t);
	return err ? err : do_get(task, &t, name, GVA(args.value), args.size);
}

SYSCALL_DEFINE5(listxattrat, int, dirfd, gva_t, path, uint32_t, at_flags, gva_t, list, uint64_t, size)
{
	struct target t;
	int err = target_at(task, dirfd, path, at_flags, &t);

	return err ? err : do_list(task, &t, list, size);
}

SYSCALL_DEFINE4(removexattrat, int, dirfd, gva_t, path, uint32_t, at_flags, gva_t, name)
{
	struct target t;
	int err = target_at(task, dirfd, path, at_flags, &t);

	return err ? err : do_remove(task, &t, name);
}
