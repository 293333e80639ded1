/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that the sentry doesn't know. A thread says in its mailbox that its call makes a thread, and does what it is told for that,
 * up to the clone; that it makes with a stack that leads back here, with other flags or registers, from another place, without being
 * told to, or several times, and tells that it has failed. Its process lives on, so whoever runs in it then is counted by nobody.
 * Last, one whose birth is told as it was, and who never arrives: the call that made it must come to an end.
 */
#include "births.h"

PAYLOAD("have threads born that --pids doesn't count", "--pids 16 --timeout 110s", "exit 0");

#define THREADS 1024
#define EACH 4 /* births an attacker tries */
#define THREAD_FLAGS 0x50f00UL
#define VFORK_FLAGS 0x8111UL

static struct shared {
	volatile uint64_t alive[THREADS];
	volatile bool back[STUB_CALLS];
	volatile unsigned born, told;
	volatile bool settled;   /* the attacker has done what it can, and lives */
	volatile int64_t answer;
} *shared;

enum attack {
	OTHER_PLACE, /* each of the stub's calls that leads back */
	AS_IT_SHOULD,
	TWICE,
	A_PROCESS,
	NO_THREAD,
	OWN_TABLE,
	OWN_STACK,
	NO_REGISTERS,
	ONE_REGISTER,
	NO_TOKEN,
	UNTOLD, /* in guest code, as far as the sentry knows */
	ATTACKS,
};

/* No call from here on. */
static void ghost(void)
{
	unsigned which = __atomic_fetch_add(&shared->born, 1, __ATOMIC_SEQ_CST);

	for (;;)
		shared->alive[which % THREADS]++;
}

/* Does what the stub does until it is to clone. False: it isn't. */
static bool is_told_to_clone(void)
{
	volatile struct mailbox *m = MAILBOX(area);
	int64_t action;

	m->reason = SIGSYS;
	m->regs[13] = SYS_clone;
	m->regs[8] = THREAD_FLAGS;
	m->regs[9] = (uint64_t)&stack[512];
	action = say(STUB_TRAP, 0);
	while (action == STUB_RUN || action == STUB_RUN_CLOSE || action == STUB_CALL) {
		int64_t err = 0;
		uint64_t n = m->ncmds;

		for (uint64_t i = 0; action != STUB_CALL && i < n && i < STUB_MAX_CMDS; i++) {
			struct stub_cmd c = *(const struct stub_cmd *)&m->cmds[i];
			int64_t ret = stub_makes6(nobodys, works, (uint64_t)c.nr, c.args);

			if (ret < 0 && ret > -4096 && c.nr != SYS_close && c.nr != SYS_madvise)
				err = ret;
		}
		m->result = (uint64_t)err;
		if (action == STUB_RUN_CLOSE)
			action = BOX(area)->result;
		else if (action == STUB_CALL)
			action = stub_makes(nobodys, works, SYS_getppid, STUB_MAGIC, STUB_DONE, 0, 0);
		else
			action = say(STUB_DONE, (int64_t)n);
	}
	return action == STUB_CLONE;
}

static int64_t clone_from(uint64_t ip, uint64_t flags, uint64_t area_of, uint64_t sp, uint64_t token, uint64_t r10, uint64_t r8)
{
	uint64_t *top = (uint64_t *)(sp != 0 ? sp : area_of + AREA_SIZE - 4096);

	/* Where the child returns to, whatever the stub takes from there before. */
	for (int i = 0; i < 64; i++)
		top[i] = (uint64_t)ghost;
	return stub_makes6(nobodys, ip, SYS_clone, (const uint64_t[6]){flags, (uint64_t)top, token, r10, r8, 0});
}

static uint64_t other_stack[1024];

static bool birth(enum attack attack, uint64_t ip, int64_t tell)
{
	uint64_t place = STUB_CLONE_IP - 2, flags = THREAD_FLAGS, sp = 0, r10 = STUB_BIRTH, r8 = ~STUB_BIRTH, new_area, token;
	int64_t ret;

	if (attack == UNTOLD) {
		new_area = area;
		token = MAILBOX(area)->token;
		sp = (uint64_t)&other_stack[512];
	} else {
		if (!is_told_to_clone())
			return false;
		new_area = MAILBOX(area)->clone_area;
		token = MAILBOX(new_area)->token;
	}
	switch (attack) {
	case OTHER_PLACE:
		place = ip;
		break;
	case A_PROCESS:
		flags = VFORK_FLAGS;
		break;
	case NO_THREAD:
		flags = THREAD_FLAGS & ~0x10000UL;
		break;
	case OWN_TABLE:
		flags = THREAD_FLAGS & ~0x400UL;
		break;
	case OWN_STACK:
		sp = (uint64_t)&other_stack[512];
		break;
	case NO_REGISTERS:
		r10 = r8 = 0;
		break;
	case ONE_REGISTER:
		r8 = 0;
		break;
	case NO_TOKEN:
		token++;
		break;
	default:
		break;
	}
	ret = clone_from(place, flags, new_area, sp, token, r10, r8);
	if (attack == TWICE)
		(void)clone_from(place, flags, new_area, sp, token, r10, r8);
	if (attack == UNTOLD)
		return ret > 0;
	say(STUB_CLONED, tell == 0 ? ret : tell);
	shared->answer = (int64_t)MAILBOX(area)->regs[13];
	shared->told++;
	return true;
}

static void attacked_by(enum attack attack, uint64_t ip)
{
	pid_t pid;
	unsigned left;

	shared->settled = false;
	pid = fork();
	if (pid == 0) {
		area = own_area();
		for (unsigned i = 0; i < EACH && birth(attack, ip, -EAGAIN); i++)
			continue;
		shared->settled = true;
		for (;;)
			pause();
	}
	if (pid < 0)
		return;
	while (!shared->settled && waitpid(pid, NULL, WNOHANG) == 0)
		usleep(1000);
	left = still_counting(shared->alive, THREADS, 30);
	if (left != 0)
		escaped("%u threads run that nobody has (%d)", left, (int)attack);
	if (kill(pid, SIGKILL) == 0)
		waitpid(pid, NULL, 0);
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
	for (unsigned i = 0; i < n; i++)
		if (shared->back[i])
			attacked_by(OTHER_PLACE, calls[i]);
	for (enum attack attack = AS_IT_SHOULD; attack < ATTACKS; attack++)
		attacked_by(attack, 0);
	printf("%u born, %u told of as failed\n", shared->born, shared->told);
	fflush(stdout);
	/* Told of, introduced, and never there. */
	shared->born = 0;
	pid = fork();
	if (pid == 0) {
		area = own_area();
		birth(AS_IT_SHOULD, 0, 0);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	printf("one that never came: %u ran, %ld\n", shared->born, (long)shared->answer);
	left = still_counting(shared->alive, THREADS, 30);
	if (left != 0)
		escaped("%u of them runs that nobody has", left);
	return 0;
}
