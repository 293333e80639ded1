/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named pipes: how opening waits for the other side.
 * covers: mknod open
 */
#include "t.h"

#include <poll.h>

static void new_fifo(void)
{
	t_scratch();
	CHECK_OK(mkfifo("p", 0600));
}

TEST(nonblocking_open_for_reading_succeeds_and_for_writing_wants_a_reader)
{
	int r, w;
	char c;

	new_fifo();
	CHECK_ERR(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	r = MUST(open("p", O_RDONLY | O_NONBLOCK));
	CHECK_EQ(read(r, &c, 1), 0);
	w = MUST(open("p", O_WRONLY | O_NONBLOCK));
	CHECK_ERR(read(r, &c, 1), EAGAIN);
	CHECK_EQ(write(w, "x", 1), 1);
	CHECK_EQ(read(r, &c, 1), 1);
	close(w);
	CHECK_EQ(read(r, &c, 1), 0);
	close(r);
}

TEST_ALONE(opening_waits_for_the_other_side)
{
	char text[8];
	pid_t pid;
	int fd;

	new_fifo();
	pid = t_fork();
	if (pid == 0) {
		fd = MUST(open("p", O_WRONLY));
		CHECK_EQ(write(fd, "hello", 5), 5);
		_exit(0);
	}
	t_until_asleep(pid);
	fd = MUST(open("p", O_RDONLY));
	CHECK_EQ(read(fd, text, sizeof text), 5);
	CHECK_EQ(read(fd, text, sizeof text), 0);
	t_reap(pid);
	pid = t_fork();
	close(fd);
	if (pid == 0) {
		fd = MUST(open("p", O_RDONLY));
		CHECK_EQ(read(fd, text, sizeof text), 1);
		_exit(0);
	}
	t_until_asleep(pid);
	fd = MUST(open("p", O_WRONLY));
	CHECK_EQ(write(fd, "!", 1), 1);
	close(fd);
	t_reap(pid);
}

TEST_ALONE(a_waiting_open_is_interrupted)
{
	new_fifo();
	t_tick(0, NULL);
	CHECK_ERR(open("p", O_RDONLY), EINTR);
	CHECK_ERR(open("p", O_WRONLY), EINTR);
	t_tick_stop();
}

TEST(read_write_open_never_waits)
{
	int fd;
	char c;

	new_fifo();
	fd = MUST(open("p", O_RDWR));
	CHECK_EQ(write(fd, "q", 1), 1);
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(c, 'q');
	close(fd);
}

TEST(content_is_gone_when_all_have_closed)
{
	int fd;
	char c;

	new_fifo();
	fd = MUST(open("p", O_RDWR));
	CHECK_EQ(write(fd, "q", 1), 1);
	close(fd);
	fd = MUST(open("p", O_RDWR | O_NONBLOCK));
	CHECK_ERR(read(fd, &c, 1), EAGAIN);
	close(fd);
}

TEST(two_names_are_one_pipe)
{
	int r, w;
	char c;

	new_fifo();
	CHECK_OK(link("p", "q"));
	r = MUST(open("p", O_RDONLY | O_NONBLOCK));
	w = MUST(open("q", O_WRONLY));
	CHECK_EQ(write(w, "z", 1), 1);
	CHECK_EQ(read(r, &c, 1), 1);
	CHECK_OK(unlink("p"));
	CHECK_OK(unlink("q"));
	CHECK_EQ(write(w, "y", 1), 1);
	CHECK_EQ(read(r, &c, 1), 1);
	close(r);
	close(w);
}

TEST(hangup_shows_only_after_a_writer_came_and_went)
{
	struct pollfd p;
	int w;

	new_fifo();
	p = (struct pollfd){MUST(open("p", O_RDONLY | O_NONBLOCK)), POLLIN, 0};
	CHECK_EQ(poll(&p, 1, 0), 0);
	w = MUST(open("p", O_WRONLY));
	CHECK_EQ(poll(&p, 1, 0), 0);
	close(w);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLHUP);
	w = MUST(open("p", O_WRONLY));
	CHECK_EQ(poll(&p, 1, 0), 0);
	close(w);
	close(p.fd);
}

TEST(fifos_cannot_seek_or_be_truncated)
{
	int fd;

	new_fifo();
	fd = MUST(open("p", O_RDWR));
	CHECK_ERR(lseek(fd, 0, SEEK_SET), ESPIPE);
	CHECK_ERR(ftruncate(fd, 0), EINVAL);
	CHECK_ERR(truncate("p", 0), EINVAL);
	CHECK_ERR(open("p", O_RDONLY | O_DIRECTORY), ENOTDIR);
	close(fd);
}
