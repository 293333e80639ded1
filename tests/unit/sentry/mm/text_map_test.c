/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rewritten text in address spaces, without a guest: the platform writes down what it is told, the file is made of bytes
 * here. What the twin holds is looked at where the sentry wrote it.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/text_internal.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define PAGES 4UL
#define LEN (PAGES * PAGE_SIZE)
#define RX (LINUX_PROT_READ | LINUX_PROT_EXEC)
#define RW (LINUX_PROT_READ | LINUX_PROT_WRITE)
#define FILE_FD 999
#define NEAR_SITE 0x100UL
#define CLOSE_SITE 0x108UL /* its slot would overlap the other's */
#define FAR_SITE 0x200UL
#define MOV_SITE 0x305UL
#define ODD_MOV_SITE 0x1000UL /* its mov ends where a page ends */
#define PLAIN_SITE 0x400UL
#define MOVED_SITE 0x50bUL  /* mov $4,%eax; mov %r9,%rdi; mov %rdx,%rsi; syscall */
#define HOP_SITE 0x606UL    /* mov %r9,%rdi; mov %rdx,%rsi; syscall; test; ret; padding */
#define HOP_PADDING 0x60bUL
#define INTO_SITE 0x70bUL   /* as MOVED_SITE, and a far jump leads into its mov */
#define NEAR_MOV_SITE 0x805UL   /* as NEAR_SITE, with the number before it */
#define NEAR_MOVED_SITE 0x90bUL /* and as MOVED_SITE */

static struct platform_mm_cmd cmds[64];
static unsigned ncmds;
static struct regs regs;

static int fake_queue(struct platform_thread *pt, const struct platform_mm_cmd *cmd)
{
	(void)pt;
	cr_assert_lt(ncmds, 64);
	cmds[ncmds++] = *cmd;
	return 0;
}
static int fake_flush(struct task *t, struct platform_thread *pt)
{
	(void)t;
	(void)pt;
	return 0;
}
static struct platform_mm *fake_mm(struct platform_thread *pt)
{
	return (struct platform_mm *)pt;
}
static void fake_ref(struct platform_mm *pmm)
{
	(void)pmm;
}
static bool fake_full(const struct task *t)
{
	(void)t;
	return false;
}
static struct regs *fake_context(struct task *t, int64_t value)
{
	(void)t;
	(void)value;
	return &regs;
}
static const struct platform_ops fake = {
	.mm_queue = fake_queue,
	.mm_flush = fake_flush,
	.thread_mm = fake_mm,
	.mm_get = fake_ref,
	.mm_put = fake_ref,
	.is_full = fake_full,
	.context = fake_context,
};

static uint8_t content[LEN];

static int64_t file_read(struct task *t, struct file *f, struct iobuf *buf, int64_t *pos)
{
	size_t n = (uint64_t)*pos < LEN ? iobuf_put(buf, content + *pos, MIN(buf->left, LEN - (size_t)*pos)) : 0;

	(void)t;
	(void)f;
	*pos += (int64_t)n;
	return (int64_t)n;
}

static int file_map(struct task *t, struct file *f, uint64_t off, uint64_t len, int prot, bool shared,
		    struct map_backing *out)
{
	(void)t;
	(void)f;
	(void)len;
	(void)prot;
	(void)shared;
	*out = (struct map_backing){.host_fd = FILE_FD, .host_off = off, .force_private = true};
	return 0;
}

static const struct file_ops fops = {.read = file_read, .map = file_map};
static const struct inode_ops iops;
static struct inode inode;
static struct file *file;
static struct thread_group group;
static struct cred cred;
static struct task task;

static void put_bytes(uint64_t at, const char *bytes, size_t n)
{
	memcpy(content + at, bytes, n);
}

static void setup(void)
{
	platform = &fake;
	gate_on = true;
	ncmds = 0;
	memset(content, 0x90, sizeof(content));
	put_bytes(NEAR_SITE, "\x0f\x05\x48\x3d\x00\xf0\xff\xff", 8);
	put_bytes(CLOSE_SITE, "\x0f\x05\x48\x3d\x00\xf0\xff\xff", 8);
	put_bytes(FAR_SITE, "\x0f\x05\x48\x3d\x01\xf0\xff\xff", 8);
	put_bytes(MOV_SITE - 5, "\xb8\x6e\0\0\0\x0f\x05\xc3", 8);
	put_bytes(ODD_MOV_SITE - 5, "\xb8\x27\0\0\0\x0f\x05\xc3", 8);
	put_bytes(PLAIN_SITE, "\x0f\x05\xc3", 3);
	put_bytes(MOVED_SITE - 11, "\xb8\4\0\0\0\x4c\x89\xcf\x48\x89\xd6\x0f\x05\xc3", 14);
	put_bytes(HOP_SITE - 6, "\x4c\x89\xcf\x48\x89\xd6\x0f\x05\x85\xc0\xc3\x0f\x1f\x44\0\0\x53", 17);
	put_bytes(INTO_SITE - 11, "\xb8\4\0\0\0\x4c\x89\xcf\x48\x89\xd6\x0f\x05\xc3", 14);
	put_bytes(NEAR_MOV_SITE - 5, "\xb8\x6e\0\0\0\x0f\x05\x48\x3d\0\xf0\xff\xff", 13);
	put_bytes(NEAR_MOVED_SITE - 11, "\xb8\4\0\0\0\x4c\x89\xcf\x48\x89\xd6\x0f\x05\x48\x3d\0\xf0\xff\xff", 19);
	put_bytes(0x2000, "\xe9\xfd\xe6\xff\xff", 5); /* to 0x702 */
	memset(&task, 0, sizeof(task));
	for (unsigned i = 0; i < ARRAY_LEN(group.rlimits); i++)
		group.rlimits[i].cur = group.rlimits[i].max = LINUX_RLIM_INFINITY;
	list_init(&kernel.groups);
	list_init(&group.threads);
	list_init(&group.all_link);
	list_add(&kernel.groups, &group.all_link);
	list_init(&task.group_link);
	list_add(&group.threads, &task.group_link);
	task.group = &group;
	ref_init(&cred.ref);
	task.cred = &cred;
	task.pt = (struct platform_thread *)&task;
	task.mm = mm_new(task.pt);
	task.mm->mmap_top = task.mm->hole_top = 0x7e0000000000UL;
	memset(&inode, 0, sizeof(inode));
	ref_init(&inode.ref);
	inode.ops = &iops;
	inode.mode = LINUX_S_IFREG | 0755;
	inode.size = LEN;
	list_init(&inode.watches);
	file = file_new(NULL, NULL, &inode, &fops, LINUX_O_RDONLY);
	cr_assert_not_null(file);
	file->mode |= FMODE_READ;
}

