/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sendfile(2), copy_file_range(2), splice(2), tee(2), vmsplice(2), memfd_create(2). Moving the bytes:
 * sentry/vfs/splice.c.
 */
#include "syscalls/define.h"

#include "sentry/fs/memfs.h"
#include "sentry/vfs/pipe.h"
#include "sentry/vfs/splice.h"

#define SPLICE_F_NONBLOCK 2U
#define SPLICE_F_ALL 0xfU

/* Two descriptors at once; -LINUX_EBADF with nothing held if either is bad. */
static int get_two(struct task *task, int fd_a, int fd_b, struct file **a, struct file **b)
{
	*a = fd_get(task, fd_a);
	if (*a == NULL)
		return -LINUX_EBADF;
	*b = fd_get(task, fd_b);
	if (*b != NULL)
		return 0;
	file_put(*a);
	return -LINUX_EBADF;
}

/* A range that begins before the file: Linux tells those that reach into it from those that don't. */
static int negative_pos(int64_t pos, uint64_t len)
{
	return len >= -(uint64_t)pos ? -LINUX_EOVERFLOW : -LINUX_EINVAL;
}

static int check_sendfile(const struct file *out, const struct file *in, bool with_pos)
{
	if (!(in->mode & FMODE_READ) || !(out->mode & FMODE_WRITE))
		return -LINUX_EBADF;
	if (!(in->mode & FMODE_SEEK))
		return with_pos ? -LINUX_ESPIPE : -LINUX_EINVAL;
	if (inode_is_dir(in->inode))
		return -LINUX_EINVAL;
	if (out->flags & LINUX_O_APPEND)
		return -LINUX_EINVAL;
	return 0;
}

SYSCALL_DEFINE4(sendfile, int, out_fd, int, in_fd, gva_t, gpos, uint64_t, len)
{
	struct file *in, *out;
	int64_t pos = 0, ret;

	if (gpos.v != 0) {
		ret = get_guest(task, &pos, gpos);
		if (ret)
			return ret;
	}
	ret = get_two(task, in_fd, out_fd, &in, &out);
	if (ret)
		return ret;
	ret = check_sendfile(out, in, gpos.v != 0);
	if (ret == 0 && (int64_t)len < 0)
		ret = -LINUX_EINVAL;
	/* Sockets and pipes are answered before the range is looked at. */
	if (ret == 0 && pos < 0)
		ret = out->mode & FMODE_SEEK ? negative_pos(pos, len) : -LINUX_EINVAL;
	if (ret == 0 && len != 0)
		ret = splice_sendfile(task, out, in, gpos.v != 0 ? &pos : NULL, MIN(len, LINUX_MAX_RW_COUNT));
	if (ret > 0 && gpos.v != 0 && put_guest(task, gpos, &pos) != 0)
		ret = -LINUX_EFAULT;
	file_put(in);
	file_put(out);
	return ret;
}

/* Kinds, modes and ranges, as generic_copy_file_checks in Linux; cuts *len to the input's end. */
static int check_copy(const struct file *in, int64_t in_pos, const struct file *out, int64_t out_pos, uint64_t *len)
{
	int64_t in_end, out_end;

	if (inode_is_dir(in->inode) || inode_is_dir(out->inode))
		return -LINUX_EISDIR;
	if ((in->inode->mode & LINUX_S_IFMT) != LINUX_S_IFREG || (out->inode->mode & LINUX_S_IFMT) != LINUX_S_IFREG)
		return -LINUX_EINVAL;
	if (!(in->mode & FMODE_READ) || !(out->mode & FMODE_WRITE) || (out->flags & LINUX_O_APPEND))
		return -LINUX_EBADF;
	if (in_pos < 0 || out_pos < 0)
		return negative_pos(MIN(in_pos, out_pos), *len);
	if (*len > INT64_MAX || __builtin_add_overflow(in_pos, (int64_t)*len, &in_end) ||
	    __builtin_add_overflow(out_pos, (int64_t)*len, &out_end))
		return -LINUX_EOVERFLOW;
	*len = (uint64_t)in_pos >= in->inode->size ? 0 : MIN(*len, in->inode->size - (uint64_t)in_pos);
	if (in->inode == out->inode && in_pos < out_pos + (int64_t)*len && out_pos < in_pos + (int64_t)*len)
		return -LINUX_EINVAL;
	return 0;
}

