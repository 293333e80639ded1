/* SPDX-License-Identifier: Apache-2.0 */
/* kill(-1, SIGKILL): everything inside may go, nothing outside. */
#include "payload.h"

PAYLOAD("kill every process", "", "exit 0");

int main(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setpgid(0, 0);
		kill(-1, SIGKILL); /* all but init, and ourselves */
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return 0;
}
