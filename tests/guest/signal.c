/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals: dispositions, masks, queues, handlers and what they keep, faults, interrupted calls.
 * covers: rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo
 * covers: rt_sigreturn sigaltstack kill tkill tgkill pause
 */
#include "t.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <time.h>

static volatile sig_atomic_t count, order[16], last_code, last_value, last_pid;
static void *volatile last_address;

static void on_signal(int signal)
{
	order[count % 16] = signal;
	count++;
}

static void on_info(int signal, siginfo_t *info, void *context)
{
	(void)context;
	order[count % 16] = signal;
	count++;
	last_code = info->si_code;
	last_value = info->si_value.sival_int;
	last_pid = info->si_pid;
	last_address = info->si_addr;
}

static void handle(int signal, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	CHECK_OK(sigaction(signal, &action, NULL));
}

static void handle_info(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};

	CHECK_OK(sigaction(signal, &action, NULL));
}

static sigset_t set_of(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	if (signal)
		sigaddset(&set, signal);
	return set;
}

static void block(int signal)
{
	sigset_t set = set_of(signal);

	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void unblock(int signal)
{
	sigset_t set = set_of(signal);

	CHECK_OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
}

TEST_ALONE(a_handler_runs_before_kill_returns)
{
	handle(SIGUSR1, on_signal, 0);
	CHECK_OK(kill(getpid(), SIGUSR1));
	CHECK_EQ(count, 1);
	CHECK_EQ(order[0], SIGUSR1);
	CHECK_OK(syscall(SYS_tkill, gettid(), SIGUSR1));
	CHECK_EQ(count, 2);
	CHECK_OK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
	CHECK_EQ(count, 3);
}

TEST(sending_checks_signal_and_target)
{
	CHECK_OK(kill(getpid(), 0));
	CHECK_ERR(kill(getpid(), 65), EINVAL);
	CHECK_ERR(kill(getpid(), -1), EINVAL);
	CHECK_ERR(kill(0x3ffffff, 0), ESRCH);
	CHECK_ERR(kill(-0x3ffffff, SIGUSR1), ESRCH);
	CHECK_ERR(kill(0x3ffffff, 65), ESRCH);
	CHECK_ERR(kill(INT_MIN, SIGUSR1), ESRCH);
	CHECK_ERR(syscall(SYS_tkill, 0, SIGUSR1), EINVAL);
	CHECK_ERR(syscall(SYS_tkill, -1, SIGUSR1), EINVAL);
	CHECK_ERR(syscall(SYS_tkill, 0x3ffffff, SIGUSR1), ESRCH);
	CHECK_ERR(syscall(SYS_tgkill, -1, gettid(), SIGUSR1), EINVAL);
	CHECK_ERR(syscall(SYS_tgkill, getpid(), 0, SIGUSR1), EINVAL);
	CHECK_ERR(syscall(SYS_tgkill, getpid(), gettid(), 65), EINVAL);
	CHECK_ERR(syscall(SYS_tgkill, getppid(), gettid(), 0), ESRCH);
}

TEST_ALONE(another_users_process_gives_eperm)
{
	t_need_root();
	pid_t parent = getpid();

	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(kill(parent, 0), EPERM);
		CHECK_ERR(kill(parent, SIGKILL), EPERM);
		CHECK_ERR(syscall(SYS_tgkill, parent, parent, SIGTERM), EPERM);
		CHECK_OK(kill(getpid(), 0));
	}
}

TEST(sigaction_checks_its_arguments)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} kernel_action = {0}, old;

	CHECK_ERR(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGKILL, &kernel_action, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGSTOP, &kernel_action, NULL, 8), EINVAL);
	CHECK_OK(syscall(SYS_rt_sigaction, SIGKILL, NULL, &old, 8));
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, t_bad, NULL, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, t_bad, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, t_bad, NULL, 4), EINVAL);
}

