/* SPDX-License-Identifier: Apache-2.0 */
/* pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2), kcmp(2), process_mrelease(2). */
#include "sentry/fs/pseudo_mounts.h"
#include "sentry/host/host.h"
#include "sentry/kernel/ipc.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/vfs/vfs.h"
#include "syscalls/define.h"

SYSCALL_DEFINE2(pidfd_open, int, pid, uint32_t, flags)
{
	struct file *file;
	struct task *t;

	if ((flags & ~(uint32_t)LINUX_O_NONBLOCK) || pid <= 0)
		return -LINUX_EINVAL;
	t = task_find(pid);
	if (t == NULL)
		return -LINUX_ESRCH;
	if (t != t->group->leader)
		return -LINUX_ENOENT;
	file = pidfd_new(task, t->group, flags);
	return file != NULL ? fd_install(task, file, 0, true) : -LINUX_ENOMEM;
}

/* The group behind descriptor fd; *file is a reference that keeps it. */
static int pidfd_get(struct task *task, int fd, struct file **file, struct thread_group **group)
{
	*file = fd_get(task, fd);
	if (*file == NULL)
		return -LINUX_EBADF;
	*group = pidfd_group(*file);
	if (*group != NULL)
		return 0;
	file_put(*file);
	return -LINUX_EBADF;
}

static int read_info(struct task *task, struct thread_group *target, int sig, gva_t uinfo, struct linux_siginfo *info)
{
	if (uinfo.v == 0) {
		siginfo_from_task(info, sig, LINUX_SI_USER, task);
		return 0;
	}
	if (get_guest(task, info, uinfo))
		return -LINUX_EFAULT;
	if (info->signo != sig)
		return -LINUX_EINVAL;
	if (target != task->group && (info->code >= 0 || info->code == LINUX_SI_TKILL))
		return -LINUX_EPERM;
	return 0;
}

SYSCALL_DEFINE4(pidfd_send_signal, int, fd, int, sig, gva_t, uinfo, uint32_t, flags)
{
	struct thread_group *target;
	struct linux_siginfo info;
	struct file *file;
	int err;

	if (flags != 0)
		return -LINUX_EINVAL;
	file = fd_get_path(task, fd);
	if (file == NULL)
		return -LINUX_EBADF;
	target = pidfd_group(file);
	if (target == NULL)
		target = proc_file_group(file);
	if (target == NULL) {
		file_put(file);
		return -LINUX_EBADF;
	}
	/* A descriptor that was passed on may stand for somebody who has no number here, as in Linux's pid namespaces. */
	err = target->pids != task->group->pids ? -LINUX_EINVAL : read_info(task, target, sig, uinfo, &info);
	if (!err)
		err = target->leader != NULL ? signal_kill_one(task, target, sig, &info) : -LINUX_ESRCH;
	file_put(file);
	return err;
}

SYSCALL_DEFINE3(pidfd_getfd, int, pidfd, int, fd, uint32_t, flags)
{
	struct file *file, *got = NULL;
	struct thread_group *target;
	struct task *t;
	int err;

	if (flags != 0)
		return -LINUX_EINVAL;
	err = pidfd_get(task, pidfd, &file, &target);
	if (err)
		return err;
	t = group_any_thread(target);
	if (t == NULL || t->files == NULL)
		err = -LINUX_ESRCH;
	else if (!task_may_inspect(task, t))
		err = -LINUX_EPERM;
	else if (fd < 0 || (got = files_peek(t->files, fd)) == NULL)
		err = -LINUX_EBADF;
	file_put(file);
	return err ? err : fd_install(task, got, 0, true);
}

/* process_mrelease(2): memory of a dying process goes with its last thread, without help. */
SYSCALL_DEFINE2(process_mrelease, int, pidfd, uint32_t, flags)
{
	struct thread_group *target;
	struct file *file;
	int err;

	if (flags != 0)
		return -LINUX_EINVAL;
	err = pidfd_get(task, pidfd, &file, &target);
	if (err)
		return err;
	if (target->zombie)
		err = -LINUX_ESRCH;
	else if (!target->exiting)
		err = -LINUX_EINVAL;
	file_put(file);
	return err;
}

/* ---- kcmp ---- */

enum { KCMP_FILE, KCMP_VM, KCMP_FILES, KCMP_FS, KCMP_SIGHAND, KCMP_IO, KCMP_SYSVSEM, KCMP_TYPES };

/* An order that is stable, but says nothing about our addresses. */
static int kcmp_order(const void *a, const void *b)
{
	static uint64_t cookie[2];
	uint64_t x, y;

	if (a == b)
		return 0;
	if (cookie[1] == 0) {
		if (host_getrandom(cookie, sizeof(cookie)) != 0)
			return 3; /* different, without an order */
		cookie[1] |= 1;
	}
	x = ((uint64_t)(uintptr_t)a ^ cookie[0]) * cookie[1];
	y = ((uint64_t)(uintptr_t)b ^ cookie[0]) * cookie[1];
	return x < y ? 1 : 2;
}

static int kcmp_files(struct task *t1, struct task *t2, uint64_t fd1, uint64_t fd2)
{
	struct file *a, *b;
	int ret = -LINUX_EBADF;

	if (t1->files == NULL || t2->files == NULL || fd1 > INT32_MAX || fd2 > INT32_MAX)
		return ret;
	a = files_peek(t1->files, (int)fd1);
	b = files_peek(t2->files, (int)fd2);
	if (a != NULL && b != NULL)
		ret = kcmp_order(a, b);
	if (a != NULL)
		file_put(a);
	if (b != NULL)
		file_put(b);
	return ret;
}

SYSCALL_DEFINE5(kcmp, int, pid1, int, pid2, int, type, uint64_t, idx1, uint64_t, idx2)
{
	struct task *t1 = task_find(pid1), *t2 = task_find(pid2);

	if (t1 == NULL || t2 == NULL)
		return -LINUX_ESRCH;
	if (!task_may_inspect(task, t1) || !task_may_inspect(task, t2))
		return -LINUX_EPERM;
	switch (type) {
	case KCMP_FILE:
		return kcmp_files(t1, t2, idx1, idx2);
	case KCMP_VM:
		return kcmp_order(t1->mm, t2->mm);
	case KCMP_FILES:
		return kcmp_order(t1->files, t2->files);
	case KCMP_FS:
		return kcmp_order(t1->fs, t2->fs);
	case KCMP_SIGHAND:
		return kcmp_order(t1->sighand, t2->sighand);
	case KCMP_IO:
		return 0; /* nobody has an I/O context */
	case KCMP_SYSVSEM:
		/* The list is the process's; who has none has the same as all who have none. */
		if (!sem_group_undoes(t1->group) && !sem_group_undoes(t2->group))
			return 0;
		return kcmp_order(t1->group, t2->group);
	default:
		return -LINUX_EINVAL;
	}
}
