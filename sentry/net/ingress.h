/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections and datagrams from outside: which ports the monitor listens on or binds for us, and what arrives. Between
 * tcp.c (listening sockets), udp.c (bound ones) and dial.c (messages); datagrams come by outside_udp.c. Internal to
 * sentry/net.
 */
#ifndef SENTRY_NET_INGRESS_H
#define SENTRY_NET_INGRESS_H

#include "sentry/net/inet_addr.h"

struct config;
struct task;

void ingress_init(const struct config *cfg);
/*
 * A socket has begun or stopped to listen on port (udp: to be bound to it), or its backlog is another: asks the monitor for
 * what is new.
 */
void ingress_update(uint16_t port, bool udp);
/*
 * Waits until the monitor has answered for port. 0: it listens, no rule names the port, or the answer takes too long;
 * -errno: it can't (-LINUX_EADDRINUSE: the host's port is taken).
 */
int ingress_wait(struct task *task, uint16_t port, bool udp) must_check;
/* Does a rule let connections (datagrams) of the family (4, 6) in at port? Are there rules at all? */
bool ingress_named(bool udp, unsigned family, uint16_t port);
bool ingress_ruled(void);
/* The rules as the user wrote them, cut to fit. */
void ingress_text(char *buf, size_t size);
/* One that arrived by `door` has left its listener's queue. */
void ingress_taken(uint32_t door);
/* The UDP door of a port and family, 0 if there is none that is wanted; and the other way, false if it isn't one. */
uint32_t ingress_udp_door(uint16_t port, bool v6);
bool ingress_udp_port(uint32_t door, uint16_t *port, bool *v6);

/* ---- from dial.c, in the loop ---- */
void ingress_answer(uint32_t door, int error);
/* Takes fd. */
void ingress_arrived(uint32_t door, const struct inet_ep *peer, int fd);
/* Sends what could not be sent before. */
void ingress_flush(void);
/* The monitor is gone. */
void ingress_lost(void);

#endif
