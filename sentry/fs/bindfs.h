/* SPDX-License-Identifier: Apache-2.0 */
/* Writable bind mounts: a directory (or file) of the host, changed through the gofer; see bindfs.c. */
#ifndef SENTRY_FS_BINDFS_H
#define SENTRY_FS_BINDFS_H

#include "sentry/vfs/vfs.h"

struct lower_tree;

/* Shows a gofer's writable directory (borrowed; NULL is -LINUX_ENOMEM). NULL: *err. Never freed. */
struct superblock *bindfs_new_superblock(struct task *task, struct lower_tree *tree, int *err) must_check;

#endif
