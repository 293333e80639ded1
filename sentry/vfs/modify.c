/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing names: mkdir, mknod, symlink, link, unlink, rmdir, rename; changing sizes and times.
 *
 * Each walks to the last component (vfs_lookup_last), checks, calls the filesystem's op, and then tells the dentry
 * cache and inotify. The ops may sleep (a directory of the host behind the gofer): what the walk found may have changed
 * then, and the op itself says so (EEXIST, ENOENT).
 *
 *	name -> parent + dentry -> checks -> ops->mkdir... -> dentry_add / dentry_drop / dentry_move -> fsnotify
 *
 * The guest controls every name, mode and flag. Left out: the sysctls fs.protected_* other than hard links, which
 * behave as Debian sets them (1).
 */
#include "sentry/vfs/modify.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/event.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/inotify.h"

#include <string.h>

static uint32_t dir_bit(const struct inode *inode)
{
	return inode_is_dir(inode) ? LINUX_IN_ISDIR : 0;
}

/* What the last component of a path is; trailing slashes don't count. */
enum last_kind { LAST_NORMAL, LAST_ROOT, LAST_DOT, LAST_DOTDOT };

static enum last_kind last_kind(const char *name)
{
	size_t end = strlen(name), start;

	while (end > 0 && name[end - 1] == '/')
		end--;
	for (start = end; start > 0 && name[start - 1] != '/'; start--)
		;
	if (end == start)
		return LAST_ROOT;
	if (end - start == 1 && name[start] == '.')
		return LAST_DOT;
	if (end - start == 2 && name[start] == '.' && name[start + 1] == '.')
		return LAST_DOTDOT;
	return LAST_NORMAL;
}

static bool last_too_long(const char *name)
{
	size_t end = strlen(name), start;

	while (end > 0 && name[end - 1] == '/')
		end--;
	for (start = end; start > 0 && name[start - 1] != '/'; start--)
		;
	return end - start > LINUX_NAME_MAX;
}

/* ---- new names ---- */

/*
 * The walk and checks for a new name. want_dir: a trailing slash is allowed. On success l holds references (the caller
 * puts them) and its dentry is negative.
 */
static int find_new(struct task *task, int dirfd, const char *name, bool want_dir, struct lookup_last *l)
{
	int err;

	err = vfs_lookup_last(task, dirfd, name, LOOKUP_CREATE, l);
	if (err)
		return err;
	if (l->dot || l->dentry->inode != NULL)
		err = -LINUX_EEXIST;
	else if (l->trailing_slash && !want_dir)
		err = -LINUX_ENOENT;
	else
		err = path_want_write(&l->parent);
	if (err == 0)
		err = may_create(task, l->parent.dentry);
	if (err)
		lookup_last_put(l);
	return err;
}

/* The op has made inode: takes its reference. */
static void name_added(struct lookup_last *l, struct inode *inode)
{
	dentry_add(l->dentry, inode);
	fsnotify(l->parent.dentry->inode, l->dentry->name, LINUX_IN_CREATE | dir_bit(inode), 0);
}

int vfs_mkdir(struct task *task, int dirfd, const char *name, uint32_t mode)
{
	struct lookup_last l;
	struct inode *dir, *inode;
	int err;

	err = find_new(task, dirfd, name, true, &l);
	if (err)
		return err;
	dir = l.parent.dentry->inode;
	mode &= 01777 & ~task->fs->umask;
	err = -LINUX_EPERM;
	if (dir->ops->mkdir != NULL)
		err = dir->ops->mkdir(task, dir, l.dentry, LINUX_S_IFDIR | mode, &inode);
	if (err == 0)
		name_added(&l, inode);
	lookup_last_put(&l);
	return err;
}

static int mknod_allowed(struct task *task, uint32_t mode, uint64_t rdev)
{
	switch (mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
	case LINUX_S_IFIFO:
	case LINUX_S_IFSOCK:
		return 0;
	case LINUX_S_IFCHR:
		if (rdev == 0)
			return 0; /* a whiteout: harmless, and anybody may make one */
		/* fall through */
	case LINUX_S_IFBLK:
		return task_capable(task, LINUX_CAP_MKNOD) ? 0 : -LINUX_EPERM;
	default:
		return -LINUX_EINVAL;
	}
}

