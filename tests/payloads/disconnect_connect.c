/* SPDX-License-Identifier: Apache-2.0 */
/* AF_UNSPEC undoes a connect: then another address. */
#include "payload.h"

PAYLOAD("disconnect an allowed socket and connect it elsewhere", "--egress-allow 127.0.0.1:{allowed}",
	"errno EISCONN or errno EINVAL or errno ECONNREFUSED or errno EAFNOSUPPORT");

int main(void)
{
	struct sockaddr_in a = inet4("127.0.0.1", canary_port("ALLOWED_TCP"));
	struct sockaddr_in b = inet4("127.0.0.1", canary_port("CANARY_TCP"));
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd = (int)setup(socket(AF_INET, SOCK_STREAM, 0));

	setup(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	connect(fd, &none, sizeof(none));
	must_fail(connect(fd, (struct sockaddr *)&b, sizeof(b)));
}
