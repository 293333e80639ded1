/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shim, interrupted at every one of its instructions.
 *
 * The stub's image is mapped where it belongs, in this process, with a mailbox in front of it and no filter: the doorbell
 * is then a getppid that returns at once, and the shim asks again until it has its answer. One call after the other is
 * single-stepped; the n-th of them is interrupted (by the sentry's signal, sent by the thread itself) before its n-th
 * instruction. Who steps also plays the sentry: it answers what the box asks, at the first moment or only after a doorbell
 * call. The trap door isn't stepped: a thread answers what comes from there.
 *
 *	gate_site --> gate_entry ... gate_exit --> behind the site     every step: SIGTRAP --> on_step
 *	                   \--int3--> stub_handler --> bell            answered by trap_server
 *
 * Checked for each instruction: the call is made once, the interruption arrives once, at an address that is the guest's,
 * with all registers as the guest must see them then; afterwards value, registers, red zone, vector registers are exact.
 */
#include "sentry/platform/stub/abi.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern const char stub_image[], stub_image_end[];

#define HANDLER (STUB_BASE + 0x10)
#define RESTORER (STUB_BASE + 0x20)
#define START_TRAP (STUB_BASE + 0x30)
#define IN_STUB(ip) ((ip) >= STUB_BASE && (ip) < STUB_BASE + STUB_TEXT_MAX)
#define MAX_STEPS 4000
#define BYTES 43

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static struct mailbox *const m = (struct mailbox *)STUB_AREAS;
static struct gate_box *const box = (struct gate_box *)(STUB_AREAS + GATE_BOX);
static char *const data = (char *)(STUB_AREAS + GATE_DATA);
static struct gate_ro *const ro = (struct gate_ro *)STUB_RO;
static struct gate_mm *const mm = (struct gate_mm *)STUB_MM;

/* ---- the guest ---- */

/* rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15 */
enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, NREGS };
struct guest_state {
	uint64_t in[NREGS];
	uint64_t out[NREGS];
	uint64_t rsp, rsp_after;
	uint64_t red_zone[16];
	uint8_t vectors[16][16], vectors_after[16][16];
	uint64_t step; /* flags to add: TF, DF */
};
struct guest_state guest __attribute__((visibility("hidden")));
uint64_t host_rsp __attribute__((visibility("hidden")));
void gate_site(void);
extern char gate_site_call[], gate_site_behind[];

#define OFF(field) STR_(field)
#define STR_(x) #x
#define IN_OFF "0"
#define OUT_OFF "120"
#define RSP_OFF "240"
#define RSP_AFTER_OFF "248"
#define RED_OFF "256"
#define VEC_OFF "384"
#define VEC_AFTER_OFF "640"
#define STEP_OFF "896"
_Static_assert(offsetof(struct guest_state, out) == 120 && offsetof(struct guest_state, rsp) == 240 &&
		       offsetof(struct guest_state, red_zone) == 256 && offsetof(struct guest_state, vectors) == 384 &&
		       offsetof(struct guest_state, vectors_after) == 640 && offsetof(struct guest_state, step) == 896,
	       "the assembly's offsets");

