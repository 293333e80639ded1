/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gofer: opens, lists and, on writable roots, changes files for a sentry that can open nothing itself.
 *
 *	request --> checks --> the path's directory, opened beneath its root --> one *at() call on the last name --> reply
 *
 * All that keeps a hostile sentry inside the directories it was given is in this file; what changes files is in
 * gofer_write.c, which reaches them by what is checked here:
 *	- a path is checked component by component: none is empty, "." or "..", or holds a NUL;
 *	- directories are opened beneath the root's descriptor with RESOLVE_BENEATH | NO_SYMLINKS | NO_MAGICLINKS, or, where the
 *	  host has no openat2, one component at a time with O_NOFOLLOW; the last name goes into calls that don't follow links;
 *	- only regular files are opened for the sentry, looked at before (a device or FIFO acts when it is opened) and after;
 *	- proc, sys and their kind are empty, unless such a filesystem was given as a root itself;
 *	- a read-only root refuses every operation behind GOFER_WRITING, and its descriptors are opened for reading only;
 *	- hidden paths don't exist, by name and by what they were at start;
 *	- of a root with maps of ids (idmap.h), owners are told as the ids they are inside, or as none; directories and files that
 *	  nobody in the maps could get at are refused (gofer_reaches), though we might.
 * Listings are in gofer_list.c. It keeps nothing between requests but one open directory, so nothing can be used up.
 *
 * Contents go into memory that the sentry sees too, where it has asked for that, and what is told of them into the message: they
 * are copied once here, by the host. What is in that memory decides nothing (the sentry can write there).
 *
 * The sentry controls every byte of a request. The host's files may change under us: then an answer is old, no more.
 */
#include "runtime/core/gofer.h"

#include "runtime/core/gofer_internal.h"
#include "sentry/abi/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PIECE_MAX 4000U /* of a path, at once: below PATH_MAX */
#define LINKS_ROOM 2048U /* of an answer's records, behind which those of links' targets and contents fit into the message */
#define TOLD_EACH (192U * 1024U) /* of shared contents: then a message tells the sentry of them, which copies while we go on */
#define NO_TRY 63U      /* opens after one that met a mount */
#define OPEN_DIR_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct ask gofer_ask;
static struct answer answer;
static bool no_openat2;

/* What contents are shared in. fd: -1 once the sentry has it. Bytes of the answer in hand: used, and of those the last message told. */
static struct {
	uint8_t *base;
	int fd;
	size_t used, told;
} share = {.fd = -1};

static unsigned fds_given; /* in the answer in hand, of files behind the first */

/* The directory of the last request, for the next one on the same read-only root. */
static struct {
	struct gofer_root *root;
	int fd;
	size_t len;
	char path[512];
} recent = {.fd = -1};

/* ---- ids ---- */

bool gofer_owner_mapped(const struct gofer_root *root, const struct stat *st)
{
	return idmap_inside(&root->ids.uids, st->st_uid) != ID_NONE;
}

bool gofer_reaches(const struct gofer_root *root, const struct stat *st, unsigned want)
{
	return idmaps_reach(&root->ids, st->st_uid, st->st_gid, st->st_mode, want);
}

static bool has_maps(const struct gofer_root *root)
{
	return root->ids.uids.n != 0;
}

/* Can a directory that is on the way be gone through? */
static bool may_search(const struct gofer_root *root, int fd)
{
	struct stat st;

	return !has_maps(root) || (fstat(fd, &st) == 0 && gofer_reaches(root, &st, MAY_X));
}

/* ---- paths ---- */

