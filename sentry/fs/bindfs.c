/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writable binds: a host directory that the sandbox and the host both change.
 *
 *	walk --> LOOKUP at every step (nothing is remembered) --> live inode of that (device, number), attributes refreshed
 *	open --> OPEN: the gofer's descriptor; read, write, truncate and mmap use it directly, so they are the host's own
 *	names --> MKDIR, UNLINK, RENAME...: the host decides, its errno is the answer
 *
 * Where a node lies is told by its dentries up to the root at the time of the call, so renames of our own are followed; what
 * the host moves is found again by the next walk, and a request about an inode names its device and number, so that it is
 * refused (ESTALE) rather than carried out on something else.
 *
 * Permission is asked twice: of the mode bits with the guest's ids here, and of the gofer by the host.
 * The guest controls names, modes, offsets; the host controls what comes back, at any time.
 * New files belong to the guest's ids where the gofer may give files away (it runs as root), else to the gofer's.
 * Left out on purpose: set-user-id and set-group-id bits of files (a guest shall not leave programs on the host that run as
 * somebody else), device nodes (EPERM), xattrs but user.*. Left out: O_TMPFILE, locks against programs outside the sandbox.
 */
#include "sentry/fs/bindfs.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/lower.h"
#include "sentry/host/host.h"
#include "sentry/kernel/ids.h"
#include "sentry/kernel/task.h"

#include <string.h>

#define ID_BUCKETS 256U
#define PIECE (2 * MiB)

struct bind_sb {
	struct superblock sb;
	struct lower_tree *tree;
	struct list ids[ID_BUCKETS]; /* bind_node.id_link */
};

struct bind_node {
	struct inode *inode;  /* borrowed */
	uint64_t dev, ino;    /* the host's */
	struct list id_link;
	char *target;         /* symbolic links */
	int ro_fd, rw_fd;     /* regular files: -1 or open, until the last description is closed */
	uint32_t opens;
};

static uint8_t bounce[65536]; /* never across a sleep */

static const struct inode_ops bind_dir_iops, bind_file_iops, bind_link_iops, bind_special_iops;
static const struct file_ops bind_dir_fops, bind_file_fops;

static struct bind_node *bind_node(const struct inode *inode)
{
	return inode->private_data;
}

static struct bind_sb *bind_sb(const struct inode *inode)
{
	return container_of(inode->sb, struct bind_sb, sb);
}

/* ---- where things are ---- */

/* The path of d from the bind's root: a string to kfree. -LINUX_ESTALE: it is nowhere any more. */
static int path_of(const struct dentry *d, char **out)
{
	const struct dentry *p;
	size_t len = 0;
	char *path, *at;

	for (p = d; p->parent != p; p = p->parent) {
		if (p != d && p->unhashed) /* d itself may be a name that is to be made */
			return -LINUX_ESTALE;
		len += p->name_len + 1UL;
		if (len > GOFER_PATH_MAX)
			return -LINUX_ENAMETOOLONG;
	}
	path = kmalloc(len + 1);
	if (path == NULL)
		return -LINUX_ENOMEM;
	at = path + len;
	*at = '\0';
	for (p = d; p->parent != p; p = p->parent) {
		if (*at != '\0')
			*--at = '/';
		at -= p->name_len;
		memcpy(at, p->name, p->name_len);
	}
	memmove(path, at, strlen(at) + 1);
	*out = path;
	return 0;
}

static int inode_path(const struct inode *inode, char **out)
{
	if (inode->alias == NULL || inode->alias->unhashed)
		return -LINUX_ESTALE;
	return path_of(inode->alias, out);
}

/* ---- inodes ---- */

static struct list *bucket(struct bind_sb *sb, uint64_t ino)
{
	return &sb->ids[(ino * 0x9e3779b97f4a7c15ULL) >> 56];
}

