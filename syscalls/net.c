/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket(2) and the calls that set sockets up. Messages are in net_msg.c. Errors come in Linux's order: the descriptor
 * (EBADF, ENOTSOCK), then the address (EINVAL, EFAULT), then what the family says.
 */
#include "syscalls/net.h"

#include "sentry/vfs/vfs.h"
#include "syscalls/define.h"

#include <string.h>

struct file *net_get(struct task *task, int fd, struct socket **s, int *err)
{
	struct file *file = fd_get(task, fd);

	if (file == NULL) {
		*err = -LINUX_EBADF;
		return NULL;
	}
	*s = socket_from_file(file);
	if (*s == NULL) {
		file_put(file);
		*err = -LINUX_ENOTSOCK;
		return NULL;
	}
	return file;
}

int net_name_from_guest(struct task *task, gva_t addr, int len, struct sockname *name)
{
	if (len < 0 || len > LINUX_SOCKADDR_MAX)
		return -LINUX_EINVAL;
	memset(name->bytes, 0, sizeof name->bytes);
	name->len = (unsigned)len;
	return len == 0 ? 0 : copy_from_guest(task, name->bytes, addr, (size_t)len);
}

/* Only as much as the caller has room for is written; the length tells the whole. */
int net_name_to_guest(struct task *task, const struct sockname *name, gva_t addr, gva_t lenp)
{
	int32_t room, full = (int32_t)name->len;

	if (get_guest(task, &room, lenp) != 0)
		return -LINUX_EFAULT;
	if (room < 0)
		return -LINUX_EINVAL;
	if (copy_to_guest(task, addr, name->bytes, MIN((unsigned)room, name->len)) != 0)
		return -LINUX_EFAULT;
	return put_guest(task, lenp, &full);
}

/* Takes the reference. */
static int install(struct task *task, struct socket *s, int flags)
{
	struct file *file = socket_new_file(task, s, (uint32_t)flags & LINUX_O_NONBLOCK);

	if (file == NULL)
		return -LINUX_ENOMEM;
	return fd_install(task, file, 0, (flags & LINUX_SOCK_CLOEXEC) != 0);
}

SYSCALL_DEFINE3(socket, int, family, int, type, int, protocol)
{
	int flags = type & ~LINUX_SOCK_TYPE_MASK, err;
	struct socket *s;

	if ((flags & ~(LINUX_SOCK_CLOEXEC | LINUX_SOCK_NONBLOCK)) != 0)
		return -LINUX_EINVAL;
	err = socket_create(task, family, type & LINUX_SOCK_TYPE_MASK, protocol, &s);
	return err != 0 ? err : install(task, s, flags);
}

/* Both sockets as files that know each other; *b and *a are references. */
static int make_pair(struct task *task, int family, int type, int protocol, int flags, struct file *files[2])
{
	struct socket *a, *b;
	int err;

	err = socket_create(task, family, type, protocol, &a);
	if (err != 0)
		return err;
	files[0] = socket_new_file(task, a, (uint32_t)flags);
	if (files[0] == NULL)
		return -LINUX_ENOMEM;
	err = socket_create(task, family, type, protocol, &b);
	if (err != 0)
		goto put_a;
	files[1] = socket_new_file(task, b, (uint32_t)flags);
	if (files[1] == NULL) {
		err = -LINUX_ENOMEM;
		goto put_a;
	}
	err = a->ops->pair != NULL ? a->ops->pair(task, a, b) : -LINUX_EOPNOTSUPP;
	if (err == 0)
		return 0;
	file_put(files[1]);
put_a:
	file_put(files[0]);
	return err;
}

SYSCALL_DEFINE4(socketpair, int, family, int, type, int, protocol, gva_t, sv)
{
	int flags = type & ~LINUX_SOCK_TYPE_MASK, fds[2], err;
	bool cloexec = (flags & LINUX_SOCK_CLOEXEC) != 0;
	struct file *files[2];

	if ((flags & ~(LINUX_SOCK_CLOEXEC | LINUX_SOCK_NONBLOCK)) != 0)
		return -LINUX_EINVAL;
	err = make_pair(task, family, type & LINUX_SOCK_TYPE_MASK, protocol, flags & LINUX_O_NONBLOCK, files);
	if (err != 0)
		return err;
	fds[0] = fd_install(task, files[0], 0, cloexec);
	if (fds[0] < 0) {
		file_put(files[1]);
		return fds[0];
	}
	fds[1] = fd_install(task, files[1], 0, cloexec);
	if (fds[1] < 0) {
		(void)fd_close(task, fds[0]);
		return fds[1];
	}
	err = copy_to_guest(task, sv, fds, sizeof fds);
	if (err != 0) {
		(void)fd_close(task, fds[0]);
		(void)fd_close(task, fds[1]);
	}
	return err;
}

