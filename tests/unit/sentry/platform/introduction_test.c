/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is somebody: the host's numbers of threads come round, also before the process that had one is reaped; who is waited for and
 * can't come any more keeps nobody waiting; and one that looks like being born is asked for.
 * The transport is a stub that notes what became of the call; whoever calls is a process of ours.
 */
#include "sentry/kernel/loop.h"
#include "sentry/kernel/loop_internal.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/stubs/stubs.h"
#include "noting_transport.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct platform_mm mm, other_mm;
static struct task task;

static struct stub_transport model = {.answer = answer, .proceed = proceed};

static void mm_init(struct platform_mm *m)
{
	ref_init(&m->ref);
	list_init(&m->procs);
	list_init(&m->dying);
	list_init(&m->spares);
	list_init(&m->windows);
}

static void begin(void)
{
	cr_assert_eq(loop_init(), 0);
	transport = &model;
	mm_init(&mm);
	mm_init(&other_mm);
	list_init(&task.run_link);
}

static volatile int *threads_number;

static void *sleeps(void *arg)
{
	(void)arg;
	*threads_number = (int)syscall(SYS_gettid);
	for (;;)
		pause();
	return NULL;
}

/* One that lives until it is killed, or has ended already and isn't reaped. thread: the number of another thread of it, or NULL. */
static pid_t process(bool lives, int *thread)
{
	pid_t pid;

	threads_number = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(threads_number, MAP_FAILED);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		pthread_t t;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!lives)
			_exit(0);
		if (thread != NULL && pthread_create(&t, NULL, sleeps, NULL) != 0)
			_exit(1);
		for (;;)
			pause();
	}
	if (!lives) {
		siginfo_t si;

		cr_assert_eq(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
	}
	while (thread != NULL && (*thread = *threads_number) == 0)
		usleep(1000);
	return pid;
}

static bool is_alive(pid_t pid)
{
	siginfo_t si = {0};

	cr_assert_eq(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT | WNOHANG), 0);
	return si.si_pid == 0;
}

