/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that come and go: what a raw clone leaves in the new thread's registers, many at once, and what happens to a process
 * that ends, executes or is signalled while they are made. Each does it often: the first few threads of a process are made in
 * another way than those that follow.
 * covers: clone clone3 exit execve kill madvise
 */
#include "t.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/time.h>

/* What a clone is called with, and what its thread found: rbx rbp rdi rsi rdx r8 r9 r10 r12 r13 r14 r15 flags. */
#define NREGS 13
struct state {
	uint64_t regs[NREGS];
	uint32_t mxcsr, fcw;
	uint8_t ymm[16][32];
	uint32_t pkru;
};
struct state asked __attribute__((visibility("hidden")));
struct state found __attribute__((visibility("hidden")));
uint64_t saved_rsp __attribute__((visibility("hidden")));
uint64_t found_rsp __attribute__((visibility("hidden")));
int have_avx __attribute__((visibility("hidden")));
int have_pkru __attribute__((visibility("hidden")));
long raw_clone(void);
long raw_clone3(void);

_Static_assert(offsetof(struct state, mxcsr) == 104 && offsetof(struct state, ymm) == 112 && offsetof(struct state, pkru) == 624,
	       "the assembly's offsets");

/* clang-format off */
#define ALL(op) \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD_X(n) "\tmovups 112+32*" #n "(%rax),%xmm" #n "\n"
#define LOAD_Y(n) "\tvmovups 112+32*" #n "(%rax),%ymm" #n "\n"
#define STORE_X(n) "\tmovups %xmm" #n ",112+32*" #n "(%rax)\n"
#define STORE_Y(n) "\tvmovups %ymm" #n ",112+32*" #n "(%rax)\n"
#define SPOIL_X(n) "\tpcmpeqd %xmm" #n ",%xmm" #n "\n"
#define SPOIL_Y(n) "\tvxorps %ymm" #n ",%ymm" #n ",%ymm" #n "\n"
#define CLONE(name, nr) \
	".globl " name "\n" name ":\n" \
	"\tpush %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\tmov %rsp,saved_rsp(%rip)\n" \
	"\tlea asked(%rip),%rax\n\tcmpl $0,have_avx(%rip)\n\tje 1f\n" ALL(LOAD_Y) "\tjmp 2f\n1:\n" ALL(LOAD_X) \
	"2:\tldmxcsr 104(%rax)\n\tfldcw 108(%rax)\n" \
	"\tmov 0(%rax),%rbx\n\tmov 8(%rax),%rbp\n\tmov 16(%rax),%rdi\n\tmov 24(%rax),%rsi\n\tmov 32(%rax),%rdx\n" \
	"\tmov 40(%rax),%r8\n\tmov 48(%rax),%r9\n\tmov 56(%rax),%r10\n\tmov 64(%rax),%r12\n\tmov 72(%rax),%r13\n" \
	"\tmov 80(%rax),%r14\n\tmov 88(%rax),%r15\n\tpushq 96(%rax)\n\tpopfq\n" \
	"\tmov $" nr ",%eax\n\tsyscall\n\ttest %rax,%rax\n\tjz thread_begins\n" \
	"\tmov saved_rsp(%rip),%rsp\n\tcld\n\tfninit\n\tpushq $0x1f80\n\tldmxcsr (%rsp)\n\tpop %rcx\n" \
	"\tpop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n"

