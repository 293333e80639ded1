/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's side of datagrams from outside (runtime/core/udp_protocol.h). Which ports are bound outside is ingress.c's.
 *
 *   monitor ──▶ {door, peer} + bytes ──▶ udp_arrived: the best receiver of that port, if it is one that outside reaches
 *   sendto ──▶ may_answer? ──▶ {door, peer} + bytes ──▶ monitor, which asks its own table
 *
 * The table here only tells programs the truth: it knows who sent lately, for less long than the monitor's and of fewer, so
 * that what is allowed here is sent there. Where a process of the host comes over loopback, its address may be one that a
 * socket inside has too: who of the two spoke last gets the reply.
 *
 * Everything that comes is taken at once and queued in the receiver, or dropped there by its SO_RCVBUF; so the pair never
 * fills because a program is slow. What doesn't fit into the pair on the way out is lost, and counted.
 *
 * The world controls peers and bytes; the monitor is trusted, but lengths and doors are checked all the same.
 */
#include "sentry/net/outside_udp.h"

#include "runtime/core/udp_protocol.h"
#include "sentry/abi/errno.h"
#include "sentry/base/log.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/net/flows.h"
#include "sentry/net/ingress.h"
#include "sentry/net/udp.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define BATCH 64

static struct host_watch watch = {.fd = -1};
static struct flows flows = {.cap = UDP_FLOWS_SENTRY, .timeout_ms = UDP_TIMEOUT_SENTRY_MS};
static struct {
	struct udp_head head;
	uint8_t data[UDP_DATA_MAX];
} in;
static uint64_t lost;

static uint64_t now_ms(void)
{
	return loop_now() / 1000000;
}

static void take(int64_t got)
{
	struct inet_ep peer = {.port = in.head.port};
	uint16_t port;
	bool v6;

	if (got < (int64_t)sizeof in.head || in.head.version != UDP_VERSION ||
	    !ingress_udp_port(in.head.door, &port, &v6) || in.head.family != (v6 ? 6 : 4) || peer.port == 0)
		return;
	if (v6)
		memcpy(peer.addr.b, in.head.addr, 16);
	else
		peer.addr = inet_addr_v4(in.head.addr);
	if (inet_addr_is_v4(&peer.addr) == v6)
		return;
	flows_heard(&flows, port, &peer, now_ms());
	udp_arrived(port, &peer, in.data, (uint32_t)(got - (int64_t)sizeof in.head), in.head.lost);
}

static void readable(struct host_watch *hw, uint32_t events)
{
	(void)hw;
	(void)events;
	for (int n = 0; n < BATCH; n++) {
		struct iovec iov = {.iov_base = &in, .iov_len = sizeof in};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		int64_t got = host_recvmsg(watch.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (got == -LINUX_EAGAIN || got == -LINUX_EINTR)
			return;
		if (got <= 0) {
			log_debug("udp: the monitor's socket is closed");
			host_watch_del(&watch);
			watch.fd = -1;
			return;
		}
		take(got);
	}
}

int outside_udp_init(int fd)
{
	if (fd < 0)
		return 0;
	(void)host_getrandom(&flows.seed, sizeof flows.seed);
	return host_watch_add(&watch, fd, EPOLLIN, readable);
}

bool outside_udp_may_answer(uint16_t port, const struct inet_ep *peer)
{
	return watch.fd >= 0 && ingress_udp_door(port, !inet_addr_is_v4(&peer->addr)) != 0 &&
	       flows_find(&flows, port, peer, now_ms()) != NULL;
}

void outside_udp_send(uint16_t port, const struct inet_ep *peer, const uint8_t *data, uint32_t len)
{
	bool v6 = !inet_addr_is_v4(&peer->addr);
	struct udp_head head = {
		.version = UDP_VERSION,
		.door = ingress_udp_door(port, v6),
		.family = v6 ? 6 : 4,
		.port = peer->port,
	};
	struct iovec iov[2] = {{&head, sizeof head}, {(void *)(uintptr_t)data, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	int64_t ret;

	if (v6)
		memcpy(head.addr, peer->addr.b, 16);
	else
		memcpy(head.addr, peer->addr.b + 12, 4);
	do
		ret = watch.fd >= 0 ? host_sendmsg(watch.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) : -LINUX_EPIPE;
	while (ret == -LINUX_EINTR);
	if (ret < 0)
		lost++;
}

void outside_udp_inside_spoke(uint16_t port, const struct inet_ep *from)
{
	if (watch.fd >= 0)
		flows_forget(&flows, port, from);
}

void outside_udp_closed(uint16_t port, bool v6)
{
	flows_forget_port(&flows, port, v6);
}

uint64_t outside_udp_lost(void)
{
	return lost;
}
