/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections that leave the sandbox, or come from outside: a guest's socket with an established host socket behind
 * it. In either direction the same, but for the beginning.
 *
 *   connect -> dial.c -> monitor ... -> dial_done: fd -> host_watch
 *   arrived -> outbound_adopt: fd -> host_watch
 *   recv, poll -> outbound_pull: host_recvmsg into rx (only when rx is empty: the host's socket holds the rest)
 *   send       -> bounce buffer -> host_sendmsg, no address, never MSG_FASTOPEN
 *
 * Everything with the host is non-blocking. The watch asks for an event only while somebody could wait for it: for input
 * once a read found nothing, for output once a write found no room; so a connection nobody reads costs no wake-ups. After
 * hang-up the watch is gone, and what is left is found by reading.
 *
 * The host's addresses are never shown: getpeername gives what the guest asked for, or who came, getsockname an address that the
 * sandbox's own interface list would not contradict (loopback) or one of the documentation networks.
 *
 * The guest controls how much it sends at a time (bounced in pieces of 64 KiB). The world controls the bytes.
 */
#include "sentry/base/alloc.h"
#include "sentry/base/log.h"
#include "sentry/host/host.h"
#include "sentry/net/dial.h"
#include "sentry/net/tcp.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PULL_MAX (64U * 1024U)

struct outbound {
	struct tcp_socket *t;     /* borrowed: it closes us first */
	struct dial_wait dial;
	struct host_watch watch;
	int fd;                   /* -1: not established yet */
	bool may_read, may_write; /* no wait has been asked for since the host last had, or took, bytes */
	bool eof;
};

struct inet_addr outbound_source(const struct inet_addr *dst)
{
	static const struct inet_addr net4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 2}};
	static const struct inet_addr net6 = {{0x20, 0x01, 0x0d, 0xb8, [15] = 2}};

	if (inet_addr_is_loopback(dst))
		return inet_addr_is_v4(dst) ? inet_loopback4 : inet_loopback6;
	return inet_addr_is_v4(dst) ? net4 : net6;
}

static void outbound_free(struct outbound *o)
{
	dial_cancel(&o->dial);
	if (o->watch.fd >= 0)
		host_watch_del(&o->watch);
	if (o->fd >= 0)
		host_close(o->fd);
	o->t->out = NULL;
	kfree(o);
}

static void want(struct outbound *o)
{
	if (o->watch.fd >= 0)
		host_watch_set(&o->watch, (o->may_read || o->eof ? 0 : EPOLLIN | EPOLLRDHUP) | (o->may_write ? 0 : EPOLLOUT));
}

static void ready(struct host_watch *w, uint32_t events)
{
	struct outbound *o = container_of(w, struct outbound, watch);
	struct socket *s = TCP_SOCK(o->t);
	uint32_t told = 0;

	if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
		/* Level-triggered and not maskable: no more events are needed, reading and writing tell the rest. */
		host_watch_del(&o->watch);
		o->watch.fd = -1;
		o->may_read = o->may_write = true;
		sock_wake(s, 0);
		return;
	}
	if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) {
		o->may_read = true;
		told |= SOCK_IN | LINUX_POLLRDHUP;
	}
	if ((events & EPOLLOUT) != 0) {
		o->may_write = true;
		told |= SOCK_OUT;
	}
	want(o);
	if (told != 0)
		sock_wake(s, told);
}

static void dial_done(struct dial_wait *w, int fd, int error)
{
	struct outbound *o = container_of(w, struct outbound, dial);
	struct tcp_socket *t = o->t;
	int err;

	if (error != 0) {
		outbound_free(o);
		tcp_connect_failed(t, error);
		return;
	}
	o->fd = fd;
	err = host_watch_add(&o->watch, fd, 0, ready);
	if (err != 0) {
		o->watch.fd = -1;
		outbound_free(o);
		tcp_connect_failed(t, -err);
		return;
	}
	tcp_connect_done(t);
}

int outbound_adopt(struct tcp_socket *t, int fd)
{
	struct outbound *o = kzalloc(sizeof *o);
	int err;

	if (o == NULL) {
		host_close(fd);
		return -LINUX_ENOMEM;
	}
	o->t = t;
	o->fd = fd;
	o->may_read = o->may_write = true;
	list_init(&o->dial.link);
	t->out = o;
	err = host_watch_add(&o->watch, fd, 0, ready);
	if (err != 0) {
		o->watch.fd = -1;
		outbound_free(o);
	}
	return err;
}

