/* SPDX-License-Identifier: Apache-2.0 */
/* A signal frame of the attacker's making: segments, flags, an address nobody may run at. */
#include "payload.h"

PAYLOAD("return from a forged signal frame", "", "signal SIGSEGV");

#include <ucontext.h>
int main(void)
{
	static struct {
		ucontext_t uc;
		char more[4096];
	} frame;

	memset(&frame, 0x41, sizeof(frame));
	frame.uc.uc_mcontext.fpregs = NULL;
	frame.uc.uc_mcontext.gregs[REG_RIP] = 0xffffffff81000000LL;
	frame.uc.uc_mcontext.gregs[REG_RSP] = (long long)(uintptr_t)&frame;
	frame.uc.uc_mcontext.gregs[REG_EFL] = 0x3fffff;
	frame.uc.uc_mcontext.gregs[REG_CSGSFS] = 0x10;
	__asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall" : : "r"(&frame) : "memory");
	escaped("a forged frame was taken");
}
