/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP on the sandbox's loopback, and at ports that an ingress rule names with the world; and UDP-Lite, which is the same
 * with ports of its own, inside only.
 *
 *   sendmsg -> destination -> the best receiver of that port -> its rx -> recvmsg
 *                          -> nobody: a connected sender gets ECONNREFUSED with its next call (ICMP port unreachable)
 *                          -> outside, has sent to our port lately: outside_udp.c
 *                          -> not loopback: ENETUNREACH, recorded; nothing but replies leaves the sandbox
 *   bind -> at the wildcard, the port named by a rule: the monitor binds it outside (ingress.c) -> udp_arrived -> rx
 *
 * A receiver's queue is bounded by SO_RCVBUF; what comes when it is full is dropped silently, as UDP does. Sending never
 * waits. The sandbox's own address as outside sees it is outbound.c's: the host's isn't shown.
 *
 * The guest controls addresses, sizes (65507 bytes at most), control messages (IP_PKTINFO and IPV6_PKTINFO choose a
 * loopback source; TTL, TOS, hop limit and traffic class travel with the datagram).
 *
 * Left out: MSG_MORE and UDP_CORK (each call sends), multicast, broadcast beyond the loopback network, UDP_SEGMENT and
 * UDP_GRO, IP_RECVERR's queue (the errors themselves are told; outside's ICMP isn't), TTL and TOS outside.
 */
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/net/inet.h"
#include "sentry/net/ingress.h"
#include "sentry/net/net.h"
#include "sentry/net/outside_udp.h"
#include "sentry/net/packet.h"
#include "sentry/net/tcp.h"
#include "sentry/net/udp.h"
#include "sentry/trace/trace.h"

#include <string.h>

#define UDP_MAX 65507U

struct list udp_all = LIST_INIT(udp_all);
static const struct socket_ops udp_ops;

int udp_create(struct task *task, int family, int protocol, struct socket **out)
{
	struct udp_socket *u = kzalloc(sizeof *u);

	if (u == NULL)
		return -LINUX_ENOMEM;
	socket_init(&u->inet.sock, &udp_ops, family, LINUX_SOCK_DGRAM, protocol);
	inet_init(&u->inet, task);
	packet_queue_init(&u->rx);
	list_add_tail(&udp_all, &u->all_link);
	*out = &u->inet.sock;
	return 0;
}

static void udp_destroy(struct socket *s)
{
	struct udp_socket *u = udp_of(s);

	invariant(!u->inet.bound && u->rx.count == 0);
	list_del(&u->all_link);
	kfree(u);
}

/* Off the table of ports; outside too, if nobody else is there. */
static void leave_port(struct udp_socket *u)
{
	inet_table_remove(&u->inet);
	if (u->outside) {
		u->outside = false;
		ingress_update(u->inet.local.port, true);
	}
}

static void udp_close(struct socket *s)
{
	struct udp_socket *u = udp_of(s);

	if (u->inet.bound)
		leave_port(u);
	packet_queue_flush(&u->rx);
	sock_wake(s, 0);
}

/* ---- who receives ---- */

static struct udp_socket *find_receiver(struct port_table *table, const struct inet_ep *to, const struct inet_ep *from,
					bool outside)
{
	struct inet_socket *i, *best = NULL;
	int best_score = 0;
	uint32_t equals = 0;

	list_for_each(i, port_bucket(table, to->port), port_link) {
		int score;

		if (i->local.port != to->port || (outside && !container_of(i, struct udp_socket, inet)->outside))
			continue;
		score = inet_match(i, &to->addr);
		if (score == 0)
			continue;
		if (i->remote.port != 0) {
			if (i->remote.port != from->port || !inet_addr_equal(&i->remote.addr, &from->addr))
				continue;
			score += 8;
		}
		if (score < best_score)
			continue;
		equals = score > best_score ? 1 : equals + 1;
		/* The latest bound wins (the list's head), but SO_REUSEPORT spreads by the sender's port. */
		if (score > best_score || (i->sock.reuseport && (uint32_t)from->port * 40503U % 65536U % equals == 0))
			best = i;
		best_score = score;
	}
	return best != NULL ? container_of(best, struct udp_socket, inet) : NULL;
}

/* Takes p. */
static void queue(struct udp_socket *to, struct packet *p)
{
	if ((to->inet.sock.shut & SOCK_SHUT_RCV) != 0 || to->rx.charged + p->charge > to->inet.sock.rcvbuf) {
		to->dropped++;
		packet_free(p);
		return;
	}
	packet_append(&to->rx, p);
	sock_wake(&to->inet.sock, SOCK_IN);
}

