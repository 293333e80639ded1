/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sockets of every family share: the inode in sockfs, file operations, waiting with timeouts, ancillary data.
 *
 *   read, readv    -> socket_read  -> ops->recvmsg without name and control
 *   write, sendfile-> socket_write -> ops->sendmsg (SIGPIPE with EPIPE)
 *   poll, epoll    -> socket_poll  -> ops->poll, with the waiter on socket->wq
 *   last close     -> socket_release -> ops->close; the object itself goes with its last reference
 *
 * The guest controls everything in a message; names and control data are copied and bounded by syscalls/net_msg.c before
 * they come here.
 *
 * Left out: O_ASYNC (SIGIO on readiness), SO_ATTACH_FILTER and BPF, SO_TIMESTAMPING, zero-copy sends (MSG_ZEROCOPY sends
 * by copying, as Linux does over loopback, but reports no completions: SO_ZEROCOPY can't be set).
 */
#include "sentry/net/socket.h"

#include "sentry/base/alloc.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/net/net.h"
#include "sentry/net/unix.h"
#include "sentry/trace/trace.h"
#include "sentry/vfs/vfs.h"

#include <string.h>

#define DEFAULT_BUF 212992U /* net.core.{r,w}mem_default */

void socket_init(struct socket *s, const struct socket_ops *ops, int family, int type, int protocol)
{
	ref_init(&s->ref);
	s->ops = ops;
	s->family = (uint16_t)family;
	s->type = (uint8_t)type;
	s->protocol = (uint16_t)protocol;
	waitq_init(&s->wq);
	s->sndbuf = DEFAULT_BUF;
	s->rcvbuf = DEFAULT_BUF;
	s->rcvlowat = 1;
	s->peek_off = UINT32_MAX;
}

void socket_put(struct socket *s)
{
	if (ref_put(&s->ref)) {
		invariant(s->file == NULL && !waitq_active(&s->wq));
		s->ops->destroy(s);
	}
}

int socket_create(struct task *task, int family, int type, int protocol, struct socket **out)
{
	if (family < 0 || family >= LINUX_AF_MAX)
		return -LINUX_EAFNOSUPPORT;
	if (type < 0 || type >= LINUX_SOCK_MAX)
		return -LINUX_EINVAL;
	if (family == LINUX_AF_INET && type == LINUX_SOCK_PACKET)
		family = LINUX_AF_PACKET;
	switch (family) {
	case LINUX_AF_UNIX:
		return unix_create(task, type, protocol, out);
	case LINUX_AF_INET:
	case LINUX_AF_INET6:
		return inet_create(task, family, type, protocol, out);
	case LINUX_AF_NETLINK:
		return netlink_create(task, type, protocol, out);
	case LINUX_AF_PACKET:
		audit_deny(task, "socket", "AF_PACKET", "network", "packet sockets are not served", "unix, TCP, UDP");
		return -LINUX_EPERM;
	default:
		return -LINUX_EAFNOSUPPORT;
	}
}

/* ---- waiting ---- */

uint64_t sock_deadline(uint64_t timeo, bool nonblock)
{
	uint64_t now;

	if (nonblock)
		return 0;
	if (timeo == 0)
		return WAIT_FOREVER;
	now = loop_now();
	return timeo < WAIT_FOREVER - now ? now + timeo : WAIT_FOREVER;
}

int sock_wait(struct task *task, struct waitq *wq, uint32_t events, uint64_t deadline)
{
	int err;

	if (deadline == 0)
		return -LINUX_EAGAIN;
	err = task_wait_until(task, wq, events, WAIT_INTERRUPTIBLE, deadline);
	if (err == -LINUX_ETIMEDOUT)
		return -LINUX_EAGAIN;
	if (err == -LINUX_ERESTARTSYS && deadline != WAIT_FOREVER)
		return -LINUX_EINTR;
	return err;
}

int sock_error(struct socket *s)
{
	int err = s->error;

	s->error = 0;
	return -err;
}

void sock_wake(struct socket *s, uint32_t events)
{
	waitq_wake(&s->wq, events);
}

/* ---- files ---- */

static int socket_getattr(struct task *task, struct inode *inode, struct kstat *st)
{
	(void)task;
	(void)inode;
	st->blksize = PAGE_SIZE;
	return 0;
}

static const struct inode_ops sockfs_inode_ops = {
	.getattr = socket_getattr,
};

static struct superblock sockfs = {
	.fs_type = "sockfs",
	.dev = LINUX_MKDEV(0, 8),
	.magic = LINUX_SOCKFS_MAGIC,
};

static int64_t socket_read(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct sock_msg msg = {.buf = buf, .flags = buf->nowait ? LINUX_MSG_DONTWAIT : 0};

	(void)pos;
	return buf->left == 0 ? 0 : socket_recvmsg(task, file, &msg);
}

static int64_t socket_write(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct socket *s = file->private_data;
	struct sock_msg msg = {.buf = buf, .flags = buf->nowait ? LINUX_MSG_DONTWAIT : 0};

	(void)pos;
	if (s->type == LINUX_SOCK_SEQPACKET)
		msg.flags |= LINUX_MSG_EOR;
	return socket_sendmsg(task, file, &msg);
}

static uint32_t socket_poll(struct task *task, struct file *file, struct waiter *waiter)
{
	struct socket *s = file->private_data;

	if (waiter != NULL)
		waitq_add(&s->wq, waiter);
	return s->ops->poll(task, s);
}

static int64_t socket_ioctl(struct task *task, struct file *file, unsigned cmd, uint64_t arg)
{
	struct socket *s = file->private_data;
	int64_t ret;
	int32_t pid;

	switch (cmd) {
	case LINUX_FIOSETOWN:
	case LINUX_SIOCSPGRP:
		if (get_guest(task, &pid, GVA(arg)) != 0)
			return -LINUX_EFAULT;
		if (pid == INT32_MIN)
			return -LINUX_EINVAL;
		file->owner_pid = pid;
		file->owner_pids = pid_space_of(task);
		return 0;
	case LINUX_FIOGETOWN:
	case LINUX_SIOCGPGRP:
		pid = file->owner_pid;
		return put_guest(task, GVA(arg), &pid);
	default:
		break;
	}
	ret = s->ops->ioctl != NULL ? s->ops->ioctl(task, s, cmd, arg) : -LINUX_ENOTTY;
	return ret == -LINUX_ENOTTY ? interface_ioctl(task, cmd, arg) : ret;
}

/* The descriptor may have been the last way to reach a unix socket that is in flight, too. */
static int socket_flush(struct task *task, struct file *file)
{
	struct socket *s = file->private_data;

	(void)task;
	if (s->family == LINUX_AF_UNIX)
		unix_descriptor_closed(s);
	return 0;
}

static void socket_release(struct file *file)
{
	struct socket *s = file->private_data;

	s->file = NULL;
	s->ops->close(s);
	/* Whoever polled the closed file is told by its own file references; nobody can sleep on the queue any more. */
	socket_put(s);
}

static const struct file_ops socket_file_ops = {
	.read = socket_read,
	.write = socket_write,
	.poll = socket_poll,
	.ioctl = socket_ioctl,
	.flush = socket_flush,
	.release = socket_release,
};

struct file *socket_new_file(struct task *task, struct socket *s, uint32_t flags)
{
	struct inode *inode = inode_new(&sockfs, 0, LINUX_S_IFSOCK | 0777, &sockfs_inode_ops, NULL);
	struct file *file = NULL;

	if (inode != NULL) {
		inode->uid = task->cred->fsuid;
		inode->gid = task->cred->fsgid;
		file = file_new(task, NULL, inode, &socket_file_ops, LINUX_O_RDWR | (flags & LINUX_O_NONBLOCK));
		s->ino = inode->ino;
		inode_put(inode);
	}
	if (file == NULL) {
		s->ops->close(s);
		socket_put(s);
		return NULL;
	}
	file->mode = (file->mode & ~FMODE_SEEK) | FMODE_READ | FMODE_WRITE | FMODE_STREAM;
	file->private_data = s;
	s->file = file;
	return file;
}

struct socket *socket_from_file(struct file *file)
{
	return file->ops == &socket_file_ops ? file->private_data : NULL;
}

/* ---- messages ---- */

int64_t socket_sendmsg(struct task *task, struct file *file, struct sock_msg *msg)
{
	struct socket *s = file->private_data;
	int64_t ret;

	if ((file->flags & LINUX_O_NONBLOCK) != 0)
		msg->flags |= LINUX_MSG_DONTWAIT;
	ret = s->ops->sendmsg(task, s, msg);
	if (ret == -LINUX_EPIPE && (msg->flags & LINUX_MSG_NOSIGNAL) == 0 && s->type == LINUX_SOCK_STREAM) {
		struct linux_siginfo info;

		siginfo_from_task(&info, LINUX_SIGPIPE, LINUX_SI_USER, task);
		signal_send_task(task, LINUX_SIGPIPE, &info);
	}
	return ret;
}

int64_t socket_recvmsg(struct task *task, struct file *file, struct sock_msg *msg)
{
	struct socket *s = file->private_data;

	if ((file->flags & LINUX_O_NONBLOCK) != 0)
		msg->flags |= LINUX_MSG_DONTWAIT;
	/* Nothing here ever puts a report into the error queue. */
	if ((msg->flags & LINUX_MSG_ERRQUEUE) != 0 && s->family != LINUX_AF_UNIX)
		return -LINUX_EAGAIN;
	return s->ops->recvmsg(task, s, msg);
}

size_t cmsg_room(const struct sock_msg *msg)
{
	uint64_t left;

	if (msg->sink == NULL)
		return 0;
	left = msg->sink->size - msg->sink->used;
	return left > LINUX_CMSG_HDR ? left - LINUX_CMSG_HDR : 0;
}

void cmsg_put(struct task *task, struct sock_msg *msg, int level, int type, const void *data, size_t len)
{
	struct linux_cmsghdr hdr = {.level = level, .type = type};
	struct cmsg_sink *sink = msg->sink;
	uint64_t left = sink != NULL ? sink->size - sink->used : 0;
	gva_t at;

	if (left < LINUX_CMSG_HDR) {
		msg->out_flags |= LINUX_MSG_CTRUNC;
		return;
	}
	hdr.len = LINUX_CMSG_HDR + len;
	if (hdr.len > left) {
		msg->out_flags |= LINUX_MSG_CTRUNC;
		hdr.len = left;
	}
	at = gva_add(sink->base, sink->used);
	/* As in Linux a bad control buffer loses its messages, not the data. */
	if (put_guest(task, at, &hdr) != 0 ||
	    copy_to_guest(task, gva_add(at, LINUX_CMSG_HDR), data, hdr.len - LINUX_CMSG_HDR) != 0)
		return;
	sink->used += MIN(LINUX_CMSG_ALIGN(hdr.len), left);
}

void cmsg_put_stamp(struct task *task, struct socket *s, struct sock_msg *msg, int64_t sec, int64_t nsec)
{
	int64_t pair[2] = {sec, s->timestampns ? nsec : nsec / 1000};

	s->last_stamp_sec = (uint64_t)sec;
	s->last_stamp_nsec = (uint64_t)nsec;
	if (s->timestamp || s->timestampns)
		cmsg_put(task, msg, LINUX_SOL_SOCKET, s->timestampns ? LINUX_SO_TIMESTAMPNS : LINUX_SO_TIMESTAMP, pair,
			 sizeof pair);
}

int cmsg_next(const struct sock_msg *msg, size_t *off, struct linux_cmsghdr *hdr, const uint8_t **data, size_t *len)
{
	size_t left;

	if (*off >= msg->control_len)
		return 0;
	left = msg->control_len - *off;
	if (left < LINUX_CMSG_HDR)
		return 0;
	memcpy(hdr, msg->control + *off, sizeof *hdr);
	if (hdr->len < LINUX_CMSG_HDR || hdr->len > left)
		return -LINUX_EINVAL;
	*data = msg->control + *off + LINUX_CMSG_HDR;
	*len = hdr->len - LINUX_CMSG_HDR;
	*off += LINUX_CMSG_ALIGN(hdr->len);
	return 1;
}