TEST_ALONE(sigaction_returns_the_old_action)
{
	struct sigaction action = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER}, old;

	sigaddset(&action.sa_mask, SIGUSR2);
	CHECK_OK(sigaction(SIGUSR1, &action, &old));
	CHECK(old.sa_handler == SIG_DFL);
	CHECK_OK(sigaction(SIGUSR1, NULL, &old));
	CHECK(old.sa_sigaction == on_info);
	CHECK_EQ(old.sa_flags & ~0x04000000, action.sa_flags);
	CHECK(sigismember(&old.sa_mask, SIGUSR2));
	CHECK(!sigismember(&old.sa_mask, SIGUSR1));
}

TEST(sigprocmask_blocks_unblocks_and_sets)
{
	sigset_t set = set_of(SIGUSR1), old, now;

	CHECK_OK(sigprocmask(SIG_BLOCK, &set, &old));
	CHECK(!sigismember(&old, SIGUSR1));
	set = set_of(SIGUSR2);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, &now));
	CHECK(sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2));
	set = set_of(SIGUSR1);
	CHECK_OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
	CHECK_OK(sigprocmask(SIG_SETMASK, &old, &now));
	CHECK(!sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2));
	sigfillset(&set);
	CHECK_OK(sigprocmask(SIG_SETMASK, &set, NULL));
	CHECK_OK(sigprocmask(SIG_SETMASK, &old, &now));
	CHECK(!sigismember(&now, SIGKILL) && !sigismember(&now, SIGSTOP) && sigismember(&now, SIGTERM));
}

TEST(sigprocmask_checks_its_arguments)
{
	unsigned long mask = 0;

	CHECK_ERR(syscall(SYS_rt_sigprocmask, 7, &mask, NULL, 8), EINVAL);
	CHECK_OK(syscall(SYS_rt_sigprocmask, 7, NULL, &mask, 8));
	CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, NULL, 16), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, t_bad, NULL, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, t_bad, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigpending, t_bad, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigpending, &mask, 9), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigsuspend, t_bad, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigsuspend, &mask, 4), EINVAL);
}

TEST_ALONE(a_blocked_signal_pends_once_and_runs_when_unblocked)
{
	sigset_t pending;

	handle(SIGUSR1, on_signal, 0);
	block(SIGUSR1);
	for (int i = 0; i < 3; i++)
		CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(count, 0);
	CHECK_OK(sigpending(&pending));
	CHECK(sigismember(&pending, SIGUSR1));
	unblock(SIGUSR1);
	CHECK_EQ(count, 1);
	CHECK_OK(sigpending(&pending));
	CHECK(!sigismember(&pending, SIGUSR1));
}

TEST_ALONE(ignoring_a_pending_signal_discards_it)
{
	sigset_t pending;

	block(SIGUSR1);
	CHECK_OK(raise(SIGUSR1));
	handle(SIGUSR1, SIG_IGN, 0);
	CHECK_OK(sigpending(&pending));
	CHECK(!sigismember(&pending, SIGUSR1));
	unblock(SIGUSR1);
}

TEST_ALONE(real_time_signals_queue_in_order_with_their_values)
{
	union sigval value;

	handle_info(SIGRTMIN + 1, on_info, 0);
	handle_info(SIGRTMIN + 2, on_info, 0);
	block(SIGRTMIN + 1);
	block(SIGRTMIN + 2);
	for (int i = 1; i <= 3; i++) {
		value.sival_int = i;
		CHECK_OK(sigqueue(getpid(), SIGRTMIN + 2, value));
		CHECK_OK(sigqueue(getpid(), SIGRTMIN + 1, value));
	}
	sigset_t set = set_of(SIGRTMIN + 1), other = set_of(SIGRTMIN + 2);
	siginfo_t info;
	struct timespec now = {0};
	for (int i = 1; i <= 3; i++) {
		CHECK_EQ(sigtimedwait(&set, &info, &now), SIGRTMIN + 1);
		CHECK_EQ(info.si_value.sival_int, i);
		CHECK_EQ(info.si_code, SI_QUEUE);
		CHECK_EQ(info.si_pid, getpid());
		CHECK_EQ(info.si_uid, getuid());
	}
	CHECK_ERR(sigtimedwait(&set, &info, &now), EAGAIN);
	sigaddset(&other, SIGRTMIN + 1);
	CHECK_OK(sigprocmask(SIG_UNBLOCK, &other, NULL));
	CHECK_EQ(count, 3);
}

