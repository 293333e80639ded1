/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentrybox command: picks the verb. A file per verb does the rest; what they share is
 *
 *	settings.c  flags and annotations --> struct settings      spec.c   config.json --> struct config
 *	build.c     struct settings       --> struct config        launch.c struct config --> the core --> the result
 *	report.c    the result            --> JSON, lines
 */
#include "runtime/cleanup.h"
#include "runtime/error.h"
#include "runtime/parse.h"
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
	{"image", "make a root image of a directory, a tar file or an OCI layout", verb_image, help_image},
	{"harness", "run hostile programs, each in a sandbox, and see that nothing got out", verb_harness,
	 help_harness},
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
		printf("  %-10s%s\n", verbs[i].name, verbs[i].line);
	puts("\n"
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
	if (near != NULL)
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

int main(int argc, char **argv)
{
	const struct verb *v;

	fill_stdio();
	if (argc < 2) {
		help_all();
		return 125;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
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
		v->help();
		return 0;
	}
	v = find_verb(argv[1]);
	if (v == NULL)
		return unknown_verb(argv[1]);
	return v->run(argc - 1, argv + 1);
}
