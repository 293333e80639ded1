/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lengths of x86-64's instructions, by tables: a letter for each opcode says what follows it.
 *
 *	prefixes | REX | opcode, or 0f opcode, or VEX or EVEX and opcode | ModRM, SIB, displacement | immediate
 *
 * Only lengths are wanted of most instructions, so that places where instructions begin can be told from others; of a few
 * (movable) also that they do the same anywhere. Operands, privileges and processor features don't matter: what the
 * processor would refuse may be decoded as if it wouldn't, as long as its length is right; but what can't begin an
 * instruction in 64-bit mode is said to be so, because it ends a wrong way of reading.
 *
 * The bytes are the guest's. Nothing behind p + n is read.
 */
#include "sentry/mm/text_insn.h"

#include <string.h>

/*
 * .  nothing follows               M  ModRM, 1 byte           p  a prefix         f  0f
 * m  ModRM                         Z  ModRM, 2 or 4 bytes     j  1 byte, a jump   g  ModRM, and an immediate if it is test
 * 1  1 byte                        w  2 bytes                 J  4 bytes, a jump  2, 3: VEX; E: EVEX
 * z  2 or 4 bytes                  e  3 bytes                 o  an address       x  never
 * v  2, 4 or 8 bytes               h  pop, or XOP             ?  not known
 */
static const char one_byte[] =
	"mmmm1zxxmmmm1zxf" /* 00 */
	"mmmm1zxxmmmm1zxx" /* 10 */
	"mmmm1zpxmmmm1zpx" /* 20 */
	"mmmm1zpxmmmm1zpx" /* 30 */
	"pppppppppppppppp" /* 40: REX */
	"................" /* 50 */
	"xxEmppppzZ1M...." /* 60 */
	"jjjjjjjjjjjjjjjj" /* 70 */
	"MZxMmmmmmmmmmmmh" /* 80 */
	"..........x....." /* 90 */
	"oooo....1z......" /* a0 */
	"11111111vvvvvvvv" /* b0 */
	"MMw.32MZe.w..1x." /* c0 */
	"mmmmx?x.mmmmmmmm" /* d0; d5: REX2 of newer processors */
	"jjjj1111JJxj...." /* e0 */
	"p.pp..gg......mm" /* f0 */;

static const char two_byte[] =
	"mmmmx.....x.xm.M" /* 00; 0f is 3DNow!, whose opcode comes last */
	"mmmmmmmmmmmmmmmm" /* 10 */
	"xxxxxxxxmmmmmmmm" /* 20 */
	"......x.?x?xxxxx" /* 30; 38 and 3a: three bytes */
	"mmmmmmmmmmmmmmmm" /* 40 */
	"mmmmmmmmmmmmmmmm" /* 50 */
	"mmmmmmmmmmmmmmmm" /* 60 */
	"MMMMmmm.?mxxmmmm" /* 70; 78 may have immediates */
	"JJJJJJJJJJJJJJJJ" /* 80 */
	"mmmmmmmmmmmmmmmm" /* 90 */
	"...mMmxx...mMmmm" /* a0 */
	"mmmmmmmmmmMmmmmm" /* b0 */
	"mmMmMMMm........" /* c0 */
	"mmmmmmmmmmmmmmmm" /* d0 */
	"mmmmmmmmmmmmmmmm" /* e0 */
	"mmmmmmmmmmmmmmmm" /* f0 */;

_Static_assert(sizeof(one_byte) == 257 && sizeof(two_byte) == 257, "a letter an opcode");

enum { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A };

struct decoder {
	const uint8_t *p;
	size_t n, at;
	bool word, rexw, rep, lock, segment, address32, vex;
	uint8_t map, op, modrm;
	char kind;
};

static bool next(struct decoder *d, uint8_t *byte)
{
	if (d->at >= d->n || d->at >= TEXT_INSN_MAX)
		return false;
	*byte = d->p[d->at++];
	return true;
}

/* Cut off by the bytes that are there, or longer than an instruction may be. */
static enum text_decoded short_of(const struct decoder *d)
{
	return d->at >= TEXT_INSN_MAX ? TEXT_INSN_NEVER : TEXT_INSN_UNKNOWN;
}

static bool take_prefix(struct decoder *d, uint8_t byte)
{
	switch (byte) {
	case 0x66:
		d->word = true;
		return true;
	case 0x67:
		d->address32 = true;
		return true;
	case 0xf0:
		d->lock = true;
		return true;
	case 0xf2: case 0xf3:
		d->rep = true;
		return true;
	case 0x26: case 0x2e: case 0x36: case 0x3e:
		return true; /* without a meaning, or a hint */
	case 0x64: case 0x65:
		d->segment = true;
		return true;
	default:
		return false;
	}
}