static int mknod_last(struct task *task, struct lookup_last *l, uint32_t mode, uint64_t rdev)
{
	struct inode *dir = l->parent.dentry->inode, *inode;
	bool regular = (mode & LINUX_S_IFMT) == LINUX_S_IFREG;
	int err;

	err = mknod_allowed(task, mode, rdev);
	if (err)
		return err;
	mode = (mode & LINUX_S_IFMT) | (mode & 07777 & ~task->fs->umask);
	if (regular)
		err = dir->ops->create != NULL ? dir->ops->create(task, dir, l->dentry, mode, &inode) : -LINUX_EACCES;
	else
		err = dir->ops->mknod != NULL ? dir->ops->mknod(task, dir, l->dentry, mode, rdev, &inode)
					      : -LINUX_EPERM;
	if (err == 0)
		name_added(l, inode);
	return err;
}

int vfs_mknod(struct task *task, int dirfd, const char *name, uint32_t mode, uint64_t rdev)
{
	struct lookup_last l;
	int err;

	if ((mode & LINUX_S_IFMT) == 0)
		mode |= LINUX_S_IFREG;
	if ((mode & LINUX_S_IFMT) == LINUX_S_IFDIR)
		return -LINUX_EPERM;
	if (mknod_allowed(task, mode, rdev) == -LINUX_EINVAL)
		return -LINUX_EINVAL;
	err = find_new(task, dirfd, name, false, &l);
	if (err)
		return err;
	err = mknod_last(task, &l, mode, rdev);
	lookup_last_put(&l);
	return err;
}

int vfs_mksock(struct task *task, const char *name, uint32_t mode, struct inode **out)
{
	struct lookup_last l;
	int err;

	err = find_new(task, LINUX_AT_FDCWD, name, false, &l);
	if (err)
		return err == -LINUX_EEXIST ? -LINUX_EADDRINUSE : err;
	err = mknod_last(task, &l, mode, 0);
	if (err == 0)
		*out = inode_get(l.dentry->inode);
	lookup_last_put(&l);
	return err == -LINUX_EEXIST ? -LINUX_EADDRINUSE : err;
}

int vfs_symlink(struct task *task, const char *target, int dirfd, const char *name)
{
	struct lookup_last l;
	struct inode *dir, *inode;
	int err;

	if (target[0] == '\0')
		return -LINUX_ENOENT;
	err = find_new(task, dirfd, name, false, &l);
	if (err)
		return err;
	dir = l.parent.dentry->inode;
	err = dir->ops->symlink != NULL ? dir->ops->symlink(task, dir, l.dentry, target, &inode) : -LINUX_EPERM;
	if (err == 0)
		name_added(&l, inode);
	lookup_last_put(&l);
	return err;
}

/* fs.protected_hardlinks: others may link only what they could read and write, and nothing that runs as its owner. */
static bool may_hardlink(struct task *task, struct inode *inode)
{
	if (inode_owner_or_capable(task, inode))
		return true;
	if ((inode->mode & LINUX_S_IFMT) != LINUX_S_IFREG || (inode->mode & LINUX_S_ISUID) ||
	    (inode->mode & (LINUX_S_ISGID | 010)) == (LINUX_S_ISGID | 010))
		return false;
	return inode_permission(task, inode, MAY_READ | MAY_WRITE) == 0;
}

