/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a signal leaves as it was: every register, the vector state, the red zone; and what a handler begins with, sees of
 * the interrupted code and may change there. The signals come at the end of a call from a busy site of our own, from a
 * timer at any instruction, and several at once.
 * covers: kill tgkill rt_sigreturn rt_sigaction rt_sigprocmask sigaltstack setitimer
 */
#include "t.h"

#include <cpuid.h>
#include <sys/time.h>
#include <ucontext.h>

#define HOT 300
#define REDZONE 128

/* What goes into a call and comes out: general registers but rsp, sixteen 32-byte vectors, mask registers, controls. */
struct state {
	uint64_t rax, rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15;
	uint64_t rcx, r11;              /* clobbered by the instruction */
	uint64_t rsp;                   /* while it runs */
	uint32_t mxcsr, fcw;
	uint8_t ymm[16][32] __attribute__((aligned(32)));
	uint64_t k[8];
	uint8_t red[REDZONE];
	uint64_t wide;                  /* mask registers are there */
};

extern const char state_site[];
void state_call(struct state *s);
/* clang-format off */
__asm__(".text\n.globl state_call\nstate_call:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	push %rdi\n	sub $8, %rsp\n	stmxcsr (%rsp)\n	fnstcw 4(%rsp)\n"
	"	cmpq $0, 864(%rdi)\n	je 1f\n"
	"	kmovq 672(%rdi), %k0\n	kmovq 680(%rdi), %k1\n	kmovq 688(%rdi), %k2\n	kmovq 696(%rdi), %k3\n	kmovq 704(%rdi), %k4\n	kmovq 712(%rdi), %k5\n	kmovq 720(%rdi), %k6\n	kmovq 728(%rdi), %k7\n1:\n"
	"	vmovdqa 160(%rdi), %ymm0\n	vmovdqa 192(%rdi), %ymm1\n	vmovdqa 224(%rdi), %ymm2\n	vmovdqa 256(%rdi), %ymm3\n"
	"	vmovdqa 288(%rdi), %ymm4\n	vmovdqa 320(%rdi), %ymm5\n	vmovdqa 352(%rdi), %ymm6\n	vmovdqa 384(%rdi), %ymm7\n"
	"	vmovdqa 416(%rdi), %ymm8\n	vmovdqa 448(%rdi), %ymm9\n	vmovdqa 480(%rdi), %ymm10\n	vmovdqa 512(%rdi), %ymm11\n"
	"	vmovdqa 544(%rdi), %ymm12\n	vmovdqa 576(%rdi), %ymm13\n	vmovdqa 608(%rdi), %ymm14\n	vmovdqa 640(%rdi), %ymm15\n"
	"	ldmxcsr 128(%rdi)\n	fldcw 132(%rdi)\n	mov %rsp, 120(%rdi)\n"
	"	mov 736(%rdi), %rax\n	mov %rax, -128(%rsp)\n	mov 744(%rdi), %rax\n	mov %rax, -120(%rsp)\n	mov 752(%rdi), %rax\n	mov %rax, -112(%rsp)\n	mov 760(%rdi), %rax\n	mov %rax, -104(%rsp)\n"
	"	mov 768(%rdi), %rax\n	mov %rax, -96(%rsp)\n	mov 776(%rdi), %rax\n	mov %rax, -88(%rsp)\n	mov 784(%rdi), %rax\n	mov %rax, -80(%rsp)\n	mov 792(%rdi), %rax\n	mov %rax, -72(%rsp)\n"
	"	mov 800(%rdi), %rax\n	mov %rax, -64(%rsp)\n	mov 808(%rdi), %rax\n	mov %rax, -56(%rsp)\n	mov 816(%rdi), %rax\n	mov %rax, -48(%rsp)\n	mov 824(%rdi), %rax\n	mov %rax, -40(%rsp)\n"
	"	mov 832(%rdi), %rax\n	mov %rax, -32(%rsp)\n	mov 840(%rdi), %rax\n	mov %rax, -24(%rsp)\n	mov 848(%rdi), %rax\n	mov %rax, -16(%rsp)\n	mov 856(%rdi), %rax\n	mov %rax, -8(%rsp)\n"
	"	mov 0(%rdi), %rax\n	mov 8(%rdi), %rbx\n	mov 16(%rdi), %rdx\n	mov 24(%rdi), %rsi\n"
	"	mov 40(%rdi), %rbp\n	mov 48(%rdi), %r8\n	mov 56(%rdi), %r9\n	mov 64(%rdi), %r10\n"
	"	mov 72(%rdi), %r12\n	mov 80(%rdi), %r13\n	mov 88(%rdi), %r14\n	mov 96(%rdi), %r15\n"
	"	mov 32(%rdi), %rdi\n"
	"state_site:\n	syscall\n	cmp $-4096, %rax\n"
	"	mov %rcx, state_scratch+8(%rip)\n	mov 8(%rsp), %rcx\n"
	"	mov %rax, 0(%rcx)\n	mov %rbx, 8(%rcx)\n	mov %rdx, 16(%rcx)\n	mov %rsi, 24(%rcx)\n"
	"	mov %rdi, 32(%rcx)\n	mov %rbp, 40(%rcx)\n	mov %r8, 48(%rcx)\n	mov %r9, 56(%rcx)\n"
	"	mov %r10, 64(%rcx)\n	mov %r12, 72(%rcx)\n	mov %r13, 80(%rcx)\n	mov %r14, 88(%rcx)\n"
	"	mov %r15, 96(%rcx)\n"
	"	mov %r11, 112(%rcx)\n	mov %rsp, 120(%rcx)\n	mov state_scratch+8(%rip), %rax\n	mov %rax, 104(%rcx)\n"
	"	mov -128(%rsp), %rax\n	mov %rax, 736(%rcx)\n	mov -120(%rsp), %rax\n	mov %rax, 744(%rcx)\n	mov -112(%rsp), %rax\n	mov %rax, 752(%rcx)\n	mov -104(%rsp), %rax\n	mov %rax, 760(%rcx)\n"
	"	mov -96(%rsp), %rax\n	mov %rax, 768(%rcx)\n	mov -88(%rsp), %rax\n	mov %rax, 776(%rcx)\n	mov -80(%rsp), %rax\n	mov %rax, 784(%rcx)\n	mov -72(%rsp), %rax\n	mov %rax, 792(%rcx)\n"
	"	mov -64(%rsp), %rax\n	mov %rax, 800(%rcx)\n	mov -56(%rsp), %rax\n	mov %rax, 808(%rcx)\n	mov -48(%rsp), %rax\n	mov %rax, 816(%rcx)\n	mov -40(%rsp), %rax\n	mov %rax, 824(%rcx)\n"
	"	mov -32(%rsp), %rax\n	mov %rax, 832(%rcx)\n	mov -24(%rsp), %rax\n	mov %rax, 840(%rcx)\n	mov -16(%rsp), %rax\n	mov %rax, 848(%rcx)\n	mov -8(%rsp), %rax\n	mov %rax, 856(%rcx)\n"
	"	stmxcsr 128(%rcx)\n	fnstcw 132(%rcx)\n"
	"	vmovdqa %ymm0, 160(%rcx)\n	vmovdqa %ymm1, 192(%rcx)\n	vmovdqa %ymm2, 224(%rcx)\n	vmovdqa %ymm3, 256(%rcx)\n"
	"	vmovdqa %ymm4, 288(%rcx)\n	vmovdqa %ymm5, 320(%rcx)\n	vmovdqa %ymm6, 352(%rcx)\n	vmovdqa %ymm7, 384(%rcx)\n"
	"	vmovdqa %ymm8, 416(%rcx)\n	vmovdqa %ymm9, 448(%rcx)\n	vmovdqa %ymm10, 480(%rcx)\n	vmovdqa %ymm11, 512(%rcx)\n"
	"	vmovdqa %ymm12, 544(%rcx)\n	vmovdqa %ymm13, 576(%rcx)\n	vmovdqa %ymm14, 608(%rcx)\n	vmovdqa %ymm15, 640(%rcx)\n"
	"	cmpq $0, 864(%rcx)\n	je 2f\n"
	"	kmovq %k0, 672(%rcx)\n	kmovq %k1, 680(%rcx)\n	kmovq %k2, 688(%rcx)\n	kmovq %k3, 696(%rcx)\n	kmovq %k4, 704(%rcx)\n	kmovq %k5, 712(%rcx)\n	kmovq %k6, 720(%rcx)\n	kmovq %k7, 728(%rcx)\n2:\n"
	"	ldmxcsr (%rsp)\n	fldcw 4(%rsp)\n	vzeroupper\n	add $8, %rsp\n	pop %rdi\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n	ret\n"
	".bss\n.balign 16\nstate_scratch:\n	.zero 16\n.text\n");
