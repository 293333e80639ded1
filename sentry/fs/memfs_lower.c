/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What memfs knows of the lower tree: names (memfs_listing.c has the listings), inodes made of their records, open lower files.
 *
 *	lookup --> known name? --> record --> live inode of that (device, number)? or a new one
 *	             |                \-> bare: ask for the rest (memfs_ahead.c)
 *	             \-> ask the gofer for it; after ASK_MAX such questions for the whole directory, which comes at once
 *	                 with the first name that is missing, if it is a small one
 *
 * The lower tree is taken as unchanging: whatever was learned stays true, absences too. Of a name that a listing told bare,
 * attributes are learned when somebody looks: if it has gone by then, it isn't there. A name that was removed or moved
 * here is marked hidden in the listing; that mark is the whiteout. A directory or file that differs from what lies below
 * (mem_dirty) is kept in memory by a reference of its own and found again by its device and inode number, so hard links
 * below are one inode here too. Clean inodes and listings come and go with the dentry cache.
 *
 * The gofer's records were checked by gofer_record_next; a lie in them can at worst show a wrong tree. The guest controls
 * which names are asked for: absences are remembered only until the listing is complete, so at most ASK_MAX of them (ABSENT_MAX
 * where the directory can't be listed).
 */
#include "sentry/fs/memfs_listing.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/task.h"

#include <stdio.h>
#include <string.h>

#define ASK_MAX 24U
#define ABSENT_MAX 4096U
#define ID_BUCKETS 4096U

static struct list ids[ID_BUCKETS]; /* mem_node.id_link; next NULL: not initialised */
static struct list open_files = LIST_INIT(open_files); /* mem_data.lower_link */
static unsigned nopen;

/* ---- names ---- */

void mem_lower_hide(struct mem_node *dir, const char *name, size_t len)
{
	struct lower_dir *ld = dir->dir.lower;
	int64_t i = ld != NULL ? lower_dir_find(ld, name, len) : -1;

	if (i < 0 || ld->state[i] != SEEN)
		return;
	ld->state[i] = HIDDEN;
	ld->nseen--;
	mem_dirty(dir);
}

bool mem_lower_visible(struct mem_node *dir, const char *name, size_t len)
{
	struct lower_dir *ld = dir->dir.lower;
	int64_t i = ld != NULL ? lower_dir_find(ld, name, len) : -1;

	return i >= 0 && ld->state[i] == SEEN;
}

bool mem_lower_next(struct mem_node *dir, uint32_t *at, struct mem_lower_name *out)
{
	struct lower_dir *ld = dir->dir.lower;

	for (; ld != NULL && *at < ld->n; (*at)++) {
		const struct gofer_record *r = lower_record(ld, *at);

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
		const struct gofer_record *r = lower_record(ld, i);

		if (ld->state[i] == HIDDEN && !fn(arg, gofer_record_name(r), r->name_len))
			return;
	}
}

bool mem_lower_was(const struct mem_node *dir, const char *name, size_t len, bool *is_dir)
{
	struct lower_dir *ld = dir->dir.lower;
	int64_t i = ld != NULL ? lower_dir_find(ld, name, len) : -1;

	*is_dir = i >= 0 && (lower_record(ld, (uint32_t)i)->mode & LINUX_S_IFMT) == LINUX_S_IFDIR;
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
	/* What the gofer told ahead is looked at when somebody asks: then it counts as of use. */
	n->lower_xattrs = (sb->lower->image == NULL || !(r->flags & GOFER_NO_XATTRS)) &&
			  (inode_is_dir(inode) || (r->mode & LINUX_S_IFMT) == LINUX_S_IFREG);
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

/*
 * Descriptors that came ahead of who opens the file, a few; found as contents are. Like those they are asked for while the last ones
 * were of use.
 */
#define FDS_AHEAD 16U
#define FDS_FROM 8U /* fd_window.size from which they are asked for */

static struct fd_ahead {
	uint64_t dev, ino, ctime;
	uint32_t tree;
	int fd;
	bool there;
} fds_ahead[FDS_AHEAD];
static unsigned next_ahead;

void mem_lower_drop_ahead(const struct superblock *sb)
{
	const struct lower_tree *tree = container_of(sb, const struct mem_sb, sb)->lower;

	for (unsigned i = 0; i < FDS_AHEAD; i++) {
		if (tree == NULL || !fds_ahead[i].there || fds_ahead[i].tree != tree->key)
			continue;
		host_close(fds_ahead[i].fd);
		fds_ahead[i].there = false;
	}
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
	int err = lower_dir_known(dir);
	int64_t at;

	if (err != 0)
		return err;
	at = lower_dir_find(dir->dir.lower, name, len);
	if (at >= 0 && (lower_record(dir->dir.lower, (uint32_t)at)->flags & GOFER_BARE)) {
		if (r != NULL)
			return lower_dir_fill(dir->dir.lower, (uint32_t)at, r);
		lower_dir_gone(dir->dir.lower, (uint32_t)at);
	}
	if (at >= 0 || dir->dir.lower->complete)
		return 0;
	if (r != NULL)
		return lower_dir_add(dir->dir.lower, r, name, len, SEEN);
	/* what a guest makes up isn't remembered without bound */
	return dir->dir.lower->n < ABSENT_MAX ? lower_dir_add(dir->dir.lower, NULL, name, len, ABSENT) : 0;
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
	const uint8_t *bytes;

	if (!(a->flags & GOFER_REPLY_CONTENT))
		return;
	c = gofer_content_next(a->data, a->len, NULL, &pos, &bytes);
	if (c != NULL && !(c->rec.flags & GOFER_NO_CONTENT) && c->rec.dev == n->lower_dev && c->rec.ino == n->lower_ino)
		mem_content_put(mem_sb(n->inode)->lower->key, c, bytes, false);
}

/*
 * Two habits of programs, guessed from what they did last: what is only looked at is opened right after (a PATH is searched
 * before the program is executed, gcc asks whether a header is a link); what is small is mapped all the same (locales, caches of
 * ld.so and iconv). Then contents come with the attributes, and a descriptor with the contents. -HABIT to HABIT, above 0: so it is.
 */
#define HABIT 2
static int opened_after_look = 1, mapped_after_content;
static uint64_t look_dev, look_ino; /* the file that was looked at last; 0: it was opened, or there is none */

static void habit(int *h, bool yes)
{
	*h = yes ? MIN(*h + 1, HABIT) : MAX(*h - 1, -HABIT);
}

static void looked_at(const struct gofer_record *r)
{
	if (look_ino != 0)
		habit(&opened_after_look, false);
	look_dev = r->dev;
	look_ino = r->ino;
}

/* Contents of n are wanted. */
static void opened(const struct mem_node *n)
{
	if (look_ino == 0 || n->lower_ino != look_ino || n->lower_dev != look_dev)
		return;
	habit(&opened_after_look, true);
	look_ino = 0;
}

static bool walk_opens(const struct lookup_hint *hint)
{
	return hint->open || opened_after_look > 0;
}

/* What a walk that ended in dir brought of the file with this record: its descriptor, or its contents, which stand at pos. */
static void learn_file(struct mem_node *dir, const struct gofer_record *r, unsigned i, struct gofer_answer *a, size_t pos)
{
	char *path = join(dir->lower_path, gofer_record_name(r), r->name_len);
	struct inode *inode;

	if (path == NULL || inode_from(mem_sb(dir->inode), r, path, &inode) != 0)
		return; /* what was not learned will be asked for */
	keep_ahead(i, inode);
	adopt_fd(mem_node(inode), a);
	learn_content(mem_node(inode), a, pos);
}

/* Is r a link to a name beside it, and is that to's? */
static bool leads_to(const struct gofer_record *r, const struct gofer_record *to)
{
	return (r->mode & LINUX_S_IFMT) == LINUX_S_IFLNK && to->name_len != 0 && to->name_len == r->target_len &&
	       memcmp(gofer_record_target(r), gofer_record_name(to), to->name_len) == 0;
}

/* The last record of a walk along names, r in dir, and those of what it leads to if it is a link. i: of keep_ahead. */
static int learn_last(struct mem_node *dir, const struct gofer_record *r, unsigned i, bool open, struct gofer_answer *a, size_t pos)
{
	for (unsigned n = 0; n < GOFER_LINKS_MAX; n++) {
		size_t next = pos;
		const struct gofer_record *to = gofer_record_next(a, &next);
		int err;

		if (to == NULL || !leads_to(r, to))
			break;
		err = learn(dir, gofer_record_name(to), to->name_len, to);
		if (err != 0)
			return err;
		r = to;
		pos = next;
	}
	if ((r->mode & LINUX_S_IFMT) != LINUX_S_IFREG)
		return 0;
	if (!open)
		looked_at(r);
	/* Unless the name means something else here by now. */
	if ((a->fd >= 0 || (a->flags & GOFER_REPLY_CONTENT)) && mem_lower_visible(dir, gofer_record_name(r), r->name_len))
		learn_file(dir, r, i, a, pos);
	return 0;
}

/* Enters the records of a walk along names below dir. */
static int learn_walk(struct mem_node *dir, const char *names, bool open, struct gofer_answer *a)
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
		if (err == 0 && *names == '\0')
			return learn_last(dir, r, i, open, a, pos);
		/* The way on needs the inode, unless the name means something else here by now. */
		if (err != 0 || !mem_lower_visible(dir, gofer_record_name(r), len))
			break;
		path = join(dir->lower_path, gofer_record_name(r), len);
		if (path == NULL || inode_from(mem_sb(dir->inode), r, path, &inode) != 0)
			break; /* what was not learned will be asked for */
		keep_ahead(i, inode);
		dir = mem_node(inode);
		if (!inode_is_dir(inode))
			break;
	}
	return err;
}

