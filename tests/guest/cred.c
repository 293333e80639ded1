/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User and group ids, capabilities, and what keeps them over a change of ids.
 * covers: setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid getgroups setgroups capget capset
 */
#include "t.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>

/* glibc's wrappers change all threads; the calls change one. */
#define SETRESUID(r, e, s) syscall(SYS_setresuid, r, e, s)
#define SETRESGID(r, e, s) syscall(SYS_setresgid, r, e, s)

static void uids_are(uid_t r, uid_t e, uid_t s)
{
	uid_t ids[3];

	CHECK_OK(getresuid(&ids[0], &ids[1], &ids[2]));
	CHECK_EQ(ids[0], r);
	CHECK_EQ(ids[1], e);
	CHECK_EQ(ids[2], s);
}

static void gids_are(gid_t r, gid_t e, gid_t s)
{
	gid_t ids[3];

	CHECK_OK(getresgid(&ids[0], &ids[1], &ids[2]));
	CHECK_EQ(ids[0], r);
	CHECK_EQ(ids[1], e);
	CHECK_EQ(ids[2], s);
}

struct caps {
	uint64_t effective, permitted, inheritable;
};

static struct caps get_caps(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	CHECK_OK(syscall(SYS_capget, &header, data));
	return (struct caps){data[0].effective | (uint64_t)data[1].effective << 32,
			     data[0].permitted | (uint64_t)data[1].permitted << 32,
			     data[0].inheritable | (uint64_t)data[1].inheritable << 32};
}

static long set_caps(struct caps caps)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{caps.effective, caps.permitted, caps.inheritable},
						 {caps.effective >> 32, caps.permitted >> 32, caps.inheritable >> 32}};

	return syscall(SYS_capset, &header, data);
}

#define BIT(cap) (1ull << (cap))

TEST_ALONE(root_sets_all_three_ids_with_setuid)
{
	t_need_root();
	CHECK_OK(syscall(SYS_setgid, 1001));
	gids_are(1001, 1001, 1001);
	CHECK_OK(syscall(SYS_setuid, 1000));
	uids_are(1000, 1000, 1000);
	CHECK_ERR(syscall(SYS_setuid, 0), EPERM);
	CHECK_ERR(syscall(SYS_setgid, 0), EPERM);
	CHECK_OK(syscall(SYS_setuid, 1000));
}

TEST_ALONE(without_privilege_ids_only_move_among_the_three)
{
	t_need_root();
	CHECK_OK(SETRESGID(11, 12, 13));
	CHECK_OK(SETRESUID(1, 2, 3));
	CHECK_ERR(syscall(SYS_setuid, 4), EPERM);
	CHECK_ERR(syscall(SYS_setuid, 0), EPERM);
	CHECK_OK(syscall(SYS_setuid, 3));
	uids_are(1, 3, 3);
	CHECK_OK(SETRESUID(-1, 1, -1));
	uids_are(1, 1, 3);
	CHECK_ERR(SETRESUID(-1, -1, 9), EPERM);
	CHECK_OK(SETRESUID(3, 3, 1));
	uids_are(3, 3, 1);
	CHECK_OK(syscall(SYS_setreuid, -1, 1));
	uids_are(3, 1, 1);
	CHECK_ERR(syscall(SYS_setreuid, 7, -1), EPERM);
	CHECK_OK(syscall(SYS_setregid, 12, 11));
	gids_are(12, 11, 11);
	CHECK_ERR(syscall(SYS_setregid, -1, 99), EPERM);
	CHECK_ERR(SETRESGID(99, -1, -1), EPERM);
	CHECK_OK(SETRESGID(-1, 12, -1));
	gids_are(12, 12, 11);
}

TEST_ALONE(setreuid_moves_the_saved_id_when_the_real_one_changes)
{
	t_need_root();
	CHECK_OK(syscall(SYS_setreuid, -1, 5));
	uids_are(0, 5, 5);
	CHECK_OK(syscall(SYS_setreuid, -1, 0));
	CHECK_OK(syscall(SYS_setreuid, 6, 7));
	uids_are(6, 7, 7);
}

