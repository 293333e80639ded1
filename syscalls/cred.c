/* SPDX-License-Identifier: Apache-2.0 */
/* User and group ids, groups, capabilities (credentials(7), capabilities(7)); the rules are sentry/kernel/cred.c's. */
#include "sentry/abi/capability.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/ids.h"
#include "sentry/kernel/task.h"
#include "syscalls/define.h"

#include <string.h>

SYSCALL_DEFINE0(getuid)
{
	return task->cred->uid;
}

SYSCALL_DEFINE0(geteuid)
{
	return task->cred->euid;
}

SYSCALL_DEFINE0(getgid)
{
	return task->cred->gid;
}

SYSCALL_DEFINE0(getegid)
{
	return task->cred->egid;
}

static int put_three(struct task *task, gva_t a, uint32_t x, gva_t b, uint32_t y, gva_t c, uint32_t z)
{
	if (put_guest(task, a, &x) || put_guest(task, b, &y))
		return -LINUX_EFAULT;
	return put_guest(task, c, &z);
}

SYSCALL_DEFINE3(getresuid, gva_t, ruid, gva_t, euid, gva_t, suid)
{
	const struct cred *c = task->cred;

	return put_three(task, ruid, c->uid, euid, c->euid, suid, c->suid);
}

SYSCALL_DEFINE3(getresgid, gva_t, rgid, gva_t, egid, gva_t, sgid)
{
	const struct cred *c = task->cred;

	return put_three(task, rgid, c->gid, egid, c->egid, sgid, c->sgid);
}

SYSCALL_DEFINE1(setuid, uint32_t, uid)
{
	return cred_setuid(task, uid);
}

SYSCALL_DEFINE1(setgid, uint32_t, gid)
{
	return cred_setgid(task, gid);
}

SYSCALL_DEFINE2(setreuid, uint32_t, ruid, uint32_t, euid)
{
	return cred_setreuid(task, ruid, euid);
}

SYSCALL_DEFINE2(setregid, uint32_t, rgid, uint32_t, egid)
{
	return cred_setregid(task, rgid, egid);
}

SYSCALL_DEFINE3(setresuid, uint32_t, ruid, uint32_t, euid, uint32_t, suid)
{
	return cred_setresuid(task, ruid, euid, suid);
}

SYSCALL_DEFINE3(setresgid, uint32_t, rgid, uint32_t, egid, uint32_t, sgid)
{
	return cred_setresgid(task, rgid, egid, sgid);
}

SYSCALL_DEFINE1(setfsuid, uint32_t, uid)
{
	return cred_setfsuid(task, uid);
}

SYSCALL_DEFINE1(setfsgid, uint32_t, gid)
{
	return cred_setfsgid(task, gid);
}

SYSCALL_DEFINE2(getgroups, int, size, gva_t, list)
{
	const struct cred *c = task->cred;

	if (size < 0)
		return -LINUX_EINVAL;
	if (size != 0) {
		if (c->ngroups > (uint32_t)size)
			return -LINUX_EINVAL;
		if (c->ngroups != 0 && copy_to_guest(task, list, c->groups, c->ngroups * sizeof(*c->groups)))
			return -LINUX_EFAULT;
	}
	return c->ngroups;
}

SYSCALL_DEFINE2(setgroups, int, size, gva_t, list)
{
	kgid_t *groups = NULL;
	int err = 0, i;

	if (!task_capable(task, LINUX_CAP_SETGID))
		return -LINUX_EPERM;
	if (size < 0 || size > LINUX_NGROUPS_MAX)
		return -LINUX_EINVAL;
	if (size != 0) {
		groups = kcalloc((size_t)size, sizeof(*groups));
		if (groups == NULL)
			return -LINUX_ENOMEM;
		err = copy_from_guest(task, groups, list, (size_t)size * sizeof(*groups));
	}
	for (i = 0; !err && i < size; i++)
		if (!gid_mapped(groups[i]))
			err = -LINUX_EINVAL;
	if (!err)
		err = cred_setgroups(task, groups, (uint32_t)size);
	kfree(groups);
	return err;
}

/* ---- capget, capset ---- */

struct cap_header {
	uint32_t version;
	int32_t pid;
};
struct cap_data {
	uint32_t effective, permitted, inheritable;
};
#define CAP_VERSION_1 0x19980330U
#define CAP_VERSION_2 0x20071026U
#define CAP_VERSION_3 0x20080522U

/* Reads the header; *n is the number of 32-bit halves. An unknown version is answered with ours. */
static int read_header(struct task *task, gva_t header, struct cap_header *h, unsigned *n)
{
	const uint32_t ours = CAP_VERSION_3;

	if (get_guest(task, h, header))
		return -LINUX_EFAULT;
	switch (h->version) {
	case CAP_VERSION_1:
		*n = 1;
		return 0;
	case CAP_VERSION_2:
	case CAP_VERSION_3:
		*n = 2;
		return 0;
	default:
		return put_guest(task, header, &ours) ? -LINUX_EFAULT : -LINUX_EINVAL;
	}
}

SYSCALL_DEFINE2(capget, gva_t, header, gva_t, data)
{
	struct cap_data d[2];
	struct cap_header h;
	struct task *t = task;
	const struct cred *c;
	unsigned n, i;
	int err = read_header(task, header, &h, &n);

	if (err == -LINUX_EINVAL && data.v == 0)
		return 0; /* that is how one asks for the version */
	if (err)
		return err;
	if (h.pid < 0)
		return -LINUX_EINVAL;
	if (h.pid != 0)
		t = task_find(h.pid);
	if (t == NULL)
		return -LINUX_ESRCH;
	if (data.v == 0)
		return 0;
	c = t->cred;
	for (i = 0; i < 2; i++) {
		d[i].effective = (uint32_t)(c->cap_effective >> (32 * i));
		d[i].permitted = (uint32_t)(c->cap_permitted >> (32 * i));
		d[i].inheritable = (uint32_t)(c->cap_inheritable >> (32 * i));
	}
	return copy_to_guest(task, data, d, n * sizeof(*d));
}

SYSCALL_DEFINE2(capset, gva_t, header, gva_t, data)
{
	struct cap_data d[2];
	struct cap_header h;
	unsigned n;
	int err = read_header(task, header, &h, &n);

	if (err)
		return err;
	if (h.pid != 0 && h.pid != task->tid)
		return -LINUX_EPERM;
	memset(d, 0, sizeof(d));
	if (copy_from_guest(task, d, data, n * sizeof(*d)))
		return -LINUX_EFAULT;
	return cred_capset(task, d[0].effective | (uint64_t)d[1].effective << 32,
			   d[0].permitted | (uint64_t)d[1].permitted << 32,
			   d[0].inheritable | (uint64_t)d[1].inheritable << 32);
}
