/* SPDX-License-Identifier: Apache-2.0 */
/* The cloud's metadata service gives credentials away. */
#include "payload.h"

PAYLOAD("reach the metadata service", "",
	"errno ENETUNREACH or errno EHOSTUNREACH or errno ECONNREFUSED or errno EACCES or errno EPERM or errno "
	"ETIMEDOUT");

int main(void)
{
	struct sockaddr_in a = inet4("169.254.169.254", 80);
	int fd = (int)setup(socket(AF_INET, SOCK_STREAM, 0));

	must_fail(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}
