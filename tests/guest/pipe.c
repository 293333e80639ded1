/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anonymous pipes: blocking, atomicity, ends closing, sizes.
 * covers: pipe pipe2
 */
#include "t.h"

#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

TEST(bytes_come_out_in_order)
{
	int fds[2];
	char text[16];

	CHECK_OK(syscall(SYS_pipe, fds));
	CHECK_EQ(write(fds[1], "hello ", 6), 6);
	CHECK_EQ(write(fds[1], "world", 5), 5);
	CHECK_EQ(read(fds[0], text, 3), 3);
	CHECK_MEM(text, "hel", 3);
	CHECK_EQ(read(fds[0], text, sizeof text), 8);
	CHECK_MEM(text, "lo world", 8);
	close(fds[0]);
	close(fds[1]);
}

TEST(each_end_works_one_way_only)
{
	int fds[2];
	char c = 0;

	CHECK_OK(pipe(fds));
	CHECK_ERR(write(fds[0], &c, 1), EBADF);
	CHECK_ERR(read(fds[1], &c, 1), EBADF);
	CHECK_EQ(fcntl(fds[0], F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK_EQ(fcntl(fds[1], F_GETFL) & O_ACCMODE, O_WRONLY);
	close(fds[0]);
	close(fds[1]);
}

TEST(pipe2_sets_flags_and_refuses_unknown_ones)
{
	int fds[2];

	CHECK_OK(pipe2(fds, O_CLOEXEC | O_NONBLOCK));
	CHECK_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	close(fds[0]);
	close(fds[1]);
	CHECK_OK(pipe2(fds, 0));
	CHECK_EQ(fcntl(fds[0], F_GETFD), 0);
	CHECK_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	close(fds[0]);
	close(fds[1]);
	CHECK_ERR(pipe2(fds, O_APPEND), EINVAL);
	CHECK_ERR(syscall(SYS_pipe2, t_bad, O_APPEND), EINVAL);
}

TEST(a_bad_pointer_leaves_no_descriptor_open)
{
	int before = MUST(dup(0)), fds[2];

	close(before);
	CHECK_ERR(syscall(SYS_pipe, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_pipe2, t_bad, O_CLOEXEC), EFAULT);
	CHECK_ERR(syscall(SYS_pipe2, t_kernel, 0), EFAULT);
	CHECK_ERR(syscall(SYS_pipe2, t_edge(7), 0), EFAULT);
	CHECK_OK(pipe(fds));
	CHECK_EQ(fds[0], before);
	close(fds[0]);
	close(fds[1]);
}

TEST(read_gives_end_of_file_when_no_writer_is_left)
{
	int fds[2], extra;
	char c;

	CHECK_OK(pipe2(fds, O_NONBLOCK));
	extra = MUST(dup(fds[1]));
	CHECK_EQ(write(fds[1], "x", 1), 1);
	close(fds[1]);
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_ERR(read(fds[0], &c, 1), EAGAIN);
	close(extra);
	CHECK_EQ(read(fds[0], &c, 1), 0);
	CHECK_EQ(read(fds[0], &c, 1), 0);
	close(fds[0]);
}

TEST_ALONE(write_to_closed_reader_raises_sigpipe_and_gives_epipe)
{
	int fds[2], status;
	pid_t pid;

	CHECK_OK(pipe(fds));
	close(fds[0]);
	pid = t_fork();
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		_exit(write(fds[1], "x", 1) == -1);
	}
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(write(fds[1], "x", 1), EPIPE);
	CHECK_EQ(write(fds[1], "", 0), 0);
}

TEST(a_full_pipe_gives_eagain_and_small_writes_are_all_or_nothing)
{
	int fds[2];
	static char chunk[PIPE_BUF];
	long total = 0;
	ssize_t n;

	CHECK_OK(pipe2(fds, O_NONBLOCK));
	while ((n = write(fds[1], chunk, sizeof chunk)) > 0) {
		CHECK_EQ(n, PIPE_BUF);
		total += n;
	}
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(total, fcntl(fds[1], F_GETPIPE_SZ));
	CHECK_EQ(read(fds[0], chunk, 100), 100);
	CHECK_ERR(write(fds[1], chunk, PIPE_BUF), EAGAIN);
	close(fds[0]);
	close(fds[1]);
}

TEST(a_large_nonblocking_write_is_partial)
{
	int fds[2];
	static char big[1 << 18];

	CHECK_OK(pipe2(fds, O_NONBLOCK));
	CHECK_EQ(write(fds[1], big, sizeof big), fcntl(fds[1], F_GETPIPE_SZ));
	CHECK_ERR(write(fds[1], big, 1), EAGAIN);
	close(fds[0]);
	close(fds[1]);
}

TEST(the_default_size_is_64_kib_and_can_be_set)
{
	int fds[2];

	CHECK_OK(pipe(fds));
	CHECK_EQ(fcntl(fds[0], F_GETPIPE_SZ), 65536);
	CHECK_EQ(fcntl(fds[0], F_SETPIPE_SZ, 5000), 8192);
	CHECK_EQ(fcntl(fds[1], F_GETPIPE_SZ), 8192);
	CHECK_EQ(fcntl(fds[0], F_SETPIPE_SZ, 1), 4096);
	CHECK_ERR(fcntl(0 + fds[0], F_SETPIPE_SZ, -1), EINVAL);
	CHECK_ERR(fcntl(open("/dev/null", O_RDONLY), F_GETPIPE_SZ), EBADF);
	close(fds[0]);
	close(fds[1]);
}

TEST(a_pipe_cannot_shrink_below_its_content)
{
	int fds[2];
	static char data[8192];

	CHECK_OK(pipe(fds));
	CHECK_EQ(write(fds[1], data, sizeof data), sizeof data);
	CHECK_ERR(fcntl(fds[1], F_SETPIPE_SZ, 4096), EBUSY);
	CHECK_EQ(fcntl(fds[1], F_SETPIPE_SZ, 1 << 17), 1 << 17);
	CHECK_EQ(read(fds[0], data, sizeof data), sizeof data);
	close(fds[0]);
	close(fds[1]);
}

TEST(fionread_counts_waiting_bytes)
{
	int fds[2], n = -1;

	CHECK_OK(pipe(fds));
	CHECK_OK(ioctl(fds[0], FIONREAD, &n));
	CHECK_EQ(n, 0);
	CHECK_EQ(write(fds[1], "12345", 5), 5);
	CHECK_OK(ioctl(fds[0], FIONREAD, &n));
	CHECK_EQ(n, 5);
	CHECK_ERR(ioctl(fds[0], FIONREAD, t_bad), EFAULT);
	close(fds[0]);
	close(fds[1]);
}

TEST(poll_tells_readable_writable_and_hangup)
{
	int fds[2];
	struct pollfd polls[2];
	static char big[1 << 17];

	CHECK_OK(pipe2(fds, O_NONBLOCK));
	polls[0] = (struct pollfd){fds[0], POLLIN, 0};
	polls[1] = (struct pollfd){fds[1], POLLOUT, 0};
	CHECK_EQ(poll(polls, 2, 0), 1);
	CHECK_EQ(polls[0].revents, 0);
	CHECK_EQ(polls[1].revents, POLLOUT);
	CHECK_GE(write(fds[1], big, sizeof big), 1);
	CHECK_EQ(poll(polls, 2, 0), 1);
	CHECK_EQ(polls[0].revents, POLLIN);
	CHECK_EQ(polls[1].revents, 0);
	close(fds[1]);
	CHECK_EQ(poll(polls, 1, 0), 1);
	CHECK_EQ(polls[0].revents, POLLIN | POLLHUP);
	while (read(fds[0], big, sizeof big) > 0)
		;
	CHECK_EQ(poll(polls, 1, 0), 1);
	CHECK_EQ(polls[0].revents, POLLHUP);
	close(fds[0]);
	CHECK_OK(pipe(fds));
	close(fds[0]);
	polls[1] = (struct pollfd){fds[1], POLLOUT, 0};
	CHECK_EQ(poll(polls + 1, 1, 0), 1);
	CHECK_EQ(polls[1].revents, POLLOUT | POLLERR);
	close(fds[1]);
}

TEST_ALONE(read_blocks_until_a_child_writes)
{
	int there[2], back[2];
	char c;
	pid_t pid;

	CHECK_OK(pipe(there));
	CHECK_OK(pipe(back));
	pid = t_fork();
	if (pid == 0) {
		for (int i = 0; i < 1000; i++) {
			CHECK_EQ(read(there[0], &c, 1), 1);
			c++;
			CHECK_EQ(write(back[1], &c, 1), 1);
		}
		_exit(0);
	}
	for (int i = 0; i < 1000; i++) {
		c = i;
		CHECK_EQ(write(there[1], &c, 1), 1);
		CHECK_EQ(read(back[0], &c, 1), 1);
		CHECK_EQ(c, (char)(i + 1));
	}
	t_reap(pid);
}

TEST_ALONE(a_megabyte_passes_through_a_pipe_unharmed)
{
	int fds[2];
	unsigned sum = 0, want = 0;
	unsigned char text[5000];
	ssize_t n;
	pid_t pid;

	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		static unsigned char all[1 << 20];

		close(fds[0]);
		for (size_t i = 0; i < sizeof all; i++)
			all[i] = i * 13 + (i >> 9);
		CHECK_EQ(write(fds[1], all, sizeof all), sizeof all);
		_exit(0);
	}
	close(fds[1]);
	size_t at = 0;
	while ((n = MUST(read(fds[0], text, sizeof text))) > 0)
		for (ssize_t i = 0; i < n; i++, at++) {
			sum += text[i];
			want += (unsigned char)(at * 13 + (at >> 9));
		}
	CHECK_EQ(at, 1 << 20);
	CHECK_EQ(sum, want);
	t_reap(pid);
}

