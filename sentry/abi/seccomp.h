/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp(2) and the classic BPF it is written in. */
#ifndef SENTRY_ABI_SECCOMP_H
#define SENTRY_ABI_SECCOMP_H

#include <stdint.h>

#define LINUX_SECCOMP_MODE_DISABLED 0
#define LINUX_SECCOMP_MODE_STRICT 1
#define LINUX_SECCOMP_MODE_FILTER 2

#define LINUX_SECCOMP_SET_MODE_STRICT 0
#define LINUX_SECCOMP_SET_MODE_FILTER 1
#define LINUX_SECCOMP_GET_ACTION_AVAIL 2
#define LINUX_SECCOMP_GET_NOTIF_SIZES 3

#define LINUX_SECCOMP_FLAG_TSYNC 1U
#define LINUX_SECCOMP_FLAG_LOG 2U
#define LINUX_SECCOMP_FLAG_SPEC_ALLOW 4U
#define LINUX_SECCOMP_FLAG_NEW_LISTENER 8U
#define LINUX_SECCOMP_FLAG_TSYNC_ESRCH 16U
#define LINUX_SECCOMP_FLAG_WAIT_KILLABLE_RECV 32U

#define LINUX_SECCOMP_RET_KILL_PROCESS 0x80000000U
#define LINUX_SECCOMP_RET_KILL_THREAD 0x00000000U
#define LINUX_SECCOMP_RET_TRAP 0x00030000U
#define LINUX_SECCOMP_RET_ERRNO 0x00050000U
#define LINUX_SECCOMP_RET_USER_NOTIF 0x7fc00000U
#define LINUX_SECCOMP_RET_TRACE 0x7ff00000U
#define LINUX_SECCOMP_RET_LOG 0x7ffc0000U
#define LINUX_SECCOMP_RET_ALLOW 0x7fff0000U
#define LINUX_SECCOMP_RET_ACTION 0xffff0000U
#define LINUX_SECCOMP_RET_DATA 0x0000ffffU

#define LINUX_AUDIT_ARCH_X86_64 0xc000003eU
#define LINUX_SYS_SECCOMP 1 /* si_code of SIGSYS */

struct linux_seccomp_data {
	int32_t nr;
	uint32_t arch;
	uint64_t instruction_pointer;
	uint64_t args[6];
};

struct linux_sock_filter {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};
struct linux_sock_fprog {
	uint16_t len, pad[3];
	uint64_t filter;
};

#define LINUX_BPF_MAXINSNS 4096
#define LINUX_BPF_MEMWORDS 16

/* Operation codes: class | size or operation | mode or source. */
#define BPF_CLASS(code) ((code)&7)
enum { BPF_LD, BPF_LDX, BPF_ST, BPF_STX, BPF_ALU, BPF_JMP, BPF_RET, BPF_MISC };
enum { BPF_IMM = 0x00, BPF_ABS = 0x20, BPF_MEM = 0x60, BPF_LEN = 0x80 };
enum {
	BPF_ADD = 0x00,
	BPF_SUB = 0x10,
	BPF_MUL = 0x20,
	BPF_DIV = 0x30,
	BPF_OR = 0x40,
	BPF_AND = 0x50,
	BPF_LSH = 0x60,
	BPF_RSH = 0x70,
	BPF_NEG = 0x80,
	BPF_XOR = 0xa0,
};
enum { BPF_JA = 0x00, BPF_JEQ = 0x10, BPF_JGT = 0x20, BPF_JGE = 0x30, BPF_JSET = 0x40 };
enum { BPF_K = 0x00, BPF_X = 0x08, BPF_A = 0x10 };
enum { BPF_TAX = 0x00, BPF_TXA = 0x80 };

#endif