int vfs_link(struct task *task, const struct path *old, int dirfd, const char *name)
{
	struct inode *inode = old->dentry->inode, *dir;
	struct lookup_last l;
	int err;

	err = vfs_lookup_last(task, dirfd, name, LOOKUP_CREATE, &l);
	if (err)
		return err;
	dir = l.parent.dentry->inode;
	if (l.dot || l.dentry->inode != NULL)
		err = -LINUX_EEXIST;
	else if (l.trailing_slash)
		err = -LINUX_ENOENT;
	else
		err = path_want_write(&l.parent);
	if (err == 0 && old->mount != l.parent.mount)
		err = -LINUX_EXDEV;
	if (err == 0 && !may_hardlink(task, inode))
		err = -LINUX_EPERM;
	if (err == 0)
		err = may_create(task, l.parent.dentry);
	if (err == 0 && inode->sb != dir->sb)
		err = -LINUX_EXDEV;
	if (err == 0 && (dir->ops->link == NULL || inode_is_dir(inode)))
		err = -LINUX_EPERM;
	if (err == 0 && inode->nlink == 0 && !inode->linkable)
		err = -LINUX_ENOENT;
	if (err == 0)
		err = dir->ops->link(task, dir, l.dentry, inode);
	if (err == 0) {
		inode->linkable = false;
		dentry_add(l.dentry, inode_get(inode));
		fsnotify(inode, NULL, LINUX_IN_ATTRIB, 0);
		fsnotify(dir, l.dentry->name, LINUX_IN_CREATE, 0);
	}
	lookup_last_put(&l);
	return err;
}

/* ---- names that go ---- */

static int unlink_last(struct task *task, struct lookup_last *l)
{
	struct dentry *d = l->dentry;
	struct inode *dir = l->parent.dentry->inode, *inode;
	int err;

	err = path_want_write(&l->parent);
	if (err)
		return err;
	if (d->inode == NULL)
		return -LINUX_ENOENT;
	if (l->trailing_slash)
		return inode_is_dir(d->inode) ? -LINUX_EISDIR : -LINUX_ENOTDIR;
	err = may_delete(task, d, false);
	if (err)
		return err;
	if (dir->ops->unlink == NULL)
		return -LINUX_EPERM;
	inode = inode_get(d->inode);
	err = dir->ops->unlink(task, dir, d);
	if (err == 0) {
		dentry_drop(d);
		fsnotify(inode, NULL, LINUX_IN_ATTRIB, 0);
		fsnotify(dir, d->name, LINUX_IN_DELETE, 0);
	}
	inode_put(inode);
	return err;
}

int vfs_unlink(struct task *task, int dirfd, const char *name)
{
	struct lookup_last l;
	int err;

	err = vfs_lookup_last(task, dirfd, name, 0, &l);
	if (err)
		return err;
	err = l.dot || last_kind(name) == LAST_ROOT ? -LINUX_EISDIR : unlink_last(task, &l);
	lookup_last_put(&l);
	return err;
}

static int rmdir_last(struct task *task, struct lookup_last *l)
{
	struct inode *dir = l->parent.dentry->inode;
	struct dentry *d = l->dentry;
	int err;

	err = path_want_write(&l->parent);
	if (err)
		return err;
	if (d->inode == NULL)
		return -LINUX_ENOENT;
	err = may_delete(task, d, true);
	if (err)
		return err;
	if (dir->ops->rmdir == NULL)
		return -LINUX_EPERM;
	err = dir->ops->rmdir(task, dir, d);
	if (err == 0) {
		dentry_drop(d);
		fsnotify(dir, d->name, LINUX_IN_DELETE | LINUX_IN_ISDIR, 0);
	}
	return err;
}

int vfs_rmdir(struct task *task, int dirfd, const char *name)
{
	struct lookup_last l;
	int err;

	err = vfs_lookup_last(task, dirfd, name, 0, &l);
	if (err)
		return err;
	switch (last_kind(name)) {
	case LAST_DOTDOT:
		err = -LINUX_ENOTEMPTY;
		break;
	case LAST_DOT:
		err = -LINUX_EINVAL;
		break;
	case LAST_ROOT:
		err = -LINUX_EBUSY;
		break;
	case LAST_NORMAL:
		err = rmdir_last(task, &l);
		break;
	}
	lookup_last_put(&l);
	return err;
}

/* ---- rename ---- */

