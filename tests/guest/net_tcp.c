/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP over loopback, IPv4 and IPv6: connecting, refusing, ending, resets, urgent data, ports.
 * covers: socket bind listen accept connect getsockname getpeername sendto recvfrom shutdown setsockopt getsockopt
 */
#include "t.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

static struct sockaddr_in in4(const char *addr, int port)
{
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};

        CHECK_EQ(inet_pton(AF_INET, addr, &sa.sin_addr), 1);
        return sa;
}

static struct sockaddr_in6 in6(const char *addr, int port)
{
        struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

        CHECK_EQ(inet_pton(AF_INET6, addr, &sa.sin6_addr), 1);
        return sa;
}

static int port_of(int fd)
{
        struct sockaddr_in6 sa;
        socklen_t len = sizeof sa;

        CHECK_OK(getsockname(fd, (void *)&sa, &len));
        return ntohs(sa.sin6_port);
}

static int tcp(void)
{
        return MUST(socket(AF_INET, SOCK_STREAM, 0));
}

static int listener(const char *addr, int backlog)
{
        struct sockaddr_in sa = in4(addr, 0);
        int fd = tcp();

        CHECK_OK(bind(fd, (void *)&sa, sizeof sa));
        CHECK_OK(listen(fd, backlog));
        return fd;
}

static int connect_to(const char *addr, int port)
{
        struct sockaddr_in sa = in4(addr, port);
        int fd = tcp();

        CHECK_OK(connect(fd, (void *)&sa, sizeof sa));
        return fd;
}

static void connection(int *client, int *server)
{
        int l = listener("127.0.0.1", 5);

        *client = connect_to("127.0.0.1", port_of(l));
        *server = MUST(accept(l, NULL, NULL));
        close(l);
}

static short wait_events(int fd, short events)
{
        struct pollfd p = {.fd = fd, .events = events};

        CHECK_EQ(poll(&p, 1, -1), 1);
        return p.revents;
}

static short events_of(int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};

        poll(&p, 1, 0);
        return p.revents;
}

static int error_of(int fd)
{
        int err;
        socklen_t len = sizeof err;

        CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
        return err;
}

