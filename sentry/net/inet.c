/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What IPv4 and IPv6 sockets share: addresses, ports, and the decision where a connection may go.
 *
 * The sandbox has one interface, lo, with 127.0.0.0/8 and ::1. Every address is kept in 16 bytes, IPv4 mapped into IPv6
 * (inet_addr.h), so that a dual-stack socket compares like any other and no form of an address escapes a rule.
 *
 *   connect, sendto -> inet_parse -> inet_route -> inside (loopback) | out (TCP, by an egress rule) | refused
 *
 * Refused means ENETUNREACH at once, as on a host that has lo only and no route, and a line in the audit log. A rule lets
 * TCP out even to loopback addresses, unless the sandbox listens on exactly that address and port itself. UDP never
 * leaves but as a reply (udp.c). What comes in from outside, by an ingress rule, is ingress.c's.
 *
 * The guest controls addresses and ports; ports below 1024 (or what a bundle's sysctl says) need CAP_NET_BIND_SERVICE, ephemeral ones are 32768-60999.
 *
 * Left out: raw and packet sockets (EPERM), ICMP sockets (EACCES), SCTP, DCCP, MPTCP (EPROTONOSUPPORT), multicast (no
 * interface has it: ENODEV to join, ENETUNREACH to send), IP options, TIME_WAIT (a port is free once both ends closed).
 */
#include "sentry/net/inet.h"

#include "runtime/config.h"
#include "sentry/abi/capability.h"
#include "sentry/host/host.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/net/dial.h"
#include "sentry/net/ingress.h"
#include "sentry/net/net.h"
#include "sentry/net/outside_udp.h"
#include "sentry/trace/trace.h"

#include <stdio.h>
#include <string.h>

#define EPHEMERAL_LO 32768U
#define EPHEMERAL_HI 60999U

struct port_table tcp_ports, udp_ports, udplite_ports;
static const struct config *config;

/* ---- policy ---- */

int net_init(const struct config *cfg, int dial_fd, int udp_fd)
{
	int err;

	config = cfg;
	ingress_init(cfg);
	err = dial_init(dial_fd);
	if (err == 0)
		err = outside_udp_init(ingress_has_udp(cfg->ingress, cfg->ningress) ? udp_fd : -1);
	return err;
}

bool net_egress_allowed(const struct inet_ep *ep)
{
	return config != NULL && egress_allowed(config->egress, config->negress, ep);
}

/* "10.0.0.0/8:80, ..." as the user wrote it, cut to fit. */
static void allowed_text(char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; config != NULL && i < config->negress && n < size - 1; i++) {
		int more = snprintf(buf + n, size - n, "%s%s", i == 0 ? "" : ", ",
				    config_str(config, config->egress[i].text));

		if (more < 0 || (size_t)more >= size - n)
			return;
		n += (size_t)more;
	}
}

void net_deny(struct task *task, const char *what, const struct inet_ep *ep, const char *reason)
{
	char object[INET_EP_TEXT], allowed[256];

	inet_ep_format(object, ep);
	allowed_text(allowed, sizeof allowed);
	audit_deny(task, what, object, "egress", reason, allowed);
}

int inet_route(struct task *task, struct inet_socket *i, struct inet_ep *ep, const char *what)
{
	bool tcp = i->sock.type == LINUX_SOCK_STREAM;

	ep->addr = inet_addr_target(&ep->addr);
	if (tcp && net_egress_allowed(ep) && !tcp_listens_exactly(ep))
		return 1;
	if (inet_addr_is_loopback(&ep->addr))
		return 0;
	net_deny(task, what, ep, tcp ? "no rule allows it" : "only TCP may leave the sandbox");
	return -LINUX_ENETUNREACH;
}

/* ---- addresses ---- */

void inet_init(struct inet_socket *i, struct task *task)
{
	list_init(&i->port_link);
	i->local.addr = i->remote.addr = inet_is_v6(i) ? inet_any6 : inet_any4;
	if (task != NULL)
		i->uid = task->cred->euid;
	inet_opts_init(i);
}

