/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vfork's child may run on its parent's thread: nothing of one may show in the other but memory. Registers, ids, masks, times,
 * signals, and what becomes of the two when one of them, or a thread beside them, ends or executes a program meanwhile.
 * covers: vfork clone
 */
#include "t.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

static volatile int shared;

int t_role(int argc, char **argv)
{
	(void)argc;
	return atoi(argv[1]);
}

static char stacks[4][65536] __attribute__((aligned(64)));

/* CLONE_VM | CLONE_VFORK, on a stack of its own: what it does to its stack frame is nobody else's. */
static pid_t spawn_on(int stack, int (*fn)(void *), void *arg)
{
	return MUST(clone(fn, stacks[stack] + sizeof stacks[0], CLONE_VM | CLONE_VFORK | SIGCHLD, arg));
}

/* ---- registers ---- */

struct registers {
	uint64_t rbx, rbp, r12, r13, r14, r15, rdi, rsi, rdx, r8, r9, r10;
	uint8_t xmm[16][16];
	uint32_t mxcsr;
	uint16_t fcw;
};

/* The raw call, with all registers loaded before and stored after it. The child clears them and ends with status. */
__attribute__((noinline)) static long vfork_with_registers(struct registers *r, long status)
{
	long ret;

	__asm__ volatile(
		"push %%rbx\n push %%rbp\n push %%r12\n push %%r13\n push %%r14\n push %%r15\n"
		"sub $16, %%rsp\n mov %[r], (%%rsp)\n mov %[status], 8(%%rsp)\n"
		"ldmxcsr 352(%[r])\n fldcw 356(%[r])\n"
		"movups 96(%[r]), %%xmm0\n movups 112(%[r]), %%xmm1\n movups 128(%[r]), %%xmm2\n movups 144(%[r]), %%xmm3\n"
		"movups 160(%[r]), %%xmm4\n movups 176(%[r]), %%xmm5\n movups 192(%[r]), %%xmm6\n movups 208(%[r]), %%xmm7\n"
		"movups 224(%[r]), %%xmm8\n movups 240(%[r]), %%xmm9\n movups 256(%[r]), %%xmm10\n movups 272(%[r]), %%xmm11\n"
		"movups 288(%[r]), %%xmm12\n movups 304(%[r]), %%xmm13\n movups 320(%[r]), %%xmm14\n movups 336(%[r]), %%xmm15\n"
		"mov %[r], %%rax\n"
		"mov 0(%%rax), %%rbx\n mov 8(%%rax), %%rbp\n mov 16(%%rax), %%r12\n mov 24(%%rax), %%r13\n mov 32(%%rax), %%r14\n"
		"mov 40(%%rax), %%r15\n mov 48(%%rax), %%rdi\n mov 56(%%rax), %%rsi\n mov 64(%%rax), %%rdx\n mov 72(%%rax), %%r8\n"
		"mov 80(%%rax), %%r9\n mov 88(%%rax), %%r10\n"
		"mov $58, %%eax\n syscall\n"
		"test %%rax, %%rax\n jnz 1f\n"
		/* the child */
		"mov 8(%%rsp), %%rdi\n"
		"pcmpeqd %%xmm0, %%xmm0\n movups %%xmm0, %%xmm1\n movups %%xmm0, %%xmm6\n movups %%xmm0, %%xmm7\n movups %%xmm0, %%xmm15\n"
		"mov $0x3f80, %%eax\n push %%rax\n ldmxcsr (%%rsp)\n movw $0x0e7f, (%%rsp)\n fldcw (%%rsp)\n pop %%rax\n"
		"xor %%ebx, %%ebx\n xor %%ebp, %%ebp\n xor %%r12d, %%r12d\n xor %%r13d, %%r13d\n xor %%r14d, %%r14d\n xor %%r15d, %%r15d\n"
		"xor %%esi, %%esi\n xor %%edx, %%edx\n xor %%r8d, %%r8d\n xor %%r9d, %%r9d\n xor %%r10d, %%r10d\n"
		"mov $231, %%eax\n syscall\n hlt\n"
		"1:\n"
		"mov (%%rsp), %%rcx\n"
		"mov %%rbx, 0(%%rcx)\n mov %%rbp, 8(%%rcx)\n mov %%r12, 16(%%rcx)\n mov %%r13, 24(%%rcx)\n mov %%r14, 32(%%rcx)\n"
		"mov %%r15, 40(%%rcx)\n mov %%rdi, 48(%%rcx)\n mov %%rsi, 56(%%rcx)\n mov %%rdx, 64(%%rcx)\n mov %%r8, 72(%%rcx)\n"
		"mov %%r9, 80(%%rcx)\n mov %%r10, 88(%%rcx)\n"
		"movups %%xmm0, 96(%%rcx)\n movups %%xmm1, 112(%%rcx)\n movups %%xmm2, 128(%%rcx)\n movups %%xmm3, 144(%%rcx)\n"
		"movups %%xmm4, 160(%%rcx)\n movups %%xmm5, 176(%%rcx)\n movups %%xmm6, 192(%%rcx)\n movups %%xmm7, 208(%%rcx)\n"
		"movups %%xmm8, 224(%%rcx)\n movups %%xmm9, 240(%%rcx)\n movups %%xmm10, 256(%%rcx)\n movups %%xmm11, 272(%%rcx)\n"
		"movups %%xmm12, 288(%%rcx)\n movups %%xmm13, 304(%%rcx)\n movups %%xmm14, 320(%%rcx)\n movups %%xmm15, 336(%%rcx)\n"
		"stmxcsr 352(%%rcx)\n fnstcw 356(%%rcx)\n"
		"add $16, %%rsp\n pop %%r15\n pop %%r14\n pop %%r13\n pop %%r12\n pop %%rbp\n pop %%rbx\n"
		: "=a"(ret)
		: [r] "c"(r), [status] "d"(status)
		: "rdi", "rsi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
		  "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	return ret;
}

TEST_ALONE(all_registers_are_the_parents)
{
	_Static_assert(offsetof(struct registers, xmm) == 96 && offsetof(struct registers, mxcsr) == 352 &&
		       offsetof(struct registers, fcw) == 356, "as the code above has it");
	for (int round = 0; round < 40; round++) {
		struct registers before, after;
		uint8_t *bytes = (uint8_t *)&before;
		uint32_t mxcsr;
		uint16_t fcw;
		int status;
		long pid;

		for (size_t i = 0; i < sizeof before; i++)
			bytes[i] = (uint8_t)(i * 7 + (size_t)round + 1);
		before.mxcsr = 0x5f80; /* rounding up, all masked */
		before.fcw = 0x077f;
		after = before;
		__asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(mxcsr), "=m"(fcw));
		pid = vfork_with_registers(&after, round);
		__asm__ volatile("ldmxcsr %0\n fldcw %1" : : "m"(mxcsr), "m"(fcw));
		CHECK(pid > 0);
		CHECK_EQ(memcmp(&before, &after, offsetof(struct registers, fcw) + 2), 0);
		CHECK_EQ(waitpid((pid_t)pid, &status, 0), (pid_t)pid);
		CHECK_EQ(status, round << 8);
	}
}

