/* SPDX-License-Identifier: Apache-2.0 */
/* As many descriptors as there may be. */
#include "payload.h"

PAYLOAD("open descriptors without end", "", "errno EMFILE");

int main(void)
{
	for (;;) {
		if (open("/dev/null", O_RDONLY) < 0)
			refused(errno);
	}
}
