/* SPDX-License-Identifier: Apache-2.0 */
/* The same for its sibling. */
#include "payload.h"

PAYLOAD("call past the filter by uprobe", "", "signal SIGILL or errno ENOSYS or errno ENXIO");

int main(void)
{
	must_fail(syscall(336));
}
