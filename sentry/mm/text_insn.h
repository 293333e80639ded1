/* SPDX-License-Identifier: Apache-2.0 */
/* How long an instruction is, whether it may be executed elsewhere, and where instructions surely begin. Pure functions. */
#ifndef SENTRY_MM_TEXT_INSN_H
#define SENTRY_MM_TEXT_INSN_H

#include "sentry/base/types.h"

#define TEXT_INSN_MAX 15U

struct text_insn {
	uint8_t len;
	uint8_t rip_disp; /* where in it four bytes are a distance from its end to what it names; 0: none */
	bool movable;     /* a copy elsewhere, with that distance adjusted, does the same: moves, arithmetic, stack, no jumps */
	bool jumps;       /* directly, to its end + rel */
	int32_t rel;
};

enum text_decoded {
	TEXT_INSN_OK,
	TEXT_INSN_NEVER,   /* no instruction of 64-bit mode begins so */
	TEXT_INSN_UNKNOWN, /* nothing can be said: it is cut off, or depends on the processor */
};

/* The instruction at p, of which n bytes are there. */
enum text_decoded text_insn_decode(const uint8_t *p, size_t n, struct text_insn *out) must_check;

/*
 * Does an instruction surely begin at text + at? It does if it does in every way of reading the bytes before: of fifteen
 * places in a row one is where an instruction begins, and reading from there is how the processor does it. The proof needs
 * that they are code; what lies before text is not looked at, nor what lies behind text + len.
 */
bool text_insn_begins(const uint8_t *text, size_t len, size_t at) must_check;

#define TEXT_SURE_BEFORE 192U /* bytes before a place that text_insn_begins looks at, at most */

#endif
