/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of IP, IPv6, TCP and UDP that a program may set and read back. On a loopback without packets most have nothing
 * to act upon; they are checked as Linux checks them and remembered in the socket, one slot an option.
 *
 * Acting: IPV6_V6ONLY, IP_FREEBIND, the IP_RECV* and IPV6_RECV* family (udp.c), TCP_INFO and TCP_CONGESTION (tcp.c).
 * Left out: multicast membership (ENODEV: no interface has multicast), IP_OPTIONS, header inclusion, TCP_ULP, TCP_REPAIR,
 * TCP_MD5SIG, UDP_SEGMENT and UDP_GRO (ENOPROTOOPT, as older kernels say).
 */
#include "sentry/abi/capability.h"
#include "sentry/kernel/task.h"
#include "sentry/net/inet.h"

#include <string.h>

struct inet_option {
	uint16_t level, name;
	int32_t least, most, initial;
	uint8_t flags;
};

#define BYTE 1  /* values of one byte are taken, and given when there is room for no more */
#define BOOL 2  /* any value, shown as 0 or 1 */
#define ADMIN 4 /* needs CAP_NET_ADMIN to be other than 0 */

#define IP LINUX_SOL_IP
#define IP6 LINUX_SOL_IPV6
#define TCP LINUX_SOL_TCP
#define UDP LINUX_SOL_UDP
#define UDPLITE LINUX_SOL_UDPLITE