static void refresh(struct inode *inode, const struct gofer_record *r)
{
	inode->mode = r->mode & (LINUX_S_IFMT | 07777);
	inode->nlink = MAX(r->nlink, 1U);
	inode->uid = r->uid;
	inode->gid = r->gid;
	inode->size = r->size;
	inode->blocks = r->blocks;
	inode->rdev = r->rdev;
	inode->atime = (struct ktimespec){.sec = r->atime_sec, .nsec = r->atime_nsec};
	inode->mtime = (struct ktimespec){.sec = r->mtime_sec, .nsec = r->mtime_nsec};
	inode->ctime = (struct ktimespec){.sec = r->ctime_sec, .nsec = r->ctime_nsec};
	inode->btime = (struct ktimespec){.sec = r->btime_sec, .nsec = r->btime_nsec};
}

static struct inode *find_live(struct bind_sb *sb, const struct gofer_record *r)
{
	struct bind_node *n;

	list_for_each(n, bucket(sb, r->ino), id_link)
		if (n->ino == r->ino && n->dev == r->dev && ((n->inode->mode ^ r->mode) & LINUX_S_IFMT) == 0)
			return inode_get(n->inode);
	return NULL;
}

static int set_target(struct bind_node *n, const struct gofer_record *r)
{
	char *target;

	if (n->target != NULL && strlen(n->target) == r->target_len &&
	    memcmp(n->target, gofer_record_target(r), r->target_len) == 0)
		return 0;
	target = kstrndup(gofer_record_target(r), r->target_len);
	if (target == NULL)
		return -LINUX_ENOMEM;
	kfree(n->target);
	n->target = target;
	return 0;
}

static int inode_from(struct bind_sb *sb, const struct gofer_record *r, struct inode **out)
{
	struct inode *inode = find_live(sb, r);
	struct bind_node *n;

	if (inode == NULL) {
		n = kzalloc(sizeof(*n));
		inode = n != NULL ? inode_new(&sb->sb, lower_ino(sb->tree, r->dev, r->ino), r->mode, NULL, NULL) : NULL;
		if (inode == NULL) {
			kfree(n);
			return -LINUX_ENOMEM;
		}
		n->inode = inode;
		n->dev = r->dev;
		n->ino = r->ino;
		n->ro_fd = n->rw_fd = -1;
		list_add(bucket(sb, r->ino), &n->id_link);
		inode->private_data = n;
		switch (r->mode & LINUX_S_IFMT) {
		case LINUX_S_IFDIR:
			inode->ops = &bind_dir_iops;
			inode->fops = &bind_dir_fops;
			break;
		case LINUX_S_IFREG:
			inode->ops = &bind_file_iops;
			inode->fops = &bind_file_fops;
			break;
		case LINUX_S_IFLNK:
			inode->ops = &bind_link_iops;
			break;
		default:
			inode->ops = &bind_special_iops;
			break;
		}
	}
	refresh(inode, r);
	if ((r->mode & LINUX_S_IFMT) == LINUX_S_IFLNK && set_target(bind_node(inode), r) != 0) {
		inode_put(inode);
		return -LINUX_ENOMEM;
	}
	*out = inode;
	return 0;
}

static void close_fds(struct bind_node *n)
{
	if (n->ro_fd >= 0)
		host_close(n->ro_fd);
	if (n->rw_fd >= 0)
		host_close(n->rw_fd);
	n->ro_fd = n->rw_fd = -1;
}

static void bind_evict(struct inode *inode)
{
	struct bind_node *n = bind_node(inode);

	list_del(&n->id_link);
	close_fds(n);
	kfree(n->target);
	kfree(n);
}

