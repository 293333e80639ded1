/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections from outside, accepted by the monitor for the sealed sentry. See dial_protocol.h.
 *
 *   DIAL_LISTEN {family, port} -> a door, with a host socket at each address that rules give for it (doors.c)
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
#include "runtime/core/doors.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WINDOW 32U
#define BACKLOG_MAX 4096U
#define RETRY_MS 50 /* after the host was out of descriptors, or the sentry's socket full */

static struct doors table;
static uint64_t deaf_until_ms;

static void set_backlog(struct door *d, uint32_t backlog)
{
	d->backlog = backlog < BACKLOG_MAX ? backlog : BACKLOG_MAX;
	d->window = d->backlog + 1 < WINDOW ? d->backlog + 1 : WINDOW;
}

static int make_ready(int fd, const struct dial_request *rq, bool bound)
{
	int one = 1;

	if (bound)
		return listen(fd, (int)(rq->count < BACKLOG_MAX ? rq->count : BACKLOG_MAX)) != 0 ? errno : 0;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	return 0;
}

static int do_listen(const struct config *cfg, const struct dial_request *rq)
{
	struct door *d = doors_find(&table, rq->id);
	int err;

	if (d == NULL) {
		err = doors_open(&table, cfg, rq, SOCK_STREAM, make_ready, &d);
		if (err == 0)
			set_backlog(d, rq->count);
		return err;
	}
	if (d->family != rq->family || d->port != rq->port)
		return EINVAL;
	set_backlog(d, rq->count);
	for (int i = 0; i < table.nears; i++)
		if (table.ears[i].used && table.ears[i].door == d)
			listen(table.ears[i].fd, (int)d->backlog);
	return 0;
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
	d = doors_find(&table, rq->id);
	if (d == NULL)
		return;
	if (rq->op == DIAL_UNLISTEN)
		doors_close(&table, d);
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
				deaf_until_ms = doors_now_ms() + RETRY_MS;
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
	return deaf_until_ms != 0 && doors_now_ms() < deaf_until_ms;
}

int ingress_pollfds(struct pollfd *fds, int max)
{
	int n = 0;

	if (table.nears == 0 || deaf())
		return 0;
	for (int i = 0; i < table.nears && n < max; i++)
		if (table.ears[i].used && table.ears[i].held < 0 && table.ears[i].door->out < table.ears[i].door->window)
			fds[n++] = (struct pollfd){.fd = table.ears[i].fd, .events = POLLIN};
	return n;
}

int ingress_timeout_ms(void)
{
	if (table.nears == 0)
		return -1;
	if (deaf())
		return RETRY_MS;
	for (int i = 0; i < table.nears; i++)
		if (table.ears[i].used && table.ears[i].held >= 0)
			return RETRY_MS;
	return -1;
}

void ingress_ready(int sock, const struct pollfd *fds, int n)
{
	for (int i = 0; i < table.nears; i++)
		if (table.ears[i].used && table.ears[i].held >= 0)
			hand_over(sock, &table.ears[i]);
	for (int k = 0; k < n; k++) {
		/* The requests that came in the same turn may have closed it: then nothing waits on the number. */
		struct ear *e = fds[k].revents != 0 ? doors_ear_of(&table, fds[k].fd) : NULL;

		if (e != NULL)
			accept_some(sock, e);
	}
}

void ingress_close(void)
{
	for (unsigned i = 0; i < INGRESS_MAX_DOORS; i++)
		if (table.doors[i].used)
			doors_close(&table, &table.doors[i]);
}
