/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What NETLINK_ROUTE tells: enough for getifaddrs(3), if_nameindex(3), `ip addr`, `ip link`, `ip route`, `ip rule`, and the
 * interface lists of Go, Node and Python. See rtnl.h.
 *
 * Requests that would change something answer EPERM; types that rtnetlink doesn't know EOPNOTSUPP; a dump of something
 * that the sandbox has none of (neighbours, multicast routes) is empty. Filters in dump requests (family, table) are
 * honoured for the family only, as kernels without strict checking do; `ip` filters for itself.
 *
 * The guest controls every byte of a request; only the header, and the few fields read here, are looked at, each within
 * the request's length.
 */
#include "sentry/net/rtnl.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/netlink.h"
#include "sentry/abi/socket.h"

#include <string.h>

#define LO_MTU 65536U
#define LO_INDEX 1

struct builder {
	struct rtnl_reply *out;
	uint32_t start; /* of the message being built */
	uint32_t seq, port;
	uint16_t flags;
};

static void append(struct rtnl_reply *out, const void *data, uint32_t len)
{
	uint32_t padded = LINUX_NLMSG_ALIGN(len);

	if (out->overflow || padded > RTNL_REPLY_MAX - out->len) {
		out->overflow = true;
		return;
	}
	memset(out->bytes + out->len, 0, padded);
	memcpy(out->bytes + out->len, data, len);
	out->len += padded;
}

static void begin(struct builder *b, uint16_t type, const void *header, uint32_t len)
{
	struct linux_nlmsghdr hdr = {.type = type, .flags = b->flags, .seq = b->seq, .pid = b->port};

	b->start = b->out->len;
	append(b->out, &hdr, sizeof hdr);
	append(b->out, header, len);
}

static void attr(struct builder *b, uint16_t type, const void *data, uint32_t len)
{
	struct linux_rtattr a = {.len = (uint16_t)(sizeof a + len), .type = type};
	uint8_t whole[sizeof a + 256];

	if (len > 256) {
		b->out->overflow = true;
		return;
	}
	memcpy(whole, &a, sizeof a);
	memcpy(whole + sizeof a, data, len);
	append(b->out, whole, a.len);
}

static void attr_u32(struct builder *b, uint16_t type, uint32_t v)
{
	attr(b, type, &v, sizeof v);
}

static void attr_u8(struct builder *b, uint16_t type, uint8_t v)
{
	attr(b, type, &v, sizeof v);
}

static void end(struct builder *b)
{
	uint32_t len = b->out->len - b->start;

	if (!b->out->overflow)
		memcpy(b->out->bytes + b->start, &len, sizeof len);
}

/* ---- what there is ---- */

static void tell_link(struct builder *b)
{
	static const uint8_t zeros[256];
	struct linux_ifinfomsg m = {
		.type = LINUX_ARPHRD_LOOPBACK,
		.index = LO_INDEX,
		.flags = LINUX_IFF_UP | LINUX_IFF_LOOPBACK | LINUX_IFF_RUNNING | LINUX_IFF_LOWER_UP,
	};

	begin(b, LINUX_RTM_NEWLINK, &m, sizeof m);
	attr(b, LINUX_IFLA_IFNAME, "lo", 3);
	attr_u32(b, LINUX_IFLA_TXQLEN, 1000);
	attr_u8(b, LINUX_IFLA_OPERSTATE, 0);
	attr_u8(b, LINUX_IFLA_LINKMODE, 0);
	attr_u32(b, LINUX_IFLA_MTU, LO_MTU);
	attr_u32(b, LINUX_IFLA_GROUP, 0);
	attr_u32(b, LINUX_IFLA_PROMISCUITY, 0);
	attr_u32(b, LINUX_IFLA_NUM_TX_QUEUES, 1);
	attr_u32(b, LINUX_IFLA_NUM_RX_QUEUES, 1);
	attr_u8(b, LINUX_IFLA_CARRIER, 1);
	attr(b, LINUX_IFLA_ADDRESS, zeros, 6);
	attr(b, LINUX_IFLA_BROADCAST, zeros, 6);
	attr(b, LINUX_IFLA_STATS64, zeros, 200); /* struct rtnl_link_stats64 */
	attr(b, LINUX_IFLA_STATS, zeros, 100);
	attr(b, LINUX_IFLA_QDISC, "noqueue", 8);
	attr(b, LINUX_IFLA_MAP, zeros, 32);
	end(b);
}

