/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gofer's writing: what changes the host's files, on roots that were given to be written to.
 *
 *	gofer.c's handle() --> gofer_write(): writable? --> the path's directory, opened beneath --> one *at() call
 *
 * Nothing here walks a path: directories come from gofer_open_parent(), files from gofer_open_regular(), and names go into calls
 * that don't follow links. A second path (link, rename) is checked like the first, and is one of the same root.
 *
 * The sentry controls the operation, both paths, modes, owners, times and attributes. It gets: no set-user-ID bits on files, no
 * devices, no attributes but user.*, owners only where the gofer may give files away.
 */
#include "runtime/core/gofer_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* No file of the host's runs as its owner because a guest said so. */
static mode_t host_mode(mode_t mode, bool dir)
{
	return mode & (dir ? 07777 : 01777);
}

/* A new node gets the guest's owner, where the gofer may give files away. Its record is the answer. */
static int made(struct answer *a, struct parent *p)
{
	const struct gofer_request *q = &gofer_ask.req;
	uid_t uid = (q->valid & GOFER_ATTR_UID) ? q->uid : (uid_t)-1;
	gid_t gid = (q->valid & GOFER_ATTR_GID) ? q->gid : (gid_t)-1;

	if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchownat(p->fd, p->name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 &&
	    errno != EPERM)
		return -errno;
	return gofer_answer_name(a, gofer_ask.root, p->fd, p->name);
}

static int do_create(struct answer *a, struct parent *p)
{
	int fd = openat(p->fd, p->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			host_mode(gofer_ask.req.mode, false));

	if (fd < 0)
		return -errno;
	a->fd = fd;
	return made(a, p);
}

static int do_mknod(struct answer *a, struct parent *p)
{
	mode_t type = gofer_ask.req.mode & S_IFMT;

	if (type != S_IFIFO && type != S_IFSOCK)
		return -EPERM;
	if (mknodat(p->fd, p->name, type | host_mode(gofer_ask.req.mode, false), 0) < 0)
		return -errno;
	return made(a, p);
}

static int do_symlink(struct answer *a, struct parent *p)
{
	size_t len = gofer_ask.req.arg_len;

	if (len == 0 || len > GOFER_TARGET_MAX || memchr(gofer_ask.arg, '\0', len) != NULL)
		return -EINVAL;
	if (symlinkat(gofer_ask.arg, p->fd, p->name) < 0)
		return -errno;
	return made(a, p);
}

/* link and rename: the argument is a path of the same root. */
static int open_other(struct parent *other)
{
	if (gofer_ask.req.arg_len == 0 || gofer_ask.req.arg_len > GOFER_PATH_MAX ||
	    !gofer_path_ok(gofer_ask.arg, gofer_ask.req.arg_len))
		return -EINVAL;
	return gofer_open_parent(gofer_ask.root, gofer_ask.arg, other);
}

static int do_link(struct answer *a, struct parent *p)
{
	struct parent to;
	int err = open_other(&to);

	if (err != 0)
		return err;
	err = linkat(p->fd, p->name, to.fd, to.name, 0) < 0 ? -errno :
								  gofer_answer_name(a, gofer_ask.root, to.fd, to.name);
	gofer_put_parent(&to);
	return err;
}

static int do_rename(struct parent *p)
{
	struct parent to;
	int err;

	if (gofer_ask.req.flags & ~3U) /* NOREPLACE, EXCHANGE */
		return -EINVAL;
	err = open_other(&to);
	if (err != 0)
		return err;
	err = syscall(SYS_renameat2, p->fd, p->name, to.fd, to.name, gofer_ask.req.flags) < 0 ? -errno : 0;
	gofer_put_parent(&to);
	return err;
}

/* chmod by name follows links, and names may change under us (another sandbox with the same writable directory): the
 * thing itself is held by O_PATH, and its mode changed by way of /proc/self/fd. */
