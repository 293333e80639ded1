/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of the container: a file or tree as it is seen there, or what the run has changed.
 *
 *	pending: a stack of directories --> each: its names --> ENTRY and contents | a directory more on the stack
 *
 * The walk goes from directory to directory by reference, never by path: its task's current directory is the one it reads,
 * and every name is looked up in that alone, without following links. So depth is no matter (names are, up to
 * FILES_NAME_MAX), and a guest that moves things meanwhile changes what comes out but never where the walk can get to. What
 * is looked at is what is opened: a file's attributes are those of the open file.
 *
 * A diff is the same walk with fewer names (sentry/fs/memfs_changes.h) on the root mount alone. Directories that lie above a
 * change are told when the first change in them is found.
 *
 * Files with several names are remembered by inode, so that the second name comes as a hard link.
 *
 * A file may be there and not be readable after all: the host's, whose owner isn't in the container's maps, renamed but never
 * opened. So its first byte is read before its ENTRY goes out; one that can't be read is noted and left out. Of a diff with contents
 * (what is kept) the names that are gone come last, and not at all if something was left out: one of them may be the place where its
 * only bytes are. What took such a place itself does replace it.
 */
#include "runtime/core/files.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/tree.h"
#include "sentry/fs/memfs_changes.h"
#include "sentry/host/host.h"
#include "sentry/kernel/ids.h"
#include "sentry/kernel/task.h"
#include "sentry/trace/names.h"

#include <string.h>

struct dir {
	struct list link;    /* on the stack */
	struct dir *parent;  /* counted; NULL for the first */
	unsigned refs;
	struct path path;    /* counted */
	bool told;           /* its ENTRY was sent */
	bool whole;          /* diff: all in it is added */
	bool opaque;
	enum mem_change change;
	size_t len;
	char name[];         /* relative to what was asked for */
};

struct linked {
	RB_ENTRY(linked) node;
	const struct superblock *sb;
	uint64_t ino;
	char name[];
};
RB_HEAD(linked_tree, linked);

static int linked_cmp(const struct linked *a, const struct linked *b)
{
	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return a->sb < b->sb ? -1 : a->sb > b->sb;
}
TREE_GENERATE(linked_tree, linked, node, linked_cmp)

struct walk {
	struct files_job *j;
	struct list stack;
	struct linked_tree linked;
	struct mem_changes *changes; /* a diff; NULL: all */
	bool contents;
	bool lost;                   /* something could not be told */
	struct list gone;            /* of a diff with contents: struct item, full names, until the end */
	char *full;                  /* a name under way: FILES_NAME_MAX + 1 */
};

struct item {
	struct list link;
	bool gone;
	size_t len;
	char name[];
};

struct collector {
	struct dir_emit emit;
	struct mem_changes_emit changes;
	struct list items;
	bool failed;
};

/* ---- directories on the stack ---- */

static void dir_put(struct dir *d)
{
	while (d != NULL && --d->refs == 0) {
		struct dir *parent = d->parent;

		path_put(&d->path);
		kfree(d);
		d = parent;
	}
}

/* Borrows path. NULL if memory is out. */
static struct dir *dir_push(struct walk *w, struct list *to, struct dir *parent, const struct path *path, const char *name)
{
	size_t len = strlen(name);
	struct dir *d = kzalloc(sizeof(*d) + len + 1);

	if (d == NULL)
		return NULL;
	d->refs = 1;
	d->path = *path;
	path_get(&d->path);
	d->parent = parent;
	if (parent != NULL)
		parent->refs++;
	d->len = len;
	memcpy(d->name, name, len + 1);
	list_init(&d->link);
	list_add_tail(to, &d->link);
	(void)w;
	return d;
}

/* ---- entries ---- */

static void fill(struct files_record *r, const struct kstat *st)
{
	/* With another owner than its own (shown as nobody) a set-id bit would be that one's. */
	bool whose = uid_mapped(st->uid) && gid_mapped(st->gid);

	*r = (struct files_record){.mode = whose ? st->mode : st->mode & ~06000U,
				   .uid = uid_shown(st->uid),
				   .gid = gid_shown(st->gid),
				   .rdev_major = LINUX_MAJOR(st->rdev),
				   .rdev_minor = LINUX_MINOR(st->rdev),
				   .mtime_sec = st->mtime.sec,
				   .mtime_nsec = (uint32_t)st->mtime.nsec,
				   .stored = st->blocks * 512};
}