/* Takes p. */
static void deliver(struct udp_socket *from, struct packet *p)
{
	struct udp_socket *to = find_receiver(inet_table(&from->inet), &p->to, &p->from, false);

	if (to == NULL) {
		if (from->inet.remote.port != 0 || inet_opt(&from->inet, LINUX_SOL_IP, LINUX_IP_RECVERR) != 0 ||
		    inet_opt(&from->inet, LINUX_SOL_IPV6, LINUX_IPV6_RECVERR) != 0) {
			from->inet.sock.error = LINUX_ECONNREFUSED;
			sock_wake(&from->inet.sock, SOCK_IN | LINUX_POLLERR);
		}
		packet_free(p);
		return;
	}
	if (to->outside)
		outside_udp_inside_spoke(to->inet.local.port, &p->from);
	queue(to, p);
}

/* ---- outside ---- */

bool udp_bound_outside(uint16_t port, bool v6)
{
	struct inet_socket *i;

	list_for_each(i, port_bucket(&udp_ports, port), port_link) {
		if (i->local.port != port || !container_of(i, struct udp_socket, inet)->outside)
			continue;
		/* One that has connected hears IPv4 or IPv6 alone, as before: the port was bound for both. */
		if (inet_is_v6(i) ? v6 || !i->v6only : !v6)
			return true;
	}
	return false;
}

void udp_arrived(uint16_t port, const struct inet_ep *from, const uint8_t *data, uint32_t len, uint32_t lost)
{
	struct inet_ep to = {.addr = outbound_source(&from->addr), .port = port};
	struct udp_socket *u = find_receiver(&udp_ports, &to, from, true);
	struct packet *p;

	if (u == NULL)
		return;
	u->dropped += lost;
	p = packet_new(len);
	if (p == NULL) {
		u->dropped++;
		return;
	}
	memcpy(p->data, data, len);
	p->len = len;
	p->from = *from;
	p->to = to;
	p->ttl = 64;
	p->stamp = vfs_now();
	queue(u, p);
}

/* What a send or connect to ep is: 0: stays inside; 1: a reply to outside; -errno: refused, and recorded. */
static int udp_route(struct task *task, struct udp_socket *u, struct inet_ep *ep, const char *what)
{
	char object[INET_EP_TEXT], allowed[256];

	ep->addr = inet_addr_target(&ep->addr);
	if (u->outside && outside_udp_may_answer(u->inet.local.port, ep))
		return 1;
	if (!u->outside || inet_addr_is_loopback(&ep->addr))
		return inet_route(task, &u->inet, ep, what);
	inet_ep_format(object, ep);
	ingress_text(allowed, sizeof allowed);
	audit_deny(task, what, object, "ingress", "UDP leaves only to who has sent to this port in the last minutes", allowed);
	return -LINUX_ENETUNREACH;
}

/* A socket that only the inside reaches, though by its address it could be meant for all. */
static void tell_unnamed(struct task *task, const struct inet_socket *i)
{
	char object[INET_EP_TEXT], allowed[256];

	if (!ingress_ruled() || !i->port_chosen || !inet_addr_is_any(&i->local.addr))
		return;
	inet_ep_format(object, &i->local);
	ingress_text(allowed, sizeof allowed);
	audit_deny(task, "bind", object, "ingress", "no rule names the port for UDP: it is reached from inside only", allowed);
}

/* When bind(2) returns, others can send. If the host's port is taken, or isn't ours to have, it fails as without a sandbox. */
static int udp_bind(struct task *task, struct socket *s, const struct sockname *name)
{
	struct udp_socket *u = udp_of(s);
	struct inet_socket *i = &u->inet;
	char object[INET_EP_TEXT], allowed[256];
	uint16_t port;
	int err;

	err = inet_bind(task, s, name);
	if (err != 0 || s->protocol == LINUX_IPPROTO_UDPLITE || !inet_addr_is_any(&i->local.addr))
		return err;
	/* Port 0 is no wish to be reached from outside, and nothing on the host may hinder it. */
	if (!i->port_chosen)
		return 0;
	port = i->local.port;
	if (!(inet_is_v6(i) && ingress_named(true, 6, port)) && !((!inet_is_v6(i) || !i->v6only) && ingress_named(true, 4, port))) {
		tell_unnamed(task, i);
		return 0;
	}
	u->outside = true;
	ingress_update(port, true);
	err = ingress_wait(task, port, true);
	/* Another thread may have closed or disconnected it meanwhile. */
	if (err == 0 || !u->outside || i->local.port != port)
		return 0;
	inet_ep_format(object, &i->local);
	ingress_text(allowed, sizeof allowed);
	audit_deny(task, "bind", object, "ingress",
		   err == -LINUX_EADDRINUSE ? "the port is in use on the host" : "the host refuses to bind there", allowed);
	leave_port(u);
	i->local = (struct inet_ep){.addr = inet_is_v6(i) ? inet_any6 : inet_any4};
	i->port_chosen = false;
	return err;
}

