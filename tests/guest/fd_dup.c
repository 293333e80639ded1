/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of descriptors and what belongs to the descriptor and what to the description.
 * covers: dup dup2 dup3 fcntl close_range
 */
#include "t.h"

#include <linux/close_range.h>
#include <sys/resource.h>

#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY 1027
#endif

TEST(dup_takes_the_lowest_number_and_shares_the_offset)
{
	int a, b, c;
	char x;

	t_scratch();
	t_put("f", "0123");
	a = MUST(open("f", O_RDONLY | O_CLOEXEC));
	b = MUST(syscall(SYS_dup, a));
	CHECK_EQ(b, a + 1);
	CHECK_EQ(fcntl(b, F_GETFD), 0);
	CHECK_EQ(read(a, &x, 1), 1);
	CHECK_EQ(lseek(b, 0, SEEK_CUR), 1);
	close(a);
	c = MUST(dup(b));
	CHECK_EQ(c, a);
	CHECK_EQ(read(b, &x, 1), 1);
	CHECK_EQ(x, '1');
	CHECK_ERR(syscall(SYS_dup, -1), EBADF);
	CHECK_ERR(syscall(SYS_dup, 9999), EBADF);
	close(b);
	close(c);
}

TEST(dup2_replaces_the_target)
{
	int a = MUST(open("/dev/null", O_RDWR)), b = MUST(open("/dev/zero", O_RDWR));
	char x = 1;

	CHECK_EQ(syscall(SYS_dup2, a, b), b);
	CHECK_EQ(read(b, &x, 1), 0);
	CHECK_EQ(syscall(SYS_dup2, a, 200), 200);
	CHECK_EQ(syscall(SYS_dup2, a, a), a);
	CHECK_ERR(syscall(SYS_dup2, -1, b), EBADF);
	CHECK_ERR(syscall(SYS_dup2, 9999, 9999), EBADF);
	CHECK_ERR(syscall(SYS_dup2, a, -1), EBADF);
	CHECK_ERR(syscall(SYS_dup2, a, 1 << 30), EBADF);
	CHECK_EQ(read(b, &x, 1), 0);
	close(200);
	close(a);
	close(b);
}

