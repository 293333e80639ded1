/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sentrybox run [--bundle DIR] ID`: an OCI bundle, in the foreground, until its process ends. What config.json may say
 * is spec.c's; annotations dev.sentrybox.NAME are the flags of `do` by the same names.
 */
#include "runtime/verbs.h"
#include "runtime/build.h"
#include "runtime/cleanup.h"
#include "runtime/spec.h"

#include <getopt.h>
#include <string.h>

void help_run(void)
{
	puts("sentrybox run [--bundle DIR] ID\n"
	     "\n"
	     "Runs the OCI bundle in DIR (the current directory): its config.json says which program, as whom,\n"
	     "on which root and mounts. The root, a directory or an image file, is read-only on the host; what is\n"
	     "written to it is in memory.\n"
	     "A field that can't be honoured and must be is an error that names it.\n"
	     "\n"
	     "  -b, --bundle DIR      where config.json lies\n"
	     "      --strace[=FILE]   write every system call as strace does (stderr)\n"
	     "      --debug-log[=FILE]  write what the sandbox's kernel has to say (stderr)\n"
	     "      --audit FILE      write each denial as a line of JSON (- for stderr)\n"
	     "      --backtrace       with --audit: where in the program each denied call was made\n"
	     "      --stats[=json]    print what the run used, on stderr\n"
	     "\n"
	     "Annotations of the bundle, as the flags of `do`:");
	for (const struct setting *set = settings_table; set->name != NULL; set++) {
		if (set->annotation)
			printf("  dev.sentrybox.%s%s\n", set->name,
			       set->list ? "   (several, separated by blanks)" : "");
	}
	puts("\n"
	     "Exit status: the program's own; 128+N if signal N ended it; 127 not found, 126 not executable, 125\n"
	     "if the sandbox could not be made.");
}

/* The specification's terminal is ours to give: the one we were started on. */
static bool check_terminal(struct build *b, struct error **err)
{
	if (b->c->terminal && !isatty(STDIN_FILENO))
		return error_set(
			err,
			"process.terminal is true, but stdin is not a terminal: start it on one, or make it false");
	return true;
}

static bool id_ok(const char *id)
{
	return *id != '\0' && strlen(id) <= 128 && strcmp(id, ".") != 0 && strcmp(id, "..") != 0 &&
	       strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-._") == strlen(id);
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

static bool parse_flags(struct settings *s, int argc, char **argv, const char **bundle, const char **id, bool *help,
			struct error **err)
{
	static const struct option options[] = {
		{"bundle", required_argument, NULL, 'b'},  {"help", no_argument, NULL, 'h'},
		{"strace", optional_argument, NULL, 1},    {"debug-log", optional_argument, NULL, 1},
		{"audit", required_argument, NULL, 1},     {"stats", optional_argument, NULL, 1},
		{"backtrace", no_argument, NULL, 1},
		{"fail-call", required_argument, NULL, 1}, {"fail-alloc", required_argument, NULL, 1},
		{"platform", required_argument, NULL, 1},  {"gate", required_argument, NULL, 1},
		{"gate-exclude", required_argument, NULL, 1}, {"gate-cache", required_argument, NULL, 1},
		{0},
	};
	int c, index;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":b:h", options, &index)) != -1) {
		if (c == 'b')
			*bundle = optarg;
		else if (c == 'h')
			*help = true;
		else if (c == 1 && !inside_flag(s, options[index].name, optarg, err))
			return false;
		else if (c == ':')
			return error_set(err, "%s needs a value", argv[optind - 1]);
		else if (c == '?')
			return error_set(err, "there is no flag %s: `sentrybox help run` lists them", argv[optind - 1]);
	}
	if (*help)
		return true;
	if (optind + 1 != argc)
		return error_set(err, "one name for the sandbox: sentrybox run [--bundle DIR] ID");
	*id = argv[optind];
	if (!id_ok(*id))
		return error_set(err, "\"%s\" is not a name for a sandbox: letters, digits and +-._", *id);
	return true;
}

int verb_run(int argc, char **argv)
{
	cleanup_error struct error *err = NULL;
	const char *bundle = ".", *id = NULL;
	struct settings s;
	struct build b;
	bool help = false;
	int status;

	settings_init(&s);
	build_init(&b);
	if (!parse_flags(&s, argc, argv, &bundle, &id, &help, &err)) {
		error_wrap(&err, "run");
		status = error_report(err);
	} else if (help) {
		help_run();
		status = 0;
	} else if (!spec_load(&b, &s, bundle, &err) || !check_terminal(&b, &err) || !build_settings(&b, &s, &err) ||
		   !build_host_ids(&b, &s, &err)) {
		error_wrap(&err, "run %s", id);
		status = error_report(err);
	} else {
		status = run_to_end(&b, &s);
	}
	build_free(&b);
	settings_free(&s);
	return status;
}
