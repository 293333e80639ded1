/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP as programs see it. Inside the sandbox there are no segments: a connection is two sockets that know each other, and
 * what one sends lies in the other's queue at once, acknowledged. States move as tcp(7)'s do, with what takes a round trip
 * done immediately:
 *
 *   connect -> listener found, room: both ESTABLISHED, the new one on the listener's ready list
 *           -> found, no room: SYN_SENT on its waiting list until an accept makes room (or 127 s pass)
 *           -> none: refused
 *           -> a rule lets it out: SYN_SENT until the monitor answers (outbound.c)
 *   arrived from outside (ingress.c): ESTABLISHED, on the ready list of the listener at the wildcard address
 *   close   -> with unread data or SO_LINGER 0: the peer is reset; else it reads to the end
 *
 * A non-blocking connect always answers EINPROGRESS first, also when it is done already, as over a real loopback.
 *
 * Invariants: peer is set on both or neither while both live; a socket in ESTABLISHED, CLOSE_WAIT or FIN_WAIT2 has peer or
 * out; a socket with a port is in the port table until it closes; waiting holds SYN_SENT sockets only.
 *
 * The guest controls addresses (inet.c), backlog (capped at somaxconn), bytes queued (tcp_io.c).
 *
 * Left out: TCP_FASTOPEN_CONNECT (ENOPROTOOPT; MSG_FASTOPEN connects and sends, as without a cookie), TCP_REPAIR, TCP_ULP,
 * simultaneous open and connecting to oneself, TIME_WAIT, keepalive probes (no peer inside vanishes silently).
 */
#include "sentry/net/tcp.h"

#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"
#include "sentry/net/ingress.h"
#include "sentry/net/net.h"
#include "sentry/trace/trace.h"

#include <string.h>

#define SYN_TIMEOUT_NS (127ULL * NSEC_PER_SEC)

struct list tcp_all = LIST_INIT(tcp_all);
static const struct socket_ops tcp_ops;

static void syn_timed_out(struct ktimer *timer);

static struct tcp_socket *tcp_new(struct task *task, int family)
{
	struct tcp_socket *t = kzalloc(sizeof *t);
	struct socket *s;

	if (t == NULL)
		return NULL;
	s = TCP_SOCK(t);
	socket_init(s, &tcp_ops, family, LINUX_SOCK_STREAM, LINUX_IPPROTO_TCP);
	s->sndbuf = 16384;  /* tcp_wmem[1], tcp_rmem[1] */
	s->rcvbuf = 131072;
	inet_init(&t->inet, task);
	t->state = LINUX_TCP_CLOSE;
	packet_queue_init(&t->rx);
	list_init(&t->ready);
	list_init(&t->waiting);
	list_init(&t->accept_link);
	list_add_tail(&tcp_all, &t->all_link);
	ktimer_init(&t->syn_timer, syn_timed_out);
	memcpy(t->congestion, "cubic", 6);
	return t;
}

int tcp_create(struct task *task, int family, struct socket **out)
{
	struct tcp_socket *t = tcp_new(task, family);

	if (t == NULL)
		return -LINUX_ENOMEM;
	*out = TCP_SOCK(t);
	return 0;
}

static void tcp_destroy(struct socket *s)
{
	struct tcp_socket *t = tcp_of(s);

	invariant(t->dead && t->peer == NULL && t->out == NULL && t->rx.count == 0);
	list_del(&t->all_link);
	kfree(t);
}

/* ---- ends ---- */

void tcp_set_closed(struct tcp_socket *t)
{
	t->state = LINUX_TCP_CLOSE;
	TCP_SOCK(t)->shut = SOCK_SHUT_RCV | SOCK_SHUT_SEND;
	ktimer_cancel(&t->syn_timer);
	sock_wake(TCP_SOCK(t), 0);
}

void tcp_receive_fin(struct tcp_socket *t)
{
	if (t->fin_received)
		return;
	t->fin_received = true;
	TCP_SOCK(t)->shut |= SOCK_SHUT_RCV;
	if (t->state == LINUX_TCP_ESTABLISHED)
		t->state = LINUX_TCP_CLOSE_WAIT;
	else if (t->state == LINUX_TCP_FIN_WAIT2)
		tcp_set_closed(t); /* by way of TIME_WAIT, which nobody sees */
	sock_wake(TCP_SOCK(t), 0);
}

