/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the run has changed: for `sentrybox diff`.
 *
 * Nothing is compared. A node that differs from the lower file is dirty and stays in memory, a lower name that was removed is
 * hidden in its directory's listing, what was made here is on its directory's list of own names. So a walk needs to go only
 * where one of these is: the lower paths of all dirty nodes and of the directories above them are the set `paths`.
 *
 *	dirty nodes --> paths --> names: own ones | lower ones in `paths` | hidden ones, gone
 *	                          each, when found: made here -> added; lower and dirty -> changed; above one -> below
 *
 * A directory that was moved keeps its lower path, which then isn't its place: all in it is added, the old name gone. A lower
 * file with several names may be dirty under one that nobody looked at: then all names of the lower tree are looked at.
 *
 * What the sandbox itself made at start (mountpoints, a line in /etc/hosts) has a ctime of then; a guest can't set one.
 *
 * The guest controls how many dirty nodes there are: the set is counted memory like they themselves.
 */
#include "sentry/fs/memfs_changes.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/memfs_internal.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"

#include <string.h>

struct lower_name {
	RB_ENTRY(lower_name) node;
	size_t len;
	char path[];
};
RB_HEAD(lower_names, lower_name);

struct mem_changes {
	struct superblock *sb; /* borrowed: the root's */
	struct lower_names paths;
	bool all;              /* every lower name is worth a look */
};

static struct ktimespec start_end; /* all was mounted */
static int64_t start_seconds;      /* how long that took, and one more: should somebody set the clock back later */

void memfs_started(void)
{
	start_end = vfs_now();
	start_seconds = (int64_t)((loop_now() - kernel.boot_ns) / NSEC_PER_SEC) + 1;
}

static int entry_cmp(const struct mem_entry *a, const struct mem_entry *b)
{
	return a->cookie < b->cookie ? -1 : a->cookie > b->cookie;
}
TREE_GENERATE(mem_entry_tree, mem_entry, node, entry_cmp)

/* As strings, but "/" comes before everything: what is in a directory follows it. */
static int path_cmp(const struct lower_name *a, const struct lower_name *b)
{
	const char *p = a->path, *q = b->path;

	for (; *p == *q; p++, q++)
		if (*p == '\0')
			return 0;
	if (*p == '\0' || *q == '\0')
		return *p == '\0' ? -1 : 1;
	if (*p == '/' || *q == '/')
		return *p == '/' ? -1 : 1;
	return (unsigned char)*p < (unsigned char)*q ? -1 : 1;
}
TREE_GENERATE(lower_names, lower_name, node, path_cmp)

/* 1: added, 0: was there, or -ENOMEM */
static int add_path(struct mem_changes *c, const char *path, size_t len)
{
	struct lower_name *n = kmalloc(sizeof(*n) + len + 1);

	if (n == NULL)
		return -LINUX_ENOMEM;
	n->len = len;
	memcpy(n->path, path, len);
	n->path[len] = '\0';
	if (RB_INSERT(lower_names, &c->paths, n) == NULL)
		return 1;
	kfree(n);
	return 0;
}

static int add_with_parents(struct mem_changes *c, const char *path)
{
	size_t len = strlen(path);

	while (len != 0) {
		int err = add_path(c, path, len);

		if (err <= 0)
			return err;
		while (len != 0 && path[len - 1] != '/')
			len--;
		len -= len != 0;
	}
	return 0;
}

static int look_at(void *arg, struct mem_node *n)
{
	struct mem_changes *c = arg;

	if (n->inode->sb != c->sb || n->lower_path == NULL || !n->dirty || n->copied)
		return 0;
	if (n->lower_linked)
		c->all = true;
	return add_with_parents(c, n->lower_path);
}

int mem_changes_new(const struct dentry *root, struct mem_changes **out)
{
	struct mem_changes *c = kzalloc(sizeof(*c));
	int err;

	if (c == NULL)
		return -LINUX_ENOMEM;
	RB_INIT(&c->paths);
	c->sb = root->sb;
	err = mem_lower_nodes(look_at, c);
	if (err < 0)
		mem_changes_free(c);
	else
		*out = c;
	return err;
}

void mem_changes_free(struct mem_changes *c)
{
	struct lower_name *n;

	if (c == NULL)
		return;
	while ((n = RB_MIN(lower_names, &c->paths)) != NULL) {
		RB_REMOVE(lower_names, &c->paths, n);
		kfree(n);
	}
	kfree(c);
}

static struct lower_name *key_of(const char *at, const char *name)
{
	size_t a = strlen(at), len = strlen(name);
	struct lower_name *k = kmalloc(sizeof(*k) + a + len + 2);

