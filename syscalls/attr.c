/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes: chmod, chown, times, sizes, umask, and the calls that only promise something about storage (fsync,
 * fadvise64...), which here always holds: files are memory. The rules are vfs_setattr's and sentry/vfs/modify.c's.
 */
#include "syscalls/define.h"

#include "sentry/base/alloc.h"
#include "sentry/kernel/ids.h"
#include "sentry/vfs/modify.h"

#include <string.h>

/* What a (dirfd, path, flags) triple leads to. A file without a name has no path. */
struct target {
	struct file *file;
	struct path path;    /* references if file is NULL, else borrowed from it */
	struct inode *inode; /* borrowed */
};

static const struct path *target_path(const struct target *t)
{
	return t->path.dentry != NULL ? &t->path : NULL;
}

static void target_put(struct target *t)
{
	if (t->file != NULL)
		file_put(t->file);
	else
		path_put(&t->path);
}

/* o_path: descriptors opened with O_PATH are good enough. */
static int target_by_fd(struct task *task, int fd, bool o_path, struct target *t)
{
	t->file = o_path ? fd_get_path(task, fd) : fd_get(task, fd);
	if (t->file == NULL)
		return -LINUX_EBADF;
	t->path = t->file->path;
	t->inode = t->file->inode;
	return 0;
}

static int target_find(struct task *task, int dirfd, gva_t gname, uint32_t flags, struct target *t)
{
	unsigned lookup = flags & LINUX_AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	char *name;
	int err;

	memset(t, 0, sizeof(*t));
	err = copy_path_from_guest(task, gname, &name);
	if (err)
		return err;
	if (flags & LINUX_AT_EMPTY_PATH)
		lookup |= LOOKUP_EMPTY;
	if (name[0] == '\0' && (lookup & LOOKUP_EMPTY) && dirfd >= 0) {
		err = target_by_fd(task, dirfd, true, t);
	} else {
		err = vfs_lookup(task, dirfd, name, lookup, &t->path);
		if (err == 0)
			t->inode = t->path.dentry->inode;
	}
	kfree(name);
	return err;
}

/* ---- mode and owner ---- */

static int64_t chmod_target(struct task *task, struct target *t, uint32_t mode)
{
	struct iattr attr = {.valid = ATTR_MODE | ATTR_CTIME, .mode = mode & 07777, .ctime = vfs_now()};

	if ((t->inode->mode & LINUX_S_IFMT) == LINUX_S_IFLNK)
		return -LINUX_EOPNOTSUPP;
	return vfs_setattr(task, target_path(t), t->inode, &attr);
}

