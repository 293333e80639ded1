/* SPDX-License-Identifier: Apache-2.0 */
/* For payloads that have the stub's own instructions make calls, clones above all, and get back what runs behind them. */
#ifndef PAYLOAD_BIRTHS_H
#define PAYLOAD_BIRTHS_H

#include "gate.h"

#include <stdbool.h>

#ifndef STUB_BIRTH
#define STUB_BIRTH 0UL
#define STUB_CLONE_IP 0UL
#endif

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
__attribute__((unused)) static int64_t stub_makes6(volatile void *about, uint64_t ip, uint64_t nr, const uint64_t *a)
{
	for (unsigned i = 0; i < sizeof(stack) / sizeof(stack[0]); i++)
		stack[i] = (uint64_t)lead_back_here;
	regs = (struct registers){ip, nr, {a[0], a[1], a[2], a[3], a[4], a[5]}};
	return lead_back(&stack[512], about);
}

__attribute__((unused)) static int64_t stub_makes(volatile void *about, uint64_t ip, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	return stub_makes6(about, ip, (uint64_t)nr, (const uint64_t[6]){a0, a1, a2, a3, ~a3});
}

static uint64_t works; /* one that does, for whatever is about it */

/* What the trap door would say, and the sentry's answer. */
__attribute__((unused)) static int64_t say(unsigned op, int64_t value)
{
	BOX(area)->kind = GATE_KIND_STUB;
	BOX(area)->nr = (uint16_t)op;
	BOX(area)->args[0] = (uint64_t)value;
	__atomic_store_n(&BOX(area)->state, GATE_REQUEST, __ATOMIC_SEQ_CST);
	while (GATE_STATE(__atomic_load_n(&BOX(area)->state, __ATOMIC_SEQ_CST)) != GATE_DONE)
		stub_makes(BOX(area), works, SYS_getppid, STUB_MAGIC, STUB_GATE_WAIT, 0, 0);
	return BOX(area)->result;
}

/* Tries each in a child. Sets works; 0 if there is none. */
__attribute__((unused)) static void find_calls_that_lead_back(const uint64_t *calls, unsigned n, volatile bool *back)
{
	volatile uint64_t *found = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (found == MAP_FAILED)
		exit(99);
	for (unsigned i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			area = own_area();
			end_soon();
			back[i] = stub_makes(nobodys, calls[i], SYS_madvise, 0, 4096, 10, 0) == -ENOMEM;
			if (stub_makes(BOX(area), calls[i], SYS_madvise, 0, 4096, 10, 0) == -ENOMEM)
				*found = calls[i];
			_exit(0);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	works = *found;
}
#endif
