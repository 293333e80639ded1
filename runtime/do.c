/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sentrybox do [flags] -- CMD ARGS...`: a command on a read-only view of the host's root (or --root-image), everything
 * it writes in memory.
 *
 * Secrets don't leak in by default: the environment is TERM, LANG, LC_* and TZ of the caller with PATH and HOME set,
 * and the host's root is shown without the places where programs keep credentials (hide.c).
 */
#include "runtime/verbs.h"
#include "runtime/build.h"
#include "runtime/cleanup.h"
#include "runtime/launch.h"
#include "runtime/report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

extern char **environ;

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void help_do(void)
{
	puts("sentrybox do [FLAGS] -- COMMAND [ARGS...]\n"
	     "\n"
	     "Runs COMMAND in a sandbox: it sees the host's files, read-only, and writes to memory. It has\n"
	     "no network but its own, no process but its own, and every system call it makes is served by\n"
	     "sentrybox. When it ends, all is gone.\n"
	     "\n"
	     "  sentrybox do -- bash\n"
	     "  sentrybox do --memory 512m --timeout 30s --copy-out /tmp/out:./out -- python3 job.py\n"
	     "  sentrybox do --egress-allow 127.0.0.1:8080 --audit - -- curl http://127.0.0.1:8080/");
	settings_help(stdout);
	puts("\n"
	     "Environment: of the caller's, only TERM, LANG, LC_* and TZ are passed; PATH and HOME are set.\n"
	     "\n"
	     "Exit status: the command's own; 128+N if signal N ended it; 127 if it was not found, 126 if it\n"
	     "could not be executed, 125 if the sandbox could not be made.\n"
	     "\n"
	     "Of the host's root these are hidden always (~ is every home):");
	print_default_hides(stdout);
}

static bool passes_by_default(const char *assignment)
{
	static const char *const names[] = {"TERM=", "LANG=", "TZ="};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncmp(assignment, names[i], strlen(names[i])) == 0)
			return true;
	}
	return strncmp(assignment, "LC_", 3) == 0;
}

static void build_environment(struct build *b, struct settings *s, const char *home)
{
	struct settings defaults;

	settings_init(&defaults);
	settings_setenv(&defaults, "PATH=" DEFAULT_PATH);
	for (char **e = environ; *e != NULL; e++) {
		if (passes_by_default(*e))
			settings_setenv(&defaults, *e);
	}
	cleanup_free char *home_var = xasprintf("HOME=%s", home != NULL ? home : "/");
	settings_setenv(&defaults, home_var);
	for (size_t i = 0; i < s->nenv; i++)
		settings_setenv(&defaults, s->env[i]);
	b->c->envc = (uint32_t)defaults.nenv;
	b->c->envv = build_strings(b, defaults.env, defaults.nenv);
	settings_free(&defaults);
}

/* The terminal the program will have, if its stdio is one. */
static void build_terminal(struct build *b)
{
	struct winsize ws;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return;
	b->c->terminal = true;
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) == 0) {
		b->c->tty_rows = ws.ws_row;
		b->c->tty_cols = ws.ws_col;
	}
}

static bool build_do(struct build *b, struct settings *s, int argc, char **argv, struct error **err)
{
	cleanup_free char *home = NULL;
	cleanup_free char *here = s->root_image == NULL && s->cwd == NULL ? getcwd(NULL, 0) : NULL;
	mode_t mask = umask(022);

	umask(mask);
	if (s->root_writes)
		return error_set(err, "--root-writes is for `run` and `create`; --copy-out PATH:HOSTPATH takes files out of a `do`");
	b->c->umask = mask & 0777;
	b->c->root_is_host = s->root_image == NULL;
	if (!build_root(b, s->root_image != NULL ? s->root_image : "/", err))
		return s->root_image != NULL ? error_wrap(err, "--root-image") : false;
	if (s->user != NULL ? !build_user(b, s->user, &home, err) : !build_caller(b, &home))
		return false;
	if (b->c->root_is_host && !build_default_hides(b, getenv("HOME"), err))
		return error_wrap(err, "hiding credentials of the host's root");
	b->c->argc = (uint32_t)argc;
	b->c->argv = build_strings(b, argv, (size_t)argc);
	build_environment(b, s, home);
	b->c->cwd = build_str(b, s->cwd != NULL ? s->cwd : here != NULL && here[0] == '/' ? here : "/");
	b->c->hostname = build_str(b, "sandbox");
	build_terminal(b);
	return build_default_mounts(b, err) && build_settings(b, s, err) && build_host_ids(b, s, err);
}

/* --json wants the denials even when no --audit file was named, or one that can't be read back. */
static bool readable_audit(struct build *b, const struct settings *s, int *audit, struct error **err)
{
	struct stat st;

	*audit = b->c->audit_fd;
	if (!s->json || (*audit >= 0 && s->audit.to == OUTPUT_FILE && fstat(*audit, &st) == 0 && S_ISREG(st.st_mode)))
		return true;
	if (*audit >= 0)
		return error_set(err, "--audit with --json needs a regular file: the denials are in the object anyway");
	*audit = memfd_create("sentrybox-audit", MFD_CLOEXEC);
	if (*audit < 0)
		return error_errno(err, errno, "can't make the audit log's memfd");
	b->c->audit_fd = *audit = build_fd(b, *audit);
	return true;
}

int run_to_end(struct build *b, const struct settings *s)
{
	cleanup_error struct error *err = NULL;
	struct outcome o;
	int audit, status;

	if (!s->json && s->stats == STATS_OFF && s->ncopy_out == 0) {
		launch_exec(b, &err);
		return error_report(err);
	}
	if (!readable_audit(b, s, &audit, &err) || !launch_wait(b, s, &o, NULL, NULL, &err))
		return error_report(err);
	if (s->json)
		report_json(&o, b->c, audit);
	else
		report_lines(&o, b->c);
	report_stats(&o, s->stats);
	status = o.status;
	outcome_free(&o);
	return status;
}

int verb_do(int argc, char **argv)
{
	cleanup_error struct error *err = NULL;
	struct settings s;
	struct build b;
	bool help;
	int first, status;

	settings_init(&s);
	build_init(&b);
	first = settings_parse(&s, "do", argc, argv, &help, &err);
	if (first < 0) {
		status = error_report(err);
	} else if (help) {
		help_do();
		status = 0;
	} else if (first >= argc) {
		error_set(&err, "do: no command: sentrybox do [FLAGS] -- COMMAND [ARGS...]");
		status = error_report(err);
	} else if (!build_do(&b, &s, argc - first, argv + first, &err)) {
		error_wrap(&err, "do");
		status = error_report(err);
	} else {
		status = run_to_end(&b, &s);
	}
	build_free(&b);
	settings_free(&s);
	return status;
}