/* What the two ends are to each other, as do_renameat2 and vfs_rename check it; both walks are done. */
static int rename_allowed(struct task *task, struct lookup_last *from, struct lookup_last *to, unsigned flags)
{
	struct dentry *old = from->dentry, *target = to->dentry;
	bool exchange = (flags & LINUX_RENAME_EXCHANGE) != 0;
	bool old_dir, new_dir;
	int err;

	if (old->inode == NULL)
		return -LINUX_ENOENT;
	if ((flags & LINUX_RENAME_NOREPLACE) && target->inode != NULL)
		return -LINUX_EEXIST;
	if (exchange && target->inode == NULL)
		return -LINUX_ENOENT;
	old_dir = inode_is_dir(old->inode);
	new_dir = target->inode != NULL && inode_is_dir(target->inode);
	if (exchange && !new_dir && to->trailing_slash)
		return -LINUX_ENOTDIR;
	if (!old_dir && (from->trailing_slash || (!exchange && to->trailing_slash)))
		return -LINUX_ENOTDIR;
	/* Neither may be moved into itself. */
	if (dentry_is_ancestor(old, to->parent.dentry))
		return -LINUX_EINVAL;
	if (target->inode != NULL && dentry_is_ancestor(target, from->parent.dentry))
		return exchange ? -LINUX_EINVAL : -LINUX_ENOTEMPTY;
	if (old->inode == target->inode)
		return 0; /* two names of one file: nothing happens */
	err = may_delete(task, old, old_dir);
	if (err)
		return err;
	if (target->inode == NULL)
		err = may_create(task, to->parent.dentry);
	else
		err = may_delete(task, target, exchange ? new_dir : old_dir);
	if (err)
		return err;
	/* A directory that changes its parent is itself written: its ".." changes. */
	if (from->parent.dentry != to->parent.dentry) {
		if (old_dir)
			err = inode_permission(task, old->inode, MAY_WRITE);
		if (err == 0 && exchange && new_dir)
			err = inode_permission(task, target->inode, MAY_WRITE);
	}
	return err;
}

static void rename_notify(struct lookup_last *from, struct lookup_last *to, const char *old_name, const char *new_name,
			  struct inode *moved, struct inode *replaced, bool exchange)
{
	static uint32_t cookie;
	uint32_t dir = dir_bit(moved);

	cookie++;
	fsnotify(from->parent.dentry->inode, old_name, LINUX_IN_MOVED_FROM | dir, cookie);
	fsnotify(to->parent.dentry->inode, new_name, LINUX_IN_MOVED_TO | dir, cookie);
	fsnotify(moved, NULL, LINUX_IN_MOVE_SELF, 0);
	if (replaced == NULL)
		return;
	if (!exchange) {
		if (!inode_is_dir(replaced))
			fsnotify(replaced, NULL, LINUX_IN_ATTRIB, 0);
		return;
	}
	cookie++;
	dir = dir_bit(replaced);
	fsnotify(to->parent.dentry->inode, new_name, LINUX_IN_MOVED_FROM | dir, cookie);
	fsnotify(from->parent.dentry->inode, old_name, LINUX_IN_MOVED_TO | dir, cookie);
	fsnotify(replaced, NULL, LINUX_IN_MOVE_SELF, 0);
}

