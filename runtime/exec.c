/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `exec`: one more process in a running container.
 *
 *	--process FILE, or the container's own process with what the flags say --> struct config in a sealed memfd
 *	    --connection to the monitor, with stdio by SCM_RIGHTS--> "started" | why not
 *	then sentrybox-core's role exec, on that connection: in our place, or detached as a child that outlives us
 *
 * Our descriptors go into the sandbox as the guest's 0, 1 and 2: what can be done with them there is what hostfile.c does
 * for the first process's. The container's seccomp profile holds for the new process too. What the process may do inside is
 * said by whoever may call us; nothing here makes the sandbox wider.
 */
#include "runtime/build.h"
#include "runtime/cgroup.h"
#include "runtime/cleanup.h"
#include "runtime/console.h"
#include "runtime/create.h"
#include "runtime/json_get.h"
#include "runtime/launch.h"
#include "runtime/parse.h"
#include "runtime/spec.h"
#include "runtime/state.h"
#include "runtime/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#define PROCESS_MAX (1 << 20)

struct request {
	const char *id, *process, *pid_file, *console_socket, *user, *cwd;
	char **args;
	size_t nargs;
	const char *env[256], *caps[64], *groups[CONFIG_MAX_GROUPS];
	size_t nenv, ncaps, ngroups;
	unsigned preserve;
	uint64_t patience_ms;
	bool tty, detach, no_new_privs, help;
	struct container c;
	struct build b;
	int slave;
};

void help_exec(void)
{
	puts("sentrybox exec [FLAGS] ID COMMAND [ARGS...]\n"
	     "sentrybox exec [FLAGS] --process FILE ID\n"
	     "\n"
	     "Runs one more program in a running container, in the foreground; what isn't said is as the container's\n"
	     "own process has it.\n"
	     "\n"
	     "  -p, --process FILE    the process as an object of JSON (runtime-spec's process)\n"
	     "  -t, --tty             on a terminal: ours, or one whose master goes to the console socket\n"
	     "      --console-socket S\n"
	     "  -d, --detach          return when it runs; its process on the host stays\n"
	     "      --pid-file FILE   write the pid of the process to wait for there\n"
	     "  -u, --user UID[:GID]  as whom\n"
	     "  -g, --additional-gids N\n"
	     "      --cwd DIR         where\n"
	     "  -e, --env K=V         with this variable besides\n"
	     "  -c, --cap CAP_NAME    with this capability besides\n"
	     "      --no-new-privs    execve gives no more rights\n"
	     "      --preserve-fds N  let it have our descriptors 3 to 2+N\n"
	     "      --start-timeout T  how long it may take until it runs (60s)\n"
	     "      --process-label, --apparmor, --cgroup, --ignore-paused   accepted: they have no meaning here\n"
	     "\n"
	     "Exit status: the program's own; 128+N if signal N ended it; 127 not found, 126 not executable. If its\n"
	     "process on the host is killed, it and all that came of it ends.");
}

enum { CWD = 256, CONSOLE, PID_FILE, PRESERVE, NO_NEW_PRIVS, START_TIMEOUT, MOOT };

static bool add_word(const char **list, size_t *n, size_t max, const char *word, struct error **err)
{
	if (*n == max)
		return error_set(err, "more than %zu times the same flag", max);
	list[(*n)++] = word;
	return true;
}

static bool one_flag(struct request *r, int c, struct error **err)
{
	uint64_t n;

	switch (c) {
	case 'p':
		r->process = optarg;
		break;
	case 't':
		r->tty = true;
		break;
	case 'd':
		r->detach = true;
		break;
	case 'u':
		r->user = optarg;
		break;
	case 'h':
		r->help = true;
		break;
	case 'g':
		return add_word(r->groups, &r->ngroups, CONFIG_MAX_GROUPS, optarg, err);
	case 'e':
		return strchr(optarg, '=') != NULL ? add_word(r->env, &r->nenv, 256, optarg, err) :
						     error_set(err, "--env %s is not NAME=VALUE", optarg);
	case 'c':
		return add_word(r->caps, &r->ncaps, 64, optarg, err);
	case CWD:
		r->cwd = optarg;
		break;
	case CONSOLE:
		r->console_socket = optarg;
		break;
	case PID_FILE:
		r->pid_file = optarg;
		break;
	case NO_NEW_PRIVS:
		r->no_new_privs = true;
		break;
	case START_TIMEOUT:
		return parse_duration(optarg, &r->patience_ms, err) || error_wrap(err, "--start-timeout");
	case PRESERVE:
		if (!parse_number(optarg, 0, CONTROL_MAX_FDS - 4, &n, err))
			return error_wrap(err, "--preserve-fds");
		r->preserve = (unsigned)n;
		break;
	default:
		break;
	}
	return true;
}

