/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read(2), write(2) and their relatives, lseek(2). Checks of modes, limits and positions that sendfile shares are in
 * sentry/vfs/rw.c; the bytes are moved by the file's operations through an iobuf.
 */
#include "syscalls/define.h"

#include "sentry/vfs/vfs.h"

#define RWF_READ_FLAGS                                                                                                 \
	(LINUX_RWF_HIPRI | LINUX_RWF_DSYNC | LINUX_RWF_SYNC | LINUX_RWF_NOWAIT | LINUX_RWF_APPEND)

/* The half-way part: file and buffer are there. pos NULL: the file's own position. Takes the file's reference. */
static int64_t transfer(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos, bool write)
{
	int64_t ret = write ? vfs_write(task, file, buf, pos) : vfs_read(task, file, buf, pos);
	struct rusage_account *u = &task->usage;

	if (write) {
		u->syscw++;
		u->wchar += ret > 0 ? (uint64_t)ret : 0;
	} else {
		u->syscr++;
		u->rchar += ret > 0 ? (uint64_t)ret : 0;
	}
	file_put(file);
	return ret;
}

static int64_t rw_single(struct task *task, int fd, gva_t base, uint64_t count, int64_t *pos, bool write)
{
	struct file *file;
	struct iobuf buf;

	if (pos != NULL && *pos < 0)
		return -LINUX_EINVAL;
	file = fd_get(task, fd);
	if (file == NULL)
		return -LINUX_EBADF;
	if (pos != NULL && !(file->mode & FMODE_SEEK)) {
		file_put(file);
		return -LINUX_ESPIPE;
	}
	if (!(file->mode & (write ? FMODE_WRITE : FMODE_READ))) {
		file_put(file);
		return -LINUX_EBADF;
	}
	/* Before the file is asked: /dev/null never looks at its buffer. */
	if (!guest_range_ok(base, count)) {
		file_put(file);
		return -LINUX_EFAULT;
	}
	iobuf_init_guest(&buf, task, base, count);
	return transfer(task, file, &buf, pos, write);
}

static int64_t rw_vector(struct task *task, int fd, gva_t iov, uint64_t n, int64_t *pos, bool write, uint32_t flags)
{
	struct file *file;
	struct iobuf buf;
	int64_t ret;

	if (pos != NULL && *pos < 0)
		return -LINUX_EINVAL;
	file = fd_get(task, fd);
	if (file == NULL)
		return -LINUX_EBADF;
	ret = pos != NULL && !(file->mode & FMODE_SEEK) ? -LINUX_ESPIPE : 0;
	if (ret == 0 && !(file->mode & (write ? FMODE_WRITE : FMODE_READ)))
		ret = -LINUX_EBADF;
	if (ret == 0)
		ret = iobuf_init_iovec(&buf, task, iov, n);
	if (ret) {
		file_put(file);
		return ret;
	}
	if (flags & ~RWF_READ_FLAGS) {
		file_put(file);
		iobuf_done(&buf);
		return -LINUX_EOPNOTSUPP;
	}
	buf.nowait = (flags & LINUX_RWF_NOWAIT) != 0;
	buf.append = write && (flags & LINUX_RWF_APPEND) != 0;
	ret = transfer(task, file, &buf, pos, write);
	iobuf_done(&buf);
	return ret;
}

SYSCALL_DEFINE3(read, int, fd, gva_t, buf, uint64_t, count)
{
	return rw_single(task, fd, buf, count, NULL, false);
}

SYSCALL_DEFINE3(write, int, fd, gva_t, buf, uint64_t, count)
{
	return rw_single(task, fd, buf, count, NULL, true);
}

SYSCALL_DEFINE4(pread64, int, fd, gva_t, buf, uint64_t, count, int64_t, pos)
{
	return rw_single(task, fd, buf, count, &pos, false);
}

SYSCALL_DEFINE4(pwrite64, int, fd, gva_t, buf, uint64_t, count, int64_t, pos)
{
	return rw_single(task, fd, buf, count, &pos, true);
}

SYSCALL_DEFINE3(readv, int, fd, gva_t, iov, uint64_t, n)
{
	return rw_vector(task, fd, iov, n, NULL, false, 0);
}

SYSCALL_DEFINE3(writev, int, fd, gva_t, iov, uint64_t, n)
{
	return rw_vector(task, fd, iov, n, NULL, true, 0);
}

/* The offset is one register; the fifth argument, its high half on 32-bit machines, is ignored. */
SYSCALL_DEFINE4(preadv, int, fd, gva_t, iov, uint64_t, n, int64_t, pos)
{
	return rw_vector(task, fd, iov, n, &pos, false, 0);
}

SYSCALL_DEFINE4(pwritev, int, fd, gva_t, iov, uint64_t, n, int64_t, pos)
{
	return rw_vector(task, fd, iov, n, &pos, true, 0);
}

SYSCALL_DEFINE6(preadv2, int, fd, gva_t, iov, uint64_t, n, int64_t, pos, uint64_t, high, uint32_t, flags)
{
	(void)high;
	return rw_vector(task, fd, iov, n, pos == -1 ? NULL : &pos, false, flags);
}

SYSCALL_DEFINE6(pwritev2, int, fd, gva_t, iov, uint64_t, n, int64_t, pos, uint64_t, high, uint32_t, flags)
{
	(void)high;
	return rw_vector(task, fd, iov, n, pos == -1 ? NULL : &pos, true, flags);
}

SYSCALL_DEFINE3(lseek, int, fd, int64_t, off, uint32_t, whence)
{
	struct file *file = fd_get(task, fd);
	int64_t ret;

	if (file == NULL)
		return -LINUX_EBADF;
	ret = whence <= LINUX_SEEK_HOLE ? vfs_llseek(task, file, off, (int)whence) : -LINUX_EINVAL;
	file_put(file);
	return ret;
}