/* ---- sending ---- */

/* How a datagram goes: by the socket's options, unless control messages say otherwise. */
struct route_choice {
	struct inet_addr source;
	uint8_t ttl, tos;
};

/* A TTL, TOS, hop limit or traffic class: an int, -1 for the default where that is allowed. */
static int read_small(const uint8_t *data, size_t len, int least, uint8_t *out)
{
	int32_t v;

	if (len != sizeof v)
		return -LINUX_EINVAL;
	memcpy(&v, data, sizeof v);
	if (v < least || v > 255)
		return -LINUX_EINVAL;
	if (v >= 0)
		*out = (uint8_t)v;
	return 0;
}

static int read_small_control(const struct linux_cmsghdr *hdr, const uint8_t *data, size_t len, struct route_choice *choice)
{
	if (hdr->level == LINUX_SOL_IP && hdr->type == LINUX_IP_TTL)
		return read_small(data, len, 1, &choice->ttl);
	if (hdr->level == LINUX_SOL_IP && hdr->type == LINUX_IP_TOS) {
		if (len == 1) {
			choice->tos = data[0];
			return 0;
		}
		return read_small(data, len, 0, &choice->tos);
	}
	if (hdr->level == LINUX_SOL_IPV6 && (hdr->type == LINUX_IPV6_HOPLIMIT || hdr->type == LINUX_IPV6_2292HOPLIMIT))
		return read_small(data, len, -1, &choice->ttl);
	if (hdr->level == LINUX_SOL_IPV6 && hdr->type == LINUX_IPV6_TCLASS)
		return read_small(data, len, -1, &choice->tos);
	return hdr->level == LINUX_SOL_IPV6 && hdr->type == LINUX_IPV6_DONTFRAG ? 0 : -LINUX_EINVAL;
}

static int read_control(const struct sock_msg *msg, struct route_choice *choice)
{
	struct inet_addr *source = &choice->source;
	struct linux_cmsghdr hdr;
	const uint8_t *data;
	size_t off = 0, len;
	int more;

	while ((more = cmsg_next(msg, &off, &hdr, &data, &len)) > 0) {
		if (hdr.level == LINUX_SOL_IP && hdr.type == LINUX_IP_PKTINFO) {
			struct linux_in_pktinfo info;

			if (len != sizeof info)
				return -LINUX_EINVAL;
			memcpy(&info, data, sizeof info);
			if (info.ifindex != 0 && info.ifindex != 1)
				return -LINUX_ENODEV;
			if (memcmp(info.spec_dst, inet_any4.b + 12, 4) != 0)
				*source = inet_addr_v4(info.spec_dst);
		} else if (hdr.level == LINUX_SOL_IPV6 && hdr.type == LINUX_IPV6_PKTINFO) {
			struct linux_in6_pktinfo info;

			if (len < sizeof info)
				return -LINUX_EINVAL;
			memcpy(&info, data, sizeof info);
			if (info.ifindex != 0 && info.ifindex != 1)
				return -LINUX_ENODEV;
			if (memcmp(info.addr, inet_any6.b, 16) != 0)
				memcpy(source->b, info.addr, 16);
		} else if (hdr.level == LINUX_SOL_IP || hdr.level == LINUX_SOL_IPV6) {
			int err = read_small_control(&hdr, data, len, choice);

			if (err != 0)
				return err;
		} else if (hdr.level == LINUX_SOL_UDP) {
			return -LINUX_EINVAL;
		} else if (hdr.level == LINUX_SOL_SOCKET && hdr.type != LINUX_SO_MARK && hdr.type != LINUX_SO_PRIORITY &&
			   hdr.type != LINUX_SO_TIMESTAMPING && hdr.type != LINUX_SCM_RIGHTS &&
			   hdr.type != LINUX_SCM_CREDENTIALS) {
			return -LINUX_EINVAL;
		}
	}
	return more;
}