TEST_ALONE(the_lowest_pending_signal_is_delivered_first)
{
	sigset_t both = set_of(SIGUSR1);
	siginfo_t info;

	sigaddset(&both, SIGRTMIN + 3);
	sigaddset(&both, SIGTERM);
	CHECK_OK(sigprocmask(SIG_BLOCK, &both, NULL));
	CHECK_OK(raise(SIGRTMIN + 3));
	CHECK_OK(raise(SIGTERM));
	CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(sigwaitinfo(&both, &info), SIGUSR1);
	CHECK_EQ(sigwaitinfo(&both, &info), SIGTERM);
	CHECK_EQ(sigwaitinfo(&both, &info), SIGRTMIN + 3);
}

TEST_ALONE(siginfo_tells_the_sender)
{
	union sigval value = {.sival_int = 77};
	siginfo_t forged = {.si_code = SI_USER};

	handle_info(SIGUSR1, on_info, 0);
	CHECK_OK(kill(getpid(), SIGUSR1));
	CHECK_EQ(last_code, SI_USER);
	CHECK_EQ(last_pid, getpid());
	CHECK_OK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
	CHECK_EQ(last_code, SI_TKILL);
	CHECK_OK(sigqueue(getpid(), SIGUSR1, value));
	CHECK_EQ(last_code, SI_QUEUE);
	CHECK_EQ(last_value, 77);
	CHECK_OK(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &(siginfo_t){.si_code = -5}));
	CHECK_EQ(last_code, -5);
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &forged), EPERM);
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, getpid(), 65, &(siginfo_t){.si_code = -1}), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, 0x3ffffff, 0, &(siginfo_t){.si_code = -1}), ESRCH);
	CHECK_ERR(syscall(SYS_rt_tgsigqueueinfo, 0, gettid(), SIGUSR1, &(siginfo_t){.si_code = -1}), EINVAL);
	CHECK_ERR(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, t_bad), EFAULT);
}

TEST_ALONE(sigsuspend_waits_with_another_mask_and_restores_it)
{
	sigset_t none = set_of(0), now;

	handle(SIGUSR1, on_signal, 0);
	block(SIGUSR1);
	CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(count, 0);
	CHECK_ERR(sigsuspend(&none), EINTR);
	CHECK_EQ(count, 1);
	CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &now));
	CHECK(sigismember(&now, SIGUSR1));
}

TEST_ALONE(pause_returns_after_a_handler)
{
	t_tick(SA_RESTART, NULL);
	CHECK_ERR(syscall(SYS_pause), EINTR);
	t_tick_stop();
}

TEST_ALONE(sigtimedwait_times_out_and_checks_its_arguments)
{
	sigset_t set = set_of(SIGUSR1);
	struct timespec brief = {0, 5000000}, wrong = {0, 1000000000}, negative = {-1, 0};
	int64_t start = t_now(CLOCK_MONOTONIC);
	siginfo_t info;

	block(SIGUSR1);
	CHECK_ERR(sigtimedwait(&set, &info, &brief), EAGAIN);
	CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 5000000);
	CHECK_ERR(sigtimedwait(&set, &info, &wrong), EINVAL);
	CHECK_ERR(sigtimedwait(&set, &info, &negative), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigtimedwait, t_bad, NULL, &brief, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigtimedwait, &set, NULL, t_bad, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigtimedwait, &set, NULL, &brief, 4), EINVAL);
	CHECK_OK(raise(SIGUSR1));
	CHECK_ERR(syscall(SYS_rt_sigtimedwait, &set, t_bad, &brief, 8), EFAULT);
	CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(sigtimedwait(&set, NULL, NULL), SIGUSR1);
}

TEST_ALONE(sigwait_is_interrupted_by_other_handled_signals)
{
	sigset_t set = set_of(SIGUSR1);

	block(SIGUSR1);
	t_tick(SA_RESTART, NULL);
	CHECK_ERR(sigwaitinfo(&set, NULL), EINTR);
	t_tick_stop();
}

