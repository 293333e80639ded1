/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only door between guest memory and the sentry. Everything is copied once, into the sentry's own memory, and
 * checked there. Ranges that wrap or reach the stub region fail with -LINUX_EFAULT before anything is touched.
 */
#ifndef SENTRY_MM_USERCOPY_H
#define SENTRY_MM_USERCOPY_H

#include "sentry/base/types.h"

struct task;
struct platform_bytes;

/* What Linux asks before it looks at anything else (access_ok): the range lies in the user's half of the address space,
 * whether the guest can have it here or not. */
static inline bool guest_range_ok(gva_t addr, uint64_t len)
{
	const uint64_t user_end = 0x7ffffffff000;

	return len <= user_end && addr.v <= user_end - len;
}

/* 0 or -LINUX_EFAULT (then dst's contents are undefined, or part of the guest's bytes were written). */
int copy_from_guest(struct task *task, void *dst, gva_t src, size_t len) must_check;
int copy_to_guest(struct task *task, gva_t dst, const void *src, size_t len) must_check;
/* Bytes copied before the first that can't be: for partial reads and writes. */
size_t copy_from_guest_partial(struct task *task, void *dst, gva_t src, size_t len) must_check;
size_t copy_to_guest_partial(struct task *task, gva_t dst, const void *src, size_t len) must_check;
/* The same, of bytes that lie, or go to, n places (none empty). */
size_t copy_to_guest_from(struct task *task, gva_t dst, const struct platform_bytes *vec, unsigned n) must_check;
size_t copy_from_guest_into(struct task *task, const struct platform_bytes *vec, unsigned n, gva_t src) must_check;
int clear_guest(struct task *task, gva_t dst, size_t len) must_check;
/* A NUL-terminated string of fewer than size bytes. Returns its length, -LINUX_EFAULT, or -LINUX_ENAMETOOLONG. */
int64_t copy_string_from_guest(struct task *task, char *dst, gva_t src, size_t size) must_check;
/*
 * A path argument: allocates (up to LINUX_PATH_MAX with its NUL). Returns a string to kfree in *path, or -LINUX_EFAULT,
 * -LINUX_ENAMETOOLONG, -LINUX_ENOMEM. The empty string is allowed here: the callers decide.
 */
int copy_path_from_guest(struct task *task, gva_t src, char **path) must_check;
/*
 * A structure that may grow (clone3, openat2, sched_setattr): copies MIN(size, known) bytes, zeroes the rest of dst,
 * and gives -LINUX_E2BIG if the guest's structure is longer with non-zero bytes behind.
 */
int copy_struct_from_guest(struct task *task, void *dst, size_t known, gva_t src, size_t size) must_check;

#define get_guest(task, dst_ptr, src) copy_from_guest((task), (dst_ptr), (src), sizeof(*(dst_ptr)))
#define put_guest(task, dst, src_ptr) copy_to_guest((task), (dst), (src_ptr), sizeof(*(src_ptr)))

/* Another task's memory, by its mm (ptrace, /proc/PID/mem, process_vm_readv): partial counts. */
struct mm;
size_t mm_read_guest(struct mm *mm, void *dst, gva_t src, size_t len) must_check;
size_t mm_write_guest(struct mm *mm, gva_t dst, const void *src, size_t len) must_check;

#endif