__asm__(".text\n" CLONE("raw_clone", "56") CLONE("raw_clone3", "435")
	/* Tells what it found, leaves other things behind, ends. (test has set the flags; of those asked for DF is the one left.) */
	"thread_begins:\n"
	"\tmov %rsp,found_rsp(%rip)\n\tpushfq\n\tcld\n\tlea found(%rip),%rax\n\tpopq 96(%rax)\n"
	"\tmov %rbx,0(%rax)\n\tmov %rbp,8(%rax)\n\tmov %rdi,16(%rax)\n\tmov %rsi,24(%rax)\n\tmov %rdx,32(%rax)\n"
	"\tmov %r8,40(%rax)\n\tmov %r9,48(%rax)\n\tmov %r10,56(%rax)\n\tmov %r12,64(%rax)\n\tmov %r13,72(%rax)\n"
	"\tmov %r14,80(%rax)\n\tmov %r15,88(%rax)\n\tstmxcsr 104(%rax)\n\tfnstcw 108(%rax)\n"
	"\tcmpl $0,have_avx(%rip)\n\tje 3f\n" ALL(STORE_Y) ALL(SPOIL_Y) "\tjmp 4f\n3:\n" ALL(STORE_X) ALL(SPOIL_X)
	"4:\tcmpl $0,have_pkru(%rip)\n\tje 5f\n\tmov %rax,%r8\n\txor %ecx,%ecx\n\trdpkru\n\tmov %eax,624(%r8)\n"
	"\txor %eax,%eax\n\txor %edx,%edx\n\twrpkru\n5:"
	"\tpushq $0x1f80\n\tldmxcsr (%rsp)\n\tfninit\n\tmov $-1,%rbx\n\tmov %rbx,%rbp\n\tmov %rbx,%r12\n\tmov %rbx,%r15\n"
	"\txor %edi,%edi\n\tmov $60,%eax\n\tsyscall\n\ttest %eax,%eax\n\tud2\n");
/* clang-format on */

#define THREAD_FLAGS 0x50f00UL /* VM | FS | FILES | SIGHAND | THREAD | SYSVSEM */
#define PARENT_SETTID 0x100000UL
#define CHILD_CLEARTID 0x200000UL
#define DF 0x400UL

static uint32_t tid_word, parent_word;

static void wait_for_end(uint32_t tid)
{
	uint32_t now;

	while ((now = __atomic_load_n(&tid_word, __ATOMIC_ACQUIRE)) != 0) {
		CHECK_EQ(now, tid);
		syscall(SYS_futex, &tid_word, FUTEX_WAIT, now, NULL, NULL, 0);
	}
}

/* Protection keys: does the system use them? What of them is the thread's own. */
static bool keys(void)
{
	uint32_t a = 7, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return (c >> 4 & 1) != 0;
}

static void set_keys(uint32_t value)
{
	__asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0));
}

static void clone_often(bool three)
{
	static char stack[16384] __attribute__((aligned(64)));
	uint64_t args[11] = {THREAD_FLAGS | PARENT_SETTID | CHILD_CLEARTID, 0, (uint64_t)&tid_word, (uint64_t)&parent_word, 0,
			     (uint64_t)stack, sizeof(stack)};

	have_avx = __builtin_cpu_supports("avx");
	have_pkru = keys();
	for (unsigned round = 0; round < 300; round++) {
		long tid;

		for (unsigned i = 0; i < NREGS; i++)
			asked.regs[i] = 0x0101010101010101UL * (i + 1) + round;
		for (unsigned i = 0; i < sizeof(asked.ymm); i++)
			((uint8_t *)asked.ymm)[i] = (uint8_t)(i * 3 + round);
		/* The upper halves are at times as at first: then the processor doesn't save them. */
		if (round % 3 == 0)
			for (unsigned i = 0; i < 16; i++)
				memset(asked.ymm[i] + 16, 0, 16);
		asked.mxcsr = round % 2 != 0 ? 0x1f80 : 0x7f80; /* rounds to nearest, or to zero */
		asked.fcw = round % 2 != 0 ? 0x37f : 0xf7f;
		asked.regs[12] = 0x202 | (round % 4 == 0 ? DF : 0);
		asked.regs[2] = three ? (uint64_t)args : args[0];
		asked.regs[3] = three ? sizeof(args) : (uint64_t)(stack + sizeof(stack));
		if (!three) {
			asked.regs[4] = (uint64_t)&parent_word;
			asked.regs[7] = (uint64_t)&tid_word;
		}
		/* Nobody uses another key than 0, which stays open. At times it is as at first. */
		asked.pkru = round % 5 == 0 ? 0 : round % 5 == 1 ? 0x55555554 : round << 4;
		if (have_pkru)
			set_keys(asked.pkru);
		memset(&found, 0xee, sizeof(found));
		parent_word = 0;
		tid_word = ~0U; /* cleared at the end, and nothing but that is asked for */
		tid = three ? raw_clone3() : raw_clone();
		if (tid == -ENOSYS && three && prctl(PR_GET_SECCOMP) == 2)
			SKIP("clone3 gives ENOSYS here: an outer filter, as docker's");
		CHECK(tid > 0);
		CHECK_EQ(parent_word, (uint32_t)tid);
		wait_for_end(~0U);
		for (unsigned i = 0; i < NREGS - 1; i++)
			CHECK_EQ(found.regs[i], asked.regs[i]);
		CHECK_EQ(found.regs[12] & DF, asked.regs[12] & DF);
		CHECK_EQ(found_rsp, (uint64_t)(stack + sizeof(stack)));
		CHECK_EQ(found.mxcsr & 0xffc0, asked.mxcsr);
		CHECK_EQ(found.fcw & 0xffff, asked.fcw);
		for (unsigned i = 0; i < 16; i++)
			CHECK(memcmp(found.ymm[i], asked.ymm[i], have_avx ? 32 : 16) == 0);
		if (have_pkru)
			CHECK_EQ(found.pkru, asked.pkru);
	}
	if (have_pkru)
		set_keys(0x55555554);
}

