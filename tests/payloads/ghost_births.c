/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that the sentry doesn't know. A thread says in its mailbox that its call is a fork, makes the stub's clone with a stack
 * that leads back here, and tells that it has failed: whoever runs then is counted by nobody. From each of the stub's call
 * instructions; by a clone that is the trap's report, and by one that was commanded. The children spin on shared memory, or end at
 * once. Last, one whose birth is told as it was, and who never arrives: the call that made it must come to an end.
 */
#include "gate.h"

#include <stdbool.h>

PAYLOAD("have processes born that --pids doesn't count", "--pids 16 --timeout 110s", "exit 0");

#define BIRTHS 1024
#define EACH 8 /* births an attacker tries */
#ifndef STUB_BIRTH
#define STUB_BIRTH 0UL
#define STUB_CLONE_IP 0UL
#endif

static struct shared {
	volatile uint64_t alive[BIRTHS];
	volatile unsigned born, ended;
	volatile uint64_t works; /* a call instruction that leads back */
	volatile bool back[STUB_CALLS];
	volatile unsigned told;  /* forks that were answered with an error */
	volatile int64_t answer;
} *shared;

static uint64_t stack[1024];
static uint64_t area;
static uint64_t saved_rsp __attribute__((used));
static struct registers {
	uint64_t ip, nr, a[6];
} regs __attribute__((used));

/* Makes the call from the stub's instruction at regs.ip. Wherever that returns to is behind the jump. */
int64_t lead_back(uint64_t *sp, volatile void *box);
void lead_back_here(void);
__asm__(".text\nlead_back:\n"
	"\tpush %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\tmov %rsp,saved_rsp(%rip)\n"
	"\tmov %rdi,%rsp\n\tmov %rsi,%rbx\n\tmov %rsi,%rbp\n\tmov %rsi,%r12\n\tmov %rsi,%r13\n\tmov %rsi,%r14\n\tmov %rsi,%r15\n"
	"\tlea regs(%rip),%rcx\n\tmov 8(%rcx),%rax\n\tmov 16(%rcx),%rdi\n\tmov 24(%rcx),%rsi\n\tmov 32(%rcx),%rdx\n"
	"\tmov 40(%rcx),%r10\n\tmov 48(%rcx),%r8\n\tmov 56(%rcx),%r9\n\tjmp *(%rcx)\n"
	"lead_back_here:\n\tmov saved_rsp(%rip),%rsp\n\tcld\n"
	"\tpop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n");

static char nobodys[MAILBOX_SIZE] __attribute__((aligned(4096)));

/* about: what the code behind the instruction is to take for its mailbox or box. */
static int64_t stub_makes(volatile void *about, uint64_t ip, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	for (unsigned i = 0; i < sizeof(stack) / sizeof(stack[0]); i++)
		stack[i] = (uint64_t)lead_back_here;
	regs = (struct registers){ip, (uint64_t)nr, {a0, a1, a2, a3, ~a3}};
	return lead_back(&stack[512], about);
}

/* What the trap door would say, and the sentry's answer. */
static int64_t say(unsigned op, int64_t value)
{
	BOX(area)->kind = GATE_KIND_STUB;
	BOX(area)->nr = (uint16_t)op;
	BOX(area)->args[0] = (uint64_t)value;
	__atomic_store_n(&BOX(area)->state, GATE_REQUEST, __ATOMIC_SEQ_CST);
	while (GATE_STATE(__atomic_load_n(&BOX(area)->state, __ATOMIC_SEQ_CST)) != GATE_DONE)
		stub_makes(BOX(area), shared->works, SYS_getppid, STUB_MAGIC, STUB_GATE_WAIT, 0, 0);
	return BOX(area)->result;
}

static void would_call(long nr)
{
	MAILBOX(area)->reason = SIGSYS;
	MAILBOX(area)->regs[13] = (uint64_t)nr;
	MAILBOX(area)->regs[8] = MAILBOX(area)->regs[9] = 0;
}

/* No call from here on. */
static void spin(unsigned which)
{
	for (;;)
		shared->alive[which % BIRTHS]++;
}