/* clang-format on */

/* The offsets above and below, checked. */
_Static_assert(offsetof(struct state, ymm) == 160 && offsetof(struct state, k) == 672 && offsetof(struct state, red) == 736 &&
		       offsetof(struct state, wide) == 864,
	       "state_call knows the offsets");

static struct state want;

static bool has_mask_registers(void)
{
	unsigned a, b, c, d;
	uint32_t lo, hi;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b >> 16 & 1) || !(b >> 30 & 1)) /* AVX512F, AVX512BW */
		return false;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (lo & 0xe0) == 0xe0;
}

static bool has_vectors(void)
{
	return __builtin_cpu_supports("avx") != 0;
}

static void fill(struct state *s, unsigned seed)
{
	uint8_t *p = (uint8_t *)s;

	for (size_t i = 0; i < sizeof(*s); i++)
		p[i] = (uint8_t)(seed * 31 + i * 7 + (i >> 8) * 13);
	s->mxcsr = 0x1f80 | 0x6000; /* rounds towards zero */
	s->fcw = 0x27f;             /* double precision */
	s->wide = has_mask_registers();
}

static void check_state(const struct state *got, const struct state *expect)
{
	CHECK_EQ(got->rbx, expect->rbx);
	CHECK_EQ(got->rdx, expect->rdx);
	CHECK_EQ(got->rsi, expect->rsi);
	CHECK_EQ(got->rdi, expect->rdi);
	CHECK_EQ(got->rbp, expect->rbp);
	CHECK_EQ(got->r8, expect->r8);
	CHECK_EQ(got->r9, expect->r9);
	CHECK_EQ(got->r10, expect->r10);
	CHECK_EQ(got->r12, expect->r12);
	CHECK_EQ(got->r13, expect->r13);
	CHECK_EQ(got->r14, expect->r14);
	CHECK_EQ(got->r15, expect->r15);
	CHECK_EQ(got->rcx, (uintptr_t)state_site + 2);
	CHECK_EQ(got->rsp, expect->rsp);
	CHECK_EQ(got->mxcsr & 0xffc0, expect->mxcsr & 0xffc0);
	CHECK_EQ(got->fcw, expect->fcw);
	CHECK_MEM(got->ymm, expect->ymm, sizeof(got->ymm));
	CHECK_MEM(got->red, expect->red, sizeof(got->red));
	if (expect->wide)
		CHECK_MEM(got->k, expect->k, sizeof(got->k));
}