TEST_ALONE(writes_up_to_pipe_buf_never_mix)
{
	int fds[2];
	char record[512];
	pid_t pids[3];
	int seen = 0;

	CHECK_OK(pipe(fds));
	for (int i = 0; i < 3; i++) {
		pids[i] = t_fork();
		if (pids[i] == 0) {
			memset(record, 'a' + i, sizeof record);
			for (int n = 0; n < 300; n++)
				CHECK_EQ(write(fds[1], record, sizeof record), sizeof record);
			_exit(0);
		}
	}
	close(fds[1]);
	for (;;) {
		size_t got = 0;
		ssize_t n = 1;

		while (got < sizeof record && (n = MUST(read(fds[0], record + got, sizeof record - got))) > 0)
			got += n;
		if (n == 0)
			break;
		for (size_t i = 1; i < sizeof record; i++)
			CHECK_EQ(record[i], record[0]);
		seen++;
	}
	CHECK_EQ(seen, 900);
	for (int i = 0; i < 3; i++)
		t_reap(pids[i]);
}

TEST_ALONE(a_blocked_read_ends_with_eintr_when_a_signal_is_handled)
{
	int fds[2];
	char c;

	CHECK_OK(pipe(fds));
	t_tick(0, NULL);
	CHECK_ERR(read(fds[0], &c, 1), EINTR);
	t_tick_stop();
}

