/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of /proc/net: sockets as they are, the rest as a host with lo only and no traffic yet shows it. Columns follow
 * Linux's to the blank: netstat, ss and monitoring agents parse them. Kernel addresses print as zeros, as for readers
 * without rights on Linux.
 */
#include "sentry/abi/errno.h"
#include "sentry/net/net.h"
#include "sentry/net/netlink.h"
#include "sentry/net/tcp.h"
#include "sentry/net/outside_udp.h"
#include "sentry/net/udp.h"
#include "sentry/net/unix_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text {
	char *buf;
	size_t size, len; /* len counts what didn't fit, too */
};

static void put(struct text *t, const char *fmt, ...) printf_like(2, 3);
static void put(struct text *t, const char *fmt, ...)
{
	size_t room = t->len < t->size ? t->size - t->len : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(room > 0 ? t->buf + t->len : NULL, room, fmt, ap);
	va_end(ap);
	t->len += n > 0 ? (size_t)n : 0;
}

/* Pads the line that starts at `from` with blanks to the width Linux gives it. */
static void pad(struct text *t, size_t from, size_t width)
{
	while (t->len - from < width)
		put(t, " ");
	put(t, "\n");
}

static void put_ep(struct text *t, const struct inet_ep *ep, bool v6)
{
	uint32_t words[4];

	memcpy(words, ep->addr.b, sizeof words);
	if (v6)
		put(t, "%08X%08X%08X%08X:%04X", words[0], words[1], words[2], words[3], ep->port);
	else
		put(t, "%08X:%04X", words[3], ep->port);
}

static void put_inet_line(struct text *t, const struct inet_socket *i, unsigned nr, unsigned state, uint64_t tx, uint64_t rx)
{
	put(t, "%4u: ", nr);
	put_ep(t, &i->local, inet_is_v6(i));
	put(t, " ");
	put_ep(t, &i->remote, inet_is_v6(i));
	put(t, " %02X %08X:%08X 00:00000000 00000000 %5u %8d %llu %u %016d", state, (unsigned)tx, (unsigned)rx, i->uid, 0,
	    (unsigned long long)i->sock.ino, i->sock.ref.count, 0);
}

#define HEAD4 "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
#define HEAD6                                                                                                          \
	"  sl  local_address                         remote_address                        st tx_queue rx_queue tr "    \
	"tm->when retrnsmt   uid  timeout inode"

static void show_tcp_family(struct text *t, bool v6)
{
	struct tcp_socket *s;
	size_t from = t->len;
	unsigned nr = 0;

	if (v6) {
		put(t, HEAD6 "\n");
	} else {
		put(t, HEAD4);
		pad(t, from, 149);
	}
	list_for_each(s, &tcp_all, all_link) {
		if (inet_is_v6(&s->inet) != v6 || s->state == LINUX_TCP_CLOSE)
			continue;
		from = t->len;
		put_inet_line(t, &s->inet, nr++, s->state, 0,
			      s->state == LINUX_TCP_LISTEN ? s->nready : s->rx.bytes);
		put(t, s->state == LINUX_TCP_LISTEN ? " 100 0 0 10 0" : " 20 4 30 10 -1");
		if (v6)
			put(t, "\n");
		else
			pad(t, from, 149);
	}
}

static void show_udp_family(struct text *t, bool v6)
{
	struct udp_socket *s;
	size_t from = t->len;

	put(t, v6 ? HEAD6 " ref pointer drops\n" : HEAD4 " ref pointer drops");
	if (!v6)
		pad(t, from, 127);
	list_for_each(s, &udp_all, all_link) {
		if (inet_is_v6(&s->inet) != v6 || !s->inet.bound || s->inet.sock.protocol != LINUX_IPPROTO_UDP)
			continue;
		from = t->len;
		put_inet_line(t, &s->inet, s->inet.local.port, s->inet.remote.port != 0 ? 1 : 7, 0, s->rx.charged);
		put(t, " %llu", (unsigned long long)s->dropped);
		if (v6)
			put(t, "\n");
		else
			pad(t, from, 127);
	}
}

