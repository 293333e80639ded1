/* SPDX-License-Identifier: Apache-2.0 */
/* Two links that point at each other. */
#include "payload.h"

PAYLOAD("walk a loop of symbolic links", "", "errno ELOOP");

int main(void)
{
	setup(symlink("/tmp/loop-b", "/tmp/loop-a"));
	setup(symlink("/tmp/loop-a", "/tmp/loop-b"));
	must_fail(open("/tmp/loop-a", O_RDONLY));
}
