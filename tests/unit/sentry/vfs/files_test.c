/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor tables, and buffers without a guest. */
#include "../fs/fs_fixture.h"

static struct thread_group group;
static struct task task = {.group = &group};
static const struct file_ops null_ops;
static int released;

static void count_release(struct file *file)
{
	(void)file;
	released++;
}

static const struct file_ops counting_ops = {.release = count_release};

static void make_table(void)
{
	group.rlimits[LINUX_RLIMIT_NOFILE].cur = 1000;
	task.files = files_new();
	cr_assert_not_null(task.files);
}

static struct file *a_file(void)
{
	struct file *f = file_new_anon(NULL, "anon_inode:[test]", &counting_ops, LINUX_O_RDWR, NULL);

	cr_assert_not_null(f);
	return f;
}

TestSuite(files, .init = make_table);

Test(files, the_lowest_free_number_is_used)
{
	for (int i = 0; i < 200; i++)
		cr_assert_eq(fd_install(&task, a_file(), 0, false), i);
	cr_assert_eq(fd_close(&task, 70), 0);
	cr_assert_eq(fd_close(&task, 3), 0);
	cr_assert_eq(fd_close(&task, 3), -LINUX_EBADF);
	cr_assert_eq(fd_install(&task, a_file(), 50, false), 70);
	cr_assert_eq(fd_install(&task, a_file(), 0, false), 3);
	cr_assert_eq(fd_install(&task, a_file(), 0, false), 200);
	cr_assert_eq(fd_install(&task, a_file(), 500, true), 500);
	cr_assert_eq(fd_install(&task, a_file(), 0, false), 201);
	cr_assert(fd_cloexec(&task, 500));
	cr_assert_eq(released, 2);
}

Test(files, limits)
{
	group.rlimits[LINUX_RLIMIT_NOFILE].cur = 10;
	for (int i = 0; i < 10; i++)
		cr_assert_eq(fd_install(&task, a_file(), 0, false), i);
	cr_assert_eq(fd_install(&task, a_file(), 0, false), -LINUX_EMFILE);
	cr_assert_eq(released, 1);
	cr_assert_eq(fd_install_at(&task, a_file(), 10, false), -LINUX_EBADF);
	group.rlimits[LINUX_RLIMIT_NOFILE].cur = LINUX_RLIM_INFINITY;
	cr_assert_eq(fd_install_at(&task, a_file(), 1 << 20, false), -LINUX_EBADF);
	cr_assert_eq(fd_install_at(&task, a_file(), (1 << 20) - 1, false), (1 << 20) - 1);
	cr_assert_eq(fd_install(&task, a_file(), (1 << 20) - 1, false), -LINUX_EMFILE);
}

Test(files, copies_and_exec)
{
	struct files *copy;

	cr_assert_eq(fd_install(&task, a_file(), 0, true), 0);
	cr_assert_eq(fd_install(&task, a_file(), 0, false), 1);
	cr_assert_eq(fd_install_at(&task, a_file(), 300, true), 300);
	copy = files_dup(task.files);
	cr_assert_not_null(copy);
	files_close_on_exec(&task);
	cr_assert_eq(files_next(task.files, 0), 1);
	cr_assert_eq(files_next(task.files, 2), -1);
	cr_assert_eq(released, 0);
	cr_assert_eq(files_next(copy, 2), 300);
	files_put(NULL, copy);
	cr_assert_eq(released, 2);
	files_put(NULL, task.files);
	cr_assert_eq(released, 3);
}

Test(files, path_descriptors_are_kept_apart)
{
	struct file *f = file_new_anon(NULL, "x", &null_ops, LINUX_O_PATH, NULL);

	cr_assert_eq(fd_install(&task, f, 0, false), 0);
	cr_assert_null(fd_get(&task, 0));
	f = fd_get_path(&task, 0);
	cr_assert_not_null(f);
	file_put(f);
	cr_assert_null(fd_get_path(&task, -1));
	cr_assert_null(fd_get_path(&task, 1 << 30));
}

Test(iobuf, memory_moves_and_reverts)
{
	char text[] = "0123456789", out[20] = "";
	struct iobuf b;

	iobuf_init_mem(&b, text, 10);
	cr_assert_eq(iobuf_get(&b, out, 4), 4);
	iobuf_revert(&b, 2);
	cr_assert_eq(iobuf_get(&b, out + 4, 20), 8);
	cr_assert_str_eq(out, "012323456789");
	cr_assert_eq(b.left, 0);
	iobuf_init_mem(&b, text, 10);
	b.left = 3; /* a cut transfer */
	cr_assert_eq(iobuf_put(&b, "abcdef", 6), 3);
	cr_assert_str_eq(text, "abc3456789");
	b.left = 7;
	cr_assert_eq(iobuf_put_zeros(&b, 2), 2);
	cr_assert_eq(text[4], 0);
	cr_assert_eq(text[5], '5');
}
