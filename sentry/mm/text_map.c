/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rewritten text in address spaces: where twins are mapped, room for their trampolines, and the way back.
 *
 *	start              end        start + 0x3d4000          start + 0x13d4000
 *	| text of the file |   ...    | near: trampolines, pool |  ...  | far: the same |
 *
 * The two regions lie where the bytes of a compare lead when they are read as a jump's displacement, so their place can't
 * be chosen: the text's must be, so that theirs are free. An address space keeps records for this, beside the vma tree:
 * the regions are no mappings of the guest's and appear nowhere.
 *
 *	reservation   made when an executable segment, or a file as the dynamic linker maps it, gets its place
 *	              (text_find_free looks for one with room): nothing else is put into the regions unless the guest insists
 *	record        the text in [start, end) is the twin's, and the regions that are marked are mapped
 *
 * Ways in: a mapping that begins as one (text_adopt, from execve and mmap), and the end of a call in a process whose sites
 * are hot (text_return), by commanded mappings over what is there: the trampolines first. The tree doesn't change, and other
 * threads notice nothing, because a fixed mapping replaces the old one at once. A program without an interpreter that maps
 * others' text may be one that reads and translates it, as valgrind does, and must find the file's bytes: there a mapping
 * never begins as a twin, but a call that comes from the text proves that it is executed (text_proven_only).
 *
 * Ways out: the guest maps, unmaps or moves something over the text or a region, or makes the text writable (text_claim,
 * before the call does anything): the file is mapped over the text again, then the trampolines go. That is carried out at
 * once, so that no later call of another thread can meet it. Text that is or ever was writable (VMA_WRITTEN) holds the
 * guest's own bytes and is never replaced.
 *
 * Invariants: wherever the twin's text is mapped, its trampolines are, in every state between; a busy record is being
 * changed by a task that sleeps, and others wait for it; records don't overlap each other's text.
 *
 * The guest controls the number of mappings (TEXT_MAX_RECORDS) and their places. It can unmap text or trampolines behind
 * our back, by jumping into the stub, and then crashes at its next call.
 *
 * A thread that stands in a trampoline while another one has it taken away faults there. Where trampolines were is remembered for
 * a second, so that such a thread goes on from the text, which is the file's by then (text_taken_away).
 *
 * Left out: one that stands there when another maps code over it, which it then runs (the guest must have chosen that address
 * itself); and one that stands at a long jump in padding, one instruction of a site of that form, when the text becomes the file's: it runs the
 * padding. To stop all threads first was tried; it must not wait for calls they are in the middle of.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/text_internal.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#include <string.h>

#define NEAR TEXT_FORM_NEAR
#define FAR TEXT_FORM_FAR
#define FIND_TRIES 64U
#define GONE_MAX TEXT_MAX_RECORDS /* records whose trampolines went, remembered ... */
#define GONE_NS NSEC_PER_SEC     /* ... for so long */
#define RESERVE_MAX (192 * MiB) /* files larger than that get no room: it would meet them */

/* ---- records ---- */

static void gone_for_good(struct ktimer *timer);

static struct mm_text *text_of(struct mm *mm)
{
	struct mm_text *t = mm->text;

	if (t != NULL)
		return t;
	t = kzalloc(sizeof(*t));
	if (t == NULL)
		return NULL;
	list_init(&t->records);
	list_init(&t->gone);
	ktimer_init(&t->gone_timer, gone_for_good);
	t->mm = mm;
	mm->text = t;
	return t;
}

static uint64_t region_start(const struct text_record *r, enum text_form form)
{
	return text_region(r->start, form);
}

static uint64_t region_end(const struct text_record *r, enum text_form form)
{
	return text_region(r->start, form) + text_region_len(r->end - r->start);
}

static void span_add(struct mm *mm, struct text_span *spans, uint32_t *n, uint64_t start, uint64_t end)
{
	uint32_t at = *n;

	mm->text_low = MIN(mm->text_low, start);
	mm->text_high = MAX(mm->text_high, end);
	if (spans == NULL)
		return;
	while (at > 0 && spans[at - 1].start > start)
		at--;
	memmove(&spans[at + 1], &spans[at], (*n - at) * sizeof(*spans));
	spans[at] = (struct text_span){start, end};
	(*n)++;
}

/*
 * All that records with a twin touch lies in [text_low, text_high): a quick no for most questions. Strings of a library lie
 * between its text and the next one's, so what exactly is touched is kept too, as spans.
 */
static void bounds_update(struct mm *mm)
{
	struct mm_text *t = mm->text;
	struct text_record *r;
	uint32_t n = 0;

	kfree(t->spans);
	t->spans = kmalloc((t->nrecords + 1UL) * TEXT_REGIONS * sizeof(*t->spans));
	mm->text_low = UINT64_MAX;
	mm->text_high = 0;
	list_for_each(r, &t->records, link) {
		if (r->file == NULL || r->failed)
			continue;
		span_add(mm, t->spans, &n, r->start, r->end);
		for (enum text_form f = NEAR; f < TEXT_REGIONS; f++)
			if (r->region[f])
				span_add(mm, t->spans, &n, region_start(r, f), region_end(r, f));
	}
	t->nspans = n;
}

