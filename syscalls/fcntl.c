/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fcntl(2), dup(2), flock(2), ioctl(2): what is common to all descriptors. Locks: sentry/vfs/locks.c; signals of
 * O_ASYNC: sentry/vfs/fasync.c; pipes: sentry/vfs/pipe.c. Each object's own ioctls are in its ops.
 *
 * Left out: leases (F_SETLEASE gives EAGAIN: as if somebody had the file open; F_GETLEASE says there is none).
 */
#include "syscalls/define.h"

#include "sentry/abi/ioctl.h"
#include "sentry/abi/signal.h"
#include "sentry/fs/memfs.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/locks.h"
#include "sentry/vfs/pipe.h"

#include <string.h>

/* ---- dup ---- */

SYSCALL_DEFINE1(dup, int, fd)
{
	struct file *file = fd_get_path(task, fd);

	return file == NULL ? -LINUX_EBADF : fd_install(task, file, 0, false);
}

static int64_t dup_to(struct task *task, int oldfd, int newfd, bool cloexec)
{
	struct file *file;
	int ret;

	if (newfd < 0 || (uint64_t)newfd >= group_rlimit(task->group, LINUX_RLIMIT_NOFILE))
		return -LINUX_EBADF;
	file = fd_get_path(task, oldfd);
	if (file == NULL)
		return -LINUX_EBADF;
	ret = fd_install_at(task, file, newfd, cloexec);
	return ret;
}

SYSCALL_DEFINE2(dup2, int, oldfd, int, newfd)
{
	if (oldfd == newfd) {
		struct file *file = fd_get_path(task, oldfd);

		if (file == NULL)
			return -LINUX_EBADF;
		file_put(file);
		return newfd;
	}
	return dup_to(task, oldfd, newfd, false);
}

SYSCALL_DEFINE3(dup3, int, oldfd, int, newfd, uint32_t, flags)
{
	if (flags & ~LINUX_O_CLOEXEC)
		return -LINUX_EINVAL;
	if (oldfd == newfd)
		return -LINUX_EINVAL;
	return dup_to(task, oldfd, newfd, (flags & LINUX_O_CLOEXEC) != 0);
}

/* ---- flags ---- */

#define SETFL_MASK (LINUX_O_APPEND | LINUX_O_NONBLOCK | LINUX_O_DIRECT | LINUX_O_NOATIME | LINUX_FASYNC)

static int64_t set_flags(struct task *task, struct file *file, int fd, uint32_t flags)
{
	int err;

	if ((flags & LINUX_O_NOATIME) && !(file->flags & LINUX_O_NOATIME) && !inode_owner_or_capable(task, file->inode))
		return -LINUX_EPERM;
	if ((flags & LINUX_FASYNC) && !(file->flags & LINUX_FASYNC)) {
		err = fasync_start(task, file, fd);
		if (err)
			return err;
	} else if (!(flags & LINUX_FASYNC)) {
		fasync_stop(file);
	}
	file->flags = (file->flags & ~SETFL_MASK) | (flags & SETFL_MASK);
	return 0;
}

/* ---- owner ---- */

#define OWNER_TID 0
#define OWNER_PID 1
#define OWNER_PGRP 2

struct owner_ex {
	int32_t type, pid;
};

/* pid < 0: a process group; 0: nobody. */
static int64_t set_owner(struct file *file, int32_t pid, bool thread)
{
	if (pid == INT32_MIN)
		return -LINUX_EINVAL;
	if (pid > 0 && (thread ? task_find(pid) == NULL : group_find(pid) == NULL && task_find(pid) == NULL))
		return -LINUX_ESRCH;
	if (pid < 0 && pgrp_find(-pid) == NULL)
		return -LINUX_ESRCH;
	file->owner_pid = pid;
	file->owner_pids = pid_space_of(task_current());
	file->owner_is_thread = thread;
	return 0;
}

