/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/fd, fdinfo, ns, exe, cwd, root: what a process has open, as links that lead to the very object.
 *
 * A link in fd/ is followed by taking the description's own path (mount and dentry), so it also leads to files that have
 * no name any more. Every step asks whether the reader may inspect the process: the entries' check, made by the toolkit.
 * Only the path is handed on: opening it again goes through the usual permission checks on the inode.
 *
 * What ns/ leads to can be opened and compared; setns(2) is refused.
 */
#include "sentry/base/alloc.h"
#include "sentry/fs/proc_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/epoll.h"

#include <stdio.h>
#include <string.h>

static int path_copy(const struct path *path, struct path *out)
{
	if (path->dentry == NULL)
		return -LINUX_ENOENT;
	*out = *path;
	path_get(out);
	return 0;
}

/* ---- fd ---- */

/* The description behind a node, counted; NULL if it was closed. */
static struct file *node_file(struct pseudo_node *node)
{
	struct task *t = node_task(node);

	return t->files != NULL ? files_peek(t->files, (int)node->num) : NULL;
}

static int fd_readlink(struct task *task, struct pseudo_node *node, char **target)
{
	struct file *file = node_file(node);
	int err;

	if (file == NULL)
		return -LINUX_ENOENT;
	err = vfs_file_name(task, file, target);
	file_put(file);
	return err;
}

static int fd_follow(unused_arg struct task *task, struct pseudo_node *node, struct path *out)
{
	struct file *file = node_file(node);
	int err;

	if (file == NULL)
		return -LINUX_ENOENT;
	err = vfs_file_path(file, out);
	file_put(file);
	return err;
}

/* The link's mode says how the descriptor is open. */
#define FD_ENTRY(bits)                                                                                                 \
	{                                                                                                              \
		.mode = LINUX_S_IFLNK | (bits), .readlink = fd_readlink, .follow = fd_follow, .check = proc_check_access \
	}
static const struct pseudo_entry fd_entries[4] = {FD_ENTRY(0), FD_ENTRY(0500), FD_ENTRY(0300), FD_ENTRY(0700)};

static int fd_lookup(unused_arg struct task *task, struct pseudo_node *dir, const char *name, struct pseudo_found *out)
{
	struct task *t = node_task(dir);
	uint32_t fd = pseudo_parse_name(name);
	struct file *file = fd == UINT32_MAX || t->files == NULL ? NULL : files_peek(t->files, (int)fd);

	if (file == NULL)
		return -LINUX_ENOENT;
	out->entry = &fd_entries[(file->mode & FMODE_READ ? 1 : 0) | (file->mode & FMODE_WRITE ? 2 : 0)];
	out->num = fd;
	file_put(file);
	return 0;
}

static int list_fds(struct pseudo_node *dir, uint64_t from, struct pseudo_list *list, uint32_t mode)
{
	struct task *t = node_task(dir);
	int fd;

	if (t->files == NULL || from > INT32_MAX)
		return 0;
	for (fd = files_next(t->files, (int)from); fd >= 0; fd = files_next(t->files, fd + 1)) {
		char name[16];

		snprintf(name, sizeof(name), "%d", fd);
		if (!pseudo_emit(list, name, mode, (uint64_t)fd))
			break;
	}
	return 0;
}

static int fd_iterate(unused_arg struct task *task, struct pseudo_node *dir, uint64_t from, struct pseudo_list *list)
{
	return list_fds(dir, from, list, LINUX_S_IFLNK);
}

/* The size is the number of descriptors, since Linux 6.2: programs that watch themselves ask for it. */
static void fd_getattr(struct pseudo_node *dir, struct kstat *st)
{
	struct task *t = node_task(dir);

	if (t->files != NULL)
		st->size = files_count(t->files);
}

const struct pseudo_dir proc_fd_dir = {.lookup = fd_lookup, .iterate = fd_iterate, .getattr = fd_getattr};

/* ---- fdinfo ---- */

static void show_epoll_item(void *arg, int fd, uint32_t events, uint64_t data, struct inode *inode)
{
	text_printf(arg, "tfd: %8d events: %8x data: %16llx  pos:0 ino:%llx sdev:%llx\n", fd, events,
		    (unsigned long long)data, inode != NULL ? (unsigned long long)inode->ino : 0ULL,
		    inode != NULL ? (unsigned long long)inode->sb->dev : 0ULL);
}

static int fdinfo_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	struct task *t = node_task(node);
	struct file *file = node_file(node);
	struct thread_group *group;

	if (file == NULL)
		return -LINUX_ENOENT;
	text_printf(b, "pos:\t%lld\nflags:\t0%o\nmnt_id:\t%u\nino:\t%llu\n", (long long)file->pos,
		    file->flags | (fd_cloexec(t, (int)node->num) ? LINUX_O_CLOEXEC : 0),
		    file->path.mount != NULL ? file->path.mount->id : 0, (unsigned long long)file->inode->ino);
	if (file_is_epoll(file))
		epoll_for_each(file, show_epoll_item, b);
	group = pidfd_group(file);
	if (group != NULL) {
		int32_t pid = group_find(group->pid) == group ? group->pid : -1;

		text_printf(b, "Pid:\t%d\nNSpid:\t%d\n", pid, pid);
	}
	file_put(file);
	return 0;
}

