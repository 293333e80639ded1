/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers that end where memory ends, and buffers that go on behind it, for calls that are made so often from one place that
 * a kernel which rewrites text will have rewritten it; and such calls in threads while the process forks, executes and ends.
 * covers: stat fstat newfstatat poll ppoll epoll_wait getdents64 recvfrom sendto readlink getcwd clock_gettime
 * covers: rt_sigprocmask getrandom uname getsockname fork execve exit_group
 * covers: sendmsg recvmsg fcntl ioctl prlimit64 getsockopt statfs fstatfs sysinfo times sched_getaffinity
 */
#include "t.h"

#include <elf.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/utsname.h>

#define TIMES 200
#define PAGE 4096L

/* One site for all, in the form that libcs have. */
long hot6(long nr, long a, long b, long c, long d, long e, long f);
__asm__(".text\n.globl hot6\nhot6:\n"
	"\tmov %rdi,%rax\n\tmov %rsi,%rdi\n\tmov %rdx,%rsi\n\tmov %rcx,%rdx\n\tmov %r8,%r10\n\tmov %r9,%r8\n\tmov 8(%rsp),%r9\n"
	"\tsyscall\n\tcmp $-4096,%rax\n\tret\n");
#define HOT6(nr, a, b, c, d, e, f) hot6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* The first byte behind a page that can be written, where nothing can be touched. */
static char *edge(void)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK_OK(mprotect(p + PAGE, PAGE, PROT_NONE));
	return p + PAGE;
}

TEST(stat_at_the_edge)
{
	char *end = edge();
	struct stat st;
	int fd;

	t_scratch();
	fd = MUST(open("file", O_RDWR | O_CREAT, 0640));
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_OK(fstat(fd, &st));
	for (int i = 0; i < TIMES; i++) {
		struct stat *at = (struct stat *)(end - sizeof(st));

		memset(at, 0, sizeof(*at));
		CHECK_EQ(HOT6(SYS_stat, "file", at, 0, 0, 0, 0), 0);
		CHECK_MEM(at, &st, sizeof(st));
		memset(at, 0, sizeof(*at));
		CHECK_EQ(HOT6(SYS_fstat, fd, at, 0, 0, 0, 0), 0);
		CHECK_MEM(at, &st, sizeof(st));
		memset(at, 0, sizeof(*at));
		CHECK_EQ(HOT6(SYS_newfstatat, fd, "", at, AT_EMPTY_PATH, 0, 0), 0);
		CHECK_MEM(at, &st, sizeof(st));
		CHECK_EQ(HOT6(SYS_stat, "file", (char *)at + 1, 0, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_fstat, fd, (char *)at + 143, 0, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_fstat, fd, end, 0, 0, 0, 0), -EFAULT);
	}
}

TEST(paths_at_the_edge)
{
	char *end = edge(), *name = end - 5;
	struct stat st;

	t_scratch();
	CHECK_OK(close(MUST(open("file", O_RDWR | O_CREAT, 0640))));
	for (int i = 0; i < TIMES; i++) {
		memcpy(name, "file", 5);
		CHECK_EQ(HOT6(SYS_stat, name, &st, 0, 0, 0, 0), 0);
		CHECK_EQ(HOT6(SYS_access, name, F_OK, 0, 0, 0, 0), 0);
		memcpy(end - 4, "file", 4); /* no end */
		CHECK_EQ(HOT6(SYS_stat, end - 4, &st, 0, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_stat, end, &st, 0, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_stat, NULL, &st, 0, 0, 0, 0), -EFAULT);
	}
}

