/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs cp, tar and diff: files into and out of a container that is created or running, with no help from programs in it.
 *
 *	cp ID:PATH HOSTPATH | -      READ --> host files | tar        cp HOSTPATH | - ID:PATH      WRITE <-- host files | tar
 *	tar ID PATH                  READ --> tar                     diff ID                      DIFF --> list | JSON | layer
 *
 * Where a copy goes is docker cp's rule: onto a name that isn't there; over a file; into a directory, under its own name or,
 * if the source ends with "/.", without it. A path in the container is the sentry's to follow, within the container's root.
 */
#include "runtime/files.h"
#include "runtime/cleanup.h"
#include "runtime/verbs.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

struct place { /* one side of cp */
	char *id; /* NULL: the host's */
	const char *path;
};

static bool is_stdio(const struct place *p)
{
	return p->id == NULL && strcmp(p->path, "-") == 0;
}

/* ID:PATH, unless it looks like a path of the host. */
static void parse_place(struct place *p, const char *arg)
{
	const char *colon = strchr(arg, ':');

	p->id = NULL;
	p->path = arg;
	if (arg[0] == '/' || arg[0] == '.' || colon == NULL || colon == arg || memchr(arg, '/', (size_t)(colon - arg)) != NULL)
		return;
	p->id = xstrndup(arg, (size_t)(colon - arg));
	p->path = colon[1] != '\0' ? colon + 1 : "/";
}

static bool wants_contents(const char *path)
{
	size_t len = strlen(path);

	return strcmp(path, ".") == 0 || (len >= 2 && strcmp(path + len - 2, "/.") == 0);
}

/* The last part of a path, by its words; "" for the root. A string to free. */
static char *base_of(const char *path)
{
	cleanup_free char *copy = xstrdup(path);
	size_t len = strlen(copy);
	char *slash;

	while (len > 0 && (copy[len - 1] == '/' || (copy[len - 1] == '.' && len > 1 && copy[len - 2] == '/')))
		copy[--len] = '\0';
	slash = strrchr(copy, '/');
	return xstrdup(slash != NULL ? slash + 1 : copy);
}

/* As base_of, but a name that can be given to a copy, or "". */
static char *name_of(const char *path)
{
	char *base = base_of(path);

	if (!files_part_ok(base, strlen(base)))
		*base = '\0';
	return base;
}

/* ---- out ---- */

static bool to_tar(struct files_stream *s, const char *path, bool follow, struct error **err)
{
	cleanup_free char *base = wants_contents(path) ? xstrdup("") : name_of(path);
	struct files_sink *sink;
	bool ok;

	if (isatty(STDOUT_FILENO))
		return error_set(err, "an archive is not for a terminal: put > FILE or | tar -t behind it");
	if (!files_ask(s, FILES_READ, FILES_CONTENTS | (follow ? FILES_FOLLOW : 0), path, err))
		return false;
	sink = files_tar_sink(stdout, base, false, &s->notes);
	ok = files_receive(s, sink, err);
	files_tar_free(sink);
	return ok;
}

static bool to_host(struct files_stream *s, const char *path, const char *dest, bool follow, bool owners, struct error **err)
{
	cleanup_free char *base = name_of(path);
	struct files_sink *sink = files_host_sink(dest, wants_contents(path) || *base == '\0' ? NULL : base, owners, err);
	bool ok = sink != NULL && files_ask(s, FILES_READ, FILES_CONTENTS | (follow ? FILES_FOLLOW : 0), path, err) &&
		  files_receive(s, sink, err);

	files_host_free(sink);
	return ok;
}

/* ---- in ---- */

static bool finish(struct files_stream *s, struct error **err)
{
	struct files_record r = {0};

	if (!files_send(s, &r, FILES_END, "", NULL, 0, err) || !files_take(s, err))
		return false;
	return s->rec.kind == FILES_END || error_set(err, "what comes from the container makes no sense");
}