static void teardown(void)
{
	mm_release(&task);
	file_put(file);
	text_inode_evict(&inode);
	cr_assert_eq(text_bytes(), 0);
}

TestSuite(text_map, .init = setup, .fini = teardown);

static uint64_t map_text(void)
{
	int64_t at = mm_mmap(&task, 0, LEN, RX, LINUX_MAP_PRIVATE, file, 0);

	cr_assert_gt(at, 0);
	return (uint64_t)at;
}

static void arrive(uint64_t text, uint64_t site, int nr, unsigned times)
{
	while (times-- > 0)
		text_arrival(&task, nr, text + site + 2, true);
}

/* Text that is mapped, busy and rewritten. */
static uint64_t hot_text(void)
{
	uint64_t text = map_text();

	arrive(text, NEAR_SITE, 0, TEXT_FILE_ARRIVALS);
	cr_assert(task.mm->text_pending);
	ncmds = 0;
	cr_assert(text_return(&task, 0));
	cr_assert_not(task.mm->text_pending);
	return text;
}

static const struct platform_mm_cmd *command_at(uint64_t addr, enum platform_mm_op op)
{
	for (unsigned i = ncmds; i-- > 0;)
		if (cmds[i].addr == addr && cmds[i].op == op)
			return &cmds[i];
	return NULL;
}

Test(text_map, a_busy_file_is_replaced)
{
	uint64_t text = map_text();
	struct text_file *f;

	arrive(text, NEAR_SITE, 0, TEXT_FILE_ARRIVALS - 1);
	cr_assert_not(task.mm->text_pending);
	arrive(text, NEAR_SITE, 0, 1);
	cr_assert(task.mm->text_pending);
	ncmds = 0;
	cr_assert(text_return(&task, 7));
	f = inode.text;
	cr_assert_not_null(f);
	cr_assert_geq(f->fd, 0);
	/* The trampolines first, then the text. */
	cr_assert_eq(ncmds, 3);
	cr_assert(cmds[0].addr == text + TEXT_NEAR_SHIFT && cmds[1].addr == text + TEXT_FAR_SHIFT && cmds[2].addr == text);
	for (unsigned i = 0; i < 3; i++)
		cr_assert(cmds[i].op == PLATFORM_MMAP && cmds[i].host_fd == f->fd && cmds[i].prot == RX &&
			  (cmds[i].flags & LINUX_MAP_PRIVATE) && cmds[i].off + cmds[i].len <= f->map_len);
	/* One byte has changed, and its slot is there. */
	for (uint64_t i = 0; i < LEN; i++)
		cr_assert_eq(f->map[i], i == NEAR_SITE ? 0xe9 : content[i]);
	cr_assert_eq(f->map[f->region_off[TEXT_FORM_NEAR] + NEAR_SITE + TEXT_SLOT_SHIFT], 0x48);
	cr_assert_eq(task.mm->nvmas, 1);
}

Test(text_map, forms)
{
	uint64_t text = hot_text();
	struct text_file *f = inode.text;

	arrive(text, FAR_SITE, 1, 4);
	cr_assert_eq(f->map[FAR_SITE], 0xe9);
	arrive(text, MOV_SITE, 110, 4);
	cr_assert_eq(f->map[MOV_SITE - 5], 0xe9);
	cr_assert_eq(f->map[MOV_SITE], 0x0f);
	arrive(text, ODD_MOV_SITE, 39, 4);
	cr_assert_eq(f->map[ODD_MOV_SITE - 5], 0xe9);
	arrive(text, PLAIN_SITE, 39, 4);
	cr_assert_eq(f->map[PLAIN_SITE], 0x0f);
	cr_assert_eq(text_site_find(f, PLAIN_SITE)->why, TEXT_WHY_NO_PATTERN);
	/* Too close to another. */
	arrive(text, CLOSE_SITE, 39, 4);
	cr_assert_eq(f->map[CLOSE_SITE], 0x0f);
	cr_assert_eq(text_site_find(f, CLOSE_SITE)->why, TEXT_WHY_NO_ROOM);
}

Test(text_map, sigreturn_is_never_rewritten)
{
	uint64_t text = hot_text();

	arrive(text, FAR_SITE, 15, 1);
	arrive(text, FAR_SITE, 1, 100);
	cr_assert_eq(inode.text->map[FAR_SITE], 0x0f);
}

