/* SPDX-License-Identifier: Apache-2.0 */
/* 0.0.0.0 is this host: the sandbox, not the one outside. */
#include "payload.h"

PAYLOAD("reach the host by 0.0.0.0", "", "errno ECONNREFUSED");

int main(void)
{
	struct sockaddr_in a = inet4("0.0.0.0", canary_port("CANARY_TCP"));
	int fd = (int)setup(socket(AF_INET, SOCK_STREAM, 0));

	must_fail(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}
