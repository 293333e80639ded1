/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doors and ears: which ports a sentry has asked for, and the host's sockets at their addresses.
 *
 *   request {id, family, port} -> the rules that name it -> their addresses -> a socket each, bound -> an ear
 *
 * The addresses are the rules', never the sentry's. A door is open at all of them or is not there; IPv6 is missed only where
 * a rule names its address. Invariants: an ear in use has an open descriptor and a door in use; ears at nears and above are
 * not in use. The sentry controls numbers, families and ports; how many there may be is bounded here.
 */
#include "runtime/core/doors.h"

#include "runtime/config.h"
#include "sentry/net/inet_addr.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t doors_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct door *doors_find(struct doors *t, uint32_t id)
{
	for (unsigned i = 0; i < INGRESS_MAX_DOORS; i++)
		if (t->doors[i].used && t->doors[i].id == id)
			return &t->doors[i];
	return NULL;
}

struct ear *doors_ear_of(struct doors *t, int fd)
{
	for (int i = 0; i < t->nears; i++)
		if (t->ears[i].used && t->ears[i].fd == fd)
			return &t->ears[i];
	return NULL;
}

void doors_close(struct doors *t, struct door *d)
{
	for (int i = 0; i < t->nears; i++) {
		struct ear *e = &t->ears[i];

		if (!e->used || e->door != d)
			continue;
		close(e->fd);
		if (e->held >= 0)
			close(e->held);
		e->used = false;
	}
	while (t->nears > 0 && !t->ears[t->nears - 1].used)
		t->nears--;
	d->used = false;
}

static struct ear *free_ear(struct doors *t)
{
	for (int i = 0; i < t->nears; i++)
		if (!t->ears[i].used)
			return &t->ears[i];
	return t->nears < DOORS_MAX_EARS ? &t->ears[t->nears++] : NULL;
}

socklen_t doors_sockaddr(struct sockaddr_storage *sa, bool v6, const uint8_t *addr, uint16_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
	struct sockaddr_in *in = (struct sockaddr_in *)sa;

	memset(sa, 0, sizeof *sa);
	if (v6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		memcpy(&in6->sin6_addr, addr, 16);
		return sizeof *in6;
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	memcpy(&in->sin_addr, addr, 4);
	return sizeof *in;
}

/* 0 or a positive errno. */
static int open_ear(struct doors *t, struct door *d, const struct dial_request *rq, int kind, doors_ready *ready, const uint8_t *addr)
{
	struct sockaddr_storage sa;
	bool v6 = d->family == 6;
	socklen_t len = doors_sockaddr(&sa, v6, addr, d->port);
	struct ear *e;
	int fd, one = 1, err = 0;

	fd = socket(v6 ? AF_INET6 : AF_INET, kind | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    kind == SOCK_DGRAM ? IPPROTO_UDP : IPPROTO_TCP);
	if (fd < 0)
		return errno;
	/* IPv4 has rules and doors of its own. */
	if (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0)
		err = errno;
	if (err == 0)
		err = ready(fd, rq, false);
	if (err == 0 && bind(fd, (struct sockaddr *)&sa, len) != 0)
		err = errno;
	if (err == 0)
		err = ready(fd, rq, true);
	e = err == 0 ? free_ear(t) : NULL;
	if (e == NULL) {
		close(fd);
		return err != 0 ? err : ENOBUFS;
	}
	*e = (struct ear){.used = true, .fd = fd, .held = -1, .door = d};
	return 0;
}

/* Is the address already listened on, itself or by the wildcard? */
static bool have(const uint8_t (*addrs)[16], unsigned n, const uint8_t *addr)
{
	static const uint8_t any[16];

	for (unsigned i = 0; i < n; i++)
		if (memcmp(addrs[i], addr, 16) == 0 || memcmp(addrs[i], any, 16) == 0)
			return true;
	return false;
}

unsigned doors_addresses(const struct config *cfg, bool udp, unsigned family, uint16_t port, uint8_t (*addrs)[16], bool *optional)
{
	static const uint8_t any[16];
	unsigned n = 0;

	*optional = true;
	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < cfg->ningress; i++) {
			const struct config_ingress *r = &cfg->ingress[i];
			const uint8_t *addr = r->family == 0 ? any : r->addr;

			if (!ingress_rule_matches(r, udp, family, port))
				continue;
			if ((memcmp(addr, any, 16) == 0) != (pass == 0))
				continue;
			*optional &= r->family == 0;
			if (!have((const uint8_t(*)[16])addrs, n, addr))
				memcpy(addrs[n++], addr, 16);
		}
	}
	return n;
}

int doors_open(struct doors *t, const struct config *cfg, const struct dial_request *rq, int kind, doors_ready *ready, struct door **out)
{
	uint8_t addrs[CONFIG_MAX_INGRESS][16];
	struct door *d = NULL;
	bool optional;
	unsigned n;
	int err = 0;

	if ((rq->family != 4 && rq->family != 6) || rq->port == 0)
		return EINVAL;
	n = doors_addresses(cfg, kind == SOCK_DGRAM, rq->family, rq->port, addrs, &optional);
	if (n == 0)
		return EACCES;
	for (unsigned i = 0; i < INGRESS_MAX_DOORS && d == NULL; i++)
		if (!t->doors[i].used)
			d = &t->doors[i];
	if (d == NULL)
		return ENOBUFS;
	*d = (struct door){.used = true, .id = rq->id, .family = rq->family, .port = rq->port};
	for (unsigned i = 0; i < n && err == 0; i++) {
		err = open_ear(t, d, rq, kind, ready, addrs[i]);
		/* A rule that names no address doesn't ask for IPv6 where there is none. */
		if (d->family == 6 && optional && (err == EAFNOSUPPORT || err == EADDRNOTAVAIL))
			err = 0;
	}
	if (err != 0)
		doors_close(t, d);
	else
		*out = d;
	return err;
}
