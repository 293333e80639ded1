/* SPDX-License-Identifier: Apache-2.0 */
/* Checked from outside too: the host's name must stay. */
#include "payload.h"

PAYLOAD("rename the host", "", "errno EPERM");

int main(void)
{
	must_fail(sethostname("taken-over", 10));
}
