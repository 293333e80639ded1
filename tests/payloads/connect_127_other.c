/* SPDX-License-Identifier: Apache-2.0 */
/* All of 127.0.0.0/8 is loopback. */
#include "payload.h"

PAYLOAD("reach the host by 127.1.2.3", "", "errno ECONNREFUSED");

int main(void)
{
	struct sockaddr_in a = inet4("127.1.2.3", canary_port("CANARY_TCP"));
	int fd = (int)setup(socket(AF_INET, SOCK_STREAM, 0));

	must_fail(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}
