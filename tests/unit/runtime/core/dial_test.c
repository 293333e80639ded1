/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's dials, asked over a socketpair as the sentry asks, against listeners on this machine's loopback. */
#include "runtime/core/dial.h"

#include "runtime/config.h"
#include "runtime/core/dial_protocol.h"
#include "runtime/core/ingress.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct config *cfg;
static int ours, theirs; /* ends of the sentry and of the monitor */

static void setup(void)
{
	int sv[2];

	cfg = calloc(1, sizeof *cfg);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	ours = sv[0];
	theirs = sv[1];
}

static void allow(uint8_t family, const char *net, uint8_t prefix, uint16_t port)
{
	struct config_egress *r = &cfg->egress[cfg->negress++];

	*r = (struct config_egress){.family = family, .prefix = prefix, .port_lo = port, .port_hi = port};
	cr_assert_eq(inet_pton(family == 4 ? AF_INET : AF_INET6, net, r->addr), 1);
}

static int listener(const char *addr, uint16_t *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, addr, &sa.sin_addr);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	cr_assert_eq(listen(fd, 5), 0);
	getsockname(fd, (struct sockaddr *)&sa, &len);
	*port = ntohs(sa.sin_port);
	return fd;
}

static void request(uint32_t op, uint32_t id, uint16_t family, const char *addr, uint16_t port)
{
	struct dial_request rq = {.version = DIAL_VERSION, .op = op, .id = id, .family = family, .port = port};

	if (addr != NULL)
		cr_assert_eq(inet_pton(strchr(addr, ':') != NULL ? AF_INET6 : AF_INET, addr, rq.addr), 1);
	cr_assert_eq(send(ours, &rq, sizeof rq, 0), sizeof rq);
	cr_assert_eq(dial_handle(theirs, cfg), 0);
}

/* Turns the monitor's loop until a reply to id is there. Its error; the descriptor in *fd. */
static int reply(uint32_t id, int *fd)
{
	struct dial_reply r;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {&r, sizeof r};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	ssize_t got;

	*fd = -1;
	while ((got = recvmsg(ours, &msg, MSG_DONTWAIT)) < 0) {
		struct pollfd fds[DIAL_MAX_PENDING];
		int n = dial_pollfds(fds, DIAL_MAX_PENDING);

		cr_assert_gt(n, 0, "no reply and nothing pending");
		poll(fds, (nfds_t)n, dial_timeout_ms());
		dial_ready(theirs, fds, n);
	}
	cr_assert_eq(got, sizeof r);
	cr_assert_eq(r.id, id);
	if (CMSG_FIRSTHDR(&msg) != NULL)
		memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof *fd);
	cr_assert_eq(*fd >= 0, r.error == 0, "a descriptor comes with success alone");
	return r.error;
}

TestSuite(dial, .init = setup);

Test(dial, an_allowed_address_gives_an_established_socket)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof peer;
	uint16_t port;
	int l = listener("127.0.0.1", &port), fd;
	char c;

	allow(4, "127.0.0.0", 8, port);
	request(DIAL_CONNECT, 7, 4, "127.0.0.1", port);
	cr_assert_eq(reply(7, &fd), 0);
	cr_assert_eq(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
	cr_expect_eq(ntohs(peer.sin_port), port);
	cr_expect_eq(send(fd, "x", 1, 0), 1);
	cr_expect_eq(recv(accept(l, NULL, NULL), &c, 1, 0), 1);
	cr_expect_eq(dial_timeout_ms(), -1);
}

Test(dial, a_closed_port_is_refused_without_a_descriptor)
{
	uint16_t port;
	int fd, l = listener("127.0.0.1", &port);

	close(l);
	allow(4, "127.0.0.1", 32, port);
	request(DIAL_CONNECT, 1, 4, "127.0.0.1", port);
	cr_expect_eq(reply(1, &fd), ECONNREFUSED);
}

Test(dial, the_rules_are_asked_again)
{
	uint16_t port;
	int fd, l = listener("0.0.0.0", &port);

	allow(4, "127.0.0.1", 32, port);
	request(DIAL_CONNECT, 1, 4, "127.0.0.2", port);
	cr_expect_eq(reply(1, &fd), EACCES);
	request(DIAL_CONNECT, 2, 4, "127.0.0.1", (uint16_t)(port + 1));
	cr_expect_eq(reply(2, &fd), EACCES);
	request(DIAL_CONNECT, 3, 6, "::1", port);
	cr_expect_eq(reply(3, &fd), EACCES);
	request(DIAL_CONNECT, 4, 5, "127.0.0.1", port);
	cr_expect_eq(reply(4, &fd), EINVAL);
	/* Nothing reached the listener. */
	struct pollfd p = {.fd = l, .events = POLLIN};
	cr_expect_eq(poll(&p, 1, 0), 0);
}

