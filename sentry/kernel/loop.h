/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: the one thread of the sentry. It takes events from the platform, host descriptors and timers, and
 * runs the coroutines of tasks that became runnable.
 */
#ifndef SENTRY_KERNEL_LOOP_H
#define SENTRY_KERNEL_LOOP_H

#include "sentry/base/list.h"
#include "sentry/base/tree.h"

/* A one-shot timer on the host's CLOCK_MONOTONIC (ns). Zero-initialised is disarmed. */
struct ktimer {
	RB_ENTRY(ktimer) node;
	uint64_t deadline;
	bool armed;
	void (*fn)(struct ktimer *t); /* runs in the loop: may wake tasks and re-arm, must not sleep */
};

void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *t));
/* Arms or re-arms. A deadline in the past fires at the next turn of the loop. */
void ktimer_set(struct ktimer *t, uint64_t deadline_ns);
void ktimer_cancel(struct ktimer *t);

/* Interest in a host descriptor (a stdio pipe, an outbound socket, the gofer's socket). Level-triggered. */
struct host_watch {
	int fd; /* -1: not watched */
	uint32_t events; /* EPOLLIN... wanted now; 0 parks the watch */
	void (*ready)(struct host_watch *w, uint32_t events); /* runs in the loop, must not sleep */
};

int host_watch_add(struct host_watch *w, int fd, uint32_t events, void (*ready)(struct host_watch *, uint32_t)) must_check;
int host_watch_set(struct host_watch *w, uint32_t events);
void host_watch_del(struct host_watch *w);

/* Runs fn once at the next turn of the loop, outside any task. The struct must stay until it has run. */
struct deferred {
	struct list link;
	void (*fn)(struct deferred *d);
};
void loop_defer(struct deferred *d, void (*fn)(struct deferred *d));

/* Monotonic host time in ns, read once per loop turn on demand; exact enough for timers. */
uint64_t loop_now(void);

/* Runs until loop_stop. */
void loop_run(void);
void loop_stop(int status);

#endif
