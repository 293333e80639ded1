/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentrybox command: picks the verb. A file per verb does the rest; what they share is
 *
 *	settings.c  flags and annotations --> struct settings      spec.c   config.json --> struct config
 *	build.c     struct settings       --> struct config        launch.c struct config --> the core --> the result
 *	report.c    the result            --> JSON, lines
 */
#include "runtime/cleanup.h"
#include "runtime/cgroup.h"
#include "runtime/error.h"
#include "runtime/parse.h"
#include "runtime/settings.h"
#include "runtime/state.h"
#include "runtime/verbs.h"

#include <fcntl.h>
#include <string.h>

#define VERSION "0.1.0"

static const struct verb {
	const char *name, *line;
	int (*run)(int argc, char **argv);
	void (*help)(void);
} verbs[] = {
	{"do", "run a command on a read-only view of this machine, written things in memory", verb_do, help_do},
	{"run", "run an OCI bundle", verb_run, help_run},
	{"create", "make a container of an OCI bundle, ready to start", verb_create, help_create},
	{"start", "start its program", verb_start, help_start},
	{"exec", "run one more program in it", verb_exec, help_exec},
	{"state", "print what it is doing", verb_lifecycle, NULL},
	{"kill", "send it a signal", verb_lifecycle, NULL},
	{"delete", "take it away", verb_lifecycle, NULL},
	{"list", "list all containers", verb_lifecycle, NULL},
	{"ps", "list a container's processes", verb_lifecycle, NULL},
	{"pause", "stop all of its processes", verb_lifecycle, NULL},
	{"resume", "let them go on", verb_lifecycle, NULL},
	{"wait", "wait for its end and print its exit status", verb_lifecycle, NULL},
	{"events", "print what it uses", verb_lifecycle, NULL},
	{"update", "change its limits", verb_lifecycle, NULL},
	{"cp", "copy files out of it and into it", verb_files, help_files},
	{"tar", "write files of it as a tar stream", verb_files, help_files},
	{"diff", "tell what its run has changed", verb_files, help_files},
	{"spec", "write a config.json to start from", verb_lifecycle, NULL},
	{"features", "print what of the OCI specification is known", verb_lifecycle, NULL},
	{"checkpoint", NULL, verb_lifecycle, NULL},
	{"restore", NULL, verb_lifecycle, NULL},
	{"image", "make a root image of a directory, a tar file or an OCI layout", verb_image, help_image},
	{"harness", "run hostile programs, each in a sandbox, and see that nothing got out", verb_harness,
	 help_harness},
	{"root-keep", NULL, verb_root_keep, help_root_keep}, /* the monitor's: root_keep.c */
	{"bench", "measure what system calls cost, natively and in sandboxes", verb_bench, help_bench},
};
#define NVERBS (sizeof(verbs) / sizeof(verbs[0]))

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < NVERBS; i++) {
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	}
	return NULL;
}

static void help_all(void)
{
	puts("sentrybox runs a program with a kernel of its own: every system call is served by a process in\n"
	     "user space, files are in memory, and nothing leaves but what you allow.\n"
	     "\n"
	     "  sentrybox do -- COMMAND [ARGS...]\n"
	     "  sentrybox do --memory 256m --timeout 30s -- python3 script.py\n"
	     "\n"
	     "Verbs");
	for (size_t i = 0; i < NVERBS; i++)
		if (verbs[i].line != NULL)
			printf("  %-10s%s\n", verbs[i].name, verbs[i].line);
	puts("\n"
	     "Before a verb, as other OCI runtimes take them\n"
	     "  --root DIR            where containers' state lies (/run/sentrybox; else $XDG_RUNTIME_DIR/sentrybox or\n"
	     "                        /tmp/sentrybox-UID)\n"
	     "  --log FILE            write errors there, too\n"
	     "  --log-format json|text\n"
	     "  --systemd-cgroup      linux.cgroupsPath is SLICE:PREFIX:NAME\n"
	     "  --default NAME=VALUE  an annotation dev.sentrybox.NAME for every container that is made; its own goes before\n"
	     "                        it, or is added to it if it is a list\n"
	     "  --root-writes keep|discard   --default root-writes=...: with keep, what a container writes to its root goes to\n"
	     "                        the root's directory when it ends, where an engine's `commit` and `build` find it\n"
	     "  --debug, --rootless WHEN, --cgroup-manager NAME   accepted\n"
	     "\n"
	     "sentrybox help VERB tells all about one, sentrybox --version what this is.");
}

