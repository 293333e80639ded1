/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line to a container's sentry, and what comes over it.
 *
 *	container_open --> LC_FILES with one end of a socketpair --> the monitor passes it on --> records
 *
 * All that arrives is hostile: programs in the container choose names and contents, a sentry that was taken over chooses
 * everything. Here are the rules that need no knowledge of where things go: a record's lengths are bounded before it is read,
 * names are relative and have no "..", types are types, bytes belong to a file that was announced and lie within its size and
 * behind the bytes before them. A sink is given only what passed. Where the files go is files_host.c's care.
 */
#include "runtime/files.h"
#include "runtime/cleanup.h"
#include "runtime/state.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define NOTES_MAX 20
#define TIME_MAX (1LL << 55) /* seconds: what any archive can say */

/* ---- opening ---- */

static bool not_running(const char *id, struct error **err)
{
	return error_set(err,
			 "container \"%s\" is not running: its files were in memory and went with the run. To have them in "
			 "its root's directory, give the annotation dev.sentrybox.root-writes=keep",
			 id);
}

static bool hand_over(struct container *c, int theirs, struct error **err)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_FILES};
	cleanup_close int conn = container_connect(c, ANSWER_MS, err);
	struct lifecycle_reply r;

	if (conn < 0)
		return conn != -EAGAIN && not_running(c->id, err);
	return monitor_send(c, conn, &rq, &theirs, 1, err) && monitor_receive(conn, &r, ANSWER_MS, err);
}

bool files_stream_open(struct files_stream *s, const char *id, struct error **err)
{
	cleanup_close int ours = -1, theirs = -1;
	struct container c;
	int pair[2];
	bool ok;

	memset(s, 0, sizeof(*s));
	s->fd = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	container_init(&c);
	ok = container_open(&c, id, err) && hand_over(&c, theirs, err);
	container_close(&c);
	if (!ok)
		return false;
	s->fd = steal_fd(&ours);
	return true;
}

void files_stream_close(struct files_stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	free(s->name);
	free(s->data);
	s->name = s->data = NULL;
}

/* ---- bytes ---- */

static bool get_bytes(struct files_stream *s, void *p, size_t len, struct error **err)
{
	while (len != 0) {
		ssize_t n = s->read != NULL ? s->read(s, p, len) : recv(s->fd, p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, "the container ended, or refused: the copy was cut short");
		p = (char *)p + n;
		len -= (size_t)n;
	}
	return true;
}

