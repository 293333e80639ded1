/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: channels and waiting within one thread, then between processes. Nobody spins but who the kernel makes spin. */
#include "micro.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

ROW(do_pipe, TRY(write(r->pipe[1], r->block, 1)); TRY(read(r->pipe[0], r->block, 1)))
ROW(do_socketpair, TRY(write(r->pair[1], r->block, 1)); TRY(read(r->pair[0], r->block, 1)))
ROW(do_eventfd, uint64_t v = 1; TRY(write(r->event, &v, 8)); TRY(read(r->event, &v, 8)))
ROW(do_udp, TRY(send(r->udp[0], r->block, 64, 0)); TRY(recv(r->udp[1], r->block, 64, 0)))
ROW(do_poll, struct pollfd p = {.fd = r->pipe[0], .events = POLLIN}; TRY(poll(&p, 1, 0)))
ROW(do_epoll, struct epoll_event e; TRY(epoll_wait(r->epoll, &e, 1, 0)))

int64_t do_select(struct run *r, long n)
{
	struct timeval none = {0, 0};
	fd_set set;

	return TIMED(r, n, FD_ZERO(&set); FD_SET(r->ready[0], &set);
		     TRY(select(r->ready[0] + 1, &set, NULL, NULL, &none)));
}

/* ---- two processes ---- */

void echo(int in, int out)
{
	char buf[64];
	ssize_t got;

	while ((got = read(in, buf, sizeof(buf))) > 0) {
		if (write(out, buf, (size_t)got) != got)
			_exit(1);
	}
	_exit(got < 0);
}

static void there_and_back(struct run *r, int from, int to, unsigned size)
{
	TRY(write(to, r->block, size));
	for (size_t got = 0; got < size;) {
		ssize_t some = TRY(read(from, r->block, size - got));

		if (some == 0) {
			errno = EPIPE;
			fail("the other process");
		}
		got += (size_t)some;
	}
}

int64_t ping_pong(struct run *r, int from, int to, long n, unsigned size)
{
	there_and_back(r, from, to, size); /* the other process is there: its making is another row's */
	return TIMED(r, n, there_and_back(r, from, to, size));
}

int64_t do_pipe_pong(struct run *r, long n)
{
	int there[2], back[2];
	int64_t spent;
	pid_t pid;

	TRY(pipe(there));
	TRY(pipe(back));
	pid = TRY(fork());
	if (pid == 0) {
		close(there[1]);
		echo(there[0], back[1]);
	}
	close(there[0]);
	close(back[1]);
	spent = ping_pong(r, back[0], there[1], n, 1);
	close(there[1]);
	close(back[0]);
	reap(pid);
	return spent;
}

int64_t do_unix_echo(struct run *r, long n)
{
	int64_t spent;
	int pair[2];
	pid_t pid;

	TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = TRY(fork());
	if (pid == 0) {
		close(pair[0]);
		echo(pair[1], pair[1]);
	}
	close(pair[1]);
	spent = ping_pong(r, pair[0], pair[0], n, 64);
	close(pair[0]);
	reap(pid);
	return spent;
}

/* ---- TCP on loopback ---- */

static int listener(struct sockaddr_in *a)
{
	socklen_t len = sizeof(*a);
	int fd = TRY(socket(AF_INET, SOCK_STREAM, 0));

	*a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	TRY(bind(fd, (struct sockaddr *)a, len));
	TRY(listen(fd, 16));
	TRY(getsockname(fd, (struct sockaddr *)a, &len));
	return fd;
}

static void no_delay(int fd)
{
	int one = 1;

	TRY(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
}

static int dial(const struct sockaddr_in *a)
{
	int fd = TRY(socket(AF_INET, SOCK_STREAM, 0));

	TRY(connect(fd, (const struct sockaddr *)a, sizeof(*a)));
	return fd;
}

int64_t do_connect(struct run *r, long n)
{
	struct sockaddr_in a;
	int l = listener(&a);
	int64_t spent;

	spent = TIMED(r, n, int c = dial(&a); int s = TRY(accept(l, NULL, NULL)); close(c); close(s));
	close(l);
	return spent;
}

int64_t do_tcp_echo(struct run *r, long n)
{
	struct sockaddr_in a;
	int l = listener(&a), c;
	pid_t pid = TRY(fork());
	int64_t spent;

	if (pid == 0) {
		int s = TRY(accept(l, NULL, NULL));

		no_delay(s);
		echo(s, s);
	}
	c = dial(&a);
	no_delay(c);
	spent = ping_pong(r, c, c, n, 64);
	close(c);
	close(l);
	reap(pid);
	return spent;
}
