/* SPDX-License-Identifier: Apache-2.0 */
/* A component of 4,000 bytes. */
#include "payload.h"

PAYLOAD("open a name longer than NAME_MAX", "", "errno ENAMETOOLONG");

int main(void)
{
	static char name[4001];

	memset(name, 'a', 4000);
	must_fail(open(name, O_RDONLY));
}
