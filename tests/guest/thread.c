/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads: creating them by libc and by hand, what they share, how they end.
 * covers: clone clone3 set_tid_address exit exit_group gettid
 */
#include "t.h"

#include <linux/futex.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/prctl.h>

static __thread int tls_value = 17;

static void *return_argument(void *arg)
{
	return arg;
}

TEST(threads_return_values_to_join)
{
	pthread_t threads[8];
	void *value;

	for (intptr_t i = 0; i < 8; i++)
		CHECK_OK(pthread_create(&threads[i], NULL, return_argument, (void *)(i * 11)));
	for (intptr_t i = 0; i < 8; i++) {
		CHECK_OK(pthread_join(threads[i], &value));
		CHECK_EQ((intptr_t)value, i * 11);
	}
}

static void *check_identity(void *arg)
{
	pid_t *pids = arg;

	CHECK_EQ(getpid(), pids[0]);
	CHECK(syscall(SYS_gettid) != pids[0]);
	pids[1] = syscall(SYS_gettid);
	return NULL;
}

TEST(a_thread_has_its_own_tid_and_the_process_pid)
{
	pid_t pids[2] = {getpid(), 0};
	pthread_t thread;

	CHECK_OK(pthread_create(&thread, NULL, check_identity, pids));
	CHECK_OK(pthread_join(thread, NULL));
	CHECK(pids[1] > 0);
	/* The word that join waits for is cleared a little before Linux takes the thread out of its tables. */
	while (syscall(SYS_tgkill, getpid(), pids[1], 0) == 0)
		sched_yield();
	CHECK_EQ(errno, ESRCH);
}

static void *use_tls(void *arg)
{
	CHECK_EQ(tls_value, 17);
	tls_value = (int)(intptr_t)arg;
	for (int i = 0; i < 100; i++) {
		sched_yield();
		CHECK_EQ(tls_value, (intptr_t)arg);
	}
	return &tls_value;
}

TEST(thread_local_storage_is_separate)
{
	pthread_t threads[4];
	void *value;

	tls_value = 99;
	for (intptr_t i = 0; i < 4; i++)
		CHECK_OK(pthread_create(&threads[i], NULL, use_tls, (void *)(i + 1)));
	for (int i = 0; i < 4; i++) {
		CHECK_OK(pthread_join(threads[i], &value));
		CHECK(value != &tls_value);
	}
	CHECK_EQ(tls_value, 99);
	tls_value = 17;
}

static int counter;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *add_thousand(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
	}
	return arg;
}

TEST(a_mutex_protects_a_counter)
{
	pthread_t threads[8];

	counter = 0;
	for (int i = 0; i < 8; i++)
		CHECK_OK(pthread_create(&threads[i], NULL, add_thousand, NULL));
	for (int i = 0; i < 8; i++)
		CHECK_OK(pthread_join(threads[i], NULL));
	CHECK_EQ(counter, 8000);
}

TEST(hundreds_of_threads_come_and_go)
{
	pthread_attr_t attributes;
	pthread_t threads[20];

	CHECK_OK(pthread_attr_init(&attributes));
	CHECK_OK(pthread_attr_setstacksize(&attributes, 65536));
	for (int round = 0; round < 15; round++) {
		for (int i = 0; i < 20; i++)
			CHECK_OK(pthread_create(&threads[i], &attributes, return_argument, NULL));
		for (int i = 0; i < 20; i++)
			CHECK_OK(pthread_join(threads[i], NULL));
	}
}

static sem_t sem;

static void *wait_for_all(void *arg)
{
	pthread_barrier_wait(arg);
	return NULL;
}

TEST(a_hundred_threads_live_at_once)
{
	enum { COUNT = 100 };
	pthread_barrier_t barrier;
	pthread_attr_t attributes;
	pthread_t threads[COUNT];

	CHECK_OK(pthread_barrier_init(&barrier, NULL, COUNT + 1));
	CHECK_OK(pthread_attr_init(&attributes));
	CHECK_OK(pthread_attr_setstacksize(&attributes, 65536));
	for (int i = 0; i < COUNT; i++)
		CHECK_OK(pthread_create(&threads[i], &attributes, wait_for_all, &barrier));
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < COUNT; i++)
		CHECK_OK(pthread_join(threads[i], NULL));
}

