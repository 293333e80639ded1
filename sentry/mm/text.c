/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rewritten text: what is known of each file's call sites, and the twin that shows them rewritten.
 *
 *	a call that came past the gate --> text_arrival (text_map.c): which file, which offset --> counts
 *	  4 calls from the site, 64 from the file --> a twin is made and mapped over the file's text (text_map.c)
 *	                                          --> text_patch: the trampoline first, then the site
 *	  16 calls from a file that is known from earlier sandboxes (text_known.c) --> the same, with all sites known
 *
 * Where the bytes leave no doubt (text_surely_site) and there is a twin, the first call from a site is enough.
 *
 * Nothing is ever written into a process. A twin is a memfd with a copy of the executable range's bytes and with the
 * trampolines behind; the sentry alone can write it, through a mapping of its own: it is sealed (FUTURE_WRITE, SHRINK,
 * GROW, SEAL) once that exists. Address spaces map it MAP_PRIVATE where they had mapped the file, with the same
 * protection. Pages of such a mapping that the guest hasn't written (it never may) are the memfd's, so one store here
 * rewrites the site in every process, without a command and without stopping anybody. Programs that are executed later
 * begin with what was learned. A rewritten instruction changes two or five bytes and not one: at once if no thread that
 * sees the text runs but the one whose call is being served, else in three steps behind a breakpoint (turn_begin).
 *
 * The file itself doesn't change: read(2) shows its bytes, and so do copies of text through the sentry (/proc/PID/mem,
 * write(2) from text), which text_read_fix puts right. Only loads by the program itself see the jumps.
 *
 * Invariants:
 *	- a site is rewritten only if calls have come from it, as the host's kernel tells, and the bytes there are those
 *	  of a syscall, or if the stub or the cache says so and the bytes leave no doubt; its number was never rt_sigreturn's;
 *	- a trampoline is complete before anything jumps to it, and neither ever changes again;
 *	- every address space that maps the twin has mapped each region that a rewritten site leads to (lacking[], in_use[]);
 *	- an inode that is opened for writing or changes size loses its twin for good: mappings keep what they have, as
 *	  mappings of a lower file do.
 *
 * The guest controls the files' bytes and, by running them, which sites count. Two of its threads that race with a mapping
 * can make a call count for a file it didn't come from: then a byte sequence of that file which looks like a site and
 * isn't may be rewritten. That takes the bytes 0f 05 48 3d, or code up to a 0f 05, and a file that is only read; it
 * harms who executes or loads them in the same sandbox, nobody else.
 *
 * Left out: sites with no instruction of five bytes or more before them and no padding near by, text larger than 16 MiB,
 * text in memory that is no file's.
 */
#include "sentry/mm/text_internal.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/log.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define HOST_MFD_CLOEXEC 1U
#define HOST_MFD_ALLOW_SEALING 2U
#define HOST_MFD_EXEC 0x10U
#define HOST_F_ADD_SEALS 1033
#define SEALS 0x17U /* SEAL, SHRINK, GROW, FUTURE_WRITE */
#define MAX_IMAGES 256U
#define HOP_TRIES 4
#define TURN_NS (20 * NSEC_PER_MSEC)

uint64_t text_epoch;

static const char *const form_names[TEXT_NFORMS] = {"", "near", "far", "", "", "mov", "reloc"};
static const char *const why_names[TEXT_NWHY] = {"", "no pattern", "flags", "rt_sigreturn", "no room", "file"};

struct text_image {
	struct list link;
	struct text_stats s;
};

struct exclusion {
	struct list link;
	char path[];
};

static struct list files = LIST_INIT(files);
static struct list images = LIST_INIT(images);
static struct list exclusions = LIST_INIT(exclusions);
static struct list turning = LIST_INIT(turning); /* text_site.turning */
static unsigned nimages, ntwins;

/* ---- figures ---- */

/* The image's figures by its path; those that don't fit any more share one. Never NULL but for want of memory. */
static struct text_image *image_find(const char *path)
{
	size_t len = strlen(path);
	struct text_image *i;