static void default_choice(const struct inet_socket *i, const struct inet_addr *to, struct route_choice *choice)
{
	int32_t hops = inet_opt(i, LINUX_SOL_IPV6, LINUX_IPV6_UNICAST_HOPS);

	if (inet_addr_is_v4(to)) {
		choice->ttl = (uint8_t)inet_opt(i, LINUX_SOL_IP, LINUX_IP_TTL);
		choice->tos = (uint8_t)inet_opt(i, LINUX_SOL_IP, LINUX_IP_TOS);
	} else {
		choice->ttl = hops < 0 ? 64 : (uint8_t)hops;
		choice->tos = (uint8_t)inet_opt(i, LINUX_SOL_IPV6, LINUX_IPV6_TCLASS);
	}
}

static bool is_net_broadcast(const struct inet_addr *a)
{
	return inet_addr_is_broadcast(a) || (inet_addr_is_v4(a) && memcmp(a->b + 12, "\x7f\xff\xff\xff", 4) == 0);
}

/* Only an address that is the sandbox's own as the receiver sees it; in the other world there is no way from it. */
static bool source_fits(const struct inet_addr *source, const struct inet_addr *to, bool out)
{
	struct inet_addr outside = outbound_source(to);

	if (inet_addr_is_any(source))
		return true;
	return out ? inet_addr_equal(source, &outside) || (inet_addr_is_loopback(source) && inet_addr_is_loopback(to))
		   : inet_addr_is_loopback(source);
}

/* 0: inside, 1: outside, or -errno. */
static int find_destination(struct task *task, struct udp_socket *u, struct sock_msg *msg, struct inet_ep *to)
{
	struct inet_socket *i = &u->inet;
	bool named = msg->name != NULL && msg->name->len != 0;
	int err;

	/* An AF_UNSPEC name is IPv4's for IPv4 sockets, and none at all for IPv6 ones. */
	if (named && msg->name->len >= sizeof(uint16_t) && sockname_family(msg->name) == LINUX_AF_UNSPEC) {
		if (inet_is_v6(i))
			named = false;
		else
			msg->name->bytes[0] = LINUX_AF_INET;
	}
	if (!named) {
		if (i->remote.port == 0)
			return -LINUX_EDESTADDRREQ;
		*to = i->remote;
		return u->outside ? udp_route(task, u, to, "sendto") : 0;
	}
	err = inet_parse(i, msg->name, true, to);
	if (err != 0)
		return err == -LINUX_EAFNOSUPPORT && inet_is_v6(i) && i->v6only ? -LINUX_ENETUNREACH : err;
	if (to->port == 0)
		return -LINUX_EINVAL;
	err = udp_route(task, u, to, "sendto");
	if (err == 0 && is_net_broadcast(&to->addr) && !i->sock.broadcast)
		err = -LINUX_EACCES;
	return err;
}

static int64_t udp_sendmsg(struct task *task, struct socket *s, struct sock_msg *msg)
{
	struct udp_socket *u = udp_of(s);
	struct inet_socket *i = &u->inet;
	uint64_t len = msg->buf->left;
	/* An address that connect(2) has picked is no choice: it may be the inside's, and this goes out. */
	struct route_choice choice = {.source = i->addr_chosen ? i->local.addr : inet_any6};
	struct inet_addr source;
	struct packet *p;
	struct inet_ep to;
	bool out;
	int err;

	if (len > 0xffff)
		return -LINUX_EMSGSIZE;
	if ((msg->flags & LINUX_MSG_OOB) != 0)
		return -LINUX_EOPNOTSUPP;
	err = find_destination(task, u, msg, &to);
	out = err > 0;
	if (err >= 0) {
		default_choice(i, &to.addr, &choice);
		err = read_control(msg, &choice);
		source = choice.source;
		if (err == 0 && !source_fits(&source, &to.addr, out))
			err = -LINUX_EINVAL;
	}
	if (err == 0)
		err = inet_autobind(i);
	if (err != 0)
		return err == -LINUX_EADDRNOTAVAIL ? -LINUX_EAGAIN : err;
	if (len > UDP_MAX)
		return -LINUX_EMSGSIZE;
	err = sock_error(s);
	if (err != 0)
		return err;
	if ((s->shut & SOCK_SHUT_SEND) != 0)
		return -LINUX_EPIPE;
	p = packet_new((uint32_t)len);
	if (p == NULL)
		return -LINUX_ENOBUFS;
	err = packet_fill(p, msg->buf, (uint32_t)len);
	if (err != 0) {
		packet_free(p);
		return err;
	}
	if (out) {
		outside_udp_send(i->local.port, &to, packet_bytes(p), p->len);
		packet_free(p);
		return (int64_t)len;
	}
	p->from.addr = inet_addr_is_any(&source) || inet_addr_is_v4(&source) != inet_addr_is_v4(&to.addr)
			       ? inet_source(&to.addr)
			       : source;
	p->from.port = i->local.port;
	p->to = to;
	p->ttl = choice.ttl;
	p->tos = choice.tos;
	p->stamp = vfs_now();
	deliver(u, p);
	return (int64_t)len;
}

