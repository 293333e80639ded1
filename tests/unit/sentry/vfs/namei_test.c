/* SPDX-License-Identifier: Apache-2.0 */
/* Path walks: links, "..", roots, mounts, RESOLVE flags, permissions; open(2)'s errors in their order. */
#include "../fs/fs_fixture.h"

#include "sentry/abi/capability.h"

static struct cred user_cred = {
	.ref = {1}, .uid = 1000, .euid = 1000, .suid = 1000, .fsuid = 1000, .gid = 1000, .egid = 1000, .sgid = 1000, .fsgid = 1000};
static struct fs_context user_fs = {.ref = {1}, .umask = 022};
static struct task user;

static void make_tree(void)
{
	struct memfs_options o = {.fs_type = "tmpfs"};
	struct superblock *sb;
	struct path p;
	int err;

	fixture_root(false);
	cr_assert_eq(vfs_mkdir(boot, LINUX_AT_FDCWD, "/a", 0755), 0);
	cr_assert_eq(vfs_mkdir(boot, LINUX_AT_FDCWD, "/a/b", 0755), 0);
	cr_assert_eq(vfs_mkdir(boot, LINUX_AT_FDCWD, "/m", 0755), 0);
	cr_assert_eq(vfs_mkdir(boot, LINUX_AT_FDCWD, "/secret", 0700), 0);
	cr_assert_eq(fx_write_file("/a/b/f", "file"), 0);
	cr_assert_eq(fx_write_file("/secret/f", "file"), 0);
	cr_assert_eq(vfs_symlink(boot, "b", LINUX_AT_FDCWD, "/a/rel"), 0);
	cr_assert_eq(vfs_symlink(boot, "/a/b", LINUX_AT_FDCWD, "/a/abs"), 0);
	cr_assert_eq(vfs_symlink(boot, "../../..", LINUX_AT_FDCWD, "/a/up"), 0);
	cr_assert_eq(vfs_symlink(boot, "loop2", LINUX_AT_FDCWD, "/loop1"), 0);
	cr_assert_eq(vfs_symlink(boot, "loop1", LINUX_AT_FDCWD, "/loop2"), 0);
	cr_assert_eq(vfs_symlink(boot, "/a/missing", LINUX_AT_FDCWD, "/dangling"), 0);
	cr_assert_eq(vfs_symlink(boot, "b/f", LINUX_AT_FDCWD, "/a/to-file"), 0);
	sb = memfs_new_superblock(&o, &err);
	cr_assert_not_null(sb);
	cr_assert_eq(fx_lookup("/m", &p), 0);
	cr_assert_eq(vfs_mount(sb, NULL, &p, 0, "none", ""), 0);
	path_put(&p);
	cr_assert_eq(fx_write_file("/m/inside", "m"), 0);
	user = *boot;
	user.cred = &user_cred;
	user.fs = &user_fs;
	user_fs.root = boot->fs->root;
	user_fs.cwd = boot->fs->cwd;
}

static int walk(struct task *task, const char *path, unsigned flags, char **name)
{
	struct path p;
	int err = vfs_lookup(task, LINUX_AT_FDCWD, path, flags, &p);

	if (err != 0)
		return err;
	if (name != NULL)
		cr_assert_eq(vfs_path_name(task, &p, true, name), 0);
	path_put(&p);
	return 0;
}

#define expect_name(path, flags, want)                                                                                 \
	do {                                                                                                           \
		char *name_ = NULL;                                                                                    \
		cr_assert_eq(walk(boot, path, flags, &name_), 0, "%s", path);                                          \
		cr_assert_str_eq(name_, want);                                                                         \
		kfree(name_);                                                                                          \
	} while (0)
#define expect_err(path, flags, want)                                                                                  \
	do {                                                                                                           \
		int err_ = walk(boot, path, flags, NULL);                                                              \
		cr_assert_eq(err_, -(want), "%s: %d", path, err_);                                                     \
	} while (0)

TestSuite(namei, .init = make_tree);

