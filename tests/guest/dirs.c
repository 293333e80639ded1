/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making, removing, reading and changing directories.
 * covers: mkdir mkdirat rmdir getdents64 getdents chdir fchdir getcwd chroot
 */
#include "t.h"

#include <dirent.h>

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

struct linux_dirent {
	unsigned long d_ino, d_off;
	unsigned short d_reclen;
	char d_name[];
};

TEST(mkdir_makes_an_empty_directory)
{
	struct stat st;
	mode_t old = umask(022);

	t_scratch();
	CHECK_OK(syscall(SYS_mkdir, "d", 0777));
	CHECK_OK(stat("d", &st));
	CHECK_EQ(st.st_mode, S_IFDIR | 0755);
	umask(0);
	CHECK_OK(mkdir("s", 01777));
	CHECK_OK(stat("s", &st));
	CHECK_EQ(st.st_mode, S_IFDIR | 01777);
	umask(old);
	CHECK_OK(mkdir("d/", 0755) == -1 && errno == EEXIST ? 0 : -1);
	CHECK_OK(mkdir("e/", 0755));
	CHECK_OK(syscall(SYS_mkdirat, AT_FDCWD, "d/sub", 0700));
	CHECK_OK(stat("d/sub/..", &st));
}

TEST(errors_of_mkdir)
{
	t_scratch();
	t_put("f", "x");
	CHECK_OK(symlink("missing", "dangling"));
	CHECK_ERR(mkdir("f", 0755), EEXIST);
	CHECK_ERR(mkdir(".", 0755), EEXIST);
	CHECK_ERR(mkdir("/", 0755), EEXIST);
	CHECK_ERR(mkdir("dangling", 0755), EEXIST);
	CHECK_ERR(mkdir("missing/d", 0755), ENOENT);
	CHECK_ERR(mkdir("f/d", 0755), ENOTDIR);
	CHECK_ERR(mkdir("", 0755), ENOENT);
	CHECK_ERR(syscall(SYS_mkdir, t_bad, 0755), EFAULT);
	CHECK_ERR(syscall(SYS_mkdirat, -1, "d", 0755), EBADF);
	CHECK_ERR(syscall(SYS_mkdirat, AT_FDCWD, t_bad, 0755), EFAULT);
	char name[300];
	memset(name, 'n', 256);
	name[256] = 0;
	CHECK_ERR(mkdir(name, 0755), ENAMETOOLONG);
	name[255] = 0;
	CHECK_OK(mkdir(name, 0755));
}

TEST(rmdir_removes_only_empty_directories)
{
	t_scratch();
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(mkdir("d/sub", 0755));
	t_put("f", "x");
	CHECK_OK(symlink("d", "link"));
	CHECK_ERR(syscall(SYS_rmdir, "d"), ENOTEMPTY);
	CHECK_ERR(syscall(SYS_rmdir, "f"), ENOTDIR);
	CHECK_ERR(syscall(SYS_rmdir, "link"), ENOTDIR);
	CHECK_ERR(syscall(SYS_rmdir, "missing"), ENOENT);
	CHECK_ERR(syscall(SYS_rmdir, "d/sub/."), EINVAL);
	CHECK_ERR(syscall(SYS_rmdir, "d/sub/.."), ENOTEMPTY);
	CHECK_ERR(syscall(SYS_rmdir, "/"), EBUSY);
	CHECK_ERR(syscall(SYS_rmdir, t_bad), EFAULT);
	CHECK_OK(syscall(SYS_rmdir, "d/sub/"));
	CHECK_OK(syscall(SYS_rmdir, "d"));
	CHECK_ERR(syscall(SYS_rmdir, "d"), ENOENT);
}

TEST(link_count_follows_subdirectories)
{
	struct stat st;

	t_scratch();
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(stat("d", &st));
	if (st.st_nlink == 1)
		SKIP("this filesystem does not count links of directories");
	CHECK_EQ(st.st_nlink, 2);
	CHECK_OK(mkdir("d/a", 0755));
	CHECK_OK(mkdir("d/b", 0755));
	CHECK_OK(stat("d", &st));
	CHECK_EQ(st.st_nlink, 4);
	CHECK_OK(rmdir("d/a"));
	CHECK_OK(stat("d", &st));
	CHECK_EQ(st.st_nlink, 3);
}

