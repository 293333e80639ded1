// SPDX-License-Identifier: Apache-2.0
/*
 * The one door between guest memory and the sentry.
 *
 *	handler --> copy_from_guest --> bytes that came with the call? --> else platform->mm_read --> the stub
 *	        --> copy_to_guest --> can they go with the answer? --> else platform->mm_write
 *
 * Everything is copied once into the sentry's own memory. The platform obeys the guest's page protections, so a read of
 * PROT_NONE memory or a write to read-only memory faults as it would in Linux. Ranges that wrap or reach GUEST_END are
 * refused here before anything is touched; the platform refuses them again.
 *
 * The guest controls: every address and length, and, from its other threads, the bytes while we copy. So a string is
 *cut at its first NUL by what was copied, never by looking twice, and callers check the copy only.
 *
 * Linux's access_ok() allows up to the end of the address space; here what lies above GUEST_END (stub, vDSO) can't be
 * named in a call.
 */
#include "sentry/mm/usercopy.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/memory_pace.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/text.h"
#include "sentry/platform/platform.h"

#include <string.h>

#define ZERO_CHUNK 512U
#define STRING_CHUNK 256U
#define GATHER_MIN (256 * KiB) /* what is larger can't go back with the answer */

static bool range_ok(uint64_t addr, size_t len)
{
	return addr <= GUEST_END && len <= GUEST_END - addr;
}

/* How much of [addr, addr + len) lies below GUEST_END. */
static size_t range_clip(uint64_t addr, size_t len)
{
	if (addr >= GUEST_END)
		return 0;
	return MIN(len, (size_t)(GUEST_END - addr));
}

static struct platform_mm *task_pmm(struct task *task)
{
	return task->mm != NULL ? task->mm->pmm : NULL;
}

/* Text that was rewritten, or trampolines? */
static bool is_rewritten(const struct mm *mm, uint64_t addr, size_t n)
{
	return addr < mm->text_high && addr + n > mm->text_low && text_meets_slow(mm, addr, addr + n);
}

static size_t read_bytes(const struct mm *mm, void *dst, uint64_t addr, size_t len)
{
	size_t n;

	if (mm == NULL || mm->pmm == NULL || len == 0)
		return 0;
	n = platform->mm_read(mm->pmm, dst, addr, len);
	/* Rewritten text is shown as the program wrote it. */
	if (is_rewritten(mm, addr, n))
		n = text_read_fix_slow(mm, dst, addr, n);
	return n;
}

static size_t write_bytes(struct platform_mm *pmm, uint64_t addr, const void *src, size_t len)
{
	if (pmm == NULL || len == 0)
		return 0;
	memory_pace_count(len);
	return platform->mm_write(pmm, addr, src, len);
}

/* Without touching the process: the bytes came with the call, or can go back with its answer. */
static bool came_along(struct task *task, void *dst, uint64_t addr, size_t len)
{
	/* What the shim copied out of rewritten text isn't what the program wrote there. */
	if (task->mm != NULL && is_rewritten(task->mm, addr, len))
		return false;
	return platform->copy_in != NULL && platform->copy_in(task, dst, addr, len);
}

static bool goes_along(struct task *task, uint64_t addr, const void *src, size_t len)
{
	if (platform->copy_out == NULL)
		return false;
	/* What could be written when the call was made may be unmapped or protected by now, if it slept: then only the write
	 * itself tells, before anything has been taken from a pipe for it. */
	if (__builtin_expect(task->mm != NULL && task->mm->vma_gen != task->syscall_gen, 0)) {
		platform->flush_out(task);
		return false;
	}
	return platform->copy_out(task, addr, src, len);
}

int copy_from_guest(struct task *task, void *dst, gva_t src, size_t len)
{
	if (len == 0)
		return 0;
	if (!range_ok(src.v, len))
		return -LINUX_EFAULT;
	if (came_along(task, dst, src.v, len))
		return 0;
	return read_bytes(task->mm, dst, src.v, len) == len ? 0 : -LINUX_EFAULT;
}

int copy_to_guest(struct task *task, gva_t dst, const void *src, size_t len)
{
	if (len == 0)
		return 0;
	if (!range_ok(dst.v, len))
		return -LINUX_EFAULT;
	if (goes_along(task, dst.v, src, len))
		return 0;
	return write_bytes(task_pmm(task), dst.v, src, len) == len ? 0 : -LINUX_EFAULT;
}

size_t copy_from_guest_partial(struct task *task, void *dst, gva_t src, size_t len)
{
	len = range_clip(src.v, len);
	if (len != 0 && came_along(task, dst, src.v, len))
		return len;
	return read_bytes(task->mm, dst, src.v, len);
}

size_t copy_to_guest_partial(struct task *task, gva_t dst, const void *src, size_t len)
{
	len = range_clip(dst.v, len);
	if (len != 0 && goes_along(task, dst.v, src, len))
		return len;
	return write_bytes(task_pmm(task), dst.v, src, len);
}

static size_t total(const struct platform_bytes *vec, unsigned n)
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += vec[i].len;
	return len;
}

