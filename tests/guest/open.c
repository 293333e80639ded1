/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening files: flags, modes, what is followed, and openat2's confinement.
 * covers: open openat openat2
 */
#include "t.h"

#include <linux/openat2.h>

/* A walk by "..", confined, during which somebody has renamed anything anywhere, is EAGAIN: to be tried again, as its page says. */
static int openat2(int dir, const char *path, struct open_how how)
{
	int fd;

	do
		fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
	while (fd < 0 && errno == EAGAIN && !(how.resolve & RESOLVE_CACHED));
	return fd;
}

static void close_all(int count, const int *fds)
{
	for (int i = 0; i < count; i++)
		CHECK_OK(close(fds[i]));
}

TEST(paths_that_lead_nowhere)
{
	static char path[PATH_MAX + 10];

	t_scratch();
	t_put("file", "x");
	CHECK_OK(mkdir("dir", 0755));
	CHECK_OK(symlink("loop", "loop"));
	CHECK_OK(symlink("missing", "dangling"));
	CHECK_ERR(open("missing", O_RDONLY), ENOENT);
	CHECK_ERR(open("", O_RDONLY), ENOENT);
	CHECK_ERR(open("missing/x", O_RDONLY), ENOENT);
	CHECK_ERR(open("file/x", O_RDONLY), ENOTDIR);
	CHECK_ERR(open("file/", O_RDONLY), ENOTDIR);
	CHECK_ERR(open("file/.", O_RDONLY), ENOTDIR);
	CHECK_ERR(open("loop", O_RDONLY), ELOOP);
	CHECK_ERR(open("loop/x", O_RDONLY), ELOOP);
	CHECK_ERR(open("dangling", O_RDONLY), ENOENT);
	memset(path, 'a', 256);
	CHECK_ERR(open(path, O_RDONLY), ENAMETOOLONG);
	path[255] = 0;
	CHECK_ERR(open(path, O_RDONLY), ENOENT);
	memset(path, '/', PATH_MAX);
	CHECK_ERR(open(path, O_RDONLY), ENAMETOOLONG);
	path[PATH_MAX - 1] = 0;
	close(MUST(open(path, O_RDONLY)));
}

TEST(bad_path_pointers_give_efault)
{
	t_scratch();
	t_put("file", "x");
	CHECK_ERR(syscall(SYS_open, t_bad, O_RDONLY), EFAULT);
	CHECK_ERR(syscall(SYS_open, t_kernel, O_RDONLY), EFAULT);
	CHECK_ERR(syscall(SYS_openat, AT_FDCWD, t_null, O_RDONLY), EFAULT);
	CHECK_ERR(open(t_cut_string("file"), O_RDONLY), EFAULT);
	close(MUST(open(t_edge_string("file"), O_RDONLY)));
}

TEST(openat_starts_at_the_descriptor)
{
	int dir, file, fd;

	t_scratch();
	CHECK_OK(mkdir("dir", 0755));
	t_put("dir/file", "x");
	dir = MUST(open("dir", O_RDONLY));
	file = MUST(openat(dir, "file", O_RDONLY));
	fd = MUST(openat(-1, "/dev/null", O_RDONLY));
	close(fd);
	fd = MUST(openat(dir, "../dir/./file", O_RDONLY));
	close(fd);
	CHECK_ERR(openat(-1, "file", O_RDONLY), EBADF);
	CHECK_ERR(openat(9999, "file", O_RDONLY), EBADF);
	CHECK_ERR(openat(file, "file", O_RDONLY), ENOTDIR);
	CHECK_ERR(openat(dir, "", O_RDONLY), ENOENT);
	CHECK_ERR(openat(AT_FDCWD, "file", O_RDONLY), ENOENT);
	close_all(2, (int[]){dir, file});
}

TEST(a_removed_directory_finds_nothing)
{
	int dir;

	t_scratch();
	CHECK_OK(mkdir("dir", 0755));
	dir = MUST(open("dir", O_RDONLY));
	CHECK_OK(rmdir("dir"));
	CHECK_ERR(openat(dir, "x", O_RDONLY), ENOENT);
	CHECK_ERR(openat(dir, "x", O_RDWR | O_CREAT, 0600), ENOENT);
	close(dir);
}

