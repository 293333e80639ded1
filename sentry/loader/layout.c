// SPDX-License-Identifier: Apache-2.0
/*
 * The shape of a new address space, and what lies on its stack.
 *
 *	GUEST_MIN        0x10000
 *	                 fixed programs (ET_EXEC), their heap behind them
 *	LAYOUT_PIE_BASE  0x555555554000 + up to 1 TiB: position independent programs, their heap behind them
 *	                 free
 *	mmap_top         libraries, threads' stacks, mappings: downwards from here
 *	                 gap (at least 128 MiB and 16 GiB of the stack's randomness)
 *	stack_top        up to 16 GiB below GUEST_END
 *	GUEST_END        the stub region
 *
 * As on Linux, randomised by 28 bits (mmap area, programs) and 22 bits (stack); so libraries and stack lie above
 * 0x7e8000000000, where programs built with ThreadSanitizer expect them. personality(ADDR_NO_RANDOMIZE) takes all
 * randomness away.
 *
 * The stack at the first instruction, downwards: a null word, the executed path, environment and argument strings, up
 *to 8 KiB of nothing (random), "x86_64", 16 random bytes, then the auxiliary vector, envp, argv and argc, which is 16
 *bytes aligned.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/text.h"
#include "sentry/mm/usercopy.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#include <string.h>

#define STACK_RANDOM (1UL << 34)
#define MMAP_RANDOM (1UL << 40)
#define GAP_MIN (128 * MiB)
#define SIGFRAME_MIN 3632 /* AT_MINSIGSTKSZ if the host doesn't tell */

static uint64_t random_u64(void)
{
	uint64_t r = 0;

	if (host_getrandom(&r, sizeof(r)) < 0)
		return 0;
	return r;
}

uint64_t layout_random(uint64_t max, bool randomize)
{
	return randomize && max >= PAGE_SIZE ? PAGE_DOWN(random_u64() % max) : 0;
}

void layout_choose(struct mm *mm, uint64_t stack_rlimit, bool randomize)
{
	uint64_t gap = MAX(GAP_MIN, mm_stack_size(stack_rlimit)) + STACK_GUARD_GAP;

	mm->stack_top = GUEST_END - layout_random(STACK_RANDOM, randomize);
	if (randomize)
		gap += STACK_RANDOM;
	mm->mmap_top = GUEST_END - gap - layout_random(MMAP_RANDOM, randomize);
	mm->hole_top = mm->mmap_top;
	mm->hole_max = 0;
}

static void auxv_add(struct mm *mm, uint64_t type, uint64_t value)
{
	uint64_t pair[2] = {type, value};

	invariant(mm->auxv_len + sizeof(pair) <= sizeof(mm->auxv));
	memcpy(mm->auxv + mm->auxv_len, pair, sizeof(pair));
	mm->auxv_len += sizeof(pair);
}

static uint64_t auxval_or(uint64_t type, uint64_t otherwise)
{
	uint64_t v = host_auxval(type);

	return v != 0 ? v : otherwise;
}

static void auxv_fill(struct mm *mm, const struct elf_program *p, const struct elf_layout *l, const struct cred *cred,
		      bool secure, uint64_t random_at, uint64_t execfn_at, uint64_t platform_at)
{
	mm->auxv_len = 0;
	auxv_add(mm, LINUX_AT_SYSINFO_EHDR, platform->vdso_base());
	auxv_add(mm, LINUX_AT_MINSIGSTKSZ, auxval_or(LINUX_AT_MINSIGSTKSZ, SIGFRAME_MIN));
	auxv_add(mm, LINUX_AT_HWCAP, host_auxval(LINUX_AT_HWCAP));
	auxv_add(mm, LINUX_AT_PAGESZ, PAGE_SIZE);
	auxv_add(mm, LINUX_AT_CLKTCK, 100);
	auxv_add(mm, LINUX_AT_PHDR, l->phdr);
	auxv_add(mm, LINUX_AT_PHENT, sizeof(struct linux_phdr));
	auxv_add(mm, LINUX_AT_PHNUM, p->exe.eh.phnum);
	auxv_add(mm, LINUX_AT_BASE, l->base);
	auxv_add(mm, LINUX_AT_FLAGS, 0);
	auxv_add(mm, LINUX_AT_ENTRY, l->exe_entry);
	auxv_add(mm, LINUX_AT_UID, cred->uid);
	auxv_add(mm, LINUX_AT_EUID, cred->euid);
	auxv_add(mm, LINUX_AT_GID, cred->gid);
	auxv_add(mm, LINUX_AT_EGID, cred->egid);
	auxv_add(mm, LINUX_AT_SECURE, secure);
	auxv_add(mm, LINUX_AT_RANDOM, random_at);
	/*
	 * FSGSBASE, and not ring 3 MWAIT. With the gate the base of %gs is the shim's: programs that use it (wasm2c's, in
	 * Firefox) ask here, and where wrgsbase isn't offered they call arch_prctl(ARCH_SET_GS), which ends the gate for them.
	 */
	auxv_add(mm, LINUX_AT_HWCAP2, gate_on ? 0 : host_auxval(LINUX_AT_HWCAP2) & 2);
	auxv_add(mm, LINUX_AT_EXECFN, execfn_at);
	auxv_add(mm, LINUX_AT_PLATFORM, platform_at);
	auxv_add(mm, LINUX_AT_NULL, 0);
}

