/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gofer's directories: what is in one, and in those below it, and the attributes of some of its names.
 *
 *	GOFER_LIST   --> getdents --> a record each --> the same of directories below and of those named, as many as were asked for
 *	GOFER_ATTRS  --> names --> a record each
 *
 * Attributes cost a call a name, and a walk that looks at names alone (find -name, grep -r) needs them for directories only. So a
 * listing may be bare: regular files are told by what getdents says of them, and the sentry asks for the attributes of those
 * that somebody looks at, many at once; symbolic links, whose target is one more call each, likewise. Whether a file has extended
 * attributes is told on request only: hardly anybody asks, and it is another call a name. Along with the answer that a name is
 * missing (GOFER_WALK_LIST) comes all of a small directory, bare whatever it is: who misses a name asks for others there.
 *
 * A directory that somebody in the maps may read and nobody may search is told bare, whatever is in it.
 *
 * Which directories may be opened, and what is hidden in them, is decided in gofer.c. A hidden file isn't told bare: one whose
 * number is a hidden file's is looked at.
 *
 * The sentry controls names, how many there are, and how many directories are listed ahead: all are bounded here.
 */
#include "runtime/core/gofer_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SMALL_BYTES 6144U /* of what getdents tells of a small directory */

struct listed {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/*
 * Directories that a listing met and that may be listed ahead, the next one last. A list serves one request; each directory
 * adds no more than may still be listed.
 */
static struct {
	unsigned n, left;
	size_t used;
	uint32_t at[GOFER_AHEAD_MAX * GOFER_AHEAD_MAX];
	char paths[512 * 1024];
} ahead;

static void ahead_push(const char *path, unsigned first)
{
	size_t size = strlen(path) + 1;

	if (ahead.n - first >= ahead.left || ahead.used + size > sizeof(ahead.paths))
		return;
	memcpy(ahead.paths + ahead.used, path, size);
	ahead.at[ahead.n++] = (uint32_t)ahead.used;
	ahead.used += size;
}

/* What one directory added is taken in its order: the first comes last. */
static void ahead_turn(unsigned first)
{
	for (unsigned i = first, j = ahead.n; i + 1 < j; i++) {
		uint32_t at = ahead.at[i];

		ahead.at[i] = ahead.at[--j];
		ahead.at[j] = at;
	}
}

/*
 * A file as its directory tells of it: no call on the file itself. Where a filesystem is mounted on it, the number is that
 * of what lies below, as readdir tells natively.
 */
static int bare_name(struct answer *a, uint64_t dev, const struct listed *d, size_t len, mode_t type)
{
	size_t size = GOFER_RECORD_SIZE(len, 0UL);
	int err = gofer_make_room(a, size, 0);
	struct gofer_record *r = (struct gofer_record *)(a->body + a->len);

	if (err != 0)
		return err;
	memset(r, 0, size);
	r->dev = dev;
	r->ino = d->ino;
	r->mode = type;
	r->name_len = (uint16_t)len;
	r->flags = GOFER_BARE;
	memcpy(r + 1, d->name, len);
	a->len += size;
	a->head.count++;
	return 0;
}

/* There is no *at() form of this: the name is looked up in the current directory. */
static uint32_t xattr_flag(const char *name)
{
	struct stat st;

	/* Of a file that nobody in the maps may read, it isn't told. */
	if (gofer_ask.root->ids.uids.n != 0 &&
	    (fstatat(AT_FDCWD, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0 || !gofer_reaches(gofer_ask.root, &st, MAY_R)))
		return 0;
	return llistxattr(name, NULL, 0) > 0 ? GOFER_HAS_XATTRS : GOFER_NO_XATTRS;
}

/* How much of a directory is told: WHOLE, or SMALL, which is all of it, bare, if it fits into one reading, else -E2BIG. */
enum extent { WHOLE, SMALL };

/* A directory's number says nothing if another is mounted on it: where some are hidden each is looked at. */
static bool told_bare(const struct gofer_root *root, uint8_t type, enum extent extent)
{
	return type == DT_REG || type == DT_LNK || (type == DT_DIR && extent == SMALL && root->nhidden == 0);
}

static int list_names(struct answer *a, int fd, const char *dir, uint32_t flags, enum extent extent)
{
	static char buf[32768] __attribute__((aligned(8)));
	static char full[GOFER_PATH_MAX + GOFER_NAME_MAX + 2];
	const struct gofer_root *root = gofer_ask.root;
	bool bare = (flags & GOFER_LIST_BARE) != 0, may_hide = false;
	bool xattrs = (flags & GOFER_LIST_XATTRS) != 0, blind;
	size_t room = extent == SMALL ? SMALL_BYTES : sizeof(buf);
	unsigned turns = 0;
	size_t dir_len = strlen(dir);
	unsigned first = ahead.n;
	struct stat st;
	long n;

	if (dir_len > GOFER_PATH_MAX)
		return -ENAMETOOLONG;
	for (unsigned i = 0; i < root->nhidden; i++) {
		const char *h = root->hidden[i].path;

		may_hide |= strncmp(h, dir, dir_len) == 0 && (dir_len == 0 || h[dir_len] == '/');
	}
	if (fstat(fd, &st) < 0 || (xattrs && fchdir(fd) < 0))
		return -errno;
	if (!gofer_reaches(root, &st, MAY_R))
		return -EACCES;
	blind = !gofer_reaches(root, &st, MAY_X);
	memcpy(full, dir, dir_len);
	if (dir_len != 0)
		full[dir_len++] = '/';
	while ((n = syscall(SYS_getdents64, fd, buf, room)) > 0) {
		if (extent == SMALL && turns++ != 0)
			return -E2BIG;
		for (long at = 0; at < n;) {
			struct listed *d = (struct listed *)(buf + at);
			size_t len = strlen(d->name);
			mode_t mode = 0;
			int err;

			at += d->reclen;
			if (!gofer_name_ok(d->name, len))
				continue;
			memcpy(full + dir_len, d->name, len + 1);
			if (may_hide && gofer_path_hidden(root, full, dir_len + len))
				continue;
			if (blind) /* who can't search it learns names, as readdir tells them, and nothing of what has them */
				err = gofer_ino_hidden(root, d->ino) ? 0 : bare_name(a, st.st_dev, d, len, d->type != DT_UNKNOWN ? DTTOIF(d->type) : S_IFREG);
			else if (bare && told_bare(root, d->type, extent) && !gofer_ino_hidden(root, d->ino))
				err = bare_name(a, st.st_dev, d, len, DTTOIF(d->type));
			else
				err = gofer_answer_typed(a, root, fd, d->name, xattrs ? xattr_flag(d->name) : 0, &mode);
			if (err == -EPIPE || err == -ECONNRESET || err == -E2BIG)
				return err;
			/* any other: a name that went while we looked, or one that can't be told */
			if (err == 0 && S_ISDIR(mode) && dir_len + len <= GOFER_PATH_MAX)
				ahead_push(full, first);
		}
	}
	ahead_turn(first);
	return n < 0 ? -errno : 0;
}

static struct answer side;

/* What was listed to the side, as the listing of the directory at path. 0, or -errno if the socket is broken. */
static int add_dir(struct answer *a, const char *path, uint32_t path_len)
{
	struct gofer_dir head = {.path_len = path_len, .len = (uint32_t)side.len};
	size_t before = GOFER_DIR_SIZE(path_len);
	int err = gofer_make_room(a, before + side.len, GOFER_REPLY_DIRS);

	if (err != 0)
		return err;
	memset(a->body + a->len, 0, before);
	memcpy(a->body + a->len, &head, sizeof(head));
	memcpy(a->body + a->len + sizeof(head), path, path_len);
	memcpy(a->body + a->len + before, side.body, side.len);
	a->len += before + side.len;
	return 0;
}

int gofer_list_small(struct answer *a, int dir, const char *path)
{
	static struct answer alone;
	int fd, err;

	/* Itself, not a name in it: nothing is followed, and what it is was looked at when it was opened. */
	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ahead.n = ahead.left = 0;
	side.sock = -1;
	side.len = 0;
	err = list_names(&side, fd, path, GOFER_LIST_BARE, SMALL);
	close(fd);
	if (err != 0 || GOFER_DIR_SIZE(strlen(path)) + side.len > sizeof(alone.body))
		return 0;
	alone.sock = a->sock;
	alone.fd = -1;
	alone.head = (struct gofer_reply){.id = a->head.id};
	err = add_dir(&alone, path, (uint32_t)strlen(path));
	return err != 0 ? err : gofer_flush(&alone, GOFER_REPLY_MORE | GOFER_REPLY_DIRS);
}

/* Listings of directories below, until enough are told. One that can't be listed, or is too large, is left to be asked for. */
static int list_ahead(struct answer *a)
{
	int err = 0;

	if (ahead.n == 0)
		return 0;
	if (a->len != 0)
		err = gofer_flush(a, GOFER_REPLY_MORE);
	a->flags = GOFER_REPLY_DIRS;
	while (err == 0 && ahead.left != 0 && ahead.n != 0) {
		unsigned rest = --ahead.n;
		const char *path = ahead.paths + ahead.at[rest];
		uint32_t path_len = (uint32_t)strlen(path);
		int fd = gofer_open_dir(gofer_ask.root, path, path_len, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0)
			continue;
		ahead.left--;
		side.sock = -1;
		side.len = 0;
		err = list_names(&side, fd, path, gofer_ask.req.flags, WHOLE);
		close(fd);
		if (err != 0 || GOFER_DIR_SIZE(path_len) + side.len > sizeof(a->body)) {
			ahead.n = rest;
			err = 0;
			continue;
		}
		err = add_dir(a, path, path_len);
	}
	return err;
}

/* Those that the sentry named come when all below the listed one are done. */
static int ahead_given(void)
{
	char *path = gofer_ask.arg, *next;

	for (; path[0] != '\0'; path = next) {
		next = strstr(path, "//");
		if (next != NULL) {
			*next = '\0';
			next += 2;
		} else {
			next = path + strlen(path);
		}
		if (path[0] == '\0' || strlen(path) > GOFER_PATH_MAX || !gofer_path_ok(path, strlen(path)))
			return -EINVAL;
		if (!gofer_path_hidden(gofer_ask.root, path, strlen(path)))
			ahead_push(path, 0);
	}
	ahead_turn(0);
	return 0;
}

int gofer_list(struct answer *a)
{
	int fd, err;

	if (gofer_path_hidden(gofer_ask.root, gofer_ask.path, strlen(gofer_ask.path)))
		return -ENOENT;
	fd = gofer_open_dir(gofer_ask.root, gofer_ask.path, strlen(gofer_ask.path),
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -ENOENT) {
		/* a mount of proc or the like: there, and empty */
		struct parent p;
		struct stat st;

		err = gofer_ask.path[0] != '\0' ? gofer_open_parent(gofer_ask.root, gofer_ask.path, &p) : -ENOENT;
		if (err != 0)
			return err;
		err = fstatat(p.fd, p.name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) ? 0 : -ENOENT;
		gofer_put_parent(&p);
		return err;
	}
	if (fd < 0)
		return fd;
	ahead.n = 0;
	ahead.used = 0;
	ahead.left = gofer_ask.req.size < GOFER_AHEAD_MAX ? (unsigned)gofer_ask.req.size : GOFER_AHEAD_MAX;
	err = ahead_given();
	if (err == 0)
		err = list_names(a, fd, gofer_ask.path, gofer_ask.req.flags, WHOLE);
	close(fd);
	return err != 0 ? err : list_ahead(a);
}

int gofer_attrs(struct answer *a)
{
	static char full[GOFER_PATH_MAX + GOFER_NAME_MAX + 2];
	bool xattrs = (gofer_ask.req.flags & GOFER_ATTRS_XATTRS) != 0;
	size_t dir_len = strlen(gofer_ask.path);
	char *name = gofer_ask.arg, *next;
	struct parent p;
	int err;

	if (gofer_ask.req.arg_len == 0 || !gofer_path_ok(gofer_ask.arg, gofer_ask.req.arg_len))
		return -EINVAL;
	if (gofer_path_hidden(gofer_ask.root, gofer_ask.path, dir_len))
		return -ENOENT;
	err = gofer_take_dir(gofer_ask.root, gofer_ask.path, dir_len, &p);
	if (err != 0)
		return err;
	if (xattrs && fchdir(p.fd) < 0)
		err = -errno;
	memcpy(full, gofer_ask.path, dir_len);
	if (dir_len != 0)
		full[dir_len++] = '/';
	for (unsigned n = 0; err == 0 && name != NULL && n < GOFER_ATTRS_MAX; n++, name = next) {
		size_t len;
		mode_t mode;

		next = strchr(name, '/');
		if (next != NULL)
			*next++ = '\0';
		len = strlen(name);
		memcpy(full + dir_len, name, len + 1);
		if (gofer_path_hidden(gofer_ask.root, full, dir_len + len))
			continue;
		err = gofer_answer_typed(a, gofer_ask.root, p.fd, name, xattrs ? xattr_flag(name) : 0, &mode);
		if (err != -EPIPE && err != -ECONNRESET)
			err = 0; /* a name that isn't there, or can't be told */
	}
	gofer_put_parent(&p);
	return err;
}
