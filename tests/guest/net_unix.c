/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets: names, streams, datagrams, seqpackets, their ends and errors.
 * covers: socket socketpair bind listen accept accept4 connect getsockname getpeername sendto recvfrom sendmsg recvmsg
 * covers: shutdown setsockopt getsockopt sendmmsg recvmmsg
 */
#include "t.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static socklen_t name_of(struct sockaddr_un *sa, const char *path)
{
        memset(sa, 0, sizeof *sa);
        sa->sun_family = AF_UNIX;
        strcpy(sa->sun_path, path);
        return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

static socklen_t abstract(struct sockaddr_un *sa, const char *name)
{
        memset(sa, 0, sizeof *sa);
        sa->sun_family = AF_UNIX;
        int n = snprintf(sa->sun_path + 1, sizeof sa->sun_path - 1, "%s-%d", name, getpid());
        return offsetof(struct sockaddr_un, sun_path) + 1 + n;
}

static short events_of(int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};

        poll(&p, 1, 0);
        return p.revents;
}

static void pair(int type, int fds[2])
{
        CHECK_OK(socketpair(AF_UNIX, type, 0, fds));
}

/* A listener in an abstract name, a client and the accepted end. */
static void connection(int type, int *l, int *client, int *server)
{
        struct sockaddr_un sa;
        socklen_t len = abstract(&sa, "conn");

        *l = MUST(socket(AF_UNIX, type, 0));
        CHECK_OK(bind(*l, (void *)&sa, len));
        CHECK_OK(listen(*l, 5));
        *client = MUST(socket(AF_UNIX, type, 0));
        CHECK_OK(connect(*client, (void *)&sa, len));
        *server = MUST(accept(*l, NULL, NULL));
}

TEST(socket_refuses_what_it_does_not_know)
{
        CHECK_ERR(socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT);
        CHECK_ERR(socket(46, SOCK_STREAM, 0), EAFNOSUPPORT);
        CHECK_ERR(socket(AF_UNIX, 15, 0), EINVAL);
        CHECK_ERR(socket(AF_UNIX, SOCK_STREAM | 0x100, 0), EINVAL);
        CHECK_ERR(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
        CHECK_ERR(socket(AF_UNIX, SOCK_STREAM, 6), EPROTONOSUPPORT);
        CHECK_ERR(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0}), EOPNOTSUPP);
        CHECK_ERR(socketpair(AF_UNIX, SOCK_STREAM, 0, t_bad), EFAULT);
        int fd = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
        CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
        struct stat st;
        CHECK_OK(fstat(fd, &st));
        CHECK(S_ISSOCK(st.st_mode));
        CHECK_ERR(lseek(fd, 0, SEEK_SET), ESPIPE);
        char c;
        CHECK_ERR(pread(fd, &c, 1, 0), ESPIPE);
        close(fd);
}

TEST(calls_on_what_is_no_socket)
{
        int fd = MUST(open("/dev/null", O_RDWR));
        char c;

        CHECK_ERR(listen(fd, 1), ENOTSOCK);
        CHECK_ERR(send(fd, &c, 1, 0), ENOTSOCK);
        CHECK_ERR(recv(-1, &c, 1, 0), EBADF);
        CHECK_ERR(getsockname(fd, NULL, NULL), ENOTSOCK);
        CHECK_ERR(shutdown(77, 0), EBADF);
        int o = MUST(open("/", O_PATH));
        CHECK_ERR(listen(o, 1), EBADF);
}

TEST(stream_pair_carries_bytes_both_ways)
{
        int fds[2], n;
        char buf[100];

        pair(SOCK_STREAM, fds);
        CHECK_EQ(write(fds[0], "hello", 5), 5);
        CHECK_EQ(send(fds[0], " world", 6, 0), 6);
        CHECK_OK(ioctl(fds[1], FIONREAD, &n));
        CHECK_EQ(n, 11);
        CHECK_EQ(recv(fds[1], buf, 4, MSG_PEEK), 4);
        CHECK_EQ(read(fds[1], buf, sizeof buf), 11);
        CHECK_MEM(buf, "hello world", 11);
        CHECK_EQ(write(fds[1], "back", 4), 4);
        CHECK_EQ(recvfrom(fds[0], buf, 2, 0, NULL, NULL), 2);
        CHECK_EQ(recvfrom(fds[0], buf, 9, 0, NULL, NULL), 2);
        CHECK_ERR(recv(fds[0], buf, 1, MSG_DONTWAIT), EAGAIN);
        CHECK_EQ(write(fds[0], buf, 0), 0);
        CHECK_ERR(recv(fds[1], buf, 1, MSG_DONTWAIT), EAGAIN);
}