static bool parse_flags(struct request *r, int argc, char **argv, struct error **err)
{
	static const struct option options[] = {
		{"process", required_argument, NULL, 'p'},
		{"tty", no_argument, NULL, 't'},
		{"detach", no_argument, NULL, 'd'},
		{"user", required_argument, NULL, 'u'},
		{"additional-gids", required_argument, NULL, 'g'},
		{"env", required_argument, NULL, 'e'},
		{"cap", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"cwd", required_argument, NULL, CWD},
		{"console-socket", required_argument, NULL, CONSOLE},
		{"pid-file", required_argument, NULL, PID_FILE},
		{"preserve-fds", required_argument, NULL, PRESERVE},
		{"no-new-privs", no_argument, NULL, NO_NEW_PRIVS},
		{"start-timeout", required_argument, NULL, START_TIMEOUT},
		{"process-label", required_argument, NULL, MOOT},
		{"apparmor", required_argument, NULL, MOOT},
		{"cgroup", required_argument, NULL, MOOT},
		{"no-subreaper", no_argument, NULL, MOOT},
		{"ignore-paused", no_argument, NULL, MOOT},
		{0},
	};
	int c;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, "+:p:tdu:g:e:c:h", options, NULL)) != -1) {
		if (c == '?')
			return error_set(err, "there is no flag %s: `sentrybox help exec` lists them", argv[optind - 1]);
		if (c == ':')
			return error_set(err, "%s needs a value", argv[optind - 1]);
		if (!one_flag(r, c, err))
			return false;
	}
	if (r->help)
		return true;
	if (optind >= argc)
		return error_set(err, "which container? sentrybox exec [FLAGS] ID COMMAND [ARGS...]");
	r->id = argv[optind++];
	if (optind < argc && strcmp(argv[optind], "--") == 0)
		optind++;
	r->args = argv + optind;
	r->nargs = (size_t)(argc - optind);
	if ((r->nargs != 0) == (r->process != NULL))
		return error_set(err, r->process != NULL ? "a command or --process, not both" :
							   "no command: sentrybox exec [FLAGS] ID COMMAND [ARGS...]");
	return preserved_are_open(r->preserve, err);
}

/* ---- the process object ---- */

static json_object *member(json_object *o, const char *key, enum json_type type)
{
	json_object *v;

	if (json_object_object_get_ex(o, key, &v) && json_object_is_type(v, type))
		return v;
	v = type == json_type_array ? json_object_new_array() : json_object_new_object();
	json_object_object_add(o, key, v);
	return v;
}

static bool set_user(const struct request *r, json_object *process, struct error **err)
{
	json_object *user = json_object_new_object();
	uint64_t uid, gid = 0;
	const char *colon = r->user != NULL ? strchr(r->user, ':') : NULL;
	cleanup_free char *first = r->user != NULL ? xstrndup(r->user, strcspn(r->user, ":")) : NULL;

	if (r->user != NULL) {
		if (!parse_number(first, 0, UINT32_MAX - 1, &uid, err) ||
		    (colon != NULL && !parse_number(colon + 1, 0, UINT32_MAX - 1, &gid, err))) {
			json_object_put(user);
			return error_wrap(err, "--user");
		}
		json_object_object_add(user, "uid", json_object_new_int64((int64_t)uid));
		json_object_object_add(user, "gid", json_object_new_int64((int64_t)gid));
		json_object_object_add(process, "user", user);
	} else {
		json_object_put(user);
	}
	for (size_t i = 0; i < r->ngroups; i++) {
		if (!parse_number(r->groups[i], 0, UINT32_MAX - 1, &gid, err))
			return error_wrap(err, "--additional-gids");
		json_object_array_add(member(member(process, "user", json_type_object), "additionalGids", json_type_array),
				      json_object_new_int64((int64_t)gid));
	}
	return true;
}