SYSCALL_DEFINE3(bind, int, fd, gva_t, addr, int, len)
{
	struct sockname name;
	struct socket *s;
	int err;
	struct file *file = net_get(task, fd, &s, &err);

	if (file == NULL)
		return err;
	err = net_name_from_guest(task, addr, len, &name);
	if (err == 0)
		err = s->ops->bind(task, s, &name);
	file_put(file);
	return err;
}

SYSCALL_DEFINE2(listen, int, fd, int, backlog)
{
	struct socket *s;
	int err;
	struct file *file = net_get(task, fd, &s, &err);

	if (file == NULL)
		return err;
	if ((unsigned)backlog > LINUX_SOMAXCONN)
		backlog = LINUX_SOMAXCONN;
	err = s->ops->listen != NULL ? s->ops->listen(task, s, backlog) : -LINUX_EOPNOTSUPP;
	file_put(file);
	return err;
}

SYSCALL_DEFINE3(connect, int, fd, gva_t, addr, int, len)
{
	struct sockname name;
	struct socket *s;
	int err;
	struct file *file = net_get(task, fd, &s, &err);

	if (file == NULL)
		return err;
	err = net_name_from_guest(task, addr, len, &name);
	if (err == 0)
		err = s->ops->connect(task, s, &name, (file->flags & LINUX_O_NONBLOCK) != 0);
	file_put(file);
	return err;
}

static int64_t do_accept_call(struct task *task, int fd, gva_t addr, gva_t lenp, int flags)
{
	struct socket *s, *child;
	struct sockname name;
	int err, ret;
	struct file *file;

	if ((flags & ~(LINUX_SOCK_CLOEXEC | LINUX_SOCK_NONBLOCK)) != 0)
		return -LINUX_EINVAL;
	file = net_get(task, fd, &s, &err);
	if (file == NULL)
		return err;
	err = -LINUX_EOPNOTSUPP;
	if (s->ops->accept != NULL)
		err = s->ops->accept(task, s, (file->flags & LINUX_O_NONBLOCK) != 0, &child);
	file_put(file);
	if (err != 0)
		return err;
	name.len = 0;
	if (addr.v != 0) {
		err = child->ops->getname(task, child, true, &name);
		if (err != 0)
			err = -LINUX_ECONNABORTED;
		else
			err = net_name_to_guest(task, &name, addr, lenp);
	}
	ret = err == 0 ? install(task, child, flags) : err;
	if (err != 0) {
		child->ops->close(child);
		socket_put(child);
	}
	return ret;
}

SYSCALL_DEFINE3(accept, int, fd, gva_t, addr, gva_t, lenp)
{
	return do_accept_call(task, fd, addr, lenp, 0);
}

SYSCALL_DEFINE4(accept4, int, fd, gva_t, addr, gva_t, lenp, int, flags)
{
	return do_accept_call(task, fd, addr, lenp, flags);
}

static int64_t do_getname(struct task *task, int fd, gva_t addr, gva_t lenp, bool peer)
{
	struct sockname name;
	struct socket *s;
	int err;
	struct file *file = net_get(task, fd, &s, &err);

	if (file == NULL)
		return err;
	err = s->ops->getname(task, s, peer, &name);
	file_put(file);
	return err != 0 ? err : net_name_to_guest(task, &name, addr, lenp);
}

SYSCALL_DEFINE3(getsockname, int, fd, gva_t, addr, gva_t, lenp)
{
	return do_getname(task, fd, addr, lenp, false);
}

SYSCALL_DEFINE3(getpeername, int, fd, gva_t, addr, gva_t, lenp)
{
	return do_getname(task, fd, addr, lenp, true);
}

SYSCALL_DEFINE2(shutdown, int, fd, int, how)
{
	struct socket *s;
	int err;
	struct file *file = net_get(task, fd, &s, &err);

	if (file == NULL)
		return err;
	if (s->ops->shutdown == NULL)
		err = -LINUX_EOPNOTSUPP;
	else if (how < LINUX_SHUT_RD || how > LINUX_SHUT_RDWR)
		err = -LINUX_EINVAL;
	else
		err = s->ops->shutdown(task, s, how);
	file_put(file);
	return err;
}

SYSCALL_DEFINE5(setsockopt, int, fd, int, level, int, name, gva_t, val, int, len)
{
	struct socket *s;
	int err;
	struct file *file = net_get(task, fd, &s, &err);

	if (file == NULL)
		return err;
	err = socket_setsockopt(task, s, level, name, val, len);
	file_put(file);
	return err;
}

SYSCALL_DEFINE5(getsockopt, int, fd, int, level, int, name, gva_t, val, gva_t, len)
{
	struct socket *s;
	int err;
	struct file *file = net_get(task, fd, &s, &err);

	if (file == NULL)
		return err;
	err = socket_getsockopt(task, s, level, name, val, len);
	file_put(file);
	return err;
}
