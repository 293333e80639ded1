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
 *
 * Of a root with maps of ids it gets no more than who is in them: an id that isn't in them is EINVAL before anything is done; what
 * is made has an owner and a group that are, or is gone again (if it can't be told from somebody else's file, it stays, shut and its
 * maker's); modes, owners and times of files whose owner isn't in them don't change (but to now), and
 * directories and files that none of them may write to stay as they are (gofer_reaches).
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

static bool has_maps(void)
{
	return gofer_ask.root->ids.uids.n != 0;
}

/* The owner that the request names, on the host; -1: it names none. 0, or -EINVAL: one that can't be had. */
static int owner_asked(uid_t *uid, gid_t *gid)
{
	const struct gofer_request *q = &gofer_ask.req;

	*uid = (q->valid & GOFER_ATTR_UID) ? idmap_host(&gofer_ask.root->ids.uids, q->uid) : (uid_t)-1;
	*gid = (q->valid & GOFER_ATTR_GID) ? idmap_host(&gofer_ask.root->ids.gids, q->gid) : (gid_t)-1;
	return ((q->valid & GOFER_ATTR_UID) && *uid == (uid_t)-1) || ((q->valid & GOFER_ATTR_GID) && *gid == (gid_t)-1) ? -EINVAL : 0;
}

/* May names in the directory change? And of a new one: will it have an owner in the maps, and a group in them or the directory's? */
static int dir_changes(int dir, bool new)
{
	const struct gofer_request *q = &gofer_ask.req;
	struct stat st;

	if (!has_maps())
		return 0;
	if (fstat(dir, &st) < 0)
		return -errno;
	if (!gofer_reaches(gofer_ask.root, &st, MAY_W | MAY_X))
		return -EACCES;
	if (new && (!(q->valid & GOFER_ATTR_UID) || (!(q->valid & GOFER_ATTR_GID) && !(st.st_mode & S_ISGID))))
		return -EINVAL;
	return 0;
}

/* May this name go? In a directory with the sticky bit only who owns one of the two removes it. */
static int victim_goes(int dir, const char *name)
{
	struct stat st, victim;

	if (!has_maps())
		return 0;
	if (fstat(dir, &st) < 0 || fstatat(dir, name, &victim, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return (st.st_mode & S_ISVTX) && !gofer_owner_mapped(gofer_ask.root, &st) && !gofer_owner_mapped(gofer_ask.root, &victim) ? -EPERM : 0;
}

/*
 * Is this what was just made, and not what somebody has put under its name since (another sandbox with the same directory)? A
 * directory, FIFO or socket is made with no permission at all, and a link with a target that we know: a file of the host's that is
 * the same in all that is no prize. With S_ISGID a directory may be born.
 */
static bool is_made(int node, const struct stat *st, mode_t type)
{
	char target[GOFER_TARGET_MAX + 1];

	if (st->st_uid != gofer_ask.root->self || (st->st_mode & S_IFMT) != type)
		return false;
	if (type == S_IFLNK)
		return st->st_nlink == 1 && readlinkat(node, "", target, sizeof(target)) == (ssize_t)gofer_ask.req.arg_len &&
		       memcmp(target, gofer_ask.arg, gofer_ask.req.arg_len) == 0;
	if (type == S_IFDIR)
		return (st->st_mode & 05777) == 0 && st->st_nlink <= 2;
	return (st->st_mode & 07777) == 0 && st->st_nlink == 1;
}

/* The mode of an open node, by any descriptor (O_PATH). */
static int set_mode(int node, mode_t mode)
{
	char self[40];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", node);
	return fchmodat(AT_FDCWD, self, mode, 0) < 0 ? -errno : 0;
}

/*
 * Owner and mode of a new node of a root with maps: for what is proven to be it, or is of the maps already (as on filesystems that
 * choose owners themselves). *ours: it is the new one, whatever came of it.
 */
static int settle_made(int node, mode_t type, bool proven, uid_t uid, gid_t gid, bool *ours)
{
	const struct gofer_root *root = gofer_ask.root;
	struct stat st;
	bool mapped;

	if (fstat(node, &st) < 0)
		return -errno;
	mapped = gofer_owner_mapped(root, &st);
	*ours = proven || is_made(node, &st, type);
	if (!*ours && (!mapped || (st.st_mode & S_IFMT) != type))
		return -ESTALE;
	if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchownat(node, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 &&
	    (errno != EPERM || !mapped || idmap_inside(&root->ids.gids, st.st_gid) == ID_NONE))
		return -errno;
	if (type == S_IFREG || type == S_IFLNK)
		return 0;
	return set_mode(node, host_mode(gofer_ask.req.mode, type == S_IFDIR) | (type == S_IFDIR ? st.st_mode & S_ISGID : 0));
}

/* What could not get its owner goes again, if the name still means it. */
static void unmake(struct parent *p, int node, mode_t type)
{
	struct stat st, now;

	if (fstat(node, &st) == 0 && fstatat(p->fd, p->name, &now, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == now.st_ino &&
	    st.st_dev == now.st_dev)
		unlinkat(p->fd, p->name, type == S_IFDIR ? AT_REMOVEDIR : 0);
}

/*
 * A new node gets the guest's owner, where the gofer may give files away. Its record is the answer. fd: the node itself, if it is
 * open. Who may not give files away (an ordinary user) leaves it as it is; of a root with maps it is gone then.
 */
static int made(struct answer *a, struct parent *p, int fd, mode_t type)
{
	int node = fd >= 0 ? fd : openat(p->fd, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC), err;
	bool ours = !has_maps();
	uid_t uid;
	gid_t gid;

	err = node < 0 ? -errno : owner_asked(&uid, &gid);
	if (err == 0 && has_maps())
		err = settle_made(node, type, fd >= 0, uid, gid, &ours);
	else if (err == 0 && (uid != (uid_t)-1 || gid != (gid_t)-1) && fchownat(node, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 &&
		 errno != EPERM)
		err = -errno;
	if (err != 0 && node >= 0 && ours)
		unmake(p, node, type);
	if (node >= 0 && node != fd)
		close(node);
	return err != 0 ? err : gofer_answer_name(a, gofer_ask.root, p->fd, p->name);
}

/* With maps a node is made shut, and gets its mode when it has its owner. */
static mode_t mode_made(bool dir)
{
	return has_maps() ? 0 : host_mode(gofer_ask.req.mode, dir);
}

static int do_create(struct answer *a, struct parent *p)
{
	int fd = openat(p->fd, p->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			host_mode(gofer_ask.req.mode, false));

	if (fd < 0)
		return -errno;
	a->fd = fd;
	return made(a, p, fd, S_IFREG);
}

static int do_mknod(struct answer *a, struct parent *p)
{
	mode_t type = gofer_ask.req.mode & S_IFMT;

	if (type != S_IFIFO && type != S_IFSOCK)
		return -EPERM;
	if (mknodat(p->fd, p->name, type | mode_made(false), 0) < 0)
		return -errno;
	return made(a, p, -1, type);
}

static int do_symlink(struct answer *a, struct parent *p)
{
	size_t len = gofer_ask.req.arg_len;

	if (len == 0 || len > GOFER_TARGET_MAX || memchr(gofer_ask.arg, '\0', len) != NULL)
		return -EINVAL;
	if (symlinkat(gofer_ask.arg, p->fd, p->name) < 0)
		return -errno;
	return made(a, p, -1, S_IFLNK);
}

/* link and rename: the argument is a path of the same root. */
static int open_other(struct parent *other)
{
	if (gofer_ask.req.arg_len == 0 || gofer_ask.req.arg_len > GOFER_PATH_MAX ||
	    !gofer_path_ok(gofer_ask.arg, gofer_ask.req.arg_len))
		return -EINVAL;
	return gofer_open_parent(gofer_ask.root, gofer_ask.arg, other);
}

/* A file of an id that isn't mapped: only if it could be read and written anyway, as protected_hardlinks has it. *st: what was
 * looked at. */
static int may_link(const struct parent *p, struct stat *st)
{
	if (!has_maps())
		return 0;
	if (fstatat(p->fd, p->name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return gofer_owner_mapped(gofer_ask.root, st) ||
			       (S_ISREG(st->st_mode) && !(st->st_mode & 06000) && gofer_reaches(gofer_ask.root, st, MAY_R | MAY_W)) ?
		       0 :
		       -EPERM;
}

/* There is no call that links what is open without rights of its own. So it is looked at again: another file has its new name no longer. */
static int linked(const struct parent *to, const struct stat *was)
{
	struct stat st;

	if (!has_maps())
		return 0;
	if (fstatat(to->fd, to->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (st.st_ino == was->st_ino && st.st_dev == was->st_dev)
		return 0;
	if (victim_goes(to->fd, to->name) == 0)
		unlinkat(to->fd, to->name, 0);
	return -ESTALE;
}

static int do_link(struct answer *a, struct parent *p)
{
	struct parent to;
	struct stat st;
	int err = open_other(&to);

	if (err != 0)
		return err;
	err = dir_changes(to.fd, false);
	if (err == 0)
		err = may_link(p, &st);
	if (err == 0 && linkat(p->fd, p->name, to.fd, to.name, 0) < 0)
		err = -errno;
	else if (err == 0)
		err = linked(&to, &st);
	if (err == 0)
		err = gofer_answer_name(a, gofer_ask.root, to.fd, to.name);
	gofer_put_parent(&to);
	return err;
}

/* A directory that comes into another one has its ".." changed: that takes the right to write to it. */
static int may_move(int dir, const char *name, int to)
{
	struct stat from, there, st;

	if (!has_maps())
		return 0;
	if (fstat(dir, &from) < 0 || fstat(to, &there) < 0)
		return -errno;
	if ((from.st_ino == there.st_ino && from.st_dev == there.st_dev) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return 0; /* if it isn't there, renameat2 says so */
	return gofer_reaches(gofer_ask.root, &st, MAY_W) ? 0 : -EACCES;
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
	err = dir_changes(to.fd, false);
	if (err == 0)
		err = victim_goes(p->fd, p->name);
	if (err == 0 && victim_goes(to.fd, to.name) == -EPERM)
		err = -EPERM;
	if (err == 0)
		err = may_move(p->fd, p->name, to.fd);
	if (err == 0 && (gofer_ask.req.flags & 2U)) /* EXCHANGE: the other one moves, too */
		err = may_move(to.fd, to.name, p->fd);
	if (err == 0)
		err = syscall(SYS_renameat2, p->fd, p->name, to.fd, to.name, gofer_ask.req.flags) < 0 ? -errno : 0;
	gofer_put_parent(&to);
	return err;
}

/* chmod by name follows links, and names may change under us (another sandbox with the same writable directory): the
 * thing itself is held by O_PATH, and its mode changed by way of /proc/self/fd. */
static int change_mode(int dir, const char *name, const struct stat *was, mode_t mode)
{
	struct stat st;
	int fd, err = 0;

	fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_ino != was->st_ino || st.st_dev != was->st_dev)
		err = -ESTALE;
	else if (S_ISLNK(st.st_mode))
		err = -EOPNOTSUPP;
	else
		err = set_mode(fd, mode);
	close(fd);
	return err;
}

/* Owners: of what was looked at, whatever the name means by now. */
static int change_owner(int dir, const char *name, const struct stat *was, uid_t uid, gid_t gid)
{
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), err = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_ino != was->st_ino || st.st_dev != was->st_dev || (has_maps() && !gofer_owner_mapped(gofer_ask.root, &st)))
		err = -ESTALE;
	else if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* Times: with maps, too, of what was looked at. */
static int change_times(int dir, const char *name, const struct stat *was, const struct timespec times[2])
{
	struct stat st;
	int fd, err = 0;

	if (!has_maps())
		return utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_ino != was->st_ino || st.st_dev != was->st_dev)
		err = -ESTALE;
	else if (utimensat(fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
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
	uid_t uid;
	gid_t gid;
	int err = owner_asked(&uid, &gid);

	if (err != 0)
		return err;
	if ((q->valid & ~GOFER_ATTR_ALL) || ((q->valid & GOFER_ATTR_ATIME) && q->atime_nsec > 999999999) ||
	    ((q->valid & GOFER_ATTR_MTIME) && q->mtime_nsec > 999999999))
		return -EINVAL;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (q->ino != 0 && (st.st_ino != q->ino || st.st_dev != q->dev))
		return -ESTALE;
	if ((q->valid & (GOFER_ATTR_UID | GOFER_ATTR_GID | GOFER_ATTR_MODE)) && has_maps() && !gofer_owner_mapped(gofer_ask.root, &st))
		return -EPERM;
	if ((q->valid & (GOFER_ATTR_ATIME | GOFER_ATTR_MTIME)) && !gofer_owner_mapped(gofer_ask.root, &st)) {
		if (!gofer_reaches(gofer_ask.root, &st, MAY_W))
			return -EPERM;
		/* Who isn't its owner may say that it is now, and no other time. */
		for (int i = 0; i < 2; i++)
			times[i].tv_nsec = times[i].tv_nsec == UTIME_OMIT ? UTIME_OMIT : UTIME_NOW;
	}
	if (q->valid & (GOFER_ATTR_UID | GOFER_ATTR_GID))
		err = change_owner(dir, name, &st, uid, gid);
	if (err == 0 && (q->valid & GOFER_ATTR_MODE))
		err = change_mode(dir, name, &st, host_mode(q->mode, S_ISDIR(st.st_mode)));
	if (err == 0 && (q->valid & GOFER_ATTR_SIZE)) {
		struct stat now;
		int fd = q->size <= INT64_MAX ? gofer_open_regular(gofer_ask.root, dir, name, O_WRONLY, 0, 0, &now) : -EINVAL;

		err = fd;
		if (fd >= 0) {
			err = ftruncate(fd, (off_t)q->size) < 0 ? -errno : 0;
			close(fd);
		}
	}
	if (err == 0 && (q->valid & (GOFER_ATTR_ATIME | GOFER_ATTR_MTIME)))
		err = change_times(dir, name, &st, times);
	return err != 0 ? err : gofer_answer_name(a, gofer_ask.root, dir, strcmp(name, ".") == 0 ? "" : name);
}

/* With maps: by a descriptor of what was looked at. Only files and directories have attributes of users. */
static int change_xattr_of(const char *file, const char *value, size_t value_len)
{
	int fd = openat(AT_FDCWD, file, O_PATH | O_NOFOLLOW | O_CLOEXEC), open_fd, err;
	char self[40];
	struct stat st;

	if (fd < 0)
		return -errno;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	err = fstat(fd, &st) < 0 ? -errno : !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) ? -EPERM : !gofer_reaches(gofer_ask.root, &st, MAY_W) ? -EACCES : 0;
	if (err == 0) {
		open_fd = openat(AT_FDCWD, self, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (open_fd < 0 && errno == EACCES && S_ISREG(st.st_mode))
			open_fd = openat(AT_FDCWD, self, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		err = open_fd < 0 || (gofer_ask.req.op == GOFER_REMOVEXATTR ? fremovexattr(open_fd, gofer_ask.arg) :
									     fsetxattr(open_fd, gofer_ask.arg, value, value_len, (int)gofer_ask.req.flags)) < 0 ?
			      -errno :
			      0;
		if (open_fd >= 0)
			close(open_fd);
	}
	close(fd);
	return err;
}

/* Names that a guest may give to the host's files: the others are the host's own business. */
static int change_xattr(void)
{
	size_t name_len = strnlen(gofer_ask.arg, gofer_ask.req.arg_len), value_len = gofer_ask.req.arg_len - name_len - 1;
	const char *file, *value = gofer_ask.arg + name_len + 1;
	int err;

	if (name_len == gofer_ask.req.arg_len || name_len > 255)
		return -EINVAL;
	if (strncmp(gofer_ask.arg, "user.", 5) != 0)
		return -EPERM;
	if (gofer_ask.req.op != GOFER_REMOVEXATTR && (gofer_ask.req.flags & ~3U))
		return -EINVAL;
	err = gofer_enter_parent(&file);
	if (err != 0)
		return err;
	if (has_maps())
		return change_xattr_of(file, value, value_len);
	if (gofer_ask.req.op == GOFER_REMOVEXATTR)
		return lremovexattr(file, gofer_ask.arg) < 0 ? -errno : 0;
	return lsetxattr(file, gofer_ask.arg, value, value_len, (int)gofer_ask.req.flags) < 0 ? -errno : 0;
}

static int may_do(struct parent *p)
{
	unsigned op = gofer_ask.req.op;
	bool new = op == GOFER_CREATE || op == GOFER_MKDIR || op == GOFER_MKNOD || op == GOFER_SYMLINK;
	uid_t uid;
	gid_t gid;
	int err = new ? owner_asked(&uid, &gid) : 0;

	if (err == 0 && op != GOFER_SETATTR && op != GOFER_LINK)
		err = dir_changes(p->fd, new);
	if (err == 0 && (op == GOFER_UNLINK || op == GOFER_RMDIR))
		err = victim_goes(p->fd, p->name);
	return err;
}

static int do_named(struct answer *a, struct parent *p)
{
	int err = may_do(p);

	if (err != 0)
		return err;
	switch (gofer_ask.req.op) {
	case GOFER_CREATE:
		return do_create(a, p);
	case GOFER_MKDIR:
		if (mkdirat(p->fd, p->name, mode_made(true)) < 0)
			return -errno;
		return made(a, p, -1, S_IFDIR);
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
