/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages between sentry and monitor, both ways: lengths, types and every field are the input's. The monitor must
 * come out with a result that can be printed; the sentry must live.
 */
#include "tests/fuzz/control.h"

#include "tests/fuzz/fuzz.h"

#include "runtime/core/control_protocol.h"
#include "sentry/abi/errno.h"
#include "sentry/kernel/loop_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

static struct fuzz_input input;

/* A message: its length, its type and where the input goes on. Most are of the right size. */
static size_t make(uint8_t *buf, size_t max)
{
	struct control_message msg = {0};
	uint8_t b = fuzz_u8(&input);
	size_t len = sizeof(msg);

	msg.type = (b & 0x20) ? 0x100U + (b & 15) : b & 31;
	if (b & 0x40) {
		msg.status = (int32_t)fuzz_u32(&input);
		msg.start_errno = (int8_t)fuzz_u8(&input);
		msg.limits = fuzz_u8(&input);
		msg.id = fuzz_u8(&input) & 3;
	}
	if (b & 0x80) {
		memset(msg.text, fuzz_u8(&input), sizeof(msg.text));
		fuzz_bytes(&input, msg.text, 16);
		len = MIN((size_t)fuzz_u16(&input) % 1024, max);
	}
	if (msg.type == CONTROL_PROCESSES && !(b & 0x80)) {
		msg.status = fuzz_u8(&input); /* the count of a list */
		len = MIN(sizeof(struct control_processes), max);
	}
	memset(buf, 0x41, max);
	memcpy(buf, &msg, MIN(sizeof(msg), max));
	if (len == 0)
		len = 1;
	return MIN(len, max);
}

static int64_t to_sentry(int fd, struct msghdr *msg, int flags)
{
	int64_t n;

	(void)fd;
	(void)flags;
	if (!fuzz_more(&input))
		return -LINUX_EAGAIN;
	n = (int64_t)make(msg->msg_iov[0].iov_base, msg->msg_iov[0].iov_len);
	msg->msg_controllen = 0;
	return n;
}

static ssize_t to_monitor(int fd, void *buf, size_t len, int flags)
{
	(void)fd;
	(void)flags;
	if (!fuzz_more(&input)) {
		errno = EAGAIN;
		return -1;
	}
	return (ssize_t)make(buf, len);
}

static void init(void)
{
	world_init(false);
}

static void run(const uint8_t *data, size_t size)
{
	input = (struct fuzz_input){data, data + size};
	fuzz_host.recvmsg = to_sentry;
	fuzz_host.libc_recv = to_monitor;
	if (fuzz_u8(&input) & 1) {
		while (fuzz_more(&input))
			(void)fuzz_monitor_control();
		return;
	}
	while (fuzz_more(&input))
		fuzz_sentry_control();
	loop_turn();
}

const struct fuzz_target fuzz_control = {.name = "control", .init = init, .run = run};
