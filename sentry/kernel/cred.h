/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials: ids, groups, capabilities. Immutable once shared: a change makes a new object (see credentials(7)). */
#ifndef SENTRY_KERNEL_CRED_H
#define SENTRY_KERNEL_CRED_H

#include "sentry/base/ref.h"

typedef uint32_t kuid_t;
typedef uint32_t kgid_t;

struct cred {
	struct ref ref;
	kuid_t uid, euid, suid, fsuid;
	kgid_t gid, egid, sgid, fsgid;
	uint64_t cap_effective, cap_permitted, cap_inheritable, cap_bounding, cap_ambient;
	uint32_t securebits;
	bool all_ids;     /* the sandbox's own work, not a program's: capabilities count whatever ids a file has */
	uint32_t ngroups; /* <= LINUX_NGROUPS_MAX */
	kgid_t *groups;   /* sorted; NULL if ngroups is 0 */
};

/* Returns a reference to a copy, to be changed before it is shared; NULL if memory is out. */
struct cred *cred_dup(const struct cred *c) must_check;
static inline struct cred *cred_get(struct cred *c)
{
	ref_get(&c->ref);
	return c;
}
void cred_put(struct cred *c);
bool cred_in_group(const struct cred *c, kgid_t gid); /* fsgid or a supplementary group */
bool cred_capable(const struct cred *c, int cap);     /* effective; LINUX_CAP_* of abi/capability.h */
/* One with these ids everywhere, no groups, no capabilities; NULL if memory is out. */
struct cred *cred_new(kuid_t uid, kgid_t gid) must_check;
/* Replaces the groups (copied, sorted). 0 or -LINUX_ENOMEM. c must not be shared yet. */
int cred_set_groups(struct cred *c, const kgid_t *groups, uint32_t n) must_check;

#define LINUX_NGROUPS_MAX 65536
#define LINUX_SECBIT_NOROOT 0x1U
#define LINUX_SECBIT_NO_SETUID_FIXUP 0x4U
#define LINUX_SECBIT_KEEP_CAPS 0x10U
#define LINUX_SECBIT_NO_CAP_AMBIENT_RAISE 0x40U

struct file;
struct task;

/*
 * The calls that change credentials: each makes a copy, checks, and installs it. 0 or -LINUX_EPERM, EINVAL, ENOMEM. An
 * id of -1 (CRED_KEEP) stays as it is.
 */
#define CRED_KEEP UINT32_MAX
int cred_setuid(struct task *task, kuid_t uid) must_check;
int cred_setgid(struct task *task, kgid_t gid) must_check;
int cred_setreuid(struct task *task, kuid_t ruid, kuid_t euid) must_check;
int cred_setregid(struct task *task, kgid_t rgid, kgid_t egid) must_check;
int cred_setresuid(struct task *task, kuid_t ruid, kuid_t euid, kuid_t suid) must_check;
int cred_setresgid(struct task *task, kgid_t rgid, kgid_t egid, kgid_t sgid) must_check;
kuid_t cred_setfsuid(struct task *task, kuid_t uid); /* the old one */
kgid_t cred_setfsgid(struct task *task, kgid_t gid);
int cred_setgroups(struct task *task, const kgid_t *groups, uint32_t n) must_check;
int cred_capset(struct task *task, uint64_t effective, uint64_t permitted, uint64_t inheritable) must_check;
int cred_drop_bounding(struct task *task, uint64_t cap) must_check;
int cred_set_securebits(struct task *task, uint64_t bits) must_check;
int cred_set_keepcaps(struct task *task, bool on) must_check;
int cred_ambient(struct task *task, uint64_t op, uint64_t cap) must_check; /* PR_CAP_AMBIENT_*; is-set gives 0 or 1 */

/*
 * The credentials a program gets by execve: set-user-ID bits (unless nosuid or no_new_privs), root's capabilities,
 * ambient ones. Returns a reference in *out; *secure is AT_SECURE. 0 or -LINUX_ENOMEM. The caller installs it behind
 * the point of no return by task_set_cred.
 */
int cred_for_exec(struct task *task, struct file *exe, struct cred **out, bool *secure) must_check;
/* Replaces the task's credentials. Takes the reference. */
void task_set_cred(struct task *task, struct cred *c);

#endif
