/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netlink(7) sockets: NETLINK_ROUTE, answered by rtnl.c. Other families answer EPROTONOSUPPORT when the socket is made, as
 * in a kernel without them.
 *
 *   sendmsg (requests) -> rtnl_answer -> packets in the same socket's rx -> recvmsg
 *
 * Multicast groups may be joined, but nothing in the sandbox's network ever changes, so nothing is ever sent to them.
 *
 * The guest controls requests (bounded by SO_SNDBUF and 64 KiB) and how many answers it lets pile up: beyond SO_RCVBUF a
 * request is refused with ENOBUFS.
 *
 * Left out: messages between programs (EPERM for any destination but the kernel), NETLINK_RX_RING, strict checking.
 */
#include "sentry/abi/netlink.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/net/netlink.h"
#include "sentry/net/rtnl.h"
#include "sentry/trace/trace.h"

#include <string.h>

#define REQUEST_MAX (64U * 1024U)

struct list netlink_all = LIST_INIT(netlink_all);
static const struct socket_ops netlink_ops;

int netlink_create(struct task *task, int type, int protocol, struct socket **out)
{
	struct netlink_socket *n;

	if (type != LINUX_SOCK_RAW && type != LINUX_SOCK_DGRAM)
		return -LINUX_ESOCKTNOSUPPORT;
	if (protocol < 0 || protocol >= LINUX_NETLINK_MAX)
		return -LINUX_EPROTONOSUPPORT;
	if (protocol != LINUX_NETLINK_ROUTE) {
		audit_deny(task, "socket", "AF_NETLINK", "network", "only NETLINK_ROUTE is served", "NETLINK_ROUTE");
		return -LINUX_EPROTONOSUPPORT;
	}
	n = kzalloc(sizeof *n);
	if (n == NULL)
		return -LINUX_ENOMEM;
	socket_init(&n->sock, &netlink_ops, LINUX_AF_NETLINK, type, protocol);
	packet_queue_init(&n->rx);
	list_add_tail(&netlink_all, &n->all_link);
	*out = &n->sock;
	return 0;
}

static void netlink_destroy(struct socket *s)
{
	struct netlink_socket *n = netlink_of(s);

	invariant(n->rx.count == 0);
	list_del(&n->all_link);
	kfree(n);
}

static void netlink_close(struct socket *s)
{
	packet_queue_flush(&netlink_of(s)->rx);
	netlink_of(s)->port = 0;
	sock_wake(s, 0);
}

static bool port_taken(uint32_t port)
{
	const struct netlink_socket *n;

	list_for_each(n, &netlink_all, all_link)
		if (n->port == port)
			return true;
	return false;
}

/* The first socket of a process gets its pid, later ones something negative, as in Linux. */
static void autobind(struct task *task, struct netlink_socket *n)
{
	static uint32_t next = (uint32_t)-4097;
	uint32_t port = (uint32_t)task->group->pid;

	if (n->port != 0)
		return;
	while (port_taken(port)) {
		port = next--;
		if ((int32_t)next > -4097)
			next = (uint32_t)-4097;
	}
	n->port = port;
}

static int read_addr(const struct sockname *name, struct linux_sockaddr_nl *addr)
{
	if (name->len < sizeof *addr)
		return -LINUX_EINVAL;
	memcpy(addr, name->bytes, sizeof *addr);
	return addr->family == LINUX_AF_NETLINK ? 0 : -LINUX_EINVAL;
}

static int netlink_bind(struct task *task, struct socket *s, const struct sockname *name)
{
	struct netlink_socket *n = netlink_of(s);
	struct linux_sockaddr_nl addr;
	int err;

	err = read_addr(name, &addr);
	if (err != 0)
		return err;
	if (n->port != 0) {
		if (addr.pid != n->port)
			return -LINUX_EINVAL;
	} else if (addr.pid == 0) {
		autobind(task, n);
	} else if (port_taken(addr.pid)) {
		return -LINUX_EADDRINUSE;
	} else {
		n->port = addr.pid;
	}
	n->groups = addr.groups;
	return 0;
}

static int netlink_connect(struct task *task, struct socket *s, const struct sockname *name, bool nonblock)
{
	struct netlink_socket *n = netlink_of(s);
	struct linux_sockaddr_nl addr;

	(void)nonblock;
	if (name->len < sizeof(uint16_t))
		return -LINUX_EINVAL;
	if (sockname_family(name) == LINUX_AF_UNSPEC) {
		n->peer = 0;
		return 0;
	}
	if (read_addr(name, &addr) != 0)
		return -LINUX_EINVAL;
	if (addr.pid != 0 || addr.groups != 0)
		return -LINUX_EPERM;
	autobind(task, n);
	return 0;
}

