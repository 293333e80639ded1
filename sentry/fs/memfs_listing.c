/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings of lower directories: which names there are, and their records as far as they are known.
 *
 *	gofer's answer --> records, entered by name --> lookups, readdir
 *	             \-> of directories below: kept by path, until somebody reads them or they are the oldest
 *
 * A listing is *bare* if regular files' and symbolic links' records in it have only name, type and number: whoever looks at such a
 * name asks for the rest (memfs_ahead.c). It comes with all attributes if those were wanted of the last ones. A small directory
 * in which a name was missing is told of its own accord, directories bare as well (memfs_lower.c).
 *
 * What the guest controls: which directories are read, and so how many names are held; all of it is counted memory, and what was
 * brought ahead is bounded. What the gofer says was checked by gofer_record_next; a name that comes twice counts once.
 */
#include "sentry/fs/memfs_listing.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"

#include <string.h>

static uint32_t hash(const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3ULL;
	return (uint32_t)(h ^ (h >> 32));
}

void lower_dir_free(struct lower_dir *ld)
{
	if (ld == NULL)
		return;
	kfree(ld->rec);
	kfree(ld->off);
	kfree(ld->state);
	kfree(ld->slot);
	kfree(ld);
}

int64_t lower_dir_find(const struct lower_dir *ld, const char *name, size_t len)
{
	if (ld->nslots == 0)
		return -1;
	for (uint32_t s = hash(name, len) & (ld->nslots - 1); ld->slot[s] != 0; s = (s + 1) & (ld->nslots - 1)) {
		const struct gofer_record *r = lower_record(ld, ld->slot[s] - 1);

		if (r->name_len == len && memcmp(gofer_record_name(r), name, len) == 0)
			return ld->slot[s] - 1;
	}
	return -1;
}