static int64_t set_owner_ex(struct task *task, struct file *file, gva_t arg)
{
	struct owner_ex own;
	int err = get_guest(task, &own, arg);

	if (err)
		return err;
	if (own.pid < 0)
		return -LINUX_EINVAL;
	switch (own.type) {
	case OWNER_TID:
		return set_owner(file, own.pid, true);
	case OWNER_PID:
		return set_owner(file, own.pid, false);
	case OWNER_PGRP:
		return set_owner(file, -own.pid, false);
	default:
		return -LINUX_EINVAL;
	}
}

static int64_t get_owner_ex(struct task *task, const struct file *file, gva_t arg)
{
	struct owner_ex own = {
		.type = file->owner_pid < 0 ? OWNER_PGRP : file->owner_is_thread ? OWNER_TID : OWNER_PID,
		.pid = file->owner_pid < 0 ? -file->owner_pid : file->owner_pid,
	};

	return put_guest(task, arg, &own);
}

/* ---- locks ---- */

static int64_t lock_cmd(struct task *task, struct file *file, int fd, int cmd, gva_t arg)
{
	struct linux_flock fl;
	struct file *again;
	int err = get_guest(task, &fl, arg);

	if (err)
		return err;
	if (cmd == LINUX_F_GETLK || cmd == LINUX_F_OFD_GETLK) {
		err = locks_get(task, file, cmd, &fl);
		return err ? err : put_guest(task, arg, &fl);
	}
	err = locks_set(task, file, cmd, &fl);
	if (err || fl.type == LINUX_F_UNLCK || cmd == LINUX_F_OFD_SETLK || cmd == LINUX_F_OFD_SETLKW)
		return err;
	/* Another thread may have closed the descriptor while this one slept: then nobody would ever unlock. */
	again = fd_get(task, fd);
	if (again != NULL)
		file_put(again);
	if (again != file) {
		locks_close_fd(file, task->files);
		return -LINUX_EBADF;
	}
	return 0;
}

/* ---- seals of memfds; the checks on writes are memfs' ---- */

#define ALL_SEALS                                                                                                      \
	(LINUX_F_SEAL_SEAL | LINUX_F_SEAL_SHRINK | LINUX_F_SEAL_GROW | LINUX_F_SEAL_WRITE |                            \
	 LINUX_F_SEAL_FUTURE_WRITE | LINUX_F_SEAL_EXEC)

/* tmpfs files have seals too, but only the one that says that none can be added. */
static int64_t get_seals(const struct file *file)
{
	if (memfs_is_memfd(file->inode))
		return file->inode->seals;
	if ((file->inode->mode & LINUX_S_IFMT) == LINUX_S_IFREG && file->inode->sb->magic == LINUX_TMPFS_MAGIC)
		return LINUX_F_SEAL_SEAL;
	return -LINUX_EINVAL;
}

/* Somebody has a shared mapping of it that is or may become writable. */
static bool mapped_for_writing(const struct inode *inode)
{
	for (struct thread_group *g = group_next(0); g != NULL; g = group_next(g->pid + 1)) {
		struct task *t;
		struct vma *v;

		list_for_each(t, &g->threads, group_link) {
			if (t->mm == NULL)
				continue;
			for (v = mm_find_next(t->mm, 0); v != NULL; v = mm_find_next(t->mm, v->end))
				if (v->file != NULL && v->file->inode == inode && (v->flags & LINUX_MAP_SHARED) &&
				    ((v->prot | v->max_prot) & LINUX_PROT_WRITE))
					return true;
			break; /* the threads of a group share one */
		}
	}
	return false;
}

static int64_t add_seals(struct file *file, uint32_t seals)
{
	struct inode *inode = file->inode;

	int64_t now = get_seals(file);

	if (now < 0)
		return now;
	if (!(file->mode & FMODE_WRITE))
		return -LINUX_EPERM;
	if (seals & ~ALL_SEALS)
		return -LINUX_EINVAL;
	if (now & LINUX_F_SEAL_SEAL)
		return -LINUX_EPERM;
	if ((seals & LINUX_F_SEAL_WRITE) && !(now & LINUX_F_SEAL_WRITE) && mapped_for_writing(inode))
		return -LINUX_EBUSY;
	/* An executable sealed as such must not change under its users: Linux seals its content. */
	if ((seals & LINUX_F_SEAL_EXEC) && (inode->mode & 0111))
		seals |= LINUX_F_SEAL_SHRINK | LINUX_F_SEAL_GROW | LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE;
	inode->seals |= seals;
	return 0;
}

