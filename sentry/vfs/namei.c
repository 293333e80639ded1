/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path walking: path_resolution(7), openat2(2)'s RESOLVE flags, mount(8) crossings.
 *
 *	string --> component --> dentry cache or inode->ops->lookup --> symlink? --> its target before the rest, again
 *	                                                            \-> mount on it? --> that mount's root
 *
 * walk() goes up to the last component and looks it up too: it gives the parent and a dentry that may be negative.
 * vfs_lookup() is that plus "it must exist"; calls that change names use both halves (vfs_lookup_last).
 *
 * The guest controls the string, the links (at most LINUX_MAXSYMLINKS are followed), and, by other tasks, what the tree
 * looks like while a lookup sleeps: references are held on all that is used, nothing is assumed to stay.
 *
 * Left out: /proc/sys/fs/protected_* (as if 0), automounts, RESOLVE_CACHED (the walk may always sleep; openat2's handler
 * answers EAGAIN for it as Linux may).
 */
#include "sentry/vfs/vfs.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/ids.h"
#include "sentry/kernel/task.h"

#include <string.h>

#define NAME_BYTES_MAX (64 * KiB) /* what vfs_path_name is ready to print */

struct walk {
	struct task *task;
	struct path root;  /* references: ".." stops here, absolute links start here */
	struct path cur;   /* references: where the walk stands */
	unsigned flags;    /* LOOKUP_* */
	unsigned nlinks;
	bool met_root;     /* began there, or went up by ".." */
	const char *rest;  /* what is left of the path */
	char *buf;         /* rest points into it once a link was followed; owned */
};

struct lookup_hint vfs_lookup_hint;

static bool same_path(const struct path *a, const struct path *b)
{
	return a->mount == b->mount && a->dentry == b->dentry;
}

/* w->cur = p, whose references are taken. */
static void walk_to(struct walk *w, const struct path *p)
{
	struct path old = w->cur;

	w->cur = *p;
	path_put(&old);
}

/* ---- one component ---- */

/* nocache: the name still leads where it did. Whoever has it open keeps a dentry that is linked. */
static bool still_same(const struct superblock *sb, struct inode *old, struct inode *now)
{
	return old == now || (sb->ops != NULL && sb->ops->same != NULL && sb->ops->same(old, now));
}

/* Gives the child of dir under name: from the cache, or from the filesystem. Returns a reference, maybe negative. */
static int lookup_child(struct walk *w, const char *name, size_t len, struct dentry **out)
{
	struct dentry *dir = w->cur.dentry;
	struct task *task = w->task;
	struct dentry *d, *old;
	struct inode *inode = NULL;
	int err;

	if (!dir->sb->nocache) {
		*out = dentry_find(dir, name, len);
		if (*out != NULL)
			return 0;
	}
	if (dir->inode->ops->lookup == NULL)
		return -LINUX_ENOTDIR;
	d = dentry_new(dir, name, len);
	if (d == NULL)
		return -LINUX_ENOMEM;
	vfs_lookup_hint.rest = name + len; /* w's own copy or the caller's string: both outlive the op */
	vfs_lookup_hint.open = (w->flags & LOOKUP_OPEN) != 0;
	err = dir->inode->ops->lookup(task, dir->inode, d, &inode);
	vfs_lookup_hint.rest = NULL;
	if (err != 0 && (err != -LINUX_ENOENT || (dir->sb->no_new_names && (w->flags & LOOKUP_CREATE)))) {
		dentry_put(d);
		return err;
	}
	/* The lookup may have slept, and another task may have found or made the name. */
	old = dentry_find(dir, name, len);
	if (old != NULL &&
	    (!dir->sb->nocache || old->mounted != 0 || (err == 0 && still_same(dir->sb, old->inode, inode)))) {
		if (err == 0)
			inode_put(inode);
		dentry_put(d);
		*out = old;
		return 0;
	}
	if (old != NULL) {
		dentry_drop(old);
		dentry_put(old);
	}
	if (err == 0)
		dentry_add(d, inode);
	*out = d;
	return 0;
}

/* If mounts lie on p, p becomes the topmost one's root. */
static int cross_down(struct walk *w, struct path *p)
{
	struct mount *m;

	while (p->dentry->mounted != 0 && (m = mount_find(p->mount, p->dentry)) != NULL) {
		struct path top = {.mount = m, .dentry = m->root};

		if (w->flags & LOOKUP_NO_XDEV)
			return -LINUX_EXDEV;
		path_get(&top);
		path_put(p);
		*p = top;
	}
	return 0;
}

