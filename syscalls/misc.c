/* SPDX-License-Identifier: Apache-2.0 */
/* Calls about the whole system: uname, sysinfo, getrandom, ustat, sysfs. Names can't be set (as in a container). */
#include "syscalls/define.h"

#include "sentry/abi/misc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/usage.h"
#include "sentry/kernel/uts.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

SYSCALL_DEFINE1(uname, gva_t, buf)
{
	struct linux_utsname u;

	memset(&u, 0, sizeof(u));
	strcpy(u.sysname, UTS_SYSNAME);
	strcpy(u.release, UTS_RELEASE);
	strcpy(u.version, UTS_VERSION);
	strcpy(u.machine, UTS_MACHINE);
	memcpy(u.nodename, kernel.hostname, sizeof(u.nodename));
	memcpy(u.domainname, kernel.domainname, sizeof(u.domainname));
	if (task->personality & 0x0020000) /* UNAME26 */
		strcpy(u.release, "2.6.66");
	if ((task->personality & 0xff) == 0x0008) /* PER_LINUX32 */
		strcpy(u.machine, "i686");
	return put_guest(task, buf, &u);
}

SYSCALL_DEFINE1(sysinfo, gva_t, info)
{
	struct linux_sysinfo s;
	struct memory_usage m;
	uint32_t load[3];
	unsigned i;

	memset(&s, 0, sizeof(s));
	usage_memory(&m);
	usage_load(load);
	s.uptime = (int64_t)((host_clock_ns(CLOCK_BOOTTIME) + NSEC_PER_SEC - 1) / NSEC_PER_SEC);
	for (i = 0; i < 3; i++)
		s.loads[i] = load[i];
	s.totalram = m.total;
	s.freeram = m.free;
	s.sharedram = m.files + mm_shared_bytes();
	s.procs = (uint16_t)MIN(kernel.ntasks, 65535U);
	s.mem_unit = 1;
	return put_guest(task, info, &s);
}

/* Always ready: the host's generator was long before us. */
SYSCALL_DEFINE3(getrandom, gva_t, buf, uint64_t, len, uint32_t, flags)
{
	uint8_t chunk[256];
	uint64_t done = 0;

	if (flags & ~(LINUX_GRND_NONBLOCK | LINUX_GRND_RANDOM | LINUX_GRND_INSECURE))
		return -LINUX_EINVAL;
	if ((flags & (LINUX_GRND_INSECURE | LINUX_GRND_RANDOM)) == (LINUX_GRND_INSECURE | LINUX_GRND_RANDOM))
		return -LINUX_EINVAL;
	if (len > INT32_MAX)
		len = INT32_MAX;
	while (done < len) {
		size_t want = MIN(len - done, sizeof(chunk)), n;

		if (host_getrandom(chunk, want) < 0)
			return done != 0 ? (int64_t)done : -LINUX_EIO;
		n = copy_to_guest_partial(task, gva_add(buf, done), chunk, want);
		done += n;
		if (n < want)
			return done != 0 ? (int64_t)done : -LINUX_EFAULT;
		if ((done & (MiB - 1)) == 0)
			task_yield(task);
		if ((done & (PAGE_SIZE - 1)) == 0 && signal_pending(task))
			break;
	}
	return (int64_t)done;
}

SYSCALL_DEFINE2(ustat, uint32_t, dev, gva_t, buf)
{
	struct linux_statfs st;
	struct linux_ustat u;
	struct mount *m;

	list_for_each(m, &mount_list, link) {
		struct path path = {.mount = m, .dentry = m->root};
		int err;

		if (m->sb->dev != dev)
			continue;
		path_get(&path);
		err = vfs_statfs(task, &path, &st);
		path_put(&path);
		if (err != 0)
			return err;
		memset(&u, 0, sizeof(u));
		u.tfree = (int32_t)st.bfree;
		u.tinode = st.ffree;
		return put_guest(task, buf, &u);
	}
	return -LINUX_EINVAL;
}

/* The filesystems in /proc/filesystems, by number. */
SYSCALL_DEFINE3(sysfs, int, option, uint64_t, arg1, gva_t, arg2)
{
	static const char *const names[] = {"sysfs", "tmpfs", "proc", "cgroup2", "devpts", "mqueue", "overlay"};
	char name[64];
	int64_t len;
	unsigned i;

	switch (option) {
	case 1:
		len = copy_string_from_guest(task, name, GVA(arg1), sizeof(name));
		if (len < 0)
			return len == -LINUX_EFAULT ? -LINUX_EFAULT : -LINUX_EINVAL;
		for (i = 0; i < ARRAY_LEN(names); i++)
			if (strcmp(names[i], name) == 0)
				return i;
		return -LINUX_EINVAL;
	case 2:
		if (arg1 >= ARRAY_LEN(names))
			return -LINUX_EINVAL;
		return copy_to_guest(task, arg2, names[arg1], strlen(names[arg1]) + 1);
	case 3:
		return ARRAY_LEN(names);
	default:
		return -LINUX_EINVAL;
	}
}
