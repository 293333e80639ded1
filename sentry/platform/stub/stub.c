/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub: the few hundred instructions of ours that live in every guest address space.
 *
 * This file is the trap door and the zygote; shim.c is the way in that needs no signal. A thread enters the trap door by a signal: a system call that the filter
 * answers with SECCOMP_RET_TRAP, a fault, a kick by the sentry, or an int3 of ours when it has just been made. The
 * handler writes the context into the thread's mailbox, rings the doorbell (a notified getppid, in which it sleeps), and
 * does what the sentry answers: commanded native calls, a clone, or back to the guest with new registers.
 *
 *	guest --signal--> stub_handler --doorbell--> sentry --action--> stub_handler --rt_sigreturn--> guest
 *
 * The zygote is a process with nothing but this image; it clones itself on request, and each clone becomes a guest
 * process.
 *
 * Invariants: no data, no libc, no stack but the area's; every native call is either harmless whoever makes it (the
 * filter allows it unasked) or compared word by word by the sentry. The guest can read this code, jump into it with any
 * registers and overwrite its area: it gains nothing that its own system calls would not give it.
 *
 * When the listener is gone every notified call gives ENOSYS: the only thing left is exit_group, which the filter allows.
 */
#include "sentry/platform/stub/stub.h"

#define NR_CLOSE 3
#define NR_SIGRETURN 15
#define NR_MMAP 9
#define NR_MUNMAP 11
#define NR_MADVISE 28
#define NR_CLONE 56
#define NR_FORK 57
#define NR_EXIT 60
#define NR_PRCTL 157
#define NR_ARCH_PRCTL 158
#define NR_SECCOMP 317
#define NR_CLOSE_RANGE 436

#define ARCH_SET_FS 0x1002U
#define CLONE_VM 0x100UL
#define CLONE_PARENT 0x8000UL
#define SIGCHLD 17
#define SIGTRAP_NR 5
#define SIGBUS_NR 7
#define SIGSEGV_NR 11
#define SIGSTKFLT_NR 16
#define SIGSYS_NR 31
#define TRAP_TRACE 2
#define PAGE 4096UL

#define STR_(x) #x
#define STR(x) STR_(x)

extern char stub_start_trap[]; /* the int3 of new threads */

/* STUB_BORN, as assembly has it. */
#define ASKS_MAGIC 0x5e17c0de
#define ASKS_BORN 8
_Static_assert(ASKS_MAGIC == STUB_MAGIC && ASKS_BORN == STUB_BORN, "the trap door asks for what abi.h says");

/*
 * A new host process, which has told who it is, maps its own mailbox at area. The descriptor may be there already. It is closed by
 * arrive().
 */
static void attach(uint64_t area)
{
	uint32_t known = ((const volatile struct gate_ro *)STUB_RO)->attach_fd;
	int64_t fd;

	fd = known != 0 ? (int64_t)known - 1 : doorbell(STUB_HELLO, 0);
	/* No mailbox: there is no listener any more. */
	while (call6(NR_MMAP, area, MAILBOX_SIZE, 3, 0x11 /* MAP_SHARED | MAP_FIXED */, (uint64_t)fd, 0) != (int64_t)area)
		call6(NR_EXIT_GROUP, 125, 0, 0, 0, 0, 0);
	call6(NR_MADVISE, area, MAILBOX_SIZE, 10 /* MADV_DONTFORK */, 0, 0, 0);
	((struct mailbox *)area)->to_close = (uint64_t)fd + 1;
}

/* The action that came with the return of a call that was a report. */
static int64_t told(const struct mailbox *m)
{
	return ((const volatile struct gate_box *)((uint64_t)m + GATE_BOX))->result;
}

/* A new process is in the trap door, its mailbox filled. */
static int64_t arrive(struct mailbox *m)
{
	uint64_t fd = m->to_close - 1;

	m->to_close = 0;
	while (call6(NR_CLOSE, fd, 0, 0, 0, 0, 0) == -38) /* no listener any more */
		call6(NR_EXIT_GROUP, 125, 0, 0, 0, 0, 0);
	return told(m);
}