static const uint8_t lo4[4] = {127, 0, 0, 1};
static const uint8_t lo6[16] = {[15] = 1};

static void tell_addrs(struct builder *b, uint8_t family)
{
	static const uint32_t forever[4] = {UINT32_MAX, UINT32_MAX, 0, 0};
	struct linux_ifaddrmsg m = {
		.family = LINUX_AF_INET,
		.prefixlen = 8,
		.flags = LINUX_IFA_F_PERMANENT,
		.scope = LINUX_RT_SCOPE_HOST,
		.index = LO_INDEX,
	};

	if (family == LINUX_AF_UNSPEC || family == LINUX_AF_INET) {
		begin(b, LINUX_RTM_NEWADDR, &m, sizeof m);
		attr(b, LINUX_IFA_ADDRESS, lo4, sizeof lo4);
		attr(b, LINUX_IFA_LOCAL, lo4, sizeof lo4);
		attr(b, LINUX_IFA_LABEL, "lo", 3);
		attr_u32(b, LINUX_IFA_FLAGS, LINUX_IFA_F_PERMANENT);
		attr(b, LINUX_IFA_CACHEINFO, forever, sizeof forever);
		end(b);
	}
	if (family == LINUX_AF_UNSPEC || family == LINUX_AF_INET6) {
		m.family = LINUX_AF_INET6;
		m.prefixlen = 128;
		begin(b, LINUX_RTM_NEWADDR, &m, sizeof m);
		attr(b, LINUX_IFA_ADDRESS, lo6, sizeof lo6);
		attr(b, LINUX_IFA_CACHEINFO, forever, sizeof forever);
		attr_u32(b, LINUX_IFA_FLAGS, LINUX_IFA_F_PERMANENT);
		end(b);
	}
}

static void tell_route4(struct builder *b, uint8_t bits, uint8_t scope, uint8_t type, const uint8_t dst[4])
{
	struct linux_rtmsg m = {
		.family = LINUX_AF_INET,
		.dst_len = bits,
		.table = LINUX_RT_TABLE_LOCAL,
		.protocol = LINUX_RTPROT_KERNEL,
		.scope = scope,
		.type = type,
	};

	begin(b, LINUX_RTM_NEWROUTE, &m, sizeof m);
	attr_u32(b, LINUX_RTA_TABLE, LINUX_RT_TABLE_LOCAL);
	attr(b, LINUX_RTA_DST, dst, 4);
	attr(b, LINUX_RTA_PREFSRC, lo4, 4);
	attr_u32(b, LINUX_RTA_OIF, LO_INDEX);
	end(b);
}

static void tell_routes(struct builder *b, uint8_t family)
{
	static const uint8_t net[4] = {127, 0, 0, 0}, last[4] = {127, 255, 255, 255};
	static const uint8_t zeros[32];
	struct linux_rtmsg m = {
		.family = LINUX_AF_INET6,
		.dst_len = 128,
		.table = LINUX_RT_TABLE_LOCAL,
		.protocol = LINUX_RTPROT_KERNEL,
		.scope = LINUX_RT_SCOPE_UNIVERSE,
		.type = LINUX_RTN_LOCAL,
	};

	if (family == LINUX_AF_UNSPEC || family == LINUX_AF_INET) {
		tell_route4(b, 8, LINUX_RT_SCOPE_HOST, LINUX_RTN_LOCAL, net);
		tell_route4(b, 32, LINUX_RT_SCOPE_HOST, LINUX_RTN_LOCAL, lo4);
		tell_route4(b, 32, LINUX_RT_SCOPE_LINK, LINUX_RTN_BROADCAST, last);
	}
	if (family == LINUX_AF_UNSPEC || family == LINUX_AF_INET6) {
		begin(b, LINUX_RTM_NEWROUTE, &m, sizeof m);
		attr_u32(b, LINUX_RTA_TABLE, LINUX_RT_TABLE_LOCAL);
		attr(b, LINUX_RTA_DST, lo6, sizeof lo6);
		attr_u32(b, LINUX_RTA_PRIORITY, 0);
		attr_u32(b, LINUX_RTA_OIF, LO_INDEX);
		attr(b, LINUX_RTA_CACHEINFO, zeros, sizeof zeros);
		attr_u8(b, LINUX_RTA_PREF, 0);
		end(b);
	}
}

