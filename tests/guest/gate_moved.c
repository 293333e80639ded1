/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls with other instructions between the number and the `syscall`, as musl has them, made often enough that a kernel which
 * moves instructions will have done so: jumps among them, single steps over each, faults, signals, registers and flags.
 * covers: read getpid getppid
 */
#include "t.h"

#include <pthread.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <ucontext.h>

#define TIMES 600

/* Each takes its call's arguments in rdi, rsi, rdx, and returns what it returned. */
long getppid_moved(void), read_moved(long fd, void *buf, long n), any_hop(long nr, long a, long b, long c);
long two_ways(long *second), into_number(void), into_far(void), getppid_short_target(void), getppid_far_target(void);
long count_calls(void), count_reads(long fd, void *buf, long n), carry_kept(void), load_and_call(const long *from);
extern char getppid_moved_end[], getppid_moved_site[], any_hop_site[], any_hop_end[], load_site[];
extern char short_middle[], far_middle[];
extern long counter;
__asm__(".text\n"
	/* The number, then registers. */
	".balign 16\ngetppid_moved:\n\tmov $110,%eax\n\tmov %rdi,%r8\n\txor %edx,%edx\n\tmov %r8,%rsi\n"
	"getppid_moved_site:\n\tsyscall\n\tret\ngetppid_moved_end:\n"
	".balign 16\nread_moved:\n\tmov $0,%eax\n\tmov %rsi,%r8\n\tmov %r8,%rsi\n\tsyscall\n\ttest %rax,%rax\n\tret\n"
	/* No instruction of five bytes; padding behind the return. */
	".balign 16\nany_hop:\n\tmov %rdi,%rax\n\tmov %rsi,%rdi\n\tmov %rdx,%rsi\n\tmov %rcx,%rdx\n"
	"any_hop_site:\n\tsyscall\n\tret\nany_hop_end:\n\t.nops 8\n"
	/* A loop whose head lies between number and call: the second time it comes with another number. */
	".balign 16\ntwo_ways:\n\tpush %rbx\n\tpush %r12\n\tpush %r13\n\tmov %rdi,%r12\n\txor %ebx,%ebx\n\tmov $110,%eax\n"
	"1:\tmov %r12,%rdi\n\tmov %rdi,%rsi\n\tsyscall\n\tmov %rax,%r13\n\tsub $-128,%rbx\n\tcmp $256,%rbx\n\tje 2f\n"
	"\tmov %rax,(%r12)\n\tmov $39,%ecx\n\tmov %ecx,%eax\n\tjmp 1b\n"
	"2:\tmov (%r12),%rax\n\tmov %r13,(%r12)\n\tpop %r13\n\tpop %r12\n\tpop %rbx\n\tret\n"
	/* The number's bytes are code, too: xor %eax,%eax; ret. It is the number only by what follows. */
	".balign 16\ninto_number:\n\tjmp short_middle\n"
	".balign 16\ngetppid_short_target:\n\tpush $110\n\tpop %rax\n\t.byte 0xbe\nshort_middle:\n\t.byte 0x31,0xc0,0xc3,0x90\n"
	"\tmov %rdi,%rdx\n\tsyscall\n\tret\n"
	".balign 16\ngetppid_far_target:\n\tpush $110\n\tpop %rax\n\t.byte 0xbe\nfar_middle:\n\t.byte 0x31,0xc0,0xc3,0x90\n"
	"\tmov %rdi,%rdx\n\tsyscall\n\tret\n"
	".fill 300,1,0xcc\n"
	".balign 16\ninto_far:\n\tjmp far_middle\n"
	/* What moves changes memory, beside the instruction pointer: once a call, never twice. */
	".balign 16\ncount_calls:\n\tmov $110,%eax\n\tlock addq $1,other_counter(%rip)\n\taddq $1,counter(%rip)\n\tsyscall\n\tret\n"
	".balign 16\ncount_reads:\n\txor %eax,%eax\n\tlock addq $1,other_counter(%rip)\n\taddq $1,counter(%rip)\n\tsyscall\n"
	"\tcmp $-4,%rax\n\tret\n"
	/* The carry comes through the call and a mov. */
	".balign 16\ncarry_kept:\n\tmov $110,%eax\n\tmov %rax,%rsi\n\tstc\n\tmov %rsi,%rdx\n\tmov $110,%eax\n\tmov %rdx,%rdi\n\tsyscall\n"
	"\tmov %rax,%rdx\n\tsbb %rax,%rax\n\tret\n"
	/* The second instruction that moves may fault. */
	".balign 16\nload_and_call:\n\tmov $110,%eax\nload_site:\n\tmov (%rdi),%rsi\n\tmov %rsi,%rdi\n\tsyscall\n\tret\n"
	".balign 16\n"
	".data\n.balign 8\ncounter:\t.quad 0\nother_counter:\t.quad 0\n.text\n");

