/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `create`, `run` and `start`: from a bundle to a running container.
 *
 *	state directory, locked --> config.json --> struct config --> monitor, sentry, gofer: all but the program's start
 *	     <-- "created" on the sync socket
 *	hooks prestart, createRuntime, createContainer --> state.json --> pid file --> "go" on the sync socket
 *	     ... start: hooks startContainer (inside) --> LC_START --> hooks poststart
 *
 * Until "go" the container is ours alone: if we end before it, for whatever reason, the monitor ends everything. After it,
 * the state directory tells all that another command needs, and the monitor is what an engine waits for: its pid is in the
 * pid file, it has the caller's stdio (or the console socket's terminal), and it ends as the program ends.
 *
 * Setting up takes milliseconds, or as long as the host's files do; but a pod's sandbox may be stopped, by whoever may, and a
 * filesystem hang. So waiting for "created" has an end (--create-timeout), which is ours and so the container's.
 *
 * `run` does both steps; in the foreground it stays, passes signals on and takes the container away at the end.
 */
#include "runtime/build.h"
#include "runtime/cgroup.h"
#include "runtime/cleanup.h"
#include "runtime/console.h"
#include "runtime/create.h"
#include "runtime/hooks.h"
#include "runtime/launch.h"
#include "runtime/pod.h"
#include "runtime/report.h"
#include "runtime/spec.h"
#include "runtime/state.h"
#include "runtime/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define PATIENCE_MS 60000 /* engines have two minutes for a call, and more than that isn't to be expected of any machine */

struct making {
	const char *verb, *bundle, *pid_file, *console_socket;
	unsigned preserve;
	bool foreground, detach, keep;
	uint64_t patience_ms; /* until it is there; hooks have their own */
	struct container c;
	struct build b;
	struct settings s;
	json_object *spec;
	int sync; /* our end */
	int tty;  /* the slave of the console socket's terminal */
};

static void flags_help(void)
{
	puts("  -b, --bundle DIR      where config.json lies (the current directory)\n"
	     "      --pid-file FILE   write the pid of the process to wait for there\n"
	     "      --console-socket S  send the terminal's master to this unix socket (process.terminal)\n"
	     "      --preserve-fds N  let the program have our descriptors 3 to 2+N\n"
	     "      --root-writes keep|discard   keep: at the end, what was written to the root goes to its directory\n"
	     "      --create-timeout T  how long setting up the container may take (60s)\n"
	     "      --no-pivot, --no-new-keyring   accepted: they have no meaning here\n"
	     "      --strace[=FILE]   write every system call as strace does (stderr)\n"
	     "      --debug-log[=FILE]  write what the sandbox's kernel has to say (stderr)\n"
	     "      --audit FILE      write each denial as a line of JSON (- for stderr)\n"
	     "      --backtrace       with --audit: where in the program each denied call was made");
}

void help_create(void)
{
	puts("sentrybox create [--bundle DIR] [FLAGS] ID\n"
	     "\n"
	     "Makes a container of the OCI bundle in DIR: everything but the start of its program, which waits for\n"
	     "`sentrybox start ID`. What stands for it on the host stays when the command returns.\n");
	flags_help();
}

void help_run(void)
{
	puts("sentrybox run [--bundle DIR] [FLAGS] ID\n"
	     "\n"
	     "Runs the OCI bundle in DIR: its config.json says which program, as whom, on which root and mounts. The\n"
	     "root, a directory or an image file, is read-only on the host; what is written to it is in memory. A\n"
	     "field that can't be honoured and must be is an error that names it. At the end the container is deleted.\n"
	     "\n"
	     "  -d, --detach          return when the program runs (`sentrybox delete ID` takes it away)\n"
	     "      --keep            don't delete it at the end\n"
	     "      --stats[=json]    print what the run used, on stderr");
	flags_help();
	puts("\nAnnotations of the bundle, as the flags of `do`:");
	for (const struct setting *set = settings_table; set->name != NULL; set++) {
		if (set->annotation)
			printf("  dev.sentrybox.%s%s\n", set->name,
			       set->list ? "   (several, separated by blanks)" : "");
	}
	puts("\n"
	     "Exit status: the program's own; 128+N if signal N ended it; 127 not found, 126 not executable, 125\n"
	     "if the sandbox could not be made.");
}

void help_start(void)
{
	puts("sentrybox start ID\n"
	     "\n"
	     "Starts the program of a container that `create` has made.");
}

/* ---- flags ---- */