/* Loads the guest's registers, fills the red zone, begins to step, and makes a call as a trampoline does. */
__asm__(".text\n.globl gate_site\ngate_site:\n"
	"\tpush %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n"
	"\tmov %rsp,host_rsp(%rip)\n\tmov %rsp,guest+" RSP_OFF "(%rip)\n"
	"\tlea guest(%rip),%rdi\n"
	".set i,0\n.rept 16\n\tmovl $0x1000+i,-8-8*i(%rsp)\n\tmovl $0x77,-4-8*i(%rsp)\n.set i,i+1\n.endr\n"
	"\tmovups " VEC_OFF "+0(%rdi),%xmm0\n\tmovups " VEC_OFF "+16(%rdi),%xmm1\n"
	"\tmovups " VEC_OFF "+32(%rdi),%xmm2\n\tmovups " VEC_OFF "+112(%rdi),%xmm7\n"
	"\tmovups " VEC_OFF "+128(%rdi),%xmm8\n\tmovups " VEC_OFF "+240(%rdi),%xmm15\n"
	/* The flags come from a stack elsewhere: the red zone is full. */
	"\tlea host_flags+64(%rip),%rsp\n\tpushfq\n\tmov " STEP_OFF "(%rdi),%rax\n\tor %rax,(%rsp)\n"
	"\tmov 0(%rdi),%rax\n\tmov 8(%rdi),%rbx\n\tmov 16(%rdi),%rcx\n\tmov 24(%rdi),%rdx\n\tmov 32(%rdi),%rsi\n"
	"\tmov 48(%rdi),%rbp\n\tmov 56(%rdi),%r8\n\tmov 64(%rdi),%r9\n\tmov 72(%rdi),%r10\n\tmov 80(%rdi),%r11\n"
	"\tmov 88(%rdi),%r12\n\tmov 96(%rdi),%r13\n\tmov 104(%rdi),%r14\n\tmov 112(%rdi),%r15\n\tmov 40(%rdi),%rdi\n"
	"\tpopfq\n\tmov guest+" RSP_OFF "(%rip),%rsp\n"
	".globl gate_site_call\ngate_site_call:\n\tlea gate_site_behind(%rip),%rcx\n\tjmp *%gs:8\n"
	".globl gate_site_behind\ngate_site_behind:\n"
	"\tmov %rdi,guest+" OUT_OFF "+40(%rip)\n\tlea guest(%rip),%rdi\n\tmov %rsp," RSP_AFTER_OFF "(%rdi)\n"
	"\tmov %rax," OUT_OFF "+0(%rdi)\n\tmov %rbx," OUT_OFF "+8(%rdi)\n\tmov %rcx," OUT_OFF "+16(%rdi)\n"
	"\tmov %rdx," OUT_OFF "+24(%rdi)\n\tmov %rsi," OUT_OFF "+32(%rdi)\n\tmov %rbp," OUT_OFF "+48(%rdi)\n"
	"\tmov %r8," OUT_OFF "+56(%rdi)\n\tmov %r9," OUT_OFF "+64(%rdi)\n\tmov %r10," OUT_OFF "+72(%rdi)\n"
	"\tmov %r11," OUT_OFF "+80(%rdi)\n\tmov %r12," OUT_OFF "+88(%rdi)\n\tmov %r13," OUT_OFF "+96(%rdi)\n"
	"\tmov %r14," OUT_OFF "+104(%rdi)\n\tmov %r15," OUT_OFF "+112(%rdi)\n"
	".set i,0\n.rept 16\n\tmov -8-8*i(%rsp),%rax\n\tmov %rax," RED_OFF "+8*i(%rdi)\n.set i,i+1\n.endr\n"
	"\tmovups %xmm0," VEC_AFTER_OFF "+0(%rdi)\n\tmovups %xmm1," VEC_AFTER_OFF "+16(%rdi)\n"
	"\tmovups %xmm2," VEC_AFTER_OFF "+32(%rdi)\n\tmovups %xmm7," VEC_AFTER_OFF "+112(%rdi)\n"
	"\tmovups %xmm8," VEC_AFTER_OFF "+128(%rdi)\n\tmovups %xmm15," VEC_AFTER_OFF "+240(%rdi)\n"
	"\tlea host_flags+64(%rip),%rsp\n\tpushfq\n\tandq $~0x500,(%rsp)\n\tpopfq\n\tmov host_rsp(%rip),%rsp\n"
	"\tpop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n"
	".local host_flags\n.comm host_flags,128,16\n");

/* ---- the sentry ---- */

enum scenario { CALL, LATE, COMMANDS, COMMANDS_RETURN, WAITS, KNOWN, UNKNOWN, TRAPS, FAULTS, READS, MASK, MASK_ASKS, CLONES, BEGINS, FUTEX, WINDOW, SCENARIOS };
#define NR_PLAIN 100 /* in: BYTES at args[1]; answered with an out-segment at args[3] */
#define NR_ID 39
#define NR_TRAP 56
#define NR_MASK 14
#define NR_CLONE3 435
#define NR_EXIT 60
#define NR_FUTEX 202
#define OLD_MASK 0x5000000000000001UL
#define NEW_MASK 0x0600000000000002UL
#define VALUE 0x123456789abcLL

