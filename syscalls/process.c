/* SPDX-License-Identifier: Apache-2.0 */
/* Who a process is, its group and session, its end (getpid(2), setpgid(2), setsid(2), exit(2)). */
#include "sentry/kernel/task_internal.h"
#include "syscalls/define.h"

SYSCALL_DEFINE0(getpid)
{
	return task->group->pid;
}

SYSCALL_DEFINE0(gettid)
{
	return task->tid;
}

SYSCALL_DEFINE0(getppid)
{
	return group_ppid(task->group);
}

/* The process of a pid, 0 for the caller's; NULL if there is none. Threads' ids count, as in Linux. */
static struct thread_group *group_of(struct task *task, int32_t pid)
{
	struct task *t = pid != 0 ? task_find(pid) : task;

	return t != NULL ? t->group : NULL;
}

SYSCALL_DEFINE1(getpgid, int, pid)
{
	struct thread_group *g = group_of(task, pid);

	return g != NULL ? g->pgrp->pgid : -LINUX_ESRCH;
}

SYSCALL_DEFINE0(getpgrp)
{
	return task->group->pgrp->pgid;
}

SYSCALL_DEFINE1(getsid, int, pid)
{
	struct thread_group *g = group_of(task, pid);

	return g != NULL ? g->pgrp->session->sid : -LINUX_ESRCH;
}

SYSCALL_DEFINE2(setpgid, int, pid, int, pgid)
{
	return group_setpgid(task, pid, pgid);
}

SYSCALL_DEFINE0(setsid)
{
	return session_create(task);
}

SYSCALL_DEFINE1(set_tid_address, gva_t, tidptr)
{
	task->clear_child_tid = tidptr;
	return task->tid;
}

SYSCALL_DEFINE1(exit, int, status)
{
	task_exit_thread(task, (status & 0xff) << 8);
}

SYSCALL_DEFINE1(exit_group, int, status)
{
	int code = (status & 0xff) << 8;

	group_exit(task->group, code);
	task_exit_thread(task, code);
}