static int rename_last(struct task *task, struct lookup_last *from, struct lookup_last *to, unsigned flags)
{
	struct inode *old_dir = from->parent.dentry->inode, *moved, *replaced;
	bool exchange = (flags & LINUX_RENAME_EXCHANGE) != 0;
	char *old_name = NULL, *new_name = NULL;
	struct dentry_move move;
	int err;

	err = path_want_write(&from->parent);
	if (err == 0)
		err = rename_allowed(task, from, to, flags);
	if (err)
		return err;
	moved = from->dentry->inode;
	replaced = to->dentry->inode;
	if (moved == replaced)
		return 0;
	if (old_dir->ops->rename == NULL)
		return -LINUX_EPERM;
	if (inotify_nmarks != 0) {
		/* Without memory for them the move goes unreported. */
		old_name = kstrdup(from->dentry->name);
		new_name = kstrdup(to->dentry->name);
	}
	inode_get(moved);
	if (replaced != NULL)
		inode_get(replaced);
	err = dentry_move_prepare(&move, from->dentry, to->dentry);
	if (err)
		goto put_inodes;
	err = old_dir->ops->rename(task, old_dir, from->dentry, to->parent.dentry->inode, to->dentry, flags);
	if (err) {
		dentry_move_abort(&move);
		goto put_inodes;
	}
	dentry_move_commit(&move, from->dentry, to->dentry, exchange);
	if (old_name != NULL && new_name != NULL)
		rename_notify(from, to, old_name, new_name, moved, replaced, exchange);
put_inodes:
	inode_put(moved);
	inode_put(replaced);
	kfree(old_name);
	kfree(new_name);
	return err;
}

/* The old name is too long; but what is wrong with the way to the new one comes first. */
static int rename_too_long(struct task *task, int new_dirfd, const char *new_name, unsigned flags)
{
	struct lookup_last to;
	int err = vfs_lookup_last(task, new_dirfd, new_name, 0, &to);

	if (err)
		return err;
	lookup_last_put(&to);
	if (last_kind(new_name) != LAST_NORMAL)
		return flags & LINUX_RENAME_NOREPLACE ? -LINUX_EEXIST : -LINUX_EBUSY;
	return -LINUX_ENAMETOOLONG;
}

int vfs_rename(struct task *task, int old_dirfd, const char *old_name, int new_dirfd, const char *new_name,
	       unsigned flags)
{
	struct lookup_last from, to;
	int err;

	err = vfs_lookup_last(task, old_dirfd, old_name, 0, &from);
	if (err == -LINUX_ENAMETOOLONG && last_too_long(old_name))
		return rename_too_long(task, new_dirfd, new_name, flags);
	if (err)
		return err;
	err = vfs_lookup_last(task, new_dirfd, new_name, 0, &to);
	/* Linux looks at the old name before it knows that the new one is too long. */
	if (err == -LINUX_ENAMETOOLONG && last_too_long(new_name)) {
		if (last_kind(old_name) != LAST_NORMAL)
			err = -LINUX_EBUSY;
		else if (from.dentry->inode == NULL)
			err = -LINUX_ENOENT;
	}
	if (err)
		goto put_from;
	if (from.parent.mount != to.parent.mount)
		err = -LINUX_EXDEV;
	else if (last_kind(old_name) != LAST_NORMAL)
		err = -LINUX_EBUSY;
	else if (last_kind(new_name) != LAST_NORMAL)
		err = flags & LINUX_RENAME_NOREPLACE ? -LINUX_EEXIST : -LINUX_EBUSY;
	else
		err = rename_last(task, &from, &to, flags);
	lookup_last_put(&to);
put_from:
	lookup_last_put(&from);
	return err;
}

/* ---- times and sizes ---- */

static bool is_now(const struct ktimespec *t)
{
	return t->nsec == LINUX_UTIME_NOW;
}

int vfs_utimes(struct task *task, const struct path *path, struct inode *inode, const struct ktimespec times[2])
{
	struct iattr attr = {.valid = ATTR_CTIME};
	struct ktimespec now = vfs_now();

	attr.atime = attr.mtime = attr.ctime = now;
	if (times == NULL || times[0].nsec != LINUX_UTIME_OMIT)
		attr.valid |= ATTR_ATIME;
	if (times == NULL || times[1].nsec != LINUX_UTIME_OMIT)
		attr.valid |= ATTR_MTIME;
	if (times != NULL) {
		if (!(attr.valid & (ATTR_ATIME | ATTR_MTIME)))
			return 0;
		/* Anything but "both now" is the owner's business, even where the value is now. */
		if (!is_now(&times[0]) || !is_now(&times[1]))
			attr.valid |= ATTR_TIMES_SET;
		if (!is_now(&times[0]))
			attr.atime = times[0];
		if (!is_now(&times[1]))
			attr.mtime = times[1];
	}
	return vfs_setattr(task, path, inode, &attr);
}

