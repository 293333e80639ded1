/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing what a file is: mode, owner, times, size, extended attributes.
 * covers: chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat truncate
 * covers: ftruncate fallocate setxattr getxattr listxattr removexattr lsetxattr lgetxattr llistxattr lremovexattr
 * covers: fsetxattr fgetxattr flistxattr fremovexattr
 */
#include "t.h"

#include <linux/falloc.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static mode_t mode_of(const char *path)
{
	struct stat st;

	CHECK_OK(lstat(path, &st));
	return st.st_mode & 07777;
}

static off_t size_of(int fd)
{
	struct stat st;

	CHECK_OK(fstat(fd, &st));
	return st.st_size;
}

TEST(chmod_sets_all_twelve_bits)
{
	int fd;

	t_scratch();
	t_put("f", "x");
	CHECK_OK(syscall(SYS_chmod, "f", 06751));
	CHECK_EQ(mode_of("f"), 06751);
	CHECK_OK(syscall(SYS_chmod, "f", 0177000 | 0600));
	CHECK_EQ(mode_of("f"), 07000 | 0600);
	fd = MUST(open("f", O_RDONLY));
	CHECK_OK(syscall(SYS_fchmod, fd, 0));
	CHECK_EQ(mode_of("f"), 0);
	CHECK_OK(syscall(SYS_fchmodat, AT_FDCWD, "f", 0644));
	CHECK_EQ(mode_of("f"), 0644);
	CHECK_OK(symlink("f", "l"));
	CHECK_OK(chmod("l", 0640));
	CHECK_EQ(mode_of("f"), 0640);
	CHECK_ERR(syscall(SYS_chmod, "missing", 0600), ENOENT);
	CHECK_ERR(syscall(SYS_chmod, "f/x", 0600), ENOTDIR);
	CHECK_ERR(syscall(SYS_chmod, t_bad, 0600), EFAULT);
	CHECK_ERR(syscall(SYS_fchmod, -1, 0600), EBADF);
	CHECK_ERR(syscall(SYS_fchmodat, -1, "f", 0600), EBADF);
	close(fd);
}

TEST(fchmodat2_takes_flags)
{
	t_scratch();
	t_put("f", "x");
	CHECK_OK(symlink("f", "l"));
	if (!t_kernel_since(6, 6))
		SKIP("this kernel has no fchmodat2 (6.6)");
	CHECK_OK(syscall(452, AT_FDCWD, "l", 0604, 0));
	CHECK_EQ(mode_of("f"), 0604);
	CHECK_ERR(syscall(452, AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP);
	CHECK_ERR(syscall(452, AT_FDCWD, "f", 0600, 0x10), EINVAL);
	CHECK_ERR(syscall(452, AT_FDCWD, "missing", 0600, 0), ENOENT);
}

TEST(chown_to_oneself_and_by_minus_1_changes_nothing)
{
	int fd;
	struct stat st;

	t_scratch();
	t_put("f", "x");
	CHECK_OK(syscall(SYS_chown, "f", -1, -1));
	CHECK_OK(syscall(SYS_chown, "f", geteuid(), getegid()));
	CHECK_OK(syscall(SYS_lchown, "f", geteuid(), -1));
	fd = MUST(open("f", O_RDONLY));
	CHECK_OK(syscall(SYS_fchown, fd, -1, getegid()));
	CHECK_OK(syscall(SYS_fchownat, AT_FDCWD, "f", -1, getegid(), AT_SYMLINK_NOFOLLOW));
	CHECK_OK(syscall(SYS_fchownat, fd, "", -1, -1, AT_EMPTY_PATH));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_uid, geteuid());
	CHECK_ERR(syscall(SYS_chown, "missing", -1, -1), ENOENT);
	CHECK_ERR(syscall(SYS_chown, t_bad, -1, -1), EFAULT);
	CHECK_ERR(syscall(SYS_lchown, "missing", -1, -1), ENOENT);
	CHECK_ERR(syscall(SYS_fchown, -1, -1, -1), EBADF);
	CHECK_ERR(syscall(SYS_fchownat, AT_FDCWD, "f", -1, -1, 0x10), EINVAL);
	CHECK_ERR(syscall(SYS_fchownat, -1, "f", -1, -1, 0), EBADF);
	close(fd);
}

TEST_ALONE(root_gives_files_away_and_setuid_bits_are_dropped)
{
	struct stat st;

	t_need_root();
	t_scratch();
	t_put("f", "x");
	CHECK_OK(symlink("f", "l"));
	CHECK_OK(chown("f", 123, 456));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_uid, 123);
	CHECK_EQ(st.st_gid, 456);
	CHECK_OK(lchown("l", 77, 78));
	CHECK_OK(lstat("l", &st));
	CHECK_EQ(st.st_uid, 77);
	CHECK_OK(chmod("f", 06755));
	CHECK_OK(chown("f", 124, -1));
	CHECK_EQ(mode_of("f"), 0755);
	CHECK_OK(chmod("f", 02745));
	CHECK_OK(chown("f", 125, -1));
	CHECK_EQ(mode_of("f"), 02745);
}