/* Makes the call with everything filled in, and looks at what came back. */
static long call(unsigned seed, long nr, long a, long b, long c)
{
	struct state s;

	fill(&s, seed);
	s.rax = (uint64_t)nr;
	s.rdi = (uint64_t)a;
	s.rsi = (uint64_t)b;
	s.rdx = (uint64_t)c;
	want = s;
	state_call(&s);
	want.rsp = s.rsp;
	check_state(&s, &want);
	return (long)s.rax;
}

static void heat(void)
{
	pid_t parent = getppid();

	for (unsigned i = 0; i < HOT; i++)
		CHECK_EQ(call(i, SYS_getppid, i, 2, 3), parent);
}

/* A handler that leaves nothing as it was. */
static void wreck(void)
{
	static const uint32_t mxcsr = 0x1fa0;
	static const uint16_t fcw = 0x37b;

	__asm__ volatile("ldmxcsr %0\n\tfldcw %1\n\t"
			 "vpcmpeqd %%xmm0, %%xmm0, %%xmm0\n\tvinsertf128 $1, %%xmm0, %%ymm0, %%ymm0\n\t"
			 "vmovdqa %%ymm0, %%ymm1\n\tvmovdqa %%ymm0, %%ymm7\n\tvmovdqa %%ymm0, %%ymm15\n\t"
			 "vmovdqa %%ymm0, %%ymm8\n\tvmovdqa %%ymm0, %%ymm3"
			 :
			 : "m"(mxcsr), "m"(fcw)
			 : "xmm0", "xmm1", "xmm3", "xmm7", "xmm8", "xmm15");
	if (has_mask_registers())
		__asm__ volatile("kxnorw %k0, %k0, %k0\n\tkxnorw %k3, %k3, %k3\n\tkxnorw %k7, %k7, %k7");
}

