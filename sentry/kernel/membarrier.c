/* SPDX-License-Identifier: Apache-2.0 */
/*
 * membarrier(2): makes other threads execute a full memory barrier.
 *
 * A thread that enters the sentry has executed one: the host kernel was entered, or a mailbox word exchanged. So
 * threads that are in guest code are kicked and waited for; one that sleeps in the sentry needs nothing. A thread that
 * was kicked may come in with a call and fall asleep in it before it passes task_return: the wait looks again every
 * millisecond.
 */
#include "sentry/kernel/membarrier.h"

#include "sentry/kernel/task.h"
#include "sentry/kernel/time.h"
#include "sentry/platform/platform.h"

static struct waitq passed = {LIST_INIT(passed.waiters)};

void memory_barrier_passed(struct task *task)
{
	task->barrier_pending = false;
	waitq_wake(&passed, 0);
}

static void ask(struct task *task, struct thread_group *group)
{
	struct task *t;

	list_for_each(t, &group->threads, group_link) {
		if (t == task || t->pt == NULL || t->exiting || t->blocked)
			continue;
		t->barrier_pending = true;
		platform->kick(t);
	}
}

static bool outstanding(struct thread_group *group)
{
	struct task *t;

	list_for_each(t, &group->threads, group_link) {
		if (!t->barrier_pending)
			continue;
		if (!t->blocked && !t->exiting)
			return true;
		t->barrier_pending = false;
	}
	return false;
}

static bool outstanding_anywhere(void)
{
	struct thread_group *g;

	list_for_each(g, &kernel.groups, all_link)
		if (outstanding(g))
			return true;
	return false;
}

int memory_barrier(struct task *task, struct thread_group *group)
{
	struct thread_group *g;
	int err = 0;

	if (group != NULL)
		ask(task, group);
	else
		list_for_each(g, &kernel.groups, all_link)
			ask(task, g);
	while (err == 0 && (group != NULL ? outstanding(group) : outstanding_anywhere())) {
		err = task_wait_until(task, &passed, 0, WAIT_KILLABLE, time_deadline_in(NSEC_PER_MSEC));
		if (task_dying(task))
			return err;
		err = 0;
	}
	return 0;
}
