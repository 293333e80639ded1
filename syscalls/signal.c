/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: rt_sig*, kill and relatives, sigaltstack (signal(7)). */
#include "sentry/abi/signal.h"
#include "sentry/kernel/signal_frame.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/time.h"
#include "sentry/platform/platform.h"
#include "syscalls/define.h"

#include <string.h>

SYSCALL_DEFINE4(rt_sigaction, int, sig, gva_t, act, gva_t, oldact, uint64_t, size)
{
	struct linux_sigaction new, old;
	int err;

	if (size != sizeof(uint64_t))
		return -LINUX_EINVAL;
	if (act.v != 0 && get_guest(task, &new, act))
		return -LINUX_EFAULT;
	err = signal_set_action(task, sig, act.v != 0 ? &new : NULL, &old);
	if (err)
		return err;
	return oldact.v != 0 ? put_guest(task, oldact, &old) : 0;
}

SYSCALL_DEFINE4(rt_sigprocmask, int, how, gva_t, set, gva_t, oldset, uint64_t, size)
{
	enum { BLOCK, UNBLOCK, SETMASK };
	uint64_t mask, old = task->sigmask;

	if (size != sizeof(mask))
		return -LINUX_EINVAL;
	if (set.v != 0) {
		if (get_guest(task, &mask, set))
			return -LINUX_EFAULT;
		if (how == BLOCK)
			mask |= old;
		else if (how == UNBLOCK)
			mask = old & ~mask;
		else if (how != SETMASK)
			return -LINUX_EINVAL;
		signal_set_mask(task, mask);
	}
	return oldset.v != 0 ? put_guest(task, oldset, &old) : 0;
}

SYSCALL_DEFINE2(rt_sigpending, gva_t, set, uint64_t, size)
{
	uint64_t pending = signal_pending_set(task) & task->sigmask;

	if (size > sizeof(pending))
		return -LINUX_EINVAL;
	return copy_to_guest(task, set, &pending, size);
}

SYSCALL_DEFINE4(rt_sigtimedwait, gva_t, these, gva_t, uinfo, gva_t, timeout, uint64_t, size)
{
	uint64_t set, deadline = WAIT_FOREVER, ns;
	struct linux_timespec ts;
	struct linux_siginfo info;
	int sig;

	if (size != sizeof(set))
		return -LINUX_EINVAL;
	if (get_guest(task, &set, these))
		return -LINUX_EFAULT;
	if (timeout.v != 0) {
		if (get_guest(task, &ts, timeout))
			return -LINUX_EFAULT;
		if (!timespec_valid(&ts))
			return -LINUX_EINVAL;
		ns = timespec_to_ns(&ts);
		deadline = ns != 0 ? time_deadline_in(ns) : 0;
	}
	sig = signal_wait(task, set, deadline, &info);
	if (sig > 0 && uinfo.v != 0 && put_guest(task, uinfo, &info))
		return -LINUX_EFAULT;
	return sig;
}

SYSCALL_DEFINE2(rt_sigsuspend, gva_t, set, uint64_t, size)
{
	uint64_t mask;

	if (size != sizeof(mask))
		return -LINUX_EINVAL;
	if (get_guest(task, &mask, set))
		return -LINUX_EFAULT;
	signal_temp_mask(task, mask);
	while (task_block(task, WAIT_INTERRUPTIBLE, WAIT_FOREVER) == 0)
		;
	return -LINUX_ERESTARTNOHAND;
}

SYSCALL_DEFINE0(pause)
{
	while (task_block(task, WAIT_INTERRUPTIBLE, WAIT_FOREVER) == 0)
		;
	return -LINUX_ERESTARTNOHAND;
}

SYSCALL_DEFINE0(rt_sigreturn)
{
	return signal_return(task);
}

SYSCALL_DEFINE0(restart_syscall)
{
	int64_t (*fn)(struct task *) = task->restart.fn;

	task->restart.fn = NULL;
	return fn != NULL ? fn(task) : -LINUX_EINTR;
}

SYSCALL_DEFINE2(sigaltstack, gva_t, uss, gva_t, uold)
{
	struct regs *regs = platform->context(task, 0);
	struct linux_stack new, old;
	int err = 0;

	if (regs == NULL)
		return -LINUX_EINTR;
	if (uss.v != 0 && get_guest(task, &new, uss))
		return -LINUX_EFAULT;
	altstack_get(task, regs->rsp, &old);
	if (uss.v != 0)
		err = altstack_set(task, regs->rsp, &new);
	if (err == 0 && uold.v != 0)
		err = put_guest(task, uold, &old);
	return err;
}

/* ---- sending ---- */

SYSCALL_DEFINE2(kill, int, pid, int, sig)
{
	struct linux_siginfo info;
	struct task *target;

	if (pid <= 0)
		return signal_send_many(task, pid, sig);
	target = task_find(pid);
	if (target == NULL)
		return -LINUX_ESRCH;
	siginfo_from_task(&info, sig, LINUX_SI_USER, task);
	return signal_kill_one(task, target->group, sig, &info);
}

static int64_t send_to_thread(struct task *task, int32_t tgid, int32_t tid, int sig, const struct linux_siginfo *info)
{
	struct task *target = task_find(tid);
	int err;

	if (target == NULL || (tgid > 0 && target->group->pid != tgid))
		return -LINUX_ESRCH;
	if (sig < 0 || sig > LINUX_NSIG)
		return -LINUX_EINVAL;
	err = signal_may_send(task, target, sig);
	if (err || sig == 0)
		return err;
	return signal_send_task(target, sig, info);
}

SYSCALL_DEFINE2(tkill, int, tid, int, sig)
{
	struct linux_siginfo info;

	if (tid <= 0)
		return -LINUX_EINVAL;
	siginfo_from_task(&info, sig, LINUX_SI_TKILL, task);
	return send_to_thread(task, 0, tid, sig, &info);
}

SYSCALL_DEFINE3(tgkill, int, tgid, int, tid, int, sig)
{
	struct linux_siginfo info;

	if (tgid <= 0 || tid <= 0)
		return -LINUX_EINVAL;
	siginfo_from_task(&info, sig, LINUX_SI_TKILL, task);
	return send_to_thread(task, tgid, tid, sig, &info);
}

/* Nobody but the process itself may pretend that a signal comes from the kernel or from kill. */
static bool forged(const struct task *task, int32_t to, const struct linux_siginfo *info)
{
	return (info->code >= 0 || info->code == LINUX_SI_TKILL) && task->tid != to;
}

SYSCALL_DEFINE3(rt_sigqueueinfo, int, pid, int, sig, gva_t, uinfo)
{
	struct linux_siginfo info;
	struct task *target;

	if (get_guest(task, &info, uinfo))
		return -LINUX_EFAULT;
	info.signo = sig;
	if (forged(task, pid, &info))
		return -LINUX_EPERM;
	target = task_find(pid);
	if (target == NULL)
		return -LINUX_ESRCH;
	return signal_kill_one(task, target->group, sig, &info);
}

SYSCALL_DEFINE4(rt_tgsigqueueinfo, int, tgid, int, tid, int, sig, gva_t, uinfo)
{
	struct linux_siginfo info;

	if (get_guest(task, &info, uinfo))
		return -LINUX_EFAULT;
	info.signo = sig;
	if (tgid <= 0 || tid <= 0)
		return -LINUX_EINVAL;
	if (forged(task, tid, &info))
		return -LINUX_EPERM;
	return send_to_thread(task, tgid, tid, sig, &info);
}
