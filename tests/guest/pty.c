/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudoterminals and the line discipline: pty(7), termios(3), ioctl_tty(2), and job control by a terminal. */
#include "t.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static char slave_name[64];

static int open_master(void)
{
        int m = MUST(posix_openpt(O_RDWR | O_NOCTTY)), zero = 0;
        unsigned n;

        CHECK_OK(ioctl(m, TIOCSPTLCK, &zero));
        CHECK_OK(ioctl(m, TIOCGPTN, &n));
        snprintf(slave_name, sizeof slave_name, "/dev/pts/%u", n);
        return m;
}

static int open_slave(void)
{
        return MUST(open(slave_name, O_RDWR | O_NOCTTY));
}

static void put(int fd, const char *s)
{
        CHECK_EQ(write(fd, s, strlen(s)), strlen(s));
}

/* Reads until exactly `want` has come. */
static void expect(int fd, const char *want)
{
        char got[8192];
        size_t n = 0, len = strlen(want);

        while (n < len) {
                ssize_t r = MUST(read(fd, got + n, len - n));

                CHECK(r > 0);
                n += (size_t)r;
        }
        got[n] = 0;
        CHECK_STR(got, want);
}

static void expect_nothing(int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};

        CHECK_EQ(poll(&p, 1, 50), 0);
}

static void expect_line(int fd, const char *want)
{
        char got[8192];
        ssize_t n = MUST(read(fd, got, sizeof got - 1));

        got[n] = 0;
        CHECK_STR(got, want);
}

static void raw(int fd, int min, int time)
{
        struct termios t;

        CHECK_OK(tcgetattr(fd, &t));
        cfmakeraw(&t);
        t.c_cc[VMIN] = (cc_t)min;
        t.c_cc[VTIME] = (cc_t)time;
        CHECK_OK(tcsetattr(fd, TCSANOW, &t));
}

TEST(a_line_is_echoed_and_read_once_it_is_complete)
{
        int m = open_master(), s = open_slave();

        put(m, "hel");
        expect(m, "hel");
        expect_nothing(s);
        put(m, "lo\r");
        expect(m, "lo\r\n");
        expect_line(s, "hello\n");
}

TEST(output_newlines_become_cr_nl)
{
        int m = open_master(), s = open_slave();

        put(s, "a\nb");
        expect(m, "a\r\nb");
}

TEST(erase_word_erase_and_kill)
{
        int m = open_master(), s = open_slave();

        put(m, "abc\177d\n");
        expect(m, "abc\b \bd\r\n");
        expect_line(s, "abd\n");
        put(m, "one two\027x\n");
        expect_line(s, "one x\n");
        put(m, "gone\025kept\n");
        expect_line(s, "kept\n");
        put(m, "\177\177ok\n");
        expect_line(s, "ok\n");
}

TEST(literal_next_takes_control_characters)
{
        int m = open_master(), s = open_slave();

        put(m, "a\026\003b\n");
        expect_line(s, "a\003b\n");
}

TEST(eof_ends_a_line_without_a_byte)
{
        int m = open_master(), s = open_slave();
        char c[8];

        put(m, "abc\004");
        expect_line(s, "abc");
        put(m, "\004");
        CHECK_EQ(read(s, c, sizeof c), 0);
        put(m, "de\004\n");
        CHECK_EQ(read(s, c, 2), 2);
        expect_line(s, "\n");
}

TEST(a_read_takes_part_of_a_line)
{
        int m = open_master(), s = open_slave();
        char c[4] = "";
        int n;

        put(m, "abcdef\nxy\n");
        CHECK_EQ(read(s, c, 3), 3);
        CHECK_MEM(c, "abc", 3);
        do {
                CHECK_OK(ioctl(s, FIONREAD, &n));
        } while (n != 7);
        expect_line(s, "def\n");
        expect_line(s, "xy\n");
}

TEST(a_long_line_is_cut_at_4095)
{
        int m = open_master(), s = open_slave();
        static char big[5000], got[8192];
        struct termios t;

        CHECK_OK(tcgetattr(s, &t));
        t.c_lflag &= ~(tcflag_t)ECHO;
        CHECK_OK(tcsetattr(s, TCSANOW, &t));
        memset(big, 'x', sizeof big);
        CHECK_EQ(write(m, big, sizeof big), sizeof big);
        put(m, "\n");
        CHECK_EQ(read(s, got, sizeof got), 4096);
        CHECK_EQ(got[4095], '\n');
}

