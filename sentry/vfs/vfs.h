/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual filesystem: inodes, dentries, mounts, file descriptions, path walking.
 *
 *   path --(walk)--> struct path {mount, dentry} --> inode --(open)--> struct file --> descriptor table
 *
 * Filesystems (memfs over the lower layer, proc, dev, sys, pts, mqueue...) fill inode_ops and file_ops. As in ramfs, a
 * dentry may be the only record of a name (memfs pins its dentries); proc-like filesystems look names up each time.
 * Permission checks are the VFS's, by fsuid and capabilities, before an op is called. Ops may sleep.
 *
 * References: struct path holds one on its mount and dentry; a dentry holds its inode and its parent; a file holds its
 * path and inode. Functions say borrows / takes / returns a reference.
 */
#ifndef SENTRY_VFS_VFS_H
#define SENTRY_VFS_VFS_H

#include "sentry/abi/fs.h"
#include "sentry/base/list.h"
#include "sentry/base/ref.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/waitq.h"
#include "sentry/vfs/iobuf.h"

struct dentry;
struct file;
struct file_lock_list;
struct inode;
struct mount;
struct path;
struct dir_emit;
struct pipe;
struct unix_socket;
struct superblock_ops;
struct file_ops;
struct superblock;
struct task;
struct text_file;

struct ktimespec {
	int64_t sec;
	int64_t nsec;
};

/* ---- inodes ---- */

/* What stat tells; filled by vfs from the inode's fields unless ops->getattr changes it. */
struct kstat {
	uint64_t dev, ino, rdev, size, blocks;
	uint32_t mode, nlink, uid, gid, blksize;
	struct ktimespec atime, mtime, ctime, btime;
	uint64_t mnt_id;
	uint64_t attributes, attributes_mask; /* statx */
};

#define ATTR_MODE 1U
#define ATTR_UID 2U
#define ATTR_GID 4U
#define ATTR_SIZE 8U
#define ATTR_ATIME 16U
#define ATTR_MTIME 32U
#define ATTR_CTIME 64U
#define ATTR_TIMES_SET 128U /* atime, mtime are the caller's (utimensat with times): the owner's right, not a writer's */
#define ATTR_FORCE 256U     /* no permission checks: ftruncate, O_TRUNC, which were checked at open */
struct iattr {
	uint32_t valid; /* ATTR_* */
	uint32_t mode;
	kuid_t uid;
	kgid_t gid;
	uint64_t size;
	struct ktimespec atime, mtime, ctime;
};

struct inode_ops {
	/* Directories. All names are one component, no slash, not . or .., at most LINUX_NAME_MAX bytes. */
	/* Required for directories. Finds name and gives its inode (a reference) in *out; -LINUX_ENOENT. */
	int (*lookup)(struct task *task, struct inode *dir, struct dentry *dentry, struct inode **out);
	/* Optional (NULL: -LINUX_EPERM; read-only filesystems: -LINUX_EROFS before). Each makes the inode, links it, and
	 * gives it in *out. mode holds type and permission bits, umask applied; owner ids come from the task's fsuid/fsgid. */
	int (*create)(struct task *task, struct inode *dir, struct dentry *dentry, uint32_t mode, struct inode **out);
	int (*mkdir)(struct task *task, struct inode *dir, struct dentry *dentry, uint32_t mode, struct inode **out);
	int (*mknod)(struct task *task, struct inode *dir, struct dentry *dentry, uint32_t mode, uint64_t rdev, struct inode **out);
	int (*symlink)(struct task *task, struct inode *dir, struct dentry *dentry, const char *target, struct inode **out);
	int (*link)(struct task *task, struct inode *dir, struct dentry *dentry, struct inode *inode);
	int (*unlink)(struct task *task, struct inode *dir, struct dentry *dentry);
	int (*rmdir)(struct task *task, struct inode *dir, struct dentry *dentry);
	/* flags: LINUX_RENAME_*. new_dentry may be negative. */
	int (*rename)(struct task *task, struct inode *old_dir, struct dentry *old_dentry, struct inode *new_dir,
		      struct dentry *new_dentry, unsigned flags);
	int (*tmpfile)(struct task *task, struct inode *dir, uint32_t mode, struct inode **out);

	/* Symbolic links: required for them. A string to kfree in *target. */
	int (*readlink)(struct task *task, struct inode *inode, char **target);
	/* Optional: a magic link (/proc/self/fd/N) that leads to a path without walking names. Returns references. */
	int (*follow)(struct task *task, struct inode *inode, struct path *out);