/* Makes the request about path; the record in its answer becomes *out (NULL: none is wanted), its descriptor *fd. */
static int request(struct task *task, struct bind_sb *sb, struct gofer_request *req, const char *path, const void *arg,
		   size_t arg_len, struct inode **out, int *fd)
{
	const struct gofer_record *r;
	struct gofer_answer a;
	size_t pos = 0;
	int err = gofer_call(task, sb->tree, req, path, arg, arg_len, &a);

	if (err != 0)
		return err;
	if (out != NULL) {
		r = gofer_record_next(&a, &pos);
		err = r != NULL ? inode_from(sb, r, out) : -LINUX_EIO;
	}
	if (err == 0 && fd != NULL) {
		*fd = a.fd;
		a.fd = -1;
	}
	gofer_answer_done(&a);
	return err;
}

/* The same about a name in a directory. */
static int request_dentry(struct task *task, struct inode *dir, struct gofer_request *req, const struct dentry *dentry,
			  const void *arg, size_t arg_len, struct inode **out, int *fd)
{
	char *path;
	int err = path_of(dentry, &path);

	if (err != 0)
		return err;
	err = request(task, bind_sb(dir), req, path, arg, arg_len, out, fd);
	kfree(path);
	return err;
}

/* ---- names ---- */

static int bind_lookup(struct task *task, struct inode *dir, struct dentry *dentry, struct inode **out)
{
	struct gofer_request req = {.op = GOFER_LOOKUP};

	return request_dentry(task, dir, &req, dentry, NULL, 0, out, NULL);
}

/* Whose a new node is to be. */
static void own(struct task *task, const struct inode *dir, struct gofer_request *req)
{
	req->valid = GOFER_ATTR_UID | GOFER_ATTR_GID;
	req->uid = task->cred->fsuid;
	req->gid = (dir->mode & LINUX_S_ISGID) ? dir->gid : task->cred->fsgid;
	/* A group that isn't mapped has no number here; the host gives it on as well. */
	if (req->gid == ID_NONE)
		req->valid &= ~GOFER_ATTR_GID;
}

static int bind_create(struct task *task, struct inode *dir, struct dentry *dentry, uint32_t mode, struct inode **out)
{
	struct gofer_request req = {.op = GOFER_CREATE, .mode = mode & 07777};
	int fd = -1, err;

	own(task, dir, &req);
	err = request_dentry(task, dir, &req, dentry, NULL, 0, out, &fd);
	if (err == 0 && fd >= 0) {
		struct bind_node *n = bind_node(*out);

		/* kept for the open that most likely follows: the mode may not allow another */
		if (n->rw_fd < 0)
			n->rw_fd = fd;
		else
			host_close(fd);
	}
	return err;
}

static int bind_mkdir(struct task *task, struct inode *dir, struct dentry *dentry, uint32_t mode, struct inode **out)
{
	struct gofer_request req = {.op = GOFER_MKDIR, .mode = mode & 07777};
	int err;

	own(task, dir, &req);
	if (dir->mode & LINUX_S_ISGID)
		req.mode |= LINUX_S_ISGID;
	err = request_dentry(task, dir, &req, dentry, NULL, 0, out, NULL);
	if (err == 0)
		dir->nlink++;
	return err;
}

static int bind_mknod(struct task *task, struct inode *dir, struct dentry *dentry, uint32_t mode,
		      unused_arg uint64_t rdev, struct inode **out)
{
	struct gofer_request req = {.op = GOFER_MKNOD, .mode = mode};

	own(task, dir, &req);
	return request_dentry(task, dir, &req, dentry, NULL, 0, out, NULL);
}

static int bind_symlink(struct task *task, struct inode *dir, struct dentry *dentry, const char *target,
			struct inode **out)
{
	struct gofer_request req = {.op = GOFER_SYMLINK};

	own(task, dir, &req);
	return request_dentry(task, dir, &req, dentry, target, strlen(target), out, NULL);
}

static int bind_link(struct task *task, struct inode *dir, struct dentry *dentry, struct inode *inode)
{
	struct gofer_request req = {.op = GOFER_LINK};
	struct inode *linked = NULL;
	char *from, *to;
	int err = inode_path(inode, &from);

	if (err != 0)
		return err;
	err = path_of(dentry, &to);
	if (err == 0) {
		err = request(task, bind_sb(dir), &req, from, to, strlen(to), &linked, NULL);
		kfree(to);
	}
	kfree(from);
	inode_put(linked);
	return err;
}

