/* SPDX-License-Identifier: Apache-2.0 */
/* Ten thousand levels, made and removed: nothing recurses over them. */
#include "payload.h"

PAYLOAD("nest directories ten thousand deep", "--timeout 90s", "exit 0");

int main(void)
{
	setup(chdir("/tmp"));
	for (int i = 0; i < 10000; i++) {
		setup(mkdir("d", 0755));
		setup(chdir("d"));
	}
	/* The name is far beyond PATH_MAX now: getcwd must say so and no more. */
	char buf[4096];
	if (getcwd(buf, sizeof(buf)) != NULL)
		escaped("getcwd gave a name of %zu bytes", strlen(buf));
	for (int i = 0; i < 10000; i++) {
		setup(chdir(".."));
		setup(rmdir("d"));
	}
	return 0;
}
