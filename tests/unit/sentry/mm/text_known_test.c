/* SPDX-License-Identifier: Apache-2.0 */
/* Build-ids in hostile ELF files, and which bytes leave no doubt that a call is made there. */
#include "sentry/mm/text_internal.h"

#include <criterion/criterion.h>
#include <elf.h>
#include <string.h>
#include <sys/mman.h>

#define NOTES 512

/* A file's first page with one segment of notes: another note, then the id. */
static void make(uint8_t head[PAGE_SIZE])
{
	Elf64_Ehdr e = {.e_phoff = 64, .e_phentsize = 56, .e_phnum = 2};
	Elf64_Phdr p[2] = {{.p_type = PT_LOAD}, {.p_type = PT_NOTE, .p_offset = NOTES, .p_filesz = 24 + 36}};
	Elf64_Nhdr other = {8, 4, NT_GNU_BUILD_ID}, id = {4, 20, NT_GNU_BUILD_ID};

	memset(head, 0, PAGE_SIZE);
	memcpy(e.e_ident, "\177ELF\2\1", 6);
	memcpy(head, &e, sizeof(e));
	memcpy(head + 64, p, sizeof(p));
	memcpy(head + NOTES, &other, sizeof(other));
	memcpy(head + NOTES + 12, "another", 8);
	memcpy(head + NOTES + 24, &id, sizeof(id));
	memcpy(head + NOTES + 36, "GNU", 4);
	memset(head + NOTES + 40, 0xab, 20);
}

Test(text_known, build_id)
{
	uint8_t head[PAGE_SIZE], id[TEXT_ID_MAX];

	make(head);
	cr_assert_eq(text_build_id(head, PAGE_SIZE, id), 20);
	cr_assert_eq(id[0], 0xab);
	cr_assert_eq(id[19], 0xab);
	cr_assert_eq(id[20], 0);
	cr_assert_eq(text_build_id(head, 63, id), 0);
	head[4] = 1; /* 32 bits */
	cr_assert_eq(text_build_id(head, PAGE_SIZE, id), 0);
}

static unsigned with64(size_t at, uint64_t value, size_t n)
{
	uint8_t head[PAGE_SIZE], id[TEXT_ID_MAX];

	make(head);
	memcpy(head + at, &value, n);
	return text_build_id(head, PAGE_SIZE, id);
}

Test(text_known, hostile_headers)
{
	static const uint64_t large[] = {0x7fffffff, 0xfffffff0, 0xffffffff, 1UL << 32, INT64_MAX, UINT64_MAX - 3, UINT64_MAX};

	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
		cr_expect_eq(with64(32, large[i], 8), 0, "e_phoff");
		cr_expect_eq(with64(56, large[i] | 1000, 2), 0, "e_phnum");
		cr_expect_eq(with64(64 + 56 + 8, large[i], 8), 0, "p_offset");
		cr_expect_eq(with64(64 + 56 + 32, large[i], 8), 0, "p_filesz");
		if (large[i] <= UINT32_MAX) {
			cr_expect_eq(with64(NOTES, large[i], 4), 0, "a name's length");
			cr_expect_eq(with64(NOTES + 4, large[i], 4), 0, "a note's length");
			cr_expect_eq(with64(NOTES + 24 + 4, large[i], 4), 0, "the id's length");
		}
	}
	cr_expect_eq(with64(54, 32, 2), 0, "e_phentsize");
	cr_expect_eq(with64(NOTES + 28, 7, 4), 0, "too short for an id");
	cr_expect_eq(with64(NOTES + 28, 33, 4), 0, "too long for one");
	cr_expect_eq(with64(64 + 56 + 32, 24 + 35, 8), 0, "cut");
}