static int step_up(struct walk *w)
{
	struct path p;
	int err;

	w->met_root = true;
	if (same_path(&w->cur, &w->root))
		return (w->flags & LOOKUP_BENEATH) ? -LINUX_EXDEV : 0;
	p = w->cur;
	path_get(&p);
	while (p.mount != NULL && p.dentry == p.mount->root) {
		struct path up = {.mount = p.mount->parent, .dentry = p.mount->mountpoint};

		if (same_path(&p, &w->root))
			break;
		if (up.mount == NULL)
			break;
		if (w->flags & LOOKUP_NO_XDEV) {
			path_put(&p);
			return -LINUX_EXDEV;
		}
		path_get(&up);
		path_put(&p);
		p = up;
	}
	if (!same_path(&p, &w->root)) {
		struct dentry *parent = dentry_get(p.dentry->parent);

		dentry_put(p.dentry);
		p.dentry = parent;
	}
	err = cross_down(w, &p);
	if (err != 0) {
		path_put(&p);
		return err;
	}
	walk_to(w, &p);
	return 0;
}

/* ---- symbolic links ---- */

/* Puts target before the rest of the path. */
static int splice_target(struct walk *w, const char *target, const char *rest)
{
	size_t tlen = strlen(target), rlen = strlen(rest);
	char *buf = kmalloc(tlen + rlen + 1);

	if (buf == NULL)
		return -LINUX_ENOMEM;
	memcpy(buf, target, tlen);
	memcpy(buf + tlen, rest, rlen + 1);
	kfree(w->buf);
	w->buf = buf;
	w->rest = buf;
	return 0;
}

/* Follows the link `d`, which lies in w->cur; rest is what stands behind its name. *jumped: w->cur is the place itself. */
static int follow_link(struct walk *w, struct dentry *d, const char *rest, bool *jumped)
{
	struct inode *inode = d->inode;
	struct path link = {.mount = w->cur.mount, .dentry = d}, to;
	char *target = NULL;
	int err;

	*jumped = false;
	if (w->flags & LOOKUP_NO_SYMLINKS)
		return -LINUX_ELOOP;
	if (++w->nlinks > LINUX_MAXSYMLINKS)
		return -LINUX_ELOOP;
	if (inode->ops->follow != NULL) {
		if (w->flags & LOOKUP_NO_MAGICLINKS)
			return -LINUX_ELOOP;
		err = inode->ops->follow(w->task, inode, &to);
		if (err != 0)
			return err;
		if ((w->flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT)) ||
		    ((w->flags & LOOKUP_NO_XDEV) && to.mount != w->cur.mount)) {
			path_put(&to);
			return -LINUX_EXDEV;
		}
		walk_to(w, &to);
		w->rest = rest;
		*jumped = true;
		return 0;
	}
	if (inode->ops->readlink == NULL)
		return -LINUX_EINVAL;
	vfs_touch_atime(&link, inode);
	err = inode->ops->readlink(w->task, inode, &target);
	if (err != 0)
		return err;
	if (target[0] == '\0') {
		err = -LINUX_ENOENT;
		goto free_target;
	}
	if (target[0] == '/') {
		err = -LINUX_EXDEV;
		if (w->flags & LOOKUP_BENEATH)
			goto free_target;
		/* Linux compares with the root only if the walk has met it before; else any absolute link is too far. */
		if ((w->flags & LOOKUP_NO_XDEV) && (!w->met_root || w->cur.mount != w->root.mount))
			goto free_target;
	}
	err = splice_target(w, target, rest);
	if (err == 0 && target[0] == '/') {
		to = w->root;
		path_get(&to);
		walk_to(w, &to);
	}
free_target:
	kfree(target);
	return err;
}

/* ---- the walk ---- */