bool gofer_name_ok(const char *name, size_t len)
{
	if (len == 0 || len > GOFER_NAME_MAX || memchr(name, '\0', len) != NULL)
		return false;
	return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

bool gofer_path_ok(const char *path, size_t len)
{
	const char *end = path + len;

	if (len == 0)
		return true;
	while (path <= end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		const char *stop = slash != NULL ? slash : end;

		if (!gofer_name_ok(path, (size_t)(stop - path)))
			return false;
		if (slash == NULL)
			return true;
		path = slash + 1;
	}
	return false;
}

/* Is path hidden, or in something hidden? */
bool gofer_path_hidden(const struct gofer_root *root, const char *path, size_t len)
{
	for (unsigned i = 0; i < root->nhidden; i++) {
		size_t n = root->hidden[i].len;

		if (n <= len && memcmp(root->hidden[i].path, path, n) == 0 && (len == n || path[n] == '/'))
			return true;
	}
	return false;
}

bool gofer_ino_hidden(const struct gofer_root *root, uint64_t ino)
{
	for (unsigned i = 0; i < root->nhidden; i++)
		if (root->hidden[i].ino != 0 && root->hidden[i].ino == ino)
			return true;
	return false;
}

static bool stat_hidden(const struct gofer_root *root, const struct stat *st)
{
	for (unsigned i = 0; i < root->nhidden; i++)
		if (root->hidden[i].ino != 0 && root->hidden[i].ino == st->st_ino && root->hidden[i].dev == st->st_dev)
			return true;
	return false;
}

/*
 * Opens the piece of a path beneath dir, without following anything. *same_fs, true at first, becomes false if there may be
 * another filesystem on the way: the host answers that with the open itself, if it is asked not to cross mounts. Where mounts
 * are in the way of one path there are often more, so for a while it isn't tried.
 */
static int open_beneath(int dir, const char *piece, int flags, bool *same_fs)
{
	static unsigned no_try;
	char copy[PIECE_MAX + 1], *name = copy, *slash;
	int fd = dir, next;

	if (no_try != 0) {
		no_try--;
		*same_fs = false;
	}
	if (!no_openat2) {
		struct open_how how = {
			.flags = (uint64_t)flags,
			.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
		};

		if (*same_fs) {
			how.resolve |= RESOLVE_NO_XDEV;
			fd = (int)syscall(SYS_openat2, dir, piece, &how, sizeof(how));
			if (fd >= 0)
				return fd;
			if (errno != EXDEV && errno != ENOSYS && errno != EPERM)
				return errno == ELOOP ? -ENOTDIR : -errno;
			how.resolve &= ~(uint64_t)RESOLVE_NO_XDEV;
			*same_fs = false;
			no_try = NO_TRY;
		}
		fd = (int)syscall(SYS_openat2, dir, piece, &how, sizeof(how));
		if (fd >= 0)
			return fd;
		if (errno != ENOSYS && errno != EPERM)
			return errno == ELOOP || errno == EXDEV ? -ENOTDIR : -errno;
		no_openat2 = errno == ENOSYS;
		fd = dir;
	}
	*same_fs = false;
	snprintf(copy, sizeof(copy), "%s", piece);
	do {
		slash = strchr(name, '/');
		if (slash != NULL)
			*slash = '\0';
		next = openat(fd, name, slash != NULL ? OPEN_DIR_FLAGS : flags);
		if (fd != dir)
			close(fd);
		if (next < 0)
			return -errno;
		fd = next;
		name = slash + 1;
	} while (slash != NULL);
	return fd;
}

static bool is_kernel_fs(uint64_t type)
{
	static const uint32_t types[] = {
		0x9fa0 /* proc */,	 0x62656572 /* sysfs */,     0x1cd1 /* devpts */,     0x27e0eb /* cgroup */,
		0x63677270 /* cgroup2 */, 0x64626720 /* debugfs */,   0x74726163 /* tracefs */, 0x73636673 /* securityfs */,
		0xcafe4a11 /* bpf */,	 0x62656570 /* configfs */,  0xde5e81e4 /* efivars */, 0x6165676c /* pstore */,
		0x42494e4d /* binfmt */, 0x19800202 /* mqueue */,    0x65735543 /* fusectl */, 0x6e736673 /* nsfs */,
		0xf97cff8c /* selinux */, 0x09041934 /* anon inodes */, 0x0187 /* autofs */,
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i] == (uint32_t)type)
			return true;
	return false;
}

/* A directory that is the kernel's voice, not a file of the host's; or a hidden one, however it was reached. same_fs: it lies in
 * the root's own filesystem, which was given. */
static bool dir_forbidden(const struct gofer_root *root, int fd, bool same_fs)
{
	struct statfs sf;
	struct stat st;

	if (root->nhidden != 0 && (fstat(fd, &st) < 0 || stat_hidden(root, &st)))
		return true;
	if (same_fs)
		return false;
	if (fstatfs(fd, &sf) < 0)
		return true;
	return (uint64_t)(uint32_t)sf.f_type != root->fs_type && is_kernel_fs((uint64_t)sf.f_type);
}

int gofer_open_dir(const struct gofer_root *root, const char *path, size_t len, int flags)
{
	int dir = root->fd;
	bool same_fs = true;

	if (root->is_file)
		return -ENOTDIR;
	if (len == 0) {
		dir = openat(root->fd, ".", flags);
		return dir < 0 ? -errno : dir;
	}
	while (len > 0) {
		char piece[PIECE_MAX + 1];
		size_t n = len;
		int next;

		if (has_maps(root)) {
			const char *slash = memchr(path, '/', len); /* each directory is looked at */

			n = slash != NULL ? (size_t)(slash - path) : len;
		} else if (n > PIECE_MAX) {
			for (n = PIECE_MAX; path[n] != '/'; n--)
				; /* components are at most 255 bytes: there is one */
		}
		if (!may_search(root, dir)) {
			if (dir != root->fd)
				close(dir);
			return -EACCES;
		}
		memcpy(piece, path, n);
		piece[n] = '\0';
		next = open_beneath(dir, piece, n == len ? flags : OPEN_DIR_FLAGS, &same_fs);
		if (dir != root->fd)
			close(dir);
		if (next < 0)
			return next;
		dir = next;
		path += n;
		len -= n;
		if (len > 0) {
			path++;
			len--;
		}
	}
	if (dir_forbidden(root, dir, same_fs)) {
		close(dir);
		return -ENOENT;
	}
	return dir;
}

