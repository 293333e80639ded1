/* SPDX-License-Identifier: Apache-2.0 */
/* Writable bind mounts: a directory (or file) of the host, changed through the gofer; see bindfs.c. */
#ifndef SENTRY_FS_BINDFS_H
#define SENTRY_FS_BINDFS_H

#include "sentry/vfs/vfs.h"

/* Shows the gofer's writable directory `root`. NULL: *err. Lives as long as the sandbox. */
struct superblock *bindfs_new_superblock(struct task *task, unsigned root, int *err) must_check;

#endif
