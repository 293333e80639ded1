/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the bytes of a read go and those of a write come from: a list of guest ranges, or sentry memory (sendfile,
 * splice, exec, copy_file_range). File operations see only this. An iobuf remembers how far it has come, so partial
 * transfers need no arithmetic in the callers.
 */
#ifndef SENTRY_VFS_IOBUF_H
#define SENTRY_VFS_IOBUF_H

#include "sentry/base/types.h"

struct task;

#define LINUX_IOV_MAX 1024
#define LINUX_MAX_RW_COUNT 0x7ffff000UL

struct guest_iovec {
	uint64_t base, len;
};

struct iobuf {
	struct task *task;        /* whose memory; NULL for sentry memory */
	struct guest_iovec *vec;  /* guest ranges; inline_vec or allocated */
	unsigned nvec, cur;
	uint64_t cur_off;         /* inside vec[cur] */
	uint64_t left;            /* bytes not yet moved */
	uint8_t *mem;             /* sentry memory */
	bool nowait;              /* RWF_NOWAIT or MSG_DONTWAIT: as if O_NONBLOCK */
	bool append;              /* RWF_APPEND */
	struct guest_iovec inline_vec[8];
};

/* One guest range; len is cut to LINUX_MAX_RW_COUNT. Never fails, frees nothing. */
void iobuf_init_guest(struct iobuf *b, struct task *task, gva_t base, uint64_t len);
void iobuf_init_mem(struct iobuf *b, void *mem, size_t len);
/* Reads an iovec array. -LINUX_EINVAL (count, negative lengths), -LINUX_EFAULT, -LINUX_ENOMEM, as readv(2). */
int iobuf_init_iovec(struct iobuf *b, struct task *task, gva_t iov, uint64_t count) must_check;
/* Frees what init allocated. */
void iobuf_done(struct iobuf *b);

/* Moves up to len bytes and advances. Returns the bytes moved; fewer than MIN(len, left) means a guest fault. */
size_t iobuf_put(struct iobuf *b, const void *src, size_t len) must_check; /* sentry -> buffer (read) */
size_t iobuf_get(struct iobuf *b, void *dst, size_t len) must_check;       /* buffer -> sentry (write) */
/* Put and get of n places' bytes, which are len together. */
struct platform_bytes;
size_t iobuf_put_from(struct iobuf *b, const struct platform_bytes *vec, unsigned n, size_t len) must_check;
size_t iobuf_get_into(struct iobuf *b, const struct platform_bytes *vec, unsigned n, size_t len) must_check;
size_t iobuf_put_zeros(struct iobuf *b, size_t len) must_check;
/* Where the next bytes go in the guest's memory (0: not there), at most len; if somebody else moves n of them: skip. */
uint64_t iobuf_range(struct iobuf *b, uint64_t len, gva_t *at) must_check;
void iobuf_skip(struct iobuf *b, uint64_t n);
/* Goes back n bytes that were moved (a failed later step). */
void iobuf_revert(struct iobuf *b, size_t n);

#endif