void tcp_receive_reset(struct tcp_socket *t)
{
	if (t->state == LINUX_TCP_CLOSE)
		return;
	if (!t->dead)
		TCP_SOCK(t)->error = t->state == LINUX_TCP_CLOSE_WAIT ? LINUX_EPIPE : LINUX_ECONNRESET;
	tcp_set_closed(t);
}

/* Lets go of the other end, and tells it. */
static void leave_peer(struct tcp_socket *t, bool reset)
{
	struct tcp_socket *peer = t->peer;

	if (peer == NULL)
		return;
	t->peer = NULL;
	if (!peer->dead) {
		if (reset)
			tcp_receive_reset(peer);
		else
			tcp_receive_fin(peer);
		sock_wake(TCP_SOCK(peer), 0);
	}
	socket_put(TCP_SOCK(peer));
}

/* Forgets the connection but not the socket: connect to AF_UNSPEC, a failed connect. What was connected, or about to be,
 * tells so by an error. */
static void disconnect(struct tcp_socket *t)
{
	struct inet_socket *i = &t->inet;

	if (t->state != LINUX_TCP_CLOSE && t->state != LINUX_TCP_LISTEN)
		TCP_SOCK(t)->error = LINUX_ECONNRESET;
	ktimer_cancel(&t->syn_timer);
	if (t->out != NULL)
		outbound_close(t);
	if (t->listener != NULL && t->state == LINUX_TCP_SYN_SENT) {
		list_del(&t->accept_link);
		t->listener = NULL;
	}
	leave_peer(t, true);
	packet_queue_flush(&t->rx);
	t->state = LINUX_TCP_CLOSE;
	t->told = TCP_UNCONNECTED;
	t->fin_received = t->urg_valid = false;
	TCP_SOCK(t)->shut = 0;
	i->remote = (struct inet_ep){.addr = inet_is_v6(i) ? inet_any6 : inet_any4};
	if (!i->port_chosen && i->bound) {
		inet_table_remove(i);
		i->local.port = 0;
	}
	if (!i->addr_chosen)
		i->local.addr = i->remote.addr;
}

/* child leaves t's ready list. */
static void unqueue(struct tcp_socket *t, struct tcp_socket *child)
{
	uint32_t door = child->door;

	list_del(&child->accept_link);
	child->listener = NULL;
	child->door = 0;
	t->nready--;
	if (door != 0)
		ingress_taken(door);
}

static void stop_listening(struct tcp_socket *t)
{
	while (!list_empty(&t->waiting)) {
		struct tcp_socket *client = list_first(&t->waiting, struct tcp_socket, accept_link);

		tcp_connect_failed(client, LINUX_ECONNREFUSED);
	}
	while (!list_empty(&t->ready)) {
		struct tcp_socket *child = list_first(&t->ready, struct tcp_socket, accept_link);

		unqueue(t, child);
		TCP_SOCK(child)->linger_on = true; /* nobody took it: its client is reset */
		TCP_SOCK(child)->linger = 0;
		tcp_ops.close(TCP_SOCK(child));
		socket_put(TCP_SOCK(child));
	}
	if (t->inet.listening) {
		inet_table_set_listening(&t->inet, false);
		ingress_update(t->inet.local.port, false);
	}
}

static void tcp_close(struct socket *s)
{
	struct tcp_socket *t = tcp_of(s);
	bool reset = t->rx.bytes > 0 || (s->linger_on && s->linger == 0);

	t->dead = true;
	ktimer_cancel(&t->syn_timer);
	stop_listening(t);
	if (t->listener != NULL) {
		list_del(&t->accept_link);
		t->listener = NULL;
	}
	if (t->out != NULL)
		outbound_close(t);
	leave_peer(t, reset);
	if (t->inet.bound)
		inet_table_remove(&t->inet);
	packet_queue_flush(&t->rx);
	t->state = LINUX_TCP_CLOSE;
	sock_wake(s, 0);
}

