/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate's half in guests' text: hot `syscall` sites are rewritten to jump into the stub. See text.c (files),
 * text_map.c (address spaces), text_site.c (bytes).
 *
 * Everything here may be called with the gate off; gate_on false costs one look at it.
 */
#ifndef SENTRY_MM_TEXT_H
#define SENTRY_MM_TEXT_H

#include "sentry/base/types.h"

struct inode;
struct mm;
struct platform_thread;
struct regs;
struct task;
struct text_file;
struct vma_desc;

/* --gate: set once at start (platform/stubs/gate.c); nothing is rewritten while it is false. */
extern bool gate_on;

/* ---- for the event loop ---- */

/* A call came from the instruction that ends at ip, and not through the gate. proven: the host says so, not the stub.
 * Never sleeps. */
void text_arrival_slow(struct task *task, int nr, uint64_t ip, bool proven);
static inline void text_arrival(struct task *task, int nr, uint64_t ip, bool proven)
{
	if (__builtin_expect(gate_on, 0))
		text_arrival_slow(task, nr, ip, proven);
}
/*
 * The task's call is done with this result and arrivals asked for its address space to be changed (mm->text_pending):
 * does it if the event is plain, which it then makes a full one. Sleeps. False if the thread died.
 */
bool text_return(struct task *task, int64_t ret) must_check;
/* Registers of an interrupted or faulting thread: if they stand in a trampoline, puts them back to the site. True then:
 * what has run of the site's instructions lies before. */
bool text_fix_ip(struct mm *mm, struct regs *regs);
/* A thread could not fetch its next instruction: because that was in a trampoline which another one has had taken away? Then the registers
 * are put back to the text, and it goes on. */
bool text_taken_away(struct mm *mm, struct regs *regs);
/* A thread that is stepped stands at ip: has it done nothing of its own since it left the text for a trampoline? */
bool text_stepped_nothing(struct mm *mm, uint64_t ip);
/* Registers of a thread that ran into a breakpoint: if it is one of ours, they are changed so that it goes on as if what stood
 * there before were still there. */
bool text_fix_trap(struct mm *mm, struct regs *regs);

/* ---- for sentry/mm ---- */

/*
 * [start, end) is about to be replaced, unmapped or moved by the guest: what is rewritten in it, or has its trampolines
 * in it, becomes plain text again first. Before anything is queued; full events only; sleeps if there is something.
 */
int text_claim(struct task *task, uint64_t start, uint64_t end) must_check;
/* The same for text in [start, end) that becomes writable. */
int text_claim_writable(struct task *task, uint64_t start, uint64_t end) must_check;
/* [start, end) has been unmapped: reservations of what lay there go. */
void text_unmapped(struct mm *mm, uint64_t start, uint64_t end);
/* Keeps room for trampolines of [start, end), as far as there is any beside [image_start, image_end), which the rest of
 * its file will take. */
void text_reserve(struct mm *mm, uint64_t start, uint64_t end, uint64_t image_start, uint64_t image_end);
/* As mm_find_free without a hint, for len bytes that have room for trampolines, if there is such a place. */
uint64_t text_find_free(struct mm *mm, uint64_t len, int flags);
/* Does [start, end) meet a reservation or a trampoline? Then *below and *above tell where it starts and ends. */
bool text_reserved(const struct mm *mm, uint64_t start, uint64_t end, uint64_t *below, uint64_t *above);
/*
 * d, complete with its backing, is about to be mapped: if the file has rewritten text for just that, d shows it instead
 * and the trampolines are queued. inflight: the task whose queue it goes through, to keep the descriptor; or NULL.
 */
void text_adopt(struct mm *mm, struct platform_thread *pt, struct vma_desc *d, struct task *inflight);
/* A mapping that had been adopted could not be made. */
void text_adopt_failed(struct mm *mm, const struct vma_desc *d);
/* Does [start, end), some of which lies between text_low and text_high, touch rewritten text or trampolines? */
bool text_meets_slow(const struct mm *mm, uint64_t start, uint64_t end);
/* Bytes just read from guest memory: shows what the program wrote there. Returns how many of them there are: what is
 * behind lies in a trampoline. */
size_t text_read_fix_slow(const struct mm *mm, void *buf, uint64_t addr, size_t len);
/* fork: the copy's records. False if memory is out. */
bool text_dup(const struct mm *from, struct mm *to) must_check;
void text_mm_free(struct mm *mm);
/* A full event: nothing in this address space is rewritten from now on (the guest wants GS for itself). */
int text_disable(struct task *task) must_check;

/* ---- for sentry/vfs ---- */

/* The inode is about to be written or truncated, or opened for it: what was learned of its text is no longer true. */
void text_inode_changed(struct inode *inode);
/* The inode goes. */
void text_inode_evict(struct inode *inode);

/* mm_inflight's reference. */
void text_file_put(struct text_file *f);

/* ---- settings and figures ---- */

/* A path in the sandbox whose text is never rewritten (counted by its end: "/usr/bin/x"). -LINUX_ENOMEM. */
int text_exclude(const char *path) must_check;

/* What is kept from earlier sandboxes (runtime/gate_cache.h), checked here, to stay where it is; or NULL. learn: what this
 * one adds is wanted. */
void text_known_init(const void *data, size_t size, bool learn);
/* What this one has learned, in the same form, for kfree; 0 if nothing is new. */
size_t text_learned(void **out);

struct text_stats {
	char path[120]; /* its end, if it is longer */
	uint64_t arrivals; /* calls that came past the gate */
	uint32_t sites, near, far, mov, reloc, pending;
	uint32_t left[6]; /* by enum text_why */
	uint32_t maps;    /* address spaces that show it rewritten, now */
};
/* The i-th image that calls came from, or false. */
bool text_stats_get(unsigned i, struct text_stats *out);
/* Bytes of memory that rewritten text and trampolines hold. */
uint64_t text_bytes(void);

#endif