int gofer_take_dir(struct gofer_root *root, const char *path, size_t len, struct parent *out)
{
	int fd;

	out->cached = false;
	if (!root->writable && recent.fd >= 0 && recent.root == root && recent.len == len &&
	    memcmp(recent.path, path, len) == 0) {
		out->fd = recent.fd;
		out->cached = true;
		return 0;
	}
	fd = gofer_open_dir(root, path, len, OPEN_DIR_FLAGS);
	if (fd < 0)
		return fd;
	if (!may_search(root, fd)) { /* a name in it is what is wanted */
		close(fd);
		return -EACCES;
	}
	out->fd = fd;
	if (!root->writable && len < sizeof(recent.path)) {
		if (recent.fd >= 0)
			close(recent.fd);
		recent.fd = fd;
		recent.root = root;
		recent.len = len;
		memcpy(recent.path, path, len);
		out->cached = true;
	}
	return 0;
}

int gofer_open_parent(struct gofer_root *root, const char *path, struct parent *out)
{
	const char *slash = strrchr(path, '/');

	out->name = slash != NULL ? slash + 1 : path;
	if (gofer_path_hidden(root, path, strlen(path)))
		return -ENOENT;
	return gofer_take_dir(root, path, slash != NULL ? (size_t)(slash - path) : 0, out);
}

void gofer_put_parent(struct parent *p)
{
	if (!p->cached)
		close(p->fd);
}

/* ---- answers ---- */

int gofer_flush(struct answer *a, uint32_t flags)
{
	struct iovec iov[2] = {{&a->head, sizeof(a->head)}, {a->body, a->len}};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	a->head.flags = flags;
	if (a->fd >= 0) {
		struct cmsghdr *cm;

		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.bytes);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &a->fd, sizeof(int));
	}
	do
		n = sendmsg(a->sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == ETOOMANYREFS && a->fd_ahead) {
		/* As many are on their way as a user may have: what was only a guess goes without. */
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
		n = sendmsg(a->sock, &msg, MSG_NOSIGNAL);
	}
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
	a->fd_ahead = false;
	a->len = 0;
	a->head.count = 0;
	return n < 0 ? -errno : 0;
}

int gofer_make_room(struct answer *a, size_t size, uint32_t flags)
{
	if (a->len + size <= sizeof(a->body))
		return 0;
	return a->sock < 0 ? -E2BIG : gofer_flush(a, flags | GOFER_REPLY_MORE);
}

int gofer_add_record(struct answer *a, const struct gofer_record *r, const char *name, const char *target)
{
	size_t size = GOFER_RECORD_SIZE(r->name_len, r->target_len);
	int err = gofer_make_room(a, size, 0);
	uint8_t *at;

	if (err != 0)
		return err;
	at = a->body + a->len;
	memset(at, 0, size);
	memcpy(at, r, sizeof(*r));
	memcpy(at + sizeof(*r), name, r->name_len);
	memcpy(at + sizeof(*r) + r->name_len, target, r->target_len);
	a->len += size;
	a->head.count++;
	return 0;
}

static uint64_t linux_dev(dev_t dev)
{
	uint64_t maj = major(dev), min = minor(dev);

	return (min & 0xff) | ((maj & 0xfff) << 8) | ((min & ~0xffULL) << 12);
}

static void record_owner(const struct gofer_root *root, struct gofer_record *r, const struct stat *st)
{
	r->uid = idmap_inside(&root->ids.uids, st->st_uid);
	r->gid = idmap_inside(&root->ids.gids, st->st_gid);
}

/* But for its owner, which is the host's to name (record_owner). */
static void record_from(struct gofer_record *r, const struct stat *st)
{
	memset(r, 0, sizeof(*r));
	r->dev = st->st_dev;
	r->ino = st->st_ino;
	r->size = (uint64_t)st->st_size;
	r->blocks = (uint64_t)st->st_blocks;
	r->rdev = linux_dev(st->st_rdev);
	r->atime_sec = st->st_atim.tv_sec;
	r->mtime_sec = st->st_mtim.tv_sec;
	r->ctime_sec = st->st_ctim.tv_sec;
	r->atime_nsec = (uint32_t)st->st_atim.tv_nsec;
	r->mtime_nsec = (uint32_t)st->st_mtim.tv_nsec;
	r->ctime_nsec = (uint32_t)st->st_ctim.tv_nsec;
	r->mode = st->st_mode;
	r->nlink = st->st_nlink > UINT32_MAX ? UINT32_MAX : (uint32_t)st->st_nlink;
	r->btime_sec = r->ctime_sec;
	r->btime_nsec = r->ctime_nsec;
}

