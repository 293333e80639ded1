/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wait queues: how one part of the sentry tells another that something has changed.
 *
 * An object that can become ready has a waitq. Whoever is interested adds a waiter with the events it cares for
 * (poll(2) bits: LINUX_POLLIN...; 0 matches everything), checks the condition, and sleeps (task_block) or goes away.
 * waitq_wake() calls each matching waiter's function: tasks use waiter_wake_task; epoll its own.
 *
 * The order is always: add the waiter, check the condition, sleep. With one thread no wake-up can be lost in between.
 */
#ifndef SENTRY_KERNEL_WAITQ_H
#define SENTRY_KERNEL_WAITQ_H

#include "sentry/base/list.h"

struct task;
struct waiter;

struct waitq {
	struct list waiters;
};

struct waiter {
	struct list link;     /* on a waitq's list, or empty */
	uint32_t events;      /* poll bits of interest; 0: all */
	bool exclusive;       /* at most one exclusive waiter is woken per wake */
	bool woken;           /* set by waiter_wake_task */
	struct task *task;    /* for waiter_wake_task */
	/* Called with the events that happened; returns true if an exclusive waiter took the wake-up. May remove the
	 * waiter from its queue, must not sleep. */
	bool (*wake)(struct waiter *waiter, uint32_t events);
};

static inline void waitq_init(struct waitq *q)
{
	list_init(&q->waiters);
}

/* Prepares a waiter that wakes task. */
void waiter_init_task(struct waiter *w, struct task *task, uint32_t events);
bool waiter_wake_task(struct waiter *w, uint32_t events);

void waitq_add(struct waitq *q, struct waiter *w);
/* Harmless if w is on no queue. */
void waitq_remove(struct waiter *w);
/* Wakes the waiters that care for events (0: all). */
void waitq_wake(struct waitq *q, uint32_t events);
static inline bool waitq_active(const struct waitq *q)
{
	return !list_empty(&q->waiters);
}

/* ---- sleeping; only in a task's coroutine ---- */

enum wait_mode {
	WAIT_INTERRUPTIBLE, /* any deliverable signal ends it: -LINUX_ERESTARTSYS */
	WAIT_KILLABLE,      /* only a fatal end of the task */
};
#define WAIT_FOREVER UINT64_MAX

/*
 * Sleeps until task_wake(task), a signal (by mode), or the deadline (CLOCK_MONOTONIC of the host in ns, WAIT_FOREVER
 * for none). Returns 0 when woken, -LINUX_ERESTARTSYS, or -LINUX_ETIMEDOUT. Spurious wake-ups happen: check again.
 */
int task_block(struct task *task, enum wait_mode mode, uint64_t deadline_ns) must_check;
/* Makes a blocked task runnable; harmless otherwise. */
void task_wake(struct task *task);
/* Adds a waiter to q, sleeps, removes it. Results as task_block. */
int task_wait(struct task *task, struct waitq *q, enum wait_mode mode) must_check;
int task_wait_until(struct task *task, struct waitq *q, uint32_t events, enum wait_mode mode, uint64_t deadline_ns) must_check;
/* Lets other tasks run, then goes on, and not before the sandbox holds less than its limit on memory (mm/memory_pace.h).
 * Long work calls it every MiB or thousand entries. Never fails. */
void task_yield(struct task *task);

#endif
