/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of methods, and running a program by one of them: see bench_methods.h.
 *
 * crun and runc want a bundle whose root isn't "/": they get a directory on which "/" is bound read-only, in a mount
 * namespace that this process makes for itself, so that it is gone with the process whatever happens. That directory is
 * never removed recursively.
 */
#include "runtime/bench_methods.h"
#include "runtime/cleanup.h"
#include "runtime/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>

#define SANDBOX_DIR "/tmp/sentrybox-bench"
#define SHM_DIR "/dev/shm/sentrybox-bench"
#define TMPFS_MAGIC 0x01021994
#define ARGS_MAX 192
#define PATH_VALUE "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum place {
	ON_HOST,    /* a new directory on a tmpfs of the host */
	IN_SANDBOX, /* SANDBOX_DIR: everything is in memory there */
	IN_SHM,     /* SHM_DIR: a tmpfs of the sandbox's own */
};

static const struct method_kind {
	const char *name, *program; /* program: on PATH; NULL: ourselves, or none */
	const char *flag;           /* of `do`, which our build must have; NULL: none */
	enum place place;
	bool bundle;
	bool usual; /* without --method */
	const char *what;
	const char *argv[14]; /* before the program's own; "" is our own command */
} kinds[] = {
	{"native", NULL, NULL, ON_HOST, false, true, "no sandbox, files on a tmpfs", {NULL}},
	{"gate",
	 NULL,
	 "--gate",
	 IN_SANDBOX,
	 false,
	 true,
	 "sentrybox, hot calls over shared memory",
	 {"", "do", "--platform", "notify", "--gate", "on", "--", NULL}},
	{"notify",
	 NULL,
	 NULL,
	 IN_SANDBOX,
	 false,
	 true,
	 "sentrybox, every call a seccomp notification",
	 {"", "do", "--platform", "notify", "--gate", "off", "--", NULL}},
	{"ptrace",
	 NULL,
	 NULL,
	 IN_SANDBOX,
	 false,
	 true,
	 "sentrybox, every call a ptrace stop",
	 {"", "do", "--platform", "ptrace", "--gate", "off", "--", NULL}},
	{"runsc",
	 "runsc",
	 NULL,
	 IN_SANDBOX,
	 false,
	 false,
	 "gVisor, its default platform, systrap",
	 {"runsc", "--network=none", "--platform=systrap", "do", NULL}},
	{"runsc-kvm",
	 "runsc",
	 NULL,
	 IN_SANDBOX,
	 false,
	 false,
	 "gVisor on KVM",
	 {"runsc", "--network=none", "--platform=kvm", "do", NULL}},
	{"runsc-ptrace",
	 "runsc",
	 NULL,
	 IN_SANDBOX,
	 false,
	 false,
	 "gVisor by ptrace",
	 {"runsc", "--network=none", "--platform=ptrace", "do", NULL}},
	{"proot",
	 "proot",
	 NULL,
	 ON_HOST,
	 false,
	 false,
	 "proot: paths translated by ptrace, no sandbox",
	 {"proot", NULL}},
	{"bwrap",
	 "bwrap",
	 NULL,
	 IN_SHM,
	 false,
	 false,
	 "bubblewrap: namespaces",
	 {"bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/dev/shm", "--unshare-pid",
	  "--unshare-net", "--", NULL}},
	{"crun", "crun", NULL, IN_SHM, true, false, "crun: a container", {"crun", "run", "--bundle", NULL}},
	{"runc", "runc", NULL, IN_SHM, true, false, "runc: a container", {"runc", "run", "--bundle", NULL}},
};
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

void methods_help(void)
{
	for (size_t i = 0; i < NKINDS; i++)
		printf("  %-14s%s\n", kinds[i].name, kinds[i].what);
}

/* ---- what is here ---- */