static void raise_inside(int signal)
{
	int before = count;

	on_signal(signal);
	if (before < 2) {
		raise(signal);
		order[8 + before] = count - before;
	}
}

TEST_ALONE(a_signal_is_blocked_in_its_own_handler_unless_nodefer)
{
	handle(SIGUSR1, raise_inside, 0);
	CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(count, 3);
	CHECK_EQ(order[8], 1);
	count = 0;
	handle(SIGUSR1, raise_inside, SA_NODEFER);
	CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(count, 3);
	CHECK_EQ(order[8], 3);
	CHECK_EQ(order[9], 2);
}

static void raise_usr2(int signal)
{
	on_signal(signal);
	raise(SIGUSR2);
	on_signal(-signal);
}

TEST_ALONE(sa_mask_holds_other_signals_back_until_the_handler_ends)
{
	struct sigaction action = {.sa_handler = raise_usr2};

	handle(SIGUSR2, on_signal, 0);
	CHECK_OK(sigaction(SIGUSR1, &action, NULL));
	CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(order[0], SIGUSR1);
	CHECK_EQ(order[1], SIGUSR2);
	CHECK_EQ(order[2], -SIGUSR1);
	count = 0;
	sigaddset(&action.sa_mask, SIGUSR2);
	CHECK_OK(sigaction(SIGUSR1, &action, NULL));
	CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(order[0], SIGUSR1);
	CHECK_EQ(order[1], -SIGUSR1);
	CHECK_EQ(order[2], SIGUSR2);
}

TEST_ALONE(resethand_works_once)
{
	struct sigaction now;

	handle(SIGUSR1, on_signal, SA_RESETHAND);
	CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(count, 1);
	CHECK_OK(sigaction(SIGUSR1, NULL, &now));
	CHECK(now.sa_handler == SIG_DFL);
}

TEST_ALONE(default_actions_kill_stop_or_ignore)
{
	static const int deadly[] = {SIGHUP,    SIGINT,  SIGQUIT, SIGILL,  SIGABRT,   SIGFPE,  SIGKILL,
				     SIGSEGV,   SIGPIPE, SIGALRM, SIGTERM, SIGUSR1,   SIGUSR2, SIGBUS,
				     SIGPOLL,   SIGPROF, SIGSYS,  SIGTRAP, SIGVTALRM, SIGXCPU, SIGXFSZ,
				     SIGSTKFLT, SIGPWR,  34,      64};
	static const int ignored[] = {SIGCHLD, SIGURG, SIGWINCH, SIGCONT};

	for (size_t i = 0; i < T_COUNT(deadly); i++) {
		pid_t pid = t_fork();
		int status;

		if (pid == 0) {
			syscall(SYS_kill, getpid(), deadly[i]);
			_exit(0);
		}
		status = t_wait(pid);
		CHECK(WIFSIGNALED(status));
		CHECK_EQ(WTERMSIG(status), deadly[i]);
	}
	for (size_t i = 0; i < T_COUNT(ignored); i++)
		CHECK_OK(kill(getpid(), ignored[i]));
}

static char *alt_base;
static volatile sig_atomic_t on_alt, nested_on_alt;

static bool is_on_alt(void)
{
	char here, *p = (char *)(uintptr_t)&here;

	__asm__("" : "+r"(p));
	return p >= alt_base && p < alt_base + 65536;
}

static void note_nested(int signal)
{
	(void)signal;
	nested_on_alt = is_on_alt();
}

static void note_stack(int signal)
{
	stack_t now;

	(void)signal;
	on_alt = is_on_alt();
	if (on_alt) {
		CHECK_OK(sigaltstack(NULL, &now));
		CHECK_EQ(now.ss_flags, SS_ONSTACK);
		CHECK_ERR(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL), EPERM);
		raise(SIGUSR2);
	}
}