extern char stub_cmpxchg_insn[], stub_cmpxchg_fault[];
int64_t stub_cmpxchg(uint64_t addr, uint64_t old, uint64_t new_value);

SHIM_TEXT uint64_t stub_run_commands(struct mailbox *m)
{
	uint64_t n = m->ncmds, done = 0;

	m->result = 0;
	for (uint64_t i = 0; i < n && i < STUB_MAX_CMDS; i++) {
		struct stub_cmd *c = &m->cmds[i];
		int64_t ret;

		int closes = c->nr == NR_CLOSE || c->nr == NR_CLOSE_RANGE;
		/* MADV_NORMAL and MADV_RANDOM are the sentry's own idea: it is as well if they can't be. */
		int advises = c->nr == NR_MADVISE && c->args[2] <= 1;

		if (m->result != 0 && !closes)
			continue;
		if (c->nr == STUB_CMD_CMPXCHG) {
			ret = stub_cmpxchg(c->args[0], c->args[1], c->args[2]);
			m->value = (uint64_t)ret;
		} else {
			ret = call6(c->nr, c->args[0], c->args[1], c->args[2], c->args[3], c->args[4], c->args[5]);
		}
		while (ret == -38 && closes) /* no listener any more */
			call6(NR_EXIT_GROUP, 125, 0, 0, 0, 0, 0);
		if (ret < 0 && ret > -4096 && !closes && !advises)
			m->result = (uint64_t)ret;
		else
			done++;
	}
	return done;
}

struct stub_siginfo {
	int32_t signo, err, code, pad;
	uint64_t addr;
};

/* The kernel's struct ucontext, as rt_sigreturn reads it. */
struct stub_ucontext {
	uint64_t flags, link;
	uint64_t ss_sp;
	uint32_t ss_flags, ss_pad;
	uint64_t ss_size;
	uint64_t gregs[23]; /* 18: cs..ss, 19: err, 20: trapno, 21: oldmask, 22: cr2 */
	uint64_t fpstate;
	uint64_t reserved[8];
	uint64_t sigmask;
};
#define GREG_RDI 8
#define GREG_RSI 9
#define GREG_RSP 15
#define GREG_RIP 16
#define GREG_RCX 14
#define GREG_RAX 13

/* sw_reserved of the XSAVE image: bytes 464.. of the legacy area: magic1, extended_size, ... */
static uint64_t fpstate_size(uint64_t fp)
{
	const uint32_t *sw = (const uint32_t *)(fp + 464);

	if (fp == 0)
		return 0;
	return sw[0] == 0x46505853 ? sw[1] : 512;
}

#define FP_LEGACY 512UL
#define FP_SW_RESERVED 464UL

/*
 * Puts the state of a guest's signal frame into our own, whose sizes and magics stay: as much as the image says it holds, or
 * x87 and SSE of one that says nothing. -1 if it can't be read. What is wrong with it otherwise the kernel finds out.
 */
static int load_fp(uint64_t to, uint64_t from)
{
	uint64_t have = fpstate_size(to), size = FP_LEGACY + 64 + 4;
	uint32_t sw[2];

	if (have < size || shim_copy(sw, (const void *)(from + FP_SW_RESERVED), sizeof(sw)) < 0 ||
	    shim_copy((void *)to, (const void *)from, FP_SW_RESERVED) < 0)
		return -1;
	if (sw[0] == 0x46505853 && sw[1] >= size && sw[1] <= have) {
		size = sw[1];
		if (shim_copy((void *)(to + FP_LEGACY), (const void *)(from + FP_LEGACY), size - 4 - FP_LEGACY) < 0)
			return -1;
	} else {
		*(uint64_t *)(to + FP_LEGACY) = 3;
		for (uint64_t i = 8; i < 64; i += 8)
			*(uint64_t *)(to + FP_LEGACY + i) = 0;
	}
	for (uint64_t at = size - 4; at + 4 <= have - 4; at += 4)
		*(uint32_t *)(to + at) = 0;
	return 0;
}

