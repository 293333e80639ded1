/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for descriptors, the old ways.
 * covers: poll ppoll select pselect6
 */
#include "t.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>

static int fds[2];

static void new_pipe(void)
{
	CHECK_OK(pipe(fds));
}

static void close_pipe(void)
{
	close(fds[0]);
	close(fds[1]);
}

TEST(poll_reports_only_what_was_asked_and_errors)
{
	struct pollfd p[4];

	new_pipe();
	CHECK_EQ(write(fds[1], "x", 1), 1);
	p[0] = (struct pollfd){fds[0], POLLIN | POLLRDNORM, 0x7f};
	p[1] = (struct pollfd){fds[1], POLLIN, 0x7f};
	p[2] = (struct pollfd){9999, POLLIN, 0};
	p[3] = (struct pollfd){-1, POLLIN, 0x7f};
	CHECK_EQ(syscall(SYS_poll, p, 4, -1), 2);
	CHECK_EQ(p[0].revents, POLLIN | POLLRDNORM);
	CHECK_EQ(p[1].revents, 0);
	CHECK_EQ(p[2].revents, POLLNVAL);
	CHECK_EQ(p[3].revents, 0);
	close_pipe();
}

TEST(poll_times_out_no_sooner)
{
	struct pollfd p;
	int64_t start = t_now(CLOCK_MONOTONIC);

	new_pipe();
	p = (struct pollfd){fds[0], POLLIN, 0};
	CHECK_EQ(syscall(SYS_poll, &p, 1, 10), 0);
	CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 10000000);
	CHECK_EQ(syscall(SYS_poll, NULL, 0, 1), 0);
	CHECK_EQ(syscall(SYS_poll, &p, 1, 0), 0);
	close_pipe();
}

TEST_ALONE(errors_of_poll)
{
	static struct pollfd many[100];
	struct rlimit limit = {50, 50};
	struct pollfd *edge = t_edge(sizeof(struct pollfd) + 4);

	CHECK_ERR(syscall(SYS_poll, t_bad, 1, 0), EFAULT);
	CHECK_ERR(syscall(SYS_poll, t_kernel, 1, 0), EFAULT);
	edge[0] = (struct pollfd){-1, 0, 0};
	CHECK_EQ(syscall(SYS_poll, edge, 1, 0), 0);
	CHECK_ERR(syscall(SYS_poll, edge, 2, 0), EFAULT);
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_ERR(syscall(SYS_poll, many, 51, 0), EINVAL);
}

TEST(regular_files_are_always_ready)
{
	struct pollfd p;

	t_scratch();
	p = (struct pollfd){MUST(open("f", O_RDWR | O_CREAT, 0600)), POLLIN | POLLOUT | POLLPRI, 0};
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK_EQ(p.revents, POLLIN | POLLOUT);
	close(p.fd);
}

TEST(rdhup_tells_of_a_half_closed_socket)
{
	struct pollfd p;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	p = (struct pollfd){fds[0], POLLIN | POLLRDHUP, 0};
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_OK(shutdown(fds[1], SHUT_WR));
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK_EQ(p.revents, POLLIN | POLLRDHUP);
	close(fds[1]);
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK_EQ(p.revents, POLLIN | POLLRDHUP | POLLHUP);
	close(fds[0]);
}

static void *write_later(void *arg)
{
	usleep(3000);
	CHECK_EQ(write(fds[1], "w", 1), 1);
	return arg;
}

TEST(poll_wakes_when_another_thread_writes)
{
	struct pollfd p;
	pthread_t thread;

	new_pipe();
	CHECK_OK(pthread_create(&thread, NULL, write_later, NULL));
	p = (struct pollfd){fds[0], POLLIN, 0};
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK_OK(pthread_join(thread, NULL));
	close_pipe();
}

TEST_ALONE(poll_is_interrupted_even_with_sa_restart)
{
	struct pollfd p;

	new_pipe();
	p = (struct pollfd){fds[0], POLLIN, 0};
	t_tick(SA_RESTART, NULL);
	CHECK_ERR(poll(&p, 1, -1), EINTR);
	t_tick_stop();
	t_tick(SA_RESTART, NULL);
	fd_set set;
	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	CHECK_ERR(select(fds[0] + 1, &set, NULL, NULL, NULL), EINTR);
	t_tick_stop();
}

