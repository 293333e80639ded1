/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vector and x87 state: between the frame of a thread that stands in its trap door and the guest's own signal frames. Both
 * are the host kernel's XSAVE layout, and it is the host kernel that judges what is loaded: a bad image ends the guest.
 */
#include "sentry/platform/stubs/stubs.h"

#include "sentry/abi/errno.h"
#include "sentry/host/host.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/internal.h"

#include <string.h>

#define FPSTATE_MAX 16384U
#define FP_LEGACY 512U

#define FP_XSTATE_MAGIC1 0x46505853U
#define FP_XSTATE_MAGIC2 0x46505845U
#define AMX_DATA (1ULL << 18) /* it takes a permission that nobody has here: the kernel's frames have no room for it */
#define AMX_FEATURES (AMX_DATA | 1ULL << 17)

static size_t xsave_size;

static uint64_t enabled(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

/* CPUID.0DH, subleaf n: how large the component is, and where it lies. */
static uint32_t component(unsigned n, uint32_t *at)
{
	uint32_t a = 0xd, c = n, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(*at), "+c"(c), "=d"(d));
	return a;
}

size_t stubs_fpstate_size(void)
{
	if (xsave_size == 0) {
		uint64_t features = enabled() & ~AMX_DATA;
		size_t end = FP_LEGACY + 64;

		for (unsigned n = 2; n < 63; n++) {
			uint32_t at, len;

			if ((features >> n & 1) == 0)
				continue;
			len = component(n, &at);
			end = MAX(end, (size_t)at + len);
		}
		xsave_size = end + 4; /* the frame's second magic */
	}
	return xsave_size;
}

static void fill_reserved(uint8_t out[FPSTATE_RESERVED], uint32_t len)
{
	uint32_t words[2] = {FP_XSTATE_MAGIC1, len}, size = len - 4;
	uint64_t features = enabled() & ~AMX_FEATURES;

	/* struct _fpx_sw_bytes, then the header of a state that is about to be written. */
	memset(out, 0, FPSTATE_RESERVED);
	memcpy(out, words, sizeof(words));
	memcpy(out + 8, &features, sizeof(features));
	memcpy(out + 16, &size, sizeof(size));
}

uint32_t stubs_fpstate_reserved(uint8_t out[FPSTATE_RESERVED])
{
	fill_reserved(out, (uint32_t)stubs_fpstate_size());
	return FP_XSTATE_MAGIC2;
}

void stubs_fpstate_clean(uint8_t out[576])
{
	memset(out, 0, 576);
	out[0] = 0x7f; /* FCW 0x37f */
	out[1] = 0x03;
	out[24] = 0x80; /* MXCSR 0x1f80 */
	out[25] = 0x1f;
}

static uint8_t image[FPSTATE_MAX]; /* nothing here sleeps */

int stubs_fpstate_copy(struct platform_thread *from, struct platform_thread *to)
{
	size_t len = from->fpstate_size;

	/* The same kernel made both frames, so they are equally large, unless the guest made that up. */
	if (len > sizeof(image) || to->fpstate_size != len)
		return -LINUX_EFAULT;
	if (stubs_transfer(from, false, image, from->fpstate, len) < 0 || stubs_transfer(to, true, image, to->fpstate, len) < 0)
		return -LINUX_EFAULT;
	return 0;
}

static char *image_of(const struct platform_thread *pt)
{
	return (char *)pt->mailbox + GATE_DATA + GATE_FP;
}

static uint64_t image_addr(const struct platform_thread *pt)
{
	return STUB_AREAS + pt->area * AREA_SIZE + GATE_DATA + GATE_FP;
}

#define PKRU_BIT 9U

/* PKRU's place in an image; 0: there is none. */
static size_t pkru_at(void)
{
	static size_t place = 1;
	uint32_t at;

	if (place == 1)
		place = (enabled() >> PKRU_BIT & 1) != 0 && component(PKRU_BIT, &at) >= 4 && at <= GATE_FP_MAX - 4 ? at : 0;
	return place;
}

/* All but what XRSTOR makes by itself: most threads use nothing but SSE when they make another, and PKRU, which the kernel gives
 * to everybody. */
static void copy_used(char *to, const char *from)
{
	uint64_t features;

	memcpy(&features, from + FP_LEGACY, sizeof(features));
	if ((features & ~(3ULL | 1ULL << PKRU_BIT)) != 0) {
		memcpy(to, from, MIN(stubs_fpstate_size(), (size_t)GATE_FP_MAX));
		return;
	}
	memcpy(to, from, FP_LEGACY + 64);
	if ((features >> PKRU_BIT & 1) != 0 && pkru_at() != 0)
		memcpy(to + pkru_at(), from + pkru_at(), 4);
}

