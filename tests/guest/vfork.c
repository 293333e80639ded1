/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfork: the parent sleeps, the child borrows its memory until it executes or ends.
 * covers: vfork
 */
#include "t.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>

static volatile int shared;

int t_role(int argc, char **argv)
{
	(void)argc;
	return atoi(argv[1]);
}

TEST_ALONE(the_child_shares_memory_and_runs_first)
{
	pid_t pid;
	int status;

	shared = 1;
	pid = vfork();
	if (pid == 0) {
		shared = 2;
		_exit(3);
	}
	CHECK_EQ(shared, 2);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 3 << 8);
}

TEST_ALONE(the_parent_goes_on_after_exec)
{
	static char *argv[] = {t_self, "@exit", "17", NULL};
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		execv(t_self, argv);
		_exit(99);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 17 << 8);
}

TEST_ALONE(a_failed_exec_leaves_the_child_running)
{
	static char *argv[] = {"x", NULL};
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		execv("/missing", argv);
		shared = errno;
		_exit(5);
	}
	CHECK_EQ(shared, ENOENT);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 5 << 8);
}

TEST_ALONE(descriptors_are_not_shared)
{
	int fd = MUST(open("/dev/null", O_RDONLY));
	pid_t pid = vfork();

	if (pid == 0) {
		close(fd);
		_exit(0);
	}
	t_reap(pid);
	CHECK_OK(close(fd));
}

TEST_ALONE(a_killed_child_wakes_the_parent)
{
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		kill(getpid(), SIGKILL);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, SIGKILL);
}

static int child_of_clone(void *arg)
{
	shared = *(int *)arg;
	return 7;
}

TEST_ALONE(clone_with_vm_and_vfork_uses_its_own_stack)
{
	static char stack[65536] __attribute__((aligned(64)));
	int value = 55, status;
	pid_t pid = MUST(clone(child_of_clone, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &value));

	CHECK_EQ(shared, 55);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 7 << 8);
}

TEST_ALONE(posix_spawn_works_with_file_actions)
{
	posix_spawn_file_actions_t actions;
	char *argv[] = {t_self, "@exit", "0", NULL}, *environment[] = {NULL};
	pid_t pid;

	t_scratch();
	CHECK_OK(posix_spawn_file_actions_init(&actions));
	CHECK_OK(posix_spawn_file_actions_addopen(&actions, 1, "out", O_WRONLY | O_CREAT, 0600));
	CHECK_OK(posix_spawn(&pid, t_self, &actions, NULL, argv, environment));
	t_reap(pid);
	CHECK_OK(access("out", F_OK));
	CHECK_EQ(posix_spawn(&pid, "/missing", NULL, NULL, argv, environment), ENOENT);
}

TEST_ALONE(many_spawns_in_a_row)
{
	char *argv[] = {t_self, "@exit", "0", NULL}, *environment[] = {NULL};
	pid_t pid;

	for (int i = 0; i < 30; i++) {
		CHECK_OK(posix_spawn(&pid, t_self, NULL, NULL, argv, environment));
		t_reap(pid);
	}
}

static volatile bool over, quiet;

static void *calls_in_bursts(void *arg)
{
	(void)arg;
	while (!over) {
		if (quiet)
			usleep(1000);
		else
			lseek(-1, 0, SEEK_CUR);
	}
	return NULL;
}

/* The last child's execve, which had no answer, isn't the next one's, whichever way the calls take in between. */
TEST_ALONE(a_childs_first_calls_are_answered)
{
	static char *argv[] = {t_self, "@exit", "0", NULL};
	static volatile int wrong;
	pthread_t busy;

	wrong = 0;
	MUST(pthread_create(&busy, NULL, calls_in_bursts, NULL) == 0 ? 0 : -1);
	for (int i = 0; i < 30; i++) {
		pid_t pid;

		quiet = false;
		usleep(5000);
		pid = vfork();
		if (pid == 0) {
			for (int k = 0; k < 5; k++)
				if (syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 8) != 0)
					wrong++;
			quiet = true;
			usleep(5000);
			execv(t_self, argv);
			_exit(99);
		}
		t_reap(pid);
	}
	over = true;
	pthread_join(busy, NULL);
	CHECK_EQ(wrong, 0);
}

TEST_ALONE(the_process_limit_is_checked)
{
	t_need_root();
	IN_CHILD() {
		struct {
			unsigned long a, b;
		} limit = {1, 1};
		CHECK_OK(syscall(SYS_setrlimit, 6 /* RLIMIT_NPROC */, &limit));
		MUST(setresgid(54322, 54322, 54322));
		MUST(setresuid(54322, 54322, 54322));
		CHECK_ERR(syscall(SYS_vfork), EAGAIN);
	}
}
