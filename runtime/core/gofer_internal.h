/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the gofer share: gofer.c (checks, paths, reading, the loop), gofer_list.c (directories), gofer_write.c (what
 * changes the host's files).
 */
#ifndef RUNTIME_CORE_GOFER_INTERNAL_H
#define RUNTIME_CORE_GOFER_INTERNAL_H

#include "runtime/core/gofer.h"
#include "runtime/core/gofer_protocol.h"

#include <stddef.h>
#include <sys/stat.h>

/* A request in hand. */
struct ask {
	struct gofer_request req;
	struct gofer_root *root;
	char path[GOFER_PATH_MAX + 1];
	char arg[GOFER_MESSAGE_MAX];   /* NUL behind arg_len */
};

/* An answer as it grows. */
struct answer {
	int sock;          /* -1: one that is only put together: what doesn't fit is -E2BIG */
	int fd;            /* to pass along and close, or -1 */
	bool fd_ahead;     /* nobody has asked for it */
	uint32_t flags;    /* of the last message */
	struct gofer_reply head;
	size_t len;        /* of body */
	uint8_t body[GOFER_MESSAGE_MAX - sizeof(struct gofer_reply)];
};

/* The parent directory of a path and the name in it. The descriptor goes to put_parent. */
struct parent {
	int fd;
	bool cached;
	const char *name;
};

/* The one in hand. path and arg have passed parse(): path's form is checked, arg's isn't. */
extern struct ask gofer_ask;

/* ---- gofer.c ---- */

/* Could anybody in the root's maps do this with a file? idmaps_reach. */
bool gofer_reaches(const struct gofer_root *root, const struct stat *st, unsigned want);
/* Is its owner in the root's maps? */
bool gofer_owner_mapped(const struct gofer_root *root, const struct stat *st);

/* No component is empty, "." or "..", or holds a NUL. */
bool gofer_path_ok(const char *path, size_t len);
/* Opens a checked path's directory, beneath the root. 0 or -errno (a hidden one isn't there). */
int gofer_open_parent(struct gofer_root *root, const char *path, struct parent *out);
void gofer_put_parent(struct parent *p);
/* A name that is none: empty, too long, "." or "..", with a NUL. */
bool gofer_name_ok(const char *name, size_t len);
/* Is path hidden, or in something hidden? Has something hidden this number, on whatever filesystem? */
bool gofer_path_hidden(const struct gofer_root *root, const char *path, size_t len);
bool gofer_ino_hidden(const struct gofer_root *root, uint64_t ino);
/* Opens the directory `path` (len bytes, checked) of root: a descriptor to be closed, or -errno. */
int gofer_open_dir(const struct gofer_root *root, const char *path, size_t len, int flags);
/* The same as somewhere to look names up; gofer_put_parent. */
int gofer_take_dir(struct gofer_root *root, const char *path, size_t len, struct parent *out);
/* The record of a name in dir ("": dir itself) into the answer, with these flags. 0 or -errno; *mode: what it is. */
int gofer_answer_typed(struct answer *a, const struct gofer_root *root, int dir, const char *name, uint32_t flags, mode_t *mode);
int gofer_answer_name(struct answer *a, const struct gofer_root *root, int dir, const char *name);
/* Adds a record. 0, or -errno if the socket is broken. */
int gofer_add_record(struct answer *a, const struct gofer_record *r, const char *name, const char *target);
/* Sends what is there if size bytes more wouldn't fit. 0, or -errno if the socket is broken. */
int gofer_make_room(struct answer *a, size_t size, uint32_t flags);
int gofer_flush(struct answer *a, uint32_t flags);
/*
 * A descriptor to close of a regular file, looked at before it is opened and after; dev and ino: which one it must be (ino 0:
 * any). Or -errno.
 */
int gofer_open_regular(struct gofer_root *root, int dir, const char *name, int flags, uint64_t dev, uint64_t ino,
		       struct stat *st);
/* Makes the directory of the request's path the current one: calls on attributes take no descriptor for it. 0 or -errno. */
int gofer_enter_parent(const char **file);

/* ---- gofer_list.c ---- */

/* GOFER_LIST, GOFER_ATTRS. 0 or -errno. */
int gofer_list(struct answer *a);
int gofer_attrs(struct answer *a);
/* Sends all names in the directory that dir leads to, in a message of its own, if they are few and it can be read. path: its
 * own, from the root. What the answer holds stays. 0, or -errno if the socket is broken. */
int gofer_list_small(struct answer *a, int dir, const char *path);

/* ---- gofer_write.c ---- */

/* Serves a request that changes something. 0 or -errno: -EROFS unless the root is writable. */
int gofer_write(struct answer *a);

#endif
