/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for children: ended, stopped, continued; by pid, group and any.
 * covers: wait4 waitid
 */
#include "t.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

static pid_t child_that_exits(int code)
{
	pid_t pid = t_fork();

	if (pid == 0)
		_exit(code);
	return pid;
}

static pid_t child_that_pauses(void)
{
	pid_t pid = t_fork();

	while (pid == 0)
		pause();
	return pid;
}

/* The caller's children end with the test: killed and reaped here. */
static void end(pid_t pid)
{
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(t_wait(pid), SIGKILL);
}

TEST_ALONE(wait_without_children_gives_echild)
{
	siginfo_t info;

	CHECK_ERR(waitpid(-1, NULL, 0), ECHILD);
	CHECK_ERR(waitpid(-1, NULL, WNOHANG), ECHILD);
	CHECK_ERR(waitpid(getpid(), NULL, 0), ECHILD);
	CHECK_ERR(waitpid(1, NULL, 0), ECHILD);
	CHECK_ERR(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
	CHECK_ERR(waitid(P_PID, getpid(), &info, WEXITED), ECHILD);
}

TEST_ALONE(arguments_are_checked_first)
{
	siginfo_t info;
	pid_t pid = child_that_exits(0);

	CHECK_ERR(syscall(SYS_wait4, pid, NULL, 0x100, NULL), EINVAL);
	CHECK_ERR(waitid(P_PID, pid, &info, 0), EINVAL);
	CHECK_ERR(waitid(P_PID, pid, &info, WNOHANG), EINVAL);
	CHECK_ERR(waitid(P_PID, 0, &info, WEXITED), EINVAL);
	CHECK_ERR(waitid(99, pid, &info, WEXITED), EINVAL);
	CHECK_ERR(waitid(P_PID, pid, &info, WEXITED | 0x100), EINVAL);
	CHECK_ERR(syscall(SYS_wait4, INT_MIN, NULL, 0, NULL), ESRCH);
	CHECK_EQ(t_wait(pid), 0);
}

TEST_ALONE(a_bad_status_pointer_gives_efault_after_reaping)
{
	pid_t pid = child_that_exits(3);

	CHECK_ERR(syscall(SYS_wait4, pid, t_bad, 0, NULL), EFAULT);
	CHECK_ERR(waitpid(pid, NULL, 0), ECHILD);
	pid = child_that_exits(3);
	CHECK_ERR(syscall(SYS_wait4, pid, NULL, 0, t_bad), EFAULT);
	CHECK_ERR(waitpid(pid, NULL, 0), ECHILD);
	pid = child_that_exits(3);
	CHECK_ERR(syscall(SYS_waitid, P_PID, pid, t_bad, WEXITED, NULL), EFAULT);
	CHECK_ERR(waitpid(pid, NULL, 0), ECHILD);
}

TEST_ALONE(wnohang_returns_0_while_the_child_lives)
{
	pid_t pid = child_that_pauses();
	siginfo_t info;
	int status;

	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	CHECK_EQ(waitpid(-1, &status, WNOHANG), 0);
	memset(&info, 0xff, sizeof info);
	CHECK_OK(waitid(P_PID, pid, &info, WEXITED | WNOHANG));
	CHECK_EQ(info.si_pid, 0);
	CHECK_EQ(info.si_signo, 0);
	end(pid);
}

TEST_ALONE(waitid_tells_how_the_child_ended)
{
	siginfo_t info;
	pid_t pid = child_that_exits(42);

	CHECK_OK(waitid(P_PID, pid, &info, WEXITED));
	CHECK_EQ(info.si_signo, SIGCHLD);
	CHECK_EQ(info.si_code, CLD_EXITED);
	CHECK_EQ(info.si_pid, pid);
	CHECK_EQ(info.si_uid, getuid());
	CHECK_EQ(info.si_status, 42);
	CHECK_EQ(info.si_errno, 0);
	pid = child_that_pauses();
	CHECK_OK(kill(pid, SIGTERM));
	CHECK_OK(waitid(P_PID, pid, &info, WEXITED));
	CHECK_EQ(info.si_code, CLD_KILLED);
	CHECK_EQ(info.si_status, SIGTERM);
}

TEST_ALONE(wnowait_leaves_the_child_to_be_waited_again)
{
	siginfo_t info;
	pid_t pid = child_that_exits(9);

	for (int i = 0; i < 3; i++) {
		CHECK_OK(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
		CHECK_EQ(info.si_status, 9);
	}
	CHECK_EQ(t_wait(pid), 9 << 8);
	CHECK_ERR(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), ECHILD);
}

TEST_ALONE(a_stopped_child_is_reported_once_with_wuntraced)
{
	pid_t pid = child_that_pauses();
	int status;

	CHECK_OK(kill(pid, SIGSTOP));
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
	CHECK_EQ(WSTOPSIG(status), SIGSTOP);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
	CHECK_OK(kill(pid, SIGCONT));
	CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
	CHECK(WIFCONTINUED(status));
	CHECK_EQ(waitpid(pid, &status, WCONTINUED | WNOHANG), 0);
	/* In the group of a member without a parent in the session it would be thrown away. */
	CHECK_OK(setpgid(pid, pid));
	CHECK_OK(kill(pid, SIGTSTP));
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK_EQ(status, SIGTSTP << 8 | 0x7f);
	end(pid);
}

TEST_ALONE(waitid_reports_stop_and_continue)
{
	pid_t pid = child_that_pauses();
	siginfo_t info;

	CHECK_OK(kill(pid, SIGSTOP));
	CHECK_OK(waitid(P_PID, pid, &info, WSTOPPED));
	CHECK_EQ(info.si_code, CLD_STOPPED);
	CHECK_EQ(info.si_status, SIGSTOP);
	CHECK_OK(kill(pid, SIGCONT));
	CHECK_OK(waitid(P_PID, pid, &info, WCONTINUED));
	CHECK_EQ(info.si_code, CLD_CONTINUED);
	CHECK_EQ(info.si_status, SIGCONT);
	end(pid);
}

TEST_ALONE(a_stopped_child_can_be_killed)
{
	pid_t pid = child_that_pauses();
	int status;

	CHECK_OK(kill(pid, SIGSTOP));
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK_OK(kill(pid, SIGTERM));
	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	CHECK_OK(kill(pid, SIGCONT));
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGTERM);
}