bool preserved_are_open(unsigned n, struct error **err)
{
	for (unsigned i = 0; i < n; i++)
		if (fcntl((int)(3 + i), F_GETFD) < 0)
			return error_set(err, "--preserve-fds %u: descriptor %u is not open: it is for 3 to %u, which the caller must have", n,
					 3 + i, 2 + n);
	return true;
}

/* Flags that look inside are read by their names in the table of settings. */
static bool inside_flag(struct settings *s, const char *name, const char *value, struct error **err)
{
	for (const struct setting *set = settings_table; set->name != NULL; set++) {
		if (strcmp(set->name, name) == 0 && !set->apply(s, value, err))
			return error_wrap(err, "--%s", name);
	}
	return true;
}

enum { INSIDE = 1, PID_FILE, CONSOLE, PRESERVE, KEEP, ACCEPTED, RUN_ONLY, CREATE_TIMEOUT };

static bool one_flag(struct making *m, int c, const char *name, struct error **err)
{
	uint64_t n;

	switch (c) {
	case 'b':
		m->bundle = optarg;
		return true;
	case 'd':
		m->detach = true;
		break;
	case KEEP:
		m->keep = true;
		break;
	case PID_FILE:
		m->pid_file = optarg;
		return true;
	case CONSOLE:
		m->console_socket = optarg;
		return true;
	case PRESERVE:
		if (!parse_number(optarg, 0, CONFIG_MAX_PRESERVED, &n, err))
			return error_wrap(err, "--preserve-fds");
		m->preserve = (unsigned)n;
		return true;
	case CREATE_TIMEOUT:
		return parse_duration(optarg, &m->patience_ms, err) || error_wrap(err, "--create-timeout");
	case INSIDE:
		return inside_flag(&m->s, name, optarg, err);
	default:
		return true;
	}
	if (strcmp(m->verb, "run") != 0)
		return error_set(err, "there is no flag --%s: `sentrybox help %s` lists them", name, m->verb);
	return true;
}

static bool parse_flags(struct making *m, int argc, char **argv, const char **id, bool *help, struct error **err)
{
	static const struct option options[] = {
		{"bundle", required_argument, NULL, 'b'},
		{"help", no_argument, NULL, 'h'},
		{"detach", no_argument, NULL, 'd'},
		{"keep", no_argument, NULL, KEEP},
		{"pid-file", required_argument, NULL, PID_FILE},
		{"console-socket", required_argument, NULL, CONSOLE},
		{"preserve-fds", required_argument, NULL, PRESERVE},
		{"create-timeout", required_argument, NULL, CREATE_TIMEOUT},
		{"no-pivot", no_argument, NULL, ACCEPTED},
		{"no-new-keyring", no_argument, NULL, ACCEPTED},
		{"no-subreaper", no_argument, NULL, ACCEPTED},
		{"strace", optional_argument, NULL, INSIDE},
		{"debug-log", optional_argument, NULL, INSIDE},
		{"audit", required_argument, NULL, INSIDE},
		{"stats", optional_argument, NULL, INSIDE},
		{"backtrace", no_argument, NULL, INSIDE},
		{"fail-call", required_argument, NULL, INSIDE},
		{"fail-alloc", required_argument, NULL, INSIDE},
		{"platform", required_argument, NULL, INSIDE},
		{"gate", required_argument, NULL, INSIDE},
		{"gate-exclude", required_argument, NULL, INSIDE},
		{"gate-cache", required_argument, NULL, INSIDE},
		{"root-writes", required_argument, NULL, INSIDE},
		{0},
	};
	int c, index = 0;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":b:hd", options, &index)) != -1) {
		if (c == 'h')
			*help = true;
		else if (c == ':')
			return error_set(err, "%s needs a value", argv[optind - 1]);
		else if (c == '?')
			return error_set(err, "there is no flag %s: `sentrybox help %s` lists them", argv[optind - 1], m->verb);
		else if (!one_flag(m, c, c == 'd' ? "detach" : c == 'b' ? "bundle" : options[index].name, err))
			return false;
	}
	if (*help)
		return true;
	if (optind + 1 != argc)
		return error_set(err, "one name for the container: sentrybox %s [--bundle DIR] ID", m->verb);
	*id = argv[optind];
	m->foreground = strcmp(m->verb, "run") == 0 && !m->detach;
	if (!preserved_are_open(m->preserve, err))
		return false;
	if (m->s.stats != STATS_OFF && !m->foreground)
		return error_set(err, "--stats goes with `run` in the foreground: otherwise ask `sentrybox events --stats`");
	return true;
}

/* ---- before there is a process ---- */

