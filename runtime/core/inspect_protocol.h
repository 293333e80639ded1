/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sentry and the inspector say to each other over a socketpair of their own (SOCK_SEQPACKET, one of these a
 * message). The monitor makes the pair, starts the inspector with one end and hands the other to the sentry.
 *
 *	sentry                                  inspector
 *	  START {registers}               -->   unwinds
 *	        <-- READ {addr, len}            bytes of the guest's memory, at most a page
 *	  DATA {len, bytes}               -->   len may be shorter, 0: nothing is readable there
 *	        <-- MAP {addr}                  what is mapped there?
 *	  MAPPING {start, end, base, name} -->  start == end: nothing
 *	        <-- FRAME, INSN, NOTE {text}    no answer; at most INSPECT_MAX_LINES
 *	        <-- DONE                        ready for the next START
 *
 * Neither end believes the other: the inspector has read hostile bytes, and the sentry's answers are the guest's bytes. The
 * sentry looks at sizes, counts and printable characters, nothing else.
 */
#ifndef RUNTIME_CORE_INSPECT_PROTOCOL_H
#define RUNTIME_CORE_INSPECT_PROTOCOL_H

#include <stdint.h>

#define INSPECT_FD 3
#define INSPECT_VERSION 0x49730001u
#define INSPECT_PAGE 4096u
#define INSPECT_MAX_FRAMES 64u
#define INSPECT_MAX_LINES (INSPECT_MAX_FRAMES + 2)
#define INSPECT_MAX_REQUESTS 4096u /* for one backtrace: READ and MAP together */

enum inspect_type {
	INSPECT_START = 1,
	INSPECT_READ,
	INSPECT_DATA,
	INSPECT_MAP,
	INSPECT_MAPPING,
	INSPECT_FRAME, /* one line of the backtrace, innermost first */
	INSPECT_INSN,  /* the instruction at the innermost frame */
	INSPECT_NOTE,  /* why the backtrace is no longer */
	INSPECT_DONE,
};

/* In the order of DWARF: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8..r15, rip. */
#define INSPECT_NREGS 17
#define INSPECT_REG_RBP 6
#define INSPECT_REG_RSP 7
#define INSPECT_REG_RIP 16

struct inspect_start {
	uint32_t type, version;
	uint32_t known; /* bit n: regs[n] is known */
	uint32_t pad;
	uint64_t regs[INSPECT_NREGS];
};

struct inspect_ask { /* READ, MAP, DONE */
	uint32_t type, len;
	uint64_t addr;
};

struct inspect_data {
	uint32_t type, len;
	uint64_t addr;
	uint8_t bytes[INSPECT_PAGE];
};

struct inspect_mapping {
	uint32_t type, pad;
	uint64_t addr;
	uint64_t start, end;
	uint64_t base;  /* where the file's first byte is mapped, as near below as it was found; 0: not known */
	char name[256]; /* of the file, or "[stack]"...; empty for memory without a name */
};

struct inspect_line {
	uint32_t type;
	char text[252];
};

union inspect_message {
	uint32_t type;
	struct inspect_start start;
	struct inspect_ask ask;
	struct inspect_data data;
	struct inspect_mapping mapping;
	struct inspect_line line;
};

#endif
