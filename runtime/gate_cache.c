/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command's part of the cache of call sites (runtime/gate_cache.h): which directory it is, whether it can be trusted to
 * be the caller's, and its file, open to read, for the sentry: which copies it before it looks at it.
 *
 * A cache is a convenience: whatever is wrong with it turns it off, and nobody is told.
 */
#include "runtime/build.h"
#include "runtime/cleanup.h"
#include "runtime/gate_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define ROOTS_DIRECTORY "/var/cache/sentrybox"

/* Where it lies, to free; NULL: nowhere. *parent: what may have to be made first. */
static char *directory(const char *wanted, char **parent)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (wanted != NULL)
		return xstrdup(wanted);
	if (geteuid() == 0)
		return xstrdup(ROOTS_DIRECTORY);
	if (xdg != NULL && xdg[0] == '/')
		*parent = xstrdup(xdg);
	else if (home != NULL && home[0] == '/')
		*parent = xasprintf("%s/.cache", home);
	else
		return NULL;
	return xasprintf("%s/sentrybox", *parent);
}

/* The directory, made if it isn't there: the caller's own, and nobody else's to write. */
static int open_directory(const char *wanted)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	cleanup_free char *parent = NULL;
	cleanup_free char *dir = directory(wanted, &parent);
	cleanup_close int fd = -1;
	struct stat st;

	if (dir == NULL)
		return -1;
	fd = open(dir, flags);
	if (fd < 0 && errno == ENOENT) {
		if (parent != NULL)
			mkdir(parent, 0700);
		if (mkdir(dir, 0700) == 0)
			fd = open(dir, flags);
	}
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return -1;
	return steal_fd(&fd);
}

void build_gate_cache(struct build *b, const struct settings *s)
{
	int dir;

	if (!b->c->gate || s->no_gate_cache)
		return;
	dir = open_directory(s->gate_cache);
	if (dir < 0)
		return;
	b->c->gate_cache_fd = build_fd(b, gate_cache_open(dir));
	/* Without the right to write there it can still be read. */
	if (faccessat(dir, ".", W_OK, AT_EACCESS) == 0)
		b->c->gate_cache_dir = build_fd(b, dir);
	else
		close(dir);
}
