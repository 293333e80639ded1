/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork and plain clone of processes: what is copied, what is shared, what is new.
 * covers: fork clone exit exit_group
 */
#include "t.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>

TEST_ALONE(fork_returns_twice_with_different_pids)
{
	pid_t parent = getpid(), pid;
	int fds[2];
	pid_t told;

	CHECK_OK(pipe(fds));
	pid = MUST(syscall(SYS_fork));
	if (pid == 0) {
		told = getpid();
		CHECK_EQ(getppid(), parent);
		CHECK_EQ(write(fds[1], &told, sizeof told), sizeof told);
		_exit(0);
	}
	CHECK_EQ(read(fds[0], &told, sizeof told), sizeof told);
	CHECK_EQ(told, pid);
	t_reap(pid);
}

TEST_ALONE(private_memory_is_copied_and_shared_memory_is_not)
{
	static int data = 1;
	int stack = 1;
	int *heap = malloc(sizeof *heap);
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(shared != MAP_FAILED);
	*heap = *shared = 1;
	IN_CHILD() {
		data = 2;
		stack = 2;
		*heap = 2;
		*shared = 2;
		CHECK_EQ(data + stack + *heap, 6);
	}
	CHECK_EQ(data, 1);
	CHECK_EQ(stack, 1);
	CHECK_EQ(*heap, 1);
	CHECK_EQ(*shared, 2);
	free(heap);
}

TEST_ALONE(the_parents_writes_after_fork_stay_unseen)
{
	static volatile char page[64 * 4096];
	int fds[2];
	char c;
	pid_t pid;

	memset((char *)page, 1, sizeof page);
	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		close(fds[1]);
		CHECK_EQ(read(fds[0], &c, 1), 0);
		for (size_t i = 0; i < sizeof page; i++)
			CHECK_EQ(page[i], 1);
		_exit(0);
	}
	memset((char *)page, 2, sizeof page);
	close(fds[0]);
	close(fds[1]);
	t_reap(pid);
}

TEST_ALONE(exit_status_reaches_the_parent_as_8_bits)
{
	int codes[] = {0, 1, 7, 127, 255, 256, 0x1234};

	for (size_t i = 0; i < T_COUNT(codes); i++) {
		pid_t pid = t_fork();
		int status;

		if (pid == 0)
			syscall(i % 2 ? SYS_exit : SYS_exit_group, codes[i]);
		status = t_wait(pid);
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), codes[i] & 0xff);
	}
}

TEST_ALONE(descriptors_are_copied_with_their_flags)
{
	int fd = MUST(open("/dev/null", O_RDONLY | O_CLOEXEC));

	IN_CHILD() {
		CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
		CHECK_OK(close(fd));
	}
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

TEST_ALONE(handlers_and_mask_are_inherited_and_pending_signals_are_not)
{
	sigset_t set, now;
	struct sigaction action;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	signal(SIGUSR2, SIG_IGN);
	CHECK_OK(raise(SIGUSR1));
	CHECK_OK(sigpending(&now));
	CHECK(sigismember(&now, SIGUSR1));
	pid_t pid = t_fork();
	if (pid == 0) {
		CHECK_OK(sigpending(&now));
		CHECK(!sigismember(&now, SIGUSR1));
		CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &now));
		CHECK(sigismember(&now, SIGUSR1));
		CHECK_OK(sigaction(SIGUSR2, NULL, &action));
		CHECK(action.sa_handler == SIG_IGN);
		_exit(0);
	}
	t_reap(pid);
}

TEST_ALONE(timers_and_times_start_anew_in_the_child)
{
	struct itimerval timer = {{0, 0}, {1000, 0}}, now;
	struct tms tms;
	int64_t end = t_now(CLOCK_PROCESS_CPUTIME_ID) + 100000000;

	CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
	while (t_now(CLOCK_PROCESS_CPUTIME_ID) < end)
		;
	pid_t pid = t_fork();
	if (pid == 0) {
		CHECK_OK(getitimer(ITIMER_REAL, &now));
		CHECK_EQ(now.it_value.tv_sec, 0);
		CHECK_EQ(now.it_value.tv_usec, 0);
		CHECK(times(&tms) != (clock_t)-1);
		CHECK(tms.tms_utime + tms.tms_stime < 10);
		CHECK_EQ(tms.tms_cutime, 0);
		_exit(0);
	}
	t_reap(pid);
}

TEST_ALONE(limits_directory_and_group_are_inherited)
{
	struct rlimit limit = {99, 99}, now;
	char a[PATH_MAX], b[PATH_MAX];
	pid_t group = getpgrp(), session = getsid(0);

	t_scratch();
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	CHECK(getcwd(a, sizeof a) != NULL);
	pid_t pid = t_fork();
	if (pid == 0) {
		CHECK_OK(getrlimit(RLIMIT_NOFILE, &now));
		CHECK_EQ(now.rlim_cur, 99);
		CHECK(getcwd(b, sizeof b) != NULL);
		CHECK_STR(b, a);
		CHECK_EQ(getpgrp(), group);
		CHECK_EQ(getsid(0), session);
		CHECK_OK(chdir("/"));
		_exit(0);
	}
	t_reap(pid);
	CHECK(getcwd(b, sizeof b) != NULL);
	CHECK_STR(b, a);
}

