/* SPDX-License-Identifier: Apache-2.0 */
/* Watches whole filesystems. */
#include "payload.h"

PAYLOAD("watch the filesystem by fanotify", "", "errno EPERM");

int main(void)
{
	must_fail(syscall(SYS_fanotify_init, 0, 0));
}