/* The kind of an opcode behind VEX or EVEX: all have a ModRM, but for vzeroupper; some an immediate byte. */
static char vector_kind(unsigned map, uint8_t op)
{
	switch (map) {
	case 1:
		if (op == 0x77)
			return '.';
		return (op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6) ? 'M' : 'm';
	case 2:
		return 'm';
	case 3:
		return 'M';
	default:
		return '?';
	}
}

/* The rest of a VEX or EVEX prefix, and the opcode. */
static enum text_decoded take_vector(struct decoder *d, char which)
{
	uint8_t b[3] = {0};
	unsigned map = 1;

	if (d->word || d->rep || d->lock || d->rexw)
		return TEXT_INSN_NEVER;
	for (unsigned i = 0; i < (which == '2' ? 1 : which == '3' ? 2 : 3); i++)
		if (!next(d, &b[i]))
			return short_of(d);
	if (which == '3')
		map = b[0] & 0x1f;
	if (which == 'E') {
		map = b[0] & 7;
		if ((b[0] & 8) != 0 || (b[1] & 4) == 0)
			return TEXT_INSN_UNKNOWN; /* of newer processors */
		if (map == 5 || map == 6)
			map = 2; /* as far as lengths go */
	}
	if (!next(d, &d->op))
		return short_of(d);
	d->vex = true;
	d->kind = vector_kind(map, d->op);
	return d->kind == '?' ? TEXT_INSN_UNKNOWN : TEXT_INSN_OK;
}

static enum text_decoded take_two_byte(struct decoder *d)
{
	if (!next(d, &d->op))
		return short_of(d);
	d->map = MAP_0F;
	d->kind = two_byte[d->op];
	if (d->op == 0x38 || d->op == 0x3a) {
		d->map = d->op == 0x38 ? MAP_0F38 : MAP_0F3A;
		if (!next(d, &d->op))
			return short_of(d);
		d->kind = d->map == MAP_0F38 ? 'm' : 'M';
	}
	return TEXT_INSN_OK;
}

/* Prefixes and opcode. */
static enum text_decoded take_opcode(struct decoder *d)
{
	uint8_t byte;
	bool rex = false;

	do
		if (!next(d, &byte))
			return short_of(d);
	while (take_prefix(d, byte));
	if ((byte & 0xf0) == 0x40) {
		d->rexw = (byte & 8) != 0;
		rex = true;
		if (!next(d, &byte))
			return short_of(d);
		/* A REX that isn't the last prefix counts for nothing: no compiler writes it. */
		if ((byte & 0xf0) == 0x40 || one_byte[byte] == 'p')
			return TEXT_INSN_UNKNOWN;
	}
	d->op = byte;
	d->kind = one_byte[byte];
	if (d->kind == 'f')
		return take_two_byte(d);
	if (d->kind == '2' || d->kind == '3' || d->kind == 'E')
		return rex ? TEXT_INSN_NEVER : take_vector(d, d->kind);
	return TEXT_INSN_OK;
}

/* ModRM, SIB and displacement. */
static enum text_decoded take_modrm(struct decoder *d, struct text_insn *out)
{
	unsigned mod, rm, disp = 0;
	uint8_t sib;

	if (!next(d, &d->modrm))
		return short_of(d);
	mod = d->modrm >> 6;
	rm = d->modrm & 7;
	if (mod == 3)
		return TEXT_INSN_OK;
	if (rm == 4) {
		if (!next(d, &sib))
			return short_of(d);
		if (mod == 0 && (sib & 7) == 5)
			disp = 4;
	} else if (mod == 0 && rm == 5) {
		out->rip_disp = (uint8_t)d->at;
		disp = 4;
	}
	disp += mod == 1 ? 1 : mod == 2 ? 4 : 0;
	d->at += disp;
	return TEXT_INSN_OK;
}

/* Of what follows the opcode, and the ModRM if it has one; -1: not known. */
static int immediate_len(const struct decoder *d)
{
	int z = d->word && !d->rexw ? 2 : 4;

	switch (d->kind) {
	case '.': case 'm':
		return 0;
	case '1': case 'M': case 'j':
		return 1;
	case 'w':
		return 2;
	case 'e':
		return 3;
	case 'z': case 'Z':
		return z;
	case 'v':
		return d->rexw ? 8 : z;
	case 'J':
		/* Processors differ in what a word's jump is. */
		return d->word && !d->rexw ? -1 : 4;
	case 'o':
		return d->address32 ? 4 : 8;
	case 'g':
		return (d->modrm & 0x30) != 0 ? 0 : d->op == 0xf6 ? 1 : z;
	case 'h':
		return (d->modrm & 0x38) != 0 ? -1 : 0;
	default:
		return -1;
	}
}

