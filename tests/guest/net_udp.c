/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP over loopback, interface lists by ioctl and netlink.
 * covers: socket bind connect sendto recvfrom sendmsg recvmsg getsockname getsockopt setsockopt ioctl
 */
#include "t.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <asm/termbits.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in in4(const char *addr, int port)
{
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};

        CHECK_EQ(inet_pton(AF_INET, addr, &sa.sin_addr), 1);
        return sa;
}

static int port_of(int fd)
{
        struct sockaddr_in6 sa;
        socklen_t len = sizeof sa;

        CHECK_OK(getsockname(fd, (void *)&sa, &len));
        return ntohs(sa.sin6_port);
}

static int udp(void)
{
        return MUST(socket(AF_INET, SOCK_DGRAM, 0));
}

static int bound(const char *addr)
{
        struct sockaddr_in sa = in4(addr, 0);
        int fd = udp();

        CHECK_OK(bind(fd, (void *)&sa, sizeof sa));
        return fd;
}

TEST(datagrams_and_their_senders)
{
        int a = bound("127.0.0.1"), b = udp();
        struct sockaddr_in to = in4("127.0.0.1", port_of(a)), from;
        socklen_t len = sizeof from;
        char buf[8];
        int n;

        CHECK_EQ(sendto(b, "hello", 5, 0, (void *)&to, sizeof to), 5);
        CHECK_EQ(sendto(b, "", 0, 0, (void *)&to, sizeof to), 0);
        CHECK_OK(ioctl(a, FIONREAD, &n));
        CHECK_EQ(n, 5);
        CHECK_EQ(recvfrom(a, buf, 3, MSG_PEEK | MSG_TRUNC, NULL, NULL), 5);
        struct iovec v = {buf, 3};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = len};
        CHECK_EQ(recvmsg(a, &m, 0), 3);
        CHECK_EQ(m.msg_flags, MSG_TRUNC);
        CHECK_EQ(m.msg_namelen, sizeof from);
        CHECK_EQ(ntohs(from.sin_port), port_of(b));
        CHECK_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
        CHECK_EQ(recv(a, buf, 8, 0), 0);
        CHECK_ERR(recv(a, buf, 8, MSG_DONTWAIT), EAGAIN);
        CHECK_EQ(sendto(a, "back", 4, 0, (void *)&from, len), 4);
        CHECK_EQ(recv(b, buf, 8, 0), 4);
}

TEST(errors_of_sending)
{
        static char big[70000];
        int fd = udp();
        struct sockaddr_in to = in4("127.0.0.1", 9);

        CHECK_ERR(send(fd, "x", 1, 0), EDESTADDRREQ);
        CHECK_ERR(sendto(fd, big, sizeof big, 0, (void *)&to, sizeof to), EMSGSIZE);
        CHECK_ERR(sendto(fd, big, 65508, 0, (void *)&to, sizeof to), EMSGSIZE);
        CHECK_ERR(sendto(fd, "x", 1, 0, (void *)&to, 8), EINVAL);
        CHECK_ERR(sendto(fd, "x", 1, MSG_OOB, (void *)&to, sizeof to), EOPNOTSUPP);
        CHECK_ERR(sendto(fd, t_bad, 1, 0, (void *)&to, sizeof to), EFAULT);
        to.sin_port = 0;
        CHECK_ERR(sendto(fd, "x", 1, 0, (void *)&to, sizeof to), EINVAL);
        to = in4("127.0.0.1", 9);
        to.sin_family = AF_UNIX;
        CHECK_ERR(sendto(fd, "x", 1, 0, (void *)&to, sizeof to), EAFNOSUPPORT);
        to = in4("127.255.255.255", 9);
        CHECK_ERR(sendto(fd, "x", 1, 0, (void *)&to, sizeof to), EACCES);
        CHECK_ERR(listen(fd, 1), EOPNOTSUPP);
        CHECK_ERR(accept(fd, NULL, NULL), EOPNOTSUPP);
        CHECK_ERR(shutdown(fd, SHUT_RD), ENOTCONN);
}