/* The specification's terminal: the console socket's, or the one we were started on. */
static bool check_terminal(struct making *m, struct error **err)
{
	const struct config *c = m->b.c;

	if (m->console_socket != NULL && (!c->terminal || m->foreground))
		return error_set(err, "--console-socket is for a container with process.terminal that outlives the command");
	if (!c->terminal)
		return true;
	if (m->foreground && !isatty(STDIN_FILENO))
		return error_set(
			err,
			"process.terminal is true, but stdin is not a terminal: start it on one, or make it false");
	if (m->foreground)
		return true;
	if (m->console_socket == NULL)
		return error_set(err, "process.terminal is true: --console-socket must say who gets the terminal");
	m->tty = console_open(m->console_socket, c->tty_rows, c->tty_cols, err);
	return m->tty >= 0;
}

static bool preserve(struct making *m, struct error **err)
{
	for (unsigned i = 0; i < m->preserve; i++) {
		int fd = fcntl((int)(3 + i), F_DUPFD_CLOEXEC, 10);

		if (fd < 0)
			return error_errno(err, errno, "--preserve-fds %u: descriptor %u", m->preserve, 3 + i);
		m->b.c->preserved[m->b.c->npreserved++] = build_fd(&m->b, fd);
	}
	return true;
}

/* Of the file alone: what other services know users by need not be asked for a name in a list. "#UID" if it isn't there. */
static char *owner_name(void)
{
	FILE *f = fopen("/etc/passwd", "re");
	const struct passwd *pw = NULL;
	char *name;

	while (f != NULL && (pw = fgetpwent(f)) != NULL && pw->pw_uid != geteuid())
		;
	name = pw != NULL ? xstrdup(pw->pw_name) : xasprintf("#%u", geteuid());
	if (f != NULL)
		fclose(f);
	return name;
}