TEST(getdents64_lists_names_types_and_inodes)
{
	char buffer[4096];
	int fd;
	long n;
	unsigned seen = 0;
	struct stat st;

	t_scratch();
	CHECK_OK(mkdir("dir", 0755));
	t_put("file", "x");
	CHECK_OK(symlink("file", "link"));
	CHECK_OK(mkfifo("fifo", 0600));
	fd = MUST(open(".", O_RDONLY | O_DIRECTORY));
	n = MUST(syscall(SYS_getdents64, fd, buffer, sizeof buffer));
	for (long at = 0; at < n;) {
		struct linux_dirent64 *d = (void *)(buffer + at);

		CHECK_EQ(d->d_reclen % 8, 0);
		CHECK_OK(lstat(d->d_name, &st));
		if (strcmp(d->d_name, "..") != 0)
			CHECK_EQ(d->d_ino, st.st_ino);
		if (d->d_type != DT_UNKNOWN)
			CHECK_EQ(d->d_type, IFTODT(st.st_mode));
		seen |= strcmp(d->d_name, ".") == 0      ? 1
			: strcmp(d->d_name, "..") == 0   ? 2
			: strcmp(d->d_name, "dir") == 0  ? 4
			: strcmp(d->d_name, "file") == 0 ? 8
			: strcmp(d->d_name, "link") == 0 ? 16
			: strcmp(d->d_name, "fifo") == 0 ? 32
							 : 64;
		at += d->d_reclen;
	}
	CHECK_EQ(seen, 63);
	CHECK_EQ(syscall(SYS_getdents64, fd, buffer, sizeof buffer), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(syscall(SYS_getdents64, fd, buffer, sizeof buffer), n);
	close(fd);
}

TEST(old_getdents_puts_the_type_at_the_end_of_the_record)
{
	char buffer[4096];
	int fd;
	long n;
	bool found = false;

	t_scratch();
	CHECK_OK(mkdir("dir", 0755));
	fd = MUST(open(".", O_RDONLY));
	n = MUST(syscall(SYS_getdents, fd, buffer, sizeof buffer));
	for (long at = 0; at < n;) {
		struct linux_dirent *d = (void *)(buffer + at);

		if (strcmp(d->d_name, "dir") == 0) {
			unsigned char type = buffer[at + d->d_reclen - 1];

			CHECK(type == DT_DIR || type == DT_UNKNOWN);
			found = true;
		}
		at += d->d_reclen;
	}
	CHECK(found);
	CHECK_ERR(syscall(SYS_getdents, -1, buffer, sizeof buffer), EBADF);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_ERR(syscall(SYS_getdents, fd, buffer, 10), EINVAL);
	CHECK_ERR(syscall(SYS_getdents, fd, t_bad, 4096), EFAULT);
	close(fd);
}

TEST(errors_of_getdents64)
{
	char buffer[512];
	int fd, dir;

	t_scratch();
	t_put("f", "x");
	fd = MUST(open("f", O_RDONLY));
	dir = MUST(open(".", O_RDONLY));
	CHECK_ERR(syscall(SYS_getdents64, fd, buffer, sizeof buffer), ENOTDIR);
	CHECK_ERR(syscall(SYS_getdents64, -1, buffer, sizeof buffer), EBADF);
	CHECK_ERR(syscall(SYS_getdents64, dir, buffer, 10), EINVAL);
	CHECK_ERR(syscall(SYS_getdents64, dir, t_bad, sizeof buffer), EFAULT);
	CHECK_GE(syscall(SYS_getdents64, dir, buffer, sizeof buffer), 1);
	close(fd);
	close(dir);
	CHECK_OK(mkdir("gone", 0755));
	dir = MUST(open("gone", O_RDONLY));
	CHECK_OK(rmdir("gone"));
	CHECK_ERR(syscall(SYS_getdents64, dir, buffer, sizeof buffer), ENOENT);
	close(dir);
}

TEST(a_small_buffer_lists_everything_once)
{
	enum { COUNT = 300 };
	static unsigned char seen[COUNT];
	char buffer[128], name[32];
	int fd, total = 0;
	long n;

	t_scratch();
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "entry-%d", i);
		t_put(name, "");
	}
	fd = MUST(open(".", O_RDONLY));
	while ((n = MUST(syscall(SYS_getdents64, fd, buffer, sizeof buffer))) > 0)
		for (long at = 0; at < n;) {
			struct linux_dirent64 *d = (void *)(buffer + at);
			int i;

			if (sscanf(d->d_name, "entry-%d", &i) == 1) {
				CHECK_EQ(seen[i], 0);
				seen[i] = 1;
				total++;
			}
			at += d->d_reclen;
		}
	CHECK_EQ(total, COUNT);
	close(fd);
}

TEST(removing_while_reading_skips_nothing_else)
{
	DIR *dir;
	struct dirent *d;
	char name[32];
	int removed = 0;

	t_scratch();
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "n%d", i);
		t_put(name, "");
	}
	dir = opendir(".");
	CHECK(dir != NULL);
	while ((d = readdir(dir)))
		if (d->d_name[0] == 'n') {
			CHECK_OK(unlink(d->d_name));
			removed++;
		}
	closedir(dir);
	CHECK_EQ(removed, 200);
}

TEST(telldir_and_seekdir_come_back_to_the_same_entry)
{
	DIR *dir;
	struct dirent *d;
	char name[32], at_mark[256];
	long mark;

	t_scratch();
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "n%d", i);
		t_put(name, "");
	}
	dir = opendir(".");
	CHECK(dir != NULL);
	for (int i = 0; i < 20; i++)
		CHECK(readdir(dir) != NULL);
	mark = telldir(dir);
	d = readdir(dir);
	strcpy(at_mark, d->d_name);
	while (readdir(dir))
		;
	t_put("added", "");
	seekdir(dir, mark);
	d = readdir(dir);
	CHECK(d != NULL);
	CHECK_STR(d->d_name, at_mark);
	closedir(dir);
}

