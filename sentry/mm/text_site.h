/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes around a `syscall` instruction may become a jump, and what the jump's target holds. Pure functions. */
#ifndef SENTRY_MM_TEXT_SITE_H
#define SENTRY_MM_TEXT_SITE_H

#include "sentry/base/types.h"

/* How a site is rewritten. The punned forms name the region their target lies in. */
enum text_form {
	TEXT_FORM_NONE,
	TEXT_FORM_NEAR, /* 0f 05 48 3d 00: a jump by 0x003d4805 */
	TEXT_FORM_FAR,  /* 0f 05 48 3d 01: a jump by 0x013d4805 */
	/* No site's: regions for the pool of a program whose own data lies where the two would be. */
	TEXT_FORM_AWAY,  /* of one that is linked at a low address: far above it */
	TEXT_FORM_BELOW, /* of one that lies anywhere else: below it, where its heap never grows */
	TEXT_FORM_MOV,  /* b8 imm32 0f 05: the mov becomes a jump to a slot of the pool */
	TEXT_FORM_RELOC, /* an instruction before it becomes one; that and those up to the syscall run in the slot */
	TEXT_NFORMS,
};

/* Why a site stays as it is. */
enum text_why {
	TEXT_WHY_NONE,
	TEXT_WHY_NO_PATTERN, /* nothing around it that could be used */
	TEXT_WHY_FLAGS,      /* what follows may read the flags that the call leaves alone */
	TEXT_WHY_SIGRETURN,  /* rt_sigreturn: unwinders know these bytes */
	TEXT_WHY_NO_ROOM,    /* the region its jump leads to isn't free, or its slot isn't */
	TEXT_WHY_FILE,       /* the file is too large, excluded, or open for writing */
	TEXT_NWHY,
};

/* Distances of the regions from the text they belong to, and of a site's slot from its region's start. */
#define TEXT_NEAR_SHIFT 0x003d4000UL
#define TEXT_FAR_SHIFT 0x013d4000UL
#define TEXT_AWAY_SHIFT 0x40000000UL /* in reach of a jump, and above the data of nearly every program linked at a low address */
#define TEXT_BELOW_SHIFT (0UL - 0x10000000UL) /* as near as the largest file leaves it, so that all data of a program stays in reach */
#define TEXT_SLOT_SHIFT 0x80aUL /* 5, the jump's length, and the displacement's low bits */

#define TEXT_PUNNED_LEN 15U
#define TEXT_MOV_LEN 20U
#define TEXT_RELOC_MAX 48U                   /* bytes of instructions that move */
#define TEXT_RELOC_LEN (TEXT_RELOC_MAX + 15U) /* and what a slot ends with */
#define TEXT_JUMP 5U
#define TEXT_HOP 2U /* a short jump, to padding in which a long one fits */
#define TEXT_POOL_SLOT 32U
#define TEXT_POOL_LEN (4 * PAGE_SIZE)

/* A region: a slot for each byte of text (the last ends in the page behind its length), then the pool. */
static inline uint64_t text_region_len(uint64_t text_len)
{
	return text_len + PAGE_SIZE + TEXT_POOL_LEN;
}
static inline uint64_t text_pool_start(uint64_t text_len)
{
	return text_len + PAGE_SIZE;
}
/* To be added to the text's start; it wraps where the region lies below. */
static inline uint64_t text_shift(enum text_form form)
{
	switch (form) {
	case TEXT_FORM_FAR:
		return TEXT_FAR_SHIFT;
	case TEXT_FORM_AWAY:
		return TEXT_AWAY_SHIFT;
	case TEXT_FORM_BELOW:
		return TEXT_BELOW_SHIFT;
	default:
		return TEXT_NEAR_SHIFT;
	}
}

/* The punned form that the bytes at off (of 0f 05) allow, or NONE. text[0..len) is all there is. */
enum text_form text_punned(const uint8_t *text, size_t len, size_t off) must_check;
/*
 * May the five bytes in front of the syscall at off become a jump? They must be `mov $nr, %eax`, not the tail of
 * another instruction as far as the bytes before tell, and what follows the syscall must not read the flags. NONE: yes.
 */
