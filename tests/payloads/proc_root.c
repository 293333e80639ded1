/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/self/root is the sandbox's own root. */
#include "payload.h"

PAYLOAD("reach a hidden file by /proc/self/root", "", "errno ENOENT");

int main(void)
{
	char path[512];

	snprintf(path, sizeof(path), "/proc/self/root/../..%s", canary("CANARY_SECRET"));
	must_fail(open(path, O_RDONLY));
}