/*
 * Clones; the child dies with the sentry, and tells who it is by an argument that the host doesn't look at. sp: the child returns from
 * the signal frame there; 0: it returns here, 0. See STUB_CLONE_IP.
 */
int64_t stub_clone(uint64_t flags, uint64_t sp, uint64_t token, uint64_t frame);

/*
 * Makes a thread (or a vfork child) that starts on its own area: our own signal frame, vector state and all, is copied
 * to the top of the new alternate stack with the mask emptied and RIP at stub_start_trap; the child's first act is the
 * rt_sigreturn of it, which sets its alternate stack too.
 */
static int64_t clone_in_area(struct mailbox *m, const struct stub_ucontext *uc)
{
	uint64_t area = m->clone_area;
	uint64_t from = (uint64_t)uc;
	uint64_t to_end = uc->fpstate != 0 ? uc->fpstate + fpstate_size(uc->fpstate) : from + sizeof(*uc);
	uint64_t len = to_end - from;
	/* The image keeps its alignment to 64 bytes. */
	uint64_t to = ((area + AREA_SIZE - len) & ~4095UL) - 4096 + (from & 4095UL);
	struct stub_ucontext *child = (struct stub_ucontext *)to;
	const uint64_t *src = (const uint64_t *)from;
	uint64_t *dst = (uint64_t *)to;

	for (uint64_t i = 0; i < len / 8; i++)
		dst[i] = src[i];
	if (uc->fpstate != 0)
		child->fpstate = to + (uc->fpstate - from);
	child->ss_sp = area + AREA_STACK;
	child->ss_flags = 0;
	child->ss_size = AREA_SIZE - AREA_STACK;
	child->sigmask = 0;
	child->gregs[GREG_RIP] = (uint64_t)stub_start_trap;
	child->gregs[GREG_RSP] = to;
	return stub_clone(m->clone_flags, to, ((const struct mailbox *)area)->token, to);
}

/* The doorbell of a thread that the sentry knows: by its box, which needs no call while the sentry polls. */
static int64_t bell(struct mailbox *m, enum stub_op op, uint64_t arg)
{
	struct gate_box *box = (struct gate_box *)((uint64_t)m + GATE_BOX);

	box->kind = GATE_KIND_STUB;
	box->nr = (uint16_t)op;
	box->args[0] = arg;
	if (op == STUB_FORKED)
		stub_ring_softly(box, &m->aloud);
	else
		stub_ring(box, 0);
	return box->result;
}

/* The call asks for a process with a copy of the memory. */
static int forks(const struct stub_ucontext *uc)
{
	return uc->gregs[GREG_RAX] == NR_FORK || (uc->gregs[GREG_RAX] == NR_CLONE && (uc->gregs[GREG_RDI] & CLONE_VM) == 0);
}

/* Clones the process. The next action, in both. */
static int64_t clone_process(struct mailbox *m, const struct stub_ucontext *uc, uint64_t token)
{
	int64_t pid = stub_clone(CLONE_PARENT | SIGCHLD, 0, token, 0);

	if (pid <= STUB_INSTEAD(0))
		return STUB_INSTEAD(0) - pid;
	if (pid != 0)
		return bell(m, pid < 0 ? STUB_CLONED : STUB_FORKED, (uint64_t)pid);
	attach((uint64_t)m);
	m->reason = STUB_REASON_START;
	m->fpstate = uc->fpstate;
	m->fpstate_size = fpstate_size(uc->fpstate);
	return arrive(m);
}

/*
 * A signal in the shim. True: it goes on there. An interruption is remembered (the shim's exit looks for it) unless the
 * shim came here by itself, with the guest's registers loaded and RCX behind the site: to be interrupted, or because its
 * call needs the whole context.
 */
