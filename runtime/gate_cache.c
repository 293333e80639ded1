/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command's part of the cache of call sites (runtime/gate_cache.h): which directory it is, whether it can be trusted to
 * be the caller's, and a copy of its file for the sentry, sealed, so that neither a sandbox nor the next writer changes it
 * under its reader.
 *
 * A cache is a convenience: whatever is wrong with it turns it off, and nobody is told.
 */
#include "runtime/build.h"
#include "runtime/cleanup.h"
#include "runtime/gate_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
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

static int sealed_copy(int dir)
{
	cleanup_free void *data = xcalloc(1, GATE_CACHE_MAX);
	size_t size = gate_cache_read(dir, data);
	cleanup_close int fd = -1;

	if (!gate_cache_check(data, size))
		return -1;
	fd = memfd_create("sentrybox-sites", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
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
	b->c->gate_cache_fd = build_fd(b, sealed_copy(dir));
	/* Without the right to write there it can still be read. */
	if (faccessat(dir, ".", W_OK, AT_EACCESS) == 0)
		b->c->gate_cache_dir = build_fd(b, dir);
	else
		close(dir);
}
