/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing over to the core. Plain `do` becomes the monitor by exec: one process less, and what signals, job control and
 * the exit status mean is exactly what they mean for any program. When something is to be printed or copied afterwards,
 * the command starts the monitor as a child, passes signals on, and waits.
 */
#ifndef RUNTIME_LAUNCH_H
#define RUNTIME_LAUNCH_H

#include "runtime/build.h"

#include <sys/types.h>

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
/* Runs the monitor as a child to the end. started, unless NULL: is called when it is there; if it returns false, the
 * monitor is killed. */
bool launch_wait(struct build *b, const struct settings *s, struct outcome *out,
		 bool (*started)(pid_t monitor, void *arg, struct error **err), void *arg, struct error **err);
/*
 * Starts the monitor as what an engine waits for: a child of ours in a session of its own, with our stdio, that outlives
 * us. tty: a terminal that becomes its stdio and its session's, or -1.
 */
bool launch_background(struct build *b, int tty, pid_t *monitor, struct error **err);
/* Executes a role of the core that has descriptor fd as 3, stdio, and no other. Returns only on failure. */
bool launch_role(const char *role, int fd, struct error **err);
/* The finished configuration, sealed: for another one's monitor. */
int launch_config(const struct config *c, struct error **err);
void outcome_free(struct outcome *o);

#endif
