/* SPDX-License-Identifier: Apache-2.0 */
/* Lengths of instructions, compared with capstone's over this very program, and where they surely begin. */
#include "sentry/mm/text_insn.h"

#include <capstone/capstone.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

extern const uint8_t __etext[];

static unsigned len_of(const char *bytes, size_t n, enum text_decoded want)
{
	uint8_t *copy = malloc(n);
	struct text_insn insn;
	enum text_decoded got;

	memcpy(copy, bytes, n);
	got = text_insn_decode(copy, n, &insn);
	free(copy);
	cr_expect_eq(got, want, "%02x %02x: %d", (uint8_t)bytes[0], n > 1 ? (uint8_t)bytes[1] : 0, got);
	return insn.len;
}
#define LEN(bytes) len_of(bytes "\x90\x90", sizeof(bytes "\x90\x90") - 1, TEXT_INSN_OK)
#define NEVER(bytes) (void)len_of(bytes, sizeof(bytes) - 1, TEXT_INSN_NEVER)
#define UNKNOWN(bytes) (void)len_of(bytes, sizeof(bytes) - 1, TEXT_INSN_UNKNOWN)

Test(text_insn, lengths)
{
	cr_expect_eq(LEN("\x90"), 1);
	cr_expect_eq(LEN("\x0f\x05"), 2);
	cr_expect_eq(LEN("\xb8\1\0\0\0"), 5);
	cr_expect_eq(LEN("\x66\xb8\1\0"), 4);
	cr_expect_eq(LEN("\x48\xb8\1\2\3\4\5\6\7\x8"), 10);
	cr_expect_eq(LEN("\x48\xc7\xc0\1\0\0\0"), 7);
	cr_expect_eq(LEN("\x4c\x89\x5c\x24\x08"), 5);       /* mov %r11,8(%rsp) */
	cr_expect_eq(LEN("\x48\x8b\x04\x25\0\0\0\0"), 8);   /* mov 0,%rax */
	cr_expect_eq(LEN("\x48\x8d\x05\0\0\0\0"), 7);
	cr_expect_eq(LEN("\xf7\xc1\1\0\0\0"), 6);           /* test: an immediate */
	cr_expect_eq(LEN("\xf7\xd9"), 2);                   /* neg: none */
	cr_expect_eq(LEN("\xf6\xc1\1"), 3);
	cr_expect_eq(LEN("\xa1\1\2\3\4\5\6\7\x8"), 9);
	cr_expect_eq(LEN("\x67\xa1\1\2\3\4"), 6);
	cr_expect_eq(LEN("\xc8\1\0\0"), 4);
	cr_expect_eq(LEN("\xc5\xf8\x77"), 3);               /* vzeroupper */
	cr_expect_eq(LEN("\xc5\xf9\x70\xc0\x01"), 5);       /* vpshufd */
	cr_expect_eq(LEN("\xc4\xe3\x79\x0f\xc1\x01"), 6);   /* vpalignr */
	cr_expect_eq(LEN("\x62\xf1\xfe\x48\x6f\x47\x01"), 7); /* vmovdqu64 64(%rdi),%zmm0 */
	cr_expect_eq(LEN("\x66\x0f\x3a\x0f\xc1\x01"), 6);
	cr_expect_eq(LEN("\x66\x2e\x0f\x1f\x84\0\0\0\0\0"), 10);
	cr_expect_eq(LEN("\xf3\x0f\x1e\xfa"), 4);
	cr_expect_eq(LEN("\x66\x66\x48\xe8\0\0\0\0"), 8);
	NEVER("\x06");
	NEVER("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90");
	UNKNOWN("\x66\xe8\0\0\0\0");
	UNKNOWN("\xb8\1\0\0");
	UNKNOWN("\x0f");
	UNKNOWN("\x62");
	UNKNOWN("\x48");
	UNKNOWN("\x48\x48\x90");
	UNKNOWN("\x62\xf9\xfe\x48\x6f\x47\x01");
}

