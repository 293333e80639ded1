/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sink: files of the host, for `cp ID:PATH HOSTPATH`. The rules are copy_out.c's: the operator's own path is followed, and
 * beneath it nothing is; names are walked part by part (files_place.c), a file is never written through but made anew,
 * set-id bits, devices and sockets stay behind, a symbolic link is made as it was, wherever it points.
 *
 *	ENTRY of a file --> a file without a name (O_TMPFILE) --> DATA --> next ENTRY or END: attributes, then its name
 *
 * so a command that is killed leaves whole files only. Directories get their modes and times at the end, when nothing more is
 * made in them. A hard link is made only to a file that this very copy has made.
 *
 * A second sink of the same parts makes a run's changes to an engine's root directory (root_keep.c): there what is in the way is
 * removed with all beneath it, names that are gone are removed, owners are kept (and set-id bits with them, or neither), and nothing that is mounted beneath the root is
 * entered. A name that can't be made so is told and left out, unless the disk is full.
 */
#include "runtime/files.h"
#include "runtime/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

struct made { /* a directory, or a file that may be linked to */
	char *name;
	struct files_record r;
	dev_t dev;
	ino_t ino;
	bool theirs; /* of a layer: a directory that was there, of an owner who isn't in the maps: it stays as it is */
};

struct host_sink {
	struct files_sink sink;
	char *dest, *base; /* base NULL: the contents are wanted */
	bool owners, layer, set_ids;
	const struct idmaps *ids; /* of a layer: from the records' ids to the host's; NULL: they are the same */
	int parent;        /* O_PATH: where the item itself is made */
	char *last;        /* its name there; NULL: it is `parent` itself */
	struct files_place place; /* beneath the item, a directory; root -1 until it is there */
	bool begun;
	/* the file that is being written */
	int file, file_dir;
	char *file_last, *file_name;
	bool nameless;
	struct files_record rec;
	struct made *dirs;
	size_t ndirs;
	void *linked; /* tsearch: struct made by name */
	unsigned notes;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct made *)a)->name, ((const struct made *)b)->name);
}

static bool fail(const struct host_sink *h, const char *name, struct error **err)
{
	int saved = errno;

	return error_errno(err, saved, "%s%s%s", h->dest, *name != '\0' ? ": " : "", name);
}

/* Of a layer, one name: told and left out, if it is nothing that would befall the next one, too. */
static bool passed_over(struct host_sink *h, const char *name)
{
	static const int ends[] = {ENOSPC, EDQUOT, EIO, EROFS, ENOMEM, EMFILE, ENFILE};
	int saved = errno;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (saved == ends[i])
			return false;
	if (h->layer)
		files_note(&h->notes, name, strerror(saved));
	errno = saved;
	return h->layer;
}

/* given: it has the owner that it had there. With another one, a set-id bit would be that one's. */
static mode_t mode_of(const struct host_sink *h, const struct files_record *r, bool given)
{
	return r->mode & (h->set_ids && given ? 07777 : h->layer ? 01777 : 0777);
}

/* What has the name goes, whatever it is. */
static int clear_way(const struct host_sink *h, int dir, const char *last)
{
	if (h->layer)
		return files_remove(dir, last, h->ids);
	return unlinkat(dir, last, 0) < 0 && errno != ENOENT ? -1 : 0;
}

/* ---- the place of the item ---- */

