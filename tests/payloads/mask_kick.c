/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry interrupts a thread by a signal of the host. A guest can return by the stub's own sigreturn from a frame of its
 * making, with every signal masked: the interruption never comes. It has a deadline; then the process ends.
 */
#include "payload.h"

PAYLOAD("mask the sentry's own interruption and compute for ever", "--timeout 100s", "exit 0");

#include <ucontext.h>

#define SIGRETURN (STUB_BASE + 0x20) /* mov $15, %eax; syscall */

static void spin(void)
{
	for (;;)
		__asm__ volatile("pause");
}

static char stack[65536] __attribute__((aligned(64)));

int main(void)
{
	static struct {
		ucontext_t uc;
		char more[4096];
	} frame;
	int ready[2], status = 0;
	char byte = 0;
	pid_t pid;

	setup(pipe(ready));
	pid = (pid_t)setup(fork());
	if (pid == 0) {
		/* Registers as they are now; the mask is the host's own. */
		setup(getcontext(&frame.uc));
		frame.uc.uc_mcontext.fpregs = NULL;
		frame.uc.uc_mcontext.gregs[REG_RIP] = (long long)(uintptr_t)spin;
		frame.uc.uc_mcontext.gregs[REG_RSP] = (long long)(uintptr_t)(stack + sizeof(stack) - 8);
		frame.uc.uc_mcontext.gregs[REG_EFL] = 0x202;
		/* cs, gs, fs, ss as a user's */
		frame.uc.uc_mcontext.gregs[REG_CSGSFS] = 0x002b000000000033LL;
		memset(&frame.uc.uc_sigmask, 0xff, 8);
		frame.uc.uc_flags = 0;
		frame.uc.uc_stack.ss_flags = SS_DISABLE;
		setup(write(ready[1], &byte, 1));
		__asm__ volatile("mov %0, %%rsp\n\tjmp *%1" : : "r"(&frame), "r"(SIGRETURN) : "memory");
	}
	setup(read(ready[0], &byte, 1));
	usleep(100000);
	/* A signal with a default action that only an interruption can carry out, and one that nobody survives anyway. */
	setup(kill(pid, SIGTERM));
	setup(waitpid(pid, &status, 0));
	if (!WIFSIGNALED(status))
		escaped("the child ended with status %#x", status);
	return 0;
}
