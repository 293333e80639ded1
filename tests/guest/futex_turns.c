/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No wake is lost: threads that wake each other by private futexes, in every way that a C library does it, a bounded number of
 * times. A lost wake leaves a thread asleep for ever, and the test with it; a wake too many shows in the sums.
 * covers: futex
 */
#include "t.h"

#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#define THREADS 4

static long futex(void *word, int op, uint32_t value, const void *timeout, void *word2, uint32_t value3)
{
	return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

static void start(pthread_t *t, unsigned n, void *(*fn)(void *))
{
	for (unsigned long i = 0; i < n; i++)
		CHECK_OK(pthread_create(&t[i], NULL, fn, (void *)i));
}

static void join(pthread_t *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		CHECK_OK(pthread_join(t[i], NULL));
}

/* ---- words ---- */

#define TURNS 100000
static atomic_uint word[THREADS];

static void hand_to(unsigned n)
{
	atomic_store(&word[n], 1);
	CHECK_GE(futex(&word[n], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
}

static void await(unsigned n, const struct timespec *patience)
{
	while (atomic_exchange(&word[n], 0) == 0)
		(void)futex(&word[n], FUTEX_WAIT_PRIVATE, 0, patience, NULL, 0);
}

static void *partner(void *arg)
{
	(void)arg;
	for (int i = 0; i < TURNS; i++) {
		await(1, NULL);
		hand_to(0);
	}
	return NULL;
}

TEST(two_threads_take_turns)
{
	pthread_t t;

	start(&t, 1, partner);
	for (int i = 0; i < TURNS; i++) {
		hand_to(1);
		await(0, NULL);
	}
	join(&t, 1);
}

static void *hasty(void *arg)
{
	const struct timespec brief = {0, 1100000};

	(void)arg;
	for (int i = 0; i < TURNS / 20; i++) {
		if (i % 64 == 0)
			usleep(1100); /* about when the other gives up */
		await(1, &brief);
		hand_to(0);
	}
	return NULL;
}

TEST(timeouts_race_wakes)
{
	const struct timespec brief = {0, 1100000};
	pthread_t t;

	start(&t, 1, hasty);
	for (int i = 0; i < TURNS / 20; i++) {
		hand_to(1);
		await(0, &brief);
	}
	join(&t, 1);
}

/* ---- requeue: who was moved must be found at the other word ---- */

#define MOVES 5000
static atomic_uint from, to, through;

static void *moved(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < MOVES; i++) {
		while (atomic_load(&from) == i)
			(void)futex(&from, FUTEX_WAIT_PRIVATE, i, NULL, NULL, 0);
		atomic_fetch_add(&through, 1);
		while (atomic_load(&to) == i)
			(void)futex(&to, FUTEX_WAIT_PRIVATE, i, NULL, NULL, 0);
	}
	return NULL;
}

TEST(a_waiter_that_was_moved_is_woken_where_it_is)
{
	pthread_t t[THREADS];

	start(t, THREADS, moved);
	for (unsigned i = 0; i < MOVES; i++) {
		if (i % 8 == 0)
			usleep(50);
		/* All that wait there go to the other word; `from` is another then, but nobody is woken for it. */
		atomic_store(&from, i + 1);
		CHECK_GE(futex(&from, FUTEX_REQUEUE_PRIVATE, 0, (void *)INT_MAX, &to, 0), 0);
		CHECK_GE(futex(&to, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0), 0);
		while (atomic_load(&through) != (i + 1) * THREADS)
			sched_yield();
		atomic_store(&to, i + 1);
		CHECK_GE(futex(&to, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0), 0);
	}
	join(t, THREADS);
}

/* ---- the C library's ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER, less = PTHREAD_COND_INITIALIZER;
static long queued, taken, given;
#define ITEMS 20000

static void *producer_or_consumer(void *arg)
{
	int gives = (unsigned long)arg % 2 == 0;

	for (int i = 0; i < ITEMS; i++) {
		pthread_mutex_lock(&lock);
		while (gives ? queued == 3 : queued == 0)
			pthread_cond_wait(gives ? &less : &more, &lock);
		queued += gives ? 1 : -1;
		*(gives ? &given : &taken) += 1;
		if (i % 2 == 0)
			pthread_cond_broadcast(gives ? &more : &less);
		else
			pthread_cond_signal(gives ? &more : &less);
		/* A signal that the other kind didn't need may have been the last: the rest is broadcast. */
		if (queued == 0 || queued == 3)
			pthread_cond_broadcast(gives ? &more : &less);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

TEST(conditions_lose_nobody)
{
	pthread_t t[THREADS];

	start(t, THREADS, producer_or_consumer);
	join(t, THREADS);
	CHECK_EQ(given, ITEMS * THREADS / 2);
	CHECK_EQ(taken, ITEMS * THREADS / 2);
	CHECK_EQ(queued, 0);
}

static sem_t sems[3];

static void *in_a_ring(void *arg)
{
	unsigned long me = (unsigned long)arg;

	for (int i = 0; i < ITEMS / 2; i++) {
		while (sem_wait(&sems[me]) < 0)
			continue;
		sem_post(&sems[(me + 1) % 3]);
	}
	return NULL;
}

TEST(semaphores_go_round)
{
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		CHECK_OK(sem_init(&sems[i], 0, i == 0));
	start(t, 3, in_a_ring);
	join(t, 3);
}

static pthread_barrier_t barrier;
static long arrived;

static void *at_the_barrier(void *arg)
{
	(void)arg;
	for (long i = 1; i <= ITEMS / 10; i++) {
		__atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
		pthread_barrier_wait(&barrier);
		CHECK_EQ(__atomic_load_n(&arrived, __ATOMIC_SEQ_CST), i * 3);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

TEST(barriers_hold_all)
{
	pthread_t t[3];

	CHECK_OK(pthread_barrier_init(&barrier, NULL, 3));
	start(t, 3, at_the_barrier);
	join(t, 3);
}

static void *locks_much(void *arg)
{
	(void)arg;
	for (int i = 0; i < ITEMS * 4; i++) {
		pthread_mutex_lock(&lock);
		taken++;
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

TEST(a_mutex_is_passed_on)
{
	pthread_t t[THREADS];

	start(t, THREADS, locks_much);
	join(t, THREADS);
	CHECK_EQ(taken, ITEMS * 4 * THREADS);
}

/* ---- signals ---- */

static atomic_uint handled, seen, done;

static void on_signal(int sig)
{
	(void)sig;
	atomic_fetch_add(&handled, 1);
}

static void *waits_through_signals(void *arg)
{
	(void)arg;
	while (atomic_load(&done) == 0) {
		long r = futex(&done, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);

		if (r < 0 && errno == EINTR)
			atomic_fetch_add(&seen, 1);
		else
			CHECK(r == 0 || errno == EAGAIN);
	}
	return NULL;
}

static void interrupt(int flags, unsigned times)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};
	pthread_t t;

	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	start(&t, 1, waits_through_signals);
	for (unsigned i = 0; i < times; i++) {
		if (i % 16 == 0)
			usleep(100 + i % 7 * 30); /* asleep, or about to be */
		CHECK_OK(pthread_kill(t, SIGUSR1));
		while (atomic_load(&handled) != i + 1)
			sched_yield();
	}
	atomic_store(&done, 1);
	CHECK_GE(futex(&done, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
	join(&t, 1);
}

TEST(a_handler_runs_whenever_a_wait_is_interrupted)
{
	interrupt(0, 2000);
	CHECK_GE(atomic_load(&seen), 1);
}

TEST(a_wait_without_time_goes_on_if_the_handler_says_so)
{
	interrupt(SA_RESTART, 2000);
	CHECK_EQ(atomic_load(&seen), 0);
}

/* ---- fork, cancellation ---- */

TEST(a_fork_begins_with_nobody_waiting)
{
	pthread_t t[2];

	CHECK_OK(sem_init(&sems[0], 0, 0));
	CHECK_OK(sem_init(&sems[1], 0, 0));
	for (int i = 0; i < 20; i++) {
		int status;
		pid_t pid;

		atomic_store(&done, 0);
		start(t, 1, waits_through_signals);
		usleep(i % 2 * 300);
		pid = MUST(fork());
		if (pid == 0) {
			/* Its parent's waiter isn't its own; its own threads find each other. */
			if (futex(&done, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0) != 0)
				_exit(1);
			pthread_create(&t[1], NULL, partner, NULL);
			for (int k = 0; k < TURNS / 400; k++) {
				hand_to(1);
				await(0, NULL);
			}
			_exit(0);
		}
		CHECK_EQ(MUST(waitpid(pid, &status, 0)), pid);
		CHECK_EQ(status, 0);
		atomic_store(&done, 1);
		CHECK_GE(futex(&done, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
		join(t, 1);
	}
}

static void unlock(void *arg)
{
	pthread_mutex_unlock(arg);
}

static void *takes_until_cancelled(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_mutex_lock(&lock);
		pthread_cleanup_push(unlock, &lock);
		while (queued == 0)
			pthread_cond_wait(&more, &lock);
		queued--;
		taken++;
		pthread_cond_broadcast(&less);
		pthread_cleanup_pop(1);
	}
	return NULL;
}

TEST(threads_are_cancelled_while_others_wake_them)
{
	pthread_t t[2];
	long sent = 0;

	taken = queued = 0;
	for (int i = 0; i < 100; i++) {
		start(t, 2, takes_until_cancelled);
		for (int k = 0; k < 20; k++) {
			pthread_mutex_lock(&lock);
			queued++;
			sent++;
			pthread_cond_signal(&more);
			pthread_mutex_unlock(&lock);
		}
		pthread_mutex_lock(&lock);
		while (queued != 0)
			pthread_cond_wait(&less, &lock);
		pthread_mutex_unlock(&lock);
		CHECK_OK(pthread_cancel(t[i % 2]));
		pthread_mutex_lock(&lock);
		queued++; /* the other takes it */
		sent++;
		pthread_cond_broadcast(&more);
		while (queued != 0)
			pthread_cond_wait(&less, &lock);
		pthread_mutex_unlock(&lock);
		CHECK_OK(pthread_cancel(t[1 - i % 2]));
		join(t, 2);
	}
	CHECK_EQ(taken, sent);
}