bool text_meets_slow(const struct mm *mm, uint64_t start, uint64_t end)
{
	const struct mm_text *t = mm->text;
	uint32_t low = 0, high = t->nspans;

	if (t->nspans == 0)
		return true;
	/* The first span that ends behind start. */
	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (t->spans[mid].end <= start)
			low = mid + 1;
		else
			high = mid;
	}
	return low < t->nspans && t->spans[low].start < end;
}

static void count_map(struct text_file *f, const struct text_record *r, uint32_t by)
{
	f->maps += by;
	for (enum text_form form = NEAR; form < TEXT_REGIONS; form++)
		if (f->has[form] && !r->region[form])
			f->lacking[form] += by;
}

/* file NULL: a reservation. NULL if there are too many, or no memory. */
static struct text_record *record_add(struct mm *mm, uint64_t start, uint64_t end, struct text_file *file)
{
	struct mm_text *t = text_of(mm);
	struct text_record *r;

	if (t == NULL || t->nrecords >= TEXT_MAX_RECORDS)
		return NULL;
	r = kzalloc(sizeof(*r));
	if (r == NULL)
		return NULL;
	r->start = start;
	r->end = end;
	r->file = file != NULL ? text_file_get(file) : NULL;
	list_init(&r->link);
	list_add_tail(&t->records, &r->link);
	t->nrecords++;
	return r;
}

/* r is none of the space's records any more. */
static void record_leave(struct mm *mm, struct text_record *r)
{
	struct text_file *f = r->file;

	list_del(&r->link);
	mm->text->nrecords--;
	if (f != NULL && !r->failed) {
		count_map(f, r, UINT32_MAX);
		if (f->maps == 0)
			text_patch_ready(f, NULL); /* what waited for a quiet moment has it */
		bounds_update(mm);
	}
	for (enum text_form form = NEAR; form < TEXT_REGIONS; form++)
		if (r->region[form])
			vma_hole_opened(mm, region_start(r, form), region_end(r, form));
}

static void record_free(struct text_record *r)
{
	text_file_put(r->file);
	kfree(r);
}

static void record_drop(struct mm *mm, struct text_record *r)
{
	record_leave(mm, r);
	record_free(r);
}

/* All but the last so many, and those that have been long enough. */
static void gone_drop(struct mm_text *t, unsigned keep)
{
	struct text_record *r, *tmp;

	list_for_each_safe(r, tmp, &t->gone, link) {
		if (t->ngone <= keep && r->gone_until > loop_now()) {
			ktimer_set(&t->gone_timer, r->gone_until);
			break;
		}
		list_del(&r->link);
		t->ngone--;
		record_free(r);
	}
	t->mm->text_gone = t->ngone != 0;
}

static void gone_for_good(struct ktimer *timer)
{
	gone_drop(container_of(timer, struct mm_text, gone_timer), GONE_MAX);
}

/* r's trampolines have gone, and other threads may still stand there: for a while it is known where that was. */
static void record_gone(struct mm *mm, struct text_record *r)
{
	struct mm_text *t = mm->text;

	record_leave(mm, r);
	list_add_tail(&t->gone, &r->link);
	t->ngone++;
	r->gone_until = loop_now() + GONE_NS;
	gone_drop(t, GONE_MAX);
}

/* It becomes a mark that says: not here. */
static void record_fail(struct mm *mm, struct text_record *r)
{
	count_map(r->file, r, UINT32_MAX);
	r->failed = true;
	r->busy = false;
	memset(r->region, 0, sizeof(r->region));
	bounds_update(mm);
}

static bool meets(uint64_t a, uint64_t b, uint64_t start, uint64_t end)
{
	return a < end && start < b;
}

static bool region_meets(const struct text_record *r, enum text_form form, uint64_t start, uint64_t end)
{
	return r->region[form] && meets(region_start(r, form), region_end(r, form), start, end);
}

/* The record with a twin, or the mark, whose text holds addr. */
static struct text_record *record_at(const struct mm *mm, uint64_t addr)
{
	struct text_record *r;

	if (mm->text == NULL)
		return NULL;
	list_for_each(r, &mm->text->records, link)
		if (r->file != NULL && addr >= r->start && addr < r->end)
			return r;
	return NULL;
}

void text_mm_free(struct mm *mm)
{
	struct mm_text *t = mm->text;
	struct text_record *r, *tmp;

	if (t == NULL)
		return;
	list_for_each_safe(r, tmp, &t->records, link) {
		list_del(&r->link);
		if (r->file != NULL && !r->failed) {
			count_map(r->file, r, UINT32_MAX);
			if (r->file->maps == 0)
				text_patch_ready(r->file, NULL);
		}
		text_file_put(r->file);
		kfree(r);
	}
	list_for_each_safe(r, tmp, &t->gone, link)
		record_free(r);
	ktimer_cancel(&t->gone_timer);
	text_file_put(t->want);
	kfree(t->spans);
	kfree(t);
	mm->text = NULL;
}

