/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers no table has. */
#include "payload.h"

PAYLOAD("call numbers outside the table", "", "errno ENOSYS");

int main(void)
{
	static const long numbers[] = {337, 400, 423, 600, 1023, 65535, 0x7fffffff, -1, -2};

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		long r = syscall(numbers[i], 0, 0, 0, 0, 0, 0);

		if (r != -1)
			escaped("call %ld gave %ld", numbers[i], r);
		if (errno != ENOSYS)
			refused(errno);
	}
	refused(ENOSYS);
}
