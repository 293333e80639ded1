/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows: when one pays, when an answer may name it, and when it is unmapped, by whom. The stubs here are a transport that keeps
 * what was commanded; each thread stands in a call of the gate that waits.
 */
#include "sentry/abi/errno.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/coroutine.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/loop_internal.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/platform/stubs/stubs.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (1 * MiB)
#define DST 0x100000UL

static struct platform_thread *threads[2];
static struct platform_mm mm;
static struct host_proc proc;
static struct task tasks[2];
static struct container container;
static struct thread_group group;
static int held;
static int fails; /* what is commanded: with this */
static bool dies;  /* who is told */
static struct stub_cmd cmds[STUB_MAX_CMDS];
static unsigned ncmds;
static uint64_t slots_then; /* while it is carried out */
static int held_then;

static void hold(void *object)
{
	(*(int *)object)++;
}

static void release(void *object)
{
	(*(int *)object)--;
}

static void in_call(struct platform_thread *pt)
{
	thread_set_state(pt, THREAD_GATE);
	pt->event = (struct platform_event){.kind = PLATFORM_SYSCALL, .gate = true, .nr = SYS_pread64};
	if (!pt->gate_waits) {
		pt->gate_waits = true;
		stubs_waiting++;
	}
}

/* The stub has its orders, and carries them out. */
static void answer(uint64_t id, int64_t value)
{
	struct platform_thread *pt = threads[id - 1];

	cr_assert_eq(value, 0);
	ncmds = (unsigned)pt->mailbox->ncmds;
	slots_then = mm.window_slots;
	held_then = held;
	memcpy(cmds, pt->mailbox->cmds, sizeof(cmds));
	in_call(pt);
	pt->expected_next = pt->nexpected = 0;
	pt->result = fails;
	if (dies) {
		thread_set_state(pt, THREAD_DEAD);
		pt->gate_waits = false;
		stubs_waiting--;
	}
	pt->event_ready = true;
}

static int pass_fd(uint64_t id, int fd, int at, bool with_answer)
{
	(void)id;
	(void)fd;
	(void)at;
	(void)with_answer;
	return 3;
}

static const struct stub_transport model = {.answer = answer, .pass_fd = pass_fd};
static void (*test)(void);

_Noreturn static void body(void *arg)
{
	(void)arg;
	test();
	coroutine_exit();
}

/* In the coroutine of the first task, with two threads of one process. */
static void run(void (*fn)(void))
{
	cr_assert_eq(loop_init(), 0);
	transport = &model;
	ref_init(&mm.ref);
	list_init(&mm.procs);
	list_init(&mm.windows);
	list_init(&proc.threads);
	proc.mm = &mm;
	proc.pid = 12345;
	list_add_tail(&mm.procs, &proc.mm_link);
	for (unsigned i = 0; i < 2; i++) {
		struct platform_thread *pt = threads[i] = calloc(1, sizeof(*pt));

		list_init(&pt->gate_link);
		list_init(&pt->narrow_link);
		list_init(&tasks[i].run_link);
		stubs_thread_timer_init(pt);
		pt->mailbox = aligned_alloc(4096, MAILBOX_SIZE);
		memset(pt->mailbox, 0, MAILBOX_SIZE);
		pt->proc = &proc;
		pt->call_id = i + 1;
		pt->task = &tasks[i];
		tasks[i].pt = pt;
		in_call(pt);
		/* All that it reads goes to a place that was probed. */
		pt->segs[0] = (struct gate_seg){.addr = DST, .len = SIZE, .flags = GATE_SEG_PROBED};
		pt->nsegs = 1;
	}
	test = fn;
	tasks[0].co = coroutine_new(body, NULL);
	cr_assert_not_null(tasks[0].co);
	sched_ready(&tasks[0]);
}

static struct platform_window file(uint64_t id)
{
	return (struct platform_window){.id = id, .size = SIZE, .host_fd = 99, .hold = hold, .release = release, .object = &held};
}

static uint64_t reads(uint64_t id)
{
	uint64_t n = windows_read(&tasks[0], id, 4096, DST, 8192);

	if (n != 0)
		cr_assert_eq(threads[0]->outs[threads[0]->nouts - 1].flags, GATE_SEG_WINDOW);
	return n;
}