static int in_shim(struct mailbox *m, int *sig, const struct stub_siginfo *si, struct stub_ucontext *uc)
{
	uint64_t ip = uc->gregs[GREG_RIP];

	switch (*sig) {
	case SIGSEGV_NR:
	case SIGBUS_NR:
		if (ip < (uint64_t)shim_touch_begin || ip >= (uint64_t)shim_touch_end)
			return 0;
		uc->gregs[GREG_RIP] = ip >= (uint64_t)shim_pages_begin && ip < (uint64_t)shim_pages_end ?
					      (uint64_t)shim_pages_fault :
					      (uint64_t)shim_touch_fault;
		return 1;
	case SIGTRAP_NR:
		if (ip == (uint64_t)gate_kick_trap + 1)
			*sig = SIGSTKFLT_NR;
		else if (ip == (uint64_t)gate_call_trap + 1)
			*sig = SIGSYS_NR;
		else if (ip == (uint64_t)gate_jump_trap + 1)
			*sig = SIGSTKFLT_NR;
		else
			return si->code == TRAP_TRACE; /* the guest steps: it does not see us */
		/* Where it was going: behind the site, or, from gate_jump, to a handler with RCX as it shall be. */
		uc->gregs[GREG_RIP] = ip == (uint64_t)gate_jump_trap + 1 ?
					      ((const struct gate_local *)((uint64_t)m + AREA_LOCAL))->rcx :
					      uc->gregs[GREG_RCX];
		return 0;
	case SIGSTKFLT_NR:
		((struct gate_box *)((uint64_t)m + GATE_BOX))->pending = 1;
		if (ip >= (uint64_t)gate_exit && ip < (uint64_t)gate_exit_end) {
			uc->gregs[GREG_RIP] = (uint64_t)gate_exit;
		} else if (ip >= (uint64_t)gate_jump_begin && ip < (uint64_t)gate_jump_end) {
			uc->gregs[GREG_RIP] = (uint64_t)gate_jump_begin;
			uc->gregs[GREG_RDI] = (uint64_t)m;
		}
		return 1;
	default:
		return 0;
	}
}

/*
 * The guest returns from a signal's handler, and nothing but its registers and its mask changes: that is done here. False: the
 * sentry is to do it, and finds everything as it was, but for vector registers if their image can't be read. What is wrong
 * with the frame the kernel says, as ever.
 */
static int sigreturn_alone(const struct mailbox *m, struct stub_ucontext *uc)
{
	struct gate_box *box = (struct gate_box *)((uint64_t)m + GATE_BOX);
	struct stub_ucontext from;
	uint64_t old;

	if ((box->known >> GATE_KNOWN_MASK & 1) == 0 || box->pending != 0 ||
	    shim_copy(&from, (const void *)uc->gregs[GREG_RSP], sizeof(from)) < 0 || from.fpstate == 0)
		return 0;
	if (from.ss_sp != box->alt_sp || from.ss_size != box->alt_size || ((from.ss_flags ^ box->alt_flags) & ~1U) != 0 ||
	    from.ss_flags > 3)
		return 0;
	old = box->sigmask;
	__atomic_exchange_n(&box->sigmask, from.sigmask & ~NEVER_BLOCKED, __ATOMIC_SEQ_CST);
	if (*(volatile uint64_t *)&box->attention != 0 || load_fp(uc->fpstate, from.fpstate) < 0) {
		box->sigmask = old;
		return 0;
	}
	for (int i = 0; i < STUB_NREGS; i++)
		uc->gregs[i] = from.gregs[i];
	box->local++;
	return 1;
}

/*
 * arch_prctl(ARCH_SET_FS), with which each C library begins: an instruction that the guest could use as well. False: the sentry is
 * to do it.
 */
static int set_base_alone(const struct mailbox *m, struct stub_ucontext *uc)
{
	struct gate_box *box = (struct gate_box *)((uint64_t)m + GATE_BOX);

	if ((box->known >> GATE_KNOWN_MASK & 1) == 0 || box->pending != 0 ||
	    (uint32_t)uc->gregs[GREG_RDI] != ARCH_SET_FS || uc->gregs[GREG_RSI] >= STUB_TOP /* EPERM */)
		return 0;
	__asm__ volatile("wrfsbase %0" ::"r"(uc->gregs[GREG_RSI]));
	uc->gregs[GREG_RAX] = 0;
	box->local++;
	return 1;
}