/* The record of a name and, for our own use, its stat. By statx, which also tells when the file was made. */
static int look_at(int dir, const char *name, struct stat *st, struct gofer_record *r)
{
	int flags = AT_SYMLINK_NOFOLLOW | (name[0] == '\0' ? AT_EMPTY_PATH : 0);
	struct linux_statx x;

	if (syscall(SYS_statx, dir, name, flags, LINUX_STATX_BASIC_STATS | LINUX_STATX_BTIME, &x) < 0) {
		if (errno != ENOSYS || fstatat(dir, name, st, flags) < 0)
			return -errno;
		record_from(r, st);
		return 0;
	}
	memset(st, 0, sizeof(*st));
	st->st_dev = makedev(x.dev_major, x.dev_minor);
	st->st_ino = x.ino;
	st->st_size = (off_t)x.size;
	st->st_blocks = (blkcnt_t)x.blocks;
	st->st_rdev = makedev(x.rdev_major, x.rdev_minor);
	st->st_atim = (struct timespec){x.atime.sec, x.atime.nsec};
	st->st_mtim = (struct timespec){x.mtime.sec, x.mtime.nsec};
	st->st_ctim = (struct timespec){x.ctime.sec, x.ctime.nsec};
	st->st_mode = x.mode;
	st->st_nlink = x.nlink;
	st->st_uid = x.uid;
	st->st_gid = x.gid;
	record_from(r, st);
	if (x.mask & LINUX_STATX_BTIME) {
		r->btime_sec = x.btime.sec;
		r->btime_nsec = x.btime.nsec;
	}
	return 0;
}

int gofer_answer_typed(struct answer *a, const struct gofer_root *root, int dir, const char *name, uint32_t flags, mode_t *mode)
{
	char target[GOFER_TARGET_MAX + 1];
	struct gofer_record r;
	struct stat st;
	int err = look_at(dir, name, &st, &r);

	if (err != 0)
		return err;
	if (stat_hidden(root, &st))
		return -ENOENT;
	record_owner(root, &r, &st);
	r.flags = flags;
	r.name_len = (uint16_t)strlen(name);
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(dir, name, target, sizeof(target));

		if (n < 0)
			return -errno;
		if ((size_t)n > GOFER_TARGET_MAX)
			return -ENAMETOOLONG;
		r.target_len = (uint16_t)n;
	}
	*mode = st.st_mode;
	return gofer_add_record(a, &r, name, target);
}

int gofer_answer_name(struct answer *a, const struct gofer_root *root, int dir, const char *name)
{
	mode_t mode;

	return gofer_answer_typed(a, root, dir, name, 0, &mode);
}

/* ---- reading ---- */

static int do_lookup(struct answer *a)
{
	struct parent p;
	int err;

	if (gofer_ask.path[0] == '\0') {
		struct gofer_record r;
		struct stat st;

		if (!gofer_ask.root->is_file)
			return gofer_answer_name(a, gofer_ask.root, gofer_ask.root->fd, "");
		if (fstat(gofer_ask.root->fd, &st) < 0)
			return -errno;
		record_from(&r, &st);
		record_owner(gofer_ask.root, &r, &st);
		return gofer_add_record(a, &r, "", "");
	}
	err = gofer_open_parent(gofer_ask.root, gofer_ask.path, &p);
	if (err != 0)
		return err;
	err = gofer_answer_name(a, gofer_ask.root, p.fd, p.name);
	gofer_put_parent(&p);
	return err;
}

/* Could anybody in the maps open it so? What may be executed is read to do so. */
static bool may_open(const struct gofer_root *root, const struct stat *st, int flags)
{
	return gofer_reaches(root, st, (flags & O_ACCMODE) == O_RDONLY ? 0 : MAY_W) &&
	       ((flags & O_ACCMODE) == O_WRONLY || gofer_reaches(root, st, MAY_R) || gofer_reaches(root, st, MAY_X));
}

/* Opens what st was told of: a descriptor, and in *now what was opened. -ESTALE: something else is there by now. */
static int open_this(int dir, const char *name, int flags, const struct stat *st, struct stat *now)
{
	int fd = openat(dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstat(fd, now) < 0 || now->st_ino != st->st_ino || now->st_dev != st->st_dev || !S_ISREG(now->st_mode)) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

/* The file, if it is a regular one, opened as asked. Nothing else is ever opened: opening a device or FIFO does things.
 * *now: what was opened. */
int gofer_open_regular(struct gofer_root *root, int dir, const char *name, int flags, uint64_t dev, uint64_t ino,
			struct stat *now)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (stat_hidden(root, &st))
		return -ENOENT;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (!may_open(root, &st, flags))
		return -EACCES;
	if (ino != 0 && (st.st_ino != ino || st.st_dev != dev))
		return -ESTALE;
	return open_this(dir, name, flags, &st, now);
}

/* The file's bytes behind the head in a's body, as many as it has. False: they are none of our business. */
static bool read_all(int fd, uint8_t *at, const struct stat *st, uint32_t *len)
{
	*len = 0;
	while (*len < st->st_size) {
		ssize_t n = pread(fd, at + *len, (size_t)st->st_size - *len, *len);

		if (n < 0)
			return false; /* the sentry finds the same error */
		if (n == 0)
			break;
		*len += (uint32_t)n;
	}
	return *len < 4 || memcmp(at, "\177ELF", 4) != 0;
}

/* Its bytes are where they belong. */
static void add_content_head(struct answer *a, const struct gofer_content *head)
{
	size_t behind = (head->rec.flags & GOFER_SHARED) ? 0 : head->len, size = GOFER_CONTENT_SIZE(behind);

	memcpy(a->body + a->len, head, sizeof(*head));
	memset(a->body + a->len + sizeof(*head) + behind, 0, size - sizeof(*head) - behind);
	a->len += size;
	a->flags |= GOFER_REPLY_CONTENT;
}

