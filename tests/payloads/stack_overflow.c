/* SPDX-License-Identifier: Apache-2.0 */
/* The stack runs into its guard. */
#include "payload.h"

PAYLOAD("run over the stack", "", "signal SIGSEGV");

static int deeper(volatile char *p)
{
	volatile char here[4096];

	if (p == NULL)
		return 0;
	here[0] = p[0];
	return deeper(here) + here[0];
}

int main(void)
{
	volatile char c = 1;

	return deeper(&c);
}
