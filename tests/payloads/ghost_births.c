/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that the sentry doesn't know. A thread says in its mailbox that its call is a fork, makes the stub's clone with a stack
 * that leads back here, and tells that it has failed: whoever runs then is counted by nobody. From each of the stub's call
 * instructions; by a clone that is the trap's report, and by one that was commanded. The children spin on shared memory, or end at
 * once. Last, one whose birth is told as it was, and who never arrives: the call that made it must come to an end.
 */
#include "births.h"

PAYLOAD("have processes born that --pids doesn't count", "--pids 16 --timeout 110s", "exit 0");

#define BIRTHS 1024
#define EACH 8 /* births an attacker tries */

static struct shared {
	volatile uint64_t alive[BIRTHS];
	volatile unsigned born, ended;
	volatile bool back[STUB_CALLS];
	volatile unsigned told;  /* forks that were answered with an error */
	volatile int64_t answer;
} *shared;

static void would_call(long nr)
{
	MAILBOX(area)->reason = SIGSYS;
	MAILBOX(area)->regs[13] = (uint64_t)nr;
	MAILBOX(area)->regs[8] = MAILBOX(area)->regs[9] = 0;
}

/* No call from here on. */
static void spin(unsigned which)
{
	for (;;)
		shared->alive[which % BIRTHS]++;
}

enum attack { HELD, COMMANDED, HELD_ENDS, ATTACKS };

/* What is made of one fork. child: what it does. False: it wasn't to be. */
static bool birth(uint64_t ip, enum attack attack, int64_t tell)
{
	unsigned which = __atomic_fetch_add(&shared->born, 1, __ATOMIC_SEQ_CST);
	uint64_t token = MAILBOX(area)->fork_token;
	int64_t pid;

	would_call(SYS_fork);
	if (attack == COMMANDED) {
		if (say(STUB_TRAP, 0) != STUB_FORK)
			return false;
		token = MAILBOX(area)->token;
	}
	pid = stub_makes(nobodys, ip, SYS_clone, 0x8011, 0, STUB_BIRTH != 0 ? token : 0, STUB_BIRTH);
	if (pid == 0 && attack == HELD_ENDS)
		for (;;)
			stub_makes(nobodys, works, SYS_exit_group, 0, 0, 0, 0);
	if (pid == 0) {
		/* The truth is told: it introduces itself, if it has not yet, and no more. */
		if (tell == 0 && ip != STUB_CLONE_IP - 2)
			stub_makes(nobodys, works, SYS_prctl, 1, 9, token, 0);
		spin(which);
	}
	if (pid < 0)
		return false;
	say(STUB_CLONED, tell == 0 ? pid : tell);
	shared->answer = (int64_t)MAILBOX(area)->regs[13];
	shared->told += shared->answer < 0;
	return true;
}

static void attacker(uint64_t ip, enum attack attack)
{
	area = own_area();
	end_soon();
	for (unsigned i = 0; i < EACH && birth(ip, attack, -EAGAIN); i++)
		continue;
	_exit(0);
}

int main(void)
{
	uint64_t calls[STUB_CALLS];
	unsigned n = stub_calls(calls), left;
	pid_t pid;

	area = own_area();
	if (area == 0)
		return 0;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 99;
	/* Behind the others a clone's parent is lost in the stub for a minute. */
	find_calls_that_lead_back(calls, n, shared->back);
	if (works == 0)
		return 98;
	for (unsigned i = 0; i < n; i++) {
		for (enum attack attack = 0; attack < ATTACKS && shared->back[i]; attack++) {
			pid = fork();
			if (pid == 0)
				attacker(calls[i], attack);
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
	}
	left = still_counting(shared->alive, BIRTHS, 6);
	printf("%u tried, %u told of as failed, %u run\n", shared->born, shared->told, left);
	fflush(stdout);
	if (left != 0)
		escaped("%u processes run that nobody has", left);
	/* Told of, introduced, and never there. */
	shared->answer = 0;
	pid = fork();
	if (pid == 0) {
		area = own_area();
		birth(STUB_CLONE_IP != 0 ? STUB_CLONE_IP - 2 : works, MAILBOX(area)->fork_token != 0 ? HELD : COMMANDED, 0);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	printf("one that never came: %ld\n", (long)shared->answer);
	left = still_counting(shared->alive, BIRTHS, 6);
	if (left != 0)
		escaped("%u of them runs that nobody has", left);
	return 0;
}
