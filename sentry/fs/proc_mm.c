/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID: what is in memory. maps, smaps and smaps_rollup from the vma tree; cmdline, environ and mem from guest
 * memory; auxv as exec made it.
 *
 * The sentry knows how many pages of an address space are resident, not which: smaps spreads the number over the mappings
 * by size. The guest controls all of the memory read here: it is copied in bounded pieces and never believed. mem asks at
 * each call whether the reader may look, so a descriptor kept over a setuid exec is worth nothing.
 *
 * Left out: writing to read-only mappings by mem (Linux forces it, we give EIO), frame numbers in pagemap (zero, as for
 * who lacks CAP_SYS_ADMIN).
 */
#include "sentry/base/alloc.h"
#include "sentry/fs/proc_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/usercopy.h"
#include "sentry/platform/platform.h"

#include <string.h>

#define U(x) ((unsigned long long)(x))
#define CMDLINE_MAX (2 * MiB)

/* ---- cmdline, environ, auxv ---- */

static void text_guest(struct text_buf *b, struct mm *mm, uint64_t start, uint64_t end)
{
	char chunk[512];

	if (end > start && end - start > CMDLINE_MAX)
		end = start + CMDLINE_MAX;
	while (start < end && b->err == 0) {
		size_t want = MIN(end - start, sizeof(chunk));
		size_t n = mm_read_guest(mm, chunk, GVA(start), want);

		text_write(b, chunk, n);
		if (n < want)
			break;
		start += n;
	}
}

/*
 * A program may have written over its arguments (setproctitle): where the last byte is no NUL any more, the title is one
 * string that goes on into the environment, up to its NUL.
 */
int proc_pid_cmdline(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	struct mm *mm = node_task(node)->mm;
	char last;

	if (mm == NULL || mm->arg_start >= mm->arg_end)
		return 0;
	mm_get(mm);
	if (mm_read_guest(mm, &last, GVA(mm->arg_end - 1), 1) == 1 && last != '\0') {
		char *end;

		text_guest(b, mm, mm->arg_start, mm->env_end >= mm->arg_end ? mm->env_end : mm->arg_end);
		end = b->len != 0 ? memchr(b->data, '\0', b->len) : NULL;
		if (end != NULL)
			b->len = (size_t)(end - b->data) + 1;
	} else {
		text_guest(b, mm, mm->arg_start, mm->arg_end);
	}
	mm_put(mm);
	return 0;
}

int proc_pid_environ(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	struct mm *mm = node_task(node)->mm;

	if (mm == NULL)
		return 0;
	mm_get(mm);
	text_guest(b, mm, mm->env_start, mm->env_end);
	mm_put(mm);
	return 0;
}

int proc_pid_auxv(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	const struct mm *mm = node_task(node)->mm;

	if (mm != NULL)
		text_write(b, mm->auxv, MIN(mm->auxv_len, sizeof(mm->auxv)));
	return 0;
}

/* ---- maps ---- */

static const char *vma_special_name(const struct mm *mm, const struct vma *v)
{
	if (v->name != NULL)
		return v->name;
	if (v->file != NULL || v->shm != NULL)
		return NULL;
	if (v->start <= mm->brk && v->end >= mm->brk_start && mm->brk > mm->brk_start)
		return "[heap]";
	if (v->start <= mm->start_stack && v->end > mm->start_stack)
		return "[stack]";
	return NULL;
}

