/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pseudo-terminals: line discipline, modes, window size, job control.
 * covers: ioctl read write setsid
 */
#include "t.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;

static void setup(void)
{
	CHECK_OK(openpty(&master, &slave, NULL, NULL, NULL));
}

static void done(void)
{
	close(master);
	close(slave);
}

static void raw_mode(void)
{
	struct termios t;

	CHECK_OK(tcgetattr(slave, &t));
	cfmakeraw(&t);
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
}

static void set_local(tcflag_t off, tcflag_t on)
{
	struct termios t;

	CHECK_OK(tcgetattr(slave, &t));
	t.c_lflag = (t.c_lflag & ~off) | on;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
}

static void type(const char *text)
{
	CHECK_EQ(write(master, text, strlen(text)), strlen(text));
}

static void reads(int fd, const char *want)
{
	char text[256] = "";
	size_t length = 0;

	while (length < strlen(want))
		length += MUST(read(fd, text + length, sizeof text - 1 - length));
	CHECK_STR(text, want);
}

TEST(a_terminal_is_a_terminal)
{
	char name[64];
	int n;
	struct stat st;

	setup();
	CHECK(isatty(master) && isatty(slave));
	CHECK_OK(ptsname_r(master, name, sizeof name));
	CHECK_MEM(name, "/dev/pts/", 9);
	CHECK_OK(ioctl(master, TIOCGPTN, &n));
	CHECK_EQ(atoi(name + 9), n);
	CHECK_OK(stat(name, &st));
	CHECK(S_ISCHR(st.st_mode));
	CHECK_ERR(ioctl(MUST(open("/dev/null", O_RDONLY)), TCGETS, &(struct termios){0}), ENOTTY);
	CHECK_ERR(ioctl(slave, TCGETS, t_bad), EFAULT);
	CHECK_ERR(ioctl(slave, 0x5499, 0), ENOTTY);
	CHECK_ERR(ioctl(-1, TCGETS, t_bad), EBADF);
	done();
}

TEST(canonical_mode_hands_over_whole_lines)
{
	char c[8];

	setup();
	set_local(ECHO, 0);
	MUST(fcntl(slave, F_SETFL, O_NONBLOCK));
	type("hel");
	CHECK_ERR(read(slave, c, 1), EAGAIN);
	MUST(fcntl(slave, F_SETFL, 0));
	type("lo\nnext\n");
	reads(slave, "hello\n");
	CHECK_EQ(read(slave, c, 2), 2);
	CHECK_MEM(c, "ne", 2);
	reads(slave, "xt\n");
	done();
}

TEST(erase_kill_and_word_erase_edit_the_line)
{
	setup();
	set_local(ECHO, 0);
	type("abc\177d\n");
	reads(slave, "abd\n");
	type("lost\025kept\n");
	reads(slave, "kept\n");
	type("one two\027three\n");
	reads(slave, "one three\n");
	type("a\026\177b\n");
	reads(slave, "a\177b\n");
	done();
}

TEST(control_d_hands_over_or_ends)
{
	char text[8];

	setup();
	set_local(ECHO, 0);
	type("part\004");
	reads(slave, "part");
	type("\004");
	CHECK_EQ(read(slave, text, sizeof text), 0);
	type("x\n");
	reads(slave, "x\n");
	done();
}

TEST(echo_goes_back_to_the_master)
{
	setup();
	type("hi\n");
	reads(master, "hi\r\n");
	reads(slave, "hi\n");
	set_local(ICANON, 0);
	type("\001");
	reads(master, "^A");
	set_local(ECHO, 0);
	type("q");
	CHECK_EQ(write(slave, "out\n", 4), 4);
	reads(master, "out\r\n");
	done();
}

TEST(raw_mode_changes_nothing)
{
	setup();
	raw_mode();
	type("a\r\n\003\004\177");
	reads(slave, "a\r\n\003\004\177");
	CHECK_EQ(write(slave, "x\ny\r", 4), 4);
	reads(master, "x\ny\r");
	done();
}

TEST(input_flags_translate)
{
	struct termios t;

	setup();
	raw_mode();
	CHECK_OK(tcgetattr(slave, &t));
	t.c_iflag |= ICRNL;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	type("a\r");
	reads(slave, "a\n");
	t.c_iflag = INLCR;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	type("a\n");
	reads(slave, "a\r");
	t.c_iflag = IGNCR;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	type("a\rb");
	reads(slave, "ab");
	done();
}