	if (nimages >= MAX_IMAGES)
		path = "(others)";
	else if (len >= sizeof(i->s.path))
		path += len - sizeof(i->s.path) + 1;
	list_for_each(i, &images, link)
		if (strcmp(i->s.path, path) == 0)
			return i;
	i = kzalloc(sizeof(*i));
	if (i == NULL)
		return NULL;
	snprintf(i->s.path, sizeof(i->s.path), "%s", path);
	list_init(&i->link);
	list_add_tail(&images, &i->link);
	nimages++;
	return i;
}

bool text_stats_get(unsigned i, struct text_stats *out)
{
	struct text_image *image;
	struct text_file *f;

	list_for_each(image, &images, link) {
		if (i-- != 0)
			continue;
		*out = image->s;
		list_for_each(f, &files, link) {
			if (f->image == image) {
				out->arrivals += f->arrivals;
				out->maps += f->maps;
			}
		}
		return true;
	}
	return false;
}

uint64_t text_bytes(void)
{
	uint64_t sum = 0;
	struct text_file *f;

	list_for_each(f, &files, link)
		sum += f->charged;
	return sum;
}

int text_exclude(const char *path)
{
	struct exclusion *e = kmalloc(sizeof(*e) + strlen(path) + 1);

	if (e == NULL)
		return -LINUX_ENOMEM;
	strcpy(e->path, path);
	list_init(&e->link);
	list_add_tail(&exclusions, &e->link);
	return 0;
}

static bool excluded(const char *path)
{
	struct exclusion *e;

	list_for_each(e, &exclusions, link) {
		size_t len = strlen(e->path);

		/* A directory stands for what is in it. */
		if (strncmp(path, e->path, len) == 0 && (path[len] == '\0' || path[len] == '/' || e->path[len - 1] == '/'))
			return true;
	}
	return false;
}

/* ---- files and sites ---- */

struct text_file *text_file_find(const struct inode *inode, uint64_t file_off, uint64_t len)
{
	struct text_file *f = inode->text;

	while (f != NULL && (f->file_off != file_off || f->len != len))
		f = f->next;
	return f;
}

struct text_file *text_file_new(struct task *task, struct file *file, uint64_t file_off, uint64_t len)
{
	struct inode *inode = file->inode;
	struct text_file *f;
	unsigned ranges = 0;
	char *path = NULL;

	for (f = inode->text; f != NULL; f = f->next)
		ranges++;
	if (ranges >= TEXT_MAX_RANGES)
		return NULL;
	if (file->path.dentry == NULL || file->path.mount == NULL ||
	    vfs_path_name(task, &file->path, false, &path) != 0)
		path = kstrdup("(no name)");
	f = kzalloc(sizeof(*f));
	if (f == NULL || path == NULL)
		goto free;
	f->image = image_find(path);
	if (f->image == NULL)
		goto free;
	ref_init(&f->ref);
	f->fd = -1;
	f->inode = inode;
	f->file_off = file_off;
	f->len = len;
	f->excluded = len > TEXT_MAX_LEN || excluded(path);
	f->next = inode->text;
	inode->text = f;
	list_init(&f->link);
	list_add_tail(&files, &f->link);
	kfree(path);
	return f;

free:
	kfree(path);
	kfree(f);
	return NULL;
}

void text_remember_all(void)
{
	struct text_file *f;

	list_for_each(f, &files, link)
		text_remember(f);
}

static void twin_free(struct text_file *f)
{
	if (f->fd < 0)
		return;
	host_munmap(f->map, f->map_len);
	host_close(f->fd);
	alloc_uncharge(f->charged);
	kfree(f->page_used);
	kfree(f->jumped_to);
	f->fd = -1;
	f->map = NULL;
	f->charged = 0;
	f->page_used = f->jumped_to = NULL;
	ntwins--;
}

void text_file_put(struct text_file *f)
{
	if (f == NULL || !ref_put(&f->ref))
		return;
	invariant(f->maps == 0);
	f->image->s.arrivals += f->arrivals;
	text_remember(f);
	for (unsigned b = 0; b < TEXT_BUCKETS; b++) {
		while (f->bucket[b] != NULL) {
			struct text_site *s = f->bucket[b];

			f->bucket[b] = s->next;
			kfree(s);
		}
	}
	twin_free(f);
	list_del(&f->link);
	kfree(f);
}