	/* Optional. */
	int (*getattr)(struct task *task, struct inode *inode, struct kstat *st);
	/* Optional: default changes the inode's fields. Permission has been checked. Truncation comes here as ATTR_SIZE. */
	int (*setattr)(struct task *task, struct inode *inode, const struct iattr *attr);
	/* Optional: default by mode bits. mask: MAY_READ, MAY_WRITE, MAY_EXEC. */
	int (*permission)(struct task *task, struct inode *inode, int mask);
	/* Extended attributes; optional: -LINUX_EOPNOTSUPP. size 0 asks for the length. Return lengths. */
	int64_t (*getxattr)(struct task *task, struct inode *inode, const char *name, void *value, size_t size);
	int (*setxattr)(struct task *task, struct inode *inode, const char *name, const void *value, size_t size, int flags);
	int64_t (*listxattr)(struct task *task, struct inode *inode, char *list, size_t size);
	int (*removexattr)(struct task *task, struct inode *inode, const char *name);

	/* Called when a file is opened; the file has inode, path and flags set, ops = inode->fops. Optional: may replace
	 * file->ops and set file->private_data. */
	int (*open)(struct task *task, struct inode *inode, struct file *file);
	/* The last reference is gone: free fs-private data. Optional. */
	void (*evict)(struct inode *inode);
};

struct inode {
	struct ref ref;
	const struct inode_ops *ops;
	const struct file_ops *fops; /* what open gives a file */
	struct superblock *sb;       /* borrowed: the superblock outlives its inodes */
	uint64_t ino;
	uint32_t mode;               /* type and permission bits */
	uint32_t nlink;
	kuid_t uid;
	kgid_t gid;
	uint64_t rdev;
	uint64_t size;               /* bytes; kept by the filesystem */
	uint64_t blocks;             /* of 512 bytes */
	struct ktimespec atime, mtime, ctime, btime;
	uint32_t writers;            /* open files with FMODE_WRITE: exec of it gives ETXTBSY, maps of it are shared */
	uint32_t exec_count;         /* running as an executable: open for writing gives ETXTBSY */
	uint32_t seals;              /* LINUX_F_SEAL_*, kept by every write, truncate and map of memfs; F_SEAL_SEAL: no more */
	bool busy_ok;                /* memfd: open for writing doesn't hinder execve (no ETXTBSY) */
	bool linkable;               /* O_TMPFILE without O_EXCL: link(2) may name it though nlink is 0 */
	struct dentry *alias;        /* borrowed: a dentry that shows it, the last one made; NULL if none */
	struct file_lock_list *locks; /* flock, POSIX and OFD locks; NULL if none */
	struct list watches;         /* inotify marks (struct inotify_mark.inode_link) */
	void *private_data;          /* the filesystem's */
	struct pipe *fifo;           /* FIFOs that are open */
	struct unix_socket *socket;  /* bound socket files, borrowed; cleared when that socket closes */
	struct text_file *text;      /* what is known of call sites in it (mm/text.c); NULL: nothing */
};

#define MAY_EXEC 1
#define MAY_WRITE 2
#define MAY_READ 4

/* Returns a reference with nlink 1 and times now; NULL if memory is out. ino 0: the superblock's next. */
struct inode *inode_new(struct superblock *sb, uint64_t ino, uint32_t mode, const struct inode_ops *ops,
			const struct file_ops *fops) must_check;
static inline struct inode *inode_get(struct inode *i)
{
	ref_get(&i->ref);
	return i;
}
void inode_put(struct inode *i);
/* 0 or -LINUX_EACCES / -LINUX_EROFS... */
int inode_permission(struct task *task, struct inode *inode, int mask) must_check;
bool inode_owner_or_capable(struct task *task, const struct inode *inode);
/* Has the task the capability, and does it count over this inode? Not if its owner or group isn't mapped (ids.h). */
bool inode_capable(const struct task *task, const struct inode *inode, int cap);
/* Owner and mode of a new inode in dir: fsuid, fsgid or a setgid directory's group. */
void inode_init_owner(struct task *task, const struct inode *dir, struct inode *inode);
void inode_touch(struct inode *inode, uint32_t which); /* ATTR_ATIME | ATTR_MTIME | ATTR_CTIME = now */
/* inode_permission, and -LINUX_EROFS for MAY_WRITE to what lies on a read-only mount (not to devices, FIFOs, sockets). */
int path_permission(struct task *task, const struct path *path, int mask) must_check;
/* -LINUX_EROFS on a read-only mount. */
int path_want_write(const struct path *path) must_check;
/* The calling file description (or path) was read: atime, as relatime and the mount's flags say. */
void vfs_touch_atime(const struct path *path, struct inode *inode);
static inline bool inode_is_dir(const struct inode *i)
{
	return (i->mode & LINUX_S_IFMT) == LINUX_S_IFDIR;
}

