// SPDX-License-Identifier: Apache-2.0
/* System V shared memory: see sentry/mm/shm.c. */
#include "sentry/mm/shm.h"

#include "syscalls/define.h"

SYSCALL_DEFINE3(shmget, int32_t, key, uint64_t, size, int, flags)
{
	return shm_get(task, key, size, flags);
}

SYSCALL_DEFINE3(shmat, int, id, uint64_t, addr, int, flags)
{
	return shm_attach(task, id, addr, flags);
}

SYSCALL_DEFINE1(shmdt, uint64_t, addr)
{
	return shm_detach(task, addr);
}

SYSCALL_DEFINE3(shmctl, int, id, int, cmd, gva_t, buf)
{
	struct linux_shmid_ds ds = {0};
	struct linux_shminfo info;
	struct linux_shm_info usage;
	int64_t ret;

	if (cmd < 0 || id < 0)
		return -LINUX_EINVAL;
	switch (cmd) {
	case LINUX_IPC_INFO:
		ret = shm_limits(&info);
		return put_guest(task, buf, &info) ? -LINUX_EFAULT : ret;
	case LINUX_SHM_INFO:
		ret = shm_usage(&usage);
		return put_guest(task, buf, &usage) ? -LINUX_EFAULT : ret;
	case LINUX_IPC_SET:
		if (get_guest(task, &ds, buf) != 0)
			return -LINUX_EFAULT;
		return shm_control(task, id, cmd, &ds);
	case LINUX_IPC_STAT:
	case LINUX_SHM_STAT:
	case LINUX_SHM_STAT_ANY:
		ret = shm_control(task, id, cmd, &ds);
		if (ret >= 0 && put_guest(task, buf, &ds) != 0)
			return -LINUX_EFAULT;
		return ret;
	default:
		return shm_control(task, id, cmd, &ds);
	}
}
