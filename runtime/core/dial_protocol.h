/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the sentry asks the monitor for TCP connections with the world, out and in, and for UDP ports: fixed-size messages over a
 * SOCK_SEQPACKET socketpair.
 *
 *   sentry                                  monitor
 *     DIAL_CONNECT {id, family, addr, port} -->  checks the rules on this very address, connects without blocking
 *     DIAL_CANCEL  {id}                     -->  gives up; no reply to that id any more
 *              <-- DIAL_CONNECTED {id, error 0} + SCM_RIGHTS: one established, non-blocking socket
 *              <-- DIAL_CONNECTED {id, error: a Linux errno}
 *
 *     DIAL_LISTEN  {id, family, port, count: backlog} -->  listens at the addresses that rules give for the port; again
 *                                                          with the same id: another backlog
 *              <-- DIAL_LISTENS {id, error}
 *              <-- DIAL_ARRIVED {id, the peer's family, addr, port} + SCM_RIGHTS: one established, non-blocking socket
 *     DIAL_TAKEN   {id, count}              -->  so many of those that arrived have left the guest's queue
 *     DIAL_UNLISTEN {id}                    -->  stops; what had arrived may still be on its way
 *
 *     DIAL_BIND    {id, family, port}       -->  binds UDP at the addresses that rules give for the port
 *              <-- DIAL_LISTENS {id, error}      from now on datagrams travel (udp_protocol.h)
 *     DIAL_UNBIND  {id}                     -->  stops
 *
 * The monitor believes nothing in a request but its size; an id names a dial, or a port listened on or bound, only within
 * one socketpair. It hands over established sockets only: one that failed could be connected elsewhere with MSG_FASTOPEN, one
 * that listens would take connections that the monitor never saw.
 */
#ifndef RUNTIME_CORE_DIAL_PROTOCOL_H
#define RUNTIME_CORE_DIAL_PROTOCOL_H

#include <stdint.h>

#define DIAL_VERSION 0x44690003u
#define DIAL_MAX_PENDING 256
#define DIAL_TIMEOUT_MS 127000 /* what tcp_syn_retries = 6 comes to */
#define INGRESS_MAX_DOORS 64   /* pairs of family and port of a protocol at a time */

enum { DIAL_CONNECT = 1, DIAL_CANCEL, DIAL_LISTEN, DIAL_UNLISTEN, DIAL_TAKEN, DIAL_BIND, DIAL_UNBIND };

struct dial_request {
	uint32_t version;
	uint32_t op;
	uint32_t id;
	uint16_t family;  /* 4 or 6; IPv4 is never sent in IPv6 form */
	uint16_t port;    /* host order */
	uint8_t addr[16]; /* DIAL_CONNECT: network order; IPv4 in the first 4 */
	uint32_t count;
};
_Static_assert(sizeof(struct dial_request) == 36, "no padding");

enum { DIAL_CONNECTED = 1, DIAL_LISTENS, DIAL_ARRIVED };

struct dial_reply {
	uint32_t version;
	uint32_t op;
	uint32_t id;
	int32_t error;    /* positive errno */
	uint16_t family;  /* DIAL_ARRIVED: as in a request */
	uint16_t port;
	uint8_t addr[16];
};
_Static_assert(sizeof(struct dial_reply) == 36, "no padding");

#endif