/* The bundle's configuration as it is now, for hooks and exec. */
static bool keep_config(struct making *m, const char *text, size_t len, struct error **err)
{
	cleanup_close int fd =
		openat(m->c.dir_fd, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	for (size_t done = 0; fd >= 0 && done < len;) {
		ssize_t n = write(fd, text + done, len - done);

		if (n <= 0)
			break;
		done += (size_t)n;
		if (done == len)
			return true;
	}
	return error_errno(err, errno, "can't keep config.json in the state directory");
}

static void add_string(json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static void describe(struct making *m, const char *bundle)
{
	json_object *o = m->c.state, *v, *root;
	struct timespec now;
	char when[64], day[32];
	struct tm tm;

	add_string(o, "bundle", bundle);
	if (json_object_object_get_ex(m->spec, "root", &root) && json_object_object_get_ex(root, "path", &v)) {
		const char *path = json_object_get_string(v);
		cleanup_free char *full = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", bundle, path);

		add_string(o, "rootfs", full);
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when, sizeof(when), "%s.%09ldZ", day, now.tv_nsec);
	add_string(o, "created", when);
	{
		cleanup_free char *owner = owner_name();

		add_string(o, "owner", owner);
	}
	if (json_object_object_get_ex(m->spec, "annotations", &v))
		json_object_object_add(o, "annotations", json_object_get(v));
	json_object_object_add(o, "memory", json_object_new_int64((int64_t)m->b.c->memory_bytes));
	json_object_object_add(o, "cpu_permille", json_object_new_int64(m->b.c->cpu_permille));
	json_object_object_add(o, "pids", json_object_new_int64(m->b.c->max_tasks));
}

static bool make_sync(struct making *m, struct error **err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "socketpair");
	m->sync = pair[0];
	m->b.c->sync_fd = build_fd(&m->b, pair[1]);
	return true;
}

static bool prepare(struct making *m, struct error **err)
{
	cleanup_free char *bundle = realpath(m->bundle, NULL);
	cleanup_free char *text = NULL;
	size_t len;
	int fd;

	if (bundle == NULL)
		bundle = xstrdup(m->bundle);
	text = spec_read(bundle, &len, err);
	if (text == NULL)
		return false;
	if (!spec_parse(&m->b, &m->s, bundle, text, len, err))
		return error_wrap(err, "%s/config.json", bundle);
	m->spec = json_tokener_parse(text);
	if (m->spec == NULL || !pod_find(&m->c, &m->b, m->spec, err) || !keep_config(m, text, len, err) || !build_settings(&m->b, &m->s, err) ||
	    !build_host_ids(&m->b, &m->s, err) || !preserve(m, err) || !check_terminal(m, err) || !make_sync(m, err))
		return false;
	describe(m, bundle);
	m->b.c->wait_start = true;
	m->b.c->engine_init = !m->foreground;
	if (m->b.c->pod_fd < 0) {
		fd = container_listen(&m->c, err);
		if (fd < 0)
			return false;
		m->b.c->control_fd = build_fd(&m->b, fd);
	}
	/* Opened anew: a copy of ours would hold our lock as long as the monitor lives, should we be killed before we give it up. */
	m->b.c->state_fd = build_fd(&m->b, openat(m->c.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	return cgroup_create(&m->c, m->spec, &m->b, err);
}

/* ---- the monitor is there ---- */

static bool write_pid_file(const char *path, pid_t pid, struct error **err)
{
	cleanup_free char *copy = xstrdup(path);
	char *slash = strrchr(copy, '/');
	cleanup_free char *tmp = NULL;
	cleanup_close int fd = -1;

	if (slash != NULL)
		*slash = '\0';
	tmp = xasprintf("%s%s.%s.%d", slash != NULL ? copy : "", slash != NULL ? "/" : "", slash != NULL ? slash + 1 : copy, pid);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || dprintf(fd, "%d", pid) < 0 || rename(tmp, path) < 0) {
		error_errno(err, errno, "can't write the pid file %s", path);
		unlink(tmp);
		return false;
	}
	return true;
}

bool pid_file_write(const char *path, pid_t pid, struct error **err)
{
	return path == NULL || write_pid_file(path, pid, err);
}

static bool created_hooks(struct making *m, struct error **err)
{
	static const char *const kinds[] = {"prestart", "createRuntime", "createContainer"};
	json_object *state = container_state_json(&m->c, STATE_CREATING, false);
	bool ok = true;

	for (size_t i = 0; ok && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		ok = hooks_run(m->spec, kinds[i], state, err);
	json_object_put(state);
	return ok;
}

static bool heard(const struct making *m, struct error **err)
{
	if (monitor_heard(m->sync, m->patience_ms))
		return true;
	if (container_pod(&m->c) != NULL)
		return error_set(err, "the sandbox of pod %s has not set up the container within %.3g s (--create-timeout): it is stopped, or "
				      "what serves its files hangs",
				 container_pod(&m->c), (double)m->patience_ms / 1000);
	return error_set(err, "the sandbox was not set up within %.3g s (--create-timeout): the machine is too busy, or a filesystem of its "
			      "root or mounts hangs",
			 (double)m->patience_ms / 1000);
}

static bool created(pid_t pid, void *arg, struct error **err)
{
	struct making *m = arg;
	struct lifecycle_reply r;

	if (!heard(m, err))
		return false;
	if (!monitor_receive(m->sync, &r, -1, err)) {
		if ((*err)->status == 125 && strcmp((*err)->text, "container not running") == 0)
			error_set(err, "the sandbox's monitor ended before the container was there");
		return false;
	}
	if (container_pod(&m->c) != NULL)
		json_object_object_add(m->c.state, "number", json_object_new_int64((uint32_t)r.status));
	json_object_object_add(m->c.state, "pid", json_object_new_int64(pid));
	json_object_object_add(m->c.state, "start", json_object_new_uint64(process_start_time(pid)));
	if (!created_hooks(m, err) || !container_save(&m->c, err) || !pid_file_write(m->pid_file, pid, err))
		return false;
	if (send(m->sync, "", 1, MSG_NOSIGNAL) != 1)
		return error_set(err, "the sandbox's monitor ended before the container was there");
	flock(m->c.dir_fd, LOCK_UN);
	m->c.locked = false;
	return true;
}

static void warn(struct error *err)
{
	if (err != NULL)
		error_report(err);
}

static bool start(struct container *c, json_object *spec, struct error **err)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_START};
	cleanup_error struct error *later = NULL;
	struct lifecycle_reply r;
	json_object *state;

	if (!hooks_inside(c, spec, err)) {
		/* The container has had its start, by the specification, and it failed. */
		rq.type = LC_KILL;
		rq.signal = SIGKILL;
		container_ask(c, &rq, &r, &later);
		return false;
	}
	if (!container_ask(c, &rq, &r, err))
		return false;
	if (!hooks_any(spec, "poststart"))
		return true;
	/* The program runs: what fails now is said, and no more. */
	state = container_state_json(c, STATE_RUNNING, false);
	if (!hooks_run(spec, "poststart", state, &later))
		warn(later);
	json_object_put(state);
	return true;
}

static bool created_and_started(pid_t pid, void *arg, struct error **err)
{
	struct making *m = arg;

	return created(pid, arg, err) && start(&m->c, m->spec, err);
}

/* ---- the verbs ---- */

bool container_delete(struct container *c, json_object *spec, struct error **err)
{
	cleanup_error struct error *later = NULL;
	json_object *state = container_state_json(c, STATE_STOPPED, false);

	if (!hooks_run(spec, "poststop", state, &later))
		warn(later);
	json_object_put(state);
	return container_remove(c, err);
}

/* In the foreground: until the end, which is reported. */
static int run_foreground(struct making *m, struct error **err)
{
	struct outcome o;
	int status;

	if (!launch_wait(&m->b, &m->s, &o, created_and_started, m, err)) {
		cleanup_error struct error *ignored = NULL;

		container_remove(&m->c, &ignored);
		return -1;
	}
	report_lines(&o, m->b.c);
	report_stats(&o, m->s.stats);
	status = o.status;
	outcome_free(&o);
	if (!m->keep) {
		cleanup_error struct error *gone = NULL;

		if (container_lock(&m->c, &gone)) /* else somebody has deleted it */
			container_delete(&m->c, m->spec, &gone);
	}
	return status;
}

static bool run_background(struct making *m, struct error **err)
{
	cleanup_error struct error *ignored = NULL;
	pid_t pid;
	bool ok = launch_background(&m->b, m->tty, &pid, err);

	if (ok) {
		build_close(&m->b, m->b.c->sync_fd);
		ok = created(pid, m, err) && (!m->detach || start(&m->c, m->spec, err));
	}
	if (ok)
		return true;
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	container_remove(&m->c, &ignored);
	return false;
}

static int make(struct making *m, const char *id, struct error **err)
{
	int status;

	if (!container_create(&m->c, id, err))
		return -1;
	if (!prepare(m, err)) {
		cleanup_error struct error *ignored = NULL;

		container_remove(&m->c, &ignored);
		return -1;
	}
	if (m->foreground)
		return run_foreground(m, err);
	status = run_background(m, err) ? 0 : -1;
	return status;
}

static int make_verb(const char *verb, int argc, char **argv)
{
	struct making m = {.verb = verb, .bundle = ".", .sync = -1, .tty = -1, .patience_ms = PATIENCE_MS};
	cleanup_error struct error *err = NULL;
	const char *id = NULL;
	bool help = false;
	int status;

	settings_init(&m.s);
	build_init(&m.b);
	container_init(&m.c);
	if (!settings_apply_defaults(&m.s, &err) || !parse_flags(&m, argc, argv, &id, &help, &err)) {
		error_wrap(&err, "%s", verb);
		status = error_report(err);
	} else if (help) {
		strcmp(verb, "run") == 0 ? help_run() : help_create();
		status = 0;
	} else {
		status = make(&m, id, &err);
		if (status < 0) {
			error_wrap(&err, "%s %s", verb, id);
			status = error_report(err);
		}
	}
	if (m.sync >= 0)
		close(m.sync);
	json_object_put(m.spec);
	container_close(&m.c);
	build_free(&m.b);
	settings_free(&m.s);
	return status;
}

int verb_create(int argc, char **argv)
{
	return make_verb("create", argc, argv);
}

int verb_run(int argc, char **argv)
{
	return make_verb("run", argc, argv);
}

static bool start_verb(struct container *c, const char *id, struct error **err)
{
	enum container_state state = STATE_CREATED;
	json_object *spec;
	bool ok;

	if (!container_open(c, id, err))
		return false;
	spec = container_file_json(c, "config.json");
	/* The monitor says by itself what can't be started. It is asked before only where a hook would run in vain, or if there is
	 * none to ask. */
	if (container_pid(c) == 0 || hooks_any(spec, "startContainer"))
		state = container_status(c);
	if (state == STATE_CREATED)
		ok = start(c, spec, err);
	else
		ok = error_set(err, state == STATE_STOPPED  ? "cannot start a container that has stopped" :
				    state == STATE_CREATING ? "the container is still being created" :
							      "cannot start an already running container");
	json_object_put(spec);
	return ok;
}

int verb_start(int argc, char **argv)
{
	cleanup_error struct error *err = NULL;
	struct container c;
	int status = 0;

	container_init(&c);
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		help_start();
	} else if (argc != 2 || argv[1][0] == '-') {
		error_set(&err, "start: one container: sentrybox start ID");
		status = error_report(err);
	} else if (!start_verb(&c, argv[1], &err)) {
		error_wrap(&err, "start");
		status = error_report(err);
	}
	container_close(&c);
	return status;
}
