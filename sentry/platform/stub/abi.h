/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stub and the sentry share: the layout of the stub region, the mailbox, the doorbell. The stub is built
 * freestanding from this header and stub.c alone; the sentry includes it too, so that both agree.
 *
 * The stub region lies at the top of every guest address space, above everything of the guest:
 *
 *	STUB_BASE               text: the trap door, the zygote (read, execute; from a sealed memfd)
 *	STUB_VDSO               the host's vvar and vDSO pages, moved here
 *	STUB_AREAS + n * AREA   area n, one a host thread:
 *	                          +0           mailbox: shared memory of that thread alone (MADV_DONTFORK)
 *	                          +AREA_STACK  alternate signal stack, private memory
 *	... STUB_TOP            reserved with PROT_NONE, so that nothing can be placed there
 *
 * Everything the stub writes into a mailbox can be forged by the guest. The sentry copies a field once and believes it no
 * more than it believes a register of the guest.
 */
#ifndef SENTRY_PLATFORM_STUB_ABI_H
#define SENTRY_PLATFORM_STUB_ABI_H

#include <stdint.h>

#define STUB_BASE 0x7ffe00000000UL
#define STUB_TEXT_MAX 0x10000UL
#define STUB_VDSO (STUB_BASE + 0x20000UL)
#define STUB_VDSO_MAX 0x20000UL
#define STUB_AREAS (STUB_BASE + 0x100000UL)
#define STUB_TOP 0x7ffffffff000UL

#define AREA_SIZE 0x20000UL
#define AREA_STACK 0x10000UL /* the alternate stack is [AREA_STACK, AREA_SIZE) */
#define AREA_MAX 32768U
#define MAILBOX_SIZE 0x2000UL

/* The doorbell: getppid(STUB_MAGIC, op, arg). Every outer filter allows getppid, so ours alone decides. */
#define STUB_MAGIC 0x5e17c0deUL
/* ptrace: the descriptor by which stubs are handed others (there is no ADDFD). */
#define STUB_SOCKET_FD 1000
enum stub_op {
	STUB_ZYGOTE_READY = 1, /* the zygote waits for work: the answer is a token */
	STUB_HELLO,            /* arg: token. A new host process; the answer is the descriptor of its mailbox */
	STUB_TRAP,             /* the trap door: mailbox is filled. arg: token for a thread's first, else 0 */
	STUB_DONE,             /* commands are carried out; arg: how many succeeded */
	STUB_CLONED,           /* arg: clone's result in the parent */
};

/* The sentry's answers to STUB_TRAP, STUB_DONE and STUB_CLONED. */
enum stub_action {
	STUB_RESUME = 1,   /* load the registers of the mailbox and return to the guest */
	STUB_RUN,          /* carry out commands, then STUB_DONE */
	STUB_RUN_RESUME,   /* carry out commands; an error goes into rax; resume */
	STUB_FORK,         /* clone a process; the child says HELLO with mailbox->token, then STUB_TRAP */
	STUB_CLONE,        /* clone a thread or vfork child in the area mailbox->clone_area */
	STUB_EXIT,         /* end this host thread */
	STUB_PARK,         /* sleep in the host until mailbox->unpark is set, then STUB_DONE */
};

/* Why a thread stands in the trap door. */
#define STUB_REASON_START 0x1000 /* a new thread or process, before its first guest instruction */

struct stub_cmd {
	int64_t nr;
	uint64_t args[6];
};

/* Not a call: compares and exchanges the 32-bit word at args[0], old args[1], new args[2]; -EFAULT if it can't. */
#define STUB_CMD_CMPXCHG (-2)

#define STUB_MAX_CMDS 64

/* Registers in the order of the signal frame's gregs: r8..r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags. */
#define STUB_NREGS 18

struct mailbox {
	/* stub to sentry */
	uint64_t reason;            /* signal number, or STUB_REASON_START */
	uint64_t si_code, si_addr, trapno, error_code, cr2;
	uint64_t fpstate, fpstate_size; /* where the frame's XSAVE image lies, in this address space */
	uint64_t result;            /* error of the command that failed, or 0 */
	uint64_t value;             /* what STUB_CMD_CMPXCHG saw */
	/* both ways */
	uint64_t regs[STUB_NREGS];
	uint64_t fs_base, gs_base;
	/* sentry to stub */
	uint64_t token;
	uint64_t clone_flags, clone_area;
	uint32_t unpark, pad;       /* a futex word */
	uint64_t ncmds;
	struct stub_cmd cmds[STUB_MAX_CMDS];
};
_Static_assert(sizeof(struct mailbox) <= MAILBOX_SIZE, "the mailbox fits its pages");

/* What the sentry leaves in area 0 of the zygote before it enters the stub at zygote_entry. */
struct zygote_boot {
	volatile int64_t listener; /* 1 + what seccomp(2) gave (the listener's number), or -errno; 0 until known */
	volatile int64_t go;       /* ptrace: the zygote waits until it is traced */
};

#endif