Test(text_map, a_mov_that_others_run_through)
{
	struct task other = {.group = &group};
	uint64_t text = hot_text();
	struct text_site *s;
	const uint8_t *mov;

	other.mm = task.mm;
	list_init(&other.group_link);
	list_add(&group.threads, &other.group_link);
	arrive(text, MOV_SITE, 110, 10);
	s = text_site_find(inode.text, MOV_SITE);
	mov = inode.text->map + MOV_SITE - 5;
	for (unsigned step = 0; step < 3; step++) {
		struct regs r = {.rip = text + MOV_SITE - 4, .rax = 1234};
		uint8_t buf[8];

		cr_assert_eq(s->state, TEXT_PENDING);
		cr_assert_eq(mov[0], 0xcc);
		cr_assert_eq(mov[1], step < 2 ? 110 : (uint8_t)(text_shift(s->region) + s->slot - MOV_SITE));
		cr_assert(text_fix_trap(task.mm, &r));
		cr_assert(r.rax == 110 && r.rip == text + MOV_SITE);
		memcpy(buf, mov, sizeof(buf));
		cr_assert_eq(text_read_fix_slow(task.mm, buf, text + MOV_SITE - 5, sizeof(buf)), sizeof(buf));
		cr_assert_eq(memcmp(buf, content + MOV_SITE - 5, sizeof(buf)), 0);
		text_turn();
	}
	cr_assert_eq(s->state, TEXT_PATCHED);
	cr_assert_eq(mov[0], 0xe9);
	/* Somebody who is blocked isn't in the way. */
	other.blocked = true;
	arrive(text, ODD_MOV_SITE, 39, 10);
	cr_assert_eq(inode.text->map[ODD_MOV_SITE - 5], 0xe9);
	list_del(&other.group_link);
}

/* Both forms of sites whose instructions move: jump and slot, contexts, steps, reads. */
static void check_moved(uint64_t text, uint64_t site, unsigned back, unsigned jump)
{
	const struct text_site *s = text_site_find(inode.text, site);
	uint64_t slot = text + text_shift(s->region) + s->slot, hop = text + site + (uint64_t)(int64_t)s->hop;
	const uint8_t *map = inode.text->map;
	uint8_t buf[64];
	struct regs r;

	cr_assert_eq(s->state, TEXT_PATCHED);
	cr_assert_eq(s->form, TEXT_FORM_RELOC);
	cr_assert(s->back == back && s->jump == jump);
	cr_assert_eq(map[site - back], jump == TEXT_HOP ? 0xeb : 0xe9);
	cr_assert_eq(memcmp(map + site - back + jump, content + site - back + jump, back - jump + 2), 0);
	for (unsigned at = 0; at < back + 20; at++) {
		int done = text_reloc_done(map + inode.text->region_off[s->region] + s->slot, back, at);

		r.rip = slot + at;
		cr_assert_eq(text_fix_ip(task.mm, &r), done >= 0, "%u", at);
		cr_assert(done < 0 || r.rip == text + site - back + (unsigned)done);
		/* To the thread that is stepped each moved instruction is one, the two behind them are none. */
		cr_assert_eq(text_stepped_nothing(task.mm, slot + at), at == 0 || at == back + 7, "%u", at);
	}
	if (s->hop != 0) {
		r.rip = hop;
		cr_assert(text_fix_ip(task.mm, &r) && r.rip == text + site - back && text_stepped_nothing(task.mm, hop));
		r.rip = hop + 1;
		cr_assert_not(text_fix_ip(task.mm, &r));
		cr_assert(map[site + (uint64_t)(int64_t)s->hop] == 0xe9);
	}
	memcpy(buf, map + site - 20, sizeof(buf));
	cr_assert_eq(text_read_fix_slow(task.mm, buf, text + site - 20, sizeof(buf)), sizeof(buf));
	cr_assert_eq(memcmp(buf, content + site - 20, sizeof(buf)), 0);
}

Test(text_map, instructions_that_move)
{
	uint64_t text = hot_text();

	arrive(text, MOVED_SITE, 4, 4);
	check_moved(text, MOVED_SITE, 11, TEXT_JUMP);
	/* From now on the first call is enough. */
	arrive(text, HOP_SITE, 4, 1);
	check_moved(text, HOP_SITE, 3, TEXT_HOP);
	cr_assert_eq(text_site_find(inode.text, HOP_SITE)->hop, HOP_PADDING - HOP_SITE);
	arrive(text, INTO_SITE, 4, 1);
	cr_assert_eq(text_site_find(inode.text, INTO_SITE)->state, TEXT_LEFT);
	cr_assert_eq(memcmp(inode.text->map + INTO_SITE - 11, content + INTO_SITE - 11, 14), 0);
	arrive(text, MOV_SITE, 110, 4);
	check_moved(text, MOVED_SITE, 11, TEXT_JUMP);
}

/* What only the stub says doesn't move anything. */
Test(text_map, instructions_move_only_where_calls_came_from)
{
	uint64_t text = hot_text();

	for (unsigned i = 0; i < 100; i++)
		text_arrival(&task, 4, text + MOVED_SITE + 2, false);
	cr_assert_eq(inode.text->map[MOVED_SITE - 11], 0xb8);
	arrive(text, MOVED_SITE, 4, 4);
	check_moved(text, MOVED_SITE, 11, TEXT_JUMP);
}

Test(text_map, instructions_move_while_others_run_there)
{
	static const struct {
		uint64_t site;
		unsigned back, jump;
	} sites[] = {{MOVED_SITE, 11, TEXT_JUMP}, {HOP_SITE, 3, TEXT_HOP}};
	struct task other = {.group = &group};
	uint64_t text = hot_text();

	other.mm = task.mm;
	list_init(&other.group_link);
	list_add(&group.threads, &other.group_link);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t at = sites[i].site - sites[i].back;
		const struct text_site *s;

		arrive(text, sites[i].site, 4, 4);
		s = text_site_find(inode.text, sites[i].site);
		for (unsigned step = 0; step < 3; step++) {
			struct regs r = {.rip = text + at + 1, .rax = 1234};
			uint8_t buf[32];

			cr_assert_eq(s->state, TEXT_PENDING);
			cr_assert_eq(inode.text->map[at], 0xcc);
			cr_assert(text_fix_trap(task.mm, &r));
			cr_assert(r.rax == 1234 && r.rip == text + text_shift(s->region) + s->slot);
			memcpy(buf, inode.text->map + at, sizeof(buf));
			cr_assert_eq(text_read_fix_slow(task.mm, buf, text + at, sizeof(buf)), sizeof(buf));
			cr_assert_eq(memcmp(buf, content + at, sizeof(buf)), 0);
			text_turn();
		}
		check_moved(text, sites[i].site, sites[i].back, sites[i].jump);
	}
	list_del(&other.group_link);
}

