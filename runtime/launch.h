/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing over to the core. Plain `do` becomes the monitor by exec: one process less, and what signals, job control and
 * the exit status mean is exactly what they mean for any program. When something is to be printed or copied afterwards,
 * the command starts the monitor as a child, passes signals on, and waits.
 */
#ifndef RUNTIME_LAUNCH_H
#define RUNTIME_LAUNCH_H

#include "runtime/build.h"

struct capture {
	char *data;
	size_t len, cap;
	bool truncated; /* more came than CAPTURE_MAX; the rest was read and dropped */
};
#define CAPTURE_MAX (64u << 20)

struct outcome {
	struct sandbox_result result;
	struct capture out, err; /* --json */
	char *copy_error;        /* what could not be copied out, a line each, or NULL */
	int status;              /* the command's exit status */
};

/* Becomes the monitor. Returns only on failure. */
bool launch_exec(struct build *b, struct error **err);
/* Runs the monitor as a child to the end. */
bool launch_wait(struct build *b, const struct settings *s, struct outcome *out, struct error **err);
void outcome_free(struct outcome *o);

#endif