static int tcp_shutdown(struct task *task, struct socket *s, int how)
{
	struct tcp_socket *t = tcp_of(s);
	uint32_t mode = (uint32_t)how + 1;

	(void)task;
	switch (t->state) {
	case LINUX_TCP_CLOSE:
		s->shut |= mode;
		sock_wake(s, 0);
		return -LINUX_ENOTCONN;
	case LINUX_TCP_LISTEN:
		if ((mode & SOCK_SHUT_RCV) == 0)
			return 0;
		stop_listening(t);
		disconnect(t);
		sock_wake(s, 0);
		return 0;
	case LINUX_TCP_SYN_SENT:
		disconnect(t);
		sock_wake(s, 0);
		return 0;
	default:
		break;
	}
	s->shut |= mode;
	if ((mode & SOCK_SHUT_SEND) != 0 && t->state != LINUX_TCP_FIN_WAIT2) {
		bool last = t->state == LINUX_TCP_CLOSE_WAIT;

		if (t->out != NULL)
			outbound_shutdown(t);
		t->state = LINUX_TCP_FIN_WAIT2;
		if (t->peer != NULL && !t->peer->dead)
			tcp_receive_fin(t->peer);
		if (last)
			tcp_set_closed(t);
	}
	sock_wake(s, 0);
	return 0;
}

/* ---- listening ---- */

/* Whom outside reaches is decided as if it had come to this address of the sandbox; loopback ones are never asked. */
static bool outside_reaches(const struct inet_socket *i, bool v6)
{
	const struct inet_addr at = outbound_source(v6 ? &inet_any6 : &inet_any4);

	return inet_match(i, &at) != 0;
}

/* A socket that only the inside reaches, though by its address it could be meant for all. */
static void tell_unnamed(struct task *task, const struct inet_socket *i)
{
	char object[INET_EP_TEXT], allowed[256];

	if (!inet_addr_is_any(&i->local.addr) || ingress_named(false, inet_is_v6(i) ? 6 : 4, i->local.port) ||
	    (inet_is_v6(i) && !i->v6only && ingress_named(false, 4, i->local.port)))
		return;
	inet_ep_format(object, &i->local);
	ingress_text(allowed, sizeof allowed);
	audit_deny(task, "listen", object, "ingress", "no rule names the port: it is reached from inside only", allowed);
}

/*
 * When listen(2) returns, outside can connect. If the host's port is taken, or isn't ours to have, it fails as it would
 * without a sandbox.
 */
static int listen_outside(struct task *task, struct tcp_socket *t, bool begins)
{
	uint16_t port = t->inet.local.port;
	char object[INET_EP_TEXT], allowed[256];
	int err;

	ingress_update(port, false);
	if (!begins)
		return 0;
	tell_unnamed(task, &t->inet);
	if (!outside_reaches(&t->inet, true) && !outside_reaches(&t->inet, false))
		return 0;
	err = ingress_wait(task, port, false);
	if (err == 0 || t->state != LINUX_TCP_LISTEN)
		return 0;
	inet_ep_format(object, &t->inet.local);
	ingress_text(allowed, sizeof allowed);
	audit_deny(task, "listen", object, "ingress",
		   err == -LINUX_EADDRINUSE ? "the port is in use on the host" : "the host refuses to listen there", allowed);
	stop_listening(t);
	t->state = LINUX_TCP_CLOSE;
	return err;
}

static int tcp_listen(struct task *task, struct socket *s, int backlog)
{
	struct tcp_socket *t = tcp_of(s);
	struct inet_socket *i = &t->inet;
	bool begins = t->state == LINUX_TCP_CLOSE;
	int err;

	if (t->told != TCP_UNCONNECTED || (t->state != LINUX_TCP_CLOSE && t->state != LINUX_TCP_LISTEN))
		return -LINUX_EINVAL;
	if (t->state == LINUX_TCP_CLOSE) {
		err = inet_autobind(i);
		if (err != 0)
			return -LINUX_EADDRINUSE;
		if (inet_conflicts(i, &i->local))
			return -LINUX_EADDRINUSE;
		t->state = LINUX_TCP_LISTEN;
		inet_table_set_listening(i, true);
		s->shut = 0;
	}
	t->backlog = (uint32_t)backlog;
	return ingress_ruled() ? listen_outside(task, t, begins) : 0;
}