static void tell_rule(struct builder *b, uint8_t family, uint8_t table, uint32_t priority)
{
	struct linux_fib_rule_hdr m = {.family = family, .table = table, .action = LINUX_FR_ACT_TO_TBL};

	begin(b, LINUX_RTM_NEWRULE, &m, sizeof m);
	attr_u32(b, LINUX_FRA_TABLE, table);
	attr_u32(b, LINUX_FRA_SUPPRESS_PREFIXLEN, UINT32_MAX);
	attr_u8(b, LINUX_FRA_PROTOCOL, LINUX_RTPROT_KERNEL);
	if (priority != 0)
		attr_u32(b, LINUX_FRA_PRIORITY, priority);
	end(b);
}

static void tell_rules(struct builder *b, uint8_t family)
{
	if (family == LINUX_AF_UNSPEC || family == LINUX_AF_INET) {
		tell_rule(b, LINUX_AF_INET, LINUX_RT_TABLE_LOCAL, 0);
		tell_rule(b, LINUX_AF_INET, LINUX_RT_TABLE_MAIN, 32766);
		tell_rule(b, LINUX_AF_INET, LINUX_RT_TABLE_DEFAULT, 32767);
	}
	if (family == LINUX_AF_UNSPEC || family == LINUX_AF_INET6) {
		tell_rule(b, LINUX_AF_INET6, LINUX_RT_TABLE_LOCAL, 0);
		tell_rule(b, LINUX_AF_INET6, LINUX_RT_TABLE_MAIN, 32766);
	}
}

/* ---- questions about one thing ---- */

/* The payload of the first attribute of this type in a request, NULL if there is none. */
static const uint8_t *find_attr(const uint8_t *rq, uint32_t len, uint32_t header, uint16_t type, uint32_t *size)
{
	uint32_t at = sizeof(struct linux_nlmsghdr) + LINUX_NLMSG_ALIGN(header);

	while (at <= len && len - at >= sizeof(struct linux_rtattr)) {
		struct linux_rtattr a;

		memcpy(&a, rq + at, sizeof a);
		if (a.len < sizeof a || a.len > len - at)
			return NULL;
		if ((a.type & 0x3fff) == type) {
			*size = a.len - (uint32_t)sizeof a;
			return rq + at + sizeof a;
		}
		at += LINUX_NLMSG_ALIGN(a.len);
	}
	return NULL;
}

static int get_link(struct builder *b, const uint8_t *rq, uint32_t len)
{
	struct linux_ifinfomsg m;
	const uint8_t *name;
	uint32_t size;

	if (len < sizeof(struct linux_nlmsghdr) + sizeof m)
		return -LINUX_EINVAL;
	memcpy(&m, rq + sizeof(struct linux_nlmsghdr), sizeof m);
	name = find_attr(rq, len, sizeof m, LINUX_IFLA_IFNAME, &size);
	if (m.index <= 0 && name == NULL)
		return -LINUX_EINVAL;
	if (m.index > 0 ? m.index != LO_INDEX : size < 2 || memcmp(name, "lo", MIN(size, 3U)) != 0)
		return -LINUX_ENODEV;
	tell_link(b);
	return 0;
}

static int get_route(struct builder *b, const uint8_t *rq, uint32_t len)
{
	static const uint8_t zeros[32];
	struct linux_rtmsg m;
	const uint8_t *dst;
	uint32_t size = 0;
	bool v4;

	if (len < sizeof(struct linux_nlmsghdr) + sizeof m)
		return -LINUX_EINVAL;
	memcpy(&m, rq + sizeof(struct linux_nlmsghdr), sizeof m);
	v4 = m.family == LINUX_AF_INET;
	if (!v4 && m.family != LINUX_AF_INET6)
		return -LINUX_EOPNOTSUPP;
	dst = find_attr(rq, len, sizeof m, LINUX_RTA_DST, &size);
	if (dst == NULL || size < (v4 ? 4U : 16U))
		return dst == NULL ? -LINUX_ENETUNREACH : -LINUX_EINVAL;
	if (v4 ? dst[0] != 127 : memcmp(dst, lo6, sizeof lo6) != 0)
		return -LINUX_ENETUNREACH;
	m = (struct linux_rtmsg){
		.family = m.family,
		.dst_len = v4 ? 32 : 128,
		.table = v4 ? LINUX_RT_TABLE_MAIN : LINUX_RT_TABLE_LOCAL,
		.protocol = v4 ? 0 : LINUX_RTPROT_KERNEL,
		.type = LINUX_RTN_LOCAL,
		.flags = LINUX_RTM_F_CLONED,
	};
	begin(b, LINUX_RTM_NEWROUTE, &m, sizeof m);
	attr_u32(b, LINUX_RTA_TABLE, m.table);
	attr(b, LINUX_RTA_DST, dst, v4 ? 4 : 16);
	attr_u32(b, LINUX_RTA_OIF, LO_INDEX);
	attr(b, LINUX_RTA_PREFSRC, v4 ? lo4 : lo6, v4 ? 4 : 16);
	attr(b, LINUX_RTA_CACHEINFO, zeros, sizeof zeros);
	end(b);
	return 0;
}