TEST(stream_waitall_waits_and_vectors_work)
{
        int fds[2];
        char a[3], b[5];

        pair(SOCK_STREAM, fds);
        if (t_fork() == 0) {
                struct iovec w[2] = {{"ab", 2}, {"cdef", 4}};

                CHECK_EQ(writev(fds[1], w, 2), 6);
                t_until_asleep(getppid());
                CHECK_EQ(write(fds[1], "gh", 2), 2);
                _exit(0);
        }
        struct iovec v[2] = {{a, 3}, {b, 5}};
        struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
        CHECK_EQ(recvmsg(fds[0], &m, MSG_WAITALL), 8);
        CHECK_MEM(a, "abc", 3);
        CHECK_MEM(b, "defgh", 5);
        int status;
        wait(&status);
        CHECK_EQ(status, 0);
}

TEST(closing_ends_the_stream)
{
        int fds[2];
        char c;

        pair(SOCK_STREAM, fds);
        CHECK_EQ(write(fds[0], "x", 1), 1);
        close(fds[0]);
        CHECK_EQ(events_of(fds[1]), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
        CHECK_EQ(read(fds[1], &c, 1), 1);
        CHECK_EQ(read(fds[1], &c, 1), 0);
        signal(SIGPIPE, SIG_IGN);
        CHECK_ERR(write(fds[1], "y", 1), EPIPE);
        CHECK_ERR(send(fds[1], "y", 1, MSG_NOSIGNAL), EPIPE);
}

TEST(closing_with_unread_bytes_resets)
{
        int fds[2], err;
        socklen_t len = sizeof err;
        char c;

        pair(SOCK_STREAM, fds);
        CHECK_EQ(write(fds[0], "x", 1), 1);
        CHECK_EQ(write(fds[1], "last", 4), 4);
        CHECK_EQ(read(fds[0], &c, 1), 1);
        close(fds[1]);
        CHECK_EQ(events_of(fds[0]) & (POLLERR | POLLHUP), POLLERR | POLLHUP);
        CHECK_OK(getsockopt(fds[0], SOL_SOCKET, SO_ERROR, &err, &len));
        CHECK_EQ(err, ECONNRESET);
        CHECK_EQ(read(fds[0], &c, 1), 1);
}

TEST_ALONE(writing_to_a_closed_stream_raises_sigpipe)
{
        IN_CHILD() {
                int fds[2];

                pair(SOCK_STREAM, fds);
                close(fds[1]);
                if (t_fork() == 0) {
                        signal(SIGPIPE, SIG_DFL);
                        write(fds[0], "x", 1);
                        _exit(1);
                }
                int status;
                wait(&status);
                CHECK(WIFSIGNALED(status));
                CHECK_EQ(WTERMSIG(status), SIGPIPE);
        }
}

TEST(shutdown_halves)
{
        int fds[2];
        char c;

        pair(SOCK_STREAM, fds);
        CHECK_ERR(shutdown(fds[0], 3), EINVAL);
        CHECK_OK(shutdown(fds[0], SHUT_WR));
        CHECK_EQ(read(fds[1], &c, 1), 0);
        CHECK_EQ(events_of(fds[1]), POLLIN | POLLOUT | POLLRDHUP);
        CHECK_ERR(send(fds[0], "x", 1, MSG_NOSIGNAL), EPIPE);
        CHECK_EQ(send(fds[1], "x", 1, MSG_NOSIGNAL), 1);
        CHECK_EQ(read(fds[0], &c, 1), 1);
        CHECK_OK(shutdown(fds[0], SHUT_RD));
        CHECK_ERR(send(fds[1], "x", 1, MSG_NOSIGNAL), EPIPE);
        CHECK_EQ(events_of(fds[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
        int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        CHECK_EQ(events_of(fd), POLLOUT | POLLHUP);
        CHECK_OK(shutdown(fd, SHUT_RDWR));
        CHECK_ERR(send(fd, "x", 1, MSG_NOSIGNAL), ENOTCONN);
        CHECK_ERR(recv(fd, &c, 1, 0), EINVAL);
}

TEST(a_full_stream_blocks_and_goes_on)
{
        static char block[100000];
        int fds[2];
        long sent = 0, got = 0, n;

        pair(SOCK_STREAM, fds);
        while ((n = send(fds[0], block, sizeof block, MSG_DONTWAIT)) > 0)
                sent += n;
        CHECK_EQ(errno, EAGAIN);
        CHECK_EQ(events_of(fds[0]), 0);
        CHECK_GE(sent, 65536);
        while ((n = recv(fds[1], block, sizeof block, MSG_DONTWAIT)) > 0)
                got += n;
        CHECK_EQ(got, sent);
        CHECK_EQ(events_of(fds[0]), POLLOUT);
        pid_t pid = t_fork();
        if (pid == 0) {
                for (got = 0; got < 3000000 && (n = read(fds[1], block, sizeof block)) > 0;)
                        got += n;
                _exit(got == 3000000 ? 0 : 1);
        }
        for (sent = 0; sent < 3000000; sent += 100000)
                CHECK_EQ(write(fds[0], block, 100000), 100000);
        t_reap(pid);
}

TEST(timeouts)
{
        int fds[2];
        struct timeval tv = {0, 20000}, got;
        socklen_t len = sizeof got;
        char c;

        pair(SOCK_STREAM, fds);
        CHECK_OK(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
        CHECK_OK(getsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &got, &len));
        CHECK_EQ(got.tv_usec, 20000);
        int64_t before = t_now(CLOCK_MONOTONIC);
        CHECK_ERR(read(fds[0], &c, 1), EAGAIN);
        CHECK_GE(t_now(CLOCK_MONOTONIC) - before, 19000000);
        tv.tv_usec = 1000000;
        CHECK_ERR(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), EDOM);
        CHECK_ERR(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, 8), EINVAL);
}

TEST(interrupted_receive)
{
        int fds[2];
        struct timeval tv = {100, 0};
        char c;

        pair(SOCK_STREAM, fds);
        t_tick(0, NULL);
        CHECK_ERR(read(fds[0], &c, 1), EINTR);
        CHECK_OK(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
        t_tick(SA_RESTART, NULL);
        CHECK_ERR(read(fds[0], &c, 1), EINTR);
        t_tick_stop();
}

TEST(datagrams_keep_boundaries)
{
        int fds[2], n;
        char buf[10];
        struct iovec v = {buf, 3};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

        pair(SOCK_DGRAM, fds);
        CHECK_EQ(write(fds[0], "first", 5), 5);
        CHECK_EQ(write(fds[0], "", 0), 0);
        CHECK_EQ(write(fds[0], "third", 5), 5);
        CHECK_OK(ioctl(fds[1], FIONREAD, &n));
        CHECK_EQ(n, 5);
        CHECK_EQ(recv(fds[1], buf, 2, MSG_PEEK | MSG_TRUNC), 5);
        CHECK_EQ(recvmsg(fds[1], &m, 0), 3);
        CHECK_EQ(m.msg_flags, MSG_TRUNC);
        CHECK_EQ(recv(fds[1], buf, 10, 0), 0);
        CHECK_EQ(recv(fds[1], buf, 10, 0), 5);
        CHECK_ERR(recv(fds[1], buf, 10, MSG_DONTWAIT), EAGAIN);
        static char big[300000];
        CHECK_ERR(send(fds[0], big, sizeof big, 0), EMSGSIZE);
        close(fds[1]);
        CHECK_ERR(send(fds[0], "x", 1, 0), ECONNREFUSED);
        CHECK_ERR(send(fds[0], "x", 1, 0), ENOTCONN);
        CHECK_ERR(recv(fds[0], buf, 10, MSG_DONTWAIT), EAGAIN);
}

TEST(seqpackets_keep_boundaries_and_end)
{
        int fds[2];
        char buf[10];

        pair(SOCK_SEQPACKET, fds);
        CHECK_EQ(write(fds[0], "first", 5), 5);
        CHECK_EQ(send(fds[0], "second", 6, MSG_EOR), 6);
        CHECK_EQ(read(fds[1], buf, 2), 2);
        CHECK_EQ(read(fds[1], buf, 10), 6);
        close(fds[0]);
        CHECK_EQ(read(fds[1], buf, 10), 0);
        CHECK_EQ(recv(fds[1], buf, 10, MSG_DONTWAIT), 0);
        CHECK_ERR(send(fds[1], "x", 1, 0), EPIPE); /* and no signal */
        int fd = MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0));
        CHECK_ERR(send(fd, "x", 1, 0), ENOTCONN);
        CHECK_ERR(recv(fd, buf, 1, 0), ENOTCONN);
}

TEST(path_names)
{
        struct sockaddr_un sa, got;
        socklen_t len, n = sizeof got;
        struct stat st;
        int l, c, s;
        char buf[4];

        t_scratch();
        len = name_of(&sa, "sock");
        l = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        CHECK_ERR(listen(l, 1), EINVAL);
        umask(027);
        CHECK_OK(bind(l, (void *)&sa, len));
        CHECK_OK(stat("sock", &st));
        CHECK(S_ISSOCK(st.st_mode));
        CHECK_EQ(st.st_mode & 0777, 0750);
        CHECK_ERR(open("sock", O_RDWR), ENXIO);
        CHECK_ERR(bind(l, (void *)&sa, len), EADDRINUSE);
        len = name_of(&sa, "again");
        CHECK_ERR(bind(l, (void *)&sa, len), EINVAL);
        len = name_of(&sa, "sock");
        c = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
        CHECK_ERR(connect(c, (void *)&sa, len), EPROTOTYPE);
        c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        CHECK_ERR(bind(c, (void *)&sa, len), EADDRINUSE);
        CHECK_ERR(connect(c, (void *)&sa, len), ECONNREFUSED);
        CHECK_OK(listen(l, 1));
        CHECK_OK(connect(c, (void *)&sa, len));
        CHECK_ERR(connect(c, (void *)&sa, len), EISCONN);
        CHECK_EQ(write(c, "abc", 3), 3); /* before accept */
        CHECK_EQ(events_of(l), POLLIN);
        s = MUST(accept4(l, (void *)&got, &n, SOCK_CLOEXEC));
        CHECK_EQ(n, 2);
        CHECK_EQ(got.sun_family, AF_UNIX);
        CHECK_EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
        CHECK_EQ(read(s, buf, 4), 3);
        n = sizeof got;
        CHECK_OK(getpeername(c, (void *)&got, &n));
        CHECK_EQ(n, len);
        CHECK_STR(got.sun_path, "sock");
        n = sizeof got;
        CHECK_OK(getsockname(s, (void *)&got, &n));
        CHECK_STR(got.sun_path, "sock");
        n = 4;
        CHECK_OK(getsockname(l, (void *)&got, &n));
        CHECK_EQ(n, len);
        close(l);
        c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        CHECK_ERR(connect(c, (void *)&sa, len), ECONNREFUSED);
        CHECK_OK(unlink("sock"));
        CHECK_ERR(connect(c, (void *)&sa, len), ENOENT);
        t_put("plain", "x");
        len = name_of(&sa, "plain");
        CHECK_ERR(connect(c, (void *)&sa, len), ECONNREFUSED);
        len = name_of(&sa, "none/sock");
        CHECK_ERR(bind(c, (void *)&sa, len), ENOENT);
}

TEST(wrong_addresses)
{
        struct sockaddr_un sa;
        socklen_t len = name_of(&sa, "x");
        int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), d = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));

        CHECK_ERR(bind(fd, (void *)&sa, 200), EINVAL);
        CHECK_ERR(bind(fd, (void *)&sa, -1), EINVAL);
        CHECK_ERR(bind(fd, (void *)&sa, 111), EINVAL);
        CHECK_ERR(bind(fd, (void *)&sa, 1), EINVAL);
        CHECK_ERR(bind(fd, t_bad, len), EFAULT);
        CHECK_ERR(connect(fd, (void *)&sa, 2), EINVAL);
        sa.sun_family = AF_INET;
        CHECK_ERR(bind(fd, (void *)&sa, len), EINVAL);
        CHECK_ERR(connect(fd, (void *)&sa, len), EINVAL);
        CHECK_ERR(sendto(d, "x", 1, 0, (void *)&sa, len), EINVAL);
        CHECK_ERR(send(d, "x", 1, 0), ENOTCONN);
        CHECK_ERR(listen(d, 1), EOPNOTSUPP);
        CHECK_ERR(accept(d, NULL, NULL), EOPNOTSUPP);
        CHECK_ERR(accept(fd, NULL, NULL), EINVAL);
        CHECK_ERR(accept4(fd, NULL, NULL, 1), EINVAL);
        CHECK_ERR(getpeername(fd, (void *)&sa, &len), ENOTCONN);
        len = -1;
        CHECK_ERR(getsockname(fd, (void *)&sa, &len), EINVAL);
}

