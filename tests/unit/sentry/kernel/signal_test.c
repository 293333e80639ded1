/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals and job control without a guest: a fake platform whose guest memory is one buffer, and whose threads are only
 * told to go on.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/sigframe.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/signal_frame.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/platform/platform.h"
#include "sentry/vfs/vfs.h"

#include <criterion/criterion.h>
#include <string.h>

#define STACK 0x70000000UL
#define STACK_SIZE 65536UL
#define HANDLER 0x401000UL
#define RESTORER 0x402000UL
#define FPSIZE 832

static uint8_t stack[STACK_SIZE];
static struct regs regs;
static bool full;
static unsigned kicks, resumes;
static int64_t resumed_with;

static bool in_stack(uint64_t addr, size_t len)
{
	return addr >= STACK && addr < STACK + STACK_SIZE && len <= STACK + STACK_SIZE - addr;
}
static size_t fake_read(struct platform_mm *pmm, void *dst, uint64_t addr, size_t len)
{
	(void)pmm;
	if (!in_stack(addr, len))
		return 0;
	memcpy(dst, stack + (addr - STACK), len);
	return len;
}
static size_t fake_write(struct platform_mm *pmm, uint64_t addr, const void *src, size_t len)
{
	(void)pmm;
	if (!in_stack(addr, len))
		return 0;
	memcpy(stack + (addr - STACK), src, len);
	return len;
}
static struct regs *fake_context(struct task *t, int64_t value)
{
	(void)t;
	if (!full)
		regs.rax = (uint64_t)value;
	full = true;
	return &regs;
}
static void fake_resume(struct task *t, int64_t value)
{
	(void)t;
	resumes++;
	resumed_with = full ? (int64_t)regs.rax : value;
	full = false;
}
static bool fake_full(const struct task *t)
{
	(void)t;
	return full;
}
static void fake_kick(struct task *t)
{
	(void)t;
	kicks++;
}
static size_t fake_fpsize(void)
{
	return FPSIZE;
}
static int fake_fpsave(struct task *t, gva_t dst)
{
	(void)t;
	cr_assert_eq(dst.v % 64, 0);
	return in_stack(dst.v, FPSIZE) ? 0 : -LINUX_EFAULT;
}
static int fake_fpload(struct task *t, gva_t src)
{
	(void)t;
	return in_stack(src.v, FPSIZE) ? 0 : -LINUX_EFAULT;
}
static void fake_times(struct platform_thread *pt, bool last, uint64_t *u, uint64_t *s)
{
	(void)pt;
	(void)last;
	*u = *s = 0;
}

static const struct platform_ops fake = {
	.mm_read = fake_read,
	.mm_write = fake_write,
	.context = fake_context,
	.resume = fake_resume,
	.is_full = fake_full,
	.kick = fake_kick,
	.fpstate_size = fake_fpsize,
	.fpstate_save = fake_fpsave,
	.fpstate_load = fake_fpload,
	.thread_times = fake_times,
};

static struct mm mm;
static struct task *task, *parent;

static struct task *new_process(void)
{
	struct task *t = task_new_process(cred_new(1000, 1000), NULL, NULL);

	cr_assert_not_null(t);
	t->mm = &mm;
	t->pt = (struct platform_thread *)&mm;
	return t;
}

/* A second thread of g. */
static struct task *new_thread(struct task *first)
{
	struct task *t = task_alloc();

	cr_assert_not_null(t);
	cr_assert_eq(pid_alloc(pid_space_first(), &t->tid), 0);
	t->group = group_get(first->group);
	t->cred = cred_get(first->cred);
	ref_get(&first->sighand->ref);
	t->sighand = first->sighand;
	t->mm = &mm;
	t->pt = first->pt;
	task_link(t);
	return t;
}

static void setup(void)
{
	platform = &fake;
	mm.pmm = (struct platform_mm *)&mm;
	parent = new_process(); /* init */
	task = new_process();
	task->group->parent = parent->group;
	list_add_tail(&parent->group->children, &task->group->sibling);
	memset(&regs, 0, sizeof(regs));
	regs.rsp = STACK + 32768 + 4;
	regs.rip = 0x400100;
	regs.rbx = 77;
	regs.eflags = LINUX_EFLAGS_IF | LINUX_EFLAGS_ZF | LINUX_EFLAGS_DF;
	full = false;
	kicks = resumes = 0;
	task->syscall_nr = 0;
}

TestSuite(signal, .init = setup);

