/* SPDX-License-Identifier: Apache-2.0 */
/*
 * umask, set so often from one place that a kernel which rewrites text may do it without being asked: what is made next, who asks
 * from elsewhere, and those who share it must see it all the same.
 * covers: umask
 */
#include "t.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#define TIMES 400

/* A site in the form that libcs have. */
long hot_call2(long nr, long a, long b);
__asm__(".text\n.globl hot_call2\nhot_call2:\n"
	"\tmov %rdi,%rax\n\tmov %rsi,%rdi\n\tmov %rdx,%rsi\n"
	"\tsyscall\n\tcmp $-4096,%rax\n\tret\n");

static void heat(void)
{
	for (int i = 0; i < TIMES; i++)
		CHECK_EQ(hot_call2(SYS_getppid, 0, 0), getppid());
}

static long set(long mask)
{
	return hot_call2(SYS_umask, mask, 0);
}

static unsigned mode_of_a_new_one(void)
{
	struct stat st;

	CHECK_OK(mkdir("d", 0777));
	CHECK_OK(stat("d", &st));
	CHECK_OK(rmdir("d"));
	return st.st_mode & 0777;
}

TEST(what_is_made_has_what_was_set_last)
{
	long before;

	t_scratch();
	heat();
	set(022);
	before = 022;
	for (int i = 0; i < 60; i++) {
		long mask = (i * 53 + 7) & 0777;

		CHECK_EQ(set(mask | 07000 | (i % 2 ? 1L << 40 : 0)), before);
		if (i % 3 == 0)
			CHECK_EQ(set(mask), mask);
		CHECK_EQ(mode_of_a_new_one(), 0777 & ~mask);
		before = mask;
	}
	CHECK_EQ(syscall(SYS_umask, 022), before);
	CHECK_EQ(set(-1), 022);
	CHECK_EQ(set(0), 0777);
}

TEST(a_forks_is_its_own)
{
	t_scratch();
	heat();
	set(0);
	for (int i = 1; i < 8; i++) {
		pid_t child;

		CHECK_EQ(set(i), i - 1);
		child = i % 2 ? t_fork() : vfork();
		if (child == 0) {
			if (set(0700 + i) != i || set(0770) != 0700 + i)
				_exit(1);
			_exit(0);
		}
		t_reap(child);
		CHECK_EQ(mode_of_a_new_one(), 0777 & ~i);
		CHECK_EQ(set(i), i);
	}
}

TEST(a_program_keeps_it)
{
	char text[16];

	heat();
	for (int mask = 031; mask < 034; mask++) {
		pid_t child;

		set(mask);
		child = t_fork();
		if (child == 0) {
			set(mask + 0100);
			snprintf(text, sizeof(text), "%d", mask + 0100);
			execv(t_self, (char *[]){t_self, "@is", text, NULL});
			_exit(1);
		}
		t_reap(child);
	}
}

int t_role(int argc, char **argv)
{
	return argc != 2 || umask(0) != (mode_t)atoi(argv[1]);
}

static struct shared {
	volatile long turn;
	long answer;
} *shared;

static void share(void)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
}

/* Without a call, as if the kernel weren't there. */
static void until(long turn)
{
	while (shared->turn != turn)
		;
}

#define TURNS 20

/* In turns with the other: each sets it from the same place and finds what the other has set. */
static int answers(void)
{
	for (int i = 0; i < TURNS; i++) {
		until(2 * i + 1);
		shared->answer = set(2 * i + 2);
		shared->turn = 2 * i + 2;
	}
	return 0;
}

static void asks(void)
{
	for (int i = 0; i < TURNS; i++) {
		CHECK_EQ(set(2 * i + 1), 2 * i);
		CHECK_EQ(set(2 * i + 1), 2 * i + 1);
		shared->turn = 2 * i + 1;
		until(2 * i + 2);
		CHECK_EQ(shared->answer, 2 * i + 1);
		CHECK_EQ(mode_of_a_new_one(), 0777 & ~(2 * i + 2));
	}
	CHECK_EQ(set(0), 2 * TURNS);
}

static void *thread_answers(void *arg)
{
	(void)arg;
	answers();
	return NULL;
}

TEST(threads_have_the_same)
{
	pthread_t thread;

	t_scratch();
	share();
	heat();
	set(0);
	for (int i = 0; i < 3; i++) {
		shared->turn = 0;
		CHECK_EQ(pthread_create(&thread, NULL, thread_answers, NULL), 0);
		asks();
		CHECK_EQ(pthread_join(thread, NULL), 0);
		/* Alone again. */
		CHECK_EQ(set(i), 0);
		CHECK_EQ(mode_of_a_new_one(), 0777 & ~i);
		CHECK_EQ(set(0), i);
	}
}

TEST(a_process_that_shares_it_has_the_same)
{
	t_scratch();
	share();
	heat();
	for (int i = 0; i < 3; i++) {
		pid_t child;

		set(0);
		shared->turn = 0;
		child = MUST(syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0));
		if (child == 0)
			_exit(answers());
		asks();
		CHECK_EQ(set(i), 0);
		t_reap(child);
		CHECK_EQ(set(i + 1), i);
		CHECK_EQ(mode_of_a_new_one(), 0777 & ~(i + 1));
	}
}

static unsigned umask_in_proc(pid_t pid)
{
	char path[64], line[256];
	unsigned mask = ~0u;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		(void)!sscanf(line, "Umask: %o", &mask);
	fclose(f);
	return mask;
}

TEST(others_see_it_while_its_process_computes)
{
	pid_t child;

	share();
	heat();
	child = t_fork();
	if (child == 0) {
		for (int i = 0; i < TURNS; i++) {
			until(2 * i + 1);
			set(i * 5 + 1);
			shared->turn = 2 * i + 2;
		}
		for (;;)
			;
	}
	for (int i = 0; i < TURNS; i++) {
		shared->turn = 2 * i + 1;
		while (shared->turn != 2 * i + 2)
			sched_yield();
		CHECK_EQ(umask_in_proc(child), i * 5 + 1);
	}
	kill(child, SIGKILL);
	CHECK_EQ(t_wait(child), SIGKILL);
	CHECK_EQ(umask_in_proc(getpid()), set(0));
}

static volatile long in_handler;

static void on_tick(void)
{
	in_handler = set(0770);
	set(in_handler);
}

TEST(a_handler_finds_and_leaves_it)
{
	heat();
	set(011);
	t_tick(SA_RESTART, on_tick);
	while (t_ticks < 50) {
		CHECK_EQ(set(011), 011);
		if (t_ticks != 0)
			CHECK_EQ(in_handler, 011);
	}
	t_tick_stop();
}

TEST(a_filter_of_ones_own_comes_first)
{
	struct sock_filter refuses[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_umask, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(refuses) / sizeof(refuses[0]), refuses};

	heat();
	(void)set(5);
	CHECK_EQ(set(6), 5);
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
	for (int i = 0; i < 10; i++)
		CHECK_EQ(set(i), -EXDEV);
}
