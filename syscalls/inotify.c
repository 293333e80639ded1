/* SPDX-License-Identifier: Apache-2.0 */
/* inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2). Marks and events: sentry/vfs/inotify.c. */
#include "syscalls/define.h"

#include "sentry/base/alloc.h"
#include "sentry/vfs/inotify.h"

SYSCALL_DEFINE1(inotify_init1, int, flags)
{
	if ((uint32_t)flags & ~(LINUX_O_CLOEXEC | LINUX_O_NONBLOCK))
		return -LINUX_EINVAL;
	return inotify_open(task, flags);
}

SYSCALL_DEFINE0(inotify_init)
{
	return inotify_open(task, 0);
}

#define WATCH_BITS                                                                                                     \
	(LINUX_IN_ALL_EVENTS | LINUX_IN_UNMOUNT | LINUX_IN_Q_OVERFLOW | LINUX_IN_IGNORED | LINUX_IN_ONLYDIR |          \
	 LINUX_IN_DONT_FOLLOW | LINUX_IN_EXCL_UNLINK | LINUX_IN_MASK_ADD | LINUX_IN_MASK_CREATE | LINUX_IN_ISDIR |     \
	 LINUX_IN_ONESHOT)

static int64_t add_watch(struct task *task, struct file *file, gva_t gname, uint32_t mask)
{
	unsigned lookup = mask & LINUX_IN_DONT_FOLLOW ? 0 : LOOKUP_FOLLOW;
	struct path path;
	char *name;
	int ret;

	ret = copy_path_from_guest(task, gname, &name);
	if (ret)
		return ret;
	if (mask & LINUX_IN_ONLYDIR)
		lookup |= LOOKUP_DIRECTORY;
	ret = vfs_lookup(task, LINUX_AT_FDCWD, name, lookup, &path);
	kfree(name);
	if (ret)
		return ret;
	ret = inode_permission(task, path.dentry->inode, MAY_READ);
	if (ret == 0)
		ret = inotify_watch(task, file, path.dentry->inode, mask);
	path_put(&path);
	return ret;
}

SYSCALL_DEFINE3(inotify_add_watch, int, fd, gva_t, name, uint32_t, mask)
{
	struct file *file;
	int64_t ret;

	if (!(mask & WATCH_BITS))
		return -LINUX_EINVAL;
	file = fd_get(task, fd);
	if (file == NULL)
		return -LINUX_EBADF;
	if ((mask & LINUX_IN_MASK_ADD) && (mask & LINUX_IN_MASK_CREATE))
		ret = -LINUX_EINVAL;
	else if (!file_is_inotify(file))
		ret = -LINUX_EINVAL;
	else
		ret = add_watch(task, file, name, mask);
	file_put(file);
	return ret;
}

SYSCALL_DEFINE2(inotify_rm_watch, int, fd, int, wd)
{
	struct file *file = fd_get(task, fd);
	int64_t ret;

	if (file == NULL)
		return -LINUX_EBADF;
	ret = inotify_unwatch(task, file, wd);
	file_put(file);
	return ret;
}