static volatile unsigned calls;
static ucontext_t seen;
static siginfo_t seen_info;
static uint32_t begin_mxcsr;
static uint16_t begin_fcw;
static uint8_t begin_ymm[32];
static uintptr_t begin_rsp;
static void (*volatile in_handler)(ucontext_t *uc);

static void handler(int sig, siginfo_t *info, void *arg)
{
	ucontext_t *uc = arg;

	(void)sig;
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1\n\tvmovdqu %%ymm5, %2\n\tmov %%rsp, %3"
			 : "=m"(begin_mxcsr), "=m"(begin_fcw), "=m"(begin_ymm), "=m"(begin_rsp));
	seen = *uc;
	seen_info = *info;
	calls++;
	if (in_handler != NULL)
		in_handler(uc);
	wreck();
}

static void handle(int sig, int flags)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	CHECK_OK(sigaction(sig, &sa, NULL));
}

TEST(registers_survive_a_signal_of_ones_own)
{
	pid_t pid = getpid();

	if (!has_vectors())
		SKIP("no AVX here");
	handle(SIGUSR1, 0);
	for (unsigned i = 0; i < HOT; i++) {
		CHECK_EQ(call(i, SYS_kill, pid, SIGUSR1, 0), 0);
		CHECK_EQ(calls, i + 1);
	}
}

TEST(the_handler_sees_the_call_that_has_returned)
{
	pid_t pid = getpid();

	if (!has_vectors())
		SKIP("no AVX here");
	handle(SIGUSR1, 0);
	heat();
	for (unsigned i = 0; i < HOT; i++) {
		const greg_t *g = seen.uc_mcontext.gregs;

		CHECK_EQ(call(i, SYS_kill, pid, SIGUSR1, 77), 0);
		CHECK_EQ(g[REG_RIP], (uintptr_t)state_site + 2);
		CHECK_EQ(g[REG_RAX], 0);
		CHECK_EQ(g[REG_RDI], pid);
		CHECK_EQ(g[REG_RSI], SIGUSR1);
		CHECK_EQ(g[REG_RDX], 77);
		CHECK_EQ(g[REG_RBX], want.rbx);
		CHECK_EQ(g[REG_RBP], want.rbp);
		CHECK_EQ(g[REG_R8], want.r8);
		CHECK_EQ(g[REG_R9], want.r9);
		CHECK_EQ(g[REG_R10], want.r10);
		CHECK_EQ(g[REG_R12], want.r12);
		CHECK_EQ(g[REG_R13], want.r13);
		CHECK_EQ(g[REG_R14], want.r14);
		CHECK_EQ(g[REG_R15], want.r15);
		CHECK_EQ(g[REG_RSP], want.rsp);
		CHECK_EQ(g[REG_EFL] & 0x202, 0x202);
		CHECK_EQ(seen_info.si_signo, SIGUSR1);
		CHECK_EQ(seen_info.si_code, SI_USER);
		CHECK_EQ(seen_info.si_pid, pid);
		/* Its image is where the frame says, in full. */
		CHECK((uintptr_t)seen.uc_mcontext.fpregs % 64 == 0);
		CHECK(begin_rsp < want.rsp - REDZONE);
	}
}