/* Any cut, with a page behind that can't be touched. */
Test(text_known, ends_of_the_file)
{
	uint8_t *page = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t head[PAGE_SIZE], id[TEXT_ID_MAX];

	cr_assert_neq(page, MAP_FAILED);
	cr_assert_eq(mprotect(page + PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	make(head);
	for (size_t keep = 0; keep <= 700; keep++) {
		memcpy(page + PAGE_SIZE - keep, head, keep);
		cr_expect_eq(text_build_id(page + PAGE_SIZE - keep, keep, id), keep >= NOTES + 60 ? 20 : 0, "%zu", keep);
	}
	munmap(page, 2 * PAGE_SIZE);
}

Test(text_known, go_id)
{
	uint8_t head[PAGE_SIZE], id[TEXT_ID_MAX], other[TEXT_ID_MAX];
	Elf64_Nhdr note = {4, 83, 4};
	uint64_t size = 16 + 84;

	make(head);
	memcpy(head + NOTES, &note, sizeof(note));
	memcpy(head + NOTES + 12, "Go\0", 4);
	memset(head + NOTES + 16, 'x', 83);
	memcpy(head + 64 + 56 + 32, &size, 8);
	cr_assert_eq(text_build_id(head, PAGE_SIZE, id), TEXT_ID_MAX);
	head[NOTES + 16 + 82] = 'y';
	cr_assert_eq(text_build_id(head, PAGE_SIZE, other), TEXT_ID_MAX);
	cr_assert_neq(memcmp(id, other, sizeof(id)), 0);
	note.n_descsz = 257;
	memcpy(head + NOTES, &note, sizeof(note));
	cr_assert_eq(text_build_id(head, PAGE_SIZE, id), 0);
}

Test(text_known, no_doubt)
{
	const uint8_t cmp[] = {0x90, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff};
	const uint8_t far[] = {0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff};
	const uint8_t other[] = {0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0x7f};
	const uint8_t third[] = {0x0f, 0x05, 0x48, 0x3d, 0x02, 0xf0, 0xff, 0xff};
	const uint8_t mov[] = {0x90, 0xb8, 0x27, 0, 0, 0, 0x0f, 0x05, 0xc3, 0x90};
	const uint8_t tail[] = {0x48, 0xb8, 0x27, 0, 0, 0, 0x0f, 0x05, 0xc3, 0x90};
	const uint8_t sigreturn[] = {0x90, 0xb8, 15, 0, 0, 0, 0x0f, 0x05, 0xc3, 0x90};

	cr_expect(text_surely_site(cmp, sizeof(cmp), 1, 3));
	cr_expect(text_surely_site(far, sizeof(far), 0, 3));
	cr_expect_not(text_surely_site(cmp, sizeof(cmp) - 1, 1, 3));
	cr_expect_not(text_surely_site(cmp, sizeof(cmp), 0, 3));
	cr_expect_not(text_surely_site(cmp, sizeof(cmp), 1000, 3));
	cr_expect_not(text_surely_site(other, sizeof(other), 0, 3));
	cr_expect_not(text_surely_site(third, sizeof(third), 0, 3));
	cr_expect(text_surely_site(mov, sizeof(mov), 6, 0x27));
	cr_expect_not(text_surely_site(mov, sizeof(mov), 6, 0x28));
	cr_expect_not(text_surely_site(mov, sizeof(mov), 6, -1));
	cr_expect_not(text_surely_site(tail, sizeof(tail), 6, 0x27));
	cr_expect_not(text_surely_site(sigreturn, sizeof(sigreturn), 6, 15));
}

Test(text_known, the_loop_of_an_exit_leaves_no_doubt)
{
	/* mov $60,%edx; xor %edi,%edi; mov %edx,%eax; syscall; jmp to the xor */
	uint8_t loop[] = {0xba, 0x3c, 0, 0, 0, 0x31, 0xff, 0x89, 0xd0, 0x0f, 0x05, 0xeb, 0xf8};

	cr_expect(text_surely_exit(loop, sizeof(loop), 9, 60));
	cr_expect_not(text_surely_exit(loop, sizeof(loop), 9, 61));
	cr_expect_not(text_surely_exit(loop, sizeof(loop) - 1, 9, 60));
	cr_expect_not(text_surely_exit(loop + 6, sizeof(loop) - 6, 3, 60));
	cr_expect_not(text_surely_exit(loop, sizeof(loop), 1000, 60));
	/* It moves instructions: a cache that names it proves nothing. */
	cr_expect_not(text_surely_site(loop, sizeof(loop), 9, 60));
	loop[12] = 0xf9;
	cr_expect_not(text_surely_exit(loop, sizeof(loop), 9, 60));
}
