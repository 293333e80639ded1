/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections from outside: which ports the monitor listens on for us, and what arrives. Between tcp.c (listening sockets)
 * and dial.c (messages). Internal to sentry/net.
 */
#ifndef SENTRY_NET_INGRESS_H
#define SENTRY_NET_INGRESS_H

#include "sentry/net/inet_addr.h"

struct config;
struct task;

void ingress_init(const struct config *cfg);
/* A socket has begun or stopped to listen on port, or its backlog is another: asks the monitor for what is new. */
void ingress_update(uint16_t port);
/*
 * Waits until the monitor has answered for port. 0: it listens, no rule names the port, or the answer takes too long;
 * -errno: it can't (-LINUX_EADDRINUSE: the host's port is taken).
 */
int ingress_wait(struct task *task, uint16_t port) must_check;
/* Does a rule let connections of the family (4, 6) in at port? Are there rules at all? */
bool ingress_named(unsigned family, uint16_t port);
bool ingress_ruled(void);
/* The rules as the user wrote them, cut to fit. */
void ingress_text(char *buf, size_t size);
/* One that arrived by `door` has left its listener's queue. */
void ingress_taken(uint32_t door);

/* ---- from dial.c, in the loop ---- */
void ingress_answer(uint32_t door, int error);
/* Takes fd. */
void ingress_arrived(uint32_t door, const struct inet_ep *peer, int fd);
/* Sends what could not be sent before. */
void ingress_flush(void);
/* The monitor is gone. */
void ingress_lost(void);

#endif
