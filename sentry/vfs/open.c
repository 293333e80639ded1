/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open(2), openat2(2), and how exec and the sentry itself open files.
 *
 *	flags --> walk (existing, to be made, or O_TMPFILE) --> what kind of file --> permission --> struct file
 *	                                                                               --> the kind's own open
 *
 * The kind's own open is the filesystem's for files and directories, the driver's for devices, the pipe's for FIFOs.
 * The order of the errors is Linux's: kind before permission, permission before O_NOATIME, ETXTBSY last.
 *
 * Left out: O_DIRECT's alignment rules (accepted, means nothing), leases, RESOLVE_CACHED.
 */
#include "sentry/vfs/vfs.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/event.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/chrdev.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/pipe.h"

#include <stdio.h>
#include <string.h>

#define O_TMPFILE_BIT 020000000U /* O_TMPFILE without its O_DIRECTORY */
#define RETRIES 8                /* a name that comes and goes between walk and create */

/* What a description has while it is an O_PATH one, or not quite open. */
static const struct file_ops path_fops;

struct open {
	struct task *task;
	uint32_t flags;
	uint32_t mode;
	int acc_mode; /* MAY_*: what is asked of an existing file */
	bool created;
};

static int access_wanted(uint32_t flags)
{
	static const int by_accmode[] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE};
	int acc = by_accmode[flags & LINUX_O_ACCMODE];

	if (flags & LINUX_O_TRUNC)
		acc |= MAY_WRITE;
	if (flags & O_EXEC_INTERNAL)
		acc = MAY_EXEC;
	return acc;
}

/* Is this kind of file one that can be opened so? open(2)'s EISDIR, ENOTDIR, ELOOP, EACCES by kind. */
static int check_kind(struct open *o, const struct path *path)
{
	struct inode *inode = path->dentry->inode;
	uint64_t mflags = path->mount != NULL ? path->mount->flags : 0;
	bool exec = o->flags & O_EXEC_INTERNAL;

	if ((o->flags & LINUX_O_DIRECTORY) && !inode_is_dir(inode))
		return -LINUX_ENOTDIR;
	switch (inode->mode & LINUX_S_IFMT) {
	case LINUX_S_IFLNK:
		return -LINUX_ELOOP;
	case LINUX_S_IFDIR:
		if (o->flags & LINUX_O_CREAT)
			return -LINUX_EISDIR;
		if (o->acc_mode & MAY_WRITE)
			return -LINUX_EISDIR;
		return exec ? -LINUX_EACCES : 0;
	case LINUX_S_IFREG:
		return exec && (mflags & LINUX_MS_NOEXEC) ? -LINUX_EACCES : 0;
	case LINUX_S_IFBLK:
	case LINUX_S_IFCHR:
		if (mflags & LINUX_MS_NODEV)
			return -LINUX_EACCES;
		/* fall through */
	default:
		o->flags &= ~LINUX_O_TRUNC;
		return exec ? -LINUX_EACCES : 0;
	}
}

static int check_access(struct open *o, const struct path *path)
{
	struct inode *inode = path->dentry->inode;
	int err;

	if (!o->created && o->acc_mode != 0) {
		err = path_permission(o->task, path, o->acc_mode);
		if (err != 0)
			return err;
	}
	if ((o->flags & LINUX_O_NOATIME) && !inode_owner_or_capable(o->task, inode))
		return -LINUX_EPERM;
	if ((inode->mode & LINUX_S_IFMT) != LINUX_S_IFREG)
		return 0;
	if (((o->acc_mode & MAY_WRITE) || (o->flags & LINUX_O_ACCMODE) == LINUX_O_WRONLY ||
	     (o->flags & LINUX_O_ACCMODE) == LINUX_O_RDWR) &&
	    inode->exec_count > 0)
		return -LINUX_ETXTBSY;
	/* A memfd's maker holds it open for writing, and does not count: so it is in Linux. */
	if ((o->flags & O_EXEC_INTERNAL) && inode->writers > 0 && !inode->busy_ok)
		return -LINUX_ETXTBSY;
	return 0;
}