TEST_ALONE(a_blocked_write_returns_what_it_wrote_when_interrupted)
{
	int fds[2];
	static char big[200000];
	ssize_t n;

	CHECK_OK(pipe(fds));
	t_tick(0, NULL);
	do
		n = write(fds[1], big, sizeof big);
	while (n == -1 && errno == EINTR);
	t_tick_stop();
	CHECK_EQ(n, 65536);
}

static int tick_fds[2];

static void write_after_some_ticks(void)
{
	if (t_ticks == 5 && write(tick_fds[1], "z", 1) != 1)
		_exit(1);
}

TEST_ALONE(a_blocked_read_restarts_with_sa_restart)
{
	char c = 0;

	CHECK_OK(pipe(tick_fds));
	t_tick(SA_RESTART, write_after_some_ticks);
	CHECK_EQ(read(tick_fds[0], &c, 1), 1);
	t_tick_stop();
	CHECK_EQ(c, 'z');
}

TEST_ALONE(fork_shares_the_ends_and_all_must_close)
{
	int fds[2], gate[2];
	char c;
	pid_t pid;

	CHECK_OK(pipe(fds));
	CHECK_OK(pipe(gate));
	pid = t_fork();
	if (pid == 0) {
		close(gate[1]);
		CHECK_EQ(read(gate[0], &c, 1), 0);
		CHECK_EQ(write(fds[1], "!", 1), 1);
		_exit(0);
	}
	close(fds[1]);
	MUST(fcntl(fds[0], F_SETFL, O_NONBLOCK));
	CHECK_ERR(read(fds[0], &c, 1), EAGAIN);
	MUST(fcntl(fds[0], F_SETFL, 0));
	close(gate[0]);
	close(gate[1]);
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_EQ(read(fds[0], &c, 1), 0);
	t_reap(pid);
}