TEST(a_handler_begins_with_a_clean_vector_state)
{
	pid_t pid = getpid();
	uint8_t zeros[32] = {0};

	if (!has_vectors())
		SKIP("no AVX here");
	handle(SIGUSR1, 0);
	for (unsigned i = 0; i < HOT; i++) {
		CHECK_EQ(call(i, SYS_kill, pid, SIGUSR1, 0), 0);
		CHECK_EQ(begin_mxcsr, 0x1f80);
		CHECK_EQ(begin_fcw, 0x37f);
		CHECK_MEM(begin_ymm, zeros, sizeof(zeros));
	}
}

static const uint8_t *fp_image(const ucontext_t *uc)
{
	return (const uint8_t *)uc->uc_mcontext.fpregs;
}

static uint8_t image_xmm[16][16];
static uint32_t image_mxcsr, image_magic1, image_size, image_magic2;
static uint64_t image_features, image_bits;

static void look_at_image(ucontext_t *uc)
{
	const uint8_t *p = fp_image(uc);

	memcpy(image_xmm, p + 160, sizeof(image_xmm));
	memcpy(&image_mxcsr, p + 24, 4);
	memcpy(&image_magic1, p + 464, 4);
	memcpy(&image_size, p + 468, 4);
	memcpy(&image_features, p + 472, 8);
	memcpy(&image_bits, p + 512, 8);
	memcpy(&image_magic2, p + image_size - 4, 4);
}

TEST(the_frame_holds_the_vector_state)
{
	pid_t pid = getpid();

	if (!has_vectors())
		SKIP("no AVX here");
	handle(SIGUSR1, 0);
	in_handler = look_at_image;
	for (unsigned i = 0; i < HOT; i++) {
		CHECK_EQ(call(i, SYS_kill, pid, SIGUSR1, 0), 0);
		for (unsigned r = 0; r < 16; r++)
			CHECK_MEM(image_xmm[r], want.ymm[r], 16);
		CHECK_EQ(image_mxcsr & 0xffc0, want.mxcsr & 0xffc0);
		CHECK_EQ(image_magic1, 0x46505853);
		CHECK_EQ(image_magic2, 0x46505845);
		CHECK((image_features & 7) == 7);
		CHECK((image_bits & ~image_features) == 0);
	}
}

static void change(ucontext_t *uc)
{
	uint8_t *p = (uint8_t *)uc->uc_mcontext.fpregs;

	memset(p + 160 + 2 * 16, 0xab, 16);
	uc->uc_mcontext.gregs[REG_R12] = 12;
	uc->uc_mcontext.gregs[REG_RAX] = 4711;
}

TEST(a_handler_changes_what_it_returns_to)
{
	pid_t pid = getpid();
	struct state s;

	if (!has_vectors())
		SKIP("no AVX here");
	handle(SIGUSR1, 0);
	in_handler = change;
	for (unsigned i = 0; i < HOT; i++) {
		fill(&s, i);
		s.rax = SYS_kill;
		s.rdi = (uint64_t)pid;
		s.rsi = SIGUSR1;
		want = s;
		state_call(&s);
		want.rsp = s.rsp;
		memset(want.ymm[2], 0xab, 16);
		want.r12 = 12;
		check_state(&s, &want);
		CHECK_EQ(s.rax, 4711);
	}
}

static volatile int order[8];
static volatile unsigned norder;

static void note(int sig)
{
	order[norder++ % 8] = sig;
	wreck();
}

TEST(several_at_once_nest)
{
	sigset_t set, none;
	pid_t pid = getpid();

	if (!has_vectors())
		SKIP("no AVX here");
	signal(SIGUSR1, note);
	signal(SIGUSR2, note);
	signal(SIGRTMIN + 1, note);
	sigemptyset(&set);
	sigemptyset(&none);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 1);
	for (unsigned i = 0; i < HOT; i++) {
		norder = 0;
		CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
		CHECK_OK(kill(pid, SIGRTMIN + 1));
		CHECK_OK(kill(pid, SIGUSR2));
		CHECK_OK(kill(pid, SIGUSR1));
		CHECK_EQ(norder, 0);
		CHECK_OK(sigprocmask(SIG_SETMASK, &none, NULL));
		CHECK_EQ(norder, 3);
		/* The frame made last runs first. */
		CHECK_EQ(order[0], SIGRTMIN + 1);
		CHECK_EQ(order[1], SIGUSR2);
		CHECK_EQ(order[2], SIGUSR1);
	}
}