static void show_vma(struct task *task, struct mm *mm, struct vma *v, struct text_buf *b, unused_arg void *arg)
{
	size_t line = b->len;
	const char *name = vma_special_name(mm, v);
	uint64_t dev = 0, ino = 0, off = 0;
	char *path = NULL;

	if (v->file != NULL) {
		dev = v->file->inode->sb->dev;
		ino = v->file->inode->ino;
		off = v->file_off;
		if (vfs_file_name(task, v->file, &path) == 0)
			name = path;
	} else if (v->shm != NULL) {
		dev = 1;
		ino = v->shm->id;
		off = v->file_off;
		name = v->shm->name;
	}
	if (v->shm != NULL && v->shm->name[0] != '\0')
		name = v->shm->name;
	text_printf(b, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ", U(v->start), U(v->end),
		    v->prot & LINUX_PROT_READ ? 'r' : '-', v->prot & LINUX_PROT_WRITE ? 'w' : '-',
		    v->prot & LINUX_PROT_EXEC ? 'x' : '-', (v->flags & LINUX_MAP_TYPE) == LINUX_MAP_PRIVATE ? 'p' : 's',
		    U(off), LINUX_MAJOR(dev), LINUX_MINOR(dev), U(ino));
	if (name != NULL) {
		text_pad(b, line, 73);
		text_escape(b, name, "\n");
	}
	text_puts(b, "\n");
	kfree(path);
}

/* For loops that don't sleep: the tree stays as it is. */
static struct vma *next_vma(struct mm *mm, const struct vma *v)
{
	return mm_find_next(mm, v == NULL ? 0 : v->end);
}

/* Shows every mapping, letting others run now and then: it goes on behind the last address, whatever is there by then. */
static void for_each_vma(struct task *task, struct mm *mm, struct text_buf *b,
			 void (*show)(struct task *task, struct mm *mm, struct vma *v, struct text_buf *b, void *arg),
			 void *arg)
{
	uint64_t at = 0;
	unsigned n = 0;
	struct vma *v;

	while (b->err == 0 && (v = mm_find_next(mm, at)) != NULL) {
		at = v->end;
		show(task, mm, v, b, arg);
		if (++n % 1000 == 0)
			task_yield(task);
	}
}

/* The page with the kernel's clock functions, mapped by the host where no vma is. */
static void show_vdso(struct mm *mm, struct text_buf *b)
{
	uint64_t base = platform->vdso_base();
	size_t line = b->len;

	if (base == 0 || mm_find(mm, base) != NULL)
		return;
	text_printf(b, "%08llx-%08llx r-xp 00000000 00:00 0 ", U(base), U(base + 2 * PAGE_SIZE));
	text_pad(b, line, 73);
	text_puts(b, "[vdso]\n");
}

int proc_pid_maps(struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	struct mm *mm = node_task(node)->mm;

	if (mm == NULL)
		return 0;
	mm_get(mm);
	for_each_vma(task, mm, b, show_vma, NULL);
	show_vdso(mm, b);
	mm_put(mm);
	return 0;
}

/* ---- smaps ---- */

static bool vma_can_be_resident(const struct vma *v)
{
	return (v->prot & (LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC)) != 0;
}

/* Size in pages of all that may be resident. */
static uint64_t residable(struct mm *mm)
{
	uint64_t pages = 0;
	struct vma *v;

	for (v = next_vma(mm, NULL); v != NULL; v = next_vma(mm, v))
		if (vma_can_be_resident(v))
			pages += (v->end - v->start) / PAGE_SIZE;
	return pages;
}

static void show_sizes(struct text_buf *b, uint64_t rss, uint64_t anon, bool shared, uint64_t locked)
{
	static const char *const zeros[] = {"AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Shared_Hugetlb",
					    "Private_Hugetlb", "Swap", "SwapPss"};
	unsigned i;

	text_printf(b, "Rss:            %8llu kB\nPss:            %8llu kB\n", U(rss), U(rss));
	text_printf(b, "Shared_Clean:   %8llu kB\nShared_Dirty:   %8u kB\n", U(shared ? rss : 0), 0);
	text_printf(b, "Private_Clean:  %8llu kB\nPrivate_Dirty:  %8llu kB\n", U(shared ? 0 : rss - anon), U(shared ? 0 : anon));
	text_printf(b, "Referenced:     %8llu kB\nAnonymous:      %8llu kB\nLazyFree:       %8u kB\n", U(rss), U(anon), 0);
	for (i = 0; i < ARRAY_LEN(zeros); i++) {
		size_t line = b->len;

		text_printf(b, "%s:", zeros[i]);
		text_pad(b, line, 16);
		text_printf(b, "%8u kB\n", 0);
	}
	text_printf(b, "Locked:         %8llu kB\n", U(locked));
}