/* ---- receiving ---- */

static void put_int(struct task *task, struct sock_msg *msg, int level, int type, int32_t v)
{
	cmsg_put(task, msg, level, type, &v, sizeof v);
}

static void put_control_v4(struct task *task, const struct inet_socket *i, struct sock_msg *msg, const struct packet *p)
{
	struct linux_in_pktinfo info = {.ifindex = 1};
	struct linux_sockaddr_in to = {.family = LINUX_AF_INET};

	if (inet_opt(i, LINUX_SOL_IP, LINUX_IP_PKTINFO) != 0) {
		memcpy(info.addr, p->to.addr.b + 12, 4);
		memcpy(info.spec_dst, p->to.addr.b + 12, 4);
		cmsg_put(task, msg, LINUX_SOL_IP, LINUX_IP_PKTINFO, &info, sizeof info);
	}
	if (inet_opt(i, LINUX_SOL_IP, LINUX_IP_RECVTTL) != 0)
		put_int(task, msg, LINUX_SOL_IP, LINUX_IP_TTL, p->ttl);
	if (inet_opt(i, LINUX_SOL_IP, LINUX_IP_RECVTOS) != 0)
		cmsg_put(task, msg, LINUX_SOL_IP, LINUX_IP_TOS, &p->tos, sizeof p->tos);
	if (inet_opt(i, LINUX_SOL_IP, LINUX_IP_RECVORIGDSTADDR) != 0) {
		to.port = (uint16_t)(p->to.port << 8 | p->to.port >> 8);
		memcpy(to.addr, p->to.addr.b + 12, 4);
		cmsg_put(task, msg, LINUX_SOL_IP, LINUX_IP_RECVORIGDSTADDR, &to, sizeof to);
	}
}

static void put_control(struct task *task, struct inet_socket *i, struct sock_msg *msg, const struct packet *p)
{
	struct linux_in6_pktinfo info = {.ifindex = 1};

	cmsg_put_stamp(task, &i->sock, msg, p->stamp.sec, p->stamp.nsec);
	if (msg->sink == NULL)
		return;
	if (inet_is_v6(i)) {
		if (inet_opt(i, LINUX_SOL_IPV6, LINUX_IPV6_RECVPKTINFO) != 0) {
			memcpy(info.addr, p->to.addr.b, 16);
			cmsg_put(task, msg, LINUX_SOL_IPV6, LINUX_IPV6_PKTINFO, &info, sizeof info);
		}
		if (inet_opt(i, LINUX_SOL_IPV6, LINUX_IPV6_RECVHOPLIMIT) != 0)
			put_int(task, msg, LINUX_SOL_IPV6, LINUX_IPV6_HOPLIMIT, p->ttl);
		if (inet_opt(i, LINUX_SOL_IPV6, LINUX_IPV6_RECVTCLASS) != 0)
			put_int(task, msg, LINUX_SOL_IPV6, LINUX_IPV6_TCLASS, p->tos);
	}
	if (inet_addr_is_v4(&p->to.addr))
		put_control_v4(task, i, msg, p);
}