/* -1 where Linux means "default" is told by least -1. The index is the slot in inet_socket.opts. */
static const struct inet_option options[] = {
	{IP, LINUX_IP_TOS, 0, 255, 0, BYTE},
	{IP, LINUX_IP_TTL, -1, 255, 64, BYTE},
	{IP, LINUX_IP_RECVOPTS, INT32_MIN, INT32_MAX, 0, BYTE | BOOL},
	{IP, LINUX_IP_RETOPTS, INT32_MIN, INT32_MAX, 0, BYTE | BOOL},
	{IP, LINUX_IP_PKTINFO, INT32_MIN, INT32_MAX, 0, BYTE | BOOL},
	{IP, LINUX_IP_MTU_DISCOVER, 0, 5, 1, BYTE},
	{IP, LINUX_IP_RECVERR, INT32_MIN, INT32_MAX, 0, BYTE | BOOL},
	{IP, LINUX_IP_RECVTTL, INT32_MIN, INT32_MAX, 0, BYTE | BOOL},
	{IP, LINUX_IP_RECVTOS, INT32_MIN, INT32_MAX, 0, BYTE | BOOL},
	{IP, LINUX_IP_FREEBIND, INT32_MIN, INT32_MAX, 0, BYTE | BOOL},
	{IP, LINUX_IP_TRANSPARENT, INT32_MIN, INT32_MAX, 0, BYTE | BOOL | ADMIN},
	{IP, LINUX_IP_RECVORIGDSTADDR, INT32_MIN, INT32_MAX, 0, BYTE | BOOL},
	{IP, LINUX_IP_MINTTL, 0, 255, 0, BYTE},
	{IP, LINUX_IP_NODEFRAG, INT32_MIN, INT32_MAX, 0, BYTE | BOOL},
	{IP, LINUX_IP_BIND_ADDRESS_NO_PORT, INT32_MIN, INT32_MAX, 0, BYTE | BOOL},
	{IP, LINUX_IP_RECVFRAGSIZE, INT32_MIN, INT32_MAX, 0, BYTE | BOOL},
	{IP, LINUX_IP_MULTICAST_TTL, -1, 255, 1, BYTE},
	{IP, LINUX_IP_MULTICAST_LOOP, INT32_MIN, INT32_MAX, 1, BYTE | BOOL},
	{IP, LINUX_IP_MULTICAST_ALL, 0, 1, 1, BYTE},
	{IP, LINUX_IP_UNICAST_IF, 0, INT32_MAX, 0, 0},
	{IP6, LINUX_IPV6_V6ONLY, INT32_MIN, INT32_MAX, 0, BOOL},
	{IP6, LINUX_IPV6_UNICAST_HOPS, -1, 255, -1, 0},
	{IP6, LINUX_IPV6_MULTICAST_IF, 0, 1, 0, 0},
	{IP6, LINUX_IPV6_MULTICAST_HOPS, -1, 255, 1, 0},
	{IP6, LINUX_IPV6_MULTICAST_LOOP, 0, 1, 1, 0},
	{IP6, LINUX_IPV6_MULTICAST_ALL, 0, 1, 1, 0},
	{IP6, LINUX_IPV6_MTU_DISCOVER, 0, 5, 1, 0},
	{IP6, LINUX_IPV6_MTU, 0, 65536, 0, 0},
	{IP6, LINUX_IPV6_RECVERR, INT32_MIN, INT32_MAX, 0, BOOL},
	{IP6, LINUX_IPV6_2292PKTINFO, INT32_MIN, INT32_MAX, 0, BOOL},
	{IP6, LINUX_IPV6_2292HOPLIMIT, INT32_MIN, INT32_MAX, 0, BOOL},
	{IP6, LINUX_IPV6_RECVPKTINFO, INT32_MIN, INT32_MAX, 0, BOOL},
	{IP6, LINUX_IPV6_RECVHOPLIMIT, INT32_MIN, INT32_MAX, 0, BOOL},
	{IP6, LINUX_IPV6_RECVPATHMTU, INT32_MIN, INT32_MAX, 0, BOOL},
	{IP6, LINUX_IPV6_DONTFRAG, INT32_MIN, INT32_MAX, 0, BOOL},
	{IP6, LINUX_IPV6_RECVTCLASS, INT32_MIN, INT32_MAX, 0, BOOL},
	{IP6, LINUX_IPV6_TCLASS, -1, 255, 0, 0},
	{IP6, LINUX_IPV6_AUTOFLOWLABEL, INT32_MIN, INT32_MAX, 1, BOOL},
	{IP6, LINUX_IPV6_ADDR_PREFERENCES, 0, 0x7fff, 2, 0},
	{IP6, LINUX_IPV6_MINHOPCOUNT, 0, 255, 0, 0},
	{IP6, LINUX_IPV6_UNICAST_IF, 0, INT32_MAX, 0, 0},
	{IP6, LINUX_IPV6_FREEBIND, INT32_MIN, INT32_MAX, 0, BOOL},
	{TCP, LINUX_TCP_NODELAY, INT32_MIN, INT32_MAX, 0, BOOL},
	{TCP, LINUX_TCP_MAXSEG, 88, 32767, 536, 0},
	{TCP, LINUX_TCP_CORK, INT32_MIN, INT32_MAX, 0, BOOL},
	{TCP, LINUX_TCP_KEEPIDLE, 1, 32767, 7200, 0},
	{TCP, LINUX_TCP_KEEPINTVL, 1, 32767, 75, 0},
	{TCP, LINUX_TCP_KEEPCNT, 1, 127, 9, 0},
	{TCP, LINUX_TCP_SYNCNT, 1, 127, 6, 0},
	{TCP, LINUX_TCP_LINGER2, INT32_MIN, INT32_MAX, 60, 0},
	{TCP, LINUX_TCP_DEFER_ACCEPT, INT32_MIN, INT32_MAX, 0, 0},
	{TCP, LINUX_TCP_WINDOW_CLAMP, 0, INT32_MAX, 0, 0},
	{TCP, LINUX_TCP_QUICKACK, INT32_MIN, INT32_MAX, 1, BOOL},
	{TCP, LINUX_TCP_THIN_LINEAR_TIMEOUTS, 0, 1, 0, 0},
	{TCP, LINUX_TCP_USER_TIMEOUT, 0, INT32_MAX, 0, 0},
	{TCP, LINUX_TCP_FASTOPEN, 0, INT32_MAX, 0, 0},
	{TCP, LINUX_TCP_TIMESTAMP, INT32_MIN, INT32_MAX, 0, 0},
	{TCP, LINUX_TCP_NOTSENT_LOWAT, INT32_MIN, INT32_MAX, 0, 0},
	{TCP, LINUX_TCP_SAVE_SYN, 0, 2, 0, 0},
	{TCP, LINUX_TCP_INQ, 0, 1, 0, 0},
	{UDPLITE, LINUX_UDPLITE_SEND_CSCOV, 0, 65535, 0, 0},
	{UDPLITE, LINUX_UDPLITE_RECV_CSCOV, 0, 65535, 0, 0},
	{UDP, LINUX_UDP_CORK, INT32_MIN, INT32_MAX, 0, BOOL},
	{UDP, LINUX_UDP_NO_CHECK6_TX, INT32_MIN, INT32_MAX, 0, BOOL},
	{UDP, LINUX_UDP_NO_CHECK6_RX, INT32_MIN, INT32_MAX, 0, BOOL},
};
_Static_assert(ARRAY_LEN(options) <= INET_OPTS, "a slot for every option");

