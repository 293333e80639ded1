/* SPDX-License-Identifier: Apache-2.0 */
/* A second, less watched way to make calls. */
#include "payload.h"

PAYLOAD("set up an io_uring", "", "errno EPERM");

int main(void)
{
	char params[256] = {0};

	must_fail(syscall(SYS_io_uring_setup, 8, params));
}
