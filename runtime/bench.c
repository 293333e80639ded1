/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sentrybox bench`: what system calls cost, natively and in sandboxes.
 *
 *	sentrybox-bench list --> rows
 *	round 1: native, gate, notify, ...   round 2: gate, notify, ..., native   ...     each a run of sentrybox-bench
 *	                  all batches, all samples --> medians, percentiles, ratios --> a table, or JSON
 *
 * The program lies beside the command and does the measuring itself (bench/micro): no sandbox's start is in a figure.
 * Methods are interleaved round by round and their order turns, so that a busy minute hits all of them. What is printed
 * of them by sandboxed programs is data: numbers are read, nothing else.
 */
#include "runtime/verbs.h"
#include "runtime/bench_methods.h"
#include "runtime/cleanup.h"
#include "runtime/error.h"
#include "runtime/parse.h"

#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#define NAMES_MAX 128 /* rows of the program */
#define RUN_LIMIT_S 600
#define QUICK_ROUNDS 3
#define ROUNDS 7

struct samples {
	double *ns;
	size_t n;
};
struct bucket {
	double ns;
	uint64_t count;
};
/* What one method took for one row with one number of threads. */
struct cell {
	struct samples batches; /* nanoseconds a step */
	struct bucket *hist;    /* of single steps */
	size_t nhist;
	char *failed;
};
struct row {
	char *name, *what;
	unsigned threads;
	double aim; /* 0: none */
	struct cell cells[METHODS_MAX];
};
struct bench {
	struct methods methods;
	struct row *rows;
	size_t nrows;
	char *program;
	bool one, two; /* threads */
	unsigned rounds, us, batches;
	double load_before;
};

void help_bench(void)
{
	puts("sentrybox bench [--call NAMES] [--method NAMES] [--threads 1|2|1,2] [--rounds N] [--us N] [--json]\n"
	     "\n"
	     "Measures what system calls, faults and switches cost, natively and in sandboxes, interleaved in one\n"
	     "run, and prints medians, their spread, percentiles of single calls, and ratios to native.\n"
	     "\n"
	     "  sentrybox bench\n"
	     "  sentrybox bench --call getppid,pread-4k --method native,notify,runsc --json\n"
	     "\n"
	     "      --call NAMES      only these calls, a list with commas; NAME* takes all that begin so\n"
	     "      --method NAMES    only these methods, or all (native and ours)\n"
	     "      --threads LIST    1, 2, or 1,2: how many threads make the call at the same time (1)\n"
	     "      --rounds N        how often each method is run (7)\n"
	     "      --us N            microseconds a batch of calls takes (500); a round makes 20 of each\n"
	     "      --quick           as --rounds 3\n"
	     "      --json            print one object, with each batch and the distributions\n"
	     "      --list            print the calls\n"
	     "\n"
	     "Methods");
	methods_help();
	puts("\n"
	     "A ratio of 1.00 is native's time, 2.00 twice that. It is of medians; the one behind it is of the\n"
	     "least batches: what the path costs when nobody disturbs it.\n"
	     "\n"
	     "Exit status: 0; 1 if a call failed by a method; 125 if there was nothing to measure.");
}

/* ---- figures ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void sort_samples(struct samples *s)
{
	if (s->n != 0)
		qsort(s->ns, s->n, sizeof(*s->ns), by_value);
}

/* Of sorted samples, between neighbours where it falls between. */
static double quantile(const struct samples *s, double q)
{
	double at = q * (double)(s->n - 1);
	size_t low = (size_t)at, high = low + 1 < s->n ? low + 1 : low;

	return s->ns[low] + (s->ns[high] - s->ns[low]) * (at - (double)low);
}

/* Half the distance between the quartiles, as a share of the median. */
static double spread(const struct samples *s)
{
	return s->n < 3 ? 0 : (quantile(s, 0.75) - quantile(s, 0.25)) / 2 / quantile(s, 0.5);
}

static int by_bucket(const void *a, const void *b)
{
	return by_value(&((const struct bucket *)a)->ns, &((const struct bucket *)b)->ns);
}

static double percentile(const struct cell *c, double p)
{
	uint64_t all = 0, seen = 0;

	for (size_t i = 0; i < c->nhist; i++)
		all += c->hist[i].count;
	for (size_t i = 0; i < c->nhist; i++) {
		seen += c->hist[i].count;
		if ((double)seen >= p * (double)all)
			return c->hist[i].ns;
	}
	return 0;
}

/* ---- reading what the program prints ---- */

static void add_sample(struct samples *s, double ns)
{
	s->ns = xrealloc(s->ns, s->n + 1, sizeof(*s->ns));
	s->ns[s->n++] = ns;
}

static void add_bucket(struct cell *c, double ns, uint64_t count)
{
	for (size_t i = 0; i < c->nhist; i++) {
		if (c->hist[i].ns == ns) {
			c->hist[i].count += count;
			return;
		}
	}
	c->hist = xrealloc(c->hist, c->nhist + 1, sizeof(*c->hist));
	c->hist[c->nhist++] = (struct bucket){ns, count};
}

static void set_failed(struct cell *c, const char *why)
{
	if (c->failed == NULL)
		c->failed = xstrdup(*why != '\0' ? why : "no result");
}

static struct row *find_row(struct bench *b, const char *name, unsigned threads)
{
	for (size_t i = 0; i < b->nrows; i++) {
		if (b->rows[i].threads == threads && strcmp(b->rows[i].name, name) == 0)
			return &b->rows[i];
	}
	return NULL;
}

/* name|threads|steps|batches|buckets, or name|threads|failed|why */
static void read_line(struct bench *b, size_t method, char *line)
{
	char *name = strsep(&line, "|"), *threads = strsep(&line, "|"), *steps = strsep(&line, "|");
	char *batches = strsep(&line, "|"), *word, *end;
	struct row *row = threads != NULL ? find_row(b, name, (unsigned)atoi(threads)) : NULL;
	struct cell *c;

	if (row == NULL)
		return;
	c = &row->cells[method];
	if (steps == NULL || batches == NULL || line == NULL) {
		set_failed(c, batches != NULL ? batches : "");
		return;
	}
	while ((word = strsep(&batches, " ")) != NULL) {
		double ns = strtod(word, &end);

		if (end != word && isfinite(ns) && ns > 0)
			add_sample(&c->batches, ns);
	}
	while ((word = strsep(&line, " ")) != NULL && c->nhist < 4096) {
		double ns = strtod(word, &end);

		if (end != word && *end == ':' && isfinite(ns))
			add_bucket(c, ns, strtoull(end + 1, NULL, 10));
	}
}

static void run_round(struct bench *b, size_t method, const char *threads)
{
	struct method *m = &b->methods.list[method];
	char *argv[NAMES_MAX + 8] = {b->program, (char *)"run", m->dir};
	cleanup_free char *us = xasprintf("%u", b->us);
	cleanup_free char *batches = xasprintf("%u", b->batches);
	cleanup_free char *why = NULL;
	cleanup_free char *out = NULL;
	char *rest, *line;
	size_t n = 6;
	int status;

	argv[3] = us;
	argv[4] = batches;
	argv[5] = (char *)threads;
	for (size_t i = 0; i < b->nrows; i++) {
		if (b->rows[i].threads == (unsigned)atoi(threads))
			argv[n++] = b->rows[i].name;
	}
	if (n == 6)
		return;
	out = method_run(m, argv, RUN_LIMIT_S, &status, &why);
	for (rest = out; rest != NULL && (line = strsep(&rest, "\n")) != NULL;)
		read_line(b, method, line);
	for (size_t i = 0; i < b->nrows; i++) {
		struct row *r = &b->rows[i];

		if (r->threads == (unsigned)atoi(threads) && r->cells[method].batches.n == 0)
			set_failed(&r->cells[method], why != NULL ? why : "");
	}
}

static void measure(struct bench *b)
{
	for (unsigned round = 0; round < b->rounds; round++) {
		for (size_t i = 0; i < b->methods.n; i++) {
			size_t method = (i + round) % b->methods.n;

			if (b->methods.list[method].absent != NULL)
				continue;
			if (b->one && !methods_interrupted())
				run_round(b, method, "1");
			if (b->two && !methods_interrupted())
				run_round(b, method, "2");
		}
	}
	for (size_t i = 0; i < b->nrows; i++) {
		for (size_t m = 0; m < b->methods.n; m++) {
			struct cell *c = &b->rows[i].cells[m];

			sort_samples(&c->batches);
			if (c->nhist != 0)
				qsort(c->hist, c->nhist, sizeof(*c->hist), by_bucket);
		}
	}
}

/* ---- choosing rows ---- */

static bool name_matches(const char *pattern, size_t len, const char *name)
{
	if (len > 0 && pattern[len - 1] == '*')
		return strncmp(name, pattern, len - 1) == 0;
	return strlen(name) == len && memcmp(name, pattern, len) == 0;
}

static bool is_called(const char *calls, const char *name)
{
	for (const char *p = calls; *p != '\0'; p += *p == ',') {
		size_t len = strcspn(p, ",");

		if (name_matches(p, len, name))
			return true;
		p += len;
	}
	return false;
}

static void add_row(struct bench *b, const char *name, const char *what, double aim, unsigned threads)
{
	b->rows = xrealloc(b->rows, b->nrows + 1, sizeof(*b->rows));
	b->rows[b->nrows] = (struct row){.threads = threads, .aim = aim};
	b->rows[b->nrows].name = xstrdup(name);
	b->rows[b->nrows++].what = xstrdup(what);
}

/* Every word of --call must name something. */
static bool check_calls(const struct bench *b, const char *calls, char **names, struct error **err)
{
	for (const char *p = calls; p != NULL && *p != '\0'; p += *p == ',') {
		size_t len = strcspn(p, ",");
		cleanup_free char *word = xstrndup(p, len);
		bool found = false;
		const char *near;

		for (size_t i = 0; names[i] != NULL; i++)
			found = found || name_matches(p, len, names[i]);
		if (!found) {
			near = nearest_word(word, (const char *const *)names);
			return error_set(err, "--call: there is no call \"%s\"%s%s%s", word,
					 near != NULL ? ": did you mean " : ": sentrybox bench --list shows all",
					 near != NULL ? near : "", near != NULL ? "?" : "");
		}
		p += len;
	}
	return b->nrows != 0 ? true : error_set(err, "none of these calls is measured with that many threads");
}

static char *list_rows(struct bench *b, struct error **err)
{
	struct methods native;
	cleanup_free char *why = NULL;
	char *argv[] = {b->program, (char *)"list", NULL}, *out;
	int status;

	if (!methods_choose(&native, "native", err))
		return NULL;
	out = method_run(&native.list[0], argv, 60, &status, &why);
	methods_free(&native);
	if (out == NULL)
		error_set(err, "%s list: %s", b->program, why);
	return out;
}

static bool choose_rows(struct bench *b, const char *calls, bool print, struct error **err)
{
	cleanup_free char *list = list_rows(b, err);
	char *names[NAMES_MAX + 1], *rest = list, *line;
	size_t n = 0;
	bool good = false;

	while (rest != NULL && (line = strsep(&rest, "\n")) != NULL && n < NAMES_MAX) {
		char *name = strsep(&line, "|"), *threads = strsep(&line, "|"), *aim = strsep(&line, "|");

		if (line == NULL)
			continue;
		names[n++] = name;
		if (print)
			printf("%-26s%s\n", name, line);
		if (calls != NULL && !is_called(calls, name))
			continue;
		if (b->one)
			add_row(b, name, line, strtod(aim, NULL), 1);
		if (b->two && atoi(threads) > 1)
			add_row(b, name, line, strtod(aim, NULL), 2);
	}
	names[n] = NULL;
	if (list != NULL)
		good = check_calls(b, calls, names, err);
	return good;
}

/* ---- what is printed ---- */

static void machine_of(struct utsname *u, char *cpu, size_t size)
{
	cleanup_fclose FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	uname(u);
	snprintf(cpu, size, "unknown");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
			snprintf(cpu, size, "%s", colon + 1 + strspn(colon + 1, " "));
			cpu[strcspn(cpu, "\n")] = '\0';
			return;
		}
	}
}

static double load(void)
{
	double l = 0;

	return getloadavg(&l, 1) == 1 ? l : 0;
}

static int native_of(const struct bench *b)
{
	for (size_t i = 0; i < b->methods.n; i++) {
		if (strcmp(b->methods.list[i].name, "native") == 0 && b->methods.list[i].absent == NULL)
			return (int)i;
	}
	return -1;
}

static void print_ns(double ns)
{
	if (ns < 100)
		printf("%10.1f", ns);
	else
		printf("%10.0f", ns);
}

static bool measured(const struct cell *c)
{
	return c->failed == NULL && c->batches.n != 0;
}

static void print_row(const struct bench *b, const struct row *r)
{
	int native = native_of(b);
	const struct cell *base = native >= 0 && measured(&r->cells[native]) ? &r->cells[native] : NULL;

	printf("%-24s", r->name);
	for (size_t i = 0; i < b->methods.n; i++) {
		const struct cell *c = &r->cells[i];

		if (b->methods.list[i].absent != NULL)
			continue;
		if (!measured(c)) {
			printf("%10s%*s", "failed", (int)i == native ? 14 : 30, "");
			continue;
		}
		print_ns(quantile(&c->batches, 0.5));
		printf("%5.0f%%", spread(&c->batches) * 100);
		printf("%8.0f", percentile(c, 0.99));
		if ((int)i == native)
			continue;
		if (base != NULL)
			printf("%8.2f%8.2f", quantile(&c->batches, 0.5) / quantile(&base->batches, 0.5),
			       c->batches.ns[0] / base->batches.ns[0]);
		else
			printf("%8s%8s", "-", "-");
	}
	if (r->aim != 0)
		printf("%6.1f", r->aim);
	printf("\n");
}

static void print_table(const struct bench *b)
{
	int native = native_of(b);
	struct utsname u;
	char cpu[128];

	for (unsigned threads = 1; threads <= 2; threads++) {
		if (threads == 1 ? !b->one : !b->two)
			continue;
		printf("%s%-24s", threads == 2 && b->one ? "\n" : "",
		       threads == 1 ? "one thread, ns a call" : "two threads");
		for (size_t i = 0; i < b->methods.n; i++) {
			if (b->methods.list[i].absent == NULL)
				printf("%10s%6s%8s%s", b->methods.list[i].name, "±  ", "p99",
				       (int)i == native ? "" : " /median  /least");
		}
		printf("%6s\n", "aim");
		for (size_t i = 0; i < b->nrows; i++) {
			if (b->rows[i].threads == threads)
				print_row(b, &b->rows[i]);
		}
	}
	machine_of(&u, cpu, sizeof(cpu));
	printf("\n%u round%s of %u batches; %ld CPUs, %s, Linux %s; load %.1f before, %.1f after\n", b->rounds,
	       b->rounds == 1 ? "" : "s", b->batches, sysconf(_SC_NPROCESSORS_ONLN), cpu, u.release, b->load_before,
	       load());
	for (size_t i = 0; i < b->methods.n; i++) {
		if (b->methods.list[i].absent != NULL)
			printf("%s is left out: %s\n", b->methods.list[i].name, b->methods.list[i].absent);
	}
	for (size_t i = 0; i < b->nrows; i++) {
		for (size_t m = 0; m < b->methods.n; m++) {
			if (b->rows[i].cells[m].failed != NULL)
				printf("%s failed by %s, %u thread%s: %s\n", b->rows[i].name, b->methods.list[m].name,
				       b->rows[i].threads, b->rows[i].threads == 1 ? "" : "s",
				       b->rows[i].cells[m].failed);
		}
	}
}

/* Nanoseconds with a digit behind the point: more would be noise. */
static json_object *json_ns(double ns)
{
	char text[40];

	snprintf(text, sizeof(text), "%.*f", ns < 100000 ? 1 : 0, ns);
	return json_object_new_double_s(ns, text);
}
static json_object *json_ratio(double ratio)
{
	char text[40];

	snprintf(text, sizeof(text), "%.4f", ratio);
	return json_object_new_double_s(ratio, text);
}

static json_object *cell_json(const struct cell *c, const struct cell *base)
{
	static const struct {
		const char *name;
		double p;
	} points[] = {{"p50_ns", 0.5}, {"p90_ns", 0.9}, {"p99_ns", 0.99}, {"p999_ns", 0.999}, {"max_ns", 1}};
	json_object *o = json_object_new_object(), *batches = json_object_new_array(), *hist = json_object_new_array();

	json_object_object_add(o, "median_ns", json_ns(quantile(&c->batches, 0.5)));
	json_object_object_add(o, "spread", json_ratio(spread(&c->batches)));
	json_object_object_add(o, "min_ns", json_ns(c->batches.ns[0]));
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		json_object_object_add(o, points[i].name, json_ns(percentile(c, points[i].p)));
	if (base != NULL && base != c) {
		json_object_object_add(o, "ratio",
				       json_ratio(quantile(&c->batches, 0.5) / quantile(&base->batches, 0.5)));
		json_object_object_add(o, "ratio_min", json_ratio(c->batches.ns[0] / base->batches.ns[0]));
	}
	for (size_t i = 0; i < c->batches.n; i++)
		json_object_array_add(batches, json_ns(c->batches.ns[i]));
	json_object_object_add(o, "batches_ns", batches);
	for (size_t i = 0; i < c->nhist; i++) {
		json_object *pair = json_object_new_array();

		json_object_array_add(pair, json_ns(c->hist[i].ns));
		json_object_array_add(pair, json_object_new_int64((int64_t)c->hist[i].count));
		json_object_array_add(hist, pair);
	}
	json_object_object_add(o, "histogram", hist);
	return o;
}

static json_object *row_json(const struct bench *b, const struct row *r)
{
	int native = native_of(b);
	const struct cell *base = native >= 0 && measured(&r->cells[native]) ? &r->cells[native] : NULL;
	json_object *o = json_object_new_object(), *by = json_object_new_object(), *failed = json_object_new_object();

	json_object_object_add(o, "name", json_object_new_string(r->name));
	json_object_object_add(o, "what", json_object_new_string(r->what));
	json_object_object_add(o, "threads", json_object_new_int((int)r->threads));
	json_object_object_add(o, "aim", r->aim != 0 ? json_ratio(r->aim) : NULL);
	for (size_t i = 0; i < b->methods.n; i++) {
		const struct cell *c = &r->cells[i];

		if (measured(c))
			json_object_object_add(by, b->methods.list[i].name, cell_json(c, base));
		else if (c->failed != NULL)
			json_object_object_add(failed, b->methods.list[i].name, json_object_new_string(c->failed));
	}
	json_object_object_add(o, "methods", by);
	json_object_object_add(o, "failed", failed);
	return o;
}

static void print_json(const struct bench *b)
{
	json_object *o = json_object_new_object(), *machine = json_object_new_object();
	json_object *methods = json_object_new_object(), *absent = json_object_new_object();
	json_object *rows = json_object_new_array();
	struct utsname u;
	char cpu[128], when[32];
	time_t now = time(NULL);

	machine_of(&u, cpu, sizeof(cpu));
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	json_object_object_add(machine, "when", json_object_new_string(when));
	json_object_object_add(machine, "kernel", json_object_new_string(u.release));
	json_object_object_add(machine, "cpu", json_object_new_string(cpu));
	json_object_object_add(machine, "cpus", json_object_new_int((int)sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_object_add(machine, "load_before", json_ratio(b->load_before));
	json_object_object_add(machine, "load_after", json_ratio(load()));
	json_object_object_add(o, "machine", machine);
	json_object_object_add(o, "rounds", json_object_new_int((int)b->rounds));
	json_object_object_add(o, "batch_us", json_object_new_int((int)b->us));
	for (size_t i = 0; i < b->methods.n; i++) {
		const struct method *m = &b->methods.list[i];

		if (m->absent != NULL)
			json_object_object_add(absent, m->name, json_object_new_string(m->absent));
		else
			json_object_object_add(methods, m->name, json_object_new_string(m->what));
	}
	json_object_object_add(o, "methods", methods);
	json_object_object_add(o, "absent", absent);
	for (size_t i = 0; i < b->nrows; i++)
		json_object_array_add(rows, row_json(b, &b->rows[i]));
	json_object_object_add(o, "calls", rows);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

/* ---- the verb ---- */

/* The program lies beside the command, as the core does. */
static char *find_program(struct error **err)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash, *program;

	if (n < 0) {
		error_errno(err, errno, "can't find my own program by /proc/self/exe (is /proc mounted?)");
		return NULL;
	}
	self[n] = '\0';
	slash = strrchr(self, '/');
	program = xasprintf("%.*s/sentrybox-bench", slash != NULL ? (int)(slash - self) : 0, self);
	if (access(program, X_OK) < 0) {
		error_errno(err, errno, "%s must lie beside the sentrybox command", program);
		free(program);
		return NULL;
	}
	return program;
}

static bool set_threads(struct bench *b, const char *value, struct error **err)
{
	b->one = strcmp(value, "2") != 0;
	b->two = strcmp(value, "1") != 0;
	if (strcmp(value, "1") != 0 && strcmp(value, "2") != 0 && strcmp(value, "1,2") != 0)
		return error_set(err, "\"%s\" is not 1, 2 or 1,2", value);
	return true;
}

/* A flag that is given twice has both lists. */
static void add_names(char **to, const char *names)
{
	char *both = *to != NULL ? xasprintf("%s,%s", *to, names) : xstrdup(names);

	free(*to);
	*to = both;
}

static bool set_number(unsigned *to, const char *value, uint64_t most, struct error **err)
{
	uint64_t n;

	if (!parse_number(value, 1, most, &n, err))
		return false;
	*to = (unsigned)n;
	return true;
}

static bool run_bench(struct bench *b, const char *calls, const char *methods, bool list, bool json, struct error **err)
{
	bool any = false;

	b->program = find_program(err);
	if (b->program == NULL || !choose_rows(b, calls, list, err) || list)
		return b->program != NULL && *err == NULL;
	if (!methods_choose(&b->methods, methods, err))
		return error_wrap(err, "--method");
	b->load_before = load();
	methods_catch_interrupts();
	methods_try(&b->methods, b->program);
	for (size_t i = 0; i < b->methods.n; i++)
		any = any || b->methods.list[i].absent == NULL;
	if (methods_interrupted())
		return error_set(err, "interrupted");
	if (!any)
		return error_set(err, "none of these methods works here: %s: %s", b->methods.list[0].name,
				 b->methods.list[0].absent);
	measure(b);
	if (methods_interrupted())
		return error_set(err, "interrupted");
	if (json)
		print_json(b);
	else
		print_table(b);
	return true;
}

static void bench_free(struct bench *b)
{
	for (size_t i = 0; i < b->nrows; i++) {
		for (size_t m = 0; m < b->methods.n; m++) {
			free(b->rows[i].cells[m].batches.ns);
			free(b->rows[i].cells[m].hist);
			free(b->rows[i].cells[m].failed);
		}
		free(b->rows[i].name);
		free(b->rows[i].what);
	}
	free(b->rows);
	free(b->program);
	methods_free(&b->methods);
}

static bool failed_any(const struct bench *b)
{
	for (size_t i = 0; i < b->nrows; i++) {
		for (size_t m = 0; m < b->methods.n; m++) {
			if (b->rows[i].cells[m].failed != NULL)
				return true;
		}
	}
	return false;
}

int verb_bench(int argc, char **argv)
{
	static const struct option options[] = {
		{"call", required_argument, NULL, 'c'},    {"method", required_argument, NULL, 'm'},
		{"threads", required_argument, NULL, 't'}, {"rounds", required_argument, NULL, 'r'},
		{"us", required_argument, NULL, 's'},      {"quick", no_argument, NULL, 'q'},
		{"json", no_argument, NULL, 'j'},          {"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},          {0}};
	cleanup_error struct error *err = NULL;
	struct bench b = {.one = true, .rounds = ROUNDS, .us = 500, .batches = 20};
	cleanup_free char *calls = NULL;
	cleanup_free char *methods = NULL;
	bool json = false, list = false, good = true;
	int c, status;

	opterr = 0;
	optind = 1;
	while (good && (c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			add_names(&calls, optarg);
			break;
		case 'm':
			add_names(&methods, optarg);
			break;
		case 't':
			good = set_threads(&b, optarg, &err) || error_wrap(&err, "--threads");
			break;
		case 'r':
			good = set_number(&b.rounds, optarg, 1000, &err) || error_wrap(&err, "--rounds");
			break;
		case 's':
			good = set_number(&b.us, optarg, 10000000, &err) || error_wrap(&err, "--us");
			break;
		case 'q':
			b.rounds = QUICK_ROUNDS;
			break;
		case 'j':
			json = true;
			break;
		case 'l':
			list = true;
			break;
		case 'h':
			help_bench();
			return 0;
		default:
			good = error_set(&err, "%s %s", argv[optind - 1],
					 c == ':' ? "needs a value" : "is not a flag of bench");
		}
	}
	if (good && optind != argc)
		good = error_set(&err, "\"%s\" is not a flag of bench", argv[optind]);
	good = good && run_bench(&b, calls, methods, list, json, &err);
	if (!good)
		error_wrap(&err, "bench");
	status = good ? failed_any(&b) : error_report(err);
	bench_free(&b);
	return status;
}
