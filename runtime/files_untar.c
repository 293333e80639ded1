/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source: a tar stream, for `cp - ID:PATH`. Reads what GNU tar, bsdtar, Python and engines write: ustar, pax headers, GNU's
 * long names and binary numbers. Sparse and compressed archives are refused by name.
 *
 *	header (checksum!) --> x, g, L, K: for what follows | an entry --> ENTRY, DATA
 *
 * The archive may be anybody's. Names lose a leading "/" and "./"; one with ".." is an error, and so is a number that is none,
 * a header whose sum is wrong, an extended header of more than FILES_PAX_MAX. Links are as harmless as in the container itself:
 * the sentry follows none while it makes files.
 */
#include "runtime/files.h"
#include "runtime/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK 512

struct pax {
	char *path, *link;
	bool has_size, has_uid, has_gid, has_mtime;
	uint64_t size;
	uint32_t uid, gid;
	int64_t sec;
	uint32_t nsec;
	struct files_xattr xattrs[FILES_XATTRS_MAX];
	unsigned nxattrs;
};

struct untar {
	struct files_stream *s;
	FILE *in;
	bool owners;
	struct pax here, global;
};

static void pax_clear(struct pax *p)
{
	free(p->path);
	free(p->link);
	for (unsigned i = 0; i < p->nxattrs; i++) {
		free(p->xattrs[i].name);
		free(p->xattrs[i].value);
	}
	memset(p, 0, sizeof(*p));
}

static bool bad(struct error **err, const char *what)
{
	return error_set(err, "the archive: %s", what);
}

static bool get(struct untar *u, void *p, size_t len, struct error **err)
{
	if (fread(p, 1, len, u->in) == len)
		return true;
	return ferror(u->in) ? error_errno(err, errno, "can't read the archive") : bad(err, "it ends in the middle");
}

static bool skip(struct untar *u, uint64_t n, struct error **err)
{
	char buf[4096];

	while (n != 0) {
		size_t part = n < sizeof(buf) ? (size_t)n : sizeof(buf);

		if (!get(u, buf, part, err))
			return false;
		n -= part;
	}
	return true;
}

/* Octal, or GNU's binary form. False: neither, negative, or too big. */
static bool number(const unsigned char *field, size_t size, uint64_t *out)
{
	uint64_t n = 0;
	size_t i = 0;

	if (field[0] & 0x80) {
		if (field[0] != 0x80)
			return false;
		for (i = 1; i < size; i++) {
			if (n >> 55 != 0)
				return false;
			n = n << 8 | field[i];
		}
		*out = n;
		return true;
	}
	while (i < size && field[i] == ' ')
		i++;
	for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
		n = n << 3 | (uint64_t)(field[i] - '0'); /* at most 12 digits */
	*out = n;
	for (; i < size; i++)
		if (field[i] != ' ' && field[i] != '\0')
			return false;
	return true;
}

static bool decimal(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (*s == '\0')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (n > (max - (uint64_t)(*s - '0')) / 10)
			return false;
		n = n * 10 + (uint64_t)(*s - '0');
	}
	*out = n;
	return *s == '\0';
}

/* "[-]SEC[.FRACTION]" */
static bool timestamp(const char *s, int64_t *sec, uint32_t *nsec)
{
	bool minus = *s == '-';
	uint64_t n = 0;
	uint32_t frac = 0, unit = 100000000;
	cleanup_free char *whole = xstrdup(s + minus);
	char *dot = strchr(whole, '.');

	if (dot != NULL)
		*dot++ = '\0';
	if (!decimal(whole, INT64_MAX - 1, &n))
		return false;
	for (; dot != NULL && *dot >= '0' && *dot <= '9'; dot++, unit /= 10)
		frac += (uint32_t)(*dot - '0') * unit;
	*sec = minus ? -(int64_t)n : (int64_t)n;
	if (minus && frac != 0) {
		*sec -= 1;
		frac = 1000000000U - frac;
	}
	*nsec = frac;
	return true;
}

