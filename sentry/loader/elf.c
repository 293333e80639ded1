// SPDX-License-Identifier: Apache-2.0
/*
 * Loading ELF programs (elf(5)): ET_EXEC and ET_DYN of amd64, with or without an interpreter.
 *
 *	elf_open   headers of program and interpreter, read once into our memory, bounded (64 KiB), checked
 *	elf_map    PT_LOADs as private file mappings, bss as anonymous memory, through the platform's queue
 *
 * For each PT_LOAD [vaddr, vaddr + memsz): the pages that the file covers are mapped from it; the rest of the last of
 * them is zeroed (if the segment is writable: else Linux leaves the file's bytes there too); pages behind are
 *anonymous. A later segment may replace pages of an earlier one, as MAP_FIXED does.
 *
 * The guest controls every byte of both files. Nothing is believed before it is in the copy; addresses are checked with
 * the bias added and may not wrap or leave GUEST_MIN..GUEST_END. A file that changes meanwhile only changes what the
 * guest itself runs.
 *
 * Left out: 32-bit programs (ENOEXEC), PT_GNU_PROPERTY (no shadow stacks or IBT are on), huge-page alignment, core
 *dumps.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/text.h"
#include "sentry/mm/usercopy.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#include <string.h>

#define PHDRS_MAX 65536U /* bytes */
#define PROT_ALL (LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC)

/* ---- checks of headers ---- */

int elf_check_header(const struct linux_ehdr *eh)
{
	if (memcmp(eh->ident, "\177ELF", 4) != 0)
		return -LINUX_ENOEXEC;
	if (eh->type != LINUX_ET_EXEC && eh->type != LINUX_ET_DYN)
		return -LINUX_ENOEXEC;
	if (eh->machine != LINUX_EM_X86_64)
		return -LINUX_ENOEXEC;
	if (eh->phentsize != sizeof(struct linux_phdr))
		return -LINUX_ENOEXEC;
	if (eh->phnum == 0 || eh->phnum * sizeof(struct linux_phdr) > PHDRS_MAX)
		return -LINUX_ENOEXEC;
	return 0;
}

int elf_check_segment(const struct linux_phdr *ph, uint64_t bias)
{
	uint64_t at = ph->vaddr + bias;

	if (at < ph->vaddr && bias < GUEST_END) /* wrapped; a bias may itself be a negative distance */
		return -LINUX_EINVAL;
	if (at >= GUEST_END || ph->filesz > ph->memsz || ph->memsz > GUEST_END || GUEST_END - ph->memsz < at)
		return -LINUX_EINVAL;
	/* The file's pages can only be mapped where offset and address agree. */
	if (ph->filesz != 0 && (ph->offset - ph->vaddr) % PAGE_SIZE != 0)
		return -LINUX_EINVAL;
	if (ph->filesz != 0 && (ph->offset > INT64_MAX || ph->filesz > INT64_MAX - ph->offset))
		return -LINUX_EINVAL;
	return 0;
}

int elf_span(const struct linux_phdr *ph, unsigned n, uint64_t *low, uint64_t *high, uint64_t *align)
{
	bool any = false;

	*low = UINT64_MAX;
	*high = 0;
	*align = PAGE_SIZE;
	for (unsigned i = 0; i < n; i++) {
		uint64_t end;

		if (ph[i].type != LINUX_PT_LOAD)
			continue;
		if (__builtin_add_overflow(ph[i].vaddr, ph[i].memsz, &end) || end > GUEST_END)
			return -LINUX_EINVAL;
		any = true;
		*low = MIN(*low, PAGE_DOWN(ph[i].vaddr));
		*high = MAX(*high, end);
		/* Alignments that aren't powers of two are ignored, as in Linux. */
		if ((ph[i].align & (ph[i].align - 1)) == 0 && ph[i].align <= GiB)
			*align = MAX(*align, ph[i].align);
	}
	*high = PAGE_ALIGN(*high);
	return any && *high > *low ? 0 : -LINUX_EINVAL;
}

