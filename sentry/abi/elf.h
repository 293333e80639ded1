/* SPDX-License-Identifier: Apache-2.0 */
/* ELF files and the auxiliary vector as amd64 Linux has them (elf(5), getauxval(3)). */
#ifndef SENTRY_ABI_ELF_H
#define SENTRY_ABI_ELF_H

#include <stdint.h>

#define LINUX_ET_EXEC 2
#define LINUX_ET_DYN 3
#define LINUX_EM_X86_64 62
#define LINUX_PT_LOAD 1
#define LINUX_PT_INTERP 3
#define LINUX_PT_GNU_STACK 0x6474e551U
#define LINUX_PF_X 1U
#define LINUX_PF_W 2U
#define LINUX_PF_R 4U

struct linux_ehdr {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct linux_ehdr) == 64, "Elf64_Ehdr");

struct linux_phdr {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct linux_phdr) == 56, "Elf64_Phdr");

#define LINUX_AT_NULL 0
#define LINUX_AT_PHDR 3
#define LINUX_AT_PHENT 4
#define LINUX_AT_PHNUM 5
#define LINUX_AT_PAGESZ 6
#define LINUX_AT_BASE 7
#define LINUX_AT_FLAGS 8
#define LINUX_AT_ENTRY 9
#define LINUX_AT_UID 11
#define LINUX_AT_EUID 12
#define LINUX_AT_GID 13
#define LINUX_AT_EGID 14
#define LINUX_AT_PLATFORM 15
#define LINUX_AT_HWCAP 16
#define LINUX_AT_CLKTCK 17
#define LINUX_AT_SECURE 23
#define LINUX_AT_RANDOM 25
#define LINUX_AT_HWCAP2 26
#define LINUX_AT_EXECFN 31
#define LINUX_AT_SYSINFO_EHDR 33
#define LINUX_AT_MINSIGSTKSZ 51

#endif