size_t copy_from_guest_into(struct task *task, const struct platform_bytes *vec, unsigned n, gva_t src)
{
	size_t len = range_clip(src.v, total(vec, n)), done = 0;

	if (n > 1 && len > GATHER_MIN && platform->mm_readv != NULL && task_pmm(task) != NULL &&
	    !is_rewritten(task->mm, src.v, len)) {
		if (platform->flush_out != NULL)
			platform->flush_out(task);
		return platform->mm_readv(task_pmm(task), vec, src.v, len);
	}
	for (unsigned i = 0; i < n && done < len; i++) {
		size_t want = MIN(vec[i].len, len - done), got;

		got = copy_from_guest_partial(task, vec[i].data, gva_add(src, done), want);
		done += got;
		if (got < want)
			break;
	}
	return done;
}

size_t copy_to_guest_from(struct task *task, gva_t dst, const struct platform_bytes *vec, unsigned n)
{
	size_t len = range_clip(dst.v, total(vec, n)), done = 0;

	if (n > 1 && len > GATHER_MIN && platform->mm_writev != NULL && task_pmm(task) != NULL) {
		if (platform->flush_out != NULL)
			platform->flush_out(task);
		memory_pace_count(len);
		return platform->mm_writev(task_pmm(task), dst.v, vec, len);
	}
	for (unsigned i = 0; i < n && done < len; i++) {
		size_t want = MIN(vec[i].len, len - done), got;

		got = copy_to_guest_partial(task, gva_add(dst, done), vec[i].data, want);
		done += got;
		if (got < want)
			break;
	}
	return done;
}

int clear_guest(struct task *task, gva_t dst, size_t len)
{
	static const uint8_t zeros[PAGE_SIZE];

	if (!range_ok(dst.v, len))
		return -LINUX_EFAULT;
	if (platform->flush_out != NULL)
		platform->flush_out(task);
	while (len > 0) {
		size_t n = MIN(len, sizeof(zeros));

		if (write_bytes(task_pmm(task), dst.v, zeros, n) != n)
			return -LINUX_EFAULT;
		dst = gva_add(dst, n);
		len -= n;
	}
	return 0;
}

/*
 * Chunks end at page boundaries, so that a string which ends just before an unmapped page is read without touching it;
 * the first chunk is short because most strings are.
 */
int64_t copy_string_from_guest(struct task *task, char *dst, gva_t src, size_t size)
{
	size_t done = 0, chunk = STRING_CHUNK;
	int64_t len = -1;

	if (platform->copy_string != NULL)
		len = platform->copy_string(task, dst, src.v, size);
	if (len >= 0 && (task->mm == NULL || !is_rewritten(task->mm, src.v, (size_t)len + 1))) /* as in came_along */
		return len;
	while (done < size) {
		uint64_t at = src.v + done;
		size_t n = MIN(MIN(size - done, chunk), (size_t)(PAGE_SIZE - at % PAGE_SIZE));
		const char *nul;

		if (at < src.v || copy_from_guest(task, dst + done, GVA(at), n) != 0)
			return -LINUX_EFAULT;
		nul = memchr(dst + done, '\0', n);
		if (nul != NULL)
			return nul - dst;
		done += n;
		chunk = PAGE_SIZE;
	}
	return -LINUX_ENAMETOOLONG;
}

int copy_path_from_guest(struct task *task, gva_t src, char **path)
{
	char *small, *large;
	int64_t len;

	*path = NULL;
	small = kmalloc(STRING_CHUNK);
	if (small == NULL)
		return -LINUX_ENOMEM;
	len = copy_string_from_guest(task, small, src, STRING_CHUNK);
	if (len >= 0) {
		*path = small;
		return 0;
	}
	kfree(small);
	if (len != -LINUX_ENAMETOOLONG)
		return (int)len;
	large = kmalloc(LINUX_PATH_MAX);
	if (large == NULL)
		return -LINUX_ENOMEM;
	len = copy_string_from_guest(task, large, src, LINUX_PATH_MAX);
	if (len < 0) {
		kfree(large);
		return (int)len;
	}
	*path = large;
	return 0;
}

int copy_struct_from_guest(struct task *task, void *dst, size_t known, gva_t src, size_t size)
{
	uint8_t rest[ZERO_CHUNK];
	size_t at = known;
	int err;

	while (at < size) {
		size_t n = MIN(size - at, sizeof(rest));

		/* Linux looks at the tail first, and callers have bounded size by a page. */
		err = copy_from_guest(task, rest, gva_add(src, at), n);
		if (err)
			return err;
		for (size_t i = 0; i < n; i++)
			if (rest[i] != 0)
				return -LINUX_E2BIG;
		at += n;
	}
	memset(dst, 0, known);
	return copy_from_guest(task, dst, src, MIN(known, size));
}

size_t mm_read_guest(struct mm *mm, void *dst, gva_t src, size_t len)
{
	return read_bytes(mm, dst, src.v, range_clip(src.v, len));
}

size_t mm_write_guest(struct mm *mm, gva_t dst, const void *src, size_t len)
{
	return write_bytes(mm->pmm, dst.v, src, range_clip(dst.v, len));
}