/* ---- reading ---- */

static int read_exact(struct task *task, struct file *file, void *dst, size_t len, uint64_t pos)
{
	int64_t n;

	if (pos > INT64_MAX)
		return -LINUX_EINVAL;
	n = vfs_read_mem(task, file, dst, len, (int64_t)pos);
	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -LINUX_EIO;
}

/* img->file and img->eh are set. */
static int read_phdrs(struct task *task, struct elf_image *img)
{
	size_t bytes = img->eh.phnum * sizeof(struct linux_phdr);
	int err;

	img->ph = kmalloc(bytes);
	if (img->ph == NULL)
		return -LINUX_ENOMEM;
	err = read_exact(task, img->file, img->ph, bytes, img->eh.phoff);
	return err == -LINUX_ENOMEM || err == 0 ? err : -LINUX_ENOEXEC;
}

static int read_interp_path(struct task *task, struct elf_program *p, const struct linux_phdr *ph)
{
	int err;

	if (ph->filesz > LINUX_PATH_MAX || ph->filesz < 2)
		return -LINUX_ENOEXEC;
	p->interp_path = kmalloc(ph->filesz);
	if (p->interp_path == NULL)
		return -LINUX_ENOMEM;
	err = read_exact(task, p->exe.file, p->interp_path, ph->filesz, ph->offset);
	if (err)
		return err;
	return p->interp_path[ph->filesz - 1] == '\0' ? 0 : -LINUX_ENOEXEC;
}

static int open_interp(struct task *task, struct elf_program *p)
{
	struct elf_image *img = &p->interp;
	int err;

	err = exec_open(task, LINUX_AT_FDCWD, p->interp_path, LOOKUP_FOLLOW, &img->file);
	if (err)
		return err;
	err = read_exact(task, img->file, &img->eh, sizeof(img->eh), 0);
	if (err)
		return err;
	if (elf_check_header(&img->eh) != 0 || img->file->ops->map == NULL)
		return -LINUX_ELIBBAD;
	err = read_phdrs(task, img);
	return err == -LINUX_ENOEXEC ? -LINUX_ELIBBAD : err;
}

int elf_open(struct task *task, struct file *file, const void *head, struct elf_program *p)
{
	int err;

	memset(p, 0, sizeof(*p));
	memcpy(&p->exe.eh, head, sizeof(p->exe.eh));
	err = elf_check_header(&p->exe.eh);
	if (err)
		return err;
	if (file->ops->map == NULL)
		return -LINUX_ENOEXEC;
	p->exe.file = file_get(file);
	err = read_phdrs(task, &p->exe);
	for (unsigned i = 0; !err && i < p->exe.eh.phnum; i++) {
		const struct linux_phdr *ph = &p->exe.ph[i];

		/* The first PT_INTERP and the last PT_GNU_STACK count. */
		if (ph->type == LINUX_PT_INTERP && p->interp_path == NULL)
			err = read_interp_path(task, p, ph);
		else if (ph->type == LINUX_PT_GNU_STACK)
			p->exec_stack = (ph->flags & LINUX_PF_X) != 0;
	}
	if (!err && p->interp_path != NULL)
		err = open_interp(task, p);
	if (err)
		elf_close(p);
	return err;
}

static void image_close(struct elf_image *img)
{
	kfree(img->ph);
	img->ph = NULL;
	if (img->file != NULL)
		file_put(img->file);
	img->file = NULL;
}

void elf_close(struct elf_program *p)
{
	image_close(&p->exe);
	image_close(&p->interp);
	kfree(p->interp_path);
	p->interp_path = NULL;
}

/* ---- mapping ---- */

static int segment_prot(const struct linux_phdr *ph)
{
	return ((ph->flags & LINUX_PF_R) ? LINUX_PROT_READ : 0) | ((ph->flags & LINUX_PF_W) ? LINUX_PROT_WRITE : 0) |
	       ((ph->flags & LINUX_PF_X) ? LINUX_PROT_EXEC : 0);
}