TEST(abstract_and_automatic_names)
{
        struct sockaddr_un sa, got;
        socklen_t len = abstract(&sa, "abs"), n = sizeof got;
        int a = MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), b = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
        char buf[8];

        CHECK_OK(bind(a, (void *)&sa, len));
        CHECK_ERR(bind(b, (void *)&sa, len), EADDRINUSE);
        sa.sun_family = AF_UNIX;
        CHECK_OK(bind(b, (void *)&sa, 2));
        CHECK_OK(getsockname(b, (void *)&got, &n));
        CHECK_EQ(n, 8);
        CHECK_EQ(got.sun_path[0], 0);
        CHECK_EQ(sendto(b, "hi", 2, 0, (void *)&sa, len), 2);
        memset(&got, 0, sizeof got);
        n = sizeof got;
        CHECK_EQ(recvfrom(a, buf, 8, 0, (void *)&got, &n), 2);
        CHECK_EQ(n, 8);
        CHECK_EQ(sendto(a, "yo", 2, 0, (void *)&got, n), 2);
        CHECK_EQ(recv(b, buf, 8, 0), 2);
        int s = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        CHECK_ERR(connect(s, (void *)&sa, len), ECONNREFUSED); /* streams have names of their own */
        close(a);
        CHECK_ERR(sendto(b, "hi", 2, 0, (void *)&sa, len), ECONNREFUSED);
}