/*
 * The record of a regular file and its contents, if it is small, into the answer; else, if it is the one that is wanted, its
 * descriptor. Of what isn't wanted no more than *left bytes, which are taken off. 0, or -errno if the socket is broken. What
 * isn't a regular file, or isn't the one meant, is left out.
 */
static int add_content(struct answer *a, int dir, const char *name, uint32_t index, uint64_t *left)
{
	struct gofer_content head;
	struct stat st, now;
	bool shared = gofer_ask.req.op == GOFER_READ && (gofer_ask.req.flags & GOFER_READ_SHARED) && share.base != NULL;
	bool wanted = index == 0, small, fd_ahead, with_fd = gofer_ask.req.op == GOFER_WALK && (gofer_ask.req.flags & GOFER_WALK_FD);
	uint8_t *at;
	int fd = -1, err;

	if (look_at(dir, name, &st, &head.rec) != 0 || stat_hidden(gofer_ask.root, &st) || !S_ISREG(st.st_mode))
		return 0;
	if (wanted && gofer_ask.req.ino != 0 && (st.st_ino != gofer_ask.req.ino || st.st_dev != gofer_ask.req.dev))
		return 0;
	small = st.st_size <= (off_t)GOFER_CONTENT_MAX && st.st_size != 0;
	fd_ahead = !wanted && st.st_size > (off_t)GOFER_CONTENT_MAX && (gofer_ask.req.flags & GOFER_READ_FDS) && fds_given < GOFER_FDS_MAX;
	if (fd_ahead && a->fd >= 0) { /* one in a message */
		err = gofer_flush(a, a->flags | GOFER_REPLY_MORE);
		if (err != 0)
			return err;
	}
	if (!wanted && small) {
		if ((uint64_t)st.st_size > *left) {
			*left = 0;
			return 0;
		}
		*left -= (uint64_t)st.st_size;
	}
	record_owner(gofer_ask.root, &head.rec, &st);
	head.rec.flags = GOFER_NO_CONTENT;
	head.index = index;
	head.len = 0;
	head.at = head.pad = 0;
	shared = shared && small && (size_t)st.st_size <= GOFER_SHARE_SIZE - share.used;
	err = gofer_make_room(a, GOFER_CONTENT_SIZE(small && !shared ? (size_t)st.st_size : 0), a->flags);
	if (err != 0)
		return err;
	at = shared ? share.base + share.used : a->body + a->len + sizeof(head);
	if ((small || wanted || fd_ahead) && may_open(gofer_ask.root, &st, O_RDONLY))
		fd = open_this(dir, name, O_RDONLY, &st, &now);
	if (fd >= 0 && small && now.st_size == st.st_size && now.st_ctim.tv_sec == st.st_ctim.tv_sec &&
	    now.st_ctim.tv_nsec == st.st_ctim.tv_nsec && read_all(fd, at, &now, &head.len))
		head.rec.flags = 0;
	else
		head.len = 0;
	if (shared && head.len != 0) {
		head.rec.flags |= GOFER_SHARED;
		head.at = (uint32_t)share.used;
		share.used += head.len;
	}
	if (fd >= 0 && fd_ahead)
		head.rec.flags |= GOFER_WITH_FD;
	add_content_head(a, &head);
	if (fd >= 0 && fd_ahead) {
		fds_given++;
		a->fd = fd;
		a->fd_ahead = true;
		return gofer_flush(a, a->flags | GOFER_REPLY_MORE);
	}
	if (fd >= 0 && wanted && ((head.rec.flags & GOFER_NO_CONTENT) || with_fd))
		a->fd = fd;
	else if (fd >= 0)
		close(fd);
	if (share.used - share.told < TOLD_EACH)
		return 0;
	share.told = share.used;
	return gofer_flush(a, a->flags | GOFER_REPLY_MORE);
}

static int do_share(struct answer *a)
{
	if (share.fd < 0)
		return -ENOSYS;
	a->fd = share.fd;
	share.fd = -1;
	return 0;
}

static int do_read(struct answer *a)
{
	char *path = gofer_ask.arg, *end;
	uint64_t left = gofer_ask.req.size;
	int err = 0;

	if (gofer_ask.root->is_file || gofer_ask.req.arg_len == 0)
		return -EINVAL;
	share.used = share.told = 0;
	fds_given = 0;
	for (uint32_t n = 0; err == 0 && path != NULL && n < GOFER_AHEAD_MAX; n++) {
		struct parent p;

		end = strstr(path, "//");
		if (end != NULL) {
			*end = '\0';
			end += 2;
		}
		if (path[0] == '\0' || !gofer_path_ok(path, strlen(path)))
			return -EINVAL;
		if ((n == 0 || left != 0) && gofer_open_parent(gofer_ask.root, path, &p) == 0) {
			err = add_content(a, p.fd, p.name, n, &left);
			gofer_put_parent(&p);
		}
		path = end;
	}
	return err;
}