Test(text_map, reads_show_what_was_written)
{
	uint64_t text = hot_text();
	uint8_t buf[LEN];

	arrive(text, MOV_SITE, 110, 4);
	arrive(text, FAR_SITE, 1, 4);
	memcpy(buf, inode.text->map, LEN);
	cr_assert_eq(text_read_fix_slow(task.mm, buf, text, LEN), LEN);
	cr_assert_eq(memcmp(buf, content, LEN), 0);
	/* Parts of sites, at both ends. */
	for (uint64_t at = MOV_SITE - 8; at < MOV_SITE + 4; at++) {
		for (size_t n = 1; n < 12; n++) {
			memcpy(buf, inode.text->map + at, n);
			cr_assert_eq(text_read_fix_slow(task.mm, buf, text + at, n), n);
			cr_assert_eq(memcmp(buf, content + at, n), 0);
		}
	}
	/* Trampolines can't be read. */
	cr_assert_eq(text_read_fix_slow(task.mm, buf, text + TEXT_NEAR_SHIFT, 8), 0);
	cr_assert_eq(text_read_fix_slow(task.mm, buf, text + TEXT_NEAR_SHIFT - 4, 8), 4);
}

Test(text_map, contexts_leave_trampolines)
{
	uint64_t text = hot_text(), slot = text + TEXT_NEAR_SHIFT + NEAR_SITE + TEXT_SLOT_SHIFT;
	const struct text_site *s;
	struct regs r = {.rip = slot};

	cr_assert(text_fix_ip(task.mm, &r));
	cr_assert_eq(r.rip, text + NEAR_SITE);
	r.rip = slot + 7;
	cr_assert(text_fix_ip(task.mm, &r));
	cr_assert_eq(r.rip, text + NEAR_SITE);
	r.rip = slot + 1;
	cr_assert_not(text_fix_ip(task.mm, &r));
	r.rip = slot + TEXT_PUNNED_LEN;
	cr_assert_not(text_fix_ip(task.mm, &r));
	r.rip = text + NEAR_SITE;
	cr_assert_not(text_fix_ip(task.mm, &r));
	arrive(text, MOV_SITE, 110, 4);
	s = text_site_find(inode.text, MOV_SITE);
	for (unsigned at = 0; at < TEXT_POOL_SLOT; at++) {
		bool boundary = at == 0 || at == 5 || at == 12;

		r.rip = text + text_shift(s->region) + s->slot + at;
		cr_assert_eq(text_fix_ip(task.mm, &r), boundary);
		cr_assert(!boundary || r.rip == text + MOV_SITE - 5);
	}
}

Test(text_map, regions_are_given_to_nobody)
{
	uint64_t text = hot_text(), low[2] = {text + TEXT_NEAR_SHIFT, text + TEXT_FAR_SHIFT}, below, above;

	for (unsigned i = 0; i < 2; i++) {
		uint64_t high = low[i] + text_region_len(LEN);

		cr_assert_not(vma_range_free(task.mm, high - PAGE_SIZE, high));
		cr_assert_not(vma_range_free(task.mm, low[i] - PAGE_SIZE, low[i] + PAGE_SIZE));
		cr_assert(text_reserved(task.mm, low[i], low[i] + 1, &below, &above));
		cr_assert(below == low[i] && above == high);
		/* Not as a hint either. */
		cr_assert_neq((uint64_t)mm_mmap(&task, low[i], PAGE_SIZE, RW, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS, NULL, 0),
			      low[i]);
	}
	for (unsigned i = 0; i < 300; i++) {
		int64_t at = mm_mmap(&task, 0, 20 * PAGE_SIZE, i % 2 ? RW : LINUX_PROT_NONE,
				     LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS, NULL, 0);

		ncmds = 0;
		cr_assert_gt(at, 0);
		cr_assert_not(text_reserved(task.mm, (uint64_t)at, (uint64_t)at + 20 * PAGE_SIZE, &below, &above));
	}
}

Test(text_map, mapping_over_a_region_brings_the_file_back)
{
	static const uint64_t shift[] = {TEXT_NEAR_SHIFT, TEXT_FAR_SHIFT, 0};

	for (unsigned i = 0; i < 3; i++) {
		uint64_t text = hot_text(), at = text + shift[i];
		const struct platform_mm_cmd *back;

		ncmds = 0;
		cr_assert_eq(mm_mmap(&task, at, PAGE_SIZE, RW, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0),
			     (int64_t)at);
		back = &cmds[0];
		cr_assert(back->op == PLATFORM_MMAP && back->addr == text && back->len == LEN && back->host_fd == FILE_FD &&
			  back->prot == RX);
		cr_assert_not_null(command_at(text + TEXT_NEAR_SHIFT, PLATFORM_MUNMAP));
		cr_assert_not_null(command_at(text + TEXT_FAR_SHIFT, PLATFORM_MUNMAP));
		cr_assert_eq(cmds[ncmds - 1].addr, at);
		cr_assert_eq(inode.text->maps, 0);
		cr_assert_eq(task.mm->text_high, 0);
		/* The same text doesn't become rewritten again while something is in its way. */
		if (i == 0) {
			arrive(text, NEAR_SITE, 0, 1);
			cr_assert(text_return(&task, 0));
			cr_assert_eq(inode.text->maps, 0);
		}
		cr_assert_eq(mm_munmap(&task, text, TEXT_FAR_SHIFT + 64 * PAGE_SIZE), 0);
		ncmds = 0;
		cr_assert(list_empty(&task.mm->text->records), "round %u", i);
		text_inode_changed(&inode);
	}
}