TEST(poll_at_the_edge)
{
	char *end = edge();
	struct pollfd *at = (struct pollfd *)(end - 2 * sizeof(*at));
	int fds[2];

	CHECK_OK(pipe(fds));
	for (int i = 0; i < TIMES; i++) {
		at[0] = (struct pollfd){.fd = fds[0], .events = POLLIN, .revents = -1};
		at[1] = (struct pollfd){.fd = fds[1], .events = POLLOUT, .revents = -1};
		CHECK_EQ(HOT6(SYS_poll, at, 2, 0, 0, 0, 0), 1);
		CHECK_EQ(at[0].revents, 0);
		CHECK_EQ(at[1].revents, POLLOUT);
		CHECK_EQ(HOT6(SYS_poll, at + 1, 2, 0, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_poll, (char *)at + 4, 2, 0, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_poll, end, 1, 0, 0, 0, 0), -EFAULT);
	}
}

TEST(epoll_events_at_the_edge)
{
	char *end = edge();
	int ep = MUST(epoll_create1(0)), fds[2][2];

	for (int i = 0; i < 2; i++) {
		struct epoll_event ev = {.events = EPOLLOUT, .data.u64 = 0x1234567800ull + (unsigned)i};

		CHECK_OK(pipe(fds[i]));
		CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i][1], &ev));
	}
	for (int i = 0; i < TIMES; i++) {
		struct epoll_event *at = (struct epoll_event *)(end - 2 * sizeof(*at));

		memset(at, 0, 2 * sizeof(*at));
		CHECK_EQ(HOT6(SYS_epoll_wait, ep, at, 2, 0, 0, 0), 2);
		CHECK_EQ(at[0].events, EPOLLOUT);
		CHECK_EQ((at[0].data.u64 ^ at[1].data.u64), 1);
		/* Room for one of the two: that one is told. */
		memset(at, 0, 2 * sizeof(*at));
		CHECK_EQ(HOT6(SYS_epoll_wait, ep, at + 1, 2, 0, 0, 0), 1);
		CHECK_EQ(at[1].events, EPOLLOUT);
		CHECK_EQ(HOT6(SYS_epoll_wait, ep, end - 4, 1, 0, 0, 0), -EFAULT);
	}
}

/* The same entries in len bytes; what pads them is nobody's. */
static void same_entries(const char *a, const char *b, long len)
{
	for (long at = 0; at < len;) {
		uint16_t size;

		CHECK_MEM(a + at, b + at, 19);
		CHECK_STR(a + at + 19, b + at + 19);
		memcpy(&size, a + at + 16, 2);
		CHECK(size >= 24 && size <= len - at);
		at += size;
	}
}

TEST(directories_at_the_edge)
{
	char *end = edge(), all[1024], name[16];
	long whole, got;
	int dir;

	t_scratch();
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		CHECK_OK(close(MUST(open(name, O_RDWR | O_CREAT, 0600))));
	}
	dir = MUST(open(".", O_RDONLY | O_DIRECTORY));
	whole = MUST(syscall(SYS_getdents64, dir, all, sizeof(all)));
	CHECK(whole >= 10 * 24 && whole <= 10 * 32);
	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(lseek(dir, 0, SEEK_SET), 0);
		got = HOT6(SYS_getdents64, dir, end - whole, whole, 0, 0, 0);
		CHECK_EQ(got, whole);
		same_entries(end - whole, all, whole);
		/* The first two have room, the third has not. */
		CHECK_EQ(lseek(dir, 0, SEEK_SET), 0);
		got = HOT6(SYS_getdents64, dir, end - 64, 1024, 0, 0, 0);
		CHECK(got > 0 && got <= 64);
		same_entries(end - 64, all, got);
		CHECK_EQ(lseek(dir, 0, SEEK_SET), 0);
		CHECK_EQ(HOT6(SYS_getdents64, dir, end, 1024, 0, 0, 0), -EFAULT);
	}
}

