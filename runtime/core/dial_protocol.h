/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the sentry asks the monitor for an outgoing TCP connection: fixed-size messages over a SOCK_SEQPACKET socketpair.
 *
 *   sentry                                  monitor
 *     DIAL_CONNECT {id, family, addr, port} -->  checks the rules on this very address, connects without blocking
 *     DIAL_CANCEL  {id}                     -->  gives up; no reply to that id any more
 *              <-- dial_reply {id, error 0, local address} + SCM_RIGHTS: one established, non-blocking socket
 *              <-- dial_reply {id, error: a Linux errno}
 *
 * The monitor believes nothing in a request but its size; an id names a dial only within one socketpair. It hands over
 * established sockets only: one that failed could be connected elsewhere with MSG_FASTOPEN.
 */
#ifndef RUNTIME_CORE_DIAL_PROTOCOL_H
#define RUNTIME_CORE_DIAL_PROTOCOL_H

#include <stdint.h>

#define DIAL_VERSION 0x44690001u
#define DIAL_MAX_PENDING 256
#define DIAL_TIMEOUT_MS 127000 /* what tcp_syn_retries = 6 comes to */

enum { DIAL_CONNECT = 1, DIAL_CANCEL = 2 };

struct dial_request {
	uint32_t version;
	uint32_t op;
	uint32_t id;
	uint16_t family;  /* 4 or 6; IPv4 is never sent in IPv6 form */
	uint16_t port;    /* host order */
	uint8_t addr[16]; /* network order; IPv4 in the first 4 */
};
_Static_assert(sizeof(struct dial_request) == 32, "no padding");

struct dial_reply {
	uint32_t version;
	uint32_t id;
	int32_t error;    /* positive errno; 0: a descriptor comes with the message */
	uint32_t pad;
};
_Static_assert(sizeof(struct dial_reply) == 16, "no padding");

#endif