static void heat(void)
{
	long word = 0;

	for (int i = 0; i < TIMES; i++) {
		pid_t parent = getppid();

		CHECK_EQ(getppid_moved(), parent);
		CHECK_EQ(any_hop(SYS_getppid, 0, 0, 0), parent);
		CHECK_EQ(load_and_call(&word), parent);
		CHECK_EQ(getppid_short_target(), parent);
		CHECK_EQ(getppid_far_target(), parent);
	}
}

TEST(answers)
{
	char buf[16];
	int fds[2];

	heat();
	CHECK_OK(pipe(fds));
	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(any_hop(SYS_write, fds[1], (long)"hello", 5), 5);
		memset(buf, 0, sizeof(buf));
		CHECK_EQ(read_moved(fds[0], buf, sizeof(buf)), 5);
		CHECK_STR(buf, "hello");
		CHECK_EQ(any_hop(SYS_write, -1, (long)"hello", 5), -EBADF);
	}
}

TEST(a_loop_begins_behind_the_number)
{
	for (int i = 0; i < TIMES; i++) {
		long second = 0;

		CHECK_EQ(two_ways(&second), getppid());
		CHECK_EQ(second, getpid());
	}
}

TEST(a_jump_into_the_number)
{
	heat();
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(into_number(), 0);
		CHECK_EQ(into_far(), 0);
	}
	heat();
	CHECK_EQ(into_number(), 0);
	CHECK_EQ(into_far(), 0);
}

TEST(the_carry_comes_through)
{
	for (int i = 0; i < TIMES; i++)
		CHECK_EQ(carry_kept(), -1);
}

/* All but RAX, RCX and R11. */
TEST(registers_survive)
{
	long parent = getppid();

	heat();
	for (int i = 0; i < TIMES; i++) {
		unsigned long rax, rbx = 1, rdi = SYS_getppid, rsi = 3, rdx = 4, rcx = 5;
		register unsigned long r8 __asm__("r8") = 6, r9 __asm__("r9") = 7, r10 __asm__("r10") = 8, r12 __asm__("r12") = 9,
				       r13 __asm__("r13") = 10, r14 __asm__("r14") = 11, r15 __asm__("r15") = 12;

		__asm__ volatile("sub $128,%%rsp\n\tcall any_hop\n\tadd $128,%%rsp\n\tlea any_hop_site+2(%%rip),%%r11\n\t"
				 "sub %%r11,%%rcx"
				 : "=a"(rax), "+b"(rbx), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+c"(rcx), "+r"(r8), "+r"(r9), "+r"(r10),
				   "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15)
				 :
				 : "r11", "memory", "cc");
		CHECK_EQ(rax, parent);
		CHECK(rbx == 1 && r8 == 6 && r9 == 7 && r10 == 8 && r12 == 9 && r13 == 10 && r14 == 11 && r15 == 12);
		CHECK(rdi == 3 && rsi == 4 && rdx == 5);
		CHECK_EQ(rcx, 0);
	}
}

/* ---- steps ---- */

static volatile uintptr_t steps[64];
static volatile unsigned nsteps;
static uintptr_t step_low, step_high;

static void on_step(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	uintptr_t ip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];

	(void)sig;
	(void)si;
	if (ip >= step_low && ip < step_high && nsteps < T_COUNT(steps))
		steps[nsteps++] = ip;
}

