/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks, sleeping and the timers that send signals.
 * covers: getitimer setitimer alarm timer_create timer_settime timer_gettime timer_getoverrun timer_delete nanosleep
 * covers: clock_nanosleep clock_gettime clock_getres
 */
#include "t.h"

#include <pthread.h>
#include <sys/time.h>

static volatile sig_atomic_t count, value, overrun_code;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	count++;
	value = info->si_value.sival_int;
	overrun_code = info->si_code;
}

static void handle(int signal)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	CHECK_OK(sigaction(signal, &action, NULL));
}

static sigset_t block(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	return set;
}

TEST_ALONE(the_real_timer_sends_sigalrm_no_sooner)
{
	struct itimerval timer = {{0, 0}, {0, 5000}}, old;
	sigset_t set = block(SIGALRM);
	int64_t start = t_now(CLOCK_MONOTONIC);
	int got;

	CHECK_OK(syscall(SYS_setitimer, ITIMER_REAL, &timer, NULL));
	CHECK_OK(sigwait(&set, &got));
	CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 5000000);
	CHECK_OK(syscall(SYS_getitimer, ITIMER_REAL, &old));
	CHECK_EQ(old.it_value.tv_sec + old.it_value.tv_usec, 0);
	timer = (struct itimerval){{0, 2000}, {0, 2000}};
	CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
	for (int i = 0; i < 5; i++)
		CHECK_OK(sigwait(&set, &got));
	timer = (struct itimerval){{1, 0}, {1000, 0}};
	CHECK_OK(setitimer(ITIMER_REAL, &timer, &old));
	CHECK_EQ(old.it_interval.tv_usec, 2000);
	timer = (struct itimerval){0};
	CHECK_OK(setitimer(ITIMER_REAL, &timer, &old));
	CHECK(old.it_value.tv_sec <= 1000 && old.it_value.tv_sec > 900);
	CHECK_EQ(old.it_interval.tv_sec, 1);
}

TEST_ALONE(cpu_timers_count_only_running_time)
{
	struct itimerval timer = {{0, 0}, {0, 20000}};
	int64_t start;

	handle(SIGVTALRM);
	handle(SIGPROF);
	CHECK_OK(setitimer(ITIMER_VIRTUAL, &timer, NULL));
	while (count == 0)
		;
	CHECK_EQ(count, 1);
	start = t_now(CLOCK_PROCESS_CPUTIME_ID);
	CHECK_OK(setitimer(ITIMER_PROF, &timer, NULL));
	while (count == 1)
		;
	CHECK_GE(t_now(CLOCK_PROCESS_CPUTIME_ID) - start, 4000000); /* it counts in ticks */
}

static volatile sig_atomic_t in_worker, elsewhere;
static long worker;

static void count_thread(int signal)
{
	(void)signal;
	if (syscall(SYS_gettid) == worker)
		in_worker++;
	else
		elsewhere++;
}

static void *spin(void *arg)
{
	struct itimerval timer = {{0, 10000}, {0, 10000}};
	char path[64], text[512];
	const char *state;

	(void)arg;
	worker = syscall(SYS_gettid);
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", getpid());
	do {
		t_get(path, text, sizeof text);
		state = strrchr(text, ')');
	} while (state == NULL || state[2] != 'S');
	CHECK_OK(setitimer(ITIMER_PROF, &timer, NULL));
	while (in_worker + elsewhere < 5)
		;
	timer = (struct itimerval){0};
	CHECK_OK(setitimer(ITIMER_PROF, &timer, NULL));
	return NULL;
}

