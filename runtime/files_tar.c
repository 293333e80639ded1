/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sink: a tar stream, POSIX's pax form, which GNU tar, bsdtar, Python and container engines read.
 *
 *	[pax header: what the old one can't hold: long names, big numbers, nanoseconds, user.* attributes] header, contents, zeros
 *
 * A layer (`diff --format tar`) is the same as OCI has it: what the image lost is an empty file .wh.NAME beside where it was,
 * a directory that took another's place holds a .wh..wh..opq. A file of the container's that has such a name can't be told
 * and is left out, with a note.
 *
 * Names were checked by files_stream.c: whoever unpacks this gets no "..", and no hard link to what wasn't in it. Holes are
 * written as zeros; a file that is mostly holes and enormous is left out instead: it would be a way for a program to fill the
 * operator's disk with nothing.
 */
#include "runtime/files.h"
#include "runtime/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK 512
#define HOLES_MAX (16ULL << 30)

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], chksum[8], typeflag, linkname[100], magic[6], version[2],
		uname[32], gname[32], devmajor[8], devminor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header");

struct tar_sink {
	struct files_sink sink;
	FILE *out;
	char *prefix;
	bool layer, skip; /* the file under way is left out */
	uint64_t size, pos; /* of the file under way */
	unsigned *notes;
	/* the pax header under way */
	char *pax;
	size_t pax_len;
};

static bool put(struct tar_sink *t, const void *p, size_t len, struct error **err)
{
	if (len == 0 || fwrite(p, 1, len, t->out) == len)
		return true;
	return error_errno(err, errno, "can't write the archive");
}

static bool put_zeros(struct tar_sink *t, uint64_t n, struct error **err)
{
	static const char zeros[65536];

	while (n != 0) {
		size_t part = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);

		if (!put(t, zeros, part, err))
			return false;
		n -= part;
	}
	return true;
}

static bool end_file(struct tar_sink *t, struct error **err)
{
	uint64_t rest = t->size - t->pos;

	rest += (BLOCK - t->size % BLOCK) % BLOCK;
	t->size = t->pos = 0;
	return put_zeros(t, rest, err);
}

/* "LEN KEY=VALUE\n", LEN counts itself. */
static void pax(struct tar_sink *t, const char *key, const char *value, size_t value_len)
{
	size_t bare = strlen(key) + value_len + 3, len = bare + 1;
	int n;

	while (len != bare + (size_t)snprintf(NULL, 0, "%zu", len))
		len = bare + (size_t)snprintf(NULL, 0, "%zu", len);
	t->pax = xrealloc(t->pax, t->pax_len + len + 1, 1);
	n = sprintf(t->pax + t->pax_len, "%zu %s=", len, key);
	memcpy(t->pax + t->pax_len + n, value, value_len);
	t->pax[t->pax_len + len - 1] = '\n';
	t->pax_len += len;
}

/* Octal, NUL at its end; false: it doesn't fit, and is 0. */
static bool number(char *field, size_t size, uint64_t n)
{
	bool fits = n < 1ULL << (3 * (size - 1));

	snprintf(field, size, "%0*llo", (int)size - 1, (unsigned long long)(fits ? n : 0));
	return fits;
}

static void number_or_pax(struct tar_sink *t, char *field, size_t size, const char *key, uint64_t n)
{
	char text[32];

	if (!number(field, size, n))
		pax(t, key, text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)n));
}

static void text_or_pax(struct tar_sink *t, char *field, size_t size, const char *key, const char *s)
{
	size_t len = strlen(s);

	if (len > size)
		pax(t, key, s, len);
	memcpy(field, s, len < size ? len : size);
}

static bool put_header(struct tar_sink *t, struct header *h, struct error **err)
{
	unsigned sum = 0;

	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	memset(h->chksum, ' ', sizeof(h->chksum));
	for (size_t i = 0; i < BLOCK; i++)
		sum += ((const unsigned char *)h)[i];
	snprintf(h->chksum, sizeof(h->chksum), "%06o", sum);
	return put(t, h, BLOCK, err);
}

