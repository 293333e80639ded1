/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of resources: setting them, and that they hold.
 * covers: getrlimit setrlimit prlimit64
 */
#include "t.h"

#include <sys/resource.h>

TEST(every_limit_can_be_read)
{
	struct rlimit limit;

	for (int i = 0; i < 16; i++) {
		CHECK_OK(syscall(SYS_getrlimit, i, &limit));
		CHECK(limit.rlim_cur <= limit.rlim_max);
	}
	CHECK_ERR(syscall(SYS_getrlimit, 16, &limit), EINVAL);
	CHECK_ERR(syscall(SYS_getrlimit, -1, &limit), EINVAL);
	CHECK_ERR(syscall(SYS_getrlimit, RLIMIT_NOFILE, t_bad), EFAULT);
}

TEST_ALONE(the_soft_limit_moves_below_the_hard_one)
{
	struct rlimit limit = {50, 100};

	CHECK_OK(syscall(SYS_setrlimit, RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 100;
	CHECK_OK(syscall(SYS_setrlimit, RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 101;
	CHECK_ERR(syscall(SYS_setrlimit, RLIMIT_NOFILE, &limit), EINVAL);
	CHECK_OK(syscall(SYS_getrlimit, RLIMIT_NOFILE, &limit));
	CHECK_EQ(limit.rlim_cur, 100);
	CHECK_EQ(limit.rlim_max, 100);
	CHECK_ERR(syscall(SYS_setrlimit, 16, &limit), EINVAL);
	CHECK_ERR(syscall(SYS_setrlimit, RLIMIT_NOFILE, t_bad), EFAULT);
}

TEST_ALONE(raising_the_hard_limit_needs_a_capability)
{
	struct rlimit limit = {50, 60}, more = {50, 61};

	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(setrlimit(RLIMIT_NOFILE, &more), EPERM);
		CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
		limit.rlim_max = 55;
		CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
		CHECK_ERR(setrlimit(RLIMIT_NOFILE, &(struct rlimit){50, 60}), EPERM);
	}
}

TEST_ALONE(prlimit_reads_and_writes_in_one_call)
{
	struct rlimit new = {40, 80}, old;

	CHECK_OK(prlimit(0, RLIMIT_NOFILE, &new, NULL));
	new.rlim_cur = 41;
	CHECK_OK(prlimit(0, RLIMIT_NOFILE, &new, &old));
	CHECK_EQ(old.rlim_cur, 40);
	CHECK_OK(prlimit(getpid(), RLIMIT_NOFILE, NULL, &old));
	CHECK_EQ(old.rlim_cur, 41);
	CHECK_ERR(prlimit(0x3ffffff, RLIMIT_NOFILE, NULL, &old), ESRCH);
	CHECK_ERR(prlimit(0, 16, NULL, &old), EINVAL);
	CHECK_ERR(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, t_bad, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, t_bad), EFAULT);
	new.rlim_cur = 100;
	CHECK_ERR(prlimit(0, RLIMIT_NOFILE, &new, NULL), EINVAL);
}

TEST_ALONE(a_childs_limits_can_be_changed_and_anothers_not)
{
	struct rlimit new = {33, 66}, old;
	int fds[2];
	char c;
	pid_t pid, parent = getpid();

	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		close(fds[1]);
		CHECK_EQ(read(fds[0], &c, 1), 0);
		CHECK_OK(getrlimit(RLIMIT_NOFILE, &old));
		CHECK_EQ(old.rlim_cur, 33);
		_exit(0);
	}
	CHECK_OK(prlimit(pid, RLIMIT_NOFILE, &new, NULL));
	close(fds[1]);
	t_reap(pid);
	if (t_root()) {
		IN_CHILD() {
			t_become_nobody();
			CHECK_ERR(prlimit(parent, RLIMIT_NOFILE, NULL, &old), EPERM);
		}
	}
}

TEST_ALONE(limits_are_inherited_by_fork)
{
	struct rlimit limit = {44, 88}, got;

	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	IN_CHILD() {
		CHECK_OK(getrlimit(RLIMIT_NOFILE, &got));
		CHECK_EQ(got.rlim_cur, limit.rlim_cur);
		CHECK_EQ(got.rlim_max, limit.rlim_max);
	}
}

TEST_ALONE(the_data_limit_holds_for_anonymous_memory)
{
	struct rlimit limit = {64 << 20, RLIM_INFINITY};

	CHECK_OK(setrlimit(RLIMIT_DATA, &limit));
	CHECK_ERR(mmap(NULL, 100 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	CHECK(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	CHECK(mmap(NULL, 100 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

TEST_ALONE(the_cpu_limit_sends_sigxcpu_and_then_sigkill)
{
	struct rlimit limit = {1, 2};
	int status;
	pid_t pid = t_fork();

	if (pid == 0) {
		CHECK_OK(setrlimit(RLIMIT_CPU, &limit));
		for (;;)
			;
	}
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGXCPU);
	pid = t_fork();
	if (pid == 0) {
		signal(SIGXCPU, SIG_IGN);
		CHECK_OK(setrlimit(RLIMIT_CPU, &limit));
		for (;;)
			;
	}
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGKILL);
}

TEST_ALONE(the_stack_limit_holds)
{
	struct rlimit limit = {1 << 20, RLIM_INFINITY};
	int status;
	pid_t pid = t_fork();

	if (pid == 0) {
		volatile char *deep = (char *)__builtin_frame_address(0);

		CHECK_OK(setrlimit(RLIMIT_STACK, &limit));
		for (int i = 0; i < 1000; i++) {
			deep -= 4096;
			*deep = 1;
		}
		_exit(0);
	}
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSEGV);
}

TEST_ALONE(the_limit_of_pending_signals_holds)
{
	struct rlimit limit = {5, 5};
	sigset_t set;
	union sigval value = {0};
	int queued = 0;

	t_need_root(); /* a user of its own, whose count starts at 0 */
	IN_CHILD() {
		CHECK_OK(setrlimit(RLIMIT_SIGPENDING, &limit));
		MUST(setresgid(54323, 54323, 54323));
		MUST(setresuid(54323, 54323, 54323));
		sigemptyset(&set);
		sigaddset(&set, SIGRTMIN + 1);
		CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
		while (queued < 100 && sigqueue(getpid(), SIGRTMIN + 1, value) == 0)
			queued++;
		CHECK_EQ(errno, EAGAIN);
		CHECK_EQ(queued, 5);
		CHECK_OK(kill(getpid(), 0));
	}
}