/* Address spaces that map it keep it; nobody else finds it any more. */
static void detach_all(struct inode *inode)
{
	struct text_file *f = inode->text, *next;

	inode->text = NULL;
	text_epoch++;
	for (; f != NULL; f = next) {
		next = f->next;
		f->next = NULL;
		f->inode = NULL;
		text_file_put(f);
	}
}

void text_inode_changed(struct inode *inode)
{
	if (inode->text != NULL)
		detach_all(inode);
}

void text_inode_evict(struct inode *inode)
{
	text_inode_changed(inode);
}

static unsigned bucket_of(uint64_t off)
{
	return (unsigned)((off ^ (off >> 8) ^ (off >> 16)) % TEXT_BUCKETS);
}

struct text_site *text_site_find(const struct text_file *f, uint64_t off)
{
	struct text_site *s = f->bucket[bucket_of(off)];

	while (s != NULL && s->off != off)
		s = s->next;
	return s;
}

struct text_site *text_site_new(struct text_file *f, uint64_t off)
{
	struct text_site *s;

	if (f->nsites >= TEXT_MAX_SITES)
		return NULL;
	s = kzalloc(sizeof(*s));
	if (s == NULL)
		return NULL;
	s->off = (uint32_t)off;
	s->next = f->bucket[bucket_of(off)];
	f->bucket[bucket_of(off)] = s;
	f->nsites++;
	f->image->s.sites++;
	return s;
}

static void log_site(const struct text_file *f, const struct text_site *s, const char *what)
{
	const char *path = f->image->s.path;
	char quoted[512];

	log_debug("text: %s+%#llx, call %d, %u times: %s", log_quote(quoted, sizeof(quoted), path, strlen(path)),
		  (unsigned long long)(f->file_off + s->off), s->nr, s->arrivals, what);
}

void text_site_leave(struct text_file *f, struct text_site *s, enum text_why why)
{
	log_site(f, s, why_names[why]);
	s->state = TEXT_LEFT;
	s->why = (uint8_t)why;
	f->image->s.left[why]++;
}

void text_site_again(struct text_file *f, struct text_site *s)
{
	f->image->s.left[s->why]--;
	s->state = TEXT_COUNTING;
	s->why = TEXT_WHY_NONE;
	s->arrivals = 0;
}

/* ---- the twin ---- */

bool text_file_valid(const struct text_file *f)
{
	const struct inode *i = f->inode;

	/* A file that lies on the host may have been changed there. */
	return f->fd >= 0 && i != NULL && i->writers == 0 && i->size == f->size && i->mtime.sec == f->mtime.sec &&
	       i->mtime.nsec == f->mtime.nsec;
}

static int new_memfd(void)
{
	int fd = host_memfd_create("text", HOST_MFD_CLOEXEC | HOST_MFD_ALLOW_SEALING | HOST_MFD_EXEC);

	if (fd == -LINUX_EINVAL) /* kernels that don't know MFD_EXEC */
		fd = host_memfd_create("text", HOST_MFD_CLOEXEC | HOST_MFD_ALLOW_SEALING);
	return fd;
}

/*
 * Which regions the text may ever need, of those that it has room for: those whose pattern occurs in it; else one for the pool of
 * all other forms. A region without room isn't had, not even for others: a site that led there would keep the twin away from all
 * that have none, and they are the same program.
 */
static void look_for_patterns(struct text_file *f, const uint8_t *text, const bool room[TEXT_REGIONS])
{
	bool any = false, had = false;

	memset(f->has, 0, sizeof(f->has));
	for (size_t at = 0; at + 1 < f->len; at++) {
		const uint8_t *p = memchr(text + at, 0x0f, f->len - 1 - at);
		enum text_form form;

		if (p == NULL)
			break;
		at = (size_t)(p - text);
		if (p[1] != 0x05)
			continue;
		any = true;
		form = text_punned(text, f->len, at);
		if (form != TEXT_FORM_NONE && room[form])
			f->has[form] = had = true;
	}
	for (unsigned r = TEXT_FORM_NEAR; r < TEXT_REGIONS && any && !had; r++)
		f->has[r] = had = room[r];
}