TEST(a_datagram_queue_is_bounded)
{
        struct sockaddr_un sa;
        socklen_t len = abstract(&sa, "bound");
        int a = MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), b = MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), n = 0;
        char c;

        CHECK_OK(bind(a, (void *)&sa, len));
        CHECK_OK(connect(b, (void *)&sa, len));
        while (send(b, "x", 1, MSG_DONTWAIT) == 1)
                n++;
        CHECK_EQ(errno, EAGAIN);
        CHECK_GE(n, 11);
        CHECK_EQ(events_of(b) & POLLOUT, 0);
        pid_t pid = t_fork();
        if (pid == 0) {
                t_until_asleep(getppid());
                CHECK_EQ(recv(a, &c, 1, 0), 1);
                _exit(0);
        }
        CHECK_EQ(send(b, "x", 1, 0), 1);
        t_reap(pid);
        while (recv(a, &c, 1, MSG_DONTWAIT) == 1)
                ;
        CHECK_EQ(events_of(b), POLLOUT);
        /* Connected elsewhere: only its peer may send. */
        int d = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
        struct sockaddr_un da;
        socklen_t dlen = abstract(&da, "other");
        CHECK_OK(bind(d, (void *)&da, dlen));
        CHECK_OK(connect(a, (void *)&da, dlen));
        CHECK_ERR(send(b, "x", 1, 0), EPERM);
        CHECK_EQ(sendto(d, "x", 1, 0, (void *)&sa, len), 1);
        da.sun_family = AF_UNSPEC;
        CHECK_OK(connect(a, (void *)&da, sizeof da));
        CHECK_EQ(send(b, "x", 1, 0), 1);
}