TEST(a_connected_socket_hears_its_peer_only)
{
        int a = bound("127.0.0.1"), b = bound("127.0.0.1"), c = bound("127.0.0.1");
        struct sockaddr_in to_a = in4("127.0.0.1", port_of(a)), to_b = in4("127.0.0.1", port_of(b)), got;
        socklen_t len = sizeof got;
        char buf[8];

        CHECK_OK(connect(a, (void *)&to_b, sizeof to_b));
        CHECK_OK(getpeername(a, (void *)&got, &len));
        CHECK_EQ(got.sin_port, to_b.sin_port);
        CHECK_EQ(sendto(c, "c", 1, 0, (void *)&to_a, sizeof to_a), 1);
        CHECK_EQ(sendto(b, "b", 1, 0, (void *)&to_a, sizeof to_a), 1);
        CHECK_EQ(recv(a, buf, 8, 0), 1);
        CHECK_EQ(buf[0], 'b');
        CHECK_EQ(send(a, "x", 1, 0), 1);
        CHECK_EQ(recv(b, buf, 8, 0), 1);
        close(b);
        CHECK_EQ(send(a, "x", 1, 0), 1);
        struct pollfd p = {.fd = a, .events = POLLIN};
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK(p.revents & POLLERR);
        CHECK_ERR(recv(a, buf, 8, 0), ECONNREFUSED);
        CHECK_EQ(send(a, "x", 1, 0), 1);
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK_ERR(send(a, "x", 1, 0), ECONNREFUSED);
        struct sockaddr none = {.sa_family = AF_UNSPEC};
        CHECK_OK(connect(a, &none, sizeof none));
        CHECK_ERR(getpeername(a, (void *)&got, &len), ENOTCONN);
        CHECK_ERR(send(a, "x", 1, 0), EDESTADDRREQ);
}