/*
 * Entered by the kernel on the area's alternate stack, with every signal blocked but SIGSEGV and SIGBUS: the one
 * instruction of ours that touches guest memory may fault.
 */
void stub_handler(int sig, const struct stub_siginfo *si, struct stub_ucontext *uc);
__attribute__((used)) void stub_handler(int sig, const struct stub_siginfo *si, struct stub_ucontext *uc)
{
	uint64_t area = (uint64_t)__builtin_frame_address(0) & ~(AREA_SIZE - 1);
	struct mailbox *m = (struct mailbox *)area;
	uint64_t fs, gs, old_fs, old_gs;
	int first = 0;
	int64_t action;

	if (uc->gregs[GREG_RIP] == (uint64_t)stub_cmpxchg_insn && (sig == SIGSEGV_NR || sig == SIGBUS_NR)) {
		uc->gregs[GREG_RIP] = (uint64_t)stub_cmpxchg_fault;
		return;
	}
	if (uc->gregs[GREG_RIP] >= (uint64_t)shim_begin && uc->gregs[GREG_RIP] < (uint64_t)shim_end &&
	    in_shim(m, &sig, si, uc))
		return;
	if (sig == SIGSYS_NR && uc->gregs[GREG_RAX] == NR_SIGRETURN && sigreturn_alone(m, uc))
		return;
	if (sig == SIGSYS_NR && uc->gregs[GREG_RAX] == NR_ARCH_PRCTL && set_base_alone(m, uc))
		return;
	((struct gate_box *)(area + GATE_BOX))->pending = 0;
	m->reason = (uint64_t)sig;
	m->si_code = (uint64_t)(int64_t)si->code;
	m->si_addr = si->addr;
	for (int i = 0; i < STUB_NREGS; i++)
		m->regs[i] = uc->gregs[i];
	m->error_code = uc->gregs[19];
	m->trapno = uc->gregs[20];
	m->cr2 = uc->gregs[22];
	m->fpstate = uc->fpstate;
	m->fpstate_size = fpstate_size(uc->fpstate);
	__asm__ volatile("rdfsbase %0" : "=r"(fs));
	__asm__ volatile("rdgsbase %0" : "=r"(gs));
	m->fs_base = old_fs = fs;
	m->gs_base = old_gs = gs;
	if (sig == SIGTRAP_NR && uc->gregs[GREG_RIP] == (uint64_t)stub_start_trap + 1) {
		m->reason = STUB_REASON_START;
		first = m->token != 0;
	}
	if (m->reason == STUB_REASON_START && m->to_close != 0)
		action = arrive(m);
	else if (sig == SIGSYS_NR && m->fork_token != 0 && forks(uc))
		action = clone_process(m, uc, m->fork_token);
	else
		action = first ? doorbell(STUB_TRAP, 0) : bell(m, STUB_TRAP, 0);
again:
	for (;;) {
		switch (action) {
		case STUB_RUN:
			action = bell(m, STUB_DONE, stub_run_commands(m));
			continue;
		case STUB_RUN_CLOSE:
			stub_run_commands(m);
			action = told(m);
			continue;
		case STUB_FORK:
			action = clone_process(m, uc, m->token);
			continue;
		case STUB_CLONE:
			action = bell(m, STUB_CLONED, (uint64_t)clone_in_area(m, uc));
			continue;
		case STUB_PARK:
			while (*(volatile uint32_t *)&m->unpark == 0)
				call6(NR_FUTEX, (uint64_t)&m->unpark, 0 /* FUTEX_WAIT */, 0, 0, 0, 0);
			action = bell(m, STUB_DONE, 0);
			continue;
		case STUB_CALL:
			action = doorbell(STUB_DONE, 0);
			continue;
		case STUB_EXIT:
			call6(NR_EXIT, 0, 0, 0, 0, 0, 0);
			continue;
		case STUB_RUN_RESUME:
			stub_run_commands(m);
			if (m->result != 0)
				m->regs[GREG_RAX] = m->result;
			break;
		default:
			break;
		}
		break;
	}
	if (m->fp_from != 0 && load_fp(uc->fpstate, m->fp_from) < 0) {
		m->fp_from = 0;
		m->reason = SIGSEGV_NR;
		m->si_code = 0x80; /* SI_KERNEL */
		m->si_addr = 0;
		action = bell(m, STUB_TRAP, 0);
		goto again;
	}
	for (int i = 0; i < STUB_NREGS; i++)
		uc->gregs[i] = m->regs[i];
	uc->sigmask = 0;
	if (m->clean_fp != 0 && fpstate_size(uc->fpstate) > 576) {
		*(uint64_t *)(uc->fpstate + 512) = 0; /* XSTATE_BV */
		*(uint32_t *)(uc->fpstate + 24) = 0x1f80; /* MXCSR is loaded all the same */
	}
	fs = m->fs_base;
	gs = m->gs_base;
	if (fs != old_fs)
		__asm__ volatile("wrfsbase %0" ::"r"(fs));
	if (gs != old_gs) {
		/* A new thread or process, of which no guest code has run: the gate's slots are made. */
		if (gs == area + AREA_LOCAL) {
			struct gate_local *local = (struct gate_local *)gs;

			local->mailbox = area;
			local->entry = (uint64_t)gate_entry;
			local->stack = gs;
		}
		__asm__ volatile("wrgsbase %0" ::"r"(gs));
	}
}