bool text_dup(const struct mm *from, struct mm *to)
{
	struct text_record *r, *copy;

	to->text = NULL;
	to->text_pending = to->text_gone = false; /* nobody else stands in the copy's */
	if (from->text == NULL)
		return true;
	list_for_each(r, &from->text->records, link) {
		copy = record_add(to, r->start, r->end, r->file);
		if (copy == NULL)
			return false;
		/* One that is on its way is mapped as far as it matters: text never without its trampolines. */
		memcpy(copy->region, r->region, sizeof(copy->region));
		copy->failed = r->failed;
		if (r->file != NULL && !r->failed)
			count_map(r->file, copy, 1);
	}
	if (to->text != NULL) {
		to->text->off = from->text->off;
		bounds_update(to);
	}
	return true;
}

/* ---- addresses ---- */

bool text_reserved(const struct mm *mm, uint64_t start, uint64_t end, uint64_t *below, uint64_t *above)
{
	struct text_record *r;

	list_for_each(r, &mm->text->records, link) {
		if (r == mm->text->except)
			continue;
		for (enum text_form f = NEAR; f < TEXT_REGIONS; f++) {
			if (region_meets(r, f, start, end)) {
				*below = region_start(r, f);
				*above = region_end(r, f);
				return true;
			}
		}
	}
	return false;
}

/* The reservation that [start, end) lies in, or NULL. */
static struct text_record *reservation_of(const struct mm *mm, uint64_t start, uint64_t end)
{
	struct text_record *r;

	if (mm->text == NULL)
		return NULL;
	list_for_each(r, &mm->text->records, link)
		if (r->file == NULL && r->start <= start && end <= r->end)
			return r;
	return NULL;
}

/* Is the region of text in [start, end) free? If not, what is in the way begins at *below (0: the text itself). */
static bool region_free(struct mm *mm, uint64_t start, uint64_t end, enum text_form form, uint64_t *below)
{
	uint64_t low = text_region(start, form), high = low + text_region_len(end - start);

	*below = 0;
	if (form == TEXT_FORM_AWAY ? start >= TEXT_AWAY_BELOW : form == TEXT_FORM_BELOW && start < TEXT_AWAY_BELOW)
		return false;
	return low >= GUEST_MIN && high <= GUEST_END && !meets(start, end, low, high) &&
	       vma_range_free_or(mm, low, high, below);
}

/* May text in [start, end) have its region there? Where room was kept for it, what wasn't kept then isn't had now: the
 * rest of the file may be about to come there. */
static bool region_room(struct mm *mm, uint64_t start, uint64_t end, enum text_form form)
{
	const struct text_record *kept = reservation_of(mm, start, end);
	uint64_t below;
	bool ok;

	/* Nothing of a file comes to the last one: that is had wherever it is free. */
	if (form != TEXT_FORM_BELOW && (kept != NULL ? !kept->region[form] : form == TEXT_FORM_AWAY))
		return false;
	mm->text->except = kept;
	ok = region_free(mm, start, end, form, &below);
	mm->text->except = NULL;
	return ok;
}

/*
 * May the twin that is made for text in [start, end) have the region? Which it has is the same for all. So it is as the place of
 * the file allows, where it was given one with a look at that; where somebody has mapped the file at a place of its own, what is
 * in the way there doesn't count.
 */
static bool region_makes(struct mm *mm, uint64_t start, uint64_t end, enum text_form form)
{
	const struct text_record *kept = reservation_of(mm, start, end);

	if (kept == NULL)
		return form == NEAR || form == FAR;
	return region_room(mm, start, end, form);
}

void text_reserve(struct mm *mm, uint64_t start, uint64_t end, uint64_t image_start, uint64_t image_end)
{
	struct text_record *r;
	uint64_t below;

	if (!gate_on || end - start > RESERVE_MAX || reservation_of(mm, start, end) != NULL)
		return;
	r = record_add(mm, start, end, NULL);
	if (r == NULL)
		return;
	for (enum text_form f = NEAR; f < TEXT_REGIONS; f++) {
		/* One after the other: the second must not meet the first either. */
		r->region[f] = (f != TEXT_FORM_BELOW || !(r->region[NEAR] || r->region[FAR])) &&
			       region_free(mm, start, end, f, &below) &&
			       !meets(region_start(r, f), region_end(r, f), image_start, image_end);
	}
}

/* The highest place, at or below `at`, from which the region ends below something at `below`; 0: none. */
static uint64_t place_below(uint64_t at, uint64_t below, enum text_form form, uint64_t len)
{
	int64_t reach = (int64_t)(text_shift(form) + text_region_len(len)); /* negative for a region below the text */

	return (int64_t)below > reach ? MIN(at, PAGE_DOWN(below - (uint64_t)reach)) : 0;
}

/*
 * Candidates from the top: where something is in the way of a region, the next is the highest place whose region ends
 * below that. The first place with room for one of the regions is kept in mind. A file that is itself in the way of both is given
 * one with room below it.
 */
