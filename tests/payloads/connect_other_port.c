/* SPDX-License-Identifier: Apache-2.0 */
/* One port is allowed, its neighbour is not. */
#include "payload.h"

PAYLOAD("reach another port of an allowed address", "--egress-allow 127.0.0.1:{allowed}", "errno ECONNREFUSED");

int main(void)
{
	struct sockaddr_in a = inet4("127.0.0.1", canary_port("CANARY_TCP"));
	int fd = (int)setup(socket(AF_INET, SOCK_STREAM, 0));

	must_fail(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}
