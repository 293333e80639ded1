/* SPDX-License-Identifier: Apache-2.0 */
/* The stub's filter, run by a small interpreter, against the rules as C states them and against the table of calls. */
#include "sentry/platform/stub_filter.h"

#include "sentry/abi/mman.h"
#include "sentry/platform/stub/abi.h"
#include "syscalls/dispatch.h"

#include <criterion/criterion.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define SIGRETURN_IP (STUB_BASE + 0x27)
#define TEXT_END (STUB_BASE + 0x1000)

static struct sock_filter prog[STUB_FILTER_MAX];
static unsigned len;

static void build(void)
{
	len = stub_filter_build(prog, SIGRETURN_IP, TEXT_END, SECCOMP_RET_USER_NOTIF, false);
}

static uint32_t run(const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (unsigned pc = 0; pc < len; pc++) {
		const struct sock_filter *f = &prog[pc];
		bool yes;

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)d + f->k, 4);
			continue;
		case BPF_RET | BPF_K:
			return f->k;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == f->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > f->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= f->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = (a & f->k) != 0;
			break;
		default:
			cr_assert_fail("instruction %#x", f->code);
			return 0;
		}
		pc += yes ? f->jt : f->jf;
	}
	cr_assert_fail("the program ran off its end");
	return 0;
}

static struct seccomp_data call_at(uint64_t ip, int nr)
{
	return (struct seccomp_data){.nr = nr, .arch = AUDIT_ARCH_X86_64, .instruction_pointer = ip};
}

Test(stub_filter, other_architectures_and_x32_get_enosys, .init = build)
{
	struct seccomp_data d = call_at(0x401000, SYS_read);

	d.arch = AUDIT_ARCH_I386;
	cr_assert_eq(run(&d), SECCOMP_RET_ERRNO | 38);
	d = call_at(0x401000, 0x40000000 | SYS_read);
	cr_assert_eq(run(&d), SECCOMP_RET_ERRNO | 38);
	d = call_at(STUB_BASE + 16, 0x40000000 | SYS_exit_group);
	cr_assert_eq(run(&d), SECCOMP_RET_ERRNO | 38);
}

Test(stub_filter, guest_calls_follow_the_table, .init = build)
{
	for (int nr = 0; nr < 1024; nr++) {
		struct seccomp_data d = call_at(0x401000, nr);
		bool trap = nr < SYSCALL_MAX && syscall_table[nr].verdict == SYSCALL_TRAP;

		cr_assert_eq(run(&d), trap ? SECCOMP_RET_TRAP : SECCOMP_RET_USER_NOTIF, "number %d", nr);
		/* Just below and just above the stub's text is the guest too. */
		d.instruction_pointer = STUB_BASE - 1;
		cr_assert_eq(run(&d), trap ? SECCOMP_RET_TRAP : SECCOMP_RET_USER_NOTIF, "number %d", nr);
		d.instruction_pointer = TEXT_END + 1;
		cr_assert_eq(run(&d), trap ? SECCOMP_RET_TRAP : SECCOMP_RET_USER_NOTIF, "number %d", nr);
	}
}

Test(stub_filter, under_an_outer_filter_what_it_may_refuse_traps)
{
	struct seccomp_data d = call_at(0x401000, SYS_personality);

	len = stub_filter_build(prog, SIGRETURN_IP, TEXT_END, SECCOMP_RET_USER_NOTIF, true);
	cr_assert_eq(run(&d), SECCOMP_RET_TRAP);
	d.nr = SYS_read;
	cr_assert_eq(run(&d), SECCOMP_RET_USER_NOTIF);
}

Test(stub_filter, sigreturn_only_from_its_instruction, .init = build)
{
	struct seccomp_data d = call_at(SIGRETURN_IP, SYS_rt_sigreturn);

	cr_assert_eq(run(&d), SECCOMP_RET_ALLOW);
	d.instruction_pointer++;
	cr_assert_eq(run(&d), SECCOMP_RET_USER_NOTIF);
}