TEST(ids_of_minus_1_leave_everything_and_are_no_ids)
{
	uid_t r, e, s;

	CHECK_OK(getresuid(&r, &e, &s));
	CHECK_OK(SETRESUID(-1, -1, -1));
	CHECK_OK(SETRESGID(-1, -1, -1));
	CHECK_OK(syscall(SYS_setreuid, -1, -1));
	uids_are(r, e, s);
	CHECK_ERR(syscall(SYS_setuid, -1), EINVAL);
	CHECK_ERR(syscall(SYS_setgid, -1), EINVAL);
}

TEST_ALONE(ordinary_users_cannot_become_others)
{
	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(syscall(SYS_setuid, 0), EPERM);
		CHECK_ERR(syscall(SYS_setgid, 0), EPERM);
		CHECK_ERR(SETRESUID(0, 0, 0), EPERM);
		CHECK_ERR(SETRESGID(0, 0, 0), EPERM);
		CHECK_ERR(syscall(SYS_setreuid, 0, 0), EPERM);
		CHECK_ERR(syscall(SYS_setregid, 0, 0), EPERM);
		CHECK_ERR(syscall(SYS_setgroups, 0, NULL), EPERM);
		CHECK_EQ(syscall(SYS_setfsuid, 0), T_NOBODY);
		CHECK_EQ(syscall(SYS_setfsuid, -1), T_NOBODY);
	}
}

TEST_ALONE(groups_are_set_and_read)
{
	gid_t groups[4] = {30, 10, 20, 10}, got[8];

	t_need_root();
	CHECK_OK(syscall(SYS_setgroups, 4, groups));
	CHECK_EQ(syscall(SYS_getgroups, 0, NULL), 4);
	CHECK_EQ(syscall(SYS_getgroups, 8, got), 4);
	CHECK(got[0] == 10 && got[1] == 10 && got[2] == 20 && got[3] == 30);
	CHECK_ERR(syscall(SYS_getgroups, 3, got), EINVAL);
	CHECK_ERR(syscall(SYS_getgroups, -1, got), EINVAL);
	CHECK_ERR(syscall(SYS_getgroups, 8, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_setgroups, 2, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_setgroups, 65537, groups), EINVAL);
	CHECK_ERR(syscall(SYS_setgroups, -1, groups), EINVAL);
	groups[1] = -1;
	CHECK_ERR(syscall(SYS_setgroups, 2, groups), EINVAL);
	CHECK_OK(syscall(SYS_setgroups, 0, NULL));
	CHECK_EQ(syscall(SYS_getgroups, 8, got), 0);
}

TEST_ALONE(groups_are_inherited)
{
	gid_t groups[2] = {100, 200}, got[4];

	t_need_root();
	CHECK_OK(setgroups(2, groups));
	IN_CHILD() {
		CHECK_EQ(getgroups(4, got), 2);
		CHECK_EQ(got[1], 200);
	}
}

TEST_ALONE(fsuid_follows_the_effective_id_and_returns_the_old_one)
{
	t_need_root();
	CHECK_EQ(syscall(SYS_setfsuid, 77), 0);
	CHECK_EQ(syscall(SYS_setfsuid, -1), 77);
	CHECK_OK(SETRESUID(-1, 0, -1));
	CHECK_EQ(syscall(SYS_setfsuid, -1), 0);
	CHECK_EQ(syscall(SYS_setfsgid, 88), 0);
	CHECK_EQ(syscall(SYS_setfsgid, -1), 88);
	CHECK_OK(SETRESGID(-1, 0, -1));
	CHECK_EQ(syscall(SYS_setfsgid, -1), 0);
	CHECK_OK(SETRESUID(0, 55, 0));
	CHECK_EQ(syscall(SYS_setfsuid, -1), 55);
}

TEST_ALONE(leaving_root_drops_capabilities_and_coming_back_restores_the_effective_ones)
{
	struct caps before = get_caps();

	t_need_root();
	CHECK(before.effective != 0);
	CHECK_OK(SETRESUID(0, 1000, 0));
	CHECK_EQ(get_caps().effective, 0);
	CHECK_EQ(get_caps().permitted, before.permitted);
	CHECK_OK(SETRESUID(0, 0, 0));
	CHECK_EQ(get_caps().effective, before.permitted);
	CHECK_OK(SETRESUID(1000, 1000, 1000));
	CHECK_EQ(get_caps().effective, 0);
	CHECK_EQ(get_caps().permitted, 0);
}

