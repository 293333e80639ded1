/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters behind descriptors.
 * covers: eventfd eventfd2
 */
#include "t.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

static uint64_t take(int fd)
{
	uint64_t value;

	CHECK_EQ(read(fd, &value, sizeof value), sizeof value);
	return value;
}

static void give(int fd, uint64_t value)
{
	CHECK_EQ(write(fd, &value, sizeof value), sizeof value);
}

TEST(reading_takes_the_whole_sum)
{
	int fd = MUST(syscall(SYS_eventfd2, 3, EFD_NONBLOCK));
	uint64_t value;

	give(fd, 4);
	CHECK_EQ(take(fd), 7);
	CHECK_ERR(read(fd, &value, 8), EAGAIN);
	give(fd, 0);
	CHECK_ERR(read(fd, &value, 8), EAGAIN);
	close(fd);
	fd = MUST(syscall(SYS_eventfd, 5));
	CHECK_EQ(take(fd), 5);
	close(fd);
}

TEST(a_semaphore_is_taken_one_by_one)
{
	int fd = MUST(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
	uint64_t value;

	CHECK_EQ(take(fd), 1);
	CHECK_EQ(take(fd), 1);
	CHECK_ERR(read(fd, &value, 8), EAGAIN);
	close(fd);
}

TEST(the_largest_value_is_never_reached)
{
	int fd = MUST(eventfd(0, EFD_NONBLOCK));
	uint64_t value = UINT64_MAX;
	struct pollfd p = {fd, POLLIN | POLLOUT, 0};

	CHECK_ERR(write(fd, &value, 8), EINVAL);
	give(fd, UINT64_MAX - 1);
	value = 1;
	CHECK_ERR(write(fd, &value, 8), EAGAIN);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN);
	CHECK_EQ(take(fd), UINT64_MAX - 1);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	close(fd);
}

TEST(sizes_flags_and_pointers_are_checked)
{
	int fd = MUST(eventfd(1, EFD_CLOEXEC));
	uint64_t value[2] = {1, 1};

	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(read(fd, value, 7), EINVAL);
	CHECK_ERR(write(fd, value, 7), EINVAL);
	CHECK_EQ(read(fd, value, 16), 8);
	CHECK_EQ(value[0], 1);
	CHECK_ERR(syscall(SYS_write, fd, t_bad, 8), EFAULT);
	CHECK_ERR(syscall(SYS_eventfd2, 0, 0x10), EINVAL);
	close(fd);
}

static void *give_later(void *arg)
{
	usleep(2000);
	give(*(int *)arg, 9);
	return NULL;
}

TEST(reading_waits_for_a_value)
{
	int fd = MUST(eventfd(0, 0));
	pthread_t thread;

	CHECK_OK(pthread_create(&thread, NULL, give_later, &fd));
	CHECK_EQ(take(fd), 9);
	CHECK_OK(pthread_join(thread, NULL));
	close(fd);
}

static void *take_later(void *arg)
{
	usleep(2000);
	CHECK_EQ(take(*(int *)arg), UINT64_MAX - 1);
	return NULL;
}

TEST(writing_waits_for_room)
{
	int fd = MUST(eventfd(0, 0));
	pthread_t thread;

	give(fd, UINT64_MAX - 1);
	CHECK_OK(pthread_create(&thread, NULL, take_later, &fd));
	give(fd, 5);
	CHECK_OK(pthread_join(thread, NULL));
	CHECK_EQ(take(fd), 5);
	close(fd);
}

TEST_ALONE(waiting_is_interrupted)
{
	int fd = MUST(eventfd(0, 0));
	uint64_t value;

	t_tick(0, NULL);
	CHECK_ERR(read(fd, &value, 8), EINTR);
	t_tick_stop();
}

TEST_ALONE(fork_shares_the_counter)
{
	int fd = MUST(eventfd(0, 0));

	IN_CHILD() {
		give(fd, 6);
	}
	CHECK_EQ(take(fd), 6);
}
