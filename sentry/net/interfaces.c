/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netdevice(7) ioctls: the sandbox has one interface, lo (index 1), up, with 127.0.0.1/8. What would change it answers
 * EPERM: the sandbox's network is fixed.
 *
 * Left out: SIOCETHTOOL, SIOCGMII*, bridges, bonding, wireless (EOPNOTSUPP or ENOTTY as lo gives them).
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/net/net.h"

#include <string.h>

static void set_addr(struct linux_ifreq *ifr, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	memset(ifr->bytes, 0, sizeof ifr->bytes);
	ifr->addr.family = LINUX_AF_INET;
	memcpy(ifr->addr.addr, (uint8_t[]){a, b, c, d}, 4);
}

/* SIOCGIFCONF: as many whole entries as there is room for; only the length if there is no buffer. */
static int64_t get_conf(struct task *task, uint64_t arg)
{
	struct linux_ifreq ifr = {.name = "lo"};
	struct linux_ifconf conf;

	if (get_guest(task, &conf, GVA(arg)) != 0)
		return -LINUX_EFAULT;
	set_addr(&ifr, 127, 0, 0, 1);
	if (conf.buf == 0) {
		conf.len = sizeof ifr;
	} else if (conf.len < (int32_t)sizeof ifr) {
		conf.len = 0;
	} else {
		if (put_guest(task, GVA(conf.buf), &ifr) != 0)
			return -LINUX_EFAULT;
		conf.len = sizeof ifr;
	}
	return put_guest(task, GVA(arg), &conf);
}

static int fill(struct linux_ifreq *ifr, unsigned cmd)
{
	switch (cmd) {
	case LINUX_SIOCGIFFLAGS:
		ifr->flags = LINUX_IFF_UP | LINUX_IFF_LOOPBACK | LINUX_IFF_RUNNING;
		return 0;
	case LINUX_SIOCGIFADDR:
	case LINUX_SIOCGIFDSTADDR:
		set_addr(ifr, 127, 0, 0, 1);
		return 0;
	case LINUX_SIOCGIFBRDADDR:
		set_addr(ifr, 0, 0, 0, 0);
		return 0;
	case LINUX_SIOCGIFNETMASK:
		set_addr(ifr, 255, 0, 0, 0);
		return 0;
	case LINUX_SIOCGIFMETRIC:
		ifr->value = 0;
		return 0;
	case LINUX_SIOCGIFMTU:
		ifr->value = 65536;
		return 0;
	case LINUX_SIOCGIFHWADDR:
		memset(ifr->bytes, 0, sizeof ifr->bytes);
		ifr->hwaddr.family = LINUX_ARPHRD_LOOPBACK;
		return 0;
	case LINUX_SIOCGIFINDEX:
		ifr->value = 1;
		return 0;
	case LINUX_SIOCGIFTXQLEN:
		ifr->value = 1000;
		return 0;
	case LINUX_SIOCGIFMAP:
		memset(ifr->bytes, 0, sizeof ifr->bytes);
		return 0;
	default:
		return -LINUX_EOPNOTSUPP;
	}
}

static bool is_get(unsigned cmd)
{
	switch (cmd) {
	case LINUX_SIOCGIFFLAGS:
	case LINUX_SIOCGIFADDR:
	case LINUX_SIOCGIFDSTADDR:
	case LINUX_SIOCGIFBRDADDR:
	case LINUX_SIOCGIFNETMASK:
	case LINUX_SIOCGIFMETRIC:
	case LINUX_SIOCGIFMTU:
	case LINUX_SIOCGIFHWADDR:
	case LINUX_SIOCGIFINDEX:
	case LINUX_SIOCGIFTXQLEN:
	case LINUX_SIOCGIFMAP:
	case LINUX_SIOCETHTOOL:
		return true;
	default:
		return false;
	}
}

int64_t interface_ioctl(struct task *task, unsigned cmd, uint64_t arg)
{
	struct linux_ifreq ifr;
	int err;

	if (cmd == LINUX_SIOCGIFCONF)
		return get_conf(task, arg);
	/* Routes, addresses, flags, names... to be changed. */
	if (cmd == LINUX_SIOCADDRT || cmd == LINUX_SIOCDELRT || (cmd >= 0x8914 && cmd <= 0x8989 && !is_get(cmd) &&
								  cmd != LINUX_SIOCGIFNAME))
		return cmd <= 0x893b || cmd >= 0x8943 ? -LINUX_EPERM : -LINUX_ENOTTY;
	if (cmd != LINUX_SIOCGIFNAME && !is_get(cmd))
		return -LINUX_ENOTTY;
	if (get_guest(task, &ifr, GVA(arg)) != 0)
		return -LINUX_EFAULT;
	if (cmd == LINUX_SIOCGIFNAME) {
		if (ifr.value != 1)
			return -LINUX_ENODEV;
		memset(ifr.name, 0, sizeof ifr.name);
		memcpy(ifr.name, "lo", 2);
	} else {
		ifr.name[LINUX_IFNAMSIZ - 1] = '\0';
		if (strcmp(ifr.name, "lo") != 0)
			return -LINUX_ENODEV;
		err = fill(&ifr, cmd);
		if (err != 0)
			return err;
	}
	return put_guest(task, GVA(arg), &ifr);
}
