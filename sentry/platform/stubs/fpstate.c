/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vector and x87 state: between the frame of a thread that stands in its trap door and the guest's own signal frames. Both
 * are the host kernel's XSAVE layout, and it is the host kernel that judges what is loaded: a bad image ends the guest.
 */
#include "sentry/platform/stubs/stubs.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
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


int stubs_fpstate_save(struct task *task, gva_t dst)
{
	struct platform_thread *pt = task->pt;
	size_t len = stubs_fpstate_size(), have;
	uint8_t *buf;
	int err;

	if (pt == NULL || pt->state != THREAD_FULL || len > FPSTATE_MAX)
		return -LINUX_EFAULT;
	have = MIN(pt->fpstate_size, len);
	buf = kzalloc(len);
	if (buf == NULL)
		return -LINUX_EFAULT;
	err = stubs_transfer(pt, false, buf, pt->fpstate, have);
	if (err == 0 && stubs_mm_write(pt->proc->mm, dst.v, buf, len) != len)
		err = -LINUX_EFAULT;
	kfree(buf);
	return err;
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
	uint8_t *buf, *own;
	uint32_t magic, size;
	int err = -LINUX_EFAULT;

	if (pt == NULL || pt->state != THREAD_FULL || len > FPSTATE_MAX)
		return -LINUX_EFAULT;
	have = MIN(pt->fpstate_size, len);
	if (have < FP_LEGACY + 64)
		return -LINUX_EFAULT;
	buf = kzalloc(len);
	own = kzalloc(len);
	if (buf == NULL || own == NULL)
		goto out;
	/* The frame's own trailer (sizes, magics) stays; state comes from the guest's image, as far as it says it goes. */
	err = stubs_transfer(pt, false, own, pt->fpstate, have);
	if (err < 0)
		goto out;
	if (src.v == 0) {
		static const uint8_t control[] = {0x7f, 0x03}; /* FCW */

		memset(own, 0, FP_SW_RESERVED);
		memcpy(own, control, sizeof(control));
		own[24] = 0x80; /* MXCSR 0x1f80 */
		own[25] = 0x1f;
		memset(own + FP_LEGACY, 0, have - FP_LEGACY - 4);
	} else {
		size_t n = stubs_mm_read(pt->proc->mm, buf, src.v, len);

		err = -LINUX_EFAULT;
		if (n < FP_LEGACY)
			goto out;
		memcpy(&magic, buf + FP_SW_RESERVED, 4);
		memcpy(&size, buf + FP_SW_RESERVED + 4, 4);
		memcpy(own, buf, FP_SW_RESERVED);
		if (magic == FP_XSTATE_MAGIC1 && size <= n && size >= FP_LEGACY + 64 && size <= have) {
			memcpy(own + FP_LEGACY, buf + FP_LEGACY, size - FP_LEGACY - 4);
		} else {
			/* Legacy state only: x87 and SSE come from it, the rest is initial. */
			memset(own + FP_LEGACY, 0, have - FP_LEGACY - 4);
			own[FP_LEGACY] = 3;
		}
	}
	err = stubs_transfer(pt, true, own, pt->fpstate, have);
out:
	kfree(buf);
	kfree(own);
	return err;
}
