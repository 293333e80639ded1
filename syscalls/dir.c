/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories: getdents(2), getdents64(2), mkdir(2), rmdir(2), chdir(2), fchdir(2), getcwd(2), chroot(2).
 *
 * Entries are laid out in the sentry (at most DENTS_MAX bytes a call; Linux also returns fewer than asked for) and
 * copied out once.
 */
#include "syscalls/define.h"

#include "sentry/abi/capability.h"
#include "sentry/base/alloc.h"
#include "sentry/vfs/modify.h"

#include <string.h>

#define DENTS_MAX (64 * KiB)

struct dents {
	struct dir_emit emit;
	uint8_t *buf;
	size_t size, used;
	bool old;    /* struct linux_dirent of getdents(2) */
	bool full;   /* an entry didn't fit */
};

/* struct linux_dirent: the type is the record's last byte. */
struct old_dirent {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	char name[];
};

static bool add_entry(struct dir_emit *emit, const char *name, size_t len, uint64_t ino, uint32_t type, int64_t off)
{
	struct dents *d = container_of(emit, struct dents, emit);
	size_t head = d->old ? offsetof(struct old_dirent, name) : offsetof(struct linux_dirent64, name);
	size_t reclen = (head + len + (d->old ? 2 : 1) + 7) & ~7UL;
	uint8_t *rec = d->buf + d->used;

	if (reclen > d->size - d->used) {
		d->full = true;
		return false;
	}
	memset(rec, 0, reclen);
	if (d->old) {
		struct old_dirent *e = (struct old_dirent *)rec;

		e->ino = ino;
		e->off = off;
		e->reclen = (uint16_t)reclen;
		memcpy(e->name, name, len);
		rec[reclen - 1] = (uint8_t)type;
	} else {
		struct linux_dirent64 *e = (struct linux_dirent64 *)rec;

		e->ino = ino;
		e->off = off;
		e->reclen = (uint16_t)reclen;
		e->type = (uint8_t)type;
		memcpy(e->name, name, len);
	}
	d->used += reclen;
	return true;
}

/* One buffer is kept between calls: a block of this size would be mapped, touched and unmapped each time. The filesystem may
 * sleep, and then another call takes its own. */
static uint8_t *kept_buf;

static uint8_t *buf_take(void)
{
	uint8_t *buf = kept_buf;

	kept_buf = NULL;
	return buf != NULL ? buf : kmalloc(DENTS_MAX);
}

static void buf_give(uint8_t *buf)
{
	if (kept_buf == NULL)
		kept_buf = buf;
	else
		kfree(buf);
}

/* How many of the first len bytes are whole entries. *pos: where the directory goes on behind them. */
static size_t whole_entries(const struct dents *d, size_t len, int64_t *pos)
{
	size_t at = 0;

	_Static_assert(offsetof(struct old_dirent, reclen) == offsetof(struct linux_dirent64, reclen), "both begin alike");
	for (;;) {
		const struct old_dirent *e = (const struct old_dirent *)(d->buf + at);

		if (len - at < sizeof(*e) || len - at < e->reclen)
			return at;
		*pos = e->off;
		at += e->reclen;
	}
}

static int64_t read_dents(struct task *task, struct file *file, gva_t dst, uint32_t count, bool old)
{
	struct dents d = {.emit.add = add_entry, .size = MIN((size_t)count, DENTS_MAX), .old = old};
	int64_t pos = file->pos, ret;

	d.buf = buf_take();
	if (d.buf == NULL)
		return -LINUX_ENOMEM;
	ret = vfs_iterate(task, file, &d.emit);
	if (d.used != 0) {
		size_t n = copy_to_guest_partial(task, dst, d.buf, d.used);

		ret = (int64_t)(n == d.used ? n : whole_entries(&d, n, &pos));
		if (n != d.used)
			file->pos = pos; /* the rest comes next time */
		if (ret == 0)
			ret = -LINUX_EFAULT;
	} else if (ret == 0 && d.full) {
		ret = -LINUX_EINVAL;
	}
	buf_give(d.buf);
	return ret;
}

