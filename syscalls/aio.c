/* SPDX-License-Identifier: Apache-2.0 */
/* io_setup(2), io_submit(2), io_getevents(2) and relatives. Contexts and requests: sentry/vfs/aio.c. */
#include "syscalls/define.h"

#include "sentry/vfs/aio.h"
#include "sentry/vfs/poll.h"

SYSCALL_DEFINE2(io_setup, uint32_t, nr, gva_t, gid)
{
	uint64_t id;
	int err;

	err = get_guest(task, &id, gid);
	if (err)
		return err;
	if (id != 0)
		return -LINUX_EINVAL;
	err = aio_setup(task, nr, &id);
	if (err)
		return err;
	err = put_guest(task, gid, &id);
	if (err && aio_destroy(task, id) != 0)
		return -LINUX_EFAULT;
	return err;
}

SYSCALL_DEFINE1(io_destroy, uint64_t, id)
{
	return aio_destroy(task, id);
}

SYSCALL_DEFINE3(io_submit, uint64_t, id, int64_t, nr, gva_t, list)
{
	int64_t done = 0;
	int err;

	if (nr < 0)
		return -LINUX_EINVAL;
	err = aio_check(task, id);
	while (err == 0 && done < nr) {
		uint64_t obj;

		err = get_guest(task, &obj, gva_add(list, (uint64_t)done * sizeof(obj)));
		if (err == 0)
			err = aio_submit_one(task, id, GVA(obj));
		if (err == 0 && ++done % 64 == 0)
			task_yield(task);
	}
	return done != 0 ? done : err;
}

/* Requests are done when they are submitted: there is never one to cancel. */
SYSCALL_DEFINE3(io_cancel, uint64_t, id, gva_t, iocb, gva_t, result)
{
	struct linux_iocb cb;
	int err;

	(void)result;
	err = get_guest(task, &cb.key, gva_add(iocb, offsetof(struct linux_iocb, key)));
	if (err)
		return err;
	err = aio_check(task, id);
	return err ? err : -LINUX_EINVAL;
}

static int64_t getevents(struct task *task, uint64_t id, int64_t min, int64_t max, gva_t events, gva_t timeout)
{
	uint64_t deadline = WAIT_FOREVER;
	struct linux_timespec ts;
	int err;

	if (timeout.v != 0) {
		err = get_guest(task, &ts, timeout);
		if (err == 0)
			err = deadline_from_timespec(&ts, &deadline);
		if (err)
			return err;
	}
	if (min < 0 || max < 0 || min > max)
		return -LINUX_EINVAL;
	return aio_collect(task, id, min, max, events, deadline);
}

SYSCALL_DEFINE5(io_getevents, uint64_t, id, int64_t, min, int64_t, max, gva_t, events, gva_t, timeout)
{
	return getevents(task, id, min, max, events, timeout);
}

SYSCALL_DEFINE6(io_pgetevents, uint64_t, id, int64_t, min, int64_t, max, gva_t, events, gva_t, timeout, gva_t, sig)
{
	uint64_t mask[2] = {0, 0};
	int err = 0;

	if (sig.v != 0)
		err = copy_from_guest(task, mask, sig, sizeof(mask));
	if (err == 0)
		err = signal_temp_mask_from_guest(task, GVA(mask[0]), mask[1]);
	return err ? err : getevents(task, id, min, max, events, timeout);
}