Test(text_map, text_that_becomes_writable_is_the_files)
{
	uint64_t text = hot_text();

	ncmds = 0;
	cr_assert_eq(mm_mprotect(&task, text, LEN, RW), 0);
	cr_assert(cmds[0].op == PLATFORM_MMAP && cmds[0].host_fd == FILE_FD && cmds[0].addr == text);
	cr_assert_eq(mm_mprotect(&task, text, LEN, RX), 0);
	/* And stays so: its pages may be the guest's own. */
	ncmds = 0;
	arrive(text, NEAR_SITE, 0, 500);
	if (task.mm->text_pending)
		cr_assert(text_return(&task, 0));
	cr_assert_eq(ncmds, 0);
	cr_assert_eq(inode.text->maps, 0);
}

static bool taken_away(uint64_t ip)
{
	struct regs r = {.rip = ip};

	return text_taken_away(task.mm, &r);
}

/* Other threads may stand where trampolines were, or behind a breakpoint that has gone. */
Test(text_map, who_stood_in_a_trampoline_goes_on_from_the_file)
{
	uint64_t text = hot_text(), slot = text + TEXT_NEAR_SHIFT + NEAR_SITE + TEXT_SLOT_SHIFT, moved;
	struct task other = {.group = &group};
	const struct text_site *s;
	struct mm *copy;
	struct regs r;

	other.mm = task.mm;
	ref_get(&task.mm->ref);
	list_init(&other.group_link);
	list_add(&group.threads, &other.group_link);
	arrive(text, MOVED_SITE, 4, 4);
	s = text_site_find(inode.text, MOVED_SITE);
	cr_assert_eq(s->state, TEXT_PENDING);
	moved = text + text_shift(s->region) + s->slot;
	cr_assert_not(taken_away(slot), "it is there");
	cr_assert_eq(mm_mprotect(&task, text, LEN, RW), 0);
	cr_assert_eq(inode.text->maps, 0);
	cr_assert(taken_away(slot) && taken_away(moved));
	cr_assert_not(taken_away(slot + 1), "no instruction begins there");
	cr_assert_not(taken_away(text + NEAR_SITE), "the file's");
	r = (struct regs){.rip = slot + 7};
	cr_assert(text_fix_ip(task.mm, &r));
	cr_assert_eq(r.rip, text + NEAR_SITE);
	r = (struct regs){.rip = moved};
	cr_assert(text_fix_ip(task.mm, &r));
	cr_assert_eq(r.rip, text + MOVED_SITE - 11);
	r = (struct regs){.rip = text + MOVED_SITE - 11 + 1, .rax = 1234};
	cr_assert(text_fix_trap(task.mm, &r));
	cr_assert(r.rip == text + MOVED_SITE - 11 && r.rax == 1234);
	r = (struct regs){.rip = text + PLAIN_SITE + 1};
	cr_assert_not(text_fix_trap(task.mm, &r), "the program's own");
	list_del(&other.group_link);
	mm_put(other.mm);
	/* A fork's child has one thread, and nothing of that. */
	copy = mm_dup(task.mm);
	cr_assert(copy != NULL && !copy->text_gone);
	r = (struct regs){.rip = text + MOVED_SITE - 11 + 1};
	cr_assert_not(text_fix_trap(copy, &r));
	mm_put(copy);
	/* Other code in the place of a trampoline is run as it is, data is not. */
	cr_assert_eq(mm_mmap(&task, (slot & ~(PAGE_SIZE - 1)), PAGE_SIZE, RW, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0),
		     (int64_t)(slot & ~(PAGE_SIZE - 1)));
	cr_assert(taken_away(slot));
	cr_assert_eq(mm_mmap(&task, (slot & ~(PAGE_SIZE - 1)), PAGE_SIZE, RX, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0),
		     (int64_t)(slot & ~(PAGE_SIZE - 1)));
	r = (struct regs){.rip = slot};
	cr_assert_not(text_fix_ip(task.mm, &r));
	cr_assert(taken_away(slot), "who couldn't fetch that wasn't there for it");
	for (unsigned step = 0; step < 3; step++)
		text_turn(); /* a site on its way keeps its file */
	cr_assert_eq(s->state, TEXT_PATCHED);
}

Test(text_map, nobody_else_stands_there)
{
	uint64_t text = hot_text(), slot = text + TEXT_NEAR_SHIFT + NEAR_SITE + TEXT_SLOT_SHIFT;

	cr_assert_eq(mm_mprotect(&task, text, LEN, RW), 0);
	cr_assert_not(task.mm->text_gone);
	cr_assert_not(taken_away(slot));
}