static uint16_t port_of(const struct sockname *name)
{
	return (uint16_t)(name->bytes[2] << 8 | name->bytes[3]);
}

int inet_parse(const struct inet_socket *i, const struct sockname *name, bool any_family, struct inet_ep *out)
{
	struct linux_sockaddr_in6 in6;

	if (name->len < sizeof(uint16_t))
		return -LINUX_EINVAL;
	out->port = port_of(name);
	if (!inet_is_v6(i) || (any_family && sockname_family(name) == LINUX_AF_INET)) {
		if (name->len < sizeof(struct linux_sockaddr_in))
			return -LINUX_EINVAL;
		if (sockname_family(name) != LINUX_AF_INET)
			return -LINUX_EAFNOSUPPORT;
		if (i->v6only)
			return -LINUX_EAFNOSUPPORT;
		out->addr = inet_addr_v4(name->bytes + 4);
		return 0;
	}
	if (name->len < LINUX_SIN6_LEN_RFC2133)
		return -LINUX_EINVAL;
	if (sockname_family(name) != LINUX_AF_INET6)
		return -LINUX_EAFNOSUPPORT;
	memset(&in6, 0, sizeof in6);
	memcpy(&in6, name->bytes, MIN((size_t)name->len, sizeof in6));
	memcpy(out->addr.b, in6.addr, sizeof in6.addr);
	if (inet_addr_is_v4(&out->addr) && i->v6only)
		return -LINUX_ENETUNREACH;
	if (inet_addr_is_linklocal6(&out->addr) && in6.scope_id == 0)
		return -LINUX_EINVAL;
	return 0;
}

void inet_show(const struct inet_socket *i, const struct inet_ep *ep, struct sockname *out)
{
	memset(out->bytes, 0, sizeof(struct linux_sockaddr_in6));
	out->bytes[0] = (uint8_t)i->sock.family;
	out->bytes[2] = (uint8_t)(ep->port >> 8);
	out->bytes[3] = (uint8_t)ep->port;
	if (inet_is_v6(i)) {
		memcpy(out->bytes + offsetof(struct linux_sockaddr_in6, addr), ep->addr.b, 16);
		out->len = sizeof(struct linux_sockaddr_in6);
	} else {
		memcpy(out->bytes + offsetof(struct linux_sockaddr_in, addr), ep->addr.b + 12, 4);
		out->len = sizeof(struct linux_sockaddr_in);
	}
}

struct inet_addr inet_source(const struct inet_addr *dst)
{
	return inet_addr_is_v4(dst) ? inet_loopback4 : inet_loopback6;
}

/* Does a socket at `a` (v6only or not) also hear what is sent to b's addresses? */
static bool covers(const struct inet_addr *a, bool v6only, const struct inet_addr *b)
{
	if (inet_addr_equal(a, b))
		return true;
	if (inet_addr_equal(a, &inet_any4))
		return inet_addr_is_v4(b);
	if (inet_addr_equal(a, &inet_any6))
		return !v6only || !inet_addr_is_v4(b);
	return false;
}

int inet_match(const struct inet_socket *i, const struct inet_addr *dst)
{
	if (inet_addr_equal(&i->local.addr, dst))
		return 4;
	if (!covers(&i->local.addr, i->v6only, dst))
		return 0;
	return inet_is_v6(i) == !inet_addr_is_v4(dst) ? 2 : 1;
}

/* ---- ports ---- */

struct port_table *inet_table(const struct inet_socket *i)
{
	if (i->sock.type == LINUX_SOCK_STREAM)
		return &tcp_ports;
	return i->sock.protocol == LINUX_IPPROTO_UDPLITE ? &udplite_ports : &udp_ports;
}

struct list *port_bucket(struct port_table *t, uint16_t port)
{
	if (!t->ready) {
		for (unsigned b = 0; b < PORT_BUCKETS; b++)
			list_init(&t->buckets[b]);
		t->ready = true;
	}
	return &t->buckets[port % PORT_BUCKETS];
}

/* TCP: listeners lead their bucket, so that finding one doesn't walk past the thousands of connections that may share its
 * port. UDP: the latest bound leads, and wins. */
