/* SPDX-License-Identifier: Apache-2.0 */
/* The host's loopback by IPv6. */
#include "payload.h"

PAYLOAD("reach a server on the host's ::1", "", "errno ECONNREFUSED");

int main(void)
{
	struct sockaddr_in6 a = inet6("::1", canary_port("CANARY_TCP6"));
	int fd = (int)setup(socket(AF_INET6, SOCK_STREAM, 0));

	must_fail(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}
