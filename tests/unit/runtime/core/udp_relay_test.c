/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's relay of datagrams, asked as the sentry asks, against sockets on this machine's loopback. */
#include "runtime/core/udp_relay.h"

#include "runtime/config.h"
#include "runtime/core/dial.h"
#include "runtime/core/dial_protocol.h"
#include "runtime/core/udp_protocol.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct message {
	struct udp_head head;
	char data[UDP_DATA_MAX];
};

static struct config *cfg;
static int dial_ours, dial_theirs; /* ends of the sentry and of the monitor */
static int ours;
static struct message got;

static void setup(void)
{
	int sv[2];

	cfg = calloc(1, sizeof *cfg);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	dial_ours = sv[0];
	dial_theirs = sv[1];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	ours = sv[0];
	udp_relay_init(sv[1], sv[0]);
}

static void let_in(uint8_t family, const char *addr, uint16_t port, bool udp)
{
	struct config_ingress *r = &cfg->ingress[cfg->ningress++];

	*r = (struct config_ingress){.family = family, .port_lo = port, .port_hi = port, .udp = udp};
	if (addr != NULL)
		cr_assert_eq(inet_pton(family == 4 ? AF_INET : AF_INET6, addr, r->addr), 1);
}

static struct sockaddr_in at(const char *addr, uint16_t port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, addr, &sa.sin_addr);
	return sa;
}

static int client(const char *addr, uint16_t *port)
{
	struct sockaddr_in sa = at(addr, 0);
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	getsockname(fd, (struct sockaddr *)&sa, &len);
	*port = ntohs(sa.sin_port);
	return fd;
}

static uint16_t unused_port(void)
{
	uint16_t port;

	close(client("0.0.0.0", &port));
	return port;
}

static int binds(uint32_t id, uint16_t family, uint16_t port)
{
	struct dial_request rq = {.version = DIAL_VERSION, .op = DIAL_BIND, .id = id, .family = family, .port = port};
	struct dial_reply r;

	cr_assert_eq(send(dial_ours, &rq, sizeof rq, 0), sizeof rq);
	cr_assert_eq(dial_handle(dial_theirs, cfg), 0);
	cr_assert_eq(recv(dial_ours, &r, sizeof r, MSG_DONTWAIT), sizeof r);
	cr_assert(r.op == DIAL_LISTENS && r.id == id);
	return r.error;
}

static void unbind(uint32_t id)
{
	struct dial_request rq = {.version = DIAL_VERSION, .op = DIAL_UNBIND, .id = id};

	cr_assert_eq(send(dial_ours, &rq, sizeof rq, 0), sizeof rq);
	cr_assert_eq(dial_handle(dial_theirs, cfg), 0);
}

/* A turn of the monitor's loop. */
static void turn(void)
{
	struct pollfd fds[UDP_RELAY_MAX_POLLFDS];
	int n = udp_relay_pollfds(fds, UDP_RELAY_MAX_POLLFDS);

	poll(fds, (nfds_t)n, 0);
	udp_relay_ready(fds, n);
}

/* Bytes of the next datagram for the sentry, in `got`; -1: none. */
static int next(void)
{
	ssize_t n;

	turn();
	n = recv(ours, &got, sizeof got, MSG_DONTWAIT);
	return n < (ssize_t)sizeof got.head ? -1 : (int)(n - (ssize_t)sizeof got.head);
}

static void knock(int fd, const char *addr, uint16_t port, const void *data, size_t len)
{
	struct sockaddr_in sa = at(addr, port);

	cr_assert_eq(sendto(fd, data, len, 0, (struct sockaddr *)&sa, sizeof sa), len);
}

