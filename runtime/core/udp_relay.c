/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams from outside, and replies to them, passed on by the monitor for the sealed sentry. See udp_protocol.h.
 *
 *   DIAL_BIND {family, port} -> a door, with a host socket at each address that rules give for it (doors.c)
 *   host's socket -> one datagram -> flows: who sent it, to which socket, to which address -> the pair
 *   the pair -> one datagram -> has that address sent to that port lately? -> out of the socket it came in by
 *
 * Why the sentry isn't given the sockets, as it is given TCP connections: a UDP socket sends wherever its holder says. No
 * filter can look at the address (it lies behind a pointer), and a connected one can be connected elsewhere. A sentry that
 * was taken over would reach every host the namespace reaches. So the sockets stay here, and the rule that nothing leaves
 * but replies is this file's: a copy more for each datagram.
 *
 * Invariants: nothing is sent but by a flow that was heard within UDP_TIMEOUT_MS, from the very socket it came in by; at most
 * UDP_FLOWS of them; one datagram at most is held, and while it is no socket is read, so that what is too much waits in the
 * host's queues and is dropped there. A turn passes on BATCH each way, then the monitor's other work has its turn.
 *
 * The sentry controls how many ports (INGRESS_MAX_DOORS), what it sends to whom among the flows, and how fast; the world
 * controls who is among them. Who can forge its address on the way to us can make somebody else a flow.
 *
 * Left out: peers with link-local IPv6 addresses (they'd need an interface's number; dropped), what ICMP says of replies,
 * TTL and TOS.
 */
#include "runtime/core/udp_relay.h"

#include "runtime/config.h"
#include "runtime/core/dial.h"
#include "runtime/core/dial_protocol.h"
#include "runtime/core/doors.h"
#include "runtime/core/udp_protocol.h"
#include "sentry/net/flows.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH 64
#define PAIR_BUFFER (1 << 18) /* the host doubles or caps it; fewer messages than UDP_FLOWS has more than the sentry */

struct message {
	struct udp_head head;
	uint8_t data[UDP_DATA_MAX];
};

static int pair = -1;
static struct doors table;
static struct flows flows = {.cap = UDP_FLOWS, .timeout_ms = UDP_TIMEOUT_MS};
static struct message in, out; /* in: to the sentry */
static size_t held;            /* bytes of `in` that the pair had no room for; 0: none */
static uint64_t refused;

void udp_relay_init(int ours, int theirs)
{
	int size = PAIR_BUFFER;

	pair = ours;
	if (ours < 0)
		return;
	setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	/* Without randomness strangers could make the table slow, no more. */
	if (getrandom(&flows.seed, sizeof flows.seed, GRND_NONBLOCK) != sizeof flows.seed)
		flows.seed = doors_now_ms();
}

uint64_t udp_relay_refused(void)
{
	return refused;
}

/* ---- doors ---- */

static void close_door(struct door *d)
{
	/* Whoever binds the port next may not answer those. */
	flows_forget_port(&flows, d->port, d->family == 6);
	doors_close(&table, d);
}

/*
 * No SO_REUSEADDR: with UDP it would let us in beside whoever has the port, and others beside us. The destination is asked for,
 * because a reply must come from there: by the wildcard the host would choose among its addresses.
 */
static int make_ready(int fd, const struct dial_request *rq, bool bound)
{
	bool v6 = rq->family == 6;
	int one = 1;

	if (bound)
		return 0;
	setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one);
	return setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &one, sizeof one) != 0 ? errno : 0;
}

static int do_bind(const struct config *cfg, const struct dial_request *rq)
{
	struct door *d;

	if (doors_find(&table, rq->id) != NULL)
		return EINVAL;
	return pair < 0 ? EACCES : doors_open(&table, cfg, rq, SOCK_DGRAM, make_ready, &d);
}

void udp_relay_request(int sock, const struct config *cfg, const struct dial_request *rq)
{
	struct door *d;

	if (rq->op == DIAL_BIND) {
		struct dial_reply r = {.version = DIAL_VERSION, .op = DIAL_LISTENS, .id = rq->id};

		r.error = do_bind(cfg, rq);
		dial_send(sock, &r, -1);
		return;
	}
	d = doors_find(&table, rq->id);
	if (d != NULL)
		close_door(d);
}

