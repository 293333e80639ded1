/* SPDX-License-Identifier: Apache-2.0 */
/* Working directory, root directory and umask: what CLONE_FS shares. */
#include "sentry/vfs/vfs.h"

#include "sentry/abi/capability.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"

struct fs_context *fs_context_new(void)
{
	struct fs_context *c = kzalloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	ref_init(&c->ref);
	c->umask = 022;
	c->root.mount = mount_root;
	c->root.dentry = mount_root->root;
	path_get(&c->root);
	c->cwd = c->root;
	path_get(&c->cwd);
	return c;
}

struct fs_context *fs_context_dup(const struct fs_context *old)
{
	struct fs_context *c = kzalloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	ref_init(&c->ref);
	c->umask = old->umask;
	c->root = old->root;
	path_get(&c->root);
	c->cwd = old->cwd;
	path_get(&c->cwd);
	return c;
}

static void replace(struct path *slot, const struct path *path)
{
	struct path old = *slot;

	*slot = *path;
	path_put(&old);
}

void fs_set_cwd(struct fs_context *c, const struct path *path)
{
	replace(&c->cwd, path);
}

void fs_set_root(struct fs_context *c, const struct path *path)
{
	replace(&c->root, path);
}

void fs_context_put(struct fs_context *c)
{
	if (c == NULL || !ref_put(&c->ref))
		return;
	path_put(&c->cwd);
	path_put(&c->root);
	kfree(c);
}

struct task *vfs_boot_task(void)
{
	static struct cred cred = {
		.ref = {1},
		.cap_effective = LINUX_CAP_ALL,
		.cap_permitted = LINUX_CAP_ALL,
		.cap_bounding = LINUX_CAP_ALL,
		.all_ids = true,
	};
	static struct fs_context fs = {.ref = {1}};
	static struct thread_group group = {.ref = {1}};
	static struct task task = {.ref = {1}, .fs = &fs, .cred = &cred, .group = &group};

	for (int i = 0; i < LINUX_RLIM_NLIMITS; i++)
		group.rlimits[i] = (struct linux_rlimit){LINUX_RLIM_INFINITY, LINUX_RLIM_INFINITY};
	if (fs.root.mount == NULL) {
		fs.root.mount = mount_root;
		fs.root.dentry = mount_root->root;
		path_get(&fs.root);
		fs.cwd = fs.root;
		path_get(&fs.cwd);
	}
	return &task;
}
