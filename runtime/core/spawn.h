/* SPDX-License-Identifier: Apache-2.0 */
/* How the monitor starts the sentry and the gofer, and a further container's process its gofer: see spawn.c. */
#ifndef RUNTIME_CORE_SPAWN_H
#define RUNTIME_CORE_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPAWN_MAX_FDS 8

struct spawn {
	const char *role;
	int program_fd;         /* an executable, close-on-exec and above the others; 0: this program */
	int fds[SPAWN_MAX_FDS]; /* these become 3, 4, 5 ... in the child; -1 leaves a hole closed */
	unsigned nfds;
	const int *keep;        /* descriptors >= 10 that keep their numbers */
	unsigned nkeep;
	bool drop_ids;
	uint32_t uid, gid;
	uint64_t keep_caps;     /* effective, permitted and inheritable after the change of ids */
};

/* Returns the child's pid or -errno. The child has no capability but keep_caps, no-new-privileges, dies with us, and
 * executes this program for its role with an empty environment. */
int spawn_role(const struct spawn *s);

struct config;
/* With an image and no bind there is no file of the host to serve. */
bool spawn_needs_gofer(const struct config *c);
/* A gofer for what the configuration (which lies in cfg_fd) names, on sock. Its pid or -errno. */
int spawn_gofer(const struct config *c, int cfg_fd, int sock);

#endif
