// SPDX-License-Identifier: Apache-2.0
/* futex(2), futex_waitv(2), robust lists: arguments and timeouts. What they do is in sentry/kernel/futex.c. */
#include "sentry/kernel/futex.h"

#include "sentry/base/alloc.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/time.h"
#include "syscalls/define.h"

static bool cmd_takes_realtime(int cmd)
{
	return cmd == LINUX_FUTEX_WAIT_BITSET || cmd == LINUX_FUTEX_WAIT_REQUEUE_PI || cmd == LINUX_FUTEX_LOCK_PI2;
}

static bool cmd_has_timeout(int cmd)
{
	return cmd == LINUX_FUTEX_WAIT || cmd == LINUX_FUTEX_LOCK_PI || cmd == LINUX_FUTEX_LOCK_PI2 ||
	       cmd == LINUX_FUTEX_WAIT_BITSET || cmd == LINUX_FUTEX_WAIT_REQUEUE_PI;
}

/* WAIT's timeout is relative, all others are absolute; LOCK_PI's is always on the real-time clock. */
static int fetch_timeout(struct task *task, int op, gva_t at, uint64_t *deadline)
{
	int cmd = op & LINUX_FUTEX_CMD_MASK;
	bool realtime = (op & LINUX_FUTEX_CLOCK_REALTIME) != 0 || cmd == LINUX_FUTEX_LOCK_PI;
	struct linux_timespec ts;
	int err = get_guest(task, &ts, at);

	if (err)
		return err;
	if (!timespec_valid(&ts))
		return -LINUX_EINVAL;
	if (cmd == LINUX_FUTEX_WAIT)
		*deadline = time_deadline_in(timespec_to_ns(&ts));
	else if (!time_deadline(realtime ? LINUX_CLOCK_REALTIME : LINUX_CLOCK_MONOTONIC, timespec_to_ns(&ts), deadline))
		return -LINUX_EINVAL;
	return 0;
}

SYSCALL_DEFINE6(futex, gva_t, addr, int, op, uint32_t, val, uint64_t, arg4, gva_t, addr2, uint32_t, val3)
{
	int cmd = op & LINUX_FUTEX_CMD_MASK;
	bool shared = (op & LINUX_FUTEX_PRIVATE_FLAG) == 0;
	uint64_t deadline = WAIT_FOREVER;
	int err;

	if ((op & LINUX_FUTEX_CLOCK_REALTIME) != 0 && !cmd_takes_realtime(cmd))
		return -LINUX_ENOSYS;
	if (arg4 != 0 && cmd_has_timeout(cmd)) {
		err = fetch_timeout(task, op, GVA(arg4), &deadline);
		if (err)
			return err;
	}
	switch (cmd) {
	case LINUX_FUTEX_WAIT:
		return futex_wait(task, addr, shared, val, deadline, LINUX_FUTEX_BITSET_MATCH_ANY);
	case LINUX_FUTEX_WAIT_BITSET:
		return futex_wait(task, addr, shared, val, deadline, val3);
	case LINUX_FUTEX_WAKE:
		return futex_wake(task, addr, shared, (int)val, LINUX_FUTEX_BITSET_MATCH_ANY);
	case LINUX_FUTEX_WAKE_BITSET:
		return futex_wake(task, addr, shared, (int)val, val3);
	case LINUX_FUTEX_REQUEUE:
		return futex_requeue(task, addr, shared, (int)val, addr2, (int)arg4, NULL);
	case LINUX_FUTEX_CMP_REQUEUE:
		return futex_requeue(task, addr, shared, (int)val, addr2, (int)arg4, &val3);
	case LINUX_FUTEX_WAKE_OP:
		return futex_wake_op(task, addr, shared, (int)val, addr2, (int)arg4, val3);
	case LINUX_FUTEX_LOCK_PI:
	case LINUX_FUTEX_LOCK_PI2:
		return futex_lock_pi(task, addr, shared, deadline, false);
	case LINUX_FUTEX_TRYLOCK_PI:
		return futex_lock_pi(task, addr, shared, WAIT_FOREVER, true);
	case LINUX_FUTEX_UNLOCK_PI:
		return futex_unlock_pi(task, addr, shared);
	default:
		return -LINUX_ENOSYS;
	}
}

static int waitv_one(struct task *task, gva_t at, struct futex_wait_one *out)
{
	struct linux_futex_waitv w;
	int err = get_guest(task, &w, at);

	if (err)
		return err;
	if ((w.flags & ~(uint32_t)(LINUX_FUTEX2_SIZE_MASK | LINUX_FUTEX_PRIVATE_FLAG)) != 0 || w.reserved != 0)
		return -LINUX_EINVAL;
	if ((w.flags & LINUX_FUTEX2_SIZE_MASK) != LINUX_FUTEX2_SIZE_U32)
		return -LINUX_EINVAL;
	if (w.val > UINT32_MAX)
		return -LINUX_EINVAL;
	out->addr = GVA(w.uaddr);
	out->val = (uint32_t)w.val;
	out->shared = (w.flags & LINUX_FUTEX_PRIVATE_FLAG) == 0;
	return 0;
}

SYSCALL_DEFINE5(futex_waitv, gva_t, waiters, uint32_t, n, uint32_t, flags, gva_t, timeout, int, clock)
{
	struct futex_wait_one *v;
	uint64_t deadline = WAIT_FOREVER;
	struct linux_timespec ts;
	int64_t ret = 0;

	if (flags != 0 || n == 0 || n > LINUX_FUTEX_WAITV_MAX || waiters.v == 0)
		return -LINUX_EINVAL;
	if (timeout.v != 0) {
		if (clock != LINUX_CLOCK_REALTIME && clock != LINUX_CLOCK_MONOTONIC)
			return -LINUX_EINVAL;
		if (get_guest(task, &ts, timeout) != 0)
			return -LINUX_EFAULT;
		if (!timespec_valid(&ts) || !time_deadline(clock, timespec_to_ns(&ts), &deadline))
			return -LINUX_EINVAL;
	}
	v = kcalloc(n, sizeof(*v));
	if (v == NULL)
		return -LINUX_ENOMEM;
	for (unsigned i = 0; ret == 0 && i < n; i++)
		ret = waitv_one(task, gva_add(waiters, i * sizeof(struct linux_futex_waitv)), &v[i]);
	if (ret == 0)
		ret = futex_wait_many(task, v, n, deadline);
	kfree(v);
	return ret;
}

SYSCALL_DEFINE2(set_robust_list, gva_t, head, uint64_t, len)
{
	if (len != sizeof(struct linux_robust_list_head))
		return -LINUX_EINVAL;
	task->robust_list = head;
	task->robust_len = len;
	return 0;
}

SYSCALL_DEFINE3(get_robust_list, int, pid, gva_t, head, gva_t, len)
{
	const uint64_t size = sizeof(struct linux_robust_list_head);
	struct task *target = pid == 0 ? task : task_find(pid);

	if (target == NULL)
		return -LINUX_ESRCH;
	if (target != task && !task_may_inspect(task, target))
		return -LINUX_EPERM;
	if (put_guest(task, len, &size) != 0)
		return -LINUX_EFAULT;
	signal_mask_look(target);
	return put_guest(task, head, &target->robust_list.v);
}