TEST(the_backlog_is_bounded)
{
        struct sockaddr_un sa;
        socklen_t len = abstract(&sa, "back");
        int l = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), c, s, n = 0;
        char b;

        CHECK_OK(bind(l, (void *)&sa, len));
        CHECK_OK(listen(l, 2));
        for (;;) {
                c = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
                if (connect(c, (void *)&sa, len) != 0)
                        break;
                n++;
        }
        CHECK_EQ(errno, EAGAIN);
        CHECK_EQ(n, 3);
        fcntl(c, F_SETFL, 0);
        pid_t pid = t_fork();
        if (pid == 0) {
                t_until_asleep(getppid());
                MUST(accept(l, NULL, NULL));
                _exit(0);
        }
        CHECK_OK(connect(c, (void *)&sa, len));
        t_reap(pid);
        s = MUST(accept(l, NULL, NULL));
        close(s);
        close(l);
        /* Never accepted: reset. */
        CHECK_ERR(recv(c, &b, 1, 0), ECONNRESET);
}

TEST(credentials_of_the_peer)
{
        struct ucred cred;
        socklen_t len = sizeof cred;
        int fds[2], l, c, s;

        pair(SOCK_STREAM, fds);
        CHECK_OK(getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &cred, &len));
        CHECK_EQ(cred.pid, getpid());
        CHECK_EQ(cred.uid, geteuid());
        connection(SOCK_STREAM, &l, &c, &s);
        pid_t pid = t_fork();
        if (pid == 0) {
                struct sockaddr_un sa;
                socklen_t n = sizeof sa;

                CHECK_OK(getsockname(l, (void *)&sa, &n));
                c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
                CHECK_OK(connect(c, (void *)&sa, n));
                CHECK_OK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &cred, &len));
                CHECK_EQ(cred.pid, getppid());
                _exit(0);
        }
        s = MUST(accept(l, NULL, NULL));
        CHECK_OK(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &len));
        CHECK_EQ(cred.pid, pid);
        t_reap(pid);
        int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len));
        CHECK_EQ(cred.pid, 0);
        CHECK_EQ(cred.uid, (uid_t)-1);
}