TEST_ALONE(madvise_dontfork_and_wipeonfork_are_kept)
{
	char *gone = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *wiped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	int status;

	CHECK(gone != MAP_FAILED && wiped != MAP_FAILED);
	gone[0] = wiped[0] = 7;
	CHECK_OK(madvise(gone, 4096, MADV_DONTFORK));
	CHECK_OK(madvise(wiped, 4096, MADV_WIPEONFORK));
	IN_CHILD() {
		CHECK_EQ(wiped[0], 0);
	}
	pid = t_fork();
	if (pid == 0) {
		volatile char c = gone[0];

		(void)c;
		_exit(0);
	}
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	CHECK_EQ(wiped[0], 7);
}

TEST_ALONE(many_children_can_live_at_once)
{
	enum { COUNT = 50 };
	pid_t pids[COUNT];
	int fds[2];
	char c;

	CHECK_OK(pipe(fds));
	for (int i = 0; i < COUNT; i++) {
		pids[i] = t_fork();
		if (pids[i] == 0) {
			close(fds[1]);
			CHECK_EQ(read(fds[0], &c, 1), 0);
			_exit(i);
		}
	}
	close(fds[0]);
	close(fds[1]);
	for (int i = COUNT - 1; i >= 0; i--)
		CHECK_EQ(t_wait(pids[i]), i << 8);
}

TEST_ALONE(a_chain_of_forks_passes_a_value_up)
{
	int depth = 0;

	for (; depth < 20; depth++) {
		pid_t pid = t_fork();

		if (pid > 0) {
			int status = t_wait(pid);

			CHECK(WIFEXITED(status));
			if (depth == 0) {
				CHECK_EQ(WEXITSTATUS(status), 20);
				return;
			}
			_exit(WEXITSTATUS(status));
		}
	}
	_exit(depth);
}

TEST_ALONE(an_orphan_gets_another_parent)
{
	int fds[2], told[2];
	pid_t pid, parent;
	char c;

	CHECK_OK(pipe(fds));
	CHECK_OK(pipe(told));
	pid = t_fork();
	if (pid == 0) {
		parent = getpid();
		if (t_fork() == 0) {
			close(fds[1]);
			CHECK_EQ(read(fds[0], &c, 1), 0);
			while (getppid() == parent)
				usleep(1000);
			CHECK_EQ(write(told[1], "y", 1), 1);
			_exit(0);
		}
		_exit(0);
	}
	t_reap(pid);
	close(fds[0]);
	close(fds[1]);
	CHECK_EQ(read(told[0], &c, 1), 1);
}

TEST_ALONE(clone_with_another_exit_signal_needs_wclone)
{
	int status;
	pid_t pid = MUST(syscall(SYS_clone, 0, 0, 0, 0, 0));

	if (pid == 0)
		_exit(5);
	CHECK_ERR(waitpid(pid, &status, 0), ECHILD);
	CHECK_EQ(waitpid(pid, &status, __WCLONE), pid);
	CHECK_EQ(status, 5 << 8);
}

TEST_ALONE(clone_stores_the_tids)
{
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int parent_tid = 0;
	pid_t pid =
	    MUST(syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, &parent_tid, shared, 0));

	if (pid == 0)
		_exit(*shared != getpid());
	CHECK_EQ(parent_tid, pid);
	t_reap(pid);
	CHECK_EQ(*shared, pid);
}

TEST_ALONE(clone_parent_makes_a_sibling)
{
	pid_t parent = getppid(), pid = t_fork();
	int fds[2];
	pid_t told;

	if (pid > 0) {
		t_reap(pid);
		return;
	}
	CHECK_OK(pipe(fds));
	parent = getppid();
	pid = MUST(syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0));
	if (pid == 0) {
		told = getppid();
		CHECK_EQ(write(fds[1], &told, sizeof told), sizeof told);
		_exit(0);
	}
	CHECK_EQ(read(fds[0], &told, sizeof told), sizeof told);
	CHECK_EQ(told, parent);
	CHECK_ERR(waitpid(pid, NULL, 0), ECHILD);
	_exit(0);
}

TEST_ALONE(clone_files_and_fs_are_shared)
{
	int fd = MUST(open("/dev/null", O_RDONLY));
	char path[PATH_MAX];
	pid_t pid;

	t_scratch();
	pid = MUST(syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
	if (pid == 0) {
		CHECK_OK(close(fd));
		CHECK_OK(chdir("/"));
		umask(0123);
		_exit(0);
	}
	t_reap(pid);
	CHECK_ERR(fcntl(fd, F_GETFD), EBADF);
	CHECK(getcwd(path, sizeof path) != NULL);
	CHECK_STR(path, "/");
	CHECK_EQ(umask(022), 0123);
}

TEST(impossible_clone_flags_give_einval)
{
	CHECK_ERR(syscall(SYS_clone, CLONE_THREAD | SIGCHLD, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0), EINVAL);
}

TEST_ALONE(the_process_limit_gives_eagain)
{
	struct rlimit limit = {1, 1};

	/* Another user's count, so that the limit is surely passed: our own process. */
	if (!t_root())
		SKIP("needs root, to become a user of its own");
	pid_t pid = t_fork();
	if (pid == 0) {
		CHECK_OK(setrlimit(RLIMIT_NPROC, &limit));
		MUST(setresgid(54321, 54321, 54321));
		MUST(setresuid(54321, 54321, 54321));
		CHECK_ERR(syscall(SYS_fork), EAGAIN);
		_exit(0);
	}
	t_reap(pid);
}
