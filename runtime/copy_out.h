/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --copy-out: a file or tree leaves the sandbox when the run has ended. The sentry writes records to a pipe, the
 *command makes the files. This header is both sides' (the sentry's: runtime/core/copy_out.c).
 *
 *	record: struct copy_out_record, then name_len bytes of name, then len bytes of data
 *
 *	DIR, FILE, SYMLINK   makes `name` (relative to the item, "" is the item itself; no "." or ".." or empty part). A
 *DIR comes before what is in it. SYMLINK's data is its target. DATA                 len bytes at `offset` of the FILE
 *before it; what no DATA covers is zero. SIZE                 the FILE's size, in `offset`. SKIPPED              `name`
 *was not copied: a device, socket or FIFO, or the data says why. FAILED               the item can't be copied; the
 *data says why. END                  of the item.
 *
 * The records are hostile: the program chose the names, and a sentry that was taken over chooses everything.
 */
#ifndef RUNTIME_COPY_OUT_H
#define RUNTIME_COPY_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COPY_OUT_MAGIC 0x53437079u
#define COPY_OUT_NAME_MAX 4095
#define COPY_OUT_DATA_MAX 65536 /* a record's data */

enum copy_out_kind {
	COPY_OUT_DIR = 1,
	COPY_OUT_FILE,
	COPY_OUT_SYMLINK,
	COPY_OUT_DATA,
	COPY_OUT_SIZE,
	COPY_OUT_SKIPPED,
	COPY_OUT_FAILED,
	COPY_OUT_END
};

struct copy_out_record {
	uint32_t magic;
	uint16_t item;     /* index in config.copy_out */
	uint16_t kind;     /* enum copy_out_kind */
	uint32_t mode;     /* permission bits */
	uint32_t name_len; /* <= COPY_OUT_NAME_MAX */
	uint32_t len;      /* <= COPY_OUT_DATA_MAX */
	uint32_t mtime_nsec;
	int64_t mtime_sec;
	uint64_t offset;
};

/* ---- the command's side (runtime/copy_out.c) ---- */

struct copy_out;
struct copy_out_arg;
struct error;
/* Looks at the destinations before anything runs; NULL and an error if one can't be. Borrows items. */
struct copy_out *copy_out_open(const struct copy_out_arg *items, size_t n, struct error **err);
void copy_out_feed(struct copy_out *c, const char *data, size_t len);
/* Ends it. What went wrong, a line each, to free, or NULL. expected: a run that never began copies nothing. */
char *copy_out_close(struct copy_out *c, bool expected);

#endif