Test(dial, disguises_are_refused_by_the_widest_rules)
{
	static const char *const disguises[] = {"::ffff:127.0.0.1", "::", "::127.0.0.1", "fe80::1", "ff02::1"};
	uint16_t port;
	int fd;

	listener("0.0.0.0", &port);
	allow(4, "0.0.0.0", 0, port);
	allow(6, "::", 0, port);
	for (uint32_t i = 0; i < sizeof disguises / sizeof *disguises; i++) {
		request(DIAL_CONNECT, i, 6, disguises[i], port);
		cr_expect_eq(reply(i, &fd), EACCES, "%s", disguises[i]);
	}
	request(DIAL_CONNECT, 100, 4, "0.0.0.0", port);
	cr_expect_eq(reply(100, &fd), EACCES);
	request(DIAL_CONNECT, 101, 4, "255.255.255.255", port);
	cr_expect_eq(reply(101, &fd), EACCES);
}

Test(dial, malformed_requests_are_dropped)
{
	struct dial_request rq = {.version = DIAL_VERSION + 1, .op = DIAL_CONNECT, .id = 1, .family = 4, .port = 80};
	char many[200] = {0};
	char c;

	send(ours, &rq, sizeof rq, 0);
	send(ours, &rq, sizeof rq - 1, 0);
	send(ours, many, sizeof many, 0);
	rq.version = DIAL_VERSION;
	rq.op = 99;
	send(ours, &rq, sizeof rq, 0);
	cr_expect_eq(dial_handle(theirs, cfg), 0);
	cr_expect_lt(recv(ours, &c, 1, MSG_DONTWAIT), 0);
	close(ours);
	cr_expect_eq(dial_handle(theirs, cfg), -1);
}

Test(dial, at_most_256_pend_and_a_cancelled_one_makes_room)
{
	struct pollfd fds[DIAL_MAX_PENDING + 1];
	uint16_t port;
	int fd;

	/* A listener whose queue is full leaves connects pending. */
	{
		struct sockaddr_in sa = {.sin_family = AF_INET};
		socklen_t len = sizeof sa;
		int l = listener("127.0.0.1", &port), c;

		listen(l, 0);
		getsockname(l, (struct sockaddr *)&sa, &len);
		for (int i = 0; i < 3; i++) {
			c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
			connect(c, (struct sockaddr *)&sa, sizeof sa);
		}
	}
	allow(4, "127.0.0.1", 32, port);
	for (uint32_t id = 0; id < DIAL_MAX_PENDING; id++)
		request(DIAL_CONNECT, id, 4, "127.0.0.1", port);
	cr_assert_eq(dial_pollfds(fds, DIAL_MAX_PENDING + 1), DIAL_MAX_PENDING);
	cr_expect_gt(dial_timeout_ms(), 100000);
	request(DIAL_CONNECT, 1000, 4, "127.0.0.1", port);
	cr_expect_eq(reply(1000, &fd), EAGAIN);
	request(DIAL_CANCEL, 5, 0, NULL, 0);
	cr_expect_eq(dial_pollfds(fds, DIAL_MAX_PENDING + 1), DIAL_MAX_PENDING - 1);
	request(DIAL_CONNECT, 1001, 4, "127.0.0.1", port);
	cr_expect_eq(dial_pollfds(fds, DIAL_MAX_PENDING + 1), DIAL_MAX_PENDING);
}

/* ---- connections from outside ---- */

static void let_in(uint8_t family, const char *addr, uint16_t lo, uint16_t hi)
{
	struct config_ingress *r = &cfg->ingress[cfg->ningress++];

	*r = (struct config_ingress){.family = family, .port_lo = lo, .port_hi = hi};
	if (addr != NULL)
		cr_assert_eq(inet_pton(family == 4 ? AF_INET : AF_INET6, addr, r->addr), 1);
}

static void ask(uint32_t op, uint32_t id, uint16_t family, uint16_t port, uint32_t count)
{
	struct dial_request rq = {.version = DIAL_VERSION, .op = op, .id = id, .family = family, .port = port, .count = count};

	cr_assert_eq(send(ours, &rq, sizeof rq, 0), sizeof rq);
	cr_assert_eq(dial_handle(theirs, cfg), 0);
}

/* The next message, with its descriptor or -1; op 0 if there is none. */
static struct dial_reply next(int *fd)
{
	struct dial_reply r = {0};
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {&r, sizeof r};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct pollfd fds[INGRESS_MAX_SOCKETS];
	int n = ingress_pollfds(fds, INGRESS_MAX_SOCKETS);