Test(text_map, later_mappings_begin_rewritten)
{
	uint64_t text = hot_text(), again;
	struct text_file *f = inode.text;

	ncmds = 0;
	again = map_text();
	cr_assert_neq(again, text);
	cr_assert_eq(ncmds, 3);
	cr_assert(cmds[2].addr == again && cmds[2].host_fd == f->fd);
	cr_assert_eq(f->maps, 2);
	/* Not a part of it, not writable, not shared. */
	ncmds = 0;
	cr_assert_gt(mm_mmap(&task, 0, PAGE_SIZE, RX, LINUX_MAP_PRIVATE, file, 0), 0);
	cr_assert_gt(mm_mmap(&task, 0, LEN, RX | LINUX_PROT_WRITE, LINUX_MAP_PRIVATE, file, 0), 0);
	cr_assert_gt(mm_mmap(&task, 0, LEN, RX, LINUX_MAP_SHARED, file, 0), 0);
	for (unsigned i = 0; i < ncmds; i++)
		cr_assert_eq(cmds[i].host_fd, FILE_FD);
	/* Not once the file is open for writing. */
	inode.writers = 1;
	text_inode_changed(&inode);
	ncmds = 0;
	(void)map_text();
	cr_assert(ncmds == 1 && cmds[0].host_fd == FILE_FD);
	inode.writers = 0;
}

Test(text_map, forks_share_it)
{
	uint64_t text = hot_text();
	struct mm *child = mm_dup(task.mm);
	struct regs r = {.rip = text + TEXT_NEAR_SHIFT + NEAR_SITE + TEXT_SLOT_SHIFT};

	cr_assert_not_null(child);
	mm_set_platform(child, task.mm->pmm);
	cr_assert_eq(inode.text->maps, 2);
	cr_assert(text_fix_ip(child, &r));
	mm_put(child);
	cr_assert_eq(inode.text->maps, 1);
}

Test(text_map, a_region_somebody_lacks_is_not_led_to)
{
	const uint64_t second = 0x300000000000;
	uint64_t text = hot_text(), other;
	struct text_file *f = inode.text;

	/* In a second mapping of it something is in the far region's place. */
	cr_assert_gt(mm_mmap(&task, second + TEXT_FAR_SHIFT, PAGE_SIZE, RW,
			     LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0), 0);
	cr_assert_eq(mm_mmap(&task, second, LEN, RX, LINUX_MAP_PRIVATE | LINUX_MAP_FIXED, file, 0), (int64_t)second);
	cr_assert_eq(f->maps, 2);
	cr_assert_eq(f->lacking[TEXT_FORM_FAR], 1);
	arrive(text, FAR_SITE, 1, 10);
	cr_assert_eq(f->map[FAR_SITE], 0x0f);
	/* And the other way round: who lacks a region that is led to has the plain file. */
	other = (uint64_t)mm_mmap(&task, 0x100000000, PAGE_SIZE, RW, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0);
	ncmds = 0;
	cr_assert_eq(mm_mmap(&task, other - TEXT_NEAR_SHIFT, LEN, RX, LINUX_MAP_PRIVATE | LINUX_MAP_FIXED, file, 0),
		     (int64_t)(other - TEXT_NEAR_SHIFT));
	cr_assert(ncmds == 1 && cmds[0].host_fd == FILE_FD);
}

/* Where a mapping that was given its place has no room any more, the twin that is made for it does without. */
Test(text_map, a_region_without_room_is_not_made)
{
	uint64_t text = map_text();
	struct text_file *f;

	cr_assert_gt(mm_mmap(&task, text + TEXT_FAR_SHIFT, PAGE_SIZE, RW,
			     LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0), 0);
	arrive(text, FAR_SITE, 1, TEXT_FILE_ARRIVALS);
	arrive(text, NEAR_SITE, 0, 4);
	cr_assert(text_return(&task, 0));
	f = inode.text;
	cr_assert(f->maps == 1 && f->has[TEXT_FORM_NEAR] && !f->has[TEXT_FORM_FAR]);
	cr_assert(f->map[NEAR_SITE] == 0xe9 && f->map[FAR_SITE] == 0x0f);
}

/* Who maps a file low, with something of its own in both places, is alone in having no room: others' mappings have their regions. */
Test(text_map, a_low_mapping_takes_no_region_from_others)
{
	const uint64_t low = 0x10000000;
	struct text_file *f;

	cr_assert_eq(mm_mmap(&task, low, LEN, RX, LINUX_MAP_PRIVATE | LINUX_MAP_FIXED, file, 0), (int64_t)low);
	cr_assert_gt(mm_mmap(&task, low + TEXT_NEAR_SHIFT, TEXT_FAR_SHIFT, RW,
			     LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0), 0);
	arrive(low, NEAR_SITE, 0, TEXT_FILE_ARRIVALS);
	cr_assert(text_return(&task, 0));
	f = inode.text;
	cr_assert(f->has[TEXT_FORM_NEAR] && !f->has[TEXT_FORM_AWAY]);
}

