/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command's side of --copy-out: records from the sandbox become files, see copy_out.h.
 *
 * Every name is split here and walked one component at a time from the destination with O_NOFOLLOW, so that neither
 * ".." nor a symbolic link that an earlier record made (or that lay there before) leads out of it. A file is never
 * written through: what has its name is unlinked and a new one made with O_EXCL. Set-id bits, owners, devices, sockets,
 * FIFOs and extended attributes stay behind. A symbolic link is made as it was, wherever it points: whoever follows it
 * later does so with open eyes.
 *
 * What fails is told at the end; where it was the item itself, the rest of that item is read and dropped. What the
 * sandbox controls: names, contents, how much (bounded by its own limits), nothing about where.
 */
#include "runtime/copy_out.h"
#include "runtime/cleanup.h"
#include "runtime/error.h"
#include "runtime/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define COMPLAINTS_MAX 20

struct item {
	int parent; /* O_PATH: the directory in which `name` is made */
	char *name;
	int root; /* O_PATH: the directory made by the item's first record, for a tree; -1 */
	bool begun, ended, failed;
};

struct copy_out {
	struct item *items;
	const struct copy_out_arg *args;
	size_t n;
	char *errors; /* a line each, the first COMPLAINTS_MAX */
	unsigned complaints;
	bool broken; /* the stream makes no sense: nothing more is believed */

	int file; /* the FILE that is being written; -1 */
	mode_t file_mode;
	struct timespec file_mtime;

	/* the record that is coming in */
	char buf[sizeof(struct copy_out_record) + COPY_OUT_NAME_MAX + COPY_OUT_DATA_MAX];
	size_t have;
};

static void complain(struct copy_out *c, size_t item, const char *name, const char *what)
{
	cleanup_free char *shown = xstrdup(name);
	char *before = c->errors;

	if (c->complaints++ >= COMPLAINTS_MAX)
		return;
	for (char *p = shown; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20) /* a name of the program's must not end our line */
			*p = '?';
	}
	c->errors = xasprintf("%s%s--copy-out %s:%s: %s%s%s", before != NULL ? before : "", before != NULL ? "\n" : "",
			      c->args[item].guest, c->args[item].host, shown, *name != '\0' ? ": " : "", what);
	free(before);
}

/*
 * As cp -R does: into an existing directory under the item's own name if the item is a file, else onto the name itself.
 * Only the operator's own path is followed here.
 */
