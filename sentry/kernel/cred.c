/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials: user and group ids, capabilities, and how they change (credentials(7), capabilities(7)).
 *
 * A cred is immutable once a task has it: every change copies it, checks, alters the copy, and installs it with
 * task_set_cred. Open files keep the opener's.
 *
 * There is one user namespace, so ids are what the guest sees; those that its mappings don't have can't be had (ids.h). What it
 * may do with capabilities is bounded by what the sentry lets anybody do: none of them reaches the host.
 *
 * Left out: file capabilities (security.capability attributes give nothing), user namespaces.
 */
#include "sentry/kernel/cred.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/ids.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/platform.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

#include <stdlib.h>
#include <string.h>

/* What a change of fsuid gives and takes. */
#define CAP_FS_SET                                                                                                     \
	(LINUX_CAP_BIT(LINUX_CAP_CHOWN) | LINUX_CAP_BIT(LINUX_CAP_MKNOD) | LINUX_CAP_BIT(LINUX_CAP_DAC_OVERRIDE) |     \
	 LINUX_CAP_BIT(LINUX_CAP_DAC_READ_SEARCH) | LINUX_CAP_BIT(LINUX_CAP_FOWNER) |                                  \
	 LINUX_CAP_BIT(LINUX_CAP_FSETID) | LINUX_CAP_BIT(LINUX_CAP_LINUX_IMMUTABLE) |                                  \
	 LINUX_CAP_BIT(LINUX_CAP_MAC_OVERRIDE))
#define SECURE_ALL_BITS 0x55U
#define SECURE_ALL_LOCKS (SECURE_ALL_BITS << 1)

struct cred *cred_new(kuid_t uid, kgid_t gid)
{
	struct cred *c = kzalloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	ref_init(&c->ref);
	c->uid = c->euid = c->suid = c->fsuid = uid;
	c->gid = c->egid = c->sgid = c->fsgid = gid;
	return c;
}

struct cred *cred_dup(const struct cred *old)
{
	struct cred *c = kmalloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	*c = *old;
	ref_init(&c->ref);
	c->groups = NULL;
	c->ngroups = 0;
	if (cred_set_groups(c, old->groups, old->ngroups) != 0) {
		kfree(c);
		return NULL;
	}
	return c;
}

void cred_put(struct cred *c)
{
	if (c == NULL || !ref_put(&c->ref))
		return;
	kfree(c->groups);
	kfree(c);
}

static int gid_cmp(const void *a, const void *b)
{
	kgid_t x = *(const kgid_t *)a, y = *(const kgid_t *)b;

	return x < y ? -1 : x > y;
}

int cred_set_groups(struct cred *c, const kgid_t *groups, uint32_t n)
{
	kgid_t *copy = NULL;

	if (n != 0) {
		copy = kcalloc(n, sizeof(*copy));
		if (copy == NULL)
			return -LINUX_ENOMEM;
		memcpy(copy, groups, n * sizeof(*copy));
		qsort(copy, n, sizeof(*copy), gid_cmp);
	}
	kfree(c->groups);
	c->groups = copy;
	c->ngroups = n;
	return 0;
}

bool cred_in_group(const struct cred *c, kgid_t gid)
{
	return gid == c->fsgid ||
	       (c->ngroups != 0 && bsearch(&gid, c->groups, c->ngroups, sizeof(gid), gid_cmp) != NULL);
}

bool cred_capable(const struct cred *c, int cap)
{
	return (c->cap_effective & LINUX_CAP_BIT(cap)) != 0;
}