struct residence {
	uint64_t resident, all; /* pages that are, and that may be */
};

static void show_smaps_vma(struct task *task, struct mm *mm, struct vma *v, struct text_buf *b, void *arg)
{
	static const struct {
		uint32_t bit;
		const char *text;
	} advice[] = {
		{VMA_DONTFORK, " dc"}, {VMA_DONTDUMP, " dd"}, {VMA_HUGEPAGE, " hg"}, {VMA_NOHUGEPAGE, " nh"},
	};
	const struct residence *r = arg;
	uint64_t pages = (v->end - v->start) / PAGE_SIZE, rss = 0;
	unsigned i;

	if (vma_can_be_resident(v) && r->all != 0)
		rss = MIN((uint64_t)((unsigned __int128)pages * r->resident / r->all), pages) * 4;
	show_vma(task, mm, v, b, NULL);
	text_printf(b, "Size:           %8llu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n", U(pages * 4));
	show_sizes(b, rss, v->file == NULL && v->shm == NULL ? rss : 0, (v->flags & LINUX_MAP_TYPE) != LINUX_MAP_PRIVATE,
		   v->flags & LINUX_MAP_LOCKED ? rss : 0);
	text_printf(b, "THPeligible:           0\nVmFlags:%s%s%s%s mr mw me", v->prot & LINUX_PROT_READ ? " rd" : "",
		    v->prot & LINUX_PROT_WRITE ? " wr" : "", v->prot & LINUX_PROT_EXEC ? " ex" : "",
		    (v->flags & LINUX_MAP_TYPE) != LINUX_MAP_PRIVATE ? " sh" : "");
	if (v->flags & LINUX_MAP_GROWSDOWN)
		text_puts(b, " gd");
	if (v->flags & LINUX_MAP_LOCKED)
		text_puts(b, " lo");
	if (v->flags & LINUX_MAP_NORESERVE)
		text_puts(b, " nr");
	for (i = 0; i < ARRAY_LEN(advice); i++)
		if (v->advice & advice[i].bit)
			text_puts(b, advice[i].text);
	text_puts(b, " \n");
}

int proc_pid_smaps(struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	struct mm *mm = node_task(node)->mm;
	struct residence r;

	if (mm == NULL)
		return 0;
	mm_get(mm);
	r.resident = mm->pmm != NULL ? platform->mm_resident(mm->pmm) / PAGE_SIZE : 0;
	r.all = residable(mm);
	for_each_vma(task, mm, b, show_smaps_vma, &r);
	mm_put(mm);
	return 0;
}

int proc_pid_smaps_rollup(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	struct mm *mm = node_task(node)->mm;
	uint64_t rss, file, first, last = 0;
	struct vma *v;
	size_t line = b->len;

	if (mm == NULL)
		return -LINUX_ESRCH;
	v = next_vma(mm, NULL);
	first = v != NULL ? v->start : 0;
	for (; v != NULL; v = next_vma(mm, v))
		last = v->end;
	text_printf(b, "%08llx-%08llx ---p 00000000 00:00 0 ", U(first), U(last));
	text_pad(b, line, 73);
	text_puts(b, "[rollup]\n");
	rss = mm->pmm != NULL ? platform->mm_resident(mm->pmm) / KiB : 0;
	file = MIN(mm->exec_pages * 4, rss);
	show_sizes(b, rss, rss - file, false, mm->locked_pages * 4);
	return 0;
}

/* ---- mem ---- */

