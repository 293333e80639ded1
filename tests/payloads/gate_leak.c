/* SPDX-License-Identifier: Apache-2.0 */
/* What went through a mailbox must not be found by another user's process: root's child gives its rights up and searches all of
 * the stub region. */
#include "gate.h"

PAYLOAD("find another process's bytes in the mailboxes", "--timeout 60s", "exit 0");

static char text[64];
static int null;

int main(void)
{
	pid_t pid;
	int status, fds[2];

	warm_up();
	null = (int)setup(open("/dev/null", O_RDWR));
	setup(pipe(fds));
	pid = (pid_t)setup(fork());
	if (pid == 0) {
		uint64_t found = 0;
		char c;

		setup(read(fds[0], &c, 1)); /* the secret has gone through the parent's box by now */
		(void)!setgid(12345);
		(void)!setuid(12345);
		for (uint64_t at = STUB_AREAS; at < STUB_AREAS + 4 * AREA_SIZE; at += 4096) {
			unsigned char present;
			static const char front[] = "the parent's secret";

			/* Unreadable pages are passed over: pipes take no bytes from there. */
			if (mincore((void *)at, 4096, &present) != 0 && errno == ENOMEM)
				continue;
			if (own_area() == 0 || at < own_area() || at >= own_area() + AREA_SIZE)
				continue;
			found += memmem((void *)at, 4096, front, sizeof(front) - 1) != NULL;
		}
		_exit(found != 0);
	}
	snprintf(text, sizeof(text), "the parent's %s", "secret");
	for (int i = 0; i < 100; i++)
		setup(write(null, text, sizeof(text)));
	setup(write(fds[1], "x", 1));
	setup(waitpid(pid, &status, 0));
	if (status != 0)
		escaped("the secret was found (%#x)", (unsigned)status);
	return 0;
}
