/* SPDX-License-Identifier: Apache-2.0 */
/* Every byte of the stub is a place to jump to, with registers of the attacker's choice: call numbers and
 * arguments that a stub may use unasked, if only it were trusted by where it stands. In a child each.
 * This is the first quarter of them, stub_jump_second.c, _third.c and _end.c are the others: together they would take longer than a
 * payload may. */
#include "payload.h"

#ifndef QUARTER
#define QUARTER 0
#endif

PAYLOAD("jump into every byte of the stub", "--timeout 900s", "exit 0");

#include <sys/time.h>

#define AT_ONCE 24 /* most of the time is waiting for those that spin in the shim: ten seconds each */
#define TEXT (STUB_SIZE + 16UL) /* behind its end is nothing */

/* What a stub asks the kernel in the way of its work, and what would be worth having. */
static const long numbers[] = {SYS_mmap,   SYS_getppid,      SYS_clone, SYS_openat,
			       SYS_execve, SYS_rt_sigreturn, SYS_close, SYS_exit_group};

static void jump(uint64_t to, unsigned which)
{
	static char path[] = "/etc/shadow";
	const struct itimerval soon = {{0, 0}, {0, 5000}};
	uint64_t nr = (uint64_t)numbers[which % (sizeof(numbers) / sizeof(numbers[0]))];

	setitimer(ITIMER_REAL, &soon, NULL);
	__asm__ volatile("mov %[r10], %%r10\n\tjmp *%%rcx"
			 :
			 : "c"(to), "a"(nr), "D"(path), "S"(which & 1 ? 0x5e17c0deUL : 4096UL),
			   "d"(7UL), [r10] "r"(0x22UL)
			 : "memory", "r10");
}

int main(void)
{
	unsigned n = 0, running = 0;

	for (uint64_t at = STUB_BASE + QUARTER * (TEXT / 4); at < STUB_BASE + (1 + QUARTER) * (TEXT / 4); at++, n++) {
		pid_t pid = fork();

		if (pid == 0) {
			jump(at, n);
			_exit(1);
		}
		running += pid > 0;
		if (running == AT_ONCE && wait(NULL) > 0)
			running--;
	}
	while (running != 0 && wait(NULL) > 0)
		running--;
	/* Still here, and still served. */
	return getppid() < 0;
}
