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
	struct list all_link;
};

static inline struct udp_socket *udp_of(struct socket *s)
{
	return container_of(s, struct udp_socket, inet.sock);
}

extern struct list udp_all;

#endif
