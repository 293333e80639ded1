/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's side of outgoing connections. It never blocks: the monitor's loop polls what dial_pollfds() gives, beside
 * the socket of dial_handle(), and calls dial_ready() after each poll.
 */
#ifndef RUNTIME_CORE_DIAL_H
#define RUNTIME_CORE_DIAL_H

struct config;
struct pollfd;

/*
 * Call when sock (the monitor's end of the socketpair) is readable: reads every waiting request and starts the dials.
 * 0, or -1 when the sentry's end is closed.
 */
int dial_handle(int sock, const struct config *cfg);
/* Fills in the descriptors of pending dials (at most DIAL_MAX_PENDING) with the events to poll. Returns how many. */
int dial_pollfds(struct pollfd *fds, int max);
/* Milliseconds until the first pending dial times out, -1: none pends. */
int dial_timeout_ms(void);
/* Call after poll with what dial_pollfds filled in: finishes the dials that succeeded, failed or timed out. */
void dial_ready(int sock, const struct pollfd *fds, int n);


struct dial_reply;
/* Sends r, and fd unless it is -1 (it is not closed). 0 or a positive errno. */
int dial_send(int sock, const struct dial_reply *r, int fd);

#endif