/* ---- ids, masks, what belongs to a process ---- */

struct ids {
	pid_t pid, tid, ppid;
};

static int tells_its_ids(void *arg)
{
	struct ids *ids = arg;

	*ids = (struct ids){(pid_t)syscall(SYS_getpid), (pid_t)syscall(SYS_gettid), (pid_t)syscall(SYS_getppid)};
	return 0;
}

TEST_ALONE(ids_are_each_ones_own)
{
	pid_t self = getpid(), parent = getppid();

	for (int i = 0; i < 100; i++) {
		struct ids child = {0}, own;
		pid_t pid = spawn_on(0, tells_its_ids, &child);

		tells_its_ids(&own);
		CHECK_EQ(child.pid, pid);
		CHECK_EQ(child.tid, pid);
		CHECK_EQ(child.ppid, self);
		CHECK_EQ(own.pid, self);
		CHECK_EQ(own.tid, self);
		CHECK_EQ(own.ppid, parent);
		t_reap(pid);
	}
}

static int changes_itself(void *arg)
{
	static char stack[16384];
	stack_t alt = {.ss_sp = stack, .ss_size = sizeof stack};
	cpu_set_t one;
	sigset_t all;
	int cpu;

	(void)arg;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	sigaltstack(&alt, NULL);
	signal(SIGUSR2, SIG_IGN);
	sched_getaffinity(0, sizeof one, &one);
	for (cpu = 0; !CPU_ISSET(cpu, &one); cpu++)
		;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof one, &one);
	chdir("/");
	umask(0);
	return 0;
}

