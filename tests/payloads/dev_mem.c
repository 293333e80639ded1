/* SPDX-License-Identifier: Apache-2.0 */
/* Physical memory. */
#include "payload.h"

PAYLOAD("open /dev/mem", "", "errno ENOENT");

int main(void)
{
	must_fail(open("/dev/mem", O_RDWR));
}
