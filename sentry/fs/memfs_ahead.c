/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What memfs asks the gofer of single lower files, and what it asks along with it because it will be wanted next.
 *
 *	lookup of a bare name  --> will be opened: READ  --> record, contents; those of the files that follow
 *	                       \-> else: ATTRS           --> record; those of the names that follow
 *	read                   --> READ                  --> contents; those of the files that follow
 *	getxattr               --> ATTRS                 --> has it any? have those that follow?
 *
 * "Follow" is in the order of the directory's listing, and for contents also in the listings that were brought ahead: the order
 * in which a walk through the tree comes by. How many is guessed by how the last guesses did (struct mem_window). Whoever asks for
 * single names of one directory in an order of his own (imports, headers) hits no such guess: there each request asks for twice as
 * many as the one before, attributes anywhere, contents in small directories.
 *
 * Of large files that follow descriptors come along instead of contents, while those that came are used (memfs_lower.c).
 *
 * Records that were learned replace bare ones, and nothing else: what was known before stays as it was. Contents go into the ring
 * of memfs_content.c. All that is asked for ahead is bounded by number, and contents by bytes as well; the gofer's answer may
 * break that bound, but fills nothing more than the listings that are there and the ring.
 */
#include "sentry/fs/memfs_listing.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/base/alloc.h"

#include <stdio.h>
#include <string.h>

#define ATTRS_EACH 4U           /* names that a step of the window stands for */
#define FILLS_MAX 6U            /* ATTRS_EACH << this: GOFER_ATTRS_MAX */
#define ATTRS_BYTES (16 * KiB)  /* of names in one request */
#define AHEAD_BYTES MIN(768 * KiB, mem_content_room() / 4) /* contents asked for at once */
#define AROUND_NAMES 128U       /* in a directory that is small */
#define READS_MAX 6U            /* 1 << this: GOFER_AHEAD_MAX */
#define AHEAD_PATHS (16 * KiB)  /* their names */
#define AHEAD_LOOK 1024U        /* names looked at in a directory */
#define SHARE_FROM 8U           /* files asked for at once: then by memory that the gofer shares, which has to be asked for first */

struct mem_window lower_attr_window = {.size = 2};
struct mem_window lower_xattr_window = {.size = 1};

/* ---- attributes ---- */

/* Names from i on, and then from the first on, by slashes: i's own, and count - 1 more for which fn says yes. NULL: memory is out. */
static char *names_from(const struct lower_dir *ld, uint32_t i, unsigned count, bool (*fn)(const struct gofer_record *r),
			size_t *len)
{
	char *names = kmalloc(ATTRS_BYTES);
	uint32_t look = MIN(ld->n, AHEAD_LOOK);

	*len = 0;
	count = MIN(count, GOFER_ATTRS_MAX);
	for (uint32_t n = 0; names != NULL && count != 0 && n < look; n++) {
		uint32_t at = i + n < ld->n ? i + n : i + n - ld->n;
		const struct gofer_record *r = lower_record(ld, at);

		if (at != i && (ld->state[at] != SEEN || !fn(r)))
			continue;
		if (*len + r->name_len + 1U > ATTRS_BYTES)
			break;
		if (*len != 0)
			names[(*len)++] = '/';
		memcpy(names + *len, gofer_record_name(r), r->name_len);
		*len += r->name_len;
		count--;
	}
	return names;
}

static bool is_bare(const struct gofer_record *r)
{
	return (r->flags & GOFER_BARE) != 0;
}

static bool is_file(const struct gofer_record *r)
{
	return (r->mode & LINUX_S_IFMT) == LINUX_S_IFREG;
}

static bool is_bare_link(const struct gofer_record *r)
{
	return is_bare(r) && (r->mode & LINUX_S_IFMT) == LINUX_S_IFLNK;
}

static bool xattrs_unknown(const struct gofer_record *r)
{
	return !(r->flags & (GOFER_HAS_XATTRS | GOFER_NO_XATTRS)) && (r->mode & LINUX_S_IFMT) != LINUX_S_IFLNK;
}