/* Asks for a name, and on the way for what the path says comes behind it. */
static int ask(struct task *task, struct mem_node *dir, const struct lookup_hint *hint, const char *name, size_t len)
{
	struct lower_tree *tree = mem_sb(dir->inode)->lower;
	struct gofer_request req = {.op = GOFER_WALK, };
	char *names = walk_names(hint, name, len);
	struct gofer_answer a;
	int err;

	if (names == NULL)
		return -LINUX_ENOMEM;
	dir->dir.lower->asked++;
	if (dir->dir.lower->complete || tree->image != NULL)
		;
	else if (!dir->dir.lower->not_small)
		req.flags |= dir->dir.lower->asked == 2 ? GOFER_WALK_HERE : GOFER_WALK_LIST;
	if (tree->image == NULL)
		req.flags |= GOFER_WALK_LINK;
	if (walk_opens(hint))
		req.flags |= GOFER_WALK_OPEN | (mapped_after_content > 0 ? GOFER_WALK_FD : 0);
	err = gofer_call_take(task, tree, &req, dir->lower_path, names, strlen(names), lower_take_small, tree, &a);
	if (err == 0) {
		/* Without a record it is missing here. */
		if ((req.flags & GOFER_WALK_HERE) || ((a.flags & GOFER_REPLY_ABSENT) && a.count == 0))
			dir->dir.lower->not_small = lower_kept_find(tree, dir->lower_path, strlen(dir->lower_path)) == NULL;
		err = learn_walk(dir, names, hint->open, &a);
		gofer_answer_done(&a);
	}
	kfree(names);
	return err;
}