/* The mm to look into, counted; NULL if there is none. 0 or -errno. */
static int mem_target(struct task *task, struct file *file, struct mm **out)
{
	struct pseudo_node *node = file_node(file);
	struct thread_group *g = node_proc(node)->group;
	struct task *t;

	*out = NULL;
	if (group_find(g->pid) != g)
		return 0;
	t = node_task(node);
	if (!task_may_inspect(task, t))
		return -LINUX_EACCES;
	if (t->mm != NULL)
		*out = mm_get(t->mm);
	return 0;
}

static int64_t mem_transfer(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos, bool write)
{
	uint8_t chunk[1024];
	struct mm *mm;
	int64_t done = 0;
	int err = mem_target(task, file, &mm);

	if (err != 0 || mm == NULL)
		return err;
	while (buf->left != 0) {
		uint64_t addr = (uint64_t)*pos;
		size_t want = MIN(buf->left, sizeof(chunk) - (addr & (sizeof(chunk) - 1))), n;

		if (addr >= GUEST_END || want > GUEST_END - addr) {
			err = -LINUX_EIO;
			break;
		}
		if (write) {
			if (iobuf_get(buf, chunk, want) != want) {
				err = -LINUX_EFAULT;
				break;
			}
			n = mm_write_guest(mm, GVA(addr), chunk, want);
			iobuf_revert(buf, want - n);
		} else {
			n = mm_read_guest(mm, chunk, GVA(addr), want);
			if (iobuf_put(buf, chunk, n) != n) {
				err = -LINUX_EFAULT;
				break;
			}
		}
		*pos += (int64_t)n;
		done += (int64_t)n;
		if (n < want) {
			err = -LINUX_EIO;
			break;
		}
		if ((done & (int64_t)(MiB - 1)) == 0)
			task_yield(task);
	}
	mm_put(mm);
	return done != 0 ? done : err;
}

static int64_t mem_read(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	return mem_transfer(task, file, buf, pos, false);
}

static int64_t mem_write(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	return mem_transfer(task, file, buf, pos, true);
}

/* Any offset is an address: all 64 bits of it. */
static int64_t mem_llseek(unused_arg struct task *task, struct file *file, int64_t off, int whence)
{
	if (whence == LINUX_SEEK_CUR)
		off = (int64_t)((uint64_t)off + (uint64_t)file->pos);
	else if (whence != LINUX_SEEK_SET)
		return -LINUX_EINVAL;
	file->pos = off;
	return off;
}

const struct file_ops proc_mem_ops = {
	.read = mem_read,
	.write = mem_write,
	.llseek = mem_llseek,
};

/* ---- pagemap ---- */

/* One word a page: bit 63 for what is mapped. */
static int64_t pagemap_read(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct mm *mm;
	int64_t done = 0;
	int err;

	if (*pos < 0 || (*pos & 7) != 0 || (buf->left & 7) != 0)
		return -LINUX_EINVAL;
	err = mem_target(task, file, &mm);
	if (err != 0 || mm == NULL)
		return err;
	while (buf->left != 0 && (uint64_t)*pos / 8 < GUEST_END / PAGE_SIZE) {
		uint64_t words[64], n = MIN(buf->left / 8, ARRAY_LEN(words)), i, page = (uint64_t)*pos / 8;

		for (i = 0; i < n; i++) {
			const struct vma *v = mm_find(mm, (page + i) * PAGE_SIZE);

			words[i] = v == NULL || !vma_can_be_resident(v) ? 0 :
				   (1ULL << 63) | (v->file != NULL || v->shm != NULL ? 1ULL << 61 : 0);
		}
		if (iobuf_put(buf, words, n * 8) != n * 8) {
			err = -LINUX_EFAULT;
			break;
		}
		*pos += (int64_t)(n * 8);
		done += (int64_t)(n * 8);
		if ((done & 0xffff) == 0)
			task_yield(task);
	}
	mm_put(mm);
	return done != 0 ? done : err;
}

const struct file_ops proc_pagemap_ops = {
	.read = pagemap_read,
	.llseek = mem_llseek,
};