/* ---- dentries, mounts, paths ---- */

#define DENTRY_INLINE_NAME 40
struct dentry {
	struct ref ref;          /* 0 while it waits on the list of unused dentries, see dentry.c */
	struct dentry *parent;   /* counted; itself for a root */
	struct inode *inode;     /* counted; NULL: negative */
	struct superblock *sb;
	struct list children;    /* dentry.sibling */
	struct list sibling;
	struct list hash_link;   /* (parent, name) table */
	uint32_t hash;
	uint32_t mounted;        /* mounts on top of it, in any place */
	bool unhashed;           /* unlinked: reachable only by open files and cwds */
	bool pinned;             /* memfs: holds a reference of its own while linked */
	uint16_t name_len;
	void *private_data;
	struct list lru;         /* unused dentries, oldest first */
	char *name;              /* NUL-terminated; inline_name or allocated */
	char inline_name[DENTRY_INLINE_NAME];
};

struct superblock {
	const char *fs_type;     /* "tmpfs", "proc", ... as /proc/mounts names it */
	const struct superblock_ops *ops;
	uint64_t dev;
	uint64_t next_ino;
	uint32_t magic;          /* statfs */
	bool nocache;            /* names are looked up at every walk (proc) */
	bool no_new_names;       /* a missing name can't be made either: -LINUX_ENOENT, not a negative dentry (proc) */
	bool readonly;           /* nothing in it can be changed, whatever the mount says: -LINUX_EROFS */
	struct dentry *root;     /* counted */
	void *private_data;
};

struct linux_statfs;
struct superblock_ops {
	int (*statfs)(struct task *task, struct superblock *sb, struct linux_statfs *st); /* optional */
	/* For nocache: a new lookup has given `now` where the cache has `old`. True if both are the same thing: then the
	 * old dentry and inode stay (old may be brought up to date). Optional: only if they are one inode. */
	bool (*same)(struct inode *old, const struct inode *now);
};

/* Gives sb its root directory: makes the dentry, sets sb->root and, if sb->dev is 0, the next anonymous device number.
 * Takes the inode's reference, also on failure. 0 or -LINUX_ENOMEM. */
int superblock_set_root(struct superblock *sb, struct inode *root) must_check;

/* Mount flags, as mount(2)'s MS_*: RDONLY, NOSUID, NODEV, NOEXEC, NOATIME. */
struct mount {
	struct ref ref;
	struct superblock *sb;
	struct dentry *root;        /* counted */
	struct mount *parent;       /* counted; NULL for the root mount */
	struct dentry *mountpoint;  /* counted; in parent */
	struct list link;           /* all mounts in mount order */
	uint64_t flags;
	uint32_t id;
	char *source, *options;     /* for /proc/mounts */
};

struct path {
	struct mount *mount;   /* NULL: a dentry of vfs_file_path, in no mount */
	struct dentry *dentry;
};

static inline void path_get(struct path *p);
void path_put(struct path *p);
struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);
/* The cached child of parent, or NULL. Returns a reference. */
struct dentry *dentry_find(struct dentry *parent, const char *name, size_t len) must_check;
/* Makes an unhashed, negative child of parent. Returns a reference; NULL if memory is out. */
struct dentry *dentry_new(struct dentry *parent, const char *name, size_t len) must_check;
/* Gives d its inode (takes the reference) and puts it into the cache, in place of one of the same name. */
void dentry_add(struct dentry *d, struct inode *inode);
/* The name is gone (unlink, rmdir): out of the cache; pinned ones lose their pin. */
void dentry_drop(struct dentry *d);
/* Renames d to new_parent/name of `target` (whose place it takes; target is dropped unless exchange). 0 or -ENOMEM, with
 * nothing changed: filesystems prepare by dentry_move_prepare before they change anything. */