/* The record of a name that may be seen, with all its fields; NULL in *r if there is no such name. Sleeps. */
static int find_name(struct task *task, struct mem_node *dir, const char *name, size_t len, struct gofer_answer *a,
		     const struct gofer_record **r)
{
	struct lookup_hint hint = vfs_lookup_hint; /* is gone once this slept; the string it leads to isn't */
	bool last = hint.rest == NULL || hint.rest[strspn(hint.rest, "/")] == '\0';
	int64_t i;
	int err;

	*r = NULL;
	if (lower_dir_find(dir->dir.lower, name, len) < 0 && !lower_listed(dir)) {
		static const struct lookup_hint none;

		if (dir->dir.lower->asked < ASK_MAX || dir->dir.lower->unlistable)
			err = ask(task, dir, &hint, name, len);
		else if (mem_lower_list(task, dir) != 0)
			err = ask(task, dir, &none, name, len);
		else
			err = 0;
		if (err != 0)
			return err;
	}
	for (unsigned tries = 0; tries < 2; tries++) {
		struct lower_dir *ld = dir->dir.lower;
		struct gofer_record *found;

		i = lower_dir_find(ld, name, len);
		if (i < 0 || ld->state[i] != SEEN)
			return 0;
		found = lower_record(ld, (uint32_t)i);
		if (!(found->flags & GOFER_BARE)) {
			lower_attr_window.used += (found->flags & LOWER_AHEAD) != 0;
			found->flags &= ~LOWER_AHEAD;
			*r = found;
			return 0;
		}
		if (tries == 0) {
			/* The way on from a directory may be asked for at once. */
			err = (found->mode & LINUX_S_IFMT) == LINUX_S_IFDIR && !last ?
				      ask(task, dir, &hint, name, len) :
				      lower_fill(task, dir, name, len, hint.open && hint.rest != NULL && last, a);
			if (err != 0)
				return err;
		}
	}
	return -LINUX_EIO; /* another task's listing came in between, twice; or a gofer that lies */
}

