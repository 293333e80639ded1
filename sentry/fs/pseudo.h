/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A toolkit for filesystems whose contents are made up when they are looked at: proc, sys, cgroup.
 *
 * A directory is a table of entries; an entry is a name, a mode and functions: `show` prints a file's text when it is
 * read from its start, `store` takes what is written, `readlink` and `follow` serve links. A directory may also have
 * entries that no table knows (process ids, descriptors): its `lookup` and `iterate`.
 *
 *	walk -> table or lookup() -> struct pseudo_node {entry, object, num} -> show(), store(), readlink()...
 *
 * The object says whom a node is about (a process, in proc) and is counted by each node; num tells members of a series
 * apart. Nothing is cached: names are looked up at each walk, and inode numbers are a hash of the way there.
 */
#ifndef SENTRY_FS_PSEUDO_H
#define SENTRY_FS_PSEUDO_H

#include "sentry/vfs/vfs.h"

struct pseudo_dir;
struct pseudo_list;
struct pseudo_node;

/* ---- text that grows ---- */

struct text_buf {
	char *data; /* NULL until something was written; not NUL-terminated */
	size_t len, cap;
	int err;    /* 0, or -LINUX_ENOMEM: later writes do nothing */
};

void text_init(struct text_buf *b);
void text_free(struct text_buf *b);
void text_write(struct text_buf *b, const void *data, size_t len);
void text_puts(struct text_buf *b, const char *s);
void text_printf(struct text_buf *b, const char *fmt, ...) printf_like(2, 3);
/* s with each byte that is in `escape`, and the backslash, as \ooo: names in mount tables and maps. */
void text_escape(struct text_buf *b, const char *s, const char *escape);
/* Spaces up to column `col` of a line that began at `line`. */
void text_pad(struct text_buf *b, size_t line, size_t col);

/* ---- entries ---- */

struct pseudo_entry {
	const char *name; /* NULL in entries that only a directory's lookup() hands out */
	uint32_t mode;    /* LINUX_S_IF* and permission bits */
	/* Regular files. show prints the whole text; 0 or -errno. store takes one write's bytes (NUL-terminated behind
	 * len, at most PSEUDO_STORE_MAX); 0 or -errno. */
	int (*show)(struct task *task, struct pseudo_node *node, struct text_buf *b);
	int (*store)(struct task *task, struct pseudo_node *node, char *data, size_t len);
	/* Symbolic links: a string to kfree. follow makes a magic link of it; it returns references. */
	int (*readlink)(struct task *task, struct pseudo_node *node, char **target);
	int (*follow)(struct task *task, struct pseudo_node *node, struct path *out);
	/* Asked before a file is opened, a link is read or followed, a directory is listed or searched. Optional. */
	int (*check)(struct task *task, struct pseudo_node *node);
	/* Optional: false hides the entry here. */
	bool (*visible)(struct task *task, struct pseudo_node *parent);
	const struct pseudo_dir *dir;  /* directories: required */
	const struct file_ops *fops;   /* a file with operations of its own: file_node(file) finds the node */
	const char *text;              /* for generators shared by several entries */
	uint64_t arg;
};

#define PSEUDO_STORE_MAX 4095UL

struct pseudo_found {
	const struct pseudo_entry *entry;
	void *object; /* a reference that is taken, or NULL: the directory's own object */
	uint64_t num;
};

struct pseudo_dir {
	const struct pseudo_entry *entries;
	unsigned nentries;
	/* Names that aren't in the table. 0, -LINUX_ENOENT or another errno. Optional. */
	int (*lookup)(struct task *task, struct pseudo_node *dir, const char *name, struct pseudo_found *out);
	/* Lists those with an index >= from, ascending, by pseudo_emit until it returns false. Optional. */
	int (*iterate)(struct task *task, struct pseudo_node *dir, uint64_t from, struct pseudo_list *list);
	/* Changes what stat tells of the directory; not asked when its object has gone. Optional. */
	void (*getattr)(struct pseudo_node *dir, struct kstat *st);
};

#define PSEUDO_DIR(table, ...) {.entries = (table), .nentries = ARRAY_LEN(table), ##__VA_ARGS__}

struct pseudo_node {
	const struct pseudo_entry *entry;
	void *object; /* counted by the filesystem's object_get, or NULL */
	uint64_t num;
	struct inode *inode; /* borrowed: it owns this node */
};

struct pseudo_fs {
	struct superblock sb;
	void (*object_get)(void *object);
	void (*object_put)(void *object);
	/* Do both stand for the same thing? Required with objects. */
	bool (*object_same)(const void *a, const void *b);
	/* The directory's object is still there (a process that ended isn't): 0 or -errno. Optional. */
	int (*object_check)(void *object);
	/* Sets uid and gid of a new inode, and may change its mode. Optional: root's. */
	void (*own)(struct inode *inode, struct pseudo_node *node);
};

/* Emits one name that lookup() would find. false: no more room, stop. */
bool pseudo_emit(struct pseudo_list *list, const char *name, uint32_t mode, uint64_t index);

/* Fills fs->sb and makes the root directory of `root`. 0 or -LINUX_ENOMEM. */
int pseudo_fs_init(struct pseudo_fs *fs, const char *fs_type, uint32_t magic, const struct pseudo_entry *root) must_check;

static inline struct pseudo_node *inode_node(const struct inode *inode)
{
	return inode->private_data;
}
static inline struct pseudo_node *file_node(const struct file *file)
{
	return file->inode->private_data;
}

/* Generators: the entry's text, or its arg in decimal and a newline. */
int pseudo_show_text(struct task *task, struct pseudo_node *node, struct text_buf *b);
int pseudo_show_number(struct task *task, struct pseudo_node *node, struct text_buf *b);
/* The entry's text is the target. */
int pseudo_readlink_text(struct task *task, struct pseudo_node *node, char **target);

/* A number as /proc/sys takes it: blanks around it are allowed. 0 or -LINUX_EINVAL. */
int pseudo_parse_u64(const char *s, uint64_t *out) must_check;
int pseudo_parse_s64(const char *s, int64_t *out) must_check;
/* A name that is a decimal number as /proc/PID takes it (no sign, no leading zero); UINT32_MAX if not. */
uint32_t pseudo_parse_name(const char *name);

#define P_DIR(n, perm, d, ...) {.name = (n), .mode = LINUX_S_IFDIR | (perm), .dir = (d), ##__VA_ARGS__}
#define P_FILE(n, perm, fn, ...) {.name = (n), .mode = LINUX_S_IFREG | (perm), .show = (fn), ##__VA_ARGS__}
#define P_LINK(n, fn, ...) {.name = (n), .mode = LINUX_S_IFLNK | 0777, .readlink = (fn), ##__VA_ARGS__}
#define P_TEXT(n, t) P_FILE(n, 0444, pseudo_show_text, .text = (t))
#define P_NUMBER(n, v) P_FILE(n, 0444, pseudo_show_number, .arg = (v))

#endif