static bool on_path(const char *program)
{
	char path[PATH_MAX];

	for (const char *p = PATH_VALUE; *p != '\0'; p += strcspn(p, ":"), p += *p == ':') {
		snprintf(path, sizeof(path), "%.*s/%s", (int)strcspn(p, ":"), p, program);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* Whether `do` of this build has the flag. */
static bool has_flag(const char *flag)
{
	cleanup_error struct error *err = NULL;
	char *argv[] = {(char *)"do", (char *)flag, (char *)"on", (char *)"--", (char *)"true", NULL};
	struct settings s;
	bool help, has;

	settings_init(&s);
	has = settings_parse(&s, "do", 5, argv, &help, &err) >= 0;
	settings_free(&s);
	return has;
}

/* A new directory in memory, or, with a word about it, one that isn't. */
static char *new_directory(void)
{
	const char *places[] = {getenv("BENCH_TMPFS"), "/dev/shm", "/run", "/tmp"};
	struct statfs fs;
	char *dir;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (places[i] == NULL || statfs(places[i], &fs) < 0 || fs.f_type != TMPFS_MAGIC ||
		    access(places[i], W_OK) < 0)
			continue;
		dir = xasprintf("%s/sentrybox-bench-XXXXXX", places[i]);
		if (mkdtemp(dir) != NULL)
			return dir;
		free(dir);
	}
	fputs("sentrybox: bench: no tmpfs to write to: native is slower than it should be (BENCH_TMPFS=DIR names "
	      "one)\n",
	      stderr);
	dir = xstrdup("/tmp/sentrybox-bench-XXXXXX");
	if (mkdtemp(dir) != NULL)
		return dir;
	free(dir);
	return NULL;
}

/* ---- bundles ---- */

/* A mount table of our own, in which nothing of what we mount is seen elsewhere. */
static bool own_mount_table(void)
{
	static int done; /* 1: yes, -1: it can't be had */

	if (done == 0) {
		done = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 ? 1 : -1;
		/* Container engines refuse a hybrid cgroup hierarchy: its second mount goes. */
		if (done == 1)
			umount2("/sys/fs/cgroup/unified", MNT_DETACH);
	}
	return done == 1;
}

static json_object *a_mount(const char *where, const char *type, const char *option)
{
	json_object *o = json_object_new_object(), *options = json_object_new_array();

	json_object_object_add(o, "destination", json_object_new_string(where));
	json_object_object_add(o, "type", json_object_new_string(type));
	json_object_object_add(o, "source", json_object_new_string(type));
	if (option != NULL)
		json_object_array_add(options, json_object_new_string(option));
	json_object_object_add(o, "options", options);
	return o;
}

static json_object *bundle_config(char *const argv[])
{
	static const char *const spaces[] = {"pid", "mount", "network", "ipc", "uts"};
	json_object *o = json_object_new_object(), *root = json_object_new_object(), *user = json_object_new_object();
	json_object *process = json_object_new_object(), *args = json_object_new_array();
	json_object *env = json_object_new_array(), *mounts = json_object_new_array();
	json_object *os = json_object_new_object(), *namespaces = json_object_new_array();

	json_object_object_add(o, "ociVersion", json_object_new_string("1.0.2"));
	json_object_object_add(root, "path", json_object_new_string("rootfs"));
	json_object_object_add(root, "readonly", json_object_new_boolean(true));
	json_object_object_add(o, "root", root);
	for (; *argv != NULL; argv++)
		json_object_array_add(args, json_object_new_string(*argv));
	json_object_object_add(process, "args", args);
	json_object_object_add(process, "cwd", json_object_new_string("/"));
	json_object_object_add(user, "uid", json_object_new_int(0));
	json_object_object_add(user, "gid", json_object_new_int(0));
	json_object_object_add(process, "user", user);
	json_object_array_add(env, json_object_new_string("PATH=" PATH_VALUE));
	json_object_array_add(env, json_object_new_string("LC_ALL=C"));
	json_object_object_add(process, "env", env);
	json_object_object_add(process, "noNewPrivileges", json_object_new_boolean(true));
	json_object_object_add(o, "process", process);
	json_object_array_add(mounts, a_mount("/proc", "proc", NULL));
	json_object_array_add(mounts, a_mount("/dev", "tmpfs", "mode=755"));
	json_object_array_add(mounts, a_mount("/dev/shm", "tmpfs", "mode=1777"));
	json_object_object_add(o, "mounts", mounts);
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		json_object *n = json_object_new_object();

		json_object_object_add(n, "type", json_object_new_string(spaces[i]));
		json_object_array_add(namespaces, n);
	}
	json_object_object_add(os, "namespaces", namespaces);
	json_object_object_add(o, "linux", os);
	return o;
}