static enum scenario scenario;
static bool pending_call; /* the call's commands are being carried out */
static int calls, traps_sysv, kicks, wrong;
static uint64_t bad[4];
static uint8_t source[BYTES], target[BYTES + 8];
static char *scratch;      /* pages that commands work on */
static uint64_t clone_args[11] = {0x10000}; /* CLONE_THREAD */
static uint8_t begun[16][16];               /* what a thread that begins has in its vector registers */
static const int vectors[] = {0, 1, 2, 7, 8, 15};
static uint32_t futex_word = 7;
static uint64_t futex_op;
static int64_t *futex_time;
static int step, kick_at;
static bool kicked_in_stub;

static void complain(uint64_t what, uint64_t a, uint64_t b)
{
	if (wrong++ == 0) {
		bad[0] = what;
		bad[1] = a;
		bad[2] = b;
	}
}

static void command(unsigned i, int64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
	m->cmds[i] = (struct stub_cmd){nr, {a, b, c}};
}

static void commands(void)
{
	command(0, SYS_madvise, 1, 4096, 1); /* fails, which is as well */
	command(1, SYS_mprotect, (uint64_t)scratch, 4096, PROT_READ);
	command(2, STUB_CMD_CMPXCHG, (uint64_t)scratch + 4096, 5, 7);
	command(3, SYS_mprotect, (uint64_t)scratch, 4096, PROT_READ | PROT_WRITE);
	*(volatile uint32_t *)(scratch + 4096) = 5;
	m->ncmds = 4;
}

static uint32_t nouts;

static void out_segment(void)
{
	memset(data + 4096, 0xab, BYTES);
	box->near_outs[0] = (struct gate_seg){.addr = (uint64_t)target, .len = BYTES, .off = 4096};
	nouts = 1;
}

#define WINDOW_PAGES 8
#define LEFT_PAGES 3 /* the file was cut */
#define WINDOW_OFF 100
#define WINDOW_LEN (WINDOW_PAGES * 4096 - 2 * WINDOW_OFF)
static uint8_t from_window[WINDOW_LEN + 8];
static int buses;

static void window_segment(void)
{
	box->near_outs[0] = (struct gate_seg){
		.addr = (uint64_t)from_window, .len = WINDOW_LEN, .off = WINDOW_OFF, .flags = GATE_SEG_WINDOW};
	nouts = 1;
}

static void on_bus(int sig, siginfo_t *si, void *ctx)
{
	buses++;
	((void (*)(int, siginfo_t *, void *))HANDLER)(sig, si, ctx);
}

static void finish(uint32_t action, int64_t value)
{
	box->result = value;
	__atomic_store_n(&box->state, GATE_DONE_WITH(action, nouts), __ATOMIC_RELEASE);
}

static unsigned asked_nr(void)
{
	switch (scenario) {
	case KNOWN:
	case UNKNOWN:
		return NR_ID;
	case TRAPS:
		return NR_TRAP;
	case MASK:
	case MASK_ASKS:
		return NR_MASK;
	case CLONES:
		return NR_CLONE3;
	case BEGINS:
		return NR_EXIT;
	case FUTEX:
		return NR_FUTEX;
	default:
		return NR_PLAIN;
	}
}

/* The vector registers that a clone brings. */
static void check_image(const char *fp)
{
	for (unsigned i = 0; i < 6; i++)
		if (memcmp(fp + 160 + 16 * vectors[i], guest.vectors[vectors[i]], 16) != 0)
			complain(8, (uint64_t)vectors[i], 0);
	for (unsigned i = 520; i < 576; i++)
		if (fp[i] != 0)
			complain(9, i, (uint64_t)fp[i]);
}

/* As a new thread the guest goes on where it was, with the same registers but for RAX, RCX and the vectors. */
static void new_thread(char *fp)
{
	static const int order[15] = {R8, R9, R10, R11, R12, R13, R14, R15, RDI, RSI, RBP, RBX, RDX, RAX, RCX};

	for (int i = 0; i < 15; i++)
		m->regs[i] = guest.in[order[i]];
	m->regs[13] = (uint64_t)VALUE;
	m->regs[14] = m->regs[16] = (uint64_t)gate_site_behind;
	m->regs[15] = guest.rsp;
	m->regs[17] = 0x202 | guest.step;
	memset(fp, 0, 576);
	memcpy(fp, (const uint16_t[]){0x37f}, 2);
	memcpy(fp + 24, (const uint32_t[]){0x1f80}, 4);
	memcpy(fp + 160, begun, sizeof(begun));
	fp[512] = 3; /* x87 and SSE */
}

