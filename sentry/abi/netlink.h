/* SPDX-License-Identifier: Apache-2.0 */
/* netlink(7) and rtnetlink(7): message headers, types and attributes that the sandbox's interface list needs. */
#ifndef SENTRY_ABI_NETLINK_H
#define SENTRY_ABI_NETLINK_H

#include <stdint.h>

#define LINUX_NETLINK_ROUTE 0
#define LINUX_NETLINK_MAX 32

struct linux_sockaddr_nl {
	uint16_t family, pad;
	uint32_t pid, groups;
};
_Static_assert(sizeof(struct linux_sockaddr_nl) == 12, "struct sockaddr_nl");

struct linux_nlmsghdr {
	uint32_t len;
	uint16_t type, flags;
	uint32_t seq, pid;
};
#define LINUX_NLMSG_ALIGN(n) (((n) + 3U) & ~3U)

#define LINUX_NLM_F_REQUEST 1
#define LINUX_NLM_F_MULTI 2
#define LINUX_NLM_F_ACK 4
#define LINUX_NLM_F_ROOT 0x100
#define LINUX_NLM_F_MATCH 0x200
#define LINUX_NLM_F_DUMP (LINUX_NLM_F_ROOT | LINUX_NLM_F_MATCH)
#define LINUX_NLM_F_CAPPED 0x100

#define LINUX_NLMSG_NOOP 1
#define LINUX_NLMSG_ERROR 2
#define LINUX_NLMSG_DONE 3
#define LINUX_NLMSG_MIN_TYPE 16

#define LINUX_RTM_NEWLINK 16
#define LINUX_RTM_GETLINK 18
#define LINUX_RTM_NEWADDR 20
#define LINUX_RTM_GETADDR 22
#define LINUX_RTM_NEWROUTE 24
#define LINUX_RTM_GETROUTE 26
#define LINUX_RTM_GETNEIGH 30
#define LINUX_RTM_NEWRULE 32
#define LINUX_RTM_GETRULE 34
#define LINUX_RTM_NEWQDISC 36
#define LINUX_RTM_GETQDISC 38
#define LINUX_RTM_GETSTATS 94
#define LINUX_RTM_MAX 123

#define LINUX_NETLINK_ADD_MEMBERSHIP 1
#define LINUX_NETLINK_DROP_MEMBERSHIP 2
#define LINUX_NETLINK_PKTINFO 3
#define LINUX_NETLINK_BROADCAST_ERROR 4
#define LINUX_NETLINK_NO_ENOBUFS 5
#define LINUX_NETLINK_LISTEN_ALL_NSID 8
#define LINUX_NETLINK_LIST_MEMBERSHIPS 9
#define LINUX_NETLINK_CAP_ACK 10
#define LINUX_NETLINK_EXT_ACK 11
#define LINUX_NETLINK_GET_STRICT_CHK 12

struct linux_rtattr {
	uint16_t len, type;
};

struct linux_ifinfomsg {
	uint8_t family, pad;
	uint16_t type;
	int32_t index;
	uint32_t flags, change;
};
struct linux_ifaddrmsg {
	uint8_t family, prefixlen, flags, scope;
	uint32_t index;
};
struct linux_rtmsg {
	uint8_t family, dst_len, src_len, tos, table, protocol, scope, type;
	uint32_t flags;
};
struct linux_fib_rule_hdr {
	uint8_t family, dst_len, src_len, tos, table, res1, res2, action;
	uint32_t flags;
};

#define LINUX_IFLA_ADDRESS 1
#define LINUX_IFLA_BROADCAST 2
#define LINUX_IFLA_IFNAME 3
#define LINUX_IFLA_MTU 4
#define LINUX_IFLA_QDISC 6
#define LINUX_IFLA_STATS 7
#define LINUX_IFLA_TXQLEN 13
#define LINUX_IFLA_MAP 14
#define LINUX_IFLA_OPERSTATE 16
#define LINUX_IFLA_LINKMODE 17
#define LINUX_IFLA_STATS64 23
#define LINUX_IFLA_GROUP 27
#define LINUX_IFLA_EXT_MASK 29
#define LINUX_IFLA_PROMISCUITY 30
#define LINUX_IFLA_NUM_TX_QUEUES 31
#define LINUX_IFLA_NUM_RX_QUEUES 32
#define LINUX_IFLA_CARRIER 33

#define LINUX_IFA_ADDRESS 1
#define LINUX_IFA_LOCAL 2
#define LINUX_IFA_LABEL 3
#define LINUX_IFA_CACHEINFO 6
#define LINUX_IFA_FLAGS 8
#define LINUX_IFA_F_PERMANENT 0x80

#define LINUX_RTA_DST 1
#define LINUX_RTA_OIF 4
#define LINUX_RTA_PRIORITY 6
#define LINUX_RTA_PREFSRC 7
#define LINUX_RTA_CACHEINFO 12
#define LINUX_RTA_TABLE 15
#define LINUX_RTA_PREF 20
#define LINUX_RT_TABLE_MAIN 254
#define LINUX_RT_TABLE_DEFAULT 253
#define LINUX_RT_TABLE_LOCAL 255
#define LINUX_RTPROT_KERNEL 2
#define LINUX_RT_SCOPE_UNIVERSE 0
#define LINUX_RT_SCOPE_LINK 253
#define LINUX_RT_SCOPE_HOST 254
#define LINUX_RTN_UNICAST 1
#define LINUX_RTN_LOCAL 2
#define LINUX_RTN_BROADCAST 3
#define LINUX_RTM_F_CLONED 0x200
#define LINUX_FRA_PRIORITY 6
#define LINUX_FRA_TABLE 15
#define LINUX_FRA_SUPPRESS_PREFIXLEN 14
#define LINUX_FRA_PROTOCOL 21
#define LINUX_FR_ACT_TO_TBL 1

#endif