TEST(utimensat_sets_now_and_omit)
{
	struct stat st;
	struct timespec times[2] = {{100, 1}, {200, 999999999}};
	int fd;

	t_scratch();
	t_put("f", "x");
	CHECK_OK(syscall(SYS_utimensat, AT_FDCWD, "f", times, 0));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_atim.tv_sec, 100);
	CHECK_EQ(st.st_atim.tv_nsec, 1);
	CHECK_EQ(st.st_mtim.tv_sec, 200);
	CHECK_EQ(st.st_mtim.tv_nsec, 999999999);
	times[0].tv_nsec = UTIME_OMIT;
	times[1].tv_nsec = UTIME_NOW;
	CHECK_OK(utimensat(AT_FDCWD, "f", times, 0));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_atim.tv_sec, 100);
	CHECK_GE(st.st_mtim.tv_sec, 1000000000);
	fd = MUST(open("f", O_RDONLY));
	CHECK_OK(futimens(fd, (struct timespec[]){{5, 0}, {6, 0}}));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mtim.tv_sec, 6);
	CHECK_OK(utimensat(AT_FDCWD, "f", NULL, 0));
	CHECK_OK(stat("f", &st));
	CHECK_GE(st.st_atim.tv_sec, 1000000000);
	CHECK_OK(symlink("missing", "l"));
	CHECK_OK(utimensat(AT_FDCWD, "l", (struct timespec[]){{7, 0}, {8, 0}}, AT_SYMLINK_NOFOLLOW));
	CHECK_OK(lstat("l", &st));
	CHECK_EQ(st.st_mtim.tv_sec, 8);
	times[0].tv_nsec = 1000000000;
	CHECK_ERR(syscall(SYS_utimensat, AT_FDCWD, "f", times, 0), EINVAL);
	CHECK_ERR(syscall(SYS_utimensat, AT_FDCWD, "missing", NULL, 0), ENOENT);
	CHECK_ERR(syscall(SYS_utimensat, AT_FDCWD, "f", t_bad, 0), EFAULT);
	CHECK_ERR(syscall(SYS_utimensat, AT_FDCWD, "f", NULL, 0x10), EINVAL);
	CHECK_ERR(syscall(SYS_utimensat, -1, "f", NULL, 0), EBADF);
	close(fd);
}

TEST(times_before_1970_and_after_2038_are_kept)
{
	struct stat st;

	t_scratch();
	t_put("f", "x");
	CHECK_OK(utimensat(AT_FDCWD, "f", (struct timespec[]){{-100, 0}, {3000000000, 0}}, 0));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_atim.tv_sec, -100);
	CHECK_EQ(st.st_mtim.tv_sec, 3000000000);
}

TEST(the_older_calls_set_times_too)
{
	struct stat st;
	struct utimbuf buf = {11, 22};
	struct timeval tv[2] = {{33, 5}, {44, 6}}, wrong[2] = {{33, 1000000}, {44, 6}};

	t_scratch();
	t_put("f", "x");
	CHECK_OK(syscall(SYS_utime, "f", &buf));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_atim.tv_sec, 11);
	CHECK_EQ(st.st_mtim.tv_sec, 22);
	CHECK_OK(syscall(SYS_utimes, "f", tv));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mtim.tv_sec, 44);
	CHECK_EQ(st.st_mtim.tv_nsec, 6000);
	CHECK_OK(syscall(SYS_futimesat, AT_FDCWD, "f", tv));
	CHECK_ERR(syscall(SYS_utimes, "f", wrong), EINVAL);
	CHECK_ERR(syscall(SYS_utimes, "missing", tv), ENOENT);
	CHECK_ERR(syscall(SYS_utime, "missing", NULL), ENOENT);
	CHECK_ERR(syscall(SYS_utime, "f", t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_futimesat, AT_FDCWD, "missing", tv), ENOENT);
}

TEST(truncate_shrinks_and_grows_with_zeros)
{
	int fd;
	char text[16] = "";

	t_scratch();
	t_put("f", "0123456789");
	fd = MUST(open("f", O_RDWR));
	CHECK_OK(syscall(SYS_truncate, "f", 4));
	CHECK_EQ(size_of(fd), 4);
	CHECK_OK(syscall(SYS_ftruncate, fd, 8));
	CHECK_EQ(pread(fd, text, sizeof text, 0), 8);
	CHECK_MEM(text, "0123\0\0\0\0", 8);
	CHECK_OK(ftruncate(fd, 1ll << 40));
	CHECK_EQ(size_of(fd), 1ll << 40);
	CHECK_OK(ftruncate(fd, 0));
	CHECK_EQ(size_of(fd), 0);
	close(fd);
}