uint64_t text_find_free(struct mm *mm, uint64_t len, int flags)
{
	uint64_t high = mm->mmap_top, fallback = 0;

	if (!gate_on || len > RESERVE_MAX || (flags & LINUX_MAP_32BIT))
		return mm_find_free(mm, 0, len, flags);
	for (unsigned i = 0; i < FIND_TRIES; i++) {
		uint64_t at = vma_find_below(mm, high, len), below_near, below_far, below_it, lower;
		bool near, far, itself;

		if (at == 0)
			break;
		near = region_free(mm, at, at + len, NEAR, &below_near);
		far = region_free(mm, at, at + len, FAR, &below_far);
		itself = !near && below_near == 0 && !far && below_far == 0;
		if ((far && (near || below_near == 0)) || (itself && region_free(mm, at, at + len, TEXT_FORM_BELOW, &below_it)))
			return at;
		if (near && fallback == 0)
			fallback = at;
		lower = at;
		if (!near && below_near != 0)
			lower = place_below(lower, below_near, NEAR, len);
		if (!far && below_far != 0)
			lower = place_below(lower, below_far, FAR, len);
		if (itself && below_it != 0)
			lower = place_below(lower, below_it, TEXT_FORM_BELOW, len);
		if (lower == at || lower < GUEST_MIN)
			break;
		high = lower + len;
	}
	return fallback != 0 ? fallback : mm_find_free(mm, 0, len, flags);
}

void text_unmapped(struct mm *mm, uint64_t start, uint64_t end)
{
	struct text_record *r, *tmp;

	if (mm->text == NULL)
		return;
	list_for_each_safe(r, tmp, &mm->text->records, link)
		if (!r->busy && (r->file == NULL || r->failed) && meets(r->start, r->end, start, end) &&
		    !vma_range_used(mm, r->start, r->end))
			record_drop(mm, r);
}

/* ---- in ---- */

/* May v's pages be replaced by others that look alike? */
static bool replaceable(const struct vma *v)
{
	return v->file != NULL && v->shm == NULL && (v->flags & LINUX_MAP_SHARED) == 0 &&
	       (v->prot & (LINUX_PROT_EXEC | LINUX_PROT_WRITE)) == LINUX_PROT_EXEC && (v->advice & VMA_WRITTEN) == 0;
}

/* Fills r->region for a text that shows f. False if a region that f's sites lead to has no room. */
static bool find_room(struct mm *mm, const struct text_file *f, struct text_record *r)
{
	for (enum text_form form = NEAR; form < TEXT_REGIONS; form++) {
		r->region[form] = f->has[form] && region_room(mm, r->start, r->end, form);
		if (!r->region[form] && f->in_use[form] != 0)
			return false;
	}
	for (enum text_form form = NEAR; form < TEXT_REGIONS; form++)
		if (r->region[form])
			return true;
	return false;
}

static int queue_part(struct platform_thread *pt, const struct text_file *f, uint64_t addr, uint64_t len, uint64_t off,
		      int prot)
{
	struct platform_mm_cmd cmd = {
		.op = PLATFORM_MMAP,
		.addr = addr,
		.len = len,
		.prot = prot,
		.flags = LINUX_MAP_PRIVATE | LINUX_MAP_NORESERVE,
		.host_fd = f->fd,
		.off = off,
	};

	return platform->mm_queue(pt, &cmd);
}

static int queue_regions(struct platform_thread *pt, const struct text_record *r)
{
	int err = 0;

	for (enum text_form form = NEAR; form < TEXT_REGIONS && err == 0; form++)
		if (r->region[form])
			err = queue_part(pt, r->file, region_start(r, form), text_region_len(r->file->len),
					 r->file->region_off[form], LINUX_PROT_READ | LINUX_PROT_EXEC);
	return err;
}

static int queue_unmap_regions(struct platform_thread *pt, const struct text_record *r)
{
	struct platform_mm_cmd cmd = {.op = PLATFORM_MUNMAP, .host_fd = -1};
	int err = 0;

	for (enum text_form form = NEAR; form < TEXT_REGIONS && err == 0; form++) {
		if (!r->region[form])
			continue;
		cmd.addr = region_start(r, form);
		cmd.len = region_end(r, form) - cmd.addr;
		err = platform->mm_queue(pt, &cmd);
	}
	return err;
}

/* A record for f's text at start, with its regions chosen. NULL if it can't be. */
static struct text_record *record_for(struct mm *mm, struct text_file *f, uint64_t start)
{
	struct text_record *r;

	if (!vma_count_ok(mm, 1024)) /* the host counts the regions, too */
		return NULL;
	r = record_add(mm, start, start + f->len, f);
	if (r == NULL)
		return NULL;
	if (!find_room(mm, f, r)) {
		memset(r->region, 0, sizeof(r->region));
		r->failed = true;
		return NULL;
	}
	count_map(f, r, 1);
	bounds_update(mm);
	return r;
}

void text_adopt(struct mm *mm, struct platform_thread *pt, struct vma_desc *d, struct task *inflight)
{
	struct text_record *r;
	struct text_file *f;

	if (!gate_on || d->file == NULL || d->host_fd < 0 || (d->flags & LINUX_MAP_SHARED) != 0 ||
	    (d->prot & (LINUX_PROT_EXEC | LINUX_PROT_WRITE)) != LINUX_PROT_EXEC || (d->advice & VMA_WRITTEN) != 0)
		return;
	if (inflight != NULL && mm->text_proven_only)
		return;
	f = text_file_find(d->file->inode, d->file_off, d->end - d->start);
	if (f == NULL || f->fd < 0 || (mm->text != NULL && mm->text->off) || record_at(mm, d->start) != NULL)
		return;
	if (!text_file_valid(f)) {
		text_inode_changed(d->file->inode);
		return;
	}
	if (f->maps == 0)
		text_patch_ready(f, NULL);
	r = record_for(mm, f, d->start);
	if (r == NULL)
		return;
	if (queue_regions(pt, r) != 0) {
		record_fail(mm, r);
		return;
	}
	if (inflight != NULL && inflight->mm_inflight != NULL && inflight->mm_inflight->text == NULL)
		inflight->mm_inflight->text = text_file_get(f);
	d->host_fd = f->fd;
	d->host_off = d->host_len = 0;
	d->native_private = true;
}