static void say_as(struct udp_head head, const void *data, size_t len)
{
	struct iovec iov[2] = {{&head, sizeof head}, {(void *)(uintptr_t)data, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	cr_assert_eq(sendmsg(ours, &msg, MSG_DONTWAIT), sizeof head + len);
	turn();
}

static void say(uint32_t door, const char *addr, uint16_t port, const void *data, size_t len)
{
	struct udp_head head = {.version = UDP_VERSION, .door = door, .family = 4, .port = port};

	cr_assert_eq(inet_pton(AF_INET, addr, head.addr), 1);
	say_as(head, data, len);
}

/* What a client has got, and from where; -1: nothing. */
static int heard(int fd, char *buf, size_t size, char *from)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof sa;
	ssize_t n = recvfrom(fd, buf, size, 0, (struct sockaddr *)&sa, &len);

	if (n >= 0 && from != NULL)
		inet_ntop(AF_INET, &sa.sin_addr, from, INET_ADDRSTRLEN);
	return (int)n;
}

TestSuite(udp_relay, .init = setup);

Test(udp_relay, only_ports_that_a_rule_names_for_udp)
{
	uint16_t port = unused_port();

	let_in(0, NULL, port, false);
	cr_expect_eq(binds(1, 4, port), EACCES, "a rule for TCP");
	let_in(4, "127.0.0.1", port, true);
	cr_expect_eq(binds(2, 4, (uint16_t)(port + 1)), EACCES);
	cr_expect_eq(binds(3, 6, port), EACCES, "an IPv4 rule");
	cr_expect_eq(binds(4, 5, port), EINVAL);
	cr_expect_eq(binds(5, 4, 0), EINVAL);
	cr_expect_eq(binds(6, 4, port), 0);
	cr_expect_eq(binds(7, 4, port), EADDRINUSE, "twice");
	cr_expect_eq(binds(6, 4, port), EINVAL, "an id is one port's");
	unbind(6);
	cr_expect_eq(binds(7, 4, port), 0);
}

Test(udp_relay, nobody_shares_the_port)
{
	struct sockaddr_in sa;
	uint16_t port;
	int one = 1, fd = client("0.0.0.0", &port);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	let_in(0, NULL, port, true);
	cr_expect_eq(binds(1, 4, port), EADDRINUSE);
	close(fd);
	cr_expect_eq(binds(1, 4, port), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	sa = at("127.0.0.1", port);
	cr_expect(bind(fd, (struct sockaddr *)&sa, sizeof sa) == -1 && errno == EADDRINUSE);
}

Test(udp_relay, replies_go_to_who_has_sent_and_to_nobody_else)
{
	uint16_t port = unused_port(), a, b;
	int ca = client("127.0.0.1", &a), cb = client("127.0.0.1", &b);
	char buf[100], from[INET_ADDRSTRLEN];

	let_in(0, NULL, port, true);
	cr_assert_eq(binds(9, 4, port), 0);
	say(9, "127.0.0.1", a, "early", 5);
	cr_expect_eq(heard(ca, buf, sizeof buf, NULL), -1, "it hasn't sent yet");
	knock(ca, "127.0.0.2", port, "hello", 5);
	cr_assert_eq(next(), 5);
	cr_expect(got.head.version == UDP_VERSION && got.head.door == 9 && got.head.family == 4 && got.head.port == a &&
		  got.head.lost == 0 && memcmp(got.head.addr, "\x7f\0\0\1\0\0\0\0\0\0\0\0\0\0\0", 16) == 0 &&
		  memcmp(got.data, "hello", 5) == 0);
	say(9, "127.0.0.1", a, "back", 4);
	cr_expect_eq(heard(ca, buf, sizeof buf, from), 4);
	cr_expect(memcmp(buf, "back", 4) == 0);
	cr_expect_str_eq(from, "127.0.0.2", "from where it had been sent to");
	cr_expect_eq(udp_relay_refused(), 1);

	say(9, "127.0.0.1", b, "x", 1);
	say(8, "127.0.0.1", a, "x", 1);
	say(9, "127.0.0.3", a, "x", 1);
	cr_expect_eq(udp_relay_refused(), 4);
	say_as((struct udp_head){.version = UDP_VERSION + 1, .door = 9, .family = 4, .port = a, .addr = {127, 0, 0, 1}}, "x", 1);
	say_as((struct udp_head){.version = UDP_VERSION, .door = 9, .family = 6, .port = a, .addr = {127, 0, 0, 1}}, "x", 1);
	say_as((struct udp_head){.version = UDP_VERSION,
				 .door = 9,
				 .family = 6,
				 .port = a,
				 .addr = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}},
	       "x", 1);
	cr_assert_eq(send(ours, "short", 5, 0), 5);
	turn();
	cr_expect_eq(udp_relay_refused(), 8);
	cr_expect_eq(heard(ca, buf, sizeof buf, NULL), -1);
	cr_expect_eq(heard(cb, buf, sizeof buf, NULL), -1);
	say(9, "127.0.0.1", a, "", 0);
	cr_expect_eq(heard(ca, buf, sizeof buf, NULL), 0, "an empty one is one");
}

Test(udp_relay, a_port_bound_anew_knows_nobody)
{
	uint16_t port = unused_port(), a;
	int ca = client("127.0.0.1", &a);
	char buf[10];

	let_in(0, NULL, port, true);
	cr_assert_eq(binds(1, 4, port), 0);
	knock(ca, "127.0.0.1", port, "x", 1);
	cr_assert_eq(next(), 1);
	unbind(1);
	say(1, "127.0.0.1", a, "x", 1);
	cr_assert_eq(binds(2, 4, port), 0);
	say(2, "127.0.0.1", a, "x", 1);
	cr_expect_eq(heard(ca, buf, sizeof buf, NULL), -1);
	knock(ca, "127.0.0.1", port, "x", 1);
	cr_assert_eq(next(), 1);
	say(2, "127.0.0.1", a, "x", 1);
	cr_expect_eq(heard(ca, buf, sizeof buf, NULL), 1);
}

Test(udp_relay, the_largest_datagram)
{
	static char big[65507], buf[65536];
	uint16_t port = unused_port(), a;
	int ca = client("127.0.0.1", &a);

	memset(big, 'q', sizeof big);
	let_in(4, "127.0.0.1", port, true);
	cr_assert_eq(binds(1, 4, port), 0);
	knock(ca, "127.0.0.1", port, big, sizeof big);
	cr_assert_eq(next(), sizeof big);
	cr_expect_eq(memcmp(got.data, big, sizeof big), 0);
	say(1, "127.0.0.1", a, big, sizeof big);
	cr_expect_eq(heard(ca, buf, sizeof buf, NULL), sizeof big);
	/* One that no datagram can hold goes nowhere. */
	say(1, "127.0.0.1", a, buf, 65536);
	cr_expect_eq(heard(ca, buf, sizeof buf, NULL), -1);
}

Test(udp_relay, a_full_pair_holds_one_and_the_host_drops_the_rest)
{
	static char data[8000];
	struct pollfd fds[UDP_RELAY_MAX_POLLFDS];
	uint16_t port = unused_port(), a;
	int ca = client("127.0.0.1", &a), n;
	unsigned sent = 0, arrived = 0, lost = 0, last = 0, value;

	let_in(4, "127.0.0.1", port, true);
	cr_assert_eq(binds(1, 4, port), 0);
	for (; sent < 1000; sent++) {
		memcpy(data, &sent, sizeof sent);
		knock(ca, "127.0.0.1", port, data, sizeof data);
		turn();
	}
	n = udp_relay_pollfds(fds, UDP_RELAY_MAX_POLLFDS);
	cr_expect_eq(n, 1, "no socket is read while the pair is full");
	cr_expect_eq(fds[0].events, POLLIN | POLLOUT);
	/* Replies still go out. */
	say(1, "127.0.0.1", a, "x", 1);
	cr_expect_eq(heard(ca, data, sizeof data, NULL), 1);
	while (next() == sizeof data) {
		memcpy(&value, got.data, sizeof value);
		cr_expect(arrived == 0 || value > last, "in order");
		last = value;
		arrived++;
		lost += got.head.lost;
	}
	cr_expect_gt(arrived, 3);
	cr_expect_lt(arrived, 1000);
	/* The host tells how many with the next that it takes. */
	knock(ca, "127.0.0.1", port, data, sizeof data);
	cr_assert_eq(next(), sizeof data);
	lost += got.head.lost;
	cr_expect_eq(arrived + lost, sent, "%u and %u of %u", arrived, lost, sent);
	cr_expect_eq(udp_relay_pollfds(fds, UDP_RELAY_MAX_POLLFDS), 2);
}

Test(udp_relay, an_end_of_the_sentry_closes_all)
{
	struct pollfd fds[UDP_RELAY_MAX_POLLFDS];
	uint16_t port = unused_port();
	struct sockaddr_in sa = at("0.0.0.0", port);

	let_in(0, NULL, port, true);
	cr_assert_eq(binds(1, 4, port), 0);
	close(ours);
	turn();
	cr_expect_eq(udp_relay_pollfds(fds, UDP_RELAY_MAX_POLLFDS), 0);
	cr_expect_eq(bind(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr *)&sa, sizeof sa), 0, "the port is free");
	cr_expect_eq(binds(2, 4, port), EACCES);
}

Test(udp_relay, descriptors_that_come_along_are_dropped)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {.bytes = {0}};
	struct udp_head head = {.version = UDP_VERSION};
	struct iovec iov = {&head, sizeof head};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int pipes[2], next_fd = dup(0);
	char c;

	close(next_fd);
	cr_assert_eq(pipe(pipes), 0);
	control.align.cmsg_len = CMSG_LEN(sizeof(int));
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.align), &pipes[1], sizeof(int));
	cr_assert_eq(sendmsg(ours, &msg, 0), sizeof head);
	turn();
	close(pipes[1]);
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	cr_expect_eq(read(pipes[0], &c, 1), 0, "nobody else holds the pipe's end");
}
