/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads make calls from text of a file while another makes that text writable, maps the file over it anew, maps something where
 * a kernel that rewrites text may have put what belongs to it, locks it, forks: none of them may notice. Each round has a mapping
 * of its own, and half of them a file of their own, from which as many calls have come as it takes to be rewritten.
 * covers: mprotect mmap munmap madvise mlock munlock fork getppid
 */
#include "t.h"

#include <pthread.h>
#include <ucontext.h>

#define THREADS 3
#define ROUNDS 48
#define WARM 60UL /* rounds of all calls by each thread */
#define PAGE 4096L

/*
 * The file's bytes: four ways to call, a place every 64 bytes. What lies behind each says so if it is run. Each takes the number
 * and leaves all registers of a function's caller alone.
 */
extern const char code_start[], code_end[];
__asm__(".section .rodata\n.balign 64\ncode_start:\n"
	"\tmov %rdi,%rax\n\tsyscall\n\tcmp $-4096,%rax\n\tret\n"
	".balign 64,0x90\n\tmov %rdi,%rax\n\tsyscall\n\tcmp $-4095,%rax\n\tret\n"
	".balign 64,0x90\n\tmov $110,%eax\n\tsyscall\n\tret\n"
	".balign 64,0x90\n\tmov $110,%eax\n\tmov %rdi,%r8\n\txor %edx,%edx\n\tmov %r8,%rsi\n\tsyscall\n\tret\n"
	"code_end:\n.text\n");
#define WAYS 4

static char *volatile base;
static volatile unsigned long done[THREADS];
static volatile bool ending;
static volatile long signals;
static pid_t parent;

static void call_all(const char *at)
{
	for (int i = 0; i < WAYS; i++)
		CHECK_EQ(((long (*)(long, long))(uintptr_t)(at + i * 64))(SYS_getppid, 0), parent);
}

static void *caller(void *arg)
{
	volatile unsigned long *count = arg;

	while (!ending) {
		call_all(base);
		*count += 1;
	}
	return NULL;
}

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

/* Each thread has been through all calls so many times. */
static void pass(unsigned long times)
{
	unsigned long from[THREADS];

	for (int i = 0; i < THREADS; i++)
		from[i] = done[i];
	for (int i = 0; i < THREADS; i++)
		while (done[i] - from[i] < times)
			sched_yield();
}

static int new_file(void)
{
	int fd = MUST(open("code", O_RDWR | O_CREAT | O_TRUNC, 0755));
	char page[PAGE];

	memset(page, 0xcc, sizeof(page));
	memcpy(page, code_start, (size_t)(code_end - code_start));
	CHECK_EQ(write(fd, page, sizeof(page)), PAGE);
	CHECK_OK(close(fd));
	fd = MUST(open("code", O_RDONLY));
	CHECK_OK(unlink("code"));
	return fd;
}