static bool from_flags(const struct request *r, json_object *process, struct error **err)
{
	static const char *const sets[] = {"bounding", "effective", "permitted"};
	json_object *args = json_object_new_array();

	for (size_t i = 0; i < r->nargs; i++)
		json_object_array_add(args, json_object_new_string(r->args[i]));
	json_object_object_add(process, "args", args);
	for (size_t i = 0; i < r->nenv; i++)
		json_object_array_add(member(process, "env", json_type_array), json_object_new_string(r->env[i]));
	for (size_t i = 0; i < r->ncaps; i++)
		for (size_t k = 0; k < 3; k++)
			json_object_array_add(member(member(process, "capabilities", json_type_object), sets[k], json_type_array),
					      json_object_new_string(r->caps[i]));
	if (r->cwd != NULL)
		json_object_object_add(process, "cwd", json_object_new_string(r->cwd));
	if (r->no_new_privs)
		json_object_object_add(process, "noNewPrivileges", json_object_new_boolean(1));
	json_object_object_add(process, "terminal", json_object_new_boolean(r->tty));
	return set_user(r, process, err);
}

static json_object *read_process(const char *path, struct error **err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	cleanup_free char *text = NULL;
	json_object *o;
	size_t len = 0;
	ssize_t n;

	if (fd < 0) {
		error_errno(err, errno, "--process: can't read %s", path);
		return NULL;
	}
	text = xcalloc(1, PROCESS_MAX + 1);
	while (len < PROCESS_MAX && (n = read(fd, text + len, PROCESS_MAX - len)) > 0)
		len += (size_t)n;
	o = json_tokener_parse(text);
	if (o == NULL || !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		error_set(err, "--process: %s is not an object of JSON", path);
		return NULL;
	}
	return o;
}

static bool describe(struct request *r, struct error **err)
{
	json_object *spec = container_file_json(&r->c, "config.json"), *process = NULL, *own;
	bool ok = false;

	if (spec == NULL)
		return error_set(err, "the container's config.json is not there any more");
	if (r->process != NULL) {
		process = read_process(r->process, err);
		if (process != NULL && r->tty)
			json_object_object_add(process, "terminal", json_object_new_boolean(1));
	} else if (json_get(spec, "", "process", json_type_object, &own, err) && own != NULL) {
		process = json_object_get(own);
		if (!from_flags(r, process, err)) {
			json_object_put(process);
			process = NULL;
		}
	}
	if (process != NULL) {
		ok = spec_process(&r->b, process, spec, err);
		if (ok && config_check_process(r->b.c) != NULL)
			ok = error_set(err, "the process is not valid: %s", config_check_process(r->b.c));
	}
	json_object_put(process);
	json_object_put(spec);
	return ok;
}

/* ---- starting it ---- */

static bool check_terminal(struct request *r, struct error **err)
{
	const struct config *c = r->b.c;

	if (r->console_socket != NULL && !c->terminal)
		return error_set(err, "--console-socket is for a process with a terminal (--tty)");
	if (r->console_socket != NULL) {
		r->slave = console_open(r->console_socket, c->tty_rows, c->tty_cols, err);
		return r->slave >= 0;
	}
	if (c->terminal && r->detach)
		return error_set(err, "a terminal and --detach: --console-socket must say who gets the terminal");
	if (c->terminal && !isatty(STDIN_FILENO))
		return error_set(err, "--tty: stdin is not a terminal");
	return true;
}

/* The reason in words, as the first program's. */
static bool explain(struct request *r, const struct lifecycle_reply *reply, struct error **err)
{
	struct sandbox_result why = {.start_errno = reply->start_errno};

	result_explain(&why, r->b.c);
	if (why.error[0] != '\0')
		error_set(err, "%s", why.error);
	return false;
}

static bool late(const struct request *r, struct error **err)
{
	return error_set(err, "the process did not start within %.3g s (--start-timeout): the sandbox is stopped, or what serves its files hangs",
			 (double)r->patience_ms / 1000);
}

