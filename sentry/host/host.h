/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call the sentry makes to the host goes through here. Each wrapper returns the result or -errno (a LINUX_E*
 * value: the numbers are the host's own), never sets errno, and retries nothing unless said. The list of calls that the
 * sealed sentry may make, with reasons, is sentry/host/filters.def; a wrapper whose call is not there dies.
 */
#ifndef SENTRY_HOST_HOST_H
#define SENTRY_HOST_HOST_H

#include "sentry/base/types.h"

#include <sys/types.h>

struct iovec;
struct msghdr;
struct pollfd;
struct epoll_event;

int host_close(int fd);
int64_t host_read(int fd, void *buf, size_t len);
int64_t host_write(int fd, const void *buf, size_t len);
int64_t host_readv(int fd, const struct iovec *iov, int n);
int64_t host_writev(int fd, const struct iovec *iov, int n);
int64_t host_pread(int fd, void *buf, size_t len, int64_t off);
int64_t host_pwrite(int fd, const void *buf, size_t len, int64_t off);
/* flags: MSG_DONTWAIT and friends; never an address (the filter refuses). */
int64_t host_recvmsg(int fd, struct msghdr *msg, int flags);
int64_t host_sendmsg(int fd, const struct msghdr *msg, int flags);
int host_shutdown(int fd, int how);
int host_getsockopt(int fd, int level, int name, void *val, unsigned *len);
int host_memfd_create(const char *name, unsigned flags);
int host_ftruncate(int fd, int64_t size);
int host_fallocate(int fd, int mode, int64_t off, int64_t len);
int host_fcntl(int fd, int cmd, uint64_t arg);
int host_ioctl(int fd, unsigned long req, void *arg);
/* Blocks of 512 bytes and size of a descriptor's file. */
int host_fstat_blocks(int fd, int64_t *size, int64_t *blocks);
struct stat;
int host_fstat(int fd, struct stat *st);
int64_t host_lseek(int fd, int64_t off, int whence);
/* NULL and *err = -errno on failure. Never PROT_EXEC (the filter refuses). */
void *host_mmap(size_t len, int prot, int flags, int fd, int64_t off, int *err);
int host_munmap(void *addr, size_t len);
/* Covers what is mapped there by empty pages that can only be read. */
int host_blank(void *addr, size_t len);
int host_mprotect(void *addr, size_t len, int prot);
int host_madvise(void *addr, size_t len, int advice);
int64_t host_process_vm_readv(int pid, const struct iovec *local, int nlocal, const struct iovec *remote, int nremote);
int64_t host_process_vm_writev(int pid, const struct iovec *local, int nlocal, const struct iovec *remote, int nremote);
int host_tgkill(int tgid, int tid, int sig);
int host_kill(int pid, int sig);
/* wait4 of our own children with WNOHANG unless block. Returns pid, 0 or -errno. */
int host_wait(int pid, int *status, bool block);
/* Any child that has ended, and the CPU time it used. Its pid, 0 (none has) or -errno. */
int host_wait_usage(int *status, uint64_t *cpu_ns);
int host_poll(struct pollfd *fds, unsigned n, int64_t timeout_ns);
int host_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int host_epoll_wait(int epfd, struct epoll_event *ev, int n, int timeout_ms);
/* A timer descriptor of CLOCK_MONOTONIC, or -errno. */
int host_timer_open(void);
/* It becomes readable at at_ns (a time; 0: never), and not before, whatever it was set to. 0 or -errno. */
int host_timer_set(int fd, uint64_t at_ns);
/* Host clocks, by the vDSO where it serves. */
uint64_t host_clock_ns(int clock);
int host_getrandom(void *buf, size_t len);
/* A value of the sentry's own auxiliary vector (AT_HWCAP...); 0 if there is none. No host call. */
uint64_t host_auxval(uint64_t type);
void host_sched_yield(void);
int host_sched_setaffinity(int tid, uint64_t mask);
/* An exclusive lock of the whole file, without waiting; lock false: gives it up. */
int host_flock(int fd, bool lock);
/* Wakes one sleeper of a shared futex word. */
void host_futex_wake(uint32_t *word);
_Noreturn void host_exit(int status);

#endif
