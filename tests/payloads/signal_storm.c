/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers that send signals while they run. */
#include "payload.h"

PAYLOAD("drown in signals", "--timeout 60s", "exit 0");

static volatile sig_atomic_t count;

static void on_signal(int sig)
{
	count++;
	if (count < 20000)
		raise(sig == SIGUSR1 ? SIGUSR2 : SIGUSR1);
}

int main(void)
{
	pid_t parent = getpid(), child;

	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	child = fork();
	if (child == 0) {
		for (int i = 0; i < 5000; i++)
			kill(parent, SIGUSR1);
		_exit(0);
	}
	raise(SIGUSR1);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return count == 0;
}
