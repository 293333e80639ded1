/* SPDX-License-Identifier: Apache-2.0 */
/* getrlimit(2), setrlimit(2), prlimit64(2). */
#include "sentry/kernel/rlimit.h"

#include "syscalls/define.h"

SYSCALL_DEFINE2(getrlimit, uint32_t, which, gva_t, rlim)
{
	struct linux_rlimit old;
	int err = rlimit_change(task, task->group, which, NULL, &old);

	return err ? err : put_guest(task, rlim, &old);
}

SYSCALL_DEFINE2(setrlimit, uint32_t, which, gva_t, rlim)
{
	struct linux_rlimit set;

	if (get_guest(task, &set, rlim))
		return -LINUX_EFAULT;
	return rlimit_change(task, task->group, which, &set, NULL);
}

SYSCALL_DEFINE4(prlimit64, int, pid, uint32_t, which, gva_t, new, gva_t, oldp)
{
	struct linux_rlimit set, old;
	struct task *target = task;
	int err;

	if (new.v != 0 && get_guest(task, &set, new))
		return -LINUX_EFAULT;
	if (pid != 0)
		target = task_find(pid);
	if (target == NULL)
		return -LINUX_ESRCH;
	err = rlimit_may(task, target);
	if (!err)
		err = rlimit_change(task, target->group, which, new.v != 0 ? &set : NULL, oldp.v != 0 ? &old : NULL);
	if (!err && oldp.v != 0)
		err = put_guest(task, oldp, &old);
	return err;
}
