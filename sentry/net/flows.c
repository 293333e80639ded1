/* SPDX-License-Identifier: Apache-2.0 */
/* Who may be answered. See flows.h. */
#include "sentry/net/flows.h"

#include <string.h>

static uint16_t *bucket_of(struct flows *f, uint16_t port, const struct inet_ep *peer)
{
	uint64_t a, b, h = f->seed;

	memcpy(&a, peer->addr.b, 8);
	memcpy(&b, peer->addr.b + 8, 8);
	h = (h ^ a) * 0x9e3779b97f4a7c15ULL;
	h = (h ^ h >> 29 ^ b) * 0xbf58476d1ce4e5b9ULL;
	h = (h ^ h >> 32 ^ ((uint64_t)peer->port << 16 | port)) * 0x94d049bb133111ebULL;
	return &f->bucket[(h >> 40) % FLOWS_BUCKETS];
}

static uint16_t number_of(const struct flows *f, const struct flow *w)
{
	return (uint16_t)(w - f->slot + 1);
}

static void take_off(struct flows *f, struct flow *w)
{
	if (w->newer != 0)
		f->slot[w->newer - 1].older = w->older;
	else
		f->newest = w->older;
	if (w->older != 0)
		f->slot[w->older - 1].newer = w->newer;
	else
		f->oldest = w->newer;
}

static void put_newest(struct flows *f, struct flow *w)
{
	uint16_t n = number_of(f, w);

	w->newer = 0;
	w->older = f->newest;
	if (f->newest != 0)
		f->slot[f->newest - 1].newer = n;
	else
		f->oldest = n;
	f->newest = n;
}

static struct flow *lookup(struct flows *f, uint16_t port, const struct inet_ep *peer)
{
	for (uint16_t n = *bucket_of(f, port, peer); n != 0; n = f->slot[n - 1].next) {
		struct flow *w = &f->slot[n - 1];

		if (w->port == port && w->peer.port == peer->port && inet_addr_equal(&w->peer.addr, &peer->addr))
			return w;
	}
	return NULL;
}

static void drop(struct flows *f, struct flow *w)
{
	uint16_t n = number_of(f, w), *link = bucket_of(f, w->port, &w->peer);

	while (*link != n)
		link = &f->slot[*link - 1].next;
	*link = w->next;
	take_off(f, w);
	w->port = 0;
	w->next = f->free;
	f->free = n;
	f->count--;
}

static struct flow *fresh(struct flows *f)
{
	struct flow *w;

	if (f->free == 0 && f->touched < f->cap)
		return &f->slot[f->touched++];
	if (f->free == 0)
		drop(f, &f->slot[f->oldest - 1]);
	w = &f->slot[f->free - 1];
	f->free = w->next;
	return w;
}

struct flow *flows_heard(struct flows *f, uint16_t port, const struct inet_ep *peer, uint64_t now_ms)
{
	struct flow *w = lookup(f, port, peer);

	if (w == NULL) {
		uint16_t *bucket = bucket_of(f, port, peer);

		w = fresh(f);
		*w = (struct flow){.peer = *peer, .port = port, .next = *bucket};
		*bucket = number_of(f, w);
		f->count++;
	} else {
		take_off(f, w);
	}
	put_newest(f, w);
	w->heard_ms = now_ms;
	return w;
}

struct flow *flows_find(struct flows *f, uint16_t port, const struct inet_ep *peer, uint64_t now_ms)
{
	struct flow *w = lookup(f, port, peer);

	if (w == NULL || now_ms - w->heard_ms <= f->timeout_ms)
		return w;
	drop(f, w);
	return NULL;
}

void flows_forget(struct flows *f, uint16_t port, const struct inet_ep *peer)
{
	struct flow *w = lookup(f, port, peer);

	if (w != NULL)
		drop(f, w);
}

void flows_forget_port(struct flows *f, uint16_t port, bool v6)
{
	for (uint16_t i = 0; i < f->touched && port != 0; i++) /* 0: free slots */
		if (f->slot[i].port == port && inet_addr_is_v4(&f->slot[i].peer.addr) != v6)
			drop(f, &f->slot[i]);
}