static void handle(int sig, uint64_t flags, uint64_t mask)
{
	struct linux_sigaction a = {HANDLER, flags | LINUX_SA_RESTORER, RESTORER, mask}, old;

	cr_assert_eq(signal_set_action(task, sig, &a, &old), 0);
}

static struct linux_rt_sigframe *frame(void)
{
	cr_assert(in_stack(regs.rsp, sizeof(struct linux_rt_sigframe)));
	return (struct linux_rt_sigframe *)(stack + (regs.rsp - STACK));
}

Test(signal, nothing_pending_resumes_at_once)
{
	task_return(task, 42, true);
	cr_assert_eq(resumes, 1);
	cr_assert_eq(resumed_with, 42);
}

Test(signal, a_frame_is_laid_out_as_the_abi_says)
{
	struct linux_siginfo info;
	struct linux_rt_sigframe *f;

	handle(LINUX_SIGUSR1, LINUX_SA_SIGINFO, LINUX_SIGMASK(LINUX_SIGUSR2));
	siginfo_from_task(&info, LINUX_SIGUSR1, LINUX_SI_USER, parent);
	cr_assert_eq(signal_send_group(task->group, LINUX_SIGUSR1, &info), 0);
	cr_assert(signal_pending(task));
	task_return(task, 5, true);
	cr_assert_eq(resumes, 1);
	f = frame();
	cr_assert_eq(regs.rsp % 16, 8);
	cr_assert_eq(regs.rip, HANDLER);
	cr_assert_eq(regs.rdi, LINUX_SIGUSR1);
	cr_assert_eq(regs.rsi, regs.rsp + offsetof(struct linux_rt_sigframe, info));
	cr_assert_eq(regs.rdx, regs.rsp + 8);
	cr_assert_eq(regs.rax, 0);
	cr_assert_eq(regs.eflags & LINUX_EFLAGS_DF, 0);
	cr_assert_eq(f->pretcode, RESTORER);
	cr_assert_eq(f->info.kill.pid, parent->group->pid);
	cr_assert_eq(f->uc.mcontext.rax, 5);
	cr_assert_eq(f->uc.mcontext.rip, 0x400100);
	cr_assert_eq(f->uc.mcontext.rbx, 77);
	cr_assert_eq(f->uc.mcontext.cs, 0x33);
	cr_assert_eq(f->uc.mcontext.fpstate % 64, 0);
	cr_assert_leq(f->uc.mcontext.fpstate + FPSIZE, STACK + 32768 + 4 - 128);
	cr_assert_eq(f->uc.sigmask, 0);
	cr_assert_eq(task->sigmask, LINUX_SIGMASK(LINUX_SIGUSR1) | LINUX_SIGMASK(LINUX_SIGUSR2));

	/* And back: the handler has returned through the restorer. */
	full = true;
	regs.rsp += 8;
	regs.rbx = 0;
	task->syscall_nr = 15;
	task_return(task, signal_return(task), true);
	cr_assert_eq(regs.rax, 5);
	cr_assert_eq(regs.rip, 0x400100);
	cr_assert_eq(regs.rbx, 77);
	cr_assert_eq(regs.rsp, STACK + 32768 + 4);
	cr_assert_eq(regs.eflags, LINUX_EFLAGS_IF | LINUX_EFLAGS_ZF | LINUX_EFLAGS_DF);
	cr_assert_eq(task->sigmask, 0);
}

Test(signal, restart_codes_follow_the_handler)
{
	static const struct {
		int64_t ret;
		uint64_t flags;
		bool again;
	} cases[] = {
		{-LINUX_ERESTARTSYS, 0, false},
		{-LINUX_ERESTARTSYS, LINUX_SA_RESTART, true},
		{-LINUX_ERESTARTNOINTR, 0, true},
		{-LINUX_ERESTARTNOHAND, LINUX_SA_RESTART, false},
		{-LINUX_ERESTART_RESTARTBLOCK, LINUX_SA_RESTART, false},
	};
	struct regs before = regs;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		regs = before;
		full = false;
		task->syscall_nr = 61;
		signal_set_mask(task, 0);
		handle(LINUX_SIGUSR1, cases[i].flags, 0);
		cr_assert_eq(signal_send_task(task, LINUX_SIGUSR1, NULL), 0);
		task_return(task, cases[i].ret, true);
		cr_assert_eq(frame()->uc.mcontext.rip, cases[i].again ? before.rip - 2 : before.rip, "case %zu", i);
		cr_assert_eq(frame()->uc.mcontext.rax, cases[i].again ? 61UL : (uint64_t)-LINUX_EINTR, "case %zu", i);
	}
}

