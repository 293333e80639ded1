/* SPDX-License-Identifier: Apache-2.0 */
/* A descriptor of the sentry's by /proc. */
#include "payload.h"

PAYLOAD("open the sentry's descriptors by /proc/self/fd", "", "errno ENOENT");

int main(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%s", canary("CANARY_FD"));
	must_fail(open(path, O_RDWR));
}