/* A program that is linked at a low address and has its data in both places: one region far away takes all slots. */
Test(text_map, data_in_both_places)
{
	const uint64_t text = 0x400000, away = text + TEXT_AWAY_SHIFT;
	const struct platform_mm_cmd *cmd;
	uint64_t below, above, slot;
	struct text_site *s;
	struct text_file *f;
	int32_t distance;

	text_reserve(task.mm, text, text + LEN, text, text + TEXT_NEAR_SHIFT + TEXT_FAR_SHIFT); /* as execve does */
	cr_assert_eq(mm_mmap(&task, text, LEN, RX, LINUX_MAP_PRIVATE | LINUX_MAP_FIXED, file, 0), (int64_t)text);
	cr_assert_gt(mm_mmap(&task, text + TEXT_NEAR_SHIFT, TEXT_FAR_SHIFT, RW,
			     LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0), 0);
	arrive(text, MOV_SITE, 110, TEXT_FILE_ARRIVALS);
	arrive(text, NEAR_SITE, 0, 10);
	ncmds = 0;
	cr_assert(text_return(&task, 0));
	f = inode.text;
	cr_assert(f->maps == 1 && f->has[TEXT_FORM_AWAY] && !f->has[TEXT_FORM_NEAR] && !f->has[TEXT_FORM_FAR]);
	cmd = command_at(away, PLATFORM_MMAP);
	cr_assert_not_null(cmd);
	cr_assert(cmd->host_fd == f->fd && cmd->off + cmd->len <= f->map_len);
	cr_assert(text_reserved(task.mm, away, away + PAGE_SIZE, &below, &above) && below == away);
	s = text_site_find(f, MOV_SITE);
	cr_assert(s->state == TEXT_PATCHED && s->form == TEXT_FORM_MOV && s->region == TEXT_FORM_AWAY);
	slot = away + s->slot;
	memcpy(&distance, f->map + MOV_SITE - 4, sizeof(distance));
	cr_assert(f->map[MOV_SITE - 5] == 0xe9 && text + MOV_SITE + (uint64_t)(int64_t)distance == slot);
	cr_assert_eq(f->map[f->region_off[TEXT_FORM_AWAY] + s->slot], 0xb8); /* mov $110, %eax */
	cr_assert_eq(text_site_find(f, NEAR_SITE)->why, TEXT_WHY_NO_ROOM);
	cr_assert_eq(f->map[NEAR_SITE], 0x0f);
	/* Who stands in the slot stands at the number. */
	struct regs r = {.rip = slot};

	cr_assert(text_fix_ip(task.mm, &r));
	cr_assert_eq(r.rip, text + MOV_SITE - 5);
	/* What the program maps there comes there, and its text is the file's again. */
	ncmds = 0;
	cr_assert_eq(mm_mmap(&task, away, PAGE_SIZE, RW, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0), (int64_t)away);
	cr_assert_not_null(command_at(away, PLATFORM_MUNMAP));
	cr_assert_eq(command_at(text, PLATFORM_MMAP)->host_fd, FILE_FD);
	cr_assert_eq(f->maps, 0);
}

/* A program with its data in one of the places only: sites that would lead there have their slots in the other's pool. */
Test(text_map, data_in_one_place)
{
	static const uint64_t sites[] = {FAR_SITE, NEAR_MOV_SITE, NEAR_MOVED_SITE, MOV_SITE};
	const uint64_t text = 0x400000;
	struct text_file *f;

	for (unsigned turn = 0; turn < 2; turn++) {
		text_reserve(task.mm, text, text + LEN, text, text + TEXT_NEAR_SHIFT + 64 * PAGE_SIZE);
		cr_assert_eq(mm_mmap(&task, text, LEN, RX, LINUX_MAP_PRIVATE | LINUX_MAP_FIXED, file, 0), (int64_t)text);
		if (turn == 0)
			cr_assert_gt(mm_mmap(&task, text + TEXT_NEAR_SHIFT, 64 * PAGE_SIZE, RW,
					     LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0), 0);
		for (unsigned i = 0; i < ARRAY_LEN(sites); i++)
			arrive(text, sites[i], i == 2 ? 4 : 110, TEXT_FILE_ARRIVALS / 4);
		arrive(text, NEAR_SITE, 110, 4);
		cr_assert(turn == 1 || text_return(&task, 0));
		f = inode.text;
		cr_assert(f->maps == 1 && f->has[TEXT_FORM_FAR] && !f->has[TEXT_FORM_NEAR] && !f->has[TEXT_FORM_AWAY]);
		for (unsigned i = 0; i < ARRAY_LEN(sites); i++)
			cr_assert_eq(text_site_find(f, sites[i])->state, TEXT_PATCHED, "turn %u, site %u", turn, i);
		cr_assert_eq(text_site_find(f, FAR_SITE)->form, TEXT_FORM_FAR);
		cr_assert_eq(text_site_find(f, NEAR_MOV_SITE)->form, TEXT_FORM_MOV);
		cr_assert_eq(text_site_find(f, NEAR_MOVED_SITE)->form, TEXT_FORM_RELOC);
		cr_assert_eq(text_site_find(f, NEAR_SITE)->why, TEXT_WHY_NO_ROOM);
		/* The next process of it begins with the twin. */
		cr_assert_eq(mm_munmap(&task, text, LEN), 0);
		ncmds = 0;
		cr_assert_eq(f->maps, 0);
	}
}

