/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls made so often from one place that a kernel which rewrites text will have rewritten it: what they do to registers, to
 * single steps, to signals that come in between, and to pointers that are good only in part, small and large.
 * Then what is done without a kernel's help, and who wakes whom.
 * covers: read write readv writev getpid getppid set_robust_list get_robust_list rt_sigaction
 */
#include "t.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <ucontext.h>

#define TIMES 400

/* A site in the form that libcs have. */
long hot_call(long nr, long a, long b, long c);
extern char hot_site[], hot_behind[];
__asm__(".text\n.globl hot_call\nhot_call:\n"
	"\tmov %rdi,%rax\n\tmov %rsi,%rdi\n\tmov %rdx,%rsi\n\tmov %rcx,%rdx\n"
	".globl hot_site\nhot_site:\n\tsyscall\n"
	".globl hot_behind\nhot_behind:\n\tcmp $-4096,%rax\n\tret\n");

static void heat(void)
{
	for (int i = 0; i < TIMES; i++)
		CHECK_EQ(hot_call(SYS_getppid, 0, 0, 0), getppid());
}

static volatile sig_atomic_t steps_behind, steps_elsewhere;

static void on_step(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	uint64_t ip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];

	(void)sig;
	(void)si;
	/* The kernel's own single steps over a syscall end behind it, or behind the next instruction. */
	if (ip >= (uint64_t)hot_behind && ip <= (uint64_t)hot_behind + 6)
		steps_behind++;
	else if (ip < (uint64_t)hot_call || ip > (uint64_t)hot_behind + 8)
		steps_elsewhere++;
	if (steps_behind + steps_elsewhere > 100)
		uc->uc_mcontext.gregs[REG_EFL] &= ~0x100L;
}

TEST(a_single_step_over_a_call_is_one_step)
{
	struct sigaction sa = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
	long got;

	heat();
	CHECK_OK(sigaction(SIGTRAP, &sa, NULL));
	for (int i = 0; i < 20; i++) {
		steps_behind = steps_elsewhere = 0;
		__asm__ volatile("sub $128,%%rsp\n\tpushfq\n\torq $0x100,(%%rsp)\n\tpopfq\n\t"
				 "mov %[nr],%%rdi\n\tcall hot_call\n\t"
				 "pushfq\n\tandq $~0x100,(%%rsp)\n\tpopfq\n\tadd $128,%%rsp"
				 : "=a"(got)
				 : [nr] "i"(SYS_getppid)
				 : "rdi", "rsi", "rdx", "rcx", "r11", "memory", "cc");
		CHECK_EQ(got, getppid());
		CHECK_GE(steps_behind, 1);
		CHECK(steps_behind <= 2);
		CHECK(steps_elsewhere < 20);
	}
}

TEST(the_direction_flag_does_not_matter_to_a_call)
{
	int fds[2];
	char out[64], in[64] = {0};
	long put, got;

	CHECK_OK(pipe(fds));
	for (int i = 0; i < TIMES; i++) {
		memset(out, 'a' + i % 26, sizeof(out));
		memset(in, 0, sizeof(in));
		__asm__ volatile("std\n\tcall hot_call\n\tcld"
				 : "=a"(put)
				 : "D"((long)SYS_write), "S"((long)fds[1]), "d"(out), "c"(sizeof(out))
				 : "r11", "memory", "cc");
		CHECK_EQ(put, 64);
		got = 0;
		{
			long rdi = SYS_read, rsi = fds[0], rcx = sizeof(in);
			void *rdx = in;

			__asm__ volatile("std\n\tcall hot_call\n\tcld"
					 : "=a"(got), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+c"(rcx)
					 :
					 : "r11", "memory", "cc");
		}
		CHECK_EQ(got, 64);
		CHECK_MEM(in, out, sizeof(in));
	}
}

static volatile sig_atomic_t handled;

static void count(int sig)
{
	(void)sig;
	handled++;
}

/* Mappings come and go in one thread (by commands of the kernel's, perhaps), while another sends signals. */
static volatile sig_atomic_t sender_ends;
static pthread_t target;
static volatile int sent;

static void *sender(void *arg)
{
	(void)arg;
	while (!sender_ends) {
		int before = handled;

		CHECK_EQ(pthread_kill(target, SIGUSR1), 0);
		sent++;
		/* One at a time: then none may be lost, none come twice. */
		while (handled == before && !sender_ends)
			sched_yield();
	}
	return NULL;
}

