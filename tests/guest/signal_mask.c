/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masks that change while signals come from elsewhere: none is lost, none is handled while it is blocked. The mask may be kept
 * where a change needs no call, so these run long enough for every order of "looked, then changed" and "sent, then looked".
 * covers: rt_sigprocmask tgkill kill rt_sigqueueinfo
 */
#include "t.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#define SIGNALS 3000

static volatile int blocked, while_blocked, handled;
static volatile bool over;

static void on_signal(int sig)
{
	(void)sig;
	if (blocked)
		while_blocked++;
	handled++;
}

static void handler_for(int sig)
{
	struct sigaction a = {.sa_handler = on_signal};

	sigfillset(&a.sa_mask);
	CHECK_OK(sigaction(sig, &a, NULL));
}

static void one_of(sigset_t *set, int sig)
{
	sigemptyset(set);
	sigaddset(set, sig);
}

/* Blocks and unblocks until all have come. */
static void toggle(const sigset_t *set, int want)
{
	sigset_t old;

	while (handled < want) {
		CHECK_OK(sigprocmask(SIG_BLOCK, set, &old));
		blocked = 1;
		for (volatile int i = 0; i < 20; i++)
			;
		blocked = 0;
		CHECK_OK(sigprocmask(SIG_SETMASK, &old, NULL));
	}
}

TEST_ALONE(queued_signals_from_another_process)
{
	int sig = SIGRTMIN + 1, status;
	pid_t self = getpid(), child;
	sigset_t set;

	handler_for(sig);
	one_of(&set, sig);
	child = t_fork();
	if (child == 0) {
		for (int i = 0; i < SIGNALS; i++)
			while (sigqueue(self, sig, (union sigval){.sival_int = i}) != 0)
				if (errno != EAGAIN)
					_exit(1);
		_exit(0);
	}
	toggle(&set, SIGNALS);
	CHECK_EQ(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
	CHECK_EQ(status, 0);
	CHECK_EQ(handled, SIGNALS);
	CHECK_EQ(while_blocked, 0);
}

/* One at a time, each sent when the last has been handled: one that is lost stops everything. */
static void *sends(void *arg)
{
	pthread_t to = *(pthread_t *)arg;

	for (int i = 0; i < SIGNALS; i++) {
		for (unsigned k = 1; handled < i; k++)
			if (k % 4096 == 0)
				sched_yield(); /* the other may have this CPU only */
		pthread_kill(to, SIGUSR1);
	}
	return NULL;
}

TEST_ALONE(one_at_a_time_from_another_thread)
{
	pthread_t self = pthread_self(), other;
	sigset_t set;

	handler_for(SIGUSR1);
	one_of(&set, SIGUSR1);
	CHECK_EQ(pthread_create(&other, NULL, sends, &self), 0);
	toggle(&set, SIGNALS);
	pthread_join(other, NULL);
	CHECK_EQ(while_blocked, 0);
}

static void *toggles(void *arg)
{
	sigset_t set, old;

	(void)arg;
	one_of(&set, SIGUSR2);
	while (!over) {
		pthread_sigmask(SIG_BLOCK, &set, &old);
		for (volatile int i = 0; i < 20; i++)
			;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	return NULL;
}

/* For the process: whichever thread lets it in. */
TEST_ALONE(for_a_process_whose_threads_all_change_their_masks)
{
	pthread_t threads[3];
	sigset_t set;

	handler_for(SIGUSR2);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, toggles, NULL), 0);
	one_of(&set, SIGUSR2);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	for (int i = 0; i < SIGNALS / 10; i++) {
		while (handled < i)
			usleep(50);
		CHECK_OK(kill(getpid(), SIGUSR2));
	}
	while (handled < SIGNALS / 10)
		usleep(50);
	over = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(handled, SIGNALS / 10);
}

