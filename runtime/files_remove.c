/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing a name with all beneath it, for a layer in which something else takes its place.
 *
 *	file: unlink        directory: its names, deepest first --> rmdir
 *
 * A directory is opened by one name in the one above it, without following a link and without going into another mount, so that
 * nothing outside can be reached, whatever lies there. Depth is a guest's to choose: not the stack but a list of open places is
 * kept, and of these only as many as descriptors allow; beyond that it is an error, told like any other.
 *
 * With maps of ids nothing goes that nobody in them could have removed: what is in a directory that they can't write to and search
 * (idmaps_reach), and in one with the sticky bit what isn't theirs, unless the directory is. The guest's kernel saw to that; one
 * that was taken over did not.
 */
#include "runtime/cleanup.h"
#include "runtime/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct level {
	DIR *dir;
	char *name; /* in the one above */
};

static bool reaches(const struct idmaps *ids, const struct stat *st)
{
	return ids == NULL || idmaps_reach(ids, st->st_uid, st->st_gid, st->st_mode, MAY_W | MAY_X);
}

static bool owned(const struct idmaps *ids, const struct stat *st)
{
	return idmap_inside(&ids->uids, st->st_uid) != ID_NONE;
}

/* In a directory with the sticky bit: is it or the name of somebody in the maps? */
static bool may_go(int dir, const char *name, const struct idmaps *ids)
{
	struct stat st;

	if (ids == NULL)
		return true;
	if (fstat(dir, &st) < 0)
		return false;
	if (!(st.st_mode & S_ISVTX) || owned(ids, &st))
		return true;
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? errno == ENOENT : owned(ids, &st);
}

static DIR *enter(int dir, const char *name, const struct idmaps *ids)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
	struct stat st;
	DIR *d;
	int fd;

	/* Before anything is changed. */
	if (ids != NULL && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !reaches(ids, &st)) {
		errno = EACCES;
		return NULL;
	}
	fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	/* An ordinary user's own directory may be shut to it. */
	if (fd < 0 && errno == EACCES && files_chmod(dir, name, 0700, true) == 0)
		fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) < 0 || !reaches(ids, &st)) {
		close(fd);
		errno = EACCES;
		return NULL;
	}
	/* The same, for what is in it; it goes anyway. */
	if ((st.st_mode & 0700) != 0700 && (ids == NULL || owned(ids, &st)))
		fchmod(fd, 0700);
	d = fdopendir(fd);
	if (d == NULL)
		close(fd);
	return d;
}

/* The next name in d that is there still, or NULL. */
static const char *next_name(DIR *d)
{
	struct dirent *e;

	do {
		e = readdir(d);
	} while (e != NULL && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
	return e != NULL ? e->d_name : NULL;
}

static void leave(struct level *l)
{
	int saved = errno;

	closedir(l->dir);
	free(l->name);
	errno = saved;
}

/* Goes into name as one more level. */
static bool push(struct level **levels, size_t *n, int dir, const char *name, const struct idmaps *ids)
{
	DIR *d = enter(dir, name, ids);

	if (d == NULL)
		return false;
	*levels = xrealloc(*levels, *n + 1, sizeof(**levels));
	(*levels)[(*n)++] = (struct level){d, xstrdup(name)};
	return true;
}

/* One name, if it can go at once: a file, or with maps an empty directory, which need not be entered. */
static int remove_one(int dir, const char *name, const struct idmaps *ids)
{
	int saved;

	if (!may_go(dir, name, ids)) {
		errno = EACCES;
		return -1;
	}
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	saved = errno;
	if (ids != NULL && (saved == EISDIR || saved == EPERM) && unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return 0;
	errno = saved;
	return -1;
}

int files_remove(int dir, const char *last, const struct idmaps *ids)
{
	struct level *levels = NULL;
	size_t n = 0;
	bool ok = true;

	if (remove_one(dir, last, ids) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	ok = push(&levels, &n, dir, last, ids);
	while (ok && n != 0) {
		int here = dirfd(levels[n - 1].dir);
		const char *name = next_name(levels[n - 1].dir);

		if (name != NULL) {
			if (remove_one(here, name, ids) < 0)
				ok = (errno == EISDIR || errno == EPERM) && push(&levels, &n, here, name, ids);
			continue;
		}
		here = n > 1 ? dirfd(levels[n - 2].dir) : dir;
		ok = unlinkat(here, levels[n - 1].name, AT_REMOVEDIR) == 0;
		leave(&levels[--n]);
	}
	while (n != 0)
		leave(&levels[--n]);
	free(levels);
	return ok ? 0 : -1;
}
