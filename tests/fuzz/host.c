/* SPDX-License-Identifier: Apache-2.0 */
/* The host, as far as targets may see it: see fuzz.h. The Makefile wraps these names (FUZZ_WRAP). */
#include "tests/fuzz/fuzz.h"

#include "sentry/abi/errno.h"
#include "sentry/host/host.h"

#include <errno.h>
#include <netinet/in.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct fuzz_host fuzz_host = {.now = 1000000000000};

#define WRAPS(ret, name, ...)                                                                                          \
	ret __real_##name(__VA_ARGS__);                                                                                \
	ret __wrap_##name(__VA_ARGS__);                                                                                \
	ret __wrap_##name(__VA_ARGS__)

static size_t total(const struct msghdr *msg)
{
	size_t n = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++)
		n += msg->msg_iov[i].iov_len;
	return n;
}

WRAPS(uint64_t, host_clock_ns, int clock)
{
	(void)clock;
	return fuzz_host.now += 1000;
}

WRAPS(int, host_getrandom, void *buf, size_t len)
{
	static uint64_t state = 1;

	for (size_t i = 0; i < len; i++) {
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		((uint8_t *)buf)[i] = (uint8_t)(state >> 56);
	}
	if (len == sizeof(fuzz_host.last_random))
		memcpy(&fuzz_host.last_random, buf, len);
	return 0;
}

WRAPS(void, host_exit, int status)
{
	fprintf(stderr, "the sentry ended with status %d\n", status);
	abort();
}

WRAPS(int, host_kill, int pid, int sig)
{
	return fuzz_host.kill != NULL ? fuzz_host.kill(pid, 0, sig) : 0;
}

WRAPS(int, host_tgkill, int tgid, int tid, int sig)
{
	return fuzz_host.kill != NULL ? fuzz_host.kill(tgid, tid, sig) : 0;
}

/* Thread ids are made up here: they may be somebody's on this machine. */
WRAPS(int, host_sched_setaffinity, int tid, uint64_t mask)
{
	(void)tid;
	(void)mask;
	return 0;
}

WRAPS(int, host_wait, int pid, int *status, bool block)
{
	(void)pid;
	(void)status;
	(void)block;
	return -LINUX_ECHILD;
}

WRAPS(int, host_poll, struct pollfd *fds, unsigned n, int64_t timeout_ns)
{
	int ready = 0;

	if (fuzz_host.poll != NULL)
		ready = fuzz_host.poll(timeout_ns);
	else if (timeout_ns > 0)
		fuzz_host.now += (uint64_t)timeout_ns;
	for (unsigned i = 0; i < n; i++)
		fds[i].revents = n - i <= (unsigned)ready && fds[i].fd >= 0 ? fds[i].events : 0;
	return ready;
}

/* Time is made up here: the loop sleeps by poll's limit. */
WRAPS(int, host_timer_set, int fd, uint64_t at_ns)
{
	(void)fd;
	(void)at_ns;
	return -LINUX_ENOSYS;
}

WRAPS(int64_t, host_recvmsg, int fd, struct msghdr *msg, int flags)
{
	return fuzz_host.recvmsg != NULL ? fuzz_host.recvmsg(fd, msg, flags) : -LINUX_EAGAIN;
}

WRAPS(int64_t, host_sendmsg, int fd, const struct msghdr *msg, int flags)
{
	return fuzz_host.sendmsg != NULL ? fuzz_host.sendmsg(fd, msg, flags) : (int64_t)total(msg);
}

WRAPS(int64_t, host_process_vm_readv, int pid, const struct iovec *local, int nlocal, const struct iovec *remote,
      int nremote)
{
	(void)nlocal;
	(void)nremote;
	return fuzz_host.guest_copy != NULL ? fuzz_host.guest_copy(pid, false, local, remote) : -LINUX_EFAULT;
}

WRAPS(int64_t, host_process_vm_writev, int pid, const struct iovec *local, int nlocal, const struct iovec *remote,
      int nremote)
{
	(void)nlocal;
	(void)nremote;
	return fuzz_host.guest_copy != NULL ? fuzz_host.guest_copy(pid, true, local, remote) : -LINUX_EFAULT;
}

