/* SPDX-License-Identifier: Apache-2.0 */
/* From a file to a runnable address space. See elf.c, script.c; kernel/exec.c puts them together. */
#ifndef SENTRY_LOADER_LOADER_H
#define SENTRY_LOADER_LOADER_H

#include "sentry/abi/elf.h"
#include "sentry/base/types.h"

struct cred;
struct exec_args;
struct file;
struct mm;
struct platform_thread;
struct regs;
struct task;

#define BINPRM_BUF_SIZE 256

/* ---- script.c ---- */

/*
 * Parses the first line of a script. head holds BINPRM_BUF_SIZE bytes, zeroes behind the end of the file. 0 with
 * *interp and *arg (NULL if none) pointing into head, NUL-terminated; 1 if it isn't a script; -LINUX_ENOEXEC.
 */
int script_parse(char head[BINPRM_BUF_SIZE], char **interp, char **arg) must_check;
/* argv becomes: interp, arg (if any), script (which may be the old argv's first), and the old argv without its first.
 * 0, -LINUX_E2BIG, -LINUX_ENOMEM. */
int script_rewrite_args(struct exec_args *args, const char *script, const char *interp, const char *arg) must_check;

/* ---- elf.c ---- */

/* One ELF file: its headers, copied once and checked. */
struct elf_image {
	struct file *file; /* counted */
	struct linux_ehdr eh;
	struct linux_phdr *ph; /* eh.phnum of them */
	uint64_t bias;         /* added to addresses of the file; set by elf_map */
};

struct elf_program {
	struct elf_image exe, interp; /* interp.file NULL: static */
	char *interp_path;
	bool exec_stack;
};

/* Where things are once mapped. */
struct elf_layout {
	uint64_t entry;     /* first instruction */
	uint64_t exe_entry; /* AT_ENTRY */
	uint64_t phdr;      /* AT_PHDR in the guest; 0 if no segment holds it */
	uint64_t base;      /* AT_BASE */
	uint64_t brk;       /* end of the highest segment */
	uint64_t code_start, code_end, data_start, data_end;
};

/* Checks an ELF header: 0 or -LINUX_ENOEXEC. Pure. */
int elf_check_header(const struct linux_ehdr *eh) must_check;
/* Checks what is mapped: the range of page-aligned addresses that all PT_LOADs take, unbiased. -LINUX_EINVAL. Pure. */
int elf_span(const struct linux_phdr *ph, unsigned n, uint64_t *low, uint64_t *high, uint64_t *align) must_check;
/* Checks one PT_LOAD at its biased place: -LINUX_EINVAL if it can't lie there. Pure. */
int elf_check_segment(const struct linux_phdr *ph, uint64_t bias) must_check;

/*
 * Reads all headers of file (borrowed) and opens its interpreter. head: the first bytes, already read. Errors as
 * Linux's before its point of no return: -LINUX_ENOEXEC, ELIBBAD, EIO, what opening the interpreter gives, ENOMEM.
 */
int elf_open(struct task *task, struct file *file, const void *head, struct elf_program *p) must_check;
void elf_close(struct elf_program *p);
/* Maps everything into mm through pt's queue and flushes it; zeroes the ends of bss pages. Sleeps. */
int elf_map(struct task *task, struct elf_program *p, struct mm *mm, struct platform_thread *pt,
	    struct elf_layout *out) must_check;

/* ---- layout.c ---- */

/* Chooses where stack, mmap area and heap lie. */
void layout_choose(struct mm *mm, uint64_t stack_rlimit, bool randomize);
/* A page-aligned random offset below max, 0 if not randomize. */
uint64_t layout_random(uint64_t max, bool randomize);
#define LAYOUT_PIE_BASE 0x555555554000UL
#define LAYOUT_PIE_RANDOM (1UL << 40)

/* Writes strings, auxv and pointers to the new stack, as Linux lays them out. *sp is the stack pointer at the start. */
int layout_stack(struct task *task, struct mm *mm, const struct exec_args *args, const struct elf_program *p,
		 const struct elf_layout *l, const struct cred *cred, bool secure, bool randomize,
		 uint64_t *sp) must_check;

#endif
