/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptions: what open(2) makes and descriptors share.
 *
 * A description holds its path (mount and dentry), its inode and its opener's credentials. Anonymous files (eventfd,
 * epoll...) have no path and share one inode; pipes and sockets bring inodes of their own. When the last reference goes,
 * whoever remembers the file is told first (epoll, locks), then the file's release op frees its private data.
 */
#include "sentry/vfs/vfs.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/event.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/text.h"
#include "sentry/vfs/epoll.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/locks.h"

#include <stdio.h>
#include <string.h>

/* O_CREAT and the like act once, at open; O_CLOEXEC belongs to the descriptor. O_NOCTTY stays until the driver's open has
 * seen it (vfs/open.c). */
#define FLAGS_NOT_KEPT (LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_TRUNC | LINUX_O_CLOEXEC | O_EXEC_INTERNAL)

static uint32_t mode_from(const struct inode *inode, uint32_t flags)
{
	uint32_t mode = 0;

	if (flags & LINUX_O_PATH)
		return FMODE_PATH;
	switch (flags & LINUX_O_ACCMODE) {
	case LINUX_O_RDONLY:
		mode = FMODE_READ;
		break;
	case LINUX_O_WRONLY:
		mode = FMODE_WRITE;
		break;
	case LINUX_O_RDWR:
		mode = FMODE_READ | FMODE_WRITE;
		break;
	default: /* 3: for ioctls only; permission to read and write was asked */
		break;
	}
	if (flags & O_EXEC_INTERNAL)
		mode |= FMODE_EXEC;
	switch (inode->mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
	case LINUX_S_IFDIR:
	case LINUX_S_IFCHR:
	case LINUX_S_IFBLK:
		mode |= FMODE_SEEK;
		break;
	case LINUX_S_IFIFO:
	case LINUX_S_IFSOCK:
		mode |= FMODE_STREAM;
		break;
	default:
		break;
	}
	return mode;
}

struct file *file_new(struct task *task, const struct path *path, struct inode *inode, const struct file_ops *ops,
		      uint32_t flags)
{
	struct file *file = kzalloc(sizeof(*file));

	if (file == NULL)
		return NULL;
	ref_init(&file->ref);
	file->ops = ops;
	if (path != NULL) {
		file->path = *path;
		path_get(&file->path);
	}
	file->inode = inode_get(inode);
	file->mode = mode_from(inode, flags);
	file->flags = flags & ~FLAGS_NOT_KEPT;
	if (file->mode & FMODE_WRITE) {
		inode->writers++;
		if (inode->text != NULL)
			text_inode_changed(inode);
	}
	if (task != NULL)
		file->cred = cred_get(task->cred);
	list_init(&file->epitems);
	return file;
}

void file_put(struct file *file)
{
	if (file == NULL || !ref_put(&file->ref))
		return;
	/* the hooks see a file that still has a reference, should they look at it as one */
	ref_init(&file->ref);
	if (!(file->mode & FMODE_PATH))
		fsnotify_file(file, (file->mode & FMODE_WRITE) ? LINUX_IN_CLOSE_WRITE : LINUX_IN_CLOSE_NOWRITE);
	if (!list_empty(&file->epitems))
		epoll_file_released(file);
	if (file->fasync != NULL)
		fasync_stop(file);
	if (inotify_nmarks != 0)
		dnotify_release(file);
	if (file->inode->locks != NULL)
		locks_release_file(file);
	if (file->ops->release != NULL)
		file->ops->release(file);
	if (file->mode & FMODE_WRITE) {
		invariant(file->inode->writers > 0);
		file->inode->writers--;
	}
	path_put(&file->path);
	inode_put(file->inode);
	if (file->cred != NULL)
		cred_put(file->cred);
	kfree(file);
}

/* ---- anonymous files ---- */

static const struct inode_ops anon_iops;
static const struct file_ops anon_fops;
static struct superblock anon_sb = {
	.fs_type = "anon_inodefs",
	.magic = LINUX_ANON_INODE_FS_MAGIC,
	.dev = LINUX_MKDEV(0, 0x0e),
	.nocache = true,
};

static struct inode *anon_inode(void)
{
	static struct inode *shared;

	if (shared == NULL)
		shared = inode_new(&anon_sb, 0, 0600, &anon_iops, &anon_fops);
	return shared;
}

struct file *file_new_anon(struct task *task, const char *name, const struct file_ops *ops, uint32_t flags,
			   void *private_data)
{
	struct inode *inode = anon_inode();
	struct file *file;

	if (inode == NULL)
		return NULL;
	file = file_new(task, NULL, inode, ops, flags);
	if (file == NULL)
		return NULL;
	file->anon_name = name;
	file->private_data = private_data;
	return file;
}

/* What stands for a path where there is none. */
static void odd_name(const struct file *file, char *buf, size_t size)
{
	uint32_t type = file->inode->mode & LINUX_S_IFMT;
	const char *kind = type == LINUX_S_IFSOCK ? "socket" : type == LINUX_S_IFIFO ? "pipe" : "anon_inode";

	if (file->anon_name != NULL)
		snprintf(buf, size, "%s", file->anon_name);
	else
		snprintf(buf, size, "%s:[%llu]", kind, (unsigned long long)file->inode->ino);
}

int vfs_file_path(struct file *file, struct path *out)
{
	char buf[80];

	if (file->path.dentry != NULL) {
		*out = file->path;
		path_get(out);
		return 0;
	}
	odd_name(file, buf, sizeof(buf));
	out->mount = NULL;
	out->dentry = dentry_new(NULL, buf, strlen(buf));
	if (out->dentry == NULL)
		return -LINUX_ENOMEM;
	out->dentry->sb = file->inode->sb;
	out->dentry->inode = inode_get(file->inode);
	return 0;
}

int vfs_file_name(struct task *task, struct file *file, char **out)
{
	char buf[80];

	if (file->path.dentry != NULL)
		return vfs_path_name(task, &file->path, true, out);
	odd_name(file, buf, sizeof(buf));
	*out = kstrdup(buf);
	return *out != NULL ? 0 : -LINUX_ENOMEM;
}
