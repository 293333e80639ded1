/* SPDX-License-Identifier: Apache-2.0 */
/* A new filesystem could cover any path, or reach a device. */
#include "payload.h"
#include <sys/mount.h>

PAYLOAD("mount a tmpfs", "", "errno EPERM");

int main(void)
{
	must_fail(mount("none", "/mnt", "tmpfs", 0, NULL));
}