int vfs_truncate(struct task *task, const struct path *path, int64_t len)
{
	struct inode *inode = path->dentry->inode;
	struct iattr attr = {.valid = ATTR_SIZE | ATTR_MTIME | ATTR_CTIME | ATTR_FORCE, .size = (uint64_t)len};
	int err;

	if (inode_is_dir(inode))
		return -LINUX_EISDIR;
	if ((inode->mode & LINUX_S_IFMT) != LINUX_S_IFREG)
		return -LINUX_EINVAL;
	err = path_want_write(path);
	if (err == 0)
		err = inode_permission(task, inode, MAY_WRITE);
	if (err == 0 && inode->exec_count != 0)
		err = -LINUX_ETXTBSY;
	if (err)
		return err;
	attr.mtime = attr.ctime = vfs_now();
	return vfs_setattr(task, path, inode, &attr);
}

int vfs_ftruncate(struct task *task, struct file *file, int64_t len)
{
	struct iattr attr = {.valid = ATTR_SIZE | ATTR_MTIME | ATTR_CTIME | ATTR_FORCE, .size = (uint64_t)len};

	if ((file->inode->mode & LINUX_S_IFMT) != LINUX_S_IFREG || !(file->mode & FMODE_WRITE))
		return -LINUX_EINVAL;
	attr.mtime = attr.ctime = vfs_now();
	return vfs_setattr(task, file->path.dentry != NULL ? &file->path : NULL, file->inode, &attr);
}

/* Which modes go together, as vfs_fallocate in Linux has it. */
static int fallocate_mode(uint32_t mode)
{
	const uint32_t keep = LINUX_FALLOC_FL_KEEP_SIZE;

	switch (mode & ~(keep | LINUX_FALLOC_FL_UNSHARE_RANGE)) {
	case 0:
	case LINUX_FALLOC_FL_ZERO_RANGE:
		return 0;
	case LINUX_FALLOC_FL_PUNCH_HOLE:
		return mode & keep ? 0 : -LINUX_EOPNOTSUPP;
	case LINUX_FALLOC_FL_COLLAPSE_RANGE:
	case LINUX_FALLOC_FL_INSERT_RANGE:
		return mode & keep ? -LINUX_EOPNOTSUPP : 0;
	default:
		return -LINUX_EOPNOTSUPP;
	}
}

int vfs_fallocate(struct task *task, struct file *file, int mode, int64_t off, int64_t len)
{
	uint32_t type = file->inode->mode & LINUX_S_IFMT;
	int64_t end;
	int err;

	if (off < 0 || len <= 0)
		return -LINUX_EINVAL;
	err = fallocate_mode((uint32_t)mode);
	if (err)
		return err;
	if (!(file->mode & FMODE_WRITE))
		return -LINUX_EBADF;
	if (type == LINUX_S_IFIFO)
		return -LINUX_ESPIPE;
	if (type == LINUX_S_IFDIR)
		return -LINUX_EISDIR;
	if (type != LINUX_S_IFREG)
		return -LINUX_ENODEV;
	if (__builtin_add_overflow(off, len, &end))
		return -LINUX_EFBIG;
	if (file->ops->fallocate == NULL)
		return -LINUX_EOPNOTSUPP;
	if (!(mode & (int)LINUX_FALLOC_FL_KEEP_SIZE) && (uint64_t)end > file->inode->size &&
	    (uint64_t)end > task->group->rlimits[LINUX_RLIMIT_FSIZE].cur) {
		(void)signal_send_task(task, LINUX_SIGXFSZ, NULL);
		return -LINUX_EFBIG;
	}
	err = file_drop_setid(task, file);
	if (err)
		return err;
	err = file->ops->fallocate(task, file, mode, off, len);
	if (err == 0)
		fsnotify_file(file, LINUX_IN_MODIFY);
	return err;
}
