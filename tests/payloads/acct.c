/* SPDX-License-Identifier: Apache-2.0 */
/* Process accounting writes a host file of its choice. */
#include "payload.h"

PAYLOAD("turn on process accounting", "", "errno EPERM");

int main(void)
{
	must_fail(acct("/tmp/x"));
}
