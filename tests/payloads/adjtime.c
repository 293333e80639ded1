/* SPDX-License-Identifier: Apache-2.0 */
/* The host's clock, softly. */
#include "payload.h"

PAYLOAD("slew the host's clock", "", "errno EPERM");

int main(void)
{
	uint64_t tx[64] = {1};

	must_fail(syscall(SYS_adjtimex, tx));
}
