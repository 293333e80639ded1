/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams with the world, both ways: the monitor takes requests and messages of a sentry that was taken over, and
 * datagrams of anybody; the sentry takes messages. Checked: what the monitor binds is what a rule names (ports 8000 to 8015
 * anywhere, 9000 at 127.0.0.1, for UDP), by this file's own arithmetic; what it sends goes out of a socket to somebody who
 * has sent to that very socket since it was bound; what the sentry queues is charged and bounded, and it lets programs
 * answer those alone who have sent.
 *
 * Sockets are real but not bound (host.c), so nothing is sent or received.
 */
#include "tests/fuzz/fuzz.h"

#include "runtime/config.h"
#include "runtime/core/dial_protocol.h"
#include "runtime/core/udp_protocol.h"
#include "runtime/core/udp_relay.h"
#include "sentry/abi/errno.h"
#include "sentry/kernel/loop_internal.h"
#include "sentry/net/dial.h"
#include "sentry/net/inet.h"
#include "sentry/net/ingress.h"
#include "sentry/net/outside_udp.h"
#include "sentry/net/udp.h"
#include "sentry/platform/stubs/stubs.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FD 1024
#define MAX_HEARD 512U

static struct fuzz_input input;
static struct config *cfg;
static int pair_end, dial_end, udp_end;

/* Who has sent to which socket (monitor) or port (sentry). */
static struct heard {
	int at;
	uint16_t family, port;
	uint8_t addr[16];
} heard[MAX_HEARD];
static unsigned nheard;

static bool has_sent(const struct heard *h)
{
	for (unsigned i = 0; i < nheard; i++)
		if (memcmp(&heard[i], h, sizeof(*h)) == 0)
			return true;
	return false;
}

static void forget(int at)
{
	for (unsigned i = 0; i < nheard;)
		if (heard[i].at == at)
			heard[i] = heard[--nheard];
		else
			i++;
}

/* A peer out of few, so that the two sides meet. */
static void choose_peer(struct heard *h, bool v6)
{
	static const uint8_t v4s[][4] = {{10, 0, 0, 1}, {127, 0, 0, 1}, {224, 0, 0, 1}, {255, 255, 255, 255}, {0, 0, 0, 1}, {192, 0, 2, 1}};
	static const uint8_t v6s[][16] = {{[15] = 1},
					  {0xfe, 0x80, [15] = 1},
					  {0xff, 2, [15] = 1},
					  {0x20, 1, [15] = 1},
					  {0},
					  {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1}};
	uint8_t b = fuzz_u8(&input);

	h->family = v6 ? 6 : 4;
	h->port = b & 0x80 ? fuzz_u16(&input) : b >> 4 & 3;
	memset(h->addr, 0, sizeof(h->addr));
	if (v6)
		memcpy(h->addr, v6s[(b & 7) % 6], 16);
	else
		memcpy(h->addr, v4s[(b & 7) % 6], 4);
	if (b & 8)
		h->addr[v6 ? 14 : 2] = fuzz_u8(&input) & 3;
}

static void put_bytes(const struct msghdr *msg, const void *data, size_t len)
{
	const uint8_t *from = data;

	for (size_t i = 0; i < msg->msg_iovlen && len > 0; i++) {
		size_t n = MIN(len, msg->msg_iov[i].iov_len);

		memcpy(msg->msg_iov[i].iov_base, from, n);
		from += n;
		len -= n;
	}
}

/* ---- the monitor's side ---- */

static bool is_v6[MAX_FD], bound_now[MAX_FD];
static unsigned full; /* messages that the pair has no room for */

static void check_bound(int fd, const uint8_t *addr, bool v6, uint16_t port)
{
	static const uint8_t any[16], lo[4] = {127, 0, 0, 1};

	FUZZ_CHECK((port >= 8000 && port <= 8015 && memcmp(addr, any, v6 ? 16 : 4) == 0) ||
		   (port == 9000 && !v6 && memcmp(addr, lo, 4) == 0));
	FUZZ_CHECK(fd >= 0 && fd < MAX_FD);
	forget(fd);
	is_v6[fd] = v6;
	bound_now[fd] = true;
}

