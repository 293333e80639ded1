/* SPDX-License-Identifier: Apache-2.0 */
/* NETLINK_ROUTE's answers: well-formed whatever is asked. */
#include "sentry/net/rtnl.h"

#include "sentry/abi/netlink.h"
#include "sentry/abi/socket.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct rtnl_reply reply;

static void ask(uint16_t type, uint16_t flags, const void *body, uint32_t len)
{
	uint8_t rq[512] = {0};
	struct linux_nlmsghdr hdr = {.len = (uint32_t)sizeof hdr + len, .type = type, .flags = flags, .seq = 42};

	memcpy(rq, &hdr, sizeof hdr);
	memcpy(rq + sizeof hdr, body, len);
	memset(&reply, 0, sizeof reply);
	rtnl_answer(rq, hdr.len, 77, false, &reply);
	cr_assert_not(reply.overflow);
}

/* Walks the messages; counts those of a type, and gives the first. */
static unsigned messages(uint16_t type, struct linux_nlmsghdr *first, const uint8_t **body)
{
	unsigned n = 0;

	for (uint32_t at = 0; at < reply.len;) {
		struct linux_nlmsghdr h;

		memcpy(&h, reply.bytes + at, sizeof h);
		cr_assert_geq(h.len, sizeof h);
		cr_assert_leq(h.len, reply.len - at);
		cr_assert_eq(h.seq, 42);
		cr_assert_eq(h.pid, 77);
		if (h.type == type && n++ == 0 && first != NULL) {
			*first = h;
			*body = reply.bytes + at + sizeof h;
		}
		at += LINUX_NLMSG_ALIGN(h.len);
	}
	return n;
}

static int error_of(void)
{
	struct linux_nlmsghdr h;
	const uint8_t *body;
	int32_t err;

	cr_assert_eq(messages(LINUX_NLMSG_ERROR, &h, &body), 1);
	memcpy(&err, body, sizeof err);
	return err;
}

#define DUMP (LINUX_NLM_F_REQUEST | LINUX_NLM_F_DUMP)

Test(rtnl, links_are_lo_alone)
{
	struct linux_ifinfomsg m = {0};
	struct linux_nlmsghdr h;
	const uint8_t *body;

	ask(LINUX_RTM_GETLINK, DUMP, &m, sizeof m);
	cr_expect_eq(messages(LINUX_RTM_NEWLINK, &h, &body), 1);
	cr_expect_eq(messages(LINUX_NLMSG_DONE, NULL, NULL), 1);
	memcpy(&m, body, sizeof m);
	cr_expect_eq(m.index, 1);
	cr_expect(m.flags & LINUX_IFF_LOOPBACK);
}

Test(rtnl, addresses_by_family)
{
	struct linux_ifaddrmsg m = {0};

	ask(LINUX_RTM_GETADDR, DUMP, &m, sizeof m);
	cr_expect_eq(messages(LINUX_RTM_NEWADDR, NULL, NULL), 2);
	m.family = LINUX_AF_INET;
	ask(LINUX_RTM_GETADDR, DUMP, &m, sizeof m);
	cr_expect_eq(messages(LINUX_RTM_NEWADDR, NULL, NULL), 1);
}

Test(rtnl, errors)
{
	struct linux_rtmsg r = {.family = LINUX_AF_INET, .dst_len = 32};
	uint8_t body[sizeof r + 8] = {0};
	struct linux_rtattr a = {.len = 8, .type = LINUX_RTA_DST};

	ask(LINUX_RTM_NEWADDR, LINUX_NLM_F_REQUEST | LINUX_NLM_F_ACK, body, 8);
	cr_expect_eq(error_of(), -EPERM);
	ask(500, LINUX_NLM_F_REQUEST, body, 16);
	cr_expect_eq(error_of(), -EOPNOTSUPP);
	memcpy(body, &r, sizeof r);
	memcpy(body + sizeof r, &a, sizeof a);
	memcpy(body + sizeof r + 4, "\x08\x08\x08\x08", 4);
	ask(LINUX_RTM_GETROUTE, LINUX_NLM_F_REQUEST, body, sizeof body);
	cr_expect_eq(error_of(), -ENETUNREACH);
	body[sizeof r + 4] = 127;
	ask(LINUX_RTM_GETROUTE, LINUX_NLM_F_REQUEST, body, sizeof body);
	cr_expect_eq(messages(LINUX_RTM_NEWROUTE, NULL, NULL), 1);
}

Test(rtnl, random_requests_get_well_formed_answers)
{
	srand(1);
	for (int round = 0; round < 200000; round++) {
		uint8_t body[64];
		uint32_t len = (uint32_t)rand() % sizeof body;

		for (uint32_t i = 0; i < len; i++)
			body[i] = (uint8_t)(rand() % 3 == 0 ? rand() : rand() % 9);
		ask((uint16_t)(rand() % 130), (uint16_t)(rand() % 2 ? LINUX_NLM_F_REQUEST : rand()), body, len);
		messages(0, NULL, NULL);
	}
}
