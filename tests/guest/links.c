/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of files: hard and symbolic links, removing and renaming, device nodes.
 * covers: link linkat symlink symlinkat readlink readlinkat unlink unlinkat rename renameat renameat2 mknod mknodat
 */
#include "t.h"

#include <linux/fs.h>
#include <sys/sysmacros.h>

static ino_t inode(const char *path)
{
	struct stat st;

	CHECK_OK(lstat(path, &st));
	return st.st_ino;
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

TEST(link_adds_a_name_for_the_same_file)
{
	struct stat st;
	char text[8];

	t_scratch();
	t_put("a", "one");
	CHECK_OK(syscall(SYS_link, "a", "b"));
	CHECK_EQ(inode("a"), inode("b"));
	CHECK_OK(stat("a", &st));
	CHECK_EQ(st.st_nlink, 2);
	t_put("b", "two");
	t_get("a", text, sizeof text);
	CHECK_STR(text, "two");
	CHECK_OK(unlink("a"));
	CHECK_OK(stat("b", &st));
	CHECK_EQ(st.st_nlink, 1);
}

TEST(errors_of_link)
{
	t_scratch();
	t_put("a", "x");
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(symlink("missing", "dangling"));
	CHECK_ERR(syscall(SYS_link, "a", "a"), EEXIST);
	CHECK_ERR(syscall(SYS_link, "a", "d"), EEXIST);
	CHECK_ERR(syscall(SYS_link, "a", "dangling"), EEXIST);
	CHECK_ERR(syscall(SYS_link, "missing", "b"), ENOENT);
	CHECK_ERR(syscall(SYS_link, "a", "missing/b"), ENOENT);
	CHECK_ERR(syscall(SYS_link, "a", "a/b"), ENOTDIR);
	CHECK_ERR(syscall(SYS_link, "d", "e"), EPERM);
	CHECK_ERR(syscall(SYS_link, "a", "b/"), ENOENT);
	CHECK_ERR(syscall(SYS_link, "", "b"), ENOENT);
	CHECK_ERR(syscall(SYS_link, t_bad, "b"), EFAULT);
	CHECK_ERR(syscall(SYS_link, "a", t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_link, "a", "/dev/shm/guest-test-link"), EXDEV);
	CHECK_ERR(syscall(SYS_linkat, AT_FDCWD, "a", AT_FDCWD, "b", 0x8000), EINVAL);
	CHECK_ERR(syscall(SYS_linkat, -1, "a", AT_FDCWD, "b", 0), EBADF);
	CHECK_ERR(syscall(SYS_linkat, AT_FDCWD, "a", -1, "b", 0), EBADF);
}

TEST(linkat_follows_only_when_told)
{
	struct stat st;

	t_scratch();
	t_put("file", "x");
	CHECK_OK(symlink("file", "link"));
	CHECK_OK(syscall(SYS_linkat, AT_FDCWD, "link", AT_FDCWD, "a", 0));
	CHECK_OK(lstat("a", &st));
	CHECK(S_ISLNK(st.st_mode));
	CHECK_OK(syscall(SYS_linkat, AT_FDCWD, "link", AT_FDCWD, "b", AT_SYMLINK_FOLLOW));
	CHECK_EQ(inode("b"), inode("file"));
}

TEST(symlink_and_readlink_keep_any_text)
{
	char text[64], *edge;

	t_scratch();
	CHECK_OK(syscall(SYS_symlink, "any/thing at all", "l"));
	CHECK_EQ(syscall(SYS_readlink, "l", text, sizeof text), 16);
	CHECK_MEM(text, "any/thing at all", 16);
	memset(text, '#', sizeof text);
	CHECK_EQ(syscall(SYS_readlink, "l", text, 3), 3);
	CHECK_MEM(text, "any#", 4);
	edge = t_edge(16);
	CHECK_EQ(syscall(SYS_readlink, "l", edge, 4096), 16);
	CHECK_ERR(syscall(SYS_readlink, "l", t_edge(5), 16), EFAULT);
	CHECK_ERR(syscall(SYS_readlink, "l", text, 0), EINVAL);
	CHECK_ERR(syscall(SYS_readlink, "l", text, -1), EINVAL);
	CHECK_ERR(syscall(SYS_readlink, ".", text, 10), EINVAL);
	CHECK_ERR(syscall(SYS_readlink, "missing", text, 10), ENOENT);
	CHECK_ERR(syscall(SYS_readlink, t_bad, text, 10), EFAULT);
	CHECK_ERR(syscall(SYS_readlink, "l", t_bad, 10), EFAULT);
	CHECK_ERR(syscall(SYS_readlinkat, -1, "l", text, 10), EBADF);
	CHECK_EQ(syscall(SYS_readlinkat, AT_FDCWD, "l", text, 64), 16);
	int fd = MUST(open("l", O_PATH | O_NOFOLLOW));
	CHECK_EQ(syscall(SYS_readlinkat, fd, "", text, 64), 16);
	close(fd);
}

TEST(errors_of_symlink)
{
	static char long_text[PATH_MAX + 1];

	t_scratch();
	t_put("f", "x");
	CHECK_ERR(syscall(SYS_symlink, "x", "f"), EEXIST);
	CHECK_ERR(syscall(SYS_symlink, "", "l"), ENOENT);
	CHECK_ERR(syscall(SYS_symlink, "x", ""), ENOENT);
	CHECK_ERR(syscall(SYS_symlink, "x", "missing/l"), ENOENT);
	CHECK_ERR(syscall(SYS_symlink, "x", "f/l"), ENOTDIR);
	CHECK_ERR(syscall(SYS_symlink, t_bad, "l"), EFAULT);
	CHECK_ERR(syscall(SYS_symlink, "x", t_bad), EFAULT);
	memset(long_text, 'a', PATH_MAX);
	CHECK_ERR(syscall(SYS_symlink, long_text, "l"), ENAMETOOLONG);
	CHECK_ERR(syscall(SYS_symlinkat, "x", -1, "l"), EBADF);
	CHECK_OK(syscall(SYS_symlinkat, "x", AT_FDCWD, "l"));
}

TEST(unlink_removes_names_not_directories)
{
	t_scratch();
	t_put("f", "x");
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(symlink("f", "l"));
	CHECK_ERR(syscall(SYS_unlink, "d"), EISDIR);
	CHECK_ERR(syscall(SYS_unlink, "missing"), ENOENT);
	CHECK_ERR(syscall(SYS_unlink, ""), ENOENT);
	CHECK_ERR(syscall(SYS_unlink, "f/"), ENOTDIR);
	CHECK_ERR(syscall(SYS_unlink, "f/x"), ENOTDIR);
	CHECK_ERR(syscall(SYS_unlink, t_bad), EFAULT);
	CHECK_OK(syscall(SYS_unlink, "l"));
	CHECK(exists("f"));
	CHECK_ERR(syscall(SYS_unlinkat, AT_FDCWD, "d", 0), EISDIR);
	CHECK_ERR(syscall(SYS_unlinkat, AT_FDCWD, "f", AT_REMOVEDIR), ENOTDIR);
	CHECK_ERR(syscall(SYS_unlinkat, AT_FDCWD, "d", 1), EINVAL);
	CHECK_ERR(syscall(SYS_unlinkat, -1, "d", 0), EBADF);
	CHECK_OK(syscall(SYS_unlinkat, AT_FDCWD, "d", AT_REMOVEDIR));
	CHECK_OK(syscall(SYS_unlinkat, AT_FDCWD, "f", 0));
	CHECK(!exists("f") && !exists("d"));
}

TEST(rename_replaces_files_atomically)
{
	char text[8];
	ino_t a;
	int fd;

	t_scratch();
	t_put("a", "A");
	t_put("b", "B");
	a = inode("a");
	fd = MUST(open("b", O_RDONLY));
	CHECK_OK(syscall(SYS_rename, "a", "b"));
	CHECK(!exists("a"));
	CHECK_EQ(inode("b"), a);
	CHECK_EQ(read(fd, text, 1), 1);
	CHECK_EQ(text[0], 'B');
	CHECK_OK(rename("b", "b"));
	CHECK_OK(link("b", "c"));
	CHECK_OK(rename("b", "c"));
	CHECK(exists("b") && exists("c"));
	close(fd);
}

TEST(rename_of_directories)
{
	t_scratch();
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(mkdir("d/sub", 0755));
	CHECK_OK(mkdir("empty", 0755));
	CHECK_OK(mkdir("full", 0755));
	t_put("full/f", "x");
	t_put("file", "x");
	CHECK_ERR(syscall(SYS_rename, "d", "d/sub/x"), EINVAL);
	CHECK_ERR(syscall(SYS_rename, "d", "full"), ENOTEMPTY);
	CHECK_ERR(syscall(SYS_rename, "d/sub", "d"), ENOTEMPTY);
	CHECK_ERR(syscall(SYS_rename, "d", "file"), ENOTDIR);
	CHECK_ERR(syscall(SYS_rename, "file", "d"), EISDIR);
	CHECK_OK(syscall(SYS_rename, "d", "empty"));
	CHECK(exists("empty/sub") && !exists("d"));
	CHECK_OK(syscall(SYS_rename, "empty/", "new/"));
	CHECK_ERR(syscall(SYS_rename, "file", "x/"), ENOTDIR);
}

TEST(errors_of_rename)
{
	t_scratch();
	t_put("f", "x");
	CHECK_ERR(syscall(SYS_rename, "missing", "x"), ENOENT);
	CHECK_ERR(syscall(SYS_rename, "f", "missing/x"), ENOENT);
	CHECK_ERR(syscall(SYS_rename, "f/x", "y"), ENOTDIR);
	CHECK_ERR(syscall(SYS_rename, "", "y"), ENOENT);
	CHECK_ERR(syscall(SYS_rename, ".", "y"), EBUSY);
	CHECK_ERR(syscall(SYS_rename, "f", ".."), EBUSY);
	CHECK_ERR(syscall(SYS_rename, t_bad, "y"), EFAULT);
	CHECK_ERR(syscall(SYS_rename, "f", t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_rename, "f", "/proc/x"), EXDEV);
	CHECK_ERR(syscall(SYS_renameat, -1, "f", AT_FDCWD, "y"), EBADF);
	CHECK_OK(syscall(SYS_renameat, AT_FDCWD, "f", AT_FDCWD, "y"));
}

TEST(renameat2_noreplace_and_exchange)
{
	ino_t a, b;

	t_scratch();
	t_put("a", "A");
	CHECK_OK(mkdir("b", 0755));
	a = inode("a");
	b = inode("b");
	CHECK_ERR(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	CHECK_OK(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
	CHECK_OK(syscall(SYS_renameat2, AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE));
	CHECK_EQ(inode("b"), a);
	CHECK_EQ(inode("c"), b);
	CHECK_ERR(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "missing", RENAME_EXCHANGE), ENOENT);
	CHECK_ERR(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "x", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
	CHECK_ERR(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "x", 64), EINVAL);
}

TEST(renaming_moves_a_directory_with_its_content)
{
	struct stat before, after;
	int fd;

	t_scratch();
	CHECK_OK(mkdir("from", 0755));
	CHECK_OK(mkdir("to", 0755));
	CHECK_OK(mkdir("from/d", 0755));
	t_put("from/d/f", "x");
	fd = MUST(open("from/d", O_RDONLY));
	CHECK_OK(stat("to", &before));
	CHECK_OK(rename("from/d", "to/e"));
	CHECK_OK(faccessat(fd, "f", F_OK, 0));
	CHECK_OK(faccessat(fd, "../e/f", F_OK, 0));
	CHECK_OK(stat("to", &after));
	if (before.st_nlink > 1)
		CHECK_EQ(after.st_nlink, before.st_nlink + 1);
	close(fd);
}

TEST(mknod_makes_files_fifos_and_sockets)
{
	struct stat st;
	mode_t old = umask(022);

	t_scratch();
	CHECK_OK(syscall(SYS_mknod, "f", S_IFREG | 0666, 0));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0644);
	CHECK_OK(syscall(SYS_mknod, "g", 0600, 0));
	CHECK_OK(stat("g", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0600);
	CHECK_OK(syscall(SYS_mknod, "p", S_IFIFO | 0600, 0));
	CHECK_OK(stat("p", &st));
	CHECK(S_ISFIFO(st.st_mode));
	CHECK_OK(syscall(SYS_mknodat, AT_FDCWD, "s", S_IFSOCK | 0600, 0));
	CHECK_OK(stat("s", &st));
	CHECK(S_ISSOCK(st.st_mode));
	CHECK_ERR(open("s", O_RDONLY), ENXIO);
	CHECK_ERR(syscall(SYS_mknod, "f", S_IFREG | 0600, 0), EEXIST);
	CHECK_ERR(syscall(SYS_mknod, "d", S_IFDIR | 0700, 0), EPERM);
	CHECK_ERR(syscall(SYS_mknod, "x", S_IFLNK | 0700, 0), EINVAL);
	CHECK_ERR(syscall(SYS_mknod, t_bad, S_IFREG | 0600, 0), EFAULT);
	CHECK_ERR(syscall(SYS_mknodat, -1, "x", S_IFREG | 0600, 0), EBADF);
	CHECK_ERR(syscall(SYS_mknod, "missing/x", S_IFREG | 0600, 0), ENOENT);
	umask(old);
}

TEST_ALONE(device_nodes_need_a_capability)
{
	t_scratch();
	CHECK_OK(chmod(".", 0777));
	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(syscall(SYS_mknod, "n", S_IFCHR | 0600, makedev(1, 3)), EPERM);
		CHECK_OK(syscall(SYS_mknod, "p", S_IFIFO | 0600, 0));
	}
}

TEST(names_may_hold_any_byte_but_slash_and_nul)
{
	t_scratch();
	t_put("new\nline", "x");
	t_put("\xff\xfe\x01", "x");
	t_put(" ", "x");
	t_put("...", "x");
	CHECK(exists("new\nline") && exists("\xff\xfe\x01") && exists(" ") && exists("..."));
}