/* The thread's answer, and the next call. What was unmapped. */
static unsigned settled(struct platform_thread *pt)
{
	unsigned n;

	ncmds = 0;
	cr_assert(windows_settle(pt->task, pt, 0));
	cr_assert_eq(pt->nqueue, 0);
	n = ncmds;
	for (unsigned i = 0; i < n; i++) {
		cr_assert_eq(cmds[i].nr, SYS_mmap);
		cr_assert_eq(cmds[i].args[2], PROT_NONE);
		cr_assert_eq(cmds[i].args[1], SIZE);
		cr_assert_geq(cmds[i].args[0], STUB_WINDOWS);
	}
	return n;
}

static unsigned until_it_pays(uint64_t id)
{
	unsigned n = 1;

	while (!windows_pay(&tasks[0], id, SIZE, 4096))
		cr_assert_lt(n++, 10000);
	return n;
}

static void pays(void)
{
	unsigned n = until_it_pays(1);

	cr_assert_gt(n * 4096, 2 * SIZE); /* once through it isn't enough */
	cr_assert_eq(until_it_pays(1), n);
	/* Who opens it anew begins anew. */
	for (unsigned i = 0; i < n - 1; i++)
		cr_assert(!windows_pay(&tasks[0], 1, SIZE, 4096));
	windows_drop(&tasks[0], 1);
	cr_assert_eq(until_it_pays(1), n);
	/* Of two that are read in turns, neither. */
	for (unsigned i = 0; i < 4 * n; i++)
		cr_assert(!windows_pay(&tasks[0], 2 + i % 2, SIZE, 4096));
	/* Too large; not by this call; not on a thread that is lent. */
	cr_assert(!windows_pay(&tasks[0], 1, WINDOW_SIZE + 1, 1UL << 40));
	threads[0]->event.nr = SYS_io_submit;
	cr_assert(!windows_pay(&tasks[0], 1, SIZE, 1UL << 40));
	threads[0]->event.nr = SYS_read;
	threads[0]->loan = (struct platform_loan *)1;
	for (unsigned i = 0; i < n + 1; i++)
		cr_assert(!windows_pay(&tasks[0], 1, SIZE, 4096));
	threads[0]->loan = NULL;
	/* Nor where what is resident is limited. */
	cr_assert(until_it_pays(1) <= n);
	tasks[0].group = &group;
	group.container = &container;
	container.memory_limit = 1;
	for (unsigned i = 0; i < n + 1; i++)
		cr_assert(!windows_pay(&tasks[0], 1, SIZE, 4096));
	container.memory_limit = 0;
	cr_assert(until_it_pays(1) <= n);
	tasks[0].group = NULL;
}

static void is_used(void)
{
	struct platform_window w = file(1);

	cr_assert_eq(reads(1), 0);
	windows_map(&tasks[0], &w);
	cr_assert_eq(held, 1);
	cr_assert_eq(cmds[0].nr, SYS_mmap);
	cr_assert_eq(cmds[0].args[2], PROT_READ);
	cr_assert(cmds[0].args[3] & MAP_PRIVATE);
	cr_assert_eq(cmds[1].nr, SYS_madvise);
	cr_assert_eq(cmds[1].args[2], MADV_DONTFORK);
	cr_assert_eq(reads(1), 8192);
	cr_assert_eq(reads(2), 0);
	/* As far as it goes; where the call may write. */
	cr_assert_eq(windows_read(&tasks[0], 1, SIZE - 1, DST, 8192), 1);
	cr_assert_eq(windows_read(&tasks[0], 1, SIZE, DST, 8192), 0);
	cr_assert_eq(windows_read(&tasks[0], 1, 0, DST + SIZE - 1, 2), 0);
	cr_assert_eq(windows_read(&tasks[0], 1, 0, UINT64_MAX - 1, 8), 0);
	/* Another thread has its own, or none. */
	cr_assert_eq(windows_read(&tasks[1], 1, 0, DST, 8192), 0);
	/* No more segments than the box has. */
	while (threads[0]->nouts < GATE_MAX_SEGS)
		cr_assert_eq(reads(1), 8192);
	cr_assert_eq(reads(1), 0);
}