TEST(packet_mode_keeps_write_boundaries)
{
	int fds[2];
	char text[16];

	CHECK_OK(pipe2(fds, O_DIRECT));
	CHECK_EQ(write(fds[1], "abc", 3), 3);
	CHECK_EQ(write(fds[1], "defgh", 5), 5);
	CHECK_EQ(read(fds[0], text, 2), 2);
	CHECK_EQ(read(fds[0], text, sizeof text), 5);
	CHECK_MEM(text, "defgh", 5);
	close(fds[0]);
	close(fds[1]);
}

TEST(bad_memory_gives_efault_and_loses_nothing)
{
	int fds[2];
	char text[8];

	CHECK_OK(pipe2(fds, O_NONBLOCK));
	CHECK_ERR(syscall(SYS_write, fds[1], t_bad, 4), EFAULT);
	CHECK_ERR(read(fds[0], text, 1), EAGAIN);
	CHECK_EQ(write(fds[1], "abcd", 4), 4);
	CHECK_ERR(syscall(SYS_read, fds[0], t_bad, 4), EFAULT);
	CHECK_EQ(read(fds[0], text, sizeof text), 4);
	CHECK_MEM(text, "abcd", 4);
	close(fds[0]);
	close(fds[1]);
}

TEST(fstat_of_a_pipe_says_fifo)
{
	int fds[2];
	struct stat a, b;

	CHECK_OK(pipe(fds));
	CHECK_OK(fstat(fds[0], &a));
	CHECK_OK(fstat(fds[1], &b));
	CHECK(S_ISFIFO(a.st_mode));
	CHECK_EQ(a.st_mode & 0777, 0600);
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(a.st_dev, b.st_dev);
	CHECK_EQ(a.st_size, 0);
	CHECK_EQ(a.st_uid, geteuid());
	close(fds[0]);
	close(fds[1]);
}

TEST(proc_names_a_pipe_by_its_inode_and_can_reopen_it)
{
	int fds[2], again;
	struct stat st;
	char path[64], link[64], want[64];
	ssize_t n;

	CHECK_OK(pipe(fds));
	CHECK_OK(fstat(fds[0], &st));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
	n = MUST(readlink(path, link, sizeof link - 1));
	link[n] = 0;
	snprintf(want, sizeof want, "pipe:[%lu]", (unsigned long)st.st_ino);
	CHECK_STR(link, want);
	again = MUST(open(path, O_WRONLY));
	CHECK_EQ(write(again, "q", 1), 1);
	CHECK_EQ(read(fds[0], link, 1), 1);
	close(again);
	close(fds[0]);
	close(fds[1]);
}

static void *write_slowly(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 100; i++)
		CHECK_EQ(write(fd, "0123456789", 10), 10);
	close(fd);
	return NULL;
}

TEST(threads_share_a_pipe)
{
	int fds[2];
	pthread_t thread;
	char text[64];
	size_t total = 0;
	ssize_t n;

	CHECK_OK(pipe(fds));
	CHECK_OK(pthread_create(&thread, NULL, write_slowly, &fds[1]));
	while ((n = MUST(read(fds[0], text, sizeof text))) > 0)
		total += n;
	CHECK_EQ(total, 1000);
	CHECK_OK(pthread_join(thread, NULL));
	close(fds[0]);
}