TEST_ALONE(wait_by_group_finds_only_that_group)
{
	pid_t ours = child_that_exits(1), theirs = t_fork();
	int status;

	if (theirs == 0) {
		CHECK_OK(setpgid(0, 0));
		_exit(2);
	}
	setpgid(theirs, theirs);
	CHECK_EQ(waitpid(0, &status, 0), ours);
	CHECK_EQ(status, 1 << 8);
	CHECK_ERR(waitpid(0, &status, 0), ECHILD);
	CHECK_EQ(waitpid(-theirs, &status, 0), theirs);
	CHECK_EQ(status, 2 << 8);
	theirs = child_that_exits(4);
	siginfo_t info;
	CHECK_OK(waitid(P_PGID, getpgrp(), &info, WEXITED));
	CHECK_EQ(info.si_pid, theirs);
	CHECK_ERR(waitid(P_PGID, getpgrp(), &info, WEXITED), ECHILD);
}

TEST_ALONE(wait_for_any_collects_all)
{
	unsigned seen = 0;
	int status;

	for (int i = 0; i < 8; i++)
		child_that_exits(i);
	for (int i = 0; i < 8; i++) {
		CHECK_GE(waitpid(-1, &status, 0), 1);
		seen |= 1u << WEXITSTATUS(status);
	}
	CHECK_EQ(seen, 0xff);
	CHECK_ERR(waitpid(-1, &status, 0), ECHILD);
}

TEST_ALONE(ignoring_sigchld_leaves_no_zombies)
{
	pid_t pid;

	signal(SIGCHLD, SIG_IGN);
	pid = child_that_exits(0);
	CHECK_ERR(waitpid(pid, NULL, 0), ECHILD);
	CHECK_ERR(kill(pid, 0), ESRCH);
	struct sigaction action = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
	CHECK_OK(sigaction(SIGCHLD, &action, NULL));
	pid = child_that_exits(0);
	CHECK_ERR(waitpid(-1, NULL, 0), ECHILD);
	signal(SIGCHLD, SIG_DFL);
	pid = child_that_exits(6);
	CHECK_EQ(t_wait(pid), 6 << 8);
}

static volatile sig_atomic_t chld_count, chld_code, chld_status, chld_pid;

static void on_sigchld(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	chld_count++;
	chld_code = info->si_code;
	chld_status = info->si_status;
	chld_pid = info->si_pid;
}

