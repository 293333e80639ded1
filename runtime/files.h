/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cp, tar and diff in the command. Records (runtime/core/files_protocol.h) go from a source to a sink:
 *
 *	files.c         the verbs: who copies what where, as docker cp has it
 *	files_stream.c  the socket to the sentry; what comes back is checked here, then given to a sink
 *	files_host.c    sink: files of the host            files_source.c  source: files of the host
 *	files_tar.c     sink: a tar stream                 files_untar.c   source: a tar stream
 *	root_keep.c     not a verb: a run's changes go to the root's directory when it has ended, by files_host.c's other sink
 */
#ifndef RUNTIME_FILES_H
#define RUNTIME_FILES_H

#include "runtime/core/files_protocol.h"
#include "runtime/core/idmap.h"
#include "runtime/error.h"

#include <stdio.h>
#include <sys/types.h>

/* ---- the stream ---- */

struct files_stream {
	int fd;
	/* Stand for the socket in tests; NULL: read(2) and write(2) of fd. Bytes, 0 at the end, -1. */
	ssize_t (*read)(struct files_stream *s, void *p, size_t len);
	ssize_t (*write)(struct files_stream *s, const void *p, size_t len);
	void *arg;
	/* the record that came last: name and data end with NUL */
	struct files_record rec;
	char *name, *data;
	unsigned notes;
};

/* Asks the container's monitor for a line to its sentry. */
bool files_stream_open(struct files_stream *s, const char *id, struct error **err);
void files_stream_close(struct files_stream *s);
bool files_ask(struct files_stream *s, enum files_kind kind, unsigned flags, const char *path, struct error **err);
/* The next record, checked as far as it can be without those before it. FAILED becomes an error. */
bool files_take(struct files_stream *s, struct error **err);
/* While the other side may say FAILED at any time, which becomes the error. */
bool files_send(struct files_stream *s, struct files_record *r, enum files_kind kind, const char *name, const void *data,
		size_t len, struct error **err);

/* ---- sinks ---- */

/* The longest extended header that an entry can need: what files_tar.c writes is what files_untar.c takes. */
#define FILES_PAX_MAX (FILES_XATTRS_MAX * (FILES_XATTR_MAX + 512U) + 2 * (FILES_NAME_MAX + 512U) + 4096U)
struct files_xattr {
	char *name, *value;
	size_t size;
};

struct files_entry {
	struct files_record r;
	const char *name; /* relative, checked; "" is the item */
	const char *data; /* target, or a hard link's other name (checked) */
	const struct files_xattr *xattrs;
	unsigned nxattrs;
};

struct files_sink {
	bool (*entry)(struct files_sink *s, const struct files_entry *e, struct error **err);
	/* Of the regular file before it: ascending, within its size. */
	bool (*data)(struct files_sink *s, uint64_t offset, const char *bytes, size_t len, struct error **err);
	bool (*gone)(struct files_sink *s, const char *name, struct error **err); /* optional: it is an error */
	bool (*end)(struct files_sink *s, struct error **err);
};

/* Records up to END go to sink. */
bool files_receive(struct files_stream *s, struct files_sink *sink, struct error **err);
/* "NAME: WHY" on stderr, for what was left out; only the first few. */
void files_note(unsigned *notes, const char *name, const char *why);

/* Tar to out; prefix: what the item is called there, "" for ".". layer: an OCI layer, with whiteouts. */
struct files_sink *files_tar_sink(FILE *out, const char *prefix, bool layer, unsigned *notes);
/* Beneath the directory or at the name that dest says, as docker cp does. base: the item's own name; NULL: its contents are
 * wanted. owners: -a. */
struct files_sink *files_host_sink(const char *dest, const char *base, bool owners, struct error **err);
/* A line or a JSON object for each change, in order, at the end. */
struct files_sink *files_list_sink(bool json);
void files_list_free(struct files_sink *s);
/* What a run changed (a DIFF), done to the directory root itself, which stays the caller's: an engine's layer. owners, set_ids:
 * keep them. ids: what the records' owners are on the host, borrowed; NULL: the same. Nothing beneath root is followed, written through or entered if it is a mount of its own. */
struct files_sink *files_layer_sink(int root, bool owners, bool set_ids, const struct idmaps *ids);
void files_tar_free(struct files_sink *s);
void files_host_free(struct files_sink *s); /* a layer's too */

/* ---- sources ---- */

/* A file or tree of the host. name: what it is called there ("" too); NULL: only what is in it. */
bool files_source_host(struct files_stream *s, const char *path, bool follow, const char *name, bool owners, struct error **err);
bool files_source_tar(struct files_stream *s, FILE *in, bool owners, struct error **err);

/* ---- a place beneath a directory, by descriptors ---- */

struct files_place {
	int root;   /* O_PATH; borrowed */
	int dir;    /* where `name` is; -1: nowhere yet */
	char *name;
	const struct idmaps *ids; /* only directories that somebody in these maps may write to; NULL: any */
	bool one_mount; /* what is mounted beneath root is not gone into: EXDEV */
};
/* The directory `name` (len bytes, relative) beneath root, no link followed: borrowed until the next call. -1, errno. */
int files_place_go(struct files_place *p, const char *name, size_t len);
void files_place_done(struct files_place *p);
/* The directory of name's last part, and that in *last. */
int files_place_of(struct files_place *p, const char *name, const char **last);
/* chmod of name in dir, following nothing; one_mount: and of nothing that is mounted there (EXDEV). 0, or -1 with errno. */
int files_chmod(int dir, const char *name, mode_t mode, bool one_mount);
/* ... of an open file, by a descriptor of any kind (O_PATH). */
int files_chmod_fd(int fd, mode_t mode);
/* Removes the name in dir with all that is beneath it, following nothing and entering no other mount (EXDEV, EBUSY). 0, also if
 * there is none; or -1 and errno: what came before it is gone. ids (NULL: anybody): only what somebody in these maps could remove:
 * EACCES. */
int files_remove(int dir, const char *last, const struct idmaps *ids);

#endif