TEST_ALONE(what_the_child_changes_of_itself_stays_its_own)
{
	sigset_t before, after;
	cpu_set_t cpus, now;
	char dir[PATH_MAX], here[PATH_MAX];
	mode_t mask = umask(027);
	stack_t alt;

	t_scratch();
	CHECK(getcwd(dir, sizeof dir) != NULL);
	MUST(sched_getaffinity(0, sizeof cpus, &cpus));
	sigprocmask(SIG_BLOCK, NULL, &before);
	t_reap(spawn_on(0, changes_itself, NULL));
	sigprocmask(SIG_BLOCK, NULL, &after);
	MUST(sched_getaffinity(0, sizeof now, &now));
	CHECK_OK(sigaltstack(NULL, &alt));
	CHECK_EQ(memcmp(&before, &after, 8), 0);
	CHECK_EQ(memcmp(&cpus, &now, sizeof now), 0);
	CHECK((alt.ss_flags & SS_DISABLE) != 0);
	CHECK(signal(SIGUSR2, SIG_DFL) == SIG_DFL);
	CHECK(getcwd(here, sizeof here) != NULL);
	CHECK_STR(here, dir);
	CHECK_EQ(umask(mask), 027);
}

static long cpu_ms(clockid_t clock)
{
	struct timespec t;

	MUST(clock_gettime(clock, &t));
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void burn(long ms)
{
	long end = cpu_ms(CLOCK_PROCESS_CPUTIME_ID) + ms;

	while (cpu_ms(CLOCK_PROCESS_CPUTIME_ID) < end)
		for (volatile int i = 0; i < 100000; i++)
			;
}

static int burns(void *arg)
{
	*(long *)arg = cpu_ms(CLOCK_PROCESS_CPUTIME_ID);
	burn(300);
	return 0;
}

static long used_ms(int who)
{
	struct rusage u;

	MUST(getrusage(who, &u));
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

TEST_ALONE(times_are_each_ones_own)
{
	long own, child_began = -1;

	burn(300);
	own = used_ms(RUSAGE_SELF);
	t_reap(spawn_on(0, burns, &child_began));
	CHECK(child_began >= 0 && child_began < 200);
	CHECK(used_ms(RUSAGE_CHILDREN) >= 250);
	CHECK(used_ms(RUSAGE_SELF) - own < 200);
	burn(100);
	CHECK(used_ms(RUSAGE_SELF) - own >= 90);
}

/* ---- signals ---- */

static volatile sig_atomic_t handled, handled_in;

static void notes(int sig)
{
	(void)sig;
	handled++;
	handled_in = (sig_atomic_t)syscall(SYS_getpid);
}

static int signals_its_parent(void *arg)
{
	pid_t parent = *(pid_t *)arg;

	for (int i = 0; i < 3; i++) {
		kill(parent, SIGUSR1);
		syscall(SYS_sched_yield);
	}
	shared = handled;
	return 0;
}

TEST_ALONE(signals_for_the_parent_wait_for_it)
{
	pid_t self = getpid();

	signal(SIGUSR1, notes);
	for (int i = 0; i < 30; i++) {
		handled = 0;
		shared = -1;
		t_reap(spawn_on(0, signals_its_parent, &self));
		CHECK_EQ(shared, 0);
		CHECK_EQ(handled, 1);
		CHECK_EQ(handled_in, self);
	}
}

static int signals_itself(void *arg)
{
	(void)arg;
	kill((pid_t)syscall(SYS_getpid), SIGUSR1);
	syscall(SYS_sched_yield);
	return handled == 1 && handled_in == (pid_t)syscall(SYS_getpid) ? 0 : 1;
}

TEST_ALONE(the_childs_handlers_run_in_it)
{
	signal(SIGUSR1, notes);
	for (int i = 0; i < 30; i++) {
		handled = 0;
		t_reap(spawn_on(0, signals_itself, NULL));
	}
}

/* ---- ends ---- */

static int pipe_of[2], done_of[2];
static volatile int *told; /* shared with other processes */

static void told_is_shared(void)
{
	told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(told != MAP_FAILED);
}

static int reads_for_ever(void *arg)
{
	char byte;

	for (int i = 0; arg != NULL && i < 200; i++)
		lseek(-1, 0, SEEK_CUR);
	if (told != NULL)
		*told = (int)syscall(SYS_getpid);
	read(pipe_of[0], &byte, 1);
	return 1;
}

static int spins_for_ever(void *arg)
{
	(void)arg;
	*told = (int)syscall(SYS_getpid);
	while (*told != 0)
		__asm__ volatile("pause");
	return 1;
}

static int calls_for_ever(void *arg)
{
	(void)arg;
	*told = (int)syscall(SYS_getpid);
	while (*told != 0)
		lseek(-1, 0, SEEK_CUR);
	return 1;
}

/* By another process: who makes the child has one thread. */
static void killed_while(int (*fn)(void *), void *arg)
{
	pid_t killer, pid;
	int status;

	*told = 0;
	killer = fork();
	if (killer == 0) {
		while (*told == 0)
			usleep(500);
		usleep(2000);
		kill(*told, SIGKILL);
		_exit(0);
	}
	pid = spawn_on(0, fn, arg);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, SIGKILL);
	t_reap(killer);
}

TEST_ALONE(a_child_is_killed_wherever_it_is)
{
	MUST(pipe(pipe_of));
	told_is_shared();
	for (int i = 0; i < 8; i++) {
		killed_while(reads_for_ever, NULL);
		killed_while(reads_for_ever, pipe_of);
		killed_while(spins_for_ever, NULL);
		killed_while(calls_for_ever, NULL);
	}
}

static int ends_by_syscall(void *arg)
{
	syscall(arg != NULL ? SYS_exit : SYS_exit_group, 3);
	return 1;
}

TEST_ALONE(a_child_ends_by_either_exit)
{
	for (int i = 0; i < 100; i++) {
		int status;
		pid_t pid = spawn_on(0, ends_by_syscall, i % 2 != 0 ? pipe_of : NULL);

		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 3 << 8);
	}
}