/* What the box asks, but for the trap door's bell. */
static void serve(void)
{
	if (box->kind == GATE_KIND_STUB)
		return;
	nouts = 0;
	if (box->kind == GATE_KIND_CALL) {
		if (pending_call)
			complain(1, 0, 0);
		calls++;
		if (box->nr != asked_nr() || (box->asked & ((1UL << GATE_IP_BITS) - 1)) != (uint64_t)gate_site_behind)
			complain(2, box->nr, box->asked);
		for (unsigned i = 0; i < 6; i++) {
			static const int order[6] = {RDI, RSI, RDX, R10, R8, R9};

			if (box->args[i] != guest.in[order[i]])
				complain(3, i, box->args[i]);
		}
		if (scenario == CLONES)
			check_image(data + GATE_FP);
		if (scenario == BEGINS) {
			new_thread(data + GATE_FP);
			finish(GATE_BEGIN, 0);
			return;
		}
		if (scenario != FAULTS && scenario != UNKNOWN && scenario != MASK_ASKS && scenario != CLONES && scenario != FUTEX && (box->nsegs < 1 || box->segs[0].len != BYTES ||
				memcmp(data + box->segs[0].off, source, BYTES) != 0))
			complain(4, box->nsegs, 0);
		if (scenario == FAULTS && box->nsegs != 0)
			complain(5, box->nsegs, 0);
		if (scenario == COMMANDS) {
			commands();
			pending_call = true;
			finish(GATE_RUN, 0);
			return;
		}
		if (scenario == WAITS) {
			pending_call = true;
			finish(GATE_WAIT, 0);
			return;
		}
	} else if (!pending_call || box->kind != (scenario == COMMANDS ? GATE_KIND_DONE : GATE_KIND_WAIT)) {
		complain(6, box->kind, 0);
	} else if (scenario == COMMANDS && (m->result != 0 || m->value != 5)) {
		complain(7, m->result, m->value);
	}
	pending_call = false;
	if (scenario == READS || scenario == CALL || scenario == LATE)
		out_segment();
	if (scenario == WINDOW)
		window_segment();
	if (scenario == COMMANDS_RETURN) {
		commands();
		finish(GATE_RUN_RETURN, VALUE);
	} else {
		finish(GATE_RETURN, VALUE);
	}
}

static uint64_t trap_reg(int i)
{
	/* r8..r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags */
	return m->regs[i];
}

/* What the trap door reports must be a context of the guest's. */
static void check_context(bool sigsys)
{
	static const int order[15] = {R8, R9, R10, R11, R12, R13, R14, R15, RDI, RSI, RBP, RBX, RDX, RAX, RCX};
	uint64_t ip = trap_reg(16);
	bool done = ip == (uint64_t)gate_site_behind;

	if (IN_STUB(ip) || m->fs_base == 0 || m->gs_base != STUB_AREAS + AREA_LOCAL)
		complain(10, ip, m->gs_base);
	if (!kicked_in_stub)
		return; /* between the guest's own instructions: anything */
	if (!done) {
		complain(11, ip, 0);
		return;
	}
	if (trap_reg(15) != guest.rsp)
		complain(12, trap_reg(15), guest.rsp);
	for (int i = 0; i < 15; i++) {
		uint64_t want = guest.in[order[i]];

		if (order[i] == R11 || order[i] == RCX)
			continue;
		if (order[i] == RAX && !sigsys)
			want = scenario == MASK ? 0 : VALUE;
		if (trap_reg(i) != want)
			complain(13, (uint64_t)i, trap_reg(i));
	}
}

static volatile bool served_start;