static const struct pseudo_entry fdinfo_entry = {
	.mode = LINUX_S_IFREG | 0444,
	.show = fdinfo_show,
	.check = proc_check_access,
};

static int fdinfo_lookup(struct task *task, struct pseudo_node *dir, const char *name, struct pseudo_found *out)
{
	int err = fd_lookup(task, dir, name, out);

	out->entry = &fdinfo_entry;
	return err;
}

static int fdinfo_iterate(unused_arg struct task *task, struct pseudo_node *dir, uint64_t from, struct pseudo_list *list)
{
	return list_fds(dir, from, list, LINUX_S_IFREG);
}

const struct pseudo_dir proc_fdinfo_dir = {.lookup = fdinfo_lookup, .iterate = fdinfo_iterate};

/* ---- ns ---- */

/* The numbers are those of Linux's first namespaces: the sandbox sees no others. */
static void ns_name(const struct pseudo_node *node, char name[64])
{
	snprintf(name, 64, "%s:[%llu]", node->entry->text, (unsigned long long)node->entry->arg);
}

static int ns_readlink(unused_arg struct task *task, struct pseudo_node *node, char **target)
{
	char name[64];

	ns_name(node, name);
	*target = kstrdup(name);
	return *target == NULL ? -LINUX_ENOMEM : 0;
}

static const struct inode_ops ns_iops;
static const struct file_ops ns_fops;
static struct superblock ns_sb = {.fs_type = "nsfs", .magic = 0x6e736673, .dev = LINUX_MKDEV(0, 4), .nocache = true};

/* A file that can be opened and compared, and nothing else. */
static int ns_follow(unused_arg struct task *task, struct pseudo_node *node, struct path *out)
{
	struct inode *inode = inode_new(&ns_sb, node->entry->arg, LINUX_S_IFREG | 0444, &ns_iops, &ns_fops);
	char name[64];

	if (inode == NULL)
		return -LINUX_ENOMEM;
	ns_name(node, name);
	out->mount = NULL;
	out->dentry = dentry_new(NULL, name, strlen(name));
	if (out->dentry == NULL) {
		inode_put(inode);
		return -LINUX_ENOMEM;
	}
	out->dentry->sb = &ns_sb;
	out->dentry->inode = inode;
	return 0;
}

#define NS(n, kind, number) P_LINK(n, ns_readlink, .follow = ns_follow, .text = (kind), .arg = (number), .check = proc_check_access)
static const struct pseudo_entry ns_entries[] = {
	NS("cgroup", "cgroup", 4026531835),
	NS("ipc", "ipc", 4026531839),
	NS("mnt", "mnt", 4026531841),
	NS("net", "net", 4026531840),
	NS("pid", "pid", 4026531836),
	NS("pid_for_children", "pid", 4026531836),
	NS("time", "time", 4026531834),
	NS("time_for_children", "time", 4026531834),
	NS("user", "user", 4026531837),
	NS("uts", "uts", 4026531838),
};
const struct pseudo_dir proc_ns_dir = PSEUDO_DIR(ns_entries);

/* ---- exe, cwd, root ---- */

static int exe_path(struct pseudo_node *node, struct path *out)
{
	struct mm *mm = node_task(node)->mm;

	if (mm == NULL || mm->exe == NULL)
		return -LINUX_ENOENT;
	return path_copy(&mm->exe->path, out);
}

static int cwd_path(struct pseudo_node *node, struct path *out)
{
	struct fs_context *fs = node_task(node)->fs;

	return fs == NULL ? -LINUX_ENOENT : path_copy(&fs->cwd, out);
}

static int root_path(struct pseudo_node *node, struct path *out)
{
	struct fs_context *fs = node_task(node)->fs;

	return fs == NULL ? -LINUX_ENOENT : path_copy(&fs->root, out);
}

static int link_name(struct task *task, struct pseudo_node *node, int (*get)(struct pseudo_node *, struct path *),
		     char **target)
{
	struct path path;
	int err = get(node, &path);

	if (err != 0)
		return err;
	err = vfs_path_name(task, &path, true, target);
	path_put(&path);
	return err;
}

int proc_exe_readlink(struct task *task, struct pseudo_node *node, char **target)
{
	return link_name(task, node, exe_path, target);
}

int proc_exe_follow(unused_arg struct task *task, struct pseudo_node *node, struct path *out)
{
	return exe_path(node, out);
}

int proc_cwd_readlink(struct task *task, struct pseudo_node *node, char **target)
{
	return link_name(task, node, cwd_path, target);
}

int proc_cwd_follow(unused_arg struct task *task, struct pseudo_node *node, struct path *out)
{
	return cwd_path(node, out);
}

int proc_root_readlink(struct task *task, struct pseudo_node *node, char **target)
{
	return link_name(task, node, root_path, target);
}

int proc_root_follow(unused_arg struct task *task, struct pseudo_node *node, struct path *out)
{
	return root_path(node, out);
}
