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

static size_t xsave_size;

size_t stubs_fpstate_size(void)
{
	if (xsave_size == 0) {
		uint32_t a = 0xd, b, c = 0, d;

		/* CPUID.0DH: EBX, bytes of the enabled state; 4 more for the frame's second magic. */
		__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
		xsave_size = b + 4;
	}
	return xsave_size;
}

static uint8_t image[FPSTATE_MAX]; /* nothing here sleeps */

int stubs_fpstate_save(struct task *task, gva_t dst)
{
	struct platform_thread *pt = task->pt;
	size_t len = stubs_fpstate_size(), have;

	if (pt == NULL || pt->state != THREAD_FULL || len > FPSTATE_MAX)
		return -LINUX_EFAULT;
	have = MIN(pt->fpstate_size, len);
	memset(image + have, 0, len - have);
	gate_slow(pt);
	if (stubs_transfer(pt, false, image, pt->fpstate, have) < 0 ||
	    stubs_mm_write(pt->proc->mm, dst.v, image, len) != len)
		return -LINUX_EFAULT;
	return 0;
}

int stubs_fpstate_copy(struct platform_thread *from, struct platform_thread *to)
{
	static uint8_t image[FPSTATE_MAX];
	size_t len = from->fpstate_size;

	/* The same kernel made both frames, so they are equally large, unless the guest made that up. */
	if (len > sizeof(image) || to->fpstate_size != len)
		return -LINUX_EFAULT;
	if (stubs_transfer(from, false, image, from->fpstate, len) < 0 || stubs_transfer(to, true, image, to->fpstate, len) < 0)
		return -LINUX_EFAULT;
	return 0;
}

#define FP_XSTATE_MAGIC1 0x46505853U
#define FP_LEGACY 512U
#define FP_SW_RESERVED 464U

int stubs_fpstate_load(struct task *task, gva_t src)
{
	struct platform_thread *pt = task->pt;
	size_t len = stubs_fpstate_size(), have;
	uint32_t magic, size;

	if (pt == NULL || pt->state != THREAD_FULL || len > FPSTATE_MAX)
		return -LINUX_EFAULT;
	have = MIN(pt->fpstate_size, len);
	if (have < FP_LEGACY + 64)
		return -LINUX_EFAULT;
	gate_slow(pt);
	if (src.v == 0) {
		static const uint8_t control[] = {0x7f, 0x03}; /* FCW */

		memset(image, 0, have);
		memcpy(image, control, sizeof(control));
		image[24] = 0x80; /* MXCSR 0x1f80 */
		image[25] = 0x1f;
	} else {
		size_t n = stubs_mm_read(pt->proc->mm, image, src.v, len);

		if (n < FP_LEGACY)
			return -LINUX_EFAULT;
		memcpy(&magic, image + FP_SW_RESERVED, 4);
		memcpy(&size, image + FP_SW_RESERVED + 4, 4);
		if (magic == FP_XSTATE_MAGIC1 && size <= n && size >= FP_LEGACY + 64 && size <= have) {
			memset(image + size - 4, 0, have - (size - 4));
		} else {
			/* Legacy state only: x87 and SSE come from it, the rest is initial. */
			memset(image + FP_LEGACY, 0, have - FP_LEGACY);
			image[FP_LEGACY] = 3;
		}
	}
	/* The frame's own trailer (sizes, magics) stays; state comes from the guest's image, as far as it says it goes. */
	if (stubs_transfer(pt, true, image, pt->fpstate, FP_SW_RESERVED) < 0 ||
	    stubs_transfer(pt, true, image + FP_LEGACY, pt->fpstate + FP_LEGACY, have - FP_LEGACY - 4) < 0)
		return -LINUX_EFAULT;
	return 0;
}