TEST(messages_at_the_edge)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, *from;
	char *end = edge(), *other = edge();
	int s = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	socklen_t len = sizeof(sin), *lenp = (socklen_t *)(other - sizeof(*lenp));

	CHECK_OK(bind(s, (struct sockaddr *)&sin, sizeof(sin)));
	CHECK_OK(getsockname(s, (struct sockaddr *)&sin, &len));
	from = (struct sockaddr_in *)(other - 64);
	for (int i = 0; i < TIMES; i++) {
		memcpy(end - 5, "hello", 5);
		CHECK_EQ(HOT6(SYS_sendto, s, end - 5, 5, 0, &sin, sizeof(sin)), 5);
		memset(end - 5, 0, 5);
		*lenp = sizeof(*from);
		CHECK_EQ(HOT6(SYS_recvfrom, s, end - 5, 5, 0, from, lenp), 5);
		CHECK_MEM(end - 5, "hello", 5);
		CHECK_EQ(*lenp, sizeof(*from));
		CHECK_EQ(from->sin_port, sin.sin_port);
		CHECK_EQ(HOT6(SYS_sendto, s, end - 4, 5, 0, &sin, sizeof(sin)), -EFAULT);
		CHECK_EQ(HOT6(SYS_sendto, s, "x", 1, 0, other - 8, sizeof(sin)), -EFAULT);
		/* More room is said than there is, but the message is short enough. */
		CHECK_EQ(HOT6(SYS_sendto, s, "abc", 3, 0, &sin, sizeof(sin)), 3);
		CHECK_EQ(HOT6(SYS_recvfrom, s, end - 3, 100, 0, NULL, NULL), 3);
		CHECK_MEM(end - 3, "abc", 3);
		*lenp = sizeof(*from);
		CHECK_EQ(HOT6(SYS_getsockname, s, from, lenp, 0, 0, 0), 0);
		CHECK_EQ(HOT6(SYS_getsockname, s, from, end, 0, 0, 0), -EFAULT);
	}
}

/* A header, a name, an array, its bytes, control data: each where memory ends, and each going on behind it. */
TEST(message_headers_at_the_edge)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, *from;
	char *end = edge(), *other = edge(), *third = edge(), *fourth = edge(), got[16];
	struct msghdr *h = (struct msghdr *)(end - sizeof(*h)), bad;
	struct iovec *iov = (struct iovec *)(other - 2 * sizeof(*iov));
	int s = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	socklen_t len = sizeof(sin);

	CHECK_OK(bind(s, (struct sockaddr *)&sin, sizeof(sin)));
	CHECK_OK(getsockname(s, (struct sockaddr *)&sin, &len));
	from = (struct sockaddr_in *)(third - sizeof(*from));
	for (int i = 0; i < TIMES; i++) {
		*from = sin;
		memcpy(fourth - 3, "abc", 3);
		iov[0] = (struct iovec){"hello", 5};
		iov[1] = (struct iovec){fourth - 3, 3};
		*h = (struct msghdr){.msg_name = from, .msg_namelen = sizeof(*from), .msg_iov = iov, .msg_iovlen = 2};
		CHECK_EQ(HOT6(SYS_sendmsg, s, h, 0, 0, 0, 0), 8);
		memset(from, 0, sizeof(*from));
		memset(fourth - 3, 0, 3);
		iov[0] = (struct iovec){got, 5};
		h->msg_flags = -1;
		h->msg_namelen = 100; /* more than there is, but names are short */
		CHECK_EQ(HOT6(SYS_recvmsg, s, h, 0, 0, 0, 0), 8);
		CHECK_MEM(got, "hello", 5);
		CHECK_MEM(fourth - 3, "abc", 3);
		CHECK_EQ(h->msg_namelen, sizeof(*from));
		CHECK_EQ(from->sin_port, sin.sin_port);
		CHECK_EQ(h->msg_flags, 0);
		CHECK_EQ(h->msg_controllen, 0);

		/* What goes on behind the end, part by part. */
		CHECK_EQ(HOT6(SYS_sendmsg, s, (char *)h + 8, 0, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_recvmsg, s, (char *)h + 8, MSG_DONTWAIT, 0, 0, 0), -EFAULT);
		bad = *h;
		bad.msg_name = from + 1;
		CHECK_EQ(HOT6(SYS_sendmsg, s, &bad, 0, 0, 0, 0), -EFAULT);
		bad = *h;
		bad.msg_iovlen = 3;
		CHECK_EQ(HOT6(SYS_sendmsg, s, &bad, 0, 0, 0, 0), -EFAULT);
		bad.msg_iovlen = 2000;
		CHECK_EQ(HOT6(SYS_sendmsg, s, &bad, 0, 0, 0, 0), -EMSGSIZE);
		bad = *h;
		bad.msg_control = fourth;
		bad.msg_controllen = 64;
		CHECK_EQ(HOT6(SYS_sendmsg, s, &bad, 0, 0, 0, 0), -EFAULT);
		iov[1].iov_len = 4;
		CHECK_EQ(HOT6(SYS_sendmsg, s, h, 0, 0, 0, 0), -EFAULT);
	}
}

