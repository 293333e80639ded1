/* SPDX-License-Identifier: Apache-2.0 */
/* Packets and their queues. See packet.h. */
#include "sentry/net/packet.h"

#include "sentry/base/alloc.h"
#include "sentry/net/socket.h"
#include "sentry/net/unix.h"

#include <string.h>

void packet_queue_init(struct packet_queue *q)
{
	list_init(&q->packets);
	q->bytes = 0;
	q->charged = 0;
	q->count = 0;
}

struct packet *packet_new(uint32_t cap)
{
	struct packet *p = kmalloc(sizeof *p + cap);

	if (p == NULL)
		return NULL;
	memset(p, 0, sizeof *p);
	list_init(&p->link);
	p->cap = cap;
	p->charge = packet_cost(cap);
	return p;
}

void packet_free(struct packet *p)
{
	struct socket *sender;

	if (p == NULL)
		return;
	sender = p->sender;
	if (p->uncharge != NULL)
		p->uncharge(sender, p->charge);
	scm_free(p->scm);
	unix_name_put(p->from_name);
	kfree(p);
	if (sender != NULL)
		socket_put(sender);
}

int packet_fill(struct packet *p, struct iobuf *buf, uint32_t len)
{
	size_t got = iobuf_get(buf, p->data, len);

	if (got < len) {
		iobuf_revert(buf, got);
		return -LINUX_EFAULT;
	}
	p->len = len;
	return 0;
}

void packet_append(struct packet_queue *q, struct packet *p)
{
	list_add_tail(&q->packets, &p->link);
	q->bytes += p->len;
	q->charged += p->charge;
	q->count++;
}

void packet_remove(struct packet_queue *q, struct packet *p)
{
	list_del(&p->link);
	q->bytes -= p->len;
	q->charged -= p->charge;
	q->count--;
}

void packet_consume(struct packet_queue *q, struct packet *p, uint32_t n)
{
	invariant(n <= p->len);
	p->off += n;
	p->len -= n;
	q->bytes -= n;
}

void packet_queue_flush(struct packet_queue *q)
{
	struct packet *p;

	while ((p = packet_head(q)) != NULL) {
		packet_remove(q, p);
		packet_free(p);
	}
}
