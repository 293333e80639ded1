/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults on the vsyscall page, as a host without it (vsyscall=none) reports them: a fake platform whose guest memory is one
 * buffer. On other hosts the calls come as notifications (tests/payloads/vsyscall.c).
 */
#include "sentry/kernel/vsyscall.h"

#include "sentry/abi/errno.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

#define MEMORY 0x70000000UL
#define PAGE 0xffffffffff600000UL
#define CALLER 0x401234UL

static uint8_t memory[4096];
static struct regs regs;
static struct mm mm;
static struct task *task;

static bool in_memory(uint64_t addr, size_t len)
{
	return addr >= MEMORY && len <= sizeof(memory) && addr - MEMORY <= sizeof(memory) - len;
}
static size_t fake_read(struct platform_mm *pmm, void *dst, uint64_t addr, size_t len)
{
	(void)pmm;
	if (!in_memory(addr, len))
		return 0;
	memcpy(dst, memory + (addr - MEMORY), len);
	return len;
}
static size_t fake_write(struct platform_mm *pmm, uint64_t addr, const void *src, size_t len)
{
	(void)pmm;
	if (!in_memory(addr, len))
		return 0;
	memcpy(memory + (addr - MEMORY), src, len);
	return len;
}
static struct regs *fake_context(struct task *t, int64_t value)
{
	(void)t;
	(void)value;
	return &regs;
}
static const struct platform_ops fake = {.mm_read = fake_read, .mm_write = fake_write, .context = fake_context};

static void setup(void)
{
	uint64_t caller = CALLER;

	platform = &fake;
	mm.pmm = (struct platform_mm *)&mm;
	task = task_new_process(cred_new(1000, 1000), NULL, NULL);
	cr_assert_not_null(task);
	task->mm = &mm;
	task->pt = (struct platform_thread *)&mm;
	memset(memory, 0, sizeof(memory));
	memcpy(memory + 2048, &caller, sizeof(caller));
	memset(&regs, 0, sizeof(regs));
	regs.rsp = MEMORY + 2048;
	regs.rax = regs.rcx = regs.r11 = 99;
}

TestSuite(vsyscall, .init = setup);

static bool fault(uint64_t at, uint64_t addr)
{
	struct platform_event ev = {.kind = PLATFORM_FAULT, .full = true, .ip = at, .addr = addr, .sig = 11, .trapno = 14};

	regs.rip = at;
	return vsyscall_fault(task, &ev);
}

static void returned(int64_t value)
{
	cr_expect_eq(regs.rip, CALLER);
	cr_expect_eq(regs.rsp, MEMORY + 2056);
	cr_expect_eq((int64_t)regs.rax, value);
	cr_expect(regs.rcx == 99 && regs.r11 == 99);
}

Test(vsyscall, the_three_calls)
{
	int64_t now = time(NULL), seen;
	uint32_t cpu;

	regs.rdi = MEMORY;
	cr_assert(fault(PAGE + 0x400, PAGE + 0x400));
	memcpy(&seen, memory, 8);
	cr_expect(seen >= now - 1 && seen <= now + 60);
	returned(seen);

	setup();
	regs.rdi = MEMORY;
	cr_assert(fault(PAGE, PAGE));
	memcpy(&seen, memory, 8);
	cr_expect(seen >= now - 1 && seen <= now + 60);
	returned(0);

	setup();
	regs.rdi = MEMORY + 4;
	memset(memory, 0xff, 16);
	cr_assert(fault(PAGE + 0x800, PAGE + 0x800));
	memcpy(&cpu, memory + 4, 4);
	cr_expect_neq(cpu, UINT32_MAX);
	returned(0);
}

Test(vsyscall, what_stays_a_fault)
{
	const struct regs before = regs;

	cr_expect(!fault(PAGE + 0xc00, PAGE + 0xc00));
	cr_expect(!fault(PAGE + 0x401, PAGE + 0x401));
	cr_expect(!fault(0x401000, PAGE + 0x400), "a load from there");
	cr_expect(!fault(PAGE + 0x400, 0), "another fault");
	regs.rdi = 8;
	cr_expect(!fault(PAGE + 0x400, PAGE + 0x400), "a bad pointer");
	regs.rdi = 0;
	regs.rsp = 16;
	cr_expect(!fault(PAGE + 0x400, PAGE + 0x400), "no stack");
	cr_expect(regs.rax == before.rax && regs.rsp == 16 && task->syscall_nr == -1);
}