/* Asks for attributes of a name, whose index is i, and of some that follow. */
static int fill_attrs(struct task *task, struct mem_node *dir, uint32_t i, const char *name, size_t len)
{
	struct gofer_request req = {.op = GOFER_ATTRS};
	struct lower_dir *known = dir->dir.lower;
	/* Who asks for single names in no order hits no guess. Twice as many each time comes to an end before long. A question that
	 * brought nothing ahead says nothing of how good guesses are; links and directories say nothing of what is done with files. */
	unsigned window = !is_file(lower_record(known, i))	? 1 :
			  lower_attr_window.sent != 0 ? mem_window_next(&lower_attr_window) :
							lower_attr_window.size;
	unsigned count = MAX(window, 1U << known->fills) * ATTRS_EACH;
	const struct gofer_record *r;
	struct gofer_answer a;
	size_t names_len, pos = 0;
	bool there = false;
	bool is_link = is_bare_link(lower_record(known, i)); /* whoever follows a link may well read the files beside it: that tells all */
	char *names = names_from(known, i, count, is_link ? is_bare_link : is_bare, &names_len);
	int err;
	int64_t at;

	if (names == NULL)
		return -LINUX_ENOMEM;
	known->fills += known->fills < FILLS_MAX;
	err = gofer_call(task, mem_sb(dir->inode)->lower, &req, dir->lower_path, names, names_len, &a);
	kfree(names);
	if (err != 0)
		return err;
	while (err == 0 && (r = gofer_record_next(&a, &pos)) != NULL) {
		struct lower_dir *ld = dir->dir.lower;
		bool wanted = r->name_len == len && memcmp(gofer_record_name(r), name, len) == 0;

		at = lower_dir_find(ld, gofer_record_name(r), r->name_len);
		if (at < 0 || !is_bare(lower_record(ld, (uint32_t)at))) {
			there |= wanted;
			continue;
		}
		err = lower_dir_fill(ld, (uint32_t)at, r);
		if (err == 0 && !wanted && is_file(r)) {
			lower_record(ld, (uint32_t)at)->flags |= LOWER_AHEAD;
			lower_attr_window.sent++;
		}
		there |= wanted;
	}
	gofer_answer_done(&a);
	at = lower_dir_find(dir->dir.lower, name, len);
	if (err == 0 && !there && at >= 0 && is_bare(lower_record(dir->dir.lower, (uint32_t)at)))
		lower_dir_gone(dir->dir.lower, (uint32_t)at);
	return err;
}

/* ---- contents ---- */

struct mem_node *lower_listed_in(struct mem_node *n)
{
	struct dentry *d = n->inode->alias;
	const char *slash = strrchr(n->lower_path, '/');
	size_t len = slash != NULL ? (size_t)(slash - n->lower_path) : 0;
	struct mem_node *dir;

	if (d == NULL || n->lower_path[0] == '\0' || d->parent->inode->ops != &mem_dir_iops)
		return NULL;
	dir = mem_node(d->parent->inode);
	if (dir->lower_path == NULL || dir->dir.lower == NULL || !dir->dir.lower->complete)
		return NULL;
	/* It may have been moved here. */
	return strlen(dir->lower_path) == len && memcmp(dir->lower_path, n->lower_path, len) == 0 ? dir : NULL;
}

/* The argument of a GOFER_READ as it grows. */
struct wish {
	uint32_t tree;
	unsigned left;   /* files that may be added */
	bool fds;        /* large ones as well */
	uint64_t bytes;  /* that they may have, as far as is known; the gofer is told, too */
	size_t used, room;
	char *paths;
};

/* Adds small files of a listing from index i on and before end, and such whose size isn't known, as long as there is room. */
static void wish_more(struct wish *w, const struct lower_dir *ld, const char *dir, uint32_t i, uint32_t end)
{
	size_t dir_len = strlen(dir);

	for (uint32_t look = 0; w->left != 0 && i < end && look < AHEAD_LOOK; i++, look++) {
		const struct gofer_record *r = lower_record(ld, i);
		char *at = w->paths + w->used;
		bool large;

		if (ld->state[i] != SEEN || (r->mode & LINUX_S_IFMT) != LINUX_S_IFREG)
			continue;
		large = r->size > GOFER_CONTENT_MAX;
		if (!(r->flags & GOFER_BARE) && (r->size == 0 || (large ? !w->fds || mem_lower_has_fd(w->tree, r) : mem_content_has(w->tree, r))))
			continue;
		if ((!large && r->size > w->bytes) || w->used + dir_len + r->name_len + 4 > w->room) {
			w->left = 0;
			return;
		}
		at += sprintf(at, dir_len != 0 ? "//%s/" : "//", dir);
		memcpy(at, gofer_record_name(r), r->name_len);
		w->used = (size_t)(at - w->paths) + r->name_len;
		w->bytes -= large ? 0 : r->size;
		w->left--;
	}
	w->paths[w->used] = '\0';
}

/*
 * The path dir/name, and those of small files that follow it in its directory, if its listing ld is known (NULL: not), and in
 * those that were listed ahead; around: instead of the latter, those before it.
 */