/* Descriptors and streams by messages: one byte read into a place for many, control data that is cut, and a peek. */
TEST(messages_with_control_data)
{
	char *end = edge(), *other = edge(), c[3] = "ab";
	struct iovec iov = {c, 2};
	struct msghdr h;
	struct cmsghdr *cm = (struct cmsghdr *)(end - CMSG_SPACE(sizeof(int)));
	int sv[2], fd, null = MUST(open("/dev/null", O_WRONLY));

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	for (int i = 0; i < TIMES; i++) {
		memset(cm, 0, CMSG_SPACE(sizeof(int)));
		*cm = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(cm), &null, sizeof(null));
		h = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1, .msg_control = cm, .msg_controllen = CMSG_SPACE(sizeof(int))};
		c[0] = (char)i;
		CHECK_EQ(HOT6(SYS_sendmsg, sv[0], &h, 0, 0, 0, 0), 2);
		memset(cm, 0, CMSG_SPACE(sizeof(int)));
		memset(c, 0, 2);
		if (i % 3 == 0)
			h.msg_controllen = sizeof(struct cmsghdr) - 1; /* no room: it is dropped, and said to be */
		iov = (struct iovec){i % 2 ? c : other - 2, i % 2 ? 2 : 4096};
		CHECK_EQ(HOT6(SYS_recvmsg, sv[1], &h, 0, 0, 0, 0), 2);
		CHECK_EQ(((char *)iov.iov_base)[0], (char)i);
		iov = (struct iovec){c, 2};
		if (i % 3 == 0) {
			CHECK(h.msg_flags & MSG_CTRUNC);
			CHECK_EQ(h.msg_controllen, 0);
			continue;
		}
		CHECK_EQ(h.msg_flags, 0);
		CHECK_EQ(h.msg_controllen, CMSG_SPACE(sizeof(int)));
		CHECK_EQ(cm->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
		CHECK_EQ(HOT6(SYS_write, fd, "x", 1, 0, 0, 0), 1);
		CHECK_OK(close(fd));
	}
}

static void *sends_late(void *arg)
{
	struct iovec iov = {"late", 4};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	int *sv = arg;

	for (int i = 0; i < 30; i++) {
		usleep(1000);
		if (HOT6(SYS_sendmsg, sv[0], &h, 0, 0, 0, 0) != 4)
			return sv;
	}
	return NULL;
}