static int netlink_getname(struct task *task, struct socket *s, bool peer, struct sockname *name)
{
	struct netlink_socket *n = netlink_of(s);
	struct linux_sockaddr_nl addr = {.family = LINUX_AF_NETLINK};

	(void)task;
	if (!peer) {
		addr.pid = n->port;
		addr.groups = n->groups;
	}
	memcpy(name->bytes, &addr, sizeof addr);
	name->len = sizeof addr;
	return 0;
}

/* ---- requests ---- */

static int queue_reply(struct netlink_socket *n, const struct rtnl_reply *reply)
{
	struct packet *p;

	if (reply->len == 0)
		return 0;
	if (n->rx.charged > n->sock.rcvbuf)
		return -LINUX_ENOBUFS;
	p = packet_new(reply->len);
	if (p == NULL)
		return -LINUX_ENOBUFS;
	memcpy(p->data, reply->bytes, reply->len);
	p->len = reply->len;
	packet_append(&n->rx, p);
	sock_wake(&n->sock, SOCK_IN);
	return 0;
}

/* Answers each request of a message; what is malformed ends it silently. */
static int answer_all(struct netlink_socket *n, const uint8_t *bytes, uint32_t len)
{
	struct rtnl_reply *reply = kmalloc(sizeof *reply);
	uint32_t at = 0;
	int err = 0;

	if (reply == NULL)
		return -LINUX_ENOBUFS;
	while (err == 0 && len - at >= sizeof(struct linux_nlmsghdr)) {
		struct linux_nlmsghdr hdr;

		memcpy(&hdr, bytes + at, sizeof hdr);
		if (hdr.len < sizeof hdr || hdr.len > len - at)
			break;
		reply->len = 0;
		reply->overflow = false;
		rtnl_answer(bytes + at, hdr.len, n->port, n->cap_ack, reply);
		err = queue_reply(n, reply);
		at += MIN(LINUX_NLMSG_ALIGN(hdr.len), len - at);
	}
	kfree(reply);
	return err;
}

static int64_t netlink_sendmsg(struct task *task, struct socket *s, struct sock_msg *msg)
{
	struct netlink_socket *n = netlink_of(s);
	uint64_t len = msg->buf->left;
	struct linux_sockaddr_nl addr;
	uint8_t *bytes;
	int err = 0;

	if ((msg->flags & LINUX_MSG_OOB) != 0)
		return -LINUX_EOPNOTSUPP;
	if (len == 0)
		return -LINUX_ENODATA;
	if (msg->name != NULL && msg->name->len != 0) {
		err = read_addr(msg->name, &addr);
		if (err == 0 && (addr.pid != 0 || addr.groups != 0))
			err = -LINUX_EPERM;
		if (err != 0)
			return err;
	}
	autobind(task, n);
	if (len > REQUEST_MAX || len > s->sndbuf - 32)
		return -LINUX_EMSGSIZE;
	bytes = kmalloc(len);
	if (bytes == NULL)
		return -LINUX_ENOBUFS;
	if (iobuf_get(msg->buf, bytes, len) < len)
		err = -LINUX_EFAULT;
	else
		err = answer_all(n, bytes, (uint32_t)len);
	kfree(bytes);
	return err != 0 ? err : (int64_t)len;
}

static int64_t netlink_recvmsg(struct task *task, struct socket *s, struct sock_msg *msg)
{
	struct netlink_socket *n = netlink_of(s);
	uint64_t deadline = sock_deadline(s->rcvtimeo, (msg->flags & LINUX_MSG_DONTWAIT) != 0);
	struct linux_sockaddr_nl from = {.family = LINUX_AF_NETLINK};
	struct linux_ucred kernel_cred = {0};
	struct packet *p;
	uint32_t take, ret;
	int err;

	if ((msg->flags & LINUX_MSG_OOB) != 0)
		return -LINUX_EOPNOTSUPP;
	while ((p = packet_head(&n->rx)) == NULL) {
		err = sock_error(s);
		if (err == 0)
			err = sock_wait(task, &s->wq, LINUX_POLLIN | LINUX_POLLERR | LINUX_POLLHUP, deadline);
		if (err != 0)
			return err;
	}
	take = (uint32_t)MIN((uint64_t)p->len, msg->buf->left);
	if (iobuf_put(msg->buf, packet_bytes(p), take) < take)
		return -LINUX_EFAULT;
	if (take < p->len)
		msg->out_flags |= LINUX_MSG_TRUNC;
	if (msg->name != NULL) {
		memcpy(msg->name->bytes, &from, sizeof from);
		msg->name->len = sizeof from;
	}
	if (s->passcred && msg->sink != NULL)
		cmsg_put(task, msg, LINUX_SOL_SOCKET, LINUX_SCM_CREDENTIALS, &kernel_cred, sizeof kernel_cred);
	if (n->pktinfo && msg->sink != NULL) {
		uint32_t group = 0;

		cmsg_put(task, msg, LINUX_SOL_NETLINK, LINUX_NETLINK_PKTINFO, &group, sizeof group);
	}
	ret = (msg->flags & LINUX_MSG_TRUNC) != 0 ? p->len : take;
	if ((msg->flags & LINUX_MSG_PEEK) == 0) {
		packet_remove(&n->rx, p);
		packet_free(p);
	}
	return ret;
}