static bool wish_for(struct wish *w, const struct lower_tree *tree, const char *path, const struct lower_dir *ld, unsigned count,
		     bool around)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	const struct kept_listing *k;
	int64_t at = -1;

	if (count > 1 && ld != NULL)
		at = lower_dir_find(ld, name, strlen(name));
	w->tree = tree->key;
	w->used = strlen(path);
	w->room = w->used + 1 + (at >= 0 ? AHEAD_PATHS : 0);
	w->left = count - 1;
	w->bytes = AHEAD_BYTES;
	w->fds = count > 1 && mem_lower_wants_fds();
	w->paths = kmalloc(w->room);
	if (w->paths == NULL)
		return false;
	memcpy(w->paths, path, w->used + 1);
	if (at >= 0) {
		char *dir = kstrndup(path, slash != NULL ? (size_t)(slash - path) : 0);

		if (dir == NULL)
			return true;
		wish_more(w, ld, dir, (uint32_t)at + 1, ld->n);
		if (around)
			wish_more(w, ld, dir, 0, (uint32_t)at);
		kfree(dir);
		list_for_each(k, &lower_kept, link) {
			if (w->left == 0 || around)
				break;
			if (k->tree == tree && k->guessed)
				wish_more(w, k->ld, k->path, 0, k->ld->n);
		}
	}
	return true;
}

struct contents_call {
	const struct lower_tree *tree;
	struct mem_node *dir; /* the first one's; NULL: nothing is to be learned there. Held by the caller */
	const char *paths;
	const char *at;       /* the path with this index; answers come in their order */
	uint32_t index;
};

/* The path with c's index: its length, and *path; 0: there is none, or we are past it. */
static size_t path_of(struct contents_call *cc, uint32_t index, const char **path)
{
	const char *end;

	while (cc->at != NULL && cc->index < index) {
		cc->at = strstr(cc->at, "//");
		cc->at += cc->at != NULL ? 2 : 0;
		cc->index++;
	}
	if (cc->at == NULL || cc->index != index)
		return 0;
	end = strstr(cc->at, "//");
	*path = cc->at;
	return end != NULL ? (size_t)(end - cc->at) : strlen(cc->at);
}

/* What is known of the directory at path (len bytes), if anything is. */
static struct lower_dir *dir_at(const struct contents_call *cc, const char *path, size_t len)
{
	struct kept_listing *k;

	if (cc->dir != NULL && strlen(cc->dir->lower_path) == len && memcmp(cc->dir->lower_path, path, len) == 0)
		return cc->dir->dir.lower;
	k = lower_kept_find(cc->tree, path, len);
	return k != NULL ? k->ld : NULL;
}

static void take_contents(void *arg, const uint8_t *data, size_t len, const uint8_t *shared, int *fd)
{
	struct contents_call *cc = arg;
	const struct gofer_content *c;
	const uint8_t *bytes;
	size_t pos = 0;

	while ((c = gofer_content_next(data, len, shared, &pos, &bytes)) != NULL) {
		const char *path, *name;
		size_t path_len = path_of(cc, c->index, &path), dir_len = 0;
		struct lower_dir *ld;
		int64_t i;

		if (!(c->rec.flags & GOFER_NO_CONTENT))
			mem_content_put(cc->tree->key, c, bytes, c->index != 0);
		if ((c->rec.flags & GOFER_WITH_FD) && c->index != 0 && *fd >= 0) {
			mem_lower_keep_fd(cc->tree->key, &c->rec, *fd);
			*fd = -1;
		}
		if (path_len == 0)
			continue;
		name = memrchr(path, '/', path_len);
		if (name != NULL)
			dir_len = (size_t)(name - path);
		name = name != NULL ? name + 1 : path;
		ld = dir_at(cc, path, dir_len);
		i = ld != NULL ? lower_dir_find(ld, name, path_len - (size_t)(name - path)) : -1;
		if (i >= 0)
			(void)!lower_dir_fill(ld, (uint32_t)i, &c->rec); /* in place: that can't fail */
	}
}

/* path: the file's; dir: its directory, held, or NULL. Takes path. */
static int read_path(struct task *task, struct lower_tree *tree, char *path, struct mem_node *dir, struct gofer_request *req,
		     struct gofer_answer *a)
{
	struct contents_call cc = {.tree = tree, .dir = dir};
	struct lower_dir *ld = dir != NULL ? dir->dir.lower : NULL;
	unsigned count = mem_content_window();
	bool around = false;
	struct wish w;
	int err;

	if (path == NULL)
		return -LINUX_ENOMEM;
	/* Of a small directory more each time, in whatever order it is read: what isn't wanted is no more than what was. */
	if (ld != NULL && ld->complete && ld->n <= AROUND_NAMES) {
		around = 1U << ld->reads > count;
		count = MAX(count, 1U << ld->reads);
		ld->reads += ld->reads < READS_MAX;
	}
	if (!wish_for(&w, tree, path, ld, count, around)) {
		kfree(path);
		return -LINUX_ENOMEM;
	}
	kfree(path);
	cc.paths = cc.at = w.paths;
	req->op = GOFER_READ;
	req->size = AHEAD_BYTES;
	if (w.fds)
		req->flags |= GOFER_READ_FDS;
	if (count >= SHARE_FROM)
		req->flags |= GOFER_READ_SHARED;
	err = gofer_call_take(task, tree, req, "", w.paths, w.used, take_contents, &cc, a);
	kfree(w.paths);
	return err;
}