TEST(signals_between_calls_that_change_mappings)
{
	struct sigaction sa = {.sa_handler = count, .sa_flags = SA_RESTART};
	pthread_t thread;
	int fd = MUST(open(t_self, O_RDONLY));

	heat();
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	target = pthread_self();
	CHECK_EQ(pthread_create(&thread, NULL, sender, NULL), 0);
	for (int i = 0; i < 3000; i++) {
		char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *q = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

		CHECK(p != MAP_FAILED && q != MAP_FAILED);
		p[100] = 1;
		CHECK_EQ(q[1], 'E');
		CHECK_OK(mprotect(p, 4096, PROT_READ));
		CHECK_OK(munmap(p, 65536));
		CHECK_OK(munmap(q, 4096));
	}
	sender_ends = 1;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(handled, sent);
}

static void partial(size_t size)
{
	char *edge = t_edge(4096), *big = malloc(size);
	int fds[2], null = MUST(open("/dev/zero", O_RDWR));
	struct iovec iov[2] = {{edge + 4090, 6}, {t_bad, 10}};

	memset(big, 'b', size);
	CHECK_OK(pipe2(fds, O_NONBLOCK));
	for (int i = 0; i < TIMES / 4; i++) {
		/* All that lies in front of the edge; nothing if nothing does. */
		CHECK_EQ(write(fds[1], "0123456789", 10), 10);
		CHECK_ERR(read(fds[0], t_bad, 10), EFAULT);
		CHECK_ERR(read(fds[0], t_kernel, 10), EFAULT);
		CHECK_EQ(read(fds[0], edge + 4086, 10), 10);
		CHECK_MEM(edge + 4086, "0123456789", 10);
		CHECK_ERR(write(fds[1], t_bad, 10), EFAULT);
		CHECK_ERR(write(fds[1], t_null, 10), EFAULT);
		CHECK_ERR(writev(fds[1], t_bad, 2), EFAULT);
		CHECK_EQ(writev(fds[1], iov, 1), 6);
		CHECK_EQ(readv(fds[0], iov, 1), 6);
		CHECK_EQ(read(null, big, size), (long long)size);
		CHECK_EQ(big[0], 0);
		CHECK_EQ(big[size - 1], 0);
		CHECK_EQ(write(null, big, size), (long long)size);
	}
	CHECK_OK(mprotect(edge, 4096, PROT_READ));
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_ERR(read(fds[0], edge, 1), EFAULT);
	CHECK_EQ(read(fds[0], big, 1), 1); /* it was not taken */
	CHECK_OK(mprotect(edge, 4096, PROT_NONE));
	CHECK_ERR(write(fds[1], edge, 1), EFAULT);
}

TEST(pointers_good_in_part_small)
{
	partial(4000);
}

TEST(pointers_good_in_part_large)
{
	partial(300000);
}

/* ---- what is done without the sentry, and by whom threads are woken ---- */

TEST(another_reads_the_robust_list_of_one_that_calls_no_more)
{
	static struct robust_list_head heads[2] = {{.list.next = &heads[0].list}, {.list.next = &heads[1].list}};
	volatile int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct robust_list_head *got;
	size_t length;
	pid_t child;

	CHECK(shared != MAP_FAILED);
	child = MUST(fork());
	if (child == 0) {
		/* From one site, often enough that it is a busy one. */
		for (int i = 0; i < 300; i++)
			if (syscall(SYS_set_robust_list, &heads[i & 1], sizeof(heads[0])) != 0)
				_exit(3);
		shared[0] = 1;
		while (shared[1] == 0)
			;
		if (syscall(SYS_get_robust_list, 0, &got, &length) != 0 || got != &heads[1])
			_exit(4);
		_exit(0);
	}
	while (shared[0] == 0)
		sched_yield();
	CHECK_OK(syscall(SYS_get_robust_list, child, &got, &length));
	CHECK(got == &heads[1]);
	CHECK_EQ(length, sizeof(heads[0]));
	shared[1] = 1;
	t_reap(child);
}

/* A token goes round through pipes, and each who has it adds to it. */
/* rt_sigaction from one place, as the kernel has it: the libc's hides the restorer. */
long hot_action(long sig, const void *new, void *old);
__asm__(".text\n.globl hot_action\nhot_action:\n"
	"\tmov $8,%r10d\n\tmov $13,%eax\n\tsyscall\n\tcmp $-4096,%rax\n\tret\n");

struct raw_action {
	uint64_t handler, flags, restorer, mask;
};
#define RAW_RESTORER 0x04000000UL

static void *is_set_so(void *arg)
{
	struct raw_action old, *want = arg;

	for (int sig = 1; sig <= 64; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33)
			continue;
		if (hot_action(sig, NULL, &old) != 0 || memcmp(&old, want, sizeof(old)) != 0)
			return arg;
	}
	return NULL;
}