/* ---- fcntl ---- */

static int64_t fcntl_pipe(struct task *task, struct file *file, int cmd, uint64_t arg)
{
	struct pipe *pipe = file_pipe(file);

	if (pipe == NULL)
		return -LINUX_EBADF;
	return cmd == LINUX_F_GETPIPE_SZ ? pipe_get_size(pipe) : pipe_set_size(task, pipe, (uint32_t)arg);
}

/* Write-life hints are kept by nobody: they are what was asked, or nothing. */
static int64_t rw_hint(struct task *task, int cmd, gva_t arg)
{
	uint64_t hint = 0;
	int err;

	if (cmd == LINUX_F_GET_RW_HINT)
		return put_guest(task, arg, &hint);
	err = get_guest(task, &hint, arg);
	if (err)
		return err;
	return hint <= 5 ? 0 : -LINUX_EINVAL;
}

static int64_t fcntl_file(struct task *task, struct file *file, int fd, int cmd, uint64_t arg)
{
	switch (cmd) {
	case LINUX_F_SETFL:
		return set_flags(task, file, fd, (uint32_t)arg);
	case LINUX_F_GETLK:
	case LINUX_F_SETLK:
	case LINUX_F_SETLKW:
	case LINUX_F_OFD_GETLK:
	case LINUX_F_OFD_SETLK:
	case LINUX_F_OFD_SETLKW:
		return lock_cmd(task, file, fd, cmd, GVA(arg));
	case LINUX_F_SETOWN:
		return set_owner(file, (int32_t)arg, false);
	case LINUX_F_GETOWN:
		return file->owner_pid;
	case LINUX_F_SETOWN_EX:
		return set_owner_ex(task, file, GVA(arg));
	case LINUX_F_GETOWN_EX:
		return get_owner_ex(task, file, GVA(arg));
	case LINUX_F_SETSIG:
		if (arg > LINUX_NSIG)
			return -LINUX_EINVAL;
		file->owner_sig = (int)arg;
		return 0;
	case LINUX_F_GETSIG:
		return file->owner_sig;
	case LINUX_F_SETPIPE_SZ:
	case LINUX_F_GETPIPE_SZ:
		return fcntl_pipe(task, file, cmd, arg);
	case LINUX_F_ADD_SEALS:
		return add_seals(file, (uint32_t)arg);
	case LINUX_F_GET_SEALS:
		return get_seals(file);
	case LINUX_F_NOTIFY:
		return dnotify_set(task, file, arg);
	case LINUX_F_GETLEASE:
		return LINUX_F_UNLCK;
	case LINUX_F_SETLEASE:
		if (arg != LINUX_F_RDLCK && arg != LINUX_F_WRLCK && arg != LINUX_F_UNLCK)
			return -LINUX_EINVAL;
		return -LINUX_EAGAIN;
	case LINUX_F_GET_RW_HINT:
	case LINUX_F_SET_RW_HINT:
		return rw_hint(task, cmd, GVA(arg));
	default:
		return -LINUX_EINVAL;
	}
}

SYSCALL_DEFINE3(fcntl, int, fd, int, cmd, uint64_t, arg)
{
	struct file *file = fd_get_path(task, fd);
	int64_t ret;

	if (file == NULL)
		return -LINUX_EBADF;
	switch (cmd) {
	case LINUX_F_DUPFD:
	case LINUX_F_DUPFD_CLOEXEC:
		if (arg >= group_rlimit(task->group, LINUX_RLIMIT_NOFILE) || arg > INT32_MAX) {
			ret = -LINUX_EINVAL;
			break;
		}
		return fd_install(task, file, (int)arg, cmd == LINUX_F_DUPFD_CLOEXEC);
	case LINUX_F_GETFD:
		ret = fd_cloexec(task, fd) ? LINUX_FD_CLOEXEC : 0;
		break;
	case LINUX_F_SETFD:
		ret = fd_set_cloexec(task, fd, (arg & LINUX_FD_CLOEXEC) != 0);
		break;
	case LINUX_F_GETFL:
		ret = file->flags;
		break;
	default:
		ret = file->mode & FMODE_PATH ? -LINUX_EBADF : fcntl_file(task, file, fd, cmd, arg);
	}
	file_put(file);
	return ret;
}