TEST_ALONE(a_raw_clone_leaves_all_registers_as_they_were)
{
	clone_often(false);
}

TEST_ALONE(a_raw_clone3_leaves_all_registers_as_they_were)
{
	clone_often(true);
}

TEST_ALONE(a_clone_that_is_refused_changes_nothing)
{
	for (unsigned i = 0; i < 200; i++) {
		pthread_t t;

		CHECK_OK(pthread_create(&t, NULL, (void *(*)(void *))(void *)sched_yield, NULL));
		CHECK_OK(pthread_join(t, NULL));
		/* THREAD without SIGHAND */
		CHECK_ERR(syscall(SYS_clone, 0x10000, 0, 0, 0, 0), EINVAL);
	}
}

static void *nothing(void *arg)
{
	return arg;
}

static void *make_many(void *arg)
{
	for (intptr_t i = 0; i < 300; i++) {
		pthread_t t;
		void *value;

		CHECK_OK(pthread_create(&t, NULL, nothing, (void *)i));
		CHECK_OK(pthread_join(t, &value));
		CHECK_EQ((intptr_t)value, i);
	}
	return arg;
}

TEST(several_make_threads_at_once)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		CHECK_OK(pthread_create(&t[i], NULL, make_many, NULL));
	for (int i = 0; i < 4; i++)
		CHECK_OK(pthread_join(t[i], NULL));
}

TEST(storms_of_threads)
{
	pthread_t t[40];

	for (int round = 0; round < 20; round++) {
		for (intptr_t i = 0; i < 40; i++)
			CHECK_OK(pthread_create(&t[i], NULL, nothing, (void *)i));
		for (intptr_t i = 0; i < 40; i++) {
			void *value;

			CHECK_OK(pthread_join(t[i], &value));
			CHECK_EQ((intptr_t)value, i);
		}
	}
}

static int gate_pipe[2];

static void *read_and_end(void *arg)
{
	char c;

	CHECK_EQ(read(gate_pipe[0], &c, 1), 1);
	return arg;
}