void task_set_cred(struct task *task, struct cred *c)
{
	struct cred *old = task->cred;

	/* Whoever had the old rights must not look into, or be told of, what now has others. */
	if (old->euid != c->euid || old->egid != c->egid || old->fsuid != c->fsuid || old->fsgid != c->fsgid ||
	    (c->cap_permitted & ~old->cap_permitted) != 0) {
		task->group->dumpable = false;
		if (task->mm != NULL)
			task->mm->dumpable = false;
		task->pdeath_signal = 0;
	}
	task->cred = c;
	if (task->pt != NULL && platform->forget != NULL)
		platform->forget(task);
	if (task == task_current() && platform->window_drop != NULL)
		platform->window_drop(task, 0);
	cred_put(old);
}

/* ---- ids ---- */

/* What a change of user ids does to capabilities, unless SECBIT_NO_SETUID_FIXUP. */
static void cap_fixup_setuid(struct cred *c, const struct cred *old)
{
	bool had_root = old->uid == 0 || old->euid == 0 || old->suid == 0;
	bool has_root = c->uid == 0 || c->euid == 0 || c->suid == 0;

	if (c->securebits & LINUX_SECBIT_NO_SETUID_FIXUP)
		return;
	if (had_root && !has_root) {
		if (!(c->securebits & LINUX_SECBIT_KEEP_CAPS)) {
			c->cap_permitted = 0;
			c->cap_effective = 0;
		}
		c->cap_ambient = 0;
	}
	if (old->euid == 0 && c->euid != 0)
		c->cap_effective = 0;
	if (old->euid != 0 && c->euid == 0)
		c->cap_effective = c->cap_permitted;
}

static void cap_fixup_fsuid(struct cred *c, const struct cred *old)
{
	if (c->securebits & LINUX_SECBIT_NO_SETUID_FIXUP)
		return;
	if (old->fsuid == 0 && c->fsuid != 0)
		c->cap_effective &= ~CAP_FS_SET;
	if (old->fsuid != 0 && c->fsuid == 0)
		c->cap_effective |= c->cap_permitted & CAP_FS_SET;
}

/* Installs c, whose user ids changed. */
static int finish_uids(struct task *task, struct cred *c)
{
	cap_fixup_setuid(c, task->cred);
	task_set_cred(task, c);
	return 0;
}

static int refuse(struct cred *c, int err)
{
	cred_put(c);
	return err;
}

static bool uid_ok(kuid_t uid)
{
	return uid == CRED_KEEP || uid_mapped(uid);
}

static bool gid_ok(kgid_t gid)
{
	return gid == CRED_KEEP || gid_mapped(gid);
}

int cred_setuid(struct task *task, kuid_t uid)
{
	struct cred *c;

	if (!uid_mapped(uid))
		return -LINUX_EINVAL;
	c = cred_dup(task->cred);
	if (c == NULL)
		return -LINUX_ENOMEM;
	if (task_capable(task, LINUX_CAP_SETUID))
		c->uid = c->suid = uid;
	else if (uid != c->uid && uid != c->suid)
		return refuse(c, -LINUX_EPERM);
	c->euid = c->fsuid = uid;
	return finish_uids(task, c);
}

int cred_setgid(struct task *task, kgid_t gid)
{
	struct cred *c;

	if (!gid_mapped(gid))
		return -LINUX_EINVAL;
	c = cred_dup(task->cred);
	if (c == NULL)
		return -LINUX_ENOMEM;
	if (task_capable(task, LINUX_CAP_SETGID))
		c->gid = c->sgid = gid;
	else if (gid != c->gid && gid != c->sgid)
		return refuse(c, -LINUX_EPERM);
	c->egid = c->fsgid = gid;
	task_set_cred(task, c);
	return 0;
}

