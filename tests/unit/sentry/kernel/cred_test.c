/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials: who may become whom, and what capabilities make of it. */
#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/platform/platform.h"
#include "sentry/vfs/vfs.h"

#include <criterion/criterion.h>
#include <string.h>

static struct thread_group group;
static struct task task;
static struct inode inode;
static struct file exe;

static void become(kuid_t uid, uint64_t caps)
{
	struct cred *c = cred_new(uid, uid);

	cr_assert_not_null(c);
	c->cap_permitted = c->cap_effective = caps;
	c->cap_bounding = LINUX_CAP_ALL;
	task.cred = c;
}

static void setup(void)
{
	static const struct platform_ops none;

	platform = &none;
	memset(&task, 0, sizeof(task));
	memset(&group, 0, sizeof(group));
	task.group = &group;
	inode.mode = LINUX_S_IFREG | 0755;
	exe.inode = &inode;
}

TestSuite(cred, .init = setup);

static void check_uids(kuid_t r, kuid_t e, kuid_t s)
{
	cr_assert_eq(task.cred->uid, r);
	cr_assert_eq(task.cred->euid, e);
	cr_assert_eq(task.cred->suid, s);
	cr_assert_eq(task.cred->fsuid, e);
}

Test(cred, root_gives_everything_up_by_setuid)
{
	become(0, LINUX_CAP_ALL);
	cr_assert_eq(cred_setuid(&task, 5), 0);
	check_uids(5, 5, 5);
	cr_assert_eq(task.cred->cap_permitted, 0);
	cr_assert_eq(cred_setuid(&task, 0), -LINUX_EPERM);
}

Test(cred, seteuid_goes_there_and_back)
{
	become(0, LINUX_CAP_ALL);
	cr_assert_eq(cred_setresuid(&task, CRED_KEEP, 5, CRED_KEEP), 0);
	check_uids(0, 5, 0);
	cr_assert_eq(task.cred->cap_effective, 0);
	cr_assert_eq(task.cred->cap_permitted, LINUX_CAP_ALL);
	cr_assert_eq(cred_setresuid(&task, CRED_KEEP, 0, CRED_KEEP), 0);
	cr_assert_eq(task.cred->cap_effective, LINUX_CAP_ALL);
}

Test(cred, keep_caps_keeps_the_permitted_set)
{
	become(0, LINUX_CAP_ALL);
	cr_assert_eq(cred_set_keepcaps(&task, true), 0);
	cr_assert_eq(cred_setresuid(&task, 5, 5, 5), 0);
	cr_assert_eq(task.cred->cap_permitted, LINUX_CAP_ALL);
	cr_assert_eq(task.cred->cap_effective, 0);
}

Test(cred, setreuid_swaps_and_sets_the_saved_id)
{
	become(5, 0);
	task.cred->euid = task.cred->fsuid = 6;
	cr_assert_eq(cred_setreuid(&task, 6, 5), 0);
	check_uids(6, 5, 5);
	cr_assert_eq(cred_setreuid(&task, 7, CRED_KEEP), -LINUX_EPERM);
}

Test(cred, capset_can_only_reduce)
{
	become(5, LINUX_CAP_BIT(3));
	cr_assert_eq(cred_capset(&task, 0, LINUX_CAP_BIT(3), 0), 0);
	cr_assert_eq(cred_capset(&task, LINUX_CAP_BIT(3), LINUX_CAP_BIT(3), LINUX_CAP_BIT(3)), 0);
	cr_assert_eq(cred_capset(&task, 0, LINUX_CAP_BIT(4), 0), -LINUX_EPERM);
	cr_assert_eq(cred_capset(&task, LINUX_CAP_BIT(3), 0, 0), -LINUX_EPERM);
}

Test(cred, ambient_capabilities_survive_exec)
{
	struct cred *c;
	bool secure;

	become(5, LINUX_CAP_BIT(3));
	cr_assert_eq(cred_ambient(&task, 2, 3), -LINUX_EPERM);
	cr_assert_eq(cred_capset(&task, 0, LINUX_CAP_BIT(3), LINUX_CAP_BIT(3)), 0);
	cr_assert_eq(cred_ambient(&task, 2, 3), 0);
	cr_assert_eq(cred_for_exec(&task, &exe, &c, &secure), 0);
	cr_assert_eq(c->cap_effective, LINUX_CAP_BIT(3));
	cr_assert_not(secure);
}

Test(cred, setuid_root_programs_gain_unless_forbidden)
{
	struct cred *c;
	bool secure;

	become(5, 0);
	inode.mode |= LINUX_S_ISUID;
	inode.uid = 0;
	cr_assert_eq(cred_for_exec(&task, &exe, &c, &secure), 0);
	cr_assert_eq(c->uid, 5);
	cr_assert_eq(c->euid, 0);
	cr_assert_eq(c->suid, 0);
	cr_assert_eq(c->cap_effective, LINUX_CAP_ALL);
	cr_assert(secure);
	task.no_new_privs = true;
	cr_assert_eq(cred_for_exec(&task, &exe, &c, &secure), 0);
	cr_assert_eq(c->euid, 5);
	cr_assert_eq(c->cap_permitted, 0);
	cr_assert_not(secure);
}

Test(cred, root_regains_its_bounding_set_by_exec)
{
	struct cred *c;
	bool secure;

	become(0, 0);
	task.cred->cap_bounding = LINUX_CAP_BIT(7) | LINUX_CAP_BIT(9);
	cr_assert_eq(cred_for_exec(&task, &exe, &c, &secure), 0);
	cr_assert_eq(c->cap_effective, LINUX_CAP_BIT(7) | LINUX_CAP_BIT(9));
	cr_assert_not(secure);
}

Test(cred, groups_are_found_by_search)
{
	static const kgid_t groups[] = {9, 3, 7, 100000};

	become(5, 0);
	cr_assert_eq(cred_setgroups(&task, groups, 4), 0);
	cr_assert(cred_in_group(task.cred, 5));
	cr_assert(cred_in_group(task.cred, 100000));
	cr_assert(cred_in_group(task.cred, 3));
	cr_assert_not(cred_in_group(task.cred, 4));
	cr_assert_eq(task.cred->groups[0], 3);
}