static int bind_unlink(struct task *task, struct inode *dir, struct dentry *dentry)
{
	struct gofer_request req = {.op = GOFER_UNLINK};
	struct inode *inode = dentry->inode;
	int err = request_dentry(task, dir, &req, dentry, NULL, 0, NULL, NULL);

	if (err == 0) {
		inode->nlink -= inode->nlink > 0;
		inode_touch(inode, ATTR_CTIME);
	}
	return err;
}

static int bind_rmdir(struct task *task, struct inode *dir, struct dentry *dentry)
{
	struct gofer_request req = {.op = GOFER_RMDIR};
	struct inode *inode = dentry->inode;
	int err = request_dentry(task, dir, &req, dentry, NULL, 0, NULL, NULL);

	if (err == 0) {
		inode->nlink = 0;
		dir->nlink -= dir->nlink > 2;
	}
	return err;
}

static int bind_rename(struct task *task, struct inode *old_dir, struct dentry *old, unused_arg struct inode *new_dir,
		       struct dentry *target, unsigned flags)
{
	struct gofer_request req = {.op = GOFER_RENAME, .flags = flags};
	struct inode *replaced = target->inode;
	char *to;
	int err;

	if (flags & ~(LINUX_RENAME_NOREPLACE | LINUX_RENAME_EXCHANGE))
		return -LINUX_EINVAL;
	err = path_of(target, &to);
	if (err != 0)
		return err;
	err = request_dentry(task, old_dir, &req, old, to, strlen(to), NULL, NULL);
	kfree(to);
	if (err == 0 && replaced != NULL && !(flags & LINUX_RENAME_EXCHANGE))
		replaced->nlink -= inode_is_dir(replaced) ? replaced->nlink : replaced->nlink > 0;
	return err;
}

/* ---- attributes ---- */

/* What the host says now. An inode that has no name any more keeps what was known. */
static int bind_getattr(struct task *task, struct inode *inode, struct kstat *st)
{
	struct bind_node *n = bind_node(inode);
	int fd = n->rw_fd >= 0 ? n->rw_fd : n->ro_fd;
	int64_t size, blocks;

	if (fd >= 0) {
		if (host_fstat_blocks(fd, &size, &blocks) == 0) {
			inode->size = (uint64_t)size;
			inode->blocks = (uint64_t)blocks;
		}
	} else if (inode_is_dir(inode) && inode->nlink != 0) {
		/* a walk has just looked, but a descriptor of a directory may be old */
		struct gofer_request req = {.op = GOFER_LOOKUP};
		struct inode *now = NULL;
		char *path;

		if (inode_path(inode, &path) == 0) {
			(void)request(task, bind_sb(inode), &req, path, NULL, 0, &now, NULL);
			kfree(path);
			inode_put(now);
		}
	}
	st->mode = inode->mode;
	st->nlink = inode->nlink;
	st->uid = inode->uid;
	st->gid = inode->gid;
	st->size = inode->size;
	st->blocks = inode->blocks;
	st->atime = inode->atime;
	st->mtime = inode->mtime;
	st->ctime = inode->ctime;
	st->btime = inode->btime;
	return 0;
}