static void slot_put(struct lower_dir *ld, uint32_t i)
{
	const struct gofer_record *r = lower_record(ld, i);
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

/* Room for a record's bytes. */
static int room_for(struct lower_dir *ld, size_t size)
{
	size_t cap = MAX(ld->cap * 2, ld->len + size);
	uint8_t *rec;

	if (ld->len + size > UINT32_MAX)
		return -LINUX_ENOMEM;
	if (size <= ld->cap - ld->len)
		return 0;
	rec = krealloc(ld->rec, cap);
	if (rec == NULL)
		return -LINUX_ENOMEM;
	ld->rec = rec;
	ld->cap = cap;
	return 0;
}

/* Room was made. r NULL: a name alone. */
static void put_record(struct lower_dir *ld, const struct gofer_record *r, const char *name, size_t len)
{
	size_t target_len = r != NULL ? r->target_len : 0U, size = GOFER_RECORD_SIZE(len, target_len);
	struct gofer_record *copy = (struct gofer_record *)(ld->rec + ld->len);

	memset(copy, 0, size);
	if (r != NULL) {
		memcpy(copy, r, sizeof(*r));
		memcpy((char *)(copy + 1) + len, gofer_record_target(r), target_len);
	}
	copy->flags &= GOFER_HAS_XATTRS | GOFER_NO_XATTRS;
	copy->name_len = (uint16_t)len;
	memcpy(copy + 1, name, len);
	ld->len += size;
}

int lower_dir_add(struct lower_dir *ld, const struct gofer_record *r, const char *name, size_t len, enum name_state state)
{
	size_t at = ld->len;
	int err = dir_reserve(ld) ? room_for(ld, GOFER_RECORD_SIZE(len, r != NULL ? r->target_len : 0UL)) : -LINUX_ENOMEM;

	if (err != 0)
		return err;
	put_record(ld, r, name, len);
	dir_enter(ld, at, state);
	return 0;
}

int lower_dir_fill(struct lower_dir *ld, uint32_t i, const struct gofer_record *r)
{
	struct gofer_record *old = lower_record(ld, i);
	size_t len = old->name_len, at = ld->len;
	int err;

	if (!(old->flags & GOFER_BARE))
		return 0;
	if (r->target_len == 0) {
		memcpy(old, r, sizeof(*old));
		old->name_len = (uint16_t)len;
		old->flags &= GOFER_HAS_XATTRS | GOFER_NO_XATTRS;
		return 0;
	}
	/* A link: its target needs more room. The old record's name stays where it is until the new one is there. */
	err = room_for(ld, GOFER_RECORD_SIZE(len, r->target_len));
	if (err != 0)
		return err;
	put_record(ld, r, gofer_record_name(lower_record(ld, i)), len);
	ld->off[i] = (uint32_t)at;
	return 0;
}

void lower_dir_gone(struct lower_dir *ld, uint32_t i)
{
	if (ld->state[i] == SEEN)
		ld->nseen--;
	ld->state[i] = ABSENT;
}

int lower_dir_known(struct mem_node *dir)
{
	if (dir->dir.lower == NULL)
		dir->dir.lower = kzalloc(sizeof(*dir->dir.lower));
	return dir->dir.lower != NULL ? 0 : -LINUX_ENOMEM;
}

/* Flags as they may be in a listing; of a file whose attributes came along, whether somebody looks at them will be counted. */
static void note_attrs(struct gofer_record *r, bool bare)
{
	bool is_file = (r->mode & LINUX_S_IFMT) == LINUX_S_IFREG;

	/* Bare without having been asked for: in a directory that can't be searched all is. */
	bare |= (r->flags & GOFER_BARE) != 0;
	r->flags &= GOFER_HAS_XATTRS | GOFER_NO_XATTRS | GOFER_BARE;
	if (!bare && is_file)
		r->flags |= LOWER_AHEAD;
	if (!bare && (r->flags & (GOFER_HAS_XATTRS | GOFER_NO_XATTRS)))
		r->flags |= LOWER_XAHEAD;
}

/* A listing of what the gofer answered, bare or not; takes the answer's data. NULL if memory is out. */
static struct lower_dir *dir_from(struct gofer_answer *a, bool bare)
{
	struct lower_dir *ld = kzalloc(sizeof(*ld));
	const struct gofer_record *r;
	size_t pos = 0, off;

	if (ld == NULL || a->len > UINT32_MAX)
		goto fail;
	ld->rec = a->data;
	ld->len = ld->cap = a->len;
	for (off = 0; (r = gofer_record_next(a, &pos)) != NULL; off = pos) {
		if (r->name_len == 0 || lower_dir_find(ld, gofer_record_name(r), r->name_len) >= 0)
			continue; /* no name, or twice the same: a changing directory */
		if (!dir_reserve(ld)) {
			ld->rec = NULL;
			goto fail;
		}
		dir_enter(ld, off, SEEN);
		note_attrs(lower_record(ld, ld->n - 1), bare);
	}
	a->data = NULL;
	a->len = 0;
	ld->complete = true;
	return ld;
fail:
	lower_dir_free(ld);
	return NULL;
}

/* They wait by path, because their directories' inodes need not exist yet. */
#define ATTRS_ALONG 8U /* lower_attr_window.size from which attributes come with a listing */
#define NEXT_BYTES (16 * KiB) /* of paths of directories to list along with one */
#define NEXT_LOOK 1024U       /* names looked at in a directory for them */
#define DISORDER 16U          /* from which on directories beside the listed one aren't asked for */
#define KEPT_MAX 128U
#define KEPT_BYTES (4 * MiB)

struct list lower_kept = LIST_INIT(lower_kept);
static unsigned nkept;
static size_t kept_bytes;
static unsigned disorder; /* how often kept listings were used in another order than they were told in (ls -R sorts) */
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

struct kept_listing *lower_kept_find(const struct lower_tree *tree, const char *path, size_t len)
{
	uint32_t h = hash(path, len);
	struct kept_listing *k;

	list_for_each(k, &lower_kept, link)
		if (k->hash == h && k->tree == tree && strlen(k->path) == len && memcmp(k->path, path, len) == 0)
			return k;
	return NULL;
}

static void keep_listing(const struct lower_tree *tree, const char *path, size_t path_len, const uint8_t *records, size_t len,
			 bool bare, bool guessed)
{
	struct kept_listing *k = kzalloc(sizeof(*k) + path_len + 1), *old;
	struct gofer_answer a = {.data = kmalloc(MAX(len, (size_t)1)), .len = len, .fd = -1};

	if (k == NULL || a.data == NULL || memchr(path, '\0', path_len) != NULL)
		goto fail;
	memcpy(k->path, path, path_len);
	old = lower_kept_find(tree, path, path_len);
	memcpy(a.data, records, len);
	k->ld = dir_from(&a, bare);
	if (k->ld == NULL)
		goto fail;
	if (old != NULL)
		lower_dir_free(kept_remove(old));
	k->tree = tree;
	k->hash = hash(path, path_len);
	k->bytes = len;
	k->guessed = guessed;
	list_add_tail(&lower_kept, &k->link);
	nkept++;
	kept_bytes += len;
	list_window.sent += guessed;
	while (nkept > KEPT_MAX || kept_bytes > KEPT_BYTES)
		lower_dir_free(kept_remove(list_first(&lower_kept, struct kept_listing, link)));
	return;
fail:
	gofer_answer_done(&a);
	kfree(k);
}

struct listings_call {
	const struct lower_tree *tree;
	bool bare;
};

static void keep_listings(const struct lower_tree *tree, const uint8_t *data, size_t len, bool bare, bool guessed)
{
	const struct gofer_dir *d;
	const uint8_t *records;
	const char *path;
	size_t pos = 0;

	while ((d = gofer_dir_next(data, len, &pos, &path, &records)) != NULL)
		keep_listing(tree, path, d->path_len, records, d->len, bare, guessed);
}

static void take_listings(void *arg, const uint8_t *data, size_t len, const uint8_t *shared, int *fd)
{
	const struct listings_call *lc = arg;

	(void)shared;
	(void)fd;
	keep_listings(lc->tree, data, len, lc->bare, true);
}

void lower_take_small(void *arg, const uint8_t *data, size_t len, const uint8_t *shared, int *fd)
{
	(void)shared;
	(void)fd;
	keep_listings(arg, data, len, true, false);
}

/* What was learned of dir name by name gives way to the listing ld, which is taken. What came along with it counts from now on. */
static void install(struct mem_node *dir, struct lower_dir *ld)
{
	struct lower_dir *old = dir->dir.lower;

	for (uint32_t i = 0; i < ld->n; i++) {
		lower_attr_window.sent += (lower_record(ld, i)->flags & LOWER_AHEAD) != 0;
		lower_xattr_window.sent += (lower_record(ld, i)->flags & LOWER_XAHEAD) != 0;
	}
	for (uint32_t i = 0; old != NULL && i < old->n; i++) {
		const struct gofer_record *r = lower_record(old, i);
		int64_t at = lower_dir_find(ld, gofer_record_name(r), r->name_len);

		if (at < 0)
			continue;
		if (old->state[i] == HIDDEN) {
			ld->state[at] = HIDDEN;
			ld->nseen--;
		}
		if (old->state[i] != ABSENT && !(r->flags & GOFER_BARE))
			(void)!lower_dir_fill(ld, (uint32_t)at, r); /* in place; or it stays bare where there is no memory for a target */
	}
	dir->dir.lower = ld;
	lower_dir_free(old);
}

static const struct kept_listing *first_guessed(void)
{
	const struct kept_listing *k;

	list_for_each(k, &lower_kept, link)
		if (k->guessed)
			return k;
	return NULL;
}

bool lower_listed(struct mem_node *dir)
{
	struct kept_listing *k;

	if (dir->dir.lower != NULL && dir->dir.lower->complete)
		return true;
	k = nkept != 0 ? lower_kept_find(mem_sb(dir->inode)->lower, dir->lower_path, strlen(dir->lower_path)) : NULL;
	if (k == NULL)
		return false;
	if (!k->guessed) {
		install(dir, kept_remove(k));
		return true;
	}
	list_window.used++;
	if (k == first_guessed())
		disorder -= disorder != 0;
	else
		disorder = MIN(disorder + 2, 2 * DISORDER);
	install(dir, kept_remove(k));
	return true;
}

/* Do those who read directories look at what the window w is about? */
static bool wanted_along(struct mem_window *w)
{
	if (w->sent != 0)
		(void)mem_window_next(w);
	return w->size >= ATTRS_ALONG;
}

/*
 * The directories that a walk comes to behind dir and all below it: those that follow in its parent's listing, in the parent's
 * parent's, and so on, up to where somebody has read the listing, for there the walk began; their paths, "//" between two, in a
 * string to kfree. NULL: there are none, or memory is out.
 */
static char *next_dirs(struct mem_node *dir, unsigned count, size_t *len)
{
	struct mem_node *parent = count != 0 ? lower_listed_in(dir) : NULL;
	char *paths = parent != NULL ? kmalloc(NEXT_BYTES) : NULL;

	*len = 0;
	for (; paths != NULL && parent != NULL && parent->dir.lower->read && count != 0; dir = parent, parent = lower_listed_in(dir)) {
		const struct lower_dir *ld = parent->dir.lower;
		const char *slash = strrchr(dir->lower_path, '/'), *name = slash != NULL ? slash + 1 : dir->lower_path;
		size_t above = strlen(parent->lower_path);
		int64_t i = lower_dir_find(ld, name, strlen(name));

		for (uint32_t at = (uint32_t)(i + 1), look = 0; i >= 0 && count != 0 && at < ld->n && look < NEXT_LOOK; at++, look++) {
			const struct gofer_record *r = lower_record(ld, at);
			char *p = paths + *len;

			if (ld->state[at] != SEEN || (r->mode & LINUX_S_IFMT) != LINUX_S_IFDIR)
				continue;
			if (*len + above + r->name_len + 3 > NEXT_BYTES)
				return paths;
			if (*len != 0)
				p = mempcpy(p, "//", 2);
			p = mempcpy(p, parent->lower_path, above);
			if (above != 0)
				*p++ = '/';
			memcpy(p, gofer_record_name(r), r->name_len);
			if (lower_kept_find(mem_sb(dir->inode)->lower, paths + *len + (*len != 0 ? 2 : 0),
					    above + (above != 0) + r->name_len) != NULL)
				continue; /* it is here already */
			*len = (size_t)(p - paths) + r->name_len;
			count--;
		}
	}
	return paths;
}

int mem_lower_list(struct task *task, struct mem_node *dir)
{
	struct lower_tree *tree = mem_sb(dir->inode)->lower;
	struct gofer_request req = {.op = GOFER_LIST};
	struct listings_call lc = {.tree = tree};
	struct gofer_answer a;
	struct lower_dir *ld;
	size_t next_len = 0;
	char *next;
	int err;

	if (dir->lower_path == NULL)
		return 0;
	if (lower_listed(dir)) {
		dir->dir.lower->read = true;
		return 0;
	}
	lc.bare = !wanted_along(&lower_attr_window) && tree->image == NULL;
	req.flags = lc.bare ? GOFER_LIST_BARE : wanted_along(&lower_xattr_window) ? GOFER_LIST_XATTRS : 0;
	/* Whoever reads one directory after another may be going through a tree. */
	req.size = mem_window_next(&list_window) - 1;
	next = next_dirs(dir, tree->image == NULL && disorder < DISORDER ? (unsigned)req.size : 0, &next_len);
	err = gofer_call_take(task, tree, &req, dir->lower_path, next, next_len, take_listings, &lc, &a);
	kfree(next);
	if (err == -LINUX_EACCES && dir->dir.lower != NULL)
		dir->dir.lower->unlistable = true;
	if (err != 0)
		return err;
	if (dir->dir.lower != NULL && dir->dir.lower->complete) { /* somebody else was faster */
		dir->dir.lower->read = true;
		gofer_answer_done(&a);
		return 0;
	}
	ld = dir_from(&a, lc.bare);
	gofer_answer_done(&a);
	if (ld == NULL)
		return -LINUX_ENOMEM;
	ld->read = true;
	install(dir, ld);
	return 0;
}