/* The listener for ep: the best match; among equals (SO_REUSEPORT) by the client's port. */
static struct tcp_socket *find_listener(const struct inet_ep *ep, uint16_t from_port)
{
	struct list *bucket = port_bucket(&tcp_ports, ep->port);
	struct inet_socket *i, *best = NULL;
	int best_score = 0;
	uint32_t equals = 0;

	list_for_each(i, bucket, port_link) {
		int score;

		if (!i->listening)
			break; /* no more of them behind */
		if (i->local.port != ep->port)
			continue;
		score = inet_match(i, &ep->addr);
		if (score == 0 || score < best_score)
			continue;
		equals = score > best_score ? 1 : equals + 1;
		if (score > best_score || ((uint32_t)from_port * 2654435761U >> 16) % equals == 0)
			best = i;
		best_score = score;
	}
	return best != NULL ? container_of(best, struct tcp_socket, inet) : NULL;
}

bool tcp_listens_exactly(const struct inet_ep *ep)
{
	struct list *bucket = port_bucket(&tcp_ports, ep->port);
	struct inet_socket *i;

	list_for_each(i, bucket, port_link) {
		if (!i->listening)
			break;
		if (i->local.port == ep->port && inet_addr_equal(&i->local.addr, &ep->addr))
			return true;
	}
	return false;
}

bool tcp_listens_outside(uint16_t port, bool v6, uint32_t *backlog)
{
	struct inet_socket *i;
	bool found = false;

	*backlog = 0;
	list_for_each(i, port_bucket(&tcp_ports, port), port_link) {
		if (!i->listening)
			break;
		if (i->local.port != port || !outside_reaches(i, v6))
			continue;
		found = true;
		*backlog = MAX(*backlog, container_of(i, struct tcp_socket, inet)->backlog);
	}
	return found;
}

static void inherit(struct tcp_socket *child, const struct tcp_socket *l)
{
	struct socket *c = TCP_SOCK(child);
	const struct socket *p = TCP_SOCK(l);

	memcpy(child->inet.opts, l->inet.opts, sizeof child->inet.opts);
	memcpy(child->congestion, l->congestion, sizeof child->congestion);
	child->inet.v6only = l->inet.v6only;
	child->inet.uid = l->inet.uid;
	c->sndbuf = p->sndbuf;
	c->rcvbuf = p->rcvbuf;
	c->sndbuf_set = p->sndbuf_set;
	c->rcvbuf_set = p->rcvbuf_set;
	c->rcvtimeo = p->rcvtimeo;
	c->sndtimeo = p->sndtimeo;
	c->rcvlowat = p->rcvlowat;
	c->priority = p->priority;
	c->mark = p->mark;
	c->reuseaddr = p->reuseaddr;
	c->reuseport = p->reuseport;
	c->keepalive = p->keepalive;
	c->oobinline = p->oobinline;
	c->linger_on = p->linger_on;
	c->linger = p->linger;
	c->timestamp = p->timestamp;
	c->timestampns = p->timestampns;
}

/* As autotuning leaves them on a loopback connection. */
static void tune(struct socket *s)
{
	if (!s->sndbuf_set)
		s->sndbuf = 2626560;
}

/* Joins client t to a new socket on l's ready list. */
static int establish(struct task *task, struct tcp_socket *t, struct tcp_socket *l)
{
	struct tcp_socket *child = tcp_new(task, TCP_SOCK(l)->family);

	if (child == NULL)
		return -LINUX_ENOBUFS;
	inherit(child, l);
	child->inet.local = t->inet.remote;
	child->inet.remote = t->inet.local;
	child->inet.port_chosen = child->inet.addr_chosen = true;
	inet_table_add(&child->inet);
	child->state = LINUX_TCP_ESTABLISHED;
	child->told = TCP_CONNECTED;
	child->peer = t;
	socket_get(TCP_SOCK(t));
	t->peer = child;
	socket_get(TCP_SOCK(child));
	child->listener = l;
	list_add_tail(&l->ready, &child->accept_link);
	l->nready++;
	tune(TCP_SOCK(child));
	tcp_connect_done(t);
	sock_wake(TCP_SOCK(l), SOCK_IN);
	return 0;
}