/* ---- the rest ---- */

static uint32_t netlink_poll(struct task *task, struct socket *s)
{
	(void)task;
	return SOCK_OUT | (netlink_of(s)->rx.count > 0 ? SOCK_IN : 0) | (s->error != 0 ? LINUX_POLLERR : 0);
}

static bool *flag_of(struct netlink_socket *n, int name)
{
	switch (name) {
	case LINUX_NETLINK_PKTINFO:
		return &n->pktinfo;
	case LINUX_NETLINK_BROADCAST_ERROR:
		return &n->broadcast_error;
	case LINUX_NETLINK_NO_ENOBUFS:
		return &n->no_enobufs;
	case LINUX_NETLINK_CAP_ACK:
		return &n->cap_ack;
	case LINUX_NETLINK_EXT_ACK:
		return &n->ext_ack;
	case LINUX_NETLINK_GET_STRICT_CHK:
		return &n->strict;
	default:
		return NULL;
	}
}

static int netlink_setsockopt(struct task *task, struct socket *s, int level, int name, const void *val, unsigned len)
{
	struct netlink_socket *n = netlink_of(s);
	uint32_t v = 0;
	bool *flag;

	(void)task;
	if (level != LINUX_SOL_NETLINK)
		return -LINUX_ENOPROTOOPT;
	if (len < sizeof v)
		return -LINUX_EINVAL;
	memcpy(&v, val, sizeof v);
	if (name == LINUX_NETLINK_ADD_MEMBERSHIP || name == LINUX_NETLINK_DROP_MEMBERSHIP) {
		if (v == 0 || v > 36) /* RTNLGRP_MAX */
			return -LINUX_EINVAL;
		if (v <= 32)
			n->groups = name == LINUX_NETLINK_ADD_MEMBERSHIP ? n->groups | 1U << (v - 1)
									 : n->groups & ~(1U << (v - 1));
		return 0;
	}
	if (name == LINUX_NETLINK_LISTEN_ALL_NSID)
		return -LINUX_EPERM;
	flag = flag_of(n, name);
	if (flag == NULL)
		return -LINUX_ENOPROTOOPT;
	*flag = v != 0;
	return 0;
}

static int netlink_getsockopt(struct task *task, struct socket *s, int level, int name, void *val, unsigned *len)
{
	struct netlink_socket *n = netlink_of(s);
	unsigned room = *len;
	int32_t v = 0;
	bool *flag;

	(void)task;
	if (level == LINUX_SOL_SOCKET && name == LINUX_SO_ACCEPTCONN) {
		memcpy(val, &v, sizeof v);
		*len = sizeof v;
		return 0;
	}
	if (level != LINUX_SOL_NETLINK)
		return -LINUX_ENOPROTOOPT;
	if (name == LINUX_NETLINK_LIST_MEMBERSHIPS) {
		memcpy(val, &n->groups, sizeof n->groups);
		*len = 8;
		return 0;
	}
	flag = flag_of(n, name);
	if (flag == NULL)
		return -LINUX_ENOPROTOOPT;
	if (room < sizeof v)
		return -LINUX_EINVAL;
	v = *flag;
	memcpy(val, &v, sizeof v);
	*len = sizeof v;
	return 0;
}

static int64_t netlink_ioctl(struct task *task, struct socket *s, unsigned cmd, uint64_t arg)
{
	struct packet *p = packet_head(&netlink_of(s)->rx);
	int32_t v = p != NULL ? (int32_t)p->len : 0;

	return cmd == LINUX_FIONREAD ? put_guest(task, GVA(arg), &v) : -LINUX_ENOTTY;
}

static const struct socket_ops netlink_ops = {
	.bind = netlink_bind,
	.connect = netlink_connect,
	.getname = netlink_getname,
	.sendmsg = netlink_sendmsg,
	.recvmsg = netlink_recvmsg,
	.setsockopt = netlink_setsockopt,
	.getsockopt = netlink_getsockopt,
	.poll = netlink_poll,
	.ioctl = netlink_ioctl,
	.close = netlink_close,
	.destroy = netlink_destroy,
};