static int bind_setattr(struct task *task, struct inode *inode, const struct iattr *attr)
{
	struct bind_node *n = bind_node(inode);
	struct gofer_request req = {
		.op = GOFER_SETATTR,
		.valid = attr->valid & GOFER_ATTR_ALL,
		.mode = attr->mode & 07777,
		.uid = attr->uid,
		.gid = attr->gid,
		.size = attr->size,
		.atime_sec = attr->atime.sec,
		.mtime_sec = attr->mtime.sec,
		.atime_nsec = (uint32_t)attr->atime.nsec,
		.mtime_nsec = (uint32_t)attr->mtime.nsec,
		.dev = n->dev,
		.ino = n->ino,
	};
	struct inode *now = NULL;
	char *path;
	int err;

	if ((req.valid & GOFER_ATTR_SIZE) && n->rw_fd >= 0) {
		/* the host sets the times of a truncation itself */
		err = host_ftruncate(n->rw_fd, (int64_t)attr->size);
		if (err != 0)
			return err;
		req.valid &= ~(GOFER_ATTR_SIZE | GOFER_ATTR_MTIME | GOFER_ATTR_ATIME);
		inode->size = attr->size;
		inode_touch(inode, ATTR_MTIME | ATTR_CTIME);
	}
	if (req.valid == 0)
		return 0;
	err = inode_path(inode, &path);
	if (err == -LINUX_ESTALE && inode->nlink == 0) {
		inode_setattr(inode, attr); /* unlinked: only its descriptors can tell */
		return 0;
	}
	if (err != 0)
		return err;
	err = request(task, bind_sb(inode), &req, path, NULL, 0, &now, NULL);
	kfree(path);
	inode_put(now);
	return err;
}

static int bind_readlink(unused_arg struct task *task, struct inode *inode, char **target)
{
	*target = kstrdup(bind_node(inode)->target);
	return *target != NULL ? 0 : -LINUX_ENOMEM;
}

/* ---- extended attributes: asked of the host each time ---- */

static int xattrs_now(struct task *task, struct inode *inode, struct gofer_answer *a)
{
	struct gofer_request req = {.op = GOFER_XATTRS};
	char *path;
	int err = inode_path(inode, &path);

	if (err != 0)
		return err;
	err = gofer_call(task, bind_sb(inode)->tree, &req, path, NULL, 0, a);
	kfree(path);
	return err;
}

static bool xattr_next(const struct gofer_answer *a, size_t *pos, const char **name, struct gofer_xattr *x)
{
	if (a->len - *pos < sizeof(*x))
		return false;
	memcpy(x, a->data + *pos, sizeof(*x));
	if (x->name_len > LINUX_XATTR_NAME_MAX || x->value_len > LINUX_XATTR_SIZE_MAX ||
	    a->len - *pos < GOFER_XATTR_SIZE(x->name_len, x->value_len))
		return false;
	*name = (const char *)a->data + *pos + sizeof(*x);
	*pos += GOFER_XATTR_SIZE(x->name_len, x->value_len);
	return true;
}

static int64_t bind_getxattr(struct task *task, struct inode *inode, const char *name, void *value, size_t size)
{
	struct gofer_answer a;
	struct gofer_xattr x;
	const char *at;
	int64_t ret = xattrs_now(task, inode, &a);

	if (ret != 0)
		return ret;
	ret = -LINUX_ENODATA;
	for (size_t pos = 0; xattr_next(&a, &pos, &at, &x);) {
		if (x.name_len != strlen(name) || memcmp(at, name, x.name_len) != 0)
			continue;
		ret = size != 0 && size < x.value_len ? -LINUX_ERANGE : (int64_t)x.value_len;
		if (ret >= 0 && size != 0)
			memcpy(value, at + x.name_len, x.value_len);
		break;
	}
	gofer_answer_done(&a);
	return ret;
}

static int64_t bind_listxattr(struct task *task, struct inode *inode, char *list, size_t size)
{
	struct gofer_answer a;
	struct gofer_xattr x;
	const char *at;
	size_t used = 0;
	int64_t ret = xattrs_now(task, inode, &a);

	if (ret != 0)
		return ret;
	for (size_t pos = 0; ret == 0 && xattr_next(&a, &pos, &at, &x);) {
		if (size != 0 && used + x.name_len + 1 > size) {
			ret = -LINUX_ERANGE;
		} else if (size != 0) {
			memcpy(list + used, at, x.name_len);
			list[used + x.name_len] = '\0';
		}
		used += x.name_len + 1UL;
	}
	gofer_answer_done(&a);
	return ret != 0 ? ret : (int64_t)used;
}