static int get(int fd, int name)
{
        int v = -12345;
        socklen_t len = sizeof v;

        CHECK_OK(getsockopt(fd, SOL_SOCKET, name, &v, &len));
        CHECK_EQ(len, 4);
        return v;
}

static void set(int fd, int name, int v)
{
        CHECK_OK(setsockopt(fd, SOL_SOCKET, name, &v, sizeof v));
}

TEST(socket_options)
{
        int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), v = 1;
        socklen_t len = 4;

        CHECK_EQ(get(fd, SO_TYPE), SOCK_STREAM);
        CHECK_EQ(get(fd, SO_DOMAIN), AF_UNIX);
        CHECK_EQ(get(fd, SO_PROTOCOL), 0);
        CHECK_EQ(get(fd, SO_ACCEPTCONN), 0);
        CHECK_EQ(get(fd, SO_ERROR), 0);
        CHECK_EQ(get(fd, SO_SNDBUF), 212992);
        set(fd, SO_SNDBUF, 10000);
        CHECK_EQ(get(fd, SO_SNDBUF), 20000);
        set(fd, SO_RCVBUF, 1);
        CHECK_EQ(get(fd, SO_RCVBUF), 2304);
        set(fd, SO_PASSCRED, 1);
        CHECK_EQ(get(fd, SO_PASSCRED), 1);
        CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_TYPE, &v, 4), ENOPROTOOPT);
        CHECK_ERR(setsockopt(fd, SOL_SOCKET, 9999, &v, 4), ENOPROTOOPT);
        CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, 3), EINVAL);
        CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, t_bad, 4), EFAULT);
        CHECK_ERR(getsockopt(fd, SOL_SOCKET, 9999, &v, &len), ENOPROTOOPT);
        CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, t_bad), EFAULT);
        CHECK_ERR(setsockopt(fd, 6, 1, &v, 4), EOPNOTSUPP);
        len = 2;
        v = 0;
        CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len));
        CHECK_EQ(len, 2);
        CHECK_EQ(v, SOCK_STREAM);
        struct linger l = {1, 7};
        CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
        l.l_linger = 0;
        len = sizeof l;
        CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
        CHECK_EQ(l.l_linger, 7);
}

