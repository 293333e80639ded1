/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What memfs knows of the lower tree: directory listings, inodes made of their records, open lower files.
 *
 *	lookup --> known name? --> record --> live inode of that (device, number)? or a new one
 *	             \-> ask the gofer for it; after ASK_MAX such questions for the whole directory
 *
 * The lower tree is taken as unchanging: whatever was learned stays true, absences too. A name that was removed or moved
 * here is marked hidden in the listing; that mark is the whiteout. A directory or file that differs from what lies below
 * (mem_dirty) is kept in memory by a reference of its own and found again by its device and inode number, so hard links
 * below are one inode here too. Clean inodes and listings come and go with the dentry cache.
 *
 * The gofer's records were checked by gofer_record_next; a lie in them can at worst show a wrong tree. The guest controls
 * which names are asked for: absences are remembered only until the listing is complete, so at most ASK_MAX of them (ABSENT_MAX
 * where the directory can't be listed).
 */
#include "sentry/fs/memfs_internal.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/task.h"

#include <stdio.h>
#include <string.h>

#define ASK_MAX 24U
#define ABSENT_MAX 4096U
#define ID_BUCKETS 4096U

enum name_state { SEEN, HIDDEN, ABSENT };

struct lower_dir {
	uint8_t *rec;        /* records, one behind the other */
	size_t len, cap;
	uint32_t *off;       /* of each record in rec, in the host's order */
	uint8_t *state;      /* enum name_state of each */
	uint32_t n, room;
	uint32_t *slot;      /* hash table: index + 1, 0 is free; nslots a power of two above n */
	uint32_t nslots;
	uint32_t nseen;
	uint32_t asked;
	bool complete;       /* every name of the lower directory is here */
	bool unlistable;     /* it may be searched but not read: asked name by name for ever */
};

static struct list ids[ID_BUCKETS]; /* mem_node.id_link; next NULL: not initialised */
static struct list open_files = LIST_INIT(open_files); /* mem_data.lower_link */
static unsigned nopen;

/* ---- listings ---- */

static const struct gofer_record *record(const struct lower_dir *ld, uint32_t i)
{
	return (const struct gofer_record *)(ld->rec + ld->off[i]);
}

static uint32_t hash(const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3ULL;
	return (uint32_t)(h ^ (h >> 32));
}

static void lower_dir_free(struct lower_dir *ld)
{
	if (ld == NULL)
		return;
	kfree(ld->rec);
	kfree(ld->off);
	kfree(ld->state);
	kfree(ld->slot);
	kfree(ld);
}

static int64_t dir_find(const struct lower_dir *ld, const char *name, size_t len)
{
	if (ld->nslots == 0)
		return -1;
	for (uint32_t s = hash(name, len) & (ld->nslots - 1); ld->slot[s] != 0; s = (s + 1) & (ld->nslots - 1)) {
		const struct gofer_record *r = record(ld, ld->slot[s] - 1);

		if (r->name_len == len && memcmp(gofer_record_name(r), name, len) == 0)
			return ld->slot[s] - 1;
	}
	return -1;
}

static void slot_put(struct lower_dir *ld, uint32_t i)
{
	const struct gofer_record *r = record(ld, i);
	uint32_t s = hash(gofer_record_name(r), r->name_len) & (ld->nslots - 1);

	while (ld->slot[s] != 0)
		s = (s + 1) & (ld->nslots - 1);
	ld->slot[s] = i + 1;
}

/* Room in the index for one more entry. */
static bool dir_reserve(struct lower_dir *ld)
{
	uint32_t room = ld->room != 0 ? ld->room * 2 : 16, nslots = room * 2;
	uint32_t *off, *slot;
	uint8_t *state;

	if (ld->n < ld->room)
		return true;
	off = krealloc(ld->off, room * sizeof(*off));
	if (off == NULL)
		return false;
	ld->off = off;
	state = krealloc(ld->state, room);
	if (state == NULL)
		return false;
	ld->state = state;
	slot = kcalloc(nslots, sizeof(*slot));
	if (slot == NULL)
		return false;
	kfree(ld->slot);
	ld->slot = slot;
	ld->nslots = nslots;
	ld->room = room;
	for (uint32_t i = 0; i < ld->n; i++)
		slot_put(ld, i);
	return true;
}

/* Enters the record that lies at off in rec. Space was reserved. */
static void dir_enter(struct lower_dir *ld, size_t off, enum name_state state)
{
	ld->off[ld->n] = (uint32_t)off;
	ld->state[ld->n] = (uint8_t)state;
	ld->n++;
	if (state == SEEN)
		ld->nseen++;
	slot_put(ld, ld->n - 1);
}

/* Adds a copy of a record, or of a name alone (r NULL). */
static int dir_add(struct lower_dir *ld, const struct gofer_record *r, const char *name, size_t len, enum name_state state)
{
	size_t size = GOFER_RECORD_SIZE(len, r != NULL ? r->target_len : 0UL);
	struct gofer_record *copy;

	if (ld->len + size > UINT32_MAX || !dir_reserve(ld))
		return -LINUX_ENOMEM;
	if (size > ld->cap - ld->len) {
		size_t cap = MAX(ld->cap * 2, ld->len + size);
		uint8_t *rec = krealloc(ld->rec, cap);

		if (rec == NULL)
			return -LINUX_ENOMEM;
		ld->rec = rec;
		ld->cap = cap;
	}
	copy = (struct gofer_record *)(ld->rec + ld->len);
	memset(copy, 0, size);
	if (r != NULL)
		memcpy(copy, r, size);
	copy->name_len = (uint16_t)len;
	memcpy(copy + 1, name, len);
	dir_enter(ld, ld->len, state);
	ld->len += size;
	return 0;
}

static int dir_known(struct mem_node *dir)
{
	if (dir->dir.lower == NULL)
		dir->dir.lower = kzalloc(sizeof(*dir->dir.lower));
	return dir->dir.lower != NULL ? 0 : -LINUX_ENOMEM;
}

/* A listing of what the gofer answered; takes the answer's data. NULL if memory is out. */
static struct lower_dir *dir_from(struct gofer_answer *a)
{
	struct lower_dir *ld = kzalloc(sizeof(*ld));
	const struct gofer_record *r;
	size_t pos = 0, off;

	if (ld == NULL || a->len > UINT32_MAX)
		goto fail;
	ld->rec = a->data;
	ld->len = ld->cap = a->len;
	for (off = 0; (r = gofer_record_next(a, &pos)) != NULL; off = pos) {
		if (r->name_len == 0 || dir_find(ld, gofer_record_name(r), r->name_len) >= 0)
			continue; /* no name, or twice the same: a changing directory */
		if (!dir_reserve(ld)) {
			ld->rec = NULL;
			goto fail;
		}
		dir_enter(ld, off, SEEN);
	}
	a->data = NULL;
	a->len = 0;
	ld->complete = true;
	return ld;
fail:
	lower_dir_free(ld);
	return NULL;
}

/*
 * Listings that came with others, of directories nobody has read yet: the oldest gives way. They wait here, by path, because
 * their directories' inodes need not exist yet.
 */
#define KEPT_MAX 128U
#define KEPT_BYTES (4 * MiB)

struct kept_listing {
	struct list link;
	const struct lower_tree *tree;
	struct lower_dir *ld;
	uint32_t hash;
	size_t bytes;
	char path[];
};

static struct list kept = LIST_INIT(kept); /* oldest first */
static unsigned nkept;
static size_t kept_bytes;
static struct mem_window list_window = {.size = 1};

static struct lower_dir *kept_remove(struct kept_listing *k)
{
	struct lower_dir *ld = k->ld;

	list_del(&k->link);
	nkept--;
	kept_bytes -= k->bytes;
	kfree(k);
	return ld;
}

static struct kept_listing *kept_find(const struct lower_tree *tree, const char *path)
{
	uint32_t h = hash(path, strlen(path));
	struct kept_listing *k;

	list_for_each(k, &kept, link)
		if (k->hash == h && k->tree == tree && strcmp(k->path, path) == 0)
			return k;
	return NULL;
}

static void keep_listing(const struct lower_tree *tree, const char *path, size_t path_len, const uint8_t *records, size_t len)
{
	struct kept_listing *k = kzalloc(sizeof(*k) + path_len + 1), *old;
	struct gofer_answer a = {.data = kmalloc(MAX(len, (size_t)1)), .len = len, .fd = -1};

	if (k == NULL || a.data == NULL || memchr(path, '\0', path_len) != NULL)
		goto fail;
	memcpy(k->path, path, path_len);
	old = kept_find(tree, k->path);
	memcpy(a.data, records, len);
	k->ld = dir_from(&a);
	if (k->ld == NULL)
		goto fail;
	if (old != NULL)
		lower_dir_free(kept_remove(old));
	k->tree = tree;
	k->hash = hash(path, path_len);
	k->bytes = len;
	list_add_tail(&kept, &k->link);
	nkept++;
	kept_bytes += len;
	list_window.sent++;
	while (nkept > KEPT_MAX || kept_bytes > KEPT_BYTES)
		lower_dir_free(kept_remove(list_first(&kept, struct kept_listing, link)));
	return;
fail:
	gofer_answer_done(&a);
	kfree(k);
}

static void take_listings(void *arg, const uint8_t *data, size_t len)
{
	const struct lower_tree *tree = arg;
	const struct gofer_dir *d;
	const uint8_t *records;
	const char *path;
	size_t pos = 0;

	while ((d = gofer_dir_next(data, len, &pos, &path, &records)) != NULL)
		keep_listing(tree, path, d->path_len, records, d->len);
}

/* What was learned of dir name by name gives way to the listing ld, which is taken. */
static void install(struct mem_node *dir, struct lower_dir *ld)
{
	struct lower_dir *old = dir->dir.lower;

	for (uint32_t i = 0; old != NULL && i < old->n; i++) {
		const struct gofer_record *r = record(old, i);
		int64_t at = dir_find(ld, gofer_record_name(r), r->name_len);

		if (old->state[i] == HIDDEN && at >= 0) {
			ld->state[at] = HIDDEN;
			ld->nseen--;
		}
	}
	dir->dir.lower = ld;
	lower_dir_free(old);
}

/* Is dir's listing complete, if need be by one that was kept? */
static bool listed(struct mem_node *dir)
{
	struct kept_listing *k;

	if (dir->dir.lower != NULL && dir->dir.lower->complete)
		return true;
	k = nkept != 0 ? kept_find(mem_sb(dir->inode)->lower, dir->lower_path) : NULL;
	if (k == NULL)
		return false;
	list_window.used++;
	install(dir, kept_remove(k));
	return true;
}

int mem_lower_list(struct task *task, struct mem_node *dir)
{
	struct lower_tree *tree = mem_sb(dir->inode)->lower;
	struct gofer_request req = {.op = GOFER_LIST};
	struct gofer_answer a;
	struct lower_dir *ld;
	int err;

	if (dir->lower_path == NULL || listed(dir))
		return 0;
	/* Whoever reads one directory after another may be going through a tree. */
	req.size = mem_window_next(&list_window) - 1;
	err = gofer_call_take(task, tree, &req, dir->lower_path, NULL, 0, take_listings, tree, &a);
	if (err == -LINUX_EACCES && dir->dir.lower != NULL)
		dir->dir.lower->unlistable = true;
	if (err != 0)
		return err;
	if (dir->dir.lower != NULL && dir->dir.lower->complete) { /* somebody else was faster */
		gofer_answer_done(&a);
		return 0;
	}
	ld = dir_from(&a);
	gofer_answer_done(&a);
	if (ld == NULL)
		return -LINUX_ENOMEM;
	install(dir, ld);
	return 0;
}

void mem_lower_hide(struct mem_node *dir, const char *name, size_t len)
{
	struct lower_dir *ld = dir->dir.lower;
	int64_t i = ld != NULL ? dir_find(ld, name, len) : -1;

	if (i < 0 || ld->state[i] != SEEN)
		return;
	ld->state[i] = HIDDEN;
	ld->nseen--;
	mem_dirty(dir);
}

bool mem_lower_visible(struct mem_node *dir, const char *name, size_t len)
{
	struct lower_dir *ld = dir->dir.lower;
	int64_t i = ld != NULL ? dir_find(ld, name, len) : -1;

	return i >= 0 && ld->state[i] == SEEN;
}

bool mem_lower_next(struct mem_node *dir, uint32_t *at, struct mem_lower_name *out)
{
	struct lower_dir *ld = dir->dir.lower;

	for (; ld != NULL && *at < ld->n; (*at)++) {
		const struct gofer_record *r = record(ld, *at);

		if (ld->state[*at] != SEEN)
			continue;
		out->name = gofer_record_name(r);
		out->len = r->name_len;
		out->ino = lower_ino(mem_sb(dir->inode)->lower, r->dev, r->ino);
		out->mode = r->mode;
		return true;
	}
	return false;
}

void mem_lower_hidden(struct mem_node *dir, bool (*fn)(void *arg, const char *name, size_t len), void *arg)
{
	struct lower_dir *ld = dir->dir.lower;

	for (uint32_t i = 0; ld != NULL && i < ld->n; i++) {
		const struct gofer_record *r = record(ld, i);

		if (ld->state[i] == HIDDEN && !fn(arg, gofer_record_name(r), r->name_len))
			return;
	}
}

bool mem_lower_was(const struct mem_node *dir, const char *name, size_t len, bool *is_dir)
{
	struct lower_dir *ld = dir->dir.lower;
	int64_t i = ld != NULL ? dir_find(ld, name, len) : -1;

	*is_dir = i >= 0 && (record(ld, (uint32_t)i)->mode & LINUX_S_IFMT) == LINUX_S_IFDIR;
	return i >= 0 && ld->state[i] == HIDDEN;
}

uint32_t mem_lower_count(const struct mem_node *dir)
{
	return dir->dir.lower != NULL ? dir->dir.lower->nseen : 0;
}

/* ---- inodes ---- */

static struct list *bucket(uint64_t dev, uint64_t ino)
{
	struct list *l = &ids[((dev * 0x9e3779b97f4a7c15ULL) ^ (ino * 0xff51afd7ed558ccdULL)) >> 52];

	if (l->next == NULL)
		list_init(l);
	return l;
}
_Static_assert(ID_BUCKETS == 1U << 12, "bucket() takes the upper twelve bits");

static char *join(const char *dir, const char *name, size_t len)
{
	size_t dlen = strlen(dir);
	char *path;

	if (dlen + len + 1 > GOFER_PATH_MAX)
		return NULL;
	path = kmalloc(dlen + len + 2);
	if (path == NULL)
		return NULL;
	memcpy(path, dir, dlen);
	if (dlen != 0)
		path[dlen++] = '/';
	memcpy(path + dlen, name, len);
	path[dlen + len] = '\0';
	return path;
}

/* The live inode that shows this record, if there is one. Directories seen in two places stay two. */
static struct inode *find_live(struct mem_sb *sb, const struct gofer_record *r, const char *path)
{
	struct mem_node *n;

	list_for_each(n, bucket(r->dev, r->ino), id_link) {
		if (n->lower_ino != r->ino || n->lower_dev != r->dev || n->inode->sb != &sb->sb)
			continue;
		if (((n->inode->mode ^ r->mode) & LINUX_S_IFMT) != 0)
			continue;
		if (inode_is_dir(n->inode) && strcmp(n->lower_path, path) != 0)
			continue;
		return inode_get(n->inode);
	}
	return NULL;
}

static int fill_by_type(struct mem_node *n, const struct gofer_record *r)
{
	struct inode *inode = n->inode;

	switch (r->mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
		n->data.lower_len = r->size;
		break;
	case LINUX_S_IFLNK:
		n->target = kstrndup(gofer_record_target(r), r->target_len);
		if (n->target == NULL)
			return -LINUX_ENOMEM;
		inode->size = r->target_len;
		break;
	case LINUX_S_IFDIR:
		n->plain_nlink = r->nlink < 2;
		break;
	default:
		inode->rdev = r->rdev;
		break;
	}
	return 0;
}

int mem_lower_nodes_from(unsigned *at, int (*fn)(void *arg, struct mem_node *n), void *arg)
{
	struct mem_node *n;
	int ret;

	for (; *at < ID_BUCKETS; ++*at) {
		if (ids[*at].next == NULL)
			continue;
		list_for_each(n, &ids[*at], id_link) {
			ret = fn(arg, n);
			if (ret != 0)
				return ret;
		}
	}
	return 0;
}

int mem_lower_nodes(int (*fn)(void *arg, struct mem_node *n), void *arg)
{
	unsigned at = 0;

	return mem_lower_nodes_from(&at, fn, arg);
}

/* Takes path. */
static int inode_from(struct mem_sb *sb, const struct gofer_record *r, char *path, struct inode **out)
{
	struct inode *inode = find_live(sb, r, path);
	struct mem_node *n;
	int err;

	if (inode != NULL) {
		kfree(path);
		*out = inode;
		return 0;
	}
	inode = mem_inode_new(sb, lower_ino(sb->lower, r->dev, r->ino), r->mode & (LINUX_S_IFMT | 07777));
	if (inode == NULL) {
		kfree(path);
		return -LINUX_ENOMEM;
	}
	n = mem_node(inode);
	inode->nlink = MAX(r->nlink, 1U);
	inode->uid = r->uid;
	inode->gid = r->gid;
	inode->size = r->size;
	inode->blocks = r->blocks;
	inode->atime = (struct ktimespec){.sec = r->atime_sec, .nsec = r->atime_nsec};
	inode->mtime = (struct ktimespec){.sec = r->mtime_sec, .nsec = r->mtime_nsec};
	inode->ctime = (struct ktimespec){.sec = r->ctime_sec, .nsec = r->ctime_nsec};
	inode->btime = (struct ktimespec){.sec = r->btime_sec, .nsec = r->btime_nsec};
	n->lower_path = path;
	n->lower_dev = r->dev;
	n->lower_ino = r->ino;
	n->lower_ctime = mem_ctime_key(r->ctime_sec, r->ctime_nsec);
	n->lower_linked = (r->mode & LINUX_S_IFMT) == LINUX_S_IFREG && r->nlink > 1;
	n->lower_xattrs = (r->flags & GOFER_HAS_XATTRS) != 0;
	err = fill_by_type(n, r);
	if (err != 0) {
		inode_put(inode);
		return err;
	}
	list_add(bucket(r->dev, r->ino), &n->id_link);
	*out = inode;
	return 0;
}

void mem_lower_forget(struct mem_node *n)
{
	list_del(&n->id_link);
	if (inode_is_dir(n->inode)) {
		lower_dir_free(n->dir.lower);
		n->dir.lower = NULL;
	}
	kfree(n->lower_path);
	n->lower_path = NULL;
}

int mem_lower_root(struct mem_sb *sb, struct inode **out)
{
	struct gofer_request req = {.op = GOFER_LOOKUP};
	const struct gofer_record *r;
	struct gofer_answer a;
	size_t pos = 0;
	int err = gofer_call(task_current(), sb->lower, &req, "", NULL, 0, &a);
	char *path;

	if (err != 0)
		return err;
	r = gofer_record_next(&a, &pos);
	path = kstrdup("");
	err = -LINUX_EIO;
	if (r != NULL && path != NULL) {
		lower_ino(sb->lower, r->dev, r->ino); /* the root's device is the first */
		err = inode_from(sb, r, path, out);
		path = NULL;
	}
	kfree(path);
	gofer_answer_done(&a);
	return err;
}

/* ---- asking for names ---- */

/* Inodes that a walk learned of before anybody has a dentry of them: kept until the next such walk. */
static struct inode *ahead[GOFER_WALK_MAX];

static void keep_ahead(unsigned i, struct inode *inode)
{
	inode_put(ahead[i]);
	ahead[i] = inode;
}

void mem_lower_drop_ahead(const struct superblock *sb)
{
	for (unsigned i = 0; i < GOFER_WALK_MAX; i++)
		if (ahead[i] != NULL && ahead[i]->sb == sb)
			keep_ahead(i, NULL);
}

/* The names of a walk: name, and what follows it in the path, as far as it is plain. A string to kfree. */
static char *walk_names(const struct lookup_hint *hint, const char *name, size_t len)
{
	const char *rest = hint->rest != NULL ? hint->rest : "";
	size_t room = len + strlen(rest) + 2, used = len;
	char *names = kmalloc(room);
	unsigned n = 1;

	if (names == NULL)
		return NULL;
	memcpy(names, name, len);
	while (n < GOFER_WALK_MAX && used < GOFER_MESSAGE_MAX / 4) {
		size_t part;

		rest += strspn(rest, "/");
		part = strcspn(rest, "/");
		if (part == 0 || part > LINUX_NAME_MAX || (rest[0] == '.' && (part == 1 || (part == 2 && rest[1] == '.'))))
			break;
		names[used++] = '/';
		memcpy(names + used, rest, part);
		used += part;
		rest += part;
		n++;
	}
	names[used] = '\0';
	return names;
}

/* Remembers what the gofer said of a name: r, or that it is absent (NULL). It may have become known meanwhile. */
static int learn(struct mem_node *dir, const char *name, size_t len, const struct gofer_record *r)
{
	int err = dir_known(dir);

	if (err != 0 || dir->dir.lower->complete || dir_find(dir->dir.lower, name, len) >= 0)
		return err;
	if (r != NULL)
		return dir_add(dir->dir.lower, r, name, len, SEEN);
	/* what a guest makes up isn't remembered without bound */
	return dir->dir.lower->n < ABSENT_MAX ? dir_add(dir->dir.lower, NULL, name, len, ABSENT) : 0;
}

/* The answer's descriptor is the lower file's, if that has none yet and needs one. */
static void adopt_fd(struct mem_node *n, struct gofer_answer *a)
{
	struct mem_data *d = &n->data;

	if (a->fd < 0 || (n->inode->mode & LINUX_S_IFMT) != LINUX_S_IFREG || d->lower_fd >= 0 || d->memfd >= 0 ||
	    d->lower_len == 0)
		return;
	mem_lower_trim(mem_lower_budget());
	d->lower_fd = a->fd;
	a->fd = -1;
	list_add_tail(&open_files, &d->lower_link);
	nopen++;
}

/* What stands behind the records of a walk: the last one's contents. */
static void learn_content(struct mem_node *n, struct gofer_answer *a, size_t pos)
{
	const struct gofer_content *c;

	if (!(a->flags & GOFER_REPLY_CONTENT))
		return;
	c = gofer_content_next(a->data, a->len, &pos);
	if (c != NULL && c->dev == n->lower_dev && c->ino == n->lower_ino)
		mem_content_put(mem_sb(n->inode)->lower->key, c, false);
}

/* Enters the records of a walk along names below dir. */
static int learn_walk(struct mem_node *dir, const char *names, struct gofer_answer *a)
{
	const struct gofer_record *r;
	size_t pos = 0;
	int err = 0;

	for (unsigned i = 0; err == 0 && i < GOFER_WALK_MAX && *names != '\0'; i++) {
		size_t len = strcspn(names, "/");
		struct inode *inode;
		char *path;

		r = gofer_record_next(a, &pos);
		if (r == NULL)
			return (a->flags & GOFER_REPLY_ABSENT) ? learn(dir, names, len, NULL) : i != 0 ? 0 : -LINUX_EIO;
		if (r->name_len != len || memcmp(gofer_record_name(r), names, len) != 0)
			return -LINUX_EIO;
		err = learn(dir, names, len, r);
		names += len + (names[len] == '/');
		/* The way on needs the inode, unless the name means something else here by now. */
		if (err != 0 || !mem_lower_visible(dir, gofer_record_name(r), len) || (*names == '\0' && a->fd < 0 && !(a->flags & GOFER_REPLY_CONTENT)))
			break;
		path = join(dir->lower_path, gofer_record_name(r), len);
		if (path == NULL || inode_from(mem_sb(dir->inode), r, path, &inode) != 0)
			break; /* what was not learned will be asked for */
		keep_ahead(i, inode);
		dir = mem_node(inode);
		if (!inode_is_dir(inode)) {
			adopt_fd(dir, a);
			learn_content(dir, a, pos);
			break;
		}
	}
	return err;
}

/* Asks for a name, and on the way for what the path says comes behind it. */
static int ask(struct task *task, struct mem_node *dir, const struct lookup_hint *hint, const char *name, size_t len)
{
	struct gofer_request req = {.op = GOFER_WALK, .flags = hint->open ? GOFER_WALK_OPEN : 0};
	char *names = walk_names(hint, name, len);
	struct gofer_answer a;
	int err;

	if (names == NULL)
		return -LINUX_ENOMEM;
	dir->dir.lower->asked++;
	err = gofer_call(task, mem_sb(dir->inode)->lower, &req, dir->lower_path, names, strlen(names), &a);
	if (err == 0) {
		err = learn_walk(dir, names, &a);
		gofer_answer_done(&a);
	}
	kfree(names);
	return err;
}

int mem_lower_lookup(struct task *task, struct mem_node *dir, const char *name, size_t len, struct inode **out)
{
	const struct gofer_record *r;
	struct lower_dir *ld;
	int64_t i;
	char *path;
	int err;

	if (dir->lower_path == NULL)
		return -LINUX_ENOENT;
	err = dir_known(dir);
	if (err != 0)
		return err;
	if (dir_find(dir->dir.lower, name, len) < 0 && !listed(dir)) {
		static const struct lookup_hint none;

		if (dir->dir.lower->asked < ASK_MAX || dir->dir.lower->unlistable)
			err = ask(task, dir, &vfs_lookup_hint, name, len);
		else if (mem_lower_list(task, dir) != 0) /* the hint is gone: this slept */
			err = ask(task, dir, &none, name, len);
		if (err != 0)
			return err;
	}
	ld = dir->dir.lower;
	i = dir_find(ld, name, len);
	if (i < 0 || ld->state[i] != SEEN)
		return -LINUX_ENOENT;
	r = record(ld, (uint32_t)i);
	path = join(dir->lower_path, name, len);
	if (path == NULL)
		return -LINUX_ENOMEM;
	return inode_from(mem_sb(dir->inode), r, path, out);
}

/* ---- open files ---- */

void mem_lower_close(struct mem_node *n)
{
	struct mem_data *d = &n->data;

	/* A mapping may still be made of it: it goes with the last description. */
	if (d->lower_fd < 0 || (d->handed_out && d->opens != 0))
		return;
	host_close(d->lower_fd);
	d->lower_fd = -1;
	list_del(&d->lower_link);
	nopen--;
}

void mem_lower_trim(unsigned max)
{
	struct mem_data *d, *tmp;

	if (nopen <= max)
		return;
	list_for_each_safe(d, tmp, &open_files, lower_link) {
		mem_lower_close(container_of(d, struct mem_node, data));
		if (nopen <= max)
			return;
	}
}

int mem_lower_open(struct task *task, struct mem_node *n)
{
	struct mem_data *d = &n->data;
	int fd;

	if (mem_sb(n->inode)->lower->image != NULL)
		return 0; /* all of it is in memory */
	if (d->lower_fd >= 0) {
		list_move_tail(&open_files, &d->lower_link);
		return 0;
	}
	mem_lower_trim(mem_lower_budget());
	fd = lower_open(task, mem_sb(n->inode)->lower, n->lower_path, false, n->lower_dev, n->lower_ino);
	if (fd < 0)
		return fd == -LINUX_ENOENT || fd == -LINUX_ESTALE ? -LINUX_EIO : fd;
	if (d->lower_fd >= 0 || d->memfd >= 0 || d->lower_len == 0) { /* another task was faster, or it isn't needed now */
		host_close(fd);
		return 0;
	}
	d->lower_fd = fd;
	list_add_tail(&open_files, &d->lower_link);
	nopen++;
	return 0;
}

/* ---- contents ---- */

#define AHEAD_BYTES (256 * KiB) /* contents asked for at once */
#define AHEAD_PATHS (16 * KiB)  /* their names */
#define AHEAD_LOOK 1024U        /* names looked at in a directory */

/* The directory that lists n, if it is known whole. */
static struct mem_node *listed_in(struct mem_node *n)
{
	struct dentry *d = n->inode->alias;
	const char *slash = strrchr(n->lower_path, '/');
	size_t len = slash != NULL ? (size_t)(slash - n->lower_path) : 0;
	struct mem_node *dir;

	if (d == NULL || d->parent->inode->ops != &mem_dir_iops)
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
	uint64_t bytes;  /* that they may have */
	size_t used, room;
	char *paths;
};

/* Adds small files of a listing from index i on, as long as there is room. */
static void wish_more(struct wish *w, const struct lower_dir *ld, const char *dir, uint32_t i)
{
	size_t dir_len = strlen(dir);

	for (uint32_t look = 0; w->left != 0 && i < ld->n && look < AHEAD_LOOK; i++, look++) {
		const struct gofer_record *r = record(ld, i);
		char *at = w->paths + w->used;

		if (ld->state[i] != SEEN || (r->mode & LINUX_S_IFMT) != LINUX_S_IFREG || r->size == 0 ||
		    r->size > GOFER_CONTENT_MAX || mem_content_has(w->tree, r))
			continue;
		if (r->size > w->bytes || w->used + dir_len + r->name_len + 4 > w->room) {
			w->left = 0;
			return;
		}
		at += sprintf(at, dir_len != 0 ? "//%s/" : "//", dir);
		memcpy(at, gofer_record_name(r), r->name_len);
		w->used = (size_t)(at - w->paths) + r->name_len;
		w->bytes -= r->size;
		w->left--;
	}
	w->paths[w->used] = '\0';
}

/* The path of n, and of small files that follow it in its directory and in those that were listed ahead. */
static bool wish_for(struct wish *w, struct mem_node *n, unsigned count)
{
	const char *slash = strrchr(n->lower_path, '/'), *name = slash != NULL ? slash + 1 : n->lower_path;
	struct mem_node *dir = count > 1 ? listed_in(n) : NULL;
	const struct kept_listing *k;
	int64_t at;

	w->tree = mem_sb(n->inode)->lower->key;
	w->used = strlen(n->lower_path);
	w->room = w->used + 1 + (dir != NULL ? AHEAD_PATHS : 0);
	w->left = count - 1;
	w->bytes = AHEAD_BYTES;
	w->paths = kmalloc(w->room);
	if (w->paths == NULL)
		return false;
	memcpy(w->paths, n->lower_path, w->used + 1);
	at = dir != NULL ? dir_find(dir->dir.lower, name, strlen(name)) : -1;
	if (at < 0)
		return true;
	wish_more(w, dir->dir.lower, dir->lower_path, (uint32_t)at + 1);
	list_for_each(k, &kept, link) {
		if (w->left == 0)
			break;
		if (k->tree == mem_sb(n->inode)->lower)
			wish_more(w, k->ld, k->path, 0);
	}
	return true;
}

struct contents_call {
	struct mem_node *n; /* what is wanted */
	uint32_t tree;
};

static void take_contents(void *arg, const uint8_t *data, size_t len)
{
	struct contents_call *cc = arg;
	const struct gofer_content *c;
	size_t pos = 0;

	while ((c = gofer_content_next(data, len, &pos)) != NULL)
		mem_content_put(cc->tree, c, c->ino != cc->n->lower_ino || c->dev != cc->n->lower_dev);
}

/* Asks for the contents of a small file, and of some that it will want next. */
static int read_contents(struct task *task, struct mem_node *n)
{
	struct gofer_request req = {.op = GOFER_READ, .dev = n->lower_dev, .ino = n->lower_ino};
	struct lower_tree *tree = mem_sb(n->inode)->lower;
	struct contents_call cc = {.n = n, .tree = tree->key};
	struct gofer_answer a;
	struct wish w;
	int err;

	if (!wish_for(&w, n, mem_content_window()))
		return -LINUX_ENOMEM;
	err = gofer_call_take(task, tree, &req, "", w.paths, w.used, take_contents, &cc, &a);
	kfree(w.paths);
	if (err != 0)
		return err;
	adopt_fd(n, &a);
	gofer_answer_done(&a);
	return 0;
}

int mem_lower_ready(struct task *task, struct mem_node *n)
{
	struct mem_data *d = &n->data;
	uint32_t len;

	if (mem_sb(n->inode)->lower->image != NULL)
		return 0;
	if (d->lower_fd >= 0 || mem_content(n, &len) != NULL)
		return d->lower_fd >= 0 ? mem_lower_open(task, n) : 0;
	if (d->lower_len <= GOFER_CONTENT_MAX && n->lower_path[0] != '\0') {
		int err = read_contents(task, n);

		if (err == -LINUX_EINTR || err == -LINUX_ENOMEM)
			return err;
		if (err == 0 && (d->memfd >= 0 || d->lower_len == 0 || mem_content(n, &len) != NULL))
			return 0;
	}
	return mem_lower_open(task, n);
}

/* ---- extended attributes ---- */

static int add_xattr(struct mem_node *n, const char *name, size_t name_len, const uint8_t *value, size_t size)
{
	struct mem_xattr *x = kmalloc(sizeof(*x) + size);

	if (x == NULL)
		return -LINUX_ENOMEM;
	x->name = kstrndup(name, name_len);
	if (x->name == NULL) {
		kfree(x);
		return -LINUX_ENOMEM;
	}
	x->size = size;
	memcpy(x->value, value, size);
	list_add_tail(&n->xattrs, &x->link);
	return 0;
}

int mem_lower_xattrs(struct task *task, struct mem_node *n)
{
	struct gofer_request req = {.op = GOFER_XATTRS};
	struct gofer_answer a;
	struct gofer_xattr x;
	int err;

	if (!n->lower_xattrs)
		return 0;
	err = gofer_call(task, mem_sb(n->inode)->lower, &req, n->lower_path, NULL, 0, &a);
	if (err != 0)
		return err;
	for (size_t pos = 0; err == 0 && n->lower_xattrs && a.len - pos >= sizeof(x);) {
		const uint8_t *name = a.data + pos + sizeof(x);

		memcpy(&x, a.data + pos, sizeof(x));
		if (x.name_len > LINUX_XATTR_NAME_MAX || x.value_len > LINUX_XATTR_SIZE_MAX ||
		    a.len - pos < GOFER_XATTR_SIZE(x.name_len, x.value_len))
			break;
		err = add_xattr(n, (const char *)name, x.name_len, name + x.name_len, x.value_len);
		pos += GOFER_XATTR_SIZE(x.name_len, x.value_len);
	}
	gofer_answer_done(&a);
	if (err == 0)
		n->lower_xattrs = false;
	else
		mem_xattrs_free(n); /* the list was empty before */
	return err;
}