int tcp_arrived(uint16_t port, bool v6, const struct inet_ep *peer, int fd, uint32_t door)
{
	struct inet_ep at = {.addr = outbound_source(v6 ? &inet_any6 : &inet_any4), .port = port};
	struct tcp_socket *l = find_listener(&at, peer->port), *child;
	int err;

	child = l != NULL ? tcp_new(NULL, TCP_SOCK(l)->family) : NULL;
	if (child == NULL) {
		host_close(fd);
		return l != NULL ? -LINUX_ENOBUFS : -LINUX_ECONNREFUSED;
	}
	inherit(child, l);
	child->inet.local = (struct inet_ep){.addr = outbound_source(&peer->addr), .port = port};
	child->inet.remote = *peer;
	child->inet.port_chosen = child->inet.addr_chosen = true;
	inet_table_add(&child->inet);
	child->state = LINUX_TCP_ESTABLISHED;
	child->told = TCP_CONNECTED;
	err = outbound_adopt(child, fd);
	if (err != 0) {
		tcp_ops.close(TCP_SOCK(child));
		socket_put(TCP_SOCK(child));
		return err;
	}
	child->door = door;
	child->listener = l;
	list_add_tail(&l->ready, &child->accept_link);
	l->nready++;
	tune(TCP_SOCK(child));
	sock_wake(TCP_SOCK(l), SOCK_IN);
	return 0;
}

static bool has_room(const struct tcp_socket *l)
{
	return l->nready <= l->backlog;
}

static int tcp_accept(struct task *task, struct socket *s, bool nonblock, struct socket **out)
{
	struct tcp_socket *t = tcp_of(s), *child;
	uint64_t deadline = sock_deadline(s->rcvtimeo, nonblock);
	int err;

	if (t->state != LINUX_TCP_LISTEN)
		return -LINUX_EINVAL;
	while (list_empty(&t->ready)) {
		err = sock_wait(task, &s->wq, LINUX_POLLIN | LINUX_POLLHUP | LINUX_POLLERR, deadline);
		if (err != 0)
			return err;
		if (t->state != LINUX_TCP_LISTEN)
			return -LINUX_EINVAL;
	}
	child = list_first(&t->ready, struct tcp_socket, accept_link);
	unqueue(t, child);
	while (has_room(t) && !list_empty(&t->waiting)) {
		struct tcp_socket *client = list_first(&t->waiting, struct tcp_socket, accept_link);

		list_del(&client->accept_link);
		client->listener = NULL;
		if (establish(task, client, t) != 0)
			tcp_connect_failed(client, LINUX_ECONNREFUSED);
	}
	*out = TCP_SOCK(child);
	return 0;
}

/* ---- connecting ---- */

void tcp_connect_done(struct tcp_socket *t)
{
	ktimer_cancel(&t->syn_timer);
	t->state = LINUX_TCP_ESTABLISHED;
	tune(TCP_SOCK(t));
	sock_wake(TCP_SOCK(t), 0);
}

void tcp_connect_failed(struct tcp_socket *t, int error)
{
	if (t->listener != NULL) {
		list_del(&t->accept_link);
		t->listener = NULL;
	}
	TCP_SOCK(t)->error = error;
	tcp_set_closed(t);
}

static void syn_timed_out(struct ktimer *timer)
{
	struct tcp_socket *t = container_of(timer, struct tcp_socket, syn_timer);

	if (t->state != LINUX_TCP_SYN_SENT)
		return;
	if (t->out != NULL)
		outbound_close(t);
	tcp_connect_failed(t, LINUX_ETIMEDOUT);
}

static int connect_inside(struct task *task, struct tcp_socket *t)
{
	struct tcp_socket *l = find_listener(&t->inet.remote, t->inet.local.port);
	int err;

	if (l == NULL) {
		tcp_connect_failed(t, LINUX_ECONNREFUSED);
		return 0;
	}
	if (!has_room(l)) {
		t->listener = l;
		list_add_tail(&l->waiting, &t->accept_link);
		ktimer_set(&t->syn_timer, loop_now() + SYN_TIMEOUT_NS);
		return 0;
	}
	err = establish(task, t, l);
	if (err != 0)
		tcp_connect_failed(t, -err);
	return 0;
}