/* The top of a stack that is being made: put together here and written at once, unless it is large. */
#define IMAGE_MAX (32 * KiB)
struct stack_image {
	uint8_t *bytes; /* of [at, stack_top); NULL: written piece by piece */
	uint64_t at;
};

static int put(struct mm *mm, const struct stack_image *img, uint64_t at, const void *src, size_t len)
{
	if (img->bytes != NULL) {
		memcpy(img->bytes + (at - img->at), src, len);
		return 0;
	}
	return mm_write_guest(mm, GVA(at), src, len) == len ? 0 : -LINUX_EFAULT;
}

/* argc, argv, envp, auxv: a block of words that starts at sp. */
static int put_words(struct mm *mm, const struct stack_image *img, const struct exec_args *args, uint64_t strings,
		     uint64_t sp)
{
	size_t nwords = 1 + (size_t)args->argc + 1 + args->envc + 1, at = 0;
	size_t bytes = nwords * 8 + mm->auxv_len;
	const char *s = args->strings;
	uint64_t *w = kmalloc(bytes);
	int err;

	if (w == NULL)
		return -LINUX_ENOMEM;
	w[at++] = args->argc;
	for (uint32_t i = 0; i < args->argc + args->envc; i++) {
		if (i == args->argc)
			w[at++] = 0;
		w[at++] = strings + (uint64_t)(s - args->strings);
		s += strlen(s) + 1;
	}
	if (args->envc == 0)
		w[at++] = 0;
	w[at++] = 0;
	invariant(at == nwords);
	memcpy(w + at, mm->auxv, mm->auxv_len);
	err = put(mm, img, sp, w, bytes);
	kfree(w);
	return err;
}

int layout_stack(unused_arg struct task *task, struct mm *mm, const struct exec_args *args, const struct elf_program *p,
		 const struct elf_layout *l, const struct cred *cred, bool secure, bool randomize, uint64_t *sp)
{
	static const char platform_name[] = "x86_64";
	size_t execfn_len = strlen(args->execfn) + 1, split = 0;
	uint64_t execfn_at = mm->stack_top - 8 - execfn_len;
	uint64_t strings = execfn_at - args->strings_len;
	uint64_t at = strings, platform_at, random_at;
	struct stack_image img = {NULL, 0};
	uint8_t random[16];
	int err;

	for (uint32_t i = 0; i < args->argc; i++)
		split += strlen(args->strings + split) + 1;
	mm->arg_start = strings;
	mm->arg_end = mm->env_start = strings + split;
	mm->env_end = execfn_at;

	if (randomize)
		at -= random_u64() % 8192;
	at &= ~15UL;
	platform_at = at -= sizeof(platform_name);
	random_at = at -= sizeof(random);
	if (host_getrandom(random, sizeof(random)) < 0)
		return -LINUX_EIO;
	at &= ~15UL;
	auxv_fill(mm, p, l, cred, secure, random_at, execfn_at, platform_at);
	at -= mm->auxv_len;
	at -= (1 + (uint64_t)args->argc + 1 + args->envc + 1) * 8;
	at &= ~15UL;

	img.at = at;
	if (mm->stack_top - at <= IMAGE_MAX) {
		img.bytes = kzalloc(mm->stack_top - at);
		if (img.bytes == NULL)
			return -LINUX_ENOMEM;
	}
	err = put(mm, &img, execfn_at, args->execfn, execfn_len);
	if (!err)
		err = put(mm, &img, strings, args->strings, args->strings_len);
	if (!err)
		err = put(mm, &img, platform_at, platform_name, sizeof(platform_name));
	if (!err)
		err = put(mm, &img, random_at, random, sizeof(random));
	if (!err)
		err = put_words(mm, &img, args, strings, at);
	if (img.bytes != NULL) {
		if (!err && mm_write_guest(mm, GVA(at), img.bytes, mm->stack_top - at) != mm->stack_top - at)
			err = -LINUX_EFAULT;
		kfree(img.bytes);
	}
	mm->start_stack = at;
	*sp = at;
	return err;
}