static void put_xattr(struct walk *w, const struct path *path, const char *name)
{
	struct files_record r = {0};
	char *value = kmalloc(FILES_XATTR_MAX);
	int64_t n = value != NULL ? vfs_getxattr(w->j->task, path, name, value, FILES_XATTR_MAX) : -1;

	if (n >= 0)
		job_put(w->j, &r, FILES_XATTR, name, value, (size_t)n);
	kfree(value);
}

/* The user's own only: others mean something to a host. */
static void put_xattrs(struct walk *w, const struct path *path, const char *name)
{
	int64_t n = vfs_listxattr(w->j->task, path, NULL, 0);
	unsigned sent = 0;
	char *names;

	if (n <= 0 || n > FILES_XATTR_MAX)
		return;
	names = kmalloc((size_t)n);
	if (names == NULL)
		return;
	n = vfs_listxattr(w->j->task, path, names, (size_t)n);
	for (int64_t at = 0; at < n; at += (int64_t)strlen(names + at) + 1) {
		if (strncmp(names + at, "user.", 5) != 0)
			continue;
		if (sent++ == FILES_XATTRS_MAX) {
			job_note(w->j, name, "extended attributes, but for the first 64");
			break;
		}
		put_xattr(w, path, names + at);
	}
	kfree(names);
}