TEST(vmin_and_vtime_decide_how_long_a_read_waits)
{
	struct termios t;
	char text[8];

	setup();
	raw_mode();
	CHECK_OK(tcgetattr(slave, &t));
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	CHECK_EQ(read(slave, text, sizeof text), 0);
	t.c_cc[VTIME] = 1;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	int64_t start = t_now(CLOCK_MONOTONIC);
	CHECK_EQ(read(slave, text, sizeof text), 0);
	CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 90000000);
	t.c_cc[VMIN] = 3;
	t.c_cc[VTIME] = 0;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
	type("abc");
	CHECK_EQ(read(slave, text, sizeof text), 3);
	done();
}

TEST(attributes_are_kept_and_flushed)
{
	struct termios t, u;
	int n;

	setup();
	CHECK_OK(tcgetattr(slave, &t));
	CHECK(t.c_lflag & ICANON && t.c_lflag & ECHO && t.c_lflag & ISIG);
	CHECK_EQ(t.c_cc[VINTR], 3);
	CHECK_EQ(t.c_cc[VEOF], 4);
	t.c_cc[VINTR] = 7;
	CHECK_OK(cfsetspeed(&t, B115200));
	CHECK_OK(tcsetattr(slave, TCSADRAIN, &t));
	CHECK_OK(tcgetattr(master, &u));
	CHECK_EQ(u.c_cc[VINTR], 7);
	CHECK_EQ(cfgetospeed(&u), B115200);
	raw_mode();
	type("gone");
	do /* what is typed arrives a moment later */
		CHECK_OK(ioctl(slave, FIONREAD, &n));
	while (n < 4);
	CHECK_EQ(n, 4);
	CHECK_OK(tcflush(slave, TCIFLUSH));
	CHECK_OK(ioctl(slave, FIONREAD, &n));
	CHECK_EQ(n, 0);
	CHECK_ERR(ioctl(slave, TCFLSH, 77), EINVAL);
	CHECK_OK(tcdrain(slave));
	CHECK_OK(tcflow(slave, TCOOFF));
	CHECK_OK(tcflow(slave, TCOON));
	done();
}

TEST(the_window_size_is_shared)
{
	struct winsize size = {24, 80, 0, 0}, got;

	setup();
	CHECK_OK(ioctl(master, TIOCSWINSZ, &size));
	CHECK_OK(ioctl(slave, TIOCGWINSZ, &got));
	CHECK_EQ(got.ws_row, 24);
	CHECK_EQ(got.ws_col, 80);
	CHECK_ERR(ioctl(slave, TIOCSWINSZ, t_bad), EFAULT);
	CHECK_ERR(ioctl(slave, TIOCGWINSZ, t_bad), EFAULT);
	done();
}

TEST(locked_attributes_stay)
{
	struct termios lock, t;

	setup();
	memset(&lock, 0xff, sizeof lock);
	CHECK_OK(ioctl(slave, TIOCGLCKTRMIOS, &lock));
	CHECK_EQ(lock.c_iflag | lock.c_oflag | lock.c_cflag | lock.c_lflag | lock.c_cc[VINTR], 0);
	CHECK_OK(ioctl(master, TIOCGLCKTRMIOS, &lock));
	CHECK_ERR(ioctl(slave, TIOCGLCKTRMIOS, t_bad), EFAULT);
	lock.c_lflag = ECHO;
	lock.c_cc[VINTR] = 1;
	if (ioctl(slave, TIOCSLCKTRMIOS, &lock) == 0) {
		CHECK_ERR(ioctl(slave, TIOCSLCKTRMIOS, t_bad), EFAULT);
		CHECK_OK(tcgetattr(slave, &t));
		t.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
		t.c_cc[VINTR] = t.c_cc[VQUIT] = 'x';
		CHECK_OK(tcsetattr(slave, TCSANOW, &t));
		CHECK_OK(tcgetattr(slave, &t));
		CHECK_EQ(t.c_lflag & (ECHO | ISIG), ECHO);
		CHECK_EQ(t.c_cc[VINTR], 3);
		CHECK_EQ(t.c_cc[VQUIT], 'x');
	} else {
		CHECK_EQ(errno, EPERM);
	}
	done();
}

TEST(closing_one_side_hangs_the_other_up)
{
	char text[8];
	struct pollfd p;

	setup();
	CHECK_EQ(write(slave, "last", 4), 4);
	close(slave);
	reads(master, "last");
	CHECK_ERR(read(master, text, sizeof text), EIO);
	p = (struct pollfd){master, POLLIN, 0};
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK(p.revents & POLLHUP);
	close(master);
	setup();
	close(master);
	CHECK_EQ(read(slave, text, sizeof text), 0);
	CHECK_ERR(write(slave, "x", 1), EIO);
	close(slave);
}

