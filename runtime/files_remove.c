/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing a name with all beneath it, for a layer in which something else takes its place.
 *
 *	file: unlink        directory: its names, deepest first --> rmdir
 *
 * A directory is opened by one name in the one above it, without following a link and without going into another mount, so that
 * nothing outside can be reached, whatever lies there. Depth is a guest's to choose: not the stack but a list of open places is
 * kept, and of these only as many as descriptors allow; beyond that it is an error, told like any other.
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

static DIR *enter(int dir, const char *name)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	struct stat st;
	DIR *d;

	/* An ordinary user's own directory may be shut to it. */
	if (fd < 0 && errno == EACCES && files_chmod(dir, name, 0700, true) == 0)
		fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	if (fd < 0)
		return NULL;
	/* The same, for what is in it; it goes anyway. */
	if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
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
static bool push(struct level **levels, size_t *n, int dir, const char *name)
{
	DIR *d = enter(dir, name);

	if (d == NULL)
		return false;
	*levels = xrealloc(*levels, *n + 1, sizeof(**levels));
	(*levels)[(*n)++] = (struct level){d, xstrdup(name)};
	return true;
}

int files_remove(int dir, const char *last)
{
	struct level *levels = NULL;
	size_t n = 0;
	bool ok = true;

	if (unlinkat(dir, last, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	ok = push(&levels, &n, dir, last);
	while (ok && n != 0) {
		int here = dirfd(levels[n - 1].dir);
		const char *name = next_name(levels[n - 1].dir);

		if (name != NULL) {
			if (unlinkat(here, name, 0) < 0 && errno != ENOENT)
				ok = (errno == EISDIR || errno == EPERM) && push(&levels, &n, here, name);
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
