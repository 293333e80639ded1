/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's side of connections from outside. It never blocks: the monitor's loop polls what ingress_pollfds() gives
 * and calls ingress_ready() after each poll; dial_handle() brings the sentry's requests.
 */
#ifndef RUNTIME_CORE_INGRESS_H
#define RUNTIME_CORE_INGRESS_H

#include "runtime/core/doors.h"

struct config;
struct dial_request;
struct pollfd;

#define INGRESS_MAX_SOCKETS DOORS_MAX_EARS

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
