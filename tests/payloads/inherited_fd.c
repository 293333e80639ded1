/* SPDX-License-Identifier: Apache-2.0 */
/* The command was started with an open descriptor on the secret. */
#include "payload.h"

PAYLOAD("read an inherited descriptor", "", "errno EBADF");

int main(void)
{
	char buf[64];

	must_fail(read(atoi(canary("CANARY_FD")), buf, sizeof(buf)));
}
