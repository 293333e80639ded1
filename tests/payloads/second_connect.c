/* SPDX-License-Identifier: Apache-2.0 */
/* A socket that was allowed once is used for another address. */
#include "payload.h"

PAYLOAD("connect an allowed socket elsewhere", "--egress-allow 127.0.0.1:{allowed}", "errno EISCONN");

int main(void)
{
	struct sockaddr_in a = inet4("127.0.0.1", canary_port("ALLOWED_TCP"));
	struct sockaddr_in b = inet4("127.0.0.1", canary_port("CANARY_TCP"));
	int fd = (int)setup(socket(AF_INET, SOCK_STREAM, 0));

	setup(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	must_fail(connect(fd, (struct sockaddr *)&b, sizeof(b)));
}
