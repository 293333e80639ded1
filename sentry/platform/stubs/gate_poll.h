/* SPDX-License-Identifier: Apache-2.0 */
/* Between gate.c, which takes and answers calls, and gate_poll.c, which knows when to look for them. */
#ifndef SENTRY_PLATFORM_STUBS_GATE_POLL_H
#define SENTRY_PLATFORM_STUBS_GATE_POLL_H

#include "sentry/platform/stubs/bell.h"
#include "sentry/platform/stubs/gate.h"
#include "sentry/platform/stubs/stubs.h"

/* The line's ownership, which an answer needs, comes while the call is served. */
static inline void gate_to_be_written(const void *line)
{
	__asm__ volatile("prefetchw %0" ::"m"(*(const char *)line));
}

/* The thread has rung, as far as its box says. */
static inline bool gate_rung(const struct platform_thread *pt)
{
	return __atomic_load_n(&box_of(pt)->state, __ATOMIC_ACQUIRE) == GATE_REQUEST;
}

/* ---- gate.c ---- */
/* What the thread has rung becomes its event. now: in ticks, a moment ago. False: it broke the protocol. */
bool gate_take(struct platform_thread *pt, uint64_t now) must_check;
/* Whom gate_idle() has named sleeps, if anybody was. */
void gate_idle_blocked(void);

/* ---- gate_poll.c ---- */
/* Tells shims whether their threads may spin for one another, with one CPU less if we poll. */
void poll_spinning_is(bool polling);
/* A futex call of the thread's has come; the thread is gone. */
void poll_futex_call(const struct platform_thread *pt);
void poll_futex_gone(const struct platform_thread *pt);
/* A thread made a doorbell call although we poll: it lost patience, or the CPU. */
void poll_gave_up(void);
/* A request was answered at now (ticks). */
void poll_served_at(uint64_t now);
/* ... and its thread must be woken, if it waits in a doorbell call or asleep on its bell. May begin polling. */
void poll_waited_for(struct platform_thread *pt, bool asleep);

#endif