/* ---- libc, for the roles that call it themselves ---- */

WRAPS(ssize_t, recv, int fd, void *buf, size_t len, int flags)
{
	if (fuzz_host.libc_recv != NULL)
		return fuzz_host.libc_recv(fd, buf, len, flags);
	errno = EAGAIN;
	return -1;
}

WRAPS(ssize_t, recvmsg, int fd, struct msghdr *msg, int flags)
{
	if (fuzz_host.libc_recvmsg != NULL)
		return fuzz_host.libc_recvmsg(fd, msg, flags);
	errno = EAGAIN;
	return -1;
}

WRAPS(ssize_t, sendmsg, int fd, const struct msghdr *msg, int flags)
{
	return fuzz_host.libc_sendmsg != NULL ? fuzz_host.libc_sendmsg(fd, msg, flags) : (ssize_t)total(msg);
}

/* Nothing is connected: refused, under way, or done at once, by the port's last bits. */
WRAPS(int, connect, int fd, const struct sockaddr *addr, socklen_t len)
{
	const uint8_t *b = (const uint8_t *)addr;
	bool v6 = addr->sa_family == AF_INET6;

	(void)fd;
	FUZZ_CHECK(len == (v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)));
	if (fuzz_host.connected != NULL)
		fuzz_host.connected(b + (v6 ? 8 : 4), v6, (uint16_t)(b[2] << 8 | b[3]));
	switch (b[3] & 3) {
	case 0:
		return 0;
	case 1:
		errno = ECONNREFUSED;
		return -1;
	default:
		errno = EINPROGRESS;
		return -1;
	}
}

int __real_open(const char *path, int flags, ...);
/* Nothing is bound: in use, not there, or done, by the port's last bits. */
WRAPS(int, bind, int fd, const struct sockaddr *addr, socklen_t len)
{
	const uint8_t *b = (const uint8_t *)addr;
	bool v6 = addr->sa_family == AF_INET6;

	FUZZ_CHECK(len == (v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)));
	if (fuzz_host.bound != NULL)
		fuzz_host.bound(fd, b + (v6 ? 8 : 4), v6, (uint16_t)(b[2] << 8 | b[3]));
	if ((b[3] & 7) > 1)
		return 0;
	errno = (b[3] & 7) == 0 ? EADDRINUSE : EADDRNOTAVAIL;
	return -1;
}

WRAPS(int, listen, int fd, int backlog)
{
	(void)fd;
	FUZZ_CHECK(backlog >= 0 && backlog <= 4096);
	return 0;
}

WRAPS(int, accept4, int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	(void)fd;
	(void)flags;
	if (fuzz_host.libc_accept != NULL)
		return fuzz_host.libc_accept(addr, len);
	errno = EAGAIN;
	return -1;
}

int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(ap, int) : 0;
	va_end(ap);
	if (fuzz_host.descriptors_only && (flags & O_PATH) != O_PATH) {
		errno = EACCES;
		return -1;
	}
	return __real_open(path, flags, mode);
}

WRAPS(FILE *, fopen, const char *path, const char *mode)
{
	if (fuzz_host.descriptors_only) {
		errno = EACCES;
		return NULL;
	}
	return __real_fopen(path, mode);
}

struct gate_box;
void __wrap_gate_stream_pause(struct gate_box *box);
void __wrap_gate_stream_pause(struct gate_box *box)
{
	if (fuzz_host.stream_pause != NULL)
		fuzz_host.stream_pause(box);
}

bool __real_gate_polls(void);
bool __wrap_gate_polls(void);
bool __wrap_gate_polls(void)
{
	return fuzz_host.streaming || __real_gate_polls();
}

uint64_t __real_gate_ticks_us(void);
uint64_t __wrap_gate_ticks_us(void);
uint64_t __wrap_gate_ticks_us(void)
{
	return fuzz_host.streaming ? 20000 : __real_gate_ticks_us();
}