static int faults(void *arg)
{
	*(volatile int *)arg = 1;
	return 0;
}

TEST_ALONE(a_child_that_faults_ends_alone)
{
	for (int i = 0; i < 10; i++) {
		int status;
		pid_t pid = spawn_on(0, faults, NULL);

		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(WTERMSIG(status), SIGSEGV);
	}
}

/* ---- the parent ends first ---- */

static int outlives(void *arg)
{
	char byte = 'x';

	(void)arg;
	write(done_of[1], "r", 1); /* running */
	read(pipe_of[0], &byte, 1);
	write(done_of[1], &byte, 1);
	return 0;
}

static void middle_that_is_killed(void)
{
	spawn_on(0, outlives, NULL);
	_exit(9);
}

/* The middle process makes a child, and ends, killed if not by itself, with `want`; the child goes on. */
static void outlived(void (*middle_process)(void), bool killed, int want)
{
	for (int i = 0; i < 10; i++) {
		pid_t middle;
		char byte;
		int status;

		MUST(pipe(pipe_of));
		MUST(pipe(done_of));
		middle = fork();
		if (middle == 0)
			middle_process();
		CHECK_EQ(read(done_of[0], &byte, 1), 1);
		if (killed)
			kill(middle, SIGKILL);
		CHECK_EQ(waitpid(middle, &status, 0), middle);
		CHECK_EQ(status, want);
		CHECK_EQ(write(pipe_of[1], "y", 1), 1);
		CHECK_EQ(read(done_of[0], &byte, 1), 1);
		CHECK_EQ(byte, 'y');
		close(pipe_of[0]);
		close(pipe_of[1]);
		close(done_of[1]);
		CHECK_EQ(read(done_of[0], &byte, 1), 0); /* it has ended, too */
		close(done_of[0]);
	}
}

TEST_ALONE(a_child_outlives_its_parent)
{
	outlived(middle_that_is_killed, true, SIGKILL);
}

static volatile bool child_runs;

static int outlives_with_threads(void *arg)
{
	child_runs = true;
	return outlives(arg);
}

static void *executes(void *arg)
{
	static char *argv[] = {t_self, "@exit", "21", NULL};

	(void)arg;
	while (!child_runs)
		usleep(1000);
	execv(t_self, argv);
	_exit(99);
}