TEST_ALONE(sigchld_tells_of_exit_and_of_stops_unless_nocldstop)
{
	struct sigaction action = {.sa_sigaction = on_sigchld, .sa_flags = SA_SIGINFO};
	sigset_t set, none;
	pid_t pid;
	int status;

	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK_OK(sigaction(SIGCHLD, &action, NULL));
	pid = child_that_pauses();
	CHECK_OK(kill(pid, SIGSTOP));
	CHECK_ERR(sigsuspend(&none), EINTR);
	CHECK_EQ(chld_code, CLD_STOPPED);
	CHECK_EQ(chld_status, SIGSTOP);
	CHECK_EQ(chld_pid, pid);
	CHECK_OK(kill(pid, SIGCONT));
	CHECK_ERR(sigsuspend(&none), EINTR);
	CHECK_EQ(chld_code, CLD_CONTINUED);
	action.sa_flags |= SA_NOCLDSTOP;
	CHECK_OK(sigaction(SIGCHLD, &action, NULL));
	chld_count = 0;
	CHECK_OK(kill(pid, SIGSTOP));
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	sigpending(&set);
	CHECK(!sigismember(&set, SIGCHLD));
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_ERR(sigsuspend(&none), EINTR);
	CHECK_EQ(chld_code, CLD_KILLED);
	CHECK_EQ(chld_status, SIGKILL);
	CHECK_EQ(chld_count, 1);
	CHECK_EQ(t_wait(pid), SIGKILL);
}

TEST_ALONE(wait_is_interrupted_by_a_handled_signal)
{
	pid_t pid = child_that_pauses();
	siginfo_t info;

	t_tick(0, NULL);
	CHECK_ERR(waitpid(pid, NULL, 0), EINTR);
	CHECK_ERR(waitid(P_PID, pid, &info, WEXITED), EINTR);
	t_tick_stop();
	end(pid);
}

static pid_t victim;

static void kill_after_some_ticks(void)
{
	if (t_ticks == 5)
		kill(victim, SIGKILL);
}

TEST_ALONE(wait_restarts_with_sa_restart)
{
	int status;

	victim = child_that_pauses();
	t_tick(SA_RESTART, kill_after_some_ticks);
	CHECK_EQ(waitpid(victim, &status, 0), victim);
	t_tick_stop();
	CHECK_EQ(status, SIGKILL);
}

TEST_ALONE(rusage_of_the_child_is_returned)
{
	struct rusage usage;
	int status;
	pid_t pid = t_fork();

	if (pid == 0) {
		int64_t end = t_now(CLOCK_PROCESS_CPUTIME_ID) + 50000000;

		while (t_now(CLOCK_PROCESS_CPUTIME_ID) < end)
			;
		_exit(0);
	}
	memset(&usage, 0xff, sizeof usage);
	CHECK_EQ(wait4(pid, &status, 0, &usage), pid);
	CHECK_GE(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_sec * 1000000 +
		     usage.ru_stime.tv_usec,
		 20000);
	CHECK_GE(usage.ru_maxrss, 1);
	CHECK_ERR(syscall(SYS_waitid, P_ALL, 0, NULL, WEXITED, NULL), ECHILD);
	pid = child_that_exits(0);
	memset(&usage, 0xff, sizeof usage);
	CHECK_OK(syscall(SYS_waitid, P_PID, pid, NULL, WEXITED, &usage));
	CHECK_GE(usage.ru_maxrss, 0);
}

TEST_ALONE(grandchildren_are_not_ours_to_wait_for)
{
	int fds[2];
	pid_t pid, grandchild;

	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		grandchild = child_that_exits(0);
		CHECK_EQ(write(fds[1], &grandchild, sizeof grandchild), sizeof grandchild);
		for (;;)
			pause();
	}
	CHECK_EQ(read(fds[0], &grandchild, sizeof grandchild), sizeof grandchild);
	CHECK_ERR(waitpid(grandchild, NULL, 0), ECHILD);
	end(pid);
}

TEST_ALONE(a_subreaper_inherits_orphans)
{
	pid_t pid, orphan = -1;
	int fds[2], status;

	CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		orphan = child_that_pauses();
		CHECK_EQ(write(fds[1], &orphan, sizeof orphan), sizeof orphan);
		_exit(0);
	}
	CHECK_EQ(read(fds[0], &orphan, sizeof orphan), sizeof orphan);
	t_reap(pid);
	CHECK_OK(kill(orphan, SIGTERM));
	CHECK_EQ(waitpid(-1, &status, 0), orphan);
	CHECK_EQ(status, SIGTERM);
}

TEST_ALONE(a_zombie_exists_until_it_is_waited_for)
{
	siginfo_t info;
	pid_t pid = child_that_exits(0);

	CHECK_OK(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	CHECK_OK(kill(pid, 0));
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(getpgid(pid), getpgrp());
	CHECK_EQ(t_wait(pid), 0);
	CHECK_ERR(kill(pid, 0), ESRCH);
}
