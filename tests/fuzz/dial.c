/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages about connections with the world, both ways: the monitor takes requests of a sentry that was taken over,
 * and the sentry takes replies of nobody it trusts. Checked: what the monitor connects to is inside the one rule
 * (10.0.0.0/8, ports 80 to 443), and what it listens on is what a rule names (ports 8000 to 8015 anywhere, 9000 at
 * 127.0.0.1), by this file's own arithmetic; no more dials and sockets than allowed; every wait of the sentry ends at
 * most once.
 *
 * No socket is connected (host.c): a dial is refused, under way or done as its port says.
 */
#include "tests/fuzz/fuzz.h"

#include "runtime/config.h"
#include "runtime/core/dial.h"
#include "runtime/core/dial_protocol.h"
#include "runtime/core/ingress.h"
#include "sentry/abi/errno.h"
#include "sentry/kernel/loop_internal.h"
#include "sentry/net/dial.h"
#include "sentry/net/ingress.h"
#include "sentry/platform/stubs/stubs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAITS 8U

static struct fuzz_input input;
static struct config *cfg;
static bool connected_right;
static struct {
	struct dial_wait wait;
	bool pending;
} waits[WAITS];
static int some_fd, wake[2];

/* ---- the monitor's side ---- */

static ssize_t give_request(int fd, void *buf, size_t len, int flags)
{
	static const uint8_t addrs[][16] = {{10, 1, 2, 3},
					    {10, 0, 0, 0},
					    {127, 0, 0, 1},
					    {169, 254, 169, 254},
					    {0},
					    {255, 255, 255, 255},
					    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3},
					    {0xfe, 0x80, [15] = 1},
					    {[15] = 1},
					    {224, 0, 0, 1}};
	struct dial_request rq = {.version = DIAL_VERSION};
	uint8_t b;

	(void)fd;
	(void)flags;
	if (!fuzz_more(&input)) {
		errno = EAGAIN;
		return -1;
	}
	b = fuzz_u8(&input);
	if (b == 0xff) { /* anything at all */
		fuzz_bytes(&input, &rq, sizeof(rq));
		memcpy(buf, &rq, MIN(len, sizeof(rq)));
		return fuzz_u8(&input);
	}
	rq.op = (b & 7) % 6;
	rq.family = (b & 0x10) ? 6 : 4;
	rq.count = (b & 0x20) ? fuzz_u32(&input) : 1;
	rq.id = fuzz_u8(&input);
	rq.port = (b & 8) ? fuzz_u16(&input) : (rq.op >= DIAL_LISTEN ? 7998 : 80) + (fuzz_u8(&input) & 31);
	b = fuzz_u8(&input);
	memcpy(rq.addr, addrs[b % ARRAY_LEN(addrs)], 16);
	if (b & 0x80)
		rq.addr[fuzz_u8(&input) & 15] ^= fuzz_u8(&input);
	memcpy(buf, &rq, sizeof(rq));
	return sizeof(rq);
}

static int accepting, full; /* connections that wait; replies that don't fit */

static int give_connection(struct sockaddr *addr, socklen_t *len)
{
	if (accepting == 0) {
		errno = EAGAIN;
		return -1;
	}
	accepting--;
	memset(addr, 0, *len);
	addr->sa_family = (accepting & 1) ? AF_INET6 : AF_INET;
	return fcntl(some_fd, F_DUPFD_CLOEXEC, 0);
}

static ssize_t check_reply(int fd, const struct msghdr *msg, int flags)
{
	const struct dial_reply *r = msg->msg_iov[0].iov_base;

	(void)fd;
	(void)flags;
	FUZZ_CHECK(msg->msg_iov[0].iov_len == sizeof(*r) && r->version == DIAL_VERSION && r->error >= 0);
	FUZZ_CHECK(r->op >= DIAL_CONNECTED && r->op <= DIAL_ARRIVED);
	FUZZ_CHECK((r->op != DIAL_LISTENS && r->error == 0) == (msg->msg_controllen != 0));
	if (r->op == DIAL_ARRIVED && full) {
		full--;
		errno = EAGAIN;
		return -1;
	}
	return sizeof(*r);
}

static void check_bound(int fd, const uint8_t *addr, bool v6, uint16_t port)
{
	static const uint8_t any[16], lo[4] = {127, 0, 0, 1};

	(void)fd;
	FUZZ_CHECK((port >= 8000 && port <= 8015 && memcmp(addr, any, v6 ? 16 : 4) == 0) ||
		   (port == 9000 && !v6 && memcmp(addr, lo, 4) == 0));
}