/* The call has slept, and its buffer may have been unmapped. */
static void what_was_probed_is_old(void)
{
	struct platform_window w = file(1);
	static struct mm memory;

	tasks[0].mm = &memory;
	tasks[0].syscall_gen = memory.vma_gen = 7;
	windows_map(&tasks[0], &w);
	cr_assert_eq(reads(1), 8192);
	memory.vma_gen++;
	cr_assert_eq(reads(1), 0);
	tasks[0].syscall_gen = memory.vma_gen;
	cr_assert_eq(reads(1), 8192);
	tasks[0].mm = NULL;
}

static void isnt_used_any_more(void)
{
	struct platform_window w = file(1);

	windows_map(&tasks[0], &w);
	windows_end(2);
	cr_assert_eq(reads(1), 8192);
	windows_end(1);
	cr_assert_eq(reads(1), 0);
	/* The answer names it: it stays mapped until the next. */
	cr_assert_eq(settled(threads[0]), 0);
	cr_assert_eq(settled(threads[1]), 0);
	cr_assert_eq(held, 1);
	/* In guest code the copy may still be going on. */
	thread_set_state(threads[0], THREAD_GUEST);
	threads[0]->nouts = 0;
	cr_assert_eq(settled(threads[1]), 0);
	in_call(threads[0]);
	/* Another thread may do it; neither slot nor file is free before it has been done. */
	cr_assert_eq(settled(threads[1]), 1);
	cr_assert_eq(slots_then, 1);
	cr_assert_eq(held_then, 1);
	cr_assert_eq(held, 0);
	cr_assert_eq(mm.window_slots, 0);
	cr_assert_eq(mm.windows_ended, 0);
	windows_map(&tasks[0], &w);
	cr_assert_eq(reads(1), 8192);
}

static void ends(void)
{
	struct platform_window w = file(1), other = file(2);

	/* By a close, of another file and of it, by another thread. */
	windows_map(&tasks[0], &w);
	windows_drop(&tasks[1], 2);
	cr_assert_eq(reads(1), 8192);
	threads[0]->nouts = 0;
	windows_drop(&tasks[1], 1);
	cr_assert_eq(reads(1), 0);
	cr_assert_eq(settled(threads[0]), 1);
	cr_assert_eq(settled(threads[0]), 0);
	/* By a change of rights, its own. */
	windows_map(&tasks[0], &w);
	windows_drop(&tasks[1], 0);
	cr_assert_eq(reads(1), 8192);
	threads[0]->nouts = 0;
	windows_drop(&tasks[0], 0);
	cr_assert_eq(settled(threads[0]), 1);
	/* By another file's. */
	windows_map(&tasks[0], &w);
	windows_map(&tasks[0], &other);
	cr_assert_eq(reads(1), 0);
	cr_assert_eq(reads(2), 8192);
	threads[0]->nouts = 0;
	cr_assert_eq(settled(threads[0]), 1);
	cr_assert_eq(held, 1);
	/* By a new limit on memory. */
	windows_end(0);
	cr_assert_eq(reads(2), 0);
	cr_assert_eq(settled(threads[1]), 1);
	windows_map(&tasks[0], &other);
	cr_assert_eq(reads(2), 8192);
	threads[0]->nouts = 0;
	/* By the thread's end: somebody else unmaps it. */
	windows_gone(threads[0]);
	cr_assert_eq(reads(2), 0);
	cr_assert_eq(settled(threads[1]), 1);
	cr_assert_eq(held, 0);
	cr_assert_eq(mm.window_slots, 0);
}

static void fails_to_map(void)
{
	struct platform_window w = file(1);

	fails = -LINUX_ENOMEM;
	windows_map(&tasks[0], &w);
	fails = 0;
	cr_assert_eq(reads(1), 0);
	cr_assert_eq(settled(threads[0]), 1);
	cr_assert_eq(held, 0);
	/* Behind a command of the call's own, which may fail, it isn't put. */
	windows_map(&tasks[0], &w);
	windows_end(1);
	threads[0]->queue[0] = (struct native_call){.cmd = {SYS_munmap, {0x10000, 0x1000}}, .host_fd = -1};
	threads[0]->nqueue = 1;
	cr_assert(windows_settle(&tasks[0], threads[0], 0));
	cr_assert_eq(threads[0]->nqueue, 1);
	threads[0]->nqueue = 0;
	cr_assert_eq(settled(threads[0]), 1);
}

