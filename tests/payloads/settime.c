/* SPDX-License-Identifier: Apache-2.0 */
/* The host's clock. */
#include "payload.h"
#include <time.h>

PAYLOAD("set the host's clock", "", "errno EPERM");

int main(void)
{
	struct timespec ts = {1000000000, 0};

	must_fail(clock_settime(CLOCK_REALTIME, &ts));
}