static int64_t getdents_fd(struct task *task, int fd, gva_t dst, uint32_t count, bool old)
{
	struct file *file = fd_get(task, fd);
	int64_t ret;

	if (file == NULL)
		return -LINUX_EBADF;
	ret = read_dents(task, file, dst, count, old);
	file_put(file);
	return ret;
}

SYSCALL_DEFINE3(getdents64, int, fd, gva_t, dst, uint32_t, count)
{
	return getdents_fd(task, fd, dst, count, false);
}

SYSCALL_DEFINE3(getdents, int, fd, gva_t, dst, uint32_t, count)
{
	return getdents_fd(task, fd, dst, count, true);
}

static int64_t mkdir_at(struct task *task, int dirfd, gva_t path, uint32_t mode)
{
	char *name;
	int err;

	err = copy_path_from_guest(task, path, &name);
	if (err)
		return err;
	err = vfs_mkdir(task, dirfd, name, mode);
	kfree(name);
	return err;
}

SYSCALL_DEFINE2(mkdir, gva_t, path, uint32_t, mode)
{
	return mkdir_at(task, LINUX_AT_FDCWD, path, mode);
}

SYSCALL_DEFINE3(mkdirat, int, dirfd, gva_t, path, uint32_t, mode)
{
	return mkdir_at(task, dirfd, path, mode);
}

SYSCALL_DEFINE1(rmdir, gva_t, path)
{
	char *name;
	int err;

	err = copy_path_from_guest(task, path, &name);
	if (err)
		return err;
	err = vfs_rmdir(task, LINUX_AT_FDCWD, name);
	kfree(name);
	return err;
}

/* A directory that the task may search, by name. References in *out. */
static int lookup_dir(struct task *task, gva_t gname, struct path *out)
{
	char *name;
	int err;

	err = copy_path_from_guest(task, gname, &name);
	if (err)
		return err;
	err = vfs_lookup(task, LINUX_AT_FDCWD, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, out);
	kfree(name);
	if (err)
		return err;
	err = inode_permission(task, out->dentry->inode, MAY_EXEC);
	if (err)
		path_put(out);
	return err;
}

SYSCALL_DEFINE1(chdir, gva_t, path)
{
	struct path dir;
	int err;

	err = lookup_dir(task, path, &dir);
	if (err == 0)
		fs_set_cwd(task->fs, &dir);
	return err;
}

SYSCALL_DEFINE1(fchdir, int, fd)
{
	struct file *file = fd_get_path(task, fd);
	struct path dir;
	int err;

	if (file == NULL)
		return -LINUX_EBADF;
	err = inode_is_dir(file->inode) && file->path.dentry != NULL ? 0 : -LINUX_ENOTDIR;
	if (err == 0)
		err = inode_permission(task, file->inode, MAY_EXEC);
	if (err == 0) {
		dir = file->path;
		path_get(&dir);
		fs_set_cwd(task->fs, &dir);
	}
	file_put(file);
	return err;
}

SYSCALL_DEFINE1(chroot, gva_t, path)
{
	struct path dir;
	int err;

	err = lookup_dir(task, path, &dir);
	if (err)
		return err;
	if (!task_capable(task, LINUX_CAP_SYS_CHROOT)) {
		path_put(&dir);
		return -LINUX_EPERM;
	}
	fs_set_root(task->fs, &dir);
	return 0;
}

SYSCALL_DEFINE2(getcwd, gva_t, dst, uint64_t, size)
{
	static const char prefix[] = "(unreachable)";
	const struct path *cwd = &task->fs->cwd;
	char *name;
	size_t len;
	int64_t ret;

	if (cwd->dentry->unhashed)
		return -LINUX_ENOENT;
	ret = vfs_path_name(task, cwd, false, &name);
	if (ret == -LINUX_ENOENT) {
		/* Outside the task's root: Linux names it from the top of its mount. */
		name = kstrdup(prefix);
		ret = name != NULL ? 0 : -LINUX_ENOMEM;
	}
	if (ret)
		return ret;
	len = strlen(name) + 1;
	if (len > LINUX_PATH_MAX)
		ret = -LINUX_ENAMETOOLONG;
	else if (len > size)
		ret = -LINUX_ERANGE;
	else
		ret = copy_to_guest(task, dst, name, len);
	kfree(name);
	return ret ? ret : (int64_t)len;
}
