/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs ask and say when they start, made so often from one place that a kernel which rewrites text may answer without being
 * asked: the answers must be right all the same when somebody else has changed what is asked for.
 * covers: brk prlimit64 set_tid_address getrandom arch_prctl
 */
#include "t.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define TIMES 400
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define OURS 0x7ffffffff000L /* the first address that is nobody's */

/* A site in the form that libcs have. */
long hot_call4(long nr, long a, long b, long c, long d);
__asm__(".text\n.globl hot_call4\nhot_call4:\n"
	"\tmov %rdi,%rax\n\tmov %rsi,%rdi\n\tmov %rdx,%rsi\n\tmov %rcx,%rdx\n\tmov %r8,%r10\n"
	"\tsyscall\n\tcmp $-4096,%rax\n\tret\n");

static void heat(void)
{
	for (int i = 0; i < TIMES; i++)
		CHECK_EQ(hot_call4(SYS_getppid, 0, 0, 0, 0), getppid());
}

static long heap_end(void)
{
	return hot_call4(SYS_brk, 0, 0, 0, 0);
}

TEST(the_heaps_end_is_where_it_was_set)
{
	long begin, at;

	heat();
	begin = at = heap_end();
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(heap_end(), at);
		CHECK_EQ(hot_call4(SYS_brk, at + 4096, 0, 0, 0), at + 4096);
		at += 4096;
		*(volatile char *)(at - 1) = 1;
		CHECK_EQ(heap_end(), at);
	}
	CHECK_EQ(hot_call4(SYS_brk, begin + 1, 0, 0, 0), begin + 1);
	CHECK_EQ(heap_end(), begin + 1);
	CHECK_EQ(hot_call4(SYS_brk, 1, 0, 0, 0), begin + 1);
	CHECK_EQ(hot_call4(SYS_brk, begin, 0, 0, 0), begin);
}

static volatile long turn, moved_to;

static void *moves_the_heap(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++) {
		while (turn != 2 * i + 1)
			;
		moved_to = hot_call4(SYS_brk, heap_end() + 4096, 0, 0, 0);
		turn = 2 * i + 2;
	}
	return NULL;
}

