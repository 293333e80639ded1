/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ports that a sentry has asked for, and the host's sockets that hear there: the books of connections (ingress.c) and of
 * datagrams (udp_relay.c), each of which has a table of its own, as a number means another port in each.
 */
#ifndef RUNTIME_CORE_DOORS_H
#define RUNTIME_CORE_DOORS_H

#include "runtime/core/dial_protocol.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct config;

#define DOORS_MAX_EARS 128

/* A port that the sentry has asked for. */
struct door {
	bool used;
	uint32_t id;
	uint16_t family, port;
	/* Connections: */
	uint32_t backlog;
	uint32_t window, out; /* that the sentry may have, and has, untaken */
	/* Datagrams: */
	uint32_t lost; /* the sentry hasn't been told of these */
};

/* A socket at one of a door's addresses. */
struct ear {
	bool used;
	int fd;
	struct door *door;
	/* Connections: */
	int held; /* -1: none; else it goes with `message` */
	struct dial_reply message;
	/* Datagrams: */
	uint32_t overflows; /* the host's count when we last saw it */
};

struct doors {
	struct door doors[INGRESS_MAX_DOORS];
	struct ear ears[DOORS_MAX_EARS];
	int nears; /* ears [0, nears) have been used */
};

/* What else a new socket needs before and after its bind: 0 or a positive errno. */
typedef int doors_ready(int fd, const struct dial_request *rq, bool bound);

/* NULL: none. */
struct door *doors_find(struct doors *t, uint32_t id);
struct ear *doors_ear_of(struct doors *t, int fd);
/*
 * A door with a socket of the kind (SOCK_STREAM, SOCK_DGRAM) at each address that the rules give for the port. 0 and *out, or
 * a positive errno and nothing is open: EACCES: no rule names the port; ENOBUFS: too many. The caller has looked that the
 * number is new.
 */
int doors_open(struct doors *t, const struct config *cfg, const struct dial_request *rq, int kind, doors_ready *ready, struct door **out);
/* Closes its sockets, and what they hold. */
void doors_close(struct doors *t, struct door *d);

/* The host's form of an address for socket calls. Its length. */
socklen_t doors_sockaddr(struct sockaddr_storage *sa, bool v6, const uint8_t *addr, uint16_t port);
/*
 * The addresses that rules give for a port, IPv4 in the first 4 bytes, each once; the wildcard alone if it is among them.
 * Returns how many. *optional: no rule names an address, so that IPv6 is not missed where there is none.
 */
unsigned doors_addresses(const struct config *cfg, bool udp, unsigned family, uint16_t port, uint8_t (*addrs)[16], bool *optional);
/* Of the clock that nobody sets. */
uint64_t doors_now_ms(void);

#endif
