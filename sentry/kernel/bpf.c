/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classic BPF: a checker and an interpreter.
 *
 * The program is the guest's. bpf_check walks it once; what it accepts can't leave the program, the data or the scratch
 * words, and ends after at most len steps, because jumps only go forward. Opcodes are those seccomp(2) allows.
 */
#include "sentry/kernel/bpf.h"

#include <string.h>

#define OP(class, rest) ((class) | (rest))

static bool check_alu(const struct linux_sock_filter *f)
{
	switch (f->code & ~(BPF_X | 7)) {
	case BPF_ADD:
	case BPF_SUB:
	case BPF_MUL:
	case BPF_OR:
	case BPF_AND:
	case BPF_XOR:
		return true;
	case BPF_DIV:
		return (f->code & BPF_X) || f->k != 0;
	case BPF_LSH:
	case BPF_RSH:
		return (f->code & BPF_X) || f->k < 32;
	case BPF_NEG:
		return !(f->code & BPF_X);
	default:
		return false;
	}
}

static bool check_jump(const struct linux_sock_filter *f, unsigned left)
{
	switch (f->code & ~(BPF_X | 7)) {
	case BPF_JA:
		return !(f->code & BPF_X) && f->k < left;
	case BPF_JEQ:
	case BPF_JGT:
	case BPF_JGE:
	case BPF_JSET:
		return f->jt < left && f->jf < left;
	default:
		return false;
	}
}

/* left: instructions behind this one. */
static bool check_one(const struct linux_sock_filter *f, unsigned left, unsigned size)
{
	switch (f->code) {
	case OP(BPF_LD, BPF_ABS):
		return (f->k & 3) == 0 && f->k < size;
	case OP(BPF_LD, BPF_LEN):
	case OP(BPF_LDX, BPF_LEN):
	case OP(BPF_LD, BPF_IMM):
	case OP(BPF_LDX, BPF_IMM):
	case OP(BPF_RET, BPF_K):
	case OP(BPF_RET, BPF_A):
	case OP(BPF_MISC, BPF_TAX):
	case OP(BPF_MISC, BPF_TXA):
		return true;
	case OP(BPF_LD, BPF_MEM):
	case OP(BPF_LDX, BPF_MEM):
	case BPF_ST:
	case BPF_STX:
		return f->k < LINUX_BPF_MEMWORDS;
	}
	if (BPF_CLASS(f->code) == BPF_ALU)
		return check_alu(f);
	if (BPF_CLASS(f->code) == BPF_JMP)
		return check_jump(f, left);
	return false;
}

/* Which scratch words are surely written when each instruction is reached: what is stored on all paths to it. */
static bool check_scratch(const struct linux_sock_filter *prog, unsigned len)
{
	static uint16_t known[LINUX_BPF_MAXINSNS]; /* one host thread; too large for a coroutine's stack */
	uint16_t have = 0;
	unsigned i;

	memset(known, 0xff, len * sizeof(known[0]));
	for (i = 0; i < len; i++) {
		const struct linux_sock_filter *f = &prog[i];

		have &= known[i];
		switch (f->code) {
		case BPF_ST:
		case BPF_STX:
			have |= (uint16_t)(1U << f->k);
			break;
		case OP(BPF_LD, BPF_MEM):
		case OP(BPF_LDX, BPF_MEM):
			if (!(have & (1U << f->k)))
				return false;
			break;
		case OP(BPF_JMP, BPF_JA):
			known[i + 1 + f->k] &= have;
			have = 0xffff;
			break;
		default:
			if (BPF_CLASS(f->code) != BPF_JMP)
				break;
			known[i + 1 + f->jt] &= have;
			known[i + 1 + f->jf] &= have;
			have = 0xffff;
		}
	}
	return true;
}

bool bpf_check(const struct linux_sock_filter *prog, unsigned len, unsigned size)
{
	unsigned i;

	if (len == 0 || len > LINUX_BPF_MAXINSNS)
		return false;
	for (i = 0; i < len; i++)
		if (!check_one(&prog[i], len - 1 - i, size))
			return false;
	return BPF_CLASS(prog[len - 1].code) == BPF_RET && check_scratch(prog, len);
}

static uint32_t alu(uint16_t code, uint32_t a, uint32_t v)
{
	switch (code & ~(BPF_X | 7)) {
	case BPF_ADD:
		return a + v;
	case BPF_SUB:
		return a - v;
	case BPF_MUL:
		return a * v;
	case BPF_OR:
		return a | v;
	case BPF_AND:
		return a & v;
	case BPF_XOR:
		return a ^ v;
	case BPF_DIV:
		return v != 0 ? a / v : 0;
	case BPF_LSH:
		return v < 32 ? a << v : 0;
	case BPF_RSH:
		return v < 32 ? a >> v : 0;
	default:
		return -a;
	}
}

static bool jump(uint16_t code, uint32_t a, uint32_t v)
{
	switch (code & ~(BPF_X | 7)) {
	case BPF_JEQ:
		return a == v;
	case BPF_JGT:
		return a > v;
	case BPF_JGE:
		return a >= v;
	default:
		return (a & v) != 0;
	}
}

uint32_t bpf_run(const struct linux_sock_filter *prog, const void *data, unsigned size)
{
	uint32_t mem[LINUX_BPF_MEMWORDS], a = 0, x = 0, v;
	const struct linux_sock_filter *f = prog;

	for (;; f++) {
		v = (f->code & BPF_X) ? x : f->k;
		switch (BPF_CLASS(f->code)) {
		case BPF_LD:
		case BPF_LDX:
			if (f->code == OP(BPF_LD, BPF_ABS))
				memcpy(&v, (const uint8_t *)data + f->k, sizeof(v));
			else if ((f->code & 0xe0) == BPF_MEM)
				v = mem[f->k];
			else
				v = (f->code & 0xe0) == BPF_LEN ? size : f->k;
			*(BPF_CLASS(f->code) == BPF_LD ? &a : &x) = v;
			break;
		case BPF_ST:
			mem[f->k] = a;
			break;
		case BPF_STX:
			mem[f->k] = x;
			break;
		case BPF_ALU:
			/* A division by zero ends the program. */
			if ((f->code & ~7) == (BPF_DIV | BPF_X) && x == 0)
				return 0;
			a = alu(f->code, a, v);
			break;
		case BPF_JMP:
			if ((f->code & ~7) == BPF_JA)
				f += f->k;
			else
				f += jump(f->code, a, v) ? f->jt : f->jf;
			break;
		case BPF_RET:
			return (f->code & BPF_A) ? a : f->k;
		default:
			if ((f->code & ~7) == BPF_TXA)
				a = x;
			else
				x = a;
		}
	}
}