struct dentry_move {
	char *name, *other_name; /* long names, allocated; NULL: they fit */
};
int dentry_move_prepare(struct dentry_move *m, const struct dentry *d, const struct dentry *target) must_check;
void dentry_move_commit(struct dentry_move *m, struct dentry *d, struct dentry *target, bool exchange);
void dentry_move_abort(struct dentry_move *m);
bool dentry_is_ancestor(const struct dentry *ancestor, const struct dentry *d); /* or the same */
/* Frees every unused dentry: a test looks for leaks, memory is short. */
void dentry_trim(void);
/* The same for one filesystem's. */
void dentry_trim_of(const struct superblock *sb);
struct mount *mount_get(struct mount *m);
void mount_put(struct mount *m);
static inline void path_get(struct path *p)
{
	mount_get(p->mount);
	dentry_get(p->dentry);
}

/* Lookup flags. */
#define LOOKUP_FOLLOW 1U        /* follow a symlink in the last component */
#define LOOKUP_DIRECTORY 2U     /* must be a directory: -LINUX_ENOTDIR */
#define LOOKUP_EMPTY 4U         /* AT_EMPTY_PATH: "" means the descriptor itself */
#define LOOKUP_NO_SYMLINKS 8U   /* RESOLVE_NO_SYMLINKS ... */
#define LOOKUP_BENEATH 16U
#define LOOKUP_IN_ROOT 32U
#define LOOKUP_NO_XDEV 64U
#define LOOKUP_NO_MAGICLINKS 128U
#define LOOKUP_OPEN_CREATE 1024U /* O_CREAT: a slash behind the last name is -LINUX_EISDIR whatever it is */
#define LOOKUP_CREATE 256U      /* the last component may be missing */
#define LOOKUP_OPEN 512U        /* what is found will be opened: a hint */

/* What is known of the walk while it calls ops->lookup; good until the op first sleeps. A filesystem that must ask someone
 * can ask for more at once. */
struct lookup_hint {
	const char *rest; /* of the path, behind the name; NULL outside a walk */
	bool open;
};
extern struct lookup_hint vfs_lookup_hint;

/*
 * Walks a path from dirfd (LINUX_AT_FDCWD or a descriptor) for the task, as openat(2) does. On success *out holds
 * references. Errors: -LINUX_ENOENT, ENOTDIR, EACCES, ELOOP, ENAMETOOLONG, EBADF, EXDEV, ENOMEM.
 */
int vfs_lookup(struct task *task, int dirfd, const char *name, unsigned flags, struct path *out) must_check;
/* Walks to the parent and leaves the last component in *last (points into name's copy: kfree *buf afterwards). */
struct lookup_last {
	struct path parent;  /* references */
	struct dentry *dentry; /* a reference; negative if the name doesn't exist */
	bool trailing_slash;
	bool dot;            /* last component is "." or "..", or the path is "/": most calls give EINVAL/ENOTEMPTY/EEXIST */
	bool jumped;         /* a magic link led here: parent and dentry are the place itself, there is no name */
};
int vfs_lookup_last(struct task *task, int dirfd, const char *name, unsigned flags, struct lookup_last *out) must_check;
void lookup_last_put(struct lookup_last *l);
/* The path of l's dentry (positive), mounts on it crossed. Returns references; -LINUX_EXDEV under LOOKUP_NO_XDEV. */
int vfs_last_path(const struct lookup_last *l, unsigned flags, struct path *out) must_check;

/*
 * Changing names (vfs/modify.c): walk with vfs_lookup_last, check, then for
 *
 *	a new name	path_want_write, inode_permission(dir, MAY_WRITE | MAY_EXEC), ops->create/mkdir/..., dentry_add
 *	a removed one	may_delete(), ops->unlink/rmdir (which lowers nlink), dentry_drop
 *	rename		may_delete() of both, dentry_is_ancestor checks, dentry_move_prepare, ops->rename, dentry_move_commit
 *
 * Ops that may sleep check again what the walk found; a dentry that was given a name meanwhile is positive.
 */
/* May the task remove victim from its directory: write permission, sticky bit, mountpoint (-LINUX_EBUSY), and the type:
 * is_dir as rmdir wants it (-LINUX_ENOTDIR, -LINUX_EISDIR). victim is positive. */