int lower_read(struct task *task, struct mem_node *n, struct gofer_answer *a)
{
	struct gofer_request req = {.dev = n->lower_dev, .ino = n->lower_ino};
	struct mem_node *dir = lower_listed_in(n);
	struct inode *held = dir != NULL ? inode_get(dir->inode) : NULL;
	int err = read_path(task, mem_sb(n->inode)->lower, kstrdup(n->lower_path), dir, &req, a);

	if (held != NULL)
		inode_put(held);
	return err;
}

int lower_fill(struct task *task, struct mem_node *dir, const char *name, size_t len, bool open, struct gofer_answer *a)
{
	int64_t i;
	int err;

	i = lower_dir_find(dir->dir.lower, name, len);
	if (i >= 0 && (lower_record(dir->dir.lower, (uint32_t)i)->mode & LINUX_S_IFMT) != LINUX_S_IFREG)
		open = false; /* of a link only where it leads to */
	if (open) {
		struct gofer_request req = {0};
		size_t dir_len = strlen(dir->lower_path);
		char *path = dir_len + len + 2 <= GOFER_PATH_MAX ? kmalloc(dir_len + len + 2) : NULL;

		if (path != NULL)
			sprintf(path, "%s%s%.*s", dir->lower_path, dir_len != 0 ? "/" : "", (int)len, name);
		err = read_path(task, mem_sb(dir->inode)->lower, path, dir, &req, a);
		if (err != 0)
			return err;
	}
	i = lower_dir_find(dir->dir.lower, name, len);
	if (i < 0 || dir->dir.lower->state[i] != SEEN || !is_bare(lower_record(dir->dir.lower, (uint32_t)i)))
		return 0;
	return fill_attrs(task, dir, (uint32_t)i, name, len);
}

/* ---- extended attributes ---- */

int lower_has_xattrs(struct task *task, struct mem_node *n, bool *has)
{
	struct lower_tree *tree = mem_sb(n->inode)->lower;
	struct gofer_request req = {.op = GOFER_ATTRS, .flags = GOFER_ATTRS_XATTRS};
	struct mem_node *dir = tree->image == NULL ? lower_listed_in(n) : NULL;
	const char *slash = strrchr(n->lower_path, '/'), *name = slash != NULL ? slash + 1 : n->lower_path;
	struct gofer_record *known = NULL;
	const struct gofer_record *r;
	struct gofer_answer a;
	struct inode *held;
	size_t len, pos = 0;
	int64_t i = dir != NULL ? lower_dir_find(dir->dir.lower, name, strlen(name)) : -1;
	char *names;
	int err;

	*has = true; /* so it is asked for them */
	if (i < 0)
		return 0;
	known = lower_record(dir->dir.lower, (uint32_t)i);
	if (!xattrs_unknown(known)) {
		lower_xattr_window.used += (known->flags & LOWER_XAHEAD) != 0;
		known->flags &= ~LOWER_XAHEAD;
		*has = !(known->flags & GOFER_NO_XATTRS);
		return 0;
	}
	names = names_from(dir->dir.lower, (uint32_t)i, mem_window_next(&lower_xattr_window) * ATTRS_EACH, xattrs_unknown, &len);
	if (names == NULL)
		return -LINUX_ENOMEM;
	held = inode_get(dir->inode);
	err = gofer_call(task, tree, &req, dir->lower_path, names, len, &a);
	kfree(names);
	while (err == 0 && (r = gofer_record_next(&a, &pos)) != NULL) {
		struct lower_dir *ld = dir->dir.lower;

		i = lower_dir_find(ld, gofer_record_name(r), r->name_len);
		if (i < 0)
			continue;
		known = lower_record(ld, (uint32_t)i);
		if (xattrs_unknown(known)) {
			known->flags |= r->flags & (GOFER_HAS_XATTRS | GOFER_NO_XATTRS);
			if (strlen(name) == r->name_len && memcmp(gofer_record_name(r), name, r->name_len) == 0)
				continue;
			known->flags |= LOWER_XAHEAD;
			lower_xattr_window.sent++;
		}
	}
	if (err == 0) {
		gofer_answer_done(&a);
		i = lower_dir_find(dir->dir.lower, name, strlen(name));
		*has = i < 0 || !(lower_record(dir->dir.lower, (uint32_t)i)->flags & GOFER_NO_XATTRS);
	}
	inode_put(held);
	return err;
}
