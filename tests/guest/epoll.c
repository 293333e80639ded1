/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll: level and edge triggered, one shot, exclusive, nested, and what happens when descriptors close.
 * covers: epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
 */
#include "t.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static int ep, fds[2];

static void setup(void)
{
	ep = MUST(epoll_create1(0));
	CHECK_OK(pipe2(fds, O_NONBLOCK));
}

static void done(void)
{
	close(ep);
	close(fds[0]);
	close(fds[1]);
}

static int add(int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
}

static int change(int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event);
}

/* The events that are ready now, of one descriptor; 0 for none. */
static uint32_t ready(void)
{
	struct epoll_event event = {0};
	int n = MUST(epoll_wait(ep, &event, 1, 0));

	return n ? event.events : 0;
}

static void fill(int count)
{
	char text[16] = "";

	CHECK_EQ(write(fds[1], text, count), count);
}

static void drain(void)
{
	char text[64];

	while (read(fds[0], text, sizeof text) > 0)
		;
}

TEST(create_checks_its_argument)
{
	int fd = MUST(syscall(SYS_epoll_create, 1));

	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	close(fd);
	CHECK_ERR(syscall(SYS_epoll_create, 0), EINVAL);
	fd = MUST(syscall(SYS_epoll_create1, EPOLL_CLOEXEC));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(syscall(SYS_epoll_create1, 1), EINVAL);
	close(fd);
}

TEST(errors_of_epoll_ctl)
{
	struct epoll_event event = {.events = EPOLLIN};
	int file;

	setup();
	t_scratch();
	file = MUST(open("f", O_RDWR | O_CREAT, 0600));
	CHECK_OK(add(fds[0], EPOLLIN, 1));
	CHECK_ERR(add(fds[0], EPOLLIN, 1), EEXIST);
	CHECK_ERR(change(fds[1], EPOLLIN, 1), ENOENT);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_DEL, fds[1], &event), ENOENT);
	CHECK_ERR(add(9999, EPOLLIN, 1), EBADF);
	CHECK_ERR(epoll_ctl(9999, EPOLL_CTL_ADD, fds[0], &event), EBADF);
	CHECK_ERR(add(file, EPOLLIN, 1), EPERM);
	CHECK_ERR(add(ep, EPOLLIN, 1), EINVAL);
	CHECK_ERR(epoll_ctl(fds[0], EPOLL_CTL_ADD, fds[1], &event), EINVAL);
	CHECK_ERR(epoll_ctl(ep, 77, fds[1], &event), EINVAL);
	CHECK_ERR(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fds[1], t_bad), EFAULT);
	CHECK_OK(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_DEL, fds[0], t_bad));
	close(file);
	done();
}

TEST(errors_of_epoll_wait)
{
	struct epoll_event event;

	setup();
	CHECK_ERR(syscall(SYS_epoll_wait, ep, &event, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_epoll_wait, ep, &event, -1, 0), EINVAL);
	CHECK_ERR(syscall(SYS_epoll_wait, 9999, &event, 1, 0), EBADF);
	CHECK_ERR(syscall(SYS_epoll_wait, fds[0], &event, 1, 0), EINVAL);
	CHECK_ERR(syscall(SYS_epoll_wait, ep, t_kernel, 1, 0), EFAULT);
	CHECK_OK(add(fds[1], EPOLLOUT, 5));
	CHECK_ERR(syscall(SYS_epoll_wait, ep, t_bad, 1, 0), EFAULT);
	CHECK_EQ(syscall(SYS_epoll_wait, ep, &event, 1, 0), 1);
	CHECK_EQ(event.data.u64, 5);
	done();
}

TEST(level_triggered_repeats_until_drained)
{
	setup();
	CHECK_OK(add(fds[0], EPOLLIN, 0));
	CHECK_EQ(ready(), 0);
	fill(3);
	CHECK_EQ(ready(), EPOLLIN);
	CHECK_EQ(ready(), EPOLLIN);
	drain();
	CHECK_EQ(ready(), 0);
	close(fds[1]);
	CHECK_EQ(ready(), EPOLLHUP);
	close(ep);
	close(fds[0]);
}