Test(namei, names)
{
	expect_name("/", 0, "/");
	expect_name("//a///b/./f", 0, "/a/b/f");
	expect_name("/a/b/../../a/b/..", 0, "/a");
	expect_name("/../../..", 0, "/");
	expect_name("a/b/", 0, "/a/b");
	expect_name("/m/inside", 0, "/m/inside");
	expect_name("/m/..", 0, "/");
	expect_name("/m/../m/.", 0, "/m");
	expect_name("/a/rel/f", 0, "/a/b/f");
	expect_name("/a/rel", 0, "/a/rel");
	expect_name("/a/rel", LOOKUP_FOLLOW, "/a/b");
	expect_name("/a/rel/", 0, "/a/b");
	expect_name("/a/up", LOOKUP_FOLLOW, "/");
	expect_err("", 0, LINUX_ENOENT);
	expect_name("", LOOKUP_EMPTY, "/");
	expect_err("/a/b/f/", 0, LINUX_ENOTDIR);
	expect_err("/a/b/f/x", 0, LINUX_ENOTDIR);
	expect_err("/a/b/f/..", 0, LINUX_ENOTDIR);
	expect_err("/a/to-file/", 0, LINUX_ENOTDIR);
	expect_err("/a/missing/x", 0, LINUX_ENOENT);
	expect_err("/loop1", LOOKUP_FOLLOW, LINUX_ELOOP);
	expect_name("/loop1", 0, "/loop1");
	expect_err("/loop1/", 0, LINUX_ELOOP);
	expect_err("/dangling", LOOKUP_FOLLOW, LINUX_ENOENT);
	expect_err("/a/b", LOOKUP_DIRECTORY | LOOKUP_NO_SYMLINKS | LOOKUP_BENEATH, LINUX_EXDEV);
	expect_err("/a/b/f", LOOKUP_DIRECTORY, LINUX_ENOTDIR);
}

Test(namei, long_names)
{
	char name[5000] = "/";

	memset(name + 1, 'x', 255);
	expect_err(name, 0, LINUX_ENOENT);
	cr_assert_eq(vfs_mkdir(boot, LINUX_AT_FDCWD, name, 0755), 0);
	expect_name(name, 0, name);
	memset(name + 1, 'x', 256);
	expect_err(name, 0, LINUX_ENAMETOOLONG);
	memset(name, '/', 4095);
	name[4095] = '\0';
	expect_name(name, 0, "/");
	memset(name, '/', 4096);
	name[4096] = '\0';
	expect_err(name, 0, LINUX_ENAMETOOLONG);
}

Test(namei, forty_links_are_followed_and_no_more)
{
	char name[16], target[16] = "/a";

	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "/l%d", i);
		cr_assert_eq(vfs_symlink(boot, target, LINUX_AT_FDCWD, name), 0);
		strcpy(target, name);
	}
	expect_name("/l40", LOOKUP_FOLLOW, "/a");
	expect_err("/l41", LOOKUP_FOLLOW, LINUX_ELOOP);
}

Test(namei, resolve_flags)
{
	expect_err("a/rel/f", LOOKUP_NO_SYMLINKS, LINUX_ELOOP);
	expect_name("a/b/f", LOOKUP_NO_SYMLINKS, "/a/b/f");
	expect_err("m/inside", LOOKUP_NO_XDEV, LINUX_EXDEV);
	expect_name("a/../a", LOOKUP_BENEATH, "/a");
	expect_err("..", LOOKUP_BENEATH, LINUX_EXDEV);
	expect_err("a/abs", LOOKUP_FOLLOW | LOOKUP_BENEATH, LINUX_EXDEV);
	expect_name("a/abs", LOOKUP_FOLLOW | LOOKUP_IN_ROOT, "/a/b");
	expect_name("/../a/up", LOOKUP_FOLLOW | LOOKUP_IN_ROOT, "/");
}

Test(namei, a_changed_root_holds)
{
	struct path p;

	cr_assert_eq(fx_lookup("/a", &p), 0);
	path_get(&p);
	fs_set_root(boot->fs, &p);
	fs_set_cwd(boot->fs, &p);
	expect_name("/../../b/f", 0, "/b/f");
	expect_err("/abs", LOOKUP_FOLLOW, LINUX_ENOENT);
	expect_name("/up", LOOKUP_FOLLOW, "/");
	expect_err("/m", 0, LINUX_ENOENT);
}