int cred_setreuid(struct task *task, kuid_t ruid, kuid_t euid)
{
	const struct cred *old = task->cred;
	bool cap = task_capable(task, LINUX_CAP_SETUID);
	struct cred *c;

	if (!uid_ok(ruid) || !uid_ok(euid))
		return -LINUX_EINVAL;
	c = cred_dup(old);
	if (c == NULL)
		return -LINUX_ENOMEM;
	if (ruid != CRED_KEEP) {
		c->uid = ruid;
		if (ruid != old->uid && ruid != old->euid && !cap)
			return refuse(c, -LINUX_EPERM);
	}
	if (euid != CRED_KEEP) {
		c->euid = euid;
		if (euid != old->uid && euid != old->euid && euid != old->suid && !cap)
			return refuse(c, -LINUX_EPERM);
	}
	if (ruid != CRED_KEEP || (euid != CRED_KEEP && euid != old->uid))
		c->suid = c->euid;
	c->fsuid = c->euid;
	return finish_uids(task, c);
}

int cred_setregid(struct task *task, kgid_t rgid, kgid_t egid)
{
	const struct cred *old = task->cred;
	bool cap = task_capable(task, LINUX_CAP_SETGID);
	struct cred *c;

	if (!gid_ok(rgid) || !gid_ok(egid))
		return -LINUX_EINVAL;
	c = cred_dup(old);
	if (c == NULL)
		return -LINUX_ENOMEM;
	if (rgid != CRED_KEEP) {
		c->gid = rgid;
		if (rgid != old->gid && rgid != old->egid && !cap)
			return refuse(c, -LINUX_EPERM);
	}
	if (egid != CRED_KEEP) {
		c->egid = egid;
		if (egid != old->gid && egid != old->egid && egid != old->sgid && !cap)
			return refuse(c, -LINUX_EPERM);
	}
	if (rgid != CRED_KEEP || (egid != CRED_KEEP && egid != old->gid))
		c->sgid = c->egid;
	c->fsgid = c->egid;
	task_set_cred(task, c);
	return 0;
}

static bool one_of(uint32_t id, uint32_t a, uint32_t b, uint32_t c)
{
	return id == CRED_KEEP || id == a || id == b || id == c;
}

int cred_setresuid(struct task *task, kuid_t ruid, kuid_t euid, kuid_t suid)
{
	const struct cred *old = task->cred;
	struct cred *c;

	if (!uid_ok(ruid) || !uid_ok(euid) || !uid_ok(suid))
		return -LINUX_EINVAL;
	if (!task_capable(task, LINUX_CAP_SETUID) &&
	    !(one_of(ruid, old->uid, old->euid, old->suid) && one_of(euid, old->uid, old->euid, old->suid) &&
	      one_of(suid, old->uid, old->euid, old->suid)))
		return -LINUX_EPERM;
	c = cred_dup(old);
	if (c == NULL)
		return -LINUX_ENOMEM;
	c->uid = ruid != CRED_KEEP ? ruid : c->uid;
	c->euid = euid != CRED_KEEP ? euid : c->euid;
	c->suid = suid != CRED_KEEP ? suid : c->suid;
	c->fsuid = c->euid;
	return finish_uids(task, c);
}

int cred_setresgid(struct task *task, kgid_t rgid, kgid_t egid, kgid_t sgid)
{
	const struct cred *old = task->cred;
	struct cred *c;

	if (!gid_ok(rgid) || !gid_ok(egid) || !gid_ok(sgid))
		return -LINUX_EINVAL;
	if (!task_capable(task, LINUX_CAP_SETGID) &&
	    !(one_of(rgid, old->gid, old->egid, old->sgid) && one_of(egid, old->gid, old->egid, old->sgid) &&
	      one_of(sgid, old->gid, old->egid, old->sgid)))
		return -LINUX_EPERM;
	c = cred_dup(old);
	if (c == NULL)
		return -LINUX_ENOMEM;
	c->gid = rgid != CRED_KEEP ? rgid : c->gid;
	c->egid = egid != CRED_KEEP ? egid : c->egid;
	c->sgid = sgid != CRED_KEEP ? sgid : c->sgid;
	c->fsgid = c->egid;
	task_set_cred(task, c);
	return 0;
}

