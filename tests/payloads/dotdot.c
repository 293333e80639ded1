/* SPDX-License-Identifier: Apache-2.0 */
/* More .. than any path has parts. */
#include "payload.h"

PAYLOAD("climb out by ..", "", "errno ENOENT");

int main(void)
{
	char path[8192] = "";

	for (int i = 0; i < 500; i++)
		strcat(path, "../");
	strcat(path, canary("CANARY_SECRET") + 1);
	must_fail(open(path, O_RDONLY));
}
