/* SPDX-License-Identifier: Apache-2.0 */
/* Every instruction of the stub is a place to jump to, with registers of the attacker's choice. In a child each. */
#include "payload.h"

PAYLOAD("jump into every byte of the stub", "--timeout 110s", "exit 0");

#include <ucontext.h>

/* Readable parts above the guest's end are found by reading /proc/self/maps and by trying. */
static void jump(uint64_t to, uint64_t seed)
{
	register uint64_t r8 __asm__("r8") = seed, r9 __asm__("r9") = 0, r10 __asm__("r10") = 7;

	alarm(1);
	__asm__ volatile("jmp *%%rcx"
			 :
			 : "c"(to), "a"(seed & 0x1ff), "D"(0), "S"(4096), "d"(7), "r"(r8), "r"(r9), "r"(r10)
			 : "memory");
}

int main(void)
{
	unsigned tried = 0;

	for (uint64_t at = STUB_BASE; at < STUB_BASE + 0x4000 && tried < 600; at += 1 + tried % 27) {
		pid_t pid = fork();

		if (pid == 0)
			jump(at, at * 0x9e3779b97f4a7c15ULL);
		if (pid < 0)
			continue;
		tried++;
		waitpid(pid, NULL, 0);
	}
	/* Still here, and still served. */
	return getppid() < 0;
}