/* setfsuid(2) tells no error: the caller asks again to see whether it worked. */
kuid_t cred_setfsuid(struct task *task, kuid_t uid)
{
	const struct cred *old = task->cred;
	kuid_t was = old->fsuid;
	struct cred *c;

	if (!uid_mapped(uid) || uid == was)
		return was;
	if (uid != old->uid && uid != old->euid && uid != old->suid && !task_capable(task, LINUX_CAP_SETUID))
		return was;
	c = cred_dup(old);
	if (c == NULL)
		return was;
	c->fsuid = uid;
	cap_fixup_fsuid(c, old);
	task_set_cred(task, c);
	return was;
}

kgid_t cred_setfsgid(struct task *task, kgid_t gid)
{
	const struct cred *old = task->cred;
	kgid_t was = old->fsgid;
	struct cred *c;

	if (!gid_mapped(gid) || gid == was)
		return was;
	if (gid != old->gid && gid != old->egid && gid != old->sgid && !task_capable(task, LINUX_CAP_SETGID))
		return was;
	c = cred_dup(old);
	if (c == NULL)
		return was;
	c->fsgid = gid;
	task_set_cred(task, c);
	return was;
}

int cred_setgroups(struct task *task, const kgid_t *groups, uint32_t n)
{
	struct cred *c = cred_dup(task->cred);

	if (c == NULL)
		return -LINUX_ENOMEM;
	if (cred_set_groups(c, groups, n) != 0)
		return refuse(c, -LINUX_ENOMEM);
	task_set_cred(task, c);
	return 0;
}

/* ---- capabilities ---- */

int cred_capset(struct task *task, uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	const struct cred *old = task->cred;
	struct cred *c;

	effective &= LINUX_CAP_ALL;
	permitted &= LINUX_CAP_ALL;
	inheritable &= LINUX_CAP_ALL;
	if (!task_capable(task, LINUX_CAP_SETPCAP) && (inheritable & ~(old->cap_inheritable | old->cap_permitted)) != 0)
		return -LINUX_EPERM;
	if ((inheritable & ~(old->cap_inheritable | old->cap_bounding)) != 0 ||
	    (permitted & ~old->cap_permitted) != 0 || (effective & ~permitted) != 0)
		return -LINUX_EPERM;
	c = cred_dup(old);
	if (c == NULL)
		return -LINUX_ENOMEM;
	c->cap_effective = effective;
	c->cap_permitted = permitted;
	c->cap_inheritable = inheritable;
	c->cap_ambient &= permitted & inheritable;
	task_set_cred(task, c);
	return 0;
}

int cred_drop_bounding(struct task *task, uint64_t cap)
{
	struct cred *c;

	if (!task_capable(task, LINUX_CAP_SETPCAP))
		return -LINUX_EPERM;
	if (cap > LINUX_CAP_LAST)
		return -LINUX_EINVAL;
	c = cred_dup(task->cred);
	if (c == NULL)
		return -LINUX_ENOMEM;
	c->cap_bounding &= ~LINUX_CAP_BIT(cap);
	task_set_cred(task, c);
	return 0;
}

int cred_set_securebits(struct task *task, uint64_t bits)
{
	uint32_t old = task->cred->securebits;
	struct cred *c;

	if ((((old & SECURE_ALL_LOCKS) >> 1) & (old ^ bits)) != 0 || (old & SECURE_ALL_LOCKS & ~bits) != 0 ||
	    (bits & ~(uint64_t)(SECURE_ALL_LOCKS | SECURE_ALL_BITS)) != 0 || !task_capable(task, LINUX_CAP_SETPCAP))
		return -LINUX_EPERM;
	c = cred_dup(task->cred);
	if (c == NULL)
		return -LINUX_ENOMEM;
	c->securebits = (uint32_t)bits;
	task_set_cred(task, c);
	return 0;
}