static long stepped(long (*f)(long, long, long, long), long nr)
{
	long got;

	nsteps = 0;
	__asm__ volatile("sub $128,%%rsp\n\tpushfq\n\torq $0x100,(%%rsp)\n\tpopfq\n\tcall *%%rbx\n\t"
			 "pushfq\n\tandq $~0x100,(%%rsp)\n\tpopfq\n\tadd $128,%%rsp"
			 : "=a"(got), "+D"(nr)
			 : "b"(f), "S"(0L), "d"(0L), "c"(0L)
			 : "r8", "r11", "memory", "cc");
	return got;
}

/* The same places one after the other, whether anything was moved or not; but a processor takes its first step behind the
 * syscall there or one instruction later. */
static void check_steps(const uint8_t *begin, const unsigned *want, unsigned n)
{
	unsigned at = 0;

	for (unsigned i = 0; i < nsteps; i++) {
		unsigned off = (unsigned)(steps[i] - (uintptr_t)begin);

		if (at < n && off == want[at]) {
			at++;
			continue;
		}
		CHECK_EQ(at, n - 1); /* only the return may be missed */
		at = n;
	}
	CHECK(at >= n - 1);
}

TEST(each_instruction_is_a_step)
{
	static const unsigned moved[] = {0, 5, 8, 10, 13, 15}, hop[] = {0, 3, 6, 9, 12, 14};
	struct sigaction sa = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};

	heat();
	CHECK_OK(sigaction(SIGTRAP, &sa, NULL));
	for (int i = 0; i < 20; i++) {
		step_low = (uintptr_t)getppid_moved;
		step_high = (uintptr_t)getppid_moved_end;
		CHECK_EQ(stepped((long (*)(long, long, long, long))(uintptr_t)getppid_moved, 0), getppid());
		check_steps((const uint8_t *)(uintptr_t)getppid_moved, moved, T_COUNT(moved));
		step_low = (uintptr_t)any_hop;
		step_high = (uintptr_t)any_hop_end;
		CHECK_EQ(stepped(any_hop, SYS_getppid), getppid());
		check_steps((const uint8_t *)(uintptr_t)any_hop, hop, T_COUNT(hop));
	}
}

/* ---- faults and signals ---- */

static volatile int faults;
static long good_word;

static void on_fault(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	(void)sig;
	faults += uc->uc_mcontext.gregs[REG_RIP] == (greg_t)(uintptr_t)load_site &&
		  uc->uc_mcontext.gregs[REG_RAX] == SYS_getppid && si->si_addr == t_null;
	uc->uc_mcontext.gregs[REG_RDI] = (greg_t)(uintptr_t)&good_word;
}

TEST(a_fault_is_where_it_was_written)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	heat();
	CHECK_OK(sigaction(SIGSEGV, &sa, NULL));
	for (int i = 0; i < 50; i++)
		CHECK_EQ(load_and_call(t_null), getppid());
	CHECK_EQ(faults, 50);
}

static volatile uintptr_t lowest = UINTPTR_MAX, highest;

static void on_alarm(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uintptr_t ip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];

	(void)signal;
	(void)info;
	lowest = ip < lowest ? ip : lowest;
	highest = ip > highest ? ip : highest;
	t_ticks++;
}

/* Nothing is done twice or left out, and a handler sees the program's own addresses only. */
TEST(interrupted_anywhere)
{
	struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct itimerval timer = {{0, 700}, {0, 700}}, off = {0};
	int wanted = t_ticks + 200;
	long calls = 0, before = counter;

	CHECK_OK(sigaction(SIGALRM, &action, NULL));
	CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
	while (t_ticks < wanted) {
		CHECK_EQ(count_calls(), getppid());
		calls++;
	}
	CHECK_OK(setitimer(ITIMER_REAL, &off, NULL));
	CHECK_EQ(counter - before, calls);
	/* Position-independent or not, the program and its libraries lie below the stack. */
	CHECK(lowest != UINTPTR_MAX && highest < (uintptr_t)&action);
}

