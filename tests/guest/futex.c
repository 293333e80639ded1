/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Futexes: waiting, waking, moving waiters, priority inheritance, robust lists.
 * covers: futex set_robust_list get_robust_list futex_waitv
 */
#include "t.h"

#include <linux/futex.h>
#include <pthread.h>
#include <time.h>

static long futex(void *word, int op, uint32_t value, const void *timeout, void *word2, uint32_t value3)
{
	return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

/* Shared with children; one page. */
static uint32_t *shared_page(void)
{
	return MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

/* Wakes until `count` waiters have been woken: they may not sleep yet. */
static void wake_exactly(uint32_t *word, int op, int count, uint32_t bits)
{
	while (count > 0) {
		long n = MUST(futex(word, op, count, NULL, NULL, bits));

		count -= n;
		if (n == 0)
			usleep(200);
	}
}

TEST(wait_returns_eagain_when_the_value_differs)
{
	uint32_t word = 5;

	CHECK_ERR(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
	CHECK_ERR(futex(&word, FUTEX_WAIT_PRIVATE, 4, NULL, NULL, 0), EAGAIN);
	CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET, 4, NULL, NULL, 1), EAGAIN);
}

TEST(arguments_are_checked)
{
	uint32_t words[2] = {0};
	struct timespec wrong = {0, 1000000000}, negative = {-1, 0};

	CHECK_ERR(futex((char *)words + 1, FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex((char *)words + 2, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(t_bad, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
	CHECK_ERR(futex(t_kernel, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
	CHECK_ERR(futex(t_kernel, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EFAULT);
	CHECK_ERR(futex(t_bad, FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT);
	CHECK_ERR(futex(words, FUTEX_WAIT, 0, t_bad, NULL, 0), EFAULT);
	CHECK_ERR(futex(words, FUTEX_WAIT, 0, &wrong, NULL, 0), EINVAL);
	CHECK_ERR(futex(words, FUTEX_WAIT, 0, &negative, NULL, 0), EINVAL);
	CHECK_ERR(futex(words, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(words, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(words, 77, 0, NULL, NULL, 0), ENOSYS);
	CHECK_ERR(futex(words, FUTEX_REQUEUE, 1, (void *)-1L, &words[1], 0), EINVAL);
}

TEST(wake_without_waiters_returns_0)
{
	uint32_t word = 0;

	CHECK_EQ(futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0), 0);
	CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 4), 0);
}

TEST(a_relative_timeout_ends_no_sooner)
{
	uint32_t word = 0;
	struct timespec brief = {0, 10000000};
	int64_t start = t_now(CLOCK_MONOTONIC);

	CHECK_ERR(futex(&word, FUTEX_WAIT, 0, &brief, NULL, 0), ETIMEDOUT);
	CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 10000000);
	brief.tv_nsec = 0;
	CHECK_ERR(futex(&word, FUTEX_WAIT, 0, &brief, NULL, 0), ETIMEDOUT);
}

TEST(absolute_timeouts_use_either_clock)
{
	uint32_t word = 0;
	struct timespec when;
	int64_t end;

	CHECK_OK(clock_gettime(CLOCK_MONOTONIC, &when));
	end = when.tv_sec * 1000000000LL + when.tv_nsec + 10000000;
	when = (struct timespec){end / 1000000000, end % 1000000000};
	CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &when, NULL, ~0u), ETIMEDOUT);
	CHECK_GE(t_now(CLOCK_MONOTONIC), end);
	end = t_now(CLOCK_REALTIME) + 10000000;
	when = (struct timespec){end / 1000000000, end % 1000000000};
	CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &when, NULL, ~0u), ETIMEDOUT);
	CHECK_GE(t_now(CLOCK_REALTIME), end);
	when = (struct timespec){0, 0};
	CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET, 0, &when, NULL, ~0u), ETIMEDOUT);
}

struct waiter {
	pthread_t thread;
	uint32_t *word;
	int op;
	uint32_t bits;
	volatile long result;
	volatile int tid, done;
};

static void *wait_on(void *arg)
{
	struct waiter *w = arg;

	w->tid = gettid();
	w->result = futex(w->word, w->op, 0, NULL, NULL, w->bits);
	if (w->result < 0)
		w->result = -errno;
	w->done = 1;
	return NULL;
}

static void start(struct waiter *w, uint32_t *word, int op, uint32_t bits)
{
	*w = (struct waiter){.word = word, .op = op, .bits = bits};
	CHECK_OK(pthread_create(&w->thread, NULL, wait_on, w));
}

/*
 * For waiters that are moved to another word. On Linux one that wakes for no reason goes back to the word it named, and such
 * wakes come late from any lock of the kernel's that it waited for before, whoever let go of that (who looks into /proc, too).
 * So the word changes when all sleep: who goes back gets EAGAIN then. Of those who were moved there is one at most.
 */
static void start_asleep(struct waiter *w, unsigned n, uint32_t *word)
{
	for (unsigned i = 0; i < n; i++)
		start(&w[i], word, FUTEX_WAIT_PRIVATE, 0);
	for (unsigned i = 0; i < n; i++) {
		while (w[i].tid == 0)
			usleep(200);
		t_until_asleep(w[i].tid);
	}
	__atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
}

/* So many of them were woken; whether that is all. */
static bool join_woken(struct waiter *w, unsigned n, long woken)
{
	long zeros = 0;

	for (unsigned i = 0; i < n; i++) {
		CHECK_OK(pthread_join(w[i].thread, NULL));
		CHECK(w[i].result == 0 || w[i].result == -EAGAIN);
		zeros += w[i].result == 0;
	}
	CHECK_EQ(zeros, woken);
	CHECK_GE(zeros, n - 1);
	return zeros == n;
}

static void join(struct waiter *w, long result)
{
	CHECK_OK(pthread_join(w->thread, NULL));
	CHECK_EQ(w->result, result);
}

TEST(wake_wakes_as_many_as_asked)
{
	static uint32_t word;
	struct waiter w[4];

	for (int i = 0; i < 4; i++)
		start(&w[i], &word, FUTEX_WAIT_PRIVATE, 0);
	wake_exactly(&word, FUTEX_WAKE_PRIVATE, 1, 0);
	while (w[0].done + w[1].done + w[2].done + w[3].done == 0)
		usleep(200);
	CHECK_EQ(w[0].done + w[1].done + w[2].done + w[3].done, 1);
	wake_exactly(&word, FUTEX_WAKE_PRIVATE, 3, 0);
	for (int i = 0; i < 4; i++)
		join(&w[i], 0);
}

TEST(private_and_shared_operations_on_private_memory_do_meet_only_in_kind)
{
	static uint32_t word;
	struct waiter w;

	start(&w, &word, FUTEX_WAIT, 0);
	wake_exactly(&word, FUTEX_WAKE, 1, 0);
	join(&w, 0);
	start(&w, &word, FUTEX_WAIT_PRIVATE, 0);
	wake_exactly(&word, FUTEX_WAKE_PRIVATE, 1, 0);
	join(&w, 0);
}

TEST(bitsets_choose_who_is_woken)
{
	static uint32_t word;
	struct waiter one, two;

	start(&one, &word, FUTEX_WAIT_BITSET_PRIVATE, 1);
	start(&two, &word, FUTEX_WAIT_BITSET_PRIVATE, 2);
	CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4), 0);
	wake_exactly(&word, FUTEX_WAKE_BITSET_PRIVATE, 1, 2);
	join(&two, 0);
	CHECK_EQ(one.done, 0);
	wake_exactly(&word, FUTEX_WAKE_PRIVATE, 1, 0);
	join(&one, 0);
}