int stubs_fpstate_hand(struct platform_thread *from, struct platform_thread *to)
{
	uint8_t reserved[FPSTATE_RESERVED];

	if (stubs_fpstate_size() > GATE_FP_MAX)
		return -LINUX_EFAULT;
	if (from->state == THREAD_GATE) {
		copy_used(image_of(to), image_of(from));
	} else if (from->fpstate_size > GATE_FP_MAX || from->fpstate_size < FP_LEGACY + 64 ||
		   stubs_transfer(from, false, image_of(to), from->fpstate, from->fpstate_size) < 0) {
		return -LINUX_EFAULT;
	}
	if (to->state == THREAD_GATE)
		return 0;
	/* One that stands in the trap door takes it as if it were a frame of the guest's, no larger than its own. */
	fill_reserved(reserved, (uint32_t)MIN(to->fpstate_size, stubs_fpstate_size()));
	memcpy(image_of(to) + FPSTATE_RESERVED_AT, reserved, FP_LEGACY - FPSTATE_RESERVED_AT);
	to->fp_from = image_addr(to);
	return 0;
}

int stubs_fpstate_keep(struct platform_thread *pt, void *out)
{
	size_t len = pt->fpstate_size;

	if (len > GATE_FP_MAX || len < FP_LEGACY + 64 || pt->clean_fp || pt->fp_from != 0 ||
	    stubs_transfer(pt, false, out, pt->fpstate, len) < 0)
		return -LINUX_EFAULT;
	return 0;
}

void stubs_fpstate_put_back(struct platform_thread *pt, const void *kept, size_t len)
{
	uint8_t reserved[FPSTATE_RESERVED];

	memcpy(image_of(pt), kept, len);
	fill_reserved(reserved, (uint32_t)MIN(pt->fpstate_size, stubs_fpstate_size()));
	memcpy(image_of(pt) + FPSTATE_RESERVED_AT, reserved, FP_LEGACY - FPSTATE_RESERVED_AT);
	pt->clean_fp = false;
	pt->fp_from = image_addr(pt);
}

/* Into the frame at once, to be looked at there. */
static int load_now(struct platform_thread *pt)
{
	size_t len = stubs_fpstate_size(), have = MIN(pt->fpstate_size, len), n;
	uint64_t from = pt->fp_from;
	uint32_t magic, size;

	pt->fp_from = 0;
	if (from == image_addr(pt)) { /* handed over before its first instruction: no address of the guest's */
		n = MIN(len, (size_t)GATE_FP_MAX);
		memcpy(image, image_of(pt), n);
	} else {
		n = stubs_mm_read(pt->proc->mm, image, from, len);
	}
	if (n < FP_LEGACY + 64 || have < FP_LEGACY + 64)
		return -LINUX_EFAULT;
	memcpy(&magic, image + FPSTATE_RESERVED_AT, 4);
	memcpy(&size, image + FPSTATE_RESERVED_AT + 4, 4);
	if (magic == FP_XSTATE_MAGIC1 && size <= n && size >= FP_LEGACY + 64 && size <= have) {
		memset(image + size - 4, 0, have - (size - 4));
	} else {
		/* Legacy state only: x87 and SSE come from it, the rest is initial. */
		memset(image + FP_LEGACY, 0, have - FP_LEGACY);
		image[FP_LEGACY] = 3;
	}
	/* The frame's own trailer (sizes, magics) stays; state comes from the guest's image, as far as it says it goes. */
	if (stubs_transfer(pt, true, image, pt->fpstate, FPSTATE_RESERVED_AT) < 0 ||
	    stubs_transfer(pt, true, image + FP_LEGACY, pt->fpstate + FP_LEGACY, have - FP_LEGACY - 4) < 0)
		return -LINUX_EFAULT;
	return 0;
}

int stubs_fpstate_save(struct task *task, gva_t dst)
{
	struct platform_thread *pt = task->pt;
	size_t len = stubs_fpstate_size(), have;

	if (pt == NULL || pt->state != THREAD_FULL || len > FPSTATE_MAX)
		return -LINUX_EFAULT;
	gate_slow(pt);
	if (pt->fp_from != 0 && load_now(pt) < 0)
		return -LINUX_EFAULT;
	have = MIN(pt->fpstate_size, len);
	memset(image + have, 0, len - have);
	if (stubs_transfer(pt, false, image, pt->fpstate, have) < 0)
		return -LINUX_EFAULT;
	if (pt->clean_fp && have > 576) {
		memset(image + FP_LEGACY, 0, 8);
		memcpy(image + 24, "\x80\x1f\0", 4);
	}
	return stubs_mm_write(pt->proc->mm, dst.v, image, len) == len ? 0 : -LINUX_EFAULT;
}

int stubs_fpstate_load(struct task *task, gva_t src)
{
	struct platform_thread *pt = task->pt;

	if (pt == NULL || pt->state != THREAD_FULL)
		return -LINUX_EFAULT;
	pt->clean_fp = src.v == 0;
	pt->fp_from = src.v < GUEST_END ? src.v : GUEST_END; /* where nothing can be read */
	return 0;
}