static int walk_start(struct walk *w, struct task *task, int dirfd, const char *name, unsigned flags)
{
	struct file *file;
	struct path start;
	int err;

	memset(w, 0, sizeof(*w));
	w->task = task;
	w->flags = flags;
	w->rest = name;
	if (name[0] == '\0' && !(flags & LOOKUP_EMPTY))
		return -LINUX_ENOENT;
	if (strlen(name) >= LINUX_PATH_MAX)
		return -LINUX_ENAMETOOLONG;
	if (name[0] == '/' && (flags & LOOKUP_BENEATH))
		return -LINUX_EXDEV;
	if (name[0] == '/' && !(flags & LOOKUP_IN_ROOT)) {
		w->root = task->fs->root;
		path_get(&w->root);
		w->cur = w->root;
		path_get(&w->cur);
		w->met_root = true;
		return 0;
	}
	if (dirfd == LINUX_AT_FDCWD) {
		start = task->fs->cwd;
		path_get(&start);
	} else {
		file = fd_get_path(task, dirfd);
		if (file == NULL)
			return -LINUX_EBADF;
		err = vfs_file_path(file, &start);
		file_put(file);
		if (err != 0)
			return err;
		if (name[0] != '\0' && !inode_is_dir(start.dentry->inode)) {
			path_put(&start);
			return -LINUX_ENOTDIR;
		}
	}
	w->root = (flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT)) ? start : task->fs->root;
	path_get(&w->root);
	w->cur = start;
	w->met_root = (flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT)) != 0;
	return 0;
}

static void walk_end(struct walk *w)
{
	path_put(&w->cur);
	path_put(&w->root);
	kfree(w->buf);
}

/* The walk ends where it stands: there is no last name. */
static void end_here(struct walk *w, struct lookup_last *out, bool jumped)
{
	out->parent = w->cur;
	path_get(&out->parent);
	out->dentry = dentry_get(w->cur.dentry);
	out->dot = !jumped;
	out->jumped = jumped;
}

/*
 * Goes through w->rest. keep_last: a symlink with a slash behind it is not followed for that (unlink, rename); else it is.
 * On success *out holds references.
 */
static int walk(struct walk *w, bool keep_last, struct lookup_last *out)
{
	bool jumped = false;

	memset(out, 0, sizeof(*out));
	for (;;) {
		const char *name = w->rest + strspn(w->rest, "/"), *next, *behind;
		size_t len = strcspn(name, "/");
		struct inode *dir = w->cur.dentry->inode;
		struct dentry *d;
		struct path p;
		bool last;
		int err;

		if (*name == '\0') {
			if (w->rest[0] == '/' && !inode_is_dir(dir))
				return -LINUX_ENOTDIR;
			end_here(w, out, jumped);
			return 0;
		}
		jumped = false;
		if (!inode_is_dir(dir))
			return -LINUX_ENOTDIR;
		err = inode_permission(w->task, dir, MAY_EXEC);
		if (err != 0)
			return err;
		if (len > LINUX_NAME_MAX)
			return -LINUX_ENAMETOOLONG;
		next = name + len;
		behind = next + strspn(next, "/");
		last = *behind == '\0';

		if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'))) {
			if (len == 2) {
				err = step_up(w);
				if (err != 0)
					return err;
			}
			if (last) {
				out->trailing_slash = *next == '/';
				end_here(w, out, false);
				return 0;
			}
			w->rest = behind;
			continue;
		}
		if (last && *next == '/' && (w->flags & LOOKUP_OPEN_CREATE))
			return -LINUX_EISDIR;
		err = lookup_child(w, name, len, &d);
		if (err != 0)
			return err;
		if (d->inode == NULL && !last) {
			dentry_put(d);
			return -LINUX_ENOENT;
		}
		if (d->inode != NULL && (d->inode->mode & LINUX_S_IFMT) == LINUX_S_IFLNK &&
		    (!last || (w->flags & LOOKUP_FOLLOW) || (*next == '/' && !keep_last))) {
			err = follow_link(w, d, next, &jumped);
			dentry_put(d);
			if (err != 0)
				return err;
			continue;
		}
		if (last) {
			out->parent = w->cur;
			path_get(&out->parent);
			out->dentry = d;
			out->trailing_slash = *next == '/';
			return 0;
		}
		p.mount = mount_get(w->cur.mount);
		p.dentry = d;
		err = cross_down(w, &p);
		if (err != 0) {
			path_put(&p);
			return err;
		}
		walk_to(w, &p);
		w->rest = behind;
	}
}

void lookup_last_put(struct lookup_last *l)
{
	path_put(&l->parent);
	dentry_put(l->dentry);
	l->dentry = NULL;
}

int vfs_lookup_last(struct task *task, int dirfd, const char *name, unsigned flags, struct lookup_last *out)
{
	struct walk w;
	int err = walk_start(&w, task, dirfd, name, flags);

	if (err != 0)
		return err;
	err = walk(&w, true, out);
	walk_end(&w);
	return err;
}

