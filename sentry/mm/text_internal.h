/* SPDX-License-Identifier: Apache-2.0 */
/* Between text.c (files) and text_map.c (address spaces). */
#ifndef SENTRY_MM_TEXT_INTERNAL_H
#define SENTRY_MM_TEXT_INTERNAL_H

#include "sentry/base/list.h"
#include "sentry/base/ref.h"
#include "sentry/kernel/loop.h"
#include "sentry/mm/text.h"
#include "sentry/mm/text_site.h"
#include "sentry/vfs/vfs.h"

/* When a site is rewritten, and when a file is worth a copy of its text. */
#define TEXT_SITE_ARRIVALS 4U
#define TEXT_FILE_ARRIVALS 64U
#define TEXT_KNOWN_ARRIVALS 32U /* the same for a file that the cache knows */
#define TEXT_RELOC_SCAN (8 * KiB) /* so much text is looked through for jumps per call that came from the first site */
#define TEXT_RELOC_SCAN_KNOWN (64 * KiB) /* ... if the cache names that */
#define TEXT_ID_MAX 32U
#define TEXT_MAX_LEN (16 * MiB)
#define TEXT_MAX_SITES 4096U  /* a file */
#define TEXT_MAX_FILES 128U   /* with rewritten text, at a time: a descriptor each */
#define TEXT_MAX_RANGES 4U    /* of one inode */
#define TEXT_MAX_RECORDS 256U /* an address space */
#define TEXT_BUCKETS 256U
#define TEXT_REGIONS (TEXT_FORM_BELOW + 1)
#define TEXT_AWAY_BELOW 0x40000000UL /* text below that, a program's that is linked at a place, has region AWAY; other text has BELOW */
#define TEXT_CACHE 64U

enum text_state {
	TEXT_COUNTING,
	TEXT_PATCHED,
	TEXT_PENDING, /* MOV or RELOC on its way: its first byte is a breakpoint */
	TEXT_LEFT,    /* stays as it is: see why */
};

struct text_site {
	struct text_site *next; /* in its bucket */
	uint32_t off;           /* of the syscall, from the text's start */
	uint32_t slot;          /* PATCHED: its offset in the region */
	int32_t nr;             /* MOV: the number in the bytes */
	uint8_t back;           /* MOV, RELOC: how far before the syscall the jump begins */
	uint8_t jump;           /* and how long it is: TEXT_JUMP or TEXT_HOP */
	int16_t hop;            /* HOP: the long jump's place, from the syscall's */
	uint8_t was[5], hop_was[5]; /* what stood there */
	uint32_t arrivals;      /* by all processes */
	uint8_t state, form, why;
	bool proven;            /* the host told of it; else the bytes must leave no doubt: text_surely_site */
	bool known;             /* the cache named it: nothing new */
	uint8_t region; /* MOV, RELOC: where its slot is */
	uint8_t step;   /* PENDING: see text_turn */
	struct list turning;    /* PENDING */
	struct text_file *file; /* counted while PENDING */
};

/*
 * One executable range of an inode, and what is known of its call sites.
 *
 *	memfd    0         len          near_off            far_off
 *	         | text    | near       | far region        |
 *
 * Regions that the text has no use for, or no room where it is first rewritten, are left out. Where the program's own data is in
 * the way of both, there is one instead (TEXT_FORM_AWAY, TEXT_FORM_BELOW), in whose pool the slots of all sites lie.
 */
struct text_file {
	struct ref ref;
	struct list link;         /* all of them */
	struct text_file *next;   /* another range of the inode */
	struct inode *inode;      /* borrowed; NULL once it changed or went */
	uint64_t file_off, len;   /* page aligned */
	struct ktimespec mtime;   /* of the inode, and its size, when the copy was made */
	uint64_t size;
	struct text_site *bucket[TEXT_BUCKETS];
	uint32_t nsites;
	uint64_t arrivals;
	struct text_image *image; /* figures; never NULL */
	bool excluded;            /* never copied: too large, excluded, or it failed */
	bool making;              /* somebody copies it */
	bool identified;          /* its build-id has been looked for */
	uint8_t id[TEXT_ID_MAX];  /* zeros behind id_len */
	uint32_t id_len;          /* 0: none, it is not cached */
	uint64_t id_size;         /* the file's then */
	const struct gate_cache_image *known; /* in the cache; NULL: not there */

	/* the twin */
	int fd;                   /* -1: none */
	uint8_t *map;             /* all of the memfd, ours to write */
	uint64_t map_len;
	uint64_t charged;
	bool has[TEXT_REGIONS];   /* regions that exist */
	uint64_t region_off[TEXT_REGIONS];
	uint32_t pool_used[TEXT_REGIONS];
	uint32_t in_use[TEXT_REGIONS]; /* rewritten sites that lead to it */
	uint32_t lacking[TEXT_REGIONS]; /* records that map the text without it */
	uint32_t maps;            /* records that map it */
	uint8_t *page_used;       /* bitmap: pages of regions that hold a slot */
	uint8_t *jumped_to;       /* bitmap: places of the text that far jumps lead to; NULL: nobody has asked yet */
};

