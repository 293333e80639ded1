/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals read from a descriptor.
 * covers: signalfd signalfd4
 */
#include "t.h"

#include <poll.h>
#include <sys/signalfd.h>

static sigset_t set;

static int new_fd(int flags)
{
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 2);
	sigaddset(&set, SIGCHLD);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	return MUST(signalfd(-1, &set, flags));
}

TEST_ALONE(pending_signals_are_read_with_their_details)
{
	int fd = new_fd(SFD_NONBLOCK | SFD_CLOEXEC);
	struct signalfd_siginfo info[4];
	union sigval value = {.sival_int = 55};
	struct pollfd p = {fd, POLLIN, 0};
	sigset_t pending;

	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_ERR(read(fd, info, sizeof info), EAGAIN);
	CHECK_OK(kill(getpid(), SIGUSR1));
	CHECK_OK(sigqueue(getpid(), SIGRTMIN + 2, value));
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(read(fd, info, sizeof info), 2 * sizeof info[0]);
	CHECK_EQ(info[0].ssi_signo, SIGUSR1);
	CHECK_EQ(info[0].ssi_code, SI_USER);
	CHECK_EQ(info[0].ssi_pid, getpid());
	CHECK_EQ(info[0].ssi_uid, getuid());
	CHECK_EQ(info[1].ssi_signo, SIGRTMIN + 2);
	CHECK_EQ(info[1].ssi_code, SI_QUEUE);
	CHECK_EQ(info[1].ssi_int, 55);
	CHECK_OK(sigpending(&pending));
	CHECK(!sigismember(&pending, SIGUSR1));
	CHECK_EQ(poll(&p, 1, 0), 0);
}

TEST_ALONE(a_childs_end_is_read)
{
	int fd = new_fd(0);
	struct signalfd_siginfo info;
	pid_t pid = t_fork();

	if (pid == 0)
		_exit(31);
	CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
	CHECK_EQ(info.ssi_signo, SIGCHLD);
	CHECK_EQ(info.ssi_pid, pid);
	CHECK_EQ(info.ssi_status, 31);
	CHECK_EQ(info.ssi_code, CLD_EXITED);
	CHECK_EQ(t_wait(pid), 31 << 8);
}

TEST_ALONE(the_set_can_be_changed)
{
	int fd = new_fd(SFD_NONBLOCK);
	struct signalfd_siginfo info;

	CHECK_OK(raise(SIGUSR1));
	sigemptyset(&set);
	CHECK_EQ(signalfd(fd, &set, 0), fd);
	CHECK_ERR(read(fd, &info, sizeof info), EAGAIN);
	sigaddset(&set, SIGUSR1);
	CHECK_EQ(signalfd(fd, &set, 0), fd);
	CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
}

TEST_ALONE(errors_of_signalfd)
{
	int fd = new_fd(SFD_NONBLOCK), null = MUST(open("/dev/null", O_RDONLY));
	char small[64];
	unsigned long mask = 0;

	CHECK_ERR(signalfd(-1, &set, 0x10), EINVAL);
	CHECK_ERR(signalfd(9999, &set, 0), EBADF);
	CHECK_ERR(signalfd(null, &set, 0), EINVAL);
	CHECK_ERR(syscall(SYS_signalfd4, -1, &mask, 4, 0), EINVAL);
	CHECK_ERR(syscall(SYS_signalfd4, -1, t_bad, 8, 0), EFAULT);
	CHECK_ERR(syscall(SYS_signalfd, -1, t_bad, 8), EFAULT);
	close(MUST(syscall(SYS_signalfd, -1, &mask, 8)));
	CHECK_ERR(read(fd, small, sizeof small), EINVAL);
	CHECK_ERR(write(fd, small, sizeof small), EINVAL);
	CHECK_OK(raise(SIGUSR1));
	CHECK_ERR(syscall(SYS_read, fd, t_bad, sizeof(struct signalfd_siginfo)), EFAULT);
}

TEST_ALONE(reading_waits_and_is_interrupted_by_others)
{
	int fd = new_fd(0);
	struct signalfd_siginfo info;

	t_tick(0, NULL);
	CHECK_ERR(read(fd, &info, sizeof info), EINTR);
	t_tick_stop();
}
