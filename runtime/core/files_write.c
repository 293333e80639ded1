/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Into the container: the command's records become files.
 *
 *	WRITE path --> place() --> PLACE --> ENTRY, DATA ... --> walk to its directory, make it --> END: directories' times
 *
 * The operator's path is followed as a program with this root would follow it; beneath it nothing is: each name is walked
 * part by part without following links, so what a guest puts in the way gives an error and no file elsewhere. A file in the
 * way is removed and a new one made, never written through; only what is a mount of its own (a bound file) keeps its inode.
 *
 * All is made by the kernel's own calls with root's credentials: limits, read-only mounts and inotify are as ever. The first
 * error ends the job and the command hears of it. A file that was not whole by then is removed again.
 *
 * The records are an operator's, whose tar may be anybody's: names, types and sizes are checked, a value or target has a
 * bound, and memory is counted.
 */
#include "runtime/core/files.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/modify.h"

#include <string.h>


struct late_times { /* a directory's, which what is made in it would change */
	struct list link;
	struct path path;
	struct ktimespec mtime;
};

struct xattr {
	struct list link;
	char *name;
	size_t size;
	uint8_t value[];
};

struct writer {
	struct files_job *j;
	bool owners;            /* must hold */
	struct path base;       /* where names begin; counted */
	char *last;             /* in base: what "" is; NULL: names begin in base itself */
	struct path root;       /* the directory that "" became; mount NULL: none yet */
	struct path mounted;    /* "" is this file, a mount of its own; mount NULL: no */
	char *dir_name;         /* cwd is this directory of names */
	struct file *file;      /* being written */
	struct files_record rec; /* its ENTRY */
	char *file_name;
	char *file_last;        /* NULL: it was there and stays */
	struct path file_dir;
	struct list times, xattrs;
	unsigned nxattrs;
};

/* ---- where ---- */

static int place_file(struct writer *w, const struct path *path)
{
	if (path->dentry == path->mount->root) {
		w->mounted = *path;
		path_get(&w->mounted);
	}
	w->base = (struct path){.mount = path->mount, .dentry = path->dentry->parent};
	w->last = kstrdup(path->dentry->name);
	path_get(&w->base);
	return w->last != NULL ? 0 : -LINUX_ENOMEM;
}

static int place_new(struct writer *w, const char *name)
{
	struct lookup_last l;
	size_t len = strlen(name);
	int err;

	if (len == 0 || name[len - 1] == '/')
		return -LINUX_ENOENT;
	err = vfs_lookup_last(w->j->task, LINUX_AT_FDCWD, name, LOOKUP_CREATE, &l);
	if (err < 0)
		return err;
	if (l.dot) {
		err = -LINUX_ENOENT;
	} else {
		w->base = l.parent;
		path_get(&w->base);
		w->last = kstrdup(l.dentry->name);
		err = w->last != NULL ? 0 : -LINUX_ENOMEM;
	}
	lookup_last_put(&l);
	return err;
}

static int place(struct writer *w, const char *name, uint32_t *mode)
{
	struct path path;
	int err = vfs_lookup(w->j->task, LINUX_AT_FDCWD, name, LOOKUP_FOLLOW, &path);

	*mode = 0;
	if (err == -LINUX_ENOENT)
		return place_new(w, name);
	if (err < 0)
		return err;
	*mode = path.dentry->inode->mode;
	if (inode_is_dir(path.dentry->inode)) {
		w->base = path;
		return 0;
	}
	err = place_file(w, &path);
	path_put(&path);
	return err;
}

/* The task's directory becomes that of name's last part, which is given. No link is followed. */
static int walk(struct writer *w, const char *name, const char **last)
{
	const char *slash = strrchr(name, '/');
	size_t len = slash != NULL ? (size_t)(slash - name) : 0;
	const struct path *from = w->last == NULL ? &w->base : &w->root;
	struct path path;
	char *dir;
	int err = 0;

	if (*name == '\0') { /* only where that is one: w->last */
		kfree(w->dir_name);
		w->dir_name = NULL;
		job_go(w->j, &w->base);
		*last = w->last;
		return 0;
	}
	if (from->mount == NULL)
		return -LINUX_ENOTDIR;
	*last = slash != NULL ? slash + 1 : name;
	if (w->dir_name != NULL && strlen(w->dir_name) == len && memcmp(w->dir_name, name, len) == 0)
		return 0;
	kfree(w->dir_name);
	w->dir_name = NULL;
	dir = kstrndup(name, len);
	if (dir == NULL)
		return -LINUX_ENOMEM;
	job_go(w->j, from);
	for (char *p = dir, *end; err == 0 && *p != '\0'; p = end) {
		char cut;

		end = p + strcspn(p, "/");
		cut = *end;
		*end = '\0';
		err = vfs_lookup(w->j->task, LINUX_AT_FDCWD, p, LOOKUP_DIRECTORY, &path);
		if (err == -LINUX_ENOENT) { /* an archive may leave directories out */
			err = vfs_mkdir(w->j->task, LINUX_AT_FDCWD, p, 0755);
			if (err == 0)
				err = vfs_lookup(w->j->task, LINUX_AT_FDCWD, p, LOOKUP_DIRECTORY, &path);
		}
		if (err == 0) {
			job_go(w->j, &path);
			path_put(&path);
		}
		*end = cut;
		end += cut != '\0';
	}
	if (err < 0) {
		kfree(dir);
		return err;
	}
	w->dir_name = dir;
	return 0;
}

