/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile program file: `#!` line, ELF header, program headers, interpreter. The input is the file's bytes; a shorter
 * form (first byte 0x7f, second not 'E') builds a header that is valid so far and takes only the program headers from
 * the input, because a mutated whole file is mostly refused at once. Checked: no handler commands memory outside the
 * guest's part (world.c), everything is given back.
 */
#include "tests/fuzz/fuzz.h"

#include "sentry/abi/elf.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/modify.h"
#include "sentry/vfs/vfs.h"

#define boot vfs_boot_task()
#define FILE_MAX 16384U
#define PHDRS_MAX 16U

static uint8_t file_bytes[FILE_MAX];

/* A loader that is in order: one segment. */
static void write_loader(void)
{
	struct {
		struct linux_ehdr eh;
		struct linux_phdr ph;
		uint8_t code[64];
	} f = {0};

	memcpy(f.eh.ident, "\177ELF\2\1\1", 7);
	f.eh.type = LINUX_ET_DYN;
	f.eh.machine = LINUX_EM_X86_64;
	f.eh.phentsize = sizeof(f.ph);
	f.eh.phnum = 1;
	f.eh.phoff = sizeof(f.eh);
	f.ph = (struct linux_phdr){
		.type = LINUX_PT_LOAD, .flags = 7, .filesz = sizeof(f), .memsz = 0x3000, .align = 0x1000};
	world_write_file("/ld", &f, sizeof(f), 0755);
}

static void init(void)
{
	world_init(false);
	write_loader();
}

/* Few bits of input make an interesting number. */
static uint64_t number(struct fuzz_input *in)
{
	uint8_t b = fuzz_u8(in);

	switch (b >> 6) {
	case 0:
		return (b & 63) * 0x400UL;
	case 1:
		return (1UL << (b & 63)) - (fuzz_u8(in) & 0x11) * 0x100;
	case 2:
		return (b & 63) * 64UL;
	default:
		return fuzz_u64(in);
	}
}

static size_t make_headers(struct fuzz_input *in)
{
	struct linux_ehdr eh = {
		.machine = LINUX_EM_X86_64, .phentsize = sizeof(struct linux_phdr), .phoff = sizeof(eh)};
	static const uint32_t types[] = {LINUX_PT_LOAD, LINUX_PT_LOAD, LINUX_PT_INTERP, LINUX_PT_GNU_STACK};
	uint8_t b = fuzz_u8(in);
	size_t len;

	memcpy(eh.ident, "\177ELF\2\1\1", 7);
	eh.type = (b & 1) ? LINUX_ET_EXEC : LINUX_ET_DYN;
	eh.phnum = (b >> 1) % PHDRS_MAX;
	eh.entry = number(in);
	memcpy(file_bytes, &eh, sizeof(eh));
	len = sizeof(eh) + eh.phnum * sizeof(struct linux_phdr);
	memcpy(file_bytes + len, "/ld", 4);
	for (unsigned i = 0; i < eh.phnum; i++) {
		struct linux_phdr ph;

		b = fuzz_u8(in);
		ph = (struct linux_phdr){.type = types[b & 3], .flags = b >> 2 & 7, .align = 1UL << (b >> 3 & 31)};
		if (ph.type == LINUX_PT_INTERP && (b & 0x80) == 0) {
			ph.offset = len;
			ph.filesz = 4;
		} else {
			ph.offset = number(in);
			ph.vaddr = number(in);
			ph.filesz = number(in);
			ph.memsz = (b & 0x40) ? ph.filesz + number(in) : number(in);
		}
		memcpy(file_bytes + sizeof(eh) + i * sizeof(ph), &ph, sizeof(ph));
	}
	return len + 4 + fuzz_u16(in) % (FILE_MAX - 1100);
}

static void map_program(struct file *file, struct elf_program *p)
{
	static const char strings[] = "x\0A=1";
	struct exec_args args = {.strings = (char *)strings,
				 .strings_len = sizeof(strings),
				 .argc = 1,
				 .envc = 1,
				 .execfn = (char *)"/x"};
	struct platform_thread *pt = world_thread();
	struct mm *mm = mm_new(pt);
	struct elf_layout layout;
	uint64_t sp;

	(void)file;
	FUZZ_CHECK(mm != NULL);
	layout_choose(mm, 8 * MiB, true);
	if (elf_map(boot, p, mm, pt, &layout) == 0) {
		FUZZ_CHECK(layout.brk <= 0x7fffffffffffUL);
		(void)!layout_stack(boot, mm, &args, p, &layout, boot->cred, false, true, &sp);
	}
	mm_put(mm);
	world_thread_free(pt);
}

static void run(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	char head[BINPRM_BUF_SIZE] = "", *interp, *arg;
	struct elf_program p;
	struct file *file;
	size_t len = MIN(size, (size_t)FILE_MAX);
	int err;

	memset(file_bytes, 0, sizeof(file_bytes));
	if (size >= 2 && data[0] == 0x7f && data[1] != 'E') {
		in.at++;
		len = make_headers(&in);
	} else if (size != 0) {
		memcpy(file_bytes, data, len);
	}
	memcpy(head, file_bytes, MIN(len, sizeof(head)));
	world_write_file("/x", file_bytes, len, 0755);
	err = script_parse(head, &interp, &arg);
	if (err == 0)
		FUZZ_CHECK(strlen(interp) < BINPRM_BUF_SIZE && (arg == NULL || strlen(arg) < BINPRM_BUF_SIZE));
	memcpy(head, file_bytes, MIN(len, sizeof(head)));
	err = exec_open(boot, LINUX_AT_FDCWD, "/x", 0, &file);
	FUZZ_CHECK(err == 0);
	if (elf_open(boot, file, head, &p) == 0) {
		map_program(file, &p);
		elf_close(&p);
	}
	file_put(file);
	FUZZ_CHECK(vfs_unlink(boot, LINUX_AT_FDCWD, "/x") == 0);
}

const struct fuzz_target fuzz_elf = {.name = "elf", .init = init, .run = run};