TEST(kinds_of_sockets)
{
        CHECK_ERR(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
        CHECK_ERR(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
        CHECK_ERR(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
        CHECK_ERR(socket(AF_INET, SOCK_STREAM, 300), EINVAL);
        CHECK_ERR(socket(AF_INET, SOCK_STREAM, -1), EINVAL);
        close(MUST(socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP)));
        IN_CHILD() {
                if (t_root())
                        t_become_nobody();
                CHECK_ERR(socket(AF_INET, SOCK_RAW, IPPROTO_TCP), EPERM);
                CHECK_ERR(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
        }
}

TEST(a_connection_has_two_names)
{
        int l = listener("127.0.0.1", 5), c, s;
        struct sockaddr_in sa, sb;
        socklen_t len = sizeof sa;
        char buf[8];

        c = connect_to("127.0.0.1", port_of(l));
        s = MUST(accept(l, (void *)&sa, &len));
        CHECK_EQ(len, sizeof sa);
        CHECK_EQ(ntohs(sa.sin_port), port_of(c));
        CHECK_OK(getpeername(c, (void *)&sb, &len));
        CHECK_EQ(ntohs(sb.sin_port), port_of(l));
        CHECK_EQ(sb.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
        CHECK_EQ(port_of(s), port_of(l));
        CHECK_GE(port_of(c), 1024);
        CHECK_EQ(write(c, "ping", 4), 4);
        CHECK_EQ(read(s, buf, 8), 4);
        CHECK_EQ(write(s, "pong", 4), 4);
        CHECK_EQ(recv(c, buf, 8, 0), 4);
        CHECK_ERR(connect(c, (void *)&sb, sizeof sb), EISCONN);
        CHECK_ERR(listen(c, 1), EINVAL);
        CHECK_ERR(connect(l, (void *)&sb, sizeof sb), EISCONN);
        CHECK_ERR(send(l, "x", 1, MSG_NOSIGNAL), EPIPE);
        CHECK_ERR(recv(l, buf, 1, 0), ENOTCONN);
}

TEST(nobody_listens)
{
        int l = listener("127.0.0.1", 1), port = port_of(l), fd = tcp();
        struct sockaddr_in sa = in4("127.0.0.1", port);

        CHECK_EQ(events_of(fd), POLLOUT | POLLHUP);
        close(l);
        CHECK_ERR(connect(fd, (void *)&sa, sizeof sa), ECONNREFUSED);
        CHECK_ERR(connect(fd, (void *)&sa, sizeof sa), ECONNREFUSED);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        CHECK_ERR(connect(fd, (void *)&sa, sizeof sa), EINPROGRESS);
        CHECK_EQ(wait_events(fd, POLLOUT) & POLLERR, POLLERR);
        CHECK_EQ(error_of(fd), ECONNREFUSED);
        CHECK_EQ(error_of(fd), 0);
        int other = tcp();
        char c;
        CHECK_ERR(send(other, "x", 1, MSG_NOSIGNAL), EPIPE);
        CHECK_ERR(recv(other, &c, 1, 0), ENOTCONN);
        CHECK_ERR(shutdown(other, SHUT_RD), ENOTCONN);
        socklen_t len = sizeof sa;
        CHECK_ERR(getpeername(other, (void *)&sa, &len), ENOTCONN);
        sa = in4("127.0.0.1", 1);
        CHECK_ERR(connect(other, (void *)&sa, 15), EINVAL);
        sa.sin_family = AF_UNIX;
        CHECK_ERR(connect(other, (void *)&sa, sizeof sa), EAFNOSUPPORT);
        CHECK_ERR(bind(other, (void *)&sa, sizeof sa), EAFNOSUPPORT);
}

TEST(connecting_without_blocking)
{
        int l = listener("127.0.0.1", 5), fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        struct sockaddr_in sa = in4("127.0.0.1", port_of(l));

        CHECK_ERR(accept4(l, NULL, NULL, 0x1000), EINVAL);
        fcntl(l, F_SETFL, O_NONBLOCK);
        CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
        CHECK_ERR(connect(fd, (void *)&sa, sizeof sa), EINPROGRESS);
        CHECK_EQ(wait_events(fd, POLLOUT), POLLOUT);
        CHECK_EQ(error_of(fd), 0);
        CHECK_OK(connect(fd, (void *)&sa, sizeof sa));
        CHECK_ERR(connect(fd, (void *)&sa, sizeof sa), EISCONN);
        CHECK_EQ(wait_events(l, POLLIN), POLLIN);
        int s = MUST(accept4(l, NULL, NULL, SOCK_NONBLOCK));
        CHECK(fcntl(s, F_GETFL) & O_NONBLOCK);
}

TEST(half_close_and_close)
{
        int c, s;
        char buf[8];

        connection(&c, &s);
        CHECK_EQ(write(c, "end", 3), 3);
        CHECK_OK(shutdown(c, SHUT_WR));
        CHECK_EQ(wait_events(s, POLLRDHUP) & POLLRDHUP, POLLRDHUP);
        CHECK_EQ(read(s, buf, 8), 3);
        CHECK_EQ(read(s, buf, 8), 0);
        CHECK_EQ(read(s, buf, 8), 0);
        CHECK_ERR(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
        CHECK_EQ(write(s, "more", 4), 4);
        CHECK_EQ(read(c, buf, 8), 4);
        close(s);
        CHECK_EQ(wait_events(c, POLLIN) & (POLLIN | POLLHUP), POLLIN | POLLHUP);
        CHECK_EQ(read(c, buf, 8), 0);
}

TEST(writing_to_a_closed_end)
{
        int c, s;
        char buf[8];

        connection(&c, &s);
        close(s);
        wait_events(c, POLLIN);
        CHECK_EQ(read(c, buf, 8), 0);
        CHECK_EQ(send(c, "x", 1, MSG_NOSIGNAL), 1);
        wait_events(c, POLLERR);
        CHECK_ERR(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
        CHECK_ERR(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
        CHECK_EQ(read(c, buf, 8), 0);
}

TEST(closing_with_unread_bytes_resets)
{
        int c, s;

        connection(&c, &s);
        CHECK_EQ(write(c, "unread", 6), 6);
        wait_events(s, POLLIN);
        CHECK_EQ(write(s, "data", 4), 4);
        wait_events(c, POLLIN);
        close(s);
        CHECK_EQ(wait_events(c, 0) & (POLLERR | POLLHUP), POLLERR | POLLHUP);
        CHECK_ERR(send(c, "x", 1, MSG_NOSIGNAL), ECONNRESET);
        CHECK_ERR(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
}

/* A call that began with bytes sent ends with their number; the reset is for the next one. */
TEST(a_long_write_ends_when_the_reset_comes)
{
        enum { PIECE = 1 << 20, PIECES = 64 };
        struct iovec v[PIECES];
        char *piece = malloc(PIECE);
        int client, server, i;
        ssize_t n, sent = 0;

        memset(piece, 'x', PIECE);
        for (i = 0; i < PIECES; i++)
                v[i] = (struct iovec){piece, PIECE};
        signal(SIGPIPE, SIG_IGN);
        connection(&client, &server);
        close(server);
        while ((n = writev(client, v, PIECES)) > 0)
                sent += n;
        CHECK_EQ(n, -1);
        CHECK_EQ(errno, EPIPE);
        CHECK(sent > 0 && sent < PIECE * PIECES);
        CHECK_EQ(error_of(client), 0);
        close(client);
        free(piece);
}

static void *close_with_unread(void *arg)
{
        int fd = *(int *)arg;

        CHECK(wait_events(fd, POLLIN) & POLLIN);
        close(fd);
        return NULL;
}

TEST(a_reset_amid_a_write_is_told_later)
{
        enum { MUCH = 64 << 20 };
        char *much = calloc(1, MUCH);
        int client, server;
        pthread_t thread;
        ssize_t n;

        signal(SIGPIPE, SIG_IGN);
        connection(&client, &server);
        CHECK_EQ(pthread_create(&thread, NULL, close_with_unread, &server), 0);
        n = write(client, much, MUCH);
        CHECK(n > 0 && n < MUCH);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_EQ(error_of(client), ECONNRESET);
        CHECK_ERR(write(client, "x", 1), EPIPE);
        close(client);
        free(much);
}

TEST(lingering_for_no_time_resets)
{
        struct linger l = {1, 0};
        int c, s;
        char b;

        connection(&c, &s);
        CHECK_OK(setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof l));
        close(s);
        CHECK_ERR(read(c, &b, 1), ECONNRESET);
        CHECK_EQ(read(c, &b, 1), 0);
}

TEST(much_data_passes)
{
        enum { TOTAL = 20 << 20 };
        static unsigned char block[77777];
        int c, s;

        connection(&c, &s);
        pid_t pid = t_fork();
        if (pid == 0) {
                unsigned char at = 0;
                ssize_t n;

                close(c);
                while ((n = read(s, block, sizeof block)) > 0)
                        for (ssize_t i = 0; i < n; i++)
                                if (block[i] != at++)
                                        _exit(1);
                _exit(n == 0 ? 0 : 2);
        }
        close(s);
        unsigned char at = 0;
        for (long left = TOTAL; left > 0;) {
                size_t n = left < (long)sizeof block ? (size_t)left : sizeof block;

                for (size_t i = 0; i < n; i++)
                        block[i] = at + i;
                ssize_t sent = MUST(write(c, block, n));
                at += sent;
                left -= sent;
        }
        close(c);
        t_reap(pid);
}

TEST(receive_flags)
{
        int c, s, n;
        char buf[16];

        connection(&c, &s);
        CHECK_EQ(send(c, "abcdef", 6, MSG_MORE), 6);
        CHECK_EQ(send(c, "ghij", 4, 0), 4);
        CHECK_EQ(recv(s, buf, 10, MSG_PEEK | MSG_WAITALL), 10);
        CHECK_OK(ioctl(s, FIONREAD, &n));
        CHECK_EQ(n, 10);
        CHECK_EQ(recv(s, NULL, 3, MSG_TRUNC), 3);
        CHECK_EQ(recv(s, buf, 16, 0), 7);
        CHECK_MEM(buf, "defghij", 7);
        CHECK_ERR(recv(s, buf, 16, MSG_DONTWAIT), EAGAIN);
        CHECK_ERR(recv(s, buf, 16, MSG_ERRQUEUE), EAGAIN);
        int low = 4;
        CHECK_OK(setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
        CHECK_EQ(write(c, "xy", 2), 2);
        pid_t pid = t_fork();
        if (pid == 0) {
                t_until_asleep(getppid());
                CHECK_EQ(write(c, "zw", 2), 2);
                _exit(0);
        }
        CHECK_EQ(wait_events(s, POLLIN), POLLIN);
        CHECK_EQ(recv(s, buf, 16, 0), 4);
        t_reap(pid);
}

TEST(urgent_data)
{
        int c, s, mark;
        char buf[16];

        connection(&c, &s);
        CHECK_ERR(recv(s, buf, 1, MSG_OOB), EINVAL);
        CHECK_EQ(send(c, "abC", 3, MSG_OOB), 3);
        CHECK_EQ(wait_events(s, POLLPRI) & POLLPRI, POLLPRI);
        CHECK_EQ(send(c, "de", 2, 0), 2);
        CHECK_EQ(recv(s, buf, 16, 0), 2);
        CHECK_OK(ioctl(s, SIOCATMARK, &mark));
        CHECK_EQ(mark, 1);
        CHECK_EQ(recv(s, buf, 16, MSG_OOB), 1);
        CHECK_EQ(buf[0], 'C');
        CHECK_ERR(recv(s, buf, 1, MSG_OOB), EINVAL);
        CHECK_EQ(recv(s, buf, 16, 0), 2);
        CHECK_MEM(buf, "de", 2);
        int on = 1;
        CHECK_OK(setsockopt(s, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
        CHECK_EQ(send(c, "fG", 2, MSG_OOB), 2);
        wait_events(s, POLLPRI);
        CHECK_EQ(recv(s, buf, 16, 0), 1);
        CHECK_EQ(recv(s, buf, 16, 0), 1);
        CHECK_EQ(buf[0], 'G');
}

TEST(ports_conflict_and_are_shared)
{
        int l = listener("127.0.0.1", 1), port = port_of(l), a = tcp(), on = 1;
        struct sockaddr_in sa = in4("127.0.0.1", port), any = in4("0.0.0.0", port), two = in4("127.0.0.2", port);

        CHECK_ERR(bind(a, (void *)&sa, sizeof sa), EADDRINUSE);
        CHECK_ERR(bind(a, (void *)&any, sizeof any), EADDRINUSE);
        CHECK_OK(bind(a, (void *)&two, sizeof two));
        CHECK_ERR(bind(a, (void *)&two, sizeof two), EINVAL);
        close(a);
        a = tcp();
        CHECK_OK(setsockopt(a, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
        CHECK_ERR(bind(a, (void *)&sa, sizeof sa), EADDRINUSE);
        close(l);
        int b = tcp();
        CHECK_OK(setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
        CHECK_OK(bind(a, (void *)&sa, sizeof sa));
        CHECK_OK(bind(b, (void *)&sa, sizeof sa));
        CHECK_OK(listen(a, 1));
        CHECK_ERR(listen(b, 1), EADDRINUSE);
        close(a);
        close(b);
        a = tcp();
        b = tcp();
        CHECK_OK(setsockopt(a, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
        CHECK_OK(setsockopt(b, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
        CHECK_OK(bind(a, (void *)&sa, sizeof sa));
        CHECK_OK(bind(b, (void *)&sa, sizeof sa));
        CHECK_OK(listen(a, 64));
        CHECK_OK(listen(b, 64));
        for (int i = 0; i < 40; i++)
                connect_to("127.0.0.1", port);
        CHECK_EQ(events_of(a), POLLIN);
        CHECK_EQ(events_of(b), POLLIN);
}

TEST(addresses_that_are_not_ours)
{
        struct sockaddr_in sa = in4("192.0.2.1", 0);
        struct sockaddr_in6 sa6 = in6("2001:db8::1", 0);
        int fd = tcp(), fd6 = MUST(socket(AF_INET6, SOCK_STREAM, 0));

        CHECK_ERR(bind(fd, (void *)&sa, sizeof sa), EADDRNOTAVAIL);
        CHECK_ERR(bind(fd6, (void *)&sa6, sizeof sa6), EADDRNOTAVAIL);
        CHECK_ERR(bind(fd, (void *)&sa, 15), EINVAL);
        CHECK_ERR(bind(fd6, (void *)&sa6, 23), EINVAL);
        sa = in4("224.0.0.1", 80);
        CHECK_ERR(connect(fd, (void *)&sa, sizeof sa), ENETUNREACH);
        IN_CHILD() {
                if (t_root())
                        t_become_nobody();
                sa = in4("127.0.0.1", 1);
                CHECK_ERR(bind(fd, (void *)&sa, sizeof sa), EACCES);
        }
}

TEST(listening_without_a_name_chooses_a_port)
{
        int l = tcp();

        CHECK_EQ(port_of(l), 0);
        CHECK_OK(listen(l, 1));
        CHECK_GE(port_of(l), 1024);
        connect_to("127.0.0.5", port_of(l));
        connect_to("0.0.0.0", port_of(l));
}

TEST(ipv6_and_dual_stack)
{
        int l = MUST(socket(AF_INET6, SOCK_STREAM, 0)), v, s, fd;
        struct sockaddr_in6 sa = in6("::", 0), got;
        socklen_t len = sizeof v;
        char text[64];

        CHECK_OK(getsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &v, &len));
        CHECK_EQ(v, 0);
        CHECK_OK(bind(l, (void *)&sa, sizeof sa));
        CHECK_OK(listen(l, 5));
        v = 1;
        CHECK_ERR(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof v), EINVAL);
        fd = connect_to("127.0.0.1", port_of(l));
        len = sizeof got;
        s = MUST(accept(l, (void *)&got, &len));
        CHECK_EQ(len, sizeof got);
        CHECK_STR(inet_ntop(AF_INET6, &got.sin6_addr, text, sizeof text), "::ffff:127.0.0.1");
        CHECK_OK(getsockname(s, (void *)&got, &len));
        CHECK_STR(inet_ntop(AF_INET6, &got.sin6_addr, text, sizeof text), "::ffff:127.0.0.1");
        close(fd);
        fd = MUST(socket(AF_INET6, SOCK_STREAM, 0));
        sa = in6("::1", port_of(l));
        CHECK_OK(connect(fd, (void *)&sa, sizeof sa));
        s = MUST(accept(l, (void *)&got, &len));
        CHECK_STR(inet_ntop(AF_INET6, &got.sin6_addr, text, sizeof text), "::1");
        fd = MUST(socket(AF_INET6, SOCK_STREAM, 0));
        sa = in6("::ffff:127.0.0.1", port_of(l));
        CHECK_OK(connect(fd, (void *)&sa, sizeof sa));
        close(MUST(accept(l, NULL, NULL)));
        fd = MUST(socket(AF_INET6, SOCK_STREAM, 0));
        CHECK_OK(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof v));
        CHECK_ERR(connect(fd, (void *)&sa, sizeof sa), ENETUNREACH);
        sa = in6("::", port_of(l));
        CHECK_OK(connect(fd, (void *)&sa, sizeof sa));
        /* A name for IPv4 only beside one for IPv6 only. */
        int a = MUST(socket(AF_INET6, SOCK_STREAM, 0)), b = tcp();
        CHECK_OK(setsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, &v, sizeof v));
        sa = in6("::", 0);
        CHECK_OK(bind(a, (void *)&sa, sizeof sa));
        struct sockaddr_in any = in4("0.0.0.0", port_of(a));
        CHECK_OK(bind(b, (void *)&any, sizeof any));
        any = in4("0.0.0.0", port_of(l));
        int d = tcp();
        CHECK_ERR(bind(d, (void *)&any, sizeof any), EADDRINUSE);
        struct sockaddr_in v4 = in4("127.0.0.1", port_of(l));
        fd = MUST(socket(AF_INET6, SOCK_STREAM, 0));
        CHECK_ERR(connect(fd, (void *)&v4, sizeof v4), EINVAL);
        sa = in6("fe80::1", 1);
        CHECK_ERR(connect(fd, (void *)&sa, sizeof sa), EINVAL);
}

TEST(a_listener_that_closes_resets_its_queue)
{
        int l = listener("127.0.0.1", 5), c = connect_to("127.0.0.1", port_of(l));
        char b;

        close(l);
        CHECK_ERR(read(c, &b, 1), ECONNRESET);
}

TEST(disconnecting_by_af_unspec)
{
        int l = listener("127.0.0.1", 5), c = connect_to("127.0.0.1", port_of(l));
        struct sockaddr sa = {.sa_family = AF_UNSPEC};
        struct sockaddr_in to = in4("127.0.0.1", port_of(l));

        CHECK_OK(connect(c, &sa, sizeof sa));
        CHECK_ERR(send(c, "x", 1, MSG_NOSIGNAL), ECONNRESET);
        CHECK_ERR(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
        CHECK_OK(connect(c, (void *)&to, sizeof to));
        CHECK_EQ(send(c, "x", 1, MSG_NOSIGNAL), 1);
        CHECK_ERR(connect(c, &sa, 1), EINVAL);
}

static int opt(int fd, int level, int name)
{
        int v = -12345;
        socklen_t len = sizeof v;

        CHECK_OK(getsockopt(fd, level, name, &v, &len));
        return v;
}

TEST(options_are_kept)
{
        int c, s, v = 1;
        socklen_t len;

        connection(&c, &s);
        CHECK_EQ(opt(c, IPPROTO_TCP, TCP_NODELAY), 0);
        CHECK_OK(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &v, sizeof v));
        CHECK_EQ(opt(c, IPPROTO_TCP, TCP_NODELAY), 1);
        CHECK_OK(setsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof v));
        CHECK_EQ(opt(c, SOL_SOCKET, SO_KEEPALIVE), 1);
        v = 100;
        CHECK_OK(setsockopt(c, IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof v));
        CHECK_EQ(opt(c, IPPROTO_TCP, TCP_KEEPIDLE), 100);
        CHECK_EQ(opt(s, IPPROTO_TCP, TCP_KEEPINTVL), 75);
        CHECK_EQ(opt(s, IPPROTO_TCP, TCP_KEEPCNT), 9);
        CHECK_EQ(opt(s, IPPROTO_IP, IP_TTL), 64);
        v = 256;
        CHECK_ERR(setsockopt(c, IPPROTO_IP, IP_TTL, &v, sizeof v), EINVAL);
        v = 0;
        CHECK_ERR(setsockopt(c, IPPROTO_TCP, TCP_KEEPCNT, &v, sizeof v), EINVAL);
        CHECK_ERR(setsockopt(c, IPPROTO_TCP, 999, &v, sizeof v), ENOPROTOOPT);
        CHECK_ERR(setsockopt(c, IPPROTO_UDP, 1, &v, sizeof v), ENOPROTOOPT);
        CHECK_EQ(opt(c, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
        CHECK_EQ(opt(c, SOL_SOCKET, SO_ACCEPTCONN), 0);
        CHECK_ERR(setsockopt(c, SOL_SOCKET, SO_PASSCRED, &v, sizeof v), EOPNOTSUPP);
        struct tcp_info info;
        len = sizeof info;
        CHECK_OK(getsockopt(c, IPPROTO_TCP, TCP_INFO, &info, &len));
        CHECK_EQ(info.tcpi_state, TCP_ESTABLISHED);
        close(s);
        wait_events(c, POLLRDHUP);
        CHECK_OK(getsockopt(c, IPPROTO_TCP, TCP_INFO, &info, &len));
        CHECK_EQ(info.tcpi_state, TCP_CLOSE_WAIT);
        char name[16];
        len = sizeof name;
        CHECK_OK(getsockopt(c, IPPROTO_TCP, TCP_CONGESTION, name, &len));
        CHECK_EQ(len, 16);
        CHECK_ERR(setsockopt(c, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8), ENOENT);
        /* For who listens, or will connect. */
        CHECK_ERR(setsockopt(c, IPPROTO_TCP, TCP_FASTOPEN, &v, sizeof v), EINVAL);
        CHECK_OK(setsockopt(MUST(socket(AF_INET, SOCK_STREAM, 0)), IPPROTO_TCP, TCP_FASTOPEN, &v, sizeof v));
}

TEST(edge_triggered_epoll)
{
        int c, s, ep = MUST(epoll_create1(0));
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP}, got;
        char b;

        connection(&c, &s);
        CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev));
        CHECK_EQ(epoll_wait(ep, &got, 1, -1), 1);
        CHECK_EQ(got.events, EPOLLOUT);
        CHECK_EQ(epoll_wait(ep, &got, 1, 0), 0);
        CHECK_EQ(write(s, "x", 1), 1);
        CHECK_EQ(epoll_wait(ep, &got, 1, -1), 1);
        CHECK_EQ(got.events, EPOLLIN | EPOLLOUT);
        CHECK_EQ(epoll_wait(ep, &got, 1, 0), 0);
        CHECK_EQ(write(s, "y", 1), 1);
        CHECK_EQ(epoll_wait(ep, &got, 1, -1), 1);
        close(s);
        CHECK_EQ(epoll_wait(ep, &got, 1, -1), 1);
        CHECK_EQ(got.events & EPOLLRDHUP, EPOLLRDHUP);
        CHECK_EQ(read(c, &b, 1), 1);
}

TEST(a_full_backlog_waits_for_accept)
{
        int l = listener("127.0.0.1", 0), port = port_of(l), first = connect_to("127.0.0.1", port);
        struct sockaddr_in sa = in4("127.0.0.1", port);
        int second = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

        CHECK_ERR(connect(second, (void *)&sa, sizeof sa), EINPROGRESS);
        CHECK_EQ(events_of(second), 0);
        CHECK_ERR(connect(second, (void *)&sa, sizeof sa), EALREADY);
        close(MUST(accept(l, NULL, NULL)));
        close(first);
        close(second);
}