/* Who was told dies, and the memory doesn't. */
static void is_left_by_the_dead(void)
{
	struct platform_window w = file(1);

	windows_map(&tasks[0], &w);
	windows_end(1);
	dies = true;
	cr_assert(!windows_settle(&tasks[1], threads[1], 0));
	dies = false;
	cr_assert_eq(held, 1);
	cr_assert_eq(mm.window_slots, 1);
	cr_assert_eq(reads(1), 0);
	windows_gone(threads[1]);
	cr_assert_eq(settled(threads[0]), 1);
	cr_assert_eq(held, 0);
	cr_assert_eq(mm.window_slots, 0);
	cr_assert_eq(mm.windows_ended, 0);
}

/* As many mappings as the host allows: it stays, and isn't tried at each answer. */
static void stays_if_it_cant_be_unmapped(void)
{
	struct platform_window w = file(1), other = file(2);
	int status;

	windows_map(&tasks[0], &w);
	windows_end(1);
	fails = -LINUX_ENOMEM;
	cr_assert_eq(settled(threads[0]), 1);
	fails = 0;
	cr_assert(!proc.killed);
	cr_assert_eq(held, 1);
	cr_assert_eq(mm.window_slots, 1);
	cr_assert_eq(mm.windows_ended, 0);
	cr_assert_eq(reads(1), 0);
	cr_assert_eq(settled(threads[0]), 0);
	windows_map(&tasks[0], &other);
	cr_assert_eq(cmds[0].args[0], STUB_WINDOWS + WINDOW_SIZE);
	cr_assert_eq(mm.windows_ended, 1);
	cr_assert_eq(settled(threads[0]), 1);
	cr_assert_eq(held, 1);
	cr_assert_eq(mm.window_slots, 2);
	/* Another error is a forged one. */
	windows_end(2);
	proc.pid = fork();
	if (proc.pid == 0) {
		pause();
		_exit(0);
	}
	fails = -LINUX_EINVAL;
	cr_assert_eq(settled(threads[0]), 1);
	cr_assert(proc.killed);
	fails = 0; /* nor what one says that is killed */
	cr_assert_eq(settled(threads[0]), 0);
	cr_assert_eq(waitpid(proc.pid, &status, 0), proc.pid);
	cr_assert(WIFSIGNALED(status));
	cr_assert_eq(held, 1);
	windows_free(&mm);
	cr_assert_eq(held, 0);
	cr_assert_eq(mm.windows_ended, 0);
}

static void goes_with_its_memory(void)
{
	struct platform_window w = file(1);
	static struct host_proc another;
	struct platform_thread *child = threads[1];

	uint64_t before = windows_before_fork(&mm);

	windows_forked(&mm, child, before);
	cr_assert_eq(child->nqueue, 0);
	windows_map(&tasks[0], &w);
	windows_forked(&mm, child, before); /* made meanwhile */
	cr_assert_eq(child->nqueue, 1);
	child->nqueue = 0;
	before = windows_before_fork(&mm);
	windows_forked(&mm, child, before);
	cr_assert_eq(child->nqueue, 1);
	cr_assert_eq(child->queue[0].cmd.args[0], STUB_WINDOWS);
	cr_assert_eq(child->queue[0].cmd.args[1], WINDOW_SIZE);
	child->nqueue = 0;
	windows_free(&mm);
	cr_assert_eq(held, 0);
	cr_assert_eq(mm.window_slots, 0);
	windows_forked(&mm, child, before); /* it was there when the fork began */
	cr_assert_eq(child->nqueue, 1);
	child->nqueue = 0;
	windows_forked(&mm, child, windows_before_fork(&mm));
	cr_assert_eq(child->nqueue, 0);
	/* Where another process has the same memory there are none. */
	threads[0]->window = NULL;
	list_add_tail(&mm.procs, &another.mm_link);
	windows_map(&tasks[0], &w);
	cr_assert_eq(held, 0);
	cr_assert_eq(reads(1), 0);
}

#define CASE(name) \
	Test(windows, name) \
	{ \
		run(name); \
		cr_assert(sched_run()); \
	}
CASE(pays)
CASE(is_used)
CASE(what_was_probed_is_old)
CASE(isnt_used_any_more)
CASE(ends)
CASE(fails_to_map)
CASE(is_left_by_the_dead)
CASE(stays_if_it_cant_be_unmapped)
CASE(goes_with_its_memory)
