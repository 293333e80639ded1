/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that masks and ignores all there is still ends with its sandbox. */
#include "payload.h"

PAYLOAD("ignore every signal", "--timeout 2s", "limit wall");

int main(void)
{
	for (int sig = 1; sig < 65; sig++)
		signal(sig, SIG_IGN);
	for (int i = 0; i < 4; i++) {
		if (fork() == 0)
			setsid();
	}
	for (;;)
		syscall(SYS_getppid);
}
