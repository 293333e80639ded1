/* SPDX-License-Identifier: Apache-2.0 */
/* The sentry's side of cp, tar and diff: files.c (the job and its socket), files_read.c, files_write.c. */
#ifndef RUNTIME_CORE_FILES_H
#define RUNTIME_CORE_FILES_H

#include "runtime/core/files_protocol.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/waitq.h"
#include "sentry/vfs/vfs.h"

struct task;

/* Takes the command's socket and serves what it asks for on a task of its own, beside the guest's. */
void files_start(uint32_t container, int fd);
/* The same when init has ended and nobody else is left: done is called behind it. False: memory is out, fd is closed. */
bool files_serve_last(int fd, void (*done)(void));
/* What such a task does, on its coroutine; takes fd and returns when all is over. */
void files_serve(struct task *task, int fd);

/* ---- between the three ---- */

struct files_job {
	struct task *task;
	int fd;
	bool broken;             /* the command is gone or makes no sense: nothing more is sent */
	struct host_watch watch;
	struct waitq waitq;
	uint8_t *out;            /* FILES_OUT bytes that were not sent yet */
	size_t out_len;
	/* what came last */
	struct files_record rec;
	char *name;              /* FILES_NAME_MAX + 1, ends with NUL */
	char *data;              /* FILES_DATA_MAX + 1, ends with NUL */
};
#define FILES_OUT (128 * 1024)

/* The next record into rec, name, data; checked but for its meaning. False: none comes, broken is set. Sleeps. */
bool job_get(struct files_job *j) must_check;
/* Sends r with name and data. Sleeps while the command doesn't read. */
void job_put(struct files_job *j, struct files_record *r, enum files_kind kind, const char *name, const void *data, size_t len);
void job_note(struct files_job *j, const char *name, const char *why);
/* FAILED: "NAME: WHAT: words for err". name and what may be NULL. */
void job_failure(struct files_job *j, const char *name, const char *what, int err);
void job_flush(struct files_job *j);
/* The current directory of the job's task. Borrows path. */
void job_go(struct files_job *j, const struct path *path);
/* Not proc, sysfs and the like, nor what is mounted on /dev itself. */
bool files_walkable(const struct path *path);

void files_read(struct files_job *j, const char *path, unsigned flags);
void files_diff(struct files_job *j, unsigned flags);
void files_write(struct files_job *j, const char *path, unsigned flags);

#endif
