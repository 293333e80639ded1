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
	uint32_t ngroups;         /* <= LINUX_NGROUPS_MAX */
	kgid_t *groups;           /* sorted; NULL if ngroups is 0 */
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

struct file;
struct task;
/*
 * The credentials a program gets by execve: set-user-ID bits (unless nosuid or no_new_privs), root's capabilities,
 * ambient ones. Returns a reference in *out; *secure is AT_SECURE. 0 or -LINUX_ENOMEM. The caller installs it behind the
 * point of no return by task_set_cred.
 */
int cred_for_exec(struct task *task, struct file *exe, struct cred **out, bool *secure) must_check;
/* Replaces the task's credentials. Takes the reference. */
void task_set_cred(struct task *task, struct cred *c);

#endif
