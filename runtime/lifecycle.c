/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short verbs: each opens a container's state, asks its monitor one thing, and prints or says what came back.
 *
 *	state kill delete list ps pause resume wait events update        spec features checkpoint restore: default_spec.c
 *
 * Texts that engines look for are runc's: `container "X" does not exist`, "container not running", "cannot delete container X
 * that is not stopped". A monitor that does not answer is not waited for: `delete --force` asks it to end the program, and
 * kills it if that takes too long; what it held dies with it.
 */
#include "runtime/cleanup.h"
#include "runtime/create.h"
#include "runtime/default_spec.h"
#include "runtime/hooks.h"
#include "runtime/parse.h"
#include "runtime/resources.h"
#include "runtime/spec.h"
#include "runtime/state.h"
#include "runtime/verbs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#define END_MS 3000   /* for a monitor that was asked to end */
#define PROCESS_PARTS 4096 /* more than pids can be; the list comes from inside */
#define DEATH_MS 10000 /* for one that was killed */

struct words { /* what a verb was given */
	const char *id, *second;
	bool all, force, quiet, stats, json, help;
	const char *format, *resources, *interval;
	json_object *update; /* from flags of update */
};

static void print_json(json_object *o, bool pretty)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE |
						       (pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED :
								 JSON_C_TO_STRING_PLAIN)));
	json_object_put(o);
}

/* ---- state, list ---- */

static int do_state(struct words *w, struct error **err)
{
	struct container c;
	bool ok;

	container_init(&c);
	ok = container_open(&c, w->id, err);
	if (ok)
		print_json(container_state_json(&c, container_status(&c), true), true);
	container_close(&c);
	return ok ? 0 : -1;
}

static const char *field(json_object *o, const char *key)
{
	json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "";
}

static void list_one(const struct words *w, const char *id, json_object *array)
{
	cleanup_error struct error *gone = NULL;
	struct container c;
	json_object *o;

	container_init(&c);
	if (container_open(&c, id, &gone)) { /* else it was deleted meanwhile */
		o = container_state_json(&c, container_status(&c), true);
		if (w->json) {
			json_object_array_add(array, json_object_get(o));
		} else {
			printf("%-16s %-10s %-10s %-32s %-32s %s\n", id, field(o, "pid"), field(o, "status"),
			       field(o, "bundle"), field(o, "created"), field(o, "owner"));
		}
		json_object_put(o);
	}
	container_close(&c);
}

static int do_list(struct words *w, struct error **err)
{
	char **names = container_names(err);
	json_object *array = json_object_new_array();

	if (names == NULL) {
		json_object_put(array);
		return -1;
	}
	if (!w->quiet && !w->json)
		printf("%-16s %-10s %-10s %-32s %-32s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
	for (char **n = names; *n != NULL; n++) {
		if (w->quiet)
			puts(*n);
		else
			list_one(w, *n, array);
		free(*n);
	}
	if (w->json && !w->quiet)
		print_json(array, false);
	else
		json_object_put(array);
	free(names);
	return 0;
}

/* ---- kill, delete ---- */

static int signal_number(const char *text, struct error **err)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text != '\0' && *end == '\0' && n >= 0 && n <= 64)
		return (int)n;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int sig = 1; sig < 32; sig++) {
		const char *name = sigabbrev_np(sig);

		if (name != NULL && strcasecmp(text, name) == 0)
			return sig;
	}
	if (strncasecmp(text, "RTMIN", 5) == 0) {
		n = text[5] == '\0' ? 0 : strtol(text + 5, &end, 10);
		if ((text[5] == '\0' || *end == '\0') && n >= 0 && n <= 30)
			return 34 + (int)n;
	}
	error_set(err, "\"%s\" is not a signal: a name as TERM, or a number up to 64", text);
	return -1;
}