static int change_xattr(struct task *task, struct inode *inode, struct gofer_request *req, const char *name,
			const void *value, size_t size)
{
	size_t name_len = strlen(name);
	char *path, *arg;
	int err;

	if (name_len + 1 + size > GOFER_XATTRS_MAX)
		return -LINUX_ENOSPC;
	err = inode_path(inode, &path);
	if (err != 0)
		return err;
	arg = kmalloc(name_len + 1 + size);
	err = -LINUX_ENOMEM;
	if (arg != NULL) {
		memcpy(arg, name, name_len + 1);
		if (size != 0)
			memcpy(arg + name_len + 1, value, size);
		err = request(task, bind_sb(inode), req, path, arg, name_len + 1 + size, NULL, NULL);
	}
	kfree(arg);
	kfree(path);
	return err;
}

static int bind_setxattr(struct task *task, struct inode *inode, const char *name, const void *value, size_t size,
			 int flags)
{
	struct gofer_request req = {.op = GOFER_SETXATTR, .flags = (uint32_t)flags};

	return change_xattr(task, inode, &req, name, value, size);
}

static int bind_removexattr(struct task *task, struct inode *inode, const char *name)
{
	struct gofer_request req = {.op = GOFER_REMOVEXATTR};

	return change_xattr(task, inode, &req, name, NULL, 0);
}

/* ---- files ---- */

static int bind_open(struct task *task, struct inode *inode, struct file *file)
{
	bool write = (file->mode & FMODE_WRITE) != 0;
	struct bind_node *n = bind_node(inode);
	int *slot = write ? &n->rw_fd : &n->ro_fd, fd, err;
	char *path;

	if (*slot < 0 && (write || n->rw_fd < 0)) {
		/* not by the alias: an inode with two names is opened by the one the walk came along */
		err = path_of(file->path.dentry, &path);
		if (err != 0)
			return err;
		fd = lower_open(task, bind_sb(inode)->tree, path, write, n->dev, n->ino);
		kfree(path);
		if (fd < 0)
			return fd;
		if (*slot >= 0)
			host_close(fd);
		else
			*slot = fd;
	}
	n->opens++;
	return 0;
}

static void bind_release(struct file *file)
{
	struct bind_node *n = bind_node(file->inode);

	invariant(n->opens > 0);
	if (--n->opens == 0)
		close_fds(n);
}

static int any_fd(const struct bind_node *n)
{
	return n->rw_fd >= 0 ? n->rw_fd : n->ro_fd;
}

static void refresh_size(struct inode *inode)
{
	int64_t size, blocks;

	if (host_fstat_blocks(any_fd(bind_node(inode)), &size, &blocks) == 0) {
		inode->size = (uint64_t)size;
		inode->blocks = (uint64_t)blocks;
	}
}

static int64_t bind_read(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct bind_node *n = bind_node(file->inode);
	uint64_t done = 0;

	while (buf->left != 0) {
		int64_t got = host_pread(any_fd(n), bounce, MIN(buf->left, (uint64_t)sizeof(bounce)), *pos);
		size_t moved;

		if (got <= 0)
			return done != 0 || got == 0 ? (int64_t)done : got;
		moved = iobuf_put(buf, bounce, (size_t)got);
		*pos += (int64_t)moved;
		done += moved;
		if (moved < (size_t)got)
			return done != 0 ? (int64_t)done : -LINUX_EFAULT;
		if (done % PIECE < sizeof(bounce) && done >= PIECE) {
			task_yield(task);
			if (task_dying(task))
				break;
		}
	}
	return (int64_t)done;
}

