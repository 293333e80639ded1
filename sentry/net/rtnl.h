/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of NETLINK_ROUTE, pure: a request's bytes in, reply bytes out. The view is fixed: lo, its two addresses, the
 * local routes, the default rules.
 */
#ifndef SENTRY_NET_RTNL_H
#define SENTRY_NET_RTNL_H

#include "sentry/base/types.h"

#define RTNL_REPLY_MAX 4096U

struct rtnl_reply {
	uint8_t bytes[RTNL_REPLY_MAX];
	uint32_t len;
	bool overflow; /* something didn't fit: never, by the sizes of what is told */
};

/*
 * Answers one request of len bytes (its header included, len is at least a header's size). port: the asker's port id, which
 * replies carry. cap_ack: error replies don't quote the request. Appends to *out, which may stay empty (nothing to say).
 */
void rtnl_answer(const void *request, uint32_t len, uint32_t port, bool cap_ack, struct rtnl_reply *out);

#endif
