/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks on files: flock(2), POSIX record locks and open file description locks (fcntl(2)). See vfs/locks.c.
 *
 * What vfs/files.c and vfs/file.c must call: locks_close_fd() when a descriptor is closed (before its reference is
 * put), locks_release_file() when a description's last reference goes, locks_free() when an inode is freed.
 */
#ifndef SENTRY_VFS_LOCKS_H
#define SENTRY_VFS_LOCKS_H

#include "sentry/abi/fs.h"
#include "sentry/base/types.h"

struct file;
struct files;
struct inode;
struct task;

/* flock(2); op is LINUX_LOCK_SH, EX or UN, with LINUX_LOCK_NB. Sleeps. */
int locks_flock(struct task *task, struct file *file, int op) must_check;
/* F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW. Sleeps for the W forms. */
int locks_set(struct task *task, struct file *file, int cmd, const struct linux_flock *fl) must_check;
/* F_GETLK, F_OFD_GETLK: fl becomes the first lock in the way, or its type becomes LINUX_F_UNLCK. */
int locks_get(struct task *task, struct file *file, int cmd, struct linux_flock *fl) must_check;

/* A descriptor of the table `owner` was closed: its POSIX locks on the file go, as the standard has it. Cheap if the
 * inode has no locks. */
void locks_close_fd(struct file *file, struct files *owner);
/* The description is going: its flock and OFD locks go. Cheap if the inode has no locks. */
void locks_release_file(struct file *file);
/* The inode is being freed; no lock is left on it. NULL-safe: sets inode->locks to NULL. */
void locks_free(struct inode *inode);

/* For /proc/locks: calls fn for each lock, oldest inode first. */
struct lock_view {
	int kind;          /* 0 FLOCK, 1 POSIX, 2 OFDLCK */
	int type;          /* LINUX_F_RDLCK, LINUX_F_WRLCK */
	int32_t pid;       /* -1 for OFD */
	uint64_t start, end; /* end: last byte, INT64_MAX for end of file */
	const struct inode *inode;
};
void locks_for_each(void (*fn)(void *arg, const struct lock_view *view), void *arg);

#endif
