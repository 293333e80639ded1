/* SPDX-License-Identifier: Apache-2.0 */
/* The host's swap. */
#include "payload.h"
#include <sys/swap.h>

PAYLOAD("add swap", "", "errno EPERM");

int main(void)
{
	must_fail(swapon("/tmp/x", 0));
}