static bool pax_xattr(struct pax *p, const char *name, const char *value, size_t len, struct error **err)
{
	struct files_xattr *x;

	if (strncmp(name, "user.", 5) != 0)
		return true;
	if (p->nxattrs == FILES_XATTRS_MAX || strlen(name) > 255 || len > FILES_DATA_MAX)
		return bad(err, "too many or too big extended attributes");
	x = &p->xattrs[p->nxattrs++];
	x->name = xstrdup(name);
	x->value = xcalloc(1, len + 1);
	x->size = len;
	memcpy(x->value, value, len);
	return true;
}

static bool pax_value(struct pax *p, const char *key, const char *value, size_t len, struct error **err)
{
	uint64_t n = 0;

	if (strncmp(key, "SCHILY.xattr.", 13) == 0)
		return pax_xattr(p, key + 13, value, len, err);
	if (strncmp(key, "GNU.sparse.", 11) == 0)
		return bad(err, "sparse files are not supported: make it without --sparse");
	if (strlen(value) != len)
		return bad(err, "a zero byte in an extended header");
	if (strcmp(key, "path") == 0) {
		free(p->path);
		p->path = xstrdup(value);
	} else if (strcmp(key, "linkpath") == 0) {
		free(p->link);
		p->link = xstrdup(value);
	} else if (strcmp(key, "size") == 0) {
		p->has_size = decimal(value, INT64_MAX, &p->size);
		return p->has_size || bad(err, "a size that is no number");
	} else if (strcmp(key, "uid") == 0 || strcmp(key, "gid") == 0) {
		if (!decimal(value, UINT32_MAX - 1, &n))
			return bad(err, "an owner that is no number");
		*(key[0] == 'u' ? &p->uid : &p->gid) = (uint32_t)n;
		*(key[0] == 'u' ? &p->has_uid : &p->has_gid) = true;
	} else if (strcmp(key, "mtime") == 0) {
		p->has_mtime = timestamp(value, &p->sec, &p->nsec);
		return p->has_mtime || bad(err, "a time that is no number");
	}
	return true;
}

/* text ends with a NUL of ours behind len. */
static bool pax_parse(struct pax *p, char *text, size_t len, struct error **err)
{
	while (len != 0) {
		char *key = text, *value;
		size_t n = 0;

		while (*key >= '0' && *key <= '9' && n < FILES_PAX_MAX)
			n = n * 10 + (size_t)(*key++ - '0');
		if (*key++ != ' ' || n > len || n <= (size_t)(key - text) || text[n - 1] != '\n')
			return bad(err, "an extended header makes no sense");
		text[n - 1] = '\0';
		value = memchr(key, '=', n - (size_t)(key - text));
		if (value == NULL || memchr(key, '\0', (size_t)(value - key)) != NULL)
			return bad(err, "an extended header makes no sense");
		*value++ = '\0';
		if (!pax_value(p, key, value, n - 1 - (size_t)(value - text), err))
			return false;
		text += n;
		len -= n;
	}
	return true;
}

/* The body of an x, g, L or K. */
static bool extra(struct untar *u, char type, uint64_t size, struct error **err)
{
	cleanup_free char *text = NULL;
	bool ok;

	if (size > FILES_PAX_MAX)
		return bad(err, "an extended header is too long");
	text = xcalloc(1, (size_t)size + 1);
	if (!get(u, text, (size_t)size, err) || !skip(u, (BLOCK - size % BLOCK) % BLOCK, err))
		return false;
	if (type == 'x' || type == 'g') {
		ok = pax_parse(type == 'x' ? &u->here : &u->global, text, (size_t)size, err);
	} else {
		char **to = type == 'L' ? &u->here.path : &u->here.link;

		free(*to);
		*to = xstrdup(text);
		ok = true;
	}
	return ok;
}

