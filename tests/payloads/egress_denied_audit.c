/* SPDX-License-Identifier: Apache-2.0 */
/* A refused connect is told to the operator. */
#include "payload.h"

PAYLOAD("connect elsewhere and be noticed", "", "denied egress");

int main(void)
{
	struct sockaddr_in a = inet4("198.51.100.7", 443);
	int fd = (int)setup(socket(AF_INET, SOCK_STREAM, 0));

	return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}