int mem_lower_lookup(struct task *task, struct mem_node *dir, const char *name, size_t len, struct inode **out)
{
	struct gofer_answer a = {.fd = -1};
	const struct gofer_record *r;
	char *path;
	int err;

	if (dir->lower_path == NULL)
		return -LINUX_ENOENT;
	err = lower_dir_known(dir);
	if (err == 0)
		err = find_name(task, dir, name, len, &a, &r);
	if (err == 0 && r == NULL)
		err = -LINUX_ENOENT;
	if (err != 0)
		goto out;
	path = join(dir->lower_path, name, len);
	err = path != NULL ? inode_from(mem_sb(dir->inode), r, path, out) : -LINUX_ENOMEM;
	if (err == 0)
		adopt_fd(mem_node(*out), &a);
out:
	gofer_answer_done(&a);
	return err;
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

static struct mem_window fd_window = {.size = 1};

bool mem_lower_wants_fds(void)
{
	return mem_window_next(&fd_window) >= FDS_FROM && mem_lower_budget() >= 4 * FDS_AHEAD;
}

static struct fd_ahead *find_fd(uint32_t tree, uint64_t dev, uint64_t ino, uint64_t ctime)
{
	for (unsigned i = 0; i < FDS_AHEAD; i++) {
		struct fd_ahead *f = &fds_ahead[i];

		if (f->there && f->ino == ino && f->dev == dev && f->tree == tree && f->ctime == ctime)
			return f;
	}
	return NULL;
}

bool mem_lower_has_fd(uint32_t tree, const struct gofer_record *r)
{
	return find_fd(tree, r->dev, r->ino, mem_ctime_key(r->ctime_sec, r->ctime_nsec)) != NULL;
}

void mem_lower_keep_fd(uint32_t tree, const struct gofer_record *r, int fd)
{
	struct fd_ahead *f = &fds_ahead[next_ahead++ % FDS_AHEAD];

	if (f->there)
		host_close(f->fd);
	*f = (struct fd_ahead){.dev = r->dev, .ino = r->ino, .ctime = mem_ctime_key(r->ctime_sec, r->ctime_nsec), .tree = tree, .fd = fd,
			       .there = true};
	fd_window.sent++;
}

/* n's, to be closed; -1: there is none. */
static int take_fd(const struct mem_node *n)
{
	struct fd_ahead *f = find_fd(mem_sb(n->inode)->lower->key, n->lower_dev, n->lower_ino, n->lower_ctime);

	if (f == NULL)
		return -1;
	f->there = false;
	fd_window.used++;
	return f->fd;
}

int mem_lower_open(struct task *task, struct mem_node *n)
{
	struct mem_data *d = &n->data;
	uint32_t len;
	int fd;

	if (mem_sb(n->inode)->lower->image != NULL)
		return 0; /* all of it is in memory */
	opened(n);
	if (mem_content(n, &len) != NULL)
		habit(&mapped_after_content, true);
	if (d->lower_fd >= 0) {
		list_move_tail(&open_files, &d->lower_link);
		return 0;
	}
	mem_lower_trim(mem_lower_budget());
	fd = take_fd(n);
	if (fd < 0)
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

int mem_lower_ready(struct task *task, struct mem_node *n)
{
	struct mem_data *d = &n->data;
	struct gofer_answer a;
	uint32_t len;

	if (mem_sb(n->inode)->lower->image != NULL)
		return 0;
	opened(n);
	if (mem_content(n, &len) != NULL) {
		habit(&mapped_after_content, false);
		return 0;
	}
	if (d->lower_fd >= 0)
		return mem_lower_open(task, n);
	if (d->lower_len <= GOFER_CONTENT_MAX && n->lower_path[0] != '\0') {
		int err = lower_read(task, n, &a);

		if (err == 0) {
			adopt_fd(n, &a);
			gofer_answer_done(&a);
		}
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
	bool has;
	int err;

	if (!n->lower_xattrs)
		return 0;
	err = lower_has_xattrs(task, n, &has);
	if (err != 0)
		return err;
	if (!has) {
		n->lower_xattrs = false;
		return 0;
	}
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