/* A datagram for a socket of the monitor's. */
static ssize_t give_datagram(int fd, struct msghdr *msg)
{
	struct sockaddr_in6 *in6 = msg->msg_name;
	struct sockaddr_in *in4 = msg->msg_name;
	struct cmsghdr *c = msg->msg_control;
	uint8_t b = fuzz_u8(&input);
	struct heard h = {.at = fd};
	uint32_t drops = fuzz_u8(&input);

	FUZZ_CHECK(fd >= 0 && fd < MAX_FD && bound_now[fd] && msg->msg_namelen >= sizeof(*in6));
	choose_peer(&h, is_v6[fd]);
	memset(in6, 0, sizeof(*in6));
	if (is_v6[fd]) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(h.port);
		memcpy(&in6->sin6_addr, h.addr, 16);
	} else {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(h.port);
		memcpy(&in4->sin_addr, h.addr, 4);
	}
	msg->msg_flags = (b & 0x40) ? MSG_TRUNC : 0;
	if (!(b & 0x40) && !has_sent(&h) && nheard < MAX_HEARD)
		heard[nheard++] = h;
	FUZZ_CHECK(msg->msg_controllen >= CMSG_SPACE(sizeof(drops)));
	if (b & 1) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SO_RXQ_OVFL;
		c->cmsg_len = CMSG_LEN(sizeof(drops));
		memcpy(CMSG_DATA(c), &drops, sizeof(drops));
		msg->msg_controllen = CMSG_SPACE(sizeof(drops));
	} else if (b & 2) {
		uint8_t info[sizeof(struct in6_pktinfo)];

		fuzz_bytes(&input, info, sizeof(info));
		c->cmsg_level = is_v6[fd] ? IPPROTO_IPV6 : IPPROTO_IP;
		c->cmsg_type = is_v6[fd] ? IPV6_PKTINFO : IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(is_v6[fd] ? sizeof(struct in6_pktinfo) : sizeof(struct in_pktinfo));
		memcpy(CMSG_DATA(c), info, c->cmsg_len - CMSG_LEN(0));
		msg->msg_controllen = CMSG_SPACE(c->cmsg_len - CMSG_LEN(0));
	} else {
		msg->msg_controllen = 0;
	}
	return (b & 4) ? 65527 : b >> 3 & 7;
}

/* A message of the sentry's. */
static ssize_t give_message(const struct msghdr *msg)
{
	struct udp_head head = {.version = UDP_VERSION};
	uint8_t b = fuzz_u8(&input);
	struct heard h = {0};

	if (b == 0xff) {
		fuzz_bytes(&input, &head, sizeof(head));
		put_bytes(msg, &head, sizeof(head));
		return fuzz_u8(&input); /* 0: its end */
	}
	choose_peer(&h, b & 1);
	head.family = (b & 2) ? h.family : (b & 4) ? 6 : 4;
	head.port = h.port;
	memcpy(head.addr, h.addr, 16);
	head.door = b >> 3 & 15;
	put_bytes(msg, &head, sizeof(head));
	return (ssize_t)sizeof(head) + ((b & 0x80) ? 65535 : 3);
}

