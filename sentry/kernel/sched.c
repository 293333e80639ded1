/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks' coroutines: the run queue, sleeping and waking, wait queues, and the loop every guest thread's coroutine runs.
 *
 *	next_event --> task_syscall --> handler (may sleep) --> task_return --> resume --> next_event ...
 *
 * A coroutine is suspended in one of two ways: in the platform (it waits for its thread) or in task_block (it waits for
 * the sentry). Both only look at their own condition when they run again, so putting a task on the run queue is always
 * harmless: sched_ready() needs no reason.
 *
 * Invariant: task->blocked is true exactly while the coroutine is inside task_block.
 */
#include "sentry/kernel/sched.h"

#include "sentry/abi/errno.h"
#include "sentry/host/host.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/coroutine.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/vsyscall.h"
#include "sentry/mm/memory_pace.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/text.h"
#include "sentry/mm/usercopy.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/trace.h"
#include "syscalls/dispatch.h"

#include <time.h>

static struct list run_queue = LIST_INIT(run_queue);
static struct task *running;

struct task *task_current(void)
{
	return running;
}

void sched_ready(struct task *task)
{
	if (list_empty(&task->run_link))
		list_add_tail(&run_queue, &task->run_link);
}

bool sched_idle(void)
{
	return list_empty(&run_queue);
}

void sched_remove(struct task *task)
{
	list_del(&task->run_link);
}

/* Somebody has a limit on CPU time of its own, and the sentry's work for it counts (cpu_limit.c). */
static void resume_timed(struct task *task)
{
	struct container *c = task->group->container; /* never freed; the task may be gone afterwards */
	uint64_t began = host_clock_ns(CLOCK_MONOTONIC);

	coroutine_resume(task->co);
	c->cpu.served_ns += host_clock_ns(CLOCK_MONOTONIC) - began;
}

bool sched_run(void)
{
	struct list batch = LIST_INIT(batch);

	if (list_empty(&run_queue))
		return false;
	list_splice_tail(&batch, &run_queue);
	while (!list_empty(&batch)) {
		struct task *task = list_first(&batch, struct task, run_link);

		list_del(&task->run_link);
		running = task;
		if (__builtin_expect(cpu_limited_containers != 0, 0))
			resume_timed(task);
		else
			coroutine_resume(task->co);
		running = NULL;
	}
	return true;
}

/* ---- the life of a guest thread ---- */

static void serve_syscall(struct task *task, const struct platform_event *ev)
{
	int64_t ret;

	task->syscall_nr = ev->nr;
	task->syscall_ip = ev->ip;
	task->syscall_gen = task->mm != NULL ? task->mm->vma_gen : 0;
	for (unsigned i = 0; i < 6; i++)
		task->syscall_args[i] = ev->args[i];
	if (trace_on)
		trace_enter(task, ev->nr, ev->args);
	if (!ev->gate)
		text_arrival(task, ev->nr, ev->ip, !ev->full);
	ret = task_syscall(task, ev->nr, ev->args);
	if (__builtin_expect(memory_pace_due(), 0))
		memory_pace_wait(task);
	if (ev->gate && !trace_on && task->seccomp_mode == 0)
		platform->know(task, ev->nr, ret);
	if (__builtin_expect(audit_waiting, 0))
		audit_return(task, ret);
	if (trace_on)
		trace_exit(task, ev->nr, ev->args, ret);
	task_return(task, ret, true);
}

/* A breakpoint that the program has written there itself: ours aren't in what it reads. */
static bool programs_own(struct task *task, uint64_t at)
{
	uint8_t byte;

	return get_guest(task, &byte, GVA(at)) == 0 && byte == 0xcc;
}

/* What a handler or a fork's child would see of the thread must not be a trampoline, which it knows nothing of. True: it was
 * a breakpoint of our own, and nothing has happened. */
static bool leave_trampoline(struct task *task, bool breakpoint)
{
	struct regs *regs = platform->context(task, 0);

	if (regs == NULL)
		return false;
	if (breakpoint && !programs_own(task, regs->rip - 1) && text_fix_trap(task->mm, regs))
		return true;
	(void)text_fix_ip(task->mm, regs);
	return false;
}

/* A step within a trampoline is none of the guest's, unless an instruction that was moved there has been done. */
static bool in_trampoline(struct task *task)
{
	struct regs *regs = platform->context(task, 0);

	return regs != NULL && text_stepped_nothing(task->mm, regs->rip);
}

static bool trampoline_gone(struct task *task)
{
	struct regs *regs = platform->context(task, 0);

	return regs != NULL && text_taken_away(task->mm, regs);
}

static void serve_fault(struct task *task, const struct platform_event *ev)
{
	struct linux_siginfo info = {.signo = ev->sig, .code = ev->code};

	task->syscall_nr = -1;
	if (ev->sig == LINUX_SIGSEGV && ev->code == LINUX_SEGV_MAPERR && mm_fault_grow(task, ev->addr)) {
		task_return(task, 0, false); /* a MAP_GROWSDOWN mapping has grown: the instruction runs again */
		return;
	}
	if (ev->sig == LINUX_SIGSEGV && vsyscall_fault(task, ev)) {
		task_return(task, 0, false);
		return;
	}
	if (task->mm != NULL && (task->mm->text_high != 0 || task->mm->text_gone)) {
		bool trap = ev->sig == LINUX_SIGTRAP;

		if ((trap && ev->code == LINUX_TRAP_TRACE && in_trampoline(task)) ||
		    (ev->sig == LINUX_SIGSEGV && ev->addr == ev->ip && trampoline_gone(task)) ||
		    leave_trampoline(task, trap && ev->code == LINUX_SI_KERNEL)) {
			task_return(task, 0, false);
			return;
		}
	}
	info.fault.addr = ev->addr;
	/* int3 and single steps carry no address of their own. */
	if (ev->sig == LINUX_SIGTRAP)
		info.fault.addr = ev->code == LINUX_SI_KERNEL ? 0 : ev->ip;
	task->fault_trapno = ev->trapno;
	task->fault_error = ev->error_code;
	task->fault_addr = ev->addr;
	signal_force(task, ev->sig, &info);
	task_return(task, 0, false);
}