static int64_t bind_write(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct inode *inode = file->inode;
	struct bind_node *n = bind_node(inode);
	bool append = (file->flags & LINUX_O_APPEND) || buf->append;
	uint64_t done = 0;
	int64_t err = 0;

	if (append) {
		refresh_size(inode);
		*pos = (int64_t)inode->size;
	}
	while (buf->left != 0 && err == 0) {
		size_t want = (size_t)MIN(buf->left, (uint64_t)sizeof(bounce)), got = iobuf_get(buf, bounce, want);
		int64_t put;

		if (got < want)
			err = -LINUX_EFAULT;
		if (got == 0)
			break;
		put = host_pwrite(n->rw_fd, bounce, got, *pos);
		if (put < (int64_t)got)
			iobuf_revert(buf, got - (size_t)MAX(put, (int64_t)0));
		if (put <= 0) {
			err = put != 0 ? put : -LINUX_ENOSPC;
			break;
		}
		*pos += put;
		done += (uint64_t)put;
		if ((size_t)put < got)
			err = -LINUX_ENOSPC;
		if (!append && done % PIECE < sizeof(bounce) && done >= PIECE) {
			task_yield(task);
			if (task_dying(task))
				break;
		}
	}
	refresh_size(inode);
	return done != 0 ? (int64_t)done : err;
}

static int64_t bind_llseek(struct task *task, struct file *file, int64_t off, int whence)
{
	refresh_size(file->inode);
	return generic_llseek(task, file, off, whence);
}

static int bind_map(unused_arg struct task *task, struct file *file, uint64_t off, unused_arg uint64_t len,
		    unused_arg int prot, bool shared, struct map_backing *out)
{
	struct bind_node *n = bind_node(file->inode);
	bool writer = shared && (file->mode & FMODE_WRITE);

	/* A reader's mapping is made of a read-only descriptor where there is one, and private in any case. */
	out->host_fd = writer || n->ro_fd < 0 ? n->rw_fd : n->ro_fd;
	out->host_off = off;
	out->force_private = !writer;
	return 0;
}

static int bind_fallocate(unused_arg struct task *task, struct file *file, int mode, int64_t off, int64_t len)
{
	int err = host_fallocate(bind_node(file->inode)->rw_fd, mode, off, len);

	refresh_size(file->inode);
	return err;
}

/* ---- directories: the listing is taken when reading starts, and kept in the description ---- */

static int take_listing(struct task *task, struct file *file)
{
	struct gofer_request req = {.op = GOFER_LIST, .flags = GOFER_LIST_BARE};
	struct gofer_answer a, *keep;
	char *path;
	int err = path_of(file->path.dentry, &path);

	if (err != 0)
		return err;
	err = gofer_call(task, bind_sb(file->inode)->tree, &req, path, NULL, 0, &a);
	kfree(path);
	if (err != 0)
		return err;
	keep = file->private_data;
	if (keep == NULL)
		keep = kzalloc(sizeof(*keep));
	else
		gofer_answer_done(keep);
	if (keep == NULL) {
		gofer_answer_done(&a);
		return -LINUX_ENOMEM;
	}
	*keep = a;
	file->private_data = keep;
	return 0;
}

static int bind_iterate(struct task *task, struct file *file, struct dir_emit *emit)
{
	const struct gofer_answer *a;
	const struct gofer_record *r;
	int64_t index = 2;
	size_t pos = 0;

	if (file->pos == 0 || file->private_data == NULL) {
		int err = take_listing(task, file);

		if (err != 0)
			return err;
	}
	if (file->pos == 0) {
		if (!emit->add(emit, ".", 1, file->inode->ino, LINUX_DT_DIR, 1))
			return 0;
		file->pos = 1;
	}
	if (file->pos == 1) {
		if (!emit->add(emit, "..", 2, file->path.dentry->parent->inode->ino, LINUX_DT_DIR, 2))
			return 0;
		file->pos = 2;
	}
	a = file->private_data;
	for (; (r = gofer_record_next(a, &pos)) != NULL; index++) {
		if (index < file->pos || r->name_len == 0)
			continue; /* only a directory's own record has no name: a gofer that lies */
		if (!emit->add(emit, gofer_record_name(r), r->name_len,
			       lower_ino(bind_sb(file->inode)->tree, r->dev, r->ino), (r->mode & LINUX_S_IFMT) >> 12, index + 1))
			return 0;
		file->pos = index + 1;
	}
	return 0;
}