TEST(packet_information)
{
        int a = bound("0.0.0.0"), b = udp(), on = 1;
        struct sockaddr_in to = in4("127.0.0.3", port_of(a));
        union {
                char bytes[256];
                struct cmsghdr align;
        } c;
        char buf[8];
        struct iovec v = {buf, 8};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
        struct in_pktinfo info;

        CHECK_OK(setsockopt(a, IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
        CHECK_OK(setsockopt(a, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
        CHECK_EQ(sendto(b, "x", 1, 0, (void *)&to, sizeof to), 1);
        CHECK_EQ(recvmsg(a, &m, 0), 1);
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        CHECK(h != NULL);
        CHECK_EQ(h->cmsg_type, IP_PKTINFO);
        memcpy(&info, CMSG_DATA(h), sizeof info);
        CHECK_EQ(info.ipi_ifindex, 1);
        CHECK_EQ(info.ipi_addr.s_addr, to.sin_addr.s_addr);
        h = CMSG_NXTHDR(&m, h);
        CHECK(h != NULL);
        CHECK_EQ(h->cmsg_type, IP_TTL);
        m.msg_controllen = CMSG_LEN(4);
        CHECK_EQ(sendto(b, "x", 1, 0, (void *)&to, sizeof to), 1);
        CHECK_EQ(recvmsg(a, &m, 0), 1);
        CHECK(m.msg_flags & MSG_CTRUNC);
        /* The other way: choose the source. */
        memset(&c, 0, sizeof c);
        c.align = (struct cmsghdr){CMSG_LEN(sizeof info), IPPROTO_IP, IP_PKTINFO};
        info = (struct in_pktinfo){.ipi_spec_dst.s_addr = htonl(0x7f000009)};
        memcpy(CMSG_DATA(&c.align), &info, sizeof info);
        m.msg_controllen = CMSG_SPACE(sizeof info);
        m.msg_name = &to;
        m.msg_namelen = sizeof to;
        CHECK_EQ(sendmsg(b, &m, 0), 8);
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        CHECK_EQ(recvfrom(a, buf, 8, 0, (void *)&from, &len), 8);
        CHECK_EQ(from.sin_addr.s_addr, htonl(0x7f000009));
}

TEST(timestamps)
{
        int a = bound("127.0.0.1"), b = udp(), on = 1;
        struct sockaddr_in to = in4("127.0.0.1", port_of(a));
        union {
                char bytes[256];
                struct cmsghdr align;
        } c;
        char buf[8];
        struct iovec v = {buf, 8};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
        struct timeval tv;

        CHECK_OK(setsockopt(a, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
        CHECK_EQ(sendto(b, "x", 1, 0, (void *)&to, sizeof to), 1);
        CHECK_EQ(recvmsg(a, &m, 0), 1);
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        CHECK(h != NULL);
        CHECK_EQ(h->cmsg_type, SO_TIMESTAMP);
        memcpy(&tv, CMSG_DATA(h), sizeof tv);
        CHECK(llabs((long long)tv.tv_sec - time(NULL)) < 1000);
}

TEST(ipv6_and_dual_stack)
{
        int a = MUST(socket(AF_INET6, SOCK_DGRAM, 0)), b = udp(), d = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
        struct sockaddr_in6 any = {.sin6_family = AF_INET6}, from;
        socklen_t len = sizeof from;
        char buf[8], text[64];

        CHECK_OK(bind(a, (void *)&any, sizeof any));
        struct sockaddr_in to = in4("127.0.0.1", port_of(a));
        CHECK_EQ(sendto(b, "x", 1, 0, (void *)&to, sizeof to), 1);
        CHECK_EQ(recvfrom(a, buf, 8, 0, (void *)&from, &len), 1);
        CHECK_STR(inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof text), "::ffff:127.0.0.1");
        struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = to.sin_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        CHECK_EQ(sendto(d, "y", 1, 0, (void *)&to6, sizeof to6), 1);
        CHECK_EQ(recvfrom(a, buf, 8, 0, (void *)&from, &len), 1);
        CHECK_STR(inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof text), "::1");
}

TEST(ports_can_be_shared)
{
        int a = udp(), b = udp(), on = 1;
        struct sockaddr_in sa = in4("127.0.0.1", 0);

        CHECK_OK(setsockopt(a, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
        CHECK_OK(bind(a, (void *)&sa, sizeof sa));
        sa = in4("127.0.0.1", port_of(a));
        CHECK_ERR(bind(b, (void *)&sa, sizeof sa), EADDRINUSE);
        CHECK_OK(setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
        CHECK_OK(bind(b, (void *)&sa, sizeof sa));
}

TEST(the_loopback_interface_by_ioctl)
{
        struct ifreq r = {.ifr_name = "lo"};
        struct ifreq many[8];
        struct ifconf conf = {.ifc_len = sizeof many, .ifc_req = many};
        int fd = udp();

        CHECK_OK(ioctl(fd, SIOCGIFFLAGS, &r));
        CHECK_EQ(r.ifr_flags & (IFF_UP | IFF_LOOPBACK), IFF_UP | IFF_LOOPBACK);
        CHECK_OK(ioctl(fd, SIOCGIFADDR, &r));
        CHECK_EQ(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
        CHECK_OK(ioctl(fd, SIOCGIFNETMASK, &r));
        CHECK_EQ(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr, htonl(0xff000000));
        CHECK_OK(ioctl(fd, SIOCGIFINDEX, &r));
        CHECK_EQ(r.ifr_ifindex, 1);
        CHECK_OK(ioctl(fd, SIOCGIFNAME, &r));
        CHECK_STR(r.ifr_name, "lo");
        CHECK_OK(ioctl(fd, SIOCGIFCONF, &conf));
        CHECK_GE(conf.ifc_len, sizeof(struct ifreq));
        CHECK_STR(many[0].ifr_name, "lo");
        strcpy(r.ifr_name, "nosuch0");
        CHECK_ERR(ioctl(fd, SIOCGIFFLAGS, &r), ENODEV);
        CHECK_ERR(ioctl(fd, SIOCGIFFLAGS, t_bad), EFAULT);
        CHECK_ERR(ioctl(fd, TCGETS, &r), ENOTTY);
        CHECK_EQ(if_nametoindex("lo"), 1);
}

TEST(getifaddrs_finds_both_loopback_addresses)
{
        struct ifaddrs *all, *i;
        bool v4 = false, v6 = false, link = false;

        CHECK_OK(getifaddrs(&all));
        for (i = all; i != NULL; i = i->ifa_next) {
                if (strcmp(i->ifa_name, "lo") != 0 || i->ifa_addr == NULL)
                        continue;
                if (i->ifa_addr->sa_family == AF_INET)
                        v4 = ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
                if (i->ifa_addr->sa_family == AF_INET6)
                        v6 = true;
                if (i->ifa_addr->sa_family == AF_PACKET)
                        link = true;
        }
        freeifaddrs(all);
        CHECK(v4);
        CHECK(link);
        (void)v6; /* a host may have none */
}

TEST(netlink_sockets)
{
        struct sockaddr_nl sa = {.nl_family = AF_NETLINK};
        socklen_t len = sizeof sa;
        int fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
        struct {
                struct nlmsghdr h;
                struct rtgenmsg g;
        } rq = {{sizeof rq, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 7, 0}, {AF_UNSPEC}};
        char buf[8192];
        bool done = false, lo = false;

        CHECK_ERR(socket(AF_NETLINK, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
        CHECK_ERR(socket(AF_NETLINK, SOCK_RAW, 99), EPROTONOSUPPORT);
        CHECK_OK(bind(fd, (void *)&sa, sizeof sa));
        CHECK_OK(getsockname(fd, (void *)&sa, &len));
        CHECK(sa.nl_pid != 0);
        CHECK_EQ(send(fd, &rq, sizeof rq, 0), sizeof rq);
        while (!done) {
                ssize_t n = MUST(recv(fd, buf, sizeof buf, 0));

                for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
                        CHECK_EQ(h->nlmsg_seq, 7);
                        CHECK_EQ(h->nlmsg_pid, sa.nl_pid);
                        if (h->nlmsg_type == NLMSG_DONE)
                                done = true;
                        else if (((struct ifinfomsg *)NLMSG_DATA(h))->ifi_index == 1)
                                lo = true;
                }
        }
        CHECK(lo);
        IN_CHILD() {
                if (t_root())
                        t_become_nobody();
                rq.h.nlmsg_type = RTM_DELLINK;
                rq.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
                CHECK_EQ(send(fd, &rq, sizeof rq, 0), sizeof rq);
                CHECK_GE(recv(fd, buf, sizeof buf, 0), 36);
                struct nlmsghdr *h = (void *)buf;
                CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
                CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA(h))->error, -EPERM);
        }
}
