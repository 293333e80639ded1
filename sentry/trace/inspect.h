/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the inspector where in its program a guest stands: see inspect.c. */
#ifndef SENTRY_TRACE_INSPECT_H
#define SENTRY_TRACE_INSPECT_H

#include "runtime/core/inspect_protocol.h"
#include "sentry/base/types.h"

struct task;

#define INSPECT_LINE_LEN sizeof(((struct inspect_line *)0)->text)

/* What came back: printable text, whatever the inspector sent. */
struct inspect_result {
	unsigned nframes;
	char frames[INSPECT_MAX_FRAMES][INSPECT_LINE_LEN];
	char instruction[INSPECT_LINE_LEN]; /* "" if there is none */
	char note[INSPECT_LINE_LEN];        /* why there are no more frames, "" if these are all */
};

/*
 * The task's backtrace, from a call it is about to return from with ret. Sleeps, on the task's coroutine; the pending event
 * is a full one afterwards. Whatever fails is said in out->note.
 */
void inspect_task(struct task *task, int64_t ret, struct inspect_result *out);

/* Part of a crash report: the backtrace of the guest thread that was served last, without the event loop. */
void inspect_crash(void);

/* The monitor's answer to a request, or one that came too late (fd -1: no inspector could be started). Takes fd. */
void inspect_attach(int fd);

#endif
