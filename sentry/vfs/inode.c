/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes: making and freeing them, permission, attributes, extended attributes, statfs.
 *
 * Permission is asked of the inode's mode bits with the task's fsuid, groups and capabilities (path_resolution(7),
 * capabilities(7)); a filesystem with rules of its own has ops->permission. Attribute changes come through vfs_setattr,
 * which is where ownership rules, setuid clearing and read-only mounts are kept for all filesystems.
 *
 * The guest controls everything in struct iattr; sizes are checked against RLIMIT_FSIZE here and against the filesystem's
 * limit there. Left out: POSIX ACLs (system.posix_acl_* gives EOPNOTSUPP, as a filesystem mounted noacl), file attributes
 * (chattr), quotas.
 */
#include "sentry/vfs/vfs.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/event.h"
#include "sentry/abi/signal.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/ids.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/text.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/locks.h"

#include <string.h>
#include <time.h>

struct ktimespec vfs_now(void)
{
	uint64_t ns = host_clock_ns(CLOCK_REALTIME);

	return (struct ktimespec){.sec = (int64_t)(ns / NSEC_PER_SEC), .nsec = (int64_t)(ns % NSEC_PER_SEC)};
}

/* ---- life ---- */

struct inode *inode_new(struct superblock *sb, uint64_t ino, uint32_t mode, const struct inode_ops *ops,
			const struct file_ops *fops)
{
	struct inode *inode = kzalloc(sizeof(*inode));

	if (inode == NULL)
		return NULL;
	ref_init(&inode->ref);
	inode->ops = ops;
	inode->fops = fops;
	inode->sb = sb;
	inode->ino = ino != 0 ? ino : ++sb->next_ino;
	inode->mode = mode;
	inode->nlink = 1;
	inode->atime = inode->mtime = inode->ctime = inode->btime = vfs_now();
	list_init(&inode->watches);
	return inode;
}

void inode_put(struct inode *inode)
{
	if (inode == NULL || !ref_put(&inode->ref))
		return;
	if (inode->locks != NULL)
		locks_free(inode);
	if (inode->text != NULL)
		text_inode_evict(inode);
	if (inode->ops->evict != NULL)
		inode->ops->evict(inode);
	kfree(inode);
}

int superblock_set_root(struct superblock *sb, struct inode *root)
{
	static uint32_t next_minor = 0x20; /* anonymous devices: major 0, as Linux numbers filesystems without a disk */
	struct dentry *d = dentry_new(NULL, "/", 1);

	if (d == NULL) {
		inode_put(root);
		return -LINUX_ENOMEM;
	}
	d->sb = sb;
	d->inode = root;
	d->unhashed = false;
	root->alias = d;
	sb->root = d;
	if (sb->dev == 0)
		sb->dev = LINUX_MKDEV(0, next_minor), next_minor++;
	return 0;
}

void inode_touch(struct inode *inode, uint32_t which)
{
	struct ktimespec now = vfs_now();

	if (which & ATTR_ATIME)
		inode->atime = now;
	if (which & ATTR_MTIME)
		inode->mtime = now;
	if (which & ATTR_CTIME)
		inode->ctime = now;
}

/* ---- permission ---- */

bool inode_owner_or_capable(struct task *task, const struct inode *inode)
{
	return task->cred->fsuid == inode->uid ||
	       (task_capable(task, LINUX_CAP_FOWNER) && (uid_mapped(inode->uid) || task->cred->all_ids));
}

bool inode_capable(const struct task *task, const struct inode *inode, int cap)
{
	return task_capable(task, cap) && ((uid_mapped(inode->uid) && gid_mapped(inode->gid)) || task->cred->all_ids);
}

void inode_init_owner(struct task *task, const struct inode *dir, struct inode *inode)
{
	inode->uid = task->cred->fsuid;
	inode->gid = task->cred->fsgid;
	if (!(dir->mode & LINUX_S_ISGID))
		return;
	inode->gid = dir->gid;
	if (inode_is_dir(inode))
		inode->mode |= LINUX_S_ISGID;
	else if ((inode->mode & (LINUX_S_ISGID | 010)) == (LINUX_S_ISGID | 010) && !cred_in_group(task->cred, dir->gid) &&
		 !inode_capable(task, dir, LINUX_CAP_FSETID))
		inode->mode &= ~LINUX_S_ISGID;
}

static bool mode_allows(struct task *task, const struct inode *inode, int mask)
{
	uint32_t bits = inode->mode;

	if (task->cred->fsuid == inode->uid)
		bits >>= 6;
	else if (cred_in_group(task->cred, inode->gid))
		bits >>= 3;
	return ((uint32_t)mask & ~bits & 7) == 0;
}