static void *post_some(void *arg)
{
	for (int i = 0; i < 100; i++)
		CHECK_OK(sem_post(&sem));
	return arg;
}

TEST(semaphores_count)
{
	pthread_t threads[3];

	CHECK_OK(sem_init(&sem, 0, 0));
	for (int i = 0; i < 3; i++)
		CHECK_OK(pthread_create(&threads[i], NULL, post_some, NULL));
	for (int i = 0; i < 300; i++)
		CHECK_OK(sem_wait(&sem));
	CHECK_ERR(sem_trywait(&sem), EAGAIN);
	for (int i = 0; i < 3; i++)
		CHECK_OK(pthread_join(threads[i], NULL));
}

static void *open_and_change(void *arg)
{
	*(int *)arg = MUST(open("/dev/null", O_RDONLY));
	CHECK_OK(chdir("/"));
	umask(0135);
	return NULL;
}

TEST_ALONE(threads_share_descriptors_directory_and_umask)
{
	char path[PATH_MAX];
	pthread_t thread;
	int fd;

	t_scratch();
	CHECK_OK(pthread_create(&thread, NULL, open_and_change, &fd));
	CHECK_OK(pthread_join(thread, NULL));
	CHECK_GE(fcntl(fd, F_GETFD), 0);
	CHECK(getcwd(path, sizeof path) != NULL);
	CHECK_STR(path, "/");
	CHECK_EQ(umask(022), 0135);
}

static void *own_mask(void *arg)
{
	sigset_t set;

	CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &set));
	CHECK(sigismember(&set, SIGUSR1)); /* inherited */
	sigaddset(&set, SIGUSR2);
	CHECK_OK(pthread_sigmask(SIG_SETMASK, &set, NULL));
	return arg;
}

TEST(the_signal_mask_is_each_threads_own)
{
	sigset_t set, old;
	pthread_t thread;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, &old));
	CHECK_OK(pthread_create(&thread, NULL, own_mask, NULL));
	CHECK_OK(pthread_join(thread, NULL));
	CHECK_OK(pthread_sigmask(SIG_SETMASK, &old, &set));
	CHECK(!sigismember(&set, SIGUSR2));
}

static void *exit_process(void *arg)
{
	exit((int)(intptr_t)arg);
}

static void *sleep_forever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

TEST_ALONE(exit_group_by_any_thread_ends_all)
{
	pthread_t thread;
	pid_t pid = t_fork();

	if (pid == 0) {
		for (int i = 0; i < 5; i++)
			CHECK_OK(pthread_create(&thread, NULL, sleep_forever, NULL));
		CHECK_OK(pthread_create(&thread, NULL, exit_process, (void *)33));
		sleep_forever(NULL);
	}
	CHECK_EQ(t_wait(pid), 33 << 8);
}

static void until_leader_ended(void)
{
	char text[512], path[64], *state;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", getpid());
	do {
		t_get(path, text, sizeof text);
		state = strrchr(text, ')');
		CHECK(state != NULL);
	} while (state[2] != 'Z');
}

static void *wait_for_dead_leader(void *arg)
{
	until_leader_ended();
	CHECK_EQ(getpid(), (intptr_t)arg);
	CHECK_OK(kill(getpid(), 0));
	_exit(44);
}

TEST_ALONE(the_process_lives_on_when_the_leader_ends)
{
	pthread_t thread;
	pid_t pid = t_fork();
	int status;

	if (pid == 0) {
		CHECK_OK(pthread_create(&thread, NULL, wait_for_dead_leader, (void *)(intptr_t)getpid()));
		syscall(SYS_exit, 5);
	}
	status = t_wait(pid);
	CHECK_EQ(status, 44 << 8);
}

static void *just_exit(void *arg)
{
	until_leader_ended();
	syscall(SYS_exit, (int)(intptr_t)arg);
	return NULL;
}