static bool place_answer(struct files_stream *s, const char *path, bool owners, struct error **err)
{
	if (!files_ask(s, FILES_WRITE, owners ? FILES_OWNERS : 0, path, err) || !files_take(s, err))
		return false;
	return s->rec.kind == FILES_PLACE || error_set(err, "what comes from the container makes no sense");
}

static bool from_tar(struct files_stream *s, const char *dest, bool owners, struct error **err)
{
	if (!place_answer(s, dest, owners, err))
		return false;
	if (!S_ISDIR(s->rec.mode))
		return error_set(err, "%s is not a directory in the container: an archive goes into one", dest);
	return files_source_tar(s, stdin, owners, err) && finish(s, err);
}

static bool from_host(struct files_stream *s, const char *path, const char *dest, bool follow, bool owners, struct error **err)
{
	cleanup_free char *base = base_of(path), *there = xstrdup(dest);
	size_t len = strlen(there);
	bool slash = *path != '\0' && path[strlen(path) - 1] == '/';
	struct stat st;
	const char *name;

	if ((follow || slash ? stat(path, &st) : lstat(path, &st)) < 0)
		return error_errno(err, errno, "%s", path);
	/* A directory that is to be made may be written with a slash, a file can't. */
	while (S_ISDIR(st.st_mode) && len > 1 && there[len - 1] == '/')
		there[--len] = '\0';
	if (!place_answer(s, there, owners, err))
		return false;
	if (S_ISDIR(s->rec.mode)) {
		if (!files_part_ok(base, strlen(base))) {
			cleanup_free char *real = realpath(path, NULL);

			free(steal_pointer(&base));
			base = name_of(real != NULL ? real : "");
		}
		name = S_ISDIR(st.st_mode) && (wants_contents(path) || *base == '\0') ? NULL : base;
	} else if (s->rec.mode != 0 && S_ISDIR(st.st_mode)) {
		return error_set(err, "%s is a file in the container: a directory can't be copied onto it", dest);
	} else {
		name = "";
	}
	return files_source_host(s, path, follow || slash, name, owners, err) && finish(s, err);
}

/* ---- the verbs ---- */

static const char cp_args[] = "[-a] [-L] ID:PATH HOSTPATH|-  |  [-a] [-L] HOSTPATH|- ID:PATH";
static const char tar_args[] = "ID PATH";
static const char diff_args[] = "[--format list|json|tar] ID";

void help_files(void)
{
	printf("sentrybox cp %s\n\n"
	       "  Copies files between a container that is created or running and the host. A directory that is there is\n"
	       "  copied into, under the source's own name, or without it if the source ends with /. ; a file that is there\n"
	       "  is replaced. - is a tar stream: of PATH on stdout, or stdin's into the directory PATH.\n"
	       "    -a, --archive      keep owners (their numbers in the container); else they are root's, or yours here\n"
	       "    -L, --follow-link  copy what a link leads to that is named as the source\n"
	       "  Set-id bits, devices and sockets don't come out; no link is followed beneath HOSTPATH.\n\n"
	       "sentrybox tar %s\n\n"
	       "  Writes PATH in the container as a tar stream to stdout, owners as they are there.\n\n"
	       "sentrybox diff %s\n\n"
	       "  What the run has changed against its image: A added, C changed, D deleted (list, or json), or all of it as\n"
	       "  a layer for an OCI image (tar). Volumes are left out, and what the sandbox itself made at start.\n\n",
	       cp_args, tar_args, diff_args);
}

struct words {
	bool owners, follow, help;
	const char *format;
};

