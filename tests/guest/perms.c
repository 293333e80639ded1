/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what: permission bits seen by another user, sticky and set-group directories, root's overrides. All run as
 * root and become someone else in a child; an ordinary user's own bits are checked without.
 * covers: open mkdir unlink rename chmod chown link utimensat access
 */
#include "t.h"

#include <grp.h>
#include <sys/fsuid.h>

enum { ALICE = 54001, BOB = 54002, GROUP = 54100 };

static void become(uid_t uid, gid_t gid, int extra)
{
	gid_t groups[] = {GROUP};

	MUST(setgroups(extra, groups));
	MUST(setresgid(gid, gid, gid));
	MUST(setresuid(uid, uid, uid));
}

static void open_scratch(void)
{
	t_scratch();
	CHECK_OK(chmod(".", 0777));
	umask(0);
}

static void own(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	t_put(path, "x");
	CHECK_OK(chown(path, uid, gid));
	CHECK_OK(chmod(path, mode));
}

TEST_ALONE(the_owners_bits_count_for_the_owner_even_if_others_have_more)
{
	t_need_root();
	open_scratch();
	own("f", 0066, ALICE, GROUP);
	IN_CHILD() {
		become(ALICE, ALICE, 1);
		CHECK_ERR(open("f", O_RDONLY), EACCES);
		CHECK_ERR(open("f", O_WRONLY), EACCES);
	}
	IN_CHILD() {
		become(BOB, BOB, 0);
		MUST(open("f", O_RDWR));
	}
}

TEST_ALONE(group_bits_count_for_members)
{
	t_need_root();
	open_scratch();
	own("f", 0604, ALICE, GROUP);
	IN_CHILD() {
		become(BOB, BOB, 1);
		CHECK_ERR(open("f", O_RDONLY), EACCES);
	}
	IN_CHILD() {
		become(BOB, GROUP, 0);
		CHECK_ERR(open("f", O_RDONLY), EACCES);
	}
	IN_CHILD() {
		become(BOB, BOB, 0);
		MUST(open("f", O_RDONLY));
	}
	own("g", 0660, ALICE, GROUP);
	IN_CHILD() {
		become(BOB, BOB, 1);
		MUST(open("g", O_RDWR));
	}
	IN_CHILD() {
		become(BOB, BOB, 0);
		CHECK_ERR(open("g", O_RDWR), EACCES);
	}
}

TEST_ALONE(an_ordinary_owner_is_bound_by_the_bits)
{
	open_scratch();
	t_put("f", "x");
	CHECK_OK(chmod("f", 0400));
	if (t_root())
		CHECK_OK(chown("f", T_NOBODY, T_NOBODY));
	IN_CHILD() {
		t_become_nobody();
	}
	if (t_root()) {
		MUST(close(MUST(open("f", O_RDWR))));
		CHECK_OK(setgroups(0, NULL));
		MUST(setresgid(T_NOBODY, T_NOBODY, T_NOBODY));
		MUST(setresuid(T_NOBODY, T_NOBODY, T_NOBODY));
	}
	CHECK_ERR(open("f", O_WRONLY), EACCES);
	CHECK_ERR(open("f", O_RDONLY | O_TRUNC), EACCES);
	MUST(close(MUST(open("f", O_RDONLY))));
	CHECK_OK(chmod("f", 0));
	CHECK_ERR(open("f", O_RDONLY), EACCES);
	MUST(close(MUST(open("f", O_PATH))));
	CHECK_ERR(access("f", R_OK), EACCES);
	CHECK_ERR(truncate("f", 0), EACCES);
}

TEST_ALONE(search_permission_is_needed_on_every_directory)
{
	t_need_root();
	open_scratch();
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(mkdir("d/e", 0755));
	t_put("d/e/f", "x");
	CHECK_OK(chmod("d", 0644));
	IN_CHILD() {
		struct stat st;
		become(ALICE, ALICE, 0);
		CHECK_ERR(open("d/e/f", O_RDONLY), EACCES);
		CHECK_ERR(stat("d/e", &st), EACCES);
		CHECK_ERR(chdir("d"), EACCES);
		CHECK_ERR(open("d/missing", O_RDONLY), EACCES);
		MUST(open("d", O_RDONLY));
	}
	CHECK_OK(chmod("d", 0711));
	IN_CHILD() {
		become(ALICE, ALICE, 0);
		MUST(open("d/e/f", O_RDONLY));
		CHECK_ERR(open("d", O_RDONLY), EACCES);
	}
}

