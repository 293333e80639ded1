/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sentrybox-core: one program, executed anew for each role with a cleared environment. It is never run by hand: the command
 * `sentrybox` starts the monitor, the monitor the sentry and the gofer.
 */
#include "runtime/core/control_protocol.h"
#include "runtime/core/exec_host.h"

#include <stdio.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
/* Leaks are looked for at exit, in /proc; Landlock doesn't let a sealed role look there. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

int main(int argc, char **argv)
{
	const char *role = argc == 2 ? argv[1] : "";

	if (strcmp(role, "monitor") == 0)
		return monitor_main();
	if (strcmp(role, "sentry") == 0)
		return sentry_main();
	if (strcmp(role, "gofer") == 0)
		return gofer_main();
	if (strcmp(role, "container") == 0)
		return container_host_main();
	if (strcmp(role, "exec") == 0 || strcmp(role, "exec-init") == 0)
		return exec_host_main(role[4] != '\0');
	fprintf(stderr, "sentrybox-core is started by sentrybox; see `sentrybox --help`\n");
	return 125;
}
