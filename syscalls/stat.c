/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stat(2) and relatives, statx(2), statfs(2), access(2), readlink(2).
 *
 * A path that may be empty (AT_EMPTY_PATH) stands for the descriptor itself, which need not have a name (sockets,
 * anonymous files): `struct target` is what such a pair leads to.
 */
#include "syscalls/define.h"

#include "sentry/abi/capability.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/ids.h"
#include "sentry/vfs/vfs.h"

#include <string.h>

struct target {
	struct file *file;   /* by descriptor; else NULL */
	struct path path;    /* borrowed from file, or references; both NULL for files without a name */
	struct inode *inode; /* borrowed */
	bool empty;          /* the path was "" */
};

static void target_put(struct target *t)
{
	if (t->file != NULL)
		file_put(t->file);
	else
		path_put(&t->path);
}

static int target_by_fd(struct task *task, int fd, struct target *t)
{
	t->file = fd_get_path(task, fd);
	if (t->file == NULL)
		return -LINUX_EBADF;
	t->path = t->file->path;
	t->inode = t->file->inode;
	return 0;
}

/* lookup: LOOKUP_FOLLOW, LOOKUP_EMPTY. */
static int target_find(struct task *task, int dirfd, gva_t gname, unsigned lookup, struct target *t)
{
	char *name;
	int err;

	memset(t, 0, sizeof(*t));
	if ((lookup & LOOKUP_EMPTY) && gname.v == 0 && dirfd >= 0)
		return target_by_fd(task, dirfd, t);
	err = copy_path_from_guest(task, gname, &name);
	if (err)
		return err;
	t->empty = name[0] == '\0';
	if (t->empty && (lookup & LOOKUP_EMPTY) && dirfd >= 0) {
		err = target_by_fd(task, dirfd, t);
	} else {
		err = vfs_lookup(task, dirfd, name, lookup, &t->path);
		if (err == 0)
			t->inode = t->path.dentry->inode;
	}
	kfree(name);
	return err;
}

static int target_getattr(struct task *task, const struct target *t, struct kstat *st)
{
	memset(st, 0, sizeof(*st));
	return vfs_getattr(task, t->inode, t->path.dentry != NULL ? &t->path : NULL, st);
}

/* ---- stat ---- */

static int64_t put_stat(struct task *task, gva_t dst, const struct kstat *k)
{
	struct linux_stat st = {
		.dev = k->dev,
		.ino = k->ino,
		.nlink = k->nlink,
		.mode = k->mode,
		.uid = uid_shown(k->uid),
		.gid = gid_shown(k->gid),
		.rdev = k->rdev,
		.size = (int64_t)k->size,
		.blksize = k->blksize,
		.blocks = (int64_t)k->blocks,
		.atime = {k->atime.sec, k->atime.nsec},
		.mtime = {k->mtime.sec, k->mtime.nsec},
		.ctime = {k->ctime.sec, k->ctime.nsec},
	};

	return put_guest(task, dst, &st);
}

static int64_t stat_at(struct task *task, int dirfd, gva_t name, unsigned lookup, gva_t dst)
{
	struct target t;
	struct kstat st;
	int err;

	err = target_find(task, dirfd, name, lookup, &t);
	if (err)
		return err;
	err = target_getattr(task, &t, &st);
	target_put(&t);
	return err ? err : put_stat(task, dst, &st);
}

SYSCALL_DEFINE2(stat, gva_t, path, gva_t, dst)
{
	return stat_at(task, LINUX_AT_FDCWD, path, LOOKUP_FOLLOW, dst);
}

SYSCALL_DEFINE2(lstat, gva_t, path, gva_t, dst)
{
	return stat_at(task, LINUX_AT_FDCWD, path, 0, dst);
}

SYSCALL_DEFINE2(fstat, int, fd, gva_t, dst)
{
	struct target t = {0};
	struct kstat st;
	int err;

	err = target_by_fd(task, fd, &t);
	if (err)
		return err;
	err = target_getattr(task, &t, &st);
	target_put(&t);
	return err ? err : put_stat(task, dst, &st);
}

#define STAT_FLAGS                                                                                                     \
	(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_NO_AUTOMOUNT | LINUX_AT_EMPTY_PATH | LINUX_AT_STATX_SYNC_TYPE)