void text_adopt_failed(struct mm *mm, const struct vma_desc *d)
{
	struct text_record *r = gate_on ? record_at(mm, d->start) : NULL;

	if (r != NULL && r->start == d->start && !r->busy)
		record_drop(mm, r);
}

/* The mapping that shows just f's text, at its place in mm; NULL if there is none (any more). */
static struct vma *text_vma(struct mm *mm, const struct text_file *f, uint64_t start)
{
	struct vma *v = mm_find(mm, start);

	if (v == NULL || v->start != start || v->end - v->start != f->len || v->file_off != f->file_off ||
	    !replaceable(v) || v->file->inode != f->inode)
		return NULL;
	return v;
}

/* Maps f's twin over v, in the task's address space. False if the thread died. */
static bool map_here(struct task *task, struct text_file *f, uint64_t start, int64_t ret)
{
	struct mm *mm = task->mm;
	struct text_record *r = record_for(mm, f, start);
	struct vma *v;
	int err;

	if (r == NULL)
		return true;
	r->busy = true;
	if (platform->context(task, ret) == NULL) {
		record_drop(mm, r);
		return false;
	}
	v = text_vma(mm, f, start);
	if (v == NULL || !text_file_valid(f)) {
		record_drop(mm, r);
		return true;
	}
	err = queue_regions(task->pt, r);
	if (err == 0)
		err = queue_part(task->pt, f, start, f->len, 0, v->prot);
	if (err == 0)
		err = platform->mm_flush(task, task->pt);
	if (err != 0) {
		/* What was refused left what was there. */
		if (queue_unmap_regions(task->pt, r) == 0)
			err = platform->mm_flush(task, task->pt);
		record_fail(mm, r);
		return err != -LINUX_ESRCH;
	}
	r->busy = false;
	return true;
}

bool text_return(struct task *task, int64_t ret)
{
	struct mm *mm = task->mm;
	struct mm_text *t = mm->text;
	struct text_file *f = t->want;
	struct file *file = NULL;
	bool alive = true;
	uint64_t start = 0;
	struct vma *v;
	bool room[TEXT_REGIONS] = {false}, any = false;

	/* A full event may have commands of the call's own queued, whose errors are the call's. Who has no thread any more leaves it to
	 * those that share its memory. */
	if (platform->is_full(task) || task->pt == NULL)
		return true;
	mm->text_pending = false;
	t->want = NULL;
	if (f == NULL)
		return true;
	for (v = mm_find_next(mm, 0); v != NULL; v = mm_find_next(mm, v->end)) {
		if (v->file != NULL && v->file->inode == f->inode && text_vma(mm, f, v->start) != NULL) {
			start = v->start;
			file = file_get(v->file);
			break;
		}
	}
	if (file == NULL || t->off)
		goto put;
	for (enum text_form form = NEAR; form < TEXT_REGIONS; form++)
		any |= room[form] = region_makes(mm, start, start + f->len, form);
	mm_get(mm);
	text_identify(task, f, file);
	if (f->fd < 0 && f->known == NULL && f->arrivals < TEXT_FILE_ARRIVALS)
		; /* it was only asked for its name */
	else if ((f->fd < 0 && !any) || !text_file_copy(task, f, file, room) || !text_file_valid(f)) {
		struct text_record *r = f->making || record_at(mm, start) != NULL ? NULL :
										    record_add(mm, start, start + f->len, f);

		if (r != NULL)
			r->failed = true;
	} else if (record_at(mm, start) == NULL && text_vma(mm, f, start) != NULL) {
		text_patch_ready(f, task);
		alive = map_here(task, f, start, ret);
		if (alive)
			text_patch_ready(f, task);
	}
	mm_put(mm);
put:
	if (file != NULL)
		file_put(file);
	text_file_put(f);
	return alive;
}

/* ---- out ---- */

/* Queues the file's own pages over what is left of r's text. Sleeps. */
static int queue_original(struct task *task, const struct text_record *r)
{
	struct mm *mm = task->mm;
	uint64_t at = r->start;

	while (at < r->end) {
		struct vma *v = mm_find_next(mm, at);
		struct vma_desc d;
		struct file *file;
		int err;

		if (v == NULL || v->start >= r->end)
			break;
		at = MAX(at, v->start);
		if (v->file == NULL || (v->flags & LINUX_MAP_SHARED) != 0 || (v->advice & VMA_WRITTEN) != 0 ||
		    vma_off(v, at) != r->file->file_off + (at - r->start)) {
			at = v->end;
			continue;
		}
		mm_describe(&d, v, at, MIN(v->end, r->end));
		file = file_get(d.file);
		err = mm_back(task, &d);
		/* It may have slept. */
		v = mm_find(mm, d.start);
		if (err == 0 && v != NULL && v->file == file && v->end >= d.end && vma_off(v, d.start) == d.file_off) {
			d.prot = v->prot;
			err = mm_queue_map(task->pt, &d);
		}
		at = d.end;
		file_put(file);
		if (err != 0)
			return err;
	}
	return 0;
}