/* The joiner sleeps already; it may also be awake, or on its way. */
TEST(an_end_wakes_who_waits_for_it)
{
	MUST(pipe(gate_pipe));
	for (int i = 0; i < 200; i++) {
		pthread_t t;

		CHECK_OK(pthread_create(&t, NULL, read_and_end, NULL));
		for (int n = i % 5; n > 0; n--)
			sched_yield();
		CHECK_EQ(write(gate_pipe[1], "x", 1), 1);
		CHECK_OK(pthread_join(t, NULL));
	}
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

TEST_ALONE(signals_while_threads_are_made)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval often = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};

	CHECK_OK(sigaction(SIGALRM, &sa, NULL));
	CHECK_OK(setitimer(ITIMER_REAL, &often, NULL));
	while (alarms < 100)
		make_many(NULL);
	CHECK_OK(setitimer(ITIMER_REAL, &never, NULL));
}

/* Says so once many were made. Linux may say EAGAIN to one that is about to die, which it is from any time on. */
static void *make_for_ever(void *arg)
{
	const int *told = arg;

	for (unsigned made = 0;;) {
		pthread_t t;

		if (pthread_create(&t, NULL, nothing, NULL) != 0)
			continue;
		pthread_join(t, NULL);
		if (made++ == 100 && write(*told, "x", 1) != 1)
			_exit(4);
	}
}

TEST_ALONE(a_process_is_killed_while_it_makes_threads)
{
	for (int i = 0; i < 10; i++) {
		int fds[2], status;
		pid_t child;
		char c;

		MUST(pipe(fds));
		child = MUST(fork());
		if (child == 0) {
			pthread_t t;

			CHECK_OK(pthread_create(&t, NULL, make_for_ever, &fds[1]));
			make_for_ever(&fds[1]);
		}
		CHECK_EQ(read(fds[0], &c, 1), 1);
		CHECK_OK(kill(child, SIGKILL));
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		close(fds[0]);
		close(fds[1]);
	}
}

static void *execute(void *arg)
{
	char *argv[] = {"thread_clone", "-l", NULL};

	make_many(NULL);
	MUST(dup2(MUST(open("/dev/null", O_WRONLY)), 1));
	execv(arg, argv);
	_exit(3);
}

TEST_ALONE(a_thread_executes_while_others_are_made)
{
	for (int i = 0; i < 10; i++) {
		pid_t child = MUST(fork());
		int status;

		if (child == 0) {
			int null = MUST(open("/dev/null", O_WRONLY));
			pthread_t t;

			CHECK_OK(pthread_create(&t, NULL, execute, "/proc/self/exe"));
			make_for_ever(&null);
		}
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), 0);
	}
}

/* MADV_DONTNEED, of which the sentry isn't asked while nobody has locked memory. */
TEST_ALONE(locked_memory_is_not_dropped)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	for (int i = 0; i < 300; i++) {
		p[0] = 1;
		CHECK_OK(madvise(p, 4096, MADV_DONTNEED));
		CHECK_EQ(p[0], 0);
		CHECK_ERR(madvise(p + 1, 4096, MADV_DONTNEED), EINVAL);
		CHECK_OK(madvise(p, 0, MADV_DONTNEED));
	}
	CHECK_OK(munmap(p + 4096, 4096));
	p[0] = 1;
	CHECK_ERR(madvise(p, 8192, MADV_DONTNEED), ENOMEM);
	CHECK_EQ(p[0], 0);
	if (mlock(p, 4096) < 0)
		SKIP("memory can't be locked");
	p[0] = 1;
	CHECK_ERR(madvise(p, 4096, MADV_DONTNEED), EINVAL);
	CHECK_EQ(p[0], 1);
	/* Again and again: nobody locks, somebody does. */
	for (int i = 0; i < 100; i++) {
		CHECK_OK(munlock(p, 4096));
		CHECK_OK(madvise(p, 4096, MADV_DONTNEED));
		CHECK_EQ(p[0], 0);
		CHECK_OK(mlock(p, 4096));
		p[0] = 1;
		CHECK_ERR(madvise(p, 4096, MADV_DONTNEED), EINVAL);
		CHECK_EQ(p[0], 1);
	}
	CHECK_OK(munmap(p, 4096));
}
