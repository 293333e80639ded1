/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes names and attributes: the logic of mkdir(2), unlink(2), rename(2), utimensat(2)..., with the checks that
 * Linux makes and in its order. Path arguments are sentry strings; all borrow what they are given.
 */
#ifndef SENTRY_VFS_MODIFY_H
#define SENTRY_VFS_MODIFY_H

#include "sentry/vfs/vfs.h"

int vfs_mkdir(struct task *task, int dirfd, const char *name, uint32_t mode) must_check;
/* mode holds the type, which is checked here: -LINUX_EPERM for directories, -LINUX_EINVAL for unknown ones. */
int vfs_mknod(struct task *task, int dirfd, const char *name, uint32_t mode, uint64_t rdev) must_check;
/* Makes a socket's name for bind(2): returns the new inode (a reference) in *out; -LINUX_EADDRINUSE if the name exists.
 * mode: LINUX_S_IFSOCK and permission bits, to which umask is applied. */
int vfs_mksock(struct task *task, const char *name, uint32_t mode, struct inode **out) must_check;
int vfs_symlink(struct task *task, const char *target, int dirfd, const char *name) must_check;
int vfs_link(struct task *task, const struct path *old, int dirfd, const char *name) must_check;
int vfs_unlink(struct task *task, int dirfd, const char *name) must_check;
int vfs_rmdir(struct task *task, int dirfd, const char *name) must_check;
/* flags: LINUX_RENAME_*, already checked to fit together. */
int vfs_rename(struct task *task, int old_dirfd, const char *old_name, int new_dirfd, const char *new_name,
	       unsigned flags) must_check;

/* times NULL: now. nsec may be LINUX_UTIME_NOW or LINUX_UTIME_OMIT; already checked to be valid. path may be NULL. */
int vfs_utimes(struct task *task, const struct path *path, struct inode *inode,
	       const struct ktimespec times[2]) must_check;
int vfs_truncate(struct task *task, const struct path *path, int64_t len) must_check;
int vfs_ftruncate(struct task *task, struct file *file, int64_t len) must_check;
int vfs_fallocate(struct task *task, struct file *file, int mode, int64_t off, int64_t len) must_check;

#endif