void inet_opts_init(struct inet_socket *i)
{
	for (size_t k = 0; k < ARRAY_LEN(options); k++)
		i->opts[k] = options[k].initial;
}

static int find(int level, int name)
{
	for (size_t k = 0; k < ARRAY_LEN(options); k++)
		if (options[k].level == level && options[k].name == name)
			return (int)k;
	return -1;
}

int32_t inet_opt(const struct inet_socket *i, int level, int name)
{
	int k = find(level, name);

	return k >= 0 ? i->opts[k] : 0;
}

/* Levels that a socket of this kind doesn't know. */
static int check_level(const struct inet_socket *i, int level)
{
	bool tcp = i->sock.type == LINUX_SOCK_STREAM;

	if (level == IP || (level == IP6 && inet_is_v6(i)) || (level == TCP && tcp) || (level == UDP && !tcp) ||
	    (level == UDPLITE && i->sock.protocol == LINUX_IPPROTO_UDPLITE))
		return 0;
	return -LINUX_ENOPROTOOPT;
}

static bool is_membership(int level, int name)
{
	if (level == IP)
		return (name >= LINUX_IP_ADD_MEMBERSHIP && name <= LINUX_MCAST_MSFILTER) || name == LINUX_IP_MULTICAST_IF;
	return level == IP6 && ((name >= LINUX_MCAST_JOIN_GROUP && name <= LINUX_MCAST_MSFILTER) ||
				name == LINUX_IPV6_JOIN_GROUP || name == LINUX_IPV6_LEAVE_GROUP);
}

static int set_membership(int level, int name, const void *val, unsigned len)
{
	static const uint8_t lo[4] = {127, 0, 0, 1}, any[4];
	const uint8_t *b = val;

	if (level == IP && name == LINUX_IP_MULTICAST_IF) {
		/* struct in_addr, or struct ip_mreq(n) with the interface's address in its second word. */
		const uint8_t *addr = len >= 8 ? b + 4 : b;

		if (len < 4)
			return -LINUX_EINVAL;
		return memcmp(addr, lo, 4) == 0 || memcmp(addr, any, 4) == 0 ? 0 : -LINUX_EADDRNOTAVAIL;
	}
	if (level == IP && (name == LINUX_IP_ADD_MEMBERSHIP || name == LINUX_IP_DROP_MEMBERSHIP)) {
		if (len < 8)
			return -LINUX_EINVAL;
		if ((b[0] & 0xf0) != 0xe0)
			return -LINUX_EINVAL;
	}
	return name == LINUX_IP_DROP_MEMBERSHIP || name == LINUX_MCAST_LEAVE_GROUP ? -LINUX_EADDRNOTAVAIL : -LINUX_ENODEV;
}

