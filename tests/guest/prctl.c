/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process sets about itself, and seccomp filters of its own.
 * covers: prctl seccomp
 */
#include "t.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>

TEST_ALONE(the_name_is_cut_to_15_characters)
{
	char name[17];

	memset(name, '#', sizeof name);
	CHECK_OK(prctl(PR_SET_NAME, "a-name-that-is-too-long"));
	CHECK_OK(prctl(PR_GET_NAME, name));
	CHECK_STR(name, "a-name-that-is-");
	CHECK_EQ(name[16], '#');
	CHECK_ERR(prctl(PR_SET_NAME, t_bad), EFAULT);
	CHECK_ERR(prctl(PR_GET_NAME, t_bad), EFAULT);
	CHECK_OK(prctl(PR_SET_NAME, t_edge_string("ok")));
}

static void *rename_thread(void *arg)
{
	CHECK_OK(prctl(PR_SET_NAME, "other"));
	return arg;
}

TEST_ALONE(each_thread_has_its_name)
{
	char name[16];
	pthread_t thread;

	CHECK_OK(prctl(PR_SET_NAME, "mine"));
	CHECK_OK(pthread_create(&thread, NULL, rename_thread, NULL));
	CHECK_OK(pthread_join(thread, NULL));
	CHECK_OK(prctl(PR_GET_NAME, name));
	CHECK_STR(name, "mine");
	IN_CHILD() {
		CHECK_OK(prctl(PR_GET_NAME, name));
		CHECK_STR(name, "mine");
	}
}

TEST_ALONE(the_parents_death_sends_the_chosen_signal)
{
	int told[2], signal_number = -1;
	char c;
	pid_t pid;

	CHECK_OK(prctl(PR_GET_PDEATHSIG, &signal_number));
	CHECK_EQ(signal_number, 0);
	CHECK_OK(pipe(told));
	pid = t_fork();
	if (pid == 0) {
		if (t_fork() == 0) {
			sigset_t set;
			siginfo_t info;

			sigemptyset(&set);
			sigaddset(&set, SIGUSR2);
			CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
			CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGUSR2));
			CHECK_OK(prctl(PR_GET_PDEATHSIG, &signal_number));
			CHECK_EQ(signal_number, SIGUSR2);
			CHECK_EQ(write(told[1], "r", 1), 1);
			CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR2);
			CHECK_EQ(write(told[1], "k", 1), 1);
			_exit(0);
		}
		CHECK_EQ(read(told[0], &c, 1), 1);
		_exit(0);
	}
	t_reap(pid);
	CHECK_EQ(read(told[0], &c, 1), 1);
	CHECK_EQ(c, 'k');
	CHECK_ERR(prctl(PR_SET_PDEATHSIG, 100), EINVAL);
	CHECK_ERR(prctl(PR_GET_PDEATHSIG, t_bad), EFAULT);
}

TEST_ALONE(dumpable_subreaper_and_timer_slack)
{
	int flag = -1;

	CHECK_OK(prctl(PR_SET_DUMPABLE, 0));
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
	CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
	CHECK_ERR(prctl(PR_SET_DUMPABLE, 2), EINVAL);
	CHECK_OK(prctl(PR_GET_CHILD_SUBREAPER, &flag));
	CHECK_EQ(flag, 0);
	CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	CHECK_OK(prctl(PR_GET_CHILD_SUBREAPER, &flag));
	CHECK_EQ(flag, 1);
	CHECK_ERR(prctl(PR_GET_CHILD_SUBREAPER, t_bad), EFAULT);
	CHECK_GE(prctl(PR_GET_TIMERSLACK), 1);
	CHECK_OK(prctl(PR_SET_TIMERSLACK, 12345));
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), 12345);
	CHECK_OK(prctl(PR_SET_TIMERSLACK, 0));
	CHECK(prctl(PR_GET_TIMERSLACK) != 12345);
}