/* One name of a walk: its record, and the way on if it is a directory. 1: go on in *dir. */
static int walk_name(struct answer *a, const char *full, const char *name, bool last, int *dir)
{
	uint64_t none = 0;
	mode_t mode;
	int err, next;

	err = gofer_path_hidden(gofer_ask.root, full, strlen(full)) ?
		      -ENOENT :
		      gofer_answer_typed(a, gofer_ask.root, *dir, name, 0, &mode);
	if (err != 0)
		return err;
	if (S_ISREG(mode) && (gofer_ask.req.flags & GOFER_WALK_OPEN) && last)
		return add_content(a, *dir, name, 0, &none);
	if (!S_ISDIR(mode) || last)
		return 0;
	next = openat(*dir, name, OPEN_DIR_FLAGS);
	if (next < 0 || dir_forbidden(gofer_ask.root, next, false) || !may_search(gofer_ask.root, next)) {
		if (next >= 0)
			close(next);
		return 0;
	}
	*dir = next;
	return 1;
}

/* The target of the link whose record is the last of the answer, at `at`, if it is a name beside it and there is room for more
 * records in a message that contents may have to fit into as well. */
static bool link_beside(const struct answer *a, size_t at, char *target)
{
	struct gofer_record r;

	if (a->len > LINKS_ROOM || a->len - at < sizeof(r))
		return false;
	memcpy(&r, a->body + at, sizeof(r));
	if (!S_ISLNK(r.mode) || r.target_len > GOFER_NAME_MAX)
		return false;
	memcpy(target, a->body + at + sizeof(r) + r.name_len, r.target_len);
	target[r.target_len] = '\0';
	return gofer_name_ok(target, r.target_len) && memchr(target, '/', r.target_len) == NULL;
}

/* From a link that was the last name of a walk to what it leads to. full: the link's path, whose directory's has dir_len bytes.
 * 0 or -errno if the socket is broken: what isn't there, or is hidden, ends it. */
static int walk_links(struct answer *a, char *full, size_t dir_len, size_t at, int dir)
{
	char target[GOFER_NAME_MAX + 1];

	for (unsigned n = 0; n < GOFER_LINKS_MAX && link_beside(a, at, target); n++) {
		int err;

		at = a->len;
		sprintf(full + dir_len, "%s%s", dir_len != 0 ? "/" : "", target);
		err = strlen(full) <= GOFER_PATH_MAX ? walk_name(a, full, target, true, &dir) : -ENAMETOOLONG;
		if (err != 0)
			return err == -EPIPE || err == -ECONNRESET ? err : 0;
	}
	return 0;
}

static int do_walk(struct answer *a)
{
	static char full[GOFER_PATH_MAX + GOFER_MESSAGE_MAX + GOFER_NAME_MAX + 2];
	size_t len = strlen(gofer_ask.path), before, at;
	char *name = gofer_ask.arg, *slash;
	struct parent p;
	int dir, on = 0, err;

	if (!gofer_path_ok(gofer_ask.arg, gofer_ask.req.arg_len) || gofer_ask.req.arg_len == 0 ||
	    len + gofer_ask.req.arg_len + 1 > GOFER_PATH_MAX)
		return -EINVAL;
	if (gofer_path_hidden(gofer_ask.root, gofer_ask.path, len))
		return -ENOENT;
	err = gofer_take_dir(gofer_ask.root, gofer_ask.path, len, &p);
	if (err != 0)
		return err;
	memcpy(full, gofer_ask.path, len);
	dir = p.fd;
	if (gofer_ask.req.flags & GOFER_WALK_HERE)
		err = gofer_list_small(a, p.fd, gofer_ask.path);
	for (unsigned n = 0; err == 0 && n < GOFER_WALK_MAX; n++) {
		int here = dir;

		slash = strchr(name, '/');
		if (slash != NULL)
			*slash = '\0';
		before = len;
		len += (size_t)sprintf(full + len, "%s%s", len != 0 ? "/" : "", name);
		at = a->len;
		on = walk_name(a, full, name, slash == NULL, &dir);
		if (on == 0 && slash == NULL && (gofer_ask.req.flags & GOFER_WALK_LINK))
			err = walk_links(a, full, before, at, here);
		if (on == -ENOENT && (gofer_ask.req.flags & GOFER_WALK_LIST)) {
			full[before] = '\0';
			err = gofer_list_small(a, here, full);
		}
		if (here != p.fd && (on != 1 || here != dir))
			close(here);
		if (on != 1)
			break;
		name = slash + 1;
		if (n + 1 == GOFER_WALK_MAX && dir != p.fd)
			close(dir);
	}
	gofer_put_parent(&p);
	if (err != 0)
		return err;
	if (on == -ENOENT) {
		a->flags = GOFER_REPLY_ABSENT;
		return 0;
	}
	return a->head.count != 0 ? 0 : on; /* what was found is right, whatever came then */
}