Test(signal, several_frames_nest_in_linux_order)
{
	handle(LINUX_SIGUSR1, 0, 0);
	handle(LINUX_SIGUSR2, 0, 0);
	regs.rip = 0x400100;
	signal_set_mask(task, UINT64_MAX);
	cr_assert_eq(signal_send_task(task, LINUX_SIGUSR2, NULL), 0);
	cr_assert_eq(signal_send_task(task, LINUX_SIGUSR1, NULL), 0);
	signal_set_mask(task, 0);
	task_return(task, 0, true);
	/* The lower one was set up first, so the higher one's handler runs first. */
	cr_assert_eq(regs.rdi, LINUX_SIGUSR2);
	cr_assert_eq(frame()->uc.mcontext.rdi, LINUX_SIGUSR1);
	cr_assert_eq(frame()->uc.mcontext.rip, HANDLER);
}

Test(signal, the_alternate_stack_is_used_and_reported)
{
	struct linux_stack ss = {.sp = STACK + 4096, .size = 8192}, old;

	cr_assert_eq(altstack_set(task, regs.rsp, &ss), 0);
	handle(LINUX_SIGUSR1, LINUX_SA_ONSTACK, 0);
	cr_assert_eq(signal_send_task(task, LINUX_SIGUSR1, NULL), 0);
	task_return(task, 0, true);
	cr_assert(regs.rsp > STACK + 4096 && regs.rsp < STACK + 4096 + 8192);
	altstack_get(task, regs.rsp, &old);
	cr_assert_eq(old.flags, LINUX_SS_ONSTACK);
	cr_assert_eq(altstack_set(task, regs.rsp, &ss), -LINUX_EPERM);
}

Test(signal, standard_signals_coalesce_and_real_time_ones_queue)
{
	struct linux_siginfo info = {.code = LINUX_SI_QUEUE};
	int i;

	signal_set_mask(task, UINT64_MAX);
	for (i = 0; i < 3; i++) {
		info.kill.value = (uint64_t)i;
		cr_assert_eq(signal_send_task(task, LINUX_SIGUSR1, &info), 0);
		cr_assert_eq(signal_send_task(task, 40, &info), 0);
	}
	cr_assert_eq(signal_dequeue(task, UINT64_MAX, &info), LINUX_SIGUSR1);
	cr_assert_eq(info.kill.value, 0);
	for (i = 0; i < 3; i++) {
		cr_assert_eq(signal_dequeue(task, UINT64_MAX, &info), 40);
		cr_assert_eq(info.kill.value, (uint64_t)i);
	}
	cr_assert_eq(signal_dequeue(task, UINT64_MAX, &info), 0);
	cr_assert_eq(signal_queued_of(1000), 0);
}

Test(signal, the_queue_has_a_limit)
{
	struct linux_siginfo info = {.code = LINUX_SI_QUEUE};

	task->group->rlimits[LINUX_RLIMIT_SIGPENDING].cur = 2;
	signal_set_mask(task, UINT64_MAX);
	cr_assert_eq(signal_send_task(task, 40, &info), 0);
	cr_assert_eq(signal_send_task(task, 40, &info), 0);
	cr_assert_eq(signal_send_task(task, 40, &info), -LINUX_EAGAIN);
	/* kill(2)'s may lose its details, but not itself. */
	info.code = LINUX_SI_USER;
	cr_assert_eq(signal_send_task(task, 41, &info), 0);
	cr_assert(task->pending.set & LINUX_SIGMASK(41));
}

Test(signal, ignored_signals_are_dropped_unless_blocked)
{
	cr_assert_eq(signal_send_task(task, LINUX_SIGCHLD, NULL), 0);
	cr_assert_eq(task->pending.set, 0);
	signal_set_mask(task, LINUX_SIGMASK(LINUX_SIGCHLD));
	cr_assert_eq(signal_send_task(task, LINUX_SIGCHLD, NULL), 0);
	cr_assert_eq(task->pending.set, LINUX_SIGMASK(LINUX_SIGCHLD));
}

Test(signal, init_is_immune_without_a_handler)
{
	cr_assert_eq(signal_send_group(parent->group, LINUX_SIGTERM, NULL), 0);
	cr_assert_eq(signal_send_group(parent->group, LINUX_SIGKILL, NULL), 0);
	cr_assert_not(parent->group->exiting);
	signal_kill_group(parent->group);
	cr_assert(parent->group->exiting);
	cr_assert_eq(parent->group->exit_status, LINUX_SIGKILL);
}