/* ---- in ---- */

/* False: it is still held. */
static bool flush_held(void)
{
	struct iovec iov = {.iov_base = &in, .iov_len = held};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t ret;

	if (held == 0)
		return true;
	do
		ret = sendmsg(pair, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (ret < 0 && errno == EINTR);
	if (ret < 0 && errno == EAGAIN)
		return false;
	held = 0;
	if (ret < 0) {
		struct door *d = doors_find(&table, in.head.door);

		if (d != NULL)
			d->lost += in.head.lost + 1;
	}
	return true;
}

/* What the host says beside the bytes: where it was sent to, and how many were dropped before. */
static void take_control(struct msghdr *msg, struct ear *e, struct inet_addr *local)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			/* spec_dst, not addr: what was broadcast can't be answered from there. */
			memcpy(&info, CMSG_DATA(c), sizeof info);
			*local = inet_addr_v4((const uint8_t *)&info.ipi_spec_dst);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof info);
			memcpy(local->b, &info.ipi6_addr, 16);
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
			uint32_t n;

			memcpy(&n, CMSG_DATA(c), sizeof n);
			e->door->lost += n - e->overflows;
			e->overflows = n;
		}
	}
}

/* Fills in the head's family, port and address. False: nobody who could be answered. */
static bool take_peer(const struct sockaddr_storage *sa, struct inet_ep *peer)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)sa;

	if (sa->ss_family == AF_INET6) {
		memcpy(peer->addr.b, &in6->sin6_addr, 16);
		peer->port = ntohs(in6->sin6_port);
		memcpy(in.head.addr, peer->addr.b, 16);
		in.head.family = 6;
	} else {
		peer->addr = inet_addr_v4((const uint8_t *)&in4->sin_addr);
		peer->port = ntohs(in4->sin_port);
		memset(in.head.addr, 0, sizeof in.head.addr);
		memcpy(in.head.addr, &in4->sin_addr, 4);
		in.head.family = 4;
	}
	in.head.port = peer->port;
	/* The host's kernel lets no such sender in; a reply to one would go to many, or to nobody. */
	return peer->port != 0 && !egress_never(&peer->addr, sa->ss_family == AF_INET);
}

/* One datagram of e into `in`, held. False: there was none. */
static bool take_datagram(struct ear *e)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint32_t))];
		struct cmsghdr align;
	} control;
	struct sockaddr_storage from = {0};
	struct iovec iov = {.iov_base = in.data, .iov_len = sizeof in.data};
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof from,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	struct inet_addr local = inet_any6;
	struct inet_ep peer;
	struct flow *w;
	ssize_t n = recvmsg(e->fd, &msg, MSG_DONTWAIT);

	if (n < 0)
		return false;
	take_control(&msg, e, &local);
	if ((msg.msg_flags & MSG_TRUNC) != 0 || (from.ss_family == AF_INET6) != (e->door->family == 6) ||
	    !take_peer(&from, &peer)) {
		e->door->lost++;
		return true;
	}
	w = flows_heard(&flows, e->door->port, &peer, doors_now_ms());
	w->tag = (uint32_t)(e - table.ears);
	w->local = local;
	in.head.version = UDP_VERSION;
	in.head.door = e->door->id;
	in.head.lost = e->door->lost;
	e->door->lost = 0;
	held = sizeof in.head + (size_t)n;
	return true;
}

static void read_some(struct ear *e, int *budget)
{
	while (*budget > 0 && flush_held() && take_datagram(e))
		--*budget;
	flush_held();
}

/* ---- out ---- */

/* The source is where the flow's last datagram was sent to. */
static void put_source(struct msghdr *msg, const struct inet_addr *local, bool v6)
{
	struct cmsghdr *c = msg->msg_control;

	if (inet_addr_is_any(local) || inet_addr_is_multicast(local)) {
		msg->msg_controllen = 0;
	} else if (v6) {
		struct in6_pktinfo info = {0};

		memcpy(&info.ipi6_addr, local->b, 16);
		c->cmsg_len = CMSG_LEN(sizeof info);
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		memcpy(CMSG_DATA(c), &info, sizeof info);
		msg->msg_controllen = CMSG_SPACE(sizeof info);
	} else {
		struct in_pktinfo info = {0};

		memcpy(&info.ipi_spec_dst, local->b + 12, 4);
		c->cmsg_len = CMSG_LEN(sizeof info);
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		memcpy(CMSG_DATA(c), &info, sizeof info);
		msg->msg_controllen = CMSG_SPACE(sizeof info);
	}
}

