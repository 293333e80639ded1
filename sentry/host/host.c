/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host calls of the sentry, one wrapper each: libc's convention of -1 and errno ends here.
 */
#include "sentry/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RESULT(call)                                                                                                   \
	({                                                                                                             \
		__auto_type _ret = (call);                                                                             \
		_ret < 0 ? -errno : _ret;                                                                              \
	})

int host_close(int fd)
{
	return RESULT(close(fd));
}

int64_t host_read(int fd, void *buf, size_t len)
{
	return RESULT(read(fd, buf, len));
}

int64_t host_write(int fd, const void *buf, size_t len)
{
	return RESULT(write(fd, buf, len));
}

int64_t host_readv(int fd, const struct iovec *iov, int n)
{
	return RESULT(readv(fd, iov, n));
}

int64_t host_writev(int fd, const struct iovec *iov, int n)
{
	return RESULT(writev(fd, iov, n));
}

int64_t host_pread(int fd, void *buf, size_t len, int64_t off)
{
	return RESULT(pread(fd, buf, len, off));
}

int64_t host_pwrite(int fd, const void *buf, size_t len, int64_t off)
{
	return RESULT(pwrite(fd, buf, len, off));
}

int64_t host_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return RESULT(recvmsg(fd, msg, flags));
}

int64_t host_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return RESULT(sendmsg(fd, msg, flags));
}

int host_shutdown(int fd, int how)
{
	return RESULT(shutdown(fd, how));
}

int host_getsockopt(int fd, int level, int name, void *val, unsigned *len)
{
	return RESULT(getsockopt(fd, level, name, val, len));
}

int host_memfd_create(const char *name, unsigned flags)
{
	return RESULT(memfd_create(name, flags));
}

int host_ftruncate(int fd, int64_t size)
{
	return RESULT(ftruncate(fd, size));
}

int host_fallocate(int fd, int mode, int64_t off, int64_t len)
{
	return RESULT(fallocate(fd, mode, off, len));
}

int host_fcntl(int fd, int cmd, uint64_t arg)
{
	return RESULT(fcntl(fd, cmd, arg));
}

int host_ioctl(int fd, unsigned long req, void *arg)
{
	/* Requests are 32 bits wide; musl's prototype takes an int. */
	return (int)RESULT(syscall(SYS_ioctl, fd, req, arg));
}

int host_fstat(int fd, struct stat *st)
{
	return RESULT(fstat(fd, st));
}

int64_t host_lseek(int fd, int64_t off, int whence)
{
	return RESULT(lseek(fd, off, whence));
}

int host_fstat_blocks(int fd, int64_t *size, int64_t *blocks)
{
	struct stat st;
	int err = RESULT(fstat(fd, &st));

	if (err < 0)
		return err;
	*size = st.st_size;
	*blocks = st.st_blocks;
	return 0;
}

void *host_mmap(size_t len, int prot, int flags, int fd, int64_t off, int *err)
{
	void *p = mmap(NULL, len, prot, flags, fd, off);

	if (p == MAP_FAILED) {
		*err = -errno;
		return NULL;
	}
	*err = 0;
	return p;
}

int host_munmap(void *addr, size_t len)
{
	return RESULT(munmap(addr, len));
}

int host_blank(void *addr, size_t len)
{
	void *p = mmap(addr, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	return p == MAP_FAILED ? -errno : 0;
}

int host_mprotect(void *addr, size_t len, int prot)
{
	return RESULT(mprotect(addr, len, prot));
}

int host_madvise(void *addr, size_t len, int advice)
{
	return RESULT(madvise(addr, len, advice));
}

int64_t host_process_vm_readv(int pid, const struct iovec *local, int nlocal, const struct iovec *remote, int nremote)
{
	return RESULT(process_vm_readv(pid, local, (unsigned long)nlocal, remote, (unsigned long)nremote, 0));
}

int64_t host_process_vm_writev(int pid, const struct iovec *local, int nlocal, const struct iovec *remote, int nremote)
{
	return RESULT(process_vm_writev(pid, local, (unsigned long)nlocal, remote, (unsigned long)nremote, 0));
}

int host_tgkill(int tgid, int tid, int sig)
{
	return (int)RESULT(syscall(SYS_tgkill, tgid, tid, sig));
}

int host_kill(int pid, int sig)
{
	return RESULT(kill(pid, sig));
}

int host_wait(int pid, int *status, bool block)
{
	return RESULT(waitpid(pid, status, block ? 0 : WNOHANG));
}

int host_wait_usage(int *status, uint64_t *cpu_ns)
{
	struct rusage ru = {0};
	int pid = RESULT(wait4(-1, status, WNOHANG, &ru));

	*cpu_ns = (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * NSEC_PER_SEC +
		  (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000;
	return pid;
}

int host_poll(struct pollfd *fds, unsigned n, int64_t timeout_ns)
{
	struct timespec ts = {timeout_ns / 1000000000, timeout_ns % 1000000000};

	return RESULT(ppoll(fds, n, timeout_ns < 0 ? NULL : &ts, NULL));
}

int host_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	return RESULT(epoll_ctl(epfd, op, fd, ev));
}

int host_epoll_wait(int epfd, struct epoll_event *ev, int n, int timeout_ms)
{
	return RESULT(epoll_wait(epfd, ev, n, timeout_ms));
}

int host_timer_open(void)
{
	return RESULT(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
}

int host_timer_set(int fd, uint64_t at_ns)
{
	struct itimerspec its = {.it_value = {(time_t)(at_ns / NSEC_PER_SEC), (long)(at_ns % NSEC_PER_SEC)}};

	return RESULT(timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL));
}

uint64_t host_clock_ns(int clock)
{
	struct timespec ts = {0, 0};

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static int draw_random(void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = getrandom((char *)buf + done, len - done, 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

/* Small draws come out of a larger one; each byte is given once. */
int host_getrandom(void *buf, size_t len)
{
	static uint8_t drawn[256];
	static size_t left;

	if (len > sizeof(drawn) / 4)
		return draw_random(buf, len);
	if (left < len) {
		int err = draw_random(drawn, sizeof(drawn));

		if (err < 0)
			return err;
		left = sizeof(drawn);
	}
	left -= len;
	memcpy(buf, drawn + left, len);
	memset(drawn + left, 0, len);
	return 0;
}

void host_sched_yield(void)
{
	sched_yield();
}

int host_sched_setaffinity(int tid, uint64_t mask)
{
	return (int)RESULT(syscall(SYS_sched_setaffinity, tid, sizeof(mask), &mask));
}

int host_flock(int fd, bool lock)
{
	return flock(fd, lock ? LOCK_EX | LOCK_NB : LOCK_UN) < 0 ? -errno : 0;
}

void host_futex_wake(uint32_t *word)
{
	syscall(SYS_futex, word, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0);
}

void host_exit(int status)
{
	_exit(status);
}