TEST_ALONE(the_alternate_stack_is_used_only_with_sa_onstack)
{
	stack_t stack = {.ss_size = 65536}, old;

	alt_base = stack.ss_sp = malloc(65536);
	CHECK_OK(sigaltstack(NULL, &old));
	CHECK_EQ(old.ss_flags, SS_DISABLE);
	CHECK_OK(sigaltstack(&stack, NULL));
	CHECK_OK(sigaltstack(NULL, &old));
	CHECK(old.ss_sp == alt_base);
	CHECK_EQ(old.ss_size, 65536);
	CHECK_EQ(old.ss_flags, 0);
	handle(SIGUSR1, note_stack, 0);
	CHECK_OK(raise(SIGUSR1));
	CHECK(!on_alt);
	handle(SIGUSR2, note_nested, SA_ONSTACK);
	handle(SIGUSR1, note_stack, SA_ONSTACK);
	CHECK_OK(raise(SIGUSR1));
	CHECK(on_alt && nested_on_alt);
	CHECK_OK(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, &old));
	CHECK_OK(raise(SIGUSR1));
	CHECK(!on_alt);
}

TEST(sigaltstack_checks_its_arguments)
{
	stack_t small = {.ss_sp = &small, .ss_size = 100}, wrong = {.ss_sp = &small, .ss_size = 65536, .ss_flags = 64};

	CHECK_ERR(sigaltstack(&small, NULL), ENOMEM);
	CHECK_ERR(sigaltstack(&wrong, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_sigaltstack, t_bad, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_sigaltstack, NULL, t_bad), EFAULT);
}

static sigjmp_buf escape;

static void jump_out(int signal, siginfo_t *info, void *context)
{
	on_info(signal, info, context);
	siglongjmp(escape, 1);
}

TEST_ALONE(a_stack_overflow_is_handled_on_the_alternate_stack)
{
	stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};

	CHECK_OK(sigaltstack(&stack, NULL));
	handle_info(SIGSEGV, jump_out, SA_ONSTACK);
	if (sigsetjmp(escape, 1) == 0) {
		volatile char *deep = __builtin_frame_address(0);

		for (;;) {
			deep -= 4096;
			*deep = 1;
		}
	}
	CHECK_EQ(last_code == SEGV_MAPERR || last_code == SEGV_ACCERR, 1);
	CHECK_EQ(count, 1);
}

TEST_ALONE(faults_tell_address_and_code)
{
	char *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(page != MAP_FAILED);
	handle_info(SIGSEGV, jump_out, 0);
	if (sigsetjmp(escape, 1) == 0)
		*(volatile char *)t_bad = 1;
	CHECK_EQ(count, 1);
	CHECK_EQ(last_code, SEGV_MAPERR);
	CHECK(last_address == t_bad);
	if (sigsetjmp(escape, 1) == 0)
		*(volatile char *)(page + 5000) = 1;
	CHECK_EQ(count, 2);
	CHECK_EQ(last_code, SEGV_ACCERR);
	CHECK(last_address == page + 5000);
	if (sigsetjmp(escape, 1) == 0)
		((void (*)(void))(uintptr_t)page)();
	CHECK_EQ(count, 3);
	CHECK_EQ(last_code, SEGV_ACCERR);
	CHECK(last_address == page);
	/* An address that isn't canonical is a general protection fault: no address. */
	if (sigsetjmp(escape, 1) == 0)
		*(volatile char *)0x1234567890abcdef = 1;
	CHECK_EQ(count, 4);
	CHECK_EQ(last_code, SI_KERNEL);
	CHECK(last_address == NULL);
}

TEST_ALONE(arithmetic_and_opcode_faults_give_their_signals)
{
	volatile int zero = 0;

	handle_info(SIGFPE, jump_out, 0);
	handle_info(SIGILL, jump_out, 0);
	handle_info(SIGTRAP, jump_out, 0);
	handle_info(SIGSEGV, jump_out, 0);
	if (sigsetjmp(escape, 1) == 0)
		__asm__ volatile("idivl %0" : : "m"(zero), "a"(1), "d"(0));
	CHECK_EQ(order[0], SIGFPE);
	CHECK_EQ(last_code, FPE_INTDIV);
	if (sigsetjmp(escape, 1) == 0)
		__asm__ volatile("ud2");
	CHECK_EQ(order[1], SIGILL);
	CHECK_EQ(last_code, ILL_ILLOPN);
	if (sigsetjmp(escape, 1) == 0)
		__asm__ volatile("int3");
	CHECK_EQ(order[2], SIGTRAP);
	CHECK_EQ(last_code, SI_KERNEL);
	if (sigsetjmp(escape, 1) == 0)
		__asm__ volatile("hlt");
	CHECK_EQ(order[3], SIGSEGV);
	CHECK_EQ(last_code, SI_KERNEL);
}