TEST_ALONE(thp_and_unknown_options)
{
	CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
	CHECK_OK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
	CHECK_ERR(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0), EINVAL);
	CHECK_ERR(prctl(0x7eadbeef, 0, 0, 0, 0), EINVAL);
}

TEST_ALONE(anonymous_memory_can_be_named)
{
	char *p = MUST(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 4096, "guest test") < 0) {
		CHECK_EQ(errno, EINVAL);
		SKIP("this kernel is built without names of anonymous memory");
	}
	CHECK_ERR(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 4096, "no]brackets"), EINVAL);
}

static void install(struct sock_filter *code, unsigned short length)
{
	struct sock_fprog program = {length, code};

	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

/* All allowed but one call, which gets `action`. */
static void refuse(int number, unsigned action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	install(code, T_COUNT(code));
}

TEST_ALONE(a_filter_answers_with_an_errno)
{
	refuse(SYS_getpgrp, SECCOMP_RET_ERRNO | 77);
	CHECK_ERR(syscall(SYS_getpgrp), 77);
	CHECK_EQ(prctl(PR_GET_SECCOMP), 2);
	IN_CHILD() {
		CHECK_ERR(syscall(SYS_getpgrp), 77);
	}
	refuse(SYS_getpgrp, SECCOMP_RET_ERRNO | 5);
	CHECK_ERR(syscall(SYS_getpgrp), 5); /* of equal strength the newest counts */
	refuse(SYS_getpgrp, SECCOMP_RET_LOG);
	CHECK_ERR(syscall(SYS_getpgrp), 5);
}

TEST_ALONE(a_filter_sees_arguments)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_umask, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0100, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	install(code, T_COUNT(code));
	CHECK_ERR(syscall(SYS_umask, 0100), EDOM);
	CHECK_GE(syscall(SYS_umask, 022), 0);
}

TEST_ALONE(a_filter_kills)
{
	static const unsigned actions[] = {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD};

	for (size_t i = 0; i < T_COUNT(actions); i++) {
		pid_t pid = t_fork();
		int status;

		if (pid == 0) {
			refuse(SYS_getpgrp, actions[i]);
			syscall(SYS_getpgrp);
			_exit(0);
		}
		status = t_wait(pid);
		CHECK(WIFSIGNALED(status));
		CHECK_EQ(WTERMSIG(status), SIGSYS);
	}
}

static void *refused_thread(void *arg)
{
	const int *call = arg;

	refuse(*call, SECCOMP_RET_KILL_THREAD);
	syscall(*call, 0, 0);
	_exit(9);
}

/* Only the thread ends, whichever way its call comes, and many can do so. (What it had of the C library stays.) */
TEST_ALONE(a_filter_kills_one_thread_among_others)
{
	static int calls[] = {SYS_getpgrp, SYS_getppid, SYS_sigaltstack, SYS_futex};

	for (int i = 0; i < 200; i++) {
		pthread_t thread, other;
		void *value;
		int mine = 0;

		CHECK_OK(pthread_create(&thread, NULL, refused_thread, &calls[i % 4]));
		CHECK_OK(pthread_create(&other, NULL, rename_thread, &mine));
		CHECK_OK(pthread_join(thread, NULL)); /* its word is cleared, as at any thread's end */
		CHECK_OK(pthread_join(other, &value));
		CHECK(value == &mine);
	}
}

static volatile sig_atomic_t trapped_number, trapped_code, trapped_errno;

static void on_sigsys(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	trapped_number = info->si_syscall;
	trapped_code = info->si_code;
	trapped_errno = info->si_errno;
}

TEST_ALONE(a_filter_traps_into_sigsys)
{
	struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};

	CHECK_OK(sigaction(SIGSYS, &action, NULL));
	refuse(SYS_getpgrp, SECCOMP_RET_TRAP | 33);
	syscall(SYS_getpgrp);
	CHECK_EQ(trapped_number, SYS_getpgrp);
	CHECK_EQ(trapped_code, 1 /* SYS_SECCOMP */);
	CHECK_EQ(trapped_errno, 33);
}