/* "./a//b/" --> "a/b", in place. False: it has "..", or is too long. */
static bool clean(char *name)
{
	char *to = name;

	if (strlen(name) > FILES_NAME_MAX)
		return false;
	for (const char *p = name; *p != '\0';) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.')
			return false;
		if (n > FILES_PART_MAX)
			return false;
		if (n != 0 && !(n == 1 && p[0] == '.')) {
			if (to != name)
				*to++ = '/';
			memmove(to, p, n);
			to += n;
		}
		p += n + (p[n] == '/');
	}
	*to = '\0';
	return true;
}

static bool contents(struct untar *u, uint64_t size, struct error **err)
{
	cleanup_free char *buf = xcalloc(1, FILES_DATA_MAX);

	for (uint64_t pos = 0; pos < size;) {
		struct files_record r = {.offset = pos};
		size_t part = size - pos < FILES_DATA_MAX ? (size_t)(size - pos) : FILES_DATA_MAX;

		if (!get(u, buf, part, err))
			return false;
		if ((buf[0] != 0 || memcmp(buf, buf + 1, part - 1) != 0) && !files_send(u->s, &r, FILES_DATA, "", buf, part, err))
			return false;
		pos += part;
	}
	return skip(u, (BLOCK - size % BLOCK) % BLOCK, err);
}

static char *field(const unsigned char *p, size_t size)
{
	return xstrndup((const char *)p, strnlen((const char *)p, size));
}

static char *name_of(const struct untar *u, const unsigned char *h)
{
	cleanup_free char *name = field(h, 100), *prefix = NULL;

	if (u->here.path != NULL)
		return xstrdup(u->here.path);
	if (u->global.path != NULL)
		return xstrdup(u->global.path);
	if (memcmp(h + 257, "ustar\0", 6) == 0 && h[345] != '\0')
		prefix = field(h + 345, 155);
	return prefix != NULL ? xasprintf("%s/%s", prefix, name) : steal_pointer(&name);
}

static mode_t type_of(char type)
{
	switch (type) {
	case '0':
	case '\0':
	case '7':
	case '1':
		return S_IFREG;
	case '2':
		return S_IFLNK;
	case '3':
		return S_IFCHR;
	case '4':
		return S_IFBLK;
	case '5':
		return S_IFDIR;
	case '6':
		return S_IFIFO;
	default:
		return 0;
	}
}

static bool fill(struct untar *u, const unsigned char *h, uint64_t size, struct files_record *r, struct error **err)
{
	uint64_t mode, uid, gid, mtime, major, minor;

	if (!number(h + 100, 8, &mode) || !number(h + 108, 8, &uid) || !number(h + 116, 8, &gid) || !number(h + 136, 12, &mtime))
		return bad(err, "a number in a header is none");
	if (!number(h + 329, 8, &major) || !number(h + 337, 8, &minor))
		major = minor = 0;
	*r = (struct files_record){.mode = (uint32_t)(mode & 07777) | type_of((char)h[156]),
				   .mtime_sec = (int64_t)(mtime & INT64_MAX),
				   .rdev_major = (uint32_t)major,
				   .rdev_minor = (uint32_t)minor};
	if (u->here.has_mtime) {
		r->mtime_sec = u->here.sec;
		r->mtime_nsec = u->here.nsec;
	}
	if (u->owners) {
		r->uid = u->here.has_uid ? u->here.uid : u->global.has_uid ? u->global.uid : (uint32_t)uid;
		r->gid = u->here.has_gid ? u->here.gid : u->global.has_gid ? u->global.gid : (uint32_t)gid;
	}
	if (h[156] == '1')
		r->flags = FILES_HARD_LINK;
	else if (S_ISREG(r->mode))
		r->offset = size;
	return true;
}