static bool lay_out(struct text_file *f, const uint8_t *text, const bool room[TEXT_REGIONS])
{
	uint64_t pages = text_region_len(f->len) / PAGE_SIZE;

	look_for_patterns(f, text, room);
	f->map_len = f->len;
	for (unsigned r = TEXT_FORM_NEAR; r < TEXT_REGIONS; r++) {
		f->region_off[r] = f->map_len;
		if (f->has[r])
			f->map_len += text_region_len(f->len);
	}
	f->page_used = kzalloc(((TEXT_REGIONS - TEXT_FORM_NEAR) * pages + 7) / 8);
	return f->page_used != NULL;
}

/* The memfd, its contents and its seals, all or nothing. text: f->len bytes. */
static int twin_make(struct text_file *f, const uint8_t *text, const bool room[TEXT_REGIONS])
{
	int fd, err;

	if (!lay_out(f, text, room))
		return -LINUX_ENOMEM;
	if (!alloc_charge(f->len)) {
		err = -LINUX_ENOMEM;
		goto free;
	}
	fd = new_memfd();
	if (fd < 0) {
		err = fd;
		goto uncharge;
	}
	err = host_ftruncate(fd, (int64_t)f->map_len);
	if (err != 0)
		goto close;
	f->map = host_mmap(f->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0, &err);
	if (f->map == NULL)
		goto close;
	memcpy(f->map, text, f->len);
	err = host_fcntl(fd, HOST_F_ADD_SEALS, SEALS);
	if (err < 0)
		goto unmap;
	f->fd = fd;
	f->charged = f->len;
	ntwins++;
	return 0;

unmap:
	host_munmap(f->map, f->map_len);
	f->map = NULL;
close:
	host_close(fd);
uncharge:
	alloc_uncharge(f->len);
free:
	kfree(f->page_used);
	f->page_used = NULL;
	return err;
}

bool text_file_copy(struct task *task, struct text_file *f, struct file *file, const bool room[TEXT_REGIONS])
{
	struct inode *inode = file->inode;
	uint8_t *text;
	int64_t got;

	if (f->fd >= 0)
		return true;
	if (f->making || f->excluded || f->inode == NULL || inode->writers != 0 || ntwins >= TEXT_MAX_FILES)
		return false;
	text = kzalloc(f->len);
	if (text == NULL)
		return false;
	f->making = true;
	text_file_get(f);
	f->mtime = inode->mtime;
	f->size = inode->size;
	got = vfs_read_mem(task, file, text, f->len, (int64_t)f->file_off);
	/* The last page may be one that the file ends in; what the mapping shows behind is zeros. */
	if (f->inode != NULL && f->fd < 0 && inode->writers == 0 && inode->size == f->size && got > 0 &&
	    PAGE_ALIGN(got) == f->len) {
		if (twin_make(f, text, room) != 0)
			f->excluded = true;
		else
			text_known_apply(f, task);
	}
	f->making = false;
	kfree(text);
	got = f->fd;
	text_file_put(f);
	return got >= 0;
}

/* ---- rewriting ---- */

/* Accounts the page of a region that a slot of len bytes at off needs. Slots may reach into the next. */
static bool slot_charge(struct text_file *f, enum text_form region, uint64_t off, uint64_t len)
{
	uint64_t base = (region - TEXT_FORM_NEAR) * (text_region_len(f->len) / PAGE_SIZE);

	for (uint64_t page = off / PAGE_SIZE; page <= (off + len - 1) / PAGE_SIZE; page++) {
		uint64_t bit = base + page;

		if ((f->page_used[bit / 8] >> (bit % 8)) & 1)
			continue;
		if (!alloc_charge(PAGE_SIZE))
			return false;
		f->charged += PAGE_SIZE;
		f->page_used[bit / 8] |= (uint8_t)(1U << (bit % 8));
	}
	return true;
}

/* A region is of use if the twin has it and nobody who maps the text lacks it. */
static bool region_usable(const struct text_file *f, enum text_form region)
{
	return f->has[region] && f->lacking[region] == 0;
}