/* ---- requests ---- */

static void tell_error(struct builder *b, const uint8_t *rq, uint32_t len, int err, bool cap_ack)
{
	struct {
		int32_t error;
		struct linux_nlmsghdr request;
	} m;
	uint32_t quoted = err != 0 && !cap_ack ? len : (uint32_t)sizeof m.request;

	m.error = err;
	memcpy(&m.request, rq, sizeof m.request);
	/* A request too long to quote is cut: only its header is needed to tell which it was. */
	if (quoted > 1024)
		quoted = sizeof m.request;
	b->flags = quoted < len ? LINUX_NLM_F_CAPPED : 0;
	begin(b, LINUX_NLMSG_ERROR, &m, sizeof m);
	if (quoted > sizeof m.request)
		append(b->out, rq + sizeof m.request, quoted - (uint32_t)sizeof m.request);
	end(b);
}

static void tell_done(struct builder *b)
{
	int32_t zero = 0;

	begin(b, LINUX_NLMSG_DONE, &zero, sizeof zero);
	end(b);
}

static int dump(struct builder *b, uint16_t type, uint8_t family)
{
	b->flags = LINUX_NLM_F_MULTI;
	switch (type) {
	case LINUX_RTM_GETLINK:
		tell_link(b);
		break;
	case LINUX_RTM_GETADDR:
		tell_addrs(b, family);
		break;
	case LINUX_RTM_GETROUTE:
		tell_routes(b, family);
		break;
	case LINUX_RTM_GETRULE:
		tell_rules(b, family);
		break;
	default:
		break; /* neighbours, queues, namespaces...: none */
	}
	tell_done(b);
	return 0;
}

static int answer(struct builder *b, const uint8_t *rq, uint32_t len, const struct linux_nlmsghdr *hdr)
{
	uint8_t family = len > sizeof *hdr ? rq[sizeof *hdr] : LINUX_AF_UNSPEC;

	if (hdr->type > LINUX_RTM_MAX)
		return -LINUX_EOPNOTSUPP;
	if (len == sizeof *hdr)
		return 0; /* as rtnetlink: nothing asked */
	/* Types come in fours: NEW, DEL, GET, SET. Everything but GET changes something. */
	if ((hdr->type & 3) != 2)
		return -LINUX_EPERM;
	if ((hdr->flags & LINUX_NLM_F_DUMP) == LINUX_NLM_F_DUMP)
		return dump(b, hdr->type, family);
	switch (hdr->type) {
	case LINUX_RTM_GETLINK:
		return get_link(b, rq, len);
	case LINUX_RTM_GETROUTE:
		return get_route(b, rq, len);
	default:
		return -LINUX_EOPNOTSUPP;
	}
}

void rtnl_answer(const void *request, uint32_t len, uint32_t port, bool cap_ack, struct rtnl_reply *out)
{
	struct builder b = {.out = out, .port = port};
	struct linux_nlmsghdr hdr;
	uint32_t before = out->len;
	bool is_dump;
	int err;

	memcpy(&hdr, request, sizeof hdr);
	b.seq = hdr.seq;
	if ((hdr.flags & LINUX_NLM_F_REQUEST) == 0 || hdr.type < LINUX_NLMSG_MIN_TYPE) {
		if ((hdr.flags & LINUX_NLM_F_ACK) != 0)
			tell_error(&b, request, len, 0, cap_ack);
		return;
	}
	is_dump = (hdr.flags & LINUX_NLM_F_DUMP) == LINUX_NLM_F_DUMP;
	err = answer(&b, request, len, &hdr);
	if (err != 0 || ((hdr.flags & LINUX_NLM_F_ACK) != 0 && !is_dump))
		tell_error(&b, request, len, err, cap_ack);
	if (out->overflow)
		out->len = before;
}
