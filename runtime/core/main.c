/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sentrybox-core: one program, executed anew for each role with a cleared environment. It is never run by hand: the command
 * `sentrybox` starts the monitor, the monitor the sentry and the gofer.
 */
#include "runtime/config.h"
#include "runtime/core/control_protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

const struct config *core_config(void)
{
	struct stat st;
	const struct config *c;
	const char *wrong;

	if (fstat(CONFIG_FD, &st) < 0 || st.st_size != (off_t)sizeof(struct config)) {
		fprintf(stderr, "sentrybox-core: descriptor 3 holds no configuration; run `sentrybox do` instead\n");
		exit(125);
	}
	c = mmap(NULL, sizeof(*c), PROT_READ, MAP_SHARED, CONFIG_FD, 0);
	if (c == MAP_FAILED) {
		perror("sentrybox-core: mapping the configuration");
		exit(125);
	}
	wrong = config_check(c);
	if (wrong != NULL) {
		fprintf(stderr, "sentrybox-core: bad configuration: %s\n", wrong);
		exit(125);
	}
	return c;
}

int main(int argc, char **argv)
{
	const char *role = argc == 2 ? argv[1] : "";

	if (strcmp(role, "monitor") == 0)
		return monitor_main();
	if (strcmp(role, "sentry") == 0)
		return sentry_main();
	if (strcmp(role, "gofer") == 0)
		return gofer_main();
	fprintf(stderr, "sentrybox-core is started by sentrybox; see `sentrybox --help`\n");
	return 125;
}