static bool open_destination(struct item *it, const struct copy_out_arg *arg, struct error **err)
{
	cleanup_free char *host = xstrdup(arg->host);
	size_t len = strlen(host);
	char *slash;

	while (len > 1 && host[len - 1] == '/')
		host[--len] = '\0';
	slash = strrchr(host, '/');
	if (strcmp(host, "/") == 0 || strcmp(host, ".") == 0 || strcmp(host, "..") == 0 ||
	    (slash != NULL && (strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0))) {
		const char *base = strrchr(arg->guest, '/') + 1;

		if (*base == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
			return error_set(err, "%s: give the copy a name, as in %s/copy", arg->host, host);
		it->parent = open(host, O_PATH | O_DIRECTORY | O_CLOEXEC);
		it->name = xstrdup(base);
	} else if (slash != NULL) {
		it->name = xstrdup(slash + 1);
		slash[slash == host ? 1 : 0] = '\0';
		it->parent = open(host, O_PATH | O_DIRECTORY | O_CLOEXEC);
	} else {
		it->name = xstrdup(host);
		it->parent = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (it->parent < 0)
		return error_errno(err, errno, "can't open the directory above %s (make it first)", arg->host);
	if (faccessat(it->parent, "", W_OK | X_OK, AT_EMPTY_PATH) < 0 && errno != EINVAL && errno != ENOENT)
		return error_errno(err, errno, "can't write beside %s", arg->host);
	return true;
}

struct copy_out *copy_out_open(const struct copy_out_arg *args, size_t n, struct error **err)
{
	struct copy_out *c = xcalloc(1, sizeof(*c));

	c->items = xcalloc(n, sizeof(*c->items));
	c->args = args;
	c->n = n;
	c->file = -1;
	for (size_t i = 0; i < n; i++) {
		c->items[i].root = c->items[i].parent = -1;
		if (!open_destination(&c->items[i], &args[i], err))
			return NULL;
	}
	return c;
}

static bool part_ok(const char *name, size_t len)
{
	return len != 0 && len <= 255 && !(len == 1 && name[0] == '.') &&
	       !(len == 2 && name[0] == '.' && name[1] == '.');
}

/* The directory in which `name`'s last part lies (a descriptor to close), and that part in *last. -1: no such place. */
static int walk(const struct item *it, const char *name, const char **last)
{
	cleanup_close int dir = -1;

	if (*name == '\0') {
		*last = it->name;
		return fcntl(it->parent, F_DUPFD_CLOEXEC, 10);
	}
	dir = it->root >= 0 ? fcntl(it->root, F_DUPFD_CLOEXEC, 10) : -1;
	for (;;) {
		const char *slash = strchr(name, '/');
		size_t len = slash != NULL ? (size_t)(slash - name) : strlen(name);
		char part[256];
		int next;

		if (dir < 0 || !part_ok(name, len))
			return -1;
		if (slash == NULL) {
			*last = name;
			return steal_fd(&dir);
		}
		memcpy(part, name, len);
		part[len] = '\0';
		next = openat(dir, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(dir);
		dir = next;
		name = slash + 1;
	}
}

/* As cp does: a file that is to replace a directory goes into it. */
static void into_directory(const struct copy_out *c, size_t item, int *dir, const char **last)
{
	int inner = openat(*dir, *last, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (inner < 0)
		return;
	close(*dir);
	*dir = inner;
	*last = strrchr(c->args[item].guest, '/') + 1;
}

static void end_file(struct copy_out *c)
{
	if (c->file < 0)
		return;
	struct timespec times[2] = {{0, UTIME_OMIT}, c->file_mtime};

	fchmod(c->file, c->file_mode & 0777);
	futimens(c->file, times);
	close(steal_fd(&c->file));
}

static int make_dir(struct item *it, int dir, const char *last, const char *name, mode_t mode)
{
	if (mkdirat(dir, last, 0700) < 0 && errno != EEXIST)
		return -1;
	if (*name == '\0') {
		/* The item itself: a link of the operator's may stand for the directory. */
		it->root = openat(dir, last, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return it->root < 0 ? -1 : 0;
	}
	/* So that what is in it can be made: read-only directories stay writable for their owner. A link of an earlier record may
	 * have that name: it isn't followed. */
	return fchmodat(dir, last, (mode & 0777) | 0700, AT_SYMLINK_NOFOLLOW);
}

static int make_file(struct copy_out *c, int dir, const char *last, const struct copy_out_record *r)
{
	if (unlinkat(dir, last, 0) < 0 && errno != ENOENT)
		return -1;
	c->file = openat(dir, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	c->file_mode = r->mode;
	c->file_mtime = (struct timespec){r->mtime_sec, r->mtime_nsec < 1000000000 ? (long)r->mtime_nsec : 0};
	return c->file < 0 ? -1 : 0;
}

static int make_symlink(int dir, const char *last, const char *target)
{
	if (unlinkat(dir, last, 0) < 0 && errno != ENOENT)
		return -1;
	return symlinkat(target, dir, last);
}

static int write_data(struct copy_out *c, const struct copy_out_record *r, const char *data)
{
	for (size_t done = 0; done < r->len;) {
		ssize_t n = pwrite(c->file, data + done, r->len - done, (off_t)(r->offset + done));

		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

static void one_record(struct copy_out *c, const struct copy_out_record *r, const char *name, const char *data)
{
	struct item *it = &c->items[r->item];
	const char *last = NULL;
	cleanup_close int dir = -1;
	int bad = 0;

	if (it->ended || it->failed)
		return;
	/* The item itself comes once and first: what an earlier record made in its place must not be followed. */
	if (it->begun && *name == '\0' && (r->kind == COPY_OUT_DIR || r->kind == COPY_OUT_FILE || r->kind == COPY_OUT_SYMLINK)) {
		complain(c, r->item, name, "comes twice");
		it->failed = true;
		return;
	}
	it->begun = true;
	switch (r->kind) {
	case COPY_OUT_DIR:
	case COPY_OUT_FILE:
	case COPY_OUT_SYMLINK:
		end_file(c);
		dir = walk(it, name, &last);
		if (dir < 0) {
			errno = EINVAL;
			bad = -1;
			break;
		}
		if (*name == '\0' && r->kind != COPY_OUT_DIR)
			into_directory(c, r->item, &dir, &last);
		if (r->kind == COPY_OUT_DIR)
			bad = make_dir(it, dir, last, name, r->mode);
		else if (r->kind == COPY_OUT_FILE)
			bad = make_file(c, dir, last, r);
		else
			bad = make_symlink(dir, last, data);
		break;
	case COPY_OUT_DATA:
		bad = c->file < 0 || r->offset > (uint64_t)INT64_MAX - r->len ? -1 : write_data(c, r, data);
		break;
	case COPY_OUT_SIZE:
		bad = c->file < 0 || r->offset > INT64_MAX ? -1 : ftruncate(c->file, (off_t)r->offset);
		break;
	case COPY_OUT_SKIPPED:
		complain(c, r->item, name, *data != '\0' ? data : "is a device, socket or FIFO and was not copied");
		return;
	case COPY_OUT_FAILED:
		complain(c, r->item, name, data);
		it->failed = true;
		return;
	case COPY_OUT_END:
		end_file(c);
		it->ended = true;
		return;
	default:
		c->broken = true;
		return;
	}
	if (bad != 0) {
		complain(c, r->item, name, strerror(errno));
		it->failed = true;
	}
}

static bool record_ok(const struct copy_out *c, const struct copy_out_record *r)
{
	return r->magic == COPY_OUT_MAGIC && r->item < c->n && r->name_len <= COPY_OUT_NAME_MAX &&
	       r->len <= COPY_OUT_DATA_MAX;
}

void copy_out_feed(struct copy_out *c, const char *data, size_t len)
{
	while (len != 0 && !c->broken) {
		struct copy_out_record r;
		size_t want = sizeof(r), n;

		if (c->have >= sizeof(r)) {
			memcpy(&r, c->buf, sizeof(r));
			want += r.name_len + r.len;
		}
		n = want - c->have < len ? want - c->have : len;
		memcpy(c->buf + c->have, data, n);
		c->have += n;
		data += n;
		len -= n;
		if (c->have < sizeof(r))
			return;
		memcpy(&r, c->buf, sizeof(r));
		if (!record_ok(c, &r)) {
			c->broken = true;
			return;
		}
		if (c->have == sizeof(r) + r.name_len + r.len) {
			cleanup_free char *name = xstrndup(c->buf + sizeof(r), r.name_len);
			cleanup_free char *body = xcalloc(1, r.len + 1);

			memcpy(body, c->buf + sizeof(r) + r.name_len, r.len);
			c->have = 0;
			one_record(c, &r, name, body);
		}
	}
}

char *copy_out_close(struct copy_out *c, bool expected)
{
	char *error;

	end_file(c);
	for (size_t i = 0; i < c->n; i++) {
		struct item *it = &c->items[i];

		if (expected && !it->ended && !it->failed)
			complain(c, i, "",
				 it->begun ? "the copy was cut short" : "the sandbox ended without copying it");
		if (it->parent >= 0)
			close(it->parent);
		if (it->root >= 0)
			close(it->root);
		free(it->name);
	}
	error = c->errors;
	free(c->items);
	free(c);
	return error;
}