static bool one_byte_movable(const struct decoder *d)
{
	unsigned reg = d->modrm >> 3 & 7;

	switch (d->op) {
	case 0x00 ... 0x05: case 0x08 ... 0x0d: /* add, or */
	case 0x10 ... 0x15: case 0x18 ... 0x1d: /* adc, sbb */
	case 0x20 ... 0x25: case 0x28 ... 0x2d: /* and, sub */
	case 0x30 ... 0x35: case 0x38 ... 0x3d: /* xor, cmp */
	case 0x50 ... 0x5f: /* push, pop */
	case 0x63: /* movsxd */
	case 0x68: case 0x6a: /* push */
	case 0x69: case 0x6b: /* imul */
	case 0x80: case 0x81: case 0x83 ... 0x8b: /* arithmetic, test, xchg, mov */
	case 0x90: case 0x98: case 0x99: case 0xa8: case 0xa9:
	case 0xb0 ... 0xbf: /* mov */
	case 0xc0: case 0xc1: case 0xd0 ... 0xd3: /* shifts */
		return true;
	case 0x8d: /* lea has no register form */
		return d->modrm < 0xc0;
	case 0xc6: case 0xc7:
		return reg == 0; /* not xabort, xbegin */
	case 0xf6: case 0xf7:
		return reg == 0 || reg == 2 || reg == 3; /* test, not, neg: no division, whose fault names its place */
	default:
		return false;
	}
}

static bool two_byte_movable(const struct decoder *d)
{
	switch (d->op) {
	case 0x10 ... 0x17: case 0x28: case 0x29: case 0x54 ... 0x57: /* vector moves and logic */
	case 0x1f: /* nop */
	case 0x40 ... 0x4f: /* cmov */
	case 0x6c ... 0x6f: case 0x7e: case 0x7f: case 0xd6: case 0xef:
	case 0x90 ... 0x9f: /* setcc */
	case 0xaf: case 0xb6: case 0xb7: case 0xbe: case 0xbf: /* imul, movzx, movsx */
		return true;
	default:
		return false;
	}
}

/* Segments stay out (the trampoline's entry is one's), and what means something else with a prefix. */
static bool is_movable(const struct decoder *d)
{
	if (d->vex || d->segment || d->lock || d->address32 || (d->rep && d->map == MAP_ONE))
		return false;
	return d->map == MAP_ONE ? one_byte_movable(d) : d->map == MAP_0F && two_byte_movable(d);
}

enum text_decoded text_insn_decode(const uint8_t *p, size_t n, struct text_insn *out)
{
	struct decoder d = {.p = p, .n = n};
	enum text_decoded got = take_opcode(&d);
	int imm;

	memset(out, 0, sizeof(*out));
	if (got != TEXT_INSN_OK)
		return got;
	if (d.kind == 'x')
		return TEXT_INSN_NEVER;
	if (strchr("mMZgh", d.kind) != NULL) {
		got = take_modrm(&d, out);
		if (got != TEXT_INSN_OK)
			return got;
	}
	imm = immediate_len(&d);
	if (imm < 0)
		return TEXT_INSN_UNKNOWN;
	d.at += (size_t)imm;
	if (d.at > TEXT_INSN_MAX)
		return TEXT_INSN_NEVER;
	if (d.at > n)
		return TEXT_INSN_UNKNOWN;
	out->len = (uint8_t)d.at;
	out->movable = is_movable(&d);
	if (d.kind == 'j') {
		out->jumps = true;
		out->rel = (int8_t)p[d.at - 1];
	} else if (d.kind == 'J') {
		out->jumps = true;
		memcpy(&out->rel, p + d.at - 4, 4);
	}
	return TEXT_INSN_OK;
}

bool text_insn_begins(const uint8_t *text, size_t len, size_t at)
{
	/* Reading from here comes to `at`, or past it, or nowhere. */
	enum { HITS = 1, NOWHERE, PASSES } reads[TEXT_SURE_BEFORE + TEXT_INSN_MAX];
	size_t window = at < TEXT_SURE_BEFORE ? at : TEXT_SURE_BEFORE;
	unsigned run = 0, hits = 0;

	if (at > len)
		return false;
	/* back: the distance from `at`. */
	for (size_t back = 1; back <= window; back++) {
		struct text_insn insn;

		switch (text_insn_decode(text + at - back, len - (at - back), &insn)) {
		case TEXT_INSN_OK:
			reads[back] = insn.len < back ? reads[back - insn.len] : insn.len == back ? HITS : PASSES;
			break;
		case TEXT_INSN_NEVER:
			reads[back] = NOWHERE;
			break;
		default:
			reads[back] = PASSES; /* it may */
		}
		if (reads[back] == PASSES) {
			run = hits = 0;
			continue;
		}
		run++;
		hits += reads[back] == HITS;
		if (run >= TEXT_INSN_MAX && hits != 0)
			return true;
	}
	return false;
}