/* By this a profiler knows where time is used. */
TEST_ALONE(the_thread_that_runs_takes_the_profilers_signal)
{
	struct sigaction action = {.sa_handler = count_thread, .sa_flags = SA_RESTART};
	pthread_t thread;

	CHECK_OK(sigaction(SIGPROF, &action, NULL));
	CHECK_EQ(pthread_create(&thread, NULL, spin, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(elsewhere, 0);
}

TEST_ALONE(errors_of_itimers)
{
	struct itimerval timer = {{0, 0}, {0, 1000000}};

	CHECK_ERR(syscall(SYS_setitimer, ITIMER_REAL, &timer, NULL), EINVAL);
	timer.it_value = (struct timeval){-1, 0};
	CHECK_ERR(syscall(SYS_setitimer, ITIMER_REAL, &timer, NULL), EINVAL);
	timer.it_value = (struct timeval){1, 0};
	CHECK_ERR(syscall(SYS_setitimer, 7, &timer, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_setitimer, ITIMER_REAL, t_bad, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_getitimer, 7, &timer), EINVAL);
	CHECK_ERR(syscall(SYS_getitimer, ITIMER_REAL, t_bad), EFAULT);
}

TEST_ALONE(alarm_returns_what_was_left)
{
	CHECK_EQ(syscall(SYS_alarm, 1000), 0);
	CHECK_GE(syscall(SYS_alarm, 500), 900);
	CHECK_GE(syscall(SYS_alarm, 0), 400);
	CHECK_EQ(syscall(SYS_alarm, 0), 0);
}

TEST(clocks_can_be_read_and_do_not_go_back)
{
	int clocks[] = {CLOCK_REALTIME,          CLOCK_MONOTONIC,     CLOCK_PROCESS_CPUTIME_ID,
			CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
			CLOCK_MONOTONIC_COARSE,  CLOCK_BOOTTIME,      CLOCK_TAI};
	struct timespec now, resolution;

	for (size_t i = 0; i < T_COUNT(clocks); i++) {
		int64_t last = -1;

		for (int n = 0; n < 100; n++) {
			CHECK_OK(syscall(SYS_clock_gettime, clocks[i], &now));
			CHECK(now.tv_nsec >= 0 && now.tv_nsec < 1000000000);
			CHECK_GE(now.tv_sec * 1000000000 + now.tv_nsec, last);
			last = now.tv_sec * 1000000000 + now.tv_nsec;
		}
		CHECK_OK(syscall(SYS_clock_getres, clocks[i], &resolution));
		CHECK(resolution.tv_sec == 0 && resolution.tv_nsec > 0);
	}
	CHECK_OK(syscall(SYS_clock_getres, CLOCK_REALTIME, NULL));
	CHECK_ERR(syscall(SYS_clock_gettime, 99, &now), EINVAL);
	CHECK_ERR(syscall(SYS_clock_getres, 99, &now), EINVAL);
	CHECK_ERR(syscall(SYS_clock_gettime, CLOCK_REALTIME, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_clock_getres, CLOCK_REALTIME, t_bad), EFAULT);
}

TEST_ALONE(another_processes_cpu_clock_can_be_read)
{
	clockid_t clock;
	struct timespec now;
	pid_t pid = t_fork();

	while (pid == 0)
		pause();
	CHECK_OK(clock_getcpuclockid(pid, &clock));
	CHECK_OK(syscall(SYS_clock_gettime, clock, &now));
	CHECK_EQ(now.tv_sec, 0);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(t_wait(pid), SIGKILL);
	CHECK_ERR(syscall(SYS_clock_gettime, clock, &now), EINVAL);
}

TEST_ALONE(setting_the_clock_needs_a_capability)
{
	struct timespec now;
	struct timeval tv;

	CHECK_OK(clock_gettime(CLOCK_REALTIME, &now));
	CHECK_OK(gettimeofday(&tv, NULL));
	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(syscall(SYS_clock_settime, CLOCK_REALTIME, &now), EPERM);
		CHECK_ERR(syscall(SYS_settimeofday, &tv, NULL), EPERM);
	}
}

TEST(nanosleep_sleeps_no_less)
{
	struct timespec brief = {0, 5000000}, wrong = {0, 1000000000}, negative = {-1, 0}, zero = {0, 0};
	int64_t start = t_now(CLOCK_MONOTONIC);

	CHECK_OK(syscall(SYS_nanosleep, &brief, NULL));
	CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 5000000);
	CHECK_OK(syscall(SYS_nanosleep, &zero, t_bad));
	CHECK_ERR(syscall(SYS_nanosleep, &wrong, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_nanosleep, &negative, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_nanosleep, t_bad, NULL), EFAULT);
}

TEST(clock_nanosleep_sleeps_until_a_time)
{
	int64_t when = t_now(CLOCK_MONOTONIC) + 5000000;
	struct timespec at = {when / 1000000000, when % 1000000000}, brief = {0, 1000000}, wrong = {0, -1};

	CHECK_OK(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL));
	CHECK_GE(t_now(CLOCK_MONOTONIC), when);
	CHECK_OK(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL));
	CHECK_OK(syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, &brief, NULL));
	CHECK_OK(syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &brief, NULL));
	CHECK_ERR(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &wrong, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_clock_nanosleep, 99, 0, &brief, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &brief, NULL), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, t_bad, NULL), EFAULT);
}

TEST_ALONE(an_interrupted_sleep_tells_what_is_left)
{
	struct timespec wait = {1000, 0}, rest = {0, 0};
	int64_t when = t_now(CLOCK_MONOTONIC) + 1000000000000;
	struct timespec at = {when / 1000000000, 0};

	t_tick(0, NULL);
	CHECK_ERR(syscall(SYS_nanosleep, &wait, &rest), EINTR);
	CHECK(rest.tv_sec < 1000 && rest.tv_sec > 900);
	rest = (struct timespec){7, 7};
	CHECK_ERR(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &wait, &rest), EINTR);
	CHECK(rest.tv_sec < 1000 && rest.tv_sec > 900);
	rest = (struct timespec){7, 7};
	CHECK_ERR(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, &rest), EINTR);
	CHECK_EQ(rest.tv_sec, 7);
	CHECK_ERR(syscall(SYS_nanosleep, &wait, t_bad), EFAULT);
	t_tick_stop();
}