TEST_ALONE(an_open_directory_does_not_bypass_search)
{
	t_need_root();
	open_scratch();
	CHECK_OK(mkdir("d", 0700));
	t_put("d/f", "x");
	int dir = MUST(open("d", O_RDONLY));
	IN_CHILD() {
		become(ALICE, ALICE, 0);
		CHECK_ERR(openat(dir, "f", O_RDONLY), EACCES);
		CHECK_ERR(fchdir(dir), EACCES);
	}
}

TEST_ALONE(names_change_only_with_write_permission_on_the_directory)
{
	t_need_root();
	open_scratch();
	CHECK_OK(mkdir("d", 0755));
	own("d/f", 0666, ALICE, ALICE);
	IN_CHILD() {
		become(ALICE, ALICE, 0);
		CHECK_ERR(unlink("d/f"), EACCES);
		CHECK_ERR(mkdir("d/n", 0755), EACCES);
		CHECK_ERR(rename("d/f", "d/g"), EACCES);
		CHECK_ERR(symlink("x", "d/l"), EACCES);
		CHECK_ERR(link("d/f", "d/h"), EACCES);
		CHECK_ERR(open("d/n", O_CREAT | O_RDWR, 0600), EACCES);
		CHECK_ERR(mkdir("d/f", 0755), EEXIST);
		CHECK_ERR(unlink("d/missing"), ENOENT);
	}
	CHECK_OK(chmod("d", 0777));
	IN_CHILD() {
		become(BOB, BOB, 0);
		CHECK_OK(unlink("d/f"));
	}
}

TEST_ALONE(sticky_directories_protect_others_files)
{
	t_need_root();
	open_scratch();
	CHECK_OK(mkdir("s", 01777));
	own("s/alices", 0666, ALICE, ALICE);
	own("s/bobs", 0666, BOB, BOB);
	IN_CHILD() {
		become(BOB, BOB, 0);
		CHECK_ERR(unlink("s/alices"), EPERM);
		CHECK_ERR(rename("s/alices", "s/mine"), EPERM);
		CHECK_ERR(rename("s/bobs", "s/alices"), EPERM);
		CHECK_OK(rename("s/bobs", "s/still-mine"));
		CHECK_OK(unlink("s/still-mine"));
		CHECK_OK(mkdir("s/dir", 0700));
	}
	IN_CHILD() {
		become(ALICE, ALICE, 0);
		CHECK_ERR(rmdir("s/dir"), EPERM);
		CHECK_OK(unlink("s/alices"));
	}
	CHECK_OK(chown("s", ALICE, ALICE));
	IN_CHILD() {
		become(ALICE, ALICE, 0);
		CHECK_OK(rmdir("s/dir"));
	}
}

TEST_ALONE(set_group_directories_pass_their_group_on)
{
	struct stat st;

	t_need_root();
	open_scratch();
	CHECK_OK(mkdir("d", 0777));
	CHECK_OK(chown("d", 0, GROUP));
	CHECK_OK(chmod("d", 02777));
	IN_CHILD() {
		become(ALICE, ALICE, 0);
		t_put("d/f", "x");
		CHECK_OK(mkdir("d/sub", 0755));
		close(MUST(open("d/sgid", O_CREAT | O_RDWR, 02755)));
	}
	CHECK_OK(stat("d/f", &st));
	CHECK_EQ(st.st_gid, GROUP);
	CHECK_EQ(st.st_uid, ALICE);
	CHECK_OK(stat("d/sub", &st));
	CHECK_EQ(st.st_gid, GROUP);
	CHECK_EQ(st.st_mode & 07777, 02755);
	CHECK_OK(stat("d/sgid", &st));
	CHECK_EQ(st.st_mode & 07777, 0755); /* not a member: set-group is dropped */
}