static int unknown_verb(const char *name)
{
	cleanup_error struct error *err = NULL;
	const char *names[NVERBS + 2];
	const char *near;

	for (size_t i = 0; i < NVERBS; i++)
		names[i] = verbs[i].name;
	names[NVERBS] = "help";
	names[NVERBS + 1] = NULL;
	near = nearest_word(name, names);
	if (near != NULL && strlen(name) > 2) /* ls is a command, not a mistyped ps */
		error_set(&err, "there is no verb \"%s\": did you mean %s?", name, near);
	else
		error_set(&err, "there is no verb \"%s\": to run a command, write sentrybox do -- %s", name, name);
	return error_report(err);
}

/* Descriptors 0-2 exist from here on, so that nothing we open takes a place among them. */
static void fill_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd >= 0)
		close(fd);
}

static bool takes_value(const char *name, size_t len)
{
	static const char *const names[] = {"root", "log", "log-format", "rootless", "cgroup-manager", "criu", "default", "root-writes"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && strncmp(names[i], name, len) == 0)
			return true;
	return false;
}

static bool log_format(const char *value, bool *json, struct error **err)
{
	*json = strcmp(value, "json") == 0;
	return *json || strcmp(value, "text") == 0 || error_set(err, "--log-format: json or text, not \"%s\"", value);
}

/* Options before the verb: their number, or -1. */
static int global_options(int argc, char **argv, struct error **err)
{
	const char *log = NULL;
	bool json = false;
	int i = 1;

	for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
		const char *name = argv[i] + strspn(argv[i], "-"), *value = strchr(name, '=');
		size_t len = value != NULL ? (size_t)(value - name) : strlen(name);

		if (strcmp(name, "systemd-cgroup") == 0 || strcmp(name, "systemd-cgroup=true") == 0)
			cgroup_use_systemd_paths();
		if (strcmp(name, "debug") == 0 || strncmp(name, "systemd-cgroup", 14) == 0)
			continue;
		if (!takes_value(name, len))
			break; /* --help, --version, and what isn't known */
		if (value == NULL && i + 1 == argc) {
			error_set(err, "%s needs a value", argv[i]);
			return -1;
		}
		value = value != NULL ? value + 1 : argv[++i];
		if (len == 4 && strncmp(name, "root", len) == 0)
			state_set_root(value);
		else if (len == 3 && strncmp(name, "log", len) == 0)
			log = value;
		else if (strncmp(name, "log-format", len) == 0 && len == 10 && !log_format(value, &json, err))
			return -1;
		else if (len == 7 && strncmp(name, "default", len) == 0 && !settings_add_default(value, err))
			return -1;
		else if (len == 11 && strncmp(name, "root-writes", len) == 0 && !settings_add_default(xasprintf("root-writes=%s", value), err))
			return -1;
	}
	error_log_to(log, json);
	return i - 1;
}

int main(int argc, char **argv)
{
	cleanup_error struct error *err = NULL;
	const struct verb *v;
	int skip;

	fill_stdio();
	skip = global_options(argc, argv, &err);
	if (skip < 0)
		return error_report(err);
	argc -= skip;
	argv += skip;
	if (argc < 2) {
		help_all();
		return 125;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "-v") == 0) {
		puts("sentrybox " VERSION);
		return 0;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		if (argc < 3) {
			help_all();
			return 0;
		}
		v = find_verb(argv[2]);
		if (v == NULL)
			return unknown_verb(argv[2]);
		if (v->help == NULL)
			return v->run(2, (char *[]){argv[2], (char[]){"--help"}, NULL});
		v->help();
		return 0;
	}
	v = find_verb(argv[1]);
	if (v == NULL)
		return unknown_verb(argv[1]);
	return v->run(argc - 1, argv + 1);
}