/* What CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH add: a file nobody may execute isn't executable for them either. */
static bool capability_allows(struct task *task, const struct inode *inode, int mask)
{
	bool dir = inode_is_dir(inode);

	if ((dir || !(mask & MAY_EXEC) || (inode->mode & 0111)) && inode_capable(task, inode, LINUX_CAP_DAC_OVERRIDE))
		return true;
	if (dir ? !(mask & MAY_WRITE) : mask == MAY_READ)
		return inode_capable(task, inode, LINUX_CAP_DAC_READ_SEARCH);
	return false;
}

int inode_permission(struct task *task, struct inode *inode, int mask)
{
	if ((mask & MAY_WRITE) && inode->sb->readonly &&
	    ((inode->mode & LINUX_S_IFMT) == LINUX_S_IFREG || inode_is_dir(inode) ||
	     (inode->mode & LINUX_S_IFMT) == LINUX_S_IFLNK))
		return -LINUX_EROFS;
	if (inode->ops->permission != NULL)
		return inode->ops->permission(task, inode, mask);
	if (mode_allows(task, inode, mask) || capability_allows(task, inode, mask))
		return 0;
	return -LINUX_EACCES;
}

int path_want_write(const struct path *path)
{
	if ((path->mount != NULL && (path->mount->flags & LINUX_MS_RDONLY)) ||
	    (path->dentry != NULL && path->dentry->sb->readonly))
		return -LINUX_EROFS;
	return 0;
}

int path_permission(struct task *task, const struct path *path, int mask)
{
	struct inode *inode = path->dentry->inode;
	uint32_t type = inode->mode & LINUX_S_IFMT;
	int err = inode_permission(task, inode, mask);

	if (err == 0 && (mask & MAY_WRITE) && (type == LINUX_S_IFREG || type == LINUX_S_IFDIR || type == LINUX_S_IFLNK))
		err = path_want_write(path);
	return err;
}

/* ---- attributes ---- */

static bool older(const struct ktimespec *a, const struct ktimespec *b)
{
	return a->sec != b->sec ? a->sec < b->sec : a->nsec < b->nsec;
}

void vfs_touch_atime(const struct path *path, struct inode *inode)
{
	struct ktimespec now;

	if (path->mount != NULL &&
	    ((path->mount->flags & (LINUX_MS_RDONLY | LINUX_MS_NOATIME)) ||
	     ((path->mount->flags & LINUX_MS_NODIRATIME) && inode_is_dir(inode))))
		return;
	if (inode->sb->readonly)
		return;
	/* relatime: only what a reader of atime could care about, or once a day */
	if (!older(&inode->mtime, &inode->atime) || !older(&inode->ctime, &inode->atime)) {
		inode->atime = vfs_now();
		return;
	}
	now = vfs_now();
	if (now.sec - inode->atime.sec >= 24 * 3600)
		inode->atime = now;
}

int vfs_getattr(struct task *task, struct inode *inode, const struct path *path, struct kstat *st)
{
	memset(st, 0, sizeof(*st));
	st->dev = inode->sb->dev;
	st->ino = inode->ino;
	st->rdev = inode->rdev;
	st->size = inode->size;
	st->blocks = inode->blocks;
	st->mode = inode->mode;
	st->nlink = inode->nlink;
	st->uid = inode->uid;
	st->gid = inode->gid;
	st->blksize = PAGE_SIZE;
	st->atime = inode->atime;
	st->mtime = inode->mtime;
	st->ctime = inode->ctime;
	st->btime = inode->btime;
	if (path != NULL && path->mount != NULL) {
		st->mnt_id = path->mount->id;
		st->attributes_mask = LINUX_STATX_ATTR_MOUNT_ROOT;
		if (path->dentry == path->mount->root)
			st->attributes |= LINUX_STATX_ATTR_MOUNT_ROOT;
	}
	if (inode->ops->getattr != NULL)
		return inode->ops->getattr(task, inode, st);
	return 0;
}

void inode_setattr(struct inode *inode, const struct iattr *attr)
{
	if (attr->valid & ATTR_UID)
		inode->uid = attr->uid;
	if (attr->valid & ATTR_GID)
		inode->gid = attr->gid;
	if (attr->valid & ATTR_MODE)
		inode->mode = (inode->mode & LINUX_S_IFMT) | (attr->mode & 07777);
	if (attr->valid & ATTR_ATIME)
		inode->atime = attr->atime;
	if (attr->valid & ATTR_MTIME)
		inode->mtime = attr->mtime;
	inode->ctime = (attr->valid & ATTR_CTIME) ? attr->ctime : vfs_now();
}

