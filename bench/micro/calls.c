// SPDX-License-Identifier: Apache-2.0
/*
 * What single system calls, faults and switches cost: the program that bench/micro/run starts, natively and sandboxed.
 *
 *	calls DIRECTORY MS BATCHES [NAME-PART]
 *
 * Each row below is a function that does a thing n times and returns the nanoseconds that took, without the setting up.
 * n is found so that a batch takes about MS milliseconds; then BATCHES batches are made, and each is printed as
 * nanoseconds a time:
 *
 *	stat, path of 3 parts|1151.2 1149.9 1200.4
 *
 * Each row runs in a process of its own: one that fails prints `name|failed: why`, and the others go on. Files are made
 * beneath DIRECTORY, which must exist. Static, so that no loader is in the way; calls go through libc, as a program's
 * do, except where libc has no plain wrapper.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1 << 20)

static char dir[512], path[600], *self;
static char block[MIB];
static int file, null, pipes[2], pair[2], event, ep;

/* Ends the row, not the program: each row runs in a process of its own. */
static void __attribute__((noreturn)) fail(const char *what)
{
	printf("failed: %s: %s", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

#define TRY(call)                                                                                                      \
	({                                                                                                             \
		__auto_type r_ = (call);                                                                               \
		if (r_ < 0)                                                                                            \
			fail(#call);                                                                                   \
		r_;                                                                                                    \
	})

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* A row whose every step is the same statement. */
#define ROW(fn, ...)                                                                                                   \
	static int64_t fn(long n)                                                                                      \
	{                                                                                                              \
		int64_t start = now();                                                                                 \
		for (long i = 0; i < n; i++) {                                                                         \
			__VA_ARGS__;                                                                                   \
		}                                                                                                      \
		return now() - start;                                                                                  \
	}

/* ---- the null calls, files ---- */

ROW(do_getpid, getpid())
ROW(do_getppid, getppid())
ROW(do_clock, struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t))
ROW(do_stat, struct stat st; TRY(stat(path, &st)))
ROW(do_fstat, struct stat st; TRY(fstat(file, &st)))
ROW(do_open, close(TRY(open(path, O_RDONLY))))
ROW(do_create, close(TRY(open("new", O_CREAT | O_EXCL | O_WRONLY, 0600))); TRY(unlink("new")))
ROW(do_pread_1, TRY(pread(file, block, 1, 0)))
ROW(do_pread_4k, TRY(pread(file, block, 4096, 0)))
ROW(do_pread_1m, TRY(pread(file, block, MIB, 0)))
ROW(do_pwrite_1, TRY(pwrite(file, block, 1, 0)))
ROW(do_pwrite_4k, TRY(pwrite(file, block, 4096, 0)))
ROW(do_lseek, TRY(lseek(file, i & 4095, SEEK_SET)))
ROW(do_null, TRY(write(null, block, 1)))

static int64_t do_getdents(long n)
{
	int64_t start = now();

	for (long i = 0; i < n; i++) {
		int fd = TRY(open("/", O_RDONLY | O_DIRECTORY));

		while (TRY(syscall(SYS_getdents64, fd, block, 32768)) > 0)
			;
		close(fd);
	}
	return now() - start;
}

/* ---- channels and waiting, within one thread ---- */

ROW(do_pipe, TRY(write(pipes[1], block, 1)); TRY(read(pipes[0], block, 1)))
ROW(do_socketpair, TRY(write(pair[1], block, 1)); TRY(read(pair[0], block, 1)))
ROW(do_eventfd, uint64_t v = 1; TRY(write(event, &v, 8)); TRY(read(event, &v, 8)))
ROW(do_poll, struct pollfd p = {.fd = pipes[0], .events = POLLIN}; TRY(poll(&p, 1, 0)))
ROW(do_epoll, struct epoll_event e; TRY(epoll_wait(ep, &e, 1, 0)))

/* ---- memory ---- */

static char *map(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

static int64_t do_mmap(long n)
{
	int64_t start = now();

	for (long i = 0; i < n; i++) {
		volatile char *p = map(8192);

		p[0] = p[4096] = 1;
		TRY(munmap((void *)p, 8192));
	}
	return now() - start;
}

static int64_t do_mprotect(long n)
{
	char *p = map(4096);
	int64_t start, end;

	p[0] = 1;
	start = now();
	for (long i = 0; i < n; i++) {
		TRY(mprotect(p, 4096, PROT_READ));
		TRY(mprotect(p, 4096, PROT_READ | PROT_WRITE));
	}
	end = now();
	munmap(p, 4096);
	return end - start;
}

/* Only the touching is timed, 256 pages to a mapping. */
static int64_t do_fault(long n)
{
	int64_t spent = 0;

	while (n > 0) {
		long pages = n < 256 ? n : 256;
		volatile char *p = map(256 * 4096);
		int64_t start;

		madvise((void *)p, 256 * 4096, MADV_NOHUGEPAGE);
		start = now();
		for (long i = 0; i < pages; i++)
			p[i * 4096] = 1;
		spent += now() - start;
		munmap((void *)p, 256 * 4096);
		n -= pages;
	}
	return spent;
}

/* ---- signals ---- */

static void on_signal(int sig)
{
	(void)sig;
}

ROW(do_sigprocmask, sigset_t old; TRY(sigprocmask(SIG_BLOCK, NULL, &old)))

static int64_t do_raise(long n)
{
	struct sigaction sa = {.sa_handler = on_signal};
	pid_t pid = getpid();
	long tid = syscall(SYS_gettid);
	int64_t start;

	TRY(sigaction(SIGUSR1, &sa, NULL));
	start = now();
	for (long i = 0; i < n; i++)
		TRY(syscall(SYS_tgkill, pid, tid, SIGUSR1));
	return now() - start;
}

/* ---- processes and threads ---- */

static void reap(pid_t pid)
{
	int status;

	TRY(waitpid(pid, &status, 0));
	if (status != 0) {
		errno = ECHILD;
		fail("a child");
	}
}

static int64_t do_fork(long n)
{
	int64_t start = now();

	for (long i = 0; i < n; i++) {
		pid_t pid = TRY(fork());

		if (pid == 0)
			_exit(0);
		reap(pid);
	}
	return now() - start;
}

/* A function of its own, so that nothing of its caller's lives in registers that the child shares. */
static pid_t __attribute__((noinline)) spawn(char *const argv[], char *const envp[])
{
	pid_t pid = vfork();

	if (pid == 0) {
		execve(argv[0], argv, envp);
		_exit(1);
	}
	return pid;
}

static int64_t do_exec(long n)
{
	char *const argv[] = {self, NULL}, *const envp[] = {NULL};
	int64_t start = now();

	for (long i = 0; i < n; i++)
		reap(TRY(spawn(argv, envp)));
	return now() - start;
}

static void *no_work(void *arg)
{
	return arg;
}

static void start_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
	errno = pthread_create(t, NULL, fn, arg);
	if (errno)
		fail("pthread_create");
}

static int64_t do_thread(long n)
{
	int64_t start = now();

	for (long i = 0; i < n; i++) {
		pthread_t t;

		start_thread(&t, no_work, NULL);
		pthread_join(t, NULL);
	}
	return now() - start;
}

/* Two threads, each with a word the other sets and wakes. Nobody spins. */
static atomic_int turn[2];

static void hand_over(int to)
{
	atomic_store(&turn[to], 1);
	TRY(syscall(SYS_futex, &turn[to], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
}

static void await_turn(int me)
{
	while (!atomic_exchange(&turn[me], 0)) {
		if (syscall(SYS_futex, &turn[me], FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) < 0 && errno != EAGAIN &&
		    errno != EINTR)
			fail("futex");
	}
}

static void *futex_partner(void *arg)
{
	for (long i = *(long *)arg; i > 0; i--) {
		await_turn(1);
		hand_over(0);
	}
	return NULL;
}

static int64_t do_futex(long n)
{
	pthread_t t;
	int64_t start, end;

	start_thread(&t, futex_partner, &n);
	start = now();
	for (long i = 0; i < n; i++) {
		hand_over(1);
		await_turn(0);
	}
	end = now();
	pthread_join(t, NULL);
	return end - start;
}

/* Sends back whatever comes, until the other end is closed. */
static void __attribute__((noreturn)) echo(int in, int to)
{
	char buf[64];
	ssize_t got;

	while ((got = read(in, buf, sizeof(buf))) > 0) {
		if (write(to, buf, got) != got)
			_exit(1);
	}
	_exit(got < 0);
}

static int64_t ping_pong(int in, int to, long n, size_t size)
{
	int64_t start = now();

	for (long i = 0; i < n; i++) {
		TRY(write(to, block, size));
		for (size_t got = 0; got < size;) {
			ssize_t r = TRY(read(in, block, size - got));

			if (r == 0) {
				errno = EPIPE;
				fail("the other process");
			}
			got += r;
		}
	}
	return now() - start;
}

static int64_t do_pipe_pong(long n)
{
	int there[2], back[2];
	int64_t spent;
	pid_t pid;

	TRY(pipe(there));
	TRY(pipe(back));
	pid = TRY(fork());
	if (pid == 0) {
		close(there[1]);
		echo(there[0], back[1]);
	}
	close(there[0]);
	close(back[1]);
	spent = ping_pong(back[0], there[1], n, 1);
	close(there[1]);
	close(back[0]);
	reap(pid);
	return spent;
}

/* ---- TCP on loopback ---- */

static int listener(struct sockaddr_in *a)
{
	socklen_t len = sizeof(*a);
	int fd = TRY(socket(AF_INET, SOCK_STREAM, 0));

	*a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	TRY(bind(fd, (struct sockaddr *)a, len));
	TRY(listen(fd, 16));
	TRY(getsockname(fd, (struct sockaddr *)a, &len));
	return fd;
}

static int dial(const struct sockaddr_in *a)
{
	int fd = TRY(socket(AF_INET, SOCK_STREAM, 0)), one = 1;

	TRY(connect(fd, (const struct sockaddr *)a, sizeof(*a)));
	TRY(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	return fd;
}

static int64_t do_connect(long n)
{
	struct sockaddr_in a;
	int l = listener(&a);
	int64_t start = now(), end;

	for (long i = 0; i < n; i++) {
		int c = dial(&a), s = TRY(accept(l, NULL, NULL));

		close(c);
		close(s);
	}
	end = now();
	close(l);
	return end - start;
}

static int64_t do_tcp_echo(long n)
{
	struct sockaddr_in a;
	int l = listener(&a), c;
	pid_t pid = TRY(fork());
	int64_t spent;

	if (pid == 0) {
		int s = TRY(accept(l, NULL, NULL)), one = 1;

		TRY(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
		echo(s, s);
	}
	c = dial(&a);
	spent = ping_pong(c, c, n, 64);
	close(c);
	close(l);
	reap(pid);
	return spent;
}

static const struct row {
	const char *name;
	int64_t (*fn)(long n);
	long most; /* of a batch, where doing it more often would run into limits; 0: no such */
} rows[] = {
	{"getpid", do_getpid, 0},
	{"getppid", do_getppid, 0},
	{"clock_gettime (vDSO)", do_clock, 0},
	{"stat, path of 3 parts", do_stat, 0},
	{"fstat", do_fstat, 0},
	{"open + close", do_open, 0},
	{"create + close + unlink", do_create, 0},
	{"pread 1 B", do_pread_1, 0},
	{"pread 4 KiB", do_pread_4k, 0},
	{"pread 1 MiB", do_pread_1m, 0},
	{"pwrite 1 B", do_pwrite_1, 0},
	{"pwrite 4 KiB", do_pwrite_4k, 0},
	{"lseek", do_lseek, 0},
	{"write to /dev/null", do_null, 0},
	{"open + getdents + close of /", do_getdents, 0},
	{"pipe write + read", do_pipe, 0},
	{"socketpair write + read", do_socketpair, 0},
	{"eventfd write + read", do_eventfd, 0},
	{"poll", do_poll, 0},
	{"epoll_wait", do_epoll, 0},
	{"mmap + touch 2 + munmap", do_mmap, 0},
	{"mprotect twice", do_mprotect, 0},
	{"page fault", do_fault, 0},
	{"sigprocmask", do_sigprocmask, 0},
	{"raise with handler", do_raise, 0},
	{"fork + exit + wait", do_fork, 0},
	{"vfork + exec + exit + wait", do_exec, 0},
	{"thread create + join", do_thread, 0},
	{"futex ping-pong, 2 threads", do_futex, 0},
	{"pipe ping-pong, 2 processes", do_pipe_pong, 0},
	{"TCP connect + accept + close", do_connect, 500}, /* each leaves a port in TIME_WAIT */
	{"TCP echo of 64 B, 2 processes", do_tcp_echo, 0},
};

static void measure(const struct row *r, int ms, int batches)
{
	int64_t aim = ms * 1000000ll, spent;
	long n = 1, most = r->most ? r->most : 100000000;

	while ((spent = r->fn(n)) < aim / 4 && n < most)
		n = n * 2 < most ? n * 2 : most;
	n = spent > 0 ? (long)((double)n * aim / spent) : n;
	n = n < 1 ? 1 : n > most ? most : n;
	for (int b = 0; b < batches; b++)
		printf("%s%.1f", b ? " " : "", (double)r->fn(n) / n);
}

static void set_up(void)
{
	struct epoll_event e = {.events = EPOLLIN};

	TRY(chdir(dir));
	mkdir("one", 0755);
	mkdir("one/two", 0755);
	snprintf(path, sizeof(path), "%s/one/two/file", dir);
	file = TRY(open(path, O_CREAT | O_RDWR, 0644));
	memset(block, 'x', sizeof(block));
	if (TRY(pwrite(file, block, MIB, 0)) != MIB)
		fail("a file of 1 MiB");
	snprintf(path, sizeof(path), "one/two/file");
	null = TRY(open("/dev/null", O_WRONLY));
	TRY(pipe(pipes));
	TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	event = TRY(eventfd(0, 0));
	ep = TRY(epoll_create1(0));
	TRY(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[0], &e));
}

int main(int argc, char **argv)
{
	int ms, batches, failed = 0;

	if (argc < 2) /* what do_exec executes */
		return 0;
	if (argc < 4) {
		fprintf(stderr, "usage: calls DIRECTORY MS BATCHES [NAME-PART]\n");
		return 2;
	}
	self = argv[0];
	snprintf(dir, sizeof(dir), "%s", argv[1]);
	ms = atoi(argv[2]);
	batches = atoi(argv[3]);
	set_up();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pid_t pid;
		int status;

		if (argc > 4 && !strstr(rows[i].name, argv[4]))
			continue;
		printf("%s|", rows[i].name);
		fflush(stdout);
		pid = TRY(fork());
		if (pid == 0) {
			measure(&rows[i], ms, batches);
			fflush(stdout);
			_exit(0);
		}
		TRY(waitpid(pid, &status, 0));
		if (WIFSIGNALED(status))
			printf("failed: signal %d", WTERMSIG(status));
		failed |= status != 0;
		printf("\n");
		fflush(stdout);
	}
	return failed;
}
