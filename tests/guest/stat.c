/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked about a file without opening it.
 * covers: stat lstat fstat newfstatat statx statfs fstatfs access faccessat faccessat2
 */
#include "t.h"

#include <sys/statfs.h>
#include <sys/sysmacros.h>

TEST(stat_describes_a_file)
{
	struct stat st;
	int64_t now;

	t_scratch();
	t_put("f", "hello");
	CHECK_OK(chmod("f", 0640));
	now = t_now(CLOCK_REALTIME) / 1000000000;
	CHECK_OK(syscall(SYS_stat, "f", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0640);
	CHECK_EQ(st.st_size, 5);
	CHECK_EQ(st.st_nlink, 1);
	CHECK_EQ(st.st_uid, geteuid());
	CHECK_GE(st.st_blksize, 512);
	CHECK(st.st_ino != 0);
	CHECK(st.st_mtime <= now);
	CHECK_GE(st.st_mtime, now - 86400);
	CHECK_OK(syscall(SYS_stat, ".", &st));
	CHECK(S_ISDIR(st.st_mode));
	CHECK_GE(st.st_nlink, 1);
}

TEST(lstat_describes_the_link_itself)
{
	struct stat st;

	t_scratch();
	t_put("file", "x");
	CHECK_OK(symlink("file", "link"));
	CHECK_OK(syscall(SYS_lstat, "link", &st));
	CHECK(S_ISLNK(st.st_mode));
	CHECK_EQ(st.st_size, 4);
	CHECK_EQ(st.st_mode & 0777, 0777);
	CHECK_OK(syscall(SYS_stat, "link", &st));
	CHECK(S_ISREG(st.st_mode));
	CHECK_OK(symlink(".", "dir"));
	CHECK_OK(lstat("dir", &st));
	CHECK(S_ISLNK(st.st_mode));
	CHECK_OK(lstat("dir/", &st));
	CHECK(S_ISDIR(st.st_mode));
	CHECK_ERR(lstat("link/", &st), ENOTDIR);
}

TEST(errors_of_stat)
{
	struct stat st;

	t_scratch();
	t_put("f", "x");
	CHECK_ERR(syscall(SYS_stat, "missing", &st), ENOENT);
	CHECK_ERR(syscall(SYS_stat, "", &st), ENOENT);
	CHECK_ERR(syscall(SYS_stat, "f/x", &st), ENOTDIR);
	CHECK_ERR(syscall(SYS_stat, "f", t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_stat, t_bad, &st), EFAULT);
	CHECK_ERR(syscall(SYS_stat, "missing", t_bad), ENOENT);
	CHECK_ERR(syscall(SYS_stat, "f", t_edge(sizeof st - 1)), EFAULT);
	CHECK_OK(syscall(SYS_stat, "f", t_edge(sizeof st)));
	CHECK_ERR(syscall(SYS_lstat, "missing", &st), ENOENT);
	CHECK_ERR(syscall(SYS_lstat, "f", t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_fstat, -1, &st), EBADF);
	CHECK_ERR(syscall(SYS_fstat, -1, t_bad), EBADF);
	CHECK_ERR(syscall(SYS_fstat, 0, t_bad), EFAULT);
}

TEST(newfstatat_starts_at_a_directory_and_takes_empty_paths)
{
	int dir, fd;
	struct stat a, b;

	t_scratch();
	CHECK_OK(mkdir("d", 0755));
	t_put("d/f", "x");
	CHECK_OK(symlink("f", "d/link"));
	dir = MUST(open("d", O_RDONLY));
	fd = MUST(open("d/f", O_RDONLY));
	CHECK_OK(fstat(fd, &a));
	CHECK_OK(syscall(SYS_newfstatat, dir, "f", &b, 0));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_OK(syscall(SYS_newfstatat, fd, "", &b, AT_EMPTY_PATH));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_OK(syscall(SYS_newfstatat, dir, "link", &b, AT_SYMLINK_NOFOLLOW));
	CHECK(S_ISLNK(b.st_mode));
	CHECK_OK(syscall(SYS_newfstatat, dir, "link", &b, 0));
	CHECK(S_ISREG(b.st_mode));
	CHECK_OK(syscall(SYS_newfstatat, AT_FDCWD, "", &b, AT_EMPTY_PATH));
	CHECK(S_ISDIR(b.st_mode));
	CHECK_OK(syscall(SYS_newfstatat, -1, "/", &b, 0));
	CHECK_ERR(syscall(SYS_newfstatat, dir, "", &b, 0), ENOENT);
	CHECK_ERR(syscall(SYS_newfstatat, dir, "f", &b, 0x10), EINVAL);
	CHECK_ERR(syscall(SYS_newfstatat, -1, "f", &b, 0), EBADF);
	CHECK_ERR(syscall(SYS_newfstatat, fd, "f", &b, 0), ENOTDIR);
	close(dir);
	close(fd);
}

TEST(devices_have_numbers)
{
	struct stat st;

	CHECK_OK(stat("/dev/null", &st));
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(major(st.st_rdev), 1);
	CHECK_EQ(minor(st.st_rdev), 3);
	CHECK_OK(stat("/dev/zero", &st));
	CHECK_EQ(minor(st.st_rdev), 5);
}

TEST(times_change_as_they_should)
{
	struct stat a, b;
	int fd;

	t_scratch();
	t_put("f", "x");
	CHECK_OK(utimensat(AT_FDCWD, "f", (struct timespec[]){{1000, 5}, {2000, 6}}, 0));
	CHECK_OK(stat("f", &a));
	CHECK_EQ(a.st_atim.tv_sec, 1000);
	CHECK_EQ(a.st_mtim.tv_nsec, 6);
	fd = MUST(open("f", O_WRONLY | O_APPEND));
	CHECK_EQ(write(fd, "y", 1), 1);
	CHECK_OK(stat("f", &b));
	CHECK_GE(b.st_mtim.tv_sec, 1000000000);
	CHECK_OK(utimensat(AT_FDCWD, "f", (struct timespec[]){{1000, 5}, {2000, 6}}, 0));
	CHECK_OK(chmod("f", 0600));
	CHECK_OK(stat("f", &b));
	CHECK_EQ(b.st_mtim.tv_sec, 2000);
	CHECK_GE(b.st_ctim.tv_sec, 1000000000);
	CHECK_OK(utimensat(AT_FDCWD, ".", (struct timespec[]){{1000, 5}, {2000, 6}}, 0));
	t_put("new", "");
	CHECK_OK(stat(".", &b));
	CHECK_GE(b.st_mtim.tv_sec, 1000000000);
	close(fd);
}

TEST(blocks_count_what_is_really_stored)
{
	struct stat st;
	int fd;

	t_scratch();
	fd = MUST(open("sparse", O_RDWR | O_CREAT, 0600));
	CHECK_OK(ftruncate(fd, 100 << 20));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 100 << 20);
	CHECK(st.st_blocks < 100);
	close(fd);
}