static char *map(int fd, void *at, int flags)
{
	char *p = mmap(at, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | flags, fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* Nobody's memory, as far as the program knows. */
static void take(char *at, long len)
{
	char *p = mmap(at, (size_t)len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED) {
		CHECK_EQ(errno, EEXIST);
		return;
	}
	CHECK(p == at);
	memset(p, 0xcc, (size_t)len);
	CHECK_OK(munmap(p, (size_t)len));
}

static void disturb(int what, int fd, pthread_t thread)
{
	static const long places[] = {0x3d4000, 0x13d4000, -0x10000000};
	char *at = base;
	pid_t pid;

	switch (what) {
	case 0:
		CHECK_OK(mprotect(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
		CHECK_MEM(at, code_start, (size_t)(code_end - code_start));
		*(volatile char *)(at + PAGE - 1) = 1;
		break;
	case 1 ... 3:
		for (int i = 0; i < 3; i++)
			take(at + places[(what + i) % 3], 8 * PAGE);
		break;
	case 4:
		CHECK(map(fd, at, MAP_FIXED) == at);
		break;
	case 5:
		CHECK_OK(mlock(at, PAGE));
		CHECK_OK(madvise(at, PAGE, MADV_WILLNEED));
		CHECK_OK(munlock(at, PAGE));
		CHECK_OK(madvise(at, PAGE, MADV_DONTNEED));
		break;
	case 6:
		pid = MUST(fork());
		if (pid == 0) {
			parent = getppid();
			for (int i = 0; i < 20; i++)
				call_all(at);
			CHECK_OK(mprotect(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
			call_all(at);
			_exit(0);
		}
		CHECK_OK(mprotect(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
		t_reap(pid);
		break;
	default:
		CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
		CHECK_OK(mprotect(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
		CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
		break;
	}
}

TEST(threads_do_not_notice)
{
	pthread_t threads[THREADS];
	char *old = NULL;
	int fd;

	t_scratch();
	parent = getppid();
	CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);
	fd = new_file();
	base = map(fd, NULL, 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, caller, (void *)&done[i]), 0);
	for (int round = 0; round < ROUNDS; round++) {
		pass(WARM);
		disturb(round % 8, fd, threads[round % THREADS]);
		pass(2);
		old = base;
		if (round % 16 >= 8) {
			CHECK_OK(close(fd));
			fd = new_file();
		}
		base = map(fd, NULL, 0);
		pass(2);
		CHECK_OK(munmap(old, PAGE));
	}
	ending = true;
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_GE(signals, 1);
}

/* The same by two threads at once, of two mappings each: they wait for one another. */
static void *toggler(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 60; i++) {
		char *at = map(fd, NULL, 0);

		for (int k = 0; k < 20; k++)
			call_all(at);
		CHECK_OK(mprotect(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
		call_all(at);
		CHECK_OK(munmap(at, PAGE));
	}
	return NULL;
}

TEST(several_at_once)
{
	pthread_t threads[THREADS];
	int fd;

	t_scratch();
	parent = getppid();
	fd = new_file();
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, toggler, &fd), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

/* A thread that never comes by itself, and one that sleeps, don't keep the others. */
static volatile bool spin;

static void *spinner(void *arg)
{
	while (spin)
		(*(volatile unsigned long *)arg)++;
	return NULL;
}

static void *sleeper(void *arg)
{
	char c;

	CHECK_EQ(read(*(int *)arg, &c, 1), 1);
	return NULL;
}

TEST(who_computes_or_sleeps)
{
	pthread_t a, b;
	int fds[2], fd;

	t_scratch();
	parent = getppid();
	fd = new_file();
	CHECK_OK(pipe(fds));
	spin = true;
	CHECK_EQ(pthread_create(&a, NULL, spinner, (void *)&done[0]), 0);
	CHECK_EQ(pthread_create(&b, NULL, sleeper, &fds[0]), 0);
	toggler(&fd);
	spin = false;
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(pthread_join(a, NULL), 0);
	CHECK_EQ(pthread_join(b, NULL), 0);
}

/* What the program itself puts where something was rewritten: a breakpoint, and in a child that has none of the threads. */
static char *volatile trap_at;
static volatile long traps;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	traps++;
	*trap_at = (char)0xb8;
	uc->uc_mcontext.gregs[REG_RIP]--;
	CHECK(uc->uc_mcontext.gregs[REG_RIP] == (greg_t)(uintptr_t)trap_at);
}

TEST(own_breakpoints)
{
	struct sigaction act = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	int fds[2], fd, status;
	pthread_t thread;
	pid_t pid;

	t_scratch();
	parent = getppid();
	fd = new_file();
	CHECK_OK(pipe(fds));
	CHECK_OK(sigaction(SIGTRAP, &act, NULL));
	CHECK_EQ(pthread_create(&thread, NULL, sleeper, &fds[0]), 0);
	for (int round = 0; round < 4; round++) {
		base = map(fd, NULL, 0);
		trap_at = base + 2 * 64;
		for (int i = 0; i < 100; i++)
			call_all(base);
		CHECK_OK(mprotect(base, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
		*trap_at = (char)0xcc;
		call_all(base);
		CHECK_EQ(traps, round + 1);
		pid = MUST(fork());
		if (pid == 0) {
			CHECK(signal(SIGTRAP, SIG_DFL) != SIG_ERR);
			__asm__ volatile("int3");
			_exit(0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTRAP);
		CHECK_OK(munmap(base, PAGE));
	}
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}