TEST(messages_that_are_waited_for)
{
	char got[8];
	struct iovec iov = {got, sizeof(got)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	pthread_t thread;
	void *wrong;
	int sv[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(HOT6(SYS_recvmsg, sv[1], &h, MSG_DONTWAIT, 0, 0, 0), -EAGAIN);
	}
	CHECK_EQ(pthread_create(&thread, NULL, sends_late, sv), 0);
	for (int i = 0; i < 30; i++) {
		memset(got, 0, sizeof(got));
		h.msg_flags = 77;
		CHECK_EQ(HOT6(SYS_recvmsg, sv[1], &h, 0, 0, 0, 0), 4);
		CHECK_MEM(got, "late", 4);
		CHECK_EQ(h.msg_flags, 0);
	}
	CHECK_EQ(pthread_join(thread, &wrong), 0);
	CHECK(wrong == NULL);
}

TEST(commands_at_the_edge)
{
	char *end = edge();
	struct flock *l = (struct flock *)(end - sizeof(*l));
	struct rlimit *r = (struct rlimit *)(end - sizeof(*r)), before;
	int fds[2], fd, *n = (int *)(end - sizeof(*n));

	t_scratch();
	fd = MUST(open("f", O_RDWR | O_CREAT, 0600));
	CHECK_OK(pipe(fds));
	CHECK_EQ(write(fds[1], "abc", 3), 3);
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &before));
	for (int i = 0; i < TIMES; i++) {
		*l = (struct flock){.l_type = i % 2 ? F_UNLCK : F_WRLCK, .l_len = 10};
		CHECK_EQ(HOT6(SYS_fcntl, fd, F_SETLK, l, 0, 0, 0), 0);
		CHECK_EQ(HOT6(SYS_fcntl, fd, F_SETLK, (char *)l + 1, 0, 0, 0), -EFAULT);
		l->l_type = F_RDLCK;
		CHECK_EQ(HOT6(SYS_fcntl, fd, F_GETLK, l, 0, 0, 0), 0);
		CHECK_EQ(l->l_type, F_UNLCK); /* its own don't count */
		CHECK_EQ(HOT6(SYS_fcntl, fd, F_GETLK, (char *)l + 8, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_fcntl, fd, F_SETFL, O_NONBLOCK, 0, 0, 0), 0); /* no address */
		CHECK_EQ(HOT6(SYS_fcntl, fd, F_GETFL, end, 0, 0, 0), O_RDWR | O_NONBLOCK | 0100000); /* O_LARGEFILE */
		CHECK_EQ(HOT6(SYS_ioctl, fds[0], FIONREAD, n, 0, 0, 0), 0);
		CHECK_EQ(*n, 3);
		CHECK_EQ(HOT6(SYS_ioctl, fds[0], FIONREAD, end - 3, 0, 0, 0), -EFAULT);
		*n = i % 2;
		CHECK_EQ(HOT6(SYS_ioctl, fds[0], FIONBIO, n, 0, 0, 0), 0);
		CHECK_EQ(HOT6(SYS_fcntl, fds[0], F_GETFL, 0, 0, 0, 0) & O_NONBLOCK, i % 2 ? O_NONBLOCK : 0);
		CHECK_EQ(HOT6(SYS_ioctl, fds[0], 0x5401 /* TCGETS */, end - 64, 0, 0, 0), -ENOTTY);
		/* Asked for, and set: as if they were two calls. */
		CHECK_EQ(HOT6(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, r, 0, 0), 0);
		CHECK_EQ(r->rlim_cur, before.rlim_cur - (i ? 1U : 0));
		r->rlim_cur = before.rlim_cur - 1;
		CHECK_EQ(HOT6(SYS_prlimit64, 0, RLIMIT_NOFILE, r, r, 0, 0), 0);
		CHECK_EQ(HOT6(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, (char *)r + 8, 0, 0), -EFAULT);
	}
}