static int read_value(const struct inet_option *o, const void *val, unsigned len, int32_t *v)
{
	if (len >= sizeof *v) {
		memcpy(v, val, sizeof *v);
		return 0;
	}
	if ((o->flags & BYTE) == 0)
		return -LINUX_EINVAL;
	*v = len > 0 ? *(const uint8_t *)val : 0;
	return 0;
}

int inet_setsockopt(struct task *task, struct socket *s, int level, int name, const void *val, unsigned len)
{
	struct inet_socket *i = inet_of(s);
	const struct inet_option *o;
	int32_t v;
	int k, err;

	err = check_level(i, level);
	if (err != 0)
		return err;
	if (is_membership(level, name))
		return set_membership(level, name, val, len);
	k = find(level, name);
	if (k < 0)
		return -LINUX_ENOPROTOOPT;
	o = &options[k];
	err = read_value(o, val, len, &v);
	if (err != 0)
		return err;
	if ((o->flags & ADMIN) != 0 && v != 0 && !task_capable(task, LINUX_CAP_NET_ADMIN) &&
	    !task_capable(task, LINUX_CAP_NET_RAW))
		return -LINUX_EPERM;
	if ((o->flags & BOOL) != 0)
		v = v != 0;
	else if (v < o->least || v > o->most)
		return -LINUX_EINVAL;
	if (level == IP && name == LINUX_IP_TTL && v == 0)
		return -LINUX_EINVAL;
	if (o->least == -1 && v == -1)
		v = o->initial;
	if (level == IP6 && name == LINUX_IPV6_V6ONLY) {
		if (i->bound)
			return -LINUX_EINVAL;
		i->v6only = v != 0;
	}
	i->opts[k] = v;
	return 0;
}

int inet_getsockopt(struct task *task, struct socket *s, int level, int name, void *val, unsigned *len)
{
	struct inet_socket *i = inet_of(s);
	unsigned room = *len;
	struct sockname peer;
	int32_t v;
	int k, err;

	if (level == LINUX_SOL_SOCKET) {
		if (name == LINUX_SO_ACCEPTCONN) {
			v = i->listening;
			memcpy(val, &v, sizeof v);
			*len = sizeof v;
			return 0;
		}
		if (name == LINUX_SO_PEERCRED) {
			/* As on any socket that isn't unix: nobody. */
			struct linux_ucred none = {.pid = 0, .uid = UINT32_MAX, .gid = UINT32_MAX};

			memcpy(val, &none, sizeof none);
			*len = sizeof none;
			return 0;
		}
		if (name != LINUX_SO_PEERNAME)
			return name == LINUX_SO_PEERGROUPS ? -LINUX_ENODATA : -LINUX_ENOPROTOOPT;
		err = s->ops->getname(task, s, true, &peer);
		if (err != 0)
			return -LINUX_ENOTCONN;
		if (room < peer.len)
			return -LINUX_EINVAL;
		memcpy(val, peer.bytes, peer.len);
		*len = peer.len;
		return 0;
	}
	err = check_level(i, level);
	if (err != 0)
		return err;
	if ((level == IP && (name == LINUX_IP_MTU)) || (level == IP6 && name == LINUX_IPV6_MTU)) {
		if (i->remote.port == 0)
			return -LINUX_ENOTCONN;
		v = 65536;
	} else if (level == IP && name == LINUX_IP_OPTIONS) {
		*len = 0;
		return 0;
	} else if (level == IP && name == LINUX_IP_MULTICAST_IF) {
		v = 0;
	} else {
		k = find(level, name);
		if (k < 0)
			return -LINUX_ENOPROTOOPT;
		v = i->opts[k];
		if (level == IP6 && name == LINUX_IPV6_UNICAST_HOPS && v == -1)
			v = 64;
	}
	if (level == IP && room > 0 && room < sizeof v && v >= 0 && v <= 255) {
		*(uint8_t *)val = (uint8_t)v;
		*len = 1;
		return 0;
	}
	memcpy(val, &v, sizeof v);
	*len = sizeof v;
	return 0;
}
