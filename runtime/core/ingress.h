/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's side of connections from outside. It never blocks: the monitor's loop polls what ingress_pollfds() gives
 * and calls ingress_ready() after each poll; dial_handle() brings the sentry's requests.
 */
#ifndef RUNTIME_CORE_INGRESS_H
#define RUNTIME_CORE_INGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct config;
struct dial_request;
struct pollfd;

#define INGRESS_MAX_SOCKETS 128

/*
 * The addresses that rules give for a port, IPv4 in the first 4 bytes, each once; the wildcard alone if it is among them.
 * Returns how many. *optional: no rule names an address, so that IPv6 is not missed where there is none.
 */
unsigned ingress_addresses(const struct config *cfg, bool udp, unsigned family, uint16_t port, uint8_t (*addrs)[16],
			   bool *optional);
/* Calls open (0 or a positive errno) for each of them. 0, or the first errno that isn't IPv6's absence; EACCES: no rule names
 * the port. What is open by then stays open. */
int ingress_open(const struct config *cfg, bool udp, unsigned family, uint16_t port, int (*open)(void *door, const uint8_t *addr),
		 void *door);
/* The host's form of an address for socket calls. Its length. */
socklen_t ingress_sockaddr(struct sockaddr_storage *sa, bool v6, const uint8_t *addr, uint16_t port);

/* DIAL_LISTEN, DIAL_UNLISTEN or DIAL_TAKEN; the first is answered on sock. */
void ingress_request(int sock, const struct config *cfg, const struct dial_request *rq);
/* Fills in what to poll, at most INGRESS_MAX_SOCKETS. Returns how many. */
int ingress_pollfds(struct pollfd *fds, int max);
/* Milliseconds until ingress_ready() has something to do that no descriptor tells, -1: nothing. */
int ingress_timeout_ms(void);
/* Call after each poll with what ingress_pollfds filled in: accepts, and hands over on sock. */
void ingress_ready(int sock, const struct pollfd *fds, int n);
/* Nobody is there any more to hand connections to. */
void ingress_close(void);

#endif