/* The bell of the trap door, whose instructions aren't stepped. */
static void *trap_server(void *arg)
{
	(void)arg;
	for (;;) {
		if (__atomic_load_n(&box->state, __ATOMIC_ACQUIRE) != GATE_REQUEST || box->kind != GATE_KIND_STUB) {
			sched_yield();
			continue;
		}
		if (!served_start) {
			/* The thread's first word. */
			m->gs_base = STUB_AREAS + AREA_LOCAL;
			m->regs[16] = m->regs[8];
			served_start = true;
		} else if (m->reason == SIGSYS) {
			traps_sysv++;
			check_context(true);
			if (trap_reg(13) != NR_TRAP)
				complain(20, trap_reg(13), 0);
			m->regs[13] = (uint64_t)VALUE;
		} else if (m->reason == SIGSTKFLT) {
			kicks++;
			check_context(false);
		} else {
			complain(21, m->reason, m->regs[16]);
		}
		box->result = STUB_RESUME;
		__atomic_store_n(&box->state, GATE_DONE, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* ---- steps ---- */

/* Was the last instruction a system call? (The processor steps over the one behind it, too.) */
static bool after_syscall(uint64_t ip)
{
	static uint64_t last;
	bool yes = IN_STUB(last) && memcmp((const void *)last, "\x0f\x05", 2) == 0;

	last = ip;
	return yes;
}

static void on_step(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	uint64_t ip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
	bool late;

	if (si->si_code != TRAP_TRACE) {
		((void (*)(int, siginfo_t *, void *))HANDLER)(sig, si, ctx);
		return;
	}
	late = after_syscall(ip);
	if (__atomic_load_n(&box->state, __ATOMIC_ACQUIRE) == GATE_REQUEST && (late || scenario == CALL || scenario == READS || scenario == WINDOW))
		serve();
	/* By these two the trap door knows who is being born: see STUB_CLONE_IP. What a thread reads is never in them. */
	if (IN_STUB(ip) &&
	    (uc->uc_mcontext.gregs[REG_R8] == (greg_t)0xabababababababab || uc->uc_mcontext.gregs[REG_R10] == (greg_t)0xabababababababab))
		complain(22, ip, 0);
	if (++step == kick_at) {
		kicked_in_stub = IN_STUB(ip);
		syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSTKFLT);
	}
	/* Nothing is left to be answered or to be interrupted: it may run. */
	if (kick_at != 0 && step > kick_at && calls != 0 && !pending_call && GATE_STATE(box->state) == GATE_DONE)
		uc->uc_mcontext.gregs[REG_EFL] &= ~0x100;
	if (step > MAX_STEPS) {
		static const char text[] = "the call doesn't end\n";

		_exit(write(2, text, sizeof(text) - 1) > 0 ? 99 : 98);
	}
}

struct kernel_sigaction {
	void *handler;
	uint64_t flags;
	void *restorer;
	uint64_t mask;
};

static void handler(int sig, void *fn)
{
	struct kernel_sigaction sa = {
		.handler = fn,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART | 0x04000000,
		.restorer = (void *)RESTORER,
		.mask = ~(1UL << (SIGSEGV - 1) | 1UL << (SIGBUS - 1)),
	};

	cr_assert_eq(syscall(SYS_rt_sigaction, sig, &sa, NULL, 8), 0);
}

static bool map_at(uint64_t at, uint64_t len, int prot)
{
	return mmap((void *)at, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (void *)at;
}

static void begin(void)
{
	stack_t stack = {.ss_sp = (void *)(STUB_AREAS + AREA_STACK), .ss_size = AREA_SIZE - AREA_STACK};
	pthread_t thread;

	if (!map_at(STUB_BASE, STUB_TEXT_MAX, PROT_READ | PROT_WRITE) || !map_at(STUB_RO, STUB_RO_SIZE, PROT_READ | PROT_WRITE) ||
	    !map_at(STUB_MM, STUB_MM_SIZE, PROT_READ | PROT_WRITE) || !map_at(STUB_AREAS, AREA_SIZE, PROT_READ | PROT_WRITE))
		cr_skip_test("something of this process lies there");
	memcpy((void *)STUB_BASE, stub_image, (size_t)(stub_image_end - stub_image));
	cr_assert_eq(mprotect((void *)STUB_BASE, STUB_TEXT_MAX, PROT_READ | PROT_EXEC), 0);
	ro->asleep = 1;
	ro->spec[NR_PLAIN].segs[0].kind = GATE_IN;
	ro->spec[NR_PLAIN].segs[0].ptr = 1;
	ro->spec[NR_PLAIN].segs[0].len = 2;
	ro->spec[NR_PLAIN].segs[0].size = 1;
	ro->spec[NR_PLAIN].segs[1].kind = GATE_OUT;
	ro->spec[NR_PLAIN].segs[1].ptr = 3;
	ro->spec[NR_PLAIN].segs[1].len = 2;
	ro->spec[NR_PLAIN].segs[1].size = 1;
	ro->spec[NR_ID].class = GATE_CLASS_ID;
	ro->spec[NR_ID].id = GATE_PID;
	ro->spec[NR_TRAP].class = GATE_CLASS_TRAP;
	ro->spec[NR_MASK].class = GATE_CLASS_MASK;
	ro->spec[NR_CLONE3].class = GATE_CLASS_CLONE;
	ro->spec[NR_FUTEX].class = GATE_CLASS_FUTEX;
	box->ids[GATE_PID] = VALUE;
	scratch = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(scratch, MAP_FAILED);
	handler(SIGTRAP, (void *)HANDLER);
	handler(SIGSEGV, (void *)HANDLER);
	handler(SIGBUS, (void *)HANDLER);
	handler(SIGSYS, (void *)HANDLER);
	handler(SIGSTKFLT, (void *)HANDLER);
	cr_assert_eq(sigaltstack(&stack, NULL), 0);
	cr_assert_eq(pthread_create(&thread, NULL, trap_server, NULL), 0);
	/* As a new thread begins: its first trap makes the gate's slots. */
	__asm__ volatile("lea 1f(%%rip),%%rdi\n\tjmp *%0\n1:" ::"r"(START_TRAP) : "rdi", "memory");
	cr_assert(served_start);
	handler(SIGTRAP, (void *)on_step);
}

static void one(enum scenario which, int at, uint64_t flags)
{
	scenario = which;
	calls = traps_sysv = kicks = wrong = step = 0;
	kick_at = at;
	pending_call = kicked_in_stub = false;
	memset(target, 0, sizeof(target));
	for (unsigned i = 0; i < BYTES; i++)
		source[i] = (uint8_t)(i * 7 + 1);
	box->known = which == KNOWN ? 1U << GATE_PID : which == MASK || which == MASK_ASKS || which == FUTEX ? 1U << GATE_KNOWN_MASK : 0;
	box->sigmask = OLD_MASK;
	box->attention = which == MASK_ASKS;
	memcpy(source, (const uint64_t[]){NEW_MASK | 1UL << 8}, which == MASK || which == MASK_ASKS ? 8 : 0);
	for (int i = 0; i < NREGS; i++)
		guest.in[i] = 0x1111000000000000UL + (uint64_t)i * 0x101;
	box->idlers = which == CLONES;
	box->robust = 0;
	guest.in[RAX] = asked_nr();
	if (which == CLONES) {
		guest.in[RDI] = (uint64_t)clone_args;
		guest.in[RSI] = sizeof(clone_args);
	} else if (which == FUTEX) {
		guest.in[RDI] = (uint64_t)&futex_word;
		guest.in[RSI] = futex_op;
		guest.in[RDX] = futex_word;
		guest.in[R10] = (uint64_t)futex_time;
		guest.in[R9] = 0xffffffff;
	} else if (which != KNOWN && which != UNKNOWN && which != TRAPS && which != BEGINS) {
		guest.in[RSI] = which == FAULTS ? 0x123456789000UL : (uint64_t)source;
		guest.in[RDX] = BYTES;
		guest.in[R10] = which == FAULTS ? 0x123456789000UL : (uint64_t)target;
	}
	if (which == MASK || which == MASK_ASKS) {
		guest.in[RDI] = 2; /* SIG_SETMASK */
		guest.in[RDX] = (uint64_t)target;
		guest.in[R10] = 8;
	}
	for (unsigned i = 0; i < sizeof(guest.vectors); i++)
		((uint8_t *)begun)[i] = (uint8_t)~(((uint8_t *)guest.vectors)[i] = (uint8_t)(i + (unsigned)at));
	guest.step = 0x100 | flags;
	gate_site();
}

static void check(int at)
{
	bool traps = scenario == TRAPS, local = scenario == KNOWN || scenario == MASK;

	cr_assert_eq(wrong, 0, "scenario %d, step %d: complaint %lu (%#lx, %#lx)", scenario, at, bad[0], bad[1], bad[2]);
	cr_assert_eq(calls, traps || local ? 0 : 1, "scenario %d, step %d: made %d times", scenario, at, calls);
	cr_assert_eq(traps_sysv, traps, "scenario %d, step %d", scenario, at);
	/* The trap for the context is the interruption, too. */
	if (step >= at && at != 0 && !(traps && kicked_in_stub))
		cr_assert_eq(kicks, 1, "scenario %d, step %d: interrupted %d times", scenario, at, kicks);
	cr_assert_eq(guest.out[RAX], scenario == MASK ? 0 : VALUE, "scenario %d, step %d: %#lx", scenario, at, guest.out[RAX]);
	for (int i = RBX; i < NREGS; i++)
		if (i != RCX && i != R11)
			cr_assert_eq(guest.out[i], guest.in[i], "scenario %d, step %d: register %d", scenario, at, i);
	cr_assert_eq(guest.rsp, guest.rsp_after);
	for (unsigned i = 0; i < 16; i++)
		cr_assert_eq(guest.red_zone[i], 0x7700001000UL + i, "scenario %d, step %d: red zone", scenario, at);
	for (unsigned i = 0; i < 6; i++)
		cr_assert_arr_eq(scenario == BEGINS ? begun[vectors[i]] : guest.vectors[vectors[i]],
				 guest.vectors_after[vectors[i]], 16);
	if (scenario == CALL || scenario == LATE || scenario == READS) {
		for (unsigned i = 0; i < BYTES; i++)
			cr_assert_eq(target[i], 0xab);
		cr_assert_eq(target[BYTES], 0);
	}
	if (scenario == COMMANDS || scenario == COMMANDS_RETURN)
		cr_assert_eq(*(uint32_t *)(scratch + 4096), 7);
	if (scenario == MASK || scenario == MASK_ASKS) {
		/* SIGKILL is never blocked; nothing is told before the sentry has been asked. */
		cr_assert_eq(box->sigmask, scenario == MASK ? NEW_MASK : OLD_MASK);
		cr_assert_eq(*(uint64_t *)target, scenario == MASK ? OLD_MASK : 0);
	}
	cr_assert_eq(box->pending, 0);
}

static void every_step(enum scenario which, uint64_t flags, bool asleep)
{
	int steps, stub_kicks = 0;

	ro->asleep = !asleep ? 0 : 1;
	ro->spin = 1000000000; /* as long as it takes */
	ro->cpu = 0xffff;
	one(which, 0, flags);
	check(0);
	steps = step;
	for (int at = 1; at <= steps + 40; at++) {
		one(which, at, flags);
		check(at);
		stub_kicks += kicked_in_stub;
	}
	cr_assert_gt(stub_kicks, 20, "only %d interruptions in the stub", stub_kicks);
}

Test(stub_step, a_clone_that_brings_its_vectors)
{
	begin();
	every_step(CLONES, 0, true);
	every_step(CLONES, 0x400, true);
}

Test(stub_step, an_exit_whose_thread_begins_anew)
{
	begin();
	every_step(BEGINS, 0, true);
	every_step(BEGINS, 0x400, true);
}

Test(stub_step, a_clone_that_finds_nobody_waiting_traps)
{
	begin();
	ro->spec[NR_TRAP].class = GATE_CLASS_CLONE;
	every_step(TRAPS, 0, true);
}

Test(stub_step, a_call_that_is_answered_while_it_spins)
{
	begin();
	every_step(CALL, 0, false);
}

Test(stub_step, a_call_that_is_answered_after_a_doorbell)
{
	begin();
	every_step(LATE, 0, true);
}

Test(stub_step, a_call_with_the_direction_flag)
{
	begin();
	every_step(READS, 0x400, false);
}

/* What is gone reads as zeros, at the price of a signal for each page. */
Test(stub_step, a_window_whose_file_was_cut)
{
	int fd = memfd_create("file", 0);
	static char page[4096];

	begin();
	memset(page, 0x5a, sizeof(page));
	for (unsigned i = 0; i < WINDOW_PAGES; i++)
		cr_assert_eq(write(fd, page, sizeof(page)), sizeof(page));
	if (mmap((void *)STUB_WINDOWS, WINDOW_PAGES * sizeof(page), PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, 0) !=
	    (void *)STUB_WINDOWS)
		cr_skip_test("something of this process lies there");
	cr_assert_eq(ftruncate(fd, LEFT_PAGES * sizeof(page)), 0);
	handler(SIGBUS, (void *)on_bus);
	ro->asleep = 0;
	ro->spin = 1000000000;
	ro->cpu = 0xffff;
	memset(from_window, 0xee, sizeof(from_window));
	one(WINDOW, 1, 0);
	check(1);
	for (size_t i = 0; i < WINDOW_LEN; i++)
		cr_assert_eq(from_window[i], i + WINDOW_OFF < LEFT_PAGES * sizeof(page) ? 0x5a : 0, "byte %zu", i);
	cr_assert_eq(from_window[WINDOW_LEN], 0xee);
	cr_assert_eq(buses, 1 + WINDOW_PAGES - LEFT_PAGES);
}

Test(stub_step, commands_and_a_second_ring)
{
	begin();
	every_step(COMMANDS, 0, true);
}

Test(stub_step, commands_with_the_answer)
{
	begin();
	every_step(COMMANDS_RETURN, 0, true);
}

Test(stub_step, told_to_wait)
{
	begin();
	every_step(WAITS, 0, true);
}

Test(stub_step, answered_by_the_shim)
{
	begin();
	every_step(KNOWN, 0, true);
	every_step(UNKNOWN, 0, true);
}

Test(stub_step, by_the_trap_door)
{
	begin();
	every_step(TRAPS, 0, true);
}

Test(stub_step, pointers_that_fault)
{
	begin();
	every_step(FAULTS, 0, true);
}

Test(stub_step, the_mask_of_signals)
{
	begin();
	every_step(MASK, 0, true);
	every_step(MASK_ASKS, 0, true);
}

#define WAIT 128UL /* private */
#define WAIT_BITSET (WAIT | 9)
#define REALTIME 256UL

/* One wait, which ends in a call: whether it has spun in vain before. */
static bool spins(uint64_t op, int64_t *time)
{
	futex_op = op;
	futex_time = time;
	box->spin_trial = ro->futex_trial = 1;
	box->spin_level = 2;
	box->spin_skip = 0;
	one(FUTEX, 0, 0);
	check(0);
	cr_assert_eq(mm->places[0].asking, 0);
	return box->spin_level == 3;
}

static void may_spin(void)
{
	begin();
	ro->futex_spin = 1; /* a look */
	ro->futex_spinners = 1;
}

Test(stub_step, a_wait_until_a_point_in_time_does_not_spin)
{
	int64_t second[2] = {1, 0}, over[2] = {0, 1}, moment[2] = {0, 999999};

	may_spin();
	cr_assert(spins(WAIT, NULL));
	cr_assert(spins(WAIT_BITSET, NULL));
	cr_assert(spins(WAIT, second));
	cr_assert_not(spins(WAIT, moment));
	cr_assert_not(spins(WAIT_BITSET, second));
	cr_assert_not(spins(WAIT_BITSET, over));
	cr_assert_not(spins(WAIT_BITSET | REALTIME, second));
	cr_assert_eq(mm->spinners, 0);
}

Test(stub_step, who_dies_while_it_spins_does_not_keep_its_turn)
{
	unsigned refused = 0;

	may_spin();
	mm->spinners = 1; /* a vfork's child that was killed */
	while (!spins(WAIT, NULL) && ++refused < 5000)
		cr_assert(mm->spinners == 1 || mm->spinners == 0);
	cr_assert(refused >= 500 && refused < 5000, "refused %u times", refused);
	cr_assert_eq(mm->spinners, 0);
	cr_assert_eq(mm->refused, 0);

	/* Others who have a turn now and then are not dead. */
	for (unsigned i = 0; i < 3; i++) {
		mm->spinners = 1;
		for (unsigned k = 0; k < refused / 2; k++)
			cr_assert_not(spins(WAIT, NULL));
		cr_assert_eq(mm->spinners, 1);
		mm->spinners = 0;
		cr_assert(spins(WAIT, NULL));
	}
}

Test(stub_step, a_turn_taken_from_one_that_lives_is_counted_right_again)
{
	unsigned waits = 0;

	may_spin();
	mm->spinners = (uint32_t)-1; /* it has left since */
	while (!spins(WAIT, NULL) && ++waits < 5000)
		continue;
	cr_assert_lt(waits, 5000);
	cr_assert_eq(mm->spinners, 0);
}
