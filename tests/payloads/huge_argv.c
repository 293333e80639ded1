/* SPDX-License-Identifier: Apache-2.0 */
/* More arguments than the stack limit's quarter. */
#include "payload.h"

PAYLOAD("pass arguments without end", "", "errno E2BIG");

int main(void)
{
	static char big[131072];
	char *argv[200];

	memset(big, 'a', sizeof(big) - 1);
	for (int i = 0; i < 199; i++)
		argv[i] = big;
	argv[199] = NULL;
	must_fail(execv("/bin/true", argv));
}