static void was_killed(pid_t pid)
{
	int status;

	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static struct platform_thread *thread_of(int pid, struct platform_mm *of)
{
	struct platform_thread *pt = thread_new(NULL, NULL);

	cr_assert_not_null(pt);
	pt->proc = proc_new(pid, of);
	cr_assert_not_null(pt->proc);
	list_add_tail(&pt->proc->threads, &pt->proc_link);
	return pt;
}

/* A thread in guest code. */
static struct platform_thread *known(pid_t pid)
{
	struct platform_thread *pt = thread_of(pid, &mm);

	cr_assert_eq(thread_claim(pt->token), pt);
	cr_assert_eq(thread_bind(pt, pid), 0);
	thread_set_state(pt, THREAD_GUEST);
	return pt;
}

static void calls(int tid, int64_t nr, uint64_t ip, uint64_t a0, uint64_t a1, uint64_t a2)
{
	const struct stub_call c = {.id = NOTED_ID, .tid = tid, .nr = nr, .ip = ip, .args = {a0, a1, a2}};

	stubs_call(&c);
}

static void introduces(int tid, uint64_t token)
{
	calls(tid, SYS_prctl, STUB_CLONE_IP + 0x1a, 1, SIGKILL, token);
}

static void asks_whether_born(int tid)
{
	calls(tid, SYS_getppid, STUB_BASE + 0x2000, STUB_MAGIC, STUB_BORN, 0);
}

Test(introduction, a_number_may_be_that_of_one_who_has_ended_unreaped)
{
	for (int killed = 0; killed < 2; killed++) {
		struct platform_thread *old, *new;
		pid_t pid;

		if (killed == 0)
			begin();
		pid = process(true, NULL);
		old = known(pid);
		old->proc->pid = process(false, NULL); /* as if its thread had had that number */
		old->proc->killed = killed;
		new = thread_of(0, &other_mm);
		introduces(pid, new->token);
		cr_assert_eq(thread_find(pid), new);
		cr_assert(new->state == THREAD_ATTACHED && new->proc->pid == pid);
		cr_assert_eq(proceeded, killed + 1);
		cr_assert(is_alive(pid));
		cr_assert_eq(old->state, THREAD_GUEST); /* until it is reaped */
		/* And is told of then. */
		stubs_child_ended(old->proc->pid, 0);
		cr_assert_eq(thread_find(pid), new);
		kill(pid, SIGKILL);
	}
}

Test(introduction, a_number_may_be_that_of_one_of_its_process_who_was_told_to_end)
{
	struct platform_thread *leader, *ended, *new;
	pid_t pid;
	int thread;

	begin();
	pid = process(true, &thread);
	leader = known(pid);
	ended = thread_new(NULL, NULL);
	ended->proc = leader->proc;
	list_add_tail(&leader->proc->threads, &ended->proc_link);
	cr_assert_eq(thread_claim(ended->token), ended);
	cr_assert_eq(thread_bind(ended, thread), 0);
	list_add_tail(&mm.dying, &ended->new_link);
	thread_set_state(ended, THREAD_EXITING);
	new = thread_new(NULL, NULL);
	new->proc = leader->proc;
	list_add_tail(&leader->proc->threads, &new->proc_link);
	introduces(thread, new->token);
	cr_assert_eq(thread_find(thread), new);
	cr_assert_eq(new->state, THREAD_ATTACHED);
	cr_assert(list_empty(&mm.dying) && stubs_exiting == 0);
	cr_assert(answered == 1 && is_alive(pid));
	kill(pid, SIGKILL);
}

Test(introduction, a_number_of_one_who_lives_is_its_own)
{
	struct platform_thread *old, *new;
	pid_t pid;

	begin();
	pid = process(true, NULL);
	old = known(pid);
	new = thread_of(0, &other_mm);
	introduces(pid, new->token);
	cr_assert(thread_find(pid) == old && new->state == THREAD_NEW && proceeded == 0);
	was_killed(pid);
}

Test(introduction, a_stranger_with_the_number_of_one_who_was_killed_ends)
{
	struct platform_thread *old;
	pid_t pid;

	begin();
	pid = process(true, NULL);
	old = known(pid);
	old->proc->pid = process(false, NULL);
	old->proc->killed = true;
	calls(pid, SYS_getpid, 0x400000, 0, 0, 0);
	cr_assert(old->state == THREAD_GUEST && !old->event_ready);
	was_killed(pid);
}

Test(introduction, who_waits_for_one_that_cannot_be_hears_of_it)
{
	struct platform_thread *new;
	pid_t pid;
	int thread;

	begin();
	/* A token for a process, in the hands of a thread of another one. */
	pid = process(true, &thread);
	new = thread_of(0, &other_mm);
	new->task = &task;
	cr_assert(sched_idle());
	introduces(thread, new->token);
	cr_assert_eq(new->state, THREAD_DEAD);
	cr_assert(!sched_idle());
	was_killed(pid);
	thread_free(new);
	cr_assert(list_empty(&other_mm.procs));
	/* Nobody waits: it is freed. */
	pid = process(true, &thread);
	new = thread_of(0, &other_mm);
	introduces(thread, new->token);
	cr_assert(list_empty(&other_mm.procs));
	was_killed(pid);
	cr_assert(proceeded == 0 && answered == 0);
}

Test(introduction, who_looks_like_being_born_is_asked_for)
{
	struct platform_thread *pt;
	pid_t pid;

	begin();
	pid = process(true, NULL);
	pt = known(pid);
	for (enum thread_state s = THREAD_GUEST; s < THREAD_DEAD; s++) {
		if (s == THREAD_EXITING)
			continue;
		answered = 0;
		thread_set_state(pt, s);
		pt->by_box = true;
		asks_whether_born(pid);
		cr_assert(answered == 1 && value == 0);
		cr_assert(pt->state == s && pt->by_box && !pt->event_ready);
	}
	thread_set_state(pt, THREAD_GUEST);
	cr_assert(is_alive(pid));
	/* On its way to the trap door for the first time it isn't interrupted by anybody but itself. */
	answered = 0;
	thread_set_state(pt, THREAD_ATTACHED);
	asks_whether_born(pid);
	was_killed(pid);
	/* Who was told to end. */
	pid = process(true, NULL);
	thread_set_state(known(pid), THREAD_EXITING);
	asks_whether_born(pid);
	was_killed(pid);
	/* A stranger, and one who has the number of one that has ended. */
	pid = process(true, NULL);
	asks_whether_born(pid);
	was_killed(pid);
	pid = process(true, NULL);
	pt = known(pid);
	pt->proc->pid = process(false, NULL);
	asks_whether_born(pid);
	was_killed(pid);
	cr_assert(answered == 0 && proceeded == 0);
}
