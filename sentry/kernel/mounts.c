/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container's configuration says about its files, done: mounts, the host's name in /etc/hosts, hidden, masked and
 * read-only paths, a read-only root.
 *
 *	the first container's boot (init.c), a further one's (outside.c) --> mounts_make, on the boot task's coroutine
 *
 * All of it happens below the task's root directory, before the container's program runs, as root of the sandbox. The
 * configuration was checked; names in it are walked like any path, and a link of the image leads nowhere but into the image.
 */
#include "sentry/kernel/mounts.h"

#include "runtime/config.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/bindfs.h"
#include "sentry/fs/lower.h"
#include "sentry/fs/memfs.h"
#include "sentry/fs/pseudo_mounts.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/text.h"
#include "sentry/vfs/modify.h"
#include "sentry/vfs/vfs.h"

#include <stdio.h>
#include <string.h>

static struct superblock *new_tmpfs(const struct config_mount *m, int *err)
{
	return memfs_new_superblock(
		&(struct memfs_options){
			.fs_type = "tmpfs",
			.mode = m->mode != 0 ? m->mode : 01777,
			.size = m->size,
			.uid = m->uid,
			.gid = m->gid,
		},
		err);
}

static struct superblock *bind_superblock(struct task *task, struct gofer_client *gofer, const struct config_mount *m,
					  unsigned index, int *err)
{
	struct lower_tree *tree = gofer != NULL ? lower_tree_of(gofer, (uint16_t)index) : lower_tree_new((uint16_t)index);
	struct memfs_options o = {.fs_type = "overlay", .readonly = true};

	if (!(m->flags & LINUX_MS_RDONLY))
		return bindfs_new_superblock(task, tree, err);
	o.lower = tree;
	return o.lower == NULL ? NULL : memfs_new_superblock(&o, err);
}

static struct superblock *mount_superblock(struct task *task, struct gofer_client *gofer, const struct config_mount *m,
					   unsigned index, int *err)
{
	*err = -LINUX_ENOMEM;
	switch (m->kind) {
	case MOUNT_BIND:
		return bind_superblock(task, gofer, m, index, err);
	case MOUNT_TMPFS:
	case MOUNT_SHM:
		return new_tmpfs(m, err);
	case MOUNT_PROC:
		return proc_new_superblock();
	case MOUNT_SYSFS:
		return sys_new_superblock();
	case MOUNT_DEV:
		return dev_new_superblock();
	case MOUNT_DEVPTS:
		return devpts_new_superblock();
	case MOUNT_MQUEUE:
		return mqueue_new_superblock();
	case MOUNT_CGROUP:
		return cgroup_new_superblock();
	}
	*err = -LINUX_EINVAL;
	return NULL;
}

static int mount_one(struct task *task, const struct config *cfg, struct gofer_client *gofer, const struct config_mount *m,
		     unsigned bind_index, char *what, size_t size)
{
	const char *target = config_str(cfg, m->target);
	struct superblock *sb;
	struct path where;
	int err;

	snprintf(what, size, "mounting %s", target);
	sb = mount_superblock(task, gofer, m, bind_index, &err);
	if (sb == NULL)
		return err;
	err = memfs_make_path(task, target, m->kind == MOUNT_BIND && m->source_is_file, &where);
	if (err < 0)
		return err;
	err = vfs_mount(sb, sb->root, &where, m->flags, config_str(cfg, m->source), config_str(cfg, m->options));
	path_put(&where);
	return err;
}

static int mount_all(struct task *task, const struct config *cfg, struct gofer_client *gofer, char *what, size_t size)
{
	unsigned binds = 0;
	int err;

	for (uint32_t i = 0; i < cfg->nmounts; i++) {
		const struct config_mount *m = &cfg->mounts[i];

		/* The gofer's root 0 is the sandbox's; the binds follow in their order. */
		err = mount_one(task, cfg, gofer, m, m->kind == MOUNT_BIND ? ++binds : 0, what, size);
		if (err < 0)
			return err;
	}
	return 0;
}

/* A hidden file is gone, as if removed in memory; what can't be removed is covered by something empty. */
static int apply_path_rule(struct task *task, enum config_path_kind kind, const char *name, const struct path *path)
{
	bool dir = inode_is_dir(path->dentry->inode);
	struct superblock *sb;
	struct dentry *cover;
	int err;

	switch (kind) {
	case PATH_READONLY:
		return vfs_mount(path->mount->sb, path->dentry, path, path->mount->flags | LINUX_MS_RDONLY, "none", "");
	case PATH_HIDE:
		if (!dir && vfs_unlink(task, LINUX_AT_FDCWD, name) == 0)
			return 0;
		break;
	case PATH_MASK:
	case PATH_NO_GATE:
		break;
	}
	sb = new_tmpfs(&(struct config_mount){.mode = kind == PATH_HIDE ? 0700 : 0755}, &err);
	if (sb == NULL)
		return err;
	if (dir)
		return vfs_mount(sb, sb->root, path, LINUX_MS_RDONLY, "none", "");
	err = memfs_make(task, sb->root, "empty", LINUX_S_IFREG | 0444, 0, NULL, 0, 0, &cover);
	if (err < 0)
		return err;
	err = vfs_mount(sb, cover, path, LINUX_MS_RDONLY, "none", "");
	dentry_put(cover);
	return err;
}

/* Is the path on a bind mount? By its words only: what a symlink leads to is the rule's own path. */
static bool on_a_bind(const struct config *cfg, const char *name)
{
	for (uint32_t i = 0; i < cfg->nmounts; i++) {
		const char *target = config_str(cfg, cfg->mounts[i].target);
		size_t len = strlen(target);

		if (cfg->mounts[i].kind == MOUNT_BIND && strncmp(name, target, len) == 0 &&
		    (name[len] == '/' || name[len] == '\0'))
			return true;
	}
	return false;
}

/* Hidden, masked and read-only paths. A path that does not exist needs no hiding. */
static int apply_path_rules(struct task *task, const struct config *cfg, char *what, size_t size)
{
	for (uint32_t i = 0; i < cfg->npaths; i++) {
		const char *name = config_str(cfg, cfg->paths[i].path);
		struct path path;
		int err;

		if (cfg->paths[i].kind == PATH_NO_GATE) {
			err = text_exclude(name);
			if (err < 0)
				return err;
			continue;
		}
		/* The gofer or the image hides what is on the root: here it would cost a question for each. */
		if (cfg->paths[i].kind == PATH_HIDE && !on_a_bind(cfg, name))
			continue;
		err = vfs_lookup(task, LINUX_AT_FDCWD, name, 0, &path);
		if (err == -LINUX_ENOENT || err == -LINUX_ENOTDIR)
			continue;
		snprintf(what, size, "the rule for %s", name);
		if (err < 0)
			return err;
		err = apply_path_rule(task, cfg->paths[i].kind, name, &path);
		path_put(&path);
		if (err < 0)
			return err;
	}
	return 0;
}

int mounts_make(struct task *task, const struct config *cfg, struct gofer_client *gofer, char *what, size_t size)
{
	int err = mount_all(task, cfg, gofer, what, size);

	if (err == 0)
		init_hosts(task, cfg);
	if (err == 0)
		err = apply_path_rules(task, cfg, what, size);
	if (cfg->root_readonly)
		task->fs->root.mount->flags |= LINUX_MS_RDONLY;
	return err;
}
