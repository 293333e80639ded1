/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's side of connections from outside, and of ports that datagrams come to.
 *
 *   listen, close -> ingress_update: for each family, does a socket listen at the port that outside could reach?
 *                 -> door: asked -> open | failed ... -> closed (DIAL_UNLISTEN)
 *   DIAL_ARRIVED  -> tcp_arrived: an established socket on the listener's ready list -> accept -> DIAL_TAKEN
 *   UDP's bind, close -> the same with DIAL_BIND and DIAL_UNBIND; what comes and goes is outside_udp.c's
 *
 * A door is a port, a protocol and a family, however many sockets listen there (SO_REUSEPORT, or one for each of IPv4 and
 * IPv6); which of them gets a connection or a datagram is decided when it arrives, as for one from inside. What the monitor should do is kept in the
 * doors and told when its socket has room, so nothing is forgotten if it is full.
 *
 * The monitor asks the rules again. The guest controls ports and backlogs; the world controls peers' addresses.
 */
#include "sentry/net/ingress.h"

#include "runtime/config.h"
#include "runtime/core/dial_protocol.h"
#include "sentry/base/log.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"
#include "sentry/net/dial.h"
#include "sentry/net/outside_udp.h"
#include "sentry/net/tcp.h"
#include "sentry/net/udp.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_NS (5ULL * NSEC_PER_SEC)

enum door_state { DOOR_NEW, DOOR_ASKED, DOOR_OPEN, DOOR_FAILED };

struct door {
	bool used, wanted;
	bool v6, udp;
	uint16_t port;
	uint32_t id;              /* unique while the sentry lives */
	enum door_state state;
	int error;                /* positive, in DOOR_FAILED */
	uint32_t backlog, told;   /* told: what the monitor knows */
	uint32_t owed;            /* connections taken, of which it doesn't know */
};

static struct door doors[INGRESS_MAX_DOORS];
static uint32_t next_id = 1;
static const struct config *config;
static struct waitq answers;

void ingress_init(const struct config *cfg)
{
	config = cfg;
	waitq_init(&answers);
}

bool ingress_ruled(void)
{
	return config != NULL && config->ningress != 0;
}

bool ingress_named(bool udp, unsigned family, uint16_t port)
{
	return config != NULL && ingress_allowed(config->ingress, config->ningress, udp, family, port);
}

void ingress_text(char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; config != NULL && i < config->ningress && n < size - 1; i++) {
		int more = snprintf(buf + n, size - n, "%s%s", i == 0 ? "" : ", ",
				    config_str(config, config->ingress[i].text));

		if (more < 0 || (size_t)more >= size - n)
			return;
		n += (size_t)more;
	}
}

static struct door *by_id(uint32_t id)
{
	for (unsigned i = 0; i < INGRESS_MAX_DOORS; i++)
		if (doors[i].used && doors[i].id == id)
			return &doors[i];
	return NULL;
}

static struct door *by_port(uint16_t port, bool v6, bool udp)
{
	for (unsigned i = 0; i < INGRESS_MAX_DOORS; i++)
		if (doors[i].used && doors[i].port == port && doors[i].v6 == v6 && doors[i].udp == udp)
			return &doors[i];
	return NULL;
}

uint32_t ingress_udp_door(uint16_t port, bool v6)
{
	const struct door *d = by_port(port, v6, true);

	return d != NULL && d->wanted && d->state == DOOR_OPEN ? d->id : 0;
}

bool ingress_udp_port(uint32_t id, uint16_t *port, bool *v6)
{
	const struct door *d = by_id(id);

	if (d == NULL || !d->wanted || !d->udp)
		return false;
	*port = d->port;
	*v6 = d->v6;
	return true;
}

static struct door *new_door(uint16_t port, bool v6, bool udp)
{
	for (unsigned i = 0; i < INGRESS_MAX_DOORS; i++) {
		if (doors[i].used)
			continue;
		doors[i] = (struct door){.used = true, .port = port, .v6 = v6, .udp = udp, .id = next_id++};
		if (next_id == 0)
			next_id = 1;
		return &doors[i];
	}
	return NULL;
}

/* ---- telling the monitor ---- */

static int tell(const struct door *d, uint32_t op, uint32_t count)
{
	struct dial_request rq = {
		.version = DIAL_VERSION,
		.op = op,
		.id = d->id,
		.family = d->v6 ? 6 : 4,
		.port = d->port,
		.count = count,
	};

	return dial_request(&rq);
}

