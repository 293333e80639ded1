/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers behind descriptors.
 * covers: timerfd_create timerfd_settime timerfd_gettime
 */
#include "t.h"

#include <poll.h>
#include <sys/timerfd.h>

static struct itimerspec every(int64_t first, int64_t interval)
{
	return (struct itimerspec){{interval / 1000000000, interval % 1000000000},
				   {first / 1000000000, first % 1000000000}};
}

TEST(a_one_shot_timer_expires_once_and_no_sooner)
{
	int fd = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
	struct itimerspec spec = every(5000000, 0), now;
	int64_t start = t_now(CLOCK_MONOTONIC);
	uint64_t count;

	CHECK_OK(timerfd_settime(fd, 0, &spec, NULL));
	CHECK_EQ(read(fd, &count, 8), 8);
	CHECK_EQ(count, 1);
	CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 5000000);
	CHECK_OK(timerfd_gettime(fd, &now));
	CHECK_EQ(now.it_value.tv_sec + now.it_value.tv_nsec, 0);
	CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
	CHECK_ERR(read(fd, &count, 8), EAGAIN);
	close(fd);
}

TEST(an_interval_timer_counts_what_was_missed)
{
	int fd = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	struct itimerspec spec = every(1000000, 1000000);
	uint64_t count;
	struct pollfd p = {fd, POLLIN, 0};

	CHECK_OK(timerfd_settime(fd, 0, &spec, NULL));
	usleep(20000);
	CHECK_EQ(read(fd, &count, 8), 8);
	CHECK_GE(count, 15);
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK_EQ(p.revents, POLLIN);
	CHECK_EQ(read(fd, &count, 8), 8);
	CHECK_GE(count, 1);
	close(fd);
}

TEST(absolute_times_in_the_past_expire_at_once)
{
	int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
	uint64_t count;

	for (size_t i = 0; i < T_COUNT(clocks); i++) {
		int fd = MUST(timerfd_create(clocks[i], 0));
		struct itimerspec spec = every(1, 0);

		CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL));
		CHECK_EQ(read(fd, &count, 8), 8);
		CHECK_EQ(count, 1);
		spec = every(t_now(clocks[i]) + 3000000, 0);
		CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL));
		CHECK_EQ(read(fd, &count, 8), 8);
		CHECK_EQ(count, 1);
		CHECK_GE(t_now(clocks[i]), spec.it_value.tv_sec * 1000000000 + spec.it_value.tv_nsec);
		close(fd);
	}
}

TEST(settime_returns_the_old_setting_and_disarms)
{
	int fd = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
	struct itimerspec spec = every(1000000000000, 7000000000), old;
	uint64_t count;

	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_OK(timerfd_settime(fd, 0, &spec, &old));
	CHECK_EQ(old.it_value.tv_sec, 0);
	CHECK_OK(timerfd_gettime(fd, &old));
	CHECK_EQ(old.it_interval.tv_sec, 7);
	CHECK(old.it_value.tv_sec <= 1000 && old.it_value.tv_sec >= 900);
	spec = every(0, 0);
	CHECK_OK(timerfd_settime(fd, 0, &spec, &old));
	CHECK_EQ(old.it_interval.tv_sec, 7);
	CHECK_OK(timerfd_gettime(fd, &old));
	CHECK_EQ(old.it_value.tv_sec, 0);
	CHECK_ERR(read(fd, &count, 8), EAGAIN);
	close(fd);
}

TEST(errors_of_timerfd)
{
	int fd = MUST(timerfd_create(CLOCK_REALTIME, 0)), null = MUST(open("/dev/null", O_RDONLY));
	struct itimerspec spec = every(1, 0), wrong = {{0, 0}, {0, 1000000000}};
	uint64_t count;

	CHECK_ERR(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
	CHECK_ERR(timerfd_create(99, 0), EINVAL);
	CHECK_ERR(timerfd_create(CLOCK_MONOTONIC, 0x10), EINVAL);
	CHECK_ERR(timerfd_settime(-1, 0, &spec, NULL), EBADF);
	CHECK_ERR(timerfd_settime(null, 0, &spec, NULL), EINVAL);
	CHECK_ERR(timerfd_settime(fd, 0x10, &spec, NULL), EINVAL);
	CHECK_ERR(timerfd_settime(fd, 0, &wrong, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_timerfd_settime, fd, 0, t_bad, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_timerfd_settime, fd, 0, &spec, t_bad), EFAULT);
	CHECK_ERR(timerfd_gettime(-1, &spec), EBADF);
	CHECK_ERR(timerfd_gettime(null, &spec), EINVAL);
	CHECK_ERR(syscall(SYS_timerfd_gettime, fd, t_bad), EFAULT);
	CHECK_ERR(read(fd, &count, 7), EINVAL);
	CHECK_ERR(write(fd, &count, 8), EINVAL);
	close(fd);
	close(null);
}