static int do_kill(struct words *w, struct error **err)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_KILL, .flags = w->all ? LC_ALL : 0};
	struct lifecycle_reply r;
	struct container c;
	bool ok;

	rq.signal = signal_number(w->second != NULL ? w->second : "TERM", err);
	if (rq.signal < 0)
		return -1;
	container_init(&c);
	ok = container_open(&c, w->id, err) && container_ask(&c, &rq, &r, err);
	/* An engine says --all after the end, too. */
	if (!ok && w->all && c.state != NULL && container_status(&c) == STATE_STOPPED)
		ok = true;
	container_close(&c);
	return ok ? 0 : -1;
}

static bool gone_within(int pidfd, int ms)
{
	struct pollfd p = {pidfd, POLLIN, 0};

	return pidfd < 0 || poll(&p, 1, ms) == 1;
}

/* The monitor, and with it everything, ends. */
static bool end_monitor(struct container *c, struct error **err)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_KILL, .signal = SIGKILL};
	cleanup_error struct error *ignored = NULL;
	pid_t pid = container_pid(c);
	cleanup_close int pidfd = pid != 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	cleanup_close int fd = -1;
	struct lifecycle_reply r;

	if (pid == 0 || container_pid(c) == 0) /* once more, now that the number can't become another's */
		return true;
	fd = container_connect(c, END_MS, &ignored);
	if (fd >= 0 && monitor_send(c, fd, &rq, NULL, 0, &ignored) && monitor_receive(fd, &r, END_MS, &ignored) &&
	    pidfd >= 0 && gone_within(pidfd, END_MS))
		return true;
	if (pidfd >= 0 ? syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 : kill(pid, SIGKILL) < 0) {
		if (errno != ESRCH)
			return error_errno(err, errno, "can't end the container's monitor (pid %d)", pid);
	}
	for (int i = 0; pidfd < 0 && i < DEATH_MS / 10 && container_pid(c) != 0; i++)
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	if (!gone_within(pidfd, DEATH_MS))
		return error_set(err, "the container's monitor (pid %d) can't be killed", pid);
	return true;
}

static bool delete(struct container *c, const struct words *w, struct error **err)
{
	enum container_state state = STATE_STOPPED;
	json_object *spec;
	bool ok;

	if (!container_lock(c, err))
		return false;
	if (!w->force && container_pid(c) != 0)
		state = container_status(c);
	if (state != STATE_STOPPED)
		return error_set(err, "cannot delete container %s that is not stopped: %s", c->id, container_state_name(state));
	if (!end_monitor(c, err))
		return false;
	spec = container_file_json(c, "config.json");
	ok = container_delete(c, c->state != NULL ? spec : NULL, err);
	json_object_put(spec);
	return ok;
}

static int do_delete(struct words *w, struct error **err)
{
	struct container c;
	bool missing, ok;

	container_init(&c);
	ok = container_open_missing(&c, w->id, &missing, err) && delete(&c, w, err);
	missing = missing || c.gone;
	container_close(&c);
	return ok || (missing && w->force) ? 0 : -1;
}

/* ---- ps ---- */

static const char *duration(uint64_t ms, char *buf, size_t size)
{
	uint64_t s = ms / 1000;

	snprintf(buf, size, "%02u:%02u:%02u", (unsigned)(s / 3600), (unsigned)(s / 60 % 60), (unsigned)(s % 60));
	return buf;
}

/* Names come from inside. */
static void print_name(const char *s)
{
	for (; *s != '\0'; s++)
		putchar(isprint((unsigned char)*s) ? *s : '?');
}

static void print_process(const struct control_process *e)
{
	char age[32], cpu[32];

	printf("%-8u %-8d %-8d %-3c %-4u %-10s %-10s ", e->uid, e->pid, e->ppid, isprint((unsigned char)e->state) ? e->state : '?',
	       e->threads, duration(e->age_ms, age, sizeof(age)), duration(e->cpu_ms, cpu, sizeof(cpu)));
	print_name(e->name);
	putchar('\n');
}