Test(namei, search_permission)
{
	struct file *file = NULL;

	cr_assert_eq(walk(&user, "/secret", 0, NULL), 0);
	cr_assert_eq(walk(&user, "/secret/f", 0, NULL), -LINUX_EACCES);
	cr_assert_eq(walk(&user, "/secret/missing", 0, NULL), -LINUX_EACCES);
	cr_assert_eq(walk(&user, "/secret/..", 0, NULL), -LINUX_EACCES);
	cr_assert_eq(vfs_open(&user, LINUX_AT_FDCWD, "/a/new", LINUX_O_RDWR | LINUX_O_CREAT, 0644, 0, &file), -LINUX_EACCES);
	cr_assert_eq(vfs_open(&user, LINUX_AT_FDCWD, "/a/b/f", LINUX_O_RDWR, 0, 0, &file), -LINUX_EACCES);
	cr_assert_eq(vfs_open(&user, LINUX_AT_FDCWD, "/a/b/f", LINUX_O_RDONLY | LINUX_O_TRUNC, 0, 0, &file), -LINUX_EACCES);
	cr_assert_eq(vfs_open(&user, LINUX_AT_FDCWD, "/a/b/f", LINUX_O_RDONLY | LINUX_O_NOATIME, 0, 0, &file), -LINUX_EPERM);
	cr_assert_eq(vfs_open(&user, LINUX_AT_FDCWD, "/m/mine", LINUX_O_RDWR | LINUX_O_CREAT, 0666, 0, &file), 0);
	cr_assert_eq(file->inode->uid, 1000);
	cr_assert_eq(file->inode->mode, LINUX_S_IFREG | 0644);
	file_put(file);
	/* /m is 01777: others' names stay */
	cr_assert_eq(vfs_unlink(&user, LINUX_AT_FDCWD, "/m/inside"), -LINUX_EPERM);
	cr_assert_eq(vfs_rename(&user, LINUX_AT_FDCWD, "/m/inside", LINUX_AT_FDCWD, "/m/x", 0), -LINUX_EPERM);
	cr_assert_eq(vfs_unlink(&user, LINUX_AT_FDCWD, "/m/mine"), 0);
}

static int try_open(const char *path, uint32_t flags)
{
	struct file *file = NULL;
	int err = vfs_open(boot, LINUX_AT_FDCWD, path, flags, 0644, 0, &file);

	if (err == 0)
		file_put(file);
	return err;
}

Test(namei, open_flags)
{
	struct file *file = NULL;
	struct kstat st;

	cr_assert_eq(try_open("/a", LINUX_O_RDONLY), 0);
	cr_assert_eq(try_open("/a", LINUX_O_WRONLY), -LINUX_EISDIR);
	cr_assert_eq(try_open("/a", LINUX_O_RDONLY | LINUX_O_CREAT), -LINUX_EISDIR);
	cr_assert_eq(try_open("/a/new/", LINUX_O_RDWR | LINUX_O_CREAT), -LINUX_EISDIR);
	cr_assert_eq(try_open("/a/b/f", LINUX_O_RDONLY | LINUX_O_DIRECTORY), -LINUX_ENOTDIR);
	cr_assert_eq(try_open("/a/b/f", LINUX_O_RDWR | LINUX_O_CREAT | LINUX_O_EXCL), -LINUX_EEXIST);
	cr_assert_eq(try_open("/a/rel", LINUX_O_RDONLY | LINUX_O_NOFOLLOW), -LINUX_ELOOP);
	cr_assert_eq(try_open("/a/rel", LINUX_O_RDONLY | LINUX_O_NOFOLLOW | LINUX_O_DIRECTORY), -LINUX_ENOTDIR);
	cr_assert_eq(try_open("/a/rel", LINUX_O_PATH | LINUX_O_NOFOLLOW), 0);
	cr_assert_eq(try_open("/dangling", LINUX_O_RDWR | LINUX_O_CREAT | LINUX_O_EXCL), -LINUX_EEXIST);
	cr_assert_eq(fx_stat("/a/missing", &st), -LINUX_ENOENT);
	cr_assert_eq(try_open("/dangling", LINUX_O_RDWR | LINUX_O_CREAT), 0);
	cr_assert_eq(fx_stat("/a/missing", &st), 0);
	cr_assert_eq(try_open("/a", LINUX_O_CREAT | LINUX_O_DIRECTORY), -LINUX_EINVAL);
	cr_assert_eq(try_open("/a", LINUX_O_TMPFILE | LINUX_O_RDONLY), -LINUX_EINVAL);
	cr_assert_eq(try_open("/a/b/f", LINUX_O_TMPFILE | LINUX_O_RDWR), -LINUX_ENOTDIR);
	cr_assert_eq(vfs_open(boot, LINUX_AT_FDCWD, "/a", LINUX_O_TMPFILE | LINUX_O_RDWR, 0600, 0, &file), 0);
	cr_assert_eq(file->inode->nlink, 0);
	cr_assert_eq(vfs_link(boot, &file->path, LINUX_AT_FDCWD, "/a/named"), 0);
	cr_assert_eq(fx_stat("/a/named", &st), 0);
	cr_assert_eq(st.nlink, 1);
	file_put(file);
	cr_assert_eq(vfs_mknod(boot, LINUX_AT_FDCWD, "/sock", LINUX_S_IFSOCK | 0600, 0), 0);
	cr_assert_eq(try_open("/sock", LINUX_O_RDWR), -LINUX_ENXIO);
	cr_assert_eq(vfs_mknod(boot, LINUX_AT_FDCWD, "/blk", LINUX_S_IFBLK | 0600, LINUX_MKDEV(8, 0)), 0);
	cr_assert_eq(try_open("/blk", LINUX_O_RDWR), -LINUX_ENXIO);
}