static int do_open(struct answer *a)
{
	bool write = (gofer_ask.req.flags & GOFER_OPEN_WRITE) != 0;
	struct stat st;
	struct parent p;
	int fd, err;

	if (write && !gofer_ask.root->writable)
		return -EROFS;
	if (gofer_ask.root->is_file) {
		if (fstat(gofer_ask.root->fd, &st) < 0 || !gofer_reaches(gofer_ask.root, &st, write ? MAY_R | MAY_W : 0) ||
		    (!gofer_reaches(gofer_ask.root, &st, MAY_R) && !gofer_reaches(gofer_ask.root, &st, MAY_X)))
			return -EACCES;
		fd = gofer_ask.path[0] == '\0' && gofer_ask.root->file_fd >= 0 ? fcntl(gofer_ask.root->file_fd, F_DUPFD_CLOEXEC, 0) :
										 -1;
		if (fd < 0)
			return gofer_ask.path[0] == '\0' ? -EACCES : -ENOTDIR;
		a->fd = fd;
		return 0;
	}
	if (gofer_ask.path[0] == '\0')
		return -EISDIR;
	err = gofer_open_parent(gofer_ask.root, gofer_ask.path, &p);
	if (err != 0)
		return err;
	fd = gofer_open_regular(gofer_ask.root, p.fd, p.name, write ? O_RDWR : O_RDONLY, gofer_ask.req.dev,
				gofer_ask.req.ino, &st);
	gofer_put_parent(&p);
	if (fd < 0)
		return fd;
	a->fd = fd;
	return 0;
}

static int add_xattr(struct answer *a, const char *file, const char *name)
{
	struct gofer_xattr x = {.name_len = (uint32_t)strlen(name)};
	uint8_t *at = a->body + a->len;
	size_t head = sizeof(x) + x.name_len;
	ssize_t n;

	if (x.name_len > 255 || a->len + head + 8 > sizeof(a->body))
		return 0;
	n = lgetxattr(file, name, at + head, sizeof(a->body) - a->len - head - 8);
	if (n < 0)
		return 0; /* gone, ours not to read, or more than fits: left out */
	x.value_len = (uint32_t)n;
	memcpy(at, &x, sizeof(x));
	memcpy(at + sizeof(x), name, x.name_len);
	memset(at + head + n, 0, GOFER_XATTR_SIZE(x.name_len, x.value_len) - head - (size_t)n);
	a->len += GOFER_XATTR_SIZE(x.name_len, x.value_len);
	a->head.count++;
	return 0;
}

/* Goes into the directory of the request's path. *file is the name to use there. */
int gofer_enter_parent(const char **file)
{
	struct parent p;
	int err;

	*file = ".";
	if (gofer_ask.root->is_file)
		return -EOPNOTSUPP;
	if (gofer_ask.path[0] == '\0')
		return fchdir(gofer_ask.root->fd) < 0 ? -errno : 0;
	err = gofer_open_parent(gofer_ask.root, gofer_ask.path, &p);
	if (err != 0)
		return err;
	err = fchdir(p.fd) < 0 ? -errno : 0;
	*file = p.name; /* points into gofer_ask.path */
	gofer_put_parent(&p);
	return err;
}