Test(text_insn, kinds)
{
	struct text_insn i;

	cr_expect_eq(text_insn_decode((const uint8_t *)"\x48\x8d\x35\1\0\0\0", 7, &i), TEXT_INSN_OK);
	cr_expect(i.movable && i.rip_disp == 3 && !i.jumps);
	cr_expect_eq(text_insn_decode((const uint8_t *)"\xeb\xfe", 2, &i), TEXT_INSN_OK);
	cr_expect(!i.movable && i.jumps && i.rel == -2);
	cr_expect_eq(text_insn_decode((const uint8_t *)"\xe8\4\3\2\1", 5, &i), TEXT_INSN_OK);
	cr_expect(!i.movable && i.jumps && i.rel == 0x01020304);
	cr_expect_eq(text_insn_decode((const uint8_t *)"\x64\x48\x8b\x04\x25\x28\0\0\0", 9, &i), TEXT_INSN_OK);
	cr_expect_not(i.movable);
	cr_expect_eq(text_insn_decode((const uint8_t *)"\xf0\x0f\xb1\x0f", 4, &i), TEXT_INSN_OK);
	cr_expect_not(i.movable);
	cr_expect_eq(text_insn_decode((const uint8_t *)"\xc7\xf8\0\0\0\0", 6, &i), TEXT_INSN_OK); /* xbegin */
	cr_expect_not(i.movable);
}

/* From there to the end of this program's text: whatever capstone knows has the same length here. */
Test(text_insn, lengths_are_capstones)
{
	const uint8_t *at = (const uint8_t *)(uintptr_t)text_insn_decode, *end = __etext;
	size_t left, compared = 0, sure = 0, asked = 0;
	const uint8_t *start;
	uint64_t ip = 0;
	cs_insn *insn;
	csh handle;

	start = at;
	left = (size_t)(end - at);
	cr_assert_eq(cs_open(CS_ARCH_X86, CS_MODE_64, &handle), CS_ERR_OK);
	insn = cs_malloc(handle);
	while (left > 16 && compared < 200000) {
		const uint8_t *here = at;
		enum text_decoded got;
		struct text_insn ours;

		got = text_insn_decode(here, left, &ours);
		if (!cs_disasm_iter(handle, &at, &left, &ip, insn)) {
			at = here + 1; /* until it finds its way again */
			left = (size_t)(end - at);
			continue;
		}
		compared++;
		cr_assert_eq(got, TEXT_INSN_OK, "%s %s", insn->mnemonic, insn->op_str);
		cr_assert_eq(ours.len, insn->size, "%s %s", insn->mnemonic, insn->op_str);
		if (compared % 16 != 0 || here - start < 1000)
			continue;
		asked++;
		sure += text_insn_begins(start, (size_t)(end - start), (size_t)(here - start));
		for (unsigned i = 1; i < insn->size; i++)
			cr_assert_not(text_insn_begins(start, (size_t)(end - start), (size_t)(here - start) + i), "%u in %s %s", i,
				      insn->mnemonic, insn->op_str);
	}
	cs_free(insn, 1);
	cs_close(&handle);
	cr_expect_gt(compared, 20000);
	cr_expect_gt(sure, asked * 95 / 100);
}

/* Nothing behind the end is read. */
Test(text_insn, ends)
{
	uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(page, MAP_FAILED);
	cr_assert_eq(mprotect(page + 4096, 4096, PROT_NONE), 0);
	srand(1);
	for (unsigned round = 0; round < 200000; round++) {
		size_t n = 1 + (size_t)rand() % 16;
		struct text_insn insn;

		for (size_t i = 4096 - n; i < 4096; i++)
			page[i] = (uint8_t)(rand() % 3 != 0 ? rand() : "\x0f\x66\x48\xc4\x62\x3a\x84\x24"[rand() % 8]);
		if (text_insn_decode(page + 4096 - n, n, &insn) == TEXT_INSN_OK)
			cr_assert(insn.len >= 1 && insn.len <= n && insn.len <= TEXT_INSN_MAX &&
				  (insn.rip_disp == 0 || insn.rip_disp + 4U <= insn.len));
	}
	munmap(page, 8192);
}
