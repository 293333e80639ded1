/* SPDX-License-Identifier: Apache-2.0 */
/* Real-time signals queue, up to a limit. */
#include "payload.h"

PAYLOAD("queue signals without end", "", "errno EAGAIN");

int main(void)
{
	union sigval v = {.sival_int = 1};
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 4000000; i++) {
		if (sigqueue(getpid(), SIGRTMIN, v) < 0)
			refused(errno);
	}
	escaped("four million signals were queued");
}
