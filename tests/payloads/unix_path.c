/* SPDX-License-Identifier: Apache-2.0 */
/* A server's socket on the host, by its path. */
#include "payload.h"

PAYLOAD("reach a unix socket of the host by path", "", "errno ECONNREFUSED");

int main(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = (int)setup(socket(AF_UNIX, SOCK_STREAM, 0));

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", canary("CANARY_SOCKET"));
	must_fail(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}