TEST_ALONE(the_last_threads_status_counts_when_all_just_exit)
{
	pthread_t thread;
	pid_t pid = t_fork();

	if (pid == 0) {
		CHECK_OK(pthread_create(&thread, NULL, just_exit, (void *)9));
		syscall(SYS_exit, 5);
	}
	CHECK_EQ(t_wait(pid), 9 << 8);
}

TEST_ALONE(a_fatal_signal_in_a_thread_kills_the_process)
{
	pthread_t thread;
	pid_t pid = t_fork();
	int status;

	if (pid == 0) {
		CHECK_OK(pthread_create(&thread, NULL, (void *(*)(void *))(uintptr_t)abort, NULL));
		sleep_forever(NULL);
	}
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void *fork_from_thread(void *arg)
{
	(void)arg;
	IN_CHILD() {
		CHECK_EQ(gettid(), getpid());
	}
	return NULL;
}

TEST_ALONE(fork_from_a_thread_copies_only_that_thread)
{
	pthread_t thread;

	CHECK_OK(pthread_create(&thread, NULL, sleep_forever, NULL));
	CHECK_OK(pthread_create(&thread, NULL, fork_from_thread, NULL));
	CHECK_OK(pthread_join(thread, NULL));
}

static void *reap(void *arg)
{
	t_reap((pid_t)(intptr_t)arg);
	return NULL;
}

TEST_ALONE(a_thread_can_wait_for_another_threads_child)
{
	pthread_t thread;
	pid_t pid = t_fork();

	if (pid == 0)
		_exit(0);
	CHECK_OK(pthread_create(&thread, NULL, reap, (void *)(intptr_t)pid));
	CHECK_OK(pthread_join(thread, NULL));
}

TEST_ALONE(set_tid_address_returns_the_tid)
{
	static int word;

	CHECK_EQ(syscall(SYS_set_tid_address, &word), gettid());
	CHECK_EQ(syscall(SYS_set_tid_address, t_bad), gettid());
	CHECK_EQ(syscall(SYS_set_tid_address, NULL), gettid());
}

static int cleared = 77;

static int name_another_word(void *arg)
{
	(void)arg;
	return syscall(SYS_set_tid_address, &cleared) <= 0;
}

static int raw_result, raw_tid;
static char raw_stack[65536] __attribute__((aligned(64)));

static int raw_thread(void *arg)
{
	raw_result = *(int *)arg + 1;
	return 0;
}

TEST_ALONE(clone_with_vm_and_cleartid_wakes_the_waiter)
{
	int argument = 41;

	raw_tid = 1;
	CHECK_GE(clone(raw_thread, raw_stack + sizeof raw_stack,
		       CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			       CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
		       &argument, &raw_tid, NULL, &raw_tid),
		 1);
	for (;;) {
		int tid = __atomic_load_n(&raw_tid, __ATOMIC_SEQ_CST);

		if (tid == 0)
			break;
		syscall(SYS_futex, &raw_tid, FUTEX_WAIT, tid, NULL, NULL, 0);
	}
	CHECK_EQ(raw_result, 42);
}

TEST_ALONE(set_tid_address_names_the_word_cleared_at_exit)
{
	int status;
	pid_t pid = MUST(clone(name_another_word, raw_stack + sizeof raw_stack, CLONE_VM | SIGCHLD, NULL));

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(cleared, 0);
}

TEST_ALONE(clone_with_vm_alone_is_a_process_that_shares_memory)
{
	int argument = 10, status;
	pid_t pid = MUST(clone(raw_thread, raw_stack + sizeof raw_stack, CLONE_VM | SIGCHLD, &argument));

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(raw_result, 11);
}

TEST_ALONE(clone3_makes_processes_and_checks_its_structure)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	char big[128] = {0};
	pid_t pid = syscall(SYS_clone3, &args, sizeof args);

	if (pid == 0)
		_exit(21);
	if (pid < 0 && errno == ENOSYS && prctl(PR_GET_SECCOMP) == 2)
		SKIP("clone3 gives ENOSYS here: an outer filter, as docker's");
	CHECK_EQ(t_wait(pid), 21 << 8);
	CHECK_ERR(syscall(SYS_clone3, &args, 8), EINVAL);
	CHECK_ERR(syscall(SYS_clone3, &args, 100000), E2BIG);
	CHECK_ERR(syscall(SYS_clone3, t_bad, sizeof args), EFAULT);
	args.exit_signal = 100;
	CHECK_ERR(syscall(SYS_clone3, &args, sizeof args), EINVAL);
	args.exit_signal = SIGCHLD;
	args.flags = 1ull << 63;
	CHECK_ERR(syscall(SYS_clone3, &args, sizeof args), EINVAL);
	args.flags = 0;
	args.stack_size = 4096;
	CHECK_ERR(syscall(SYS_clone3, &args, sizeof args), EINVAL);
	memcpy(big, &(struct clone_args){.exit_signal = SIGCHLD}, sizeof args);
	big[sizeof args + 3] = 1;
	CHECK_ERR(syscall(SYS_clone3, big, sizeof args + 8), E2BIG);
}