TEST(statx_fills_what_stat_does_and_more)
{
	struct statx sx;
	struct stat st;
	int fd;

	t_scratch();
	t_put("f", "hello");
	CHECK_OK(stat("f", &st));
	CHECK_OK(syscall(SYS_statx, AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &sx));
	CHECK_EQ(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	CHECK_EQ(sx.stx_size, 5);
	CHECK_EQ(sx.stx_ino, st.st_ino);
	CHECK_EQ(sx.stx_mode, st.st_mode);
	CHECK_EQ(sx.stx_uid, st.st_uid);
	CHECK_EQ(sx.stx_mtime.tv_sec, st.st_mtim.tv_sec);
	CHECK_EQ(sx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
	CHECK_EQ(makedev(sx.stx_dev_major, sx.stx_dev_minor), st.st_dev);
	fd = MUST(open("f", O_RDONLY));
	CHECK_OK(syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx));
	CHECK_EQ(sx.stx_size, 5);
	CHECK_ERR(syscall(SYS_statx, AT_FDCWD, "f", 0, 0x80000000u, &sx), EINVAL);
	CHECK_ERR(syscall(SYS_statx, AT_FDCWD, "f", 0x10, STATX_SIZE, &sx), EINVAL);
	CHECK_ERR(syscall(SYS_statx, AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_SIZE, &sx), EINVAL);
	CHECK_ERR(syscall(SYS_statx, AT_FDCWD, "missing", 0, STATX_SIZE, &sx), ENOENT);
	CHECK_ERR(syscall(SYS_statx, AT_FDCWD, "f", 0, STATX_SIZE, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_statx, AT_FDCWD, t_bad, 0, STATX_SIZE, &sx), EFAULT);
	CHECK_ERR(syscall(SYS_statx, 9999, "f", 0, STATX_SIZE, &sx), EBADF);
	close(fd);
}

TEST(statfs_describes_the_filesystem)
{
	struct statfs a, b;
	int fd;

	t_scratch();
	CHECK_OK(syscall(SYS_statfs, ".", &a));
	CHECK_GE(a.f_bsize, 512);
	CHECK_GE(a.f_namelen, 255);
	CHECK(a.f_bfree <= a.f_blocks);
	fd = MUST(open(".", O_RDONLY));
	CHECK_OK(syscall(SYS_fstatfs, fd, &b));
	CHECK_EQ(a.f_type, b.f_type);
	close(fd);
	CHECK_OK(statfs("/proc", &b));
	CHECK_EQ(b.f_type, 0x9fa0);
	CHECK_ERR(syscall(SYS_statfs, "missing", &a), ENOENT);
	CHECK_ERR(syscall(SYS_statfs, t_bad, &a), EFAULT);
	CHECK_ERR(syscall(SYS_statfs, ".", t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_fstatfs, -1, &a), EBADF);
	CHECK_ERR(syscall(SYS_fstatfs, 0, t_bad), EFAULT);
}

TEST(access_checks_existence_and_permission)
{
	t_scratch();
	t_put("f", "x");
	CHECK_OK(chmod("f", 0600));
	CHECK_OK(syscall(SYS_access, "f", F_OK));
	CHECK_OK(syscall(SYS_access, "f", R_OK | W_OK));
	CHECK_ERR(syscall(SYS_access, "f", X_OK), EACCES);
	CHECK_ERR(syscall(SYS_access, "missing", F_OK), ENOENT);
	CHECK_ERR(syscall(SYS_access, "f/x", F_OK), ENOTDIR);
	CHECK_ERR(syscall(SYS_access, "f", 8), EINVAL);
	CHECK_ERR(syscall(SYS_access, "missing", 8), EINVAL);
	CHECK_ERR(syscall(SYS_access, t_bad, F_OK), EFAULT);
	CHECK_OK(chmod("f", 0100));
	CHECK_OK(syscall(SYS_access, "f", X_OK));
	if (t_root())
		CHECK_OK(access("f", R_OK));
	else
		CHECK_ERR(access("f", R_OK), EACCES);
}

TEST(faccessat_starts_at_a_directory)
{
	int dir;

	t_scratch();
	t_put("f", "x");
	dir = MUST(open(".", O_RDONLY));
	CHECK_OK(syscall(SYS_faccessat, dir, "f", R_OK));
	CHECK_ERR(syscall(SYS_faccessat, dir, "missing", R_OK), ENOENT);
	CHECK_ERR(syscall(SYS_faccessat, -1, "f", R_OK), EBADF);
	CHECK_ERR(syscall(SYS_faccessat, dir, t_bad, R_OK), EFAULT);
	CHECK_OK(syscall(SYS_faccessat2, dir, "f", R_OK, AT_EACCESS));
	CHECK_OK(syscall(SYS_faccessat2, dir, "", R_OK, AT_EMPTY_PATH));
	CHECK_OK(symlink("missing", "dangling"));
	CHECK_ERR(syscall(SYS_faccessat2, dir, "dangling", F_OK, 0), ENOENT);
	CHECK_OK(syscall(SYS_faccessat2, dir, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
	CHECK_ERR(syscall(SYS_faccessat2, dir, "f", R_OK, 0x10), EINVAL);
	CHECK_ERR(syscall(SYS_faccessat2, dir, "f", 8, 0), EINVAL);
	close(dir);
}

TEST_ALONE(access_uses_the_real_user_and_eaccess_the_effective_one)
{
	t_need_root();
	t_scratch();
	CHECK_OK(chmod(".", 0755));
	t_put("f", "x");
	CHECK_OK(chmod("f", 0600));
	MUST(setresuid(T_NOBODY, 0, 0));
	CHECK_ERR(access("f", R_OK), EACCES);
	CHECK_OK(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS));
	MUST(setresuid(0, T_NOBODY, 0));
	CHECK_OK(access("f", R_OK));
	CHECK_ERR(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS), EACCES);
}