static int change_mode(int dir, const char *name, mode_t mode)
{
	char self[40];
	struct stat st;
	int fd, err = 0;

	fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (S_ISLNK(st.st_mode))
		err = -EOPNOTSUPP;
	else if (fchmodat(AT_FDCWD, self, mode, 0) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int do_setattr(struct answer *a, int dir, const char *name)
{
	const struct gofer_request *q = &gofer_ask.req;
	struct timespec times[2] = {
		{.tv_sec = q->atime_sec, .tv_nsec = (q->valid & GOFER_ATTR_ATIME) ? (long)q->atime_nsec : UTIME_OMIT},
		{.tv_sec = q->mtime_sec, .tv_nsec = (q->valid & GOFER_ATTR_MTIME) ? (long)q->mtime_nsec : UTIME_OMIT},
	};
	struct stat st;
	int err = 0;

	if ((q->valid & ~GOFER_ATTR_ALL) || ((q->valid & GOFER_ATTR_ATIME) && q->atime_nsec > 999999999) ||
	    ((q->valid & GOFER_ATTR_MTIME) && q->mtime_nsec > 999999999))
		return -EINVAL;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (q->ino != 0 && (st.st_ino != q->ino || st.st_dev != q->dev))
		return -ESTALE;
	if (q->valid & (GOFER_ATTR_UID | GOFER_ATTR_GID))
		err = fchownat(dir, name, (q->valid & GOFER_ATTR_UID) ? q->uid : (uid_t)-1,
			       (q->valid & GOFER_ATTR_GID) ? q->gid : (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0
			      ? -errno
			      : 0;
	if (err == 0 && (q->valid & GOFER_ATTR_MODE))
		err = change_mode(dir, name, host_mode(q->mode, S_ISDIR(st.st_mode)));
	if (err == 0 && (q->valid & GOFER_ATTR_SIZE)) {
		struct stat now;
		int fd = q->size <= INT64_MAX ? gofer_open_regular(gofer_ask.root, dir, name, O_WRONLY, 0, 0, &now) : -EINVAL;

		err = fd;
		if (fd >= 0) {
			err = ftruncate(fd, (off_t)q->size) < 0 ? -errno : 0;
			close(fd);
		}
	}
	if (err == 0 && (q->valid & (GOFER_ATTR_ATIME | GOFER_ATTR_MTIME)) &&
	    utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		err = -errno;
	return err != 0 ? err : gofer_answer_name(a, gofer_ask.root, dir, strcmp(name, ".") == 0 ? "" : name);
}

/* Names that a guest may give to the host's files: the others are the host's own business. */
static int change_xattr(void)
{
	size_t name_len = strnlen(gofer_ask.arg, gofer_ask.req.arg_len);
	const char *file;
	int err;

	if (name_len == gofer_ask.req.arg_len || name_len > 255)
		return -EINVAL;
	if (strncmp(gofer_ask.arg, "user.", 5) != 0)
		return -EPERM;
	err = gofer_enter_parent(&file);
	if (err != 0)
		return err;
	if (gofer_ask.req.op == GOFER_REMOVEXATTR)
		return lremovexattr(file, gofer_ask.arg) < 0 ? -errno : 0;
	if (gofer_ask.req.flags & ~3U)
		return -EINVAL;
	return lsetxattr(file, gofer_ask.arg, gofer_ask.arg + name_len + 1, gofer_ask.req.arg_len - name_len - 1,
			 (int)gofer_ask.req.flags) < 0
		       ? -errno
		       : 0;
}

static int do_named(struct answer *a, struct parent *p)
{
	switch (gofer_ask.req.op) {
	case GOFER_CREATE:
		return do_create(a, p);
	case GOFER_MKDIR:
		if (mkdirat(p->fd, p->name, host_mode(gofer_ask.req.mode, true)) < 0)
			return -errno;
		return made(a, p);
	case GOFER_MKNOD:
		return do_mknod(a, p);
	case GOFER_SYMLINK:
		return do_symlink(a, p);
	case GOFER_LINK:
		return do_link(a, p);
	case GOFER_UNLINK:
		return unlinkat(p->fd, p->name, 0) < 0 ? -errno : 0;
	case GOFER_RMDIR:
		return unlinkat(p->fd, p->name, AT_REMOVEDIR) < 0 ? -errno : 0;
	case GOFER_RENAME:
		return do_rename(p);
	case GOFER_SETATTR:
		return do_setattr(a, p->fd, p->name);
	default:
		return -ENOSYS;
	}
}

int gofer_write(struct answer *a)
{
	struct parent p;
	int err;

	if (!gofer_ask.root->writable)
		return -EROFS;
	if (gofer_ask.req.op == GOFER_SETXATTR || gofer_ask.req.op == GOFER_REMOVEXATTR)
		return change_xattr();
	if (gofer_ask.root->is_file)
		return -ENOTDIR;
	if (gofer_ask.path[0] == '\0') {
		if (gofer_ask.req.op != GOFER_SETATTR)
			return -EBUSY;
		return do_setattr(a, gofer_ask.root->fd, ".");
	}
	err = gofer_open_parent(gofer_ask.root, gofer_ask.path, &p);
	if (err != 0)
		return err;
	err = do_named(a, &p);
	gofer_put_parent(&p);
	return err;
}