TEST_ALONE(sigbus_past_the_end_of_a_mapped_file)
{
	int fd;
	char *map;

	t_scratch();
	fd = MUST(open("f", O_RDWR | O_CREAT, 0600));
	CHECK_OK(ftruncate(fd, 4096));
	map = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	handle_info(SIGBUS, jump_out, 0);
	if (sigsetjmp(escape, 1) == 0) {
		volatile char c = *(volatile char *)(map + 4096);

		(void)c;
	}
	CHECK_EQ(count, 1);
	CHECK_EQ(last_code, BUS_ADRERR);
	CHECK(last_address == map + 4096);
}

static void skip_instruction(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)signal, (void)info;
	count++;
	uc->uc_mcontext.gregs[REG_RIP] += 2; /* ud2 */
	uc->uc_mcontext.gregs[REG_RAX] = 0x12345678;
}

TEST_ALONE(a_handler_can_change_the_registers_it_returns_to)
{
	long rax = 0;

	handle_info(SIGILL, skip_instruction, 0);
	__asm__ volatile("ud2" : "+a"(rax));
	CHECK_EQ(rax, 0x12345678);
	CHECK_EQ(count, 1);
}

static volatile sig_atomic_t fault_error, fault_trap;
static volatile unsigned long fault_cr2;

static void note_fault(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)signal, (void)info;
	fault_error = uc->uc_mcontext.gregs[REG_ERR];
	fault_trap = uc->uc_mcontext.gregs[REG_TRAPNO];
	fault_cr2 = uc->uc_mcontext.gregs[REG_CR2];
	siglongjmp(escape, 1);
}

TEST_ALONE(the_context_tells_trap_number_error_code_and_cr2)
{
	handle_info(SIGSEGV, note_fault, 0);
	if (sigsetjmp(escape, 1) == 0)
		*(volatile char *)t_bad = 1;
	CHECK_EQ(fault_trap, 14);
	CHECK_EQ(fault_error & 7, 6);
	CHECK_EQ(fault_cr2, (unsigned long)t_bad);
}

static void trash_registers(int signal)
{
	(void)signal;
	count++;
	__asm__ volatile("pxor %%xmm0, %%xmm0\n\t"
			 "pxor %%xmm5, %%xmm5\n\t"
			 "pxor %%xmm15, %%xmm15\n\t"
			 "fninit\n\t"
			 "std\n\t"
			 "cld\n\t" ::
			     : "xmm0", "xmm5", "xmm15");
}

TEST_ALONE(vector_state_and_flags_are_kept_over_a_handler)
{
	unsigned char in[16], out[48];
	long rax = SYS_tkill;
	unsigned short control = 0, precision = 0x27f;

	for (int i = 0; i < 16; i++)
		in[i] = 0xa0 + i;
	handle(SIGUSR1, trash_registers, 0);
	__asm__ volatile("fldcw %5\n\t"
			 "movdqu (%3), %%xmm0\n\t"
			 "movdqu (%3), %%xmm5\n\t"
			 "movdqu (%3), %%xmm15\n\t"
			 "syscall\n\t"
			 "movdqu %%xmm0, (%4)\n\t"
			 "movdqu %%xmm5, 16(%4)\n\t"
			 "movdqu %%xmm15, 32(%4)\n\t"
			 "fnstcw %1\n\t"
			 : "+a"(rax), "=m"(control)
			 : "D"(gettid()), "r"(in), "r"(out), "m"(precision), "S"(SIGUSR1)
			 : "rcx", "r11", "memory", "xmm0", "xmm5", "xmm15");
	CHECK_EQ(rax, 0);
	CHECK_EQ(count, 1);
	CHECK_MEM(out, in, 16);
	CHECK_MEM(out + 16, in, 16);
	CHECK_MEM(out + 32, in, 16);
	CHECK_EQ(control, 0x27f);
}

