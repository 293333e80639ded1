/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: send(2), recv(2) and their kin. A struct msghdr is copied once; its name and control data are copied and
 * bounded here, its iovec by iobuf_init_iovec; the families see only sentry memory and an iobuf.
 *
 *   sendmsg: guest msghdr -> {iobuf, name, control copy} -> socket_sendmsg
 *   recvmsg: guest msghdr -> {iobuf, control sink}       -> socket_recvmsg -> name, flags, controllen back
 */
#include "sentry/base/alloc.h"
#include "sentry/kernel/loop.h"
#include "sentry/vfs/vfs.h"
#include "syscalls/define.h"
#include "syscalls/net.h"

#include <string.h>

#define CONTROL_MAX 20480U /* net.core.optmem_max: ENOBUFS beyond */

SYSCALL_DEFINE6(sendto, int, fd, gva_t, buf, uint64_t, len, unsigned, flags, gva_t, addr, int, addrlen)
{
	struct sockname name = {.len = 0};
	struct socket *s;
	struct iobuf iobuf;
	int64_t ret;
	int err;
	struct file *file = net_get(task, fd, &s, &err);

	if (file == NULL)
		return err;
	if (addr.v != 0)
		err = net_name_from_guest(task, addr, addrlen, &name);
	else
		err = 0;
	ret = err;
	if (err == 0) {
		struct sock_msg msg = {
			.buf = &iobuf,
			.flags = flags & ~LINUX_MSG_CMSG_COMPAT,
			.name = name.len != 0 ? &name : NULL,
		};

		iobuf_init_guest(&iobuf, task, buf, len);
		ret = socket_sendmsg(task, file, &msg);
	}
	file_put(file);
	return ret;
}

SYSCALL_DEFINE6(recvfrom, int, fd, gva_t, buf, uint64_t, len, unsigned, flags, gva_t, addr, gva_t, addrlen)
{
	struct sockname name = {.len = 0};
	struct sock_msg msg = {.flags = flags, .name = addr.v != 0 ? &name : NULL};
	struct socket *s;
	struct iobuf iobuf;
	int64_t ret;
	int err;
	struct file *file = net_get(task, fd, &s, &err);

	if (file == NULL)
		return err;
	iobuf_init_guest(&iobuf, task, buf, len);
	msg.buf = &iobuf;
	ret = socket_recvmsg(task, file, &msg);
	file_put(file);
	if (ret >= 0 && addr.v != 0) {
		err = net_name_to_guest(task, &name, addr, addrlen);
		if (err != 0)
			return err;
	}
	return ret;
}

/* The parts of a msghdr that both directions check, in Linux's order. */
static int read_msghdr(struct task *task, gva_t at, struct linux_msghdr *hdr)
{
	if (get_guest(task, hdr, at) != 0)
		return -LINUX_EFAULT;
	if (hdr->name == 0)
		hdr->namelen = 0;
	if ((int32_t)hdr->namelen < 0)
		return -LINUX_EINVAL;
	hdr->namelen = MIN(hdr->namelen, (uint32_t)LINUX_SOCKADDR_MAX);
	return hdr->iovlen > LINUX_IOV_MAX ? -LINUX_EMSGSIZE : 0;
}

static int64_t send_one(struct task *task, struct file *file, gva_t at, unsigned flags)
{
	struct linux_msghdr hdr;
	struct sockname name = {.len = 0};
	struct sock_msg msg = {.flags = flags & ~LINUX_MSG_CMSG_COMPAT};
	struct iobuf iobuf;
	uint8_t *control = NULL;
	int64_t ret;

	ret = read_msghdr(task, at, &hdr);
	if (ret != 0)
		return ret;
	if (hdr.namelen != 0) {
		ret = net_name_from_guest(task, GVA(hdr.name), (int)hdr.namelen, &name);
		if (ret != 0)
			return ret;
		msg.name = &name;
	}
	ret = iobuf_init_iovec(&iobuf, task, GVA(hdr.iov), hdr.iovlen);
	if (ret != 0)
		return ret;
	if (hdr.controllen > CONTROL_MAX) {
		ret = -LINUX_ENOBUFS;
		goto free_iobuf;
	}
	if (hdr.controllen != 0) {
		control = kmalloc(hdr.controllen);
		ret = -LINUX_ENOBUFS;
		if (control == NULL)
			goto free_iobuf;
		ret = copy_from_guest(task, control, GVA(hdr.control), hdr.controllen);
		if (ret != 0)
			goto free_control;
		msg.control = control;
		msg.control_len = hdr.controllen;
	}
	msg.buf = &iobuf;
	ret = socket_sendmsg(task, file, &msg);
free_control:
	kfree(control);
free_iobuf:
	iobuf_done(&iobuf);
	return ret;
}

