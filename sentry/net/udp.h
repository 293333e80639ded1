/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets, as udp.c keeps and /proc/net shows them. Internal to sentry/net. */
#ifndef SENTRY_NET_UDP_H
#define SENTRY_NET_UDP_H

#include "sentry/net/inet.h"
#include "sentry/net/packet.h"

struct udp_socket {
	struct inet_socket inet;
	struct packet_queue rx;
	uint64_t dropped;
	bool outside;          /* bound by bind(2) to the wildcard, at a port that a rule names: reached from outside */
	struct list all_link;
};

static inline struct udp_socket *udp_of(struct socket *s)
{
	return container_of(s, struct udp_socket, inet.sock);
}

extern struct list udp_all;

/* For ingress.c: is a socket bound to the port that datagrams of the family from outside should come to? */
bool udp_bound_outside(uint16_t port, bool v6);
/* For outside_udp.c: a datagram from outside; `lost` others were lost before it. */
void udp_arrived(uint16_t port, const struct inet_ep *from, const uint8_t *data, uint32_t len, uint32_t lost);

#endif