static unsigned lookup_from_at(uint32_t flags)
{
	return (flags & LINUX_AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) |
	       (flags & LINUX_AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
}

SYSCALL_DEFINE4(newfstatat, int, dirfd, gva_t, path, gva_t, dst, uint32_t, flags)
{
	if (flags & ~STAT_FLAGS)
		return -LINUX_EINVAL;
	return stat_at(task, dirfd, path, lookup_from_at(flags), dst);
}

static struct linux_statx_timestamp statx_time(struct ktimespec t)
{
	return (struct linux_statx_timestamp){.sec = t.sec, .nsec = (uint32_t)t.nsec};
}

static int64_t put_statx(struct task *task, gva_t dst, const struct kstat *k)
{
	struct linux_statx stx = {
		.mask = LINUX_STATX_BASIC_STATS,
		.blksize = k->blksize,
		.attributes = k->attributes,
		.nlink = k->nlink,
		.uid = uid_shown(k->uid),
		.gid = gid_shown(k->gid),
		.mode = (uint16_t)k->mode,
		.ino = k->ino,
		.size = k->size,
		.blocks = k->blocks,
		.attributes_mask = k->attributes_mask,
		.atime = statx_time(k->atime),
		.btime = statx_time(k->btime),
		.ctime = statx_time(k->ctime),
		.mtime = statx_time(k->mtime),
		.rdev_major = LINUX_MAJOR(k->rdev),
		.rdev_minor = LINUX_MINOR(k->rdev),
		.dev_major = LINUX_MAJOR(k->dev),
		.dev_minor = LINUX_MINOR(k->dev),
		.mnt_id = k->mnt_id,
	};

	if (k->btime.sec != 0 || k->btime.nsec != 0)
		stx.mask |= LINUX_STATX_BTIME;
	if (k->mnt_id != 0)
		stx.mask |= LINUX_STATX_MNT_ID;
	return put_guest(task, dst, &stx);
}

#define STATX_RESERVED 0x80000000U

SYSCALL_DEFINE5(statx, int, dirfd, gva_t, path, uint32_t, flags, uint32_t, mask, gva_t, dst)
{
	struct target t;
	struct kstat st;
	int err;

	if (mask & STATX_RESERVED)
		return -LINUX_EINVAL;
	if ((flags & LINUX_AT_STATX_SYNC_TYPE) == LINUX_AT_STATX_SYNC_TYPE)
		return -LINUX_EINVAL;
	if (flags & ~STAT_FLAGS)
		return -LINUX_EINVAL;
	err = target_find(task, dirfd, path, lookup_from_at(flags), &t);
	if (err)
		return err;
	err = target_getattr(task, &t, &st);
	target_put(&t);
	return err ? err : put_statx(task, dst, &st);
}

/* ---- statfs ---- */

/* A file without a name has a superblock but no mount. */
static int target_statfs(struct task *task, const struct target *t, struct linux_statfs *st)
{
	memset(st, 0, sizeof(*st));
	if (t->path.dentry != NULL)
		return vfs_statfs(task, &t->path, st);
	st->type = t->inode->sb->magic;
	st->bsize = st->frsize = (int64_t)PAGE_SIZE;
	st->namelen = LINUX_NAME_MAX;
	return 0;
}

SYSCALL_DEFINE2(statfs, gva_t, path, gva_t, dst)
{
	struct linux_statfs st;
	struct target t;
	int err;

	err = target_find(task, LINUX_AT_FDCWD, path, LOOKUP_FOLLOW, &t);
	if (err)
		return err;
	err = target_statfs(task, &t, &st);
	target_put(&t);
	return err ? err : put_guest(task, dst, &st);
}

SYSCALL_DEFINE2(fstatfs, int, fd, gva_t, dst)
{
	struct linux_statfs st;
	struct target t = {0};
	int err;

	err = target_by_fd(task, fd, &t);
	if (err)
		return err;
	err = target_statfs(task, &t, &st);
	target_put(&t);
	return err ? err : put_guest(task, dst, &st);
}

/* ---- access ---- */

#define SECURE_NO_SETUID_FIXUP 4U

/* Credentials with the real ids in place of the effective ones, as access(2) looks. NULL if memory is out. */
static struct cred *real_cred(const struct cred *c)
{
	struct cred *real = cred_dup(c);

	if (real == NULL)
		return NULL;
	real->fsuid = real->uid;
	real->fsgid = real->gid;
	if (!(real->securebits & SECURE_NO_SETUID_FIXUP))
		real->cap_effective = real->uid == 0 ? real->cap_permitted : 0;
	return real;
}

static bool real_is_effective(const struct cred *c)
{
	return c->fsuid == c->uid && c->fsgid == c->gid && c->cap_effective == (c->uid == 0 ? c->cap_permitted : 0);
}

static int check_access(struct task *task, const struct target *t, uint32_t mode)
{
	int mask = (mode & 4 ? MAY_READ : 0) | (mode & 2 ? MAY_WRITE : 0) | (mode & 1 ? MAY_EXEC : 0);

	if (mask == 0)
		return 0;
	if ((mask & MAY_EXEC) && (t->inode->mode & LINUX_S_IFMT) == LINUX_S_IFREG && t->path.mount != NULL &&
	    (t->path.mount->flags & LINUX_MS_NOEXEC))
		return -LINUX_EACCES;
	return t->path.dentry != NULL ? path_permission(task, &t->path, mask) : inode_permission(task, t->inode, mask);
}

static int64_t access_at(struct task *task, int dirfd, gva_t path, uint32_t mode, uint32_t flags)
{
	struct cred *real = NULL, *saved = task->cred;
	struct target t;
	int err;

	if (mode & ~7U)
		return -LINUX_EINVAL;
	if (flags & ~(LINUX_AT_EACCESS | LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
		return -LINUX_EINVAL;
	if (!(flags & LINUX_AT_EACCESS) && !real_is_effective(saved)) {
		real = real_cred(saved);
		if (real == NULL)
			return -LINUX_ENOMEM;
		task->cred = real;
	}
	err = target_find(task, dirfd, path, lookup_from_at(flags), &t);
	if (err == 0) {
		err = check_access(task, &t, mode);
		target_put(&t);
	}
	if (real != NULL) {
		task->cred = saved;
		cred_put(real);
	}
	return err;
}

SYSCALL_DEFINE2(access, gva_t, path, uint32_t, mode)
{
	return access_at(task, LINUX_AT_FDCWD, path, mode, 0);
}

SYSCALL_DEFINE3(faccessat, int, dirfd, gva_t, path, uint32_t, mode)
{
	return access_at(task, dirfd, path, mode, 0);
}

SYSCALL_DEFINE4(faccessat2, int, dirfd, gva_t, path, uint32_t, mode, uint32_t, flags)
{
	return access_at(task, dirfd, path, mode, flags);
}

/* ---- readlink ---- */

static int64_t readlink_at(struct task *task, int dirfd, gva_t gname, gva_t dst, int32_t size)
{
	struct target t;
	char *link;
	size_t len;
	int64_t ret;

	if (size <= 0)
		return -LINUX_EINVAL;
	/* An empty path with a descriptor of the link itself (O_PATH | O_NOFOLLOW) needs no flag. */
	ret = target_find(task, dirfd, gname, LOOKUP_EMPTY, &t);
	if (ret)
		return ret;
	if ((t.inode->mode & LINUX_S_IFMT) != LINUX_S_IFLNK || t.path.dentry == NULL) {
		target_put(&t);
		return t.empty ? -LINUX_ENOENT : -LINUX_EINVAL;
	}
	ret = vfs_readlink(task, &t.path, &link);
	if (ret == 0) {
		len = MIN(strlen(link), (size_t)size);
		ret = copy_to_guest(task, dst, link, len);
		if (ret == 0)
			ret = (int64_t)len;
		kfree(link);
	}
	target_put(&t);
	return ret;
}

SYSCALL_DEFINE3(readlink, gva_t, path, gva_t, dst, int32_t, size)
{
	return readlink_at(task, LINUX_AT_FDCWD, path, dst, size);
}

SYSCALL_DEFINE4(readlinkat, int, dirfd, gva_t, path, gva_t, dst, int32_t, size)
{
	return readlink_at(task, dirfd, path, dst, size);
}

/* ---- file handles ---- */

#define HANDLE_MAX 128U
#define HANDLE_TYPE_INO64_GEN 0x81
#define AT_HANDLE_FID 0x200U

struct file_handle {
	uint32_t bytes;
	int32_t type;
};

/* A handle says which inode; open_by_handle_at is refused to everybody in a container, so it only serves comparing. */
SYSCALL_DEFINE5(name_to_handle_at, int, dirfd, gva_t, name, gva_t, ghandle, gva_t, gmount_id, uint32_t, flags)
{
	struct {
		uint64_t ino;
		uint32_t generation;
	} __attribute__((packed)) handle = {0};
	unsigned lookup = (flags & LINUX_AT_SYMLINK_FOLLOW ? LOOKUP_FOLLOW : 0) |
			  (flags & LINUX_AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
	struct file_handle head;
	struct target t;
	int32_t mount_id;
	int err;

	if (flags & ~(LINUX_AT_SYMLINK_FOLLOW | LINUX_AT_EMPTY_PATH | AT_HANDLE_FID))
		return -LINUX_EINVAL;
	err = target_find(task, dirfd, name, lookup, &t);
	if (err)
		return err;
	handle.ino = t.inode->ino;
	mount_id = t.path.mount != NULL ? (int32_t)t.path.mount->id : 0;
	err = t.path.mount != NULL ? 0 : -LINUX_EOPNOTSUPP;
	target_put(&t);
	if (err == 0)
		err = get_guest(task, &head, ghandle);
	if (err == 0 && head.bytes > HANDLE_MAX)
		err = -LINUX_EINVAL;
	if (err)
		return err;
	if (head.bytes < sizeof(handle)) {
		err = -LINUX_EOVERFLOW;
	} else {
		head.type = HANDLE_TYPE_INO64_GEN;
		if (copy_to_guest(task, gva_add(ghandle, sizeof(head)), &handle, sizeof(handle)) != 0)
			return -LINUX_EFAULT;
	}
	head.bytes = sizeof(handle);
	if (put_guest(task, ghandle, &head) != 0 || put_guest(task, gmount_id, &mount_id) != 0)
		return -LINUX_EFAULT;
	return err;
}