	if (k == NULL)
		return NULL;
	memcpy(k->path, at, a);
	if (a != 0)
		k->path[a++] = '/';
	memcpy(k->path + a, name, len + 1);
	k->len = a + len;
	return k;
}

/* The lower directory is seen in its place. */
static bool in_place(const struct mem_node *dir, const char *at)
{
	return dir->lower_path != NULL && strcmp(dir->lower_path, at) == 0;
}

struct names {
	struct mem_changes_emit *e;
	struct dentry *dir;
	bool more;
};

static bool add_hidden(void *arg, const char *name, size_t len)
{
	struct names *s = arg;
	struct dentry *now = dentry_find(s->dir, name, len); /* what was made here is always in the cache */
	bool there = now != NULL && now->inode != NULL;

	if (now != NULL)
		dentry_put(now);
	if (!there)
		s->more = s->e->add(s->e, name, len, true);
	return s->more;
}

/* Those in `paths` just below at, the path of dir, which is in the set or the root. What was hidden there (a directory that was
 * moved, and in it something changed) is gone, or comes as the name of what took its place. */
static bool add_known(const struct mem_changes *c, const struct mem_node *dir, const char *at, struct mem_changes_emit *e)
{
	struct lower_name *k = key_of(at, ""), *n;
	size_t skip;
	bool is_dir;

	if (k == NULL)
		return false;
	skip = k->len;
	n = RB_NFIND(lower_names, (struct lower_names *)&c->paths, k);
	for (; n != NULL && n->len >= skip && memcmp(n->path, k->path, skip) == 0; n = RB_NEXT(lower_names, NULL, n)) {
		if (n->len > skip && memchr(n->path + skip, '/', n->len - skip) == NULL &&
		    !mem_lower_was(dir, n->path + skip, n->len - skip, &is_dir) && !e->add(e, n->path + skip, n->len - skip, false))
			break;
	}
	kfree(k);
	return true;
}

int mem_changes_names(struct task *task, struct mem_changes *c, struct dentry *dir, const char *at, struct mem_changes_emit *e)
{
	struct mem_node *n = mem_node(dir->inode);
	struct names s = {.e = e, .dir = dir, .more = true};
	struct mem_entry *own;
	struct mem_lower_name low;
	int err;

	if (dir->inode->sb != c->sb)
		return 0;
	if (in_place(n, at)) {
		if (c->all) {
			err = mem_lower_list(task, n);
			if (err != 0)
				return err;
			for (uint32_t i = 0; s.more && mem_lower_next(n, &i, &low); i++)
				s.more = e->add(e, low.name, low.len, false);
		} else if (!add_known(c, n, at, e)) {
			return -LINUX_ENOMEM;
		}
		mem_lower_hidden(n, add_hidden, &s);
	}
	RB_FOREACH(own, mem_entry_tree, &n->dir.entries) {
		if (!e->add(e, own->dentry->name, own->dentry->name_len, false))
			break;
	}
	return 0;
}

static bool at_start(const struct inode *inode)
{
	const struct ktimespec *t = &inode->ctime;

	return t->sec >= start_end.sec - start_seconds &&
	       (t->sec < start_end.sec || (t->sec == start_end.sec && t->nsec <= start_end.nsec));
}

enum mem_change mem_changes_of(const struct mem_changes *c, const struct dentry *d, const char *at, bool *opaque, bool *whole)
{
	struct mem_node *n = mem_node(d->inode), *dir = mem_node(d->parent->inode);
	bool is_dir = inode_is_dir(d->inode), lower_dir, had;
	struct lower_name *k;
	bool known;

	*opaque = *whole = false;
	if (d->inode->sb != c->sb || d->parent->inode->sb != c->sb)
		return MEM_SAME;
	if (in_place(dir, at) && mem_lower_visible(dir, d->name, d->name_len)) {
		if (((n->dirty && !n->copied) || ((d->inode->mode & LINUX_S_IFMT) == LINUX_S_IFREG && n->data.stored_to)) && !at_start(d->inode))
			return MEM_CHANGED;
		if (!is_dir)
			return MEM_SAME;
		if (c->all)
			return MEM_BELOW;
		k = key_of(at, d->name);
		known = k == NULL || RB_FIND(lower_names, (struct lower_names *)&c->paths, k) != NULL;
		kfree(k);
		return known ? MEM_BELOW : MEM_SAME;
	}
	had = in_place(dir, at) && mem_lower_was(dir, d->name, d->name_len, &lower_dir);
	*whole = is_dir && n->lower_path != NULL;
	if (n->lower_path == NULL && at_start(d->inode))
		return is_dir ? MEM_BELOW : MEM_SAME;
	*opaque = is_dir && had && lower_dir;
	return had ? MEM_CHANGED : MEM_ADDED;
}