static bool each_process(struct container *c, void (*fn)(const struct control_process *, pid_t host, void *arg), void *arg,
			 struct error **err)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_PS};
	cleanup_close int fd = container_connect(c, ANSWER_MS, err);
	static union {
		struct lifecycle_processes p;
		struct lifecycle_reply r;
	} in;

	if (fd < 0 || !monitor_send(c, fd, &rq, NULL, 0, err))
		return false;
	for (unsigned parts = 0; parts < PROCESS_PARTS; parts++) {
		struct pollfd p = {fd, POLLIN, 0};
		ssize_t n = poll(&p, 1, 10000) == 1 ? recv(fd, &in, sizeof(in), 0) : 0;

		if (n == (ssize_t)sizeof(in.r) && in.r.type == LC_ERROR)
			return error_set(err, "%.*s", (int)sizeof(in.r.text) - 1, in.r.text);
		if (n != (ssize_t)sizeof(in.p) || in.p.type != LC_PROCESSES || in.p.count > CONTROL_PROCESSES_MAX)
			return error_set(err, "container not running");
		if (in.p.count == 0)
			return true;
		for (uint32_t i = 0; i < in.p.count; i++) {
			in.p.entry[i].name[sizeof(in.p.entry[i].name) - 1] = '\0';
			fn(&in.p.entry[i], in.p.host_pid[i], arg);
		}
	}
	return error_set(err, "the sandbox names more processes than it can have");
}

static void add_host_pid(const struct control_process *e, pid_t host, void *arg)
{
	(void)e;
	if (host > 0)
		json_object_array_add(arg, json_object_new_int(host));
}

static void show_process(const struct control_process *e, pid_t host, void *arg)
{
	(void)host;
	(void)arg;
	print_process(e);
}

static int do_ps(struct words *w, struct error **err)
{
	json_object *pids = json_object_new_array();
	struct container c;
	bool ok;

	container_init(&c);
	ok = container_open(&c, w->id, err);
	if (ok && !w->json)
		printf("%-8s %-8s %-8s %-3s %-4s %-10s %-10s %s\n", "UID", "PID", "PPID", "S", "THR", "ELAPSED", "TIME", "CMD");
	ok = ok && each_process(&c, w->json ? add_host_pid : show_process, pids, err);
	if (ok && w->json)
		print_json(json_object_get(pids), false);
	json_object_put(pids);
	container_close(&c);
	return ok ? 0 : -1;
}

/* ---- pause, resume, wait ---- */

static int ask(const char *id, uint32_t type, struct lifecycle_reply *r, struct error **err)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = type};
	struct container c;
	bool ok;

	container_init(&c);
	ok = container_open(&c, id, err) && container_ask(&c, &rq, r, err);
	container_close(&c);
	return ok ? 0 : -1;
}

static int do_pause(struct words *w, struct error **err)
{
	struct lifecycle_reply r;

	return ask(w->id, LC_PAUSE, &r, err);
}

static int do_resume(struct words *w, struct error **err)
{
	struct lifecycle_reply r;

	return ask(w->id, LC_RESUME, &r, err);
}

static int exit_code(int status)
{
	return (status & 0x7f) != 0 ? 128 + (status & 0x7f) : status >> 8 & 0xff;
}

static int do_wait(struct words *w, struct error **err)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_WAIT};
	cleanup_error struct error *ended = NULL;
	struct lifecycle_reply r;
	struct container c;
	json_object *o = NULL, *v;
	int code = -1;

	container_init(&c);
	if (container_open(&c, w->id, err)) {
		if (container_ask(&c, &rq, &r, &ended))
			code = exit_code(r.status);
		else
			o = container_file_json(&c, LIFECYCLE_EXIT);
		if (code < 0 && o != NULL && json_object_object_get_ex(o, "exitStatus", &v))
			code = json_object_get_int(v);
		if (code >= 0)
			printf("%d\n", code);
		else if (container_pid(&c) == 0)
			error_set(err, "container %s: how it ended is not known: its monitor was killed", w->id);
		else
			error_set(err, "container %s: its monitor does not answer", w->id);
		json_object_put(o);
	}
	container_close(&c);
	return code >= 0 ? 0 : -1;
}

/* ---- events, update: resources.c ---- */

static void count_threads(const struct control_process *e, pid_t host, void *arg)
{
	(void)host;
	*(uint64_t *)arg += e->threads;
}