TEST_ALONE(a_stopped_and_continued_sleep_sleeps_its_full_time)
{
	pid_t pid = t_fork();
	int status;

	if (pid == 0) {
		struct timespec brief = {0, 30000000};
		int64_t start = t_now(CLOCK_MONOTONIC);

		CHECK_OK(nanosleep(&brief, NULL));
		CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 30000000);
		_exit(0);
	}
	CHECK_OK(kill(pid, SIGSTOP));
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK_OK(kill(pid, SIGCONT));
	t_reap(pid);
}

TEST_ALONE(posix_timers_signal_with_a_value)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_int = 99};
	struct itimerspec spec = {{0, 0}, {0, 3000000}}, now;
	timer_t timer;
	sigset_t set = block(SIGRTMIN + 1);
	siginfo_t info;

	CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK_OK(timer_gettime(timer, &now));
	CHECK_EQ(now.it_value.tv_sec + now.it_value.tv_nsec, 0);
	CHECK_OK(timer_settime(timer, 0, &spec, NULL));
	CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 1);
	CHECK_EQ(info.si_code, SI_TIMER);
	CHECK_EQ(info.si_value.sival_int, 99);
	CHECK_EQ(timer_getoverrun(timer), 0);
	spec = (struct itimerspec){{500, 0}, {1000, 0}};
	CHECK_OK(timer_settime(timer, 0, &spec, &now));
	CHECK_EQ(now.it_value.tv_sec, 0);
	CHECK_OK(timer_gettime(timer, &now));
	CHECK_EQ(now.it_interval.tv_sec, 500);
	CHECK(now.it_value.tv_sec > 900);
	CHECK_OK(timer_delete(timer));
	CHECK_ERR(timer_delete(timer), EINVAL);
}

TEST_ALONE(overruns_of_a_pending_timer_are_counted)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec spec = {{0, 1000000}, {0, 1000000}};
	timer_t timer;
	sigset_t set = block(SIGUSR1);
	siginfo_t info;

	CHECK_OK(timer_create(CLOCK_REALTIME, &event, &timer));
	CHECK_OK(timer_settime(timer, 0, &spec, NULL));
	usleep(20000);
	CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
	CHECK_GE(timer_getoverrun(timer), 10);
	CHECK_GE(info.si_overrun, 10);
	CHECK_OK(timer_delete(timer));
}

TEST_ALONE(timers_to_a_thread_or_to_nobody)
{
	struct sigevent none = {.sigev_notify = SIGEV_NONE};
	struct {
		struct sigevent event;
	} thread = {{.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2}};
	struct itimerspec spec = {{0, 0}, {0, 1000000}}, now = {{0, 0}, {1, 0}};
	timer_t timer;
	sigset_t set = block(SIGUSR2);
	siginfo_t info;

	CHECK_OK(timer_create(CLOCK_MONOTONIC, &none, &timer));
	CHECK_OK(timer_settime(timer, 0, &spec, NULL));
	while (now.it_value.tv_sec + now.it_value.tv_nsec)
		CHECK_OK(timer_gettime(timer, &now));
	CHECK_OK(timer_delete(timer));
	thread.event._sigev_un._tid = gettid();
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &thread.event, &timer));
	CHECK_OK(timer_settime(timer, 0, &spec, NULL));
	CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR2);
	CHECK_OK(timer_delete(timer));
	thread.event._sigev_un._tid = 0x3ffffff;
	CHECK_ERR(timer_create(CLOCK_MONOTONIC, &thread.event, &timer), EINVAL);
}

TEST_ALONE(errors_of_posix_timers)
{
	struct sigevent event = {.sigev_notify = 77}, bad_signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 100};
	struct itimerspec spec = {{0, 0}, {0, 1000000000}}, fine = {{0, 0}, {0, 1}};
	int timer;

	CHECK_ERR(syscall(SYS_timer_create, 99, NULL, &timer), EINVAL);
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer), EINVAL);
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, &bad_signal, &timer), EINVAL);
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, t_bad, &timer), EFAULT);
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, t_bad), EFAULT);
	CHECK_OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer));
	CHECK_ERR(syscall(SYS_timer_settime, timer, 0, &spec, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_timer_settime, timer, 0, NULL, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_timer_settime, timer, 0, t_bad, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_timer_settime, 9999, 0, &fine, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_timer_gettime, 9999, &spec), EINVAL);
	CHECK_ERR(syscall(SYS_timer_gettime, timer, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_timer_getoverrun, 9999), EINVAL);
	CHECK_ERR(syscall(SYS_timer_delete, 9999), EINVAL);
	CHECK_OK(syscall(SYS_timer_delete, timer));
}

TEST_ALONE(timers_are_not_inherited_by_fork)
{
	int timer;
	struct itimerspec spec;

	CHECK_OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer));
	IN_CHILD() {
		CHECK_ERR(syscall(SYS_timer_gettime, timer, &spec), EINVAL);
	}
	CHECK_OK(syscall(SYS_timer_gettime, timer, &spec));
}
