/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading, writing, seeking, listing and polling by description: the checks that hold for every kind of file. The
 * syscalls, sendfile, copy_file_range and exec all come through here.
 *
 * Positions: an op gets a pointer to the offset it shall use and advance: the description's own, or the caller's
 * (pread). It reads *pos after its last sleep, so two tasks that share a description don't read the same bytes twice.
 * Files without a position (pipes, sockets, most anonymous files) get NULL.
 */
#include "sentry/vfs/vfs.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/event.h"
#include "sentry/abi/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/inotify.h"

static bool is_regular(const struct inode *inode)
{
	return (inode->mode & LINUX_S_IFMT) == LINUX_S_IFREG;
}

/* The offset an op shall use: the caller's, the description's, or none. */
static int choose_pos(struct file *file, int64_t **pos)
{
	if (*pos != NULL && !(file->mode & FMODE_SEEK))
		return -LINUX_ESPIPE;
	if (*pos != NULL && **pos < 0)
		return -LINUX_EINVAL;
	if (*pos == NULL && (file->mode & FMODE_SEEK))
		*pos = &file->pos;
	return 0;
}

int64_t vfs_read(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	int64_t n;
	int err;

	if (!(file->mode & FMODE_READ))
		return -LINUX_EBADF;
	if (inode_is_dir(file->inode))
		return -LINUX_EISDIR;
	err = choose_pos(file, &pos);
	if (err != 0)
		return err;
	if (file->ops->read == NULL)
		return -LINUX_EINVAL;
	if (pos != NULL && *pos > INT64_MAX - (int64_t)buf->left)
		return -LINUX_EINVAL;
	n = file->ops->read(task, file, buf, pos);
	if (n >= 0) {
		if (is_regular(file->inode) && !(file->flags & LINUX_O_NOATIME))
			vfs_touch_atime(&file->path, file->inode);
		if (n > 0)
			fsnotify_file(file, LINUX_IN_ACCESS);
	}
	return n;
}

/* What a write by someone without CAP_FSETID takes away: bits that make the file run as its owner. */
int file_drop_setid(struct task *task, struct file *file)
{
	struct inode *inode = file->inode;
	uint32_t drop = inode->mode & LINUX_S_ISUID;
	struct iattr attr;

	if ((inode->mode & LINUX_S_ISGID) && ((inode->mode & 010) || !cred_in_group(task->cred, inode->gid)))
		drop |= LINUX_S_ISGID;
	if (drop == 0 || task_capable(task, LINUX_CAP_FSETID))
		return 0;
	attr = (struct iattr){.valid = ATTR_MODE | ATTR_FORCE, .mode = inode->mode & 07777 & ~drop};
	return vfs_setattr(task, file->path.dentry != NULL ? &file->path : NULL, inode, &attr);
}

/* RLIMIT_FSIZE: cuts the write to what may still be written. -LINUX_EFBIG with SIGXFSZ if that is nothing. */
static int fsize_limit(struct task *task, struct iobuf *buf, int64_t pos)
{
	uint64_t limit = task->group->rlimits[LINUX_RLIMIT_FSIZE].cur;

	if (limit == LINUX_RLIM_INFINITY)
		return 0;
	if ((uint64_t)pos >= limit) {
		(void)signal_send_task(task, LINUX_SIGXFSZ, NULL);
		return -LINUX_EFBIG;
	}
	buf->left = MIN(buf->left, limit - (uint64_t)pos);
	return 0;
}

static int64_t write_regular(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct inode *inode = file->inode;
	int64_t own = *pos, before = file->pos, n;
	int err;

	/* O_APPEND wins over a given offset, as in Linux; the op looks again behind its last sleep. */
	if ((file->flags & LINUX_O_APPEND) || buf->append) {
		own = (int64_t)inode->size;
		if (pos == &file->pos)
			file->pos = own;
		else
			pos = &own;
	}
	n = 0;
	if (buf->left == 0)
		goto out;
	n = *pos == INT64_MAX ? -LINUX_EFBIG : -LINUX_EINVAL;
	if (*pos > INT64_MAX - (int64_t)buf->left)
		goto out;
	err = fsize_limit(task, buf, *pos);
	if (err == 0)
		err = file_drop_setid(task, file);
	n = err != 0 ? err : file->ops->write(task, file, buf, pos);
	if (n > 0)
		inode_touch(inode, ATTR_MTIME | ATTR_CTIME);
out:
	if (n <= 0)
		file->pos = before; /* O_APPEND looked for the end and then wrote nothing */
	return n;
}

