/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading EROFS images that lie in memory: see core/erofs.c. Nothing here allocates, sleeps or calls the host, so that the
 * command can use it in a process that may do nothing but write to a pipe (image.c). Errors are Linux's numbers, negative.
 */
#ifndef RUNTIME_EROFS_H
#define RUNTIME_EROFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EROFS_NAME_MAX 255U
#define EROFS_LINK_MAX 4095U
#define EROFS_CHECKED __attribute__((warn_unused_result))

struct erofs_image {
	const uint8_t *base; /* mapped shared: what lies there may change at any time */
	uint64_t size;
	uint32_t block_bits; /* 9 to 12 */
	uint64_t meta;       /* byte offset of inode 0 */
	uint64_t xattrs;     /* of the shared extended attributes */
	uint64_t root_nid, inodes;
	int64_t built_sec;
	uint32_t built_nsec;
};

enum erofs_layout { EROFS_PLAIN = 0, EROFS_INLINE = 2, EROFS_CHUNKS = 4 };

/* An inode, copied and checked: data, table and attributes lie in the image as far as their own sizes say. */
struct erofs_inode {
	uint64_t nid, size;
	uint32_t mode, uid, gid, nlink, rdev;
	int64_t mtime_sec;
	uint32_t mtime_nsec;
	enum erofs_layout layout;
	uint64_t start;      /* PLAIN, INLINE: byte offset of the blocks */
	uint64_t tail_from;  /* INLINE: the file's bytes from here on are at `tail` */
	uint64_t tail;
	uint64_t table;      /* CHUNKS: byte offset of the entries, one a chunk */
	uint32_t chunk_bits;
	bool indexes;        /* CHUNKS: entries of 8 bytes, not 4 */
	uint64_t xattrs;     /* byte offset and length of the inline attributes; 0: none */
	uint32_t xattrs_len;
};

/* NULL, or why this is no image we can read: a sentence that says what to do. */
EROFS_CHECKED const char *erofs_open(struct erofs_image *img, const void *base, uint64_t size);
/* 0, -EIO if the image is damaged there, -EOPNOTSUPP for a compressed file. */
EROFS_CHECKED int erofs_inode(const struct erofs_image *img, uint64_t nid, struct erofs_inode *out);
/* The run of bytes at pos < size: *len >= 1 of them at *data, or a hole (*data NULL). 0 or -EIO. */
EROFS_CHECKED int erofs_run(const struct erofs_image *img, const struct erofs_inode *ino, uint64_t pos, const uint8_t **data,
	      uint64_t *len);
/* Copies len bytes at pos; zeros behind the end. 0 or -EIO. */
EROFS_CHECKED int erofs_read(const struct erofs_image *img, const struct erofs_inode *ino, uint64_t pos, void *dst, size_t len);
/* Do the file's bytes [pos, pos + len), the rest of the last page included, lie in whole pages of the image one after the
 * other, none of them shared with anything else? Then *off is where. */
bool erofs_in_pages(const struct erofs_image *img, const struct erofs_inode *ino, uint64_t pos, uint64_t len, uint64_t *off);

/* One name but "." and "..": 1 to 255 bytes, neither '/' nor NUL. Borrowed; fn must not look into another directory.
 * Anything but 0 ends the listing with that. */
typedef int erofs_name_fn(void *arg, const char *name, size_t len, uint64_t nid);
EROFS_CHECKED int erofs_list(const struct erofs_image *img, const struct erofs_inode *dir, erofs_name_fn *fn, void *arg);
/* 0, -ENOENT, -ENOTDIR, -EIO. */
EROFS_CHECKED int erofs_lookup(const struct erofs_image *img, const struct erofs_inode *dir, const char *name, size_t len,
		 uint64_t *nid);
/* A path from the image's root, symbolic links followed beneath it (the last one only with follow). As above, and
 * -ELOOP, -ENAMETOOLONG. */
EROFS_CHECKED int erofs_resolve(const struct erofs_image *img, const char *path, bool follow, uint64_t *nid);
/* One attribute: prefix and name together are its name. name and value point into the image: copy, then check. */
typedef int erofs_xattr_fn(void *arg, const char *prefix, const uint8_t *name, uint32_t name_len, const uint8_t *value,
			   uint32_t value_len);
EROFS_CHECKED int erofs_xattrs(const struct erofs_image *img, const struct erofs_inode *ino, erofs_xattr_fn *fn, void *arg);

#endif
