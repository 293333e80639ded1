/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An EROFS image as the lower layer: no process is asked, no file of the host is opened.
 *
 *	memfs_lower.c --gofer_call--> image_answer --> erofs.c: inodes, names, attributes --> records, as the gofer's
 *	memfs_file.c  --------------> image_run    --> bytes in the map, copied from there to the guest
 *	              --------------> image_pages  --> the image's own pages, for a guest's mapping
 *
 * The file is mapped whole, shared and read-only, once: all sandboxes of an image, and all their programs, share the host's
 * page cache of it. The answers are in the gofer's form, so that all of memfs (whiteouts, copying up, hard links) is the same
 * over both.
 *
 * Mappings. The image's descriptor shows every file in it, also those that the guest's user may not read. It is passed to a
 * stub only where the platform sees to it that nothing but the commanded range can be mapped through it (platform->guard_fd);
 * and only for files whose pages are theirs alone. For others (tails behind inodes, chunks out of order, ptrace) memfs
 * copies the file into a memfd, as it does for files that are written.
 *
 * Further containers of a pod may have images of their own (image_new). Then each process maps the pages of its own container's
 * only, which is what the guard relies on; of a file of another's, which it may have been passed, it gets a copy. When the
 * container ends its image goes (image_stop): the descriptor is closed, and the map is covered by empty pages, not unmapped,
 * because a reader who sleeps may hold a pointer into it. What asks afterwards gets EIO.
 *
 * The image is its maker's: what is in it is checked (erofs.c), and what is wrong gives EIO for that file or directory. Who can
 * write to it can change what the sandbox sees, as with a root directory; who can cut it off makes reading it fault. The
 * command refuses images that others may write to, and for the rest, explain() says why the sandbox ended: all of a pod, if it
 * was one container's.
 *
 * What the guest controls: which names are asked for. Answers are counted memory, bounded by the image's own size.
 */
#include "sentry/fs/image.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/base/alloc.h"
#include "sentry/base/list.h"
#include "sentry/base/panic.h"
#include "runtime/erofs.h"
#include "sentry/host/host.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/ids.h"
#include "sentry/platform/platform.h"
#include "sentry/vfs/vfs.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HIDDEN_MAX 4096U
#define DEPTH_MAX 4096U
#define NAMES_MAX (2U << 20)    /* in one directory */
#define XATTRS_MAX (1 * MiB)    /* of one file */

/* Where the last question led. */
struct way {
	/* the directory that was asked about last: most questions are about the same one again */
	uint64_t last_nid;
	char last_path[512]; /* "": none; the root is found without it */
	/* the directories above what was found last, and itself if it is one: none twice */
	uint64_t above[DEPTH_MAX];
	unsigned depth;
};

struct lower_image {
	struct erofs_image erofs;
	int fd;
	uint64_t *hidden; /* inode numbers */
	unsigned nhidden;
	struct way *way;
	bool guarded;     /* the platform knows the descriptor */
	bool stopped;     /* nothing of it is there any more: no field but this means anything */
	struct list link; /* on images */
};

static struct lower_image first = {.fd = -1, .link = LIST_INIT(first.link)}; /* the sandbox's own */
static bool mounted;
static struct list images = LIST_INIT(images); /* those that are mapped */

/* ---- at start ---- */

/* The file became shorter, or can't be read: that is nobody's bug, and the report says so. */
static const char *explain(int sig, const void *address)
{
	const uint8_t *at = address;
	const struct lower_image *im;

	if (sig != SIGBUS)
		return NULL;
	list_for_each(im, &images, link)
		if (at >= im->erofs.base && at < im->erofs.base + im->erofs.size)
			return im == &first ? "a part of the root image can't be read any more: the file was cut off or its disk failed" :
					      "a part of a container's root image can't be read any more: the file was cut off or its disk failed";
	return NULL;
}

/* base and fd are its own from here on, also if it fails. */
static const char *begin(struct lower_image *im, const void *base, uint64_t size, int fd)
{
	im->fd = fd;
	im->erofs.base = base;
	im->erofs.size = size;
	im->way = kzalloc(sizeof(*im->way));
	if (im->way == NULL)
		return "memory is out";
	list_add_tail(&images, &im->link);
	panic_explain = explain; /* already the first look may fault */
	return erofs_open(&im->erofs, base, size);
}

const char *image_open(const void *base, uint64_t size, int fd)
{
	const char *why;

	kfree(first.hidden);
	kfree(first.way);
	list_del(&first.link);
	memset(&first, 0, sizeof(first));
	list_init(&first.link);
	why = begin(&first, base, size, fd);
	mounted = why == NULL;
	return why;
}