static void middle_that_executes(void)
{
	pthread_t t;

	pthread_create(&t, NULL, executes, NULL);
	spawn_on(0, outlives_with_threads, NULL);
	_exit(9);
}

TEST_ALONE(a_child_outlives_the_program_of_its_parent)
{
	outlived(middle_that_executes, false, 21 << 8);
}

/* ---- children of children ---- */

static int grandchild(void *arg)
{
	shared += 100;
	return arg != NULL ? 4 : 0;
}

static int child_with_children(void *arg)
{
	static char *argv[] = {t_self, "@exit", "6", NULL};
	int status;
	pid_t pid;

	shared = 1;
	pid = clone(grandchild, stacks[1] + sizeof stacks[1], CLONE_VM | CLONE_VFORK | SIGCHLD, arg);
	if (waitpid(pid, &status, 0) != pid || status != 4 << 8 || shared != 101)
		_exit(50);
	pid = (pid_t)syscall(SYS_fork);
	if (pid == 0)
		syscall(SYS_exit_group, 5);
	if (waitpid(pid, &status, 0) != pid || status != 5 << 8)
		_exit(51);
	execv(t_self, argv);
	_exit(52);
}

TEST_ALONE(a_child_has_children_of_its_own)
{
	for (int i = 0; i < 20; i++) {
		int status;
		pid_t pid = spawn_on(0, child_with_children, pipe_of);

		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 6 << 8);
		CHECK_EQ(shared, 101);
	}
}

static int deep(void *arg)
{
	intptr_t depth = (intptr_t)arg;
	int status;
	pid_t pid;

	if (depth == 4)
		return 7;
	pid = clone(deep, stacks[depth] + sizeof stacks[0], CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)(depth + 1));
	if (waitpid(pid, &status, 0) != pid)
		return 60;
	return status >> 8;
}

TEST_ALONE(vforks_within_vforks)
{
	for (int i = 0; i < 20; i++)
		CHECK_EQ(deep((void *)0), 7);
}

static int middle_of_three(void *arg)
{
	told[1] = (int)syscall(SYS_getpid);
	clone(reads_for_ever, (char *)arg + sizeof stacks[0], CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	return 1;
}

TEST_ALONE(the_one_in_the_middle_is_killed)
{
	told_is_shared();
	for (int i = 0; i < 10; i++) {
		pid_t killer, pid;
		int status;

		MUST(pipe(pipe_of)); /* the last round's innermost may still have its own */
		*told = 0;
		killer = fork();
		if (killer == 0) {
			while (*told == 0) /* until the innermost runs */
				usleep(500);
			kill(told[1], SIGKILL);
			usleep(1000);
			_exit(0);
		}
		pid = spawn_on(0, middle_of_three, stacks[1 + i % 3]); /* the last round's innermost may still be on its stack */
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, SIGKILL);
		t_reap(killer);
		CHECK_EQ(write(pipe_of[1], "q", 1), 1);
		close(pipe_of[0]);
		close(pipe_of[1]);
	}
}

/* ---- a child with threads of its own ---- */

static volatile int thread_runs;

static int thread_of_child(void *arg)
{
	char byte;

	thread_runs = 1;
	if (arg != NULL) /* it ends by itself */
		return 0;
	for (;;)
		read(pipe_of[0], &byte, 1);
}

static int child_with_thread(void *arg)
{
	static char *argv[] = {t_self, "@exit", "11", NULL};
	const char *how = arg;
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

	thread_runs = 0;
	for (int i = 1; i < 4; i++) {
		if (clone(thread_of_child, stacks[i] + sizeof stacks[0], flags, *how == 'l' ? arg : NULL) < 0)
			syscall(SYS_exit_group, 70);
	}
	while (thread_runs == 0)
		syscall(SYS_sched_yield);
	if (*how == 'x')
		execv(t_self, argv);
	if (*how == 'g')
		syscall(SYS_exit_group, 12);
	syscall(SYS_exit, 13); /* the others end by themselves */
	return 1;
}