	poll(fds, (nfds_t)n, 100);
	ingress_ready(theirs, fds, n);
	*fd = -1;
	if (recvmsg(ours, &msg, MSG_DONTWAIT) < 0)
		return (struct dial_reply){0};
	if (CMSG_FIRSTHDR(&msg) != NULL)
		memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof *fd);
	return r;
}

static int listens(uint32_t id, uint16_t family, uint16_t port, uint32_t backlog)
{
	struct dial_reply r;
	int fd;

	ask(DIAL_LISTEN, id, family, port, backlog);
	r = next(&fd);
	cr_assert(r.op == DIAL_LISTENS && r.id == id && fd == -1);
	return r.error;
}

static int knock(uint16_t port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
		return fd;
	close(fd);
	return -errno;
}

static uint16_t unused_port(void)
{
	uint16_t port;

	close(listener("127.0.0.1", &port));
	return port;
}

TestSuite(ingress, .init = setup);

Test(ingress, only_ports_that_a_rule_names)
{
	uint16_t port = unused_port();

	cr_expect_eq(listens(1, 4, port, 5), EACCES, "without rules");
	let_in(4, "127.0.0.1", port, port);
	cr_expect_eq(listens(2, 4, (uint16_t)(port + 1), 5), EACCES);
	cr_expect_eq(listens(3, 6, port, 5), EACCES, "an IPv4 rule");
	cr_expect_eq(listens(4, 5, port, 5), EINVAL);
	cr_expect_eq(listens(5, 4, 0, 5), EINVAL);
	cr_expect_eq(knock(port), -ECONNREFUSED);
	cr_expect_eq(listens(6, 4, port, 5), 0);
	cr_expect_eq(listens(7, 4, port, 5), EADDRINUSE, "twice");
}

Test(ingress, arrivals_come_with_their_peers_name_up_to_the_window)
{
	struct sockaddr_in us;
	socklen_t len = sizeof us;
	uint16_t port = unused_port();
	struct dial_reply r;
	int c, fd;
	char b;

	let_in(0, NULL, port, port);
	cr_assert_eq(listens(9, 4, port, 1), 0);
	for (int i = 0; i < 2; i++) {
		c = knock(port);
		cr_assert_geq(c, 0);
		getsockname(c, (struct sockaddr *)&us, &len);
		r = next(&fd);
		cr_assert(r.op == DIAL_ARRIVED && r.id == 9 && fd >= 0);
		cr_expect(r.family == 4 && r.port == ntohs(us.sin_port) && r.addr[0] == 127);
		cr_expect(send(fd, "x", 1, 0) == 1 && recv(c, &b, 1, 0) == 1);
	}
	c = knock(port);
	cr_assert_geq(c, 0, "it waits in the host's queue");
	cr_expect_eq(next(&fd).op, 0, "no more than the backlog");
	ask(DIAL_TAKEN, 9, 0, 0, 1);
	cr_expect_eq(next(&fd).op, DIAL_ARRIVED);
	ask(DIAL_UNLISTEN, 9, 0, 0, 0);
	cr_expect_eq(knock(port), -ECONNREFUSED);
	cr_expect_eq(ingress_timeout_ms(), -1);
}

Test(ingress, rules_overlap)
{
	uint16_t port = unused_port();
	struct pollfd fds[INGRESS_MAX_SOCKETS];

	let_in(4, "127.0.0.1", port, port);
	let_in(4, "127.0.0.1", 1, 65535);
	let_in(4, "127.0.0.2", port, port);
	cr_expect_eq(listens(1, 4, port, 5), 0);
	cr_expect_eq(ingress_pollfds(fds, INGRESS_MAX_SOCKETS), 2);
	ask(DIAL_UNLISTEN, 1, 0, 0, 0);
	let_in(0, NULL, port, port);
	cr_expect_eq(listens(2, 4, port, 5), 0);
	cr_expect_eq(ingress_pollfds(fds, INGRESS_MAX_SOCKETS), 1, "the wildcard has them all");
	ingress_close();
	cr_expect_eq(knock(port), -ECONNREFUSED);
}

Test(ingress, at_most_64_ports)
{
	struct dial_reply r;
	uint32_t id;
	int fd;

	let_in(4, "127.0.0.1", 1, 65535);
	for (id = 1; id <= INGRESS_MAX_DOORS; id++)
		while (listens(id, 4, unused_port(), 0) != 0)
			;
	cr_expect_eq(listens(id, 4, unused_port(), 0), ENOBUFS);
	/* An id is one port's. */
	ask(DIAL_LISTEN, 1, 4, 1, 0);
	r = next(&fd);
	cr_expect_eq(r.error, EINVAL);
	ingress_close();
}