TEST(many_messages_at_once)
{
        int fds[2];
        char a[4][8];
        struct iovec v[4];
        struct mmsghdr m[4];

        pair(SOCK_DGRAM, fds);
        memset(m, 0, sizeof m);
        for (int i = 0; i < 4; i++) {
                snprintf(a[i], sizeof a[i], "msg%d", i);
                v[i] = (struct iovec){a[i], 4 + (i == 3)};
                m[i].msg_hdr.msg_iov = &v[i];
                m[i].msg_hdr.msg_iovlen = 1;
        }
        CHECK_EQ(sendmmsg(fds[0], m, 4, 0), 4);
        CHECK_EQ(m[3].msg_len, 5);
        memset(a, 0, sizeof a);
        m[0].msg_len = m[1].msg_len = 0;
        CHECK_EQ(recvmmsg(fds[1], m, 3, 0, NULL), 3);
        CHECK_EQ(m[0].msg_len, 4);
        CHECK_MEM(a[2], "msg2", 4);
        CHECK_EQ(recvmmsg(fds[1], m, 4, MSG_WAITFORONE, NULL), 1);
        CHECK_ERR(recvmmsg(fds[1], m, 4, MSG_DONTWAIT, NULL), EAGAIN);
        struct timespec ts = {0, 1000000000};
        CHECK_ERR(recvmmsg(fds[1], m, 4, MSG_DONTWAIT, &ts), EINVAL);
        CHECK_ERR(recvmmsg(-1, m, 4, 0, NULL), EBADF);
        CHECK_EQ(sendmmsg(fds[0], m, 0, 0), 0);
}

/* Often enough from one place that a kernel which rewrites text will have rewritten it; with names and control data, and with more
 * messages than such a kernel may want to look at beforehand. */
TEST(many_messages_at_once_again_and_again)
{
        int fds[2];
        char text[6][16], same[16];
        struct iovec v[6], w[2];
        struct mmsghdr m[6], *edge = t_edge(2 * sizeof(*edge));
        struct sockaddr_un name[6];
        struct timespec ts;

        pair(SOCK_DGRAM, fds);
        for (int turn = 0; turn < 300; turn++) {
                unsigned n = (unsigned)turn % 6 + 1;

                memset(m, 0, sizeof m);
                for (unsigned i = 0; i < n; i++) {
                        v[i] = (struct iovec){text[i], (size_t)snprintf(text[i], sizeof text[i], "%u of %d", i, turn)};
                        m[i].msg_hdr.msg_iov = &v[i];
                        m[i].msg_hdr.msg_iovlen = 1;
                }
                CHECK_EQ(sendmmsg(fds[0], m, n, 0), n);
                for (unsigned i = 0; i < n; i++) {
                        CHECK_EQ(m[i].msg_len, v[i].iov_len);
                        m[i].msg_len = 77;
                        memset(text[i], '#', sizeof text[i]);
                        v[i].iov_len = sizeof text[i];
                        m[i].msg_hdr.msg_name = &name[i];
                        m[i].msg_hdr.msg_namelen = sizeof name[i];
                }
                ts = (struct timespec){100, 0};
                CHECK_EQ(recvmmsg(fds[1], m, n, MSG_WAITFORONE, &ts), n);
                CHECK(ts.tv_sec <= 100);
                for (unsigned i = 0; i < n; i++) {
                        char want[16];

                        CHECK_EQ(m[i].msg_len, snprintf(want, sizeof want, "%u of %d", i, turn));
                        CHECK_MEM(text[i], want, m[i].msg_len);
                        CHECK_EQ(text[i][m[i].msg_len], '#');
                        CHECK(m[i].msg_hdr.msg_namelen < sizeof name[i]);
                }
                CHECK_ERR(recvmmsg(fds[1], m, n, MSG_DONTWAIT, NULL), EAGAIN);
        }
        /* Two at the end of what is mapped, into the same buffer; a third would lie behind; a buffer that isn't there. */
        for (int turn = 0; turn < 20; turn++) {
                w[0] = (struct iovec){"first", 5};
                w[1] = (struct iovec){"second", 6};
                memset(edge, 0, 2 * sizeof *edge);
                for (unsigned i = 0; i < 2; i++)
                        edge[i].msg_hdr = (struct msghdr){.msg_iov = &w[i], .msg_iovlen = 1};
                CHECK_EQ(sendmmsg(fds[0], edge, 3, 0), 2);
                CHECK_EQ(edge[1].msg_len, 6);
                w[0] = w[1] = (struct iovec){same, sizeof same};
                CHECK_EQ(recvmmsg(fds[1], edge, 3, MSG_DONTWAIT, NULL), 2);
                CHECK_MEM(same, "second", 6);
                CHECK_EQ(edge[0].msg_len, 5);
                CHECK_ERR(recvmmsg(fds[1], edge, 1, MSG_DONTWAIT, NULL), EFAULT); /* the third's */
                w[1].iov_base = t_bad;
                w[1].iov_len = 3;
                w[0].iov_len = 2;
                CHECK_EQ(sendmmsg(fds[0], edge, 2, 0), 1);
                CHECK_ERR(sendmmsg(fds[0], edge + 1, 1, 0), EFAULT);
                CHECK_ERR(sendmmsg(fds[0], t_bad, 1, 0), EFAULT);
                CHECK_EQ(recvmmsg(fds[1], edge, 1, 0, NULL), 1);
                CHECK_EQ(edge[0].msg_len, 2);
        }
}