static ssize_t monitor_recvmsg(int fd, struct msghdr *msg, int flags)
{
	(void)flags;
	if (!fuzz_more(&input) || (fuzz_u8(&input) & 3) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return fd == pair_end ? give_message(msg) : give_datagram(fd, msg);
}

static ssize_t monitor_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	const struct sockaddr_in6 *in6 = msg->msg_name;
	const struct sockaddr_in *in4 = msg->msg_name;
	struct heard h = {.at = fd};
	size_t n = 0;

	(void)flags;
	for (size_t i = 0; i < msg->msg_iovlen; i++)
		n += msg->msg_iov[i].iov_len;
	if (fd == pair_end) {
		const struct udp_head *head = msg->msg_iov[0].iov_base;

		FUZZ_CHECK(msg->msg_name == NULL && msg->msg_controllen == 0);
		FUZZ_CHECK(n >= sizeof(*head) && n <= sizeof(*head) + UDP_DATA_MAX && head->version == UDP_VERSION);
		FUZZ_CHECK(head->port != 0 && (head->family == 4 || head->family == 6));
		if (full > 0) {
			full--;
			errno = EAGAIN;
			return -1;
		}
		return (ssize_t)n;
	}
	if (fd == dial_end)
		return (ssize_t)n;
	FUZZ_CHECK(fd >= 0 && fd < MAX_FD && bound_now[fd] && msg->msg_name != NULL);
	if (is_v6[fd]) {
		FUZZ_CHECK(msg->msg_namelen == sizeof(*in6) && in6->sin6_family == AF_INET6 && in6->sin6_scope_id == 0);
		h.family = 6;
		h.port = ntohs(in6->sin6_port);
		memcpy(h.addr, &in6->sin6_addr, 16);
		FUZZ_CHECK(h.addr[0] != 0xff && h.addr[0] != 0xfe);
	} else {
		FUZZ_CHECK(msg->msg_namelen == sizeof(*in4) && in4->sin_family == AF_INET);
		h.family = 4;
		h.port = ntohs(in4->sin_port);
		memcpy(h.addr, &in4->sin_addr, 4);
		/* 240/4 but for the broadcast is Linux's unicast. */
		FUZZ_CHECK(h.addr[0] != 0 && (h.addr[0] & 0xf0) != 0xe0 && memcmp(h.addr, "\xff\xff\xff\xff", 4) != 0);
	}
	FUZZ_CHECK(h.port != 0 && has_sent(&h));
	return (ssize_t)n;
}

static void give_request(void)
{
	struct dial_request rq = {.version = DIAL_VERSION};
	uint8_t b = fuzz_u8(&input);

	rq.op = (b & 1) ? DIAL_UNBIND : DIAL_BIND;
	rq.family = (b & 6) == 6 ? b : (b & 2) ? 6 : 4;
	rq.id = fuzz_u8(&input) & 15;
	rq.port = (b & 0x80) ? fuzz_u16(&input) : 7998 + (fuzz_u8(&input) & 31);
	udp_relay_request(dial_end, cfg, &rq);
}

static void monitor_side(void)
{
	struct pollfd fds[UDP_RELAY_MAX_POLLFDS + 1];
	int n;

	fuzz_host.libc_recvmsg = monitor_recvmsg;
	fuzz_host.libc_sendmsg = monitor_sendmsg;
	fuzz_host.bound = check_bound;
	memset(bound_now, 0, sizeof(bound_now));
	pair_end = fcntl(udp_end, F_DUPFD_CLOEXEC, 0);
	udp_relay_init(pair_end, pair_end);
	full = fuzz_u8(&input) & 7;
	while (fuzz_more(&input)) {
		if (fuzz_u8(&input) & 1)
			give_request();
		n = udp_relay_pollfds(fds, UDP_RELAY_MAX_POLLFDS + 1);
		FUZZ_CHECK(n <= UDP_RELAY_MAX_POLLFDS);
		for (int i = 0; i < n; i++)
			fds[i].revents = fds[i].events;
		udp_relay_ready(fds, n);
	}
	udp_relay_close();
	FUZZ_CHECK(udp_relay_pollfds(fds, UDP_RELAY_MAX_POLLFDS) == 0);
}

/* ---- the sentry's side: two sockets at port 8000 ---- */

static struct udp_socket *sockets[2];

static int64_t sentry_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct udp_head head = {.version = UDP_VERSION};
	struct heard h = {.at = 8000};
	uint8_t b = fuzz_u8(&input);

	(void)flags;
	if (fd != udp_end || !fuzz_more(&input) || b == 0)
		return -LINUX_EAGAIN;
	if (b == 0xff) {
		fuzz_bytes(&input, &head, sizeof(head));
		head.version ^= b & 1;
		put_bytes(msg, &head, sizeof(head));
		return 1 + fuzz_u8(&input) % sizeof(head); /* never a whole one */
	}
	choose_peer(&h, b & 1);
	head.family = h.family;
	head.port = h.port;
	memcpy(head.addr, h.addr, 16);
	head.door = b >> 1 & 3;
	head.lost = b >> 4;
	put_bytes(msg, &head, sizeof(head));
	/* The first door is IPv4's. */
	if (h.port != 0 && head.door == (h.family == 4 ? 1 : 2) &&
	    !(h.family == 6 && memcmp(h.addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0) && !has_sent(&h) && nheard < MAX_HEARD)
		heard[nheard++] = h;
	return (int64_t)sizeof(head) + ((b & 8) ? 65527 : 5);
}

