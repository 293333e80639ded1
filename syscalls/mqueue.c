/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX message queues: see sentry/fs/mqueue.c. */
#include "syscalls/define.h"

#include "sentry/abi/fs.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/mqueue.h"
#include "sentry/host/host.h"
#include "sentry/kernel/ipc.h"
#include "sentry/vfs/vfs.h"

#include <time.h>

/* An absolute time of the wall clock to the loop's; a null pointer means no end. 0 or -errno. */
static int absolute_deadline(struct task *task, gva_t timeout, uint64_t *deadline)
{
	uint64_t real = host_clock_ns(CLOCK_REALTIME), mono = host_clock_ns(CLOCK_MONOTONIC), at;
	struct linux_timespec ts;

	*deadline = WAIT_FOREVER;
	if (timeout.v == 0)
		return 0;
	if (get_guest(task, &ts, timeout) != 0)
		return -LINUX_EFAULT;
	if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= (int64_t)NSEC_PER_SEC)
		return -LINUX_EINVAL;
	if (ts.sec > 10000000000)
		return 0;
	at = (uint64_t)ts.sec * NSEC_PER_SEC + (uint64_t)ts.nsec;
	*deadline = at > real ? mono + (at - real) : mono;
	return 0;
}

SYSCALL_DEFINE4(mq_open, gva_t, guest_name, int, flags, uint32_t, mode, gva_t, guest_attr)
{
	struct linux_mq_attr attr;
	struct file *file;
	char *name;
	int err;

	if (guest_attr.v != 0 && get_guest(task, &attr, guest_attr) != 0)
		return -LINUX_EFAULT;
	err = copy_path_from_guest(task, guest_name, &name);
	if (err != 0)
		return err;
	err = mq_open_file(task, name, (uint32_t)flags, mode, guest_attr.v != 0 ? &attr : NULL, &file);
	kfree(name);
	if (err != 0)
		return err;
	return fd_install(task, file, 0, true);
}

SYSCALL_DEFINE1(mq_unlink, gva_t, guest_name)
{
	char *name;
	int err = copy_path_from_guest(task, guest_name, &name);

	if (err != 0)
		return err;
	err = mq_remove(task, name);
	kfree(name);
	return err;
}

SYSCALL_DEFINE5(mq_timedsend, int, fd, gva_t, msg, uint64_t, len, uint32_t, prio, gva_t, timeout)
{
	uint64_t deadline;
	struct file *file;
	uint8_t *text;
	int err = absolute_deadline(task, timeout, &deadline);

	if (err != 0)
		return err;
	if (prio >= MQ_PRIO_MAX)
		return -LINUX_EINVAL;
	file = fd_get(task, fd);
	if (file == NULL)
		return -LINUX_EBADF;
	err = mq_check_send(file, len);
	if (err != 0)
		goto put_file;
	text = kmalloc(len + 1);
	err = -LINUX_ENOMEM;
	if (text == NULL)
		goto put_file;
	err = copy_from_guest(task, text, msg, len);
	if (err != 0) {
		kfree(text);
		goto put_file;
	}
	err = mq_send(task, file, text, len, prio, deadline);
put_file:
	file_put(file);
	return err;
}

SYSCALL_DEFINE5(mq_timedreceive, int, fd, gva_t, msg, uint64_t, len, gva_t, guest_prio, gva_t, timeout)
{
	uint64_t deadline;
	struct file *file;
	uint8_t *text;
	uint32_t prio;
	int64_t ret = absolute_deadline(task, timeout, &deadline);

	if (ret != 0)
		return ret;
	file = fd_get(task, fd);
	if (file == NULL)
		return -LINUX_EBADF;
	ret = mq_receive(task, file, len, deadline, &text, &prio);
	file_put(file);
	if (ret < 0)
		return ret;
	if ((guest_prio.v != 0 && put_guest(task, guest_prio, &prio) != 0) ||
	    copy_to_guest(task, msg, text, (size_t)ret) != 0)
		ret = -LINUX_EFAULT;
	kfree(text);
	return ret;
}

SYSCALL_DEFINE2(mq_notify, int, fd, gva_t, guest_event)
{
	struct linux_mq_sigevent ev;
	struct file *file;
	int err;

	if (guest_event.v != 0 && get_guest(task, &ev, guest_event) != 0)
		return -LINUX_EFAULT;
	file = fd_get(task, fd);
	if (file == NULL)
		return -LINUX_EBADF;
	err = mq_set_notify(task, file, guest_event.v != 0 ? &ev : NULL);
	file_put(file);
	return err;
}

SYSCALL_DEFINE3(mq_getsetattr, int, fd, gva_t, guest_new, gva_t, guest_old)
{
	struct linux_mq_attr set, old;
	struct file *file;
	int err;

	if (guest_new.v != 0 && get_guest(task, &set, guest_new) != 0)
		return -LINUX_EFAULT;
	file = fd_get(task, fd);
	if (file == NULL)
		return -LINUX_EBADF;
	err = mq_attributes(file, guest_new.v != 0 ? &set : NULL, &old);
	file_put(file);
	if (err == 0 && guest_old.v != 0)
		err = put_guest(task, guest_old, &old);
	return err;
}