/* The site has its slot: whoever maps the text from now on needs the region. */
static void placed(struct text_file *f, struct text_site *s, enum text_form form, enum text_form region, uint64_t slot)
{
	s->form = (uint8_t)form;
	s->region = (uint8_t)region;
	s->slot = (uint32_t)slot;
	f->in_use[region]++;
}

static void patched(struct text_file *f, struct text_site *s)
{
	log_site(f, s, form_names[s->form]);
	s->state = TEXT_PATCHED;
	if (s->form == TEXT_FORM_NEAR)
		f->image->s.near++;
	else if (s->form == TEXT_FORM_FAR)
		f->image->s.far++;
	else if (s->form == TEXT_FORM_MOV)
		f->image->s.mov++;
	else
		f->image->s.reloc++;
}

/* Two sites so close that their slots would overlap. */
static bool slot_taken(const struct text_file *f, const struct text_site *s, enum text_form form)
{
	uint64_t low = s->off >= TEXT_PUNNED_LEN - 1 ? s->off - (TEXT_PUNNED_LEN - 1) : 0;

	for (uint64_t off = low; off < s->off + TEXT_PUNNED_LEN; off++) {
		const struct text_site *other = text_site_find(f, off);

		if (other != NULL && other != s && other->state == TEXT_PATCHED && other->form == form)
			return true;
	}
	return false;
}

static bool patch_punned(struct text_file *f, struct text_site *s, enum text_form form)
{
	uint64_t slot = s->off + TEXT_SLOT_SHIFT;
	uint8_t code[TEXT_PUNNED_LEN];

	if (!region_usable(f, form) || slot_taken(f, s, form) || !slot_charge(f, form, slot, sizeof(code)))
		return false;
	text_encode_punned(code, form);
	memcpy(f->map + f->region_off[form] + slot, code, sizeof(code));
	__atomic_store_n(f->map + s->off, 0xe9, __ATOMIC_SEQ_CST);
	s->back = 0;
	s->hop = 0;
	placed(f, s, form, form, slot);
	patched(f, s);
	return true;
}

/*
 * An instruction while others may be running through it, as Linux rewrites its own text: first a breakpoint over its first
 * byte, then the bytes behind it, then the first byte of the jump, with time in between for every processor to forget what it
 * had fetched. Who runs into the breakpoint is sent to the slot (text_fix_trap), which does what stood there.
 */
static void encode_site(const struct text_site *s, uint8_t jump[TEXT_JUMP])
{
	uint64_t end = s->off - s->back + s->jump;

	if (s->jump == TEXT_JUMP) {
		text_encode_jump(jump, text_shift(s->region) + s->slot, end);
	} else {
		jump[0] = 0xeb;
		jump[1] = (uint8_t)(s->off + (uint64_t)(int64_t)s->hop - end);
	}
}

static void turn_later(struct ktimer *t)
{
	text_turn();
	if (!list_empty(&turning))
		ktimer_set(t, loop_now() + TURN_NS);
}

static void turn_begin(struct text_file *f, struct text_site *s)
{
	static struct ktimer timer;

	__atomic_store_n(f->map + s->off - s->back, 0xcc, __ATOMIC_SEQ_CST);
	s->state = TEXT_PENDING;
	s->step = 0;
	s->file = text_file_get(f);
	f->image->s.pending++;
	if (timer.fn == NULL)
		ktimer_init(&timer, turn_later);
	if (list_empty(&turning))
		ktimer_set(&timer, loop_now() + TURN_NS);
	list_init(&s->turning);
	list_add_tail(&turning, &s->turning);
}

void text_turn(void)
{
	struct text_site *s, *tmp;

	list_for_each_safe(s, tmp, &turning, turning) {
		struct text_file *f = s->file;
		uint8_t *insn = f->map + s->off - s->back, jump[TEXT_JUMP];

		encode_site(s, jump);
		switch (s->step++) {
		case 0: /* it may have begun just now */
			break;
		case 1:
			memcpy(insn + 1, jump + 1, s->jump - 1U);
			break;
		default:
			__atomic_store_n(insn, jump[0], __ATOMIC_SEQ_CST);
			list_del(&s->turning);
			f->image->s.pending--;
			patched(f, s);
			s->file = NULL;
			text_file_put(f);
		}
	}
}

