/* SPDX-License-Identifier: Apache-2.0 */
/* The doorbell of a thread that waits for its answer, rung from each of the stub's call instructions, in every state of the box,
 * for every kind, once and in a storm. In a child each. */
#include "gate.h"

PAYLOAD("say that an answer is waited for, whatever was asked", "--timeout 110s", "exit 0");

static uint64_t stack[512];
static volatile uint64_t where;
static volatile unsigned storm;

static void again(void)
{
	static volatile unsigned n;

	if (++n < storm) {
		uint64_t area = own_area();

		__asm__ volatile("mov %[sp], %%rsp\n\tmov %%rbx, %%rbp\n\tmov %%rbx, %%r12\n\tmov %%rbx, %%r13\n\t"
				 "mov %%rbx, %%r14\n\tmov %%rbx, %%r15\n\tjmp *%%rcx"
				 :
				 : "c"(where), "a"(SYS_getppid), "D"(STUB_MAGIC), "S"((uint64_t)STUB_GATE_WAIT), "d"(0UL),
				   "b"(BOX(area)), [sp] "r"(stack + 256)
				 : "memory");
	}
	_exit(0);
}

static void attack(uint64_t ip, unsigned state, unsigned kind, unsigned op)
{
	uint64_t area = own_area();

	end_soon();
	where = ip;
	for (unsigned i = 0; i < 512; i++)
		stack[i] = (uint64_t)again;
	BOX(area)->kind = kind;
	BOX(area)->nr = op;
	BOX(area)->nsegs = 12;
	MAILBOX(area)->reason = 31;
	BOX(area)->state = state;
	again();
}

int main(void)
{
	uint64_t calls[STUB_CALLS];
	unsigned n = stub_calls(calls);

	warm_up();
	if (own_area() == 0)
		return 0;
	honest_begin();
	for (unsigned i = 0; i < n; i++) {
		for (unsigned t = 0; t < 5 * 5; t++) {
			pid_t pid = fork();

			storm = i == 0 ? 3000 : 4;
			if (pid == 0)
				attack(calls[i], t % 5, t / 5, 2 + t % 4);
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
	}
	honest_end();
	return 0;
}