/*
 * The zygote's life. boot is the filter program; the sentry has mapped our area 0 (mailbox shared with it) and moved us
 * here with the stack in it. We drop the rest of the sentry's memory, install the filter, tell the listener's number, forget all descriptors (the table was
 * shared until now, so that the sentry has the listener), and serve: each clone waits in the filter until one is wanted.
 */
struct stub_fprog {
	uint16_t len;
	uint64_t filter;
};

__attribute__((used, noreturn)) void stub_zygote(const struct stub_fprog *prog, uint64_t filter_flags, uint64_t keep_fd);
void stub_zygote(const struct stub_fprog *prog, uint64_t filter_flags, uint64_t keep_fd)
{
	volatile struct zygote_boot *boot = (volatile struct zygote_boot *)STUB_AREAS;
	int64_t fd;

	call6(NR_MUNMAP, 0, STUB_BASE, 0, 0, 0, 0);
	__asm__ volatile("wrfsbase %0" ::"r"(0UL));
	__asm__ volatile("wrgsbase %0" ::"r"(0UL));
	boot->nearly = 1;
	call6(NR_FUTEX, (uint64_t)&boot->nearly, 1 /* FUTEX_WAKE */, 1, 0, 0, 0);
	fd = call6(NR_SECCOMP, 1 /* SECCOMP_SET_MODE_FILTER */, filter_flags, (uint64_t)prog, 0, 0, 0);
	boot->listener = fd < 0 ? fd : fd + 1;
	/* A filter of the host's that refuses this is stronger than ours. With the sentry's table there are no clones. */
	if (call6(NR_CLOSE_RANGE, keep_fd != 0 ? keep_fd + 1 : 0, ~0U, 2 /* CLOSE_RANGE_UNSHARE */, 0, 0, 0) < 0 ||
	    (keep_fd != 0 && call6(NR_CLOSE_RANGE, 0, keep_fd - 1, 0, 0, 0, 0) < 0))
		call6(NR_EXIT_GROUP, 125, 0, 0, 0, 0, 0);
	for (;;) {
		int64_t ret = call6(NR_CLONE, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0, 0);

		if (ret == 0) {
			volatile uint64_t *token = &((struct gate_local *)(STUB_AREAS + AREA_LOCAL))->token;

			call6(NR_PRCTL, 1 /* PR_SET_PDEATHSIG */, 9, *token, 0, 0, 0);
			attach(STUB_AREAS);
			*token = 0;
			__asm__ volatile("jmp stub_start_trap");
			__builtin_unreachable();
		}
		while (ret == -38) /* no listener any more */
			call6(NR_EXIT_GROUP, 125, 0, 0, 0, 0, 0);
	}
}