/* The rules of chown(2), chmod(2) and utimensat(2). */
static int setattr_allowed(struct task *task, struct inode *inode, struct iattr *attr)
{
	const struct cred *cred = task->cred;
	bool owner = cred->fsuid == inode->uid;

	if (((attr->valid & ATTR_UID) && !uid_mapped(attr->uid)) || ((attr->valid & ATTR_GID) && !gid_mapped(attr->gid)))
		return -LINUX_EINVAL;
	if ((attr->valid & ATTR_UID) && !(owner && attr->uid == inode->uid) && !inode_capable(task, inode, LINUX_CAP_CHOWN))
		return -LINUX_EPERM;
	if ((attr->valid & ATTR_GID) &&
	    !(owner && (attr->gid == inode->gid || cred_in_group(cred, attr->gid))) &&
	    !inode_capable(task, inode, LINUX_CAP_CHOWN))
		return -LINUX_EPERM;
	if (attr->valid & ATTR_MODE) {
		kgid_t gid = (attr->valid & ATTR_GID) ? attr->gid : inode->gid;

		if (!inode_owner_or_capable(task, inode))
			return -LINUX_EPERM;
		if (!cred_in_group(cred, gid) && !inode_capable(task, inode, LINUX_CAP_FSETID))
			attr->mode &= ~LINUX_S_ISGID;
	}
	if (attr->valid & ATTR_TIMES_SET) {
		if (!inode_owner_or_capable(task, inode))
			return -LINUX_EPERM;
	} else if ((attr->valid & (ATTR_ATIME | ATTR_MTIME)) && !(attr->valid & ATTR_SIZE)) {
		if (!inode_owner_or_capable(task, inode))
			return inode_permission(task, inode, MAY_WRITE);
	}
	return 0;
}

/* A file that changes hands, or is written by someone else, loses what made it run as its owner. */
static void kill_setid(struct task *task, const struct inode *inode, struct iattr *attr)
{
	uint32_t mode = (attr->valid & ATTR_MODE) ? attr->mode : inode->mode;
	uint32_t drop = mode & LINUX_S_ISUID;

	if (inode_is_dir(inode))
		return;
	if ((mode & LINUX_S_ISGID) &&
	    ((mode & 010) || (!cred_in_group(task->cred, inode->gid) && !inode_capable(task, inode, LINUX_CAP_FSETID))))
		drop |= LINUX_S_ISGID;
	if (drop != 0) {
		attr->valid |= ATTR_MODE;
		attr->mode = (mode & ~drop) & 07777;
	}
}

int vfs_setattr(struct task *task, const struct path *path, struct inode *inode, struct iattr *attr)
{
	int err = 0;

	if (path != NULL)
		err = path_want_write(path);
	if (err == 0 && !(attr->valid & ATTR_FORCE))
		err = setattr_allowed(task, inode, attr);
	if (err != 0)
		return err;
	if ((attr->valid & ATTR_MODE) && (inode->seals & LINUX_F_SEAL_EXEC) && ((inode->mode ^ attr->mode) & 0111))
		return -LINUX_EPERM;
	if ((attr->valid & ATTR_SIZE) && attr->size > inode->size &&
	    attr->size > task->group->rlimits[LINUX_RLIMIT_FSIZE].cur) {
		(void)signal_send_task(task, LINUX_SIGXFSZ, NULL);
		return -LINUX_EFBIG;
	}
	if (attr->valid & (ATTR_UID | ATTR_GID))
		kill_setid(task, inode, attr);
	else if ((attr->valid & ATTR_SIZE) && !task_capable(task, LINUX_CAP_FSETID))
		kill_setid(task, inode, attr);
	if ((attr->valid & ATTR_SIZE) && inode->text != NULL)
		text_inode_changed(inode);
	if (inode->ops->setattr != NULL)
		err = inode->ops->setattr(task, inode, attr);
	else if (attr->valid & ATTR_SIZE)
		err = -LINUX_EINVAL;
	else
		inode_setattr(inode, attr);
	if (err == 0 && path != NULL && path->dentry != NULL) {
		uint32_t events = (attr->valid & ATTR_SIZE) ? LINUX_IN_MODIFY : 0;

		if (attr->valid & (ATTR_UID | ATTR_GID | ATTR_MODE | ATTR_ATIME | ATTR_MTIME))
			events |= events != 0 ? 0 : LINUX_IN_ATTRIB;
		if (events != 0)
			fsnotify_path(path, events);
	}
	return err;
}

int vfs_readlink(struct task *task, const struct path *path, char **target)
{
	struct inode *inode = path->dentry->inode;

	if ((inode->mode & LINUX_S_IFMT) != LINUX_S_IFLNK || inode->ops->readlink == NULL)
		return -LINUX_EINVAL;
	vfs_touch_atime(path, inode);
	return inode->ops->readlink(task, inode, target);
}