static bool put_bytes(struct files_stream *s, const void *p, size_t len)
{
	while (len != 0) {
		ssize_t n = s->write != NULL ? s->write(s, p, len) : send(s->fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p = (const char *)p + n;
		len -= (size_t)n;
	}
	return true;
}

/* ---- records ---- */

static bool nonsense(struct error **err)
{
	return error_set(err, "what comes from the container makes no sense");
}

/* What the sandbox says is printed: one line, and harmless to a terminal. error_report escapes, too. */
static void plain(char *s)
{
	for (; *s != '\0'; s++)
		if (!isprint((unsigned char)*s))
			*s = '?';
}

void files_note(unsigned *notes, const char *name, const char *why)
{
	cleanup_free char *n = xstrdup(name), *w = xstrdup(why);

	if ((*notes)++ >= NOTES_MAX)
		return;
	plain(n);
	plain(w);
	if (error_can_say())
		fprintf(stderr, "sentrybox: left out: %.300s: %.200s\n", *n != '\0' ? n : ".", w);
}

bool files_take(struct files_stream *s, struct error **err)
{
	struct files_record *r = &s->rec;

	if (s->name == NULL) {
		s->name = xcalloc(1, FILES_NAME_MAX + 1);
		s->data = xcalloc(1, FILES_DATA_MAX + 1);
	}
	for (;;) {
		if (!get_bytes(s, r, sizeof(*r), err))
			return false;
		if (!files_record_ok(r))
			return nonsense(err);
		if (!get_bytes(s, s->name, r->name_len, err) || !get_bytes(s, s->data, r->len, err))
			return false;
		s->name[r->name_len] = '\0';
		s->data[r->len] = '\0';
		if (r->kind == FILES_XATTR ? strlen(s->name) != r->name_len : r->kind != FILES_FAILED && !files_name_ok(s->name, r->name_len))
			return nonsense(err);
		if (r->kind != FILES_NOTE)
			break;
		files_note(&s->notes, s->name, s->data);
	}
	if (r->kind != FILES_FAILED)
		return true;
	plain(s->name);
	plain(s->data);
	return error_set(err, "%.300s%s%.300s", s->name, *s->name != '\0' ? ": " : "", s->data);
}

bool files_ask(struct files_stream *s, enum files_kind kind, unsigned flags, const char *path, struct error **err)
{
	struct files_record r = {.flags = (uint16_t)flags};

	if (strlen(path) > FILES_NAME_MAX)
		return error_set(err, "the path is too long");
	return files_send(s, &r, kind, path, NULL, 0, err);
}

/* Has the sentry said FAILED? */
static bool refused(struct files_stream *s, int wait_ms, struct error **err)
{
	struct pollfd p = {s->fd, POLLIN, 0};

	if (s->fd < 0 || poll(&p, 1, wait_ms) != 1)
		return false;
	if (files_take(s, err))
		nonsense(err);
	return true;
}

bool files_send(struct files_stream *s, struct files_record *r, enum files_kind kind, const char *name, const void *data,
		size_t len, struct error **err)
{
	r->magic = FILES_MAGIC;
	r->kind = (uint16_t)kind;
	r->name_len = (uint32_t)strlen(name);
	r->len = (uint32_t)len;
	if (refused(s, 0, err))
		return false;
	if (put_bytes(s, r, sizeof(*r)) && put_bytes(s, name, r->name_len) && put_bytes(s, data, len))
		return true;
	if (!refused(s, 0, err))
		error_set(err, "the container ended: the copy was cut short");
	return false;
}

/* ---- to a sink ---- */

struct receiver {
	struct files_stream *s;
	struct files_sink *sink;
	bool in_file;
	uint64_t size, pos;
	struct files_xattr xattrs[FILES_XATTRS_MAX];
	unsigned nxattrs;
};

static void drop_xattrs(struct receiver *r)
{
	for (unsigned i = 0; i < r->nxattrs; i++) {
		free(r->xattrs[i].name);
		free(r->xattrs[i].value);
	}
	r->nxattrs = 0;
}

static bool take_xattr(struct receiver *r, struct error **err)
{
	struct files_stream *s = r->s;
	struct files_xattr *x = &r->xattrs[r->nxattrs];

	if (r->nxattrs == FILES_XATTRS_MAX || strncmp(s->name, "user.", 5) != 0 || s->rec.name_len > 255)
		return nonsense(err);
	r->nxattrs++;
	x->name = xstrdup(s->name);
	x->size = s->rec.len;
	x->value = xcalloc(1, x->size + 1);
	memcpy(x->value, s->data, x->size);
	return true;
}

static bool take_entry(struct receiver *r, struct error **err)
{
	struct files_stream *s = r->s;
	struct files_entry e = {.r = s->rec, .name = s->name, .data = s->data, .xattrs = r->xattrs, .nxattrs = r->nxattrs};
	mode_t type = s->rec.mode & S_IFMT;
	bool link = (s->rec.flags & FILES_HARD_LINK) != 0, ok;

	r->in_file = S_ISREG(type) && !link;
	r->size = s->rec.offset;
	r->pos = 0;
	if (!S_ISREG(type) && !S_ISDIR(type) && !S_ISLNK(type) && !S_ISFIFO(type) && !S_ISCHR(type) && !S_ISBLK(type) &&
	    !S_ISSOCK(type))
		return nonsense(err);
	if ((s->rec.flags & FILES_OPAQUE) && !S_ISDIR(type)) /* an archive has a second entry for it */
		return nonsense(err);
	if (r->size > INT64_MAX || (link && (!S_ISREG(type) || s->rec.len == 0 || !files_name_ok(s->data, s->rec.len))))
		return nonsense(err);
	if (S_ISLNK(type) && (s->rec.len == 0 || s->rec.len >= 4096 || strlen(s->data) != s->rec.len))
		return nonsense(err);
	if (e.r.uid == UINT32_MAX || e.r.gid == UINT32_MAX) /* it would mean "as it is" */
		return nonsense(err);
	if (e.r.mtime_nsec >= 1000000000)
		e.r.mtime_nsec = 0;
	if (e.r.mtime_sec > TIME_MAX || e.r.mtime_sec < -TIME_MAX)
		e.r.mtime_sec = e.r.mtime_sec > 0 ? TIME_MAX : -TIME_MAX;
	e.r.mode &= S_IFMT | 07777;
	ok = r->sink->entry(r->sink, &e, err);
	drop_xattrs(r);
	return ok;
}

static bool take_data(struct receiver *r, struct error **err)
{
	const struct files_record *rec = &r->s->rec;

	if (!r->in_file || rec->offset < r->pos || rec->offset > r->size || rec->len > r->size - rec->offset)
		return nonsense(err);
	r->pos = rec->offset + rec->len;
	return r->sink->data(r->sink, rec->offset, r->s->data, rec->len, err);
}

static bool take_gone(struct receiver *r, struct error **err)
{
	r->in_file = false;
	if (r->sink->gone == NULL || r->s->name[0] == '\0')
		return nonsense(err);
	return r->sink->gone(r->sink, r->s->name, err);
}

bool files_receive(struct files_stream *s, struct files_sink *sink, struct error **err)
{
	struct receiver r = {.s = s, .sink = sink};
	bool ok = true;

	while (ok && files_take(s, err)) {
		switch (s->rec.kind) {
		case FILES_XATTR:
			ok = take_xattr(&r, err);
			break;
		case FILES_ENTRY:
			ok = take_entry(&r, err);
			break;
		case FILES_DATA:
			ok = take_data(&r, err);
			break;
		case FILES_GONE:
			ok = take_gone(&r, err);
			break;
		case FILES_END:
			drop_xattrs(&r);
			return sink->end(sink, err);
		default:
			ok = nonsense(err);
		}
	}
	drop_xattrs(&r);
	return false;
}