static int map_part(struct task *task, struct mm *mm, struct platform_thread *pt, struct vma_desc *d)
{
	int err;

	if (d->start < GUEST_MIN)
		return -LINUX_EPERM; /* vm.mmap_min_addr */
	if (!vma_count_ok(mm, 2))
		return -LINUX_ENOMEM;
	err = mm_may_expand(mm, task->group, (d->end - d->start) / PAGE_SIZE, (d->prot & LINUX_PROT_WRITE) != 0);
	if (err)
		return err;
	err = mm_back(task, d);
	if (err)
		return err;
	text_adopt(mm, pt, d, NULL); /* nobody else has this address space: what it maps stays until the flush */
	return mm_map(mm, pt, d);
}

static int map_segment(struct task *task, const struct elf_image *img, const struct linux_phdr *ph, struct mm *mm,
		       struct platform_thread *pt)
{
	uint64_t at = ph->vaddr + img->bias;
	uint64_t file_end = PAGE_ALIGN(at + ph->filesz), mem_end = PAGE_ALIGN(at + ph->memsz);
	struct vma_desc d = {
	    .start = PAGE_DOWN(at),
	    .end = file_end,
	    .prot = segment_prot(ph),
	    .max_prot = PROT_ALL,
	    .flags = LINUX_MAP_PRIVATE,
	    .file = img->file,
	    .file_off = ph->offset - at % PAGE_SIZE,
	    .host_fd = -1,
	};
	int err = 0;

	if (ph->filesz != 0)
		err = map_part(task, mm, pt, &d);
	if (err)
		return err;
	if (ph->filesz == 0)
		file_end = PAGE_DOWN(at);
	if (ph->memsz <= ph->filesz || mem_end <= file_end)
		return 0;
	d.start = file_end;
	d.end = mem_end;
	d.prot = LINUX_PROT_READ | LINUX_PROT_WRITE | (d.prot & LINUX_PROT_EXEC);
	d.file = NULL;
	d.file_off = 0;
	return map_part(task, mm, pt, &d);
}

/* Room for the trampolines of the code, beside all that the image itself takes. */
static void reserve_room(const struct elf_image *img, struct mm *mm)
{
	uint64_t low, high, align;

	if (!gate_on || elf_span(img->ph, img->eh.phnum, &low, &high, &align) != 0)
		return;
	for (unsigned i = 0; i < img->eh.phnum; i++) {
		const struct linux_phdr *ph = &img->ph[i];
		uint64_t at = ph->vaddr + img->bias;

		if (ph->type == LINUX_PT_LOAD && (ph->flags & LINUX_PF_X) != 0 && ph->filesz != 0 &&
		    elf_check_segment(ph, img->bias) == 0)
			text_reserve(mm, PAGE_DOWN(at), PAGE_ALIGN(at + ph->filesz), low + img->bias, high + img->bias);
	}
}

static int map_image(struct task *task, const struct elf_image *img, struct mm *mm, struct platform_thread *pt,
		     bool replace)
{
	bool first = true;

	reserve_room(img, mm);
	for (unsigned i = 0; i < img->eh.phnum; i++) {
		const struct linux_phdr *ph = &img->ph[i];
		uint64_t at = ph->vaddr + img->bias;
		int err;

		if (ph->type != LINUX_PT_LOAD)
			continue;
		err = elf_check_segment(ph, img->bias);
		if (err)
			return err;
		if (first && !replace && ph->memsz != 0 &&
		    vma_range_used(mm, PAGE_DOWN(at), PAGE_ALIGN(at + MAX(ph->filesz, 1UL))))
			return -LINUX_EEXIST;
		first = false;
		err = map_segment(task, img, ph, mm, pt);
		if (err)
			return err;
	}
	return 0;
}

