/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has sent a datagram to a port lately, and may so be answered: a bounded table like a NAT's. The monitor has one, by
 * which it sends (runtime/core/udp_relay.c), the sentry another, by which it tells programs what they may do
 * (outside_udp.c). Plain memory; neither asks the host.
 *
 *   flows_heard: made or refreshed; the table full: whoever has been silent for longest makes room
 *   flows_find:  only who was heard within `timeout_ms`
 *
 * Only what is heard refreshes: a program can't keep its right to send alive by sending. The world controls addresses and
 * how many of them there are; so buckets are chosen by a seed it doesn't know.
 */
#ifndef SENTRY_NET_FLOWS_H
#define SENTRY_NET_FLOWS_H

#include "sentry/net/inet_addr.h"

#define FLOWS_MAX 4096U
#define FLOWS_BUCKETS 1024U

struct flow {
	struct inet_ep peer;
	uint16_t port;              /* ours, that the peer sent to */
	uint32_t tag;               /* the caller's, as the next one: where it came in */
	struct inet_addr local;
	uint64_t heard_ms;
	/* Numbers of slots + 1; 0: none. */
	uint16_t next;              /* in its bucket, or of the free ones */
	uint16_t newer, older;
};

/* All zeroes but for cap, timeout_ms and seed: empty. */
struct flows {
	uint16_t cap;               /* at most FLOWS_MAX */
	uint16_t count, touched;    /* touched: slots [0, touched) have been used */
	uint16_t free, newest, oldest;
	uint64_t timeout_ms;
	uint64_t seed;
	uint16_t bucket[FLOWS_BUCKETS];
	struct flow slot[FLOWS_MAX];
};

/* The peer has sent to port now. Never NULL; tag and local are what they were, or 0. */
struct flow *flows_heard(struct flows *f, uint16_t port, const struct inet_ep *peer, uint64_t now_ms);
/* NULL: it hasn't, or not lately. */
struct flow *flows_find(struct flows *f, uint16_t port, const struct inet_ep *peer, uint64_t now_ms);
void flows_forget(struct flows *f, uint16_t port, const struct inet_ep *peer);
/* All of a port's peers of one family. */
void flows_forget_port(struct flows *f, uint16_t port, bool v6);

#endif
