/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections from outside, accepted by the monitor for the sealed sentry. See dial_protocol.h.
 *
 *   DIAL_LISTEN {family, port} -> the rules that name it -> a host socket for each of their addresses
 *   host's queue -> accept, while the sentry has room -> DIAL_ARRIVED + descriptor
 *   DIAL_TAKEN: room again
 *
 * A request says family and port only. The addresses are the rules', so a sentry that was taken over can at worst listen
 * where the operator said that something would.
 *
 * What waits for the guest's accept(2) waits in two places: `window` connections at most are with the sentry, the others
 * in the host's own queue, where the host's kernel drops what is too many. That has the guest's whole backlog, so that a
 * burst isn't dropped before we could accept: both together hold up to twice what was asked for. Invariants:
 * out <= window but for a request that has just lowered it; a held connection is one that was accepted and didn't fit into
 * the sentry's socket, and nothing is accepted behind it.
 *
 * The sentry controls how many ports (INGRESS_MAX_DOORS), backlogs (the host's somaxconn caps them), and what it says of
 * connections taken: if it lies, as many are accepted as its socket holds.
 */
#include "runtime/core/ingress.h"

#include "runtime/config.h"
#include "runtime/core/dial.h"
#include "runtime/core/dial_protocol.h"
#include "sentry/net/inet_addr.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 32U
#define BACKLOG_MAX 4096U
#define RETRY_MS 50 /* after the host was out of descriptors, or the sentry's socket full */

/* A port that the sentry has asked for. */
struct door {
	bool used;
	uint32_t id;
	uint16_t family, port;
	uint32_t backlog;
	uint32_t window, out; /* connections that the sentry may have, and has, untaken */
};

struct ear {
	bool used;
	int fd;
	int held; /* -1: none; else it goes with `message` */
	struct dial_reply message;
	struct door *door;
};

static struct door doors[INGRESS_MAX_DOORS];
static struct ear ears[INGRESS_MAX_SOCKETS];
static int nears; /* ears [0, nears) have been used */
static uint64_t deaf_until_ms;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static struct door *find_door(uint32_t id)
{
	for (unsigned i = 0; i < INGRESS_MAX_DOORS; i++)
		if (doors[i].used && doors[i].id == id)
			return &doors[i];
	return NULL;
}

static void close_door(struct door *d)
{
	for (int i = 0; i < nears; i++) {
		if (!ears[i].used || ears[i].door != d)
			continue;
		close(ears[i].fd);
		if (ears[i].held >= 0)
			close(ears[i].held);
		ears[i].used = false;
	}
	while (nears > 0 && !ears[nears - 1].used)
		nears--;
	d->used = false;
}

static struct ear *free_ear(void)
{
	for (int i = 0; i < nears; i++)
		if (!ears[i].used)
			return &ears[i];
	return nears < INGRESS_MAX_SOCKETS ? &ears[nears++] : NULL;
}

static void set_backlog(struct door *d, uint32_t backlog)
{
	d->backlog = backlog < BACKLOG_MAX ? backlog : BACKLOG_MAX;
	d->window = d->backlog + 1 < WINDOW ? d->backlog + 1 : WINDOW;
}

socklen_t ingress_sockaddr(struct sockaddr_storage *sa, bool v6, const uint8_t *addr, uint16_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
	struct sockaddr_in *in = (struct sockaddr_in *)sa;

	memset(sa, 0, sizeof *sa);
	if (v6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(&in6->sin6_addr, addr, 16);
		return sizeof *in6;
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	memcpy(&in->sin_addr, addr, 4);
	return sizeof *in;
}

/* 0 or a positive errno. */
static int open_ear(void *door, const uint8_t *addr)
{
	struct door *d = door;
	struct sockaddr_storage sa;
	bool v6 = d->family == 6;
	socklen_t len = ingress_sockaddr(&sa, v6, addr, d->port);
	struct ear *e;
	int fd, one = 1, err = 0;

	fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return errno;
	/* IPv4 has rules and doors of its own. */
	if (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0)
		err = errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (err == 0 && (bind(fd, (struct sockaddr *)&sa, len) != 0 ||
			 listen(fd, (int)d->backlog) != 0))
		err = errno;
	e = err == 0 ? free_ear() : NULL;
	if (e == NULL) {
		close(fd);
		return err != 0 ? err : ENOBUFS;
	}
	*e = (struct ear){.used = true, .fd = fd, .held = -1, .door = d};
	return 0;
}

/* Is the address already listened on, itself or by the wildcard? */
static bool have(const uint8_t (*addrs)[16], unsigned n, const uint8_t *addr)
{
	static const uint8_t any[16];

	for (unsigned i = 0; i < n; i++)
		if (memcmp(addrs[i], addr, 16) == 0 || memcmp(addrs[i], any, 16) == 0)
			return true;
	return false;
}

unsigned ingress_addresses(const struct config *cfg, bool udp, unsigned family, uint16_t port, uint8_t (*addrs)[16],
			   bool *optional)
{
	static const uint8_t any[16];
	unsigned n = 0;

	*optional = true;
	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < cfg->ningress; i++) {
			const struct config_ingress *r = &cfg->ingress[i];
			const uint8_t *addr = r->family == 0 ? any : r->addr;

			if (!ingress_rule_matches(r, udp, family, port))
				continue;
			if ((memcmp(addr, any, 16) == 0) != (pass == 0))
				continue;
			*optional &= r->family == 0;
			if (!have((const uint8_t(*)[16])addrs, n, addr))
				memcpy(addrs[n++], addr, 16);
		}
	}
	return n;
}

