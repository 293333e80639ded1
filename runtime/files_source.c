/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source: a file or tree of the host, for `cp HOSTPATH ID:PATH`.
 *
 * A stack of directories, each opened from the top part by part without following links (files_place.c): the tree is the
 * operator's, but somebody else may be changing it. What is opened is what is looked at. A file that shrinks meanwhile has
 * zeros at its end, one that grows is cut where it ended; sockets are left out; files with several names stay one.
 *
 * Owners: root's, unless they are asked for (-a); modes, times and user.* attributes are kept.
 */
#include "runtime/files.h"
#include "runtime/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

struct linked {
	dev_t dev;
	ino_t ino;
	char *name;
};

struct source {
	struct files_stream *s;
	const char *path; /* as the operator wrote it */
	char *prefix;     /* before names in the container; "" */
	bool owners;
	struct files_place place;
	char **stack;     /* directories to read, relative to the item */
	size_t nstack;
	void *linked;     /* tsearch */
	unsigned notes;
};

static int by_inode(const void *a, const void *b)
{
	const struct linked *p = a, *q = b;

	if (p->ino != q->ino)
		return p->ino < q->ino ? -1 : 1;
	return p->dev < q->dev ? -1 : p->dev > q->dev;
}

static bool fail(const struct source *src, const char *name, struct error **err)
{
	int saved = errno;

	return error_errno(err, saved, "%s%s%s", src->path, *name != '\0' ? "/" : "", name);
}

/* What rel is called in the container; a string to free. */
static char *their_name(const struct source *src, const char *rel)
{
	if (*src->prefix == '\0' || *rel == '\0')
		return xstrdup(*rel != '\0' ? rel : src->prefix);
	return xasprintf("%s/%s", src->prefix, rel);
}

static struct files_record record_of(const struct source *src, const struct stat *st)
{
	return (struct files_record){.mode = st->st_mode,
				     .uid = src->owners ? st->st_uid : 0,
				     .gid = src->owners ? st->st_gid : 0,
				     .rdev_major = major(st->st_rdev),
				     .rdev_minor = minor(st->st_rdev),
				     .mtime_sec = st->st_mtim.tv_sec,
				     .mtime_nsec = (uint32_t)st->st_mtim.tv_nsec};
}

static bool send_xattrs(struct source *src, int fd, struct error **err)
{
	char names[4096], *value;
	ssize_t n = flistxattr(fd, names, sizeof(names));
	unsigned sent = 0;
	bool ok = true;

	if (n <= 0)
		return true;
	value = xcalloc(1, FILES_DATA_MAX);
	for (ssize_t at = 0; ok && at < n; at += (ssize_t)strlen(names + at) + 1) {
		struct files_record r = {0};
		ssize_t len = strncmp(names + at, "user.", 5) == 0 ? fgetxattr(fd, names + at, value, FILES_DATA_MAX) : -1;

		if (len >= 0 && sent++ < FILES_XATTRS_MAX)
			ok = files_send(src->s, &r, FILES_XATTR, names + at, value, (size_t)len, err);
	}
	free(value);
	return ok;
}

static bool send_contents(struct source *src, int fd, uint64_t size, const char *rel, struct error **err)
{
	cleanup_free char *buf = xcalloc(1, FILES_DATA_MAX);

	for (uint64_t pos = 0; pos < size;) {
		struct files_record r = {.offset = pos};
		off_t data = lseek(fd, (off_t)pos, SEEK_DATA);
		ssize_t n;

		if (data < 0 && errno == ENXIO)
			return true;
		if (data > (off_t)pos) {
			pos = (uint64_t)data;
			continue;
		}
		n = pread(fd, buf, size - pos < FILES_DATA_MAX ? (size_t)(size - pos) : FILES_DATA_MAX, (off_t)pos);
		if (n < 0)
			return fail(src, rel, err);
		if (n == 0)
			return true;
		if ((buf[0] != 0 || memcmp(buf, buf + 1, (size_t)n - 1) != 0) &&
		    !files_send(src->s, &r, FILES_DATA, "", buf, (size_t)n, err))
			return false;
		pos += (uint64_t)n;
	}
	return true;
}

/* The first name of a file that was sent before; NULL: this is it. */
static const char *other_name(struct source *src, const struct stat *st, const char *name)
{
	struct linked *l, **at;

	if (st->st_nlink < 2)
		return NULL;
	l = xcalloc(1, sizeof(*l));
	*l = (struct linked){st->st_dev, st->st_ino, xstrdup(name)};
	at = tsearch(l, &src->linked, by_inode);
	if (at == NULL || *at == l)
		return NULL;
	free(l->name);
	free(l);
	return (*at)->name;
}