int may_delete(struct task *task, const struct dentry *victim, bool is_dir) must_check;
/* Write permission in dir for a new name; -LINUX_ENOENT if dir was removed. */
int may_create(struct task *task, const struct dentry *dir) must_check;
/* The target of a symbolic link as readlink(2) shows it: a string to kfree. -LINUX_EINVAL if it is none. */
int vfs_readlink(struct task *task, const struct path *path, char **target) must_check;
int vfs_statfs(struct task *task, const struct path *path, struct linux_statfs *st) must_check;
/* Extended attributes; permission by namespace (xattr(7)). Lengths or -errno. */
int64_t vfs_getxattr(struct task *task, const struct path *path, const char *name, void *value, size_t size);
int vfs_setxattr(struct task *task, const struct path *path, const char *name, const void *value, size_t size, int flags) must_check;
int64_t vfs_listxattr(struct task *task, const struct path *path, char *list, size_t size);
int vfs_removexattr(struct task *task, const struct path *path, const char *name) must_check;
/* lseek(2) by file->ops or the default. */
int64_t vfs_llseek(struct task *task, struct file *file, int64_t off, int whence);
/* The default for files with a size: SEEK_DATA/SEEK_HOLE see one block of data up to the end. */
int64_t generic_llseek(struct task *task, struct file *file, int64_t off, int whence);
/* getdents64(2): -LINUX_ENOTDIR if file is no directory, -LINUX_ENOENT if it was removed, else iterate from file->pos. */
int vfs_iterate(struct task *task, struct file *file, struct dir_emit *emit) must_check;
/* The absolute name of a path as the task sees it (getcwd, /proc/self/fd): a string to kfree, " (deleted)" appended if so
 * and asked for. -LINUX_ENOENT if unreachable from the task's root (getcwd then says "(unreachable)"). */
int vfs_path_name(struct task *task, const struct path *path, bool mark_deleted, char **out) must_check;

/* The mount table. mount_root is set at start: by vfs_mount_root, before anything else. */
int vfs_mount_root(struct superblock *sb, uint64_t flags, const char *source, const char *options) must_check;
/* The root of a further container, which nothing leads to from the first: the table's reference (borrowed), NULL if memory is out. */
struct mount *vfs_new_root(struct superblock *sb, uint64_t flags, const char *source, const char *options) must_check;
/* Takes such a root and all mounts below it off the table; who still uses one keeps it. gone is called for each, and
 * may sleep if task isn't NULL. */
void vfs_drop_root(struct mount *root, struct task *task, void (*gone)(struct superblock *sb, struct task *task));
/* The topmost mount on d in `parent`, or NULL. Borrowed. */
struct mount *mount_find(const struct mount *parent, const struct dentry *d);
extern struct mount *mount_root;
extern struct list mount_list;
/* Mounts sb at path (borrowed). source and options are copied. */
int vfs_mount(struct superblock *sb, struct dentry *root, const struct path *where, uint64_t flags, const char *source,
	      const char *options) must_check;
int vfs_umount(struct task *task, const struct path *where, int flags) must_check;

/* ---- file descriptions ---- */

struct map_backing;
struct poll_table;

struct file_ops {
	/*
	 * read/write: *pos is the offset to use and to advance; NULL for files without one (pipes, sockets). Return
	 * bytes or -errno; sleep unless O_NONBLOCK (file_nonblock(file, buf)). Optional: -LINUX_EINVAL.
	 */
	int64_t (*read)(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos);
	int64_t (*write)(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos);
	/* Optional: default by inode->size for FMODE_SEEK files, else -LINUX_ESPIPE. Takes all whences. */
	int64_t (*llseek)(struct task *task, struct file *file, int64_t off, int whence);
	/* Poll bits that hold now (LINUX_POLLIN...). If waiter isn't NULL, it is added to the queue(s) that announce
	 * changes (waitq_add). Optional: always readable and writable. */
	uint32_t (*poll)(struct task *task, struct file *file, struct waiter *waiter);
	/* A file whose readiness is told by more than one queue offers them all here instead, for poll's table. NULL:
	 * poll's own queue is all. */
	int64_t (*ioctl)(struct task *task, struct file *file, unsigned cmd, uint64_t arg); /* optional: -LINUX_ENOTTY */
	/* Directories: emits entries from file->pos on through emit, which returns false when the buffer is full. */
	int (*iterate)(struct task *task, struct file *file, struct dir_emit *emit);
	/* Where the bytes are, for mmap. Optional: -LINUX_ENODEV. See map_backing. */
	int (*map)(struct task *task, struct file *file, uint64_t off, uint64_t len, int prot, bool shared,
		   struct map_backing *out);
	int (*fallocate)(struct task *task, struct file *file, int mode, int64_t off, int64_t len); /* optional: EOPNOTSUPP */
	int (*fsync)(struct task *task, struct file *file); /* optional: 0; -LINUX_EINVAL for what can't sync */
	/* close(2) by one descriptor (POSIX locks are dropped by vfs). Optional. */
	int (*flush)(struct task *task, struct file *file);
	/* The last reference is gone. task may be NULL. Must not sleep on guest events. Optional. */
	void (*release)(struct file *file);
};