static void show_tcp(struct text *t)
{
	show_tcp_family(t, false);
}
static void show_tcp6(struct text *t)
{
	show_tcp_family(t, true);
}
static void show_udp(struct text *t)
{
	show_udp_family(t, false);
}
static void show_udp6(struct text *t)
{
	show_udp_family(t, true);
}
static void show_raw(struct text *t)
{
	put(t, HEAD4 " ref pointer drops\n");
}
static void show_raw6(struct text *t)
{
	put(t, HEAD6 " ref pointer drops\n");
}

static void show_unix(struct text *t)
{
	struct unix_socket *u;

	put(t, "Num       RefCount Protocol Flags    Type St Inode Path\n");
	list_for_each(u, &unix_all, all_link) {
		unsigned state = u->state == UNIX_CONNECTED ? 3 : 1;

		if (u->dead)
			continue;
		put(t, "%016d: %08X %08X %08X %04X %02X %5llu", 0, u->sock.ref.count + 1, 0,
		    u->state == UNIX_LISTENING ? 0x10000 : 0, u->sock.type, state, (unsigned long long)u->sock.ino);
		if (u->name != NULL && u->name->len > 2) {
			unsigned n = MIN(u->name->len - 2U, (unsigned)sizeof u->name->addr.path);

			put(t, " ");
			if (u->name->addr.path[0] != '\0')
				n = (unsigned)strnlen(u->name->addr.path, n);
			for (unsigned i = 0; i < n; i++) {
				char c = u->name->addr.path[i];

				put(t, "%c", c == '\0' || c == '\n' ? '@' : c);
			}
		}
		put(t, "\n");
	}
}

static void show_netlink(struct text *t)
{
	struct netlink_socket *n;

	put(t, "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n");
	list_for_each(n, &netlink_all, all_link)
		put(t, "%016d %-3d %-10u %08x %-8u %-8d %-5d %-8d %-8d %-8llu\n", 0, n->sock.protocol, n->port, n->groups,
		    (unsigned)n->rx.charged, 0, 0, 2, 0, (unsigned long long)n->sock.ino);
}

static void show_dev(struct text *t)
{
	put(t, "Inter-|   Receive                                                |  Transmit\n"
	       " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls "
	       "carrier compressed\n"
	       "    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       "
	       "0          0\n");
}

