/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify and the hooks that feed it; see vfs/inotify.c.
 *
 * Where events come from: vfs_open (fsnotify_file IN_OPEN, fsnotify IN_CREATE in the directory), file_put (IN_CLOSE_*),
 * vfs_read and vfs_write (IN_ACCESS, IN_MODIFY), vfs_setattr (fsnotify_path IN_ATTRIB, IN_MODIFY for sizes), exec,
 * vfs/modify.c (names). When nobody watches anything all of them cost one comparison.
 */
#ifndef SENTRY_VFS_INOTIFY_H
#define SENTRY_VFS_INOTIFY_H

#include "sentry/abi/event.h"
#include "sentry/vfs/vfs.h"

/* Marks in the whole sandbox. */
extern uint32_t inotify_nmarks;

int inotify_open(struct task *task, int flags) must_check;
bool file_is_inotify(const struct file *file);
/* The watch descriptor, or -errno. Borrows the inode. */
int inotify_watch(struct task *task, struct file *file, struct inode *inode, uint32_t mask) must_check;
int inotify_unwatch(struct task *task, struct file *file, int wd) must_check;

/* Tells the directory (with the name) and the object itself. */
void fsnotify_path_slow(const struct path *path, uint32_t mask);
void fsnotify_file_slow(struct file *file, uint32_t mask);
static inline void fsnotify_path(const struct path *path, uint32_t mask)
{
	if (__builtin_expect(inotify_nmarks != 0, 0))
		fsnotify_path_slow(path, mask);
}
static inline void fsnotify_file(struct file *file, uint32_t mask)
{
	if (__builtin_expect(inotify_nmarks != 0, 0))
		fsnotify_file_slow(file, mask);
}

/* vfs/dentry.c: the last dentry of an inode without links is gone. IN_DELETE_SELF, and the marks go. */
void fsnotify_inode_removed(struct inode *inode);
/* vfs/mount.c: the superblock is unmounted: IN_UNMOUNT for its marks. */
void fsnotify_unmounted(struct superblock *sb);

/* F_NOTIFY (dnotify): sig is the file's owner_sig or SIGIO. */
int dnotify_set(struct task *task, struct file *file, uint64_t mask) must_check;
/* The description is going (vfs/file.c). */
void dnotify_release(struct file *file);

#endif
