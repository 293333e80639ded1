/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sentry asks of the gofer, and what it gets: messages on a SOCK_SEQPACKET socketpair, one structure with its
 * bytes behind it in each. Both sides check every length; neither believes the other.
 *
 *	sentry                              gofer
 *	gofer_request, path, argument  -->  opens beneath the root's directory, acts
 *	                              <--   gofer_reply, records (MORE: another message follows), a descriptor
 *
 * A node is named by its path from a root: components by single slashes, none of them empty, "." or "..", no leading or
 * trailing slash; "" is the root itself. Nothing is kept between requests, so the gofer holds no handles that a guest
 * could use up, and symbolic links are never followed.
 */
#ifndef RUNTIME_CORE_GOFER_PROTOCOL_H
#define RUNTIME_CORE_GOFER_PROTOCOL_H

#include <stdint.h>

#define GOFER_MESSAGE_MAX 65536U
#define GOFER_PATH_MAX 32768U     /* bytes of a path */
#define GOFER_NAME_MAX 255U
#define GOFER_TARGET_MAX 4095U    /* bytes of a symbolic link */
#define GOFER_XATTRS_MAX (GOFER_MESSAGE_MAX - 1024U)

/* Roots: 0 is config.root_fd, then dir_fd of each MOUNT_BIND of config.mounts, in their order. */

enum gofer_op {
	GOFER_LOOKUP = 1, /* one record */
	GOFER_LIST,       /* a directory: its records, "." and ".." left out; then, in messages with GOFER_REPLY_DIRS, listings of up to
			   * `size` directories below it, in the order of a walk through all of them, and then in and below those whose
			   * paths the argument has, "//" between two. flags: GOFER_LIST_* */
	GOFER_ATTRS,      /* argument: names in the directory, by slashes, GOFER_ATTRS_MAX at most: a record for each that is there.
			   * flags: GOFER_ATTRS_XATTRS */
	GOFER_OPEN,       /* a regular file: a descriptor; flags. dev and ino, if ino isn't 0, must be the file's */
	GOFER_XATTRS,     /* all extended attributes: struct gofer_xattr, name, value; each */
	GOFER_STATFS,     /* struct gofer_statfs */
	GOFER_WALK,       /* argument: names below the directory, by slashes: a record for each up to the first that is missing
			   * (GOFER_REPLY_ABSENT) or no directory; with GOFER_WALK_OPEN, if that is a file, its contents
			   * (GOFER_REPLY_CONTENT, behind the records) if it is small, else a descriptor (WALK_FD: both). With GOFER_WALK_LIST,
			   * before the answer that one is missing, a message with GOFER_REPLY_DIRS: the directory it is missing in,
			   * whole and with nothing but bare records, if it is small. WALK_HERE: of the request's own directory, whatever
			   * becomes of the walk. WALK_LINK: where the last name is a link to a name beside it, that one's record
			   * follows as if it had been asked for, and so on: GOFER_LINKS_MAX such names at most */
	GOFER_READ,       /* argument: paths of files, "//" between two: struct gofer_content for each that is a regular file, and a
			   * descriptor of the first if it is large. dev and ino as for OPEN, the first's; size: bytes of the others'
			   * contents, behind which the rest is left out; the request's own path is "". flags: GOFER_READ_* */
	GOFER_SHARE,      /* once: a descriptor of the memory that READ_SHARED is about, a memfd of GOFER_SHARE_SIZE bytes that can be
			   * sealed; ENOSYS: there is none (any more) */
	GOFER_WRITING,    /* those that follow need a writable root: EROFS */
	GOFER_CREATE = GOFER_WRITING, /* mode: one record, and a descriptor open for reading and writing; EEXIST */
	GOFER_MKDIR,      /* mode: one record */
	GOFER_MKNOD,      /* mode, a FIFO's or socket's: one record */
	GOFER_SYMLINK,    /* argument: the target; one record */
	GOFER_LINK,       /* argument: the new path; one record, the new name's */
	GOFER_UNLINK,
	GOFER_RMDIR,
	GOFER_RENAME,     /* argument: the new path; flags: LINUX_RENAME_* */
	GOFER_SETATTR,    /* valid and the fields it names: one record. dev and ino as for OPEN */
	GOFER_SETXATTR,   /* argument: name, NUL, value; flags: XATTR_* */
	GOFER_REMOVEXATTR, /* argument: name, NUL */
	GOFER_OPS,
};

/* CREATE, MKDIR, MKNOD, SYMLINK: valid may name UID and GID, the new node's owner as far as the gofer may give files away. */

#define GOFER_OPEN_WRITE 1U /* for reading and writing; else for reading */

/* A file that is worth more as bytes than as a descriptor: not larger than this, and no ELF file (those are mapped). */
#define GOFER_CONTENT_MAX 61440U

/*
 * Contents may lie in memory that both see instead of the message, where one file's end and the next one's begin are up to the gofer.
 * They stay until the next request with this flag, which the sentry sends only after the last message of the answer to the one before.
 */
#define GOFER_READ_SHARED 1U
#define GOFER_READ_FDS 2U /* of large files behind the first descriptors, too: GOFER_FDS_MAX at most, one in a message */
#define GOFER_FDS_MAX 8U
#define GOFER_SHARE_SIZE (1U << 20)

