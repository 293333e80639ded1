/* SPDX-License-Identifier: Apache-2.0 */
/* For payloads against the gate: where a thread's box is, the stub's call instructions, and an honest process beside. */
#ifndef PAYLOAD_GATE_H
#define PAYLOAD_GATE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../../sentry/platform/stub/abi.h" /* before the system's: they make macros of some of its names */

#include "payload.h"

#include <stddef.h>

#include <poll.h>
#include <sys/time.h>

/* A child that may hang ends soon. */
__attribute__((unused)) static void end_soon(void)
{
	const struct itimerval soon = {{0, 0}, {0, 50000}};

	setitimer(ITIMER_REAL, &soon, NULL);
}

/* 0: the gate is off. */
__attribute__((unused)) static uint64_t own_area(void)
{
	uint64_t gs;

	__asm__ volatile("rdgsbase %0" : "=r"(gs));
	return gs >= STUB_AREAS ? gs - AREA_LOCAL : 0;
}

#define MAILBOX(area) ((volatile struct mailbox *)(area))
#define BOX(area) ((volatile struct gate_box *)((area) + GATE_BOX))

/* Enough calls from each site that it is rewritten, if it ever is. */
__attribute__((unused)) static void warm_up(void)
{
	int fds[2];
	char c = 'x';
	struct pollfd p = {.events = POLLIN};

	setup(pipe(fds));
	p.fd = fds[0];
	for (int i = 0; i < 300; i++) {
		setup(write(fds[1], &c, 1));
		setup(poll(&p, 1, 0));
		setup(read(fds[0], &c, 1));
		setup(getppid());
		munmap(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
	}
	close(fds[0]);
	close(fds[1]);
}

#define STUB_CALLS 64
/* The stub's own syscall instructions. */
__attribute__((unused)) static unsigned stub_calls(uint64_t at[STUB_CALLS])
{
	const volatile unsigned char *text = (const volatile unsigned char *)STUB_BASE;
	unsigned n = 0;

	for (unsigned i = 0; i + 1 < STUB_SIZE && n < STUB_CALLS; i++)
		if (text[i] == 0x0f && text[i + 1] == 0x05)
			at[n++] = STUB_BASE + i;
	return n;
}

/* ---- somebody in the same sandbox who does nothing wrong ---- */

static pid_t honest_pid;
static volatile sig_atomic_t honest_ends;

static void honest_stop(int sig)
{
	(void)sig;
	honest_ends = 1;
}

__attribute__((unused)) static void honest_begin(void)
{
	int fds[2];

	honest_pid = (pid_t)setup(fork());
	if (honest_pid != 0)
		return;
	signal(SIGTERM, honest_stop);
	setup(pipe(fds));
	for (uint64_t n = 1; !honest_ends; n++) {
		uint64_t got = 0;
		char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED || write(fds[1], &n, sizeof(n)) != sizeof(n) || read(fds[0], p, sizeof(n)) != sizeof(n))
			_exit(2);
		memcpy(&got, p, sizeof(got));
		if (got != n || munmap(p, 4096) != 0 || getpid() <= 0)
			_exit(3);
	}
	_exit(0);
}

__attribute__((unused)) static void honest_end(void)
{
	int status = -1;

	kill(honest_pid, SIGTERM);
	if (waitpid(honest_pid, &status, 0) != honest_pid || status != 0)
		escaped("the honest process was harmed: %#x", (unsigned)status);
}

/* Each attack in a process of its own, one after the other; attack is told which it is, and its area. */
__attribute__((unused)) static void attack_each(unsigned n, void (*attack)(unsigned, uint64_t))
{
	for (unsigned what = 0; what < n; what++) {
		pid_t pid = fork();

		if (pid == 0)
			attack(what, own_area());
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
}
#endif