TEST(a_locked_slave_cannot_be_opened)
{
	int fd = MUST(posix_openpt(O_RDWR | O_NOCTTY)), lock = 1;
	char name[64];

	CHECK_OK(ioctl(fd, TIOCSPTLCK, &lock));
	CHECK_OK(ptsname_r(fd, name, sizeof name));
	CHECK_ERR(open(name, O_RDWR | O_NOCTTY), EIO);
	CHECK_OK(unlockpt(fd));
	close(MUST(open(name, O_RDWR | O_NOCTTY)));
	CHECK_OK(ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY) < 0 ? -1 : 0);
	close(fd);
	CHECK_ERR(open(name, O_RDWR | O_NOCTTY), ENOENT);
}

TEST(packet_mode_prefixes_each_read)
{
	int on = 1;
	char text[8];

	setup();
	raw_mode();
	CHECK_OK(ioctl(master, TIOCPKT, &on));
	CHECK_EQ(write(slave, "ab", 2), 2);
	CHECK_EQ(read(master, text, sizeof text), 3);
	CHECK_EQ(text[0], 0);
	CHECK_MEM(text + 1, "ab", 2);
	done();
}

static pid_t start_session(void)
{
	pid_t pid;

	setup();
	pid = t_fork();
	if (pid == 0) {
		MUST(setsid());
		CHECK_OK(ioctl(slave, TIOCSCTTY, 0));
	}
	return pid;
}

static int end_session(pid_t pid, const char *file, int line)
{
	t_end_child(pid, file, line);
	done();
	return 0;
}

/* The block that follows runs in the leader of a new session whose terminal is the slave. */
#define IN_SESSION()                                                                                                   \
	for (pid_t leader_ = start_session(), again_ = 1; again_; again_ = end_session(leader_, __FILE__, __LINE__))   \
		if (leader_ == 0)

TEST_ALONE(a_session_leader_gets_a_controlling_terminal)
{
	IN_SESSION() {
		int fd = MUST(open("/dev/tty", O_RDWR));
		pid_t group;
		CHECK_EQ(tcgetpgrp(fd), getpid());
		CHECK_EQ(tcgetsid(fd), getpid());
		CHECK_OK(ioctl(slave, TIOCGPGRP, &group));
		CHECK_EQ(group, getpid());
		signal(SIGHUP, SIG_IGN);
		CHECK_OK(ioctl(slave, TIOCNOTTY));
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
	}
}

TEST_ALONE(opening_a_terminal_without_noctty_acquires_it)
{
	char name[64];
	int fd;

	setup();
	CHECK_OK(ptsname_r(master, name, sizeof name));
	pid_t pid = t_fork();
	if (pid == 0) {
		MUST(setsid());
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
		fd = MUST(open(name, O_RDWR | O_NOCTTY));
		CHECK_ERR(tcgetpgrp(fd), ENOTTY);
		fd = MUST(open(name, O_RDWR));
		CHECK_EQ(tcgetpgrp(fd), getpid());
		_exit(0);
	}
	t_reap(pid);
	done();
}

static volatile sig_atomic_t got_signal;

static void on_signal(int signal)
{
	got_signal = signal;
}

static void expect_signal(int want, const char *typed)
{
	sigset_t all, old;

	signal(want, on_signal);
	got_signal = 0;
	sigfillset(&all);
	CHECK_OK(sigprocmask(SIG_BLOCK, &all, &old));
	type(typed);
	while (!got_signal)
		sigsuspend(&old);
	CHECK_EQ(got_signal, want);
	CHECK_OK(sigprocmask(SIG_SETMASK, &old, NULL));
}

TEST_ALONE(typed_control_characters_signal_the_foreground_group)
{
	IN_SESSION() {
		expect_signal(SIGINT, "\003");
		expect_signal(SIGQUIT, "\034");
		signal(SIGTSTP, SIG_IGN);
		expect_signal(SIGINT, "\003");
	}
}

TEST_ALONE(a_change_of_window_size_sends_sigwinch)
{
	IN_SESSION() {
		sigset_t all;
		sigset_t old;
		struct winsize size = {10, 20, 0, 0};
		signal(SIGWINCH, on_signal);
		sigfillset(&all);
		CHECK_OK(sigprocmask(SIG_BLOCK, &all, &old));
		CHECK_OK(ioctl(master, TIOCSWINSZ, &size));
		CHECK_OK(ioctl(master, TIOCSWINSZ, &size));
		while (!got_signal)
			sigsuspend(&old);
		CHECK_EQ(got_signal, SIGWINCH);
	}
}