TEST_ALONE(ppoll_swaps_the_mask_while_it_waits)
{
	struct pollfd p;
	sigset_t block, none, now;
	struct timespec wait = {1000, 0}, wrong = {0, 1000000000}, brief = {0, 1000000};

	new_pipe();
	p = (struct pollfd){fds[0], POLLIN, 0};
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	CHECK_OK(sigprocmask(SIG_BLOCK, &block, NULL));
	t_tick(0, NULL);
	CHECK_ERR(ppoll(&p, 1, &wait, &none), EINTR);
	CHECK_EQ(t_ticks, 1);
	CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &now));
	CHECK(sigismember(&now, SIGALRM));
	t_tick_stop();
	CHECK_EQ(ppoll(&p, 1, &brief, NULL), 0);
	CHECK_ERR(syscall(SYS_ppoll, &p, 1, &wrong, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_ppoll, &p, 1, &brief, &none, 4), EINVAL);
	CHECK_ERR(syscall(SYS_ppoll, &p, 1, t_bad, NULL, 8), EFAULT);
	CHECK_ERR(syscall(SYS_ppoll, &p, 1, &brief, t_bad, 8), EFAULT);
	CHECK_ERR(syscall(SYS_ppoll, t_bad, 1, &brief, NULL, 8), EFAULT);
	brief = (struct timespec){0, 2000000};
	CHECK_EQ(syscall(SYS_ppoll, &p, 1, &brief, NULL, 8), 0);
	CHECK_EQ(brief.tv_nsec, 0); /* the kernel writes back what is left */
}

TEST(select_changes_the_sets_to_what_is_ready)
{
	fd_set r, w, e;
	struct timeval zero = {0, 0};

	new_pipe();
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&e);
	FD_SET(fds[0], &r);
	FD_SET(fds[1], &w);
	FD_SET(fds[0], &e);
	CHECK_EQ(syscall(SYS_select, fds[1] + 1, &r, &w, &e, &zero), 1);
	CHECK(!FD_ISSET(fds[0], &r) && FD_ISSET(fds[1], &w) && !FD_ISSET(fds[0], &e));
	CHECK_EQ(write(fds[1], "x", 1), 1);
	FD_SET(fds[0], &r);
	FD_SET(fds[1], &w);
	CHECK_EQ(syscall(SYS_select, fds[1] + 1, &r, &w, NULL, NULL), 2);
	CHECK(FD_ISSET(fds[0], &r));
	FD_SET(fds[0], &r);
	CHECK_EQ(syscall(SYS_select, fds[0], &r, NULL, NULL, &zero), 0);
	close_pipe();
}

TEST(select_times_out_and_writes_the_rest_back)
{
	fd_set r;
	struct timeval brief = {0, 8000};
	int64_t start = t_now(CLOCK_MONOTONIC);

	new_pipe();
	FD_ZERO(&r);
	FD_SET(fds[0], &r);
	CHECK_EQ(select(fds[0] + 1, &r, NULL, NULL, &brief), 0);
	CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 8000000);
	CHECK_EQ(brief.tv_sec + brief.tv_usec, 0);
	CHECK(!FD_ISSET(fds[0], &r));
	brief = (struct timeval){100, 0};
	CHECK_EQ(write(fds[1], "x", 1), 1);
	FD_SET(fds[0], &r);
	CHECK_EQ(select(fds[0] + 1, &r, NULL, NULL, &brief), 1);
	CHECK(brief.tv_sec < 100 && brief.tv_sec > 0);
	close_pipe();
}

TEST(errors_of_select)
{
	fd_set r;
	struct timeval zero = {0, 0}, negative = {-1, 0};

	FD_ZERO(&r);
	FD_SET(40, &r); /* beyond its table, which has at least 64 places, Linux looks at none */
	CHECK_ERR(syscall(SYS_select, 41, &r, NULL, NULL, &zero), EBADF);
	FD_ZERO(&r);
	CHECK_ERR(syscall(SYS_select, -1, &r, NULL, NULL, &zero), EINVAL);
	CHECK_ERR(syscall(SYS_select, 1, t_bad, NULL, NULL, &zero), EFAULT);
	CHECK_ERR(syscall(SYS_select, 1, NULL, t_bad, NULL, &zero), EFAULT);
	CHECK_ERR(syscall(SYS_select, 1, NULL, NULL, NULL, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_select, 0, NULL, NULL, NULL, &negative), EINVAL);
}