__asm__(".section .text.head,\"ax\",@progbits\n"
	/* Fixed entries at the start of the image: see notify/boot.c. 0x00: zygote(prog, flags), 0x10: handler,
	 * 0x20: restorer. */
	".globl stub_zygote_entry\nstub_zygote_entry:\n\tjmp stub_zygote\n"
	".balign 16\n\tjmp stub_trapped\n"
	".balign 16\nstub_restorer:\n\tmov $15,%eax\n"
	".globl stub_sigreturn\nstub_sigreturn:\n\tsyscall\n\thlt\n"
	".balign 16\n.globl stub_start_trap\nstub_start_trap:\n\tint3\n\thlt\n"
	/* rdi: flags, rsi: the child's stack, rdx: its token, rcx: its frame. See STUB_CLONE_IP. */
	".balign 16\n.globl stub_clone\nstub_clone:\n"
	"\tmov %rcx,%r9\n\tmovabs $" STR(STUB_BIRTH) ",%r10\n\tmov %r10,%r8\n\tnot %r8\n\tmov $" STR(NR_CLONE) ",%eax\n\tsyscall\n"
	".globl stub_cloned\nstub_cloned:\n\ttest %rax,%rax\n\tjz 1f\n\txor %r10d,%r10d\n\tret\n"
	"1:\tmov $1,%edi\n\tmov $9,%esi\n\tmov $" STR(NR_PRCTL) ",%eax\n\tsyscall\n"
	/* Who told nobody (the listener is gone) doesn't die with anybody: it ends. */
	"\ttest %eax,%eax\n\tjnz stub_unborn\n\txor %r10d,%r10d\n\ttest %r9,%r9\n\tjnz stub_restorer\n\txor %eax,%eax\n\tret\n"
	".text\n"
	/*
	 * The trap door. One that has not told yet who it is ends, before anything of its memory is looked at: who looks like that
	 * asks. What is interrupted is in the frame: registers are free, but for the arguments.
	 */
	"stub_trapped:\n\tmovabs $" STR(STUB_BIRTH) ",%rax\n\tcmp %rax,%r10\n\tjne stub_handler\n"
	"\tnot %rax\n\tcmp %rax,%r8\n\tjne stub_handler\n"
	"\tmov %rdi,%r12\n\tmov %rsi,%r13\n\tmov %rdx,%r14\n"
	"\tmov $" STR(ASKS_MAGIC) ",%edi\n\tmov $" STR(ASKS_BORN) ",%esi\n\txor %edx,%edx\n\tmov $" STR(NR_GETPPID) ",%eax\n\tsyscall\n"
	"\tmov %r12,%rdi\n\tmov %r13,%rsi\n\tmov %r14,%rdx\n\ttest %rax,%rax\n\tjz stub_handler\n"
	"stub_unborn:\tmov $" STR(NR_EXIT_GROUP) ",%eax\n\tsyscall\n\tjmp stub_unborn\n"
	/* rdi: address, esi: old, edx: new. The value seen, or -EFAULT. With the shim: it runs this, too. */
	".section .text.shim,\"ax\",@progbits\n"
	".globl stub_cmpxchg\nstub_cmpxchg:\n\tmov %esi,%eax\n"
	".globl stub_cmpxchg_insn\nstub_cmpxchg_insn:\n\tlock cmpxchg %edx,(%rdi)\n\tmov %eax,%eax\n\tret\n"
	".globl stub_cmpxchg_fault\nstub_cmpxchg_fault:\n\tmov $-14,%rax\n\tret\n"
	".text\n");
