/* SPDX-License-Identifier: Apache-2.0 */
/* One parent, as many children as there may be. */
#include "payload.h"

PAYLOAD("have more processes than allowed", "--pids 20", "errno EAGAIN");

int main(void)
{
	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (pid < 0)
			refused(errno);
		if (pid == 0) {
			pause();
			_exit(0);
		}
	}
	escaped("100 processes were made with --pids 20");
}