static int64_t udp_recvmsg(struct task *task, struct socket *s, struct sock_msg *msg)
{
	struct udp_socket *u = udp_of(s);
	uint64_t deadline = sock_deadline(s->rcvtimeo, (msg->flags & LINUX_MSG_DONTWAIT) != 0);
	struct packet *p;
	uint32_t n;
	int err;

	while ((p = packet_head(&u->rx)) == NULL) {
		err = sock_error(s);
		if (err != 0)
			return err;
		if ((s->shut & SOCK_SHUT_RCV) != 0 && deadline != 0)
			return 0;
		err = sock_wait(task, &s->wq, LINUX_POLLIN | LINUX_POLLERR | LINUX_POLLHUP, deadline);
		if (err != 0)
			return err;
	}
	n = (uint32_t)MIN((uint64_t)p->len, msg->buf->left);
	if (iobuf_put(msg->buf, packet_bytes(p), n) < n)
		return -LINUX_EFAULT;
	if (n < p->len)
		msg->out_flags |= LINUX_MSG_TRUNC;
	if (msg->name != NULL)
		inet_show(&u->inet, &p->from, msg->name);
	put_control(task, &u->inet, msg, p);
	if ((msg->flags & LINUX_MSG_TRUNC) != 0)
		n = p->len;
	if ((msg->flags & LINUX_MSG_PEEK) == 0) {
		packet_remove(&u->rx, p);
		packet_free(p);
	}
	return n;
}

/* ---- connecting ---- */

static int udp_connect(struct task *task, struct socket *s, const struct sockname *name, bool nonblock)
{
	struct inet_socket *i = inet_of(s);
	struct inet_ep to;
	int err;

	(void)nonblock;
	if (name->len < sizeof(uint16_t))
		return -LINUX_EINVAL;
	if (sockname_family(name) == LINUX_AF_UNSPEC) {
		i->remote = (struct inet_ep){.addr = inet_is_v6(i) ? inet_any6 : inet_any4};
		if (!i->addr_chosen)
			i->local.addr = i->remote.addr;
		if (!i->port_chosen && i->bound) {
			leave_port(udp_of(s));
			i->local.port = 0;
		}
		return 0;
	}
	err = inet_parse(i, name, true, &to);
	if (err == 0)
		err = udp_route(task, udp_of(s), &to, "connect");
	if (err == 0 && is_net_broadcast(&to.addr) && !s->broadcast)
		err = -LINUX_EACCES;
	if (err < 0)
		return err;
	if (inet_addr_is_any(&i->local.addr) || (udp_of(s)->outside && !i->addr_chosen))
		i->local.addr = err > 0 ? outbound_source(&to.addr) : inet_source(&to.addr);
	err = inet_autobind(i);
	if (err != 0)
		return -LINUX_EAGAIN;
	i->remote = to;
	return 0;
}

static int udp_getname(struct task *task, struct socket *s, bool peer, struct sockname *name)
{
	struct inet_socket *i = inet_of(s);

	(void)task;
	if (peer && i->remote.port == 0)
		return -LINUX_ENOTCONN;
	inet_show(i, peer ? &i->remote : &i->local, name);
	return 0;
}

static int udp_shutdown(struct task *task, struct socket *s, int how)
{
	(void)task;
	if (inet_of(s)->remote.port == 0)
		return -LINUX_ENOTCONN;
	s->shut |= (uint32_t)how + 1;
	sock_wake(s, 0);
	return 0;
}

static uint32_t udp_poll(struct task *task, struct socket *s)
{
	struct udp_socket *u = udp_of(s);
	uint32_t events = SOCK_OUT;

	(void)task;
	if (s->error != 0)
		events |= LINUX_POLLERR;
	if (s->shut == (SOCK_SHUT_RCV | SOCK_SHUT_SEND))
		events |= LINUX_POLLHUP;
	if ((s->shut & SOCK_SHUT_RCV) != 0)
		events |= LINUX_POLLRDHUP | SOCK_IN;
	if (u->rx.count > 0)
		events |= SOCK_IN;
	return events;
}

static int64_t udp_ioctl(struct task *task, struct socket *s, unsigned cmd, uint64_t arg)
{
	struct packet *p = packet_head(&udp_of(s)->rx);

	return inet_ioctl(task, p != NULL ? p->len : 0, 0, cmd, arg);
}

static const struct socket_ops udp_ops = {
	.bind = udp_bind,
	.connect = udp_connect,
	.getname = udp_getname,
	.sendmsg = udp_sendmsg,
	.recvmsg = udp_recvmsg,
	.shutdown = udp_shutdown,
	.setsockopt = inet_setsockopt,
	.getsockopt = inet_getsockopt,
	.poll = udp_poll,
	.ioctl = udp_ioctl,
	.close = udp_close,
	.destroy = udp_destroy,
};