static void *stack(size_t size, int flags)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void signals_on_a_stack(int flags)
{
	size_t size = 64 * 1024;
	stack_t ss = {.ss_sp = stack(size, flags), .ss_size = size};
	pid_t pid = getpid();

	CHECK_OK(sigaltstack(&ss, NULL));
	handle(SIGUSR1, SA_ONSTACK);
	for (unsigned i = 0; i < HOT; i++) {
		CHECK_EQ(call(i, SYS_kill, pid, SIGUSR1, 0), 0);
		CHECK(begin_rsp > (uintptr_t)ss.ss_sp && begin_rsp < (uintptr_t)ss.ss_sp + size);
		CHECK_EQ(seen.uc_stack.ss_size, size);
	}
}

TEST(on_an_alternate_stack)
{
	if (!has_vectors())
		SKIP("no AVX here");
	signals_on_a_stack(MAP_PRIVATE);
}

/* Memory that several processes share. */
TEST(on_shared_memory)
{
	if (!has_vectors())
		SKIP("no AVX here");
	signals_on_a_stack(MAP_SHARED);
}

/* Without room for the frame there is only SIGSEGV, which needs room, too. */
TEST(no_room_for_the_frame)
{
	int status;
	pid_t child;

	if (!has_vectors())
		SKIP("no AVX here");
	child = MUST(fork());
	if (child == 0) {
		size_t size = 64 * 1024;
		stack_t ss = {.ss_sp = stack(size, MAP_PRIVATE), .ss_size = size};

		if (sigaltstack(&ss, NULL) < 0)
			_exit(1);
		handle(SIGUSR1, SA_ONSTACK);
		for (unsigned i = 0; i < HOT; i++)
			if (call(i, SYS_kill, getpid(), SIGUSR1, 0) != 0)
				_exit(2);
		if (mprotect(ss.ss_sp, size, PROT_READ) < 0)
			_exit(3);
		call(1, SYS_kill, getpid(), SIGUSR1, 0);
		_exit(4);
	}
	CHECK_EQ(MUST(waitpid(child, &status, 0)), child);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSEGV);
}

static void spoil(ucontext_t *uc)
{
	uc->uc_mcontext.fpregs = (void *)0x123400; /* nothing is there */
}

TEST(an_image_that_isnt_there)
{
	int status;
	pid_t child;

	if (!has_vectors())
		SKIP("no AVX here");
	child = MUST(fork());
	if (child == 0) {
		handle(SIGUSR1, 0);
		in_handler = spoil;
		call(1, SYS_kill, getpid(), SIGUSR1, 0);
		_exit(4);
	}
	CHECK_EQ(MUST(waitpid(child, &status, 0)), child);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSEGV);
}

/* Nothing there either, but SIGSEGV has a handler, which finds the thread behind its return. */
static volatile sig_atomic_t faults;

static void fault(int sig, siginfo_t *info, void *arg)
{
	(void)sig;
	(void)arg;
	faults++;
	if (info->si_code != SI_KERNEL)
		_exit(5);
	_exit(0);
}

TEST(an_image_that_isnt_there_is_a_fault)
{
	struct sigaction sa = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
	pid_t child;

	if (!has_vectors())
		SKIP("no AVX here");
	child = MUST(fork());
	if (child == 0) {
		handle(SIGUSR1, 0);
		if (sigaction(SIGSEGV, &sa, NULL) < 0)
			_exit(3);
		in_handler = spoil;
		call(1, SYS_kill, getpid(), SIGUSR1, 0);
		_exit(4);
	}
	t_reap(child);
}