/* The same of a program that lies anywhere: the region is below it. */
Test(text_map, data_in_both_places_of_a_position_independent_program)
{
	const uint64_t text = 0x555555554000, low = text + TEXT_BELOW_SHIFT;
	uint64_t below, above, slot;
	struct text_site *s;
	struct text_file *f;
	int32_t distance;

	text_reserve(task.mm, text, text + LEN, text, text + TEXT_NEAR_SHIFT + TEXT_FAR_SHIFT);
	cr_assert_eq(mm_mmap(&task, text, LEN, RX, LINUX_MAP_PRIVATE | LINUX_MAP_FIXED, file, 0), (int64_t)text);
	cr_assert_gt(mm_mmap(&task, text + TEXT_NEAR_SHIFT, TEXT_FAR_SHIFT, RW,
			     LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0), 0);
	/* Kept before anything is rewritten, and no mapping of the guest's. */
	cr_assert(text_reserved(task.mm, low, low + 1, &below, &above) && below == low && above == low + text_region_len(LEN));
	cr_assert_not(vma_range_used(task.mm, low, above));
	arrive(text, NEAR_MOV_SITE, 110, TEXT_FILE_ARRIVALS);
	arrive(text, NEAR_MOVED_SITE, 4, 10);
	ncmds = 0;
	cr_assert(text_return(&task, 0));
	f = inode.text;
	cr_assert(f->maps == 1 && f->has[TEXT_FORM_BELOW] && !f->has[TEXT_FORM_NEAR] && !f->has[TEXT_FORM_FAR]);
	cr_assert(ncmds == 2 && cmds[0].addr == low && cmds[0].len == text_region_len(LEN) && cmds[1].addr == text);
	cr_assert(cmds[0].host_fd == f->fd && cmds[0].off + cmds[0].len <= f->map_len);
	cr_assert_eq(task.mm->text_low, low);
	s = text_site_find(f, NEAR_MOV_SITE);
	cr_assert(s->state == TEXT_PATCHED && s->form == TEXT_FORM_MOV && s->region == TEXT_FORM_BELOW);
	slot = low + s->slot;
	memcpy(&distance, f->map + NEAR_MOV_SITE - 4, sizeof(distance));
	cr_assert(f->map[NEAR_MOV_SITE - 5] == 0xe9 && text + NEAR_MOV_SITE + (uint64_t)(int64_t)distance == slot);
	/* And back: mov, then lea of the place behind the call. */
	memcpy(&distance, f->map + f->region_off[TEXT_FORM_BELOW] + s->slot + 8, sizeof(distance));
	cr_assert_eq(slot + 12 + (uint64_t)(int64_t)distance, text + NEAR_MOV_SITE + 2);
	struct regs r = {.rip = slot};

	cr_assert(text_fix_ip(task.mm, &r));
	cr_assert_eq(r.rip, text + NEAR_MOV_SITE - 5);
	check_moved(text, NEAR_MOVED_SITE, 11, TEXT_JUMP);
	/* The next process of it begins with the twin, wherever it lies and though nothing was kept for it. */
	ncmds = 0;
	cr_assert_eq(mm_mmap(&task, 0x666666666000, LEN, RX, LINUX_MAP_PRIVATE | LINUX_MAP_FIXED, file, 0), 0x666666666000);
	cr_assert_eq(f->maps, 2);
	cr_assert_not_null(command_at(0x666666666000 + TEXT_BELOW_SHIFT, PLATFORM_MMAP));
	/* What the program maps there comes there. */
	ncmds = 0;
	cr_assert_eq(mm_mmap(&task, low, PAGE_SIZE, RW, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED_NOREPLACE, NULL, 0),
		     (int64_t)low);
	cr_assert_not_null(command_at(low, PLATFORM_MUNMAP));
	cr_assert_eq(command_at(text, PLATFORM_MMAP)->host_fd, FILE_FD);
	cr_assert_eq(f->maps, 1);
}

/* One that was mapped at a place of its own choice, with something in the way, is alone in having no room. */
Test(text_map, data_in_both_places_of_a_library)
{
	uint64_t text = 0x200000000000;

	cr_assert_eq(mm_mmap(&task, text, LEN, RX, LINUX_MAP_PRIVATE | LINUX_MAP_FIXED, file, 0), (int64_t)text);
	cr_assert_gt(mm_mmap(&task, text + TEXT_NEAR_SHIFT, TEXT_FAR_SHIFT, RW,
			     LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0), 0);
	arrive(text, MOV_SITE, 110, TEXT_FILE_ARRIVALS);
	ncmds = 0;
	cr_assert(text_return(&task, 0));
	cr_assert(inode.text->maps == 0 && ncmds == 0);
}

Test(text_map, tables_are_bounded)
{
	uint64_t text = map_text();
	struct text_file *f;

	for (uint64_t i = 0; i < LEN - 2; i++)
		arrive(text, i, 1, 1);
	arrive(text, NEAR_SITE, 1, 4);
	f = inode.text;
	cr_assert_eq(f->nsites, TEXT_MAX_SITES);
	cr_assert_eq(task.mm->text_pending, true);
	cr_assert(text_return(&task, 0));
	/* Records, too. */
	for (unsigned i = 0; i < TEXT_MAX_RECORDS + 50; i++) {
		int64_t at = mm_mmap(&task, 0, PAGE_SIZE, RX, LINUX_MAP_PRIVATE, file, (i % 4) * PAGE_SIZE);

		ncmds = 0;
		cr_assert_gt(at, 0);
	}
	cr_assert_leq(task.mm->text->nrecords, TEXT_MAX_RECORDS);
}

/* A file that is itself in the way of both places gets one with room below. */
Test(text_map, room_for_large_files)
{
	for (unsigned i = 0; i < 8; i++) {
		uint64_t len = (i + 3) * 10 * MiB, at = text_find_free(task.mm, len, 0);
		const struct text_record *r;

		cr_assert_neq(at, 0);
		cr_assert(vma_range_free(task.mm, at, at + len));
		text_reserve(task.mm, at, at + len, at, at + len);
		r = list_entry(task.mm->text->records.prev, struct text_record, link);
		cr_assert(r->region[TEXT_FORM_BELOW] && !r->region[TEXT_FORM_NEAR] && !r->region[TEXT_FORM_FAR], "%u", i);
		cr_assert_eq(mm_mmap(&task, at, len, LINUX_PROT_READ, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED,
				     NULL, 0), (int64_t)at);
		ncmds = 0;
	}
}

Test(text_map, room_is_looked_for)
{
	unsigned both = 0;

	for (unsigned i = 0; i < 60; i++) {
		uint64_t len = (i % 7 + 1) * 37 * PAGE_SIZE, at = text_find_free(task.mm, len, 0);
		const struct text_record *r;

		cr_assert_neq(at, 0);
		cr_assert(vma_range_free(task.mm, at, at + len));
		text_reserve(task.mm, at, at + len, at, at + len);
		r = list_entry(task.mm->text->records.prev, struct text_record, link);
		both += r->region[TEXT_FORM_NEAR] && r->region[TEXT_FORM_FAR];
		cr_assert_eq(mm_mmap(&task, at, len, LINUX_PROT_READ, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED,
				     NULL, 0), (int64_t)at);
		ncmds = 0;
	}
	cr_assert_eq(both, 60);
}
