/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that tell the sentry of their end, and run on: more of them than --pids allows. First the trap door's bell is rung by the box
 * and from the stub's own doorbell instruction, with a stack that leads back here.
 */
#include "gate.h"

PAYLOAD("outlive --pids by an end that is only told", "--pids 16 --timeout 110s", "exit 0");

#define THREADS 64
#define LIMIT 16

static struct shared {
	volatile uint64_t alive[THREADS];
	volatile unsigned works; /* number of a call instruction that leads back, plus one */
} *shared;
static uint64_t stacks[THREADS][512];
static uint64_t ip;
static __thread unsigned me;
static volatile unsigned which;

static void regained(void)
{
	/* No call from here on: nobody knows this thread any more. */
	if (which != 0)
		shared->works = which;
	for (;;)
		shared->alive[me]++;
}

static void *thread_main(void *arg)
{
	uint64_t area = own_area();

	me = (unsigned)(uintptr_t)arg;
	for (unsigned i = 0; i < 512; i++)
		stacks[me][i] = (uint64_t)regained;
	MAILBOX(area)->reason = SIGSYS;
	MAILBOX(area)->regs[13] = SYS_exit;
	MAILBOX(area)->regs[8] = 0;
	BOX(area)->kind = GATE_KIND_STUB;
	BOX(area)->nr = STUB_TRAP;
	BOX(area)->args[0] = 0;
	BOX(area)->state = GATE_REQUEST;
	__asm__ volatile("mov %[sp], %%rsp\n\tmov %%rbx, %%rbp\n\tmov %%rbx, %%r12\n\tmov %%rbx, %%r13\n\t"
			 "mov %%rbx, %%r14\n\tmov %%rbx, %%r15\n\tjmp *%%rcx"
			 :
			 : "c"(ip), "a"(SYS_getppid), "D"(STUB_MAGIC), "S"((uint64_t)STUB_GATE_WAIT), "d"(0UL), "b"(BOX(area)),
			   [sp] "r"(&stacks[me][256])
			 : "memory");
	return NULL;
}

/*
 * While the sentry polls no doorbell is needed: the box says that it is in `exit`, and the thread runs on. Four of a process can
 * be kept for its next threads, and be taken and do it again before it is noticed that they don't come to wait.
 */
#define GHOSTS 4
#define HAUNTED 11 /* with the one that makes them and four that are still counted: all that is allowed */

static volatile unsigned ready, begin;

static void *ghost_main(void *arg)
{
	uint64_t area = own_area();

	me = (unsigned)(uintptr_t)arg;
	getppid();
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	while (!begin)
		__asm__ volatile("pause");
	BOX(area)->kind = GATE_KIND_CALL;
	BOX(area)->nr = SYS_exit;
	BOX(area)->args[0] = 0;
	BOX(area)->nsegs = 0;
	__atomic_store_n(&BOX(area)->state, GATE_REQUEST, __ATOMIC_SEQ_CST);
	for (;;)
		shared->alive[me]++;
	return NULL;
}

static void haunted(unsigned first, int tell)
{
	for (unsigned i = 0; i < GHOSTS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, ghost_main, (void *)(uintptr_t)(first + i)) != 0)
			_exit(0);
	}
	while (ready < GHOSTS)
		sched_yield();
	begin = 1;
	for (int i = 0; i < 5000; i++) /* the sentry polls */
		getpgid(0);
	(void)!write(tell, "x", 1);
	pause();
	_exit(0);
}

static void one(unsigned i)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_main, (void *)(uintptr_t)i) != 0)
		_exit(0);
}

static unsigned ghosts(void)
{
	unsigned most = 0, n = 0;
	pid_t pids[HAUNTED];
	int tell[2];
	char c;

	setup(pipe(tell));
	for (unsigned i = 0; i < HAUNTED; i++) {
		unsigned now;

		pids[n] = fork();
		if (pids[n] == 0) {
			close(tell[0]);
			haunted(i * GHOSTS, tell[1]);
		}
		if (pids[n] < 0)
			break;
		n++;
		if (poll(&(struct pollfd){.fd = tell[0], .events = POLLIN}, 1, 1000) == 1) /* or it was refused its threads */
			(void)!read(tell[0], &c, 1);
		now = counting(shared->alive, THREADS);
		most = now > most ? now : most;
	}
	for (unsigned i = 0; i < n; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	printf("%u processes, %u threads ran\n", n, most);
	return most;
}

int main(void)
{
	uint64_t calls[STUB_CALLS];
	unsigned n = stub_calls(calls), most = 0;

	if (own_area() == 0)
		return 0;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 99;
	/* Which instruction leads back? */
	for (unsigned i = 0; i < n && shared->works == 0; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			which = i + 1;
			ip = calls[i];
			one(0);
			usleep(100000);
			_exit(0);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	printf("led back by %u of %u\n", shared->works, n);
	if (shared->works != 0) {
		pid_t pid = fork();

		if (pid == 0) {
			ip = calls[shared->works - 1];
			for (unsigned i = 0; i < THREADS; i++)
				one(i);
			pause();
		}
		for (int i = 0; i < 8; i++) {
			unsigned now = counting(shared->alive, THREADS);

			most = now > most ? now : most;
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (most <= LIMIT)
		most = ghosts();
	if (most > LIMIT)
		escaped("%u threads ran", most);
	return 0;
}
