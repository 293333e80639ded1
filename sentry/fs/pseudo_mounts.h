/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filesystems that start() mounts: each call makes a new superblock with its root, or gives NULL if memory is out.
 * They live as long as the sandbox.
 */
#ifndef SENTRY_FS_PSEUDO_MOUNTS_H
#define SENTRY_FS_PSEUDO_MOUNTS_H

struct file;
struct superblock;
struct thread_group;
struct tty;

struct superblock *proc_new_superblock(void);
/* The process of an open /proc/PID directory (borrowed, lives as long as file), or NULL: pidfd_send_signal takes those. */
struct thread_group *proc_file_group(struct file *file);
/* A tmpfs with the usual nodes and links and the directories pts, shm and mqueue to mount on. */
struct superblock *dev_new_superblock(void);
struct superblock *devpts_new_superblock(void);
struct superblock *sys_new_superblock(void);
/* cgroup v2's files as the root of a cgroup namespace shows them: read-only. */
struct superblock *cgroup_new_superblock(void);
/* The one POSIX message queue namespace: every call gives the same superblock. */
struct superblock *mqueue_new_superblock(void);

/* What /dev/console opens (counted); NULL: none. */
void dev_set_console(struct tty *tty);
/* The same, borrowed; NULL: none. What the host's terminal says (^C, a new size) goes there: tty_signal(). */
struct tty *dev_console(void);

/* Character devices (null, zero, tty...) into the registry; once, before the first open. */
void dev_init(void);

#endif