static int ask(struct request *r, struct error **err)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_EXEC};
	cleanup_close int config = launch_config(r->b.c, err);
	cleanup_close int conn = -1;
	struct lifecycle_reply reply;
	int fds[CONTROL_MAX_FDS] = {config, 0, 1, 2};
	unsigned n = 4;

	if (config < 0)
		return -1;
	conn = container_connect(&r->c, r->patience_ms, err);
	if (conn == -EAGAIN)
		late(r, err);
	else if (conn < 0)
		error_wrap(err, "cannot exec in a stopped container");
	if (conn < 0)
		return -1;
	for (int i = 1; i < 4 && r->slave >= 0; i++)
		fds[i] = r->slave;
	for (unsigned i = 0; i < r->preserve; i++)
		fds[n++] = (int)(3 + i);
	memset(&reply, 0, sizeof(reply));
	if (!monitor_send(&r->c, conn, &rq, fds, n, err))
		return -1;
	/* Our end closes the connection, and what comes late is ended. */
	if (!monitor_heard(conn, r->patience_ms)) {
		late(r, err);
		return -1;
	}
	if (!monitor_receive(conn, &reply, -1, err)) {
		if (reply.type == LC_ERROR && reply.start_errno != 0)
			explain(r, &reply, err);
		return -1;
	}
	return steal_fd(&conn);
}

static void tell_pid(int conn, pid_t pid)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_EXEC_PID, .signal = pid};
	cleanup_error struct error *ignored = NULL;

	monitor_send(NULL, conn, &rq, NULL, 0, &ignored);
}

static bool own_terminal(struct request *r)
{
	return r->slave < 0 || (setsid() >= 0 && ioctl(r->slave, TIOCSCTTY, 0) == 0 && dup2(r->slave, 0) >= 0 &&
				dup2(r->slave, 1) >= 0 && dup2(r->slave, 2) >= 0);
}

/* Signals that come before there is somebody to pass them on are kept for him. */
static void keep_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, before);
}

/* What an engine waits for: our child, which outlives us. */
static bool detach(struct request *r, int conn, struct error **err)
{
	int taken[2] = {-1, -1};
	sigset_t before;
	pid_t pid;
	char c;

	/* A ^C is lost where nobody has the terminal: who hears of our end may type, so we wait till the child has it. */
	if (r->slave >= 0 && pipe2(taken, O_CLOEXEC) < 0)
		return error_errno(err, errno, "pipe");
	keep_signals(&before);
	pid = fork();
	if (pid < 0)
		return error_errno(err, errno, "fork");
	if (pid == 0) {
		cleanup_error struct error *failed = NULL;

		close(taken[0]);
		if (r->slave < 0)
			setsid();
		if (!own_terminal(r) || chdir("/") < 0)
			_exit(125);
		cgroup_enter(&r->c);
		launch_role("exec-init", conn, &failed);
		_exit(125);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	tell_pid(conn, pid);
	if (taken[1] >= 0) {
		close(taken[1]);
		while (read(taken[0], &c, 1) < 0 && errno == EINTR) /* its end: the child's exec */
			;
		close(taken[0]);
	}
	if (pid_file_write(r->pid_file, pid, err))
		return true;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return false;
}

static bool run(struct request *r, struct error **err)
{
	int conn;

	if (!container_open(&r->c, r->id, err) || !describe(r, err) || !check_terminal(r, err))
		return false;
	conn = ask(r, err);
	if (conn < 0)
		return false;
	if (r->detach)
		return detach(r, conn, err);
	tell_pid(conn, getpid());
	if (!pid_file_write(r->pid_file, getpid(), err))
		return false;
	if (r->slave >= 0 && !own_terminal(r))
		return error_errno(err, errno, "can't take the terminal");
	keep_signals(NULL);
	return launch_role("exec", conn, err);
}

int verb_exec(int argc, char **argv)
{
	struct request *r = xcalloc(1, sizeof(*r));
	cleanup_error struct error *err = NULL;
	int status = 0;

	container_init(&r->c);
	build_init(&r->b);
	r->slave = -1;
	r->patience_ms = 60000;
	if (!parse_flags(r, argc, argv, &err)) {
		error_wrap(&err, "exec");
		status = error_report(err);
	} else if (r->help) {
		help_exec();
	} else if (!run(r, &err)) {
		error_wrap(&err, "exec");
		status = error_report(err);
	}
	container_close(&r->c);
	build_free(&r->b);
	free(r);
	return status;
}