TEST_ALONE(a_background_group_is_stopped_when_it_reads)
{
	IN_SESSION() {
		int status;
		char c;
		pid_t job = t_fork();
		if (job == 0) {
			CHECK_OK(setpgid(0, 0));
			(void)!read(slave, &c, 1);
			_exit(c != 'g');
		}
		setpgid(job, job);
		CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
		CHECK(WIFSTOPPED(status));
		CHECK_EQ(WSTOPSIG(status), SIGTTIN);
		CHECK_OK(tcsetpgrp(slave, job));
		type("go\n");
		CHECK_OK(kill(-job, SIGCONT));
		t_reap(job);
		signal(SIGTTOU, SIG_IGN);
		CHECK_OK(tcsetpgrp(slave, getpid()));
	}
}

TEST_ALONE(a_background_group_is_stopped_when_it_changes_or_with_tostop_writes)
{
	IN_SESSION() {
		int status;
		struct termios t;
		pid_t job = t_fork();
		if (job == 0) {
			CHECK_OK(setpgid(0, 0));
			CHECK_OK(tcgetattr(slave, &t));
			CHECK_EQ(write(slave, "free", 4), 4);
			CHECK_OK(tcsetattr(slave, TCSANOW, &t));
			_exit(0);
		}
		setpgid(job, job);
		CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
		CHECK(WIFSTOPPED(status));
		CHECK_EQ(WSTOPSIG(status), SIGTTOU);
		CHECK_OK(tcsetpgrp(slave, job));
		CHECK_OK(kill(-job, SIGCONT));
		t_reap(job);
	}
	IN_SESSION() {
		int status;
		pid_t job;
		set_local(0, TOSTOP);
		job = t_fork();
		if (job == 0) {
			CHECK_OK(setpgid(0, 0));
			CHECK_EQ(write(slave, "held", 4), 4);
			_exit(0);
		}
		setpgid(job, job);
		CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
		CHECK_EQ(WSTOPSIG(status), SIGTTOU);
		CHECK_OK(kill(job, SIGKILL));
		CHECK_EQ(t_wait(job), SIGKILL);
	}
}

TEST_ALONE(a_background_read_gives_eio_when_sigttin_is_ignored_or_orphaned)
{
	IN_SESSION() {
		char c;
		pid_t job = t_fork();
		if (job == 0) {
			signal(SIGTTIN, SIG_IGN);
			CHECK_OK(setpgid(0, 0));
			CHECK_ERR(read(slave, &c, 1), EIO);
			_exit(0);
		}
		t_reap(job);
	}
}

TEST_ALONE(closing_the_master_sends_sighup_to_the_session)
{
	int fds[2];
	char c;
	pid_t pid;
	int status;

	setup();
	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		close(master);
		MUST(setsid());
		CHECK_OK(ioctl(slave, TIOCSCTTY, 0));
		CHECK_EQ(write(fds[1], "r", 1), 1);
		for (;;)
			pause();
	}
	CHECK_EQ(read(fds[0], &c, 1), 1);
	close(master);
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGHUP);
	close(slave);
}

TEST_ALONE(the_end_of_the_session_leader_frees_the_terminal)
{
	int told[2];
	char c;

	CHECK_OK(pipe(told));
	IN_SESSION() {
		if (t_fork() == 0) {
			signal(SIGHUP, on_signal);
			CHECK_EQ(write(told[1], "r", 1), 1);
			while (!got_signal)
				usleep(500);
			CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
			CHECK_EQ(write(told[1], "k", 1), 1);
			_exit(0);
		}
		CHECK_EQ(read(told[0], &c, 1), 1);
	}
	CHECK_EQ(read(told[0], &c, 1), 1);
	CHECK_EQ(c, 'k');
}

TEST_ALONE(errors_of_job_control)
{
	setup();
	CHECK_ERR(tcgetpgrp(slave), ENOTTY);
	CHECK_ERR(tcsetpgrp(slave, getpgrp()), ENOTTY);
	IN_SESSION() {
		CHECK_ERR(tcsetpgrp(slave, 0x3ffffff), ESRCH);
		CHECK_ERR(tcsetpgrp(slave, -1), EINVAL);
		CHECK_ERR(ioctl(slave, TIOCSPGRP, t_bad), EFAULT);
	}
}