/* The last part of opening, by what the inode is. */
static int open_kind(struct task *task, struct inode *inode, struct file *file)
{
	uint32_t type = inode->mode & LINUX_S_IFMT;

	if (type == LINUX_S_IFIFO)
		return fifo_open(task, inode, file);
	if (inode->ops->open != NULL) {
		if (inode->fops != NULL)
			file->ops = inode->fops;
		return inode->ops->open(task, inode, file);
	}
	if (type == LINUX_S_IFCHR)
		return chrdev_open(task, inode, file);
	if (type == LINUX_S_IFBLK || type == LINUX_S_IFSOCK)
		return -LINUX_ENXIO;
	if (inode->fops == NULL)
		return -LINUX_ENXIO;
	file->ops = inode->fops;
	return 0;
}

/* The description never came to be: its kind's release must not see it, and nobody hears of a close. */
static void file_abandon(struct file *file)
{
	if (file->mode & FMODE_WRITE)
		file->inode->writers--;
	file->mode = FMODE_PATH;
	file->ops = &path_fops;
	file_put(file);
}

static int open_path(struct open *o, const struct path *path, struct file **out)
{
	struct inode *inode = path->dentry->inode;
	struct file *file;
	int err;

	if (o->flags & LINUX_O_PATH) {
		if ((o->flags & LINUX_O_DIRECTORY) && !inode_is_dir(inode))
			return -LINUX_ENOTDIR;
		*out = file_new(o->task, path, inode, &path_fops, o->flags);
		return *out != NULL ? 0 : -LINUX_ENOMEM;
	}
	err = check_kind(o, path);
	if (err == 0)
		err = check_access(o, path);
	if (err != 0)
		return err;
	file = file_new(o->task, path, inode, &path_fops, o->flags);
	if (file == NULL)
		return -LINUX_ENOMEM;
	err = open_kind(o->task, inode, file);
	file->flags &= ~LINUX_O_NOCTTY;
	if (err != 0) {
		file_abandon(file);
		return err;
	}
	if ((o->flags & LINUX_O_TRUNC) && !o->created) {
		struct iattr attr = {.valid = ATTR_SIZE | ATTR_MTIME | ATTR_CTIME | ATTR_FORCE, .size = 0};

		attr.mtime = attr.ctime = vfs_now();
		err = vfs_setattr(o->task, path, inode, &attr);
		if (err != 0) {
			file_put(file);
			return err;
		}
	}
	if (!(o->flags & O_EXEC_INTERNAL))
		fsnotify_file(file, LINUX_IN_OPEN);
	*out = file;
	return 0;
}

int vfs_open_path(struct task *task, const struct path *path, uint32_t flags, struct file **out)
{
	struct open o = {.task = task, .flags = flags, .acc_mode = access_wanted(flags)};

	return open_path(&o, path, out);
}

static int open_existing(struct open *o, int dirfd, const char *name, unsigned lookup, struct file **out)
{
	struct path path;
	int err;

	if (o->flags & LINUX_O_DIRECTORY)
		lookup |= LOOKUP_DIRECTORY;
	err = vfs_lookup(o->task, dirfd, name, lookup, &path);
	if (err != 0)
		return err;
	err = open_path(o, &path, out);
	path_put(&path);
	return err;
}

/* The name is not there: makes a regular file under it. -LINUX_EEXIST: somebody else was faster. */
static int create_missing(struct open *o, struct lookup_last *l)
{
	struct inode *dir = l->parent.dentry->inode, *inode;
	int err = path_want_write(&l->parent);

	if (err == 0)
		err = may_create(o->task, l->parent.dentry);
	if (err != 0)
		return err;
	if (dir->ops->create == NULL)
		return -LINUX_EACCES;
	err = dir->ops->create(o->task, dir, l->dentry, LINUX_S_IFREG | (o->mode & 07777 & ~o->task->fs->umask), &inode);
	if (err != 0)
		return err;
	dentry_add(l->dentry, inode);
	fsnotify(dir, l->dentry->name, LINUX_IN_CREATE, 0);
	o->created = true;
	return 0;
}