/* Slots of the pool that so many bytes of code take. */
static uint32_t pool_slots(unsigned len)
{
	return (len + TEXT_POOL_SLOT - 1) / TEXT_POOL_SLOT;
}

/* The region whose pool takes so many more bytes of code, or NONE. */
static enum text_form pool_region(const struct text_file *f, unsigned len)
{
	for (enum text_form r = TEXT_FORM_NEAR; r < TEXT_REGIONS; r++)
		if (region_usable(f, r) && f->pool_used[r] + pool_slots(len) <= TEXT_POOL_LEN / TEXT_POOL_SLOT)
			return r;
	return TEXT_FORM_NONE;
}

/* Puts the code, made for the slot that pool_region promised, there, and the jump where the site's instruction is. */
static enum text_why patch_pool(struct text_file *f, struct text_site *s, const struct task *current, enum text_form form,
				enum text_form r, const uint8_t *code, unsigned len)
{
	uint64_t slot = text_pool_start(f->len) + f->pool_used[r] * TEXT_POOL_SLOT;
	uint8_t *insn = f->map + s->off - s->back, *hop = f->map + s->off + s->hop, jump[TEXT_JUMP];

	if (!slot_charge(f, r, slot, len))
		return TEXT_WHY_NO_ROOM;
	memcpy(f->map + f->region_off[r] + slot, code, len);
	memcpy(s->was, insn, s->jump);
	f->pool_used[r] += pool_slots(len);
	placed(f, s, form, r, slot);
	if (s->hop != 0) {
		memcpy(s->hop_was, hop, TEXT_JUMP);
		text_encode_jump(hop, text_shift(r) + slot, (uint64_t)(hop + TEXT_JUMP - f->map));
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (f->maps != 0 && !text_quiet(f, current)) {
		turn_begin(f, s);
		return TEXT_WHY_NONE;
	}
	encode_site(s, jump);
	memcpy(insn, jump, s->jump);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	patched(f, s);
	return TEXT_WHY_NONE;
}

/* Where the next slot of r's pool will be, from the text's start. */
static uint64_t pool_next(const struct text_file *f, enum text_form r)
{
	return text_shift(r) + text_pool_start(f->len) + f->pool_used[r] * TEXT_POOL_SLOT;
}

/* The text around a site as the file has it: text_reloc_find reads no further than that. */
#define BEFORE 640U
#define BEHIND 400U
struct window {
	uint64_t start;
	size_t len;
	uint8_t bytes[BEFORE + BEHIND + 16];
};

static void put_back(struct window *w, uint64_t at, const uint8_t *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (at + i >= w->start && at + i - w->start < w->len)
			w->bytes[at + i - w->start] = bytes[i];
}

static void window_make(const struct text_file *f, uint64_t off, struct window *w)
{
	static const uint8_t syscall_byte = 0x0f;

	w->start = off > BEFORE ? (off - BEFORE) & ~15UL : 0;
	w->len = MIN(off + BEHIND, f->len) - w->start;
	memcpy(w->bytes, f->map + w->start, w->len);
	for (unsigned b = 0; b < TEXT_BUCKETS; b++) {
		for (const struct text_site *s = f->bucket[b]; s != NULL; s = s->next) {
			if (s->state != TEXT_PATCHED && s->state != TEXT_PENDING)
				continue;
			if (s->back != 0)
				put_back(w, s->off - s->back, s->was, s->jump);
			else
				put_back(w, s->off, &syscall_byte, 1);
			if (s->hop != 0)
				put_back(w, s->off + (uint64_t)(int64_t)s->hop, s->hop_was, TEXT_JUMP);
		}
	}
}

/* Does a far jump lead to one of the n places from off on? True for want of memory, too. */
static bool jumped_to(struct text_file *f, uint64_t off, unsigned n)
{
	if (f->jumped_to == NULL) {
		f->jumped_to = kzalloc((f->len + 7) / 8);
		if (f->jumped_to == NULL)
			return true;
		text_far_jumps(f->map, f->len, f->jumped_to);
	}
	for (uint64_t at = off; at < off + n; at++)
		if ((f->jumped_to[at / 8] >> (at % 8)) & 1)
			return true;
	return false;
}

static enum text_why patch_mov(struct text_file *f, struct text_site *s, const struct task *current)
{
	enum text_why why = text_mov_check(f->map, f->len, s->off, s->nr);
	enum text_form r = pool_region(f, TEXT_MOV_LEN);
	uint8_t code[TEXT_MOV_LEN];
	struct window w;