TEST(raw_mode_passes_everything)
{
        int m = open_master(), s = open_slave();

        raw(s, 1, 0);
        put(m, "\003\004\r\177");
        expect_line(s, "\003\004\r\177");
        expect_nothing(m);
        put(s, "\n");
        expect(m, "\n");
}

TEST(vmin_waits_for_that_many)
{
        int m = open_master(), s = open_slave();
        struct pollfd p = {.fd = s, .events = POLLIN};
        char c[8];
        pid_t child;

        raw(s, 3, 0);
        put(m, "ab");
        CHECK_EQ(poll(&p, 1, 20), 0);
        child = t_fork();
        if (child == 0) {
                t_until_asleep(getppid());
                put(m, "cd");
                _exit(0);
        }
        CHECK_GE(read(s, c, sizeof c), 3);
        t_reap(child);
}

TEST(vtime_ends_a_read)
{
        int m = open_master(), s = open_slave();
        char c[8];

        raw(s, 0, 0);
        CHECK_EQ(read(s, c, sizeof c), 0);
        raw(s, 0, 1);
        CHECK_EQ(read(s, c, sizeof c), 0);
        raw(s, 5, 1);
        put(m, "a");
        CHECK_EQ(read(s, c, sizeof c), 1);
}

TEST(partial_input_becomes_visible_in_raw_mode)
{
        int m = open_master(), s = open_slave();

        put(m, "par");
        expect_nothing(s);
        raw(s, 1, 0);
        expect_line(s, "par");
}

TEST(nonblocking_reads_give_eagain)
{
        int m = open_master(), s = open_slave();
        char c;

        CHECK_OK(fcntl(s, F_SETFL, O_NONBLOCK));
        CHECK_OK(fcntl(m, F_SETFL, O_NONBLOCK));
        CHECK_ERR(read(s, &c, 1), EAGAIN);
        CHECK_ERR(read(m, &c, 1), EAGAIN);
}

TEST(stop_and_start_characters)
{
        int m = open_master(), s = open_slave();
        struct pollfd p = {.fd = s, .events = POLLOUT};

        put(m, "\023");
        while (poll(&p, 1, 0) != 0)
                usleep(1000);
        CHECK_OK(fcntl(s, F_SETFL, O_NONBLOCK));
        CHECK_ERR(write(s, "x", 1), EAGAIN);
        put(m, "\021");
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK_EQ(write(s, "x", 1), 1);
        expect(m, "x");
}

TEST(tab_expansion_and_columns)
{
        int m = open_master(), s = open_slave();
        struct termios t;

        CHECK_OK(tcgetattr(s, &t));
        t.c_oflag |= XTABS;
        CHECK_OK(tcsetattr(s, TCSANOW, &t));
        put(s, "abc\tx\n");
        expect(m, "abc     x\r\n");
}

TEST(settings_are_kept_and_winsize_is_shared)
{
        int m = open_master(), s = open_slave();
        struct winsize w = {.ws_row = 33, .ws_col = 99}, got;
        struct termios t;

        CHECK_OK(tcgetattr(s, &t));
        CHECK_EQ(t.c_iflag, ICRNL | IXON);
        CHECK_EQ(t.c_oflag, OPOST | ONLCR);
        CHECK_EQ(t.c_lflag, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN);
        CHECK_EQ(t.c_cc[VINTR], 3);
        CHECK_OK(ioctl(m, TIOCSWINSZ, &w));
        CHECK_OK(ioctl(s, TIOCGWINSZ, &got));
        CHECK_EQ(got.ws_row, 33);
        CHECK_EQ(got.ws_col, 99);
        t.c_lflag &= ~(tcflag_t)ICANON;
        CHECK_OK(tcsetattr(m, TCSANOW, &t));
        CHECK_OK(tcgetattr(s, &t));
        CHECK_EQ(t.c_lflag & ICANON, 0);
        CHECK(isatty(s));
        CHECK(isatty(m));
        CHECK_ERR(ioctl(s, TCGETS, t_bad), EFAULT);
        CHECK_ERR(ioctl(s, TIOCGPTN, &w), ENOTTY);
        CHECK_ERR(lseek(s, 0, SEEK_SET), ESPIPE);
}