TEST_ALONE(chdir_and_getcwd_agree)
{
	char here[PATH_MAX], there[PATH_MAX], want[PATH_MAX + 8];
	int fd;

	t_scratch();
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(symlink("d", "link"));
	t_put("f", "x");
	CHECK_GE(syscall(SYS_getcwd, here, sizeof here), 2);
	fd = MUST(open(".", O_RDONLY));
	CHECK_OK(syscall(SYS_chdir, "link"));
	CHECK_EQ(syscall(SYS_getcwd, there, sizeof there), strlen(there) + 1);
	snprintf(want, sizeof want, "%s/d", here);
	CHECK_STR(there, want);
	CHECK_OK(syscall(SYS_chdir, ".."));
	CHECK(getcwd(there, sizeof there) != NULL);
	CHECK_STR(there, here);
	CHECK_ERR(syscall(SYS_chdir, "f"), ENOTDIR);
	CHECK_ERR(syscall(SYS_chdir, "missing"), ENOENT);
	CHECK_ERR(syscall(SYS_chdir, ""), ENOENT);
	CHECK_ERR(syscall(SYS_chdir, t_bad), EFAULT);
	CHECK_OK(chdir("/"));
	CHECK_OK(syscall(SYS_fchdir, fd));
	CHECK(getcwd(there, sizeof there) != NULL);
	CHECK_STR(there, here);
	int file = MUST(open("f", O_RDONLY));
	CHECK_ERR(syscall(SYS_fchdir, file), ENOTDIR);
	CHECK_ERR(syscall(SYS_fchdir, -1), EBADF);
	CHECK_ERR(syscall(SYS_getcwd, there, 3), ERANGE);
	CHECK_ERR(syscall(SYS_getcwd, there, 0), ERANGE);
	CHECK_ERR(syscall(SYS_getcwd, t_bad, PATH_MAX), EFAULT);
}

TEST_ALONE(the_working_directory_can_be_removed)
{
	char path[PATH_MAX];
	struct stat st;

	t_scratch();
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(chdir("d"));
	CHECK_OK(rmdir("../d"));
	CHECK_ERR(syscall(SYS_getcwd, path, sizeof path), ENOENT);
	CHECK_OK(stat(".", &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_ERR(open("x", O_CREAT | O_RDWR, 0600), ENOENT);
	CHECK_ERR(mkdir("x", 0755), ENOENT);
	CHECK_OK(chdir(".."));
}

TEST_ALONE(getcwd_follows_a_renamed_directory)
{
	char path[PATH_MAX];

	t_scratch();
	CHECK_OK(mkdir("a", 0755));
	CHECK_OK(mkdir("b", 0755));
	CHECK_OK(chdir("a"));
	CHECK_OK(rename("../a", "../b/moved"));
	CHECK(getcwd(path, sizeof path) != NULL);
	CHECK_STR(strrchr(path, '/') - 2, "/b/moved");
}

TEST_ALONE(chroot_changes_the_root_and_needs_a_capability)
{
	struct stat a, b;
	char path[PATH_MAX];

	t_scratch();
	CHECK_OK(mkdir("root", 0755));
	t_put("root/inside", "x");
	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(syscall(SYS_chroot, "/"), EPERM);
	}
	CHECK_ERR(syscall(SYS_chroot, "missing"), ENOENT);
	CHECK_ERR(syscall(SYS_chroot, "root/inside"), ENOTDIR);
	CHECK_ERR(syscall(SYS_chroot, t_bad), EFAULT);
	if (!t_root())
		return;
	CHECK_OK(stat("root", &a));
	CHECK_OK(syscall(SYS_chroot, "root"));
	CHECK_OK(stat("/", &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(syscall(SYS_getcwd, path, sizeof path) > 0 && strncmp(path, "(unreachable)", 13) == 0, 1);
	CHECK_OK(chdir("/"));
	CHECK(getcwd(path, sizeof path) != NULL);
	CHECK_STR(path, "/");
	CHECK_OK(access("/inside", R_OK));
	CHECK_OK(stat("/../..", &b));
	CHECK_EQ(a.st_ino, b.st_ino);
}

TEST(deep_paths_work_relative_to_a_descriptor)
{
	int dir, next;

	t_scratch();
	dir = MUST(open(".", O_RDONLY));
	for (int i = 0; i < 100; i++) {
		CHECK_OK(mkdirat(dir, "a-directory-with-a-rather-long-name-to-pass-path-max", 0700));
		next = MUST(openat(dir, "a-directory-with-a-rather-long-name-to-pass-path-max", O_RDONLY));
		close(dir);
		dir = next;
	}
	CHECK_OK(fchdir(dir));
	char path[PATH_MAX];
	CHECK_ERR(syscall(SYS_getcwd, path, sizeof path), ENAMETOOLONG);
	/* Taken down again by hand: the harness removes by paths. */
	close(dir);
	for (int i = 0; i < 100; i++) {
		CHECK_OK(chdir(".."));
		CHECK_OK(rmdir("a-directory-with-a-rather-long-name-to-pass-path-max"));
	}
}
