/* SPDX-License-Identifier: Apache-2.0 */
/*
 * root-writes=keep, the keeper: what a container's run has changed becomes the content of its root's directory on the host, so
 * that an engine's layer holds it. The monitor starts this process when the container's init has ended, and waits for it before
 * it ends itself: when an engine learns of the end, the layer is as the container left it.
 *
 *	sentry --records of a DIFF--> checked --> spool (a file without a name)           1: until END, nothing is changed
 *	                              spool --> checked again --> files_layer_sink --> the root's directory           2
 *
 * Two steps, because the sentry reads from that very directory while it tells: a tree that was moved, a file that took another's
 * name. And so a sentry that dies, or is killed, in the middle of it leaves the directory as it was.
 *
 * Every byte that comes is hostile: a sentry that was taken over chooses all of it. What it gains is bounded by
 *
 *	- where: names are relative and walked part by part from the root's descriptor, following no link and entering no other
 *	  mount (files_place.c, files_remove.c); Landlock allows this process changes beneath the root alone, seccomp the calls
 *	  that it takes (filters.def), and it has no capability but those that concern files;
 *	- what: no devices, no sockets, of attributes only user.* but for those that storage drivers read; a file is made anew, never written through, a link never followed;
 *	- how much: what the filesystem of the root holds, as with any other runtime, and MEMORY_MAX of this process;
 *	- how long: silence of SILENCE_MS ends it, the monitor's patience after a SIGKILL does.
 *
 * Set-id bits are kept where only we can get to the directory: an image needs them (sudo, su), and an engine's storage is
 * closed to others. Where it isn't (no directory above is ours and closed to others and other groups), they stay behind.
 *
 * Where the container has maps of ids (runtime/core/idmap.h), an owner in a record is one inside; on the host nothing gets an owner that
 * isn't in the maps, and directories that nobody in them may write to stay as they are.
 *
 * Left out: attributes of the root itself, attributes other than user.* (file capabilities too), times of access.
 */
#include "runtime/cleanup.h"
#include "runtime/core/root_keep.h"
#include "runtime/core/seal.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define SILENCE_MS 60000
#define MEMORY_MAX ((rlim_t)1 << 30)

struct keeper {
	struct files_stream s;
	int spool, spool_errno;
	bool replay; /* step 2 */
	struct idmaps ids;
	size_t at, have;
	char buf[65536];
};

/* ---- step 1: from the sentry to the spool ---- */

