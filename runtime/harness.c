/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sentrybox harness DIR`: hostile programs, each in a sandbox of its own, watched from outside.
 *
 * A payload is an executable file (a program or script) that says in itself what it is about:
 *
 *	# sentrybox: tries=mount a filesystem; flags=--pids 20; expect=errno EPERM
 *
 *	tries    in words
 *	flags    of `do`, separated by blanks; {allowed} is the port of a listener on 127.0.0.1 that may be reached
 *	expect   exit N | signal NAME | limit NAME | errno NAME (the payload's last line on stdout is "errno NAME") |
 *	         denied RULE (exit 0, and a denial by that rule was recorded)
 *	wants    root (skipped for others) or user
 *
 * The verdict is the host's, not the payload's: "contained" needs the canaries untouched and the end as expected;
 * "unexpected" is an end that differs while nothing got out; anything a canary saw is "NOT CONTAINED".
 *
 *	payload --in--> sentrybox do --json --> verdict <--watch.c-- canary files, listeners, processes, mounts
 */
#include "runtime/verbs.h"
#include "runtime/cleanup.h"
#include "runtime/error.h"
#include "runtime/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define HEADER "# sentrybox: "
#define HEADER_SCAN (4 << 20)
#define MAX_ARGS 128
#define RUN_TIMEOUT_MS 120000

struct payload {
	char *name, *tries, *flags, *expect, *wants;
};

struct verdict {
	const char *word; /* contained, unexpected, NOT CONTAINED, skipped */
	char *got;        /* how it ended, in expect's words */
	char **leaks;     /* sentences; NULL-terminated */
	double seconds;
};

void help_harness(void)
{
	puts("sentrybox harness [--json] [--only PATTERN] [--flags \"FLAGS\"] DIR\n"
	     "\n"
	     "Runs each payload in DIR in a sandbox of its own and watches from outside whether anything got out:\n"
	     "canary files, listeners, processes, mounts. A payload is an executable with a line in it that says\n"
	     "what it tries, under which flags of `do`, and how it must end:\n"
	     "\n"
	     "  # sentrybox: tries=mount a filesystem; flags=--pids 20; expect=errno EPERM\n"
	     "\n"
	     "expect is one of: exit N, signal NAME, limit NAME, errno NAME, denied RULE.\n"
	     "\n"
	     "      --json            print one object instead of the table\n"
	     "      --only PATTERN    only payloads whose name matches\n"
	     "      --flags FLAGS     more flags of `do` for every payload, as --platform ptrace\n"
	     "\n"
	     "Exit status: 0 if all were contained and ended as expected, 1 if one was not contained, 2 if all\n"
	     "were contained but one ended otherwise, 125 if the harness itself failed.");
}

/* ---- payloads ---- */

static char *field(const char *header, const char *key)
{
	size_t klen = strlen(key);
	const char *p = header;

	while (*p != '\0') {
		size_t len = strcspn(p, ";");

		p += strspn(p, " ");
		len = strcspn(p, ";");
		if (strncmp(p, key, klen) == 0 && p[klen] == '=') {
			while (len > 0 && p[len - 1] == ' ')
				len--;
			return xstrndup(p + klen + 1, len - klen - 1);
		}
		p += len;
		p += *p == ';';
	}
	return xstrdup("");
}

/* The header's line, wherever it stands in the file: a script's comment, a program's string. */
static char *find_header(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	cleanup_free char *data = xcalloc(1, HEADER_SCAN + 1);
	ssize_t n, len = 0;
	char *p;

	while (fd >= 0 && len < HEADER_SCAN && (n = read(fd, data + len, (size_t)(HEADER_SCAN - len))) > 0)
		len += n;
	p = memmem(data, (size_t)len, HEADER, strlen(HEADER));
	if (p == NULL)
		return NULL;
	p += strlen(HEADER);
	return xstrndup(p, strcspn(p, "\n"));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct payload *)a)->name, ((const struct payload *)b)->name);
}

static bool load_payloads(const char *dir, const char *only, struct payload **list, size_t *n, struct error **err)
{
	cleanup_closedir DIR *d = opendir(dir);
	struct dirent *e;

	*list = NULL;
	*n = 0;
	if (d == NULL)
		return error_errno(err, errno, "can't read %s", dir);
	while ((e = readdir(d)) != NULL) {
		cleanup_free char *path = xasprintf("%s/%s", dir, e->d_name);
		cleanup_free char *header = NULL;
		struct stat st;
		struct payload *p;

		if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0)
			continue;
		if (only != NULL && fnmatch(only, e->d_name, 0) != 0)
			continue;
		header = find_header(path);
		if (header == NULL)
			return error_set(err, "%s has no header: add a line \"" HEADER "tries=...; expect=...\"", path);
		*list = xrealloc(*list, *n + 1, sizeof(**list));
		p = &(*list)[(*n)++];
		p->name = xstrdup(e->d_name);
		p->tries = field(header, "tries");
		p->flags = field(header, "flags");
		p->expect = field(header, "expect");
		p->wants = field(header, "wants");
		if (*p->tries == '\0' || *p->expect == '\0')
			return error_set(err, "%s: the header lacks tries= or expect=", path);
	}
	if (*n == 0)
		return error_set(err, "there are no payloads in %s (executable files with a header)", dir);
	qsort(*list, *n, sizeof(**list), by_name);
	return true;
}

/* ---- one run ---- */

static void add_words(char **argv, size_t *n, char *words)
{
	char *save = NULL;

	for (char *w = strtok_r(words, " ", &save); w != NULL && *n < MAX_ARGS - 8; w = strtok_r(NULL, " ", &save))
		argv[(*n)++] = w;
}

static char *with_port(const char *flags, uint16_t port)
{
	const char *hole = strstr(flags, "{allowed}");

	if (hole == NULL)
		return xstrdup(flags);
	return xasprintf("%.*s%u%s", (int)(hole - flags), flags, port, hole + strlen("{allowed}"));
}

/* Runs argv with its stdout to a pipe; reads it all. Returns the wait status, -1 if it took too long. */
static int run_captured(char **argv, char **out, size_t *len)
{
	struct timespec start, now;
	int p[2], status = 0, left;
	pid_t pid;

	*out = xcalloc(1, 1);
	*len = 0;
	if (pipe2(p, O_CLOEXEC) < 0)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &start);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, 0);
		dup2(p[1], 1);
		execv("/proc/self/exe", argv);
		_exit(125);
	}
	close(p[1]);
	for (;;) {
		struct pollfd pf = {p[0], POLLIN, 0};
		ssize_t n;

		clock_gettime(CLOCK_MONOTONIC, &now);
		left = RUN_TIMEOUT_MS - (int)((now.tv_sec - start.tv_sec) * 1000);
		if (left <= 0 || poll(&pf, 1, left) == 0) {
			kill(pid, SIGKILL);
			status = -1;
			break;
		}
		*out = xrealloc(*out, *len + 65537, 1);
		n = read(p[0], *out + *len, 65536);
		if (n <= 0)
			break;
		*len += (size_t)n;
	}
	(*out)[*len] = '\0';
	close(p[0]);
	if (status == 0)
		waitpid(pid, &status, 0);
	else
		waitpid(pid, NULL, 0);
	return status;
}

static const char *string_of(json_object *o, const char *key)
{
	json_object *v;

	return json_object_object_get_ex(o, key, &v) && v != NULL ? json_object_get_string(v) : "";
}

static bool limit_hit(json_object *o, const char *name)
{
	json_object *list;

	if (!json_object_object_get_ex(o, "limits_hit", &list) || !json_object_is_type(list, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		if (strcmp(json_object_get_string(json_object_array_get_idx(list, i)), name) == 0)
			return true;
	}
	return false;
}

static bool denied_by(json_object *o, const char *rule)
{
	json_object *list;

	if (!json_object_object_get_ex(o, "denials", &list) || !json_object_is_type(list, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		if (strcmp(string_of(json_object_array_get_idx(list, i), "rule"), rule) == 0)
			return true;
	}
	return false;
}

/* The last line of the payload's stdout. */
static char *last_line(const char *text)
{
	size_t len = strlen(text), start;

	while (len > 0 && text[len - 1] == '\n')
		len--;
	for (start = len; start > 0 && text[start - 1] != '\n'; start--)
		;
	return xstrndup(text + start, len - start);
}

static bool as_expected(const char *got, const char *expect)
{
	/* "a or b": where kernels or users differ. */
	for (const char *p = expect; p != NULL;) {
		const char * or = strstr(p, " or ");
		size_t len = or != NULL ? (size_t)(or -p) : strlen(p);

		if (strlen(got) == len && memcmp(got, p, len) == 0)
			return true;
		p = or != NULL ? or +4 : NULL;
	}
	return false;
}

/* A limit that was hit and is among what is expected: "limit NAME" to free, or NULL. */
static char *expected_limit(json_object *o, const char *expect)
{
	static const char *const names[] = {"memory", "pids", "disk", "cpu", "wall", "idle"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cleanup_free char *got = xasprintf("limit %s", names[i]);

		if (limit_hit(o, names[i]) && as_expected(got, expect))
			return steal_pointer(&got);
	}
	return NULL;
}

/* How it ended, in the words of the expectation where that is possible. */
static char *describe_end(json_object *o, const char *expect)
{
	char *limit = expected_limit(o, expect);

	cleanup_free char *line = last_line(string_of(o, "stdout"));
	const char *error = string_of(o, "error"), *signal = string_of(o, "signal");

	if (limit != NULL)
		return limit;
	if (*error != '\0')
		return xasprintf("not run: %s", error);
	if (*signal != '\0')
		return xasprintf("signal %s", signal);
	if (strncmp(expect, "denied ", 7) == 0 && strcmp(string_of(o, "exit_code"), "0") == 0 &&
	    denied_by(o, expect + 7))
		return xstrdup(expect);
	if (strncmp(line, "errno ", 6) == 0 || strncmp(line, "ESCAPED", 7) == 0)
		return steal_pointer(&line);
	return xasprintf("exit %s", string_of(o, "exit_code"));
}

static bool wanted(const struct payload *p)
{
	return *p->wants == '\0' || (strcmp(p->wants, "root") == 0) == (geteuid() == 0);
}

static bool run_payload(const char *dir, const struct payload *p, const char *more, struct verdict *v,
			struct error **err)
{
	cleanup_free char *out = NULL;
	cleanup_free char *flags = NULL;
	cleanup_free char *extra = xstrdup(more);
	cleanup_free char *mount = xasprintf("%s:/payloads", dir);
	cleanup_free char *program = xasprintf("/payloads/%s", p->name);
	cleanup_free char *hide = NULL;
	cleanup_free char *range = NULL;
	char *argv[MAX_ARGS] = {(char *)"sentrybox", (char *)"do", (char *)"--json", (char *)"--mount", mount};
	struct timespec start, end;
	struct watch w;
	json_object *o;
	char **env;
	size_t n = 5, len;
	int status;

	memset(v, 0, sizeof(*v));
	if (!watch_begin(&w, err))
		return false;
	flags = with_port(p->flags, w.allowed_port);
	hide = xasprintf("%s/hidden", w.dir);
	argv[n++] = (char *)"--hide";
	argv[n++] = hide;
	if (w.uid != 0) {
		range = xasprintf("%u-%u", w.uid, w.uid);
		argv[n++] = (char *)"--uid-range";
		argv[n++] = range;
	}
	env = watch_environment(&w);
	for (size_t i = 0; env[i] != NULL; i++) {
		argv[n++] = (char *)"--env";
		argv[n++] = env[i];
	}
	add_words(argv, &n, extra);
	add_words(argv, &n, flags);
	argv[n++] = (char *)"--";
	argv[n++] = program;
	argv[n] = NULL;
	clock_gettime(CLOCK_MONOTONIC, &start);
	status = run_captured(argv, &out, &len);
	clock_gettime(CLOCK_MONOTONIC, &end);
	v->seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	v->leaks = watch_end(&w, out, len);
	o = json_tokener_parse(out);
	if (status < 0)
		v->got = xstrdup("did not end");
	else if (o == NULL)
		v->got = xasprintf("no result (status %d)", WEXITSTATUS(status));
	else
		v->got = describe_end(o, p->expect);
	json_object_put(o);
	if (v->leaks[0] != NULL || strncmp(v->got, "ESCAPED", 7) == 0)
		v->word = "NOT CONTAINED";
	else
		v->word = as_expected(v->got, p->expect) ? "contained" : "unexpected";
	for (size_t i = 0; env[i] != NULL; i++)
		free(env[i]);
	free(env);
	return true;
}

/* ---- what is printed ---- */

static void print_row(const struct payload *p, const struct verdict *v)
{
	printf("%-14s %-24s %-28s %6.2fs  %s\n", v->word, p->name, v->got != NULL ? v->got : "", v->seconds, p->tries);
	if (v->got != NULL && strcmp(v->word, "unexpected") == 0)
		printf("%-14s %-24s expected %s\n", "", "", p->expect);
	for (size_t i = 0; v->leaks != NULL && v->leaks[i] != NULL; i++)
		printf("%-14s %-24s %s\n", "", "", v->leaks[i]);
	fflush(stdout);
}

static json_object *row_json(const struct payload *p, const struct verdict *v)
{
	json_object *o = json_object_new_object(), *leaks = json_object_new_array();

	json_object_object_add(o, "name", json_object_new_string(p->name));
	json_object_object_add(o, "tries", json_object_new_string(p->tries));
	json_object_object_add(o, "flags", json_object_new_string(p->flags));
	json_object_object_add(o, "expect", json_object_new_string(p->expect));
	json_object_object_add(o, "got", v->got != NULL ? json_object_new_string(v->got) : NULL);
	json_object_object_add(o, "verdict", json_object_new_string(v->word));
	json_object_object_add(o, "seconds", json_object_new_double(v->seconds));
	for (size_t i = 0; v->leaks != NULL && v->leaks[i] != NULL; i++)
		json_object_array_add(leaks, json_object_new_string(v->leaks[i]));
	json_object_object_add(o, "leaks", leaks);
	return o;
}

/* A mount table of our own, where that can be had: what others mount meanwhile is not the sandbox's doing. */
static void own_mount_table(void)
{
	if (unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
}

static int run_all(const char *dir, const char *only, const char *more, bool json)
{
	cleanup_error struct error *err = NULL;
	json_object *rows = json_object_new_array();
	unsigned contained = 0, unexpected = 0, escaped = 0, skipped = 0;
	struct payload *list;
	char real[PATH_MAX];
	size_t n;

	if (realpath(dir, real) == NULL) {
		error_errno(&err, errno, "harness: %s", dir);
		return error_report(err);
	}
	if (!load_payloads(real, only, &list, &n, &err)) {
		error_wrap(&err, "harness");
		return error_report(err);
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	own_mount_table();
	for (size_t i = 0; i < n; i++) {
		struct verdict v = {.word = "skipped"};

		if (wanted(&list[i]) && !run_payload(real, &list[i], more, &v, &err)) {
			error_wrap(&err, "harness: %s", list[i].name);
			return error_report(err);
		}
		contained += strcmp(v.word, "contained") == 0;
		unexpected += strcmp(v.word, "unexpected") == 0;
		escaped += strcmp(v.word, "NOT CONTAINED") == 0;
		skipped += strcmp(v.word, "skipped") == 0;
		if (json)
			json_object_array_add(rows, row_json(&list[i], &v));
		else
			print_row(&list[i], &v);
	}
	if (json) {
		json_object *o = json_object_new_object();

		json_object_object_add(o, "payloads", rows);
		json_object_object_add(o, "contained", json_object_new_int((int)contained));
		json_object_object_add(o, "unexpected", json_object_new_int((int)unexpected));
		json_object_object_add(o, "not_contained", json_object_new_int((int)escaped));
		json_object_object_add(o, "skipped", json_object_new_int((int)skipped));
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(o);
	} else {
		json_object_put(rows);
		printf("%u contained, %u ended unexpectedly, %u NOT CONTAINED, %u skipped\n", contained, unexpected,
		       escaped, skipped);
	}
	return escaped != 0 ? 1 : unexpected != 0 ? 2 : 0;
}

int verb_harness(int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
						{"only", required_argument, NULL, 'o'},
						{"flags", required_argument, NULL, 'f'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	cleanup_error struct error *err = NULL;
	const char *only = NULL, *more = "";
	bool json = false;
	int c;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (c == 'j') {
			json = true;
		} else if (c == 'o') {
			only = optarg;
		} else if (c == 'f') {
			more = optarg;
		} else if (c == 'h') {
			help_harness();
			return 0;
		} else {
			error_set(&err, "harness: %s %s", argv[optind - 1],
				  c == ':' ? "needs a value" : "is not a flag of harness");
			return error_report(err);
		}
	}
	if (optind + 1 != argc) {
		error_set(&err, "harness: one directory of payloads: sentrybox harness [FLAGS] DIR");
		return error_report(err);
	}
	return run_all(argv[optind], only, more, json);
}
