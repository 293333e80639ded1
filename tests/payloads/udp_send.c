/* SPDX-License-Identifier: Apache-2.0 */
/* UDP has no connect to be checked. */
#include "payload.h"

PAYLOAD("send UDP to the host", "", "exit 0");

int main(void)
{
	struct sockaddr_in a = inet4("127.0.0.1", canary_port("CANARY_UDP")), b = inet4("198.51.100.1", 53);
	int fd = (int)setup(socket(AF_INET, SOCK_DGRAM, 0));

	/* To the loopback it may go: the sandbox's own. The canary outside hears nothing. */
	for (int i = 0; i < 10; i++)
		sendto(fd, "hello", 5, 0, (struct sockaddr *)&a, sizeof(a));
	if (sendto(fd, "hello", 5, 0, (struct sockaddr *)&b, sizeof(b)) == 5)
		escaped("a datagram to 198.51.100.1 was taken");
	return 0;
}