/* What a text range is in one address space. */
struct text_record {
	struct list link;
	uint64_t start, end;
	struct text_file *file; /* counted; NULL: only a reservation, for whatever will be mapped in [start, end) */
	bool region[TEXT_REGIONS]; /* reserved; with a file: mapped */
	bool busy;              /* on its way in or out: somebody sleeps */
	uint64_t gone_until;    /* ns: mm_text.gone */
	bool failed;            /* it can't be rewritten here (no room, no memory): don't try again. No regions */
};

struct mm_text {
	struct list records;
	uint32_t nrecords;
	struct list gone; /* records that were, the oldest first: threads may stand where their trampolines were */
	uint32_t ngone;
	struct ktimer gone_timer; /* they are forgotten */
	struct mm *mm;            /* whose it is */
	bool off;
	struct text_span { /* of texts that have a twin and of trampolines: in order, with gaps between them */
		uint64_t start, end;
	} *spans;
	uint32_t nspans; /* 0: not known, anything between text_low and text_high may be one */
	struct text_file *want; /* counted: to be mapped here when a call returns; NULL: none */
	const struct text_record *except; /* text_reserved overlooks it */
	struct {
		uint64_t ip, gen, epoch;
		struct text_file *file; /* borrowed while gen and epoch are the present ones */
		struct text_site *site; /* NULL: nothing to do for this one */
	} cache[TEXT_CACHE];
};

/* ---- text.c ---- */

extern uint64_t text_epoch; /* changes whenever a text_file is taken from its inode */

static inline struct text_file *text_file_get(struct text_file *f)
{
	ref_get(&f->ref);
	return f;
}
/* The record of an inode's range, or NULL. Borrowed. */
struct text_file *text_file_find(const struct inode *inode, uint64_t file_off, uint64_t len);
/* The same, made if it isn't there. NULL if memory or the limits are out. */
struct text_file *text_file_new(struct task *task, struct file *file, uint64_t file_off, uint64_t len);
struct text_site *text_site_find(const struct text_file *f, uint64_t off);
struct text_site *text_site_new(struct text_file *f, uint64_t off);
/* Makes the twin (sleeps). room: which regions it may have, by form: at least one. False if there is none afterwards. */
bool text_file_copy(struct task *task, struct text_file *f, struct file *file, const bool room[TEXT_REGIONS]);
/* True if the twin shows what the inode does. */
bool text_file_valid(const struct text_file *f);
/* Rewrites one site, or says why not. */
void text_patch(struct text_file *f, struct text_site *s, const struct task *current);
/* All sites that have had enough arrivals. */
void text_patch_ready(struct text_file *f, const struct task *current);
/* One step further for every site that is PENDING; called by a timer. */
void text_turn(void);
/* It had been left for a reason that no longer holds. */
void text_site_again(struct text_file *f, struct text_site *s);
/* The site whose long jump lies in padding at off, or NULL. */
const struct text_site *text_hop_at(const struct text_file *f, uint64_t off);
/* Arrivals after which text_patch looks at the site. */
uint32_t text_patience(const struct text_file *f, const struct text_site *s);
void text_site_leave(struct text_file *f, struct text_site *s, enum text_why why);
/* Where a region starts, given where the text does. */
static inline uint64_t text_region(uint64_t start, enum text_form form)
{
	return start + text_shift(form);
}

/* text_remember of each file. */
void text_remember_all(void);

/* ---- text_known.c ---- */

/* The build-id, GNU's or Go's, in the first len bytes of an ELF file: its length, zeros behind it; 0 if there is none. Pure. */
unsigned text_build_id(const uint8_t *head, size_t len, uint8_t id[TEXT_ID_MAX]);
/* Is it worth a look? */
bool text_wants_identity(const struct text_file *f);
/* Looks for the build-id and for what the cache has of it. Sleeps. */
void text_identify(struct task *task, struct text_file *f, struct file *file);
/* Rewrites the sites that the cache names. The twin exists. */
void text_known_apply(struct text_file *f, const struct task *current);
/* Does the cache name this place? */
bool text_known_names(const struct text_file *f, uint64_t off);
/* Notes what was learned of f, if anything is new: it goes, or all does. */
void text_remember(const struct text_file *f);

/* ---- text_map.c ---- */

/* Not for calls that are rare or dear anyway, whose sites gain nothing: threads, processes, their beginnings and ends. */
bool text_number_counts(int nr);

/* Is no thread that sees f's text, but current, on its way through guest code? */
bool text_quiet(const struct text_file *f, const struct task *current);

#endif