static int open_create(struct open *o, int dirfd, const char *name, unsigned lookup, struct file **out)
{
	struct lookup_last l;
	struct path path;
	int err;

	if (o->flags & LINUX_O_EXCL)
		lookup &= ~LOOKUP_FOLLOW;
	for (int tries = 0; tries < RETRIES; tries++) {
		err = vfs_lookup_last(o->task, dirfd, name, lookup | LOOKUP_CREATE | LOOKUP_OPEN_CREATE, &l);
		if (err != 0)
			return err;
		err = o->flags & LINUX_O_EXCL ? -LINUX_EEXIST : -LINUX_EISDIR;
		if (l.dot)
			goto put_last;
		if (l.dentry->inode == NULL) {
			err = create_missing(o, &l);
			if (err == -LINUX_EEXIST && !(o->flags & LINUX_O_EXCL)) {
				lookup_last_put(&l);
				continue;
			}
		} else {
			err = (o->flags & LINUX_O_EXCL) ? -LINUX_EEXIST : 0;
		}
		if (err != 0)
			goto put_last;
		err = vfs_last_path(&l, lookup, &path);
		if (err != 0)
			goto put_last;
		err = open_path(o, &path, out);
		path_put(&path);
	put_last:
		lookup_last_put(&l);
		return err;
	}
	return -LINUX_EEXIST;
}

static int open_tmpfile(struct open *o, int dirfd, const char *name, unsigned lookup, struct file **out)
{
	struct path dir, path;
	struct inode *inode;
	char label[24];
	int err;

	err = vfs_lookup(o->task, dirfd, name, lookup | LOOKUP_DIRECTORY, &dir);
	if (err != 0)
		return err;
	err = path_want_write(&dir);
	if (err == 0)
		err = inode_permission(o->task, dir.dentry->inode, MAY_WRITE | MAY_EXEC);
	if (err != 0)
		goto put_dir;
	err = -LINUX_EOPNOTSUPP;
	if (dir.dentry->inode->ops->tmpfile == NULL)
		goto put_dir;
	err = dir.dentry->inode->ops->tmpfile(o->task, dir.dentry->inode,
					      LINUX_S_IFREG | (o->mode & 07777 & ~o->task->fs->umask), &inode);
	if (err != 0)
		goto put_dir;
	inode->linkable = !(o->flags & LINUX_O_EXCL);
	snprintf(label, sizeof(label), "#%llu", (unsigned long long)inode->ino);
	path.mount = dir.mount;
	path.dentry = dentry_new(dir.dentry, label, strlen(label));
	if (path.dentry == NULL) {
		inode_put(inode);
		err = -LINUX_ENOMEM;
		goto put_dir;
	}
	path.dentry->inode = inode; /* never in the cache: no walk finds it */
	o->created = true;
	o->flags &= ~(O_TMPFILE_BIT | LINUX_O_DIRECTORY | LINUX_O_EXCL);
	err = open_path(o, &path, out);
	if (err == 0)
		(*out)->flags |= LINUX_O_TMPFILE;
	dentry_put(path.dentry);
put_dir:
	path_put(&dir);
	return err;
}

int vfs_open(struct task *task, int dirfd, const char *name, uint32_t flags, uint32_t mode, unsigned lookup,
	     struct file **out)
{
	struct open o = {.task = task, .flags = flags, .mode = mode};

	if (flags & LINUX_O_PATH)
		o.flags = flags & (LINUX_O_PATH | LINUX_O_DIRECTORY | LINUX_O_NOFOLLOW | LINUX_O_CLOEXEC);
	else if (!(flags & O_EXEC_INTERNAL))
		o.flags |= LINUX_O_LARGEFILE;
	o.acc_mode = access_wanted(o.flags);
	if (!(o.flags & LINUX_O_NOFOLLOW))
		lookup |= LOOKUP_FOLLOW;
	if (!(o.flags & LINUX_O_PATH))
		lookup |= LOOKUP_OPEN;
	if (o.flags & O_TMPFILE_BIT) {
		if ((o.flags & (LINUX_O_TMPFILE | LINUX_O_CREAT)) != LINUX_O_TMPFILE || !(o.acc_mode & MAY_WRITE))
			return -LINUX_EINVAL;
		return open_tmpfile(&o, dirfd, name, lookup, out);
	}
	if ((o.flags & (LINUX_O_CREAT | LINUX_O_DIRECTORY)) == (LINUX_O_CREAT | LINUX_O_DIRECTORY))
		return -LINUX_EINVAL;
	if (o.flags & LINUX_O_CREAT)
		return open_create(&o, dirfd, name, lookup, out);
	return open_existing(&o, dirfd, name, lookup, out);
}