/* An existing connection between the same two ends? */
static bool tuple_used(const struct inet_socket *i, const struct inet_ep *remote)
{
	const struct inet_socket *other;

	list_for_each(other, port_bucket(&tcp_ports, i->local.port), port_link)
		if (other != i && other->local.port == i->local.port && other->remote.port == remote->port &&
		    inet_addr_equal(&other->remote.addr, &remote->addr) &&
		    inet_addr_equal(&other->local.addr, &i->local.addr))
			return true;
	return false;
}

static int start_connect(struct task *task, struct tcp_socket *t, const struct inet_ep *to)
{
	struct inet_socket *i = &t->inet;
	struct inet_ep ep = *to;
	int out, err;

	out = inet_route(task, i, &ep, "connect");
	if (out < 0)
		return out;
	/* A port of 0 can be reached by nobody. */
	if (inet_addr_is_any(&i->local.addr))
		i->local.addr = out ? outbound_source(&ep.addr) : inet_source(&ep.addr);
	err = inet_autobind(i);
	if (err == 0 && tuple_used(i, &ep))
		err = -LINUX_EADDRNOTAVAIL;
	if (err != 0)
		goto undo;
	i->remote = ep;
	t->state = LINUX_TCP_SYN_SENT;
	TCP_SOCK(t)->shut = 0;
	TCP_SOCK(t)->error = 0;
	t->fin_received = false;
	if (!out)
		return connect_inside(task, t);
	err = outbound_start(t, &ep);
	if (err == 0) {
		ktimer_set(&t->syn_timer, loop_now() + SYN_TIMEOUT_NS + NSEC_PER_SEC);
		return 0;
	}
undo:
	disconnect(t);
	TCP_SOCK(t)->error = 0;
	return err;
}

static int tcp_connect(struct task *task, struct socket *s, const struct sockname *name, bool nonblock)
{
	struct tcp_socket *t = tcp_of(s);
	uint64_t deadline = sock_deadline(s->sndtimeo, nonblock);
	int pending = -LINUX_EALREADY, err;
	struct inet_ep ep;

	if (name->len < sizeof(uint16_t))
		return -LINUX_EINVAL;
	if (sockname_family(name) == LINUX_AF_UNSPEC) {
		if (t->state == LINUX_TCP_LISTEN)
			stop_listening(t);
		disconnect(t);
		sock_wake(s, 0);
		return 0;
	}
	if (t->told == TCP_CONNECTED)
		return -LINUX_EISCONN;
	if (t->told == TCP_UNCONNECTED) {
		if (t->state != LINUX_TCP_CLOSE)
			return -LINUX_EISCONN;
		err = inet_parse(&t->inet, name, false, &ep);
		if (err == 0)
			err = start_connect(task, t, &ep);
		if (err != 0)
			return err;
		t->told = TCP_CONNECTING;
		pending = -LINUX_EINPROGRESS;
		/* Over a real loopback the answer comes behind the call. */
		if (nonblock)
			return pending;
	}
	while (t->state == LINUX_TCP_SYN_SENT) {
		err = sock_wait(task, &s->wq, 0, deadline);
		if (err == -LINUX_EAGAIN)
			return pending;
		if (err != 0)
			return err;
	}
	if (t->told != TCP_CONNECTING)
		return t->told == TCP_CONNECTED ? 0 : -LINUX_ECONNABORTED;
	if (t->state == LINUX_TCP_CLOSE) {
		err = sock_error(s);
		disconnect(t);
		return err != 0 ? err : -LINUX_ECONNABORTED;
	}
	t->told = TCP_CONNECTED;
	return 0;
}

static int tcp_getname(struct task *task, struct socket *s, bool peer, struct sockname *name)
{
	struct tcp_socket *t = tcp_of(s);

	(void)task;
	if (!peer) {
		inet_show(&t->inet, &t->inet.local, name);
		return 0;
	}
	/* accept(2) names its peer even if the connection is over already. */
	if (t->inet.remote.port == 0 ||
	    (s->file != NULL && (t->state == LINUX_TCP_CLOSE || t->state == LINUX_TCP_SYN_SENT)))
		return -LINUX_ENOTCONN;
	inet_show(&t->inet, &t->inet.remote, name);
	return 0;
}