TEST(requeue_moves_waiters_to_the_other_word)
{
	static uint32_t from, to;
	struct waiter w[3];
	long moved, first, rest;

	start_asleep(w, 3, &from);
	moved = MUST(futex(&from, FUTEX_REQUEUE_PRIVATE, 0, (void *)10L, &to, 0));
	CHECK_EQ(futex(&from, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 0);
	first = MUST(futex(&to, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0));
	rest = MUST(futex(&to, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
	if (join_woken(w, 3, first + rest)) {
		CHECK_EQ(moved, 3);
		CHECK_EQ(first, 2);
	}
}

TEST(cmp_requeue_compares_first)
{
	static uint32_t from, to;
	struct waiter w[3];
	long there, back, rest, returned;

	CHECK_ERR(futex(&from, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1L, &to, 1), EAGAIN);
	start_asleep(w, 3, &from);
	CHECK_ERR(futex(&from, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1L, &to, 0), EAGAIN);
	there = MUST(futex(&from, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)10L, &to, 1));
	back = MUST(futex(&to, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1L, &from, 0));
	rest = MUST(futex(&to, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
	returned = MUST(futex(&from, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
	if (join_woken(w, 3, (back > 0) + rest + returned)) {
		CHECK_EQ(there, 3);
		CHECK_EQ(back, 2);
		CHECK_EQ(rest, 1);
		CHECK_EQ(returned, 1);
	}
}

TEST(wake_op_changes_the_second_word_and_wakes_by_the_comparison)
{
	static uint32_t a, b;
	struct waiter one, two;

	b = 5;
	CHECK_EQ(futex(&a, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &b, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5)), 0);
	CHECK_EQ(b, 8);
	CHECK_EQ(futex(&a, FUTEX_WAKE_OP, 1, (void *)1L, &b, FUTEX_OP(FUTEX_OP_OR, 7, FUTEX_OP_CMP_EQ, 5)), 0);
	CHECK_EQ(b, 15);
	CHECK_EQ(futex(&a, FUTEX_WAKE_OP, 1, (void *)1L, &b, FUTEX_OP(FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_EQ, 5)), 0);
	CHECK_EQ(b, 14);
	CHECK_EQ(futex(&a, FUTEX_WAKE_OP, 1, (void *)1L, &b, FUTEX_OP(FUTEX_OP_XOR, 15, FUTEX_OP_CMP_LT, 5)), 0);
	CHECK_EQ(b, 1);
	b = 0;
	start(&one, &a, FUTEX_WAIT_PRIVATE, 0);
	start(&two, &b, FUTEX_WAIT_PRIVATE, 0);
	for (long woken = 0; woken < 2;)
		woken += MUST(
		    futex(&a, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &b, FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 0)));
	join(&one, 0);
	join(&two, 0);
	CHECK_ERR(futex(&a, FUTEX_WAKE_OP, 1, (void *)1L, t_bad, FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 0)),
		  EFAULT);
}

TEST_ALONE(processes_meet_in_shared_memory)
{
	uint32_t *words = shared_page();
	pid_t pid = t_fork();

	if (pid == 0) {
		while (words[0] == 0)
			if (futex(&words[0], FUTEX_WAIT, 0, NULL, NULL, 0) < 0)
				CHECK_EQ(errno, EAGAIN);
		_exit(words[0] != 7);
	}
	__atomic_store_n(&words[0], 7, __ATOMIC_SEQ_CST);
	futex(&words[0], FUTEX_WAKE, 1, NULL, NULL, 0);
	t_reap(pid);
}

TEST_ALONE(a_file_mapped_twice_is_one_futex)
{
	int fd;
	uint32_t *a, *b;
	pid_t pid;

	t_scratch();
	fd = MUST(open("f", O_RDWR | O_CREAT, 0600));
	CHECK_OK(ftruncate(fd, 4096));
	a = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	b = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	pid = t_fork();
	if (pid == 0)
		_exit(futex(&a[4], FUTEX_WAIT, 0, NULL, NULL, 0) != 0);
	wake_exactly(&b[4], FUTEX_WAKE, 1, 0);
	t_reap(pid);
}

TEST_ALONE(a_wait_is_interrupted_by_a_signal)
{
	uint32_t word = 0;
	struct timespec when = {1ll << 40, 0};

	t_tick(0, NULL);
	CHECK_ERR(futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
	CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET, 0, &when, NULL, 1), EINTR);
	t_tick_stop();
}

static uint32_t tick_word;

static void change_after_some_ticks(void)
{
	if (t_ticks == 5) {
		tick_word = 1;
		futex(&tick_word, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

TEST_ALONE(a_wait_restarts_with_sa_restart_and_looks_again)
{
	long got;

	t_tick(SA_RESTART, change_after_some_ticks);
	got = futex(&tick_word, FUTEX_WAIT, 0, NULL, NULL, 0);
	CHECK(got == 0 || errno == EAGAIN);
	CHECK_EQ(tick_word, 1);
	t_tick_stop();
}

TEST(priority_inheritance_locks_hold_the_owner)
{
	uint32_t word = 0;

	CHECK_OK(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	CHECK_EQ(word, gettid());
	CHECK_ERR(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
	CHECK_OK(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	CHECK_EQ(word, 0);
	CHECK_ERR(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
	CHECK_OK(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
	CHECK_OK(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	word = 0x3ffffff;
	CHECK_ERR(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), ESRCH);
}

static pthread_mutex_t pi_mutex;
static int pi_counter;

static void *count_up(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		CHECK_OK(pthread_mutex_lock(&pi_mutex));
		pi_counter++;
		CHECK_OK(pthread_mutex_unlock(&pi_mutex));
	}
	return arg;
}

TEST(priority_inheritance_mutexes_exclude)
{
	pthread_mutexattr_t attributes;
	pthread_t threads[3];

	CHECK_OK(pthread_mutexattr_init(&attributes));
	CHECK_OK(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT));
	CHECK_OK(pthread_mutex_init(&pi_mutex, &attributes));
	pi_counter = 0;
	for (int i = 0; i < 3; i++)
		CHECK_OK(pthread_create(&threads[i], NULL, count_up, NULL));
	for (int i = 0; i < 3; i++)
		CHECK_OK(pthread_join(threads[i], NULL));
	CHECK_EQ(pi_counter, 6000);
}

TEST(robust_lists_are_registered_and_read_back)
{
	struct robust_list_head head = {.list.next = &head.list}, *got;
	struct robust_list_head *before;
	size_t length, before_length;

	CHECK_OK(syscall(SYS_get_robust_list, 0, &before, &before_length));
	CHECK_OK(syscall(SYS_set_robust_list, &head, sizeof head));
	CHECK_OK(syscall(SYS_get_robust_list, 0, &got, &length));
	CHECK(got == &head);
	CHECK_EQ(length, sizeof head);
	CHECK_ERR(syscall(SYS_set_robust_list, &head, sizeof head - 1), EINVAL);
	CHECK_ERR(syscall(SYS_get_robust_list, 0x3ffffff, &got, &length), ESRCH);
	CHECK_ERR(syscall(SYS_get_robust_list, 0, t_bad, &length), EFAULT);
	CHECK_ERR(syscall(SYS_get_robust_list, 0, &got, t_bad), EFAULT);
	CHECK_OK(syscall(SYS_set_robust_list, before, sizeof head));
}

static void *lock_and_exit(void *mutex)
{
	CHECK_OK(pthread_mutex_lock(mutex));
	return NULL;
}

TEST(a_robust_mutex_of_a_dead_thread_gives_eownerdead)
{
	pthread_mutexattr_t attributes;
	pthread_mutex_t mutex;
	pthread_t thread;

	CHECK_OK(pthread_mutexattr_init(&attributes));
	CHECK_OK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST));
	CHECK_OK(pthread_mutex_init(&mutex, &attributes));
	CHECK_OK(pthread_create(&thread, NULL, lock_and_exit, &mutex));
	CHECK_OK(pthread_join(thread, NULL));
	CHECK_EQ(pthread_mutex_lock(&mutex), EOWNERDEAD);
	CHECK_OK(pthread_mutex_consistent(&mutex));
	CHECK_OK(pthread_mutex_unlock(&mutex));
	CHECK_OK(pthread_mutex_lock(&mutex));
	CHECK_OK(pthread_mutex_unlock(&mutex));
}

TEST_ALONE(a_robust_mutex_of_a_killed_process_wakes_its_waiter)
{
	pthread_mutexattr_t attributes;
	pthread_mutex_t *mutex = (void *)shared_page();
	int fds[2];
	char c;
	pid_t pid, waiter;

	CHECK_OK(pthread_mutexattr_init(&attributes));
	CHECK_OK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST));
	CHECK_OK(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED));
	CHECK_OK(pthread_mutex_init(mutex, &attributes));
	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		CHECK_OK(pthread_mutex_lock(mutex));
		CHECK_EQ(write(fds[1], "l", 1), 1);
		for (;;)
			pause();
	}
	CHECK_EQ(read(fds[0], &c, 1), 1);
	waiter = t_fork();
	if (waiter == 0)
		_exit(pthread_mutex_lock(mutex) != EOWNERDEAD);
	t_until_asleep(waiter);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(t_wait(pid), SIGKILL);
	t_reap(waiter);
}

TEST_ALONE(the_robust_list_pending_entry_is_honoured_at_exit)
{
	struct shared {
		struct robust_list_head head;
		struct robust_list entry;
		uint32_t word;
	} *s = (void *)shared_page();
	pid_t pid = t_fork();

	if (pid == 0) {
		s->head.list.next = &s->head.list;
		s->head.futex_offset = offsetof(struct shared, word) - offsetof(struct shared, entry);
		s->head.list_op_pending = &s->entry;
		s->word = gettid() | FUTEX_WAITERS;
		CHECK_OK(syscall(SYS_set_robust_list, &s->head, sizeof s->head));
		_exit(0);
	}
	t_reap(pid);
	CHECK_EQ(s->word & FUTEX_OWNER_DIED, FUTEX_OWNER_DIED);
	CHECK_EQ(s->word & FUTEX_TID_MASK, 0);
}

TEST_ALONE(a_broken_robust_list_does_not_hang_exit)
{
	pid_t pid = t_fork();

	if (pid == 0) {
		static struct robust_list a, b;
		static struct robust_list_head head = {.list.next = &a};

		a.next = &b;
		b.next = &a;
		CHECK_OK(syscall(SYS_set_robust_list, &head, sizeof head));
		_exit(0);
	}
	t_reap(pid);
	pid = t_fork();
	if (pid == 0) {
		CHECK_OK(syscall(SYS_set_robust_list, t_bad, sizeof(struct robust_list_head)));
		_exit(0);
	}
	t_reap(pid);
}

static int turns;
static pthread_mutex_t turn_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;

static void *take_turns(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (int i = 0; i < 500; i++) {
		CHECK_OK(pthread_mutex_lock(&turn_mutex));
		while (turns % 3 != me)
			CHECK_OK(pthread_cond_wait(&turn_changed, &turn_mutex));
		turns++;
		CHECK_OK(pthread_cond_broadcast(&turn_changed));
		CHECK_OK(pthread_mutex_unlock(&turn_mutex));
	}
	return NULL;
}

TEST(condition_variables_pass_a_turn_around)
{
	pthread_t threads[3];

	turns = 0;
	for (int i = 0; i < 3; i++)
		CHECK_OK(pthread_create(&threads[i], NULL, take_turns, (void *)(intptr_t)i));
	for (int i = 0; i < 3; i++)
		CHECK_OK(pthread_join(threads[i], NULL));
	CHECK_EQ(turns, 1500);
}

struct waitv {
	uint64_t value, address;
	uint32_t flags, reserved;
};

TEST(waitv_checks_all_words_and_times_out)
{
	uint32_t a = 0, b = 1;
	struct waitv v[2] = {{0, (uintptr_t)&a, 2, 0}, {1, (uintptr_t)&b, 2, 0}};
	struct timespec past = {0, 1};

	CHECK_ERR(syscall(SYS_futex_waitv, v, 2, 0, &past, CLOCK_MONOTONIC), ETIMEDOUT);
	b = 2;
	CHECK_ERR(syscall(SYS_futex_waitv, v, 2, 0, NULL, 0), EAGAIN);
	CHECK_ERR(syscall(SYS_futex_waitv, v, 0, 0, NULL, 0), EINVAL);
	CHECK_ERR(syscall(SYS_futex_waitv, v, 129, 0, NULL, 0), EINVAL);
	CHECK_ERR(syscall(SYS_futex_waitv, v, 2, 1, NULL, 0), EINVAL);
	CHECK_ERR(syscall(SYS_futex_waitv, t_bad, 2, 0, NULL, 0), EFAULT);
}