TEST(flush_throws_input_away)
{
        int m = open_master(), s = open_slave();
        int n;

        put(m, "lost\n");
        do {
                CHECK_OK(ioctl(s, FIONREAD, &n));
        } while (n != 5);
        CHECK_OK(tcflush(s, TCIFLUSH));
        CHECK_OK(ioctl(s, FIONREAD, &n));
        CHECK_EQ(n, 0);
        CHECK_ERR(ioctl(s, TCFLSH, 7), EINVAL);
}

TEST(master_reads_what_is_left_and_then_eio)
{
        int m = open_master(), s = open_slave();
        struct pollfd p = {.fd = m, .events = POLLIN};
        char c;

        put(s, "bye");
        close(s);
        expect(m, "bye");
        CHECK_ERR(read(m, &c, 1), EIO);
        CHECK_EQ(poll(&p, 1, 0), 1);
        CHECK(p.revents & POLLHUP);
        s = open_slave();
        put(s, "again");
        expect(m, "again");
}

TEST(slave_of_a_closed_master)
{
        int m = open_master(), s = open_slave();
        struct pollfd p = {.fd = s, .events = POLLIN};
        struct termios t;
        char c;

        close(m);
        CHECK_EQ(read(s, &c, 1), 0);
        CHECK_ERR(write(s, "x", 1), EIO);
        CHECK_ERR(tcgetattr(s, &t), EIO);
        CHECK_EQ(poll(&p, 1, 0), 1);
        CHECK(p.revents & POLLHUP);
        CHECK_ERR(open(slave_name, O_RDWR | O_NOCTTY), ENOENT);
}