static void task_main(void *arg)
{
	struct task *task = arg;
	struct platform_event ev;

	if (task->boot != NULL)
		task->boot(task);
	task_return(task, 0, true);
	for (;;) {
		platform->next_event(task, &ev);
		signal_mask_in(task);
		switch (ev.kind) {
		case PLATFORM_SYSCALL:
			serve_syscall(task, &ev);
			break;
		case PLATFORM_FAULT:
			serve_fault(task, &ev);
			break;
		case PLATFORM_INTERRUPTED:
			task->syscall_nr = -1;
			if (task->mm != NULL && (task->mm->text_high != 0 || task->mm->text_gone))
				(void)leave_trampoline(task, false);
			task_return(task, 0, false);
			break;
		case PLATFORM_DEAD:
			/* Killed from outside (the host's OOM killer, an operator) or for breaking the stub's protocol. */
			group_exit(task->group, LINUX_SIGKILL);
			task_exit_thread(task, LINUX_SIGKILL);
		}
	}
}

void task_start_with(struct task *task, void (*boot)(struct task *task))
{
	task->boot = boot;
	task_start(task);
}

void task_start(struct task *task)
{
	list_init(&task->run_link);
	task->co = coroutine_new(task_main, task);
	if (task->co != NULL) /* else memory is out: the caller sees it and undoes the rest */
		sched_ready(task);
}

/* ---- sleeping ---- */

struct block_timer {
	struct ktimer timer;
	struct task *task;
	bool fired;
};

static void block_timeout(struct ktimer *t)
{
	struct block_timer *b = container_of(t, struct block_timer, timer);

	b->fired = true;
	task_wake(b->task);
}

int task_block(struct task *task, enum wait_mode mode, uint64_t deadline_ns)
{
	struct block_timer b = {.task = task};
	int err = 0;

	invariant(task == running);
	task->block_mode = mode;
	if (task_dying(task) || (mode == WAIT_INTERRUPTIBLE && signal_pending(task)))
		return -LINUX_ERESTARTSYS;
	if (deadline_ns != WAIT_FOREVER) {
		if (deadline_ns <= loop_now())
			return -LINUX_ETIMEDOUT;
		ktimer_init(&b.timer, block_timeout);
		ktimer_set(&b.timer, deadline_ns);
	}
	task->blocked = true;
	task->usage.nvcsw++;
	task->woken = false;
	if (platform->park != NULL)
		platform->park(task);
	while (!task->woken)
		coroutine_suspend();
	task->blocked = false;
	if (deadline_ns != WAIT_FOREVER)
		ktimer_cancel(&b.timer);
	if (task_dying(task) || (mode == WAIT_INTERRUPTIBLE && signal_pending(task)))
		err = -LINUX_ERESTARTSYS;
	else if (b.fired)
		err = -LINUX_ETIMEDOUT;
	return err;
}

void task_wake(struct task *task)
{
	if (!task->blocked || task->woken)
		return;
	task->woken = true;
	if (platform->wakes != NULL)
		platform->wakes(task, running);
	sched_ready(task);
}

int task_wait_until(struct task *task, struct waitq *q, uint32_t events, enum wait_mode mode, uint64_t deadline_ns)
{
	struct waiter w;
	int err;

	waiter_init_task(&w, task, events);
	waitq_add(q, &w);
	err = task_block(task, mode, deadline_ns);
	waitq_remove(&w);
	/* A wake-up that came with the signal is still a wake-up: the caller checks its condition first. */
	return w.woken ? 0 : err;
}

int task_wait(struct task *task, struct waitq *q, enum wait_mode mode)
{
	return task_wait_until(task, q, 0, mode, WAIT_FOREVER);
}

void task_yield(struct task *task)
{
	invariant(task == running);
	sched_ready(task);
	coroutine_suspend();
	if (__builtin_expect(memory_pace_due(), 0))
		memory_pace_wait(task);
}

/* ---- wait queues ---- */

bool waiter_wake_task(struct waiter *w, uint32_t events)
{
	(void)events;
	w->woken = true;
	task_wake(w->task);
	return true;
}

void waiter_init_task(struct waiter *w, struct task *task, uint32_t events)
{
	list_init(&w->link);
	w->events = events;
	w->exclusive = false;
	w->woken = false;
	w->task = task;
	w->wake = waiter_wake_task;
}

void waitq_add(struct waitq *q, struct waiter *w)
{
	list_add_tail(&q->waiters, &w->link);
}

void waitq_remove(struct waiter *w)
{
	list_del(&w->link);
}

void waitq_wake(struct waitq *q, uint32_t events)
{
	struct list batch = LIST_INIT(batch);
	bool exclusive_done = false;

	/* Waiters may remove themselves (or others) while we go: each is moved back before it is called. */
	list_splice_tail(&batch, &q->waiters);
	while (!list_empty(&batch)) {
		struct waiter *w = list_first(&batch, struct waiter, link);

		list_move_tail(&q->waiters, &w->link);
		if (events != 0 && w->events != 0 && (w->events & events) == 0)
			continue;
		if (w->exclusive && exclusive_done)
			continue;
		if (w->wake(w, events) && w->exclusive)
			exclusive_done = true;
	}
}