static bool put_pax(struct tar_sink *t, struct error **err)
{
	struct header h = {.name = "././@PaxHeader", .typeflag = 'x'};
	size_t len = t->pax_len;

	if (len == 0)
		return true;
	number(h.mode, sizeof(h.mode), 0644);
	number(h.uid, sizeof(h.uid), 0);
	number(h.gid, sizeof(h.gid), 0);
	number(h.size, sizeof(h.size), len);
	number(h.mtime, sizeof(h.mtime), 0);
	t->pax_len = 0;
	return put_header(t, &h, err) && put(t, t->pax, len, err) && put_zeros(t, (BLOCK - len % BLOCK) % BLOCK, err);
}

static void put_mtime(struct tar_sink *t, struct header *h, const struct files_record *r)
{
	char text[48];
	int64_t sec = r->mtime_sec;

	if (sec < 0 || !number(h->mtime, sizeof(h->mtime), (uint64_t)sec) || r->mtime_nsec != 0) {
		if (sec < 0)
			number(h->mtime, sizeof(h->mtime), 0);
		/* -1.5 is written -1.5: half a second before -1. */
		if (sec < 0 && r->mtime_nsec != 0)
			snprintf(text, sizeof(text), "-%lld.%09u", -(long long)(sec + 1), 1000000000U - r->mtime_nsec);
		else
			snprintf(text, sizeof(text), r->mtime_nsec != 0 ? "%lld.%09u" : "%lld", (long long)sec, r->mtime_nsec);
		pax(t, "mtime", text, strlen(text));
	}
}

/* As it is called in the archive; a string to free. */
static char *full_name(const struct tar_sink *t, const char *name, bool dir)
{
	const char *end = dir ? "/" : "";

	if (*name == '\0')
		return xasprintf("%s%s", *t->prefix != '\0' ? t->prefix : ".", end);
	return *t->prefix != '\0' ? xasprintf("%s/%s%s", t->prefix, name, end) : xasprintf("%s%s", name, end);
}

static char type_of(const struct files_entry *e)
{
	if (e->r.flags & FILES_HARD_LINK)
		return '1';
	switch (e->r.mode & S_IFMT) {
	case S_IFDIR:
		return '5';
	case S_IFLNK:
		return '2';
	case S_IFIFO:
		return '6';
	case S_IFCHR:
		return '3';
	case S_IFBLK:
		return '4';
	default:
		return '0';
	}
}

static bool put_empty(struct tar_sink *t, const char *name, struct error **err)
{
	struct header h = {.typeflag = '0'};

	text_or_pax(t, h.name, sizeof(h.name), "path", name);
	number(h.mode, sizeof(h.mode), 0600);
	number(h.uid, sizeof(h.uid), 0);
	number(h.gid, sizeof(h.gid), 0);
	number(h.size, sizeof(h.size), 0);
	number(h.mtime, sizeof(h.mtime), 0);
	return put_pax(t, err) && put_header(t, &h, err);
}

static bool is_whiteout(const char *name)
{
	return strncmp(name, ".wh.", 4) == 0 || strstr(name, "/.wh.") != NULL;
}

static bool left_out(struct tar_sink *t, const struct files_entry *e)
{
	if (S_ISSOCK(e->r.mode))
		return true; /* as tar does */
	if (t->layer && is_whiteout(e->name)) {
		files_note(t->notes, e->name, "its name would mean something else in a layer");
		return true;
	}
	if (S_ISREG(e->r.mode) && !(e->r.flags & FILES_HARD_LINK) && e->r.offset > HOLES_MAX &&
	    e->r.offset - HOLES_MAX > e->r.stored) {
		files_note(t->notes, e->name, "it is nearly all holes, which a tar stream would have to spell out");
		return true;
	}
	return false;
}