const char *image_mount(int fd)
{
	static char text[160];
	struct stat st;
	void *base;
	int err;

	if (host_fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
		return "it is not a regular file with something in it";
	base = host_mmap((size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0, &err);
	if (base == NULL) {
		snprintf(text, sizeof(text), "it can't be mapped (%llu bytes): raise the limit on address space",
			 (unsigned long long)st.st_size);
		return text;
	}
	return image_open(base, (uint64_t)st.st_size, fd);
}

struct lower_image *image_root(void)
{
	return mounted ? &first : NULL;
}

struct lower_image *image_new(int fd, const char **why)
{
	struct lower_image *im = kzalloc(sizeof(*im));
	struct stat st;
	void *base = NULL;
	int err;

	*why = "memory is out";
	if (im != NULL) {
		list_init(&im->link);
		*why = "it is not a regular file with something in it, or can't be mapped";
		if (host_fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
			base = host_mmap((size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0, &err);
	}
	if (base == NULL) {
		host_close(fd);
		kfree(im);
		return NULL;
	}
	*why = begin(im, base, (uint64_t)st.st_size, fd);
	if (*why == NULL)
		return im;
	image_stop(im);
	kfree(im);
	return NULL;
}

void image_stop(struct lower_image *im)
{
	if (im->stopped)
		return;
	if (im->guarded)
		(void)platform->guard_fd(im->fd, false);
	im->stopped = true;
	list_del(&im->link);
	/* Nobody but us maps it: if that fails, it stays until the sandbox ends. */
	(void)!host_blank((void *)(uintptr_t)im->erofs.base, PAGE_ALIGN(im->erofs.size));
	host_close(im->fd);
	im->fd = -1;
	kfree(im->hidden);
	kfree(im->way);
	im->hidden = NULL;
	im->way = NULL;
	im->nhidden = 0;
}

static bool is_hidden(const struct lower_image *im, uint64_t nid)
{
	for (unsigned i = 0; i < im->nhidden; i++)
		if (im->hidden[i] == nid)
			return true;
	return false;
}

int image_hide(struct lower_image *im, const char *path)
{
	for (int follow = 0; follow < 2; follow++) {
		uint64_t nid, *more;

		if (erofs_resolve(&im->erofs, path, follow, &nid) != 0 || nid == im->erofs.root_nid || is_hidden(im, nid))
			continue;
		more = im->nhidden < HIDDEN_MAX ? krealloc(im->hidden, (im->nhidden + 1) * sizeof(*more)) : NULL;
		if (more == NULL)
			return -LINUX_ENOMEM;
		im->hidden = more;
		im->hidden[im->nhidden++] = nid;
	}
	return 0;
}

/* ---- answers ---- */

struct answering {
	struct lower_image *image;
	struct gofer_answer *out;
	size_t cap;
};

static uint8_t *reserve(struct answering *a, size_t len)
{
	struct gofer_answer *out = a->out;

	if (len > a->cap - out->len) {
		size_t cap = MAX(a->cap * 2, out->len + len);
		uint8_t *bigger = krealloc(out->data, cap);

		if (bigger == NULL)
			return NULL;
		out->data = bigger;
		a->cap = cap;
	}
	memset(out->data + out->len, 0, len);
	out->len += len;
	return out->data + out->len - len;
}

static int put_record(struct answering *a, const struct erofs_inode *i, const char *name, size_t name_len)
{
	bool link = (i->mode & LINUX_S_IFMT) == LINUX_S_IFLNK;
	size_t target_len = link ? (size_t)i->size : 0;
	struct gofer_record *r;

	if (link && (i->size == 0 || i->size > GOFER_TARGET_MAX))
		return -LINUX_EIO;
	r = (struct gofer_record *)reserve(a, GOFER_RECORD_SIZE(name_len, target_len));
	if (r == NULL)
		return -LINUX_ENOMEM;
	r->dev = 1;
	r->ino = i->nid;
	r->size = i->size;
	r->blocks = PAGE_ALIGN(i->size) / 512;
	r->rdev = i->rdev;
	r->atime_sec = r->mtime_sec = r->ctime_sec = r->btime_sec = i->mtime_sec;
	r->atime_nsec = r->mtime_nsec = r->ctime_nsec = r->btime_nsec = i->mtime_nsec;
	r->mode = i->mode;
	r->nlink = i->nlink;
	r->uid = idmap_inside(&id_maps.uids, i->uid); /* as of files on the host */
	r->gid = idmap_inside(&id_maps.gids, i->gid);
	r->name_len = (uint16_t)name_len;
	r->target_len = (uint16_t)target_len;
	r->flags = i->xattrs_len != 0 ? GOFER_HAS_XATTRS : GOFER_NO_XATTRS;
	memcpy(r + 1, name, name_len);
	a->out->count++;
	if (target_len != 0) {
		char *target = (char *)(r + 1) + name_len;
		int err = erofs_read(&a->image->erofs, i, 0, target, target_len);

		if (err != 0 || memchr(target, '\0', target_len) != NULL)
			return err != 0 ? err : -LINUX_EIO;
	}
	return 0;
}

static int put_name(void *arg, const char *name, size_t len, uint64_t nid)
{
	struct answering *a = arg;
	struct erofs_inode i;
	int err;

	if (is_hidden(a->image, nid))
		return 0;
	err = a->out->count < NAMES_MAX ? erofs_inode(&a->image->erofs, nid, &i) : -LINUX_EIO;
	return err != 0 ? err : put_record(a, &i, name, len);
}

/* Goes down into a directory. One that contains itself has no way in, as in Linux: who walks through the tree comes to an end. */
static int descend(struct lower_image *im, uint64_t nid)
{
	for (unsigned i = 0; i < im->way->depth; i++)
		if (im->way->above[i] == nid)
			return -LINUX_ELOOP;
	if (im->way->depth == DEPTH_MAX)
		return -LINUX_ENAMETOOLONG;
	im->way->above[im->way->depth++] = nid;
	return 0;
}

/* The inode at path: components by single slashes, none of them a link. */
static int find(struct lower_image *im, const char *path, struct erofs_inode *i)
{
	const char *p = path;
	uint64_t nid = im->erofs.root_nid;
	int err;

	if (*path == '\0' || strcmp(path, im->way->last_path) != 0) {
		im->way->depth = 0;
		im->way->last_path[0] = '\0';
		(void)descend(im, nid);
	}
	if (*path != '\0' && strcmp(path, im->way->last_path) == 0) {
		nid = im->way->last_nid;
		p = "";
	}
	err = erofs_inode(&im->erofs, nid, i);
	while (err == 0 && *p != '\0') {
		size_t len = strcspn(p, "/");

		err = erofs_lookup(&im->erofs, i, p, len, &nid);
		if (err == 0)
			err = is_hidden(im, nid) ? -LINUX_ENOENT : erofs_inode(&im->erofs, nid, i);
		if (err == 0 && (i->mode & LINUX_S_IFMT) == LINUX_S_IFDIR)
			err = descend(im, nid);
		p += len + (p[len] == '/');
	}
	if (err == 0 && strlen(path) < sizeof(im->way->last_path) && (i->mode & LINUX_S_IFMT) == LINUX_S_IFDIR) {
		strcpy(im->way->last_path, path);
		im->way->last_nid = nid;
	}
	return err;
}

/* Records of names below dir, up to the first that is absent or no directory. */
static int walk(struct answering *a, struct erofs_inode *dir, const char *names, size_t names_len)
{
	struct erofs_image *img = &a->image->erofs;
	unsigned depth = a->image->way->depth;
	size_t len;
	int err = 0;

	for (size_t at = 0; err == 0 && at < names_len; at += len + 1) {
		const char *name = names + at, *slash = memchr(name, '/', names_len - at);
		uint64_t nid;

		len = slash != NULL ? (size_t)(slash - name) : names_len - at;
		err = erofs_lookup(img, dir, name, len, &nid);
		if (err == 0 && is_hidden(a->image, nid))
			err = -LINUX_ENOENT;
		if (err == -LINUX_ENOENT) {
			a->out->flags |= GOFER_REPLY_ABSENT;
			err = 0;
			break;
		}
		if (err == 0)
			err = erofs_inode(img, nid, dir);
		if (err == 0)
			err = put_record(a, dir, name, len);
		else if (at != 0) {
			err = 0;
			break; /* what came before it is known now; who goes on will hear of it */
		}
		if (err == 0 && ((dir->mode & LINUX_S_IFMT) != LINUX_S_IFDIR || descend(a->image, nid) != 0))
			break; /* into a loop goes nobody: who asks for it by its path will hear so */
	}
	a->image->way->depth = depth;
	return err;
}

static int put_xattr(void *arg, const char *prefix, const uint8_t *name, uint32_t name_len, const uint8_t *value,
		     uint32_t value_len)
{
	struct answering *a = arg;
	size_t prefix_len = strlen(prefix);
	struct gofer_xattr x = {.name_len = (uint32_t)prefix_len + name_len, .value_len = value_len};
	uint8_t *at;

	if (x.name_len == 0 || x.name_len > LINUX_XATTR_NAME_MAX || a->out->len > XATTRS_MAX)
		return -LINUX_EIO;
	at = reserve(a, GOFER_XATTR_SIZE(x.name_len, x.value_len));
	if (at == NULL)
		return -LINUX_ENOMEM;
	memcpy(at, &x, sizeof(x));
	at += sizeof(x);
	memcpy(at, prefix, prefix_len);
	memcpy(at + prefix_len, name, name_len);
	memcpy(at + x.name_len, value, value_len);
	return memchr(at, '\0', x.name_len) == NULL ? 0 : -LINUX_EIO;
}

/* All of it is in use, as with any read-only filesystem. */
static int put_statfs(struct answering *a)
{
	struct gofer_statfs st = {.bsize = PAGE_SIZE,
				  .blocks = a->image->erofs.size / PAGE_SIZE,
				  .files = MIN(a->image->erofs.inodes, a->image->erofs.size >> 5)};
	uint8_t *at = reserve(a, sizeof(st));

	if (at == NULL)
		return -LINUX_ENOMEM;
	memcpy(at, &st, sizeof(st));
	return 0;
}

int image_answer(struct lower_image *im, const struct gofer_request *req, const char *path, const char *arg, size_t arg_len,
		 struct gofer_answer *out)
{
	struct answering a = {.image = im, .out = out};
	struct erofs_inode i;
	int err = im->stopped ? -LINUX_EIO : find(im, path, &i);

	if (err != 0)
		return err;
	switch (req->op) {
	case GOFER_LOOKUP:
		err = put_record(&a, &i, "", 0);
		break;
	case GOFER_LIST:
		err = erofs_list(&im->erofs, &i, put_name, &a);
		break;
	case GOFER_WALK:
		err = walk(&a, &i, arg, arg_len);
		break;
	case GOFER_XATTRS:
		err = erofs_xattrs(&im->erofs, &i, put_xattr, &a);
		break;
	case GOFER_STATFS:
		err = put_statfs(&a);
		break;
	default:
		err = -LINUX_EROFS;
		break;
	}
	if (err != 0)
		gofer_answer_done(out);
	return err;
}

/* ---- contents ---- */

int image_run(struct lower_image *im, uint64_t ino, uint64_t pos, const uint8_t **data, uint64_t *len)
{
	struct erofs_inode i;
	uint64_t run;
	int err = im->stopped ? -LINUX_EIO : erofs_inode(&im->erofs, ino, &i);

	if (err == 0 && (i.mode & LINUX_S_IFMT) != LINUX_S_IFREG)
		err = -LINUX_EIO;
	if (err == 0)
		err = erofs_run(&im->erofs, &i, pos, data, &run);
	if (err == 0)
		*len = MIN(*len, run);
	return err;
}

/* Whoever maps more than the file has gets SIGBUS there: from a file that has nothing. */
static int empty_file(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = host_memfd_create("end", MFD_CLOEXEC);
	return fd;
}

/* The image of the container that the running task is in? In its processes no other is ever guarded. */
static bool is_own(const struct lower_image *im)
{
	const struct container *c = container_here();

	return im == (c == &container_first ? image_root() : c->image);
}

bool image_pages(struct lower_image *im, uint64_t ino, uint64_t pos, uint64_t len, struct map_backing *out)
{
	struct erofs_inode i;
	uint64_t there, off;

	if (im->stopped || im->fd < 0 || !is_own(im) || platform == NULL || platform->guard_fd == NULL || erofs_inode(&im->erofs, ino, &i) != 0 || (i.mode & LINUX_S_IFMT) != LINUX_S_IFREG ||
	    pos >= i.size)
		return false;
	there = MIN(len, PAGE_ALIGN(i.size) - pos);
	if (!erofs_in_pages(&im->erofs, &i, pos, there, &off) || (there < len && empty_file() < 0))
		return false;
	if (!im->guarded && !platform->guard_fd(im->fd, true))
		return false;
	im->guarded = true;
	out->host_fd = im->fd;
	out->host_off = off;
	if (there < len) {
		out->host_len = there;
		out->end_fd = empty_file();
	}
	return true;
}