/* The one that asks has made no call since. */
TEST(the_heaps_end_is_where_another_thread_has_set_it)
{
	pthread_t thread;

	heat();
	(void)heap_end();
	CHECK_EQ(pthread_create(&thread, NULL, moves_the_heap, NULL), 0);
	for (int i = 0; i < 20; i++) {
		(void)heap_end();
		turn = 2 * i + 1;
		while (turn != 2 * i + 2)
			;
		CHECK_EQ(heap_end(), moved_to);
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(heap_end(), moved_to);
}

TEST(the_heaps_end_is_where_a_vfork_child_has_set_it)
{
	heat();
	for (int i = 0; i < 20; i++) {
		volatile long before = heap_end();
		pid_t child = vfork();

		if (child == 0)
			_exit(hot_call4(SYS_brk, before + 4096, 0, 0, 0) == before + 4096 && heap_end() == before + 4096 ? 0 : 1);
		t_reap(child);
		CHECK_EQ(heap_end(), before + 4096);
	}
}

TEST(a_forks_heap_is_its_own)
{
	long before;
	pid_t child;

	heat();
	before = heap_end();
	child = MUST(fork());
	if (child == 0) {
		CHECK_EQ(hot_call4(SYS_brk, before + 8192, 0, 0, 0), before + 8192);
		CHECK_EQ(heap_end(), before + 8192);
		_exit(0);
	}
	t_reap(child);
	CHECK_EQ(heap_end(), before);
}

static struct rlimit stack_limit(void)
{
	struct rlimit lim = {1, 1};

	CHECK_EQ(hot_call4(SYS_prlimit64, 0, RLIMIT_STACK, 0, (long)&lim), 0);
	return lim;
}

TEST(the_stacks_limit_is_what_was_set)
{
	struct rlimit lim, want;

	heat();
	want = lim = stack_limit();
	for (int i = 1; i < 20; i++) {
		want.rlim_cur = (4UL << 20) + (rlim_t)i * 4096;
		CHECK_EQ(hot_call4(SYS_prlimit64, 0, RLIMIT_STACK, (long)&want, (long)&lim), 0);
		lim = stack_limit();
		CHECK_EQ(lim.rlim_cur, want.rlim_cur);
		CHECK_EQ(lim.rlim_max, want.rlim_max);
		lim = stack_limit();
		CHECK_EQ(lim.rlim_cur, want.rlim_cur);
		CHECK_EQ(hot_call4(SYS_prlimit64, 0, RLIMIT_STACK, 0, 0), 0);
		CHECK_EQ(hot_call4(SYS_prlimit64, 0, RLIMIT_STACK, 0, 1), -EFAULT);
		CHECK_EQ(hot_call4(SYS_prlimit64, getpid(), RLIMIT_STACK, 0, (long)&lim), 0);
		CHECK_EQ(lim.rlim_cur, want.rlim_cur);
	}
}

struct between {
	volatile long turn;
	struct rlimit seen;
};

/* The other one's failure is ours. */
static void await_turn(const struct between *b, pid_t child, int turn)
{
	while (b->turn != turn) {
		CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
		sched_yield();
	}
}

/* The child makes no call between two questions, and is told by memory that its limit has changed. */
TEST(the_stacks_limit_is_what_another_process_has_set)
{
	struct between *b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct rlimit lim;
	pid_t child;

	CHECK(b != MAP_FAILED);
	heat();
	lim = stack_limit();
	child = MUST(fork());
	if (child == 0) {
		for (int i = 0; i < 20; i++) {
			for (int k = 0; k < 10; k++)
				(void)stack_limit();
			b->turn = 3 * i + 1;
			while (b->turn != 3 * i + 2)
				;
			b->seen = stack_limit();
			b->turn = 3 * i + 3;
			while (b->turn == 3 * i + 3)
				sched_yield();
		}
		_exit(0);
	}
	for (int i = 0; i < 20; i++) {
		await_turn(b, child, 3 * i + 1);
		lim.rlim_cur = (2UL << 20) + (rlim_t)i * 4096;
		CHECK_OK(prlimit(child, RLIMIT_STACK, &lim, NULL));
		b->turn = 3 * i + 2;
		await_turn(b, child, 3 * i + 3);
		CHECK_EQ(b->seen.rlim_cur, lim.rlim_cur);
		CHECK_EQ(b->seen.rlim_max, lim.rlim_max);
		b->turn = 0;
	}
	t_reap(child);
}

static volatile int to_clear;
static volatile long thread_tid;

static void *sets_its_word(void *arg)
{
	long tid = syscall(SYS_gettid);
	int *own = NULL, *old = NULL;

	(void)arg;
	/* The C library waits for its own word. */
	if (prctl(PR_GET_TID_ADDRESS, &old, 0, 0, 0) != 0)
		old = NULL;
	for (int i = 0; i < 20; i++)
		CHECK_EQ(hot_call4(SYS_set_tid_address, (long)&to_clear, 0, 0, 0), tid);
	if (old != NULL) {
		CHECK_OK(prctl(PR_GET_TID_ADDRESS, &own, 0, 0, 0));
		CHECK(own == (int *)&to_clear);
	}
	thread_tid = tid;
	/* Nothing but the end comes behind the last one. */
	CHECK_EQ(hot_call4(SYS_set_tid_address, (long)&to_clear, 0, 0, 0), tid);
	return NULL;
}

TEST_ALONE(the_word_is_cleared_at_a_threads_end)
{
	heat();
	for (int i = 0; i < 5; i++) {
		pthread_attr_t attr;
		pthread_t thread;

		to_clear = 77;
		CHECK_EQ(pthread_attr_init(&attr), 0);
		CHECK_EQ(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED), 0);
		CHECK_EQ(pthread_create(&thread, &attr, sets_its_word, NULL), 0);
		while (to_clear != 0)
			(void)syscall(SYS_futex, &to_clear, FUTEX_WAIT, 77, NULL, NULL, 0);
		CHECK(thread_tid != getpid());
	}
}

