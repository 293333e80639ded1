/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to the sentry that must not be lost: "this exec's process ends", signals that somebody was told are sent.
 *
 *	room in the socket --> sent
 *	none (a paused sentry reads nothing; one that was taken over need not either) --> kept here, sent by owed_pay when poll
 *	    says that there is room
 *
 * The monitor never waits for the sentry, so without this a full socket would swallow them: a command's end while a container
 * is paused left its process running. Order is kept: while something is owed, nothing else of the kind is sent past it, and
 * new processes aren't started (owed_pay first), so no more kills can be owed than there were connections.
 *
 * Who may fill it: whoever may use the control socket, and a sentry that doesn't read; both get a fixed array full.
 */
#include "runtime/core/owed.h"

#include "runtime/core/control_protocol.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct owed {
	uint32_t type, container, id;
	int32_t status;
};

static struct owed owed[OWED_MAX];
static unsigned first, count;

/* Sent, or it never can be: the sentry is gone, and with it all that this was about. */
static bool send_now(int fd, const struct owed *o)
{
	struct control_message msg = {.type = o->type, .container = o->container, .id = o->id, .status = o->status};

	return send(fd, &msg, sizeof(msg), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(msg) ||
	       (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM && errno != EINTR);
}

bool owed_any(void)
{
	return count != 0;
}

bool owed_pay(int fd)
{
	if (fd < 0)
		count = 0;
	while (count != 0) {
		if (!send_now(fd, &owed[first]))
			return false;
		first = (first + 1) % OWED_MAX;
		count--;
	}
	return true;
}

bool owed_tell(int fd, uint32_t type, uint32_t container, uint32_t id, int32_t status, bool urgent)
{
	struct owed o = {type, container, id, status};

	if (owed_pay(fd) && (fd < 0 || send_now(fd, &o)))
		return fd >= 0;
	if (count >= (urgent ? OWED_MAX : OWED_MAX - OWED_KILLS))
		return false;
	owed[(first + count) % OWED_MAX] = o;
	count++;
	return true;
}