/* The flow that a message of the sentry may go by, or NULL. */
static struct flow *flow_of(const struct udp_head *h)
{
	const struct door *d = doors_find(&table, h->door);
	struct inet_ep peer = {.port = h->port};
	struct flow *w;

	if (h->version != UDP_VERSION || d == NULL || h->family != d->family)
		return NULL;
	if (h->family == 4)
		peer.addr = inet_addr_v4(h->addr);
	else
		memcpy(peer.addr.b, h->addr, 16);
	/* The table's family is its addresses' form: a mapped one would be another door's. */
	if (inet_addr_is_v4(&peer.addr) != (h->family == 4))
		return NULL;
	w = flows_find(&flows, d->port, &peer, doors_now_ms());
	if (w == NULL || w->tag >= (uint32_t)table.nears || !table.ears[w->tag].used || table.ears[w->tag].door != d)
		return NULL;
	return w;
}

static void send_out(const struct flow *w, const void *data, size_t len)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
		struct cmsghdr align;
	} control = {.bytes = {0}};
	bool v6 = !inet_addr_is_v4(&w->peer.addr);
	struct sockaddr_storage to;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr msg = {.msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes};

	msg.msg_namelen = doors_sockaddr(&to, v6, v6 ? w->peer.addr.b : w->peer.addr.b + 12, w->peer.port);
	put_source(&msg, &w->local, v6);
	/* What the host has no room for is lost, as on any network. */
	(void)sendmsg(table.ears[w->tag].fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* False: the sentry's end is closed. */
static bool write_some(void)
{
	for (int n = 0; n < BATCH; n++) {
		struct iovec iov = {.iov_base = &out, .iov_len = sizeof out};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1}; /* without room for descriptors: they are dropped */
		ssize_t got = recvmsg(pair, &msg, MSG_DONTWAIT);
		struct flow *w;

		if (got == 0)
			return false;
		if (got < 0)
			return errno == EAGAIN || errno == EINTR;
		w = got >= (ssize_t)sizeof out.head && (msg.msg_flags & MSG_TRUNC) == 0 ? flow_of(&out.head) : NULL;
		if (w == NULL)
			refused++;
		else
			send_out(w, out.data, (size_t)got - sizeof out.head);
	}
	return true;
}

/* ---- the loop's ---- */

int udp_relay_pollfds(struct pollfd *fds, int max)
{
	int n = 0;

	if (pair < 0 || max < 1)
		return 0;
	fds[n++] = (struct pollfd){.fd = pair, .events = (short)(held != 0 ? POLLIN | POLLOUT : POLLIN)};
	for (int i = 0; i < table.nears && held == 0 && n < max; i++)
		if (table.ears[i].used)
			fds[n++] = (struct pollfd){.fd = table.ears[i].fd, .events = POLLIN};
	return n;
}

void udp_relay_ready(const struct pollfd *fds, int n)
{
	static unsigned turn; /* who is read first, so that a flood at one port doesn't shut out the others */
	int budget = BATCH;

	if (pair < 0 || n < 1)
		return;
	if (fds[0].revents != 0 && !write_some()) {
		udp_relay_close();
		return;
	}
	if ((fds[0].revents & POLLOUT) != 0)
		flush_held();
	turn++;
	for (int i = 0; i < n - 1; i++) {
		int k = 1 + (int)((turn + (unsigned)i) % (unsigned)(n - 1));
		struct ear *e;

		if (fds[k].revents == 0)
			continue;
		/* The requests that came in the same turn may have closed it: then nothing waits on the number. */
		e = doors_ear_of(&table, fds[k].fd);
		if (e != NULL)
			read_some(e, &budget);
	}
}

void udp_relay_close(void)
{
	for (unsigned i = 0; i < INGRESS_MAX_DOORS; i++)
		if (table.doors[i].used)
			close_door(&table.doors[i]);
	held = 0;
	if (pair >= 0)
		close(pair);
	pair = -1;
}
