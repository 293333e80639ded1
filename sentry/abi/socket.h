/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets as amd64 Linux has them: families, message flags, options, addresses, and the structures of socket(2),
 * sendmsg(2), unix(7), ip(7), ipv6(7), tcp(7), udp(7) and netdevice(7). Ports and addresses inside sockaddr structures
 * are in network order.
 */
#ifndef SENTRY_ABI_SOCKET_H
#define SENTRY_ABI_SOCKET_H

#include <stdint.h>

#define LINUX_AF_UNSPEC 0
#define LINUX_AF_UNIX 1
#define LINUX_AF_INET 2
#define LINUX_AF_INET6 10
#define LINUX_AF_NETLINK 16
#define LINUX_AF_PACKET 17
#define LINUX_AF_MAX 46

#define LINUX_SOCK_STREAM 1
#define LINUX_SOCK_DGRAM 2
#define LINUX_SOCK_RAW 3
#define LINUX_SOCK_RDM 4
#define LINUX_SOCK_SEQPACKET 5
#define LINUX_SOCK_DCCP 6
#define LINUX_SOCK_PACKET 10
#define LINUX_SOCK_MAX 11
#define LINUX_SOCK_TYPE_MASK 0xf
#define LINUX_SOCK_NONBLOCK 04000
#define LINUX_SOCK_CLOEXEC 02000000

#define LINUX_SHUT_RD 0
#define LINUX_SHUT_WR 1
#define LINUX_SHUT_RDWR 2
#define LINUX_SOMAXCONN 4096

#define LINUX_MSG_OOB 0x1U
#define LINUX_MSG_PEEK 0x2U
#define LINUX_MSG_DONTROUTE 0x4U
#define LINUX_MSG_CTRUNC 0x8U
#define LINUX_MSG_PROBE 0x10U
#define LINUX_MSG_TRUNC 0x20U
#define LINUX_MSG_DONTWAIT 0x40U
#define LINUX_MSG_EOR 0x80U
#define LINUX_MSG_WAITALL 0x100U
#define LINUX_MSG_CONFIRM 0x800U
#define LINUX_MSG_ERRQUEUE 0x2000U
#define LINUX_MSG_NOSIGNAL 0x4000U
#define LINUX_MSG_MORE 0x8000U
#define LINUX_MSG_WAITFORONE 0x10000U
#define LINUX_MSG_BATCH 0x40000U
#define LINUX_MSG_ZEROCOPY 0x4000000U
#define LINUX_MSG_FASTOPEN 0x20000000U
#define LINUX_MSG_CMSG_CLOEXEC 0x40000000U
#define LINUX_MSG_CMSG_COMPAT 0x80000000U

#define LINUX_SCM_RIGHTS 1
#define LINUX_SCM_CREDENTIALS 2
#define LINUX_SCM_MAX_FD 253

#define LINUX_SOL_IP 0
#define LINUX_SOL_SOCKET 1
#define LINUX_SOL_TCP 6
#define LINUX_SOL_UDP 17
#define LINUX_SOL_UDPLITE 136
#define LINUX_SOL_IPV6 41
#define LINUX_SOL_RAW 255
#define LINUX_SOL_NETLINK 270