SYSCALL_DEFINE6(copy_file_range, int, in_fd, gva_t, gin, int, out_fd, gva_t, gout, uint64_t, len, uint32_t, flags)
{
	int64_t in_pos = 0, out_pos = 0, ret;
	struct file *in, *out;

	ret = get_two(task, in_fd, out_fd, &in, &out);
	if (ret)
		return ret;
	if (gin.v != 0)
		ret = get_guest(task, &in_pos, gin);
	if (ret == 0 && gout.v != 0)
		ret = get_guest(task, &out_pos, gout);
	if (ret == 0 && flags != 0)
		ret = -LINUX_EINVAL;
	if (ret == 0)
		ret = check_copy(in, gin.v != 0 ? in_pos : in->pos, out, gout.v != 0 ? out_pos : out->pos, &len);
	if (ret == 0)
		ret = splice_copy_range(task, in, gin.v != 0 ? &in_pos : NULL, out, gout.v != 0 ? &out_pos : NULL,
					MIN(len, LINUX_MAX_RW_COUNT));
	if (ret > 0 && gin.v != 0 && put_guest(task, gin, &in_pos) != 0)
		ret = -LINUX_EFAULT;
	if (ret > 0 && gout.v != 0 && put_guest(task, gout, &out_pos) != 0)
		ret = -LINUX_EFAULT;
	file_put(in);
	file_put(out);
	return ret;
}

/* An offset that goes with a pipe is an error; one that goes with a file must be one it can have. */
static int splice_pos(struct task *task, const struct file *file, const struct pipe *pipe, gva_t g, int64_t *pos)
{
	int err;

	if (g.v == 0)
		return 0;
	if (pipe != NULL || !(file->mode & FMODE_SEEK))
		return -LINUX_ESPIPE;
	err = get_guest(task, pos, g);
	if (err == 0 && *pos < 0)
		err = -LINUX_EINVAL;
	return err;
}

static int64_t splice_files(struct task *task, struct file *in, gva_t gin, struct file *out, gva_t gout, uint64_t len,
			    bool nonblock)
{
	struct pipe *ip = file_pipe(in), *op = file_pipe(out);
	int64_t in_pos = 0, out_pos = 0, ret;

	if (!(in->mode & FMODE_READ) || !(out->mode & FMODE_WRITE))
		return -LINUX_EBADF;
	ret = splice_pos(task, in, ip, gin, &in_pos);
	if (ret == 0)
		ret = splice_pos(task, out, op, gout, &out_pos);
	if (ret)
		return ret;
	if (ip == NULL && op == NULL)
		return -LINUX_EINVAL;
	if (ip == op)
		return -LINUX_EINVAL;
	if (ip != NULL && op != NULL)
		return splice_pipe_to_pipe(task, ip, op, len,
					   nonblock || ((in->flags | out->flags) & LINUX_O_NONBLOCK) != 0);
	if (ip != NULL) {
		if (out->flags & LINUX_O_APPEND)
			return -LINUX_EINVAL;
		ret = splice_from_pipe(task, ip, out, gout.v != 0 ? &out_pos : NULL, len,
				       nonblock || (in->flags & LINUX_O_NONBLOCK) != 0);
		if (ret > 0 && gout.v != 0 && put_guest(task, gout, &out_pos) != 0)
			ret = -LINUX_EFAULT;
		return ret;
	}
	if (inode_is_dir(in->inode))
		return -LINUX_EINVAL;
	ret = splice_to_pipe(task, in, gin.v != 0 ? &in_pos : NULL, op, len,
			     nonblock || (out->flags & LINUX_O_NONBLOCK) != 0);
	if (ret > 0 && gin.v != 0 && put_guest(task, gin, &in_pos) != 0)
		ret = -LINUX_EFAULT;
	return ret;
}

