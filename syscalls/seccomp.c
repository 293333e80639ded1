/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp(2), and prctl(PR_SET_SECCOMP)'s way to it. */
#include "sentry/kernel/seccomp.h"

#include "sentry/abi/capability.h"
#include "sentry/base/alloc.h"
#include "syscalls/define.h"
#include "syscalls/seccomp.h"

static int64_t set_filter(struct task *task, uint32_t flags, gva_t uprog)
{
	const uint32_t known = LINUX_SECCOMP_FLAG_TSYNC | LINUX_SECCOMP_FLAG_LOG | LINUX_SECCOMP_FLAG_SPEC_ALLOW |
			       LINUX_SECCOMP_FLAG_TSYNC_ESRCH;
	struct linux_sock_filter *insns;
	struct linux_sock_fprog prog;

	if (flags & ~known)
		return -LINUX_EINVAL;
	if (get_guest(task, &prog, uprog))
		return -LINUX_EFAULT;
	if (prog.len == 0 || prog.len > LINUX_BPF_MAXINSNS)
		return -LINUX_EINVAL;
	if (!task->no_new_privs && !task_capable(task, LINUX_CAP_SYS_ADMIN))
		return -LINUX_EACCES;
	insns = kcalloc(prog.len, sizeof(*insns));
	if (insns == NULL)
		return -LINUX_ENOMEM;
	if (copy_from_guest(task, insns, GVA(prog.filter), prog.len * sizeof(*insns))) {
		kfree(insns);
		return -LINUX_EFAULT;
	}
	return seccomp_add_filter(task, flags, insns, prog.len);
}

static int64_t action_available(struct task *task, gva_t uaction)
{
	uint32_t action;

	if (get_guest(task, &action, uaction))
		return -LINUX_EFAULT;
	switch (action) {
	case LINUX_SECCOMP_RET_KILL_PROCESS:
	case LINUX_SECCOMP_RET_KILL_THREAD:
	case LINUX_SECCOMP_RET_TRAP:
	case LINUX_SECCOMP_RET_ERRNO:
	case LINUX_SECCOMP_RET_TRACE:
	case LINUX_SECCOMP_RET_LOG:
	case LINUX_SECCOMP_RET_ALLOW:
		return 0;
	default:
		return -LINUX_EOPNOTSUPP;
	}
}

int64_t seccomp_prctl(struct task *task, uint64_t mode, uint64_t prog)
{
	if (mode == LINUX_SECCOMP_MODE_STRICT)
		return seccomp_set_strict(task);
	return mode == LINUX_SECCOMP_MODE_FILTER ? set_filter(task, 0, GVA(prog)) : -LINUX_EINVAL;
}

SYSCALL_DEFINE3(seccomp, uint32_t, op, uint32_t, flags, gva_t, uargs)
{
	const uint16_t sizes[3] = {80, 24, 64};

	switch (op) {
	case LINUX_SECCOMP_SET_MODE_STRICT:
		return flags != 0 || uargs.v != 0 ? -LINUX_EINVAL : seccomp_set_strict(task);
	case LINUX_SECCOMP_SET_MODE_FILTER:
		return set_filter(task, flags, uargs);
	case LINUX_SECCOMP_GET_ACTION_AVAIL:
		return flags != 0 ? -LINUX_EINVAL : action_available(task, uargs);
	case LINUX_SECCOMP_GET_NOTIF_SIZES:
		return flags != 0 ? -LINUX_EINVAL : put_guest(task, uargs, &sizes);
	default:
		return -LINUX_EINVAL;
	}
}