TEST(o_creat_uses_mode_and_umask)
{
	struct stat st;
	mode_t old = umask(022);

	t_scratch();
	close(MUST(open("a", O_WRONLY | O_CREAT, 0666)));
	CHECK_OK(stat("a", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0644);
	close(MUST(open("a", O_WRONLY | O_CREAT, 0777)));
	CHECK_OK(stat("a", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0644);
	CHECK_EQ(st.st_uid, geteuid());
	umask(0);
	close(MUST(open("b", O_WRONLY | O_CREAT, 06777)));
	CHECK_OK(stat("b", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 06777);
	umask(old);
	/* A read-only mode doesn't hinder the descriptor that creates the file. */
	int fd = MUST(open("c", O_RDWR | O_CREAT, 0400));
	CHECK_EQ(write(fd, "x", 1), 1);
	close(fd);
}

TEST(o_excl_refuses_what_exists_even_a_dangling_link)
{
	t_scratch();
	close(MUST(open("new", O_RDWR | O_CREAT | O_EXCL, 0600)));
	CHECK_ERR(open("new", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	CHECK_OK(symlink("target", "link"));
	CHECK_ERR(open("link", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	CHECK_ERR(open(".", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	close(MUST(open("link", O_RDWR | O_CREAT, 0600)));
	close(MUST(open("target", O_RDONLY)));
}

TEST(o_creat_of_directories_and_slashes)
{
	t_scratch();
	CHECK_OK(mkdir("dir", 0755));
	CHECK_ERR(open("dir", O_RDONLY | O_CREAT, 0600), EISDIR);
	CHECK_ERR(open("dir/", O_RDONLY | O_CREAT, 0600), EISDIR);
	CHECK_ERR(open("new/", O_RDWR | O_CREAT, 0600), EISDIR);
	CHECK_ERR(open("missing/new", O_RDWR | O_CREAT, 0600), ENOENT);
	CHECK_ERR(open("dir", O_RDONLY | O_CREAT | O_DIRECTORY, 0600), EINVAL);
}

TEST(o_trunc_empties_a_file)
{
	struct stat st;

	t_scratch();
	t_put("file", "content");
	close(MUST(open("file", O_WRONLY | O_TRUNC)));
	CHECK_OK(stat("file", &st));
	CHECK_EQ(st.st_size, 0);
	CHECK_ERR(open(".", O_WRONLY | O_TRUNC), EISDIR);
}

TEST(o_nofollow_refuses_only_the_last_link)
{
	t_scratch();
	CHECK_OK(mkdir("dir", 0755));
	t_put("dir/file", "x");
	CHECK_OK(symlink("dir", "dirlink"));
	CHECK_OK(symlink("dir/file", "link"));
	CHECK_ERR(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
	CHECK_ERR(open("dirlink", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
	close(MUST(open("dirlink/file", O_RDONLY | O_NOFOLLOW)));
	close(MUST(open("dirlink/", O_RDONLY | O_NOFOLLOW | O_DIRECTORY)));
	close(MUST(open("dir/file", O_RDONLY | O_NOFOLLOW)));
	close(MUST(open("link", O_RDONLY)));
}

TEST(o_directory_wants_a_directory)
{
	t_scratch();
	t_put("file", "x");
	CHECK_OK(symlink(".", "link"));
	CHECK_ERR(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
	close(MUST(open(".", O_RDONLY | O_DIRECTORY)));
	close(MUST(open("link", O_RDONLY | O_DIRECTORY)));
}

TEST(o_path_gives_a_handle_without_access)
{
	int fd, dir;
	char c, path[64];
	struct stat st;

	t_scratch();
	t_put("file", "x");
	CHECK_OK(symlink("file", "link"));
	fd = MUST(open("file", O_PATH));
	CHECK_ERR(read(fd, &c, 1), EBADF);
	CHECK_ERR(write(fd, &c, 1), EBADF);
	CHECK_ERR(fchmod(fd, 0600), EBADF);
	CHECK_ERR(fchown(fd, -1, -1), EBADF);
	CHECK_ERR(ftruncate(fd, 0), EBADF);
	CHECK_ERR(lseek(fd, 0, SEEK_SET), EBADF);
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 1);
	CHECK_EQ(fcntl(fd, F_GETFL), O_PATH);
	CHECK_GE(fcntl(fd, F_GETFD), 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int again = MUST(open(path, O_RDONLY));
	CHECK_EQ(read(again, &c, 1), 1);
	close(again);
	close(fd);
	fd = MUST(open("link", O_PATH | O_NOFOLLOW));
	CHECK_OK(fstat(fd, &st));
	CHECK(S_ISLNK(st.st_mode));
	close(fd);
	dir = MUST(open(".", O_PATH | O_DIRECTORY));
	fd = MUST(openat(dir, "file", O_RDONLY));
	CHECK_OK(fchdir(dir));
	close_all(2, (int[]){fd, dir});
	CHECK_ERR(open("missing", O_PATH), ENOENT);
}

TEST(o_tmpfile_has_no_name_until_it_is_linked)
{
	int fd;
	struct stat st;
	char path[64], c;

	t_scratch();
	fd = MUST(open(".", O_TMPFILE | O_RDWR, 0640));
	CHECK_EQ(write(fd, "t", 1), 1);
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK(S_ISREG(st.st_mode));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK_OK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 1);
	close(fd);
	fd = MUST(open("named", O_RDONLY));
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(c, 't');
	close(fd);
	fd = MUST(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK_ERR(linkat(AT_FDCWD, path, AT_FDCWD, "never", AT_SYMLINK_FOLLOW), ENOENT);
	close(fd);
	CHECK_ERR(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
	CHECK_ERR(open("named", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
	CHECK_ERR(open("missing", O_TMPFILE | O_RDWR, 0600), ENOENT);
}

TEST(status_flags_are_reported_by_getfl)
{
	int fd;

	t_scratch();
	fd = MUST(open("f", O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_SYNC, 0600));
	CHECK_EQ(fcntl(fd, F_GETFL) & ~0100000, O_RDWR | O_APPEND | O_NONBLOCK | O_SYNC);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

TEST(access_mode_3_can_neither_read_nor_write)
{
	int fd;
	char c;

	t_scratch();
	t_put("f", "x");
	fd = MUST(open("f", 3));
	CHECK_ERR(read(fd, &c, 1), EBADF);
	CHECK_ERR(write(fd, &c, 1), EBADF);
	close(fd);
}

TEST(symlinks_are_followed_to_a_depth_of_40)
{
	char from[16], to[16];

	t_scratch();
	t_put("l0", "end");
	for (int i = 1; i <= 41; i++) {
		snprintf(from, sizeof from, "l%d", i - 1);
		snprintf(to, sizeof to, "l%d", i);
		CHECK_OK(symlink(from, to));
	}
	close(MUST(open("l40", O_RDONLY)));
	CHECK_ERR(open("l41", O_RDONLY), ELOOP);
}

TEST(dot_dot_of_the_root_is_the_root)
{
	struct stat a, b;

	CHECK_OK(stat("/", &a));
	CHECK_OK(stat("/../../..", &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(a.st_dev, b.st_dev);
}

TEST(dot_dot_after_a_symlink_goes_to_the_targets_parent)
{
	char c;
	int fd;

	t_scratch();
	CHECK_OK(mkdir("a", 0755));
	CHECK_OK(mkdir("a/b", 0755));
	t_put("a/mark", "A");
	t_put("mark", "T");
	CHECK_OK(symlink("a/b", "link"));
	fd = MUST(open("link/../mark", O_RDONLY));
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(c, 'A');
	close(fd);
}

TEST(openat2_checks_size_flags_and_mode)
{
	struct {
		struct open_how how;
		uint64_t more;
	} big = {{.flags = O_RDONLY}, 0};

	t_scratch();
	t_put("f", "x");
	close(MUST(openat2(AT_FDCWD, "f", (struct open_how){.flags = O_RDONLY})));
	CHECK_ERR(openat2(AT_FDCWD, "f", (struct open_how){.flags = 1ull << 40}), EINVAL);
	CHECK_ERR(openat2(AT_FDCWD, "f", (struct open_how){.flags = O_RDONLY, .mode = 0600}), EINVAL);
	CHECK_ERR(openat2(AT_FDCWD, "f", (struct open_how){.flags = O_CREAT | O_RDWR, .mode = 0200000}), EINVAL);
	CHECK_ERR(openat2(AT_FDCWD, "f", (struct open_how){.resolve = 0x1000}), EINVAL);
	CHECK_ERR(openat2(AT_FDCWD, "f", (struct open_how){.flags = O_PATH | O_RDWR}), EINVAL);
	CHECK_ERR(syscall(SYS_openat2, AT_FDCWD, "f", &big.how, 8), EINVAL);
	CHECK_ERR(syscall(SYS_openat2, AT_FDCWD, "f", t_bad, sizeof big.how), EFAULT);
	close(MUST(syscall(SYS_openat2, AT_FDCWD, "f", &big, sizeof big)));
	big.more = 1;
	CHECK_ERR(syscall(SYS_openat2, AT_FDCWD, "f", &big, sizeof big), E2BIG);
	CHECK_ERR(syscall(SYS_openat2, AT_FDCWD, t_bad, &big.how, sizeof big.how), EFAULT);
	CHECK_ERR(openat2(AT_FDCWD, "missing", (struct open_how){.flags = O_RDONLY}), ENOENT);
	CHECK_ERR(openat2(9999, "f", (struct open_how){.flags = O_RDONLY}), EBADF);
}

static struct open_how resolve(uint64_t flags)
{
	return (struct open_how){.flags = O_RDONLY, .resolve = flags};
}

TEST(resolve_no_symlinks_refuses_any_link)
{
	t_scratch();
	CHECK_OK(mkdir("d", 0755));
	t_put("d/f", "x");
	CHECK_OK(symlink("d", "link"));
	CHECK_OK(symlink("f", "d/flink"));
	close(MUST(openat2(AT_FDCWD, "d/f", resolve(RESOLVE_NO_SYMLINKS))));
	CHECK_ERR(openat2(AT_FDCWD, "link/f", resolve(RESOLVE_NO_SYMLINKS)), ELOOP);
	CHECK_ERR(openat2(AT_FDCWD, "d/flink", resolve(RESOLVE_NO_SYMLINKS)), ELOOP);
	close(MUST(openat2(AT_FDCWD, "link/flink", resolve(0))));
}

TEST(resolve_beneath_refuses_to_leave)
{
	int dir;

	t_scratch();
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(mkdir("d/e", 0755));
	t_put("d/f", "x");
	t_put("out", "x");
	CHECK_OK(symlink("../out", "d/escape"));
	CHECK_OK(symlink("/dev/null", "d/absolute"));
	CHECK_OK(symlink("../f", "d/e/inside"));
	dir = MUST(open("d", O_PATH));
	close(MUST(openat2(dir, "f", resolve(RESOLVE_BENEATH))));
	close(MUST(openat2(dir, "e/../f", resolve(RESOLVE_BENEATH))));
	close(MUST(openat2(dir, "e/inside", resolve(RESOLVE_BENEATH))));
	CHECK_ERR(openat2(dir, "../out", resolve(RESOLVE_BENEATH)), EXDEV);
	CHECK_ERR(openat2(dir, "escape", resolve(RESOLVE_BENEATH)), EXDEV);
	CHECK_ERR(openat2(dir, "absolute", resolve(RESOLVE_BENEATH)), EXDEV);
	CHECK_ERR(openat2(dir, "/dev/null", resolve(RESOLVE_BENEATH)), EXDEV);
	close(dir);
}

TEST(resolve_in_root_treats_the_descriptor_as_root)
{
	int dir;
	struct stat a, b;

	t_scratch();
	CHECK_OK(mkdir("d", 0755));
	t_put("d/f", "x");
	CHECK_OK(symlink("/f", "d/absolute"));
	CHECK_OK(symlink("../../f", "d/up"));
	CHECK_OK(stat("d/f", &a));
	dir = MUST(open("d", O_PATH));
	const char *paths[] = {"/f", "../../f", "absolute", "up", "/../f"};
	for (size_t i = 0; i < T_COUNT(paths); i++) {
		int fd = MUST(openat2(dir, paths[i], resolve(RESOLVE_IN_ROOT)));

		CHECK_OK(fstat(fd, &b));
		CHECK_EQ(a.st_ino, b.st_ino);
		close(fd);
	}
	CHECK_ERR(openat2(dir, "/dev/null", resolve(RESOLVE_IN_ROOT)), ENOENT);
	CHECK_ERR(openat2(dir, "f", resolve(RESOLVE_IN_ROOT | RESOLVE_BENEATH)), EINVAL);
	close(dir);
}

TEST(resolve_no_magiclinks_and_no_xdev)
{
	int fd;
	char path[64];

	t_scratch();
	t_put("f", "x");
	fd = MUST(open("f", O_RDONLY));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	close(MUST(openat2(AT_FDCWD, path, resolve(0))));
	CHECK_ERR(openat2(AT_FDCWD, path, resolve(RESOLVE_NO_MAGICLINKS)), ELOOP);
	CHECK_ERR(openat2(AT_FDCWD, "/proc/self/status", resolve(RESOLVE_NO_XDEV)), EXDEV);
	close(MUST(openat2(AT_FDCWD, "f", resolve(RESOLVE_NO_XDEV))));
	close(fd);
}