/* One door's news. 0 or -errno. */
static int flush_door(struct door *d)
{
	int err = 0;

	if (!d->wanted) {
		if (d->state == DOOR_ASKED || d->state == DOOR_OPEN)
			err = tell(d, d->udp ? DIAL_UNBIND : DIAL_UNLISTEN, 0);
		if (err == 0)
			d->used = false;
		return err;
	}
	if (d->state == DOOR_NEW || (d->told != d->backlog && d->state != DOOR_FAILED)) {
		err = tell(d, d->udp ? DIAL_BIND : DIAL_LISTEN, d->backlog);
		if (err != 0 && err != -LINUX_EAGAIN) { /* there is no monitor */
			d->state = DOOR_FAILED;
			d->error = LINUX_ENETDOWN;
		}
		if (err != 0)
			return err;
		d->told = d->backlog;
		if (d->state == DOOR_NEW)
			d->state = DOOR_ASKED;
	}
	if (d->owed != 0) {
		err = tell(d, DIAL_TAKEN, d->owed);
		if (err == 0)
			d->owed = 0;
	}
	return err;
}

void ingress_flush(void)
{
	for (unsigned i = 0; i < INGRESS_MAX_DOORS; i++) {
		if (doors[i].used && flush_door(&doors[i]) == -LINUX_EAGAIN) {
			dial_want_room();
			return;
		}
	}
}

/* Does a socket of the sandbox want to be reached there? */
static bool anyone(uint16_t port, bool v6, bool udp, uint32_t *backlog)
{
	*backlog = 0;
	return udp ? udp_bound_outside(port, v6) : tcp_listens_outside(port, v6, backlog);
}

void ingress_update(uint16_t port, bool udp)
{
	for (int v6 = 0; v6 < 2; v6++) {
		uint32_t backlog;
		struct door *d;
		bool wanted;

		if (!ingress_named(udp, v6 ? 6 : 4, port))
			continue;
		wanted = anyone(port, v6, udp, &backlog);
		d = by_port(port, v6, udp);
		if (d == NULL && wanted)
			d = new_door(port, v6, udp);
		if (d == NULL)
			continue;
		if (udp && !wanted)
			outside_udp_closed(port, v6);
		d->wanted = wanted;
		if (wanted)
			d->backlog = backlog;
	}
	ingress_flush();
}

int ingress_wait(struct task *task, uint16_t port, bool udp)
{
	uint64_t deadline = loop_now() + ANSWER_NS;

	for (;;) {
		bool pending = false;

		for (int v6 = 0; v6 < 2; v6++) {
			struct door *d = by_port(port, v6, udp);
			uint32_t backlog;

			if (!ingress_named(udp, v6 ? 6 : 4, port) || !anyone(port, v6, udp, &backlog))
				continue;
			if (d == NULL)
				return -LINUX_ENOBUFS;
			if (d->state == DOOR_FAILED)
				return -d->error;
			pending |= d->state != DOOR_OPEN;
		}
		if (!pending)
			return 0;
		/* It answers at once. If it is stopped, the program goes on, and the port opens later. */
		if (task_wait_until(task, &answers, 0, WAIT_KILLABLE, deadline) != 0)
			return 0;
	}
}

void ingress_taken(uint32_t id)
{
	struct door *d = by_id(id);

	if (d == NULL || d->udp)
		return;
	d->owed++;
	if (flush_door(d) == -LINUX_EAGAIN)
		dial_want_room();
}

/* ---- what the monitor tells ---- */

void ingress_answer(uint32_t id, int error)
{
	struct door *d = by_id(id);

	if (d == NULL || d->state != DOOR_ASKED)
		return;
	d->state = error == 0 ? DOOR_OPEN : DOOR_FAILED;
	d->error = error > 0 && error < LINUX_ERESTARTSYS ? error : LINUX_EADDRINUSE;
	if (error != 0)
		log_debug("ingress: port %u, IPv%d: errno %d", d->port, d->v6 ? 6 : 4, error);
	waitq_wake(&answers, 0);
}

void ingress_arrived(uint32_t id, const struct inet_ep *peer, int fd)
{
	struct door *d = by_id(id);

	if (d == NULL || !d->wanted || d->udp) {
		host_close(fd);
		return;
	}
	if (tcp_arrived(d->port, d->v6, peer, fd, id) != 0)
		ingress_taken(id);
}

void ingress_lost(void)
{
	for (unsigned i = 0; i < INGRESS_MAX_DOORS; i++) {
		doors[i].state = DOOR_FAILED;
		doors[i].error = LINUX_ENETDOWN;
	}
	waitq_wake(&answers, 0);
}
