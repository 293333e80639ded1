/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process groups and sessions.
 * covers: setpgid getpgid getpgrp setsid getsid
 */
#include "t.h"

static pid_t paused_child(void)
{
	pid_t pid = t_fork();

	while (pid == 0)
		pause();
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	CHECK_EQ(t_wait(pid), SIGKILL);
}

int t_role(int argc, char **argv)
{
	char c;

	(void)argv;
	return argc != 1 || write(1, "r", 1) != 1 || read(0, &c, 1) != 0;
}

TEST(getpgid_knows_self_and_others)
{
	CHECK_EQ(syscall(SYS_getpgid, 0), syscall(SYS_getpgrp));
	CHECK_EQ(syscall(SYS_getpgid, getpid()), getpgrp());
	CHECK_ERR(syscall(SYS_getpgid, 0x3ffffff), ESRCH);
	CHECK_ERR(syscall(SYS_getpgid, -1), ESRCH);
	CHECK_EQ(syscall(SYS_getsid, 0), syscall(SYS_getsid, getpid()));
	CHECK_ERR(syscall(SYS_getsid, 0x3ffffff), ESRCH);
}

TEST_ALONE(a_child_can_lead_a_group_of_its_own)
{
	pid_t a = paused_child(), b = paused_child();

	CHECK_OK(syscall(SYS_setpgid, a, 0));
	CHECK_EQ(getpgid(a), a);
	CHECK_OK(syscall(SYS_setpgid, b, a));
	CHECK_EQ(getpgid(b), a);
	CHECK_OK(syscall(SYS_setpgid, b, getpgrp()));
	CHECK_EQ(getpgid(b), getpgrp());
	CHECK_ERR(syscall(SYS_setpgid, b, 0x3ffffff), EPERM);
	CHECK_ERR(syscall(SYS_setpgid, b, -1), EINVAL);
	CHECK_ERR(syscall(SYS_setpgid, 0x3ffffff, 0), ESRCH);
	CHECK_ERR(syscall(SYS_setpgid, getppid(), 0), ESRCH);
	end(a);
	CHECK_ERR(syscall(SYS_setpgid, b, a), EPERM);
	end(b);
	CHECK_OK(setpgid(0, 0));
	CHECK_EQ(getpgrp(), getpid());
}

TEST_ALONE(setsid_makes_a_new_session_once)
{
	pid_t old = getsid(0);

	IN_CHILD() {
		CHECK_EQ(syscall(SYS_setsid), getpid());
		CHECK_EQ(getsid(0), getpid());
		CHECK_EQ(getpgrp(), getpid());
		CHECK_ERR(syscall(SYS_setsid), EPERM);
		CHECK_ERR(setpgid(0, 0), EPERM);
	}
	CHECK_EQ(getsid(0), old);
	IN_CHILD() {
		CHECK_OK(setpgid(0, 0));
		CHECK_ERR(syscall(SYS_setsid), EPERM);
	}
}

TEST_ALONE(groups_do_not_cross_sessions)
{
	int fds[2];
	char c;
	pid_t pid;

	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		MUST(setsid());
		CHECK_EQ(write(fds[1], "s", 1), 1);
		for (;;)
			pause();
	}
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_ERR(setpgid(pid, getpgrp()), EPERM);
	CHECK_ERR(setpgid(0, pid), EPERM);
	CHECK_EQ(getsid(pid), pid);
	end(pid);
}

TEST_ALONE(a_child_that_executed_can_no_longer_be_moved)
{
	int out[2], in[2];
	char c;
	pid_t pid;

	CHECK_OK(pipe(out));
	CHECK_OK(pipe(in));
	pid = t_fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		execv(t_self, (char *[]){t_self, "@wait", NULL});
		_exit(9);
	}
	CHECK_EQ(read(out[0], &c, 1), 1);
	CHECK_ERR(setpgid(pid, 0), EACCES);
	close(in[1]);
	close(in[0]);
	t_reap(pid);
}

TEST_ALONE(an_orphaned_stopped_group_gets_hup_and_cont)
{
	int fds[2], told[2];
	char c;
	pid_t pid, worker = -1;

	CHECK_OK(pipe(fds));
	CHECK_OK(pipe(told));
	pid = t_fork();
	if (pid == 0) {
		MUST(setsid());
		worker = t_fork();
		if (worker == 0) {
			sigset_t set;
			int first, second;

			CHECK_OK(setpgid(0, 0));
			sigemptyset(&set);
			sigaddset(&set, SIGHUP);
			sigaddset(&set, SIGCONT);
			CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
			CHECK_EQ(write(fds[1], "r", 1), 1);
			CHECK_OK(kill(getpid(), SIGSTOP));
			CHECK_OK(sigwait(&set, &first));
			CHECK_OK(sigwait(&set, &second));
			CHECK_EQ(first + second, SIGHUP + SIGCONT);
			CHECK_EQ(write(told[1], "k", 1), 1);
			_exit(0);
		}
		int status;
		CHECK_EQ(read(fds[0], &c, 1), 1);
		CHECK_EQ(waitpid(worker, &status, WUNTRACED), worker);
		CHECK(WIFSTOPPED(status));
		_exit(0);
	}
	t_reap(pid);
	CHECK_EQ(read(told[0], &c, 1), 1);
}

TEST_ALONE(stop_signals_of_the_terminal_spare_orphaned_groups)
{
	pid_t pid = t_fork();

	if (pid == 0) {
		MUST(setsid());
		CHECK_OK(raise(SIGTSTP));
		CHECK_OK(raise(SIGTTIN));
		CHECK_OK(raise(SIGTTOU));
		_exit(0);
	}
	t_reap(pid);
}