static void *spin(void *stop)
{
	unsigned long n = 0;

	while (!*(volatile int *)stop)
		n++;
	return NULL;
}

TEST(busy_threads_do_not_starve_others)
{
	volatile int stop = 0;
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		CHECK_OK(pthread_create(&threads[i], NULL, spin, (void *)&stop));
	for (int i = 0; i < 100; i++)
		CHECK_GE(getppid(), 0);
	usleep(20000);
	stop = 1;
	for (int i = 0; i < 4; i++)
		CHECK_OK(pthread_join(threads[i], NULL));
}

static void *block_in_read(void *arg)
{
	char c;

	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
	return (void *)(intptr_t)read(*(int *)arg, &c, 1);
}

TEST_ALONE(a_thread_blocked_in_read_can_be_cancelled)
{
	pthread_t thread;
	int fds[2];
	void *value;

	CHECK_OK(pipe(fds));
	CHECK_OK(pthread_create(&thread, NULL, block_in_read, &fds[0]));
	usleep(5000);
	CHECK_OK(pthread_cancel(thread));
	CHECK_OK(pthread_join(thread, &value));
	CHECK(value == PTHREAD_CANCELED);
}

static uint32_t mxcsr(void)
{
	uint32_t v;

	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}

static void set_mxcsr(uint32_t v)
{
	__asm__ volatile("ldmxcsr %0" ::"m"(v));
}

static void *round_otherwise(void *arg)
{
	uint32_t seen = mxcsr();

	set_mxcsr((seen & ~0x6000U) | 0x4000);
	return (void *)(uintptr_t)(arg != NULL ? seen : 0);
}

/* A thread starts with the vector state of the one that made it, whatever threads before it have done. */
TEST(a_thread_inherits_its_makers_vector_state)
{
	uint32_t own = mxcsr();

	for (int i = 0; i < 12; i++) {
		uint32_t mine = (own & ~0x6000U) | (i % 2 != 0 ? 0x2000 : 0x6000);
		pthread_t threads[3];

		set_mxcsr(mine);
		for (int j = 0; j < 3; j++)
			CHECK_OK(pthread_create(&threads[j], NULL, round_otherwise, &own));
		for (int j = 0; j < 3; j++) {
			void *seen;

			CHECK_OK(pthread_join(threads[j], &seen));
			CHECK_EQ((uint32_t)(uintptr_t)seen & 0x6000, mine & 0x6000);
		}
		CHECK_EQ(mxcsr() & 0x6000, mine & 0x6000);
	}
	set_mxcsr(own);
}

static void *make_system_calls(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		int fd = MUST(open("/dev/null", O_RDWR));

		CHECK_EQ(write(fd, "x", 1), 1);
		CHECK_OK(close(fd));
	}
	return arg;
}

TEST(threads_make_system_calls_in_parallel)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		CHECK_OK(pthread_create(&threads[i], NULL, make_system_calls, NULL));
	for (int i = 0; i < 4; i++)
		CHECK_OK(pthread_join(threads[i], NULL));
}