int64_t vfs_write(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	int64_t n;
	int err;

	if (!(file->mode & FMODE_WRITE))
		return -LINUX_EBADF;
	err = choose_pos(file, &pos);
	if (err != 0)
		return err;
	if (file->ops->write == NULL)
		return -LINUX_EINVAL;
	if (is_regular(file->inode) && pos != NULL)
		n = write_regular(task, file, buf, pos);
	else
		n = file->ops->write(task, file, buf, pos);
	if (n > 0)
		fsnotify_file(file, LINUX_IN_MODIFY);
	return n;
}

int64_t vfs_read_mem(struct task *task, struct file *file, void *dst, size_t len, int64_t pos)
{
	struct iobuf buf;
	size_t done = 0;

	if (file->ops->read == NULL || pos < 0 || len > (size_t)(INT64_MAX - pos))
		return -LINUX_EINVAL;
	iobuf_init_mem(&buf, dst, len);
	while (done < len) {
		int64_t n = file->ops->read(task, file, &buf, &pos);

		if (n < 0)
			return done != 0 ? (int64_t)done : n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

int64_t generic_llseek(unused_arg struct task *task, struct file *file, int64_t off, int whence)
{
	int64_t size = (int64_t)file->inode->size, base = 0;

	/* A directory's positions are cookies, not bytes. */
	if (inode_is_dir(file->inode) && whence != LINUX_SEEK_SET && whence != LINUX_SEEK_CUR)
		return -LINUX_EINVAL;
	switch (whence) {
	case LINUX_SEEK_SET:
		break;
	case LINUX_SEEK_CUR:
		base = file->pos;
		break;
	case LINUX_SEEK_END:
		base = size;
		break;
	case LINUX_SEEK_DATA:
	case LINUX_SEEK_HOLE:
		if (off < 0 || off >= size)
			return -LINUX_ENXIO;
		if (whence == LINUX_SEEK_HOLE)
			off = size;
		break;
	default:
		return -LINUX_EINVAL;
	}
	if (__builtin_add_overflow(base, off, &off))
		return -LINUX_EOVERFLOW;
	if (off < 0)
		return -LINUX_EINVAL;
	file->pos = off;
	return off;
}

int64_t vfs_llseek(struct task *task, struct file *file, int64_t off, int whence)
{
	if (file->ops->llseek != NULL)
		return file->ops->llseek(task, file, off, whence);
	if (!(file->mode & FMODE_SEEK))
		return -LINUX_ESPIPE;
	return generic_llseek(task, file, off, whence);
}

uint32_t vfs_poll(struct task *task, struct file *file, struct waiter *waiter)
{
	if (file->ops->poll == NULL)
		return LINUX_POLLIN | LINUX_POLLOUT | LINUX_POLLRDNORM | LINUX_POLLWRNORM;
	return file->ops->poll(task, file, waiter);
}

int vfs_iterate(struct task *task, struct file *file, struct dir_emit *emit)
{
	int err;

	if (file->ops->iterate == NULL)
		return -LINUX_ENOTDIR;
	if (file->path.dentry != NULL && file->path.dentry->unhashed && file->path.dentry->parent != file->path.dentry)
		return -LINUX_ENOENT;
	err = file->ops->iterate(task, file, emit);
	if (err == 0) {
		if (!(file->flags & LINUX_O_NOATIME))
			vfs_touch_atime(&file->path, file->inode);
		fsnotify_file(file, LINUX_IN_ACCESS);
	}
	return err;
}