static int64_t chmod_at(struct task *task, int dirfd, gva_t path, uint32_t mode, uint32_t flags)
{
	struct target t;
	int64_t ret;

	if (flags & ~(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
		return -LINUX_EINVAL;
	ret = target_find(task, dirfd, path, flags, &t);
	if (ret)
		return ret;
	ret = chmod_target(task, &t, mode);
	target_put(&t);
	return ret;
}

SYSCALL_DEFINE2(chmod, gva_t, path, uint32_t, mode)
{
	return chmod_at(task, LINUX_AT_FDCWD, path, mode, 0);
}

SYSCALL_DEFINE3(fchmodat, int, dirfd, gva_t, path, uint32_t, mode)
{
	return chmod_at(task, dirfd, path, mode, 0);
}

SYSCALL_DEFINE4(fchmodat2, int, dirfd, gva_t, path, uint32_t, mode, uint32_t, flags)
{
	return chmod_at(task, dirfd, path, mode, flags);
}

SYSCALL_DEFINE2(fchmod, int, fd, uint32_t, mode)
{
	struct target t;
	int64_t ret;

	ret = target_by_fd(task, fd, false, &t);
	if (ret)
		return ret;
	ret = chmod_target(task, &t, mode);
	target_put(&t);
	return ret;
}

static int64_t chown_target(struct task *task, struct target *t, uint32_t uid, uint32_t gid)
{
	struct iattr attr = {.valid = ATTR_CTIME, .uid = uid, .gid = gid, .ctime = vfs_now()};

	if ((uid != UINT32_MAX && !uid_mapped(uid)) || (gid != UINT32_MAX && !gid_mapped(gid)))
		return -LINUX_EINVAL;
	if (uid != UINT32_MAX)
		attr.valid |= ATTR_UID;
	if (gid != UINT32_MAX)
		attr.valid |= ATTR_GID;
	/* chown(-1, -1) changes nobody, but takes the set-id bits all the same. */
	if (!(attr.valid & (ATTR_UID | ATTR_GID)) && !inode_is_dir(t->inode)) {
		attr.mode = t->inode->mode & 07777 & ~LINUX_S_ISUID;
		if ((attr.mode & (LINUX_S_ISGID | 010)) == (LINUX_S_ISGID | 010))
			attr.mode &= ~LINUX_S_ISGID;
		if (attr.mode != (t->inode->mode & 07777))
			attr.valid |= ATTR_MODE;
	}
	return vfs_setattr(task, target_path(t), t->inode, &attr);
}

static int64_t chown_at(struct task *task, int dirfd, gva_t path, uint32_t uid, uint32_t gid, uint32_t flags)
{
	struct target t;
	int64_t ret;

	if (flags & ~(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
		return -LINUX_EINVAL;
	ret = target_find(task, dirfd, path, flags, &t);
	if (ret)
		return ret;
	ret = chown_target(task, &t, uid, gid);
	target_put(&t);
	return ret;
}

SYSCALL_DEFINE3(chown, gva_t, path, uint32_t, uid, uint32_t, gid)
{
	return chown_at(task, LINUX_AT_FDCWD, path, uid, gid, 0);
}

SYSCALL_DEFINE3(lchown, gva_t, path, uint32_t, uid, uint32_t, gid)
{
	return chown_at(task, LINUX_AT_FDCWD, path, uid, gid, LINUX_AT_SYMLINK_NOFOLLOW);
}

SYSCALL_DEFINE5(fchownat, int, dirfd, gva_t, path, uint32_t, uid, uint32_t, gid, uint32_t, flags)
{
	return chown_at(task, dirfd, path, uid, gid, flags);
}

SYSCALL_DEFINE3(fchown, int, fd, uint32_t, uid, uint32_t, gid)
{
	struct target t;
	int64_t ret;

	ret = target_by_fd(task, fd, false, &t);
	if (ret)
		return ret;
	ret = chown_target(task, &t, uid, gid);
	target_put(&t);
	return ret;
}

SYSCALL_DEFINE1(umask, uint32_t, mask)
{
	uint32_t old = task->fs->umask;

	task->fs->umask = mask & 0777;
	return old;
}

/* ---- times ---- */

static bool valid_nsec(int64_t nsec)
{
	return (nsec >= 0 && nsec < (int64_t)NSEC_PER_SEC) || nsec == LINUX_UTIME_NOW || nsec == LINUX_UTIME_OMIT;
}

static int64_t utimes_at(struct task *task, int dirfd, gva_t path, const struct ktimespec *times, uint32_t flags)
{
	struct target t;
	int64_t ret;

	/* A null path with a descriptor is futimens(3). */
	if (path.v == 0 && dirfd != LINUX_AT_FDCWD) {
		if (flags)
			return -LINUX_EINVAL;
		ret = target_by_fd(task, dirfd, false, &t);
	} else {
		if (flags & ~(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
			return -LINUX_EINVAL;
		ret = target_find(task, dirfd, path, flags, &t);
	}
	if (ret)
		return ret;
	if (times != NULL && (!valid_nsec(times[0].nsec) || !valid_nsec(times[1].nsec)))
		ret = -LINUX_EINVAL;
	else
		ret = vfs_utimes(task, target_path(&t), t.inode, times);
	target_put(&t);
	return ret;
}

SYSCALL_DEFINE4(utimensat, int, dirfd, gva_t, path, gva_t, gtimes, uint32_t, flags)
{
	struct ktimespec times[2];
	int err;

	if (gtimes.v != 0) {
		struct linux_timespec in[2];

		err = copy_from_guest(task, in, gtimes, sizeof(in));
		if (err)
			return err;
		for (int i = 0; i < 2; i++)
			times[i] = (struct ktimespec){in[i].sec, in[i].nsec};
		/* Nothing to do comes before all else that may be wrong. */
		if (times[0].nsec == LINUX_UTIME_OMIT && times[1].nsec == LINUX_UTIME_OMIT)
			return 0;
	}
	return utimes_at(task, dirfd, path, gtimes.v != 0 ? times : NULL, flags);
}

static int64_t utimes_us(struct task *task, int dirfd, gva_t path, gva_t gtimes)
{
	struct ktimespec times[2];

	if (gtimes.v != 0) {
		struct linux_timeval in[2];
		int err = copy_from_guest(task, in, gtimes, sizeof(in));

		if (err)
			return err;
		for (int i = 0; i < 2; i++) {
			if (in[i].usec < 0 || in[i].usec >= 1000000)
				return -LINUX_EINVAL;
			times[i] = (struct ktimespec){in[i].sec, in[i].usec * 1000};
		}
	}
	return utimes_at(task, dirfd, path, gtimes.v != 0 ? times : NULL, 0);
}

SYSCALL_DEFINE2(utimes, gva_t, path, gva_t, times)
{
	return utimes_us(task, LINUX_AT_FDCWD, path, times);
}

SYSCALL_DEFINE3(futimesat, int, dirfd, gva_t, path, gva_t, times)
{
	return utimes_us(task, dirfd, path, times);
}

SYSCALL_DEFINE2(utime, gva_t, path, gva_t, gtimes)
{
	struct ktimespec times[2] = {{0, 0}, {0, 0}};
	int64_t in[2];

	if (gtimes.v != 0) {
		int err = copy_from_guest(task, in, gtimes, sizeof(in));

		if (err)
			return err;
		times[0].sec = in[0];
		times[1].sec = in[1];
	}
	return utimes_at(task, LINUX_AT_FDCWD, path, gtimes.v != 0 ? times : NULL, 0);
}

/* ---- size and space ---- */

SYSCALL_DEFINE2(truncate, gva_t, path, int64_t, len)
{
	struct target t;
	int64_t ret;

	if (len < 0)
		return -LINUX_EINVAL;
	ret = target_find(task, LINUX_AT_FDCWD, path, 0, &t);
	if (ret)
		return ret;
	ret = vfs_truncate(task, &t.path, len);
	target_put(&t);
	return ret;
}

SYSCALL_DEFINE2(ftruncate, int, fd, int64_t, len)
{
	struct file *file;
	int64_t ret;

	if (len < 0)
		return -LINUX_EINVAL;
	file = fd_get(task, fd);
	if (file == NULL)
		return -LINUX_EBADF;
	ret = vfs_ftruncate(task, file, len);
	file_put(file);
	return ret;
}

SYSCALL_DEFINE4(fallocate, int, fd, int, mode, int64_t, off, int64_t, len)
{
	struct file *file = fd_get(task, fd);
	int64_t ret;

	if (file == NULL)
		return -LINUX_EBADF;
	ret = vfs_fallocate(task, file, mode, off, len);
	file_put(file);
	return ret;
}

/* ---- promises about storage ---- */

static int64_t sync_fd(struct task *task, int fd)
{
	struct file *file = fd_get(task, fd);
	uint32_t type;
	int64_t ret;

	if (file == NULL)
		return -LINUX_EBADF;
	type = file->inode->mode & LINUX_S_IFMT;
	if (file->ops->fsync != NULL)
		ret = file->ops->fsync(task, file);
	else
		ret = type == LINUX_S_IFREG || type == LINUX_S_IFDIR || type == LINUX_S_IFBLK ? 0 : -LINUX_EINVAL;
	file_put(file);
	return ret;
}

SYSCALL_DEFINE1(fsync, int, fd)
{
	return sync_fd(task, fd);
}

SYSCALL_DEFINE1(fdatasync, int, fd)
{
	return sync_fd(task, fd);
}

SYSCALL_DEFINE0(sync)
{
	(void)task;
	return 0;
}

SYSCALL_DEFINE1(syncfs, int, fd)
{
	struct file *file = fd_get(task, fd);

	if (file == NULL)
		return -LINUX_EBADF;
	file_put(file);
	return 0;
}

static bool has_pages(const struct file *file)
{
	uint32_t type = file->inode->mode & LINUX_S_IFMT;

	return type == LINUX_S_IFREG || type == LINUX_S_IFBLK;
}

SYSCALL_DEFINE4(sync_file_range, int, fd, int64_t, off, int64_t, len, uint32_t, flags)
{
	struct file *file = fd_get(task, fd);
	uint32_t type;
	int64_t ret = 0, end;

	if (file == NULL)
		return -LINUX_EBADF;
	type = file->inode->mode & LINUX_S_IFMT;
	if ((flags & ~7U) || off < 0 || len < 0 || __builtin_add_overflow(off, len, &end))
		ret = -LINUX_EINVAL;
	else if (type != LINUX_S_IFREG && type != LINUX_S_IFBLK && type != LINUX_S_IFDIR && type != LINUX_S_IFLNK)
		ret = -LINUX_ESPIPE;
	file_put(file);
	return ret;
}

SYSCALL_DEFINE4(fadvise64, int, fd, int64_t, off, int64_t, len, int, advice)
{
	struct file *file = fd_get(task, fd);
	int64_t ret = 0;

	(void)off;
	if (file == NULL)
		return -LINUX_EBADF;
	if (file->mode & FMODE_STREAM)
		ret = -LINUX_ESPIPE;
	else if (len < 0 || advice < 0 || advice > 5)
		ret = -LINUX_EINVAL;
	file_put(file);
	return ret;
}

SYSCALL_DEFINE3(readahead, int, fd, int64_t, off, uint64_t, count)
{
	struct file *file = fd_get(task, fd);
	int64_t ret = 0;

	(void)off;
	(void)count;
	if (file == NULL)
		return -LINUX_EBADF;
	if (!(file->mode & FMODE_READ))
		ret = -LINUX_EBADF;
	else if (!has_pages(file))
		ret = -LINUX_EINVAL;
	file_put(file);
	return ret;
}