static int status_of_child_with_threads(const char *how)
{
	int status;
	pid_t pid = spawn_on(0, child_with_thread, (void *)how);

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

/* Their threads are gone, or soon no more could be made: tests/lib/run-guest's sandbox has a limit, and natively RLIMIT_NPROC is one. */
TEST_ALONE(a_child_has_threads_of_its_own)
{
	MUST(pipe(pipe_of));
	for (int i = 0; i < 25; i++) {
		int status;

		CHECK_EQ(status_of_child_with_threads("x"), 11 << 8);
		CHECK_EQ(status_of_child_with_threads("group"), 12 << 8);
		status = status_of_child_with_threads("leader"); /* the last one to end decides */
		CHECK(status == 13 << 8 || status == 0);
	}
}

/* ---- the rest of the registers ---- */

static int wide(void)
{
	unsigned a = 7, c = 0, b, d;

	__asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return (b >> 5 & 1) != 0; /* AVX2 */
}

static int clears_wide(void *arg)
{
	(void)arg;
	__asm__ volatile("vzeroall\n fninit\n fldz" : : : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
			 "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	for (int i = 0; i < 40; i++)
		syscall(SYS_getppid);
	return 0;
}

/* clone(2) with everything in registers: the child calls fn(NULL) on its own stack and ends. */
__attribute__((noinline, target("avx"))) static long spawn_with_wide(void *stack, int (*fn)(void *), uint8_t ymm[2][32], double *x87)
{
	uint64_t *top = (uint64_t *)stack;
	long ret;

	top[-2] = (uint64_t)fn;
	__asm__ volatile("vmovdqu (%[y]), %%ymm3\n vmovdqu 32(%[y]), %%ymm12\n fldpi\n"
			 "mov $56, %%eax\n syscall\n"
			 "test %%rax, %%rax\n jnz 1f\n"
			 "xor %%ebp, %%ebp\n xor %%edi, %%edi\n call *(%%rsp)\n mov $231, %%eax\n mov $0, %%edi\n syscall\n hlt\n"
			 "1: vmovdqu %%ymm3, (%[y])\n vmovdqu %%ymm12, 32(%[y])\n fstpl (%[x])\n vzeroupper\n"
			 : "=&a"(ret)
			 : "D"((long)(CLONE_VM | CLONE_VFORK | SIGCHLD)), "S"(top - 2), [y] "b"(ymm), [x] "r"(x87), "d"(0)
			 : "rcx", "r11", "r10", "r8", "memory", "cc", "xmm3", "xmm12");
	return ret;
}

TEST_ALONE(wide_registers_are_the_parents)
{
	if (!wide())
		return;
	for (int round = 0; round < 40; round++) {
		uint8_t ymm[2][32], want[2][32];
		double pi = 0;
		long pid;

		for (size_t i = 0; i < sizeof ymm; i++)
			((uint8_t *)ymm)[i] = (uint8_t)(i * 5 + (size_t)round);
		memcpy(want, ymm, sizeof want);
		pid = spawn_with_wide(stacks[0] + sizeof stacks[0], clears_wide, ymm, &pi);
		CHECK(pid > 0);
		CHECK_EQ(memcmp(want, ymm, sizeof want), 0);
		CHECK(pi > 3.14159 && pi < 3.14160);
		t_reap((pid_t)pid);
	}
}

static __thread volatile int mine = 77;

static int looks_at_fs(void *arg)
{
	static uint64_t other[8];
	uint64_t had;

	(void)arg;
	syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &had);
	other[0] = (uint64_t)other;
	other[5] = 0; /* the stack protector's place */
	__asm__ volatile("syscall" : : "a"(SYS_arch_prctl), "D"(0x1002L), "S"(other) : "rcx", "r11", "memory");
	__asm__ volatile("syscall\n hlt" : : "a"(SYS_exit_group), "D"(had != 0 ? 9L : 8L) : "rcx", "r11", "memory");
	return 0;
}

TEST_ALONE(the_fs_base_is_the_parents)
{
	for (int i = 0; i < 20; i++) {
		int status;
		pid_t pid = spawn_on(0, looks_at_fs, NULL);

		CHECK_EQ(mine, 77);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 9 << 8);
	}
}

/* ---- stopped ---- */

static int stops_itself(void *arg)
{
	write(done_of[1], "s", 1);
	kill((pid_t)syscall(SYS_getpid), SIGSTOP);
	write(done_of[1], arg != NULL ? "b" : "a", 1);
	return 6;
}

static void spawns_one_that_stops(void)
{
	int status;
	pid_t pid = spawn_on(0, stops_itself, NULL);

	_exit(waitpid(pid, &status, 0) == pid && status == 6 << 8 ? 0 : 1);
}