static void sentry_side(void)
{
	fuzz_host.recvmsg = sentry_recvmsg;
	while (fuzz_more(&input)) {
		struct heard h = {.at = 8000};
		struct inet_ep ep;

		loop_turn();
		for (unsigned i = 0; i < 2; i++) {
			struct packet_queue *q = &sockets[i]->rx;

			FUZZ_CHECK(q->charged <= sockets[i]->inet.sock.rcvbuf && q->count <= q->charged / packet_cost(0));
			if (fuzz_u8(&input) & 1)
				packet_queue_flush(q);
		}
		choose_peer(&h, fuzz_u8(&input) & 1);
		ep.port = h.port;
		if (h.family == 4)
			ep.addr = inet_addr_v4(h.addr);
		else
			memcpy(ep.addr.b, h.addr, 16);
		if (h.family == 4 || !inet_addr_is_v4(&ep.addr))
			FUZZ_CHECK(outside_udp_may_answer(8000, &ep) == has_sent(&h));
		FUZZ_CHECK(!outside_udp_may_answer(8001, &ep));
	}
	for (unsigned i = 0; i < 2; i++)
		packet_queue_flush(&sockets[i]->rx);
	outside_udp_closed(8000, false);
	outside_udp_closed(8000, true);
}

static void no_sleep(void)
{
}
static const struct stub_transport no_transport = {.before_sleep = no_sleep};

static int always_ready(int64_t timeout)
{
	(void)timeout;
	return 3;
}

static struct udp_socket *make_socket(int family)
{
	struct socket *s;
	struct udp_socket *u;

	FUZZ_CHECK(udp_create(NULL, family, LINUX_IPPROTO_UDP, &s) == 0);
	u = udp_of(s);
	u->inet.v6only = family == LINUX_AF_INET6;
	u->inet.local.port = 8000;
	u->outside = true;
	inet_table_add(&u->inet);
	return u;
}

static void init(void)
{
	int ends[2];

	cfg = calloc(1, sizeof(*cfg));
	cfg->ningress = 3;
	cfg->ingress[0] = (struct config_ingress){.udp = 1, .port_lo = 8000, .port_hi = 8015};
	cfg->ingress[1] = (struct config_ingress){.udp = 1, .family = 4, .addr = {127, 0, 0, 1}, .port_lo = 9000, .port_hi = 9000};
	cfg->ingress[2] = (struct config_ingress){.port_lo = 8016, .port_hi = 8020};
	transport = &no_transport;
	fuzz_host.poll = always_ready;
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0 && write(ends[1], "x", 1) == 1);
	dial_end = ends[0];
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0 && write(ends[1], "x", 1) == 1);
	udp_end = ends[0];
	FUZZ_CHECK(loop_init() == 0 && dial_init(dial_end) == 0 && outside_udp_init(udp_end) == 0);
	ingress_init(cfg);
	sockets[0] = make_socket(LINUX_AF_INET);
	sockets[1] = make_socket(LINUX_AF_INET6);
	ingress_update(8000, true);
	ingress_answer(1, 0);
	ingress_answer(2, 0);
	FUZZ_CHECK(ingress_udp_door(8000, false) == 1 && ingress_udp_door(8000, true) == 2);
}

static void run(const uint8_t *data, size_t size)
{
	input = (struct fuzz_input){data, data + size};
	nheard = 0;
	if (fuzz_u8(&input) & 1)
		monitor_side();
	else
		sentry_side();
}

const struct fuzz_target fuzz_udp = {.name = "udp", .init = init, .run = run};
