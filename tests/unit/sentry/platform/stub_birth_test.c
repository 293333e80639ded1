/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub's clone: whoever is born tells who it is, or ends. The image is mapped where it belongs, in this process, without a filter.
 * A child steps through it (as its guest could make it do), and is interrupted before each instruction on the way to its first call:
 * the trap door must end it without a look at any memory; there is no mailbox here, so a look ends it by a signal.
 */
#include "sentry/platform/stub/abi.h"

#include <criterion/criterion.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

extern const char stub_image[], stub_image_end[];

#define HANDLER (STUB_BASE + 0x10)
#define RESTORER (STUB_BASE + 0x20)
#define CLONE (STUB_BASE + 0x40)
#define CLONE_PARENT 0x8000
#define TOKEN 0x123456789abcdeUL

static struct shared {
	uint64_t stopped_at; /* where the child was interrupted */
	int64_t returned;    /* to the child */
	uint64_t token, r10; /* what the child had in hand before its call */
	int death;           /* the signal that it asked for */
} *shared;
static int stop_at; /* which of the child's steps; 0: none; -1: the trap door has the steps, the parent's, too */
static int steps;
static pid_t parent;

static void raw_action(int sig, uint64_t fn)
{
	struct {
		uint64_t handler, flags, restorer, mask;
	} sa = {fn, SA_SIGINFO | SA_ONSTACK | 0x04000000, RESTORER, ~(1UL << (SIGSEGV - 1) | 1UL << (SIGBUS - 1))};

	syscall(SYS_rt_sigaction, sig, &sa, NULL, 8);
}

static void on_step(int sig, siginfo_t *si, void *ctx)
{
	greg_t *r = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	uint64_t ip = (uint64_t)r[REG_RIP];

	(void)sig;
	(void)si;
	if (ip == STUB_CLONE_IP - 2 && stop_at < 0)
		raw_action(SIGTRAP, HANDLER);
	if (ip < STUB_BASE || ip >= STUB_BASE + STUB_TEXT_MAX || syscall(SYS_getpid) == parent)
		return;
	if (memcmp((const void *)ip, "\x0f\x05", 2) == 0) {
		shared->token = (uint64_t)r[REG_RDX];
		shared->r10 = (uint64_t)r[REG_R10];
	}
	if (++steps == stop_at) {
		shared->stopped_at = ip;
		syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), SIGSTKFLT);
	}
}

static int64_t steps_through(uint64_t flags)
{
	register uint64_t r10 __asm__("r10");
	int64_t ret;

	__asm__ volatile("sub $128,%%rsp\n\tpushfq\n\torq $0x100,(%%rsp)\n\tpopfq\n\tcall *%[fn]\n\t"
			 "pushfq\n\tandq $~0x100,(%%rsp)\n\tpopfq\n\tadd $128,%%rsp"
			 : "=a"(ret), "+D"(flags), "=r"(r10)
			 : [fn] "b"(CLONE), "S"(0UL), "d"(TOKEN), "c"(0UL)
			 : "memory", "r8", "r9", "r11", "cc");
	return r10 == STUB_BIRTH ? -1 : ret; /* it is not left behind */
}

/* Statuses of one who clones, and of whom it makes. */
static void one(int at, int *of_parent, int *of_child)
{
	static char stack[65536];
	const stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
	int status;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	stop_at = at;
	steps = 0;
	*of_parent = *of_child = -1;
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		int64_t ret;

		parent = getpid();
		signal(SIGSEGV, SIG_DFL); /* AddressSanitizer would exit instead */
		signal(SIGBUS, SIG_DFL);
		sigaltstack(&alt, NULL);
		sigaddset(&sa.sa_mask, SIGSTKFLT); /* before the next instruction, not in on_step */
		sigaction(SIGTRAP, &sa, NULL);
		raw_action(SIGSTKFLT, HANDLER);
		ret = steps_through(CLONE_PARENT | SIGCHLD);
		if (getpid() != parent) {
			shared->returned = ret;
			prctl(PR_GET_PDEATHSIG, &shared->death);
			_exit(0);
		}
		_exit(ret > 0 ? 0 : 1);
	}
	for (int i = 0; i < 2; i++) {
		pid_t ended = wait(&status);

		cr_assert_gt(ended, 0);
		*(ended == pid ? of_parent : of_child) = status;
	}
}

static bool begin(void)
{
	void *at = mmap((void *)STUB_BASE, STUB_TEXT_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (at != (void *)STUB_BASE)
		cr_skip_test("something of this process lies there");
	memcpy(at, stub_image, (size_t)(stub_image_end - stub_image));
	cr_assert_eq(mprotect(at, STUB_TEXT_MAX, PROT_READ | PROT_EXEC), 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(shared, MAP_FAILED);
	return true;
}

Test(stub_birth, a_child_tells_and_returns)
{
	int of_parent, of_child;

	begin();
	cr_assert_arr_eq((const char *)(STUB_CLONE_IP - 2), "\x0f\x05", 2);
	one(0, &of_parent, &of_child);
	cr_assert_eq(of_parent, 0);
	cr_assert_eq(of_child, 0);
	cr_assert_eq(shared->returned, 0);
	cr_assert_eq(shared->token, TOKEN);
	cr_assert_eq(shared->r10, STUB_BIRTH);
	cr_assert_eq(shared->death, SIGKILL);
}

Test(stub_birth, one_that_is_stopped_before_it_has_told_ends)
{
	int of_parent, of_child, stops = 0, behind = 0; /* the call */
	uint64_t last = STUB_CLONE_IP;
	bool called = false;

	begin();
	for (int at = 1;; at++) {
		one(at, &of_parent, &of_child);
		cr_assert_eq(of_parent, 0);
		/* It has told: the trap door serves it, and looks for a mailbox. */
		if (WIFSIGNALED(of_child))
			break;
		cr_assert_eq(of_child, SIGSTKFLT << 8, "stopped at %#lx: status %#x", shared->stopped_at, (unsigned)of_child);
		cr_assert_gt(shared->stopped_at, last);
		last = shared->stopped_at;
		stops++;
		behind += called;
		called |= memcmp((const char *)last, "\x0f\x05", 2) == 0;
	}
	cr_assert_geq(stops, 5, "%d stops; the last at %#lx, status %#x", stops, shared->stopped_at, (unsigned)of_child);
	/* The call is among them, and behind it but the look whether it failed. */
	cr_assert(called);
	cr_assert_leq(behind, 2);
	cr_assert_eq(shared->token, TOKEN);
}

Test(stub_birth, one_that_steps_ends)
{
	int of_parent, of_child;

	begin();
	one(-1, &of_parent, &of_child);
	cr_assert_eq(of_child, SIGTRAP << 8);
	cr_assert_eq(of_parent, SIGTRAP << 8); /* nothing lost: it had no business to step here */
}

Test(stub_birth, one_that_can_tell_nobody_ends)
{
	/* prctl fails as every call does that waits for a listener which goes. */
	struct sock_filter none[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 38),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(none) / sizeof(none[0]), none};
	int of_parent, of_child;

	begin();
	cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	cr_assert_eq(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog), 0);
	shared->returned = 1;
	one(0, &of_parent, &of_child);
	cr_assert_eq(of_parent, 0);
	cr_assert(WIFEXITED(of_child) && WEXITSTATUS(of_child) != 0, "status %#x", (unsigned)of_child);
	cr_assert_eq(shared->token, TOKEN);
}