static bool send_file(struct source *src, int fd, const char *rel, struct error **err)
{
	cleanup_free char *name = their_name(src, rel);
	struct files_record r;
	const char *first;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		files_note(&src->notes, rel, "it changed meanwhile");
		return true;
	}
	r = record_of(src, &st);
	first = other_name(src, &st, name);
	if (first != NULL) {
		r.flags = FILES_HARD_LINK;
		return files_send(src->s, &r, FILES_ENTRY, name, first, strlen(first), err);
	}
	r.offset = (uint64_t)st.st_size;
	return send_xattrs(src, fd, err) && files_send(src->s, &r, FILES_ENTRY, name, NULL, 0, err) &&
	       send_contents(src, fd, r.offset, rel, err);
}

static bool send_other(struct source *src, int dir, const char *last, const struct stat *st, const char *rel, struct error **err)
{
	cleanup_free char *name = their_name(src, rel);
	struct files_record r = record_of(src, st);
	char target[4096];
	ssize_t n = 0;

	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(dir, last, target, sizeof(target) - 1);
		if (n < 0)
			return fail(src, rel, err);
	}
	return files_send(src->s, &r, FILES_ENTRY, name, target, (size_t)n, err);
}

static bool send_dir(struct source *src, int fd, const char *rel, struct error **err)
{
	cleanup_free char *name = their_name(src, rel);
	struct files_record r;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(src, rel, err);
	r = record_of(src, &st);
	return send_xattrs(src, fd, err) && files_send(src->s, &r, FILES_ENTRY, name, NULL, 0, err);
}

static void push(struct source *src, char *rel)
{
	if (src->nstack % 64 == 0)
		src->stack = xrealloc(src->stack, src->nstack + 64, sizeof(*src->stack));
	src->stack[src->nstack++] = rel;
}

static bool send_name(struct source *src, int dir, const char *last, char **rel, struct error **err)
{
	cleanup_close int fd = -1;
	struct stat st;

	if (fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || fail(src, *rel, err);
	if (S_ISSOCK(st.st_mode)) {
		files_note(&src->notes, *rel, "a socket");
		return true;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return send_other(src, dir, last, &st, *rel, err);
	fd = openat(dir, last, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || fail(src, *rel, err);
	if (S_ISREG(st.st_mode))
		return send_file(src, fd, *rel, err);
	if (!send_dir(src, fd, *rel, err))
		return false;
	push(src, steal_pointer(rel));
	return true;
}

static bool read_dir(struct source *src, const char *rel, struct error **err)
{
	int dir = files_place_go(&src->place, rel, strlen(rel));
	cleanup_close int fd = dir >= 0 ? openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	cleanup_closedir DIR *d = NULL;
	struct dirent *e;

	if (fd < 0)
		return fail(src, rel, err);
	d = fdopendir(fd);
	if (d == NULL)
		return fail(src, rel, err);
	steal_fd(&fd);
	while ((e = readdir(d)) != NULL) {
		cleanup_free char *child = NULL;

		if (!files_part_ok(e->d_name, strlen(e->d_name)))
			continue;
		child = *rel != '\0' ? xasprintf("%s/%s", rel, e->d_name) : xstrdup(e->d_name);
		if (strlen(child) + strlen(src->prefix) + 1 > FILES_NAME_MAX) {
			files_note(&src->notes, rel, "a name in it is too long");
			continue;
		}
		if (!send_name(src, dirfd(d), e->d_name, &child, err))
			return false;
	}
	return true;
}

static bool send_tree(struct source *src, int fd, bool contents_only, struct error **err)
{
	if (!contents_only && !send_dir(src, fd, "", err))
		return false;
	src->place.root = fd;
	push(src, xstrdup(""));
	while (src->nstack != 0) {
		cleanup_free char *rel = src->stack[--src->nstack];

		if (!read_dir(src, rel, err))
			return false;
	}
	return true;
}

static void free_linked(void *p)
{
	free(((struct linked *)p)->name);
	free(p);
}

bool files_source_host(struct files_stream *s, const char *path, bool follow, const char *name, bool owners, struct error **err)
{
	struct source src = {.s = s, .path = path, .owners = owners, .place = {.root = -1, .dir = -1}};
	cleanup_close int fd = -1;
	struct stat st;
	bool ok;

	src.prefix = xstrdup(name != NULL ? name : "");
	if ((follow ? stat(path, &st) : lstat(path, &st)) < 0) {
		ok = error_errno(err, errno, "%s", path);
	} else if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (follow || S_ISDIR(st.st_mode) ? 0 : O_NOFOLLOW));
		if (fd < 0)
			ok = error_errno(err, errno, "%s", path);
		else
			ok = S_ISDIR(st.st_mode) ? send_tree(&src, fd, name == NULL, err) : send_file(&src, fd, "", err);
	} else if (S_ISSOCK(st.st_mode)) {
		ok = error_set(err, "%s is a socket", path);
	} else {
		ok = send_other(&src, AT_FDCWD, path, &st, "", err);
	}
	files_place_done(&src.place);
	while (src.nstack != 0)
		free(src.stack[--src.nstack]);
	free(src.stack);
	tdestroy(src.linked, free_linked);
	free(src.prefix);
	s->notes += src.notes;
	return ok;
}