SYSCALL_DEFINE2(flock, int, fd, int, op)
{
	struct file *file;
	int64_t ret;

	switch (op & ~LINUX_LOCK_NB) {
	case LINUX_LOCK_SH:
	case LINUX_LOCK_EX:
	case LINUX_LOCK_UN:
		break;
	default:
		return -LINUX_EINVAL;
	}
	file = fd_get(task, fd);
	if (file == NULL)
		return -LINUX_EBADF;
	ret = (op & ~LINUX_LOCK_NB) == LINUX_LOCK_UN || (file->mode & (FMODE_READ | FMODE_WRITE))
		      ? locks_flock(task, file, op)
		      : -LINUX_EBADF;
	file_put(file);
	return ret;
}

/* ---- ioctl ---- */

static int64_t set_flag_from(struct task *task, struct file *file, int fd, uint32_t flag, gva_t arg)
{
	int32_t on;
	int err = get_guest(task, &on, arg);

	if (err)
		return err;
	return set_flags(task, file, fd, on ? file->flags | flag : file->flags & ~flag);
}

/* What every regular file answers. */
static int64_t ioctl_regular(struct task *task, struct file *file, unsigned cmd, gva_t arg)
{
	int64_t left;
	int32_t n;

	switch (cmd) {
	case LINUX_FIONREAD:
		left = (int64_t)file->inode->size - file->pos;
		n = (int32_t)MAX(MIN(left, (int64_t)INT32_MAX), (int64_t)INT32_MIN);
		return put_guest(task, arg, &n);
	case LINUX_FIGETBSZ:
		n = (int32_t)PAGE_SIZE;
		return put_guest(task, arg, &n);
	case LINUX_FICLONE:
	case LINUX_FICLONERANGE:
	case LINUX_FIDEDUPERANGE:
	case LINUX_FS_IOC_FIEMAP:
		return -LINUX_EOPNOTSUPP;
	default:
		return -LINUX_ENOTTY;
	}
}

static int64_t ioctl_file(struct task *task, struct file *file, int fd, unsigned cmd, uint64_t arg)
{
	uint32_t type = file->inode->mode & LINUX_S_IFMT;
	int64_t size;

	switch (cmd) {
	case LINUX_FIOCLEX:
		return fd_set_cloexec(task, fd, true);
	case LINUX_FIONCLEX:
		return fd_set_cloexec(task, fd, false);
	case LINUX_FIONBIO:
		return set_flag_from(task, file, fd, LINUX_O_NONBLOCK, GVA(arg));
	case LINUX_FIOASYNC:
		return set_flag_from(task, file, fd, LINUX_FASYNC, GVA(arg));
	case LINUX_FIOQSIZE:
		if (type != LINUX_S_IFREG && type != LINUX_S_IFDIR && type != LINUX_S_IFLNK)
			return -LINUX_ENOTTY;
		size = (int64_t)file->inode->size;
		return put_guest(task, GVA(arg), &size);
	default:
		break;
	}
	if (file->ops->ioctl != NULL)
		return file->ops->ioctl(task, file, cmd, arg);
	return type == LINUX_S_IFREG ? ioctl_regular(task, file, cmd, GVA(arg)) : -LINUX_ENOTTY;
}

SYSCALL_DEFINE3(ioctl, int, fd, uint32_t, cmd, uint64_t, arg)
{
	struct file *file = fd_get(task, fd);
	int64_t ret;

	if (file == NULL)
		return -LINUX_EBADF;
	ret = ioctl_file(task, file, fd, cmd, arg);
	file_put(file);
	return ret;
}
