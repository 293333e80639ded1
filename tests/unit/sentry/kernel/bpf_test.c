/* SPDX-License-Identifier: Apache-2.0 */
/* Classic BPF: what the checker refuses, what the interpreter computes, and that nothing accepted can escape. */
#include "sentry/kernel/bpf.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define INSN(c, t, f, v) ((struct linux_sock_filter){(c), (t), (f), (v)})
#define CHECK(...)                                                                                                     \
	({                                                                                                             \
		const struct linux_sock_filter p_[] = {__VA_ARGS__};                                                   \
		bpf_check(p_, ARRAY_LEN(p_), sizeof(struct linux_seccomp_data));                                       \
	})
#define RUN(...)                                                                                                       \
	({                                                                                                             \
		const struct linux_sock_filter p_[] = {__VA_ARGS__};                                                   \
		cr_assert(bpf_check(p_, ARRAY_LEN(p_), sizeof(data)));                                                 \
		bpf_run(p_, &data, sizeof(data));                                                                      \
	})

static const struct linux_seccomp_data data = {59, LINUX_AUDIT_ARCH_X86_64, 0x1234567890, {7, 8, 9, 0, 0, 0}};

Test(bpf, bad_programs_are_refused)
{
	cr_assert_not(CHECK(INSN(BPF_LD | BPF_ABS, 0, 0, 0)), "no return");
	cr_assert_not(CHECK(INSN(BPF_LD | BPF_ABS, 0, 0, 2), INSN(BPF_RET, 0, 0, 0)), "unaligned");
	cr_assert_not(CHECK(INSN(BPF_LD | BPF_ABS, 0, 0, 64), INSN(BPF_RET, 0, 0, 0)), "behind the data");
	cr_assert_not(CHECK(INSN(BPF_JMP | BPF_JA, 0, 0, 1), INSN(BPF_RET, 0, 0, 0)), "jump out");
	cr_assert_not(CHECK(INSN(BPF_JMP | BPF_JEQ, 0, 1, 0), INSN(BPF_RET, 0, 0, 0)), "branch out");
	cr_assert_not(CHECK(INSN(BPF_JMP | BPF_JA, 0, 0, UINT32_MAX), INSN(BPF_RET, 0, 0, 0)), "jump back");
	cr_assert_not(CHECK(INSN(BPF_ALU | BPF_DIV, 0, 0, 0), INSN(BPF_RET, 0, 0, 0)), "division by zero");
	cr_assert_not(CHECK(INSN(BPF_ALU | BPF_LSH, 0, 0, 32), INSN(BPF_RET, 0, 0, 0)), "wide shift");
	cr_assert_not(CHECK(INSN(BPF_ST, 0, 0, 16), INSN(BPF_RET, 0, 0, 0)), "scratch word 16");
	cr_assert_not(CHECK(INSN(BPF_LD | BPF_MEM, 0, 0, 0), INSN(BPF_RET | BPF_A, 0, 0, 0)), "unwritten scratch");
	cr_assert_not(CHECK(INSN(BPF_JMP | BPF_JEQ, 1, 0, 5), INSN(BPF_ST, 0, 0, 0), INSN(BPF_LD | BPF_MEM, 0, 0, 0),
			    INSN(BPF_RET, 0, 0, 0)),
		      "scratch written on one path only");
	cr_assert_not(CHECK(INSN(BPF_LD | 0x28, 0, 0, 0), INSN(BPF_RET, 0, 0, 0)), "half words");
	cr_assert_not(bpf_check(NULL, 0, 64), "empty");
}

Test(bpf, programs_compute)
{
	cr_assert_eq(RUN(INSN(BPF_RET, 0, 0, 42)), 42);
	cr_assert_eq(RUN(INSN(BPF_LD | BPF_ABS, 0, 0, 0), INSN(BPF_RET | BPF_A, 0, 0, 0)), 59);
	cr_assert_eq(RUN(INSN(BPF_LD | BPF_ABS, 0, 0, 16), INSN(BPF_MISC | BPF_TAX, 0, 0, 0),
			 INSN(BPF_LD | BPF_IMM, 0, 0, 100), INSN(BPF_ALU | BPF_SUB | BPF_X, 0, 0, 0),
			 INSN(BPF_RET | BPF_A, 0, 0, 0)),
		     93);
	cr_assert_eq(RUN(INSN(BPF_LD | BPF_ABS, 0, 0, 0), INSN(BPF_JMP | BPF_JEQ, 1, 0, 59), INSN(BPF_RET, 0, 0, 1),
			 INSN(BPF_RET, 0, 0, 2)),
		     2);
	cr_assert_eq(RUN(INSN(BPF_LD | BPF_IMM, 0, 0, 5), INSN(BPF_ST, 0, 0, 3), INSN(BPF_LDX | BPF_MEM, 0, 0, 3),
			 INSN(BPF_ALU | BPF_MUL | BPF_X, 0, 0, 0), INSN(BPF_RET | BPF_A, 0, 0, 0)),
		     25);
	cr_assert_eq(RUN(INSN(BPF_ALU | BPF_DIV | BPF_X, 0, 0, 0), INSN(BPF_RET, 0, 0, 9)), 0);
	cr_assert_eq(
		RUN(INSN(BPF_LD | BPF_LEN, 0, 0, 0), INSN(BPF_ALU | BPF_NEG, 0, 0, 0), INSN(BPF_RET | BPF_A, 0, 0, 0)),
		(uint32_t)-64);
}

/* Random instructions: whatever passes must end (the sanitizers watch where it goes). */
Test(bpf, accepted_programs_end)
{
	static const uint16_t codes[] = {0x20, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61, 0x02, 0x03, 0x04, 0x0c,
					 0x14, 0x24, 0x3c, 0x44, 0x54, 0x64, 0x6c, 0x74, 0x84, 0xa4, 0x05,
					 0x15, 0x1d, 0x25, 0x35, 0x45, 0x06, 0x16, 0x07, 0x87};
	struct linux_sock_filter p[24];
	unsigned accepted = 0;

	srandom(1);
	for (unsigned round = 0; round < 300000; round++) {
		unsigned len = 1 + (unsigned)random() % ARRAY_LEN(p);

		for (unsigned i = 0; i < len; i++)
			p[i] = INSN(codes[(unsigned long)random() % ARRAY_LEN(codes)], (uint8_t)(random() % 5),
				    (uint8_t)(random() % 5), (uint32_t)random() % 70);
		p[len - 1] = INSN(BPF_RET | BPF_A, 0, 0, 0);
		if (!bpf_check(p, len, sizeof(data)))
			continue;
		accepted++;
		(void)bpf_run(p, &data, sizeof(data));
	}
	cr_assert_gt(accepted, 1000);
}