bool container_threads(struct container *c, uint64_t *n, struct error **err)
{
	*n = 0;
	return each_process(c, count_threads, n, err);
}

struct first {
	uint32_t number;
	int64_t pid;
};

static void find_first(const struct control_process *e, pid_t host, void *arg)
{
	struct first *f = arg;

	(void)host;
	if (e->ppid == 0 && e->id == f->number)
		f->pid = e->pid;
}

bool container_first_pid(struct container *c, int64_t *pid, struct error **err)
{
	struct first f = {.number = container_number(c)};
	bool ok = each_process(c, find_first, &f, err);

	*pid = f.pid;
	return ok;
}

static int do_events(struct words *w, struct error **err)
{
	uint64_t ms = 5000;
	struct container c;
	bool ok;

	if (w->interval != NULL && !parse_duration(w->interval, &ms, err))
		return error_wrap(err, "--interval") ? 0 : -1;
	container_init(&c);
	ok = container_open(&c, w->id, err) && (w->stats ? stats_print(&c, err) : events_print(&c, ms, err));
	container_close(&c);
	return ok ? 0 : -1;
}

static int do_update(struct words *w, struct error **err)
{
	json_object *resources = w->resources != NULL ? resources_read(w->resources, err) : json_object_get(w->update);
	struct container c;
	bool ok;

	if (w->resources != NULL && resources == NULL)
		return -1;
	if (resources == NULL)
		resources = json_object_new_object();
	container_init(&c);
	ok = container_open(&c, w->id, err) && resources_update(&c, resources, err);
	container_close(&c);
	json_object_put(resources);
	return ok ? 0 : -1;
}

/* ---- which verb, which words ---- */

static int do_spec(struct words *w, struct error **err)
{
	return spec_write(w->second, err) ? 0 : -1;
}

static int do_features(struct words *w, struct error **err)
{
	(void)w;
	(void)err;
	print_json(features_json(), true);
	return 0;
}

static int do_unsupported(struct words *w, struct error **err)
{
	(void)w;
	error_set(err, "not supported: a sandbox's state can't be written to a file");
	return -1;
}

static const struct verb {
	const char *name, *args, *help;
	int (*run)(struct words *w, struct error **err);
	bool no_id;
} verbs[] = {
	{"state", "ID", "Prints what the container is doing, as JSON.", do_state, false},
	{"kill", "[--all] ID [SIGNAL]", "Sends a signal (TERM) to the container's first process, or to all of them.", do_kill,
	 false},
	{"delete", "[--force] ID",
	 "Deletes a stopped container; with --force ends a running one first, and one that isn't there is no error.", do_delete,
	 false},
	{"list", "[--format json|table] [--quiet]", "Lists all containers of the state directory.", do_list, true},
	{"ps", "[--format json|table] ID [ANYTHING]",
	 "Lists the container's processes as they are inside; as JSON, the pids that stand for it on the host: its own and\n"
	 "those of its execs. What stands behind the name (engines put options of ps there) means nothing.",
	 do_ps, false},
	{"pause", "ID", "Stops all of the container's processes.", do_pause, false},
	{"resume", "ID", "Lets them go on.", do_resume, false},
	{"wait", "ID", "Waits for the end of the container and prints its exit status.", do_wait, false},
	{"events", "[--stats] [--interval TIME] ID",
	 "Prints what the container uses, as JSON: once (--stats), or every 5s and each time that a process ends for the limit\n"
	 "on memory.",
	 do_events, false},
	{"update",
	 "[--resources FILE|-] [--memory N] [--memory-swap N] [--memory-reservation N] [--cpu-quota N] [--cpu-period N]\n"
	 "        [--cpu-burst N] [--cpu-idle 0|1] [--cpu-share N] [--cpuset-cpus LIST] [--cpuset-mems LIST] [--pids-limit N]\n"
	 "        [--blkio-weight N] ID",
	 "Changes the limits: an object as linux.resources from FILE (- for stdin), or by flags. -1 is none.", do_update, false},
	{"spec", "[--bundle DIR] [--rootless]",
	 "Writes a config.json to start from. It needs no privilege as it is, so --rootless changes nothing.", do_spec, true},
	{"features", "", "Prints what of the specification is known, as JSON.", do_features, true},
	{"checkpoint", "[FLAGS] ID", "Not supported.", do_unsupported, true},
	{"restore", "[FLAGS] ID", "Not supported.", do_unsupported, true},
};