/* Arguments near every edge the rules mention. */
static uint64_t edge(void)
{
	static const uint64_t edges[] = {
		0,          1,          2,          7,         8,          9,          10,
		16,         0x1f,       0x3f,       0x40,      0x2b00000020, 0x22,       0x4022,     0x4032,    0x124032,   0x2,        0x20,
		0x1000,     0xfffff000, 0xffffffff, 0x100000000, 0x7ffc00000000, 0x7ffcfffff000, 0x7ffd00000000,
		STUB_OWN_LO - 1, STUB_OWN_LO, STUB_OWN_HI - 1, STUB_OWN_HI, 1UL << 32 | STUB_OWN_LO,
		STUB_BASE - 0x1000,     STUB_BASE,  STUB_BASE + 0x1000, UINT64_MAX, UINT64_MAX - 0xfff, 1UL << 47,
	};

	return edges[(size_t)rand() % (sizeof(edges) / sizeof(edges[0]))];
}

Test(stub_filter, free_calls_of_the_stub_are_those_that_c_says, .init = build)
{
	static const int numbers[] = {SYS_mmap,  SYS_munmap,	 SYS_mprotect, SYS_madvise, SYS_close, SYS_prctl,
				      SYS_exit_group, SYS_mremap, SYS_clone,   SYS_getppid, SYS_open, SYS_futex, SYS_restart_syscall};

	srand(1);
	for (unsigned i = 0; i < 2000000; i++) {
		struct seccomp_data d = call_at(STUB_BASE + 0x100, numbers[(size_t)rand() % (sizeof(numbers) / sizeof(int))]);
		uint64_t args[6];
		bool free_call;

		for (int k = 0; k < 6; k++)
			d.args[k] = args[k] = edge();
		free_call = stub_filter_free(d.nr, args);
		cr_assert_eq(run(&d), free_call ? SECCOMP_RET_ALLOW : SECCOMP_RET_USER_NOTIF,
			     "call %d(%#lx, %#lx, %#lx, %#lx, %#lx)", d.nr, args[0], args[1], args[2], args[3], args[4]);
	}
}

Test(stub_filter, mappings_of_guarded_descriptors_are_asked_for, .init = build)
{
	struct seccomp_data d = call_at(STUB_BASE + 0x100, SYS_mmap);

	d.args[0] = 0x10000;
	d.args[1] = 0x1000;
	d.args[2] = 1;
	d.args[3] = 0x12; /* private, fixed */
	for (unsigned fd = 0; fd < 1024; fd++) {
		bool guarded = fd >= STUB_GUARDED_LO && fd < STUB_GUARDED_HI;

		for (unsigned high = 0; high < 2; high++) { /* the host looks at 32 bits of it */
			d.args[4] = fd | (uint64_t)high << 32;
			cr_assert_eq(run(&d), guarded ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW, "descriptor %u", fd);
		}
	}
}

/* Only those that no mapping which is asked for is told. */
Test(stub_filter, closes_of_a_threads_own_descriptors_are_free, .init = build)
{
	struct seccomp_data d = call_at(STUB_BASE + 0x100, SYS_close);

	for (unsigned fd = 0; fd < 2048; fd++) {
		bool own = fd >= STUB_OWN_LO && fd < STUB_OWN_HI;

		for (unsigned high = 0; high < 2; high++) { /* the host looks at 32 bits of it */
			d.args[0] = fd | (uint64_t)high << 32;
			cr_assert_eq(run(&d), own ? SECCOMP_RET_ALLOW : SECCOMP_RET_USER_NOTIF, "descriptor %u", fd);
		}
	}
	d.args[0] = STUB_OWN_LO;
	d.instruction_pointer = 0x401000;
	cr_assert_eq(run(&d), SECCOMP_RET_USER_NOTIF);
	d.instruction_pointer = STUB_BASE + 0x100;
	d.nr = SYS_close_range;
	d.args[1] = STUB_OWN_LO;
	cr_assert_eq(run(&d), SECCOMP_RET_USER_NOTIF);
}

Test(stub_filter, nothing_free_reaches_the_stub_region)
{
	srand(2);
	for (unsigned i = 0; i < 1000000; i++) {
		uint64_t args[6] = {edge() + edge(), edge() + edge(), 3, 0x4032, UINT64_MAX, 0};

		if (stub_filter_free(SYS_mmap, args) || stub_filter_free(SYS_munmap, args) || stub_filter_free(SYS_mprotect, args))
			cr_assert(args[0] < STUB_BASE && args[1] <= STUB_BASE - args[0], "%#lx + %#lx", args[0], args[1]);
	}
}
