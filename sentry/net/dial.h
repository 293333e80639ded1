/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the monitor for connections with the world (runtime/core/dial_protocol.h). */
#ifndef SENTRY_NET_DIAL_H
#define SENTRY_NET_DIAL_H

#include "sentry/base/list.h"
#include "sentry/net/inet_addr.h"

/* One connection asked for; lives in whoever asked, until done or dial_cancel. */
struct dial_wait {
	struct list link;
	uint32_t id;
	/* Runs in the loop. fd is an established host socket that the callee now owns, -1 if error (positive errno) is set. */
	void (*done)(struct dial_wait *w, int fd, int error);
};

/* fd: our end of the socketpair, -1: every dial is refused. 0 or -errno. */
int dial_init(int fd) must_check;
/* Asks for a connection to ep; the answer comes through done, never before this returns. 0 or -errno. */
int dial_start(struct dial_wait *w, const struct inet_ep *ep, void (*done)(struct dial_wait *, int, int)) must_check;
/* The answer is no longer wanted. Harmless if none is waited for. */
void dial_cancel(struct dial_wait *w);


/* For ingress.c: sends a request, 0 or -errno; calls ingress_flush when the monitor's socket has room again. */
struct dial_request;
int dial_request(struct dial_request *rq) must_check;
void dial_want_room(void);

#endif