/* r's text becomes the file's again, and its regions go. r is gone afterwards. */
static int unpatch(struct task *task, struct text_record *r)
{
	struct mm *mm = task->mm;
	int err;

	r->busy = true;
	err = queue_original(task, r);
	if (err == 0)
		err = queue_unmap_regions(task->pt, r);
	if (err == 0)
		err = platform->mm_flush(task, task->pt);
	r->busy = false;
	if (err == 0 && ref_shared(&mm->ref))
		record_gone(mm, r);
	else if (err == 0)
		record_drop(mm, r);
	return err;
}

/* The first record that [start, end) concerns. */
static struct text_record *first_claimed(const struct mm *mm, uint64_t start, uint64_t end, bool text_only)
{
	struct text_record *r;

	if (mm->text == NULL)
		return NULL;
	list_for_each(r, &mm->text->records, link) {
		if (r->file != NULL && meets(r->start, r->end, start, end))
			return r;
		for (enum text_form form = NEAR; form < TEXT_REGIONS && !text_only; form++)
			if (region_meets(r, form, start, end))
				return r;
	}
	return NULL;
}

static int claim(struct task *task, uint64_t start, uint64_t end, bool text_only)
{
	struct mm *mm = task->mm;
	struct text_record *r;
	int err;

	while ((r = first_claimed(mm, start, end, text_only)) != NULL) {
		if (r->busy) {
			task_yield(task);
			if (task_dying(task))
				return -LINUX_EINTR;
		} else if (r->file != NULL && !r->failed) {
			err = unpatch(task, r);
			if (err != 0)
				return err;
		} else if (r->file != NULL) {
			record_drop(mm, r); /* only a mark */
		} else {
			bool any = false;

			for (enum text_form form = NEAR; form < TEXT_REGIONS; form++) {
				r->region[form] &= !region_meets(r, form, start, end);
				any |= r->region[form];
			}
			if (!any)
				record_drop(mm, r);
		}
	}
	return 0;
}

int text_claim(struct task *task, uint64_t start, uint64_t end)
{
	return task->mm->text == NULL ? 0 : claim(task, start, end, false);
}

int text_claim_writable(struct task *task, uint64_t start, uint64_t end)
{
	return task->mm->text == NULL ? 0 : claim(task, start, end, true);
}

int text_disable(struct task *task)
{
	struct mm_text *t;

	if (!gate_on)
		return 0;
	t = text_of(task->mm);
	if (t == NULL)
		return -LINUX_ENOMEM;
	t->off = true;
	task->mm->text_pending = false;
	return claim(task, 0, GUEST_END, true);
}

/* ---- arrivals ---- */

bool text_quiet(const struct text_file *f, const struct task *current)
{
	struct thread_group *g;
	struct text_record *r;
	struct task *t;

	list_for_each(g, &kernel.groups, all_link) {
		list_for_each(t, &g->threads, group_link) {
			if (t == current || t->mm == NULL || t->blocked || t->mm->text == NULL)
				continue;
			list_for_each(r, &t->mm->text->records, link)
				if (r->file == f && !r->failed)
					return false;
		}
	}
	return true;
}

bool text_number_counts(int nr)
{
	switch (nr) {
	case 15:  /* rt_sigreturn */
	case 57:  /* fork */
	case 58:  /* vfork */
	case 59:  /* execve */
	case 231: /* exit_group */
	case 322: /* execveat */
		return false;
	default:
		return true;
	}
}

/* The site of the call that ends at ip, in *file; NULL if there is nothing to do for it. */
static struct text_site *site_of(struct task *task, uint64_t ip, struct text_file **file)
{
	struct mm *mm = task->mm;
	struct vma *v = mm_find(mm, ip - 2);
	struct text_site *s;
	struct text_file *f;
	uint64_t off;

	*file = NULL;
	if (v == NULL || ip > v->end || !replaceable(v) || v->file->ops->map == NULL || v->file->inode->writers != 0)
		return NULL;
	f = text_file_find(v->file->inode, v->file_off, v->end - v->start);
	if (f == NULL)
		f = text_file_new(task, v->file, v->file_off, v->end - v->start);
	if (f == NULL)
		return NULL;
	off = ip - 2 - v->start;
	s = text_site_find(f, off);
	if (s == NULL) {
		s = text_site_new(f, off);
		if (s != NULL)
			s->known = text_known_names(f, off);
		if (s != NULL && f->excluded)
			text_site_leave(f, s, TEXT_WHY_FILE);
	}
	*file = f;
	return s;
}

/* The file's twin is wanted in mm, or its name, if it isn't there and not known to be impossible. */
static void want(struct mm *mm, struct text_file *f)
{
	if (mm->text->want != NULL || f->making || f->excluded)
		return;
	mm->text->want = text_file_get(f);
	mm->text_pending = true;
}

