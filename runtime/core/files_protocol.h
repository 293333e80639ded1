/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files into and out of a container that lives: what `cp`, `tar` and `diff` and the sentry say to each other, over a stream
 * socket that the command makes and the monitor only passes on.
 *
 *	record: struct files_record, then name_len bytes of name, then len bytes of data
 *
 *	command: READ path --> sentry: [XATTR...] ENTRY [DATA...] ... END
 *	command: DIFF      --> sentry: the same, and GONE
 *	command: WRITE path --> sentry: PLACE --> command: [XATTR...] ENTRY [DATA...] ... END --> sentry: END
 *
 *	ENTRY   `name` is there: mode with its type, owner, times; offset is the size of a regular file, and its bytes follow as
 *	        DATA unless it is a hard link. data: a symbolic link's target, or the name that a hard link shares its file with
 *	XATTR   of the ENTRY that follows: name and value
 *	DATA    len bytes at `offset` of the file before it; what no DATA covers is zero
 *	PLACE   what the path given is: mode of the directory; of a file, which would be replaced; 0: it can be made
 *	GONE    the image's `name` was removed
 *	NOTE    `name` was left out; data says why
 *	FAILED  nothing more comes; data says why
 *
 * Names are relative to what was asked for ("" is that itself), without ".", ".." and empty parts. To the command all of this
 * is hostile: programs choose names, a sentry that was taken over everything. The sentry takes the command's records as the
 * operator's, and checks each all the same.
 */
#ifndef RUNTIME_CORE_FILES_PROTOCOL_H
#define RUNTIME_CORE_FILES_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILES_MAGIC 0x5362666cu
#define FILES_NAME_MAX 65535
#define FILES_DATA_MAX 65536
#define FILES_XATTR_MAX 65536      /* a value */
#define FILES_XATTRS_MAX 64        /* of one entry; what a file has beyond that stays behind, and is told */
#define FILES_PART_MAX 255

enum files_kind {
	FILES_READ = 1,
	FILES_DIFF,
	FILES_WRITE,
	FILES_ENTRY,
	FILES_XATTR,
	FILES_DATA,
	FILES_END,
	FILES_PLACE,
	FILES_GONE,
	FILES_NOTE,
	FILES_FAILED,
};

/* of a request */
#define FILES_FOLLOW 1u   /* READ: a link that the path names itself */
#define FILES_CONTENTS 2u /* READ, DIFF: and not the names alone */
#define FILES_OWNERS 4u   /* WRITE: the owners must hold; else a volume of the host may refuse them */
/* of an ENTRY */
#define FILES_HARD_LINK 1u
#define FILES_ADDED 2u    /* DIFF: the image has no such name */
#define FILES_LINKED 8u   /* a file that may come again by another name */
#define FILES_OPAQUE 4u   /* DIFF: a directory in place of one of the image's, none of whose names is seen */

struct files_record {
	uint32_t magic;
	uint16_t kind, flags;
	uint32_t mode; /* type and permissions, as in stat */
	uint32_t uid, gid;
	uint32_t rdev_major, rdev_minor;
	uint32_t name_len, len;
	uint32_t mtime_nsec;
	int64_t mtime_sec;
	uint64_t offset;
	uint64_t stored; /* ENTRY: bytes that a file takes up, holes not counted: a hint */
};
#define FILES_RECORD_MAX (sizeof(struct files_record) + FILES_NAME_MAX + FILES_DATA_MAX)

static inline bool files_record_ok(const struct files_record *r)
{
	return r->magic == FILES_MAGIC && r->name_len <= FILES_NAME_MAX && r->len <= FILES_DATA_MAX;
}

/* A name of one component. */
static inline bool files_part_ok(const char *name, size_t len)
{
	return len != 0 && len <= FILES_PART_MAX && !(len == 1 && name[0] == '.') &&
	       !(len == 2 && name[0] == '.' && name[1] == '.');
}

/* A relative name: "" or components; no NUL among its len bytes. */
static inline bool files_name_ok(const char *name, size_t len)
{
	size_t start = 0;

	for (size_t i = 0; i <= len && len != 0; i++) {
		if (i < len && name[i] == '\0')
			return false;
		if (i < len && name[i] != '/')
			continue;
		if (!files_part_ok(name + start, i - start))
			return false;
		start = i + 1;
	}
	return true;
}

#endif