TEST_ALONE(strict_mode_leaves_four_calls)
{
	int status;
	pid_t pid;

	if (prctl(PR_GET_SECCOMP) == 2)
		SKIP("an outer filter is installed, which excludes strict mode");
	pid = t_fork();
	if (pid == 0) {
		CHECK_OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL));
		if (syscall(SYS_write, 1, "", 0) != 0)
			syscall(SYS_exit, 1);
		syscall(SYS_exit, 5);
	}
	status = t_wait(pid);
	CHECK_EQ(status, 5 << 8);
	pid = t_fork();
	if (pid == 0) {
		CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
		syscall(SYS_getpid);
		syscall(SYS_exit, 0);
	}
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGKILL);
}

TEST_ALONE(errors_of_seccomp)
{
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}, wrong[] = {{0xffff, 0, 0, 0}};
	struct sock_fprog program = {1, code}, empty = {0, code}, bad_code = {1, wrong}, bad_pointer = {1, t_bad};

	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), EACCES);
	}
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_ERR(syscall(SYS_seccomp, 77, 0, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0x1000, &program), EINVAL);
	CHECK_ERR(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &empty), EINVAL);
	CHECK_ERR(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &bad_code), EINVAL);
	CHECK_ERR(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &bad_pointer), EFAULT);
	CHECK_OK(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &(unsigned){SECCOMP_RET_ERRNO}));
	CHECK_ERR(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &(unsigned){0x12340000}), EOPNOTSUPP);
	CHECK_OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

/* A site in the form that libcs have, called so often that a kernel which rewrites text will have rewritten it. */
long hot_prctl(long option, const void *arg);
__asm__(".text\n.globl hot_prctl\nhot_prctl:\n"
	"\tmov $157,%eax\n\txor %edx,%edx\n\txor %r10d,%r10d\n\txor %r8d,%r8d\n"
	"\tsyscall\n\tcmp $-4096,%rax\n\tret\n");

TEST(a_name_set_and_asked_for_again_and_again)
{
	char text[32], name[17], *edge = t_edge(16), *cut = t_cut_string("cut");

	for (int i = 0; i < 400; i++) {
		snprintf(text, sizeof(text), "%0*d", i % 20 + 1, i);
		memset(name, '#', sizeof(name));
		CHECK_EQ(hot_prctl(PR_SET_NAME, text), 0);
		CHECK_EQ(hot_prctl(PR_GET_NAME, name), 0);
		CHECK_EQ(name[16], '#');
		text[15] = '\0';
		CHECK_STR(name, text);
		/* Behind the end of what was set are zeros. */
		for (size_t k = strlen(text); k < 16; k++)
			CHECK_EQ(name[k], 0);
	}
	for (int i = 0; i < 20; i++) {
		/* Where nothing lies behind. */
		CHECK_EQ(hot_prctl(PR_SET_NAME, t_edge_string("ok")), 0);
		CHECK_EQ(hot_prctl(PR_GET_NAME, edge), 0);
		CHECK_STR(edge, "ok");
		CHECK_EQ(hot_prctl(PR_SET_NAME, cut), -EFAULT);
		CHECK_EQ(hot_prctl(PR_SET_NAME, t_bad), -EFAULT);
		CHECK_EQ(hot_prctl(PR_SET_NAME, t_null), -EFAULT);
		CHECK_EQ(hot_prctl(PR_SET_NAME, t_kernel), -EFAULT);
		CHECK_EQ(hot_prctl(PR_GET_NAME, edge + 1), -EFAULT);
		CHECK_EQ(hot_prctl(PR_GET_NAME, t_bad), -EFAULT);
		CHECK_EQ(hot_prctl(PR_GET_NAME, name), 0);
		CHECK_STR(name, "ok");
		CHECK_EQ(hot_prctl(PR_GET_KEEPCAPS, name), 0);
	}
}