void text_arrival_slow(struct task *task, int nr, uint64_t ip, bool proven)
{
	struct mm *mm = task->mm;
	struct text_record *r;
	struct text_site *s;
	struct text_file *f;
	struct mm_text *t;
	unsigned slot = (unsigned)(ip ^ (ip >> 6)) % TEXT_CACHE;

	if (mm == NULL || ip < GUEST_MIN + 2 || ip >= GUEST_END)
		return;
	t = text_of(mm);
	if (t == NULL || t->off)
		return;
	if (t->cache[slot].ip != ip || t->cache[slot].gen != mm->vma_gen || t->cache[slot].epoch != text_epoch) {
		s = site_of(task, ip, &f);
		t->cache[slot].ip = ip;
		t->cache[slot].gen = mm->vma_gen;
		t->cache[slot].epoch = text_epoch;
		t->cache[slot].site = s;
		t->cache[slot].file = f;
	}
	s = t->cache[slot].site;
	f = t->cache[slot].file;
	if (f == NULL || s == NULL)
		return;
	f->arrivals++;
	if (proven && !s->proven) {
		/* What the stub said of it doesn't count any more. */
		s->proven = true;
		if (s->state == TEXT_LEFT && s->why == TEXT_WHY_NO_PATTERN)
			text_site_again(f, s);
	}
	if (f->fd < 0 && f->arrivals >= TEXT_KNOWN_ARRIVALS && (f->known != NULL || text_wants_identity(f)) &&
	    record_at(mm, ip - 2) == NULL)
		want(mm, f);
	if (s->state == TEXT_LEFT)
		return;
	if (!text_number_counts(nr)) {
		if (nr == 15 && s->state != TEXT_PATCHED)
			text_site_leave(f, s, TEXT_WHY_SIGRETURN);
		return;
	}
	s->arrivals += s->arrivals != UINT32_MAX;
	if (s->state == TEXT_COUNTING)
		s->nr = nr;
	if (s->arrivals < text_patience(f, s) || (f->fd < 0 && f->arrivals < TEXT_FILE_ARRIVALS))
		return;
	r = record_at(mm, ip - 2);
	if (r != NULL) {
		if (r->busy || r->failed || r->file != f)
			return;
		text_patch(f, s, task);
	} else {
		want(mm, f);
	}
}

/* ---- reads and contexts ---- */

/* A range of bytes in text, as the program wrote them. */
static void restore(uint8_t *buf, uint64_t addr, size_t len, uint64_t at, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (at + i >= addr && at + i - addr < len)
			buf[at + i - addr] = bytes[i];
}

static void restore_site(const struct text_record *r, const struct text_site *s, uint8_t *buf, uint64_t addr, size_t len)
{
	static const uint8_t syscall_byte = 0x0f;

	if (s->back != 0)
		restore(buf, addr, len, r->start + s->off - s->back, s->was, s->jump);
	else
		restore(buf, addr, len, r->start + s->off, &syscall_byte, 1);
	if (s->hop != 0)
		restore(buf, addr, len, r->start + s->off + (uint64_t)(int64_t)s->hop, s->hop_was, TEXT_JUMP);
}

size_t text_read_fix_slow(const struct mm *mm, void *buf, uint64_t addr, size_t len)
{
	struct text_record *r;

	list_for_each(r, &mm->text->records, link) {
		if (r->file == NULL || r->failed)
			continue;
		for (enum text_form form = NEAR; form < TEXT_REGIONS; form++)
			if (region_meets(r, form, addr, addr + len))
				len = region_start(r, form) > addr ? region_start(r, form) - addr : 0;
		if (!meets(r->start, r->end, addr, addr + len))
			continue;
		for (unsigned b = 0; b < TEXT_BUCKETS; b++)
			for (const struct text_site *s = r->file->bucket[b]; s != NULL; s = s->next)
				if (s->state == TEXT_PATCHED || s->state == TEXT_PENDING)
					restore_site(r, s, buf, addr, len);
	}
	return len;
}

/* The patched site whose slot holds byte `at` of a region, and where in the slot that is. */
static const struct text_site *slot_at(const struct text_file *f, enum text_form region, uint64_t at, unsigned *within)
{
	if (at >= text_pool_start(f->len)) {
		for (unsigned b = 0; b < TEXT_BUCKETS; b++) {
			for (const struct text_site *s = f->bucket[b]; s != NULL; s = s->next) {
				if ((s->state == TEXT_PATCHED || s->state == TEXT_PENDING) && s->back != 0 &&
				    s->region == region && at >= s->slot && at - s->slot < s->back + 15U) {
					*within = (unsigned)(at - s->slot);
					return s;
				}
			}
		}
		return NULL;
	}
	for (unsigned k = 0; k < TEXT_PUNNED_LEN && at >= TEXT_SLOT_SHIFT + k; k++) {
		const struct text_site *s = text_site_find(f, at - TEXT_SLOT_SHIFT - k);

		if (s != NULL && s->state == TEXT_PATCHED && s->form == region) {
			*within = k;
			return s;
		}
	}
	return NULL;
}

/* The site whose rewritten instruction begins at `at` of the text. */
static const struct text_site *site_jumping_at(const struct text_file *f, uint64_t at)
{
	for (unsigned back = TEXT_HOP; back <= TEXT_RELOC_MAX; back++) {
		const struct text_site *s = text_site_find(f, at + back);

		if (s != NULL && s->back == back && (s->state == TEXT_PATCHED || s->state == TEXT_PENDING))
			return s;
	}
	return NULL;
}