int vfs_statfs(struct task *task, const struct path *path, struct linux_statfs *st)
{
	struct superblock *sb = path->dentry->sb;
	uint64_t flags = path->mount != NULL ? path->mount->flags : 0;

	memset(st, 0, sizeof(*st));
	st->type = sb->magic;
	st->bsize = st->frsize = (int64_t)PAGE_SIZE;
	st->namelen = LINUX_NAME_MAX;
	st->fsid[0] = (int32_t)sb->dev;
	/* ST_VALID and the ST_* bits, of which the first ten have the numbers of mount flags */
	st->flags = 0x20 | (int64_t)(flags & (LINUX_MS_RDONLY | LINUX_MS_NOSUID | LINUX_MS_NODEV | LINUX_MS_NOEXEC |
					      LINUX_MS_NOATIME | LINUX_MS_NODIRATIME));
	if (!(flags & LINUX_MS_NOATIME))
		st->flags |= 0x1000; /* ST_RELATIME */
	if (sb->ops != NULL && sb->ops->statfs != NULL)
		return sb->ops->statfs(task, sb, st);
	return 0;
}

/* ---- extended attributes ---- */

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* xattr(7): who may read or change an attribute of this name. */
static int xattr_namespace_permission(struct task *task, const struct path *path, const char *name, bool write)
{
	struct inode *inode = path->dentry->inode;
	uint32_t type = inode->mode & LINUX_S_IFMT;

	if (write) {
		int err = path_want_write(path);

		if (err != 0)
			return err;
	}
	if (has_prefix(name, "security.")) {
		if (!write)
			return 0;
		if (strcmp(name, "security.capability") == 0)
			return task_capable(task, LINUX_CAP_SETFCAP) ? 0 : -LINUX_EPERM;
		return task_capable(task, LINUX_CAP_SYS_ADMIN) ? 0 : -LINUX_EPERM;
	}
	if (has_prefix(name, "trusted.")) {
		if (task_capable(task, LINUX_CAP_SYS_ADMIN))
			return 0;
		return write ? -LINUX_EPERM : -LINUX_ENODATA;
	}
	if (has_prefix(name, "user.")) {
		if (type != LINUX_S_IFREG && type != LINUX_S_IFDIR)
			return write ? -LINUX_EPERM : -LINUX_ENODATA;
		if (type == LINUX_S_IFDIR && (inode->mode & LINUX_S_ISVTX) && write && !inode_owner_or_capable(task, inode))
			return -LINUX_EPERM;
		return inode_permission(task, inode, write ? MAY_WRITE : MAY_READ);
	}
	/* Linux finds out that nobody serves the name only after asking for permission. */
	if (!has_prefix(name, "system.")) {
		int err = inode_permission(task, inode, write ? MAY_WRITE : MAY_READ);

		if (err != 0)
			return err;
	}
	return -LINUX_EOPNOTSUPP;
}

/* The same, and -LINUX_EINVAL for a namespace without a name behind it. */
static int xattr_permission(struct task *task, const struct path *path, const char *name, bool write)
{
	int err = xattr_namespace_permission(task, path, name, write);

	return err == 0 && name[strlen(name) - 1] == '.' && strchr(name, '.') == name + strlen(name) - 1 ? -LINUX_EINVAL : err;
}

int64_t vfs_getxattr(struct task *task, const struct path *path, const char *name, void *value, size_t size)
{
	struct inode *inode = path->dentry->inode;
	int err = xattr_permission(task, path, name, false);

	if (err != 0)
		return err;
	if (inode->ops->getxattr == NULL)
		return -LINUX_EOPNOTSUPP;
	return inode->ops->getxattr(task, inode, name, value, size);
}

int vfs_setxattr(struct task *task, const struct path *path, const char *name, const void *value, size_t size, int flags)
{
	struct inode *inode = path->dentry->inode;
	int err = xattr_permission(task, path, name, true);

	if (err != 0)
		return err;
	if (inode->ops->setxattr == NULL)
		return -LINUX_EOPNOTSUPP;
	err = inode->ops->setxattr(task, inode, name, value, size, flags);
	if (err == 0)
		fsnotify_path(path, LINUX_IN_ATTRIB);
	return err;
}

int64_t vfs_listxattr(struct task *task, const struct path *path, char *list, size_t size)
{
	struct inode *inode = path->dentry->inode;

	if (inode->ops->listxattr == NULL)
		return 0;
	return inode->ops->listxattr(task, inode, list, size);
}

int vfs_removexattr(struct task *task, const struct path *path, const char *name)
{
	struct inode *inode = path->dentry->inode;
	int err = xattr_permission(task, path, name, true);

	if (err != 0)
		return err;
	if (inode->ops->removexattr == NULL)
		return -LINUX_EOPNOTSUPP;
	err = inode->ops->removexattr(task, inode, name);
	if (err == 0)
		fsnotify_path(path, LINUX_IN_ATTRIB);
	return err;
}
