/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of id maps: see idmap.h. Sums are of 64 bits: a range may end at the last id there is.
 *
 * A map is searched from its first range to its last. It has one to three in practice, 340 at most.
 */
#include "runtime/core/idmap.h"

#include <stddef.h>

static bool in(uint32_t id, uint32_t first, uint32_t count)
{
	return id >= first && id - first < count;
}

uint32_t idmap_inside(const struct idmap *m, uint32_t host)
{
	if (m->n == 0)
		return host;
	for (uint32_t i = 0; i < m->n; i++)
		if (in(host, m->ranges[i].host, m->ranges[i].count))
			return m->ranges[i].inside + (host - m->ranges[i].host);
	return ID_NONE;
}

uint32_t idmap_host(const struct idmap *m, uint32_t inside)
{
	if (m->n == 0)
		return inside;
	for (uint32_t i = 0; i < m->n; i++)
		if (in(inside, m->ranges[i].inside, m->ranges[i].count))
			return m->ranges[i].host + (inside - m->ranges[i].inside);
	return ID_NONE;
}

uint32_t idmap_host_or_nearest(const struct idmap *m, uint32_t inside)
{
	uint32_t id = idmap_host(m, inside);

	if (id == ID_NONE)
		id = idmap_host(m, ID_OVERFLOW);
	if (id == ID_NONE)
		id = idmap_host(m, 0);
	return id == ID_NONE && m->n != 0 ? m->ranges[0].host : id;
}

bool idmap_same(const struct idmap *a, const struct idmap *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (a->ranges[i].inside != b->ranges[i].inside || a->ranges[i].host != b->ranges[i].host ||
		    a->ranges[i].count != b->ranges[i].count)
			return false;
	return true;
}

bool idmaps_reach(const struct idmaps *m, uint32_t uid, uint32_t gid, uint32_t mode, unsigned want)
{
	bool user = idmap_inside(&m->uids, uid) != ID_NONE, group = idmap_inside(&m->gids, gid) != ID_NONE;
	unsigned bits = mode & 7;

	if (user && group)
		return true;
	if (user)
		bits |= (mode >> 6) & 7;
	if (group)
		bits |= (mode >> 3) & 7;
	return (want & ~bits) == 0;
}

static bool overlap(uint32_t a, uint32_t na, uint32_t b, uint32_t nb)
{
	return in(a, b, nb) || in(b, a, na);
}

const char *idmap_bad(const struct idmap *m, uint32_t *which, uint32_t *other)
{
	for (uint32_t i = 0; i < m->n; i++) {
		const struct idmap_range *r = &m->ranges[i];

		*which = *other = i;
		if (r->count == 0)
			return "is empty";
		/* The last id of 32 bits is none. */
		if ((uint64_t)r->inside + r->count > ID_NONE || (uint64_t)r->host + r->count > ID_NONE)
			return "goes beyond the last id, 4294967294";
		for (uint32_t k = 0; k < i; k++) {
			*other = k;
			if (overlap(r->inside, r->count, m->ranges[k].inside, m->ranges[k].count))
				return "has ids of the container that another has too";
			if (overlap(r->host, r->count, m->ranges[k].host, m->ranges[k].count))
				return "has ids of the host that another has too";
		}
	}
	return NULL;
}

int idmap_compose(const struct idmap *mount, const struct idmap *container, struct idmap_range *out, uint32_t max)
{
	static const struct idmap_range all[] = {{0, 0, ID_NONE}};
	const struct idmap each = {all, 1};
	const struct idmap *m = mount->n != 0 ? mount : &each, *c = container->n != 0 ? container : &each;
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n; i++) {
		for (uint32_t k = 0; k < c->n; k++) {
			const struct idmap_range *a = &m->ranges[i], *b = &c->ranges[k];
			uint64_t a_end = (uint64_t)a->inside + a->count, b_end = (uint64_t)b->host + b->count;
			uint32_t from = a->inside > b->host ? a->inside : b->host;
			uint64_t to = a_end < b_end ? a_end : b_end;

			if (from >= to)
				continue;
			if (n == max)
				return -1;
			out[n++] = (struct idmap_range){b->inside + (from - b->host), a->host + (from - a->inside), (uint32_t)(to - from)};
		}
	}
	return (int)n;
}