static void show_route(struct text *t)
{
	put(t, "%-127s\n", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
}

static void show_ipv6_route(struct text *t)
{
	put(t, "%032d%s%032d 00 %032d 00000000 00000002 00000000 80200001       lo\n", 1, " 80 ", 0, 0);
	put(t, "%032d%s%032d 00 %032d ffffffff 00000001 00000000 00200200       lo\n", 0, " 00 ", 0, 0);
}

static void show_if_inet6(struct text *t)
{
	put(t, "00000000000000000000000000000001 01 80 10 80       lo\n");
}

static void show_packet(struct text *t)
{
	put(t, "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n");
}

static void show_arp(struct text *t)
{
	put(t, "IP address       HW type     Flags       HW address            Mask     Device\n");
}

static unsigned count(struct list *all)
{
	unsigned n = 0;

	for (struct list *l = all->next; l != all; l = l->next)
		n++;
	return n;
}

static void count_inet(unsigned tcp[2], unsigned udp[2])
{
	struct tcp_socket *s;
	struct udp_socket *u;

	list_for_each(s, &tcp_all, all_link)
		if (s->state != LINUX_TCP_CLOSE)
			tcp[inet_is_v6(&s->inet)]++;
	list_for_each(u, &udp_all, all_link)
		if (u->inet.bound)
			udp[inet_is_v6(&u->inet)]++;
}

static void show_sockstat(struct text *t)
{
	unsigned tcp[2] = {0}, udp[2] = {0};

	count_inet(tcp, udp);
	put(t, "sockets: used %u\n", count(&unix_all) + count(&tcp_all) + count(&udp_all) + count(&netlink_all));
	put(t, "TCP: inuse %u orphan 0 tw 0 alloc %u mem 0\nUDP: inuse %u mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\n", tcp[0],
	    count(&tcp_all), udp[0]);
	put(t, "FRAG: inuse 0 memory 0\n");
}

static void show_sockstat6(struct text *t)
{
	unsigned tcp[2] = {0}, udp[2] = {0};

	count_inet(tcp, udp);
	put(t, "TCP6: inuse %u\nUDP6: inuse %u\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n", tcp[1], udp[1]);
}

static void show_snmp(struct text *t)
{
	unsigned tcp[2] = {0}, udp[2] = {0};

	count_inet(tcp, udp);
	put(t, "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards "
	       "InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails "
	       "FragCreates\n"
	       "Ip: 2 64 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
	       "Icmp: InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds OutMsgs OutErrors OutDestUnreachs\n"
	       "Icmp: 0 0 0 0 0 0 0 0\n"
	       "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs "
	       "OutSegs RetransSegs InErrs OutRsts InCsumErrors\n");
	put(t, "Tcp: 1 200 120000 -1 0 0 0 0 %u 0 0 0 0 0 0\n", tcp[0] + tcp[1]);
	put(t, "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n"
	       "Udp: 0 0 0 0 0 %llu 0 0 0\n"
	       "UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti "
	       "MemErrors\n"
	       "UdpLite: 0 0 0 0 0 0 0 0 0\n",
	    (unsigned long long)outside_udp_lost());
}

static void show_igmp(struct text *t)
{
	put(t, "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
	       "1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n");
}

static void show_nothing(struct text *t)
{
	(void)t;
}

static void show_protocols(struct text *t)
{
	put(t, "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br ha uh gp "
	       "em\n");
	put(t, "UNIX      1024 %6u      -1   NI       0   yes  kernel      y  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n\n",
	    count(&unix_all));
	put(t, "UDP       1152 %6u       0   NI       0   yes  kernel      y  y  y  n  y  n  y  n  y  y  y  y  y  n  n  y  y  y\n",
	    count(&udp_all));
	put(t, "TCP       2176 %6u       0   no     320   yes  kernel      y  y  y  y  y  y  y  y  y  y  y  y  y  n  y  y  y  y\n",
	    count(&tcp_all));
	put(t, "NETLINK   1112 %6u      -1   NI       0   no   kernel      n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n\n",
	    count(&netlink_all));
}

static const struct {
	const char *name;
	void (*show)(struct text *t);
} files[] = {
	{"arp", show_arp},
	{"dev", show_dev},
	{"dev_mcast", show_nothing},
	{"if_inet6", show_if_inet6},
	{"igmp", show_igmp},
	{"ipv6_route", show_ipv6_route},
	{"netlink", show_netlink},
	{"packet", show_packet},
	{"protocols", show_protocols},
	{"raw", show_raw},
	{"raw6", show_raw6},
	{"route", show_route},
	{"snmp", show_snmp},
	{"sockstat", show_sockstat},
	{"sockstat6", show_sockstat6},
	{"tcp", show_tcp},
	{"tcp6", show_tcp6},
	{"udp", show_udp},
	{"udp6", show_udp6},
	{"unix", show_unix},
};

const char *net_proc_name(unsigned n)
{
	return n < ARRAY_LEN(files) ? files[n].name : NULL;
}

int64_t net_proc_text(const char *name, char *buf, size_t size)
{
	struct text t = {.buf = buf, .size = size};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (strcmp(files[i].name, name) == 0) {
			if (size > 0)
				buf[0] = '\0';
			files[i].show(&t);
			return (int64_t)t.len;
		}
	}
	return -LINUX_ENOENT;
}