	if (why != TEXT_WHY_NONE)
		return why;
	if (r == TEXT_FORM_NONE)
		return TEXT_WHY_NO_ROOM;
	/* Jumps that are ours hide what reads the flags. */
	window_make(f, s->off, &w);
	if (!text_flags_unused(w.bytes, w.len, s->off + 2 - w.start))
		return TEXT_WHY_FLAGS;
	s->back = s->jump = TEXT_JUMP;
	s->hop = 0;
	text_encode_mov(code, (uint32_t)s->nr, pool_next(f, r), s->off);
	return patch_pool(f, s, current, TEXT_FORM_MOV, r, code, sizeof(code));
}

/* Has nothing in so many bytes at off been rewritten, nor been made the distance of a jump as it is? */
static bool untouched(const struct text_file *f, const struct window *w, uint64_t off, unsigned n)
{
	for (uint64_t at = off > 4 ? off - 4 : 0; at < off + n; at++) {
		const struct text_site *s = text_site_find(f, at);

		if (s != NULL && s->state == TEXT_PATCHED && s->back == 0)
			return false;
	}
	return memcmp(w->bytes + (off - w->start), f->map + off, n) == 0;
}

/* Padding for a long jump that a short one, ending at off, reaches; 0: there is none. */
static uint64_t find_hop(struct text_file *f, const struct window *w, uint64_t off)
{
	size_t end = off - w->start, at = 0;
	unsigned n;

	while ((at = text_padding_find(w->bytes, w->len, end, at, &n)) != SIZE_MAX) {
		if (!jumped_to(f, w->start + at, n)) {
			for (size_t p = at; p + TEXT_JUMP <= at + n; p++)
				if (p + 128 >= end && p <= end + 127 && untouched(f, w, w->start + p, TEXT_JUMP))
					return w->start + p;
		}
		at += n;
	}
	return 0;
}

/* Chooses the instruction, and the padding if it is a short one. */
static enum text_why reloc_choose(struct text_file *f, struct text_site *s)
{
	enum text_why why;
	struct window w;
	unsigned back;

	window_make(f, s->off, &w);
	back = text_reloc_find(w.bytes, w.len, s->off - w.start, TEXT_JUMP, 0, &why);
	s->jump = TEXT_JUMP;
	s->hop = 0;
	/* Another site's jump would be among what moves, or ours in its way: bytes that are read two ways. */
	if (back != 0 && untouched(f, &w, s->off - back, back) && !jumped_to(f, s->off - back + 1, TEXT_JUMP - 1)) {
		s->back = (uint8_t)back;
		return TEXT_WHY_NONE;
	}
	s->jump = TEXT_HOP;
	/* A few of them: the next one is hardly nearer to anything, and it takes time. */
	back = 0;
	for (unsigned i = 0; i < HOP_TRIES && why != TEXT_WHY_FLAGS; i++) {
		uint64_t hop;

		back = text_reloc_find(w.bytes, w.len, s->off - w.start, TEXT_HOP, back, &why);
		if (back == 0)
			break;
		if (!untouched(f, &w, s->off - back, back) || jumped_to(f, s->off - back + 1, TEXT_HOP - 1))
			continue;
		hop = find_hop(f, &w, s->off - back + TEXT_HOP);
		if (hop != 0) {
			s->back = (uint8_t)back;
			s->hop = (int16_t)(hop - s->off);
			return TEXT_WHY_NONE;
		}
	}
	return why != TEXT_WHY_NONE ? why : TEXT_WHY_NO_PATTERN;
}

static enum text_why patch_reloc(struct text_file *f, struct text_site *s, const struct task *current)
{
	uint8_t code[TEXT_RELOC_LEN];
	enum text_form r;
	enum text_why why;
	unsigned len;

