/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vfork's child runs on its parent's host thread. Processes that make such children, who make more, threads too, and write rubbish
 * over their areas, while others kill, stop and replace parents and children at any moment.
 */
#include "payload.h"

#include <time.h>

PAYLOAD("confuse a vfork's parent with its child", "--pids 200 --timeout 110s", "exit 0");

#define AREAS (STUB_BASE + 0x100000UL)
#define AREA_SIZE 0x80000UL
#define SPAWNERS 3U

static char stacks[4][16384] __attribute__((aligned(64)));
static struct shared {
	volatile pid_t last[SPAWNERS][3];
} *shared;
static char *self;
static volatile unsigned seed;
static int byte[2];

static unsigned random_below(unsigned n)
{
	unsigned x = __atomic_add_fetch(&seed, 0x9e3779b9U, __ATOMIC_RELAXED);

	x ^= x >> 16;
	x *= 0x7feb352dU;
	x ^= x >> 15;
	return x % n;
}

struct place {
	unsigned spawner, depth;
};

static int waits(void *arg)
{
	char c;

	(void)arg;
	syscall(SYS_read, byte[0], &c, 1);
	return 0;
}

static void scribble(void)
{
	uint64_t area = AREAS + random_below(2) * AREA_SIZE;
	uint64_t at = area + (random_below(3) == 0 ? 0x60000UL + random_below(0x20000) : random_below(0x2800));

	*(volatile uint64_t *)(at & ~7UL) = random_below(2) ? random_below(64) : ((uint64_t)random_below(~0U) << 32) | random_below(~0U);
}

static int child(void *arg)
{
	struct place me = *(struct place *)arg, next = {me.spawner, me.depth + 1};
	char *argv[] = {self, "end", NULL};
	char c;

	shared->last[me.spawner][me.depth] = (pid_t)syscall(SYS_getpid);
	switch (random_below(12)) {
	case 0:
		return 0;
	case 1:
		syscall(SYS_exit, 0);
		break;
	case 2:
		*(volatile int *)8 = 1;
		break;
	case 3:
		syscall(SYS_read, byte[0], &c, 1);
		break;
	case 4:
		syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
		break;
	case 5:
		if (me.depth < 2)
			clone(child, stacks[me.depth + 1] + sizeof stacks[0], CLONE_VM | CLONE_VFORK | SIGCHLD, &next);
		break;
	case 6:
		syscall(SYS_sched_setaffinity, 0, 8, &(unsigned long){1});
		syscall(SYS_setsid);
		break;
	case 7:
		for (unsigned i = 0; i < 2000; i++)
			syscall(SYS_getppid);
		break;
	case 8: /* moves out of its parent's thread */
		clone(waits, stacks[3] + sizeof stacks[0],
		      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, NULL);
		break;
	case 9:
		scribble();
		break;
	case 10:
		pause();
		break;
	default:
		break;
	}
	execv(self, argv);
	return 1;
}

/* A process with one thread: its children run on it. */
static void spawns(unsigned spawner)
{
	struct place me = {spawner, 0};

	seed += spawner * 77;
	alarm(2);
	for (;;) {
		pid_t pid = clone(child, stacks[0] + sizeof stacks[0], CLONE_VM | CLONE_VFORK | SIGCHLD, &me);

		if (pid > 0)
			waitpid(pid, NULL, random_below(2) ? WNOHANG : 0);
	}
}

static void *kills(void *arg)
{
	static const int signals[] = {SIGKILL, SIGSTOP, SIGCONT, SIGUSR1, SIGCONT};

	(void)arg;
	for (;;) {
		pid_t pid = shared->last[random_below(SPAWNERS)][random_below(3)];

		usleep(random_below(400));
		if (pid > 1)
			kill(pid, signals[random_below(5)]);
		if (random_below(4) == 0)
			write(byte[1], "x", 1);
	}
	return NULL;
}

static void *executes(void *arg)
{
	char *argv[] = {self, "end", NULL};

	(void)arg;
	usleep(20000 + random_below(150000));
	execv(self, argv);
	return NULL;
}

static void middle(unsigned round)
{
	pid_t spawner[SPAWNERS];
	pthread_t t;

	seed = round * 7919;
	alarm(2);
	if (pipe(byte) < 0)
		_exit(1);
	for (unsigned i = 0; i < SPAWNERS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			spawns(i);
		spawner[i] = pid;
	}
	pthread_create(&t, NULL, kills, NULL);
	if (round % 3 == 2)
		pthread_create(&t, NULL, executes, NULL);
	for (unsigned i = 0; i < 10; i++) {
		usleep(3000 + random_below(20000));
		if (random_below(4) == 0 && spawner[i % SPAWNERS] > 0)
			kill(spawner[i % SPAWNERS], SIGKILL);
	}
	if (round % 2 == 0)
		kill(getpid(), SIGKILL);
	_exit(0);
}

static void nothing(int sig)
{
	(void)sig;
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = nothing};
	static unsigned made;

	self = argv[0];
	if (argc > 1)
		return 7;
	sigaction(SIGALRM, &act, NULL); /* without SA_RESTART: what is left of a round doesn't hold us up */
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	setup(shared == MAP_FAILED ? -1 : 0);
	setup(prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (unsigned round = 0; round < 45; round++) {
		pid_t pid = fork();

		if (pid == 0) {
			signal(SIGALRM, SIG_DFL);
			middle(round);
		}
		if (pid < 0)
			continue;
		made++;
		setup(waitpid(pid, NULL, 0));
		/* Its children, some of which wait for ever, are ours now. */
		for (int i = 0; i < 100; i++) {
			char path[64];
			FILE *f;
			int child_pid;

			snprintf(path, sizeof path, "/proc/%d/task/%d/children", getpid(), getpid());
			f = fopen(path, "r");
			while (f != NULL && fscanf(f, "%d", &child_pid) == 1)
				kill(child_pid, SIGKILL);
			if (f != NULL)
				fclose(f);
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
			if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
				break;
			usleep(2000);
		}
	}
	/* All goes as ever. */
	for (unsigned i = 0; i < 5; i++) {
		char *args[] = {self, "end", NULL};
		int status;
		pid_t pid = vfork();

		if (pid == 0) {
			execv(self, args);
			_exit(1);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 7 << 8)
			return 3;
	}
	return made > 30 ? 0 : 4;
}
