/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers of reads and writes; see iobuf.h.
 *
 * The guest controls base addresses, lengths and the number of ranges; the array itself is copied once and checked as a
 * whole before a byte moves, as readv(2) has it. `left` is what may still be moved: callers shorten it to cut a transfer
 * (file size limits) and the ranges behind are then never touched.
 */
#include "sentry/vfs/iobuf.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/mm/usercopy.h"
#include "sentry/platform/platform.h"

#include <string.h>

static void iobuf_clear(struct iobuf *b)
{
	b->task = NULL;
	b->vec = b->inline_vec;
	b->nvec = 0;
	b->cur = 0;
	b->cur_off = 0;
	b->left = 0;
	b->mem = NULL;
	b->nowait = false;
	b->append = false;
}

void iobuf_init_guest(struct iobuf *b, struct task *task, gva_t base, uint64_t len)
{
	iobuf_clear(b);
	b->task = task;
	b->left = MIN(len, LINUX_MAX_RW_COUNT);
	b->inline_vec[0] = (struct guest_iovec){.base = base.v, .len = b->left};
	b->nvec = 1;
}

void iobuf_init_mem(struct iobuf *b, void *mem, size_t len)
{
	iobuf_clear(b);
	b->mem = mem;
	b->left = len;
}

int iobuf_init_iovec(struct iobuf *b, struct task *task, gva_t iov, uint64_t count)
{
	uint64_t total = 0;
	int err;

	iobuf_clear(b);
	if (count > LINUX_IOV_MAX)
		return -LINUX_EINVAL;
	if (count > ARRAY_LEN(b->inline_vec)) {
		b->vec = kcalloc(count, sizeof(*b->vec));
		if (b->vec == NULL) {
			b->vec = b->inline_vec;
			return -LINUX_ENOMEM;
		}
	}
	err = copy_from_guest(task, b->vec, iov, count * sizeof(*b->vec));
	if (err != 0)
		goto free_vec;
	for (uint64_t i = 0; i < count; i++) {
		if ((int64_t)b->vec[i].len < 0) {
			err = -LINUX_EINVAL;
			goto free_vec;
		}
		b->vec[i].len = MIN(b->vec[i].len, LINUX_MAX_RW_COUNT - total);
		total += b->vec[i].len;
	}
	b->task = task;
	b->nvec = (unsigned)count;
	b->left = total;
	return 0;

free_vec:
	iobuf_done(b);
	return err;
}

void iobuf_done(struct iobuf *b)
{
	if (b->vec != b->inline_vec)
		kfree(b->vec);
	b->vec = b->inline_vec;
	b->nvec = 0;
}

/* The range the buffer stands at, at most len bytes of it. 0: nothing is left. */
static uint64_t current_range(struct iobuf *b, uint64_t len, gva_t *at)
{
	while (b->cur < b->nvec && b->cur_off == b->vec[b->cur].len) {
		b->cur++;
		b->cur_off = 0;
	}
	if (b->cur == b->nvec)
		return 0;
	*at = GVA(b->vec[b->cur].base + b->cur_off);
	return MIN(len, b->vec[b->cur].len - b->cur_off);
}

static void advance(struct iobuf *b, uint64_t n)
{
	b->left -= n;
	if (b->mem != NULL)
		b->mem += n;
	else
		b->cur_off += n;
}

enum direction { PUT, GET, ZERO };

static size_t move(struct iobuf *b, uint8_t *bytes, size_t len, enum direction dir)
{
	static uint8_t zeros[64 * KiB]; /* never written: all one page of the host's */
	size_t done = 0;

	len = MIN((uint64_t)len, b->left);
	while (done < len) {
		uint64_t n = len - done;
		size_t moved;
		gva_t at;

		if (b->mem != NULL) {
			if (dir == PUT)
				memcpy(b->mem, bytes, n);
			else if (dir == GET)
				memcpy(bytes, b->mem, n);
			else
				memset(b->mem, 0, n);
			moved = n;
		} else {
			n = current_range(b, n, &at);
			if (n == 0)
				break;
			if (dir == PUT) {
				moved = copy_to_guest_partial(b->task, at, bytes + done, n);
			} else if (dir == GET) {
				moved = copy_from_guest_partial(b->task, bytes + done, at, n);
			} else {
				n = MIN(n, sizeof(zeros));
				moved = copy_to_guest_partial(b->task, at, zeros, n);
			}
		}
		advance(b, moved);
		done += moved;
		if (moved < n)
			break;
	}
	return done;
}

static size_t move_places(struct iobuf *b, const struct platform_bytes *vec, unsigned n, size_t len, enum direction dir)
{
	size_t done = 0;
	gva_t at;

	/* All of one range: then they can go in one piece. */
	if (n > 1 && b->mem == NULL && b->left >= len && current_range(b, len, &at) == len) {
		done = dir == PUT ? copy_to_guest_from(b->task, at, vec, n) : copy_from_guest_into(b->task, vec, n, at);
		advance(b, done);
		return done;
	}
	for (unsigned i = 0; i < n; i++) {
		size_t moved = move(b, vec[i].data, vec[i].len, dir);

		done += moved;
		if (moved < vec[i].len)
			break;
	}
	return done;
}

uint64_t iobuf_range(struct iobuf *b, uint64_t len, gva_t *at)
{
	return b->mem == NULL ? current_range(b, MIN(len, b->left), at) : 0;
}

void iobuf_skip(struct iobuf *b, uint64_t n)
{
	advance(b, n);
}

size_t iobuf_put_from(struct iobuf *b, const struct platform_bytes *vec, unsigned n, size_t len)
{
	return move_places(b, vec, n, len, PUT);
}

size_t iobuf_get_into(struct iobuf *b, const struct platform_bytes *vec, unsigned n, size_t len)
{
	return move_places(b, vec, n, len, GET);
}

size_t iobuf_put(struct iobuf *b, const void *src, size_t len)
{
	return move(b, (uint8_t *)(uintptr_t)src, len, PUT);
}

size_t iobuf_get(struct iobuf *b, void *dst, size_t len)
{
	return move(b, dst, len, GET);
}

size_t iobuf_put_zeros(struct iobuf *b, size_t len)
{
	return move(b, NULL, len, ZERO);
}

void iobuf_revert(struct iobuf *b, size_t n)
{
	b->left += n;
	if (b->mem != NULL) {
		b->mem -= n;
		return;
	}
	while (n > b->cur_off) {
		n -= b->cur_off;
		invariant(b->cur > 0);
		b->cur--;
		b->cur_off = b->vec[b->cur].len;
	}
	b->cur_off -= n;
}