static bool tar_entry(struct files_sink *s, const struct files_entry *e, struct error **err)
{
	struct tar_sink *t = (struct tar_sink *)s;
	cleanup_free char *name = full_name(t, e->name, S_ISDIR(e->r.mode)), *link = NULL;
	struct header h = {.typeflag = type_of(e)};

	if (!end_file(t, err))
		return false;
	t->skip = left_out(t, e);
	if (t->skip)
		return true;
	text_or_pax(t, h.name, sizeof(h.name), "path", name);
	if (h.typeflag == '1')
		link = full_name(t, e->data, false);
	else if (h.typeflag == '2')
		link = xstrdup(e->data);
	if (link != NULL)
		text_or_pax(t, h.linkname, sizeof(h.linkname), "linkpath", link);
	number(h.mode, sizeof(h.mode), e->r.mode & 07777);
	number_or_pax(t, h.uid, sizeof(h.uid), "uid", e->r.uid);
	number_or_pax(t, h.gid, sizeof(h.gid), "gid", e->r.gid);
	if (h.typeflag == '0')
		t->size = e->r.offset;
	number_or_pax(t, h.size, sizeof(h.size), "size", t->size);
	put_mtime(t, &h, &e->r);
	if (h.typeflag == '3' || h.typeflag == '4') {
		number(h.devmajor, sizeof(h.devmajor), e->r.rdev_major);
		number(h.devminor, sizeof(h.devminor), e->r.rdev_minor);
	}
	for (unsigned i = 0; i < e->nxattrs && h.typeflag != '1'; i++) {
		cleanup_free char *key = xasprintf("SCHILY.xattr.%s", e->xattrs[i].name);

		if (strchr(key, '=') == NULL) /* it ends the key */
			pax(t, key, e->xattrs[i].value, e->xattrs[i].size);
	}
	if (!put_pax(t, err) || !put_header(t, &h, err))
		return false;
	if (t->layer && (e->r.flags & FILES_OPAQUE)) {
		cleanup_free char *opq = xasprintf("%s.wh..wh..opq", name);

		return put_empty(t, opq, err);
	}
	return true;
}

static bool tar_data(struct files_sink *s, uint64_t offset, const char *bytes, size_t len, struct error **err)
{
	struct tar_sink *t = (struct tar_sink *)s;
	uint64_t hole = offset - t->pos;

	if (t->skip)
		return true;
	t->pos = offset + len;
	return put_zeros(t, hole, err) && put(t, bytes, len, err);
}

static bool tar_gone(struct files_sink *s, const char *name, struct error **err)
{
	struct tar_sink *t = (struct tar_sink *)s;
	const char *slash = strrchr(name, '/'), *last = slash != NULL ? slash + 1 : name;
	cleanup_free char *wh = xasprintf("%.*s.wh.%s", (int)(last - name), name, last);

	if (is_whiteout(name) || strlen(last) > FILES_PART_MAX - strlen(".wh.")) {
		files_note(t->notes, name, "its removal can't be told in a layer");
		return true;
	}
	return end_file(t, err) && put_empty(t, wh, err);
}

static bool tar_end(struct files_sink *s, struct error **err)
{
	struct tar_sink *t = (struct tar_sink *)s;

	if (!end_file(t, err) || !put_zeros(t, 2L * BLOCK, err))
		return false;
	return fflush(t->out) == 0 || error_errno(err, errno, "can't write the archive");
}

struct files_sink *files_tar_sink(FILE *out, const char *prefix, bool layer, unsigned *notes)
{
	struct tar_sink *t = xcalloc(1, sizeof(*t));

	t->sink = (struct files_sink){tar_entry, tar_data, layer ? tar_gone : NULL, tar_end};
	t->out = out;
	t->prefix = xstrdup(prefix);
	t->layer = layer;
	t->notes = notes;
	return &t->sink;
}

void files_tar_free(struct files_sink *s)
{
	struct tar_sink *t = (struct tar_sink *)s;

	if (t == NULL)
		return;
	free(t->prefix);
	free(t->pax);
	free(t);
}