	if (!s->proven && !text_surely_exit(f->map, f->len, s->off, s->nr))
		return TEXT_WHY_NO_PATTERN;
	why = reloc_choose(f, s);
	if (why != TEXT_WHY_NONE)
		return why;
	r = pool_region(f, s->back + TEXT_RELOC_LEN - TEXT_RELOC_MAX);
	if (r == TEXT_FORM_NONE)
		return TEXT_WHY_NO_ROOM;
	len = text_encode_reloc(code, f->map + s->off - s->back, s->back, pool_next(f, r), s->off);
	if (len == 0)
		return TEXT_WHY_NO_ROOM;
	return patch_pool(f, s, current, TEXT_FORM_RELOC, r, code, len);
}

const struct text_site *text_hop_at(const struct text_file *f, uint64_t off)
{
	/* The site is as near as a short jump and what moves allow. */
	uint64_t low = off > 256 ? off - 256 : 0;

	if (off >= f->len || f->map[off] != 0xe9)
		return NULL;
	for (uint64_t at = low; at < off + 256; at++) {
		const struct text_site *s = text_site_find(f, at);

		if (s != NULL && (s->state == TEXT_PATCHED || s->state == TEXT_PENDING) && s->hop != 0 &&
		    at + (uint64_t)(int64_t)s->hop == off)
			return s;
	}
	return NULL;
}

/*
 * A site where the bytes leave no doubt is rewritten at its first call: the twin is there anyway. So is one whose instructions
 * must move, once the file has been looked through for jumps; that takes time in proportion to its length, and waits until the
 * calls from one site were as many; sooner for a site that an earlier sandbox had so many calls from.
 */
uint32_t text_patience(const struct text_file *f, const struct text_site *s)
{
	uint64_t scan;

	if (f->fd < 0 || s->state != TEXT_COUNTING)
		return TEXT_SITE_ARRIVALS;
	if (text_surely_site(f->map, f->len, s->off, s->nr))
		return 1;
	if (text_punned(f->map, f->len, s->off) != TEXT_FORM_NONE)
		return TEXT_SITE_ARRIVALS;
	if (f->jumped_to != NULL)
		return 1;
	scan = text_known_names(f, s->off) ? TEXT_RELOC_SCAN_KNOWN : TEXT_RELOC_SCAN;
	return MAX(TEXT_SITE_ARRIVALS, (uint32_t)(f->len / scan));
}

void text_patch(struct text_file *f, struct text_site *s, const struct task *current)
{
	enum text_form form;
	enum text_why why;

	invariant(f->fd >= 0);
	if (s->state != TEXT_COUNTING)
		return;
	if (s->off > f->len - 2 || f->map[s->off] != 0x0f || f->map[s->off + 1] != 0x05) {
		text_site_leave(f, s, TEXT_WHY_NO_PATTERN);
		return;
	}
	if (!s->proven && !text_surely_site(f->map, f->len, s->off, s->nr) &&
	    !text_surely_exit(f->map, f->len, s->off, s->nr)) {
		text_site_leave(f, s, TEXT_WHY_NO_PATTERN);
		return;
	}
	form = text_punned(f->map, f->len, s->off);
	if (form != TEXT_FORM_NONE && patch_punned(f, s, form))
		return;
	why = patch_mov(f, s, current);
	if (why == TEXT_WHY_NO_PATTERN)
		why = patch_reloc(f, s, current);
	/* A punned site whose region is in the way of something is rather a matter of room. */
	if (form != TEXT_FORM_NONE && why != TEXT_WHY_NONE)
		why = TEXT_WHY_NO_ROOM;
	if (why != TEXT_WHY_NONE)
		text_site_leave(f, s, why);
}

void text_patch_ready(struct text_file *f, const struct task *current)
{
	for (unsigned b = 0; b < TEXT_BUCKETS; b++)
		for (struct text_site *s = f->bucket[b]; s != NULL; s = s->next)
			if (s->state == TEXT_COUNTING && s->arrivals != 0 && s->arrivals >= text_patience(f, s))
				text_patch(f, s, current);
}