TEST_ALONE(a_stopped_child_keeps_its_parent_waiting)
{
	char path[64], byte;
	pid_t middle, child;
	FILE *f;

	MUST(pipe(done_of));
	for (int i = 0; i < 5; i++) {
		middle = fork();
		if (middle == 0)
			spawns_one_that_stops();
		CHECK_EQ(read(done_of[0], &byte, 1), 1);
		CHECK_EQ(byte, 's');
		snprintf(path, sizeof path, "/proc/%d/task/%d/children", middle, middle);
		f = fopen(path, "r");
		CHECK(f != NULL && fscanf(f, "%d", &child) == 1);
		fclose(f);
		usleep(3000);
		CHECK_EQ(waitpid(middle, NULL, WNOHANG), 0);
		kill(middle, SIGSTOP);
		kill(middle, SIGCONT);
		while (kill(child, SIGCONT) == 0) {
			struct pollfd p = {.fd = done_of[0], .events = POLLIN};

			if (poll(&p, 1, 10) == 1)
				break;
		}
		CHECK_EQ(read(done_of[0], &byte, 1), 1);
		CHECK_EQ(byte, 'a');
		t_reap(middle);
	}
}

/* ---- what a parent that is killed leaves ---- */

TEST_ALONE(a_killed_parents_robust_mutex_is_passed_on)
{
	pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attr;
	char byte;
	pid_t middle;

	CHECK(m != MAP_FAILED);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(m, &attr);
	MUST(pipe(pipe_of));
	MUST(pipe(done_of));
	middle = fork();
	if (middle == 0) {
		pthread_mutex_lock(m);
		spawn_on(0, outlives, NULL);
		_exit(9);
	}
	CHECK_EQ(read(done_of[0], &byte, 1), 1);
	kill(middle, SIGKILL);
	CHECK_EQ(pthread_mutex_lock(m), EOWNERDEAD);
	waitpid(middle, NULL, 0);
	CHECK_EQ(write(pipe_of[1], "y", 1), 1);
	CHECK_EQ(read(done_of[0], &byte, 1), 1);
}

TEST_ALONE(times_are_each_ones_own_beside_a_thread)
{
	long child_began = -1;
	pthread_t t;

	MUST(pipe(pipe_of));
	MUST(pthread_create(&t, NULL, (void *(*)(void *))(void (*)(void))reads_for_ever, NULL) == 0 ? 0 : -1);
	t_reap(spawn_on(0, burns, &child_began));
	CHECK(used_ms(RUSAGE_CHILDREN) >= 250);
	CHECK_EQ(write(pipe_of[1], "x", 1), 1);
	pthread_join(t, NULL);
}

/* ---- threads beside it ---- */

static volatile bool over;
static volatile long turns[3];

static void *works(void *arg)
{
	long i = (long)(intptr_t)arg;

	while (!over) {
		turns[i]++;
		lseek(-1, 0, SEEK_CUR);
	}
	return NULL;
}

static void *spawns(void *arg)
{
	static char *argv[] = {t_self, "@exit", "8", NULL};
	int stack = (int)(intptr_t)arg;

	for (int i = 0; i < 15; i++) {
		int status;
		pid_t pid = vfork();

		if (pid == 0) {
			execv(t_self, argv);
			_exit(99);
		}
		if (waitpid(pid, &status, 0) != pid || status != 8 << 8)
			return pipe_of;
		t_reap(spawn_on(stack, tells_its_ids, &(struct ids){0}));
	}
	return NULL;
}

TEST_ALONE(threads_go_on_beside_it)
{
	pthread_t worker[2], spawner[3];
	void *wrong;

	over = false;
	for (int i = 0; i < 2; i++)
		MUST(pthread_create(&worker[i], NULL, works, (void *)(intptr_t)i) == 0 ? 0 : -1);
	for (int i = 0; i < 3; i++)
		MUST(pthread_create(&spawner[i], NULL, spawns, (void *)(intptr_t)i) == 0 ? 0 : -1);
	for (int i = 0; i < 3; i++) {
		pthread_join(spawner[i], &wrong);
		CHECK(wrong == NULL);
	}
	over = true;
	for (int i = 0; i < 2; i++)
		pthread_join(worker[i], NULL);
	CHECK(turns[0] > 0 && turns[1] > 0);
}
