/* SPDX-License-Identifier: Apache-2.0 */
/* The rule is IPv4's; mapped, it must mean the same port and no other. */
#include "payload.h"

PAYLOAD("get around a rule by a mapped address", "--egress-allow 127.0.0.1:{allowed}", "errno ECONNREFUSED");

int main(void)
{
	struct sockaddr_in6 a = inet6("::ffff:127.0.0.1", canary_port("CANARY_TCP"));
	int fd = (int)setup(socket(AF_INET6, SOCK_STREAM, 0));

	must_fail(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}