static bool all_zero(const char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* Up to size bytes, holes left out. 0 or -errno. */
static int put_contents(struct files_job *j, struct file *file, uint64_t size)
{
	char *buf = kmalloc(FILES_DATA_MAX);
	uint64_t pos = 0;
	int64_t n = 0;

	if (buf == NULL)
		return -LINUX_ENOMEM;
	while (!j->broken && pos < size) {
		struct files_record r = {0};
		int64_t data = vfs_llseek(j->task, file, (int64_t)pos, LINUX_SEEK_DATA);

		if (data == -LINUX_ENXIO)
			break;
		if (data > (int64_t)pos)
			pos = (uint64_t)data;
		if (pos >= size)
			break;
		n = vfs_read_mem(j->task, file, buf, MIN((uint64_t)FILES_DATA_MAX, size - pos), (int64_t)pos);
		if (n <= 0)
			break;
		if (!all_zero(buf, (size_t)n)) {
			r.offset = pos;
			job_put(j, &r, FILES_DATA, "", buf, (size_t)n);
		}
		pos += (uint64_t)n;
		task_yield(j->task);
	}
	kfree(buf);
	return n < 0 ? (int)n : 0;
}

/* The first name of the file, if name is not that. */
static const char *other_name(struct walk *w, const struct inode *inode, const char *name)
{
	size_t len = strlen(name);
	struct linked *l, *old;

	if (inode->nlink < 2)
		return NULL;
	l = kmalloc(sizeof(*l) + len + 1);
	if (l == NULL)
		return NULL; /* then it comes twice */
	l->sb = inode->sb;
	l->ino = inode->ino;
	memcpy(l->name, name, len + 1);
	old = RB_INSERT(linked_tree, &w->linked, l);
	if (old == NULL)
		return NULL;
	kfree(l);
	return old->name;
}

/* The host opens a file with its first read. 0 or -errno. */
static int try_contents(struct files_job *j, struct file *file, uint64_t size)
{
	char byte;
	int64_t n = size != 0 ? vfs_read_mem(j->task, file, &byte, 1, 0) : 0;

	return n < 0 ? (int)n : 0;
}

static int put_regular(struct walk *w, const struct path *path, const char *name, unsigned flags)
{
	struct files_job *j = w->j;
	const char *first;
	struct files_record r;
	struct file *file;
	struct kstat st;
	int err = vfs_open_path(j->task, path, LINUX_O_RDONLY | LINUX_O_NONBLOCK, &file);

	if (err < 0)
		return err;
	err = vfs_getattr(j->task, file->inode, path, &st);
	if (err < 0)
		goto put_file;
	if (w->contents)
		err = try_contents(j, file, st.size);
	if (err < 0)
		goto put_file;
	fill(&r, &st);
	r.flags = (uint16_t)flags;
	first = other_name(w, file->inode, name);
	if (first != NULL && strlen(first) <= FILES_DATA_MAX) {
		r.flags |= FILES_HARD_LINK;
		job_put(j, &r, FILES_ENTRY, name, first, strlen(first));
		goto put_file;
	}
	r.offset = st.size;
	if (st.nlink > 1)
		r.flags |= FILES_LINKED;
	if (w->contents)
		put_xattrs(w, path, name);
	job_put(j, &r, FILES_ENTRY, name, NULL, 0);
	if (w->contents)
		err = put_contents(j, file, st.size);
put_file:
	file_put(file);
	return err;
}

static int put_other(struct walk *w, const struct path *path, const struct kstat *st, const char *name, unsigned flags)
{
	struct files_record r;
	char *target = NULL;
	int err;

	fill(&r, st);
	r.flags = (uint16_t)flags;
	if ((st->mode & LINUX_S_IFMT) == LINUX_S_IFLNK) {
		err = vfs_readlink(w->j->task, path, &target);
		if (err < 0)
			return err;
	} else if (w->contents && (st->mode & LINUX_S_IFMT) == LINUX_S_IFDIR) {
		put_xattrs(w, path, name);
	}
	job_put(w->j, &r, FILES_ENTRY, name, target, target != NULL ? strlen(target) : 0);
	kfree(target);
	return 0;
}

static unsigned change_flags(enum mem_change change, bool opaque)
{
	return (change == MEM_ADDED ? FILES_ADDED : 0) | (opaque ? FILES_OPAQUE : 0);
}

static int put_dir(struct walk *w, struct dir *d)
{
	struct kstat st;
	int err = vfs_getattr(w->j->task, d->path.dentry->inode, &d->path, &st);

	d->told = true;
	return err < 0 ? err : put_other(w, &d->path, &st, d->name, change_flags(d->change, d->opaque));
}

/* d and those above it are told, from the top on. */
static int tell_dirs(struct walk *w, struct dir *d)
{
	int err = 0;

	while (err == 0 && d != NULL && !d->told) {
		struct dir *top = d;

		while (top->parent != NULL && !top->parent->told)
			top = top->parent;
		err = put_dir(w, top);
	}
	return err;
}

/* ---- names ---- */

static bool add_item(struct collector *c, const char *name, size_t len, bool gone)
{
	struct item *i;

	if (!files_part_ok(name, len))
		return true;
	i = kmalloc(sizeof(*i) + len + 1);
	if (i == NULL) {
		c->failed = true;
		return false;
	}
	i->gone = gone;
	i->len = len;
	memcpy(i->name, name, len);
	i->name[len] = '\0';
	list_init(&i->link);
	list_add_tail(&c->items, &i->link);
	return true;
}

static bool collect(struct dir_emit *emit, const char *name, size_t len, unused_arg uint64_t ino, unused_arg uint32_t type,
		    unused_arg int64_t off)
{
	return add_item(container_of(emit, struct collector, emit), name, len, false);
}

static bool collect_change(struct mem_changes_emit *emit, const char *name, size_t len, bool gone)
{
	return add_item(container_of(emit, struct collector, changes), name, len, gone);
}

static int list_dir(struct walk *w, struct dir *d, struct collector *c)
{
	struct task *task = w->j->task;
	struct file *file;
	int err;

	if (w->changes != NULL && !d->whole) {
		err = mem_changes_names(task, w->changes, d->path.dentry, d->name, &c->changes);
	} else {
		err = vfs_open_path(task, &d->path, LINUX_O_RDONLY | LINUX_O_DIRECTORY, &file);
		if (err < 0)
			return err;
		err = vfs_iterate(task, file, &c->emit);
		file_put(file);
	}
	return err < 0 ? err : c->failed ? -LINUX_ENOMEM : 0;
}

static bool full_name(struct walk *w, const struct dir *d, const struct item *i)
{
	size_t at = d->len;

	if (d->len + i->len + 1 > FILES_NAME_MAX)
		return false;
	memcpy(w->full, d->name, at);
	if (at != 0)
		w->full[at++] = '/';
	memcpy(w->full + at, i->name, i->len + 1);
	return true;
}

static int put_gone(struct walk *w, struct dir *d)
{
	struct files_record r = {0};
	int err = tell_dirs(w, d);
	struct item *i;
	size_t len;

	if (err != 0)
		return err;
	if (!w->contents) {
		job_put(w->j, &r, FILES_GONE, w->full, NULL, 0);
		return 0;
	}
	len = strlen(w->full);
	i = kmalloc(sizeof(*i) + len + 1);
	if (i == NULL)
		return -LINUX_ENOMEM;
	i->gone = true;
	i->len = len;
	memcpy(i->name, w->full, len + 1);
	list_init(&i->link);
	list_add_tail(&w->gone, &i->link);
	return 0;
}

/* Those that waited. */
static void put_all_gone(struct walk *w, bool tell)
{
	if (tell && w->lost && !list_empty(&w->gone))
		job_note(w->j, list_first(&w->gone, struct item, link)->name,
			 "it and all other names that are gone stay: not everything could be read, and what could not may have come from there");
	while (!list_empty(&w->gone)) {
		struct item *i = list_first(&w->gone, struct item, link);
		struct files_record r = {0};

		if (tell && !w->lost && !w->j->broken) {
			job_put(w->j, &r, FILES_GONE, i->name, NULL, 0);
			task_yield(w->j->task);
		}
		list_del(&i->link);
		kfree(i);
	}
}

/* The name in w->full, which leads to path: told, or put onto the stack, or nothing to tell. */
static int put_name(struct walk *w, struct dir *d, const struct path *path, struct list *dirs)
{
	enum mem_change change = MEM_CHANGED;
	bool opaque = false, whole = false;
	struct dir *sub;
	struct kstat st;
	int err;

	if (w->changes != NULL) {
		if (path->mount != d->path.mount)
			return 0; /* a volume, or the sandbox's own */
		if (d->whole)
			change = MEM_ADDED;
		else
			change = mem_changes_of(w->changes, path->dentry, d->name, &opaque, &whole);
		if (change == MEM_SAME)
			return 0;
	}
	err = change == MEM_BELOW ? 0 : tell_dirs(w, d);
	if (err == 0)
		err = vfs_getattr(w->j->task, path->dentry->inode, path, &st);
	if (err < 0)
		return err;
	if ((st.mode & LINUX_S_IFMT) == LINUX_S_IFREG)
		return put_regular(w, path, w->full, change_flags(change, false));
	if ((st.mode & LINUX_S_IFMT) != LINUX_S_IFDIR)
		return put_other(w, path, &st, w->full, change_flags(change, false));
	sub = dir_push(w, dirs, d, path, w->full);
	if (sub == NULL)
		return -LINUX_ENOMEM;
	sub->change = change;
	sub->opaque = opaque;
	sub->whole = whole || d->whole;
	if (change != MEM_BELOW)
		err = put_dir(w, sub);
	if (w->changes == NULL && !files_walkable(path)) {
		list_del(&sub->link);
		dir_put(sub);
	}
	return err;
}

static int one_item(struct walk *w, struct dir *d, const struct item *i, struct list *dirs)
{
	struct path path;
	int err;

	if (!full_name(w, d, i)) {
		w->lost = true;
		job_note(w->j, d->name, "a name in it is too long");
		return 0;
	}
	if (i->gone)
		return put_gone(w, d);
	err = vfs_lookup(w->j->task, LINUX_AT_FDCWD, i->name, 0, &path);
	if (err == -LINUX_ENOENT)
		return 0; /* it went meanwhile */
	if (err == 0) {
		err = put_name(w, d, &path, dirs);
		path_put(&path);
	}
	if (err < 0 && err != -LINUX_ENOMEM && !task_dying(w->j->task)) {
		const char *e = errno_name(-err);

		w->lost = true;
		job_note(w->j, w->full, e != NULL ? e : "can't be read");
		err = 0;
	}
	return err;
}

static int walk_dir(struct walk *w, struct dir *d)
{
	struct collector c = {.emit = {.add = collect}, .changes = {.add = collect_change}, .items = LIST_INIT(c.items)};
	struct list dirs = LIST_INIT(dirs);
	int err;

	job_go(w->j, &d->path);
	err = list_dir(w, d, &c);
	if (err == -LINUX_ENOENT)
		err = 0; /* removed meanwhile */
	while (err == 0 && !w->j->broken && !list_empty(&c.items)) {
		struct item *i = list_first(&c.items, struct item, link);

		err = one_item(w, d, i, &dirs);
		list_del(&i->link);
		kfree(i);
		task_yield(w->j->task);
	}
	while (!list_empty(&c.items)) {
		struct item *i = list_first(&c.items, struct item, link);

		list_del(&i->link);
		kfree(i);
	}
	/* Depth first: before those that wait. */
	list_splice_tail(&dirs, &w->stack);
	list_splice_tail(&w->stack, &dirs);
	return err;
}

static int walk_all(struct walk *w)
{
	int err = 0;

	while (err == 0 && !w->j->broken && !list_empty(&w->stack)) {
		struct dir *d = list_first(&w->stack, struct dir, link);

		list_del(&d->link);
		err = walk_dir(w, d);
		if (err < 0 && err != -LINUX_ENOMEM && d->parent != NULL && !task_dying(w->j->task)) {
			w->lost = true;
			job_note(w->j, d->name, "can't be listed");
			err = 0;
		}
		dir_put(d);
	}
	return err;
}

/* ---- the two requests ---- */

static bool walk_begin(struct walk *w, struct files_job *j, unsigned flags)
{
	*w = (struct walk){.j = j, .contents = (flags & FILES_CONTENTS) != 0, .full = kmalloc(FILES_NAME_MAX + 1)};
	list_init(&w->stack);
	list_init(&w->gone);
	RB_INIT(&w->linked);
	return w->full != NULL;
}

static void walk_end(struct walk *w, int err, const char *what)
{
	struct files_record r = {0};
	struct linked *l;

	put_all_gone(w, err == 0);
	while (!list_empty(&w->stack)) {
		struct dir *d = list_first(&w->stack, struct dir, link);

		list_del(&d->link);
		dir_put(d);
	}
	while ((l = RB_MIN(linked_tree, &w->linked)) != NULL) {
		RB_REMOVE(linked_tree, &w->linked, l);
		kfree(l);
	}
	mem_changes_free(w->changes);
	kfree(w->full);
	if (err < 0)
		job_failure(w->j, NULL, what, err);
	else
		job_put(w->j, &r, FILES_END, "", NULL, 0);
}

void files_read(struct files_job *j, const char *name, unsigned flags)
{
	struct dir *d = NULL;
	struct path path;
	struct kstat st;
	struct walk w;
	int err = walk_begin(&w, j, flags) ? vfs_lookup(j->task, LINUX_AT_FDCWD, name, (flags & FILES_FOLLOW) ? LOOKUP_FOLLOW : 0, &path)
					   : -LINUX_ENOMEM;

	if (err < 0) {
		walk_end(&w, err, name);
		return;
	}
	err = vfs_getattr(j->task, path.dentry->inode, &path, &st);
	if (err == 0 && !files_walkable(&path)) {
		job_failure(j, NULL, "/proc, /sys and /dev are the kernel's and can't be copied", 0);
		j->broken = true;
	} else if (err == 0 && (st.mode & LINUX_S_IFMT) == LINUX_S_IFREG) {
		err = put_regular(&w, &path, "", 0);
	} else if (err == 0 && (st.mode & LINUX_S_IFMT) == LINUX_S_IFDIR) {
		d = dir_push(&w, &w.stack, NULL, &path, "");
		err = d != NULL ? put_dir(&w, d) : -LINUX_ENOMEM;
	} else if (err == 0) {
		err = put_other(&w, &path, &st, "", 0);
	}
	path_put(&path);
	if (err == 0)
		err = walk_all(&w);
	walk_end(&w, err, name);
}

void files_diff(struct files_job *j, unsigned flags)
{
	struct mount *top = task_current()->fs->root.mount;
	struct path root = {.mount = top, .dentry = top->root};
	struct dir *d = NULL;
	struct walk w;
	int err = walk_begin(&w, j, flags) ? mem_changes_new(root.dentry, &w.changes) : -LINUX_ENOMEM;

	if (err == 0)
		d = dir_push(&w, &w.stack, NULL, &root, "");
	if (err == 0 && d == NULL)
		err = -LINUX_ENOMEM;
	if (d != NULL)
		d->told = true; /* the root itself is not part of it */
	if (err == 0)
		err = walk_all(&w);
	walk_end(&w, err, "/");
}
