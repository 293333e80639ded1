/* SPDX-License-Identifier: Apache-2.0 */
/* A bind mount moves files to where no rule looks. */
#include "payload.h"
#include <sys/mount.h>

PAYLOAD("bind-mount / elsewhere", "", "errno EPERM");

int main(void)
{
	must_fail(mount("/", "/mnt", NULL, MS_BIND, NULL));
}