#define GOFER_LIST_BARE 1U    /* of regular files and symbolic links only what the directory itself tells: GOFER_BARE */
#define GOFER_LIST_XATTRS 2U  /* of what isn't bare, as ATTRS_XATTRS */
#define GOFER_ATTRS_XATTRS 1U /* tell which have extended attributes, too: GOFER_HAS_XATTRS or GOFER_NO_XATTRS */
#define GOFER_ATTRS_MAX 256U

#define GOFER_WALK_OPEN 1U
#define GOFER_WALK_LIST 2U
#define GOFER_WALK_FD 4U
#define GOFER_WALK_HERE 8U
#define GOFER_WALK_LINK 16U
#define GOFER_LINKS_MAX 3U
#define GOFER_WALK_MAX 8U     /* names in one walk: their records fit into one message */

/* gofer_request.valid, as struct iattr's of the sentry */
#define GOFER_ATTR_MODE 1U
#define GOFER_ATTR_UID 2U
#define GOFER_ATTR_GID 4U
#define GOFER_ATTR_SIZE 8U
#define GOFER_ATTR_ATIME 16U
#define GOFER_ATTR_MTIME 32U
#define GOFER_ATTR_ALL 63U

struct gofer_request {
	uint32_t id;        /* chosen by the sentry, returned in each reply */
	uint16_t op, root;
	uint32_t flags, mode;
	uint64_t dev, ino;
	uint32_t valid, uid, gid;
	uint32_t atime_nsec, mtime_nsec;
	uint32_t path_len, arg_len;
	uint32_t pad;
	uint64_t size;
	int64_t atime_sec, mtime_sec;
	/* path, then the argument; no NULs between */
};
_Static_assert(sizeof(struct gofer_request) == 88, "no holes");

#define GOFER_REPLY_MORE 1U
#define GOFER_REPLY_ABSENT 2U /* WALK: the name behind the last record isn't there */
#define GOFER_REPLY_CONTENT 4U /* WALK: struct gofer_content and bytes are behind the records; READ: in their stead */
#define GOFER_REPLY_DIRS 8U   /* LIST: the message holds struct gofer_dir, path, records; each whole */

struct gofer_reply {
	uint32_t id;
	int32_t err;        /* 0 or a negative errno; records only with 0 */
	uint32_t flags;
	uint32_t count;     /* records in this message */
	/* records */
};
_Static_assert(sizeof(struct gofer_reply) == 16, "no holes");

/* gofer_record.flags. Neither HAS_ nor NO_XATTRS: nobody has looked. */
#define GOFER_HAS_XATTRS 1U
#define GOFER_NO_XATTRS 2U
#define GOFER_BARE 4U       /* dev (the directory's), ino, the type and the name are right, the rest is 0 */
#define GOFER_NO_CONTENT 8U /* in a gofer_content: a record only */
#define GOFER_WITH_FD 32U   /* in a gofer_content behind the first: the message's descriptor is this file's */
#define GOFER_SHARED 16U    /* in a gofer_content: the bytes aren't behind it, but at `at` in the shared memory */

/* One name: the record, name and target behind it, padded to 8 bytes. */
struct gofer_record {
	uint64_t dev, ino, size, blocks, rdev;
	int64_t atime_sec, mtime_sec, ctime_sec, btime_sec; /* btime: when it was made; ctime where the host can't tell */
	uint32_t atime_nsec, mtime_nsec, ctime_nsec, btime_nsec;
	uint32_t mode, nlink, uid, gid;
	uint16_t name_len, target_len;
	uint32_t flags;
};
_Static_assert(sizeof(struct gofer_record) == 112, "no holes");
#define GOFER_RECORD_SIZE(name_len, target_len)                                                                        \
	((sizeof(struct gofer_record) + (name_len) + (target_len) + 7UL) & ~7UL)

/* One regular file: its record, without a name, and all it contains, as both were when it was read. Padded to 8 bytes. */
struct gofer_content {
	struct gofer_record rec;
	uint32_t index, len; /* READ: which of the paths; bytes behind this, or shared */
	uint32_t at, pad;    /* GOFER_SHARED */
};
_Static_assert(sizeof(struct gofer_content) == 128, "no holes");
#define GOFER_CONTENT_SIZE(len) ((sizeof(struct gofer_content) + (len) + 7UL) & ~7UL)

/* A directory below the listed one: its path from the tree's root, padded to 8 bytes, then len bytes of records. */
struct gofer_dir {
	uint32_t path_len, len;
};
#define GOFER_DIR_SIZE(path_len) ((sizeof(struct gofer_dir) + (path_len) + 7UL) & ~7UL)
#define GOFER_AHEAD_MAX 64U   /* directories, files in one answer */

/* Padded to 8 bytes. */
struct gofer_xattr {
	uint32_t name_len, value_len;
};
#define GOFER_XATTR_SIZE(name_len, value_len) ((sizeof(struct gofer_xattr) + (name_len) + (value_len) + 7UL) & ~7UL)

struct gofer_statfs {
	uint64_t bsize, blocks, bfree, bavail, files, ffree;
};

#endif