#define LINUX_SO_DEBUG 1
#define LINUX_SO_REUSEADDR 2
#define LINUX_SO_TYPE 3
#define LINUX_SO_ERROR 4
#define LINUX_SO_DONTROUTE 5
#define LINUX_SO_BROADCAST 6
#define LINUX_SO_SNDBUF 7
#define LINUX_SO_RCVBUF 8
#define LINUX_SO_KEEPALIVE 9
#define LINUX_SO_OOBINLINE 10
#define LINUX_SO_NO_CHECK 11
#define LINUX_SO_PRIORITY 12
#define LINUX_SO_LINGER 13
#define LINUX_SO_BSDCOMPAT 14
#define LINUX_SO_REUSEPORT 15
#define LINUX_SO_PASSCRED 16
#define LINUX_SO_PEERCRED 17
#define LINUX_SO_RCVLOWAT 18
#define LINUX_SO_SNDLOWAT 19
#define LINUX_SO_RCVTIMEO 20
#define LINUX_SO_SNDTIMEO 21
#define LINUX_SO_BINDTODEVICE 25
#define LINUX_SO_ATTACH_FILTER 26
#define LINUX_SO_DETACH_FILTER 27
#define LINUX_SO_PEERNAME 28
#define LINUX_SO_TIMESTAMP 29
#define LINUX_SO_ACCEPTCONN 30
#define LINUX_SO_PEERSEC 31
#define LINUX_SO_SNDBUFFORCE 32
#define LINUX_SO_RCVBUFFORCE 33
#define LINUX_SO_PASSSEC 34
#define LINUX_SO_TIMESTAMPNS 35
#define LINUX_SO_MARK 36
#define LINUX_SO_TIMESTAMPING 37
#define LINUX_SO_PROTOCOL 38
#define LINUX_SO_DOMAIN 39
#define LINUX_SO_RXQ_OVFL 40
#define LINUX_SO_PEEK_OFF 42
#define LINUX_SO_NOFCS 43
#define LINUX_SO_LOCK_FILTER 44
#define LINUX_SO_SELECT_ERR_QUEUE 45
#define LINUX_SO_BUSY_POLL 46
#define LINUX_SO_MAX_PACING_RATE 47
#define LINUX_SO_INCOMING_CPU 49
#define LINUX_SO_ATTACH_BPF 50
#define LINUX_SO_INCOMING_NAPI_ID 56
#define LINUX_SO_COOKIE 57
#define LINUX_SO_PEERGROUPS 59
#define LINUX_SO_ZEROCOPY 60
#define LINUX_SO_BINDTOIFINDEX 62
#define LINUX_SO_TIMESTAMP_NEW 63
#define LINUX_SO_TIMESTAMPNS_NEW 64
#define LINUX_SO_RCVTIMEO_NEW 66
#define LINUX_SO_SNDTIMEO_NEW 67
#define LINUX_SO_PREFER_BUSY_POLL 69
#define LINUX_SO_BUSY_POLL_BUDGET 70
#define LINUX_SO_NETNS_COOKIE 71

#define LINUX_IP_TOS 1
#define LINUX_IP_TTL 2
#define LINUX_IP_HDRINCL 3
#define LINUX_IP_OPTIONS 4
#define LINUX_IP_RECVOPTS 6
#define LINUX_IP_RETOPTS 7
#define LINUX_IP_PKTINFO 8
#define LINUX_IP_PKTOPTIONS 9
#define LINUX_IP_MTU_DISCOVER 10
#define LINUX_IP_RECVERR 11
#define LINUX_IP_RECVTTL 12
#define LINUX_IP_RECVTOS 13
#define LINUX_IP_MTU 14
#define LINUX_IP_FREEBIND 15
#define LINUX_IP_PASSSEC 18
#define LINUX_IP_TRANSPARENT 19
#define LINUX_IP_RECVORIGDSTADDR 20
#define LINUX_IP_MINTTL 21
#define LINUX_IP_NODEFRAG 22
#define LINUX_IP_BIND_ADDRESS_NO_PORT 24
#define LINUX_IP_RECVFRAGSIZE 25
#define LINUX_IP_MULTICAST_IF 32
#define LINUX_IP_MULTICAST_TTL 33
#define LINUX_IP_MULTICAST_LOOP 34
#define LINUX_IP_ADD_MEMBERSHIP 35
#define LINUX_IP_DROP_MEMBERSHIP 36
#define LINUX_IP_MSFILTER 41
#define LINUX_MCAST_JOIN_GROUP 42
#define LINUX_MCAST_LEAVE_GROUP 45
#define LINUX_MCAST_MSFILTER 48
#define LINUX_IP_MULTICAST_ALL 49
#define LINUX_IP_UNICAST_IF 50