enum attack { HELD, COMMANDED, HELD_ENDS, ATTACKS };

/* What is made of one fork. child: what it does. False: it wasn't to be. */
static bool birth(uint64_t ip, enum attack attack, int64_t tell)
{
	unsigned which = __atomic_fetch_add(&shared->born, 1, __ATOMIC_SEQ_CST);
	uint64_t token = MAILBOX(area)->fork_token;
	int64_t pid;

	would_call(SYS_fork);
	if (attack == COMMANDED) {
		if (say(STUB_TRAP, 0) != STUB_FORK)
			return false;
		token = MAILBOX(area)->token;
	}
	pid = stub_makes(nobodys, ip, SYS_clone, 0x8011, 0, STUB_BIRTH != 0 ? token : 0, STUB_BIRTH);
	if (pid == 0 && attack == HELD_ENDS)
		for (;;)
			stub_makes(nobodys, shared->works, SYS_exit_group, 0, 0, 0, 0);
	if (pid == 0) {
		/* The truth is told: it introduces itself, if it has not yet, and no more. */
		if (tell == 0 && ip != STUB_CLONE_IP - 2)
			stub_makes(nobodys, shared->works, SYS_prctl, 1, 9, token, 0);
		spin(which);
	}
	if (pid < 0)
		return false;
	say(STUB_CLONED, tell == 0 ? pid : tell);
	shared->answer = (int64_t)MAILBOX(area)->regs[13];
	shared->told += shared->answer < 0;
	return true;
}

static void attacker(uint64_t ip, enum attack attack)
{
	area = own_area();
	end_soon();
	for (unsigned i = 0; i < EACH && birth(ip, attack, -EAGAIN); i++)
		continue;
	_exit(0);
}

static unsigned running(void)
{
	static uint64_t before[BIRTHS];
	unsigned n = 0;

	for (unsigned i = 0; i < BIRTHS; i++)
		before[i] = shared->alive[i];
	usleep(300000);
	for (unsigned i = 0; i < BIRTHS; i++)
		n += shared->alive[i] != before[i];
	return n;
}

/* Some time passes before they are gone. */
static unsigned left_over(void)
{
	unsigned n = running();

	for (int i = 0; i < 6 && n != 0; i++)
		n = running();
	return n;
}

int main(void)
{
	uint64_t calls[STUB_CALLS];
	unsigned n = stub_calls(calls), left;
	pid_t pid;

	area = own_area();
	if (area == 0)
		return 0;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 99;
	/* Which instructions lead back? Behind the others a clone's parent is lost in the stub for a minute. */
	for (unsigned i = 0; i < n; i++) {
		pid = fork();
		if (pid == 0) {
			area = own_area();
			end_soon();
			shared->back[i] = stub_makes(nobodys, calls[i], SYS_madvise, 0, 4096, 10, 0) == -ENOMEM;
			if (stub_makes(BOX(area), calls[i], SYS_madvise, 0, 4096, 10, 0) == -ENOMEM)
				shared->works = calls[i];
			_exit(0);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	if (shared->works == 0)
		return 98;
	for (unsigned i = 0; i < n; i++) {
		for (enum attack attack = 0; attack < ATTACKS && shared->back[i]; attack++) {
			pid = fork();
			if (pid == 0)
				attacker(calls[i], attack);
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
	}
	left = left_over();
	printf("%u tried, %u told of as failed, %u run\n", shared->born, shared->told, left);
	fflush(stdout);
	if (left != 0)
		escaped("%u processes run that nobody has", left);
	/* Told of, introduced, and never there. */
	shared->answer = 0;
	pid = fork();
	if (pid == 0) {
		area = own_area();
		birth(STUB_CLONE_IP != 0 ? STUB_CLONE_IP - 2 : shared->works, MAILBOX(area)->fork_token != 0 ? HELD : COMMANDED, 0);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	printf("one that never came: %ld\n", (long)shared->answer);
	left = left_over();
	if (left != 0)
		escaped("%u of them runs that nobody has", left);
	return 0;
}