int vfs_lookup(struct task *task, int dirfd, const char *name, unsigned flags, struct path *out)
{
	struct lookup_last l;
	struct walk w;
	int err = walk_start(&w, task, dirfd, name, flags);

	if (err != 0)
		return err;
	err = walk(&w, false, &l);
	if (err != 0)
		goto end_walk;
	if (l.dentry->inode == NULL) {
		err = -LINUX_ENOENT;
		goto put_last;
	}
	out->mount = mount_get(l.parent.mount);
	out->dentry = dentry_get(l.dentry);
	err = (l.dot || l.jumped) ? 0 : cross_down(&w, out);
	if (err == 0 && (l.trailing_slash || (flags & LOOKUP_DIRECTORY)) && !inode_is_dir(out->dentry->inode))
		err = -LINUX_ENOTDIR;
	if (err != 0)
		path_put(out);
put_last:
	lookup_last_put(&l);
end_walk:
	walk_end(&w);
	return err;
}

int vfs_last_path(const struct lookup_last *l, unsigned flags, struct path *out)
{
	struct walk w = {.flags = flags};
	int err;

	out->mount = mount_get(l->parent.mount);
	out->dentry = dentry_get(l->dentry);
	err = (l->dot || l->jumped) ? 0 : cross_down(&w, out);
	if (err != 0)
		path_put(out);
	return err;
}

/* ---- may names be made and removed? ---- */

int may_create(struct task *task, const struct dentry *dir)
{
	if (dir->unhashed)
		return -LINUX_ENOENT;
	return inode_permission(task, dir->inode, MAY_WRITE | MAY_EXEC);
}

int may_delete(struct task *task, const struct dentry *victim, bool is_dir)
{
	const struct inode *dir = victim->parent->inode, *inode = victim->inode;
	int err = inode_permission(task, victim->parent->inode, MAY_WRITE | MAY_EXEC);

	if (err != 0)
		return err;
	if ((dir->mode & LINUX_S_ISVTX) && task->cred->fsuid != inode->uid && task->cred->fsuid != dir->uid &&
	    !inode_capable(task, inode, LINUX_CAP_FOWNER))
		return -LINUX_EPERM;
	if (is_dir) {
		if (!inode_is_dir(inode))
			return -LINUX_ENOTDIR;
		if (victim->parent == victim)
			return -LINUX_EBUSY;
	} else if (inode_is_dir(inode)) {
		return -LINUX_EISDIR;
	}
	if (victim->parent->unhashed)
		return -LINUX_ENOENT;
	return victim->mounted != 0 ? -LINUX_EBUSY : 0;
}

/* ---- names of paths ---- */

/* One step of the way up: the next dentry whose name is part of the path, or false at `root` or the top. */
static bool name_above(const struct path *root, struct path *p)
{
	for (;;) {
		if (same_path(p, root))
			return false;
		if (p->mount != NULL && p->dentry == p->mount->root) {
			if (p->mount->parent == NULL)
				return false;
			p->dentry = p->mount->mountpoint;
			p->mount = p->mount->parent;
			continue;
		}
		return p->dentry->parent != p->dentry;
	}
}

int vfs_path_name(struct task *task, const struct path *path, bool mark_deleted, char **out)
{
	static const char deleted[] = " (deleted)";
	bool mark = mark_deleted && path->dentry->unhashed && path->dentry->parent != path->dentry;
	size_t len = 0, tail = mark ? sizeof(deleted) - 1 : 0;
	struct path p = *path; /* borrowed all along: nothing sleeps here */
	char *buf, *at;

	if (path->mount == NULL) {
		*out = kstrdup(path->dentry->name);
		return *out != NULL ? 0 : -LINUX_ENOMEM;
	}
	while (name_above(&task->fs->root, &p)) {
		len += p.dentry->name_len + 1UL;
		p.dentry = p.dentry->parent;
	}
	if (!same_path(&p, &task->fs->root))
		return -LINUX_ENOENT;
	if (len > NAME_BYTES_MAX)
		return -LINUX_ENAMETOOLONG;
	len = MAX(len, 1UL);
	buf = kmalloc(len + tail + 1);
	if (buf == NULL)
		return -LINUX_ENOMEM;
	buf[0] = '/';
	at = buf + len;
	memcpy(at, deleted, tail);
	at[tail] = '\0';
	p = *path;
	while (name_above(&task->fs->root, &p)) {
		at -= p.dentry->name_len;
		memcpy(at, p.dentry->name, p.dentry->name_len);
		*--at = '/';
		p.dentry = p.dentry->parent;
	}
	*out = buf;
	return 0;
}
