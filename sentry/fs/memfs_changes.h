/* SPDX-License-Identifier: Apache-2.0 */
/* What the run has changed in a filesystem over a lower tree: see memfs_changes.c. */
#ifndef SENTRY_FS_MEMFS_CHANGES_H
#define SENTRY_FS_MEMFS_CHANGES_H

#include "sentry/vfs/vfs.h"

/* All is mounted: what was made up to now, since the root was, is the sandbox's own and no change of the run's. */
void memfs_started(void);

struct mem_changes;

/* A look at root's filesystem (memfs's) as it is now; it goes on changing. 0, or -LINUX_ENOMEM. */
int mem_changes_new(const struct dentry *root, struct mem_changes **out) must_check;
void mem_changes_free(struct mem_changes *c);

struct mem_changes_emit {
	/* gone: the lower tree's name was removed and nothing took its place. False: no more. */
	bool (*add)(struct mem_changes_emit *e, const char *name, size_t len, bool gone);
};
/* The names in dir (at: its path from the root, "" for that) which are worth a look, and those that are gone. Sleeps. */
int mem_changes_names(struct task *task, struct mem_changes *c, struct dentry *dir, const char *at,
		      struct mem_changes_emit *e) must_check;

enum mem_change {
	MEM_SAME,
	MEM_BELOW,   /* a directory as the sandbox or the image made it; something in it may have changed */
	MEM_CHANGED, /* also: in place of something else */
	MEM_ADDED,
};
/* What d is, a name in a directory at `at`. *opaque: a new directory in place of one of the lower tree's. *whole: the names
 * in it are all worth a look, and added. */
enum mem_change mem_changes_of(const struct mem_changes *c, const struct dentry *d, const char *at, bool *opaque, bool *whole);

#endif