static bool parse_words(struct words *w, int argc, char **argv, int wanted, const char *args, struct error **err)
{
	static const struct option options[] = {
		{"archive", no_argument, NULL, 'a'}, {"follow-link", no_argument, NULL, 'L'}, {"help", no_argument, NULL, 'h'},
		{"format", required_argument, NULL, 'f'}, {"quiet", no_argument, NULL, 'q'}, {0},
	};
	const char *known = argv[0][0] == 'c' ? "aLhq" : argv[0][0] == 'd' ? "fh" : "h";
	int c;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":aLhqf:", options, NULL)) != -1) {
		if (c == ':')
			return error_set(err, "%s needs a value", argv[optind - 1]);
		if (c == '?' || strchr(known, c) == NULL)
			return error_set(err, "there is no flag %s: sentrybox %s %s", argv[optind - 1], argv[0], args);
		w->owners = w->owners || c == 'a';
		w->follow = w->follow || c == 'L';
		w->help = w->help || c == 'h';
		if (c == 'f')
			w->format = optarg;
	}
	if (!w->help && argc - optind != wanted)
		return error_set(err, "%s: sentrybox %s %s", argc - optind < wanted ? "something is missing" : "too many words", argv[0], args);
	return true;
}

static bool copy(const struct words *w, const struct place *from, const struct place *to, struct files_stream *s, struct error **err)
{
	if ((from->id == NULL) == (to->id == NULL))
		return error_set(err, "one of the two is ID:PATH: sentrybox cp %s", cp_args);
	if (!files_stream_open(s, from->id != NULL ? from->id : to->id, err))
		return false;
	if (is_stdio(to))
		return to_tar(s, from->path, w->follow, err);
	if (is_stdio(from))
		return from_tar(s, to->path, w->owners, err);
	if (from->id != NULL)
		return to_host(s, from->path, to->path, w->follow, w->owners, err);
	return from_host(s, from->path, to->path, w->follow, w->owners, err);
}

static bool diff(const char *id, const char *format, struct files_stream *s, struct error **err)
{
	bool tar = format != NULL && strcmp(format, "tar") == 0, json = format != NULL && strcmp(format, "json") == 0, ok;
	struct files_sink *sink;

	if (format != NULL && !tar && !json && strcmp(format, "list") != 0)
		return error_set(err, "--format: list, json or tar, not \"%s\"", format);
	if (tar && isatty(STDOUT_FILENO))
		return error_set(err, "an archive is not for a terminal: put > FILE or | tar -t behind it");
	if (!files_stream_open(s, id, err) || !files_ask(s, FILES_DIFF, tar ? FILES_CONTENTS : 0, "/", err))
		return false;
	sink = tar ? files_tar_sink(stdout, "", true, &s->notes) : files_list_sink(json);
	ok = files_receive(s, sink, err);
	tar ? files_tar_free(sink) : files_list_free(sink);
	return ok;
}

int verb_files(int argc, char **argv)
{
	bool is_cp = strcmp(argv[0], "cp") == 0, is_tar = strcmp(argv[0], "tar") == 0, ok;
	const char *args = is_cp ? cp_args : is_tar ? tar_args : diff_args;
	cleanup_error struct error *err = NULL;
	struct files_stream s = {.fd = -1};
	struct words w = {0};

	ok = parse_words(&w, argc, argv, is_cp || is_tar ? 2 : 1, args, &err);
	if (ok && w.help) {
		help_files();
		return 0;
	}
	if (ok && is_cp) {
		struct place from, to;

		parse_place(&from, argv[optind]);
		parse_place(&to, argv[optind + 1]);
		ok = copy(&w, &from, &to, &s, &err);
		free(from.id);
		free(to.id);
	} else if (ok && is_tar) {
		ok = files_stream_open(&s, argv[optind], &err) && to_tar(&s, argv[optind + 1], false, &err);
	} else if (ok) {
		ok = diff(argv[optind], w.format, &s, &err);
	}
	files_stream_close(&s);
	if (ok)
		return s.notes == 0 ? 0 : 1;
	error_wrap(&err, "%s", argv[0]);
	if (err->status == 125)
		err->status = 1;
	return error_report(err);
}
