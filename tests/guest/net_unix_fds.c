/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What unix messages carry beside bytes: descriptors and credentials, and what becomes of those nobody receives.
 * covers: sendmsg recvmsg socketpair
 */
#include "t.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

union control {
        char bytes[2048];
        struct cmsghdr align;
};

static ssize_t send_fds(int to, const int *fds, int n, const char *text)
{
        union control c;
        struct iovec v = {(void *)text, strlen(text)};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(n * 4)};

        memset(&c, 0, sizeof c);
        c.align = (struct cmsghdr){.cmsg_len = CMSG_LEN(n * 4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&c.align), fds, n * 4);
        return sendmsg(to, &m, MSG_NOSIGNAL);
}

/* Receives up to 10 bytes; *n in: room for descriptors, out: how many came. */
static ssize_t recv_fds(int from, int *fds, int *n, int flags, int *out_flags)
{
        union control c;
        char buf[10];
        struct iovec v = {buf, sizeof buf};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_LEN(*n * 4)};
        ssize_t got = recvmsg(from, &m, flags);

        *n = 0;
        if (got < 0)
                return got;
        if (out_flags != NULL)
                *out_flags = m.msg_flags;
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        if (h != NULL && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
                *n = (h->cmsg_len - CMSG_LEN(0)) / 4;
                memcpy(fds, CMSG_DATA(h), *n * 4);
        }
        return got;
}

static int lowest_free(void)
{
        int fd = MUST(dup(0));

        close(fd);
        return fd;
}

TEST(a_descriptor_arrives_as_the_same_file)
{
        int s[2], p[2], got[4], n = 4, flags;

        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
        CHECK_OK(pipe(p));
        CHECK_EQ(send_fds(s[0], p, 2, "x"), 1);
        CHECK_EQ(recv_fds(s[1], got, &n, MSG_CMSG_CLOEXEC, &flags), 1);
        CHECK_EQ(n, 2);
        CHECK_EQ(flags & MSG_CTRUNC, 0);
        CHECK_EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
        CHECK_EQ(write(got[1], "y", 1), 1);
        char c;
        CHECK_EQ(read(p[0], &c, 1), 1);
        CHECK_EQ(c, 'y');
}

TEST(descriptors_that_find_no_room_are_closed)
{
        int s[2], p[2], got[4], n = 1, flags, before;
        char c;

        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
        CHECK_OK(pipe(p));
        before = lowest_free();
        CHECK_EQ(send_fds(s[0], (int[]){p[0], p[1]}, 2, "x"), 1);
        CHECK_EQ(recv_fds(s[1], got, &n, 0, &flags), 1);
        CHECK_EQ(n, 1);
        CHECK(flags & MSG_CTRUNC);
        CHECK_EQ(got[0], before);
        close(got[0]);
        /* Plain read loses them. */
        CHECK_EQ(send_fds(s[0], &p[1], 1, "x"), 1);
        close(p[1]);
        CHECK_EQ(read(s[1], &c, 1), 1);
        CHECK_EQ(read(p[0], &c, 1), 0);
}

TEST(a_stream_read_stops_behind_descriptors)
{
        int s[2], got[4], n = 4;

        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
        CHECK_EQ(write(s[0], "ab", 2), 2);
        CHECK_EQ(send_fds(s[0], &s[0], 1, "cd"), 2);
        CHECK_EQ(write(s[0], "ef", 2), 2);
        CHECK_EQ(recv_fds(s[1], got, &n, 0, NULL), 4);
        CHECK_EQ(n, 1);
        n = 4;
        CHECK_EQ(recv_fds(s[1], got, &n, 0, NULL), 2);
        CHECK_EQ(n, 0);
}

TEST(peeking_gives_descriptors_of_its_own)
{
        int s[2], got[4], n = 4;

        CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
        CHECK_EQ(send_fds(s[0], &s[0], 1, "x"), 1);
        CHECK_EQ(recv_fds(s[1], got, &n, MSG_PEEK, NULL), 1);
        CHECK_EQ(n, 1);
        close(got[0]);
        n = 4;
        CHECK_EQ(recv_fds(s[1], got, &n, 0, NULL), 1);
        CHECK_EQ(n, 1);
}

TEST(bad_descriptors_send_nothing)
{
        int s[2], many[254];
        char c;

        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
        CHECK_ERR(send_fds(s[0], (int[]){0, 99}, 2, "x"), EBADF);
        CHECK_ERR(send_fds(s[0], (int[]){-1}, 1, "x"), EBADF);
        for (int i = 0; i < 254; i++)
                many[i] = 0;
        CHECK_ERR(send_fds(s[0], many, 254, "x"), EINVAL);
        CHECK_ERR(recv(s[1], &c, 1, MSG_DONTWAIT), EAGAIN);
        CHECK_EQ(send_fds(s[0], many, 253, "x"), 1);
}

TEST(the_end_of_a_pipe_in_flight_is_alive_until_dropped)
{
        int s[2], p[2];
        char c;

        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
        CHECK_OK(pipe2(p, O_NONBLOCK));
        CHECK_EQ(send_fds(s[0], &p[1], 1, "x"), 1);
        close(p[1]);
        CHECK_ERR(read(p[0], &c, 1), EAGAIN);
        close(s[1]);
        CHECK_EQ(read(p[0], &c, 1), 0);
}