static void monitor_side(void)
{
	struct pollfd fds[DIAL_MAX_PENDING + 1], ears[INGRESS_MAX_SOCKETS + 1];
	struct dial_request rq = {.version = DIAL_VERSION, .op = DIAL_CANCEL};
	int n;

	fuzz_host.libc_recv = give_request;
	fuzz_host.libc_sendmsg = check_reply;
	fuzz_host.libc_accept = give_connection;
	fuzz_host.bound = check_bound;
	accepting = fuzz_u8(&input);
	full = fuzz_u8(&input) & 3;
	for (int turn = 0; turn < 3; turn++) {
		FUZZ_CHECK(dial_handle(-1, cfg) <= 0);
		n = ingress_pollfds(ears, INGRESS_MAX_SOCKETS + 1);
		FUZZ_CHECK(n <= INGRESS_MAX_SOCKETS && ingress_timeout_ms() >= -1);
		for (int i = 0; i < n; i++)
			ears[i].revents = POLLIN;
		ingress_ready(-1, ears, n);
	}
	ingress_close();
	FUZZ_CHECK(ingress_pollfds(ears, INGRESS_MAX_SOCKETS + 1) == 0 && ingress_timeout_ms() == -1);
	fuzz_host.bound = NULL;
	n = dial_pollfds(fds, DIAL_MAX_PENDING + 1);
	FUZZ_CHECK(n <= DIAL_MAX_PENDING && dial_timeout_ms() >= -1);
	for (int i = 0; i < n; i++)
		fds[i].revents = POLLOUT; /* they have all ended: nothing is left for the next run */
	dial_ready(-1, fds, n);
	FUZZ_CHECK(dial_pollfds(fds, DIAL_MAX_PENDING + 1) == 0);
	(void)rq;
}

/* ---- the sentry's side ---- */

static void done(struct dial_wait *w, int fd, int error)
{
	unsigned i = (unsigned)((char *)w - (char *)waits) / sizeof(waits[0]);

	FUZZ_CHECK(waits[i].pending && (fd >= 0) == (error == 0) && error >= 0 && error < 512);
	waits[i].pending = false;
	if (fd >= 0)
		close(fd);
}

static int64_t give_reply(int fd, struct msghdr *msg, int flags)
{
	struct dial_reply r = {.version = DIAL_VERSION};
	struct cmsghdr *cm = msg->msg_control;
	uint8_t b = fuzz_u8(&input);
	int passed;

	(void)fd;
	(void)flags;
	if (!fuzz_more(&input) || b == 0)
		return -LINUX_EAGAIN;
	if (b & 1) {
		r.op = (b & 8) ? DIAL_CONNECTED : 1 + (b >> 4 & 3);
		r.id = r.op == DIAL_CONNECTED ? waits[b >> 5].wait.id : 1 + (b >> 6);
		r.family = 4;
		r.error = (b & 2) ? 0 : fuzz_u8(&input);
	} else {
		fuzz_bytes(&input, &r, sizeof(r));
		if (b & 2)
			r.version = DIAL_VERSION;
	}
	memcpy(msg->msg_iov[0].iov_base, &r, sizeof(r));
	if (b & 4) {
		passed = fcntl(some_fd, F_DUPFD_CLOEXEC, 0);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &passed, sizeof(passed));
	} else {
		msg->msg_controllen = 0;
	}
	return (b & 0x18) == 0x18 ? b >> 4 : (int64_t)sizeof(r);
}

static void sentry_side(void)
{
	struct inet_ep ep = {.port = 80};
	uint8_t b;

	fuzz_host.recvmsg = give_reply;
	while (fuzz_more(&input)) {
		unsigned i;

		b = fuzz_u8(&input);
		i = b % WAITS;
		if (b & 0x80) {
			loop_turn();
		} else if (b & 0x40) {
			dial_cancel(&waits[i].wait);
			waits[i].pending = false;
		} else if (!waits[i].pending) {
			waits[i].pending = true;
			ep.addr.b[15] = b;
			if (dial_start(&waits[i].wait, &ep, done) != 0)
				waits[i].pending = false;
		}
	}
	for (unsigned i = 0; i < WAITS; i++) {
		if (waits[i].pending)
			dial_cancel(&waits[i].wait);
		waits[i].pending = false;
	}
}

static void no_sleep(void)
{
}
static const struct stub_transport no_transport = {.before_sleep = no_sleep};

static int always_ready(int64_t timeout)
{
	(void)timeout;
	return 2;
}

static void init(void)
{
	cfg = calloc(1, sizeof(*cfg));
	cfg->negress = 1;
	cfg->ningress = 2;
	cfg->ingress[0] = (struct config_ingress){.port_lo = 8000, .port_hi = 8015};
	cfg->ingress[1] = (struct config_ingress){.family = 4, .addr = {127, 0, 0, 1}, .port_lo = 9000, .port_hi = 9000};
	cfg->egress[0] = (struct config_egress){.family = 4, .prefix = 8, .addr = {10}, .port_lo = 80, .port_hi = 443};
	transport = &no_transport;
	fuzz_host.poll = always_ready;
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, wake) == 0 && write(wake[1], "x", 1) == 1);
	some_fd = wake[1];
	FUZZ_CHECK(loop_init() == 0 && dial_init(wake[0]) == 0);
}

static void check_address(const uint8_t *addr, bool v6, uint16_t port)
{
	connected_right = !v6 && addr[0] == 10 && port >= 80 && port <= 443;
	FUZZ_CHECK(connected_right);
}

static void run(const uint8_t *data, size_t size)
{
	input = (struct fuzz_input){data, data + size};
	fuzz_host.connected = check_address;
	if (fuzz_u8(&input) & 1)
		monitor_side();
	else
		sentry_side();
}

const struct fuzz_target fuzz_dial = {.name = "dial", .init = init, .run = run};
