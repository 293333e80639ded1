/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two halves of the stub: the trap door (stub.c) and the shim (shim.c). Freestanding. */
#ifndef SENTRY_PLATFORM_STUB_STUB_H
#define SENTRY_PLATFORM_STUB_STUB_H

#include "sentry/platform/stub/abi.h"

#define NR_GETPPID 110
#define NR_FUTEX 202
#define NR_EXIT_GROUP 231

static inline int64_t call6(int64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	int64_t ret;
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline int64_t doorbell(enum stub_op op, uint64_t arg)
{
	int64_t ret = call6(NR_GETPPID, STUB_MAGIC, op, arg, 0, 0, 0);

	while (ret == -38) /* no listener any more */
		call6(NR_EXIT_GROUP, 125, 0, 0, 0, 0, 0);
	return ret;
}

/* Asks for what the box says, from a site before ip, and waits for the answer: box->state as it is then, GATE_DONE. shim.c */
uint32_t stub_ring(struct gate_box *box, uint64_t ip);

/* The same, of a thread that has forked: the sentry hears of it from the child. It sleeps without a call of its own unless *aloud is
 * set, which the sentry does before it looks at the box, or until that takes long. */
uint32_t stub_ring_softly(struct gate_box *box, const uint64_t *aloud);

/* Copies guest memory; -1 on a fault. shim.c */
int64_t shim_copy(void *dst, const void *src, uint64_t n);

/* What the shim runs outside of shim.c: an interruption there must find it in [shim_begin, shim_end), too. */
#define SHIM_TEXT __attribute__((section(".text.shim"), noinline))

/* Carries out the commands; the number that succeeded. Behind the first error, which is left in mailbox->result, only
 * descriptors are closed. */
SHIM_TEXT uint64_t stub_run_commands(struct mailbox *m);

/* Places the trap door knows: see shim.c. */
extern char shim_begin[], shim_end[];         /* text of the shim */
extern char gate_entry[];
extern char gate_exit[], gate_exit_end[];     /* an interruption here begins again at gate_exit */
extern char gate_jump_begin[], gate_jump_end[]; /* here at gate_jump_begin */
extern char gate_kick_trap[], gate_call_trap[], gate_jump_trap[];
#define NEVER_BLOCKED (1UL << 8 | 1UL << 18) /* SIGKILL, SIGSTOP */
extern char shim_pages_begin[], shim_pages_end[], shim_pages_fault[];              /* ... with vector registers */
extern char shim_touch_begin[], shim_touch_end[], shim_touch_fault[]; /* instructions that touch guest memory */

#endif