TEST_ALONE(avx_state_is_kept_over_an_interrupting_handler)
{
	unsigned char in[32], out[32];

	if (!__builtin_cpu_supports("avx"))
		SKIP("this processor has no AVX");
	for (int i = 0; i < 32; i++)
		in[i] = i * 3 + 5;
	t_tick(SA_RESTART, NULL);
	for (int round = 0; round < 20; round++)
		__asm__ volatile("vmovdqu (%0), %%ymm7\n\t"
				 "mov $2000000, %%ecx\n"
				 "1: dec %%ecx\n\t"
				 "jnz 1b\n\t"
				 "vmovdqu %%ymm7, (%1)\n\t"
				 "cmpl $3, %2\n\t"
				 :
				 : "r"(in), "r"(out), "m"(t_ticks)
				 : "rcx", "memory", "cc", "xmm7");
	t_tick_stop();
	CHECK_MEM(out, in, 32);
}

TEST_ALONE(a_computation_survives_thousands_of_signals)
{
	uint64_t a = 1, b = 1;

	for (int i = 0; i < 1000000; i++)
		a = a * 6364136223846793005u + 1442695040888963407u;
	t_tick(SA_RESTART, NULL);
	do {
		b = 1;
		for (int i = 0; i < 1000000; i++)
			b = b * 6364136223846793005u + 1442695040888963407u;
		CHECK_EQ(a, b);
	} while (t_ticks < 50);
	t_tick_stop();
}

static void nest(int signal)
{
	on_signal(signal);
	if (signal < SIGRTMIN + 12)
		raise(signal + 1);
	order[15]++;
}

TEST_ALONE(handlers_nest_ten_deep)
{
	for (int i = SIGRTMIN + 3; i <= SIGRTMIN + 12; i++)
		handle(i, nest, 0);
	CHECK_OK(raise(SIGRTMIN + 3));
	CHECK_EQ(count, 10);
	CHECK_EQ(order[15], 10);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(order[i], SIGRTMIN + 3 + i);
}

TEST_ALONE(siglongjmp_restores_the_mask)
{
	sigset_t now;

	for (int i = 0; i < 3; i++) {
		handle_info(SIGUSR1, jump_out, 0);
		if (sigsetjmp(escape, 1) == 0)
			raise(SIGUSR1);
		CHECK_EQ(count, i + 1);
		CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &now));
		CHECK(!sigismember(&now, SIGUSR1));
	}
}

TEST_ALONE(kill_of_the_group_reaches_all_its_members)
{
	int fds[2], status;
	pid_t pids[3];
	char c;

	CHECK_OK(setpgid(0, 0));
	CHECK_OK(pipe(fds));
	handle(SIGUSR1, SIG_IGN, 0);
	for (int i = 0; i < 3; i++) {
		pids[i] = t_fork();
		if (pids[i] == 0) {
			handle(SIGUSR1, SIG_DFL, 0);
			CHECK_EQ(write(fds[1], "r", 1), 1);
			for (;;)
				pause();
		}
	}
	for (int i = 0; i < 3; i++)
		CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_OK(kill(0, SIGUSR1));
	for (int i = 0; i < 3; i++) {
		status = t_wait(pids[i]);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
	}
	CHECK_OK(kill(-getpgrp(), 0));
}

TEST_ALONE(stop_and_continue_discard_each_other)
{
	sigset_t pending;

	handle(SIGTSTP, on_signal, 0);
	handle(SIGCONT, on_signal, 0);
	block(SIGTSTP);
	block(SIGCONT);
	CHECK_OK(raise(SIGTSTP));
	CHECK_OK(raise(SIGCONT));
	CHECK_OK(sigpending(&pending));
	CHECK(!sigismember(&pending, SIGTSTP));
	CHECK(sigismember(&pending, SIGCONT));
	CHECK_OK(raise(SIGTSTP));
	CHECK_OK(sigpending(&pending));
	CHECK(sigismember(&pending, SIGTSTP));
	CHECK(!sigismember(&pending, SIGCONT));
}

