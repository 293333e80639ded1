/* SPDX-License-Identifier: Apache-2.0 */
/* Between gate.c and bell.c. */
#ifndef SENTRY_PLATFORM_STUBS_BELL_H
#define SENTRY_PLATFORM_STUBS_BELL_H

#include "sentry/platform/stub/abi.h"
#include "sentry/platform/stubs/stubs.h"

#define ERRAND_US 4 /* so long the waker may take to come for it */
#define TOLD_US 100 /* and then to do it */

/* What the sentry tells every stub; we write it, they read it. */
extern struct gate_ro *gate_ro;

/* The one wake that a thread is to be told to make: at most one at a time. sleeper NULL: there is none. */
extern struct errand {
	struct platform_thread *sleeper, *waker;
	uint64_t since; /* ticks */
} errand;

static inline struct gate_box *box_of(const struct platform_thread *pt)
{
	return (struct gate_box *)((char *)pt->mailbox + GATE_BOX);
}

/* A bell for the thread. False: there is none, it sleeps on its own word. */
bool bell_new(struct platform_thread *pt);
void bell_free(struct platform_thread *pt);
/* It has slept through its bell. */
void bell_give_up(struct platform_thread *pt);
/* Its bell was rung (bell_rung), and it calls again. */
void bell_heard(struct platform_thread *pt);
/* The sleeper's call is done, and its box says so. */
void bell_wake(struct platform_thread *sleeper);

/* The sleeper is to be woken by whoever has woken its task. False: there is nobody to do it. */
bool errand_give(struct platform_thread *sleeper);
/* An answer goes to pt, which may be the one to tell. */
void errand_tell(struct platform_thread *pt);
/* Told and not done: it lost patience before it was told, or it is gone. */
void errand_back(struct platform_thread *pt);
/* At now (ticks; so many in a microsecond): who was to do one takes too long. */
void errand_late(uint64_t now, uint64_t ticks_us);
/* We do it ourselves, if there is one. */
void errand_do(void);

#endif