TEST(dup3_sets_cloexec_and_refuses_equal_numbers)
{
	int a = MUST(open("/dev/null", O_RDWR));

	CHECK_EQ(syscall(SYS_dup3, a, 100, O_CLOEXEC), 100);
	CHECK_EQ(fcntl(100, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(syscall(SYS_dup3, a, 100, 0), 100);
	CHECK_EQ(fcntl(100, F_GETFD), 0);
	CHECK_ERR(syscall(SYS_dup3, a, a, 0), EINVAL);
	CHECK_ERR(syscall(SYS_dup3, a, 100, O_NONBLOCK), EINVAL);
	CHECK_ERR(syscall(SYS_dup3, 9999, 100, 0), EBADF);
	CHECK_ERR(syscall(SYS_dup3, a, 1 << 30, 0), EBADF);
	close(100);
	close(a);
}

TEST(f_dupfd_takes_the_lowest_number_from_its_argument)
{
	int a = MUST(open("/dev/null", O_RDWR));
	struct rlimit limit;

	CHECK_EQ(fcntl(a, F_DUPFD, 150), 150);
	CHECK_EQ(fcntl(a, F_DUPFD, 150), 151);
	CHECK_EQ(fcntl(a, F_DUPFD_CLOEXEC, 150), 152);
	CHECK_EQ(fcntl(150, F_GETFD), 0);
	CHECK_EQ(fcntl(152, F_GETFD), FD_CLOEXEC);
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
	CHECK_ERR(fcntl(a, F_DUPFD, (int)limit.rlim_cur), EINVAL);
	CHECK_ERR(fcntl(a, F_DUPFD, -1), EINVAL);
	CHECK_ERR(fcntl(9999, F_DUPFD, 0), EBADF);
	close(150);
	close(151);
	close(152);
	close(a);
}

TEST(descriptor_flags_belong_to_the_descriptor)
{
	int a = MUST(open("/dev/null", O_RDWR)), b = MUST(dup(a));

	CHECK_OK(fcntl(a, F_SETFD, FD_CLOEXEC));
	CHECK_EQ(fcntl(a, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(b, F_GETFD), 0);
	CHECK_OK(fcntl(a, F_SETFD, 0));
	CHECK_EQ(fcntl(a, F_GETFD), 0);
	CHECK_ERR(fcntl(9999, F_GETFD), EBADF);
	CHECK_ERR(fcntl(9999, F_SETFD, 0), EBADF);
	close(a);
	close(b);
}

TEST(status_flags_belong_to_the_description)
{
	int a, b;

	t_scratch();
	a = MUST(open("f", O_RDWR | O_CREAT, 0600));
	b = MUST(dup(a));
	CHECK_OK(fcntl(a, F_SETFL, O_APPEND | O_NONBLOCK));
	CHECK_EQ(fcntl(b, F_GETFL) & ~0100000, O_RDWR | O_APPEND | O_NONBLOCK);
	CHECK_OK(fcntl(b, F_SETFL, 0));
	CHECK_EQ(fcntl(a, F_GETFL) & ~0100000, O_RDWR);
	CHECK_OK(fcntl(a, F_SETFL, O_WRONLY | O_CREAT | O_TRUNC | O_EXCL));
	CHECK_EQ(fcntl(a, F_GETFL) & ~0100000, O_RDWR);
	CHECK_ERR(fcntl(9999, F_GETFL), EBADF);
	CHECK_ERR(fcntl(9999, F_SETFL, 0), EBADF);
	close(a);
	close(b);
}

TEST(unknown_fcntl_commands_give_einval)
{
	int a = MUST(open("/dev/null", O_RDWR));

	CHECK_ERR(fcntl(a, 9876), EINVAL);
	CHECK_ERR(fcntl(9999, 9876), EBADF);
	close(a);
}

TEST(owner_and_signal_of_a_description)
{
	int fds[2];
	struct f_owner_ex owner = {F_OWNER_PID, getpid()}, got;

	CHECK_OK(pipe(fds));
	CHECK_OK(fcntl(fds[0], F_SETOWN, getpid()));
	CHECK_EQ(fcntl(fds[0], F_GETOWN), getpid());
	CHECK_OK(fcntl(fds[0], F_SETOWN_EX, &owner));
	CHECK_OK(fcntl(fds[0], F_GETOWN_EX, &got));
	CHECK_EQ(got.type, F_OWNER_PID);
	CHECK_EQ(got.pid, getpid());
	CHECK_OK(fcntl(fds[0], F_SETSIG, SIGUSR1));
	CHECK_EQ(fcntl(fds[0], F_GETSIG), SIGUSR1);
	CHECK_ERR(fcntl(fds[0], F_SETSIG, 100), EINVAL);
	CHECK_ERR(fcntl(fds[0], F_SETOWN, 0x3ffffff), ESRCH);
	CHECK_ERR(fcntl(fds[0], F_GETOWN_EX, t_bad), EFAULT);
	close(fds[0]);
	close(fds[1]);
}

TEST_ALONE(close_range_closes_a_range)
{
	int a = MUST(open("/dev/null", O_RDWR));

	CHECK_EQ(dup2(a, 100), 100);
	CHECK_EQ(dup2(a, 105), 105);
	CHECK_EQ(dup2(a, 110), 110);
	CHECK_OK(syscall(SYS_close_range, 100, 105, 0));
	CHECK_ERR(fcntl(100, F_GETFD), EBADF);
	CHECK_ERR(fcntl(105, F_GETFD), EBADF);
	CHECK_EQ(fcntl(110, F_GETFD), 0);
	CHECK_OK(syscall(SYS_close_range, 100, ~0u, CLOSE_RANGE_CLOEXEC));
	CHECK_EQ(fcntl(110, F_GETFD), FD_CLOEXEC);
	CHECK_OK(syscall(SYS_close_range, 3, ~0u, 0));
	CHECK_ERR(fcntl(110, F_GETFD), EBADF);
	CHECK_ERR(syscall(SYS_close_range, 10, 5, 0), EINVAL);
	CHECK_ERR(syscall(SYS_close_range, 3, 5, 64), EINVAL);
}

TEST_ALONE(close_range_unshare_leaves_the_other_sharer_alone)
{
	int a = MUST(open("/dev/null", O_RDWR)), status;
	pid_t pid = MUST(syscall(SYS_clone, 0x400 /* CLONE_FILES */ | SIGCHLD, 0, 0, 0, 0));

	if (pid == 0)
		_exit(syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_UNSHARE) || fcntl(a, F_GETFD) != -1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(fcntl(a, F_GETFD), 0);
}

TEST(f_dupfd_query_tells_same_descriptions)
{
	int a = MUST(open("/dev/null", O_RDWR)), b = MUST(dup(a)), c = MUST(open("/dev/null", O_RDWR));
	int same = fcntl(a, F_DUPFD_QUERY, b);

	if (same == -1 && errno == EINVAL) {
		close_range(a, c, 0);
		SKIP("this kernel has no F_DUPFD_QUERY (6.10)");
	}
	CHECK_EQ(same, 1);
	CHECK_EQ(fcntl(a, F_DUPFD_QUERY, c), 0);
	close_range(a, c, 0);
}
