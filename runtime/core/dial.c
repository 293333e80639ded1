/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outgoing TCP connections, made by the monitor for the sealed sentry. See dial_protocol.h.
 *
 * The sentry has already asked its own rules; here they are asked again, on the bytes that go to connect(2), because a
 * sentry that was taken over would lie. What it can do at worst is open connections that the rules allow.
 *
 * Invariants: at most DIAL_MAX_PENDING dials; a socket leaves here only after its connect has succeeded; one that failed is
 * closed. Replies that the sentry doesn't take up (its socket is full) are dropped with their dial: it then times out
 * there.
 *
 * No scope ids: link-local IPv6 addresses are never dialed. Nor are 0.0.0.0/8, ::, multicast, broadcast, and IPv4
 * addresses dressed as IPv6 (they would pass a rule for IPv6).
 */
#include "runtime/core/dial.h"

#include "runtime/config.h"
#include "runtime/core/dial_protocol.h"
#include "runtime/core/ingress.h"
#include "runtime/core/udp_relay.h"
#include "sentry/net/inet_addr.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct dial {
	int fd; /* -1: the slot is free */
	uint32_t id;
	uint64_t deadline_ms;
};

static struct dial dials[DIAL_MAX_PENDING];
static int ndials; /* slots [0, ndials) have been used; free ones are among them */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int dial_send(int sock, const struct dial_reply *r, int fd)
{
	struct dial_reply copy = *r;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = &copy, .iov_len = sizeof copy};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *c = &control.align;

		memset(&control, 0, sizeof control);
		c->cmsg_len = CMSG_LEN(sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof control.bytes;
	}
	while (sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return errno;
	return 0;
}

/* fd -1: none goes along. It is not closed. */
static void reply(int sock, uint32_t id, int error, int fd)
{
	struct dial_reply r = {.version = DIAL_VERSION, .op = DIAL_CONNECTED, .id = id, .error = error};

	(void)dial_send(sock, &r, fd);
}

static struct dial *free_slot(void)
{
	for (int i = 0; i < ndials; i++)
		if (dials[i].fd < 0)
			return &dials[i];
	return ndials < DIAL_MAX_PENDING ? &dials[ndials++] : NULL;
}

static void drop(struct dial *d)
{
	close(d->fd);
	d->fd = -1;
	while (ndials > 0 && dials[ndials - 1].fd < 0)
		ndials--;
}

/* The address as both the rules and connect(2) will see it: one conversion, so that they can't differ. */
static int make_address(const struct dial_request *rq, struct inet_ep *ep, struct sockaddr_storage *sa, socklen_t *len)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
	struct sockaddr_in *in = (struct sockaddr_in *)sa;

	memset(sa, 0, sizeof *sa);
	ep->port = rq->port;
	if (rq->family == 4) {
		ep->addr = inet_addr_v4(rq->addr);
		in->sin_family = AF_INET;
		in->sin_port = htons(rq->port);
		memcpy(&in->sin_addr, rq->addr, 4);
		*len = sizeof *in;
		return egress_never(&ep->addr, true) ? EACCES : 0;
	}
	if (rq->family != 6)
		return EINVAL;
	memcpy(ep->addr.b, rq->addr, 16);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(rq->port);
	memcpy(&in6->sin6_addr, rq->addr, 16);
	*len = sizeof *in6;
	return egress_never(&ep->addr, false) ? EACCES : 0;
}

static void start(int sock, const struct config *cfg, const struct dial_request *rq)
{
	struct sockaddr_storage sa;
	struct inet_ep ep;
	struct dial *d;
	socklen_t len = 0;
	int fd, one = 1, err;

	err = make_address(rq, &ep, &sa, &len);
	if (err == 0 && !egress_allowed(cfg->egress, cfg->negress, &ep))
		err = EACCES;
	if (err != 0) {
		reply(sock, rq->id, err, -1);
		return;
	}
	d = free_slot();
	if (d == NULL) {
		reply(sock, rq->id, EAGAIN, -1);
		return;
	}
	d->fd = -1;
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0) {
		reply(sock, rq->id, errno, -1);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(fd, (struct sockaddr *)&sa, len) == 0) {
		reply(sock, rq->id, 0, fd);
		close(fd);
		return;
	}
	if (errno != EINPROGRESS) {
		err = errno;
		close(fd);
		reply(sock, rq->id, err, -1);
		return;
	}
	*d = (struct dial){.fd = fd, .id = rq->id, .deadline_ms = now_ms() + DIAL_TIMEOUT_MS};
}

static void cancel(uint32_t id)
{
	for (int i = 0; i < ndials; i++) {
		if (dials[i].fd >= 0 && dials[i].id == id) {
			drop(&dials[i]);
			return;
		}
	}
}

int dial_handle(int sock, const struct config *cfg)
{
	struct dial_request rq;

	/* Bounded, so that a flood of requests doesn't keep the monitor from its other work. */
	for (int n = 0; n < 64; n++) {
		ssize_t got = recv(sock, &rq, sizeof rq, MSG_DONTWAIT | MSG_TRUNC);

		if (got == 0)
			return -1;
		if (got < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		if (got != sizeof rq || rq.version != DIAL_VERSION)
			continue;
		if (rq.op == DIAL_CONNECT)
			start(sock, cfg, &rq);
		else if (rq.op == DIAL_CANCEL)
			cancel(rq.id);
		else if (rq.op == DIAL_LISTEN || rq.op == DIAL_UNLISTEN || rq.op == DIAL_TAKEN)
			ingress_request(sock, cfg, &rq);
		else if (rq.op == DIAL_BIND || rq.op == DIAL_UNBIND)
			udp_relay_request(sock, cfg, &rq);
	}
	return 0;
}

int dial_pollfds(struct pollfd *fds, int max)
{
	int n = 0;

	for (int i = 0; i < ndials && n < max; i++)
		if (dials[i].fd >= 0)
			fds[n++] = (struct pollfd){.fd = dials[i].fd, .events = POLLOUT};
	return n;
}

int dial_timeout_ms(void)
{
	uint64_t first = UINT64_MAX, now;

	for (int i = 0; i < ndials; i++)
		if (dials[i].fd >= 0 && dials[i].deadline_ms < first)
			first = dials[i].deadline_ms;
	if (first == UINT64_MAX)
		return -1;
	now = now_ms();
	return first <= now ? 0 : (int)(first - now);
}

/* A connect that has ended: SO_ERROR says how, and only a socket with a peer is handed over. */
static void finish(int sock, struct dial *d)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(int), peer_len = sizeof peer;
	int err = 0;

	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
		err = errno;
	if (err == 0 && getpeername(d->fd, (struct sockaddr *)&peer, &peer_len) != 0)
		err = errno == ENOTCONN ? ECONNREFUSED : errno;
	reply(sock, d->id, err, err == 0 ? d->fd : -1);
	drop(d);
}

void dial_ready(int sock, const struct pollfd *fds, int n)
{
	uint64_t now = now_ms();

	for (int k = 0; k < n; k++) {
		if (fds[k].revents == 0)
			continue;
		for (int i = 0; i < ndials; i++) {
			if (dials[i].fd == fds[k].fd) {
				finish(sock, &dials[i]);
				break;
			}
		}
	}
	for (int i = 0; i < ndials; i++) {
		if (dials[i].fd >= 0 && dials[i].deadline_ms <= now) {
			reply(sock, dials[i].id, ETIMEDOUT, -1);
			drop(&dials[i]);
		}
	}
}