/* What posix_spawn does for every signal, and who sees it. */
TEST(the_default_action_set_again)
{
	struct raw_action set = {0, RAW_RESTORER, 0x1234500, 0}, other = {0, RAW_RESTORER, 0x6789a00, 0}, old;
	pthread_t thread;
	void *bad;
	int status;
	pid_t pid;

	for (int i = 0; i < TIMES; i++)
		CHECK_EQ(hot_action(SIGUSR1, NULL, &old), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		heat();
		for (int sig = 1; sig <= 64; sig++) {
			bool never = sig == SIGKILL || sig == SIGSTOP;
			long ret;

			if (sig == 32 || sig == 33)
				continue;
			memset(&old, 0x55, sizeof(old));
			ret = hot_action(sig, &set, &old);
			if (ret != (never ? -EINVAL : 0) || (!never && (old.handler | old.mask) != 0))
				_exit(1);
			if (sig % 8 == 0 && (hot_action(sig, NULL, &old) != 0 || memcmp(&old, &set, sizeof(old)) != 0))
				_exit(2);
		}
		if (fork() == 0)
			_exit(is_set_so(&set) != NULL);
		if (wait(&status) < 0 || status != 0)
			_exit(3);
		if (is_set_so(&set) != NULL)
			_exit(4);
		/* Another restorer, and a thread that has the same actions. */
		if (hot_action(SIGUSR2, &other, &old) != 0 || memcmp(&old, &set, sizeof(old)) != 0 ||
		    hot_action(SIGUSR2, NULL, &old) != 0 || memcmp(&old, &other, sizeof(old)) != 0 ||
		    hot_action(SIGUSR2, &set, NULL) != 0)
			_exit(5);
		if (pthread_create(&thread, NULL, is_set_so, &set) != 0 || pthread_join(thread, &bad) != 0 || bad != NULL)
			_exit(6);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	/* A signal that waits, blocked, and is ignored by default: gone. */
	{
		sigset_t child, pending;

		sigemptyset(&child);
		sigaddset(&child, SIGURG);
		CHECK_OK(sigprocmask(SIG_BLOCK, &child, NULL));
		CHECK_OK(kill(getpid(), SIGURG));
		CHECK_OK(sigpending(&pending));
		CHECK_EQ(sigismember(&pending, SIGURG), 1);
		CHECK_EQ(hot_action(SIGURG, &set, NULL), 0);
		CHECK_OK(sigpending(&pending));
		CHECK_EQ(sigismember(&pending, SIGURG), 0);
	}
}

TEST(processes_that_wake_each_other)
{
	enum { N = 3, ROUNDS = 1500 };
	int pipes[N][2];
	pid_t child[N];
	uint32_t token = 0;

	for (int i = 0; i < N; i++)
		CHECK_OK(pipe(pipes[i]));
	for (int i = 1; i < N; i++) {
		child[i] = MUST(fork());
		if (child[i] != 0)
			continue;
		for (int r = 0; r < ROUNDS; r++) {
			if (read(pipes[i - 1][0], &token, 4) != 4)
				_exit(3);
			token += (uint32_t)i;
			if (write(pipes[i][1], &token, 4) != 4)
				_exit(4);
		}
		_exit(0);
	}
	for (int r = 0; r < ROUNDS; r++) {
		CHECK_EQ(write(pipes[0][1], &token, 4), 4);
		CHECK_EQ(read(pipes[N - 1][0], &token, 4), 4);
		CHECK_EQ(token, (uint32_t)(r + 1) * 3);
	}
	for (int i = 1; i < N; i++)
		t_reap(child[i]);
}

static int turn;

static void *takes_turns(void *arg)
{
	int me = (int)(long)arg;

	for (int r = 0; r < 800; r++) {
		int now;

		while ((now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) % 3 != me)
			syscall(SYS_futex, &turn, 0 /* FUTEX_WAIT */, now, NULL, NULL, 0);
		__atomic_store_n(&turn, now + 1, __ATOMIC_RELEASE);
		syscall(SYS_futex, &turn, 1 /* FUTEX_WAKE */, 3, NULL, NULL, 0);
	}
	return NULL;
}

TEST(threads_that_wake_each_other)
{
	pthread_t threads[3];

	for (int round = 0; round < 3; round++) {
		turn = 0;
		for (long i = 0; i < 3; i++)
			CHECK_OK(pthread_create(&threads[i], NULL, takes_turns, (void *)i));
		for (int i = 0; i < 3; i++)
			CHECK_OK(pthread_join(threads[i], NULL));
		CHECK_EQ(turn, 2400);
	}
}

static void *counts(void *arg)
{
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
	return arg;
}

/* Host threads that are used again, asleep until then. */
TEST(threads_one_after_the_other)
{
	int count = 0;

	for (int i = 0; i < 400; i++) {
		pthread_t thread;
		void *result;

		CHECK_OK(pthread_create(&thread, NULL, counts, &count));
		CHECK_OK(pthread_join(thread, &result));
		CHECK(result == &count);
		if (i % 100 == 99)
			usleep(30000); /* longer than they sleep on their bells */
	}
	CHECK_EQ(count, 400);
}
