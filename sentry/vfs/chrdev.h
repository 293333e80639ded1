/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character devices: which driver stands behind a device node. Nodes are inodes of any filesystem (mknod); opening one
 * comes here by its number. Block devices have no driver: opening one gives ENXIO.
 */
#ifndef SENTRY_VFS_CHRDEV_H
#define SENTRY_VFS_CHRDEV_H

#include "sentry/vfs/vfs.h"

#define CHRDEV_ANY_MINOR UINT32_MAX

/*
 * From now on nodes of major:minor (or of every minor not registered itself) open with ops. open is optional: it is
 * called with file->ops already set, may replace file->ops, file->private_data and FMODE bits, and may sleep; an error
 * fails the open. Registered at start, never removed. -LINUX_ENOMEM, -LINUX_EBUSY.
 */
int chrdev_register(uint32_t major, uint32_t minor, const struct file_ops *ops,
		    int (*open)(struct task *task, struct inode *inode, struct file *file)) must_check;
/* Opens file (new, inode a character device) by its driver. 0, -LINUX_ENXIO or the driver's error. */
int chrdev_open(struct task *task, struct inode *inode, struct file *file) must_check;

#endif
