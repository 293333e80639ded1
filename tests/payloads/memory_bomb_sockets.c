/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors sent in sockets sent in sockets. */
#include "payload.h"

PAYLOAD("use all memory in sockets in flight", "--memory 48m --timeout 60s",
	"errno ETOOMANYREFS or errno ENOMEM or errno ENOBUFS or errno EMFILE or errno EAGAIN or limit memory");

int main(void)
{
	int prev = -1;

	for (int i = 0; i < 1000000; i++) {
		char c = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
		struct iovec v = {&c, 1};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
		int s[2];

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
			refused(errno);
		if (prev >= 0) {
			struct cmsghdr *h;

			m.msg_control = control;
			m.msg_controllen = sizeof(control);
			h = CMSG_FIRSTHDR(&m);
			h->cmsg_level = SOL_SOCKET;
			h->cmsg_type = SCM_RIGHTS;
			h->cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(h), &prev, sizeof(int));
			if (sendmsg(s[0], &m, MSG_DONTWAIT) < 0)
				refused(errno);
			close(prev);
		}
		close(s[0]);
		prev = s[1];
	}
	return 0;
}
