/* SPDX-License-Identifier: Apache-2.0 */
/* Every page above the guest's end that can be written is written full of rubbish (forged requests), in a child. */
#include "payload.h"

PAYLOAD("forge the stub's state", "--timeout 100s", "exit 0");

static void scribble(uint64_t at, unsigned char with)
{
	signal(SIGSEGV, SIG_DFL);
	alarm(1);
	memset((void *)at, with, 4096);
	for (int i = 0; i < 100; i++)
		getppid();
	_exit(0);
}

int main(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");

	(void)maps;
	for (unsigned with = 0; with < 256; with += 51) {
		for (uint64_t at = STUB_BASE; at < STUB_BASE + 0x80000; at += 4096) {
			pid_t pid = fork();

			if (pid == 0)
				scribble(at, (unsigned char)with);
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
	}
	return 0;
}