TEST(a_locked_slave_cant_be_opened)
{
        int m = MUST(posix_openpt(O_RDWR | O_NOCTTY)), one = 1, locked = -1;

        CHECK_STR(ptsname(m), ptsname(m));
        snprintf(slave_name, sizeof slave_name, "%s", ptsname(m));
        CHECK_OK(ioctl(m, TIOCSPTLCK, &one));
        CHECK_ERR(open(slave_name, O_RDWR | O_NOCTTY), EIO);
        CHECK_OK(ioctl(m, TIOCGPTLCK, &locked));
        CHECK_EQ(locked, 1);
        CHECK_OK(unlockpt(m));
        close(open_slave());
}

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif
TEST(the_peer_by_ioctl)
{
        int m = open_master(), s = MUST(ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
        char name[64];

        CHECK_OK(ttyname_r(s, name, sizeof name));
        CHECK_STR(name, slave_name);
        CHECK_EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
        put(s, "x");
        expect(m, "x");
}

TEST(packet_mode)
{
        int m = open_master(), s = open_slave(), one = 1;
        struct pollfd p = {.fd = m, .events = POLLIN | POLLPRI};
        char got[16];

        CHECK_OK(ioctl(m, TIOCPKT, &one));
        put(s, "hi");
        CHECK_EQ(read(m, got, sizeof got), 3);
        CHECK_MEM(got, "\0hi", 3);
        CHECK_OK(ioctl(s, TCXONC, TCOOFF));
        CHECK_EQ(poll(&p, 1, 0), 1);
        CHECK(p.revents & POLLPRI);
        CHECK_EQ(read(m, got, sizeof got), 1);
        CHECK_EQ(got[0], TIOCPKT_STOP);
        CHECK_OK(ioctl(s, TCXONC, TCOON));
        CHECK_EQ(read(m, got, sizeof got), 1);
        CHECK_EQ(got[0], TIOCPKT_START);
}

TEST(a_full_ring_blocks_the_writer_until_the_master_reads)
{
        int m = open_master(), s = open_slave();
        static char big[100000], got[4096];
        size_t n = 0;
        pid_t child;

        raw(s, 1, 0);
        memset(big, 'y', sizeof big);
        child = t_fork();
        if (child == 0) {
                size_t at = 0;

                close(m);
                while (at < sizeof big) {
                        ssize_t w = MUST(write(s, big + at, sizeof big - at));

                        at += (size_t)w;
                }
                _exit(0);
        }
        close(s);
        while (n < sizeof big) {
                ssize_t r = MUST(read(m, got, sizeof got));

                n += (size_t)r;
        }
        CHECK_EQ(n, sizeof big);
        t_reap(child);
}

/* ---- sessions ---- */

/* A child that leads a session with the slave as its terminal runs `body`. */
#define IN_SESSION(m, s, ...)                            \
        do {                                             \
                pid_t in_session_ = t_fork();            \
                (void)(m);                               \
                if (in_session_ == 0) {                  \
                        MUST(setsid());                  \
                        CHECK_OK(ioctl(s, TIOCSCTTY, 0)); \
                        __VA_ARGS__;                     \
                        _exit(0);                        \
                }                                        \
                t_reap(in_session_);                     \
        } while (0)

TEST(opening_a_terminal_makes_it_the_leaders)
{
        int m = open_master();

        IN_CHILD() {
                int s, t, fd;

                CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
                MUST(setsid());
                s = MUST(open(slave_name, O_RDWR | O_NOCTTY));
                CHECK_ERR(tcgetpgrp(s), ENOTTY);
                fd = MUST(open(slave_name, O_RDWR));
                CHECK_EQ(tcgetpgrp(fd), getpgrp());
                CHECK_EQ(tcgetsid(s), getsid(0));
                t = MUST(open("/dev/tty", O_RDWR));
                put(t, "via tty");
        }
        expect(m, "via tty");
}

static void on_signal(int sig)
{
        (void)sig;
}

static volatile sig_atomic_t caught;

static void note_signal(int sig)
{
        caught = sig;
}

TEST(interrupt_quit_and_suspend_characters)
{
        int m = open_master(), s = open_slave();

        IN_SESSION(m, s, {
                static const struct {
                        const char *key, *echo;
                        int sig;
                } keys[] = {{"\003", "^C", SIGINT}, {"\034", "^\\", SIGQUIT}, {"\032", "^Z", SIGTSTP}};

                for (size_t i = 0; i < T_COUNT(keys); i++) {
                        signal(keys[i].sig, note_signal);
                        put(m, keys[i].key);
                        while (caught != keys[i].sig)
                                usleep(1000);
                        /* Now: the next key throws away what of the echo hasn't arrived yet. */
                        expect(m, keys[i].echo);
                }
        });
}

TEST(an_interrupt_flushes_what_was_typed)
{
        int m = open_master(), s = open_slave();

        IN_SESSION(m, s, {
                signal(SIGINT, on_signal);
                put(m, "half a li\003ok\n");
                expect_line(s, "ok\n");
        });
}

TEST(a_read_is_interrupted_by_the_key)
{
        int m = open_master(), s = open_slave();

        IN_SESSION(m, s, {
                struct sigaction sa = {.sa_handler = on_signal};
                char c;
                pid_t child;

                CHECK_OK(sigaction(SIGINT, &sa, NULL));
                child = t_fork();
                if (child == 0) {
                        signal(SIGINT, SIG_IGN);
                        t_until_asleep(getppid());
                        put(m, "\003");
                        _exit(0);
                }
                CHECK_ERR(read(s, &c, 1), EINTR);
                t_reap(child);
        });
}

TEST(window_size_changes_are_signalled)
{
        int m = open_master(), s = open_slave();

        IN_SESSION(m, s, {
                struct winsize w = {.ws_row = 1, .ws_col = 2};

                signal(SIGWINCH, note_signal);
                CHECK_OK(ioctl(m, TIOCSWINSZ, &w));
                CHECK_EQ(caught, SIGWINCH);
                caught = 0;
                CHECK_OK(ioctl(m, TIOCSWINSZ, &w));
                CHECK_EQ(caught, 0);
        });
}

TEST(background_reads_stop)
{
        int m = open_master(), s = open_slave();

        IN_SESSION(m, s, {
                int status;
                char c;
                pid_t child = t_fork();

                if (child == 0) {
                        CHECK_OK(setpgid(0, 0));
                        (void)!read(s, &c, 1);
                        _exit(0);
                }
                CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
                CHECK(WIFSTOPPED(status));
                CHECK_EQ(WSTOPSIG(status), SIGTTIN);
                /* In the foreground it may go on. */
                CHECK_OK(tcsetpgrp(s, child));
                CHECK_OK(kill(child, SIGCONT));
                put(m, "x\n");
                t_reap(child);
        });
}

TEST(background_reads_fail_if_sigttin_is_ignored)
{
        int m = open_master(), s = open_slave();

        IN_SESSION(m, s, {
                IN_CHILD() {
                        char c;

                        CHECK_OK(setpgid(0, 0));
                        signal(SIGTTIN, SIG_IGN);
                        CHECK_ERR(read(s, &c, 1), EIO);
                }
        });
}

TEST(background_changes_stop_and_writes_by_tostop)
{
        int m = open_master(), s = open_slave();

        IN_SESSION(m, s, {
                struct termios t;
                int status;
                pid_t child;

                CHECK_OK(tcgetattr(s, &t));
                for (int i = 0; i < 2; i++) {
                        child = t_fork();
                        if (child == 0) {
                                CHECK_OK(setpgid(0, 0));
                                if (i == 0)
                                        tcsetattr(s, TCSANOW, &t);
                                else
                                        (void)!write(s, "x", 1);
                                _exit(0);
                        }
                        CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
                        CHECK(WIFSTOPPED(status));
                        CHECK_EQ(WSTOPSIG(status), SIGTTOU);
                        kill(child, SIGKILL);
                        t_wait(child);
                        t.c_lflag |= TOSTOP;
                        CHECK_OK(tcsetattr(s, TCSANOW, &t));
                }
                /* Blocked: allowed. */
                IN_CHILD() {
                        sigset_t set;

                        CHECK_OK(setpgid(0, 0));
                        sigemptyset(&set);
                        sigaddset(&set, SIGTTOU);
                        CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
                        CHECK_EQ(write(s, "x", 1), 1);
                        CHECK_OK(tcsetpgrp(s, getpgrp()));
                }
        });
}

TEST(tcsetpgrp_checks)
{
        int m = open_master(), s = open_slave();

        CHECK_ERR(tcsetpgrp(s, getpgrp()), ENOTTY);
        IN_SESSION(m, s, {
                CHECK_ERR(tcsetpgrp(s, -5), EINVAL);
                CHECK_ERR(tcsetpgrp(s, 4000000), ESRCH);
                CHECK_ERR(ioctl(s, TIOCSPGRP, t_bad), EFAULT);
        });
}

TEST(closing_the_master_hangs_up_the_session)
{
        int m = open_master(), s = open_slave(), ready[2], status;
        pid_t child;
        char c;

        CHECK_OK(pipe(ready));
        child = t_fork();
        if (child == 0) {
                close(m);
                close(ready[0]);
                MUST(setsid());
                CHECK_OK(ioctl(s, TIOCSCTTY, 0));
                put(ready[1], "x");
                for (;;)
                        pause();
        }
        close(s);
        CHECK_EQ(read(ready[0], &c, 1), 1);
        close(m);
        status = t_wait(child);
        CHECK(WIFSIGNALED(status));
        CHECK_EQ(WTERMSIG(status), SIGHUP);
}

TEST(the_end_of_the_leader_hangs_up_the_foreground)
{
        int m = open_master(), s = open_slave(), ready[2];
        pid_t leader, other = 0;

        CHECK_OK(pipe(ready));
        leader = t_fork();
        if (leader == 0) {
                MUST(setsid());
                CHECK_OK(ioctl(s, TIOCSCTTY, 0));
                other = t_fork();
                if (other == 0) {
                        close(m);
                        for (;;)
                                pause();
                }
                CHECK_EQ(write(ready[1], &other, sizeof other), sizeof other);
                _exit(0);
        }
        close(s);
        close(ready[1]);
        CHECK_EQ(read(ready[0], &other, sizeof other), sizeof other);
        t_reap(leader);
        /* It held the pipe's other end: end of file means that it is gone. */
        CHECK_EQ(read(ready[0], &other, sizeof other), 0);
        (void)m;
}

TEST(giving_up_the_terminal)
{
        int m = open_master(), s = open_slave();

        IN_SESSION(m, s, {
                signal(SIGHUP, note_signal);
                CHECK_OK(ioctl(s, TIOCNOTTY));
                CHECK_EQ(caught, SIGHUP);
                CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
                CHECK_ERR(ioctl(s, TIOCNOTTY), ENOTTY);
                CHECK_OK(ioctl(s, TIOCSCTTY, 0));
        });
}

TEST(the_node_has_an_owner_and_a_number)
{
        int m = open_master();
        struct stat st;

        CHECK_OK(stat(slave_name, &st));
        CHECK(S_ISCHR(st.st_mode));
        CHECK_EQ(st.st_rdev >> 8, 136);
        CHECK_EQ(st.st_uid, getuid());
        CHECK_OK(chmod(slave_name, 0600));
        CHECK_OK(stat(slave_name, &st));
        CHECK_EQ(st.st_mode & 07777, 0600);
        close(m);
        CHECK_ERR(stat(slave_name, &st), ENOENT);
}