/* ---- attributes ---- */

static void drop_xattrs(struct writer *w)
{
	while (!list_empty(&w->xattrs)) {
		struct xattr *x = list_first(&w->xattrs, struct xattr, link);

		list_del(&x->link);
		kfree(x->name);
		kfree(x);
	}
	w->nxattrs = 0;
}

static int keep_xattr(struct writer *w)
{
	struct files_job *j = w->j;
	struct xattr *x;

	if (strncmp(j->name, "user.", 5) != 0 || strlen(j->name) > 255 || w->nxattrs == FILES_XATTRS_MAX)
		return -LINUX_EINVAL;
	x = kmalloc(sizeof(*x) + j->rec.len);
	if (x == NULL)
		return -LINUX_ENOMEM;
	x->name = kstrdup(j->name);
	if (x->name == NULL) {
		kfree(x);
		return -LINUX_ENOMEM;
	}
	x->size = j->rec.len;
	memcpy(x->value, j->data, x->size);
	list_init(&x->link);
	list_add_tail(&w->xattrs, &x->link);
	w->nxattrs++;
	return 0;
}

static int set_times(struct writer *w, const struct path *path, struct ktimespec mtime)
{
	struct ktimespec times[2] = {{.nsec = LINUX_UTIME_OMIT}, mtime};

	return vfs_utimes(w->j->task, path, path->dentry->inode, times);
}

static struct ktimespec mtime_of(const struct files_record *r)
{
	return (struct ktimespec){.sec = r->mtime_sec, .nsec = r->mtime_nsec < 1000000000 ? r->mtime_nsec : 0};
}

/* Owner first: changing it takes the set-id bits away. */
static int set_attributes(struct writer *w, const struct path *path, const struct files_record *r)
{
	struct inode *inode = path->dentry->inode;
	struct iattr owner = {.valid = ATTR_UID | ATTR_GID, .uid = r->uid, .gid = r->gid};
	struct iattr mode = {.valid = ATTR_MODE, .mode = r->mode & 07777};
	struct xattr *x;
	int err = vfs_setattr(w->j->task, path, inode, &owner);

	if (err == -LINUX_EPERM && !w->owners)
		err = 0; /* a volume that is served by somebody who may not: the file is theirs */
	if (err == 0 && (inode->mode & LINUX_S_IFMT) != LINUX_S_IFLNK)
		err = vfs_setattr(w->j->task, path, inode, &mode);
	list_for_each(x, &w->xattrs, link)
		if (err == 0)
			err = vfs_setxattr(w->j->task, path, x->name, x->value, x->size, 0);
	return err == -LINUX_EOPNOTSUPP ? 0 : err;
}

static int times_later(struct writer *w, const struct path *path, struct ktimespec mtime)
{
	struct late_times *t = kmalloc(sizeof(*t));

	if (t == NULL)
		return -LINUX_ENOMEM;
	t->path = *path;
	path_get(&t->path);
	t->mtime = mtime;
	list_init(&t->link);
	list_add(&w->times, &t->link);
	return 0;
}

/* ---- files ---- */

static void forget_file(struct writer *w)
{
	if (w->file == NULL)
		return;
	file_put(w->file);
	w->file = NULL;
	kfree(w->file_last);
	kfree(w->file_name);
	w->file_last = w->file_name = NULL;
	path_put(&w->file_dir);
}

/* It is whole. */
static int end_file(struct writer *w)
{
	struct path path;
	int err;

	if (w->file == NULL)
		return 0;
	err = vfs_ftruncate(w->j->task, w->file, (int64_t)w->rec.offset);
	if (err == 0)
		err = vfs_file_path(w->file, &path);
	if (err < 0)
		return err;
	err = set_attributes(w, &path, &w->rec);
	if (err == 0)
		err = set_times(w, &path, mtime_of(&w->rec));
	path_put(&path);
	if (err == 0) {
		forget_file(w);
		drop_xattrs(w);
	}
	return err;
}

