/* SPDX-License-Identifier: Apache-2.0 */
/* How a role finds its configuration: a memfd at descriptor 3, checked before anything in it is believed. */
#include "runtime/config.h"
#include "runtime/core/control_protocol.h"

#include <stdio.h>
#include <stdlib.h>
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
