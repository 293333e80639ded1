/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internet addresses, pure: no sockets, no tasks. Every address is 16 bytes in IPv6 form, IPv4 ones mapped
 * (::ffff:a.b.c.d), so that one comparison serves both families and no mapped form can slip past a rule for IPv4.
 */
#ifndef SENTRY_NET_INET_ADDR_H
#define SENTRY_NET_INET_ADDR_H

#include "sentry/base/types.h"

struct config_egress;
struct sockname;

struct inet_addr {
	uint8_t b[16];
};

/* An address and a port (host order). */
struct inet_ep {
	struct inet_addr addr;
	uint16_t port;
};

extern const struct inet_addr inet_any4, inet_any6, inet_loopback4, inet_loopback6;

struct inet_addr inet_addr_v4(const uint8_t b[4]);
bool inet_addr_equal(const struct inet_addr *a, const struct inet_addr *b);
bool inet_addr_is_v4(const struct inet_addr *a);
/* 0.0.0.0 or :: */
bool inet_addr_is_any(const struct inet_addr *a);
/* 127.0.0.0/8 or ::1 */
bool inet_addr_is_loopback(const struct inet_addr *a);
bool inet_addr_is_multicast(const struct inet_addr *a);
bool inet_addr_is_broadcast(const struct inet_addr *a); /* 255.255.255.255 */
bool inet_addr_is_linklocal6(const struct inet_addr *a);
/* The address a connect to a really goes to: the loopback one for 0.0.0.0 and ::. */
struct inet_addr inet_addr_target(const struct inet_addr *a);

/* Is ep inside the rule? A rule of family 4 is for IPv4 only, however written; one of family 6 never matches IPv4. */
bool egress_rule_matches(const struct config_egress *rule, const struct inet_ep *ep);
bool egress_allowed(const struct config_egress *rules, unsigned n, const struct inet_ep *ep);
/* Addresses that are never dialed, whatever the rules say: 0.0.0.0/8, ::, multicast, broadcast, IPv4-mapped or
 * -compatible in IPv6 form, link-local IPv6 (it would need an interface). */
bool egress_never(const struct inet_addr *a, bool mapped_is_v4);

struct config_ingress;
/* Does the rule let connections (udp: datagrams) of a family (4 or 6) in at the port? */
bool ingress_rule_matches(const struct config_ingress *rule, bool udp, unsigned family, uint16_t port);
bool ingress_allowed(const struct config_ingress *rules, unsigned n, bool udp, unsigned family, uint16_t port);
/* Is there a rule for UDP? */
bool ingress_has_udp(const struct config_ingress *rules, unsigned n);

#define INET_EP_TEXT 64
/* "127.0.0.1:80", "[::1]:80". Returns buf. */
const char *inet_ep_format(char buf[INET_EP_TEXT], const struct inet_ep *ep);
const char *inet_addr_format(char buf[INET_EP_TEXT], const struct inet_addr *a);

#endif
