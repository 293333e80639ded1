/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: the bytes of large reads and writes, carried by the shim in pieces while the sentry polls.
 *
 *	read    the sentry fills place n of the ring, says so in line n --> the shim copies it to the guest, says `carried`
 *	write   the sentry says in line n what it wants                 --> the shim copies it into place n, says `carried`
 *
 * Both work at the same time, on two CPUs. What lies in a place crosses from one CPU's cache to the other's, which is slow if
 * the line has to be fetched when it is wanted: whoever fills a place writes past its caches, and the other one finds it in
 * memory, in order, where prefetching works. That makes the two copies together about as fast as the host's single one.
 *
 * It all happens within one copy of a handler's, without sleeping: no other task runs in between, so nothing is seen half done
 * that wouldn't be with process_vm_writev. A piece counts when the shim says that it has been carried. Then, or when the shim
 * faults, or doesn't get on, what is left is moved by process_vm_readv and writev, which find out exactly how far it goes. So
 * partial counts and errors are the same as ever, and nothing need be probed.
 *
 * The guest controls all of the box: `carried`, `broken`, and the places' bytes. It can claim to have carried what it hasn't (it
 * is its own memory that isn't written, its own bytes that are read), and it can be slow: we wait for a piece a few
 * microseconds, for all of them a time that grows with their number, and after a stall the call has no stream any more.
 * Nothing that was written into a place is read back; what the guest has put there is copied once.
 *
 * What copies a large buffer in small pieces (a pipe's pages) has it fetched in larger ones (gate_fetch). Such bytes are as old as
 * those that come along with a call, and are forgotten where those are.
 *
 * After a stall the lines are taken back, but the shim may still be in the middle of a piece. It finishes it before it looks at
 * the answer, so before the guest's thread goes on; the bytes are the call's own, if nothing else is put into the ring
 * meanwhile: so nothing goes back with this call's answer any more but what is written afterwards at the very beginning of the
 * data. What remains: if a call writes the same bytes twice (readv with buffers that overlap), those of the one late piece may
 * win over later ones.
 */
#include "sentry/platform/stubs/gate.h"
#include "sentry/platform/stubs/bell.h"

#include "sentry/platform/internal.h"
#include "sentry/platform/stubs/stubs.h"

#include <string.h>

#define FETCHED (64 * KiB)
#define STALL_US 20U /* no piece has been carried for so long */
#define TOTAL_US 60U /* waits of a stream, and a microsecond for each 4 KiB */

/* A place in vec, and what is done there. */
struct cursor {
	const struct platform_bytes *vec;
	size_t off;
};

/* Moves len bytes between a place of the ring and the cursor, which goes on. */
static void move(struct cursor *c, char *place, size_t len, bool out)
{
	while (len > 0) {
		size_t n;
		char *at;

		if (c->off == c->vec->len) {
			c->vec++;
			c->off = 0;
			continue;
		}
		n = MIN(len, c->vec->len - c->off);
		at = (char *)c->vec->data + c->off;
		/* Only the last part of a piece may have an end that isn't a line's. */
		if (out && (uintptr_t)place % 16 == 0)
			gate_copy_away(place, at, n);
		else
			(out ? gate_copy : gate_copy_near)(out ? place : at, out ? at : place, n);
		c->off += n;
		place += n;
		len -= n;
	}
}

/* What small copies out of a large buffer have fetched at once: bytes of one thread's call in hand. */
static struct {
	const struct platform_thread *pt;
	uint64_t call; /* taken_at */
	uint64_t addr;
	size_t len;
	uint8_t bytes[FETCHED];
} fetched;

void gate_fetched_old(const struct platform_thread *pt)
{
	if (fetched.pt == pt)
		fetched.len = 0;
}

bool gate_fetch(struct platform_thread *pt, void *dst, uint64_t addr, size_t len, uint64_t there)
{
	if (fetched.pt != pt || fetched.call != pt->taken_at || addr < fetched.addr || addr - fetched.addr > fetched.len ||
	    len > fetched.len - (addr - fetched.addr)) {
		size_t n = (size_t)MIN(there, sizeof(fetched.bytes));

		if (len >= GATE_STREAM_MIN || n < GATE_STREAM_MIN || !gate_may_stream(pt))
			return false;
		fetched.pt = pt;
		fetched.call = pt->taken_at;
		fetched.addr = addr;
		fetched.len = 0; /* a stall forgets what came along */
		n = gate_stream(pt, false, addr, &(struct platform_bytes){fetched.bytes, n}, n);
		fetched.len = n;
		if (n < len)
			return false;
	}
	gate_copy(dst, fetched.bytes + (addr - fetched.addr), len);
	return true;
}

/* Lines name a piece of the past: a shim waits for one of the last GATE_PIECES that were posted, or the next. */
void gate_stream_forget(struct platform_thread *pt)
{
	struct gate_box *box = box_of(pt);

	for (unsigned i = 0; i < GATE_PIECES; i++)
		__atomic_store_n(&box->pieces[i].number, pt->stream_next - GATE_PIECES, __ATOMIC_RELEASE);
}

bool gate_may_stream(const struct platform_thread *pt)
{
	return pt->state == THREAD_GATE && pt->event.kind == PLATFORM_SYSCALL && gate_polls() && !pt->gate_waits && !pt->slept &&
	       !pt->stream_off && !pt->kicked && pt->data_used <= GATE_STREAM_AT - GATE_DATA;
}

size_t gate_stream(struct platform_thread *pt, bool out, uint64_t addr, const struct platform_bytes *vec, size_t len)
{
	struct gate_box *box = box_of(pt);
	char *window = (char *)pt->mailbox + GATE_STREAM_AT;
	uint32_t first = pt->stream_next, posted = 0, done = 0, size;
	struct cursor cursor = {vec, 0};
	size_t asked = 0, moved = 0;
	uint64_t now, since, begun, us = gate_ticks_us();

	if (!gate_may_stream(pt))
		return 0;
	size = (uint32_t)MIN(MAX(len / 2 & ~(size_t)1023, (size_t)2048), (size_t)GATE_PIECE_MAX);
	box->stream_first = first;
	box->broken = 0;
	__atomic_store_n(&box->carried, first, __ATOMIC_RELEASE);
	since = begun = __builtin_ia32_rdtsc();
	for (;;) {
		uint32_t carried;

		while (asked < len && posted - done < GATE_PIECES) {
			uint32_t n = (uint32_t)MIN((size_t)size, len - asked), place = (first + posted) % GATE_PIECES;
			struct gate_piece *p = &box->pieces[place];

			if (out)
				move(&cursor, window + place * GATE_PIECE_MAX, n, true);
			p->addr = addr + asked;
			p->len = n;
			p->in = !out;
			__atomic_store_n(&p->number, first + posted + 1, __ATOMIC_RELEASE);
			if (posted++ == 0)
				__atomic_store_n(&box->state, GATE_STREAM, __ATOMIC_RELEASE);
			asked += n;
		}
		carried = __atomic_load_n(&box->carried, __ATOMIC_ACQUIRE) - first;
		if (carried < done || carried > posted)
			break; /* not as our shim does it: it neither goes back nor ahead of us */
		now = __builtin_ia32_rdtsc();
		if (carried != done) {
			for (; done != carried; done++) {
				uint32_t n = (uint32_t)MIN((size_t)size, len - moved);

				if (!out)
					move(&cursor, window + (first + done) % GATE_PIECES * GATE_PIECE_MAX, n, false);
				moved += n;
			}
			since = now;
			if (moved == len)
				break;
			if (now - begun > (TOTAL_US + len / PAGE_SIZE) * us)
				break;
			continue;
		}
		if (__atomic_load_n(&box->broken, __ATOMIC_ACQUIRE) != 0 || now - since > STALL_US * us)
			break;
		gate_stream_pause(box);
	}
	pt->stream_next = first + posted;
	gate_counts.streams++;
	if (moved < len) {
		gate_stream_forget(pt);
		pt->stream_off = true;
		gate_flush(pt->task); /* by process_vm_writev: no stream is left to take */
		if (__atomic_load_n(&box->broken, __ATOMIC_ACQUIRE) == 0)
			gate_stalled(pt);
	}
	return moved;
}
