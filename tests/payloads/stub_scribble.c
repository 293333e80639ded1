/* SPDX-License-Identifier: Apache-2.0 */
/* Every page above the guest's end that can be written is written full of rubbish (forged requests), in a child. */
#include "payload.h"

PAYLOAD("forge the stub's state", "--timeout 100s", "exit 0");

static void scribble(uint64_t at, unsigned char with)
{
	signal(SIGSEGV, SIG_DFL);
	alarm(1);
	for (unsigned i = 0; i < 4096; i++) /* rubbish, or a page of small numbers: states, actions, counts */
		((volatile unsigned char *)at)[i] = with != 0 ? with : (unsigned char)(i % 8 == 0 ? i / 8 % 7 : 0);
	for (int i = 0; i < 100; i++)
		getppid();
	_exit(0);
}

int main(void)
{
	for (unsigned with = 0; with < 256; with += 51) {
		for (uint64_t at = STUB_BASE; at < STUB_BASE + 0x300000; at += 4096) {
			pid_t pid;

			if (at == STUB_BASE + 0x60000)
				at = STUB_BASE + 0x100000; /* the areas: mailboxes and alternate stacks */
			pid = fork();

			if (pid == 0)
				scribble(at, (unsigned char)with);
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
	}
	return 0;
}
