/* SPDX-License-Identifier: Apache-2.0 */
/* Constants and structures of epoll(7), inotify(7), eventfd(2), timerfd_create(2), signalfd(2), select(2). */
#ifndef SENTRY_ABI_EVENT_H
#define SENTRY_ABI_EVENT_H

#include <stdint.h>

#define LINUX_EPOLL_CTL_ADD 1
#define LINUX_EPOLL_CTL_DEL 2
#define LINUX_EPOLL_CTL_MOD 3
#define LINUX_EPOLLEXCLUSIVE (1U << 28)
#define LINUX_EPOLLWAKEUP (1U << 29)
#define LINUX_EPOLLONESHOT (1U << 30)
#define LINUX_EPOLLET (1U << 31)
struct linux_epoll_event {
	uint32_t events;
	uint64_t data;
} __attribute__((packed));
_Static_assert(sizeof(struct linux_epoll_event) == 12, "struct epoll_event");

#define LINUX_IN_ACCESS 0x1U
#define LINUX_IN_MODIFY 0x2U
#define LINUX_IN_ATTRIB 0x4U
#define LINUX_IN_CLOSE_WRITE 0x8U
#define LINUX_IN_CLOSE_NOWRITE 0x10U
#define LINUX_IN_OPEN 0x20U
#define LINUX_IN_MOVED_FROM 0x40U
#define LINUX_IN_MOVED_TO 0x80U
#define LINUX_IN_CREATE 0x100U
#define LINUX_IN_DELETE 0x200U
#define LINUX_IN_DELETE_SELF 0x400U
#define LINUX_IN_MOVE_SELF 0x800U
#define LINUX_IN_UNMOUNT 0x2000U
#define LINUX_IN_Q_OVERFLOW 0x4000U
#define LINUX_IN_IGNORED 0x8000U
#define LINUX_IN_ALL_EVENTS 0xfffU
#define LINUX_IN_ONLYDIR 0x1000000U
#define LINUX_IN_DONT_FOLLOW 0x2000000U
#define LINUX_IN_EXCL_UNLINK 0x4000000U
#define LINUX_IN_MASK_CREATE 0x10000000U
#define LINUX_IN_MASK_ADD 0x20000000U
#define LINUX_IN_ISDIR 0x40000000U
#define LINUX_IN_ONESHOT 0x80000000U
struct linux_inotify_event {
	int32_t wd;
	uint32_t mask, cookie, len;
};

#define LINUX_DN_ACCESS 0x1U
#define LINUX_DN_MODIFY 0x2U
#define LINUX_DN_CREATE 0x4U
#define LINUX_DN_DELETE 0x8U
#define LINUX_DN_RENAME 0x10U
#define LINUX_DN_ATTRIB 0x20U
#define LINUX_DN_MULTISHOT 0x80000000U

#define LINUX_EFD_SEMAPHORE 1
#define LINUX_TFD_TIMER_ABSTIME 1
#define LINUX_TFD_TIMER_CANCEL_ON_SET 2
#define LINUX_TFD_IOC_SET_TICKS 0x40085400U

struct linux_signalfd_siginfo {
	uint32_t signo;
	int32_t errno_, code;
	uint32_t pid, uid;
	int32_t fd;
	uint32_t tid, band, overrun, trapno;
	int32_t status, int_;
	uint64_t ptr, utime, stime, addr;
	uint16_t addr_lsb, pad2;
	int32_t syscall;
	uint64_t call_addr;
	uint32_t arch;
	uint8_t pad[28];
};
_Static_assert(sizeof(struct linux_signalfd_siginfo) == 128, "struct signalfd_siginfo");

#define LINUX_FD_SETSIZE_MAX 1048576 /* our cap on select's nfds before the table's size cuts it */

#endif