/* What the calls themselves say, once they come often. */
TEST(answers_are_linuxs)
{
	uint64_t set, old;

	for (int i = 0; i < 200; i++) {
		set = 1ULL << (SIGUSR1 - 1) | 1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1);
		CHECK_OK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, 8));
		CHECK_OK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &old, 8));
		CHECK_EQ(old, 1ULL << (SIGUSR1 - 1));
		set = 1ULL << (SIGUSR2 - 1);
		/* The same place for both: read before it is written. */
		CHECK_OK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, &set, 8));
		CHECK_EQ(set, 1ULL << (SIGUSR1 - 1));
		CHECK_OK(syscall(SYS_rt_sigprocmask, 77, NULL, &old, 8)); /* nothing to do with `how` */
		CHECK_EQ(old, 1ULL << (SIGUSR1 - 1) | 1ULL << (SIGUSR2 - 1));
		CHECK_ERR(syscall(SYS_rt_sigprocmask, 77, &set, NULL, 8), EINVAL);
		CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 16), EINVAL);
		CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)8, NULL, 8), EFAULT);
		set = 0;
		/* The mask changes although the old one can't be told. */
		CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, (void *)8, 8), EFAULT);
		CHECK_OK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &old, 8));
		CHECK_EQ(old, 0);
	}
}

static uint64_t blocked_in_proc(const char *path)
{
	char line[256];
	uint64_t mask = 0;
	FILE *f = fopen(path, "r");

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "SigBlk: %lx", &mask) == 1)
			break;
	fclose(f);
	return mask;
}

/* Its child inherits it, an executed program would, and /proc tells others. */
TEST_ALONE(the_mask_is_known_elsewhere)
{
	sigset_t set;
	char path[64];
	pid_t child;
	volatile int *turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	for (int i = 0; i < 200; i++) {
		one_of(&set, SIGUSR1);
		CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
		one_of(&set, SIGUSR2);
		CHECK_OK(sigprocmask(SIG_SETMASK, &set, NULL));
	}
	CHECK_EQ(blocked_in_proc("/proc/self/status"), 1UL << (SIGUSR2 - 1));
	CHECK(turn != MAP_FAILED);
	child = t_fork();
	if (child == 0) {
		if (blocked_in_proc("/proc/self/status") != 1UL << (SIGUSR2 - 1))
			_exit(1);
		one_of(&set, SIGALRM);
		sigprocmask(SIG_BLOCK, &set, NULL);
		*turn = 1;
		while (*turn == 1) /* without a call */
			;
		_exit(0);
	}
	while (*turn == 0)
		usleep(100);
	snprintf(path, sizeof(path), "/proc/%d/status", child);
	CHECK_EQ(blocked_in_proc(path), 1UL << (SIGUSR2 - 1) | 1UL << (SIGALRM - 1));
	*turn = 2;
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
}

/* ---- what is done about signals: told without a call where nothing is ---- */

struct action {
	uint64_t handler, flags, restorer, mask;
};

static void action_is(int sig, uint64_t handler, uint64_t mask)
{
	struct action a = {1, 2, 3, 4};

	CHECK_OK(syscall(SYS_rt_sigaction, sig, NULL, &a, 8));
	CHECK_EQ(a.handler, handler);
	CHECK_EQ(a.mask, mask);
	if (handler == 0 && mask == 0)
		CHECK(a.flags == 0 && a.restorer == 0);
}

static void *changes_actions(void *arg)
{
	volatile int *turn = arg;
	struct action ignored = {.handler = 1}, none = {0}, flagged = {.mask = 1ULL << 40};

	while (*turn != 1)
		;
	syscall(SYS_rt_sigaction, SIGUSR2, &ignored, NULL, 8);
	*turn = 2;
	while (*turn != 3)
		;
	syscall(SYS_rt_sigaction, SIGUSR2, &none, NULL, 8);
	*turn = 4;
	while (*turn != 5)
		;
	syscall(SYS_rt_sigaction, SIGUSR2, &flagged, NULL, 8);
	*turn = 6;
	return NULL;
}

static int ignores_alarms(void *arg)
{
	struct action ignored = {.handler = 1};

	(void)arg;
	return (int)syscall(SYS_rt_sigaction, SIGALRM, &ignored, NULL, 8);
}

