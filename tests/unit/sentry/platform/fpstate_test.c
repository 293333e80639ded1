/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vector state that a new thread is handed: this process is the guest's, its memory the frame of a thread that stands in
 * the trap door.
 */
#include "sentry/kernel/task.h"
#include "sentry/platform/stubs/stubs.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define HEADER 512
#define AVX 576
#define AVX_LEN 256
#define XMM 160

static struct platform_mm mm;
static struct host_proc proc;
static struct platform_thread from, to;
static struct task task;
static uint8_t frame[GATE_FP_MAX] __attribute__((aligned(64))), saved[GATE_FP_MAX] __attribute__((aligned(64)));

static uint8_t *image_of(const struct platform_thread *pt)
{
	return (uint8_t *)pt->mailbox + GATE_DATA + GATE_FP;
}

/* A clone that has come by the gate, with an image of these components, and a thread that waits in the trap door. */
static void set_up(uint64_t features)
{
	size_t size = stubs_fpstate_size();
	uint32_t sw[2] = {0x46505853, (uint32_t)size};

	list_init(&mm.procs);
	proc.pid = getpid();
	proc.mm = &mm;
	list_add_tail(&mm.procs, &proc.mm_link);
	from = (struct platform_thread){.proc = &proc, .state = THREAD_GATE, .area = 1, .mailbox = calloc(1, MAILBOX_SIZE)};
	to = (struct platform_thread){.proc = &proc,
				      .state = THREAD_FULL,
				      .area = 2,
				      .mailbox = calloc(1, MAILBOX_SIZE),
				      .fpstate = (uint64_t)frame,
				      .fpstate_size = size};
	task.pt = &to;
	memcpy(frame + FPSTATE_RESERVED_AT, sw, sizeof(sw));
	memset(image_of(&from) + XMM, 0x5a, 256);
	memcpy(image_of(&from) + HEADER, &features, sizeof(features));
	if (features & 4)
		memset(image_of(&from) + AVX, 0xa5, AVX_LEN);
}

static bool holds_only(const uint8_t *p, uint8_t value, size_t len)
{
	while (len-- > 0)
		if (*p++ != value)
			return false;
	return true;
}

Test(fpstate, a_signal_before_the_first_instruction_finds_what_was_handed)
{
	set_up(7);
	cr_assert(eq(int, stubs_fpstate_hand(&from, &to), 0));
	cr_assert(eq(int, stubs_fpstate_save(&task, GVA((uint64_t)saved)), 0));
	cr_assert(holds_only(saved + XMM, 0x5a, 256));
	cr_assert(holds_only(saved + AVX, 0xa5, AVX_LEN));
	cr_assert(eq(u8, saved[HEADER], 7));
	/* The frame has it by now: nothing is loaded again. */
	cr_assert(holds_only(frame + AVX, 0xa5, AVX_LEN));
	cr_assert(eq(u64, to.fp_from, 0));
}

Test(fpstate, nobodys_address_but_the_threads_own_is_read_beyond_the_guest)
{
	set_up(7);
	cr_assert(eq(int, stubs_fpstate_hand(&from, &to), 0));
	to.area = 3;
	cr_assert(lt(int, stubs_fpstate_save(&task, GVA((uint64_t)saved)), 0));
}

Test(fpstate, a_frame_that_is_smaller_than_expected_is_filled)
{
	set_up(7);
	to.fpstate_size = AVX + AVX_LEN + 4;
	cr_assert(eq(int, stubs_fpstate_hand(&from, &to), 0));
	cr_assert(eq(int, stubs_fpstate_save(&task, GVA((uint64_t)saved)), 0));
	cr_assert(holds_only(saved + AVX, 0xa5, AVX_LEN));
}

/* Each thread has a PKRU of its own, where there is one at all: that makes no thread's state a long one. */
Test(fpstate, protection_keys_are_handed_with_little_else)
{
	uint32_t at, len, lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	if ((lo >> 9 & 1) == 0)
		cr_skip_test("no protection keys");
	__asm__ volatile("cpuid" : "=a"(len), "=b"(at), "=c"(lo), "=d"(hi) : "a"(0xd), "c"(9));
	cr_assert(ge(u32, len, 4));
	set_up(3 | 1 << 9);
	memset(image_of(&from) + at, 0x54, 4);
	memset(image_of(&to), 0xcc, GATE_FP_MAX);
	cr_assert(eq(int, stubs_fpstate_hand(&from, &to), 0));
	cr_assert(holds_only(image_of(&to) + XMM, 0x5a, 256));
	cr_assert(holds_only(image_of(&to) + at, 0x54, 4));
	cr_assert(holds_only(image_of(&to) + AVX, 0xcc, AVX_LEN));
	/* Whoever uses more hands it all. */
	set_up(7);
	cr_assert(eq(int, stubs_fpstate_hand(&from, &to), 0));
	cr_assert(holds_only(image_of(&to) + AVX, 0xa5, AVX_LEN));
}

static uint32_t host_frame[2];

static void on_signal(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;

	(void)sig;
	(void)info;
	memcpy(host_frame, (const uint8_t *)uc->uc_mcontext.fpregs + FPSTATE_RESERVED_AT, sizeof(host_frame));
}

Test(fpstate, the_size_is_that_of_the_hosts_frames)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	cr_assert(eq(int, sigaction(SIGUSR1, &sa, NULL), 0));
	cr_assert(eq(int, raise(SIGUSR1), 0));
	cr_assert(eq(u32, host_frame[0], 0x46505853));
	cr_assert(eq(u32, host_frame[1], (uint32_t)stubs_fpstate_size()));
}
