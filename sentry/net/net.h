/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox's network as the rest of the sentry sees it: starting it, what /proc/net shows, interface ioctls.
 * Sockets themselves are files; syscalls/net.c works with socket.h.
 */
#ifndef SENTRY_NET_NET_H
#define SENTRY_NET_NET_H

#include "sentry/base/types.h"

struct config;
struct inet_ep;
struct task;

/*
 * Called once before the first guest task, after the loop exists. cfg gives the egress rules (borrowed for good).
 * dial_fd: the SOCK_SEQPACKET socket to the monitor (runtime/core/dial_protocol.h), -1: nothing can be dialed.
 * udp_fd: the one for datagrams (udp_protocol.h), used if a rule lets UDP in. 0 or -errno.
 */
int net_init(const struct config *cfg, int dial_fd, int udp_fd);

/* Does a rule let TCP go out to ep? */
bool net_egress_allowed(const struct inet_ep *ep);
/* Records that what ("connect", "sendto") to ep was refused. */
void net_deny(struct task *task, const char *what, const struct inet_ep *ep, const char *reason);

/* SIOCGIF*: the view of lo. -LINUX_ENOTTY for what isn't about interfaces. */
int64_t interface_ioctl(struct task *task, unsigned cmd, uint64_t arg);

/*
 * Text of /proc/net/NAME ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "unix", "dev", "route", "ipv6_route", "if_inet6", "netlink",
 * "packet", "arp", "sockstat", "sockstat6", "snmp", "protocols", "dev_mcast", "igmp"): writes up to size bytes into buf
 * and returns the whole length, as snprintf does; -LINUX_ENOENT for a name that isn't served.
 */
int64_t net_proc_text(const char *name, char *buf, size_t size);
/* The n-th name served, NULL behind the last. */
const char *net_proc_name(unsigned n);

#endif
