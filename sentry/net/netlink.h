/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink sockets, as netlink.c keeps and /proc/net shows them. Internal to sentry/net. */
#ifndef SENTRY_NET_NETLINK_H
#define SENTRY_NET_NETLINK_H

#include "sentry/net/packet.h"
#include "sentry/net/socket.h"

struct netlink_socket {
	struct socket sock;
	uint32_t port, groups, peer;
	bool pktinfo, broadcast_error, no_enobufs, cap_ack, ext_ack, strict;
	struct packet_queue rx;
	struct list all_link;
};

static inline struct netlink_socket *netlink_of(struct socket *s)
{
	return container_of(s, struct netlink_socket, sock);
}

extern struct list netlink_all;

#endif
