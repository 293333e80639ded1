/* SPDX-License-Identifier: Apache-2.0 */
/* sendto with MSG_FASTOPEN connects without connect. */
#include "payload.h"

PAYLOAD("connect by MSG_FASTOPEN", "", "errno EOPNOTSUPP or errno ECONNREFUSED or errno ENOTCONN or errno EPIPE");

int main(void)
{
	struct sockaddr_in a = inet4("127.0.0.1", canary_port("CANARY_TCP"));
	int fd = (int)setup(socket(AF_INET, SOCK_STREAM, 0));

	signal(SIGPIPE, SIG_IGN);
	must_fail(sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&a, sizeof(a)));
}