static void bind_dir_release(struct file *file)
{
	struct gofer_answer *a = file->private_data;

	if (a != NULL)
		gofer_answer_done(a);
	kfree(a);
}

static const struct file_ops bind_dir_fops = {
	.iterate = bind_iterate,
	.release = bind_dir_release,
};

static const struct file_ops bind_file_fops = {
	.read = bind_read,
	.write = bind_write,
	.llseek = bind_llseek,
	.map = bind_map,
	.fallocate = bind_fallocate,
	.release = bind_release,
};

#define BIND_COMMON_IOPS                                                                                               \
	.getattr = bind_getattr, .setattr = bind_setattr, .getxattr = bind_getxattr, .setxattr = bind_setxattr,        \
	.listxattr = bind_listxattr, .removexattr = bind_removexattr, .evict = bind_evict

static const struct inode_ops bind_dir_iops = {
	.lookup = bind_lookup,
	.create = bind_create,
	.mkdir = bind_mkdir,
	.mknod = bind_mknod,
	.symlink = bind_symlink,
	.link = bind_link,
	.unlink = bind_unlink,
	.rmdir = bind_rmdir,
	.rename = bind_rename,
	BIND_COMMON_IOPS,
};

static const struct inode_ops bind_file_iops = {
	.open = bind_open,
	BIND_COMMON_IOPS,
};

static const struct inode_ops bind_link_iops = {
	.readlink = bind_readlink,
	BIND_COMMON_IOPS,
};

static const struct inode_ops bind_special_iops = {
	BIND_COMMON_IOPS,
};

/* ---- the superblock ---- */

static int bind_statfs(struct task *task, struct superblock *s, struct linux_statfs *st)
{
	struct gofer_request req = {.op = GOFER_STATFS};
	struct gofer_statfs host;
	struct gofer_answer a;
	int err = gofer_call(task, container_of(s, struct bind_sb, sb)->tree, &req, "", NULL, 0, &a);

	if (err != 0)
		return err;
	if (a.len >= sizeof(host)) {
		memcpy(&host, a.data, sizeof(host));
		st->bsize = st->frsize = (int64_t)host.bsize;
		st->blocks = host.blocks;
		st->bfree = host.bfree;
		st->bavail = host.bavail;
		st->files = host.files;
		st->ffree = host.ffree;
	}
	gofer_answer_done(&a);
	return 0;
}

static const struct superblock_ops bind_sops = {
	.statfs = bind_statfs,
};

struct superblock *bindfs_new_superblock(struct task *task, struct lower_tree *tree, int *err)
{
	struct gofer_request req = {.op = GOFER_LOOKUP};
	struct bind_sb *sb = kzalloc(sizeof(*sb));
	struct inode *inode;

	*err = -LINUX_ENOMEM;
	if (sb == NULL)
		return NULL;
	if (tree == NULL)
		goto free_sb;
	sb->tree = tree;
	sb->sb.fs_type = "ext4";
	sb->sb.magic = LINUX_EXT4_SUPER_MAGIC;
	sb->sb.ops = &bind_sops;
	sb->sb.nocache = true;
	for (unsigned i = 0; i < ID_BUCKETS; i++)
		list_init(&sb->ids[i]);
	*err = request(task, sb, &req, "", NULL, 0, &inode, NULL);
	if (*err != 0)
		goto free_sb;
	*err = superblock_set_root(&sb->sb, inode);
	if (*err != 0)
		goto free_sb;
	return &sb->sb;
free_sb:
	kfree(sb);
	return NULL;
}