int outbound_start(struct tcp_socket *t, const struct inet_ep *ep)
{
	struct outbound *o = kzalloc(sizeof *o);
	int err;

	if (o == NULL)
		return -LINUX_ENOMEM;
	o->t = t;
	o->fd = -1;
	o->watch.fd = -1;
	o->may_read = o->may_write = true;
	list_init(&o->dial.link);
	t->out = o;
	err = dial_start(&o->dial, ep, dial_done);
	if (err != 0)
		outbound_free(o);
	return err;
}

/* The connection broke. What was read before stays readable. */
static void broken(struct outbound *o, int err)
{
	struct tcp_socket *t = o->t;

	log_debug("outbound: broken, errno %d", -err);
	o->eof = true;
	tcp_receive_reset(t);
	if (err != -LINUX_ECONNRESET && err != -LINUX_EPIPE && TCP_SOCK(t)->error != 0)
		TCP_SOCK(t)->error = -err;
}

void outbound_pull(struct tcp_socket *t)
{
	static uint8_t bounce[PULL_MAX];
	struct outbound *o = t->out;
	struct packet *p;
	struct iovec iov;
	struct msghdr msg;
	int64_t n;

	if (o->fd < 0 || o->eof || !o->may_read || t->rx.bytes > 0)
		return;
	iov = (struct iovec){.iov_base = bounce, .iov_len = sizeof bounce};
	msg = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
	do
		n = host_recvmsg(o->fd, &msg, MSG_DONTWAIT);
	while (n == -LINUX_EINTR);
	if (n > 0) {
		p = packet_new((uint32_t)n);
		if (p == NULL) {
			broken(o, -LINUX_ENOMEM); /* the bytes are lost: so is the connection */
			return;
		}
		memcpy(p->data, bounce, (size_t)n);
		p->len = (uint32_t)n;
		packet_append(&t->rx, p);
		return;
	}
	if (n == -LINUX_EAGAIN) {
		o->may_read = false;
		want(o);
	} else if (n == 0) {
		o->eof = true;
		want(o);
		tcp_receive_fin(t);
	} else {
		broken(o, (int)n);
	}
}

int64_t outbound_send(struct tcp_socket *t, struct iobuf *buf, uint32_t flags)
{
	struct outbound *o = t->out;
	struct iovec iov;
	struct msghdr msg;
	struct packet *p;
	uint32_t len = (uint32_t)MIN(buf->left, (uint64_t)PACKET_MAX);
	int64_t n;
	int err;

	if (o->fd < 0 || !o->may_write)
		return -LINUX_EAGAIN;
	p = packet_new(len);
	if (p == NULL)
		return -LINUX_ENOBUFS;
	err = packet_fill(p, buf, len);
	if (err != 0) {
		packet_free(p);
		return err;
	}
	iov = (struct iovec){.iov_base = p->data, .iov_len = len};
	msg = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
	do
		n = host_sendmsg(o->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL | ((flags & LINUX_MSG_OOB) != 0 ? MSG_OOB : 0));
	while (n == -LINUX_EINTR);
	packet_free(p);
	if (n < (int64_t)len)
		iobuf_revert(buf, n < 0 ? len : len - (size_t)n);
	if (n == -LINUX_EAGAIN || (n >= 0 && n < (int64_t)len)) {
		o->may_write = false;
		want(o);
	}
	if (n < 0 && n != -LINUX_EAGAIN) {
		broken(o, (int)n);
		return TCP_SOCK(t)->error != 0 ? sock_error(TCP_SOCK(t)) : -LINUX_EPIPE;
	}
	return n;
}

bool outbound_writable(const struct tcp_socket *t)
{
	return t->out->fd >= 0 && t->out->may_write;
}

void outbound_shutdown(struct tcp_socket *t)
{
	if (t->out->fd >= 0)
		host_shutdown(t->out->fd, SHUT_WR);
}

void outbound_close(struct tcp_socket *t)
{
	/* Unread bytes that only we hold: the host's kernel must not say goodbye as if all had been read. It can't be told
	 * (SO_LINGER isn't ours to set); the far end sees a FIN where Linux would send RST. */
	outbound_free(t->out);
}