/* From a timer: it hits the calls and what is around them. */
TEST(registers_survive_a_timer)
{
	struct itimerval on = {{0, 700}, {0, 700}}, off = {{0, 0}, {0, 0}};
	pid_t parent = getppid();

	if (!has_vectors())
		SKIP("no AVX here");
	handle(SIGALRM, SA_RESTART);
	CHECK_OK(setitimer(ITIMER_REAL, &on, NULL));
	for (unsigned i = 0; calls < 200; i++)
		CHECK_EQ(call(i, SYS_getppid, 1, 2, 3), parent);
	CHECK_OK(setitimer(ITIMER_REAL, &off, NULL));
}

/* A read that sleeps, interrupted from a busy site: called again, or EINTR. */
TEST(restarted_from_a_busy_site)
{
	struct itimerval once = {{0, 0}, {0, 2000}}, often = {{0, 20000}, {0, 2000}}, off = {{0, 0}, {0, 0}};
	int pipes[2];
	char c = 'x';

	if (!has_vectors())
		SKIP("no AVX here");
	CHECK_OK(pipe(pipes));
	heat();
	handle(SIGALRM, 0);
	for (unsigned i = 0; i < 20; i++) {
		calls = 0;
		/* The first one may come before the call sleeps. */
		CHECK_OK(setitimer(ITIMER_REAL, &often, NULL));
		CHECK_EQ(call(i, SYS_read, pipes[0], (long)&c, 1), -EINTR);
		CHECK_OK(setitimer(ITIMER_REAL, &off, NULL));
		CHECK(calls >= 1);
		if (calls == 1)
			CHECK_EQ(seen.uc_mcontext.gregs[REG_RAX], -EINTR);
	}
	handle(SIGALRM, SA_RESTART);
	for (unsigned i = 0; i < 20; i++) {
		pid_t child;

		calls = 0;
		child = MUST(fork());
		if (child == 0) {
			usleep(3000);
			_exit(write(pipes[1], "y", 1) != 1);
		}
		CHECK_OK(setitimer(ITIMER_REAL, &once, NULL));
		CHECK_EQ(call(i, SYS_read, pipes[0], (long)&c, 1), 1);
		CHECK_EQ(c, 'y');
		t_reap(child);
		while (calls == 0)
			; /* the timer was later than the child */
	}
}

/* By these two words together, which sentrybox's trap door finds in no thread by chance, it suspects that one is being born. */
#define LIKE_A_BIRTH 0xb19e5cade0b7a1c5UL

static volatile unsigned breaks;

static void on_break(int sig)
{
	(void)sig;
	breaks++;
}

TEST(any_words_in_registers_are_the_programs_own)
{
	register uint64_t r8 __asm__("r8");
	register uint64_t r10 __asm__("r10");
	uint64_t base, r8_then, r10_then;
	long ret;

	signal(SIGTRAP, on_break);
	t_tick(0, NULL);
	/* Interrupted. No call of the compiler's lies between here and the end. */
	r8 = ~LIKE_A_BIRTH;
	r10 = LIKE_A_BIRTH;
	__asm__ volatile("1:\tcmpl $50,%[ticks]\n\tjl 1b" : "+r"(r8), "+r"(r10) : [ticks] "m"(t_ticks) : "memory", "cc");
	/* A fault; a call that needs all registers; and over and over, for one that the kernel might rewrite. */
	__asm__ volatile("int3" : "+r"(r8), "+r"(r10) : : "memory", "cc");
	for (unsigned i = 0; i < HOT; i++)
		__asm__ volatile("syscall\n\tcmp $-4096,%%rax"
				 : "=a"(ret), "+r"(r8), "+r"(r10)
				 : "0"((long)SYS_arch_prctl), "D"(0x1003L), "S"(&base)
				 : "rcx", "r11", "memory", "cc");
	for (unsigned i = 0; i < HOT; i++)
		__asm__ volatile("syscall\n\tcmp $-4096,%%rax"
				 : "=a"(ret), "+r"(r8), "+r"(r10)
				 : "0"((long)SYS_getppid)
				 : "rcx", "r11", "memory", "cc");
	r8_then = r8;
	r10_then = r10;
	CHECK(r8_then == ~LIKE_A_BIRTH && r10_then == LIKE_A_BIRTH);
	t_tick_stop();
	CHECK_EQ(ret, getppid());
	CHECK_EQ(breaks, 1);
}