struct dir_emit {
	/* off: the cookie by which iteration goes on behind this entry; stable while entries come and go. */
	bool (*add)(struct dir_emit *emit, const char *name, size_t len, uint64_t ino, uint32_t type /* DT_* */, int64_t off);
};

/* What a mapping of a file shows: a descriptor of ours and an offset in it. */
struct map_backing {
	int host_fd;         /* borrowed from the file; valid while the file is referenced. -1: anonymous zeros */
	uint64_t host_off;
	uint64_t host_len;   /* where host_fd goes on with what isn't the file's: from here on the mapping shows end_fd, an empty file.
			      * A multiple of pages; 0: it doesn't */
	int end_fd;
	bool force_private;  /* map MAP_PRIVATE in the stub whatever the guest asked: no writer exists */
};

#define FMODE_READ 1U
#define FMODE_WRITE 2U
#define FMODE_SEEK 4U    /* has a position: read/write/lseek/pread */
#define FMODE_PATH 8U    /* O_PATH: nothing but a name */
#define FMODE_EXEC 16U
#define FMODE_STREAM 32U /* pread/pwrite give ESPIPE */

struct file {
	struct ref ref;
	const struct file_ops *ops;
	struct path path;       /* counted; both NULL for anonymous files (anon_inode, sockets have inodes in their own sb) */
	struct inode *inode;    /* counted */
	uint32_t mode;          /* FMODE_* */
	uint32_t flags;         /* O_APPEND, O_NONBLOCK, O_DIRECT, O_ASYNC ... and the access mode: what F_GETFL shows */
	int64_t pos;
	struct cred *cred;      /* opener's */
	const char *anon_name;  /* "anon_inode:[eventfd]", static; NULL for files with a path, pipes, sockets */
	void *private_data;
	struct list epitems;    /* epoll items that watch this file */
	int owner_pid, owner_sig; /* F_SETOWN (negative: a process group), F_SETSIG */
	struct pid_space *owner_pids; /* whose number owner_pid is; set with it */
	bool owner_is_thread;     /* F_SETOWN_EX with F_OWNER_TID */
	struct fasync *fasync;    /* O_ASYNC: see vfs/fasync.c; NULL if off */
};

/* Makes a description: takes nothing, references path (may be NULL) and inode. */
struct file *file_new(struct task *task, const struct path *path, struct inode *inode, const struct file_ops *ops,
		      uint32_t flags) must_check;
/* An anonymous file ("anon_inode:[eventfd]") with no name; private_data is the caller's. */
struct file *file_new_anon(struct task *task, const char *name, const struct file_ops *ops, uint32_t flags,
			   void *private_data) must_check;
/* The file's path as magic links and AT_EMPTY_PATH use it. Returns references. Files without one (pipes, sockets,
 * anonymous ones) get a dentry that stands alone, with mount NULL. -LINUX_ENOMEM. */
int vfs_file_path(struct file *file, struct path *out) must_check;
/* What /proc/PID/fd/N says: a path as vfs_path_name, "pipe:[ino]", "socket:[ino]", or anon_name. A string to kfree. */
int vfs_file_name(struct task *task, struct file *file, char **out) must_check;
static inline struct file *file_get(struct file *f)
{
	ref_get(&f->ref);
	return f;
}
void file_put(struct file *f);
static inline bool file_nonblock(const struct file *f, const struct iobuf *b)
{
	return (f->flags & LINUX_O_NONBLOCK) != 0 || (b != NULL && b->nowait);
}

/*
 * Opens path as openat2(2); resolve holds LOOKUP_* bits. *out is a reference. The one open of the sentry: exec uses it
 * too (FMODE_EXEC via flags LINUX_O_RDONLY | O_EXEC_INTERNAL).
 */