static int do_xattrs(struct answer *a)
{
	static char names[GOFER_MESSAGE_MAX];
	const char *file;
	struct stat st;
	bool readable = true;
	ssize_t n;
	int err = gofer_enter_parent(&file);

	if (err != 0)
		return err;
	/* With the second flag it isn't lstat, by another number, in libc. */
	if (has_maps(gofer_ask.root))
		readable = fstatat(AT_FDCWD, file, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0 && gofer_reaches(gofer_ask.root, &st, MAY_R);
	n = llistxattr(file, names, sizeof(names) - 1);
	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	names[n] = '\0';
	for (char *name = names; err == 0 && name < names + n; name += strlen(name) + 1)
		if (readable || strncmp(name, "user.", 5) != 0) /* as the host has it: those of users are contents */
			err = add_xattr(a, file, name);
	return err;
}

static int do_statfs(struct answer *a)
{
	struct gofer_statfs out;
	struct statfs sf;

	if (fstatfs(gofer_ask.root->fd, &sf) < 0)
		return -errno;
	out = (struct gofer_statfs){
		.bsize = (uint64_t)sf.f_bsize,
		.blocks = sf.f_blocks,
		.bfree = sf.f_bfree,
		.bavail = sf.f_bavail,
		.files = sf.f_files,
		.ffree = sf.f_ffree,
	};
	memcpy(a->body, &out, sizeof(out));
	a->len = sizeof(out);
	a->head.count = 1;
	return 0;
}

static int handle(struct answer *a)
{
	switch (gofer_ask.req.op) {
	case GOFER_LOOKUP:
		return do_lookup(a);
	case GOFER_LIST:
		return gofer_list(a);
	case GOFER_ATTRS:
		return gofer_attrs(a);
	case GOFER_OPEN:
		return do_open(a);
	case GOFER_XATTRS:
		return do_xattrs(a);
	case GOFER_STATFS:
		return do_statfs(a);
	case GOFER_WALK:
		return do_walk(a);
	case GOFER_READ:
		return do_read(a);
	case GOFER_SHARE:
		return do_share(a);
	default:
		return gofer_write(a);
	}
}

/* ---- the loop ---- */

/* Takes the message apart. 0; -EPROTO: the sentry doesn't speak our language. */
static int parse(const uint8_t *message, size_t n, struct gofer_root *roots, unsigned nroots)
{
	struct gofer_request *q = &gofer_ask.req;

	if (n < sizeof(*q))
		return -EPROTO;
	memcpy(q, message, sizeof(*q));
	if (q->path_len > GOFER_PATH_MAX || q->path_len > n - sizeof(*q) || q->arg_len != n - sizeof(*q) - q->path_len)
		return -EPROTO;
	if (q->op == 0 || q->op >= GOFER_OPS || q->root >= nroots || roots[q->root].fd < 0)
		return -EPROTO;
	memcpy(gofer_ask.path, message + sizeof(*q), q->path_len);
	gofer_ask.path[q->path_len] = '\0';
	memcpy(gofer_ask.arg, message + sizeof(*q) + q->path_len, q->arg_len);
	gofer_ask.arg[q->arg_len] = '\0';
	gofer_ask.root = &roots[q->root];
	return gofer_path_ok(gofer_ask.path, q->path_len) ? 0 : -EPROTO;
}

int gofer_serve(int sock, struct gofer_root *roots, unsigned nroots)
{
	static uint8_t message[GOFER_MESSAGE_MAX + 1];

	for (;;) {
		ssize_t n = recv(sock, message, sizeof(message), 0);
		int err;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		err = n <= (ssize_t)GOFER_MESSAGE_MAX ? parse(message, (size_t)n, roots, nroots) : -EPROTO;
		if (err != 0)
			return err;
		answer.sock = sock;
		answer.fd = -1;
		answer.len = 0;
		answer.flags = 0;
		answer.head = (struct gofer_reply){.id = gofer_ask.req.id};
		err = handle(&answer);
		if (err != 0) {
			answer.len = 0;
			answer.flags = 0;
			answer.head.count = 0;
			answer.head.err = err;
			if (answer.fd >= 0)
				close(answer.fd);
			answer.fd = -1;
		}
		err = gofer_flush(&answer, answer.flags);
		if (err != 0)
			return err == -EPIPE || err == -ECONNRESET ? 0 : err;
	}
}

/* ---- before sealing ---- */

void gofer_share_init(void)
{
	int fd = memfd_create("gofer-contents", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p;

	if (fd < 0)
		return;
	if (ftruncate(fd, GOFER_SHARE_SIZE) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
		close(fd);
		return;
	}
	p = mmap(NULL, GOFER_SHARE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		close(fd);
		return;
	}
	share.base = p;
	share.fd = fd;
}

void gofer_root_init(struct gofer_root *root, int fd, bool writable)
{
	char self[40];
	struct statfs sf;
	struct stat st;

	memset(root, 0, sizeof(*root));
	root->fd = fd;
	root->file_fd = -1;
	root->writable = writable;
	root->self = geteuid();
	if (fd < 0)
		return;
	if (fstatfs(fd, &sf) == 0)
		root->fs_type = (uint32_t)sf.f_type;
	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode))
		return;
	root->is_file = true;
	if (!S_ISREG(st.st_mode))
		return;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	root->file_fd = open(self, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
}

static int hide_one(struct gofer_root *root, const char *path, const struct stat *st)
{
	struct gofer_hidden *bigger = realloc(root->hidden, (root->nhidden + 1) * sizeof(*bigger));
	char *copy;

	if (bigger == NULL)
		return -ENOMEM;
	root->hidden = bigger;
	while (*path == '/')
		path++;
	copy = strdup(path);
	if (copy == NULL)
		return -ENOMEM;
	for (size_t n = strlen(copy); n > 0 && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	if (copy[0] == '\0') { /* the root itself can't be hidden */
		free(copy);
		return 0;
	}
	root->hidden[root->nhidden++] = (struct gofer_hidden){
		.path = copy, .len = strlen(copy), .dev = st != NULL ? st->st_dev : 0, .ino = st != NULL ? st->st_ino : 0};
	return 0;
}

int gofer_root_hide(struct gofer_root *root, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS};
	char self[40], base[PATH_MAX], real[PATH_MAX];
	ssize_t base_len, len;
	struct stat st;
	bool links;
	int fd, err;

	fd = (int)syscall(SYS_openat2, root->fd, path, &how, sizeof(how));
	links = fd < 0 && errno == ELOOP;
	if (links) {
		how.resolve &= ~(uint64_t)RESOLVE_NO_SYMLINKS;
		fd = (int)syscall(SYS_openat2, root->fd, path, &how, sizeof(how));
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		if (fd >= 0)
			close(fd);
		return hide_one(root, path, NULL);
	}
	err = hide_one(root, path, &st);
	if (!links) {
		close(fd);
		return err;
	}
	/* Where the links in it led, the same under that name. */
	snprintf(self, sizeof(self), "/proc/self/fd/%d", root->fd);
	base_len = readlink(self, base, sizeof(base) - 1);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	len = readlink(self, real, sizeof(real) - 1);
	close(fd);
	if (err != 0 || base_len <= 0 || len <= 0)
		return err;
	real[len] = '\0';
	if (base_len == 1)
		base_len = 0; /* "/" */
	if (len > base_len && memcmp(real, base, (size_t)base_len) == 0 && real[base_len] == '/')
		err = hide_one(root, real + base_len, &st);
	return err;
}
