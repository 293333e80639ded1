/* SPDX-License-Identifier: Apache-2.0 */
/* fork(2), vfork(2), clone(2): argument checking; the work is sentry/kernel/fork.c's. */
#include "sentry/abi/capability.h"
#include "sentry/abi/process.h"
#include "sentry/abi/signal.h"
#include "sentry/kernel/task.h"
#include "syscalls/define.h"

#include <string.h>

SYSCALL_DEFINE0(fork)
{
	struct clone_args c = {.exit_signal = LINUX_SIGCHLD};

	return task_clone(task, &c);
}

SYSCALL_DEFINE0(vfork)
{
	struct clone_args c = {.flags = LINUX_CLONE_VFORK | LINUX_CLONE_VM, .exit_signal = LINUX_SIGCHLD};

	return task_clone(task, &c);
}

SYSCALL_DEFINE5(clone, uint64_t, flags, gva_t, stack, gva_t, parent_tid, gva_t, child_tid, uint64_t, tls)
{
	struct clone_args args = {
		.flags = (uint32_t)flags & ~LINUX_CSIGNAL,
		.exit_signal = (int)(flags & LINUX_CSIGNAL),
		.pidfd = parent_tid,
		.parent_tid = parent_tid,
		.child_tid = child_tid,
		.stack = stack,
		.tls = tls,
	};

	/* One argument can't be both. */
	if ((args.flags & LINUX_CLONE_PIDFD) && (args.flags & LINUX_CLONE_PARENT_SETTID))
		return -LINUX_EINVAL;
	return task_clone(task, &args);
}

static int clone3_check(const struct linux_clone_args *c, uint64_t size)
{
	const uint64_t high = LINUX_CLONE_CLEAR_SIGHAND | LINUX_CLONE_INTO_CGROUP;

	if (c->set_tid_size > 32 || (c->set_tid == 0) != (c->set_tid_size == 0))
		return -LINUX_EINVAL;
	if ((c->exit_signal & ~LINUX_CSIGNAL) || c->exit_signal > LINUX_NSIG)
		return -LINUX_EINVAL;
	if ((c->flags & LINUX_CLONE_INTO_CGROUP) && (c->cgroup > INT32_MAX || size < sizeof(*c)))
		return -LINUX_EINVAL;
	if ((c->flags & ~(UINT32_MAX | high)) ||
	    (c->flags & (LINUX_CLONE_DETACHED | (LINUX_CSIGNAL & ~LINUX_CLONE_NEWTIME))))
		return -LINUX_EINVAL;
	if ((c->flags & (LINUX_CLONE_THREAD | LINUX_CLONE_PARENT)) && c->exit_signal != 0)
		return -LINUX_EINVAL;
	if ((c->stack == 0) != (c->stack_size == 0))
		return -LINUX_EINVAL;
	if (c->stack_size > LINUX_TASK_SIZE_MAX || c->stack > LINUX_TASK_SIZE_MAX - c->stack_size)
		return -LINUX_EINVAL;
	return 0;
}

SYSCALL_DEFINE2(clone3, gva_t, uargs, uint64_t, size)
{
	struct linux_clone_args c;
	struct clone_args args;
	int err;

	if (size > PAGE_SIZE)
		return -LINUX_E2BIG;
	if (size < LINUX_CLONE_ARGS_SIZE_VER0)
		return -LINUX_EINVAL;
	err = copy_struct_from_guest(task, &c, sizeof(c), uargs, size);
	if (!err)
		err = clone3_check(&c, size);
	if (err)
		return err;
	args = (struct clone_args){
		.flags = c.flags,
		.pidfd = GVA(c.pidfd),
		.child_tid = GVA(c.child_tid),
		.parent_tid = GVA(c.parent_tid),
		.exit_signal = (int)c.exit_signal,
		.stack = GVA(c.stack + c.stack_size),
		.tls = c.tls,
	};
	if (c.set_tid_size != 0) {
		if (get_guest(task, &args.set_tid, GVA(c.set_tid)))
			return -LINUX_EFAULT;
		/* There is one pid namespace. */
		if (c.set_tid_size != 1 || args.set_tid < 1)
			return -LINUX_EINVAL;
		if (!task_capable(task, LINUX_CAP_SYS_ADMIN) && !task_capable(task, LINUX_CAP_CHECKPOINT_RESTORE))
			return -LINUX_EPERM;
	}
	return task_clone(task, &args);
}