static pthread_t helper;
static volatile int helper_ready, helper_saw;

static void note_thread(int signal)
{
	(void)signal;
	helper_saw = gettid();
}

static void *wait_for_signal(void *arg)
{
	unblock(SIGUSR1);
	*(volatile int *)arg = gettid();
	helper_ready = 1;
	while (!helper_saw)
		usleep(1000);
	return NULL;
}

TEST_ALONE(a_process_signal_goes_to_a_thread_that_does_not_block_it)
{
	volatile int tid = 0;

	handle(SIGUSR1, note_thread, 0);
	block(SIGUSR1);
	CHECK_OK(pthread_create(&helper, NULL, wait_for_signal, (void *)&tid));
	while (!helper_ready)
		usleep(1000);
	CHECK_OK(kill(getpid(), SIGUSR1));
	CHECK_OK(pthread_join(helper, NULL));
	CHECK_EQ(helper_saw, tid);
}

TEST_ALONE(tgkill_reaches_exactly_one_thread)
{
	volatile int tid = 0;
	sigset_t pending;

	handle(SIGUSR1, note_thread, 0);
	block(SIGUSR1);
	CHECK_OK(pthread_create(&helper, NULL, wait_for_signal, (void *)&tid));
	while (!helper_ready)
		usleep(1000);
	CHECK_OK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
	CHECK_OK(sigpending(&pending));
	CHECK(sigismember(&pending, SIGUSR1));
	CHECK_EQ(helper_saw, 0);
	CHECK_OK(syscall(SYS_tgkill, getpid(), tid, SIGUSR1));
	CHECK_OK(pthread_join(helper, NULL));
	CHECK_EQ(helper_saw, tid);
}

TEST_ALONE(blocking_a_fault_does_not_save_the_process)
{
	pid_t pid = t_fork();
	int status;

	if (pid == 0) {
		handle(SIGSEGV, on_signal, 0);
		block(SIGSEGV);
		*(volatile char *)t_bad = 1;
		_exit(0);
	}
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	pid = t_fork();
	if (pid == 0) {
		handle(SIGSEGV, SIG_IGN, 0);
		*(volatile char *)t_bad = 1;
		_exit(0);
	}
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

TEST_ALONE(an_unusable_stack_for_the_frame_kills_with_sigsegv)
{
	pid_t pid = t_fork();
	int status;

	if (pid == 0) {
		stack_t stack = {.ss_sp = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
				 .ss_size = 65536};

		CHECK_OK(sigaltstack(&stack, NULL));
		handle(SIGUSR1, on_signal, SA_ONSTACK);
		raise(SIGUSR1);
		_exit(0);
	}
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

TEST_ALONE(a_forged_sigreturn_frame_kills_only_its_process)
{
	pid_t pid = t_fork();
	int status;

	if (pid == 0) {
		__asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall" : : "r"((char *)t_bad) : "memory");
		_exit(0);
	}
	status = t_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

TEST_ALONE(nanosleep_ends_early_with_the_rest_when_interrupted)
{
	struct timespec long_time = {1000, 0}, rest = {0};

	t_tick(SA_RESTART, NULL);
	CHECK_ERR(nanosleep(&long_time, &rest), EINTR);
	t_tick_stop();
	CHECK(rest.tv_sec == 999 || rest.tv_sec < 1000);
	CHECK_GE(rest.tv_sec, 1);
}

TEST_ALONE(errno_and_results_survive_a_stop_and_continue)
{
	int fds[2];
	pid_t parent = getpid(), pid;
	char c = 0;
	int status;

	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		close(fds[1]);
		_exit(read(fds[0], &c, 1) != 1 || c != 'k');
	}
	(void)parent;
	t_until_asleep(pid);
	CHECK_OK(kill(pid, SIGSTOP));
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK_OK(kill(pid, SIGCONT));
	CHECK_EQ(write(fds[1], "k", 1), 1);
	t_reap(pid);
}
