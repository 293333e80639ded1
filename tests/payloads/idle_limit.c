/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeping for ever. */
#include "payload.h"

PAYLOAD("do nothing for ever", "--idle-timeout 2s", "limit idle");

int main(void)
{
	for (;;)
		pause();
}
