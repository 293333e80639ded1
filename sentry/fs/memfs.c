/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memfs: directories, links, names and attributes in memory, alone (tmpfs) or over a lower tree that never changes.
 *
 *	name --> dentry cache (what was made here is pinned there) --> memfs_lower.c (what lies below and isn't hidden)
 *
 * A directory lists the lower names first, in the host's order, then its own by a cookie that only grows: entries may come
 * and go while someone reads on. Making a name is adding an entry; removing a lower one hides it in the listing. Renaming
 * moves the dentry; a directory or file from below keeps the path it had there, so nothing is copied, whole trees move at
 * once and rename never gives EXDEV inside one filesystem.
 *
 * What sleeps (reading the lower directory before rmdir or a replacing rename) comes first in each op, then all is
 * checked again, then everything happens at once.
 *
 * The guest controls names, numbers of nodes, attributes. Each node is counted memory; tmpfs mounts have nr_inodes.
 * Left out: RENAME_WHITEOUT (EINVAL), ACLs.
 */
#include "sentry/fs/memfs_internal.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"

#include <stdio.h>
#include <string.h>

#define COOKIE_OWN (1LL << 32)  /* cookies of names made here; below: index in the lower listing + 2 */
#define OWN_INO (1ULL << 44)    /* inode numbers of what is made over a lower tree */
#define DIR_SIZE 4096U          /* as a disk filesystem shows a small directory */
#define ENTRY_SIZE 20U          /* tmpfs counts so much for a name */
#define LINKS_MAX 0x7fffffffU
#define XATTRS_MAX (256 * KiB)  /* names and values of one inode */

static const struct inode_ops mem_iops_none;

static int cookie_cmp(const struct mem_entry *a, const struct mem_entry *b)
{
	return a->cookie < b->cookie ? -1 : a->cookie > b->cookie;
}
TREE_GENERATE(mem_entry_tree, mem_entry, node, cookie_cmp)

/* ---- inodes ---- */

static size_t node_size(uint32_t mode)
{
	switch (mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
		return offsetof(struct mem_node, data) + sizeof(struct mem_data);
	case LINUX_S_IFDIR:
		return offsetof(struct mem_node, dir) + sizeof(struct mem_dir);
	default:
		return offsetof(struct mem_node, target) + sizeof(char *);
	}
}

static const struct file_ops mem_dir_fops;

struct inode *mem_inode_new(struct mem_sb *sb, uint64_t ino, uint32_t mode)
{
	struct mem_node *n = kzalloc(node_size(mode));
	struct inode *inode;

	if (n == NULL)
		return NULL;
	inode = inode_new(&sb->sb, ino, mode, &mem_iops_none, NULL);
	if (inode == NULL) {
		kfree(n);
		return NULL;
	}
	n->inode = inode;
	list_init(&n->xattrs);
	list_init(&n->id_link);
	inode->private_data = n;
	switch (mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
		inode->ops = &mem_file_iops;
		inode->fops = &mem_file_fops;
		mem_data_init(&n->data);
		break;
	case LINUX_S_IFDIR:
		inode->ops = &mem_dir_iops;
		inode->fops = &mem_dir_fops;
		inode->nlink = 2;
		inode->size = sb->lower != NULL ? DIR_SIZE : 2 * ENTRY_SIZE;
		RB_INIT(&n->dir.entries);
		n->dir.next_cookie = COOKIE_OWN;
		break;
	case LINUX_S_IFLNK:
		inode->ops = &mem_link_iops;
		break;
	default:
		inode->ops = &mem_special_iops;
		break;
	}
	sb->ninodes++;
	return inode;
}

static void mem_evict(struct inode *inode)
{
	struct mem_node *n = mem_node(inode);

	switch (inode->mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
		mem_lower_close(n);
		mem_data_free(n);
		break;
	case LINUX_S_IFDIR:
		invariant(RB_EMPTY(&n->dir.entries));
		break;
	case LINUX_S_IFLNK:
		kfree(n->target);
		break;
	default:
		break;
	}
	mem_xattrs_free(n);
	mem_lower_forget(n);
	mem_sb(inode)->ninodes--;
	kfree(n);
}

void mem_dirty(struct mem_node *n)
{
	n->copied = false;
	if (n->lower_path == NULL || n->dirty || n->inode->nlink == 0)
		return;
	n->dirty = true;
	inode_get(n->inode);
}

/* One name of the inode is gone. The caller holds a reference. */
static void drop_link(struct mem_node *n, uint32_t links)
{
	struct inode *inode = n->inode;

	inode->nlink -= MIN(inode->nlink, links);
	inode_touch(inode, ATTR_CTIME);
	if (inode->nlink != 0) {
		mem_dirty(n);
	} else if (n->dirty) {
		n->dirty = false;
		inode_put(inode);
	}
}

/* A subdirectory came or went. */
static void count_subdir(struct inode *dir, int by)
{
	if (!mem_node(dir)->plain_nlink)
		dir->nlink += (uint32_t)by;
}

static void dir_changed(struct inode *dir, int entries)
{
	struct mem_node *n = mem_node(dir);

	n->dir.nentries += (uint32_t)entries;
	if (mem_sb(dir)->lower == NULL)
		dir->size = (n->dir.nentries + 2UL) * ENTRY_SIZE;
	inode_touch(dir, ATTR_MTIME | ATTR_CTIME);
	mem_dirty(n);
}

/* ---- names ---- */

/* May a name be made in dir now? The walk looked; this looks again behind whatever slept. */
static int check_free(struct inode *dir, struct dentry *dentry)
{
	struct dentry *other;

	if (dir->nlink == 0 || dentry->parent->unhashed)
		return -LINUX_ENOENT;
	other = dentry_find(dentry->parent, dentry->name, dentry->name_len);
	if (other != NULL) {
		dentry_put(other);
		return -LINUX_EEXIST;
	}
	if (dentry->inode != NULL || mem_lower_visible(mem_node(dir), dentry->name, dentry->name_len))
		return -LINUX_EEXIST;
	return 0;
}

/* dentry becomes one of dir's own names: pinned, with a new cookie. */
static void entry_insert(struct mem_node *dir, struct mem_entry *e, struct dentry *dentry)
{
	e->dentry = dentry;
	e->cookie = dir->dir.next_cookie++;
	RB_INSERT(mem_entry_tree, &dir->dir.entries, e);
	dentry->private_data = e;
	if (!dentry->pinned) {
		dentry->pinned = true;
		dentry_get(dentry);
	}
}

/* Adds the name, for an inode that the VFS gives the dentry when the op is through. */
static int add_name(struct inode *dir, struct dentry *dentry)
{
	struct mem_entry *e;
	int err = check_free(dir, dentry);

	if (err != 0)
		return err;
	e = kzalloc(sizeof(*e));
	if (e == NULL)
		return -LINUX_ENOMEM;
	entry_insert(mem_node(dir), e, dentry);
	dir_changed(dir, 1);
	return 0;
}

/* The name goes: the entry, or the lower name. The dentry itself is the VFS's to drop. Gives the entry, if any. */
static struct mem_entry *take_name(struct inode *dir, struct dentry *dentry)
{
	struct mem_entry *e = dentry->private_data;

	if (e != NULL) {
		RB_REMOVE(mem_entry_tree, &mem_node(dir)->dir.entries, e);
		dentry->private_data = NULL;
	} else {
		mem_lower_hide(mem_node(dir), dentry->name, dentry->name_len);
	}
	dir_changed(dir, e != NULL ? -1 : 0);
	return e;
}

static int new_in(struct task *task, struct inode *dir, uint32_t mode, struct inode **out)
{
	struct mem_sb *sb = mem_sb(dir);

	if (sb->max_inodes != 0 && sb->ninodes >= sb->max_inodes)
		return -LINUX_ENOSPC;
	*out = mem_inode_new(sb, 0, mode);
	if (*out == NULL)
		return -LINUX_ENOMEM;
	if (task != NULL)
		inode_init_owner(task, dir, *out);
	return 0;
}

static int mem_lookup(struct task *task, struct inode *dir, struct dentry *dentry, struct inode **out)
{
	return mem_lower_lookup(task, mem_node(dir), dentry->name, dentry->name_len, out);
}

static int make_node(struct task *task, struct inode *dir, struct dentry *dentry, uint32_t mode, uint64_t rdev,
		     const char *target, struct inode **out)
{
	struct inode *inode;
	int err = new_in(task, dir, mode, &inode);

	if (err != 0)
		return err;
	if (target != NULL) {
		mem_node(inode)->target = kstrdup(target);
		inode->size = strlen(target);
		err = mem_node(inode)->target == NULL ? -LINUX_ENOMEM : 0;
	} else if ((mode & LINUX_S_IFMT) == LINUX_S_IFCHR || (mode & LINUX_S_IFMT) == LINUX_S_IFBLK) {
		inode->rdev = rdev;
	}
	if (err == 0)
		err = add_name(dir, dentry);
	if (err != 0) {
		inode_put(inode);
		return err;
	}
	if (inode_is_dir(inode))
		count_subdir(dir, 1);
	*out = inode;
	return 0;
}

static int mem_create(struct task *task, struct inode *dir, struct dentry *dentry, uint32_t mode, struct inode **out)
{
	return make_node(task, dir, dentry, mode, 0, NULL, out);
}

static int mem_mknod(struct task *task, struct inode *dir, struct dentry *dentry, uint32_t mode, uint64_t rdev,
		     struct inode **out)
{
	return make_node(task, dir, dentry, mode, rdev, NULL, out);
}

static int mem_symlink(struct task *task, struct inode *dir, struct dentry *dentry, const char *target, struct inode **out)
{
	return make_node(task, dir, dentry, LINUX_S_IFLNK | 0777, 0, target, out);
}

static int mem_tmpfile(struct task *task, struct inode *dir, uint32_t mode, struct inode **out)
{
	int err = new_in(task, dir, mode, out);

	if (err == 0)
		(*out)->nlink = 0;
	return err;
}

static int mem_link(unused_arg struct task *task, struct inode *dir, struct dentry *dentry, struct inode *inode)
{
	int err;

	if (inode->nlink >= LINKS_MAX)
		return -LINUX_EMLINK;
	err = add_name(dir, dentry);
	if (err != 0)
		return err;
	inode->nlink++;
	inode_touch(inode, ATTR_CTIME);
	mem_dirty(mem_node(inode));
	return 0;
}

/* Is dentry still what the walk found in dir? */
static bool still_there(const struct inode *dir, const struct dentry *dentry)
{
	return !dentry->unhashed && dentry->parent->inode == dir;
}

static int mem_unlink(unused_arg struct task *task, struct inode *dir, struct dentry *dentry)
{
	if (!still_there(dir, dentry))
		return -LINUX_ENOENT;
	kfree(take_name(dir, dentry));
	drop_link(mem_node(dentry->inode), 1);
	return 0;
}

static bool dir_is_empty(const struct mem_node *n)
{
	return RB_EMPTY(&n->dir.entries) && mem_lower_count(n) == 0;
}

static int mem_rmdir(struct task *task, struct inode *dir, struct dentry *dentry)
{
	int err = mem_lower_list(task, mem_node(dentry->inode));

	if (err != 0)
		return err;
	if (!still_there(dir, dentry))
		return -LINUX_ENOENT;
	if (dentry->mounted != 0)
		return -LINUX_EBUSY;
	if (!dir_is_empty(mem_node(dentry->inode)))
		return -LINUX_ENOTEMPTY;
	kfree(take_name(dir, dentry));
	count_subdir(dir, -1);
	drop_link(mem_node(dentry->inode), UINT32_MAX);
	return 0;
}

/* What may have changed while rename slept. */
static int rename_check(struct inode *old_dir, struct dentry *old, struct inode *new_dir, struct dentry *target,
			bool exchange)
{
	if (!still_there(old_dir, old))
		return -LINUX_ENOENT;
	if (target->inode == NULL) {
		int err = check_free(new_dir, target);

		if (err != 0)
			return err;
	} else if (!still_there(new_dir, target)) {
		return -LINUX_ENOENT;
	}
	if (dentry_is_ancestor(old, target->parent))
		return -LINUX_EINVAL;
	if (target->inode == NULL || exchange)
		return 0;
	if (target->mounted != 0)
		return -LINUX_EBUSY;
	return inode_is_dir(target->inode) && !dir_is_empty(mem_node(target->inode)) ? -LINUX_ENOTEMPTY : 0;
}

/* The moved dentry's entry: its own, or a new one if it was a lower name. */
static struct mem_entry *entry_for(const struct dentry *dentry)
{
	return dentry->private_data != NULL ? dentry->private_data : kzalloc(sizeof(struct mem_entry));
}

static int mem_rename(struct task *task, struct inode *old_dir, struct dentry *old, struct inode *new_dir,
		      struct dentry *target, unsigned flags)
{
	bool exchange = (flags & LINUX_RENAME_EXCHANGE) != 0;
	struct inode *moved = old->inode, *replaced = target->inode;
	struct mem_entry *e, *other = NULL;
	int err;

	if (flags & ~(LINUX_RENAME_NOREPLACE | LINUX_RENAME_EXCHANGE))
		return -LINUX_EINVAL;
	if (replaced != NULL && !exchange && inode_is_dir(replaced)) {
		err = mem_lower_list(task, mem_node(replaced));
		if (err != 0)
			return err;
	}
	err = rename_check(old_dir, old, new_dir, target, exchange);
	if (err != 0)
		return err;
	e = entry_for(old);
	if (e == NULL)
		return -LINUX_ENOMEM;
	if (exchange) {
		other = entry_for(target);
		if (other == NULL) {
			if (old->private_data == NULL)
				kfree(e);
			return -LINUX_ENOMEM;
		}
	}
	/* Nothing fails from here on. */
	(void)take_name(old_dir, old);
	if (replaced != NULL) {
		struct mem_entry *gone = take_name(new_dir, target);

		if (!exchange)
			kfree(gone);
	}
	entry_insert(mem_node(new_dir), e, old);
	dir_changed(new_dir, 1);
	if (inode_is_dir(moved)) {
		count_subdir(old_dir, -1);
		count_subdir(new_dir, 1);
	}
	if (exchange) {
		entry_insert(mem_node(old_dir), other, target);
		dir_changed(old_dir, 1);
		if (inode_is_dir(replaced)) {
			count_subdir(new_dir, -1);
			count_subdir(old_dir, 1);
		}
		inode_touch(replaced, ATTR_CTIME);
		mem_dirty(mem_node(replaced));
	} else if (replaced != NULL) {
		if (inode_is_dir(replaced))
			count_subdir(new_dir, -1);
		drop_link(mem_node(replaced), inode_is_dir(replaced) ? UINT32_MAX : 1);
	}
	inode_touch(moved, ATTR_CTIME);
	mem_dirty(mem_node(moved));
	return 0;
}

/* ---- reading directories ---- */

static uint32_t dtype(uint32_t mode)
{
	return (mode & LINUX_S_IFMT) >> 12;
}

static int mem_iterate(struct task *task, struct file *file, struct dir_emit *emit)
{
	struct mem_node *n = mem_node(file->inode);
	struct dentry *self = file->path.dentry;
	struct mem_entry key, *e;
	struct mem_lower_name low;
	int err;

	if (file->pos == 0) {
		if (!emit->add(emit, ".", 1, file->inode->ino, LINUX_DT_DIR, 1))
			return 0;
		file->pos = 1;
	}
	if (file->pos == 1) {
		if (!emit->add(emit, "..", 2, self->parent->inode->ino, LINUX_DT_DIR, 2))
			return 0;
		file->pos = 2;
	}
	if (file->pos < COOKIE_OWN) {
		err = mem_lower_list(task, n);
		if (err != 0)
			return err;
		for (uint32_t at = (uint32_t)(file->pos - 2); mem_lower_next(n, &at, &low); at++) {
			if (!emit->add(emit, low.name, low.len, low.ino, dtype(low.mode), (int64_t)at + 3))
				return 0;
			file->pos = (int64_t)at + 3;
		}
		file->pos = COOKIE_OWN;
	}
	key.cookie = file->pos;
	for (e = RB_NFIND(mem_entry_tree, &n->dir.entries, &key); e != NULL; e = RB_NEXT(mem_entry_tree, NULL, e)) {
		const struct dentry *d = e->dentry;

		if (!emit->add(emit, d->name, d->name_len, d->inode->ino, dtype(d->inode->mode), e->cookie + 1))
			return 0;
		file->pos = e->cookie + 1;
	}
	return 0;
}

static const struct file_ops mem_dir_fops = {
	.iterate = mem_iterate,
};

/* ---- attributes ---- */

static int mem_setattr(struct task *task, struct inode *inode, const struct iattr *attr)
{
	if (attr->valid & ATTR_SIZE) {
		int err;

		if ((inode->mode & LINUX_S_IFMT) != LINUX_S_IFREG)
			return -LINUX_EINVAL;
		err = mem_truncate(task, inode, attr->size);
		if (err != 0)
			return err;
	}
	inode_setattr(inode, attr);
	mem_dirty(mem_node(inode));
	return 0;
}

static int mem_readlink(unused_arg struct task *task, struct inode *inode, char **target)
{
	*target = kstrdup(mem_node(inode)->target);
	return *target != NULL ? 0 : -LINUX_ENOMEM;
}

/* ---- extended attributes ---- */

static void xattr_free(struct mem_xattr *x)
{
	list_del(&x->link);
	kfree(x->name);
	kfree(x);
}

void mem_xattrs_free(struct mem_node *n)
{
	while (!list_empty(&n->xattrs))
		xattr_free(list_first(&n->xattrs, struct mem_xattr, link));
}

static struct mem_xattr *xattr_find(struct mem_node *n, const char *name)
{
	struct mem_xattr *x;

	list_for_each(x, &n->xattrs, link)
		if (strcmp(x->name, name) == 0)
			return x;
	return NULL;
}

static int64_t mem_getxattr(struct task *task, struct inode *inode, const char *name, void *value, size_t size)
{
	struct mem_node *n = mem_node(inode);
	struct mem_xattr *x;
	int err = mem_lower_xattrs(task, n);

	if (err != 0)
		return err;
	x = xattr_find(n, name);
	if (x == NULL)
		return -LINUX_ENODATA;
	if (size == 0)
		return (int64_t)x->size;
	if (size < x->size)
		return -LINUX_ERANGE;
	memcpy(value, x->value, x->size);
	return (int64_t)x->size;
}

static size_t xattrs_total(struct mem_node *n)
{
	struct mem_xattr *x;
	size_t total = 0;

	list_for_each(x, &n->xattrs, link)
		total += strlen(x->name) + x->size + sizeof(*x);
	return total;
}

static int mem_setxattr(struct task *task, struct inode *inode, const char *name, const void *value, size_t size, int flags)
{
	struct mem_node *n = mem_node(inode);
	struct mem_xattr *old, *x;
	int err = mem_lower_xattrs(task, n);

	if (err != 0)
		return err;
	old = xattr_find(n, name);
	if (old != NULL && (flags & (int)LINUX_XATTR_CREATE))
		return -LINUX_EEXIST;
	if (old == NULL && (flags & (int)LINUX_XATTR_REPLACE))
		return -LINUX_ENODATA;
	if (xattrs_total(n) + strlen(name) + size + sizeof(*x) > XATTRS_MAX)
		return -LINUX_ENOSPC;
	x = kmalloc(sizeof(*x) + size);
	if (x == NULL)
		return -LINUX_ENOMEM;
	x->name = kstrdup(name);
	if (x->name == NULL) {
		kfree(x);
		return -LINUX_ENOMEM;
	}
	x->size = size;
	if (size != 0)
		memcpy(x->value, value, size);
	if (old != NULL) {
		list_insert_between(&x->link, &old->link, old->link.next); /* it keeps its place */
		xattr_free(old);
	} else {
		list_add_tail(&n->xattrs, &x->link);
	}
	inode_touch(inode, ATTR_CTIME);
	mem_dirty(n);
	return 0;
}

static int mem_removexattr(struct task *task, struct inode *inode, const char *name)
{
	struct mem_node *n = mem_node(inode);
	struct mem_xattr *x;
	int err = mem_lower_xattrs(task, n);

	if (err != 0)
		return err;
	x = xattr_find(n, name);
	if (x == NULL)
		return -LINUX_ENODATA;
	xattr_free(x);
	inode_touch(inode, ATTR_CTIME);
	mem_dirty(n);
	return 0;
}

static int64_t mem_listxattr(struct task *task, struct inode *inode, char *list, size_t size)
{
	struct mem_node *n = mem_node(inode);
	bool trusted = task_capable(task, LINUX_CAP_SYS_ADMIN);
	struct mem_xattr *x;
	size_t used = 0;
	int err = mem_lower_xattrs(task, n);

	if (err != 0)
		return err;
	list_for_each(x, &n->xattrs, link) {
		size_t len = strlen(x->name) + 1;

		if (!trusted && strncmp(x->name, "trusted.", 8) == 0)
			continue;
		if (size != 0) {
			if (used + len > size)
				return -LINUX_ERANGE;
			memcpy(list + used, x->name, len);
		}
		used += len;
	}
	return used <= LINUX_XATTR_LIST_MAX ? (int64_t)used : -LINUX_E2BIG;
}

#define MEM_COMMON_IOPS                                                                                                \
	.setattr = mem_setattr, .getxattr = mem_getxattr, .setxattr = mem_setxattr, .listxattr = mem_listxattr,        \
	.removexattr = mem_removexattr, .evict = mem_evict

static int mem_mkdir(struct task *task, struct inode *dir, struct dentry *dentry, uint32_t mode, struct inode **out)
{
	return dir->nlink < LINKS_MAX ? make_node(task, dir, dentry, mode, 0, NULL, out) : -LINUX_EMLINK;
}

static const struct inode_ops mem_iops_none;

const struct inode_ops mem_dir_iops = {
	.lookup = mem_lookup,
	.create = mem_create,
	.mkdir = mem_mkdir,
	.mknod = mem_mknod,
	.symlink = mem_symlink,
	.link = mem_link,
	.unlink = mem_unlink,
	.rmdir = mem_rmdir,
	.rename = mem_rename,
	.tmpfile = mem_tmpfile,
	MEM_COMMON_IOPS,
};

const struct inode_ops mem_file_iops = {
	.open = mem_file_open,
	MEM_COMMON_IOPS,
};

const struct inode_ops mem_link_iops = {
	.readlink = mem_readlink,
	MEM_COMMON_IOPS,
};

const struct inode_ops mem_special_iops = {
	MEM_COMMON_IOPS,
};

/* ---- superblocks ---- */

/* What the lower tree takes up on the host: it is part of what df shows, and never changes. */
static int lower_usage(struct task *task, struct mem_sb *sb)
{
	struct gofer_request req = {.op = GOFER_STATFS};
	struct gofer_statfs host;
	struct gofer_answer a;
	int err;

	if (sb->lower == NULL || sb->lower_known)
		return 0;
	err = gofer_call(task, sb->lower, &req, "", NULL, 0, &a);
	if (err != 0)
		return err;
	if (a.len >= sizeof(host)) {
		memcpy(&host, a.data, sizeof(host));
		sb->lower_pages = (host.blocks - MIN(host.bfree, host.blocks)) * (host.bsize / 512) / (PAGE_SIZE / 512);
		sb->lower_inodes = host.files - MIN(host.ffree, host.files);
	}
	sb->lower_known = true;
	gofer_answer_done(&a);
	return 0;
}

static int mem_statfs(struct task *task, struct superblock *s, struct linux_statfs *st)
{
	struct mem_sb *sb = container_of(s, struct mem_sb, sb);
	uint64_t total = sb->limit_pages, used = sb->used_pages;
	int err = lower_usage(task, sb);

	if (err != 0)
		return err;
	if (total == UINT64_MAX && kernel.disk_limit != 0 && kernel.disk_limit != UINT64_MAX) {
		total = kernel.disk_limit / PAGE_SIZE;
		used = memfs_disk_used() / PAGE_SIZE;
	}
	if (total == UINT64_MAX) /* what may be written ends where memory does */
		total = (kernel.memory_limit != 0 && kernel.memory_limit != UINT64_MAX ? kernel.memory_limit : 16 * GiB) /
			PAGE_SIZE;
	st->blocks = total + sb->lower_pages;
	st->bfree = st->bavail = total > used ? total - used : 0;
	st->files = (sb->max_inodes != 0 ? sb->max_inodes : MAX(total, sb->ninodes)) + sb->lower_inodes;
	st->ffree = st->files - MIN(st->files, sb->ninodes + sb->lower_inodes);
	return 0;
}

static const struct superblock_ops mem_sops = {
	.statfs = mem_statfs,
};

static struct mem_sb *sb_new(const struct memfs_options *o)
{
	struct mem_sb *sb = kzalloc(sizeof(*sb));

	if (sb == NULL)
		return NULL;
	sb->lower = o->lower;
	sb->limit_pages = o->size != 0 ? (o->size + PAGE_SIZE - 1) / PAGE_SIZE : UINT64_MAX;
	sb->max_inodes = o->max_inodes;
	sb->sb.fs_type = o->fs_type != NULL ? o->fs_type : "tmpfs";
	sb->sb.magic = o->magic != 0 ? o->magic : o->lower != NULL ? LINUX_OVERLAYFS_SUPER_MAGIC : LINUX_TMPFS_MAGIC;
	sb->sb.ops = &mem_sops;
	sb->sb.readonly = o->readonly;
	if (o->lower != NULL)
		sb->sb.next_ino = OWN_INO;
	return sb;
}

struct superblock *memfs_new_superblock(const struct memfs_options *o, int *err)
{
	struct mem_sb *sb = sb_new(o);
	struct inode *root;

	*err = -LINUX_ENOMEM;
	if (sb == NULL)
		return NULL;
	if (o->lower != NULL) {
		*err = mem_lower_root(sb, &root);
		if (*err != 0)
			goto free_sb;
	} else {
		root = mem_inode_new(sb, 0, LINUX_S_IFDIR | (o->mode != 0 ? o->mode & 07777 : 01777));
		if (root == NULL)
			goto free_sb;
		root->uid = o->uid;
		root->gid = o->gid;
	}
	*err = superblock_set_root(&sb->sb, root);
	if (*err != 0)
		goto free_sb;
	return &sb->sb;
free_sb:
	kfree(sb);
	return NULL;
}

int memfs_mount_root(const struct memfs_options *o, uint64_t mount_flags, const char *source, const char *options)
{
	int err;
	struct superblock *sb = memfs_new_superblock(o, &err);

	if (sb == NULL)
		return err;
	return vfs_mount_root(sb, mount_flags, source, options);
}

/* ---- the end of a container ---- */

#define EMPTY_STEPS 1000 /* names, then others may run */

/* task NULL: it isn't one's own time that is taken, and all is done at once. */
static void empty_yield(struct task *task, unsigned *steps)
{
	if (task != NULL && ++*steps % EMPTY_STEPS == 0)
		task_yield(task);
}

/*
 * All names below top that are in memory go, leaves first. Whoever holds one of the directories from elsewhere may change what
 * is around the place while others run: what was removed is no place any more, and who climbs past top begins anew.
 */
static void empty_tree(struct task *task, struct inode *top, unsigned *steps)
{
	struct inode *dir = top;
	struct dentry *at = NULL; /* dir's, once it isn't top any more; counted */

	for (;;) {
		struct mem_entry *e;
		struct dentry *d;

		empty_yield(task, steps);
		if (at != NULL && (at->unhashed || at->parent == at)) {
			dentry_put(at);
			at = NULL;
			dir = top;
		}
		e = RB_MIN(mem_entry_tree, &mem_node(dir)->dir.entries);
		d = e != NULL ? e->dentry : NULL;
		if (d == NULL && dir == top)
			break;
		if (d == NULL) {
			d = dentry_get(at->parent);
			dentry_put(at);
			at = d;
			dir = d->inode;
			continue;
		}
		dentry_get(d);
		if (inode_is_dir(d->inode) && !RB_EMPTY(&mem_node(d->inode)->dir.entries)) {
			if (at != NULL)
				dentry_put(at);
			at = d;
			dir = d->inode;
			continue;
		}
		kfree(take_name(dir, d));
		if (inode_is_dir(d->inode))
			count_subdir(dir, -1);
		drop_link(mem_node(d->inode), inode_is_dir(d->inode) ? UINT32_MAX : 1);
		dentry_drop(d);
		dentry_put(d);
	}
	if (at != NULL)
		dentry_put(at);
}

struct left_over {
	struct superblock *sb;
	struct mem_node *found;
};

/* A lower directory with something in memory in it, or a lower file that was changed. */
static int find_left_over(void *arg, struct mem_node *n)
{
	struct left_over *l = arg;

	if (n->inode->sb != l->sb || !(n->dirty || (inode_is_dir(n->inode) && !RB_EMPTY(&n->dir.entries))))
		return 0;
	l->found = n;
	return 1;
}

void memfs_empty(struct superblock *s, struct task *task)
{
	struct left_over l = {.sb = s};
	unsigned at, steps = 0;
	bool any;

	if (s->ops != &mem_sops)
		return;
	empty_tree(task, s->root->inode, &steps);
	/* Not from the start for each: there may be very many. What this makes one of, behind the place, the next round finds. */
	do {
		any = false;
		for (at = 0; mem_lower_nodes_from(&at, find_left_over, &l) != 0; any = true) {
			struct inode *inode = inode_get(l.found->inode);

			if (inode_is_dir(inode))
				empty_tree(task, inode, &steps);
			drop_link(l.found, UINT32_MAX);
			inode_put(inode);
			empty_yield(task, &steps);
		}
	} while (any);
	/* What is still in use is not kept when it is put: an open lower file would keep the host's mount busy. */
	s->nocache = true;
	mem_lower_drop_ahead(s);
	dentry_trim_of(s);
}

/* ---- what start makes ---- */

/* The child, by whatever way dir's filesystem finds it. Returns a reference, maybe negative. */
static int child_of(struct task *task, struct dentry *dir, const char *name, struct dentry **out)
{
	struct inode *inode;
	int err;

	*out = dentry_find(dir, name, strlen(name));
	if (*out != NULL)
		return 0;
	*out = dentry_new(dir, name, strlen(name));
	if (*out == NULL)
		return -LINUX_ENOMEM;
	vfs_lookup_hint.rest = NULL;
	err = dir->inode->ops->lookup(task, dir->inode, *out, &inode);
	if (err == 0)
		dentry_add(*out, inode);
	else if (err != -LINUX_ENOENT)
		dentry_put(*out);
	return err == -LINUX_ENOENT ? 0 : err;
}

int memfs_make(struct task *task, struct dentry *parent, const char *name, uint32_t mode, uint64_t rdev, const char *target,
	       kuid_t uid, kgid_t gid, struct dentry **out)
{
	struct inode *inode;
	struct dentry *d;
	int err;

	if (parent->inode->ops != &mem_dir_iops)
		return -LINUX_EPERM;
	err = child_of(task, parent, name, &d);
	if (err != 0)
		return err;
	if (d->inode != NULL) {
		err = inode_is_dir(d->inode) && (mode & LINUX_S_IFMT) == LINUX_S_IFDIR ? 0 : -LINUX_EEXIST;
	} else {
		err = make_node(NULL, parent->inode, d, mode, rdev, target, &inode);
		if (err == 0) {
			inode->uid = uid;
			inode->gid = gid;
			dentry_add(d, inode);
		}
	}
	if (err != 0 || out == NULL)
		dentry_put(d);
	else
		*out = d;
	return err;
}

/* The prefix of path, walked; what is missing at its end is made. */
static int make_prefix(struct task *task, const char *prefix, uint32_t mode, struct path *out)
{
	struct lookup_last l;
	struct dentry *made;
	int err;

	err = vfs_lookup(task, LINUX_AT_FDCWD, prefix, LOOKUP_FOLLOW, out);
	if (err != -LINUX_ENOENT)
		return err;
	/* A dangling symbolic link is followed to where it points. */
	err = vfs_lookup_last(task, LINUX_AT_FDCWD, prefix, LOOKUP_FOLLOW | LOOKUP_CREATE, &l);
	if (err != 0)
		return err;
	err = memfs_make(task, l.parent.dentry, l.dentry->name, mode, 0, NULL, 0, 0, &made);
	if (err == 0) {
		out->mount = mount_get(l.parent.mount);
		out->dentry = made;
	}
	lookup_last_put(&l);
	return err;
}

int memfs_make_path(struct task *task, const char *path, bool file, struct path *out)
{
	size_t len = strlen(path), end = 0;
	char *prefix;
	int err;

	if (task == NULL)
		task = vfs_boot_task();
	while (len > 1 && path[len - 1] == '/')
		len--;
	prefix = kstrndup(path, len);
	if (prefix == NULL)
		return -LINUX_ENOMEM;
	err = vfs_lookup(task, LINUX_AT_FDCWD, "/", 0, out);
	while (err == 0 && end < len) {
		bool last;

		end += strspn(prefix + end, "/");
		end += strcspn(prefix + end, "/");
		last = end == len;
		prefix[end] = '\0';
		path_put(out);
		err = make_prefix(task, prefix, last && file ? LINUX_S_IFREG | 0644 : LINUX_S_IFDIR | 0755, out);
		if (!last)
			prefix[end] = '/';
	}
	kfree(prefix);
	return err;
}

/* ---- files without a name ---- */

static struct mem_sb *anon_sb(void)
{
	static struct mem_sb *sb;

	if (sb == NULL) {
		sb = sb_new(&(struct memfs_options){.fs_type = "tmpfs"});
		if (sb != NULL) {
			sb->sb.dev = LINUX_MKDEV(0, 1); /* the kernel's own mount of tmpfs */
			sb->is_memory = true;
		}
	}
	return sb;
}

static struct file *anon_file(struct task *task, const char *label, uint32_t mode, uint32_t flags, struct mem_node **node)
{
	struct mem_sb *sb = anon_sb();
	struct inode *inode = sb != NULL ? mem_inode_new(sb, 0, LINUX_S_IFREG | mode) : NULL;
	struct path path = {0};
	struct file *file;

	if (inode == NULL)
		return NULL;
	inode->nlink = 0;
	if (task != NULL) {
		inode->uid = task->cred->fsuid;
		inode->gid = task->cred->fsgid;
	}
	path.dentry = dentry_new(NULL, label, strlen(label));
	if (path.dentry == NULL) {
		inode_put(inode);
		return NULL;
	}
	path.dentry->sb = &sb->sb;
	path.dentry->inode = inode;
	file = file_new(task, &path, inode, &mem_file_fops, flags | LINUX_O_LARGEFILE);
	if (file != NULL)
		mem_node(inode)->data.opens++;
	dentry_put(path.dentry);
	*node = mem_node(inode);
	return file;
}

struct file *memfs_new_memfd(struct task *task, const char *name, uint32_t seals, uint32_t mode, uint32_t flags)
{
	struct mem_node *n;
	struct file *file;
	char label[LINUX_NAME_MAX + 32];

	snprintf(label, sizeof(label), "/memfd:%s (deleted)", name);
	file = anon_file(task, label, mode & 07777, flags, &n);
	if (file == NULL)
		return NULL;
	n->is_memfd = true;
	n->inode->busy_ok = true;
	n->inode->seals = seals;
	return file;
}

struct file *memfs_new_anon(struct task *task, const char *name, uint64_t size)
{
	struct mem_node *n;
	struct file *file = anon_file(task, name, 0777, LINUX_O_RDWR, &n);

	if (file != NULL)
		n->inode->size = size;
	return file;
}

bool memfs_is_memfd(const struct inode *inode)
{
	return inode->ops == &mem_file_iops && mem_node(inode)->is_memfd;
}
