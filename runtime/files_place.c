/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory beneath another, by descriptors alone: each part of a name is opened in the one before with O_NOFOLLOW, so that
 * neither a link that lies there nor one that appears meanwhile leads out. The last directory stays open, since the next name
 * is mostly in it or in one beneath it; so any depth needs two descriptors.
 *
 * Modes are changed by the descriptor, too: fchmodat() with AT_SYMLINK_NOFOLLOW would change what is mounted on the name, and is
 * another system call with each libc (fchmodat2 from glibc 2.39 on), which the keeper's filter would have to know.
 */
#include "runtime/files.h"
#include "runtime/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

void files_place_done(struct files_place *p)
{
	if (p->dir >= 0)
		close(p->dir);
	p->dir = -1;
	free(p->name);
	p->name = NULL;
}

static int one_down(int from, const char *part, bool one_mount)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};

	if (one_mount)
		return (int)syscall(SYS_openat2, from, part, &how, sizeof(how));
	return openat(from, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* May somebody in the maps do this in the directory? EACCES. */
static bool may(const struct files_place *p, int dir, unsigned want)
{
	struct stat st;

	if (p->ids == NULL || (fstat(dir, &st) == 0 && idmaps_reach(p->ids, st.st_uid, st.st_gid, st.st_mode, want)))
		return true;
	errno = EACCES;
	return false;
}

/* From directory `from`, which is closed, down along name. */
static int down(const struct files_place *p, int from, const char *name, size_t len)
{
	const char *end = name + len;

	while (from >= 0 && name < end) {
		size_t n = strcspn(name, "/");
		char part[FILES_PART_MAX + 1];
		int next;

		n = n < (size_t)(end - name) ? n : (size_t)(end - name);
		if (!files_part_ok(name, n)) {
			close(from);
			errno = EINVAL;
			return -1;
		}
		memcpy(part, name, n);
		part[n] = '\0';
		next = may(p, from, MAY_X) ? one_down(from, part, p->one_mount) : -1;
		if (next < 0) {
			int saved = errno;

			close(from);
			errno = saved;
			return -1;
		}
		close(from);
		from = next;
		name += n + (name + n < end);
	}
	return from;
}

int files_place_go(struct files_place *p, const char *name, size_t len)
{
	size_t have = p->dir >= 0 ? strlen(p->name) : 0;
	char *copy;
	int dir;

	if (p->dir >= 0 && have == len && memcmp(p->name, name, len) == 0)
		return p->dir;
	copy = xstrndup(name, len);
	if (p->dir >= 0 && have < len && memcmp(p->name, name, have) == 0 && (have == 0 || name[have] == '/')) {
		dir = down(p, p->dir, name + have + (have != 0), len - have - (have != 0));
		p->dir = -1;
	} else {
		dir = down(p, fcntl(p->root, F_DUPFD_CLOEXEC, 3), name, len);
	}
	if (dir < 0) {
		int saved = errno;

		free(copy);
		files_place_done(p);
		errno = saved;
		return -1;
	}
	if (!may(p, dir, MAY_W | MAY_X)) {
		close(dir);
		free(copy);
		files_place_done(p);
		errno = EACCES;
		return -1;
	}
	files_place_done(p);
	p->dir = dir;
	p->name = copy;
	return dir;
}

int files_chmod_fd(int fd, mode_t mode)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode);
}

int files_chmod(int dir, const char *name, mode_t mode, bool one_mount)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_NO_SYMLINKS | (one_mount ? RESOLVE_BENEATH | RESOLVE_NO_XDEV : 0)};
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how)), ret, saved;

	if (fd < 0)
		return -1;
	ret = files_chmod_fd(fd, mode);
	saved = errno;
	close(fd);
	errno = saved;
	return ret;
}

int files_place_of(struct files_place *p, const char *name, const char **last)
{
	const char *slash = strrchr(name, '/');

	*last = slash != NULL ? slash + 1 : name;
	return files_place_go(p, name, slash != NULL ? (size_t)(slash - name) : 0);
}
