/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes on their way: packets in a receiver's queue. Streams see through the boundaries, datagrams keep them. What a
 * packet costs is charged to its sender (unix, against SO_SNDBUF) until it is read or thrown away.
 */
#ifndef SENTRY_NET_PACKET_H
#define SENTRY_NET_PACKET_H

#include "sentry/base/list.h"
#include "sentry/net/inet_addr.h"
#include "sentry/vfs/vfs.h"

struct scm;
struct socket;
struct unix_name;

#define PACKET_MAX (64U * 1024U) /* bytes of payload in one piece of a stream */

struct packet {
	struct list link;
	uint32_t len;          /* payload left, from off on */
	uint32_t off;
	uint32_t cap;          /* of data[] */
	uint32_t charge;       /* what the sender was charged */
	bool urgent;           /* TCP: the urgent byte */
	bool eor;
	struct socket *sender; /* counted; told by packet_free. NULL: nobody is charged */
	void (*uncharge)(struct socket *sender, uint32_t charge);
	struct scm *scm;       /* owned; NULL: none */
	struct unix_name *from_name; /* unix datagrams: the sender's name, counted; NULL: unnamed */
	struct inet_ep from, to; /* UDP */
	uint8_t ttl, tos;      /* UDP: hop limit and traffic class for IPv6 */
	uint32_t seq;          /* netlink: the sender's port */
	struct ktimespec stamp;
	uint8_t data[];
};

struct packet_queue {
	struct list packets;
	uint64_t bytes;        /* payload in all packets */
	uint64_t charged;      /* payload and overhead */
	uint32_t count;
};

void packet_queue_init(struct packet_queue *q);
/* An empty packet with room for cap bytes; NULL if memory is out. */
struct packet *packet_new(uint32_t cap) must_check;
void packet_free(struct packet *p);
static inline uint8_t *packet_bytes(struct packet *p)
{
	return p->data + p->off;
}
/* Fills an empty packet with len bytes of buf. 0 or -LINUX_EFAULT (buf is then rewound). */
int packet_fill(struct packet *p, struct iobuf *buf, uint32_t len) must_check;
/* What a packet of this many bytes counts against buffers, roughly as Linux's truesize. */
static inline uint32_t packet_cost(uint32_t cap)
{
	return ((cap + 511U) & ~511U) + 256U;
}
/* Takes p. */
void packet_append(struct packet_queue *q, struct packet *p);
static inline struct packet *packet_head(struct packet_queue *q)
{
	return list_empty(&q->packets) ? NULL : list_first(&q->packets, struct packet, link);
}
/* Takes p off q; the caller owns it. */
void packet_remove(struct packet_queue *q, struct packet *p);
/* The first n bytes of p are read. Doesn't remove an empty packet. */
void packet_consume(struct packet_queue *q, struct packet *p, uint32_t n);
void packet_queue_flush(struct packet_queue *q);

#endif