#define O_EXEC_INTERNAL 0x10000000U
int vfs_open(struct task *task, int dirfd, const char *name, uint32_t flags, uint32_t mode, unsigned lookup,
	     struct file **out) must_check;

/* The same for what a walk has found (positive, borrowed), without O_CREAT. */
int vfs_open_path(struct task *task, const struct path *path, uint32_t flags, struct file **out) must_check;

/* Generic calls by file, checks included (FMODE, limits, RLIMIT_FSIZE, SIGXFSZ): what the syscalls and sendfile share.
 * pos NULL: the file's own position. */
int64_t vfs_read(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos);
int64_t vfs_write(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos);
/* Sentry reads a file for itself (exec headers); no atime. Fewer bytes only at end of file. */
int64_t vfs_read_mem(struct task *task, struct file *file, void *dst, size_t len, int64_t pos);
/* Before contents change: without CAP_FSETID the file loses what makes it run as its owner. vfs_write does it itself. */
int file_drop_setid(struct task *task, struct file *file) must_check;
uint32_t vfs_poll(struct task *task, struct file *file, struct waiter *waiter);
int vfs_getattr(struct task *task, struct inode *inode, const struct path *path, struct kstat *st) must_check;
/* chmod, chown, utimensat, truncate: checks ownership, capabilities and read-only mounts (notify_change), clears setuid
 * and setgid bits where Linux does, calls the op, tells inotify. path may be NULL (anonymous inodes). Changing times
 * without ATTR_TIMES_SET means "now" and needs only write permission. */
int vfs_setattr(struct task *task, const struct path *path, struct inode *inode, struct iattr *attr) must_check;
/* Copies attr into the inode's fields; ctime becomes now. What setattr ops end with. */
void inode_setattr(struct inode *inode, const struct iattr *attr);

/* ---- descriptor tables (vfs/files.c) ---- */

struct files;
struct files *files_new(void) must_check;
struct files *files_dup(struct files *f) must_check; /* for fork */
struct files *files_get(struct files *f);
void files_put(struct task *task, struct files *f);  /* closes everything with the last */
/* Returns a reference, or NULL: EBADF. fd_get refuses O_PATH files, fd_get_path gives them too. */
struct file *fd_get(struct task *task, int fd) must_check;
struct file *fd_get_path(struct task *task, int fd) must_check;
/* The lowest free descriptor >= min gets file (takes the reference also on failure). The number, or -LINUX_EMFILE, ENOMEM. */
int fd_install(struct task *task, struct file *file, int min, bool cloexec) must_check;
/* dup2: closes what was there. Takes the reference. */
int fd_install_at(struct task *task, struct file *file, int fd, bool cloexec) must_check;
int fd_close(struct task *task, int fd);
/* Gives the task a table of its own if others share it: for execve. 0 or -LINUX_ENOMEM. */
int files_unshare(struct task *task) must_check;
void files_close_on_exec(struct task *task);
bool fd_cloexec(struct task *task, int fd);
int fd_set_cloexec(struct task *task, int fd, bool on);
/* Next open descriptor >= fd, or -1: for /proc/PID/fd and close_range. */
int files_next(struct files *f, int fd);
/* How many descriptors are open. */
uint32_t files_count(const struct files *f);
struct file *files_peek(struct files *f, int fd); /* returns a reference or NULL; for /proc */

/* ---- cwd, root, umask (vfs/fs_context.c) ---- */
struct fs_context {
	struct ref ref;
	struct path cwd, root;
	uint32_t umask;
};
/* Of the sandbox's root: cwd and root are mount_root's, umask 022. */
struct fs_context *fs_context_new(void) must_check;
struct fs_context *fs_context_dup(const struct fs_context *c) must_check;
/*
 * A task that doesn't run: root's ids, every capability, umask 0, mount_root as its root. What start uses to walk, mount
 * and make nodes before there are tasks; lower layers then answer on the spot. Borrowed; valid once mount_root is set.
 */
struct task *vfs_boot_task(void);
/* Take path's references. */
void fs_set_cwd(struct fs_context *c, const struct path *path);
void fs_set_root(struct fs_context *c, const struct path *path);
void fs_context_put(struct fs_context *c);

struct ktimespec vfs_now(void);
/* inotify: something happened to inode (IN_* mask), under name in its directory or NULL. Cheap if nobody watches. */
void fsnotify(struct inode *inode, const char *name, uint32_t mask, uint32_t cookie);

#endif
