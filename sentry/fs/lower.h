/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's side of the gofer: calls that wait for an answer, and the records in it. See runtime/core/gofer_protocol.h
 * for what is asked.
 *
 * A call is made on a task's coroutine and sleeps there (killable), so many tasks can have one under way; with task NULL
 * (start, unit tests) it waits on the spot. What comes back is checked here: records are whole, names have no slash, types
 * are known. Whether it is true doesn't matter: the gofer can only lie about files that the sandbox was given.
 */
#ifndef SENTRY_FS_LOWER_H
#define SENTRY_FS_LOWER_H

#include "runtime/core/gofer_protocol.h"
#include "sentry/base/list.h"
#include "sentry/base/types.h"

struct task;
struct lower_image;
struct gofer_client;

/* One of a gofer's roots, or an image. Made at a container's start, never freed. */
struct lower_tree {
	struct gofer_client *gofer;
	uint32_t key;     /* no other tree's: what is kept of its files is kept under it */
	struct lower_image *image; /* answers instead of the gofer (image.c); NULL: the gofer's */
	uint16_t root;    /* index in the gofer */
	bool root_is_file; /* the root is a regular file (a file bound onto a file) */
	uint32_t ndevs;   /* host filesystems seen below it */
	uint64_t devs[255];
};

/* Takes the socket. 0, or -LINUX_ENOMEM. Calls of a task work once the loop runs; those with task NULL at once. */
int gofer_client_start(int sock) must_check;
/* The gofer of a further container. Takes the socket, but for NULL: memory is out. Never freed. */
struct gofer_client *gofer_client_new(int sock) must_check;
/* Its container has ended: every call gives -LINUX_EIO from now on, and the gofer ends. */
void gofer_client_stop(struct gofer_client *g);

/* The gofer's directory `root`: 0 is the sandbox's root, then one for each bind mount in their order. NULL: memory is
 * out. */
struct lower_tree *lower_tree_new(uint16_t root) must_check;
struct lower_tree *lower_tree_of(struct gofer_client *gofer, uint16_t root) must_check;
/* The inode number to show: the host's, made different for each of several host filesystems in one tree. */
uint64_t lower_ino(struct lower_tree *tree, uint64_t dev, uint64_t ino);

struct gofer_answer {
	uint8_t *data;  /* records of all messages; owned */
	size_t len;
	uint32_t count;
	uint32_t flags; /* of the last message */
	int fd;         /* -1, or a descriptor that the caller now owns */
};

/* path and arg are copied into the message; req needs op and its fields, the rest is filled in. Returns 0 with *out to be
 * given to gofer_answer_done, or -errno: the gofer's, -LINUX_EIO, -LINUX_ENOMEM, -LINUX_ENAMETOOLONG, -LINUX_EINTR if the
 * task is killed. */
int gofer_call(struct task *task, struct lower_tree *tree, struct gofer_request *req, const char *path, const void *arg,
	       size_t arg_len, struct gofer_answer *out) must_check;
/*
 * The same, but what a message with GOFER_REPLY_DIRS brings, or one with GOFER_REPLY_CONTENT and no records, goes to take, and not
 * into *out. take isn't called on the task's coroutine and must not sleep. shared: NULL, or memory of GOFER_SHARE_SIZE bytes that the
 * gofer can write to at any time, for contents with GOFER_SHARED; take copies what it wants of them, once. A READ asks for that by
 * GOFER_READ_SHARED, which is taken out of the request where it can't be had. *fd: the message's descriptor or -1; one that take keeps it
 * replaces by -1.
 */
typedef void gofer_take_fn(void *arg, const uint8_t *data, size_t len, const uint8_t *shared, int *fd);
int gofer_call_take(struct task *task, struct lower_tree *tree, struct gofer_request *req, const char *path, const void *arg,
		    size_t arg_len, gofer_take_fn *take, void *take_arg, struct gofer_answer *out) must_check;
void gofer_answer_done(struct gofer_answer *a);

/* The record at *pos (0 at first), checked, and *pos moved behind it. NULL at the end or at the first that is wrong. */
const struct gofer_record *gofer_record_next(const struct gofer_answer *a, size_t *pos);
/* The contents at *pos of what was given to take, or NULL, in the same way. *bytes: c->len bytes, behind the structure or in shared. */
const struct gofer_content *gofer_content_next(const uint8_t *data, size_t len, const uint8_t *shared, size_t *pos,
					       const uint8_t **bytes);
/* The same for directories: *path, not terminated, has d->path_len bytes; *records d->len. */
const struct gofer_dir *gofer_dir_next(const uint8_t *data, size_t len, size_t *pos, const char **path,
				       const uint8_t **records);
static inline const char *gofer_record_name(const struct gofer_record *r)
{
	return (const char *)(r + 1);
}
static inline const char *gofer_record_target(const struct gofer_record *r)
{
	return (const char *)(r + 1) + r->name_len;
}

/* A descriptor on a regular file, or -errno. */
int lower_open(struct task *task, struct lower_tree *tree, const char *path, bool write, uint64_t dev, uint64_t ino);

#endif