int ingress_open(const struct config *cfg, bool udp, unsigned family, uint16_t port, int (*open)(void *door, const uint8_t *addr),
		 void *door)
{
	uint8_t addrs[CONFIG_MAX_INGRESS][16];
	bool optional;
	unsigned n = ingress_addresses(cfg, udp, family, port, addrs, &optional);

	if (n == 0)
		return EACCES;
	for (unsigned i = 0; i < n; i++) {
		int err = open(door, addrs[i]);

		/* A rule that names no address doesn't ask for IPv6 where there is none. */
		if (family == 6 && optional && (err == EAFNOSUPPORT || err == EADDRNOTAVAIL))
			continue;
		if (err != 0)
			return err;
	}
	return 0;
}

static int do_listen(const struct config *cfg, const struct dial_request *rq)
{
	struct door *d = find_door(rq->id);
	int err;

	if ((rq->family != 4 && rq->family != 6) || rq->port == 0)
		return EINVAL;
	if (d != NULL) {
		if (d->family != rq->family || d->port != rq->port)
			return EINVAL;
		set_backlog(d, rq->count);
		for (int i = 0; i < nears; i++)
			if (ears[i].used && ears[i].door == d)
				listen(ears[i].fd, (int)d->backlog);
		return 0;
	}
	for (unsigned i = 0; i < INGRESS_MAX_DOORS && d == NULL; i++)
		if (!doors[i].used)
			d = &doors[i];
	if (d == NULL)
		return ENOBUFS;
	*d = (struct door){.used = true, .id = rq->id, .family = rq->family, .port = rq->port};
	set_backlog(d, rq->count);
	err = ingress_open(cfg, false, d->family, d->port, open_ear, d);
	if (err != 0)
		close_door(d);
	return err;
}

void ingress_request(int sock, const struct config *cfg, const struct dial_request *rq)
{
	struct door *d;

	if (rq->op == DIAL_LISTEN) {
		struct dial_reply r = {.version = DIAL_VERSION, .op = DIAL_LISTENS, .id = rq->id};

		r.error = do_listen(cfg, rq);
		dial_send(sock, &r, -1);
		return;
	}
	d = find_door(rq->id);
	if (d == NULL)
		return;
	if (rq->op == DIAL_UNLISTEN)
		close_door(d);
	else if (rq->op == DIAL_TAKEN)
		d->out -= rq->count < d->out ? rq->count : d->out;
}

/* ---- arrivals ---- */

static void describe(struct dial_reply *r, uint32_t id, const struct sockaddr_storage *peer)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)peer;
	const struct sockaddr_in *in = (const struct sockaddr_in *)peer;

	*r = (struct dial_reply){.version = DIAL_VERSION, .op = DIAL_ARRIVED, .id = id};
	if (peer->ss_family == AF_INET6) {
		r->family = 6;
		r->port = ntohs(in6->sin6_port);
		memcpy(r->addr, &in6->sin6_addr, 16);
	} else {
		r->family = 4;
		r->port = ntohs(in->sin_port);
		memcpy(r->addr, &in->sin_addr, 4);
	}
}

/* False if it is still held. A sentry that is gone takes nothing: the connection ends. */
static bool hand_over(int sock, struct ear *e)
{
	int err = dial_send(sock, &e->message, e->held);

	if (err == EAGAIN || err == ENOBUFS || err == ETOOMANYREFS || err == ENOMEM)
		return false;
	close(e->held);
	e->held = -1;
	return true;
}

static void accept_some(int sock, struct ear *e)
{
	while (e->held < 0 && e->door->out < e->door->window) {
		struct sockaddr_storage peer = {0};
		socklen_t len = sizeof peer;
		int fd = accept4(e->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				deaf_until_ms = now_ms() + RETRY_MS;
			return; /* whatever is still there is told by the next poll */
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		describe(&e->message, e->door->id, &peer);
		e->door->out++;
		e->held = fd;
		hand_over(sock, e);
	}
}

static bool deaf(void)
{
	return deaf_until_ms != 0 && now_ms() < deaf_until_ms;
}

int ingress_pollfds(struct pollfd *fds, int max)
{
	int n = 0;

	if (nears == 0 || deaf())
		return 0;
	for (int i = 0; i < nears && n < max; i++)
		if (ears[i].used && ears[i].held < 0 && ears[i].door->out < ears[i].door->window)
			fds[n++] = (struct pollfd){.fd = ears[i].fd, .events = POLLIN};
	return n;
}

int ingress_timeout_ms(void)
{
	if (nears == 0)
		return -1;
	if (deaf())
		return RETRY_MS;
	for (int i = 0; i < nears; i++)
		if (ears[i].used && ears[i].held >= 0)
			return RETRY_MS;
	return -1;
}

void ingress_ready(int sock, const struct pollfd *fds, int n)
{
	for (int i = 0; i < nears; i++)
		if (ears[i].used && ears[i].held >= 0)
			hand_over(sock, &ears[i]);
	for (int k = 0; k < n; k++) {
		if (fds[k].revents == 0)
			continue;
		/* The requests that came in the same turn may have closed it: then nothing waits on the number. */
		for (int i = 0; i < nears; i++) {
			if (ears[i].used && ears[i].fd == fds[k].fd) {
				accept_some(sock, &ears[i]);
				break;
			}
		}
	}
}

void ingress_close(void)
{
	for (unsigned i = 0; i < INGRESS_MAX_DOORS; i++)
		if (doors[i].used)
			close_door(&doors[i]);
}