SYSCALL_DEFINE6(splice, int, in_fd, gva_t, gin, int, out_fd, gva_t, gout, uint64_t, len, uint32_t, flags)
{
	struct file *in, *out;
	int64_t ret;

	if (len == 0)
		return 0;
	if (flags & ~SPLICE_F_ALL)
		return -LINUX_EINVAL;
	ret = get_two(task, in_fd, out_fd, &in, &out);
	if (ret)
		return ret;
	ret = splice_files(task, in, gin, out, gout, MIN(len, LINUX_MAX_RW_COUNT), (flags & SPLICE_F_NONBLOCK) != 0);
	file_put(in);
	file_put(out);
	return ret;
}

SYSCALL_DEFINE4(tee, int, in_fd, int, out_fd, uint64_t, len, uint32_t, flags)
{
	struct file *in, *out;
	int64_t ret;

	if (flags & ~SPLICE_F_ALL)
		return -LINUX_EINVAL;
	if (len == 0)
		return 0;
	ret = get_two(task, in_fd, out_fd, &in, &out);
	if (ret)
		return ret;
	if (!(in->mode & FMODE_READ) || !(out->mode & FMODE_WRITE))
		ret = -LINUX_EBADF;
	else if (file_pipe(in) == NULL || file_pipe(out) == NULL || file_pipe(in) == file_pipe(out))
		ret = -LINUX_EINVAL;
	else
		ret = splice_tee(task, file_pipe(in), file_pipe(out), MIN(len, LINUX_MAX_RW_COUNT),
				 (flags & SPLICE_F_NONBLOCK) || ((in->flags | out->flags) & LINUX_O_NONBLOCK));
	file_put(in);
	file_put(out);
	return ret;
}

/* To a pipe it is writev, from one it is readv: pages are copied, so gifting them makes no difference. */
SYSCALL_DEFINE4(vmsplice, int, fd, gva_t, iov, uint64_t, n, uint32_t, flags)
{
	struct file *file;
	struct iobuf buf;
	int64_t ret;

	if (flags & ~SPLICE_F_ALL)
		return -LINUX_EINVAL;
	file = fd_get(task, fd);
	if (file == NULL)
		return -LINUX_EBADF;
	ret = file_pipe(file) == NULL ? -LINUX_EBADF : iobuf_init_iovec(&buf, task, iov, n);
	if (ret == 0) {
		buf.nowait = (flags & SPLICE_F_NONBLOCK) != 0;
		if (file->mode & FMODE_WRITE)
			ret = vfs_write(task, file, &buf, NULL);
		else
			ret = vfs_read(task, file, &buf, NULL);
		iobuf_done(&buf);
	}
	file_put(file);
	return ret;
}

/* ---- memfd_create ---- */

#define MFD_CLOEXEC 1U
#define MFD_ALLOW_SEALING 2U
#define MFD_HUGETLB 4U
#define MFD_NOEXEC_SEAL 8U
#define MFD_EXEC 16U
#define MFD_NAME_MAX (LINUX_NAME_MAX - 6) /* "memfd:" goes before it */

SYSCALL_DEFINE2(memfd_create, gva_t, gname, uint32_t, flags)
{
	char name[MFD_NAME_MAX + 1];
	uint32_t seals = LINUX_F_SEAL_SEAL, mode = 0777;
	struct file *file;
	int64_t len;

	if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_NOEXEC_SEAL | MFD_EXEC |
		      (flags & MFD_HUGETLB ? 0x3fU << 26 : 0)))
		return -LINUX_EINVAL;
	if ((flags & MFD_EXEC) && (flags & MFD_NOEXEC_SEAL))
		return -LINUX_EINVAL;
	len = copy_string_from_guest(task, name, gname, sizeof(name));
	if (len < 0)
		return len == -LINUX_ENAMETOOLONG ? -LINUX_EINVAL : len;
	if (flags & MFD_HUGETLB)
		return -LINUX_ENOSYS; /* as a kernel without huge pages */
	if (flags & MFD_NOEXEC_SEAL) {
		mode = 0666;
		seals = LINUX_F_SEAL_EXEC;
	} else if (flags & MFD_ALLOW_SEALING) {
		seals = 0;
	}
	file = memfs_new_memfd(task, name, seals, mode, LINUX_O_RDWR | LINUX_O_LARGEFILE);
	if (file == NULL)
		return -LINUX_ENOMEM;
	return fd_install(task, file, 0, (flags & MFD_CLOEXEC) != 0);
}