TEST_ALONE(pselect6_swaps_the_mask_and_checks_its_arguments)
{
	fd_set r;
	sigset_t block, none;
	struct timespec wait = {1000, 0}, wrong = {-1, 0}, brief = {0, 1000000};
	struct {
		void *mask;
		size_t size;
	} pack = {&none, 8}, bad_size = {&none, 4}, bad_mask = {t_bad, 8};

	new_pipe();
	FD_ZERO(&r);
	FD_SET(fds[0], &r);
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	CHECK_OK(sigprocmask(SIG_BLOCK, &block, NULL));
	t_tick(0, NULL);
	CHECK_ERR(syscall(SYS_pselect6, fds[0] + 1, &r, NULL, NULL, &wait, &pack), EINTR);
	CHECK_EQ(t_ticks, 1);
	t_tick_stop();
	CHECK_EQ(syscall(SYS_pselect6, fds[0] + 1, &r, NULL, NULL, &brief, NULL), 0);
	CHECK_ERR(syscall(SYS_pselect6, 1, &r, NULL, NULL, &brief, &bad_size), EINVAL);
	CHECK_ERR(syscall(SYS_pselect6, 1, &r, NULL, NULL, &brief, &bad_mask), EFAULT);
	CHECK_ERR(syscall(SYS_pselect6, 1, &r, NULL, NULL, &brief, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_pselect6, 1, &r, NULL, NULL, &wrong, NULL), EINVAL);
}

/* Often enough from one place that a kernel which rewrites text will have rewritten it. */
TEST_ALONE(pselect6_swaps_the_mask_again_and_again)
{
	struct timespec brief = {0, 1000}, wait = {1000, 0};
	struct {
		void *mask;
		size_t size;
	} pack, *edge = t_edge(sizeof(*edge));
	sigset_t block, none, *edge_mask = t_edge(8);
	fd_set r;

	new_pipe();
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	*(uint64_t *)edge_mask = 0;
	CHECK_OK(sigprocmask(SIG_BLOCK, &block, NULL));
	t_tick(0, NULL);
	for (int i = 0; i < 400; i++) {
		int ticks;

		brief = (struct timespec){0, 1000};
		FD_ZERO(&r);
		FD_SET(fds[0], &r);
		pack.mask = &block;
		pack.size = 8;
		ticks = t_ticks;
		CHECK_EQ(syscall(SYS_pselect6, fds[0] + 1, &r, NULL, NULL, &brief, &pack), 0);
		CHECK_EQ(t_ticks, ticks);
		if (i % 20 != 0)
			continue;
		FD_SET(fds[0], &r);
		edge->mask = i % 40 == 0 ? (void *)&none : (void *)edge_mask;
		edge->size = 8;
		CHECK_ERR(syscall(SYS_pselect6, fds[0] + 1, &r, NULL, NULL, &wait, edge), EINTR);
		CHECK_EQ(t_ticks, ticks + 1);
		/* As before. */
		wait = (struct timespec){1000, 0};
		CHECK_EQ(syscall(SYS_pselect6, fds[0] + 1, &r, NULL, NULL, &brief, NULL), 0);
		CHECK_EQ(t_ticks, ticks + 1);
		edge->mask = t_bad;
		CHECK_ERR(syscall(SYS_pselect6, 1, &r, NULL, NULL, &brief, edge), EFAULT);
		edge->mask = (char *)edge_mask + 1;
		CHECK_ERR(syscall(SYS_pselect6, 1, &r, NULL, NULL, &brief, edge), EFAULT);
		edge->size = 16;
		CHECK_ERR(syscall(SYS_pselect6, 1, &r, NULL, NULL, &brief, edge), EINVAL);
		edge->mask = NULL;
		FD_ZERO(&r);
		CHECK_EQ(syscall(SYS_pselect6, 1, &r, NULL, NULL, &brief, edge), 0);
		CHECK_ERR(syscall(SYS_pselect6, 1, &r, NULL, NULL, &brief, (char *)edge + 8), EFAULT);
	}
	t_tick_stop();
}
