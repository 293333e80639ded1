/* SPDX-License-Identifier: Apache-2.0 */
/* The same on a socket whose connect has failed, by sendmsg. */
#include "payload.h"

PAYLOAD("connect a failed socket by MSG_FASTOPEN", "--egress-allow 127.0.0.1:1",
	"errno EOPNOTSUPP or errno ECONNREFUSED or errno ENOTCONN or errno EPIPE");

int main(void)
{
	struct sockaddr_in dead = inet4("127.0.0.1", 1), a = inet4("127.0.0.1", canary_port("CANARY_TCP"));
	struct iovec v = {"x", 1};
	struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = &v, .msg_iovlen = 1};
	int fd = (int)setup(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	signal(SIGPIPE, SIG_IGN);
	connect(fd, (struct sockaddr *)&dead, sizeof(dead));
	usleep(100000);
	must_fail(sendmsg(fd, &m, MSG_FASTOPEN));
}
