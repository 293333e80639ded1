/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: memory, signals, processes and threads. */
#include "micro.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- memory ---- */

static char *map(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

int64_t do_mmap(struct run *r, long n)
{
	return TIMED(r, n, {
		volatile char *p = map(8192);

		p[0] = p[4096] = 1;
		TRY(munmap((void *)p, 8192));
	});
}

int64_t do_mprotect(struct run *r, long n)
{
	char *p = map(4096);
	int64_t spent;

	p[0] = 1;
	spent = TIMED(r, n, TRY(mprotect(p, 4096, PROT_READ)); TRY(mprotect(p, 4096, PROT_READ | PROT_WRITE)));
	munmap(p, 4096);
	return spent;
}

int64_t do_madvise(struct run *r, long n)
{
	volatile char *p = map(4096);
	int64_t spent = TIMED(r, n, p[0] = 1; TRY(madvise((void *)p, 4096, MADV_DONTNEED)));

	munmap((void *)p, 4096);
	return spent;
}

/* Only the touching is timed, 256 pages to a mapping. */
int64_t do_fault(struct run *r, long n)
{
	int64_t spent = 0;

	while (n > 0) {
		long pages = n < 256 ? n : 256;
		volatile char *p = map(256 * 4096);

		madvise((void *)p, 256 * 4096, MADV_NOHUGEPAGE);
		spent += TIMED(r, pages, p[i_ * 4096] = 1);
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

int64_t do_raise(struct run *r, long n)
{
	struct sigaction sa = {.sa_handler = on_signal};
	pid_t pid = getpid(), tid = gettid();

	TRY(sigaction(SIGUSR1, &sa, NULL));
	return TIMED(r, n, TRY(tgkill(pid, tid, SIGUSR1)));
}

/* ---- processes and threads ---- */

void reap(int pid)
{
	int status;

	TRY(waitpid(pid, &status, 0));
	if (status != 0) {
		errno = ECHILD;
		fail("a child");
	}
}

ROW(do_fork, pid_t pid = TRY(fork()); if (pid == 0) _exit(0); reap(pid))

/* A function of its own, so that nothing of its caller's lives in registers that the child shares. */
static pid_t __attribute__((noinline)) start_by_vfork(char *const argv[], char *const envp[])
{
	pid_t pid = vfork();

	if (pid == 0) {
		execve(argv[0], argv, envp);
		_exit(1);
	}
	return pid;
}

int64_t do_exec(struct run *r, long n)
{
	char *const argv[] = {program, NULL}, *const envp[] = {NULL};

	return TIMED(r, n, reap(TRY(start_by_vfork(argv, envp))));
}

static pid_t start_by_spawn(char *const argv[], char *const envp[])
{
	pid_t pid;

	errno = posix_spawn(&pid, argv[0], NULL, NULL, argv, envp);
	return errno == 0 ? pid : -1;
}

int64_t do_spawn(struct run *r, long n)
{
	char *const argv[] = {program, NULL}, *const envp[] = {NULL};

	return TIMED(r, n, reap(TRY(start_by_spawn(argv, envp))));
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

ROW(do_thread, pthread_t t; start_thread(&t, no_work, NULL); pthread_join(t, NULL))

/* Two threads, each with a word the other sets and wakes. Nobody spins. (libc has no wrapper for futex.) */
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
	for (long i = *(long *)arg; i >= 0; i--) {
		await_turn(1);
		hand_over(0);
	}
	return NULL;
}

int64_t do_futex(struct run *r, long n)
{
	pthread_t t;
	int64_t spent;

	start_thread(&t, futex_partner, &n);
	hand_over(1);
	await_turn(0); /* the partner is there: its making is another row's */
	spent = TIMED(r, n, hand_over(1); await_turn(0));
	pthread_join(t, NULL);
	return spent;
}
