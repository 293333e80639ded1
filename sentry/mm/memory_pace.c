/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit on memory, where it is the sentry that fills it.
 *
 *	copies to guests (usercopy.c) + growth of the sentry's own account --> over the budget?
 *	    --> at the end of a call, or at the next task_yield of a long one: memory_pace_wait
 *	    --> monitor: looks at all processes, ends the one that holds most if it is too much, says what it saw
 *	    --> below the limit: a new budget, half of what is left. Above: the task waits for it to be less, or for its own end
 *
 * The monitor looks every 10 to 100 ms (runtime/core/memory_watch.c), and a read of hundreds of MiB into fresh memory is done
 * by then. The host's limit on the sandbox's cgroup, some MiB above ours, was met first; its kernel then chooses whom to
 * end, in the middle of our copy, and could choose the sentry. So the sentry asks for a look itself, the more often the less
 * is left, and long copies stop where they let others run, every MiB.
 *
 * The guest controls how much is copied and where to; copies into memory it has already are counted like others, and cost a
 * look too many. What it touches natively is the monitor's to see and the host's to refuse: there no copy of ours is under
 * way. Nobody answering (a monitor that is stopped, a full socket) delays a call by PATIENCE and no more: the limit is the
 * monitor's to enforce, this only calls it in time.
 */
#include "sentry/mm/memory_pace.h"

#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/waitq.h"

#define SMALLEST (2 * MiB)                /* a look costs some 100 us, so much fresh memory ten times that */
#define AGAIN (10 * NSEC_PER_MSEC)        /* who was ended takes its time */
#define PATIENCE (1000 * NSEC_PER_MSEC)

struct memory_pace memory_pace = {.budget = UINT64_MAX};

static struct waitq answer = {LIST_INIT(answer.waiters)};
static void (*ask_monitor)(void);
static uint64_t asked_ns, asked, answers; /* asked: as many answers as there were when it was */
static bool over;

static void new_budget(uint64_t bytes)
{
	memory_pace.copied = 0;
	memory_pace.base = alloc_total();
	memory_pace.budget = bytes;
}

void memory_pace_limit(uint64_t limit, void (*ask)(void))
{
	if (ask != NULL)
		ask_monitor = ask;
	over = false;
	/* What is held is not known yet: a little to begin with, so that small programs never ask. */
	new_budget(limit == 0 || ask_monitor == NULL ? UINT64_MAX : MAX(limit / 4, (uint64_t)SMALLEST));
}

void memory_pace_told(uint64_t held, uint64_t limit)
{
	over = limit != 0 && held > limit;
	answers++;
	new_budget(limit == 0 ? UINT64_MAX : MAX(over ? 0 : (limit - held) / 2, (uint64_t)SMALLEST));
	waitq_wake(&answer, 0);
}

void memory_pace_wait(struct task *task)
{
	uint64_t now = loop_now(), give_up = now + PATIENCE, before = answers;

	while (!task_dying(task)) {
		if (answers != before && !over)
			return;
		if (now >= give_up) {
			new_budget(SMALLEST);
			return;
		}
		/* Many tasks may wait for one answer, and no second question is put behind one that waits: a monitor that is
		 * stopped would have its socket filled. */
		if (now - asked_ns >= (asked != answers || asked_ns == 0 ? AGAIN : PATIENCE)) {
			asked_ns = now;
			asked = answers;
			ask_monitor();
		}
		(void)!task_wait_until(task, &answer, 0, WAIT_KILLABLE, MIN(give_up, now + AGAIN));
		now = loop_now();
	}
}
