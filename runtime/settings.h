/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person may set about a sandbox, wherever it is said: a flag of `do`, or an annotation dev.sentrybox.NAME of a
 * bundle. One table (settings.c) holds name, argument, help text and parser of each; getopt's options, the help page
 * and the annotations all come from it.
 */
#ifndef RUNTIME_SETTINGS_H
#define RUNTIME_SETTINGS_H

#include "runtime/config.h"
#include "runtime/error.h"
#include "runtime/parse.h"

#include <stdio.h>

enum output_to { OUTPUT_OFF, OUTPUT_STDERR, OUTPUT_FILE };
struct output {
	enum output_to to;
	char *file; /* OUTPUT_FILE */
};

enum stats_mode { STATS_OFF, STATS_TEXT, STATS_JSON };

struct settings {
	/* the program */
	char *root_image; /* NULL: the host's root */
	char *cwd;        /* NULL: the caller's, or / in an image */
	char **env;       /* K=V, in the order given; a later one replaces an earlier one */
	size_t nenv;
	char *user; /* NAME|UID[:GID], NULL: the caller */
	char *hostname;

	/* files */
	struct mount_arg *mounts;
	size_t nmounts;
	char **hide;
	size_t nhide;
	struct copy_out_arg *copy_out;
	size_t ncopy_out;
	bool readonly_root;
	bool root_writes; /* keep: what a run changed goes to the root's directory at its end */

	/* limits; 0: none */
	uint64_t memory, disk, pids, timeout_ms, idle_timeout_ms;
	uint32_t cpu_permille;

	/* network */
	char **egress; /* as written; parsed once already */
	size_t negress;
	char **ingress; /* as egress */
	size_t ningress;

	/* looking inside, results */
	enum config_platform platform;
	bool no_gate;
	char **gate_exclude;
	size_t ngate_exclude;
	char *gate_cache; /* NULL: the usual directory */
	bool no_gate_cache;
	struct output strace, debug, audit;
	bool backtrace;
	enum stats_mode stats;
	bool json;

	/* host ids for sandboxes that root starts */
	uint32_t uid_lo, uid_hi;

	/* hidden, for tests */
	int32_t fail_call; /* -1: off */
	uint64_t fail_alloc;
};

struct setting {
	const char *name;
	enum { ARG_NONE, ARG_REQUIRED, ARG_OPTIONAL } arg;
	bool list;         /* may be given again; an annotation separates by blanks or commas */
	bool annotation;   /* may come from a bundle's annotations */
	const char *group; /* heading of the help page; NULL: hidden */
	const char *arg_name;
	const char *help; /* lines separated by \n */
	bool (*apply)(struct settings *s, const char *value, struct error **err);
};

extern const struct setting settings_table[]; /* ends with a NULL name */

void settings_init(struct settings *s);
/* NAME=VALUE, an annotation that every container made by this command is to have (`sentrybox --default ...`). The container's own
 * comes behind it: it replaces a value, and adds to a list. Borrows text. */
bool settings_add_default(const char *text, struct error **err);
/* ... applied. */
bool settings_apply_defaults(struct settings *s, struct error **err);
void settings_free(struct settings *s);
/*
 * Reads flags up to the first word that is none, or "--". Returns that word's index in argv, or -1. *help is set by
 * --help. verb goes in front of messages.
 */
int settings_parse(struct settings *s, const char *verb, int argc, char **argv, bool *help, struct error **err);
/* One annotation: key without its dev.sentrybox. prefix. */
bool settings_annotation(struct settings *s, const char *key, const char *value, struct error **err);
void settings_help(FILE *out);

/* Adds or replaces K=V in the environment. */
void settings_setenv(struct settings *s, const char *assignment);
const char *settings_getenv(const struct settings *s, const char *name);

#endif
