/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount table: which filesystem covers which directory.
 *
 * A mount joins the root dentry it shows to a mountpoint dentry of its parent mount. The walk crosses downwards where
 * dentry->mounted says that something may lie on a dentry (mount_find), and upwards at a mount's root. There is one
 * table for all containers of the sandbox; a few dozen entries each, so it is a list.
 *
 * References: the list holds one on each mount; a mount holds its root, its mountpoint and its parent. Superblocks are
 * never freed: filesystems are mounted at start, and what a guest may mount later is counted memory.
 * Each container of a pod has a root mount of its own, without a parent: a walk from one never comes to another's.
 * Left out: mount namespaces that are joined or copied, propagation (shared, slave), mounts that move.
 */
#include "sentry/vfs/vfs.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/modify.h"

#define MNT_FORCE 1
#define MNT_DETACH 2
#define MNT_EXPIRE 4
#define UMOUNT_NOFOLLOW 8

#define MOUNTS_MAX 10000 /* as /proc/sys/fs/mount-max bounds them, lower */

struct mount *mount_root;
struct list mount_list = LIST_INIT(mount_list);
static uint32_t next_id = 20;
static uint32_t nmounts;

struct mount *mount_get(struct mount *m)
{
	if (m != NULL)
		ref_get(&m->ref);
	return m;
}

void mount_put(struct mount *m)
{
	while (m != NULL && ref_put(&m->ref)) {
		struct mount *parent = m->parent;

		dentry_put(m->root);
		dentry_put(m->mountpoint);
		kfree(m->source);
		kfree(m->options);
		kfree(m);
		m = parent;
	}
}

void path_put(struct path *p)
{
	dentry_put(p->dentry);
	mount_put(p->mount);
	p->dentry = NULL;
	p->mount = NULL;
}

struct mount *mount_find(const struct mount *parent, const struct dentry *d)
{
	struct mount *m;

	if (d->mounted == 0)
		return NULL;
	list_for_each(m, &mount_list, link)
		if (m->mountpoint == d && m->parent == parent)
			return m;
	return NULL;
}

static struct mount *mount_new(struct superblock *sb, struct dentry *root, uint64_t flags, const char *source,
			       const char *options)
{
	struct mount *m;

	if (nmounts >= MOUNTS_MAX)
		return NULL;
	m = kzalloc(sizeof(*m));
	if (m == NULL)
		return NULL;
	ref_init(&m->ref);
	list_init(&m->link);
	m->source = kstrdup(source != NULL ? source : "none");
	m->options = kstrdup(options != NULL ? options : "");
	if (m->source == NULL || m->options == NULL) {
		kfree(m->source);
		kfree(m->options);
		kfree(m);
		return NULL;
	}
	m->sb = sb;
	m->root = dentry_get(root != NULL ? root : sb->root);
	m->flags = flags;
	m->id = next_id++;
	return m;
}

struct mount *vfs_new_root(struct superblock *sb, uint64_t flags, const char *source, const char *options)
{
	struct mount *m = mount_new(sb, NULL, flags, source, options);

	if (m == NULL)
		return NULL;
	list_add_tail(&mount_list, &m->link);
	nmounts++;
	return m;
}

int vfs_mount_root(struct superblock *sb, uint64_t flags, const char *source, const char *options)
{
	invariant(mount_root == NULL);
	mount_root = vfs_new_root(sb, flags, source, options);
	return mount_root != NULL ? 0 : -LINUX_ENOMEM;
}

int vfs_mount(struct superblock *sb, struct dentry *root, const struct path *where, uint64_t flags, const char *source,
	      const char *options)
{
	struct dentry *top = root != NULL ? root : sb->root;
	struct mount *m;

	if (inode_is_dir(top->inode) != inode_is_dir(where->dentry->inode))
		return -LINUX_ENOTDIR;
	if (where->dentry->unhashed)
		return -LINUX_ENOENT;
	m = mount_new(sb, root, flags, source, options);
	if (m == NULL)
		return nmounts >= MOUNTS_MAX ? -LINUX_ENOSPC : -LINUX_ENOMEM;
	m->parent = mount_get(where->mount);
	m->mountpoint = dentry_get(where->dentry);
	m->mountpoint->mounted++;
	list_add_tail(&mount_list, &m->link);
	nmounts++;
	return 0;
}

static bool has_children(const struct mount *mount)
{
	struct mount *m;

	list_for_each(m, &mount_list, link)
		if (m->parent == mount)
			return true;
	return false;
}

/* Takes m off the table; its users keep it until they go. */
static void detach(struct mount *m)
{
	list_del(&m->link);
	nmounts--;
	m->mountpoint->mounted--;
	mount_put(m);
}

static bool is_below(const struct mount *m, const struct mount *top)
{
	for (m = m->parent; m != NULL; m = m->parent)
		if (m == top)
			return true;
	return false;
}

void vfs_drop_root(struct mount *root, struct task *task, void (*gone)(struct superblock *sb, struct task *task))
{
	struct mount *m, *victim;

	invariant(root != mount_root && root->parent == NULL);
	/* the last in the list first: children stand behind their parents */
	do {
		victim = NULL;
		list_for_each(m, &mount_list, link)
			if (is_below(m, root))
				victim = m;
		if (victim == NULL)
			break;
		/* It may sleep, and somebody who still holds a file there unmount it meanwhile. */
		mount_get(victim);
		gone(victim->sb, task);
		if (!list_empty(&victim->link))
			detach(victim);
		mount_put(victim);
	} while (true);
	gone(root->sb, task);
	list_del(&root->link);
	nmounts--;
	mount_put(root);
}

int vfs_umount(struct task *task, const struct path *where, int flags)
{
	struct mount *m = where->mount, *child, *tmp;

	if (flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW))
		return -LINUX_EINVAL;
	if (!task_capable(task, LINUX_CAP_SYS_ADMIN))
		return -LINUX_EPERM;
	if (where->dentry != m->root || list_empty(&m->link))
		return -LINUX_EINVAL;
	if (m->parent == NULL)
		return -LINUX_EBUSY;
	if (flags & MNT_EXPIRE)
		return (flags & (MNT_FORCE | MNT_DETACH)) ? -LINUX_EINVAL : -LINUX_EAGAIN;
	if (!(flags & MNT_DETACH)) {
		/* the table's reference and the caller's path are all that may be left */
		if (has_children(m) || m->ref.count > 2)
			return -LINUX_EBUSY;
		fsnotify_unmounted(m->sb);
		detach(m);
		return 0;
	}
	/* a lazy unmount takes everything below along, deepest last: children stand behind their parents in the list */
	for (;;) {
		struct mount *victim = NULL;

		list_for_each_safe(child, tmp, &mount_list, link) {
			for (struct mount *up = child->parent; up != NULL; up = up->parent)
				if (up == m)
					victim = child;
		}
		if (victim == NULL)
			break;
		detach(victim);
	}
	detach(m);
	return 0;
}
