/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel stacks. Each guest thread has one coroutine: its handlers run on it and may sleep in the middle of a function
 * (task_wait) as kernel code does. There is one host thread, so nothing is preempted: between two sleeps a handler has
 * the whole sentry to itself.
 *
 * Stacks are 64 KiB with a guard page, pooled; frames stay under 2 KiB (-Wframe-larger-than holds it).
 */
#ifndef SENTRY_KERNEL_COROUTINE_H
#define SENTRY_KERNEL_COROUTINE_H

#include "sentry/base/types.h"

struct coroutine;

/* Makes a suspended coroutine that will run fn(arg). NULL if memory is out. fn must not return: it ends in
 * coroutine_exit(). */
struct coroutine *coroutine_new(void (*fn)(void *), void *arg) must_check;
/* Runs co until it suspends or exits. Only the event loop calls it. */
void coroutine_resume(struct coroutine *co);
/* Suspends the running coroutine; returns at the next coroutine_resume. */
void coroutine_suspend(void);
/* Ends the running coroutine; its stack goes back to the pool. */
_Noreturn void coroutine_exit(void);
/* NULL in the event loop itself. */
struct coroutine *coroutine_current(void);

#endif