/* ---- options ---- */

int tcp_setsockopt(struct task *task, struct socket *s, int level, int name, const void *val, unsigned len)
{
	struct tcp_socket *t = tcp_of(s);
	char algorithm[sizeof t->congestion] = "";

	if (level == LINUX_SOL_TCP && name == LINUX_TCP_CONGESTION) {
		memcpy(algorithm, val, MIN((size_t)len, sizeof algorithm - 1));
		if (len < 1)
			return -LINUX_EINVAL;
		if (strcmp(algorithm, "cubic") != 0 && strcmp(algorithm, "reno") != 0)
			return -LINUX_ENOENT;
		memcpy(t->congestion, algorithm, sizeof algorithm);
		return 0;
	}
	if (level == LINUX_SOL_TCP && name == LINUX_TCP_ULP)
		return -LINUX_ENOENT;
	if (level == LINUX_SOL_TCP && name == LINUX_TCP_FASTOPEN && t->state != LINUX_TCP_CLOSE &&
	    t->state != LINUX_TCP_LISTEN)
		return -LINUX_EINVAL;
	return inet_setsockopt(task, s, level, name, val, len);
}

int tcp_getsockopt(struct task *task, struct socket *s, int level, int name, void *val, unsigned *len)
{
	struct tcp_socket *t = tcp_of(s);
	struct linux_tcp_info info;

	if (level != LINUX_SOL_TCP)
		return inet_getsockopt(task, s, level, name, val, len);
	switch (name) {
	case LINUX_TCP_CONGESTION:
		memcpy(val, t->congestion, sizeof t->congestion);
		*len = sizeof t->congestion;
		return 0;
	case LINUX_TCP_CC_INFO:
		*len = 0;
		return 0;
	case LINUX_TCP_INFO:
		info = (struct linux_tcp_info){
			.state = t->state,
			.options = 7, /* timestamps, SACK, window scaling */
			.wscale = 7 << 4 | 7,
			.rto = 200000,
			.ato = 40000,
			.snd_mss = 32768,
			.rcv_mss = 32768,
			.pmtu = 65535,
			.rtt = 20,
			.rttvar = 10,
			.min_rtt = 10,
			.snd_ssthresh = INT32_MAX,
			.snd_cwnd = t->state == LINUX_TCP_LISTEN ? t->backlog : 10,
			.advmss = 65483,
			.reordering = 3,
			.rcv_space = 65495,
			.unacked = t->state == LINUX_TCP_LISTEN ? t->nready : 0,
			.sacked = t->state == LINUX_TCP_LISTEN ? t->backlog : 0,
			.bytes_sent = t->bytes_sent,
			.bytes_acked = t->bytes_sent,
			.bytes_received = t->bytes_received,
			.max_pacing_rate = UINT64_MAX,
		};
		memcpy(val, &info, sizeof info);
		*len = sizeof info;
		return 0;
	case LINUX_TCP_MAXSEG:
		if (t->state != LINUX_TCP_CLOSE && t->state != LINUX_TCP_LISTEN) {
			int mss = 32768;

			memcpy(val, &mss, sizeof mss);
			*len = sizeof mss;
			return 0;
		}
		break;
	default:
		break;
	}
	return inet_getsockopt(task, s, level, name, val, len);
}

static const struct socket_ops tcp_ops = {
	.bind = inet_bind,
	.connect = tcp_connect,
	.listen = tcp_listen,
	.accept = tcp_accept,
	.getname = tcp_getname,
	.sendmsg = tcp_sendmsg,
	.recvmsg = tcp_recvmsg,
	.shutdown = tcp_shutdown,
	.setsockopt = tcp_setsockopt,
	.getsockopt = tcp_getsockopt,
	.poll = tcp_poll,
	.ioctl = tcp_ioctl,
	.close = tcp_close,
	.destroy = tcp_destroy,
};