/* A call that is restarted is not begun again from what was moved. */
TEST(restarts_begin_at_the_call)
{
	int fds[2];
	char c = 0;

	CHECK_OK(pipe(fds));
	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(write(fds[1], "x", 1), 1);
		CHECK_EQ(count_reads(fds[0], &c, 1), 1);
	}
	long before = counter;
	t_tick(SA_RESTART, NULL);
	pid_t child = t_fork();
	if (child == 0) {
		t_until_asleep(getppid());
		CHECK_EQ(write(fds[1], "y", 1), 1);
		_exit(0);
	}
	CHECK_EQ(count_reads(fds[0], &c, 1), 1);
	t_tick_stop();
	t_reap(child);
	CHECK_EQ(c, 'y');
	CHECK_EQ(counter - before, 1);
}

/* ---- bytes, threads ---- */

TEST(text_reads_as_it_was_linked)
{
	static const uint8_t moved[] = {0xb8, 110, 0, 0, 0, 0x49, 0x89, 0xf8, 0x31, 0xd2, 0x4c, 0x89, 0xc6, 0x0f, 0x05, 0xc3};
	static const uint8_t hop[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x0f, 0x05, 0xc3};
	uint8_t before[64], after[64];
	int fd = MUST(open("/proc/self/mem", O_RDONLY));

	CHECK_EQ(pread(fd, before, sizeof(before), (off_t)(uintptr_t)any_hop), sizeof(before));
	heat();
	CHECK_EQ(pread(fd, after, sizeof(after), (off_t)(uintptr_t)any_hop), sizeof(after));
	CHECK_MEM(after, before, sizeof(after)); /* the padding, too */
	CHECK_MEM(after, hop, sizeof(hop));
	CHECK_EQ(pread(fd, after, sizeof(moved), (off_t)(uintptr_t)getppid_moved), sizeof(moved));
	CHECK_MEM(after, moved, sizeof(moved));
	CHECK_OK(close(fd));
}

static void *call_often(void *arg)
{
	pid_t parent = getppid();
	long second, word = 0;

	(void)arg;
	for (int i = 0; i < 3000; i++) {
		if (getppid_moved() != parent || any_hop(SYS_getppid, 0, 0, 0) != parent || load_and_call(&word) != parent)
			return "wrong";
		if (i % 8 == 0 && (two_ways(&second) != parent || second != getpid()))
			return "wrong";
	}
	return NULL;
}

TEST(many_threads_while_it_happens)
{
	pthread_t thread[6];
	void *result;

	for (size_t i = 0; i < T_COUNT(thread); i++)
		CHECK_OK(pthread_create(&thread[i], NULL, call_often, NULL));
	for (size_t i = 0; i < T_COUNT(thread); i++) {
		CHECK_OK(pthread_join(thread[i], &result));
		CHECK(result == NULL);
	}
}

/* ---- code of a file of our own ---- */

/* mov %rdi,%rax; mov %rsi,%rdi; syscall; ret; a nop up to the next multiple of sixteen; push %rbx. */
static const uint8_t code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x0f, 0x05, 0xc3, 0x0f, 0x1f, 0x80, 0, 0, 0, 0, 0x53};

static uint8_t *map_code(void)
{
	uint8_t page[4096], *p;
	int fd;

	memset(page, 0x90, sizeof(page));
	memcpy(page + 1024, code, sizeof(code));
	fd = MUST(open("code", O_RDWR | O_CREAT | O_TRUNC, 0755));
	CHECK_EQ(write(fd, page, sizeof(page)), sizeof(page));
	CHECK_OK(close(fd));
	fd = MUST(open("code", O_RDONLY));
	p = MUST(mmap(NULL, sizeof(page), PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0));
	CHECK_OK(close(fd));
	return p;
}

static void run_code(uint8_t *p)
{
	for (int i = 0; i < TIMES; i++)
		CHECK_EQ(((long (*)(long, long))(uintptr_t)(p + 1024))(SYS_getppid, 0), getppid());
}

TEST(text_made_writable_or_moved)
{
	uint8_t *p, *q;

	t_scratch();
	p = map_code();
	run_code(p);
	CHECK_OK(mprotect(p, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	CHECK_MEM(p + 1024, code, sizeof(code));
	run_code(p);
	p[1024 + 9] = 0xc3;
	run_code(p);
	CHECK_OK(munmap(p, 4096));
	p = map_code();
	run_code(p);
	q = MUST(mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	q = MUST(mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, q));
	CHECK_MEM(q + 1024, code, sizeof(code));
	run_code(q);
}
