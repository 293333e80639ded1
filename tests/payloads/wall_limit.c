/* SPDX-License-Identifier: Apache-2.0 */
/* A loop that never makes a call: nothing but the clock outside can end it. */
#include "payload.h"

PAYLOAD("run for ever without a call", "--timeout 2s", "limit wall");

int main(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (volatile unsigned long i = 0;; i++)
		;
}