/* After the flush: the rest of a writable segment's last file page becomes zero. */
static int zero_ends(struct mm *mm, const struct elf_image *img)
{
	static const uint8_t zeros[PAGE_SIZE];

	for (unsigned i = 0; i < img->eh.phnum; i++) {
		const struct linux_phdr *ph = &img->ph[i];
		uint64_t end = ph->vaddr + img->bias + ph->filesz;
		size_t n = PAGE_ALIGN(end) - end;

		if (ph->type != LINUX_PT_LOAD || ph->memsz <= ph->filesz || ph->filesz == 0 || n == 0 ||
		    (ph->flags & LINUX_PF_W) == 0)
			continue;
		/* A later segment may have taken the page: then there is nothing to zero. */
		if (mm_write_guest(mm, GVA(end), zeros, n) != n)
			return -LINUX_EFAULT;
	}
	return 0;
}

/* Where an ET_DYN file goes: a program with an interpreter at the place of programs, all else in the mmap area. */
static int choose_bias(struct mm *mm, struct elf_image *img, bool is_program, bool randomize)
{
	uint64_t low, high, align, at;
	int err;

	img->bias = 0;
	err = elf_span(img->ph, img->eh.phnum, &low, &high, &align);
	if (err)
		return err;
	if (img->eh.type == LINUX_ET_EXEC)
		return 0;
	if (is_program) {
		at = (LAYOUT_PIE_BASE + layout_random(LAYOUT_PIE_RANDOM, randomize)) & ~(align - 1);
	} else {
		at = text_find_free(mm, high - low + align - PAGE_SIZE, 0);
		if (at == 0)
			return -LINUX_ENOMEM;
		at = (at + align - 1) & ~(align - 1);
	}
	img->bias = at - low;
	return 0;
}

static void find_sections(const struct elf_image *img, struct elf_layout *out)
{
	out->code_start = out->data_start = 0;
	bool first = true;

	for (unsigned i = 0; i < img->eh.phnum; i++) {
		const struct linux_phdr *ph = &img->ph[i];
		uint64_t at = ph->vaddr + img->bias;

		if (ph->type != LINUX_PT_LOAD)
			continue;
		if (img->eh.phoff >= ph->offset && img->eh.phoff - ph->offset < ph->filesz)
			out->phdr = img->eh.phoff - ph->offset + at;
		if (first || ((ph->flags & LINUX_PF_X) != 0 && at < out->code_start))
			out->code_start = at;
		first = false;
		out->data_start = MAX(out->data_start, at);
		if (ph->flags & LINUX_PF_X)
			out->code_end = MAX(out->code_end, at + ph->filesz);
		out->data_end = MAX(out->data_end, at + ph->filesz);
		out->brk = MAX(out->brk, at + ph->memsz);
	}
}

int elf_map(struct task *task, struct elf_program *p, struct mm *mm, struct platform_thread *pt, struct elf_layout *out)
{
	bool randomize = (task->personality & 0x0040000) == 0; /* ADDR_NO_RANDOMIZE */
	bool dynamic = p->interp.file != NULL;
	int err;

	memset(out, 0, sizeof(*out));
	mm->text_proven_only = !dynamic;
	err = choose_bias(mm, &p->exe, dynamic, randomize);
	if (!err)
		err = map_image(task, &p->exe, mm, pt, p->exe.eh.type == LINUX_ET_DYN);
	if (err)
		return err;
	find_sections(&p->exe, out);
	out->exe_entry = p->exe.eh.entry + p->exe.bias;
	out->entry = out->exe_entry;
	if (dynamic) {
		err = choose_bias(mm, &p->interp, false, randomize);
		if (!err)
			err = map_image(task, &p->interp, mm, pt, p->interp.eh.type == LINUX_ET_DYN);
		if (err)
			return err;
		out->base = p->interp.bias;
		out->entry = p->interp.eh.entry + p->interp.bias;
	}
	if (out->entry >= GUEST_END)
		return -LINUX_EINVAL;
	err = platform->mm_flush(task, pt);
	if (!err)
		err = zero_ends(mm, &p->exe);
	if (!err && dynamic)
		err = zero_ends(mm, &p->interp);
	return err;
}
