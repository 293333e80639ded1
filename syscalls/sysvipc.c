/* SPDX-License-Identifier: Apache-2.0 */
/* System V semaphores and message queues: see sentry/kernel/{sem,msg}.c. Shared memory is in syscalls/shm.c. */
#include "syscalls/define.h"

#include "sentry/abi/fs.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/ipc.h"
#include "sentry/kernel/loop.h"

/* ---- semaphores ---- */

SYSCALL_DEFINE3(semget, int32_t, key, int, nsems, int, flags)
{
	return sem_get(task, key, nsems, flags);
}

/* A relative time to the loop's clock; 0 or -LINUX_EINVAL. */
static int relative_deadline(const struct linux_timespec *ts, uint64_t *deadline)
{
	if (ts->sec < 0 || ts->nsec < 0 || ts->nsec >= (int64_t)NSEC_PER_SEC)
		return -LINUX_EINVAL;
	if (ts->sec > 1000000000)
		*deadline = WAIT_FOREVER;
	else
		*deadline = loop_now() + (uint64_t)ts->sec * NSEC_PER_SEC + (uint64_t)ts->nsec;
	return 0;
}

static int64_t semop_common(struct task *task, int32_t id, gva_t guest_ops, uint64_t nops, uint64_t deadline)
{
	struct linux_sembuf few[16], *ops = few;
	int64_t ret;

	if (nops < 1 || id < 0)
		return -LINUX_EINVAL;
	if (nops > SEM_OPM)
		return -LINUX_E2BIG;
	if (nops > ARRAY_LEN(few)) {
		ops = kcalloc(nops, sizeof(*ops));
		if (ops == NULL)
			return -LINUX_ENOMEM;
	}
	ret = copy_from_guest(task, ops, guest_ops, nops * sizeof(*ops));
	if (ret == 0)
		ret = sem_op(task, id, ops, (unsigned)nops, deadline);
	if (ops != few)
		kfree(ops);
	return ret;
}

SYSCALL_DEFINE3(semop, int32_t, id, gva_t, ops, uint64_t, nops)
{
	return semop_common(task, id, ops, (uint32_t)nops, WAIT_FOREVER);
}

SYSCALL_DEFINE4(semtimedop, int32_t, id, gva_t, ops, uint64_t, nops, gva_t, timeout)
{
	uint64_t deadline = WAIT_FOREVER;
	struct linux_timespec ts;
	int err;

	if (timeout.v != 0) {
		if (get_guest(task, &ts, timeout) != 0)
			return -LINUX_EFAULT;
		err = relative_deadline(&ts, &deadline);
		if (err != 0)
			return err;
	}
	return semop_common(task, id, ops, (uint32_t)nops, deadline);
}

static int64_t semctl_getall(struct task *task, int32_t id, gva_t arg)
{
	uint16_t *values;
	unsigned n;
	int err = sem_get_all(task, id, &values, &n);

	if (err != 0)
		return err;
	err = copy_to_guest(task, arg, values, n * sizeof(*values));
	kfree(values);
	return err;
}

static int64_t semctl_setall(struct task *task, int32_t id, gva_t arg)
{
	uint16_t *values;
	int n = sem_count(task, id), err;

	if (n < 0)
		return n;
	values = kcalloc((size_t)n, sizeof(*values));
	if (values == NULL)
		return -LINUX_ENOMEM;
	err = copy_from_guest(task, values, arg, (size_t)n * sizeof(*values));
	if (err == 0)
		err = sem_set_all(task, id, values, (unsigned)n);
	kfree(values);
	return err;
}

SYSCALL_DEFINE4(semctl, int32_t, id, int, num, int, cmd, uint64_t, arg)
{
	struct linux_semid_ds ds;
	struct linux_seminfo info;
	int64_t ret;

	if (id < 0)
		return -LINUX_EINVAL;
	switch (cmd) {
	case LINUX_IPC_INFO:
	case LINUX_SEM_INFO:
		ret = sem_info(cmd, &info);
		return put_guest(task, GVA(arg), &info) != 0 ? -LINUX_EFAULT : ret;
	case LINUX_IPC_STAT:
	case LINUX_SEM_STAT:
	case LINUX_SEM_STAT_ANY:
		ret = sem_stat(task, id, cmd, &ds);
		return ret >= 0 && put_guest(task, GVA(arg), &ds) != 0 ? -LINUX_EFAULT : ret;
	case LINUX_IPC_SET:
		return get_guest(task, &ds, GVA(arg)) != 0 ? -LINUX_EFAULT : sem_set(task, id, &ds);
	case LINUX_GETALL:
		return semctl_getall(task, id, GVA(arg));
	case LINUX_SETALL:
		return semctl_setall(task, id, GVA(arg));
	default:
		return sem_control(task, id, num, cmd, (int32_t)arg);
	}
}

/* ---- message queues ---- */

SYSCALL_DEFINE2(msgget, int32_t, key, int, flags)
{
	return msg_get(task, key, flags);
}

SYSCALL_DEFINE4(msgsnd, int32_t, id, gva_t, msg, uint64_t, size, int, flags)
{
	uint8_t *text = NULL;
	int64_t type;

	if (get_guest(task, &type, msg) != 0)
		return -LINUX_EFAULT;
	if (size > MSG_MAX || id < 0 || type < 1)
		return -LINUX_EINVAL;
	if (size != 0) {
		text = kmalloc(size);
		if (text == NULL)
			return -LINUX_ENOMEM;
		if (copy_from_guest(task, text, gva_add(msg, sizeof(type)), size) != 0) {
			kfree(text);
			return -LINUX_EFAULT;
		}
	}
	return msg_send(task, id, type, text, size, flags);
}

SYSCALL_DEFINE5(msgrcv, int32_t, id, gva_t, msg, uint64_t, size, int64_t, type, int, flags)
{
	uint8_t *text = NULL;
	int64_t got, ret;

	if (id < 0 || (int64_t)size < 0)
		return -LINUX_EINVAL;
	if ((flags & LINUX_MSG_COPY) && (!(flags & LINUX_IPC_NOWAIT) || (flags & LINUX_MSG_EXCEPT) || type < 0))
		return -LINUX_EINVAL;
	ret = msg_receive(task, id, size, type, flags, &got, &text);
	if (ret < 0)
		return ret;
	if (put_guest(task, msg, &got) != 0 || copy_to_guest(task, gva_add(msg, sizeof(got)), text, (size_t)ret) != 0)
		ret = -LINUX_EFAULT;
	kfree(text);
	return ret;
}

SYSCALL_DEFINE3(msgctl, int32_t, id, int, cmd, gva_t, buf)
{
	struct linux_msqid_ds ds;
	struct linux_msginfo info;
	int64_t ret;

	if (id < 0 || cmd < 0)
		return -LINUX_EINVAL;
	switch (cmd) {
	case LINUX_IPC_INFO:
	case LINUX_MSG_INFO:
		ret = msg_info(cmd, &info);
		return put_guest(task, buf, &info) != 0 ? -LINUX_EFAULT : ret;
	case LINUX_IPC_STAT:
	case LINUX_MSG_STAT:
	case LINUX_MSG_STAT_ANY:
		ret = msg_stat(task, id, cmd, &ds);
		return ret >= 0 && put_guest(task, buf, &ds) != 0 ? -LINUX_EFAULT : ret;
	case LINUX_IPC_SET:
		return get_guest(task, &ds, buf) != 0 ? -LINUX_EFAULT : msg_set(task, id, &ds);
	case LINUX_IPC_RMID:
		return msg_remove(task, id);
	default:
		return -LINUX_EINVAL;
	}
}