static int64_t recv_one(struct task *task, struct file *file, gva_t at, unsigned flags)
{
	struct linux_msghdr hdr;
	struct sockname name = {.len = 0};
	struct cmsg_sink sink;
	struct sock_msg msg = {.flags = flags};
	struct iobuf iobuf;
	int64_t ret;

	ret = read_msghdr(task, at, &hdr);
	if (ret != 0)
		return ret;
	ret = iobuf_init_iovec(&iobuf, task, GVA(hdr.iov), hdr.iovlen);
	if (ret != 0)
		return ret;
	sink = (struct cmsg_sink){.base = GVA(hdr.control), .size = hdr.controllen};
	msg.buf = &iobuf;
	msg.name = hdr.name != 0 ? &name : NULL;
	msg.sink = hdr.control != 0 && hdr.controllen != 0 ? &sink : NULL;
	msg.out_flags = flags & LINUX_MSG_CMSG_CLOEXEC;
	ret = socket_recvmsg(task, file, &msg);
	iobuf_done(&iobuf);
	if (ret < 0)
		return ret;
	if (msg.name != NULL) {
		int err = net_name_to_guest(task, &name, GVA(hdr.name),
					    gva_add(at, offsetof(struct linux_msghdr, namelen)));

		if (err != 0)
			return err;
	}
	hdr.flags = msg.out_flags;
	hdr.controllen = msg.sink != NULL ? sink.used : 0;
	if (put_guest(task, gva_add(at, offsetof(struct linux_msghdr, flags)), &hdr.flags) != 0 ||
	    put_guest(task, gva_add(at, offsetof(struct linux_msghdr, controllen)), &hdr.controllen) != 0)
		return -LINUX_EFAULT;
	return ret;
}

SYSCALL_DEFINE3(sendmsg, int, fd, gva_t, hdr, unsigned, flags)
{
	struct socket *s;
	int64_t ret;
	int err;
	struct file *file = net_get(task, fd, &s, &err);

	if (file == NULL)
		return err;
	ret = send_one(task, file, hdr, flags);
	file_put(file);
	return ret;
}

SYSCALL_DEFINE3(recvmsg, int, fd, gva_t, hdr, unsigned, flags)
{
	struct socket *s;
	int64_t ret;
	int err;
	struct file *file = net_get(task, fd, &s, &err);

	if (file == NULL)
		return err;
	ret = recv_one(task, file, hdr, flags);
	file_put(file);
	return ret;
}

#define MMSG_AT(base, i, field) gva_add(base, (uint64_t)(i) * sizeof(struct linux_mmsghdr) + (field))

SYSCALL_DEFINE4(sendmmsg, int, fd, gva_t, vec, unsigned, n, unsigned, flags)
{
	struct socket *s;
	int64_t ret = 0;
	unsigned i;
	int err;
	struct file *file = net_get(task, fd, &s, &err);

	if (file == NULL)
		return err;
	n = MIN(n, (unsigned)LINUX_IOV_MAX);
	for (i = 0; i < n; i++) {
		uint32_t len;

		ret = send_one(task, file, MMSG_AT(vec, i, 0), flags);
		if (ret < 0)
			break;
		len = (uint32_t)ret;
		ret = put_guest(task, MMSG_AT(vec, i, offsetof(struct linux_mmsghdr, len)), &len);
		if (ret != 0)
			break;
		if (signal_pending(task)) {
			i++;
			break;
		}
	}
	file_put(file);
	return i > 0 ? (int64_t)i : ret;
}

/* An error behind the first message is kept for the next call, as Linux does. */
static int64_t recv_many(struct task *task, struct file *file, struct socket *s, gva_t vec, unsigned n, unsigned flags,
			 uint64_t deadline)
{
	int64_t ret = sock_error(s);
	unsigned i = 0;

	if (ret != 0)
		return ret;
	while (i < n) {
		uint32_t len;

		ret = recv_one(task, file, MMSG_AT(vec, i, 0), flags & ~LINUX_MSG_WAITFORONE);
		if (ret < 0)
			break;
		len = (uint32_t)ret;
		ret = put_guest(task, MMSG_AT(vec, i, offsetof(struct linux_mmsghdr, len)), &len);
		if (ret != 0)
			break;
		i++;
		if ((flags & LINUX_MSG_WAITFORONE) != 0)
			flags |= LINUX_MSG_DONTWAIT;
		if (deadline != 0 && loop_now() >= deadline)
			break;
		if (signal_pending(task))
			break;
	}
	if (i == 0)
		return ret;
	if (ret < 0 && ret != -LINUX_EAGAIN && ret > -LINUX_ERESTARTSYS)
		s->error = (int)-ret;
	return i;
}

SYSCALL_DEFINE5(recvmmsg, int, fd, gva_t, vec, unsigned, n, unsigned, flags, gva_t, timeout)
{
	struct linux_timespec ts;
	uint64_t deadline = 0, now = 0;
	struct socket *s;
	int64_t ret;
	int err;
	struct file *file;

	if (timeout.v != 0) {
		if (get_guest(task, &ts, timeout) != 0)
			return -LINUX_EFAULT;
		if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= (int64_t)NSEC_PER_SEC)
			return -LINUX_EINVAL;
		now = loop_now();
		deadline = now + (uint64_t)MIN(ts.sec, (int64_t)1 << 32) * NSEC_PER_SEC + (uint64_t)ts.nsec;
	}
	file = net_get(task, fd, &s, &err);
	if (file == NULL)
		return err;
	ret = recv_many(task, file, s, vec, MIN(n, (unsigned)LINUX_IOV_MAX), flags, deadline);
	file_put(file);
	if (ret > 0 && timeout.v != 0) {
		uint64_t end = loop_now(), left = end < deadline ? deadline - end : 0;

		ts = (struct linux_timespec){(int64_t)(left / NSEC_PER_SEC), (int64_t)(left % NSEC_PER_SEC)};
		if (put_guest(task, timeout, &ts) != 0)
			return -LINUX_EFAULT;
	}
	return ret;
}