static bool parent_of(struct host_sink *h, const char *path, struct error **err)
{
	cleanup_free char *copy = xstrdup(path);
	size_t len = strlen(copy);
	char *slash;

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	slash = strrchr(copy, '/');
	h->last = xstrdup(slash != NULL ? slash + 1 : copy);
	if (!files_part_ok(h->last, strlen(h->last)))
		return error_set(err, "%s: give the copy a name", h->dest);
	if (slash != NULL)
		slash[slash == copy ? 1 : 0] = '\0';
	h->parent = open(slash != NULL ? copy : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (h->parent < 0)
		return error_errno(err, errno, "can't open the directory above %s", h->dest);
	return true;
}

static bool place_item(struct host_sink *h, bool is_dir, struct error **err)
{
	cleanup_free char *real = NULL;
	size_t len = strlen(h->dest);
	struct stat st;

	if (stat(h->dest, &st) < 0) {
		if (errno != ENOENT)
			return error_errno(err, errno, "%s", h->dest);
		if (!is_dir && h->dest[len - 1] == '/')
			return error_set(err, "%s: there is no such directory to copy into", h->dest);
		return parent_of(h, h->dest, err);
	}
	if (S_ISDIR(st.st_mode)) {
		h->parent = open(h->dest, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (h->parent < 0)
			return error_errno(err, errno, "can't open %s", h->dest);
		if (h->base != NULL)
			h->last = xstrdup(h->base);
		return h->base != NULL || is_dir || error_set(err, "%s: give the copy a name", h->dest);
	}
	if (is_dir)
		return error_set(err, "%s is a file: a directory can't be copied onto it", h->dest);
	real = realpath(h->dest, NULL);
	if (real == NULL)
		return error_errno(err, errno, "%s", h->dest);
	return parent_of(h, real, err);
}

/* ---- attributes ---- */

/* Of a layer, an owner that isn't ours to give (not mapped in our user namespace) stays ours. given: it was, and is the record's own
 * and not the nearest. */
static int owner_result(struct host_sink *h, int result, const char *name, const struct files_record *r, bool *given)
{
	*given = result == 0 && (h->ids == NULL || (idmap_host(&h->ids->uids, r->uid) != ID_NONE && idmap_host(&h->ids->gids, r->gid) != ID_NONE));
	if (result < 0 && h->layer && (errno == EINVAL || errno == EPERM)) {
		files_note(&h->notes, name, "its owner (the file is kept)");
		return 0;
	}
	return result;
}

/* An id that the container doesn't have (a record may say so) is the nearest that it has: never one outside of its maps. */
static uid_t host_uid(const struct host_sink *h, uint32_t uid)
{
	return h->ids != NULL ? idmap_host_or_nearest(&h->ids->uids, uid) : uid;
}

static gid_t host_gid(const struct host_sink *h, uint32_t gid)
{
	return h->ids != NULL ? idmap_host_or_nearest(&h->ids->gids, gid) : gid;
}

static int set_owner(struct host_sink *h, int dir, const char *last, const struct files_record *r, bool *given)
{
	*given = false;
	return h->owners ? owner_result(h, fchownat(dir, last, host_uid(h, r->uid), host_gid(h, r->gid), AT_SYMLINK_NOFOLLOW), last, r, given) : 0;
}

static void times_of(const struct files_record *r, struct timespec times[2])
{
	times[0] = (struct timespec){0, UTIME_OMIT};
	times[1] = (struct timespec){r->mtime_sec, r->mtime_nsec};
}

/* Words to the filesystem or the engine below a layer, not to a user: this directory has no other, that file is a device. */
static bool means_layers(const char *name)
{
	static const char *const prefixes[] = {"user.overlay.", "user.fuseoverlayfs.", "user.containers."};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* What the filesystem can't hold stays behind. */
static int set_xattrs(const struct host_sink *h, int fd, const struct files_entry *e)
{
	for (unsigned i = 0; i < e->nxattrs; i++)
		if (!(h->layer && means_layers(e->xattrs[i].name)) && fsetxattr(fd, e->xattrs[i].name, e->xattrs[i].value, e->xattrs[i].size, 0) < 0 && errno != EOPNOTSUPP)
			return -1;
	return 0;
}

/* ---- files ---- */

static void forget_file(struct host_sink *h)
{
	if (h->file >= 0)
		close(h->file);
	if (h->file_dir >= 0)
		close(h->file_dir);
	h->file = h->file_dir = -1;
	free(h->file_last);
	free(h->file_name);
	h->file_last = h->file_name = NULL;
}

static int begin_file(struct host_sink *h, int dir, const char *last, const struct files_entry *e)
{
	h->nameless = true;
	h->file = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (h->file < 0) { /* not every filesystem can */
		h->nameless = false;
		if (clear_way(h, dir, last) < 0)
			return -1;
		h->file = openat(dir, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	h->file_dir = h->file >= 0 ? fcntl(dir, F_DUPFD_CLOEXEC, 3) : -1;
	h->file_last = xstrdup(last);
	h->file_name = xstrdup(e->name);
	h->rec = e->r;
	if (h->file < 0 || h->file_dir < 0)
		return -1;
	return set_xattrs(h, h->file, e);
}

static int give_name(const struct host_sink *h)
{
	char path[64];

	if (!h->nameless)
		return 0;
	if (clear_way(h, h->file_dir, h->file_last) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", h->file);
	return linkat(AT_FDCWD, path, h->file_dir, h->file_last, AT_SYMLINK_FOLLOW);
}

static void remember(struct host_sink *h)
{
	struct made *m = xcalloc(1, sizeof(*m)), **at;
	struct stat st;

	m->name = xstrdup(h->file_name);
	if (fstat(h->file, &st) == 0) {
		m->dev = st.st_dev;
		m->ino = st.st_ino;
	}
	at = tsearch(m, &h->linked, by_name);
	if (at == NULL || *at != m) {
		free(m->name);
		free(m);
	}
}

/* It can't be had. Of a layer the rest may do without. */
static bool lose_file(struct host_sink *h, struct error **err)
{
	bool ok = passed_over(h, h->file_name) || fail(h, h->file_name, err);

	if (ok && !h->nameless)
		unlinkat(h->file_dir, h->file_last, 0);
	if (ok)
		forget_file(h);
	return ok;
}

static bool end_file(struct host_sink *h, struct error **err)
{
	struct timespec times[2];
	bool given = false;

	if (h->file < 0)
		return true;
	times_of(&h->rec, times);
	/* The owner first: changing it may take mode bits away. */
	if (ftruncate(h->file, (off_t)h->rec.offset) < 0 || 
	    (h->owners && owner_result(h, fchown(h->file, host_uid(h, h->rec.uid), host_gid(h, h->rec.gid)), h->file_name, &h->rec, &given) < 0) ||
	    fchmod(h->file, mode_of(h, &h->rec, given)) < 0 || futimens(h->file, times) < 0 || give_name(h) < 0)
		return lose_file(h, err);
	if (h->rec.flags & FILES_LINKED)
		remember(h);
	forget_file(h);
	return true;
}

static bool host_data(struct files_sink *s, uint64_t offset, const char *bytes, size_t len, struct error **err)
{
	struct host_sink *h = (struct host_sink *)s;

	while (len != 0 && h->file >= 0) {
		ssize_t n = pwrite(h->file, bytes, len, (off_t)offset);

		if (n <= 0)
			return lose_file(h, err);
		bytes += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

/* ---- the rest ---- */

/*
 * A directory of a layer has its mode at once, and not only when it is done with, so that a keeper that is killed in between leaves
 * no directory shut that others need. Open to its owner until the end says otherwise: we have things to make in it.
 */
static int early_mode(struct host_sink *h, int dir, const char *last, const struct files_record *r)
{
	return h->layer ? files_chmod(dir, last, mode_of(h, r, false) | 0700, true) : 0;
}

static int make_dir(struct host_sink *h, int dir, const char *last, const struct files_entry *e)
{
	struct open_how how = {0};
	struct made *m;
	struct stat st;
	bool theirs = false, given;
	int made;

	/* In the layer a directory stays what it is, unless another one took its place. */
	if (h->layer && ((e->r.flags & FILES_OPAQUE) != 0 || (fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))) &&
	    clear_way(h, dir, last) < 0)
		return -1;
	if (mkdirat(dir, last, 0700) < 0) {
		if (errno != EEXIST)
			return -1;
		theirs = h->ids != NULL && (fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW) < 0 || idmap_inside(&h->ids->uids, st.st_uid) == ID_NONE);
	} else if (h->ids != NULL && set_owner(h, dir, last, &e->r, &given) < 0) { /* at once: what is made in it asks whose it is */
		return -1;
	}
	how.resolve = RESOLVE_NO_SYMLINKS | (h->layer ? RESOLVE_BENEATH | RESOLVE_NO_XDEV : 0);
	if (!theirs && early_mode(h, dir, last, &e->r) < 0)
		return -1;
	how.flags = (uint64_t)(unsigned)((e->nxattrs != 0 ? O_RDONLY : O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	made = (int)syscall(SYS_openat2, dir, last, &how, sizeof(how));
	if (made < 0)
		return -1;
	if (!theirs && set_xattrs(h, made, e) < 0) {
		close(made);
		return -1;
	}
	if (*e->name == '\0')
		h->place.root = made;
	else
		close(made);
	if (h->ndirs % 64 == 0)
		h->dirs = xrealloc(h->dirs, h->ndirs + 64, sizeof(*h->dirs));
	m = &h->dirs[h->ndirs++];
	*m = (struct made){.name = xstrdup(e->name), .r = e->r, .theirs = theirs};
	return 0;
}

static int make_symlink(struct host_sink *h, int dir, const char *last, const struct files_entry *e)
{
	struct timespec times[2];
	bool given;

	if (clear_way(h, dir, last) < 0)
		return -1;
	times_of(&e->r, times);
	if (symlinkat(e->data, dir, last) < 0)
		return -1;
	utimensat(dir, last, times, AT_SYMLINK_NOFOLLOW);
	return set_owner(h, dir, last, &e->r, &given);
}

static int make_fifo(struct host_sink *h, int dir, const char *last, const struct files_entry *e)
{
	struct timespec times[2];
	bool given;

	if (clear_way(h, dir, last) < 0)
		return -1;
	times_of(&e->r, times);
	if (mkfifoat(dir, last, 0600) < 0 || set_owner(h, dir, last, &e->r, &given) < 0 ||
	    utimensat(dir, last, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	return files_chmod(dir, last, mode_of(h, &e->r, given), h->layer);
}

static int make_link(struct host_sink *h, const struct files_entry *e)
{
	struct made key = {.name = (char *)(uintptr_t)e->data}, **m = tfind(&key, &h->linked, by_name);
	cleanup_close int from = -1;
	const char *old, *last;
	struct stat st;
	int dir;

	errno = EINVAL;
	if (m == NULL || h->place.root < 0 || strcmp(e->name, e->data) == 0)
		return -1;
	dir = files_place_of(&h->place, e->data, &old);
	if (dir < 0)
		return -1;
	from = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	if (from < 0 || fstatat(from, old, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	errno = ESTALE;
	if (st.st_dev != (*m)->dev || st.st_ino != (*m)->ino)
		return -1;
	dir = files_place_of(&h->place, e->name, &last);
	if (dir < 0 || clear_way(h, dir, last) < 0)
		return -1;
	return linkat(from, old, dir, last, 0);
}

static bool host_entry(struct files_sink *s, const struct files_entry *e, struct error **err)
{
	struct host_sink *h = (struct host_sink *)s;
	bool is_dir = S_ISDIR(e->r.mode), first = !h->begun;
	const char *last;
	int dir, bad;

	if (!end_file(h, err))
		return false;
	if (h->layer && *e->name == '\0')
		return error_set(err, "what comes from the container makes no sense");
	/* The item itself is the first, and comes once. */
	if (first != (*e->name == '\0'))
		return error_set(err, "what comes from the container makes no sense");
	h->begun = true;
	if (first && !place_item(h, is_dir, err))
		return false;
	if (first && h->last == NULL) { /* the contents of a directory, into one that is there */
		h->place.root = steal_fd(&h->parent);
		return true;
	}
	if (e->r.flags & FILES_HARD_LINK)
		return make_link(h, e) == 0 || passed_over(h, e->name) || fail(h, e->name, err);
	errno = ENOTDIR;
	last = h->last;
	dir = first ? h->parent : h->place.root >= 0 ? files_place_of(&h->place, e->name, &last) : -1;
	if (dir < 0)
		return passed_over(h, e->name) || fail(h, e->name, err);
	switch (e->r.mode & S_IFMT) {
	case S_IFDIR:
		bad = make_dir(h, dir, last, e);
		break;
	case S_IFREG:
		bad = begin_file(h, dir, last, e);
		break;
	case S_IFLNK:
		bad = make_symlink(h, dir, last, e);
		break;
	case S_IFIFO:
		bad = make_fifo(h, dir, last, e);
		break;
	case S_IFSOCK: /* of a layer it is no part: who listened is gone */
		if (h->layer)
			return clear_way(h, dir, last) == 0 || passed_over(h, e->name) || fail(h, e->name, err);
		/* fall through */
	default:
		files_note(&h->notes, e->name, "a device or socket");
		return true;
	}
	if (bad != 0 && h->file >= 0)
		return lose_file(h, err);
	return bad == 0 || passed_over(h, e->name) || fail(h, e->name, err);
}

static bool layer_gone(struct files_sink *s, const char *name, struct error **err)
{
	struct host_sink *h = (struct host_sink *)s;
	const char *last;
	int dir;

	if (!end_file(h, err))
		return false;
	dir = files_place_of(&h->place, name, &last);
	if (dir < 0 ? errno == ENOENT : files_remove(dir, last, h->ids) == 0)
		return true;
	return passed_over(h, name) || fail(h, name, err);
}

/* The deepest first, whatever order they came in: a directory that can't be written or searched is done with. */
static bool end_dir(struct host_sink *h, const struct made *m, struct error **err)
{
	struct timespec times[2];
	const char *last = h->last;
	int dir = m->theirs ? -1 : *m->name == '\0' ? h->parent : files_place_of(&h->place, m->name, &last);
	bool given;

	if (m->theirs)
		return true;
	times_of(&m->r, times);
	if (dir < 0 || set_owner(h, dir, last, &m->r, &given) < 0 || utimensat(dir, last, times, AT_SYMLINK_NOFOLLOW) < 0 ||
	    files_chmod(dir, last, mode_of(h, &m->r, given), h->layer) < 0)
		return passed_over(h, m->name) || fail(h, m->name, err);
	return true;
}

static bool host_end(struct files_sink *s, struct error **err)
{
	struct host_sink *h = (struct host_sink *)s;

	if (!end_file(h, err))
		return false;
	for (size_t i = h->ndirs; i-- > 0;)
		if (!end_dir(h, &h->dirs[i], err))
			return false;
	return true;
}

struct files_sink *files_host_sink(const char *dest, const char *base, bool owners, struct error **err)
{
	struct host_sink *h;

	if (*dest == '\0') {
		error_set(err, "where to? the path is empty");
		return NULL;
	}
	h = xcalloc(1, sizeof(*h));
	h->sink = (struct files_sink){host_entry, host_data, NULL, host_end};
	h->dest = xstrdup(dest);
	h->base = base != NULL ? xstrdup(base) : NULL;
	h->owners = owners;
	h->parent = h->file = h->file_dir = h->place.root = h->place.dir = -1;
	return &h->sink;
}

struct files_sink *files_layer_sink(int root, bool owners, bool set_ids, const struct idmaps *ids)
{
	struct host_sink *h = xcalloc(1, sizeof(*h));

	h->sink = (struct files_sink){host_entry, host_data, layer_gone, host_end};
	h->dest = xstrdup("the root");
	h->layer = h->begun = true;
	h->owners = owners;
	h->set_ids = set_ids;
	h->ids = h->place.ids = ids;
	h->place.one_mount = true;
	h->place.root = fcntl(root, F_DUPFD_CLOEXEC, 3);
	h->parent = h->file = h->file_dir = h->place.dir = -1;
	return &h->sink;
}

static void free_made(void *p)
{
	free(((struct made *)p)->name);
	free(p);
}

void files_host_free(struct files_sink *s)
{
	struct host_sink *h = (struct host_sink *)s;

	if (h == NULL)
		return;
	if (h->file >= 0 && !h->nameless) /* not whole */
		unlinkat(h->file_dir, h->file_last, 0);
	forget_file(h);
	files_place_done(&h->place);
	if (h->place.root >= 0)
		close(h->place.root);
	if (h->parent >= 0)
		close(h->parent);
	for (size_t i = 0; i < h->ndirs; i++)
		free(h->dirs[i].name);
	free(h->dirs);
	tdestroy(h->linked, free_made);
	free(h->last);
	free(h->dest);
	free(h->base);
	free(h);
}
