/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of memfs that know the lower tree share: memfs_listing.c, memfs_ahead.c, memfs_lower.c. */
#ifndef SENTRY_FS_MEMFS_LISTING_H
#define SENTRY_FS_MEMFS_LISTING_H

#include "sentry/fs/memfs_internal.h"

enum name_state { SEEN, HIDDEN, ABSENT };

/* What is known of a lower directory. */
struct lower_dir {
	uint8_t *rec;        /* records, one behind the other */
	size_t len, cap;
	uint32_t *off;       /* of each record in rec, in the host's order */
	uint8_t *state;      /* enum name_state of each */
	uint32_t n, room;
	uint32_t *slot;      /* hash table: index + 1, 0 is free; nslots a power of two above n */
	uint32_t nslots;
	uint32_t nseen;
	uint32_t asked;
	uint32_t reads;      /* requests for contents, READS_MAX at most are counted */
	uint32_t fills;      /* requests for attributes of bare names, FILLS_MAX at most are counted */
	bool complete;       /* every name of the lower directory is here */
	bool read;           /* whole, by somebody: a listing can also have come with a missing name */
	bool not_small;      /* a name was missing, and no listing came with the news */
	bool unlistable;     /* it may be searched but not read: asked name by name for ever */
};

/* A flag of ours in gofer_record.flags: told ahead, and nobody has looked at it yet. */
#define LOWER_AHEAD 0x80000000U
#define LOWER_XAHEAD 0x40000000U /* the same of whether it has extended attributes */

static inline struct gofer_record *lower_record(const struct lower_dir *ld, uint32_t i)
{
	return (struct gofer_record *)(ld->rec + ld->off[i]);
}

/* ---- memfs_listing.c ---- */
void lower_dir_free(struct lower_dir *ld);
/* The index of a name, or -1. */
int64_t lower_dir_find(const struct lower_dir *ld, const char *name, size_t len);
/* Adds a copy of a record, or of a name alone (r NULL). 0 or -LINUX_ENOMEM. */
int lower_dir_add(struct lower_dir *ld, const struct gofer_record *r, const char *name, size_t len, enum name_state state);
/* A bare record becomes r, which has the name or none; any other stays as it is. 0 or -LINUX_ENOMEM. */
int lower_dir_fill(struct lower_dir *ld, uint32_t i, const struct gofer_record *r);
/* The name isn't there any more. */
void lower_dir_gone(struct lower_dir *ld, uint32_t i);
/* dir->dir.lower is there after this. 0 or -LINUX_ENOMEM. */
int lower_dir_known(struct mem_node *dir);
/* Is dir's listing complete, if need be by one that was kept? */
bool lower_listed(struct mem_node *dir);

/* Keeps what came with GOFER_WALK_LIST; a gofer_take_fn, arg is the tree. */
void lower_take_small(void *arg, const uint8_t *data, size_t len, const uint8_t *shared, int *fd);

/* Listings that came with others, of directories nobody has read yet: oldest first. They go when they are used, or by age. */
struct kept_listing {
	struct list link;
	const struct lower_tree *tree;
	struct lower_dir *ld;
	uint32_t hash;
	size_t bytes;
	bool guessed; /* asked for because others were: how many is guessed by how many of them are used */
	char path[];
};
extern struct list lower_kept;
/* path has len bytes. */
struct kept_listing *lower_kept_find(const struct lower_tree *tree, const char *path, size_t len);

/* ---- memfs_ahead.c ---- */
/* How many names' attributes to ask for ahead, and how the last ones did. */
extern struct mem_window lower_attr_window;
/* The same of whether they have extended attributes. */
extern struct mem_window lower_xattr_window;
/* The directory that lists n, if it is known whole, or NULL. Borrowed. */
struct mem_node *lower_listed_in(struct mem_node *n);
/*
 * Replaces the bare record of a name in dir, which the caller holds, and those of some that are likely to be wanted next. open:
 * its contents will be wanted, too. 0: it isn't bare any more, or not there; in *a, for gofer_answer_done, may be its
 * descriptor. Or -errno. Sleeps.
 */
int lower_fill(struct task *task, struct mem_node *dir, const char *name, size_t len, bool open, struct gofer_answer *a) must_check;
/* Asks for the contents of n, a small file, and of some that it will want next. 0 or -errno; *a as above. */
int lower_read(struct task *task, struct mem_node *n, struct gofer_answer *a) must_check;
/* Has n's lower file extended attributes? Asks, for those that follow it too, if that isn't known. 0 or -errno. */
int lower_has_xattrs(struct task *task, struct mem_node *n, bool *has) must_check;

#endif