TEST(edge_triggered_tells_each_arrival_once)
{
	setup();
	CHECK_OK(add(fds[0], EPOLLIN | EPOLLET, 0));
	fill(1);
	CHECK_EQ(ready(), EPOLLIN);
	CHECK_EQ(ready(), 0);
	fill(1);
	CHECK_EQ(ready(), EPOLLIN);
	CHECK_EQ(ready(), 0);
	CHECK_OK(change(fds[0], EPOLLIN | EPOLLET, 0));
	CHECK_EQ(ready(), EPOLLIN);
	CHECK_EQ(ready(), 0);
	done();
}

TEST(one_shot_is_quiet_until_rearmed)
{
	setup();
	CHECK_OK(add(fds[0], EPOLLIN | EPOLLONESHOT, 0));
	fill(1);
	CHECK_EQ(ready(), EPOLLIN);
	CHECK_EQ(ready(), 0);
	fill(1);
	CHECK_EQ(ready(), 0);
	CHECK_OK(change(fds[0], EPOLLIN | EPOLLONESHOT, 0));
	CHECK_EQ(ready(), EPOLLIN);
	CHECK_EQ(ready(), 0);
	done();
}

TEST(data_and_events_are_those_last_set)
{
	struct epoll_event event;

	setup();
	CHECK_OK(add(fds[1], EPOLLOUT, 0x1122334455667788));
	CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
	CHECK_EQ(event.data.u64, 0x1122334455667788);
	CHECK_OK(change(fds[1], EPOLLIN, 2));
	CHECK_EQ(ready(), 0);
	CHECK_OK(change(fds[1], EPOLLOUT, 3));
	CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
	CHECK_EQ(event.data.u64, 3);
	done();
}

TEST(many_ready_descriptors_are_shared_out_fairly)
{
	enum { COUNT = 10 };
	int events[COUNT];
	unsigned seen = 0;
	struct epoll_event got[3];

	ep = MUST(epoll_create1(0));
	for (int i = 0; i < COUNT; i++) {
		events[i] = MUST(eventfd(1, 0));
		CHECK_OK(add(events[i], EPOLLIN, i));
	}
	for (int round = 0; round < 4; round++) {
		CHECK_EQ(epoll_wait(ep, got, 3, 0), 3);
		for (int i = 0; i < 3; i++)
			seen |= 1u << got[i].data.u64;
	}
	CHECK_EQ(seen, (1 << COUNT) - 1);
	for (int i = 0; i < COUNT; i++)
		close(events[i]);
	close(ep);
}

TEST(a_closed_descriptor_leaves_when_its_last_copy_closes)
{
	int copy;

	setup();
	CHECK_OK(add(fds[0], EPOLLIN, 0));
	fill(1);
	copy = MUST(dup(fds[0]));
	close(fds[0]);
	CHECK_EQ(ready(), EPOLLIN);
	CHECK_ERR(change(fds[0], EPOLLIN, 0), EBADF);
	close(copy);
	CHECK_EQ(ready(), 0);
	close(fds[1]);
	close(ep);
}

TEST(two_descriptors_of_one_description_are_two_entries)
{
	struct epoll_event got[4];
	int copy;

	setup();
	copy = MUST(dup(fds[0]));
	CHECK_OK(add(fds[0], EPOLLIN, 1));
	CHECK_OK(add(copy, EPOLLIN, 2));
	fill(1);
	CHECK_EQ(epoll_wait(ep, got, 4, 0), 2);
	close(copy);
	done();
}

TEST(nested_epolls_pass_readiness_on_and_refuse_loops)
{
	int outer = MUST(epoll_create1(0));
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 9}, got;

	setup();
	CHECK_OK(add(fds[0], EPOLLIN, 1));
	CHECK_OK(epoll_ctl(outer, EPOLL_CTL_ADD, ep, &event));
	CHECK_EQ(epoll_wait(outer, &got, 1, 0), 0);
	fill(1);
	CHECK_EQ(epoll_wait(outer, &got, 1, 0), 1);
	CHECK_EQ(got.data.u64, 9);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, outer, &event), ELOOP);
	drain();
	CHECK_EQ(epoll_wait(outer, &got, 1, 0), 0);
	close(outer);
	done();
}