TEST_ALONE(keepcaps_keeps_the_permitted_ones)
{
	struct caps before = get_caps();

	t_need_root();
	CHECK_EQ(prctl(PR_GET_KEEPCAPS), 0);
	CHECK_OK(prctl(PR_SET_KEEPCAPS, 1));
	CHECK_EQ(prctl(PR_GET_KEEPCAPS), 1);
	CHECK_OK(SETRESUID(1000, 1000, 1000));
	CHECK_EQ(get_caps().permitted, before.permitted);
	CHECK_EQ(get_caps().effective, 0);
	CHECK_OK(set_caps((struct caps){BIT(CAP_SETUID), before.permitted, 0}));
	CHECK_OK(SETRESUID(0, 0, 0));
	CHECK_ERR(prctl(PR_SET_KEEPCAPS, 2), EINVAL);
}

TEST_ALONE(no_setuid_fixup_leaves_capabilities_alone)
{
	struct caps before = get_caps();

	t_need_root();
	if (!(before.effective & BIT(CAP_SETPCAP)))
		SKIP("needs CAP_SETPCAP");
	CHECK_OK(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP));
	CHECK_EQ(prctl(PR_GET_SECUREBITS), SECBIT_NO_SETUID_FIXUP);
	CHECK_OK(SETRESUID(1000, 1000, 1000));
	CHECK_EQ(get_caps().effective, before.effective);
	CHECK_ERR(prctl(PR_SET_SECUREBITS, 1 << 20), EPERM);
}

TEST_ALONE(capset_only_gives_up)
{
	struct caps caps = get_caps();

	t_need_root();
	caps.effective = caps.permitted = BIT(CAP_KILL) | BIT(CAP_CHOWN);
	CHECK_OK(set_caps(caps));
	CHECK_EQ(get_caps().permitted, caps.permitted);
	caps.effective = BIT(CAP_KILL);
	CHECK_OK(set_caps(caps));
	caps.effective = caps.permitted;
	CHECK_OK(set_caps(caps));
	CHECK_ERR(set_caps((struct caps){caps.effective | BIT(CAP_FOWNER), caps.permitted | BIT(CAP_FOWNER), 0}),
		  EPERM);
	CHECK_ERR(set_caps((struct caps){BIT(CAP_FOWNER), caps.permitted, 0}), EPERM);
	CHECK_ERR(set_caps((struct caps){0, 0, BIT(CAP_FOWNER)}), EPERM);
	CHECK_ERR(syscall(SYS_setuid, 1000), EPERM);
	CHECK_OK(set_caps((struct caps){0, 0, 0}));
}

TEST_ALONE(errors_of_capget_and_capset)
{
	struct __user_cap_header_struct header = {0x1234, 0};
	struct __user_cap_data_struct data[2] = {0};

	CHECK_ERR(syscall(SYS_capget, &header, data), EINVAL);
	CHECK_EQ(header.version, _LINUX_CAPABILITY_VERSION_3);
	header.version = 0x1234;
	CHECK_OK(syscall(SYS_capget, &header, NULL));
	CHECK_ERR(syscall(SYS_capget, t_bad, data), EFAULT);
	header = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, 0};
	CHECK_ERR(syscall(SYS_capget, &header, t_bad), EFAULT);
	header.pid = 0x3ffffff;
	CHECK_ERR(syscall(SYS_capget, &header, data), ESRCH);
	header.pid = -1;
	CHECK_ERR(syscall(SYS_capget, &header, data), EINVAL);
	header.pid = getppid();
	CHECK_OK(syscall(SYS_capget, &header, data));
	CHECK_ERR(syscall(SYS_capset, &header, data), EPERM);
	CHECK_ERR(syscall(SYS_capset, t_bad, data), EFAULT);
	header = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, 0};
	CHECK_ERR(syscall(SYS_capset, &header, t_bad), EFAULT);
	header.version = 5;
	CHECK_ERR(syscall(SYS_capset, &header, data), EINVAL);
}