void inet_table_add(struct inet_socket *i)
{
	struct list *bucket = port_bucket(inet_table(i), i->local.port);

	if (i->sock.type == LINUX_SOCK_STREAM && !i->listening)
		list_add_tail(bucket, &i->port_link);
	else
		list_add(bucket, &i->port_link);
	i->bound = true;
}

void inet_table_set_listening(struct inet_socket *i, bool listening)
{
	i->listening = listening;
	if (i->bound) {
		list_del(&i->port_link);
		inet_table_add(i);
	}
}

void inet_table_remove(struct inet_socket *i)
{
	list_del(&i->port_link);
	i->bound = false;
}

static bool may_share(const struct inet_socket *a, const struct inet_socket *b)
{
	if (a->sock.reuseaddr && b->sock.reuseaddr && !b->listening)
		return true;
	return a->sock.reuseport && b->sock.reuseport && a->uid == b->uid;
}

bool inet_conflicts(const struct inet_socket *i, const struct inet_ep *ep)
{
	const struct inet_socket *other;

	list_for_each(other, port_bucket(inet_table(i), ep->port), port_link) {
		if (other == i || other->local.port != ep->port)
			continue;
		if (!covers(&other->local.addr, other->v6only, &ep->addr) &&
		    !covers(&ep->addr, inet_is_v6(i) && i->v6only, &other->local.addr))
			continue;
		if (!may_share(i, other))
			return true;
	}
	return false;
}

static bool port_used(const struct inet_socket *i, const struct inet_ep *ep)
{
	const struct inet_socket *other;

	list_for_each(other, port_bucket(inet_table(i), ep->port), port_link)
		if (other->local.port == ep->port && (covers(&other->local.addr, other->v6only, &ep->addr) ||
						      covers(&ep->addr, i->v6only, &other->local.addr)))
			return true;
	return false;
}

static bool named_for_udp(const struct inet_socket *i, uint16_t port)
{
	return i->sock.type == LINUX_SOCK_DGRAM && (ingress_named(true, 4, port) || ingress_named(true, 6, port));
}

/* A port nobody uses at this address; 0: none is left. Those that rules name come last: they are for who asks for them. */
static uint16_t pick_port(const struct inet_socket *i, const struct inet_addr *addr)
{
	const uint32_t n = EPHEMERAL_HI - EPHEMERAL_LO + 1;
	struct inet_ep ep = {.addr = *addr};
	uint32_t start = 0;

	(void)host_getrandom(&start, sizeof start);
	for (int named = 0; named < 2; named++)
		for (uint32_t k = 0; k < n; k++) {
			ep.port = (uint16_t)(EPHEMERAL_LO + (start + k) % n);
			if (named_for_udp(i, ep.port) == named && !port_used(i, &ep))
				return ep.port;
		}
	return 0;
}

int inet_autobind(struct inet_socket *i)
{
	uint16_t port;

	if (i->bound)
		return 0;
	port = pick_port(i, &i->local.addr);
	if (port == 0)
		return -LINUX_EADDRNOTAVAIL;
	i->local.port = port;
	inet_table_add(i);
	return 0;
}

static bool may_bind_addr(const struct inet_socket *i, const struct inet_addr *a)
{
	if (inet_addr_is_any(a) || inet_addr_is_loopback(a))
		return true;
	if (inet_opt(i, LINUX_SOL_IP, LINUX_IP_FREEBIND) != 0)
		return true;
	/* Multicast and broadcast addresses are no interface's, yet may be bound; IPv6 streams may not. */
	if (inet_addr_is_multicast(a))
		return !inet_is_v6(i) || i->sock.type != LINUX_SOCK_STREAM;
	return inet_addr_is_broadcast(a);
}

