/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's side of connections with the world: requests to the monitor, and its answers. What is about listening is
 * ingress.c's; it comes through here because one socket carries both.
 *
 *   tcp connect -> dial_start -> DIAL_CONNECT ... monitor ... reply -> dial_wait.done -> the guest's socket
 *
 * Ids are never reused while the sentry lives (2^32 dials), so an answer to a cancelled dial is recognised and its
 * descriptor closed. At most DIAL_MAX_PENDING wait at a time: further ones fail with EAGAIN, as connect(2) does when the
 * host is out of routes' memory. If the monitor's socket closes, everything waiting fails; the sandbox is ending then.
 */
#include "sentry/net/dial.h"

#include "runtime/core/dial_protocol.h"
#include "sentry/abi/errno.h"
#include "sentry/base/log.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/net/ingress.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

static struct list waiting = LIST_INIT(waiting);
static unsigned nwaiting;
static uint32_t next_id = 1;
static struct host_watch watch = {.fd = -1};

static void finish(struct dial_wait *w, int fd, int error)
{
	list_del(&w->link);
	nwaiting--;
	w->id = 0;
	w->done(w, fd, error);
}

/* An SCM_RIGHTS descriptor of the message, or -1. */
static int descriptor_of(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd;

	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof fd))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

static void take_reply(const struct dial_reply *r, int fd)
{
	struct dial_wait *w;

	list_for_each(w, &waiting, link) {
		if (w->id != r->id)
			continue;
		if (r->error == 0 && fd < 0)
			finish(w, -1, LINUX_ECONNABORTED);
		else if (r->error != 0)
			finish(w, -1, r->error > 0 && r->error < LINUX_ERESTARTSYS ? r->error : LINUX_ECONNABORTED);
		else
			finish(w, fd, 0);
		if (r->error != 0 && fd >= 0)
			host_close(fd);
		return;
	}
	if (fd >= 0)
		host_close(fd);
}

static void take_arrived(const struct dial_reply *r, int fd)
{
	struct inet_ep peer = {.port = r->port};

	if (r->family == 4)
		peer.addr = inet_addr_v4(r->addr);
	else
		memcpy(peer.addr.b, r->addr, 16);
	ingress_arrived(r->id, &peer, fd);
}

static void take(const struct dial_reply *r, bool good, int fd)
{
	if (good && r->op == DIAL_CONNECTED) {
		take_reply(r, fd);
		return;
	}
	if (good && r->op == DIAL_ARRIVED) {
		/* Without its descriptor (we have none left) it is a connection all the same that makes room now. */
		if (fd >= 0)
			take_arrived(r, fd);
		else
			ingress_taken(r->id);
		return;
	}
	if (good && r->op == DIAL_LISTENS)
		ingress_answer(r->id, r->error);
	if (fd >= 0)
		host_close(fd);
}

static void lost(void)
{
	log_debug("dial: the monitor's socket is closed");
	host_watch_del(&watch);
	watch.fd = -1;
	ingress_lost();
	while (!list_empty(&waiting))
		finish(list_first(&waiting, struct dial_wait, link), -1, LINUX_ENETDOWN);
}

static void readable(struct host_watch *hw, uint32_t events)
{
	(void)hw;
	if ((events & EPOLLOUT) != 0) {
		host_watch_set(&watch, EPOLLIN);
		ingress_flush();
	}
	if (watch.fd < 0)
		return;
	for (int n = 0; n < 64; n++) {
		struct dial_reply r;
		union {
			char bytes[CMSG_SPACE(sizeof(int))];
			struct cmsghdr align;
		} control;
		struct iovec iov = {.iov_base = &r, .iov_len = sizeof r};
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof control.bytes,
		};
		int64_t got = host_recvmsg(watch.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (got == -LINUX_EAGAIN || got == -LINUX_EINTR)
			return;
		if (got <= 0) {
			lost();
			return;
		}
		take(&r, got == sizeof r && r.version == DIAL_VERSION, descriptor_of(&msg));
	}
}

int dial_init(int fd)
{
	if (fd < 0)
		return 0;
	return host_watch_add(&watch, fd, EPOLLIN, readable);
}

int dial_request(struct dial_request *rq)
{
	struct iovec iov = {.iov_base = rq, .iov_len = sizeof *rq};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int64_t ret;

	if (watch.fd < 0)
		return -LINUX_ENETUNREACH;
	do
		ret = host_sendmsg(watch.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (ret == -LINUX_EINTR);
	return ret < 0 ? (int)ret : 0;
}

void dial_want_room(void)
{
	if (watch.fd >= 0)
		host_watch_set(&watch, EPOLLIN | EPOLLOUT);
}

int dial_start(struct dial_wait *w, const struct inet_ep *ep, void (*done)(struct dial_wait *, int, int))
{
	struct dial_request rq = {.version = DIAL_VERSION, .op = DIAL_CONNECT, .port = ep->port};
	int err;

	if (watch.fd < 0)
		return -LINUX_ENETUNREACH;
	if (nwaiting >= DIAL_MAX_PENDING)
		return -LINUX_EAGAIN;
	if (inet_addr_is_v4(&ep->addr)) {
		rq.family = 4;
		memcpy(rq.addr, ep->addr.b + 12, 4);
	} else {
		rq.family = 6;
		memcpy(rq.addr, ep->addr.b, 16);
	}
	rq.id = next_id++;
	if (next_id == 0)
		next_id = 1;
	err = dial_request(&rq);
	if (err != 0)
		return err;
	w->id = rq.id;
	w->done = done;
	list_add_tail(&waiting, &w->link);
	nwaiting++;
	return 0;
}

void dial_cancel(struct dial_wait *w)
{
	struct dial_request rq = {.version = DIAL_VERSION, .op = DIAL_CANCEL, .id = w->id};

	if (w->id == 0)
		return;
	list_del(&w->link);
	nwaiting--;
	w->id = 0;
	/* If it can't be sent the monitor's answer will find nobody, and its descriptor is closed. */
	if (dial_request(&rq) != 0)
		log_debug("dial: %u could not be cancelled", rq.id);
}