TEST(more_structures_at_the_edge)
{
	char *end = edge(), *other = edge();
	int sv[2], fd = MUST(open("/", O_RDONLY)), type;
	socklen_t *len = (socklen_t *)(other - sizeof(*len));

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(HOT6(SYS_statfs, "/", end - sizeof(struct statfs), 0, 0, 0, 0), 0);
		CHECK_EQ(HOT6(SYS_statfs, "/", end - sizeof(struct statfs) + 8, 0, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_fstatfs, fd, end - sizeof(struct statfs), 0, 0, 0, 0), 0);
		CHECK_EQ(HOT6(SYS_fstatfs, fd, end, 0, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_sysinfo, end - sizeof(struct sysinfo), 0, 0, 0, 0, 0), 0);
		CHECK_EQ(HOT6(SYS_sysinfo, end - sizeof(struct sysinfo) + 8, 0, 0, 0, 0, 0), -EFAULT);
		CHECK(HOT6(SYS_times, end - sizeof(struct tms), 0, 0, 0, 0, 0) > 0);
		CHECK_EQ(HOT6(SYS_times, end - 8, 0, 0, 0, 0, 0), -EFAULT);
		/* Room for more CPUs than there are, and than there is memory. */
		CHECK_GE(HOT6(SYS_sched_getaffinity, 0, 8, end - 8, 0, 0, 0), 8);
		CHECK_EQ(HOT6(SYS_sched_getaffinity, 0, 8, end - 4, 0, 0, 0), -EFAULT);
		*len = 4;
		CHECK_EQ(HOT6(SYS_getsockopt, sv[0], SOL_SOCKET, SO_TYPE, end - 4, len, 0), 0);
		memcpy(&type, end - 4, sizeof(type));
		CHECK_EQ(type, SOCK_STREAM);
		CHECK_EQ(*len, 4);
		*len = sizeof(struct linger);
		CHECK_EQ(HOT6(SYS_getsockopt, sv[0], SOL_SOCKET, SO_LINGER, end - 8, len, 0), 0);
		CHECK_EQ(*len, 8);
		CHECK_EQ(HOT6(SYS_getsockopt, sv[0], SOL_SOCKET, SO_TYPE, end - 2, len, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_getsockopt, sv[0], SOL_SOCKET, SO_TYPE, end - 4, other, 0), -EFAULT);
	}
}

TEST(short_answers_in_buffers_that_are_said_to_be_long)
{
	char *end = edge(), cwd[512];
	long len;

	t_scratch();
	CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
	len = (long)strlen(cwd) + 1;
	CHECK_OK(symlink("target", "link"));
	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(HOT6(SYS_readlink, "link", end - 6, 4096, 0, 0, 0), 6);
		CHECK_MEM(end - 6, "target", 6);
		CHECK_EQ(HOT6(SYS_readlink, "link", end - 5, 4096, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_getcwd, end - len, 4096, 0, 0, 0, 0), len);
		CHECK_MEM(end - len, cwd, (size_t)len);
		CHECK_EQ(HOT6(SYS_getcwd, end - len + 1, 4096, 0, 0, 0, 0), -EFAULT);
	}
}

TEST(structures_at_the_edge)
{
	char *end = edge();
	sigset_t none;

	sigemptyset(&none);
	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(HOT6(SYS_clock_gettime, CLOCK_MONOTONIC, end - 16, 0, 0, 0, 0), 0);
		CHECK_EQ(HOT6(SYS_clock_gettime, CLOCK_MONOTONIC, end - 15, 0, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_uname, end - sizeof(struct utsname), 0, 0, 0, 0, 0), 0);
		CHECK_EQ(HOT6(SYS_uname, end - sizeof(struct utsname) + 1, 0, 0, 0, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_rt_sigprocmask, SIG_SETMASK, &none, end - 8, 8, 0, 0), 0);
		CHECK_EQ(HOT6(SYS_rt_sigprocmask, SIG_SETMASK, end - 7, NULL, 8, 0, 0), -EFAULT);
		CHECK_EQ(HOT6(SYS_getrandom, end - 16, 16, 0, 0, 0, 0), 16);
		CHECK_EQ(HOT6(SYS_getrandom, end, 16, 0, 0, 0, 0), -EFAULT);
	}
}

/* ---- calls under way while the process changes ---- */

static volatile bool stop;

static void *caller(void *arg)
{
	char buf[64];
	int *fds = arg;

	while (!stop) {
		if (HOT6(SYS_getppid, 0, 0, 0, 0, 0, 0) < 0 || HOT6(SYS_write, fds[1], "0123456789", 10, 0, 0, 0) != 10 ||
		    HOT6(SYS_read, fds[0], buf, 10, 0, 0, 0) != 10 || memcmp(buf, "0123456789", 10) != 0)
			_exit(9);
	}
	return NULL;
}

