/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking for interfaces, addresses and routes, by libc and by hand; the older ioctls.
 * covers: socket bind sendto recvmsg getsockname ioctl
 */
#include "t.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

TEST(getifaddrs_knows_the_loopback)
{
	struct ifaddrs *list;
	bool v4 = false, v6 = false, link = false;

	CHECK_OK(getifaddrs(&list));
	for (struct ifaddrs *i = list; i; i = i->ifa_next) {
		if (strcmp(i->ifa_name, "lo") != 0 || !i->ifa_addr)
			continue;
		CHECK(i->ifa_flags & IFF_LOOPBACK);
		CHECK(i->ifa_flags & IFF_UP);
		if (i->ifa_addr->sa_family == AF_PACKET)
			link = true;
		if (i->ifa_addr->sa_family == AF_INET) {
			struct sockaddr_in *a = (void *)i->ifa_addr, *mask = (void *)i->ifa_netmask;

			CHECK_EQ(ntohl(a->sin_addr.s_addr), INADDR_LOOPBACK);
			CHECK_EQ(ntohl(mask->sin_addr.s_addr), 0xff000000);
			v4 = true;
		}
		if (i->ifa_addr->sa_family == AF_INET6) {
			struct sockaddr_in6 *a = (void *)i->ifa_addr;

			CHECK(IN6_IS_ADDR_LOOPBACK(&a->sin6_addr));
			v6 = true;
		}
	}
	freeifaddrs(list);
	CHECK(link && v4);
	if (!v6)
		SKIP("no IPv6 here");
}

TEST(interface_names_and_indices_agree)
{
	char name[IF_NAMESIZE];
	struct if_nameindex *list;
	unsigned index = if_nametoindex("lo");

	CHECK(index > 0);
	CHECK(if_indextoname(index, name) != NULL);
	CHECK_STR(name, "lo");
	CHECK_EQ(if_nametoindex("nosuch0"), 0);
	CHECK_EQ(errno, ENODEV);
	CHECK(if_indextoname(9999, name) == NULL);
	CHECK_EQ(errno, ENXIO);
	list = if_nameindex();
	CHECK(list != NULL && list[0].if_name != NULL);
	if_freenameindex(list);
}

static int open_route(void)
{
	int fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};

	CHECK_OK(bind(fd, (void *)&address, sizeof address));
	return fd;
}

/* Sends a request and returns the type of the first answer; `count` counts the messages before the last. */
static int ask(int fd, int type, int flags, void *body, size_t length, int *count, int *error)
{
	struct {
		struct nlmsghdr header;
		char body[64];
	} request = {{NLMSG_LENGTH(length), type, NLM_F_REQUEST | flags, 77, 0}, {0}};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	static char answer[32768] __attribute__((aligned(8)));
	int first = -1;

	memcpy(request.body, body, length);
	CHECK_EQ(sendto(fd, &request, request.header.nlmsg_len, 0, (void *)&kernel, sizeof kernel),
		 request.header.nlmsg_len);
	*count = *error = 0;
	for (;;) {
		int n = MUST(recv(fd, answer, sizeof answer, 0));

		for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n)) {
			CHECK_EQ(h->nlmsg_seq, 77);
			if (first < 0)
				first = h->nlmsg_type;
			if (h->nlmsg_type == NLMSG_DONE)
				return first;
			if (h->nlmsg_type == NLMSG_ERROR) {
				*error = ((struct nlmsgerr *)NLMSG_DATA(h))->error;
				return first;
			}
			(*count)++;
			if (!(h->nlmsg_flags & NLM_F_MULTI))
				return first;
		}
	}
}