Test(namei, text_file_busy)
{
	struct file *w = NULL, *x = NULL;

	cr_assert_eq(fx_chmod("/a/b/f", 0755), 0);
	cr_assert_eq(vfs_open(boot, LINUX_AT_FDCWD, "/a/b/f", LINUX_O_WRONLY, 0, 0, &w), 0);
	cr_assert_eq(vfs_open(boot, LINUX_AT_FDCWD, "/a/b/f", O_EXEC_INTERNAL, 0, 0, &x), -LINUX_ETXTBSY);
	file_put(w);
	cr_assert_eq(vfs_open(boot, LINUX_AT_FDCWD, "/a/b/f", O_EXEC_INTERNAL, 0, 0, &x), 0);
	x->inode->exec_count++;
	cr_assert_eq(vfs_open(boot, LINUX_AT_FDCWD, "/a/b/f", LINUX_O_WRONLY, 0, 0, &w), -LINUX_ETXTBSY);
	cr_assert_eq(vfs_open(boot, LINUX_AT_FDCWD, "/a", O_EXEC_INTERNAL, 0, 0, &w), -LINUX_EACCES);
	x->inode->exec_count--;
	file_put(x);
}

Test(namei, deleted_names_and_read_only_mounts)
{
	struct path p;
	char *name;

	cr_assert_eq(fx_lookup("/a/b/f", &p), 0);
	cr_assert_eq(vfs_unlink(boot, LINUX_AT_FDCWD, "/a/b/f"), 0);
	cr_assert_eq(vfs_path_name(boot, &p, true, &name), 0);
	cr_assert_str_eq(name, "/a/b/f (deleted)");
	path_put(&p);
	cr_assert_eq(fx_lookup("/m", &p), 0);
	p.mount->flags |= LINUX_MS_RDONLY;
	path_put(&p);
	cr_assert_eq(try_open("/m/inside", LINUX_O_RDWR), -LINUX_EROFS);
	cr_assert_eq(try_open("/m/new", LINUX_O_RDWR | LINUX_O_CREAT), -LINUX_EROFS);
	cr_assert_eq(try_open("/m/inside", LINUX_O_RDONLY | LINUX_O_CREAT), 0);
	cr_assert_eq(vfs_mkdir(boot, LINUX_AT_FDCWD, "/m/inside", 0755), -LINUX_EEXIST);
	cr_assert_eq(vfs_mkdir(boot, LINUX_AT_FDCWD, "/m/d", 0755), -LINUX_EROFS);
	cr_assert_eq(vfs_rmdir(boot, LINUX_AT_FDCWD, "/m"), -LINUX_EBUSY);
}
