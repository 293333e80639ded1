/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of record locks: cutting, merging, conflicts, owners. Nothing here sleeps. */
#include "sentry/vfs/locks.h"

#include "sentry/abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct thread_group group_a = {.pid = 10}, group_b = {.pid = 20};
static struct task a = {.group = &group_a, .files = (struct files *)&group_a};
static struct task b = {.group = &group_b, .files = (struct files *)&group_b};
static struct inode inode;
static struct file file = {.inode = &inode, .mode = FMODE_READ | FMODE_WRITE};
static struct file other = {.inode = &inode, .mode = FMODE_READ | FMODE_WRITE};
static char seen[256];

static int set(struct task *t, int type, int64_t start, int64_t len)
{
	struct linux_flock fl = {.type = (int16_t)type, .whence = LINUX_SEEK_SET, .start = start, .len = len};

	return locks_set(t, &file, LINUX_F_SETLK, &fl);
}

static void add_view(void *arg, const struct lock_view *v)
{
	size_t len = strlen(seen);

	(void)arg;
	if (v->end == INT64_MAX)
		snprintf(seen + len, sizeof(seen) - len, "%d%c%llu- ", v->pid, v->type == LINUX_F_WRLCK ? 'w' : 'r',
			 (unsigned long long)v->start);
	else
		snprintf(seen + len, sizeof(seen) - len, "%d%c%llu-%llu ", v->pid, v->type == LINUX_F_WRLCK ? 'w' : 'r',
			 (unsigned long long)v->start, (unsigned long long)v->end);
}

static const char *all(void)
{
	seen[0] = '\0';
	locks_for_each(add_view, NULL);
	return seen;
}

static void reset(void)
{
	locks_free(&inode);
}

TestSuite(locks, .fini = reset);

Test(locks, unlock_in_the_middle_leaves_two_ranges)
{
	cr_assert_eq(set(&a, LINUX_F_WRLCK, 0, 100), 0);
	cr_assert_eq(set(&a, LINUX_F_UNLCK, 40, 20), 0);
	cr_assert_str_eq(all(), "10w0-39 10w60-99 ");
}

Test(locks, neighbours_of_one_type_become_one)
{
	cr_assert_eq(set(&a, LINUX_F_RDLCK, 0, 10), 0);
	cr_assert_eq(set(&a, LINUX_F_RDLCK, 20, 10), 0);
	cr_assert_eq(set(&a, LINUX_F_RDLCK, 10, 10), 0);
	cr_assert_str_eq(all(), "10r0-29 ");
}

Test(locks, another_type_inside_cuts_in_three)
{
	cr_assert_eq(set(&a, LINUX_F_RDLCK, 0, 0), 0);
	cr_assert_eq(set(&a, LINUX_F_WRLCK, 10, 10), 0);
	cr_assert_str_eq(all(), "10r0-9 10r20- 10w10-19 ");
	cr_assert_eq(set(&a, LINUX_F_UNLCK, 0, 0), 0);
	cr_assert_str_eq(all(), "");
	cr_assert_null(inode.locks);
}

Test(locks, negative_length_is_the_bytes_before)
{
	cr_assert_eq(set(&a, LINUX_F_WRLCK, 10, -4), 0);
	cr_assert_str_eq(all(), "10w6-9 ");
	cr_assert_eq(set(&a, LINUX_F_WRLCK, 3, -4), -LINUX_EINVAL);
	cr_assert_eq(set(&a, LINUX_F_WRLCK, INT64_MAX, 2), -LINUX_EOVERFLOW);
}

Test(locks, readers_share_writers_do_not)
{
	struct linux_flock fl = {.type = LINUX_F_WRLCK, .start = 0, .len = 0};

	cr_assert_eq(set(&a, LINUX_F_RDLCK, 5, 5), 0);
	cr_assert_eq(set(&b, LINUX_F_RDLCK, 0, 7), 0);
	cr_assert_eq(set(&b, LINUX_F_WRLCK, 8, 1), -LINUX_EAGAIN);
	cr_assert_eq(set(&b, LINUX_F_WRLCK, 10, 1), 0);
	cr_assert_eq(locks_get(&b, &file, LINUX_F_GETLK, &fl), 0);
	cr_assert(fl.type == LINUX_F_RDLCK && fl.pid == 10 && fl.start == 5 && fl.len == 5);
}

Test(locks, closing_drops_the_owners_locks_only)
{
	cr_assert_eq(set(&a, LINUX_F_RDLCK, 0, 1), 0);
	cr_assert_eq(set(&b, LINUX_F_RDLCK, 0, 1), 0);
	locks_close_fd(&other, a.files);
	cr_assert_str_eq(all(), "20r0-0 ");
}

Test(locks, flock_belongs_to_the_description_and_ignores_posix)
{
	cr_assert_eq(set(&b, LINUX_F_WRLCK, 0, 0), 0);
	cr_assert_eq(locks_flock(&a, &file, LINUX_LOCK_EX | LINUX_LOCK_NB), 0);
	cr_assert_eq(locks_flock(&a, &other, LINUX_LOCK_SH | LINUX_LOCK_NB), -LINUX_EAGAIN);
	cr_assert_eq(locks_flock(&a, &file, LINUX_LOCK_SH | LINUX_LOCK_NB), 0);
	cr_assert_eq(locks_flock(&a, &other, LINUX_LOCK_SH | LINUX_LOCK_NB), 0);
	cr_assert_eq(locks_flock(&a, &other, LINUX_LOCK_EX | LINUX_LOCK_NB), -LINUX_EAGAIN);
	locks_release_file(&file);
	/* The failed upgrade lost the shared lock, as flock(2) warns. */
	cr_assert_str_eq(all(), "20w0- ");
}

Test(locks, ofd_locks_conflict_with_posix_and_between_descriptions)
{
	struct linux_flock fl = {.type = LINUX_F_WRLCK, .start = 0, .len = 10};

	cr_assert_eq(locks_set(&a, &file, LINUX_F_OFD_SETLK, &fl), 0);
	cr_assert_eq(locks_set(&a, &other, LINUX_F_OFD_SETLK, &fl), -LINUX_EAGAIN);
	cr_assert_eq(set(&a, LINUX_F_RDLCK, 9, 1), -LINUX_EAGAIN);
	fl.pid = 1;
	cr_assert_eq(locks_set(&a, &file, LINUX_F_OFD_SETLK, &fl), -LINUX_EINVAL);
}
