/* SPDX-License-Identifier: Apache-2.0 */
/* Every process makes two more. */
#include "payload.h"

PAYLOAD("fork without end", "--pids 50 --timeout 30s", "limit pids or limit wall");

int main(void)
{
	for (int i = 0; i < 2000; i++)
		fork();
	return 0;
}