TEST(the_number_that_set_tid_address_gives_is_the_callers)
{
	heat();
	for (int i = 0; i < 20; i++)
		CHECK_EQ(hot_call4(SYS_set_tid_address, 0, 0, 0, 0), getpid());
	for (int i = 0; i < 5; i++) {
		pid_t child = MUST(fork());

		if (child == 0) {
			CHECK_EQ(hot_call4(SYS_set_tid_address, 0, 0, 0, 0), getpid());
			_exit(0);
		}
		t_reap(child);
		child = vfork();
		if (child == 0)
			_exit(hot_call4(SYS_set_tid_address, 0, 0, 0, 0) == syscall(SYS_getpid) ? 0 : 1);
		t_reap(child);
	}
}

TEST(no_random_bytes_come_twice)
{
	uint64_t (*seen)[2] = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned n = 0;

	CHECK(seen != MAP_FAILED);
	heat();
	CHECK_EQ(hot_call4(SYS_getrandom, 1, 8, 1, 0), -EFAULT);
	CHECK_EQ(hot_call4(SYS_getrandom, (long)seen[n], 16, 8, 0), -EINVAL);
	CHECK_EQ(hot_call4(SYS_getrandom, (long)seen[n], 0, 1, 0), 0);
	CHECK_EQ(seen[0][0], 0);
	for (int i = 0; i < 4; i++) {
		pid_t child;

		CHECK_EQ(hot_call4(SYS_getrandom, (long)seen[n++], 16, i % 2, 0), 16);
		child = i % 2 ? MUST(fork()) : vfork();
		if (child == 0) {
			for (unsigned k = 0; k < 3; k++)
				if (hot_call4(SYS_getrandom, (long)seen[n + k], 16, 1, 0) != 16)
					_exit(1);
			_exit(0);
		}
		t_reap(child);
		n += 3;
		CHECK_EQ(hot_call4(SYS_getrandom, (long)seen[n++], 16, 0, 0), 16);
	}
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < 2; k++) {
			CHECK(seen[i][k] != 0);
			for (unsigned j = 0; j < i; j++)
				CHECK(seen[i][k] != seen[j][0] && seen[i][k] != seen[j][1]);
		}
}

TEST(the_base_of_fs_is_what_was_set)
{
	unsigned long old = 0, now = 0;

	heat();
	CHECK_EQ(hot_call4(SYS_arch_prctl, ARCH_GET_FS, (long)&old, 0, 0), 0);
	for (int i = 0; i < 20; i++) {
		long other = (long)old + 16 * i, err, got;

		/* Nothing of the C library while it isn't its own. */
		err = hot_call4(SYS_arch_prctl, ARCH_SET_FS, other, 0, 0);
		got = hot_call4(SYS_arch_prctl, ARCH_GET_FS, (long)&now, 0, 0);
		err |= hot_call4(SYS_arch_prctl, ARCH_SET_FS, (long)old, 0, 0);
		CHECK_EQ(err, 0);
		CHECK_EQ(got, 0);
		CHECK_EQ(now, other);
	}
	CHECK_EQ(hot_call4(SYS_arch_prctl, ARCH_SET_FS, OURS, 0, 0), -EPERM);
	CHECK_EQ(hot_call4(SYS_arch_prctl, ARCH_SET_FS, -1, 0, 0), -EPERM);
	CHECK_EQ(hot_call4(SYS_arch_prctl, ARCH_GET_FS, (long)&now, 0, 0), 0);
	CHECK_EQ(now, old);
}