/* What has come is in the buffer while the rest is waited for. */
TEST(part_of_what_is_waited_for_is_there_at_once)
{
        volatile char *page = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
        int fds[2];
        pid_t child;

        pair(SOCK_STREAM, fds);
        child = t_fork();
        if (child == 0) {
                for (int turn = 0; turn < 300; turn++)
                        CHECK_EQ(recv(fds[1], (char *)page, 2, MSG_WAITALL), 2);
                _exit(0);
        }
        for (int turn = 0; turn < 300; turn++) {
                const char text[2] = {(char)('A' + turn % 26), 'z'};
                int left;

                page[0] = '#';
                CHECK_EQ(send(fds[0], text, 1, 0), 1);
                do
                        CHECK_OK(ioctl(fds[1], FIONREAD, &left));
                while (left != 0);
                t_until_asleep(child);
                CHECK_EQ(page[0], text[0]);
                CHECK_EQ(send(fds[0], text + 1, 1, 0), 1);
                do
                        CHECK_OK(ioctl(fds[1], FIONREAD, &left));
                while (left != 0);
        }
        t_reap(child);
}

TEST(hostile_message_headers)
{
        int fds[2];
        char c = 'x';
        struct iovec v = {&c, 1};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

        pair(SOCK_DGRAM, fds);
        CHECK_ERR(sendmsg(fds[0], t_bad, 0), EFAULT);
        m.msg_iovlen = 1025;
        CHECK_ERR(sendmsg(fds[0], &m, 0), EMSGSIZE);
        CHECK_ERR(recvmsg(fds[0], &m, MSG_DONTWAIT), EMSGSIZE);
        m.msg_iovlen = 1;
        m.msg_iov = t_bad;
        CHECK_ERR(sendmsg(fds[0], &m, 0), EFAULT);
        m.msg_iov = &v;
        m.msg_control = &c;
        m.msg_controllen = 1UL << 40;
        CHECK_ERR(sendmsg(fds[0], &m, 0), ENOBUFS);
        m.msg_controllen = 1000;
        m.msg_control = t_bad;
        CHECK_ERR(sendmsg(fds[0], &m, 0), EFAULT);
        m.msg_control = NULL;
        m.msg_controllen = 0;
        m.msg_name = &c;
        m.msg_namelen = -1;
        CHECK_ERR(sendmsg(fds[0], &m, 0), EINVAL);
        v.iov_base = t_bad;
        m.msg_name = NULL;
        CHECK_ERR(sendmsg(fds[0], &m, 0), EFAULT);
        CHECK_EQ(send(fds[0], &c, 1, 0), 1);
        CHECK_ERR(recv(fds[1], t_bad, 1, 0), EFAULT);
}