static bool entry(struct untar *u, const unsigned char *h, uint64_t size, struct error **err)
{
	cleanup_free char *name = name_of(u, h), *link = NULL;
	size_t len = strlen(name);
	struct files_record r;
	const char *data = NULL;

	if (!fill(u, h, size, &r, err))
		return false;
	/* An old way to say directory. */
	if ((h[156] == '0' || h[156] == '\0') && len != 0 && name[len - 1] == '/')
		r.mode = (r.mode & 07777) | S_IFDIR;
	if ((r.mode & S_IFMT) == 0)
		return bad(err, h[156] == 'S' ? "sparse files are not supported: make it without --sparse" : "an entry of an unknown type");
	if (!clean(name))
		return bad(err, "a name with \"..\", or too long");
	if (*name == '\0')
		return skip(u, size + (BLOCK - size % BLOCK) % BLOCK, err); /* the top itself: it is there */
	if (S_ISLNK(r.mode) || (r.flags & FILES_HARD_LINK)) {
		link = u->here.link != NULL ? xstrdup(u->here.link) : field(h + 157, 100);
		if ((r.flags & FILES_HARD_LINK) ? !clean(link) || *link == '\0' : *link == '\0' || strlen(link) > 4095)
			return bad(err, "a link that leads nowhere");
		data = link;
	}
	for (unsigned i = 0; i < u->here.nxattrs && data == NULL; i++) {
		struct files_record x = {0};

		if (!files_send(u->s, &x, FILES_XATTR, u->here.xattrs[i].name, u->here.xattrs[i].value, u->here.xattrs[i].size, err))
			return false;
	}
	if (!S_ISREG(r.mode))
		r.offset = 0;
	if (!files_send(u->s, &r, FILES_ENTRY, name, data, data != NULL ? strlen(data) : 0, err))
		return false;
	if (S_ISREG(r.mode) && !(r.flags & FILES_HARD_LINK))
		return contents(u, size, err);
	/* Some archives have a size where there is nothing. */
	return (r.flags & FILES_HARD_LINK) || S_ISLNK(r.mode) || S_ISDIR(r.mode) ||
	       skip(u, size + (BLOCK - size % BLOCK) % BLOCK, err);
}

static bool sum_ok(const unsigned char *h)
{
	uint64_t want, sum = 0;

	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : h[i];
	return number(h + 148, 8, &want) && want == sum;
}

static bool one_header(struct untar *u, const unsigned char *h, struct error **err)
{
	uint64_t size;
	bool ok;

	if (!sum_ok(h))
		return bad(err, h[0] == 0x1f && h[1] == 0x8b ? "it is compressed: put zcat before it" : "this is no tar archive, or it is damaged");
	if (!number(h + 124, 12, &size) || size > INT64_MAX / 2)
		return bad(err, "a size that is no number");
	switch (h[156]) {
	case 'x':
	case 'g':
	case 'L':
	case 'K':
		return extra(u, (char)h[156], size, err);
	case 'V': /* a volume's name */
		return skip(u, size + (BLOCK - size % BLOCK) % BLOCK, err);
	default:
		if (u->here.has_size)
			size = u->here.size;
		if (size > INT64_MAX / 2)
			return bad(err, "a size that is no number");
		ok = entry(u, h, size, err);
		pax_clear(&u->here);
		return ok;
	}
}

static bool is_zero(const unsigned char *h)
{
	return h[0] == 0 && memcmp(h, h + 1, BLOCK - 1) == 0;
}

bool files_source_tar(struct files_stream *s, FILE *in, bool owners, struct error **err)
{
	struct untar *u = xcalloc(1, sizeof(*u));
	unsigned char h[BLOCK];
	bool ok = true, first = true;

	u->s = s;
	u->in = in;
	u->owners = owners;
	while (ok) {
		size_t n = fread(h, 1, BLOCK, in);

		if (n == 0 && !ferror(in) && !first)
			break; /* without the two blocks at the end */
		if (n != BLOCK) {
			ok = ferror(in) ? error_errno(err, errno, "can't read the archive") : bad(err, first ? "it is empty" : "it ends in the middle");
		} else if (is_zero(h)) {
			break;
		} else {
			ok = one_header(u, h, err);
		}
		first = false;
	}
	while (ok && fread(h, 1, BLOCK, in) == BLOCK)
		; /* whoever writes it is not to be killed by a closed pipe */
	pax_clear(&u->here);
	pax_clear(&u->global);
	free(u);
	return ok;
}