TEST(forks_while_threads_call)
{
	pthread_t thread[2];
	int fds[2][2];

	for (int i = 0; i < 2; i++) {
		CHECK_OK(pipe(fds[i]));
		CHECK_EQ(pthread_create(&thread[i], NULL, caller, fds[i]), 0);
	}
	for (int i = 0; i < 40; i++) {
		pid_t child = MUST(fork());

		if (child == 0) {
			int own[2];
			char c = 0;

			if (pipe(own) < 0)
				_exit(1);
			for (int k = 0; k < 20; k++)
				if (HOT6(SYS_write, own[1], "z", 1, 0, 0, 0) != 1 || HOT6(SYS_read, own[0], &c, 1, 0, 0, 0) != 1 ||
				    c != 'z')
					_exit(2);
			_exit(0);
		}
		t_reap(child);
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
}

/* Calls for a while, beside three threads that go on. */
static void call_with_others(void)
{
	static int fds[3][2];
	pthread_t thread[3];

	for (int k = 0; k < 3; k++)
		if (pipe(fds[k]) < 0 || pthread_create(&thread[k], NULL, caller, fds[k]) != 0)
			_exit(1);
	for (int k = 0; k < 50; k++)
		HOT6(SYS_getppid, 0, 0, 0, 0, 0, 0);
}

TEST(exec_while_threads_call)
{
	for (int i = 0; i < 15; i++) {
		pid_t child = MUST(fork());

		if (child == 0) {
			call_with_others();
			execl("/bin/true", "true", NULL);
			_exit(3);
		}
		t_reap(child);
	}
}

TEST(the_end_while_threads_call)
{
	for (int i = 0; i < 15; i++) {
		pid_t child = MUST(fork());
		int status;

		if (child == 0) {
			call_with_others();
			_exit(17 + i);
		}
		CHECK_EQ(MUST(waitpid(child, &status, 0)), child);
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), 17 + i);
	}
}

/*
 * A program that translates others' text (valgrind, an emulator) is static, maps the text as a linker does, and reads it.
 * What was rewritten for those who execute it must not be seen.
 */
TEST(text_that_a_static_program_maps_is_the_files)
{
	static const char path[] = "/lib/x86_64-linux-gnu/libc.so.6";
	static char bytes[65536];
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	int fd = open(path, O_RDONLY);

	if (getauxval(AT_BASE) != 0)
		SKIP("for the static program");
	if (fd < 0)
		SKIP("there is no libc here");
	for (int round = 0; round < 2; round++) {
		pid_t pid = t_fork();

		if (pid == 0) {
			execl("/bin/sh", "sh", "-c", "i=0; while [ $i -lt 400 ]; do cd /tmp; cd /; i=$((i + 1)); done", NULL);
			_exit(127);
		}
		CHECK_EQ(t_wait(pid), 0);
	}
	CHECK_EQ(pread(fd, &eh, sizeof(eh), 0), sizeof(eh));
	for (int i = 0; i < eh.e_phnum; i++) {
		size_t len, at = 0;
		char *text;

		CHECK_EQ(pread(fd, &ph, sizeof(ph), (off_t)(eh.e_phoff + i * sizeof(ph))), sizeof(ph));
		if (ph.p_type != PT_LOAD || (ph.p_flags & PF_X) == 0)
			continue;
		len = ph.p_filesz;
		text = mmap(NULL, len, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (off_t)ph.p_offset);
		CHECK(text != MAP_FAILED);
		while (at < len) {
			ssize_t n = MUST(pread(fd, bytes, len - at < sizeof(bytes) ? len - at : sizeof(bytes), (off_t)(ph.p_offset + at)));

			CHECK(n > 0);
			CHECK_MEM(text + at, bytes, (size_t)n);
			at += (size_t)n;
		}
		CHECK_OK(munmap(text, len));
	}
	close(fd);
}
