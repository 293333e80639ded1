/* SPDX-License-Identifier: Apache-2.0 */
/* An IPv4 address in IPv6's clothes. */
#include "payload.h"

PAYLOAD("reach the host by ::ffff:127.0.0.1", "", "errno ECONNREFUSED");

int main(void)
{
	struct sockaddr_in6 a = inet6("::ffff:127.0.0.1", canary_port("CANARY_TCP"));
	int fd = (int)setup(socket(AF_INET6, SOCK_STREAM, 0));

	must_fail(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}