int cred_set_keepcaps(struct task *task, bool on)
{
	struct cred *c;

	if (task->cred->securebits & (LINUX_SECBIT_KEEP_CAPS << 1))
		return -LINUX_EPERM;
	c = cred_dup(task->cred);
	if (c == NULL)
		return -LINUX_ENOMEM;
	c->securebits &= ~LINUX_SECBIT_KEEP_CAPS;
	if (on)
		c->securebits |= LINUX_SECBIT_KEEP_CAPS;
	task_set_cred(task, c);
	return 0;
}

int cred_ambient(struct task *task, uint64_t op, uint64_t cap)
{
	enum { IS_SET = 1, RAISE, LOWER, CLEAR_ALL };
	const struct cred *old = task->cred;
	struct cred *c;
	uint64_t bit;

	if (op == CLEAR_ALL ? cap != 0 : cap > LINUX_CAP_LAST)
		return -LINUX_EINVAL;
	bit = LINUX_CAP_BIT(cap);
	if (op == IS_SET)
		return (old->cap_ambient & bit) != 0;
	if (op != RAISE && op != LOWER && op != CLEAR_ALL)
		return -LINUX_EINVAL;
	if (op == RAISE && (!(old->cap_permitted & bit) || !(old->cap_inheritable & bit) ||
			    (old->securebits & LINUX_SECBIT_NO_CAP_AMBIENT_RAISE)))
		return -LINUX_EPERM;
	c = cred_dup(old);
	if (c == NULL)
		return -LINUX_ENOMEM;
	if (op == RAISE)
		c->cap_ambient |= bit;
	else
		c->cap_ambient &= op == LOWER ? ~bit : 0;
	task_set_cred(task, c);
	return 0;
}

/* ---- execve ---- */

/* Set-user-ID and set-group-ID bits of the program, where they count. */
static void exec_setid_bits(const struct task *task, const struct file *exe, struct cred *c)
{
	const struct inode *inode = exe->inode;
	const uint32_t sgid_exec = LINUX_S_ISGID | 010;

	if (task->no_new_privs || inode == NULL ||
	    (exe->path.mount != NULL && (exe->path.mount->flags & LINUX_MS_NOSUID)) || !uid_mapped(inode->uid) || !gid_mapped(inode->gid))
		return;
	if (inode->mode & LINUX_S_ISUID)
		c->euid = inode->uid;
	/* Without the group's execute bit it used to mean mandatory locking. */
	if ((inode->mode & sgid_exec) == sgid_exec)
		c->egid = inode->gid;
}

int cred_for_exec(struct task *task, struct file *exe, struct cred **out, bool *secure)
{
	const struct cred *old = task->cred;
	struct cred *c = cred_dup(old);
	bool effective = false, setid;

	if (c == NULL)
		return -LINUX_ENOMEM;
	c->euid = old->euid;
	c->egid = old->egid;
	exec_setid_bits(task, exe, c);
	c->cap_permitted = 0;
	if (!(c->securebits & LINUX_SECBIT_NOROOT) && (c->euid == 0 || c->uid == 0)) {
		c->cap_permitted = c->cap_bounding | c->cap_inheritable;
		effective = c->euid == 0;
	}
	setid = c->euid != old->uid || c->egid != old->gid;
	/* Nothing may be gained once no_new_privs is set. */
	if (task->no_new_privs && (setid || (c->cap_permitted & ~old->cap_permitted) != 0)) {
		c->euid = c->uid;
		c->egid = c->gid;
		c->cap_permitted &= old->cap_permitted;
	}
	c->suid = c->fsuid = c->euid;
	c->sgid = c->fsgid = c->egid;
	if (setid)
		c->cap_ambient = 0;
	c->cap_permitted |= c->cap_ambient;
	c->cap_effective = effective ? c->cap_permitted : c->cap_ambient;
	c->securebits &= ~LINUX_SECBIT_KEEP_CAPS;
	*secure = setid || (c->uid != 0 && (effective || (c->cap_permitted & ~c->cap_ambient) != 0));
	*out = c;
	return 0;
}