TEST(errors_of_truncate)
{
	int reader, fds[2];

	t_scratch();
	t_put("f", "x");
	CHECK_OK(mkdir("d", 0755));
	reader = MUST(open("f", O_RDONLY));
	CHECK_ERR(syscall(SYS_truncate, "f", -1L), EINVAL);
	CHECK_ERR(syscall(SYS_truncate, "missing", 0), ENOENT);
	CHECK_ERR(syscall(SYS_truncate, "d", 0), EISDIR);
	CHECK_ERR(syscall(SYS_truncate, "f/x", 0), ENOTDIR);
	CHECK_ERR(syscall(SYS_truncate, t_bad, 0), EFAULT);
	CHECK_ERR(syscall(SYS_truncate, "/dev/null", 0), EINVAL);
	CHECK_ERR(syscall(SYS_ftruncate, -1, 0), EBADF);
	CHECK_ERR(syscall(SYS_ftruncate, reader, 0), EINVAL);
	CHECK_ERR(syscall(SYS_ftruncate, reader, -1L), EINVAL);
	CHECK_OK(pipe(fds));
	CHECK_ERR(syscall(SYS_ftruncate, fds[1], 0), EINVAL);
	close(fds[0]);
	close(fds[1]);
	close(reader);
}

/* What fills pages makes no file larger than was asked. */
TEST(fallocate_sets_just_the_size_asked_for)
{
	int fd;

	t_scratch();
	fd = MUST(open("f", O_RDWR | O_CREAT, 0600));
	CHECK_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20));
	CHECK_EQ(size_of(fd), 0);
	CHECK_OK(syscall(SYS_fallocate, fd, 0, 0, 100));
	CHECK_EQ(size_of(fd), 100);
	CHECK_EQ(pwrite(fd, "x", 1, 200), 1);
	CHECK_EQ(size_of(fd), 201);
	CHECK_OK(ftruncate(fd, 5000));
	CHECK_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20));
	CHECK_EQ(size_of(fd), 5000);
	close(fd);
	fd = MUST(open("g", O_RDWR | O_CREAT, 0600));
	CHECK_OK(syscall(SYS_fallocate, fd, 0, 0, 100));
	CHECK_EQ(size_of(fd), 100);
	close(fd);
}

TEST(fallocate_reserves_punches_and_zeroes)
{
	int fd, reader, fds[2];
	char text[8192];
	struct stat st;

	t_scratch();
	fd = MUST(open("f", O_RDWR | O_CREAT, 0600));
	CHECK_OK(syscall(SYS_fallocate, fd, 0, 0, 8192));
	CHECK_EQ(size_of(fd), 8192);
	CHECK_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 8192, 8192));
	CHECK_EQ(size_of(fd), 8192);
	memset(text, 'x', sizeof text);
	CHECK_EQ(pwrite(fd, text, sizeof text, 0), sizeof text);
	CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
	CHECK_EQ(pread(fd, text, sizeof text, 0), sizeof text);
	CHECK_EQ(text[4095], 'x');
	for (int i = 4096; i < 8192; i++)
		CHECK_EQ(text[i], 0);
	CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10, 10));
	CHECK_EQ(pread(fd, text, 30, 0), 30);
	CHECK(text[9] == 'x' && text[10] == 0 && text[19] == 0 && text[20] == 'x');
	CHECK_OK(fstat(fd, &st));
	CHECK_ERR(syscall(SYS_fallocate, fd, 0, -1L, 10), EINVAL);
	CHECK_ERR(syscall(SYS_fallocate, fd, 0, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_fallocate, fd, 0x1000, 0, 10), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_fallocate, -1, 0, 0, 10), EBADF);
	reader = MUST(open("f", O_RDONLY));
	CHECK_ERR(syscall(SYS_fallocate, reader, 0, 0, 10), EBADF);
	CHECK_OK(pipe(fds));
	CHECK_ERR(syscall(SYS_fallocate, fds[1], 0, 0, 10), ESPIPE);
	close(fd);
	close(reader);
	close(fds[0]);
	close(fds[1]);
}