enum text_why text_mov_check(const uint8_t *text, size_t len, size_t off, int nr) must_check;
/*
 * A site that only the stub tells of, or a cache, whose word proves nothing: do the bytes leave no doubt? They are `syscall;
 * cmp $-4096 (or -4095),%rax`, eight of them, or `mov $nr,%eax; syscall` with all that text_mov_check asks for. Nobody has
 * those by chance, or as data, in the middle of a program.
 */
bool text_surely_site(const uint8_t *text, size_t len, size_t off, int nr) must_check;
/*
 * The same of `exit` (nr), whose verdict is TRAP, so that the host never tells of it: do the bytes say that there is nothing but
 * the loop into which the C library compiles a thread's end? Its instructions must move, with the whole proof of that.
 */
bool text_surely_exit(const uint8_t *text, size_t len, size_t off, int nr) must_check;
/*
 * Where the instruction begins, in bytes before the syscall at off, that may become a jump of so many bytes (TEXT_JUMP,
 * TEXT_HOP), so that it and all that follow up to the syscall run elsewhere; 0: there is none, *why says why. It is the nearest
 * that is as long, but farther than `beyond`; it surely begins there (text_insn_begins), no short jump leads into what changes
 * of it, nothing between it and the syscall depends on its place but by a distance that can be adjusted, and what follows the
 * syscall doesn't read the flags. Jumps from afar are the caller's to look for.
 */
unsigned text_reloc_find(const uint8_t *text, size_t len, size_t off, unsigned jump, unsigned beyond,
			 enum text_why *why) must_check;
/*
 * The next place, from `from` on, where at least five bytes of padding lie in reach of a short jump that ends at text + end:
 * fewer than sixteen bytes of instructions that do nothing, between an instruction that surely is a return or a jump and the
 * next multiple of sixteen, to which no short jump leads. Their number in *n, at most 15; SIZE_MAX: there are no more. text
 * begins at a multiple of sixteen.
 */
size_t text_padding_find(const uint8_t *text, size_t len, size_t end, size_t from, unsigned *n) must_check;
/* Does a short jump near text + at lead to one of the n places from there on, or could it? */
bool text_short_jump_to(const uint8_t *text, size_t len, size_t at, unsigned n) must_check;
/* Sets the bits of all places in the text that five or six bytes of it, wherever they begin, jump to or call when read so. */
void text_far_jumps(const uint8_t *text, size_t len, uint8_t *bits);
/* True if the instruction at p (n bytes are readable) surely doesn't read the flags. */
bool text_ignores_flags(const uint8_t *p, size_t n) must_check;

/* From text + at on, are the flags set anew before anything reads them, or a function left, by the way of its direct jumps? */
bool text_flags_unused(const uint8_t *text, size_t len, size_t at) must_check;

/* The code of a slot of a punned form. Nothing in it depends on the site: they are at a fixed distance. */
void text_encode_punned(uint8_t code[TEXT_PUNNED_LEN], enum text_form form);
/* The code of a pool slot at address slot for a `mov $nr` in front of the syscall at address site. */
void text_encode_mov(uint8_t code[TEXT_MOV_LEN], uint32_t nr, uint64_t slot, uint64_t site);
/* The code of a pool slot at address slot for the `back` bytes of instructions at p, which end at the syscall at address site.
 * Its length; 0: what they refer to is out of reach. */
unsigned text_encode_reloc(uint8_t code[TEXT_RELOC_LEN], const uint8_t *p, unsigned back, uint64_t slot,
			   uint64_t site) must_check;
/* The jump to a slot; it ends at address end. */
void text_encode_jump(uint8_t code[5], uint64_t slot, uint64_t end);
/* A thread stands at byte `at` of a RELOC slot, whose code that is: how many of its `back` bytes of moved instructions are
 * done; -1: no instruction begins there. */
int text_reloc_done(const uint8_t *code, unsigned back, unsigned at) must_check;
/* Do five bytes at off lie within one aligned word of this many bytes? */
static inline bool text_in_word(uint64_t off, unsigned word)
{
	return off % word + 5 <= word;
}
/* Does an instruction of a slot, not RELOC's, start at its byte `at`? */
bool text_slot_boundary(enum text_form form, unsigned at) must_check;

#endif
