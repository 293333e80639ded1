/* SPDX-License-Identifier: Apache-2.0 */
/* The link's text is free; where it leads is not. */
#include "payload.h"

PAYLOAD("reach a hidden file by a symbolic link", "", "errno ENOENT");

int main(void)
{
	setup(symlink(canary("CANARY_SECRET"), "/tmp/link-to-secret"));
	must_fail(open("/tmp/link-to-secret", O_RDONLY));
}
