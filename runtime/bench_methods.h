/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways in which `sentrybox bench` runs a program: natively, in a sandbox of ours, in one of another maker's.
 *
 *	methods_choose("native,notify") --> struct methods --> method_run(m, program's argv) --> its stdout
 *
 * A method that this machine lacks is kept with a word on why. Each is given a directory to write in that is in memory:
 * a disk on one side would flatter the other.
 */
#ifndef RUNTIME_BENCH_METHODS_H
#define RUNTIME_BENCH_METHODS_H

#include "runtime/error.h"

#include <stdbool.h>
#include <stddef.h>

#define METHODS_MAX 16

struct method {
	const struct method_kind *kind;
	const char *name;
	const char *what;
	char *absent; /* why it can't be used; NULL: it can */
	char *dir;    /* where a program may write, as it sees it */
	char *made;   /* a directory on the host to remove at the end, or NULL */
	char *bundle; /* an OCI bundle whose rootfs is this machine's root, or NULL */
	unsigned runs;
};

struct methods {
	struct method list[METHODS_MAX];
	size_t n;
};

/* names: a list with commas; NULL: native and ours; "all". Those that are absent are in it too. False: an unknown name.
 */
bool methods_choose(struct methods *ms, const char *names, struct error **err);
/* Each that seems to be there runs `program` without arguments once; who can't is absent. */
void methods_try(struct methods *ms, const char *program);
void methods_free(struct methods *ms);
/* Prints all the names there are, with what they stand for. */
void methods_help(void);

/*
 * Runs argv and gives all it wrote to stdout, to be freed; *status as a shell would say it. NULL, with a reason in *why
 * to be freed, if it did not end within the time limit or could not be started.
 */
char *method_run(struct method *m, char *const argv[], unsigned limit_s, int *status, char **why);
/* From here on SIGINT and SIGTERM end only the run under way, so that what was made can be removed. */
void methods_catch_interrupts(void);
bool methods_interrupted(void);

#endif
