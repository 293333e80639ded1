/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's side of datagrams. It never blocks: the monitor's loop polls what udp_relay_pollfds() gives and calls
 * udp_relay_ready() after each poll; dial_handle() brings the sentry's requests.
 */
#ifndef RUNTIME_CORE_UDP_RELAY_H
#define RUNTIME_CORE_UDP_RELAY_H

#include "runtime/core/doors.h"

#include <stdint.h>

struct config;
struct dial_request;
struct pollfd;

#define UDP_RELAY_MAX_SOCKETS DOORS_MAX_EARS
#define UDP_RELAY_MAX_POLLFDS (UDP_RELAY_MAX_SOCKETS + 1)

/* Takes the monitor's end of the pair, and borrows the sentry's; -1: no rule lets UDP in. Call once. */
void udp_relay_init(int ours, int theirs);
/* DIAL_BIND, answered on sock, or DIAL_UNBIND. */
void udp_relay_request(int sock, const struct config *cfg, const struct dial_request *rq);
/* Fills in what to poll, at most UDP_RELAY_MAX_POLLFDS. Returns how many. */
int udp_relay_pollfds(struct pollfd *fds, int max);
/* Call after each poll with what udp_relay_pollfds filled in: passes datagrams on, both ways. */
void udp_relay_ready(const struct pollfd *fds, int n);
/* Nobody is there any more to pass datagrams to. */
void udp_relay_close(void);
/* Datagrams of the sentry that were not sent: to nobody who had sent, or malformed. */
uint64_t udp_relay_refused(void);

#endif
