/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sink: what a run changed, as docker diff lists it: A, C or D and the path, a line each, or as JSON
 *
 *	[{"path":"/etc/motd","change":"changed","type":"file"}, ...]
 *
 * Names are the container's and may be any bytes. In lines, what isn't printable is written \ooo, and so is a backslash; in
 * JSON, what isn't UTF-8 becomes "?", with all of the name in "hex".
 */
#include "runtime/files.h"
#include "runtime/cleanup.h"

#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>

struct change {
	char *name;
	char what;
	mode_t mode; /* 0: it is gone */
};

struct list_sink {
	struct files_sink sink;
	bool json, any;
	struct change *all; /* printed in order at the end */
	size_t n;
};

/* The length of the UTF-8 sequence at s, 0 if it is none. */
static size_t utf8(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t n = u[0] < 0x80 ? 1 : u[0] >= 0xc2 && u[0] < 0xe0 ? 2 : u[0] >= 0xe0 && u[0] < 0xf0 ? 3 : u[0] >= 0xf0 && u[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] >= 0xa0) || (u[0] == 0xf0 && u[1] < 0x90) ||
	    (u[0] == 0xf4 && u[1] >= 0x90))
		return 0;
	return n;
}

static void print_escaped(const char *s)
{
	while (*s != '\0') {
		size_t n = utf8(s);

		if (n == 0 || (unsigned char)*s < 0x20 || *s == 0x7f || *s == '\\' || (n == 2 && (unsigned char)s[0] == 0xc2 && (unsigned char)s[1] < 0xa0)) {
			printf("\\%03o", (unsigned char)*s++);
			continue;
		}
		fwrite(s, 1, n, stdout);
		s += n;
	}
}

static const char *type_word(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFSOCK:
		return "socket";
	case S_IFIFO:
		return "fifo";
	default:
		return "device";
	}
}

static void print_json(struct list_sink *l, char change, const char *name, mode_t mode)
{
	json_object *o = json_object_new_object();
	cleanup_free char *path = xasprintf("/%s", name);
	bool odd = false;

	for (char *p = path; *p != '\0';) {
		size_t n = utf8(p);

		odd = odd || n == 0;
		if (n == 0)
			*p = '?';
		p += n != 0 ? n : 1;
	}
	json_object_object_add(o, "path", json_object_new_string(path));
	json_object_object_add(o, "change", json_object_new_string(change == 'A' ? "added" : change == 'C' ? "changed" : "deleted"));
	if (mode != 0)
		json_object_object_add(o, "type", json_object_new_string(type_word(mode)));
	if (odd) {
		cleanup_free char *hex = xcalloc(2, strlen(name) + 2);

		strcpy(hex, "2f");
		for (size_t i = 0; name[i] != '\0'; i++)
			sprintf(hex + 2 + 2 * i, "%02x", (unsigned char)name[i]);
		json_object_object_add(o, "hex", json_object_new_string(hex));
	}
	printf("%s%s", l->any ? ",\n" : "[", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static void print(struct list_sink *l, char change, const char *name, mode_t mode)
{
	if (l->json) {
		print_json(l, change, name, mode);
	} else {
		printf("%c /", change);
		print_escaped(name);
		putchar('\n');
	}
	l->any = true;
}

static void keep(struct list_sink *l, char what, const char *name, mode_t mode)
{
	if ((l->n & (l->n - 1)) == 0) /* at each power of two */
		l->all = xrealloc(l->all, l->n != 0 ? 2 * l->n : 1, sizeof(*l->all));
	l->all[l->n++] = (struct change){xstrdup(name), what, mode};
}

static bool list_entry(struct files_sink *s, const struct files_entry *e, struct error **err)
{
	(void)err;
	keep((struct list_sink *)s, (e->r.flags & FILES_ADDED) ? 'A' : 'C', e->name, e->r.mode);
	return true;
}

static bool list_data(struct files_sink *s, uint64_t offset, const char *bytes, size_t len, struct error **err)
{
	(void)s;
	(void)offset;
	(void)bytes;
	(void)len;
	(void)err;
	return true;
}

static bool list_gone(struct files_sink *s, const char *name, struct error **err)
{
	(void)err;
	keep((struct list_sink *)s, 'D', name, 0);
	return true;
}

/* What is in a directory comes behind it. */
static int by_path(const void *a, const void *b)
{
	const char *p = ((const struct change *)a)->name, *q = ((const struct change *)b)->name;

	while (*p != '\0' && *p == *q) {
		p++;
		q++;
	}
	return (*p == '/' ? 1 : (unsigned char)*p) - (*q == '/' ? 1 : (unsigned char)*q);
}

static bool list_end(struct files_sink *s, struct error **err)
{
	struct list_sink *l = (struct list_sink *)s;

	if (l->n != 0)
		qsort(l->all, l->n, sizeof(*l->all), by_path);
	for (size_t i = 0; i < l->n; i++)
		print(l, l->all[i].what, l->all[i].name, l->all[i].mode);
	if (l->json)
		puts(l->any ? "]" : "[]");
	return fflush(stdout) == 0 || error_set(err, "can't write the list");
}

struct files_sink *files_list_sink(bool json)
{
	struct list_sink *l = xcalloc(1, sizeof(*l));

	l->sink = (struct files_sink){list_entry, list_data, list_gone, list_end};
	l->json = json;
	return &l->sink;
}

void files_list_free(struct files_sink *s)
{
	struct list_sink *l = (struct list_sink *)s;

	for (size_t i = 0; i < l->n; i++)
		free(l->all[i].name);
	free(l->all);
	free(l);
}
