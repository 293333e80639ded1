/* SPDX-License-Identifier: Apache-2.0 */
/* wait4(2), waitid(2), getrusage(2), times(2). */
#include "sentry/kernel/wait.h"

#include "sentry/abi/process.h"
#include "sentry/host/host.h"
#include "sentry/vfs/vfs.h"
#include "syscalls/define.h"

#include <string.h>
#include <time.h>

#define TICK_NS (NSEC_PER_SEC / 100)

static struct linux_timeval timeval_of(uint64_t ns)
{
	return (struct linux_timeval){(int64_t)(ns / NSEC_PER_SEC), (int64_t)(ns % NSEC_PER_SEC / NSEC_PER_USEC)};
}

static int put_rusage(struct task *task, gva_t to, const struct rusage_account *u)
{
	struct linux_rusage r = {
		.utime = timeval_of(u->utime),
		.stime = timeval_of(u->stime),
		.maxrss = (int64_t)u->maxrss_kib,
		.minflt = (int64_t)u->minflt,
		.majflt = (int64_t)u->majflt,
		.nvcsw = (int64_t)u->nvcsw,
		.nivcsw = (int64_t)u->nivcsw,
	};

	return put_guest(task, to, &r);
}

SYSCALL_DEFINE4(wait4, int, pid, gva_t, status, int, options, gva_t, rusage)
{
	struct wait_args args = {.options = options | LINUX_WEXITED};
	struct wait_result res;
	int64_t ret;

	if (options &
	    ~(LINUX_WNOHANG | LINUX_WUNTRACED | LINUX_WCONTINUED | LINUX_WNOTHREAD | LINUX_WCLONE | LINUX_WALL))
		return -LINUX_EINVAL;
	if (pid == INT32_MIN)
		return -LINUX_ESRCH;
	if (pid == -1) {
		args.which = LINUX_P_ALL;
	} else if (pid > 0) {
		args.which = LINUX_P_PID;
		args.id = pid;
	} else {
		args.which = LINUX_P_PGID;
		args.id = pid != 0 ? -pid : task->group->pgrp->pgid;
	}
	ret = wait_child(task, &args, &res);
	if (ret <= 0)
		return ret;
	if (status.v != 0 && put_guest(task, status, &res.status))
		return -LINUX_EFAULT;
	if (rusage.v != 0 && put_rusage(task, rusage, &res.usage))
		return -LINUX_EFAULT;
	return ret;
}

/* The result as siginfo, field by field as Linux writes it: the rest of the guest's structure stays as it was. */
static int put_siginfo(struct task *task, gva_t to, const struct wait_result *res)
{
	struct {
		int32_t signo, errno_, code;
	} head = {res != NULL ? LINUX_SIGCHLD : 0, 0, res != NULL ? res->code : 0};
	struct {
		int32_t pid;
		uint32_t uid;
		int32_t status;
	} child = {0};

	if (res != NULL) {
		child.pid = res->pid;
		child.uid = res->uid;
		child.status = res->value;
	}
	if (put_guest(task, to, &head) || put_guest(task, gva_add(to, 16), &child))
		return -LINUX_EFAULT;
	return 0;
}

static int64_t wait_pidfd(struct task *task, struct wait_args *args, struct wait_result *res)
{
	bool wait_here = !(args->options & LINUX_WNOHANG);
	struct file *file = fd_get(task, args->id);
	int64_t ret = -LINUX_EBADF;

	if (file == NULL)
		return ret;
	args->group = pidfd_group(file);
	if (args->group != NULL) {
		if (file->flags & LINUX_O_NONBLOCK)
			args->options |= LINUX_WNOHANG;
		ret = wait_child(task, args, res);
		/* A non-blocking pidfd says that it would have had to wait. */
		if (ret == 0 && wait_here)
			ret = -LINUX_EAGAIN;
	}
	file_put(file);
	return ret;
}

static int64_t wait_checked(struct task *task, struct wait_args *args, struct wait_result *res)
{
	int options = args->options;

	if (options & ~(LINUX_WNOHANG | LINUX_WNOWAIT | LINUX_WEXITED | LINUX_WSTOPPED | LINUX_WCONTINUED |
			LINUX_WNOTHREAD | LINUX_WCLONE | LINUX_WALL))
		return -LINUX_EINVAL;
	if (!(options & (LINUX_WEXITED | LINUX_WSTOPPED | LINUX_WCONTINUED)))
		return -LINUX_EINVAL;
	switch (args->which) {
	case LINUX_P_ALL:
		return wait_child(task, args, res);
	case LINUX_P_PID:
		return args->id > 0 ? wait_child(task, args, res) : -LINUX_EINVAL;
	case LINUX_P_PGID:
		if (args->id < 0)
			return -LINUX_EINVAL;
		if (args->id == 0)
			args->id = task->group->pgrp->pgid;
		return wait_child(task, args, res);
	case LINUX_P_PIDFD:
		return args->id >= 0 ? wait_pidfd(task, args, res) : -LINUX_EINVAL;
	default:
		return -LINUX_EINVAL;
	}
}

SYSCALL_DEFINE5(waitid, int, which, int, id, gva_t, info, int, options, gva_t, rusage)
{
	struct wait_args args = {.which = which, .id = id, .options = options};
	struct wait_result res;
	int64_t ret = wait_checked(task, &args, &res);

	if (ret > 0 && rusage.v != 0 && put_rusage(task, rusage, &res.usage))
		return -LINUX_EFAULT;
	/* Zeros are written even if the call fails, as in Linux. */
	if (info.v != 0 && put_siginfo(task, info, ret > 0 ? &res : NULL))
		return -LINUX_EFAULT;
	return ret > 0 ? 0 : ret;
}

SYSCALL_DEFINE2(getrusage, int, who, gva_t, usage)
{
	struct rusage_account u, group;

	switch (who) {
	case 0: /* RUSAGE_SELF */
		group_usage(task->group, &u);
		break;
	case -1: /* RUSAGE_CHILDREN */
		u = task->group->children_usage;
		break;
	case 1: /* RUSAGE_THREAD */
		group_usage(task->group, &group);
		u = task->usage;
		task_times(task, &u.utime, &u.stime);
		u.maxrss_kib = group.maxrss_kib;
		break;
	default:
		return -LINUX_EINVAL;
	}
	return put_rusage(task, usage, &u);
}

SYSCALL_DEFINE1(times, gva_t, buf)
{
	const struct rusage_account *c = &task->group->children_usage;
	uint64_t u, s;

	if (buf.v != 0) {
		int64_t tms[4];

		group_times(task->group, &u, &s);
		tms[0] = (int64_t)(u / TICK_NS);
		tms[1] = (int64_t)(s / TICK_NS);
		tms[2] = (int64_t)(c->utime / TICK_NS);
		tms[3] = (int64_t)(c->stime / TICK_NS);
		if (put_guest(task, buf, &tms))
			return -LINUX_EFAULT;
	}
	return (int64_t)(host_clock_ns(CLOCK_BOOTTIME) / TICK_NS);
}