static bool bundle_make(struct method *m)
{
	cleanup_free char *root = NULL;

	if (geteuid() != 0 || !own_mount_table()) {
		m->absent = xstrdup("needs root and a mount namespace here");
		return false;
	}
	m->bundle = xstrdup("/tmp/sentrybox-bundle-XXXXXX");
	if (mkdtemp(m->bundle) == NULL) {
		m->absent = xasprintf("can't make %s: %s", m->bundle, strerror(errno));
		free(m->bundle);
		m->bundle = NULL;
		return false;
	}
	root = xasprintf("%s/rootfs", m->bundle);
	if (mkdir(root, 0755) < 0 || mount("/", root, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, root, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0) {
		m->absent = xasprintf("can't show / at %s: %s", root, strerror(errno));
		return false;
	}
	return true;
}

static void bundle_free(struct method *m)
{
	cleanup_free char *root = xasprintf("%s/rootfs", m->bundle);
	cleanup_free char *config = xasprintf("%s/config.json", m->bundle);

	umount2(root, MNT_DETACH);
	unlink(config);
	rmdir(root); /* and never more than that: see above */
	rmdir(m->bundle);
}

/* ---- choosing ---- */

static void add_method(struct methods *ms, const struct method_kind *k)
{
	struct method *m = &ms->list[ms->n];

	for (size_t i = 0; i < ms->n; i++) {
		if (ms->list[i].kind == k)
			return;
	}
	if (ms->n == METHODS_MAX)
		return;
	ms->n++;
	*m = (struct method){.kind = k, .name = k->name, .what = k->what};
	if (k->program != NULL && !on_path(k->program))
		m->absent = xasprintf("%s is not on PATH", k->program);
	else if (k->flag != NULL && !has_flag(k->flag))
		m->absent = xasprintf("this build's do has no %s", k->flag);
	else if (k->bundle)
		bundle_make(m);
	if (m->absent != NULL)
		return;
	if (k->place == ON_HOST) {
		m->made = new_directory();
		if (m->made == NULL)
			m->absent = xstrdup("no directory to write to");
		else
			m->dir = xasprintf("%s/work", m->made);
	} else {
		m->dir = xstrdup(k->place == IN_SHM ? SHM_DIR : SANDBOX_DIR);
	}
}

static const struct method_kind *find_kind(const char *name, size_t len)
{
	for (size_t i = 0; i < NKINDS; i++) {
		if (strlen(kinds[i].name) == len && memcmp(kinds[i].name, name, len) == 0)
			return &kinds[i];
	}
	return NULL;
}

bool methods_choose(struct methods *ms, const char *names, struct error **err)
{
	bool all = names != NULL && strcmp(names, "all") == 0;

	ms->n = 0;
	if (names == NULL || all) {
		for (size_t i = 0; i < NKINDS; i++) {
			if (all || kinds[i].usual)
				add_method(ms, &kinds[i]);
		}
		return true;
	}
	for (const char *p = names; *p != '\0'; p += *p == ',') {
		size_t len = strcspn(p, ",");
		const struct method_kind *k = find_kind(p, len);

		if (k == NULL)
			return error_set(err, "there is no method \"%.*s\": sentrybox help bench lists them", (int)len,
					 p);
		add_method(ms, k);
		p += len;
	}
	return ms->n != 0 ? true : error_set(err, "names no method");
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st;
	(void)flag;
	(void)at;
	return remove(path);
}

void methods_free(struct methods *ms)
{
	for (size_t i = 0; i < ms->n; i++) {
		struct method *m = &ms->list[i];

		if (m->made != NULL)
			nftw(m->made, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
		if (m->bundle != NULL)
			bundle_free(m);
		free(m->made);
		free(m->bundle);
		free(m->dir);
		free(m->absent);
	}
	ms->n = 0;
}

void methods_try(struct methods *ms, const char *program)
{
	char *const argv[] = {(char *)program, NULL};

	for (size_t i = 0; i < ms->n; i++) {
		struct method *m = &ms->list[i];
		cleanup_free char *why = NULL;
		cleanup_free char *out = NULL;
		int status;

		if (m->absent != NULL)
			continue;
		out = method_run(m, argv, 60, &status, &why);
		if (out == NULL)
			m->absent = xasprintf("can't run anything here: %s", why);
	}
}

/* ---- running ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

void methods_catch_interrupts(void)
{
	struct sigaction sa = {.sa_handler = on_interrupt};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

bool methods_interrupted(void)
{
	return interrupted != 0;
}

/* The whole command line: ours before the program's. Strings are borrowed but for *name. */
static bool command_line(struct method *m, char *const argv[], char **line, char **name)
{
	size_t n = 0;

	*name = NULL;
	for (size_t i = 0; m->kind->argv[i] != NULL; i++) {
		/* A build without the gate has no flag to turn it off by. */
		if (strcmp(m->kind->argv[i], "--gate") == 0 && !has_flag("--gate")) {
			i++;
			continue;
		}
		line[n++] = (char *)(m->kind->argv[i][0] == '\0' ? "/proc/self/exe" : m->kind->argv[i]);
	}
	if (m->bundle != NULL) {
		cleanup_free char *path = xasprintf("%s/config.json", m->bundle);
		json_object *config = bundle_config(argv);
		bool written = json_object_to_file(path, config) == 0;

		json_object_put(config);
		*name = xasprintf("sentrybox-bench-%d-%u", (int)getpid(), m->runs);
		line[n++] = m->bundle;
		line[n++] = *name;
		line[n] = NULL;
		return written;
	}
	for (; *argv != NULL && n < ARGS_MAX - 1; argv++)
		line[n++] = *argv;
	line[n] = NULL;
	return *argv == NULL;
}

static void __attribute__((noreturn)) become(char **line, int out, int err)
{
	char *const env[] = {(char *)"PATH=" PATH_VALUE, (char *)"HOME=/root", (char *)"LC_ALL=C", NULL};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	if (chdir("/") == 0)
		execvpe(line[0], line, env);
	dprintf(STDERR_FILENO, "%s: %s\n", line[0], strerror(errno));
	_exit(127);
}

/* All that comes until the end; false: it took too long, or we are to stop. */
static bool read_all(int fd, unsigned limit_s, char **out)
{
	size_t len = 0, cap = 65536;
	struct timespec start, at;

	*out = xcalloc(1, cap);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		ssize_t n;

		clock_gettime(CLOCK_MONOTONIC, &at);
		if (interrupted || (at.tv_sec - start.tv_sec) >= (time_t)limit_s)
			return false;
		if (poll(&p, 1, 1000) <= 0)
			continue;
		if (len + 4096 > cap)
			*out = xrealloc(*out, cap *= 2, 1);
		n = read(fd, *out + len, cap - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	(*out)[len] = '\0';
	return true;
}

static char *last_line_of(int fd)
{
	char text[400];
	off_t end = lseek(fd, 0, SEEK_END);
	ssize_t n =
		pread(fd, text, sizeof(text) - 1, end > (off_t)sizeof(text) - 1 ? end - (off_t)sizeof(text) + 1 : 0);
	char *line;

	text[n > 0 ? n : 0] = '\0';
	while (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	line = strrchr(text, '\n');
	return xstrdup(line != NULL ? line + 1 : text);
}

char *method_run(struct method *m, char *const argv[], unsigned limit_s, int *status, char **why)
{
	cleanup_close int err = memfd_create("stderr", MFD_CLOEXEC);
	cleanup_free char *name = NULL;
	cleanup_free char *out = NULL;
	char *line[ARGS_MAX + 16];
	int p[2], got = 0;
	bool ended;
	pid_t pid;

	*why = NULL;
	m->runs++;
	if (!command_line(m, argv, line, &name) || err < 0 || pipe2(p, O_CLOEXEC) < 0) {
		*why = xstrdup("can't be started");
		return NULL;
	}
	pid = fork();
	if (pid == 0)
		become(line, p[1], err);
	close(p[1]);
	ended = pid > 0 && read_all(p[0], limit_s, &out);
	close(p[0]);
	if (!ended && pid > 0)
		kill(-pid, SIGKILL); /* a session of its own; a sandbox ends with its command */
	if (pid > 0)
		waitpid(pid, &got, 0);
	*status = WIFEXITED(got) ? WEXITSTATUS(got) : 128 + WTERMSIG(got);
	if (!ended) {
		*why = interrupted ? xstrdup("interrupted") : xasprintf("no end after %u s", limit_s);
		return NULL;
	}
	if (*status != 0) {
		cleanup_free char *said = last_line_of(err);

		*why = xasprintf("status %d%s%s", *status, *said != '\0' ? ": " : "", said);
		if (out[0] == '\0')
			return NULL;
	}
	return steal_pointer(&out);
}