static bool spool_write(int fd, const char *p, size_t len)
{
	while (len != 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* More bytes into buf: from the sentry, and on to the spool; or from the spool. */
static ssize_t fill(struct files_stream *s, struct keeper *k)
{
	struct pollfd ready = {s->fd, POLLIN, 0};
	ssize_t n;

	if (k->replay)
		return read(k->spool, k->buf, sizeof(k->buf));
	if (poll(&ready, 1, SILENCE_MS) == 0) {
		errno = ETIMEDOUT;
		return -1;
	}
	n = recv(s->fd, k->buf, sizeof(k->buf), 0);
	if (n > 0 && !spool_write(k->spool, k->buf, (size_t)n))
		return k->spool_errno = errno, -1;
	return n;
}

static ssize_t read_some(struct files_stream *s, void *p, size_t len)
{
	struct keeper *k = s->arg;
	size_t n;

	if (k->at == k->have) {
		ssize_t got = fill(s, k);

		if (got <= 0)
			return got;
		k->at = 0;
		k->have = (size_t)got;
	}
	n = len < k->have - k->at ? len : k->have - k->at;
	memcpy(p, k->buf + k->at, n);
	k->at += n;
	return (ssize_t)n;
}

static bool any_entry(struct files_sink *s, const struct files_entry *e, struct error **err)
{
	(void)s;
	return *e->name != '\0' || error_set(err, "what comes from the container makes no sense");
}

static bool any_data(struct files_sink *s, uint64_t offset, const char *bytes, size_t len, struct error **err)
{
	(void)s;
	(void)offset;
	(void)bytes;
	(void)len;
	(void)err;
	return true;
}

static bool any_name(struct files_sink *s, const char *name, struct error **err)
{
	(void)s;
	(void)name;
	(void)err;
	return true;
}

static bool no_more(struct files_sink *s, struct error **err)
{
	(void)s;
	(void)err;
	return true;
}

/* ---- the directory ---- */

/* Only we get through: not others, and no other group or owner, who could open it to themselves. */
static bool is_closed(const struct stat *st)
{
	return st->st_uid == geteuid() && (st->st_mode & S_IXOTH) == 0 && ((st->st_mode & S_IXGRP) == 0 || st->st_gid == getegid());
}

/* Somewhere on the way up a directory is closed. */
static bool is_private(int root)
{
	int dir = fcntl(root, F_DUPFD_CLOEXEC, 5);
	struct stat st, above;
	bool closed = false;

	for (;;) {
		int up;

		if (dir < 0 || fstat(dir, &st) < 0)
			break;
		closed = is_closed(&st);
		up = closed ? -1 : openat(dir, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up < 0)
			break;
		close(dir);
		dir = up;
		if (fstat(dir, &above) < 0 || (above.st_dev == st.st_dev && above.st_ino == st.st_ino))
			break;
	}
	if (dir >= 0)
		close(dir);
	return closed;
}

/* In the root's own filesystem, since there it will have to fit anyway; without a name, so that nothing is left of it. */
static int open_spool(int root)
{
	int fd = openat(root, ".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	char name[64];

	if (fd >= 0)
		return fd;
	snprintf(name, sizeof(name), ".sentrybox-keep-%d", getpid());
	fd = openat(root, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		unlinkat(root, name, 0);
	return fd;
}

/* The maps are needed to the end: the configuration stays mapped. */
static bool take_maps(struct keeper *k, struct error **err)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	const struct config *c;
	const char *bad;
	struct stat st;

	if (fstat(KEEP_CONFIG_FD, &st) < 0 || st.st_size != (off_t)sizeof(*c) || (fcntl(KEEP_CONFIG_FD, F_GET_SEALS) & seals) != seals)
		return error_set(err, "the configuration is not a sealed memfd of the right size");
	c = mmap(NULL, sizeof(*c), PROT_READ, MAP_PRIVATE, KEEP_CONFIG_FD, 0);
	if (c == MAP_FAILED)
		return error_errno(err, errno, "the configuration can't be mapped");
	close(KEEP_CONFIG_FD);
	bad = config_check(c);
	if (bad != NULL)
		return error_set(err, "the configuration is not valid: %s", bad);
	k->ids = config_idmaps(c, &c->idmaps);
	return true;
}

static bool keep(struct keeper *k, struct error **err)
{
	struct files_sink check = {any_entry, any_data, any_name, no_more}, *layer;
	bool set_ids = is_private(KEEP_ROOT_FD), as_root = geteuid() == 0, ok;

	k->s.fd = KEEP_STREAM_FD;
	k->s.arg = k;
	k->s.read = read_some;
	k->spool = open_spool(KEEP_ROOT_FD);
	if (k->spool < 0)
		return error_errno(err, errno, "can't write to the root's directory");
	seal_keeper(KEEP_ROOT_FD);
	if (!files_ask(&k->s, FILES_DIFF, FILES_CONTENTS, "", err) || !files_receive(&k->s, &check, err)) {
		if (k->spool_errno != 0)
			error_errno(err, k->spool_errno, "can't write beside the root's files");
		return error_wrap(err, "nothing of what the container wrote is kept");
	}
	if (lseek(k->spool, 0, SEEK_SET) != 0)
		return error_errno(err, errno, "can't read what was kept");
	k->replay = true;
	k->at = k->have = 0;
	layer = files_layer_sink(KEEP_ROOT_FD, as_root, set_ids, k->ids.uids.n != 0 ? &k->ids : NULL);
	ok = files_receive(&k->s, layer, err) || error_wrap(err, "not all of what the container wrote is kept");
	files_host_free(layer);
	return ok;
}

void help_root_keep(void)
{
	puts("sentrybox root-keep\n\n"
	     "Is not for people: a container's monitor runs it at the container's end, where root-writes=keep was said.");
}

int verb_root_keep(int argc, char **argv)
{
	static struct keeper k = {.spool = -1};
	const struct rlimit memory = {MEMORY_MAX, MEMORY_MAX};
	cleanup_error struct error *err = NULL;
	struct rlimit files;
	struct stat st;

	(void)argv;
	if (argc != 1 || fstat(KEEP_STREAM_FD, &st) < 0 || !S_ISSOCK(st.st_mode) || fstat(KEEP_ROOT_FD, &st) < 0 || !S_ISDIR(st.st_mode)) {
		help_root_keep();
		return 125;
	}
	umask(0);
	signal(SIGPIPE, SIG_IGN);
	error_never_wait(); /* stderr is the container's, and the engine waits for our end */
	setrlimit(RLIMIT_AS, &memory);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max; /* a level of a tree that goes is a descriptor */
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (take_maps(&k, &err) && keep(&k, &err))
		return 0;
	error_wrap(&err, "root-writes");
	return error_report(err);
}
