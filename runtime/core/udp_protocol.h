/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams between the world and the sentry, by way of the monitor: each is one message over a SOCK_SEQPACKET socketpair
 * of their own, with this head before its bytes. Which ports are bound is asked over the dials' socket (DIAL_BIND,
 * DIAL_UNBIND in dial_protocol.h). There is a pair only if a rule lets UDP in.
 *
 *   world ──▶ monitor's socket ──▶ {door, who sent it} + bytes ──▶ sentry ──▶ the guest's socket
 *   world ◀── only if that address has sent to that port lately ◀── {door, to whom} + bytes ◀── sentry
 *
 * Neither side waits for the other. The monitor reads no more from the host while the pair is full, so that what is too
 * much is dropped by the host's kernel; the sentry drops.
 *
 * The monitor believes nothing: the door must be one that it has bound, the address one that its own table knows, and where
 * the datagram leaves is the table's, not the message's. No descriptor ever travels here.
 */
#ifndef RUNTIME_CORE_UDP_PROTOCOL_H
#define RUNTIME_CORE_UDP_PROTOCOL_H

#include <stdint.h>

#define UDP_VERSION 0x55440001u
#define UDP_DATA_MAX 65536U /* no datagram is longer than 65527 bytes */
#define UDP_FLOWS 4096U     /* addresses that may be answered, at a time */
/*
 * Known for longer by the monitor than by the sentry, and more of them: what the sentry lets a program send, the monitor
 * sends. The difference in number is more than messages fit into the pair.
 */
#define UDP_FLOWS_SENTRY 3072U
#define UDP_TIMEOUT_MS 180000U
#define UDP_TIMEOUT_SENTRY_MS 170000U

struct udp_head {
	uint32_t version;
	uint32_t door;    /* as in DIAL_BIND */
	uint16_t family;  /* of addr, which is the peer's: 4 or 6; IPv4 is never sent in IPv6 form */
	uint16_t port;
	uint8_t addr[16]; /* network order; IPv4 in the first 4 */
	uint32_t lost;    /* to the sentry: datagrams to the door that were lost on the host since the last message */
};
_Static_assert(sizeof(struct udp_head) == 32, "no padding");

#endif