/* A breakpoint of ours was at ip a moment ago, and what stands there now is the file's. */
static bool breakpoint_gone(const struct mm *mm, uint64_t ip)
{
	const struct text_record *r;

	if (mm->text == NULL || !mm->text_gone)
		return false;
	list_for_each(r, &mm->text->gone, link)
		if (ip >= r->start && ip < r->end && site_jumping_at(r->file, ip - r->start) != NULL)
			return true;
	return false;
}

bool text_fix_trap(struct mm *mm, struct regs *regs)
{
	struct text_record *r = record_at(mm, regs->rip - 1);
	const struct text_site *s;

	if (r == NULL && breakpoint_gone(mm, regs->rip - 1)) {
		regs->rip--;
		return true;
	}
	if (r == NULL || r->failed)
		return false;
	s = site_jumping_at(r->file, regs->rip - 1 - r->start);
	if (s == NULL)
		return false;
	if (s->form == TEXT_FORM_MOV) {
		regs->rax = (uint64_t)s->nr;
		regs->rip += 4;
	} else {
		regs->rip = text_region(r->start, s->region) + s->slot;
	}
	return true;
}

/* The site in whose slot of one of the record's regions ip is, and where in it; NULL: in none. */
static const struct text_site *slot_in(const struct text_record *r, uint64_t ip, unsigned *within)
{
	for (enum text_form form = NEAR; form < TEXT_REGIONS; form++)
		if (region_meets(r, form, ip, ip + 1))
			return slot_at(r->file, form, ip - region_start(r, form), within);
	return NULL;
}

/* The same of any record, also of one that has just gone; the long jump to a slot is as good as its beginning. */
static const struct text_site *slot_of(struct mm *mm, uint64_t ip, struct text_record **record, unsigned *within)
{
	const struct text_site *s = NULL;
	struct text_record *r;
	const struct vma *v;

	if (mm->text == NULL || (!mm->text_gone && (ip < mm->text_low || ip >= mm->text_high)))
		return NULL;
	list_for_each(r, &mm->text->records, link) {
		if (r->file == NULL || r->failed)
			continue;
		*record = r;
		if (ip >= r->start && ip < r->end) {
			*within = 0;
			return text_hop_at(r->file, ip - r->start);
		}
		s = slot_in(r, ip, within);
		if (s != NULL)
			return s;
	}
	/* Unless there is other code by now. */
	v = mm->text_gone ? mm_find(mm, ip) : NULL;
	if (v != NULL && (v->prot & LINUX_PROT_EXEC))
		return NULL;
	list_for_each(r, &mm->text->gone, link) {
		*record = r;
		s = slot_in(r, ip, within);
		if (s != NULL)
			return s;
	}
	return NULL;
}

/* How many bytes of the instructions in front of the syscall are done at byte `within` of the slot; -1: nobody stands there.
 * A mov counts for nothing: it is done again. */
static int slot_done(const struct text_file *f, const struct text_site *s, unsigned within)
{
	if (s->form == TEXT_FORM_RELOC)
		return text_reloc_done(f->map + f->region_off[s->region] + s->slot, s->back, within);
	return text_slot_boundary(s->form, within) ? 0 : -1;
}

/* Puts ip, `within` bytes into the slot of s, back to the text. False: no instruction begins there. */
static bool put_back(const struct text_record *r, const struct text_site *s, unsigned within, struct regs *regs)
{
	int done = s != NULL ? slot_done(r->file, s, within) : -1;

	if (done < 0)
		return false;
	regs->rip = r->start + s->off - s->back + (unsigned)done;
	return true;
}

bool text_fix_ip(struct mm *mm, struct regs *regs)
{
	struct text_record *r;
	unsigned within;
	const struct text_site *s = slot_of(mm, regs->rip, &r, &within);

	return put_back(r, s, within, regs);
}

bool text_taken_away(struct mm *mm, struct regs *regs)
{
	struct regs back = *regs;
	const struct text_site *s;
	bool gone = false;
	struct text_record *r;
	unsigned within = 0;

	if (mm->text == NULL)
		return false;
	list_for_each(r, &mm->text->records, link) {
		s = r->busy && r->file != NULL && !r->failed ? slot_in(r, regs->rip, &within) : NULL;
		if (put_back(r, s, within, regs))
			return true;
	}
	/* The last one that was there. There may be another in its place by now, where the thread wouldn't have faulted. */
	list_for_each(r, &mm->text->gone, link) {
		struct regs at = *regs;

		s = slot_in(r, regs->rip, &within);
		if (put_back(r, s, within, &at)) {
			back = at;
			gone = true;
		}
	}
	*regs = back;
	return gone;
}

bool text_stepped_nothing(struct mm *mm, uint64_t ip)
{
	struct text_record *r;
	unsigned within;
	const struct text_site *s = slot_of(mm, ip, &r, &within);
	int done = s != NULL ? slot_done(r->file, s, within) : -1;

	/* Behind a moved instruction that instruction was the step; behind the lea it was ours. */
	return done == 0 || (done > 0 && within > s->back);
}