TEST(dumps_of_links_addresses_and_routes_end_with_done)
{
	int fd = open_route(), count, error;
	struct rtgenmsg any = {AF_UNSPEC}, inet = {AF_INET};

	CHECK_EQ(ask(fd, RTM_GETLINK, NLM_F_DUMP, &any, sizeof any, &count, &error), RTM_NEWLINK);
	CHECK_GE(count, 1);
	CHECK_EQ(ask(fd, RTM_GETADDR, NLM_F_DUMP, &inet, sizeof inet, &count, &error), RTM_NEWADDR);
	CHECK_GE(count, 1);
	ask(fd, RTM_GETROUTE, NLM_F_DUMP, &inet, sizeof inet, &count, &error);
	CHECK_EQ(error, 0);
	close(fd);
}

TEST(one_link_is_asked_for_by_index)
{
	int fd = open_route(), count, error;
	struct ifinfomsg lo = {.ifi_index = if_nametoindex("lo")}, none = {.ifi_index = 9999};

	CHECK_EQ(ask(fd, RTM_GETLINK, 0, &lo, sizeof lo, &count, &error), RTM_NEWLINK);
	CHECK_EQ(ask(fd, RTM_GETLINK, 0, &none, sizeof none, &count, &error), NLMSG_ERROR);
	CHECK_EQ(error, -ENODEV);
	close(fd);
}

TEST(the_socket_has_an_address_of_its_own)
{
	int fd = open_route(), other = open_route();
	struct sockaddr_nl a, b;
	socklen_t length = sizeof a;

	CHECK_OK(getsockname(fd, (void *)&a, &length));
	CHECK_EQ(length, sizeof a);
	CHECK_EQ(a.nl_family, AF_NETLINK);
	CHECK(a.nl_pid != 0);
	CHECK_OK(getsockname(other, (void *)&b, &length));
	CHECK(a.nl_pid != b.nl_pid);
	close(fd);
	close(other);
}

TEST(errors_of_netlink)
{
	struct sockaddr_nl address = {.nl_family = AF_INET};
	int fd = MUST(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE));

	CHECK_ERR(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_NETLINK, SOCK_RAW, 999), EPROTONOSUPPORT);
	CHECK_ERR(bind(fd, (void *)&address, sizeof address), EINVAL);
	CHECK_ERR(bind(fd, (void *)&address, 3), EINVAL);
	CHECK_ERR(listen(fd, 1), EOPNOTSUPP);
	CHECK_ERR(recv(fd, &address, sizeof address, MSG_DONTWAIT), EAGAIN);
	close(fd);
}

TEST(changes_need_a_capability)
{
	if (t_root())
		SKIP("root may change interfaces on a host");
	int fd = open_route(), count, error;
	struct ifinfomsg lo = {.ifi_index = if_nametoindex("lo"), .ifi_change = IFF_UP};

	CHECK_EQ(ask(fd, RTM_NEWLINK, NLM_F_ACK, &lo, sizeof lo, &count, &error), NLMSG_ERROR);
	CHECK_EQ(error, -EPERM);
	close(fd);
}

TEST(interface_ioctls)
{
	int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct ifreq request = {0}, list[16];
	struct ifconf conf = {.ifc_len = sizeof list, .ifc_req = list};

	strcpy(request.ifr_name, "lo");
	CHECK_OK(ioctl(fd, SIOCGIFINDEX, &request));
	CHECK_EQ(request.ifr_ifindex, if_nametoindex("lo"));
	CHECK_OK(ioctl(fd, SIOCGIFFLAGS, &request));
	CHECK(request.ifr_flags & IFF_LOOPBACK);
	CHECK_OK(ioctl(fd, SIOCGIFADDR, &request));
	CHECK_EQ(((struct sockaddr_in *)&request.ifr_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_OK(ioctl(fd, SIOCGIFMTU, &request));
	CHECK_GE(request.ifr_mtu, 1500);
	CHECK_OK(ioctl(fd, SIOCGIFCONF, &conf));
	CHECK_GE(conf.ifc_len, sizeof list[0]);
	strcpy(request.ifr_name, "nosuch0");
	CHECK_ERR(ioctl(fd, SIOCGIFINDEX, &request), ENODEV);
	CHECK_ERR(ioctl(fd, SIOCGIFINDEX, t_bad), EFAULT);
	close(fd);
}
