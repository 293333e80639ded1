/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams from outside and replies to them. Between udp.c and the monitor. Internal to sentry/net. */
#ifndef SENTRY_NET_OUTSIDE_UDP_H
#define SENTRY_NET_OUTSIDE_UDP_H

#include "sentry/net/inet_addr.h"

/* fd: our end of the pair (udp_protocol.h), -1: no rule lets UDP in. 0 or -errno. */
int outside_udp_init(int fd) must_check;
/* Has peer sent to the port from outside, lately and after anybody of that address inside? */
bool outside_udp_may_answer(uint16_t port, const struct inet_ep *peer);
/* Sends a reply, or loses it: never waits. */
void outside_udp_send(uint16_t port, const struct inet_ep *peer, const uint8_t *data, uint32_t len);
/* A socket of the sandbox at this address has sent to the port: a reply is for it, not for a namesake outside. */
void outside_udp_inside_spoke(uint16_t port, const struct inet_ep *from);
/* Nobody is bound to the port any more. */
void outside_udp_closed(uint16_t port, bool v6);
/* Replies lost because the monitor didn't keep up. */
uint64_t outside_udp_lost(void);

#endif