/* AF_UNSPEC with 0.0.0.0 is taken for AF_INET: old programs do that. */
static int parse_bind(const struct inet_socket *i, const struct sockname *name, struct inet_ep *ep)
{
	static const uint8_t zero[4];

	if (!inet_is_v6(i)) {
		if (name->len < sizeof(struct linux_sockaddr_in))
			return -LINUX_EINVAL;
		if (sockname_family(name) != LINUX_AF_INET &&
		    (sockname_family(name) != LINUX_AF_UNSPEC || memcmp(name->bytes + 4, zero, 4) != 0))
			return -LINUX_EAFNOSUPPORT;
		ep->port = port_of(name);
		ep->addr = inet_addr_v4(name->bytes + 4);
		return 0;
	}
	if (name->len < LINUX_SIN6_LEN_RFC2133)
		return -LINUX_EINVAL;
	if (sockname_family(name) != LINUX_AF_INET6)
		return -LINUX_EAFNOSUPPORT;
	ep->port = port_of(name);
	memcpy(ep->addr.b, name->bytes + offsetof(struct linux_sockaddr_in6, addr), 16);
	return inet_addr_is_v4(&ep->addr) && i->v6only ? -LINUX_EINVAL : 0;
}

int inet_bind(struct task *task, struct socket *s, const struct sockname *name)
{
	struct inet_socket *i = inet_of(s);
	struct inet_ep ep;
	int err;

	err = parse_bind(i, name, &ep);
	if (err != 0)
		return err;
	if (!may_bind_addr(i, &ep.addr))
		return inet_is_v6(i) && inet_addr_is_multicast(&ep.addr) ? -LINUX_EINVAL : -LINUX_EADDRNOTAVAIL;
	if (ep.port != 0 && ep.port < kernel.unprivileged_ports && !task_capable(task, LINUX_CAP_NET_BIND_SERVICE))
		return -LINUX_EACCES;
	if (i->bound || i->remote.port != 0)
		return -LINUX_EINVAL;
	if (ep.port != 0) {
		if (inet_conflicts(i, &ep))
			return -LINUX_EADDRINUSE;
		i->port_chosen = true;
	} else {
		ep.port = pick_port(i, &ep.addr);
		if (ep.port == 0)
			return -LINUX_EADDRINUSE;
	}
	i->local = ep;
	i->addr_chosen = !inet_addr_is_any(&ep.addr);
	inet_table_add(i);
	return 0;
}

/* ---- creation ---- */

static int deny_raw(struct task *task, const char *kind, int err)
{
	audit_deny(task, "socket", kind, "network", "raw and ICMP sockets are not served", "unix, TCP, UDP");
	return err;
}

int inet_create(struct task *task, int family, int type, int protocol, struct socket **out)
{
	if (protocol < 0 || protocol >= LINUX_IPPROTO_MAX)
		return -LINUX_EINVAL;
	switch (type) {
	case LINUX_SOCK_STREAM:
		if (protocol != 0 && protocol != LINUX_IPPROTO_TCP)
			return -LINUX_EPROTONOSUPPORT;
		return tcp_create(task, family, out);
	case LINUX_SOCK_DGRAM:
		if (protocol == (family == LINUX_AF_INET ? LINUX_IPPROTO_ICMP : LINUX_IPPROTO_ICMPV6))
			return deny_raw(task, "ICMP", -LINUX_EACCES);
		if (protocol != 0 && protocol != LINUX_IPPROTO_UDP && protocol != LINUX_IPPROTO_UDPLITE)
			return -LINUX_EPROTONOSUPPORT;
		return udp_create(task, family, protocol == 0 ? LINUX_IPPROTO_UDP : protocol, out);
	case LINUX_SOCK_RAW:
		return deny_raw(task, "SOCK_RAW", -LINUX_EPERM);
	default:
		return -LINUX_ESOCKTNOSUPPORT;
	}
}

int64_t inet_ioctl(struct task *task, uint64_t pending, uint64_t unsent, unsigned cmd, uint64_t arg)
{
	int32_t v;

	switch (cmd) {
	case LINUX_FIONREAD:
		v = (int32_t)MIN(pending, (uint64_t)INT32_MAX);
		return put_guest(task, GVA(arg), &v);
	case LINUX_TIOCOUTQ:
		v = (int32_t)MIN(unsent, (uint64_t)INT32_MAX);
		return put_guest(task, GVA(arg), &v);
	default:
		return -LINUX_ENOTTY;
	}
}
