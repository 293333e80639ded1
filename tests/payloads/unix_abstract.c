/* SPDX-License-Identifier: Apache-2.0 */
/* Abstract names belong to a network namespace: ours is our own. */
#include "payload.h"
#include <stddef.h>

PAYLOAD("reach an abstract unix socket of the host", "", "errno ECONNREFUSED");

int main(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *name = canary("CANARY_ABSTRACT");
	int fd = (int)setup(socket(AF_UNIX, SOCK_STREAM, 0));

	memcpy(a.sun_path + 1, name, strlen(name));
	must_fail(connect(fd, (struct sockaddr *)&a,
			  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))));
}