enum { ALL = 'a', FORCE = 'f', QUIET = 'q', BUNDLE = 'b', HELP = 'h', FORMAT = 256, STATS, INTERVAL, RESOURCES, ROOTLESS, MOOT, LIMITS };

/* Flags of update: LIMITS and on, in this order. */
static const struct {
	const char *group, *key;
	bool text; /* else a number; 0 and -1 are no limit, but for burst and idle */
} limit_flags[] = {
	{"memory", "limit", false},   {"memory", "swap", false}, {"memory", "reservation", false}, {"cpu", "quota", false},
	{"cpu", "period", false},     {"cpu", "shares", false},  {"cpu", "cpus", true},            {"cpu", "mems", true},
	{"blockIO", "weight", false}, {"pids", "limit", false},  {"cpu", "burst", false},          {"cpu", "idle", false},
};

static const struct option options[] = {
	{"all", no_argument, NULL, ALL},
	{"force", no_argument, NULL, FORCE},
	{"quiet", no_argument, NULL, QUIET},
	{"help", no_argument, NULL, HELP},
	{"bundle", required_argument, NULL, BUNDLE},
	{"format", required_argument, NULL, FORMAT},
	{"stats", no_argument, NULL, STATS},
	{"interval", required_argument, NULL, INTERVAL},
	{"resources", required_argument, NULL, RESOURCES},
	{"rootless", no_argument, NULL, ROOTLESS},
	{"memory", required_argument, NULL, LIMITS},
	{"memory-swap", required_argument, NULL, LIMITS + 1},
	{"memory-reservation", required_argument, NULL, LIMITS + 2},
	{"cpu-quota", required_argument, NULL, LIMITS + 3},
	{"cpu-period", required_argument, NULL, LIMITS + 4},
	{"cpu-share", required_argument, NULL, LIMITS + 5},
	{"cpu-shares", required_argument, NULL, LIMITS + 5},
	{"cpuset-cpus", required_argument, NULL, LIMITS + 6},
	{"cpuset-mems", required_argument, NULL, LIMITS + 7},
	{"blkio-weight", required_argument, NULL, LIMITS + 8},
	{"pids-limit", required_argument, NULL, LIMITS + 9},
	{"cpu-burst", required_argument, NULL, LIMITS + 10},
	{"cpu-idle", required_argument, NULL, LIMITS + 11},
	{"cpu-rt-period", required_argument, NULL, MOOT},
	{"cpu-rt-runtime", required_argument, NULL, MOOT},
	{"kernel-memory", required_argument, NULL, MOOT},
	{"kernel-memory-tcp", required_argument, NULL, MOOT},
	{0},
};

/* A flag of another verb is none: what it asks for would silently not be done. */
static bool takes(const struct verb *v, int c)
{
	switch (c) {
	case HELP:
		return true;
	case ALL:
		return v->run == do_kill;
	case FORCE:
		return v->run == do_delete;
	case QUIET:
		return v->run == do_list;
	case FORMAT:
		return v->run == do_list || v->run == do_ps;
	case STATS:
	case INTERVAL:
		return v->run == do_events;
	case BUNDLE:
	case ROOTLESS:
		return v->run == do_spec;
	default:
		return v->run == do_update;
	}
}

