/* SPDX-License-Identifier: Apache-2.0 */
/* Own text, rewritten under the sentry's hands: made writable, changed, unmapped with its trampolines, mapped over, moved, while
 * another thread calls from it. In a child each; the file's other users must not see any of it. */
#include "gate.h"

PAYLOAD("rewrite the rewritten text", "--timeout 110s", "exit 0");

extern char __executable_start[], etext[];

static void *caller(void *arg)
{
	char c;

	(void)arg;
	for (;;) {
		getppid();
		(void)!read(-1, &c, 1);
	}
	return NULL;
}

static void attack(unsigned what)
{
	uint64_t text = ((uint64_t)attack & ~4095UL), end = (uint64_t)etext & ~4095UL;
	pthread_t thread;

	alarm(1);
	if (pthread_create(&thread, NULL, caller, NULL) != 0)
		_exit(0);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t at = text + (what * 7919UL + i * 104729UL) % (end - text);
		uint64_t region = (uint64_t)__executable_start + (i & 1 ? 0x3d4000UL : 0x13d4000UL) + i * 4096UL;

		switch (what % 6) {
		case 0:
			mprotect((void *)(at & ~4095UL), 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
			break;
		case 1:
			if (mprotect((void *)(at & ~4095UL), 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0)
				*(volatile unsigned char *)at = 0xe9;
			break;
		case 2:
			munmap((void *)(region & ~4095UL), 65536);
			break;
		case 3:
			mmap((void *)(region & ~4095UL), 65536, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			break;
		case 4:
			mprotect((void *)(region & ~4095UL), 65536, PROT_READ | PROT_WRITE | PROT_EXEC);
			break;
		default:
			mremap((void *)(at & ~4095UL), 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x700000000000UL);
			break;
		}
	}
	_exit(0);
}

int main(void)
{
	warm_up();
	honest_begin();
	for (unsigned what = 0; what < 120; what++) {
		pid_t pid = fork();

		if (pid == 0)
			attack(what);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	honest_end();
	return 0;
}
