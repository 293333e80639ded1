/* SPDX-License-Identifier: Apache-2.0 */
/* One argument longer than a page allows. */
#include "payload.h"

PAYLOAD("pass one enormous argument", "", "errno E2BIG");

int main(void)
{
	static char big[1 << 20];
	char *argv[] = {"true", big, NULL};

	memset(big, 'a', sizeof(big) - 1);
	must_fail(execv("/bin/true", argv));
}