TEST_ALONE(only_the_owner_changes_mode_and_times)
{
	struct timespec times[2] = {{1, 0}, {1, 0}};

	t_need_root();
	open_scratch();
	own("f", 0666, ALICE, ALICE);
	IN_CHILD() {
		become(BOB, BOB, 0);
		CHECK_ERR(chmod("f", 0600), EPERM);
		CHECK_ERR(utimensat(AT_FDCWD, "f", times, 0), EPERM);
		CHECK_OK(utimensat(AT_FDCWD, "f", NULL, 0));
	}
	CHECK_OK(chmod("f", 0644));
	IN_CHILD() {
		become(BOB, BOB, 0);
		CHECK_ERR(utimensat(AT_FDCWD, "f", NULL, 0), EACCES);
	}
	IN_CHILD() {
		become(ALICE, ALICE, 0);
		CHECK_OK(chmod("f", 0600));
		CHECK_OK(utimensat(AT_FDCWD, "f", times, 0));
	}
}

TEST_ALONE(owners_can_give_files_only_to_their_groups)
{
	struct stat st;

	t_need_root();
	open_scratch();
	own("f", 06775, ALICE, ALICE);
	IN_CHILD() {
		become(ALICE, ALICE, 1);
		CHECK_ERR(chown("f", BOB, -1), EPERM);
		CHECK_ERR(chown("f", -1, 54321), EPERM);
		CHECK_OK(chown("f", -1, GROUP));
	}
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_gid, GROUP);
	CHECK_EQ(st.st_mode & 07777, 0775);
	IN_CHILD() {
		become(BOB, BOB, 1);
		CHECK_ERR(chown("f", -1, GROUP), EPERM);
	}
}

TEST_ALONE(writing_drops_set_user_id)
{
	struct stat st;

	t_need_root();
	open_scratch();
	own("f", 06777, ALICE, ALICE);
	IN_CHILD() {
		int fd;
		become(BOB, BOB, 0);
		fd = MUST(open("f", O_WRONLY));
		CHECK_EQ(write(fd, "y", 1), 1);
	}
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode & 07777, 0777);
	own("g", 06777, ALICE, ALICE);
	IN_CHILD() {
		become(BOB, BOB, 0);
		CHECK_OK(truncate("g", 0));
	}
	CHECK_OK(stat("g", &st));
	CHECK_EQ(st.st_mode & 07777, 0777);
}

TEST_ALONE(set_group_is_dropped_by_chmod_of_a_non_member)
{
	struct stat st;

	t_need_root();
	open_scratch();
	own("f", 0755, ALICE, GROUP);
	IN_CHILD() {
		become(ALICE, ALICE, 0);
		CHECK_OK(chmod("f", 02755));
	}
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode & 07777, 0755);
	IN_CHILD() {
		become(ALICE, ALICE, 1);
		CHECK_OK(chmod("f", 02755));
	}
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode & 07777, 02755);
}

TEST_ALONE(an_open_descriptor_keeps_its_rights)
{
	int fd;

	t_need_root();
	open_scratch();
	own("f", 0600, 0, 0);
	fd = MUST(open("f", O_RDWR));
	IN_CHILD() {
		char c;
		become(ALICE, ALICE, 0);
		CHECK_EQ(pread(fd, &c, 1, 0), 1);
		CHECK_EQ(pwrite(fd, "z", 1, 0), 1);
		CHECK_ERR(fchmod(fd, 0666), EPERM);
		CHECK_OK(ftruncate(fd, 0));
	}
}

TEST_ALONE(fsuid_decides_about_files)
{
	t_need_root();
	open_scratch();
	own("f", 0600, ALICE, ALICE);
	CHECK_EQ(syscall(SYS_setfsuid, BOB), 0);
	CHECK_EQ(syscall(SYS_setfsuid, -1), BOB);
	CHECK_ERR(open("f", O_RDONLY), EACCES);
	CHECK_EQ(syscall(SYS_setfsuid, ALICE), BOB);
	MUST(close(MUST(open("f", O_RDONLY))));
	CHECK_EQ(syscall(SYS_setfsuid, 0), ALICE);
	CHECK_EQ(syscall(SYS_setfsgid, -1), getegid());
}

TEST_ALONE(o_noatime_is_for_owners)
{
	t_need_root();
	open_scratch();
	own("f", 0666, ALICE, ALICE);
	IN_CHILD() {
		become(BOB, BOB, 0);
		CHECK_ERR(open("f", O_RDONLY | O_NOATIME), EPERM);
	}
	IN_CHILD() {
		become(ALICE, ALICE, 0);
		MUST(open("f", O_RDONLY | O_NOATIME));
	}
}
