/* SPDX-License-Identifier: Apache-2.0 */
/* Internet addresses: what kind they are, and which egress rule holds for them. See inet_addr.h. */
#include "sentry/net/inet_addr.h"

#include "runtime/config.h"

#include <stdio.h>
#include <string.h>

#define MAPPED 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff

const struct inet_addr inet_any4 = {{MAPPED, 0, 0, 0, 0}};
const struct inet_addr inet_any6 = {{0}};
const struct inet_addr inet_loopback4 = {{MAPPED, 127, 0, 0, 1}};
const struct inet_addr inet_loopback6 = {{[15] = 1}};

struct inet_addr inet_addr_v4(const uint8_t b[4])
{
	struct inet_addr a = inet_any4;

	memcpy(a.b + 12, b, 4);
	return a;
}

bool inet_addr_equal(const struct inet_addr *a, const struct inet_addr *b)
{
	return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool inet_addr_is_v4(const struct inet_addr *a)
{
	return memcmp(a->b, inet_any4.b, 12) == 0;
}

bool inet_addr_is_any(const struct inet_addr *a)
{
	return inet_addr_equal(a, &inet_any4) || inet_addr_equal(a, &inet_any6);
}

bool inet_addr_is_loopback(const struct inet_addr *a)
{
	return (inet_addr_is_v4(a) && a->b[12] == 127) || inet_addr_equal(a, &inet_loopback6);
}

bool inet_addr_is_multicast(const struct inet_addr *a)
{
	return inet_addr_is_v4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

bool inet_addr_is_broadcast(const struct inet_addr *a)
{
	return inet_addr_is_v4(a) && memcmp(a->b + 12, "\xff\xff\xff\xff", 4) == 0;
}

bool inet_addr_is_linklocal6(const struct inet_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

struct inet_addr inet_addr_target(const struct inet_addr *a)
{
	if (inet_addr_equal(a, &inet_any4))
		return inet_loopback4;
	if (inet_addr_equal(a, &inet_any6))
		return inet_loopback6;
	return *a;
}

static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff << (8 - rest));

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) & mask) == 0;
}

bool egress_rule_matches(const struct config_egress *rule, const struct inet_ep *ep)
{
	if (ep->port < rule->port_lo || ep->port > rule->port_hi)
		return false;
	if (rule->family == 4)
		return inet_addr_is_v4(&ep->addr) && rule->prefix <= 32 &&
		       prefix_equal(ep->addr.b + 12, rule->addr, rule->prefix);
	return rule->family == 6 && !inet_addr_is_v4(&ep->addr) && rule->prefix <= 128 &&
	       prefix_equal(ep->addr.b, rule->addr, rule->prefix);
}

bool egress_allowed(const struct config_egress *rules, unsigned n, const struct inet_ep *ep)
{
	if (ep->port == 0 || egress_never(&ep->addr, true))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (egress_rule_matches(&rules[i], ep))
			return true;
	return false;
}

bool egress_never(const struct inet_addr *a, bool mapped_is_v4)
{
	static const uint8_t zero[12];

	if (inet_addr_is_v4(a)) {
		if (!mapped_is_v4)
			return true;
		return a->b[12] == 0 || inet_addr_is_multicast(a) || inet_addr_is_broadcast(a);
	}
	if (memcmp(a->b, zero, sizeof zero) == 0 && !inet_addr_equal(a, &inet_loopback6))
		return true;
	return inet_addr_is_multicast(a) || inet_addr_is_linklocal6(a);
}

bool ingress_rule_matches(const struct config_ingress *rule, bool udp, unsigned family, uint16_t port)
{
	return (rule->udp != 0) == udp && port != 0 && port >= rule->port_lo && port <= rule->port_hi &&
	       (rule->family == 0 || rule->family == family);
}

bool ingress_allowed(const struct config_ingress *rules, unsigned n, bool udp, unsigned family, uint16_t port)
{
	for (unsigned i = 0; i < n; i++)
		if (ingress_rule_matches(&rules[i], udp, family, port))
			return true;
	return false;
}

bool ingress_has_udp(const struct config_ingress *rules, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (rules[i].udp != 0)
			return true;
	return false;
}

/* The longest run of two or more zero groups is left out, as RFC 5952 wants it. */
static size_t format_v6(char *buf, size_t size, const uint8_t *b)
{
	int best = -1, best_len = 1;
	size_t n = 0;

	for (int i = 0; i < 8; i++) {
		int len = 0;

		while (i + len < 8 && b[2 * (i + len)] == 0 && b[2 * (i + len) + 1] == 0)
			len++;
		if (len > best_len) {
			best = i;
			best_len = len;
		}
	}
	for (int i = 0; i < 8; i++) {
		if (i == best) {
			n += (size_t)snprintf(buf + n, size - n, "::");
			i += best_len - 1;
			continue;
		}
		n += (size_t)snprintf(buf + n, size - n, "%s%x", i == 0 || i == best + best_len ? "" : ":",
				      b[2 * i] << 8 | b[2 * i + 1]);
	}
	return n;
}

const char *inet_addr_format(char buf[INET_EP_TEXT], const struct inet_addr *a)
{
	if (inet_addr_is_v4(a))
		snprintf(buf, INET_EP_TEXT, "%u.%u.%u.%u", a->b[12], a->b[13], a->b[14], a->b[15]);
	else
		format_v6(buf, INET_EP_TEXT, a->b);
	return buf;
}

const char *inet_ep_format(char buf[INET_EP_TEXT], const struct inet_ep *ep)
{
	char text[INET_EP_TEXT];

	inet_addr_format(text, &ep->addr);
	if (inet_addr_is_v4(&ep->addr))
		snprintf(buf, INET_EP_TEXT, "%.45s:%u", text, ep->port);
	else
		snprintf(buf, INET_EP_TEXT, "[%.45s]:%u", text, ep->port);
	return buf;
}