/* It isn't, and won't be: its name goes, if it is still its. */
static void undo_file(struct writer *w)
{
	struct path path;

	if (w->file == NULL)
		return;
	if (w->file_last != NULL && !task_dying(w->j->task)) {
		job_go(w->j, &w->file_dir);
		if (vfs_lookup(w->j->task, LINUX_AT_FDCWD, w->file_last, 0, &path) == 0) {
			if (path.dentry->inode == w->file->inode)
				(void)!vfs_unlink(w->j->task, LINUX_AT_FDCWD, w->file_last);
			path_put(&path);
		}
	}
	forget_file(w);
}

static int write_data(struct writer *w)
{
	const struct files_record *r = &w->j->rec;
	struct iobuf buf;
	int64_t pos = (int64_t)r->offset, n;

	if (w->file == NULL || r->offset > w->rec.offset || r->len > w->rec.offset - r->offset)
		return -LINUX_EINVAL;
	if (r->len == 0)
		return 0;
	iobuf_init_mem(&buf, w->j->data, r->len);
	n = vfs_write(w->j->task, w->file, &buf, &pos);
	return n < 0 ? (int)n : n < (int64_t)r->len ? -LINUX_ENOSPC : 0;
}

/* What has the name is removed, if it is no directory. -EBUSY: it is a mount of its own. */
static int make_room(struct writer *w, const char *last)
{
	int err = vfs_unlink(w->j->task, LINUX_AT_FDCWD, last);

	return err == -LINUX_ENOENT ? 0 : err;
}

static int open_mounted(struct writer *w, const char *last)
{
	struct path path;
	int err;

	if (w->mounted.mount != NULL && w->last == last) {
		path = w->mounted;
		path_get(&path);
	} else {
		err = vfs_lookup(w->j->task, LINUX_AT_FDCWD, last, 0, &path);
		if (err < 0)
			return err;
	}
	err = -LINUX_EBUSY;
	if ((path.dentry->inode->mode & LINUX_S_IFMT) == LINUX_S_IFREG)
		err = vfs_open_path(w->j->task, &path, LINUX_O_WRONLY | LINUX_O_TRUNC | LINUX_O_NONBLOCK, &w->file);
	path_put(&path);
	return err;
}

static int make_file(struct writer *w, const char *last)
{
	bool in_place = w->mounted.mount != NULL && w->last == last;
	int err;

	if (w->j->rec.offset > INT64_MAX)
		return -LINUX_EFBIG;
	err = in_place ? -LINUX_EBUSY : make_room(w, last);
	if (err == -LINUX_EBUSY) {
		in_place = true;
		err = open_mounted(w, last);
	} else if (err == 0) {
		err = vfs_open(w->j->task, LINUX_AT_FDCWD, last,
			       LINUX_O_WRONLY | LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_NOFOLLOW, 0600, 0, &w->file);
	}
	if (err < 0) {
		w->file = NULL;
		return err;
	}
	w->rec = w->j->rec;
	w->file_dir = w->j->task->fs->cwd;
	path_get(&w->file_dir);
	w->file_name = kstrdup(w->j->name);
	w->file_last = in_place ? NULL : kstrdup(last);
	return w->file_name != NULL && (in_place || w->file_last != NULL) ? 0 : -LINUX_ENOMEM;
}

/* ---- everything else ---- */

static int make_dir(struct writer *w, const char *last)
{
	int err = vfs_mkdir(w->j->task, LINUX_AT_FDCWD, last, 0700);

	return err == -LINUX_EEXIST ? 0 : err;
}

static int make_link(struct writer *w)
{
	const char *last;
	struct path old;
	char *name;
	int err;

	if (!files_name_ok(w->j->data, w->j->rec.len) || w->j->rec.len == 0)
		return -LINUX_EINVAL;
	name = kstrdup(w->j->name);
	if (name == NULL)
		return -LINUX_ENOMEM;
	err = walk(w, w->j->data, &last);
	if (err == 0)
		err = vfs_lookup(w->j->task, LINUX_AT_FDCWD, last, 0, &old);
	if (err < 0)
		goto free_name;
	err = walk(w, name, &last);
	if (err == 0)
		err = make_room(w, last);
	if (err == 0)
		err = vfs_link(w->j->task, &old, LINUX_AT_FDCWD, last);
	path_put(&old);
free_name:
	kfree(name);
	return err;
}

static int make_special(struct writer *w, const char *last, uint32_t type)
{
	const struct files_record *r = &w->j->rec;
	int err = make_room(w, last);

	if (err < 0)
		return err;
	if (type == LINUX_S_IFLNK) {
		if (r->len == 0 || r->len >= LINUX_PATH_MAX || strlen(w->j->data) != r->len)
			return -LINUX_EINVAL;
		return vfs_symlink(w->j->task, w->j->data, LINUX_AT_FDCWD, last);
	}
	return vfs_mknod(w->j->task, LINUX_AT_FDCWD, last, type | 0600,
			 type == LINUX_S_IFIFO ? 0 : LINUX_MKDEV((uint64_t)r->rdev_major, (uint64_t)r->rdev_minor));
}

