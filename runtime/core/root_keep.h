/* SPDX-License-Identifier: Apache-2.0 */
/*
 * root-writes=keep: what a run changed goes to the root's directory when it has ended. Three processes have a part in it:
 *
 *	sentry (root_keep_sentry.c)   init has ended --CONTROL_KEEP--> monitor; then serves a DIFF, and says CONTROL_ENDED
 *	monitor (root_keep_monitor.c) starts the keeper, passes its socket on, waits for its end before it ends itself
 *	keeper (runtime/root_keep.c)  the command's program in a process of its own: takes the records, changes the directory
 */
#ifndef RUNTIME_CORE_ROOT_KEEP_H
#define RUNTIME_CORE_ROOT_KEEP_H

#include "runtime/config.h"

#include <stdbool.h>
#include <sys/types.h>

/* Descriptors of the keeper. */
#define KEEP_STREAM_FD 3
#define KEEP_ROOT_FD 4
#define KEEP_CONFIG_FD 5 /* the sandbox's sealed configuration, for its maps of ids */
#define KEEP_ROLE "root-keep"

/* ---- the sentry ---- */

/* Init has ended with status: true if there are changes to keep first; control_ended and loop_stop follow then. */
bool root_keep_start(const struct config *cfg, int status);
/* The monitor's answer: the keeper's socket (taken), or -1, there is none. */
void root_keep_take(int fd);

/* ---- the monitor ---- */

/* Answers CONTROL_KEEP: a keeper's socket goes to the sentry, once; or the word that there is none. The keeper's pid, also if its
 * socket did not get there: then it ends at once; 0: none was wanted; -EPIPE: the sentry could not be told, and waits for ever;
 * -errno: no keeper could be started, and it knows. */
pid_t root_keep_spawn(const struct config *cfg, int control, bool wanted);

#endif