/* Sockets in each other's queues, with a pipe's end among them to see them go. */
TEST(cycles_in_flight_are_collected)
{
        int a[2], b[2], p[2];
        char c;

        CHECK_OK(pipe(p));
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, b));
        CHECK_EQ(send_fds(a[0], &b[1], 1, "x"), 1); /* in a[1]'s queue */
        CHECK_EQ(send_fds(b[0], (int[]){a[1], p[1]}, 2, "x"), 1); /* in b[1]'s queue */
        close(p[1]);
        for (int i = 0; i < 2; i++) {
                close(a[i]);
                close(b[i]);
        }
        CHECK_EQ(read(p[0], &c, 1), 0); /* waits for the collection */
}

TEST(a_reachable_socket_in_flight_keeps_what_it_carries)
{
        int a[2], b[2], got[2], n = 2;

        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, b));
        CHECK_EQ(send_fds(b[0], (int[]){1}, 1, "y"), 1); /* in b[1]'s queue */
        CHECK_EQ(send_fds(a[0], &b[1], 1, "x"), 1);      /* b[1] in a[1]'s queue */
        close(b[1]);
        close(b[0]);
        int other[2];
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, other));
        close(other[0]);
        close(other[1]);
        CHECK_EQ(recv_fds(a[1], got, &n, 0, NULL), 1);
        CHECK_EQ(n, 1);
        int b1 = got[0];
        n = 2;
        CHECK_EQ(recv_fds(b1, got, &n, 0, NULL), 1);
        CHECK_EQ(n, 1);
}

TEST(a_long_chain_of_sockets_in_flight_goes_away)
{
        int first[2], at, p[2];
        char c;

        CHECK_OK(pipe(p));
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, first));
        CHECK_EQ(send_fds(first[0], &p[1], 1, "x"), 1);
        close(p[1]);
        close(first[0]);
        at = first[1];
        for (int i = 0; i < 500; i++) {
                int next[2];

                CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, next));
                if (send_fds(next[0], &at, 1, "x") != 1) {
                        CHECK_EQ(errno, ETOOMANYREFS);
                        close(next[0]);
                        close(next[1]);
                        break;
                }
                close(next[0]);
                close(at);
                at = next[1];
        }
        close(at);
        CHECK_EQ(read(p[0], &c, 1), 0);
}

static bool cred_of(struct msghdr *m, struct ucred *cred)
{
        struct cmsghdr *h = CMSG_FIRSTHDR(m);

        if (h == NULL || h->cmsg_type != SCM_CREDENTIALS)
                return false;
        memcpy(cred, CMSG_DATA(h), sizeof *cred);
        return true;
}

TEST(credentials_come_with_messages_if_asked_for)
{
        int s[2], one = 1;
        union control c;
        char b;
        struct iovec v = {&b, 1};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
        struct ucred cred;

        CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
        CHECK_EQ(write(s[0], "a", 1), 1);
        CHECK_OK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
        CHECK_EQ(write(s[0], "b", 1), 1);
        m.msg_control = &c;
        m.msg_controllen = sizeof c;
        CHECK_EQ(recvmsg(s[1], &m, 0), 1);
        CHECK(cred_of(&m, &cred));
        CHECK_EQ(cred.pid, 0);
        CHECK_EQ(cred.uid, 65534);
        m.msg_controllen = sizeof c;
        CHECK_EQ(recvmsg(s[1], &m, 0), 1);
        CHECK(cred_of(&m, &cred));
        CHECK_EQ(cred.pid, getpid());
        CHECK_EQ(cred.uid, getuid());
        CHECK_EQ(cred.gid, getgid());
}

TEST(credentials_can_be_given_but_not_forged)
{
        int s[2], one = 1;
        union control c;
        char b = 'x';
        struct iovec v = {&b, 1};
        struct ucred cred = {getpid(), getuid(), getgid()};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(sizeof cred)};

        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
        CHECK_OK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
        memset(&c, 0, sizeof c);
        c.align = (struct cmsghdr){CMSG_LEN(sizeof cred), SOL_SOCKET, SCM_CREDENTIALS};
        memcpy(CMSG_DATA(&c.align), &cred, sizeof cred);
        CHECK_EQ(sendmsg(s[0], &m, 0), 1);
        IN_CHILD() {
                if (t_root())
                        t_become_nobody();
                CHECK_ERR(sendmsg(s[0], &m, 0), EPERM); /* another's pid */
                cred.pid = getpid();
                cred.uid = getuid() + 1;
                memcpy(CMSG_DATA(&c.align), &cred, sizeof cred);
                CHECK_ERR(sendmsg(s[0], &m, 0), EPERM);
        }
        c.align.cmsg_len = 5;
        CHECK_ERR(sendmsg(s[0], &m, 0), EINVAL);
        c.align.cmsg_len = CMSG_LEN(sizeof cred) + 100;
        CHECK_ERR(sendmsg(s[0], &m, 0), EINVAL);
        c.align.cmsg_len = CMSG_LEN(sizeof cred);
        c.align.cmsg_type = 99;
        CHECK_ERR(sendmsg(s[0], &m, 0), EINVAL);
}

TEST(every_piece_of_a_large_write_has_credentials)
{
        int s[2], one = 1;
        static char big[150000], part[1000];
        union control c;
        struct iovec v = {part, sizeof part};
        struct ucred cred;

        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
        CHECK_OK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
        pid_t pid = t_fork();
        if (pid == 0) {
                CHECK_EQ(write(s[0], big, sizeof big), sizeof big);
                _exit(0);
        }
        for (size_t got = 0; got < sizeof big;) {
                struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};

                got += MUST(recvmsg(s[1], &m, 0));
                CHECK(cred_of(&m, &cred));
                CHECK_EQ(cred.pid, pid);
        }
        t_reap(pid);
}