TEST_ALONE(the_bounding_set_only_shrinks)
{
	t_need_root();
	CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 1);
	if (!(get_caps().effective & BIT(CAP_SETPCAP)))
		SKIP("needs CAP_SETPCAP");
	CHECK_OK(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
	CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 0);
	CHECK_ERR(prctl(PR_CAPBSET_READ, 1000), EINVAL);
	CHECK_ERR(prctl(PR_CAPBSET_DROP, 1000), EINVAL);
	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(prctl(PR_CAPBSET_DROP, CAP_KILL), EPERM);
	}
}

int t_role(int argc, char **argv)
{
	struct caps caps = get_caps();

	(void)argc;
	if (strcmp(argv[0], "has-kill-only") == 0)
		return caps.effective != BIT(CAP_KILL) || caps.permitted != BIT(CAP_KILL);
	if (strcmp(argv[0], "has-none") == 0)
		return caps.effective || caps.permitted;
	if (strcmp(argv[0], "has-some") == 0)
		return !caps.effective || !caps.permitted;
	if (strcmp(argv[0], "euid-is-1234") == 0)
		return geteuid() != 1234 || getuid() != 1000;
	if (strcmp(argv[0], "euid-is-1000") == 0)
		return geteuid() != 1000;
	return 99;
}

static void run_role(const char *program, const char *role)
{
	IN_CHILD() {
		execv(program, (char *[]){(char *)program, (char *)role, NULL});
		FAIL("execv: %s", t_errno(errno));
	}
}

TEST_ALONE(exec_gives_root_its_capabilities_and_others_none)
{
	t_need_root();
	run_role(t_self, "@has-some");
	CHECK_OK(set_caps((struct caps){0, get_caps().permitted, 0}));
	run_role(t_self, "@has-some");
	CHECK_OK(prctl(PR_SET_KEEPCAPS, 1));
	IN_CHILD() {
		CHECK_OK(set_caps((struct caps){BIT(CAP_SETUID), get_caps().permitted, 0}));
		CHECK_OK(SETRESUID(1000, 1000, 1000));
		run_role(t_self, "@has-none");
	}
}

TEST_ALONE(ambient_capabilities_survive_exec)
{
	t_need_root();
	if (!(get_caps().permitted & BIT(CAP_KILL)))
		SKIP("needs CAP_KILL");
	CHECK_ERR(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), EPERM);
	CHECK_OK(prctl(PR_SET_KEEPCAPS, 1));
	CHECK_OK(SETRESUID(1000, 1000, 1000));
	CHECK_OK(set_caps((struct caps){BIT(CAP_KILL), BIT(CAP_KILL), BIT(CAP_KILL)}));
	CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
	CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 1);
	run_role(t_self, "@has-kill-only");
	CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_KILL, 0, 0));
	CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);
	run_role(t_self, "@has-none");
	CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	CHECK_ERR(prctl(PR_CAP_AMBIENT, 77, 0, 0, 0), EINVAL);
}

/* A copy of this program in the scratch directory. */
static void copy_self(const char *name, mode_t mode, uid_t owner)
{
	static char block[65536];
	int in = MUST(open(t_self, O_RDONLY)), out = MUST(open(name, O_WRONLY | O_CREAT, 0700));
	ssize_t n;

	while ((n = MUST(read(in, block, sizeof block))) > 0)
		CHECK_EQ(write(out, block, n), n);
	CHECK_OK(fchown(out, owner, owner));
	CHECK_OK(fchmod(out, mode));
	close(in);
	close(out);
}

TEST_ALONE(set_user_id_programs_take_their_owners_id)
{
	t_need_root();
	t_scratch();
	CHECK_OK(chmod(".", 0755));
	copy_self("program", 04755, 1234);
	IN_CHILD() {
		CHECK_OK(SETRESUID(1000, 1000, 1000));
		run_role("./program", "@euid-is-1234");
		CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		run_role("./program", "@euid-is-1000");
	}
}

TEST_ALONE(no_new_privs_is_for_good_and_inherited)
{
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	CHECK_ERR(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	IN_CHILD() {
		CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	}
}
