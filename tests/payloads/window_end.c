/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a window (sentry/platform/stubs/windows.c), as a guest can disturb it. A thread writes a call into its own box and lets
 * the sentry find it; so the command to unmap comes to the guest's code, which
 *
 *	says that it was done, and hasn't done it;
 *	keeps the mapping, while another thread cuts the file, lets it grow again and fills it by reading;
 *	dies, as a process of its own that shares its memory with the one that has the window.
 */
#include "gate.h"

#include <setjmp.h>
#include <stdbool.h>

PAYLOAD("keep the mapping that reads go by when it is to be unmapped", "--timeout 110s", "exit 0");

#define SIZE (4UL << 20)
#define NAME "/tmp/window-end"
#define PATIENCE 10 /* seconds for what may not come: the sentry looks at boxes only while it polls */

enum what { LIES, FILLS, DIES, ALL };

static struct shared {
	volatile int rung, filled, counted, lied, died, stays;
} *shared;
static volatile char *const window = (volatile char *)STUB_WINDOWS;
static sigjmp_buf back;
static volatile int signalled;

static void on_fault(int sig)
{
	signalled = sig;
	siglongjmp(back, 1);
}

/* 0, or the signal for looking there. */
static int look(uint64_t off)
{
	signalled = 0;
	if (sigsetjmp(back, 1) == 0)
		(void)window[off];
	return signalled;
}

static uint64_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec;
}

/* A file, which this thread has a window on: its descriptor. */
static int with_window(void)
{
	char *b = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = setup(open(NAME, O_RDWR | O_CREAT | O_TRUNC, 0600));

	memset(b, 'x', SIZE);
	setup(write(fd, b, SIZE) == (ssize_t)SIZE ? 0 : -1);
	for (int i = 0; i < 12; i++)
		setup(pread(fd, b, SIZE, 0));
	return fd;
}

/* Writes a call into the own box; true if the sentry answers with commands. */
static bool ring(unsigned nr, uint64_t a, uint64_t b)
{
	volatile struct gate_box *box = BOX(own_area());
	uint64_t end = now_s() + PATIENCE;

	box->kind = GATE_KIND_CALL;
	box->nr = (typeof(box->nr))nr;
	box->args[0] = a;
	box->args[1] = b;
	box->nsegs = 0;
	__atomic_store_n(&box->state, GATE_REQUEST, __ATOMIC_SEQ_CST);
	while (GATE_STATE(__atomic_load_n(&box->state, __ATOMIC_SEQ_CST)) != GATE_DONE)
		if (now_s() >= end)
			_exit(0); /* no call of its own is right any more */
	return GATE_ACTION(box->state) == GATE_RUN;
}

static volatile bool fill, stop;

/* Keeps the sentry polling, and fills the file when it is told to. */
static void *helper(void *arg)
{
	(void)arg;
	while (!stop) {
		int faults = 0;

		for (int i = 0; i < 1000; i++)
			getpgid(0);
		if (!fill)
			continue;
		if (truncate(NAME, 0) != 0 || truncate(NAME, SIZE) != 0)
			_exit(99);
		for (uint64_t off = 0; off < SIZE; off += 4096)
			faults += look(off) != 0;
		shared->filled = faults == 0;
		fill = false;
	}
	return NULL;
}

static void lie(void)
{
	volatile struct gate_box *box = BOX(own_area());

	MAILBOX(own_area())->result = 0;
	box->kind = GATE_KIND_DONE;
	__atomic_store_n(&box->state, GATE_REQUEST, __ATOMIC_SEQ_CST);
	shared->lied = 1;
	for (uint64_t end = now_s() + PATIENCE; now_s() < end;)
		if (GATE_STATE(__atomic_load_n(&box->state, __ATOMIC_SEQ_CST)) == GATE_DONE && GATE_ACTION(box->state) == GATE_RETURN)
			shared->stays = 1;
	_exit(0);
}

static void alone(enum what what)
{
	pthread_t thread;
	int fd = with_window();

	if (look(0) != 0)
		_exit(0); /* no window */
	if (pthread_create(&thread, NULL, helper, NULL) != 0)
		_exit(0);
	if (!ring(SYS_close, (uint64_t)fd, 0))
		_exit(0);
	shared->rung |= 1 << what;
	if (what == LIES)
		lie();
	fill = true;
	while (!shared->counted) /* the command isn't carried out */
		__asm__ volatile("pause");
	getpgid(0); /* it is ended for that */
	_exit(0);
}

static char stack[65536] __attribute__((aligned(16)));

static int sharer(void *arg)
{
	(void)arg;
	for (int i = 0; i < 300; i++)
		getpgid(0);
	if (ring(SYS_truncate, (uint64_t)NAME, 0)) {
		shared->rung |= 1 << DIES;
		getpgid(0); /* instead: it is ended for that */
		shared->died = -1;
	}
	_exit(0);
}

static void with_another(void)
{
	pid_t pid, poller;
	int fd, status = 0;

	poller = setup(fork());
	if (poller == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			getpgid(0);
	}
	fd = with_window();
	if (look(0) != 0)
		goto end;
	pid = setup(clone(sharer, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL));
	setup(waitpid(pid, &status, 0));
	if (WIFSIGNALED(status))
		shared->died = 1;
	/* Whoever was told and died: it is unmapped. */
	for (int i = 0; i < 3; i++)
		(void)!pread(fd, stack, 1, 0);
	if (shared->died == 1 && (look(0) == 0 || signalled != SIGSEGV)) /* else nobody was told */
		shared->stays = 2;
end:
	kill(poller, SIGKILL);
	_exit(0);
}

int main(void)
{
	struct sigaction a = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
	uint64_t end;

	warm_up();
	if (own_area() == 0)
		return 0;
	setup(sigaction(SIGSEGV, &a, NULL));
	setup(sigaction(SIGBUS, &a, NULL));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 99;
	honest_begin();
	for (enum what what = 0; what < ALL; what++) {
		pid_t pid = setup(fork());
		struct stat st = {0};
		int status;

		if (pid == 0 && what == DIES)
			with_another();
		if (pid == 0)
			alone(what);
		if (what == FILLS) {
			for (end = now_s() + 2 * PATIENCE; now_s() < end && !shared->filled && waitpid(pid, &status, WNOHANG) == 0;)
				usleep(10000);
			for (end = now_s() + PATIENCE; shared->filled && now_s() < end && (uint64_t)st.st_blocks * 512 < SIZE;) {
				setup(stat(NAME, &st));
				usleep(10000);
			}
			if (shared->filled && (uint64_t)st.st_blocks * 512 < SIZE)
				escaped("%lu bytes that nobody counts", SIZE - (uint64_t)st.st_blocks * 512);
			shared->counted = 1;
		}
		waitpid(pid, &status, 0);
	}
	printf("rung %d, lied %d, filled %d, died %d\n", shared->rung, shared->lied, shared->filled, shared->died);
	for (enum what what = 0; what < ALL; what++)
		if (!(shared->rung & 1 << what))
			printf("%s: not tried, the sentry didn't look at the box\n", (const char *[]){"lies", "fills", "dies"}[what]);
	if (shared->stays == 1)
		escaped("a window's end that was left out was believed");
	if (shared->stays == 2)
		escaped("a window outlives who was told to unmap it");
	honest_end();
	return 0;
}