TEST(exclusive_has_its_own_rules)
{
	setup();
	CHECK_OK(add(fds[0], EPOLLIN | EPOLLEXCLUSIVE, 0));
	CHECK_ERR(change(fds[0], EPOLLIN | EPOLLEXCLUSIVE, 0), EINVAL);
	CHECK_ERR(change(fds[0], EPOLLIN, 0), EINVAL);
	CHECK_ERR(add(fds[1], EPOLLOUT | EPOLLEXCLUSIVE | EPOLLONESHOT, 0), EINVAL);
	fill(1);
	CHECK_EQ(ready(), EPOLLIN);
	done();
}

TEST(a_socket_reports_rdhup_and_hup)
{
	setup();
	close(fds[0]);
	close(fds[1]);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	CHECK_OK(add(fds[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP, 0));
	CHECK_EQ(ready(), EPOLLOUT);
	CHECK_OK(shutdown(fds[1], SHUT_WR));
	CHECK_EQ(ready(), EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	close(fds[1]);
	CHECK_EQ(ready(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
	close(fds[0]);
	close(ep);
}

static void *write_later(void *arg)
{
	usleep(3000);
	fill(1);
	return arg;
}

TEST(epoll_wait_wakes_when_another_thread_writes)
{
	struct epoll_event got;
	pthread_t thread;

	setup();
	CHECK_OK(add(fds[0], EPOLLIN, 4));
	CHECK_OK(pthread_create(&thread, NULL, write_later, NULL));
	CHECK_EQ(epoll_wait(ep, &got, 1, -1), 1);
	CHECK_EQ(got.data.u64, 4);
	CHECK_OK(pthread_join(thread, NULL));
	done();
}

static void *add_later(void *arg)
{
	usleep(3000);
	CHECK_OK(add(fds[0], EPOLLIN, 6));
	return arg;
}

TEST(a_descriptor_added_while_waiting_is_seen)
{
	struct epoll_event got;
	pthread_t thread;

	setup();
	fill(1);
	CHECK_OK(pthread_create(&thread, NULL, add_later, NULL));
	CHECK_EQ(epoll_wait(ep, &got, 1, -1), 1);
	CHECK_EQ(got.data.u64, 6);
	CHECK_OK(pthread_join(thread, NULL));
	done();
}

TEST(timeouts_are_no_sooner)
{
	struct epoll_event got;
	struct timespec brief = {0, 5000000}, wrong = {0, 1000000000};
	int64_t start;

	setup();
	start = t_now(CLOCK_MONOTONIC);
	CHECK_EQ(epoll_wait(ep, &got, 1, 5), 0);
	CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 5000000);
	start = t_now(CLOCK_MONOTONIC);
	CHECK_EQ(syscall(SYS_epoll_pwait2, ep, &got, 1, &brief, NULL, 8), 0);
	CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 5000000);
	CHECK_ERR(syscall(SYS_epoll_pwait2, ep, &got, 1, &wrong, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_epoll_pwait2, ep, &got, 1, t_bad, NULL, 8), EFAULT);
	CHECK_ERR(syscall(SYS_epoll_pwait2, 9999, &got, 1, &brief, NULL, 8), EBADF);
	done();
}

TEST_ALONE(epoll_pwait_swaps_the_mask_and_eintr_comes_despite_restart)
{
	struct epoll_event got;
	sigset_t block, none;

	setup();
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	CHECK_OK(sigprocmask(SIG_BLOCK, &block, NULL));
	t_tick(SA_RESTART, NULL);
	CHECK_ERR(epoll_pwait(ep, &got, 1, -1, &none), EINTR);
	CHECK_EQ(t_ticks, 1);
	t_tick_stop();
	CHECK_ERR(syscall(SYS_epoll_pwait, ep, &got, 1, 0, &none, 4), EINVAL);
	CHECK_ERR(syscall(SYS_epoll_pwait, ep, &got, 1, 0, t_bad, 8), EFAULT);
	CHECK_ERR(syscall(SYS_epoll_pwait, ep, &got, 0, 0, NULL, 8), EINVAL);
	CHECK_EQ(syscall(SYS_epoll_pwait, ep, &got, 1, 0, NULL, 8), 0);
}

TEST_ALONE(an_epoll_is_shared_by_fork)
{
	struct epoll_event got;

	setup();
	IN_CHILD() {
		CHECK_OK(add(fds[0], EPOLLIN, 77));
	}
	fill(1);
	CHECK_EQ(epoll_wait(ep, &got, 1, 0), 1);
	CHECK_EQ(got.data.u64, 77);
}