#define LINUX_IPV6_ADDRFORM 1
#define LINUX_IPV6_2292PKTINFO 2
#define LINUX_IPV6_2292HOPLIMIT 8
#define LINUX_IPV6_UNICAST_HOPS 16
#define LINUX_IPV6_MULTICAST_IF 17
#define LINUX_IPV6_MULTICAST_HOPS 18
#define LINUX_IPV6_MULTICAST_LOOP 19
#define LINUX_IPV6_JOIN_GROUP 20
#define LINUX_IPV6_LEAVE_GROUP 21
#define LINUX_IPV6_MTU_DISCOVER 23
#define LINUX_IPV6_MTU 24
#define LINUX_IPV6_RECVERR 25
#define LINUX_IPV6_V6ONLY 26
#define LINUX_IPV6_MULTICAST_ALL 29
#define LINUX_IPV6_RECVPKTINFO 49
#define LINUX_IPV6_PKTINFO 50
#define LINUX_IPV6_RECVHOPLIMIT 51
#define LINUX_IPV6_HOPLIMIT 52
#define LINUX_IPV6_RECVPATHMTU 60
#define LINUX_IPV6_DONTFRAG 62
#define LINUX_IPV6_RECVTCLASS 66
#define LINUX_IPV6_TCLASS 67
#define LINUX_IPV6_AUTOFLOWLABEL 70
#define LINUX_IPV6_ADDR_PREFERENCES 72
#define LINUX_IPV6_MINHOPCOUNT 73
#define LINUX_IPV6_UNICAST_IF 76
#define LINUX_IPV6_FREEBIND 78

#define LINUX_TCP_NODELAY 1
#define LINUX_TCP_MAXSEG 2
#define LINUX_TCP_CORK 3
#define LINUX_TCP_KEEPIDLE 4
#define LINUX_TCP_KEEPINTVL 5
#define LINUX_TCP_KEEPCNT 6
#define LINUX_TCP_SYNCNT 7
#define LINUX_TCP_LINGER2 8
#define LINUX_TCP_DEFER_ACCEPT 9
#define LINUX_TCP_WINDOW_CLAMP 10
#define LINUX_TCP_INFO 11
#define LINUX_TCP_QUICKACK 12
#define LINUX_TCP_CONGESTION 13
#define LINUX_TCP_THIN_LINEAR_TIMEOUTS 16
#define LINUX_TCP_USER_TIMEOUT 18
#define LINUX_TCP_REPAIR 19
#define LINUX_TCP_FASTOPEN 23
#define LINUX_TCP_TIMESTAMP 24
#define LINUX_TCP_NOTSENT_LOWAT 25
#define LINUX_TCP_CC_INFO 26
#define LINUX_TCP_SAVE_SYN 27
#define LINUX_TCP_FASTOPEN_CONNECT 30
#define LINUX_TCP_ULP 31
#define LINUX_TCP_INQ 36

#define LINUX_UDP_CORK 1
#define LINUX_UDPLITE_SEND_CSCOV 10
#define LINUX_UDPLITE_RECV_CSCOV 11
#define LINUX_UDP_ENCAP 100
#define LINUX_UDP_NO_CHECK6_TX 101
#define LINUX_UDP_NO_CHECK6_RX 102
#define LINUX_UDP_SEGMENT 103
#define LINUX_UDP_GRO 104

#define LINUX_IPPROTO_IP 0
#define LINUX_IPPROTO_ICMP 1
#define LINUX_IPPROTO_TCP 6
#define LINUX_IPPROTO_UDP 17
#define LINUX_IPPROTO_ICMPV6 58
#define LINUX_IPPROTO_UDPLITE 136
#define LINUX_IPPROTO_MAX 263

/* enum of tcp(7)'s states, as TCP_INFO and /proc/net/tcp show them. */
enum {
	LINUX_TCP_ESTABLISHED = 1,
	LINUX_TCP_SYN_SENT,
	LINUX_TCP_SYN_RECV,
	LINUX_TCP_FIN_WAIT1,
	LINUX_TCP_FIN_WAIT2,
	LINUX_TCP_TIME_WAIT,
	LINUX_TCP_CLOSE,
	LINUX_TCP_CLOSE_WAIT,
	LINUX_TCP_LAST_ACK,
	LINUX_TCP_LISTEN,
	LINUX_TCP_CLOSING,
};

#define LINUX_SOCKADDR_MAX 128 /* struct sockaddr_storage */
#define LINUX_UNIX_PATH_MAX 108

struct linux_sockaddr_in {
	uint16_t family, port;
	uint8_t addr[4];
	uint8_t zero[8];
};
_Static_assert(sizeof(struct linux_sockaddr_in) == 16, "struct sockaddr_in");

struct linux_sockaddr_in6 {
	uint16_t family, port;
	uint32_t flowinfo;
	uint8_t addr[16];
	uint32_t scope_id;
};
_Static_assert(sizeof(struct linux_sockaddr_in6) == 28, "struct sockaddr_in6");
#define LINUX_SIN6_LEN_RFC2133 24

struct linux_sockaddr_un {
	uint16_t family;
	char path[LINUX_UNIX_PATH_MAX];
};