TEST_ALONE(actions_are_told_as_they_are)
{
	struct action ignored = {.handler = 1}, none = {0};
	volatile int turn = 0;
	pthread_t thread;
	int status;
	pid_t child;

	for (int i = 0; i < 200; i++) {
		for (int sig = SIGUSR1; sig <= 64; sig++)
			if (sig != SIGSEGV && sig != 32 && sig != 33)
				action_is(sig, 0, 0);
		action_is(SIGKILL, 0, 0);
		CHECK_ERR(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8), EINVAL);
		CHECK_ERR(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL);
		CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
		CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, (void *)8, 8), EFAULT);
	}
	/* By this thread, and by another while this one makes no other call. */
	CHECK_OK(syscall(SYS_rt_sigaction, SIGUSR1, &ignored, NULL, 8));
	action_is(SIGUSR1, 1, 0);
	CHECK_OK(syscall(SYS_rt_sigaction, SIGUSR1, &none, NULL, 8));
	action_is(SIGUSR1, 0, 0);
	CHECK_EQ(pthread_create(&thread, NULL, changes_actions, (void *)&turn), 0);
	action_is(SIGUSR2, 0, 0);
	for (int i = 1; i < 6; i += 2) {
		turn = i;
		while (turn == i)
			;
		action_is(SIGUSR2, i == 1, i == 5 ? 1ULL << 40 : 0);
	}
	pthread_join(thread, NULL);
	/* A process that shares them with us. */
	child = t_fork();
	if (child == 0) {
		static char stack[65536] __attribute__((aligned(16)));

		action_is(SIGALRM, 0, 0);
		if (clone(ignores_alarms, stack + sizeof(stack), CLONE_VM | CLONE_SIGHAND | CLONE_VFORK | SIGCHLD, NULL) < 0)
			_exit(1);
		action_is(SIGALRM, 1, 0);
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
}

/* ---- what a handler finds in its frame and changes there is so when it has returned ---- */

static char other_stack[65536] __attribute__((aligned(16)));
static int change;

static void changes_its_frame(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	handled++;
	if (change == 1)
		sigaddset(&uc->uc_sigmask, SIGUSR2);
	if (change == 2)
		sigdelset(&uc->uc_sigmask, SIGUSR2);
	if (change == 3)
		uc->uc_stack = (stack_t){.ss_sp = other_stack, .ss_size = sizeof(other_stack)};
	if (change == 4)
		uc->uc_stack = (stack_t){.ss_flags = SS_DISABLE};
	if (change == 5)
		uc->uc_mcontext.gregs[REG_RBX] = 0x1234;
	if (change == 6)
		sigaddset(&uc->uc_sigmask, SIGKILL);
}

TEST_ALONE(a_changed_frame_is_returned_to)
{
	struct sigaction a = {.sa_sigaction = changes_its_frame, .sa_flags = SA_SIGINFO};
	long rax, rbx, self = getpid(), thread = gettid();
	sigset_t now;
	stack_t stack;

	CHECK_OK(sigaction(SIGUSR1, &a, NULL));
	for (int i = 0; i < 300; i++) {
		change = i % 7;
		rax = SYS_tgkill;
		rbx = 99;
		__asm__ volatile("mov $234,%%eax\n\tsyscall\n\tcmp $-4096,%%rax"
				 : "+a"(rax), "+b"(rbx)
				 : "D"(self), "S"(thread), "d"((long)SIGUSR1)
				 : "rcx", "r11", "memory", "cc");
		CHECK_EQ(rax, 0);
		CHECK_EQ(rbx, change == 5 ? 0x1234 : 99);
		CHECK_EQ(handled, i + 1);
		CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &now));
		CHECK_EQ(sigismember(&now, SIGUSR2), change == 1);
		CHECK_EQ(sigismember(&now, SIGKILL), 0);
		CHECK_OK(sigaltstack(NULL, &stack));
		CHECK_EQ(stack.ss_flags, change == 3 ? 0 : SS_DISABLE);
		if (change == 3)
			CHECK(stack.ss_sp == other_stack && stack.ss_size == sizeof(other_stack));
	}
}
