/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread makes calls; another writes kinds, lengths, offsets, states, actions and answers into its box meanwhile, as fast as
 * it can. In processes of their own, some at a time, for some seconds: most are soon ended for what they have written (the sentry
 * kills who breaks the protocol), and each that has ended, or has had its turn, is followed by one with other numbers. Nobody
 * else may notice.
 *
 * What a process wrote and called is counted where it doesn't get lost with it: each sort of attacker must have forged while
 * calls were made, else nothing was shown, and that is an end of its own.
 */
#include "gate.h"

#include <stdbool.h>

PAYLOAD("forge the gate's box while calls are made and served", "--timeout 110s", "exit 0");

#define SORTS 24    /* of attackers: by what they write, and where they begin */
#define AT_ONCE 12
#define SECONDS 3   /* in all */
#define TURN 100000 /* microseconds */

static struct tally {
	volatile uint64_t forged, calls;
} *tallies; /* of the process in that place, then of its sort: [AT_ONCE + SORTS] */
static volatile uint64_t victim;

static void *caller(void *arg)
{
	static char buf[70000];
	struct tally *mine = arg;
	int fds[2];

	if (pipe2(fds, O_NONBLOCK) != 0)
		return NULL;
	victim = own_area();
	for (;;) {
		struct pollfd p = {.fd = fds[0], .events = POLLIN};
		void *m;

		(void)!write(fds[1], buf, 5000);
		(void)!write(fds[1], buf, 50000);
		poll(&p, 1, 0);
		(void)!read(fds[0], buf, sizeof(buf));
		getppid();
		m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		munmap(m, 8192);
		mine->calls++;
	}
}

static void attack(unsigned sort, uint64_t x, struct tally *mine)
{
	static const uint16_t fields[] = {
		offsetof(struct gate_box, state),   offsetof(struct gate_box, nr), /* kind and number of segments with it */
		offsetof(struct gate_box, args),    offsetof(struct gate_box, asked),   offsetof(struct gate_box, segs),
		offsetof(struct gate_box, result),  offsetof(struct gate_box, long_nr), offsetof(struct gate_box, pending),
		offsetof(struct gate_box, outs),    offsetof(struct gate_box, known),   offsetof(struct gate_box, bell),
		offsetof(struct gate_box, errand),  offsetof(struct gate_box, futex_seq),
		offsetof(struct gate_box, carried), offsetof(struct gate_box, broken),  offsetof(struct gate_box, pieces)};
	const struct itimerval turn = {{0, 0}, {0, TURN}};
	pthread_t thread;

	if (pthread_create(&thread, NULL, caller, mine) != 0)
		_exit(0);
	/* Not from the beginning of its calls only: each comes a little further before it is written to. */
	while (victim == 0 || mine->calls < (x >> 40) % 8)
		sched_yield();
	setitimer(ITIMER_REAL, &turn, NULL);
	for (;;) {
		volatile char *box = (volatile char *)BOX(victim);
		unsigned field;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		field = fields[(x >> 8) % (sort % 3 == 0 ? 2 : sizeof(fields) / sizeof(fields[0]))];
		if (sort % 2 == 0)
			*(volatile uint32_t *)(box + field) = (uint32_t)(x >> 32) & 7;
		else if (field >= offsetof(struct gate_box, segs))
			*(volatile uint64_t *)(box + (field & ~7U) + (x >> 20) % 96 / 8 * 8) = x;
		else
			*(volatile uint32_t *)(box + field) = (uint32_t)(x >> 32) & ((x & 1) ? 7 : ~0U);
		mine->forged++;
	}
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Adds what the process in place i did to its sort's. */
static void count(unsigned i, unsigned sort)
{
	tallies[AT_ONCE + sort].forged += tallies[i].forged;
	tallies[AT_ONCE + sort].calls += tallies[i].calls;
}

/* How many sorts have forged, and called. */
static unsigned sorts_shown(void)
{
	unsigned n = 0;

	for (unsigned i = AT_ONCE; i < AT_ONCE + SORTS; i++)
		n += tallies[i].forged != 0 && tallies[i].calls != 0;
	return n;
}

int main(void)
{
	pid_t pids[AT_ONCE] = {0};
	unsigned sorts[AT_ONCE] = {0}, begun = 0, killed = 0, timed = 0;
	uint64_t end, forged = 0, calls = 0;
	bool harmed = false;

	warm_up();
	if (own_area() == 0)
		return 0;
	tallies = mmap(NULL, (AT_ONCE + SORTS) * sizeof(*tallies), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tallies == MAP_FAILED)
		return 99;
	honest_begin();
	/* Some at once: one whose shim runs in circles is ended only when it doesn't come in time. */
	end = now_ms() + SECONDS * 1000;
	/* On a machine so busy that not all have had a turn it takes longer; the sandbox's own limit is the end then. */
	while (!harmed && (now_ms() < end || sorts_shown() < SORTS)) {
		unsigned i = 0;
		int status;
		pid_t pid;

		while (i < AT_ONCE && pids[i] != 0)
			i++;
		if (i < AT_ONCE) {
			sorts[i] = begun % SORTS;
			memset(&tallies[i], 0, sizeof(tallies[i]));
			pids[i] = (pid_t)setup(fork());
			if (pids[i] == 0)
				attack(sorts[i], (begun + 1) * 0x9e3779b97f4a7c15UL, &tallies[i]);
			begun++;
			continue;
		}
		pid = wait(&status);
		harmed = pid == honest_pid;
		killed += WIFSIGNALED(status) && WTERMSIG(status) != SIGALRM;
		timed += WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
		for (i = 0; i < AT_ONCE; i++)
			if (pids[i] == pid) {
				count(i, sorts[i]);
				pids[i] = 0;
			}
	}
	for (unsigned i = 0; i < AT_ONCE; i++) {
		if (pids[i] == 0)
			continue;
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
		count(i, sorts[i]);
	}
	/* Only now: attackers may write to our output, too. */
	if (harmed)
		escaped("the honest process was harmed");
	honest_end();
	for (unsigned i = AT_ONCE; i < AT_ONCE + SORTS; i++) {
		printf("sort %u: %lu forged, %lu rounds of calls\n", i - AT_ONCE, tallies[i].forged, tallies[i].calls);
		forged += tallies[i].forged;
		calls += tallies[i].calls;
	}
	printf("%u attackers, %u were ended and %u had their turn: %lu forged, %lu rounds of calls\n", begun, killed, timed, forged, calls);
	return 0;
}
