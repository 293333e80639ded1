/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last step of every call and every event: restarts, delivery of signals, stops, the end of a task.
 *
 *      task_return(ret)
 *        nothing pending, no restart code ------------------------------> signal_resume         (the fast path)
 *        else: next signal --> ignored | stop: sleep here | fatal: the group ends | handler: frame on the guest's stack
 *              (again, until none is left: the frame made last runs first, as in Linux)
 *        no handler ran and ret is a restart code --> the call is made again, here, without going to the guest
 *
 * Restart codes (LINUX_ERESTART*) never leave this file. Whether the call is repeated or answers -EINTR depends on the
 * first handler that runs. Repeating in place is the same to the guest as backing RIP up by two bytes; only in front of
 * a handler with SA_RESTART the registers are really wound back, because the handler runs first.
 *
 * Registers are changed only through platform->context(), which makes a full event out of a plain one (and sleeps); so
 * everything is checked again after it.
 *
 * The guest controls the stack the frame goes to (a frame that can't be written raises SIGSEGV), the whole frame it
 * gives to rt_sigreturn (flags are filtered; segments are ignored, the platform bounds the rest), handlers and masks.
 */
#include "sentry/kernel/task_internal.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/abi/sigframe.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/cpu_limit.h"
#include "sentry/kernel/membarrier.h"
#include "sentry/kernel/signal_frame.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/text.h"
#include "sentry/mm/usercopy.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/trace.h"

#include <string.h>

#define REDZONE 128
#define NR_RESTART_SYSCALL 219

static bool is_restart(int64_t ret)
{
	return ret == -LINUX_ERESTARTSYS || ret == -LINUX_ERESTARTNOINTR || ret == -LINUX_ERESTARTNOHAND ||
	       ret == -LINUX_ERESTART_RESTARTBLOCK;
}

/* ---- alternate stacks ---- */

static bool on_altstack(const struct task *task, uint64_t sp)
{
	const struct linux_stack *s = &task->altstack;

	if ((uint32_t)s->flags & LINUX_SS_AUTODISARM)
		return false;
	return sp > s->sp && sp - s->sp <= s->size;
}

static int altstack_flags(const struct task *task, uint64_t sp)
{
	if (task->altstack.size == 0)
		return LINUX_SS_DISABLE;
	return on_altstack(task, sp) ? LINUX_SS_ONSTACK : 0;
}

static void altstack_reset(struct task *task)
{
	task->altstack = (struct linux_stack){.flags = LINUX_SS_DISABLE};
}

void altstack_get(const struct task *task, uint64_t sp, struct linux_stack *out)
{
	*out = (struct linux_stack){
		.sp = task->altstack.sp,
		.flags = altstack_flags(task, sp) | (int)((uint32_t)task->altstack.flags & LINUX_SS_AUTODISARM),
		.size = task->altstack.size,
	};
}

int altstack_set(struct task *task, uint64_t sp, const struct linux_stack *ss)
{
	uint32_t mode = (uint32_t)ss->flags & ~LINUX_SS_AUTODISARM;
	struct linux_stack *s = &task->altstack;

	if (on_altstack(task, sp))
		return -LINUX_EPERM;
	if (mode != LINUX_SS_DISABLE && mode != LINUX_SS_ONSTACK && mode != 0)
		return -LINUX_EINVAL;
	if (s->sp == ss->sp && s->size == ss->size && s->flags == ss->flags)
		return 0;
	if (mode == LINUX_SS_DISABLE) {
		*s = (struct linux_stack){.flags = ss->flags};
		return 0;
	}
	if (ss->size < LINUX_MINSIGSTKSZ)
		return -LINUX_ENOMEM;
	*s = (struct linux_stack){.sp = ss->sp, .flags = ss->flags, .size = ss->size};
	return 0;
}

/* ---- frames ---- */

/* Registers for an interrupted call in front of a handler. */
static void wind_back(const struct task *task, struct regs *regs, int64_t ret, const struct linux_sigaction *a)
{
	if (ret == -LINUX_ERESTARTNOINTR || (ret == -LINUX_ERESTARTSYS && (a->flags & LINUX_SA_RESTART))) {
		regs->rip -= 2;
		regs->rax = (uint64_t)(int64_t)task->syscall_nr;
	} else {
		regs->rax = (uint64_t)(int64_t)-LINUX_EINTR;
	}
}


static void context_from_regs(const struct task *task, struct linux_sigcontext *sc, const struct regs *r)
{
	sc->r8 = r->r8;
	sc->r9 = r->r9;
	sc->r10 = r->r10;
	sc->r11 = r->r11;
	sc->r12 = r->r12;
	sc->r13 = r->r13;
	sc->r14 = r->r14;
	sc->r15 = r->r15;
	sc->rdi = r->rdi;
	sc->rsi = r->rsi;
	sc->rbp = r->rbp;
	sc->rbx = r->rbx;
	sc->rdx = r->rdx;
	sc->rax = r->rax;
	sc->rcx = r->rcx;
	sc->rsp = r->rsp;
	sc->rip = r->rip;
	sc->eflags = r->eflags;
	sc->cs = LINUX_USER_CS;
	sc->ss = LINUX_USER_SS;
	sc->err = task->fault_error;
	sc->trapno = task->fault_trapno;
	sc->cr2 = task->fault_addr;
}

static void regs_from_context(struct regs *r, const struct linux_sigcontext *sc)
{
	r->r8 = sc->r8;
	r->r9 = sc->r9;
	r->r10 = sc->r10;
	r->r11 = sc->r11;
	r->r12 = sc->r12;
	r->r13 = sc->r13;
	r->r14 = sc->r14;
	r->r15 = sc->r15;
	r->rdi = sc->rdi;
	r->rsi = sc->rsi;
	r->rbp = sc->rbp;
	r->rbx = sc->rbx;
	r->rdx = sc->rdx;
	r->rax = sc->rax;
	r->rcx = sc->rcx;
	r->rsp = sc->rsp;
	r->rip = sc->rip;
	r->eflags = (r->eflags & ~(uint64_t)LINUX_EFLAGS_RESTORED) | (sc->eflags & LINUX_EFLAGS_RESTORED);
	r->orig_rax = UINT64_MAX;
}

/* Where frame and XSAVE image go. False if they would run over the alternate stack's end. */
static bool frame_place(const struct task *task, const struct linux_sigaction *a, uint64_t rsp, uint64_t *frame,
			uint64_t *fpstate)
{
	uint64_t sp = rsp - REDZONE;
	bool nested = on_altstack(task, rsp), entering = false;

	if ((a->flags & LINUX_SA_ONSTACK) && altstack_flags(task, sp) == 0) {
		sp = task->altstack.sp + task->altstack.size;
		entering = true;
	}
	sp = (sp - platform->fpstate_size()) & ~63UL;
	*fpstate = sp;
	sp -= sizeof(struct linux_rt_sigframe);
	*frame = (sp & ~15UL) - 8;
	if (nested || entering)
		return *frame > task->altstack.sp && *frame - task->altstack.sp <= task->altstack.size;
	return true;
}

/* The frame's content; its length. */
static size_t frame_fill(const struct task *task, struct linux_rt_sigframe *f, const struct regs *regs, uint64_t fpstate,
			 const struct linux_siginfo *info, const struct linux_sigaction *a)
{
	memset(f, 0, sizeof(*f));
	f->pretcode = a->restorer;
	f->uc.flags = LINUX_UC_FP_XSTATE | LINUX_UC_SIGCONTEXT_SS | LINUX_UC_STRICT_RESTORE_SS;
	f->uc.stack = task->altstack;
	context_from_regs(task, &f->uc.mcontext, regs);
	f->uc.mcontext.fpstate = fpstate;
	f->uc.sigmask = task->restore_sigmask ? task->saved_sigmask : task->sigmask;
	f->uc.mcontext.oldmask = f->uc.sigmask;
	if (!(a->flags & LINUX_SA_SIGINFO))
		return offsetof(struct linux_rt_sigframe, info);
	f->info = *info;
	return sizeof(*f);
}

/* Points the registers at the handler. */
static void enter_handler(struct regs *regs, uint64_t at, int sig, const struct linux_sigaction *a)
{
	regs->rdi = (uint64_t)sig;
	regs->rsi = at + offsetof(struct linux_rt_sigframe, info);
	regs->rdx = at + offsetof(struct linux_rt_sigframe, uc);
	regs->rax = 0;
	regs->rsp = at;
	regs->rip = a->handler;
	regs->eflags &= ~(uint64_t)(LINUX_EFLAGS_DF | LINUX_EFLAGS_RF | LINUX_EFLAGS_TF);
	regs->orig_rax = UINT64_MAX;
}

/* Builds the frame and points the registers at the handler. -LINUX_EFAULT: nothing of the registers has changed. */
static int frame_push(struct task *task, struct regs *regs, int sig, const struct linux_siginfo *info,
		      const struct linux_sigaction *a)
{
	struct linux_rt_sigframe f;
	uint64_t at, fpstate;
	size_t len;

	if (!(a->flags & LINUX_SA_RESTORER) || !frame_place(task, a, regs->rsp, &at, &fpstate))
		return -LINUX_EFAULT;
	if (platform->fpstate_save(task, GVA(fpstate)) != 0)
		return -LINUX_EFAULT;
	len = frame_fill(task, &f, regs, fpstate, info, a);
	if (copy_to_guest(task, GVA(at), &f, len) != 0)
		return -LINUX_EFAULT;
	/* Handlers begin with a clean vector state. */
	(void)platform->fpstate_load(task, GVA(0));
	enter_handler(regs, at, sig, a);
	return 0;
}

/*
 * The first handler after a call that came over shared memory: the thread itself writes the frame and goes there, which
 * takes no trap. False: the long way.
 */
static bool frame_jump(struct task *task, int64_t ret, bool restart, int sig, const struct linux_siginfo *info,
		       const struct linux_sigaction *a)
{
	struct linux_rt_sigframe f;
	uint64_t at, fpstate;
	struct regs regs;
	size_t len;

	if (platform->call_regs == NULL || !(a->flags & LINUX_SA_RESTORER) || !platform->call_regs(task, ret, &regs))
		return false;
	if (restart)
		wind_back(task, &regs, ret, a);
	regs.eflags = (regs.eflags & LINUX_EFLAGS_RESTORED) | LINUX_EFLAGS_IF | LINUX_EFLAGS_FIXED;
	if (!frame_place(task, a, regs.rsp, &at, &fpstate) ||
	    !mm_plain_memory(task->mm, at, fpstate + platform->fpstate_size()))
		return false;
	len = frame_fill(task, &f, &regs, fpstate, info, a);
	enter_handler(&regs, at, sig, a);
	return platform->jump(task, &regs, fpstate, at, &f, len);
}

/* SIGSEGV for a handler that can't be run. While handling SIGSEGV itself there is no other way than the end. */
static void force_segv(struct task *task, int sig)
{
	if (sig == LINUX_SIGSEGV)
		task->sighand->action[LINUX_SIGSEGV - 1].handler = LINUX_SIG_DFL;
	(void)signal_force(task, LINUX_SIGSEGV, NULL);
}

/* ---- choosing ---- */

/*
 * The next signal that has a handler: its number, with a copy of its action, or 0. Stops sleep in here; a fatal signal
 * does not return at all.
 */
static int next_handled(struct task *task, struct linux_siginfo *info, struct linux_sigaction *action)
{
	struct thread_group *g = task->group;

	for (;;) {
		struct linux_sigaction *a;
		int sig;

		if (task_dying(task))
			task_exit_thread(task, g->exiting ? g->exit_status : 0);
		if (task->stop_pending) {
			task_stop(task);
			continue;
		}
		sig = signal_dequeue_next(task, info);
		if (sig == 0) {
			signal_recalc(task);
			return 0;
		}
		if (trace_on)
			trace_signal(task, sig, info);
		a = &task->sighand->action[sig - 1];
		if (a->handler == LINUX_SIG_IGN)
			continue;
		if (a->handler != LINUX_SIG_DFL) {
			*action = *a;
			if (a->flags & LINUX_SA_RESETHAND)
				a->handler = LINUX_SIG_DFL;
			return sig;
		}
		if ((LINUX_SIGMASK(sig) & SIG_IGNORE_SET) || (g->unkillable && !(LINUX_SIGMASK(sig) & SIG_UNBLOCKABLE)))
			continue;
		if (LINUX_SIGMASK(sig) & SIG_STOP_SET) {
			(void)group_stop_begin(task, sig);
			continue;
		}
		group_exit(g, sig);
	}
}

static void mask_for_handler(struct task *task, int sig, const struct linux_sigaction *a)
{
	uint64_t mask = task->sigmask | a->mask;

	if (!(a->flags & LINUX_SA_NODEFER))
		mask |= LINUX_SIGMASK(sig);
	task->restore_sigmask = false; /* the frame has it */
	task->restart.fn = NULL;       /* the return from the handler may not come by the sentry */
	if ((uint32_t)task->altstack.flags & LINUX_SS_AUTODISARM)
		altstack_reset(task);
	signal_set_mask(task, mask);
}

static void restore_mask(struct task *task)
{
	if (!task->restore_sigmask)
		return;
	task->restore_sigmask = false;
	signal_set_mask(task, task->saved_sigmask);
}

/* Everything that is pending, for a call that gave ret. *ret becomes what the guest sees; a restart code stays in it if
 * no handler ran. True if the registers are set (a handler will run). */
static bool deliver(struct task *task, int64_t *ret, bool in_syscall)
{
	struct linux_sigaction action;
	struct linux_siginfo info;
	bool set = false;
	int sig;

	while ((sig = next_handled(task, &info, &action)) != 0) {
		bool restart = in_syscall && !set && is_restart(*ret);
		struct regs *regs;

		if (!set && in_syscall && frame_jump(task, *ret, restart, sig, &info, &action)) {
			set = true;
			mask_for_handler(task, sig, &action);
			continue;
		}
		regs = platform->context(task, restart ? -LINUX_EINTR : *ret);
		if (regs == NULL)
			task_exit_thread(task, LINUX_SIGKILL);
		if (!set && in_syscall) {
			if (restart)
				wind_back(task, regs, *ret, &action);
			else
				regs->rax = (uint64_t)*ret;
		}
		set = true;
		if (frame_push(task, regs, sig, &info, &action) != 0)
			force_segv(task, sig);
		else
			mask_for_handler(task, sig, &action);
	}
	return set;
}

static int64_t call_again(struct task *task, int64_t ret)
{
	int nr = ret == -LINUX_ERESTART_RESTARTBLOCK ? NR_RESTART_SYSCALL : task->syscall_nr;
	uint64_t args[6];

	memcpy(args, task->syscall_args, sizeof(args));
	/* Memory is read anew, as Linux does: what came along with the call is as old as the call. */
	if (platform->flush_out != NULL)
		platform->flush_out(task);
	if (trace_on)
		trace_enter(task, nr, args);
	ret = task_syscall(task, nr, args);
	if (trace_on)
		trace_exit(task, nr, args, ret);
	return ret;
}

static void slow_return(struct task *task, int64_t ret, bool in_syscall)
{
	struct regs *regs;

	if (task->barrier_pending)
		memory_barrier_passed(task);
	if (task->mm != NULL && task->mm->text_pending && in_syscall && !is_restart(ret) && !text_return(task, ret))
		task_exit_thread(task, LINUX_SIGKILL);
	for (;;) {
		/* The temporary mask of ppoll and its like ends here, unless it was a signal that ended the call. */
		if (!is_restart(ret) && ret != -LINUX_EINTR)
			restore_mask(task);
		if (task->sigpending && deliver(task, &ret, in_syscall)) {
			restore_mask(task);
			signal_resume(task, ret);
			return;
		}
		restore_mask(task);
		if (task->sigpending)
			continue; /* the old mask lets another one through */
		if (!in_syscall || !is_restart(ret))
			break;
		ret = call_again(task, ret);
	}
	if (in_syscall && platform->is_full(task)) {
		regs = platform->context(task, ret);
		if (regs == NULL)
			task_exit_thread(task, LINUX_SIGKILL);
		regs->rax = (uint64_t)ret;
	}
	signal_resume(task, ret);
}

void task_return(struct task *task, int64_t ret, bool in_syscall)
{
	/* rt_sigreturn's result is a restored register, whatever it looks like. */
	bool restartable = in_syscall && task->syscall_nr != -1;

	cpu_limit_hold(task);
	if (__builtin_expect(containers_frozen != 0, 0))
		container_wait_thawed(task);
	if (__builtin_expect(task->sigpending || task->restore_sigmask || task->barrier_pending ||
				     (restartable && is_restart(ret)) || platform->is_full(task) ||
				     (task->mm != NULL && task->mm->text_pending),
			     0))
		slow_return(task, ret, restartable);
	else
		signal_resume(task, ret);
}

/* ---- rt_sigreturn(2) ---- */

int64_t signal_return(struct task *task)
{
	struct regs *regs = platform->context(task, 0);
	struct linux_ucontext uc;
	uint64_t at;

	if (regs == NULL)
		return -LINUX_EINTR; /* it is gone; task_return will see that */
	/* The handler's return took the address of the restorer off the stack. */
	at = regs->rsp - 8;
	if (get_guest(task, &uc, GVA(at + offsetof(struct linux_rt_sigframe, uc))) != 0)
		goto bad;
	signal_set_mask(task, uc.sigmask);
	regs_from_context(regs, &uc.mcontext);
	if (platform->fpstate_load(task, GVA(uc.mcontext.fpstate)) != 0)
		goto bad;
	/* Linux ignores what is wrong with the stack, too. */
	(void)!altstack_set(task, regs->rsp, &uc.stack);
	task->syscall_nr = -1;
	task->restart.fn = NULL;
	return (int64_t)regs->rax;
bad:
	(void)signal_force(task, LINUX_SIGSEGV, NULL);
	task->syscall_nr = -1;
	return 0;
}

void signal_fault(struct task *task, const struct platform_event *ev)
{
	struct linux_siginfo info = {.signo = ev->sig, .code = ev->code};

	task->fault_addr = ev->addr;
	task->fault_trapno = ev->trapno;
	task->fault_error = ev->error_code;
	info.fault.addr = ev->addr;
	(void)signal_force(task, ev->sig, &info);
}
