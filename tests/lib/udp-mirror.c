/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of datagrams for images that have none: udp-mirror PORT. Answers each datagram with who sent it and its bytes,
 * from the address that it was sent to. Of one that says "to ADDR PORT" a copy goes there before, and the answer begins
 * with what became of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int elsewhere(int fd, const char *text, size_t len)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	char addr[32];
	unsigned port;

	if (sscanf(text, "to %31s %u", addr, &port) != 2 || inet_pton(AF_INET, addr, &to.sin_addr) != 1)
		return 0;
	to.sin_port = htons((unsigned short)port);
	return sendto(fd, text, len, 0, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in us = {.sin_family = AF_INET}, them;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1;

	if (argc != 2)
		return 2;
	us.sin_port = htons((unsigned short)atoi(argv[1]));
	setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&us, sizeof us) != 0) {
		perror("bind");
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		char data[2048], answer[4096], control[64] __attribute__((aligned(8)));
		struct iovec iov = {data, sizeof data - 1};
		struct msghdr msg = {&them, sizeof them, &iov, 1, control, sizeof control, 0};
		ssize_t n = recvmsg(fd, &msg, 0);
		int err;

		if (n < 0)
			return 1;
		data[n] = '\0';
		err = elsewhere(fd, data, (size_t)n);
		iov.iov_base = answer;
		iov.iov_len = (size_t)snprintf(answer, sizeof answer, "%d %s %u %s", err, inet_ntoa(them.sin_addr), ntohs(them.sin_port), data);
		/* The address of the answer is that of the question: the control message goes back as it came. */
		if (sendmsg(fd, &msg, 0) < 0)
			perror("sendmsg");
	}
}
