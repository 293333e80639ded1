/* SPDX-License-Identifier: Apache-2.0 */
/* Lengths whose sum wraps. */
#include "payload.h"

PAYLOAD("overflow an iovec's sum", "", "errno EINVAL");

#include <sys/uio.h>
int main(void)
{
	char c;
	struct iovec v[3] = {{&c, 1}, {&c, SIZE_MAX}, {&c, 2}};

	must_fail(writev(1, v, 3));
}
