/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-memory filesystem: tmpfs mounts, the merged root over a read-only lower tree, memfds.
 *
 * How a sandbox is put together (sentry/kernel/init.c), all before the first task runs or on a task's coroutine:
 *
 *	gofer_client_start(sock)                             the socketpair's end; see fs/lower.h
 *	memfs_mount_root(&options)                           lower root 0 with memory on top; "/" from then on
 *	memfs_new_superblock(&options) + vfs_mount(...)      a tmpfs, or a read-only bind (options.lower)
 *	bindfs_new_superblock(...)     + vfs_mount(...)      a writable bind; see fs/bindfs.h
 *	memfs_make(...)                                      nodes that must be there: mountpoints, /dev
 */
#ifndef SENTRY_FS_MEMFS_H
#define SENTRY_FS_MEMFS_H

#include "sentry/vfs/vfs.h"

struct lower_tree;

struct memfs_options {
	const char *fs_type;  /* "tmpfs", "overlay"...: as /proc/mounts shows it; static */
	uint32_t magic;       /* statfs; 0: TMPFS's, or OVERLAYFS's with a lower tree */
	uint64_t size;        /* bytes of file data; 0: no limit but kernel.disk_limit */
	uint64_t max_inodes;  /* 0: none */
	uint32_t mode;        /* of the root directory without a lower tree; 0: 01777 */
	kuid_t uid;
	kgid_t gid;
	struct lower_tree *lower; /* NULL: empty at first. Borrowed for ever */
	bool readonly;        /* nothing is ever written: no copy-up, EROFS */
};

/* A new filesystem with its root; NULL if memory is out, or the lower tree's root can't be read (*err says which). */
struct superblock *memfs_new_superblock(const struct memfs_options *o, int *err) must_check;
/* The same, mounted as the sandbox's root. 0 or -errno. mount_flags: LINUX_MS_RDONLY for a read-only root. */
int memfs_mount_root(const struct memfs_options *o, uint64_t mount_flags, const char *source, const char *options) must_check;

/* Drops all that was written to it (other filesystems: nothing): its container has ended, and its superblock stays. What somebody
 * still has open keeps its contents. There may be a million names: task lets others run now and then; NULL: it doesn't. The
 * caller holds sb. */
void memfs_empty(struct superblock *sb, struct task *task);

/*
 * Makes a node in parent, of any kind by mode (target: a symlink's), with owner uid:gid; task NULL at start. If the name
 * exists as a directory and a directory is asked for, that one is given. Returns a reference in *out (out may be NULL).
 */
int memfs_make(struct task *task, struct dentry *parent, const char *name, uint32_t mode, uint64_t rdev, const char *target,
	       kuid_t uid, kgid_t gid, struct dentry **out) must_check;
/* Directories along an absolute path from the sandbox's root, made (0755, root's) where they are missing: mountpoints of
 * a bundle. With file true the last one is an empty regular file. Returns references in *out. */
int memfs_make_path(struct task *task, const char *path, bool file, struct path *out) must_check;

/* memfd_create(2): a file of no name, "/memfd:NAME (deleted)". Its seals begin as given (LINUX_F_SEAL_SEAL: no sealing). */
struct file *memfs_new_memfd(struct task *task, const char *name, uint32_t seals, uint32_t mode, uint32_t flags) must_check;
/* Anonymous shared memory that a file stands for (shmget, MAP_SHARED | MAP_ANONYMOUS). */
struct file *memfs_new_anon(struct task *task, const char *name, uint64_t size) must_check;
/* True for files that F_ADD_SEALS may work on. */
bool memfs_is_memfd(const struct inode *inode);

/* How many host descriptors memfs may hold (memfds that are idle and lower files). Default 800. */
void memfs_set_fd_budget(unsigned n);
/* Counts the blocks of mapped files anew (guests fill holes by storing to them). Call it as often as limits are looked
 * at; cheap if no file is mapped. */
void memfs_sample(void);
/* Bytes in the memfds that files have become to be mapped. *any is set if guests can fill some of them, *open if
 * somebody has one of those open: else only who kept a mapping against our word can. */
uint64_t memfs_memfd_bytes(bool *any, bool *open);
/* Bytes of file data in all memory filesystems, and whether kernel.disk_limit ever refused some. */
uint64_t memfs_disk_used(void);
extern bool memfs_disk_limit_hit;

#endif