struct linux_msghdr {
	uint64_t name;
	uint32_t namelen, pad0;
	uint64_t iov, iovlen;
	uint64_t control, controllen;
	uint32_t flags, pad1;
};
_Static_assert(sizeof(struct linux_msghdr) == 56, "struct msghdr");

struct linux_mmsghdr {
	struct linux_msghdr hdr;
	uint32_t len, pad;
};
_Static_assert(sizeof(struct linux_mmsghdr) == 64, "struct mmsghdr");

struct linux_cmsghdr {
	uint64_t len; /* header included */
	int32_t level, type;
};
#define LINUX_CMSG_ALIGN(n) (((n) + 7UL) & ~7UL)
#define LINUX_CMSG_HDR sizeof(struct linux_cmsghdr)

struct linux_ucred {
	int32_t pid;
	uint32_t uid, gid;
};

struct linux_linger {
	int32_t onoff, linger;
};

struct linux_in_pktinfo {
	int32_t ifindex;
	uint8_t spec_dst[4], addr[4];
};
struct linux_in6_pktinfo {
	uint8_t addr[16];
	int32_t ifindex;
};

struct linux_tcp_info {
	uint8_t state, ca_state, retransmits, probes, backoff, options, wscale, flags;
	uint32_t rto, ato, snd_mss, rcv_mss;
	uint32_t unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
	uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
	uint32_t rcv_rtt, rcv_space, total_retrans;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
	uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
	uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
	uint32_t delivered, delivered_ce;
	uint64_t bytes_sent, bytes_retrans;
	uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd;
};
_Static_assert(sizeof(struct linux_tcp_info) == 232, "struct tcp_info");

/* ---- interfaces: ioctl(2) numbers and struct ifreq, netdevice(7) ---- */

#define LINUX_FIONREAD 0x541bU
#define LINUX_FIONBIO 0x5421U
#define LINUX_FIOASYNC 0x5452U
#define LINUX_TIOCOUTQ 0x5411U
#define LINUX_FIOSETOWN 0x8901U
#define LINUX_SIOCSPGRP 0x8902U
#define LINUX_FIOGETOWN 0x8903U
#define LINUX_SIOCGPGRP 0x8904U
#define LINUX_SIOCATMARK 0x8905U
#define LINUX_SIOCGSTAMP 0x8906U
#define LINUX_SIOCGSTAMPNS 0x8907U
#define LINUX_SIOCADDRT 0x890bU
#define LINUX_SIOCDELRT 0x890cU
#define LINUX_SIOCGIFNAME 0x8910U
#define LINUX_SIOCGIFCONF 0x8912U
#define LINUX_SIOCGIFFLAGS 0x8913U
#define LINUX_SIOCSIFFLAGS 0x8914U
#define LINUX_SIOCGIFADDR 0x8915U
#define LINUX_SIOCSIFADDR 0x8916U
#define LINUX_SIOCGIFDSTADDR 0x8917U
#define LINUX_SIOCGIFBRDADDR 0x8919U
#define LINUX_SIOCGIFNETMASK 0x891bU
#define LINUX_SIOCGIFMETRIC 0x891dU
#define LINUX_SIOCGIFMTU 0x8921U
#define LINUX_SIOCGIFHWADDR 0x8927U
#define LINUX_SIOCGIFINDEX 0x8933U
#define LINUX_SIOCGIFTXQLEN 0x8942U
#define LINUX_SIOCETHTOOL 0x8946U
#define LINUX_SIOCGIFMAP 0x8970U

#define LINUX_IFNAMSIZ 16
#define LINUX_IFF_UP 0x1
#define LINUX_IFF_LOOPBACK 0x8
#define LINUX_IFF_RUNNING 0x40
#define LINUX_IFF_LOWER_UP 0x10000
#define LINUX_ARPHRD_LOOPBACK 772

struct linux_ifreq {
	char name[LINUX_IFNAMSIZ];
	union {
		struct linux_sockaddr_in addr;
		struct {
			uint16_t family;
			uint8_t data[14];
		} hwaddr;
		int16_t flags;
		int32_t value;
		uint8_t bytes[24];
	};
};
_Static_assert(sizeof(struct linux_ifreq) == 40, "struct ifreq");

struct linux_ifconf {
	int32_t len, pad;
	uint64_t buf;
};

#endif