static bool limit_flag(struct words *w, int flag, struct error **err)
{
	const char *group = limit_flags[flag].group, *key = limit_flags[flag].key;
	bool plain = strcmp(key, "burst") == 0 || strcmp(key, "idle") == 0;
	json_object *in, *value;
	uint64_t n = 0;

	if (limit_flags[flag].text) {
		value = json_object_new_string(optarg);
	} else {
		if ((plain || strcmp(optarg, "-1") != 0) &&
		    !(strcmp(group, "memory") == 0 ? parse_size(optarg, &n, err) : parse_number(optarg, 0, INT64_MAX, &n, err)))
			return error_wrap(err, "%s.%s", group, key);
		value = json_object_new_int64((n == 0 && !plain) || n > INT64_MAX ? -1 : (int64_t)n);
	}
	if (w->update == NULL)
		w->update = json_object_new_object();
	if (!json_object_object_get_ex(w->update, group, &in)) {
		in = json_object_new_object();
		json_object_object_add(w->update, group, in);
	}
	json_object_object_add(in, key, value);
	return true;
}

static bool one_flag(struct words *w, int c, struct error **err)
{
	switch (c) {
	case ALL:
		w->all = true;
		return true;
	case FORCE:
		w->force = true;
		return true;
	case QUIET:
		w->quiet = true;
		return true;
	case HELP:
		w->help = true;
		return true;
	case BUNDLE:
		w->second = optarg;
		return true;
	case FORMAT:
		w->json = strcmp(optarg, "json") == 0;
		return w->json || strcmp(optarg, "table") == 0 || error_set(err, "--format: json or table, not \"%s\"", optarg);
	case STATS:
		w->stats = true;
		return true;
	case INTERVAL:
		w->interval = optarg;
		return true;
	case RESOURCES:
		w->resources = optarg;
		return true;
	default:
		return c < LIMITS || limit_flag(w, c - LIMITS, err);
	}
}

static bool parse_words(const struct verb *v, struct words *w, int argc, char **argv, struct error **err)
{
	int c, most = v->no_id ? 0 : v->run == do_kill ? 2 : v->run == do_ps ? argc : 1;
	/* Engines put options of the host's ps behind the name; what is inside isn't asked of that, so they mean nothing. */
	const char *letters = v->run == do_ps ? "+:f:qh" : v->run == do_list ? ":f:qh" : ":afqhb:r:";

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (v->run == do_unsupported && c != HELP)
			continue; /* an engine's flags for it don't matter: it is to hear why */
		if (c == 'r')
			c = RESOURCES;
		if (c == 'f' && optarg != NULL)
			c = FORMAT;
		if (c == ':')
			return error_set(err, "%s needs a value", argv[optind - 1]);
		if (c == '?' || !takes(v, c))
			return error_set(err, "there is no flag %s: `sentrybox help %s` lists them",
					 argv[optind - (optarg != NULL && optarg == argv[optind - 1] ? 2 : 1)], v->name);
		if (!one_flag(w, c, err))
			return false;
	}
	if (w->help || v->run == do_unsupported)
		return true;
	if (optind >= argc && !v->no_id)
		return error_set(err, "which container? sentrybox %s %s", v->name, strchr(v->args, '\n') != NULL ? "[FLAGS] ID" : v->args);
	if (argc - optind > most)
		return error_set(err, "\"%s\" is a word too many: `sentrybox help %s` tells what it takes", argv[optind + most], v->name);
	if (!v->no_id)
		w->id = argv[optind];
	if (v->run == do_kill && optind + 1 < argc)
		w->second = argv[optind + 1];
	return true;
}

int verb_lifecycle(int argc, char **argv)
{
	cleanup_error struct error *err = NULL;
	const struct verb *v = verbs;
	struct words w = {0};
	int status;

	while (strcmp(v->name, argv[0]) != 0)
		v++;
	if (!parse_words(v, &w, argc, argv, &err)) {
		status = -1;
	} else if (w.help) {
		printf("sentrybox %s %s\n\n%s\n", v->name, v->args, v->help);
		status = 0;
	} else {
		status = v->run(&w, &err);
	}
	json_object_put(w.update);
	if (status >= 0)
		return status;
	if (err == NULL)
		error_set(&err, "failed");
	error_wrap(&err, "%s", v->name);
	if (err->status == 125)
		err->status = 1; /* as engines know it; 125 is a sandbox that could not be made */
	return error_report(err);
}
