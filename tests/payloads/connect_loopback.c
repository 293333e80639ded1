/* SPDX-License-Identifier: Apache-2.0 */
/* The host's loopback is not the sandbox's. */
#include "payload.h"

PAYLOAD("reach a server on the host's 127.0.0.1", "", "errno ECONNREFUSED");

int main(void)
{
	struct sockaddr_in a = inet4("127.0.0.1", canary_port("CANARY_TCP"));
	int fd = (int)setup(socket(AF_INET, SOCK_STREAM, 0));

	must_fail(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}
