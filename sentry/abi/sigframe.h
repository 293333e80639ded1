/* SPDX-License-Identifier: Apache-2.0 */
/* The signal frame as the amd64 kernel lays it out on the user's stack: what handlers, unwinders and debuggers read. */
#ifndef SENTRY_ABI_SIGFRAME_H
#define SENTRY_ABI_SIGFRAME_H

#include "sentry/abi/signal.h"

#define LINUX_UC_FP_XSTATE 0x1U
#define LINUX_UC_SIGCONTEXT_SS 0x2U
#define LINUX_UC_STRICT_RESTORE_SS 0x4U

#define LINUX_USER_CS 0x33
#define LINUX_USER_SS 0x2b

#define LINUX_EFLAGS_CF 0x1U
#define LINUX_EFLAGS_PF 0x4U
#define LINUX_EFLAGS_AF 0x10U
#define LINUX_EFLAGS_ZF 0x40U
#define LINUX_EFLAGS_SF 0x80U
#define LINUX_EFLAGS_FIXED 2U /* always set */
#define LINUX_EFLAGS_TF 0x100U
#define LINUX_EFLAGS_IF 0x200U
#define LINUX_EFLAGS_DF 0x400U
#define LINUX_EFLAGS_OF 0x800U
#define LINUX_EFLAGS_RF 0x10000U
#define LINUX_EFLAGS_AC 0x40000U
/* The flags that rt_sigreturn takes from the frame. */
#define LINUX_EFLAGS_RESTORED                                                                                          \
	(LINUX_EFLAGS_AC | LINUX_EFLAGS_OF | LINUX_EFLAGS_DF | LINUX_EFLAGS_TF | LINUX_EFLAGS_SF | LINUX_EFLAGS_ZF |   \
	 LINUX_EFLAGS_AF | LINUX_EFLAGS_PF | LINUX_EFLAGS_CF | LINUX_EFLAGS_RF)

struct linux_sigcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate; /* guest address of the XSAVE image, 64-byte aligned; 0: none */
	uint64_t reserved[8];
};
_Static_assert(sizeof(struct linux_sigcontext) == 256, "struct sigcontext_64");

struct linux_ucontext {
	uint64_t flags;
	uint64_t link;
	struct linux_stack stack;
	struct linux_sigcontext mcontext;
	uint64_t sigmask;
};
_Static_assert(sizeof(struct linux_ucontext) == 304, "struct ucontext_x64");

struct linux_rt_sigframe {
	uint64_t pretcode; /* the restorer: what the handler returns to */
	struct linux_ucontext uc;
	struct linux_siginfo info;
};
_Static_assert(sizeof(struct linux_rt_sigframe) == 440, "struct rt_sigframe");

#endif