TEST(extended_attributes_are_set_read_listed_and_removed)
{
	char text[64];
	int fd;

	t_scratch();
	t_put("f", "x");
	if (setxattr("f", "user.probe", "v", 1, 0) < 0 && errno == EOPNOTSUPP)
		SKIP("this filesystem has no user attributes");
	CHECK_OK(syscall(SYS_removexattr, "f", "user.probe"));
	CHECK_OK(syscall(SYS_setxattr, "f", "user.a", "value", 5, 0));
	CHECK_EQ(syscall(SYS_getxattr, "f", "user.a", text, sizeof text), 5);
	CHECK_MEM(text, "value", 5);
	CHECK_EQ(syscall(SYS_getxattr, "f", "user.a", NULL, 0), 5);
	CHECK_ERR(syscall(SYS_getxattr, "f", "user.a", text, 3), ERANGE);
	CHECK_ERR(syscall(SYS_getxattr, "f", "user.b", text, 3), ENODATA);
	CHECK_ERR(syscall(SYS_setxattr, "f", "user.a", "x", 1, XATTR_CREATE), EEXIST);
	CHECK_ERR(syscall(SYS_setxattr, "f", "user.b", "x", 1, XATTR_REPLACE), ENODATA);
	CHECK_ERR(syscall(SYS_setxattr, "f", "user.b", "x", 1, 4), EINVAL);
	CHECK_OK(syscall(SYS_setxattr, "f", "user.b", "", 0, 0));
	CHECK_EQ(syscall(SYS_listxattr, "f", NULL, 0), 14);
	CHECK_EQ(syscall(SYS_listxattr, "f", text, sizeof text), 14);
	CHECK(memcmp(text, "user.a\0user.b", 14) == 0 || memcmp(text, "user.b\0user.a", 14) == 0);
	CHECK_ERR(syscall(SYS_listxattr, "f", text, 3), ERANGE);
	fd = MUST(open("f", O_RDONLY));
	CHECK_EQ(syscall(SYS_fgetxattr, fd, "user.a", text, sizeof text), 5);
	CHECK_OK(syscall(SYS_fsetxattr, fd, "user.a", "new", 3, XATTR_REPLACE));
	CHECK_EQ(syscall(SYS_lgetxattr, "f", "user.a", text, sizeof text), 3);
	CHECK_OK(syscall(SYS_lsetxattr, "f", "user.c", "c", 1, 0));
	CHECK_EQ(syscall(SYS_flistxattr, fd, text, sizeof text), 21);
	CHECK_EQ(syscall(SYS_llistxattr, "f", text, sizeof text), 21);
	CHECK_OK(syscall(SYS_lremovexattr, "f", "user.c"));
	CHECK_OK(syscall(SYS_fremovexattr, fd, "user.b"));
	CHECK_OK(syscall(SYS_removexattr, "f", "user.a"));
	CHECK_ERR(syscall(SYS_removexattr, "f", "user.a"), ENODATA);
	CHECK_EQ(syscall(SYS_listxattr, "f", text, sizeof text), 0);
	close(fd);
}

TEST(errors_of_extended_attributes)
{
	char text[8], name[300];

	t_scratch();
	t_put("f", "x");
	CHECK_OK(symlink("f", "l"));
	CHECK_ERR(syscall(SYS_setxattr, "missing", "user.a", "x", 1, 0), ENOENT);
	CHECK_ERR(syscall(SYS_getxattr, "missing", "user.a", text, 8), ENOENT);
	CHECK_ERR(syscall(SYS_listxattr, "missing", text, 8), ENOENT);
	CHECK_ERR(syscall(SYS_removexattr, "missing", "user.a"), ENOENT);
	CHECK_ERR(syscall(SYS_setxattr, t_bad, "user.a", "x", 1, 0), EFAULT);
	CHECK_ERR(syscall(SYS_setxattr, "f", t_bad, "x", 1, 0), EFAULT);
	CHECK_ERR(syscall(SYS_setxattr, "f", "user.a", t_bad, 1, 0), EFAULT);
	CHECK_ERR(syscall(SYS_setxattr, "f", "", "x", 1, 0), ERANGE);
	CHECK_ERR(syscall(SYS_setxattr, "f", "nonsense", "x", 1, 0), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_setxattr, "f", "user.a", "x", 65537, 0), E2BIG);
	memset(name, 'n', sizeof name);
	memcpy(name, "user.", 5);
	name[260] = 0;
	CHECK_ERR(syscall(SYS_setxattr, "f", name, "x", 1, 0), ERANGE);
	CHECK_ERR(syscall(SYS_lsetxattr, "l", "user.a", "x", 1, 0), EPERM);
	CHECK_ERR(syscall(SYS_lgetxattr, "missing", "user.a", text, 8), ENOENT);
	CHECK_ERR(syscall(SYS_llistxattr, "missing", text, 8), ENOENT);
	CHECK_ERR(syscall(SYS_lremovexattr, "missing", "user.a"), ENOENT);
	CHECK_ERR(syscall(SYS_fsetxattr, -1, "user.a", "x", 1, 0), EBADF);
	CHECK_ERR(syscall(SYS_fgetxattr, -1, "user.a", text, 8), EBADF);
	CHECK_ERR(syscall(SYS_flistxattr, -1, text, 8), EBADF);
	CHECK_ERR(syscall(SYS_fremovexattr, -1, "user.a"), EBADF);
}