Test(signal, a_fatal_signal_ends_the_group_at_once)
{
	struct task *other = new_thread(task);

	cr_assert_eq(signal_send_group(task->group, LINUX_SIGTERM, NULL), 0);
	cr_assert(task->group->exiting);
	cr_assert(task_dying(other) && signal_pending(other));
	cr_assert_eq(task->group->exit_status, LINUX_SIGTERM);
}

Test(signal, a_group_signal_goes_to_a_thread_that_takes_it)
{
	struct task *other = new_thread(task);

	handle(LINUX_SIGUSR1, 0, 0);
	signal_set_mask(task, LINUX_SIGMASK(LINUX_SIGUSR1));
	cr_assert_eq(signal_send_group(task->group, LINUX_SIGUSR1, NULL), 0);
	cr_assert_not(signal_pending(task));
	cr_assert(signal_pending(other));
	cr_assert_eq(kicks, 1);
	/* The other one blocks it, too, before it could take it: it is ours again once we unblock. */
	signal_set_mask(other, LINUX_SIGMASK(LINUX_SIGUSR1));
	cr_assert_not(signal_pending(other));
	signal_set_mask(task, 0);
	cr_assert(signal_pending(task));
}

Test(signal, the_same_thread_is_found_again)
{
	struct task *other = new_thread(task);
	struct linux_siginfo info;

	handle(LINUX_SIGUSR1, 0, 0);
	signal_set_mask(task, LINUX_SIGMASK(LINUX_SIGUSR1));
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(signal_send_group(task->group, LINUX_SIGUSR1, NULL), 0);
		cr_assert(signal_pending(other));
		cr_assert_eq(signal_dequeue(other, UINT64_MAX, &info), LINUX_SIGUSR1);
		cr_assert_not(signal_pending(other));
	}
}

Test(signal, stop_and_continue_cancel_each_other)
{
	signal_set_mask(task, UINT64_MAX);
	cr_assert_eq(signal_send_task(task, LINUX_SIGTSTP, NULL), 0);
	cr_assert_eq(signal_send_task(task, LINUX_SIGCONT, NULL), 0);
	cr_assert_eq(signal_pending_set(task), LINUX_SIGMASK(LINUX_SIGCONT));
	cr_assert_eq(signal_send_group(task->group, LINUX_SIGTSTP, NULL), 0);
	cr_assert_eq(signal_pending_set(task), LINUX_SIGMASK(LINUX_SIGTSTP));
}

Test(signal, a_stop_waits_for_every_thread)
{
	struct task *other = new_thread(task);

	cr_assert(group_stop_begin(task, LINUX_SIGSTOP));
	cr_assert_eq(task->group->stop_count, 2);
	cr_assert(signal_pending(other));
	task->stopped = true;
	group_stop_participate(task);
	cr_assert_eq(task->group->stop, GROUP_RUNNING);
	other->stopped = true;
	group_stop_participate(other);
	cr_assert_eq(task->group->stop, GROUP_STOPPED);
	cr_assert(task->group->stop_reported_pending);
	cr_assert_eq(signal_send_group(task->group, LINUX_SIGCONT, NULL), 0);
	cr_assert_eq(task->group->stop, GROUP_RUNNING);
	cr_assert(task->group->continued_pending && !task->stopped && !other->stopped);
}

Test(signal, terminal_stops_pass_an_orphaned_group_by)
{
	task->group->parent = NULL;
	cr_assert(pgrp_is_orphaned(task->group->pgrp));
	cr_assert_not(group_stop_begin(task, LINUX_SIGTSTP));
	cr_assert(group_stop_begin(task, LINUX_SIGSTOP));
}

Test(signal, a_fault_overrides_mask_and_ignoring)
{
	struct linux_sigaction ign = {.handler = LINUX_SIG_IGN}, old;

	cr_assert_eq(signal_set_action(task, LINUX_SIGSEGV, &ign, &old), 0);
	signal_set_mask(task, LINUX_SIGMASK(LINUX_SIGSEGV));
	cr_assert_eq(signal_force(task, LINUX_SIGSEGV, NULL), 0);
	cr_assert(signal_pending(task));
	cr_assert_eq(task->sighand->action[LINUX_SIGSEGV - 1].handler, LINUX_SIG_DFL);
}