/* Made: as it is to be. */
static int dress(struct writer *w, const char *last, uint32_t type)
{
	struct path path;
	int err = vfs_lookup(w->j->task, LINUX_AT_FDCWD, last, 0, &path);

	if (err < 0)
		return err;
	if ((path.dentry->inode->mode & LINUX_S_IFMT) != type) {
		err = type == LINUX_S_IFDIR ? -LINUX_ENOTDIR : -LINUX_ESTALE; /* something else had the name, or has it now */
		goto put_path;
	}
	err = set_attributes(w, &path, &w->j->rec);
	if (err == 0)
		err = type == LINUX_S_IFDIR ? times_later(w, &path, mtime_of(&w->j->rec)) : set_times(w, &path, mtime_of(&w->j->rec));
	if (err == 0 && w->j->name[0] == '\0' && type == LINUX_S_IFDIR && w->root.mount == NULL) {
		w->root = path;
		return 0;
	}
put_path:
	path_put(&path);
	return err;
}

static int entry(struct writer *w)
{
	const struct files_record *r = &w->j->rec;
	uint32_t type = r->mode & LINUX_S_IFMT;
	const char *last;
	int err;

	if (!files_name_ok(w->j->name, r->name_len) || r->uid == UINT32_MAX || r->gid == UINT32_MAX || (r->name_len == 0 && w->last == NULL))
		return -LINUX_EINVAL;
	if (r->flags & FILES_HARD_LINK) {
		err = make_link(w);
		drop_xattrs(w);
		return err;
	}
	err = walk(w, w->j->name, &last);
	if (err < 0)
		return err;
	switch (type) {
	case LINUX_S_IFREG:
		return make_file(w, last); /* the rest when it ends */
	case LINUX_S_IFDIR:
		err = make_dir(w, last);
		break;
	case LINUX_S_IFLNK:
	case LINUX_S_IFIFO:
	case LINUX_S_IFCHR:
	case LINUX_S_IFBLK:
		err = make_special(w, last, type);
		break;
	default:
		return -LINUX_EINVAL;
	}
	if (err == 0)
		err = dress(w, last, type);
	drop_xattrs(w);
	return err;
}

/* Called when all was well; then the times' paths go, however it was. */
static int end_times(struct writer *w, int err)
{
	while (!list_empty(&w->times)) {
		struct late_times *t = list_first(&w->times, struct late_times, link);

		if (err == 0)
			err = set_times(w, &t->path, t->mtime);
		list_del(&t->link);
		path_put(&t->path);
		kfree(t);
	}
	return err;
}

static int records(struct writer *w)
{
	int err = 0;

	while (err == 0 && job_get(w->j)) {
		switch (w->j->rec.kind) {
		case FILES_DATA:
			err = write_data(w);
			break;
		case FILES_XATTR:
			err = end_file(w);
			if (err == 0)
				err = keep_xattr(w);
			break;
		case FILES_ENTRY:
			/* Those that wait belong to this one. */
			if (w->file != NULL)
				err = end_file(w);
			if (err == 0)
				err = entry(w);
			break;
		case FILES_END:
			return end_file(w);
		default:
			err = -LINUX_EINVAL;
		}
		task_yield(w->j->task);
	}
	return err;
}

void files_write(struct files_job *j, const char *path, unsigned flags)
{
	struct files_record r = {0};
	struct writer w = {.j = j, .owners = (flags & FILES_OWNERS) != 0};
	const char *name;
	int err;

	list_init(&w.times);
	list_init(&w.xattrs);
	err = place(&w, path, &r.mode);
	if (err < 0) {
		job_failure(j, NULL, path, err);
	} else {
		job_put(j, &r, FILES_PLACE, "", NULL, 0);
		err = records(&w);
		name = w.file != NULL && w.file_name != NULL ? w.file_name : j->name;
		err = end_times(&w, j->broken ? -LINUX_EIO : err);
		if (j->broken)
			;
		else if (err < 0)
			job_failure(j, name, path, err);
		else
			job_put(j, &r, FILES_END, "", NULL, 0);
		undo_file(&w);
	}
	drop_xattrs(&w);
	kfree(w.dir_name);
	kfree(w.last);
	if (w.base.mount != NULL)
		path_put(&w.base);
	if (w.root.mount != NULL)
		path_put(&w.root);
	if (w.mounted.mount != NULL)
		path_put(&w.mounted);
}
