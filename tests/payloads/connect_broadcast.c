/* SPDX-License-Identifier: Apache-2.0 */
/* Everybody at once. */
#include "payload.h"

PAYLOAD("connect to a broadcast address", "",
	"errno ENETUNREACH or errno EHOSTUNREACH or errno ECONNREFUSED or errno EACCES or errno EPERM or errno "
	"ETIMEDOUT");

int main(void)
{
	struct sockaddr_in a = inet4("255.255.255.255", 80);
	int fd = (int)setup(socket(AF_INET, SOCK_STREAM, 0));

	must_fail(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}
